/* SPDX-License-Identifier: Apache-2.0
 *
 * The message is built from malloc'd pieces, as if it had been unpacked, so that
 * protobuf-c frees it whole.
 */
#include "nn/onnx/wire.h"
#include "base/mem.h"

#define MAKE(type, init_fn) \
	({ \
		type *made_ = sl_alloc(sizeof(type)); \
		init_fn(made_); \
		made_; \
	})

static void set_dims(Onnx__TensorProto *t, const struct sl_shape *s)
{
	t->n_dims = (size_t)s->rank;
	t->dims = sl_calloc((size_t)s->rank + 1, sizeof(*t->dims));
	for (int i = 0; i < s->rank; i++)
		t->dims[i] = s->dim[i];
}

static Onnx__TensorProto *tensor(const char *name, const struct sl_value *v)
{
	Onnx__TensorProto *t = MAKE(Onnx__TensorProto, onnx__tensor_proto__init);
	bool f = v->dtype == SL_F32;
	size_t size = (size_t)sl_shape_count(&v->shape) * (f ? sizeof(float) : sizeof(int64_t));

	t->name = sl_strdup(name);
	set_dims(t, &v->shape);
	t->has_data_type = true;
	t->data_type = f ? ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT : ONNX__TENSOR_PROTO__DATA_TYPE__INT64;
	t->has_raw_data = true;
	t->raw_data.len = size;
	t->raw_data.data = sl_alloc(size + 1);
	if (size)
		memcpy(t->raw_data.data, f ? (const void *)v->f32 : v->i64, size);
	return t;
}

/* known: shape with -1 for open sides; NULL: none is written. */
static Onnx__ValueInfoProto *value_info(const char *name, const struct sl_shape *known)
{
	Onnx__ValueInfoProto *v = MAKE(Onnx__ValueInfoProto, onnx__value_info_proto__init);
	Onnx__TypeProto__Tensor *t = MAKE(Onnx__TypeProto__Tensor, onnx__type_proto__tensor__init);

	v->name = sl_strdup(name);
	v->type = MAKE(Onnx__TypeProto, onnx__type_proto__init);
	v->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
	v->type->tensor_type = t;
	t->has_elem_type = true;
	t->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
	if (!known)
		return v;
	t->shape = MAKE(Onnx__TensorShapeProto, onnx__tensor_shape_proto__init);
	t->shape->n_dim = (size_t)known->rank;
	t->shape->dim = sl_calloc((size_t)known->rank + 1, sizeof(*t->shape->dim));
	for (int i = 0; i < known->rank; i++) {
		Onnx__TensorShapeProto__Dimension *d =
			MAKE(Onnx__TensorShapeProto__Dimension, onnx__tensor_shape_proto__dimension__init);

		t->shape->dim[i] = d;
		if (known->dim[i] < 0) {
			d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
			d->dim_param = sl_asprintf("%.60s_%d", name, i);
		} else {
			d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
			d->dim_value = known->dim[i];
		}
	}
	return v;
}

/* What is open at the inputs decides what is open at the outputs: try two sizes, see what moves. */
static bool open_shapes(const struct sl_graph *g, struct sl_shape *ret)
{
	struct sl_shape in[2][SL_NODE_IN];
	SL_AUTOFREE struct sl_shape *a = sl_calloc((size_t)g->nvalue + 1, sizeof(*a));
	SL_AUTOFREE struct sl_shape *b = sl_calloc((size_t)g->nvalue + 1, sizeof(*b));

	for (int i = 0; i < g->ninput; i++) {
		in[0][i] = in[1][i] = g->value[g->input[i]].shape;
		for (int d = 0; d < in[0][i].rank; d++)
			if (in[0][i].dim[d] < 0) {
				in[0][i].dim[d] = 64;
				in[1][i].dim[d] = 128;
			}
	}
	if (sl_graph_shapes(g, in[0], a, NULL) != SL_OK || sl_graph_shapes(g, in[1], b, NULL) != SL_OK)
		return false;
	for (int i = 0; i < g->noutput; i++) {
		ret[i] = a[g->output[i]];
		for (int d = 0; d < ret[i].rank; d++)
			if (ret[i].dim[d] != b[g->output[i]].dim[d])
				ret[i].dim[d] = -1;
	}
	return true;
}

