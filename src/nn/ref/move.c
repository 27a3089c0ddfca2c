/* SPDX-License-Identifier: Apache-2.0
 *
 * Operators that move, repeat or make elements without arithmetic on them, and Resize.
 */
#include "nn/ref/ref.h"
#include "base/mem.h"
#include <math.h>

static void copy_one(const struct sl_data *from, int64_t i, struct sl_data *to, int64_t k)
{
	if (to->dtype == SL_F32)
		to->f32[k] = from->f32[i];
	else
		to->i64[k] = from->i64[i];
}

static void copy_some(const struct sl_data *from, int64_t i, struct sl_data *to, int64_t k, int64_t count)
{
	if (to->dtype == SL_F32)
		memcpy(to->f32 + k, from->f32 + i, (size_t)count * sizeof(float));
	else
		memcpy(to->i64 + k, from->i64 + i, (size_t)count * sizeof(int64_t));
}

/* out[index] = in[offset + sum index[d]*step[d]] */
static void gather_by_steps(const struct sl_data *x, int64_t offset, const int64_t step[SL_RANK], struct sl_data *out)
{
	const struct sl_shape *o = &out->shape;
	int64_t count = sl_shape_count(o), at[SL_RANK] = {0};

	for (int64_t i = 0; i < count; i++) {
		copy_one(x, offset, out, i);
		for (int d = o->rank - 1; d >= 0; d--) {
			offset += step[d];
			if (++at[d] < o->dim[d])
				break;
			offset -= step[d] * at[d];
			at[d] = 0;
		}
	}
}

static void row_steps(const struct sl_shape *x, int64_t ret[SL_RANK])
{
	int64_t step = 1;

	for (int i = x->rank - 1; i >= 0; i--) {
		ret[i] = step;
		step *= x->dim[i];
	}
}

static void transpose(const struct sl_node *n, const struct sl_data *x, struct sl_data *out)
{
	int64_t own[SL_RANK], step[SL_RANK];
	int perm[SL_RANK];

	row_steps(&x->shape, own);
	sl_node_perm(n, x->shape.rank, perm);
	for (int i = 0; i < x->shape.rank; i++)
		step[i] = own[perm[i]];
	gather_by_steps(x, 0, step, out);
}

static void cut(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	int64_t own[SL_RANK], step[SL_RANK], offset = 0;
	struct sl_cut c;

	if (sl_node_cut(n, in, &c, NULL) != SL_OK)
		SL_BUG("Slice on an unchecked node");
	row_steps(&in[0]->shape, own);
	for (int i = 0; i < in[0]->shape.rank; i++) {
		offset += c.start[i] * own[i];
		step[i] = c.step[i] * own[i];
	}
	if (sl_shape_count(&out->shape) > 0)
		gather_by_steps(in[0], offset, step, out);
}

static void expand(const struct sl_data *x, struct sl_data *out)
{
	int64_t own[SL_RANK], step[SL_RANK];
	int more = out->shape.rank - x->shape.rank;

	row_steps(&x->shape, own);
	for (int i = 0; i < out->shape.rank; i++)
		step[i] = i < more || x->shape.dim[i - more] == 1 ? 0 : own[i - more];
	gather_by_steps(x, 0, step, out);
}

static int64_t product(const struct sl_shape *s, int from, int to)
{
	int64_t n = 1;

	for (int i = from; i < to; i++)
		n *= s->dim[i];
	return n;
}

static void concat(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	int64_t axis = sl_node_int(n, "axis", 0), outer, inner, row, at = 0;

	axis += axis < 0 ? out->shape.rank : 0;
	outer = product(&out->shape, 0, (int)axis);
	inner = product(&out->shape, (int)axis + 1, out->shape.rank);
	row = inner * out->shape.dim[axis];
	for (int i = 0; i < n->nin; i++) {
		int64_t part = inner * in[i]->shape.dim[axis];

		for (int64_t o = 0; o < outer; o++)
			copy_some(in[i], o * part, out, o * row + at, part);
		at += part;
	}
}

static void split(const struct sl_node *n, const struct sl_data *x, struct sl_data *out)
{
	int64_t axis = sl_node_int(n, "axis", 0), outer, inner, row, at = 0;

	axis += axis < 0 ? x->shape.rank : 0;
	outer = product(&x->shape, 0, (int)axis);
	inner = product(&x->shape, (int)axis + 1, x->shape.rank);
	row = inner * x->shape.dim[axis];
	for (int i = 0; i < n->nout; i++) {
		int64_t part = inner * out[i].shape.dim[axis];

		for (int64_t o = 0; o < outer; o++)
			copy_some(x, o * row + at, &out[i], o * part, part);
		at += part;
	}
}

