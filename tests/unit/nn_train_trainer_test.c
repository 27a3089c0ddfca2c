/* SPDX-License-Identifier: Apache-2.0
 *
 * Steps of the trainer: same bytes for same data, stop and go on, errors that leave the
 * training as it was, the optimiser by numbers, and a small net that learns.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "harness.h"
#include "nn/train/nets.h"
#include "nn/train/optimizer.h"
#include "nn/train/plan.h"
#include "nn/train/train.h"
#include <math.h>

enum { CLASSES = 4, SIDE = 16 };

/* conv, bn, relu, residual block, pool, dropout, fc: everything that has state. */
static struct sl_graph *tiny_net(void)
{
	struct sl_graph *g = sl_graph_new("tiny");
	struct sl_rng r = sl_rng(8, 8);
	float w[16 * 16 * 9], ones[16], ratio = 0.2f;
	int64_t pads[] = {1, 1, 1, 1}, two[] = {2, 2};
	int x = sl_graph_input(g, "x", (struct sl_shape){4, {-1, 3, SIDE, SIDE}});
	for (int layer = 0; layer < 2; layer++) {
		int ci = layer ? 16 : 3;
		for (int i = 0; i < 16 * ci * 9; i++)
			w[i] = 0.3f * sl_rng_normal(&r) / sqrtf((float)ci);
		for (int i = 0; i < 16; i++)
			ones[i] = 1;
		int in[] = {x, sl_graph_weight(g, layer ? "w1" : "w0", (struct sl_shape){4, {16, ci, 3, 3}}, w)};
		int y = sl_graph_op(g, SL_OP_CONV, NULL, in, 2);
		sl_graph_attr_list(g, "pads", pads, 4);
		if (!layer)
			sl_graph_attr_list(g, "strides", two, 2);
		struct sl_shape s = {1, {16}};
		int bn[] = {y, sl_graph_weight(g, NULL, s, ones), sl_graph_weight(g, NULL, s, NULL),
			sl_graph_weight(g, layer ? "mean1" : "mean0", s, NULL), sl_graph_weight(g, NULL, s, ones)};
		y = sl_graph_op(g, SL_OP_BATCHNORM, NULL, bn, 5);
		if (layer)
			y = sl_graph_op(g, SL_OP_ADD, NULL, (int[]){x, y}, 2);
		x = sl_graph_op(g, SL_OP_RELU, NULL, &y, 1);
	}
	x = sl_graph_op(g, SL_OP_GLOBALAVGPOOL, NULL, &x, 1);
	x = sl_graph_op(g, SL_OP_FLATTEN, NULL, &x, 1);
	int drop[] = {x, sl_graph_weight(g, NULL, (struct sl_shape){0}, &ratio)};
	x = sl_graph_op(g, SL_OP_DROPOUT, NULL, drop, 2);
	for (int i = 0; i < CLASSES * 16; i++)
		w[i] = 0.1f * sl_rng_normal(&r);
	int in[] = {x, sl_graph_weight(g, "fc", (struct sl_shape){2, {CLASSES, 16}}, w),
		sl_graph_weight(g, "fc_bias", (struct sl_shape){1, {CLASSES}}, NULL)};
	int out = sl_graph_op(g, SL_OP_GEMM, NULL, in, 3);
	sl_graph_attr_int(g, "transB", 1);
	sl_graph_output(g, out);
	return g;
}

struct feed {
	bool same_for_all; /* every worker sees the same samples */
	int64_t fails_at; /* worker 1 fails at this step, once */
	bool is_zero; /* gradient of nothing */
	float poison; /* added to a gradient */
};

/* Class k: bright in channel k, the last class in none. */
static enum sl_status fill(void *arg, int worker, int64_t step, struct sl_tensor *in, struct sl_err *err)
{
	struct feed *f = arg;
	struct sl_rng r = sl_rng((uint64_t)step, f->same_for_all ? 0 : (uint64_t)worker);
	if (worker == 1 && f->fails_at == step) {
		f->fails_at = -1;
		return sl_fail(err, SL_IO, "no more samples");
	}
	size_t n = 3 * SIDE * SIDE;
	for (int i = 0; i < in->shape.dim[0]; i++)
		for (size_t k = 0; k < n; k++)
			in->data[i * n + k] =
				0.5f * sl_rng_normal(&r) + ((int)(k / (SIDE * SIDE)) == i % CLASSES ? 1.0f : 0.0f);
	return SL_OK;
}

