/* SPDX-License-Identifier: Apache-2.0 */
#include "store/log.h"
#include "base/digest.h"
#include "base/mem.h"
#include "store/compat.h"
#include "store/meter.h"
#include "store/registry.h"
#include <pthread.h>
#include <stdio.h>

struct sl_log {
	struct sl_log_impl impl;
	char *compat_url; /* NULL: the original's topics are not written */
};

struct sl_consumer {
	const struct sl_log_ops *ops;
	void *self;
};

enum call {
	APPEND,
	CONSUMER_OPEN,
	POLL,
	COMMIT,
	SEEK,
	READ,
	LAG,
	MAKE,
	LAST,
	RESTORE,
	COMMITTED,
	COMMIT_TO,
	IDLE,
	CALLS
};
static struct sl_meter meter[CALLS] = {{.call = "append"}, {.call = "consumer_open"}, {.call = "poll"},
	{.call = "commit"}, {.call = "seek"}, {.call = "read"}, {.call = "lag"}, {.call = "make"}, {.call = "last"},
	{.call = "restore"}, {.call = "committed"}, {.call = "commit_to"}, {.call = "idle"}};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_meter(void)
{
	sl_meter_init(SL_STORE_LOG, meter, CALLS);
}

static enum sl_status check_name(const char *what, const char *s, size_t size, struct sl_err *err)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	if (!n || s[n] || n >= size)
		return sl_fail(
			err, SL_INVALID, "%s '%.40s': 1 to %zu letters, digits or . _ - are wanted", what, s, size - 1);
	return SL_OK;
}

enum sl_status sl_log_open(const char *url, const struct sl_config *cfg, struct sl_log **ret, struct sl_err *err)
{
	pthread_once(&once, init_meter);
	struct sl_log_impl impl;
	enum sl_status s = sl_registry_log(url, cfg, &impl, err);
	if (s != SL_OK)
		return s;
	*ret = SL_NEW(struct sl_log);
	(*ret)->impl = impl;
	return SL_OK;
}

void sl_log_close(struct sl_log *l)
{
	if (!l)
		return;
	l->impl.ops->close(l->impl.self);
	free(l->compat_url);
	free(l);
}

enum sl_status sl_log_compat(struct sl_log *l, const char *url, struct sl_err *err)
{
	enum sl_status s = sl_compat_check_url(url, err);
	if (s != SL_OK)
		return s;
	free(l->compat_url);
	l->compat_url = sl_strdup(url);
	return SL_OK;
}

enum sl_status sl_log_append(struct sl_log *l, const char *topic, const char *key, struct sl_slice body,
	int64_t deadline_us, struct sl_err *err)
{
	struct sl_entry e = {topic, key, body};
	return sl_log_append_many(l, &e, 1, deadline_us, err);
}

static enum sl_status check_entry(const struct sl_entry *e, struct sl_err *err)
{
	enum sl_status s = check_name("topic", e->topic, SL_TOPIC, err);
	if (s != SL_OK)
		return s;
	if (strlen(e->key) >= SL_MESSAGE_KEY)
		return sl_fail(
			err, SL_INVALID, "message key '%.40s...': longer than %d bytes", e->key, SL_MESSAGE_KEY - 1);
	if (e->body.len > SL_MESSAGE_MAX)
		return sl_fail(err, SL_TOO_LARGE, "message '%.79s' of topic %s: %zu bytes; at most %d", e->key,
			e->topic, e->body.len, SL_MESSAGE_MAX);
	return SL_OK;
}

enum sl_status sl_log_append_many(
	struct sl_log *l, const struct sl_entry *e, int n, int64_t deadline_us, struct sl_err *err)
{
	for (int i = 0; i < n; i++) {
		enum sl_status s = check_entry(&e[i], err);
		if (s != SL_OK)
			return s;
	}
	if (n <= 0)
		return SL_OK;
	if (sl_is_past(deadline_us))
		return sl_fail(err, SL_TIMEOUT, "log: the deadline passed before the write began");
	SL_AUTO(sl_compat_done) struct sl_compat more = {0};
	if (l->compat_url) {
		sl_compat_add(&more, l->compat_url, e, n);
		e = more.entry;
		n = more.n;
	}
	int64_t start_us = sl_mono_us();
	enum sl_status s = l->impl.ops->append(l->impl.self, e, n, deadline_us, err);
	return sl_meter_until(&meter[APPEND], start_us, s, deadline_us, err);
}

enum sl_status sl_consumer_open(
	struct sl_log *l, const char *group, const char *topic, struct sl_consumer **ret, struct sl_err *err)
{
	enum sl_status s = check_name("topic", topic, SL_TOPIC, err);
	if (s == SL_OK)
		s = check_name("group", group, SL_MESSAGE_KEY, err);
	if (s != SL_OK)
		return s;
	void *self = NULL;
	s = SL_METERED(meter[CONSUMER_OPEN], l->impl.ops->consumer_open(l->impl.self, group, topic, &self, err));
	if (s != SL_OK)
		return s;
	*ret = SL_NEW(struct sl_consumer);
	**ret = (struct sl_consumer){l->impl.ops, self};
	return SL_OK;
}

void sl_consumer_close(struct sl_consumer *c)
{
	if (!c)
		return;
	c->ops->consumer_close(c->self);
	free(c);
}

