/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"
#include "base/mem.h"
#include "base/rng.h"
#include "harness.h"
#include "nn/onnx/onnx.h"
#include "tiny_bundle.h"
#include <stdio.h>
#include <stdlib.h>

static struct sl_bundle_parts parts(json_t *info)
{
	return (struct sl_bundle_parts){info, sl_slice_str("detector"), sl_slice_str("classifier"),
		sl_slice_str(tiny_taxonomy), sl_slice_str("# Card")};
}

static bool is_same(struct sl_slice a, struct sl_slice b)
{
	return a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0;
}

TEST(bundle_file, parts_come_back_and_the_same_parts_give_the_same_bytes)
{
	SL_AUTOJSON json_t *info = tiny_info("one");
	const struct sl_bundle_parts p = parts(info);
	struct sl_bundle_parts q = {0};
	SL_AUTO(sl_buf_done) struct sl_buf a = {0}, b = {0};
	struct sl_err err;

	CHECK_OK(sl_bundle_write(&p, &a, &err));
	CHECK_OK(sl_bundle_write(&p, &b, &err));
	CHECK(is_same(sl_buf_slice(&a), sl_buf_slice(&b)));
	CHECK_OK(sl_bundle_read(sl_buf_slice(&a), &q, &err));
	CHECK(is_same(p.detector, q.detector) && is_same(p.classifier, q.classifier));
	CHECK(is_same(p.taxonomy, q.taxonomy) && is_same(p.card, q.card));
	CHECK_STR(json_string_value(json_object_get(q.info, "name")), "one");
	CHECK(!json_object_get(info, "parts")); /* the caller's object is left alone */
	json_decref(q.info);
}

TEST(bundle_file, the_card_may_be_left_out)
{
	SL_AUTOJSON json_t *info = tiny_info("bare");
	struct sl_bundle_parts p = parts(info), q = {0};
	SL_AUTO(sl_buf_done) struct sl_buf a = {0};
	struct sl_err err;

	p.card = (struct sl_slice){0};
	CHECK_OK(sl_bundle_write(&p, &a, &err));
	CHECK_OK(sl_bundle_read(sl_buf_slice(&a), &q, &err));
	CHECK_EQ(q.card.len, 0);
	json_decref(q.info);
}

TEST(bundle_file, tar_reads_it)
{
	SL_AUTOJSON json_t *info = tiny_info("one");
	const struct sl_bundle_parts p = parts(info);
	SL_AUTO(sl_buf_done) struct sl_buf a = {0};
	SL_AUTOFREE char *cmd =
		sl_asprintf("cd %s && tar xf b.tar && test \"$(cat detector.onnx classifier.onnx card.md)\" = "
			    "'detectorclassifier# Card'",
			sl_test_dir());
	SL_AUTOFREE char *path = sl_asprintf("%s/b.tar", sl_test_dir());
	struct sl_err err;

	CHECK_OK(sl_bundle_write(&p, &a, &err));
	FILE *f = fopen(path, "wb");
	CHECK(f && fwrite(a.ptr, 1, a.len, f) == a.len && fclose(f) == 0);
	CHECK_EQ(system(cmd), 0);
}

/* Every byte of a bundle matters: changed, cut or added, it is refused. */
TEST(bundle_file, no_byte_can_be_changed_unseen)
{
	SL_AUTOJSON json_t *info = tiny_info("one");
	const struct sl_bundle_parts p = parts(info);
	SL_AUTO(sl_buf_done) struct sl_buf a = {0};
	struct sl_err err;

	CHECK_OK(sl_bundle_write(&p, &a, &err));
	size_t json = strtoul((char *)a.ptr + 124, NULL, 8);
	for (size_t i = 0; i < a.len; i++) {
		struct sl_bundle_parts q = {0};
		if (i >= 512 && i < 512 + json)
			continue; /* bundle.json itself: the digest of the whole file is what guards it */
		a.ptr[i] ^= 1;
		if (sl_bundle_read(sl_buf_slice(&a), &q, &err) != SL_INVALID)
			sl_test_fail(__FILE__, __LINE__, "byte %zu may change", i);
		a.ptr[i] ^= 1;
	}
	for (size_t n = 0; n < a.len; n++) {
		struct sl_bundle_parts q = {0};
		CHECK_STATUS(sl_bundle_read(sl_slice(a.ptr, n), &q, &err), SL_INVALID);
	}
}

