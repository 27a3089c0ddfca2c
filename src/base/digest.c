/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"
#include "base/mem.h"
#include <errno.h>
#include <nettle/base64.h>
#include <nettle/sha2.h>
#include <sys/random.h>

struct sl_sha256 {
	struct sha256_ctx ctx;
};

/* 2n characters and NUL. */
static void to_hex(const uint8_t *p, size_t n, char *ret)
{
	static const char digit[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		ret[2 * i] = digit[p[i] >> 4];
		ret[2 * i + 1] = digit[p[i] & 15];
	}
	ret[2 * n] = 0;
}

uint32_t sl_fnv1a(const char *s)
{
	uint32_t h = 2166136261u;
	for (; *s; s++)
		h = (h ^ (uint8_t)*s) * 16777619u;
	return h;
}

bool sl_is_sha256_hex(const char *s)
{
	return strspn(s, "0123456789abcdef") == SL_HEX_SHA256 - 1 && !s[SL_HEX_SHA256 - 1];
}

void sl_sha256(const void *p, size_t n, uint8_t ret[SL_SHA256])
{
	struct sha256_ctx c;
	sha256_init(&c);
	sha256_update(&c, n, p);
	sha256_digest(&c, SL_SHA256, ret);
}

void sl_sha256_hex(const void *p, size_t n, char ret[SL_HEX_SHA256])
{
	uint8_t d[SL_SHA256];
	sl_sha256(p, n, d);
	to_hex(d, sizeof(d), ret);
}

struct sl_sha256 *sl_sha256_new(void)
{
	struct sl_sha256 *h = SL_NEW(struct sl_sha256);
	sha256_init(&h->ctx);
	return h;
}

void sl_sha256_add(struct sl_sha256 *h, const void *p, size_t n)
{
	sha256_update(&h->ctx, n, p);
}

void sl_sha256_end_hex(struct sl_sha256 *h, char ret[SL_HEX_SHA256])
{
	uint8_t d[SL_SHA256];
	sha256_digest(&h->ctx, sizeof(d), d);
	to_hex(d, sizeof(d), ret);
}

void sl_sha256_free(struct sl_sha256 *h)
{
	free(h);
}

enum sl_status sl_base64_decode(struct sl_slice text, struct sl_buf *ret, struct sl_err *err)
{
	if (sl_buf_reserve(ret, BASE64_DECODE_LENGTH(text.len)) != SL_OK)
		return sl_fail(err, SL_TOO_LARGE, "base64: %zu characters are more than the limit", text.len);
	struct base64_decode_ctx c;
	base64_decode_init(&c);
	size_t n = 0;
	if (!base64_decode_update(&c, &n, ret->ptr + ret->len, text.len, (const char *)text.ptr) ||
		!base64_decode_final(&c))
		return sl_fail(err, SL_INVALID, "base64: not valid base64 text");
	ret->len += n;
	ret->ptr[ret->len] = 0;
	return SL_OK;
}

enum sl_status sl_base64_encode(struct sl_slice bytes, struct sl_buf *ret)
{
	size_t n = BASE64_ENCODE_RAW_LENGTH(bytes.len);
	enum sl_status s = sl_buf_reserve(ret, n);
	if (s != SL_OK)
		return s;
	base64_encode_raw((char *)ret->ptr + ret->len, bytes.len, bytes.ptr);
	ret->len += n;
	ret->ptr[ret->len] = 0;
	return SL_OK;
}

void sl_random(void *p, size_t n)
{
	uint8_t *at = p;
	while (n) {
		ssize_t got = getrandom(at, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			SL_BUG("getrandom: %s", strerror(errno));
		at += got;
		n -= (size_t)got;
	}
}

void sl_random_id(char ret[33])
{
	uint8_t b[16];
	sl_random(b, sizeof(b));
	to_hex(b, sizeof(b), ret);
}
