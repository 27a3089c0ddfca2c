/* SPDX-License-Identifier: Apache-2.0
 *
 * The naive executor: every value has its own memory, nodes run in the graph's order.
 */
#include "nn/exec.h"
#include "nn/ref/ref.h"
#include "base/mem.h"

struct program {
	struct sl_walk w;
	struct sl_data *data; /* of values that are neither inputs nor known */
	int64_t bytes;
};

static enum sl_status store_new(
	const struct sl_graph *g, enum sl_precision *precision, void **ret_store, struct sl_err *err)
{
	(void)g;
	(void)err;
	*precision = SL_PRECISION_F32; /* the judge does not round */
	*ret_store = NULL;
	return SL_OK;
}

static void store_free(void *store)
{
	(void)store;
}

static int64_t store_bytes(void *store)
{
	(void)store;
	return 0;
}

static void program_free(void *program)
{
	struct program *p = program;

	for (int i = 0; p && i < p->w.g->nvalue; i++)
		sl_data_done(&p->data[i]);
	if (p) {
		free(p->data);
		sl_walk_done(&p->w);
	}
	free(p);
}

static enum sl_status compile(
	void *store, struct sl_walk *w, enum sl_precision precision, void **ret_program, struct sl_err *err)
{
	const struct sl_graph *g = w->g;
	struct program *p = SL_NEW(struct program);
	int64_t bytes = 0;

	(void)store;
	(void)precision;
	p->w = *w;
	*w = (struct sl_walk){0};
	p->data = sl_calloc((size_t)g->nvalue + 1, sizeof(*p->data));
	for (int i = 0; i < g->nvalue; i++)
		if (!sl_data_is_known(&p->w.data[i]))
			bytes += sl_shape_count(&p->w.data[i].shape) * 8;
	if (bytes > SL_SESSION_BYTES) {
		program_free(p);
		return sl_fail(err, SL_TOO_LARGE, "the net needs %lld MB for this input; at most %lld",
			(long long)(bytes >> 20), (long long)(SL_SESSION_BYTES >> 20));
	}
	for (int i = 0; i < g->nvalue; i++) {
		p->data[i] = (struct sl_data){.dtype = p->w.data[i].dtype, .shape = p->w.data[i].shape};
		if (!sl_data_is_known(&p->w.data[i]) && g->value[i].kind == SL_VALUE_NODE)
			sl_data_alloc(&p->data[i]);
	}
	p->bytes = bytes;
	*ret_program = p;
	return SL_OK;
}

static int64_t program_bytes(const void *program)
{
	return ((const struct program *)program)->bytes;
}

static enum sl_status run_node(struct program *p, const struct sl_node *n, struct sl_data *all, struct sl_err *err)
{
	const struct sl_data *in[SL_NODE_IN] = {NULL};
	struct sl_data out[SL_NODE_OUT];

	if (sl_data_is_known(&p->w.data[n->out[0]]))
		return SL_OK;
	for (int i = 0; i < n->nin; i++)
		in[i] = n->in[i] < 0 ? NULL : &all[n->in[i]];
	for (int i = 0; i < n->nout; i++)
		out[i] = all[n->out[i]];
	return sl_ref_eval(n, in, out, err);
}

static enum sl_status run(void *program, const struct sl_tensor *in, struct sl_tensor *ret, struct sl_err *err)
{
	struct program *p = program;
	const struct sl_graph *g = p->w.g;
	SL_AUTOFREE struct sl_data *all = sl_calloc((size_t)g->nvalue + 1, sizeof(*all));
	enum sl_status st = SL_OK;

	for (int i = 0; i < g->nvalue; i++)
		all[i] = sl_data_is_known(&p->w.data[i]) ? p->w.data[i] : p->data[i];
	for (int i = 0; i < g->ninput; i++)
		all[g->input[i]].f32 = in[i].data;
	for (int i = 0; i < g->nnode && st == SL_OK; i++)
		st = run_node(p, &g->node[i], all, err);
	for (int i = 0; i < g->noutput && st == SL_OK; i++)
		ret[i] = (struct sl_tensor){all[g->output[i]].f32, all[g->output[i]].shape};
	return st;
}

const struct sl_exec sl_exec_ref = {
	.name = "ref",
	.store_new = store_new,
	.store_free = store_free,
	.store_bytes = store_bytes,
	.compile = compile,
	.run = run,
	.program_bytes = program_bytes,
	.program_free = program_free,
};
