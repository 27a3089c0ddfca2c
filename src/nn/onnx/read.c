/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/onnx/wire.h"
#include "base/buf.h"
#include "base/mem.h"

/* Names to value numbers: open addressing, FNV-1a. */
struct names {
	const char **name; /* borrowed from the message */
	int *value;
	size_t size; /* a power of two, at least twice the entries */
};

static size_t slot_of(const struct names *m, const char *name)
{
	uint64_t h = 14695981039346656037u;
	size_t i;

	for (const char *c = name; *c; c++)
		h = (h ^ (uint8_t)*c) * 1099511628211u;
	for (i = (size_t)(h >> 20) & (m->size - 1); m->name[i]; i = (i + 1) & (m->size - 1))
		if (strcmp(m->name[i], name) == 0)
			break;
	return i;
}

static int find(const struct names *m, const char *name)
{
	size_t i = slot_of(m, name);

	return m->name[i] ? m->value[i] : -1;
}

/* One that is there already is left to sl_graph_check(), which refuses it. */
static void put(struct names *m, const char *name, int value)
{
	size_t i = slot_of(m, name);

	m->name[i] = name;
	m->value[i] = value;
}

/* Names are shown, as JSON too. */
static bool is_plain(const char *s)
{
	for (const char *c = s; *c; c++)
		if ((uint8_t)*c < 0x20 || *c == 0x7f)
			return false;
	return sl_text_is_utf8(s);
}

static const char *text(const char *s)
{
	return s ? s : "";
}

static int op_by_name(const char *name)
{
	for (int i = 0; i < SL_OP_COUNT; i++)
		if (strcmp(sl_op_name((enum sl_op)i), name) == 0)
			return i;
	return -1;
}

static enum sl_status check_model(const Onnx__ModelProto *m, struct sl_err *err)
{
	const Onnx__GraphProto *g = m->graph;
	size_t values;
	int64_t opset = -1;

	if (!g)
		return sl_fail(err, SL_INVALID, "ONNX file without a graph");
	for (size_t i = 0; i < m->n_opset_import; i++) {
		const char *domain = text(m->opset_import[i]->domain);

		if (!*domain || strcmp(domain, "ai.onnx") == 0)
			opset = m->opset_import[i]->has_version ? m->opset_import[i]->version : -1;
	}
	if (opset < SL_ONNX_OPSET_MIN || opset > SL_ONNX_OPSET_MAX)
		return sl_fail(err, SL_UNSUPPORTED, "ONNX opset %lld; export the net with opset %d to %d",
			(long long)opset, SL_ONNX_OPSET_MIN, SL_ONNX_OPSET_MAX);
	if (m->n_functions || g->n_sparse_initializer)
		return sl_fail(err, SL_UNSUPPORTED, "ONNX file with functions or sparse tensors");
	values = g->n_input + g->n_initializer;
	for (size_t i = 0; i < g->n_node && values <= SL_GRAPH_VALUES; i++)
		values += g->node[i]->n_output;
	if (values > SL_GRAPH_VALUES || g->n_node > SL_GRAPH_VALUES)
		return sl_fail(err, SL_TOO_LARGE, "ONNX file with over %d nodes or values", (int)SL_GRAPH_VALUES);
	return SL_OK;
}

static enum sl_status check_name(const char *name, struct sl_err *err)
{
	if (!name || !*name)
		return sl_fail(err, SL_INVALID, "a value without a name");
	if (!is_plain(name))
		return sl_fail(err, SL_INVALID, "a name with control characters, or no UTF-8");
	return SL_OK;
}

static enum sl_status add_tensor(
	struct sl_graph *g, struct names *m, const Onnx__TensorProto *t, const char *name, struct sl_err *err)
{
	struct sl_value v = {0};
	enum sl_status st = check_name(name, err);
	int at;

	if (st == SL_OK)
		st = sl_wire_tensor(t, name, &v, err);
	if (st != SL_OK)
		return st;
	at = sl_graph_weight(g, name, SL_SHAPE(0), NULL);
	free(g->value[at].f32);
	v.name = g->value[at].name;
	g->value[at] = v;
	put(m, name, at);
	return SL_OK;
}

static enum sl_status add_input(struct sl_graph *g, struct names *m, const Onnx__ValueInfoProto *in, struct sl_err *err)
{
	const Onnx__TypeProto__Tensor *t;
	struct sl_shape shape = {0};
	enum sl_status st = check_name(in->name, err);

	if (st != SL_OK)
		return st;
	if (find(m, in->name) >= 0)
		return SL_OK; /* before IR 4 initializers were inputs, too */
	t = in->type && in->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE ? in->type->tensor_type : NULL;
	if (!t || t->elem_type != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT)
		return sl_fail(err, SL_UNSUPPORTED, "input \"%.60s\" is no tensor of float", in->name);
	if (!t->shape || t->shape->n_dim > SL_RANK)
		return sl_fail(err, SL_UNSUPPORTED, "input \"%.60s\": no shape, or rank over %d", in->name, SL_RANK);
	if (g->ninput >= SL_NODE_IN)
		return sl_fail(err, SL_UNSUPPORTED, "over %d inputs", SL_NODE_IN);
	shape.rank = (int)t->shape->n_dim;
	for (int i = 0; i < shape.rank; i++) {
		const Onnx__TensorShapeProto__Dimension *d = t->shape->dim[i];

		shape.dim[i] =
			d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE ? d->dim_value : -1;
	}
	put(m, in->name, sl_graph_input(g, in->name, shape));
	return SL_OK;
}

