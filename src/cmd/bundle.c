/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "vision/pipeline.h"
#include <stdio.h>

enum { COST_W = 1376, COST_H = 800 };

static const struct sl_usage usage = {
	.name = "bundle",
	.synopsis =
		"bundle make --detector FILE.onnx --classifier FILE.onnx --taxonomy FILE.json --name NAME --out FILE | "
		"bundle show FILE [--json] | bundle unpack FILE DIR",
	.text = "joins a detector and a classifier to the one file that serves, shows what is in it, or takes it apart",
	.more = "What 'signloop train' wrote beside a net (FILE.onnx.json: temperature, threshold) is taken from there; an "
		"option wins over it. Nets from elsewhere need their own --decode, --mean, --scale, --size and --normalize, or "
		"--classifier-mean and --classifier-scale: in 0..255, so PyTorch's (0.485, 0.229) is 123.675 and 58.395. The "
		"bundle is opened and run on a test frame before it is written.\n\n"
		"unpack writes bundle.json, detector.onnx, classifier.onnx, taxonomy.json and, if there is one, card.md into DIR.",
	.examples =
		"signloop bundle make --detector detector.onnx --classifier classifier.onnx --taxonomy taxonomy/de.json "
		"--name de-1 --card card.md --out de-1.bundle\n"
		"signloop bundle make --detector yolov5s.onnx --decode yolov5 --mean 0 --scale 255 --classifier signs.onnx "
		"--taxonomy taxonomy/de.json --name mine --thresholds 0.9,206=0.97 --out mine.bundle\n"
		"signloop bundle make --detector detector.onnx --classifier resnet.onnx --size 224 --classifier-mean "
		"123.675,116.28,103.53 --classifier-scale 58.395,57.12,57.375 --taxonomy taxonomy/de.json --name r --out r.bundle\n"
		"signloop bundle show de-1.bundle --json\n"
		"signloop bundle unpack de-1.bundle parts",
	.words_min = 1,
	.words_max = 3,
};

struct flags {
	const char *detector, *classifier, *taxonomy, *name, *out, *card, *thresholds, *created, *decode, *normalize;
	const char *cls_mean, *cls_scale;
	double mean, scale, threshold, context, temperature;
	int64_t stride, max_side, size;
	bool json;
};

/* A number that the trainer may have written at the top or in one of the objects there. */
static bool find_number(json_t *o, const char *name, double *ret)
{
	const char *key;
	json_t *v = json_object_get(o, name);

	if (json_is_number(v)) {
		*ret = json_number_value(v);
		return true;
	}
	json_object_foreach(o, key, v) if (json_is_number(json_object_get(v, name)))
	{
		*ret = json_number_value(json_object_get(v, name));
		return true;
	}
	return false;
}

/* NET.onnx.json, if it is there. */
static enum sl_status read_beside(const char *net, json_t **ret, struct sl_err *err)
{
	SL_AUTOFREE char *path = sl_asprintf("%s.json", net);
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	enum sl_status s = sl_fs_is_file(path) ? sl_fs_read(path, &text, err) : SL_NOT_FOUND;

	if (s == SL_NOT_FOUND) {
		*ret = json_object();
		return SL_OK;
	}
	return s == SL_OK ? sl_json_parse(sl_buf_slice(&text), path, ret, err) : s;
}

/* "0.9,206=0.97,274-20=1.1": a number alone is for every class. */
static enum sl_status parse_thresholds(const char *text, json_t *ret, struct sl_err *err)
{
	json_t *by_class = json_object_get(ret, "by_class");

	for (const char *at = text; *at;) {
		size_t n = strcspn(at, ",");
		SL_AUTOFREE char *item = sl_asprintf("%.*s", (int)n, at);
		char *eq = strchr(item, '='), *end;
		const char *number = eq ? eq + 1 : item;
		double v = strtod(number, &end);

		if (end == number || *end || !(v >= 0 && v <= 2) || eq == item)
			return sl_fail(err, SL_USAGE,
				"bundle: --thresholds has '%s'; wanted is a number from 0 to 2, or CODE=NUMBER", item);
		if (eq)
			*eq = 0;
		json_object_set_new(eq ? by_class : ret, eq ? item : "default", json_real(v));
		at += n + (at[n] == ',');
	}
	return SL_OK;
}

