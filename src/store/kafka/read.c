/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading without a group, and how far groups are. One partition is read ahead at a time: who
 * pages through it goes on without a seek.
 */
#include "base/mem.h"
#include "store/batch.h"
#include "store/kafka/client.h"
#include <stdio.h>

/* ListOffsets takes these for times. */
enum { AT_END = -1, AT_BEGIN = -2 };

static rd_kafka_topic_partition_list_t *list_of(const char *full, int first, int n, int64_t offset)
{
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(n);
	for (int p = first; p < first + n; p++)
		rd_kafka_topic_partition_list_add(l, full, p)->offset = offset;
	return l;
}

static enum sl_status list_offsets(
	struct sl_kafka *k, rd_kafka_topic_partition_list_t *l, const char *full, struct sl_err *err)
{
	rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(k->ask, l, (int)k->opt.request_ms);
	for (int i = 0; i < l->cnt && !code; i++)
		code = l->elems[i].err;
	if (!code)
		return SL_OK;
	rd_kafka_poll(k->ask, 0);
	if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
		sl_kafka_topics_forget(k);
	return sl_kafka_fail(k, &k->trouble, err, code, full, NULL);
}

/* ---- read ---- */

static void halt(struct sl_stream *s)
{
	if (s->runs)
		rd_kafka_consume_stop(s->rkt, s->partition);
	s->runs = false;
}

void sl_kafka_read_close(struct sl_kafka *k)
{
	halt(&k->stream);
	if (k->stream.rkt)
		rd_kafka_topic_destroy(k->stream.rkt);
	k->stream.rkt = NULL;
}

static void point_at(struct sl_kafka *k, const char *topic, const char *full, int partition)
{
	struct sl_stream *s = &k->stream;
	if (s->rkt && s->partition == partition && !strcmp(s->topic, topic))
		return;
	sl_kafka_read_close(k);
	*s = (struct sl_stream){.partition = partition, .rkt = rd_kafka_topic_new(k->ask, full, NULL)};
	SL_COPY(s->topic, topic);
}

/* The stream gives the message after position next. */
static enum sl_status run(struct sl_kafka *k, int64_t position, struct sl_err *err)
{
	struct sl_stream *s = &k->stream;
	if (s->runs && s->next == position + 1)
		return SL_OK;
	halt(s);
	if (rd_kafka_consume_start(s->rkt, s->partition, position + 1))
		return sl_kafka_fail(k, NULL, err, rd_kafka_last_error(), s->topic, NULL);
	s->runs = true;
	s->next = position + 1;
	return SL_OK;
}

/* Takes one message; *ret_more: whether to go on. */
static enum sl_status take_one(
	struct sl_kafka *k, int64_t until, struct sl_batch_builder *b, bool *ret_more, struct sl_err *err)
{
	struct sl_stream *s = &k->stream;
	enum sl_status st = SL_OK;
	*ret_more = true;
	rd_kafka_message_t *m = rd_kafka_consume(s->rkt, s->partition, sl_kafka_ms(until, SL_KAFKA_TICK_MS));
	if (!m) {
		rd_kafka_poll(k->ask, 0);
		if (sl_is_past(until))
			st = sl_kafka_fail(k, &k->trouble, err, RD_KAFKA_RESP_ERR__TIMED_OUT, s->topic, NULL);
		return st;
	}
	if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
		*ret_more = m->offset < s->next; /* one that was on its way from before */
	} else if (m->err) {
		enum sl_status what = sl_kafka_status(m->err);
		if (!sl_status_is_retriable(what) || sl_is_past(until))
			st = sl_kafka_fail(k, &k->trouble, err, m->err, s->topic, NULL);
	} else if (m->offset >= s->next) {
		*ret_more = sl_kafka_take(b, s->topic, m);
		if (*ret_more)
			s->next = m->offset + 1;
		else
			halt(s); /* it comes again */
	}
	rd_kafka_message_destroy(m);
	return st;
}

static enum sl_status read_on(
	struct sl_kafka *k, const char *full, int64_t position, int max, struct sl_batch_builder *b, struct sl_err *err)
{
	struct sl_stream *s = &k->stream;
	int64_t until = sl_deadline_ms(k->opt.request_ms);
	if (position + 1 >= s->end) {
		rd_kafka_topic_partition_list_t *l = list_of(full, s->partition, 1, AT_END);
		enum sl_status st = list_offsets(k, l, full, err);
		s->end = l->elems[0].offset;
		rd_kafka_topic_partition_list_destroy(l);
		if (st != SL_OK)
			return st;
	}
	if (position + 1 >= s->end)
		return SL_OK;
	enum sl_status st = run(k, position, err);
	for (bool more = true; st == SL_OK && more && b->n < max && s->next < s->end;)
		st = take_one(k, until, b, &more, err);
	if (s->next >= s->end)
		halt(s); /* fetches nothing while nobody asks */
	return b->n ? SL_OK : st;
}

