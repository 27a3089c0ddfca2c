/* SPDX-License-Identifier: Apache-2.0
 *
 * The review store: its rules, its vote log and its leases, one call after the other.
 * reviews_crowd_contract.c has threads, processes and kills.
 */
#include "base/mem.h"
#include "reviews_tools.h"
#include <stdio.h>

CONTRACT(reviews, what_is_added_comes_back)
{
	struct sl_err err;
	b->clock(NOW_MS);
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
	b->clock(NOW_MS);
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

CONTRACT(reviews, rules_refuse_with_a_reason)
{
	struct sl_err err;
	b->clock(NOW_MS);
	struct sl_reviews *r = open_reviews(b, 3);
	struct sl_verdict v;
	struct sl_vote two = vote_of("ann", "a2", 5), bad = vote_of("a b", "x", 1), bad_id = vote_of("ann", "", 1);
	add(r, 0, 1);
	CHECK_STATUS(cast(r, "none", "ann", "a1", 5, &v), SL_NOT_FOUND);
	CHECK_STATUS(cast(r, "key0000", "ann", "a1", 5, &v), SL_OK);
	CHECK_STATUS(sl_reviews_vote(r, "key0000", &two, &v, &err), SL_CONFLICT);
	CHECK(strstr(err.text, "has voted"));
	CHECK_STATUS(sl_reviews_vote(r, "key0000", &bad, &v, &err), SL_INVALID);
	CHECK_STATUS(sl_reviews_vote(r, "key0000", &bad_id, &v, &err), SL_INVALID);
	CHECK_STATUS(sl_reviews_undo(r, "key0000", "bob", &v, &err), SL_CONFLICT);
	CHECK_STATUS(sl_reviews_undo(r, "none", "bob", &v, &err), SL_NOT_FOUND);
	CHECK_STATUS(cast(r, "key0000", "bob", "b1", 5, &v), SL_OK);
	CHECK_EQ(v.state, SL_REVIEW_DECIDED);
	CHECK_STATUS(sl_reviews_undo(r, "key0000", "bob", &v, &err), SL_CONFLICT);
	CHECK_STATUS(sl_reviews_vote(r, "key0000", &two, &v, &err), SL_CONFLICT);
	CHECK(strstr(err.text, "decided"));
	struct sl_review got[1];
	int n;
	CHECK_STATUS(sl_reviews_lease(r, "ann", 0, got, &n, &err), SL_INVALID);
	CHECK_STATUS(sl_reviews_lease(r, "ann", SL_LEASE_MAX + 1, got, &n, &err), SL_INVALID);
	CHECK_STATUS(sl_reviews_lease(r, "", 1, got, &n, &err), SL_INVALID);
	sl_reviews_close(r);
}

CONTRACT(reviews, the_same_vote_id_has_the_same_answer_for_ever)
{
	struct sl_err err;
	b->clock(NOW_MS);
	struct sl_reviews *r = open_reviews(b, 10);
	struct sl_verdict first, v;
	struct sl_review_stats st;
	add(r, 0, 1);
	CHECK_STATUS(cast(r, "key0000", "ann", "a1", 5, &first), SL_OK);
	CHECK_STATUS(cast(r, "key0000", "bob", "a1", 4, &v), SL_OK); /* an id is its voter's own */
	CHECK_STATUS(cast(r, "key0000", "ann", "a1", 5, &v), SL_OK);
	CHECK_EQ(v.votes, first.votes);
	CHECK_STATUS(cast(r, "key0000", "ann", "a1", 6, &v), SL_CONFLICT); /* another choice under the same id */
	CHECK_OK(sl_reviews_undo(r, "key0000", "ann", &v, &err));
	CHECK_EQ(v.votes, 1);
	/* A retry that comes late must not bring the vote back. */
	CHECK_STATUS(cast(r, "key0000", "ann", "a1", 5, &v), SL_OK);
	CHECK_EQ(v.votes, 1);
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.votes, 1);
	CHECK_STATUS(cast(r, "key0000", "ann", "a2", 6, &v), SL_OK);
	CHECK_EQ(v.votes, 2);
	for (int i = 0; i < 5; i++) {
		char voter[8];
		snprintf(voter, sizeof(voter), "v%d", i);
		CHECK_STATUS(cast(r, "key0000", voter, "x", 6, &v), SL_OK);
	}
	CHECK_EQ(v.state, SL_REVIEW_DECIDED);
	CHECK_STATUS(cast(r, "key0000", "ann", "a2", 6, &v), SL_OK); /* after the verdict too */
	CHECK_EQ(v.state, SL_REVIEW_OPEN);
	CHECK_EQ(v.votes, 2);
	CHECK_STATUS(cast(r, "key0000", "v4", "x", 6, &v), SL_OK);
	CHECK_EQ(v.state, SL_REVIEW_DECIDED);
	struct sl_review out[4];
	int n;
	CHECK_OK(sl_reviews_pending_out(r, 4, out, &n, &err));
	CHECK_EQ(n, 1);
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.votes, 7);
	CHECK_EQ(st.decided, 1);
	CHECK_EQ(st.open, 0);
	sl_reviews_close(r);
}

