/* SPDX-License-Identifier: Apache-2.0
 *
 * Road scenes with boxes: GTSDB, COCO, YOLO, AI-Hub.
 */
#include "base/json.h"
#include "base/mem.h"
#include "dataset/files.h"
#include "dataset/importers.h"
#include <math.h>
#include <stdio.h>

enum { BOXES_A_SCENE = 4096 };

struct boxes {
	struct sl_source_box *box;
	int n, room;
};

static void boxes_done(struct boxes *b)
{
	free(b->box);
}

static enum sl_status boxes_add(struct boxes *b, double x, double y, double w, double h, int cls, bool ignored,
	const char *where, struct sl_err *err)
{
	if (!(w > 0 && h > 0 && w < 1e6 && h < 1e6 && x > -1e6 && x < 1e6 && y > -1e6 && y < 1e6))
		return sl_fail(err, SL_INVALID, "%s: box %g %g %g %g is empty or out of range", where, x, y, w, h);
	if (b->n >= BOXES_A_SCENE)
		return sl_fail(err, SL_TOO_LARGE, "%s: more than %d boxes", where, BOXES_A_SCENE);
	if (b->n == b->room) {
		b->room = b->room ? 2 * b->room : 8;
		b->box = sl_realloc(b->box, b->room, sizeof *b->box);
	}
	b->box[b->n++] = (struct sl_source_box){{(float)x, (float)y, (float)w, (float)h}, cls, ignored};
	return SL_OK;
}

static enum sl_status add_scene(struct sl_source *s, const struct sl_files *f, int i, struct boxes *b,
	const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf keep = {0};
	struct sl_slice bytes;
	enum sl_status st = sl_files_read(f, i, &keep, &bytes, err);

	for (int k = 0; k < b->n; k++)
		s->nclass = SL_MAX(s->nclass, b->box[k].cls + 1);
	if (st == SL_OK)
		st = sl_source_add(
			s, o, f->file[i].name, bytes, NULL, SL_CLASS_NONE, (struct sl_box){0}, b->box, b->n, err);
	else
		free(b->box);
	*b = (struct boxes){0};
	return st;
}

static enum sl_status open_files(struct sl_source *s, const char *path, struct sl_files *ret, struct sl_err *err)
{
	enum sl_status st = sl_files_open(path, false, ret, err);

	if (st == SL_OK)
		memcpy(s->digest, ret->digest, sizeof s->digest);
	return st;
}

/* gt.txt: file;left;top;right;bottom;class, right and bottom inside the box. */
static enum sl_status read_gt(const struct sl_files *f, const char *text, struct boxes *of, struct sl_err *err)
{
	int line = 0;

	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		char name[128], where[32];
		double l, t, r, b;
		int cls, at;

		line++;
		if (*p == '\n' || *p == '\r')
			continue;
		if (sscanf(p, "%100[^;\n];%lf;%lf;%lf;%lf;%d", name, &l, &t, &r, &b, &cls) != 6 || cls < 0 ||
			cls > 100000)
			return sl_fail(
				err, SL_INVALID, "gt.txt: line %d is not file;left;top;right;bottom;class", line);
		if (sl_name_ends(name, ".ppm"))
			memcpy(name + strlen(name) - 4, ".jpg", 4);
		at = sl_files_find(f, name);
		snprintf(where, sizeof where, "gt.txt: line %d", line);
		if (at < 0)
			continue; /* the full table also lists scenes of other parts */
		enum sl_status st = boxes_add(&of[at], l, t, r - l + 1, b - t + 1, cls, false, where, err);
		if (st != SL_OK)
			return st;
	}
	return SL_OK;
}

