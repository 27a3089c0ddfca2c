/* SPDX-License-Identifier: Apache-2.0
 *
 * Naive C for every operator: the judge of fast code in tests, the evaluator of constant
 * subgraphs, and what oneDNN's executor falls back to. Plain loops, row-major, f32 sums in
 * f64 where they are long.
 *
 * Owner: the caller. Thread: any. Shapes were checked by sl_node_shapes() before; INVALID
 * is left for contents (an index out of range, a division of integers by zero).
 */
#pragma once
#include "nn/shape.h"

/* out: noutput tensors with type, shape and room for the content. */
enum sl_status sl_ref_eval(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out, struct sl_err *err);

/* The parts, by file. */
void sl_ref_conv(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out);
void sl_ref_pool(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out);
void sl_ref_gemm(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out);
void sl_ref_matmul(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out);
void sl_ref_batchnorm(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out);
void sl_ref_softmax(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out);
void sl_ref_mean(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out);
enum sl_status sl_ref_unary(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out);
enum sl_status sl_ref_binary(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out, struct sl_err *err);
enum sl_status sl_ref_move(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out, struct sl_err *err);
void sl_ref_resize(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out);
