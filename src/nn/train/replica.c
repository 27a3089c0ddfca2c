/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/replica.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/shape.h"
#include "nn/train/conv.h"
#include "nn/train/lanes.h"
#include <math.h>

/* A value: its data, and one gradient from each of its readers, added up by its maker. */
struct cell {
	void *data;
	void **grad;
	int ngrad;
	int n, c, h, w, blocks;
	size_t rows, count; /* pixels a picture; numbers in data, channels past c included */
	bool half;
};

/* What an operation keeps from forward to backward. */
struct work {
	struct sl_conv *conv;
	float *mean, *inv; /* NORM: by channel, whole blocks */
	float *temp, *temp2; /* POOL: means in whole blocks; GEMM: rounded copies; DROPOUT: factors */
	void *dx; /* where the gradients by x and add go; NULL: nobody asks */
	void *dadd;
};

struct sl_replica {
	const struct sl_plan *p;
	bool half;
	uint64_t seed;
	const struct sl_lanes *lanes;
	struct sl_conv_ctx *ctx;
	struct cell *cell;
	struct work *work;
	float *stats;
	struct sl_tensor input, out[SL_NODE_IN], grad[SL_NODE_IN];
	void **memory; /* everything allocated, freed together */
	int nmemory;
};

static void *keep(struct sl_replica *r, size_t size)
{
	void *p = sl_aligned(SL_MAX(size, 64));
	r->memory = sl_realloc(r->memory, (size_t)r->nmemory + 1, sizeof(*r->memory));
	r->memory[r->nmemory++] = p;
	return p;
}

static size_t cell_bytes(const struct cell *c, bool half)
{
	return c->count * (half ? sizeof(uint16_t) : sizeof(float));
}

static void make_cell(struct sl_replica *r, int v)
{
	const struct sl_shape *s = &r->p->shape[v];
	const struct sl_use *u = &r->p->use[v];
	struct cell *c = &r->cell[v];
	c->n = (int)s->dim[0];
	c->c = s->rank > 1 ? (int)s->dim[1] : 1;
	c->h = s->rank == 4 ? (int)s->dim[2] : 1;
	c->w = s->rank == 4 ? (int)s->dim[3] : 1;
	c->rows = (size_t)c->h * c->w;
	c->grad = SL_NEW_N(void *, u->reads + 1);
	if (u->is_plain) {
		c->count = (size_t)c->n * c->c * c->rows;
	} else {
		/* Results keep f32 where a convolution makes them and only the loss reads them. */
		bool full = u->is_output && u->reads == 1 && r->p->does[u->maker].kind == SL_DO_CONV;
		c->blocks = (c->c + r->lanes->width - 1) / r->lanes->width;
		c->count = (size_t)c->n * c->blocks * r->lanes->width * c->rows;
		c->half = r->half && !full;
	}
	c->data = keep(r, cell_bytes(c, c->half));
}

static void add_grad(struct cell *c, void *g)
{
	c->grad[c->ngrad++] = g;
}

static void *new_grad(struct sl_replica *r, int v)
{
	struct cell *c = &r->cell[v];
	void *g = keep(r, cell_bytes(c, r->half && !r->p->use[v].is_plain));
	add_grad(c, g);
	return g;
}

/* The gradient by x may take the place of x: a convolution made it and nobody else reads it. */
static bool may_overwrite(const struct sl_replica *r, int x)
{
	const struct sl_use *u = &r->p->use[x];
	return u->maker >= 0 && u->reads == 1 && r->p->does[u->maker].kind == SL_DO_CONV;
}