static float loss(
	void *arg, int worker, int64_t step, const struct sl_tensor *out, struct sl_tensor *grad, float parts[4])
{
	struct feed *f = arg;
	int label[64];
	for (int i = 0; i < 64; i++)
		label[i] = i % CLASSES;
	float l = sl_loss_smooth(out, label, 0.05f, grad);
	if (f->is_zero)
		memset(grad->data, 0, sizeof(float) * (size_t)sl_shape_count(&grad->shape));
	grad->data[0] += f->poison;
	parts[0] = (float)worker;
	return l;
}

static const struct sl_train_options usual = {2, SL_PRECISION_F32, 0.9f, 0.99f, 1e-8f, 0.02f, 0.998f, 0.1f, 5, 3};

static struct sl_trainer *trainer_new(struct feed *f, struct sl_train_options o, int batch)
{
	struct sl_err err = {0};
	struct sl_graph *g = tiny_net();
	struct sl_batch_source source = {f, fill, loss};
	struct sl_trainer *t = NULL;
	CHECK_OK(sl_trainer_new(g, (struct sl_shape){4, {batch, 3, SIDE, SIDE}}, &o, &source, &t, &err));
	sl_graph_free(g);
	return t;
}

static struct sl_step_result steps(struct sl_trainer *t, int n)
{
	struct sl_err err = {0};
	struct sl_step_result r = {0};
	for (int i = 0; i < n; i++)
		CHECK_OK(sl_trainer_step(t, 0.01f, &r, &err));
	return r;
}

static struct sl_buf state_of(struct sl_trainer *t)
{
	struct sl_err err = {0};
	struct sl_buf b = {0};
	CHECK_OK(sl_trainer_save(t, &b, &err));
	return b;
}

static void check_same(struct sl_trainer *a, struct sl_trainer *b)
{
	SL_AUTO(sl_buf_done) struct sl_buf x = state_of(a), y = state_of(b);
	CHECK_EQ(x.len, y.len);
	CHECK(!memcmp(x.ptr, y.ptr, x.len));
}

TEST(trainer, learns_and_averages)
{
	struct feed f = {.fails_at = -1};
	struct sl_trainer *t = trainer_new(&f, usual, 16);
	struct sl_step_result first = steps(t, 1), last = steps(t, 59);
	CHECK(first.loss > 1);
	CHECK(last.loss < 0.5f);
	CHECK_NEAR(last.parts[0], 0.5, 0); /* mean of workers 0 and 1 */
	CHECK(last.grad_norm > 0);
	CHECK_EQ(sl_trainer_steps(t), 60);
	sl_trainer_free(t);
}

TEST(trainer, same_data_gives_same_bytes)
{
	struct feed f = {.fails_at = -1};
	struct sl_train_options o = usual;
	for (int half = 0; half < 2; half++) {
		o.precision = half ? SL_PRECISION_AUTO : SL_PRECISION_F32;
		struct sl_trainer *a = trainer_new(&f, o, 16), *b = trainer_new(&f, o, 16);
		steps(a, 7);
		steps(b, 7);
		check_same(a, b);
		sl_trainer_free(a);
		sl_trainer_free(b);
	}
}

/* Two workers with equal samples have equal gradients, whose mean is exact; dropout differs by
 * worker, so that only a first step without it would be the same: compare the loss before it acts. */
TEST(trainer, workers_share_weights)
{
	struct feed f = {.fails_at = -1, .same_for_all = true};
	struct sl_train_options o = usual;
	struct sl_graph *g = tiny_net();
	for (int i = 0; i < g->nnode; i++)
		if (g->node[i].op == SL_OP_DROPOUT)
			g->value[g->node[i].in[1]].f32[0] = 0;
	struct sl_batch_source source = {&f, fill, loss};
	struct sl_trainer *one, *two;
	struct sl_err err = {0};
	CHECK_OK(sl_trainer_new(g, (struct sl_shape){4, {16, 3, SIDE, SIDE}}, &o, &source, &two, &err));
	o.workers = 1;
	CHECK_OK(sl_trainer_new(g, (struct sl_shape){4, {8, 3, SIDE, SIDE}}, &o, &source, &one, &err));
	steps(one, 5);
	steps(two, 5);
	SL_AUTO(sl_buf_done) struct sl_buf x = state_of(one), y = state_of(two);
	const float *a = (const float *)(x.ptr + 72), *b = (const float *)(y.ptr + 72);
	CHECK_EQ(x.len, y.len);
	for (size_t i = 0; i < (x.len - 72 - 32) / 4; i++)
		CHECK_NEAR(a[i], b[i], 1e-4); /* slices of the norm are summed apart: last bits of the clip differ */
	sl_trainer_free(one);
	sl_trainer_free(two);
	sl_graph_free(g);
}

