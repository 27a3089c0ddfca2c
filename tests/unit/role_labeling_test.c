/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/thread.h"
#include "dataset/registry.h"
#include "harness.h"
#include "role_rig.h"
#include "tiny_bundle.h"
#include <sched.h>
#include <stdio.h>

static const struct sl_role *const labeling_only[] = {&sl_role_labeling, NULL};

static void start(struct role_rig *g, const char *const *words)
{
	role_rig_open(g, words);
	sl_hub_swap_bundle(g->ctx.hub, tiny_bundle("tiny"));
	role_rig_start(g, labeling_only);
}

static json_t *vote(struct role_rig *g, int n, const char *voter, const char *id, const char *choice, int code)
{
	char key[SL_KEY];
	rig_key(key, n);
	SL_AUTOFREE char *what = sl_asprintf("POST /v1/reviews/%s/votes", key);
	SL_AUTOFREE char *body = sl_asprintf("{\"voter\":\"%s\",\"vote_id\":\"%s\",\"choice\":%s}", voter, id, choice);
	return ask_json(g->port, what, body, code);
}

static const char *text(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));
	if (!s)
		sl_test_fail(__FILE__, __LINE__, "no text called %s", name);
	return s;
}

static int64_t number(json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);
	if (!json_is_integer(v))
		sl_test_fail(__FILE__, __LINE__, "no whole number called %s", name);
	return json_integer_value(v);
}

static void put_crop(struct role_rig *g, int n)
{
	char key[SL_KEY];
	struct sl_err err;
	rig_key(key, n);
	CHECK_OK(sl_crops_put(g->ctx.stores.crops, key, sl_slice_str("a jpeg"), sl_slice_str("{}"), &err));
}

TEST(labeling, lease_vote_verdict_label)
{
	struct role_rig g;
	struct sl_consumer *c = NULL;
	char key[SL_KEY];
	start(&g, (const char *const[]){"reviews.cap=3", NULL});
	json_t *v = ask_json(g.port, "GET /v1/reviews/next?voter=ann", NULL, 200);
	CHECK_EQ(json_array_size(json_object_get(v, "reviews")), 0);
	json_decref(v);
	rig_add_reviews(&g, 0, 3);
	v = ask_json(g.port, "GET /v1/reviews/next?voter=ann&n=2", NULL, 200);
	CHECK_EQ(json_array_size(json_object_get(v, "reviews")), 2);
	json_t *r = json_array_get(json_object_get(v, "reviews"), 0);
	rig_key(key, 0);
	CHECK_STR(text(r, "key"), key);
	struct ask_answer a = {0};
	put_crop(&g, 0);
	SL_AUTOFREE char *crop = sl_asprintf("GET %s", text(r, "crop"));
	CHECK_EQ(ask(g.port, crop, NULL, NULL, &a), 200);
	CHECK_STR((char *)a.body.ptr, "a jpeg");
	ask_done(&a);
	CHECK(number(r, "lease_until") > sl_now_ms());
	json_t *cls = json_object_get(json_array_get(json_object_get(r, "candidates"), 0), "class");
	CHECK_EQ(number(cls, "index"), 1);
	CHECK_STR(text(cls, "code"), "O");
	CHECK_STR(text(cls, "name"), "Orange");
	json_decref(v);

	v = vote(&g, 0, "ann", "a1", "0", 200);
	CHECK_STR(text(v, "state"), "open");
	CHECK_EQ(number(v, "votes"), 1);
	json_decref(v);
	v = vote(&g, 0, "ann", "a1", "0", 200); /* the same again */
	CHECK_EQ(number(v, "votes"), 1);
	json_decref(v);
	json_decref(vote(&g, 0, "ann", "a2", "0", 409));
	json_decref(vote(&g, 0, "ann", "a1", "1", 409));
	v = vote(&g, 0, "bob", "b1", "\"0\"", 200);
	CHECK_STR(text(v, "state"), "decided");
	CHECK_STR(text(v, "choice"), "0");
	CHECK_STR(text(json_object_get(v, "class"), "code"), "R");
	json_decref(v);
	json_decref(vote(&g, 0, "eve", "e1", "1", 409));

	json_t *label = rig_next_label(&g, &c);
	CHECK_STR(text(label, "key"), key);
	CHECK_STR(text(label, "source"), "votes");
	CHECK_EQ(number(json_object_get(label, "class"), "index"), 0);
	CHECK_STR(text(json_object_get(label, "class"), "code"), "R");
	CHECK_EQ(number(label, "votes"), 2);
	CHECK_NEAR(json_number_value(json_object_get(label, "confidence")), 1, 1e-9);
	json_decref(label);

	SL_AUTOFREE char *what = sl_asprintf("GET /v1/reviews/%s", key);
	v = ask_json(g.port, what, NULL, 200);
	CHECK_STR(text(v, "state"), "decided");
	CHECK_EQ(json_array_size(json_object_get(v, "votes")), 2);
	CHECK_STR(text(json_array_get(json_object_get(v, "votes"), 1), "voter"), "bob");
	CHECK_STR(text(json_object_get(v, "verdict"), "source"), "votes");
	json_decref(v);
	v = ask_json(g.port, "GET /v1/voters/ann", NULL, 200);
	CHECK_EQ(number(v, "votes"), 1);
	CHECK_EQ(number(v, "decided"), 1);
	CHECK_EQ(number(v, "agreed"), 1);
	json_decref(v);
	v = ask_json(g.port, "GET /v1/reviews/stats", NULL, 200);
	CHECK_EQ(number(v, "open"), 2);
	CHECK_EQ(number(v, "decided"), 1);
	CHECK_EQ(number(v, "votes"), 2);
	json_decref(v);
	sl_consumer_close(c);
	role_rig_close(&g);
}

