/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics: how many partitions they have, and making them. No lock is held while the broker is
 * asked: a slow one must not hold up those who know the answer.
 */
#include "base/mem.h"
#include "store/kafka/client.h"
#include <stdio.h>

enum { LOOK_AGAIN_MS = 20 };

static int recall(struct sl_kafka *k, const char *topic)
{
	int n = 0;
	pthread_mutex_lock(&k->lock);
	for (int i = 0; i < k->nsize; i++)
		if (!strcmp(k->size[i].topic, topic))
			n = k->size[i].partitions;
	pthread_mutex_unlock(&k->lock);
	return n;
}

static void remember(struct sl_kafka *k, const char *topic, int n)
{
	int i = 0;
	pthread_mutex_lock(&k->lock);
	while (i < k->nsize && strcmp(k->size[i].topic, topic))
		i++;
	if (i < SL_KAFKA_TOPICS) {
		SL_COPY(k->size[i].topic, topic);
		k->size[i].partitions = n;
		k->nsize = SL_MAX(k->nsize, i + 1);
	}
	pthread_mutex_unlock(&k->lock);
}

void sl_kafka_topics_forget(struct sl_kafka *k)
{
	pthread_mutex_lock(&k->lock);
	k->nsize = 0;
	pthread_mutex_unlock(&k->lock);
}

/* *ret 0: there is none. -1: it is being made, and has no leader everywhere. */
static enum sl_status ask(struct sl_kafka *k, const char *full, int ms, int *ret, struct sl_err *err)
{
	const struct rd_kafka_metadata *md;
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(k->ask, full, NULL);
	rd_kafka_resp_err_t code = rkt ? rd_kafka_metadata(k->ask, 0, rkt, &md, ms) : rd_kafka_last_error();
	if (rkt)
		rd_kafka_topic_destroy(rkt);
	if (code) {
		rd_kafka_poll(k->ask, 0);
		return sl_kafka_fail(k, &k->trouble, err, code, full, NULL);
	}
	sl_trouble_clear(&k->trouble);
	*ret = 0;
	for (int i = 0; i < md->topic_cnt && !code; i++) {
		const struct rd_kafka_metadata_topic *t = &md->topics[i];
		if (strcmp(t->topic, full))
			continue;
		code = t->err;
		*ret = t->partition_cnt;
		for (int p = 0; p < t->partition_cnt; p++)
			if (t->partitions[p].leader < 0)
				*ret = -1;
	}
	rd_kafka_metadata_destroy(md);
	if (code == RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)
		*ret = -1;
	else if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		*ret = 0;
	else if (code)
		return sl_kafka_fail(k, NULL, err, code, full, NULL);
	return SL_OK;
}

static rd_kafka_NewTopic_t *describe(struct sl_kafka *k, const char *full, int partitions, struct sl_err *err)
{
	char why[200], number[24];
	rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(full, partitions, (int)k->opt.replication, why, sizeof(why));
	if (!t) {
		sl_fail(err, SL_USAGE, "kafka: topic %s: %s", full, why);
		return NULL;
	}
	snprintf(number, sizeof(number), "%lld", (long long)k->opt.retention_ms);
	rd_kafka_NewTopic_set_config(t, "retention.ms", number);
	rd_kafka_NewTopic_set_config(t, "cleanup.policy", "delete");
	rd_kafka_NewTopic_set_config(t, "message.timestamp.type", "CreateTime");
	if (k->opt.min_insync) {
		snprintf(number, sizeof(number), "%lld", (long long)k->opt.min_insync);
		rd_kafka_NewTopic_set_config(t, "min.insync.replicas", number);
	}
	return t;
}

