/* SPDX-License-Identifier: Apache-2.0 */
#include "store/batch.h"
#include "base/mem.h"

struct own {
	struct sl_batch_own base;
	struct sl_message *message;
	uint8_t *bytes;
};

static void own_free(struct sl_batch_own *base)
{
	struct own *o = (struct own *)base;
	free(o->message);
	free(o->bytes);
	free(o);
}

bool sl_batch_add(struct sl_batch_builder *b, const struct sl_message *m)
{
	if (b->n && b->bytes.len + m->body.len > SL_BATCH_BYTES)
		return false;
	if (b->n == b->size) {
		b->size = b->size ? 2 * b->size : 16;
		b->message = sl_realloc(b->message, (size_t)b->size, sizeof(*b->message));
	}
	b->message[b->n++] = *m; /* body.ptr is set at the end: the bytes may still move */
	(void)sl_buf_add(&b->bytes, m->body.ptr, m->body.len);
	(void)sl_buf_add(&b->bytes, "", 1);
	return true;
}

void sl_batch_end(struct sl_batch_builder *b, struct sl_batch *ret)
{
	struct own *o = SL_NEW(struct own);
	*o = (struct own){{own_free}, b->message, sl_buf_take(&b->bytes, NULL)};
	const uint8_t *at = o->bytes;
	for (int i = 0; i < b->n; i++) {
		o->message[i].body.ptr = at;
		at += o->message[i].body.len + 1;
	}
	*ret = (struct sl_batch){o->message, b->n, &o->base};
	*b = (struct sl_batch_builder){0};
}

void sl_batch_drop(struct sl_batch_builder *b)
{
	free(b->message);
	sl_buf_done(&b->bytes);
	*b = (struct sl_batch_builder){0};
}

void sl_batch_done(struct sl_batch *b)
{
	struct sl_batch_own *own = b->own;
	*b = (struct sl_batch){0};
	if (own)
		own->free(own);
}
