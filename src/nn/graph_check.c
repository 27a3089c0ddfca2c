/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules that a graph keeps whatever its input shapes are. Shapes come later, in
 * graph_shape.c, when those are known.
 */
#include "nn/graph.h"
#include "base/mem.h"
#include <math.h>

/* What each input may hold: f F32, i I64, a either (all a of a node the same). The last
 * letter stands for all inputs after it. */
struct rule {
	int in_min, in_max, out_max;
	const char *dtype;
};

static const struct rule rules[SL_OP_COUNT] = {
	[SL_OP_CONV] = {2, 3, 1, "f"},
	[SL_OP_BATCHNORM] = {5, 5, 1, "f"},
	[SL_OP_RELU] = {1, 1, 1, "f"},
	[SL_OP_LEAKYRELU] = {1, 1, 1, "f"},
	[SL_OP_SIGMOID] = {1, 1, 1, "f"},
	[SL_OP_TANH] = {1, 1, 1, "f"},
	[SL_OP_EXP] = {1, 1, 1, "f"},
	[SL_OP_SQRT] = {1, 1, 1, "f"},
	[SL_OP_CLIP] = {1, 3, 1, "a"},
	[SL_OP_HARDSWISH] = {1, 1, 1, "f"},
	[SL_OP_HARDSIGMOID] = {1, 1, 1, "f"},
	[SL_OP_ADD] = {2, 2, 1, "a"},
	[SL_OP_SUB] = {2, 2, 1, "a"},
	[SL_OP_MUL] = {2, 2, 1, "a"},
	[SL_OP_DIV] = {2, 2, 1, "a"},
	[SL_OP_POW] = {2, 2, 1, "f"},
	[SL_OP_MAXPOOL] = {1, 1, 1, "f"},
	[SL_OP_AVGPOOL] = {1, 1, 1, "f"},
	[SL_OP_GLOBALAVGPOOL] = {1, 1, 1, "f"},
	[SL_OP_REDUCEMEAN] = {1, 1, 1, "f"},
	[SL_OP_GEMM] = {2, 3, 1, "f"},
	[SL_OP_MATMUL] = {2, 2, 1, "f"},
	[SL_OP_SOFTMAX] = {1, 1, 1, "f"},
	[SL_OP_RESIZE] = {1, 4, 1, "fffi"},
	[SL_OP_UPSAMPLE] = {2, 2, 1, "f"},
	[SL_OP_CONCAT] = {1, SL_NODE_IN, 1, "a"},
	[SL_OP_SPLIT] = {1, 2, SL_NODE_OUT, "ai"},
	[SL_OP_SLICE] = {3, 5, 1, "ai"},
	[SL_OP_RESHAPE] = {2, 2, 1, "ai"},
	[SL_OP_FLATTEN] = {1, 1, 1, "a"},
	[SL_OP_TRANSPOSE] = {1, 1, 1, "a"},
	[SL_OP_SQUEEZE] = {1, 2, 1, "ai"},
	[SL_OP_UNSQUEEZE] = {2, 2, 1, "ai"},
	[SL_OP_PAD] = {2, 3, 1, "fif"},
	[SL_OP_IDENTITY] = {1, 1, 1, "a"},
	[SL_OP_DROPOUT] = {1, 3, 1, "f"},
	[SL_OP_CAST] = {1, 1, 1, "a"},
	[SL_OP_SHAPE] = {1, 1, 1, "a"},
	[SL_OP_GATHER] = {2, 2, 1, "ai"},
	[SL_OP_CONSTANTOFSHAPE] = {1, 1, 1, "i"},
	[SL_OP_RANGE] = {3, 3, 1, "a"},
	[SL_OP_EXPAND] = {2, 2, 1, "ai"},
};

