/* SPDX-License-Identifier: Apache-2.0
 *
 * The trainer against PyTorch: data/train_*.bin, made by train_golden.py, which also says
 * what a record is. Each f32 number may be off from PyTorch's f64 result by ten times what
 * PyTorch's own f32 run is off by, plus a few f32 roundings of the tensor's typical size:
 * two f32 programs that sum in another order differ like that, an error of a formula does
 * not hide there.
 */
#include "base/buf.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "harness.h"
#include "nn/train/nets.h"
#include "nn/train/plan.h"
#include "nn/train/replica.h"
#include "nn/train/schedule.h"
#include "nn/train/train.h"
#include <math.h>
#include <stdio.h>

enum { STEPS = 10, SAMPLES = 16 };
static const float LR = 0.0005f;

struct golden {
	struct sl_buf file;
};

static struct golden golden_open(const char *name)
{
	struct golden g = {0};
	struct sl_err err = {0};
	SL_AUTOFREE char *path = sl_asprintf("%s/tests/golden/data/%s", sl_test_root(), name);
	CHECK_OK(sl_fs_read(path, &g.file, &err));
	return g;
}

/* The record's values, borrowed from the file; the test fails when there is none. */
static const float *golden_find(const struct golden *g, const char *name, uint32_t *ret_n)
{
	const uint8_t *at = g->file.ptr, *end = at + g->file.len;
	while (at < end) {
		uint32_t len, n;
		memcpy(&len, at, 4);
		memcpy(&n, at + 4 + len, 4);
		if (strnlen((const char *)at + 4, len) == strlen(name) && !memcmp(at + 4, name, strlen(name))) {
			*ret_n = n;
			return (const float *)(at + 8 + len);
		}
		at += 8 + len + 4 * (size_t)n;
	}
	sl_test_fail(__FILE__, __LINE__, "no record %s", name);
}

static double worst_used; /* largest part of a tolerance that was used */

static void compare(const struct golden *g, const char *name, const float *x, size_t n, bool whole, double slack)
{
	uint32_t have, three;
	const float *want = golden_find(g, name, &have);
	SL_AUTOFREE char *about_name = sl_asprintf("%s.about", name);
	const float *about = golden_find(g, about_name, &three);
	size_t count = whole ? n : SL_MIN(n, (size_t)SAMPLES);
	CHECK_EQ(have, count);
	double norm = 0, typical = about[0] / sqrt((double)n);
	for (size_t i = 0; i < n; i++)
		norm += (double)x[i] * x[i];
	CHECK_NEAR(sqrt(norm), about[0], 10 * about[2] + 3e-6 * about[0] + slack * sqrt((double)n));
	for (size_t i = 0; i < count; i++) {
		size_t at = whole ? i : i * n / SAMPLES;
		if (n < SAMPLES)
			at = i;
		double tolerance = 10 * about[1] + 4e-6 * SL_MAX(typical, fabs(want[i])) + slack,
		       off = fabs(x[at] - want[i]);
		if (!(off <= tolerance))
			sl_test_fail(__FILE__, __LINE__, "%s[%zu] is %.9g, not %.9g: off by %.3g, %.3g allowed", name,
				at, x[at], want[i], off, tolerance);
		worst_used = SL_MAX(worst_used, off / tolerance);
	}
}

/* The weights that train_golden.py makes, in the same order. */
static void set_weights(struct sl_graph *g, const struct sl_plan *p, uint64_t seed)
{
	struct sl_rng rng = sl_rng(seed, 7);
	for (int i = 0; i < p->nparam; i++) {
		const struct sl_value *v = &p->g->value[p->param[i].value];
		const struct sl_shape *s = &v->shape;
		double reach = 0.1;
		float lo, hi;
		if (p->param[i].is_stat)
			continue;
		if (s->rank == 4 && s->dim[0] != 5)
			reach = sqrt(6.0 / (double)(s->dim[2] * s->dim[3] * (s->dim[1] == 1 ? 1 : s->dim[0])));
		else if (s->rank == 4)
			reach = 0.03;
		else if (strstr(v->name, "beta"))
			reach = 0.2;
		else if (!strcmp(v->name, "out.bias"))
			reach = 1.5;
		lo = (float)-reach;
		hi = (float)reach;
		if (strstr(v->name, "gamma"))
			lo = 0.5f, hi = 1.5f;
		for (size_t k = 0; k < p->param[i].n; k++)
			g->value[p->param[i].value].f32[k] = sl_rng_uniform(&rng, lo, hi);
	}
}

static void fill_input(struct sl_tensor *in, int64_t step)
{
	struct sl_rng rng = sl_rng(5, (uint64_t)step);
	for (int64_t i = 0, n = sl_shape_count(&in->shape); i < n; i++)
		in->data[i] = sl_rng_uniform(&rng, -1.5f, 1.5f);
}

