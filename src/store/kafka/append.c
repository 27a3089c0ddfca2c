/* SPDX-License-Identifier: Apache-2.0
 *
 * Appending: one idempotent producer of the open log, and a thread that hands its delivery
 * reports to those who wait. A producer that Kafka does not want any more is replaced: who
 * still waits on the old one keeps it alive.
 */
#include "base/digest.h"
#include "base/mem.h"
#include "core/key.h"
#include "store/kafka/client.h"
#include <stdatomic.h>
#include <stdio.h>

enum { REFRESH_MS = 60000, TRACE = 33, SPAN = 17, ENTRY_BYTES = 256 /* a message's headers and frame, at most */ };

struct lane { /* one topic */
	char topic[SL_TOPIC];
	rd_kafka_topic_t *rkt;
};

struct sl_producer {
	struct sl_trouble trouble; /* first: the handle's opaque */
	struct sl_kafka *k;
	rd_kafka_t *rk;
	rd_kafka_queue_t *main;
	pthread_t thread;
	_Atomic bool stop;
	_Atomic int refs; /* the log's, and one an append that runs */
	pthread_mutex_t alone; /* held by who sends one message at a time */
	pthread_mutex_t lock; /* of lane */
	struct lane lane[SL_KAFKA_TOPICS];
	int nlane;
};

/* What a call of append waits for. The call's and one a message: it may be gone before its reports come. */
struct delivery {
	pthread_mutex_t lock;
	pthread_cond_t done;
	int refs, pending;
	rd_kafka_resp_err_t code; /* of the first that failed */
};

static struct delivery *delivery_new(void)
{
	struct delivery *d = SL_NEW(struct delivery);
	pthread_mutex_init(&d->lock, NULL);
	sl_cond_init(&d->done);
	d->refs = 1;
	return d;
}

static void unref(struct delivery *d)
{
	int left = --d->refs; /* the lock is held */
	pthread_mutex_unlock(&d->lock);
	if (left)
		return;
	pthread_cond_destroy(&d->done);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void report(struct delivery *d, rd_kafka_resp_err_t code)
{
	pthread_mutex_lock(&d->lock);
	if (code && !d->code)
		d->code = code;
	if (!--d->pending)
		pthread_cond_signal(&d->done);
	unref(d);
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
	report(m->_private, m->err);
}

static void *serve(void *arg)
{
	struct sl_producer *p = arg;
	int64_t refresh = sl_deadline_ms(REFRESH_MS);
	for (int i = 0; !p->stop;) { /* one topic at a time: a slow answer must not hold up the reports */
		rd_kafka_poll(p->rk, SL_KAFKA_TICK_MS);
		if (!sl_is_past(refresh) || sl_kafka_topics_refresh(p->k, i++))
			continue;
		i = 0;
		refresh = sl_deadline_ms(REFRESH_MS);
	}
	return NULL;
}

static enum sl_status start(struct sl_kafka *k, struct sl_producer **ret, struct sl_err *err)
{
	struct sl_producer *p = SL_NEW(struct sl_producer);
	rd_kafka_conf_t *conf = rd_kafka_conf_dup(k->opt.produce);
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	sl_trouble_init(&p->trouble);
	enum sl_status s = sl_kafka_handle(k, RD_KAFKA_PRODUCER, conf, &p->trouble, &p->rk, err);
	if (s != SL_OK) {
		sl_trouble_done(&p->trouble);
		free(p);
		return s;
	}
	p->k = k;
	p->refs = 1;
	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&p->alone, NULL);
	p->main = rd_kafka_queue_get_main(p->rk);
	p->thread = sl_thread_start("kafka", serve, p);
	*ret = p;
	return SL_OK;
}

/* What is still on its way is of callers who were told that nobody knows. */
static void release(struct sl_producer *p)
{
	if (--p->refs)
		return;
	if (!rd_kafka_fatal_error(p->rk, NULL, 0))
		rd_kafka_flush(p->rk, SL_KAFKA_CLOSE_MS);
	rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
	rd_kafka_flush(p->rk, SL_KAFKA_CLOSE_MS);
	p->stop = true;
	rd_kafka_queue_yield(p->main);
	pthread_join(p->thread, NULL);
	rd_kafka_queue_destroy(p->main);
	for (int i = 0; i < p->nlane; i++)
		rd_kafka_topic_destroy(p->lane[i].rkt);
	rd_kafka_destroy(p->rk);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->alone);
	sl_trouble_done(&p->trouble);
	free(p);
}