/* The answer about the one topic. There may be one meanwhile: that is well. */
static enum sl_status judge(struct sl_kafka *k, const char *full, rd_kafka_event_t *ev, struct sl_err *err)
{
	if (!ev)
		return sl_kafka_fail(k, &k->trouble, err, RD_KAFKA_RESP_ERR__TIMED_OUT, full, NULL);
	rd_kafka_resp_err_t code = rd_kafka_event_error(ev);
	const char *words = rd_kafka_event_error_string(ev);
	const rd_kafka_CreateTopics_result_t *r = rd_kafka_event_CreateTopics_result(ev);
	size_t n = 0;
	const rd_kafka_topic_result_t **each = r ? rd_kafka_CreateTopics_result_topics(r, &n) : NULL;
	if (!code && n) {
		code = rd_kafka_topic_result_error(each[0]);
		words = rd_kafka_topic_result_error_string(each[0]);
	}
	if (!code || code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		return SL_OK;
	char what[SL_KAFKA_NAME + 32];
	snprintf(what, sizeof(what), "topic %s cannot be made", full);
	return sl_kafka_fail(k, NULL, err, code, what, words);
}

static enum sl_status make_topic(struct sl_kafka *k, const char *full, int partitions, int ms, struct sl_err *err)
{
	rd_kafka_NewTopic_t *t = describe(k, full, partitions, err);
	if (!t)
		return SL_USAGE;
	char why[64];
	rd_kafka_AdminOptions_t *opt = rd_kafka_AdminOptions_new(k->ask, RD_KAFKA_ADMIN_OP_CREATETOPICS);
	rd_kafka_AdminOptions_set_request_timeout(opt, ms, why, sizeof(why));
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->ask);
	rd_kafka_CreateTopics(k->ask, &t, 1, opt, q);
	rd_kafka_event_t *ev = rd_kafka_queue_poll(q, ms + SL_KAFKA_TICK_MS);
	enum sl_status s = judge(k, full, ev, err);
	if (ev)
		rd_kafka_event_destroy(ev);
	rd_kafka_queue_destroy(q);
	rd_kafka_AdminOptions_destroy(opt);
	rd_kafka_NewTopic_destroy(t);
	return s;
}

/* make: with so many partitions, when there is none; 0: not. */
static enum sl_status find_topic(
	struct sl_kafka *k, const char *topic, int make, int64_t deadline_us, int *ret, struct sl_err *err)
{
	char full[SL_KAFKA_NAME];
	*ret = recall(k, topic);
	if (*ret)
		return SL_OK;
	sl_kafka_full_name(k, topic, full);
	int64_t until = SL_MIN(deadline_us, sl_deadline_ms(k->opt.request_ms));
	bool made = false;
	for (;;) {
		enum sl_status s = ask(k, full, sl_kafka_ms(until, k->opt.request_ms), ret, err);
		if (s == SL_OK && !*ret && make && !made) {
			s = make_topic(k, full, make, sl_kafka_ms(until, k->opt.request_ms), err);
			made = s == SL_OK;
		}
		if (s != SL_OK)
			return s;
		if (*ret > SL_KAFKA_PARTITIONS)
			return sl_fail(err, SL_UNSUPPORTED, "kafka: topic %s has %d partitions; at most %d are read",
				full, *ret, SL_KAFKA_PARTITIONS);
		if (*ret > 0)
			remember(k, topic, *ret);
		if (*ret > 0 || (!*ret && !make))
			return SL_OK;
		if (sl_is_past(until))
			return sl_fail(err, SL_TIMEOUT, "kafka %.60s: topic %s: its partitions have no leader yet",
				k->opt.brokers, full);
		rd_kafka_poll(k->ask, LOOK_AGAIN_MS);
	}
}

enum sl_status sl_kafka_topic(
	struct sl_kafka *k, const char *topic, bool make, int64_t deadline_us, int *ret, struct sl_err *err)
{
	return find_topic(k, topic, make ? (int)k->opt.partitions : 0, deadline_us, ret, err);
}

enum sl_status sl_kafka_make(void *self, const char *topic, int partitions, struct sl_err *err)
{
	struct sl_kafka *k = self;
	int n = 0;
	if (partitions > SL_KAFKA_PARTITIONS)
		return sl_fail(err, SL_UNSUPPORTED, "topic %s: %d partitions; this log has %d at most", topic,
			partitions, SL_KAFKA_PARTITIONS);
	enum sl_status s = find_topic(k, topic, partitions, SL_FOREVER, &n, err);
	if (s == SL_OK && n < partitions)
		s = sl_fail(err, SL_CONFLICT, "kafka %.60s: topic %s has %d partitions; %d are wanted", k->opt.brokers,
			topic, n, partitions);
	return s;
}

bool sl_kafka_topics_refresh(struct sl_kafka *k, int i)
{
	struct sl_topic_size size = {.topic = ""};
	char full[SL_KAFKA_NAME];
	int now = 0;
	pthread_mutex_lock(&k->lock);
	if (i < k->nsize)
		size = k->size[i];
	pthread_mutex_unlock(&k->lock);
	if (!*size.topic)
		return false;
	sl_kafka_full_name(k, size.topic, full);
	if (ask(k, full, SL_KAFKA_TICK_MS, &now, NULL) == SL_OK && now > 0 && now <= SL_KAFKA_PARTITIONS)
		remember(k, size.topic, now);
	return true;
}
