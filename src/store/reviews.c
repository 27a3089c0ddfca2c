/* SPDX-License-Identifier: Apache-2.0 */
#include "store/reviews.h"
#include "base/mem.h"
#include "store/meter.h"
#include "store/registry.h"
#include "store/rules.h"
#include <pthread.h>

struct sl_reviews {
	struct sl_reviews_impl impl;
};

enum call {
	ADD,
	POSITION,
	LEASE,
	VOTE,
	UNDO,
	EXPIRE,
	GET,
	SCAN,
	PENDING_OUT,
	SENT,
	VOTES,
	STATS,
	VOTER,
	ORDER,
	HISTORY,
	RESTORE,
	CALLS
};
static struct sl_meter meter[CALLS] = {{.call = "add"}, {.call = "position"}, {.call = "lease"}, {.call = "vote"},
	{.call = "undo"}, {.call = "expire"}, {.call = "get"}, {.call = "scan"}, {.call = "pending_out"},
	{.call = "sent"}, {.call = "votes"}, {.call = "stats"}, {.call = "voter"}, {.call = "order"},
	{.call = "history"}, {.call = "restore"}};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_meter(void)
{
	sl_meter_init(SL_STORE_REVIEWS, meter, CALLS);
}

/* CALL(VOTE, vote, key, ...) calls the backend's function under its meter. */
#define CALL(call, fn, ...) SL_METERED(meter[call], s->impl.ops->fn(s->impl.self, __VA_ARGS__))

static enum sl_status check_key(const char *key, struct sl_err *err)
{
	size_t n = strlen(key);
	return n && n < SL_KEY
		       ? SL_OK
		       : sl_fail(err, SL_INVALID, "review key '%.40s': 1 to %d bytes are wanted", key, SL_KEY - 1);
}

static enum sl_status check_name(const char *what, const char *s, struct sl_err *err)
{
	return sl_name_is_valid(s)
		       ? SL_OK
		       : sl_fail(err, SL_INVALID, "%s '%.40s': 1 to %d letters, digits or . _ - @ are wanted", what, s,
				 SL_VOTER - 1);
}

enum sl_status sl_reviews_open(
	const char *url, const struct sl_config *cfg, struct sl_reviews **ret, struct sl_err *err)
{
	pthread_once(&once, init_meter);
	struct sl_reviews_impl impl;
	enum sl_status st = sl_registry_reviews(url, cfg, &impl, err);
	if (st != SL_OK)
		return st;
	*ret = SL_NEW(struct sl_reviews);
	(*ret)->impl = impl;
	return SL_OK;
}

void sl_reviews_close(struct sl_reviews *s)
{
	if (!s)
		return;
	s->impl.ops->close(s->impl.self);
	free(s);
}

enum sl_status sl_reviews_add(
	struct sl_reviews *s, const struct sl_review *r, int n, const struct sl_origin *from, struct sl_err *err)
{
	for (int i = 0; i < n; i++) {
		enum sl_status st = check_key(r[i].key, err);
		if (st != SL_OK)
			return st;
		SL_ASSERT(r[i].ncandidate >= 0 && r[i].ncandidate <= SL_CANDIDATES && r[i].cap >= 0 &&
			  r[i].cap <= SL_CAP_MAX);
	}
	return CALL(ADD, add, r, n, from, err);
}

enum sl_status sl_reviews_position(
	struct sl_reviews *s, const char *group, int partition, int64_t *ret, struct sl_err *err)
{
	return CALL(POSITION, position, group, partition, ret, err);
}

enum sl_status sl_reviews_lease(
	struct sl_reviews *s, const char *voter, int n, struct sl_review *ret, int *ret_n, struct sl_err *err)
{
	enum sl_status st = check_name("voter", voter, err);
	if (st != SL_OK)
		return st;
	if (n < 1 || n > SL_LEASE_MAX)
		return sl_fail(err, SL_INVALID, "lease of %d reviews: 1 to %d at once", n, SL_LEASE_MAX);
	*ret_n = 0;
	return CALL(LEASE, lease, voter, n, ret, ret_n, err);
}

enum sl_status sl_reviews_vote(
	struct sl_reviews *s, const char *key, const struct sl_vote *vote, struct sl_verdict *ret, struct sl_err *err)
{
	enum sl_status st = check_key(key, err);
	if (st == SL_OK)
		st = check_name("voter", vote->voter, err);
	if (st == SL_OK)
		st = check_name("vote id", vote->id, err);
	return st != SL_OK ? st : CALL(VOTE, vote, key, vote, ret, err);
}

