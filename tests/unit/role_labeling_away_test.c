/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/mem.h"
#include "core/message.h"
#include "harness.h"
#include "role_rig.h"
#include "tiny_bundle.h"
#include <sched.h>
#include <stdio.h>

static const struct sl_role *const labeling_only[] = {&sl_role_labeling, NULL};

static json_t *vote(struct role_rig *g, int n, const char *choice, int code)
{
	char key[SL_KEY];
	rig_key(key, n);
	SL_AUTOFREE char *what = sl_asprintf("POST /v1/reviews/%s/votes", key);
	SL_AUTOFREE char *body = sl_asprintf("{\"voter\":\"ann\",\"vote_id\":\"1\",\"choice\":%s}", choice);
	return ask_json(g->port, what, body, code);
}

/* What a store that is away does to people's requests: 503 with Retry-After, never 500, and it heals. */
TEST(labeling, requests_are_told_to_come_again_while_a_store_is_away)
{
	static const char *const ask_for[] = {
		"GET /v1/reviews/next?voter=ann", "GET /v1/reviews/stats", "GET /v1/reviews", "GET /v1/labels"};
	struct role_rig g;
	struct sl_err err;
	char why[128] = "", retry[8], what[160], key[SL_KEY];
	SL_AUTOFREE char *away = sl_fs_join(sl_test_dir(), "away");
	SL_AUTOFREE char *reviews = sl_asprintf("store.reviews=fault+mem:?file=%s", away);
	SL_AUTOFREE char *log = sl_asprintf("store.log=fault+mem:?file=%s", away);
	role_rig_open(&g, (const char *const[]){"reviews.cap=1", reviews, log, NULL});
	sl_hub_swap_bundle(g.ctx.hub, tiny_bundle("tiny"));
	rig_add_reviews(&g, 0, 2);
	role_rig_start(&g, labeling_only);
	CHECK(sl_role_labeling.is_ready(g.state[0], why));
	CHECK_OK(sl_fs_write(away, sl_slice_str(""), true, &err));
	for (size_t i = 0; i < SL_COUNT(ask_for); i++) {
		struct ask_answer a = {0};
		int code = ask(g.port, ask_for[i], NULL, NULL, &a);
		CHECK_EQ(code, 503);
		CHECK(ask_header(&a, "Retry-After", retry, sizeof(retry)));
		ask_done(&a);
	}
	rig_key(key, 0);
	snprintf(what, sizeof(what), "GET /v1/reviews/%s", key);
	CHECK_EQ(ask(g.port, what, NULL, NULL, NULL), 503);
	json_decref(vote(&g, 0, "0", 503));
	CHECK(!sl_role_labeling.is_ready(g.state[0], why));
	CHECK(strstr(why, "the review store"));
	remove(away);
	json_decref(vote(&g, 0, "0", 200));
	struct sl_consumer *c = NULL;
	json_decref(rig_next_label(&g, &c));
	sl_consumer_close(c);
	role_rig_close(&g);
}

/* Two processes publish the same outbox: each label at least once, and all copies say the same. */
TEST(labeling, two_at_once_publish_each_label_and_contradict_in_none)
{
	struct role_rig g[2];
	struct sl_err err;
	SL_AUTOFREE char *log = sl_asprintf("store.log=sqlite:%s/log.db", sl_test_dir());
	SL_AUTOFREE char *reviews = sl_asprintf("store.reviews=sqlite:%s/reviews.db", sl_test_dir());
	for (int i = 0; i < 2; i++) {
		role_rig_open(&g[i], (const char *const[]){"reviews.cap=1", log, reviews, NULL});
		sl_hub_swap_bundle(g[i].ctx.hub, tiny_bundle("tiny"));
	}
	rig_add_reviews(&g[0], 0, 60);
	for (int i = 0; i < 30; i++) { /* an outbox that a crash left */
		char key[SL_KEY];
		struct sl_verdict verdict;
		struct sl_vote v = {.voter = "ann", .id = "1", .choice = i % 2};
		rig_key(key, i);
		CHECK_OK(sl_reviews_vote(g[0].ctx.stores.reviews, key, &v, &verdict, &err));
	}
	for (int i = 0; i < 2; i++)
		role_rig_start(&g[i], labeling_only);
	for (int i = 30; i < 60; i++)
		json_decref(vote(&g[i % 2], i, i % 2 ? "1" : "0", 200));
	struct sl_review_stats stats = {.unsent = 1};
	while (stats.unsent) {
		CHECK_OK(sl_reviews_stats(g[0].ctx.stores.reviews, &stats, &err));
		sched_yield();
	}
	struct sl_batch b = {0};
	bool seen[60] = {false};
	CHECK_OK(sl_log_read(g[0].ctx.stores.log, "labels", 0, -1, SL_BATCH_MAX, &b, &err));
	CHECK(b.n >= 60);
	for (int i = 0; i < b.n; i++) {
		struct sl_label l;
		SL_AUTOJSON json_t *v = NULL;
		CHECK_OK(sl_json_parse(b.message[i].body, "label", &v, &err));
		CHECK_OK(sl_label_parse(v, "label", &l, &err));
		for (int k = 0; k < 60; k++) {
			char key[SL_KEY];
			rig_key(key, k);
			if (strcmp(key, l.key) != 0)
				continue;
			CHECK_EQ(l.cls, k % 2);
			seen[k] = true;
		}
	}
	for (int k = 0; k < 60; k++)
		CHECK(seen[k]);
	sl_batch_done(&b);
	for (int i = 0; i < 2; i++)
		role_rig_close(&g[i]);
}
