/* SPDX-License-Identifier: Apache-2.0
 *
 * Reviews with their whole history. A review changes as long as it is not decided, so each round looks at
 * all of them and brings what differs.
 */
#include "role/migrate_work.h"

enum { BATCH = SL_HISTORY_MAX, PAGE = 10000 };

struct batch {
	char key[BATCH][SL_KEY];
	int n;
	struct sl_review_history from[BATCH], to[BATCH];
	struct sl_sha256 *sum;
};

static void batch_clear(struct batch *b)
{
	for (int i = 0; i < BATCH; i++) {
		sl_review_history_done(&b->from[i]);
		sl_review_history_done(&b->to[i]);
	}
	b->n = 0;
}

static void batch_free(struct batch **b)
{
	batch_clear(*b);
	sl_sha256_free((*b)->sum);
	free(*b);
}

/* All that a move keeps, in one text: the same in every store. */
static void print(const struct sl_review_history *h, struct sl_buf *ret)
{
	const struct sl_review *r = &h->r;
	ret->len = 0;
	sl_buf_printf(ret, "%s %s %s %s %lld %lld %d %d", r->key, r->bundle, r->frame, r->device, (long long)r->time_ms,
		(long long)r->opened_ms, r->cap, (int)h->unsent);
	for (int i = 0; i < r->ncandidate; i++)
		sl_buf_printf(ret, " %d:%.9g", r->candidate[i].cls, (double)r->candidate[i].confidence);
	sl_buf_printf(ret, "\n%d %d %d %d\n", (int)r->verdict.state, r->verdict.votes,
		r->verdict.state == SL_REVIEW_DECIDED ? r->verdict.choice : 0,
		r->verdict.state == SL_REVIEW_DECIDED ? r->verdict.agree : 0);
	for (int i = 0; i < h->n; i++) {
		const struct sl_vote *v = &h->line[i].vote;
		sl_buf_printf(ret, "%s %s %d %d %lld %d\n", v->voter, v->id, v->choice, (int)v->expert,
			(long long)v->time_ms, (int)h->line[i].undo);
	}
}

static bool is_same(const struct sl_review_history *a, const struct sl_review_history *b)
{
	SL_AUTO(sl_buf_done) struct sl_buf x = {0}, y = {0};
	print(a, &x);
	print(b, &y);
	return sl_slice_is_same(sl_buf_slice(&x), sl_buf_slice(&y));
}

static enum sl_status read_both(struct sl_migrate_work *w, struct batch *b, struct sl_err *err)
{
	enum sl_status s = SL_TRY(w, sl_reviews_history(w->o->from->reviews, b->key, b->n, b->from, err));
	return s == SL_OK ? SL_TRY(w, sl_reviews_history(w->o->to->reviews, b->key, b->n, b->to, err)) : s;
}

/* ---- look ---- */

static enum sl_status scan(
	const void *store, const char *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	return sl_reviews_scan((struct sl_reviews *)(uintptr_t)store, -1, after, max, ret, ret_n, err);
}

static enum sl_status look_one(
	struct sl_migrate_work *w, const char *key, enum sl_side side, void *arg, struct sl_err *err)
{
	if (side == SL_TO_ONLY)
		return sl_fail(err, SL_CONFLICT,
			"migrate: the target has review %s, the source has not; choose an empty target", key);
	w->count[SL_PART_REVIEWS].items++;
	w->count[SL_PART_REVIEWS].there += side == SL_BOTH;
	sl_migrate_did(w, 1, 0);
	return SL_OK;
}

enum sl_status sl_migrate_reviews_look(struct sl_migrate_work *w, struct sl_err *err)
{
	return sl_migrate_merge(w, scan, w->o->from->reviews, w->o->to->reviews, look_one, NULL, err);
}

/* ---- copy ---- */

/* One by one, after a batch was refused: those that are not to be had are found, the others go. */
static enum sl_status restore_each(
	struct sl_migrate_work *w, const struct sl_review_history *h, int n, int *ret_done, struct sl_err *err)
{
	for (int i = 0; i < n; i++) {
		enum sl_status s = SL_TRY(w, sl_reviews_restore(w->o->to->reviews, &h[i], 1, err));
		if (s == SL_CORRUPT || s == SL_CONFLICT || s == SL_INVALID)
			sl_migrate_find(w, "review", h[i].r.key, "%s", err->text);
		else if (s != SL_OK)
			return s;
		*ret_done += s == SL_OK;
	}
	return SL_OK;
}

