/* SPDX-License-Identifier: Apache-2.0
 *
 * Gradients of every operation that trains, by central differences: for a handful of
 * weights of each parameter, d loss / d weight as backward gives it against the slope of
 * the loss, which is a fixed random combination of the outputs. A convolution before the
 * operation under test makes its gradient by its input visible in weights.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "harness.h"
#include "nn/train/nets.h"
#include "nn/train/replica.h"
#include <math.h>

enum { PROBES = 7 };
static const float STEPS[] = {2e-3f, 4e-4f, 1e-4f, 2.5e-5f};

struct net {
	struct sl_graph *g;
	struct sl_rng rng;
	int image;
};

static struct net net_new(int channels, int side)
{
	struct net n = {sl_graph_new("probe"), sl_rng(3, 1), 0};
	n.image = sl_graph_input(n.g, "image", (struct sl_shape){4, {-1, channels, side, side}});
	return n;
}

static int weight(struct net *n, struct sl_shape shape, float lo, float hi)
{
	float w[8192];
	int64_t count = sl_shape_count(&shape);
	CHECK(count <= (int64_t)SL_COUNT(w));
	for (int64_t i = 0; i < count; i++)
		w[i] = sl_rng_uniform(&n->rng, lo, hi);
	return sl_graph_weight(n->g, NULL, shape, w);
}

static int conv(struct net *n, int x, int ci, int co, int k, int stride, bool deep, bool bias)
{
	int64_t pads[] = {k / 2, k / 2, k / 2, k / 2}, strides[] = {stride, stride}, kernel[] = {k, k};
	float reach = 1.5f / (float)(k * sqrt(deep ? 1 : ci));
	int in[3] = {x, weight(n, (struct sl_shape){4, {co, deep ? 1 : ci, k, k}}, -reach, reach), -1};
	if (bias)
		in[2] = weight(n, (struct sl_shape){1, {co}}, -1, 1);
	int y = sl_graph_op(n->g, SL_OP_CONV, NULL, in, bias ? 3 : 2);
	sl_graph_attr_list(n->g, "kernel_shape", kernel, 2);
	sl_graph_attr_list(n->g, "pads", pads, 4);
	sl_graph_attr_list(n->g, "strides", strides, 2);
	sl_graph_attr_int(n->g, "group", deep ? ci : 1);
	return y;
}

static int norm(struct net *n, int x, int c)
{
	struct sl_shape s = {1, {c}};
	int in[] = {x, weight(n, s, 0.5f, 1.5f), weight(n, s, -0.5f, 0.5f), weight(n, s, 0, 1), weight(n, s, 0.5f, 1)};
	return sl_graph_op(n->g, SL_OP_BATCHNORM, NULL, in, 5);
}

static int one(struct net *n, enum sl_op op, int x)
{
	return sl_graph_op(n->g, op, NULL, &x, 1);
}

static int add(struct net *n, int a, int b)
{
	return sl_graph_op(n->g, SL_OP_ADD, NULL, (int[]){a, b}, 2);
}

static int gemm(struct net *n, int x, int ci, int co, bool trans)
{
	struct sl_shape s = {2, {trans ? co : ci, trans ? ci : co}};
	int in[] = {x, weight(n, s, -0.5f, 0.5f), weight(n, (struct sl_shape){1, {co}}, -1, 1)};
	int y = sl_graph_op(n->g, SL_OP_GEMM, NULL, in, 3);
	sl_graph_attr_int(n->g, "transB", trans);
	return y;
}

/* Sum of all outputs times fixed random numbers; grads get these numbers. */
static double loss_of(const struct sl_plan *p, struct sl_replica *r)
{
	struct sl_rng rng = sl_rng(9, 9);
	double loss = 0;
	for (int k = 0; k < p->g->noutput; k++) {
		const struct sl_tensor *out = &sl_replica_outputs(r)[k];
		struct sl_tensor *grad = &sl_replica_grads(r)[k];
		for (int64_t i = 0, n = sl_shape_count(&out->shape); i < n; i++) {
			grad->data[i] = sl_rng_uniform(&rng, -1, 1);
			loss += (double)grad->data[i] * out->data[i];
		}
	}
	return loss;
}