/* Called from the last operation to the first: all readers of o->y have given their gradients. */
static void place_grads(struct sl_replica *r, int i)
{
	const struct sl_do *o = &r->p->does[i];
	struct work *w = &r->work[i];
	void *dy = r->cell[o->y].grad[0];
	switch (o->kind) {
	case SL_DO_CONV:
		w->dx = r->p->use[o->x].is_plain ? NULL : new_grad(r, o->x);
		break;
	case SL_DO_NORM:
		if (o->add >= 0)
			add_grad(&r->cell[o->add], w->dadd = dy); /* y's own gradient is dead by then */
		if (may_overwrite(r, o->x))
			add_grad(&r->cell[o->x], w->dx = r->cell[o->x].data);
		else
			w->dx = new_grad(r, o->x);
		break;
	case SL_DO_SUM:
		add_grad(&r->cell[o->x], w->dx = dy);
		if (o->add >= 0)
			w->dadd = new_grad(r, o->add);
		break;
	case SL_DO_DROPOUT:
		add_grad(&r->cell[o->x], w->dx = dy);
		break;
	case SL_DO_UP:
	case SL_DO_POOL:
	case SL_DO_FLATTEN:
	case SL_DO_GEMM:
		w->dx = new_grad(r, o->x);
		break;
	}
}

static enum sl_status make_conv(struct sl_replica *r, int i, struct sl_err *err)
{
	const struct sl_do *o = &r->p->does[i];
	const struct cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	struct sl_window win;
	const struct sl_shape *ws = &r->p->g->value[r->p->param[o->weight].value].shape;
	enum sl_status s = sl_node_window(o->node, &r->p->shape[o->x], ws, &win, err);
	if (s != SL_OK)
		return s;
	if (win.dh != 1 || win.dw != 1)
		return sl_fail(
			err, SL_UNSUPPORTED, "training does not know dilation, which node %s has", o->node->name);
	bool plain = r->p->use[o->x].is_plain;
	struct sl_conv_spec c = {x->n, x->c, y->c, x->h, x->w, y->h, y->w, (int)win.kh, (int)win.kw, (int)win.sh,
		(int)win.sw, {(int)win.pt, (int)win.pl, (int)win.pb, (int)win.pr}, (int)win.groups, o->bias >= 0,
		r->half, plain, r->half && !y->half, !plain, r->lanes->width};
	return sl_conv_new(r->ctx, &c, &r->work[i].conv, err);
}

static enum sl_status make_work(struct sl_replica *r, int i, struct sl_err *err)
{
	const struct sl_do *o = &r->p->does[i];
	struct work *w = &r->work[i];
	const struct cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	switch (o->kind) {
	case SL_DO_CONV:
		return make_conv(r, i, err);
	case SL_DO_NORM:
		w->mean = keep(r, sizeof(float) * x->blocks * r->lanes->width);
		w->inv = keep(r, sizeof(float) * x->blocks * r->lanes->width);
		break;
	case SL_DO_POOL:
		w->temp = keep(r, sizeof(float) * x->n * x->blocks * r->lanes->width);
		break;
	case SL_DO_DROPOUT:
		w->temp = keep(r, sizeof(float) * x->count);
		break;
	case SL_DO_GEMM:
		w->temp = keep(r, sizeof(float) * SL_MAX(x->count, y->count));
		w->temp2 = keep(r, sizeof(float) * r->p->param[o->weight].n);
		break;
	default:
		break;
	}
	return SL_OK;
}

static void make_outputs(struct sl_replica *r)
{
	const struct sl_plan *p = r->p;
	for (int k = 0; k < p->g->noutput; k++) {
		int v = p->g->output[k];
		size_t size = sizeof(float) * (size_t)sl_shape_count(&p->shape[v]);
		bool plain = p->use[v].is_plain;
		void *g = new_grad(r, v);
		r->out[k] = (struct sl_tensor){plain ? r->cell[v].data : keep(r, size), p->shape[v]};
		r->grad[k] = (struct sl_tensor){plain ? g : keep(r, size), p->shape[v]};
	}
}

