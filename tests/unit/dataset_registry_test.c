/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/registry.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "dataset/export.h"
#include "dataset/ingest.h"
#include "dataset/shard.h"
#include "dataset_fixture.h"
#include "harness.h"
#include "nn/onnx/onnx.h"
#include "tiny_bundle.h"
#include <stdio.h>

static void put(struct fixture *f, const char *name, char ret[SL_DIGEST])
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_err err;
	tiny_bundle_file(name, &file);
	CHECK_OK(sl_model_put(f->st.artifacts, sl_buf_slice(&file), ret, &err));
}

/* The tiny classifier with its two answers changed over. */
static void put_wrong(struct fixture *f, const char *base, char ret[SL_DIGEST])
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTO(sl_buf_done) struct sl_buf onnx = {0};
	SL_AUTO(sl_buf_done) struct sl_buf out = {0};
	struct sl_graph *g = tiny_classifier(2);
	struct sl_err err;
	for (int i = 0; i < g->nvalue; i++)
		if (g->value[i].name && !strcmp(g->value[i].name, "w"))
			for (int k = 0; k < 6; k++)
				g->value[i].f32[k] *= -1;
	CHECK_OK(sl_onnx_write(g, &onnx, &err));
	sl_graph_free(g);
	CHECK_OK(sl_model_get(f->st.artifacts, base, &file, &err));
	struct sl_wrap w = {
		.base = sl_buf_slice(&file), .classifier = sl_buf_slice(&onnx), .name = "wrong", .temperature = 2};
	CHECK_OK(sl_model_wrap(&w, &out, &err));
	CHECK_OK(sl_model_put(f->st.artifacts, sl_buf_slice(&out), ret, &err));
}

/* Red and orange crops with their labels, as a version. */
static void make_version(struct fixture *f, int n)
{
	struct sl_err err;
	for (int i = 0; i < n; i++) {
		SL_AUTO(sl_buf_done) struct sl_buf jpeg = {0};
		SL_AUTO(sl_image_done) struct sl_image im = tiny_scene(64, 64);
		SL_AUTOJSON json_t *manifest = NULL;
		char key[SL_KEY], text[300];
		tiny_sign(&im, 16, 16, i % 2 ? TINY_ORANGE : TINY_SURE);
		tiny_jpeg(&im, &jpeg);
		fixture_key(i, key);
		snprintf(text, sizeof(text), "{\"v\":1,\"frame\":\"f%d\",\"device\":\"car\",\"roi\":[16,16,32,32]}", i);
		CHECK_OK(sl_crops_put(f->st.crops, key, sl_buf_slice(&jpeg), sl_slice_str(text), &err));
		snprintf(text, sizeof(text),
			"{\"v\":1,\"key\":\"%s\",\"class\":{\"index\":%d,\"code\":\"%s\"},\"source\":\"gold\",\"bundle\":\"\"}",
			key, i % 2, i % 2 ? "O" : "R");
		CHECK_OK(sl_log_append(f->st.log, "labels", key, sl_slice_str(text), SL_FOREVER, &err));
	}
	fixture_curate(f);
	SL_AUTOJSON json_t *m = NULL;
	struct sl_snapshot o = {.note = NULL};
	CHECK_OK(sl_version_snapshot(f->st.artifacts, f->cfg, &o, &m, &err));
}

static enum sl_status publish(struct fixture *f, const char *digest, bool force, struct sl_err *err)
{
	struct sl_alias_entry e;
	SL_AUTOJSON json_t *evaluation = NULL;
	struct sl_publish p = {.digest = digest, .force = force, .by = "test"};
	return sl_model_publish(&f->st, f->cfg, &p, &e, &evaluation, err);
}

static const char *live(struct fixture *f)
{
	static char digest[SL_DIGEST];
	struct sl_err err;
	CHECK_OK(sl_alias_digest(f->st.artifacts, SL_ALIAS_LIVE, digest, &err));
	return digest;
}

