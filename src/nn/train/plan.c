/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/plan.h"
#include "base/mem.h"

/* While a plan is made: what became of each node. */
struct draft {
	struct sl_plan *p;
	int *reader; /* of each value: the node that reads it, the last one if several do */
	bool *joined; /* of each node: part of an operation that ends at a later node, or of none */
	struct sl_do *ends; /* of each node: the operation that ends there */
	bool *has_end;
	struct sl_err *err;
};

static enum sl_status no(struct draft *d, const struct sl_node *n, const char *why)
{
	return sl_fail(
		d->err, SL_UNSUPPORTED, "training does not know %s node %s: %s", sl_op_name(n->op), n->name, why);
}

static void count_uses(struct draft *d)
{
	struct sl_graph *g = d->p->g;
	for (int v = 0; v < g->nvalue; v++) {
		d->p->use[v].maker = -1;
		d->reader[v] = -1;
	}
	for (int i = 0; i < g->nnode; i++)
		for (int k = 0; k < g->node[i].nin; k++)
			if (g->node[i].in[k] >= 0) {
				d->p->use[g->node[i].in[k]].reads++;
				d->reader[g->node[i].in[k]] = i;
			}
	for (int i = 0; i < g->noutput; i++) {
		d->p->use[g->output[i]].reads++;
		d->p->use[g->output[i]].is_output = true;
	}
}

/* The node of kind op that is the only one to read v, or -1. */
static int only_reader(const struct draft *d, int v, enum sl_op op)
{
	const struct sl_use *u = &d->p->use[v];
	if (u->reads != 1 || u->is_output || d->reader[v] < 0 || d->p->g->node[d->reader[v]].op != op)
		return -1;
	return d->reader[v];
}

static bool same_shape(const struct sl_plan *p, int a, int b)
{
	const struct sl_shape *s = &p->shape[a], *t = &p->shape[b];
	if (s->rank != t->rank)
		return false;
	for (int i = 0; i < s->rank; i++)
		if (s->dim[i] != t->dim[i])
			return false;
	return true;
}

/* Lets the operation go on through a Relu that nothing else comes before. */
static int take_relu(struct draft *d, struct sl_do *o, int last)
{
	int k = only_reader(d, o->y, SL_OP_RELU);
	if (k < 0)
		return last;
	d->joined[last] = true;
	o->relu = true;
	o->y = d->p->g->node[k].out[0];
	return k;
}

static int param_add(struct sl_plan *p, int value, bool is_stat, bool decays)
{
	const struct sl_value *v = &p->g->value[value];
	size_t n = (size_t)sl_shape_count(&v->shape), *total = is_stat ? &p->nstat : &p->nweight;
	p->param[p->nparam] = (struct sl_param){value, *total, n, is_stat, decays && v->shape.rank >= 2};
	*total += n;
	return p->nparam++;
}

/* Input k of n as a parameter; it must be a weight that only n reads. */
static enum sl_status take_param(struct draft *d, const struct sl_node *n, int k, bool is_stat, bool decays, int *ret)
{
	*ret = -1;
	if (k >= n->nin || n->in[k] < 0)
		return SL_OK;
	const struct sl_value *v = &d->p->g->value[n->in[k]];
	if (v->kind != SL_VALUE_WEIGHT || !v->f32)
		return no(d, n, "its weights are computed");
	if (d->p->use[n->in[k]].reads != 1)
		return no(d, n, "its weights are shared with another node");
	*ret = param_add(d->p, n->in[k], is_stat, decays);
	return SL_OK;
}

