/* SPDX-License-Identifier: Apache-2.0
 *
 * From the URL to librdkafka's properties, by one table.
 */
#include "base/mem.h"
#include "store/kafka/client.h"
#include <stdio.h>

enum type { NUMBER, WORD, TEXT };
enum who { BOTH, PRODUCER, CONSUMER };

static const struct row {
	const char *option, *property;
	enum type type;
	enum who who;
	const char *value; /* default; NULL: librdkafka's */
	int64_t min, max; /* NUMBER */
	const char *words; /* WORD: "a|b" */
} rows[] = {
	{"security", "security.protocol", WORD, BOTH, NULL, 0, 0, "plaintext|ssl|sasl_plaintext|sasl_ssl"},
	{"ca", "ssl.ca.location", TEXT, BOTH},
	{"cert", "ssl.certificate.location", TEXT, BOTH},
	{"key", "ssl.key.location", TEXT, BOTH},
	{"key_password", "ssl.key.password", TEXT, BOTH},
	{"verify_host", "ssl.endpoint.identification.algorithm", WORD, BOTH, NULL, 0, 0, "https|none"},
	{"mechanism", "sasl.mechanisms", WORD, BOTH, NULL, 0, 0,
		"PLAIN|SCRAM-SHA-256|SCRAM-SHA-512|GSSAPI|OAUTHBEARER"},
	{"user", "sasl.username", TEXT, BOTH},
	{"password", "sasl.password", TEXT, BOTH},
	{"client_id", "client.id", TEXT, BOTH, "signloop"},
	{"request_ms", "socket.timeout.ms", NUMBER, BOTH, "10000", 1000, 300000},
	{"dial_ms", "socket.connection.setup.timeout.ms", NUMBER, BOTH, "10000", 1000, 300000},
	{"retry_ms", "retry.backoff.ms", NUMBER, PRODUCER, "100", 1, 300000},
	{"backoff_ms", "reconnect.backoff.ms", NUMBER, BOTH, "50", 1, 3600000},
	{"backoff_max_ms", "reconnect.backoff.max.ms", NUMBER, BOTH, "1000", 1, 3600000},
	{"debug", "debug", TEXT, BOTH},
	{"compression", "compression.codec", WORD, PRODUCER, NULL, 0, 0, "none|gzip|snappy|lz4|zstd"},
	{"linger_ms", "linger.ms", NUMBER, PRODUCER, "0", 0, 1000},
	{"batch_bytes", "batch.size", NUMBER, PRODUCER, "1000000", 1000, 16000000},
	{"buffer_kb", "queue.buffering.max.kbytes", NUMBER, PRODUCER, "131072", 1024, 4194304},
	{"timeout_ms", "message.timeout.ms", NUMBER, PRODUCER, "30000", 1000, 3600000},
	{"retries", "retries", NUMBER, PRODUCER, "2147483647", 1, 2147483647},
	{"session_ms", "session.timeout.ms", NUMBER, CONSUMER, "10000", 1000, 1800000},
	{"heartbeat_ms", "heartbeat.interval.ms", NUMBER, CONSUMER, "300", 50, 60000},
	{"fetch_wait_ms", "fetch.wait.max.ms", NUMBER, CONSUMER, "100", 0, 60000},
	{"fetch_bytes", "fetch.message.max.bytes", NUMBER, CONSUMER, "1048576", 1000, 100000000},
	{"fetch_kb", "queued.max.messages.kbytes", NUMBER, CONSUMER, "16384", 64, 1048576},
};

/* What is no choice: the promises of store/log.h rest on it. */
static const struct {
	const char *property, *value;
	enum who who;
} fixed[] = {
	{"enable.idempotence", "true", PRODUCER}, /* and with it acks=all and the order of retries */
	{"max.in.flight.requests.per.connection", "1", PRODUCER}, /* see "Durability" in kafka.h */
	{"allow.auto.create.topics", "false", BOTH}, {"socket.nagle.disable", "true", BOTH},
	{"socket.keepalive.enable", "true", BOTH}, {"log.connection.close", "false", BOTH},
	{"enable.auto.commit", "false", CONSUMER}, {"enable.auto.offset.store", "false", CONSUMER},
	{"auto.offset.reset", "earliest", CONSUMER}, {"partition.assignment.strategy", "range", CONSUMER},
	{"topic.metadata.refresh.interval.ms", "60000", BOTH},
	{"max.poll.interval.ms", "1800000", CONSUMER}, /* its thread always polls; SL_MEMBER_MS is ours */
};

