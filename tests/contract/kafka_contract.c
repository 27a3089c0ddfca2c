/* SPDX-License-Identifier: Apache-2.0
 *
 * What the log on Kafka promises beside the contract: headers, topics as they are, a producer that Kafka does not
 * want any more, a topic that went away. append.c is part of this file, so that its handle can be reached.
 */
#include "../../src/store/kafka/append.c"
#include "contract.h"

enum { TRIES = 200, WAIT_MS = 30000 };

static char url[256];

static const char *url_with(const char *options)
{
	snprintf(
		url, sizeof(url), "%s?prefix=%s.&%s", sl_test_server("SIGNLOOP_TEST_KAFKA"), sl_test_unique(), options);
	return url;
}

static struct sl_kafka *open_with(const char *options)
{
	struct sl_err err;
	void *k = NULL;
	SL_AUTO(sl_url_done) struct sl_url u = {0};
	CHECK_OK(sl_url_parse(url_with(options), &u, &err));
	CHECK_OK(sl_kafka_log.open(&u, NULL, &k, &err));
	return k;
}

static enum sl_status append_one(struct sl_kafka *k, const char *topic, const char *key, struct sl_err *err)
{
	struct sl_entry e = {topic, key, sl_slice_str("{}")};
	return sl_kafka_append(k, &e, 1, sl_deadline_ms(WAIT_MS), err);
}

/* As a role does: again while the failure may pass. */
static void append_at_last(struct sl_kafka *k, const char *topic, const char *key)
{
	struct sl_err err;
	enum sl_status s;
	int tries = 0;
	while ((s = append_one(k, topic, key, &err)) != SL_OK)
		if (!sl_status_is_retriable(s) || ++tries == TRIES)
			CHECK_OK(s);
}

static int64_t count(struct sl_kafka *k, const char *topic)
{
	struct sl_err err;
	int64_t n = -1;
	CHECK_OK(sl_kafka_lag(k, NULL, topic, &n, &err));
	return n;
}

static void make_key(char ret[SL_KEY], const char *frame24, int x)
{
	char sha[65];
	snprintf(sha, sizeof(sha), "%s%040d", frame24, 0);
	sl_key_make(ret, sha, x, 20, 30, 40);
}

TEST(kafka, messages_of_a_frame_share_a_trace)
{
	char a[SL_KEY], b[SL_KEY], trace[64], other[64];
	make_key(a, "0123456789abcdef01234567", 1);
	make_key(b, "0123456789abcdef01234567", 2);
	CHECK(trace_of("labels", a, trace));
	CHECK_EQ(strlen(trace), 55);
	CHECK(!strncmp(trace, "00-0123456789abcdef0123456701234567-", 36));
	CHECK_STR(trace + 52, "-01");
	CHECK(trace_of("labels", b, other));
	CHECK(!strncmp(trace, other, 36) && strcmp(trace, other));
	CHECK(trace_of("reviews", a, other));
	CHECK(!strncmp(trace, other, 36) && strcmp(trace, other));
	CHECK(!trace_of("models", "bundle", trace));
}

static void check_header(const rd_kafka_message_t *m, const char *name, const char *want)
{
	rd_kafka_headers_t *h;
	const void *value = NULL;
	size_t n = 0;
	CHECK_EQ(rd_kafka_message_headers(m, &h), 0);
	CHECK_EQ(rd_kafka_header_get_last(h, name, &value, &n), 0);
	CHECK(n == strlen(want) && !memcmp(value, want, n));
}

