/* SPDX-License-Identifier: Apache-2.0
 *
 * What sqlite/reviews.c (rows out and in), reviews_vote.c (votes) and reviews_lease.c (leases)
 * share. `line` is the vote log, and the truth: `vote`, `voter`, `total` and the counts of
 * `status` follow from it, inside the same transaction. `review` never changes.
 */
#pragma once
#include "base/clock.h"
#include "base/mem.h"
#include "store/rules.h"
#include "store/sqlite/openset.h"
#include "store/sqlite/sqlite.h"
#include "store/sqlite/writer.h"

enum sl_reviews_query {
	Q_ADD,
	Q_ADD_STATUS,
	Q_POSITION,
	Q_POSITION_SET,
	Q_BY_KEY,
	Q_BY_SEQ,
	Q_STATUS,
	Q_STATUS_SET,
	Q_LINES,
	Q_LINE_ADD,
	Q_VOTE_ADD,
	Q_VOTE_DROP,
	Q_VOTER_ADD,
	Q_VOTER,
	Q_TOTAL,
	Q_TOTAL_ADD,
	Q_OUT_ADD,
	Q_OUT,
	Q_OUT_DROP,
	Q_OUT_COUNT,
	Q_SCAN_ALL,
	Q_SCAN_STATE,
	Q_SCAN_TIE,
	Q_LOG,
	Q_LEASE_ADD,
	Q_LEASE_RENEW,
	Q_LEASE_DROP,
	Q_LEASE_CLEAR,
	Q_LEASE_STALE,
	Q_LEASES_OF,
	Q_LEASES_LIVE,
	Q_LEASES_EXPIRED,
	Q_HOLD,
	Q_LET_GO,
	Q_OPEN,
	Q_NEW,
	Q_FEED,
	Q_VOTED,
	Q_LAST_LINE,
	Q_LAST_REVIEW,
	Q_ORDER,
	Q_IS_OUT,
	Q_REVIEWS_COUNT
};

struct sl_reviews_file {
	struct sl_writer *writer;
	struct sl_readers *readers;
	int cap;
	int64_t lease_ms;
	/* The writer's thread alone: */
	struct sl_openset *open;
	bool is_loaded; /* open is as the file was at last_line and last_review */
	int64_t last_line, last_review;
};

struct sl_status_row {
	int64_t seq;
	int state, votes, held, cap;
};

/* Fills ret from Q_BY_KEY or Q_BY_SEQ; *ret_found false when there is none. */
enum sl_status sl_reviews_file_read(struct sl_db *db, sqlite3_stmt *q, struct sl_review *ret, int64_t *ret_seq,
	bool *ret_found, struct sl_err *err);
/* The lines of one review; *ret has room for one more; free(). */
enum sl_status sl_reviews_file_lines(
	struct sl_db *db, int64_t seq, struct sl_vote_line **ret, int *ret_n, struct sl_err *err);

/* Adds a review that is not there: opened_ms and cap are r's. *ret_added false: it is there. */
enum sl_status sl_reviews_file_add(struct sl_db *db, const struct sl_review *r, bool *ret_added, struct sl_err *err);
/* Writes line[n] (its time set), which makes v the verdict, with all that follows from it. */
enum sl_status sl_reviews_file_write(struct sl_db *db, struct sl_status_row *st, const struct sl_vote_line *line, int n,
	const struct sl_verdict *v, struct sl_err *err);
/* CORRUPT when no review can have these. */
enum sl_status sl_reviews_file_check(const char *key, int state, int cap, struct sl_err *err);
/* NOT_FOUND when there is no such review. */
enum sl_status sl_reviews_file_status(struct sl_db *db, const char *key, struct sl_status_row *ret, struct sl_err *err);

enum sl_status sl_sqlite_order(void *self, char *cursor, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err);
enum sl_status sl_sqlite_history(
	void *self, char (*keys)[SL_KEY], int n, struct sl_review_history *ret, struct sl_err *err);
enum sl_status sl_sqlite_restore(void *self, const struct sl_review_history *h, int n, struct sl_err *err);
enum sl_status sl_sqlite_vote(
	void *self, const char *key, const struct sl_vote *vote, struct sl_verdict *ret, struct sl_err *err);
enum sl_status sl_sqlite_undo(
	void *self, const char *key, const char *voter, struct sl_verdict *ret, struct sl_err *err);
enum sl_status sl_sqlite_lease(
	void *self, const char *voter, int n, struct sl_review *ret, int *ret_n, struct sl_err *err);
enum sl_status sl_sqlite_expire(void *self, int *ret_n, struct sl_err *err);