/* "V" or "R,G,B" as JSON; NULL: it is neither. */
static json_t *parse_channels(const char *text)
{
	SL_AUTOJSON json_t *list = json_array();

	for (const char *at = text; at; at = *at ? at + 1 : NULL) {
		char *end;
		double v = strtod(at, &end);

		if (end == at || (*end && *end != ','))
			return NULL;
		json_array_append_new(list, json_real(v));
		at = end;
	}
	if (json_array_size(list) == 1)
		return json_incref(json_array_get(list, 0));
	return json_array_size(list) == 3 ? SL_TAKE(list) : NULL;
}

/* Numbers of the channels mean that they are what is wanted; without one of them it is 0, or 255. */
static enum sl_status set_channels(const struct flags *f, json_t *classifier, struct sl_err *err)
{
	static const char how[] = "mean_scale";
	bool wanted = f->normalize && strcmp(f->normalize, how) == 0;

	if (!f->cls_mean && !f->cls_scale && !wanted)
		return SL_OK;
	if (f->normalize && !wanted)
		return sl_fail(err, SL_USAGE,
			"bundle: --normalize %s has no numbers; --classifier-mean and --classifier-scale go with %s",
			f->normalize, how);
	json_t *mean = parse_channels(f->cls_mean ? f->cls_mean : "0");
	json_t *scale = parse_channels(f->cls_scale ? f->cls_scale : "255");

	json_object_set_new(classifier, "normalize", json_string(how));
	if (mean)
		json_object_set_new(classifier, "mean", mean);
	if (scale)
		json_object_set_new(classifier, "scale", scale);
	return mean && scale
		       ? SL_OK
		       : sl_fail(err, SL_USAGE, "bundle: %s is '%s'; a number, or three as R,G,B, are wanted",
				 mean ? "--classifier-scale" : "--classifier-mean", mean ? f->cls_scale : f->cls_mean);
}

/* Options that were not given are NAN or 0 and fall back to the trainer's file, then to our own nets' numbers. */
static double pick(double given, json_t *beside, const char *name, double otherwise)
{
	double v = otherwise;

	if (given == given)
		return given;
	find_number(beside, name, &v);
	return v;
}

static enum sl_status make_info(const struct flags *f, json_t **ret, struct sl_err *err)
{
	SL_AUTOJSON json_t *det = NULL, *cls = NULL;
	SL_AUTOJSON json_t *thresholds = json_pack("{s:f, s:{}}", "default", 0.9, "by_class");
	char now[25];
	bool yolov5 = f->decode && strcmp(f->decode, "yolov5") == 0;
	enum sl_status s;

	if ((s = read_beside(f->detector, &det, err)) || (s = read_beside(f->classifier, &cls, err)) ||
		(s = parse_thresholds(f->thresholds ? f->thresholds : "", thresholds, err)))
		return s;
	sl_time_text(sl_now_ms(), now);
	*ret = json_pack("{s:i, s:s, s:s, s:{s:s, s:I, s:f, s:f, s:f, s:I}, s:{s:I, s:s, s:f, s:f}, s:O}", "v", 1,
		"name", f->name, "created", f->created ? f->created : now, "detector", "decode",
		f->decode ? f->decode : "center4", "stride", (json_int_t)f->stride, "mean",
		pick(f->mean, NULL, "mean", yolov5 ? 0 : 127.5), "scale",
		pick(f->scale, NULL, "scale", yolov5 ? 255 : 64), "threshold",
		pick(f->threshold, det, "threshold", 0.4), "max_side", (json_int_t)f->max_side, "classifier", "size",
		(json_int_t)f->size, "normalize", f->normalize ? f->normalize : "standardize", "context",
		pick(f->context, NULL, "context", 1.15), "temperature", pick(f->temperature, cls, "temperature", 1),
		"thresholds", thresholds);
	if (!*ret)
		return sl_fail(err, SL_INVALID, "bundle: an option is no valid UTF-8");
	return set_channels(f, json_object_get(*ret, "classifier"), err);
}

