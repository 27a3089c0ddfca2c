/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "contract.h"
#include <stdatomic.h>
#include <stdio.h>

enum { AT = 1700000000 };
#define NOW_MS ((int64_t)AT * 1000)

static struct sl_reviews *open_at(const char *url, int cap)
{
	struct sl_err err;
	struct sl_reviews *r;
	struct sl_config *cfg = sl_test_config();
	char text[16];
	snprintf(text, sizeof(text), "%d", cap);
	CHECK_OK(sl_config_set(cfg, "reviews.cap", text, "test", &err));
	CHECK_OK(sl_reviews_open(url, cfg, &r, &err));
	sl_config_free(cfg);
	return r;
}

static struct sl_reviews *open_reviews(const struct sl_backend *b, int cap)
{
	return open_at(b->url(), cap);
}

static void add(struct sl_reviews *r, int first, int n)
{
	struct sl_err err;
	struct sl_review *v = SL_NEW_N(struct sl_review, (size_t)n);
	for (int i = 0; i < n; i++) {
		snprintf(v[i].key, sizeof(v[i].key), "key%04d", first + i);
		v[i].candidate[0] = (struct sl_candidate){i % 7, 0.625f};
		v[i].candidate[1] = (struct sl_candidate){SL_CHOICE_OTHER, 0.1f};
		v[i].ncandidate = 2;
		strcpy(v[i].bundle, "b1");
		strcpy(v[i].frame, "f1");
		strcpy(v[i].device, "car-7");
		v[i].time_ms = NOW_MS - i;
	}
	CHECK_OK(sl_reviews_add(r, v, n, NULL, &err));
	free(v);
}

static struct sl_vote vote_of(const char *voter, const char *id, int choice)
{
	struct sl_vote v = {.choice = choice};
	snprintf(v.voter, sizeof(v.voter), "%s", voter);
	snprintf(v.id, sizeof(v.id), "%s", id);
	return v;
}

static enum sl_status cast(struct sl_reviews *r, const char *key, const char *voter, const char *id, int choice,
	struct sl_verdict *ret)
{
	struct sl_vote v = vote_of(voter, id, choice);
	return sl_reviews_vote(r, key, &v, ret, NULL);
}

CONTRACT(reviews, what_is_added_comes_back)
{
	struct sl_err err;
	sl_clock_fake(NOW_MS);
	struct sl_reviews *r = open_reviews(b, 10);
	add(r, 0, 3);
	add(r, 1, 4); /* three of them again */
	struct sl_review v;
	struct sl_vote votes[SL_VOTES_MAX];
	int n = -1;
	CHECK_OK(sl_reviews_get(r, "key0001", &v, votes, &n, &err));
	CHECK_EQ(n, 0);
	CHECK_STR(v.key, "key0001");
	CHECK_STR(v.bundle, "b1");
	CHECK_STR(v.frame, "f1");
	CHECK_STR(v.device, "car-7");
	CHECK_EQ(v.time_ms, NOW_MS - 1);
	CHECK_EQ(v.opened_ms, NOW_MS);
	CHECK_EQ(v.cap, 10);
	CHECK_EQ(v.ncandidate, 2);
	CHECK_EQ(v.candidate[0].cls, 1);
	CHECK(v.candidate[0].confidence == 0.625f);
	CHECK_EQ(v.candidate[1].cls, SL_CHOICE_OTHER);
	CHECK(v.candidate[1].confidence == 0.1f);
	CHECK_EQ(v.verdict.state, SL_REVIEW_OPEN);
	CHECK_STATUS(sl_reviews_get(r, "nobody", &v, votes, &n, &err), SL_NOT_FOUND);
	struct sl_review_stats st;
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.open, 5);
	CHECK_EQ(st.tie + st.decided + st.votes + st.leases + st.unsent, 0);
	sl_reviews_close(r);
}

CONTRACT(reviews, six_of_ten_decide_and_wait_in_the_outbox)
{
	struct sl_err err;
	sl_clock_fake(NOW_MS);
	struct sl_reviews *r = open_reviews(b, 10);
	struct sl_verdict v;
	struct sl_review out[4];
	int n;
	add(r, 0, 2);
	for (int i = 0; i < 6; i++) {
		char voter[8];
		snprintf(voter, sizeof(voter), "v%d", i);
		CHECK_OK(sl_reviews_pending_out(r, 4, out, &n, &err));
		CHECK_EQ(n, 0);
		CHECK_STATUS(cast(r, "key0001", voter, voter, 4, &v), SL_OK);
		CHECK_EQ(v.votes, i + 1);
	}
	CHECK_EQ(v.state, SL_REVIEW_DECIDED);
	CHECK_EQ(v.choice, 4);
	CHECK_EQ(v.agree, 6);
	CHECK_STATUS(cast(r, "key0001", "late", "x", 4, &v), SL_CONFLICT);
	CHECK_OK(sl_reviews_pending_out(r, 4, out, &n, &err));
	CHECK_EQ(n, 1);
	CHECK_STR(out[0].key, "key0001");
	CHECK_EQ(out[0].verdict.choice, 4);
	CHECK_EQ(out[0].verdict.votes, 6);
	char keys[2][SL_KEY] = {"key0001", "key0000"};
	for (int again = 0; again < 2; again++) {
		CHECK_OK(sl_reviews_sent(r, keys, 2, &err));
		CHECK_OK(sl_reviews_pending_out(r, 4, out, &n, &err));
		CHECK_EQ(n, 0);
	}
	sl_reviews_close(r);
}
