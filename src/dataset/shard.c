/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/shard.h"
#include "base/digest.h"
#include "base/mem.h"
#include <stdio.h>

enum { BLOCK = 512, NAME = 100, TRIES = 3 };

/* ---- writing ---- */

static size_t padding(size_t n)
{
	return (BLOCK - n % BLOCK) % BLOCK;
}

static void put_header(uint8_t h[BLOCK], const char *name, size_t size)
{
	char text[16];
	unsigned sum = 0;
	memset(h, 0, BLOCK);
	memcpy(h, name, strlen(name));
	memcpy(h + 100, "0000644", 8);
	memcpy(h + 108, "0000000", 8);
	memcpy(h + 116, "0000000", 8);
	snprintf(text, sizeof(text), "%011llo", (unsigned long long)size);
	memcpy(h + 124, text, 12);
	memcpy(h + 136, "00000000000", 12);
	memset(h + 148, ' ', 8);
	h[156] = '0';
	memcpy(h + 257,
		"ustar\0"
		"00",
		8);
	for (int i = 0; i < BLOCK; i++)
		sum += h[i];
	snprintf(text, sizeof(text), "%06o", sum);
	memcpy(h + 148, text, 7);
}

static enum sl_status add_member(
	struct sl_buf *tar, const char *key, const char *suffix, struct sl_slice bytes, struct sl_err *err)
{
	static const uint8_t zero[BLOCK];
	uint8_t h[BLOCK];
	char name[NAME];
	if (bytes.len > SL_ROW_BYTES || snprintf(name, sizeof(name), "%s%s", key, suffix) >= (int)sizeof(name))
		return sl_fail(err, SL_TOO_LARGE, "%s%s: %zu bytes; at most %d", key, suffix, bytes.len, SL_ROW_BYTES);
	put_header(h, name, bytes.len);
	enum sl_status s = sl_buf_add(tar, h, BLOCK);
	if (s == SL_OK)
		s = sl_buf_add(tar, bytes.ptr, bytes.len);
	if (s == SL_OK)
		s = sl_buf_add(tar, zero, padding(bytes.len));
	return s == SL_OK ? s : sl_fail(err, s, "%s: the tar would pass its limit", name);
}

enum sl_status sl_shard_add(
	struct sl_buf *tar, const char *key, struct sl_slice jpeg, const json_t *row, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {.cap = SL_ROW_BYTES};
	enum sl_status s = sl_json_print(row, &text);
	if (s != SL_OK)
		return sl_fail(err, s, "%s.json: larger than %d bytes", key, SL_ROW_BYTES);
	if (jpeg.len)
		s = add_member(tar, key, ".jpg", jpeg, err);
	return s == SL_OK ? add_member(tar, key, ".json", sl_buf_slice(&text), err) : s;
}

void sl_shard_end(struct sl_buf *tar)
{
	static const uint8_t zero[2 * BLOCK];
	SL_ASSERT(sl_buf_add(tar, zero, sizeof(zero)) == SL_OK);
}

/* ---- reading ---- */

struct member {
	char name[NAME + 1];
	struct sl_slice bytes;
};

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* *at moves past the member. NOT_FOUND at the end. */
static enum sl_status next_member(struct sl_slice tar, size_t *at, struct member *ret, struct sl_err *err)
{
	uint8_t want[BLOCK];
	char size_text[13] = "";
	size_t size = 0;
	if (tar.len - *at < BLOCK)
		return sl_fail(err, SL_CORRUPT, "tar ends at byte %zu without an end mark", *at);
	const uint8_t *h = tar.ptr + *at;
	if (is_zero(h, BLOCK))
		return tar.len - *at == 2 * BLOCK && is_zero(h, 2 * BLOCK)
			       ? SL_NOT_FOUND
			       : sl_fail(err, SL_CORRUPT, "tar goes on after its end mark at byte %zu", *at);
	memcpy(ret->name, h, NAME);
	ret->name[NAME] = 0;
	memcpy(size_text, h + 124, 11);
	if (strlen(ret->name) < NAME && strspn(size_text, "01234567") == 11)
		size = strtoull(size_text, NULL, 8);
	put_header(want, strlen(ret->name) < NAME ? ret->name : "", size);
	if (size > SL_ROW_BYTES || memcmp(want, h, BLOCK) != 0)
		return sl_fail(err, SL_CORRUPT, "tar has a header at byte %zu that is not ours", *at);
	size_t pad = padding(size);
	if (tar.len - *at - BLOCK < size + pad || !is_zero(h + BLOCK + size, pad))
		return sl_fail(err, SL_CORRUPT, "tar is cut in member %s", ret->name);
	ret->bytes = sl_slice(h + BLOCK, size);
	*at += BLOCK + size + pad;
	return SL_OK;
}

