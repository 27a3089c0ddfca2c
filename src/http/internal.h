/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of http/ share. Not for other rooms.
 *
 * A request is counted. References: MHD's, from the headers to the completed
 * callback; the handler's, from the call of the route's function to its answer; the
 * timer's, while a deadline runs; a worker's, while its function runs. Who first sets
 * `claimed` answers; later answers are dropped.
 *
 * Locks, outer before inner: server.lock, stream.lock, request.lock, MHD's own.
 */
#pragma once
#include "http/form.h"
#include "http/router.h"
#include "http/server.h"
#include "base/mem.h"
#include "base/metric.h"
#include <microhttpd.h>
#include <stdatomic.h>

enum {
	SL_HTTP_CODES = 600,
	SL_HTTP_HEADERS = 64, /* of a request that are kept */
	SL_HTTP_CONNECTION =
		32768, /* MHD's memory of a connection: headers and a piece of the body, for each request */
	SL_HTTP_SKIP = 64 * 1024, /* bytes of an unwanted body that are read past, so that the connection can go on */
	SL_HTTP_STREAM_BYTES = 1 << 20, /* what may wait for a slow listener; the oldest goes first */
	SL_HTTP_HEARTBEAT_MS = 15000, /* comment to silent listeners: finds those that are gone */
	SL_HTTP_DRAIN_IDLE_MS = 500, /* no request for so long: idle connections are closed while draining */
	SL_HTTP_DRAIN_BODY_MS = 2000, /* no piece for so long: half a body is given up while draining */
	SL_HTTP_DRAIN_EMPTY_MS = 50, /* no connection for so long: none is on its way from the listening socket */
	SL_HTTP_CUT_MS = 1000, /* for the 503 of cut requests to be sent */
};

struct sl_endpoint {
	const struct sl_route *route;
	void *arg;
	size_t body_max;
	_Atomic(struct sl_metric *) seconds, count[SL_HTTP_CODES]; /* made when first needed */
	struct sl_endpoint *next;
};

struct sl_server {
	const struct sl_config *cfg;
	struct sl_router *router;
	struct sl_endpoint *endpoints; /* in the order added */
	struct sl_endpoint nowhere; /* counts what matched no route */
	struct MHD_Daemon *daemon;
	int listen_fd, port;
	struct sl_pool *pool;
	struct sl_timer *timer;
	struct sl_metric *queue_length, *connections_now;
	int64_t deadline_ms, body_ms;
	size_t bodies_max;
	_Atomic size_t bodies; /* bytes of all bodies in memory */
	_Atomic bool draining;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* live or connections */
	int live, coming; /* requests from headers to end; of these, body not whole */
	int connections, handed; /* open ones; given to MHD by a drain and not open yet */
	int64_t active_us; /* when a request last moved */
	struct sl_stream *streams;
	bool streams_end, is_drained;
};

struct sl_header {
	char *name, *value;
};

enum sl_phase { SL_PHASE_BODY, SL_PHASE_SKIP, SL_PHASE_WAIT };

struct sl_request {
	struct sl_server *server;
	struct MHD_Connection *conn; /* valid until the completed callback */
	struct sl_endpoint *endpoint;
	_Atomic int refs;
	_Atomic bool claimed;
	bool handler_done; /* the handler gave its one answer */
	pthread_mutex_t lock; /* suspended, response */
	bool suspended, queued;
	struct MHD_Response *response;
	int code;
	enum sl_phase phase;
	char *raw, method[16];
	struct sl_router_target target;
	struct sl_router_match match;
	struct sl_header header[SL_HTTP_HEADERS];
	int nheader;
	struct sl_header *query;
	int nquery; /* -1: not parsed yet */
	struct sl_buf body;
	size_t body_said, body_counted, skipped; /* Content-Length; counted in server.bodies */
	json_t *json;
	struct sl_form *form;
	struct sl_header *extra; /* headers of the answer */
	int nextra;
	int64_t start_us, deadline_us, body_deadline_us;
	int heap_at; /* in the timer; -1: not there */
};

/* exchange.c */
struct sl_request *sl_request_ref(struct sl_request *r);
void sl_request_unref(struct sl_request *r);
struct MHD_Daemon *sl_http_daemon_start(struct sl_server *s, struct sl_err *err);

/* answer.c */
bool sl_http_claim(struct sl_request *r);
/* Hands the response over and lets the connection go on; r must be claimed by the caller. */
void sl_http_deliver(struct sl_request *r, int code, struct MHD_Response *response);
/* The server's own answer, if nobody answered yet. */
void sl_http_answer_error(struct sl_request *r, int code, const char *name, const char *message);
void sl_http_count(struct sl_request *r, int code);
char *sl_http_error_text(const char *name, const char *message); /* free() */

/* timer.c: deadlines, sockets that linger, heartbeats; one thread */
struct sl_timer *sl_timer_start(struct sl_server *s);
void sl_timer_stop(struct sl_timer *t); /* NULL is fine */
bool sl_timer_add(struct sl_timer *t, struct sl_request *r); /* false after sl_timer_close() */
void sl_timer_remove(struct sl_timer *t, struct sl_request *r);
int sl_timer_close(struct sl_timer *t); /* answers 503 to all that wait; how many */
/* Takes fd, a duplicate of a connection's: drops what still comes, so that the client reads our answer first. */
void sl_timer_linger(struct sl_timer *t, int fd);

/* stream.c */
void sl_streams_beat(struct sl_server *s);
void sl_streams_end(struct sl_server *s); /* all, and every later one at once */

/* listen.c: text "HOST:PORT", "[::1]:PORT", ":PORT" */
enum sl_status sl_http_listen(const char *text, int *ret_fd, int *ret_port, struct sl_err *err);
void sl_http_want_hops(int fd, int n); /* 255: a listening socket takes nothing new; 0: its children hear again */
