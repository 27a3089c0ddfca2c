/* SPDX-License-Identifier: Apache-2.0
 *
 * What a node does to shapes, inside nn/: the parameters of each operator read and
 * checked once, for shape inference, the naive code and oneDNN alike; and a walk over a
 * graph at given input shapes that knows each value's shape and, where it does not
 * depend on the data, its content.
 *
 * Owner: the caller. Thread: any. Errors: INVALID, UNSUPPORTED and TOO_LARGE name the node.
 */
#pragma once
#include "nn/graph.h"

enum {
	SL_CONST_TOTAL = 1 << 24, /* most elements of constants computed in one walk */
	SL_KERNEL_MAX = 1 << 12, /* kernel side, stride, dilation, padding */
};
#define SL_VALUE_ELEMENTS ((int64_t)1 << 31) /* most elements of one value */

/* A tensor of either type. f32 and i64 both NULL: the content is not known (yet). */
struct sl_data {
	enum sl_dtype dtype;
	struct sl_shape shape;
	float *f32;
	int64_t *i64;
};

static inline bool sl_data_is_known(const struct sl_data *d)
{
	return d && (d->f32 || d->i64);
}
void sl_data_alloc(struct sl_data *d); /* zeroed, by dtype and shape */
void sl_data_done(struct sl_data *d);

/* Sliding windows of Conv and pools over H and W. */
struct sl_window {
	int64_t kh, kw, sh, sw, dh, dw; /* kernel, stride, dilation (1: none) */
	int64_t pt, pl, pb, pr; /* padding; ceil_mode is already in pb and pr */
	int64_t ho, wo; /* output */
	int64_t groups; /* Conv */
	int64_t xb, xr; /* part of pb, pr that ceil_mode added: never counted in an average */
};
enum sl_status sl_node_window(const struct sl_node *n, const struct sl_shape *x, const struct sl_shape *w,
	struct sl_window *ret, struct sl_err *err);

enum sl_resize_coord { SL_RESIZE_HALF, SL_RESIZE_HALF_TORCH, SL_RESIZE_ASYMMETRIC, SL_RESIZE_CORNERS };
enum sl_resize_round { SL_RESIZE_PREFER_FLOOR, SL_RESIZE_PREFER_CEIL, SL_RESIZE_FLOOR, SL_RESIZE_CEIL };
struct sl_resize {
	bool is_linear;
	enum sl_resize_coord coord;
	enum sl_resize_round round;
	double scale[SL_RANK];
	struct sl_shape out;
};
enum sl_status sl_node_resize(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_resize *ret, struct sl_err *err);
/* The factor when it copies each pixel k x k times (k >= 1), else 0. */
int sl_resize_repeat(const struct sl_resize *r, const struct sl_shape *x);

struct sl_cut { /* Slice: element i of the output is start + i*step of the input */
	int64_t start[SL_RANK], step[SL_RANK];
	struct sl_shape out;
};
enum sl_status sl_node_cut(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_cut *ret, struct sl_err *err);

struct sl_gemm {
	int64_t m, n, k;
	bool trans_a, trans_b;
};
enum sl_status sl_node_gemm(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_gemm *ret, struct sl_err *err);

enum sl_status sl_node_axis(const struct sl_node *n, int64_t axis, int rank, int *ret, struct sl_err *err);
void sl_node_perm(const struct sl_node *n, int rank, int perm[SL_RANK]); /* Transpose; checked before */
void sl_node_means(const struct sl_node *n, int rank, bool axis[SL_RANK]); /* ReduceMean; checked before */
/* NumPy's rule. */
enum sl_status sl_shape_broadcast(const struct sl_node *n, const struct sl_shape *a, const struct sl_shape *b,
	struct sl_shape *ret, struct sl_err *err);

/* Shapes of a node's outputs; in[i] is NULL for an input left out. */
enum sl_status sl_node_shapes(
	const struct sl_node *n, const struct sl_data *const *in, struct sl_shape *ret, struct sl_err *err);

/* The walk. data[v]: shape and type of each value; content of weights (borrowed from the
 * graph) and of constants (owned: made[v]). Nodes whose outputs are all known need not run. */
struct sl_walk {
	const struct sl_graph *g;
	struct sl_data *data;
	bool *made;
	int64_t budget; /* elements of constants still allowed */
};
/* inputs NULL: only what does not depend on the inputs is computed, unknown shapes have rank -1. */
enum sl_status sl_walk_run(
	struct sl_walk *w, const struct sl_graph *g, const struct sl_shape *inputs, struct sl_err *err);
void sl_walk_done(struct sl_walk *w);
