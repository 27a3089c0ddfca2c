/* SPDX-License-Identifier: Apache-2.0
 *
 * Group commit: one thread a store that gathers the writes which wait into one transaction.
 * A call returns after the commit. Each write runs in a savepoint of its own, so one that
 * fails takes nothing with it. Private to store/sqlite/.
 * Owner: the store; takes db. Thread: sl_writer_run from any that may block.
 */
#pragma once
#include "store/sqlite/db.h"
#include <stdint.h>

enum { SL_WRITER_GROUP = 256, SL_WRITER_CHECKPOINT_PAGES = 2000 };

struct sl_writer;

/* Runs on the writer's thread inside the transaction; not OK undoes what it wrote. */
typedef enum sl_status (*sl_write_fn)(struct sl_db *db, void *arg, struct sl_err *err);

/* lost(arg): what a write has read or left in memory may not be in the file (the commit
 * failed); on the writer's thread. NULL is fine. */
struct sl_writer *sl_writer_new(struct sl_db *db, void (*lost)(void *arg), void *arg);
void sl_writer_free(struct sl_writer *w); /* after the last call has returned; NULL is fine */
/* TIMEOUT: the deadline passed before it began; nothing was written. */
enum sl_status sl_writer_run(struct sl_writer *w, sl_write_fn fn, void *arg, int64_t deadline_us, struct sl_err *err);
