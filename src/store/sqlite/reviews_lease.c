/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite/reviews_file.h"
#include <stdio.h>

enum { EXPIRE_AT_ONCE = 1000 };

static enum sl_status load(struct sl_reviews_file *f, struct sl_db *db, struct sl_err *err)
{
	bool row;
	sl_openset_clear(f->open);
	sqlite3_stmt *q = sl_db_ask(db, Q_OPEN, "");
	enum sl_status s;
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row)
		sl_openset_put(f->open, sqlite3_column_int64(q, 0), sqlite3_column_int(q, 1));
	if (s == SL_OK)
		s = sl_db_int(db, sl_db_ask(db, Q_LAST_LINE, ""), 0, &f->last_line, err);
	if (s == SL_OK)
		s = sl_db_int(db, sl_db_ask(db, Q_LAST_REVIEW, ""), 0, &f->last_review, err);
	f->is_loaded = s == SL_OK;
	return s;
}

/* Brings the view up to what this transaction sees: reviews and vote lines that any process
 * added since. Leases are not in it: rows are asked for them. */
static enum sl_status follow(struct sl_reviews_file *f, struct sl_db *db, struct sl_err *err)
{
	if (!f->is_loaded)
		return load(f, db, err);
	bool row;
	enum sl_status s;
	sqlite3_stmt *q = sl_db_ask(db, Q_NEW, "i", f->last_review);
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row) {
		f->last_review = sqlite3_column_int64(q, 0);
		sl_openset_put(f->open, f->last_review, 0);
	}
	if (s != SL_OK)
		return s;
	q = sl_db_ask(db, Q_FEED, "i", f->last_line);
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row) {
		int64_t review = sqlite3_column_int64(q, 1);
		bool is_open = sqlite3_column_int(q, 4) == SL_REVIEW_OPEN;
		struct sl_bits *past = sl_openset_voter(f->open, (const char *)sqlite3_column_text(q, 2));
		f->last_line = sqlite3_column_int64(q, 0);
		sl_openset_put(f->open, review, is_open ? sqlite3_column_int(q, 5) : -1);
		if (past)
			sl_openset_mark(past, review, !sqlite3_column_int(q, 3));
	}
	return s;
}

/* The voter's bits, read from the file the first time. */
static enum sl_status past_of(
	struct sl_reviews_file *f, struct sl_db *db, const char *voter, struct sl_bits **ret, struct sl_err *err)
{
	*ret = sl_openset_voter(f->open, voter);
	if (*ret)
		return SL_OK;
	*ret = sl_openset_add_voter(f->open, voter);
	bool row;
	enum sl_status s;
	sqlite3_stmt *q = sl_db_ask(db, Q_VOTED, "si", voter, sl_openset_first(f->open));
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row)
		sl_openset_mark(*ret, sqlite3_column_int64(q, 0), true);
	return s;
}

struct expired {
	char voter[SL_VOTER];
	int64_t review;
};

static enum sl_status drop_expired(struct sl_db *db, int64_t now, int *ret_n, struct sl_err *err)
{
	bool row;
	enum sl_status s;
	int n = 0;
	SL_AUTOFREE struct expired *e = NULL;
	sqlite3_stmt *q = sl_db_ask(db, Q_LEASES_EXPIRED, "ii", now, (int64_t)EXPIRE_AT_ONCE);
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row) {
		if (!e)
			e = SL_NEW_N(struct expired, EXPIRE_AT_ONCE);
		sl_db_text(q, 0, e[n].voter, sizeof(e[n].voter));
		e[n++].review = sqlite3_column_int64(q, 1);
	}
	for (int i = 0; i < n && s == SL_OK; i++) {
		s = sl_db_run(db, sl_db_ask(db, Q_LEASE_DROP, "si", e[i].voter, e[i].review), err);
		if (s == SL_OK)
			s = sl_db_run(db, sl_db_ask(db, Q_LET_GO, "i", e[i].review), err);
	}
	*ret_n += n;
	return s == SL_OK && n == EXPIRE_AT_ONCE ? drop_expired(db, now, ret_n, err) : s;
}

struct lease {
	struct sl_reviews_file *f;
	const char *voter;
	int n, got;
	int64_t seq[SL_LEASE_MAX], until;
	struct sl_review *ret;
};

static enum sl_status renew(struct sl_db *db, struct lease *l, struct sl_err *err)
{
	bool row;
	enum sl_status s;
	sqlite3_stmt *q = sl_db_ask(db, Q_LEASES_OF, "si", l->voter, (int64_t)l->n);
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row)
		l->seq[l->got++] = sqlite3_column_int64(q, 0);
	for (int i = 0; i < l->got && s == SL_OK; i++)
		s = sl_db_run(db, sl_db_ask(db, Q_LEASE_RENEW, "sii", l->voter, l->seq[i], l->until), err);
	return s;
}

static bool holds(const struct lease *l, int64_t review)
{
	for (int i = 0; i < l->got; i++)
		if (l->seq[i] == review)
			return true;
	return false;
}

static enum sl_status find_more(struct sl_db *db, struct lease *l, struct sl_err *err)
{
	struct sl_bits *past = NULL;
	struct sl_openset_at at = {SL_CAP_MAX, -1};
	int64_t review;
	enum sl_status s = follow(l->f, db, err);
	if (s == SL_OK)
		s = past_of(l->f, db, l->voter, &past, err);
	while (s == SL_OK && l->got < l->n && sl_openset_next(l->f->open, past, &at, &review)) {
		if (holds(l, review))
			continue;
		s = sl_db_run(db, sl_db_ask(db, Q_HOLD, "i", review), err);
		if (s != SL_OK || !sqlite3_changes(db->h))
			continue; /* others hold all its places */
		s = sl_db_run(db, sl_db_ask(db, Q_LEASE_ADD, "sii", l->voter, review, l->until), err);
		l->seq[l->got++] = review;
	}
	return s;
}

static enum sl_status lease_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	struct lease *l = arg;
	int64_t now = sl_now_ms();
	int expired = 0;
	bool found;
	l->got = 0;
	l->until = now + l->f->lease_ms;
	enum sl_status s = drop_expired(db, now, &expired, err);
	if (s == SL_OK)
		s = renew(db, l, err);
	if (s == SL_OK && l->got < l->n)
		s = find_more(db, l, err);
	for (int i = 0; i < l->got && s == SL_OK; i++) {
		s = sl_reviews_file_read(db, sl_db_ask(db, Q_BY_SEQ, "i", l->seq[i]), &l->ret[i], NULL, &found, err);
		l->ret[i].lease_until_ms = l->until;
	}
	if (s != SL_OK)
		l->f->is_loaded = false;
	return s;
}

enum sl_status sl_sqlite_lease(
	void *self, const char *voter, int n, struct sl_review *ret, int *ret_n, struct sl_err *err)
{
	struct lease l = {.f = self, .voter = voter, .n = n, .ret = ret};
	enum sl_status s = sl_writer_run(l.f->writer, lease_job, &l, SL_FOREVER, err);
	if (s == SL_OK)
		*ret_n = l.got;
	return s;
}

static enum sl_status expire_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	*(int *)arg = 0;
	return drop_expired(db, sl_now_ms(), arg, err);
}

enum sl_status sl_sqlite_expire(void *self, int *ret_n, struct sl_err *err)
{
	struct sl_reviews_file *f = self;
	return sl_writer_run(f->writer, expire_job, ret_n, SL_FOREVER, err);
}
