/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/mem.h"
#include "core/taxonomy.h"
#include "harness.h"

#define ONE(i, code) \
	"{\"index\":" #i ",\"code\":\"" code "\",\"en\":\"Stop\",\"ko\":\"\uc815\uc9c0\",\"shape\":\"octagon\"}"
#define HEAD "{\"v\":1,\"name\":\"xx\",\"source\":\"test\",\"classes\":["

static enum sl_status parse(const char *text, struct sl_taxonomy **ret, struct sl_err *err)
{
	return sl_taxonomy_parse(sl_slice_str(text), ret, err);
}

TEST(taxonomy, classes_are_read_and_found_by_code_or_index)
{
	struct sl_taxonomy *t = NULL;
	struct sl_err err;

	CHECK_OK(parse(HEAD ONE(0, "206") "," ONE(1, "B-2.1") "]}", &t, &err));
	CHECK_STR(t->name, "xx");
	CHECK_EQ(t->n, 2);
	CHECK_STR(t->cls[1].code, "B-2.1");
	CHECK_STR(t->cls[1].ko, "\uc815\uc9c0");
	CHECK_STR(t->cls[0].shape, "octagon");
	CHECK_EQ(sl_taxonomy_find(t, "206"), 0);
	CHECK_EQ(sl_taxonomy_find(t, "1"), 1);
	CHECK_EQ(sl_taxonomy_find(t, "2"), -1);
	CHECK_EQ(sl_taxonomy_find(t, "01"), -1);
	CHECK_EQ(sl_taxonomy_find(t, ""), -1);
	CHECK_EQ(sl_taxonomy_find(t, "99999999999999999999"), -1);
	sl_taxonomy_free(t);
}

TEST(taxonomy, a_code_wins_over_an_index)
{
	struct sl_taxonomy *t = NULL;
	struct sl_err err;

	CHECK_OK(parse(HEAD ONE(0, "1") "," ONE(1, "0") "]}", &t, &err));
	CHECK_EQ(sl_taxonomy_find(t, "1"), 0);
	sl_taxonomy_free(t);
}

TEST(taxonomy, what_breaks_a_rule_is_named)
{
	static const struct {
		const char *text, *named;
	} bad[] = {
		{"", "not JSON"},
		{"[]", "object"},
		{"{\"name\":\"xx\",\"classes\":[]}", "\"v\""},
		{HEAD "]}", "classes"},
		{HEAD ONE(1, "a") "]}", "index is 1"},
		{HEAD ONE(0, "a") "," ONE(1, "a") "]}", "same code"},
		{HEAD ONE(0, "a b") "]}", "code"},
		{HEAD ONE(0, "../a") "]}", "code"},
		{HEAD ONE(0, "") "]}", "code"},
		{HEAD "7]}", "classes[0]"},
		{HEAD "{\"index\":0,\"code\":\"a\",\"en\":\"\",\"ko\":\"k\",\"shape\":\"circle\"}]}", "\"en\""},
		{HEAD "{\"index\":0,\"code\":\"a\",\"en\":\"e\",\"ko\":\"k\",\"shape\":\"blob\"}]}", "blob"},
	};

	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		struct sl_taxonomy *t = NULL;
		struct sl_err err;
		CHECK_STATUS(parse(bad[i].text, &t, &err), SL_INVALID);
		CHECK(!t);
		if (!strstr(err.text, bad[i].named))
			sl_test_fail(__FILE__, __LINE__, "case %zu says: %s", i, err.text);
	}
	struct sl_taxonomy *t = NULL;
	struct sl_err err;
	CHECK_STATUS(parse("{\"v\":2,\"name\":\"xx\",\"classes\":[]}", &t, &err), SL_UNSUPPORTED);
}

TEST(taxonomy, every_file_that_ships_parses_and_has_its_pictograms)
{
	SL_AUTOFREE char *path = sl_asprintf("%s/taxonomy/de.json", sl_test_root());
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	struct sl_taxonomy *t = NULL;
	struct sl_err err;

	CHECK_OK(sl_fs_read(path, &b, &err));
	CHECK_OK(sl_taxonomy_parse(sl_buf_slice(&b), &t, &err));
	CHECK_EQ(t->n, 43);
	CHECK_EQ(sl_taxonomy_find(t, "206"), 14); /* stop: class 14 of the GTSRB order */
	for (int i = 0; i < t->n; i++) {
		SL_AUTOFREE char *svg = sl_asprintf("%s/taxonomy/de/%s.svg", sl_test_root(), t->cls[i].code);
		if (!sl_fs_is_file(svg))
			sl_test_fail(__FILE__, __LINE__, "%s is missing", svg);
	}
	sl_taxonomy_free(t);
}
