/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/rng.h"
#include "core/registry.h"
#include "core/settings.h"
#include "harness.h"
#include "role/frames.h"
#include "tiny_bundle.h"
#include <stdio.h>

/* One process of the role frames over stores in memory, and a route that holds its inference thread. */
struct rig {
	struct sl_config *cfg;
	struct sl_context ctx;
	struct sl_frames *f;
	int port;
	struct sl_buf jpeg; /* two signs: one sure, one not */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool open; /* the gate of /test/hold */
	int64_t frame_ms; /* deadline of /test/frame; 0: the usual */
	int accepted, holding; /* requests to /test/...; of them waiting at the gate */
};

static struct rig *the_rig; /* routes get the role's state as their argument */

static void hold(struct sl_job *j, struct sl_pipeline *p)
{
	struct rig *g = the_rig;

	pthread_mutex_lock(&g->lock);
	g->holding++;
	pthread_cond_broadcast(&g->moved);
	while (!g->open)
		sl_cond_wait_until(&g->moved, &g->lock, SL_FOREVER);
	pthread_mutex_unlock(&g->lock);
	sl_answer_json(j->request, 200, json_object());
	sl_job_end(j);
}

static void count_accepted(void)
{
	pthread_mutex_lock(&the_rig->lock);
	the_rig->accepted++;
	pthread_cond_broadcast(&the_rig->moved);
	pthread_mutex_unlock(&the_rig->lock);
}

static void post_hold(struct sl_request *r, void *arg)
{
	sl_frames_accept(arg, r, hold, SL_REPLY_V1);
	count_accepted();
}

/* Frames to /test/frame have little time, those that hold the thread have enough. */
static void post_counted(struct sl_request *r, void *arg)
{
	struct sl_frames *f = arg;
	int64_t usual = f->deadline_ms;

	f->deadline_ms = the_rig->frame_ms ? the_rig->frame_ms : usual;
	sl_frames_accept(f, r, sl_frames_run, SL_REPLY_V1);
	f->deadline_ms = usual;
	count_accepted();
}

static const struct sl_route test_routes[] = {
	{.method = "POST", .path = "/test/hold", .run = SL_RUN_LATER, .body_max = "http.body_bytes", .fn = post_hold},
	{.method = "POST",
		.path = "/test/frame",
		.run = SL_RUN_LATER,
		.body_max = "http.frame_bytes",
		.fn = post_counted},
	{0}};

static void wait_for(struct rig *g, const int *what, int n)
{
	pthread_mutex_lock(&g->lock);
	while (*what < n)
		sl_cond_wait_until(&g->moved, &g->lock, SL_FOREVER);
	pthread_mutex_unlock(&g->lock);
}