static enum sl_status gather(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out, struct sl_err *err)
{
	const struct sl_shape *x = &in[0]->shape;
	int64_t axis = sl_node_int(n, "axis", 0), outer, inner, side, count = sl_shape_count(&in[1]->shape);

	axis += axis < 0 ? x->rank : 0;
	side = x->dim[axis];
	outer = product(x, 0, (int)axis);
	inner = product(x, (int)axis + 1, x->rank);
	for (int64_t i = 0; i < count; i++) {
		int64_t k = in[1]->i64[i];

		if (k < -side || k >= side)
			return sl_fail(err, SL_INVALID, "node \"%.60s\" (Gather): index %lld of a side of %lld",
				n->name, (long long)k, (long long)side);
		k += k < 0 ? side : 0;
		for (int64_t o = 0; o < outer; o++)
			copy_some(in[0], (o * side + k) * inner, out, (o * count + i) * inner, inner);
	}
	return SL_OK;
}

static void pad(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	const struct sl_attr *mode = sl_node_attr(n, "mode");
	const struct sl_shape *x = &in[0]->shape, *o = &out->shape;
	bool edge = mode && strcmp(mode->s, "edge") == 0, reflect = mode && strcmp(mode->s, "reflect") == 0;
	float fill = n->nin > 2 && in[2] ? in[2]->f32[0] : 0;

	for (int64_t i = 0; i < sl_shape_count(o); i++) {
		int64_t left = i, from = 0, scale = 1;
		bool inside = true;

		for (int d = x->rank - 1; d >= 0; d--) {
			int64_t k = left % o->dim[d] - in[1]->i64[d], last = x->dim[d] - 1;

			left /= o->dim[d];
			if (edge)
				k = SL_MIN(SL_MAX(k, 0), last);
			else if (reflect)
				k = k < 0 ? -k : k > last ? 2 * last - k : k;
			inside = inside && k >= 0 && k <= last;
			from += k * scale;
			scale *= x->dim[d];
		}
		out->f32[i] = inside ? in[0]->f32[from] : fill;
	}
}

static void cast(const struct sl_data *x, struct sl_data *out)
{
	for (int64_t i = 0; i < sl_shape_count(&out->shape); i++) {
		double v = x->f32 ? (double)x->f32[i] : (double)x->i64[i];

		if (x->dtype == out->dtype)
			copy_one(x, i, out, i);
		else if (out->dtype == SL_F32)
			out->f32[i] = (float)x->i64[i];
		else /* what does not fit becomes the nearest that does, NaN 0: C leaves both undefined */
			out->i64[i] = !(v == v) ? 0 : v >= 0x1p63 ? INT64_MAX : v <= -0x1p63 ? INT64_MIN : (int64_t)v;
	}
}

static void shape_of(const struct sl_node *n, const struct sl_shape *x, struct sl_data *out)
{
	int64_t start = sl_node_int(n, "start", 0);

	start += start < 0 ? x->rank : 0;
	for (int64_t i = 0; i < sl_shape_count(&out->shape); i++)
		out->i64[i] = x->dim[SL_MAX(start, 0) + i];
}

static void fill(const struct sl_node *n, struct sl_data *out)
{
	int64_t iv = sl_node_int(n, "value", 0);
	float fv = sl_node_float(n, "value", 0);

	for (int64_t i = 0; i < sl_shape_count(&out->shape); i++)
		if (out->dtype == SL_F32)
			out->f32[i] = fv;
		else
			out->i64[i] = iv;
}

static void range(const struct sl_data *const *in, struct sl_data *out)
{
	for (int64_t i = 0; i < sl_shape_count(&out->shape); i++)
		if (out->dtype == SL_F32)
			out->f32[i] = in[0]->f32[0] + (float)i * in[2]->f32[0];
		else
			out->i64[i] = (int64_t)((uint64_t)in[0]->i64[0] + (uint64_t)i * (uint64_t)in[2]->i64[0]);
}

