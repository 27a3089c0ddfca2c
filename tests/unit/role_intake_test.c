/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/mem.h"
#include "base/metric.h"
#include "harness.h"
#include "role_rig.h"
#include <sched.h>
#include <stdio.h>

static const struct sl_role *const intake_only[] = {&sl_role_intake, NULL};

static void append(struct role_rig *g, const char *text)
{
	struct sl_err err;
	CHECK_OK(sl_log_append(g->ctx.stores.log, "reviews", "k", sl_slice_str(text), SL_FOREVER, &err));
}

/* Until the group has committed everything. */
static void wait_caught_up(struct role_rig *g)
{
	int64_t lag = 1;
	struct sl_err err;
	while (lag) {
		CHECK_OK(sl_log_lag(g->ctx.stores.log, "intake", "reviews", &lag, &err));
		sched_yield();
	}
}

static int64_t open_reviews(struct role_rig *g)
{
	struct sl_review_stats s;
	struct sl_err err;
	CHECK_OK(sl_reviews_stats(g->ctx.stores.reviews, &s, &err));
	return s.open;
}

static double metric(const char *result)
{
	SL_AUTOFREE char *labels = sl_asprintf("result=\"%s\"", result);
	return sl_metric_value(sl_counter("signloop_intake_total", labels, ""));
}

TEST(intake, messages_become_reviews)
{
	struct role_rig g;
	struct sl_review r;
	struct sl_vote votes[SL_VOTES_MAX];
	struct sl_err err;
	char key[SL_KEY];
	int n;
	role_rig_open(&g, (const char *const[]){"store.log=mem:?partitions=3", NULL});
	for (int i = 0; i < 700; i++)
		rig_review_message(&g, i);
	role_rig_start(&g, intake_only);
	wait_caught_up(&g);
	CHECK_EQ(open_reviews(&g), 700);
	rig_key(key, 7);
	CHECK_OK(sl_reviews_get(g.ctx.stores.reviews, key, &r, votes, &n, &err));
	CHECK_EQ(r.ncandidate, 2);
	CHECK_EQ(r.candidate[0].cls, 1);
	CHECK_NEAR(r.candidate[0].confidence, 0.5, 1e-6);
	CHECK_EQ(r.candidate[1].cls, 0);
	CHECK_STR(r.bundle, "b7");
	CHECK_STR(r.device, "car1");
	CHECK_EQ(strlen(r.frame), 24);
	CHECK_EQ(r.time_ms, 1700000000000);
	for (int i = 690; i < 710; i++) /* the same again, and new ones */
		rig_review_message(&g, i);
	wait_caught_up(&g);
	CHECK_EQ(open_reviews(&g), 710);
	role_rig_close(&g);
}

TEST(intake, poison_never_blocks)
{
	static const char *const bad[] = {"", "no json", "[]", "{}", "{\"v\":1}", "{\"v\":2,\"key\":\"x\"}",
		"{\"v\":1,\"key\":\"not-a-key\",\"candidates\":[]}", "{\"v\":\"1\"}", "null", "\xff\xfe"};
	struct role_rig g;
	char key[SL_KEY];
	role_rig_open(&g, NULL);
	rig_key(key, 5000);
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		append(&g, bad[i]);
		rig_review_message(&g, (int)i);
	}
	static const char *const worse[] = {"\"candidates\":{}", "\"candidates\":[1]",
		"\"candidates\":[{\"class\":-1,\"confidence\":1}]", "\"candidates\":[{\"class\":1}]",
		"\"candidates\":[{\"class\":1,\"confidence\":1.5}]", "\"candidates\":[],\"device\":7",
		"\"candidates\":[],\"time\":\"now\"",
		"\"candidates\":[],\"device\":\"0123456789012345678901234567890123456789012345678901234567890123\""};
	for (size_t i = 0; i < SL_COUNT(worse); i++) {
		SL_AUTOFREE char *text = sl_asprintf("{\"v\":1,\"key\":\"%s\",%s}", key, worse[i]);
		append(&g, text);
	}
	role_rig_start(&g, intake_only);
	wait_caught_up(&g);
	CHECK_EQ(open_reviews(&g), SL_COUNT(bad));
	CHECK_EQ(metric("bad"), SL_COUNT(bad) + SL_COUNT(worse));
	rig_review_message(&g, 100);
	wait_caught_up(&g);
	CHECK_EQ(open_reviews(&g), SL_COUNT(bad) + 1);
	role_rig_close(&g);
}

static json_t *dead_letters(struct role_rig *g)
{
	json_t *list = json_array();
	struct sl_batch b = {0};
	struct sl_err err;
	CHECK_OK(sl_log_read(g->ctx.stores.log, "reviews.dead", 0, -1, SL_BATCH_MAX, &b, &err));
	for (int i = 0; i < b.n; i++) {
		json_t *v = NULL;
		CHECK_OK(sl_json_parse(b.message[i].body, "dead letter", &v, &err));
		json_object_set_new(v, "message_key", json_string(b.message[i].key));
		json_array_append_new(list, v);
	}
	sl_batch_done(&b);
	return list;
}

