/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "dataset/measure_bundle.h"
#include <stdio.h>

static const struct sl_usage usage = {
	.name = "eval",
	.synopsis = "eval classifier|detector|bundle --bundle FILE|--model FILE.onnx --data FORMAT:PATH ...",
	.text = "measures a net, or a whole bundle, on labelled images",
	.more = "A classifier sees each sign cut at 1.15 times its box (an image without a box: the image less "
		"5 px or 8.5 % at each side) and gets accuracy, recall by class and calibration error. A detector "
		"sees whole scenes and gets AP at IoU 0.5 (all-point and 11-point), the threshold of the best F1, "
		"and recall by size. A bundle sees whole scenes as cars send them and is measured end to end: a sign is "
		"right when its box has IoU 0.5 or more with a labelled one and its class is that one's, so the scenes "
		"must tell classes (gtsdb, coco, yolo). It gets precision and recall at its own thresholds, how many of "
		"the signs that it accepted, or left to people, are right, and the median time of each stage.\n\n"
		"--part val is what 'signloop train' held back. A net's calibration is the bundle's, or that of "
		"FILE.onnx.json, or none.",
	.examples = "signloop eval classifier --model classifier.onnx --data gtsrb:gtsrb-train.tar.gz --part val\n"
		    "signloop eval detector --bundle de.bundle --data gtsdb:gtsdb-train.tar.gz --part val --json\n"
		    "signloop eval bundle --bundle de.bundle --data gtsdb:gtsdb-train.tar.gz --part val\n"
		    "signloop eval classifier --bundle de.bundle --data imagefolder:crops --at-least 0.99",
	.words_min = 1,
	.words_max = 1,
	.takes_config = true,
};

enum { MODEL_BYTES = 1 << 30 };

struct flags {
	struct sl_words data;
	const char *bundle, *model, *part, *decode, *precision, *list;
	int64_t workers, limit;
	double at_least;
	bool json;
};

enum kind { CLASSIFIER, DETECTOR, BUNDLE };

struct subject { /* what is measured */
	enum kind kind;
	struct sl_bundle *bundle;
	struct sl_model *own;
	const struct sl_model *net;
	struct sl_measure_options o;
	float temperature;
	enum sl_part part;
	struct sl_bundle_measure *whole;
	struct sl_detection_measure *boxes;
	struct sl_class_measure *classes;
	struct sl_buf names; /* of what was measured, with --list */
};

static void subject_done(struct subject *s)
{
	sl_buf_done(&s->names);
	sl_bundle_measure_free(s->whole);
	sl_detection_measure_free(s->boxes);
	sl_class_measure_free(s->classes);
	sl_model_free(s->own);
	sl_bundle_unref(s->bundle);
}

static enum sl_status choice(
	const char *name, const char *value, const char *const *choices, int *ret, struct sl_err *err)
{
	for (*ret = 0; choices[*ret]; (*ret)++)
		if (strcmp(value, choices[*ret]) == 0)
			return SL_OK;
	return sl_fail(err, SL_USAGE, "eval: %s is '%s'; 'signloop eval --help' has the choices", name, value);
}

static void use_bundle(struct subject *s, int threads)
{
	const struct sl_bundle *b = s->bundle;

	s->o = sl_measure_defaults(s->kind == DETECTOR);
	s->net = s->kind == DETECTOR ? b->detector : b->classifier;
	s->temperature = b->temperature > 0 ? b->temperature : 1;
	s->o.threads = threads;
	s->o.side = b->cls_size;
	s->o.context = b->cls_context;
	s->o.standardise = b->cls_normalize == SL_NORMALIZE_STANDARDIZE;
	s->o.yolov5 = b->decode == SL_DECODE_YOLOV5;
	s->o.stride = b->stride;
	for (int c = 0; c < 3; c++) {
		s->o.mean[c] = s->kind == DETECTOR ? b->det_mean : b->cls_mean[c];
		s->o.scale[c] = s->kind == DETECTOR ? b->det_scale : b->cls_scale[c];
	}
}

