/* SPDX-License-Identifier: Apache-2.0
 *
 * Shards and segments: WebDataset tars of KEY.jpg and KEY.json, two members a row, rows in
 * the order they were added. ustar with fixed owner, mode and time, so that the same rows
 * give the same bytes, and with them the same SHA-256, which is the object's name.
 * Owner: the caller. Thread: any.
 */
#pragma once
#include "base/json.h"
#include "core/key.h"
#include "store/artifacts.h"

enum { SL_ROW_BYTES = 1 << 20 }; /* most bytes of one member */

/* Appends one row. jpeg may be empty: then KEY.json stands alone (a crop that is missing). */
enum sl_status sl_shard_add(
	struct sl_buf *tar, const char *key, struct sl_slice jpeg, const json_t *row, struct sl_err *err);
void sl_shard_end(struct sl_buf *tar);

struct sl_shard_row {
	char key[SL_KEY];
	struct sl_slice jpeg; /* empty when missing */
	struct sl_slice json;
};
/* Calls fn for each row; a status that is not OK stops and is returned. CORRUPT for
 * anything that sl_shard_add and sl_shard_end would not have written. */
enum sl_status sl_shard_each(struct sl_slice tar,
	enum sl_status (*fn)(const struct sl_shard_row *row, void *arg, struct sl_err *err), void *arg,
	struct sl_err *err);

/* Puts an object under the name that its bytes give; one that is there already is fine
 * (content-addressed). path_of makes the path: sl_segment_path or sl_shard_path. */
enum sl_status sl_shard_store(struct sl_artifacts *a, void (*path_of)(char ret[SL_ARTIFACT_PATH], const char *sha256),
	struct sl_slice tar, char ret_sha256[65], struct sl_err *err);
/* Reads it and proves that the bytes hash to the name: CORRUPT. */
enum sl_status sl_shard_fetch(struct sl_artifacts *a, void (*path_of)(char ret[SL_ARTIFACT_PATH], const char *sha256),
	const char *sha256, struct sl_buf *ret, struct sl_err *err);

/* Puts an immutable JSON object: OK when it is there now with these bytes, whoever put it;
 * EXISTS when it is there with others. An unknown outcome (AWAY, TIMEOUT) is tried again. */
enum sl_status sl_object_put(struct sl_artifacts *a, const char *path, json_t *v, struct sl_err *err);
enum sl_status sl_object_get(struct sl_artifacts *a, const char *path, json_t **ret, struct sl_err *err);