TEST(trainer, restored_goes_on_with_the_same_bytes)
{
	struct feed f = {.fails_at = -1};
	struct sl_err err = {0};
	struct sl_trainer *a = trainer_new(&f, usual, 16), *b = trainer_new(&f, usual, 16);
	steps(a, 4);
	SL_AUTO(sl_buf_done) struct sl_buf saved = state_of(a);
	steps(a, 6);
	steps(b, 2);
	CHECK_OK(sl_trainer_restore(b, sl_buf_slice(&saved), &err));
	CHECK_EQ(sl_trainer_steps(b), 4);
	steps(b, 6);
	check_same(a, b);
	sl_trainer_free(a);
	sl_trainer_free(b);
}

TEST(trainer, bad_states_are_refused)
{
	struct feed f = {.fails_at = -1};
	struct sl_err err = {0};
	struct sl_trainer *t = trainer_new(&f, usual, 16);
	steps(t, 2);
	SL_AUTO(sl_buf_done) struct sl_buf good = state_of(t), bad = state_of(t), after = {0};
	for (size_t cut = 0; cut < good.len; cut += 37)
		CHECK(sl_trainer_restore(t, sl_slice(good.ptr, cut), &err) != SL_OK);
	bad.ptr[good.len / 2] ^= 1;
	CHECK_STATUS(sl_trainer_restore(t, sl_buf_slice(&bad), &err), SL_CORRUPT);
	bad.ptr[8] = 99;
	CHECK_STATUS(sl_trainer_restore(t, sl_buf_slice(&bad), &err), SL_UNSUPPORTED);
	bad.ptr[0] = 'X';
	CHECK_STATUS(sl_trainer_restore(t, sl_buf_slice(&bad), &err), SL_INVALID);
	after = state_of(t);
	CHECK(after.len == good.len && !memcmp(after.ptr, good.ptr, good.len));

	struct sl_graph *g = sl_net_classifier(5, 0.1f, 1);
	struct sl_batch_source source = {&f, fill, loss};
	struct sl_trainer *other;
	CHECK_OK(sl_trainer_new(g, (struct sl_shape){4, {2, 3, 48, 48}}, &usual, &source, &other, &err));
	CHECK_STATUS(sl_trainer_restore(other, sl_buf_slice(&good), &err), SL_INVALID);
	sl_trainer_free(other);
	sl_graph_free(g);
	sl_trainer_free(t);
}

TEST(trainer, failed_step_changes_nothing)
{
	struct feed f = {.fails_at = 3}, other = {.fails_at = -1};
	struct sl_err err = {0};
	struct sl_step_result r;
	struct sl_trainer *t = trainer_new(&f, usual, 16), *u = trainer_new(&other, usual, 16);
	steps(t, 3);
	CHECK_STATUS(sl_trainer_step(t, 0.01f, &r, &err), SL_IO);
	CHECK(strstr(err.text, "no more samples"));
	CHECK_EQ(sl_trainer_steps(t), 3);
	f.poison = NAN;
	CHECK_STATUS(sl_trainer_step(t, 0.01f, &r, &err), SL_REFUSED);
	CHECK(strstr(err.text, "step 3"));
	f.poison = 0;
	steps(t, 3);
	steps(u, 6);
	check_same(t, u);
	sl_trainer_free(t);
	sl_trainer_free(u);
}

/* Without a gradient only the decay moves weights, and only those of Conv and Gemm. */
TEST(trainer, decay_is_for_matrices_only)
{
	struct feed f = {.fails_at = -1, .is_zero = true};
	struct sl_err err = {0};
	struct sl_step_result r;
	struct sl_graph *before = tiny_net();
	struct sl_trainer *t = trainer_new(&f, usual, 16);
	CHECK_OK(sl_trainer_step(t, 0.5f, &r, &err));
	struct sl_graph *now = sl_trainer_graph(t, false), *ema = sl_trainer_graph(t, true);
	for (int v = 0; v < now->nvalue; v++) {
		const struct sl_value *a = &before->value[v], *b = &now->value[v];
		if (a->kind != SL_VALUE_WEIGHT || strstr(a->name, "mean") || a->shape.rank == 0)
			continue;
		float want = a->shape.rank >= 2 ? a->f32[0] * (1 - 0.5f * 0.02f) : a->f32[0];
		if (a->shape.rank >= 2 || a->f32[0] == 0)
			CHECK_NEAR(b->f32[0], want, 1e-7);
		if (a->shape.rank >= 2) /* d = 1/10 at the first step */
			CHECK_NEAR(ema->value[v].f32[0], 0.1f * a->f32[0] + 0.9f * b->f32[0], 1e-7);
	}
	sl_graph_free(before);
	sl_graph_free(now);
	sl_graph_free(ema);
	sl_trainer_free(t);
}

