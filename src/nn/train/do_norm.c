/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/replica_parts.h"
#include "base/mem.h"
#include <math.h>

static void *block_at(const struct sl_replica *r, const struct sl_cell *c, void *data, int block)
{
	size_t size = c->half ? sizeof(uint16_t) : sizeof(float);
	return data ? (char *)data + (size_t)block * c->rows * r->lanes->width * size : NULL;
}

/* One block of a vector by channel, zero past its end. */
static void block_of(const struct sl_replica *r, const float *v, int channels, int block, float *ret)
{
	int first = block * r->lanes->width, n = SL_MIN(r->lanes->width, channels - first);
	memset(ret, 0, sizeof(float) * SL_LANES_MAX);
	memcpy(ret, v + first, sizeof(float) * n);
}

struct lane {
	float v[SL_LANES_MAX];
} __attribute__((aligned(64)));

static struct sl_plane plane_of(const struct sl_cell *x)
{
	return (struct sl_plane){x->n, x->rows, x->rows * x->blocks, x->half};
}

static void norm_stats(struct sl_replica *r, const struct sl_do *o, int block, const float *mean, const float *var)
{
	const struct sl_cell *x = &r->cell[o->x];
	double count = (double)x->n * (double)x->rows, unbiased = count > 1 ? count / (count - 1) : 1;
	float *to_mean = sl_param_grad(r, r->stats, o->mean), *to_var = sl_param_grad(r, r->stats, o->var);
	int first = block * r->lanes->width, n = SL_MIN(r->lanes->width, x->c - first);
	for (int k = 0; k < n; k++) {
		to_mean[first + k] = mean[k];
		to_var[first + k] = (float)(var[k] * unbiased);
	}
}

void sl_norm_forward(struct sl_replica *r, int i, const float *weights)
{
	const struct sl_do *o = &r->p->does[i];
	struct sl_work *w = &r->work[i];
	const struct sl_cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	void *add = o->add >= 0 ? r->cell[o->add].data : NULL;
	struct sl_plane p = plane_of(x);
	for (int b = 0; b < x->blocks; b++) {
		struct lane gamma, beta, var;
		float *mean = w->mean + b * r->lanes->width, *inv = w->inv + b * r->lanes->width;
		block_of(r, sl_param_of(r, weights, o->weight), x->c, b, gamma.v);
		block_of(r, sl_param_of(r, weights, o->bias), x->c, b, beta.v);
		r->lanes->moments(p, block_at(r, x, x->data, b), mean, var.v);
		norm_stats(r, o, b, mean, var.v);
		for (int k = 0; k < r->lanes->width; k++) {
			inv[k] = 1 / sqrtf(var.v[k] + o->eps);
			gamma.v[k] *= inv[k];
			beta.v[k] -= gamma.v[k] * mean[k];
		}
		r->lanes->affine(p, block_at(r, x, x->data, b), gamma.v, beta.v, block_at(r, x, add, b), o->relu,
			block_at(r, y, y->data, b));
	}
}

void sl_norm_backward(struct sl_replica *r, int i, const float *weights, float *grads)
{
	const struct sl_do *o = &r->p->does[i];
	struct sl_work *w = &r->work[i];
	const struct sl_cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	float *dgamma = sl_param_grad(r, grads, o->weight), *dbeta = sl_param_grad(r, grads, o->bias);
	double count = (double)x->n * (double)x->rows;
	struct sl_plane p = plane_of(x);
	sl_fold_grads(r, o->y, 2);
	for (int b = 0; b < x->blocks; b++) {
		struct lane gamma, a, bx, c;
		double sum[SL_LANES_MAX], sum_x[SL_LANES_MAX];
		float *mean = w->mean + b * r->lanes->width, *inv = w->inv + b * r->lanes->width;
		void *g = block_at(r, x, y->grad[0], b), *g2 = y->ngrad > 1 ? block_at(r, x, y->grad[1], b) : NULL;
		r->lanes->gather(p, g, g2, o->relu ? block_at(r, y, y->data, b) : NULL, block_at(r, x, x->data, b),
			mean, sum, sum_x);
		block_of(r, sl_param_of(r, weights, o->weight), x->c, b, gamma.v);
		for (int k = 0; k < r->lanes->width; k++) {
			double scale = (double)gamma.v[k] * inv[k];
			double slope = -scale * inv[k] * inv[k] * sum_x[k] / count;
			a.v[k] = (float)scale;
			bx.v[k] = (float)slope;
			c.v[k] = (float)(-scale * sum[k] / count - slope * mean[k]);
			if (b * r->lanes->width + k < x->c) {
				dgamma[b * r->lanes->width + k] = (float)(sum_x[k] * inv[k]);
				dbeta[b * r->lanes->width + k] = (float)sum[k];
			}
		}
		r->lanes->spread(p, g, block_at(r, x, x->data, b), a.v, bx.v, c.v, block_at(r, x, w->dx, b));
	}
}
