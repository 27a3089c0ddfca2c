/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiling a graph at given shapes into steps, and running them.
 *
 * One core per session: the product runs as many sessions as it has cores, each on its
 * own thread, which gives more frames a second than one frame split over the cores, and
 * no thread waits for another inside a layer. oneDNN takes the number of threads from
 * OpenMP when a primitive is made and again when it runs, hence one_core() at both.
 */
#include "nn/dnnl/dnnl.h"
#include "nn/dnnl/program.h"
#include "nn/ref/ref.h"
#include "base/mem.h"
#include <limits.h>
#include <omp.h>

static void one_core(void)
{
	if (omp_get_max_threads() != 1)
		omp_set_num_threads(1); /* of the calling thread only */
}

static void program_free(void *program)
{
	struct sl_program *p = program;

	for (int i = 0; i < p->nstep; i++) {
		if (p->step[i].prim)
			dnnl_primitive_destroy(p->step[i].prim);
		free(p->step[i].data);
	}
	for (int i = 0; i < p->nten; i++)
		if (p->ten[i].mem)
			dnnl_memory_destroy(p->ten[i].mem);
	if (p->stream)
		dnnl_stream_destroy(p->stream);
	free(p->arena);
	free(p->step);
	free(p->ten);
	free(p->place);
	free(p->head);
	free(p->left);
	free(p->user);
	free(p->chain);
	free(p->absorbed);
	sl_walk_done(&p->w);
	free(p);
}

static void count_uses(struct sl_program *p)
{
	for (int i = 0; i < p->g->nvalue; i++)
		p->head[i] = p->user[i] = -1;
	for (int i = 0; i < p->g->nnode; i++) {
		const struct sl_node *n = &p->g->node[i];

		if (sl_data_is_known(&p->w.data[n->out[0]]))
			continue;
		for (int k = 0; k < n->nin; k++)
			if (n->in[k] >= 0) {
				p->left[n->in[k]]++;
				p->user[n->in[k]] = i;
			}
	}
	for (int i = 0; i < p->g->noutput; i++)
		p->left[p->g->output[i]]++;
}

static struct sl_program *program_new(struct sl_store *store, struct sl_walk *w, enum sl_precision precision)
{
	struct sl_program *p = SL_NEW(struct sl_program);
	size_t nvalue = (size_t)w->g->nvalue + 1, nnode = (size_t)w->g->nnode + 1;

	p->store = store;
	p->w = *w;
	*w = (struct sl_walk){0};
	p->g = p->w.g;
	p->fast = precision == SL_PRECISION_BF16 ? dnnl_bf16 : dnnl_f32;
	p->pack_step = -1;
	p->head = sl_calloc(nvalue, sizeof(int));
	p->left = sl_calloc(nvalue, sizeof(int));
	p->user = sl_calloc(nvalue, sizeof(int));
	p->chain = sl_calloc(nnode, sizeof(*p->chain));
	p->absorbed = sl_calloc(nnode, sizeof(bool));
	p->place = sl_calloc(1, sizeof(*p->place)); /* place 0: scratch */
	p->place[0].first = -1;
	p->nplace = 1;
	count_uses(p);
	return p;
}

static bool lower_ref(struct sl_program *p, const struct sl_node *n)
{
	int ten[SL_STEP_ARGS], count = 0;
	struct sl_step *s;

	for (int i = 0; i < n->nin; i++)
		if (n->in[i] >= 0) {
			bool f = p->w.data[n->in[i]].dtype == SL_F32;

			ten[count] = sl_ten_want(p, n->in[i], false, f ? dnnl_f32 : dnnl_data_type_undef);
			if (ten[count++] < 0)
				return false;
		}
	for (int i = 0; i < n->nout; i++)
		ten[count++] = sl_ten_new(
			p, n->out[i], false, p->w.data[n->out[i]].dtype == SL_F32 ? dnnl_f32 : dnnl_data_type_undef);
	s = sl_step_new(p, SL_STEP_REF);
	s->node = n;
	s->data = sl_calloc((size_t)(n->nin + n->nout), sizeof(*s->data));
	for (int i = 0; i < count; i++)
		sl_step_arg(p, s, 0, ten[i]);
	for (int i = 0; i < n->nin + n->nout; i++) {
		int v = i < n->nin ? n->in[i] : n->out[i - n->nin];

		if (v >= 0)
			s->data[i] = (struct sl_data){.dtype = p->w.data[v].dtype, .shape = p->w.data[v].shape};
	}
	return true;
}

static void used(struct sl_program *p, int node)
{
	const struct sl_node *n = &p->g->node[node];

	for (int i = 0; i < n->nin; i++)
		if (n->in[i] >= 0)
			p->left[n->in[i]]--;
}

static bool lower_one(struct sl_program *p, int node)
{
	const struct sl_node *n = &p->g->node[node];
	bool ok = sl_lower_node(p, n) || (!p->broken && lower_ref(p, n));

	used(p, node);
	return ok;
}

static bool lower_chain(struct sl_program *p, int last)
{
	const struct sl_chain *c = &p->chain[last];
	bool whole = sl_lower_conv(p, c);

	for (int i = c->conv; i <= last && !p->broken; i++) {
		if (i != c->conv && i != c->add && i != c->act && i != c->gate)
			continue;
		if (whole)
			used(p, i);
		else if (!lower_one(p, i))
			return false;
	}
	return !p->broken;
}