TEST(labeling, choices_that_are_no_class_and_experts)
{
	struct role_rig g;
	struct sl_consumer *c = NULL;
	start(&g, (const char *const[]){"reviews.cap=2", NULL});
	rig_add_reviews(&g, 0, 2);
	json_decref(vote(&g, 0, "ann", "1", "\"not_a_sign\"", 200));
	json_decref(vote(&g, 0, "bob", "1", "\"not_a_sign\"", 200));
	json_t *label = rig_next_label(&g, &c);
	CHECK(json_is_null(json_object_get(label, "class")));
	CHECK_STR(text(label, "choice"), "not_a_sign");
	json_decref(label);
	json_decref(vote(&g, 1, "ann", "1", "0", 200));
	json_t *v = vote(&g, 1, "bob", "1", "1", 200);
	CHECK_STR(text(v, "state"), "tie");
	json_decref(v);
	v = ask_json(g.port, "GET /v1/reviews?state=tie", NULL, 200);
	CHECK_EQ(json_array_size(json_object_get(v, "reviews")), 1);
	CHECK_EQ(json_array_size(json_object_get(json_array_get(json_object_get(v, "reviews"), 0), "votes")), 2);
	CHECK(json_is_null(json_object_get(v, "next")));
	json_decref(v);
	v = vote(&g, 1, "eva", "1", "1,\"expert\":true", 200);
	CHECK_STR(text(v, "state"), "decided");
	CHECK_STR(text(v, "source"), "expert");
	json_decref(v);
	label = rig_next_label(&g, &c);
	CHECK_STR(text(label, "source"), "expert");
	CHECK_EQ(number(json_object_get(label, "class"), "index"), 1);
	json_decref(label);
	v = ask_json(g.port, "GET /v1/reviews?state=decided&n=1", NULL, 200);
	SL_AUTOFREE char *what = sl_asprintf("GET /v1/reviews?state=decided&n=1&after=%s", text(v, "next"));
	json_decref(v);
	v = ask_json(g.port, what, NULL, 200);
	CHECK_EQ(json_array_size(json_object_get(v, "reviews")), 1);
	json_decref(v);
	sl_consumer_close(c);
	role_rig_close(&g);
}

TEST(labeling, undo_takes_a_vote_back)
{
	struct role_rig g;
	char key[SL_KEY];
	start(&g, (const char *const[]){"reviews.cap=3", NULL});
	rig_add_reviews(&g, 0, 1);
	rig_key(key, 0);
	SL_AUTOFREE char *what = sl_asprintf("DELETE /v1/reviews/%s/votes?voter=ann", key);
	json_decref(ask_json(g.port, what, NULL, 409));
	json_decref(vote(&g, 0, "ann", "1", "0", 200));
	json_t *v = ask_json(g.port, what, NULL, 200);
	CHECK_EQ(number(v, "votes"), 0);
	json_decref(v);
	json_decref(vote(&g, 0, "ann", "2", "1", 200));
	json_decref(vote(&g, 0, "bob", "1", "1", 200));
	json_decref(ask_json(g.port, what, NULL, 409)); /* decided */
	role_rig_close(&g);
}

