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

/* Bytes of the character at p, 0 when it is none (RFC 3629). */
static size_t character(const uint8_t *p)
{
	size_t n = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
		(*p == 0xf4 && p[1] > 0x8f))
		return 0; /* too long, a surrogate, or past the last */
	return n;
}

bool sl_text_is_utf8(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	for (size_t n; *p; p += n)
		if (!(n = character(p)))
			return false;
	return true;
}

void sl_text_mend(char *text)
{
	for (uint8_t *p = (uint8_t *)text; *p;) {
		size_t n = character(p);
		if (!n)
			*p = '?';
		p += n ? n : 1;
	}
}

void sl_copy_cut(char *ret, size_t size, const char *text)
{
	size_t n = strnlen(text, size - 1);
	while (text[n] && n && ((uint8_t)text[n] & 0xc0) == 0x80)
		n--;
	memcpy(ret, text, n);
	ret[n] = 0;
}
