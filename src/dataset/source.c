/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/source.h"
#include "base/mem.h"
#include "base/rng.h"
#include "dataset/importers.h"
#include <math.h>
#include <stdio.h>

const struct sl_format sl_formats[] = {
	{"gtsrb", "GTSRB: archive or folder with labels.csv (file, size, ROI, class_id, track)", false, sl_read_gtsrb},
	{"gtsdb", "GTSDB: archive or folder with gt.txt (file;left;top;right;bottom;class)", true, sl_read_gtsdb},
	{"tt100k", "TT100K crops: archive or folder of class folders; negative/ holds patches without a sign", false,
		sl_read_tt100k},
	{"imagefolder", "one folder a class, named by class index or code", false, sl_read_imagefolder},
	{"webdataset", "tar shards of KEY.jpg and KEY.json {\"class\", \"roi\", \"group\"}", false, sl_read_webdataset},
	{"csv", "CSV with a header: file, class, and optionally x1,y1,x2,y2 and group", false, sl_read_csv},
	{"coco", "COCO: folder with one JSON of images and annotations, images beside it or in images/", true,
		sl_read_coco},
	{"yolo", "YOLO: images/ and labels/ (class cx cy w h, shares of the image)", true, sl_read_yolo},
	{"aihub", "AI-Hub road signs: images and one JSON each with annotation[].box", true, sl_read_aihub},
	{"dataset", "VERSION[/train|heldout|aside|all] made by 'signloop dataset snapshot'", false, sl_read_dataset},
	{NULL, NULL, false, NULL},
};

void sl_source_free(struct sl_source *s)
{
	if (!s)
		return;
	for (int i = 0; i < s->n; i++) {
		free(s->sample[i].name);
		free(s->sample[i].group_name);
		free(s->sample[i].box);
		sl_image_done(&s->sample[i].image);
		sl_buf_done(&s->sample[i].file);
	}
	for (int i = 0; s->class_name && i < s->nclass; i++)
		free(s->class_name[i]);
	free(s->class_name);
	free(s->sample);
	free(s->spec);
	free(s);
}
SL_DEFINE_FREEP(sl_source)

static struct sl_box estimate_roi(const struct sl_image *im)
{
	float mx = fminf(fmaxf(5, 0.085f * im->w), im->w / 4.0f), my = fminf(fmaxf(5, 0.085f * im->h), im->h / 4.0f);

	return (struct sl_box){mx, my, im->w - 2 * mx, im->h - 2 * my};
}

static void shrink(struct sl_image *im, struct sl_box *roi, int side)
{
	float larger = fmaxf(roi->w, roi->h);

	if (side <= 0 || larger <= side)
		return;
	double k = side / (double)larger;
	struct sl_image small = sl_image_new(SL_MAX((int)lround(im->w * k), 1), SL_MAX((int)lround(im->h * k), 1));
	float kx = (float)small.w / im->w, ky = (float)small.h / im->h;

	sl_image_resize_area(im, &small);
	*roi = (struct sl_box){roi->x * kx, roi->y * ky, roi->w * kx, roi->h * ky};
	sl_image_done(im);
	*im = small;
}

static struct sl_sample *append(struct sl_source *s)
{
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 256;
		s->sample = sl_realloc(s->sample, s->room, sizeof *s->sample);
	}
	s->sample[s->n] = (struct sl_sample){0};
	return &s->sample[s->n++];
}

/* The decoded image, or the bytes of its file once its header has been read. */
static enum sl_status load(struct sl_slice file, const struct sl_source_options *o, bool scene, struct sl_image *image,
	struct sl_buf *kept, struct sl_err *err)
{
	const char *type;
	int w, h;
	enum sl_status st;

	if (!scene || !o->keep_files)
		return sl_image_decode(file, o->max_pixels ? o->max_pixels : SL_SOURCE_PIXELS, image, err);
	st = sl_image_probe(file, &w, &h, &type, err);
	if (st == SL_OK)
		st = sl_buf_add(kept, file.ptr, file.len);
	return st;
}

enum sl_status sl_source_add(struct sl_source *s, const struct sl_source_options *o, const char *name,
	struct sl_slice file, const char *group, int cls, struct sl_box roi, struct sl_source_box *box, int nbox,
	struct sl_err *err)
{
	SL_AUTOFREE struct sl_source_box *owned = box;
	SL_AUTO(sl_image_done) struct sl_image im = {0};
	SL_AUTO(sl_buf_done) struct sl_buf kept = {.cap = SL_MAX(file.len, 1)};
	int64_t most = o->max_bytes ? o->max_bytes : SL_SOURCE_BYTES;

	enum sl_status st = load(file, o, s->format->scenes, &im, &kept, err);
	if (st != SL_OK)
		return sl_prefix(err, st, "%s", name);
	if (roi.w < 0)
		roi = (struct sl_box){0, 0, im.w, im.h};
	else if (!(roi.w > 0 && roi.h > 0))
		roi = estimate_roi(&im);
	if (!s->format->scenes)
		shrink(&im, &roi, o->roi_side);
	s->bytes += (int64_t)im.w * im.h * 3 + (int64_t)kept.len;
	if (s->bytes > most)
		return sl_fail(err, SL_TOO_LARGE, "more than %lld bytes of pixels; use --limit", (long long)most);
	*append(s) = (struct sl_sample){.name = sl_strdup(name),
		.image = im,
		.file = kept,
		.cls = cls,
		.roi = roi,
		.nbox = nbox,
		.box = SL_TAKE(owned),
		.group_name = sl_strdup(group ? group : name)};
	im = (struct sl_image){0};
	kept = (struct sl_buf){0};
	if (cls >= s->nclass && !s->class_name)
		s->nclass = cls + 1;
	return SL_OK;
}

