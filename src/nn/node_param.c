/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators' parameters, read from attributes and constant inputs and checked.
 */
#include "nn/shape.h"
#include "base/mem.h"
#include <math.h>

#define FAIL(n, status, fmt, ...) \
	sl_fail(err, status, "node \"%.60s\" (%s): " fmt, (n)->name, sl_op_name((n)->op), ##__VA_ARGS__)

enum sl_status sl_node_axis(const struct sl_node *n, int64_t axis, int rank, int *ret, struct sl_err *err)
{
	if (axis < -rank || axis >= rank)
		return FAIL(n, SL_INVALID, "axis %lld of a tensor of rank %d", (long long)axis, rank);
	*ret = (int)(axis < 0 ? axis + rank : axis);
	return SL_OK;
}

/* Two numbers (H, W) of a list attribute. */
static enum sl_status pair(const struct sl_node *n, const char *name, int64_t lo, int64_t ret[2], struct sl_err *err)
{
	const struct sl_attr *a = sl_node_attr(n, name);

	if (!a)
		return SL_OK;
	if (a->n != 2)
		return FAIL(n, SL_UNSUPPORTED, "%s has %d numbers; only images (2) are handled", name, a->n);
	for (int i = 0; i < 2; i++) {
		if (a->list[i] < lo || a->list[i] > SL_KERNEL_MAX)
			return FAIL(n, SL_INVALID, "%s is %lld, not in %lld..%d", name, (long long)a->list[i],
				(long long)lo, SL_KERNEL_MAX);
		ret[i] = a->list[i];
	}
	return SL_OK;
}

static enum sl_status read_pads(const struct sl_node *n, const int64_t x[2], const int64_t k[2], const int64_t s[2],
	const int64_t d[2], int64_t pad[4], struct sl_err *err)
{
	const struct sl_attr *a = sl_node_attr(n, "auto_pad"), *p = sl_node_attr(n, "pads");
	const char *mode = a && a->s ? a->s : "NOTSET";
	bool lower = strcmp(mode, "SAME_LOWER") == 0;

	if (lower || strcmp(mode, "SAME_UPPER") == 0) {
		for (int i = 0; i < 2; i++) {
			int64_t out = (x[i] + s[i] - 1) / s[i], all = (out - 1) * s[i] + (k[i] - 1) * d[i] + 1 - x[i];

			all = SL_MAX(all, 0);
			pad[i] = lower ? all - all / 2 : all / 2;
			pad[i + 2] = all - pad[i];
		}
		return SL_OK;
	}
	if (strcmp(mode, "NOTSET") != 0 && strcmp(mode, "VALID") != 0)
		return FAIL(n, SL_INVALID, "auto_pad \"%.20s\"", mode);
	if (!p || strcmp(mode, "VALID") == 0)
		return SL_OK;
	if (p->n != 4)
		return FAIL(n, SL_UNSUPPORTED, "pads has %d numbers; only images (4) are handled", p->n);
	for (int i = 0; i < 4; i++) {
		if (p->list[i] < 0 || p->list[i] > SL_KERNEL_MAX)
			return FAIL(n, SL_INVALID, "pads is %lld, not in 0..%d", (long long)p->list[i], SL_KERNEL_MAX);
		pad[i] = p->list[i];
	}
	return SL_OK;
}

/* Steps of the window along one side; with ceil the last one may hang over the end, but it
 * must start inside the input or its first padding. */
static int64_t window_steps(
	int64_t x, int64_t k, int64_t s, int64_t d, int64_t p0, int64_t p1, bool ceil_mode, int64_t *more)
{
	int64_t span = (k - 1) * d + 1, room = x + p0 + p1 - span, n;

	*more = 0;
	if (room < 0)
		return 0;
	n = room / s + 1;
	if (ceil_mode && room % s && n * s < x + p0) {
		*more = n * s + span - (x + p0 + p1);
		n++;
	}
	return n;
}

enum sl_status sl_node_window(const struct sl_node *n, const struct sl_shape *x, const struct sl_shape *w,
	struct sl_window *ret, struct sl_err *err)
{
	int64_t k[2] = {0, 0}, s[2] = {1, 1}, d[2] = {1, 1}, pad[4] = {0}, side[2];
	bool ceil_mode = sl_node_int(n, "ceil_mode", 0) != 0;
	enum sl_status st;

	if (x->rank != 4 || (w && w->rank != 4))
		return FAIL(n, SL_UNSUPPORTED, "input of rank %d; only images N,C,H,W are handled", x->rank);
	if (w && (w->dim[2] > SL_KERNEL_MAX || w->dim[3] > SL_KERNEL_MAX))
		return FAIL(n, SL_INVALID, "kernel over %d", SL_KERNEL_MAX);
	if ((st = pair(n, "kernel_shape", 1, k, err)) != SL_OK || (st = pair(n, "strides", 1, s, err)) != SL_OK ||
		(st = pair(n, "dilations", 1, d, err)) != SL_OK)
		return st;
	if (w && ((k[0] && k[0] != w->dim[2]) || (k[1] && k[1] != w->dim[3])))
		return FAIL(n, SL_INVALID, "kernel_shape is not the weights'");
	if (w) {
		k[0] = w->dim[2];
		k[1] = w->dim[3];
	}
	if (k[0] < 1 || k[1] < 1)
		return FAIL(n, SL_INVALID, "no kernel_shape");
	side[0] = x->dim[2];
	side[1] = x->dim[3];
	if ((st = read_pads(n, side, k, s, d, pad, err)) != SL_OK)
		return st;
	*ret = (struct sl_window){.kh = k[0], .kw = k[1], .sh = s[0], .sw = s[1], .dh = d[0], .dw = d[1]};
	ret->pt = pad[0];
	ret->pl = pad[1];
	ret->pb = pad[2];
	ret->pr = pad[3];
	ret->ho = window_steps(side[0], k[0], s[0], d[0], pad[0], pad[2], ceil_mode, &ret->xb);
	ret->wo = window_steps(side[1], k[1], s[1], d[1], pad[1], pad[3], ceil_mode, &ret->xr);
	ret->pb += ret->xb;
	ret->pr += ret->xr;
	ret->groups = sl_node_int(n, "group", 1);
	if (ret->ho < 1 || ret->wo < 1)
		return FAIL(n, SL_INVALID, "the %lldx%lld window does not fit into %lldx%lld", (long long)k[1],
			(long long)k[0], (long long)side[1], (long long)side[0]);
	return SL_OK;
}

static const char *attr_text(const struct sl_node *n, const char *name, const char *otherwise)
{
	const struct sl_attr *a = sl_node_attr(n, name);

	return a && a->kind == SL_ATTR_STR && a->s ? a->s : otherwise;
}

static int find_text(const char *s, const char *const *list, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(s, list[i]) == 0)
			return i;
	return -1;
}

