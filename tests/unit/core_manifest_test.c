/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"
#include "base/mem.h"
#include "core/manifest.h"
#include "harness.h"
#include <stdio.h>

static void key_of(int i, char ret[SL_KEY])
{
	char frame[SL_HEX_SHA256];
	sl_sha256_hex(&i, sizeof(i), frame);
	sl_key_make(ret, frame, 10, 20, 30, 40);
}

static json_t *body_of(const char *text)
{
	char key[SL_KEY];
	struct sl_err err;
	json_t *v;
	key_of(1, key);
	SL_AUTOFREE char *whole = sl_asprintf("{\"key\":\"%s\",%s}", key, text);
	CHECK_OK(sl_json_parse(sl_slice_str(whole), "test", &v, &err));
	return v;
}

static enum sl_status parse(const char *text, struct sl_label *ret, struct sl_err *err)
{
	SL_AUTOJSON json_t *v = body_of(text);
	return sl_label_parse(v, "label", ret, err);
}

TEST(manifest, a_label_is_a_class_or_a_choice)
{
	struct sl_label l;
	struct sl_err err;
	CHECK_OK(parse(
		"\"v\":1,\"class\":{\"index\":3,\"code\":\"274-60\",\"name\":\"60\"},\"source\":\"votes\"", &l, &err));
	CHECK_EQ(l.cls, 3);
	CHECK_STR(l.code, "274-60");
	CHECK_STR(l.source, "votes");
	CHECK_OK(parse("\"v\":1,\"class\":7,\"source\":\"model\",\"bundle\":\"abc\"", &l, &err));
	CHECK_EQ(l.cls, 7);
	CHECK_STR(l.code, "7");
	CHECK_STR(l.bundle, "abc");
	CHECK_OK(parse("\"v\":1,\"class\":null,\"choice\":\"not_a_sign\",\"source\":\"expert\"", &l, &err));
	CHECK_EQ(l.cls, SL_CHOICE_NOT_A_SIGN);
	CHECK_STR(l.code, "");
}

TEST(manifest, what_is_no_label_is_refused_with_its_member)
{
	struct sl_label l = {.cls = 77};
	struct sl_err err;
	static const char *const bad[][2] = {{"\"v\":1,\"source\":\"votes\"", "choice"},
		{"\"v\":1,\"class\":-1,\"source\":\"votes\"", "class"},
		{"\"v\":1,\"class\":2,\"source\":\"dice\"", "source"},
		{"\"v\":1,\"class\":\"274-60\",\"source\":\"gold\"", "class"},
		{"\"class\":2,\"source\":\"gold\"", "\"v\""},
		{"\"v\":1,\"class\":{\"index\":1000001},\"source\":\"gold\"", "class"},
		{"\"v\":1,\"choice\":\"stop\",\"source\":\"gold\"", "choice"}};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		CHECK_STATUS(parse(bad[i][0], &l, &err), SL_INVALID);
		CHECK(strstr(err.text, bad[i][1]));
	}
	CHECK_STATUS(parse("\"v\":2,\"class\":2,\"source\":\"gold\"", &l, &err), SL_UNSUPPORTED);
	CHECK_EQ(l.cls, 77);
	SL_AUTOJSON json_t *v = json_pack("{s:i,s:s,s:i,s:s}", "v", 1, "key", "../../x", "class", 1, "source", "gold");
	CHECK_STATUS(sl_label_parse(v, "label", &l, &err), SL_INVALID);
}

TEST(manifest, a_row_keeps_the_message_and_comes_back)
{
	struct sl_label l, back;
	struct sl_err err;
	SL_AUTOJSON json_t *body =
		body_of("\"v\":1,\"class\":{\"index\":3,\"code\":\"x\"},\"source\":\"votes\",\"extra\":5");
	SL_AUTOJSON json_t *meta = json_pack("{s:s,s:s,s:I,s:[i,i,i,i]}", "frame", "f1", "device", "car-7", "time",
		(json_int_t)123, "roi", 1, 2, 3, 4);
	CHECK_OK(sl_label_parse(body, "label", &l, &err));
	l.partition = 2;
	l.position = 99;
	l.appended_ms = 1000;
	SL_AUTOJSON json_t *row = sl_row_make(&l, body, meta);
	CHECK_OK(sl_row_parse(row, "row", &back, &err));
	CHECK(!memcmp(&l, &back, sizeof(l)));
	CHECK_STR(sl_row_group(row), "car-7/f1");
	CHECK_EQ(json_integer_value(json_object_get(row, "extra")), 5);
	CHECK_EQ(json_integer_value(json_object_get(row, "captured")), 123);
	CHECK_EQ(json_array_size(json_object_get(row, "roi")), 4);
}

TEST(manifest, crops_of_one_drive_or_one_frame_are_one_group)
{
	struct sl_label l;
	struct sl_err err;
	SL_AUTOJSON json_t *body = body_of("\"v\":1,\"class\":1,\"source\":\"model\"");
	SL_AUTOJSON json_t *meta = json_pack("{s:s,s:s,s:s}", "frame", "f1", "device", "car", "sequence", "drive9");
	CHECK_OK(sl_label_parse(body, "label", &l, &err));
	SL_AUTOJSON json_t *with = sl_row_make(&l, body, meta), *without = sl_row_make(&l, body, NULL);
	CHECK_STR(sl_row_group(with), "car/s/drive9");
	char frame[SL_FRAME_ID], want[SL_FRAME_ID + 1];
	CHECK(sl_key_parse(l.key, frame, (int[4]){0}));
	snprintf(want, sizeof(want), "/%s", frame);
	CHECK_STR(sl_row_group(without), want);
}

