/* SPDX-License-Identifier: Apache-2.0
 *
 * One SQLite connection with its prepared statements, and a pool of connections that read.
 * Private to store/sqlite/. Thread: a connection belongs to one thread at a time; the pool
 * is any's. Errors: BUSY (another process held the file for SL_DB_WAIT_MS), IO (disk full
 * too), CORRUPT, UNSUPPORTED (a newer format), INVALID (another kind of file).
 */
#pragma once
#include "base/buf.h"
#include <sqlite3.h>

enum { SL_DB_WAIT_MS = 10000, SL_DB_READERS = 4 };

/* What a store's file is: one const value a store. */
struct sl_schema {
	const char *name; /* "log" */
	int32_t application_id; /* tells the kinds of files apart */
	int version; /* user_version */
	const char *sql; /* makes version `version` from nothing */
	const char *const *query; /* statements, by number */
	int nquery;
};

struct sl_db {
	sqlite3 *h;
	char *path;
	const struct sl_schema *schema;
	sqlite3_stmt **stmt;
};

/* WAL, synchronous=FULL. make: makes file and folder when absent, and checks the format;
 * without, the file must have been opened so before (no write lock is taken then). */
enum sl_status sl_db_open(
	const char *path, const struct sl_schema *schema, bool make, struct sl_db **ret, struct sl_err *err);
void sl_db_close(struct sl_db *db); /* NULL is fine */

/* The statement, reset and bound: one letter a parameter. i: int64_t, s: const char *
 * (may be NULL), b: struct sl_slice. Texts and bytes must live until the statement ends. */
sqlite3_stmt *sl_db_ask(struct sl_db *db, int query, const char *types, ...);
/* The next row; at the end (*ret_row false) or on an error the statement is reset. */
enum sl_status sl_db_row(struct sl_db *db, sqlite3_stmt *q, bool *ret_row, struct sl_err *err);
/* Runs a statement that gives no row. */
enum sl_status sl_db_run(struct sl_db *db, sqlite3_stmt *q, struct sl_err *err);
/* First column of the first row; `none` when there is no row. */
enum sl_status sl_db_int(struct sl_db *db, sqlite3_stmt *q, int64_t none, int64_t *ret, struct sl_err *err);
enum sl_status sl_db_exec(struct sl_db *db, const char *sql, struct sl_err *err);
/* Text column, cut at size - 1 bytes. */
void sl_db_text(sqlite3_stmt *q, int column, char *ret, size_t size);

/* Readers: up to SL_DB_READERS connections, opened when needed, each inside one read
 * transaction from take to give: it sees one state of the file. */
struct sl_readers;
struct sl_readers *sl_readers_new(const char *path, const struct sl_schema *schema);
void sl_readers_free(struct sl_readers *r);
enum sl_status sl_readers_take(struct sl_readers *r, struct sl_db **ret, struct sl_err *err);
void sl_readers_give(struct sl_readers *r, struct sl_db *db); /* NULL is fine */
