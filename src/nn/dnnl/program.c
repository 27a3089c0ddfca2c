/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors, steps and memory of a program while nodes are lowered.
 */
#include "nn/dnnl/program.h"
#include "base/mem.h"

/* Appends one zeroed element to an array that doubles. */
static void *push(void *array, int *n, size_t size)
{
	char *p = array;

	if (!(*n & (*n - 1)))
		p = sl_realloc(p, *n ? (size_t)*n * 2 : 1, size);
	memset(p + (size_t)*n * size, 0, size);
	(*n)++;
	return p;
}

dnnl_memory_desc_t sl_md(const struct sl_shape *s, bool nhwc, dnnl_data_type_t dt)
{
	dnnl_memory_desc_t md;
	dnnl_dims_t dims = {1}, strides;
	dnnl_dim_t step = 1;
	int rank = SL_MAX(s->rank, 1); /* oneDNN has no scalars */
	static const int order[2][4] = {{3, 2, 1, 0}, {1, 3, 2, 0}}; /* innermost first */

	for (int i = 0; i < s->rank; i++)
		dims[i] = s->dim[i];
	for (int i = 0; i < rank; i++) {
		int d = nhwc ? order[1][i] : rank - 1 - i;

		strides[d] = step;
		step *= dims[d];
	}
	if (dnnl_memory_desc_init_by_strides(&md, rank, dims, dt, strides) != dnnl_success)
		SL_BUG("oneDNN refuses a tensor of rank %d", rank);
	return md;
}

static int place_new(struct sl_program *p, enum sl_buf_kind kind, int64_t size)
{
	p->place = push(p->place, &p->nplace, sizeof(*p->place));
	p->place[p->nplace - 1] = (struct sl_place){.kind = kind, .size = size, .first = -1};
	return p->nplace - 1;
}

static int ten_new(struct sl_program *p, int value, bool nhwc, dnnl_data_type_t dt, int place)
{
	struct sl_ten *t;

	p->ten = push(p->ten, &p->nten, sizeof(*p->ten));
	t = &p->ten[p->nten - 1];
	*t = (struct sl_ten){.value = value, .nhwc = nhwc, .dt = dt, .place = place, .next = -1};
	if (value >= 0) {
		if (dt != dnnl_data_type_undef)
			t->md = sl_md(&p->w.data[value].shape, nhwc, dt);
		t->next = p->head[value];
		p->head[value] = p->nten - 1;
	}
	return p->nten - 1;
}

static int64_t ten_size(const struct sl_program *p, int value, dnnl_data_type_t dt)
{
	int64_t each = dt == dnnl_bf16 ? 2 : dt == dnnl_f32 ? 4 : 8;

	return SL_MAX(sl_shape_count(&p->w.data[value].shape), 1) * each;
}

int sl_ten_new(struct sl_program *p, int value, bool nhwc, dnnl_data_type_t dt)
{
	return ten_new(p, value, nhwc, dt, place_new(p, SL_BUF_ARENA, ten_size(p, value, dt)));
}

int sl_ten_view(struct sl_program *p, int of, const dnnl_memory_desc_t *md)
{
	int t = ten_new(p, -1, false, p->ten[of].dt, p->ten[of].place);

	p->ten[t].md = *md;
	return t;
}

int sl_ten_alias(struct sl_program *p, int of, int value)
{
	p->place[p->ten[of].place].shared = true;
	return ten_new(p, value, false, p->ten[of].dt, p->ten[of].place);
}

int sl_ten_over(struct sl_program *p, int of, int value)
{
	return ten_new(p, value, p->ten[of].nhwc, p->ten[of].dt, p->ten[of].place);
}

int sl_ten_find(const struct sl_program *p, int value, bool nhwc, dnnl_data_type_t dt)
{
	for (int t = p->head[value]; t >= 0; t = p->ten[t].next)
		if (p->ten[t].nhwc == nhwc && p->ten[t].dt == dt)
			return t;
	return -1;
}

bool sl_ten_has_nhwc(const struct sl_program *p, int value)
{
	for (int t = p->head[value]; t >= 0; t = p->ten[t].next)
		if (p->ten[t].nhwc)
			return true;
	return false;
}

/* Inputs and constants get their plain tensor when somebody asks. */
static int first_tensor(struct sl_program *p, int value)
{
	const struct sl_data *d = &p->w.data[value];
	int place;

	if (p->head[value] >= 0)
		return p->head[value];
	if (sl_data_is_known(d)) {
		place = place_new(p, SL_BUF_CONST, 0);
		p->place[place].ptr = d->f32 ? (void *)d->f32 : d->i64;
		return ten_new(p, value, false, d->dtype == SL_F32 ? dnnl_f32 : dnnl_data_type_undef, place);
	}
	SL_ASSERT(p->g->value[value].kind == SL_VALUE_INPUT);
	place = place_new(p, SL_BUF_INPUT, 0);
	while (p->g->input[p->place[place].input] != value)
		p->place[place].input++;
	return ten_new(p, value, false, dnnl_f32, place);
}

