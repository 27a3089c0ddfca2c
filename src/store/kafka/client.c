/* SPDX-License-Identifier: Apache-2.0 */
#include "store/kafka/client.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/batch.h"
#include <stdio.h>

/* The next partition to be read waits for the last one's fetch. */
#define ASK_WAIT_MS "10"
enum { GREET_MS = 500 };

/* ---- what a handle complains of ---- */

void sl_trouble_init(struct sl_trouble *t)
{
	pthread_mutex_init(&t->lock, NULL);
}

void sl_trouble_done(struct sl_trouble *t)
{
	pthread_mutex_destroy(&t->lock);
}

void sl_trouble_clear(struct sl_trouble *t)
{
	pthread_mutex_lock(&t->lock);
	t->down = false;
	t->code = RD_KAFKA_RESP_ERR_NO_ERROR;
	t->text[0] = 0;
	pthread_mutex_unlock(&t->lock);
}

bool sl_trouble_is_down(struct sl_trouble *t)
{
	pthread_mutex_lock(&t->lock);
	bool down = t->down;
	pthread_mutex_unlock(&t->lock);
	return down;
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
	struct sl_trouble *t = opaque;
	pthread_mutex_lock(&t->lock);
	t->down |= code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN;
	/* "3/3 brokers are down" says less than what was said before. */
	if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || !t->code) {
		t->code = code;
		SL_COPY_CUT(t->text, reason);
	}
	pthread_mutex_unlock(&t->lock);
}

static void on_log(const rd_kafka_t *rk, int level, const char *where, const char *text)
{
	sl_log(SL_DEBUG, "store", text, SL_S("kafka", where), SL_I("severity", level));
}

/* ---- what an error means ---- */

enum sl_status sl_kafka_status(rd_kafka_resp_err_t code)
{
	switch (code) {
	case RD_KAFKA_RESP_ERR_NO_ERROR:
		return SL_OK;
	case RD_KAFKA_RESP_ERR__TIMED_OUT:
	case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
	case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
	case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
	case RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND:
		return SL_TIMEOUT;
	case RD_KAFKA_RESP_ERR__AUTHENTICATION:
	case RD_KAFKA_RESP_ERR__SSL:
	case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
	case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
	case RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE:
	case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
	case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
	case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
	case RD_KAFKA_RESP_ERR_INVALID_PARTITIONS:
	case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
	case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
	case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
	case RD_KAFKA_RESP_ERR_POLICY_VIOLATION:
	case RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP:
	case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
		return SL_USAGE;
	case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
	case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE:
	case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
		return SL_TOO_LARGE;
	case RD_KAFKA_RESP_ERR__QUEUE_FULL:
		return SL_BUSY;
	default: /* the broker's or the way to it; another one, or the same later, may do it */
		return SL_AWAY;
	}
}

static const char *advice(enum sl_status s)
{
	return s == SL_TOO_LARGE
		       ? "; raise max.message.bytes of the topic (message.max.bytes of the broker), or lower batch_bytes"
		       : "";
}

enum sl_status sl_kafka_fail(struct sl_kafka *k, struct sl_trouble *t, struct sl_err *err, rd_kafka_resp_err_t code,
	const char *what, const char *words)
{
	char why[sizeof(t->text)] = "";
	enum sl_status s = sl_kafka_status(code);
	if (t && sl_status_is_retriable(s)) {
		pthread_mutex_lock(&t->lock);
		SL_COPY(why, t->text);
		pthread_mutex_unlock(&t->lock);
	}
	return sl_fail(err, s, "kafka %.60s: %s: %s%s%s%s%s", k->opt.brokers, what,
		words && *words ? words : rd_kafka_err2str(code), *why ? " (" : "", why, *why ? ")" : "", advice(s));
}

int sl_kafka_ms(int64_t deadline_us, int64_t most_ms)
{
	int64_t left = deadline_us == SL_FOREVER ? most_ms : (deadline_us - sl_mono_us() + 999) / 1000;
	return (int)SL_MAX(SL_MIN(left, most_ms), 1);
}

void sl_kafka_full_name(const struct sl_kafka *k, const char *name, char ret[SL_KAFKA_NAME])
{
	snprintf(ret, SL_KAFKA_NAME, "%s%s", k->opt.prefix, name);
}

/* ---- handles ---- */

enum sl_status sl_kafka_handle(struct sl_kafka *k, rd_kafka_type_t type, rd_kafka_conf_t *conf,
	struct sl_trouble *owner, rd_kafka_t **ret, struct sl_err *err)
{
	char why[200];
	rd_kafka_conf_set_opaque(conf, owner);
	rd_kafka_conf_set_error_cb(conf, on_error);
	rd_kafka_conf_set_log_cb(conf, on_log);
	*ret = rd_kafka_new(type, conf, why, sizeof(why));
	if (*ret)
		return SL_OK;
	rd_kafka_conf_destroy(conf);
	return sl_fail(err, SL_USAGE, "kafka %.60s: %s", k->opt.brokers, why);
}

