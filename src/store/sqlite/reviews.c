/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite/reviews_file.h"
#include <stdio.h>

#define ROW \
	"SELECT r.seq, r.key, r.opened, r.time, r.frame, r.device, r.bundle, r.cap, r.candidates, s.state, s.choice," \
	" s.by_expert, s.votes, s.agree FROM review r JOIN status s ON s.seq = r.seq "
#define LINE "l.voter, l.id, l.choice, l.expert, l.time, l.undo"

static const char *const query[Q_REVIEWS_COUNT] = {
	[Q_ADD] = "INSERT INTO review (key, opened, time, frame, device, bundle, cap, candidates)"
		  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
	[Q_ADD_STATUS] = "INSERT INTO status (seq, cap) VALUES (?1, ?2)",
	[Q_POSITION] = "SELECT position FROM position WHERE grp = ?1 AND partition = ?2",
	[Q_POSITION_SET] = "INSERT INTO position (grp, partition, position) VALUES (?1, ?2, ?3)"
			   " ON CONFLICT DO UPDATE SET position = ?3",
	[Q_BY_KEY] = ROW "WHERE r.key = ?1",
	[Q_BY_SEQ] = ROW "WHERE r.seq = ?1",
	[Q_STATUS] =
		"SELECT s.seq, s.state, s.votes, s.held, s.cap FROM review r JOIN status s ON s.seq = r.seq WHERE r.key = ?1",
	[Q_STATUS_SET] = "UPDATE status SET state = ?2, choice = ?3, by_expert = ?4, votes = ?5, agree = ?6, held = ?7,"
			 " decided = ?8 WHERE seq = ?1",
	[Q_LINES] = "SELECT " LINE " FROM line l WHERE l.review = ?1 ORDER BY l.seq",
	[Q_LINE_ADD] =
		"INSERT INTO line (review, voter, id, choice, expert, time, undo) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[Q_VOTE_ADD] = "INSERT INTO vote (voter, review) VALUES (?1, ?2)",
	[Q_VOTE_DROP] = "DELETE FROM vote WHERE voter = ?1 AND review = ?2",
	[Q_VOTER_ADD] =
		"INSERT INTO voter (voter, votes, decided, agreed) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET"
		" votes = votes + ?2, decided = decided + ?3, agreed = agreed + ?4",
	[Q_VOTER] = "SELECT votes, decided, agreed FROM voter WHERE voter = ?1",
	[Q_TOTAL] = "SELECT open, tie, decided, votes FROM total",
	[Q_TOTAL_ADD] = "UPDATE total SET open = open + ?1, tie = tie + ?2, decided = decided + ?3, votes = votes + ?4",
	[Q_OUT_ADD] = "INSERT INTO outbox (line, review) VALUES (?1, ?2)",
	[Q_OUT] = "SELECT review FROM outbox ORDER BY line LIMIT ?1",
	[Q_OUT_DROP] = "DELETE FROM outbox WHERE line = (SELECT s.decided FROM review r JOIN status s ON s.seq = r.seq"
		       " WHERE r.key = ?1)",
	[Q_OUT_COUNT] = "SELECT count(*) FROM outbox",
	[Q_SCAN_ALL] = "SELECT key FROM review WHERE key > ?2 ORDER BY key LIMIT ?3",
	/* Most reviews are open or decided: a walk by key finds a page of them soon. Ties are few. */
	[Q_SCAN_STATE] =
		"SELECT r.key FROM review r CROSS JOIN status s ON s.seq = r.seq WHERE r.key > ?2 AND +s.state = ?1"
		" ORDER BY r.key LIMIT ?3",
	[Q_SCAN_TIE] =
		"SELECT r.key FROM status s CROSS JOIN review r ON s.seq = r.seq WHERE s.state = 1 AND r.key > ?2"
		" ORDER BY r.key LIMIT ?3",
	[Q_LOG] = "SELECT " LINE ", l.seq, r.key FROM line l JOIN review r ON r.seq = l.review WHERE l.seq > ?1"
		  " ORDER BY l.seq LIMIT ?2",
	[Q_LEASE_ADD] = "INSERT INTO lease (voter, review, until) VALUES (?1, ?2, ?3)",
	[Q_LEASE_RENEW] = "UPDATE lease SET until = ?3 WHERE voter = ?1 AND review = ?2",
	[Q_LEASE_DROP] = "DELETE FROM lease WHERE voter = ?1 AND review = ?2",
	[Q_LEASE_CLEAR] = "DELETE FROM lease WHERE review = ?1",
	[Q_LEASE_STALE] = "DELETE FROM lease WHERE review = ?1 AND until <= ?2",
	[Q_LEASES_OF] = "SELECT review FROM lease WHERE voter = ?1 ORDER BY until, review LIMIT ?2",
	[Q_LEASES_LIVE] = "SELECT count(*) FROM lease WHERE until > ?1",
	[Q_LEASES_EXPIRED] = "SELECT voter, review FROM lease WHERE until <= ?1 LIMIT ?2",
	[Q_HOLD] = "UPDATE status SET held = held + 1 WHERE seq = ?1 AND state = 0 AND votes + held < cap",
	[Q_LET_GO] = "UPDATE status SET held = held - 1 WHERE seq = ?1",
	[Q_OPEN] = "SELECT seq, votes FROM status WHERE state = 0",
	[Q_NEW] = "SELECT seq FROM review WHERE seq > ?1 ORDER BY seq",
	[Q_FEED] = "SELECT l.seq, l.review, l.voter, l.undo, s.state, s.votes FROM line l CROSS JOIN status s"
		   " ON s.seq = l.review WHERE l.seq > ?1 ORDER BY l.seq",
	[Q_VOTED] = "SELECT review FROM vote WHERE voter = ?1 AND review >= ?2",
	[Q_LAST_LINE] = "SELECT max(seq) FROM line",
	[Q_LAST_REVIEW] = "SELECT max(seq) FROM review",
	[Q_ORDER] = "SELECT seq, key FROM review WHERE seq > ?1 ORDER BY seq LIMIT ?2",
	[Q_IS_OUT] = "SELECT count(*) FROM outbox WHERE line = (SELECT decided FROM status WHERE seq = ?1)",
};