/* The calibration that `signloop train` fitted, when its JSON lies beside the net. */
static float temperature_beside(const char *model)
{
	SL_AUTOFREE char *path = sl_asprintf("%s.json", model);
	SL_AUTO(sl_buf_done) struct sl_buf file = {.cap = 1 << 20};
	SL_AUTOJSON json_t *info = NULL;
	double t = 1;

	if (!sl_fs_is_file(path) || sl_fs_read(path, &file, NULL) != SL_OK ||
		sl_json_parse(sl_buf_slice(&file), path, &info, NULL) != SL_OK ||
		sl_json_opt_num(info, path, "temperature", &t, NULL) != SL_OK)
		return 1;
	return t > 0.01 && t < 100 ? (float)t : 1;
}

struct choices {
	int kind, part, decode, precision;
};

static enum sl_status check_flags(const struct flags *f, const char *kind, struct choices *ret, struct sl_err *err)
{
	static const char *const kinds[] = {"classifier", "detector", "bundle", NULL};
	static const char *const parts[] = {"all", "train", "val", NULL};
	static const char *const decodes[] = {"center4", "yolov5", NULL};
	static const char *const precisions[] = {"auto", "f32", "bf16", NULL};
	enum sl_status st;

	if ((st = choice("what is measured", kind, kinds, &ret->kind, err)) ||
		(st = choice("--part", f->part, parts, &ret->part, err)) ||
		(st = choice("--decode", f->decode, decodes, &ret->decode, err)) ||
		(st = choice("--precision", f->precision, precisions, &ret->precision, err)))
		return st;
	if (ret->kind == BUNDLE && (!f->bundle || f->model))
		return sl_fail(err, SL_USAGE, "eval: a bundle is measured whole: give --bundle FILE and no --model");
	if (!f->bundle == !f->model)
		return sl_fail(err, SL_USAGE, "eval: give either --bundle FILE or --model FILE.onnx");
	if (f->data.n < 1)
		return sl_fail(err, SL_USAGE, "eval: give --data FORMAT:PATH");
	return SL_OK;
}

static enum sl_status open_bundle(
	const struct flags *f, struct sl_slice file, int precision, struct subject *s, struct sl_err *err)
{
	enum sl_status st = sl_bundle_open(file, (enum sl_precision)precision, &s->bundle, err);

	if (st != SL_OK)
		return sl_prefix(err, st, "%s", f->bundle);
	if (s->kind == BUNDLE)
		s->whole = sl_bundle_measure_new(s->bundle);
	else
		use_bundle(s, (int)f->workers);
	return SL_OK;
}

static enum sl_status open_subject(const struct flags *f, const char *kind, struct subject *s, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {.cap = MODEL_BYTES};
	struct choices c;
	enum sl_status st = check_flags(f, kind, &c, err);

	if (st == SL_OK)
		st = sl_fs_read(f->bundle ? f->bundle : f->model, &file, err);
	if (st != SL_OK)
		return st;
	s->kind = (enum kind)c.kind;
	s->part = (enum sl_part)c.part;
	s->temperature = 1;
	if (f->bundle)
		return open_bundle(f, sl_buf_slice(&file), c.precision, s, err);
	s->o = sl_measure_defaults(s->kind == DETECTOR);
	s->o.threads = (int)f->workers;
	s->temperature = temperature_beside(f->model);
	s->o.yolov5 = c.decode == 1;
	for (int i = 0; i < 3 && s->o.yolov5; i++) {
		s->o.mean[i] = 0;
		s->o.scale[i] = 255;
	}
	st = sl_model_load(sl_buf_slice(&file), "dnnl", (enum sl_precision)c.precision, &s->own, err);
	s->net = s->own;
	return st == SL_OK ? st : sl_prefix(err, st, "%s", f->model);
}

static int class_of(void *arg, const char *code)
{
	const struct subject *s = arg;

	return s->bundle ? sl_taxonomy_find(s->bundle->taxonomy, code) : -1;
}

