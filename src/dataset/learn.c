/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/learn.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "dataset/learn_task.h"
#include "nn/onnx/onnx.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum {
	VALIDATIONS = 10, /* of a run, at least; an epoch is the longest pause between two */
	PROBE_STEPS = 12, /* that --minutes measures */
	PROBE_WARM = 4, /* of them, not timed: the first ones compile */
	CHECKPOINT_SECONDS = 120,
};
#define CHECKPOINT_MAGIC "signloop-checkpoint 1\n"
#define CHECKPOINT_BYTES ((size_t)1 << 30)
#define FROM_RATE 0.25f /* of the learning rate, for a net that has learned already */
#define LOSS_MEMORY 0.98f /* of the running means that progress shows */

struct run {
	struct sl_learn_options o; /* with the recipe's numbers where none were given */
	char *checkpoint;
	struct sl_learn_data data;
	struct sl_task task;
	struct sl_trainer *trainer;
	int64_t steps, started_us, saved_us;
	int64_t first_step; /* of this process; later ones give the speed */
	float loss, parts[4];
	char from[65]; /* digest of the net it started from; "" for random weights */
	json_t *info;
};

static void run_done(struct run *r)
{
	sl_trainer_free(r->trainer);
	sl_graph_free(r->task.graph);
	if (r->task.free_priv)
		r->task.free_priv(r->task.priv);
	for (int i = 0; i < r->data.n; i++) {
		sl_source_free(r->data.part[i].source);
		free(r->data.part[i].train);
		free(r->data.part[i].val);
	}
	json_decref(r->info);
	free(r->checkpoint);
}

static void __attribute__((format(printf, 2, 3))) note(struct run *r, const char *fmt, ...)
{
	char text[SL_ERR_TEXT];
	va_list ap;

	if (!r->o.progress)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	r->o.progress(r->o.progress_arg, &(struct sl_learn_progress){.kind = SL_LEARN_NOTE, .text = text});
}

static bool is_stopped(const struct run *r)
{
	return r->o.stop && *r->o.stop;
}

struct sl_learn_options sl_learn_defaults(bool detector)
{
	return (struct sl_learn_options){.detector = detector,
		.batch = detector ? 16 : 64,
		.workers = detector ? 2 : 1,
		.seed = 1,
		.validate = true};
}

static enum sl_status check_options(struct run *r, struct sl_err *err)
{
	struct sl_learn_options d = sl_learn_defaults(r->o.detector), *o = &r->o;

	o->batch = o->batch ? o->batch : d.batch;
	o->workers = o->workers ? o->workers : d.workers;
	if (o->ndata < 1)
		return sl_fail(err, SL_USAGE, "nothing to learn from: give --data FORMAT:PATH");
	if (!o->out || !*o->out)
		return sl_fail(err, SL_USAGE, "give --out FILE.onnx");
	if (o->workers < 1 || o->workers > SL_LEARN_WORKERS || o->batch < 1 || o->batch > 4096 || o->batch % o->workers)
		return sl_fail(err, SL_USAGE, "a batch of %d cannot be shared by %d workers", o->batch, o->workers);
	r->checkpoint = o->checkpoint ? sl_strdup(o->checkpoint) : sl_asprintf("%s.checkpoint", o->out);
	if (!o->resume || sl_fs_is_file(r->checkpoint))
		return SL_OK;
	return sl_fail(err, SL_NOT_FOUND, "%s: no checkpoint to go on from; leave --resume away", r->checkpoint);
}

static enum sl_status open_data(struct run *r, struct sl_err *err)
{
	const struct sl_source_options so = {
		.roi_side = 96, .limit = r->o.limit, .class_of = r->o.class_of, .arg = r->o.class_arg, .cfg = r->o.cfg};

	for (int i = 0; i < r->o.ndata; i++) {
		struct sl_learn_part *p = &r->data.part[i];
		enum sl_status s = sl_source_open(r->o.data[i], &so, &p->source, err);
		int train = 0, val = 0;

		if (s != SL_OK)
			return s;
		r->data.n++;
		p->train = sl_calloc(p->source->n, sizeof *p->train);
		p->val = sl_calloc(p->source->n, sizeof *p->val);
		if (r->o.validate)
			sl_part_of(p->source, SL_PART_VAL, 0, p->val);
		for (int k = 0; k < p->source->n; k++) {
			p->train[k] = !p->val[k];
			train += p->train[k];
			val += p->val[k];
		}
		r->data.ntrain += train;
		r->data.nval += val;
		note(r, "%s: %d samples in %d groups, %d to train on, %d to validate", p->source->spec, p->source->n,
			p->source->ngroup, train, val);
		if (is_stopped(r))
			return sl_fail(err, SL_CANCELLED, "stopped before the first step");
	}
	return SL_OK;
}

