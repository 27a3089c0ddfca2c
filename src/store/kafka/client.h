/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of kafka/ share: the open log, its handles, topics, and what an error means.
 *
 * Owner: sl_kafka_log's open and close. Thread: any, but a consumer is of one thread (and its
 * own). A librdkafka handle's callbacks find a struct sl_trouble as their opaque; it is the
 * first member of whoever owns the handle. Times in ms.
 */
#pragma once
#include "base/thread.h"
#include "store/kafka/kafka.h"
#include <librdkafka/rdkafka.h>

enum {
	SL_KAFKA_PARTITIONS = 1024, /* of one topic */
	SL_KAFKA_TOPICS = 64, /* whose partitions are remembered */
	SL_KAFKA_NAME = 250, /* of a topic or group with its prefix, and NUL */
	SL_KAFKA_TICK_MS = 100, /* how long a thread of ours waits at most before it looks around */
	SL_KAFKA_CLOSE_MS = 3000, /* for saying good-bye */
};

/* What a handle last complained of, so that an error can say why. */
struct sl_trouble {
	pthread_mutex_t lock;
	rd_kafka_resp_err_t code;
	char text[160];
	bool down; /* no broker answers this handle */
};

void sl_trouble_init(struct sl_trouble *t);
void sl_trouble_done(struct sl_trouble *t);
void sl_trouble_clear(struct sl_trouble *t);
bool sl_trouble_is_down(struct sl_trouble *t);

struct sl_kafka_options {
	int64_t partitions, replication, min_insync, retention_ms, connect_ms, request_ms, session_ms, heartbeat_ms,
		batch_bytes;
	char prefix[SL_KAFKA_NAME - SL_MESSAGE_KEY], client_id[64], brokers[160]; /* brokers: for texts */
	rd_kafka_conf_t *produce, *consume; /* to be copied for a handle */
};

/* Reads every option of u; nothing is connected. */
enum sl_status sl_kafka_options_read(struct sl_url *u, struct sl_kafka_options *ret, struct sl_err *err);
void sl_kafka_options_done(struct sl_kafka_options *o);

struct sl_producer;
struct sl_topic_size {
	char topic[SL_TOPIC];
	int partitions;
};
struct sl_stream { /* what sl_log_read() reads ahead: one partition */
	rd_kafka_topic_t *rkt;
	char topic[SL_TOPIC];
	int partition;
	bool runs;
	int64_t next, end; /* offset that it gives next; end as last asked */
};

struct sl_kafka {
	struct sl_trouble trouble; /* of ask */
	struct sl_kafka_options opt;
	rd_kafka_t *ask; /* reads without a group, asks, makes topics */
	pthread_mutex_t lock; /* of producer, asker and size */
	struct sl_producer *producer; /* NULL until the first append */
	struct sl_asker *asker; /* one a group that was asked about */
	struct sl_topic_size size[SL_KAFKA_TOPICS];
	int nsize;
	pthread_mutex_t stream_lock;
	struct sl_stream stream;
};

/* A new handle of a copy of conf; owner as the callbacks' opaque. USAGE when librdkafka refuses (a file, say). */
enum sl_status sl_kafka_handle(struct sl_kafka *k, rd_kafka_type_t type, rd_kafka_conf_t *conf,
	struct sl_trouble *owner, rd_kafka_t **ret, struct sl_err *err);
rd_kafka_resp_err_t sl_kafka_ping(struct sl_kafka *k, int ms); /* does any broker answer? */
enum sl_status sl_kafka_status(rd_kafka_resp_err_t code);
/* "kafka HOST: WHAT: librdkafka's words (why)" with the status of code; t may be NULL. */
enum sl_status sl_kafka_fail(struct sl_kafka *k, struct sl_trouble *t, struct sl_err *err, rd_kafka_resp_err_t code,
	const char *what, const char *words);
int sl_kafka_ms(int64_t deadline_us, int64_t most_ms); /* what is left, 1..most_ms */
void sl_kafka_full_name(const struct sl_kafka *k, const char *name, char ret[SL_KAFKA_NAME]);

/* The partitions of topic: remembered, or asked for. 0: there is no such topic, and make is false. */
enum sl_status sl_kafka_topic(
	struct sl_kafka *k, const char *topic, bool make, int64_t deadline_us, int *ret, struct sl_err *err);
enum sl_status sl_kafka_make(void *self, const char *topic, int partitions, struct sl_err *err);
bool sl_kafka_topics_refresh(struct sl_kafka *k, int i); /* asks anew for the i-th remembered; false: there is none */
void sl_kafka_topics_forget(struct sl_kafka *k);

enum sl_status sl_kafka_append(void *self, const struct sl_entry *e, int n, int64_t deadline_us, struct sl_err *err);
enum sl_status sl_kafka_restore(void *self, const struct sl_message *m, int n, int64_t deadline_us, struct sl_err *err);
void sl_kafka_append_close(struct sl_kafka *k);

enum sl_status sl_kafka_read(void *self, const char *topic, int partition, int64_t position, int max,
	struct sl_batch *ret, struct sl_err *err);
void sl_kafka_read_close(struct sl_kafka *k);
enum { SL_KAFKA_END = -1 }; /* the offset to ask sl_kafka_offsets() for the end with */
rd_kafka_topic_partition_list_t *sl_kafka_list(const char *full, int first, int n, int64_t offset);
/* Replaces the times in l by offsets. */
enum sl_status sl_kafka_offsets(
	struct sl_kafka *k, rd_kafka_topic_partition_list_t *l, const char *full, struct sl_err *err);
/* Fills l with the offsets that group committed; below 0 where it has none. */
enum sl_status sl_kafka_offsets_committed(
	struct sl_kafka *k, const char *group, rd_kafka_topic_partition_list_t *l, struct sl_err *err);
void sl_kafka_askers_close(struct sl_kafka *k);
enum sl_status sl_kafka_lag(void *self, const char *group, const char *topic, int64_t *ret, struct sl_err *err);
enum sl_status sl_kafka_last(void *self, const char *topic, int partition, int64_t *ret, struct sl_err *err);
enum sl_status sl_kafka_committed(
	void *self, const char *group, const char *topic, int partition, int64_t *ret, struct sl_err *err);
enum sl_status sl_kafka_commit_to(
	void *self, const char *group, const char *topic, int partition, int64_t position, struct sl_err *err);

struct sl_batch_builder;
/* False: b is full. */
bool sl_kafka_take(struct sl_batch_builder *b, const char *topic, const rd_kafka_message_t *m);

enum sl_status sl_kafka_consumer_open(void *self, const char *group, const char *topic, void **ret, struct sl_err *err);
void sl_kafka_consumer_close(void *consumer);
enum sl_status sl_kafka_poll(void *consumer, int max, int64_t deadline_us, struct sl_batch *ret, struct sl_err *err);
enum sl_status sl_kafka_commit(void *consumer, struct sl_err *err);
enum sl_status sl_kafka_seek(void *consumer, int partition, int64_t position, struct sl_err *err);
