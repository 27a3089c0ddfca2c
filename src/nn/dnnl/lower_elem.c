/* SPDX-License-Identifier: Apache-2.0
 *
 * Elementwise operators, and the table of all that are lowered.
 */
#include "nn/dnnl/program.h"
#include "base/mem.h"

/* Stay in the layout that is there; a value that exists channels-last is of the fast part of the net. */
static int any_tensor(struct sl_program *p, int v)
{
	bool nhwc = sl_ten_has_nhwc(p, v);

	if (nhwc && sl_ten_find(p, v, true, p->fast) < 0)
		return sl_ten_want(p, v, true, dnnl_f32);
	return sl_ten_want(p, v, nhwc, nhwc ? p->fast : dnnl_f32);
}

static int make_out(struct sl_program *p, int from, int v_in, int v_out)
{
	if (sl_ten_is_free(p, from, v_in))
		return sl_ten_over(p, from, v_out);
	return sl_ten_new(p, v_out, p->ten[from].nhwc, p->ten[from].dt);
}

static bool lower_eltwise(struct sl_program *p, const struct sl_node *n, dnnl_alg_kind_t alg, float a, float b)
{
	int src = any_tensor(p, n->in[0]), dst;
	dnnl_eltwise_desc_t d;
	dnnl_primitive_desc_t pd;
	struct sl_step *s;

	if (src < 0 ||
		dnnl_eltwise_forward_desc_init(&d, dnnl_forward_inference, alg, &p->ten[src].md, a, b) !=
			dnnl_success ||
		!sl_step_prim(p, &d, NULL, &pd))
		return false;
	dst = make_out(p, src, n->in[0], n->out[0]);
	if (!sl_step_from(p, pd, &s))
		return false;
	sl_step_arg(p, s, DNNL_ARG_SRC, src);
	sl_step_arg(p, s, DNNL_ARG_DST, dst);
	return true;
}

static bool lower_act(struct sl_program *p, const struct sl_node *n)
{
	dnnl_alg_kind_t alg;
	float a, b;

	return sl_act_eltwise(p, n, &alg, &a, &b) && lower_eltwise(p, n, alg, a, b);
}

static bool lower_pow(struct sl_program *p, const struct sl_node *n)
{
	const struct sl_data *e = &p->w.data[n->in[1]];

	if (!e->f32 || sl_shape_count(&e->shape) != 1 || e->shape.rank > p->w.data[n->in[0]].shape.rank)
		return false;
	return lower_eltwise(p, n, dnnl_eltwise_pow, 1, e->f32[0]);
}

/* b's shape with ones put before it, to a's rank. */
static struct sl_shape widen(const struct sl_shape *b, int rank)
{
	struct sl_shape s = {.rank = rank};

	for (int i = 0; i < rank; i++)
		s.dim[i] = i < rank - b->rank ? 1 : b->dim[i - (rank - b->rank)];
	return s;
}

/* The smaller operand as a view that oneDNN broadcasts: any of its layouts will do if it has one side > 1. */
static int small_operand(struct sl_program *p, int v, int rank, bool nhwc)
{
	struct sl_shape s = widen(&p->w.data[v].shape, rank);
	int sides = 0, t;
	dnnl_memory_desc_t md;

	for (int i = 0; i < rank; i++)
		sides += s.dim[i] > 1;
	t = sl_ten_want(p, v, false, dnnl_f32);
	if (t < 0)
		return -1;
	if (sides > 1 && nhwc && p->w.data[v].shape.rank == 4)
		return sl_ten_want(p, v, true, dnnl_f32);
	md = sl_md(&s, false, dnnl_f32);
	return sl_ten_view(p, t, &md);
}

static bool binary_step(struct sl_program *p, dnnl_alg_kind_t alg, int a, int b, int va, int vout)
{
	dnnl_binary_desc_t d;
	dnnl_primitive_desc_t pd;
	struct sl_step *s;
	int dst;

	if (a < 0 || b < 0 ||
		dnnl_binary_desc_init(&d, alg, &p->ten[a].md, &p->ten[b].md, &p->ten[a].md) != dnnl_success ||
		!sl_step_prim(p, &d, NULL, &pd))
		return false;
	dst = make_out(p, a, va, vout);
	if (!sl_step_from(p, pd, &s))
		return false;
	sl_step_arg(p, s, DNNL_ARG_SRC_0, a);
	sl_step_arg(p, s, DNNL_ARG_SRC_1, b);
	sl_step_arg(p, s, DNNL_ARG_DST, dst);
	return true;
}

