/* SPDX-License-Identifier: Apache-2.0
 *
 * From the net as it was trained or exported to the net that is run.
 */
#include "nn/shape.h"
#include "base/mem.h"
#include <math.h>

struct fold {
	struct sl_graph *g; /* a clone that is taken apart */
	int *alias; /* value -> value that stands for it */
	int *uses; /* by nodes and by the graph's outputs */
	bool *dead; /* nodes */
};

static int resolve(const struct fold *f, int v)
{
	while (v >= 0 && f->alias[v] != v)
		v = f->alias[v];
	return v;
}

static bool is_output(const struct sl_graph *g, int v)
{
	for (int i = 0; i < g->noutput; i++)
		if (g->output[i] == v)
			return true;
	return false;
}

static void count_uses(struct fold *f)
{
	const struct sl_graph *g = f->g;

	memset(f->uses, 0, sizeof(*f->uses) * (size_t)g->nvalue);
	for (int i = 0; i < g->nnode; i++)
		for (int k = 0; k < g->node[i].nin && !f->dead[i]; k++)
			if (g->node[i].in[k] >= 0)
				f->uses[g->node[i].in[k]]++;
	for (int i = 0; i < g->noutput; i++)
		f->uses[g->output[i]]++;
}

/* Values whose content is known become weights; the nodes that made them go. */
static void fold_constants(struct fold *f, struct sl_walk *w)
{
	for (int i = 0; i < f->g->nnode; i++) {
		const struct sl_node *n = &f->g->node[i];

		if (!w->made[n->out[0]])
			continue;
		f->dead[i] = true;
		for (int k = 0; k < n->nout; k++) {
			struct sl_value *v = &f->g->value[n->out[k]];
			struct sl_data *d = &w->data[n->out[k]];

			v->kind = SL_VALUE_WEIGHT;
			v->shape = d->shape;
			v->f32 = SL_TAKE(d->f32);
			v->i64 = SL_TAKE(d->i64);
			w->made[n->out[k]] = false;
		}
	}
}

/* One that makes an output of the graph stays: it carries the name. */
static void fold_identities(struct fold *f)
{
	for (int i = 0; i < f->g->nnode; i++) {
		struct sl_node *n = &f->g->node[i];

		for (int k = 0; k < n->nin; k++)
			n->in[k] = resolve(f, n->in[k]);
		if (f->dead[i] || (n->op != SL_OP_IDENTITY && n->op != SL_OP_DROPOUT))
			continue;
		if (is_output(f->g, n->out[0])) {
			n->op = SL_OP_IDENTITY;
			n->nin = 1;
			for (int k = 0; k < n->nattr; k++) {
				free(n->attr[k].name);
				free(n->attr[k].s);
			}
			n->nattr = 0;
			free(n->attr);
			n->attr = NULL;
			continue;
		}
		f->alias[n->out[0]] = n->in[0];
		f->dead[i] = true;
	}
}

static char *free_name(const struct sl_graph *g, const char *base, const char *part)
{
	char *name = sl_asprintf("%s.%s", base, part);

	for (int i = 0; i < g->nvalue; i++) {
		if (strcmp(g->value[i].name, name) != 0)
			continue;
		char *longer = sl_asprintf("%s_", name);

		free(name);
		name = longer;
		i = -1;
	}
	return name;
}

static bool is_weight(const struct sl_graph *g, int v, int64_t count)
{
	return v >= 0 && g->value[v].kind == SL_VALUE_WEIGHT && g->value[v].f32 &&
	       (count < 0 || sl_shape_count(&g->value[v].shape) == count);
}

/* y = gamma (conv + b - mean)/sqrt(var + eps) + beta, as weights and bias of the convolution. */
static void fold_batchnorm(struct fold *f, struct sl_node *conv, const struct sl_node *bn)
{
	struct sl_graph *g = f->g;
	struct sl_shape shape = g->value[conv->in[1]].shape;
	int64_t out = shape.dim[0], each = sl_shape_count(&shape) / out;
	const float *bias = conv->nin > 2 && conv->in[2] >= 0 ? g->value[conv->in[2]].f32 : NULL;
	const float *gamma = g->value[bn->in[1]].f32, *beta = g->value[bn->in[2]].f32;
	const float *mean = g->value[bn->in[3]].f32, *var = g->value[bn->in[4]].f32;
	const char *base = g->value[bn->out[0]].name;
	SL_AUTOFREE char *wname = free_name(g, base, "weight"), *bname = free_name(g, base, "bias");
	float eps = sl_node_float(bn, "epsilon", 1e-5f);
	SL_AUTOFREE float *w = sl_calloc((size_t)(out * each) + 1, sizeof(float)),
			  *b = sl_calloc((size_t)out, sizeof(float));

	for (int64_t o = 0; o < out; o++) {
		double k = (double)gamma[o] / sqrt((double)var[o] + (double)eps);

		for (int64_t i = 0; i < each; i++)
			w[o * each + i] = (float)((double)g->value[conv->in[1]].f32[o * each + i] * k);
		b[o] = (float)((double)beta[o] + ((bias ? (double)bias[o] : 0) - (double)mean[o]) * k);
	}
	conv->in[1] = sl_graph_weight(g, wname, shape, w);
	conv->in[2] = sl_graph_weight(g, bname, SL_SHAPE(out), b);
	conv->nin = 3;
	conv->out[0] = bn->out[0];
}

