/* SPDX-License-Identifier: Apache-2.0
 *
 * What the trainer does for a graph: a list of operations with BatchNormalization, the
 * Add of a branch and Relu joined into one, and the graph's weights numbered in two flat
 * vectors: those that the optimiser moves, and running statistics.
 *
 * Owner: the caller. Thread: one while it is made, then any may read.
 * Errors: UNSUPPORTED names the node that training does not know.
 */
#pragma once
#include "nn/graph.h"

enum sl_do_kind { SL_DO_CONV, SL_DO_NORM, SL_DO_SUM, SL_DO_UP, SL_DO_POOL, SL_DO_FLATTEN, SL_DO_DROPOUT, SL_DO_GEMM };

struct sl_do {
	enum sl_do_kind kind;
	const struct sl_node *node;
	int x, add, y; /* values; NORM: y = [relu](norm(x) [+ add]), SUM: y = [relu](x [+ add]); add -1: none */
	int weight, bias; /* parameters: of Conv and Gemm, or gamma and beta; -1: none */
	int mean, var; /* NORM: parameters that are statistics */
	bool relu;
	float eps, ratio; /* NORM; DROPOUT */
	bool trans_b; /* GEMM: weight is out x in */
};

struct sl_param {
	int value; /* in the graph */
	size_t at, n; /* place in the vector of weights, or of statistics */
	bool is_stat;
	bool decays; /* weight of Conv or Gemm of rank >= 2 */
};

/* Which operation made a value and who reads it. */
struct sl_use {
	int maker; /* index in sl_plan.does; -1: input or weight */
	int reads; /* by nodes, and 1 if it is an output */
	bool is_output;
	bool is_plain; /* row-major f32; otherwise an image in blocks */
};

struct sl_plan {
	struct sl_graph *g; /* a clone, owned */
	struct sl_shape *shape; /* of each value, for one worker's part of the batch */
	struct sl_use *use; /* of each value */
	struct sl_do *does;
	int ndo;
	struct sl_param *param;
	int nparam;
	size_t nweight, nstat;
};

/* input: the shape of one worker's part. */
enum sl_status sl_plan_new(const struct sl_graph *g, struct sl_shape input, struct sl_plan **ret, struct sl_err *err);
void sl_plan_free(struct sl_plan *p); /* NULL is fine */
