/* SPDX-License-Identifier: Apache-2.0
 *
 * A net as a graph: what an ONNX file says, checked, in our own words. No foreign
 * type. The executors (nn/ref, nn/dnnl) and the trainer (nn/train) read it; nn/onnx
 * reads and writes it as a file.
 *
 * Values are numbered. A value is an input of the graph, an initializer (weights) or
 * the output of one node. Nodes are in an order in which each value is made before it
 * is used (sl_graph_check() proves that and every other rule here).
 *
 * Layout: tensors are row-major; images N,C,H,W; convolution weights O,I/groups,kH,kW;
 * Gemm weights as ONNX has them. Numbers are f32; integer initializers (shapes, axes,
 * indices) are int64. Op names and attributes are ONNX's, opset 13
 * (onnx.ai/onnx/operators).
 *
 * Owner: the caller, freed by sl_graph_free(). Thread: one while it is built, then any
 * may read.
 */
#pragma once
#include "base/buf.h"
#include "nn/op.h"

enum {
	SL_RANK = 6,
	SL_NODE_IN = 16,
	SL_NODE_OUT = 8,
	SL_GRAPH_VALUES = 1 << 16, /* most values, and most nodes */
};

struct sl_shape {
	int rank;
	int64_t dim[SL_RANK]; /* -1: open (batch, height or width of an input) */
};
/* SL_SHAPE(1, 3, 48, 48) */
#define SL_SHAPE(...) ((struct sl_shape){(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})

enum sl_value_kind { SL_VALUE_INPUT, SL_VALUE_WEIGHT, SL_VALUE_NODE };
enum sl_dtype { SL_F32, SL_I64 };
enum { SL_CAST_F32 = 1, SL_CAST_I64 = 7 }; /* Cast's attribute "to", ONNX's numbers */

struct sl_value {
	char *name;
	enum sl_value_kind kind;
	enum sl_dtype dtype;
	struct sl_shape shape; /* of inputs (may be open) and weights; rank 0 otherwise */
	float *f32; /* WEIGHT of F32: data; owned */
	int64_t *i64; /* WEIGHT of I64 */
};

enum { SL_ATTR_INTS = 8 };
struct sl_attr {
	char *name; /* ONNX's; owned */
	enum { SL_ATTR_INT, SL_ATTR_FLOAT, SL_ATTR_LIST, SL_ATTR_STR } kind;
	int64_t i;
	float f;
	int64_t list[SL_ATTR_INTS];
	int n;
	char *s; /* owned */
};

struct sl_node {
	char *name;
	enum sl_op op;
	int in[SL_NODE_IN], nin; /* value numbers; -1: an optional input left out */
	int out[SL_NODE_OUT], nout;
	struct sl_attr *attr; /* owned array */
	int nattr;
};

struct sl_graph {
	char *name;
	struct sl_value *value;
	int nvalue;
	struct sl_node *node;
	int nnode;
	int input[SL_NODE_IN], ninput;
	int output[SL_NODE_OUT], noutput;
};

struct sl_graph *sl_graph_new(const char *name);
void sl_graph_free(struct sl_graph *g); /* NULL is fine */
struct sl_graph *sl_graph_clone(const struct sl_graph *g);

/* Building. Names are copied; NULL gives a generated one. All return value numbers. */
int sl_graph_input(struct sl_graph *g, const char *name, struct sl_shape shape);
int sl_graph_weight(struct sl_graph *g, const char *name, struct sl_shape shape, const float *data); /* NULL: zeros */
int sl_graph_ints(struct sl_graph *g, const char *name, struct sl_shape shape, const int64_t *data);
/* Adds a node with nin inputs and one output; returns the output value. */
int sl_graph_op(struct sl_graph *g, enum sl_op op, const char *name, const int *in, int nin);
int sl_graph_op_output(struct sl_graph *g, const char *name); /* one more output of the node added last (Split) */
void sl_graph_attr_int(struct sl_graph *g, const char *name, int64_t v); /* of the node added last */
void sl_graph_attr_float(struct sl_graph *g, const char *name, float v);
void sl_graph_attr_list(struct sl_graph *g, const char *name, const int64_t *v, int n);
void sl_graph_attr_str(struct sl_graph *g, const char *name, const char *v);
void sl_graph_output(struct sl_graph *g, int value);

/* Reading attributes with ONNX's default. */
int64_t sl_node_int(const struct sl_node *n, const char *name, int64_t otherwise);
float sl_node_float(const struct sl_node *n, const char *name, float otherwise);
const struct sl_attr *sl_node_attr(const struct sl_node *n, const char *name); /* or NULL */

int64_t sl_shape_count(const struct sl_shape *s); /* elements; -1 when open or over 2^40 */
bool sl_shape_is_same(const struct sl_shape *a, const struct sl_shape *b);

/* Order, arity, attributes, types, cycles, dangling values, sizes. INVALID names the node. */
enum sl_status sl_graph_check(const struct sl_graph *g, struct sl_err *err);
/* Shapes of all values (array of nvalue, the caller's) for given input shapes; constant
 * subgraphs of integers are evaluated on the way. INVALID names the node. */
enum sl_status sl_graph_shapes(
	const struct sl_graph *g, const struct sl_shape *inputs, struct sl_shape *ret, struct sl_err *err);
/* A copy with BatchNormalization folded into the convolution before it, Identity and
 * Dropout removed, constant subgraphs replaced: what deployment runs. */
enum sl_status sl_graph_fold(const struct sl_graph *g, struct sl_graph **ret, struct sl_err *err);
/* Multiply-adds for given input shapes, and trained parameters (running statistics are none). */
enum sl_status sl_graph_cost(const struct sl_graph *g, const struct sl_shape *inputs, int64_t *ret_macs,
	int64_t *ret_params, struct sl_err *err);