static const struct sl_schema schema = {
	.name = "reviews",
	.application_id = 0x736c7276, /* "slrv" */
	.version = 1,
	.sql = "CREATE TABLE review (seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, opened INTEGER NOT NULL,"
	       " time INTEGER NOT NULL, frame TEXT NOT NULL, device TEXT NOT NULL, bundle TEXT NOT NULL, cap INTEGER NOT NULL,"
	       " candidates TEXT NOT NULL);"
	       "CREATE TABLE status (seq INTEGER PRIMARY KEY, cap INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0,"
	       " votes INTEGER NOT NULL DEFAULT 0, held INTEGER NOT NULL DEFAULT 0, choice INTEGER NOT NULL DEFAULT 0,"
	       " by_expert INTEGER NOT NULL DEFAULT 0, agree INTEGER NOT NULL DEFAULT 0, decided INTEGER);"
	       "CREATE INDEX status_open ON status (seq) WHERE state = 0;"
	       "CREATE INDEX status_tie ON status (seq) WHERE state = 1;"
	       "CREATE TABLE line (seq INTEGER PRIMARY KEY, review INTEGER NOT NULL, voter TEXT NOT NULL, id TEXT NOT NULL,"
	       " choice INTEGER NOT NULL, expert INTEGER NOT NULL, time INTEGER NOT NULL, undo INTEGER NOT NULL);"
	       "CREATE INDEX line_review ON line (review);"
	       "CREATE TRIGGER line_stays BEFORE UPDATE ON line BEGIN SELECT raise(ABORT, 'the vote log is append-only'); END;"
	       "CREATE TRIGGER line_lasts BEFORE DELETE ON line BEGIN SELECT raise(ABORT, 'the vote log is append-only'); END;"
	       "CREATE TABLE vote (voter TEXT NOT NULL, review INTEGER NOT NULL, PRIMARY KEY (voter, review)) WITHOUT ROWID;"
	       "CREATE TABLE lease (voter TEXT NOT NULL, review INTEGER NOT NULL, until INTEGER NOT NULL,"
	       " PRIMARY KEY (voter, review)) WITHOUT ROWID;"
	       "CREATE INDEX lease_until ON lease (until);"
	       "CREATE INDEX lease_review ON lease (review);"
	       "CREATE TABLE outbox (line INTEGER PRIMARY KEY, review INTEGER NOT NULL);"
	       "CREATE TABLE voter (voter TEXT PRIMARY KEY, votes INTEGER NOT NULL, decided INTEGER NOT NULL,"
	       " agreed INTEGER NOT NULL) WITHOUT ROWID;"
	       "CREATE TABLE total (open INTEGER NOT NULL, tie INTEGER NOT NULL, decided INTEGER NOT NULL,"
	       " votes INTEGER NOT NULL);"
	       "INSERT INTO total VALUES (0, 0, 0, 0);"
	       "CREATE TABLE position (grp TEXT NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL,"
	       " PRIMARY KEY (grp, partition)) WITHOUT ROWID;",
	.query = query,
	.nquery = Q_REVIEWS_COUNT,
};

