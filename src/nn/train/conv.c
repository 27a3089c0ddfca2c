/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/conv.h"
#include "base/mem.h"
#include <dnnl.h>
#include <omp.h>

struct sl_conv_ctx {
	dnnl_engine_t engine;
	dnnl_stream_t stream;
	void *scratch; /* one for all: primitives of a context run one after another */
	size_t scratch_size;
};

/* One primitive with its memories; their data pointers are set at each run. */
enum { RUN_ARGS = 5 };
struct run {
	dnnl_primitive_desc_t desc;
	dnnl_primitive_t prim;
	dnnl_exec_arg_t arg[RUN_ARGS];
	int narg;
};

/* Memory that a convolution owns: weights in its own layout, the reordered source. */
struct own {
	dnnl_memory_desc_t md;
	void *data;
};

struct sl_conv {
	struct sl_conv_ctx *x;
	struct sl_conv_spec s;
	dnnl_memory_desc_t src, dst, diff_dst, weights, grad, bias, plain_weights, plain_src;
	struct run forward, by_data, by_weights;
	struct run load, load_back, load_src, unload; /* reorders: weights twice, source, weights' gradient */
	struct own w, w_back, dw, src_copy;
};

#define TRY(call) \
	do { \
		dnnl_status_t s_ = (call); \
		if (s_ != dnnl_success) \
			return fail(err, s_, #call); \
	} while (0)

static enum sl_status fail(struct sl_err *err, dnnl_status_t s, const char *call)
{
	enum sl_status as = s == dnnl_unimplemented ? SL_UNSUPPORTED : SL_IO;
	return sl_fail(err, as, "oneDNN gives status %d to %.60s", (int)s, call);
}

struct sl_conv_ctx *sl_conv_ctx_new(void)
{
	struct sl_conv_ctx *x = SL_NEW(struct sl_conv_ctx);
	omp_set_num_threads(1);
	if (dnnl_engine_create(&x->engine, dnnl_cpu, 0) != dnnl_success)
		SL_BUG("oneDNN has no CPU engine");
	if (dnnl_stream_create(&x->stream, x->engine, dnnl_stream_default_flags) != dnnl_success)
		SL_BUG("oneDNN makes no stream");
	return x;
}

void sl_conv_ctx_free(struct sl_conv_ctx *x)
{
	if (!x)
		return;
	dnnl_stream_destroy(x->stream);
	dnnl_engine_destroy(x->engine);
	free(x->scratch);
	free(x);
}

bool sl_conv_has_bf16(void)
{
	dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
	return isa == dnnl_cpu_isa_avx512_core_bf16 || isa == dnnl_cpu_isa_avx512_core_amx;
}

int sl_conv_lanes(void)
{
	return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core ? 16 : 8;
}

static void run_done(struct run *r)
{
	for (int i = 0; i < r->narg; i++)
		dnnl_memory_destroy(r->arg[i].memory);
	if (r->prim)
		dnnl_primitive_destroy(r->prim);
	if (r->desc)
		dnnl_primitive_desc_destroy(r->desc);
	*r = (struct run){0};
}

static enum sl_status run_arg(
	struct sl_conv_ctx *x, struct run *r, int name, const dnnl_memory_desc_t *md, struct sl_err *err)
{
	dnnl_exec_arg_t a = {name, NULL};
	TRY(dnnl_memory_create(&a.memory, md, x->engine, DNNL_MEMORY_NONE));
	SL_ASSERT(r->narg < RUN_ARGS);
	r->arg[r->narg++] = a;
	return SL_OK;
}

static void set(struct run *r, int name, void *data)
{
	for (int i = 0; i < r->narg; i++)
		if (r->arg[i].arg == name)
			dnnl_memory_set_data_handle(r->arg[i].memory, data);
}

/* Makes the primitive of r->desc and grows the scratch for it. */
static enum sl_status run_make(struct sl_conv_ctx *x, struct run *r, struct sl_err *err)
{
	TRY(dnnl_primitive_create(&r->prim, r->desc));
	const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(r->desc, dnnl_query_scratchpad_md, 0);
	size_t size = md ? dnnl_memory_desc_get_size(md) : 0;
	if (!size)
		return SL_OK;
	if (size > x->scratch_size) {
		free(x->scratch);
		x->scratch = sl_aligned(size);
		x->scratch_size = size;
	}
	return run_arg(x, r, DNNL_ARG_SCRATCHPAD, md, err);
}

static enum sl_status run_go(struct sl_conv_ctx *x, struct run *r, struct sl_err *err)
{
	set(r, DNNL_ARG_SCRATCHPAD, x->scratch);
	TRY(dnnl_primitive_execute(r->prim, x->stream, r->narg, r->arg));
	return SL_OK;
}

static enum sl_status reorder(struct sl_conv_ctx *x, struct run *r, const dnnl_memory_desc_t *from,
	const dnnl_memory_desc_t *to, dnnl_primitive_attr_t attr, struct sl_err *err)
{
	TRY(dnnl_reorder_primitive_desc_create(&r->desc, from, x->engine, to, x->engine, attr));
	enum sl_status s = run_make(x, r, err);
	if (s == SL_OK)
		s = run_arg(x, r, DNNL_ARG_FROM, from, err);
	return s == SL_OK ? run_arg(x, r, DNNL_ARG_TO, to, err) : s;
}

static void own_make(struct own *o, const dnnl_memory_desc_t *md)
{
	o->md = *md;
	o->data = sl_aligned(dnnl_memory_desc_get_size(md));
}

/* Descriptors of everything the primitives see; weights may have any layout. */
static enum sl_status describe(struct sl_conv *c, struct sl_err *err)
{
	const struct sl_conv_spec *s = &c->s;
	dnnl_data_type_t type = s->half ? dnnl_bf16 : dnnl_f32;
	dnnl_format_tag_t tag = s->lanes == 8 ? dnnl_aBcd8b : dnnl_aBcd16b;
	dnnl_dims_t src = {s->n, s->ci, s->h, s->w}, dst = {s->n, s->co, s->ho, s->wo}, bias = {s->co};
	dnnl_dims_t dense = {s->co, s->ci, s->kh, s->kw}, deep = {s->groups, 1, 1, s->kh, s->kw};
	bool is_deep = s->groups > 1;
	dnnl_dim_t *w = is_deep ? deep : dense;
	int rank = is_deep ? 5 : 4;
	TRY(dnnl_memory_desc_init_by_tag(&c->src, 4, src, type, s->plain_src ? dnnl_format_tag_any : tag));
	TRY(dnnl_memory_desc_init_by_tag(&c->plain_src, 4, src, dnnl_f32, dnnl_abcd));
	TRY(dnnl_memory_desc_init_by_tag(&c->dst, 4, dst, s->full_dst ? dnnl_f32 : type, tag));
	TRY(dnnl_memory_desc_init_by_tag(&c->diff_dst, 4, dst, type, tag));
	TRY(dnnl_memory_desc_init_by_tag(&c->weights, rank, w, type, dnnl_format_tag_any));
	TRY(dnnl_memory_desc_init_by_tag(&c->grad, rank, w, dnnl_f32, dnnl_format_tag_any));
	TRY(dnnl_memory_desc_init_by_tag(&c->plain_weights, rank, w, dnnl_f32, is_deep ? dnnl_abcde : dnnl_abcd));
	TRY(dnnl_memory_desc_init_by_tag(&c->bias, 1, bias, dnnl_f32, dnnl_a));
	return SL_OK;
}

static enum sl_status make_forward(struct sl_conv *c, dnnl_primitive_attr_t attr, struct sl_err *err)
{
	const struct sl_conv_spec *s = &c->s;
	dnnl_dims_t stride = {s->stride_h, s->stride_w}, before = {s->pad[0], s->pad[1]},
		    after = {s->pad[2], s->pad[3]};
	dnnl_convolution_desc_t d;
	struct run *r = &c->forward;
	TRY(dnnl_convolution_forward_desc_init(&d, dnnl_forward_training, dnnl_convolution_direct, &c->src, &c->weights,
		s->has_bias ? &c->bias : NULL, &c->dst, stride, before, after));
	TRY(dnnl_primitive_desc_create(&r->desc, &d, attr, c->x->engine, NULL));
	c->src = *dnnl_primitive_desc_query_md(r->desc, dnnl_query_src_md, 0);
	own_make(&c->w, dnnl_primitive_desc_query_md(r->desc, dnnl_query_weights_md, 0));
	enum sl_status st = run_make(c->x, r, err);
	if (st == SL_OK)
		st = run_arg(c->x, r, DNNL_ARG_SRC, &c->src, err);
	if (st == SL_OK)
		st = run_arg(c->x, r, DNNL_ARG_WEIGHTS, &c->w.md, err);
	if (st == SL_OK && s->has_bias)
		st = run_arg(c->x, r, DNNL_ARG_BIAS, &c->bias, err);
	return st == SL_OK ? run_arg(c->x, r, DNNL_ARG_DST, &c->dst, err) : st;
}

static enum sl_status make_by_data(struct sl_conv *c, dnnl_primitive_attr_t attr, struct sl_err *err)
{
	const struct sl_conv_spec *s = &c->s;
	dnnl_dims_t stride = {s->stride_h, s->stride_w}, before = {s->pad[0], s->pad[1]},
		    after = {s->pad[2], s->pad[3]};
	dnnl_convolution_desc_t d;
	struct run *r = &c->by_data;
	TRY(dnnl_convolution_backward_data_desc_init(
		&d, dnnl_convolution_direct, &c->src, &c->weights, &c->diff_dst, stride, before, after));
	TRY(dnnl_primitive_desc_create(&r->desc, &d, attr, c->x->engine, c->forward.desc));
	const dnnl_memory_desc_t *w = dnnl_primitive_desc_query_md(r->desc, dnnl_query_weights_md, 0);
	if (dnnl_memory_desc_equal(w, &c->w.md))
		c->w_back = c->w; /* one copy serves both */
	else
		own_make(&c->w_back, w);
	enum sl_status st = run_make(c->x, r, err);
	if (st == SL_OK)
		st = run_arg(c->x, r, DNNL_ARG_DIFF_SRC, &c->src, err);
	if (st == SL_OK)
		st = run_arg(c->x, r, DNNL_ARG_WEIGHTS, &c->w_back.md, err);
	return st == SL_OK ? run_arg(c->x, r, DNNL_ARG_DIFF_DST, &c->diff_dst, err) : st;
}

static enum sl_status make_by_weights(struct sl_conv *c, dnnl_primitive_attr_t attr, struct sl_err *err)
{
	const struct sl_conv_spec *s = &c->s;
	dnnl_dims_t stride = {s->stride_h, s->stride_w}, before = {s->pad[0], s->pad[1]},
		    after = {s->pad[2], s->pad[3]};
	dnnl_convolution_desc_t d;
	struct run *r = &c->by_weights;
	TRY(dnnl_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, &c->src, &c->grad,
		s->has_bias ? &c->bias : NULL, &c->diff_dst, stride, before, after));
	TRY(dnnl_primitive_desc_create(&r->desc, &d, attr, c->x->engine, c->forward.desc));
	own_make(&c->dw, dnnl_primitive_desc_query_md(r->desc, dnnl_query_diff_weights_md, 0));
	enum sl_status st = run_make(c->x, r, err);
	if (st == SL_OK)
		st = run_arg(c->x, r, DNNL_ARG_SRC, &c->src, err);
	if (st == SL_OK)
		st = run_arg(c->x, r, DNNL_ARG_DIFF_WEIGHTS, &c->dw.md, err);
	if (st == SL_OK && s->has_bias)
		st = run_arg(c->x, r, DNNL_ARG_DIFF_BIAS, &c->bias, err);
	return st == SL_OK ? run_arg(c->x, r, DNNL_ARG_DIFF_DST, &c->diff_dst, err) : st;
}