static enum sl_status add_scalar_attr(struct sl_graph *g, const Onnx__AttributeProto *a, struct sl_err *err)
{
	struct sl_value v = {0};
	enum sl_status st;

	if (!a->t)
		return sl_fail(err, SL_INVALID, "attribute \"%.40s\" without its tensor", a->name);
	if ((st = sl_wire_tensor(a->t, a->name, &v, err)) != SL_OK)
		return st;
	if (sl_shape_count(&v.shape) != 1)
		st = sl_fail(err, SL_UNSUPPORTED, "attribute \"%.40s\" is no scalar", a->name);
	else if (v.f32)
		sl_graph_attr_float(g, a->name, v.f32[0]);
	else
		sl_graph_attr_int(g, a->name, v.i64[0]);
	free(v.f32);
	free(v.i64);
	return st;
}

/* Types that we hold in another one are cast to that. */
static int64_t cast_type(int64_t to)
{
	switch (to) {
	case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
		return SL_CAST_F32;
	case ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
		return SL_CAST_I64;
	default:
		return to;
	}
}

static enum sl_status add_attr(struct sl_graph *g, const Onnx__AttributeProto *a, enum sl_op op, struct sl_err *err)
{
	char s[64];

	if (!a->name || !is_plain(a->name) || (a->ref_attr_name && *a->ref_attr_name))
		return sl_fail(err, SL_INVALID, "an attribute without a plain name");
	if (sl_node_attr(&g->node[g->nnode - 1], a->name))
		return sl_fail(err, SL_INVALID, "attribute \"%.40s\" is given twice", a->name);
	switch (a->type) {
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
		sl_graph_attr_int(g, a->name, op == SL_OP_CAST ? cast_type(a->i) : a->i);
		return SL_OK;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
		sl_graph_attr_float(g, a->name, a->f);
		return SL_OK;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
		if (a->n_ints > SL_ATTR_INTS)
			return sl_fail(
				err, SL_UNSUPPORTED, "attribute \"%.40s\" has over %d numbers", a->name, SL_ATTR_INTS);
		sl_graph_attr_list(g, a->name, a->ints, (int)a->n_ints);
		return SL_OK;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
		if (a->s.len >= sizeof(s))
			return sl_fail(err, SL_INVALID, "attribute \"%.40s\" is too long", a->name);
		if (a->s.len)
			memcpy(s, a->s.data, a->s.len);
		s[a->s.len] = 0;
		if (!is_plain(s))
			return sl_fail(err, SL_INVALID, "attribute \"%.40s\" has control characters", a->name);
		sl_graph_attr_str(g, a->name, s);
		return SL_OK;
	case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
		return add_scalar_attr(g, a, err);
	default:
		return sl_fail(err, SL_UNSUPPORTED, "attribute \"%.40s\" of kind %d (subgraph, list of floats)",
			a->name, (int)a->type);
	}
}

static enum sl_status add_constant(struct sl_graph *g, struct names *m, const Onnx__NodeProto *n, struct sl_err *err)
{
	const Onnx__AttributeProto *a = n->n_attribute == 1 ? n->attribute[0] : NULL;
	const char *name = n->n_output == 1 ? n->output[0] : NULL, *kind = a ? text(a->name) : "";
	enum sl_status st = check_name(name, err);
	int v;

	if (st != SL_OK)
		return st;
	if (strcmp(kind, "value") == 0 && a->t)
		return add_tensor(g, m, a->t, name, err);
	if (strcmp(kind, "value_int") == 0)
		v = sl_graph_ints(g, name, (struct sl_shape){0}, &a->i);
	else if (strcmp(kind, "value_float") == 0)
		v = sl_graph_weight(g, name, (struct sl_shape){0}, &a->f);
	else if (strcmp(kind, "value_ints") == 0)
		v = sl_graph_ints(g, name, SL_SHAPE((int64_t)a->n_ints), a->ints);
	else if (strcmp(kind, "value_floats") == 0)
		v = sl_graph_weight(g, name, SL_SHAPE((int64_t)a->n_floats), a->floats);
	else
		return sl_fail(err, SL_UNSUPPORTED, "Constant \"%.60s\" with attribute \"%.40s\"", name, kind);
	put(m, name, v);
	return SL_OK;
}

/* How many outputs a node has for us: the mask of Dropout, the indices of MaxPool and the like are not made,
 * and who uses them is refused by name. */
static size_t outputs_of(const Onnx__NodeProto *n, enum sl_op op)
{
	size_t count = n->n_output;

	while (count > 1 && !*text(n->output[count - 1]))
		count--;
	return op == SL_OP_SPLIT ? count : SL_MIN(count, 1);
}

