/* SPDX-License-Identifier: Apache-2.0
 *
 * The two sides of `signloop migrate`: from words of the command line to open stores.
 * Owner: cmd/migrate.c, sl_side_done(). Thread: the main thread.
 */
#pragma once
#include "base/opt.h"
#include "store/stores.h"

enum { SL_SIDE_KINDS = 4 }; /* log, crops, reviews, artifacts */

struct sl_side {
	const char *name; /* "from" or "to" */
	char *url[SL_SIDE_KINDS]; /* NULL: not named */
	const char *dir; /* a data folder, or NULL */
	int lock; /* of the folder; -1: not held */
	struct sl_stores stores;
};

/* Words: DIR (the four embedded stores in it), KIND=URL, or a URL whose scheme serves one kind only. A URL
 * goes before what a folder would give. USAGE says which word is wrong. */
enum sl_status sl_side_parse(struct sl_side *side, const char *name, const struct sl_words *words, struct sl_err *err);
/* Locks the folder if there is one. BUSY names who holds it. */
enum sl_status sl_side_lock(struct sl_side *side, struct sl_err *err);
/* Opens the kinds that `which` (a bit each) names; must_be: one that lies in files must be there already. */
enum sl_status sl_side_open(
	struct sl_side *side, unsigned which, bool must_be, const struct sl_config *cfg, struct sl_err *err);
unsigned sl_side_kinds(const struct sl_side *side); /* a bit for each that is named */
const char *sl_side_kind(int kind); /* "log" */
void sl_side_done(struct sl_side *side);
