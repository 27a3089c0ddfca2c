/* SPDX-License-Identifier: Apache-2.0
 *
 * Pools, matrix products, Softmax and Resize.
 */
#include "nn/dnnl/program.h"
#include "base/mem.h"
#include <math.h>

/* A primitive with one source and one destination. */
static bool one_to_one(struct sl_program *p, const void *desc, int src, int value, bool nhwc, dnnl_data_type_t dt)
{
	dnnl_primitive_desc_t pd;
	struct sl_step *s;
	int dst;

	if (!sl_step_prim(p, desc, NULL, &pd))
		return false;
	dst = sl_ten_new(p, value, nhwc, dt);
	if (!sl_step_from(p, pd, &s))
		return false;
	sl_step_arg(p, s, DNNL_ARG_SRC, src);
	sl_step_arg(p, s, DNNL_ARG_DST, dst);
	return true;
}

bool sl_lower_pool(struct sl_program *p, const struct sl_node *n)
{
	const struct sl_shape *x = &p->w.data[n->in[0]].shape;
	struct sl_window w = {.kh = x->dim[2], .kw = x->dim[3], .sh = 1, .sw = 1, .dh = 1, .dw = 1};
	bool with_pad = sl_node_int(n, "count_include_pad", 0) != 0;
	dnnl_alg_kind_t alg = n->op == SL_OP_MAXPOOL ? dnnl_pooling_max
			      : with_pad             ? dnnl_pooling_avg_include_padding
						     : dnnl_pooling_avg_exclude_padding;
	dnnl_memory_desc_t src_md, dst_md;
	dnnl_pooling_v2_desc_t d;
	int src;

	if (x->rank != 4 || (n->op != SL_OP_GLOBALAVGPOOL && sl_node_window(n, x, NULL, &w, NULL) != SL_OK))
		return false;
	if (alg == dnnl_pooling_avg_include_padding && (w.xb || w.xr))
		return false; /* oneDNN would count what ceil_mode added */
	src = sl_ten_want(p, n->in[0], true, p->fast);
	if (src < 0)
		return false;
	src_md = p->ten[src].md;
	dst_md = sl_md(&p->w.data[n->out[0]].shape, true, p->fast);
	if (dnnl_pooling_v2_forward_desc_init(&d, dnnl_forward_inference, alg, &src_md, &dst_md,
		    (dnnl_dims_t){w.sh, w.sw}, (dnnl_dims_t){w.kh, w.kw}, (dnnl_dims_t){w.dh - 1, w.dw - 1},
		    (dnnl_dims_t){w.pt, w.pl}, (dnnl_dims_t){w.pb, w.pr}) != dnnl_success)
		return false;
	return one_to_one(p, &d, src, n->out[0], true, p->fast);
}

/* A row-major matrix, or its transpose, of v's data. */
static dnnl_memory_desc_t matrix_md(int64_t rows, int64_t cols, bool transposed, dnnl_data_type_t dt)
{
	dnnl_memory_desc_t md;

	if (dnnl_memory_desc_init_by_strides(&md, 2, (dnnl_dims_t){rows, cols}, dt,
		    transposed ? (dnnl_dims_t){1, rows} : (dnnl_dims_t){cols, 1}) != dnnl_success)
		SL_BUG("oneDNN refuses a matrix");
	return md;
}

bool sl_lower_gemm(struct sl_program *p, const struct sl_node *n)
{
	const struct sl_value *w = &p->g->value[n->in[1]];
	int cv = n->nin > 2 ? n->in[2] : -1;
	const struct sl_data *in[3] = {&p->w.data[n->in[0]], &p->w.data[n->in[1]], cv >= 0 ? &p->w.data[cv] : NULL};
	struct sl_gemm g;
	dnnl_memory_desc_t from, any, dst_md, bias;
	dnnl_inner_product_desc_t d;
	dnnl_primitive_desc_t pd;
	dnnl_memory_t wmem, bmem = NULL;
	struct sl_step *s;
	int src, dst;

	if (w->kind != SL_VALUE_WEIGHT || sl_node_gemm(n, in, &g, NULL) != SL_OK || g.trans_a ||
		sl_node_float(n, "alpha", 1) != 1 || sl_node_float(n, "beta", 1) != 1)
		return false;
	if (cv >= 0 && (p->g->value[cv].kind != SL_VALUE_WEIGHT || sl_shape_count(&in[2]->shape) != g.n ||
			       in[2]->shape.dim[SL_MAX(in[2]->shape.rank, 1) - 1] != g.n))
		return false;
	from = matrix_md(g.n, g.k, !g.trans_b, dnnl_f32);
	dst_md = matrix_md(g.m, g.n, false, dnnl_f32);
	bias = sl_md(&SL_SHAPE(g.n), false, dnnl_f32);
	dnnl_memory_desc_init_by_tag(&any, 2, (dnnl_dims_t){g.n, g.k}, p->fast, dnnl_format_tag_any);
	src = sl_ten_want(p, n->in[0], false, p->fast);
	if (src < 0 ||
		dnnl_inner_product_forward_desc_init(&d, dnnl_forward_inference, &p->ten[src].md, &any,
			cv >= 0 ? &bias : NULL, &dst_md) != dnnl_success ||
		!sl_step_prim(p, &d, NULL, &pd))
		return false;
	if (sl_store_pack(p->store, n->in[1], w->f32, &from, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0),
		    &wmem) != dnnl_success ||
		(cv >= 0 && sl_store_pack(p->store, cv, p->g->value[cv].f32, &bias, &bias, &bmem) != dnnl_success)) {
		dnnl_primitive_desc_destroy(pd);
		return false;
	}
	dst = sl_ten_new(p, n->out[0], false, dnnl_f32);
	if (!sl_step_from(p, pd, &s))
		return false;
	sl_step_arg(p, s, DNNL_ARG_SRC, src);
	sl_step_mem(s, DNNL_ARG_WEIGHTS, wmem);
	if (bmem)
		sl_step_mem(s, DNNL_ARG_BIAS, bmem);
	sl_step_arg(p, s, DNNL_ARG_DST, dst);
	return true;
}

