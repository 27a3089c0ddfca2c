/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW with decoupled decay, gradient clipping by the global norm, and the moving
 * average of weights, over parts of flat vectors so that threads share the work.
 * Owner: the caller. Thread: any; parts [lo, hi) that do not overlap may run at once.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sl_adam {
	float lr, beta1, beta2, eps;
	float clip; /* factor of the gradient: 1 or less */
	int64_t t; /* of this step, from 1 */
	float ema_rate; /* 1 - d */
};

/* The vectors of a training; `decay` holds the weight decay of each weight. */
struct sl_moments {
	float *w, *m, *v, *ema;
	const float *decay;
};

/* into[0] becomes the mean of all n vectors, added in their order; returns the sum of squares. */
double sl_grad_mean(float *const *into, int n, size_t lo, size_t hi);
/* Factor that brings the norm down to `most` (0: any norm will do). */
float sl_grad_clip(double norm, float most);
void sl_adam_step(const struct sl_adam *a, const struct sl_moments *s, const float *grad, size_t lo, size_t hi);
/* d after t finished steps: min(most, (1 + t) / (10 + t)). */
float sl_ema_decay(int64_t t, float most);
/* ema += rate (x - ema) */
void sl_ema_step(float *ema, const float *x, size_t n, float rate);