static double slope(const struct sl_plan *p, struct sl_replica *r, float *w, size_t at, float h)
{
	struct sl_err err = {0};
	float keep = w[at], up = keep + h, down = keep - h;
	w[at] = up;
	CHECK_OK(sl_replica_forward(r, w, 4, &err));
	double high = loss_of(p, r);
	w[at] = down;
	CHECK_OK(sl_replica_forward(r, w, 4, &err));
	double low = loss_of(p, r);
	w[at] = keep;
	return (high - low) / (double)(up - down);
}

/* Central differences are off by rounding (1e-7 of the loss by the step) and by the kinks of ReLU that
 * lie within the step: each step size may be the one that escapes both. A wrong gradient fits none. */
static void check_weight(const struct sl_plan *p, struct sl_replica *r, float *w, size_t at, float grad, double most)
{
	double want = 0;
	for (size_t i = 0; i < SL_COUNT(STEPS); i++) {
		want = slope(p, r, w, at, STEPS[i]);
		if (fabs(grad - want) <= 0.01 * most + 4e-6 / STEPS[i])
			return;
	}
	sl_test_fail(__FILE__, __LINE__, "weight %zu: gradient %g, slope %g, largest gradient there %g", at, grad, want,
		most);
}

static void check_param(const struct sl_plan *p, struct sl_replica *r, float *w, const float *grads, int k)
{
	const struct sl_param *q = &p->param[k];
	double most = 0;
	for (size_t i = 0; i < q->n; i++)
		most = SL_MAX(most, fabs(grads[q->at + i]));
	CHECK(most > 0);
	for (int i = 0; i < PROBES; i++) {
		size_t at = q->at + (size_t)i * q->n / PROBES;
		check_weight(p, r, w, at, grads[at], most);
	}
}

static void check(struct net *n, int output, struct sl_shape input)
{
	struct sl_err err = {0};
	struct sl_plan *p;
	struct sl_replica *r;
	if (output >= 0)
		sl_graph_output(n->g, output);
	CHECK_OK(sl_plan_new(n->g, input, &p, &err));
	CHECK_OK(sl_replica_new(p, false, 5, &r, &err));
	SL_AUTOFREE float *w = sl_aligned(sizeof(float) * p->nweight), *grads = sl_aligned(sizeof(float) * p->nweight);
	for (int i = 0; i < p->nparam; i++)
		if (!p->param[i].is_stat)
			memcpy(w + p->param[i].at, n->g->value[p->param[i].value].f32, sizeof(float) * p->param[i].n);
	struct sl_tensor *in = sl_replica_input(r);
	for (int64_t i = 0, count = sl_shape_count(&in->shape); i < count; i++)
		in->data[i] = sl_rng_uniform(&n->rng, -1, 1);
	CHECK_OK(sl_replica_forward(r, w, 4, &err));
	loss_of(p, r);
	CHECK_OK(sl_replica_backward(r, w, grads, &err));
	for (int i = 0; i < p->nparam; i++)
		if (!p->param[i].is_stat)
			check_param(p, r, w, grads, i);
	sl_replica_free(r);
	sl_plan_free(p);
	sl_graph_free(n->g);
}

static const struct sl_shape small = {4, {2, 3, 8, 8}};

TEST(train_gradient, conv_3x3_with_bias)
{
	struct net n = net_new(3, 8);
	check(&n, conv(&n, conv(&n, n.image, 3, 20, 3, 1, false, true), 20, 5, 3, 1, false, true), small);
}

TEST(train_gradient, conv_stride_2_and_1x1)
{
	struct net n = net_new(3, 8);
	int x = conv(&n, conv(&n, n.image, 3, 16, 3, 2, false, false), 16, 24, 1, 1, false, false);
	check(&n, conv(&n, x, 24, 16, 3, 2, false, false), small);
}

TEST(train_gradient, depthwise)
{
	struct net n = net_new(3, 8);
	int x = conv(&n, n.image, 3, 32, 1, 1, false, false);
	check(&n, conv(&n, conv(&n, x, 32, 32, 3, 1, true, false), 32, 32, 3, 2, true, true), small);
}

TEST(train_gradient, batch_norm)
{
	struct net n = net_new(3, 8);
	int x = norm(&n, conv(&n, n.image, 3, 20, 3, 1, false, false), 20);
	check(&n, conv(&n, x, 20, 4, 1, 1, false, false), small);
}