TEST(bundle_file, random_damage_never_crashes)
{
	SL_AUTOJSON json_t *info = tiny_info("one");
	const struct sl_bundle_parts p = parts(info);
	SL_AUTO(sl_buf_done) struct sl_buf a = {0};
	struct sl_rng r = sl_rng(7, 1);
	struct sl_err err;

	CHECK_OK(sl_bundle_write(&p, &a, &err));
	for (int i = 0; i < 2000; i++) {
		SL_AUTOFREE uint8_t *bad = sl_memdup(a.ptr, a.len);
		struct sl_bundle_parts q = {0};
		for (int k = 0; k < 4; k++)
			bad[sl_rng_below(&r, (uint32_t)a.len)] = (uint8_t)sl_rng_u32(&r);
		if (sl_bundle_read(sl_slice(bad, a.len), &q, &err) == SL_OK)
			json_decref(q.info);
	}
}

static void set(json_t *info, const char *part, const char *name, json_t *v)
{
	json_object_set_new(part ? json_object_get(info, part) : info, name, v);
}

TEST(bundle_file, bundle_json_is_checked_member_by_member)
{
	static const struct {
		const char *part, *name;
		double v;
	} bad[] = {
		{"detector", "stride", 0},
		{"detector", "stride", 3.5},
		{"detector", "max_side", 1e9},
		{"detector", "scale", 0},
		{"detector", "threshold", 1.5},
		{"detector", "decode", 1},
		{"classifier", "size", 4},
		{"classifier", "temperature", 0},
		{"classifier", "context", 10},
		{"classifier", "normalize", 0},
		{"thresholds", "default", -1},
		{"thresholds", "by_class", 1},
		{NULL, "name", 1},
		{NULL, "detector", 1},
		{NULL, "thresholds", 1},
	};
	struct sl_err err;

	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		SL_AUTOJSON json_t *info = tiny_info("one");
		SL_AUTO(sl_buf_done) struct sl_buf a = {0};
		const struct sl_bundle_parts p = parts(info);
		json_t *v = bad[i].v == (int)bad[i].v ? json_integer((int)bad[i].v) : json_real(bad[i].v);

		set(info, bad[i].part, bad[i].name, v);
		CHECK_STATUS(sl_bundle_write(&p, &a, &err), SL_INVALID);
		CHECK_EQ(a.len, 0);
		CHECK(strstr(err.text, bad[i].name));
	}
	SL_AUTOJSON json_t *info = tiny_info("one");
	SL_AUTO(sl_buf_done) struct sl_buf a = {0};
	const struct sl_bundle_parts p = parts(info);
	set(info, NULL, "v", json_integer(2));
	CHECK_STATUS(sl_bundle_write(&p, &a, &err), SL_UNSUPPORTED);
}

TEST(bundle, opens_with_its_numbers_and_is_counted)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_bundle *b = NULL;
	char digest[SL_HEX_SHA256];
	struct sl_err err;

	tiny_bundle_file("tiny", &file);
	CHECK_OK(sl_bundle_open(sl_buf_slice(&file), SL_PRECISION_F32, &b, &err));
	sl_sha256_hex(file.ptr, file.len, digest);
	CHECK_STR(b->digest, digest);
	CHECK_STR(b->name, "tiny");
	CHECK_STR(b->card, "# Tiny\n");
	CHECK_EQ(b->stride, 4);
	CHECK_NEAR(b->accept[0], 0.9, 1e-6);
	CHECK_NEAR(b->accept[1], 0.95, 1e-6);
	CHECK(sl_bundle_ref(b) == b);
	sl_bundle_unref(b);
	CHECK_STR(b->name, "tiny"); /* still pinned once */
	sl_bundle_unref(b);
	sl_bundle_unref(NULL);
}