CONTRACT(reviews, a_tie_waits_for_an_expert_and_an_undo_opens_it)
{
	struct sl_err err;
	b->clock(NOW_MS);
	struct sl_reviews *r = open_reviews(b, 2);
	struct sl_verdict v;
	struct sl_review_stats st;
	char keys[4][SL_KEY];
	int n;
	add(r, 0, 3);
	CHECK_STATUS(cast(r, "key0001", "ann", "1", 5, &v), SL_OK);
	CHECK_STATUS(cast(r, "key0001", "bob", "1", 4, &v), SL_OK);
	CHECK_EQ(v.state, SL_REVIEW_TIE);
	CHECK_STATUS(cast(r, "key0001", "cem", "1", 4, &v), SL_CONFLICT);
	CHECK_OK(sl_reviews_scan(r, SL_REVIEW_TIE, "", 4, keys, &n, &err));
	CHECK_EQ(n, 1);
	CHECK_STR(keys[0], "key0001");
	CHECK_OK(sl_reviews_undo(r, "key0001", "bob", &v, &err));
	CHECK_EQ(v.state, SL_REVIEW_OPEN);
	CHECK_OK(sl_reviews_scan(r, SL_REVIEW_TIE, "", 4, keys, &n, &err));
	CHECK_EQ(n, 0);
	CHECK_STATUS(cast(r, "key0001", "bob", "2", 4, &v), SL_OK);
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.tie, 1);
	CHECK_EQ(st.open, 2);
	struct sl_vote expert = vote_of("eva", "1", SL_CHOICE_NOT_A_SIGN);
	expert.expert = true;
	CHECK_OK(sl_reviews_vote(r, "key0001", &expert, &v, &err));
	CHECK_EQ(v.state, SL_REVIEW_DECIDED);
	CHECK(v.by_expert);
	CHECK_EQ(v.choice, SL_CHOICE_NOT_A_SIGN);
	CHECK_EQ(v.votes, 2);
	CHECK_EQ(v.agree, 0);
	CHECK_OK(sl_reviews_vote(r, "key0000", &expert, &v, &err)); /* an open one as well */
	CHECK_EQ(v.state, SL_REVIEW_DECIDED);
	struct sl_review got;
	struct sl_vote votes[SL_VOTES_MAX];
	CHECK_OK(sl_reviews_get(r, "key0001", &got, votes, &n, &err));
	CHECK_EQ(n, 3);
	CHECK_STR(votes[2].voter, "eva");
	CHECK(votes[2].expert && !votes[1].expert);
	CHECK(got.verdict.by_expert);
	CHECK_EQ(sl_verdict_of(votes, n, got.cap).choice, SL_CHOICE_NOT_A_SIGN);
	sl_reviews_close(r);
}

CONTRACT(reviews, the_vote_log_tells_the_whole_story)
{
	struct sl_err err;
	b->clock(NOW_MS);
	struct sl_reviews *r = open_reviews(b, 10);
	struct sl_verdict v;
	struct sl_vote_line line[8];
	int n;
	add(r, 0, 2);
	CHECK_STATUS(cast(r, "key0000", "ann", "1", 5, &v), SL_OK);
	CHECK_STATUS(cast(r, "key0001", "ann", "2", SL_CHOICE_OTHER, &v), SL_OK);
	CHECK_OK(sl_reviews_undo(r, "key0000", "ann", &v, &err));
	CHECK_STATUS(cast(r, "key0000", "ann", "1", 5, &v), SL_OK); /* a retry leaves no line */
	b->clock(NOW_MS + 5);
	CHECK_STATUS(cast(r, "key0000", "ann", "3", 6, &v), SL_OK);
	CHECK_OK(sl_reviews_votes(r, 0, 8, line, &n, &err));
	CHECK_EQ(n, 4);
	CHECK_STR(line[0].key, "key0000");
	CHECK_STR(line[0].vote.id, "1");
	CHECK(!line[0].undo && line[2].undo && !line[3].undo);
	CHECK_STR(line[2].key, "key0000");
	CHECK_EQ(line[2].vote.choice, 5);
	CHECK_EQ(line[1].vote.choice, SL_CHOICE_OTHER);
	CHECK_EQ(line[3].vote.time_ms, NOW_MS + 5);
	CHECK(line[0].seq < line[1].seq && line[1].seq < line[2].seq && line[2].seq < line[3].seq);
	CHECK_OK(sl_reviews_votes(r, line[1].seq, 1, line, &n, &err));
	CHECK_EQ(n, 1);
	CHECK(line[0].undo);
	int64_t all, decided, agreed;
	CHECK_OK(sl_reviews_voter(r, "ann", &all, &decided, &agreed, &err));
	CHECK_EQ(all, 2);
	CHECK_EQ(decided, 0);
	CHECK_OK(sl_reviews_voter(r, "nobody", &all, &decided, &agreed, &err));
	CHECK_EQ(all + decided + agreed, 0);
	sl_reviews_close(r);
}

