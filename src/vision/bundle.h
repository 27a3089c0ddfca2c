/* SPDX-License-Identifier: Apache-2.0
 *
 * A bundle: detector + classifier + taxonomy + thresholds + calibration, one file with
 * one SHA-256. The file is a ustar archive with fixed times and owners, so that the same
 * parts give the same bytes: bundle.json first, then detector.onnx, classifier.onnx,
 * taxonomy.json, and card.md if there is one. bundle.json (docs/formats.md):
 * {"v":1,"name","created","detector":{"decode":"center4"|"yolov5","stride":32,
 *  "mean":127.5,"scale":64,"threshold","max_side"},"classifier":{"size":48,
 *  "normalize":"standardize"|"unit"|"mean_scale","mean","scale","context":1.15,"temperature"},
 *  "thresholds":{"default":0.9,"by_class":{"CODE":0.95}},"parts":{FILE:sha256}}
 *
 * sl_bundle is read-only after opening and counted: a request pins one for its length
 * with _ref and lets go with _unref; the last one frees it. Thread: any.
 */
#pragma once
#include "core/taxonomy.h"
#include "nn/model.h"

enum { SL_DIGEST = 65 };
enum sl_decode { SL_DECODE_CENTER4, SL_DECODE_YOLOV5 };
enum sl_normalize { SL_NORMALIZE_STANDARDIZE, SL_NORMALIZE_UNIT, SL_NORMALIZE_MEAN_SCALE };

struct sl_bundle {
	char digest[SL_DIGEST]; /* of the file */
	char name[64];
	struct sl_model *detector, *classifier;
	struct sl_taxonomy *taxonomy;
	enum sl_decode decode;
	int stride, max_side; /* frames with a longer side are shrunk before detection */
	float det_mean, det_scale, det_threshold;
	int cls_size;
	enum sl_normalize cls_normalize;
	float cls_mean[3], cls_scale[3]; /* red, green, blue; not for standardize */
	float cls_context, temperature;
	float *accept; /* per class: confidence from which a sign is accepted */
	char *card; /* Markdown; NULL when none */
	_Atomic int refs;
};

/* Checks form, digests of parts, shapes (class count = taxonomy, input sizes), compiles. */
enum sl_status sl_bundle_open(
	struct sl_slice file, enum sl_precision precision, struct sl_bundle **ret, struct sl_err *err);
struct sl_bundle *sl_bundle_ref(struct sl_bundle *b);
void sl_bundle_unref(struct sl_bundle *b); /* NULL is fine */

/* Builds a bundle file. info: bundle.json without "parts". card may be empty. */
struct sl_bundle_parts {
	json_t *info;
	struct sl_slice detector, classifier, taxonomy, card;
};
enum sl_status sl_bundle_write(const struct sl_bundle_parts *p, struct sl_buf *ret, struct sl_err *err);
/* Takes a bundle file apart again (slices into file; info is new). */
enum sl_status sl_bundle_read(struct sl_slice file, struct sl_bundle_parts *ret, struct sl_err *err);