static void open_gate(struct rig *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static void two_signs(struct sl_buf *ret)
{
	SL_AUTO(sl_image_done) struct sl_image im = tiny_scene(300, 203);

	tiny_sign(&im, 58, 42, TINY_SURE);
	tiny_sign(&im, 186, 106, TINY_UNSURE);
	tiny_jpeg(&im, ret);
}

/* words: "name=value" settings, NULL ends; NULL: none. b: taken; NULL: none yet. */
static void rig_open(struct rig *g, const char *const *words, struct sl_bundle *b)
{
	static const char *const base[] = {"http.listen=127.0.0.1:0", "frames.threads=1", "frames.store_threads=2",
		"frames.deadline_ms=60000", "http.deadline_ms=60000",
		"store.log=mem:", "store.crops=mem:", "store.reviews=mem:", "store.artifacts=mem:", "log.level=error",
		NULL};
	struct sl_err err;
	void *state;

	*g = (struct rig){.cfg = sl_settings_new()};
	the_rig = g;
	pthread_mutex_init(&g->lock, NULL);
	sl_cond_init(&g->moved);
	for (int pass = 0; pass < 2; pass++)
		for (const char *const *w = pass ? words : base; w && *w; w++) {
			SL_AUTOFREE char *name = sl_strdup(*w);
			*strchr(name, '=') = 0;
			CHECK_OK(sl_config_set(g->cfg, name, strchr(*w, '=') + 1, "test", &err));
		}
	g->ctx = (struct sl_context){.cfg = g->cfg, .data_dir = sl_test_dir()};
	CHECK_OK(sl_stores_open(g->cfg, sl_test_dir(), &g->ctx.stores, &err));
	g->ctx.hub = sl_hub_new(g->cfg);
	if (b)
		sl_hub_swap_bundle(g->ctx.hub, b);
	CHECK_OK(sl_server_start(g->cfg, &g->ctx.server, &err));
	CHECK_OK(sl_role_frames.start(&g->ctx, &state, &err));
	g->f = state;
	sl_server_add(g->ctx.server, test_routes, state);
	sl_hub_routes(g->ctx.hub, g->ctx.server);
	CHECK_OK(sl_server_open(g->ctx.server, &err));
	g->port = sl_server_port(g->ctx.server);
	two_signs(&g->jpeg);
}

static void rig_close(struct rig *g)
{
	int64_t soon = sl_deadline_ms(20000);

	CHECK_STATUS(sl_server_drain(g->ctx.server, soon), SL_OK);
	CHECK_STATUS(sl_role_frames.drain(g->f, soon), SL_OK);
	sl_role_frames.stop(g->f);
	sl_server_free(g->ctx.server);
	sl_hub_free(g->ctx.hub);
	sl_stores_close(&g->ctx.stores);
	sl_config_free(g->cfg);
	sl_buf_done(&g->jpeg);
}

/* One request; the answer as JSON (decref it), or NULL when it is none. */
static json_t *post(struct rig *g, const char *what, const char *type, struct sl_slice body, int code)
{
	struct ask_conn c = ask_open(g->port);
	struct ask_answer a = {0};
	json_t *v = NULL;

	ask_request(&c, what, type, body, NULL);
	CHECK(ask_read(&c, false, &a));
	if (a.code != code)
		sl_test_fail(__FILE__, __LINE__, "%s gives %d, not %d: %.200s", what, a.code, code,
			a.body.len ? (char *)a.body.ptr : "");
	sl_json_parse(sl_buf_slice(&a.body), "answer", &v, NULL);
	ask_done(&a);
	ask_close(&c);
	return v;
}

static json_t *post_frame(struct rig *g, const char *what, int code)
{
	return post(g, what, "image/jpeg", sl_buf_slice(&g->jpeg), code);
}

static const char *text_at(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

static json_t *sign_with(json_t *answer, const char *status)
{
	size_t i;
	json_t *s;

	json_array_foreach(
		json_object_get(answer, "signs"), i, s) if (strcmp(text_at(s, "status"), status) == 0) return s;
	sl_test_fail(__FILE__, __LINE__, "no sign has status %s", status);
}

static int64_t crops(struct rig *g)
{
	int64_t n = -1;
	struct sl_err err;

	CHECK_OK(sl_crops_count(g->ctx.stores.crops, &n, &err));
	return n;
}

static int64_t messages(struct rig *g, const char *topic)
{
	int64_t n = -1;
	struct sl_err err;

	CHECK_OK(sl_log_lag(g->ctx.stores.log, NULL, topic, &n, &err));
	return n;
}

/* All bodies of a topic, in any order of partitions. */
static json_t *bodies(struct rig *g, const char *topic)
{
	json_t *list = json_array();
	struct sl_err err;

	for (int p = 0; p < sl_log_partitions(g->ctx.stores.log, topic); p++) {
		struct sl_batch b = {0};
		CHECK_OK(sl_log_read(g->ctx.stores.log, topic, p, -1, SL_BATCH_MAX, &b, &err));
		for (int i = 0; i < b.n; i++) {
			json_t *v = NULL;
			CHECK_OK(sl_json_parse(b.message[i].body, "message", &v, &err));
			CHECK_STR(text_at(v, "key"), b.message[i].key);
			json_array_append_new(list, v);
		}
		sl_batch_done(&b);
	}
	return list;
}

TEST(frames, a_frame_is_answered_and_its_crops_and_messages_are_stored)
{
	struct rig g;
	rig_open(&g, NULL, tiny_bundle("tiny"));
	SL_AUTOJSON json_t *a = post_frame(&g, "POST /v1/frames", 200);
	json_t *sure = sign_with(a, "accepted"), *unsure = sign_with(a, "review");

	CHECK_EQ(json_array_size(json_object_get(a, "signs")), 2);
	CHECK_EQ(strlen(text_at(a, "bundle")), 64);
	CHECK_EQ(json_integer_value(json_array_get(json_object_get(sure, "box"), 0)), 58);
	CHECK_STR(text_at(json_object_get(sure, "class"), "code"), "R");
	CHECK_STR(text_at(json_object_get(sure, "class"), "name"), "Red");
	CHECK_EQ(json_array_size(json_object_get(unsure, "candidates")), TINY_CLASSES);
	CHECK(json_number_value(json_object_get(json_object_get(a, "timing_ms"), "detect")) > 0);
	CHECK_EQ(crops(&g), 2);
	SL_AUTOJSON json_t *labels = bodies(&g, "labels"), *reviews = bodies(&g, "reviews");
	CHECK_EQ(json_array_size(labels), 1);
	CHECK_EQ(json_array_size(reviews), 1);
	json_t *label = json_array_get(labels, 0), *review = json_array_get(reviews, 0);
	CHECK_STR(text_at(label, "key"), text_at(sure, "key"));
	CHECK_STR(text_at(label, "source"), "model");
	CHECK_EQ(json_integer_value(json_object_get(json_object_get(label, "class"), "index")), 0);
	CHECK_STR(text_at(review, "key"), text_at(unsure, "key"));
	CHECK_STR(text_at(review, "bundle"), text_at(a, "bundle"));
	CHECK_EQ(json_array_size(json_object_get(review, "candidates")), TINY_CLASSES);
	rig_close(&g);
}

TEST(frames, a_crop_is_served_with_its_metadata_and_never_changes)
{
	struct rig g;
	struct ask_answer r = {0};
	char text[160], what[160];
	rig_open(&g, NULL, tiny_bundle("tiny"));
	SL_AUTOJSON json_t *a =
		post_frame(&g, "POST /v1/frames?device=car-1&time=1700000000000&lat=37.5&lon=127&sequence=s1", 200);
	const char *key = text_at(sign_with(a, "review"), "key");

	snprintf(what, sizeof what, "GET /v1/crops/%s", key);
	CHECK_EQ(ask(g.port, what, NULL, NULL, &r), 200);
	CHECK_STR(ask_header(&r, "Content-Type", text, sizeof text), "image/jpeg");
	CHECK(strstr(ask_header(&r, "Cache-Control", text, sizeof text), "immutable"));
	CHECK(r.body.len > 100 && r.body.ptr[0] == 0xff && r.body.ptr[1] == 0xd8);
	snprintf(text, sizeof text, "\"%s\"", key);
	char etag[120];
	CHECK_STR(ask_header(&r, "ETag", etag, sizeof etag), text);
	ask_done(&r);
	struct ask_conn c = ask_open(g.port);
	snprintf(text, sizeof text, "If-None-Match: %s\r\n", etag);
	ask_request(&c, what, NULL, (struct sl_slice){0}, text);
	CHECK(ask_read(&c, true, &r));
	CHECK_EQ(r.code, 304);
	ask_done(&r);
	ask_close(&c);
	snprintf(what, sizeof what, "GET /v1/crops/%s?meta=1", key);
	SL_AUTOJSON json_t *meta = ask_json(g.port, what, NULL, 200);
	CHECK_STR(text_at(meta, "device"), "car-1");
	CHECK_STR(text_at(meta, "sequence"), "s1");
	CHECK_EQ(json_integer_value(json_object_get(meta, "time")), 1700000000000);
	CHECK_NEAR(json_number_value(json_object_get(meta, "lat")), 37.5, 1e-9);
	CHECK_EQ(json_array_size(json_object_get(meta, "roi")), 4);
	CHECK_STR(text_at(meta, "frame"), text_at(a, "hash"));
	CHECK_EQ(ask(g.port, "GET /v1/crops/0000-nothing", NULL, NULL, NULL), 400);
	char absent[SL_KEY];
	sl_key_make(absent, "0123456789abcdef0123456789abcdef", 1, 2, 3, 4);
	snprintf(what, sizeof what, "GET /v1/crops/%s", absent);
	CHECK_EQ(ask(g.port, what, NULL, NULL, NULL), 404);
	rig_close(&g);
}

static void as_json(struct rig *g, const char *before, const char *after, struct sl_buf *ret)
{
	sl_buf_printf(ret, "{%s\"image\":\"", before);
	sl_base64_encode(sl_buf_slice(&g->jpeg), ret);
	sl_buf_printf(ret, "\"%s}", after);
}

TEST(frames, json_and_forms_say_the_same_as_the_bare_picture)
{
	struct rig g;
	SL_AUTO(sl_buf_done) struct sl_buf json = {0}, url = {0}, form = {0};
	rig_open(&g, NULL, tiny_bundle("tiny"));
	SL_AUTOJSON json_t *a = post_frame(&g, "POST /v1/frames", 200);
	as_json(&g, "",
		",\"device\":\"d\",\"frame\":\"f-7\",\"time\":\"2026-01-31T12:00:00.25Z\",\"heading\":90.5,\"lat\":null",
		&json);
	SL_AUTOJSON json_t *b = post(&g, "POST /v1/frames", "application/json", sl_buf_slice(&json), 200);
	CHECK(json_equal(json_object_get(a, "signs"), json_object_get(b, "signs")));
	CHECK_STR(text_at(a, "frame"), text_at(a, "hash"));
	CHECK_STR(text_at(b, "frame"), "f-7");
	CHECK_STR(text_at(b, "hash"), text_at(a, "hash"));
	SL_AUTO(sl_buf_done) struct sl_buf odd = {0}; /* another "image" first, and an escape in the right one */
	as_json(&g, "\"x\":{\"image\":\"aGVsbG8=\"},", "", &odd);
	json_decref(post(&g, "POST /v1/frames", "application/json", sl_buf_slice(&odd), 200));
	odd.len = 0;
	as_json(&g, "\"x\" : \"\\\"image\\\":\", ", "", &odd);
	json_decref(post(&g, "POST /v1/frames", "application/json", sl_buf_slice(&odd), 200));
	odd.len = 0;
	as_json(&g, "", "", &odd);
	uint8_t *slash = memchr(odd.ptr + 10, '/', odd.len - 10);
	SL_AUTO(sl_buf_done) struct sl_buf escaped = {0};
	sl_buf_add(&escaped, odd.ptr, (size_t)(slash - odd.ptr));
	sl_buf_puts(&escaped, "\\");
	sl_buf_add(&escaped, slash, odd.len - (size_t)(slash - odd.ptr));
	SL_AUTOJSON json_t *e = post(&g, "POST /v1/frames", "application/json", sl_buf_slice(&escaped), 200);
	CHECK_STR(text_at(e, "hash"), text_at(a, "hash"));
	sl_buf_puts(&form, "--x\r\nContent-Disposition: form-data; name=\"device\"\r\n\r\ncar-9\r\n"
			   "--x\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n\r\n");
	sl_buf_add(&form, g.jpeg.ptr, g.jpeg.len);
	sl_buf_puts(&form, "\r\n--x--\r\n");
	SL_AUTOJSON json_t *c =
		post(&g, "POST /v1/frames", "multipart/form-data; boundary=x", sl_buf_slice(&form), 200);
	CHECK(json_equal(json_object_get(a, "signs"), json_object_get(c, "signs")));
	json_decref(post(&g, "POST /v1/frames", "application/x-www-form-urlencoded", sl_buf_slice(&g.jpeg), 200));
	json_decref(post(&g, "POST /v1/frames", NULL, (struct sl_slice){0}, 422));
	CHECK_EQ(crops(&g), 2);
	rig_close(&g);
}

TEST(frames, the_same_frame_again_stores_and_sends_nothing_more)
{
	struct rig g;
	rig_open(&g, NULL, tiny_bundle("tiny"));
	SL_AUTOJSON json_t *a = post_frame(&g, "POST /v1/frames?device=one", 200);
	SL_AUTOJSON json_t *b = post_frame(&g, "POST /v1/frames?device=two", 200);

	CHECK(json_equal(json_object_get(a, "signs"), json_object_get(b, "signs")));
	CHECK_EQ(crops(&g), 2);
	CHECK_EQ(messages(&g, "labels") + messages(&g, "reviews"), 2);
	rig_close(&g);
}

/* Another process, or this one after a restart, cannot know that the messages are out. */
TEST(frames, a_message_that_may_be_missing_is_sent_again_and_says_the_same)
{
	struct rig g;
	json_t *easy = tiny_info("easy");
	rig_open(&g, (const char *const[]){"frames.recent=0", NULL}, tiny_bundle("tiny"));
	json_decref(post_frame(&g, "POST /v1/frames?device=one", 200));
	json_object_set_new(easy, "thresholds", json_pack("{s:f}", "default", 0.0)); /* would accept everything */
	sl_hub_swap_bundle(g.ctx.hub, tiny_bundle_of(easy));
	SL_AUTOJSON json_t *b = post_frame(&g, "POST /v1/frames?device=two", 200);
	size_t i;
	json_t *s;

	json_array_foreach(json_object_get(b, "signs"), i, s) CHECK_STR(text_at(s, "status"), "accepted");
	CHECK_EQ(crops(&g), 2);
	SL_AUTOJSON json_t *labels = bodies(&g, "labels"), *reviews = bodies(&g, "reviews");
	CHECK_EQ(json_array_size(labels), 2);
	CHECK_EQ(json_array_size(reviews), 2);
	CHECK(json_equal(json_array_get(labels, 0), json_array_get(labels, 1)));
	CHECK(json_equal(json_array_get(reviews, 0), json_array_get(reviews, 1)));
	rig_close(&g);
}

TEST(frames, bad_input_is_refused_by_its_right_name_and_stores_nothing)
{
	static const struct {
		const char *what, *type, *body;
		int code;
	} bad[] = {
		{"POST /v1/frames", "application/json", "{\"image\":", 400},
		{"POST /v1/frames", "application/json", "[]", 400},
		{"POST /v1/frames", "application/json", "{}", 400},
		{"POST /v1/frames", "application/json", "{\"image\":7}", 400},
		{"POST /v1/frames", "application/json", "{\"x\":{\"image\":\"/9j/\"}}", 400},
		{"POST /v1/frames", "application/json", "{\"image\":\"/9j/", 400},
		{"POST /v1/frames", "application/json", "{\"image\":\"/9j/\",\"image\":\"/9j/\"}", 400},
		{"POST /v1/frames", "application/json", "{\"image\":\"***\"}", 400},
		{"POST /v1/frames", "application/json", "{\"image\":\"\"}", 422},
		{"POST /v1/frames", "application/json", "{\"image\":\"aGVsbG8gd29ybGQ=\"}", 422},
		{"POST /v1/frames", "application/json", "{\"image\":\"R0lGODlhAQABAAAAADs=\"}", 415},
		{"POST /v1/frames", "application/json", "{\"image\":\"/9j/4AAQ\"}", 422},
		{"POST /v1/frames", "text/plain", "hello", 415},
		{"POST /v1/frames", "image/gif", "GIF89a", 415},
		{"POST /v1/frames", "image/jpeg", "hello", 422},
		{"POST /v1/frames", "image/jpeg", "", 422},
		{"POST /v1/frames", "image/jpeg", "\xff\xd8\xff\xe0", 422},
		{"POST /v1/frames", "image/png", "\x89PNG\r\n\x1a\n", 422},
		{"POST /v1/frames", "multipart/form-data; boundary=x", "--x--\r\n", 400},
		{"POST /v1/frames", "multipart/form-data", "--x", 400},
		{"POST /v1/frames?lat=91&lon=0", "image/jpeg", "", 400},
		{"POST /v1/frames?lat=9", "image/jpeg", "\xff\xd8\xff\xe0", 400},
		{"POST /v1/frames?lat=nan&lon=0", "image/jpeg", "", 400},
		{"POST /v1/frames?time=yesterday", "image/jpeg", "", 400},
		{"POST /v1/frames?time=-5", "image/jpeg", "", 400},
		{"POST /v1/frames?heading=400", "image/jpeg", "", 400},
		{"POST /v1/frames?device=a%20b", "image/jpeg", "", 400},
		{"POST /v1/frames", "application/json", "{\"image\":\"/9j/\",\"device\":{}}", 400},
	};
	struct rig g;
	rig_open(&g, NULL, tiny_bundle("tiny"));

	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		SL_AUTOJSON json_t *v = post(&g, bad[i].what, bad[i].type, sl_slice_str(bad[i].body), bad[i].code);
		json_t *e = json_object_get(v, "error");
		CHECK(*text_at(e, "code") && *text_at(e, "message"));
	}
	json_decref(post(&g, "POST /v1/frames", "image/jpeg", sl_slice(g.jpeg.ptr, g.jpeg.len / 2), 422));
	CHECK_EQ(crops(&g), 0);
	CHECK_EQ(messages(&g, "labels") + messages(&g, "reviews"), 0);
	json_decref(post_frame(&g, "POST /v1/frames", 200)); /* and it goes on */
	rig_close(&g);
}

TEST(frames, too_many_bytes_or_pixels_are_413)
{
	static const uint8_t bomb[] =
		"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0\xe0\x1f\x8d\x6a";
	struct rig g;
	SL_AUTOFREE uint8_t *large = sl_zalloc(40000);
	rig_open(&g, (const char *const[]){"http.frame_bytes=30000", "frames.pixels=60000", NULL}, tiny_bundle("tiny"));

	json_decref(post_frame(&g, "POST /v1/frames", 413)); /* 300 x 203 = 60900 */
	json_decref(post(&g, "POST /v1/frames", "image/png", sl_slice(bomb, sizeof bomb - 1), 413));
	json_decref(post(&g, "POST /v1/frames", "image/jpeg", sl_slice(large, 40000), 413));
	CHECK_EQ(crops(&g), 0);
	rig_close(&g);
}

TEST(frames, damaged_pictures_never_crash)
{
	struct rig g;
	struct sl_rng r = sl_rng(11, 3);
	rig_open(&g, NULL, tiny_bundle("tiny"));

	for (int i = 0; i < 150; i++) {
		SL_AUTOFREE uint8_t *bad = sl_memdup(g.jpeg.ptr, g.jpeg.len);
		struct ask_conn c = ask_open(g.port);
		struct ask_answer a = {0};
		for (int k = 0; k < 6; k++)
			bad[2 + sl_rng_below(&r, (uint32_t)g.jpeg.len - 2)] = (uint8_t)sl_rng_u32(&r);
		ask_request(&c, "POST /v1/frames", "image/jpeg", sl_slice(bad, g.jpeg.len), NULL);
		CHECK(ask_read(&c, false, &a));
		CHECK(a.code == 200 || a.code == 413 || a.code == 415 || a.code == 422);
		ask_done(&a);
		ask_close(&c);
	}
	rig_close(&g);
}

TEST(frames, without_a_bundle_it_is_not_ready_and_says_503)
{
	struct rig g;
	char why[128] = "", text[40];
	struct ask_answer a = {0};
	rig_open(&g, NULL, NULL);

	CHECK(!sl_role_frames.is_ready(g.f, why));
	CHECK(strstr(why, "bundle"));
	CHECK_EQ(ask(g.port, "POST /v1/frames", "image/jpeg", "x", &a), 503);
	CHECK(ask_header(&a, "Retry-After", text, sizeof text));
	ask_done(&a);
	CHECK_EQ(ask(g.port, "GET /v2/models/detector", NULL, NULL, NULL), 503);
	sl_hub_swap_bundle(g.ctx.hub, tiny_bundle("tiny"));
	CHECK(sl_role_frames.is_ready(g.f, why));
	json_decref(post_frame(&g, "POST /v1/frames", 200));
	rig_close(&g);
}

TEST(frames, a_full_queue_says_503_and_when_to_come_again)
{
	struct rig g;
	struct ask_answer a = {0};
	char text[40];
	rig_open(&g, (const char *const[]){"frames.queue=1", NULL}, tiny_bundle("tiny"));
	struct ask_conn one = ask_open(g.port), two = ask_open(g.port);

	ask_request(&one, "POST /test/hold", "text/plain", sl_slice_str("x"), NULL);
	wait_for(&g, &g.holding, 1); /* on the inference thread */
	ask_request(&two, "POST /test/hold", "text/plain", sl_slice_str("x"), NULL);
	wait_for(&g, &g.accepted, 2); /* in the queue, which is full now */
	CHECK_EQ(ask(g.port, "POST /v1/frames", "image/jpeg", "x", &a), 503);
	CHECK_STR(ask_header(&a, "Retry-After", text, sizeof text), "1");
	ask_done(&a);
	open_gate(&g);
	CHECK(ask_read(&one, false, &a) && a.code == 200);
	ask_done(&a);
	CHECK(ask_read(&two, false, &a) && a.code == 200);
	ask_done(&a);
	ask_close(&one);
	ask_close(&two);
	json_decref(post_frame(&g, "POST /v1/frames", 200));
	rig_close(&g);
}

TEST(frames, a_frame_whose_deadline_passed_in_the_queue_gets_504_and_no_work)
{
	struct rig g;
	struct ask_answer a = {0};
	rig_open(&g, NULL, tiny_bundle("tiny"));
	g.frame_ms = 1;
	struct ask_conn one = ask_open(g.port), two = ask_open(g.port);

	ask_request(&one, "POST /test/hold", "text/plain", sl_slice_str("x"), NULL);
	wait_for(&g, &g.holding, 1);
	ask_request(&two, "POST /test/frame", "image/jpeg", sl_buf_slice(&g.jpeg), NULL);
	wait_for(&g, &g.accepted, 2);
	pthread_mutex_lock(&g.lock);
	int64_t later = sl_deadline_ms(3); /* its one millisecond passes, whatever else happens */
	while (sl_cond_wait_until(&g.moved, &g.lock, later))
		;
	pthread_mutex_unlock(&g.lock);
	open_gate(&g);
	CHECK(ask_read(&two, false, &a));
	CHECK_EQ(a.code, 504);
	ask_done(&a);
	CHECK(ask_read(&one, false, &a));
	ask_done(&a);
	ask_close(&one);
	ask_close(&two);
	CHECK_EQ(crops(&g), 0);
	rig_close(&g);
}

TEST(frames, draining_ends_what_was_accepted_and_refuses_the_rest)
{
	struct rig g;
	struct ask_answer a = {0};
	rig_open(&g, NULL, tiny_bundle("tiny"));
	struct ask_conn one = ask_open(g.port), two = ask_open(g.port);

	ask_request(&one, "POST /test/hold", "text/plain", sl_slice_str("x"), NULL);
	wait_for(&g, &g.holding, 1);
	ask_request(&two, "POST /test/frame", "image/jpeg", sl_buf_slice(&g.jpeg), NULL);
	wait_for(&g, &g.accepted, 2);
	CHECK_STATUS(sl_role_frames.drain(g.f, sl_mono_us()), SL_TIMEOUT); /* begun, and not over */
	json_decref(post_frame(&g, "POST /v1/frames", 503));
	open_gate(&g);
	CHECK(ask_read(&two, false, &a));
	CHECK_EQ(a.code, 200);
	ask_done(&a);
	CHECK(ask_read(&one, false, &a));
	ask_done(&a);
	ask_close(&one);
	ask_close(&two);
	CHECK_EQ(crops(&g), 2);
	rig_close(&g);
}

/* The log loses its answer: the frame gets none either, and sent again it is whole. */
TEST(frames, a_store_that_fails_gives_an_error_and_the_retry_heals)
{
	struct rig g;
	rig_open(&g, (const char *const[]){"store.log=fault+mem:?every=2&when=before&status=AWAY&calls=append", NULL},
		tiny_bundle("tiny"));
	int ok = 0, away = 0;

	for (int i = 0; i < 6; i++) {
		SL_AUTO(sl_buf_done) struct sl_buf body = {0};
		struct ask_answer a = {0};
		struct ask_conn c = ask_open(g.port);
		sl_buf_add(&body, g.jpeg.ptr, g.jpeg.len);
		sl_buf_printf(&body, "%d", i / 2); /* three frames, each twice */
		ask_request(&c, "POST /v1/frames", "image/jpeg", sl_buf_slice(&body), NULL);
		CHECK(ask_read(&c, false, &a));
		ok += a.code == 200;
		away += a.code == 503;
		ask_done(&a);
		ask_close(&c);
	}
	CHECK_EQ(ok, 4);
	CHECK_EQ(away, 2);
	CHECK_EQ(crops(&g), 6);
	CHECK_EQ(messages(&g, "labels"), 3);
	CHECK_EQ(messages(&g, "reviews"), 3);
	rig_close(&g);
}

static double count(const char *name, const char *labels)
{
	return sl_metric_value(sl_counter(name, labels, ""));
}

TEST(frames, the_watch_page_sees_the_frame_and_the_metrics_count_it)
{
	struct rig g;
	struct ask_answer a = {0};
	char what[120];
	rig_open(&g, NULL, tiny_bundle("tiny"));
	SL_AUTOJSON json_t *v = post_frame(&g, "POST /v1/frames?device=car-1", 200);

	snprintf(what, sizeof what, "GET /v1/frames/%s/image", text_at(v, "hash"));
	CHECK_EQ(ask(g.port, what, NULL, NULL, &a), 200);
	CHECK_EQ(a.body.len, g.jpeg.len);
	ask_done(&a);
	struct ask_conn c = ask_open(g.port);
	ask_request(&c, "GET /v1/events", NULL, (struct sl_slice){0}, NULL);
	CHECK(ask_wait_text(&c, "event: frame"));
	CHECK(ask_wait_text(&c, "\"device\":\"car-1\""));
	ask_close(&c);
	sl_hub_close(g.ctx.hub);
	json_decref(post(&g, "POST /v1/frames", "image/jpeg", sl_slice_str("no picture"), 422));
	CHECK_EQ(count("signloop_frames_total", "result=\"answered\""), 1);
	CHECK_EQ(count("signloop_frames_total", "result=\"bad\""), 1);
	CHECK_EQ(count("signloop_signs_total", "status=\"accepted\""), 1);
	CHECK_EQ(count("signloop_signs_total", "status=\"review\""), 1);
	CHECK_EQ(sl_metric_value(sl_gauge("signloop_queue_length", "queue=\"frames\"", "")), 0);
	for (int i = 0; i < SL_FRAME_STAGES; i++)
		CHECK_EQ(sl_metric_value(g.f->stage[i]), 1);
	rig_close(&g);
}

TEST(legacy, labeling_answers_as_the_original_did)
{
	struct rig g;
	SL_AUTO(sl_buf_done) struct sl_buf json = {0};
	rig_open(&g, NULL, tiny_bundle("tiny"));
	as_json(&g, "", "", &json);
	SL_AUTOJSON json_t *test = post(&g, "POST /api/labeling-test", "application/json", sl_buf_slice(&json), 200);
	CHECK_STR(text_at(test, "result"), "GOOD");
	json_t *image = json_array_get(json_object_get(test, "labeledImages"), 0);
	json_t *label = json_array_get(json_object_get(image, "labels"), 0);
	CHECK(sl_key_is_valid(text_at(image, "image_rowkey")));
	CHECK(*text_at(label, "label") && json_number_value(json_object_get(label, "accuracy")) > 0.5);
	CHECK_EQ(crops(&g), 0);
	CHECK_EQ(messages(&g, "labels") + messages(&g, "reviews"), 0);
	SL_AUTOJSON json_t *a = post(&g, "GET /api/labeling", "application/json", sl_buf_slice(&json), 200);
	CHECK_EQ(json_array_size(json_object_get(a, "labeledImages")), 2);
	CHECK_STR(text_at(json_array_get(json_object_get(a, "labeledImages"), 0), "label"), text_at(label, "label"));
	CHECK_EQ(crops(&g), 2);
	json_decref(post(&g, "POST /api/labeling", "application/json", sl_slice_str("{"), 400));
	json_decref(post(&g, "GET /api/modelupdate", NULL, (struct sl_slice){0}, 404)); /* nothing was ever published */
	rig_close(&g);
}

TEST(legacy, modelupdate_makes_every_process_look_at_the_alias)
{
	struct rig g;
	SL_AUTO(sl_buf_done) struct sl_buf entry = {0};
	struct sl_alias_entry e = {0};
	char path[SL_ALIAS_PATH], digest[SL_DIGEST];
	struct sl_err err;
	rig_open(&g, NULL, tiny_bundle("tiny"));

	sl_sha256_hex("b", 1, digest);
	CHECK_OK(sl_alias_next(NULL, 0, "live", digest, &e, &err));
	sl_alias_path(path, "live", 1);
	SL_AUTOJSON json_t *v = sl_alias_json(&e);
	CHECK_OK(sl_json_print(v, &entry));
	CHECK_OK(sl_artifacts_put(g.ctx.stores.artifacts, path, sl_buf_slice(&entry), &err));
	SL_AUTOJSON json_t *a = ask_json(g.port, "GET /api/modelupdate", NULL, 200);
	CHECK_STR(text_at(a, "result"), "GOOD");
	CHECK_STR(text_at(a, "bundle"), digest);
	CHECK_EQ(messages(&g, "models"), 1);
	rig_close(&g);
}

TEST(v2, models_say_what_they_take_and_give)
{
	struct rig g;
	rig_open(&g, NULL, tiny_bundle("tiny"));
	SL_AUTOJSON json_t *server = ask_json(g.port, "GET /v2", NULL, 200);
	CHECK_STR(text_at(server, "name"), "signloop");
	SL_AUTOJSON json_t *d = ask_json(g.port, "GET /v2/models/detector", NULL, 200);
	json_t *in = json_array_get(json_object_get(d, "inputs"), 0),
	       *out = json_array_get(json_object_get(d, "outputs"), 0);
	SL_AUTOJSON json_t *in_shape = json_pack("[i,i,i,i]", 1, 3, -1, -1),
			   *out_shape = json_pack("[i,i,i,i]", 1, 5, -1, -1);
	CHECK_STR(text_at(in, "datatype"), "FP32");
	CHECK(json_equal(json_object_get(in, "shape"), in_shape));
	CHECK(json_equal(json_object_get(out, "shape"), out_shape));
	json_decref(ask_json(g.port, "GET /v2/models/classifier/ready", NULL, 200));
	json_decref(ask_json(g.port, "GET /v2/models/other", NULL, 404));
	json_decref(ask_json(g.port, "POST /v2/models/other/infer", "{}", 404));
	rig_close(&g);
}

static json_t *tensor(int n, int sides)
{
	json_t *data = json_array(), *shape = json_array();

	for (int i = 0; i < n * 3 * 16 * 16; i++)
		json_array_append_new(data, json_real(i / 256 % 3 == 1 ? 0.5 : 0));
	for (int i = 0; i < sides; i++)
		json_array_append_new(shape, json_integer(i == 0 ? n : i == 1 ? 3 : 16));
	return json_pack("{s:s,s:[{s:s,s:s,s:o,s:o}]}", "id", "q1", "inputs", "name", "image", "datatype", "FP32",
		"shape", shape, "data", data);
}

static json_t *infer(struct rig *g, json_t *ask, int code)
{
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};

	sl_json_print(ask, &b);
	json_decref(ask);
	return post(g, "POST /v2/models/classifier/infer", "application/json", sl_buf_slice(&b), code);
}

