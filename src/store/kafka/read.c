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
enum { AT_END = SL_KAFKA_END, AT_BEGIN = -2, LOOK_AGAIN_MS = 20 };

rd_kafka_topic_partition_list_t *sl_kafka_list(const char *full, int first, int n, int64_t offset)
{
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(n);
	for (int p = first; p < first + n; p++)
		rd_kafka_topic_partition_list_add(l, full, p)->offset = offset;
	return l;
}

/* l's offsets say what is asked for, and are kept unless all are answered. */
static rd_kafka_resp_err_t ask_offsets(struct sl_kafka *k, rd_kafka_topic_partition_list_t *l, int64_t until)
{
	rd_kafka_topic_partition_list_t *got = rd_kafka_topic_partition_list_copy(l);
	rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(k->ask, got, sl_kafka_ms(until, k->opt.request_ms));
	for (int i = 0; i < got->cnt && !code; i++)
		code = got->elems[i].err;
	for (int i = 0; i < got->cnt && !code; i++)
		l->elems[i].offset = got->elems[i].offset;
	rd_kafka_topic_partition_list_destroy(got);
	return code;
}

enum sl_status sl_kafka_offsets(
	struct sl_kafka *k, rd_kafka_topic_partition_list_t *l, const char *full, struct sl_err *err)
{
	int64_t until = sl_deadline_ms(k->opt.request_ms);
	rd_kafka_resp_err_t code;
	while ((code = ask_offsets(k, l, until)) == RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION && !sl_is_past(until))
		rd_kafka_poll(k->ask, LOOK_AGAIN_MS); /* a topic that was just made */
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
		if (!*ret_more)
			halt(s); /* the end is told once: at an emptied partition, s->next is not there yet */
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
		rd_kafka_topic_partition_list_t *l = sl_kafka_list(full, s->partition, 1, AT_END);
		enum sl_status st = sl_kafka_offsets(k, l, full, err);
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
	int64_t until = sl_deadline_ms(k->opt.request_ms);
	struct timespec at = {until / 1000000, until % 1000000 * 1000};
	if (pthread_mutex_clocklock(&k->stream_lock, CLOCK_MONOTONIC, &at))
		return sl_fail(err, SL_BUSY, "kafka %.60s: too many read %s at once", k->opt.brokers, topic);
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
	rd_kafka_topic_partition_list_t *begin = sl_kafka_list(full, 0, n, AT_BEGIN),
					*end = sl_kafka_list(full, 0, n, AT_END),
					*at = sl_kafka_list(full, 0, n, RD_KAFKA_OFFSET_INVALID);
	s = sl_kafka_offsets(k, begin, full, err);
	if (s == SL_OK && group)
		s = sl_kafka_offsets_committed(k, group, at, err);
	if (s == SL_OK)
		s = sl_kafka_offsets(k, end, full, err);
	for (int p = 0; p < n && s == SL_OK; p++) {
		int64_t from = SL_MAX(begin->elems[p].offset, at->elems[p].offset);
		*ret += SL_MAX(end->elems[p].offset - from, 0);
	}
	rd_kafka_topic_partition_list_destroy(begin);
	rd_kafka_topic_partition_list_destroy(end);
	rd_kafka_topic_partition_list_destroy(at);
	return s;
}
