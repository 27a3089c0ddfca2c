/* SPDX-License-Identifier: Apache-2.0 */
#include "http/internal.h"

bool sl_http_claim(struct sl_request *r)
{
	return !atomic_exchange(&r->claimed, true);
}

static char *route_label(const struct sl_endpoint *e)
{
	return e->route ? sl_asprintf("route=\"%s %s\"", e->route->method, e->route->path)
			: sl_strdup("route=\"none\"");
}

/* Two threads may make the same metric at once: both get the same one. */
static struct sl_metric *count_of(struct sl_endpoint *e, int code)
{
	struct sl_metric *m = atomic_load(&e->count[code]);
	if (m)
		return m;
	SL_AUTOFREE char *route = route_label(e), *labels = sl_asprintf("%s,code=\"%d\"", route, code);
	m = sl_counter("signloop_http_requests_total", labels, "Requests by route and status code");
	atomic_store(&e->count[code], m);
	return m;
}

static struct sl_metric *seconds_of(struct sl_endpoint *e)
{
	struct sl_metric *m = atomic_load(&e->seconds);
	if (m)
		return m;
	SL_AUTOFREE char *route = route_label(e);
	m = sl_histogram("signloop_http_seconds", route, "From a request's first line to its answer");
	atomic_store(&e->seconds, m);
	return m;
}

void sl_http_count(struct sl_request *r, int code)
{
	sl_metric_add(count_of(r->endpoint, code), 1);
	sl_metric_time(seconds_of(r->endpoint), sl_mono_us() - r->start_us);
}

void sl_http_deliver(struct sl_request *r, int code, struct MHD_Response *response)
{
	sl_http_count(r, code);
	sl_timer_remove(r->server->timer, r);
	pthread_mutex_lock(&r->lock);
	r->response = response;
	r->code = code;
	bool resume = r->suspended;
	r->suspended = false;
	if (resume)
		MHD_resume_connection(r->conn);
	pthread_mutex_unlock(&r->lock);
}

static struct MHD_Response *make_response(const char *type, size_t n, void *p, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *m = MHD_create_response_from_buffer(n, p, mode);
	if (!m)
		SL_BUG("no response could be made");
	if (type)
		MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	return m;
}

char *sl_http_error_text(const char *name, const char *message)
{
	SL_AUTOJSON json_t *v = json_pack("{s:{s:s,s:s}}", "error", "code", name, "message", message);
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	if (!v || sl_json_print(v, &b) != SL_OK) /* a message that is no UTF-8 */
		return sl_asprintf("{\"error\":{\"code\":\"%s\",\"message\":\"bad input\"}}", name);
	return (char *)sl_buf_take(&b, NULL);
}

static struct MHD_Response *error_response(int code, const char *name, const char *message)
{
	char *text = sl_http_error_text(name, message);
	struct MHD_Response *m = make_response("application/json", strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (code == 503 || code == 504)
		MHD_add_response_header(m, MHD_HTTP_HEADER_RETRY_AFTER, "1");
	return m;
}

void sl_http_answer_error(struct sl_request *r, int code, const char *name, const char *message)
{
	if (!sl_http_claim(r))
		return;
	struct MHD_Response *m = error_response(code, name, message);
	if (code == 405)
		MHD_add_response_header(m, MHD_HTTP_HEADER_ALLOW, r->match.allow);
	sl_http_deliver(r, code, m);
}

/* The handler's one answer; response is taken. Its reference ends here. */
static void answer(struct sl_request *r, int code, struct MHD_Response *response)
{
	if (r->handler_done)
		SL_BUG("%s %s is answered twice", r->method, r->target.path);
	if (code < 200 || code >= SL_HTTP_CODES)
		SL_BUG("%s %s is answered with status %d", r->method, r->target.path, code);
	r->handler_done = true;
	for (int i = 0; i < r->nextra; i++)
		MHD_add_response_header(response, r->extra[i].name, r->extra[i].value);
	if (sl_http_claim(r))
		sl_http_deliver(r, code, response);
	else
		MHD_destroy_response(response);
	sl_request_unref(r);
}

void sl_answer_json(struct sl_request *r, int code, json_t *body)
{
	struct sl_buf b = {0};
	if (!body || sl_json_print(body, &b) != SL_OK)
		SL_BUG("%s %s: the answer is no JSON", r->method, r->target.path);
	json_decref(body);
	sl_answer_take(r, code, "application/json", &b);
}

void sl_answer_take(struct sl_request *r, int code, const char *type, struct sl_buf *body)
{
	size_t n;
	void *p = sl_buf_take(body, &n);
	answer(r, code, make_response(type, n, p, MHD_RESPMEM_MUST_FREE));
}

void sl_answer_copy(struct sl_request *r, int code, const char *type, struct sl_slice body)
{
	answer(r, code, make_response(type, body.len, (void *)body.ptr, MHD_RESPMEM_MUST_COPY));
}

void sl_answer_static(struct sl_request *r, int code, const char *type, struct sl_slice body)
{
	answer(r, code, make_response(type, body.len, (void *)body.ptr, MHD_RESPMEM_PERSISTENT));
}

void sl_answer_error(struct sl_request *r, int code, const char *name, const char *message)
{
	answer(r, code, error_response(code, name, message));
}

static int http_code(enum sl_status s)
{
	static const struct {
		enum sl_status status;
		int code;
	} table[] = {
		{SL_INVALID, 400},
		{SL_NOT_FOUND, 404},
		{SL_EXISTS, 409},
		{SL_CONFLICT, 409},
		{SL_REFUSED, 409},
		{SL_TOO_LARGE, 413},
		{SL_UNSUPPORTED, 415},
		{SL_UNREADABLE, 422},
		{SL_BUSY, 503},
		{SL_CLOSED, 503},
		{SL_AWAY, 503},
		{SL_IO, 503}, /* a full disk: somebody makes room */
		{SL_USAGE, 503}, /* of a store that lets us in no more: somebody mends it */
		{SL_TIMEOUT, 504},
	};
	for (size_t i = 0; i < SL_COUNT(table); i++)
		if (table[i].status == s)
			return table[i].code;
	return 500;
}

void sl_answer_fail(struct sl_request *r, const struct sl_err *err)
{
	sl_answer_error(r, http_code(err->status), sl_status_name(err->status), err->text);
}

void sl_answer_header(struct sl_request *r, const char *name, const char *value)
{
	r->extra = sl_realloc(r->extra, (size_t)r->nextra + 1, sizeof(*r->extra));
	r->extra[r->nextra++] = (struct sl_header){sl_strdup(name), sl_strdup(value)};
}
