/* SPDX-License-Identifier: Apache-2.0 */
#include "store/kafka/member.h"
#include "base/mem.h"
#include <stdio.h>

enum { AGAIN_MS = 500 /* between attempts to join */, PROBE_MS = 1000 };

/* ---- waking ---- */

void sl_member_wake(struct sl_member *m)
{
	pthread_mutex_lock(&m->wake_lock);
	m->growth++;
	pthread_cond_broadcast(&m->wake);
	pthread_mutex_unlock(&m->wake_lock);
}

uint64_t sl_member_growth(struct sl_member *m)
{
	pthread_mutex_lock(&m->wake_lock);
	uint64_t g = m->growth;
	pthread_mutex_unlock(&m->wake_lock);
	return g;
}

bool sl_member_wait(struct sl_member *m, uint64_t seen, int64_t deadline_us)
{
	bool in_time = true;
	pthread_mutex_lock(&m->wake_lock);
	while (m->growth == seen && in_time)
		in_time = sl_cond_wait_until(&m->wake, &m->wake_lock, deadline_us);
	pthread_mutex_unlock(&m->wake_lock);
	return in_time;
}

static void on_messages(rd_kafka_t *rk, void *opaque)
{
	sl_member_wake(opaque);
}

/* Waiting will not mend it: the owner is told at its next call. The lock is held. */
static void refuse(struct sl_member *m, const struct sl_err *why)
{
	m->refused = true;
	m->why = *why;
}

/* ---- rebalances: on the member's thread ---- */

/* Where each partition goes on. A cursor stays when the group's position is what this member
 * left there: nobody else went on meanwhile, so what it polled is still its own to commit. */
static void settle(struct sl_member *m, const rd_kafka_topic_partition_list_t *got)
{
	for (int p = 0; p < m->nparts; p++) {
		struct sl_share *a = &m->part[p];
		if (rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)got, m->full, p))
			continue;
		a->lost |= a->held && a->cursor != a->known;
		a->held = false;
	}
	for (int i = 0; i < got->cnt; i++) {
		struct sl_share *a = &m->part[got->elems[i].partition];
		int64_t at = SL_MAX(got->elems[i].offset, 0) - 1;
		if (!a->held || (at != a->known && at != a->tried)) {
			a->lost |= a->held && a->cursor != a->known;
			a->cursor = a->tried = at;
			a->sought = false;
		}
		a->known = at;
		a->mine = a->held = true;
		a->seeks = false;
		got->elems[i].offset = a->cursor + 1;
		m->nparts = SL_MAX(m->nparts, got->elems[i].partition + 1);
	}
}

static void forward(
	struct sl_member *m, rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *parts, rd_kafka_queue_t *to)
{
	for (int i = 0; i < parts->cnt; i++) {
		rd_kafka_queue_t *q =
			rd_kafka_queue_get_partition(rk, parts->elems[i].topic, parts->elems[i].partition);
		if (!q)
			continue;
		rd_kafka_queue_forward(q, to);
		rd_kafka_queue_destroy(q);
	}
}

static enum sl_status committed_of(
	struct sl_member *m, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *parts, struct sl_err *err)
{
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
	for (int i = 0; i < parts->cnt; i++)
		if (parts->elems[i].partition >= SL_KAFKA_PARTITIONS)
			return sl_fail(err, SL_UNSUPPORTED, "kafka: topic %s has more than %d partitions", m->full,
				SL_KAFKA_PARTITIONS);
	if (parts->cnt)
		code = rd_kafka_committed(rk, parts, (int)m->k->opt.request_ms);
	for (int i = 0; i < parts->cnt && !code; i++)
		code = parts->elems[i].err;
	return code ? sl_kafka_fail(m->k, &m->trouble, err, code, m->group, NULL) : SL_OK;
}

static void begin(struct sl_member *m, rd_kafka_t *rk, rd_kafka_topic_partition_list_t *parts)
{
	struct sl_err why = {0};
	enum sl_status s = committed_of(m, rk, parts, &why);
	pthread_mutex_lock(&m->lock);
	if (m->phase == SL_OUT) { /* it is leaving */
		rd_kafka_assign(rk, NULL);
	} else if (s != SL_OK) {
		rd_kafka_assign(rk, NULL);
		m->rejoins = true;
		if (!sl_status_is_retriable(s))
			refuse(m, &why);
	} else {
		settle(m, parts);
		forward(m, rk, parts, m->messages);
		rd_kafka_assign(rk, parts);
		m->phase = SL_IN;
	}
	pthread_mutex_unlock(&m->lock);
	sl_member_wake(m);
}