/* Operand with ones before its shape, to the product's rank. */
static int operand(struct sl_program *p, int v, int rank)
{
	struct sl_shape s = {.rank = rank};
	const struct sl_shape *x = &p->w.data[v].shape;
	int t = sl_ten_want(p, v, false, dnnl_f32);
	dnnl_memory_desc_t md;

	if (t < 0 || x->rank == rank)
		return t;
	for (int i = 0; i < rank; i++)
		s.dim[i] = i < rank - x->rank ? 1 : x->dim[i - (rank - x->rank)];
	md = sl_md(&s, false, dnnl_f32);
	return sl_ten_view(p, t, &md);
}

bool sl_lower_matmul(struct sl_program *p, const struct sl_node *n)
{
	const struct sl_shape *o = &p->w.data[n->out[0]].shape;
	int a = operand(p, n->in[0], o->rank), b = operand(p, n->in[1], o->rank), dst;
	dnnl_memory_desc_t dst_md = sl_md(o, false, dnnl_f32);
	dnnl_primitive_desc_t pd;
	dnnl_matmul_desc_t d;
	struct sl_step *s;

	if (a < 0 || b < 0 || dnnl_matmul_desc_init(&d, &p->ten[a].md, &p->ten[b].md, NULL, &dst_md) != dnnl_success ||
		!sl_step_prim(p, &d, NULL, &pd))
		return false;
	dst = sl_ten_new(p, n->out[0], false, dnnl_f32);
	if (!sl_step_from(p, pd, &s))
		return false;
	sl_step_arg(p, s, DNNL_ARG_SRC, a);
	sl_step_arg(p, s, DNNL_ARG_WEIGHTS, b);
	sl_step_arg(p, s, DNNL_ARG_DST, dst);
	return true;
}

bool sl_lower_softmax(struct sl_program *p, const struct sl_node *n)
{
	int src = sl_ten_want(p, n->in[0], false, dnnl_f32), axis, rank = p->w.data[n->in[0]].shape.rank;
	dnnl_softmax_desc_t d;

	if (src < 0 || sl_node_axis(n, sl_node_int(n, "axis", -1), rank, &axis, NULL) != SL_OK ||
		dnnl_softmax_forward_desc_init(&d, dnnl_forward_inference, &p->ten[src].md, axis) != dnnl_success)
		return false;
	return one_to_one(p, &d, src, n->out[0], false, dnnl_f32);
}

/* Linear with half-pixel centres and with the sides' own ratio is oneDNN's linear. */
static bool lower_linear(struct sl_program *p, const struct sl_node *n, const struct sl_resize *r)
{
	const struct sl_shape *x = &p->w.data[n->in[0]].shape;
	dnnl_memory_desc_t dst_md = sl_md(&r->out, true, p->fast);
	dnnl_resampling_desc_t d;
	int src;

	if (r->coord != SL_RESIZE_HALF &&
		(r->coord != SL_RESIZE_HALF_TORCH || r->out.dim[2] == 1 || r->out.dim[3] == 1))
		return false;
	for (int i = 0; i < 4; i++)
		if (fabs(r->scale[i] * (double)x->dim[i] - (double)r->out.dim[i]) > 1e-6)
			return false;
	src = sl_ten_want(p, n->in[0], true, p->fast);
	if (src < 0 || dnnl_resampling_forward_desc_init(&d, dnnl_forward_inference, dnnl_resampling_linear, NULL,
			       &p->ten[src].md, &dst_md) != dnnl_success)
		return false;
	return one_to_one(p, &d, src, n->out[0], true, p->fast);
}

bool sl_lower_resize(struct sl_program *p, const struct sl_node *n)
{
	const struct sl_data *in[SL_NODE_IN] = {NULL};
	struct sl_resize r;
	struct sl_step *s;
	int k, src, dst;

	for (int i = 0; i < n->nin; i++)
		in[i] = n->in[i] < 0 ? NULL : &p->w.data[n->in[i]];
	if (in[0]->shape.rank != 4 || sl_node_resize(n, in, &r, NULL) != SL_OK)
		return false;
	if (r.is_linear)
		return lower_linear(p, n, &r);
	k = sl_resize_repeat(&r, &in[0]->shape);
	if (!k || (src = sl_ten_want(p, n->in[0], true, p->fast)) < 0)
		return false;
	dst = sl_ten_new(p, n->out[0], true, p->fast);
	s = sl_step_new(p, SL_STEP_REPEAT);
	s->repeat = k;
	sl_step_arg(p, s, DNNL_ARG_SRC, src);
	sl_step_arg(p, s, DNNL_ARG_DST, dst);
	return true;
}
