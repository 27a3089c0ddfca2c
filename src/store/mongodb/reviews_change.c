/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/rng.h"
#include "store/mongodb/reviews_db.h"
#include <unistd.h>

enum { PAUSE_US = 2000, PAUSE_DOUBLINGS = 5 };

int64_t sl_mongo_seq_after(int64_t before, int64_t time_ms)
{
	struct sl_rng r = sl_rng((uint64_t)sl_mono_us(), (uintptr_t)&r + (uint64_t)before);
	int64_t ms = time_ms << SL_MONGO_STAMP_BITS, any = sl_rng_below(&r, 1u << SL_MONGO_STAMP_BITS);
	return ms + any > before ? ms + any : before + 1 + any;
}

int64_t sl_mongo_stamp(struct sl_reviews_db *f)
{
	int64_t fresh = sl_mongo_seq_after(0, sl_now_ms());
	int64_t last = atomic_load(&f->last_stamp), next;
	do
		next = SL_MAX(fresh, last + 1);
	while (!atomic_compare_exchange_weak(&f->last_stamp, &last, next));
	return next;
}

enum sl_status sl_mongo_read(struct sl_reviews_db *f, const char *key, struct sl_mongo_doc *ret, struct sl_err *err)
{
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	enum sl_status s = sl_mongo_take(f->m, "reviews", &u, err);
	if (s != SL_OK)
		return s;
	const bson_t *doc;
	bson_error_t e;
	SL_AUTOBSON bson_t *q = BCON_NEW("_id", BCON_UTF8(key)), *opts = BCON_NEW("limit", BCON_INT64(1));
	mongoc_cursor_t *c = mongoc_collection_find_with_opts(u.of, q, opts, NULL);
	if (mongoc_cursor_next(c, &doc))
		s = sl_mongo_doc_read(f->m, doc, ret, err);
	else if (mongoc_cursor_error(c, &e))
		s = sl_mongo_fail(f->m, &e, err);
	else
		s = sl_fail(err, SL_NOT_FOUND, "no review %.63s", key);
	mongoc_cursor_destroy(c);
	return s;
}

/* *ret_hit false: the review is not as d was read any more. EXISTS: the line's seq is taken. */
static enum sl_status write_change(
	struct sl_mongo_change *c, const struct sl_mongo_doc *d, bool line, bool *ret_hit, struct sl_err *err)
{
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	enum sl_status s = sl_mongo_take(c->f->m, "reviews", &u, err);
	if (s != SL_OK)
		return s;
	bson_error_t e;
	bson_iter_t at;
	bson_t reply;
	SL_AUTOBSON bson_t *q = BCON_NEW("_id", BCON_UTF8(c->key), "rev", BCON_INT64(d->rev));
	SL_AUTOBSON bson_t *update = sl_mongo_doc_update(d, line, true);
	if (mongoc_collection_update_one(u.of, q, update, NULL, &reply, &e))
		*ret_hit = bson_iter_init_find(&at, &reply, "matchedCount") && bson_iter_as_int64(&at) == 1;
	else
		s = sl_mongo_fail(c->f->m, &e, err);
	bson_destroy(&reply);
	return s;
}

static void pause_before(int try)
{
	struct sl_rng r = sl_rng((uint64_t)sl_mono_us(), (uintptr_t)&r);
	uint32_t most = PAUSE_US << SL_MIN(try, PAUSE_DOUBLINGS);
	usleep(1 + sl_rng_below(&r, most)); /* lint: no event tells what another process has written */
}

static enum sl_status busy(const struct sl_mongo_change *c, struct sl_err *err)
{
	return sl_fail(err, SL_BUSY, "%s: others kept changing review %.63s for %d s", c->f->m->where, c->key,
		SL_MONGO_CHANGE_MS / 1000);
}

/* A write whose outcome is unknown is looked for in what is there now: decide() knows its own. */
static enum sl_status change_in_turn(struct sl_mongo_change *c, struct sl_mongo_doc *d, int64_t end, struct sl_err *err)
{
	bool is_unknown = false;
	for (int try = 0;; try++) {
		enum sl_mongo_write what = SL_MONGO_NOTHING;
		bool hit = false;
		enum sl_status s = d->line ? SL_OK : sl_mongo_read(c->f, c->key, d, err);
		if (s == SL_OK)
			s = c->decide(d, c, &what, err);
		if (s != SL_OK || what == SL_MONGO_NOTHING)
			return s;
		s = write_change(c, d, what == SL_MONGO_LINE, &hit, err);
		if (s == SL_OK && hit)
			return SL_OK;
		if (s != SL_OK && s != SL_EXISTS && !sl_status_is_retriable(s))
			return s;
		is_unknown |= s == SL_AWAY || s == SL_TIMEOUT;
		if (sl_is_past(end))
			return is_unknown ? sl_fail(err, SL_TIMEOUT, "%s: no majority answered in time", c->f->m->where)
					  : busy(c, err);
		if (s == SL_EXISTS)
			c->seq = 0;
		sl_mongo_doc_done(d);
		pause_before(try);
	}
}

