/* SPDX-License-Identifier: Apache-2.0
 *
 * Training of a graph: forward, backward, AdamW and EMA, on one or several threads.
 *
 * The graph holds the net in its training form (Conv without bias, BatchNormalization,
 * Relu, Add, Resize nearest x2, GlobalAveragePool, Flatten, Dropout, Gemm). Each of
 * `workers` threads keeps its own activations and batch-norm batch statistics and sees
 * batch/workers samples a step; gradients are averaged, weights and running statistics
 * (of worker 0) are one. With precision BF16 convolutions and Gemm compute on bf16
 * copies of f32 master weights; everything else is f32.
 *
 * AdamW (Loshchilov and Hutter 2019): decoupled decay, times the learning rate, on
 * weights of Conv and Gemm of rank >= 2 only. EMA of all weights and running
 * statistics, d = min(ema, (1+t)/(10+t)).
 *
 * Reproducible: same graph, options, seed, number of workers and data give the same
 * bytes on the same machine and library.
 *
 * Owner: the caller. Thread: all calls from one; the callback on the workers.
 */
#pragma once
#include "nn/model.h"

struct sl_trainer;

struct sl_train_options {
	int workers; /* threads, 1..64 */
	enum sl_precision precision;
	float beta1, beta2, eps, weight_decay, ema, bn_momentum; /* running = (1-m) running + m batch */
	float clip_norm; /* of the averaged gradient; 0: none */
	uint64_t seed; /* dropout */
};

/* Makes worker w's part of step `step`: fills in (the input shape with its part of the
 * batch). Runs on that worker's thread; must depend on (step, w) alone. */
struct sl_batch_source {
	void *arg;
	enum sl_status (*fill)(void *arg, int worker, int64_t step, struct sl_tensor *in, struct sl_err *err);
	/* Loss of the outputs for the samples that fill() just made for this worker: returns
	 * the loss and writes d loss / d output (same shapes) into grad. `parts` (up to 4,
	 * for progress) may be set. `norm` as in sl_trainer_step. */
	float (*loss)(void *arg, int worker, int64_t step, const struct sl_tensor *out, struct sl_tensor *grad,
		float parts[4]);
};

struct sl_step_result {
	float loss, parts[4], grad_norm; /* means over workers; norm before clipping */
};

enum sl_status sl_trainer_new(const struct sl_graph *g, struct sl_shape batch_input, const struct sl_train_options *o,
	const struct sl_batch_source *source, struct sl_trainer **ret, struct sl_err *err);
void sl_trainer_free(struct sl_trainer *t);
enum sl_status sl_trainer_step(struct sl_trainer *t, float lr, struct sl_step_result *ret, struct sl_err *err);
int64_t sl_trainer_steps(const struct sl_trainer *t); /* done so far */

/* The net as it is now (ema false) or its average (ema true), in the training form;
 * sl_graph_fold() makes the form for deployment. Freed by the caller. */
struct sl_graph *sl_trainer_graph(struct sl_trainer *t, bool ema);

/* Whole state, to stop and go on with the same result: weights, moments, EMA, step. */
enum sl_status sl_trainer_save(struct sl_trainer *t, struct sl_buf *ret, struct sl_err *err);
enum sl_status sl_trainer_restore(struct sl_trainer *t, struct sl_slice saved, struct sl_err *err);
