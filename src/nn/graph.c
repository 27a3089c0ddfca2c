/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/graph.h"
#include "base/mem.h"
#include <stdio.h>

/* The arrays grow when their length is a power of two (or 0), so that no capacity has to be kept. */
static void *grow(void *p, int n, size_t size)
{
	if (n & (n - 1))
		return p;
	return sl_realloc(p, n ? (size_t)n * 2 : 1, size);
}

struct sl_graph *sl_graph_new(const char *name)
{
	struct sl_graph *g = SL_NEW(struct sl_graph);

	g->name = sl_strdup(name ? name : "graph");
	return g;
}

static void value_done(struct sl_value *v)
{
	free(v->name);
	free(v->f32);
	free(v->i64);
}

static void node_done(struct sl_node *n)
{
	for (int i = 0; i < n->nattr; i++) {
		free(n->attr[i].name);
		free(n->attr[i].s);
	}
	free(n->attr);
	free(n->name);
}

void sl_graph_free(struct sl_graph *g)
{
	if (!g)
		return;
	for (int i = 0; i < g->nvalue; i++)
		value_done(&g->value[i]);
	for (int i = 0; i < g->nnode; i++)
		node_done(&g->node[i]);
	free(g->value);
	free(g->node);
	free(g->name);
	free(g);
}

/* Copies of arrays keep room up to the next power of two, as grow() expects. */
static void *dup_array(const void *p, int n, size_t size)
{
	size_t room = 1;
	void *ret;

	while (room < (size_t)n)
		room *= 2;
	ret = sl_calloc(room, size);
	if (n)
		memcpy(ret, p, (size_t)n * size);
	return ret;
}

static void dup_data(struct sl_value *v)
{
	int64_t n = sl_shape_count(&v->shape);

	SL_ASSERT(v->kind != SL_VALUE_WEIGHT || n >= 0);
	if (v->f32)
		v->f32 = sl_memdup(v->f32, (size_t)SL_MAX(n, 1) * sizeof(float));
	if (v->i64)
		v->i64 = sl_memdup(v->i64, (size_t)SL_MAX(n, 1) * sizeof(int64_t));
}

struct sl_graph *sl_graph_clone(const struct sl_graph *g)
{
	struct sl_graph *ret = sl_memdup(g, sizeof(*g));

	ret->name = sl_strdup(g->name);
	ret->value = dup_array(g->value, g->nvalue, sizeof(*g->value));
	ret->node = dup_array(g->node, g->nnode, sizeof(*g->node));
	for (int i = 0; i < ret->nvalue; i++) {
		ret->value[i].name = sl_strdup(ret->value[i].name);
		dup_data(&ret->value[i]);
	}
	for (int i = 0; i < ret->nnode; i++) {
		struct sl_node *n = &ret->node[i];

		n->name = sl_strdup(n->name);
		n->attr = dup_array(n->attr, n->nattr, sizeof(*n->attr));
		for (int k = 0; k < n->nattr; k++) {
			n->attr[k].name = sl_strdup(n->attr[k].name);
			n->attr[k].s = sl_strdup(n->attr[k].s);
		}
	}
	return ret;
}

static int add_value(struct sl_graph *g, const char *name, enum sl_value_kind kind, enum sl_dtype dtype)
{
	struct sl_value *v;

	SL_ASSERT(g->nvalue < SL_GRAPH_VALUES);
	g->value = grow(g->value, g->nvalue, sizeof(*g->value));
	v = &g->value[g->nvalue];
	*v = (struct sl_value){.kind = kind, .dtype = dtype};
	v->name = name ? sl_strdup(name) : sl_asprintf("value_%d", g->nvalue);
	return g->nvalue++;
}

int sl_graph_input(struct sl_graph *g, const char *name, struct sl_shape shape)
{
	int v = add_value(g, name, SL_VALUE_INPUT, SL_F32);

	SL_ASSERT(g->ninput < SL_NODE_IN);
	g->value[v].shape = shape;
	g->input[g->ninput++] = v;
	return v;
}

int sl_graph_weight(struct sl_graph *g, const char *name, struct sl_shape shape, const float *data)
{
	int v = add_value(g, name, SL_VALUE_WEIGHT, SL_F32);
	int64_t n = sl_shape_count(&shape);

	SL_ASSERT(n >= 0);
	g->value[v].shape = shape;
	g->value[v].f32 = sl_calloc((size_t)SL_MAX(n, 1), sizeof(float));
	if (data)
		memcpy(g->value[v].f32, data, (size_t)n * sizeof(float));
	return v;
}

int sl_graph_ints(struct sl_graph *g, const char *name, struct sl_shape shape, const int64_t *data)
{
	int v = add_value(g, name, SL_VALUE_WEIGHT, SL_I64);
	int64_t n = sl_shape_count(&shape);

	SL_ASSERT(n >= 0);
	g->value[v].shape = shape;
	g->value[v].i64 = sl_calloc((size_t)SL_MAX(n, 1), sizeof(int64_t));
	if (data)
		memcpy(g->value[v].i64, data, (size_t)n * sizeof(int64_t));
	return v;
}

/* What the node's outputs hold; Cast and ConstantOfShape are decided by their attributes. */
static enum sl_dtype out_dtype(const struct sl_graph *g, const struct sl_node *n)
{
	switch (n->op) {
	case SL_OP_SHAPE:
		return SL_I64;
	case SL_OP_CAST:
	case SL_OP_CONSTANTOFSHAPE:
		return SL_F32;
	default:
		return n->nin && n->in[0] >= 0 ? g->value[n->in[0]].dtype : SL_F32;
	}
}