CONTRACT(reviews, a_voter_sees_how_often_she_agreed)
{
	struct sl_err err;
	struct sl_reviews *r = open_reviews(b, 3);
	struct sl_verdict v;
	int64_t all, decided, agreed;
	add(r, 0, 3);
	CHECK_STATUS(cast(r, "key0000", "ann", "1", 5, &v), SL_OK);
	CHECK_STATUS(cast(r, "key0000", "bob", "1", 6, &v), SL_OK);
	CHECK_STATUS(cast(r, "key0000", "cem", "1", 6, &v), SL_OK);
	CHECK_STATUS(cast(r, "key0001", "ann", "1", 2, &v), SL_OK);
	CHECK_STATUS(cast(r, "key0001", "bob", "1", 2, &v), SL_OK);
	CHECK_STATUS(cast(r, "key0002", "ann", "1", 2, &v), SL_OK);
	CHECK_OK(sl_reviews_voter(r, "ann", &all, &decided, &agreed, &err));
	CHECK_EQ(all, 3);
	CHECK_EQ(decided, 2);
	CHECK_EQ(agreed, 1);
	CHECK_OK(sl_reviews_voter(r, "bob", &all, &decided, &agreed, &err));
	CHECK_EQ(all, 2);
	CHECK_EQ(agreed, 2);
	sl_reviews_close(r);
}

CONTRACT(reviews, positions_go_with_their_effect)
{
	struct sl_err err;
	struct sl_reviews *r = open_reviews(b, 10);
	struct sl_review v = {.cap = 4};
	struct sl_origin from = {"intake", 0, 6};
	struct sl_review_stats st;
	int64_t at;
	CHECK_OK(sl_reviews_position(r, "intake", 0, &at, &err));
	CHECK_EQ(at, -1);
	strcpy(v.key, "a");
	CHECK_OK(sl_reviews_add(r, &v, 1, &from, &err));
	strcpy(v.key, "b");
	CHECK_OK(sl_reviews_add(r, &v, 1, &from, &err)); /* at the same position: skipped */
	from.position = 3;
	CHECK_OK(sl_reviews_add(r, &v, 1, &from, &err)); /* before it: skipped */
	CHECK_STATUS(sl_reviews_get(r, "b", &v, NULL, NULL, &err), SL_NOT_FOUND);
	from.partition = 1;
	CHECK_OK(sl_reviews_add(r, &v, 1, &from, &err)); /* another partition */
	from = (struct sl_origin){"intake", 0, 9};
	CHECK_OK(sl_reviews_add(r, NULL, 0, &from, &err)); /* nothing to add: the position still moves */
	CHECK_OK(sl_reviews_position(r, "intake", 0, &at, &err));
	CHECK_EQ(at, 9);
	CHECK_OK(sl_reviews_position(r, "intake", 1, &at, &err));
	CHECK_EQ(at, 3);
	CHECK_OK(sl_reviews_position(r, "other", 0, &at, &err));
	CHECK_EQ(at, -1);
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.open, 2);
	CHECK_OK(sl_reviews_get(r, "b", &v, NULL, NULL, &err));
	CHECK_EQ(v.cap, 4);
	sl_reviews_close(r);
}

