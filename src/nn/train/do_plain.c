/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/replica_parts.h"
#include "base/rng.h"

static void round_to_half(const float *x, size_t n, float *y)
{
	for (size_t k = 0; k < n; k++)
		y[k] = sl_half_get(sl_half_of(x[k]));
}

/* Inputs and weights as bf16 values, sums in f32. */
void sl_gemm_forward(struct sl_replica *r, int i, const float *weights)
{
	const struct sl_do *o = &r->p->does[i];
	struct sl_work *w = &r->work[i];
	const struct sl_cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	const float *wt = sl_param_of(r, weights, o->weight), *bias = sl_param_of(r, weights, o->bias), *in = x->data;
	float *out = y->data;
	if (r->half) {
		round_to_half(in, x->count, w->temp);
		round_to_half(wt, r->p->param[o->weight].n, w->temp2);
		in = w->temp;
		wt = w->temp2;
	}
	sl_matmul(false, o->trans_b, x->n, y->c, x->c, in, wt, 0, out);
	for (int n = 0; bias && n < y->n; n++)
		for (int k = 0; k < y->c; k++)
			out[(size_t)n * y->c + k] += bias[k];
}

void sl_gemm_backward(struct sl_replica *r, int i, const float *weights, float *grads)
{
	const struct sl_do *o = &r->p->does[i];
	struct sl_work *w = &r->work[i];
	const struct sl_cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	float *dw = sl_param_grad(r, grads, o->weight), *db = sl_param_grad(r, grads, o->bias);
	const float *wt = r->half ? w->temp2 : sl_param_of(r, weights, o->weight);
	float *dy = y->grad[0], *in = x->data;
	for (int k = 0; db && k < y->c; k++) {
		double sum = 0;
		for (int n = 0; n < y->n; n++)
			sum += dy[(size_t)n * y->c + k];
		db[k] = (float)sum;
	}
	if (r->half) {
		round_to_half(dy, y->count, dy);
		round_to_half(in, x->count, in);
	}
	if (o->trans_b)
		sl_matmul(true, false, y->c, x->c, x->n, dy, in, 0, dw);
	else
		sl_matmul(true, false, x->c, y->c, x->n, in, dy, 0, dw);
	sl_matmul(false, !o->trans_b, x->n, x->c, y->c, dy, wt, 0, w->dx);
}

void sl_dropout_forward(struct sl_replica *r, int i, uint64_t stream)
{
	const struct sl_do *o = &r->p->does[i];
	struct sl_rng rng = sl_rng(r->seed + (uint64_t)i, stream);
	const float *x = r->cell[o->x].data;
	float *y = r->cell[o->y].data, *factor = r->work[i].temp, up = 1 / (1 - o->ratio);
	for (size_t k = 0; k < r->cell[o->x].count; k++) {
		factor[k] = sl_rng_unit(&rng) < o->ratio ? 0 : up;
		y[k] = x[k] * factor[k];
	}
}

void sl_pool_forward(struct sl_replica *r, int i)
{
	const struct sl_do *o = &r->p->does[i];
	const struct sl_cell *x = &r->cell[o->x];
	int wide = x->blocks * r->lanes->width;
	float *y = r->cell[o->y].data, *means = r->work[i].temp;
	r->lanes->pool(x->half, (size_t)x->n * x->blocks, x->rows, x->data, means);
	for (int n = 0; n < x->n; n++)
		memcpy(y + (size_t)n * x->c, means + (size_t)n * wide, sizeof(float) * x->c);
}

void sl_pool_backward(struct sl_replica *r, int i)
{
	const struct sl_do *o = &r->p->does[i];
	const struct sl_cell *x = &r->cell[o->x];
	int wide = x->blocks * r->lanes->width;
	float *dy = r->cell[o->y].grad[0], *means = r->work[i].temp;
	memset(means, 0, sizeof(float) * x->n * wide);
	for (int n = 0; n < x->n; n++)
		memcpy(means + (size_t)n * wide, dy + (size_t)n * x->c, sizeof(float) * x->c);
	r->lanes->unpool(r->half, (size_t)x->n * x->blocks, x->rows, means, r->work[i].dx);
}

void sl_flatten(struct sl_replica *r, int i, bool back)
{
	const struct sl_do *o = &r->p->does[i];
	const struct sl_cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	void *from = back ? y->grad[0] : x->data, *to = back ? r->work[i].dx : y->data;
	if (r->p->use[o->x].is_plain)
		memcpy(to, from, sizeof(float) * x->count);
	else if (back)
		sl_to_blocks(r->lanes->width, r->half, x->n, x->c, x->rows, from, to);
	else
		sl_from_blocks(r->lanes->width, x->half, x->n, x->c, x->rows, from, to);
}