/* Few channels to channels-last: our own loop is faster than oneDNN's general reorder. */
static void add_pack(struct sl_program *p, int from, int to)
{
	struct sl_step *s = sl_step_new(p, SL_STEP_PACK);

	sl_step_arg(p, s, DNNL_ARG_FROM, from);
	sl_step_arg(p, s, DNNL_ARG_TO, to);
	if (p->place[p->ten[from].place].kind == SL_BUF_INPUT && p->place[p->ten[from].place].input == 0)
		p->pack_step = p->nstep - 1;
}

int sl_ten_want(struct sl_program *p, int value, bool nhwc, dnnl_data_type_t dt)
{
	int t = sl_ten_find(p, value, nhwc, dt), from = first_tensor(p, value), to;
	const struct sl_shape *s = &p->w.data[value].shape;

	if (t < 0)
		t = sl_ten_find(p, value, nhwc, dt);
	if (t >= 0)
		return t;
	if (dt == dnnl_data_type_undef || p->ten[from].dt == dnnl_data_type_undef)
		return -1;
	for (int k = p->head[value]; k >= 0; k = p->ten[k].next) /* same layout is best, then f32 */
		if (p->ten[from].nhwc != nhwc && (p->ten[k].nhwc == nhwc || p->ten[k].dt == dnnl_f32))
			from = k;
	to = sl_ten_new(p, value, nhwc, dt);
	if (nhwc && s->dim[1] <= 4 && !p->ten[from].nhwc && p->ten[from].dt == dnnl_f32) {
		add_pack(p, from, to);
		return to;
	}
	return sl_step_reorder(p, from, to) ? to : -1;
}

bool sl_ten_is_free(const struct sl_program *p, int ten, int value)
{
	const struct sl_place *place = &p->place[p->ten[ten].place];

	return p->left[value] == 1 && place->kind == SL_BUF_ARENA && !place->shared;
}

struct sl_step *sl_step_new(struct sl_program *p, int kind)
{
	p->step = push(p->step, &p->nstep, sizeof(*p->step));
	p->step[p->nstep - 1].kind = kind;
	return &p->step[p->nstep - 1];
}

void sl_step_arg(struct sl_program *p, struct sl_step *s, int arg, int ten)
{
	struct sl_place *place = &p->place[p->ten[ten].place];

	SL_ASSERT(s->narg < SL_STEP_ARGS);
	s->arg[s->narg].arg = arg;
	s->ten[s->narg++] = ten;
	if (place->first < 0)
		place->first = p->nstep - 1;
	place->last = p->nstep - 1;
}

void sl_step_mem(struct sl_step *s, int arg, dnnl_memory_t mem)
{
	SL_ASSERT(s->narg < SL_STEP_ARGS);
	s->arg[s->narg].arg = arg;
	s->arg[s->narg].memory = mem;
	s->ten[s->narg++] = -1;
}

bool sl_step_prim(struct sl_program *p, const void *op_desc, dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *ret)
{
	dnnl_status_t st = dnnl_success;

	if (!attr)
		st = dnnl_primitive_attr_create(&attr);
	if (st == dnnl_success)
		st = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
	if (st == dnnl_success)
		st = dnnl_primitive_desc_create(ret, op_desc, attr, p->store->engine, NULL);
	dnnl_primitive_attr_destroy(attr);
	return st == dnnl_success;
}

bool sl_step_from(struct sl_program *p, dnnl_primitive_desc_t pd, struct sl_step **ret)
{
	const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
	int64_t size = scratch ? (int64_t)dnnl_memory_desc_get_size(scratch) : 0;
	dnnl_primitive_t prim = NULL;
	struct sl_step *s;
	int view;

	if (dnnl_primitive_create(&prim, pd) != dnnl_success) {
		dnnl_primitive_desc_destroy(pd);
		p->broken = true;
		return false;
	}
	s = sl_step_new(p, SL_STEP_PRIM);
	s->prim = prim;
	if (size > 0) {
		p->scratch_size = SL_MAX(p->scratch_size, size);
		p->ten = push(p->ten, &p->nten, sizeof(*p->ten));
		view = p->nten - 1;
		p->ten[view] =
			(struct sl_ten){.value = -1, .dt = dnnl_u8, .md = *scratch, .place = p->scratch, .next = -1};
		sl_step_arg(p, s, DNNL_ARG_SCRATCHPAD, view);
	}
	dnnl_primitive_desc_destroy(pd);
	*ret = s;
	return true;
}

bool sl_step_reorder(struct sl_program *p, int from, int to)
{
	dnnl_primitive_desc_t pd;
	dnnl_primitive_attr_t attr;
	struct sl_step *s;
	dnnl_status_t st;

	if (dnnl_primitive_attr_create(&attr) != dnnl_success)
		return false;
	st = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
	if (st == dnnl_success)
		st = dnnl_reorder_primitive_desc_create(
			&pd, &p->ten[from].md, p->store->engine, &p->ten[to].md, p->store->engine, attr);
	dnnl_primitive_attr_destroy(attr);
	if (st != dnnl_success || !sl_step_from(p, pd, &s))
		return false;
	sl_step_arg(p, s, DNNL_ARG_FROM, from);
	sl_step_arg(p, s, DNNL_ARG_TO, to);
	return true;
}