enum sl_status sl_replica_new(
	const struct sl_plan *p, bool half, uint64_t seed, struct sl_replica **ret, struct sl_err *err)
{
	struct sl_replica *r = SL_NEW(struct sl_replica);
	*r = (struct sl_replica){.p = p, .half = half, .seed = seed};
	r->lanes = sl_lanes(sl_conv_lanes());
	r->ctx = sl_conv_ctx_new();
	r->cell = SL_NEW_N(struct cell, p->g->nvalue);
	r->work = SL_NEW_N(struct work, p->ndo);
	r->stats = keep(r, sizeof(float) * p->nstat);
	make_cell(r, p->g->input[0]);
	r->input = (struct sl_tensor){r->cell[p->g->input[0]].data, p->shape[p->g->input[0]]};
	for (int i = 0; i < p->ndo; i++)
		make_cell(r, p->does[i].y);
	make_outputs(r);
	for (int i = p->ndo - 1; i >= 0; i--)
		place_grads(r, i);
	enum sl_status s = SL_OK;
	for (int i = 0; i < p->ndo && s == SL_OK; i++)
		s = make_work(r, i, err);
	if (s != SL_OK) {
		sl_replica_free(r);
		return s;
	}
	*ret = r;
	return SL_OK;
}

void sl_replica_free(struct sl_replica *r)
{
	if (!r)
		return;
	for (int i = 0; r->work && i < r->p->ndo; i++)
		sl_conv_free(r->work[i].conv);
	for (int v = 0; r->cell && v < r->p->g->nvalue; v++)
		free(r->cell[v].grad);
	for (int i = 0; i < r->nmemory; i++)
		free(r->memory[i]);
	sl_conv_ctx_free(r->ctx);
	free(r->memory);
	free(r->cell);
	free(r->work);
	free(r);
}

struct sl_tensor *sl_replica_input(struct sl_replica *r)
{
	return &r->input;
}

struct sl_tensor *sl_replica_outputs(struct sl_replica *r)
{
	return r->out;
}

struct sl_tensor *sl_replica_grads(struct sl_replica *r)
{
	return r->grad;
}

const float *sl_replica_stats(const struct sl_replica *r)
{
	return r->stats;
}

static const float *param(const struct sl_replica *r, const float *all, int k)
{
	return k < 0 ? NULL : all + r->p->param[k].at;
}

static float *param_grad(const struct sl_replica *r, float *all, int k)
{
	return k < 0 ? NULL : all + r->p->param[k].at;
}

static void *block_at(const struct sl_replica *r, const struct cell *c, void *data, int block)
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

static struct sl_plane plane_of(const struct cell *x)
{
	return (struct sl_plane){x->n, x->rows, x->rows * x->blocks, x->half};
}

static void norm_stats(struct sl_replica *r, const struct sl_do *o, int block, const float *mean, const float *var)
{
	const struct cell *x = &r->cell[o->x];
	double count = (double)x->n * (double)x->rows, unbiased = count > 1 ? count / (count - 1) : 1;
	float *to_mean = param_grad(r, r->stats, o->mean), *to_var = param_grad(r, r->stats, o->var);
	int first = block * r->lanes->width, n = SL_MIN(r->lanes->width, x->c - first);
	for (int k = 0; k < n; k++) {
		to_mean[first + k] = mean[k];
		to_var[first + k] = (float)(var[k] * unbiased);
	}
}

