/* SPDX-License-Identifier: Apache-2.0
 *
 * What the owner of a consumer calls; see member.h.
 */
#include "base/mem.h"
#include "store/batch.h"
#include "store/kafka/member.h"
#include <stdio.h>

enum {
	SETTLE_SESSIONS = 2, /* joining waits for a dead member for one session; and then some */
	SETTLE_MS = 10000, /* a member that has joined tries again later */
	DOWN_MS = 3000, /* how long a call waits for a group whose brokers are away */
	ASK_MS = 1000, /* how long a broker may be silent, and how often it is asked, while a call waits */
	SEEK_MS = 300000, /* librdkafka 2.0.2 takes this one for microseconds */
	SEEK_AGAIN_MS = 5, /* a stream that is just starting cannot be moved yet */
};

static void enter(struct sl_member *m)
{
	m->inside++;
	m->seen_ms = sl_now_ms();
	sl_member_wake(m); /* its thread may have left the group */
}

static void quit(struct sl_member *m)
{
	m->seen_ms = sl_now_ms();
	m->inside--;
}

/* With the lock held, before and after: waits until no rebalance is going on, or for a while
 * when no broker is there to end it. */
static enum sl_status wait_settled(struct sl_member *m, int64_t deadline_us, struct sl_err *err)
{
	int64_t patience = SL_FOREVER, ask = sl_deadline_ms(ASK_MS);
	for (bool silent = false; m->phase != SL_IN;) {
		uint64_t seen = sl_member_growth(m);
		bool down = silent || sl_trouble_is_down(&m->trouble);
		if (m->refused) {
			m->refused = false;
			return sl_fail(err, m->why.status, "%s", m->why.text);
		}
		patience = !down ? SL_FOREVER : SL_MIN(patience, sl_deadline_ms(DOWN_MS));
		if (sl_is_past(SL_MIN(deadline_us, patience))) {
			char what[SL_MESSAGE_KEY + 64];
			snprintf(what, sizeof(what), "group %s: no partitions were given out yet", m->group);
			return sl_kafka_fail(m->k, &m->trouble, err,
				down ? RD_KAFKA_RESP_ERR__TRANSPORT : RD_KAFKA_RESP_ERR__TIMED_OUT, what, NULL);
		}
		pthread_mutex_unlock(&m->lock);
		if (sl_is_past(ask)) { /* one that is frozen is not known to be down for long */
			silent = sl_kafka_ping(m->k, sl_kafka_ms(deadline_us, ASK_MS)) != RD_KAFKA_RESP_ERR_NO_ERROR;
			ask = sl_deadline_ms(ASK_MS);
		}
		sl_member_wait(m, seen, SL_MIN(deadline_us, sl_deadline_ms(SL_KAFKA_TICK_MS)));
		pthread_mutex_lock(&m->lock);
	}
	return SL_OK;
}

/* ---- poll ---- */

/* Moves the streams to where seeks put the cursors; false: not all yet. The lock is held. */
static bool apply_seeks(struct sl_member *m)
{
	bool all = true;
	rd_kafka_topic_partition_list_t *l = NULL;
	for (int p = 0; p < m->nparts; p++) {
		if (!m->part[p].mine || !m->part[p].seeks)
			continue;
		l = l ? l : rd_kafka_topic_partition_list_new(1);
		rd_kafka_topic_partition_list_add(l, m->full, p)->offset = m->part[p].cursor + 1;
	}
	if (!l)
		return true;
	rd_kafka_error_t *e = rd_kafka_seek_partitions(m->rk, l, SEEK_MS);
	for (int i = 0; i < l->cnt; i++) {
		m->part[l->elems[i].partition].seeks = l->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR;
		all = all && !l->elems[i].err;
	}
	if (e)
		rd_kafka_error_destroy(e);
	rd_kafka_topic_partition_list_destroy(l);
	return all;
}

/* It ends before what was read: it was deleted, and made again. */
static bool is_remade(struct sl_member *m, const rd_kafka_message_t *msg)
{
	int64_t first, end;
	return !rd_kafka_get_watermark_offsets(m->rk, m->full, msg->partition, &first, &end) && end > msg->offset &&
	       end - 1 < m->part[msg->partition].cursor;
}

static void start_over(struct sl_member *m, int partition)
{
	struct sl_share *a = &m->part[partition];
	m->refused = true; /* told at the next call, once */
	sl_fail(&m->why, SL_CORRUPT,
		"kafka %.60s: topic %s, partition %d ends before %lld, which was read: it was deleted and made again; "
		"it is read from its first message on",
		m->k->opt.brokers, m->full, partition, (long long)a->cursor);
	a->cursor = -1;
	a->seeks = true;
}

