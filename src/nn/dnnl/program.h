/* SPDX-License-Identifier: Apache-2.0
 *
 * The oneDNN executor, inside nn/dnnl (with nn/train the only users of oneDNN).
 *
 * Lowering turns nodes into steps over tensors. A value may exist as several tensors:
 * plain (row-major f32, or int64) and channels-last (N,H,W,C in f32 or bf16, for rank 4
 * only); a reorder is added where one is asked for that is not there yet. Channels-last
 * everywhere costs 3 to 7 % against oneDNN's blocked layouts on these nets and needs no
 * reorder between layers, nor padded channels. Buffers of the arena are shared by tensors
 * whose steps do not overlap.
 *
 * Owner: the session's program. Thread: one at a time; the store: any.
 */
#pragma once
#include "nn/exec.h"
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>

/* Weights in the layouts that primitives asked for, shared by the programs of a model. */
struct sl_store {
	dnnl_engine_t engine;
	pthread_mutex_t lock;
	struct sl_packed *packed;
	int npacked;
	int64_t bytes;
};
/* f32 weights of value v (md `from`) as `to`; borrowed until the store is freed. */
dnnl_status_t sl_store_pack(struct sl_store *s, int v, const float *data, const dnnl_memory_desc_t *from,
	const dnnl_memory_desc_t *to, dnnl_memory_t *ret);

enum sl_buf_kind { SL_BUF_ARENA, SL_BUF_INPUT, SL_BUF_CONST, SL_BUF_OWNED };
struct sl_place { /* memory of tensors */
	enum sl_buf_kind kind;
	int64_t size, offset;
	int first, last; /* steps */
	int input; /* INPUT: which */
	void *ptr; /* CONST, OWNED */
	bool shared; /* another value's tensor lies here: never overwrite */
};

struct sl_ten {
	int value;
	bool nhwc;
	dnnl_data_type_t dt; /* undef: int64 */
	dnnl_memory_desc_t md;
	int place;
	int next; /* of the same value; -1 */
	dnnl_memory_t mem;
};

enum { SL_STEP_ARGS = SL_NODE_IN + SL_NODE_OUT };
struct sl_step {
	enum { SL_STEP_PRIM, SL_STEP_REPEAT, SL_STEP_REF, SL_STEP_PACK } kind;
	dnnl_primitive_t prim;
	dnnl_exec_arg_t arg[SL_STEP_ARGS];
	int ten[SL_STEP_ARGS]; /* tensor of arg[i]; -1: its memory is set already */
	int narg;
	const struct sl_node *node; /* REF */
	struct sl_data *data; /* REF: node's inputs, then its outputs; owned */
	int repeat; /* REPEAT: each pixel repeat x repeat times */
};

/* A convolution with what follows it in one primitive; node numbers or -1. */
struct sl_chain {
	int conv, add, act, gate; /* gate: the Sigmoid of x*sigmoid(x), whose Mul is act */
	bool act_first; /* y = act(conv) + other, not act(conv + other) */
};

struct sl_program {
	struct sl_store *store;
	struct sl_walk w;
	const struct sl_graph *g;
	dnnl_data_type_t fast; /* bf16 or f32 */
	dnnl_stream_t stream;
	struct sl_place *place;
	struct sl_ten *ten;
	struct sl_step *step;
	int nplace, nten, nstep;
	int *head; /* value -> its first tensor or -1 */
	int *left; /* value -> uses that were not lowered yet */
	int *user; /* value -> some node that uses it */
	struct sl_chain *chain; /* by node: conv is >= 0 in the node where the chain is lowered */
	bool *absorbed; /* nodes that a chain takes in */
	uint8_t *arena;
	int64_t arena_size, scratch_size;
	int scratch; /* place */
	int out[SL_NODE_OUT]; /* tensors of the graph's outputs */
	bool broken; /* a primitive could not be made: give up */
	void *in[SL_NODE_IN]; /* of the run that goes on */
	int pack_step; /* converts input 0 to channels-last; -1 */
};

/* program.c: tensors and steps for the lowering. */
int sl_ten_new(struct sl_program *p, int value, bool nhwc, dnnl_data_type_t dt); /* with an own place */
int sl_ten_view(struct sl_program *p, int of, const dnnl_memory_desc_t *md); /* same place, no value's */
int sl_ten_alias(struct sl_program *p, int of, int value); /* plain, same content */
int sl_ten_over(struct sl_program *p, int of, int value); /* same place and layout, for one that is written over */
int sl_ten_find(const struct sl_program *p, int value, bool nhwc, dnnl_data_type_t dt); /* or -1 */
bool sl_ten_has_nhwc(const struct sl_program *p, int value);
int sl_ten_want(struct sl_program *p, int value, bool nhwc, dnnl_data_type_t dt); /* -1: no reorder */
bool sl_ten_is_free(const struct sl_program *p, int ten, int value); /* may its last user write over it? */
struct sl_step *sl_step_new(struct sl_program *p, int kind);
void sl_step_arg(struct sl_program *p, struct sl_step *s, int arg, int ten);
void sl_step_mem(struct sl_step *s, int arg, dnnl_memory_t mem);
/* Makes the primitive of an operation's descriptor with user scratchpad; attr is taken. False: oneDNN has none. */
bool sl_step_prim(struct sl_program *p, const void *op_desc, dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *ret);
bool sl_step_from(struct sl_program *p, dnnl_primitive_desc_t pd, struct sl_step **ret); /* takes pd */
bool sl_step_reorder(struct sl_program *p, int from, int to);
dnnl_memory_desc_t sl_md(const struct sl_shape *s, bool nhwc, dnnl_data_type_t dt);

/* lower_*.c: false when oneDNN cannot; no tensor of an output was added then. */
void sl_find_chains(struct sl_program *p);
bool sl_lower_conv(struct sl_program *p, const struct sl_chain *c);
bool sl_lower_node(struct sl_program *p, const struct sl_node *n);
bool sl_lower_gemm(struct sl_program *p, const struct sl_node *n);
bool sl_lower_matmul(struct sl_program *p, const struct sl_node *n);
bool sl_lower_softmax(struct sl_program *p, const struct sl_node *n);
bool sl_lower_resize(struct sl_program *p, const struct sl_node *n);
bool sl_lower_pool(struct sl_program *p, const struct sl_node *n);
bool sl_lower_move(struct sl_program *p, const struct sl_node *n); /* Concat, Split, Slice, Transpose, Reshape... */
bool sl_act_eltwise(const struct sl_program *p, const struct sl_node *n, dnnl_alg_kind_t *alg, float *a, float *b);

/* memory.c: after lowering. TOO_LARGE, UNSUPPORTED. */
enum sl_status sl_program_place(struct sl_program *p, struct sl_err *err);
void *sl_ten_ptr(const struct sl_program *p, int ten);

/* kernel.c */
void sl_kernel_repeat(const void *src, void *dst, const struct sl_shape *x, int k, size_t size);
void sl_kernel_pack(const float *src, void *dst, const struct sl_shape *x, bool bf16);
void sl_kernel_pixels(const struct sl_pixels *im, void *dst, const struct sl_shape *x, bool bf16);
