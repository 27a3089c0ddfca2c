/* SPDX-License-Identifier: Apache-2.0
 *
 * The log: topics of small messages, in order, with consumer groups.
 *
 * Topics are "labels", "reviews", "models" (interfaces.md has their JSON). A topic has
 * partitions; a message's key chooses one; order holds inside a partition. Positions in a
 * partition start at 0, grow, and need not be dense. Delivery is at least once: what was
 * polled and not committed comes again, to some member of the group. A partition is read by
 * one live member of a group at a time; a member that neither polls nor commits for
 * SL_MEMBER_MS, or whose process is gone, loses its partitions.
 *
 * Owner: the caller. Thread: sl_log_* from any (they may block: never on an http
 * thread); a consumer belongs to one thread at a time. Deadlines as in base/clock.h.
 * Errors: AWAY/TIMEOUT leave the outcome of an append unknown: do it again, effects are
 * idempotent by key. TOO_LARGE over SL_MESSAGE_MAX.
 */
#pragma once
#include "base/buf.h"
#include "base/clock.h"
#include "base/config.h"

enum { SL_MESSAGE_MAX = 64 * 1024, SL_TOPIC = 32, SL_MESSAGE_KEY = 80, SL_BATCH_MAX = 1000, SL_MEMBER_MS = 30000 };

#define SL_POSITION_MAX (((int64_t)1 << 40) - 1) /* of any message; a larger one to read after means the same */

struct sl_log;

struct sl_message {
	char topic[SL_TOPIC];
	int partition;
	int64_t position;
	int64_t time_ms; /* when it was appended */
	char key[SL_MESSAGE_KEY];
	struct sl_slice body; /* NUL follows */
};

struct sl_batch {
	struct sl_message *message;
	int n;
	void *own; /* backend's */
};
void sl_batch_done(struct sl_batch *b);

/* url: "mem:", "sqlite:PATH", ... ; known schemes that are not in this build are UNSUPPORTED. */
enum sl_status sl_log_open(const char *url, const struct sl_config *cfg, struct sl_log **ret, struct sl_err *err);
void sl_log_close(struct sl_log *l); /* after its consumers; NULL is fine */

/* From now on each append also writes what the original's consumers read (core/compat.h), in the same
 * call: at least once, as all messages. url: the pattern of its parameter messages; USAGE. A message
 * that is none of its topic has no such copy and is counted. Before threads start. */
enum sl_status sl_log_compat(struct sl_log *l, const char *url, struct sl_err *err);

/* Returns when the message is durable. Concurrent calls share one disk write. */
enum sl_status sl_log_append(struct sl_log *l, const char *topic, const char *key, struct sl_slice body,
	int64_t deadline_us, struct sl_err *err);
/* All or, on an error, any part of them durable. */
struct sl_entry {
	const char *topic, *key;
	struct sl_slice body;
};
enum sl_status sl_log_append_many(
	struct sl_log *l, const struct sl_entry *e, int n, int64_t deadline_us, struct sl_err *err);

struct sl_consumer;
/* Joins group for topic; starts after the last committed position, or at the first. */
enum sl_status sl_consumer_open(
	struct sl_log *l, const char *group, const char *topic, struct sl_consumer **ret, struct sl_err *err);
void sl_consumer_close(struct sl_consumer *c); /* leaves the group; uncommitted messages go to others */
/* At least one message, or an empty batch at the deadline. At most max (<= SL_BATCH_MAX). */
enum sl_status sl_consumer_poll(
	struct sl_consumer *c, int max, int64_t deadline_us, struct sl_batch *ret, struct sl_err *err);
/* Everything polled so far has had its effect. CONFLICT: a partition went to another member
 * meanwhile (this one did not poll for SL_MEMBER_MS); its messages come again there. */
enum sl_status sl_consumer_commit(struct sl_consumer *c, struct sl_err *err);
/* For an effect that stores its own position: goes on with the message after `position`
 * (-1: the first). CONFLICT when the partition is not this member's (it may be later: a
 * member that lags behind joins at a poll). */
enum sl_status sl_consumer_seek(struct sl_consumer *c, int partition, int64_t position, struct sl_err *err);

/* As it has, or would be made with. 0: the log does not answer. */
int sl_log_partitions(struct sl_log *l, const char *topic);
/* The same; AWAY for 0. */
enum sl_status sl_log_ask_partitions(struct sl_log *l, const char *topic, int *ret, struct sl_err *err);
/* Where a key's messages go, in every backend: FNV-1a (32 bits) modulo n > 0. */
int sl_log_partition_of(const char *key, int n);
/* "labels/p0/17": a message, for people. */
enum { SL_LOG_WHERE = 80 };
void sl_log_where(const char *topic, int partition, int64_t position, char ret[SL_LOG_WHERE]);
/* Messages of one partition after `position` (-1: from the first), without a group. */
enum sl_status sl_log_read(struct sl_log *l, const char *topic, int partition, int64_t position, int max,
	struct sl_batch *ret, struct sl_err *err);
/* Messages of topic that group has not committed; group NULL: all messages of the topic. */
enum sl_status sl_log_lag(struct sl_log *l, const char *group, const char *topic, int64_t *ret, struct sl_err *err);

/* ---- moving a log elsewhere (signloop migrate). Nobody else writes to where it goes. ---- */

/* The topic has at least `partitions` partitions: makes it with that many when it is absent. CONFLICT:
 * it has fewer. UNSUPPORTED: more than this backend can have. */
enum sl_status sl_log_make(struct sl_log *l, const char *topic, int partitions, struct sl_err *err);
/* The position of the partition's last message; -1: there was none yet. */
enum sl_status sl_log_last(struct sl_log *l, const char *topic, int partition, int64_t *ret, struct sl_err *err);
/* Appends n (<= SL_BATCH_MAX) messages of one partition as they are: with their key, body, time and
 * position. All or, on an error, any first part of them durable: ask sl_log_last() where to go on. CONFLICT:
 * m[0] does not follow the partition's last message, or there is a gap that this backend cannot have. */
enum sl_status sl_log_restore(
	struct sl_log *l, const struct sl_message *m, int n, int64_t deadline_us, struct sl_err *err);
/* The last position of the partition that group has committed; -1: none. */
enum sl_status sl_log_committed(
	struct sl_log *l, const char *group, const char *topic, int partition, int64_t *ret, struct sl_err *err);
/* OK: no process that lives reads the log in any group. BUSY: who does. UNSUPPORTED: this backend cannot tell. */
enum sl_status sl_log_idle(struct sl_log *l, struct sl_err *err);
/* Sets it. BUSY while the group has a live member. */
enum sl_status sl_log_commit_to(
	struct sl_log *l, const char *group, const char *topic, int partition, int64_t position, struct sl_err *err);
