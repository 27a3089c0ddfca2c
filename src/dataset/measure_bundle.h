/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a whole bundle over labelled scenes, as a car's frame is run (vision/pipeline.h), and says
 * how good its answers are. A box counts as found when a sign has IoU >= 0.5 with it; signs take
 * boxes best first, one each. A sign is right when it has a box and its best candidate is the
 * box's class. All of it at the bundle's own thresholds, except map50, which is the detector's
 * whole curve. Owner: the caller. Thread: one calls; the work is spread over threads of its own.
 */
#pragma once
#include "dataset/measure.h"
#include "vision/pipeline.h"

#define SL_BUNDLE_IOU 0.5f

struct sl_bundle_score {
	int scenes, boxes; /* boxes without the ignored ones */
	int signs; /* that the bundle answered, without those in ignored boxes */
	int found, right; /* boxes with a sign; and with the right class */
	int accepted, accepted_right, review, review_right; /* of the signs */
	double map50, class_accuracy; /* right / found */
	double precision, recall, f1; /* right of the signs, right of the boxes */
	double ece; /* of the found boxes' classes */
	double ms[SL_STAGES], ms_total; /* median of a scene */
};

struct sl_bundle_measure;
struct sl_bundle_measure *sl_bundle_measure_new(struct sl_bundle *b);
void sl_bundle_measure_free(struct sl_bundle_measure *m);
/* The flagged scenes of s, opened with keep_files, into m. INVALID when s tells no classes, or some
 * that the bundle does not have. */
enum sl_status sl_measure_bundle(
	struct sl_bundle_measure *m, const struct sl_source *s, const bool *flags, int threads, struct sl_err *err);
void sl_bundle_measure_end(struct sl_bundle_measure *m, struct sl_bundle_score *ret);
/* {"scenes","boxes","signs","found","map50","class_accuracy","end_to_end":{"right","precision","recall","f1"},
 *  "accepted":{"n","right"},"review":{"n","right"},"calibration":{"ece"},"ms":{"decode",...,"total"}} */
json_t *sl_bundle_score_json(const struct sl_bundle_score *s);
