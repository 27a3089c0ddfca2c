/* SPDX-License-Identifier: Apache-2.0
 *
 * Which nodes run inside a convolution: the sum of a residual branch and the activation.
 * The chain is lowered where its last node stands, when the other addend is there.
 */
#include "nn/dnnl/program.h"
#include "base/mem.h"
#include <math.h>

static const float *scalar(const struct sl_program *p, const struct sl_node *n, int i, const float *otherwise)
{
	if (i >= n->nin || n->in[i] < 0)
		return otherwise;
	return p->w.data[n->in[i]].f32; /* NULL: not known */
}

bool sl_act_eltwise(const struct sl_program *p, const struct sl_node *n, dnnl_alg_kind_t *alg, float *a, float *b)
{
	static const float low = -3.4e38f, high = 3.4e38f;
	const float *lo, *hi;

	*a = *b = 0;
	switch (n->op) {
	case SL_OP_RELU:
		*alg = dnnl_eltwise_relu;
		return true;
	case SL_OP_LEAKYRELU:
		*alg = dnnl_eltwise_relu;
		*a = sl_node_float(n, "alpha", .01f);
		return true;
	case SL_OP_SIGMOID:
		*alg = dnnl_eltwise_logistic;
		return true;
	case SL_OP_TANH:
		*alg = dnnl_eltwise_tanh;
		return true;
	case SL_OP_EXP:
		*alg = dnnl_eltwise_exp;
		return true;
	case SL_OP_SQRT:
		*alg = dnnl_eltwise_sqrt;
		return true;
	case SL_OP_HARDSWISH:
		*alg = dnnl_eltwise_hardswish;
		return true;
	case SL_OP_CLIP:
		lo = scalar(p, n, 1, &low);
		hi = scalar(p, n, 2, &high);
		if (!lo || !hi || !(*lo <= *hi))
			return false;
		*alg = dnnl_eltwise_clip;
		*a = *lo;
		*b = *hi;
		return true;
	default:
		return false;
	}
}

static bool is_act(const struct sl_program *p, int node)
{
	dnnl_alg_kind_t alg;
	float a, b;

	return p->g->node[node].op != SL_OP_EXP && p->g->node[node].op != SL_OP_SQRT &&
	       sl_act_eltwise(p, &p->g->node[node], &alg, &a, &b);
}

/* The two uses of v are Sigmoid(v) and v * Sigmoid(v). */
static bool match_gate(const struct sl_program *p, int v, struct sl_chain *c)
{
	for (int i = p->user[v] - 1; i > c->conv; i--) { /* user[] holds the last one: the Mul */
		const struct sl_node *s = &p->g->node[i], *mul = &p->g->node[p->user[v]];

		if (s->op != SL_OP_SIGMOID || s->in[0] != v)
			continue;
		if (p->left[s->out[0]] != 1 || mul->op != SL_OP_MUL ||
			!((mul->in[0] == v && mul->in[1] == s->out[0]) || (mul->in[1] == v && mul->in[0] == s->out[0])))
			return false;
		c->gate = i;
		c->act = p->user[v];
		return true;
	}
	return false;
}

static bool match_act(const struct sl_program *p, int v, struct sl_chain *c)
{
	if (p->left[v] == 2)
		return match_gate(p, v, c);
	if (p->left[v] != 1 || p->user[v] < 0 || p->absorbed[p->user[v]] || !is_act(p, p->user[v]))
		return false;
	c->act = p->user[v];
	return true;
}

/* An Add of two values of one shape, the other one made by the net and not by this chain. */
static bool match_add(const struct sl_program *p, int v, struct sl_chain *c)
{
	const struct sl_node *n;
	int other;

	if (p->left[v] != 1 || p->user[v] < 0 || p->absorbed[p->user[v]])
		return false;
	n = &p->g->node[p->user[v]];
	if (n->op != SL_OP_ADD || n->in[0] == n->in[1])
		return false;
	other = n->in[n->in[0] == v];
	if (!sl_shape_is_same(&p->w.data[v].shape, &p->w.data[other].shape) || sl_data_is_known(&p->w.data[other]))
		return false;
	c->add = p->user[v];
	return true;
}

void sl_find_chains(struct sl_program *p)
{
	const struct sl_graph *g = p->g;

	for (int i = 0; i < g->nnode; i++)
		p->chain[i] = (struct sl_chain){-1, -1, -1, -1, false};
	for (int i = 0; i < g->nnode; i++) {
		struct sl_chain c = {i, -1, -1, -1, false};
		int last = i;

		if (g->node[i].op != SL_OP_CONV)
			continue;
		if (match_act(p, g->node[i].out[0], &c)) {
			last = c.act;
			c.act_first = match_add(p, g->node[c.act].out[0], &c);
			if (c.act_first)
				last = c.add;
		} else if (match_add(p, g->node[i].out[0], &c)) {
			last = c.add;
			if (match_act(p, g->node[c.add].out[0], &c))
				last = c.act;
		}
		if (last == i)
			continue;
		p->absorbed[i] = true;
		if (c.add >= 0)
			p->absorbed[c.add] = true;
		if (c.act >= 0)
			p->absorbed[c.act] = true;
		if (c.gate >= 0)
			p->absorbed[c.gate] = true;
		p->chain[last] = c;
	}
}
