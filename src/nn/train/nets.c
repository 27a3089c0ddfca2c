/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/nets.h"
#include "base/mem.h"
#include "base/rng.h"
#include <math.h>
#include <stdio.h>

/* A net under construction: every layer takes and returns a value number. */
struct maker {
	struct sl_graph *g;
	struct sl_rng rng;
	char at[64]; /* name of the layer that is being added */
};

static const float BRANCH_GAMMA = 0.2f; /* residual branches start small: the net starts near its trunk */

static const char *under(const struct maker *m, char *buf, size_t size, const char *what)
{
	snprintf(buf, size, "%s.%s", m->at, what);
	return buf;
}

static int normal_weight(struct maker *m, const char *what, struct sl_shape shape, float deviation)
{
	char name[96];
	int64_t n = sl_shape_count(&shape);
	SL_AUTOFREE float *w = SL_NEW_N(float, n);
	for (int64_t i = 0; i < n; i++)
		w[i] = deviation * sl_rng_normal(&m->rng);
	return sl_graph_weight(m->g, under(m, name, sizeof(name), what), shape, w);
}

static int filled_weight(struct maker *m, const char *what, int n, float v)
{
	char name[96];
	SL_AUTOFREE float *w = SL_NEW_N(float, n);
	for (int i = 0; i < n; i++)
		w[i] = v;
	return sl_graph_weight(m->g, under(m, name, sizeof(name), what), (struct sl_shape){1, {n}}, w);
}

static int conv(struct maker *m, int x, int weight, int bias, int k, int stride, int groups)
{
	int64_t two[] = {stride, stride}, kernel[] = {k, k}, pads[] = {k / 2, k / 2, k / 2, k / 2};
	int in[] = {x, weight, bias};
	char name[96];
	int y = sl_graph_op(m->g, SL_OP_CONV, under(m, name, sizeof(name), "conv"), in, bias >= 0 ? 3 : 2);
	sl_graph_attr_list(m->g, "kernel_shape", kernel, 2);
	sl_graph_attr_list(m->g, "strides", two, 2);
	sl_graph_attr_list(m->g, "pads", pads, 4);
	sl_graph_attr_int(m->g, "group", groups);
	return y;
}

static int norm(struct maker *m, int x, int channels, float gamma)
{
	char name[96];
	int in[] = {x, filled_weight(m, "bn.gamma", channels, gamma), filled_weight(m, "bn.beta", channels, 0),
		filled_weight(m, "bn.mean", channels, 0), filled_weight(m, "bn.var", channels, 1)};
	int y = sl_graph_op(m->g, SL_OP_BATCHNORM, under(m, name, sizeof(name), "bn"), in, 5);
	sl_graph_attr_float(m->g, "epsilon", 1e-5f);
	return y;
}

static int relu(struct maker *m, int x)
{
	char name[96];
	return sl_graph_op(m->g, SL_OP_RELU, under(m, name, sizeof(name), "relu"), &x, 1);
}

static int add(struct maker *m, int a, int b)
{
	char name[96];
	return sl_graph_op(m->g, SL_OP_ADD, under(m, name, sizeof(name), "add"), (int[]){a, b}, 2);
}

static void enter(struct maker *m, const char *name, const char *part)
{
	snprintf(m->at, sizeof(m->at), "%s%s", name, part);
}

/* Dense convolution and batch norm, no ReLU. */
static int conv_norm(struct maker *m, const char *name, int x, int ci, int co, int k, int stride, float gamma)
{
	enter(m, name, "");
	int w = normal_weight(m, "weight", (struct sl_shape){4, {co, ci, k, k}}, sqrtf(2.0f / (float)(k * k * co)));
	return norm(m, conv(m, x, w, -1, k, stride, 1), co, gamma);
}

static int block_c(struct maker *m, const char *name, int x, int ci, int co, int k, int stride)
{
	return relu(m, conv_norm(m, name, x, ci, co, k, stride, 1));
}

static int block_res(struct maker *m, const char *name, int x, int c)
{
	return relu(m, add(m, x, conv_norm(m, name, x, c, c, 3, 1, BRANCH_GAMMA)));
}

static int block_dw(struct maker *m, const char *name, int x, int c)
{
	enter(m, name, ".dw");
	int w = normal_weight(m, "weight", (struct sl_shape){4, {c, 1, 3, 3}}, sqrtf(2.0f / 9));
	int y = relu(m, norm(m, conv(m, x, w, -1, 3, 1, c), c, 1));
	char pw[64];
	snprintf(pw, sizeof(pw), "%s.pw", name);
	return relu(m, add(m, x, conv_norm(m, pw, y, c, c, 1, 1, BRANCH_GAMMA)));
}

