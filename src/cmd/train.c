/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "core/taxonomy.h"
#include "dataset/learn.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

SL_DEFINE_FREEP(sl_taxonomy)

static const struct sl_usage usage = {
	.name = "train",
	.synopsis = "train classifier|detector --data FORMAT:PATH ... --out FILE.onnx",
	.text = "trains a net on labelled images",
	.more = "Writes FILE.onnx, FILE.onnx.json (recipe, seed, digests of the data, validation) and, while it\n"
		"runs, FILE.onnx.checkpoint. Ctrl-C or SIGTERM writes the checkpoint and stops; the same command\n"
		"with --resume goes on and ends with the same net. The same data, options and seed give the same\n"
		"net on the same machine.\n"
		"A classifier learns from crops; a detector from scenes, and from crops as signs to paste into them.\n"
		"Without --steps, --epochs or --minutes the recipe's length is taken: 14 epochs for a classifier,\n"
		"84,800 crops for a detector.",
	.examples =
		"signloop train classifier --data gtsrb:gtsrb-train.tar.gz --out classifier.onnx\n"
		"signloop train detector --data gtsdb:gtsdb-train.tar.gz --data gtsrb:gtsrb-train.tar.gz --out detector.onnx\n"
		"signloop train classifier --data imagefolder:crops --epochs 5 --workers 2 --out quick.onnx",
	.words_min = 1,
	.words_max = 1,
	.takes_config = true,
};

static volatile int stop_asked;

static void on_signal(int number)
{
	stop_asked = 1;
}

enum { SHOW_TTY_MS = 500, SHOW_LOG_MS = 30000 };

struct screen {
	bool tty, detector, json;
	int64_t next_us;
};

static void show_step(struct screen *s, const struct sl_learn_progress *p)
{
	int left = (int)(p->left_s + 0.5);

	if (sl_mono_us() < s->next_us && p->step != p->steps)
		return;
	s->next_us = sl_mono_us() + (s->tty ? SHOW_TTY_MS : SHOW_LOG_MS) * 1000LL;
	fprintf(stderr, "%sstep %lld of %lld, epoch %.2f of %.2f, loss %.4f", s->tty ? "\r\033[K" : "",
		(long long)p->step, (long long)p->steps, p->epoch, p->epochs, p->loss);
	if (s->detector)
		fprintf(stderr, " (heat %.3f, box %.3f)", p->parts[0], p->parts[1]);
	else
		fprintf(stderr, " (right in training %.1f %%)", 100 * p->parts[0]);
	fprintf(stderr, ", rate %.5f, %d:%02d:%02d left%s", p->lr, left / 3600, left / 60 % 60, left % 60,
		s->tty ? "" : "\n");
}

/* For programs: a line of JSON on standard output, twice a second. */
static void show_json(struct screen *s, const struct sl_learn_progress *p)
{
	SL_AUTO(sl_buf_done) struct sl_buf line = {0};

	if (p->kind == SL_LEARN_NOTE || (p->kind == SL_LEARN_STEP && sl_mono_us() < s->next_us && p->step != p->steps))
		return;
	SL_AUTOJSON json_t *v = json_pack("{s:I, s:I, s:f, s:f}", "step", (json_int_t)p->step, "steps",
		(json_int_t)p->steps, "epoch", p->epoch, "epochs", p->epochs);
	if (p->kind == SL_LEARN_SCORE) {
		json_object_set_new(v, "score", json_real(p->score));
	} else {
		s->next_us = sl_mono_us() + SHOW_TTY_MS * 1000LL;
		json_object_set_new(v, "loss", json_real(p->loss));
		json_object_set_new(v, "left_s", json_real(p->left_s));
	}
	sl_json_print(v, &line);
	printf("%s\n", (char *)line.ptr);
	fflush(stdout);
}

static void show(void *arg, const struct sl_learn_progress *p)
{
	struct screen *s = arg;

	if (s->json) {
		show_json(s, p);
		return;
	}

	if (p->kind == SL_LEARN_STEP) {
		show_step(s, p);
		return;
	}
	if (s->tty)
		fputs("\r\033[K", stderr);
	if (p->kind == SL_LEARN_SCORE)
		fprintf(stderr, "epoch %.2f: %s\n", p->epoch, p->text);
	else
		fprintf(stderr, "%s\n", p->text);
}