static enum sl_status resize_modes(const struct sl_node *n, struct sl_resize *ret, struct sl_err *err)
{
	static const char *const coords[] = {"half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"};
	static const char *const rounds[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
	static const char *const modes[] = {"nearest", "linear"};
	bool upsample = n->op == SL_OP_UPSAMPLE;
	const char *coord = attr_text(n, "coordinate_transformation_mode", upsample ? "asymmetric" : "half_pixel");
	const char *round = attr_text(n, "nearest_mode", upsample ? "floor" : "round_prefer_floor");
	const char *mode = attr_text(n, "mode", "nearest");
	int c = find_text(coord, coords, 4), r = find_text(round, rounds, 4), m = find_text(mode, modes, 2);

	if (c < 0 || r < 0 || m < 0)
		return FAIL(n, SL_UNSUPPORTED, "mode %.20s with %.30s and %.20s", mode, coord, round);
	ret->coord = (enum sl_resize_coord)c;
	ret->round = (enum sl_resize_round)r;
	ret->is_linear = m == 1;
	return SL_OK;
}

static const struct sl_data *input(const struct sl_node *n, const struct sl_data *const *in, int i)
{
	return i < n->nin && n->in[i] >= 0 ? in[i] : NULL;
}

enum sl_status sl_node_resize(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_resize *ret, struct sl_err *err)
{
	const struct sl_shape *x = &in[0]->shape;
	const struct sl_data *scales = input(n, in, n->op == SL_OP_UPSAMPLE ? 1 : 2);
	const struct sl_data *sizes = n->op == SL_OP_UPSAMPLE ? NULL : input(n, in, 3);
	enum sl_status st = resize_modes(n, ret, err);

