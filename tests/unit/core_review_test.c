/* SPDX-License-Identifier: Apache-2.0 */
#include "core/review.h"
#include "harness.h"
#include <stdio.h>

static void fill(struct sl_vote *v, const int *choice, int n)
{
	memset(v, 0, sizeof(*v) * (size_t)n);
	for (int i = 0; i < n; i++) {
		snprintf(v[i].voter, sizeof(v[i].voter), "v%d", i);
		v[i].choice = choice[i];
	}
}

/* The plain majority of exactly n votes: the choice, or -9 for equal leaders. */
static int majority(const int *choice, int n, int kinds)
{
	int best = 0, who = -9;
	for (int k = 0; k < kinds; k++) {
		int c = 0;
		for (int i = 0; i < n; i++)
			c += choice[i] == k;
		if (c > best) {
			best = c;
			who = k;
		} else if (c == best) {
			who = -9;
		}
	}
	return who;
}

/* Can some completion of the first n of cap votes give another result than `who`? */
static bool can_change(int *choice, int n, int cap, int kinds, int who)
{
	if (n == cap)
		return majority(choice, cap, kinds) != who;
	for (int k = 0; k < kinds; k++) {
		choice[n] = k;
		if (can_change(choice, n + 1, cap, kinds, who))
			return true;
	}
	return false;
}

/* Every sequence: decided exactly when no completion could change the majority, never
 * sooner, never later, and with the choice that all completions give. */
static void walk(int *choice, int n, int cap, int kinds)
{
	struct sl_vote v[SL_VOTES_MAX];
	fill(v, choice, n);
	struct sl_verdict r = sl_verdict_of(v, n, cap);
	int rest[16], who = -9, sure = -9;
	memcpy(rest, choice, sizeof(*rest) * (size_t)n);
	for (who = 0; who < kinds && sure < 0; who++)
		if (!can_change(rest, n, cap, kinds, who))
			sure = who;
	CHECK_EQ(r.votes, n);
	CHECK(!r.by_expert);
	if (sure >= 0) {
		int agree = 0;
		for (int i = 0; i < n; i++)
			agree += choice[i] == sure;
		CHECK_EQ(r.state, SL_REVIEW_DECIDED);
		CHECK_EQ(r.choice, sure);
		CHECK_EQ(r.agree, agree);
		return; /* a decided review takes no vote */
	}
	CHECK_EQ(r.state, n == cap ? SL_REVIEW_TIE : SL_REVIEW_OPEN);
	if (n == cap)
		return;
	for (int k = 0; k < kinds; k++) {
		choice[n] = k;
		walk(choice, n + 1, cap, kinds);
	}
}

TEST(review, decides_exactly_when_no_completion_can_change_the_majority)
{
	/* One kind more than votes can tell apart is never needed: a vote for a new choice is a new choice. */
	for (int cap = 1; cap <= 5; cap++) {
		int choice[16];
		walk(choice, 0, cap, cap + 1);
	}
	int choice[16];
	walk(choice, 0, 7, 2);
	walk(choice, 0, 6, 3);
}

TEST(review, six_of_ten_decide)
{
	struct sl_vote v[10];
	fill(v, (int[]){4, 4, 4, 4, 4, 4}, 6);
	CHECK_EQ(sl_verdict_of(v, 5, 10).state, SL_REVIEW_OPEN);
	struct sl_verdict r = sl_verdict_of(v, 6, 10);
	CHECK_EQ(r.state, SL_REVIEW_DECIDED);
	CHECK_EQ(r.choice, 4);
	CHECK_EQ(r.agree, 6);
}

TEST(review, five_against_five_is_a_tie_until_an_expert_speaks)
{
	struct sl_vote v[11];
	fill(v, (int[]){1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 2}, 11);
	CHECK_EQ(sl_verdict_of(v, 9, 10).state, SL_REVIEW_OPEN);
	CHECK_EQ(sl_verdict_of(v, 10, 10).state, SL_REVIEW_TIE);
	CHECK_EQ(sl_verdict_of(v, 11, 10).state, SL_REVIEW_TIE); /* an eleventh plain vote is not counted */
	CHECK_EQ(sl_verdict_of(v, 11, 10).votes, 10);
	v[10].expert = true;
	struct sl_verdict r = sl_verdict_of(v, 11, 10);
	CHECK_EQ(r.state, SL_REVIEW_DECIDED);
	CHECK_EQ(r.choice, 2);
	CHECK(r.by_expert);
	CHECK_EQ(r.votes, 10);
	CHECK_EQ(r.agree, 5);
}