enum sl_status sl_read_gtsdb(
	struct sl_source *s, const char *path, const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_files_done) struct sl_files f = {0};
	SL_AUTO(sl_buf_done) struct sl_buf keep = {0};
	struct sl_slice bytes;
	enum sl_status st = open_files(s, path, &f, err);

	if (st != SL_OK)
		return st;
	int gt = sl_files_find(&f, "gt.txt");
	if (gt < 0)
		return sl_fail(err, SL_NOT_FOUND, "no gt.txt in it");
	st = sl_files_read(&f, gt, &keep, &bytes, err);
	if (st != SL_OK)
		return st;
	SL_AUTOFREE char *text = sl_asprintf("%.*s", (int)bytes.len, (const char *)bytes.ptr);
	SL_AUTOFREE struct boxes *of = sl_calloc(f.n, sizeof *of);
	st = read_gt(&f, text, of, err);
	for (int i = 0; i < f.n; i++) {
		if (st == SL_OK && sl_name_is_image(f.file[i].name) && sl_source_wants(o, i, f.n))
			st = add_scene(s, &f, i, &of[i], o, err);
		boxes_done(&of[i]);
	}
	return st;
}

/* labels/NAME.txt of images/NAME.jpg, or NAME.txt beside it. */
static int yolo_label(const struct sl_files *f, const char *image)
{
	const char *dot = strrchr(image, '.'), *dir = strstr(image, "images/");
	SL_AUTOFREE char *beside = sl_asprintf("%.*s.txt", (int)(dot - image), image);

	if (dir) {
		SL_AUTOFREE char *moved = sl_asprintf(
			"%.*slabels/%s", (int)(dir - image), image, beside + (dir - image) + strlen("images/"));
		int at = sl_files_find(f, moved);

		if (at >= 0)
			return at;
	}
	return sl_files_find(f, beside);
}

static enum sl_status read_yolo_text(
	const char *text, const char *where, int w, int h, struct boxes *ret, struct sl_err *err)
{
	int line = 0;

	for (const char *p = text; *p; p += strcspn(p, "\n"), p += *p == '\n') {
		double cx, cy, bw, bh;
		int cls;

		line++;
		if (p[strspn(p, " \t\r")] == '\n' || !p[strspn(p, " \t\r")])
			continue;
		if (sscanf(p, "%d %lf %lf %lf %lf", &cls, &cx, &cy, &bw, &bh) != 5 || cls < 0 || cls > 100000)
			return sl_fail(err, SL_INVALID, "%s: line %d is not: class cx cy w h", where, line);
		enum sl_status st =
			boxes_add(ret, (cx - bw / 2) * w, (cy - bh / 2) * h, bw * w, bh * h, cls, false, where, err);
		if (st != SL_OK)
			return st;
	}
	return SL_OK;
}

static enum sl_status read_yolo_boxes(
	const struct sl_files *f, int image, int label, struct boxes *ret, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf keep = {0};
	SL_AUTO(sl_buf_done) struct sl_buf keep2 = {0};
	struct sl_slice bytes;
	const char *type;
	int w, h;
	enum sl_status st = sl_files_read(f, image, &keep, &bytes, err);

	if (st == SL_OK && (st = sl_image_probe(bytes, &w, &h, &type, err)) != SL_OK)
		return sl_prefix(err, st, "%s", f->file[image].name);
	if (st == SL_OK)
		st = sl_files_read(f, label, &keep2, &bytes, err);
	if (st != SL_OK)
		return st;
	SL_AUTOFREE char *text = sl_asprintf("%.*s", (int)bytes.len, (const char *)bytes.ptr);
	return read_yolo_text(text, f->file[label].name, w, h, ret, err);
}

enum sl_status sl_read_yolo(
	struct sl_source *s, const char *path, const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_files_done) struct sl_files f = {0};
	enum sl_status st = open_files(s, path, &f, err);

	for (int i = 0; i < f.n && st == SL_OK; i++) {
		SL_AUTO(boxes_done) struct boxes b = {0};
		int label;

		if (!sl_name_is_image(f.file[i].name) || !sl_source_wants(o, i, f.n))
			continue;
		label = yolo_label(&f, f.file[i].name);
		if (label >= 0) /* none: a scene without signs */
			st = read_yolo_boxes(&f, i, label, &b, err);
		if (st == SL_OK)
			st = add_scene(s, &f, i, &b, o, err);
	}
	return st;
}

