/* SPDX-License-Identifier: Apache-2.0 */
#include "reviews_tools.h"
#include "base/mem.h"
#include <stdio.h>

struct sl_reviews *open_at(const char *url, int cap)
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

struct sl_reviews *open_reviews(const struct sl_backend *b, int cap)
{
	return open_at(b->url(), cap);
}

void add(struct sl_reviews *r, int first, int n)
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

struct sl_vote vote_of(const char *voter, const char *id, int choice)
{
	struct sl_vote v = {.choice = choice};
	snprintf(v.voter, sizeof(v.voter), "%s", voter);
	snprintf(v.id, sizeof(v.id), "%s", id);
	return v;
}

enum sl_status cast(
	struct sl_reviews *r, const char *key, const char *voter, const char *id, int choice, struct sl_verdict *ret)
{
	struct sl_vote v = vote_of(voter, id, choice);
	return sl_reviews_vote(r, key, &v, ret, NULL);
}

int lease(struct sl_reviews *r, const char *voter, int n, struct sl_review *ret)
{
	struct sl_err err;
	int got;
	CHECK_OK(sl_reviews_lease(r, voter, n, ret, &got, &err));
	return got;
}