static enum sl_status acquire(struct sl_kafka *k, struct sl_producer **ret, struct sl_err *err)
{
	struct sl_producer *old = NULL;
	enum sl_status s = SL_OK;
	pthread_mutex_lock(&k->lock);
	if (k->producer && rd_kafka_fatal_error(k->producer->rk, NULL, 0))
		old = SL_TAKE(k->producer);
	if (!k->producer)
		s = start(k, &k->producer, err);
	if (s == SL_OK) {
		*ret = k->producer;
		(*ret)->refs++;
	}
	pthread_mutex_unlock(&k->lock);
	if (old)
		release(old);
	return s;
}

void sl_kafka_append_close(struct sl_kafka *k)
{
	if (k->producer)
		release(SL_TAKE(k->producer));
}

/* ---- headers ---- */

/* 00-TRACE-SPAN-01; false for a key that names no frame. */
static bool trace_of(const char *topic, const char *key, char ret[64])
{
	char frame[SL_FRAME_ID], name[SL_TOPIC + SL_MESSAGE_KEY], span[SL_HEX_SHA256];
	int box[4];
	if (!sl_key_parse(key, frame, box))
		return false;
	snprintf(name, sizeof(name), "%s/%s", topic, key);
	sl_sha256_hex(name, strlen(name), span);
	snprintf(ret, 64, "00-%s%.*s-%.*s-01", frame, TRACE - SL_FRAME_ID, frame, SPAN - 1, span);
	return true;
}

static rd_kafka_headers_t *headers_of(const struct sl_entry *e)
{
	char schema[SL_TOPIC + 16], trace[64];
	rd_kafka_headers_t *h = rd_kafka_headers_new(2);
	snprintf(schema, sizeof(schema), "signloop.%s.v1", e->topic);
	rd_kafka_header_add(h, "schema", -1, schema, -1);
	if (trace_of(e->topic, e->key, trace))
		rd_kafka_header_add(h, "traceparent", -1, trace, -1);
	return h;
}

/* ---- append ---- */

static bool has_lane(struct sl_producer *p, const char *topic)
{
	bool found = false;
	pthread_mutex_lock(&p->lock);
	for (int i = 0; i < p->nlane; i++)
		found |= !strcmp(p->lane[i].topic, topic);
	pthread_mutex_unlock(&p->lock);
	return found;
}

/* Lets the producer know the topic before its first message, which would else wait for a timer
 * of librdkafka (1 s). If it cannot be asked, the message waits. */
static void open_lane(struct sl_producer *p, const char *topic, int64_t deadline_us)
{
	char full[SL_KAFKA_NAME];
	const struct rd_kafka_metadata *md;
	if (has_lane(p, topic))
		return;
	sl_kafka_full_name(p->k, topic, full);
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(p->rk, full, NULL);
	if (!rkt || rd_kafka_metadata(p->rk, 0, rkt, &md, sl_kafka_ms(deadline_us, p->k->opt.request_ms))) {
		if (rkt)
			rd_kafka_topic_destroy(rkt);
		return;
	}
	rd_kafka_metadata_destroy(md);
	pthread_mutex_lock(&p->lock);
	if (p->nlane < SL_KAFKA_TOPICS) {
		SL_COPY(p->lane[p->nlane].topic, topic);
		p->lane[p->nlane++].rkt = rkt;
	} else {
		rd_kafka_topic_destroy(rkt);
	}
	pthread_mutex_unlock(&p->lock);
}

/* time_ms 0: now. */
static rd_kafka_resp_err_t send_one(
	struct sl_producer *p, const struct sl_entry *e, int partition, int64_t time_ms, struct delivery *d)
{
	char full[SL_KAFKA_NAME];
	rd_kafka_headers_t *h = headers_of(e);
	sl_kafka_full_name(p->k, e->topic, full);
	pthread_mutex_lock(&d->lock);
	d->refs++;
	d->pending++;
	pthread_mutex_unlock(&d->lock);
	rd_kafka_resp_err_t code = rd_kafka_producev(p->rk, RD_KAFKA_V_TOPIC(full), RD_KAFKA_V_PARTITION(partition),
		RD_KAFKA_V_TIMESTAMP(time_ms), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
		RD_KAFKA_V_KEY(e->key, strlen(e->key)), RD_KAFKA_V_VALUE((void *)e->body.ptr, e->body.len),
		RD_KAFKA_V_HEADERS(h), RD_KAFKA_V_OPAQUE(d), RD_KAFKA_V_END);
	if (code) { /* else the message has the headers, and its report the reference */
		rd_kafka_headers_destroy(h);
		report(d, code);
	}
	return code;
}

static rd_kafka_resp_err_t wait_for(struct delivery *d, int64_t deadline_us)
{
	pthread_mutex_lock(&d->lock);
	while (d->pending && sl_cond_wait_until(&d->done, &d->lock, deadline_us))
		;
	rd_kafka_resp_err_t code = d->code ? d->code : d->pending ? RD_KAFKA_RESP_ERR__TIMED_OUT : 0;
	unref(d);
	return code;
}