TEST(model_registry, the_first_needs_no_gate_and_every_entry_is_announced)
{
	struct fixture f = fixture_open();
	SL_AUTO(sl_batch_done) struct sl_batch b = {0};
	SL_AUTO(sl_alias_log_done) struct sl_alias_log log = {0};
	struct sl_err err;
	char a[SL_DIGEST], found[SL_DIGEST], start[9];
	put(&f, "a", a);
	CHECK_OK(publish(&f, a, false, &err));
	CHECK_STR(live(&f), a);
	CHECK_STATUS(publish(&f, a, false, &err), SL_EXISTS);
	CHECK_OK(sl_log_read(f.st.log, "models", 0, -1, 10, &b, &err));
	CHECK_EQ(b.n, 1);
	CHECK(strstr((char *)b.message[0].body.ptr, a));
	CHECK_OK(sl_alias_log_read(f.st.artifacts, "live", &log, &err));
	CHECK_EQ(log.n, 1);
	CHECK(!log.entry[0].forced);
	snprintf(start, sizeof(start), "%.8s", a);
	CHECK_OK(sl_model_find(f.st.artifacts, start, found, &err));
	CHECK_STR(found, a);
	CHECK_STATUS(sl_model_find(f.st.artifacts, "ffffffffff", found, &err), SL_NOT_FOUND);
	CHECK_STATUS(sl_model_find(f.st.artifacts, "../..", found, &err), SL_INVALID);
	fixture_close(&f);
}

TEST(model_registry, the_gate_refuses_a_worse_one_and_force_is_written_down)
{
	struct fixture f = fixture_open();
	SL_AUTO(sl_alias_log_done) struct sl_alias_log log = {0};
	struct sl_err err;
	char a[SL_DIGEST], b[SL_DIGEST], wrong[SL_DIGEST];
	fixture_set(&f, "dataset.holdout", "0.5");
	put(&f, "a", a);
	put(&f, "b", b);
	put_wrong(&f, a, wrong);
	CHECK_OK(publish(&f, a, false, &err));
	CHECK_STATUS(publish(&f, b, false, &err), SL_REFUSED); /* nothing to compare on */
	CHECK(strstr(err.text, "dataset version"));
	make_version(&f, 60);
	CHECK_OK(publish(&f, b, false, &err)); /* the same nets under another name */
	CHECK_STATUS(publish(&f, wrong, false, &err), SL_REFUSED);
	CHECK(strstr(err.text, "candidate 0.00 %, live 100.00 %"));
	CHECK_STR(live(&f), b);
	CHECK_OK(publish(&f, wrong, true, &err));
	CHECK_STR(live(&f), wrong);
	CHECK_OK(publish(&f, NULL, false, &err));
	CHECK_STR(live(&f), b);
	CHECK_OK(sl_alias_log_read(f.st.artifacts, "live", &log, &err));
	CHECK_EQ(log.n, 4);
	CHECK(log.entry[2].forced && !log.entry[1].forced && !log.entry[3].forced);
	CHECK_OK(sl_alias_check(log.entry, log.n, &err));
	fixture_close(&f);
}

TEST(model_registry, an_evaluation_is_kept_and_taken_again_by_the_same_rules)
{
	struct fixture f = fixture_open();
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	SL_AUTOJSON json_t *x = NULL, *y = NULL, *z = NULL;
	struct sl_err err;
	char a[SL_DIGEST], b[SL_DIGEST];
	bool passed = false;
	fixture_set(&f, "dataset.holdout", "0.5");
	put(&f, "a", a);
	put(&f, "b", b);
	CHECK_OK(publish(&f, a, false, &err));
	make_version(&f, 40);
	sl_clock_fake(1000000);
	CHECK_OK(sl_model_judge(&f.st, f.cfg, b, "latest", &passed, &x, &err));
	CHECK(passed);
	sl_clock_fake(2000000);
	CHECK_OK(sl_model_judge(&f.st, f.cfg, b, "v0001", &passed, &y, &err));
	CHECK(json_equal(x, y));
	fixture_set(&f, "gate.rows", "1000");
	CHECK_OK(sl_model_judge(&f.st, f.cfg, b, "v0001", &passed, &z, &err));
	CHECK(!passed);
	CHECK_OK(sl_artifacts_list(f.st.artifacts, "evaluations/", &list, &err));
	CHECK_EQ(list.n, 1);
	fixture_close(&f);
}

