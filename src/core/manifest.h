/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of what a dataset holds: how a label becomes a row, which of two labels of a key
 * counts, who is held out, and how segments, shards and versions are named. docs/formats.md has the JSON.
 *
 * Which label counts: a person's (votes, expert, gold) is never replaced by a model's;
 * between equals the later one counts (position in the partition; append time across
 * partitions).
 *
 * Parts: a row whose class is a class is dealt to "train" or "heldout" by a hash of its
 * group (device + sequence, or device + frame, so that crops of one drive or one frame
 * stay together); raising the share only adds groups to "heldout", so what was held out
 * once was never learned. Rows without a class (not_a_sign, unreadable, other) are "aside".
 *
 * Owner: the caller. Thread: any. Times in ms since 1970.
 */
#pragma once
#include "core/message.h"

enum { SL_PATH = 201, SL_VERSION_NAME = 12 };

enum sl_deal { SL_DEAL_TRAIN, SL_DEAL_HELDOUT, SL_DEAL_ASIDE, SL_DEALS };
const char *sl_deal_name(enum sl_deal p); /* "train", "heldout", "aside" */
bool sl_deal_find(const char *name, enum sl_deal *ret);

/* What decides which label of a key counts: small, so that millions can be sorted. */
struct sl_rank {
	bool person;
	int partition;
	int64_t position, appended_ms;
};
struct sl_rank sl_rank_of(const struct sl_label *l);
bool sl_rank_wins(const struct sl_rank *a, const struct sl_rank *b); /* a counts, not b */

/* The row that is stored as KEY.json: the message's members, "class" as {"index","code"} or
 * null with "choice", "partition", "position", "appended", "group", and from the crop's meta
 * (may be NULL) "frame", "device", "box", "roi", "sequence", "captured". New reference. */
json_t *sl_row_make(const struct sl_label *l, json_t *body, json_t *meta);
/* Reads a stored row back. */
enum sl_status sl_row_parse(json_t *row, const char *where, struct sl_label *ret, struct sl_err *err);
const char *sl_row_group(json_t *row); /* borrowed; "" when it has none */
enum sl_deal sl_row_deal(const struct sl_label *l, const char *group, double holdout);

/* A segment's entry: what curate has done with positions first..last of a partition. Entries
 * of a partition tile it: first is the last of the entry before plus 1, or 0. */
struct sl_segment {
	int partition;
	int64_t first, last;
	int rows, skipped; /* messages stored; messages that are no label */
	char sha256[65]; /* of segments/<sha256>.tar; "" when rows is 0 */
	json_t *missing; /* keys whose crop was not in the crop store; owned */
	json_t *bad; /* [{"position","why"}] of the skipped; owned */
};
void sl_segment_done(struct sl_segment *s);
json_t *sl_segment_json(const struct sl_segment *s);
enum sl_status sl_segment_parse(json_t *v, const char *where, struct sl_segment *ret, struct sl_err *err);
void sl_segment_entry_path(char ret[SL_PATH], int partition, int64_t first); /* curate/labels/p0/<20 digits>.json */
bool sl_segment_entry_parse(const char *path, int *ret_partition, int64_t *ret_first);
void sl_segment_path(char ret[SL_PATH], const char *sha256); /* segments/<sha256>.tar */
void sl_shard_path(char ret[SL_PATH], const char *sha256); /* shards/<sha256>.tar */
void sl_forgotten_path(char ret[SL_PATH], const char *key); /* forgotten/<key>.json */

/* Versions: "v0001", "v0002", ...; more digits past 9999. */
void sl_version_name(char ret[SL_VERSION_NAME], int number);
int sl_version_number(const char *name); /* 0 when it is none */
void sl_version_path(char ret[SL_PATH], const char *name); /* datasets/v0001.json */
/* Hex digits of the key that name a shard, so that one holds about most rows: 0..3. */
int sl_shard_digits(int64_t rows, int64_t most);

/* Counts of a version while rows are added. */
struct sl_tally {
	int64_t rows[SL_DEALS];
	json_t *classes, *sources, *bundles; /* owned */
};
void sl_tally_add(struct sl_tally *t, const struct sl_label *l, enum sl_deal part);
void sl_tally_done(struct sl_tally *t);
/* Puts "rows", "parts", "classes" (by index), "sources", "bundles" into manifest. */
void sl_tally_put(const struct sl_tally *t, json_t *manifest);
