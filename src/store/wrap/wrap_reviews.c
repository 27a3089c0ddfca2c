/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wrap/forward.h"

struct wrap {
	struct sl_hook *hook;
	struct sl_reviews_impl in;
};

/* What these calls give needs no release: a lost answer is left to the caller's buffers. */
#define CALL(fn, ...) FORWARD("reviews", #fn, w->hook, w->in.ops->fn(w->in.self, __VA_ARGS__), )

static void close_reviews(void *self)
{
	struct wrap *w = self;
	w->in.ops->close(w->in.self);
	w->hook->free(w->hook);
	free(w);
}

static enum sl_status add(
	void *self, const struct sl_review *r, int n, const struct sl_origin *from, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(add, r, n, from, err);
}

static enum sl_status position(void *self, const char *group, int partition, int64_t *ret, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(position, group, partition, ret, err);
}

static enum sl_status lease(void *self, const char *voter, int n, struct sl_review *ret, int *ret_n, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(lease, voter, n, ret, ret_n, err);
}

static enum sl_status vote(
	void *self, const char *key, const struct sl_vote *vote, struct sl_verdict *ret, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(vote, key, vote, ret, err);
}

static enum sl_status undo(void *self, const char *key, const char *voter, struct sl_verdict *ret, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(undo, key, voter, ret, err);
}

static enum sl_status expire(void *self, int *ret_n, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(expire, ret_n, err);
}

static enum sl_status get(
	void *self, const char *key, struct sl_review *ret, struct sl_vote *votes, int *ret_nvotes, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(get, key, ret, votes, ret_nvotes, err);
}

static enum sl_status scan(
	void *self, int state, const char *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(scan, state, after, max, ret, ret_n, err);
}

static enum sl_status pending_out(void *self, int max, struct sl_review *ret, int *ret_n, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(pending_out, max, ret, ret_n, err);
}

static enum sl_status sent(void *self, char (*keys)[SL_KEY], int n, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(sent, keys, n, err);
}

static enum sl_status votes(
	void *self, int64_t after_seq, int max, struct sl_vote_line *ret, int *ret_n, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(votes, after_seq, max, ret, ret_n, err);
}

static enum sl_status stats(void *self, struct sl_review_stats *ret, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(stats, ret, err);
}

static enum sl_status voter(void *self, const char *voter, int64_t *ret_votes, int64_t *ret_decided,
	int64_t *ret_agreed, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(voter, voter, ret_votes, ret_decided, ret_agreed, err);
}

static enum sl_status order(void *self, char *cursor, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	struct wrap *w = self;
	char at[SL_REVIEW_CURSOR];
	memcpy(at, cursor, sizeof(at));
	enum sl_status s = CALL(order, at, max, ret, ret_n, err);
	if (s == SL_OK)
		memcpy(cursor, at, sizeof(at));
	return s;
}

static void drop(struct sl_review_history *h, int n)
{
	for (int i = 0; i < n; i++)
		sl_review_history_done(&h[i]);
}

static enum sl_status history(
	void *self, char (*keys)[SL_KEY], int n, struct sl_review_history *ret, struct sl_err *err)
{
	struct wrap *w = self;
	return FORWARD("reviews", "history", w->hook, w->in.ops->history(w->in.self, keys, n, ret, err), drop(ret, n));
}

static enum sl_status restore(void *self, const struct sl_review_history *h, int n, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(restore, h, n, err);
}

static const struct sl_reviews_ops ops = {
	.close = close_reviews,
	.add = add,
	.position = position,
	.lease = lease,
	.vote = vote,
	.undo = undo,
	.expire = expire,
	.get = get,
	.scan = scan,
	.pending_out = pending_out,
	.sent = sent,
	.votes = votes,
	.stats = stats,
	.voter = voter,
	.order = order,
	.history = history,
	.restore = restore,
};

struct sl_reviews_impl sl_wrap_reviews(struct sl_hook *h, struct sl_reviews_impl inner)
{
	struct wrap *w = SL_NEW(struct wrap);
	*w = (struct wrap){h, inner};
	return (struct sl_reviews_impl){&ops, w};
}