TEST(kafka, headers_say_schema_and_trace)
{
	struct sl_err err;
	char key[SL_KEY], trace[64], full[SL_KAFKA_NAME];
	struct sl_kafka *k = open_with("partitions=1");
	make_key(key, "0123456789abcdef01234567", 1);
	CHECK(trace_of("labels", key, trace));
	CHECK_OK(append_one(k, "labels", key, &err));
	sl_kafka_full_name(k, "labels", full);
	rd_kafka_topic_t *rkt = rd_kafka_topic_new(k->ask, full, NULL);
	CHECK_EQ(rd_kafka_consume_start(rkt, 0, 0), 0);
	rd_kafka_message_t *m = rd_kafka_consume(rkt, 0, WAIT_MS);
	CHECK(m && !m->err);
	check_header(m, "schema", "signloop.labels.v1");
	check_header(m, "traceparent", trace);
	rd_kafka_message_destroy(m);
	rd_kafka_consume_stop(rkt, 0);
	rd_kafka_topic_destroy(rkt);
	sl_kafka_log.close(k);
}

TEST(kafka, a_topic_that_is_there_is_taken_as_it_is)
{
	struct sl_err err;
	struct sl_kafka *k = open_with("partitions=2");
	CHECK_EQ(sl_kafka_log.partitions(k, "labels"), 2); /* as it would be made */
	CHECK_OK(append_one(k, "labels", "k", &err));
	sl_kafka_log.close(k);
	k = open_with("partitions=4");
	CHECK_EQ(sl_kafka_log.partitions(k, "labels"), 2);
	CHECK_OK(append_one(k, "labels", "k", &err));
	CHECK_EQ(count(k, "labels"), 2);
	CHECK_EQ(sl_kafka_log.partitions(k, "reviews"), 4);
	CHECK_EQ(sl_kafka_log.partitions(k, "no/name"), 0); /* an error is no answer */
	sl_kafka_log.close(k);
}

TEST(kafka, a_producer_that_was_fenced_is_replaced)
{
	struct sl_err err;
	struct sl_kafka *k = open_with("partitions=1");
	CHECK_OK(append_one(k, "labels", "before", &err));
	struct sl_producer *old = k->producer;
	CHECK_EQ(rd_kafka_test_fatal_error(old->rk, RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH, "test"), 0);
	append_at_last(k, "labels", "after");
	CHECK(count(k, "labels") >= 2);
	sl_kafka_log.close(k);
}

/* One that is refused for good says so; it does not come as "away" for ever. */
TEST(kafka, a_producer_that_may_not_write_says_so)
{
	struct sl_err err;
	struct sl_producer *p = NULL;
	struct sl_kafka *k = open_with("partitions=1");
	CHECK_OK(append_one(k, "labels", "before", &err));
	CHECK_OK(acquire(k, &p, &err));
	CHECK_EQ(rd_kafka_test_fatal_error(p->rk, RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, "no right"), 0);
	struct sl_entry e = {"labels", "k", sl_slice_str("{}")};
	CHECK_STATUS(send_entries(p, &e, (int[]){0}, 1, sl_deadline_ms(WAIT_MS), &err), SL_USAGE);
	CHECK(strstr(err.text, "no right"));
	release(p);
	append_at_last(k, "labels", "after");
	sl_kafka_log.close(k);
}

enum { SMALL_TOPIC = 2000, MANY = 40 };

static void wait_admin(rd_kafka_queue_t *q)
{
	rd_kafka_event_t *ev = rd_kafka_queue_poll(q, WAIT_MS);
	CHECK(ev && !rd_kafka_event_error(ev));
	rd_kafka_event_destroy(ev);
	rd_kafka_queue_destroy(q);
}

/* A topic whose max.message.bytes one of our requests passes, though no message does. */
static void make_small(struct sl_kafka *k, const char *topic)
{
	char full[SL_KAFKA_NAME], why[128], number[16];
	sl_kafka_full_name(k, topic, full);
	rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(full, 1, 1, why, sizeof(why));
	snprintf(number, sizeof(number), "%d", SMALL_TOPIC);
	rd_kafka_NewTopic_set_config(t, "max.message.bytes", number);
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->ask);
	rd_kafka_CreateTopics(k->ask, &t, 1, NULL, q);
	wait_admin(q);
	rd_kafka_NewTopic_destroy(t);
}

