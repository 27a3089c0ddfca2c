/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "dataset/measure_bundle.h"
#include "harness.h"
#include "tiny_bundle.h"
#include <math.h>

static struct sl_err err;

enum { W = 300, H = 200 };

static void put(const char *name, struct sl_slice bytes)
{
	SL_AUTOFREE char *path = sl_fs_join(sl_test_dir(), name);
	SL_AUTOFREE char *dir = sl_strdup(path);

	*strrchr(dir, '/') = 0;
	CHECK_OK(sl_fs_mkdirs(dir, &err));
	CHECK_OK(sl_fs_write(path, bytes, true, &err));
}

static void put_scene(int i, const struct sl_image *im, const char *labels)
{
	SL_AUTO(sl_buf_done) struct sl_buf jpeg = {0};
	char name[40];

	tiny_jpeg(im, &jpeg);
	snprintf(name, sizeof name, "yolo/images/%d.jpg", i);
	put(name, sl_buf_slice(&jpeg));
	snprintf(name, sizeof name, "yolo/labels/%d.txt", i);
	put(name, sl_slice_str(labels));
}

/* "class cx cy w h" of a sign at x,y. */
static char *label(int cls, int x, int y)
{
	return sl_asprintf("%d %.9g %.9g %.9g %.9g\n", cls, (x + TINY_SIGN / 2.0) / W, (y + TINY_SIGN / 2.0) / H,
		(double)TINY_SIGN / W, (double)TINY_SIGN / H);
}

/* Four scenes: two signs that are right, one of them moved a little; one not drawn and one not
 * labelled; one of another class than labelled; one that is for people. */
static char *put_scenes(void)
{
	SL_AUTO(sl_image_done)
	struct sl_image two = tiny_scene(W, H), strange = tiny_scene(W, H), wrong = tiny_scene(W, H),
			unsure = tiny_scene(W, H);
	SL_AUTOFREE char *a = label(0, 58, 42), *b = label(1, 190, 110), *c = label(0, 50, 150), *d = label(1, 58, 42),
			 *e = label(1, 186, 106);
	SL_AUTOFREE char *ab = sl_asprintf("%s%s", a, b);
	SL_AUTOFREE char *path = sl_fs_join(sl_test_dir(), "yolo");

	tiny_sign(&two, 58, 42, TINY_SURE);
	tiny_sign(&two, 186, 106, TINY_ORANGE);
	put_scene(0, &two, ab);
	tiny_sign(&strange, 58, 42, TINY_SURE);
	put_scene(1, &strange, c);
	tiny_sign(&wrong, 58, 42, TINY_SURE);
	put_scene(2, &wrong, d);
	tiny_sign(&unsure, 186, 106, TINY_UNSURE);
	put_scene(3, &unsure, e);
	return sl_asprintf("yolo:%s", path);
}

static enum sl_status measure(const char *spec, int threads, struct sl_bundle_score *ret)
{
	const struct sl_source_options o = {.keep_files = true};
	struct sl_bundle *b = tiny_bundle("tiny");
	struct sl_bundle_measure *m = sl_bundle_measure_new(b);
	struct sl_source *s;

	CHECK_OK(sl_source_open(spec, &o, &s, &err));
	SL_AUTOFREE bool *flags = sl_calloc(s->n, sizeof *flags);
	sl_part_of(s, SL_PART_ALL, 0, flags);
	enum sl_status st = sl_measure_bundle(m, s, flags, threads, &err);
	sl_bundle_measure_end(m, ret);
	sl_bundle_measure_free(m);
	sl_source_free(s);
	sl_bundle_unref(b);
	return st;
}

TEST(measure_bundle, counts_what_is_found_named_and_accepted)
{
	SL_AUTOFREE char *spec = put_scenes();
	struct sl_bundle_score one, three;

	CHECK_OK(measure(spec, 1, &one));
	CHECK_EQ(one.scenes, 4);
	CHECK_EQ(one.boxes, 5);
	CHECK_EQ(one.signs, 5);
	CHECK_EQ(one.found, 4);
	CHECK_EQ(one.accepted, 4);
	CHECK_EQ(one.accepted_right, 2);
	CHECK_EQ(one.review, 1);
	CHECK_EQ(one.right, 2 + one.review_right);
	CHECK_NEAR(one.class_accuracy, one.right / 4.0, 1e-9);
	CHECK_NEAR(one.precision, one.right / 5.0, 1e-9);
	CHECK_NEAR(one.recall, one.right / 5.0, 1e-9);
	CHECK_NEAR(one.f1, one.right / 5.0, 1e-9);
	/* all five score alike but for JPEG: four true ones of five boxes, one false one somewhere between them */
	CHECK(one.map50 >= 0.8 * 0.8 - 1e-9 && one.map50 <= 0.8 + 1e-9);
	CHECK_OK(measure(spec, 3, &three));
	CHECK_EQ(three.right, one.right);
	CHECK_NEAR(three.map50, one.map50, 0);
	CHECK_NEAR(three.ece, one.ece, 0);
}