static int class_of(void *arg, const char *code)
{
	return sl_taxonomy_find(arg, code);
}

static enum sl_status read_taxonomy(const char *path, struct sl_taxonomy **ret, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {.cap = 16 << 20};
	enum sl_status s = sl_fs_read(path, &file, err);

	if (s == SL_OK)
		s = sl_taxonomy_parse(sl_buf_slice(&file), ret, err);
	return s == SL_OK ? s : sl_prefix(err, s, "--taxonomy");
}

struct flags {
	struct sl_words data;
	const char *out, *checkpoint, *precision, *val, *taxonomy, *dataset, *from;
	bool resume, json, progress;
	int64_t steps, batch, workers, seed, limit;
	double epochs, minutes;
};

static enum sl_status one_of(
	const char *name, const char *value, const char *const *choices, int *ret, struct sl_err *err)
{
	for (int i = 0; choices[i]; i++)
		if (strcmp(value, choices[i]) == 0) {
			*ret = i;
			return SL_OK;
		}
	return sl_fail(err, SL_USAGE, "train: --%s is '%s'; see 'signloop train --help' for the choices", name, value);
}

static enum sl_status fill_options(
	const struct flags *f, const char *kind, struct sl_learn_options *ret, struct sl_err *err)
{
	static const char *const kinds[] = {"classifier", "detector", NULL};
	static const char *const precisions[] = {"auto", "f32", "bf16", NULL};
	static const char *const vals[] = {"none", "split", NULL};
	int which = -1, precision = 0, val = 1;
	enum sl_status s = SL_OK;

	for (int i = 0; kinds[i]; i++)
		if (strcmp(kind, kinds[i]) == 0)
			which = i;
	if (which < 0)
		return sl_fail(err, SL_USAGE, "train: '%s' cannot be trained; classifier or detector can", kind);
	s = one_of("precision", f->precision, precisions, &precision, err);
	if (s == SL_OK)
		s = one_of("val", f->val, vals, &val, err);
	if (s != SL_OK)
		return s;
	if (f->data.n > SL_LEARN_SOURCES)
		return sl_fail(err, SL_USAGE, "train: at most %d --data", SL_LEARN_SOURCES);
	*ret = sl_learn_defaults(which == 1);
	for (int i = 0; i < f->data.n; i++)
		ret->data[ret->ndata++] = f->data.word[i];
	ret->out = f->out;
	ret->checkpoint = f->checkpoint;
	ret->resume = f->resume;
	ret->from = f->from;
	ret->steps = f->steps;
	ret->epochs = f->epochs;
	ret->minutes = f->minutes;
	ret->batch = f->batch ? (int)f->batch : ret->batch;
	ret->workers = f->workers ? (int)f->workers : ret->workers;
	ret->precision = (enum sl_precision)precision;
	ret->seed = (uint64_t)f->seed;
	ret->limit = (int)f->limit;
	ret->validate = val == 1;
	return SL_OK;
}

static void finish(const struct flags *f, const json_t *info)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};

	if (f->json) {
		sl_json_print(info, &text);
		printf("%s\n", (char *)text.ptr);
		return;
	}
	printf("%s: %lld parameters, trained in %.0f s\n%s.json says how\n", f->out,
		(long long)json_integer_value(json_object_get(info, "parameters")),
		json_number_value(json_object_get(info, "seconds")), f->out);
}

static enum sl_status train(const struct flags *f, const char *kind, struct sl_config *cfg, struct sl_err *err)
{
	SL_AUTO(sl_taxonomy_freep) struct sl_taxonomy *taxonomy = NULL;
	SL_AUTOFREE char *version = f->dataset ? sl_asprintf("dataset:%s", f->dataset) : NULL;
	SL_AUTOJSON json_t *info = NULL;
	struct sigaction on = {.sa_handler = on_signal}, old_int, old_term;
	struct screen screen = {.tty = isatty(STDERR_FILENO)};
	struct sl_learn_options o;
	enum sl_status s = fill_options(f, kind, &o, err);

