/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames kept in a folder while stores are away, oldest first. A frame is one file,
 * NUMBER.frame: a line of JSON (what the sender said, "sha256" and "bytes" of the picture), then
 * the picture. Numbers grow over restarts. One that can never be stored, or read, is moved to aside/,
 * with its reason in NUMBER.frame.why; there the oldest go, with a warning, when all take more than
 * an eighth of max_bytes besides. Other files in the folder are left alone.
 *
 * Owner: role frames. Thread: any (it blocks on the disk); first, done and set_aside from one.
 * Metrics signloop_spool_frames, _bytes, _aside. Errors: IO names the path.
 */
#pragma once
#include "base/json.h"

struct sl_spool;

/* Takes up what lies in dir, which is made, durably, if absent. max_bytes: of the files that wait. */
enum sl_status sl_spool_open(const char *dir, int64_t max_bytes, struct sl_spool **ret, struct sl_err *err);
void sl_spool_free(struct sl_spool *s); /* NULL is fine; the files stay */
/* Durable on OK. BUSY when there is no room now, TOO_LARGE when there never is. meta: an object, borrowed. */
enum sl_status sl_spool_put(struct sl_spool *s, json_t *meta, struct sl_slice image, struct sl_err *err);
bool sl_spool_is_full(struct sl_spool *s); /* the last put found no room, and nothing went since */

struct sl_spooled {
	int64_t number;
	json_t *meta;
	struct sl_slice image; /* of file */
	struct sl_buf file;
};
void sl_spooled_done(struct sl_spooled *f);
/* The oldest, which stays. NOT_FOUND: there is none. CORRUPT: number is set; set it aside. IO: it cannot be
 * read; after some tries that is CORRUPT. */
enum sl_status sl_spool_first(struct sl_spool *s, struct sl_spooled *ret, struct sl_err *err);
void sl_spool_done(struct sl_spool *s, int64_t number); /* it is stored: the file goes */
enum sl_status sl_spool_set_aside(struct sl_spool *s, int64_t number, const char *why, struct sl_err *err);

/* What lies in dir, for who looks from outside. */
enum sl_status sl_spool_count(const char *dir, int64_t *ret_waiting, int64_t *ret_aside, struct sl_err *err);
