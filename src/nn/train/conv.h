/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions of the trainer, forward and backward, on oneDNN. The only file of
 * nn/train that knows it. Images are in blocks (lanes.h); a convolution that reads the
 * graph's input reads row-major f32.
 *
 * Owner: the caller. Thread: the one that made the context, limited to one core.
 * Errors: UNSUPPORTED when oneDNN refuses a shape, IO when it fails to run.
 */
#pragma once
#include "base/status.h"
#include <stdint.h>

struct sl_conv_ctx; /* engine, stream and scratch memory of one thread */
struct sl_conv;

struct sl_conv_spec {
	int n, ci, co, h, w, ho, wo; /* batch, channels, input and output sides */
	int kh, kw, stride_h, stride_w, pad[4]; /* top, left, bottom, right */
	int groups; /* 1, or ci = co: depthwise */
	bool has_bias;
	bool half; /* bf16 images and weights */
	bool plain_src; /* row-major f32 source; no gradient by it */
	bool full_dst; /* f32 result although half; its gradient comes as bf16 */
	bool needs_dx;
	int lanes; /* channels in a block: 8 or 16 */
};

struct sl_conv_ctx *sl_conv_ctx_new(void); /* also limits OpenMP on this thread to one core */
void sl_conv_ctx_free(struct sl_conv_ctx *x); /* after its convolutions; NULL is fine */
bool sl_conv_has_bf16(void); /* does the processor compute bf16? */
int sl_conv_lanes(void); /* best block for this processor */

enum sl_status sl_conv_new(
	struct sl_conv_ctx *x, const struct sl_conv_spec *s, struct sl_conv **ret, struct sl_err *err);
void sl_conv_free(struct sl_conv *c); /* NULL is fine */
/* weights: O,I/groups,kH,kW; copied (and rounded) for the next passes. */
enum sl_status sl_conv_load(struct sl_conv *c, const float *weights, const float *bias, struct sl_err *err);
enum sl_status sl_conv_forward(struct sl_conv *c, void *src, void *dst, struct sl_err *err);
/* Writes dx (if needs_dx), dw and db (if has_bias); src as in the last forward. */
enum sl_status sl_conv_backward(
	struct sl_conv *c, void *src, void *dy, void *dx, float *dw, float *db, struct sl_err *err);

/* c (m x n) = op(a) op(b) + beta c, row-major f32; ta, tb: transposed. */
void sl_matmul(bool ta, bool tb, int m, int n, int k, const float *a, const float *b, float beta, float *c);
