/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "nn/model.h"
#include "nn/train/nets.h"
#include <malloc.h>
#include <math.h>

static struct sl_tensor random_input(struct sl_shape s, uint64_t seed)
{
	struct sl_tensor t = {sl_calloc((size_t)sl_shape_count(&s), sizeof(float)), s};
	struct sl_rng r = sl_rng(seed, 1);

	for (int64_t i = 0; i < sl_shape_count(&s); i++)
		t.data[i] = sl_rng_normal(&r);
	return t;
}

/* Batch norms that do something, weights that let differences through. */
static void shake(struct sl_graph *g)
{
	struct sl_rng r = sl_rng(7, 7);

	for (int i = 0; i < g->nvalue; i++) {
		struct sl_value *v = &g->value[i];
		size_t len = strlen(v->name);

		if (v->kind != SL_VALUE_WEIGHT || v->dtype != SL_F32)
			continue;
		for (int64_t k = 0; k < sl_shape_count(&v->shape); k++) {
			if (len > 4 && strcmp(v->name + len - 4, ".var") == 0)
				v->f32[k] = sl_rng_uniform(&r, .5f, 2);
			else if (strstr(v->name, ".bn.") || strstr(v->name, "bias"))
				v->f32[k] += sl_rng_uniform(&r, -.2f, .2f);
		}
	}
}

static double difference(const struct sl_tensor *a, const struct sl_tensor *b)
{
	double worst = 0, most = 1e-6;

	CHECK(sl_shape_is_same(&a->shape, &b->shape));
	for (int64_t i = 0; i < sl_shape_count(&a->shape); i++) {
		worst = fmax(worst, fabs((double)(a->data[i] - b->data[i])));
		most = fmax(most, fabs((double)a->data[i]));
	}
	return worst / most;
}

static void check_net(const struct sl_graph *g, struct sl_shape shape, enum sl_precision precision, double limit)
{
	struct sl_tensor in = random_input(shape, 3), a, b;
	struct sl_model *ref, *fast;
	struct sl_session *sr, *sf;
	struct sl_err err = {0};
	double d;

	CHECK_OK(sl_model_new(g, "ref", SL_PRECISION_AUTO, &ref, &err));
	CHECK_OK(sl_model_new(g, "dnnl", precision, &fast, &err));
	sr = sl_session_new(ref);
	sf = sl_session_new(fast);
	CHECK_OK(sl_session_run(sr, &in, &a, &err));
	CHECK_OK(sl_session_run(sf, &in, &b, &err));
	d = difference(&a, &b);
	if (!(d <= limit))
		sl_test_fail(__FILE__, __LINE__, "off by %.3g", d);
	sl_session_free(sr);
	sl_session_free(sf);
	sl_model_free(ref);
	sl_model_free(fast);
	free(in.data);
}

TEST(nn_model, shipped_nets_agree_with_naive_code)
{
	struct sl_graph *det = sl_net_detector(5), *cls = sl_net_classifier(43, .1f, 5);

	shake(det);
	shake(cls);
	check_net(det, SL_SHAPE(1, 3, 64, 96), SL_PRECISION_F32, 1e-5);
	check_net(det, SL_SHAPE(2, 3, 96, 32), SL_PRECISION_F32, 1e-5);
	check_net(cls, SL_SHAPE(3, 3, 48, 48), SL_PRECISION_F32, 1e-5);
	check_net(det, SL_SHAPE(1, 3, 64, 96), SL_PRECISION_AUTO, .06);
	check_net(cls, SL_SHAPE(3, 3, 48, 48), SL_PRECISION_AUTO, .06);
	sl_graph_free(det);
	sl_graph_free(cls);
}

TEST(nn_model, shipped_nets_cost_what_their_recipes_say)
{
	struct sl_graph *det = sl_net_detector(1), *cls = sl_net_classifier(43, .1f, 1);
	struct sl_shape scene = SL_SHAPE(1, 3, 800, 1376), sign = SL_SHAPE(1, 3, 48, 48);
	struct sl_err err = {0};
	int64_t macs, params;

	CHECK_OK(sl_graph_cost(det, &scene, &macs, &params, &err));
	CHECK_EQ(params, 291893);
	CHECK_NEAR((double)macs, 2.40e9, 5e6);
	CHECK_OK(sl_graph_cost(cls, &sign, &macs, &params, &err));
	CHECK_EQ(params, 345659);
	CHECK_NEAR((double)macs, 11.70e6, 5e3);
	sl_graph_free(det);
	sl_graph_free(cls);
}

