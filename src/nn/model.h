/* SPDX-License-Identifier: Apache-2.0
 *
 * A net ready to run. No foreign type. Two executors: "ref" (naive C, the judge in
 * tests) and "dnnl" (oneDNN, what serves).
 *
 * sl_model is read-only after loading and shared; each thread that infers makes its own
 * sl_session, which owns primitives and scratch for the input shapes it has seen (at
 * most SL_SESSION_SHAPES, the oldest is dropped). A session runs on one thread at a
 * time and uses one core. Destroying both frees every descriptor.
 *
 * Tensors are f32, row-major, images N,C,H,W, unless the file says otherwise.
 */
#pragma once
#include "nn/graph.h"

enum sl_precision {
	SL_PRECISION_AUTO,
	SL_PRECISION_F32,
	SL_PRECISION_BF16
}; /* AUTO: bf16 where the processor has it */

struct sl_model;
struct sl_session;

struct sl_tensor {
	float *data; /* owned by whoever made it; of results: the session, valid until its next run */
	struct sl_shape shape;
};

enum { SL_SESSION_SHAPES = 8 };

/* Takes a copy of g, folds it. executor: "ref" or "dnnl". */
enum sl_status sl_model_new(const struct sl_graph *g, const char *executor, enum sl_precision precision,
	struct sl_model **ret, struct sl_err *err);
enum sl_status sl_model_load(struct sl_slice onnx, const char *executor, enum sl_precision precision,
	struct sl_model **ret, struct sl_err *err);
void sl_model_free(struct sl_model *m); /* after its sessions; NULL is fine */
const struct sl_graph *sl_model_graph(const struct sl_model *m); /* the folded one: names and open shapes */
enum sl_precision sl_model_precision(const struct sl_model *m); /* never AUTO */
int64_t sl_model_bytes(const struct sl_model *m);

struct sl_session *sl_session_new(const struct sl_model *m);
void sl_session_free(struct sl_session *s);
int64_t sl_session_bytes(const struct sl_session *s); /* scratch of the shapes it keeps */
/* in: ninput tensors in the graph's order; ret: noutput tensors, set on OK. INVALID on a
 * shape that does not fit, named; TOO_LARGE past SL_SESSION_BYTES of scratch. */
enum sl_status sl_session_run(
	struct sl_session *s, const struct sl_tensor *in, struct sl_tensor *ret, struct sl_err *err);
/* The same for a net with one input of 1,3,H,W, from 8-bit interleaved pixels, which
 * spares the executor a conversion: x = (v - mean) * scale, 0 right of and below the
 * picture, which is at most W wide and H high. swap: channel 0 of the net is pixel
 * component 2 (RGB pixels, BGR net). */
struct sl_pixels {
	const uint8_t *px; /* rows of w*3 bytes, no gaps */
	int w, h;
	int net_w, net_h;
	float mean, scale;
	bool swap;
};
enum sl_status sl_session_run_pixels(
	struct sl_session *s, const struct sl_pixels *in, struct sl_tensor *ret, struct sl_err *err);
#define SL_SESSION_BYTES ((int64_t)2 << 30)
