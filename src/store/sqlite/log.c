/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite/log_file.h"
#include "base/digest.h"
#include "base/mem.h"
#include "store/batch.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const char *const query[Q_LOG_COUNT] = {
	[Q_PARTS] = "SELECT no, partition FROM part WHERE topic = ?1 ORDER BY partition",
	[Q_PART_ADD] = "INSERT INTO part (topic, partition) VALUES (?1, ?2)",
	[Q_LAST] = "SELECT id FROM message WHERE id < ?1 ORDER BY id DESC LIMIT 1",
	[Q_APPEND] = "INSERT INTO message (id, time, key, body) VALUES (?1, ?2, ?3, ?4)",
	[Q_READ] = "SELECT id, time, key, body FROM message WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
	[Q_COMMITTED] = "SELECT position FROM committed WHERE grp = ?1 AND part = ?2",
	[Q_COMMIT] = "INSERT INTO committed (grp, part, position) VALUES (?1, ?2, ?3) "
		     "ON CONFLICT DO UPDATE SET position = ?3",
	[Q_MEMBERS] = "SELECT id, life, until FROM member WHERE grp = ?1 AND topic = ?2 ORDER BY joined",
	[Q_MEMBERS_ALL] = "SELECT life, until, grp, topic FROM member ORDER BY joined",
	[Q_MEMBER_SET] = "INSERT INTO member (grp, topic, id, life, until, joined) VALUES (?1, ?2, ?3, ?4, ?5,"
			 " (SELECT coalesce(max(joined), 0) + 1 FROM member)) ON CONFLICT DO UPDATE SET until = ?5",
	[Q_MEMBER_RENEW] = "UPDATE member SET until = ?4 WHERE grp = ?1 AND topic = ?2 AND id = ?3",
	[Q_MEMBER_DROP] = "DELETE FROM member WHERE grp = ?1 AND topic = ?2 AND id = ?3",
	[Q_OWNER] = "SELECT id FROM owner WHERE grp = ?1 AND part = ?2",
	[Q_OWN] = "INSERT INTO owner (grp, part, id) VALUES (?1, ?2, ?3)",
	[Q_DISOWN] = "DELETE FROM owner WHERE grp = ?1 AND part = ?2 AND id = ?3",
	[Q_DISOWN_ALL] = "DELETE FROM owner WHERE grp = ?1 AND id = ?2",
};

static const struct sl_schema schema = {
	.name = "log",
	.application_id = 0x736c6c67, /* "sllg" */
	.version = 1,
	.sql = "CREATE TABLE part (no INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL,"
	       " UNIQUE (topic, partition));"
	       "CREATE TABLE message (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL);"
	       "CREATE TABLE committed (grp TEXT NOT NULL, part INTEGER NOT NULL, position INTEGER NOT NULL,"
	       " PRIMARY KEY (grp, part)) WITHOUT ROWID;"
	       "CREATE TABLE member (grp TEXT NOT NULL, topic TEXT NOT NULL, id TEXT NOT NULL, life INTEGER NOT NULL,"
	       " until INTEGER NOT NULL, joined INTEGER NOT NULL, PRIMARY KEY (grp, topic, id)) WITHOUT ROWID;"
	       "CREATE TABLE owner (grp TEXT NOT NULL, part INTEGER NOT NULL, id TEXT NOT NULL,"
	       " PRIMARY KEY (grp, part)) WITHOUT ROWID;",
	.query = query,
	.nquery = Q_LOG_COUNT,
};

static int64_t id_of(int64_t part, int64_t position)
{
	return (part << SL_POSITION_BITS) + position;
}

static int64_t position_of(int64_t id)
{
	return id & (((int64_t)1 << SL_POSITION_BITS) - 1);
}

enum sl_status sl_log_file_parts(
	struct sl_db *db, const char *topic, struct sl_part ret[SL_PARTITIONS_MAX], int *ret_n, struct sl_err *err)
{
	sqlite3_stmt *q = sl_db_ask(db, Q_PARTS, "s", topic);
	bool row;
	enum sl_status s;
	*ret_n = 0;
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row)
		if (*ret_n < SL_PARTITIONS_MAX)
			ret[(*ret_n)++] = (struct sl_part){sqlite3_column_int64(q, 0), sqlite3_column_int(q, 1)};
	return s;
}

