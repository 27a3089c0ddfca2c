/* SPDX-License-Identifier: Apache-2.0
 *
 * Every operator, naive against oneDNN, on random shapes: alone, and between two
 * convolutions, where values are channels-last.
 */
#include "harness.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/model.h"
#include <math.h>

/* Sanitizers make it six times as slow; odd and even rounds differ, so do every third ones. */
#ifdef __SANITIZE_ADDRESS__
enum { ROUNDS = 6 };
#else
enum { ROUNDS = 18 };
#endif

struct tool {
	struct sl_graph *g;
	struct sl_rng rng;
	struct sl_shape s; /* of x */
	int x;
};

static int64_t pick(struct tool *t, int lo, int hi)
{
	return lo + (int64_t)sl_rng_below(&t->rng, (uint32_t)(hi - lo + 1));
}

static int weight(struct tool *t, struct sl_shape s, float lo, float hi)
{
	int64_t n = sl_shape_count(&s);
	SL_AUTOFREE float *v = sl_calloc((size_t)n + 1, sizeof(float));

	for (int64_t i = 0; i < n; i++)
		v[i] = sl_rng_uniform(&t->rng, lo, hi);
	return sl_graph_weight(t->g, NULL, s, v);
}

static int scalar(struct tool *t, float v)
{
	return sl_graph_weight(t->g, NULL, (struct sl_shape){0}, &v);
}

static int ints(struct tool *t, const int64_t *v, int n)
{
	return sl_graph_ints(t->g, NULL, SL_SHAPE(n), v);
}

#define INTS(t, ...) ints(t, (int64_t[]){__VA_ARGS__}, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
#define OP(t, op, ...) \
	sl_graph_op((t)->g, SL_OP_##op, NULL, (int[]){__VA_ARGS__}, (int)(sizeof((int[]){__VA_ARGS__}) / sizeof(int)))
#define LIST(t, name, ...) \
	sl_graph_attr_list( \
		(t)->g, name, (int64_t[]){__VA_ARGS__}, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))

static int conv_any(struct tool *t, int x, int64_t in, int64_t out, int64_t k, int64_t groups, bool bias)
{
	float r = 1 / sqrtf((float)(in / groups * k * k));
	int w = weight(t, SL_SHAPE(out, in / groups, k, k), -r, r), b = weight(t, SL_SHAPE(out), -1, 1);
	int y = sl_graph_op(t->g, SL_OP_CONV, NULL, (int[]){x, w, b}, bias ? 3 : 2);

	LIST(t, "pads", k / 2, k / 2, k / 2, k / 2);
	sl_graph_attr_int(t->g, "group", groups);
	return y;
}

static int do_conv(struct tool *t)
{
	int64_t c = t->s.dim[1], out = pick(t, 1, 40), k = pick(t, 0, 1) * 2 + 1, groups = 1;
	int y;

	if (pick(t, 0, 2) == 0)
		groups = out = c; /* depthwise */
	y = conv_any(t, t->x, c, out, k, groups, pick(t, 0, 1));
	LIST(t, "strides", pick(t, 1, 2), pick(t, 1, 2));
	LIST(t, "dilations", 1, pick(t, 1, 2));
	return y;
}

static int do_conv_wild(struct tool *t) /* what nobody trains but a file may say */
{
	int64_t c = t->s.dim[1], out = pick(t, 1, 9), kh = pick(t, 1, 6), kw = pick(t, 1, 6);
	int w = weight(t, SL_SHAPE(out, c, kh, kw), -.2f, .2f);
	int y = OP(t, CONV, t->x, w);

	LIST(t, "dilations", pick(t, 1, 4), pick(t, 1, 4));
	LIST(t, "strides", pick(t, 1, 5), pick(t, 1, 5));
	LIST(t, "pads", pick(t, 8, 12), pick(t, 8, 12), pick(t, 8, 12), pick(t, 8, 12));
	return y;
}

static int do_conv_same(struct tool *t)
{
	int w = weight(t, SL_SHAPE(4, t->s.dim[1], 3, 2), -.3f, .3f);
	int y = OP(t, CONV, t->x, w);

	sl_graph_attr_str(t->g, "auto_pad", pick(t, 0, 1) ? "SAME_UPPER" : "SAME_LOWER");
	LIST(t, "strides", 2, 1);
	return y;
}

