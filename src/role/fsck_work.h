/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to fsck: its state and its parts. Owner: sl_fsck_run(). Thread: the one that called it.
 */
#pragma once
#include "core/manifest.h"
#include "dataset/segments.h"
#include "role/fsck.h"

enum { SL_FSCK_BATCH = 200, SL_FSCK_FINDINGS = 1000 }; /* findings listed; more are counted */

/* A message of topic labels: what fsck has to know of it later. One that the log no longer keeps is known by
 * its row in a segment, if segments are read. */
struct sl_fsck_label {
	char key[SL_KEY];
	int partition, choice;
	bool person, voted, ok; /* person: not the model; voted: a review's verdict; ok: it is a label */
	int64_t position;
};

struct sl_fsck_work {
	const struct sl_stores *st;
	const struct sl_fsck *o;
	json_t *findings, *repaired, *checked, *waiting;
	int64_t more; /* findings that are not listed */
	struct sl_keys forgotten;
	/* The log's by partition and position, behind them those of segments; in the end all by key. */
	struct sl_fsck_label *label;
	size_t labels, all, room;
	int64_t *begin; /* by partition: the first position that topic labels still has */
	int partitions;
	bool trimmed; /* the log keeps labels for so long only, and has lost some */
	bool unread; /* a segment could not be read: what the log has lost may be in it */
	struct sl_taxonomy *taxonomy; /* of the live bundle; NULL until a label is published again */
};

/* A new one at the end, empty; until the next. */
struct sl_fsck_label *sl_fsck_label(struct sl_fsck_work *w, int partition, int64_t position);
void sl_fsck_label_set(struct sl_fsck_label *f, const struct sl_label *l);
void sl_fsck_find(struct sl_fsck_work *w, const char *what, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void sl_fsck_did(struct sl_fsck_work *w, const char *what, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void sl_fsck_count(struct sl_fsck_work *w, const char *what, int64_t n);
void sl_fsck_wait(struct sl_fsck_work *w, const char *what, int64_t n);
void sl_fsck_say(struct sl_fsck_work *w, const char *what);

/* Names the crops of n keys that are not in the store (and were not forgotten). who: the
 * messages that speak of them. */
/* As sl_crops_get_many(), but one crop that is damaged stops nothing: its key is set, its bytes
 * are empty, and it is named if `name`. */
enum sl_status sl_fsck_fetch(
	struct sl_fsck_work *w, const char *const *keys, int n, bool name, struct sl_crop *ret, struct sl_err *err);
enum sl_status sl_fsck_crops(struct sl_fsck_work *w, const char *const *keys, const int64_t *position, int n,
	const char *topic, struct sl_err *err);

enum sl_status sl_fsck_topics(struct sl_fsck_work *w, struct sl_err *err); /* fsck_topics.c */
enum sl_status sl_fsck_segments(struct sl_fsck_work *w, struct sl_err *err); /* fsck_data.c; labels by position */
enum sl_status sl_fsck_versions(struct sl_fsck_work *w, struct sl_err *err);
enum sl_status sl_fsck_models(struct sl_fsck_work *w, struct sl_err *err);
enum sl_status sl_fsck_all_crops(struct sl_fsck_work *w, struct sl_err *err);
enum sl_status sl_fsck_reviews(struct sl_fsck_work *w, struct sl_err *err); /* fsck_reviews.c; labels by key */
enum sl_status sl_fsck_verdicts(struct sl_fsck_work *w, struct sl_err *err);
