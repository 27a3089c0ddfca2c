/* SPDX-License-Identifier: Apache-2.0
 *
 * Training that starts from a finished net. Such a net has no batch norm any more: it was
 * folded into the convolutions. It is put back so that the net computes the same: with m and
 * v the mean and variance of a folded convolution's output y = w x + b over some batches,
 * weight w, running mean m - b, running variance v, gamma sqrt(v + eps) and beta m give y
 * again, and batch statistics that training then uses are close to the running ones.
 */
#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "dataset/learn_task.h"
#include "nn/onnx/onnx.h"
#include <math.h>

enum { BATCHES = 8, LAYERS = 64, AT_ONCE = SL_NODE_OUT - 1 }; /* AT_ONCE: a graph has so many outputs beside its own */

SL_DEFINE_FREEP(sl_graph)
SL_DEFINE_FREEP(sl_model)
SL_DEFINE_FREEP(sl_session)

struct layer { /* a convolution in both nets, and its batch norm in ours */
	const struct sl_node *ours, *norm, *theirs;
	double *sum, *square;
	double n;
};

struct match {
	struct layer layer[LAYERS];
	int n;
	const struct sl_node *fc, *their_fc;
};

static void match_done(struct match *m)
{
	for (int i = 0; i < m->n; i++) {
		free(m->layer[i].sum);
		free(m->layer[i].square);
	}
}

static const struct sl_node *next_op(const struct sl_graph *g, enum sl_op op, int *at)
{
	while (*at < g->nnode)
		if (g->node[(*at)++].op == op)
			return &g->node[*at - 1];
	return NULL;
}

static const struct sl_node *norm_of(const struct sl_graph *g, const struct sl_node *conv)
{
	for (int i = 0; i < g->nnode; i++)
		if (g->node[i].op == SL_OP_BATCHNORM && g->node[i].in[0] == conv->out[0])
			return &g->node[i];
	return NULL;
}

static const struct sl_shape *weight_shape(const struct sl_graph *g, const struct sl_node *n)
{
	return &g->value[n->in[1]].shape;
}

static enum sl_status match_nets(
	const struct sl_graph *ours, const struct sl_graph *theirs, struct match *m, struct sl_err *err)
{
	int i = 0, k = 0;
	for (;;) {
		const struct sl_node *a = next_op(ours, SL_OP_CONV, &i), *b = next_op(theirs, SL_OP_CONV, &k);
		if (!a && !b)
			break;
		if (!a || !b || m->n == LAYERS || theirs->value[b->in[1]].kind != SL_VALUE_WEIGHT ||
			!sl_shape_is_same(weight_shape(ours, a), weight_shape(theirs, b)))
			return sl_fail(err, SL_INVALID, "it is another net: convolution %d does not fit", m->n + 1);
		size_t channels = (size_t)weight_shape(ours, a)->dim[0];
		m->layer[m->n++] = (struct layer){
			a, norm_of(ours, a), b, SL_NEW_N(double, channels), SL_NEW_N(double, channels), 0};
	}
	i = k = 0;
	m->fc = next_op(ours, SL_OP_GEMM, &i);
	m->their_fc = next_op(theirs, SL_OP_GEMM, &k);
	if (!m->n || !m->fc != !m->their_fc)
		return sl_fail(err, SL_INVALID, "it is another net: the last layer does not fit");
	return SL_OK;
}

/* Adds up the outputs of n folded convolutions over some batches. */
static enum sl_status measure_some(
	struct sl_task *t, int workers, const struct sl_graph *theirs, struct layer *layer, int n, struct sl_err *err)
{
	SL_AUTO(sl_graph_freep) struct sl_graph *g = sl_graph_clone(theirs);
	SL_AUTO(sl_model_freep) struct sl_model *model = NULL;
	SL_AUTO(sl_session_freep) struct sl_session *session = NULL;
	SL_AUTOFREE float *pixels = NULL;
	struct sl_tensor in = {.shape = t->input}, out[AT_ONCE + 1];
	int first = g->noutput;
	for (int i = 0; i < n; i++)
		sl_graph_output(g, layer[i].theirs->out[0]);
	enum sl_status s = sl_model_new(g, "dnnl", SL_PRECISION_F32, &model, err);
	if (s != SL_OK)
		return s;
	session = sl_session_new(model);
	in.shape.dim[0] = t->input.dim[0] / workers;
	in.data = pixels = sl_aligned((size_t)sl_shape_count(&in.shape) * sizeof(float));
	for (int step = 0; step < BATCHES && s == SL_OK; step++) {
		s = t->batch.fill(t->batch.arg, 0, step, &in, err);
		if (s == SL_OK)
			s = sl_session_run(session, &in, out, err);
		for (int i = 0; i < n && s == SL_OK; i++) {
			struct layer *l = &layer[i];
			const struct sl_tensor *y = &out[first + i];
			int64_t c = y->shape.dim[1], each = y->shape.dim[2] * y->shape.dim[3];
			for (int64_t k = 0; k < y->shape.dim[0] * c; k++)
				for (int64_t p = 0; p < each; p++) {
					double v = y->data[k * each + p];
					l->sum[k % c] += v;
					l->square[k % c] += v * v;
				}
			l->n += (double)(y->shape.dim[0] * each);
		}
	}
	return s;
}