enum sl_status sl_reviews_undo(
	struct sl_reviews *s, const char *key, const char *voter, struct sl_verdict *ret, struct sl_err *err)
{
	enum sl_status st = check_key(key, err);
	if (st == SL_OK)
		st = check_name("voter", voter, err);
	return st != SL_OK ? st : CALL(UNDO, undo, key, voter, ret, err);
}

enum sl_status sl_reviews_expire(struct sl_reviews *s, int *ret_n, struct sl_err *err)
{
	*ret_n = 0;
	return CALL(EXPIRE, expire, ret_n, err);
}

enum sl_status sl_reviews_get(struct sl_reviews *s, const char *key, struct sl_review *ret, struct sl_vote *votes,
	int *ret_nvotes, struct sl_err *err)
{
	return CALL(GET, get, key, ret, votes, ret_nvotes, err);
}

enum sl_status sl_reviews_scan(struct sl_reviews *s, int state, const char *after, int max, char (*ret)[SL_KEY],
	int *ret_n, struct sl_err *err)
{
	SL_ASSERT(max > 0 && state >= -1 && state <= SL_REVIEW_DECIDED);
	*ret_n = 0;
	return CALL(SCAN, scan, state, after ? after : "", max, ret, ret_n, err);
}

enum sl_status sl_reviews_pending_out(
	struct sl_reviews *s, int max, struct sl_review *ret, int *ret_n, struct sl_err *err)
{
	*ret_n = 0;
	return CALL(PENDING_OUT, pending_out, max, ret, ret_n, err);
}

enum sl_status sl_reviews_sent(struct sl_reviews *s, char (*keys)[SL_KEY], int n, struct sl_err *err)
{
	return n <= 0 ? SL_OK : CALL(SENT, sent, keys, n, err);
}

enum sl_status sl_reviews_votes(
	struct sl_reviews *s, int64_t after_seq, int max, struct sl_vote_line *ret, int *ret_n, struct sl_err *err)
{
	*ret_n = 0;
	return CALL(VOTES, votes, after_seq, max, ret, ret_n, err);
}

enum sl_status sl_reviews_stats(struct sl_reviews *s, struct sl_review_stats *ret, struct sl_err *err)
{
	return CALL(STATS, stats, ret, err);
}

enum sl_status sl_reviews_voter(struct sl_reviews *s, const char *voter, int64_t *ret_votes, int64_t *ret_decided,
	int64_t *ret_agreed, struct sl_err *err)
{
	return CALL(VOTER, voter, voter, ret_votes, ret_decided, ret_agreed, err);
}

void sl_review_history_done(struct sl_review_history *h)
{
	free(h->line);
	*h = (struct sl_review_history){0};
}

enum sl_status sl_reviews_order(struct sl_reviews *s, char cursor[SL_REVIEW_CURSOR], int max, char (*ret)[SL_KEY],
	int *ret_n, struct sl_err *err)
{
	SL_ASSERT(max > 0);
	*ret_n = 0;
	return CALL(ORDER, order, cursor, max, ret, ret_n, err);
}

enum sl_status sl_reviews_history(
	struct sl_reviews *s, char (*keys)[SL_KEY], int n, struct sl_review_history *ret, struct sl_err *err)
{
	SL_ASSERT(n <= SL_HISTORY_MAX);
	memset(ret, 0, sizeof(*ret) * (size_t)SL_MAX(n, 0));
	enum sl_status st = n <= 0 ? SL_OK : CALL(HISTORY, history, keys, n, ret, err);
	for (int i = 0; st != SL_OK && i < n; i++)
		sl_review_history_done(&ret[i]);
	return st;
}

enum sl_status sl_reviews_restore(struct sl_reviews *s, const struct sl_review_history *h, int n, struct sl_err *err)
{
	SL_ASSERT(n <= SL_HISTORY_MAX);
	for (int i = 0; i < n; i++) {
		enum sl_status st = check_key(h[i].r.key, err);
		if (st == SL_OK)
			st = sl_history_check(&h[i], err);
		if (st != SL_OK)
			return st;
	}
	return n <= 0 ? SL_OK : CALL(RESTORE, restore, h, n, err);
}
