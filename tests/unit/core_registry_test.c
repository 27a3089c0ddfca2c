/* SPDX-License-Identifier: Apache-2.0 */
#include "core/registry.h"
#include "base/mem.h"
#include "harness.h"
#include <stdio.h>

static char digest[5][SL_HEX_SHA256];

static void make_digests(void)
{
	for (int i = 0; i < 5; i++)
		sl_sha256_hex(&i, sizeof(i), digest[i]);
}

static int publish(struct sl_alias_entry *e, int n, const char *d)
{
	struct sl_err err;
	CHECK_OK(sl_alias_next(e, n, "live", d, &e[n], &err));
	return n + 1;
}

static const char *live(const struct sl_alias_entry *e, int n)
{
	static char d[SL_HEX_SHA256];
	sl_alias_live(e, n, d);
	return d;
}

TEST(registry, rollback_goes_back_one_more_each_time)
{
	struct sl_alias_entry e[10];
	struct sl_err err;
	int n = 0;
	make_digests();
	CHECK_STR(live(e, 0), "");
	for (int i = 0; i < 3; i++)
		n = publish(e, n, digest[i]);
	CHECK_STR(live(e, n), digest[2]);
	n = publish(e, n, NULL);
	CHECK_STR(live(e, n), digest[1]);
	CHECK_STR(e[n - 1].previous, digest[2]);
	n = publish(e, n, NULL);
	CHECK_STR(live(e, n), digest[0]);
	CHECK_STATUS(sl_alias_next(e, n, "live", NULL, &e[n], &err), SL_CONFLICT);
	n = publish(e, n, digest[2]);
	CHECK_STR(live(e, n), digest[2]);
	n = publish(e, n, NULL);
	CHECK_STR(live(e, n), digest[0]);
	CHECK_EQ(e[n - 1].n, n);
	CHECK_OK(sl_alias_check(e, n, &err));
}

TEST(registry, publishing_what_is_live_is_nothing_new)
{
	struct sl_alias_entry e[2];
	struct sl_err err;
	make_digests();
	CHECK_STATUS(sl_alias_next(e, 0, "live", NULL, e, &err), SL_CONFLICT);
	publish(e, 0, digest[0]);
	CHECK_STATUS(sl_alias_next(e, 1, "live", digest[0], &e[1], &err), SL_EXISTS);
}

TEST(registry, an_entry_comes_back_whole)
{
	struct sl_alias_entry e = {.n = 4,
				      .alias = "live",
				      .action = SL_ALIAS_ROLLBACK,
				      .by = "ann",
				      .note = "why not",
				      .time_ms = 5,
				      .forced = true},
			      back = {0};
	struct sl_err err;
	make_digests();
	strcpy(e.digest, digest[0]);
	strcpy(e.previous, digest[1]);
	SL_AUTOJSON json_t *v = sl_alias_json(&e);
	CHECK_OK(sl_alias_parse(v, "x", &back, &err));
	CHECK(!memcmp(&e, &back, sizeof(e)));
	json_object_set_new(v, "digest", json_string("12"));
	CHECK_STATUS(sl_alias_parse(v, "x", &back, &err), SL_INVALID);
	json_object_set_new(v, "v", json_integer(2));
	CHECK_STATUS(sl_alias_parse(v, "x", &back, &err), SL_UNSUPPORTED);
}

TEST(registry, a_hole_or_a_forged_entry_is_found)
{
	struct sl_alias_entry e[4], f[4];
	struct sl_err err;
	make_digests();
	for (int i = 0; i < 4; i++)
		publish(e, i, digest[i]);
	memcpy(f, e, sizeof(f));
	f[2].n = 4;
	CHECK_STATUS(sl_alias_check(f, 4, &err), SL_CORRUPT);
	CHECK(strstr(err.text, "entry 3"));
	memcpy(f, e, sizeof(f));
	strcpy(f[3].previous, digest[0]);
	CHECK_STATUS(sl_alias_check(f, 4, &err), SL_CORRUPT);
	memcpy(f, e, sizeof(f));
	f[1].action = SL_ALIAS_ROLLBACK;
	CHECK_STATUS(sl_alias_check(f, 4, &err), SL_CORRUPT);
}

TEST(registry, names_and_paths)
{
	char path[SL_ALIAS_PATH];
	CHECK(sl_alias_is_valid("live"));
	CHECK(!sl_alias_is_valid(""));
	CHECK(!sl_alias_is_valid("../x"));
	CHECK(!sl_alias_is_valid("a234567890123456789012345678901234"));
	sl_alias_path(path, "live", 12);
	CHECK_STR(path, "aliases/live/0000000012.json");
	CHECK_EQ(sl_alias_path_number(path), 12);
	CHECK_EQ(sl_alias_path_number("aliases/live/12.json"), 0);
	CHECK_EQ(sl_alias_path_number("aliases/live/0000000000.json"), 0);
}
