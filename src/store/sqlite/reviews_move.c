/* SPDX-License-Identifier: Apache-2.0
 *
 * Reviews with their whole history, out and in: for a move to another store. What is restored goes through
 * the same writes as a vote, so that counts, voters and outbox follow from the lines here too.
 */
#include "store/sqlite/reviews_file.h"
#include <stdio.h>

static enum sl_status read_order(
	struct sl_db *db, int64_t *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	bool row;
	enum sl_status s;
	sqlite3_stmt *q = sl_db_ask(db, Q_ORDER, "ii", *after, (int64_t)max);
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row) {
		*after = sqlite3_column_int64(q, 0);
		sl_db_text(q, 1, ret[(*ret_n)++], SL_KEY);
	}
	return s;
}

enum sl_status sl_sqlite_order(void *self, char *cursor, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	struct sl_reviews_file *f = self;
	struct sl_db *db = NULL;
	int64_t after = *cursor ? strtoll(cursor, NULL, 10) : -1;
	enum sl_status s = sl_readers_take(f->readers, &db, err);
	if (s == SL_OK)
		s = read_order(db, &after, max, ret, ret_n, err);
	sl_readers_give(f->readers, db);
	if (s == SL_OK)
		snprintf(cursor, SL_REVIEW_CURSOR, "%lld", (long long)after);
	return s;
}

/* *ret_found false: there is none. */
static enum sl_status read_history(
	struct sl_db *db, const char *key, struct sl_review_history *ret, bool *ret_found, struct sl_err *err)
{
	int64_t seq = 0, out = 0;
	enum sl_status s = sl_reviews_file_read(db, sl_db_ask(db, Q_BY_KEY, "s", key), &ret->r, &seq, ret_found, err);
	if (s != SL_OK || !*ret_found)
		return s;
	s = sl_reviews_file_lines(db, seq, &ret->line, &ret->n, err);
	if (s == SL_OK)
		s = sl_db_int(db, sl_db_ask(db, Q_IS_OUT, "i", seq), 0, &out, err);
	ret->unsent = out > 0;
	return s;
}

enum sl_status sl_sqlite_history(
	void *self, char (*keys)[SL_KEY], int n, struct sl_review_history *ret, struct sl_err *err)
{
	struct sl_reviews_file *f = self;
	struct sl_db *db = NULL;
	bool found;
	enum sl_status s = sl_readers_take(f->readers, &db, err);
	for (int i = 0; i < n && s == SL_OK; i++)
		s = read_history(db, keys[i], &ret[i], &found, err);
	sl_readers_give(f->readers, db);
	return s;
}

static enum sl_status add_lines(struct sl_db *db, const struct sl_review_history *h, int from, struct sl_err *err)
{
	struct sl_status_row st;
	enum sl_status s = sl_reviews_file_status(db, h->r.key, &st, err);
	for (int i = from; i < h->n && s == SL_OK; i++) {
		struct sl_verdict v = sl_lines_verdict(h->line, i + 1, h->r.cap);
		s = sl_reviews_file_write(db, &st, h->line, i, &v, err);
		st.state = v.state;
		st.votes = v.votes;
	}
	return s;
}

static enum sl_status restore_one(struct sl_db *db, const struct sl_review_history *h, struct sl_err *err)
{
	SL_AUTO(sl_review_history_done) struct sl_review_history here = {0};
	bool found, added;
	enum sl_status s = read_history(db, h->r.key, &here, &found, err);
	if (s == SL_OK && found)
		s = sl_history_follows(&here, h, err);
	else if (s == SL_OK)
		s = sl_reviews_file_add(db, &h->r, &added, err);
	if (s == SL_OK && !found)
		s = sl_db_run(
			db, sl_db_ask(db, Q_TOTAL_ADD, "iiii", (int64_t)1, (int64_t)0, (int64_t)0, (int64_t)0), err);
	if (s == SL_OK && here.n < h->n)
		s = add_lines(db, h, here.n, err);
	if (s == SL_OK && h->r.verdict.state == SL_REVIEW_DECIDED && !h->unsent)
		s = sl_db_run(db, sl_db_ask(db, Q_OUT_DROP, "s", h->r.key), err);
	return s;
}

struct restore {
	const struct sl_review_history *h;
	int n;
};

static enum sl_status restore_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	const struct restore *r = arg;
	enum sl_status s = SL_OK;
	for (int i = 0; i < r->n && s == SL_OK; i++)
		s = restore_one(db, &r->h[i], err);
	return s;
}

enum sl_status sl_sqlite_restore(void *self, const struct sl_review_history *h, int n, struct sl_err *err)
{
	struct sl_reviews_file *f = self;
	struct restore r = {h, n};
	return sl_writer_run(f->writer, restore_job, &r, SL_FOREVER, err);
}
