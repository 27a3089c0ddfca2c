/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/dnnl/program.h"
#include "base/mem.h"

struct conv {
	struct sl_window win;
	dnnl_dims_t wdims;
	int wrank;
	dnnl_data_type_t out_type;
	bool has_bias;
};

static dnnl_memory_desc_t weights_md(const struct conv *c, bool any, dnnl_data_type_t dt)
{
	dnnl_memory_desc_t md;

	if (dnnl_memory_desc_init_by_tag(&md, c->wrank, c->wdims, dt,
		    any             ? dnnl_format_tag_any
		    : c->wrank == 5 ? dnnl_abcde
				    : dnnl_abcd) != dnnl_success)
		SL_BUG("oneDNN refuses weights");
	return md;
}

static dnnl_memory_desc_t vector_md(int64_t n)
{
	struct sl_shape s = SL_SHAPE(n);

	return sl_md(&s, false, dnnl_f32);
}

static bool post_act(const struct sl_program *p, const struct sl_chain *c, dnnl_post_ops_t ops)
{
	dnnl_alg_kind_t alg = dnnl_eltwise_swish;
	float a = 1, b = 0;

	if (c->act < 0)
		return true;
	if (c->gate < 0 && !sl_act_eltwise(p, &p->g->node[c->act], &alg, &a, &b))
		return false;
	return dnnl_post_ops_append_eltwise(ops, 1, alg, a, b) == dnnl_success;
}

static bool post_ops(const struct sl_program *p, const struct sl_chain *c, dnnl_primitive_attr_t *ret)
{
	dnnl_post_ops_t ops = NULL;
	bool ok = dnnl_primitive_attr_create(ret) == dnnl_success && dnnl_post_ops_create(&ops) == dnnl_success;

	ok = ok && (!c->act_first || post_act(p, c, ops));
	ok = ok && (c->add < 0 || dnnl_post_ops_append_sum(ops, 1) == dnnl_success);
	ok = ok && (c->act_first || post_act(p, c, ops));
	ok = ok && dnnl_primitive_attr_set_post_ops(*ret, ops) == dnnl_success;
	if (ops)
		dnnl_post_ops_destroy(ops);
	if (!ok)
		dnnl_primitive_attr_destroy(*ret);
	return ok;
}

/* False also when only oneDNN's own naive code would do: the unfused chain is faster. */
static bool make_pd(struct sl_program *p, const struct sl_chain *chain, const struct conv *c, const struct sl_shape *x,
	const struct sl_shape *y, dnnl_primitive_desc_t *ret)
{
	dnnl_memory_desc_t src = sl_md(x, true, p->fast), dst = sl_md(y, true, c->out_type);
	dnnl_memory_desc_t w = weights_md(c, true, p->fast), b = vector_md(y->dim[1]);
	dnnl_dims_t stride = {c->win.sh, c->win.sw}, dilate = {c->win.dh - 1, c->win.dw - 1};
	dnnl_dims_t pad_l = {c->win.pt, c->win.pl}, pad_r = {c->win.pb, c->win.pr};
	dnnl_convolution_desc_t d;
	dnnl_primitive_attr_t attr;
	const char *impl = "";

	if (!post_ops(p, chain, &attr))
		return false;
	if (dnnl_dilated_convolution_forward_desc_init(&d, dnnl_forward_inference, dnnl_convolution_direct, &src, &w,
		    c->has_bias ? &b : NULL, &dst, stride, dilate, pad_l, pad_r) != dnnl_success) {
		dnnl_primitive_attr_destroy(attr);
		return false;
	}
	if (!sl_step_prim(p, &d, attr, ret))
		return false;
	dnnl_primitive_desc_query(*ret, dnnl_query_impl_info_str, 0, &impl);
	if (strncmp(impl, "ref", 3) == 0 && (chain->add >= 0 || chain->act >= 0)) {
		dnnl_primitive_desc_destroy(*ret);
		return false;
	}
	return true;
}

/* Do all who use v want plain f32 anyway? */
static bool is_for_plain(const struct sl_program *p, int v)
{
	for (int i = 0; i < p->g->noutput; i++)
		if (p->g->output[i] == v)
			return p->left[v] == 1;
	if (p->left[v] != 1 || p->user[v] < 0)
		return false;
	switch (p->g->node[p->user[v]].op) {
	case SL_OP_RESHAPE:
	case SL_OP_TRANSPOSE:
	case SL_OP_FLATTEN:
	case SL_OP_SOFTMAX:
	case SL_OP_SQUEEZE:
		return true;
	default:
		return false;
	}
}

