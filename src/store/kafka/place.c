/* SPDX-License-Identifier: Apache-2.0
 *
 * How far a topic is and how far a group is. Groups are asked by handles that have the group's name and never
 * join it: what they commit counts only while it has no member. (librdkafka 2.0.2 crashes when
 * ListConsumerGroupOffsets meets a broker that has not had a group yet.)
 */
#include "base/mem.h"
#include "store/kafka/client.h"

enum sl_status sl_kafka_last(void *self, const char *topic, int partition, int64_t *ret, struct sl_err *err)
{
	struct sl_kafka *k = self;
	char full[SL_KAFKA_NAME];
	int n = 0;
	*ret = -1;
	enum sl_status s = sl_kafka_topic(k, topic, false, SL_FOREVER, &n, err);
	if (s != SL_OK || partition < 0 || partition >= n)
		return s;
	sl_kafka_full_name(k, topic, full);
	rd_kafka_topic_partition_list_t *l = sl_kafka_list(full, partition, 1, SL_KAFKA_END);
	s = sl_kafka_offsets(k, l, full, err);
	if (s == SL_OK)
		*ret = l->elems[0].offset - 1;
	rd_kafka_topic_partition_list_destroy(l);
	return s;
}

/* ---- groups ---- */

struct sl_asker {
	struct sl_trouble trouble; /* first: the handle's opaque */
	rd_kafka_t *rk;
	char group[SL_KAFKA_NAME];
	struct sl_asker *next;
};

static void asker_free(struct sl_asker *a)
{
	if (a->rk)
		rd_kafka_destroy(a->rk);
	sl_trouble_done(&a->trouble);
	free(a);
}

/* Kept until the log is closed: there are few groups, and they are asked again and again. */
static enum sl_status asker_of(struct sl_kafka *k, const char *group, struct sl_asker **ret, struct sl_err *err)
{
	char full[SL_KAFKA_NAME];
	enum sl_status s = SL_OK;
	sl_kafka_full_name(k, group, full);
	pthread_mutex_lock(&k->lock);
	struct sl_asker *a = k->asker;
	while (a && strcmp(a->group, full))
		a = a->next;
	if (!a) {
		a = SL_NEW(struct sl_asker);
		rd_kafka_conf_t *conf = rd_kafka_conf_dup(k->opt.consume);
		rd_kafka_conf_set(conf, "group.id", full, NULL, 0);
		SL_COPY(a->group, full);
		sl_trouble_init(&a->trouble);
		s = sl_kafka_handle(k, RD_KAFKA_CONSUMER, conf, &a->trouble, &a->rk, err);
		if (s == SL_OK) {
			a->next = k->asker;
			k->asker = a;
		} else {
			asker_free(a);
		}
	}
	pthread_mutex_unlock(&k->lock);
	*ret = a;
	return s;
}

void sl_kafka_askers_close(struct sl_kafka *k)
{
	for (struct sl_asker *a = k->asker, *next; a; a = next) {
		next = a->next;
		asker_free(a);
	}
	k->asker = NULL;
}

enum sl_status sl_kafka_offsets_committed(
	struct sl_kafka *k, const char *group, rd_kafka_topic_partition_list_t *l, struct sl_err *err)
{
	struct sl_asker *a = NULL;
	enum sl_status s = asker_of(k, group, &a, err);
	if (s != SL_OK)
		return s;
	rd_kafka_resp_err_t code = rd_kafka_committed(a->rk, l, (int)k->opt.request_ms);
	for (int i = 0; i < l->cnt && !code; i++)
		code = l->elems[i].err;
	if (!code)
		return SL_OK;
	rd_kafka_poll(a->rk, 0);
	return sl_kafka_fail(k, &a->trouble, err, code, a->group, NULL);
}

enum sl_status sl_kafka_committed(
	void *self, const char *group, const char *topic, int partition, int64_t *ret, struct sl_err *err)
{
	struct sl_kafka *k = self;
	char full[SL_KAFKA_NAME];
	sl_kafka_full_name(k, topic, full);
	rd_kafka_topic_partition_list_t *l = sl_kafka_list(full, partition, 1, RD_KAFKA_OFFSET_INVALID);
	enum sl_status s = sl_kafka_offsets_committed(k, group, l, err);
	if (s == SL_OK)
		*ret = SL_MAX(l->elems[0].offset, 0) - 1;
	rd_kafka_topic_partition_list_destroy(l);
	return s;
}

/* The broker takes offsets from outside a group only while that has no member. */
static bool has_members(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || code == RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP ||
	       code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS || code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION;
}

enum sl_status sl_kafka_commit_to(
	void *self, const char *group, const char *topic, int partition, int64_t position, struct sl_err *err)
{
	struct sl_kafka *k = self;
	struct sl_asker *a = NULL;
	char full[SL_KAFKA_NAME];
	enum sl_status s = asker_of(k, group, &a, err);
	if (s != SL_OK)
		return s;
	sl_kafka_full_name(k, topic, full);
	rd_kafka_topic_partition_list_t *l = sl_kafka_list(full, partition, 1, position + 1);
	rd_kafka_resp_err_t code = rd_kafka_commit(a->rk, l, 0);
	rd_kafka_topic_partition_list_destroy(l);
	rd_kafka_poll(a->rk, 0);
	if (has_members(code))
		return sl_fail(err, SL_BUSY, "kafka %.60s: group %s has members; stop those processes", k->opt.brokers,
			a->group);
	return code ? sl_kafka_fail(k, &a->trouble, err, code, a->group, NULL) : SL_OK;
}
