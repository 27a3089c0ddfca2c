/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite/reviews_file.h"

/* One change of one review: all that a vote and an undo share. */
struct change {
	struct sl_reviews_file *f;
	const char *key;
	const struct sl_vote *vote; /* NULL: an undo */
	const char *voter;
	struct sl_verdict verdict;
};

enum sl_status sl_reviews_file_status(struct sl_db *db, const char *key, struct sl_status_row *ret, struct sl_err *err)
{
	bool row;
	sqlite3_stmt *q = sl_db_ask(db, Q_STATUS, "s", key);
	enum sl_status s = sl_db_row(db, q, &row, err);
	if (s != SL_OK)
		return s;
	if (!row)
		return sl_fail(err, SL_NOT_FOUND, "no review %.63s", key);
	*ret = (struct sl_status_row){sqlite3_column_int64(q, 0), sqlite3_column_int(q, 1), sqlite3_column_int(q, 2),
		sqlite3_column_int(q, 3), sqlite3_column_int(q, 4)};
	sqlite3_reset(q);
	return sl_reviews_file_check(key, ret->state, ret->cap, err);
}

/* Drops leases that are over, and the voter's own (a vote ends it): what is left is the others'. */
static enum sl_status drop_leases(struct sl_db *db, const char *voter, struct sl_status_row *st, struct sl_err *err)
{
	if (!st->held)
		return SL_OK;
	enum sl_status s = sl_db_run(db, sl_db_ask(db, Q_LEASE_STALE, "ii", st->seq, sl_now_ms()), err);
	st->held -= s == SL_OK ? sqlite3_changes(db->h) : 0;
	if (s == SL_OK && st->held)
		s = sl_db_run(db, sl_db_ask(db, Q_LEASE_DROP, "si", voter, st->seq), err);
	st->held -= s == SL_OK && st->held ? sqlite3_changes(db->h) : 0;
	return s;
}

static enum sl_status count_voter(
	struct sl_db *db, const char *voter, int64_t votes, int64_t decided, int64_t agreed, struct sl_err *err)
{
	return sl_db_run(db, sl_db_ask(db, Q_VOTER_ADD, "siii", voter, votes, decided, agreed), err);
}

static enum sl_status write_decision(struct sl_db *db, const struct sl_status_row *st, const struct sl_vote_line *line,
	int n, int64_t seq, const struct sl_verdict *v, struct sl_err *err)
{
	struct sl_vote live[SL_VOTES_MAX];
	int nlive = sl_lines_live(line, n, live);
	enum sl_status s = sl_db_run(db, sl_db_ask(db, Q_OUT_ADD, "ii", seq, st->seq), err);
	for (int i = 0; i < nlive && s == SL_OK; i++)
		s = count_voter(db, live[i].voter, 0, 1, live[i].choice == v->choice, err);
	return s;
}

static enum sl_status write_status(struct sl_db *db, struct sl_status_row *st, const struct sl_verdict *v, int64_t seq,
	int64_t votes, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	if (v->state != SL_REVIEW_OPEN && st->held) {
		st->held = 0; /* nobody's vote is wanted any more */
		s = sl_db_run(db, sl_db_ask(db, Q_LEASE_CLEAR, "i", st->seq), err);
	}
	sqlite3_stmt *q = sl_db_ask(db, Q_STATUS_SET, "iiiiiiii", st->seq, (int64_t)v->state, (int64_t)v->choice,
		(int64_t)v->by_expert, (int64_t)v->votes, (int64_t)v->agree, (int64_t)st->held, seq);
	if (s == SL_OK)
		s = sl_db_run(db, q, err);
	int64_t delta[3] = {0};
	delta[st->state]--;
	delta[v->state]++;
	return s == SL_OK ? sl_db_run(db, sl_db_ask(db, Q_TOTAL_ADD, "iiii", delta[0], delta[1], delta[2], votes), err)
			  : s;
}

enum sl_status sl_reviews_file_write(struct sl_db *db, struct sl_status_row *st, const struct sl_vote_line *line, int n,
	const struct sl_verdict *v, struct sl_err *err)
{
	const struct sl_vote_line *l = &line[n];
	int64_t delta = l->undo ? -1 : 1;
	enum sl_status s = sl_db_run(db,
		sl_db_ask(db, Q_LINE_ADD, "issiiii", st->seq, l->vote.voter, l->vote.id, (int64_t)l->vote.choice,
			(int64_t)l->vote.expert, l->vote.time_ms, (int64_t)l->undo),
		err);
	int64_t seq = sqlite3_last_insert_rowid(db->h);
	if (s == SL_OK)
		s = sl_db_run(db, sl_db_ask(db, l->undo ? Q_VOTE_DROP : Q_VOTE_ADD, "si", l->vote.voter, st->seq), err);
	if (s == SL_OK)
		s = count_voter(db, l->vote.voter, delta, 0, 0, err);
	if (s == SL_OK)
		s = write_status(db, st, v, seq, delta, err);
	if (s == SL_OK && v->state == SL_REVIEW_DECIDED)
		s = write_decision(db, st, line, n + 1, seq, v, err);
	return s;
}

static enum sl_status change_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	struct change *c = arg;
	struct sl_status_row st = {0};
	SL_AUTOFREE struct sl_vote_line *line = NULL;
	bool again = false;
	int n = 0;
	enum sl_status s = sl_reviews_file_status(db, c->key, &st, err);
	if (s == SL_OK && c->vote)
		s = drop_leases(db, c->voter, &st, err);
	if (s == SL_OK)
		s = sl_reviews_file_lines(db, st.seq, &line, &n, err);
	if (s == SL_OK && c->vote)
		s = sl_lines_vote(line, n, st.cap, st.held, c->vote, &again, &c->verdict, err);
	else if (s == SL_OK)
		s = sl_lines_undo(line, n, st.cap, c->voter, &c->verdict, err);
	if (s == SL_OK && again)
		return sl_fail(
			err, SL_EXISTS, "vote %s is counted already", c->vote->id); /* undoes drop_leases; see below */
	if (s != SL_OK)
		return s;
	line[n].vote.time_ms = sl_now_ms();
	return sl_reviews_file_write(db, &st, line, n, &c->verdict, err);
}

static enum sl_status change(struct change *c, struct sl_verdict *ret, struct sl_err *err)
{
	enum sl_status s = sl_writer_run(c->f->writer, change_job, c, SL_FOREVER, err);
	if (s != SL_OK && s != SL_EXISTS)
		return s;
	*ret = c->verdict;
	return SL_OK; /* EXISTS: the same vote again changes nothing and has the same answer */
}

enum sl_status sl_sqlite_vote(
	void *self, const char *key, const struct sl_vote *vote, struct sl_verdict *ret, struct sl_err *err)
{
	struct change c = {.f = self, .key = key, .vote = vote, .voter = vote->voter};
	return change(&c, ret, err);
}

enum sl_status sl_sqlite_undo(
	void *self, const char *key, const char *voter, struct sl_verdict *ret, struct sl_err *err)
{
	struct change c = {.f = self, .key = key, .voter = voter};
	return change(&c, ret, err);
}
