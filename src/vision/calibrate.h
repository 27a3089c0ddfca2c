/* SPDX-License-Identifier: Apache-2.0
 *
 * From a classifier's numbers to calibrated confidences: softmax at the bundle's
 * temperature (fitted on validation data: vision/metric.h), the best few kept.
 * Thread: any.
 */
#pragma once
#include "core/review.h"

/* logit: n numbers (probabilities when the net ends in Softmax: is_probability). Best
 * first, at most SL_CANDIDATES; returns how many, 0 when a number is not finite. */
int sl_calibrate(
	const float *logit, int n, bool is_probability, float temperature, struct sl_candidate ret[SL_CANDIDATES]);
