/* SPDX-License-Identifier: Apache-2.0
 *
 * Crops whose class is the name of their folder (imagefolder, TT100K), and WebDataset
 * shards, where it stands in a JSON beside the image.
 */
#include "base/json.h"
#include "base/mem.h"
#include "dataset/files.h"
#include "dataset/importers.h"
#include <ctype.h>
#include <stdio.h>

enum { FOLDER_NAME = 128 };

/* The folder that holds the file: "a/b/c.jpg" gives "b". */
static bool folder_of(const char *name, char ret[FOLDER_NAME])
{
	const char *end = strrchr(name, '/'), *from = end;

	if (!end)
		return false;
	while (from > name && from[-1] != '/')
		from--;
	return snprintf(ret, FOLDER_NAME, "%.*s", (int)(end - from), from) < FOLDER_NAME;
}

static int index_of(const char *name)
{
	char *end;
	long v = strtol(name, &end, 10);

	return *name && isdigit((unsigned char)*name) && !*end && v <= 100000 ? (int)v : -1;
}

static enum sl_status add_file(struct sl_source *s, const struct sl_files *f, int i, int cls,
	const struct sl_source_options *o, struct sl_box roi, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf keep = {0};
	struct sl_slice bytes;
	enum sl_status st = sl_files_read(f, i, &keep, &bytes, err);

	if (st == SL_OK)
		st = sl_source_add(s, o, f->file[i].name, bytes, NULL, cls, roi, NULL, 0, err);
	return st;
}

enum sl_status sl_read_imagefolder(
	struct sl_source *s, const char *path, const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_files_done) struct sl_files f = {0};
	enum sl_status st = sl_files_open(path, false, &f, err);

	if (st == SL_OK)
		memcpy(s->digest, f.digest, sizeof s->digest);
	for (int i = 0; i < f.n && st == SL_OK; i++) {
		char folder[FOLDER_NAME];
		int cls;

		if (!sl_name_is_image(f.file[i].name) || !sl_source_wants(o, i, f.n))
			continue;
		if (!folder_of(f.file[i].name, folder))
			return sl_fail(err, SL_INVALID, "%s is in no class folder", f.file[i].name);
		/* A code may be a number that is no index: 206 is the stop sign. */
		cls = o->class_of ? o->class_of(o->arg, folder) : -1;
		if (cls < 0)
			cls = index_of(folder);
		if (cls < 0)
			return sl_fail(
				err, SL_INVALID, "folder '%s' is neither a class index nor a known code", folder);
		st = add_file(s, &f, i, cls, o, (struct sl_box){0}, err);
	}
	return st;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Class folders sorted by name are the classes 0, 1, ...; negative/ is none. */
static void name_classes(struct sl_source *s, const struct sl_files *f)
{
	s->class_name = sl_calloc(SL_MAX(f->n, 1), sizeof *s->class_name);
	for (int i = 0; i < f->n; i++) {
		char folder[FOLDER_NAME];

		if (!sl_name_is_image(f->file[i].name) || !folder_of(f->file[i].name, folder) ||
			strcmp(folder, "negative") == 0)
			continue;
		if (s->nclass && strcmp(s->class_name[s->nclass - 1], folder) == 0)
			continue;
		s->class_name[s->nclass++] = sl_strdup(folder);
	}
	qsort(s->class_name, s->nclass, sizeof *s->class_name, by_text);
	int n = 0;
	for (int i = 0; i < s->nclass; i++) {
		if (n && strcmp(s->class_name[n - 1], s->class_name[i]) == 0)
			free(s->class_name[i]);
		else
			s->class_name[n++] = s->class_name[i];
	}
	s->nclass = n;
}