	if (st != SL_OK)
		return st;
	if (scales && sl_shape_count(&scales->shape) == 0)
		scales = NULL; /* exporters write an empty tensor for "left out" */
	if (!scales == !sizes)
		return FAIL(n, SL_INVALID, "needs scales or sizes, not both");
	if (!sl_data_is_known(scales ? scales : sizes))
		return FAIL(n, SL_UNSUPPORTED, "output size depends on the data");
	if (sl_shape_count(scales ? &scales->shape : &sizes->shape) != x->rank)
		return FAIL(n, SL_INVALID, "scales or sizes do not fit rank %d", x->rank);
	ret->out = *x;
	for (int i = 0; i < x->rank; i++) {
		double to = scales ? floor((double)x->dim[i] * scales->f32[i]) : (double)sizes->i64[i];

		if (!(to >= 1 && to <= 1 << 24))
			return FAIL(n, SL_INVALID, "output side %g", to);
		ret->out.dim[i] = (int64_t)to;
		ret->scale[i] = scales ? scales->f32[i] : to / (double)x->dim[i];
		if (ret->is_linear && ret->out.dim[i] != x->dim[i] && (x->rank != 4 || i < 2))
			return FAIL(n, SL_UNSUPPORTED, "linear over other axes than H and W");
	}
	return SL_OK;
}

int sl_resize_repeat(const struct sl_resize *r, const struct sl_shape *x)
{
	int64_t k = x->rank == 4 ? r->out.dim[2] / x->dim[2] : 0;
	bool exact; /* do the modes agree with "pixel i of the output is pixel i/k of the input"? */

	if (r->is_linear || k < 1 || k > 64 || r->scale[2] != (double)k || r->scale[3] != (double)k)
		return 0;
	for (int i = 0; i < 4; i++)
		if (r->out.dim[i] != (i < 2 ? x->dim[i] : x->dim[i] * k))
			return 0;
	if (r->coord == SL_RESIZE_ASYMMETRIC)
		exact = r->round == SL_RESIZE_FLOOR || k == 1;
	else if (r->coord == SL_RESIZE_CORNERS)
		exact = k == 1;
	else /* i = qk + r maps to q + (r + .5)/k - .5, strictly between q - .5 and q + .5: no tie */
		exact = r->round <= SL_RESIZE_PREFER_CEIL;
	return exact ? (int)k : 0;
}

static enum sl_status cut_axis(const struct sl_node *n, int64_t dim, int64_t start, int64_t end, int64_t step, int axis,
	struct sl_cut *ret, struct sl_err *err)
{
	int64_t lo, hi;

	if (step == 0 || step == INT64_MIN)
		return FAIL(n, SL_INVALID, "step is 0");
	start = start < 0 ? SL_MAX(start, -dim - 1) + dim : start;
	end = end < 0 ? SL_MAX(end, -dim - 1) + dim : end;
	lo = step > 0 ? 0 : -1;
	hi = step > 0 ? dim : dim - 1;
	start = SL_MIN(SL_MAX(start, 0), hi);
	end = SL_MIN(SL_MAX(end, lo), hi);
	ret->start[axis] = start;
	ret->step[axis] = step;
	if (step > 0)
		ret->out.dim[axis] = end > start ? (end - start - 1) / step + 1 : 0;
	else
		ret->out.dim[axis] = start > end ? (start - end - 1) / -step + 1 : 0;
	return SL_OK;
}

enum sl_status sl_node_cut(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_cut *ret, struct sl_err *err)
{
	const struct sl_data *axes = input(n, in, 3), *steps = input(n, in, 4);
	const struct sl_shape *x = &in[0]->shape;
	int64_t count = sl_shape_count(&in[1]->shape);
	bool seen[SL_RANK] = {false};

