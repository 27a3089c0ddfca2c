/* SPDX-License-Identifier: Apache-2.0
 *
 * Labels that people brought along: each labelled sign of a source becomes a crop in the crop
 * store and a message of topic `labels` with source "gold", from where it goes the way of all
 * labels. Crops are cut as the pipeline cuts them (vision/pipeline.h). The key comes from the
 * picture's pixels and the box, so importing twice makes no second crop; the group that the
 * source tells (track, scene) becomes the sequence, so that it is not torn apart.
 * Owner: the caller. Thread: any that may block.
 */
#pragma once
#include "core/taxonomy.h"
#include "dataset/source.h"
#include "store/stores.h"

struct sl_ingest {
	const struct sl_taxonomy *taxonomy; /* gives class codes */
	const char *device; /* "import" */
	void (*progress)(void *arg, int done, int all); /* may be NULL */
	void *arg;
};
struct sl_ingest_result {
	int crops, negatives, ignored, unknown; /* unknown: of a class the taxonomy has not */
};
enum sl_status sl_ingest_run(const struct sl_stores *st, const struct sl_source *src, const struct sl_ingest *o,
	struct sl_ingest_result *ret, struct sl_err *err);