static void give_up(struct sl_member *m, rd_kafka_t *rk, const rd_kafka_topic_partition_list_t *parts)
{
	pthread_mutex_lock(&m->lock);
	for (int p = 0; p < m->nparts; p++)
		m->part[p].mine = false;
	if (m->phase == SL_IN)
		m->phase = SL_JOINING;
	forward(m, rk, parts, NULL);
	rd_kafka_assign(rk, NULL);
	pthread_mutex_unlock(&m->lock);
	sl_member_wake(m);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *parts, void *opaque)
{
	if (what == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
		begin(opaque, rk, parts);
	else
		give_up(opaque, rk, parts);
}

static void on_commit(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *parts, void *no)
{
	(void)code; /* each commit's own answer is heard in group.c */
}

/* ---- joining and leaving ---- */

static enum sl_status join(struct sl_member *m, struct sl_err *err)
{
	struct timespec now;
	char group[SL_KAFKA_NAME], id[128];
	rd_kafka_conf_t *conf = rd_kafka_conf_dup(m->k->opt.consume);
	rd_kafka_t *rk = NULL;
	/* The assignor serves members in the order of their names, which begin with this one: the
	 * oldest comes first and keeps what it has. Not sl_now_ms(): tests stop that clock. */
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(id, sizeof(id), "%s-%012lld%09ld", m->k->opt.client_id, (long long)now.tv_sec, now.tv_nsec);
	sl_kafka_full_name(m->k, m->group, group);
	rd_kafka_conf_set(conf, "client.id", id, NULL, 0);
	rd_kafka_conf_set(conf, "group.id", group, NULL, 0);
	rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
	rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
	enum sl_status s = sl_kafka_handle(m->k, RD_KAFKA_CONSUMER, conf, &m->trouble, &rk, err);
	if (s != SL_OK)
		return s;
	rd_kafka_poll_set_consumer(rk);
	pthread_mutex_lock(&m->lock);
	m->rk = rk;
	m->messages = rd_kafka_queue_new(rk);
	rd_kafka_queue_cb_event_enable(m->messages, on_messages, m);
	m->phase = SL_JOINING;
	m->rejoins = false;
	pthread_mutex_unlock(&m->lock);
	rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(topics, m->full, RD_KAFKA_PARTITION_UA);
	rd_kafka_resp_err_t code = rd_kafka_subscribe(rk, topics);
	rd_kafka_topic_partition_list_destroy(topics);
	return code ? sl_kafka_fail(m->k, &m->trouble, err, code, m->group, NULL) : SL_OK;
}

/* What this member holds stays held: it may get it again. */
static void leave(struct sl_member *m)
{
	int64_t until = sl_deadline_ms(SL_KAFKA_CLOSE_MS);
	pthread_mutex_lock(&m->lock);
	rd_kafka_t *rk = SL_TAKE(m->rk);
	rd_kafka_queue_t *messages = SL_TAKE(m->messages);
	m->phase = SL_OUT;
	for (int p = 0; p < m->nparts; p++)
		m->part[p].mine = false;
	pthread_mutex_unlock(&m->lock);
	sl_member_wake(m);
	if (!rk)
		return;
	rd_kafka_queue_cb_event_enable(messages, NULL, NULL);
	rd_kafka_queue_t *q = rd_kafka_queue_get_consumer(rk);
	rd_kafka_error_t *e = rd_kafka_consumer_close_queue(rk, q);
	while (!e && !rd_kafka_consumer_closed(rk) && !sl_is_past(until))
		rd_kafka_queue_poll_callback(q, SL_KAFKA_TICK_MS / 10);
	bool closed = !e && rd_kafka_consumer_closed(rk);
	if (e)
		rd_kafka_error_destroy(e);
	rd_kafka_queue_destroy(q);
	rd_kafka_queue_destroy(messages);
	rd_kafka_destroy_flags(rk, closed ? 0 : RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static bool is_silent(const struct sl_member *m)
{
	int64_t now = sl_now_ms(), seen = m->seen_ms;
	return !m->inside && (now - seen > SL_MEMBER_MS || now < seen - SL_MEMBER_MS);
}

/* An error that waiting will not mend ends the attempt; the owner is told at its next call. */
static void hear(struct sl_member *m, const rd_kafka_message_t *msg)
{
	struct sl_err why = {0};
	enum sl_status s = sl_kafka_fail(m->k, &m->trouble, &why, msg->err, m->group, rd_kafka_message_errstr(msg));
	if (sl_status_is_retriable(s))
		return;
	pthread_mutex_lock(&m->lock);
	refuse(m, &why);
	pthread_mutex_unlock(&m->lock);
	sl_member_wake(m);
}

/* An idle handle does not notice that its brokers are back. */
static void probe(struct sl_member *m)
{
	if (!sl_kafka_ping(m->k, PROBE_MS))
		sl_trouble_clear(&m->trouble);
}

void *sl_member_main(void *member)
{
	struct sl_member *m = member;
	for (int64_t again = 0, look = 0; !m->quits;) {
		uint64_t seen = sl_member_growth(m);
		bool wanted = !is_silent(m);
		if (m->rk && (!wanted || m->rejoins || rd_kafka_fatal_error(m->rk, NULL, 0))) {
			again = m->rejoins ? sl_deadline_ms(AGAIN_MS) : 0;
			leave(m);
			continue;
		}
		if (!m->rk && wanted && sl_mono_us() >= again) {
			struct sl_err why = {0};
			if (join(m, &why) != SL_OK) {
				pthread_mutex_lock(&m->lock);
				refuse(m, &why);
				pthread_mutex_unlock(&m->lock);
				m->rejoins = true;
				again = sl_deadline_ms(AGAIN_MS);
				sl_member_wake(m);
			}
		}
		if (!m->rk) {
			sl_member_wait(m, seen, sl_deadline_ms(SL_KAFKA_TICK_MS));
			continue;
		}
		rd_kafka_message_t *msg = rd_kafka_consumer_poll(m->rk, SL_KAFKA_TICK_MS);
		if (msg && msg->err)
			hear(m, msg);
		if (msg)
			rd_kafka_message_destroy(msg);
		if (sl_trouble_is_down(&m->trouble) && sl_mono_us() >= look) {
			probe(m);
			look = sl_deadline_ms(AGAIN_MS);
		}
	}
	leave(m);
	return NULL;
}