static Onnx__AttributeProto *new_attr(Onnx__NodeProto *n, const char *name, int type)
{
	Onnx__AttributeProto *a = MAKE(Onnx__AttributeProto, onnx__attribute_proto__init);

	n->attribute = sl_realloc(n->attribute, n->n_attribute + 1, sizeof(*n->attribute));
	n->attribute[n->n_attribute++] = a;
	a->name = sl_strdup(name);
	a->has_type = true;
	a->type = type;
	return a;
}

static void attr_float(Onnx__NodeProto *n, const char *name, float v)
{
	Onnx__AttributeProto *a = new_attr(n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);

	a->has_f = true;
	a->f = v;
}

static void attr_str(Onnx__NodeProto *n, const char *name, const char *s)
{
	Onnx__AttributeProto *a = new_attr(n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);

	a->has_s = true;
	a->s.len = strlen(s);
	a->s.data = (uint8_t *)sl_strdup(s);
}

static void attr_scalar(Onnx__NodeProto *n, const struct sl_attr *from)
{
	Onnx__AttributeProto *a = new_attr(n, from->name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR);
	float f = from->f;
	int64_t i = from->i;
	struct sl_value v = {
		.dtype = from->kind == SL_ATTR_INT ? SL_I64 : SL_F32, .shape = SL_SHAPE(1), .f32 = &f, .i64 = &i};

	a->t = tensor("value", &v);
}