static enum sl_status selftest(struct sl_slice file, struct sl_bundle **ret, struct sl_err *err)
{
	struct sl_pipeline *p = sl_pipeline_new();
	enum sl_status s = sl_bundle_open(file, SL_PRECISION_AUTO, ret, err);

	if (s == SL_OK)
		s = sl_pipeline_selftest(p, *ret, err);
	sl_pipeline_free(p);
	return s;
}

static void print_json(const json_t *o)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};

	if (sl_json_print(o, &text) == SL_OK)
		puts((char *)text.ptr);
}

struct files {
	struct sl_buf detector, classifier, taxonomy, card;
};

static void files_done(struct files *f)
{
	sl_buf_done(&f->detector);
	sl_buf_done(&f->classifier);
	sl_buf_done(&f->taxonomy);
	sl_buf_done(&f->card);
}

static enum sl_status make(const struct flags *f, struct sl_err *err)
{
	SL_AUTO(files_done) struct files in = {0};
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTOJSON json_t *info = NULL;
	struct sl_bundle *b = NULL;
	enum sl_status s;

	if (!f->detector || !f->classifier || !f->taxonomy || !f->name || !f->out)
		return sl_fail(
			err, SL_USAGE, "bundle: make needs --detector, --classifier, --taxonomy, --name and --out");
	if ((s = sl_fs_read(f->detector, &in.detector, err)) || (s = sl_fs_read(f->classifier, &in.classifier, err)) ||
		(s = sl_fs_read(f->taxonomy, &in.taxonomy, err)) ||
		(f->card && (s = sl_fs_read(f->card, &in.card, err))))
		return s == SL_NOT_FOUND
			       ? sl_fail(err, SL_USAGE, "bundle: a file is missing: %.180s", strdupa(err->text))
			       : s;
	if ((s = make_info(f, &info, err)))
		return s;
	const struct sl_bundle_parts parts = {info, sl_buf_slice(&in.detector), sl_buf_slice(&in.classifier),
		sl_buf_slice(&in.taxonomy), sl_buf_slice(&in.card)};
	if ((s = sl_bundle_write(&parts, &file, err)) == SL_OK && (s = selftest(sl_buf_slice(&file), &b, err)) == SL_OK)
		s = sl_fs_write(f->out, sl_buf_slice(&file), true, err);
	SL_AUTOJSON json_t *o =
		s ? NULL
		  : json_pack("{s:s, s:s, s:I}", "out", f->out, "digest", b->digest, "bytes", (json_int_t)file.len);
	if (o && f->json)
		print_json(o);
	else if (s == SL_OK)
		printf("%s: %zu bytes, sha256 %s\n", f->out, file.len, b->digest);
	sl_bundle_unref(b);
	return s;
}

static json_t *net_json(const struct sl_model *m, size_t bytes, int h, int w)
{
	const struct sl_graph *g = sl_model_graph(m);
	struct sl_shape in = g->value[g->input[0]].shape;
	const int64_t open[4] = {1, 3, h, w};
	int64_t macs = 0, params = 0;

	for (int i = 0; i < 4; i++)
		in.dim[i] = in.dim[i] > 0 ? in.dim[i] : open[i];
	sl_graph_cost(g, &in, &macs, &params, NULL);
	return json_pack("{s:I, s:I, s:I, s:[I,I]}", "bytes", (json_int_t)bytes, "parameters", (json_int_t)params,
		"multiply_adds", (json_int_t)macs, "input", (json_int_t)in.dim[3], (json_int_t)in.dim[2]);
}