/* The topic went away, or changed: all is asked anew. */
static void forget(struct sl_producer *p)
{
	struct lane lane[SL_KAFKA_TOPICS];
	sl_kafka_topics_forget(p->k);
	pthread_mutex_lock(&p->lock);
	int n = p->nlane;
	memcpy(lane, p->lane, sizeof(lane));
	p->nlane = 0;
	pthread_mutex_unlock(&p->lock);
	for (int i = 0; i < n; i++)
		rd_kafka_topic_destroy(lane[i].rkt);
}

/* What is on its way together: entries, the partition and (NULL: now) the time of each. */
struct load {
	const struct sl_entry *e;
	const int *partition;
	const int64_t *time_ms;
	int n;
};

static rd_kafka_resp_err_t send_all(struct sl_producer *p, const struct load *l, int64_t deadline_us)
{
	struct delivery *d = delivery_new();
	for (int i = 0; i < l->n; i++)
		if (send_one(p, &l->e[i], l->partition[i], l->time_ms ? l->time_ms[i] : 0, d))
			break;
	return wait_for(d, deadline_us);
}

static struct load part_of(const struct load *l, int from, int n)
{
	return (struct load){l->e + from, l->partition + from, l->time_ms ? l->time_ms + from : NULL, n};
}

/* A topic may take less than our requests have: what is refused in company is sent once more, one by one. */
static rd_kafka_resp_err_t send_alone(struct sl_producer *p, const struct load *l, int64_t deadline_us)
{
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
	struct timespec until = sl_timespec(deadline_us);
	if (pthread_mutex_clocklock(&p->alone, CLOCK_MONOTONIC, &until))
		return RD_KAFKA_RESP_ERR__TIMED_OUT;
	for (int i = 0; i < l->n && !code; i++) {
		struct load one = part_of(l, i, 1);
		code = sl_is_past(deadline_us) ? RD_KAFKA_RESP_ERR__TIMED_OUT : send_all(p, &one, deadline_us);
	}
	pthread_mutex_unlock(&p->alone);
	return code;
}