static bool lower_all(struct sl_program *p)
{
	bool ok = true;

	sl_find_chains(p);
	for (int i = 0; i < p->g->nnode && ok; i++) {
		if (p->chain[i].conv >= 0)
			ok = lower_chain(p, i);
		else if (!p->absorbed[i] && !sl_data_is_known(&p->w.data[p->g->node[i].out[0]]))
			ok = lower_one(p, i);
	}
	for (int i = 0; i < p->g->noutput && ok; i++) {
		p->out[i] = sl_ten_want(p, p->g->output[i], false, dnnl_f32);
		ok = p->out[i] >= 0;
		if (ok)
			p->place[p->ten[p->out[i]].place].last = INT_MAX;
	}
	return ok;
}

static enum sl_status compile(
	void *store, struct sl_walk *w, enum sl_precision precision, void **ret_program, struct sl_err *err)
{
	struct sl_program *p = program_new(store, w, precision);
	enum sl_status st;

	one_core();
	if (dnnl_stream_create(&p->stream, p->store->engine, dnnl_stream_default_flags) != dnnl_success ||
		!lower_all(p))
		st = sl_fail(err, SL_UNSUPPORTED, "oneDNN cannot make the steps of this net");
	else
		st = sl_program_place(p, err);
	if (st == SL_OK)
		*ret_program = p;
	else
		program_free(p);
	return st;
}

static int64_t program_bytes(const void *program)
{
	return ((const struct sl_program *)program)->arena_size;
}

static enum sl_status run_ref(struct sl_program *p, struct sl_step *s, struct sl_err *err)
{
	const struct sl_data *in[SL_NODE_IN] = {NULL};
	int k = 0;

	for (int i = 0; i < s->node->nin; i++) {
		if (s->node->in[i] < 0)
			continue;
		if (p->place[p->ten[s->ten[k]].place].kind == SL_BUF_INPUT)
			s->data[i].f32 = sl_ten_ptr(p, s->ten[k]);
		in[i] = &s->data[i];
		k++;
	}
	return sl_ref_eval(s->node, in, s->data + s->node->nin, err);
}

static enum sl_status run_step(struct sl_program *p, struct sl_step *s, struct sl_err *err)
{
	const struct sl_ten *a = &p->ten[SL_MAX(s->ten[0], 0)], *b = &p->ten[SL_MAX(s->ten[1], 0)];

	switch (s->kind) {
	case SL_STEP_PRIM:
		if (dnnl_primitive_execute(s->prim, p->stream, s->narg, s->arg) != dnnl_success)
			return sl_fail(err, SL_UNSUPPORTED, "oneDNN could not run a step");
		return SL_OK;
	case SL_STEP_REPEAT:
		sl_kernel_repeat(sl_ten_ptr(p, s->ten[0]), sl_ten_ptr(p, s->ten[1]), &p->w.data[a->value].shape,
			s->repeat, a->dt == dnnl_bf16 ? 2 : 4);
		return SL_OK;
	case SL_STEP_PACK:
		sl_kernel_pack(sl_ten_ptr(p, s->ten[0]), sl_ten_ptr(p, s->ten[1]), &p->w.data[b->value].shape,
			b->dt == dnnl_bf16);
		return SL_OK;
	case SL_STEP_REF:
		return run_ref(p, s, err);
	}
	return SL_OK;
}

static enum sl_status run_steps(struct sl_program *p, int skip, struct sl_tensor *ret, struct sl_err *err)
{
	enum sl_status st = SL_OK;

	one_core();
	for (int i = 0; i < p->nten; i++) {
		const struct sl_place *place = &p->place[p->ten[i].place];

		if (place->kind == SL_BUF_INPUT && p->ten[i].mem)
			dnnl_memory_set_data_handle(p->ten[i].mem, p->in[place->input]);
	}
	for (int i = 0; i < p->nstep && st == SL_OK; i++)
		if (i != skip)
			st = run_step(p, &p->step[i], err);
	dnnl_stream_wait(p->stream);
	for (int i = 0; i < p->g->noutput && st == SL_OK; i++)
		ret[i] = (struct sl_tensor){sl_ten_ptr(p, p->out[i]), p->w.data[p->g->output[i]].shape};
	return st;
}

static enum sl_status run(void *program, const struct sl_tensor *in, struct sl_tensor *ret, struct sl_err *err)
{
	struct sl_program *p = program;

	for (int i = 0; i < p->g->ninput; i++)
		p->in[i] = in[i].data;
	return run_steps(p, -1, ret, err);
}

static bool is_input_used_once(const struct sl_program *p)
{
	int place = p->pack_step < 0 ? -1 : p->ten[p->step[p->pack_step].ten[0]].place;

	return place >= 0 && p->place[place].first == p->pack_step && p->place[place].last == p->pack_step;
}

/* Straight into the tensor that the first convolution reads; the packing step is left out. */
static enum sl_status run_pixels(void *program, const struct sl_pixels *im, struct sl_tensor *ret, struct sl_err *err)
{
	struct sl_program *p = program;
	const struct sl_shape *x = &p->w.data[p->g->input[0]].shape;
	int to;

	if (!is_input_used_once(p)) {
		SL_AUTOFREE float *plain = sl_calloc((size_t)sl_shape_count(x), sizeof(float));

		sl_pixels_plain(im, plain);
		return run(p, &(struct sl_tensor){plain, *x}, ret, err);
	}
	to = p->step[p->pack_step].ten[1];
	sl_kernel_pixels(im, sl_ten_ptr(p, to), x, p->ten[to].dt == dnnl_bf16);
	return run_steps(p, p->pack_step, ret, err);
}

const struct sl_exec sl_exec_dnnl = {
	.name = "dnnl",
	.store_new = sl_dnnl_store_new,
	.store_free = sl_dnnl_store_free,
	.store_bytes = sl_dnnl_store_bytes,
	.compile = compile,
	.run = run,
	.run_pixels = run_pixels,
	.program_bytes = program_bytes,
	.program_free = program_free,
};