static json_t *show_json(const struct sl_bundle *b, const struct sl_bundle_parts *p)
{
	json_t *o = json_pack("{s:s, s:O, s:s, s:i}", "digest", b->digest, "info", p->info, "taxonomy",
		b->taxonomy->name, "classes", b->taxonomy->n);

	json_object_set_new(o, "detector", net_json(b->detector, p->detector.len, COST_H, COST_W));
	json_object_set_new(o, "classifier", net_json(b->classifier, p->classifier.len, b->cls_size, b->cls_size));
	if (b->card)
		json_object_set_new(o, "card", json_string(b->card));
	return o;
}

static void show_net(const char *name, json_t *o, json_t *info)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};

	sl_json_print(info, &text);
	printf("%-12s %lld parameters, %.2f M multiply-adds at %lld x %lld, %lld bytes\n%-12s %s\n", name,
		json_integer_value(json_object_get(o, "parameters")),
		json_integer_value(json_object_get(o, "multiply_adds")) / 1e6,
		json_integer_value(json_array_get(json_object_get(o, "input"), 0)),
		json_integer_value(json_array_get(json_object_get(o, "input"), 1)),
		json_integer_value(json_object_get(o, "bytes")), "", (char *)text.ptr);
}

static void show_text(const struct sl_bundle *b, json_t *o, json_t *info)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};

	sl_json_print(json_object_get(info, "thresholds"), &text);
	printf("%-12s %s\n%-12s %s\n%-12s %s\n%-12s %s, %d classes\n", "name", b->name, "created",
		json_string_value(json_object_get(info, "created")), "digest", b->digest, "taxonomy", b->taxonomy->name,
		b->taxonomy->n);
	show_net("detector", json_object_get(o, "detector"), json_object_get(info, "detector"));
	show_net("classifier", json_object_get(o, "classifier"), json_object_get(info, "classifier"));
	printf("%-12s %s\n", "accepted at", (char *)text.ptr);
	if (b->card)
		printf("\n%s", b->card);
}

static enum sl_status show(const char *path, bool json, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_bundle_parts p = {0};
	struct sl_bundle *b = NULL;
	enum sl_status s;

	if ((s = sl_fs_read(path, &file, err)) ||
		(s = sl_bundle_open(sl_buf_slice(&file), SL_PRECISION_AUTO, &b, err)) ||
		(s = sl_bundle_read(sl_buf_slice(&file), &p, err))) {
		sl_bundle_unref(b);
		return s == SL_NOT_FOUND ? (err->status = SL_USAGE) : s;
	}
	SL_AUTOJSON json_t *o = show_json(b, &p);
	if (json)
		print_json(o);
	else
		show_text(b, o, p.info);
	json_decref(p.info);
	sl_bundle_unref(b);
	return s;
}

