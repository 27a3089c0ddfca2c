/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/export.h"
#include "base/fs.h"
#include "base/mem.h"
#include "vision/image.h"
#include <errno.h>
#include <stdio.h>

enum { CLASSES_MAX = 100000 };

struct work {
	const char *dir;
	int64_t rows;
	json_t *images, *annotations, *classes; /* coco, yolo; classes: code to number */
	int nclass;
};

/* ---- files ---- */

/* No fsync: an export is made again, not recovered. */
static enum sl_status write_file(const char *path, const void *p, size_t n, struct sl_err *err)
{
	FILE *f = fopen(path, "wb");
	if (!f)
		return sl_fail_errno(err, SL_IO, errno, "%s", path);
	bool whole = fwrite(p, 1, n, f) == n;
	int e = errno;
	if (fclose(f)) {
		whole = false;
		e = errno;
	}
	return whole ? SL_OK : sl_fail_errno(err, SL_IO, e, "%s", path);
}

static enum sl_status write_in(const char *dir, const char *sub, const char *name, const char *suffix, const void *p,
	size_t n, struct sl_err *err)
{
	SL_AUTOFREE char *folder = sl_fs_join(dir, sub);
	SL_AUTOFREE char *path = sl_asprintf("%s/%s%s", folder, name, suffix);
	enum sl_status s = sl_fs_is_dir(folder) ? SL_OK : sl_fs_mkdirs(folder, err);
	return s == SL_OK ? write_file(path, p, n, err) : s;
}

static enum sl_status is_something(const char *name, void *arg, struct sl_err *err)
{
	*(bool *)arg = true;
	return SL_OK;
}

static enum sl_status make_empty(const char *dir, struct sl_err *err)
{
	bool something = false;
	enum sl_status s = sl_fs_mkdirs(dir, err);
	if (s == SL_OK)
		s = sl_fs_each(dir, is_something, &something, err);
	if (s == SL_OK && something)
		s = sl_fail(err, SL_EXISTS, "%s: is not empty; export into a new folder", dir);
	return s;
}

/* ---- imagefolder ---- */

static enum sl_status put_folder(const struct sl_version_row *row, void *arg, struct sl_err *err)
{
	struct work *w = arg;
	char none[12], sub[64];
	snprintf(sub, sizeof(sub), "%s/%s", sl_deal_name(row->deal),
		row->label.cls < 0 ? sl_choice_text(row->label.cls, none) : row->label.code);
	w->rows++;
	return write_in(w->dir, sub, row->label.key, ".jpg", row->jpeg.ptr, row->jpeg.len, err);
}

/* ---- webdataset ---- */

static enum sl_status put_shards(
	struct work *w, struct sl_artifacts *a, json_t *manifest, unsigned deals, struct sl_err *err)
{
	json_t *v;
	size_t i;
	json_array_foreach(json_object_get(manifest, "shards"), i, v)
	{
		SL_AUTO(sl_buf_done) struct sl_buf tar = {0};
		const char *part = NULL, *prefix = NULL, *sha256 = NULL;
		enum sl_deal deal;
		char name[48];
		enum sl_status s = sl_json_str(v, "shard", "part", &part, err);
		if (s == SL_OK)
			s = sl_json_str(v, "shard", "prefix", &prefix, err);
		if (s == SL_OK)
			s = sl_json_str(v, "shard", "sha256", &sha256, err);
		if (s == SL_OK && sl_deal_find(part, &deal) && !(deals & 1u << deal))
			continue;
		if (s == SL_OK)
			s = sl_shard_fetch(a, sl_shard_path, sha256, &tar, err);
		snprintf(name, sizeof(name), "%s%s%.8s", part ? part : "", prefix && *prefix ? "-" : "",
			prefix ? prefix : "");
		if (s == SL_OK)
			s = write_in(w->dir, ".", name, ".tar", tar.ptr, tar.len, err);
		if (s != SL_OK)
			return s;
		w->rows += json_integer_value(json_object_get(v, "rows"));
	}
	return SL_OK;
}

/* ---- coco and yolo ---- */

static int class_number(const struct work *w, const char *code)
{
	return (int)json_integer_value(json_object_get(w->classes, code));
}

/* Names by number, without a hole: readers of these formats count, they do not look up. */
static json_t *class_names(const struct work *w)
{
	json_t *names = json_array(), *v;
	const char *code;
	for (int i = 0; i < w->nclass; i++)
		json_array_append_new(names, json_sprintf("%d", i));
	json_object_foreach(w->classes, code, v)
		json_array_set_new(names, (size_t)json_integer_value(v), json_string(code));
	return names;
}

static enum sl_status box_of(const struct sl_version_row *row, int *w, int *h, double box[4], struct sl_err *err)
{
	json_t *roi = json_object_get(row->json, "roi");
	const char *type;
	enum sl_status s = sl_image_probe(row->jpeg, w, h, &type, err);
	if (s != SL_OK)
		return sl_prefix(err, s, "%s", row->label.key);
	double whole[4] = {0, 0, *w, *h};
	for (int i = 0; i < 4; i++)
		box[i] = json_array_size(roi) == 4 ? json_number_value(json_array_get(roi, (size_t)i)) : whole[i];
	return SL_OK;
}