static enum sl_status new_trainer(struct run *r, struct sl_trainer **ret, struct sl_err *err)
{
	const struct sl_train_options to = {.workers = r->o.workers,
		.precision = r->o.precision,
		.beta1 = 0.9f,
		.beta2 = 0.99f,
		.eps = 1e-8f,
		.weight_decay = 0.02f,
		.ema = 0.998f,
		.bn_momentum = r->task.bn_momentum,
		.clip_norm = r->task.clip_norm,
		.seed = r->o.seed};

	return sl_trainer_new(r->task.graph, r->task.input, &to, &r->task.batch, ret, err);
}

/* How many steps fit the minutes on this machine: steps of a trainer that is thrown away. */
static enum sl_status probe(struct run *r, struct sl_err *err)
{
	struct sl_trainer *t = NULL;
	struct sl_step_result result;
	int64_t from = 0;
	enum sl_status s = new_trainer(r, &t, err);

	for (int i = 0; i < PROBE_STEPS && s == SL_OK; i++) {
		if (i == PROBE_WARM)
			from = sl_mono_us();
		s = sl_trainer_step(t, 1e-5f, &result, err);
	}
	if (s == SL_OK) {
		double each = (double)(sl_mono_us() - from) / (PROBE_STEPS - PROBE_WARM);

		r->steps = SL_MAX((int64_t)(r->o.minutes * 60e6 / each), 1);
		note(r, "%.1f ms a step: %lld steps in %.1f minutes", each / 1000, (long long)r->steps, r->o.minutes);
	}
	sl_trainer_free(t);
	return s;
}

static enum sl_status choose_steps(struct run *r, struct sl_err *err)
{
	if (r->o.steps > 0)
		r->steps = r->o.steps;
	else if (r->o.epochs > 0)
		r->steps = (int64_t)(r->o.epochs * r->task.samples_an_epoch / r->o.batch);
	else if (r->o.minutes > 0)
		return probe(r, err);
	else
		r->steps = r->task.recipe_steps;
	r->steps = SL_MAX(r->steps, 1);
	return SL_OK;
}

/* "gtsrb:/data/x.tar.gz" becomes "gtsrb:x.tar.gz": what is written must not tell of a machine. */
static char *public_spec(const char *spec)
{
	const char *colon = strchr(spec, ':');
	SL_AUTOFREE char *path = sl_strdup(colon + 1);
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		path[--n] = 0;
	const char *slash = strrchr(path, '/');
	return sl_asprintf("%.*s:%s", (int)(colon - spec), spec, slash ? slash + 1 : path);
}

static json_t *data_info(const struct run *r)
{
	json_t *list = json_array();

	for (int i = 0; i < r->data.n; i++) {
		const struct sl_learn_part *p = &r->data.part[i];
		SL_AUTOFREE char *spec = public_spec(p->source->spec);
		int train = 0;

		for (int k = 0; k < p->source->n; k++)
			train += p->train[k];
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:i, s:i, s:i, s:i}", "data", spec, "sha256", p->source->digest,
				      "samples", p->source->n, "groups", p->source->ngroup, "train", train,
				      "validation", p->source->n - train));
	}
	return list;
}

/* What makes the run what it is: two runs with the same are the same. */
static void make_info(struct run *r)
{
	static const char *const precision[] = {"auto", "f32", "bf16"};

	r->info = json_pack("{s:i, s:s, s:s, s:s, s:I, s:I, s:i, s:i, s:s, s:i, s:o}", "v", 1, "kind",
		r->o.detector ? "detector" : "classifier", "recipe", r->task.recipe, "trainer", "signloop " SL_VERSION,
		"seed", (json_int_t)r->o.seed, "steps", (json_int_t)r->steps, "batch", r->o.batch, "workers",
		r->o.workers, "precision", precision[r->o.precision], "limit", r->o.limit, "data", data_info(r));
	if (r->o.from)
		json_object_set_new(r->info, "from", json_string(r->from));
	if (r->o.validate)
		json_object_set_new(r->info, "split",
			json_pack("{s:f, s:i}", "share", r->o.detector ? SL_SPLIT_SCENES : SL_SPLIT_CROPS, "seed", 0));
}