static enum sl_status end_append(struct sl_producer *p, const char *topic, rd_kafka_resp_err_t code, struct sl_err *err)
{
	char what[SL_TOPIC + 16], words[160];
	if (!code) {
		sl_trouble_clear(&p->trouble);
		return SL_OK;
	}
	if (code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
		code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
		forget(p);
	snprintf(what, sizeof(what), "append to %s", topic);
	rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(p->rk, words, sizeof(words));
	if (sl_kafka_status(fatal) == SL_USAGE) /* a new producer would not be let in either */
		return sl_kafka_fail(p->k, NULL, err, fatal, what, words);
	return sl_kafka_fail(p->k, &p->trouble, err, code, what, NULL);
}

static enum sl_status send_entries(struct sl_producer *p, const struct sl_entry *e, const int *partition, int n,
	int64_t deadline_us, struct sl_err *err)
{
	struct load l = {e, partition, NULL, n};
	rd_kafka_resp_err_t code = send_all(p, &l, deadline_us);
	if (sl_kafka_status(code) == SL_TOO_LARGE)
		code = send_alone(p, &l, deadline_us);
	return end_append(p, e->topic, code, err);
}

enum sl_status sl_kafka_append(void *self, const struct sl_entry *e, int n, int64_t deadline_us, struct sl_err *err)
{
	struct sl_kafka *k = self;
	struct sl_producer *p = NULL;
	enum sl_status s = SL_OK;
	if (sl_is_past(deadline_us))
		return sl_fail(err, SL_TIMEOUT, "kafka: the deadline passed before the write began");
	SL_AUTOFREE int *partitions = sl_calloc((size_t)n, sizeof(*partitions));
	for (int i = 0; i < n && s == SL_OK; i++)
		if (i && !strcmp(e[i].topic, e[i - 1].topic))
			partitions[i] = partitions[i - 1];
		else
			s = sl_kafka_topic(k, e[i].topic, true, deadline_us, &partitions[i], err);
	if (s == SL_OK)
		s = acquire(k, &p, err);
	if (s != SL_OK)
		return s;
	for (int i = 0; i < n; i++)
		if (!i || strcmp(e[i].topic, e[i - 1].topic))
			open_lane(p, e[i].topic, deadline_us);
	for (int i = 0; i < n; i++) /* how many, to which */
		partitions[i] = sl_log_partition_of(e[i].key, partitions[i]);
	s = send_entries(p, e, partitions, n, deadline_us, err);
	release(p);
	return s;
}

/* ---- a move ---- */

static enum sl_status check_end(
	struct sl_kafka *k, const struct sl_message *m, int64_t want, const char *what, struct sl_err *err)
{
	int64_t last = -1;
	enum sl_status s = sl_kafka_last(k, m->topic, m->partition, &last, err);
	if (s == SL_OK && last != want)
		s = sl_fail(err, SL_CONFLICT, "kafka %.60s: topic %s, partition %d ends at %lld; %s", k->opt.brokers,
			m->topic, m->partition, (long long)last, what);
	return s;
}

/* Messages of one partition in one request, which the broker takes or refuses as a whole: what followed a refused
 * one would get its offset. Each has its report within timeout_ms; who left before would not know what is still on
 * its way. */
static rd_kafka_resp_err_t send_whole(struct sl_producer *p, const struct load *l)
{
	char full[SL_KAFKA_NAME];
	sl_kafka_full_name(p->k, l->e->topic, full);
	rd_kafka_topic_partition_list_t *at = sl_kafka_list(full, *l->partition, 1, 0);
	rd_kafka_resp_err_t code = rd_kafka_pause_partitions(p->rk, at);
	code = code ? code : at->elems[0].err;
	bool alone = code != RD_KAFKA_RESP_ERR_NO_ERROR;
	if (!alone) {
		struct delivery *d = delivery_new();
		for (int i = 0; i < l->n && !code; i++)
			code = send_one(p, &l->e[i], l->partition[i], l->time_ms[i], d);
		rd_kafka_resume_partitions(p->rk, at);
		rd_kafka_flush(p->rk, 0); /* wakes the thread that sends; else it finds them within a second */
		code = wait_for(d, SL_FOREVER);
	}
	rd_kafka_topic_partition_list_destroy(at);
	return alone || sl_kafka_status(code) == SL_TOO_LARGE ? send_alone(p, l, SL_FOREVER) : code;
}

/* How many of l from the first on fit into one request. */
static int fit(const struct sl_kafka *k, const struct load *l)
{
	int64_t bytes = 0;
	int n = 0;
	do
		bytes += (int64_t)(l->e[n].body.len + strlen(l->e[n].key)) + ENTRY_BYTES;
	while (++n < l->n && bytes + (int64_t)l->e[n].body.len + ENTRY_BYTES + SL_MESSAGE_KEY < k->opt.batch_bytes);
	return n;
}

static enum sl_status send_restored(struct sl_producer *p, const struct sl_message *m, int n, struct sl_err *err)
{
	SL_AUTOFREE struct sl_entry *e = SL_NEW_N(struct sl_entry, (size_t)n);
	SL_AUTOFREE int *partition = SL_NEW_N(int, (size_t)n);
	SL_AUTOFREE int64_t *time_ms = SL_NEW_N(int64_t, (size_t)n);
	for (int i = 0; i < n; i++) {
		e[i] = (struct sl_entry){m[i].topic, m[i].key, m[i].body};
		partition[i] = m[i].partition;
		time_ms[i] = m[i].time_ms;
	}
	struct load all = {e, partition, time_ms, n};
	rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
	for (int i = 0; i < n && !code;) {
		struct load rest = part_of(&all, i, n - i);
		rest.n = fit(p->k, &rest);
		code = send_whole(p, &rest);
		i += rest.n;
	}
	return end_append(p, m->topic, code, err);
}

/* Offsets are given by the broker, in order: what is sent to the end, by nobody but us, has its place. */
enum sl_status sl_kafka_restore(void *self, const struct sl_message *m, int n, int64_t deadline_us, struct sl_err *err)
{
	struct sl_kafka *k = self;
	struct sl_producer *p = NULL;
	int has = 0;
	if (sl_is_past(deadline_us))
		return sl_fail(err, SL_TIMEOUT, "kafka: the deadline passed before the write began");
	enum sl_status s = sl_kafka_topic(k, m->topic, false, deadline_us, &has, err);
	if (s == SL_OK && m->partition >= has)
		s = sl_fail(err, SL_NOT_FOUND, "kafka %.60s: topic %s has no partition %d", k->opt.brokers, m->topic,
			m->partition);
	if (s == SL_OK && m[n - 1].position != m->position + n - 1)
		s = sl_fail(err, SL_CONFLICT, "topic %s, partition %d: a gap after %lld, which Kafka cannot have",
			m->topic, m->partition, (long long)m->position);
	if (s == SL_OK)
		s = check_end(k, m, m->position - 1, "what is to come does not follow", err);
	if (s == SL_OK)
		s = acquire(k, &p, err);
	if (s != SL_OK)
		return s;
	open_lane(p, m->topic, deadline_us);
	s = send_restored(p, m, n, err);
	release(p);
	return s == SL_OK ? check_end(k, m, m[n - 1].position, "somebody else writes to it", err) : s;
}
