/* SPDX-License-Identifier: Apache-2.0
 *
 * Forgetting: a crop, or all crops of a device, are taken out of the crop store and marked
 * in forgotten/<key>.json, so that no later version holds them, also if the same frame is
 * sent again. Segments and versions that exist are immutable and cited: they keep their
 * bytes. The report names them; who has to erase those too removes these versions' shards
 * and segments from the artifact store, after which `dataset check` says that they are gone.
 *
 * Owner: the caller. Thread: any that may block.
 */
#pragma once
#include "store/stores.h"
#include "base/json.h"

/* report: {"keys":[...],"versions":[those that still hold one],"segments":[likewise]}, new.
 * NOT_FOUND when neither the stores nor a version know the key. */
enum sl_status sl_forget_key(
	const struct sl_stores *st, const char *key, const char *why, json_t **ret_report, struct sl_err *err);
enum sl_status sl_forget_device(
	const struct sl_stores *st, const char *device, const char *why, json_t **ret_report, struct sl_err *err);