TEST(model_registry, another_detector_passes_only_on_request)
{
	struct fixture f = fixture_open();
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTO(sl_buf_done) struct sl_buf onnx = {0};
	SL_AUTO(sl_buf_done) struct sl_buf out = {0};
	struct sl_graph *g = tiny_detector();
	struct sl_err err;
	char a[SL_DIGEST], other[SL_DIGEST];
	fixture_set(&f, "dataset.holdout", "0.5");
	put(&f, "a", a);
	CHECK_OK(publish(&f, a, false, &err));
	make_version(&f, 40);
	g->value[1].f32[0] += 1e-3f;
	CHECK_OK(sl_onnx_write(g, &onnx, &err));
	sl_graph_free(g);
	CHECK_OK(sl_model_get(f.st.artifacts, a, &file, &err));
	struct sl_wrap w = {.base = sl_buf_slice(&file), .detector = sl_buf_slice(&onnx)};
	CHECK_OK(sl_model_wrap(&w, &out, &err));
	CHECK_OK(sl_model_put(f.st.artifacts, sl_buf_slice(&out), other, &err));
	CHECK_STATUS(publish(&f, other, false, &err), SL_REFUSED);
	CHECK(strstr(err.text, "detector"));
	CHECK_OK(publish(&f, other, true, &err));
	fixture_close(&f);
}

TEST(model_registry, another_threshold_is_another_detector)
{
	struct fixture f = fixture_open();
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTO(sl_buf_done) struct sl_buf out = {0};
	struct sl_bundle_parts p;
	struct sl_err err;
	char a[SL_DIGEST], deaf[SL_DIGEST];
	fixture_set(&f, "dataset.holdout", "0.5");
	put(&f, "a", a);
	CHECK_OK(publish(&f, a, false, &err));
	make_version(&f, 40);
	CHECK_OK(sl_model_get(f.st.artifacts, a, &file, &err));
	CHECK_OK(sl_bundle_read(sl_buf_slice(&file), &p, &err));
	SL_AUTOJSON json_t *info = p.info;
	json_object_set_new(json_object_get(info, "detector"), "threshold", json_real(0.99));
	CHECK_OK(sl_bundle_write(&p, &out, &err));
	CHECK_OK(sl_model_put(f.st.artifacts, sl_buf_slice(&out), deaf, &err));
	CHECK_STATUS(publish(&f, deaf, false, &err), SL_REFUSED);
	CHECK(strstr(err.text, "detector"));
	fixture_close(&f);
}

TEST(model_registry, what_is_no_bundle_is_not_stored)
{
	struct fixture f = fixture_open();
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	struct sl_err err;
	char digest[SL_DIGEST];
	CHECK(sl_model_put(f.st.artifacts, sl_slice_str("no bundle"), digest, &err) != SL_OK);
	CHECK_OK(sl_artifacts_list(f.st.artifacts, "bundles/", &list, &err));
	CHECK_EQ(list.n, 0);
	fixture_close(&f);
}

/* ---- export and import again ---- */

static enum sl_status count_file(const char *name, void *arg, struct sl_err *err)
{
	++*(int *)arg;
	return SL_OK;
}

static int count_in(const char *dir, const char *sub)
{
	SL_AUTOFREE char *path = sl_fs_join(dir, sub);
	int n = 0;
	if (sl_fs_is_dir(path))
		CHECK(sl_fs_each(path, count_file, &n, NULL) == SL_OK);
	return n;
}

