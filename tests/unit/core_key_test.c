/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"
#include "core/key.h"
#include "harness.h"
#include <stdio.h>

static const char frame[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

TEST(key, same_frame_and_box_give_the_same_key_and_it_parses_back)
{
	char a[SL_KEY], b[SL_KEY], id[SL_FRAME_ID];
	int box[4];

	sl_key_make(a, frame, 10, 0, 33, 40);
	sl_key_make(b, frame, 10, 0, 33, 40);
	CHECK_STR(a, b);
	CHECK_STR(a + 5, "0123456789abcdef01234567-10x0x33x40");
	CHECK(sl_key_parse(a, id, box));
	CHECK_STR(id, "0123456789abcdef01234567");
	CHECK(box[0] == 10 && box[1] == 0 && box[2] == 33 && box[3] == 40);
	sl_key_make(b, frame, 10, 0, 33, 41);
	CHECK(strcmp(a, b) != 0);
}

TEST(key, the_prefix_is_the_hash_of_the_rest)
{
	char key[SL_KEY], hex[SL_HEX_SHA256];

	sl_key_make(key, frame, 1, 2, 3, 4);
	sl_sha256_hex(key + 5, strlen(key + 5), hex);
	CHECK(strncmp(key, hex, 4) == 0);
	CHECK_EQ(key[4], '-');
}

TEST(key, the_largest_box_fits)
{
	char key[SL_KEY];

	sl_key_make(key, frame, 0, 268435455, 1, 268435456);
	CHECK(sl_key_is_valid(key));
}

TEST(key, whatever_is_not_exactly_a_key_is_refused)
{
	static const char *const wrong[] = {
		"", "-", "abcd", "../../etc/passwd", "0000-0123456789abcdef01234567-10x0x33x40"};
	char key[SL_KEY];

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(!sl_key_is_valid(wrong[i]));
	sl_key_make(key, frame, 10, 20, 33, 40);
	for (size_t i = 0; i < strlen(key); i++) {
		char bad[SL_KEY];
		memcpy(bad, key, sizeof bad);
		bad[i] = bad[i] == '7' ? '8' : '7'; /* any digit changed breaks the prefix or the form */
		CHECK(!sl_key_is_valid(bad));
		memcpy(bad, key, sizeof bad);
		bad[i] = 0;
		CHECK(!sl_key_is_valid(bad));
	}
}

/* The prefix is right for each of these, only the form of the box is not. */
TEST(key, one_box_has_one_text)
{
	static const char *const boxes[] = {"01x2x3x4", "1x2x0x4", "1x2x3x0", "1x2x3", "1x2x3x4x5", "1x2x3x4 ",
		"+1x2x3x4", "-1x2x3x4", "1x2x3x9999999999", "1x2x3x"};

	for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++) {
		char key[SL_KEY * 2], hex[SL_HEX_SHA256];
		snprintf(key + 5, sizeof key - 5, "%.24s-%s", frame, boxes[i]);
		sl_sha256_hex(key + 5, strlen(key + 5), hex);
		memcpy(key, hex, 4);
		key[4] = '-';
		CHECK(!sl_key_is_valid(key));
	}
}