TEST(train_gradient, batch_norm_relu_as_output)
{
	struct net n = net_new(3, 8);
	check(&n, one(&n, SL_OP_RELU, norm(&n, conv(&n, n.image, 3, 20, 3, 1, false, false), 20)), small);
}

TEST(train_gradient, residual_block)
{
	struct net n = net_new(3, 8);
	int x = one(&n, SL_OP_RELU, norm(&n, conv(&n, n.image, 3, 16, 3, 1, false, false), 16));
	int y = norm(&n, conv(&n, x, 16, 16, 3, 1, false, false), 16);
	x = one(&n, SL_OP_RELU, add(&n, x, y));
	y = norm(&n, conv(&n, x, 16, 16, 3, 1, true, false), 16);
	check(&n, conv(&n, add(&n, y, x), 16, 3, 1, 1, false, false), small);
}

TEST(train_gradient, two_norms_added)
{
	struct net n = net_new(3, 8);
	int a = norm(&n, conv(&n, n.image, 3, 16, 3, 1, false, false), 16);
	int b = norm(&n, conv(&n, n.image, 3, 16, 1, 1, false, false), 16);
	check(&n, one(&n, SL_OP_RELU, add(&n, a, b)), small);
}

TEST(train_gradient, relu_and_add_alone)
{
	struct net n = net_new(3, 8);
	int x = conv(&n, n.image, 3, 16, 3, 1, false, true), y = one(&n, SL_OP_RELU, x);
	int z = one(&n, SL_OP_RELU, add(&n, x, y));
	check(&n, conv(&n, add(&n, z, z), 16, 3, 1, 1, false, false), small);
}

TEST(train_gradient, four_readers)
{
	struct net n = net_new(3, 8);
	int x = one(&n, SL_OP_RELU, norm(&n, conv(&n, n.image, 3, 16, 3, 1, false, false), 16));
	int a = conv(&n, x, 16, 16, 1, 1, false, false), b = conv(&n, x, 16, 16, 3, 1, false, false);
	int c = norm(&n, conv(&n, x, 16, 16, 3, 1, true, false), 16);
	check(&n, add(&n, add(&n, a, b), add(&n, c, x)), small);
}

TEST(train_gradient, resize)
{
	struct net n = net_new(3, 8);
	float twice[] = {1, 1, 2, 2};
	int x = conv(&n, n.image, 3, 20, 3, 2, false, false);
	int in[] = {x, -1, sl_graph_weight(n.g, NULL, (struct sl_shape){1, {4}}, twice)};
	int y = sl_graph_op(n.g, SL_OP_RESIZE, NULL, in, 3);
	sl_graph_attr_str(n.g, "mode", "nearest");
	sl_graph_attr_str(n.g, "coordinate_transformation_mode", "asymmetric");
	sl_graph_attr_str(n.g, "nearest_mode", "floor");
	int z = norm(&n, conv(&n, n.image, 3, 20, 3, 1, false, false), 20);
	check(&n, one(&n, SL_OP_RELU, add(&n, z, y)), small);
}

TEST(train_gradient, pool_dropout_gemm)
{
	struct net n = net_new(3, 8);
	int x = one(&n, SL_OP_GLOBALAVGPOOL, conv(&n, n.image, 3, 20, 3, 1, false, true));
	float ratio = 0.3f;
	int in[] = {one(&n, SL_OP_FLATTEN, x), sl_graph_weight(n.g, NULL, (struct sl_shape){0}, &ratio)};
	x = sl_graph_op(n.g, SL_OP_DROPOUT, NULL, in, 2);
	check(&n, gemm(&n, gemm(&n, x, 20, 6, true), 6, 4, false), (struct sl_shape){4, {5, 3, 8, 8}});
}

TEST(train_gradient, flatten_of_an_image_and_two_outputs)
{
	struct net n = net_new(3, 8);
	int x = conv(&n, n.image, 3, 5, 3, 2, false, true);
	sl_graph_output(n.g, x);
	check(&n, gemm(&n, one(&n, SL_OP_FLATTEN, x), 80, 4, true), small);
}

