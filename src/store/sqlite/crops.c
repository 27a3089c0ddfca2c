/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"
#include "base/mem.h"
#include "base/clock.h"
#include "store/sqlite/sqlite.h"
#include "store/sqlite/writer.h"
#include <stdio.h>

enum query { Q_PUT, Q_GET, Q_SCAN, Q_REMOVE, Q_TOTAL, Q_TOTAL_ADD, Q_COUNT };

static const char *const query[Q_COUNT] = {
	[Q_PUT] = "INSERT INTO crop (key, jpeg, meta, sum) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
	[Q_GET] = "SELECT jpeg, meta, sum FROM crop WHERE key = ?1",
	[Q_SCAN] = "SELECT key FROM crop WHERE key > ?1 AND key >= ?2 AND key < ?3 ORDER BY key LIMIT ?4",
	[Q_REMOVE] = "DELETE FROM crop WHERE key = ?1",
	[Q_TOTAL] = "SELECT crops FROM total",
	[Q_TOTAL_ADD] = "UPDATE total SET crops = crops + ?1",
};

static const struct sl_schema schema = {
	.name = "crops",
	.application_id = 0x736c6372, /* "slcr" */
	.version = 1,
	.sql = "CREATE TABLE crop (no INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, jpeg BLOB NOT NULL, meta BLOB NOT NULL,"
	       " sum BLOB NOT NULL);"
	       "CREATE TABLE total (crops INTEGER NOT NULL);"
	       "INSERT INTO total VALUES (0);",
	.query = query,
	.nquery = Q_COUNT,
};

struct crops {
	struct sl_writer *writer;
	struct sl_readers *readers;
};

static void sum_of(struct sl_slice jpeg, struct sl_slice meta, uint8_t ret[2 * SL_SHA256])
{
	sl_sha256(jpeg.ptr, jpeg.len, ret);
	sl_sha256(meta.ptr, meta.len, ret + SL_SHA256);
}

struct put {
	const struct sl_crop_put *put;
	uint8_t (*sum)[2 * SL_SHA256];
	int n;
	bool one;
};

static enum sl_status put_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	struct put *p = arg;
	int64_t added = 0;
	enum sl_status s = SL_OK;
	for (int i = 0; i < p->n && s == SL_OK; i++) {
		const struct sl_crop_put *c = &p->put[i];
		s = sl_db_run(db,
			sl_db_ask(db, Q_PUT, "sbbb", c->key, c->jpeg, c->meta, sl_slice(p->sum[i], sizeof(p->sum[i]))),
			err);
		added += s == SL_OK && sqlite3_changes(db->h) > 0;
	}
	if (s == SL_OK && p->one && !added)
		return sl_fail(err, SL_EXISTS, "crop %s is there already", p->put->key);
	return s == SL_OK && added ? sl_db_run(db, sl_db_ask(db, Q_TOTAL_ADD, "i", added), err) : s;
}

static enum sl_status put(void *self, const struct sl_crop_put *put, int n, bool one, struct sl_err *err)
{
	struct crops *c = self;
	struct put p = {put, sl_calloc((size_t)n, sizeof(*p.sum)), n, one};
	for (int i = 0; i < n; i++) /* on the caller's thread: the writer's time is everyone's */
		sum_of(put[i].jpeg, put[i].meta, p.sum[i]);
	enum sl_status s = sl_writer_run(c->writer, put_job, &p, SL_FOREVER, err);
	free(p.sum);
	return s;
}