TEST(labeling, bad_input_says_what_is_wrong)
{
	struct role_rig g;
	char key[SL_KEY];
	start(&g, NULL);
	rig_add_reviews(&g, 0, 1);
	rig_key(key, 0);
	SL_AUTOFREE char *what = sl_asprintf("POST /v1/reviews/%s/votes", key);
	static const char *const bad[] = {"", "{", "{}", "[]", "{\"voter\":\"a\"}",
		"{\"voter\":\"a\",\"vote_id\":\"1\"}", "{\"voter\":\"a\",\"vote_id\":\"1\",\"choice\":2}",
		"{\"voter\":\"a\",\"vote_id\":\"1\",\"choice\":-1}",
		"{\"voter\":\"a\",\"vote_id\":\"1\",\"choice\":\"\"}",
		"{\"voter\":\"a b\",\"vote_id\":\"1\",\"choice\":0}", "{\"voter\":\"\",\"vote_id\":\"1\",\"choice\":0}",
		"{\"voter\":\"a\",\"vote_id\":1,\"choice\":0}",
		"{\"voter\":\"a\",\"vote_id\":\"1\",\"choice\":0,\"expert\":1}",
		"{\"voter\":\"a\",\"vote_id\":\"1\",\"choice\":0.5}",
		"{\"voter\":\"a\",\"vote_id\":\"1\",\"choice\":99999999999999}"};
	for (size_t i = 0; i < SL_COUNT(bad); i++)
		json_decref(ask_json(g.port, what, bad[i], 400));
	static const char *const get[] = {"GET /v1/reviews/next", "GET /v1/reviews/next?voter=a%20b",
		"GET /v1/reviews/next?voter=a&n=0", "GET /v1/reviews/next?voter=a&n=51",
		"GET /v1/reviews/next?voter=a&n=x", "GET /v1/reviews/nokey", "GET /v1/reviews?state=odd",
		"GET /v1/reviews?n=1000", "GET /v1/voters/a%2Fb", "GET /v1/labels?after=x", "GET /v1/labels?n=0",
		"GET /v1/labels?after=1.2", "GET /v1/labels?after=-2"};
	for (size_t i = 0; i < SL_COUNT(get); i++)
		json_decref(ask_json(g.port, get[i], NULL, 400));
	json_decref(vote(&g, 99, "a", "1", "0", 404));
	rig_key(key, 99);
	SL_AUTOFREE char *none = sl_asprintf("GET /v1/reviews/%s", key);
	json_decref(ask_json(g.port, none, NULL, 404));
	json_t *v = ask_json(g.port, "GET /v1/reviews/stats", NULL, 200);
	CHECK_EQ(number(v, "votes"), 0);
	json_decref(v);
	role_rig_close(&g);
}

static void page_through(const char *log)
{
	struct role_rig g;
	struct sl_consumer *c = NULL;
	int seen = 0;
	start(&g, (const char *const[]){"reviews.cap=1", log, NULL});
	rig_add_reviews(&g, 0, 25);
	for (int i = 0; i < 25; i++)
		json_decref(vote(&g, i, "ann", "1", "0", 200));
	for (int i = 0; i < 25; i++)
		json_decref(rig_next_label(&g, &c));
	SL_AUTOFREE char *what = sl_strdup("GET /v1/labels?after=-1&n=4");
	for (size_t n = 1; n;) {
		json_t *v = ask_json(g.port, what, NULL, 200), *next = json_object_get(v, "next");
		n = json_array_size(json_object_get(v, "labels"));
		seen += (int)n;
		free(what);
		what = json_is_integer(next)
			       ? sl_asprintf("GET /v1/labels?n=4&after=%lld", (long long)json_integer_value(next))
			       : sl_asprintf("GET /v1/labels?n=4&after=%s", json_string_value(next));
		json_decref(v);
	}
	CHECK_EQ(seen, 25);
	sl_consumer_close(c);
	role_rig_close(&g);
}

TEST(labeling, labels_are_paged_in_order)
{
	page_through("store.log=mem:");
	page_through("store.log=mem:?partitions=3");
}

