/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/settings.h"
#include "harness.h"
#include "http/server.h"
#include <stdatomic.h>
#include <stdio.h>

/* A server with every kind of route, and a gate at which workers wait. */
struct rig {
	struct sl_config *cfg;
	struct sl_server *server;
	int port;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool open;          /* the gate */
	int waiting, passed;
	struct sl_request *kept;
	struct sl_stream *stream;
	_Atomic int calls;
};

static void hello(struct sl_request *r, void *arg)
{
	sl_answer_static(r, 200, "text/plain", sl_slice_str("hello"));
}

static void echo(struct sl_request *r, void *arg)
{
	struct rig *g = arg;
	g->calls++;
	const char *type = sl_request_header(r, "content-type");
	sl_answer_copy(r, 200, type ? type : "application/octet-stream", sl_request_body(r));
}

static void show(struct sl_request *r, void *arg)
{
	const char *q = sl_request_query(r, "q"), *h = sl_request_header(r, "X-Test");
	sl_answer_header(r, "X-Answer", "yes");
	sl_answer_json(r, 200, json_pack("{s:s,s:s,s:s*,s:s*,s:s}", "method", sl_request_method(r), "name",
		sl_request_param(r, "name"), "q", q, "h", h, "path", sl_request_path(r)));
}

static void rest(struct sl_request *r, void *arg)
{
	sl_answer_json(r, 200, json_pack("{s:s}", "rest", sl_request_param(r, "rest")));
}

static void json_back(struct sl_request *r, void *arg)
{
	json_t *v = sl_request_json(r);
	if (v)
		sl_answer_json(r, 200, json_incref(v));
}

static void form_back(struct sl_request *r, void *arg)
{
	const struct sl_part *p;
	struct sl_err err;
	int n;
	if (sl_request_form(r, &p, &n, &err) != SL_OK) {
		sl_answer_fail(r, &err);
		return;
	}
	json_t *v = json_object();
	for (int i = 0; i < n; i++)
		json_object_set_new(v, p[i].name, json_stringn((const char *)p[i].body.ptr, p[i].body.len));
	sl_answer_json(r, 200, v);
}

static void fails(struct sl_request *r, void *arg)
{
	struct sl_err err;
	sl_fail(&err, (enum sl_status)atoi(sl_request_param(r, "status")), "on purpose");
	sl_answer_fail(r, &err);
}

static void gated(struct sl_request *r, void *arg)
{
	struct rig *g = arg;
	pthread_mutex_lock(&g->lock);
	g->waiting++;
	pthread_cond_broadcast(&g->moved);
	while (!g->open)
		pthread_cond_wait(&g->moved, &g->lock);
	g->passed++;
	pthread_mutex_unlock(&g->lock);
	sl_answer_static(r, 200, "text/plain", sl_slice_str("passed"));
}

