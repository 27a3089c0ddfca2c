/* SPDX-License-Identifier: Apache-2.0
 *
 * Dataset versions: immutable, cited by name and by the SHA-256 of their manifest.
 *
 * A snapshot reads all segments, takes for each key the label that counts
 * (core/manifest.h), leaves out what was forgotten and crops that were never found, deals
 * rows to parts and writes shards by key prefix. Shards are content-addressed: those that
 * did not change are the same objects as before. The manifest datasets/<version>.json is
 * created only if absent, so two snapshots at once become two versions or one.
 *
 * Owner: the caller. Thread: any that may block.
 */
#pragma once
#include "base/config.h"
#include "core/manifest.h"
#include "dataset/shard.h"

struct sl_snapshot {
	const char *note; /* NULL is fine */
	bool force; /* a new version even if it would hold what the last one holds */
};
/* EXISTS: nothing new since the last version (*ret_manifest is then that one). NOT_FOUND:
 * there is no labelled crop yet. ret_manifest: new, with its "sha256" added. */
enum sl_status sl_version_snapshot(struct sl_artifacts *a, const struct sl_config *cfg, const struct sl_snapshot *o,
	json_t **ret_manifest, struct sl_err *err);

/* name: "v0003" or "latest". The manifest with "sha256" of its bytes added. */
enum sl_status sl_version_get(struct sl_artifacts *a, const char *name, json_t **ret_manifest, struct sl_err *err);
/* All versions, oldest first: an array of manifests without their shards. */
enum sl_status sl_version_list(struct sl_artifacts *a, json_t **ret, struct sl_err *err);

/* One row of a version. */
struct sl_version_row {
	struct sl_label label;
	enum sl_deal deal;
	json_t *json; /* borrowed */
	struct sl_slice jpeg;
};
/* Calls fn for the rows whose part is in deals (1 << SL_DEAL_...), shard by shard. Every
 * shard read is checked against its digest: CORRUPT. */
enum sl_status sl_version_each(struct sl_artifacts *a, json_t *manifest, unsigned deals,
	enum sl_status (*fn)(const struct sl_version_row *row, void *arg, struct sl_err *err), void *arg,
	struct sl_err *err);

/* Proves the version: digests, form of each row, order, part, counts, pictures that can be
 * read. Appends one {"what","where","why"} to findings for each broken promise; the status
 * is of the work, not of the version. */
enum sl_status sl_version_check(struct sl_artifacts *a, json_t *manifest, json_t *findings, struct sl_err *err);
/* {"added","removed","changed": keys, "classes": {CODE: difference of rows}} */
enum sl_status sl_version_diff(struct sl_artifacts *a, json_t *from, json_t *to, json_t **ret, struct sl_err *err);
