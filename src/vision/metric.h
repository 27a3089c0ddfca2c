/* SPDX-License-Identifier: Apache-2.0
 *
 * How good is it: measures of detections against labelled boxes and of class
 * probabilities against classes. docs/recipes.md has the protocol in words.
 * Owner: the caller; sl_..._free(). Thread: one at a time per object. All results 0..1.
 */
#pragma once
#include "vision/detect.h"

enum { SL_SIZES = 4, SL_ECE_BINS = 15 };
extern const int sl_size_from[SL_SIZES]; /* larger side, px: 0, 16, 32, 64 */

/* A labelled box, and whether a detection has it. */
struct sl_truth {
	struct sl_box box;
	bool ignored, taken;
};
enum { SL_TAKES_NONE = -1, SL_TAKES_IGNORED = -2 };
/* The detection takes the not yet taken box with the highest IoU if that is >= iou: its index, and it is
 * marked. NONE: the detection is false. IGNORED: false, but its larger part lies in an ignored
 * box, so it does not count. Detections of a scene come best first. */
int sl_detection_take(const struct sl_box *d, struct sl_truth *truth, int n, float iou);

/* Detections of all scenes by falling score, each with the box that it takes. */
struct sl_detection_score {
	int scenes, boxes;
	double ap; /* all-point: precision envelope over recall */
	double ap11; /* mean of the envelope at recall 0, .1, ... 1 */
	float threshold; /* of the best F1 */
	double precision, recall, f1, false_a_scene; /* there */
	int size_boxes[SL_SIZES], size_found[SL_SIZES]; /* found at the threshold */
	int found_any; /* boxes found at any score */
};

struct sl_detection_measure;
struct sl_detection_measure *sl_detection_measure_new(float iou); /* 0.5 */
void sl_detection_measure_free(struct sl_detection_measure *m);
/* One scene. cls of detections and boxes is not compared. */
void sl_detection_measure_add(struct sl_detection_measure *m, const struct sl_detection *d, int n,
	const struct sl_box *box, const bool *ignored, int nbox);
void sl_detection_measure_end(struct sl_detection_measure *m, struct sl_detection_score *ret);

/* Class probabilities. */
struct sl_class_score {
	int n, right;
	double accuracy, mean_recall; /* mean over classes that have images */
	double nll, ece; /* ece: SL_ECE_BINS bins of equal width of the largest probability */
	int classes, *class_n, *class_right, *class_said; /* arrays of `classes` */
};
struct sl_class_measure;
struct sl_class_measure *sl_class_measure_new(int classes);
void sl_class_measure_free(struct sl_class_measure *m);
void sl_class_measure_add(struct sl_class_measure *m, const float *logit, int cls);
/* Temperature that makes the negative log-likelihood of what was added least (0.05..20). */
float sl_class_measure_temperature(const struct sl_class_measure *m);
/* Probabilities at a temperature (1: as they are). Arrays in ret live as long as m. */
void sl_class_measure_end(struct sl_class_measure *m, float temperature, struct sl_class_score *ret);