/* "12:0.875,3:0.0625" */
static void print_candidates(const struct sl_review *r, char *ret, size_t size)
{
	size_t at = 0;
	*ret = 0;
	for (int i = 0; i < r->ncandidate; i++)
		at += (size_t)snprintf(ret + at, size - at, "%s%d:%.9g", i ? "," : "", r->candidate[i].cls,
			(double)r->candidate[i].confidence);
}

static void parse_candidates(const char *s, struct sl_review *ret)
{
	int n;
	for (ret->ncandidate = 0; ret->ncandidate < SL_CANDIDATES; ret->ncandidate++, s += n) {
		struct sl_candidate *c = &ret->candidate[ret->ncandidate];
		if (sscanf(s, "%d:%f%n", &c->cls, &c->confidence, &n) != 2)
			break;
		n += s[n] == ',';
	}
}

enum sl_status sl_reviews_file_read(
	struct sl_db *db, sqlite3_stmt *q, struct sl_review *ret, int64_t *ret_seq, bool *ret_found, struct sl_err *err)
{
	enum sl_status s = sl_db_row(db, q, ret_found, err);
	if (s != SL_OK || !*ret_found)
		return s;
	*ret = (struct sl_review){.opened_ms = sqlite3_column_int64(q, 2),
		.time_ms = sqlite3_column_int64(q, 3),
		.cap = sqlite3_column_int(q, 7)};
	if (ret_seq)
		*ret_seq = sqlite3_column_int64(q, 0);
	sl_db_text(q, 1, ret->key, sizeof(ret->key));
	sl_db_text(q, 4, ret->frame, sizeof(ret->frame));
	sl_db_text(q, 5, ret->device, sizeof(ret->device));
	sl_db_text(q, 6, ret->bundle, sizeof(ret->bundle));
	parse_candidates((const char *)sqlite3_column_text(q, 8), ret);
	ret->verdict = (struct sl_verdict){(enum sl_review_state)sqlite3_column_int(q, 9), sqlite3_column_int(q, 10),
		sqlite3_column_int(q, 11) != 0, sqlite3_column_int(q, 12), sqlite3_column_int(q, 13)};
	sqlite3_reset(q);
	return s;
}

enum sl_status sl_reviews_file_check(const char *key, int state, int cap, struct sl_err *err)
{
	if (state >= SL_REVIEW_OPEN && state <= SL_REVIEW_DECIDED && cap >= 1 && cap <= SL_CAP_MAX)
		return SL_OK;
	return sl_fail(
		err, SL_CORRUPT, "review %.63s is damaged: state %d, cap %d; restore it from a copy", key, state, cap);
}

/* The columns LINE. */
static void read_line(sqlite3_stmt *q, struct sl_vote_line *ret)
{
	struct sl_vote *v = &ret->vote;
	*ret = (struct sl_vote_line){0};
	sl_db_text(q, 0, v->voter, sizeof(v->voter));
	sl_db_text(q, 1, v->id, sizeof(v->id));
	v->choice = sqlite3_column_int(q, 2);
	v->expert = sqlite3_column_int(q, 3) != 0;
	v->time_ms = sqlite3_column_int64(q, 4);
	ret->undo = sqlite3_column_int(q, 5) != 0;
}