static enum sl_status save_checkpoint(struct run *r, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {.cap = CHECKPOINT_BYTES};
	SL_AUTO(sl_buf_done) struct sl_buf state = {.cap = CHECKPOINT_BYTES};
	enum sl_status s = sl_trainer_save(r->trainer, &state, err);

	if (s != SL_OK)
		return s;
	if (sl_buf_puts(&file, CHECKPOINT_MAGIC) || sl_json_print(r->info, &file) || sl_buf_puts(&file, "\n") ||
		sl_buf_add(&file, state.ptr, state.len))
		return sl_fail(err, SL_TOO_LARGE, "%s: a checkpoint of %zu bytes", r->checkpoint, state.len);
	r->saved_us = sl_mono_us();
	return sl_fs_write(r->checkpoint, sl_buf_slice(&file), true, err);
}

static enum sl_status load_checkpoint(struct run *r, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {.cap = CHECKPOINT_BYTES};
	SL_AUTO(sl_buf_done) struct sl_buf now = {0};
	size_t magic = strlen(CHECKPOINT_MAGIC);
	enum sl_status s = sl_fs_read(r->checkpoint, &file, err);

	if (s != SL_OK)
		return s;
	const uint8_t *line = file.len > magic && memcmp(file.ptr, CHECKPOINT_MAGIC, magic) == 0
				      ? memchr(file.ptr + magic, '\n', file.len - magic)
				      : NULL;
	if (!line)
		return sl_fail(err, SL_CORRUPT, "%s is no checkpoint", r->checkpoint);
	sl_json_print(r->info, &now);
	size_t len = line - (file.ptr + magic);
	if (now.len != len || memcmp(now.ptr, file.ptr + magic, len) != 0)
		return sl_fail(err, SL_CONFLICT, "%s is of another run (other data, seed, length, batch or workers)",
			r->checkpoint);
	s = sl_trainer_restore(r->trainer, sl_slice(line + 1, file.len - magic - len - 1), err);
	if (s == SL_OK)
		note(r, "going on from step %lld of %lld", (long long)sl_trainer_steps(r->trainer),
			(long long)r->steps);
	return s == SL_OK ? SL_OK : sl_prefix(err, s, "%s", r->checkpoint);
}

static double epochs_of(const struct run *r, int64_t step)
{
	return step * (double)r->o.batch / r->task.samples_an_epoch;
}

static void show_step(struct run *r, int64_t step, float lr, const struct sl_step_result *result)
{
	bool first = step == r->first_step + 1;
	float keep = first ? 0 : LOSS_MEMORY;
	double took = (sl_mono_us() - r->started_us) / 1e6;

	r->loss = keep * r->loss + (1 - keep) * result->loss;
	for (int i = 0; i < 4; i++)
		r->parts[i] = keep * r->parts[i] + (1 - keep) * result->parts[i];
	if (!r->o.progress)
		return;
	struct sl_learn_progress p = {.kind = SL_LEARN_STEP,
		.step = step,
		.steps = r->steps,
		.epoch = epochs_of(r, step),
		.epochs = epochs_of(r, r->steps),
		.loss = r->loss,
		.lr = lr,
		.grad_norm = result->grad_norm,
		.left_s = took / (step - r->first_step) * (r->steps - step)};
	memcpy(p.parts, r->parts, sizeof p.parts);
	r->o.progress(r->o.progress_arg, &p);
}

/* Measures the averaged net as it would be shipped. With last, into info. */
static enum sl_status measure(struct run *r, bool last, struct sl_err *err)
{
	struct sl_graph *g = sl_trainer_graph(r->trainer, true);
	SL_AUTOJSON json_t *info = json_object();
	struct sl_model *net = NULL;
	char text[SL_ERR_TEXT] = "";
	double score = 0;
	int64_t from = sl_mono_us();
	enum sl_status s = sl_model_new(g, "dnnl", last ? SL_PRECISION_F32 : r->o.precision, &net, err);

	if (s == SL_OK)
		s = r->task.measure(&r->task, net, r->o.workers, info, &score, text, err);
	sl_model_free(net);
	sl_graph_free(g);
	r->started_us += sl_mono_us() - from; /* the estimate of the time left is of steps */
	if (s != SL_OK)
		return s;
	if (last)
		json_object_update(r->info, info);
	if (r->o.progress)
		r->o.progress(r->o.progress_arg, &(struct sl_learn_progress){.kind = SL_LEARN_SCORE,
							 .text = text,
							 .score = score,
							 .steps = r->steps,
							 .step = sl_trainer_steps(r->trainer),
							 .epoch = epochs_of(r, sl_trainer_steps(r->trainer)),
							 .epochs = epochs_of(r, r->steps)});
	return SL_OK;
}