static enum sl_status copy_batch(struct sl_migrate_work *w, struct batch *b, struct sl_err *err)
{
	SL_AUTOFREE struct sl_review_history *wanted = SL_NEW_N(struct sl_review_history, BATCH); /* borrowed lines */
	int n = 0, done = 0;
	enum sl_status s = read_both(w, b, err);
	for (int i = 0; i < b->n && s == SL_OK; i++)
		if (b->from[i].r.key[0] && (!b->to[i].r.key[0] || !is_same(&b->from[i], &b->to[i])))
			wanted[n++] = b->from[i];
	if (s == SL_OK && n) {
		s = SL_TRY(w, sl_reviews_restore(w->o->to->reviews, wanted, n, err));
		done = s == SL_OK ? n : 0;
		if (s == SL_CORRUPT || s == SL_CONFLICT || s == SL_INVALID)
			s = restore_each(w, wanted, n, &done, err);
	}
	w->count[SL_PART_REVIEWS].copied += done;
	sl_migrate_did(w, done, 0);
	batch_clear(b);
	return s;
}

/* In the order in which they were added, for that is how they are shown to people. A store may have to look at
 * all of them for each page of that order. */
enum sl_status sl_migrate_reviews_copy(struct sl_migrate_work *w, struct sl_err *err)
{
	SL_AUTO(batch_free) struct batch *b = SL_NEW(struct batch);
	SL_AUTOFREE char(*page)[SL_KEY] = sl_calloc(PAGE, SL_KEY);
	char cursor[SL_REVIEW_CURSOR] = "";
	int n = PAGE;
	enum sl_status s = SL_OK;
	while (n == PAGE && s == SL_OK) {
		s = SL_TRY(w, sl_reviews_order(w->o->from->reviews, cursor, PAGE, page, &n, err));
		for (int i = 0; i < n && s == SL_OK; i += BATCH) {
			b->n = SL_MIN(n - i, BATCH);
			memcpy(b->key, page + i, (size_t)b->n * SL_KEY);
			s = copy_batch(w, b, err);
		}
	}
	return s;
}

/* ---- compare ---- */

static enum sl_status compare_batch(struct sl_migrate_work *w, struct batch *b, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	enum sl_status s = read_both(w, b, err);
	for (int i = 0; i < b->n && s == SL_OK; i++) {
		if (!is_same(&b->from[i], &b->to[i]))
			sl_migrate_find(w, "review", b->key[i],
				"%d vote lines, %s in the source; %d vote lines, %s in the target", b->from[i].n,
				sl_review_state_name(b->from[i].r.verdict.state), b->to[i].n,
				sl_review_state_name(b->to[i].r.verdict.state));
		print(&b->to[i], &text);
		sl_sha256_add(b->sum, text.ptr, text.len);
	}
	sl_migrate_did(w, b->n, 0);
	batch_clear(b);
	return s;
}

static enum sl_status compare_one(
	struct sl_migrate_work *w, const char *key, enum sl_side side, void *arg, struct sl_err *err)
{
	struct batch *b = arg;
	w->count[SL_PART_REVIEWS].items += side != SL_TO_ONLY;
	if (side != SL_BOTH) {
		sl_migrate_find(w, "review", key, "only the %s has it", side == SL_FROM_ONLY ? "source" : "target");
		return SL_OK;
	}
	SL_COPY(b->key[b->n++], key);
	return b->n == BATCH ? compare_batch(w, b, err) : SL_OK;
}

enum sl_status sl_migrate_reviews_compare(struct sl_migrate_work *w, struct sl_err *err)
{
	SL_AUTO(batch_free) struct batch *b = SL_NEW(struct batch);
	b->sum = sl_sha256_new();
	w->count[SL_PART_REVIEWS].items = 0;
	enum sl_status s = sl_migrate_merge(w, scan, w->o->from->reviews, w->o->to->reviews, compare_one, b, err);
	if (s == SL_OK && b->n)
		s = compare_batch(w, b, err);
	sl_sha256_end_hex(b->sum, w->count[SL_PART_REVIEWS].sha256);
	return s;
}
