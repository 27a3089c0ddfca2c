/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "harness.h"
#include "http_rig.h"
#include <stdio.h>

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
	rig_check_error(&a, 405, "METHOD_NOT_ALLOWED");
	CHECK_STR(ask_header(&a, "Allow", text, sizeof(text)), "GET, HEAD");
	ask_done(&a);
	ask(g.port, "GET /nothing/here", NULL, NULL, &a);
	rig_check_error(&a, 404, "NOT_FOUND");
	ask_done(&a);
	ask(g.port, "GET /show/a%zz", NULL, NULL, &a);
	rig_check_error(&a, 400, "INVALID");
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
	rig_check_error(&a, 415, "UNSUPPORTED");
	ask_done(&a);
	CHECK_EQ(ask(g.port, "POST /form", "application/x-www-form-urlencoded", "a=1&b=x%20y", &a), 200);
	CHECK_STR((char *)a.body.ptr, "{\"a\":\"1\",\"b\":\"x y\"}");
	ask_done(&a);
	CHECK_EQ(ask(g.port, "POST /form", "multipart/form-data; boundary=zz",
			 "--zz\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nv1\r\n--zz--\r\n", &a),
		200);
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
		{SL_TIMEOUT, 504}, {SL_CLOSED, 503}, {SL_IO, 503}, {SL_AWAY, 503}, {SL_USAGE, 503}, {SL_CORRUPT, 500},
		{SL_CANCELLED, 500}};
	struct rig g;
	rig_open(&g, NULL);
	for (size_t i = 0; i < SL_COUNT(want); i++) {
		char path[32], retry[8];
		struct ask_answer a = {0};
		snprintf(path, sizeof(path), "GET /fail/%d", want[i][0]);
		ask(g.port, path, NULL, NULL, &a);
		rig_check_error(&a, want[i][1], sl_status_name((enum sl_status)want[i][0]));
		CHECK_EQ(ask_header(&a, "Retry-After", retry, sizeof(retry)) != NULL, want[i][1] >= 503);
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
	for (const struct sl_route *r = rig_routes; r->method; r++)
		CHECK(!strcmp(r->path, "/files/{rest...}") || json_object_get(paths, r->path));
	CHECK(json_object_get(paths, "/files/{rest}"));
	json_t *params = json_object_get(json_object_get(json_object_get(paths, "/hello"), "get"), "parameters");
	CHECK_EQ(json_array_size(params), 2);
	CHECK_STR(json_string_value(json_object_get(json_array_get(params, 1), "description")), "how many");
	CHECK(json_object_get(json_object_get(paths, "/echo"), "put"));
	CHECK_STR(json_string_value(json_object_get(json_array_get(params, 0), "name")), "q");
	CHECK(json_is_true(json_object_get(json_array_get(params, 0), "required")));
	CHECK(!json_is_true(json_object_get(json_array_get(params, 1), "required")));
	json_t *form = json_object_get(json_object_get(paths, "/form"), "post"),
	       *codes = json_object_get(form, "responses");
	json_t *types = json_object_get(json_object_get(form, "requestBody"), "content");
	CHECK_EQ(json_object_size(types), 2);
	CHECK(json_object_get(json_object_get(types, "application/json"), "schema"));
	CHECK(json_object_get(codes, "201") && json_object_get(codes, "413") && json_object_get(codes, "422"));
	CHECK(!json_object_get(codes, "200") && !json_object_get(codes, "404") && !json_object_get(codes, "503"));
	json_decref(v);
	CHECK_EQ(ask(g.port, "GET /metrics", NULL, NULL, &a), 200);
	CHECK(strstr((char *)a.body.ptr, "signloop_http_requests_total{route=\"GET /openapi.json\",code=\"200\"} 1"));
	CHECK(strstr((char *)a.body.ptr, "signloop_queue_capacity{queue=\"http\"} 1024"));
	ask_done(&a);
	rig_close(&g);
}