	if (!sl_data_is_known(in[1]) || !sl_data_is_known(in[2]) || (axes && !sl_data_is_known(axes)) ||
		(steps && !sl_data_is_known(steps)))
		return FAIL(n, SL_UNSUPPORTED, "what is cut depends on the data");
	if (count > x->rank || sl_shape_count(&in[2]->shape) != count ||
		(axes && sl_shape_count(&axes->shape) != count) || (steps && sl_shape_count(&steps->shape) != count))
		return FAIL(
			n, SL_INVALID, "starts, ends, axes and steps differ in length or are more than %d", x->rank);
	ret->out = *x;
	for (int i = 0; i < SL_RANK; i++) {
		ret->start[i] = 0;
		ret->step[i] = 1;
	}
	for (int i = 0; i < count; i++) {
		int axis;
		enum sl_status st = sl_node_axis(n, axes ? axes->i64[i] : i, x->rank, &axis, err);

		if (st != SL_OK)
			return st;
		if (seen[axis])
			return FAIL(n, SL_INVALID, "axis %d is given twice", axis);
		seen[axis] = true;
		st = cut_axis(n, x->dim[axis], in[1]->i64[i], in[2]->i64[i], steps ? steps->i64[i] : 1, axis, ret, err);
		if (st != SL_OK)
			return st;
	}
	return SL_OK;
}

enum sl_status sl_node_gemm(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_gemm *ret, struct sl_err *err)
{
	const struct sl_shape *a = &in[0]->shape, *b = &in[1]->shape;
	const struct sl_data *c = input(n, in, 2);
	struct sl_shape out, both;

	ret->trans_a = sl_node_int(n, "transA", 0) != 0;
	ret->trans_b = sl_node_int(n, "transB", 0) != 0;
	if (a->rank != 2 || b->rank != 2)
		return FAIL(n, SL_INVALID, "inputs of rank %d and %d, not 2", a->rank, b->rank);
	ret->m = a->dim[ret->trans_a];
	ret->k = a->dim[!ret->trans_a];
	ret->n = b->dim[!ret->trans_b];
	if (b->dim[ret->trans_b] != ret->k)
		return FAIL(n, SL_INVALID, "inner sides %lld and %lld differ", (long long)ret->k,
			(long long)b->dim[ret->trans_b]);
	out = SL_SHAPE(ret->m, ret->n);
	if (!c)
		return SL_OK;
	if (sl_shape_broadcast(n, &out, &c->shape, &both, err) != SL_OK)
		return SL_INVALID;
	if (!sl_shape_is_same(&out, &both))
		return FAIL(n, SL_INVALID, "C is larger than the product");
	return SL_OK;
}

void sl_node_perm(const struct sl_node *n, int rank, int perm[SL_RANK])
{
	const struct sl_attr *a = sl_node_attr(n, "perm");

	for (int i = 0; i < rank; i++)
		perm[i] = a ? (int)a->list[i] : rank - 1 - i;
}

void sl_node_means(const struct sl_node *n, int rank, bool axis[SL_RANK])
{
	const struct sl_attr *a = sl_node_attr(n, "axes");

	for (int i = 0; i < rank; i++)
		axis[i] = !a;
	for (int i = 0; a && i < a->n; i++)
		axis[a->list[i] < 0 ? a->list[i] + rank : a->list[i]] = true;
}

enum sl_status sl_shape_broadcast(const struct sl_node *n, const struct sl_shape *a, const struct sl_shape *b,
	struct sl_shape *ret, struct sl_err *err)
{
	struct sl_shape out = {.rank = SL_MAX(a->rank, b->rank)};

	for (int i = 0; i < out.rank; i++) {
		int ia = i - (out.rank - a->rank), ib = i - (out.rank - b->rank);
		int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];

		if (da != db && da != 1 && db != 1)
			return FAIL(
				n, SL_INVALID, "sides %lld and %lld do not go together", (long long)da, (long long)db);
		out.dim[i] = da == 1 ? db : da;
	}
	*ret = out;
	return SL_OK;
}
