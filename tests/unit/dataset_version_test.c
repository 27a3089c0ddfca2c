/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/mem.h"
#include "dataset/forget.h"
#include "dataset/segments.h"
#include "dataset/version.h"
#include "dataset_fixture.h"
#include "harness.h"
#include <stdio.h>

/* Labels 0..n-1 of a few classes, stored. */
static struct fixture make(int n)
{
	struct fixture f = fixture_open();
	for (int i = 0; i < n; i++) {
		fixture_crop(&f, i);
		fixture_label(&f, i, i % 7 == 6 ? -1 : i % 5, i % 3 ? "model" : "votes");
	}
	fixture_curate(&f);
	return f;
}

static json_t *snapshot(struct fixture *f)
{
	struct sl_err err;
	json_t *m = NULL;
	struct sl_snapshot o = {.note = "test"};
	CHECK_OK(sl_version_snapshot(f->st.artifacts, f->cfg, &o, &m, &err));
	return m;
}

static int64_t number(json_t *m, const char *name)
{
	return json_integer_value(json_object_get(m, name));
}

static void check_is_whole(struct fixture *f, json_t *m)
{
	struct sl_err err;
	SL_AUTOJSON json_t *findings = json_array();
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	CHECK_OK(sl_version_check(f->st.artifacts, m, findings, &err));
	sl_json_print(findings, &text);
	CHECK_STR((char *)text.ptr, "[]");
}

/* Another snapshot read more labels than this one, and was stored first. */
TEST(version, an_older_view_never_becomes_the_latest)
{
	struct fixture f = make(20);
	SL_AUTOJSON json_t *m = snapshot(&f), *again = NULL;
	struct sl_snapshot o = {.force = true};
	struct sl_err err;
	char path[SL_PATH];
	json_object_set_new(m, "version", json_string("v0002"));
	json_object_del(m, "sha256");
	json_object_set_new(json_object_get(m, "through"), "p0", json_integer(1000));
	sl_version_path(path, "v0002");
	CHECK_OK(sl_object_put(f.st.artifacts, path, m, &err));
	CHECK_STATUS(sl_version_snapshot(f.st.artifacts, f.cfg, &o, &again, &err), SL_EXISTS);
	CHECK_STR(json_string_value(json_object_get(again, "version")), "v0002");
	fixture_close(&f);
}

TEST(version, holds_every_label_once_and_is_whole)
{
	struct fixture f = make(100);
	SL_AUTOJSON json_t *m = snapshot(&f);
	CHECK_STR(json_string_value(json_object_get(m, "version")), "v0001");
	CHECK_EQ(number(m, "rows"), 100);
	json_t *parts = json_object_get(m, "parts");
	CHECK_EQ(number(parts, "aside"), 14);
	CHECK(number(parts, "heldout") > 0);
	CHECK_EQ(number(parts, "train") + number(parts, "heldout") + number(parts, "aside"), 100);
	CHECK_EQ(number(json_object_get(m, "sources"), "votes"), 34);
	CHECK(sl_is_sha256_hex(json_string_value(json_object_get(m, "sha256"))));
	check_is_whole(&f, m);
	fixture_close(&f);
}

TEST(version, the_same_state_is_nothing_new)
{
	struct fixture f = make(20);
	struct sl_err err;
	SL_AUTOJSON json_t *m = snapshot(&f), *again = NULL, *forced = NULL, *list = NULL;
	struct sl_snapshot o = {.note = NULL};
	CHECK_STATUS(sl_version_snapshot(f.st.artifacts, f.cfg, &o, &again, &err), SL_EXISTS);
	CHECK_STR(json_string_value(json_object_get(again, "version")), "v0001");
	o.force = true;
	CHECK_OK(sl_version_snapshot(f.st.artifacts, f.cfg, &o, &forced, &err));
	CHECK_STR(json_string_value(json_object_get(forced, "version")), "v0002");
	CHECK(json_equal(json_object_get(m, "shards"), json_object_get(forced, "shards")));
	CHECK_OK(sl_version_list(f.st.artifacts, &list, &err));
	CHECK_EQ(json_array_size(list), 2);
	fixture_close(&f);
}

