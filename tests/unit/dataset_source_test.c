/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "dataset/measure.h"
#include "dataset/source.h"
#include "harness.h"
#include <stdio.h>
#include <stdlib.h>

static struct sl_err err;

static char *path_of(const char *name)
{
	return sl_fs_join(sl_test_dir(), name);
}

static void put(const char *name, struct sl_slice bytes)
{
	SL_AUTOFREE char *path = path_of(name);
	SL_AUTOFREE char *dir = sl_asprintf("%.*s", (int)(strrchr(path, '/') - path), path);

	CHECK_OK(sl_fs_mkdirs(dir, &err));
	CHECK_OK(sl_fs_write(path, bytes, true, &err));
}

static void put_text(const char *name, const char *text)
{
	put(name, sl_slice_str(text));
}

static void put_png(const char *name, int w, int h, int grey)
{
	SL_AUTO(sl_image_done) struct sl_image im = sl_image_new(w, h);
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};

	memset(im.px, grey, (size_t)w * h * 3);
	CHECK_OK(sl_png_encode(&im, &file, &err));
	put(name, sl_buf_slice(&file));
}

static enum sl_status try_open(
	const char *format, const char *name, const struct sl_source_options *o, struct sl_source **ret)
{
	SL_AUTOFREE char *path = path_of(name);
	SL_AUTOFREE char *spec = sl_asprintf("%s:%s", format, path);

	return sl_source_open(spec, o, ret, &err);
}

static struct sl_source *opened(const char *format, const char *name)
{
	const struct sl_source_options o = {.roi_side = 96};
	struct sl_source *s;

	CHECK_OK(try_open(format, name, &o, &s));
	return s;
}

static int code_index(void *arg, const char *code)
{
	return strcmp(code, "274-30") == 0 ? 1 : strcmp(code, "206") == 0 ? 14 : -1;
}

static void put_gtsrb(void)
{
	put_png("g/00000/00000_00000_00000.png", 30, 32, 10);
	put_png("g/00000/00000_00000_00001.png", 30, 32, 20);
	put_png("g/00000/00000_00001_00000.png", 240, 200, 30);
	put_png("g/00001/00001_00000_00000.png", 30, 30, 40);
	put_text("g/labels.csv", "file,width,height,roi_x1,roi_y1,roi_x2,roi_y2,class_id,track\n"
				 "00000/00000_00000_00000.png,30,32,5,6,24,25,0,00000\n"
				 "00000/00000_00000_00001.png,30,32,5,6,24,25,0,00000\n"
				 "00000/00000_00001_00000.png,240,200,24,4,215,195,0,00001\r\n"
				 "00001/00001_00000_00000.png,30,30,5,5,24,24,1,00000\n");
}

static void check_gtsrb(const struct sl_source *s)
{
	CHECK_EQ(s->n, 4);
	CHECK_EQ(s->ngroup, 3); /* track 00000 of class 0 is not that of class 1 */
	CHECK_EQ(s->nclass, 2);
	CHECK_EQ(s->sample[0].group, s->sample[1].group);
	CHECK(s->sample[0].group != s->sample[2].group && s->sample[0].group != s->sample[3].group);
	CHECK_NEAR(s->sample[0].roi.x, 5, 0);
	CHECK_NEAR(s->sample[0].roi.w, 20, 0); /* the right pixel is inside */
	CHECK_NEAR(s->sample[0].roi.h, 20, 0);
	CHECK_EQ(s->sample[2].image.w, 120); /* ROI of 192 shrunk to 96 */
	CHECK_EQ(s->sample[2].image.h, 100);
	CHECK_NEAR(s->sample[2].roi.w, 96, 1e-4);
	CHECK_NEAR(s->sample[2].roi.x, 12, 1e-4);
	CHECK_EQ(s->sample[3].cls, 1);
	CHECK_EQ(s->sample[3].image.px[0], 40);
}

TEST(source, gtsrb_from_folder_and_archive)
{
	struct sl_source *s;
	SL_AUTOFREE char *pack = sl_asprintf("tar -C %s/g -czf %s/g.tar.gz .", sl_test_dir(), sl_test_dir());

	put_gtsrb();
	s = opened("gtsrb", "g");
	check_gtsrb(s);
	sl_source_free(s);
	CHECK_EQ(system(pack), 0);
	s = opened("gtsrb", "g.tar.gz");
	check_gtsrb(s);
	CHECK(strlen(s->digest) == 64);
	sl_source_free(s);
}

