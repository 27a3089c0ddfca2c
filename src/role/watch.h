/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks at the four stores all the time, each on a thread of its own, so that one that hangs
 * holds up nobody: what the status page shows of the log and the review store, and a small call
 * to each store every WATCH_MS (WATCH_AWAY_MS while it is away), by which store/health.h learns
 * that it went or came back though no role asks it for anything.
 * Owner: role/status.c. Thread: any.
 */
#pragma once
#include "store/stores.h"

struct sl_watch;

struct sl_watched { /* what is not fresh is as it was, or zeros */
	struct sl_review_stats reviews;
	int64_t labels; /* messages of topic labels */
	int64_t intake, curate; /* lags; -1: not known now */
};

struct sl_watch *sl_watch_start(const struct sl_stores *st); /* borrowed until sl_watch_free() */
/* A fresh look at the log and the reviews; at the deadline, what there is. */
struct sl_watched sl_watch_look(struct sl_watch *w, int64_t deadline_us);
void sl_watch_drain(struct sl_watch *w); /* no more looks; does not wait for those that run */
void sl_watch_free(struct sl_watch *w); /* joins; NULL is fine */