static enum sl_status set(
	struct sl_kafka_options *o, enum who who, const char *property, const char *value, struct sl_err *err)
{
	char why[200];
	for (int i = 0; i < 2; i++) {
		rd_kafka_conf_t *conf = i ? o->consume : o->produce;
		if (who == (i ? PRODUCER : CONSUMER))
			continue;
		if (rd_kafka_conf_set(conf, property, value, why, sizeof(why)) != RD_KAFKA_CONF_OK)
			return sl_fail(err, SL_USAGE, "kafka %s: %s", o->brokers, why);
	}
	return SL_OK;
}

static bool is_one_of(const char *value, const char *words)
{
	size_t n = strlen(value);
	for (const char *at = words; n && at; at = strchr(at, '|')) {
		at += *at == '|';
		if (!strncmp(at, value, n) && (at[n] == '|' || !at[n]))
			return true;
	}
	return false;
}

static enum sl_status set_row(struct sl_url *u, const struct row *r, struct sl_kafka_options *o, struct sl_err *err)
{
	const char *value = sl_url_option(u, r->option);
	int64_t number;
	if (value && r->type == NUMBER) {
		enum sl_status s = sl_url_int(u, r->option, r->min, r->max, &number, err);
		if (s != SL_OK)
			return s;
	}
	if (value && r->type == WORD && !is_one_of(value, r->words))
		return sl_fail(err, SL_USAGE, "store URL '%s': %s is '%.40s'; one of %s is wanted", u->text, r->option,
			value, r->words);
	if (value && !*value)
		return sl_fail(err, SL_USAGE, "store URL '%s': %s is empty", u->text, r->option);
	value = value ? value : r->value;
	return value ? set(o, r->who, r->property, value, err) : SL_OK;
}

/* [USER:PASSWORD@]HOST:PORT,... The last @ ends the password: no host has one. */
static enum sl_status set_authority(struct sl_url *u, struct sl_kafka_options *o, struct sl_err *err)
{
	SL_AUTOFREE char *path = sl_strdup(u->path);
	char *hosts = path, *at = strrchr(path, '@');
	enum sl_status s = SL_OK;
	if (at) {
		*at = 0;
		hosts = at + 1;
		char *colon = strchr(path, ':');
		if (!colon || colon == path || !colon[1])
			return sl_fail(err, SL_USAGE, "store URL '%s': USER:PASSWORD is wanted before the @", u->text);
		*colon = 0;
		s = set(o, BOTH, "sasl.username", path, err);
		if (s == SL_OK)
			s = set(o, BOTH, "sasl.password", colon + 1, err);
	}
	size_t n = strlen(hosts);
	while (n && hosts[n - 1] == '/')
		hosts[--n] = 0;
	if (!n || strchr(hosts, '/') || strchr(hosts, ' '))
		return sl_fail(err, SL_USAGE, "store URL '%s': it is kafka://HOST:PORT[,HOST:PORT...]", u->text);
	SL_COPY_CUT(o->brokers, hosts);
	return s == SL_OK ? set(o, BOTH, "bootstrap.servers", hosts, err) : s;
}

