/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk over a graph: shapes, constants that follow from them, and the public
 * functions that are made of it.
 */
#include "nn/shape.h"
#include "nn/ref/ref.h"
#include "base/mem.h"

void sl_data_alloc(struct sl_data *d)
{
	int64_t n = sl_shape_count(&d->shape);

	SL_ASSERT(n >= 0);
	if (d->dtype == SL_F32)
		d->f32 = sl_calloc((size_t)SL_MAX(n, 1), sizeof(float));
	else
		d->i64 = sl_calloc((size_t)SL_MAX(n, 1), sizeof(int64_t));
}

void sl_data_done(struct sl_data *d)
{
	free(d->f32);
	free(d->i64);
	d->f32 = NULL;
	d->i64 = NULL;
}

void sl_walk_done(struct sl_walk *w)
{
	for (int i = 0; w->g && i < w->g->nvalue; i++)
		if (w->made[i])
			sl_data_done(&w->data[i]);
	free(w->data);
	free(w->made);
	*w = (struct sl_walk){0};
}

/* Only cheap operators are computed ahead; a net whose convolution has constant input gains nothing. */
static bool is_cheap(enum sl_op op)
{
	switch (op) {
	case SL_OP_CONV:
	case SL_OP_BATCHNORM:
	case SL_OP_MAXPOOL:
	case SL_OP_AVGPOOL:
	case SL_OP_GLOBALAVGPOOL:
	case SL_OP_REDUCEMEAN:
	case SL_OP_GEMM:
	case SL_OP_MATMUL:
	case SL_OP_SOFTMAX:
	case SL_OP_RESIZE:
	case SL_OP_UPSAMPLE:
		return false;
	default:
		return true;
	}
}

static bool is_constant(struct sl_walk *w, const struct sl_node *n)
{
	int64_t sum = 0;

	if (!is_cheap(n->op))
		return false;
	for (int i = 0; i < n->nin && n->op != SL_OP_SHAPE; i++)
		if (n->in[i] >= 0 && !sl_data_is_known(&w->data[n->in[i]]))
			return false;
	for (int i = 0; i < n->nout; i++)
		sum += sl_shape_count(&w->data[n->out[i]].shape);
	return sum <= w->budget;
}

static enum sl_status eval(
	struct sl_walk *w, const struct sl_node *n, const struct sl_data *const *in, struct sl_err *err)
{
	struct sl_data out[SL_NODE_OUT];
	enum sl_status st;

	for (int i = 0; i < n->nout; i++) {
		out[i] = w->data[n->out[i]];
		sl_data_alloc(&out[i]);
		w->budget -= sl_shape_count(&out[i].shape);
	}
	st = sl_ref_eval(n, in, out, err);
	for (int i = 0; i < n->nout; i++) {
		w->data[n->out[i]] = out[i];
		w->made[n->out[i]] = true;
	}
	return st;
}

static enum sl_status walk_node(struct sl_walk *w, const struct sl_node *n, struct sl_err *err)
{
	const struct sl_data *in[SL_NODE_IN] = {NULL};
	struct sl_shape shape[SL_NODE_OUT] = {{0}};
	bool constant;
	enum sl_status st;

	for (int i = 0; i < n->nin; i++) {
		if (n->in[i] < 0)
			continue;
		in[i] = &w->data[n->in[i]];
		if (in[i]->shape.rank < 0)
			return SL_OK; /* depends on an open input */
	}
	if ((st = sl_node_shapes(n, in, shape, err)) != SL_OK)
		return st;
	for (int i = 0; i < n->nout; i++)
		w->data[n->out[i]].shape = shape[i];
	constant = is_constant(w, n);
	for (int i = 0; i < n->nout && !constant; i++)
		if (sl_shape_count(&shape[i]) == 0)
			return sl_fail(err, SL_INVALID, "node \"%.60s\" (%s): output %d is empty", n->name,
				sl_op_name(n->op), i);
	return constant ? eval(w, n, in, err) : SL_OK;
}

static enum sl_status set_input(
	struct sl_walk *w, const struct sl_value *v, const struct sl_shape *s, struct sl_data *ret, struct sl_err *err)
{
	bool fits = s->rank == v->shape.rank;

	for (int i = 0; fits && i < s->rank; i++)
		fits = s->dim[i] >= 1 && (v->shape.dim[i] == -1 || v->shape.dim[i] == s->dim[i]);
	if (!fits)
		return sl_fail(err, SL_INVALID,
			"input \"%.60s\": the shape does not fit (rank %d, the net's is %d; or a side differs)",
			v->name, s->rank, v->shape.rank);
	if (sl_shape_count(s) < 0 || sl_shape_count(s) > SL_VALUE_ELEMENTS)
		return sl_fail(err, SL_TOO_LARGE, "input \"%.60s\" has over %lld elements", v->name,
			(long long)SL_VALUE_ELEMENTS);
	ret->shape = *s;
	return SL_OK;
}