static enum sl_status put_coco(const struct sl_version_row *row, void *arg, struct sl_err *err)
{
	struct work *wk = arg;
	int w = 0, h = 0;
	double b[4];
	char file[SL_KEY + 8];
	enum sl_status s = box_of(row, &w, &h, b, err);
	if (s != SL_OK)
		return s;
	json_int_t id = (json_int_t)++wk->rows;
	snprintf(file, sizeof(file), "%s.jpg", row->label.key);
	json_array_append_new(wk->images, json_pack("{s:I,s:s,s:i,s:i,s:s}", "id", id, "file_name", file, "width", w,
						  "height", h, "part", sl_deal_name(row->deal)));
	if (row->label.cls >= 0)
		json_array_append_new(
			wk->annotations, json_pack("{s:I,s:I,s:i,s:[f,f,f,f],s:f,s:i}", "id", id, "image_id", id,
						 "category_id", class_number(wk, row->label.code) + 1, "bbox", b[0],
						 b[1], b[2], b[3], "area", b[2] * b[3], "iscrowd", 0));
	return write_in(wk->dir, "images", row->label.key, ".jpg", row->jpeg.ptr, row->jpeg.len, err);
}

static enum sl_status end_coco(struct work *w, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTOJSON json_t *names = class_names(w);
	json_t *categories = json_array(), *name;
	size_t i;
	json_array_foreach(names, i, name)
		json_array_append_new(categories, json_pack("{s:I,s:O}", "id", (json_int_t)i + 1, "name", name));
	SL_AUTOJSON json_t *all = json_pack(
		"{s:O,s:O,s:o}", "images", w->images, "annotations", w->annotations, "categories", categories);
	sl_json_print(all, &text);
	return write_in(w->dir, ".", "annotations", ".json", text.ptr, text.len, err);
}

static enum sl_status put_yolo(const struct sl_version_row *row, void *arg, struct sl_err *err)
{
	struct work *wk = arg;
	int w = 0, h = 0;
	double b[4];
	char line[120] = "";
	enum sl_status s = box_of(row, &w, &h, b, err);
	if (s != SL_OK)
		return s;
	wk->rows++;
	if (row->label.cls >= 0)
		snprintf(line, sizeof(line), "%d %.6f %.6f %.6f %.6f\n", class_number(wk, row->label.code),
			(b[0] + b[2] / 2) / w, (b[1] + b[3] / 2) / h, b[2] / w, b[3] / h);
	s = write_in(wk->dir, "images", row->label.key, ".jpg", row->jpeg.ptr, row->jpeg.len, err);
	return s == SL_OK ? write_in(wk->dir, "labels", row->label.key, ".txt", line, strlen(line), err) : s;
}

static enum sl_status end_yolo(struct work *w, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTOJSON json_t *names = class_names(w);
	json_t *name;
	size_t i;
	json_array_foreach(names, i, name) sl_buf_printf(&text, "%s\n", json_string_value(name));
	return write_in(w->dir, ".", "classes", ".txt", text.ptr ? (void *)text.ptr : "", text.len, err);
}

/* A class keeps its index. Where two codes have one index (labels of two taxonomies), the
 * later one gets a number after all others. */
static void number_classes(struct work *w, json_t *manifest)
{
	json_t *classes = json_object_get(manifest, "classes"), *v;
	const char *code;
	int last = -1;
	json_object_foreach(classes, code, v) w->nclass =
		SL_MAX(w->nclass, (int)SL_MIN(json_integer_value(json_object_get(v, "index")), CLASSES_MAX) + 1);
	json_object_foreach(classes, code, v) /* by index */
	{
		int index = (int)SL_MIN(json_integer_value(json_object_get(v, "index")), CLASSES_MAX);
		if (index >= 0)
			json_object_set_new(w->classes, code, json_integer(index > last ? index : w->nclass++));
		last = SL_MAX(last, index);
	}
}

static const struct {
	const char *name;
	enum sl_status (*put)(const struct sl_version_row *row, void *arg, struct sl_err *err); /* NULL: whole shards */
	enum sl_status (*end)(struct work *w, struct sl_err *err);
} formats[] = {{"imagefolder", put_folder, NULL}, {"webdataset", NULL, NULL}, {"coco", put_coco, end_coco},
	{"yolo", put_yolo, end_yolo}};

enum sl_status sl_export_run(struct sl_artifacts *a, json_t *manifest, const char *format, const char *dir,
	unsigned deals, int64_t *ret_rows, struct sl_err *err)
{
	SL_AUTOJSON json_t *images = json_array(), *annotations = json_array(), *classes = json_object();
	struct work w = {.dir = dir, .images = images, .annotations = annotations, .classes = classes};
	size_t i = 0;
	while (i < SL_COUNT(formats) && strcmp(formats[i].name, format) != 0)
		i++;
	if (i == SL_COUNT(formats))
		return sl_fail(
			err, SL_USAGE, "'%.30s' cannot be written; imagefolder, webdataset, coco and yolo can", format);
	enum sl_status s = make_empty(dir, err);
	if (s != SL_OK)
		return s;
	number_classes(&w, manifest);
	s = formats[i].put ? sl_version_each(a, manifest, deals, formats[i].put, &w, err)
			   : put_shards(&w, a, manifest, deals, err);
	if (s == SL_OK && formats[i].end)
		s = formats[i].end(&w, err);
	*ret_rows = w.rows;
	return s;
}