enum sl_status sl_reviews_file_lines(
	struct sl_db *db, int64_t seq, struct sl_vote_line **ret, int *ret_n, struct sl_err *err)
{
	enum sl_status s;
	bool row;
	int n = 0, size = 16;
	struct sl_vote_line *line = SL_NEW_N(struct sl_vote_line, (size_t)size);
	sqlite3_stmt *q = sl_db_ask(db, Q_LINES, "i", seq);
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row) {
		read_line(q, &line[n++]);
		if (n == size)
			line = sl_realloc(line, (size_t)(size *= 2), sizeof(*line));
	}
	*ret = line;
	*ret_n = n;
	return s;
}

struct add {
	const struct sl_reviews_file *f;
	const struct sl_review *r;
	int n;
	const struct sl_origin *from;
};

enum sl_status sl_reviews_file_add(struct sl_db *db, const struct sl_review *r, bool *ret_added, struct sl_err *err)
{
	char candidates[SL_CANDIDATES * 32];
	print_candidates(r, candidates, sizeof(candidates));
	enum sl_status s = sl_db_run(db,
		sl_db_ask(db, Q_ADD, "siisssis", r->key, r->opened_ms, r->time_ms, r->frame, r->device, r->bundle,
			(int64_t)r->cap, candidates),
		err);
	*ret_added = s == SL_OK && sqlite3_changes(db->h) > 0;
	int64_t seq = sqlite3_last_insert_rowid(db->h);
	return *ret_added ? sl_db_run(db, sl_db_ask(db, Q_ADD_STATUS, "ii", seq, (int64_t)r->cap), err) : s;
}

static enum sl_status add_one(
	struct sl_db *db, const struct add *a, const struct sl_review *r, int64_t *added, struct sl_err *err)
{
	struct sl_review now = *r;
	bool is_new;
	now.opened_ms = sl_now_ms();
	now.cap = r->cap ? r->cap : a->f->cap;
	enum sl_status s = sl_reviews_file_add(db, &now, &is_new, err);
	*added += is_new;
	return s;
}

static enum sl_status add_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	struct add *a = arg;
	const struct sl_origin *from = a->from;
	int64_t done = -1, added = 0, none = 0;
	enum sl_status s = SL_OK;
	if (from)
		s = sl_db_int(
			db, sl_db_ask(db, Q_POSITION, "si", from->group, (int64_t)from->partition), -1, &done, err);
	if (s != SL_OK || (from && from->position <= done))
		return s;
	for (int i = 0; i < a->n && s == SL_OK; i++)
		s = add_one(db, a, &a->r[i], &added, err);
	if (s == SL_OK && added)
		s = sl_db_run(db, sl_db_ask(db, Q_TOTAL_ADD, "iiii", added, none, none, none), err);
	if (s == SL_OK && from)
		s = sl_db_run(db,
			sl_db_ask(db, Q_POSITION_SET, "sii", from->group, (int64_t)from->partition, from->position),
			err);
	return s;
}

static enum sl_status add(
	void *self, const struct sl_review *r, int n, const struct sl_origin *from, struct sl_err *err)
{
	struct add a = {self, r, n, from};
	return sl_writer_run(a.f->writer, add_job, &a, SL_FOREVER, err);
}

/* READ(f, db, expr): the status of expr, run inside a read transaction of f on the connection db. */
#define READ(f, db, expr) \
	({ \
		struct sl_db *db = NULL; \
		enum sl_status s_ = sl_readers_take((f)->readers, &db, err); \
		if (s_ == SL_OK) \
			s_ = (expr); \
		sl_readers_give((f)->readers, db); \
		s_; \
	})

static enum sl_status position(void *self, const char *group, int partition, int64_t *ret, struct sl_err *err)
{
	struct sl_reviews_file *f = self;
	return READ(f, db, sl_db_int(db, sl_db_ask(db, Q_POSITION, "si", group, (int64_t)partition), -1, ret, err));
}