enum sl_status sl_log_file_make(struct sl_log_file *l, struct sl_db *db, const char *topic,
	struct sl_part ret[SL_PARTITIONS_MAX], int *ret_n, struct sl_err *err)
{
	enum sl_status s = sl_log_file_parts(db, topic, ret, ret_n, err);
	if (s != SL_OK || *ret_n)
		return s;
	for (int64_t i = 0; i < l->partitions && s == SL_OK; i++)
		s = sl_db_run(db, sl_db_ask(db, Q_PART_ADD, "si", topic, i), err);
	return s == SL_OK ? sl_log_file_parts(db, topic, ret, ret_n, err) : s;
}

enum sl_status sl_log_file_last(struct sl_db *db, int64_t part, int64_t *ret, struct sl_err *err)
{
	int64_t id;
	enum sl_status s = sl_db_int(db, sl_db_ask(db, Q_LAST, "i", id_of(part + 1, 0)), -1, &id, err);
	if (s == SL_OK)
		*ret = id >= id_of(part, 0) ? position_of(id) : -1;
	return s;
}

enum sl_status sl_log_file_read(struct sl_db *db, const char *topic, struct sl_part p, int64_t position, int max,
	struct sl_batch_builder *b, struct sl_err *err)
{
	sqlite3_stmt *q = sl_db_ask(db, Q_READ, "iii", id_of(p.no, position), id_of(p.no + 1, 0), (int64_t)max);
	bool row;
	enum sl_status s;
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row) {
		struct sl_message m = {.partition = p.partition,
			.position = position_of(sqlite3_column_int64(q, 0)),
			.time_ms = sqlite3_column_int64(q, 1),
			.body = sl_slice(sqlite3_column_blob(q, 3), (size_t)sqlite3_column_bytes(q, 3))};
		SL_COPY(m.topic, topic);
		sl_db_text(q, 2, m.key, sizeof(m.key));
		if (!sl_batch_add(b, &m)) {
			sqlite3_reset(q);
			break;
		}
	}
	return s;
}

enum sl_status sl_log_file_add(struct sl_db *db, int64_t part, int64_t position, int64_t time_ms, const char *key,
	struct sl_slice body, struct sl_err *err)
{
	return sl_db_run(db, sl_db_ask(db, Q_APPEND, "iisb", id_of(part, position), time_ms, key, body), err);
}

void sl_log_file_wake(struct sl_log_file *l)
{
	pthread_mutex_lock(&l->lock);
	l->growth++;
	pthread_cond_broadcast(&l->grown);
	pthread_mutex_unlock(&l->lock);
}

struct append {
	struct sl_log_file *l;
	const struct sl_entry *e;
	int n;
};

static enum sl_status append_one(struct sl_log_file *l, struct sl_db *db, const struct sl_entry *e, struct sl_err *err)
{
	struct sl_part part[SL_PARTITIONS_MAX];
	int nparts;
	int64_t last = -1;
	enum sl_status s = sl_log_file_make(l, db, e->topic, part, &nparts, err);
	if (s != SL_OK)
		return s;
	int64_t no = part[sl_log_partition_of(e->key, nparts)].no;
	s = sl_log_file_last(db, no, &last, err);
	if (s != SL_OK)
		return s;
	return sl_log_file_add(db, no, last + 1, sl_now_ms(), e->key, e->body, err);
}

static enum sl_status append_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	struct append *a = arg;
	enum sl_status s = SL_OK;
	for (int i = 0; i < a->n && s == SL_OK; i++)
		s = append_one(a->l, db, &a->e[i], err);
	return s;
}

static enum sl_status append(void *self, const struct sl_entry *e, int n, int64_t deadline_us, struct sl_err *err)
{
	struct append a = {self, e, n};
	enum sl_status s = sl_writer_run(a.l->writer, append_job, &a, deadline_us, err);
	if (s == SL_OK)
		sl_log_file_wake(a.l);
	return s;
}

static int partitions(void *self, const char *topic)
{
	struct sl_log_file *l = self;
	struct sl_part part[SL_PARTITIONS_MAX];
	struct sl_db *db = NULL;
	int n = 0;
	if (sl_readers_take(l->readers, &db, NULL) == SL_OK)
		(void)sl_log_file_parts(db, topic, part, &n, NULL);
	sl_readers_give(l->readers, db);
	return n ? n : (int)l->partitions;
}

static enum sl_status read_part(struct sl_db *db, const char *topic, int partition, int64_t position, int max,
	struct sl_batch *ret, struct sl_err *err)
{
	struct sl_part part[SL_PARTITIONS_MAX];
	struct sl_batch_builder b = {0};
	int n;
	enum sl_status s = sl_log_file_parts(db, topic, part, &n, err);
	if (s != SL_OK || partition < 0 || partition >= n)
		return s;
	s = sl_log_file_read(db, topic, part[partition], position, max, &b, err);
	if (s == SL_OK && b.n)
		sl_batch_end(&b, ret);
	else
		sl_batch_drop(&b);
	return s;
}