TEST(source, a_cut_archive_is_unreadable)
{
	const struct sl_source_options o = {0};
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTOFREE char *pack = sl_asprintf("tar -C %s/g -czf %s/g.tar.gz .", sl_test_dir(), sl_test_dir());
	SL_AUTOFREE char *path = path_of("g.tar.gz");
	struct sl_source *s;

	put_gtsrb();
	CHECK_EQ(system(pack), 0);
	CHECK_OK(sl_fs_read(path, &file, &err));
	put("cut.tar.gz", sl_slice(file.ptr, file.len / 2));
	CHECK_STATUS(try_open("gtsrb", "cut.tar.gz", &o, &s), SL_UNREADABLE);
}

TEST(source, errors_name_file_and_line)
{
	const struct sl_source_options o = {0};
	struct sl_source *s;

	CHECK_STATUS(sl_source_open("nosuch:x", &o, &s, &err), SL_USAGE);
	CHECK(strstr(err.text, "gtsrb"));
	CHECK_STATUS(try_open("gtsrb", "absent", &o, &s), SL_NOT_FOUND);
	put_gtsrb();
	put_text("g/labels.csv", "file,class\n00000/00000_00000_00000.png,0\nnot/there.png,0\n");
	CHECK_STATUS(try_open("gtsrb", "g", &o, &s), SL_INVALID);
	CHECK(strstr(err.text, "line 3") && strstr(err.text, "not/there.png"));
	put_text("g/labels.csv", "file,class\n00000/00000_00000_00000.png,zero\n");
	CHECK_STATUS(try_open("gtsrb", "g", &o, &s), SL_INVALID);
	CHECK(strstr(err.text, "line 2"));
	put_text("g/labels.csv", "file,kind\nx,1\n");
	CHECK_STATUS(try_open("gtsrb", "g", &o, &s), SL_INVALID);
	put_text("g/labels.csv", "");
	CHECK_STATUS(try_open("gtsrb", "g", &o, &s), SL_INVALID);
	put_text("g/labels.csv", "file,class\n00000/bad.png,0\n");
	put_text("g/00000/bad.png", "\x89PNG\r\n\x1a\nrubbish");
	CHECK_STATUS(try_open("gtsrb", "g", &o, &s), SL_UNREADABLE);
	CHECK(strstr(err.text, "bad.png"));
}

TEST(source, gtsdb_scenes_and_boxes)
{
	char name[32];
	struct sl_source *s;

	for (int i = 0; i < 25; i++) {
		snprintf(name, sizeof name, "d/%05d.png", i);
		put_png(name, 40, 30, i);
	}
	put_text("d/gt.txt", "00003.png;10;12;19;17;4\n00003.png;0;0;3;3;2\n00777.png;1;1;2;2;0\n");
	s = opened("gtsdb", "d");
	CHECK_EQ(s->n, 25);
	CHECK_EQ(s->ngroup, 2); /* ten and fifteen */
	CHECK_EQ(s->sample[9].group, 0);
	CHECK_EQ(s->sample[10].group, 1);
	CHECK_EQ(s->sample[24].group, 1);
	CHECK_EQ(s->sample[3].nbox, 2);
	CHECK_NEAR(s->sample[3].box[0].box.x, 10, 0);
	CHECK_NEAR(s->sample[3].box[0].box.w, 10, 0);
	CHECK_NEAR(s->sample[3].box[0].box.h, 6, 0);
	CHECK_EQ(s->sample[3].box[0].cls, 4);
	CHECK_EQ(s->sample[4].nbox, 0);
	sl_source_free(s);
	const struct sl_source_options o = {0};
	put_text("d/gt.txt", "00003.png;10;12;19;17\n");
	CHECK_STATUS(try_open("gtsdb", "d", &o, &s), SL_INVALID);
	put_text("d/gt.txt", "00003.png;10;12;5;17;1\n");
	CHECK_STATUS(try_open("gtsdb", "d", &o, &s), SL_INVALID);
	CHECK(strstr(err.text, "line 1"));
}

TEST(source, imagefolder_by_index_and_code)
{
	const struct sl_source_options o = {.class_of = code_index}, plain = {0};
	struct sl_source *s;

	put_png("f/0/a.png", 100, 60, 1);
	put_png("f/274-30/b.png", 40, 40, 2);
	CHECK_OK(try_open("imagefolder", "f", &o, &s));
	CHECK_EQ(s->n, 2);
	CHECK_EQ(s->sample[0].cls, 0);
	CHECK_EQ(s->sample[1].cls, 1);
	CHECK_NEAR(s->sample[0].roi.x, 8.5, 1e-4); /* 8.5 % of 100, and 5.1 of 60 */
	CHECK_NEAR(s->sample[0].roi.y, 5.1, 1e-4);
	CHECK_NEAR(s->sample[0].roi.w, 83, 1e-4);
	CHECK_NEAR(s->sample[1].roi.x, 5, 1e-4); /* at least 5 px */
	sl_source_free(s);
	CHECK_STATUS(try_open("imagefolder", "f", &plain, &s), SL_INVALID);
	CHECK(strstr(err.text, "274-30"));
	/* A code of digits alone is a code, where codes are known. */
	put_png("n/206/a.png", 40, 40, 1);
	CHECK_OK(try_open("imagefolder", "n", &o, &s));
	CHECK_EQ(s->sample[0].cls, 14);
	sl_source_free(s);
}