TEST(labeling, outbox_of_a_crash_is_published)
{
	struct role_rig g;
	struct sl_consumer *c = NULL;
	struct sl_verdict verdict;
	struct sl_err err;
	char key[SL_KEY];
	role_rig_open(&g,
		(const char *const[]){"reviews.cap=1", "store.log=fault+mem:?every=2&calls=append&status=AWAY", NULL});
	sl_hub_swap_bundle(g.ctx.hub, tiny_bundle("tiny"));
	rig_add_reviews(&g, 0, 3);
	for (int i = 0; i < 3; i++) {
		struct sl_vote v = {.voter = "ann", .id = "1", .choice = 1};
		rig_key(key, i);
		CHECK_OK(sl_reviews_vote(g.ctx.stores.reviews, key, &v, &verdict, &err));
	}
	role_rig_start(&g, labeling_only);
	for (int i = 0; i < 3; i++)
		json_decref(rig_next_label(&g, &c));
	rig_add_reviews(&g, 3, 1);
	json_decref(vote(&g, 3, "ann", "1", "0", 200));
	json_decref(rig_next_label(&g, &c));
	role_rig_stop(&g);
	struct sl_review_stats s;
	CHECK_OK(sl_reviews_stats(g.ctx.stores.reviews, &s, &err));
	CHECK_EQ(s.unsent, 0);
	sl_consumer_close(c);
	role_rig_close(&g);
}

TEST(labeling, classes_come_from_the_alias_where_there_is_no_bundle)
{
	struct role_rig g;
	struct sl_buf file = {0};
	struct sl_alias_entry e = {0};
	struct sl_err err;
	char digest[SL_DIGEST];
	role_rig_open(&g, NULL);
	role_rig_start(&g, labeling_only);
	rig_add_reviews(&g, 0, 1);
	json_decref(ask_json(g.port, "GET /v1/taxonomy", NULL, 503));
	char why[128] = "";
	CHECK(!sl_role_labeling.is_ready(g.state[0], why));
	CHECK(strstr(why, "no bundle"));
	json_decref(vote(&g, 0, "ann", "1", "0", 503));
	role_rig_stop(&g);
	tiny_bundle_file("tiny", &file);
	CHECK_OK(sl_model_put(g.ctx.stores.artifacts, sl_buf_slice(&file), digest, &err));
	CHECK_OK(sl_model_publish(&g.ctx.stores, g.cfg,
		&(struct sl_publish){.digest = digest, .force = true, .by = "test"}, &e, NULL, &err));
	role_rig_start(&g, labeling_only);
	while (ask(g.port, "GET /v1/taxonomy", NULL, NULL, NULL) != 200)
		sched_yield();
	CHECK(sl_role_labeling.is_ready(g.state[0], why));
	json_t *v = ask_json(g.port, "GET /v1/taxonomy", NULL, 200);
	CHECK_STR(text(v, "name"), "tiny");
	CHECK_STR(text(v, "bundle"), digest);
	json_t *cls = json_array_get(json_object_get(v, "classes"), 1);
	CHECK_STR(text(cls, "pictogram"), "/pictograms/tiny/O.svg");
	CHECK_STR(text(cls, "en"), "Orange");
	json_decref(v);
	json_decref(vote(&g, 0, "ann", "1", "0", 200));
	sl_buf_done(&file);
	role_rig_close(&g);
}

TEST(labeling, events_tell_of_votes_and_labels)
{
	struct role_rig g;
	start(&g, (const char *const[]){"reviews.cap=1", NULL});
	rig_add_reviews(&g, 0, 1);
	struct ask_conn c = ask_open(g.port);
	ask_request(&c, "GET /v1/events", NULL, sl_slice("", 0), NULL);
	CHECK(ask_wait_text(&c, "retry:"));
	json_decref(vote(&g, 0, "ann", "1", "0", 200));
	CHECK(ask_wait_text(&c, "event: vote\n"));
	CHECK(ask_wait_text(&c, "\"state\":\"decided\""));
	CHECK(ask_wait_text(&c, "event: label\n"));
	CHECK(ask_wait_text(&c, "\"source\":\"votes\""));
	ask_close(&c);
	role_rig_close(&g);
}

/* Many at once: no review gets more votes than the cap, each one label in effect. */

enum { CROWD = 12, CROWD_REVIEWS = 150, CROWD_CAP = 3 };

struct crowd {
	struct role_rig *g;
	int number;
};

static bool vote_once(struct ask_conn *c, struct crowd *me, json_t *review, struct ask_answer *a)
{
	SL_AUTOFREE char *what =
		sl_asprintf("POST /v1/reviews/%s/votes", json_string_value(json_object_get(review, "key")));
	SL_AUTOFREE char *body = sl_asprintf("{\"voter\":\"v%d\",\"vote_id\":\"%.40s\",\"choice\":%d}", me->number,
		json_string_value(json_object_get(review, "key")), me->number % 2);
	ask_request(c, what, "application/json", sl_slice_str(body), NULL);
	return ask_read(c, false, a) && (a->code == 200 || a->code == 409);
}

