/* SPDX-License-Identifier: Apache-2.0
 *
 * Reviews as they are moved from store to store, with their whole history.
 */
#include "base/mem.h"
#include "reviews_tools.h"
#include <stdio.h>
#include <unistd.h>

static void at_ms(const struct sl_backend *b, int n)
{
	b->clock(NOW_MS + n * 1000);
}

/* Reviews 0..5 of a store with cap 3: 0 without a vote, 1 open with one, an undo and another, 2 decided and
 * published, 3 decided and in the outbox, 4 a tie that an expert decided, 5 a tie. */
static void live(const struct sl_backend *b, struct sl_reviews *r)
{
	struct sl_err err;
	struct sl_verdict v;
	at_ms(b, 0);
	add(r, 3, 1); /* first, so that the order is not that of the keys */
	add(r, 0, 6);
	at_ms(b, 1);
	CHECK_STATUS(cast(r, "key0001", "ann", "a1", 4, &v), SL_OK);
	at_ms(b, 2);
	CHECK_OK(sl_reviews_undo(r, "key0001", "ann", &v, &err));
	for (int i = 2; i < 4; i++) {
		char key[8] = "key0002";
		key[6] = (char)('0' + i);
		CHECK_STATUS(cast(r, key, "ann", "a2", 4, &v), SL_OK);
		CHECK_STATUS(cast(r, key, "bob", "b2", 4, &v), SL_OK);
		CHECK_EQ(v.state, SL_REVIEW_DECIDED);
	}
	at_ms(b, 3);
	for (int i = 4; i < 6; i++) {
		char key[8] = "key0004";
		key[6] = (char)('0' + i);
		CHECK_STATUS(cast(r, key, "ann", "a4", 1, &v), SL_OK);
		CHECK_STATUS(cast(r, key, "bob", "b4", 2, &v), SL_OK);
		CHECK_STATUS(cast(r, key, "cem", "c4", SL_CHOICE_OTHER, &v), SL_OK);
		CHECK_EQ(v.state, SL_REVIEW_TIE);
	}
	struct sl_vote expert = vote_of("eve", "e4", 2);
	expert.expert = true;
	CHECK_OK(sl_reviews_vote(r, "key0004", &expert, &v, &err));
	CHECK_STATUS(cast(r, "key0001", "ann", "a1b", 5, &v), SL_OK);
	char sent[1][SL_KEY] = {"key0002"};
	CHECK_OK(sl_reviews_sent(r, sent, 1, &err));
	struct sl_origin from = {"intake", 2, 77};
	CHECK_OK(sl_reviews_add(r, NULL, 0, &from, &err));
}

static int histories(struct sl_reviews *r, struct sl_review_history *ret, int max)
{
	struct sl_err err;
	char cursor[SL_REVIEW_CURSOR] = "", (*keys)[SL_KEY] = sl_calloc((size_t)max, SL_KEY);
	int n = 0, got = 2;
	while (got == 2) { /* small pages */
		CHECK(n + 2 <= max);
		CHECK_OK(sl_reviews_order(r, cursor, 2, keys + n, &got, &err));
		n += got;
	}
	CHECK_OK(sl_reviews_history(r, keys, n, ret, &err));
	free(keys);
	return n;
}

static void check_same(const struct sl_review_history *x, const struct sl_review_history *y)
{
	CHECK_STR(x->r.key, y->r.key);
	CHECK_STR(x->r.bundle, y->r.bundle);
	CHECK_STR(x->r.frame, y->r.frame);
	CHECK_STR(x->r.device, y->r.device);
	CHECK_EQ(x->r.time_ms, y->r.time_ms);
	CHECK_EQ(x->r.opened_ms, y->r.opened_ms);
	CHECK_EQ(x->r.cap, y->r.cap);
	CHECK_EQ(x->r.ncandidate, y->r.ncandidate);
	for (int i = 0; i < x->r.ncandidate; i++)
		CHECK(x->r.candidate[i].cls == y->r.candidate[i].cls &&
			x->r.candidate[i].confidence == y->r.candidate[i].confidence);
	CHECK_EQ(x->r.verdict.state, y->r.verdict.state);
	CHECK_EQ(x->r.verdict.votes, y->r.verdict.votes);
	CHECK_EQ(x->unsent, y->unsent);
	CHECK_EQ(x->n, y->n);
	for (int i = 0; i < x->n; i++) {
		const struct sl_vote *v = &x->line[i].vote, *w = &y->line[i].vote;
		CHECK_STR(v->voter, w->voter);
		CHECK_STR(v->id, w->id);
		CHECK_EQ(v->choice, w->choice);
		CHECK_EQ(v->expert, w->expert);
		CHECK_EQ(v->time_ms, w->time_ms);
		CHECK_EQ(x->line[i].undo, y->line[i].undo);
	}
}

enum { ROOM = 20 };
struct histories {
	struct sl_review_history h[ROOM];
	int n;
};