static int do_conv_chain(
	struct tool *t) /* residual: relu(x + conv(x)), then x*sigmoid(x) of another, then x + act(conv) */
{
	int64_t c = t->s.dim[1];
	int y = OP(t, RELU, OP(t, ADD, conv_any(t, t->x, c, c, 3, 1, true), t->x)), z, u;

	z = conv_any(t, y, c, c, 1, 1, true);
	z = OP(t, MUL, z, OP(t, SIGMOID, z));
	u = OP(t, LEAKYRELU, conv_any(t, z, c, c, 3, c, false));
	return OP(t, ADD, OP(t, ADD, z, u), y);
}

static int do_batchnorm(struct tool *t)
{
	struct sl_shape v = SL_SHAPE(t->s.dim[1]);
	int y = OP(t, BATCHNORM, OP(t, RELU, t->x), weight(t, v, -1, 1), weight(t, v, -1, 1), weight(t, v, -1, 1),
		weight(t, v, .2f, 2));

	sl_graph_attr_float(t->g, "epsilon", 1e-3f);
	return y;
}

static int do_relu(struct tool *t)
{
	return OP(t, RELU, t->x);
}
static int do_leaky(struct tool *t)
{
	int y = OP(t, LEAKYRELU, t->x);

	sl_graph_attr_float(t->g, "alpha", .1f);
	return y;
}
static int do_sigmoid(struct tool *t)
{
	return OP(t, SIGMOID, t->x);
}
static int do_tanh(struct tool *t)
{
	return OP(t, TANH, t->x);
}
static int do_exp(struct tool *t)
{
	return OP(t, EXP, t->x);
}
static int do_sqrt(struct tool *t)
{
	return OP(t, SQRT, OP(t, ADD, OP(t, SIGMOID, t->x), scalar(t, .5f)));
}
static int do_clip(struct tool *t)
{
	return pick(t, 0, 1) ? OP(t, CLIP, t->x, scalar(t, -.4f), scalar(t, .5f))
			     : OP(t, CLIP, t->x, -1, scalar(t, .5f));
}
static int do_hardswish(struct tool *t)
{
	return OP(t, HARDSWISH, OP(t, MUL, t->x, scalar(t, 4)));
}
static int do_hardsigmoid(struct tool *t)
{
	int y = OP(t, HARDSIGMOID, t->x);

	sl_graph_attr_float(t->g, "alpha", .3f);
	return y;
}

/* The other operand in one of NumPy's ways: same shape, by channel, by width, scalar. */
static int other(struct tool *t, float lo, float hi)
{
	switch (pick(t, 0, 4)) {
	case 0:
		return weight(t, t->s, lo, hi);
	case 1:
		return weight(t, SL_SHAPE(t->s.dim[1], 1, 1), lo, hi);
	case 2:
		return weight(t, SL_SHAPE(t->s.dim[3]), lo, hi);
	case 3:
		return weight(t, SL_SHAPE(t->s.dim[0], 1, t->s.dim[2], 1), lo, hi);
	default:
		return scalar(t, (lo + hi) / 2);
	}
}
static int do_add(struct tool *t)
{
	return pick(t, 0, 1) ? OP(t, ADD, t->x, other(t, -1, 1)) : OP(t, ADD, OP(t, RELU, t->x), t->x);
}
static int do_sub(struct tool *t)
{
	return pick(t, 0, 1) ? OP(t, SUB, t->x, other(t, -1, 1)) : OP(t, SUB, other(t, -1, 1), t->x);
}
static int do_mul(struct tool *t)
{
	return pick(t, 0, 1) ? OP(t, MUL, other(t, -1, 1), t->x) : OP(t, MUL, t->x, t->x);
}
static int do_div(struct tool *t)
{
	return OP(t, DIV, t->x, other(t, .5f, 2));
}
static int do_pow(struct tool *t)
{
	int base = OP(t, SIGMOID, t->x);

	return pick(t, 0, 1) ? OP(t, POW, base, scalar(t, 2)) : OP(t, POW, base, other(t, .5f, 3));
}

