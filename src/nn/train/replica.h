/* SPDX-License-Identifier: Apache-2.0
 *
 * One worker's copy of a net in training: activations, gradients and primitives for its
 * part of the batch. Weights are not in it: they come with each call.
 *
 * Owner: the caller. Thread: the one that made it.
 */
#pragma once
#include "nn/model.h"
#include "nn/train/plan.h"

struct sl_replica;

/* half: bf16 images and weights. p stays the caller's. seed: of dropout. */
enum sl_status sl_replica_new(
	const struct sl_plan *p, bool half, uint64_t seed, struct sl_replica **ret, struct sl_err *err);
void sl_replica_free(struct sl_replica *r); /* NULL is fine */

struct sl_tensor *sl_replica_input(struct sl_replica *r); /* to be filled before forward */
struct sl_tensor *sl_replica_outputs(struct sl_replica *r); /* noutput of them, set by forward */
struct sl_tensor *sl_replica_grads(struct sl_replica *r); /* of the outputs; filled before backward */
/* Batch mean and unbiased variance of the last forward, as the plan numbers statistics. */
const float *sl_replica_stats(const struct sl_replica *r);

/* stream: which random numbers dropout takes. */
enum sl_status sl_replica_forward(struct sl_replica *r, const float *weights, uint64_t stream, struct sl_err *err);
enum sl_status sl_replica_backward(struct sl_replica *r, const float *weights, float *grads, struct sl_err *err);