static bool take_key(const char *name, const char *suffix, char ret[SL_KEY])
{
	size_t n = strlen(name), k = strlen(suffix);
	if (n <= k || strcmp(name + n - k, suffix) != 0 || n - k >= SL_KEY)
		return false;
	memcpy(ret, name, n - k);
	ret[n - k] = 0;
	return sl_key_is_valid(ret);
}

enum sl_status sl_shard_each(struct sl_slice tar,
	enum sl_status (*fn)(const struct sl_shard_row *row, void *arg, struct sl_err *err), void *arg,
	struct sl_err *err)
{
	size_t at = 0;
	for (;;) {
		struct sl_shard_row row = {.jpeg = {NULL, 0}};
		struct member m;
		char key[SL_KEY];
		enum sl_status s = next_member(tar, &at, &m, err);
		if (s != SL_OK)
			return s == SL_NOT_FOUND ? SL_OK : s;
		if (take_key(m.name, ".jpg", row.key)) {
			row.jpeg = m.bytes;
			s = next_member(tar, &at, &m, err);
			if (s == SL_NOT_FOUND ||
				(s == SL_OK && (!take_key(m.name, ".json", key) || strcmp(key, row.key) != 0)))
				return sl_fail(err, SL_CORRUPT, "tar has %s.jpg without its .json", row.key);
		} else if (!take_key(m.name, ".json", row.key)) {
			return sl_fail(err, SL_CORRUPT, "tar has a member '%s' that is no row", m.name);
		}
		if (s != SL_OK)
			return s;
		row.json = m.bytes;
		s = fn(&row, arg, err);
		if (s != SL_OK)
			return s;
	}
}

/* ---- objects ---- */

/* Puts bytes that may be there already; EXISTS says so. */
static enum sl_status put_again(struct sl_artifacts *a, const char *path, struct sl_slice bytes, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < TRIES; i++) {
		s = sl_artifacts_put(a, path, bytes, err);
		if (!sl_status_is_retriable(s))
			break;
	}
	return s;
}

enum sl_status sl_shard_store(struct sl_artifacts *a, void (*path_of)(char ret[SL_ARTIFACT_PATH], const char *sha256),
	struct sl_slice tar, char ret_sha256[65], struct sl_err *err)
{
	char path[SL_ARTIFACT_PATH], sha256[65];
	sl_sha256_hex(tar.ptr, tar.len, sha256);
	path_of(path, sha256);
	enum sl_status s = put_again(a, path, tar, err);
	if (s != SL_OK && s != SL_EXISTS)
		return s;
	memcpy(ret_sha256, sha256, sizeof(sha256));
	return SL_OK;
}

enum sl_status sl_shard_fetch(struct sl_artifacts *a, void (*path_of)(char ret[SL_ARTIFACT_PATH], const char *sha256),
	const char *sha256, struct sl_buf *ret, struct sl_err *err)
{
	char path[SL_ARTIFACT_PATH], is[65];
	path_of(path, sha256);
	enum sl_status s = sl_artifacts_get(a, path, ret, err);
	if (s != SL_OK)
		return sl_prefix(err, s, "%s", path);
	sl_sha256_hex(ret->ptr, ret->len, is);
	return strcmp(is, sha256) ? sl_fail(err, SL_CORRUPT, "%s: its bytes hash to %.12s", path, is) : SL_OK;
}

enum sl_status sl_object_put(struct sl_artifacts *a, const char *path, json_t *v, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTO(sl_buf_done) struct sl_buf there = {0};
	if (sl_json_print(v, &text) != SL_OK) /* also where v could not be made */
		return sl_fail(err, SL_INVALID, "%s: a text in it is no UTF-8", path);
	enum sl_status s = put_again(a, path, sl_buf_slice(&text), err);
	if (s != SL_EXISTS)
		return s;
	s = sl_artifacts_get(a, path, &there, err);
	if (s != SL_OK)
		return s;
	return there.len == text.len && !memcmp(there.ptr, text.ptr, text.len)
		       ? SL_OK
		       : sl_fail(err, SL_EXISTS, "%s: is there already, with other bytes", path);
}

enum sl_status sl_object_get(struct sl_artifacts *a, const char *path, json_t **ret, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	enum sl_status s = sl_artifacts_get(a, path, &text, err);
	if (s != SL_OK)
		return sl_prefix(err, s, "%s", path);
	return sl_json_parse(sl_buf_slice(&text), path, ret, err);
}
