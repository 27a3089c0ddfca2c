/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread keeps time for the server: MHD forgets suspended connections, so deadlines
 * are kept here in a heap; sockets whose clients still send are read out; silent event
 * streams get a heartbeat.
 */
#include "http/internal.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LINGERING = 256, /* sockets at once; more are closed at once */
	LINGER_MS = 3000,
	LINGER_BYTES = 64 * 1024 * 1024,
	EXPIRE_BATCH = 64,
};

struct lingering {
	int fd;
	int64_t until_us;
	size_t left; /* bytes we still read */
};

struct sl_timer {
	struct sl_server *server;
	pthread_t thread;
	pthread_mutex_t lock;
	struct sl_request **heap; /* by deadline */
	int n, size;
	bool closed, ending;
	int wake_fd;
	int64_t sleeps_until;
	struct lingering linger[LINGERING];
	int nlinger;
};

static void put(struct sl_timer *t, int at, struct sl_request *r)
{
	t->heap[at] = r;
	r->heap_at = at;
}

static void sift_up(struct sl_timer *t, int at, struct sl_request *r)
{
	for (; at > 0 && t->heap[(at - 1) / 2]->deadline_us > r->deadline_us; at = (at - 1) / 2)
		put(t, at, t->heap[(at - 1) / 2]);
	put(t, at, r);
}

static void sift_down(struct sl_timer *t, int at, struct sl_request *r)
{
	for (int child; (child = 2 * at + 1) < t->n; at = child) {
		if (child + 1 < t->n && t->heap[child + 1]->deadline_us < t->heap[child]->deadline_us)
			child++;
		if (t->heap[child]->deadline_us >= r->deadline_us)
			break;
		put(t, at, t->heap[child]);
	}
	put(t, at, r);
}

static struct sl_request *take(struct sl_timer *t, int at)
{
	struct sl_request *r = t->heap[at], *last = t->heap[--t->n];
	r->heap_at = -1;
	if (r != last) {
		if (at > 0 && t->heap[(at - 1) / 2]->deadline_us > last->deadline_us)
			sift_up(t, at, last);
		else
			sift_down(t, at, last);
	}
	return r;
}

