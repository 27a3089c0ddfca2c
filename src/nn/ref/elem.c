/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/ref/ref.h"
#include "base/mem.h"
#include <math.h>

static float clamp(float v, float lo, float hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static float unary_at(const struct sl_node *n, float v, float a, float b)
{
	switch (n->op) {
	case SL_OP_RELU:
		return v > 0 ? v : 0;
	case SL_OP_LEAKYRELU:
		return v >= 0 ? v : a * v;
	case SL_OP_SIGMOID:
		return 1 / (1 + expf(-v));
	case SL_OP_TANH:
		return tanhf(v);
	case SL_OP_EXP:
		return expf(v);
	case SL_OP_SQRT:
		return sqrtf(v);
	case SL_OP_CLIP: /* ONNX: the upper limit wins when they cross */
		return v < a ? SL_MIN(a, b) : v > b ? b : v;
	case SL_OP_HARDSWISH:
		return v * clamp(v / 6 + .5f, 0, 1);
	case SL_OP_HARDSIGMOID:
		return clamp(a * v + b, 0, 1);
	default: /* Identity, Dropout in inference */
		return v;
	}
}

static enum sl_status clip_ints(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	int64_t lo = n->nin > 1 && in[1] ? in[1]->i64[0] : INT64_MIN,
		hi = n->nin > 2 && in[2] ? in[2]->i64[0] : INT64_MAX;

	for (int64_t i = 0; i < sl_shape_count(&out->shape); i++)
		out->i64[i] = SL_MIN(SL_MAX(in[0]->i64[i], lo), hi);
	return SL_OK;
}

enum sl_status sl_ref_unary(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	float a = sl_node_float(n, "alpha", n->op == SL_OP_LEAKYRELU ? .01f : .2f), b = sl_node_float(n, "beta", .5f);
	int64_t count = sl_shape_count(&out->shape);

	if (n->op == SL_OP_CLIP && in[0]->dtype == SL_I64)
		return clip_ints(n, in, out);
	if (n->op == SL_OP_CLIP) {
		a = n->nin > 1 && in[1] ? in[1]->f32[0] : -INFINITY;
		b = n->nin > 2 && in[2] ? in[2]->f32[0] : INFINITY;
	}
	for (int64_t i = 0; i < count; i++)
		if (in[0]->dtype == SL_F32)
			out->f32[i] = unary_at(n, in[0]->f32[i], a, b);
		else
			out->i64[i] = in[0]->i64[i];
	return SL_OK;
}

/* Wraps like the machine does, without C's undefined overflow. */
static bool int_at(enum sl_op op, int64_t a, int64_t b, int64_t *ret)
{
	switch (op) {
	case SL_OP_ADD:
		*ret = (int64_t)((uint64_t)a + (uint64_t)b);
		return true;
	case SL_OP_SUB:
		*ret = (int64_t)((uint64_t)a - (uint64_t)b);
		return true;
	case SL_OP_MUL:
		*ret = (int64_t)((uint64_t)a * (uint64_t)b);
		return true;
	default:
		if (b == 0 || (a == INT64_MIN && b == -1))
			return false;
		*ret = a / b;
		return true;
	}
}

static float float_at(enum sl_op op, float a, float b)
{
	switch (op) {
	case SL_OP_ADD:
		return a + b;
	case SL_OP_SUB:
		return a - b;
	case SL_OP_MUL:
		return a * b;
	case SL_OP_DIV:
		return a / b;
	default:
		return powf(a, b);
	}
}

/* How far apart neighbours along each axis of the output are in x: 0 where x is repeated. */
static void strides(const struct sl_shape *x, const struct sl_shape *out, int64_t ret[SL_RANK])
{
	int64_t step = 1;

	for (int i = out->rank - 1; i >= 0; i--) {
		int ix = i - (out->rank - x->rank);

		ret[i] = ix < 0 || x->dim[ix] == 1 ? 0 : step;
		step *= ix < 0 ? 1 : x->dim[ix];
	}
}

enum sl_status sl_ref_binary(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out, struct sl_err *err)
{
	const struct sl_shape *o = &out->shape;
	int64_t count = sl_shape_count(o), sa[SL_RANK], sb[SL_RANK], at[SL_RANK] = {0}, a = 0, b = 0;

	strides(&in[0]->shape, o, sa);
	strides(&in[1]->shape, o, sb);
	for (int64_t i = 0; i < count; i++) {
		if (out->dtype == SL_F32)
			out->f32[i] = float_at(n->op, in[0]->f32[a], in[1]->f32[b]);
		else if (!int_at(n->op, in[0]->i64[a], in[1]->i64[b], &out->i64[i]))
			return sl_fail(err, SL_INVALID, "node \"%.60s\" (%s): integer division by 0 or overflow",
				n->name, sl_op_name(n->op));
		for (int d = o->rank - 1; d >= 0; d--) {
			a += sa[d];
			b += sb[d];
			if (++at[d] < o->dim[d])
				break;
			a -= sa[d] * at[d];
			b -= sb[d] * at[d];
			at[d] = 0;
		}
	}
	return SL_OK;
}