TEST(version, a_later_label_changes_only_its_shard)
{
	struct fixture f = fixture_open();
	struct sl_err err;
	fixture_set(&f, "dataset.shard_rows", "16");
	for (int i = 0; i < 200; i++) {
		fixture_crop(&f, i);
		fixture_label(&f, i, 1, "model");
	}
	fixture_curate(&f);
	SL_AUTOJSON json_t *a = snapshot(&f), *diff = NULL;
	fixture_label(&f, 7, 2, "votes");
	fixture_label(&f, 7, 3, "model"); /* a model never replaces a person */
	fixture_curate(&f);
	SL_AUTOJSON json_t *b = snapshot(&f);
	CHECK_EQ(number(b, "rows"), 200);
	check_is_whole(&f, b);
	int changed = 0;
	json_t *x = json_object_get(a, "shards"), *y = json_object_get(b, "shards");
	CHECK(json_array_size(x) > 10);
	CHECK_EQ(json_array_size(x), json_array_size(y));
	for (size_t i = 0; i < json_array_size(x); i++)
		changed += !json_equal(json_array_get(x, i), json_array_get(y, i));
	CHECK_EQ(changed, 1);
	CHECK_OK(sl_version_diff(f.st.artifacts, a, b, &diff, &err));
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	char key[SL_KEY], want[300];
	fixture_key(7, key);
	sl_json_print(diff, &text);
	snprintf(want, sizeof(want),
		"{\"from\":\"v0001\",\"to\":\"v0002\",\"added\":[],\"removed\":[],\"changed\":[{\"key\":\"%s\",\"from\":\"c1\",\"to\":"
		"\"c2\"}],\"classes\":{\"c1\":-1,\"c2\":1}}",
		key);
	CHECK_STR((char *)text.ptr, want);
	fixture_close(&f);
}

TEST(version, nothing_labelled_makes_none)
{
	struct fixture f = fixture_open();
	struct sl_err err;
	json_t *m = NULL;
	struct sl_snapshot o = {.note = NULL};
	CHECK_STATUS(sl_version_snapshot(f.st.artifacts, f.cfg, &o, &m, &err), SL_NOT_FOUND);
	CHECK_STATUS(sl_version_get(f.st.artifacts, "latest", &m, &err), SL_NOT_FOUND);
	CHECK_STATUS(sl_version_get(f.st.artifacts, "v1", &m, &err), SL_INVALID);
	CHECK_STATUS(sl_version_get(f.st.artifacts, "v0009", &m, &err), SL_NOT_FOUND);
	fixture_close(&f);
}

TEST(version, what_was_forgotten_is_left_out)
{
	struct fixture f = make(30);
	struct sl_err err;
	SL_AUTOJSON json_t *a = snapshot(&f), *report = NULL;
	char key[SL_KEY];
	fixture_key(4, key);
	CHECK_OK(sl_forget_key(&f.st, key, "asked by the owner", &report, &err));
	SL_AUTOJSON json_t *b = snapshot(&f);
	CHECK_EQ(number(b, "rows"), 29);
	CHECK_EQ(number(b, "forgotten"), 1);
	struct sl_crop crop = {0};
	CHECK_STATUS(sl_crops_get(f.st.crops, key, &crop, &err), SL_NOT_FOUND);
	check_is_whole(&f, a); /* what was cited stays */
	CHECK_EQ(json_array_size(json_object_get(report, "versions")), 1);
	SL_AUTOJSON json_t *device = NULL;
	CHECK_OK(sl_forget_device(&f.st, "car1", "sold", &device, &err));
	SL_AUTOJSON json_t *c = snapshot(&f);
	CHECK_EQ(number(c, "rows"), 14);
	fixture_close(&f);
}

TEST(version, check_names_a_shard_that_is_gone_or_changed)
{
	struct fixture f = make(10);
	struct sl_err err;
	SL_AUTOJSON json_t *m = snapshot(&f), *findings = json_array();
	json_t *first = json_array_get(json_object_get(m, "shards"), 0);
	char path[SL_PATH];
	sl_shard_path(path, json_string_value(json_object_get(first, "sha256")));
	CHECK_OK(sl_artifacts_remove(f.st.artifacts, path, &err));
	CHECK_OK(sl_version_check(f.st.artifacts, m, findings, &err));
	CHECK_EQ(json_array_size(findings), 1);
	CHECK_STR(json_string_value(json_object_get(json_array_get(findings, 0), "where")), path);
	CHECK_OK(sl_artifacts_put(f.st.artifacts, path, sl_slice_str("other"), &err));
	json_array_clear(findings);
	CHECK_OK(sl_version_check(f.st.artifacts, m, findings, &err));
	CHECK_EQ(json_array_size(findings), 1);
	fixture_close(&f);
}

TEST(version, check_counts_what_the_manifest_says)
{
	struct fixture f = make(10);
	struct sl_err err;
	SL_AUTOJSON json_t *m = snapshot(&f), *findings = json_array();
	json_object_set_new(m, "rows", json_integer(11));
	CHECK_OK(sl_version_check(f.st.artifacts, m, findings, &err));
	CHECK_EQ(json_array_size(findings), 1);
	fixture_close(&f);
}
