/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite/db.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { WAIT_STEP_US = 500, WRITER_CACHE_KIB = 16384, READER_CACHE_KIB = 2048 };

/* The status and text of a result code. */
static enum sl_status fail(struct sl_db *db, int rc, struct sl_err *err)
{
	const char *why = sqlite3_errmsg(db->h);
	switch (rc & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return sl_fail(
			err, SL_BUSY, "%s: another process kept it locked for %d s", db->path, SL_DB_WAIT_MS / 1000);
	case SQLITE_FULL:
		return sl_fail(err, SL_IO, "%s: the disk is full; nothing was stored", db->path);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return sl_fail(err, SL_CORRUPT, "%s: %s; restore it from a copy", db->path, why);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_CANTOPEN:
		return sl_fail(err, SL_IO, "%s: %s; check the folder and its rights", db->path, why);
	default:
		return sl_fail(err, SL_IO, "%s: %s (SQLite %d)", db->path, why, sqlite3_extended_errcode(db->h));
	}
}

/* A lock of another process cannot be waited for by an event; SQLite's own steps grow to
 * 100 ms, which starves a writer beside a busy one. */
static int wait_for_lock(void *arg, int times)
{
	if ((int64_t)times * WAIT_STEP_US >= (int64_t)SL_DB_WAIT_MS * 1000)
		return 0;
	usleep(WAIT_STEP_US); /* lint: no event tells when another process lets go */
	return 1;
}

enum sl_status sl_db_exec(struct sl_db *db, const char *sql, struct sl_err *err)
{
	int rc = sqlite3_exec(db->h, sql, NULL, NULL, NULL);
	return rc == SQLITE_OK ? SL_OK : fail(db, rc, err);
}

static enum sl_status read_pragma(struct sl_db *db, const char *sql, int64_t *ret, struct sl_err *err)
{
	sqlite3_stmt *q = NULL;
	int rc = sqlite3_prepare_v2(db->h, sql, -1, &q, NULL);
	if (rc == SQLITE_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
		*ret = sqlite3_column_int64(q, 0);
		rc = SQLITE_OK;
	}
	enum sl_status s = rc == SQLITE_OK ? SL_OK : fail(db, rc, err);
	sqlite3_finalize(q);
	return s;
}

