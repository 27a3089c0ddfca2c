/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments: what curate has made of topic `labels`, so far. The entry of a segment carries
 * the positions it covers and is created only if absent, so two curates cannot both store
 * the same positions, and the next position to read is told by the last entry.
 * Owner: the caller. Thread: any that may block.
 */
#pragma once
#include "core/manifest.h"
#include "dataset/shard.h"

struct sl_segments { /* all entries, by partition, then position */
	struct sl_segment *segment;
	int n;
};
enum sl_status sl_segments_list(struct sl_artifacts *a, struct sl_segments *ret, struct sl_err *err);
void sl_segments_done(struct sl_segments *s);
/* Last position of the partition that has had its effect; -1 when none. */
enum sl_status sl_segments_last(struct sl_artifacts *a, int partition, int64_t *ret, struct sl_err *err);
/* Stores tar (empty when g->rows is 0) and then the entry. EXISTS: another curate has
 * stored these positions; read sl_segments_last() and go on from there. */
enum sl_status sl_segments_store(struct sl_artifacts *a, struct sl_segment *g, struct sl_slice tar, struct sl_err *err);

/* A set of keys: what a person asked to forget. */
struct sl_keys {
	char (*key)[SL_KEY]; /* sorted */
	int n;
};
enum sl_status sl_forgotten_list(struct sl_artifacts *a, struct sl_keys *ret, struct sl_err *err);
bool sl_keys_has(const struct sl_keys *k, const char *key);
void sl_keys_done(struct sl_keys *k);