	if (s == SL_OK && f->taxonomy)
		s = read_taxonomy(f->taxonomy, &taxonomy, err);
	if (s != SL_OK)
		return s;
	if (version) {
		if (o.ndata == SL_LEARN_SOURCES)
			return sl_fail(err, SL_USAGE, "train: at most %d sources", SL_LEARN_SOURCES);
		o.data[o.ndata++] = version;
	}
	if (taxonomy) {
		o.classes = taxonomy->n;
		o.class_of = class_of;
		o.class_arg = taxonomy;
	}
	screen.detector = o.detector;
	screen.json = f->progress;
	o.cfg = cfg;
	o.stop = &stop_asked;
	o.progress = show;
	o.progress_arg = &screen;
	sigaction(SIGINT, &on, &old_int);
	sigaction(SIGTERM, &on, &old_term);
	s = sl_learn_run(&o, &info, err);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	if (screen.tty)
		fputs("\r\033[K", stderr);
	if (s == SL_OK)
		finish(f, info);
	return s == SL_OK ? s : sl_prefix(err, s, "train");
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	struct flags f = {.precision = "auto", .val = "split", .seed = 1};
	const struct sl_opt opts[] = {
		{"data", SL_OPT_LIST, "FORMAT:PATH", "labelled images; may be repeated ('signloop help formats')",
			&f.data, 0, 0},
		{"dataset", SL_OPT_STR, "VERSION",
			"a version made by 'signloop dataset snapshot', like --data dataset:VERSION", &f.dataset, 0, 0},
		{"out", SL_OPT_STR, "FILE.onnx", "where the net goes", &f.out, 0, 0},
		{"steps", SL_OPT_INT, "N", "length of the run in steps", &f.steps, 1, 1e9},
		{"epochs", SL_OPT_NUM, "N", "or in epochs (detector: of 8,480 crops)", &f.epochs, 1e-3, 1e6},
		{"minutes", SL_OPT_NUM, "N", "or in minutes, measured on this machine and turned into steps",
			&f.minutes, 1e-2, 1e5},
		{"batch", SL_OPT_INT, "N", "images a step (classifier 64, detector 16)", &f.batch, 1, 4096},
		{"workers", SL_OPT_INT, "N", "threads that share a batch (classifier 1, detector 2)", &f.workers, 1,
			SL_LEARN_WORKERS},
		{"precision", SL_OPT_STR, "P", "auto, f32 or bf16; auto: bf16 where the processor has it", &f.precision,
			0, 0},
		{"seed", SL_OPT_INT, "N", "of weights and augmentation (1)", &f.seed, 0, 1e15},
		{"val", SL_OPT_STR, "PART", "split: hold whole groups back and measure on them; none: train on all",
			&f.val, 0, 0},
		{"limit", SL_OPT_INT, "N", "take only N samples of each source", &f.limit, 1, 1e9},
		{"taxonomy", SL_OPT_STR, "FILE", "class codes and the number of classes", &f.taxonomy, 0, 0},
		{"checkpoint", SL_OPT_STR, "FILE", "where to keep the state (FILE.onnx.checkpoint)", &f.checkpoint, 0,
			0},
		{"from", SL_OPT_STR, "FILE.onnx",
			"start from this net of the same kind, at a quarter of the learning rate", &f.from, 0, 0},
		{"resume", SL_OPT_FLAG, NULL, "go on from the checkpoint", &f.resume, 0, 0},
		{"json", SL_OPT_FLAG, NULL, "one JSON object at the end", &f.json, 0, 0},
		{"progress", SL_OPT_FLAG, NULL, "progress as lines of JSON on standard output, for programs",
			&f.progress, 0, 0},
		SL_OPT_END,
	};
	struct sl_words words;
	bool help;
	enum sl_status s = sl_opt_parse(&usage, opts, cfg, argc, argv, &words, &help, err);

	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	if (s == SL_OK && !f.out)
		return sl_fail(err, SL_USAGE, "train: --out FILE.onnx is missing");
	return s == SL_OK ? train(&f, words.word[0], cfg, err) : s;
}

const struct sl_command sl_cmd_train = {&usage, run};