static bool wins(const struct sl_label *a, const struct sl_label *b)
{
	struct sl_rank x = sl_rank_of(a), y = sl_rank_of(b);
	return sl_rank_wins(&x, &y);
}

TEST(manifest, a_later_label_wins_but_a_model_never_over_a_person)
{
	struct sl_label model = {.source = "model", .position = 9}, votes = {.source = "votes", .position = 3};
	struct sl_label expert = {.source = "expert", .position = 5},
			other = {.source = "gold", .partition = 1, .position = 1};
	CHECK(wins(&votes, &model));
	CHECK(!wins(&model, &votes));
	CHECK(wins(&expert, &votes));
	CHECK(!wins(&votes, &expert));
	other.appended_ms = 10;
	CHECK(wins(&other, &expert));
	CHECK(!wins(&votes, &votes));
}

TEST(manifest, held_out_groups_are_the_same_for_ever_and_only_grow)
{
	struct sl_label sign = {.cls = 1}, none = {.cls = SL_CHOICE_OTHER};
	int held = 0, more = 0;
	for (int i = 0; i < 4000; i++) {
		char group[32];
		snprintf(group, sizeof(group), "car/%d", i);
		bool a = sl_row_deal(&sign, group, 0.1) == SL_DEAL_HELDOUT,
		     b = sl_row_deal(&sign, group, 0.2) == SL_DEAL_HELDOUT;
		CHECK(!a || b);
		held += a;
		more += b;
		CHECK_EQ(sl_row_deal(&none, group, 0.5), SL_DEAL_ASIDE);
		CHECK_EQ(sl_row_deal(&sign, group, 0), SL_DEAL_TRAIN);
	}
	CHECK(held > 330 && held < 470);
	CHECK(more > 700 && more < 900);
}

TEST(manifest, a_segment_entry_comes_back_and_nonsense_does_not)
{
	struct sl_segment g = {.partition = 1, .first = 10, .last = 30, .rows = 2, .skipped = 1}, back = {0};
	struct sl_err err;
	char path[SL_PATH];
	int p;
	int64_t first;
	memset(g.sha256, 'a', 64);
	g.missing = json_pack("[s]", "k1");
	SL_AUTOJSON json_t *v = sl_segment_json(&g);
	CHECK_OK(sl_segment_parse(v, "e", &back, &err));
	CHECK_EQ(back.first, 10);
	CHECK_EQ(back.last, 30);
	CHECK_EQ(back.rows, 2);
	CHECK_EQ(back.skipped, 1);
	CHECK_STR(json_string_value(json_array_get(back.missing, 0)), "k1");
	sl_segment_done(&back);
	json_object_set_new(v, "last", json_integer(9));
	CHECK_STATUS(sl_segment_parse(v, "e", &back, &err), SL_INVALID);
	json_object_set_new(v, "last", json_integer(30));
	json_object_set_new(v, "sha256", json_string("../x"));
	CHECK_STATUS(sl_segment_parse(v, "e", &back, &err), SL_INVALID);
	sl_segment_entry_path(path, 3, 42);
	CHECK_STR(path, "curate/labels/p3/00000000000000000042.json");
	CHECK(sl_segment_entry_parse(path, &p, &first));
	CHECK_EQ(p, 3);
	CHECK_EQ(first, 42);
	CHECK(!sl_segment_entry_parse("curate/labels/p3/42.json", &p, &first));
	CHECK(!sl_segment_entry_parse("curate/labels/p3/00000000000000000042.json.tmp", &p, &first));
	sl_segment_done(&g);
}

TEST(manifest, version_names_and_shard_digits)
{
	char name[SL_VERSION_NAME];
	sl_version_name(name, 7);
	CHECK_STR(name, "v0007");
	CHECK_EQ(sl_version_number("v0007"), 7);
	CHECK_EQ(sl_version_number("v12345"), 12345);
	CHECK_EQ(sl_version_number("v7"), 0);
	CHECK_EQ(sl_version_number("v0000"), 0);
	CHECK_EQ(sl_version_number("latest"), 0);
	CHECK_EQ(sl_shard_digits(4000, 4000), 0);
	CHECK_EQ(sl_shard_digits(4001, 4000), 1);
	CHECK_EQ(sl_shard_digits(1000000, 4000), 2);
	CHECK_EQ(sl_shard_digits(INT64_MAX, 1), 3);
}

TEST(manifest, a_tally_counts_classes_by_part)
{
	struct sl_tally t = {0};
	struct sl_label l = {.cls = 12, .code = "306", .source = "votes", .bundle = "b"},
			none = {.cls = SL_CHOICE_NOT_A_SIGN, .source = "model"};
	sl_tally_add(&t, &l, SL_DEAL_TRAIN);
	sl_tally_add(&t, &l, SL_DEAL_TRAIN);
	sl_tally_add(&t, &l, SL_DEAL_HELDOUT);
	sl_tally_add(&t, &none, SL_DEAL_ASIDE);
	SL_AUTOJSON json_t *m = json_object();
	sl_tally_put(&t, m);
	sl_tally_done(&t);
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	sl_json_print(m, &b);
	CHECK_STR((char *)b.ptr,
		"{\"rows\":4,\"parts\":{\"train\":2,\"heldout\":1,\"aside\":1},\"classes\":{\"not_a_sign\":"
		"{\"index\":-1,\"aside\":1},\"306\":{\"index\":12,\"train\":2,\"heldout\":1}},\"sources\":{\"model\":1,\"votes\":3},"
		"\"bundles\":{\"b\":3}}");
}