static void keep(struct sl_request *r, void *arg)
{
	struct rig *g = arg;
	pthread_mutex_lock(&g->lock);
	g->kept = r;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static void listen_in(struct sl_request *r, void *arg)
{
	struct rig *g = arg;
	pthread_mutex_lock(&g->lock);
	g->stream = sl_answer_stream(r);
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static const struct sl_route routes[] = {
	{"GET", "/hello", SL_RUN_NOW, NULL, hello, "test", "Says hello", "q:string:what is asked\nn:integer:how many", NULL,
		"text/plain"},
	{"GET|POST|PUT", "/echo", SL_RUN_NOW, "http.body_bytes", echo, .request = "{\"type\":\"object\"}"},
	{"POST", "/work", SL_RUN_WORKER, "http.body_bytes", echo},
	{"GET", "/show/{name}", SL_RUN_WORKER, NULL, show},
	{"GET", "/show/fixed", SL_RUN_NOW, NULL, hello},
	{"GET", "/files/{rest...}", SL_RUN_NOW, NULL, rest},
	{"POST", "/json", SL_RUN_NOW, "http.body_bytes", json_back},
	{"POST", "/form", SL_RUN_NOW, "http.body_bytes", form_back},
	{"GET", "/fail/{status}", SL_RUN_NOW, NULL, fails},
	{"GET", "/gate", SL_RUN_WORKER, NULL, gated},
	{"GET", "/later", SL_RUN_LATER, NULL, keep},
	{"GET", "/events", SL_RUN_LATER, NULL, listen_in},
	{0}};

/* words: "name=value" settings, NULL ends. */
static void rig_open(struct rig *g, const char *const *words)
{
	struct sl_err err;
	*g = (struct rig){.cfg = sl_settings_new()};
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->moved, NULL);
	CHECK_OK(sl_config_set(g->cfg, "http.listen", "127.0.0.1:0", "test", &err));
	for (; words && *words; words++) {
		SL_AUTOFREE char *name = sl_strdup(*words);
		char *eq = strchr(name, '=');
		*eq = 0;
		CHECK_OK(sl_config_set(g->cfg, name, eq + 1, "test", &err));
	}
	CHECK_OK(sl_server_start(g->cfg, &g->server, &err));
	sl_server_add(g->server, routes, g);
	CHECK_OK(sl_server_open(g->server, &err));
	g->port = sl_server_port(g->server);
	CHECK(g->port > 0);
}

static void rig_close(struct rig *g)
{
	CHECK_STATUS(sl_server_drain(g->server, sl_deadline_ms(20000)), SL_OK);
	sl_server_free(g->server);
	sl_config_free(g->cfg);
}

static void open_gate(struct rig *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static void wait_waiting(struct rig *g, int n)
{
	pthread_mutex_lock(&g->lock);
	while (g->waiting < n)
		pthread_cond_wait(&g->moved, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static struct sl_request *wait_kept(struct rig *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->kept)
		pthread_cond_wait(&g->moved, &g->lock);
	struct sl_request *r = g->kept;
	g->kept = NULL;
	pthread_mutex_unlock(&g->lock);
	return r;
}

static struct sl_stream *wait_stream(struct rig *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->stream)
		pthread_cond_wait(&g->moved, &g->lock);
	struct sl_stream *s = g->stream;
	g->stream = NULL;
	pthread_mutex_unlock(&g->lock);
	return s;
}

static void check_error(const struct ask_answer *a, int code, const char *name)
{
	struct sl_err err;
	json_t *v, *e;
	const char *got;
	CHECK_EQ(a->code, code);
	CHECK_OK(sl_json_parse(sl_buf_slice(&a->body), "body", &v, &err));
	e = json_object_get(v, "error");
	CHECK_OK(sl_json_str(e, "error", "code", &got, &err));
	CHECK_STR(got, name);
	CHECK_OK(sl_json_str(e, "error", "message", &got, &err));
	CHECK(*got);
	json_decref(v);
}

TEST(http, routes_params_and_methods)
{
	struct rig g;
	struct ask_answer a = {0};
	char text[80];
	rig_open(&g, NULL);
	CHECK_EQ(ask(g.port, "GET /hello", NULL, NULL, &a), 200);
	CHECK_STR((char *)a.body.ptr, "hello");
	CHECK_STR(ask_header(&a, "Content-Type", text, sizeof(text)), "text/plain");
	ask_done(&a);
	CHECK_EQ(ask(g.port, "GET /hello/", NULL, NULL, NULL), 200);
	CHECK_EQ(ask(g.port, "GET /show/fixed", NULL, NULL, &a), 200);
	CHECK_STR((char *)a.body.ptr, "hello");
	ask_done(&a);
	json_t *v = ask_json(g.port, "GET /show/a%2Fb%20c?x=1&q=1%2b1+2&q=no", NULL, 200);
	CHECK_STR(json_string_value(json_object_get(v, "name")), "a/b c");
	CHECK_STR(json_string_value(json_object_get(v, "q")), "1+1 2");
	CHECK_STR(json_string_value(json_object_get(v, "path")), "/show/a%2Fb%20c");
	json_decref(v);
	v = ask_json(g.port, "GET http://test:80/files/a/b.txt", NULL, 200);
	CHECK_STR(json_string_value(json_object_get(v, "rest")), "a/b.txt");
	json_decref(v);
	CHECK_EQ(ask(g.port, "HEAD /hello", NULL, NULL, &a), 200);
	CHECK_STR(ask_header(&a, "Content-Length", text, sizeof(text)), "5");
	ask_done(&a);
	ask(g.port, "POST /hello", "text/plain", "x", &a);
	check_error(&a, 405, "METHOD_NOT_ALLOWED");
	CHECK_STR(ask_header(&a, "Allow", text, sizeof(text)), "GET, HEAD");
	ask_done(&a);
	ask(g.port, "GET /nothing/here", NULL, NULL, &a);
	check_error(&a, 404, "NOT_FOUND");
	ask_done(&a);
	ask(g.port, "GET /show/a%zz", NULL, NULL, &a);
	check_error(&a, 400, "INVALID");
	ask_done(&a);
	CHECK_EQ(ask(g.port, "GET /show/a%00b", NULL, NULL, NULL), 400);
	rig_close(&g);
}

TEST(http, bodies_json_and_forms)
{
	struct rig g;
	struct ask_answer a = {0};
	rig_open(&g, NULL);
	CHECK_EQ(ask(g.port, "POST /work", "text/x", "some bytes", &a), 200);
	CHECK_STR((char *)a.body.ptr, "some bytes");
	ask_done(&a);
	CHECK_EQ(ask(g.port, "GET /echo", "text/x", "a body with GET", &a), 200);
	CHECK_STR((char *)a.body.ptr, "a body with GET");
	ask_done(&a);
	json_decref(ask_json(g.port, "POST /json", "{\"a\":1}", 200));
	json_decref(ask_json(g.port, "POST /json", "{\"a\":1", 400));
	json_decref(ask_json(g.port, "POST /json", "[1]", 400));
	json_decref(ask_json(g.port, "POST /json", "", 400));
	ask(g.port, "POST /json", "image/jpeg", "{}", &a);
	check_error(&a, 415, "UNSUPPORTED");
	ask_done(&a);
	CHECK_EQ(ask(g.port, "POST /form", "application/x-www-form-urlencoded", "a=1&b=x%20y", &a), 200);
	CHECK_STR((char *)a.body.ptr, "{\"a\":\"1\",\"b\":\"x y\"}");
	ask_done(&a);
	CHECK_EQ(ask(g.port, "POST /form", "multipart/form-data; boundary=zz",
		"--zz\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nv1\r\n--zz--\r\n", &a), 200);
	CHECK_STR((char *)a.body.ptr, "{\"f\":\"v1\"}");
	ask_done(&a);
	CHECK_EQ(ask(g.port, "POST /form", "multipart/form-data; boundary=zz", "--zz\r\n", NULL), 400);
	CHECK_EQ(ask(g.port, "POST /form", "text/plain", "a=1", NULL), 415);
	rig_close(&g);
}

TEST(http, status_table)
{
	static const int want[][2] = {{SL_NOT_FOUND, 404}, {SL_EXISTS, 409}, {SL_CONFLICT, 409}, {SL_REFUSED, 409},
		{SL_INVALID, 400}, {SL_TOO_LARGE, 413}, {SL_UNSUPPORTED, 415}, {SL_UNREADABLE, 422}, {SL_BUSY, 503},
		{SL_TIMEOUT, 504}, {SL_CLOSED, 503}, {SL_IO, 500}, {SL_AWAY, 503}, {SL_CORRUPT, 500}, {SL_CANCELLED, 500}};
	struct rig g;
	rig_open(&g, NULL);
	for (size_t i = 0; i < SL_COUNT(want); i++) {
		char path[32], retry[8];
		struct ask_answer a = {0};
		snprintf(path, sizeof(path), "GET /fail/%d", want[i][0]);
		ask(g.port, path, NULL, NULL, &a);
		check_error(&a, want[i][1], sl_status_name((enum sl_status)want[i][0]));
		CHECK_EQ(ask_header(&a, "Retry-After", retry, sizeof(retry)) != NULL, want[i][1] == 503);
		ask_done(&a);
	}
	rig_close(&g);
}

TEST(http, openapi_and_metrics_are_served)
{
	struct rig g;
	struct ask_answer a = {0};
	rig_open(&g, NULL);
	json_t *v = ask_json(g.port, "GET /openapi.json", NULL, 200);
	json_t *paths = json_object_get(v, "paths");
	for (const struct sl_route *r = routes; r->method; r++)
		CHECK(!strcmp(r->path, "/files/{rest...}") || json_object_get(paths, r->path));
	CHECK(json_object_get(paths, "/files/{rest}"));
	json_t *params = json_object_get(json_object_get(json_object_get(paths, "/hello"), "get"), "parameters");
	CHECK_EQ(json_array_size(params), 2);
	CHECK_STR(json_string_value(json_object_get(json_array_get(params, 1), "description")), "how many");
	CHECK(json_object_get(json_object_get(paths, "/echo"), "put"));
	json_decref(v);
	CHECK_EQ(ask(g.port, "GET /metrics", NULL, NULL, &a), 200);
	CHECK(strstr((char *)a.body.ptr, "signloop_http_requests_total{route=\"GET /openapi.json\",code=\"200\"} 1"));
	CHECK(strstr((char *)a.body.ptr, "signloop_queue_capacity{queue=\"http\"} 1024"));
	ask_done(&a);
	rig_close(&g);
}