static enum sl_status read_review(struct sl_db *db, const char *key, struct sl_review *ret, struct sl_vote *votes,
	int *ret_nvotes, struct sl_err *err)
{
	bool found;
	int64_t seq;
	enum sl_status s = sl_reviews_file_read(db, sl_db_ask(db, Q_BY_KEY, "s", key), ret, &seq, &found, err);
	if (s == SL_OK && !found)
		return sl_fail(err, SL_NOT_FOUND, "no review %.63s", key);
	if (s == SL_OK) /* leases and the outbox go on without this */
		s = sl_reviews_file_check(key, (int)ret->verdict.state, ret->cap, err);
	if (s != SL_OK || !votes)
		return s;
	SL_AUTOFREE struct sl_vote_line *line = NULL;
	int n;
	s = sl_reviews_file_lines(db, seq, &line, &n, err);
	if (s == SL_OK)
		*ret_nvotes = sl_lines_live(line, n, votes);
	return s;
}

static enum sl_status get(
	void *self, const char *key, struct sl_review *ret, struct sl_vote *votes, int *ret_nvotes, struct sl_err *err)
{
	struct sl_reviews_file *f = self;
	return READ(f, db, read_review(db, key, ret, votes, ret_nvotes, err));
}

static enum sl_status read_keys(struct sl_db *db, sqlite3_stmt *q, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	bool row;
	enum sl_status s;
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row)
		sl_db_text(q, 0, ret[(*ret_n)++], SL_KEY);
	return s;
}

static enum sl_status scan(
	void *self, int state, const char *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	struct sl_reviews_file *f = self;
	int which = state < 0 ? Q_SCAN_ALL : state == SL_REVIEW_TIE ? Q_SCAN_TIE : Q_SCAN_STATE;
	return READ(f, db,
		read_keys(db, sl_db_ask(db, which, "isi", (int64_t)state, after, (int64_t)max), ret, ret_n, err));
}

static enum sl_status read_outbox(struct sl_db *db, int max, struct sl_review *ret, int *ret_n, struct sl_err *err)
{
	sqlite3_stmt *q = sl_db_ask(db, Q_OUT, "i", (int64_t)max);
	bool row, found;
	enum sl_status s;
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row) {
		s = sl_reviews_file_read(db, sl_db_ask(db, Q_BY_SEQ, "i", (int64_t)sqlite3_column_int64(q, 0)),
			&ret[*ret_n], NULL, &found, err);
		if (s != SL_OK)
			break;
		*ret_n += found;
	}
	return s;
}

static enum sl_status pending_out(void *self, int max, struct sl_review *ret, int *ret_n, struct sl_err *err)
{
	struct sl_reviews_file *f = self;
	return READ(f, db, read_outbox(db, max, ret, ret_n, err));
}

struct sent {
	char (*keys)[SL_KEY];
	int n;
};

static enum sl_status sent_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	struct sent *a = arg;
	enum sl_status s = SL_OK;
	for (int i = 0; i < a->n && s == SL_OK; i++)
		s = sl_db_run(db, sl_db_ask(db, Q_OUT_DROP, "s", a->keys[i]), err);
	return s;
}

static enum sl_status sent(void *self, char (*keys)[SL_KEY], int n, struct sl_err *err)
{
	struct sl_reviews_file *f = self;
	struct sent a = {keys, n};
	return sl_writer_run(f->writer, sent_job, &a, SL_FOREVER, err);
}

static enum sl_status read_log(
	struct sl_db *db, int64_t after, int max, struct sl_vote_line *ret, int *ret_n, struct sl_err *err)
{
	sqlite3_stmt *q = sl_db_ask(db, Q_LOG, "ii", after, (int64_t)max);
	bool row;
	enum sl_status s;
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row) {
		struct sl_vote_line *l = &ret[(*ret_n)++];
		read_line(q, l);
		l->seq = sqlite3_column_int64(q, 6);
		sl_db_text(q, 7, l->key, sizeof(l->key));
	}
	return s;
}