/* What is not ours, was seen, or is from before a seek is dropped: it comes again where it should. */
static bool take(struct sl_member *m, const rd_kafka_message_t *msg, struct sl_batch_builder *b)
{
	struct sl_share *a = &m->part[msg->partition];
	if (a->mine && !a->seeks && !a->sought && msg->offset < a->cursor && is_remade(m, msg)) {
		start_over(m, msg->partition);
		return false;
	}
	if (!a->mine || a->seeks || msg->offset <= a->cursor)
		return true;
	if (!sl_kafka_take(b, m->topic, msg)) {
		a->seeks = true; /* back to it */
		return false;
	}
	a->cursor = msg->offset;
	a->sought = false;
	return true;
}

/* One look, without waiting. *ret_again: when to look again though nothing comes. */
static enum sl_status look(
	struct sl_member *m, int max, struct sl_batch_builder *b, int64_t *ret_again, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	*ret_again = SL_FOREVER;
	if (m->refused) {
		m->refused = false;
		return sl_fail(err, m->why.status, "%s", m->why.text);
	}
	if (m->phase != SL_IN)
		return SL_OK;
	if (!apply_seeks(m))
		*ret_again = sl_deadline_ms(SEEK_AGAIN_MS);
	for (bool room = true; room && b->n < max && s == SL_OK;) {
		rd_kafka_message_t *msg = rd_kafka_consume_queue(m->messages, 0);
		if (!msg)
			break;
		if (!msg->err)
			room = take(m, msg, b);
		else if (!b->n && !sl_status_is_retriable(sl_kafka_status(msg->err)))
			s = sl_kafka_fail(m->k, NULL, err, msg->err, m->full, rd_kafka_message_errstr(msg));
		rd_kafka_message_destroy(msg);
	}
	return s;
}

enum sl_status sl_kafka_poll(void *consumer, int max, int64_t deadline_us, struct sl_batch *ret, struct sl_err *err)
{
	struct sl_member *m = consumer;
	struct sl_batch_builder b = {0};
	enum sl_status s;
	enter(m);
	for (;;) {
		int64_t again;
		uint64_t seen = sl_member_growth(m);
		pthread_mutex_lock(&m->lock);
		s = look(m, max, &b, &again, err);
		pthread_mutex_unlock(&m->lock);
		if (b.n || s != SL_OK || sl_is_past(deadline_us))
			break;
		sl_member_wait(m, seen, SL_MIN(deadline_us, again));
	}
	quit(m);
	if (b.n)
		sl_batch_end(&b, ret);
	else
		sl_batch_drop(&b);
	if (s == SL_OK && !ret->n && sl_trouble_is_down(&m->trouble))
		s = sl_kafka_fail(m->k, &m->trouble, err, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, m->group, NULL);
	return s;
}

/* ---- commit ---- */

static void on_answer(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *parts, void *no)
{
	struct sl_member *m = rd_kafka_opaque(rk);
	if ((int64_t)(intptr_t)no != m->commit_no)
		return;
	for (int i = 0; parts && i < parts->cnt && !code; i++)
		code = parts->elems[i].err;
	m->commit_done = true;
	m->commit_code = code;
}

static rd_kafka_resp_err_t commit_list(struct sl_member *m, const rd_kafka_topic_partition_list_t *l)
{
	int64_t until = sl_deadline_ms(m->k->opt.request_ms);
	rd_kafka_queue_t *q = rd_kafka_queue_new(m->rk);
	m->commit_done = false;
	m->commit_no++;
	rd_kafka_resp_err_t code = rd_kafka_commit_queue(m->rk, l, q, on_answer, (void *)(intptr_t)m->commit_no);
	while (!code && !m->commit_done && !sl_is_past(until))
		rd_kafka_queue_poll_callback(q, sl_kafka_ms(until, m->k->opt.request_ms));
	rd_kafka_queue_destroy(q);
	return code ? code : m->commit_done ? m->commit_code : RD_KAFKA_RESP_ERR__TIMED_OUT;
}

/* Sends the cursors that the group does not have yet. The lock is held, so the member stays in
 * its generation meanwhile. */
static rd_kafka_resp_err_t commit_now(struct sl_member *m)
{
	rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new(1);
	for (int p = 0; p < m->nparts; p++) {
		struct sl_share *a = &m->part[p];
		if (!a->mine || a->cursor == a->known)
			continue;
		rd_kafka_topic_partition_list_add(l, m->full, p)->offset = a->cursor + 1;
		a->tried = a->cursor;
	}
	rd_kafka_resp_err_t code = l->cnt ? commit_list(m, l) : RD_KAFKA_RESP_ERR_NO_ERROR;
	for (int i = 0; i < l->cnt && !code; i++)
		m->part[l->elems[i].partition].known = l->elems[i].offset - 1;
	rd_kafka_topic_partition_list_destroy(l);
	return code;
}

