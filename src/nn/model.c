/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/exec.h"
#include "nn/onnx/onnx.h"
#include "base/mem.h"

static const struct sl_exec *const executors[] = {&sl_exec_ref, &sl_exec_dnnl};

struct sl_model {
	struct sl_graph *g;
	const struct sl_exec *exec;
	enum sl_precision precision;
	void *store;
	int64_t bytes;
};

struct entry {
	struct sl_shape in[SL_NODE_IN];
	void *program;
	uint64_t used; /* the session's count of runs when it ran last */
};

struct sl_session {
	const struct sl_model *m;
	struct entry entry[SL_SESSION_SHAPES];
	int nentry;
	uint64_t runs;
};

enum sl_status sl_model_new(const struct sl_graph *g, const char *executor, enum sl_precision precision,
	struct sl_model **ret, struct sl_err *err)
{
	struct sl_model *m = SL_NEW(struct sl_model);
	enum sl_status st;

	for (size_t i = 0; i < SL_COUNT(executors); i++)
		if (strcmp(executors[i]->name, executor) == 0)
			m->exec = executors[i];
	m->precision = precision;
	if (!m->exec)
		st = sl_fail(err, SL_USAGE, "unknown executor \"%.20s\"; there are ref and dnnl", executor);
	else
		st = sl_graph_fold(g, &m->g, err);
	if (st == SL_OK)
		st = m->exec->store_new(m->g, &m->precision, &m->store, err);
	if (st != SL_OK) {
		sl_graph_free(m->g);
		free(m);
		return st;
	}
	for (int i = 0; i < m->g->nvalue; i++)
		if (m->g->value[i].kind == SL_VALUE_WEIGHT)
			m->bytes += sl_shape_count(&m->g->value[i].shape) * (m->g->value[i].f32 ? 4 : 8);
	*ret = m;
	return SL_OK;
}

enum sl_status sl_model_load(struct sl_slice onnx, const char *executor, enum sl_precision precision,
	struct sl_model **ret, struct sl_err *err)
{
	struct sl_graph *g;
	enum sl_status st = sl_onnx_read(onnx, &g, err);

	if (st != SL_OK)
		return st;
	st = sl_model_new(g, executor, precision, ret, err);
	sl_graph_free(g);
	return st;
}

void sl_model_free(struct sl_model *m)
{
	if (!m)
		return;
	m->exec->store_free(m->store);
	sl_graph_free(m->g);
	free(m);
}

const struct sl_graph *sl_model_graph(const struct sl_model *m)
{
	return m->g;
}

enum sl_precision sl_model_precision(const struct sl_model *m)
{
	return m->precision;
}

int64_t sl_model_bytes(const struct sl_model *m)
{
	return m->bytes + m->exec->store_bytes(m->store);
}

struct sl_session *sl_session_new(const struct sl_model *m)
{
	struct sl_session *s = SL_NEW(struct sl_session);

	s->m = m;
	return s;
}

void sl_session_free(struct sl_session *s)
{
	for (int i = 0; s && i < s->nentry; i++)
		s->m->exec->program_free(s->entry[i].program);
	free(s);
}

int64_t sl_session_bytes(const struct sl_session *s)
{
	int64_t bytes = 0;

	for (int i = 0; i < s->nentry; i++)
		bytes += s->m->exec->program_bytes(s->entry[i].program);
	return bytes;
}

static struct entry *find_entry(struct sl_session *s, const struct sl_tensor *in)
{
	for (int i = 0; i < s->nentry; i++) {
		bool same = true;

		for (int k = 0; k < s->m->g->ninput && same; k++)
			same = sl_shape_is_same(&s->entry[i].in[k], &in[k].shape);
		if (same)
			return &s->entry[i];
	}
	return NULL;
}

/* The slot for a new program: a free one, or the one that was not used for longest. */
static struct entry *free_entry(struct sl_session *s)
{
	struct entry *oldest = &s->entry[0];

	if (s->nentry < SL_SESSION_SHAPES)
		return &s->entry[s->nentry];
	for (int i = 1; i < s->nentry; i++)
		if (s->entry[i].used < oldest->used)
			oldest = &s->entry[i];
	return oldest;
}

static enum sl_status add_entry(
	struct sl_session *s, const struct sl_tensor *in, struct entry **ret, struct sl_err *err)
{
	const struct sl_graph *g = s->m->g;
	SL_AUTO(sl_walk_done) struct sl_walk w = {0};
	struct entry e = {0}, *slot;
	enum sl_status st;

	for (int i = 0; i < g->ninput; i++) {
		e.in[i] = in[i].shape;
		if (e.in[i].rank < 0 || e.in[i].rank > SL_RANK)
			return sl_fail(err, SL_INVALID, "input %d has rank %d", i, e.in[i].rank);
	}
	if ((st = sl_walk_run(&w, g, e.in, err)) != SL_OK)
		return st;
	if ((st = s->m->exec->compile(s->m->store, &w, s->m->precision, &e.program, err)) != SL_OK)
		return st;
	slot = free_entry(s);
	if (slot->program)
		s->m->exec->program_free(slot->program);
	else
		s->nentry++;
	*slot = e;
	*ret = slot;
	return SL_OK;
}

enum sl_status sl_session_run(
	struct sl_session *s, const struct sl_tensor *in, struct sl_tensor *ret, struct sl_err *err)
{
	struct entry *e = find_entry(s, in);
	enum sl_status st = SL_OK;

	if (!e)
		st = add_entry(s, in, &e, err);
	if (st != SL_OK)
		return st;
	e->used = ++s->runs;
	return s->m->exec->run(e->program, in, ret, err);
}

void sl_pixels_plain(const struct sl_pixels *im, float *ret)
{
	for (int c = 0; c < 3; c++)
		for (int y = 0; y < im->h; y++) {
			const uint8_t *px = im->px + (size_t)y * (size_t)im->w * 3 + (im->swap ? 2 - c : c);
			float *to = ret + ((size_t)c * (size_t)im->net_h + (size_t)y) * (size_t)im->net_w;

			for (int x = 0; x < im->w; x++)
				to[x] = ((float)px[x * 3] - im->mean) * im->scale;
		}
}

enum sl_status sl_session_run_pixels(
	struct sl_session *s, const struct sl_pixels *in, struct sl_tensor *ret, struct sl_err *err)
{
	struct sl_tensor t = {NULL, SL_SHAPE(1, 3, in->net_h, in->net_w)};
	struct entry *e;
	enum sl_status st = SL_OK;

	if (s->m->g->ninput != 1)
		return sl_fail(err, SL_INVALID, "pixels for a net with %d inputs", s->m->g->ninput);
	if (in->w < 1 || in->h < 1 || in->w > in->net_w || in->h > in->net_h)
		return sl_fail(
			err, SL_INVALID, "a picture of %dx%d for a net of %dx%d", in->w, in->h, in->net_w, in->net_h);
	if (s->m->exec->run_pixels) {
		e = find_entry(s, &t);
		if (!e)
			st = add_entry(s, &t, &e, err);
		if (st != SL_OK)
			return st;
		e->used = ++s->runs;
		return s->m->exec->run_pixels(e->program, in, ret, err);
	}
	if ((int64_t)in->net_w * in->net_h > SL_VALUE_ELEMENTS / 3)
		return sl_fail(err, SL_TOO_LARGE, "a net input of %dx%d", in->net_w, in->net_h);
	t.data = sl_calloc((size_t)sl_shape_count(&t.shape), sizeof(float));
	sl_pixels_plain(in, t.data);
	st = sl_session_run(s, &t, ret, err);
	free(t.data);
	return st;
}