static enum sl_status measure(
	struct sl_task *t, int workers, const struct sl_graph *theirs, struct match *m, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < m->n && s == SL_OK; i += AT_ONCE)
		s = measure_some(t, workers, theirs, &m->layer[i], SL_MIN(m->n - i, AT_ONCE), err);
	return s;
}

static void copy_weight(struct sl_graph *to, int to_value, const struct sl_graph *from, int from_value)
{
	const struct sl_value *v = &from->value[from_value];
	memcpy(to->value[to_value].f32, v->f32, (size_t)sl_shape_count(&v->shape) * sizeof(float));
}

static void set_layer(struct sl_graph *ours, const struct sl_graph *theirs, const struct layer *l)
{
	const float *bias = l->theirs->nin > 2 && l->theirs->in[2] >= 0 ? theirs->value[l->theirs->in[2]].f32 : NULL;
	copy_weight(ours, l->ours->in[1], theirs, l->theirs->in[1]);
	if (!l->norm) {
		if (bias && l->ours->nin > 2)
			copy_weight(ours, l->ours->in[2], theirs, l->theirs->in[2]);
		return;
	}
	double eps = sl_node_float(l->norm, "epsilon", 1e-5f);
	for (int64_t c = 0; c < weight_shape(ours, l->ours)->dim[0]; c++) {
		double mean = l->sum[c] / l->n, var = fmax(l->square[c] / l->n - mean * mean, 0);
		ours->value[l->norm->in[1]].f32[c] = (float)sqrt(var + eps);
		ours->value[l->norm->in[2]].f32[c] = (float)mean;
		ours->value[l->norm->in[3]].f32[c] = (float)(mean - (bias ? bias[c] : 0));
		ours->value[l->norm->in[4]].f32[c] = (float)var;
	}
}

enum sl_status sl_learn_from(struct sl_task *t, int workers, const char *path, char ret_sha256[65], struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {.cap = SL_ONNX_BYTES};
	SL_AUTO(sl_graph_freep) struct sl_graph *read = NULL;
	SL_AUTO(sl_graph_freep) struct sl_graph *theirs = NULL;
	SL_AUTO(match_done) struct match m = {.n = 0};
	enum sl_status s = sl_fs_read(path, &file, err);
	if (s != SL_OK)
		return s;
	sl_sha256_hex(file.ptr, file.len, ret_sha256);
	s = sl_onnx_read(sl_buf_slice(&file), &read, err);
	if (s == SL_OK)
		s = sl_graph_fold(read, &theirs, err);
	if (s == SL_OK)
		s = match_nets(t->graph, theirs, &m, err);
	if (s == SL_OK)
		s = measure(t, workers, theirs, &m, err);
	if (s != SL_OK)
		return sl_prefix(err, s, "--from %s", path);
	for (int i = 0; i < m.n; i++)
		set_layer(t->graph, theirs, &m.layer[i]);
	/* With another number of classes the last layer starts anew. */
	if (m.fc && sl_shape_is_same(weight_shape(t->graph, m.fc), weight_shape(theirs, m.their_fc)) &&
		sl_node_int(m.fc, "transB", 0) == sl_node_int(m.their_fc, "transB", 0)) {
		copy_weight(t->graph, m.fc->in[1], theirs, m.their_fc->in[1]);
		if (m.fc->nin > 2 && m.their_fc->nin > 2)
			copy_weight(t->graph, m.fc->in[2], theirs, m.their_fc->in[2]);
	}
	return SL_OK;
}
