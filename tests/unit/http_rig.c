/* SPDX-License-Identifier: Apache-2.0 */
#include "http_rig.h"
#include "base/mem.h"
#include "core/settings.h"
#include "harness.h"
#include <stdio.h>

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
	sl_answer_json(r, 200,
		json_pack("{s:s,s:s,s:s*,s:s*,s:s}", "method", sl_request_method(r), "name",
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

const struct sl_route rig_routes[] = {{"GET", "/hello", SL_RUN_NOW, NULL, hello, "test", "Says hello",
					      "q!:string:what is asked\nn:integer:how many", NULL, "text/plain"},
	{"GET|POST|PUT", "/echo", SL_RUN_NOW, "http.body_bytes", echo, .request = "{\"type\":\"object\"}"},
	{"POST", "/work", SL_RUN_WORKER, "http.body_bytes", echo}, {"GET", "/show/{name}", SL_RUN_WORKER, NULL, show},
	{"GET", "/show/fixed", SL_RUN_NOW, NULL, hello}, {"GET", "/files/{rest...}", SL_RUN_NOW, NULL, rest},
	{"POST", "/json", SL_RUN_NOW, "http.body_bytes", json_back},
	{"POST", "/form", SL_RUN_NOW, "http.body_bytes", form_back,
		.request = "multipart/form-data, application/json {\"type\":\"object\"}", .ok = 201, .errors = "422"},
	{"GET", "/fail/{status}", SL_RUN_NOW, NULL, fails}, {"GET", "/gate", SL_RUN_WORKER, NULL, gated},
	{"GET", "/later", SL_RUN_LATER, NULL, keep}, {"GET", "/events", SL_RUN_LATER, NULL, listen_in}, {0}};

/* words: "name=value" settings, NULL ends. */
void rig_open(struct rig *g, const char *const *words)
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
	sl_server_add(g->server, rig_routes, g);
	CHECK_OK(sl_server_open(g->server, &err));
	g->port = sl_server_port(g->server);
	CHECK(g->port > 0);
}

void rig_close(struct rig *g)
{
	CHECK_STATUS(sl_server_drain(g->server, sl_deadline_ms(20000)), SL_OK);
	sl_server_free(g->server);
	sl_config_free(g->cfg);
}

void rig_open_gate(struct rig *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

void rig_wait_waiting(struct rig *g, int n)
{
	pthread_mutex_lock(&g->lock);
	while (g->waiting < n)
		pthread_cond_wait(&g->moved, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

struct sl_request *rig_wait_kept(struct rig *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->kept)
		pthread_cond_wait(&g->moved, &g->lock);
	struct sl_request *r = g->kept;
	g->kept = NULL;
	pthread_mutex_unlock(&g->lock);
	return r;
}

struct sl_stream *rig_wait_stream(struct rig *g)
{
	pthread_mutex_lock(&g->lock);
	while (!g->stream)
		pthread_cond_wait(&g->moved, &g->lock);
	struct sl_stream *s = g->stream;
	g->stream = NULL;
	pthread_mutex_unlock(&g->lock);
	return s;
}

void rig_check_error(const struct ask_answer *a, int code, const char *name)
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
