/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of a trainer, for its own files only (train.h is for everybody else).
 *
 * A step has three parts with a barrier after each: every worker computes its gradient;
 * every worker adds up a slice of all gradients; every worker moves a slice of the
 * weights. The caller's thread only waits.
 */
#pragma once
#include "nn/train/optimizer.h"
#include "nn/train/replica.h"
#include "nn/train/train.h"
#include <pthread.h>

enum { SL_TRAIN_WORKERS = 64 };

struct sl_worker {
	struct sl_trainer *t;
	int index;
	pthread_t thread;
	bool is_started;
	struct sl_replica *replica;
	enum sl_status status; /* of the last step, or of the start */
	struct sl_err err;
	float loss, parts[4];
	double squares; /* of its slice of the mean gradient */
};

struct sl_trainer {
	struct sl_train_options o;
	struct sl_batch_source source;
	struct sl_plan *plan;
	bool half;
	struct sl_worker *worker;
	float **grad; /* one a worker */
	float *weights, *stats; /* flat, as the plan numbers them */
	float *m, *v, *decay;
	float *ema, *ema_stats;
	int64_t step; /* done */
	float lr;
	double norm; /* of the step that runs */
	bool is_refused; /* the step is given up: some worker failed, or the gradient is not finite */
	pthread_mutex_t lock;
	pthread_cond_t wake, done;
	int64_t turn; /* counts commands */
	int running; /* workers that are not done with this turn */
	bool is_stopping;
	pthread_barrier_t barrier;
};