static void fold_batchnorms(struct fold *f)
{
	struct sl_graph *g = f->g;
	int nvalue = g->nvalue; /* fold_batchnorm() adds weights after these */
	SL_AUTOFREE int *maker = sl_calloc((size_t)nvalue + 1, sizeof(int));

	for (int i = 0; i < nvalue; i++)
		maker[i] = -1;
	for (int i = 0; i < g->nnode; i++) {
		struct sl_node *n = &g->node[i], *conv;
		int64_t out;
		bool fits = true;

		if (f->dead[i])
			continue;
		for (int k = 0; k < n->nout; k++)
			maker[n->out[k]] = i;
		if (g->nvalue + 2 > SL_GRAPH_VALUES || n->op != SL_OP_BATCHNORM || n->in[0] >= nvalue ||
			maker[n->in[0]] < 0 || f->uses[n->in[0]] != 1)
			continue;
		conv = &g->node[maker[n->in[0]]];
		if (conv->op != SL_OP_CONV || !is_weight(g, conv->in[1], -1) || g->value[conv->in[1]].shape.rank != 4)
			continue;
		out = g->value[conv->in[1]].shape.dim[0];
		if (out < 1 || (conv->nin > 2 && conv->in[2] >= 0 && !is_weight(g, conv->in[2], out)) ||
			sl_node_int(n, "training_mode", 0) != 0)
			continue;
		for (int k = 1; k < 5; k++)
			fits = fits && is_weight(g, n->in[k], out);
		if (!fits)
			continue;
		fold_batchnorm(f, conv, n);
		maker[n->out[0]] = (int)(conv - g->node);
		f->dead[i] = true;
	}
}

/* Marks what the outputs need, from the end. */
static void find_live(const struct sl_graph *g, const bool *dead, bool *live_node, bool *live_value)
{
	for (int i = 0; i < g->ninput; i++)
		live_value[g->input[i]] = true;
	for (int i = 0; i < g->noutput; i++)
		live_value[g->output[i]] = true;
	for (int i = g->nnode - 1; i >= 0; i--) {
		const struct sl_node *n = &g->node[i];

		if (dead[i])
			continue;
		for (int k = 0; k < n->nout; k++)
			live_node[i] = live_node[i] || live_value[n->out[k]];
		if (!live_node[i])
			continue;
		for (int k = 0; k < n->nout; k++)
			live_value[n->out[k]] = true;
		for (int k = 0; k < n->nin; k++)
			if (n->in[k] >= 0)
				live_value[n->in[k]] = true;
	}
}

/* Drops from the array what is not live, moving the rest down. */
static void compact(struct sl_graph *g, const bool *dead)
{
	SL_AUTOFREE bool *live_node = sl_calloc((size_t)g->nnode + 1, sizeof(bool));
	SL_AUTOFREE bool *live_value = sl_calloc((size_t)g->nvalue + 1, sizeof(bool));
	SL_AUTOFREE int *to = sl_calloc((size_t)g->nvalue + 1, sizeof(int));
	struct sl_graph *rest = sl_graph_new("rest"), old = *g;

	find_live(g, dead, live_node, live_value);
	g->value = sl_calloc((size_t)SL_GRAPH_VALUES, sizeof(*g->value));
	g->node = sl_calloc((size_t)SL_GRAPH_VALUES, sizeof(*g->node));
	g->nvalue = g->nnode = 0;
	for (int i = 0; i < old.nvalue; i++) {
		to[i] = live_value[i] ? g->nvalue : -1;
		if (live_value[i])
			g->value[g->nvalue++] = old.value[i];
		else
			old.value[rest->nvalue++] = old.value[i];
	}
	for (int i = 0; i < old.nnode; i++) {
		struct sl_node *n = &old.node[i];

		for (int k = 0; k < n->nin && live_node[i]; k++)
			n->in[k] = n->in[k] < 0 ? -1 : to[n->in[k]];
		for (int k = 0; k < n->nout && live_node[i]; k++)
			n->out[k] = to[n->out[k]];
		if (live_node[i])
			g->node[g->nnode++] = *n;
		else
			old.node[rest->nnode++] = *n;
	}
	for (int i = 0; i < g->ninput; i++)
		g->input[i] = to[g->input[i]];
	for (int i = 0; i < g->noutput; i++)
		g->output[i] = to[g->output[i]];
	rest->value = old.value;
	rest->node = old.node;
	sl_graph_free(rest);
}

enum sl_status sl_graph_fold(const struct sl_graph *g, struct sl_graph **ret, struct sl_err *err)
{
	SL_AUTO(sl_walk_done) struct sl_walk w = {0};
	struct sl_graph *out, *copy;
	struct fold f;
	enum sl_status st = sl_graph_check(g, err);

	if (st == SL_OK)
		st = sl_walk_run(&w, g, NULL, err);
	if (st != SL_OK)
		return st;
	out = sl_graph_clone(g);
	f = (struct fold){.g = out};
	f.alias = sl_calloc((size_t)g->nvalue + 1, sizeof(int));
	f.uses = sl_calloc((size_t)g->nvalue + 1, sizeof(int));
	f.dead = sl_calloc((size_t)g->nnode + 1, sizeof(bool));
	for (int i = 0; i < g->nvalue; i++)
		f.alias[i] = i;
	fold_constants(&f, &w);
	fold_identities(&f);
	count_uses(&f);
	fold_batchnorms(&f);
	compact(out, f.dead);
	free(f.alias);
	free(f.uses);
	free(f.dead);
	copy = sl_graph_clone(out); /* arrays of the right size */
	sl_graph_free(out);
	st = sl_graph_check(copy, err);
	if (st == SL_OK)
		*ret = copy;
	else
		sl_graph_free(copy);
	return st;
}
