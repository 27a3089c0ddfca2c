/* SPDX-License-Identifier: Apache-2.0 */
#include "http/internal.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

static void get_metrics(struct sl_request *r, void *arg)
{
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	if (sl_metric_print(&b) == SL_OK)
		sl_answer_copy(r, 200, "text/plain; version=0.0.4", sl_buf_slice(&b));
	else
		sl_answer_error(r, 500, "TOO_LARGE", "the metrics do not fit into one answer");
}

static void get_openapi(struct sl_request *r, void *arg)
{
	sl_answer_json(r, 200, sl_server_openapi(arg));
}

static const struct sl_route own_routes[] = {
	{.method = "GET",
		.path = "/metrics",
		.run = SL_RUN_NOW,
		.fn = get_metrics,
		.tag = "watch",
		.summary = "Counters, gauges and times in the Prometheus text format",
		.response = "text/plain"},
	{.method = "GET",
		.path = "/openapi.json",
		.run = SL_RUN_NOW,
		.fn = get_openapi,
		.tag = "watch",
		.summary = "This description, made from the route table",
		.response = "{\"type\":\"object\"}"},
	{0}};

enum sl_status sl_server_start(const struct sl_config *cfg, struct sl_server **ret, struct sl_err *err)
{
	struct sl_server *s = SL_NEW(struct sl_server);
	s->cfg = cfg;
	s->listen_fd = -1;
	s->router = sl_router_new();
	s->deadline_ms = sl_config_int(cfg, "http.deadline_ms");
	s->body_ms = sl_config_int(cfg, "http.body_ms");
	s->bodies_max = (size_t)sl_config_int(cfg, "http.bodies_bytes");
	pthread_mutex_init(&s->lock, NULL);
	sl_cond_init(&s->changed);
	s->connections_now = sl_gauge("signloop_http_connections", NULL, "Open connections");
	s->queue_length = sl_gauge("signloop_queue_length", "queue=\"http\"", "Things waiting in a queue");
	int64_t queue = sl_config_int(cfg, "http.queue");
	sl_metric_set(sl_gauge("signloop_queue_capacity", "queue=\"http\"", "Most things that may wait in a queue"),
		(double)queue);
	s->pool = sl_pool_start("http-worker", (unsigned)sl_config_int(cfg, "http.workers"), (size_t)queue);
	sl_server_add(s, own_routes, s);
	*ret = s;
	return SL_OK;
}

void sl_server_add(struct sl_server *s, const struct sl_route *routes, void *arg)
{
	struct sl_endpoint **last = &s->endpoints;
	while (*last)
		last = &(*last)->next;
	if (s->daemon)
		SL_BUG("routes are added before the server opens");
	for (; routes->method; routes++) {
		struct sl_endpoint *e = SL_NEW(struct sl_endpoint);
		e->route = routes;
		e->arg = arg;
		e->body_max = routes->body_max ? (size_t)sl_config_int(s->cfg, routes->body_max) : 0;
		sl_router_add(s->router, routes->method, routes->path, e);
		*last = e;
		last = &e->next;
	}
}

enum sl_status sl_server_open(struct sl_server *s, struct sl_err *err)
{
	enum sl_status st = sl_http_listen(sl_config_str(s->cfg, "http.listen"), &s->listen_fd, &s->port, err);
	if (st != SL_OK)
		return st;
	s->timer = sl_timer_start(s);
	s->daemon = sl_http_daemon_start(s, err);
	if (s->daemon)
		return SL_OK;
	close(s->listen_fd);
	s->listen_fd = -1;
	return SL_IO;
}

int sl_server_port(const struct sl_server *s)
{
	return s->port;
}

/* How long nothing must have moved for the server to be idle. MHD may not notice that a
 * client left in the middle of its body, so such requests are not waited for to the end. */
static int64_t quiet_ms(const struct sl_server *s)
{
	return s->coming                     ? SL_HTTP_DRAIN_BODY_MS
	       : s->connections || s->handed ? SL_HTTP_DRAIN_IDLE_MS
					     : SL_HTTP_DRAIN_EMPTY_MS;
}

/* Waits for something to move. False: the deadline passed, or no request runs and nothing has moved for a while. */
static bool wait_move(struct sl_server *s, int64_t deadline_us)
{
	bool running = s->live > s->coming;
	int64_t rest = s->active_us + quiet_ms(s) * 1000;
	if (sl_is_past(deadline_us) || (!running && sl_is_past(rest)))
		return false;
	sl_cond_wait_until(&s->changed, &s->lock, running ? deadline_us : SL_MIN(rest, deadline_us));
	return true;
}

/* False: the deadline passed. */
static bool wait_idle(struct sl_server *s, int64_t deadline_us)
{
	pthread_mutex_lock(&s->lock);
	s->active_us = sl_mono_us();
	while (wait_move(s, deadline_us))
		;
	bool idle = s->live == s->coming;
	pthread_mutex_unlock(&s->lock);
	return idle;
}

