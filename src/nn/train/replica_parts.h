/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of a replica, for replica.c (memory and order) and its operations only:
 * do_norm.c (batch norm with what is joined to it) and do_plain.c (matrices, pool).
 *
 * Owner: the replica. Thread: its own.
 */
#pragma once
#include "nn/train/conv.h"
#include "nn/train/lanes.h"
#include "nn/train/replica.h"
#include <string.h>

/* A value: its data, and one gradient from each of its readers, added up by its maker. */
struct sl_cell {
	void *data;
	void **grad;
	int ngrad;
	int n, c, h, w, blocks;
	size_t rows, count; /* pixels a picture; numbers in data, channels past c included */
	bool half;
};

/* What an operation keeps from forward to backward. */
struct sl_work {
	struct sl_conv *conv;
	float *mean, *inv; /* NORM: by channel, whole blocks */
	float *temp, *temp2; /* POOL: means in whole blocks; GEMM: rounded copies; DROPOUT: factors */
	void *dx; /* where the gradients by x and add go; NULL: nobody asks */
	void *dadd;
};

struct sl_replica {
	const struct sl_plan *p;
	bool half;
	uint64_t seed;
	const struct sl_lanes *lanes;
	struct sl_conv_ctx *ctx;
	struct sl_cell *cell;
	struct sl_work *work;
	float *stats;
	struct sl_tensor input, out[SL_NODE_IN], grad[SL_NODE_IN];
	void **memory; /* everything allocated, freed together */
	int nmemory;
};

static inline const float *sl_param_of(const struct sl_replica *r, const float *all, int k)
{
	return k < 0 ? NULL : all + r->p->param[k].at;
}

static inline float *sl_param_grad(const struct sl_replica *r, float *all, int k)
{
	return k < 0 ? NULL : all + r->p->param[k].at;
}

/* Leaves at most `left` gradients of a value, the rest added to the first. */
void sl_fold_grads(struct sl_replica *r, int value, int left);

/* i: number of the operation in the plan. */
void sl_norm_forward(struct sl_replica *r, int i, const float *weights);
void sl_norm_backward(struct sl_replica *r, int i, const float *weights, float *grads);
void sl_gemm_forward(struct sl_replica *r, int i, const float *weights);
void sl_gemm_backward(struct sl_replica *r, int i, const float *weights, float *grads);
void sl_dropout_forward(struct sl_replica *r, int i, uint64_t stream);
void sl_pool_forward(struct sl_replica *r, int i);
void sl_pool_backward(struct sl_replica *r, int i);
void sl_flatten(struct sl_replica *r, int i, bool back);
