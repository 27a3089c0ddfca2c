/* SPDX-License-Identifier: Apache-2.0
 *
 * What mongodb/reviews.c (documents out and in), reviews_change.c (votes), reviews_lease.c
 * (leases) and reviews_log.c (the vote log) share. Thread: any that may block.
 */
#pragma once
#include "store/mongodb/doc.h"
#include <pthread.h>
#include <stdatomic.h>

enum {
	SL_MONGO_TURNS = 64, /* locks that callers of this process take by key, so that a crowd queues here */
	SL_MONGO_CHANGE_MS = 20000, /* most time that a change is tried again for */
	SL_MONGO_STAMP_BITS = 20,
	SL_MONGO_EXACT = 10000, /* more reviews than this are counted anew only every ... */
	SL_MONGO_COUNT_MS = 10000,
};

struct sl_reviews_db {
	struct sl_mongo *m;
	int cap;
	int64_t lease_ms;
	_Atomic int64_t last_stamp, window, away_us; /* away_us: when a change last found no server */
	pthread_mutex_t turn[SL_MONGO_TURNS];
	pthread_mutex_t count_lock;
	struct sl_review_stats counted; /* open, tie, decided, votes; under count_lock */
	int64_t counted_us;
	bool gave_up; /* counting took the server too long */
};

/* Any number of that ms, or, where it is not behind `before`, of the next ms' worth behind that: the very next one may be
 * another review's. */
int64_t sl_mongo_seq_after(int64_t before, int64_t time_ms);
/* Grows in this process; unique among all but for one in a million in the same ms. */
int64_t sl_mongo_stamp(struct sl_reviews_db *f);

/* What a decision wants written. */
enum sl_mongo_write { SL_MONGO_NOTHING, SL_MONGO_LEASES, SL_MONGO_LINE };

/* Changes one review: decide() sees it as it is and makes it as it is to be, until the update
 * hits. decide may be called again with a later state, where it must see what it wrote itself
 * in an update whose answer was lost. d: the review as read just now, or an empty one; done by
 * the caller. */
struct sl_mongo_change {
	enum sl_status (*decide)(
		struct sl_mongo_doc *d, struct sl_mongo_change *c, enum sl_mongo_write *ret, struct sl_err *err);
	const char *key;
	struct sl_reviews_db *f;
	const struct sl_vote *vote; /* NULL: an undo */
	const char *voter;
	int64_t now_ms, until_ms, seq; /* seq: of the line */
	struct sl_verdict verdict;
	bool got;
	int dropped;
};
/* Calls fn for each document of the query, until it fails; destroys filter and opts. */
typedef enum sl_status (*sl_mongo_doc_fn)(struct sl_reviews_db *f, const bson_t *doc, void *arg, struct sl_err *err);
enum sl_status sl_mongo_each(
	struct sl_reviews_db *f, bson_t *filter, bson_t *opts, sl_mongo_doc_fn fn, void *arg, struct sl_err *err);
enum sl_status sl_mongo_change(struct sl_mongo_change *c, struct sl_mongo_doc *d, struct sl_err *err);
enum sl_status sl_mongo_read(struct sl_reviews_db *f, const char *key, struct sl_mongo_doc *ret, struct sl_err *err);

enum sl_status sl_mongodb_order(void *self, char *cursor, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err);
enum sl_status sl_mongodb_history(
	void *self, char (*keys)[SL_KEY], int n, struct sl_review_history *ret, struct sl_err *err);
enum sl_status sl_mongodb_restore(void *self, const struct sl_review_history *h, int n, struct sl_err *err);
enum sl_status sl_mongodb_vote(
	void *self, const char *key, const struct sl_vote *vote, struct sl_verdict *ret, struct sl_err *err);
enum sl_status sl_mongodb_undo(
	void *self, const char *key, const char *voter, struct sl_verdict *ret, struct sl_err *err);
enum sl_status sl_mongodb_lease(
	void *self, const char *voter, int n, struct sl_review *ret, int *ret_n, struct sl_err *err);
enum sl_status sl_mongodb_expire(void *self, int *ret_n, struct sl_err *err);
enum sl_status sl_mongodb_votes(
	void *self, int64_t after_seq, int max, struct sl_vote_line *ret, int *ret_n, struct sl_err *err);