static pthread_mutex_t *turn_of(struct sl_reviews_db *f, const char *key)
{
	return &f->turn[sl_fnv1a(key) % SL_MONGO_TURNS];
}

/* Waits its turn. AWAY: whoever had it found no server meanwhile; the others need not each find that out. */
static enum sl_status take_turn(
	struct sl_mongo_change *c, pthread_mutex_t *turn, struct sl_mongo_doc *d, int64_t end, struct sl_err *err)
{
	int64_t from = sl_mono_us();
	struct timespec until = sl_timespec(end);
	if (!pthread_mutex_trylock(turn))
		return SL_OK;
	if (pthread_mutex_clocklock(turn, CLOCK_MONOTONIC, &until))
		return busy(c, err);
	sl_mongo_doc_done(d); /* what was read before the wait is old */
	if (atomic_load(&c->f->away_us) < from)
		return SL_OK;
	pthread_mutex_unlock(turn);
	return sl_fail(err, SL_AWAY, "%s: no server answered those who were before this", c->f->m->where);
}

enum sl_status sl_mongo_change(struct sl_mongo_change *c, struct sl_mongo_doc *d, struct sl_err *err)
{
	int64_t end = sl_deadline_ms(SL_MONGO_CHANGE_MS);
	pthread_mutex_t *turn = turn_of(c->f, c->key);
	enum sl_status s = take_turn(c, turn, d, end, err);
	if (s != SL_OK)
		return s;
	s = change_in_turn(c, d, end, err);
	if (s == SL_AWAY)
		atomic_store(&c->f->away_us, sl_mono_us());
	pthread_mutex_unlock(turn);
	return s;
}

/* ---- votes ---- */

/* Another process whose clock is behind the last line too may have chosen the same seq: seq alone says nothing. */
static bool is_mine(const struct sl_vote_line *l, const struct sl_mongo_change *c)
{
	return l->seq == c->seq && !strcmp(l->vote.voter, c->voter) && l->undo == !c->vote &&
	       (!c->vote || !strcmp(l->vote.id, c->vote->id));
}

/* The line of a try whose answer was lost: its answer is the verdict after it. */
static bool is_done(const struct sl_mongo_doc *d, struct sl_mongo_change *c)
{
	for (int i = d->nlines; c->seq && i-- > 0;)
		if (is_mine(&d->line[i], c)) {
			c->verdict = sl_lines_verdict(d->line, i + 1, d->r.cap);
			return true;
		}
	return false;
}

/* line[nlines] is the new one. A try whose answer was lost keeps its seq while the review is as it was: only one of both
 * can hit. Behind a line of a host whose clock is ahead the next number may be another review's: any of the next ms. */
static void append_line(struct sl_mongo_doc *d, struct sl_mongo_change *c)
{
	int64_t last = d->nlines ? d->line[d->nlines - 1].seq : 0;
	struct sl_vote_line *l = &d->line[d->nlines++];
	if (!c->seq)
		c->seq = sl_mongo_stamp(c->f);
	if (c->seq <= last)
		c->seq = sl_mongo_seq_after(last, 0);
	l->seq = c->seq;
	l->vote.time_ms = sl_now_ms();
	d->r.verdict = c->verdict;
	if (c->verdict.state != SL_REVIEW_OPEN)
		d->nholds = 0; /* nobody's vote is wanted any more */
}

static enum sl_status decide_line(
	struct sl_mongo_doc *d, struct sl_mongo_change *c, enum sl_mongo_write *ret, struct sl_err *err)
{
	bool again = false;
	enum sl_status s;
	if (is_done(d, c))
		return SL_OK;
	if (c->vote) {
		sl_mongo_hold_expire(d, sl_now_ms());
		int mine = sl_mongo_hold_find(d, c->voter);
		if (mine >= 0)
			d->hold[mine] = d->hold[--d->nholds];
		s = sl_lines_vote(d->line, d->nlines, d->r.cap, d->nholds, c->vote, &again, &c->verdict, err);
	} else {
		s = sl_lines_undo(d->line, d->nlines, d->r.cap, c->voter, &c->verdict, err);
	}
	if (s != SL_OK || again)
		return s;
	append_line(d, c);
	*ret = SL_MONGO_LINE;
	return SL_OK;
}

static enum sl_status change_line(struct sl_mongo_change *c, struct sl_verdict *ret, struct sl_err *err)
{
	SL_AUTO(sl_mongo_doc_done) struct sl_mongo_doc d = {0};
	enum sl_status s = sl_mongo_change(c, &d, err);
	if (s == SL_OK)
		*ret = c->verdict;
	return s;
}

enum sl_status sl_mongodb_vote(
	void *self, const char *key, const struct sl_vote *vote, struct sl_verdict *ret, struct sl_err *err)
{
	struct sl_mongo_change c = {.decide = decide_line, .key = key, .f = self, .vote = vote, .voter = vote->voter};
	return change_line(&c, ret, err);
}

enum sl_status sl_mongodb_undo(
	void *self, const char *key, const char *voter, struct sl_verdict *ret, struct sl_err *err)
{
	struct sl_mongo_change c = {.decide = decide_line, .key = key, .f = self, .voter = voter};
	return change_line(&c, ret, err);
}