enum sl_status sl_ref_move(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out, struct sl_err *err)
{
	switch (n->op) {
	case SL_OP_CONCAT:
		concat(n, in, out);
		return SL_OK;
	case SL_OP_SPLIT:
		split(n, in[0], out);
		return SL_OK;
	case SL_OP_SLICE:
		cut(n, in, out);
		return SL_OK;
	case SL_OP_TRANSPOSE:
		transpose(n, in[0], out);
		return SL_OK;
	case SL_OP_PAD:
		pad(n, in, out);
		return SL_OK;
	case SL_OP_CAST:
		cast(in[0], out);
		return SL_OK;
	case SL_OP_SHAPE:
		shape_of(n, &in[0]->shape, out);
		return SL_OK;
	case SL_OP_GATHER:
		return gather(n, in, out, err);
	case SL_OP_CONSTANTOFSHAPE:
		fill(n, out);
		return SL_OK;
	case SL_OP_RANGE:
		range(in, out);
		return SL_OK;
	case SL_OP_EXPAND:
		expand(in[0], out);
		return SL_OK;
	default: /* Reshape, Flatten, Squeeze, Unsqueeze, Identity, Dropout */
		copy_some(in[0], 0, out, 0, sl_shape_count(&out->shape));
		return SL_OK;
	}
}

static double source(const struct sl_resize *r, int64_t i, int64_t from, int64_t to, double scale)
{
	switch (r->coord) {
	case SL_RESIZE_HALF:
		return ((double)i + .5) / scale - .5;
	case SL_RESIZE_HALF_TORCH:
		return to > 1 ? ((double)i + .5) / scale - .5 : 0;
	case SL_RESIZE_CORNERS:
		return to > 1 ? (double)i * (double)(from - 1) / (double)(to - 1) : 0;
	default:
		return (double)i / scale;
	}
}

static int64_t nearest(const struct sl_resize *r, double at, int64_t side)
{
	double v = r->round == SL_RESIZE_FLOOR         ? floor(at)
		   : r->round == SL_RESIZE_CEIL        ? ceil(at)
		   : r->round == SL_RESIZE_PREFER_CEIL ? floor(at + .5)
						       : ceil(at - .5);

	return v < 0 ? 0 : v > (double)(side - 1) ? side - 1 : (int64_t)v;
}

static void resize_nearest(const struct sl_resize *r, const struct sl_data *x, struct sl_data *out)
{
	const struct sl_shape *s = &x->shape, *o = &out->shape;

	for (int64_t i = 0; i < sl_shape_count(o); i++) {
		int64_t left = i, from = 0, scale = 1;

		for (int d = s->rank - 1; d >= 0; d--) {
			double at = source(r, left % o->dim[d], s->dim[d], o->dim[d], r->scale[d]);

			from += (o->dim[d] == s->dim[d] && r->scale[d] == 1 ? left % o->dim[d]
									    : nearest(r, at, s->dim[d])) *
				scale;
			left /= o->dim[d];
			scale *= s->dim[d];
		}
		out->f32[i] = x->f32[from];
	}
}

static void resize_linear(const struct sl_resize *r, const struct sl_data *x, struct sl_data *out)
{
	int64_t h = x->shape.dim[2], w = x->shape.dim[3], ho = out->shape.dim[2], wo = out->shape.dim[3];

	for (int64_t i = 0; i < sl_shape_count(&out->shape); i++) {
		double y = source(r, i / wo % ho, h, ho, r->scale[2]), xx = source(r, i % wo, w, wo, r->scale[3]);
		const float *p = x->f32 + i / (wo * ho) * h * w;
		int64_t y0, y1, x0, x1;

		y = SL_MIN(SL_MAX(y, 0), (double)(h - 1));
		xx = SL_MIN(SL_MAX(xx, 0), (double)(w - 1));
		y0 = (int64_t)y;
		x0 = (int64_t)xx;
		y1 = SL_MIN(y0 + 1, h - 1);
		x1 = SL_MIN(x0 + 1, w - 1);
		y -= (double)y0;
		xx -= (double)x0;
		out->f32[i] = (float)((1 - y) * ((1 - xx) * (double)p[y0 * w + x0] + xx * (double)p[y0 * w + x1]) +
				      y * ((1 - xx) * (double)p[y1 * w + x0] + xx * (double)p[y1 * w + x1]));
	}
}

void sl_ref_resize(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	struct sl_resize r;

	if (sl_node_resize(n, in, &r, NULL) != SL_OK)
		SL_BUG("sl_ref_resize on an unchecked node");
	if (r.is_linear)
		resize_linear(&r, in[0], out);
	else
		resize_nearest(&r, in[0], out);
}
