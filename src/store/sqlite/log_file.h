/* SPDX-License-Identifier: Apache-2.0
 *
 * What sqlite/log.c (messages) and sqlite/log_group.c (consumers) share.
 *
 * A message's rowid is part << 40 | position, so that each partition lies in one run of the
 * table in order, without an index. Thread: any for the file; a consumer is of one thread.
 */
#pragma once
#include "base/thread.h"
#include "store/sqlite/sqlite.h"
#include "store/sqlite/writer.h"

enum {
	SL_POSITION_BITS = 40, /* SL_POSITION_MAX */
	SL_PARTITIONS_MAX = 64,
	SL_FOLLOW_MS = 50, /* how often a waiting consumer looks for messages of other processes */
};

enum sl_log_query {
	Q_PARTS,
	Q_PART_ADD,
	Q_LAST,
	Q_APPEND,
	Q_READ,
	Q_COMMITTED,
	Q_COMMIT,
	Q_MEMBERS,
	Q_MEMBERS_ALL,
	Q_MEMBER_SET,
	Q_MEMBER_RENEW,
	Q_MEMBER_DROP,
	Q_OWNER,
	Q_OWN,
	Q_DISOWN,
	Q_DISOWN_ALL,
	Q_LOG_COUNT
};

struct sl_part {
	int64_t no;
	int partition;
};

struct sl_log_file {
	struct sl_writer *writer;
	struct sl_readers *readers;
	int64_t partitions; /* of topics that this handle makes */
	int life_fd; /* a lock on byte `life` of PATH-life tells others that this handle lives */
	int64_t life;
	pthread_mutex_t lock;
	pthread_cond_t grown;
	uint64_t growth; /* changes when this handle appended, or a member came or went */
};

/* Inside a write: makes the topic when it is absent. */
enum sl_status sl_log_file_make(struct sl_log_file *l, struct sl_db *db, const char *topic,
	struct sl_part ret[SL_PARTITIONS_MAX], int *ret_n, struct sl_err *err);
struct sl_batch_builder;
/* Adds up to max messages after position to b. */
enum sl_status sl_log_file_read(struct sl_db *db, const char *topic, struct sl_part p, int64_t position, int max,
	struct sl_batch_builder *b, struct sl_err *err);
void sl_log_file_wake(struct sl_log_file *l);
/* The topic's partitions in order; 0 when it has none yet. */
enum sl_status sl_log_file_parts(
	struct sl_db *db, const char *topic, struct sl_part ret[SL_PARTITIONS_MAX], int *ret_n, struct sl_err *err);
/* The position of the last message of a part; -1: none. */
enum sl_status sl_log_file_last(struct sl_db *db, int64_t part, int64_t *ret, struct sl_err *err);
enum sl_status sl_log_file_add(struct sl_db *db, int64_t part, int64_t position, int64_t time_ms, const char *key,
	struct sl_slice body, struct sl_err *err);

enum sl_status sl_sqlite_consumer_open(
	void *self, const char *group, const char *topic, void **ret, struct sl_err *err);
void sl_sqlite_consumer_close(void *consumer);
enum sl_status sl_sqlite_poll(void *consumer, int max, int64_t deadline_us, struct sl_batch *ret, struct sl_err *err);
enum sl_status sl_sqlite_commit(void *consumer, struct sl_err *err);
enum sl_status sl_sqlite_seek(void *consumer, int partition, int64_t position, struct sl_err *err);

enum sl_status sl_sqlite_log_make(void *self, const char *topic, int partitions, struct sl_err *err);
enum sl_status sl_sqlite_log_last(void *self, const char *topic, int partition, int64_t *ret, struct sl_err *err);
enum sl_status sl_sqlite_log_restore(
	void *self, const struct sl_message *m, int n, int64_t deadline_us, struct sl_err *err);
enum sl_status sl_sqlite_log_committed(
	void *self, const char *group, const char *topic, int partition, int64_t *ret, struct sl_err *err);
enum sl_status sl_sqlite_log_commit_to(
	void *self, const char *group, const char *topic, int partition, int64_t position, struct sl_err *err);
enum sl_status sl_sqlite_log_idle(void *self, struct sl_err *err);
/* Inside a write: BUSY while somebody reads topic for group. */
enum sl_status sl_log_file_idle(
	struct sl_log_file *l, struct sl_db *db, const char *group, const char *topic, struct sl_err *err);