enum sl_status sl_consumer_poll(
	struct sl_consumer *c, int max, int64_t deadline_us, struct sl_batch *ret, struct sl_err *err)
{
	max = SL_MIN(max, SL_BATCH_MAX);
	SL_ASSERT(max > 0);
	*ret = (struct sl_batch){0};
	enum sl_status s = c->ops->poll(c->self, max, deadline_us, ret, err);
	return sl_meter_wait(&meter[POLL], s, !ret->n, err);
}

enum sl_status sl_consumer_commit(struct sl_consumer *c, struct sl_err *err)
{
	return SL_METERED(meter[COMMIT], c->ops->commit(c->self, err));
}

void sl_log_where(const char *topic, int partition, int64_t position, char ret[SL_LOG_WHERE])
{
	snprintf(ret, SL_LOG_WHERE, "%s/p%d/%lld", topic, partition, (long long)position);
}

/* What comes from outside may be any number; backends count on from it. */
static int64_t in_range(int64_t position)
{
	return SL_MAX(SL_MIN(position, SL_POSITION_MAX), -1);
}

enum sl_status sl_consumer_seek(struct sl_consumer *c, int partition, int64_t position, struct sl_err *err)
{
	position = in_range(position);
	return SL_METERED(meter[SEEK], c->ops->seek(c->self, partition, position, err));
}

int sl_log_partitions(struct sl_log *l, const char *topic)
{
	return l->impl.ops->partitions(l->impl.self, topic);
}

enum sl_status sl_log_ask_partitions(struct sl_log *l, const char *topic, int *ret, struct sl_err *err)
{
	*ret = sl_log_partitions(l, topic);
	return *ret > 0 ? SL_OK
			: sl_fail(err, SL_AWAY, "topic %s: the log does not say how many partitions it has; is it up?",
				  topic);
}

int sl_log_partition_of(const char *key, int n)
{
	SL_ASSERT(n > 0);
	return (int)(sl_fnv1a(key) % (uint32_t)n);
}

enum sl_status sl_log_read(struct sl_log *l, const char *topic, int partition, int64_t position, int max,
	struct sl_batch *ret, struct sl_err *err)
{
	max = SL_MIN(max, SL_BATCH_MAX);
	SL_ASSERT(max > 0);
	position = in_range(position);
	*ret = (struct sl_batch){0};
	return SL_METERED(meter[READ], l->impl.ops->read(l->impl.self, topic, partition, position, max, ret, err));
}

enum sl_status sl_log_lag(struct sl_log *l, const char *group, const char *topic, int64_t *ret, struct sl_err *err)
{
	return SL_METERED(meter[LAG], l->impl.ops->lag(l->impl.self, group, topic, ret, err));
}

enum sl_status sl_log_make(struct sl_log *l, const char *topic, int partitions, struct sl_err *err)
{
	enum sl_status s = check_name("topic", topic, SL_TOPIC, err);
	SL_ASSERT(partitions > 0);
	return s != SL_OK ? s : SL_METERED(meter[MAKE], l->impl.ops->make(l->impl.self, topic, partitions, err));
}

enum sl_status sl_log_last(struct sl_log *l, const char *topic, int partition, int64_t *ret, struct sl_err *err)
{
	return SL_METERED(meter[LAST], l->impl.ops->last(l->impl.self, topic, partition, ret, err));
}

enum sl_status sl_log_restore(
	struct sl_log *l, const struct sl_message *m, int n, int64_t deadline_us, struct sl_err *err)
{
	SL_ASSERT(n <= SL_BATCH_MAX);
	for (int i = 0; i < n; i++) {
		struct sl_entry e = {m[i].topic, m[i].key, m[i].body};
		enum sl_status s = check_entry(&e, err);
		if (s != SL_OK)
			return s;
		SL_ASSERT(m[i].partition == m->partition && !strcmp(m[i].topic, m->topic));
		if (m[i].position < 0 || m[i].position > SL_POSITION_MAX || (i && m[i].position <= m[i - 1].position))
			return sl_fail(err, SL_INVALID,
				"topic %s, partition %d: position %lld is none, or out of order", m->topic,
				m->partition, (long long)m[i].position);
	}
	return n <= 0 ? SL_OK : SL_METERED(meter[RESTORE], l->impl.ops->restore(l->impl.self, m, n, deadline_us, err));
}

enum sl_status sl_log_committed(
	struct sl_log *l, const char *group, const char *topic, int partition, int64_t *ret, struct sl_err *err)
{
	return SL_METERED(meter[COMMITTED], l->impl.ops->committed(l->impl.self, group, topic, partition, ret, err));
}

enum sl_status sl_log_commit_to(
	struct sl_log *l, const char *group, const char *topic, int partition, int64_t position, struct sl_err *err)
{
	position = in_range(position);
	return SL_METERED(
		meter[COMMIT_TO], l->impl.ops->commit_to(l->impl.self, group, topic, partition, position, err));
}

enum sl_status sl_log_idle(struct sl_log *l, struct sl_err *err)
{
	if (!l->impl.ops->idle)
		return sl_fail(err, SL_UNSUPPORTED, "this log cannot tell who reads it");
	return SL_METERED(meter[IDLE], l->impl.ops->idle(l->impl.self, err));
}