static bool is_behind(const struct sl_member *m)
{
	for (int p = 0; p < m->nparts; p++)
		if (m->part[p].held && m->part[p].cursor != m->part[p].known)
			return true;
	return false;
}

static int count_lost(struct sl_member *m)
{
	int lost = 0;
	for (int p = 0; p < m->nparts; p++) {
		lost += m->part[p].lost;
		m->part[p].lost = false;
	}
	return lost;
}

/* The member is about to hear of a rebalance, or its coordinator moves. */
static bool passes(rd_kafka_resp_err_t code)
{
	return code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS || code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION ||
	       code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || code == RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS ||
	       code == RD_KAFKA_RESP_ERR_NOT_COORDINATOR || code == RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE ||
	       code == RD_KAFKA_RESP_ERR__WAIT_COORD;
}

static enum sl_status commit(struct sl_member *m, struct sl_err *err)
{
	int64_t until = sl_deadline_ms(SETTLE_MS);
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
	while (is_behind(m)) {
		enum sl_status s = wait_settled(m, until, err);
		if (s != SL_OK)
			return s;
		uint64_t seen = sl_member_growth(m);
		code = commit_now(m);
		if (!passes(code) || sl_is_past(until))
			break;
		pthread_mutex_unlock(&m->lock); /* lets the rebalance go on */
		sl_member_wait(m, seen, sl_deadline_ms(SL_KAFKA_TICK_MS));
		pthread_mutex_lock(&m->lock);
		code = RD_KAFKA_RESP_ERR_NO_ERROR;
	}
	if (code)
		return sl_kafka_fail(m->k, &m->trouble, err, code, m->group, NULL);
	int lost = count_lost(m);
	if (!lost)
		return SL_OK;
	return sl_fail(err, SL_CONFLICT,
		"group %s: %d of %d partitions of %s went to another member; their messages come again", m->group, lost,
		m->nparts, m->topic);
}

enum sl_status sl_kafka_commit(void *consumer, struct sl_err *err)
{
	struct sl_member *m = consumer;
	enter(m);
	pthread_mutex_lock(&m->lock);
	enum sl_status s = commit(m, err);
	pthread_mutex_unlock(&m->lock);
	quit(m);
	return s;
}

/* ---- seek, open, close ---- */

enum sl_status sl_kafka_seek(void *consumer, int partition, int64_t position, struct sl_err *err)
{
	struct sl_member *m = consumer;
	enter(m);
	pthread_mutex_lock(&m->lock);
	enum sl_status s = wait_settled(m, sl_deadline_ms(SETTLE_MS), err);
	bool mine = s == SL_OK && partition >= 0 && partition < m->nparts && m->part[partition].mine;
	if (mine && m->part[partition].cursor != position) {
		m->part[partition].cursor = position;
		m->part[partition].seeks = m->part[partition].sought = true;
	}
	pthread_mutex_unlock(&m->lock);
	quit(m);
	if (s != SL_OK || mine)
		return s;
	return sl_fail(
		err, SL_CONFLICT, "group %s: partition %d of %s is not this member's", m->group, partition, m->topic);
}

enum sl_status sl_kafka_consumer_open(void *self, const char *group, const char *topic, void **ret, struct sl_err *err)
{
	struct sl_kafka *k = self;
	int n;
	enum sl_status s = sl_kafka_topic(k, topic, true, SL_FOREVER, &n, err);
	if (s != SL_OK)
		return s;
	struct sl_member *m = SL_NEW(struct sl_member);
	m->k = k;
	SL_COPY(m->group, group);
	SL_COPY(m->topic, topic);
	sl_kafka_full_name(k, topic, m->full);
	sl_trouble_init(&m->trouble);
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->wake_lock, NULL);
	sl_cond_init(&m->wake);
	enter(m);
	m->thread = sl_thread_start("kafka-group", sl_member_main, m);
	pthread_mutex_lock(&m->lock);
	s = wait_settled(m, sl_deadline_ms(SETTLE_MS + SETTLE_SESSIONS * k->opt.session_ms), err);
	pthread_mutex_unlock(&m->lock);
	quit(m);
	if (s == SL_OK)
		*ret = m;
	else
		sl_kafka_consumer_close(m);
	return s;
}

void sl_kafka_consumer_close(void *consumer)
{
	struct sl_member *m = consumer;
	m->quits = true;
	sl_member_wake(m);
	pthread_mutex_lock(&m->lock);
	rd_kafka_queue_t *q = m->rk ? rd_kafka_queue_get_consumer(m->rk) : NULL;
	if (q) {
		rd_kafka_queue_yield(q);
		rd_kafka_queue_destroy(q);
	}
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->thread, NULL);
	pthread_cond_destroy(&m->wake);
	pthread_mutex_destroy(&m->wake_lock);
	pthread_mutex_destroy(&m->lock);
	sl_trouble_done(&m->trouble);
	free(m);
}