bool sl_kafka_take(struct sl_batch_builder *b, const char *topic, const rd_kafka_message_t *m)
{
	int64_t time = rd_kafka_message_timestamp(m, NULL);
	struct sl_message to = {.partition = m->partition,
		.position = m->offset,
		.time_ms = SL_MAX(time, 0),
		.body = sl_slice(m->payload ? m->payload : "", m->payload ? m->len : 0)};
	SL_COPY(to.topic, topic);
	snprintf(to.key, sizeof(to.key), "%.*s", m->key ? (int)m->key_len : 0, m->key ? (const char *)m->key : "");
	return sl_batch_add(b, &to);
}

rd_kafka_resp_err_t sl_kafka_ping(struct sl_kafka *k, int ms)
{
	const struct rd_kafka_metadata *md;
	char full[SL_KAFKA_NAME];
	sl_kafka_full_name(k, "labels", full); /* about one topic: a cluster may have many */
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(k->ask, full, NULL);
	rd_kafka_resp_err_t code = rkt ? rd_kafka_metadata(k->ask, 0, rkt, &md, ms) : rd_kafka_last_error();
	if (rkt)
		rd_kafka_topic_destroy(rkt);
	if (!code)
		rd_kafka_metadata_destroy(md);
	return code;
}

/* One bounded attempt to reach a broker. Wrong credentials end it early. A handshake may fail
 * because a broker is just going down, so that is believed at the end only. */
static enum sl_status greet(struct sl_kafka *k, struct sl_err *err)
{
	struct sl_trouble *t = &k->trouble;
	for (int64_t until = sl_deadline_ms(k->opt.connect_ms);;) {
		if (!sl_kafka_ping(k, sl_kafka_ms(until, GREET_MS))) {
			sl_trouble_clear(t);
			return SL_OK;
		}
		rd_kafka_poll(k->ask, 0); /* hears the reason */
		bool late = sl_is_past(until);
		pthread_mutex_lock(&t->lock);
		bool wrong =
			t->code == RD_KAFKA_RESP_ERR__AUTHENTICATION || (t->code == RD_KAFKA_RESP_ERR__SSL && late);
		if (wrong)
			sl_fail(err, SL_USAGE, "kafka %.60s: no broker lets us in: %s", k->opt.brokers, t->text);
		else if (late)
			sl_fail(err, SL_AWAY, "kafka %.60s: no broker answers: %s", k->opt.brokers,
				*t->text ? t->text : "it is silent");
		pthread_mutex_unlock(&t->lock);
		if (wrong || late)
			return wrong ? SL_USAGE : SL_AWAY;
		rd_kafka_poll(k->ask, sl_kafka_ms(until, SL_KAFKA_TICK_MS));
	}
}

static void close_log(void *self)
{
	struct sl_kafka *k = self;
	sl_kafka_append_close(k);
	sl_kafka_read_close(k);
	sl_kafka_askers_close(k);
	if (k->ask)
		rd_kafka_destroy(k->ask);
	sl_kafka_options_done(&k->opt);
	pthread_mutex_destroy(&k->stream_lock);
	pthread_mutex_destroy(&k->lock);
	sl_trouble_done(&k->trouble);
	free(k);
}

static enum sl_status open_log(struct sl_url *url, const struct sl_config *cfg, void **ret, struct sl_err *err)
{
	struct sl_kafka_options opt;
	enum sl_status s = sl_kafka_options_read(url, &opt, err);
	if (s != SL_OK)
		return s;
	struct sl_kafka *k = SL_NEW(struct sl_kafka);
	k->opt = opt;
	sl_trouble_init(&k->trouble);
	pthread_mutex_init(&k->lock, NULL);
	pthread_mutex_init(&k->stream_lock, NULL);
	s = sl_url_check_used(url, err); /* before a broker is asked */
	rd_kafka_conf_t *conf = rd_kafka_conf_dup(opt.consume);
	rd_kafka_conf_set(conf, "enable.partition.eof", "true", NULL, 0);
	rd_kafka_conf_set(conf, "fetch.wait.max.ms", ASK_WAIT_MS, NULL, 0);
	if (s == SL_OK)
		s = sl_kafka_handle(k, RD_KAFKA_CONSUMER, conf, &k->trouble, &k->ask, err);
	else
		rd_kafka_conf_destroy(conf);
	if (s == SL_OK)
		s = greet(k, err);
	if (s == SL_OK)
		*ret = k;
	else
		close_log(k);
	return s;
}

static int partitions(void *self, const char *topic)
{
	struct sl_kafka *k = self;
	int n = 0;
	enum sl_status s = sl_kafka_topic(k, topic, false, SL_FOREVER, &n, NULL);
	return s != SL_OK ? 0 : n ? n : (int)k->opt.partitions;
}

const struct sl_log_ops sl_kafka_log = {
	.open = open_log,
	.close = close_log,
	.append = sl_kafka_append,
	.consumer_open = sl_kafka_consumer_open,
	.consumer_close = sl_kafka_consumer_close,
	.poll = sl_kafka_poll,
	.commit = sl_kafka_commit,
	.seek = sl_kafka_seek,
	.partitions = partitions,
	.read = sl_kafka_read,
	.lag = sl_kafka_lag,
	.make = sl_kafka_make,
	.last = sl_kafka_last,
	.restore = sl_kafka_restore,
	.committed = sl_kafka_committed,
	.commit_to = sl_kafka_commit_to,
};
