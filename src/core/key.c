/* SPDX-License-Identifier: Apache-2.0 */
#include "core/key.h"
#include "base/digest.h"
#include <stdio.h>
#include <stdlib.h>

enum { PREFIX = 4, FRAME = SL_FRAME_ID - 1, REST_AT = PREFIX + 1, BOX_AT = REST_AT + FRAME + 1, NUMBER_MAX = 1 << 30 };

static void prefix_of(const char *rest, char ret[PREFIX + 1])
{
	char hex[SL_HEX_SHA256];

	sl_sha256_hex(rest, strlen(rest), hex);
	memcpy(ret, hex, PREFIX);
	ret[PREFIX] = 0;
}

void sl_key_make(char ret[SL_KEY], const char *frame_sha256_hex, int x, int y, int w, int h)
{
	SL_ASSERT(strlen(frame_sha256_hex) >= FRAME && x >= 0 && y >= 0 && w > 0 && h > 0);
	int n = snprintf(ret + REST_AT, SL_KEY - REST_AT, "%.*s-%dx%dx%dx%d", FRAME, frame_sha256_hex, x, y, w, h);

	SL_ASSERT(n < SL_KEY - REST_AT);
	prefix_of(ret + REST_AT, ret);
	ret[PREFIX] = '-';
}

static bool is_hex(const char *s, int n)
{
	for (int i = 0; i < n; i++)
		if (!(s[i] >= '0' && s[i] <= '9') && !(s[i] >= 'a' && s[i] <= 'f'))
			return false;
	return true;
}

/* Decimal without sign or leading zeros, so that one box has one text. */
static bool number(const char **p, int *ret)
{
	const char *s = *p;
	int64_t v = 0;

	if (*s < '0' || *s > '9' || (s[0] == '0' && s[1] >= '0' && s[1] <= '9'))
		return false;
	for (; *s >= '0' && *s <= '9'; s++) {
		v = v * 10 + (*s - '0');
		if (v > NUMBER_MAX)
			return false;
	}
	*p = s;
	*ret = (int)v;
	return true;
}

bool sl_key_parse(const char *key, char ret_frame[SL_FRAME_ID], int ret_box[4])
{
	char prefix[PREFIX + 1];
	int box[4];
	size_t len = strnlen(key, SL_KEY);

	if (len >= SL_KEY || len < BOX_AT || !is_hex(key, PREFIX) || key[PREFIX] != '-' ||
		!is_hex(key + REST_AT, FRAME) || key[BOX_AT - 1] != '-')
		return false;
	const char *p = key + BOX_AT;
	for (int i = 0; i < 4; i++)
		if ((i && *p++ != 'x') || !number(&p, &box[i]))
			return false;
	prefix_of(key + REST_AT, prefix);
	if (*p || box[2] < 1 || box[3] < 1 || memcmp(prefix, key, PREFIX) != 0)
		return false;
	memcpy(ret_frame, key + REST_AT, FRAME);
	ret_frame[FRAME] = 0;
	memcpy(ret_box, box, sizeof box);
	return true;
}

bool sl_key_is_valid(const char *key)
{
	char frame[SL_FRAME_ID];
	int box[4];

	return sl_key_parse(key, frame, box);
}