static void norm_forward(struct sl_replica *r, int i, const float *weights)
{
	const struct sl_do *o = &r->p->does[i];
	struct work *w = &r->work[i];
	const struct cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	void *add = o->add >= 0 ? r->cell[o->add].data : NULL;
	struct sl_plane p = plane_of(x);
	for (int b = 0; b < x->blocks; b++) {
		struct lane gamma, beta, var;
		float *mean = w->mean + b * r->lanes->width, *inv = w->inv + b * r->lanes->width;
		block_of(r, param(r, weights, o->weight), x->c, b, gamma.v);
		block_of(r, param(r, weights, o->bias), x->c, b, beta.v);
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

/* Leaves at most `left` gradients of a value, the rest added to the first. */
static void fold_grads(struct sl_replica *r, int v, int left)
{
	struct cell *c = &r->cell[v];
	for (int k = left; k < c->ngrad; k++) {
		if (!r->p->use[v].is_plain) {
			r->lanes->mask(r->half, c->count / r->lanes->width, c->grad[0], c->grad[k], NULL);
			continue;
		}
		float *a = c->grad[0], *b = c->grad[k];
		for (size_t j = 0; j < c->count; j++)
			a[j] += b[j];
	}
}

static void norm_backward(struct sl_replica *r, int i, const float *weights, float *grads)
{
	const struct sl_do *o = &r->p->does[i];
	struct work *w = &r->work[i];
	const struct cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	float *dgamma = param_grad(r, grads, o->weight), *dbeta = param_grad(r, grads, o->bias);
	double count = (double)x->n * (double)x->rows;
	struct sl_plane p = plane_of(x);
	fold_grads(r, o->y, 2);
	for (int b = 0; b < x->blocks; b++) {
		struct lane gamma, a, bx, c;
		double sum[SL_LANES_MAX], sum_x[SL_LANES_MAX];
		float *mean = w->mean + b * r->lanes->width, *inv = w->inv + b * r->lanes->width;
		void *g = block_at(r, x, y->grad[0], b), *g2 = y->ngrad > 1 ? block_at(r, x, y->grad[1], b) : NULL;
		r->lanes->gather(p, g, g2, o->relu ? block_at(r, y, y->data, b) : NULL, block_at(r, x, x->data, b),
			mean, sum, sum_x);
		block_of(r, param(r, weights, o->weight), x->c, b, gamma.v);
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

static void round_to_half(const float *x, size_t n, float *y)
{
	for (size_t k = 0; k < n; k++)
		y[k] = sl_half_get(sl_half_of(x[k]));
}

/* Inputs and weights as bf16 values, sums in f32. */
static void gemm_forward(struct sl_replica *r, int i, const float *weights)
{
	const struct sl_do *o = &r->p->does[i];
	struct work *w = &r->work[i];
	const struct cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	const float *wt = param(r, weights, o->weight), *bias = param(r, weights, o->bias), *in = x->data;
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

static void gemm_backward(struct sl_replica *r, int i, const float *weights, float *grads)
{
	const struct sl_do *o = &r->p->does[i];
	struct work *w = &r->work[i];
	const struct cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	float *dw = param_grad(r, grads, o->weight), *db = param_grad(r, grads, o->bias);
	const float *wt = r->half ? w->temp2 : param(r, weights, o->weight);
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

static void dropout_forward(struct sl_replica *r, int i, uint64_t stream)
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

static void pool_forward(struct sl_replica *r, int i)
{
	const struct sl_do *o = &r->p->does[i];
	const struct cell *x = &r->cell[o->x];
	int wide = x->blocks * r->lanes->width;
	float *y = r->cell[o->y].data, *means = r->work[i].temp;
	r->lanes->pool(x->half, (size_t)x->n * x->blocks, x->rows, x->data, means);
	for (int n = 0; n < x->n; n++)
		memcpy(y + (size_t)n * x->c, means + (size_t)n * wide, sizeof(float) * x->c);
}

static void pool_backward(struct sl_replica *r, int i)
{
	const struct sl_do *o = &r->p->does[i];
	const struct cell *x = &r->cell[o->x];
	int wide = x->blocks * r->lanes->width;
	float *dy = r->cell[o->y].grad[0], *means = r->work[i].temp;
	memset(means, 0, sizeof(float) * x->n * wide);
	for (int n = 0; n < x->n; n++)
		memcpy(means + (size_t)n * wide, dy + (size_t)n * x->c, sizeof(float) * x->c);
	r->lanes->unpool(r->half, (size_t)x->n * x->blocks, x->rows, means, r->work[i].dx);
}

static void flatten(struct sl_replica *r, int i, bool back)
{
	const struct sl_do *o = &r->p->does[i];
	const struct cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	void *from = back ? y->grad[0] : x->data, *to = back ? r->work[i].dx : y->data;
	if (r->p->use[o->x].is_plain)
		memcpy(to, from, sizeof(float) * x->count);
	else if (back)
		sl_to_blocks(r->lanes->width, r->half, x->n, x->c, x->rows, from, to);
	else
		sl_from_blocks(r->lanes->width, x->half, x->n, x->c, x->rows, from, to);
}

static enum sl_status forward_one(
	struct sl_replica *r, int i, const float *weights, uint64_t stream, struct sl_err *err)
{
	const struct sl_do *o = &r->p->does[i];
	struct cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	struct work *w = &r->work[i];
	enum sl_status s = SL_OK;
	switch (o->kind) {
	case SL_DO_CONV:
		s = sl_conv_load(w->conv, param(r, weights, o->weight), param(r, weights, o->bias), err);
		if (s == SL_OK)
			s = sl_conv_forward(w->conv, x->data, y->data, err);
		break;
	case SL_DO_NORM:
		norm_forward(r, i, weights);
		break;
	case SL_DO_SUM:
		r->lanes->sum(r->half, x->count / r->lanes->width, x->data, o->add >= 0 ? r->cell[o->add].data : NULL,
			o->relu, y->data);
		break;
	case SL_DO_UP:
		r->lanes->up(r->half, (size_t)x->n * x->blocks, x->h, x->w, x->data, y->data);
		break;
	case SL_DO_POOL:
		pool_forward(r, i);
		break;
	case SL_DO_FLATTEN:
		flatten(r, i, false);
		break;
	case SL_DO_DROPOUT:
		dropout_forward(r, i, stream);
		break;
	case SL_DO_GEMM:
		gemm_forward(r, i, weights);
		break;
	}
	return s;
}

static enum sl_status backward_one(struct sl_replica *r, int i, const float *weights, float *grads, struct sl_err *err)
{
	const struct sl_do *o = &r->p->does[i];
	struct cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	struct work *w = &r->work[i];
	if (o->kind != SL_DO_NORM)
		fold_grads(r, o->y, 1);
	switch (o->kind) {
	case SL_DO_CONV:
		return sl_conv_backward(w->conv, x->data, y->grad[0], w->dx, param_grad(r, grads, o->weight),
			param_grad(r, grads, o->bias), err);
	case SL_DO_NORM:
		norm_backward(r, i, weights, grads);
		break;
	case SL_DO_SUM:
		if (o->relu)
			r->lanes->mask(r->half, y->count / r->lanes->width, y->grad[0], NULL, y->data);
		if (w->dadd)
			memcpy(w->dadd, w->dx, cell_bytes(y, r->half));
		break;
	case SL_DO_UP:
		r->lanes->down(r->half, (size_t)x->n * x->blocks, x->h, x->w, y->grad[0], w->dx);
		break;
	case SL_DO_POOL:
		pool_backward(r, i);
		break;
	case SL_DO_FLATTEN:
		flatten(r, i, true);
		break;
	case SL_DO_DROPOUT:
		for (size_t k = 0; k < y->count; k++)
			((float *)w->dx)[k] *= w->temp[k];
		break;
	case SL_DO_GEMM:
		gemm_backward(r, i, weights, grads);
		break;
	}
	return SL_OK;
}

enum sl_status sl_replica_forward(struct sl_replica *r, const float *weights, uint64_t stream, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < r->p->ndo && s == SL_OK; i++)
		s = forward_one(r, i, weights, stream, err);
	for (int k = 0; k < r->p->g->noutput && s == SL_OK; k++) {
		int v = r->p->g->output[k];
		const struct cell *c = &r->cell[v];
		if (!r->p->use[v].is_plain)
			sl_from_blocks(r->lanes->width, c->half, c->n, c->c, c->rows, c->data, r->out[k].data);
	}
	return s;
}

enum sl_status sl_replica_backward(struct sl_replica *r, const float *weights, float *grads, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int k = 0; k < r->p->g->noutput; k++) {
		int v = r->p->g->output[k];
		const struct cell *c = &r->cell[v];
		if (!r->p->use[v].is_plain)
			sl_to_blocks(r->lanes->width, r->half, c->n, c->c, c->rows, r->grad[k].data, c->grad[0]);
	}
	for (int i = r->p->ndo - 1; i >= 0 && s == SL_OK; i--)
		s = backward_one(r, i, weights, grads, err);
	return s;
}