TEST(v2, tensors_go_in_and_come_out)
{
	struct rig g;
	rig_open(&g, NULL, tiny_bundle("tiny"));
	SL_AUTOJSON json_t *a = infer(&g, tensor(2, 4), 200);
	json_t *out = json_array_get(json_object_get(a, "outputs"), 0), *data = json_object_get(out, "data");
	CHECK_STR(text_at(a, "id"), "q1");
	CHECK_STR(text_at(a, "model_name"), "classifier");
	CHECK_EQ(json_array_size(data), 4);
	for (int i = 0; i < 4; i++) /* -6 and 6 times the mean of green */
		CHECK_NEAR(json_number_value(json_array_get(data, i)), i % 2 ? 3 : -3, 1e-4);
	json_decref(infer(&g, tensor(2, 3), 400));
	json_t *wrong = tensor(1, 4);
	json_array_clear(json_object_get(json_array_get(json_object_get(wrong, "inputs"), 0), "data"));
	json_decref(infer(&g, wrong, 400));
	wrong = tensor(1, 4);
	json_object_set_new(json_array_get(json_object_get(wrong, "inputs"), 0), "datatype", json_string("INT8"));
	json_decref(infer(&g, wrong, 400));
	wrong = tensor(1, 4);
	json_object_set_new(json_array_get(json_object_get(wrong, "inputs"), 0), "shape",
		json_pack("[I,i,i,i]", (json_int_t)1 << 40, 3, 16, 16));
	json_decref(infer(&g, wrong, 413));
	json_decref(infer(&g, json_object(), 400));
	rig_close(&g);
}

