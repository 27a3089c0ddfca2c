/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wrap/forward.h"

struct wrap {
	struct sl_hook *hook;
	const struct sl_log_ops *ops;
	void *self; /* the log, or one of its consumers (whose hook is the log's) */
};

#define CALL(name, expr, undo) FORWARD("log", name, w->hook, expr, undo)

static void close_log(void *self)
{
	struct wrap *w = self;
	w->ops->close(w->self);
	w->hook->free(w->hook);
	free(w);
}

static enum sl_status append(void *self, const struct sl_entry *e, int n, int64_t deadline_us, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("append", w->ops->append(w->self, e, n, deadline_us, err), );
}

static enum sl_status consumer_open(void *self, const char *group, const char *topic, void **ret, struct sl_err *err)
{
	struct wrap *w = self;
	void *inner = NULL;
	enum sl_status s = CALL("consumer_open", w->ops->consumer_open(w->self, group, topic, &inner, err),
		w->ops->consumer_close(inner));
	if (s != SL_OK)
		return s;
	struct wrap *c = SL_NEW(struct wrap);
	*c = (struct wrap){w->hook, w->ops, inner};
	*ret = c;
	return SL_OK;
}

static void consumer_close(void *consumer)
{
	struct wrap *w = consumer;
	w->ops->consumer_close(w->self);
	free(w);
}

static enum sl_status poll_log(void *consumer, int max, int64_t deadline_us, struct sl_batch *ret, struct sl_err *err)
{
	struct wrap *w = consumer;
	return CALL("poll", w->ops->poll(w->self, max, deadline_us, ret, err), sl_batch_done(ret));
}

static enum sl_status commit(void *consumer, struct sl_err *err)
{
	struct wrap *w = consumer;
	return CALL("commit", w->ops->commit(w->self, err), );
}

static enum sl_status seek(void *consumer, int partition, int64_t position, struct sl_err *err)
{
	struct wrap *w = consumer;
	return CALL("seek", w->ops->seek(w->self, partition, position, err), );
}

static int partitions(void *self, const char *topic)
{
	struct wrap *w = self;
	struct sl_err *err = NULL;
	int n = 0;
	enum sl_status s = CALL("partitions", (n = w->ops->partitions(w->self, topic)) > 0 ? SL_OK : SL_AWAY, );
	return s == SL_OK ? n : 0;
}

static enum sl_status read_log(void *self, const char *topic, int partition, int64_t position, int max,
	struct sl_batch *ret, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("read", w->ops->read(w->self, topic, partition, position, max, ret, err), sl_batch_done(ret));
}

static enum sl_status lag(void *self, const char *group, const char *topic, int64_t *ret, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("lag", w->ops->lag(w->self, group, topic, ret, err), );
}

static enum sl_status make(void *self, const char *topic, int partitions, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("make", w->ops->make(w->self, topic, partitions, err), );
}

static enum sl_status last(void *self, const char *topic, int partition, int64_t *ret, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("last", w->ops->last(w->self, topic, partition, ret, err), );
}

static enum sl_status restore(void *self, const struct sl_message *m, int n, int64_t deadline_us, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("restore", w->ops->restore(w->self, m, n, deadline_us, err), );
}

static enum sl_status committed(
	void *self, const char *group, const char *topic, int partition, int64_t *ret, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("committed", w->ops->committed(w->self, group, topic, partition, ret, err), );
}

static enum sl_status commit_to(
	void *self, const char *group, const char *topic, int partition, int64_t position, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("commit_to", w->ops->commit_to(w->self, group, topic, partition, position, err), );
}

static enum sl_status idle(void *self, struct sl_err *err)
{
	struct wrap *w = self;
	if (!w->ops->idle)
		return sl_fail(err, SL_UNSUPPORTED, "this log cannot tell who reads it");
	return CALL("idle", w->ops->idle(w->self, err), );
}

static const struct sl_log_ops ops = {
	.close = close_log,
	.append = append,
	.consumer_open = consumer_open,
	.consumer_close = consumer_close,
	.poll = poll_log,
	.commit = commit,
	.seek = seek,
	.partitions = partitions,
	.read = read_log,
	.lag = lag,
	.make = make,
	.last = last,
	.restore = restore,
	.committed = committed,
	.commit_to = commit_to,
	.idle = idle,
};

struct sl_log_impl sl_wrap_log(struct sl_hook *h, struct sl_log_impl inner)
{
	struct wrap *w = SL_NEW(struct wrap);
	*w = (struct wrap){h, inner.ops, inner.self};
	return (struct sl_log_impl){&ops, w};
}
