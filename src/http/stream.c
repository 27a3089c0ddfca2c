/* SPDX-License-Identifier: Apache-2.0
 *
 * Server-sent events. Two hold a stream: its owner (until sl_stream_end) and MHD (until
 * the connection ends). Events wait in a ring of whole texts; when a listener is slow, the
 * oldest text goes, never the one that is half sent.
 */
#include "http/internal.h"

enum { TEXTS = 1024 };

struct sl_stream {
	struct sl_server *server;
	struct MHD_Connection *conn; /* valid while !gone */
	_Atomic int refs;
	pthread_mutex_t lock;
	bool gone, ended, suspended;
	struct sl_buf text[TEXTS]; /* ring */
	size_t head, n, bytes, sent; /* sent: of the first text */
	struct sl_stream *next, **prev; /* in server.streams */
};

static void stream_unref(struct sl_stream *s)
{
	if (atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (size_t i = 0; i < TEXTS; i++)
		sl_buf_done(&s->text[i]);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void drop_text(struct sl_stream *s, size_t at)
{
	struct sl_buf *b = &s->text[(s->head + at) % TEXTS];
	s->bytes -= b->len;
	sl_buf_done(b);
	for (; at > 0; at--) /* the half-sent first one moves up */
		s->text[(s->head + at) % TEXTS] = s->text[(s->head + at - 1) % TEXTS];
	s->text[s->head] = (struct sl_buf){0};
	s->head = (s->head + 1) % TEXTS;
	s->n--;
}

static void resume(struct sl_stream *s)
{
	if (s->suspended && !s->gone)
		MHD_resume_connection(s->conn);
	s->suspended = false;
}

/* Takes text. false when nobody will read it. */
static bool push(struct sl_stream *s, struct sl_buf *text)
{
	pthread_mutex_lock(&s->lock);
	bool open = !s->gone && !s->ended;
	if (open) {
		while (s->n && (s->n == TEXTS || s->bytes + text->len > SL_HTTP_STREAM_BYTES)) {
			size_t at = s->sent > 0; /* keep what is half sent */
			if (at >= s->n)
				break;
			drop_text(s, at);
		}
		s->text[(s->head + s->n++) % TEXTS] = *text;
		s->bytes += text->len;
		*text = (struct sl_buf){0};
		resume(s);
	}
	pthread_mutex_unlock(&s->lock);
	sl_buf_done(text);
	return open;
}

/* MHD wants bytes; on the http thread. */
static ssize_t read_stream(void *arg, uint64_t pos, char *to, size_t max)
{
	struct sl_stream *s = arg;
	size_t n = 0;
	pthread_mutex_lock(&s->lock);
	while (s->n && n < max) {
		struct sl_buf *b = &s->text[s->head];
		size_t part = SL_MIN(max - n, b->len - s->sent);
		memcpy(to + n, b->ptr + s->sent, part);
		n += part;
		s->sent += part;
		if (s->sent == b->len) {
			s->sent = 0;
			drop_text(s, 0);
		}
	}
	ssize_t ret = (ssize_t)n;
	if (!n && s->ended) {
		ret = MHD_CONTENT_READER_END_OF_STREAM;
	} else if (!n) {
		s->suspended = true;
		MHD_suspend_connection(s->conn);
	}
	pthread_mutex_unlock(&s->lock);
	return ret;
}

/* The connection ended. */
static void release_stream(void *arg)
{
	struct sl_stream *s = arg;
	struct sl_server *server = s->server;
	pthread_mutex_lock(&s->lock);
	s->gone = true;
	pthread_mutex_unlock(&s->lock);
	pthread_mutex_lock(&server->lock);
	if (s->next)
		s->next->prev = s->prev;
	*s->prev = s->next;
	pthread_mutex_unlock(&server->lock);
	stream_unref(s);
}

static void enlist(struct sl_stream *s)
{
	struct sl_server *server = s->server;
	pthread_mutex_lock(&server->lock);
	s->prev = &server->streams;
	s->next = server->streams;
	if (s->next)
		s->next->prev = &s->next;
	server->streams = s;
	s->ended = server->streams_end;
	pthread_mutex_unlock(&server->lock);
}

struct sl_stream *sl_answer_stream(struct sl_request *r)
{
	struct sl_stream *s = SL_NEW(struct sl_stream);
	*s = (struct sl_stream){.server = r->server, .conn = r->conn, .refs = 1};
	pthread_mutex_init(&s->lock, NULL);
	if (r->handler_done)
		SL_BUG("%s %s is answered twice", r->method, r->target.path);
	r->handler_done = true;
	if (sl_http_claim(r)) {
		struct MHD_Response *m =
			MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16384, read_stream, s, release_stream);
		SL_ASSERT(m);
		s->refs++;
		MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE, "text/event-stream");
		MHD_add_response_header(m, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
		MHD_add_response_header(m, "X-Accel-Buffering", "no"); /* proxies: pass events on at once */
		for (int i = 0; i < r->nextra; i++)
			MHD_add_response_header(m, r->extra[i].name, r->extra[i].value);
		enlist(s);
		struct sl_buf hello = {0};
		sl_buf_puts(&hello, "retry: 2000\n\n"); /* also sends the headers off at once */
		push(s, &hello);
		sl_http_deliver(r, 200, m);
	} else {
		s->gone = true;
	}
	sl_request_unref(r);
	return s;
}

bool sl_stream_send(struct sl_stream *s, const char *event, struct sl_slice data)
{
	struct sl_buf text = {0};
	if (event)
		sl_buf_printf(&text, "event: %s\n", event);
	for (size_t at = 0; at <= data.len;) { /* one "data:" a line */
		const uint8_t *end = at < data.len ? memchr(data.ptr + at, '\n', data.len - at) : NULL;
		size_t n = end ? (size_t)(end - data.ptr) - at : data.len - at;
		sl_buf_puts(&text, "data: ");
		sl_buf_add(&text, data.ptr + at, n);
		sl_buf_puts(&text, "\n");
		at += n + 1;
	}
	sl_buf_puts(&text, "\n");
	return push(s, &text);
}

void sl_stream_end(struct sl_stream *s)
{
	pthread_mutex_lock(&s->lock);
	s->ended = true;
	resume(s);
	pthread_mutex_unlock(&s->lock);
	stream_unref(s);
}

void sl_streams_beat(struct sl_server *server)
{
	pthread_mutex_lock(&server->lock);
	for (struct sl_stream *s = server->streams; s; s = s->next) {
		struct sl_buf text = {0};
		pthread_mutex_lock(&s->lock);
		bool silent = !s->n;
		pthread_mutex_unlock(&s->lock);
		if (silent && sl_buf_puts(&text, ":\n\n") == SL_OK)
			push(s, &text);
	}
	pthread_mutex_unlock(&server->lock);
}

void sl_streams_end(struct sl_server *server)
{
	pthread_mutex_lock(&server->lock);
	server->streams_end = true;
	for (struct sl_stream *s = server->streams; s; s = s->next) {
		pthread_mutex_lock(&s->lock);
		s->ended = true;
		resume(s);
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_unlock(&server->lock);
}