static enum sl_status make_reorders(struct sl_conv *c, dnnl_primitive_attr_t attr, struct sl_err *err)
{
	enum sl_status s = reorder(c->x, &c->load, &c->plain_weights, &c->w.md, attr, err);
	if (s == SL_OK && c->w_back.data && c->w_back.data != c->w.data)
		s = reorder(c->x, &c->load_back, &c->plain_weights, &c->w_back.md, attr, err);
	if (s == SL_OK)
		s = reorder(c->x, &c->unload, &c->dw.md, &c->plain_weights, attr, err);
	if (s == SL_OK && c->s.plain_src) {
		own_make(&c->src_copy, &c->src);
		s = reorder(c->x, &c->load_src, &c->plain_src, &c->src, attr, err);
	}
	return s;
}

static enum sl_status make_all(struct sl_conv *c, struct sl_err *err)
{
	enum sl_status s = describe(c, err);
	dnnl_primitive_attr_t attr;
	if (s != SL_OK)
		return s;
	TRY(dnnl_primitive_attr_create(&attr));
	dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
	s = make_forward(c, attr, err);
	if (s == SL_OK && c->s.needs_dx)
		s = make_by_data(c, attr, err);
	if (s == SL_OK)
		s = make_by_weights(c, attr, err);
	if (s == SL_OK)
		s = make_reorders(c, attr, err);
	dnnl_primitive_attr_destroy(attr);
	return s;
}

