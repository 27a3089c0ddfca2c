/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/optimizer.h"
#include "base/mem.h"
#include "nn/train/clones.h"
#include <math.h>

#pragma GCC optimize("O3") /* the loops below are worth vectors */

enum { SUMS = 8 }; /* partial sums side by side: fixed, so that the result does not depend on the processor */

SL_CLONES static void add_to(float *a, const float *b, size_t lo, size_t hi)
{
	for (size_t i = lo; i < hi; i++)
		a[i] += b[i];
}

SL_CLONES double sl_grad_mean(float *const *into, int n, size_t lo, size_t hi)
{
	float *g = into[0], share = 1 / (float)n;
	double part[SUMS] = {0}, sum = 0;
	for (int k = 1; k < n; k++)
		add_to(g, into[k], lo, hi);
	if (n > 1)
		for (size_t i = lo; i < hi; i++)
			g[i] *= share;
	size_t i = lo;
	for (; i + SUMS <= hi; i += SUMS)
		for (int k = 0; k < SUMS; k++)
			part[k] += (double)g[i + k] * (double)g[i + k];
	for (; i < hi; i++)
		sum += (double)g[i] * (double)g[i];
	for (int k = 0; k < SUMS; k++)
		sum += part[k];
	return sum;
}

float sl_grad_clip(double norm, float most)
{
	double factor = most > 0 ? most / (norm + 1e-6) : 1;
	return factor < 1 ? (float)factor : 1;
}

SL_CLONES void sl_adam_step(
	const struct sl_adam *a, const struct sl_moments *s, const float *grad, size_t lo, size_t hi)
{
	float step = (float)(a->lr / (1 - pow(a->beta1, (double)a->t)));
	float root = (float)(1 / sqrt(1 - pow(a->beta2, (double)a->t)));
	float b1 = 1 - a->beta1, b2 = a->beta2, c2 = 1 - a->beta2, lr = a->lr, clip = a->clip, eps = a->eps;
	float rate = a->ema_rate;
	float *restrict w = s->w, *restrict m = s->m, *restrict v = s->v, *restrict ema = s->ema;
	const float *restrict decay = s->decay;
	for (size_t i = lo; i < hi; i++) {
		float g = grad[i] * clip;
		m[i] += b1 * (g - m[i]);
		v[i] = b2 * v[i] + c2 * (g * g);
		w[i] = w[i] * (1 - lr * decay[i]) - step * m[i] / (sqrtf(v[i]) * root + eps);
		ema[i] += rate * (w[i] - ema[i]);
	}
}

float sl_ema_decay(int64_t t, float most)
{
	double d = (1.0 + (double)t) / (10.0 + (double)t);
	return d < most ? (float)d : most;
}

void sl_ema_step(float *ema, const float *x, size_t n, float rate)
{
	for (size_t i = 0; i < n; i++)
		ema[i] += rate * (x[i] - ema[i]);
}