TEST(train_gradient, smooth_loss)
{
	enum { N = 3, K = 7 };
	static const int label[N] = {2, 0, 6};
	float z[N * K], d[N * K], other[N * K];
	struct sl_rng rng = sl_rng(2, 2);
	for (int i = 0; i < N * K; i++)
		z[i] = sl_rng_uniform(&rng, -3, 3);
	struct sl_tensor in = {z, {2, {N, K}}}, grad = {d, {2, {N, K}}}, unused = {other, {2, {N, K}}};
	sl_loss_smooth(&in, label, 0.1f, &grad);
	for (int i = 0; i < N * K; i++) {
		float keep = z[i];
		z[i] = keep + 0.01f;
		double up = sl_loss_smooth(&in, label, 0.1f, &unused);
		z[i] = keep - 0.01f;
		double down = sl_loss_smooth(&in, label, 0.1f, &unused);
		z[i] = keep;
		CHECK_NEAR(d[i], (up - down) / 0.02, 1e-4);
	}
}

TEST(train_gradient, center_loss)
{
	enum { N = 2, S = 10, ALL = N * 5 * S * S };
	static float z[ALL], d[ALL], other[ALL];
	struct sl_target_box a[] = {{3, 4, 17, 20, false}, {8, 8, 36, 38, false}, {30, 0, 40, 10, true}},
			     b[] = {{2, 2, 6, 5, false}};
	const struct sl_targets t[] = {{a, 3}, {b, 1}};
	struct sl_rng rng = sl_rng(2, 3);
	float parts[4];
	for (int i = 0; i < ALL; i++)
		z[i] = sl_rng_uniform(&rng, -2, 2);
	z[S * S + 5] = 5; /* past the clamp: no gradient */
	struct sl_tensor in = {z, {4, {N, 5, S, S}}}, grad = {d, {4, {N, 5, S, S}}},
			 unused = {other, {4, {N, 5, S, S}}};
	sl_loss_center(&in, t, &grad, parts);
	for (int i = 0; i < ALL; i++) {
		float keep = z[i], h = 4e-3f;
		z[i] = keep + h;
		sl_loss_center(&in, t, &unused, parts);
		double up = (double)parts[0] + 2 * (double)parts[1];
		z[i] = keep - h;
		sl_loss_center(&in, t, &unused, parts);
		double down = (double)parts[0] + 2 * (double)parts[1];
		z[i] = keep;
		/* the loss is about 20 in f32: rounding makes 1e-6 / h */
		CHECK_NEAR(d[i], (up - down) / (2 * h), 1e-3 + 0.01 * fabs(d[i]));
	}
}

/* Boxes far larger than the crop, or of no size, or no numbers, are clipped or left out. */
TEST(train_gradient, center_loss_survives_any_box)
{
	enum { S = 4, ALL = 5 * S * S };
	static float z[ALL], d[ALL];
	struct sl_target_box a[] = {{-1e30f, -1e30f, 1e30f, 1e30f, false}, {NAN, 0, 4, 4, false}, {3, 3, 3, 3, false},
		{-INFINITY, 0, INFINITY, 9, true}, {1e9f, 1e9f, 2e9f, 2e9f, true}, {900, 900, 910, 910, false}};
	const struct sl_targets t = {a, 6};
	float parts[4];
	struct sl_tensor in = {z, {4, {1, 5, S, S}}}, grad = {d, {4, {1, 5, S, S}}};
	sl_loss_center(&in, &t, &grad, parts);
	for (int i = 0; i < S * S; i++)
		CHECK(isfinite(d[i]));
}

/* Cells under an ignored box teach nothing; a degenerate box counts as none. */
TEST(train_gradient, center_loss_ignores)
{
	enum { S = 8, ALL = 5 * S * S };
	static float z[ALL], d[ALL];
	struct sl_target_box a[] = {{8, 8, 16, 16, true}, {5, 5, 5, 9, false}, {32, 30, 40, 40, true}};
	const struct sl_targets t = {a, 3};
	float parts[4];
	struct sl_tensor in = {z, {4, {1, 5, S, S}}}, grad = {d, {4, {1, 5, S, S}}};
	sl_loss_center(&in, &t, &grad, parts);
	for (int y = 0; y < S; y++)
		for (int x = 0; x < S; x++)
			CHECK_EQ(d[y * S + x] == 0, x >= 2 && x < 4 && y >= 2 && y < 4);
	for (int i = S * S; i < ALL; i++)
		CHECK(d[i] == 0);
	CHECK_NEAR(parts[0], 60 * 0.25 * log(2), 1e-4);
}
