/* SPDX-License-Identifier: Apache-2.0
 *
 * The two sides of `signloop migrate`: from words of the command line to open stores.
 * Owner: cmd/migrate.c, sl_side_done(). Thread: the main thread.
 */
#pragma once
#include "base/opt.h"
#include "store/stores.h"

struct sl_side {
	const char *name; /* "from" or "to" */
	char *url[SL_STORES]; /* NULL: not named */
	const char *dir; /* a data folder, or NULL */
	bool has_urls; /* KIND=URL was named; the folder's lock tells nothing about that store */
	int lock; /* of the folder; -1: not held */
	struct sl_stores stores;
};

/* Words: DIR (the four embedded stores in it), KIND=URL, or a URL whose scheme serves one kind only. A URL
 * goes before what a folder would give. USAGE says which word is wrong. */
enum sl_status sl_side_parse(struct sl_side *side, const char *name, const struct sl_words *words, struct sl_err *err);
/* Locks the folder if there is one. BUSY names who holds it. */
enum sl_status sl_side_lock(struct sl_side *side, struct sl_err *err);
/* What of a store that would lie in files that are not there. */
enum sl_side_absent { SL_ABSENT_MAKE, SL_ABSENT_FAIL, SL_ABSENT_EMPTY /* an empty one in memory: no file is made */ };
/* Opens the kinds that `which` (a bit each) names. */
enum sl_status sl_side_open(struct sl_side *side, unsigned which, enum sl_side_absent absent,
	const struct sl_config *cfg, struct sl_err *err);
unsigned sl_side_kinds(const struct sl_side *side); /* a bit for each that is named */
void sl_side_done(struct sl_side *side);
