/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to the bundle's files: bundle.json as numbers, checked. Thread: any.
 */
#pragma once
#include "vision/bundle.h"

enum {
	SL_BUNDLE_STRIDE_MAX = 256,
	SL_BUNDLE_SIDE_MIN = 64,
	SL_BUNDLE_SIDE_MAX = 8192, /* max_side, pixels */
	SL_BUNDLE_CLS_MIN = 8,
	SL_BUNDLE_CLS_MAX = 512, /* classifier's input side, pixels */
};

struct sl_bundle_info {
	const char *name, *created; /* borrowed from the JSON */
	enum sl_decode decode;
	int stride, max_side;
	double det_mean, det_scale, det_threshold;
	int cls_size;
	enum sl_normalize cls_normalize;
	double cls_mean[3], cls_scale[3], cls_context, temperature;
	double accept; /* default threshold */
	json_t *by_class; /* borrowed; code to threshold; NULL when none */
};

/* INVALID names the member; UNSUPPORTED: another version. */
enum sl_status sl_bundle_info_parse(json_t *info, struct sl_bundle_info *ret, struct sl_err *err);