static void check_restored(struct sl_kafka *k, const struct sl_message *m, int n)
{
	struct sl_err err;
	struct sl_batch b = {0};
	CHECK_OK(sl_kafka_read(k, m->topic, 0, -1, n + 1, &b, &err));
	CHECK_EQ(b.n, n);
	for (int i = 0; i < n; i++) {
		CHECK_EQ(b.message[i].position, i);
		CHECK_STR(b.message[i].key, m[i].key);
	}
	sl_batch_done(&b);
}

TEST(kafka, what_fits_alone_is_taken_though_the_request_does_not_fit)
{
	static char big[SMALL_TOPIC + 1];
	struct sl_err err;
	struct sl_kafka *k = open_with("partitions=1");
	struct sl_entry e[MANY];
	struct sl_message m[MANY] = {0};
	make_small(k, "labels");
	for (int i = 0; i < MANY; i++) {
		e[i] = (struct sl_entry){
			"labels", "k", sl_slice_str("{\"a body of some length\":\"that comes again and again\"}")};
		m[i] = (struct sl_message){
			.topic = "reviews", .position = i, .time_ms = 1700000000000 + i, .body = e[i].body};
		snprintf(m[i].key, sizeof(m[i].key), "%d", i);
	}
	CHECK_OK(sl_kafka_append(k, e, MANY, sl_deadline_ms(WAIT_MS), &err));
	CHECK(count(k, "labels") >= MANY);
	memset(big, 'x', SMALL_TOPIC);
	e->body = sl_slice_str(big);
	CHECK_STATUS(sl_kafka_append(k, e, 1, sl_deadline_ms(WAIT_MS), &err), SL_TOO_LARGE);
	CHECK(strstr(err.text, "batch_bytes"));
	make_small(k, "reviews");
	CHECK_OK(sl_kafka_restore(k, m, MANY, sl_deadline_ms(WAIT_MS), &err));
	check_restored(k, m, MANY);
	sl_kafka_log.close(k);
}

/* What is behind a message that is refused does not take its place. */
TEST(kafka, a_restore_ends_at_the_message_that_is_refused)
{
	static char big[SMALL_TOPIC + 1];
	struct sl_err err;
	struct sl_kafka *k = open_with("partitions=1");
	struct sl_message m[MANY] = {0};
	memset(big, 'x', SMALL_TOPIC);
	make_small(k, "labels");
	for (int i = 0; i < MANY; i++) {
		m[i] = (struct sl_message){
			.topic = "labels", .position = i, .body = sl_slice_str(i == MANY / 2 ? big : "{}")};
		snprintf(m[i].key, sizeof(m[i].key), "%d", i);
	}
	CHECK_STATUS(sl_kafka_restore(k, m, MANY, sl_deadline_ms(WAIT_MS), &err), SL_TOO_LARGE);
	check_restored(k, m, MANY / 2);
	sl_kafka_log.close(k);
}

static void delete_topic(struct sl_kafka *k, const char *topic)
{
	char full[SL_KAFKA_NAME];
	sl_kafka_full_name(k, topic, full);
	rd_kafka_DeleteTopic_t *t = rd_kafka_DeleteTopic_new(full);
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->ask);
	rd_kafka_DeleteTopics(k->ask, &t, 1, NULL, q);
	wait_admin(q);
	rd_kafka_DeleteTopic_destroy(t);
}

/* After a deletion a broker takes messages for a moment more, and they go with the topic: again, until it has one. */
static void append_after_deletion(struct sl_kafka *k, const char *topic, const char *key)
{
	struct sl_err err;
	int64_t n = 0;
	for (int tries = 0; n < 1; tries++) {
		CHECK(tries < TRIES);
		append_at_last(k, topic, key);
		if (sl_kafka_lag(k, NULL, topic, &n, &err) != SL_OK)
			n = 0;
	}
}