static const char *text_of(json_t *v, const char *name)
{
	const char *s = json_string_value(json_object_get(v, name));
	return s ? s : "";
}

TEST(intake, poison_goes_to_the_dead_letters_with_the_reason)
{
	struct role_rig g;
	SL_AUTOFREE char *big = sl_alloc(60001), *dear = sl_alloc(60001);
	role_rig_open(&g, NULL);
	rig_review_message(&g, 1);
	append(&g, "no \"json\"");
	append(&g, "\xff\xfe");
	append(&g, "");
	memset(big, 'x', 60000);
	memset(dear, 1, 60000); /* as JSON text six times as long */
	big[60000] = dear[60000] = 0;
	append(&g, big);
	append(&g, dear);
	rig_review_message(&g, 2);
	role_rig_start(&g, intake_only);
	wait_caught_up(&g);
	CHECK_EQ(open_reviews(&g), 2);
	SL_AUTOJSON json_t *dead = dead_letters(&g);
	CHECK_EQ(json_array_size(dead), 5);
	json_t *v = json_array_get(dead, 0);
	CHECK_EQ(json_integer_value(json_object_get(v, "v")), 1);
	CHECK_STR(text_of(v, "topic"), "reviews");
	CHECK_STR(text_of(v, "key"), "k");
	CHECK_STR(text_of(v, "body"), "no \"json\"");
	CHECK_STR(text_of(v, "message_key"), "reviews-0-1");
	CHECK_EQ(json_integer_value(json_object_get(v, "position")), 1);
	CHECK(strstr(text_of(v, "reason"), "message"));
	CHECK_STR(text_of(json_array_get(dead, 1), "body_base64"), "//4=");
	CHECK_STR(text_of(json_array_get(dead, 2), "body"), "");
	CHECK_EQ(strlen(text_of(json_array_get(dead, 3), "body")), 32768);
	CHECK_EQ(json_integer_value(json_object_get(json_array_get(dead, 3), "bytes")), 60000);
	CHECK_EQ(strlen(text_of(json_array_get(dead, 4), "body_base64")), (32768 + 2) / 3 * 4);
	CHECK_EQ(sl_metric_value(sl_counter("signloop_dead_letters_total", "topic=\"reviews\"", "")), 5);
	role_rig_close(&g);
}

/* A dead letter that cannot be sent holds up its topic: it must not be lost. */
TEST(intake, the_position_waits_for_the_dead_letter)
{
	struct role_rig g;
	struct sl_err err;
	SL_AUTOFREE char *file = sl_fs_join(sl_test_dir(), "away");
	SL_AUTOFREE char *url = sl_asprintf("store.log=fault+mem:?calls=append&file=%s", file);
	int64_t at = 0;
	char why[128] = "";
	role_rig_open(&g, (const char *const[]){url, NULL});
	rig_review_message(&g, 1);
	append(&g, "poison");
	CHECK_OK(sl_fs_write(file, sl_slice_str(""), true, &err));
	role_rig_start(&g, intake_only);
	while (sl_role_intake.is_ready(g.state[0], why))
		sched_yield();
	CHECK_OK(sl_reviews_position(g.ctx.stores.reviews, "intake", 0, &at, &err));
	CHECK_EQ(at, -1);
	remove(file);
	wait_caught_up(&g);
	SL_AUTOJSON json_t *dead = dead_letters(&g);
	CHECK_EQ(json_array_size(dead), 1);
	CHECK_EQ(open_reviews(&g), 1);
	role_rig_close(&g);
}

/* However often the batch is tried, a bad message in it has one letter. */
TEST(intake, one_dead_letter_while_the_review_store_is_away)
{
	struct role_rig g;
	struct sl_err err;
	SL_AUTOFREE char *file = sl_fs_join(sl_test_dir(), "away");
	SL_AUTOFREE char *url = sl_asprintf("store.reviews=fault+mem:?calls=add&file=%s", file);
	role_rig_open(&g, (const char *const[]){url, NULL});
	for (int i = 0; i < 3; i++) {
		rig_review_message(&g, i);
		append(&g, "poison");
	}
	CHECK_OK(sl_fs_write(file, sl_slice_str(""), true, &err));
	role_rig_start(&g, intake_only);
	while (sl_metric_value(sl_counter("signloop_intake_retries_total", NULL, "")) < 3)
		sched_yield();
	remove(file);
	wait_caught_up(&g);
	SL_AUTOJSON json_t *dead = dead_letters(&g);
	CHECK_EQ(json_array_size(dead), 3);
	CHECK_EQ(metric("bad"), 3);
	CHECK_EQ(open_reviews(&g), 3);
	role_rig_close(&g);
}