static int find_json(const struct sl_files *f)
{
	int at = -1;

	for (int i = 0; i < f->n; i++)
		if (sl_name_ends(f->file[i].name, ".json")) {
			if (at >= 0)
				return -1;
			at = i;
		}
	return at;
}

static int find_image(const struct sl_files *f, const char *name)
{
	static const char *const places[] = {"", "images/", "val/", "train/"};
	int at = -1;

	for (size_t i = 0; i < SL_COUNT(places) && at < 0; i++) {
		SL_AUTOFREE char *full = sl_asprintf("%s%s", places[i], name);
		at = sl_files_find(f, full);
	}
	return at;
}

static int category_index(json_t *categories, json_int_t id)
{
	int smaller = 0;
	size_t i;
	json_t *c;

	json_array_foreach(categories, i, c) smaller += json_integer_value(json_object_get(c, "id")) < id;
	return smaller;
}

static json_int_t id_of(json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static enum sl_status coco_boxes(json_t *root, json_t *list, struct boxes *ret, struct sl_err *err)
{
	size_t i;
	json_t *a;

	json_array_foreach(list, i, a)
	{
		json_t *box = json_object_get(a, "bbox");
		char where[64];
		double v[4];

		snprintf(where, sizeof where, "annotation %lld", (long long)id_of(a, "id"));
		if (json_array_size(box) != 4)
			return sl_fail(err, SL_INVALID, "%s: 'bbox' must be [x, y, w, h]", where);
		for (int k = 0; k < 4; k++)
			v[k] = json_number_value(json_array_get(box, k));
		enum sl_status st = boxes_add(ret, v[0], v[1], v[2], v[3],
			category_index(json_object_get(root, "categories"), id_of(a, "category_id")),
			id_of(a, "iscrowd") != 0, where, err);
		if (st != SL_OK)
			return st;
	}
	return SL_OK;
}

/* Annotations by image id, so that a large file is walked once. */
static json_t *by_image(json_t *root)
{
	json_t *map = json_object(), *a;
	size_t i;

	json_array_foreach(json_object_get(root, "annotations"), i, a)
	{
		char key[32];
		json_t *list;

		snprintf(key, sizeof key, "%lld", (long long)id_of(a, "image_id"));
		list = json_object_get(map, key);
		if (!list)
			json_object_set_new(map, key, list = json_array());
		json_array_append(list, a);
	}
	return map;
}

static enum sl_status read_coco_images(struct sl_source *s, const struct sl_files *f, json_t *root,
	const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTOJSON json_t *map = by_image(root);
	json_t *images = json_object_get(root, "images"), *im;
	enum sl_status st = SL_OK;
	size_t i;

	if (!json_is_array(images))
		return sl_fail(err, SL_INVALID, "the JSON has no member 'images'");
	json_array_foreach(images, i, im)
	{
		SL_AUTO(boxes_done) struct boxes b = {0};
		const char *name;
		char key[32];
		int at;

		if (!sl_source_wants(o, (int)i, (int)json_array_size(images)))
			continue;
		snprintf(key, sizeof key, "%lld", (long long)id_of(im, "id"));
		st = sl_json_str(im, "images[]", "file_name", &name, err);
		if (st != SL_OK)
			return st;
		at = find_image(f, name);
		if (at < 0)
			return sl_fail(err, SL_INVALID, "no image %s", name);
		st = coco_boxes(root, json_object_get(map, key), &b, err);
		if (st == SL_OK)
			st = add_scene(s, f, at, &b, o, err);
		if (st != SL_OK)
			return st;
	}
	return SL_OK;
}

enum sl_status sl_read_coco(
	struct sl_source *s, const char *path, const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_files_done) struct sl_files f = {0};
	SL_AUTO(sl_buf_done) struct sl_buf keep = {0};
	SL_AUTOJSON json_t *root = NULL;
	struct sl_slice bytes;
	enum sl_status st = open_files(s, path, &f, err);

	if (st != SL_OK)
		return st;
	int at = find_json(&f);
	if (at < 0)
		return sl_fail(err, SL_INVALID, "there must be one .json in it");
	st = sl_files_read(&f, at, &keep, &bytes, err);
	if (st == SL_OK)
		st = sl_json_parse(bytes, f.file[at].name, &root, err);
	return st == SL_OK ? read_coco_images(s, &f, root, o, err) : st;
}