int sl_graph_op(struct sl_graph *g, enum sl_op op, const char *name, const int *in, int nin)
{
	struct sl_node *n;
	int out;

	SL_ASSERT(op >= 0 && op < SL_OP_COUNT && nin >= 0 && nin <= SL_NODE_IN && g->nnode < SL_GRAPH_VALUES);
	g->node = grow(g->node, g->nnode, sizeof(*g->node));
	n = &g->node[g->nnode++];
	*n = (struct sl_node){.op = op, .nin = nin};
	for (int i = 0; i < nin; i++) {
		SL_ASSERT(in[i] >= -1 && in[i] < g->nvalue);
		n->in[i] = in[i];
	}
	n->name = name ? sl_strdup(name) : sl_asprintf("%s_%d", sl_op_name(op), g->nnode - 1);
	out = add_value(g, n->name, SL_VALUE_NODE, out_dtype(g, n));
	n->out[n->nout++] = out;
	return out;
}

int sl_graph_op_output(struct sl_graph *g, const char *name)
{
	struct sl_node *n;
	SL_AUTOFREE char *made = NULL;
	int out;

	SL_ASSERT(g->nnode > 0);
	n = &g->node[g->nnode - 1];
	SL_ASSERT(n->nout < SL_NODE_OUT);
	if (!name)
		name = made = sl_asprintf("%s_out%d", n->name, n->nout);
	out = add_value(g, name, SL_VALUE_NODE, g->value[n->out[0]].dtype);
	n->out[n->nout++] = out;
	return out;
}

static struct sl_attr *add_attr(struct sl_graph *g, const char *name, int kind)
{
	struct sl_node *n;
	struct sl_attr *a;

	SL_ASSERT(g->nnode > 0);
	n = &g->node[g->nnode - 1];
	n->attr = grow(n->attr, n->nattr, sizeof(*n->attr));
	a = &n->attr[n->nattr++];
	*a = (struct sl_attr){.name = sl_strdup(name), .kind = kind};
	return a;
}

void sl_graph_attr_int(struct sl_graph *g, const char *name, int64_t v)
{
	struct sl_node *n = &g->node[g->nnode - 1];

	add_attr(g, name, SL_ATTR_INT)->i = v;
	if (n->op == SL_OP_CAST && strcmp(name, "to") == 0)
		g->value[n->out[0]].dtype = v == SL_CAST_I64 ? SL_I64 : SL_F32;
	if (n->op == SL_OP_CONSTANTOFSHAPE && strcmp(name, "value") == 0)
		g->value[n->out[0]].dtype = SL_I64;
}

void sl_graph_attr_float(struct sl_graph *g, const char *name, float v)
{
	add_attr(g, name, SL_ATTR_FLOAT)->f = v;
}

void sl_graph_attr_list(struct sl_graph *g, const char *name, const int64_t *v, int n)
{
	struct sl_attr *a;

	SL_ASSERT(n >= 0 && n <= SL_ATTR_INTS);
	a = add_attr(g, name, SL_ATTR_LIST);
	for (int i = 0; i < n; i++)
		a->list[i] = v[i];
	a->n = n;
}

void sl_graph_attr_str(struct sl_graph *g, const char *name, const char *v)
{
	add_attr(g, name, SL_ATTR_STR)->s = sl_strdup(v);
}

void sl_graph_output(struct sl_graph *g, int value)
{
	SL_ASSERT(g->noutput < SL_NODE_OUT && value >= 0 && value < g->nvalue);
	g->output[g->noutput++] = value;
}

const struct sl_attr *sl_node_attr(const struct sl_node *n, const char *name)
{
	for (int i = 0; i < n->nattr; i++)
		if (strcmp(n->attr[i].name, name) == 0)
			return &n->attr[i];
	return NULL;
}

int64_t sl_node_int(const struct sl_node *n, const char *name, int64_t otherwise)
{
	const struct sl_attr *a = sl_node_attr(n, name);

	return a && a->kind == SL_ATTR_INT ? a->i : otherwise;
}

float sl_node_float(const struct sl_node *n, const char *name, float otherwise)
{
	const struct sl_attr *a = sl_node_attr(n, name);

	return a && a->kind == SL_ATTR_FLOAT ? a->f : otherwise;
}

int64_t sl_shape_count(const struct sl_shape *s)
{
	int64_t n = 1;

	if (s->rank < 0 || s->rank > SL_RANK)
		return -1;
	for (int i = 0; i < s->rank; i++) {
		if (s->dim[i] < 0 || __builtin_mul_overflow(n, s->dim[i], &n) || n > (int64_t)1 << 40)
			return -1;
	}
	return n;
}

bool sl_shape_is_same(const struct sl_shape *a, const struct sl_shape *b)
{
	return a->rank == b->rank && memcmp(a->dim, b->dim, sizeof(a->dim[0]) * (size_t)a->rank) == 0;
}

const char *sl_op_name(enum sl_op op)
{
	static const char *const name[] = {
#define SL_X(id, onnx) onnx,
		SL_OP_MAP(SL_X)
#undef SL_X
	};

	return op >= 0 && op < SL_OP_COUNT ? name[op] : "?";
}