static bool lower_binary(struct sl_program *p, const struct sl_node *n)
{
	static const dnnl_alg_kind_t algs[] = {dnnl_binary_add, dnnl_binary_sub, dnnl_binary_mul, dnnl_binary_div};
	const struct sl_shape *out = &p->w.data[n->out[0]].shape;
	int a = n->in[0], b = n->in[1], ta, tb;
	bool commutes = n->op == SL_OP_ADD || n->op == SL_OP_MUL, same;

	if (p->w.data[a].dtype != SL_F32 || out->rank < 1)
		return false;
	if (commutes && (!sl_shape_is_same(&p->w.data[a].shape, out) || sl_data_is_known(&p->w.data[a]))) {
		a = n->in[1];
		b = n->in[0];
	}
	if (!sl_shape_is_same(&p->w.data[a].shape, out) || sl_data_is_known(&p->w.data[a]))
		return false;
	same = sl_shape_is_same(&p->w.data[b].shape, out);
	if (same && out->rank == 4 && !sl_ten_has_nhwc(p, a) && sl_ten_has_nhwc(p, b))
		ta = sl_ten_want(p, a, true, p->fast);
	else
		ta = any_tensor(p, a);
	if (ta < 0)
		return false;
	if (same)
		tb = sl_ten_want(p, b, p->ten[ta].nhwc, p->ten[ta].dt);
	else
		tb = small_operand(p, b, out->rank, p->ten[ta].nhwc);
	return binary_step(p, algs[n->op - SL_OP_ADD], ta, tb, a, n->out[0]);
}

/* x*k + b with k and b by channel, for a batch norm that no convolution took in. */
static bool lower_batchnorm(struct sl_program *p, const struct sl_node *n)
{
	const struct sl_shape *x = &p->w.data[n->in[0]].shape;
	dnnl_batch_normalization_desc_t d;
	dnnl_primitive_desc_t pd;
	dnnl_memory_desc_t vec = sl_md(&SL_SHAPE(x->dim[1]), false, dnnl_f32);
	static const int args[] = {0, DNNL_ARG_SCALE, DNNL_ARG_SHIFT, DNNL_ARG_MEAN, DNNL_ARG_VARIANCE};
	int src = any_tensor(p, n->in[0]), dst;
	struct sl_step *s;
	dnnl_memory_t mem[5];

	if (src < 0)
		return false;
	for (int i = 1; i < 5; i++)
		if (p->g->value[n->in[i]].kind != SL_VALUE_WEIGHT ||
			sl_store_pack(p->store, n->in[i], p->g->value[n->in[i]].f32, &vec, &vec, &mem[i]) !=
				dnnl_success)
			return false;
	if (dnnl_batch_normalization_forward_desc_init(&d, dnnl_forward_inference, &p->ten[src].md,
		    sl_node_float(n, "epsilon", 1e-5f),
		    dnnl_use_global_stats | dnnl_use_scale | dnnl_use_shift) != dnnl_success ||
		!sl_step_prim(p, &d, NULL, &pd))
		return false;
	dst = make_out(p, src, n->in[0], n->out[0]);
	if (!sl_step_from(p, pd, &s))
		return false;
	sl_step_arg(p, s, DNNL_ARG_SRC, src);
	for (int i = 1; i < 5; i++)
		sl_step_mem(s, args[i], mem[i]);
	sl_step_arg(p, s, DNNL_ARG_DST, dst);
	return true;
}

bool sl_lower_node(struct sl_program *p, const struct sl_node *n)
{
	struct sl_chain alone = {(int)(n - p->g->node), -1, -1, -1, false};

	if (p->w.data[n->out[0]].dtype != SL_F32)
		return false;
	switch (n->op) {
	case SL_OP_CONV:
		return sl_lower_conv(p, &alone);
	case SL_OP_BATCHNORM:
		return lower_batchnorm(p, n);
	case SL_OP_RELU:
	case SL_OP_LEAKYRELU:
	case SL_OP_SIGMOID:
	case SL_OP_TANH:
	case SL_OP_EXP:
	case SL_OP_SQRT:
	case SL_OP_CLIP:
	case SL_OP_HARDSWISH:
		return lower_act(p, n);
	case SL_OP_POW:
		return lower_pow(p, n);
	case SL_OP_ADD:
	case SL_OP_SUB:
	case SL_OP_MUL:
	case SL_OP_DIV:
		return lower_binary(p, n);
	case SL_OP_MAXPOOL:
	case SL_OP_AVGPOOL:
	case SL_OP_GLOBALAVGPOOL:
		return sl_lower_pool(p, n);
	case SL_OP_GEMM:
		return sl_lower_gemm(p, n);
	case SL_OP_MATMUL:
		return sl_lower_matmul(p, n);
	case SL_OP_SOFTMAX:
		return sl_lower_softmax(p, n);
	case SL_OP_RESIZE:
	case SL_OP_UPSAMPLE:
		return sl_lower_resize(p, n);
	default:
		return sl_lower_move(p, n);
	}
}