TEST(nn_model, folding_does_not_change_the_answer)
{
	struct sl_graph *g = sl_net_detector(9), *folded;
	struct sl_shape shape = SL_SHAPE(1, 3, 64, 64);
	struct sl_err err = {0};
	int64_t macs[2], params[2];

	shake(g);
	CHECK_OK(sl_graph_fold(g, &folded, &err));
	for (int i = 0; i < folded->nnode; i++)
		CHECK(folded->node[i].op != SL_OP_BATCHNORM && folded->node[i].op != SL_OP_IDENTITY);
	CHECK_OK(sl_graph_cost(g, &shape, &macs[0], &params[0], &err));
	CHECK_OK(sl_graph_cost(folded, &shape, &macs[1], &params[1], &err));
	CHECK_EQ(macs[0], macs[1]);
	CHECK(params[1] < params[0]);
	CHECK_STR(folded->value[folded->output[0]].name, g->value[g->output[0]].name);
	sl_graph_free(folded);
	/* The naive executor folds as every model does; a second use of a convolution's result keeps its norm. */
	folded = sl_graph_clone(g);
	for (int i = 0; i < g->nnode; i++)
		if (g->node[i].op == SL_OP_CONV && folded->noutput < SL_NODE_OUT)
			sl_graph_output(folded, g->node[i].out[0]);
	{
		struct sl_tensor in = random_input(shape, 4), a[SL_NODE_OUT], b[SL_NODE_IN];
		struct sl_model *m1, *m2;
		struct sl_session *s1, *s2;

		CHECK_OK(sl_model_new(g, "ref", SL_PRECISION_F32, &m1, &err));
		CHECK_OK(sl_model_new(folded, "ref", SL_PRECISION_F32, &m2, &err));
		s1 = sl_session_new(m1);
		s2 = sl_session_new(m2);
		CHECK_OK(sl_session_run(s1, &in, a, &err));
		CHECK_OK(sl_session_run(s2, &in, b, &err));
		CHECK(difference(&a[0], &b[0]) < 1e-5);
		sl_session_free(s1);
		sl_session_free(s2);
		sl_model_free(m1);
		sl_model_free(m2);
		free(in.data);
	}
	sl_graph_free(folded);
	sl_graph_free(g);
}

TEST(nn_model, more_shapes_than_a_session_keeps)
{
	struct sl_graph *g = sl_net_classifier(5, 0, 1);
	struct sl_err err = {0};
	struct sl_model *m;
	struct sl_session *s;
	struct sl_tensor out, in = random_input(SL_SHAPE(12, 3, 48, 48), 1);
	float first[12];

	CHECK_OK(sl_model_new(g, "dnnl", SL_PRECISION_F32, &m, &err));
	s = sl_session_new(m);
	for (int round = 0; round < 3; round++)
		for (int n = 1; n <= 12; n++) {
			in.shape.dim[0] = n;
			CHECK_OK(sl_session_run(s, &in, &out, &err));
			CHECK_EQ(out.shape.dim[0], n);
			if (round == 0)
				first[n - 1] = out.data[(n - 1) * 5];
			CHECK_NEAR(out.data[(n - 1) * 5], first[n - 1], 0);
		}
	in.shape.dim[2] = 47;
	CHECK_STATUS(sl_session_run(s, &in, &out, &err), SL_INVALID);
	CHECK(strstr(err.text, "input"));
	in.shape.rank = 9;
	CHECK_STATUS(sl_session_run(s, &in, &out, &err), SL_INVALID);
	in.shape = SL_SHAPE(1 << 20, 3, 48, 48);
	CHECK_STATUS(sl_session_run(s, &in, &out, &err), SL_TOO_LARGE);
	in.shape = SL_SHAPE(1, 3, 48, 48); /* a refused shape leaves the session as it was */
	CHECK_OK(sl_session_run(s, &in, &out, &err));
	CHECK_NEAR(out.data[0], first[0], 0);
	sl_session_free(s);
	sl_model_free(m);
	sl_graph_free(g);
	free(in.data);
}