TEST(review, an_expert_decides_at_any_place_and_over_any_votes)
{
	for (int cap = 1; cap <= 10; cap++)
		for (int at = 0; at < cap && 2 * at <= cap; at++) { /* before the others have decided */
			struct sl_vote v[10];
			int choice[10] = {0};
			fill(v, choice, at + 1);
			v[at].expert = true;
			v[at].choice = SL_CHOICE_OTHER;
			struct sl_verdict r = sl_verdict_of(v, at + 1, cap);
			CHECK_EQ(r.state, SL_REVIEW_DECIDED);
			CHECK_EQ(r.choice, SL_CHOICE_OTHER);
			CHECK(r.by_expert);
			CHECK_EQ(r.votes, at);
			CHECK_EQ(r.agree, 0);
		}
}

TEST(review, what_follows_the_deciding_vote_is_not_counted)
{
	struct sl_vote v[10];
	fill(v, (int[]){3, 3, 1, 1, 1}, 5);
	struct sl_verdict r = sl_verdict_of(v, 5, 3);
	CHECK_EQ(r.choice, 3);
	CHECK_EQ(r.votes, 2);
	v[4].expert = true;
	CHECK(!sl_verdict_of(v, 5, 3).by_expert);
}

TEST(review, taking_a_vote_back_never_decides)
{
	/* Every sequence of 3 kinds under cap 6, less any one vote. */
	for (int code = 0; code < 729; code++)
		for (int n = 1; n <= 6; n++) {
			int choice[6], c = code;
			for (int i = 0; i < 6; i++, c /= 3)
				choice[i] = c % 3;
			struct sl_vote v[6];
			fill(v, choice, n);
			if (sl_verdict_of(v, n, 6).state == SL_REVIEW_DECIDED)
				continue;
			for (int gone = 0; gone < n; gone++) {
				struct sl_vote w[6];
				memcpy(w, v, sizeof(*v) * (size_t)gone);
				memcpy(w + gone, v + gone + 1, sizeof(*v) * (size_t)(n - gone - 1));
				CHECK_EQ(sl_verdict_of(w, n - 1, 6).state, SL_REVIEW_OPEN);
			}
		}
}

TEST(review, largest_cap_with_every_vote_for_something_else)
{
	struct sl_vote v[SL_VOTES_MAX];
	int choice[SL_VOTES_MAX];
	for (int i = 0; i < SL_VOTES_MAX; i++)
		choice[i] = i;
	fill(v, choice, SL_VOTES_MAX);
	CHECK_EQ(sl_verdict_of(v, SL_CAP_MAX, SL_CAP_MAX).state, SL_REVIEW_TIE);
	v[SL_CAP_MAX].expert = true;
	CHECK_EQ(sl_verdict_of(v, SL_VOTES_MAX, SL_CAP_MAX).choice, SL_CAP_MAX);
}

TEST(review, choices_to_text_and_back)
{
	static const char *const good[] = {"0", "7", "42", "not_a_sign", "unreadable", "other"};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		int c;
		char buf[12];
		CHECK(sl_choice_parse(good[i], 43, &c));
		CHECK_STR(sl_choice_text(c, buf), good[i]);
	}
	static const char *const bad[] = {
		"", "43", "-1", "+1", "01", "1 ", "1x", "Other", "99999999999999999999", "0x1"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int c = 77;
		CHECK(!sl_choice_parse(bad[i], 43, &c));
		CHECK_EQ(c, 77);
	}
}

TEST(review, names_of_voters_and_states)
{
	char long_name[SL_VOTER + 1];
	memset(long_name, 'a', sizeof(long_name));
	long_name[SL_VOTER] = 0;
	CHECK(!sl_name_is_valid(long_name));
	long_name[SL_VOTER - 1] = 0;
	CHECK(sl_name_is_valid(long_name));
	CHECK(sl_name_is_valid("kim.min-su_7@lab"));
	CHECK(!sl_name_is_valid(""));
	CHECK(!sl_name_is_valid("a b"));
	CHECK(!sl_name_is_valid("a/b"));
	CHECK(!sl_name_is_valid("\xea\xb9\x80"));
	CHECK(!sl_name_is_valid("a\n"));
	CHECK_STR(sl_review_state_name(SL_REVIEW_TIE), "tie");
}