static enum sl_status get_one(struct sl_db *db, const char *key, struct sl_crop *ret, struct sl_err *err)
{
	bool row;
	sqlite3_stmt *q = sl_db_ask(db, Q_GET, "s", key);
	enum sl_status s = sl_db_row(db, q, &row, err);
	if (s != SL_OK || !row)
		return s;
	struct sl_slice jpeg = sl_slice(sqlite3_column_blob(q, 0), (size_t)sqlite3_column_bytes(q, 0));
	struct sl_slice meta = sl_slice(sqlite3_column_blob(q, 1), (size_t)sqlite3_column_bytes(q, 1));
	uint8_t sum[2 * SL_SHA256];
	sum_of(jpeg, meta, sum);
	if (sqlite3_column_bytes(q, 2) != sizeof(sum) || memcmp(sqlite3_column_blob(q, 2), sum, sizeof(sum))) {
		s = sl_fail(
			err, SL_CORRUPT, "%s: crop %s is not what was stored; restore it from a copy", db->path, key);
	} else {
		snprintf(ret->key, sizeof(ret->key), "%s", key);
		(void)sl_buf_add(&ret->jpeg, jpeg.ptr, jpeg.len);
		(void)sl_buf_add(&ret->meta, meta.ptr, meta.len);
	}
	sqlite3_reset(q);
	return s;
}

static enum sl_status get(void *self, const char *const *keys, int n, struct sl_crop *ret, struct sl_err *err)
{
	struct crops *c = self;
	struct sl_db *db = NULL;
	enum sl_status s = sl_readers_take(c->readers, &db, err);
	for (int i = 0; i < n && s == SL_OK; i++)
		s = get_one(db, keys[i], &ret[i], err);
	sl_readers_give(c->readers, db);
	return s;
}

static enum sl_status scan(
	void *self, const char *prefix, const char *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	struct crops *c = self;
	struct sl_db *db = NULL;
	enum sl_status s = sl_readers_take(c->readers, &db, err);
	SL_AUTOFREE char *end = sl_asprintf("%s\xff", prefix); /* above every key with the prefix: keys are text */
	bool row = false;
	sqlite3_stmt *q = s == SL_OK ? sl_db_ask(db, Q_SCAN, "sssi", after, prefix, end, (int64_t)max) : NULL;
	while (s == SL_OK && (s = sl_db_row(db, q, &row, err)) == SL_OK && row)
		sl_db_text(q, 0, ret[(*ret_n)++], SL_KEY);
	sl_readers_give(c->readers, db);
	return s;
}

static enum sl_status remove_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	enum sl_status s = sl_db_run(db, sl_db_ask(db, Q_REMOVE, "s", arg), err);
	int64_t removed = sqlite3_changes(db->h);
	return s == SL_OK && removed ? sl_db_run(db, sl_db_ask(db, Q_TOTAL_ADD, "i", -removed), err) : s;
}

static enum sl_status remove_crop(void *self, const char *key, struct sl_err *err)
{
	struct crops *c = self;
	return sl_writer_run(c->writer, remove_job, (void *)(uintptr_t)key, SL_FOREVER, err);
}

static enum sl_status count(void *self, int64_t *ret, struct sl_err *err)
{
	struct crops *c = self;
	struct sl_db *db = NULL;
	enum sl_status s = sl_readers_take(c->readers, &db, err);
	if (s == SL_OK)
		s = sl_db_int(db, sl_db_ask(db, Q_TOTAL, ""), 0, ret, err);
	sl_readers_give(c->readers, db);
	return s;
}

static void close_crops(void *self)
{
	struct crops *c = self;
	sl_writer_free(c->writer);
	sl_readers_free(c->readers);
	free(c);
}

static enum sl_status open_crops(struct sl_url *url, const struct sl_config *cfg, void **ret, struct sl_err *err)
{
	struct sl_db *db = NULL;
	enum sl_status s = sl_db_open(url->path, &schema, true, &db, err);
	if (s != SL_OK)
		return s;
	struct crops *c = SL_NEW(struct crops);
	c->writer = sl_writer_new(db, NULL, NULL);
	c->readers = sl_readers_new(url->path, &schema);
	*ret = c;
	return SL_OK;
}

const struct sl_crops_ops sl_sqlite_crops = {
	.open = open_crops,
	.close = close_crops,
	.put = put,
	.get = get,
	.scan = scan,
	.remove = remove_crop,
	.count = count,
};