static enum sl_status add_node_of(
	struct sl_graph *g, struct names *m, const Onnx__NodeProto *n, enum sl_op op, struct sl_err *err)
{
	int in[SL_NODE_IN], nin = (int)n->n_input;
	size_t nout = outputs_of(n, op);
	enum sl_status st = SL_OK;

	if (n->n_input > SL_NODE_IN || nout > SL_NODE_OUT || nout < 1)
		return sl_fail(err, SL_UNSUPPORTED, "%zu inputs and %zu outputs; at most %d and %d", n->n_input, nout,
			SL_NODE_IN, SL_NODE_OUT);
	for (int i = 0; i < nin; i++) {
		const char *name = text(n->input[i]);

		in[i] = *name ? find(m, name) : -1;
		if (*name && in[i] < 0)
			return sl_fail(err, SL_INVALID, "input \"%.60s\" is not made before it is used",
				is_plain(name) ? name : "?");
	}
	while (nin > 0 && in[nin - 1] < 0)
		nin--;
	for (size_t i = 0; i < nout && st == SL_OK; i++)
		st = check_name(n->output[i], err);
	if (st != SL_OK)
		return st;
	put(m, n->output[0], sl_graph_op(g, op, n->output[0], in, nin));
	if (n->name && *n->name && is_plain(n->name)) {
		free(g->node[g->nnode - 1].name);
		g->node[g->nnode - 1].name = sl_strdup(n->name);
	}
	for (size_t i = 1; i < nout; i++)
		put(m, n->output[i], sl_graph_op_output(g, n->output[i]));
	for (size_t i = 0; i < n->n_attribute && st == SL_OK; i++)
		st = add_attr(g, n->attribute[i], op, err);
	return st;
}

static enum sl_status add_node(struct sl_graph *g, struct names *m, const Onnx__NodeProto *n, struct sl_err *err)
{
	const char *type = text(n->op_type), *domain = text(n->domain);
	int op = op_by_name(type);
	enum sl_status st;

	if (!is_plain(type) || !is_plain(domain))
		return sl_fail(err, SL_INVALID, "a name with control characters, or no UTF-8");
	if (*domain && strcmp(domain, "ai.onnx") != 0)
		st = sl_fail(err, SL_UNSUPPORTED, "domain \"%.40s\"", domain);
	else if (strcmp(type, "Constant") == 0)
		return add_constant(g, m, n, err);
	else if (op < 0)
		st = sl_fail(err, SL_UNSUPPORTED, "operator is not handled");
	else
		st = add_node_of(g, m, n, (enum sl_op)op, err);
	if (st == SL_OK)
		return SL_OK;
	return sl_prefix(err, st, "node \"%.60s\" (%.30s)", n->name && is_plain(n->name) ? n->name : "", type);
}

static enum sl_status add_all(struct sl_graph *g, struct names *m, const Onnx__GraphProto *p, struct sl_err *err)
{
	enum sl_status st = SL_OK;

	for (size_t i = 0; i < p->n_initializer && st == SL_OK; i++)
		st = add_tensor(g, m, p->initializer[i], p->initializer[i]->name, err);
	for (size_t i = 0; i < p->n_input && st == SL_OK; i++)
		st = add_input(g, m, p->input[i], err);
	for (size_t i = 0; i < p->n_node && st == SL_OK; i++)
		st = add_node(g, m, p->node[i], err);
	if (st == SL_OK && p->n_output > SL_NODE_OUT)
		st = sl_fail(err, SL_UNSUPPORTED, "over %d outputs", SL_NODE_OUT);
	for (size_t i = 0; i < p->n_output && st == SL_OK; i++) {
		const char *name = text(p->output[i]->name);
		int v = find(m, name);

		if (v < 0)
			st = sl_fail(
				err, SL_INVALID, "output \"%.60s\" is made by no node", is_plain(name) ? name : "?");
		else
			sl_graph_output(g, v);
	}
	return st == SL_OK ? sl_graph_check(g, err) : st;
}

enum sl_status sl_onnx_read(struct sl_slice file, struct sl_graph **ret, struct sl_err *err)
{
	SL_AUTO(sl_wire_done) struct sl_wire w;
	struct names m = {.size = 1};
	struct sl_graph *g;
	size_t values;
	enum sl_status st = sl_wire_read(&w, file, err);

	if (st == SL_OK)
		st = check_model(w.model, err);
	if (st != SL_OK)
		return st;
	values = w.model->graph->n_input + w.model->graph->n_initializer;
	for (size_t i = 0; i < w.model->graph->n_node; i++)
		values += w.model->graph->node[i]->n_output;
	while (m.size < 2 * values + 2)
		m.size *= 2;
	m.name = sl_calloc(m.size, sizeof(*m.name));
	m.value = sl_calloc(m.size, sizeof(*m.value));
	g = sl_graph_new(w.model->graph->name && is_plain(w.model->graph->name) ? w.model->graph->name : NULL);
	st = add_all(g, &m, w.model->graph, err);
	free(m.name);
	free(m.value);
	if (st != SL_OK) {
		sl_graph_free(g);
		return sl_prefix(err, st, "ONNX file");
	}
	*ret = g;
	return SL_OK;
}