TEST(bundle, numbers_of_each_channel_or_one_for_all)
{
	static const char *const bad[] = {"[1,2]", "[1,2,3,4]", "[1,\"2\",3]", "\"1\"", "[1,2,5000]"};
	json_t *info = tiny_info("x"), *classifier = json_object_get(info, "classifier");
	struct sl_err err;

	set(info, "classifier", "normalize", json_string("mean_scale"));
	set(info, "classifier", "mean", json_pack("[f,i,i]", 123.5, 116, 104));
	set(info, "classifier", "scale", json_integer(58));
	struct sl_bundle *b = tiny_bundle_of(json_incref(info));
	CHECK_NEAR(b->cls_mean[0], 123.5, 0);
	CHECK_NEAR(b->cls_mean[2], 104, 0);
	for (int c = 0; c < 3; c++)
		CHECK_NEAR(b->cls_scale[c], 58, 0);
	sl_bundle_unref(b);
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		SL_AUTO(sl_buf_done) struct sl_buf a = {0};
		const struct sl_bundle_parts p = parts(info);

		json_object_set_new(classifier, "mean", json_loads(bad[i], JSON_DECODE_ANY, NULL));
		CHECK_STATUS(sl_bundle_write(&p, &a, &err), SL_INVALID);
		CHECK(strstr(err.text, "\"mean\""));
	}
	json_decref(info);
}

static enum sl_status open_with(
	json_t *info, const struct sl_graph *d, const struct sl_graph *c, struct sl_err *ret_err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0}, detector = {0}, classifier = {0};
	struct sl_bundle *b = NULL;
	struct sl_err err;

	CHECK_OK(sl_onnx_write(d, &detector, &err));
	CHECK_OK(sl_onnx_write(c, &classifier, &err));
	const struct sl_bundle_parts p = {
		info, sl_buf_slice(&detector), sl_buf_slice(&classifier), sl_slice_str(tiny_taxonomy), {0}};
	CHECK_OK(sl_bundle_write(&p, &file, &err));
	enum sl_status s = sl_bundle_open(sl_buf_slice(&file), SL_PRECISION_F32, &b, ret_err);
	sl_bundle_unref(b);
	return s;
}

TEST(bundle, nets_that_do_not_fit_are_refused_before_they_serve)
{
	struct sl_graph *d = tiny_detector(), *c = tiny_classifier(TINY_CLASSES), *more = tiny_classifier(3);
	SL_AUTOJSON json_t *info = tiny_info("x");
	struct sl_err err;

	CHECK_OK(open_with(info, d, c, &err));
	CHECK_STATUS(open_with(info, d, more, &err), SL_INVALID);
	CHECK(strstr(err.text, "classifier"));
	CHECK_STATUS(open_with(info, c, c, &err), SL_INVALID);
	CHECK(strstr(err.text, "detector"));
	set(info, "classifier", "size", json_integer(32));
	CHECK_STATUS(open_with(info, d, c, &err), SL_INVALID);
	set(info, "classifier", "size", json_integer(16));
	set(info, "detector", "decode", json_string("yolov5"));
	CHECK_STATUS(open_with(info, d, c, &err), SL_INVALID);
	set(info, "detector", "decode", json_string("center4"));
	set(json_object_get(info, "thresholds"), "by_class", "NONE", json_real(0.5));
	CHECK_STATUS(open_with(info, d, c, &err), SL_INVALID);
	CHECK(strstr(err.text, "NONE"));
	sl_graph_free(d);
	sl_graph_free(c);
	sl_graph_free(more);
}

TEST(bundle, what_is_no_net_is_refused)
{
	SL_AUTOJSON json_t *info = tiny_info("one");
	const struct sl_bundle_parts p = parts(info);
	SL_AUTO(sl_buf_done) struct sl_buf a = {0};
	struct sl_bundle *b = NULL;
	struct sl_err err;

	CHECK_OK(sl_bundle_write(&p, &a, &err));
	CHECK(sl_bundle_open(sl_buf_slice(&a), SL_PRECISION_F32, &b, &err) != SL_OK);
	CHECK(!b);
}
