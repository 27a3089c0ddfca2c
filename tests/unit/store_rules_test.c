/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/rng.h"
#include "harness.h"
#include "store/rules.h"
#include "store/sqlite/openset.h"
#include <stdio.h>

static struct sl_vote vote_of(int voter, int id, int choice)
{
	struct sl_vote v = {.choice = choice};
	snprintf(v.voter, sizeof(v.voter), "v%d", voter);
	snprintf(v.id, sizeof(v.id), "i%d", id);
	return v;
}

/* Votes and undos at random: the lines always give at most cap votes, one a voter. */
TEST(store_rules, any_sequence_keeps_the_rules)
{
	struct sl_rng rng = sl_rng(7, 1);
	SL_AUTOFREE struct sl_vote_line *line = SL_NEW_N(struct sl_vote_line, SL_LINES_ROOM);
	for (int round = 0; round < 300; round++) {
		int n = 0, cap = 1 + (int)sl_rng_below(&rng, 6);
		for (int step = 0; step < 60; step++) {
			struct sl_vote live[SL_VOTES_MAX],
				v = vote_of((int)sl_rng_below(&rng, 8), step, (int)sl_rng_below(&rng, 3));
			struct sl_verdict was = sl_lines_verdict(line, n, cap), now;
			int had = sl_lines_live(line, n, live), plain = 0;
			bool again = false;
			enum sl_status s = sl_rng_below(&rng, 3)
						   ? sl_lines_vote(line, n, cap, 0, &v, &again, &now, NULL)
						   : sl_lines_undo(line, n, cap, v.voter, &now, NULL);
			CHECK(!again);
			CHECK(was.state != SL_REVIEW_DECIDED || s == SL_CONFLICT);
			n += s == SL_OK;
			int has = sl_lines_live(line, n, live);
			CHECK_EQ(has - had, s != SL_OK ? 0 : line[n - 1].undo ? -1 : 1);
			for (int i = 0; i < has; i++) {
				plain += !live[i].expert;
				for (int k = 0; k < i; k++)
					CHECK(strcmp(live[i].voter, live[k].voter));
			}
			CHECK(plain <= cap);
			if (s == SL_OK)
				CHECK_EQ(now.state, sl_lines_verdict(line, n, cap).state);
		}
	}
}

TEST(store_rules, a_full_log_takes_an_expert_and_undos_alone)
{
	SL_AUTOFREE struct sl_vote_line *line = SL_NEW_N(struct sl_vote_line, SL_LINES_ROOM);
	struct sl_verdict v;
	bool again;
	int n = 0;
	while (n < SL_REVIEW_LINES) {
		struct sl_vote one = vote_of(1, n, 1);
		CHECK_STATUS(sl_lines_vote(line, n, 10, 0, &one, &again, &v, NULL), SL_OK);
		CHECK_STATUS(sl_lines_undo(line, n + 1, 10, "v1", &v, NULL), SL_OK);
		n += 2;
	}
	struct sl_err err;
	struct sl_vote late = vote_of(2, 0, 1), expert = vote_of(3, 0, 2);
	CHECK_STATUS(sl_lines_vote(line, n, 10, 0, &late, &again, &v, &err), SL_CONFLICT);
	CHECK(strstr(err.text, "expert"));
	expert.expert = true;
	CHECK_STATUS(sl_lines_vote(line, n, 10, 0, &expert, &again, &v, NULL), SL_OK);
	CHECK_EQ(v.choice, 2);
}

/* Against the plain way: a walk over everything. */
TEST(store_openset, walks_as_a_sorted_list_would)
{
	enum { N = 10000, STEPS = 30000 };
	struct sl_rng rng = sl_rng(3, 1);
	struct sl_openset *o = sl_openset_new();
	SL_AUTOFREE int *votes = sl_calloc(N, sizeof(*votes));
	SL_AUTOFREE bool *past = sl_calloc(N, sizeof(*past));
	for (int i = 0; i < N; i++)
		votes[i] = -1;
	struct sl_bits *mine = sl_openset_add_voter(o, "ann");
	CHECK(!sl_openset_voter(o, "bob"));
	for (int step = 0; step < STEPS; step++) {
		int i = (int)sl_rng_below(&rng, N), v = (int)sl_rng_below(&rng, 5) - 1;
		if (step % 3) {
			sl_openset_put(o, i, votes[i] = v);
		} else {
			past[i] = v > 0;
			sl_openset_mark(mine, i, past[i]);
		}
	}
	CHECK(sl_openset_voter(o, "ann") == mine);
	struct sl_openset_at at = {SL_CAP_MAX, -1};
	int64_t got;
	for (int level = 5; level >= 0; level--)
		for (int i = 0; i < N; i++) {
			if (votes[i] != level || past[i])
				continue;
			CHECK(sl_openset_next(o, mine, &at, &got));
			CHECK_EQ(got, i);
		}
	CHECK(!sl_openset_next(o, mine, &at, &got));
	for (int i = 0; i < N; i++)
		sl_openset_put(o, i, -1);
	CHECK_EQ(sl_openset_first(o), 0);
	at = (struct sl_openset_at){SL_CAP_MAX, -1};
	CHECK(!sl_openset_next(o, mine, &at, &got));
	sl_openset_put(o, 9000, 2);
	CHECK(sl_openset_first(o) > 8000 && sl_openset_first(o) <= 9000);
	sl_openset_clear(o);
	CHECK(!sl_openset_voter(o, "ann"));
	sl_openset_free(o);
}

TEST(store_openset, more_voters_than_it_keeps_are_forgotten_not_mixed_up)
{
	struct sl_openset *o = sl_openset_new();
	sl_openset_put(o, 1, 0);
	for (int i = 0; i < 10000; i++) {
		char name[16];
		snprintf(name, sizeof(name), "v%d", i);
		CHECK(!sl_openset_voter(o, name));
		struct sl_bits *b = sl_openset_add_voter(o, name);
		struct sl_openset_at at = {SL_CAP_MAX, -1};
		int64_t got;
		CHECK(sl_openset_next(o, b, &at, &got));
		sl_openset_mark(b, 1, true);
		at = (struct sl_openset_at){SL_CAP_MAX, -1};
		CHECK(!sl_openset_next(o, b, &at, &got));
	}
	sl_openset_free(o);
}