CONTRACT(reviews, scan_walks_keys_in_order)
{
	struct sl_err err;
	struct sl_reviews *r = open_reviews(b, 1);
	struct sl_verdict v;
	char keys[8][SL_KEY], after[SL_KEY] = "";
	int n, seen = 0;
	add(r, 10, 10);
	add(r, 0, 10);
	CHECK_STATUS(cast(r, "key0005", "ann", "1", 5, &v), SL_OK);
	CHECK_STATUS(cast(r, "key0015", "ann", "1", 5, &v), SL_OK);
	do {
		CHECK_OK(sl_reviews_scan(r, -1, after, 8, keys, &n, &err));
		for (int i = 0; i < n; i++) {
			char want[SL_KEY];
			snprintf(want, sizeof(want), "key%04d", seen++);
			CHECK_STR(keys[i], want);
		}
		if (n > 0)
			strcpy(after, keys[n - 1]);
	} while (n == 8);
	CHECK_EQ(seen, 20);
	CHECK_OK(sl_reviews_scan(r, SL_REVIEW_DECIDED, "", 8, keys, &n, &err));
	CHECK_EQ(n, 2);
	CHECK_STR(keys[0], "key0005");
	CHECK_OK(sl_reviews_scan(r, SL_REVIEW_DECIDED, "key0005", 8, keys, &n, &err));
	CHECK_EQ(n, 1);
	CHECK_OK(sl_reviews_scan(r, SL_REVIEW_OPEN, "key0004", 1, keys, &n, &err));
	CHECK_STR(keys[0], "key0006");
	sl_reviews_close(r);
}

/* ---- leases ---- */

CONTRACT(reviews, leases_go_to_most_votes_then_the_oldest)
{
	b->clock(NOW_MS);
	struct sl_reviews *r = open_reviews(b, 10);
	struct sl_verdict v;
	struct sl_review got[SL_LEASE_MAX];
	add(r, 20, 2);
	add(r, 0, 4);
	CHECK_STATUS(cast(r, "key0002", "bob", "1", 5, &v), SL_OK);
	CHECK_STATUS(cast(r, "key0003", "bob", "1", 5, &v), SL_OK);
	CHECK_STATUS(cast(r, "key0003", "cem", "1", 5, &v), SL_OK);
	CHECK_EQ(lease(r, "ann", SL_LEASE_MAX, got), 6);
	static const char *const want[] = {"key0003", "key0002", "key0020", "key0021", "key0000", "key0001"};
	for (int i = 0; i < 6; i++) {
		CHECK_STR(got[i].key, want[i]);
		CHECK_EQ(got[i].lease_until_ms, NOW_MS + 120000);
	}
	CHECK_EQ(got[0].verdict.votes, 2);
	CHECK_STR(got[0].bundle, "b1");
	CHECK_EQ(lease(r, "bob", SL_LEASE_MAX, got), 4); /* not the two she voted on */
	CHECK_STR(got[0].key, "key0020");
	sl_reviews_close(r);
}

CONTRACT(reviews, asking_again_gives_the_live_leases_first)
{
	struct sl_err err;
	b->clock(NOW_MS);
	struct sl_reviews *r = open_reviews(b, 10);
	struct sl_verdict v;
	struct sl_review a[3], again[3];
	struct sl_review_stats st;
	add(r, 0, 10);
	CHECK_EQ(lease(r, "ann", 2, a), 2);
	b->clock(NOW_MS + 1000);
	CHECK_EQ(lease(r, "ann", 1, again), 1);
	CHECK(!strcmp(again[0].key, a[0].key) || !strcmp(again[0].key, a[1].key));
	CHECK_EQ(again[0].lease_until_ms, NOW_MS + 121000);
	CHECK_EQ(lease(r, "ann", 3, again), 3);
	CHECK(strcmp(again[2].key, a[0].key) && strcmp(again[2].key, a[1].key));
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.leases, 3);
	CHECK_STATUS(cast(r, a[0].key, "ann", "1", 5, &v), SL_OK); /* a vote ends the lease */
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.leases, 2);
	CHECK_EQ(lease(r, "ann", 3, again), 3);
	for (int i = 0; i < 3; i++)
		CHECK(strcmp(again[i].key, a[0].key));
	CHECK_OK(sl_reviews_undo(r, a[0].key, "ann", &v, &err)); /* and after an undo it is hers to vote on again */
	CHECK_EQ(lease(r, "bob", 1, again), 1);
	CHECK_STATUS(cast(r, a[0].key, "ann", "2", 5, &v), SL_OK);
	sl_reviews_close(r);
}

