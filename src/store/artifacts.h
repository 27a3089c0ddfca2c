/* SPDX-License-Identifier: Apache-2.0
 *
 * The artifact store: immutable objects by path (bundles, shards, manifests, alias log).
 * A path is 1..200 characters of letters, digits and "._-/"; no part is empty or begins with
 * a dot; it does not end in .sha256 or .tmp. An object's path is no folder of another's
 * (CONFLICT: "a" and "a/b"). An object is whole or not there. Owner: the caller. Thread: any that may block.
 * Errors: NOT_FOUND, EXISTS, INVALID (path), CORRUPT (bytes differ from the stored
 * sha256), TOO_LARGE, AWAY/TIMEOUT (unknown: put again; EXISTS with the same bytes is
 * success to the caller who knows its digest), BUSY (no connection was free: put again).
 */
#pragma once
#include "base/buf.h"
#include "base/config.h"

enum { SL_ARTIFACT_PATH = 201 };
#define SL_ARTIFACT_MAX ((size_t)1 << 30)

struct sl_artifacts;

enum sl_status sl_artifacts_open(
	const char *url, const struct sl_config *cfg, struct sl_artifacts **ret, struct sl_err *err);
void sl_artifacts_close(struct sl_artifacts *s);

enum sl_status sl_artifacts_put(struct sl_artifacts *s, const char *path, struct sl_slice bytes, struct sl_err *err);
enum sl_status sl_artifacts_get(struct sl_artifacts *s, const char *path, struct sl_buf *ret, struct sl_err *err);
/* Paths that start with prefix, in byte order. */
struct sl_artifact_list {
	char (*path)[SL_ARTIFACT_PATH];
	int64_t *size;
	int n;
};
enum sl_status sl_artifacts_list(
	struct sl_artifacts *s, const char *prefix, struct sl_artifact_list *ret, struct sl_err *err);
void sl_artifact_list_done(struct sl_artifact_list *l);
enum sl_status sl_artifacts_remove(struct sl_artifacts *s, const char *path, struct sl_err *err); /* absent is OK */
