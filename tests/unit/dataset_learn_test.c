/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/mem.h"
#include "dataset/learn.h"
#include "harness.h"
#include <stdio.h>

static struct sl_err err;

static char *path_of(const char *name)
{
	return sl_fs_join(sl_test_dir(), name);
}

static void put_image(const char *folder, int i, const struct sl_image *im)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTOFREE char *dir = path_of(folder);
	SL_AUTOFREE char *path = sl_asprintf("%s/%05d.png", dir, i);

	CHECK_OK(sl_fs_mkdirs(dir, &err));
	CHECK_OK(sl_png_encode(im, &file, &err));
	CHECK_OK(sl_fs_write(path, sl_buf_slice(&file), true, &err));
}

static void rect(struct sl_image *im, int x0, int y0, int w, int h, int r, int g, int b)
{
	for (int y = y0; y < y0 + h; y++)
		for (int x = x0; x < x0 + w; x++) {
			uint8_t *p = im->px + ((size_t)y * im->w + x) * 3;

			p[0] = (uint8_t)r;
			p[1] = (uint8_t)g;
			p[2] = (uint8_t)b;
		}
}

/* Two classes that no augmentation confuses: a bar that stands and one that lies. */
static char *crops(void)
{
	for (int i = 0; i < 40; i++) {
		SL_AUTO(sl_image_done) struct sl_image im = sl_image_new(40, 40);

		rect(&im, 0, 0, 40, 40, 60 + i, 70, 60);
		if (i % 2)
			rect(&im, 16, 8, 8, 24, 230, 220 - i, 210);
		else
			rect(&im, 8, 16, 24, 8, 230, 220 - i, 210);
		put_image(i % 2 ? "crops/1" : "crops/0", i, &im);
	}
	SL_AUTOFREE char *path = path_of("crops");
	return sl_asprintf("imagefolder:%s", path);
}

static char *scenes(void)
{
	SL_AUTO(sl_buf_done) struct sl_buf gt = {0};
	SL_AUTOFREE char *path = path_of("scenes");
	SL_AUTOFREE char *table = sl_asprintf("%s/gt.txt", path);

	for (int i = 0; i < 20; i++) {
		SL_AUTO(sl_image_done) struct sl_image im = sl_image_new(360, 340);

		rect(&im, 0, 0, 360, 340, 90, 100 + i, 110);
		rect(&im, 100 + 5 * i, 120, 30, 30, 220, 30, 30);
		put_image("scenes", i, &im);
		sl_buf_printf(&gt, "%05d.png;%d;120;%d;149;1\n", i, 100 + 5 * i, 129 + 5 * i);
	}
	CHECK_OK(sl_fs_write(table, sl_buf_slice(&gt), true, &err));
	return sl_asprintf("gtsdb:%s", path);
}

struct watch {
	volatile int stop;
	int64_t stop_at, seen;
	int scores;
};

static void on_progress(void *arg, const struct sl_learn_progress *p)
{
	struct watch *w = arg;

	if (p->kind == SL_LEARN_STEP) {
		w->seen = p->step;
		if (p->step == w->stop_at)
			w->stop = 1;
	}
	w->scores += p->kind == SL_LEARN_SCORE;
}

static struct sl_learn_options options(bool detector, const char *data, const char *out, struct watch *w)
{
	struct sl_learn_options o = sl_learn_defaults(detector);

	o.data[0] = data;
	o.ndata = 1;
	o.out = out;
	o.precision = SL_PRECISION_F32;
	o.stop = &w->stop;
	o.progress = on_progress;
	o.progress_arg = w;
	return o;
}

static void check_same_file(const char *a, const char *b)
{
	SL_AUTO(sl_buf_done) struct sl_buf x = {0};
	SL_AUTO(sl_buf_done) struct sl_buf y = {0};

	CHECK_OK(sl_fs_read(a, &x, &err));
	CHECK_OK(sl_fs_read(b, &y, &err));
	CHECK(x.len == y.len && memcmp(x.ptr, y.ptr, x.len) == 0);
}

TEST(learn, classifier_learns_and_says_how)
{
	SL_AUTOFREE char *data = crops(), *out = path_of("c.onnx"), *beside = path_of("c.onnx.json");
	SL_AUTOFREE char *checkpoint = path_of("c.onnx.checkpoint");
	SL_AUTOJSON json_t *info = NULL;
	struct watch w = {0};
	struct sl_learn_options o = options(false, data, out, &w);

	o.batch = 16;
	o.steps = 60;
	CHECK_OK(sl_learn_run(&o, &info, &err));
	CHECK_EQ(w.seen, 60);
	CHECK(w.scores >= 2);
	CHECK(json_number_value(json_object_get(json_object_get(info, "validation"), "accuracy")) > 0.99);
	CHECK(strlen(json_string_value(json_object_get(info, "sha256"))) == 64);
	CHECK(json_number_value(json_object_get(info, "temperature")) > 0);
	CHECK(!strstr(
		json_string_value(json_object_get(json_array_get(json_object_get(info, "data"), 0), "data")), "/"));
	CHECK(sl_fs_is_file(out) && sl_fs_is_file(beside) && !sl_fs_is_file(checkpoint));
}