/* Attributes and their kinds; those that we do not know may change the meaning, so they are refused. */
static const struct {
	enum sl_op op;
	const char *name;
	int kind;
} attrs[] = {
	{SL_OP_CONV, "auto_pad", SL_ATTR_STR}, {SL_OP_CONV, "dilations", SL_ATTR_LIST},
	{SL_OP_CONV, "group", SL_ATTR_INT}, {SL_OP_CONV, "kernel_shape", SL_ATTR_LIST},
	{SL_OP_CONV, "pads", SL_ATTR_LIST}, {SL_OP_CONV, "strides", SL_ATTR_LIST},
	{SL_OP_BATCHNORM, "epsilon", SL_ATTR_FLOAT}, {SL_OP_BATCHNORM, "momentum", SL_ATTR_FLOAT},
	{SL_OP_BATCHNORM, "training_mode", SL_ATTR_INT}, {SL_OP_LEAKYRELU, "alpha", SL_ATTR_FLOAT},
	{SL_OP_HARDSIGMOID, "alpha", SL_ATTR_FLOAT}, {SL_OP_HARDSIGMOID, "beta", SL_ATTR_FLOAT},
	{SL_OP_MAXPOOL, "auto_pad", SL_ATTR_STR}, {SL_OP_MAXPOOL, "ceil_mode", SL_ATTR_INT},
	{SL_OP_MAXPOOL, "dilations", SL_ATTR_LIST}, {SL_OP_MAXPOOL, "kernel_shape", SL_ATTR_LIST},
	{SL_OP_MAXPOOL, "pads", SL_ATTR_LIST}, {SL_OP_MAXPOOL, "storage_order", SL_ATTR_INT},
	{SL_OP_MAXPOOL, "strides", SL_ATTR_LIST}, {SL_OP_AVGPOOL, "auto_pad", SL_ATTR_STR},
	{SL_OP_AVGPOOL, "ceil_mode", SL_ATTR_INT}, {SL_OP_AVGPOOL, "count_include_pad", SL_ATTR_INT},
	{SL_OP_AVGPOOL, "kernel_shape", SL_ATTR_LIST}, {SL_OP_AVGPOOL, "pads", SL_ATTR_LIST},
	{SL_OP_AVGPOOL, "strides", SL_ATTR_LIST}, {SL_OP_REDUCEMEAN, "axes", SL_ATTR_LIST},
	{SL_OP_REDUCEMEAN, "keepdims", SL_ATTR_INT}, {SL_OP_GEMM, "alpha", SL_ATTR_FLOAT},
	{SL_OP_GEMM, "beta", SL_ATTR_FLOAT}, {SL_OP_GEMM, "transA", SL_ATTR_INT}, {SL_OP_GEMM, "transB", SL_ATTR_INT},
	{SL_OP_SOFTMAX, "axis", SL_ATTR_INT}, {SL_OP_RESIZE, "coordinate_transformation_mode", SL_ATTR_STR},
	{SL_OP_RESIZE, "cubic_coeff_a", SL_ATTR_FLOAT}, {SL_OP_RESIZE, "exclude_outside", SL_ATTR_INT},
	{SL_OP_RESIZE, "extrapolation_value", SL_ATTR_FLOAT}, {SL_OP_RESIZE, "mode", SL_ATTR_STR},
	{SL_OP_RESIZE, "nearest_mode", SL_ATTR_STR}, {SL_OP_UPSAMPLE, "mode", SL_ATTR_STR},
	{SL_OP_CONCAT, "axis", SL_ATTR_INT}, {SL_OP_SPLIT, "axis", SL_ATTR_INT},
	{SL_OP_RESHAPE, "allowzero", SL_ATTR_INT}, {SL_OP_FLATTEN, "axis", SL_ATTR_INT},
	{SL_OP_TRANSPOSE, "perm", SL_ATTR_LIST}, {SL_OP_PAD, "mode", SL_ATTR_STR}, {SL_OP_DROPOUT, "seed", SL_ATTR_INT},
	{SL_OP_CAST, "to", SL_ATTR_INT}, {SL_OP_SHAPE, "start", SL_ATTR_INT}, {SL_OP_SHAPE, "end", SL_ATTR_INT},
	{SL_OP_GATHER, "axis", SL_ATTR_INT}, {SL_OP_CONSTANTOFSHAPE, "value", -1}, /* a float or an int */
};

static enum sl_status check_attrs(const struct sl_node *n, struct sl_err *err)
{
	for (int i = 0; i < n->nattr; i++) {
		const struct sl_attr *a = &n->attr[i];
		bool known = false;

		for (size_t k = 0; k < SL_COUNT(attrs) && !known; k++) {
			if (attrs[k].op != n->op || strcmp(attrs[k].name, a->name) != 0)
				continue;
			known = attrs[k].kind < 0 ? a->kind == SL_ATTR_FLOAT || a->kind == SL_ATTR_INT
						  : attrs[k].kind == (int)a->kind;
			if (!known)
				return sl_fail(err, SL_INVALID,
					"node \"%.60s\" (%s): attribute \"%.40s\" has the wrong kind", n->name,
					sl_op_name(n->op), a->name);
		}
		if (!known)
			return sl_fail(err, SL_INVALID, "node \"%.60s\": %s has no attribute \"%.40s\" in opset 13",
				n->name, sl_op_name(n->op), a->name);
		if (a->kind == SL_ATTR_LIST && (a->n < 0 || a->n > SL_ATTR_INTS))
			return sl_fail(err, SL_INVALID, "node \"%.60s\": attribute \"%.40s\" has more than %d numbers",
				n->name, a->name, SL_ATTR_INTS);
		if (a->kind == SL_ATTR_FLOAT && !isfinite(a->f))
			return sl_fail(
				err, SL_INVALID, "node \"%.60s\": attribute \"%.40s\" is not finite", n->name, a->name);
	}
	return SL_OK;
}