static enum sl_status votes(
	void *self, int64_t after_seq, int max, struct sl_vote_line *ret, int *ret_n, struct sl_err *err)
{
	struct sl_reviews_file *f = self;
	return READ(f, db, read_log(db, after_seq, max, ret, ret_n, err));
}

static enum sl_status read_stats(struct sl_db *db, struct sl_review_stats *ret, struct sl_err *err)
{
	bool row;
	struct sl_review_stats st = {0};
	sqlite3_stmt *q = sl_db_ask(db, Q_TOTAL, "");
	enum sl_status s = sl_db_row(db, q, &row, err);
	if (s == SL_OK && row) {
		st = (struct sl_review_stats){.open = sqlite3_column_int64(q, 0),
			.tie = sqlite3_column_int64(q, 1),
			.decided = sqlite3_column_int64(q, 2),
			.votes = sqlite3_column_int64(q, 3)};
		sqlite3_reset(q);
	}
	if (s == SL_OK)
		s = sl_db_int(db, sl_db_ask(db, Q_LEASES_LIVE, "i", sl_now_ms()), 0, &st.leases, err);
	if (s == SL_OK)
		s = sl_db_int(db, sl_db_ask(db, Q_OUT_COUNT, ""), 0, &st.unsent, err);
	if (s == SL_OK)
		*ret = st;
	return s;
}

static enum sl_status stats(void *self, struct sl_review_stats *ret, struct sl_err *err)
{
	struct sl_reviews_file *f = self;
	return READ(f, db, read_stats(db, ret, err));
}

static enum sl_status read_voter(struct sl_db *db, const char *voter, int64_t ret[3], struct sl_err *err)
{
	bool row;
	sqlite3_stmt *q = sl_db_ask(db, Q_VOTER, "s", voter);
	enum sl_status s = sl_db_row(db, q, &row, err);
	for (int i = 0; i < 3 && s == SL_OK; i++)
		ret[i] = row ? sqlite3_column_int64(q, i) : 0;
	if (row)
		sqlite3_reset(q);
	return s;
}

static enum sl_status voter(void *self, const char *voter, int64_t *ret_votes, int64_t *ret_decided,
	int64_t *ret_agreed, struct sl_err *err)
{
	struct sl_reviews_file *f = self;
	int64_t count[3];
	enum sl_status s = READ(f, db, read_voter(db, voter, count, err));
	if (s != SL_OK)
		return s;
	*ret_votes = count[0];
	*ret_decided = count[1];
	*ret_agreed = count[2];
	return SL_OK;
}

static void forget(void *arg)
{
	((struct sl_reviews_file *)arg)->is_loaded = false;
}

static void close_reviews(void *self)
{
	struct sl_reviews_file *f = self;
	sl_writer_free(f->writer);
	sl_readers_free(f->readers);
	sl_openset_free(f->open);
	free(f);
}

static enum sl_status open_reviews(struct sl_url *url, const struct sl_config *cfg, void **ret, struct sl_err *err)
{
	struct sl_db *db = NULL;
	enum sl_status s = sl_db_open(url->path, &schema, true, &db, err);
	if (s != SL_OK)
		return s;
	struct sl_reviews_file *f = SL_NEW(struct sl_reviews_file);
	f->cap = (int)sl_config_int(cfg, "reviews.cap");
	f->lease_ms = sl_config_int(cfg, "reviews.lease_ms");
	f->open = sl_openset_new();
	f->writer = sl_writer_new(db, forget, f);
	f->readers = sl_readers_new(url->path, &schema);
	*ret = f;
	return SL_OK;
}

const struct sl_reviews_ops sl_sqlite_reviews = {
	.open = open_reviews,
	.close = close_reviews,
	.add = add,
	.position = position,
	.lease = sl_sqlite_lease,
	.vote = sl_sqlite_vote,
	.undo = sl_sqlite_undo,
	.expire = sl_sqlite_expire,
	.get = get,
	.scan = scan,
	.pending_out = pending_out,
	.sent = sent,
	.votes = votes,
	.stats = stats,
	.voter = voter,
	.order = sl_sqlite_order,
	.history = sl_sqlite_history,
	.restore = sl_sqlite_restore,
};