static struct sl_target_box boxes[2][4] = {
	{{10, 12, 34, 38, false}, {20.5f, 16, 48, 60, false}, {40, 70, 62, 94, true}, {0, 60, 12, 80, false}},
	{{3.25f, 2, 60, 90, false}, {28, 40, 40, 52, false}, {50, 0, 64, 9, true}},
};
static const struct sl_targets targets[2] = {{boxes[0], 4}, {boxes[1], 3}};

struct kind {
	bool is_detector;
	const char *file;
	struct sl_shape shape;
	uint64_t seed;
	double drift; /* part of the way that ten steps go which rounding may turn elsewhere */
};
static const struct kind classifier = {false, "train_classifier.bin", {4, {4, 3, 48, 48}}, 9, 1e-3};
static const struct kind detector = {true, "train_detector.bin", {4, {2, 3, 96, 64}}, 52, 0.02};

static float loss_of(const struct kind *k, const struct sl_tensor *out, struct sl_tensor *grad)
{
	static const int label[] = {3, 10, 17, 24};
	float parts[4];
	return k->is_detector ? sl_loss_center(out, targets, grad, parts) : sl_loss_smooth(out, label, 0.05f, grad);
}

static enum sl_status fill(void *arg, int worker, int64_t step, struct sl_tensor *in, struct sl_err *err)
{
	fill_input(in, step);
	return SL_OK;
}

static float loss(
	void *arg, int worker, int64_t step, const struct sl_tensor *out, struct sl_tensor *grad, float parts[4])
{
	return loss_of(arg, out, grad);
}

static struct sl_graph *net_of(const struct kind *k, struct sl_plan **ret_plan)
{
	struct sl_err err = {0};
	struct sl_graph *g = k->is_detector ? sl_net_detector(1) : sl_net_classifier(43, 0, 1);
	CHECK_OK(sl_plan_new(g, k->shape, ret_plan, &err));
	set_weights(g, *ret_plan, k->seed);
	return g;
}

/* One forward and backward pass: outputs, loss, all gradients. */
static void check_pass(const struct kind *k)
{
	struct sl_err err = {0};
	struct golden gold = golden_open(k->file);
	struct sl_plan *first, *p;
	struct sl_graph *g = net_of(k, &first);
	struct sl_replica *r;
	CHECK_OK(sl_plan_new(g, k->shape, &p, &err));
	CHECK_OK(sl_replica_new(p, false, 1, &r, &err));
	SL_AUTOFREE float *w = sl_aligned(sizeof(float) * p->nweight), *grads = sl_aligned(sizeof(float) * p->nweight);
	for (int i = 0; i < p->nparam; i++)
		if (!p->param[i].is_stat)
			memcpy(w + p->param[i].at, g->value[p->param[i].value].f32, sizeof(float) * p->param[i].n);
	fill_input(sl_replica_input(r), 0);
	CHECK_OK(sl_replica_forward(r, w, 0, &err));
	struct sl_tensor *out = sl_replica_outputs(r);
	compare(&gold, "out", out->data, (size_t)sl_shape_count(&out->shape), false, 0);
	float l = loss_of(k, out, sl_replica_grads(r));
	compare(&gold, "loss.0", &l, 1, false, 0);
	CHECK_OK(sl_replica_backward(r, w, grads, &err));
	for (int i = 0; i < p->nparam; i++) {
		if (p->param[i].is_stat)
			continue;
		SL_AUTOFREE char *name = sl_asprintf("grad.%s", p->g->value[p->param[i].value].name);
		compare(&gold, name, grads + p->param[i].at, p->param[i].n, false, 0);
	}
	printf("# worst use of a tolerance: %.2f\n", worst_used);
	sl_replica_free(r);
	sl_plan_free(p);
	sl_plan_free(first);
	sl_graph_free(g);
	sl_buf_done(&gold.file);
}

static void compare_net(
	const struct golden *gold, struct sl_trainer *t, const struct sl_plan *p, bool ema, double drift)
{
	struct sl_graph *g = sl_trainer_graph(t, ema);
	for (int i = 0; i < p->nparam; i++) {
		const struct sl_value *v = &g->value[p->param[i].value];
		SL_AUTOFREE char *name = sl_asprintf("%s.%s", ema ? "ema" : "weight", v->name);
		compare(gold, name, v->f32, p->param[i].n, false,
			p->param[i].is_stat ? 0.005 * drift : drift * LR * STEPS);
	}
	sl_graph_free(g);
}

