/* SPDX-License-Identifier: Apache-2.0
 *
 * Curating without HTTP: labels in, segments out, exactly once in effect. The role (curate.c)
 * gives it a thread; tests call it by hand. Partitions are stored at once, by a pool of its own.
 *
 * The effect carries the position: a segment's entry is created only if absent under the
 * position after the last one stored. What was polled and not stored comes again after a
 * crash; of two curators one stores a range and the other goes on behind it. A message that is
 * no label goes to the dead letters (role/dead.h) before it counts as taken.
 *
 * Owner: the caller. Thread: one (it may block on stores); sl_curator_stop() from any.
 */
#pragma once
#include "base/config.h"
#include "store/stores.h"

struct sl_curator;

/* Joins group "curate" and goes on where the last entries say. Stores are borrowed. */
enum sl_status sl_curator_new(
	const struct sl_config *cfg, const struct sl_stores *st, struct sl_curator **ret, struct sl_err *err);
void sl_curator_free(struct sl_curator *c); /* NULL is fine; what is not stored comes again */

/* Waits for messages until the deadline, or until those that wait are due, and stores what is
 * due. After an error what failed is as before: call again. */
enum sl_status sl_curator_turn(struct sl_curator *c, int64_t deadline_us, struct sl_err *err);
/* Stores what waits, due or not. CLOSED when stopped while it looked for missing crops. */
enum sl_status sl_curator_flush(struct sl_curator *c, struct sl_err *err);
void sl_curator_stop(struct sl_curator *c); /* ends the waiting of turn and flush soon */

struct sl_curator_counts {
	int64_t rows, segments, missing, skipped, lost; /* lost: races with another curator */
};
struct sl_curator_counts sl_curator_counts(const struct sl_curator *c);
