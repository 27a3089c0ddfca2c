/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/schedule.h"
#include <math.h>

static double clamp01(double v)
{
	return v > 0 ? (v < 1 ? v : 1) : 0; /* NaN gives 0 */
}

float sl_lr_classifier(double progress, double half_peak, double warmup)
{
	double p = clamp01(progress);
	if (p < warmup)
		return (float)(2 * half_peak * p / warmup);
	double t = warmup < 1 ? (p - warmup) / (1 - warmup) : 1;
	return (float)(half_peak * (1 + cos(M_PI * t)));
}

float sl_lr_detector(double progress, double peak)
{
	double t = clamp01(progress);
	double start = t / 0.04 + 0.01;
	return (float)(peak * (0.5 * (1 + cos(M_PI * t)) + 0.002) * (start < 1 ? start : 1));
}