static enum sl_status draft_norm(struct draft *d, int i)
{
	struct sl_graph *g = d->p->g;
	const struct sl_node *n = &g->node[i];
	struct sl_do o = {SL_DO_NORM, n, n->in[0], -1, n->out[0], .eps = sl_node_float(n, "epsilon", 1e-5f)};
	if (n->nin < 5 || n->nout != 1)
		return no(d, n, "it needs scale, shift, mean and variance, and one output");
	int last = i, k = only_reader(d, o.y, SL_OP_ADD);
	if (k >= 0 && !d->joined[k] && !d->has_end[k]) {
		int other = g->node[k].in[0] == o.y ? g->node[k].in[1] : g->node[k].in[0];
		if (same_shape(d->p, other, o.y) && g->value[other].kind == SL_VALUE_NODE) {
			d->joined[last] = true;
			o.add = other;
			o.y = g->node[k].out[0];
			last = k;
		}
	}
	last = take_relu(d, &o, last);
	enum sl_status s = take_param(d, n, 1, false, false, &o.weight);
	if (s == SL_OK)
		s = take_param(d, n, 2, false, false, &o.bias);
	if (s == SL_OK)
		s = take_param(d, n, 3, true, false, &o.mean);
	if (s == SL_OK)
		s = take_param(d, n, 4, true, false, &o.var);
	d->ends[last] = o;
	d->has_end[last] = true;
	return s;
}

static enum sl_status draft_sum(struct draft *d, int i)
{
	const struct sl_node *n = &d->p->g->node[i];
	struct sl_do o = {SL_DO_SUM, n, n->in[0], -1, n->out[0], .relu = n->op == SL_OP_RELU};
	int last = i;
	if (n->op == SL_OP_ADD) {
		if (!same_shape(d->p, n->in[0], n->in[1]))
			return no(d, n, "it adds tensors of different shapes");
		o.add = n->in[1];
		last = take_relu(d, &o, last);
	}
	d->ends[last] = o;
	d->has_end[last] = true;
	return SL_OK;
}

static enum sl_status check_up(struct draft *d, const struct sl_node *n)
{
	const struct sl_shape *x = &d->p->shape[n->in[0]], *y = &d->p->shape[n->out[0]];
	const struct sl_attr *mode = sl_node_attr(n, "mode");
	bool nearest = !mode || (mode->s && !strcmp(mode->s, "nearest"));
	if (!nearest || x->rank != 4 || y->dim[2] != 2 * x->dim[2] || y->dim[3] != 2 * x->dim[3])
		return no(d, n, "only nearest by 2 is");
	return SL_OK;
}

static enum sl_status draft_plain(struct draft *d, int i)
{
	const struct sl_node *n = &d->p->g->node[i];
	struct sl_do o = {.node = n, .x = n->in[0], .add = -1, .y = n->out[0], .weight = -1, .bias = -1};
	enum sl_status s = SL_OK;
	switch (n->op) {
	case SL_OP_CONV:
		o.kind = SL_DO_CONV;
		s = take_param(d, n, 1, false, true, &o.weight);
		if (s == SL_OK)
			s = take_param(d, n, 2, false, false, &o.bias);
		break;
	case SL_OP_GEMM:
		o.kind = SL_DO_GEMM;
		o.trans_b = sl_node_int(n, "transB", 0) != 0;
		if (sl_node_int(n, "transA", 0) || sl_node_float(n, "alpha", 1) != 1 ||
			sl_node_float(n, "beta", 1) != 1)
			return no(d, n, "transA, alpha or beta is set");
		s = take_param(d, n, 1, false, true, &o.weight);
		if (s == SL_OK)
			s = take_param(d, n, 2, false, false, &o.bias);
		break;
	case SL_OP_RESIZE:
		o.kind = SL_DO_UP;
		s = check_up(d, n);
		break;
	case SL_OP_GLOBALAVGPOOL:
		o.kind = SL_DO_POOL;
		break;
	case SL_OP_FLATTEN:
		o.kind = SL_DO_FLATTEN;
		if (sl_node_int(n, "axis", 1) != 1)
			return no(d, n, "its axis is not 1");
		break;
	case SL_OP_DROPOUT:
		o.kind = SL_DO_DROPOUT;
		o.ratio = 0.5f;
		if (n->nin > 1 && n->in[1] >= 0 && d->p->g->value[n->in[1]].f32)
			o.ratio = d->p->g->value[n->in[1]].f32[0];
		if (!(o.ratio >= 0 && o.ratio < 1))
			return no(d, n, "its ratio is not in [0, 1)");
		break;
	default:
		return no(d, n, "it has no gradient here");
	}
	d->ends[i] = o;
	d->has_end[i] = true;
	return s;
}