enum sl_status sl_walk_run(
	struct sl_walk *w, const struct sl_graph *g, const struct sl_shape *inputs, struct sl_err *err)
{
	enum sl_status st = SL_OK;

	*w = (struct sl_walk){.g = g, .budget = SL_CONST_TOTAL};
	w->data = sl_calloc((size_t)g->nvalue + 1, sizeof(*w->data));
	w->made = sl_calloc((size_t)g->nvalue + 1, sizeof(*w->made));
	for (int i = 0; i < g->nvalue; i++) {
		const struct sl_value *v = &g->value[i];

		w->data[i].dtype = v->dtype;
		w->data[i].shape.rank = -1;
		if (v->kind == SL_VALUE_WEIGHT)
			w->data[i] = (struct sl_data){v->dtype, v->shape, v->f32, v->i64};
	}
	for (int i = 0; i < g->ninput && st == SL_OK; i++) {
		const struct sl_value *v = &g->value[g->input[i]];

		if (inputs || sl_shape_count(&v->shape) > 0) /* without inputs: those that are not open */
			st = set_input(w, v, inputs ? &inputs[i] : &v->shape, &w->data[g->input[i]], err);
	}
	for (int i = 0; i < g->nnode && st == SL_OK; i++)
		st = walk_node(w, &g->node[i], err);
	return st;
}

enum sl_status sl_graph_shapes(
	const struct sl_graph *g, const struct sl_shape *inputs, struct sl_shape *ret, struct sl_err *err)
{
	SL_AUTO(sl_walk_done) struct sl_walk w = {0};
	enum sl_status st = sl_walk_run(&w, g, inputs, err);

	for (int i = 0; i < g->nvalue && st == SL_OK; i++)
		ret[i] = w.data[i].shape;
	return st;
}

static int64_t node_macs(const struct sl_walk *w, const struct sl_node *n)
{
	const struct sl_shape *out = &w->data[n->out[0]].shape;
	const struct sl_shape *x = n->nin && n->in[0] >= 0 ? &w->data[n->in[0]].shape : NULL;
	int64_t each;

	switch (n->op) {
	case SL_OP_CONV: {
		const struct sl_shape *k = &w->data[n->in[1]].shape;

		each = k->dim[1] * k->dim[2] * k->dim[3];
		break;
	}
	case SL_OP_GEMM:
		each = x->dim[sl_node_int(n, "transA", 0) == 0];
		break;
	case SL_OP_MATMUL:
		each = x->dim[x->rank - 1];
		break;
	default:
		return 0;
	}
	return sl_shape_count(out) > INT64_MAX / SL_MAX(each, 1) ? INT64_MAX : sl_shape_count(out) * each;
}

/* What is trained: weights, biases, scales and shifts; not running statistics, factors of Resize and the like. */
static bool is_param(enum sl_op op, int input)
{
	switch (op) {
	case SL_OP_CONV:
	case SL_OP_GEMM:
	case SL_OP_MATMUL:
	case SL_OP_ADD:
	case SL_OP_SUB:
	case SL_OP_MUL:
	case SL_OP_DIV:
		return true;
	case SL_OP_BATCHNORM:
		return input == 1 || input == 2;
	default:
		return false;
	}
}

static int64_t count_params(const struct sl_graph *g)
{
	SL_AUTOFREE bool *seen = sl_calloc((size_t)g->nvalue + 1, sizeof(*seen));
	int64_t params = 0;

	for (int i = 0; i < g->nnode; i++)
		for (int k = 0; k < g->node[i].nin; k++) {
			int v = g->node[i].in[k];

			if (v < 0 || seen[v] || g->value[v].kind != SL_VALUE_WEIGHT || g->value[v].dtype != SL_F32 ||
				!is_param(g->node[i].op, k))
				continue;
			seen[v] = true;
			params += sl_shape_count(&g->value[v].shape);
		}
	return params;
}

enum sl_status sl_graph_cost(const struct sl_graph *g, const struct sl_shape *inputs, int64_t *ret_macs,
	int64_t *ret_params, struct sl_err *err)
{
	SL_AUTO(sl_walk_done) struct sl_walk w = {0};
	enum sl_status st = sl_walk_run(&w, g, inputs, err);
	int64_t macs = 0, params;

	if (st != SL_OK)
		return st;
	for (int i = 0; i < g->nnode; i++)
		if (__builtin_add_overflow(macs, node_macs(&w, &g->node[i]), &macs))
			macs = INT64_MAX;
	params = count_params(g);
	*ret_macs = macs;
	*ret_params = params;
	return SL_OK;
}