TEST(kafka, a_topic_that_was_deleted_is_made_again)
{
	struct sl_err err;
	struct sl_kafka *k = open_with("partitions=1&timeout_ms=2000");
	CHECK_OK(append_one(k, "labels", "before", &err));
	delete_topic(k, "labels");
	append_after_deletion(k, "labels", "after");
	sl_kafka_log.close(k);
}

/* As after the topic's retention. */
static void empty_topic(struct sl_kafka *k, const char *topic)
{
	char full[SL_KAFKA_NAME];
	sl_kafka_full_name(k, topic, full);
	rd_kafka_topic_partition_list_t *all = sl_kafka_list(full, 0, 1, RD_KAFKA_OFFSET_END);
	rd_kafka_DeleteRecords_t *d = rd_kafka_DeleteRecords_new(all);
	rd_kafka_queue_t *q = rd_kafka_queue_new(k->ask);
	rd_kafka_DeleteRecords(k->ask, &d, 1, NULL, q);
	wait_admin(q);
	rd_kafka_DeleteRecords_destroy(d);
	rd_kafka_topic_partition_list_destroy(all);
}

TEST(kafka, an_emptied_partition_ends_at_once_each_time)
{
	struct sl_err err;
	struct sl_batch b = {0};
	struct sl_kafka *k = open_with("partitions=1&timeout_ms=2000");
	for (int i = 0; i < 3; i++)
		CHECK_OK(append_one(k, "models", "old", &err));
	empty_topic(k, "models");
	for (int i = 0; i < 4; i++) {
		CHECK_OK(sl_kafka_read(k, "models", 0, -1, 10, &b, &err));
		CHECK_EQ(b.n, 0);
		sl_batch_done(&b);
	}
	CHECK_OK(append_one(k, "models", "new", &err));
	CHECK_OK(sl_kafka_read(k, "models", 0, -1, 10, &b, &err));
	CHECK_EQ(b.n, 1);
	CHECK_EQ(b.message[0].position, 3);
	sl_batch_done(&b);
	sl_kafka_log.close(k);
}

/* As a role does: polls again until there are messages; *ret_told: an error that is not retriable came before. */
static void poll_some(void *c, struct sl_batch *ret, bool *ret_told)
{
	struct sl_err err;
	int64_t until = sl_deadline_ms(WAIT_MS);
	*ret_told = false;
	while (!ret->n && !sl_is_past(until)) {
		enum sl_status s = sl_kafka_poll(c, SL_BATCH_MAX, sl_deadline_ms(1000), ret, &err);
		*ret_told |= s == SL_CORRUPT;
	}
	CHECK(ret->n > 0);
}

TEST(kafka, a_consumer_of_a_topic_that_was_made_again_is_told_and_starts_over)
{
	struct sl_err err;
	struct sl_batch b = {0};
	void *c = NULL;
	bool told;
	struct sl_kafka *k = open_with("partitions=1&timeout_ms=2000&session_ms=3000&heartbeat_ms=100");
	for (int i = 0; i < 5; i++)
		CHECK_OK(append_one(k, "labels", "before", &err));
	CHECK_OK(sl_kafka_consumer_open(k, "g", "labels", &c, &err));
	for (int n = 0; n < 5; n += b.n) {
		sl_batch_done(&b);
		b = (struct sl_batch){0};
		poll_some(c, &b, &told);
		CHECK(!told);
	}
	CHECK_OK(sl_kafka_commit(c, &err));
	sl_batch_done(&b);
	delete_topic(k, "labels");
	append_after_deletion(k, "labels", "after");
	b = (struct sl_batch){0};
	poll_some(c, &b, &told);
	CHECK(told);
	CHECK_EQ(b.message[0].position, 0);
	CHECK_STR(b.message[0].key, "after");
	sl_batch_done(&b);
	sl_kafka_consumer_close(c);
	sl_kafka_log.close(k);
}
