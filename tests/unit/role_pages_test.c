/* SPDX-License-Identifier: Apache-2.0
 *
 * The files in the binary: every page in every language, every class with its pictogram, the
 * same keys in every language's table, and the choice of the language.
 */
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "core/taxonomy.h"
#include "harness.h"
#include "role/pages.h"
#include <stdio.h>

TEST(pages, language_is_the_cookies_then_the_browsers_then_english)
{
	CHECK_STR(sl_page_language(NULL, NULL), "en");
	CHECK_STR(sl_page_language(NULL, "ko-KR,ko;q=0.9,en-US;q=0.8"), "ko");
	CHECK_STR(sl_page_language(NULL, "en;q=0.5, ko;q=0.7"), "ko");
	CHECK_STR(sl_page_language(NULL, "fr,de;q=0.9"), "en");
	CHECK_STR(sl_page_language(NULL, "korean,fr"), "en"); /* no tag of ours: ko, not kor... */
	CHECK_STR(sl_page_language("a=b; lang=en", "ko"), "en");
	CHECK_STR(sl_page_language("lang=ko", "en"), "ko");
	CHECK_STR(sl_page_language("lang=xx", "ko"), "ko");
	CHECK_STR(sl_page_language("mylang=ko;;;", ""), "en");
	CHECK_STR(sl_page_language("", ";;;q=,,,"), "en");
}

TEST(pages, every_page_is_there_in_both_languages_without_a_key_left)
{
	static const char *const pages[] = {"/watch.html", "/label.html", "/expert.html"}, *const langs[] = {
												   "en", "ko"};

	for (size_t i = 0; i < SL_COUNT(pages); i++)
		for (size_t k = 0; k < SL_COUNT(langs); k++) {
			const struct sl_page_file *f = sl_page_find(pages[i], langs[k]);
			char want[32];

			CHECK(f && f->len == strlen(f->bytes));
			CHECK(!strstr(f->bytes, "{{"));
			snprintf(want, sizeof(want), "<html lang=\"%s\">", langs[k]);
			CHECK(strstr(f->bytes, want));
			/* The policy forbids both: they would not work. */
			CHECK(!strstr(f->bytes, "style=\"") && !strstr(f->bytes, "onclick") &&
				!strstr(f->bytes, "<script>"));
			CHECK(!strstr(f->bytes, "http://") && !strstr(f->bytes, "https://"));
		}
	CHECK(!sl_page_find("/watch.html", "fr") && !sl_page_find("/none", ""));
	CHECK(sl_page_find("/web/favicon.svg", "") && sl_page_find("/web/style.css", "") &&
		sl_page_find("/web/base.js", ""));
}

static json_t *table_of(const char *lang)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	json_t *v = NULL;
	struct sl_err err = {0};
	char path[512];

	snprintf(path, sizeof(path), "%s/web/lang/%s.json", sl_test_root(), lang);
	CHECK_OK(sl_fs_read(path, &text, &err));
	CHECK_OK(sl_json_parse(sl_buf_slice(&text), path, &v, &err));
	return v;
}

/* The set of {name} in a text as bits of a hash: order does not matter. */
static uint64_t holes(const char *text)
{
	uint64_t sum = 0;

	for (const char *p = text; (p = strchr(p, '{')); p++) {
		uint64_t h = 1469598103934665603u;

		for (const char *q = p + 1; *q && *q != '}'; q++)
			h = (h ^ (uint8_t)*q) * 1099511628211u;
		sum += h;
	}
	return sum;
}

TEST(pages, languages_have_the_same_keys_with_the_same_places_to_fill)
{
	SL_AUTOJSON json_t *en = table_of("en"), *ko = table_of("ko");
	const char *key;
	json_t *value;

	CHECK_EQ(json_object_size(en), json_object_size(ko));
	json_object_foreach(en, key, value)
	{
		const char *other = json_string_value(json_object_get(ko, key));

		if (!other || !*other)
			sl_test_fail(__FILE__, __LINE__, "web/lang/ko.json has no text for %s", key);
		/* A singular may say the number in words. */
		if (!strstr(key, ".one") && holes(json_string_value(value)) != holes(other))
			sl_test_fail(__FILE__, __LINE__, "%s: the two languages fill other places", key);
	}
}

TEST(pages, every_class_of_every_taxonomy_has_its_pictogram)
{
	int taxonomies = 0;

	for (size_t i = 0; i < sl_page_files_count; i++) {
		const struct sl_page_file *f = &sl_page_files[i];
		struct sl_taxonomy *t = NULL;
		struct sl_err err = {0};
		char path[128];

		if (strncmp(f->path, "/taxonomy/", 10) || !strstr(f->path, ".json"))
			continue;
		taxonomies++;
		CHECK_OK(sl_taxonomy_parse(sl_slice(f->bytes, f->len), &t, &err));
		for (int c = 0; c < t->n; c++) {
			snprintf(path, sizeof(path), "/taxonomy/%s/%s.svg", t->name, t->cls[c].code);
			if (!sl_page_find(path, ""))
				sl_test_fail(__FILE__, __LINE__, "no %s", path);
		}
		sl_taxonomy_free(t);
	}
	CHECK(taxonomies >= 1);
}

/* Scripts ask for texts by key: each key that stands in one must be in the table. */
TEST(pages, scripts_ask_for_keys_that_exist)
{
	SL_AUTOJSON json_t *en = table_of("en");
	static const char *const scripts[] = {
		"/web/base.js", "/web/watch.js", "/web/label.js", "/web/expert.js", "/web/plot.js"};
	int found = 0;

	for (size_t i = 0; i < SL_COUNT(scripts); i++) {
		const struct sl_page_file *f = sl_page_find(scripts[i], "");

		CHECK(f);
		for (const char *p = f->bytes; (p = strstr(p, "t('")); p++) {
			char key[64];
			size_t n = strcspn(p + 3, "'");

			if (p > f->bytes && strchr("abcdefghijklmnopqrstuvwxyz.", p[-1]))
				continue; /* the end of another name: put(', at(' */
			CHECK(n < sizeof(key));
			snprintf(key, sizeof(key), "%.*s", (int)n, p + 3);
			if (!json_object_get(en, key))
				sl_test_fail(__FILE__, __LINE__, "%s asks for %s", scripts[i], key);
			found++;
		}
	}
	CHECK(found > 60);
}