bool sl_source_wants(const struct sl_source_options *o, int i, int n)
{
	if (o->limit <= 0 || n <= o->limit)
		return true;
	return (int64_t)i * o->limit / n != (int64_t)(i + 1) * o->limit / n;
}

static int by_sample_name(const void *a, const void *b)
{
	return strcmp(((const struct sl_sample *)a)->name, ((const struct sl_sample *)b)->name);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void number_groups(struct sl_source *s)
{
	SL_AUTOFREE char **names = sl_calloc(SL_MAX(s->n, 1), sizeof *names);
	int n = 0;

	for (int i = 0; i < s->n; i++)
		names[i] = s->sample[i].group_name;
	qsort(names, s->n, sizeof *names, by_text);
	for (int i = 0; i < s->n; i++)
		if (n == 0 || strcmp(names[n - 1], names[i]) != 0)
			names[n++] = names[i];
	for (int i = 0; i < s->n; i++) {
		char **at = bsearch(&s->sample[i].group_name, names, n, sizeof *names, by_text);
		s->sample[i].group = (int)(at - names);
	}
	for (int i = 0; i < s->n; i++)
		sl_freep(&s->sample[i].group_name), s->sample[i].group_name = NULL;
	s->ngroup = n;
}

static void block_groups(struct sl_source *s)
{
	int blocks = SL_MAX(s->n / SL_SCENE_BLOCK, 1);

	for (int i = 0; i < s->n; i++) {
		s->sample[i].group = SL_MIN(i / SL_SCENE_BLOCK, blocks - 1);
		sl_freep(&s->sample[i].group_name), s->sample[i].group_name = NULL;
	}
	s->ngroup = blocks;
}

static const struct sl_format *find_format(const char *spec, const char **ret_path)
{
	const char *colon = strchr(spec, ':');

	for (const struct sl_format *f = sl_formats; colon && f->name; f++)
		if (strlen(f->name) == (size_t)(colon - spec) && strncmp(f->name, spec, colon - spec) == 0) {
			*ret_path = colon + 1;
			return f;
		}
	return NULL;
}

enum sl_status sl_source_open(
	const char *spec, const struct sl_source_options *o, struct sl_source **ret, struct sl_err *err)
{
	SL_AUTO(sl_source_freep) struct sl_source *s = SL_NEW(struct sl_source);
	const char *path = NULL;
	enum sl_status st;

	s->format = find_format(spec, &path);
	s->spec = sl_strdup(spec);
	if (!s->format || !*path) {
		char list[160] = "";

		for (const struct sl_format *f = sl_formats; f->name; f++) {
			size_t n = strlen(list);
			snprintf(list + n, sizeof list - n, "%s%s", n ? ", " : "", f->name);
		}
		return sl_fail(err, SL_USAGE, "'%s' is not FORMAT:PATH with a format of %s", spec, list);
	}
	st = s->format->read(s, path, o, err);
	if (st != SL_OK)
		return sl_prefix(err, st, "%s", spec);
	if (s->n == 0)
		return sl_fail(err, SL_INVALID, "%s: no labelled image in it", spec);
	qsort(s->sample, s->n, sizeof *s->sample, by_sample_name);
	if (s->format->scenes)
		block_groups(s);
	else
		number_groups(s);
	*ret = SL_TAKE(s);
	return SL_OK;
}

void sl_source_split(const int *cls, const int *group, int n, double share, uint64_t seed, bool *ret_val)
{
	int groups = 0, classes = 1;

	for (int i = 0; i < n; i++) {
		groups = SL_MAX(groups, group[i] + 1);
		classes = SL_MAX(classes, cls ? cls[i] + 1 : 1);
	}
	SL_AUTOFREE int *class_of = sl_calloc(SL_MAX(groups, 1), sizeof *class_of);
	SL_AUTOFREE int *order = sl_calloc(SL_MAX(groups, 1), sizeof *order);
	SL_AUTOFREE bool *held = sl_calloc(SL_MAX(groups, 1), sizeof *held);

	for (int g = 0; g < groups; g++)
		class_of[g] = SL_CLASS_NONE - 1;
	for (int i = n - 1; i >= 0; i--)
		class_of[group[i]] = cls ? cls[i] : 0;
	for (int c = SL_CLASS_NONE; c < classes; c++) {
		struct sl_rng r = sl_rng(seed, (uint64_t)(c + 1));
		int k = 0, take;

		for (int g = 0; g < groups; g++)
			if (class_of[g] == c)
				order[k++] = g;
		for (int i = k - 1; i > 0; i--) { /* Fisher and Yates */
			int j = (int)sl_rng_below(&r, i + 1), t = order[i];
			order[i] = order[j];
			order[j] = t;
		}
		take = (int)lround(share * k);
		if (take == 0 && k >= 2 && share > 0)
			take = 1;
		for (int i = 0; i < take; i++)
			held[order[i]] = true;
	}
	for (int i = 0; i < n; i++)
		ret_val[i] = held[group[i]];
}
