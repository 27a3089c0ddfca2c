/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a version as files that other programs read. Owner: the caller. Thread: any that may
 * block. Formats: imagefolder (PART/CODE/KEY.jpg), webdataset (PART-PREFIX.tar), coco
 * (images/, annotations.json), yolo (images/, labels/, classes.txt). In coco and yolo a crop
 * is an image with one box, the sign's.
 */
#pragma once
#include "dataset/version.h"

/* dir must be absent or empty (EXISTS). deals: parts to write, 1 << SL_DEAL_.... */
enum sl_status sl_export_run(struct sl_artifacts *a, json_t *manifest, const char *format, const char *dir,
	unsigned deals, int64_t *ret_rows, struct sl_err *err);