TEST(learn, stopped_and_resumed_is_the_same_net)
{
	SL_AUTOFREE char *data = crops(), *whole = path_of("whole.onnx"), *parts = path_of("parts.onnx");
	struct watch w = {0};
	struct sl_learn_options o = options(false, data, whole, &w);
	json_t *info = NULL;

	o.batch = 8;
	o.workers = 2;
	o.steps = 12;
	CHECK_OK(sl_learn_run(&o, &info, &err));
	json_decref(info);
	o.out = parts;
	w = (struct watch){.stop_at = 5};
	CHECK_STATUS(sl_learn_run(&o, &info, &err), SL_CANCELLED);
	CHECK(strstr(err.text, "--resume"));
	CHECK_EQ(w.seen, 5);
	CHECK(!sl_fs_is_file(parts));
	o.resume = true;
	w = (struct watch){0};
	CHECK_OK(sl_learn_run(&o, &info, &err));
	json_decref(info);
	check_same_file(whole, parts);
}

TEST(learn, a_checkpoint_of_another_run_is_refused)
{
	SL_AUTOFREE char *data = crops(), *out = path_of("c.onnx"), *checkpoint = path_of("c.onnx.checkpoint");
	struct watch w = {.stop_at = 2};
	struct sl_learn_options o = options(false, data, out, &w);
	json_t *info = NULL;

	o.resume = true;
	CHECK_STATUS(sl_learn_run(&o, &info, &err), SL_NOT_FOUND);
	o.resume = false;
	o.batch = 4;
	o.steps = 8;
	CHECK_STATUS(sl_learn_run(&o, &info, &err), SL_CANCELLED);
	o.resume = true;
	o.seed = 2;
	w = (struct watch){0};
	CHECK_STATUS(sl_learn_run(&o, &info, &err), SL_CONFLICT);
	CHECK_OK(sl_fs_write(checkpoint, sl_slice_str("signloop-checkpoint 1\n{}"), true, &err));
	CHECK_STATUS(sl_learn_run(&o, &info, &err), SL_CORRUPT);
}

TEST(learn, detector_runs_and_resumes)
{
	SL_AUTOFREE char *data = scenes(), *whole = path_of("whole.onnx"), *parts = path_of("parts.onnx");
	struct watch w = {0};
	struct sl_learn_options o = options(true, data, whole, &w);
	json_t *info = NULL;

	o.batch = 2;
	o.workers = 2;
	o.steps = 3;
	CHECK_OK(sl_learn_run(&o, &info, &err));
	CHECK_EQ(json_integer_value(json_object_get(json_object_get(info, "validation"), "scenes")), 10);
	json_decref(info);
	o.out = parts;
	w = (struct watch){.stop_at = 1};
	CHECK_STATUS(sl_learn_run(&o, &info, &err), SL_CANCELLED);
	o.resume = true;
	w = (struct watch){0};
	CHECK_OK(sl_learn_run(&o, &info, &err));
	json_decref(info);
	check_same_file(whole, parts);
}

/* Bug: nets of more convolutions than a graph has outputs could not be gone on from. */
TEST(learn, goes_on_from_a_finished_net_of_either_kind)
{
	for (int detector = 0; detector < 2; detector++) {
		SL_AUTOFREE char *data = detector ? scenes() : crops(), *first = path_of("first.onnx"),
				 *next = path_of("next.onnx");
		struct watch w = {0};
		struct sl_learn_options o = options(detector, data, first, &w);
		json_t *info = NULL;

		o.batch = 4;
		o.workers = 1;
		o.steps = 3;
		CHECK_OK(sl_learn_run(&o, &info, &err));
		json_decref(info);
		o.from = first;
		o.out = next;
		CHECK_OK(sl_learn_run(&o, &info, &err));
		json_decref(info);
	}
}

TEST(learn, wrong_use_is_said)
{
	SL_AUTOFREE char *data = crops(), *out = path_of("c.onnx");
	struct watch w = {0};
	struct sl_learn_options o = options(true, data, out, &w);
	json_t *info = NULL;

	CHECK_STATUS(sl_learn_run(&o, &info, &err), SL_INVALID); /* a detector of crops alone */
	CHECK(strstr(err.text, "scenes"));
	o = options(false, data, out, &w);
	o.batch = 10;
	o.workers = 3;
	CHECK_STATUS(sl_learn_run(&o, &info, &err), SL_USAGE);
	o.ndata = 0;
	CHECK_STATUS(sl_learn_run(&o, &info, &err), SL_USAGE);
}