static void *crowd_main(void *arg)
{
	struct crowd *me = arg;
	struct ask_conn c = ask_open(me->g->port);
	struct ask_answer a = {0};
	SL_AUTOFREE char *what = sl_asprintf("GET /v1/reviews/next?voter=v%d&n=4", me->number);
	for (size_t n = 1; n;) {
		json_t *v, *one;
		size_t i;
		ask_request(&c, what, NULL, sl_slice("", 0), NULL);
		CHECK(ask_read(&c, false, &a));
		CHECK_EQ(a.code, 200);
		CHECK_STATUS(sl_json_parse(sl_buf_slice(&a.body), "next", &v, NULL), SL_OK);
		n = json_array_size(json_object_get(v, "reviews"));
		json_array_foreach(json_object_get(v, "reviews"), i, one) CHECK(vote_once(&c, me, one, &a));
		json_decref(v);
	}
	ask_done(&a);
	ask_close(&c);
	return NULL;
}

static void crowd(const char *reviews, const char *log)
{
	struct role_rig g;
	struct crowd c[CROWD];
	pthread_t t[CROWD];
	struct sl_review_stats s;
	struct sl_err err;
	start(&g, (const char *const[]){"reviews.cap=3", reviews, log, NULL});
	rig_add_reviews(&g, 0, CROWD_REVIEWS);
	for (int i = 0; i < CROWD; i++) {
		c[i] = (struct crowd){&g, i};
		t[i] = sl_thread_start("crowd", crowd_main, &c[i]);
	}
	for (int i = 0; i < CROWD; i++)
		pthread_join(t[i], NULL);
	CHECK_OK(sl_reviews_stats(g.ctx.stores.reviews, &s, &err));
	CHECK_EQ(s.decided, CROWD_REVIEWS); /* odd cap, two choices: no tie */
	CHECK_EQ(s.open, 0);
	CHECK(s.votes >= 2 * CROWD_REVIEWS && s.votes <= CROWD_CAP * CROWD_REVIEWS);
	role_rig_stop(&g);
	CHECK_OK(sl_reviews_stats(g.ctx.stores.reviews, &s, &err));
	CHECK_EQ(s.unsent, 0);
	int64_t labels;
	CHECK_OK(sl_log_lag(g.ctx.stores.log, NULL, "labels", &labels, &err));
	CHECK_EQ(labels, CROWD_REVIEWS);
	role_rig_close(&g);
}

TEST(labeling, a_crowd_at_once_in_memory)
{
	crowd("store.reviews=mem:", "store.log=mem:");
}

TEST(labeling, a_crowd_at_once_on_sqlite)
{
	crowd("store.reviews=", "store.log=");
}

/* The original's routes. */

