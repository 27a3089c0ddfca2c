/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to migrate: its state and its parts. Owner: sl_migrate_run(). Thread: the one that called it.
 */
#pragma once
#include "base/digest.h"
#include "base/mem.h"
#include "base/rng.h"
#include "core/key.h"
#include "role/migrate.h"

enum sl_part { SL_PART_ARTIFACTS, SL_PART_REVIEWS, SL_PART_CROPS, SL_PART_LOG, SL_PARTS };

struct sl_part_count {
	int64_t items, there, copied, bytes;
	char sha256[SL_HEX_SHA256]; /* "": not compared */
};

/* One partition of a topic and how much of it this round copies. */
struct sl_lane {
	const char *topic;
	int partition;
	int64_t last; /* position of the last message to copy; -1: none */
};

/* How far a group has read; where: in the log, or in the review store. */
struct sl_place {
	const char *group, *topic;
	int partition;
	int64_t log, reviews;
};

struct sl_migrate_work {
	const struct sl_migrate *o;
	struct sl_part_count count[SL_PARTS];
	json_t *findings;
	int64_t more, copied; /* copied: in this round, of all parts */
	struct sl_lane *lane;
	int nlanes;
	struct sl_place *place;
	int nplaces;
	int64_t away_since_us; /* 0: no server is away */
	int tries; /* since then */
	struct sl_rng rng;
	struct sl_migrate_progress now;
	int64_t said_us;
};

void sl_migrate_find(struct sl_migrate_work *w, const char *what, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void sl_migrate_begin(struct sl_migrate_work *w, const char *doing, enum sl_part part, int64_t total);
void sl_migrate_did(struct sl_migrate_work *w, int64_t items, int64_t bytes); /* of the step that began */

/* Is a call that gave s to be made again? Waits before it says so. OK: the call is over. */
bool sl_migrate_again(struct sl_migrate_work *w, enum sl_status s, struct sl_err *err);
enum sl_status sl_migrate_go_on(struct sl_migrate_work *w, struct sl_err *err); /* CANCELLED when asked to stop */

/* The status of expr, a call of a store, which is made again while its server is away. */
#define SL_TRY(w, expr) \
	({ \
		enum sl_status t_; \
		do { \
			t_ = sl_migrate_go_on((w), err); \
			if (t_ == SL_OK) \
				t_ = (expr); \
		} while (sl_migrate_again((w), t_, err)); \
		t_; \
	})

/* Walks the keys of two stores in order. */
typedef enum sl_status (*sl_scan_fn)(
	const void *store, const char *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err);
enum sl_side { SL_BOTH, SL_FROM_ONLY, SL_TO_ONLY };
typedef enum sl_status (*sl_merge_fn)(
	struct sl_migrate_work *w, const char *key, enum sl_side side, void *arg, struct sl_err *err);
enum sl_status sl_migrate_merge(struct sl_migrate_work *w, sl_scan_fn scan, const void *from, const void *to,
	sl_merge_fn fn, void *arg, struct sl_err *err);

/* Each part: look (before anything is written: counts, and CONFLICT where the target is no part of the
 * source), copy what is not there, compare all. */
enum sl_status sl_migrate_artifacts_look(struct sl_migrate_work *w, struct sl_err *err);
enum sl_status sl_migrate_artifacts_copy(struct sl_migrate_work *w, struct sl_err *err);
enum sl_status sl_migrate_artifacts_compare(struct sl_migrate_work *w, struct sl_err *err);
enum sl_status sl_migrate_crops_look(struct sl_migrate_work *w, struct sl_err *err);
enum sl_status sl_migrate_crops_copy(struct sl_migrate_work *w, struct sl_err *err);
enum sl_status sl_migrate_crops_compare(struct sl_migrate_work *w, struct sl_err *err);
enum sl_status sl_migrate_reviews_look(struct sl_migrate_work *w, struct sl_err *err);
enum sl_status sl_migrate_reviews_copy(struct sl_migrate_work *w, struct sl_err *err);
enum sl_status sl_migrate_reviews_compare(struct sl_migrate_work *w, struct sl_err *err);
enum sl_status sl_migrate_log_look(struct sl_migrate_work *w, struct sl_err *err);
enum sl_status sl_migrate_log_copy(struct sl_migrate_work *w, struct sl_err *err);
enum sl_status sl_migrate_log_compare(struct sl_migrate_work *w, struct sl_err *err);
/* How far the source is. first: topics whose messages speak of artifacts, and the groups; else the other topics. */
enum sl_status sl_migrate_ends(struct sl_migrate_work *w, bool first, struct sl_err *err);
enum sl_status sl_migrate_places_copy(struct sl_migrate_work *w, struct sl_err *err);
enum sl_status sl_migrate_places_compare(struct sl_migrate_work *w, struct sl_err *err);