/* Two processes share the partitions; one leaves without a word and comes back. */
TEST(intake, two_at_once_have_each_message_once)
{
	struct role_rig a, b;
	SL_AUTOFREE char *log = sl_asprintf("store.log=sqlite:%s/log.db?partitions=4", sl_test_dir());
	SL_AUTOFREE char *reviews = sl_asprintf("store.reviews=sqlite:%s/reviews.db", sl_test_dir());
	const char *const words[] = {log, reviews, NULL};
	role_rig_open(&a, words);
	role_rig_open(&b, words);
	for (int i = 0; i < 300; i++)
		rig_review_message(&a, i);
	role_rig_start(&a, intake_only);
	role_rig_start(&b, intake_only);
	for (int i = 250; i < 500; i++) /* fifty of them again */
		rig_review_message(i % 2 ? &a : &b, i);
	wait_caught_up(&a);
	CHECK_EQ(open_reviews(&a), 500);
	role_rig_close(&b);
	for (int i = 500; i < 600; i++)
		rig_review_message(&a, i);
	wait_caught_up(&a);
	CHECK_EQ(open_reviews(&a), 600);
	role_rig_close(&a);
}

TEST(intake, restart_goes_on_where_the_review_store_is)
{
	struct role_rig g;
	struct sl_err err;
	int64_t at;
	role_rig_open(&g, NULL);
	for (int i = 0; i < 20; i++)
		rig_review_message(&g, i);
	role_rig_start(&g, intake_only);
	wait_caught_up(&g);
	role_rig_stop(&g);
	CHECK_OK(sl_reviews_position(g.ctx.stores.reviews, "intake", 0, &at, &err));
	CHECK(at >= 19);
	double before = metric("added");
	for (int i = 20; i < 30; i++)
		rig_review_message(&g, i);
	role_rig_start(&g, intake_only);
	wait_caught_up(&g);
	CHECK_EQ(metric("added") - before, 10);
	CHECK_EQ(open_reviews(&g), 30);
	role_rig_stop(&g);
	/* The review store is lost or put back from a backup: the log's commit is ahead of it. */
	sl_reviews_close(g.ctx.stores.reviews);
	CHECK_OK(sl_reviews_open("mem:", g.cfg, &g.ctx.stores.reviews, &err));
	role_rig_start(&g, intake_only);
	while (open_reviews(&g) < 30)
		sched_yield();
	role_rig_close(&g);
}

static void survives(const char *log, const char *reviews)
{
	struct role_rig g;
	role_rig_open(&g, (const char *const[]){log, reviews, NULL});
	role_rig_start(&g, intake_only);
	for (int i = 0; i < 60; i++) {
		rig_review_message(&g, i);
		if (i % 10 == 0)
			while (open_reviews(&g) <= i)
				sched_yield();
	}
	while (open_reviews(&g) < 60)
		sched_yield();
	role_rig_close(&g);
}

TEST(intake, stores_that_fail_now_and_then_lose_nothing)
{
	survives("store.log=mem:", "store.reviews=fault+mem:?every=2&calls=add&status=AWAY");
	survives("store.log=mem:", "store.reviews=fault+mem:?every=2&calls=add&when=after&status=TIMEOUT");
	survives("store.log=fault+mem:?every=3&calls=poll,commit&status=AWAY", "store.reviews=mem:");
	survives("store.log=mem:", "store.reviews=fault+mem:?every=3&calls=add&status=IO");
}

/* A partition that went to another member holds up none of the others of its batch. */
TEST(intake, a_partition_of_another_member_costs_no_message_of_the_others)
{
	struct role_rig g;
	int kept = 0;
	char key[SL_KEY];
	/* The second of the three at the start, and the same again when it is in the batch. */
	role_rig_open(&g,
		(const char *const[]){"store.log=fault+mem:?partitions=3&calls=seek&every=2&status=CONFLICT", NULL});
	for (int i = 0; i < 60; i++) {
		rig_key(key, i);
		kept += sl_log_partition_of(key, 3) != 1;
		rig_review_message(&g, i);
	}
	CHECK(kept < 60);
	role_rig_start(&g, intake_only);
	while (open_reviews(&g) < kept)
		sched_yield();
	CHECK_EQ(open_reviews(&g), kept);
	role_rig_close(&g);
}

TEST(intake, two_that_start_together_both_start)
{
	struct role_rig g;
	struct sl_err err;
	SL_AUTOFREE char *file = sl_fs_join(sl_test_dir(), "moved");
	SL_AUTOFREE char *url = sl_asprintf("store.log=fault+mem:?calls=commit&status=CONFLICT&file=%s", file);
	role_rig_open(&g, (const char *const[]){url, NULL});
	CHECK_OK(sl_fs_write(file, sl_slice_str(""), true, &err));
	role_rig_start(&g, intake_only);
	remove(file);
	for (int i = 0; i < 3; i++)
		rig_review_message(&g, i);
	wait_caught_up(&g);
	CHECK_EQ(open_reviews(&g), 3);
	role_rig_close(&g);
}

TEST(intake, drain_ends_at_once_when_the_store_is_away)
{
	struct role_rig g;
	role_rig_open(&g, (const char *const[]){"store.reviews=fault+mem:?every=1&calls=add&status=AWAY", NULL});
	rig_review_message(&g, 1);
	role_rig_start(&g, intake_only);
	char why[128] = "";
	while (sl_role_intake.is_ready(g.state[0], why))
		sched_yield();
	CHECK(strstr(why, "fault"));
	role_rig_close(&g);
}