/* One sure and wrong, two sure and right, one even chance: the error is that of these confidences. */
TEST(measure_bundle, calibration_is_of_the_confidences_that_were_answered)
{
	SL_AUTOFREE char *spec = put_scenes();
	struct sl_bundle *b = tiny_bundle("tiny");
	struct sl_pipeline *p = sl_pipeline_new();
	SL_AUTOFREE struct sl_seen *seen = SL_NEW(struct sl_seen);
	const struct sl_source_options o = {.keep_files = true};
	double sure = 0, people = 0;
	struct sl_bundle_score score;
	struct sl_source *s;

	CHECK_OK(measure(spec, 1, &score));
	CHECK_OK(sl_source_open(spec, &o, &s, &err));
	for (int i = 0; i < s->n; i++) {
		CHECK(!s->sample[i].image.px && s->sample[i].file.len > 0);
		if (i == 1)
			continue; /* its one sign has no box */
		CHECK_OK(sl_pipeline_run(
			p, b, sl_buf_slice(&s->sample[i].file), SL_SOURCE_PIXELS, SL_FOREVER, seen, &err));
		for (int k = 0; k < seen->n; k++)
			*(seen->sign[k].accepted ? &sure : &people) += seen->sign[k].candidate[0].confidence;
		sl_seen_done(seen);
	}
	CHECK(sure > 3 * 14.0 / SL_ECE_BINS); /* one bin */
	CHECK_NEAR(score.ece, (fabs(sure - 2) + fabs(people - score.review_right)) / 4, 1e-4);
	sl_source_free(s);
	sl_pipeline_free(p);
	sl_bundle_unref(b);
}

TEST(measure_bundle, refuses_scenes_whose_classes_it_cannot_judge)
{
	SL_AUTO(sl_image_done) struct sl_image im = tiny_scene(W, H);
	SL_AUTO(sl_buf_done) struct sl_buf jpeg = {0};
	SL_AUTOFREE char *path = sl_fs_join(sl_test_dir(), "aihub");
	SL_AUTOFREE char *aihub = sl_asprintf("aihub:%s", path), *yolo = put_scenes(), *high = label(2, 58, 42);
	struct sl_bundle_score score;

	tiny_jpeg(&im, &jpeg);
	put("aihub/a.jpg", sl_buf_slice(&jpeg));
	put("aihub/a.json", sl_slice_str("{\"annotation\":[{\"class\":\"traffic_sign\",\"box\":[10,20,40,40]}]}"));
	CHECK_STATUS(measure(aihub, 1, &score), SL_INVALID);
	CHECK(strstr(err.text, "does not tell"));
	put("yolo/labels/2.txt", sl_slice_str(high));
	CHECK_STATUS(measure(yolo, 1, &score), SL_INVALID);
	CHECK(strstr(err.text, "images/2.jpg has a sign of class 2"));
}

TEST(measure_bundle, a_broken_scene_is_named)
{
	SL_AUTOFREE char *spec = put_scenes(), *path = sl_fs_join(sl_test_dir(), "yolo/images/3.jpg");
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_bundle_score score;

	CHECK_OK(sl_fs_read(path, &file, &err));
	put("yolo/images/3.jpg", sl_slice(file.ptr, file.len / 2));
	CHECK_STATUS(measure(spec, 2, &score), SL_UNREADABLE);
	CHECK(strstr(err.text, "3.jpg"));
}

TEST(measure_bundle, an_ignored_box_is_neither_missed_nor_false)
{
	struct sl_truth t[3] = {
		{{0, 0, 10, 10}, false, false}, {{100, 0, 50, 50}, true, false}, {{2, 0, 10, 10}, false, false}};

	CHECK_EQ(sl_detection_take(&(struct sl_box){0.5f, 0, 10, 10}, t, 3, 0.5f), 0);
	CHECK_EQ(sl_detection_take(&(struct sl_box){0.5f, 0, 10, 10}, t, 3, 0.5f), 2); /* the next best that is free */
	CHECK_EQ(sl_detection_take(&(struct sl_box){0.5f, 0, 10, 10}, t, 3, 0.5f), SL_TAKES_NONE);
	CHECK_EQ(sl_detection_take(&(struct sl_box){110, 10, 10, 10}, t, 3, 0.5f), SL_TAKES_IGNORED);
}
