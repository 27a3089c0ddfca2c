/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a net over labelled sources and says how good it is. Protocol: docs/recipes.md.
 * Owner: the caller. Thread: one calls; the work is spread over `threads` of its own.
 */
#pragma once
#include "dataset/source.h"
#include "nn/model.h"
#include "base/json.h"
#include "vision/metric.h"

enum sl_part { SL_PART_ALL, SL_PART_TRAIN, SL_PART_VAL };
#define SL_SPLIT_CROPS 0.15 /* share of each class's groups that validates */
#define SL_SPLIT_SCENES 0.16 /* of the blocks */

/* Which samples of a source belong to a part; flags has s->n. */
void sl_part_of(const struct sl_source *s, enum sl_part part, uint64_t split_seed, bool *ret_flags);

struct sl_measure_options {
	int threads;
	/* classifier: crop of `context` x ROI, side x side */
	int side;
	float context;
	bool standardise; /* else (v - mean) / scale */
	float mean[3], scale[3]; /* red, green, blue; detector: always */
	/* detector */
	bool yolov5; /* else centre-4 */
	int stride; /* input sides are padded to its multiples */
};
struct sl_measure_options sl_measure_defaults(bool detector); /* our own nets, 1 thread */

/* Classifies the flagged samples of s that have a class, into m. INVALID when the net's input or output
 * does not fit. */
enum sl_status sl_measure_crops(const struct sl_model *net, const struct sl_source *s, const bool *flags,
	const struct sl_measure_options *o, struct sl_class_measure *m, struct sl_err *err);
/* Detects in the flagged scenes of s, into m, in the order of the scenes. */
enum sl_status sl_measure_scenes(const struct sl_model *net, const struct sl_source *s, const bool *flags,
	const struct sl_measure_options *o, struct sl_detection_measure *m, struct sl_err *err);
/* Number of classes that a classifier's output has; -1: it is no classifier. */
int sl_measure_classes(const struct sl_model *net);

/* {"n","accuracy","per_class":[...],"ece",...} and {"scenes","boxes","map50","ap11","recall_by_size",...} */
json_t *sl_class_score_json(const struct sl_class_score *s);
json_t *sl_detection_score_json(const struct sl_detection_score *s);