/* Inside a write transaction: makes the tables or checks whose they are. */
static enum sl_status make_or_check(struct sl_db *db, struct sl_err *err)
{
	const struct sl_schema *sc = db->schema;
	int64_t version = 0, id = 0, tables = 0;
	enum sl_status s = read_pragma(db, "PRAGMA user_version", &version, err);
	if (s == SL_OK)
		s = read_pragma(db, "PRAGMA application_id", &id, err);
	if (s == SL_OK)
		s = read_pragma(db, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (s != SL_OK)
		return s;
	if (id != sc->application_id && (id || tables))
		return sl_fail(err, SL_INVALID, "%s: is a database, but no signloop %s file; choose another path",
			db->path, sc->name);
	if (version > sc->version)
		return sl_fail(err, SL_UNSUPPORTED,
			"%s: has format %lld, this program reads up to %d; update signloop, or use another data folder",
			db->path, (long long)version, sc->version);
	if (tables)
		return SL_OK;
	s = sl_db_exec(db, sc->sql, err);
	SL_AUTOFREE char *marks = sl_asprintf(
		"PRAGMA application_id = %d; PRAGMA user_version = %d", (int)sc->application_id, sc->version);
	return s == SL_OK ? sl_db_exec(db, marks, err) : s;
}

static enum sl_status try_set_up(struct sl_db *db, bool make, struct sl_err *err)
{
	SL_AUTOFREE char *pragmas =
		sl_asprintf("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;"
			    "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -%d",
			make ? WRITER_CACHE_KIB : READER_CACHE_KIB);
	enum sl_status s = sl_db_exec(db, pragmas, err);
	if (s == SL_OK && make)
		s = sl_db_exec(db, "BEGIN IMMEDIATE", err);
	if (s != SL_OK || !make)
		return s;
	s = make_or_check(db, err);
	if (s == SL_OK)
		s = sl_db_exec(db, "COMMIT", err);
	if (s != SL_OK)
		sl_db_exec(db, "ROLLBACK", NULL);
	return s;
}

/* A new file that two processes open at once is refused without asking wait_for_lock: the
 * change to WAL does not wait. So the whole is tried again. */
static enum sl_status set_up(struct sl_db *db, bool make, struct sl_err *err)
{
	int64_t end = sl_deadline_ms(SL_DB_WAIT_MS);
	sqlite3_busy_handler(db->h, wait_for_lock, NULL);
	for (;;) {
		enum sl_status s = try_set_up(db, make, err);
		if (s != SL_BUSY || sl_is_past(end))
			return s;
		usleep(WAIT_STEP_US); /* lint: no event tells when another process lets go */
	}
}

static enum sl_status make_folder_of(const char *path, struct sl_err *err)
{
	SL_AUTOFREE char *dir = sl_strdup(path);
	char *slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return SL_OK;
	*slash = 0;
	return sl_fs_mkdirs(dir, err);
}

enum sl_status sl_db_open(
	const char *path, const struct sl_schema *schema, bool make, struct sl_db **ret, struct sl_err *err)
{
	enum sl_status s = make ? make_folder_of(path, err) : SL_OK;
	if (s != SL_OK)
		return s;
	struct sl_db *db = SL_NEW(struct sl_db);
	*db = (struct sl_db){
		.path = sl_strdup(path), .schema = schema, .stmt = SL_NEW_N(sqlite3_stmt *, (size_t)schema->nquery)};
	int flags =
		SQLITE_OPEN_READWRITE | (make ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	int rc = sqlite3_open_v2(path, &db->h, flags, NULL);
	s = rc == SQLITE_OK ? set_up(db, make, err) : fail(db, rc, err);
	if (s == SL_OK)
		*ret = db;
	else
		sl_db_close(db);
	return s;
}

void sl_db_close(struct sl_db *db)
{
	if (!db)
		return;
	for (int i = 0; i < db->schema->nquery; i++)
		sqlite3_finalize(db->stmt[i]);
	sqlite3_close(db->h);
	free(db->stmt);
	free(db->path);
	free(db);
}

sqlite3_stmt *sl_db_ask(struct sl_db *db, int query, const char *types, ...)
{
	sqlite3_stmt **q = &db->stmt[query];
	if (!*q && sqlite3_prepare_v3(db->h, db->schema->query[query], -1, SQLITE_PREPARE_PERSISTENT, q, NULL) !=
			   SQLITE_OK)
		return NULL; /* the file's tables are not what they were; sl_db_row says so */
	sqlite3_reset(*q);
	va_list ap;
	va_start(ap, types);
	for (int i = 1; *types; types++, i++) {
		if (*types == 'i') {
			sqlite3_bind_int64(*q, i, va_arg(ap, int64_t));
		} else if (*types == 's') {
			sqlite3_bind_text(*q, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
		} else {
			struct sl_slice b = va_arg(ap, struct sl_slice);
			sqlite3_bind_blob64(*q, i, b.len ? (const void *)b.ptr : "", b.len, SQLITE_STATIC);
		}
	}
	va_end(ap);
	return *q;
}

enum sl_status sl_db_row(struct sl_db *db, sqlite3_stmt *q, bool *ret_row, struct sl_err *err)
{
	*ret_row = false;
	if (!q)
		return fail(db, sqlite3_errcode(db->h), err);
	int rc = sqlite3_step(q);
	*ret_row = rc == SQLITE_ROW;
	if (*ret_row)
		return SL_OK;
	enum sl_status s = rc == SQLITE_DONE ? SL_OK : fail(db, rc, err);
	sqlite3_reset(q);
	return s;
}

enum sl_status sl_db_run(struct sl_db *db, sqlite3_stmt *q, struct sl_err *err)
{
	bool row;
	enum sl_status s = sl_db_row(db, q, &row, err);
	if (row)
		sqlite3_reset(q);
	return s;
}

enum sl_status sl_db_int(struct sl_db *db, sqlite3_stmt *q, int64_t none, int64_t *ret, struct sl_err *err)
{
	bool row;
	enum sl_status s = sl_db_row(db, q, &row, err);
	if (s != SL_OK)
		return s;
	*ret = row && sqlite3_column_type(q, 0) != SQLITE_NULL ? sqlite3_column_int64(q, 0) : none;
	if (row)
		sqlite3_reset(q);
	return SL_OK;
}

void sl_db_text(sqlite3_stmt *q, int column, char *ret, size_t size)
{
	const char *s = (const char *)sqlite3_column_text(q, column);
	snprintf(ret, size, "%s", s ? s : "");
}

struct waiter { /* on the caller's stack */
	pthread_cond_t given;
	bool may_go;
	struct sl_db *db; /* NULL with may_go: open one */
	struct waiter *next;
};

struct sl_readers {
	pthread_mutex_t lock;
	struct waiter *first, **last; /* served in turn: a late comer must not overtake for ever */
	char *path;
	const struct sl_schema *schema;
	struct sl_db *idle[SL_DB_READERS];
	int nidle, nopen;
};

struct sl_readers *sl_readers_new(const char *path, const struct sl_schema *schema)
{
	struct sl_readers *r = SL_NEW(struct sl_readers);
	pthread_mutex_init(&r->lock, NULL);
	r->last = &r->first;
	r->path = sl_strdup(path);
	r->schema = schema;
	return r;
}

void sl_readers_free(struct sl_readers *r)
{
	if (!r)
		return;
	SL_ASSERT(r->nidle == r->nopen);
	for (int i = 0; i < r->nidle; i++)
		sl_db_close(r->idle[i]);
	pthread_mutex_destroy(&r->lock);
	free(r->path);
	free(r);
}

/* A connection, or NULL with the right to open one; that right was counted in nopen. */
static struct sl_db *wait_for_turn(struct sl_readers *r)
{
	struct waiter w = {.next = NULL};
	pthread_mutex_lock(&r->lock);
	if (!r->first && r->nidle) {
		w.db = r->idle[--r->nidle];
	} else if (!r->first && r->nopen < SL_DB_READERS) {
		r->nopen++;
	} else {
		sl_cond_init(&w.given);
		*r->last = &w;
		r->last = &w.next;
		while (!w.may_go)
			pthread_cond_wait(&w.given, &r->lock);
		pthread_cond_destroy(&w.given);
	}
	pthread_mutex_unlock(&r->lock);
	return w.db;
}

/* db NULL: the connection is no more. */
static void end_turn(struct sl_readers *r, struct sl_db *db)
{
	pthread_mutex_lock(&r->lock);
	struct waiter *w = r->first;
	if (w) {
		r->first = w->next;
		if (!r->first)
			r->last = &r->first;
		w->db = db;
		w->may_go = true;
		pthread_cond_signal(&w->given);
	} else if (db) {
		r->idle[r->nidle++] = db;
	} else {
		r->nopen--;
	}
	pthread_mutex_unlock(&r->lock);
}

enum sl_status sl_readers_take(struct sl_readers *r, struct sl_db **ret, struct sl_err *err)
{
	struct sl_db *db = wait_for_turn(r);
	enum sl_status s = db ? SL_OK : sl_db_open(r->path, r->schema, false, &db, err);
	if (s == SL_OK)
		s = sl_db_exec(db, "BEGIN", err);
	if (s == SL_OK) {
		*ret = db;
		return SL_OK;
	}
	sl_db_close(db);
	end_turn(r, NULL);
	return s;
}

void sl_readers_give(struct sl_readers *r, struct sl_db *db)
{
	if (!db)
		return;
	for (int i = 0; i < db->schema->nquery; i++)
		if (db->stmt[i])
			sqlite3_reset(db->stmt[i]);
	sl_db_exec(db, "COMMIT", NULL);
	end_turn(r, db);
}