TEST(v2, numbers_may_travel_as_bytes)
{
	struct rig g;
	SL_AUTO(sl_buf_done) struct sl_buf body = {0};
	struct ask_answer a = {0};
	char more[80], text[40];
	float *x = sl_calloc(3 * 256, sizeof *x), y[2];
	rig_open(&g, NULL, tiny_bundle("tiny"));
	for (int i = 256; i < 512; i++)
		x[i] = 0.25f;
	sl_buf_puts(&body,
		"{\"inputs\":[{\"name\":\"image\",\"datatype\":\"FP32\",\"shape\":[1,3,16,16],\"parameters\":"
		"{\"binary_data_size\":3072}}],\"parameters\":{\"binary_data_output\":true}}");
	snprintf(more, sizeof more, "Inference-Header-Content-Length: %zu\r\n", body.len);
	sl_buf_add(&body, x, 3072);
	struct ask_conn c = ask_open(g.port);
	ask_request(&c, "POST /v2/models/classifier/infer", "application/octet-stream", sl_buf_slice(&body), more);
	CHECK(ask_read(&c, false, &a));
	CHECK_EQ(a.code, 200);
	size_t head = strtoul(ask_header(&a, "Inference-Header-Content-Length", text, sizeof text), NULL, 10);
	CHECK_EQ(a.body.len, head + sizeof y);
	memcpy(y, a.body.ptr + head, sizeof y);
	CHECK_NEAR(y[0], -1.5, 1e-4);
	CHECK_NEAR(y[1], 1.5, 1e-4);
	ask_done(&a);
	ask_request(&c, "POST /v2/models/classifier/infer", "application/octet-stream",
		sl_slice(body.ptr, body.len - 1), more);
	CHECK(ask_read(&c, false, &a));
	CHECK_EQ(a.code, 400);
	ask_done(&a);
	ask_close(&c);
	free(x);
	rig_close(&g);
}