enum sl_status sl_kafka_read(void *self, const char *topic, int partition, int64_t position, int max,
	struct sl_batch *ret, struct sl_err *err)
{
	struct sl_kafka *k = self;
	struct sl_batch_builder b = {0};
	char full[SL_KAFKA_NAME];
	int n = 0;
	enum sl_status s = sl_kafka_topic(k, topic, false, SL_FOREVER, &n, err);
	if (s != SL_OK || partition < 0 || partition >= n)
		return s;
	sl_kafka_full_name(k, topic, full);
	pthread_mutex_lock(&k->stream_lock);
	point_at(k, topic, full, partition);
	s = read_on(k, full, position, max, &b, err);
	if (s != SL_OK)
		sl_kafka_read_close(k);
	pthread_mutex_unlock(&k->stream_lock);
	if (b.n)
		sl_batch_end(&b, ret);
	else
		sl_batch_drop(&b);
	return s;
}

/* ---- lag ---- */

/* Fills l with the offsets that group committed; below 0 where it has none. */
static enum sl_status list_committed(
	struct sl_kafka *k, const char *group, rd_kafka_topic_partition_list_t *l, struct sl_err *err)
{
	char full[SL_KAFKA_NAME], why[64];
	sl_kafka_full_name(k, group, full);
	rd_kafka_ListConsumerGroupOffsets_t *q = rd_kafka_ListConsumerGroupOffsets_new(full, l);
	rd_kafka_AdminOptions_t *opt = rd_kafka_AdminOptions_new(k->ask, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
	rd_kafka_AdminOptions_set_request_timeout(opt, (int)k->opt.request_ms, why, sizeof(why));
	rd_kafka_queue_t *queue = rd_kafka_queue_new(k->ask);
	rd_kafka_ListConsumerGroupOffsets(k->ask, &q, 1, opt, queue);
	rd_kafka_event_t *ev = rd_kafka_queue_poll(queue, (int)k->opt.request_ms + SL_KAFKA_TICK_MS);
	rd_kafka_resp_err_t code = ev ? rd_kafka_event_error(ev) : RD_KAFKA_RESP_ERR__TIMED_OUT;
	const rd_kafka_ListConsumerGroupOffsets_result_t *r =
		ev ? rd_kafka_event_ListConsumerGroupOffsets_result(ev) : NULL;
	size_t n = 0;
	const rd_kafka_group_result_t **each = r ? rd_kafka_ListConsumerGroupOffsets_result_groups(r, &n) : NULL;
	if (!code && n && rd_kafka_group_result_error(each[0]))
		code = rd_kafka_error_code(rd_kafka_group_result_error(each[0]));
	const rd_kafka_topic_partition_list_t *got = !code && n ? rd_kafka_group_result_partitions(each[0]) : NULL;
	for (int i = 0; got && i < got->cnt; i++) {
		rd_kafka_topic_partition_t *to =
			rd_kafka_topic_partition_list_find(l, got->elems[i].topic, got->elems[i].partition);
		if (to)
			to->offset = got->elems[i].offset;
		code = code ? code : got->elems[i].err;
	}
	enum sl_status s = code ? sl_kafka_fail(k, &k->trouble, err, code, full, NULL) : SL_OK;
	if (ev)
		rd_kafka_event_destroy(ev);
	rd_kafka_queue_destroy(queue);
	rd_kafka_AdminOptions_destroy(opt);
	rd_kafka_ListConsumerGroupOffsets_destroy(q);
	return s;
}

enum sl_status sl_kafka_lag(void *self, const char *group, const char *topic, int64_t *ret, struct sl_err *err)
{
	struct sl_kafka *k = self;
	char full[SL_KAFKA_NAME];
	int n = 0;
	enum sl_status s = sl_kafka_topic(k, topic, false, SL_FOREVER, &n, err);
	*ret = 0;
	if (s != SL_OK || !n)
		return s;
	sl_kafka_full_name(k, topic, full);
	rd_kafka_topic_partition_list_t *begin = list_of(full, 0, n, AT_BEGIN), *end = list_of(full, 0, n, AT_END),
					*at = list_of(full, 0, n, RD_KAFKA_OFFSET_INVALID);
	s = list_offsets(k, begin, full, err);
	if (s == SL_OK && group)
		s = list_committed(k, group, at, err);
	if (s == SL_OK)
		s = list_offsets(k, end, full, err);
	for (int p = 0; p < n && s == SL_OK; p++) {
		int64_t from = SL_MAX(begin->elems[p].offset, at->elems[p].offset);
		*ret += SL_MAX(end->elems[p].offset - from, 0);
	}
	rd_kafka_topic_partition_list_destroy(begin);
	rd_kafka_topic_partition_list_destroy(end);
	rd_kafka_topic_partition_list_destroy(at);
	return s;
}