static enum sl_status read_log(void *self, const char *topic, int partition, int64_t position, int max,
	struct sl_batch *ret, struct sl_err *err)
{
	struct sl_log_file *l = self;
	struct sl_db *db = NULL;
	enum sl_status s = sl_readers_take(l->readers, &db, err);
	if (s == SL_OK)
		s = read_part(db, topic, partition, position, max, ret, err);
	sl_readers_give(l->readers, db);
	return s;
}

static enum sl_status lag_of(struct sl_db *db, const char *group, const char *topic, int64_t *ret, struct sl_err *err)
{
	struct sl_part part[SL_PARTITIONS_MAX];
	int n;
	int64_t sum = 0, last, committed = -1;
	enum sl_status s = sl_log_file_parts(db, topic, part, &n, err);
	for (int i = 0; i < n && s == SL_OK; i++) {
		s = sl_log_file_last(db, part[i].no, &last, err);
		if (s == SL_OK && group)
			s = sl_db_int(db, sl_db_ask(db, Q_COMMITTED, "si", group, part[i].no), -1, &committed, err);
		if (s == SL_OK)
			sum += last - committed;
	}
	if (s == SL_OK)
		*ret = sum;
	return s;
}

static enum sl_status lag(void *self, const char *group, const char *topic, int64_t *ret, struct sl_err *err)
{
	struct sl_log_file *l = self;
	struct sl_db *db = NULL;
	enum sl_status s = sl_readers_take(l->readers, &db, err);
	if (s == SL_OK)
		s = lag_of(db, group, topic, ret, err);
	sl_readers_give(l->readers, db);
	return s;
}

/* The kernel drops the lock with the process, however it ends. */
static enum sl_status begin_life(struct sl_log_file *l, const char *path, struct sl_err *err)
{
	SL_AUTOFREE char *life = sl_asprintf("%s-life", path);
	l->life_fd = open(life, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (l->life_fd < 0)
		return sl_fail_errno(err, SL_IO, errno, "%s", life);
	do {
		sl_random(&l->life, sizeof(l->life));
		l->life &= INT64_MAX >> 1;
		struct flock f = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = l->life, .l_len = 1};
		if (!fcntl(l->life_fd, F_OFD_SETLK, &f))
			return SL_OK;
	} while (errno == EAGAIN || errno == EACCES);
	return sl_fail_errno(err, SL_IO, errno, "%s: cannot lock", life);
}

static void close_log(void *self)
{
	struct sl_log_file *l = self;
	sl_writer_free(l->writer);
	sl_readers_free(l->readers);
	if (l->life_fd >= 0)
		close(l->life_fd);
	pthread_cond_destroy(&l->grown);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static enum sl_status open_log(struct sl_url *url, const struct sl_config *cfg, void **ret, struct sl_err *err)
{
	int64_t partitions = 1;
	struct sl_db *db = NULL;
	enum sl_status s = sl_url_int(url, "partitions", 1, SL_PARTITIONS_MAX, &partitions, err);
	if (s == SL_OK)
		s = sl_db_open(url->path, &schema, true, &db, err);
	if (s != SL_OK)
		return s;
	struct sl_log_file *l = SL_NEW(struct sl_log_file);
	l->partitions = partitions;
	pthread_mutex_init(&l->lock, NULL);
	sl_cond_init(&l->grown);
	l->writer = sl_writer_new(db, NULL, NULL);
	l->readers = sl_readers_new(url->path, &schema);
	s = begin_life(l, url->path, err);
	if (s == SL_OK)
		*ret = l;
	else
		close_log(l);
	return s;
}

const struct sl_log_ops sl_sqlite_log = {
	.open = open_log,
	.close = close_log,
	.append = append,
	.consumer_open = sl_sqlite_consumer_open,
	.consumer_close = sl_sqlite_consumer_close,
	.poll = sl_sqlite_poll,
	.commit = sl_sqlite_commit,
	.seek = sl_sqlite_seek,
	.partitions = partitions,
	.read = read_log,
	.lag = lag,
	.make = sl_sqlite_log_make,
	.last = sl_sqlite_log_last,
	.restore = sl_sqlite_log_restore,
	.committed = sl_sqlite_log_committed,
	.commit_to = sl_sqlite_log_commit_to,
	.idle = sl_sqlite_log_idle,
};