enum sl_status sl_conv_new(
	struct sl_conv_ctx *x, const struct sl_conv_spec *spec, struct sl_conv **ret, struct sl_err *err)
{
	if (spec->groups != 1 && (spec->groups != spec->ci || spec->ci != spec->co))
		return sl_fail(
			err, SL_UNSUPPORTED, "a convolution of %d groups is neither dense nor depthwise", spec->groups);
	struct sl_conv *c = SL_NEW(struct sl_conv);
	c->x = x;
	c->s = *spec;
	enum sl_status s = make_all(c, err);
	if (s != SL_OK) {
		sl_conv_free(c);
		return sl_prefix(
			err, s, "convolution %d to %d channels at %d x %d", spec->ci, spec->co, spec->h, spec->w);
	}
	*ret = c;
	return SL_OK;
}

void sl_conv_free(struct sl_conv *c)
{
	if (!c)
		return;
	struct run *all[] = {
		&c->forward, &c->by_data, &c->by_weights, &c->load, &c->load_back, &c->load_src, &c->unload};
	for (size_t i = 0; i < SL_COUNT(all); i++)
		run_done(all[i]);
	if (c->w_back.data != c->w.data)
		free(c->w_back.data);
	free(c->w.data);
	free(c->dw.data);
	free(c->src_copy.data);
	free(c);
}