static void train(const struct kind *k, enum sl_precision precision, double loss_tolerance)
{
	struct sl_err err = {0};
	struct golden gold = golden_open(k->file);
	struct sl_plan *p;
	struct sl_graph *g = net_of(k, &p);
	struct sl_train_options o = {1, precision, 0.9f, 0.99f, 1e-8f, 0.02f, 0.998f, k->is_detector ? 0.03f : 0.1f,
		k->is_detector ? 10 : 0, 1};
	struct sl_batch_source source = {(void *)k, fill, loss};
	struct sl_trainer *t;
	struct sl_step_result res;
	enum sl_status s = sl_trainer_new(g, k->shape, &o, &source, &t, &err);
	if (s == SL_UNSUPPORTED && precision == SL_PRECISION_BF16)
		SKIP("this processor has no bf16");
	CHECK_OK(s);
	for (int i = 0; i < STEPS; i++) {
		char name[32];
		uint32_t n;
		CHECK_OK(sl_trainer_step(t, LR, &res, &err));
		snprintf(name, sizeof(name), "loss.%d", i);
		if (loss_tolerance > 0) {
			float want = *golden_find(&gold, name, &n);
			CHECK_NEAR(res.loss, want, loss_tolerance * want);
			continue;
		}
		compare(&gold, name, &res.loss, 1, false, 1e-4 * res.loss);
		snprintf(name, sizeof(name), "norm.%d", i);
		compare(&gold, name, &res.grad_norm, 1, false, 1e-3 * res.grad_norm);
	}
	if (loss_tolerance == 0) {
		compare_net(&gold, t, p, false, k->drift);
		compare_net(&gold, t, p, true, k->drift);
	}
	printf("# worst use of a tolerance: %.2f\n", worst_used);
	sl_trainer_free(t);
	sl_plan_free(p);
	sl_graph_free(g);
	sl_buf_done(&gold.file);
}

TEST(train_golden, classifier_pass)
{
	check_pass(&classifier);
}

TEST(train_golden, detector_pass)
{
	check_pass(&detector);
}

/* The way of a processor without AVX-512: blocks of 8 channels. */
TEST(train_golden, detector_pass_avx2)
{
	setenv("DNNL_MAX_CPU_ISA", "AVX2", 1);
	check_pass(&detector);
}

TEST(train_golden, classifier_ten_steps)
{
	train(&classifier, SL_PRECISION_F32, 0);
}

TEST(train_golden, detector_ten_steps)
{
	train(&detector, SL_PRECISION_F32, 0);
}

/* bf16 has 8 bits: relative rounding of 2^-9 in each of about 20 layers, at random signs 1 %; the
 * weights then drift apart over the steps, so that twice as much is allowed. */
TEST(train_golden, classifier_ten_steps_bf16)
{
	train(&classifier, SL_PRECISION_BF16, 0.02);
}

TEST(train_golden, detector_ten_steps_bf16)
{
	train(&detector, SL_PRECISION_BF16, 0.02);
}

TEST(train_golden, losses)
{
	static const int label[] = {0, 5, 42, 17, 5, 30};
	struct sl_target_box a[] = {
		{10, 12, 34, 38, false}, {14, 14, 30, 30, false}, {60, 2, 127, 63, false}, {0, 40, 20, 60, true}};
	struct sl_target_box c[] = {{100, 10, 128, 44, false}, {97, 9, 129.5f, 50, true}};
	const struct sl_targets three[] = {{a, 4}, {NULL, 0}, {c, 2}};
	struct golden gold = golden_open("train_losses.bin");
	static float z[6 * 43], dz[6 * 43], o[3 * 5 * 16 * 32], d[3 * 5 * 16 * 32];
	struct sl_rng rng = sl_rng(21, 1);
	float parts[4];
	for (size_t i = 0; i < SL_COUNT(z); i++)
		z[i] = sl_rng_uniform(&rng, -4, 4);
	struct sl_tensor logits = {z, {2, {6, 43}}}, grad = {dz, {2, {6, 43}}};
	float l = sl_loss_smooth(&logits, label, 0.05f, &grad);
	compare(&gold, "smooth", &l, 1, true, 0);
	compare(&gold, "smooth.grad", dz, SL_COUNT(dz), true, 0);
	rng = sl_rng(21, 2);
	for (size_t i = 0; i < SL_COUNT(o); i++)
		o[i] = sl_rng_uniform(&rng, -3.5f, 4.5f);
	struct sl_tensor out = {o, {4, {3, 5, 16, 32}}}, dout = {d, {4, {3, 5, 16, 32}}};
	l = sl_loss_center(&out, three, &dout, parts);
	compare(&gold, "heat", &parts[0], 1, true, 0);
	compare(&gold, "box", &parts[1], 1, true, 0);
	compare(&gold, "center.grad", d, SL_COUNT(d), true, 0);
	CHECK_NEAR(l, parts[0] + 2 * parts[1], 1e-4);
	sl_buf_done(&gold.file);
}

TEST(train_golden, schedules)
{
	struct golden gold = golden_open("train_schedules.bin");
	uint32_t n;
	const float *cls = golden_find(&gold, "classifier", &n), *det = golden_find(&gold, "detector", &n);
	CHECK_EQ(n, 201);
	for (uint32_t i = 0; i < n; i++) {
		CHECK_NEAR(sl_lr_classifier(i / 200.0, 0.002, 0.1), cls[i], 1e-9);
		CHECK_NEAR(sl_lr_detector(i / 200.0, 0.004), det[i], 1e-9);
	}
	CHECK_NEAR(sl_lr_classifier(7, 0.002, 0.1), 0, 1e-9);
	CHECK_NEAR(sl_lr_classifier(-1, 0.002, 0.1), 0, 0);
	sl_buf_done(&gold.file);
}