static enum sl_status measure_source(
	const struct flags *f, const char *spec, struct sl_config *cfg, struct subject *s, struct sl_err *err)
{
	const struct sl_source_options so = {.roi_side = 96,
		.limit = (int)f->limit,
		.keep_files = s->kind == BUNDLE,
		.class_of = class_of,
		.arg = s,
		.cfg = cfg};
	static const char *const names[] = {"classifier", "detector", "bundle"};
	bool scenes = s->kind != CLASSIFIER;
	struct sl_source *source = NULL;
	enum sl_status st = sl_source_open(spec, &so, &source, err);

	if (st != SL_OK)
		return st;
	SL_AUTOFREE bool *flags = sl_calloc(source->n, sizeof *flags);
	sl_part_of(source, s->part, 0, flags);
	if (source->format->scenes != scenes)
		st = sl_fail(err, SL_USAGE, "%s has %s; a %s is measured on %s", spec, scenes ? "crops" : "scenes",
			names[s->kind], scenes ? "scenes" : "crops");
	else if (s->kind == BUNDLE)
		st = sl_measure_bundle(s->whole, source, flags, (int)f->workers, err);
	else if (s->kind == DETECTOR)
		st = sl_measure_scenes(s->net, source, flags, &s->o, s->boxes, err);
	else
		st = sl_measure_crops(s->net, source, flags, &s->o, s->classes, err);
	for (int i = 0; i < source->n && f->list; i++)
		if (flags[i])
			sl_buf_printf(&s->names, "%s\n", source->sample[i].name);
	sl_source_free(source);
	return st;
}

static void print_classes(const struct sl_class_score *c)
{
	printf("%d signs, %d right: accuracy %.4f, mean class recall %.4f, calibration error %.4f\n", c->n, c->right,
		c->accuracy, c->mean_recall, c->ece);
	for (int i = 0; i < c->classes; i++)
		if (c->class_right[i] < c->class_n[i])
			printf("class %d: %d of %d right\n", i, c->class_right[i], c->class_n[i]);
}

static void print_boxes(const struct sl_detection_score *d)
{
	printf("%d scenes, %d signs: AP %.4f (11-point %.4f)\n"
	       "at threshold %.3f: precision %.3f, recall %.3f, %.3f false a scene\n",
		d->scenes, d->boxes, d->ap, d->ap11, d->threshold, d->precision, d->recall, d->false_a_scene);
	for (int i = 0; i < SL_SIZES; i++)
		if (d->size_boxes[i])
			printf("from %d px: %d of %d found\n", sl_size_from[i], d->size_found[i], d->size_boxes[i]);
}

static void print_bundle(const struct sl_bundle_score *b)
{
	printf("%d scenes, %d signs: detector's AP %.4f\n", b->scenes, b->boxes, b->map50);
	printf("%-12s %5d of %5d answers   precision %.4f, recall %.4f, F1 %.4f\n", "end to end", b->right, b->signs,
		b->precision, b->recall, b->f1);
	printf("%-12s %5d of %5d signs     recall %.4f\n", "boxes found", b->found, b->boxes,
		b->boxes ? (double)b->found / b->boxes : 0);
	printf("%-12s %5d of %5d found     accuracy %.4f, calibration error %.4f\n", "classes", b->right, b->found,
		b->class_accuracy, b->ece);
	printf("%-12s %5d of %5d right\n", "accepted", b->accepted_right, b->accepted);
	printf("%-12s %5d of %5d right\n", "to people", b->review_right, b->review);
	printf("%-12s decode %.2f, detect %.2f, crop %.2f, classify %.2f; a scene %.2f\n", "median ms",
		b->ms[SL_STAGE_DECODE], b->ms[SL_STAGE_DETECT], b->ms[SL_STAGE_CROP], b->ms[SL_STAGE_CLASSIFY],
		b->ms_total);
}

static double report_classes(struct subject *s, bool json, json_t **ret)
{
	struct sl_class_score c;

	sl_class_measure_end(s->classes, s->temperature, &c);
	if (json)
		*ret = sl_class_score_json(&c);
	else
		print_classes(&c);
	return c.accuracy;
}