TEST(source, tt100k_folders_and_negatives)
{
	struct sl_source *s;

	put_png("t/train/pl40/1.png", 20, 20, 1);
	put_png("t/train/negative/2.png", 64, 64, 2);
	put_png("t/test/pl40/3.png", 20, 20, 3);
	put_png("t/test/i5/4.png", 20, 20, 4);
	s = opened("tt100k", "t");
	CHECK_EQ(s->n, 4);
	CHECK_EQ(s->nclass, 2);
	CHECK_STR(s->class_name[0], "i5");
	CHECK_STR(s->class_name[1], "pl40");
	for (int i = 0; i < 4; i++) {
		int grey = s->sample[i].image.px[0];
		CHECK_EQ(s->sample[i].cls, grey == 2 ? SL_CLASS_NONE : grey == 4 ? 0 : 1);
		CHECK_NEAR(s->sample[i].roi.w, s->sample[i].image.w, 0);
	}
	sl_source_free(s);
}

TEST(source, webdataset_shards)
{
	const struct sl_source_options o = {0};
	SL_AUTOFREE char *pack = sl_asprintf(
		"cd %s && mkdir shards && tar -cf shards/0.tar -C w k1.png k1.json && tar -cf shards/1.tar -C w k2.png k2.json",
		sl_test_dir());
	struct sl_source *s;

	put_png("w/k1.png", 64, 64, 1);
	put_text("w/k1.json", "{\"class\": 3, \"roi\": [10.5, 11, 42, 43], \"group\": \"drive-7\"}");
	put_png("w/k2.png", 64, 64, 2);
	put_text("w/k2.json", "{\"class\": {\"index\": 5, \"code\": \"x\"}, \"group\": \"drive-7\"}");
	CHECK_EQ(system(pack), 0);
	s = opened("webdataset", "shards");
	CHECK_EQ(s->n, 2);
	CHECK_EQ(s->ngroup, 1);
	CHECK_EQ(s->sample[0].cls, 3);
	CHECK_NEAR(s->sample[0].roi.x, 10.5, 0);
	CHECK_NEAR(s->sample[0].roi.h, 43, 0);
	CHECK_EQ(s->sample[1].cls, 5);
	sl_source_free(s);
	put_text("w/k2.json", "{\"class\": \"nothing\"}");
	CHECK_STATUS(try_open("webdataset", "w", &o, &s), SL_INVALID);
	CHECK(strstr(err.text, "k2.json"));
}

TEST(source, csv_rows_without_class_are_left_out)
{
	struct sl_source *s;

	put_png("c/a.png", 32, 32, 1);
	put_png("c/b.png", 32, 32, 2);
	put_text("c/labels.csv", "file,class_index,name,note\na.png,61,x,\nb.png,,,dark\n");
	s = opened("csv", "c");
	CHECK_EQ(s->n, 1);
	CHECK_EQ(s->sample[0].cls, 61);
	CHECK_EQ(s->nclass, 62);
	sl_source_free(s);
	s = opened("csv", "c/labels.csv");
	CHECK_EQ(s->n, 1);
	sl_source_free(s);
}

TEST(source, coco_yolo_and_aihub_say_the_same)
{
	static const char *const formats[] = {"coco", "yolo", "aihub"};

	put_png("coco/images/a.png", 100, 50, 1);
	put_png("coco/images/b.png", 100, 50, 1);
	put_text("coco/annotations.json",
		"{\"images\":[{\"id\":7,\"file_name\":\"a.png\"},{\"id\":9,\"file_name\":\"b.png\"}],"
		"\"categories\":[{\"id\":1,\"name\":\"car\"},{\"id\":4,\"name\":\"sign\"}],"
		"\"annotations\":[{\"id\":1,\"image_id\":7,\"category_id\":4,\"bbox\":[10,20,30,20],\"iscrowd\":0}]}");
	put_png("yolo/images/a.png", 100, 50, 1);
	put_png("yolo/images/b.png", 100, 50, 1);
	put_text("yolo/labels/a.txt", "1 0.25 0.6 0.3 0.4\n");
	put_png("aihub/img/a.png", 100, 50, 1);
	put_png("aihub/img/b.png", 100, 50, 1);
	put_text("aihub/label/a.json", "{\"annotation\":[{\"class\":\"traffic_sign\",\"box\":[10,20,40,40]},"
				       "{\"class\":\"traffic_light\",\"box\":[0,0,5,5]}]}");
	put_text("aihub/label/b.json", "{\"annotation\":[]}");
	for (int i = 0; i < 3; i++) {
		struct sl_source *s = opened(formats[i], formats[i]);

		CHECK_EQ(s->n, 2);
		CHECK_EQ(s->sample[0].nbox, 1);
		CHECK_EQ(s->sample[1].nbox, 0);
		CHECK_NEAR(s->sample[0].box[0].box.x, 10, 1e-4);
		CHECK_NEAR(s->sample[0].box[0].box.y, 20, 1e-4);
		CHECK_NEAR(s->sample[0].box[0].box.w, 30, 1e-4);
		CHECK_NEAR(s->sample[0].box[0].box.h, 20, 1e-4);
		CHECK_EQ(s->sample[0].box[0].cls, i < 2 ? 1 : SL_CLASS_UNKNOWN);
		sl_source_free(s);
	}
}