static int pool(struct tool *t, int y)
{
	int64_t k = pick(t, 2, 3);

	LIST(t, "kernel_shape", k, k);
	LIST(t, "strides", pick(t, 1, 2), 2);
	LIST(t, "pads", pick(t, 0, 1), 0, 1, 1);
	sl_graph_attr_int(t->g, "ceil_mode", pick(t, 0, 1));
	return y;
}
static int do_maxpool(struct tool *t)
{
	return pool(t, OP(t, MAXPOOL, t->x));
}
static int do_avgpool(struct tool *t)
{
	int y = pool(t, OP(t, AVGPOOL, t->x));

	sl_graph_attr_int(t->g, "count_include_pad", pick(t, 0, 1));
	return y;
}
static int do_globalavgpool(struct tool *t)
{
	return OP(t, GLOBALAVGPOOL, t->x);
}
static int do_mean(struct tool *t)
{
	int y = OP(t, REDUCEMEAN, t->x);

	LIST(t, "axes", pick(t, 1, 2), -1);
	sl_graph_attr_int(t->g, "keepdims", pick(t, 0, 1));
	return y;
}
static int do_gemm(struct tool *t)
{
	int64_t k = t->s.dim[1] * t->s.dim[2] * t->s.dim[3], n = pick(t, 1, 30), trans = pick(t, 0, 1);
	int w = weight(t, trans ? SL_SHAPE(n, k) : SL_SHAPE(k, n), -.1f, .1f);
	int c = pick(t, 0, 1) ? weight(t, SL_SHAPE(n), -1, 1) : weight(t, SL_SHAPE(t->s.dim[0], 1), -1, 1);
	int y = OP(t, GEMM, OP(t, FLATTEN, t->x), w, c);

	sl_graph_attr_int(t->g, "transB", trans);
	if (pick(t, 0, 2) == 0)
		sl_graph_attr_float(t->g, "alpha", .5f);
	return y;
}
static int do_matmul(struct tool *t)
{
	int64_t k = t->s.dim[3], n = pick(t, 1, 12);

	switch (pick(t, 0, 2)) {
	case 0:
		return OP(t, MATMUL, t->x, weight(t, SL_SHAPE(k, n), -1, 1));
	case 1:
		return OP(t, MATMUL, t->x, weight(t, SL_SHAPE(t->s.dim[1], k, n), -1, 1));
	default:
		return OP(t, MATMUL, weight(t, SL_SHAPE(1, 1, n, t->s.dim[2]), -1, 1), t->x);
	}
}
static int do_softmax(struct tool *t)
{
	int y = OP(t, SOFTMAX, OP(t, MUL, t->x, scalar(t, 5)));

	sl_graph_attr_int(t->g, "axis", pick(t, -3, 3));
	return y;
}
static int do_resize(struct tool *t)
{
	static const char *const coord[] = {"half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"};
	static const char *const round[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
	int64_t kind = pick(t, 0, 3);
	int scale =
		sl_graph_weight(t->g, NULL, SL_SHAPE(4), (float[]){1, 1, kind == 2 ? 1.6f : 2, kind == 2 ? .7f : 2});
	int size = INTS(t, t->s.dim[0], t->s.dim[1], pick(t, 3, 20), pick(t, 3, 20));
	int y = kind == 3 ? OP(t, RESIZE, t->x, -1, -1, size) : OP(t, RESIZE, t->x, -1, scale);

	sl_graph_attr_str(t->g, "mode", pick(t, 0, 1) ? "nearest" : "linear");
	sl_graph_attr_str(t->g, "coordinate_transformation_mode", coord[pick(t, 0, 3)]);
	sl_graph_attr_str(t->g, "nearest_mode", round[pick(t, 0, 3)]);
	return y;
}
static int do_upsample(struct tool *t)
{
	return OP(t, UPSAMPLE, t->x, sl_graph_weight(t->g, NULL, SL_SHAPE(4), (float[]){1, 1, 3, 3}));
}
static int do_concat(struct tool *t)
{
	int y = OP(t, CONCAT, t->x, OP(t, RELU, t->x), pick(t, 0, 1) ? t->x : weight(t, t->s, -1, 1));

	sl_graph_attr_int(t->g, "axis", pick(t, -3, 3));
	return y;
}
static int do_split(struct tool *t)
{
	int64_t axis = pick(t, 0, 3), side, first;
	int y, z;

	while (t->s.dim[axis] < 2)
		axis = (axis + 1) % 4;
	side = t->s.dim[axis];
	first = pick(t, 1, (int)side - 1);
	y = OP(t, SPLIT, t->x, INTS(t, first, side - first));
	sl_graph_attr_int(t->g, "axis", axis);
	z = sl_graph_op_output(t->g, NULL);
	y = OP(t, CONCAT, z, OP(t, TANH, y));
	sl_graph_attr_int(t->g, "axis", axis);
	return y;
}
static int do_slice(struct tool *t)
{
	switch (pick(t, 0, 2)) {
	case 0:
		return OP(t, SLICE, t->x, INTS(t, 1, 0), INTS(t, INT64_MAX, -1), INTS(t, 2, 3), INTS(t, 2, 1));
	case 1:
		return OP(t, SLICE, t->x, INTS(t, -1), INTS(t, INT64_MIN), INTS(t, -1), INTS(t, -1));
	default:
		return OP(t, SLICE, t->x, INTS(t, 0), INTS(t, (t->s.dim[1] + 1) / 2), INTS(t, 1));
	}
}
static int do_reshape(struct tool *t)
{
	return OP(t, RESHAPE, t->x, INTS(t, 0, -1, t->s.dim[3]));
}
static int do_flatten(struct tool *t)
{
	int y = OP(t, FLATTEN, t->x);

	sl_graph_attr_int(t->g, "axis", pick(t, -4, 4));
	return y;
}
static int do_transpose(struct tool *t)
{
	int y = OP(t, TRANSPOSE, t->x);

	if (pick(t, 0, 1))
		LIST(t, "perm", 0, 2, 3, 1);
	return y;
}
static int do_squeeze(struct tool *t)
{
	return OP(t, SQUEEZE, OP(t, GLOBALAVGPOOL, t->x), INTS(t, 3, -2));
}
static int do_unsqueeze(struct tool *t)
{
	return OP(t, UNSQUEEZE, t->x, INTS(t, 0, -1));
}
static int do_pad(struct tool *t)
{
	static const char *const mode[] = {"constant", "edge", "reflect"};
	int y = OP(t, PAD, t->x, INTS(t, 0, 0, 1, 2, 0, 0, 3, 1), scalar(t, .7f));

	sl_graph_attr_str(t->g, "mode", mode[pick(t, 0, 2)]);
	return y;
}
static int do_identity(struct tool *t)
{
	return OP(t, IDENTITY, OP(t, TANH, t->x));
}
static int do_dropout(struct tool *t)
{
	return OP(t, DROPOUT, OP(t, TANH, t->x), scalar(t, .5f));
}
static int do_cast(struct tool *t)
{
	int y = OP(t, CAST, OP(t, MUL, t->x, scalar(t, 9)));

	sl_graph_attr_int(t->g, "to", SL_CAST_I64);
	y = OP(t, ADD, y, INTS(t, 3));
	y = OP(t, CAST, y);
	sl_graph_attr_int(t->g, "to", SL_CAST_F32);
	return y;
}
static int do_shape(struct tool *t) /* what exporters write for x.view(n, -1) */
{
	int n = OP(t, GATHER, OP(t, SHAPE, t->x), sl_graph_ints(t->g, NULL, (struct sl_shape){0}, (int64_t[]){0}));
	int s = OP(t, CONCAT, OP(t, UNSQUEEZE, n, INTS(t, 0)), INTS(t, -1));

	sl_graph_attr_int(t->g, "axis", 0);
	return OP(t, RESHAPE, t->x, s);
}
static int do_gather(struct tool *t)
{
	int y = OP(t, GATHER, t->x, sl_graph_ints(t->g, NULL, SL_SHAPE(2, 2), (int64_t[]){0, -1, -1, 0}));

	sl_graph_attr_int(t->g, "axis", pick(t, 1, 2));
	return y;
}
static int do_constantofshape(struct tool *t)
{
	int y = OP(t, CONSTANTOFSHAPE, OP(t, SHAPE, t->x));

	sl_graph_attr_float(t->g, "value", 2.5f);
	return OP(t, ADD, t->x, y);
}
static int do_range(struct tool *t) /* a grid over the width, as YOLO's heads have it */
{
	int w = OP(t, GATHER, OP(t, SHAPE, t->x), sl_graph_ints(t->g, NULL, (struct sl_shape){0}, (int64_t[]){3}));
	int zero = sl_graph_ints(t->g, NULL, (struct sl_shape){0}, NULL);
	int one = sl_graph_ints(t->g, NULL, (struct sl_shape){0}, (int64_t[]){1});
	int grid = OP(t, CAST, OP(t, RANGE, zero, w, one));

	sl_graph_attr_int(t->g, "to", SL_CAST_F32);
	return OP(t, ADD, t->x, grid);
}
static int do_expand(struct tool *t)
{
	return OP(t, EXPAND, OP(t, GLOBALAVGPOOL, t->x), OP(t, SHAPE, t->x));
}

static const struct {
	enum sl_op op;
	int (*make)(struct tool *t);
	bool coarse; /* a small change of the input may jump: no bf16 comparison */
} cases[] = {
	{SL_OP_CONV, do_conv, false},
	{SL_OP_CONV, do_conv_wild, false},
	{SL_OP_CONV, do_conv_same, false},
	{SL_OP_CONV, do_conv_chain, false},
	{SL_OP_BATCHNORM, do_batchnorm, false},
	{SL_OP_RELU, do_relu, false},
	{SL_OP_LEAKYRELU, do_leaky, false},
	{SL_OP_SIGMOID, do_sigmoid, false},
	{SL_OP_TANH, do_tanh, false},
	{SL_OP_EXP, do_exp, false},
	{SL_OP_SQRT, do_sqrt, false},
	{SL_OP_CLIP, do_clip, false},
	{SL_OP_HARDSWISH, do_hardswish, false},
	{SL_OP_HARDSIGMOID, do_hardsigmoid, false},
	{SL_OP_ADD, do_add, false},
	{SL_OP_SUB, do_sub, false},
	{SL_OP_MUL, do_mul, false},
	{SL_OP_DIV, do_div, false},
	{SL_OP_POW, do_pow, false},
	{SL_OP_MAXPOOL, do_maxpool, false},
	{SL_OP_AVGPOOL, do_avgpool, false},
	{SL_OP_GLOBALAVGPOOL, do_globalavgpool, false},
	{SL_OP_REDUCEMEAN, do_mean, false},
	{SL_OP_GEMM, do_gemm, false},
	{SL_OP_MATMUL, do_matmul, false},
	{SL_OP_SOFTMAX, do_softmax, false},
	{SL_OP_RESIZE, do_resize, false},
	{SL_OP_UPSAMPLE, do_upsample, false},
	{SL_OP_CONCAT, do_concat, false},
	{SL_OP_SPLIT, do_split, false},
	{SL_OP_SLICE, do_slice, false},
	{SL_OP_RESHAPE, do_reshape, false},
	{SL_OP_FLATTEN, do_flatten, false},
	{SL_OP_TRANSPOSE, do_transpose, false},
	{SL_OP_SQUEEZE, do_squeeze, false},
	{SL_OP_UNSQUEEZE, do_unsqueeze, false},
	{SL_OP_PAD, do_pad, false},
	{SL_OP_IDENTITY, do_identity, false},
	{SL_OP_DROPOUT, do_dropout, false},
	{SL_OP_CAST, do_cast, true},
	{SL_OP_SHAPE, do_shape, false},
	{SL_OP_GATHER, do_gather, false},
	{SL_OP_CONSTANTOFSHAPE, do_constantofshape, false},
	{SL_OP_RANGE, do_range, false},
	{SL_OP_EXPAND, do_expand, false},
};

TEST(nn_ops, each_operator_has_a_case)
{
	for (int op = 0; op < SL_OP_COUNT; op++) {
		bool found = false;

		for (size_t i = 0; i < SL_COUNT(cases); i++)
			found = found || cases[i].op == (enum sl_op)op;
		if (!found)
			sl_test_fail(__FILE__, __LINE__, "no case for %s", sl_op_name((enum sl_op)op));
	}
}

static void run(const struct sl_graph *g, const char *executor, enum sl_precision precision, const struct sl_tensor *in,
	float **ret, struct sl_shape *ret_shape)
{
	struct sl_err err = {0};
	struct sl_model *m;
	struct sl_session *s;
	struct sl_tensor out;

	CHECK_OK(sl_model_new(g, executor, precision, &m, &err));
	s = sl_session_new(m);
	CHECK_OK(sl_session_run(s, in, &out, &err));
	CHECK_OK(sl_session_run(s, in, &out, &err)); /* nothing of the first run may be left over */
	*ret = sl_memdup(out.data, (size_t)sl_shape_count(&out.shape) * sizeof(float));
	*ret_shape = out.shape;
	sl_session_free(s);
	sl_model_free(m);
}

static void compare(const struct sl_graph *g, const struct sl_tensor *in, enum sl_precision precision, float limit,
	enum sl_op op, int round)
{
	struct sl_shape sa, sb;
	SL_AUTOFREE float *a, *b;
	double worst = 0, most = 1e-3;

	run(g, "ref", SL_PRECISION_F32, in, &a, &sa);
	run(g, "dnnl", precision, in, &b, &sb);
	CHECK(sl_shape_is_same(&sa, &sb));
	for (int64_t i = 0; i < sl_shape_count(&sa); i++) {
		CHECK(isfinite(a[i]) && isfinite(b[i]));
		worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
		most = fmax(most, fabs((double)a[i]));
	}
	if (worst > (double)limit * most)
		sl_test_fail(__FILE__, __LINE__, "%s, round %d: oneDNN is off by %.3g of %.3g", sl_op_name(op), round,
			worst, most);
}

static void one_round(size_t at, int round, bool bf16)
{
	struct tool t = {sl_graph_new("case"), sl_rng(100 + (uint64_t)round, at), {0}, 0};
	struct sl_tensor in;
	bool between = round % 2;
	int y;

	t.s = SL_SHAPE(pick(&t, 1, 2), pick(&t, 1, 36), pick(&t, 4, 13), pick(&t, 4, 13));
	in.shape = t.s;
	in.data = sl_calloc((size_t)sl_shape_count(&in.shape), sizeof(float));
	for (int64_t i = 0; i < sl_shape_count(&in.shape); i++)
		in.data[i] = sl_rng_uniform(&t.rng, -1, 1);
	t.x = sl_graph_input(t.g, "x", round % 3 ? SL_SHAPE(-1, t.s.dim[1], -1, -1) : t.s);
	if (between) {
		int64_t c = pick(&t, 1, 36);

		t.x = conv_any(&t, t.x, t.s.dim[1], c, 1, 1, true);
		t.s.dim[1] = c;
	}
	y = cases[at].make(&t);
	sl_graph_output(t.g, y);
	if (between) { /* and whatever comes out goes on, if it is an image */
		SL_AUTOFREE struct sl_shape *all = sl_calloc((size_t)t.g->nvalue, sizeof(*all));

		if (sl_graph_shapes(t.g, &in.shape, all, NULL) == SL_OK && all[y].rank == 4) {
			t.g->noutput = 0;
			sl_graph_output(t.g, conv_any(&t, y, all[y].dim[1], 8, 1, 1, true));
		}
	}
	if (bf16)
		compare(t.g, &in, SL_PRECISION_BF16, .04f, cases[at].op, round);
	else
		compare(t.g, &in, SL_PRECISION_F32, 2e-5f, cases[at].op, round);
	free(in.data);
	sl_graph_free(t.g);
}

TEST(nn_ops, f32_is_what_naive_code_says)
{
	for (size_t i = 0; i < SL_COUNT(cases); i++)
		for (int round = 0; round < ROUNDS; round++)
			one_round(i, round, false);
}

TEST(nn_ops, bf16_is_near)
{
	struct sl_graph *g = sl_graph_new("probe");
	struct sl_model *m = NULL;
	struct sl_err err = {0};
	bool can;

	sl_graph_output(g, sl_graph_op(g, SL_OP_RELU, NULL, (int[]){sl_graph_input(g, "x", SL_SHAPE(1))}, 1));
	can = sl_model_new(g, "dnnl", SL_PRECISION_BF16, &m, &err) == SL_OK;
	sl_model_free(m);
	sl_graph_free(g);
	if (!can)
		SKIP("this processor has no AVX-512");
	for (size_t i = 0; i < SL_COUNT(cases); i++)
		for (int round = 0; round < ROUNDS / 2 && !cases[i].coarse; round++)
			one_round(i, round, true);
}