static enum sl_status check_dtypes(const struct sl_graph *g, const struct sl_node *n, struct sl_err *err)
{
	const char *rule = rules[n->op].dtype;
	int any = -1; /* what the 'a' inputs hold */
	enum sl_dtype out;

	for (int i = 0; i < n->nin; i++) {
		char want = rule[SL_MIN((size_t)i, strlen(rule) - 1)];
		enum sl_dtype have;

		if (n->in[i] < 0)
			continue;
		have = g->value[n->in[i]].dtype;
		if (want == 'a' && any < 0)
			any = (int)have;
		if (want == 'a' ? have != (enum sl_dtype)any : have != (want == 'f' ? SL_F32 : SL_I64))
			return sl_fail(err, SL_INVALID, "node \"%.60s\" (%s): input %d has the wrong type", n->name,
				sl_op_name(n->op), i);
	}
	out = any >= 0 ? (enum sl_dtype)any : SL_F32;
	if (n->op == SL_OP_SHAPE)
		out = SL_I64;
	if (n->op == SL_OP_CONSTANTOFSHAPE)
		out = sl_node_attr(n, "value") && sl_node_attr(n, "value")->kind == SL_ATTR_INT ? SL_I64 : SL_F32;
	if (n->op == SL_OP_CAST) {
		int64_t to = sl_node_int(n, "to", 0);

		if (to != SL_CAST_F32 && to != SL_CAST_I64)
			return sl_fail(err, SL_INVALID,
				"node \"%.60s\": Cast to type %lld; only float (1) and int64 (7)", n->name,
				(long long)to);
		out = to == SL_CAST_I64 ? SL_I64 : SL_F32;
	}
	for (int i = 0; i < n->nout; i++)
		if (g->value[n->out[i]].dtype != out)
			return sl_fail(err, SL_INVALID, "node \"%.60s\" (%s): output %d has the wrong type", n->name,
				sl_op_name(n->op), i);
	return SL_OK;
}

static enum sl_status check_node(const struct sl_graph *g, const struct sl_node *n, bool *made, struct sl_err *err)
{
	const struct rule *r;

	if (n->op < 0 || n->op >= SL_OP_COUNT || !n->name)
		return sl_fail(err, SL_INVALID, "node %d: unknown operator %d", (int)(n - g->node), (int)n->op);
	r = &rules[n->op];
	if (n->nin < r->in_min || n->nin > r->in_max || n->nout < 1 || n->nout > r->out_max)
		return sl_fail(err, SL_INVALID,
			"node \"%.60s\": %s with %d inputs and %d outputs; it takes %d to %d and 1 to %d", n->name,
			sl_op_name(n->op), n->nin, n->nout, r->in_min, r->in_max, r->out_max);
	for (int i = 0; i < n->nin; i++) {
		int v = n->in[i];

		if (v == -1 && i >= r->in_min && n->op != SL_OP_CONCAT)
			continue;
		if (v < 0 || v >= g->nvalue)
			return sl_fail(err, SL_INVALID, "node \"%.60s\" (%s): input %d is missing", n->name,
				sl_op_name(n->op), i);
		if (!made[v])
			return sl_fail(err, SL_INVALID,
				"node \"%.60s\" (%s): input \"%.60s\" is not made before it is used", n->name,
				sl_op_name(n->op), g->value[v].name);
	}
	for (int i = 0; i < n->nout; i++) {
		int v = n->out[i];

		if (v < 0 || v >= g->nvalue || g->value[v].kind != SL_VALUE_NODE || made[v])
			return sl_fail(err, SL_INVALID, "node \"%.60s\" (%s): output %d is made twice or is no node's",
				n->name, sl_op_name(n->op), i);
		made[v] = true;
	}
	if (check_attrs(n, err) != SL_OK)
		return SL_INVALID;
	return check_dtypes(g, n, err);
}

static enum sl_status check_shape(const struct sl_value *v, bool open, struct sl_err *err)
{
	const struct sl_shape *s = &v->shape;

	if (s->rank < 0 || s->rank > SL_RANK)
		return sl_fail(err, SL_INVALID, "value \"%.60s\": rank %d is not in 0..%d", v->name, s->rank, SL_RANK);
	for (int i = 0; i < s->rank; i++)
		if (open ? s->dim[i] != -1 && s->dim[i] < 1 : s->dim[i] < 0)
			return sl_fail(err, SL_INVALID, "value \"%.60s\": dimension %d is %lld", v->name, i,
				(long long)s->dim[i]);
	if (!open && sl_shape_count(s) < 0)
		return sl_fail(err, SL_INVALID, "value \"%.60s\": too many elements", v->name);
	return SL_OK;
}

