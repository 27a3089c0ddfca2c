/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/nets.h"
#include "base/mem.h"
#include <math.h>

/* One row: adds grad of the mean loss, returns the row's loss. */
static double smooth_row(const float *z, int k, int label, float smoothing, float share, float *grad)
{
	float top = z[0], low = smoothing / (float)k, high = 1 - smoothing + low;
	for (int i = 1; i < k; i++)
		top = SL_MAX(top, z[i]);
	double sum = 0, loss = 0;
	for (int i = 0; i < k; i++)
		sum += exp((double)(z[i] - top));
	double log_sum = log(sum) + top;
	for (int i = 0; i < k; i++) {
		float want = i == label ? high : low;
		double log_p = z[i] - log_sum;
		loss -= want * log_p;
		grad[i] = share * ((float)exp(log_p) - want);
	}
	return loss;
}

float sl_loss_smooth(const struct sl_tensor *logits, const int *label, float smoothing, struct sl_tensor *grad)
{
	int n = (int)logits->shape.dim[0], k = (int)logits->shape.dim[1];
	double loss = 0;
	for (int i = 0; i < n; i++)
		loss += smooth_row(logits->data + (size_t)i * k, k, label[i], smoothing, 1.0f / (float)n,
			grad->data + (size_t)i * k);
	return (float)(loss / n);
}