static void attr_any(Onnx__NodeProto *n, const struct sl_attr *from)
{
	Onnx__AttributeProto *a;

	switch (from->kind) {
	case SL_ATTR_FLOAT:
		attr_float(n, from->name, from->f);
		break;
	case SL_ATTR_STR:
		attr_str(n, from->name, from->s);
		break;
	case SL_ATTR_INT:
		a = new_attr(n, from->name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
		a->has_i = true;
		a->i = from->i;
		break;
	case SL_ATTR_LIST:
		a = new_attr(n, from->name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
		a->n_ints = (size_t)from->n;
		a->ints = sl_memdup(from->list, sizeof(from->list));
		break;
	}
}

/* Attributes that opset 13 does not have: dropped where they say what it does anyway. */
static bool is_newer(const struct sl_node *n, const struct sl_attr *a, enum sl_status *st, struct sl_err *err)
{
	bool newer = (n->op == SL_OP_BATCHNORM && strcmp(a->name, "training_mode") == 0) ||
		     (n->op == SL_OP_RESHAPE && strcmp(a->name, "allowzero") == 0) ||
		     (n->op == SL_OP_SHAPE && strcmp(a->name, "start") == 0);
	bool end = n->op == SL_OP_SHAPE && strcmp(a->name, "end") == 0;

	if (end || (newer && a->i != 0))
		*st = sl_fail(err, SL_UNSUPPORTED,
			"node \"%.60s\" (%s): \"%s\" is not in opset 13; fold the graph first", n->name,
			sl_op_name(n->op), a->name);
	return newer || end;
}

static Onnx__NodeProto *new_node(Onnx__GraphProto *p, const char *type, const char *name)
{
	Onnx__NodeProto *n = MAKE(Onnx__NodeProto, onnx__node_proto__init);

	p->node[p->n_node++] = n;
	n->op_type = sl_strdup(type);
	n->name = sl_strdup(name);
	return n;
}

static void add_in(Onnx__NodeProto *n, const char *name)
{
	n->input = sl_realloc(n->input, n->n_input + 1, sizeof(*n->input));
	n->input[n->n_input++] = sl_strdup(name);
}

static void add_out(Onnx__NodeProto *n, const char *name)
{
	n->output = sl_realloc(n->output, n->n_output + 1, sizeof(*n->output));
	n->output[n->n_output++] = sl_strdup(name);
}

/* x * HardSigmoid(x; 1/6, 1/2): HardSwish came with opset 14. */
static void write_hardswish(const struct sl_graph *g, const struct sl_node *n, Onnx__GraphProto *p)
{
	const char *x = g->value[n->in[0]].name, *y = g->value[n->out[0]].name;
	SL_AUTOFREE char *gate = sl_asprintf("%s/gate", y);
	Onnx__NodeProto *a = new_node(p, "HardSigmoid", gate), *b = new_node(p, "Mul", n->name);

	add_in(a, x);
	add_out(a, gate);
	attr_float(a, "alpha", 1.f / 6);
	attr_float(a, "beta", .5f);
	add_in(b, x);
	add_in(b, gate);
	add_out(b, y);
}

static enum sl_status write_node(
	const struct sl_graph *g, const struct sl_node *n, Onnx__GraphProto *p, struct sl_err *err)
{
	bool upsample = n->op == SL_OP_UPSAMPLE;
	Onnx__NodeProto *to;
	enum sl_status st = SL_OK;

	if (n->op == SL_OP_HARDSWISH) {
		write_hardswish(g, n, p);
		return SL_OK;
	}
	to = new_node(p, sl_op_name(upsample ? SL_OP_RESIZE : n->op), n->name);
	for (int i = 0; i < n->nin; i++) {
		if (i == 1 && upsample) /* Resize has the region of interest there */
			add_in(to, "");
		add_in(to, n->in[i] < 0 ? "" : g->value[n->in[i]].name);
	}
	for (int i = 0; i < n->nout; i++)
		add_out(to, g->value[n->out[i]].name);
	for (int i = 0; i < n->nattr && st == SL_OK; i++) {
		if (is_newer(n, &n->attr[i], &st, err))
			continue;
		if (n->op == SL_OP_CONSTANTOFSHAPE)
			attr_scalar(to, &n->attr[i]);
		else
			attr_any(to, &n->attr[i]);
	}
	if (upsample) {
		attr_str(to, "coordinate_transformation_mode", "asymmetric");
		attr_str(to, "nearest_mode", "floor");
	}
	return st;
}

static enum sl_status write_graph(const struct sl_graph *g, Onnx__GraphProto *p, struct sl_err *err)
{
	struct sl_shape out[SL_NODE_OUT];
	bool known = open_shapes(g, out);
	enum sl_status st = SL_OK;

	p->name = sl_strdup(g->name);
	p->node = sl_calloc((size_t)g->nnode * 2 + 1, sizeof(*p->node));
	p->initializer = sl_calloc((size_t)g->nvalue + 1, sizeof(*p->initializer));
	p->input = sl_calloc((size_t)g->ninput + 1, sizeof(*p->input));
	p->output = sl_calloc((size_t)g->noutput + 1, sizeof(*p->output));
	for (int i = 0; i < g->nvalue; i++)
		if (g->value[i].kind == SL_VALUE_WEIGHT)
			p->initializer[p->n_initializer++] = tensor(g->value[i].name, &g->value[i]);
	for (int i = 0; i < g->ninput; i++)
		p->input[p->n_input++] = value_info(g->value[g->input[i]].name, &g->value[g->input[i]].shape);
	for (int i = 0; i < g->noutput; i++)
		p->output[p->n_output++] = value_info(g->value[g->output[i]].name, known ? &out[i] : NULL);
	for (int i = 0; i < g->nnode && st == SL_OK; i++)
		st = write_node(g, &g->node[i], p, err);
	return st;
}

enum sl_status sl_onnx_write(const struct sl_graph *g, struct sl_buf *ret, struct sl_err *err)
{
	Onnx__ModelProto *m;
	Onnx__OperatorSetIdProto *opset;
	enum sl_status st = sl_graph_check(g, err);
	size_t size;

	if (st != SL_OK)
		return st;
	m = MAKE(Onnx__ModelProto, onnx__model_proto__init);
	opset = MAKE(Onnx__OperatorSetIdProto, onnx__operator_set_id_proto__init);
	m->has_ir_version = true;
	m->ir_version = ONNX__VERSION__IR_VERSION_2020_5_8;
	m->producer_name = sl_strdup("signloop");
	m->producer_version = sl_strdup(SL_VERSION);
	m->n_opset_import = 1;
	m->opset_import = sl_alloc(sizeof(*m->opset_import));
	m->opset_import[0] = opset;
	opset->domain = sl_strdup("");
	opset->has_version = true;
	opset->version = SL_ONNX_OPSET_MIN;
	m->graph = MAKE(Onnx__GraphProto, onnx__graph_proto__init);
	st = write_graph(g, m->graph, err);
	if (st == SL_OK) {
		size = onnx__model_proto__get_packed_size(m);
		st = sl_buf_reserve(ret, size);
		if (st != SL_OK) {
			st = sl_fail(err, st, "ONNX file of %zu bytes does not fit into its buffer", size);
		} else {
			ret->len += onnx__model_proto__pack(m, ret->ptr + ret->len);
			ret->ptr[ret->len] = 0; /* as sl_buf promises */
		}
	}
	onnx__model_proto__free_unpacked(m, NULL);
	return st;
}
