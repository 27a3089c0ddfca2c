/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include "frames_rig.h"
#include <stdio.h>

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