static struct histories read_all(struct sl_reviews *r)
{
	struct histories a;
	a.n = histories(r, a.h, ROOM);
	return a;
}

static void histories_done(struct histories *a)
{
	for (int i = 0; i < a->n; i++)
		sl_review_history_done(&a->h[i]);
}

CONTRACT(reviews, a_history_says_all_in_the_order_of_adding)
{
	struct sl_err err;
	struct sl_reviews *r = open_reviews(b, 3);
	live(b, r);
	SL_AUTO(histories_done) struct histories a = read_all(r);
	CHECK_EQ(a.n, 6);
	CHECK_STR(a.h[0].r.key, "key0003");
	CHECK_STR(a.h[1].r.key, "key0000");
	CHECK_EQ(a.h[1].n, 0);
	const struct sl_review_history *h = &a.h[2];
	CHECK_STR(h->r.key, "key0001");
	CHECK_EQ(h->n, 3);
	CHECK(!h->line[0].undo && h->line[1].undo && !h->line[2].undo);
	CHECK_STR(h->line[1].vote.id, "a1");
	CHECK_EQ(h->line[0].vote.time_ms, NOW_MS + 1000);
	CHECK_EQ(h->line[1].vote.time_ms, NOW_MS + 2000);
	CHECK_EQ(h->line[2].vote.choice, 5);
	CHECK(a.h[0].unsent && a.h[4].unsent && !a.h[3].unsent && !a.h[5].unsent); /* 3, 4; 2, 5 */
	char keys[2][SL_KEY] = {"nobody", "key0005"};
	struct sl_review_history some[2];
	CHECK_OK(sl_reviews_history(r, keys, 2, some, &err));
	CHECK_STR(some[0].r.key, "");
	CHECK_EQ(some[1].r.verdict.state, SL_REVIEW_TIE);
	sl_review_history_done(&some[1]);
	sl_reviews_close(r);
}

/* All of a memory store, put into this one. */
static struct sl_reviews *restored(const struct sl_backend *b, struct histories *a)
{
	struct sl_err err;
	struct sl_reviews *from = open_at("mem:", 3);
	live(sl_backends_reviews, from); /* the first is mem */
	*a = read_all(from);
	sl_reviews_close(from);
	struct sl_reviews *r = open_reviews(b, 10);
	at_ms(b, 4); /* later than a process that was killed before */
	CHECK_OK(sl_reviews_restore(r, a->h, a->n, &err));
	return r;
}

CONTRACT(reviews, what_is_restored_is_as_it_was_and_goes_on)
{
	struct sl_err err;
	SL_AUTO(histories_done) struct histories a = {.n = 0};
	struct sl_reviews *r = restored(b, &a);
	SL_AUTO(histories_done) struct histories c = read_all(r);
	CHECK_EQ(c.n, a.n);
	for (int i = 0; i < a.n; i++)
		check_same(&a.h[i], &c.h[i]);
	struct sl_review_stats st;
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.open, 2);
	CHECK_EQ(st.tie, 1);
	CHECK_EQ(st.decided, 3);
	CHECK_EQ(st.votes, 1 + 4 + 7);
	CHECK_EQ(st.unsent, 2);
	int64_t votes, decided, agreed;
	CHECK_OK(sl_reviews_voter(r, "bob", &votes, &decided, &agreed, &err));
	CHECK_EQ(votes, 4);
	CHECK_EQ(decided, 3);
	CHECK_EQ(agreed, 3);
	struct sl_vote_line *lines = SL_NEW_N(struct sl_vote_line, 32);
	int n;
	CHECK_OK(sl_reviews_votes(r, -1, 32, lines, &n, &err));
	CHECK_EQ(n, 3 + 4 + 7);
	for (int i = 1; i < n; i++)
		CHECK(lines[i].seq > lines[i - 1].seq);
	free(lines);
	struct sl_review got[SL_LEASE_MAX];
	CHECK_EQ(lease(r, "bob", 10, got), 2); /* most votes first, then the older one */
	CHECK_STR(got[0].key, "key0001");
	CHECK_STR(got[1].key, "key0000");
	struct sl_verdict v;
	CHECK_STATUS(cast(r, "key0001", "ann", "a1", 4, &v), SL_OK); /* an old answer, again */
	CHECK_STATUS(cast(r, "key0001", "ann", "a9", 4, &v), SL_CONFLICT);
	CHECK_STATUS(cast(r, "key0001", "bob", "b1", 5, &v), SL_OK);
	CHECK_EQ(v.state, SL_REVIEW_DECIDED); /* by the cap it was opened with */
	CHECK_STATUS(cast(r, "key0002", "cem", "c2", 4, &v), SL_CONFLICT);
	sl_reviews_close(r);
}

