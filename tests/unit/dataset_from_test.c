/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "dataset/learn_task.h"
#include "harness.h"
#include "nn/onnx/onnx.h"
#include "nn/train/nets.h"

enum { CLASSES = 5, BATCH = 8, PIXELS = 3 * 48 * 48 };

static enum sl_status fill(void *arg, int worker, int64_t step, struct sl_tensor *in, struct sl_err *err)
{
	struct sl_rng r = sl_rng((uint64_t)step + 1, 7);
	for (int64_t i = 0; i < sl_shape_count(&in->shape); i++)
		in->data[i] = sl_rng_normal(&r);
	return SL_OK;
}

/* Batch norms as after a training: nothing is 0 or 1. */
static void shake_norms(struct sl_graph *g)
{
	struct sl_rng r = sl_rng(3, 3);
	for (int i = 0; i < g->nnode; i++)
		for (int k = 1; g->node[i].op == SL_OP_BATCHNORM && k < 5; k++) {
			struct sl_value *v = &g->value[g->node[i].in[k]];
			for (int64_t c = 0; c < sl_shape_count(&v->shape); c++)
				v->f32[c] =
					k == 2 || k == 3 ? 0.3f * sl_rng_normal(&r) : sl_rng_uniform(&r, 0.5f, 1.5f);
		}
}

static char *write_net(struct sl_graph *g)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_graph *folded = NULL;
	struct sl_err err;
	char *path = sl_fs_join(sl_test_dir(), "from.onnx");
	CHECK_OK(sl_graph_fold(g, &folded, &err));
	CHECK_OK(sl_onnx_write(folded, &file, &err));
	CHECK_OK(sl_fs_write(path, sl_buf_slice(&file), true, &err));
	sl_graph_free(folded);
	return path;
}

static void answers(const struct sl_graph *g, float ret[BATCH * CLASSES])
{
	struct sl_err err;
	struct sl_model *m = NULL;
	struct sl_tensor in = {.shape = SL_SHAPE(BATCH, 3, 48, 48)}, out[SL_NODE_OUT];
	SL_AUTOFREE float *pixels = sl_aligned(sizeof(float) * BATCH * PIXELS);
	in.data = pixels;
	CHECK(fill(NULL, 0, 99, &in, &err) == SL_OK);
	CHECK_OK(sl_model_new(g, "dnnl", SL_PRECISION_F32, &m, &err));
	struct sl_session *s = sl_session_new(m);
	CHECK_OK(sl_session_run(s, &in, out, &err));
	memcpy(ret, out[0].data, sizeof(float) * BATCH * CLASSES);
	sl_session_free(s);
	sl_model_free(m);
}

TEST(learn_from, the_training_form_of_a_folded_net_gives_its_answers)
{
	struct sl_graph *old = sl_net_classifier(CLASSES, 0, 1);
	struct sl_task t = {.graph = sl_net_classifier(CLASSES, 0, 2),
		.input = SL_SHAPE(2 * BATCH, 3, 48, 48),
		.batch = {NULL, fill, NULL}};
	float want[BATCH * CLASSES], got[BATCH * CLASSES], fresh[BATCH * CLASSES], far = 0;
	char sha[65] = "";
	struct sl_err err;
	shake_norms(old);
	SL_AUTOFREE char *path = write_net(old);
	answers(old, want);
	answers(t.graph, fresh);
	CHECK_OK(sl_learn_from(&t, 2, path, sha, &err));
	answers(t.graph, got);
	for (int i = 0; i < BATCH * CLASSES; i++) {
		CHECK_NEAR(got[i], want[i], 1e-4);
		far = SL_MAX(far, want[i] - fresh[i]);
	}
	CHECK(far > 1e-2); /* the nets were not the same to begin with */
	CHECK_EQ(strlen(sha), 64);
	sl_graph_free(old);
	sl_graph_free(t.graph);
}

TEST(learn_from, another_number_of_classes_starts_the_last_layer_anew)
{
	struct sl_graph *old = sl_net_classifier(CLASSES + 2, 0, 1);
	struct sl_task t = {.graph = sl_net_classifier(CLASSES, 0, 2),
		.input = SL_SHAPE(BATCH, 3, 48, 48),
		.batch = {NULL, fill, NULL}};
	struct sl_err err;
	char sha[65];
	float got[BATCH * CLASSES];
	SL_AUTOFREE char *path = write_net(old);
	CHECK_OK(sl_learn_from(&t, 1, path, sha, &err));
	answers(t.graph, got);
	sl_graph_free(old);
	sl_graph_free(t.graph);
}

TEST(learn_from, another_net_is_refused)
{
	struct sl_graph *old = sl_net_detector(1);
	struct sl_task t = {.graph = sl_net_classifier(CLASSES, 0, 2),
		.input = SL_SHAPE(BATCH, 3, 48, 48),
		.batch = {NULL, fill, NULL}};
	struct sl_err err;
	char sha[65];
	SL_AUTOFREE char *path = write_net(old);
	CHECK_STATUS(sl_learn_from(&t, 1, path, sha, &err), SL_INVALID);
	CHECK(strstr(err.text, "another net"));
	CHECK_STATUS(sl_learn_from(&t, 1, "/nowhere.onnx", sha, &err), SL_NOT_FOUND);
	sl_graph_free(old);
	sl_graph_free(t.graph);
}