TEST(export, every_format_holds_every_row_and_reads_back)
{
	static const char *const formats[] = {"imagefolder", "webdataset", "coco", "yolo"};
	struct fixture f = fixture_open();
	SL_AUTOJSON json_t *m = NULL;
	struct sl_err err;
	unsigned deals = 1u << SL_DEAL_TRAIN | 1u << SL_DEAL_HELDOUT;
	make_version(&f, 30);
	CHECK_OK(sl_version_get(f.st.artifacts, "latest", &m, &err));
	struct sl_taxonomy *t;
	CHECK_OK(sl_taxonomy_parse(sl_slice_str(tiny_taxonomy), &t, &err));
	for (size_t i = 0; i < SL_COUNT(formats); i++) {
		SL_AUTOFREE char *dir = sl_fs_join(sl_test_dir(), formats[i]);
		SL_AUTOFREE char *spec = sl_asprintf("%s:%s", formats[i], dir);
		struct sl_source *s = NULL;
		int64_t rows = 0;
		CHECK_OK(sl_export_run(f.st.artifacts, m, formats[i], dir, deals, &rows, &err));
		CHECK_EQ(rows, 30);
		CHECK_STATUS(sl_export_run(f.st.artifacts, m, formats[i], dir, deals, &rows, &err), SL_EXISTS);
		struct sl_source_options o = {.class_of = (int (*)(void *, const char *))sl_taxonomy_find, .arg = t};
		CHECK_OK(sl_source_open(spec, &o, &s, &err));
		CHECK_EQ(s->n, 30);
		int orange = 0;
		for (int k = 0; k < s->n; k++)
			orange += s->format->scenes ? s->sample[k].box[0].cls == 1 : s->sample[k].cls == 1;
		CHECK_EQ(orange, 15);
		sl_source_free(s);
	}
	SL_AUTOFREE char *folder = sl_fs_join(sl_test_dir(), "imagefolder");
	CHECK_EQ(count_in(folder, "train/R") + count_in(folder, "train/O") + count_in(folder, "heldout/R") +
			 count_in(folder, "heldout/O"),
		30);
	sl_taxonomy_free(t);
	fixture_close(&f);
}

TEST(ingest, gold_labels_become_rows_and_twice_makes_no_second_crop)
{
	struct fixture f = fixture_open(), g = fixture_open();
	SL_AUTOJSON json_t *m = NULL, *n = NULL;
	SL_AUTOFREE char *dir = sl_fs_join(sl_test_dir(), "out");
	SL_AUTOFREE char *spec = sl_asprintf("webdataset:%s", dir);
	struct sl_taxonomy *t;
	struct sl_source *s = NULL;
	struct sl_ingest_result r;
	struct sl_err err;
	int64_t rows, crops = 0;
	make_version(&f, 20);
	CHECK_OK(sl_version_get(f.st.artifacts, "latest", &m, &err));
	CHECK_OK(sl_export_run(f.st.artifacts, m, "webdataset", dir, 7, &rows, &err));
	CHECK_OK(sl_taxonomy_parse(sl_slice_str(tiny_taxonomy), &t, &err));
	struct sl_source_options so = {.limit = 0};
	CHECK_OK(sl_source_open(spec, &so, &s, &err));
	struct sl_ingest o = {.taxonomy = t, .device = "import"};
	for (int i = 0; i < 2; i++) {
		CHECK_OK(sl_ingest_run(&g.st, s, &o, &r, &err));
		CHECK_EQ(r.crops, 20);
		CHECK_OK(sl_crops_count(g.st.crops, &crops, &err));
	}
	/* Ten pictures of red, ten of orange: the same pixels are the same crop. */
	CHECK_EQ(crops, 2);
	fixture_curate(&g);
	struct sl_snapshot so2 = {.note = NULL};
	CHECK_OK(sl_version_snapshot(g.st.artifacts, g.cfg, &so2, &n, &err));
	CHECK_EQ(json_integer_value(json_object_get(n, "rows")), 2);
	CHECK_EQ(json_integer_value(json_object_get(json_object_get(n, "sources"), "gold")), 2);
	sl_source_free(s);
	sl_taxonomy_free(t);
	fixture_close(&f);
	fixture_close(&g);
}

