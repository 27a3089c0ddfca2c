/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes of outputs from shapes (and constant contents) of inputs, by operator.
 */
#include "nn/shape.h"
#include "base/mem.h"
#include <math.h>

#define FAIL(n, status, fmt, ...) \
	sl_fail(err, status, "node \"%.60s\" (%s): " fmt, (n)->name, sl_op_name((n)->op), ##__VA_ARGS__)
#define NODE const struct sl_node *n, const struct sl_data *const *in, struct sl_shape *ret, struct sl_err *err

static const struct sl_data *input(const struct sl_node *n, const struct sl_data *const *in, int i)
{
	return i < n->nin && n->in[i] >= 0 ? in[i] : NULL;
}

/* The integers of input i, which must be known: at most max. */
static enum sl_status ints(const struct sl_node *n, const struct sl_data *const *in, int i, int max, int64_t *ret,
	int *ret_n, struct sl_err *err)
{
	const struct sl_data *d = in[i];
	int64_t count = sl_shape_count(&d->shape);

	if (!d->i64)
		return FAIL(n, SL_UNSUPPORTED, "input %d decides the shape but depends on the data", i);
	if (count < 0 || count > max)
		return FAIL(n, SL_INVALID, "input %d has more than %d numbers", i, max);
	for (int k = 0; k < count; k++)
		ret[k] = d->i64[k];
	*ret_n = (int)count;
	return SL_OK;
}

static enum sl_status same_shape(NODE)
{
	*ret = in[0]->shape;
	return SL_OK;
}

static enum sl_status binary_shape(NODE)
{
	return sl_shape_broadcast(n, &in[0]->shape, &in[1]->shape, ret, err);
}

static enum sl_status vector(
	const struct sl_node *n, const struct sl_data *d, int64_t len, const char *what, struct sl_err *err)
{
	if (d->shape.rank != 1 || d->shape.dim[0] != len)
		return FAIL(n, SL_INVALID, "%s is no vector of %lld", what, (long long)len);
	return SL_OK;
}

static enum sl_status conv_shape(NODE)
{
	const struct sl_shape *x = &in[0]->shape, *w = &in[1]->shape;
	struct sl_window win;
	enum sl_status st = sl_node_window(n, x, w, &win, err);

	if (st != SL_OK)
		return st;
	if (win.groups < 1 || w->dim[0] < 1 || w->dim[0] % win.groups || x->dim[1] != w->dim[1] * win.groups)
		return FAIL(n, SL_INVALID, "%lld channels in, weights %lldx%lld, group %lld", (long long)x->dim[1],
			(long long)w->dim[0], (long long)w->dim[1], (long long)win.groups);
	if (input(n, in, 2) && (st = vector(n, in[2], w->dim[0], "bias", err)) != SL_OK)
		return st;
	*ret = SL_SHAPE(x->dim[0], w->dim[0], win.ho, win.wo);
	return SL_OK;
}

static enum sl_status pool_shape(NODE)
{
	struct sl_window win;
	enum sl_status st = sl_node_window(n, &in[0]->shape, NULL, &win, err);

	if (st != SL_OK)
		return st;
	/* A window wholly in the padding has no maximum and no mean. */
	if (win.pt > (win.kh - 1) * win.dh || win.pl > (win.kw - 1) * win.dw ||
		win.pb - win.xb > (win.kh - 1) * win.dh || win.pr - win.xr > (win.kw - 1) * win.dw)
		return FAIL(n, SL_INVALID, "padding as large as the kernel");
	if (n->op == SL_OP_AVGPOOL && (win.dh != 1 || win.dw != 1))
		return FAIL(n, SL_UNSUPPORTED, "dilations");
	*ret = SL_SHAPE(in[0]->shape.dim[0], in[0]->shape.dim[1], win.ho, win.wo);
	return SL_OK;
}

static enum sl_status global_pool_shape(NODE)
{
	if (in[0]->shape.rank < 3)
		return FAIL(n, SL_INVALID, "input of rank %d", in[0]->shape.rank);
	*ret = in[0]->shape;
	for (int i = 2; i < ret->rank; i++)
		ret->dim[i] = 1;
	return SL_OK;
}

static enum sl_status batchnorm_shape(NODE)
{
	if (in[0]->shape.rank < 2)
		return FAIL(n, SL_INVALID, "input of rank %d", in[0]->shape.rank);
	if (sl_node_int(n, "training_mode", 0) != 0)
		return FAIL(n, SL_UNSUPPORTED, "training_mode; export the net for inference");
	for (int i = 1; i < 5; i++)
		if (vector(n, in[i], in[0]->shape.dim[1], "a parameter", err) != SL_OK)
			return SL_INVALID;
	*ret = in[0]->shape;
	return SL_OK;
}

static enum sl_status mean_shape(NODE)
{
	const struct sl_attr *a = sl_node_attr(n, "axes");
	const struct sl_shape *x = &in[0]->shape;
	bool keep = sl_node_int(n, "keepdims", 1) != 0, axis[SL_RANK];

	for (int i = 0; a && i < a->n; i++) {
		int unused;

		if (sl_node_axis(n, a->list[i], x->rank, &unused, err) != SL_OK)
			return SL_INVALID;
	}
	sl_node_means(n, x->rank, axis);
	ret->rank = 0;
	for (int i = 0; i < x->rank; i++) {
		if (!axis[i])
			ret->dim[ret->rank++] = x->dim[i];
		else if (keep)
			ret->dim[ret->rank++] = 1;
	}
	return SL_OK;
}

static enum sl_status gemm_shape(NODE)
{
	struct sl_gemm g;

	if (sl_node_gemm(n, in, &g, err) != SL_OK)
		return SL_INVALID;
	*ret = SL_SHAPE(g.m, g.n);
	return SL_OK;
}

static enum sl_status matmul_shape(NODE)
{
	struct sl_shape a = in[0]->shape, b = in[1]->shape, out;
	int64_t m, k, k2, cols;

	if (a.rank < 2 || b.rank < 2)
		return FAIL(n, SL_UNSUPPORTED, "inputs of rank %d and %d", a.rank, b.rank);
	m = a.dim[a.rank - 2];
	k = a.dim[a.rank - 1];
	k2 = b.dim[b.rank - 2];
	cols = b.dim[b.rank - 1];
	if (k != k2)
		return FAIL(n, SL_INVALID, "inner sides %lld and %lld differ", (long long)k, (long long)k2);
	a.rank -= 2;
	b.rank -= 2;
	if (sl_shape_broadcast(n, &a, &b, &out, err) != SL_OK)
		return SL_INVALID;
	out.dim[out.rank++] = m;
	out.dim[out.rank++] = cols;
	*ret = out;
	return SL_OK;
}

static enum sl_status softmax_shape(NODE)
{
	int axis;

	if (sl_node_axis(n, sl_node_int(n, "axis", -1), in[0]->shape.rank, &axis, err) != SL_OK)
		return SL_INVALID;
	*ret = in[0]->shape;
	return SL_OK;
}

static enum sl_status resize_shape(NODE)
{
	struct sl_resize r;
	enum sl_status st = sl_node_resize(n, in, &r, err);

	if (st == SL_OK)
		*ret = r.out;
	return st;
}

static enum sl_status concat_shape(NODE)
{
	int axis;

	*ret = in[0]->shape;
	if (!sl_node_attr(n, "axis"))
		return FAIL(n, SL_INVALID, "no axis");
	if (sl_node_axis(n, sl_node_int(n, "axis", 0), ret->rank, &axis, err) != SL_OK)
		return SL_INVALID;
	for (int i = 1; i < n->nin; i++) {
		const struct sl_shape *x = &in[i]->shape;
		bool fits = x->rank == ret->rank;

		for (int d = 0; fits && d < ret->rank; d++)
			fits = d == axis || x->dim[d] == ret->dim[d];
		if (!fits)
			return FAIL(n, SL_INVALID, "input %d does not go with the others", i);
		ret->dim[axis] += x->dim[axis];
	}
	return SL_OK;
}

static enum sl_status split_shape(NODE)
{
	int64_t part[SL_NODE_OUT], sum = 0;
	int axis, count = n->nout;
	enum sl_status st = sl_node_axis(n, sl_node_int(n, "axis", 0), in[0]->shape.rank, &axis, err);

	if (st != SL_OK)
		return st;
	if (input(n, in, 1)) {
		if ((st = ints(n, in, 1, SL_NODE_OUT, part, &count, err)) != SL_OK)
			return st;
	} else {
		for (int i = 0; i < count; i++)
			part[i] = in[0]->shape.dim[axis] / count;
	}
	for (int i = 0; i < count; i++) {
		if (part[i] < 0 || part[i] > in[0]->shape.dim[axis])
			return FAIL(n, SL_INVALID, "part %d is %lld long", i, (long long)part[i]);
		sum += part[i];
	}
	if (count != n->nout || sum != in[0]->shape.dim[axis])
		return FAIL(n, SL_INVALID, "%d parts of together %lld for %d outputs and a side of %lld", count,
			(long long)sum, n->nout, (long long)in[0]->shape.dim[axis]);
	for (int i = 0; i < count; i++) {
		ret[i] = in[0]->shape;
		ret[i].dim[axis] = part[i];
	}
	return SL_OK;
}

static enum sl_status slice_shape(NODE)
{
	struct sl_cut cut;
	enum sl_status st = sl_node_cut(n, in, &cut, err);

	if (st == SL_OK)
		*ret = cut.out;
	return st;
}

static enum sl_status reshape_shape(NODE)
{
	const struct sl_shape *x = &in[0]->shape;
	int64_t have = sl_shape_count(x), known = 1;
	bool zero = sl_node_int(n, "allowzero", 0) != 0;
	int open = -1;
	enum sl_status st = ints(n, in, 1, SL_RANK, ret->dim, &ret->rank, err);

	if (st != SL_OK)
		return st;
	for (int i = 0; i < ret->rank; i++) {
		if (ret->dim[i] == 0 && !zero) {
			if (i >= x->rank)
				return FAIL(n, SL_INVALID, "0 at place %d of a tensor of rank %d", i, x->rank);
			ret->dim[i] = x->dim[i];
		}
		if (ret->dim[i] == -1 && open < 0) {
			open = i;
			continue;
		}
		if (ret->dim[i] < 0 || __builtin_mul_overflow(known, ret->dim[i], &known))
			return FAIL(n, SL_INVALID, "side %lld", (long long)ret->dim[i]);
	}
	if (open >= 0) {
		if (known < 1 || have % known)
			return FAIL(n, SL_INVALID, "%lld elements do not fill rows of %lld", (long long)have,
				(long long)known);
		ret->dim[open] = have / known;
		known = have;
	}
	if (known != have)
		return FAIL(n, SL_INVALID, "%lld elements into %lld", (long long)have, (long long)known);
	return SL_OK;
}

static enum sl_status flatten_shape(NODE)
{
	const struct sl_shape *x = &in[0]->shape;
	int64_t axis = sl_node_int(n, "axis", 1), rows = 1, cols = 1;

	if (axis < -x->rank || axis > x->rank)
		return FAIL(n, SL_INVALID, "axis %lld of a tensor of rank %d", (long long)axis, x->rank);
	axis += axis < 0 ? x->rank : 0;
	for (int i = 0; i < x->rank; i++)
		*(i < axis ? &rows : &cols) *= x->dim[i];
	*ret = SL_SHAPE(rows, cols);
	return SL_OK;
}

static enum sl_status transpose_shape(NODE)
{
	const struct sl_attr *a = sl_node_attr(n, "perm");
	const struct sl_shape *x = &in[0]->shape;
	int perm[SL_RANK];
	unsigned seen = 0;

	if (a && a->n != x->rank)
		return FAIL(n, SL_INVALID, "perm has %d numbers for rank %d", a->n, x->rank);
	for (int i = 0; a && i < a->n; i++) {
		if (a->list[i] < 0 || a->list[i] >= x->rank || seen & 1u << a->list[i])
			return FAIL(n, SL_INVALID, "perm is no permutation");
		seen |= 1u << a->list[i];
	}
	sl_node_perm(n, x->rank, perm);
	ret->rank = x->rank;
	for (int i = 0; i < x->rank; i++)
		ret->dim[i] = x->dim[perm[i]];
	return SL_OK;
}

/* Axes of Squeeze and Unsqueeze as a set; rank is that of the tensor that has them. */
static enum sl_status axes_set(const struct sl_node *n, const struct sl_data *const *in, int rank, bool set[SL_RANK],
	int *ret_n, struct sl_err *err)
{
	int64_t list[SL_RANK];
	enum sl_status st = ints(n, in, 1, SL_RANK, list, ret_n, err);

	for (int i = 0; i < SL_RANK; i++)
		set[i] = false;
	for (int i = 0; st == SL_OK && i < *ret_n; i++) {
		int axis;

		if ((st = sl_node_axis(n, list[i], rank, &axis, err)) != SL_OK)
			return st;
		if (set[axis])
			return FAIL(n, SL_INVALID, "axis %d is given twice", axis);
		set[axis] = true;
	}
	return st;
}

static enum sl_status squeeze_shape(NODE)
{
	const struct sl_shape *x = &in[0]->shape;
	bool set[SL_RANK];
	int count;
	enum sl_status st = SL_OK;

	if (input(n, in, 1))
		st = axes_set(n, in, x->rank, set, &count, err);
	else
		for (int i = 0; i < x->rank; i++)
			set[i] = x->dim[i] == 1;
	ret->rank = 0;
	for (int i = 0; st == SL_OK && i < x->rank; i++) {
		if (set[i] && x->dim[i] != 1)
			return FAIL(n, SL_INVALID, "axis %d has %lld elements, not 1", i, (long long)x->dim[i]);
		if (!set[i])
			ret->dim[ret->rank++] = x->dim[i];
	}
	return st;
}

static enum sl_status unsqueeze_shape(NODE)
{
	const struct sl_shape *x = &in[0]->shape;
	int64_t more = sl_shape_count(&in[1]->shape);
	bool set[SL_RANK];
	int count, from = 0;
	enum sl_status st;

	if (more < 0 || x->rank + more > SL_RANK)
		return FAIL(n, SL_UNSUPPORTED, "rank over %d", SL_RANK);
	if ((st = axes_set(n, in, x->rank + (int)more, set, &count, err)) != SL_OK)
		return st;
	ret->rank = x->rank + count;
	for (int i = 0; i < ret->rank; i++)
		ret->dim[i] = set[i] ? 1 : x->dim[from++];
	return SL_OK;
}

static enum sl_status pad_shape(NODE)
{
	const struct sl_attr *mode = sl_node_attr(n, "mode");
	const struct sl_shape *x = &in[0]->shape;
	int64_t pad[2 * SL_RANK];
	int count;
	enum sl_status st = ints(n, in, 1, 2 * SL_RANK, pad, &count, err);

	if (st != SL_OK)
		return st;
	if (mode && strcmp(mode->s, "constant") != 0 && strcmp(mode->s, "edge") != 0 && strcmp(mode->s, "reflect") != 0)
		return FAIL(n, SL_INVALID, "mode \"%.20s\"", mode->s);
	if (count != 2 * x->rank)
		return FAIL(n, SL_INVALID, "%d pads for rank %d", count, x->rank);
	if (input(n, in, 2) && sl_shape_count(&in[2]->shape) != 1)
		return FAIL(n, SL_INVALID, "the padding value is no scalar");
	*ret = *x;
	for (int i = 0; i < x->rank; i++) {
		int64_t lo = pad[i], hi = pad[i + x->rank];

		if (lo < 0 || hi < 0 || lo > 1 << 24 || hi > 1 << 24)
			return FAIL(n, SL_UNSUPPORTED, "pads %lld and %lld", (long long)lo, (long long)hi);
		if (mode && strcmp(mode->s, "reflect") == 0 && (lo >= x->dim[i] || hi >= x->dim[i]))
			return FAIL(n, SL_INVALID, "reflects more than there is");
		ret->dim[i] += lo + hi;
	}
	return SL_OK;
}

static enum sl_status shape_shape(NODE)
{
	int64_t rank = in[0]->shape.rank, a = sl_node_int(n, "start", 0), b = sl_node_int(n, "end", rank);

	a = SL_MIN(SL_MAX(a < 0 ? SL_MAX(a, -rank) + rank : a, 0), rank);
	b = SL_MIN(SL_MAX(b < 0 ? SL_MAX(b, -rank - 1) + rank : b, 0), rank);
	*ret = SL_SHAPE(SL_MAX(b - a, 0));
	return SL_OK;
}

static enum sl_status gather_shape(NODE)
{
	const struct sl_shape *x = &in[0]->shape, *idx = &in[1]->shape;
	int axis;

	if (sl_node_axis(n, sl_node_int(n, "axis", 0), x->rank, &axis, err) != SL_OK)
		return SL_INVALID;
	if (x->rank - 1 + idx->rank > SL_RANK)
		return FAIL(n, SL_UNSUPPORTED, "rank over %d", SL_RANK);
	ret->rank = 0;
	for (int i = 0; i < axis; i++)
		ret->dim[ret->rank++] = x->dim[i];
	for (int i = 0; i < idx->rank; i++)
		ret->dim[ret->rank++] = idx->dim[i];
	for (int i = axis + 1; i < x->rank; i++)
		ret->dim[ret->rank++] = x->dim[i];
	return SL_OK;
}

static enum sl_status range_shape(NODE)
{
	double v[3], count;

	for (int i = 0; i < 3; i++) {
		if (sl_shape_count(&in[i]->shape) != 1)
			return FAIL(n, SL_INVALID, "input %d is no scalar", i);
		if (!sl_data_is_known(in[i]))
			return FAIL(n, SL_UNSUPPORTED, "length depends on the data");
		v[i] = in[i]->i64 ? (double)in[i]->i64[0] : in[i]->f32[0];
	}
	count = ceil((v[1] - v[0]) / v[2]);
	if (!(v[2] != 0 && count <= SL_CONST_TOTAL))
		return FAIL(n, SL_INVALID, "from %g to %g by %g", v[0], v[1], v[2]);
	*ret = SL_SHAPE((int64_t)SL_MAX(count, 0));
	return SL_OK;
}

static enum sl_status expand_shape(NODE)
{
	struct sl_shape to;
	enum sl_status st = ints(n, in, 1, SL_RANK, to.dim, &to.rank, err);

	return st == SL_OK ? sl_shape_broadcast(n, &in[0]->shape, &to, ret, err) : st;
}

static enum sl_status fill_shape(NODE)
{
	return ints(n, in, 0, SL_RANK, ret->dim, &ret->rank, err);
}

static enum sl_status (*const shape_of[SL_OP_COUNT])(NODE) = {
	[SL_OP_CONV] = conv_shape,
	[SL_OP_BATCHNORM] = batchnorm_shape,
	[SL_OP_ADD] = binary_shape,
	[SL_OP_SUB] = binary_shape,
	[SL_OP_MUL] = binary_shape,
	[SL_OP_DIV] = binary_shape,
	[SL_OP_POW] = binary_shape,
	[SL_OP_MAXPOOL] = pool_shape,
	[SL_OP_AVGPOOL] = pool_shape,
	[SL_OP_GLOBALAVGPOOL] = global_pool_shape,
	[SL_OP_REDUCEMEAN] = mean_shape,
	[SL_OP_GEMM] = gemm_shape,
	[SL_OP_MATMUL] = matmul_shape,
	[SL_OP_SOFTMAX] = softmax_shape,
	[SL_OP_RESIZE] = resize_shape,
	[SL_OP_UPSAMPLE] = resize_shape,
	[SL_OP_CONCAT] = concat_shape,
	[SL_OP_SPLIT] = split_shape,
	[SL_OP_SLICE] = slice_shape,
	[SL_OP_RESHAPE] = reshape_shape,
	[SL_OP_FLATTEN] = flatten_shape,
	[SL_OP_TRANSPOSE] = transpose_shape,
	[SL_OP_SQUEEZE] = squeeze_shape,
	[SL_OP_UNSQUEEZE] = unsqueeze_shape,
	[SL_OP_PAD] = pad_shape,
	[SL_OP_SHAPE] = shape_shape,
	[SL_OP_GATHER] = gather_shape,
	[SL_OP_CONSTANTOFSHAPE] = fill_shape,
	[SL_OP_RANGE] = range_shape,
	[SL_OP_EXPAND] = expand_shape,
};

enum sl_status sl_node_shapes(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_shape *ret, struct sl_err *err)
{
	enum sl_status st = (shape_of[n->op] ? shape_of[n->op] : same_shape)(n, in, ret, err);

	if (st != SL_OK)
		return st;
	for (int i = 0; i < n->nout; i++) {
		int64_t count = sl_shape_count(&ret[i]);

		if (count < 0 || count > SL_VALUE_ELEMENTS)
			return FAIL(
				n, SL_TOO_LARGE, "output %d has over %lld elements", i, (long long)SL_VALUE_ELEMENTS);
	}
	if (n->op == SL_OP_CLIP)
		for (int i = 1; i < 3; i++)
			if (input(n, in, i) && sl_shape_count(&in[i]->shape) != 1)
				return FAIL(n, SL_INVALID, "limit %d is no scalar", i);
	return SL_OK;
}
