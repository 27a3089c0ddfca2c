/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/dnnl/program.h"
#include "nn/dnnl/dnnl.h"
#include "base/mem.h"

struct sl_packed {
	int value;
	dnnl_memory_desc_t md;
	dnnl_memory_t mem;
	void *data;
};

enum sl_status sl_dnnl_store_new(
	const struct sl_graph *g, enum sl_precision *precision, void **ret_store, struct sl_err *err)
{
	unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
	struct sl_store *s;

	(void)g;
	if (*precision == SL_PRECISION_AUTO) /* emulated bf16 is slower than f32 */
		*precision = (isa & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16 ? SL_PRECISION_BF16
												    : SL_PRECISION_F32;
	if (*precision == SL_PRECISION_BF16 && (isa & dnnl_cpu_isa_avx512_core) != dnnl_cpu_isa_avx512_core)
		return sl_fail(err, SL_UNSUPPORTED, "bf16 needs a processor with AVX-512; use f32 or auto");
	s = SL_NEW(struct sl_store);
	if (dnnl_engine_create(&s->engine, dnnl_cpu, 0) != dnnl_success) {
		free(s);
		return sl_fail(err, SL_UNSUPPORTED, "oneDNN has no engine for this processor");
	}
	pthread_mutex_init(&s->lock, NULL);
	*ret_store = s;
	return SL_OK;
}

void sl_dnnl_store_free(void *store)
{
	struct sl_store *s = store;

	for (int i = 0; i < s->npacked; i++) {
		dnnl_memory_destroy(s->packed[i].mem);
		free(s->packed[i].data);
	}
	free(s->packed);
	pthread_mutex_destroy(&s->lock);
	dnnl_engine_destroy(s->engine);
	free(s);
}

int64_t sl_dnnl_store_bytes(void *store)
{
	struct sl_store *s = store;
	int64_t bytes;

	pthread_mutex_lock(&s->lock);
	bytes = s->bytes;
	pthread_mutex_unlock(&s->lock);
	return bytes;
}

static dnnl_status_t reorder(struct sl_store *s, dnnl_memory_t from, const dnnl_memory_desc_t *from_md,
	dnnl_memory_t to, const dnnl_memory_desc_t *to_md)
{
	dnnl_primitive_desc_t pd = NULL;
	dnnl_primitive_t prim = NULL;
	dnnl_stream_t stream = NULL;
	dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
	dnnl_status_t st = dnnl_reorder_primitive_desc_create(&pd, from_md, s->engine, to_md, s->engine, NULL);

	if (st == dnnl_success)
		st = dnnl_primitive_create(&prim, pd);
	if (st == dnnl_success)
		st = dnnl_stream_create(&stream, s->engine, dnnl_stream_default_flags);
	if (st == dnnl_success)
		st = dnnl_primitive_execute(prim, stream, 2, args);
	if (st == dnnl_success)
		st = dnnl_stream_wait(stream);
	if (stream)
		dnnl_stream_destroy(stream);
	if (prim)
		dnnl_primitive_destroy(prim);
	if (pd)
		dnnl_primitive_desc_destroy(pd);
	return st;
}

static dnnl_status_t pack(struct sl_store *s, struct sl_packed *k, const float *data, const dnnl_memory_desc_t *from)
{
	size_t size = dnnl_memory_desc_get_size(&k->md);
	dnnl_memory_t src = NULL;
	dnnl_status_t st = dnnl_memory_create(&src, from, s->engine, (void *)data);

	k->data = sl_aligned(SL_MAX(size, 1));
	if (st == dnnl_success)
		st = dnnl_memory_create(&k->mem, &k->md, s->engine, k->data);
	if (st == dnnl_success)
		st = reorder(s, src, from, k->mem, &k->md);
	if (src)
		dnnl_memory_destroy(src);
	if (st != dnnl_success) {
		if (k->mem)
			dnnl_memory_destroy(k->mem);
		free(k->data);
	}
	return st;
}

dnnl_status_t sl_store_pack(struct sl_store *s, int v, const float *data, const dnnl_memory_desc_t *from,
	const dnnl_memory_desc_t *to, dnnl_memory_t *ret)
{
	struct sl_packed k = {.value = v, .md = *to};
	dnnl_status_t st = dnnl_success;

	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < s->npacked; i++)
		if (s->packed[i].value == v && dnnl_memory_desc_equal(&s->packed[i].md, to))
			k = s->packed[i];
	if (!k.mem) {
		st = pack(s, &k, data, from);
		if (st == dnnl_success) {
			s->packed = sl_realloc(s->packed, (size_t)s->npacked + 1, sizeof(*s->packed));
			s->packed[s->npacked++] = k;
			s->bytes += (int64_t)dnnl_memory_desc_get_size(to);
		}
	}
	pthread_mutex_unlock(&s->lock);
	*ret = k.mem;
	return st;
}