enum sl_status sl_conv_load(struct sl_conv *c, const float *weights, const float *bias, struct sl_err *err)
{
	set(&c->load, DNNL_ARG_FROM, (void *)weights);
	set(&c->load, DNNL_ARG_TO, c->w.data);
	set(&c->forward, DNNL_ARG_WEIGHTS, c->w.data);
	set(&c->forward, DNNL_ARG_BIAS, (void *)bias);
	enum sl_status s = run_go(c->x, &c->load, err);
	if (s != SL_OK || !c->w_back.data)
		return s;
	set(&c->by_data, DNNL_ARG_WEIGHTS, c->w_back.data);
	if (!c->load_back.prim)
		return SL_OK;
	set(&c->load_back, DNNL_ARG_FROM, (void *)weights);
	set(&c->load_back, DNNL_ARG_TO, c->w_back.data);
	return run_go(c->x, &c->load_back, err);
}

enum sl_status sl_conv_forward(struct sl_conv *c, void *src, void *dst, struct sl_err *err)
{
	if (c->s.plain_src) {
		set(&c->load_src, DNNL_ARG_FROM, src);
		set(&c->load_src, DNNL_ARG_TO, c->src_copy.data);
		enum sl_status s = run_go(c->x, &c->load_src, err);
		if (s != SL_OK)
			return s;
		src = c->src_copy.data;
	}
	set(&c->forward, DNNL_ARG_SRC, src);
	set(&c->forward, DNNL_ARG_DST, dst);
	return run_go(c->x, &c->forward, err);
}

enum sl_status sl_conv_backward(
	struct sl_conv *c, void *src, void *dy, void *dx, float *dw, float *db, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	if (c->by_data.prim) {
		set(&c->by_data, DNNL_ARG_DIFF_DST, dy);
		set(&c->by_data, DNNL_ARG_DIFF_SRC, dx);
		s = run_go(c->x, &c->by_data, err);
	}
	if (s != SL_OK)
		return s;
	set(&c->by_weights, DNNL_ARG_SRC, c->s.plain_src ? c->src_copy.data : src);
	set(&c->by_weights, DNNL_ARG_DIFF_DST, dy);
	set(&c->by_weights, DNNL_ARG_DIFF_WEIGHTS, c->dw.data);
	set(&c->by_weights, DNNL_ARG_DIFF_BIAS, db);
	s = run_go(c->x, &c->by_weights, err);
	if (s != SL_OK)
		return s;
	set(&c->unload, DNNL_ARG_FROM, c->dw.data);
	set(&c->unload, DNNL_ARG_TO, dw);
	return run_go(c->x, &c->unload, err);
}

void sl_matmul(bool ta, bool tb, int m, int n, int k, const float *a, const float *b, float beta, float *c)
{
	dnnl_status_t s =
		dnnl_sgemm(ta ? 'T' : 'N', tb ? 'T' : 'N', m, n, k, 1, a, ta ? m : k, b, tb ? k : n, beta, c, n);
	if (s != dnnl_success)
		SL_BUG("oneDNN gives status %d to a %d x %d x %d product", (int)s, m, n, k);
}
