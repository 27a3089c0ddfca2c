/* SPDX-License-Identifier: Apache-2.0
 *
 * Slices (borrowed bytes) and growable buffers with a cap.
 *
 * Owner: whoever holds the struct; sl_buf_done() frees the bytes. A slice never
 * owns and need not end in NUL. A buffer always keeps one NUL after its last byte,
 * so buf.ptr is a C string when its content is text. Thread: one at a time.
 */
#pragma once
#include "base/status.h"
#include <stdint.h>
#include <string.h>

struct sl_slice {
	const uint8_t *ptr;
	size_t len;
};

static inline struct sl_slice sl_slice(const void *p, size_t n)
{
	return (struct sl_slice){p, n};
}
static inline struct sl_slice sl_slice_str(const char *s)
{
	return (struct sl_slice){(const uint8_t *)s, strlen(s)};
}
static inline bool sl_slice_is_same(struct sl_slice a, struct sl_slice b)
{
	return a.len == b.len && (!a.len || !memcmp(a.ptr, b.ptr, a.len));
}

struct sl_buf {
	uint8_t *ptr;
	size_t len;
	size_t size; /* allocated */
	size_t cap; /* most bytes it may hold; 0: SL_BUF_CAP */
};

#define SL_BUF_CAP ((size_t)1 << 30)

void sl_buf_done(struct sl_buf *b); /* frees, leaves an empty buffer */
static inline struct sl_slice sl_buf_slice(const struct sl_buf *b)
{
	return (struct sl_slice){b->ptr, b->len};
}
/* TOO_LARGE when the cap would be passed; the buffer is then unchanged. */
enum sl_status sl_buf_add(struct sl_buf *b, const void *p, size_t n);
enum sl_status sl_buf_reserve(struct sl_buf *b, size_t more); /* room for `more` bytes after len */
enum sl_status sl_buf_printf(struct sl_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline enum sl_status sl_buf_puts(struct sl_buf *b, const char *s)
{
	return sl_buf_add(b, s, strlen(s));
}
/* Hands the bytes over (free() them) and leaves an empty buffer. */
uint8_t *sl_buf_take(struct sl_buf *b, size_t *ret_len);

/* Copies a text into an array of characters; SL_BUG when it does not fit: bounds are checked where bytes come in. */
#define SL_COPY(array, text) sl_copy((array), sizeof(array), (text))
void sl_copy(char *ret, size_t size, const char *text);
/* As much of a text for people as fits, cut between characters. */
#define SL_COPY_CUT(array, text) sl_copy_cut((array), sizeof(array), (text))
void sl_copy_cut(char *ret, size_t size, const char *text);
void sl_text_mend(char *text); /* each byte that is no UTF-8 becomes '?' */
bool sl_text_is_utf8(const char *text);