static double report_boxes(struct subject *s, bool json, json_t **ret)
{
	struct sl_detection_score d;

	sl_detection_measure_end(s->boxes, &d);
	if (json)
		*ret = sl_detection_score_json(&d);
	else
		print_boxes(&d);
	return d.ap;
}

static double report_bundle(struct subject *s, bool json, json_t **ret)
{
	struct sl_bundle_score b;

	sl_bundle_measure_end(s->whole, &b);
	if (json)
		*ret = sl_bundle_score_json(&b);
	else
		print_bundle(&b);
	return b.f1;
}

static enum sl_status report(const struct flags *f, struct subject *s, struct sl_err *err)
{
	static double (*const reports[])(struct subject *, bool, json_t **) = {
		report_classes, report_boxes, report_bundle};
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTOJSON json_t *json = NULL;
	double score = reports[s->kind](s, f->json, &json);

	if (json) {
		sl_json_print(json, &text);
		printf("%s\n", (char *)text.ptr);
	}
	if (score < f->at_least)
		return sl_fail(
			err, SL_REFUSED, "eval: %.4f is below the %.4f that --at-least asks for", score, f->at_least);
	return SL_OK;
}

static enum sl_status eval(const struct flags *f, const char *kind, struct sl_config *cfg, struct sl_err *err)
{
	SL_AUTO(subject_done) struct subject s = {0};
	enum sl_status st = open_subject(f, kind, &s, err);

	if (st != SL_OK)
		return st;
	if (s.kind == DETECTOR)
		s.boxes = sl_detection_measure_new(0.5f);
	if (s.kind == CLASSIFIER) {
		int classes = sl_measure_classes(s.net);
		if (classes < 1)
			return sl_fail(err, SL_INVALID, "eval: the net is no classifier of N,3,H,W images");
		s.classes = sl_class_measure_new(classes);
	}
	for (int i = 0; i < f->data.n && st == SL_OK; i++)
		st = measure_source(f, f->data.word[i], cfg, &s, err);
	if (st == SL_OK && f->list)
		st = sl_fs_write(f->list, sl_buf_slice(&s.names), true, err);
	return st == SL_OK ? report(f, &s, err) : st;
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	struct flags f = {.part = "all", .decode = "center4", .precision = "auto", .workers = 1};
	const struct sl_opt opts[] = {
		{"bundle", SL_OPT_STR, "FILE", "bundle that is measured, or whose net is", &f.bundle, 0, 0},
		{"model", SL_OPT_STR, "FILE.onnx", "or a net alone", &f.model, 0, 0},
		{"data", SL_OPT_LIST, "FORMAT:PATH", "labelled images; may be repeated ('signloop help formats')",
			&f.data, 0, 0},
		{"part", SL_OPT_STR, "PART", "all, train, or val: as 'signloop train' splits (all)", &f.part, 0, 0},
		{"decode", SL_OPT_STR, "HEAD", "of a --model detector: center4 or yolov5 (center4)", &f.decode, 0, 0},
		{"precision", SL_OPT_STR, "P", "auto, f32 or bf16 (auto)", &f.precision, 0, 0},
		{"workers", SL_OPT_INT, "N", "threads (1)", &f.workers, 1, 64},
		{"limit", SL_OPT_INT, "N", "take only N samples of each source", &f.limit, 1, 1e9},
		{"at-least", SL_OPT_NUM, "X", "exit 1 when accuracy, AP, or a bundle's F1 end to end is below X",
			&f.at_least, 0, 1},
		{"list", SL_OPT_STR, "FILE", "write the names of the measured images there, one a line", &f.list, 0, 0},
		{"json", SL_OPT_FLAG, NULL, "one JSON object", &f.json, 0, 0},
		SL_OPT_END,
	};
	struct sl_words words;
	bool help;
	enum sl_status s = sl_opt_parse(&usage, opts, cfg, argc, argv, &words, &help, err);

	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	return s == SL_OK ? eval(&f, words.word[0], cfg, err) : s;
}

const struct sl_command sl_cmd_eval = {&usage, run};