static enum sl_status draft_node(struct draft *d, int i)
{
	const struct sl_node *n = &d->p->g->node[i];
	if (d->joined[i] || d->has_end[i])
		return SL_OK;
	if (n->op == SL_OP_BATCHNORM)
		return draft_norm(d, i);
	if (n->op == SL_OP_ADD || n->op == SL_OP_RELU)
		return draft_sum(d, i);
	return draft_plain(d, i);
}

/* Images in blocks go into everything up to the pool; row-major matrices come after it. */
static enum sl_status check_layout(struct draft *d, const struct sl_do *o)
{
	struct sl_use *use = d->p->use;
	bool plain = use[o->x].is_plain, from_input = d->p->g->value[o->x].kind == SL_VALUE_INPUT;
	const struct sl_shape *x = &d->p->shape[o->x];
	use[o->y].is_plain = o->kind >= SL_DO_POOL;
	if (!use[o->y].reads)
		return no(d, o->node, "nothing reads its result");
	if (d->p->g->value[o->x].kind == SL_VALUE_WEIGHT)
		return no(d, o->node, "it reads a constant");
	if (o->kind == SL_DO_CONV)
		return plain && !from_input ? no(d, o->node, "it comes after a pool") : SL_OK;
	if (o->kind == SL_DO_GEMM || o->kind == SL_DO_DROPOUT)
		return plain && x->rank == 2 ? SL_OK : no(d, o->node, "its input is not a matrix");
	if (o->kind == SL_DO_FLATTEN)
		return SL_OK;
	return plain || x->rank != 4 || (o->add >= 0 && use[o->add].is_plain)
		       ? no(d, o->node, "its input is not made by a convolution")
		       : SL_OK;
}

static enum sl_status draft_all(struct draft *d)
{
	struct sl_plan *p = d->p;
	enum sl_status s = SL_OK;
	count_uses(d);
	p->use[p->g->input[0]].is_plain = true;
	for (int i = 0; i < p->g->nnode && s == SL_OK; i++)
		s = draft_node(d, i);
	for (int i = 0; i < p->g->nnode && s == SL_OK; i++) {
		if (!d->has_end[i])
			continue;
		s = check_layout(d, &d->ends[i]);
		p->use[d->ends[i].y].maker = p->ndo;
		p->does[p->ndo++] = d->ends[i];
	}
	return s;
}

enum sl_status sl_plan_new(const struct sl_graph *g, struct sl_shape input, struct sl_plan **ret, struct sl_err *err)
{
	enum sl_status s = sl_graph_check(g, err);
	if (s != SL_OK)
		return s;
	if (g->ninput != 1 || g->noutput < 1)
		return sl_fail(err, SL_UNSUPPORTED, "training needs a net of one input; this one has %d", g->ninput);
	struct sl_plan *p = SL_NEW(struct sl_plan);
	p->g = sl_graph_clone(g);
	p->shape = SL_NEW_N(struct sl_shape, g->nvalue);
	p->use = SL_NEW_N(struct sl_use, g->nvalue);
	p->does = SL_NEW_N(struct sl_do, g->nnode);
	p->param = SL_NEW_N(struct sl_param, g->nvalue);
	SL_AUTOFREE int *reader = SL_NEW_N(int, g->nvalue);
	SL_AUTOFREE bool *joined = SL_NEW_N(bool, g->nnode), *has_end = SL_NEW_N(bool, g->nnode);
	SL_AUTOFREE struct sl_do *ends = SL_NEW_N(struct sl_do, g->nnode);
	struct draft d = {p, reader, joined, ends, has_end, err};
	s = sl_graph_shapes(p->g, &input, p->shape, err);
	if (s == SL_OK)
		s = draft_all(&d);
	if (s != SL_OK) {
		sl_plan_free(p);
		return s;
	}
	*ret = p;
	return SL_OK;
}

void sl_plan_free(struct sl_plan *p)
{
	if (!p)
		return;
	sl_graph_free(p->g);
	free(p->shape);
	free(p->use);
	free(p->does);
	free(p->param);
	free(p);
}
