/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs two bundles over the held-out rows of a version and asks the gate. What both are
 * asked for is the class of a crop whose box is known, so only the classifier is judged: a
 * bundle whose detector differs too is passed only on request, since nothing measured it.
 * Owner: the caller. Thread: any that may run nets for some seconds.
 */
#pragma once
#include "core/gate.h"
#include "dataset/version.h"
#include "vision/bundle.h"

/* {"v":1,"candidate","live","version","time","rules":{...},"gate":{...},"detector":"same"|"differs",
 * "classes":{CODE:{"rows","candidate","live"}}}; *ret_passed is the gate's word, its text in
 * "gate". Stored as evaluations/<candidate>-<version>-<live's first 12>.json, and
 * taken from there the next time the same is asked by the same rules. */
enum sl_status sl_compare(struct sl_artifacts *a, const struct sl_config *cfg, struct sl_bundle *candidate,
	struct sl_bundle *live, bool same_detector, const char *version, bool *ret_passed, json_t **ret,
	struct sl_err *err);
