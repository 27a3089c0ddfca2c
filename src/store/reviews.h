/* SPDX-License-Identifier: Apache-2.0
 *
 * The review store: crops that wait for people, their leases, votes and verdicts.
 *
 * Each change is one atomic step of one review: a vote is counted, the rules
 * (core/review.h) are asked, and a verdict is written together with its outgoing message
 * (the outbox), or nothing is. The vote log is append-only: an undo is a line of its own,
 * and every verdict can be recomputed from it. One vote per (review, voter); the same
 * vote id again (by the same voter on the same review) gives the answer that it got the
 * first time and changes nothing, also after the vote was undone: an id is used up, a new
 * vote needs a new id. The same id with another choice is CONFLICT.
 *
 * A lease gives a review to a voter for `lease_ms`; leases + votes never exceed the cap
 * (an expert's choice needs no place); an expired lease counts no more (its vote is still
 * taken if there is room). A vote ends its voter's lease, a verdict or a tie all of them.
 * The cap and lease_ms are the settings reviews.cap and reviews.lease_ms; a review keeps
 * the cap that it was opened with.
 *
 * Owner: the caller. Thread: any that may block (never http). Concurrent writes share one
 * disk write. Errors: NOT_FOUND (no such review), CONFLICT (the rules say no: err says
 * why), AWAY/TIMEOUT (unknown: send the same vote id again), BUSY (a crowd on one review or
 * file: ask again).
 */
#pragma once
#include "base/buf.h"
#include "base/config.h"
#include "core/review.h"

enum { SL_LEASE_MAX = 50, SL_REVIEW_LINES = 500 }; /* lines of one review in the vote log */

struct sl_reviews;

enum sl_status sl_reviews_open(
	const char *url, const struct sl_config *cfg, struct sl_reviews **ret, struct sl_err *err);
void sl_reviews_close(struct sl_reviews *s);

/* Insert if absent; `from` (may be NULL) is the message that asked for it: the consumer's
 * position is stored with the effect, and a message at or before it is skipped (OK). */
struct sl_origin {
	const char *group;
	int partition;
	int64_t position;
};
enum sl_status sl_reviews_add(struct sl_reviews *s, const struct sl_review *r, int n, const struct sl_origin *from,
	struct sl_err *err); /* from: of the last of the n */
enum sl_status sl_reviews_position(
	struct sl_reviews *s, const char *group, int partition, int64_t *ret, struct sl_err *err); /* -1: none */

/* Up to n (<= SL_LEASE_MAX) open reviews that voter has neither voted on nor holds; those
 * with most votes first, then those added first. *ret_n may be 0. The same voter asking
 * again gets its live leases first, each with a fresh time limit. */
enum sl_status sl_reviews_lease(
	struct sl_reviews *s, const char *voter, int n, struct sl_review *ret, int *ret_n, struct sl_err *err);
/* vote: voter, id, choice, expert set; time is the store's. ret: the verdict after it. */
enum sl_status sl_reviews_vote(
	struct sl_reviews *s, const char *key, const struct sl_vote *vote, struct sl_verdict *ret, struct sl_err *err);
/* Takes back voter's vote on a review that is not decided; CONFLICT when there is none
 * (after a lost answer: it is done). A tie is open again after it. */
enum sl_status sl_reviews_undo(
	struct sl_reviews *s, const char *key, const char *voter, struct sl_verdict *ret, struct sl_err *err);
enum sl_status sl_reviews_expire(struct sl_reviews *s, int *ret_n, struct sl_err *err); /* drops expired leases */

/* ret->verdict is filled; votes (room for SL_VOTES_MAX) in order, undone ones left out. */
enum sl_status sl_reviews_get(struct sl_reviews *s, const char *key, struct sl_review *ret, struct sl_vote *votes,
	int *ret_nvotes, struct sl_err *err);
/* Keys greater than after, in byte order; state -1: any. */
enum sl_status sl_reviews_scan(struct sl_reviews *s, int state, const char *after, int max, char (*ret)[SL_KEY],
	int *ret_n, struct sl_err *err);

/* The outbox: decided reviews whose label was not yet published, oldest first. */
enum sl_status sl_reviews_pending_out(
	struct sl_reviews *s, int max, struct sl_review *ret, int *ret_n, struct sl_err *err);
enum sl_status sl_reviews_sent(struct sl_reviews *s, char (*keys)[SL_KEY], int n, struct sl_err *err);

struct sl_vote_line { /* one line of the vote log */
	int64_t seq;
	char key[SL_KEY];
	struct sl_vote vote;
	bool undo;
};
/* Lines with a greater seq, in its order. seq grows within a review. While several processes write to one
 * store, a line may become visible after one of another review with a greater seq: later by no more than the
 * writes that were under way (and the difference of the hosts' clocks) when the greater one was read. A walk
 * from the start over a store that nobody writes to finds every line once. */
enum sl_status sl_reviews_votes(
	struct sl_reviews *s, int64_t after_seq, int max, struct sl_vote_line *ret, int *ret_n, struct sl_err *err);

struct sl_review_stats {
	int64_t open, tie, decided, votes, leases, unsent;
};
enum sl_status sl_reviews_stats(struct sl_reviews *s, struct sl_review_stats *ret, struct sl_err *err);
/* What one voter did: votes in all, votes on decided reviews, of these those that agreed. */
enum sl_status sl_reviews_voter(struct sl_reviews *s, const char *voter, int64_t *ret_votes, int64_t *ret_decided,
	int64_t *ret_agreed, struct sl_err *err);

/* ---- moving a store elsewhere (signloop migrate). Nobody else writes to where it goes. ---- */

enum { SL_HISTORY_MAX = 100, SL_REVIEW_CURSOR = 96 };
struct sl_review_history { /* all that is known of a review but its leases */
	struct sl_review r; /* key "": there is none */
	bool unsent; /* it is decided, and its label was not yet published */
	struct sl_vote_line *line; /* of this review, all of them, in order */
	int n;
};
void sl_review_history_done(struct sl_review_history *h);
/* The next keys in the order in which the reviews were added; *ret_n < max: the end. cursor is the
 * backend's: "" at first, then as the last call left it. */
enum sl_status sl_reviews_order(struct sl_reviews *s, char cursor[SL_REVIEW_CURSOR], int max, char (*ret)[SL_KEY],
	int *ret_n, struct sl_err *err);
/* Of n (<= SL_HISTORY_MAX) reviews. */
enum sl_status sl_reviews_history(
	struct sl_reviews *s, char (*keys)[SL_KEY], int n, struct sl_review_history *ret, struct sl_err *err);
/* Makes each of n (<= SL_HISTORY_MAX) reviews what its history says: adds it, or the lines that it has not
 * yet, with their times; the lines' seq is this store's own. Doing it again changes nothing. All or, on an
 * error, any of them. CONFLICT: the review is here, but differs in a field, its lines are not the first of
 * those given, or its label was published from here. CORRUPT: the verdict does not follow from the lines. */
enum sl_status sl_reviews_restore(struct sl_reviews *s, const struct sl_review_history *h, int n, struct sl_err *err);