CONTRACT(reviews, restoring_again_adds_what_is_new_and_no_more)
{
	struct sl_err err;
	SL_AUTO(histories_done) struct histories a = {.n = 0};
	struct sl_reviews *r = restored(b, &a);
	CHECK_OK(sl_reviews_restore(r, a.h, a.n, &err)); /* nothing is new */
	struct sl_reviews *from = open_at("mem:", 3);
	CHECK_OK(sl_reviews_restore(from, a.h, a.n, &err));
	struct sl_verdict v;
	at_ms(sl_backends_reviews, 9);
	CHECK_STATUS(cast(from, "key0000", "cem", "c0", 4, &v), SL_OK);
	CHECK_STATUS(cast(from, "key0001", "cem", "c1", 5, &v), SL_OK);
	char sent[2][SL_KEY] = {"key0003", "key0001"};
	CHECK_OK(sl_reviews_sent(from, sent, 2, &err));
	add(from, 6, 1);
	SL_AUTO(histories_done) struct histories now = read_all(from);
	CHECK_OK(sl_reviews_restore(r, now.h, now.n, &err));
	CHECK_OK(sl_reviews_restore(r, now.h, now.n, &err));
	SL_AUTO(histories_done) struct histories c = read_all(r);
	CHECK_EQ(c.n, 7);
	for (int i = 0; i < c.n; i++)
		check_same(&now.h[i], &c.h[i]);
	struct sl_review_stats st;
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.open + st.decided + st.tie, 7);
	CHECK_EQ(st.votes, 1 + 1 + 4 + 7 + 1);
	CHECK_EQ(st.unsent, 1);
	sl_reviews_close(from);
	sl_reviews_close(r);
}

CONTRACT(reviews, what_went_on_by_itself_is_not_overwritten)
{
	struct sl_err err;
	SL_AUTO(histories_done) struct histories a = {.n = 0};
	struct sl_reviews *r = restored(b, &a);
	struct sl_verdict v;
	CHECK_STATUS(cast(r, "key0000", "mia", "m0", 4, &v), SL_OK);
	CHECK_STATUS(sl_reviews_restore(r, &a.h[1], 1, &err), SL_CONFLICT);
	CHECK(strstr(err.text, "key0000") != NULL);
	char sent[1][SL_KEY] = {"key0003"};
	CHECK_OK(sl_reviews_sent(r, sent, 1, &err));
	CHECK_STATUS(sl_reviews_restore(r, &a.h[0], 1, &err), SL_CONFLICT);
	struct sl_review_history other = a.h[3];
	other.r.time_ms++;
	CHECK_STATUS(sl_reviews_restore(r, &other, 1, &err), SL_CONFLICT);
	other = a.h[3];
	other.n--; /* its verdict is not of these lines */
	CHECK_STATUS(sl_reviews_restore(r, &other, 1, &err), SL_CORRUPT);
	other = a.h[2];
	struct sl_vote_line line[3];
	memcpy(line, other.line, sizeof(line));
	line[0].vote.choice = 6;
	line[1].vote.choice = 6;
	other.line = line;
	CHECK_STATUS(sl_reviews_restore(r, &other, 1, &err), SL_CONFLICT);
	sl_reviews_close(r);
}

static void restore_slowly(void *arg)
{
	const struct sl_backend *b = arg;
	struct sl_err err;
	struct sl_reviews *from = open_at("mem:", 3), *r = open_reviews(b, 3);
	live(sl_backends_reviews, from);
	struct histories a = read_all(from);
	for (int i = 0; i < a.n; i++) {
		struct sl_review_history part = a.h[i];
		CHECK_OK(sl_reviews_restore(r, &part, 1, &err));
		sl_test_said("%s", part.r.key);
	}
	pause();
}

CONTRACT_IF(reviews, lasts, a_restore_that_was_killed_is_done_again)
{
	struct sl_err err;
	free(sl_test_kill(restore_slowly, (void *)(uintptr_t)b, 4));
	SL_AUTO(histories_done) struct histories a = {.n = 0};
	struct sl_reviews *r = restored(b, &a);
	SL_AUTO(histories_done) struct histories c = read_all(r);
	CHECK_EQ(c.n, 6);
	for (int i = 0; i < a.n; i++)
		check_same(&a.h[i], &c.h[i]);
	struct sl_review_stats st;
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.votes, 1 + 4 + 7);
	sl_reviews_close(r);
}

CONTRACT(reviews, an_origin_alone_moves_the_position)
{
	struct sl_err err;
	struct sl_reviews *r = open_reviews(b, 3);
	int64_t at = -2;
	CHECK_OK(sl_reviews_add(r, NULL, 0, &(struct sl_origin){"intake", 3, 41}, &err));
	CHECK_OK(sl_reviews_position(r, "intake", 3, &at, &err));
	CHECK_EQ(at, 41);
	CHECK_OK(sl_reviews_add(r, NULL, 0, &(struct sl_origin){"intake", 3, 40}, &err)); /* never back */
	CHECK_OK(sl_reviews_position(r, "intake", 3, &at, &err));
	CHECK_EQ(at, 41);
	sl_reviews_close(r);
}