CONTRACT(reviews, an_undone_vote_can_be_leased_again)
{
	struct sl_err err;
	struct sl_reviews *r = open_reviews(b, 10);
	struct sl_verdict v;
	struct sl_review got[2];
	add(r, 0, 1);
	CHECK_EQ(lease(r, "ann", 1, got), 1);
	CHECK_STATUS(cast(r, "key0000", "ann", "1", 5, &v), SL_OK);
	CHECK_EQ(lease(r, "ann", 1, got), 0);
	CHECK_OK(sl_reviews_undo(r, "key0000", "ann", &v, &err));
	CHECK_EQ(lease(r, "ann", 1, got), 1);
	sl_reviews_close(r);
}

CONTRACT(reviews, leases_and_votes_never_pass_the_cap)
{
	struct sl_err err;
	b->clock(NOW_MS);
	struct sl_reviews *r = open_reviews(b, 3);
	struct sl_verdict v;
	struct sl_review got[2];
	struct sl_vote no_room = vote_of("eve", "1", 5), expert = vote_of("eva", "1", 1);
	expert.expert = true;
	add(r, 0, 1);
	CHECK_EQ(lease(r, "ann", 1, got), 1);
	CHECK_EQ(lease(r, "bob", 1, got), 1);
	CHECK_STATUS(cast(r, "key0000", "cem", "1", 5, &v), SL_OK); /* no lease, but a free place */
	CHECK_EQ(lease(r, "dan", 1, got), 0);
	CHECK_STATUS(sl_reviews_vote(r, "key0000", &no_room, &v, &err), SL_CONFLICT);
	CHECK(strstr(err.text, "taken"));
	CHECK_STATUS(cast(r, "key0000", "ann", "1", 6, &v), SL_OK);
	CHECK_EQ(lease(r, "dan", 1, got), 0); /* bob still holds the third place */
	CHECK_OK(sl_reviews_vote(r, "key0000", &expert, &v, &err)); /* an expert needs none */
	CHECK_EQ(v.state, SL_REVIEW_DECIDED);
	CHECK_STATUS(cast(r, "key0000", "bob", "1", 6, &v), SL_CONFLICT);
	struct sl_review_stats st;
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.leases, 0); /* the verdict ended bob's lease */
	sl_reviews_close(r);
}

CONTRACT(reviews, an_expired_lease_frees_its_place)
{
	struct sl_err err;
	b->clock(NOW_MS);
	struct sl_reviews *r = open_reviews(b, 2);
	struct sl_verdict v;
	struct sl_review got[4];
	struct sl_review_stats st;
	int n;
	add(r, 0, 2);
	CHECK_EQ(lease(r, "ann", 1, got), 1);
	CHECK_EQ(lease(r, "bob", 1, got), 1);
	CHECK_STR(got[0].key, "key0000");
	b->clock(NOW_MS + 119999);
	CHECK_EQ(lease(r, "cem", 4, got), 1);
	CHECK_STR(got[0].key, "key0001");
	CHECK_OK(sl_reviews_expire(r, &n, &err));
	CHECK_EQ(n, 0);
	b->clock(NOW_MS + 120000);
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.leases, 1);
	CHECK_STATUS(cast(r, "key0000", "ann", "1", 5, &v), SL_OK); /* late, but there is room */
	CHECK_EQ(lease(r, "dan", 4, got), 2);
	CHECK_STR(got[0].key, "key0000");
	CHECK_STATUS(cast(r, "key0000", "bob", "1", 5, &v), SL_CONFLICT); /* late, and dan has the place */
	b->clock(NOW_MS + 1000000);
	CHECK_OK(sl_reviews_expire(r, &n, &err));
	CHECK_EQ(n, 3);
	CHECK_OK(sl_reviews_expire(r, &n, &err));
	CHECK_EQ(n, 0);
	CHECK_STATUS(cast(r, "key0000", "bob", "1", 5, &v), SL_OK);
	CHECK_EQ(v.state, SL_REVIEW_DECIDED);
	sl_reviews_close(r);
}

CONTRACT(reviews, a_voter_past_thousands_gets_the_next_one)
{
	struct sl_reviews *r = open_reviews(b, 10);
	struct sl_verdict v;
	struct sl_review got[1];
	int all = 3000 / SL_MAX(b->divide, 1);
	add(r, 0, all);
	for (int i = 0; i < all / 10; i++) {
		char want[SL_KEY];
		snprintf(want, sizeof(want), "key%04d", i);
		CHECK_EQ(lease(r, "ann", 1, got), 1);
		CHECK_STR(got[0].key, want);
		CHECK_STATUS(cast(r, got[0].key, "ann", "1", 5, &v), SL_OK);
	}
	CHECK_EQ(lease(r, "bob", 1, got), 1);
	CHECK_STR(got[0].key, "key0000"); /* most votes first */
	sl_reviews_close(r);
}
