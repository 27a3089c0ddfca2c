/* SPDX-License-Identifier: Apache-2.0
 *
 * The log as it is moved from store to store: partitions, positions and times stay what they were.
 */
#include "store/sqlite/log_file.h"

struct move {
	struct sl_log_file *l;
	const char *topic, *group;
	int partitions, partition, n;
	int64_t position;
	const struct sl_message *m;
};

static enum sl_status make_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	struct move *v = arg;
	struct sl_log_file as = {.partitions = v->partitions};
	struct sl_part part[SL_PARTITIONS_MAX];
	int n;
	enum sl_status s = sl_log_file_make(&as, db, v->topic, part, &n, err);
	if (s == SL_OK && n < v->partitions)
		s = sl_fail(err, SL_CONFLICT, "%s: topic %s has %d partitions; %d are wanted", db->path, v->topic, n,
			v->partitions);
	return s;
}

enum sl_status sl_sqlite_log_make(void *self, const char *topic, int partitions, struct sl_err *err)
{
	struct move v = {.l = self, .topic = topic, .partitions = partitions};
	if (partitions > SL_PARTITIONS_MAX)
		return sl_fail(err, SL_UNSUPPORTED, "topic %s: %d partitions; this log has %d at most", topic,
			partitions, SL_PARTITIONS_MAX);
	return sl_writer_run(v.l->writer, make_job, &v, SL_FOREVER, err);
}

/* *ret -1: no such partition. */
static enum sl_status find_part(struct sl_db *db, const char *topic, int partition, int64_t *ret, struct sl_err *err)
{
	struct sl_part part[SL_PARTITIONS_MAX];
	int n;
	enum sl_status s = sl_log_file_parts(db, topic, part, &n, err);
	*ret = s == SL_OK && partition >= 0 && partition < n ? part[partition].no : -1;
	return s;
}

static enum sl_status need_part(struct sl_db *db, const char *topic, int partition, int64_t *ret, struct sl_err *err)
{
	enum sl_status s = find_part(db, topic, partition, ret, err);
	return s == SL_OK && *ret < 0
		       ? sl_fail(err, SL_NOT_FOUND, "%s: topic %s has no partition %d", db->path, topic, partition)
		       : s;
}

enum sl_status sl_sqlite_log_last(void *self, const char *topic, int partition, int64_t *ret, struct sl_err *err)
{
	struct sl_log_file *l = self;
	struct sl_db *db = NULL;
	int64_t no = -1;
	enum sl_status s = sl_readers_take(l->readers, &db, err);
	if (s == SL_OK)
		s = find_part(db, topic, partition, &no, err);
	if (s == SL_OK && no < 0)
		*ret = -1;
	else if (s == SL_OK)
		s = sl_log_file_last(db, no, ret, err);
	sl_readers_give(l->readers, db);
	return s;
}

static enum sl_status restore_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	const struct move *v = arg;
	int64_t no = -1, last = -1;
	enum sl_status s = need_part(db, v->m->topic, v->m->partition, &no, err);
	if (s == SL_OK)
		s = sl_log_file_last(db, no, &last, err);
	if (s == SL_OK && v->m->position <= last)
		s = sl_fail(err, SL_CONFLICT, "%s: topic %s, partition %d: has %lld already; %lld cannot follow",
			db->path, v->m->topic, v->m->partition, (long long)last, (long long)v->m->position);
	for (int i = 0; i < v->n && s == SL_OK; i++) {
		const struct sl_message *m = &v->m[i];
		s = sl_log_file_add(db, no, m->position, m->time_ms, m->key, m->body, err);
	}
	return s;
}

enum sl_status sl_sqlite_log_restore(
	void *self, const struct sl_message *m, int n, int64_t deadline_us, struct sl_err *err)
{
	struct move v = {.l = self, .m = m, .n = n};
	enum sl_status s = sl_writer_run(v.l->writer, restore_job, &v, deadline_us, err);
	if (s == SL_OK)
		sl_log_file_wake(v.l);
	return s;
}

enum sl_status sl_sqlite_log_committed(
	void *self, const char *group, const char *topic, int partition, int64_t *ret, struct sl_err *err)
{
	struct sl_log_file *l = self;
	struct sl_db *db = NULL;
	int64_t no = -1;
	enum sl_status s = sl_readers_take(l->readers, &db, err);
	if (s == SL_OK)
		s = find_part(db, topic, partition, &no, err);
	if (s == SL_OK)
		s = sl_db_int(db, sl_db_ask(db, Q_COMMITTED, "si", group, no), -1, ret, err);
	sl_readers_give(l->readers, db);
	return s;
}

static enum sl_status commit_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	const struct move *v = arg;
	int64_t no = -1;
	enum sl_status s = need_part(db, v->topic, v->partition, &no, err);
	if (s == SL_OK)
		s = sl_log_file_idle(v->l, db, v->group, v->topic, err);
	return s == SL_OK ? sl_db_run(db, sl_db_ask(db, Q_COMMIT, "sii", v->group, no, v->position), err) : s;
}

enum sl_status sl_sqlite_log_commit_to(
	void *self, const char *group, const char *topic, int partition, int64_t position, struct sl_err *err)
{
	struct move v = {.l = self, .group = group, .topic = topic, .partition = partition, .position = position};
	return sl_writer_run(v.l->writer, commit_job, &v, SL_FOREVER, err);
}
