/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators that only move elements: as views where the memory is the same, else as
 * reorders between views.
 */
#include "nn/dnnl/program.h"
#include "base/mem.h"

static bool lower_view(struct sl_program *p, const struct sl_node *n)
{
	int t = sl_ten_want(p, n->in[0], false, dnnl_f32);

	if (t < 0)
		return false;
	sl_ten_alias(p, t, n->out[0]);
	return true;
}

static bool lower_concat(struct sl_program *p, const struct sl_node *n)
{
	const struct sl_shape *o = &p->w.data[n->out[0]].shape;
	dnnl_memory_desc_t md[SL_NODE_IN], dst_md;
	dnnl_primitive_desc_t pd = NULL;
	dnnl_primitive_attr_t attr;
	bool nhwc = false;
	int axis, t[SL_NODE_IN], dst;
	struct sl_step *s;
	dnnl_status_t st;

	if (sl_node_axis(n, sl_node_int(n, "axis", 0), o->rank, &axis, NULL) != SL_OK)
		return false;
	for (int i = 0; i < n->nin; i++)
		nhwc = nhwc || sl_ten_has_nhwc(p, n->in[i]);
	for (int i = 0; i < n->nin; i++) {
		if ((t[i] = sl_ten_want(p, n->in[i], nhwc, nhwc ? p->fast : dnnl_f32)) < 0)
			return false;
		md[i] = p->ten[t[i]].md;
	}
	dst_md = sl_md(o, nhwc, nhwc ? p->fast : dnnl_f32);
	if (dnnl_primitive_attr_create(&attr) != dnnl_success)
		return false;
	st = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
	if (st == dnnl_success)
		st = dnnl_concat_primitive_desc_create(&pd, &dst_md, n->nin, axis, md, attr, p->store->engine);
	dnnl_primitive_attr_destroy(attr);
	if (st != dnnl_success)
		return false;
	dst = sl_ten_new(p, n->out[0], nhwc, nhwc ? p->fast : dnnl_f32);
	if (!sl_step_from(p, pd, &s))
		return false;
	for (int i = 0; i < n->nin; i++)
		sl_step_arg(p, s, DNNL_ARG_MULTIPLE_SRC + i, t[i]);
	sl_step_arg(p, s, DNNL_ARG_DST, dst);
	return true;
}

/* The output's tensor is there already: no way back. */
static bool reorder_into(struct sl_program *p, int from, int to)
{
	bool ok = sl_step_reorder(p, from, to);

	p->broken = p->broken || !ok;
	return ok;
}

/* Output `out` is every step-th element of src from start on. */
static bool copy_part(struct sl_program *p, int src, const int64_t *start, const int64_t *step, int v_out)
{
	const struct sl_shape *o = &p->w.data[v_out].shape;
	const dnnl_memory_desc_t *from = &p->ten[src].md;
	dnnl_memory_desc_t md;
	dnnl_dims_t dims, strides;
	dnnl_dim_t offset = from->offset0;

	for (int i = 0; i < o->rank; i++) {
		if (step[i] < 1)
			return false;
		dims[i] = o->dim[i];
		strides[i] = from->format_desc.blocking.strides[i] * step[i];
		offset += from->format_desc.blocking.strides[i] * start[i];
	}
	if (dnnl_memory_desc_init_by_strides(&md, o->rank, dims, from->data_type, strides) != dnnl_success)
		return false;
	md.offset0 = offset;
	return reorder_into(p, sl_ten_view(p, src, &md), sl_ten_new(p, v_out, p->ten[src].nhwc, p->ten[src].dt));
}

static int part_source(struct sl_program *p, int v)
{
	bool nhwc = sl_ten_find(p, v, true, p->fast) >= 0;

	return sl_ten_want(p, v, nhwc, nhwc ? p->fast : dnnl_f32);
}

static bool lower_slice(struct sl_program *p, const struct sl_node *n)
{
	const struct sl_data *in[SL_NODE_IN] = {NULL};
	struct sl_cut cut;
	int src;

	for (int i = 0; i < n->nin; i++)
		in[i] = n->in[i] < 0 ? NULL : &p->w.data[n->in[i]];
	if (in[0]->shape.rank < 1 || sl_node_cut(n, in, &cut, NULL) != SL_OK)
		return false;
	for (int i = 0; i < in[0]->shape.rank; i++)
		if (cut.step[i] < 1)
			return false;
	src = part_source(p, n->in[0]);
	return src >= 0 && copy_part(p, src, cut.start, cut.step, n->out[0]);
}

static bool lower_split(struct sl_program *p, const struct sl_node *n)
{
	int64_t start[SL_RANK] = {0}, step[SL_RANK] = {1, 1, 1, 1, 1, 1};
	int axis, src;

	if (sl_node_axis(n, sl_node_int(n, "axis", 0), p->w.data[n->in[0]].shape.rank, &axis, NULL) != SL_OK)
		return false;
	src = part_source(p, n->in[0]);
	for (int i = 0; i < n->nout && src >= 0; i++) {
		if (!copy_part(p, src, start, step, n->out[i]))
			return false;
		start[axis] += p->w.data[n->out[i]].shape.dim[axis];
	}
	return src >= 0;
}

static bool lower_transpose(struct sl_program *p, const struct sl_node *n)
{
	const struct sl_shape *o = &p->w.data[n->out[0]].shape;
	int perm[SL_RANK], src;
	dnnl_memory_desc_t md;
	dnnl_dims_t dims, strides;

	if (o->rank < 1 || (src = sl_ten_want(p, n->in[0], false, dnnl_f32)) < 0)
		return false;
	sl_node_perm(n, o->rank, perm);
	for (int i = 0; i < o->rank; i++) {
		dims[i] = o->dim[i];
		strides[i] = p->ten[src].md.format_desc.blocking.strides[perm[i]];
	}
	if (dnnl_memory_desc_init_by_strides(&md, o->rank, dims, dnnl_f32, strides) != dnnl_success)
		return false;
	return reorder_into(p, sl_ten_view(p, src, &md), sl_ten_new(p, n->out[0], false, dnnl_f32));
}

bool sl_lower_move(struct sl_program *p, const struct sl_node *n)
{
	switch (n->op) {
	case SL_OP_RESHAPE:
	case SL_OP_FLATTEN:
	case SL_OP_SQUEEZE:
	case SL_OP_UNSQUEEZE:
	case SL_OP_IDENTITY:
	case SL_OP_DROPOUT:
		return lower_view(p, n);
	case SL_OP_CONCAT:
		return lower_concat(p, n);
	case SL_OP_SPLIT:
		return lower_split(p, n);
	case SL_OP_SLICE:
		return lower_slice(p, n);
	case SL_OP_TRANSPOSE:
		return lower_transpose(p, n);
	default:
		return false;
	}
}
