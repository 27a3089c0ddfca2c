/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>

void sl_buf_done(struct sl_buf *b)
{
	free(b->ptr);
	*b = (struct sl_buf){.cap = b->cap};
}

enum sl_status sl_buf_reserve(struct sl_buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : SL_BUF_CAP;
	if (b->len > cap || more > cap - b->len)
		return SL_TOO_LARGE;
	size_t need = b->len + more + 1; /* the NUL */
	if (need > b->size) {
		size_t size = SL_MAX(need, SL_MIN(b->size * 2, cap + 1));
		b->ptr = sl_realloc(b->ptr, SL_MAX(size, 64), 1);
		b->size = SL_MAX(size, 64);
	}
	b->ptr[b->len] = 0;
	return SL_OK;
}

enum sl_status sl_buf_add(struct sl_buf *b, const void *p, size_t n)
{
	enum sl_status s = sl_buf_reserve(b, n);
	if (s != SL_OK)
		return s;
	if (n)
		memcpy(b->ptr + b->len, p, n);
	b->len += n;
	b->ptr[b->len] = 0;
	return SL_OK;
}

enum sl_status sl_buf_printf(struct sl_buf *b, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	enum sl_status s = sl_buf_reserve(b, (size_t)n);
	if (s == SL_OK) {
		vsnprintf((char *)b->ptr + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return s;
}

uint8_t *sl_buf_take(struct sl_buf *b, size_t *ret_len)
{
	if (!b->ptr)
		(void)sl_buf_reserve(b, 0);
	uint8_t *p = b->ptr;
	if (ret_len)
		*ret_len = b->len;
	*b = (struct sl_buf){.cap = b->cap};
	return p;
}

void sl_copy(char *ret, size_t size, const char *text)
{
	size_t n = strlen(text);
	if (n >= size)
		SL_BUG("a text of %zu characters for an array of %zu: %.40s", n, size, text);
	memcpy(ret, text, n + 1);
}
