/* SPDX-License-Identifier: Apache-2.0
 *
 * Where tensors lie: one arena, in which two places overlap only if no step needs both.
 */
#include "nn/dnnl/program.h"
#include "base/mem.h"
#include <limits.h>

enum { ALIGN = 64 };

static int64_t rounded(int64_t size)
{
	return (size + ALIGN - 1) / ALIGN * ALIGN;
}

static int by_size(const void *a, const void *b)
{
	const struct sl_place *x = *(struct sl_place *const *)a, *y = *(struct sl_place *const *)b;

	if (x->size != y->size)
		return x->size < y->size ? 1 : -1;
	return x < y ? -1 : x > y; /* the same order on every run */
}

/* The lowest gap that is free during p's life; placed[] is sorted by offset. */
static int64_t find_gap(const struct sl_place *p, struct sl_place **placed, int n)
{
	int64_t at = 0;

	for (int i = 0; i < n; i++) {
		const struct sl_place *q = placed[i];

		if (q->last < p->first || p->last < q->first)
			continue;
		if (q->offset - at >= rounded(p->size))
			break;
		at = SL_MAX(at, q->offset + rounded(q->size));
	}
	return at;
}

static void put(struct sl_place *p, struct sl_place **placed, int n)
{
	while (n > 0 && placed[n - 1]->offset > p->offset) {
		placed[n] = placed[n - 1];
		n--;
	}
	placed[n] = p;
}

static void lay_out(struct sl_program *p)
{
	SL_AUTOFREE struct sl_place **order = sl_calloc((size_t)p->nplace + 1, sizeof(*order));
	SL_AUTOFREE struct sl_place **placed = sl_calloc((size_t)p->nplace + 1, sizeof(*placed));
	int n = 0, done = 0;

	for (int i = 0; i < p->nplace; i++)
		if (p->place[i].kind == SL_BUF_ARENA && p->place[i].first >= 0)
			order[n++] = &p->place[i];
	qsort(order, (size_t)n, sizeof(*order), by_size);
	for (int i = 0; i < n; i++) {
		order[i]->offset = find_gap(order[i], placed, done);
		put(order[i], placed, done++);
		p->arena_size = SL_MAX(p->arena_size, order[i]->offset + rounded(order[i]->size));
	}
}

void *sl_ten_ptr(const struct sl_program *p, int ten)
{
	const struct sl_place *place = &p->place[p->ten[ten].place];

	switch (place->kind) {
	case SL_BUF_ARENA:
		return p->arena + place->offset;
	case SL_BUF_INPUT:
		return p->in[place->input];
	default:
		return place->ptr;
	}
}

static void bind_ref(struct sl_program *p, struct sl_step *s)
{
	int k = 0;

	for (int i = 0; i < s->node->nin + s->node->nout; i++) {
		struct sl_data *d = &s->data[i];

		if (i < s->node->nin && s->node->in[i] < 0)
			continue;
		if (d->dtype == SL_F32)
			d->f32 = sl_ten_ptr(p, s->ten[k++]);
		else
			d->i64 = sl_ten_ptr(p, s->ten[k++]);
	}
}

enum sl_status sl_program_place(struct sl_program *p, struct sl_err *err)
{
	p->place[p->scratch].size = p->scratch_size;
	if (p->place[p->scratch].first >= 0) {
		p->place[p->scratch].first = 0;
		p->place[p->scratch].last = INT_MAX;
	}
	lay_out(p);
	if (p->arena_size > SL_SESSION_BYTES)
		return sl_fail(err, SL_TOO_LARGE, "the net needs %lld MB for this input; at most %lld",
			(long long)(p->arena_size >> 20), (long long)(SL_SESSION_BYTES >> 20));
	p->arena = sl_aligned((size_t)SL_MAX(p->arena_size, ALIGN));
	for (int i = 0; i < p->nten; i++) {
		struct sl_ten *t = &p->ten[i];

		if (t->dt == dnnl_data_type_undef ||
			(p->place[t->place].kind == SL_BUF_ARENA && p->place[t->place].first < 0))
			continue;
		if (dnnl_memory_create(&t->mem, &t->md, p->store->engine, sl_ten_ptr(p, i)) != dnnl_success)
			return sl_fail(err, SL_UNSUPPORTED, "oneDNN refuses a tensor's memory");
	}
	for (int i = 0; i < p->nstep; i++) {
		struct sl_step *s = &p->step[i];

		if (s->kind == SL_STEP_REF)
			bind_ref(p, s);
		for (int k = 0; k < s->narg; k++)
			if (s->ten[k] >= 0)
				s->arg[k].memory = p->ten[s->ten[k]].mem;
	}
	return SL_OK;
}