static void wake(struct sl_timer *t)
{
	uint64_t one = 1;
	if (write(t->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: it is awake anyway */
}

bool sl_timer_add(struct sl_timer *t, struct sl_request *r)
{
	pthread_mutex_lock(&t->lock);
	bool ok = !t->closed, sooner = false;
	if (ok) {
		if (t->n == t->size) {
			t->size = t->size ? t->size * 2 : 64;
			t->heap = sl_realloc(t->heap, (size_t)t->size, sizeof(*t->heap));
		}
		sift_up(t, t->n++, sl_request_ref(r));
		sooner = r->deadline_us < t->sleeps_until;
	}
	pthread_mutex_unlock(&t->lock);
	if (sooner)
		wake(t);
	return ok;
}

void sl_timer_remove(struct sl_timer *t, struct sl_request *r)
{
	pthread_mutex_lock(&t->lock);
	bool was = r->heap_at >= 0;
	if (was)
		take(t, r->heap_at);
	pthread_mutex_unlock(&t->lock);
	if (was)
		sl_request_unref(r);
}

int sl_timer_close(struct sl_timer *t)
{
	int cut = 0;
	for (;;) {
		pthread_mutex_lock(&t->lock);
		t->closed = true;
		struct sl_request *r = t->n ? take(t, 0) : NULL;
		pthread_mutex_unlock(&t->lock);
		if (!r)
			return cut;
		sl_http_answer_error(r, 503, sl_status_name(SL_CLOSED), "the server is ending: send the request again");
		sl_request_unref(r);
		cut++;
	}
}

void sl_timer_linger(struct sl_timer *t, int fd)
{
	if (fd < 0)
		return;
	shutdown(fd, SHUT_WR);
	pthread_mutex_lock(&t->lock);
	bool room = t->nlinger < LINGERING && !t->ending;
	if (room)
		t->linger[t->nlinger++] = (struct lingering){fd, sl_deadline_ms(LINGER_MS), LINGER_BYTES};
	pthread_mutex_unlock(&t->lock);
	if (room)
		wake(t);
	else
		close(fd);
}

/* false when the client is done, or has had its share. */
static bool read_out(struct lingering *l)
{
	char scratch[64 * 1024];
	ssize_t n = recv(l->fd, scratch, sizeof(scratch), MSG_DONTWAIT);
	if (n > 0)
		l->left -= SL_MIN((size_t)n, l->left);
	return n > 0 && l->left;
}

/* Under the lock: what to wait for. Gives the number of descriptors. */
static int prepare(struct sl_timer *t, struct pollfd *p, int64_t beat_us)
{
	int64_t until = beat_us;
	if (t->n)
		until = SL_MIN(until, t->heap[0]->deadline_us);
	p[0] = (struct pollfd){.fd = t->wake_fd, .events = POLLIN};
	for (int i = 0; i < t->nlinger; i++) {
		until = SL_MIN(until, t->linger[i].until_us);
		p[i + 1] = (struct pollfd){.fd = t->linger[i].fd, .events = POLLIN};
	}
	t->sleeps_until = until;
	return t->nlinger + 1;
}

static void wait_for(struct sl_timer *t, struct pollfd *p, int n)
{
	int64_t us = SL_MAX(t->sleeps_until - sl_mono_us(), 0);
	struct timespec ts = {us / 1000000, us % 1000000 * 1000};
	if (ppoll(p, (nfds_t)n, &ts, NULL) > 0 && p[0].revents) {
		uint64_t drop;
		if (read(t->wake_fd, &drop, sizeof(drop)) < 0)
			return; /* somebody else's wake-up: nothing to take */
	}
}

static void expire(struct sl_timer *t)
{
	struct sl_request *late[EXPIRE_BATCH];
	int n = 0;
	pthread_mutex_lock(&t->lock);
	int64_t now = sl_mono_us();
	while (t->n && n < EXPIRE_BATCH && t->heap[0]->deadline_us <= now)
		late[n++] = take(t, 0);
	pthread_mutex_unlock(&t->lock);
	for (int i = 0; i < n; i++) {
		sl_http_answer_error(late[i], 504, sl_status_name(SL_TIMEOUT),
			"no answer before the request's deadline; its outcome is unknown");
		sl_request_unref(late[i]);
	}
}

/* Only this thread takes entries out, so entries 0..n-1 are where poll saw them. */
static void tend_lingering(struct sl_timer *t, const struct pollfd *p, int n)
{
	int64_t now = sl_mono_us();
	for (int i = n - 1; i >= 0; i--) {
		struct lingering *l = &t->linger[i];
		if (now < l->until_us && (!p[i + 1].revents || read_out(l)))
			continue;
		close(l->fd);
		pthread_mutex_lock(&t->lock);
		*l = t->linger[--t->nlinger];
		pthread_mutex_unlock(&t->lock);
	}
}

static void *timer_main(void *arg)
{
	struct sl_timer *t = arg;
	struct pollfd p[LINGERING + 1];
	int64_t beat = sl_deadline_ms(SL_HTTP_HEARTBEAT_MS);
	for (;;) {
		pthread_mutex_lock(&t->lock);
		bool ending = t->ending;
		int n = prepare(t, p, beat);
		pthread_mutex_unlock(&t->lock);
		if (ending)
			return NULL;
		wait_for(t, p, n);
		expire(t);
		tend_lingering(t, p, n - 1);
		if (sl_is_past(beat)) {
			sl_streams_beat(t->server);
			beat = sl_deadline_ms(SL_HTTP_HEARTBEAT_MS);
		}
	}
}

struct sl_timer *sl_timer_start(struct sl_server *s)
{
	struct sl_timer *t = SL_NEW(struct sl_timer);
	t->server = s;
	t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	SL_ASSERT(t->wake_fd >= 0);
	pthread_mutex_init(&t->lock, NULL);
	t->thread = sl_thread_start("http-timer", timer_main, t);
	return t;
}

void sl_timer_stop(struct sl_timer *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	t->ending = true;
	pthread_mutex_unlock(&t->lock);
	wake(t);
	pthread_join(t->thread, NULL);
	for (int i = 0; i < t->nlinger; i++)
		close(t->linger[i].fd);
	close(t->wake_fd);
	free(t->heap);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