TEST(trainer, options_and_nets_are_checked)
{
	struct feed f = {.fails_at = -1};
	struct sl_err err = {0};
	struct sl_batch_source source = {&f, fill, loss};
	struct sl_trainer *t = NULL;
	struct sl_graph *g = tiny_net();
	struct sl_shape shape = {4, {15, 3, SIDE, SIDE}};
	CHECK_STATUS(sl_trainer_new(g, shape, &usual, &source, &t, &err), SL_INVALID);
	CHECK(strstr(err.text, "15"));
	struct sl_train_options o = usual;
	o.workers = 65;
	CHECK_STATUS(sl_trainer_new(g, shape, &o, &source, &t, &err), SL_INVALID);
	o = usual;
	o.beta2 = NAN;
	shape.dim[0] = 16;
	CHECK_STATUS(sl_trainer_new(g, shape, &o, &source, &t, &err), SL_INVALID);
	sl_graph_free(g);

	g = sl_graph_new("other");
	int x = sl_graph_input(g, "x", (struct sl_shape){4, {-1, 3, SIDE, SIDE}});
	sl_graph_output(g, sl_graph_op(g, SL_OP_SIGMOID, "squash", &x, 1));
	CHECK_STATUS(sl_trainer_new(g, shape, &usual, &source, &t, &err), SL_UNSUPPORTED);
	CHECK(strstr(err.text, "squash"));
	sl_graph_free(g);
}

TEST(trainer, nets_have_the_published_size)
{
	struct sl_err err = {0};
	struct sl_graph *c = sl_net_classifier(43, 0.1f, 1), *d = sl_net_detector(1), *e = sl_net_detector(1);
	struct sl_plan *p;
	CHECK_OK(sl_plan_new(c, (struct sl_shape){4, {1, 3, 48, 48}}, &p, &err));
	CHECK_EQ(p->nweight, 345659);
	sl_plan_free(p);
	struct sl_shape scene = {4, {1, 3, 800, 1376}}, crop = {4, {1, 3, 48, 48}};
	CHECK_OK(sl_plan_new(d, scene, &p, &err));
	CHECK_EQ(p->nweight, 291893);
	int64_t macs, params;
	CHECK_OK(sl_graph_cost(c, &crop, &macs, &params, &err));
	CHECK_NEAR(macs * 1e-6, 11.70, 0.05);
	CHECK_OK(sl_graph_cost(d, &scene, &macs, &params, &err));
	CHECK_NEAR(macs * 1e-9, 2.40, 0.02);
	for (int i = 0; i < p->nparam; i++) /* the seed decides all */
		CHECK(!memcmp(d->value[p->param[i].value].f32, e->value[p->param[i].value].f32, 4 * p->param[i].n));
	sl_plan_free(p);
	sl_graph_free(c);
	sl_graph_free(d);
	sl_graph_free(e);
}

TEST(trainer, optimizer_by_numbers)
{
	CHECK_NEAR(sl_ema_decay(0, 0.998f), 0.1, 1e-7);
	CHECK_NEAR(sl_ema_decay(90, 0.998f), 0.91, 1e-7);
	CHECK_NEAR(sl_ema_decay(100000, 0.998f), 0.998, 1e-7);
	CHECK_NEAR(sl_grad_clip(20, 10), 0.5, 1e-6);
	CHECK_NEAR(sl_grad_clip(5, 10), 1, 0);
	CHECK_NEAR(sl_grad_clip(1e9, 0), 1, 0);
	/* First step of Adam: lr * sign(gradient), whatever its size. */
	float w[2] = {1, -1}, m[2] = {0}, v[2] = {0}, ema[2] = {1, -1}, decay[2] = {0.1f, 0}, g[2] = {3e-3f, -50};
	struct sl_adam a = {0.01f, 0.9f, 0.99f, 1e-8f, 1, 1, 0.5f};
	struct sl_moments s = {w, m, v, ema, decay};
	sl_adam_step(&a, &s, g, 0, 2);
	CHECK_NEAR(w[0], 1 * (1 - 0.01 * 0.1) - 0.01, 1e-6);
	CHECK_NEAR(w[1], -1 + 0.01, 1e-6);
	CHECK_NEAR(ema[1], -0.995, 1e-6);
	float p[20], q[20], *both[] = {p, q};
	double want = 0;
	for (int i = 0; i < 20; i++) {
		p[i] = (float)i;
		q[i] = (float)(2 - i);
		want += i >= 1 && i < 19 ? 1 : 0;
	}
	CHECK_NEAR(sl_grad_mean(both, 2, 1, 19), want, 1e-9);
	CHECK_NEAR(p[0], 0, 0);
	CHECK_NEAR(p[7], 1, 0);
}
