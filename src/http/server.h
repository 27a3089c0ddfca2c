/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP server: routes from tables, bodies with a cap, answers from any thread.
 * libmicrohttpd inside, epoll; one or few event threads (`http`). Only http/ knows it.
 *
 * A route's function runs where `run` says: NOW on the http thread (must not block),
 * WORKER on the server's pool (may block on a store), LATER on the http thread but it may
 * return without an answer and answer from any thread. Each request has a deadline
 * (http.deadline_ms, or the header X-Deadline-Ms if shorter); when it passes before an
 * answer, the client gets 504 and a later answer is dropped. A full worker queue answers 503
 * with Retry-After. Errors have the body {"error":{"code","message"}}.
 *
 * Requests: owned by the server, counted: valid until the function answered; a LATER
 * function keeps it until it answers (exactly once, from any thread).
 */
#pragma once
#include "base/buf.h"
#include "base/config.h"
#include "base/json.h"
#include "base/thread.h"

struct sl_server;
struct sl_request;

enum sl_run { SL_RUN_NOW, SL_RUN_WORKER, SL_RUN_LATER };

struct sl_route {
	const char *method; /* "GET", "POST", "GET|POST", ... */
	const char *path; /* "/v1/crops/{key}"; a trailing {name...} takes the rest */
	enum sl_run run;
	const char *body_max; /* setting that caps the body in bytes; NULL: no body taken (413) */
	void (*fn)(struct sl_request *r, void *arg);
	/* For the OpenAPI page: */
	const char *tag, *summary;
	const char *params; /* "name:type:text" lines: query parameters, "name!" is required; NULL: none */
	const char *request; /* JSON Schema of the body, or media types, the last with its schema; NULL */
	const char *response; /* the same of the answer; NULL */
	const char *accepted; /* the same of a 202 that may come instead; NULL */
	int ok; /* the answer's status; 0: 200 */
	const char *errors; /* beside those that the rest of the row tells, such as "409 422"; NULL */
};

enum sl_status sl_server_start(const struct sl_config *cfg, struct sl_server **ret, struct sl_err *err);
/* Before sl_server_open(): routes ends with method NULL; borrowed. SL_BUG on two equal routes. */
void sl_server_add(struct sl_server *s, const struct sl_route *routes, void *arg);
enum sl_status sl_server_open(
	struct sl_server *s, struct sl_err *err); /* listens; setting http.listen, port 0 picks one */
int sl_server_port(const struct sl_server *s);
/* Stops accepting, lets running requests end, then closes. TIMEOUT: some were cut. */
enum sl_status sl_server_drain(struct sl_server *s, int64_t deadline_us);
void sl_server_free(struct sl_server *s);
/* OpenAPI 3.1 of everything added, as JSON. */
json_t *sl_server_openapi(const struct sl_server *s);

/* Reading. Strings and slices live as long as the request. */
const char *sl_request_method(const struct sl_request *r);
const char *sl_request_path(const struct sl_request *r);
const char *sl_request_param(const struct sl_request *r, const char *name); /* of the path */
const char *sl_request_query(struct sl_request *r, const char *name); /* NULL: absent */
const char *sl_request_header(struct sl_request *r, const char *name);
struct sl_slice sl_request_body(const struct sl_request *r);
int64_t sl_request_deadline(const struct sl_request *r);
/* The body as JSON object, or answers 400/415 itself and gives NULL. Borrowed. */
json_t *sl_request_json(struct sl_request *r);
struct sl_part { /* multipart/form-data or application/x-www-form-urlencoded */
	const char *name, *filename, *type;
	struct sl_slice body;
};
/* INVALID when the body is no well-formed form. Borrowed array. */
enum sl_status sl_request_form(struct sl_request *r, const struct sl_part **ret, int *ret_n, struct sl_err *err);

/* Answering, exactly once, from any thread. */
void sl_answer_json(struct sl_request *r, int code, json_t *body /* taken */);
void sl_answer_copy(struct sl_request *r, int code, const char *type, struct sl_slice body);
/* Takes the bytes and leaves an empty buffer. */
void sl_answer_take(struct sl_request *r, int code, const char *type, struct sl_buf *body);
void sl_answer_static(struct sl_request *r, int code, const char *type, struct sl_slice body); /* lives for ever */
void sl_answer_error(struct sl_request *r, int code, const char *name, const char *message);
void sl_answer_fail(struct sl_request *r,
	const struct sl_err *err); /* status to HTTP code by one table; 503 and 504 with Retry-After */
void sl_answer_header(struct sl_request *r, const char *name, const char *value); /* before the answer */

/* Server-sent events: after sl_answer_stream() the request stays open; push from any
 * thread; false when the client is gone (then let go with sl_stream_end()). */
struct sl_stream;
struct sl_stream *sl_answer_stream(struct sl_request *r);
bool sl_stream_send(struct sl_stream *s, const char *event, struct sl_slice data);
void sl_stream_end(struct sl_stream *s);