/* {"image": {"filename"}, "annotation": [{"box": [x1, y1, x2, y2], "class": "traffic_sign"}]} */
static enum sl_status aihub_boxes(json_t *root, const char *where, struct boxes *ret, struct sl_err *err)
{
	size_t i;
	json_t *a;

	json_array_foreach(json_object_get(root, "annotation"), i, a)
	{
		const char *cls = json_string_value(json_object_get(a, "class"));
		json_t *box = json_object_get(a, "box");
		double v[4];

		if (!cls || strcmp(cls, "traffic_sign") != 0)
			continue;
		if (json_array_size(box) != 4)
			return sl_fail(err, SL_INVALID, "%s: 'box' must be [x1, y1, x2, y2]", where);
		for (int k = 0; k < 4; k++)
			v[k] = json_number_value(json_array_get(box, k));
		enum sl_status st =
			boxes_add(ret, v[0], v[1], v[2] - v[0], v[3] - v[1], SL_CLASS_UNKNOWN, false, where, err);
		if (st != SL_OK)
			return st;
	}
	return SL_OK;
}

static enum sl_status add_aihub(struct sl_source *s, const struct sl_files *f, int i, int label,
	const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf keep = {0};
	SL_AUTO(boxes_done) struct boxes b = {0};
	SL_AUTOJSON json_t *root = NULL;
	struct sl_slice bytes;
	enum sl_status st = sl_files_read(f, label, &keep, &bytes, err);

	if (st == SL_OK)
		st = sl_json_parse(bytes, f->file[label].name, &root, err);
	if (st == SL_OK)
		st = aihub_boxes(root, f->file[label].name, &b, err);
	return st == SL_OK ? add_scene(s, f, i, &b, o, err) : st;
}

/* The label of an image is the JSON of the same base name, wherever it lies. */
static const char *base_of(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

static int by_base(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum sl_status sl_read_aihub(
	struct sl_source *s, const char *path, const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_files_done) struct sl_files f = {0};
	enum sl_status st = open_files(s, path, &f, err);
	int n = 0;

	if (st != SL_OK)
		return st;
	struct {
		const char *base;
		int at;
	} *label = sl_calloc(SL_MAX(f.n, 1), sizeof *label);
	SL_AUTOFREE void *owned = label;
	for (int i = 0; i < f.n; i++)
		if (sl_name_ends(f.file[i].name, ".json"))
			label[n].base = base_of(f.file[i].name), label[n++].at = i;
	qsort(label, n, sizeof *label, by_base);
	for (int i = 0; i < f.n && st == SL_OK; i++) {
		const char *base = base_of(f.file[i].name), *dot = strrchr(base, '.');

		if (!sl_name_is_image(base) || !sl_source_wants(o, i, f.n))
			continue;
		SL_AUTOFREE char *want = sl_asprintf("%.*s.json", (int)(dot - base), base);
		const char *key = want;
		__typeof__(label) hit = bsearch(&key, label, n, sizeof *label, by_base);
		if (hit)
			st = add_aihub(s, &f, i, hit->at, o, err);
	}
	return st;
}
