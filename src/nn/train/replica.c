/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/replica_parts.h"
#include "base/mem.h"
#include "nn/shape.h"

static void *keep(struct sl_replica *r, size_t size)
{
	void *p = sl_aligned(SL_MAX(size, 64));
	r->memory = sl_realloc(r->memory, (size_t)r->nmemory + 1, sizeof(*r->memory));
	r->memory[r->nmemory++] = p;
	return p;
}

static size_t cell_bytes(const struct sl_cell *c, bool half)
{
	return c->count * (half ? sizeof(uint16_t) : sizeof(float));
}

static void make_cell(struct sl_replica *r, int v)
{
	const struct sl_shape *s = &r->p->shape[v];
	const struct sl_use *u = &r->p->use[v];
	struct sl_cell *c = &r->cell[v];
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

static void add_grad(struct sl_cell *c, void *g)
{
	c->grad[c->ngrad++] = g;
}

static void *new_grad(struct sl_replica *r, int v)
{
	struct sl_cell *c = &r->cell[v];
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
	struct sl_work *w = &r->work[i];
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
	const struct sl_cell *x = &r->cell[o->x], *y = &r->cell[o->y];
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
	struct sl_work *w = &r->work[i];
	const struct sl_cell *x = &r->cell[o->x], *y = &r->cell[o->y];
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
	r->cell = SL_NEW_N(struct sl_cell, p->g->nvalue);
	r->work = SL_NEW_N(struct sl_work, p->ndo);
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

void sl_fold_grads(struct sl_replica *r, int v, int left)
{
	struct sl_cell *c = &r->cell[v];
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

static enum sl_status forward_one(
	struct sl_replica *r, int i, const float *weights, uint64_t stream, struct sl_err *err)
{
	const struct sl_do *o = &r->p->does[i];
	struct sl_cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	struct sl_work *w = &r->work[i];
	enum sl_status s = SL_OK;
	switch (o->kind) {
	case SL_DO_CONV:
		s = sl_conv_load(w->conv, sl_param_of(r, weights, o->weight), sl_param_of(r, weights, o->bias), err);
		if (s == SL_OK)
			s = sl_conv_forward(w->conv, x->data, y->data, err);
		break;
	case SL_DO_NORM:
		sl_norm_forward(r, i, weights);
		break;
	case SL_DO_SUM:
		r->lanes->sum(r->half, x->count / r->lanes->width, x->data, o->add >= 0 ? r->cell[o->add].data : NULL,
			o->relu, y->data);
		break;
	case SL_DO_UP:
		r->lanes->up(r->half, (size_t)x->n * x->blocks, x->h, x->w, x->data, y->data);
		break;
	case SL_DO_POOL:
		sl_pool_forward(r, i);
		break;
	case SL_DO_FLATTEN:
		sl_flatten(r, i, false);
		break;
	case SL_DO_DROPOUT:
		sl_dropout_forward(r, i, stream);
		break;
	case SL_DO_GEMM:
		sl_gemm_forward(r, i, weights);
		break;
	}
	return s;
}

static enum sl_status backward_one(struct sl_replica *r, int i, const float *weights, float *grads, struct sl_err *err)
{
	const struct sl_do *o = &r->p->does[i];
	struct sl_cell *x = &r->cell[o->x], *y = &r->cell[o->y];
	struct sl_work *w = &r->work[i];
	if (o->kind != SL_DO_NORM)
		sl_fold_grads(r, o->y, 1);
	switch (o->kind) {
	case SL_DO_CONV:
		return sl_conv_backward(w->conv, x->data, y->grad[0], w->dx, sl_param_grad(r, grads, o->weight),
			sl_param_grad(r, grads, o->bias), err);
	case SL_DO_NORM:
		sl_norm_backward(r, i, weights, grads);
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
		sl_pool_backward(r, i);
		break;
	case SL_DO_FLATTEN:
		sl_flatten(r, i, true);
		break;
	case SL_DO_DROPOUT:
		for (size_t k = 0; k < y->count; k++)
			((float *)w->dx)[k] *= w->temp[k];
		break;
	case SL_DO_GEMM:
		sl_gemm_backward(r, i, weights, grads);
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
		const struct sl_cell *c = &r->cell[v];
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
		const struct sl_cell *c = &r->cell[v];
		if (!r->p->use[v].is_plain)
			sl_to_blocks(r->lanes->width, r->half, c->n, c->c, c->rows, r->grad[k].data, c->grad[0]);
	}
	for (int i = r->p->ndo - 1; i >= 0 && s == SL_OK; i--)
		s = backward_one(r, i, weights, grads, err);
	return s;
}