/* Where the result goes: for a sum it holds the other addend first. */
static int make_dst(struct sl_program *p, const struct sl_chain *c, int v, dnnl_data_type_t dt)
{
	const struct sl_node *add;
	int conv_out, other, from, copy;

	if (c->add < 0)
		return sl_ten_new(p, v, true, dt);
	add = &p->g->node[c->add];
	conv_out = p->g->node[c->act_first ? c->act : c->conv].out[0];
	other = add->in[add->in[0] == conv_out];
	from = sl_ten_want(p, other, true, dt);
	if (from < 0)
		return -1;
	if (sl_ten_is_free(p, from, other))
		return sl_ten_over(p, from, v);
	copy = sl_ten_new(p, v, true, dt);
	return sl_step_reorder(p, from, copy) ? copy : -1;
}

static bool read_conv(struct sl_program *p, const struct sl_node *n, struct conv *c)
{
	const struct sl_value *w = &p->g->value[n->in[1]];
	const struct sl_value *b = n->nin > 2 && n->in[2] >= 0 ? &p->g->value[n->in[2]] : NULL;
	const struct sl_shape *x = &p->w.data[n->in[0]].shape;
	int at = 0;

	if (w->kind != SL_VALUE_WEIGHT || (b && b->kind != SL_VALUE_WEIGHT) ||
		sl_node_window(n, x, &w->shape, &c->win, NULL) != SL_OK)
		return false;
	c->has_bias = b != NULL;
	if (c->win.groups > 1)
		c->wdims[at++] = c->win.groups;
	c->wdims[at++] = w->shape.dim[0] / c->win.groups;
	for (int i = 1; i < 4; i++)
		c->wdims[at++] = w->shape.dim[i];
	c->wrank = at;
	return true;
}

static bool pack_weights(struct sl_program *p, const struct sl_node *n, const struct conv *c, dnnl_primitive_desc_t pd,
	dnnl_memory_t *w, dnnl_memory_t *b)
{
	dnnl_memory_desc_t from = weights_md(c, false, dnnl_f32);
	const dnnl_memory_desc_t *to = dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0);

	*b = NULL;
	if (sl_store_pack(p->store, n->in[1], p->g->value[n->in[1]].f32, &from, to, w) != dnnl_success)
		return false;
	if (!c->has_bias)
		return true;
	from = vector_md(sl_shape_count(&p->g->value[n->in[2]].shape));
	return sl_store_pack(p->store, n->in[2], p->g->value[n->in[2]].f32, &from, &from, b) == dnnl_success;
}

bool sl_lower_conv(struct sl_program *p, const struct sl_chain *chain)
{
	const struct sl_node *n = &p->g->node[chain->conv];
	int last = chain->act_first  ? chain->add
		   : chain->act >= 0 ? chain->act
		   : chain->add >= 0 ? chain->add
				     : chain->conv;
	int v = p->g->node[last].out[0], src, dst;
	struct conv c = {.out_type = is_for_plain(p, v) ? dnnl_f32 : p->fast};
	dnnl_primitive_desc_t pd;
	dnnl_memory_t w, b;
	struct sl_step *s;

	if (!read_conv(p, n, &c) || !make_pd(p, chain, &c, &p->w.data[n->in[0]].shape, &p->w.data[v].shape, &pd))
		return false;
	src = sl_ten_want(p, n->in[0], true, p->fast);
	if (src < 0 || !pack_weights(p, n, &c, pd, &w, &b)) {
		dnnl_primitive_desc_destroy(pd);
		return false;
	}
	dst = make_dst(p, chain, v, c.out_type);
	if (dst < 0) {
		dnnl_primitive_desc_destroy(pd);
		return false;
	}
	if (!sl_step_from(p, pd, &s))
		return false;
	sl_step_arg(p, s, DNNL_ARG_SRC, src);
	sl_step_mem(s, DNNL_ARG_WEIGHTS, w);
	if (b)
		sl_step_mem(s, DNNL_ARG_BIAS, b);
	sl_step_arg(p, s, DNNL_ARG_DST, dst);
	return true;
}