static enum sl_status check_value(const struct sl_value *v, bool *made, struct sl_err *err)
{
	if (!v->name || !v->name[0])
		return sl_fail(err, SL_INVALID, "a value has no name");
	if (v->dtype != SL_F32 && v->dtype != SL_I64)
		return sl_fail(err, SL_INVALID, "value \"%.60s\": unknown type", v->name);
	*made = v->kind != SL_VALUE_NODE;
	switch (v->kind) {
	case SL_VALUE_NODE:
		return SL_OK;
	case SL_VALUE_INPUT:
		if (v->dtype != SL_F32)
			return sl_fail(err, SL_INVALID, "input \"%.60s\" is not float", v->name);
		return check_shape(v, true, err);
	case SL_VALUE_WEIGHT:
		if (v->dtype == SL_F32 ? !v->f32 : !v->i64)
			return sl_fail(err, SL_INVALID, "weight \"%.60s\" has no data", v->name);
		return check_shape(v, false, err);
	}
	return sl_fail(err, SL_INVALID, "value \"%.60s\": unknown kind", v->name);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum sl_status check_names(const struct sl_graph *g, struct sl_err *err)
{
	SL_AUTOFREE const char **name = sl_calloc((size_t)g->nvalue + 1, sizeof(*name));

	for (int i = 0; i < g->nvalue; i++)
		name[i] = g->value[i].name;
	qsort(name, (size_t)g->nvalue, sizeof(*name), by_name);
	for (int i = 1; i < g->nvalue; i++)
		if (strcmp(name[i - 1], name[i]) == 0)
			return sl_fail(err, SL_INVALID, "two values are named \"%.80s\"", name[i]);
	return SL_OK;
}

static enum sl_status check_ends(const struct sl_graph *g, struct sl_err *err)
{
	int inputs = 0;

	if (g->ninput < 1 || g->ninput > SL_NODE_IN || g->noutput < 1 || g->noutput > SL_NODE_OUT)
		return sl_fail(err, SL_INVALID, "graph with %d inputs and %d outputs; 1 to %d and 1 to %d", g->ninput,
			g->noutput, SL_NODE_IN, SL_NODE_OUT);
	for (int i = 0; i < g->nvalue; i++)
		inputs += g->value[i].kind == SL_VALUE_INPUT;
	for (int i = 0; i < g->ninput; i++) {
		if (g->input[i] < 0 || g->input[i] >= g->nvalue || g->value[g->input[i]].kind != SL_VALUE_INPUT)
			return sl_fail(err, SL_INVALID, "input %d of the graph is no input value", i);
		for (int k = 0; k < i; k++)
			if (g->input[k] == g->input[i])
				return sl_fail(err, SL_INVALID, "input %d of the graph is listed twice", i);
	}
	if (inputs != g->ninput)
		return sl_fail(err, SL_INVALID, "an input value is not in the graph's list of inputs");
	for (int i = 0; i < g->noutput; i++) {
		if (g->output[i] < 0 || g->output[i] >= g->nvalue)
			return sl_fail(err, SL_INVALID, "output %d of the graph is no value", i);
		if (g->value[g->output[i]].dtype != SL_F32)
			return sl_fail(err, SL_INVALID, "output \"%.60s\" of the graph is not float",
				g->value[g->output[i]].name);
	}
	return SL_OK;
}

enum sl_status sl_graph_check(const struct sl_graph *g, struct sl_err *err)
{
	SL_AUTOFREE bool *made = NULL;

	if (g->nvalue < 0 || g->nvalue > SL_GRAPH_VALUES || g->nnode < 0 || g->nnode > SL_GRAPH_VALUES)
		return sl_fail(err, SL_INVALID, "graph with %d values and %d nodes; at most %d", g->nvalue, g->nnode,
			SL_GRAPH_VALUES);
	made = sl_calloc((size_t)g->nvalue + 1, sizeof(*made));
	for (int i = 0; i < g->nvalue; i++)
		if (check_value(&g->value[i], &made[i], err) != SL_OK)
			return SL_INVALID;
	if (check_names(g, err) != SL_OK || check_ends(g, err) != SL_OK)
		return SL_INVALID;
	for (int i = 0; i < g->nnode; i++)
		if (check_node(g, &g->node[i], made, err) != SL_OK)
			return SL_INVALID;
	for (int i = 0; i < g->nvalue; i++)
		if (!made[i])
			return sl_fail(err, SL_INVALID, "value \"%.60s\" is made by no node", g->value[i].name);
	return SL_OK;
}