TEST(ingest, a_sign_of_unknown_class_becomes_no_label)
{
	struct fixture f = fixture_open();
	SL_AUTO(sl_image_done) struct sl_image im = sl_image_new(40, 40);
	SL_AUTO(sl_buf_done) struct sl_buf png = {0};
	SL_AUTOFREE char *spec = sl_asprintf("aihub:%s", sl_test_dir());
	SL_AUTOFREE char *image = sl_fs_join(sl_test_dir(), "a.png"), *label = sl_fs_join(sl_test_dir(), "a.json");
	const struct sl_source_options so = {.limit = 0};
	struct sl_ingest_result r;
	struct sl_source *s = NULL;
	struct sl_taxonomy *t;
	struct sl_err err;
	int64_t crops = 0;
	CHECK_OK(sl_png_encode(&im, &png, &err));
	CHECK_OK(sl_fs_write(image, sl_buf_slice(&png), true, &err));
	CHECK_OK(sl_fs_write(label, sl_slice_str("{\"annotation\":[{\"class\":\"traffic_sign\",\"box\":[5,5,30,30]}]}"),
		true, &err));
	CHECK_OK(sl_taxonomy_parse(sl_slice_str(tiny_taxonomy), &t, &err));
	CHECK_OK(sl_source_open(spec, &so, &s, &err));
	const struct sl_ingest o = {.taxonomy = t, .device = "import"};
	CHECK_OK(sl_ingest_run(&f.st, s, &o, &r, &err));
	CHECK_EQ(r.unknown, 1);
	CHECK_EQ(r.crops + r.negatives, 0);
	CHECK_OK(sl_crops_count(f.st.crops, &crops, &err));
	CHECK_EQ(crops, 0);
	sl_source_free(s);
	sl_taxonomy_free(t);
	fixture_close(&f);
}

/* The alias log is read whole by everyone: one entry that is no JSON would end all rollouts. */
TEST(registry, a_name_or_note_that_does_not_fit_is_refused_and_harms_nothing)
{
	struct fixture f = fixture_open();
	struct sl_alias_entry e;
	struct sl_err err;
	char digest[SL_DIGEST], live[SL_DIGEST], note[SL_ALIAS_NOTE + 3] = "x";
	put(&f, "a", digest);
	for (size_t i = 1; i + 3 <= SL_ALIAS_NOTE + 1; i += 3)
		memcpy(note + i, "\xed\x91\x9c", 3); /* cut at the limit it would be half a letter */
	struct sl_publish long_note = {.digest = digest, .note = note}, latin = {.digest = digest, .by = "J\xfcrgen"};
	CHECK_STATUS(sl_model_publish(&f.st, f.cfg, &long_note, &e, NULL, &err), SL_INVALID);
	CHECK_STATUS(sl_model_publish(&f.st, f.cfg, &latin, &e, NULL, &err), SL_INVALID);
	CHECK_STATUS(sl_alias_digest(f.st.artifacts, SL_ALIAS_LIVE, live, &err), SL_NOT_FOUND);
	struct sl_publish good = {.digest = digest, .by = "J\xc3\xbcrgen"};
	CHECK_OK(sl_model_publish(&f.st, f.cfg, &good, &e, NULL, &err));
	CHECK_OK(sl_alias_digest(f.st.artifacts, SL_ALIAS_LIVE, live, &err));
	CHECK_STATUS(sl_object_put(f.st.artifacts, "datasets/v0001.json", NULL, &err), SL_INVALID);
	fixture_close(&f);
}

/* A bundle comes from anywhere; a card in Latin-1 ended the process that showed it. */
TEST(registry, a_card_that_is_no_utf8_can_be_shown)
{
	struct fixture f = fixture_open();
	SL_AUTO(sl_buf_done) struct sl_buf file = {0}, other = {0};
	struct sl_bundle_parts p = {0};
	struct sl_err err;
	char digest[SL_DIGEST];
	json_t *shown = NULL;
	tiny_bundle_file("a", &file);
	CHECK_OK(sl_bundle_read(sl_buf_slice(&file), &p, &err));
	p.card = sl_slice_str("M\xfcller");
	CHECK_OK(sl_bundle_write(&p, &other, &err));
	CHECK_OK(sl_model_put(f.st.artifacts, sl_buf_slice(&other), digest, &err));
	CHECK_OK(sl_model_show(f.st.artifacts, digest, &shown, &err));
	CHECK_STR(json_string_value(json_object_get(shown, "card")), "M?ller");
	json_decref(shown);
	json_decref(p.info);
	fixture_close(&f);
}