TEST(labeling, the_original_page_and_its_form)
{
	struct role_rig g;
	struct ask_answer a = {0};
	char cookie[200], key[SL_KEY], other[SL_KEY];
	start(&g, (const char *const[]){"reviews.cap=2", NULL});
	CHECK_EQ(ask(g.port, "GET /labeling/image", NULL, NULL, &a), 200);
	CHECK(strstr((char *)a.body.ptr, "Nothing to label"));
	ask_done(&a);
	rig_add_reviews(&g, 0, 2);
	put_crop(&g, 0);
	put_crop(&g, 1);
	rig_key(key, 0);
	rig_key(other, 1);
	CHECK_EQ(ask(g.port, "GET /labeling/image?voter=ann", NULL, NULL, &a), 200);
	CHECK(strstr((char *)a.body.ptr, "data:image/jpeg;base64,YSBqcGVn"));
	CHECK(strstr((char *)a.body.ptr, key));
	CHECK(strstr((char *)a.body.ptr, "name=\"label_radio\" required value=\"1\""));
	CHECK(strstr((char *)a.body.ptr, "\xeb\xb9\xa8\xea\xb0\x95")); /* the Korean name of class 0 */
	ask_done(&a);
	SL_AUTOFREE char *form = sl_asprintf("label_radio=1&image_id=%s&voter=ann", key);
	CHECK_EQ(ask(g.port, "POST /labeling/image", "application/x-www-form-urlencoded", form, &a), 303);
	CHECK_STR(ask_header(&a, "Location", cookie, sizeof(cookie)), "/labeling/image?voter=ann");
	ask_done(&a);
	CHECK_EQ(ask(g.port, "POST /labeling/image", "application/x-www-form-urlencoded", form, NULL),
		303); /* sent twice: once */
	form[12] = '0';
	CHECK_EQ(ask(g.port, "POST /labeling/image", "application/x-www-form-urlencoded", form, NULL), 409);
	CHECK_EQ(ask(g.port, "POST /labeling/image", "application/x-www-form-urlencoded", "label_radio=x&image_id=y",
			 NULL),
		400);
	CHECK_EQ(ask(g.port, "GET /labeling/image?image_id=x", NULL, NULL, NULL), 400);

	/* A visitor without a name gets one, and keeps it by the cookie. */
	struct ask_conn c = ask_open(g.port);
	SL_AUTOFREE char *page = sl_asprintf("GET /labeling/image?image_id=%s", other);
	ask_request(&c, page, NULL, sl_slice("", 0), NULL);
	CHECK(ask_read(&c, false, &a));
	CHECK_EQ(a.code, 200);
	CHECK(ask_header(&a, "Set-Cookie", cookie, sizeof(cookie)));
	SL_AUTOFREE char *more =
		sl_asprintf("Cookie: %.*s; signloop_image=%s\r\n", (int)strcspn(cookie, ";"), cookie, other);
	ask_request(&c, "POST /labeling/image", "application/x-www-form-urlencoded",
		sl_slice_str("label_radio=not_a_sign"), more);
	CHECK(ask_read(&c, false, &a));
	CHECK_EQ(a.code, 303);
	SL_AUTOFREE char *what = sl_asprintf("GET /v1/reviews/%s", other);
	json_t *v = ask_json(g.port, what, NULL, 200);
	const char *voter = text(json_array_get(json_object_get(v, "votes"), 0), "voter");
	CHECK(strstr(cookie, voter));
	json_decref(v);
	ask_done(&a);
	ask_close(&c);
	role_rig_close(&g);
}

TEST(labeling, the_original_json_vote)
{
	struct role_rig g;
	char key[SL_KEY];
	start(&g, (const char *const[]){"reviews.cap=10", NULL});
	rig_add_reviews(&g, 0, 1);
	rig_key(key, 0);
	static const char *const labels[] = {
		"\"\xeb\xb9\xa8\xea\xb0\x95\"", "\"orange\"", "\"R\"", "0", "\"1\"", "\"unreadable\""};
	static const char *const choices[] = {"0", "1", "0", "0", "1", "unreadable"};
	for (size_t i = 0; i < SL_COUNT(labels); i++) {
		SL_AUTOFREE char *body = sl_asprintf(
			"{\"image_id\":\"%s\",\"selected_label\":%s,\"voter\":\"v%zu\"}", key, labels[i], i);
		json_t *v = ask_json(g.port, "POST /labeling/test", body, 200);
		CHECK_STR(text(v, "result"), "GOOD");
		json_decref(v);
	}
	SL_AUTOFREE char *nameless = sl_asprintf("{\"image_id\":\"%s\",\"selected_label\":0}", key);
	json_decref(ask_json(g.port, "POST /labeling/test", nameless, 200));
	json_decref(ask_json(g.port, "POST /labeling/test", nameless, 200)); /* no cookie came back: another visitor */
	SL_AUTOFREE char *what = sl_asprintf("GET /v1/reviews/%s", key);
	json_t *v = ask_json(g.port, what, NULL, 200), *votes = json_object_get(v, "votes");
	CHECK_EQ(json_array_size(votes), SL_COUNT(labels) + 2);
	for (size_t i = 0; i < SL_COUNT(labels); i++)
		CHECK_STR(text(json_array_get(votes, i), "choice"), choices[i]);
	json_decref(v);
	static const char *const bad[] = {"{}", "{\"image_id\":1}", "{\"image_id\":\"x\",\"selected_label\":0}", "[]"};
	for (size_t i = 0; i < SL_COUNT(bad); i++)
		json_decref(ask_json(g.port, "POST /labeling/test", bad[i], 400));
	SL_AUTOFREE char *odd = sl_asprintf("{\"image_id\":\"%s\",\"selected_label\":\"no such sign\"}", key);
	json_decref(ask_json(g.port, "POST /labeling/test", odd, 400));
	role_rig_close(&g);
}