static int up(struct maker *m, const char *name, int x)
{
	enter(m, name, "");
	char text[96];
	float twice[] = {1, 1, 2, 2};
	int in[] = {
		x, -1, sl_graph_weight(m->g, under(m, text, sizeof(text), "scales"), (struct sl_shape){1, {4}}, twice)};
	int y = sl_graph_op(m->g, SL_OP_RESIZE, under(m, text, sizeof(text), "up"), in, 3);
	sl_graph_attr_str(m->g, "mode", "nearest");
	sl_graph_attr_str(m->g, "coordinate_transformation_mode", "asymmetric");
	sl_graph_attr_str(m->g, "nearest_mode", "floor");
	return y;
}

static int dropout(struct maker *m, int x, float ratio)
{
	enter(m, "dropout", "");
	int in[] = {x, sl_graph_weight(m->g, "dropout.ratio", (struct sl_shape){0}, &ratio)};
	return sl_graph_op(m->g, SL_OP_DROPOUT, "dropout", in, 2);
}

static int fully_connected(struct maker *m, int x, int ci, int co)
{
	enter(m, "fc", "");
	int in[] = {
		x, normal_weight(m, "weight", (struct sl_shape){2, {co, ci}}, 0.01f), filled_weight(m, "bias", co, 0)};
	int y = sl_graph_op(m->g, SL_OP_GEMM, "fc", in, 3);
	sl_graph_attr_int(m->g, "transB", 1);
	return y;
}

struct sl_graph *sl_net_classifier(int classes, float drop, uint64_t seed)
{
	struct maker m = {sl_graph_new("signs48"), sl_rng(seed, 48), ""};
	int x = sl_graph_input(m.g, "image", (struct sl_shape){4, {-1, 3, 48, 48}});
	x = block_c(&m, "c1", x, 3, 16, 3, 2);
	x = block_c(&m, "c2", x, 16, 32, 3, 1);
	x = block_c(&m, "c3", x, 32, 48, 3, 2);
	x = block_res(&m, "r3", x, 48);
	x = block_c(&m, "c4", x, 48, 96, 3, 2);
	x = block_c(&m, "c5", x, 96, 128, 3, 2);
	x = block_res(&m, "r5", x, 128);
	x = sl_graph_op(m.g, SL_OP_GLOBALAVGPOOL, "pool", &x, 1);
	x = sl_graph_op(m.g, SL_OP_FLATTEN, "flat", &x, 1);
	if (drop > 0)
		x = dropout(&m, x, drop);
	sl_graph_output(m.g, fully_connected(&m, x, 128, classes));
	return m.g;
}

static int detector_head(struct maker *m, int x)
{
	float bias[] = {-4.6f, 1.5f, 1.5f, 1.5f, 1.5f};
	enter(m, "out", "");
	int w = normal_weight(m, "weight", (struct sl_shape){4, {5, 32, 1, 1}}, 0.01f);
	int b = sl_graph_weight(m->g, "out.bias", (struct sl_shape){1, {5}}, bias);
	return conv(m, x, w, b, 1, 1, 1);
}

struct sl_graph *sl_net_detector(uint64_t seed)
{
	struct maker m = {sl_graph_new("center4"), sl_rng(seed, 4), ""};
	int x = sl_graph_input(m.g, "image", (struct sl_shape){4, {-1, 3, -1, -1}});
	int s2 = block_c(&m, "s2", x, 3, 16, 3, 2);
	int c4 = block_dw(&m, "d4", block_c(&m, "c4", s2, 16, 32, 3, 2), 32);
	int c8 = block_res(&m, "r8", block_c(&m, "c8", c4, 32, 64, 3, 2), 64);
	int c16 = block_dw(&m, "d16", block_c(&m, "c16", c8, 64, 96, 3, 2), 96);
	int c32 = block_dw(&m, "d32", block_c(&m, "c32", c16, 96, 128, 3, 2), 128);

	int p = up(&m, "u32", block_c(&m, "t32", c32, 128, 64, 1, 1));
	int l = conv_norm(&m, "l16", c16, 96, 64, 1, 1, 1);
	p = block_dw(&m, "p16", relu(&m, add(&m, l, p)), 64);
	l = conv_norm(&m, "l8", c8, 64, 64, 1, 1, 1);
	p = up(&m, "u16", p);
	enter(&m, "m8", "");
	p = block_dw(&m, "p8", relu(&m, add(&m, l, p)), 64);
	l = conv_norm(&m, "l4", c4, 32, 32, 1, 1, 1);
	p = up(&m, "u8", block_c(&m, "t8", p, 64, 32, 1, 1));
	enter(&m, "m4", "");
	p = block_dw(&m, "p4a", relu(&m, add(&m, l, p)), 32);
	p = block_dw(&m, "p4b", p, 32);
	sl_graph_output(m.g, detector_head(&m, p));
	return m.g;
}
