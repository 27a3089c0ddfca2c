/* SPDX-License-Identifier: Apache-2.0
 *
 * One request between MHD and a route's function: request line -> headers (route, limits)
 * -> body -> the function, where its table says -> answer. MHD calls on_request() at the
 * headers, for each piece of the body, at its end, and again after each resume.
 */
#include "http/internal.h"
#include "base/log.h"
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct sl_request *sl_request_ref(struct sl_request *r)
{
	atomic_fetch_add(&r->refs, 1);
	return r;
}

void sl_request_unref(struct sl_request *r)
{
	if (atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	if (r->response && !r->queued)
		MHD_destroy_response(r->response);
	for (int i = 0; i < r->nheader; i++) {
		free(r->header[i].name);
		free(r->header[i].value);
	}
	for (int i = 0; i < r->nextra; i++) {
		free(r->extra[i].name);
		free(r->extra[i].value);
	}
	atomic_fetch_sub(&r->server->bodies, r->body_counted);
	free(r->extra);
	free(r->query);
	sl_buf_done(&r->body);
	json_decref(r->json);
	sl_form_free(r->form);
	sl_router_target_done(&r->target);
	free(r->raw);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* What a connection remembers between a request line and its headers. MHD completes only
 * requests whose headers came, so nothing may hang on the line alone. */
struct line {
	char *raw; /* the target as it was sent, before MHD takes it apart */
	int64_t us;
};

static struct line *line_of(struct MHD_Connection *conn)
{
	return MHD_get_connection_info(conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void *on_line(void *arg, const char *uri, struct MHD_Connection *conn)
{
	struct line *l = line_of(conn);
	free(l->raw);
	*l = (struct line){sl_strdup(uri), sl_mono_us()};
	return NULL;
}

static struct sl_request *request_new(struct sl_server *s, struct MHD_Connection *conn)
{
	struct line *l = line_of(conn);
	struct sl_request *r = SL_NEW(struct sl_request);
	*r = (struct sl_request){.server = s,
		.conn = conn,
		.endpoint = &s->nowhere,
		.refs = 1,
		.nquery = -1,
		.heap_at = -1,
		.start_us = l->us,
		.raw = SL_TAKE(l->raw)};
	r->body_deadline_us = r->start_us + s->body_ms * 1000;
	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_lock(&s->lock);
	s->live++;
	s->coming++;
	s->active_us = l->us;
	pthread_mutex_unlock(&s->lock);
	return r;
}

/* The body is whole, or will never be. */
static void body_ended(struct sl_request *r)
{
	struct sl_server *s = r->server;
	pthread_mutex_lock(&s->lock);
	s->coming -= r->phase != SL_PHASE_WAIT;
	s->active_us = sl_mono_us();
	pthread_mutex_unlock(&s->lock);
	r->phase = SL_PHASE_WAIT;
}

static void on_completed(void *arg, struct MHD_Connection *conn, void **con_cls, enum MHD_RequestTerminationCode why)
{
	struct sl_server *s = arg;
	struct sl_request *r = *con_cls;
	*con_cls = NULL;
	if (!r)
		return;
	if (sl_log_is_on(SL_DEBUG, "http"))
		sl_log(SL_DEBUG, "http", why == MHD_REQUEST_TERMINATED_COMPLETED_OK ? "request" : "request cut",
			SL_S("method", r->method), SL_S("path", r->target.path ? r->target.path : "?"),
			SL_I("code", r->code), SL_F("ms", (double)(sl_mono_us() - r->start_us) / 1000));
	body_ended(r);
	sl_request_unref(r);
	pthread_mutex_lock(&s->lock);
	s->live--;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void on_connection(
	void *arg, struct MHD_Connection *conn, void **context, enum MHD_ConnectionNotificationCode what)
{
	struct sl_server *s = arg;
	struct line *l = *context;
	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*context = SL_NEW(struct line);
		if (s->draining)
			sl_http_want_hops(
				MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd, 0);
	} else {
		free(l->raw);
		free(l);
	}
	pthread_mutex_lock(&s->lock);
	s->connections += what == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1;
	s->handed -= what == MHD_CONNECTION_NOTIFY_STARTED && s->handed > 0;
	s->active_us = sl_mono_us();
	sl_metric_set(s->connections_now, s->connections);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* Answers without reading what still comes, and ends the connection. MHD takes no answer
 * in the middle of a body, so it is written here (nothing else is being sent: MHD answers one request at
 * a time), and a duplicate of the socket lives on until the client has heard us. */
static enum MHD_Result refuse_now(struct sl_request *r, int code, const char *name, const char *message)
{
	SL_AUTOFREE char *text = sl_http_error_text(name, message);
	SL_AUTOFREE char *all = sl_asprintf(
		"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n%s",
		code, MHD_get_reason_phrase_for((unsigned)code), strlen(text), code == 503 ? "Retry-After: 1\r\n" : "",
		text);
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	r->claimed = true;
	r->code = code;
	sl_http_count(r, code);
	if (info && send(info->connect_fd, all, strlen(all), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
		sl_timer_linger(r->server->timer, fcntl(info->connect_fd, F_DUPFD_CLOEXEC, 3));
	return MHD_NO;
}

static enum MHD_Result keep_header(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct sl_request *r = arg;
	if (r->nheader == SL_HTTP_HEADERS || (!strcasecmp(name, "Content-Length") && sl_request_header(r, name)))
		return MHD_NO;
	r->header[r->nheader++] = (struct sl_header){sl_strdup(name), sl_strdup(value ? value : "")};
	return MHD_YES;
}

/* An error that is known before the body: a small body is read past, so that the connection can go on. */
static enum MHD_Result fail_early(struct sl_request *r, int code, const char *name, const char *message)
{
	if (r->body_said > SL_HTTP_SKIP)
		return refuse_now(r, code, name, message);
	sl_http_answer_error(r, code, name, message);
	r->phase = SL_PHASE_SKIP;
	return MHD_YES;
}

static enum MHD_Result find_route(struct sl_request *r)
{
	struct sl_err err;
	enum sl_status s = sl_router_target_parse(r->raw, &r->target, &err);
	if (s != SL_OK)
		return fail_early(r, s == SL_TOO_LARGE ? 414 : 400, sl_status_name(s), err.text);
	sl_router_match(r->server->router, r->method, &r->target, &r->match);
	if (r->match.value) {
		r->endpoint = r->match.value;
		return MHD_YES;
	}
	if (r->match.other_method)
		return fail_early(r, 405, "METHOD_NOT_ALLOWED", "this path takes another method: see the header Allow");
	return fail_early(r, 404, sl_status_name(SL_NOT_FOUND), "no such path; GET /openapi.json lists them all");
}

/* true: no header, or a whole number >= min in *ret. */
static bool read_number(struct sl_request *r, const char *name, long long min, long long *ret)
{
	const char *v = sl_request_header(r, name);
	char *end;
	if (!v)
		return true;
	*ret = strtoll(v, &end, 10);
	return *v >= '0' && *v <= '9' && !*end && *ret >= min;
}

static enum MHD_Result begin(struct sl_request *r, const char *method)
{
	long long said = 0, ms = r->server->deadline_ms;
	r->phase = SL_PHASE_BODY;
	snprintf(r->method, sizeof(r->method), "%s", method);
	int seen = MHD_get_connection_values(r->conn, MHD_HEADER_KIND, keep_header, r);
	if (r->nheader == SL_HTTP_HEADERS && seen > r->nheader) /* one that is not kept may say how long the body is */
		return refuse_now(r, 431, sl_status_name(SL_TOO_LARGE), "too many header fields");
	const char *coding = sl_request_header(r, "Transfer-Encoding");
	bool clear =
		coding ? !strcasecmp(coding, "chunked") && !sl_request_header(r, "Content-Length") : seen == r->nheader;
	if (!clear || !read_number(r, "Content-Length", 0, &said))
		return refuse_now(r, 400, sl_status_name(SL_INVALID),
			"the body's length is not clear: one valid Content-Length, or chunks");
	r->body_said = (size_t)said;
	if (find_route(r) == MHD_NO)
		return MHD_NO;
	if (r->claimed)
		return MHD_YES;
	if (r->body_said > r->endpoint->body_max) {
		SL_AUTOFREE char *text = sl_asprintf(
			"the body has %zu bytes; at most %zu are taken here", r->body_said, r->endpoint->body_max);
		return refuse_now(r, 413, sl_status_name(SL_TOO_LARGE), text);
	}
	if (!read_number(r, "X-Deadline-Ms", 0, &ms))
		return fail_early(
			r, 400, sl_status_name(SL_INVALID), "X-Deadline-Ms must be a whole number of milliseconds");
	r->deadline_us = SL_MIN(ms, r->server->deadline_ms) * 1000; /* from the body's end */
	r->body.cap = SL_MAX(r->endpoint->body_max, 1);
	return MHD_YES;
}

/* Room for n more bytes, counted for the whole server. */
static enum sl_status grow_body(struct sl_request *r, size_t n)
{
	size_t need = r->body.len + n;
	if (need > r->endpoint->body_max)
		return SL_TOO_LARGE;
	if (need < r->body.size)
		return SL_OK;
	size_t want = SL_MAX(need, r->body.size * 2);
	want = SL_MAX(want, SL_MIN(r->body_said, SL_HTTP_SKIP));
	want = SL_MIN(want, r->endpoint->body_max);
	size_t more = want + 1 - SL_MIN(r->body.size, want + 1);
	r->body_counted += more;
	if (atomic_fetch_add(&r->server->bodies, more) + more > r->server->bodies_max)
		return SL_BUSY;
	return sl_buf_reserve(&r->body, want - r->body.len);
}

static enum MHD_Result take_piece(struct sl_request *r, const char *p, size_t n)
{
	if (sl_is_past(r->body_deadline_us))
		return refuse_now(r, 408, sl_status_name(SL_TIMEOUT), "the body did not come in time (http.body_ms)");
	if (atomic_load(&r->server->draining)) { /* see wait_idle() */
		pthread_mutex_lock(&r->server->lock);
		r->server->active_us = sl_mono_us();
		pthread_mutex_unlock(&r->server->lock);
	}
	if (r->phase == SL_PHASE_SKIP) {
		r->skipped += n;
		/* Our answer waits behind an endless body: end it here. */
		return r->skipped <= SL_HTTP_SKIP ? MHD_YES : MHD_NO;
	}
	switch (grow_body(r, n)) {
	case SL_OK:
		sl_buf_add(&r->body, p, n);
		return MHD_YES;
	case SL_BUSY:
		return refuse_now(r, 503, sl_status_name(SL_BUSY),
			"too many bodies in memory (http.bodies_bytes): try again later");
	default:
		return refuse_now(r, 413, sl_status_name(SL_TOO_LARGE), "the body is larger than is taken here");
	}
}

static void check_answered(struct sl_request *r)
{
	if (!r->handler_done)
		SL_BUG("route %s %s ended without an answer", r->endpoint->route->method, r->endpoint->route->path);
}

static void run_worker(void *arg)
{
	struct sl_request *r = arg;
	struct sl_endpoint *e = r->endpoint;
	sl_metric_add(r->server->queue_length, -1);
	if (atomic_load(&r->claimed)) { /* its deadline passed while it waited: no work is done for it */
		sl_request_unref(r);
	} else {
		e->route->fn(r, e->arg);
		check_answered(r);
	}
	sl_request_unref(r);
}

static void hand_to_worker(struct sl_request *r)
{
	sl_metric_add(r->server->queue_length, 1);
	enum sl_status s = sl_pool_run(r->server->pool, run_worker, sl_request_ref(r));
	if (s == SL_OK)
		return;
	sl_metric_add(r->server->queue_length, -1);
	sl_http_answer_error(r, 503, sl_status_name(s),
		s == SL_BUSY ? "too many requests wait (http.queue): try again later"
			     : "the server is ending: try again");
	sl_request_unref(r);
	sl_request_unref(r); /* the handler's */
}

/* The body is whole: run the route's function. */
static void dispatch(struct sl_request *r)
{
	struct sl_endpoint *e = r->endpoint;
	r->deadline_us += sl_mono_us();
	bool in_time = e->route->run == SL_RUN_NOW || sl_timer_add(r->server->timer, r);
	if (!in_time) {
		sl_http_answer_error(r, 503, sl_status_name(SL_CLOSED), "the server is ending: send the request again");
		return;
	}
	sl_request_ref(r); /* the handler's */
	if (e->route->run == SL_RUN_WORKER) {
		hand_to_worker(r);
	} else {
		sl_request_ref(r);
		e->route->fn(r, e->arg);
		if (e->route->run == SL_RUN_NOW)
			check_answered(r);
		sl_request_unref(r);
	}
}

/* Sends the answer if there is one, else lets the connection rest until there is. */
static enum MHD_Result reply(struct sl_request *r)
{
	pthread_mutex_lock(&r->lock);
	struct MHD_Response *m = r->response;
	if (m) {
		r->queued = true;
	} else {
		r->suspended = true;
		MHD_suspend_connection(r->conn);
	}
	pthread_mutex_unlock(&r->lock);
	if (!m)
		return MHD_YES;
	if (atomic_load(&r->server->draining))
		MHD_add_response_header(m, MHD_HTTP_HEADER_CONNECTION, "close");
	enum MHD_Result ok = MHD_queue_response(r->conn, (unsigned)r->code, m);
	MHD_destroy_response(m);
	return ok;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *conn, const char *url, const char *method,
	const char *version, const char *data, size_t *size, void **con_cls)
{
	struct sl_request *r = *con_cls;
	if (!r) {
		*con_cls = r = request_new(arg, conn);
		return begin(r, method);
	}
	if (*size) {
		size_t n = *size;
		*size = 0;
		return take_piece(r, data, n);
	}
	enum sl_phase was = r->phase;
	if (was != SL_PHASE_WAIT)
		body_ended(r);
	if (was == SL_PHASE_BODY)
		dispatch(r);
	return reply(r);
}

static void on_message(void *arg, const char *fmt, va_list ap)
{
	char text[400];
	if (!sl_log_is_on(SL_DEBUG, "http"))
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = 0;
	sl_log(SL_DEBUG, "http", text);
}

/* Targets are decoded in router.c, from what on_line() kept. */
static size_t no_unescape(void *arg, struct MHD_Connection *conn, char *s)
{
	return strlen(s);
}

struct MHD_Daemon *sl_http_daemon_start(struct sl_server *s, struct sl_err *err)
{
	unsigned threads = (unsigned)sl_config_int(s->cfg, "http.threads");
	struct MHD_OptionItem pool[] = {
		{threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL},
		{MHD_OPTION_END, 0, NULL},
	};
	struct MHD_Daemon *d = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL,
		NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL, MHD_OPTION_LISTEN_SOCKET,
		s->listen_fd, MHD_OPTION_URI_LOG_CALLBACK, on_line, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)sl_config_int(s->cfg, "http.connections"),
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)sl_config_int(s->cfg, "http.idle_s"),
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)SL_HTTP_CONNECTION, MHD_OPTION_ARRAY, pool, MHD_OPTION_END);
	if (!d)
		sl_fail(err, SL_IO, "the HTTP server did not start: too few file descriptors or threads (ulimit -n)");
	return d;
}
