/* SPDX-License-Identifier: Apache-2.0
 *
 * The bundle as a file. A ustar archive has one possible form here: known members in one
 * order, every header byte fixed by name and size. So the reader makes the header it
 * expects and compares, and nothing of a hostile archive is ever interpreted. (libarchive
 * stays in dataset/, and it would neither refuse what is unusual nor write these bytes.)
 */
#include "base/digest.h"
#include "base/mem.h"
#include "vision/bundle_info.h"
#include <stdio.h>

enum { BLOCK = 512, SIZE_AT = 124, SIZE_DIGITS = 11, SUM_AT = 148, MEMBERS = 5 };

static const char *const members[MEMBERS] = {
	"bundle.json", "detector.onnx", "classifier.onnx", "taxonomy.json", "card.md"};

static void header_of(const char *name, size_t size, uint8_t ret[BLOCK])
{
	unsigned sum = 0;

	memset(ret, 0, BLOCK);
	memcpy(ret, name, strlen(name));
	memcpy(ret + 100, "0000644\0" /* mode */ "0000000\0" /* owner */ "0000000\0" /* group */, 24);
	snprintf((char *)ret + SIZE_AT, SIZE_DIGITS + 1, "%011zo", size);
	memcpy(ret + 136, "00000000000\0" /* time */ "        " /* sum, as blanks while summed */ "0" /* a file */, 21);
	memcpy(ret + 257,
		"ustar\0"
		"00",
		8);
	for (int i = 0; i < BLOCK; i++)
		sum += ret[i];
	snprintf((char *)ret + SUM_AT, 8, "%06o", sum);
	ret[SUM_AT + 7] = ' ';
}

static size_t padded(size_t n)
{
	return (n + BLOCK - 1) / BLOCK * BLOCK;
}

static enum sl_status add_member(struct sl_buf *b, const char *name, struct sl_slice bytes)
{
	static const uint8_t zero[BLOCK];
	uint8_t head[BLOCK];
	enum sl_status s;

	header_of(name, bytes.len, head);
	if ((s = sl_buf_add(b, head, BLOCK)) || (s = sl_buf_add(b, bytes.ptr, bytes.len)))
		return s;
	return sl_buf_add(b, zero, padded(bytes.len) - bytes.len);
}

static bool is_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static bool is_next(struct sl_slice rest, const char *name)
{
	return rest.len >= BLOCK && strncmp((const char *)rest.ptr, name, 100) == 0;
}

/* Takes the member off the front of *rest, where is_next() saw its name. */
static enum sl_status take_member(struct sl_slice *rest, const char *name, struct sl_slice *ret, struct sl_err *err)
{
	uint8_t head[BLOCK];
	size_t size = 0;

	for (int i = 0; i < SIZE_DIGITS; i++)
		size = size * 8 + ((rest->ptr[SIZE_AT + i] - '0') & 7);
	header_of(name, size, head);
	if (memcmp(head, rest->ptr, BLOCK) != 0)
		return sl_fail(err, SL_INVALID, "bundle: the header of %s is not as signloop writes it", name);
	if (padded(size) > rest->len - BLOCK)
		return sl_fail(err, SL_INVALID, "bundle: the file ends inside %s", name);
	if (!is_zero(rest->ptr + BLOCK + size, padded(size) - size))
		return sl_fail(err, SL_INVALID, "bundle: the padding after %s is not zero", name);
	*ret = sl_slice(rest->ptr + BLOCK, size);
	*rest = sl_slice(rest->ptr + BLOCK + padded(size), rest->len - BLOCK - padded(size));
	return SL_OK;
}

static enum sl_status check_digest(json_t *parts, const char *name, struct sl_slice bytes, struct sl_err *err)
{
	char hex[SL_HEX_SHA256];
	const char *want = NULL;
	enum sl_status s = sl_json_str(parts, "bundle.json, parts", name, &want, err);

	if (s != SL_OK)
		return s;
	sl_sha256_hex(bytes.ptr, bytes.len, hex);
	if (strcmp(hex, want) != 0)
		return sl_fail(
			err, SL_INVALID, "bundle: %s has SHA-256 %.12s..., bundle.json says %.12s...", name, hex, want);
	return SL_OK;
}

static enum sl_status read_members(struct sl_slice file, struct sl_slice ret[MEMBERS], int *ret_n, struct sl_err *err)
{
	for (int i = 0; i < MEMBERS; i++) {
		if (!is_next(file, members[i]) && i == MEMBERS - 1)
			break; /* the card is optional */
		if (!is_next(file, members[i]))
			return sl_fail(err, SL_INVALID, "bundle: %s is missing, or not in its place", members[i]);
		enum sl_status s = take_member(&file, members[i], &ret[i], err);
		if (s != SL_OK)
			return s;
		*ret_n = i + 1;
	}
	return file.len == 2 * BLOCK && is_zero(file.ptr, file.len)
		       ? SL_OK
		       : sl_fail(err, SL_INVALID, "bundle: the archive does not end after its last part");
}

enum sl_status sl_bundle_read(struct sl_slice file, struct sl_bundle_parts *ret, struct sl_err *err)
{
	struct sl_slice part[MEMBERS] = {{0}};
	SL_AUTOJSON json_t *info = NULL;
	struct sl_bundle_info parsed;
	int n = 0;
	enum sl_status s;

	if ((s = read_members(file, part, &n, err)) || (s = sl_json_parse(part[0], "bundle.json", &info, err)) ||
		(s = sl_bundle_info_parse(info, &parsed, err)))
		return s;
	json_t *digests = json_object_get(info, "parts");
	if (json_object_size(digests) != (size_t)n - 1)
		return sl_fail(err, SL_INVALID, "bundle.json: \"parts\" names %zu parts, the file has %d",
			json_object_size(digests), n - 1);
	for (int i = 1; i < n; i++)
		if ((s = check_digest(digests, members[i], part[i], err)))
			return s;
	*ret = (struct sl_bundle_parts){SL_TAKE(info), part[1], part[2], part[3], part[4]};
	return SL_OK;
}

enum sl_status sl_bundle_write(const struct sl_bundle_parts *p, struct sl_buf *ret, struct sl_err *err)
{
	const struct sl_slice part[MEMBERS] = {{0}, p->detector, p->classifier, p->taxonomy, p->card};
	static const uint8_t end[2 * BLOCK];
	SL_AUTOJSON json_t *info = json_copy(p->info);
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	struct sl_bundle_info parsed;
	int n = p->card.len ? MEMBERS : MEMBERS - 1;
	enum sl_status s;

	json_t *digests = json_object();
	for (int i = 1; i < n; i++) {
		char hex[SL_HEX_SHA256];
		sl_sha256_hex(part[i].ptr, part[i].len, hex);
		json_object_set_new(digests, members[i], json_string(hex));
	}
	json_object_set_new(info, "parts", digests);
	if ((s = sl_bundle_info_parse(info, &parsed, err)))
		return s;
	s = sl_json_print(info, &text);
	for (int i = 0; i < n && s == SL_OK; i++)
		s = add_member(ret, members[i], i ? part[i] : sl_buf_slice(&text));
	if (s == SL_OK)
		s = sl_buf_add(ret, end, sizeof end);
	return s == SL_OK ? s : sl_fail(err, SL_TOO_LARGE, "bundle: more than %zu bytes", SL_BUF_CAP);
}