/* One at a time: each of MHD's threads has places of its own, and which is full it knows when the last is open. False:
 * those that are open are idle, and leave no room. */
static bool wait_room(struct sl_server *s, int64_t deadline_us)
{
	pthread_mutex_lock(&s->lock);
	s->active_us = sl_mono_us();
	int64_t most = sl_config_int(s->cfg, "http.connections");
	while ((s->handed || s->connections >= most) && wait_move(s, deadline_us))
		;
	bool room = s->connections < most;
	pthread_mutex_unlock(&s->lock);
	return room;
}

/* MHD closes what it refuses. It counts a connection for a moment after it said that it is closed, so that it may
 * refuse one for which there is room: the copy is tried again. */
static void hand_over(struct sl_server *s, int conn, const struct sockaddr_storage *a, socklen_t n, int64_t deadline_us)
{
	int64_t until = SL_MIN(sl_deadline_ms(SL_HTTP_DRAIN_EMPTY_MS), deadline_us);
	sl_http_want_hops(conn, 0);
	pthread_mutex_lock(&s->lock);
	s->handed++;
	pthread_mutex_unlock(&s->lock);
	for (;;) {
		int copy = fcntl(conn, F_DUPFD_CLOEXEC, 0);
		bool taken = MHD_add_connection(s->daemon, conn, (const struct sockaddr *)a, n) == MHD_YES;
		bool again = !taken && errno == ENFILE && copy >= 0 && !sl_is_past(until);
		if (!again && copy >= 0)
			close(copy);
		if (taken)
			return;
		if (!again)
			break;
		conn = copy;
		poll(NULL, 0, 1);
	}
	pthread_mutex_lock(&s->lock);
	s->handed -= s->handed > 0;
	pthread_mutex_unlock(&s->lock);
}

/* No new connections. Those that were made are served, also those that wait for room, while room comes, and those whose
 * clients hear of it before this kernel does: clients within some 100 ms, since what a connection of that moment says
 * first is heard only when it is said again. */
static void stop_accepting(struct sl_server *s, int64_t deadline_us)
{
	sl_http_want_hops(s->listen_fd, 255); /* first packets have fewer; what is made from here on inherits it */
	struct pollfd p = {.fd = MHD_quiesce_daemon(s->daemon), .events = POLLIN};
	if (p.fd < 0)
		return;
	int64_t until = SL_MIN(sl_deadline_ms(SL_HTTP_DRAIN_IDLE_MS), deadline_us);
	while (!sl_is_past(until) && poll(&p, 1, SL_HTTP_DRAIN_EMPTY_MS) > 0) {
		struct sockaddr_storage a;
		socklen_t n = sizeof(a);
		int64_t full_us = sl_mono_us();
		if (!wait_room(s, deadline_us))
			break;
		until = SL_MIN(until + sl_mono_us() - full_us, deadline_us);
		int conn = accept4(p.fd, (struct sockaddr *)&a, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (conn >= 0)
			hand_over(s, conn, &a, n, deadline_us);
		else if (errno == EMFILE || errno == ENFILE)
			poll(NULL, 0, SL_HTTP_DRAIN_EMPTY_MS); /* a file may be closed meanwhile */
		else if (errno != ECONNABORTED && errno != EAGAIN && errno != EINTR)
			break;
	}
	close(p.fd);
	s->listen_fd = -1;
}

/* The deadline passed: 503 to those that wait, and a moment to send it. */
static void cut_rest(struct sl_server *s)
{
	int64_t until = sl_deadline_ms(SL_HTTP_CUT_MS);
	pthread_mutex_lock(&s->lock);
	while (s->live && sl_cond_wait_until(&s->changed, &s->lock, until))
		;
	pthread_mutex_unlock(&s->lock);
}

enum sl_status sl_server_drain(struct sl_server *s, int64_t deadline_us)
{
	enum sl_status st = SL_OK;
	if (s->is_drained)
		return SL_OK;
	s->is_drained = true;
	if (s->daemon) {
		atomic_store(&s->draining, true);
		stop_accepting(s, deadline_us);
		sl_streams_end(s);
		bool idle = wait_idle(s, deadline_us);
		sl_timer_close(s->timer); /* from here on no connection is suspended: MHD would not stop */
		if (!idle) {
			st = SL_TIMEOUT;
			cut_rest(s);
		}
		MHD_stop_daemon(s->daemon);
	}
	if (sl_pool_drain(s->pool, deadline_us) != SL_OK)
		st = SL_TIMEOUT;
	return st;
}

void sl_server_free(struct sl_server *s)
{
	if (!s)
		return;
	sl_server_drain(s, sl_mono_us());
	sl_pool_free(s->pool); /* waits for functions that still run */
	sl_timer_stop(s->timer);
	while (s->endpoints) {
		struct sl_endpoint *e = s->endpoints;
		s->endpoints = e->next;
		free(e);
	}
	sl_router_free(s->router);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