static enum sl_status set_own(struct sl_url *u, struct sl_kafka_options *o, struct sl_err *err)
{
	const struct {
		const char *option;
		int64_t *at, value, min, max;
	} own[] = {
		{"partitions", &o->partitions, 4, 1, SL_KAFKA_PARTITIONS},
		{"replication", &o->replication, -1, -1, 32},
		{"min_insync", &o->min_insync, 0, 0, 32},
		{"retention_ms", &o->retention_ms, -1, -1, INT64_MAX},
		{"connect_ms", &o->connect_ms, 5000, 100, 600000},
		{"request_ms", &o->request_ms, 10000, 1000, 300000},
		{"session_ms", &o->session_ms, 10000, 1000, 1800000},
		{"heartbeat_ms", &o->heartbeat_ms, 300, 50, 60000},
		{"batch_bytes", &o->batch_bytes, 1000000, 1000, 16000000},
	};
	for (size_t i = 0; i < SL_COUNT(own); i++) {
		*own[i].at = own[i].value;
		enum sl_status s = sl_url_int(u, own[i].option, own[i].min, own[i].max, own[i].at, err);
		if (s != SL_OK)
			return s;
	}
	const char *prefix = sl_url_option(u, "prefix"), *id = sl_url_option(u, "client_id");
	prefix = prefix ? prefix : "";
	size_t n = strspn(prefix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	if (prefix[n] || n >= sizeof(o->prefix))
		return sl_fail(err, SL_USAGE, "store URL '%s': prefix: at most %zu letters, digits or . _ - are wanted",
			u->text, sizeof(o->prefix) - 1);
	SL_COPY(o->prefix, prefix);
	SL_COPY_CUT(o->client_id, id ? id : "signloop");
	if (o->replication == 0)
		return sl_fail(err, SL_USAGE, "store URL '%s': replication is 0; 1 to 32, or -1, is wanted", u->text);
	return SL_OK;
}

/* What is meant to protect must not be there without effect. */
static enum sl_status check_together(struct sl_url *u, const struct sl_kafka_options *o, struct sl_err *err)
{
	const char *security = sl_url_option(u, "security"), *need = NULL, *what = NULL;
	security = security ? security : "plaintext";
	bool sasl = strstr(security, "sasl") != NULL, tls = strstr(security, "ssl") != NULL;
	if (!sasl && (strchr(u->path, '@') || sl_url_option(u, "user") || sl_url_option(u, "password") ||
			     sl_url_option(u, "mechanism")))
		what = "user, password and mechanism", need = "security=sasl_ssl or sasl_plaintext";
	else if (sasl && !sl_url_option(u, "mechanism"))
		what = "security=sasl_...", need = "a mechanism";
	else if (!tls && (sl_url_option(u, "ca") || sl_url_option(u, "cert") || sl_url_option(u, "key") ||
				 sl_url_option(u, "key_password") || sl_url_option(u, "verify_host")))
		what = "ca, cert, key and verify_host", need = "security=ssl or sasl_ssl";
	else if (o->heartbeat_ms >= o->session_ms)
		what = "heartbeat_ms", need = "a longer session_ms";
	return need ? sl_fail(err, SL_USAGE, "store URL '%s': %s must come with %s", u->text, what, need) : SL_OK;
}

enum sl_status sl_kafka_options_read(struct sl_url *u, struct sl_kafka_options *ret, struct sl_err *err)
{
	struct sl_kafka_options o = {.produce = rd_kafka_conf_new(), .consume = rd_kafka_conf_new()};
	enum sl_status s = set_authority(u, &o, err);
	for (size_t i = 0; i < SL_COUNT(rows) && s == SL_OK; i++)
		s = set_row(u, &rows[i], &o, err);
	for (size_t i = 0; i < SL_COUNT(fixed) && s == SL_OK; i++)
		s = set(&o, fixed[i].who, fixed[i].property, fixed[i].value, err);
	if (s == SL_OK)
		s = set_own(u, &o, err);
	if (s == SL_OK)
		s = check_together(u, &o, err);
	if (s == SL_OK)
		*ret = o;
	else
		sl_kafka_options_done(&o);
	return s;
}

void sl_kafka_options_done(struct sl_kafka_options *o)
{
	if (o->produce)
		rd_kafka_conf_destroy(o->produce);
	if (o->consume)
		rd_kafka_conf_destroy(o->consume);
	o->produce = o->consume = NULL;
}
