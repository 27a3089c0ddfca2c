/* SPDX-License-Identifier: Apache-2.0
 *
 * Training speed of the nets that ship, on data that costs nothing to make:
 *   bench_train classifier|detector WORKERS BATCH PRECISION(bf16|f32) STEPS
 * Prints samples a second, of the best of five parts of the run and over all.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/train/nets.h"
#include "nn/train/train.h"
#include <stdio.h>

struct bench {
	bool is_detector;
	int part; /* samples of a worker */
};

static enum sl_status fill(void *arg, int worker, int64_t step, struct sl_tensor *in, struct sl_err *err)
{
	if (step > 0)
		return SL_OK;
	struct sl_rng r = sl_rng(1, (uint64_t)worker);
	for (int64_t i = 0, n = sl_shape_count(&in->shape); i < n; i++)
		in->data[i] = sl_rng_uniform(&r, -1, 1);
	return SL_OK;
}

static float loss(
	void *arg, int worker, int64_t step, const struct sl_tensor *out, struct sl_tensor *grad, float parts[4])
{
	const struct bench *b = arg;
	int label[1024];
	struct sl_target_box box[2] = {{40, 50, 80, 92, false}, {200, 210, 230, 240, false}};
	struct sl_targets targets[1024];
	for (int i = 0; i < b->part; i++) {
		label[i] = i % 43;
		targets[i] = (struct sl_targets){box, 2};
	}
	return b->is_detector ? sl_loss_center(out, targets, grad, parts) : sl_loss_smooth(out, label, 0.05f, grad);
}

int main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: %s classifier|detector WORKERS BATCH bf16|f32 STEPS\n", argv[0]);
		return 2;
	}
	int workers = atoi(argv[2]), batch = atoi(argv[3]), steps = SL_MAX(5, atoi(argv[5]));
	struct bench b = {!strcmp(argv[1], "detector"), batch / SL_MAX(1, workers)};
	struct sl_train_options o = {workers, strcmp(argv[4], "f32") ? SL_PRECISION_BF16 : SL_PRECISION_F32, 0.9f,
		0.99f, 1e-8f, 0.02f, 0.998f, 0.1f, 10, 1};
	int side = b.is_detector ? 320 : 48;
	struct sl_graph *g = b.is_detector ? sl_net_detector(1) : sl_net_classifier(43, 0.1f, 1);
	struct sl_batch_source source = {&b, fill, loss};
	struct sl_trainer *t = NULL;
	struct sl_err err;
	if (b.part > 1024 ||
		sl_trainer_new(g, (struct sl_shape){4, {batch, 3, side, side}}, &o, &source, &t, &err) != SL_OK) {
		fprintf(stderr, "%s\n", b.part > 1024 ? "at most 1024 samples a worker" : err.text);
		return 2;
	}
	struct sl_step_result r;
	double best = 0, all = 0;
	if (sl_trainer_step(t, 1e-3f, &r, &err) != SL_OK)
		return 3;
	for (int k = 0; k < 5; k++) {
		int64_t from = sl_mono_us();
		for (int i = 0; i < steps / 5; i++)
			if (sl_trainer_step(t, 1e-3f, &r, &err) != SL_OK)
				return 3;
		double s = (double)(sl_mono_us() - from) * 1e-6;
		best = SL_MAX(best, batch * (steps / 5) / s);
		all += s;
	}
	printf("%s %s workers %d batch %d: best %.1f, mean %.1f samples/s, loss %.4f\n", argv[1], argv[4], workers,
		batch, best, batch * (steps / 5) * 5 / all, r.loss);
	sl_trainer_free(t);
	sl_graph_free(g);
	return 0;
}