TEST(nn_model, pixels_are_the_tensor_they_stand_for)
{
	static const char *const executors[] = {"ref", "dnnl"};
	struct sl_graph *g = sl_net_detector(2);
	uint8_t px[50 * 30 * 3];
	struct sl_tensor in = {sl_calloc(3 * 32 * 64, sizeof(float)), SL_SHAPE(1, 3, 32, 64)}, a, b;
	struct sl_rng r = sl_rng(1, 1);
	struct sl_err err = {0};

	for (size_t i = 0; i < sizeof(px); i++)
		px[i] = (uint8_t)sl_rng_u32(&r);
	for (int y = 0; y < 30; y++)
		for (int x = 0; x < 50; x++)
			for (int c = 0; c < 3; c++)
				in.data[(c * 32 + y) * 64 + x] = ((float)px[(y * 50 + x) * 3 + 2 - c] - 127.5f) / 64;
	for (int e = 0; e < 2; e++)
		for (int precision = SL_PRECISION_AUTO; precision <= SL_PRECISION_F32; precision++) {
			struct sl_pixels im = {px, 50, 30, 64, 32, 127.5f, 1.f / 64, true};
			struct sl_model *m;
			struct sl_session *s1, *s2;

			CHECK_OK(sl_model_new(g, executors[e], (enum sl_precision)precision, &m, &err));
			s1 = sl_session_new(m);
			s2 = sl_session_new(m);
			CHECK_OK(sl_session_run(s1, &in, &a, &err));
			CHECK_OK(sl_session_run_pixels(s2, &im, &b, &err));
			CHECK(difference(&a, &b) == 0);
			CHECK_OK(sl_session_run_pixels(s1, &im, &b, &err));
			CHECK_OK(sl_session_run(s2, &in, &a, &err));
			CHECK(difference(&a, &b) == 0);
			im.w = 65;
			CHECK_STATUS(sl_session_run_pixels(s1, &im, &b, &err), SL_INVALID);
			sl_session_free(s1);
			sl_session_free(s2);
			sl_model_free(m);
		}
	free(in.data);
	sl_graph_free(g);
}

/* oneDNN keeps compiled code of its own (a bounded cache), so the first rounds may grow. */
TEST(nn_model, a_hundred_loads_leave_nothing)
{
	struct sl_graph *g = sl_net_classifier(43, 0, 1);
	struct sl_tensor in = random_input(SL_SHAPE(1, 3, 48, 48), 1), out;
	struct sl_err err = {0};
	size_t before = 0, after;

	for (int i = 0; i < 110; i++) {
		struct sl_model *m;
		struct sl_session *s;

		if (i == 10)
			before = mallinfo2().uordblks;
		CHECK_OK(sl_model_new(g, "dnnl", SL_PRECISION_AUTO, &m, &err));
		CHECK(sl_model_bytes(m) > 300000 * 4);
		s = sl_session_new(m);
		CHECK_OK(sl_session_run(s, &in, &out, &err));
		sl_session_free(s);
		sl_model_free(m);
	}
	after = mallinfo2().uordblks;
	if (after > before + 64 * 1024)
		sl_test_fail(__FILE__, __LINE__, "grew by %zu bytes in 100 rounds", after - before);
	free(in.data);
	sl_graph_free(g);
}

struct worker {
	const struct sl_model *m;
	const struct sl_tensor *in;
	struct sl_shape other; /* run now and then: programs are made while others run */
	float want;
	bool failed;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct sl_session *s = sl_session_new(w->m);
	struct sl_tensor out, small = {w->in->data, w->other};
	struct sl_err err = {0};

	for (int i = 0; i < 20; i++) {
		small.shape.dim[0] = 1 + i % 3;
		w->failed |= sl_session_run(s, &small, &out, &err) != SL_OK;
		w->failed |= sl_session_run(s, w->in, &out, &err) != SL_OK || out.data[7] != w->want;
	}
	sl_session_free(s);
	return NULL;
}

TEST(nn_model, sessions_of_one_model_on_several_threads)
{
	struct sl_graph *g = sl_net_detector(4);
	struct sl_tensor in = random_input(SL_SHAPE(1, 3, 96, 128), 2), out;
	struct worker w[4];
	pthread_t thread[4];
	struct sl_err err = {0};
	struct sl_model *m;
	struct sl_session *s;

	CHECK_OK(sl_model_new(g, "dnnl", SL_PRECISION_AUTO, &m, &err));
	s = sl_session_new(m);
	CHECK_OK(sl_session_run(s, &in, &out, &err));
	for (int i = 0; i < 4; i++) {
		w[i] = (struct worker){m, &in, SL_SHAPE(1, 3, 32, 32 + 32 * (i % 2)), out.data[7], false};
		thread[i] = sl_thread_start("net", work, &w[i]);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(thread[i], NULL);
		CHECK(!w[i].failed);
	}
	sl_session_free(s);
	sl_model_free(m);
	sl_graph_free(g);
	free(in.data);
}

TEST(nn_model, unknown_executor_and_precision)
{
	struct sl_graph *g = sl_net_classifier(5, 0, 1);
	struct sl_err err = {0};
	struct sl_model *m;

	CHECK_STATUS(sl_model_new(g, "gpu", SL_PRECISION_F32, &m, &err), SL_USAGE);
	CHECK_OK(sl_model_new(g, "ref", SL_PRECISION_BF16, &m, &err));
	CHECK_EQ(sl_model_precision(m), SL_PRECISION_F32);
	sl_model_free(m);
	sl_model_free(NULL);
	sl_session_free(NULL);
	sl_graph_free(g);
}