static enum sl_status train(struct run *r, struct sl_err *err)
{
	int64_t pause = SL_MIN((int64_t)(r->task.samples_an_epoch / r->o.batch), r->steps / VALIDATIONS);
	enum sl_status s = SL_OK;

	pause = SL_MAX(pause, 1);
	r->first_step = sl_trainer_steps(r->trainer);
	r->started_us = r->saved_us = sl_mono_us();
	for (int64_t step = r->first_step; step < r->steps && s == SL_OK; step++) {
		float lr = r->task.rate((double)step / r->steps, r->o.batch) * (r->o.from ? FROM_RATE : 1);
		struct sl_step_result result;

		s = sl_trainer_step(r->trainer, lr, &result, err);
		if (s != SL_OK)
			break;
		if (!isfinite(result.loss))
			return sl_fail(err, SL_REFUSED, "the loss is no number at step %lld; the last checkpoint is %s",
				(long long)step, r->checkpoint);
		show_step(r, step + 1, lr, &result);
		if (is_stopped(r)) {
			s = save_checkpoint(r, err);
			return s != SL_OK
				       ? s
				       : sl_fail(err, SL_CANCELLED,
						 "stopped at step %lld of %lld; the same command with --resume goes on from %s",
						 (long long)step + 1, (long long)r->steps, r->checkpoint);
		}
		bool pausing = (step + 1) % pause == 0 && step + 1 < r->steps;
		if (pausing && r->data.nval)
			s = measure(r, false, err);
		if (s == SL_OK && (pausing || sl_mono_us() - r->saved_us > CHECKPOINT_SECONDS * 1000000LL))
			s = save_checkpoint(r, err);
	}
	return s;
}

static enum sl_status write_net(struct run *r, double seconds, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTOFREE char *beside = sl_asprintf("%s.json", r->o.out);
	struct sl_graph *g = sl_trainer_graph(r->trainer, true), *folded = NULL;
	struct sl_shape one = r->task.input;
	int64_t macs = 0, params = 0;
	enum sl_status s = sl_graph_fold(g, &folded, err);

	if (r->o.detector)
		one = (struct sl_shape){4, {1, 3, 800, 1376}}; /* a GTSDB scene, padded */
	one.dim[0] = 1;
	if (s == SL_OK)
		s = sl_graph_cost(folded, &one, &macs, &params, err);
	if (s == SL_OK)
		s = sl_onnx_write(folded, &file, err);
	if (s == SL_OK)
		s = sl_fs_write(r->o.out, sl_buf_slice(&file), true, err);
	sl_graph_free(g);
	sl_graph_free(folded);
	if (s != SL_OK)
		return s;
	char digest[65];
	sl_sha256_hex(file.ptr, file.len, digest);
	json_object_set_new(r->info, "sha256", json_string(digest));
	json_object_set_new(r->info, "parameters", json_integer(params));
	json_object_set_new(r->info, "multiply_adds", json_integer(macs));
	json_object_set_new(r->info, "epochs", json_real(epochs_of(r, r->steps)));
	json_object_set_new(r->info, "training_loss", json_real(r->loss));
	json_object_set_new(r->info, "seconds", json_real(seconds));
	sl_json_print(r->info, &text);
	sl_buf_puts(&text, "\n");
	return sl_fs_write(beside, sl_buf_slice(&text), true, err);
}

enum sl_status sl_learn_run(const struct sl_learn_options *o, json_t **ret_info, struct sl_err *err)
{
	SL_AUTO(run_done) struct run r = {.o = *o};
	int64_t from = sl_mono_us();
	enum sl_status s = check_options(&r, err);

	if (s == SL_OK)
		s = open_data(&r, err);
	if (s == SL_OK)
		s = (r.o.detector ? sl_task_detector : sl_task_classifier)(&r.o, &r.data, &r.task, err);
	if (s == SL_OK && r.o.from)
		s = sl_learn_from(&r.task, r.o.workers, r.o.from, r.from, err);
	if (s == SL_OK)
		s = choose_steps(&r, err);
	if (s != SL_OK)
		return s;
	make_info(&r);
	s = new_trainer(&r, &r.trainer, err);
	if (s == SL_OK && r.o.resume)
		s = load_checkpoint(&r, err);
	if (s == SL_OK)
		s = train(&r, err);
	if (s == SL_OK && r.data.nval)
		s = measure(&r, true, err);
	if (s == SL_OK)
		s = write_net(&r, (sl_mono_us() - from) / 1e6, err);
	if (s == SL_OK) {
		remove(r.checkpoint);
		*ret_info = SL_TAKE(r.info);
	}
	return s;
}