TEST(source, limit_is_spread_over_the_whole)
{
	const struct sl_source_options o = {.limit = 4};
	char name[32];
	struct sl_source *s;

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "f/%d/x%02d.png", i / 5, i);
		put_png(name, 20, 20, i);
	}
	CHECK_OK(try_open("imagefolder", "f", &o, &s));
	CHECK_EQ(s->n, 4);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(s->sample[i].cls, i);
	sl_source_free(s);
}

TEST(split, no_group_is_torn_and_shares_are_kept)
{
	enum { N = 3000 };
	static int cls[N], group[N];
	static bool val[N], again[N], other[N];
	int held[12] = {0}, groups[12] = {0}, differ = 0;
	struct sl_rng r = sl_rng(1, 1);

	for (int i = 0; i < N; i++) {
		group[i] = (int)sl_rng_below(&r, 200);
		cls[i] = group[i] == 199 ? 11 : group[i] % 11; /* class 11: one group */
	}
	sl_source_split(cls, group, N, 0.15, 0, val);
	sl_source_split(cls, group, N, 0.15, 0, again);
	sl_source_split(cls, group, N, 0.15, 1, other);
	for (int g = 0; g < 200; g++) {
		int in = 0, out = 0, c = 0;

		for (int i = 0; i < N; i++)
			if (group[i] == g) {
				in += val[i];
				out += !val[i];
				c = cls[i];
			}
		CHECK(in == 0 || out == 0);
		groups[c] += in + out > 0;
		held[c] += in > 0;
	}
	for (int c = 0; c < 11; c++)
		CHECK_EQ(held[c], (int)(0.15 * groups[c] + 0.5));
	CHECK_EQ(held[11], 0); /* nothing would be left to learn from */
	for (int i = 0; i < N; i++) {
		CHECK_EQ(val[i], again[i]);
		differ += val[i] != other[i];
	}
	CHECK(differ > 0);
}

TEST(split, small_classes_give_at_least_one)
{
	static const int cls[4] = {0, 0, 1, 1}, group[4] = {0, 1, 2, 3};
	bool val[4];

	sl_source_split(cls, group, 4, 0.15, 0, val);
	CHECK_EQ(val[0] + val[1], 1);
	CHECK_EQ(val[2] + val[3], 1);
	sl_source_split(NULL, group, 4, 0.5, 0, val);
	CHECK_EQ(val[0] + val[1] + val[2] + val[3], 2);
}

static char *data_file(const char *name)
{
	const char *dir = getenv("SIGNLOOP_DATASETS");
	char *path = dir ? sl_fs_join(dir, name) : sl_asprintf("%s/../shared/data/%s", sl_test_root(), name);

	if (!sl_fs_is_file(path))
		SKIP("the data set is not here; SIGNLOOP_DATASETS names its folder");
	return path;
}

TEST(split, gtsrb_is_cut_by_track)
{
	SL_AUTOFREE char *path = data_file("gtsrb-train.tar.gz");
	SL_AUTOFREE char *spec = sl_asprintf("gtsrb:%s", path);
	const struct sl_source_options o = {.roi_side = 96};
	struct sl_source *s;
	int n = 0, groups[1400] = {0}, held = 0;

	CHECK_OK(sl_source_open(spec, &o, &s, &err));
	CHECK_EQ(s->n, 39209);
	CHECK_EQ(s->ngroup, 1307);
	CHECK_EQ(s->nclass, 43);
	bool *val = SL_NEW_N(bool, s->n);
	sl_part_of(s, SL_PART_VAL, 0, val);
	for (int i = 0; i < s->n; i++) {
		n += val[i];
		groups[s->sample[i].group] |= val[i] ? 2 : 1;
	}
	for (int g = 0; g < s->ngroup; g++) {
		CHECK(groups[g] == 1 || groups[g] == 2);
		held += groups[g] == 2;
	}
	CHECK_EQ(held, 196);
	CHECK(n > 5800 && n < 5900);
	free(val);
	sl_source_free(s);
}