static enum sl_status unpack(const char *path, const char *dir, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTO(sl_buf_done) struct sl_buf info = {0};
	struct sl_bundle_parts p = {0};
	enum sl_status s = sl_fs_read(path, &file, err);

	if (s == SL_OK)
		s = sl_bundle_read(sl_buf_slice(&file), &p, err);
	if (s != SL_OK)
		return s == SL_NOT_FOUND ? (err->status = SL_USAGE) : sl_prefix(err, s, "%s", path);
	sl_json_print(p.info, &info);
	json_decref(p.info);
	const struct {
		const char *name;
		struct sl_slice bytes;
	} part[] = {{"bundle.json", sl_buf_slice(&info)}, {"detector.onnx", p.detector},
		{"classifier.onnx", p.classifier}, {"taxonomy.json", p.taxonomy}, {"card.md", p.card}};
	s = sl_fs_mkdirs(dir, err);
	for (size_t i = 0; i < SL_COUNT(part) && s == SL_OK; i++) {
		SL_AUTOFREE char *to = sl_fs_join(dir, part[i].name);

		if (!part[i].bytes.len)
			continue;
		s = sl_fs_write(to, part[i].bytes, false, err);
		if (s == SL_EXISTS)
			s = sl_fail(err, SL_USAGE, "bundle: %s is there already; unpack writes over nothing", to);
	}
	return s;
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	const double none = __builtin_nan("");
	struct flags f = {.mean = none,
		.scale = none,
		.threshold = none,
		.context = none,
		.temperature = none,
		.stride = 32,
		.max_side = 2048,
		.size = 48};
	struct sl_words w;
	bool help;
	const struct sl_opt opts[] = {{"detector", SL_OPT_STR, "FILE", "the detector, ONNX", &f.detector, 0, 0},
		{"classifier", SL_OPT_STR, "FILE", "the classifier, ONNX; one output a class of the taxonomy",
			&f.classifier, 0, 0},
		{"taxonomy", SL_OPT_STR, "FILE", "the classes: taxonomy/NAME.json", &f.taxonomy, 0, 0},
		{"name", SL_OPT_STR, "NAME", "what people call the bundle, at most 63 bytes", &f.name, 0, 0},
		{"out", SL_OPT_STR, "FILE", "the bundle to write", &f.out, 0, 0},
		{"card", SL_OPT_STR, "FILE", "the model card, Markdown", &f.card, 0, 0},
		{"thresholds", SL_OPT_STR, "LIST",
			"confidence from which a sign is accepted without people: 0.9,CODE=0.97,... (default 0.9; above 1: never)",
			&f.thresholds, 0, 0},
		{"created", SL_OPT_STR, "TIME", "written into the bundle instead of now, for the same bytes again",
			&f.created, 0, 0},
		{"decode", SL_OPT_STR, "HEAD", "the detector's output: center4 (default) or yolov5", &f.decode, 0, 0},
		{"threshold", SL_OPT_NUM, "P",
			"detections above it are signs (default: best F1 of FILE.onnx.json, else 0.4)", &f.threshold, 0,
			1},
		{"stride", SL_OPT_INT, "PX", "the detector's input sides are multiples of it (default 32)", &f.stride,
			1, 256},
		{"mean", SL_OPT_NUM, "V", "detector input: (value - mean) / scale (default 127.5; yolov5: 0)", &f.mean,
			-1000, 1000},
		{"scale", SL_OPT_NUM, "V", "see --mean (default 64; yolov5: 255)", &f.scale, 0.001, 10000},
		{"max-side", SL_OPT_INT, "PX", "longer frames are shrunk before detection (default 2048)", &f.max_side,
			64, 8192},
		{"size", SL_OPT_INT, "PX", "the classifier's input side (default 48)", &f.size, 8, 512},
		{"normalize", SL_OPT_STR, "HOW",
			"the classifier's input: standardize (default), unit (0..1), or mean_scale", &f.normalize, 0,
			0},
		{"classifier-mean", SL_OPT_STR, "V|R,G,B",
			"classifier input: (value - mean) / scale, of all channels or of each (0)", &f.cls_mean, 0, 0},
		{"classifier-scale", SL_OPT_STR, "V|R,G,B", "see --classifier-mean (255)", &f.cls_scale, 0, 0},
		{"context", SL_OPT_NUM, "K", "the classifier sees K x the box's sides (default 1.15)", &f.context, 0.5,
			3},
		{"temperature", SL_OPT_NUM, "T", "calibration of the confidences (default: of FILE.onnx.json, else 1)",
			&f.temperature, 0.01, 100},
		{"json", SL_OPT_FLAG, NULL, "one JSON object", &f.json, 0, 0}, SL_OPT_END};
	enum sl_status s = sl_opt_parse(&usage, opts, NULL, argc, argv, &w, &help, err);

	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	if (s != SL_OK)
		return s;
	if (strcmp(w.word[0], "make") == 0 && w.n == 1)
		return make(&f, err);
	if (strcmp(w.word[0], "show") == 0 && w.n == 2)
		return show(w.word[1], f.json, err);
	if (strcmp(w.word[0], "unpack") == 0 && w.n == 3)
		return unpack(w.word[1], w.word[2], err);
	return sl_fail(err, SL_USAGE,
		"bundle: say 'bundle make ...', 'bundle show FILE' or 'bundle unpack FILE DIR'; see 'signloop bundle "
		"--help'");
}

const struct sl_command sl_cmd_bundle = {&usage, run};