enum sl_status sl_read_tt100k(
	struct sl_source *s, const char *path, const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_files_done) struct sl_files f = {0};
	enum sl_status st = sl_files_open(path, false, &f, err);

	if (st != SL_OK)
		return st;
	memcpy(s->digest, f.digest, sizeof s->digest);
	name_classes(s, &f);
	for (int i = 0; i < f.n && st == SL_OK; i++) {
		char folder[FOLDER_NAME], *key = folder;
		char **hit;

		if (!sl_name_is_image(f.file[i].name) || !folder_of(f.file[i].name, folder) ||
			!sl_source_wants(o, i, f.n))
			continue;
		hit = bsearch(&key, s->class_name, s->nclass, sizeof key, by_text);
		/* The crops are the sign itself: its box is the whole image. */
		st = add_file(s, &f, i, hit ? (int)(hit - s->class_name) : SL_CLASS_NONE, o,
			(struct sl_box){0, 0, -1, -1}, err);
	}
	return st;
}

static enum sl_status read_key(json_t *o, const char *where, const struct sl_source_options *opt, int *ret_cls,
	struct sl_box *ret_roi, const char **ret_group, struct sl_err *err)
{
	json_t *cls = json_object_get(o, "class"), *roi = json_object_get(o, "roi");
	double v[4];

	if (json_is_object(cls))
		cls = json_object_get(cls, "index");
	if (json_is_integer(cls) && json_integer_value(cls) >= SL_CLASS_NONE && json_integer_value(cls) <= 100000)
		*ret_cls = (int)json_integer_value(cls);
	else if (json_is_string(cls) && opt->class_of && opt->class_of(opt->arg, json_string_value(cls)) >= 0)
		*ret_cls = opt->class_of(opt->arg, json_string_value(cls));
	else
		return sl_fail(err, SL_INVALID, "%s: member 'class' must be a class index", where);
	if (roi && json_array_size(roi) != 4)
		return sl_fail(err, SL_INVALID, "%s: member 'roi' must be [x, y, w, h]", where);
	for (int i = 0; roi && i < 4; i++)
		v[i] = json_number_value(json_array_get(roi, i));
	if (roi)
		*ret_roi = (struct sl_box){(float)v[0], (float)v[1], (float)v[2], (float)v[3]};
	return sl_json_opt_str(o, where, "group", ret_group, err);
}

static enum sl_status add_key(struct sl_source *s, const struct sl_files *f, int image, int label,
	const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf keep = {0};
	SL_AUTO(sl_buf_done) struct sl_buf keep2 = {0};
	SL_AUTOJSON json_t *v = NULL;
	struct sl_box roi = {0};
	const char *group = NULL, *where = f->file[label].name;
	struct sl_slice bytes;
	int cls = 0;
	enum sl_status st = sl_files_read(f, label, &keep, &bytes, err);

	if (st == SL_OK)
		st = sl_json_parse(bytes, where, &v, err);
	if (st == SL_OK)
		st = read_key(v, where, o, &cls, &roi, &group, err);
	if (st == SL_OK)
		st = sl_files_read(f, image, &keep2, &bytes, err);
	if (st == SL_OK)
		st = sl_source_add(s, o, f->file[image].name, bytes, group, cls, roi, NULL, 0, err);
	return st;
}

enum sl_status sl_read_webdataset(
	struct sl_source *s, const char *path, const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_files_done) struct sl_files f = {0};
	enum sl_status st = sl_files_open(path, true, &f, err);

	if (st == SL_OK)
		memcpy(s->digest, f.digest, sizeof s->digest);
	for (int i = 0; i < f.n && st == SL_OK; i++) {
		const char *name = f.file[i].name, *dot = strrchr(name, '.');

		if (!sl_name_is_image(name) || !sl_source_wants(o, i, f.n))
			continue;
		SL_AUTOFREE char *label = sl_asprintf("%.*s.json", (int)(dot - name), name);
		int at = sl_files_find(&f, label);
		if (at < 0)
			return sl_fail(err, SL_INVALID, "%s has no %s", name, label);
		st = add_key(s, &f, i, at, o, err);
	}
	return st;
}
