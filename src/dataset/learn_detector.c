/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "dataset/learn_task.h"
#include "nn/train/schedule.h"
#include "vision/augment.h"
#include <math.h>
#include <stdio.h>

#define PEAK_AT_16 0.004
#define LEAST_PASTED 28.0f /* smaller side of a sign that is pasted: smaller ones are a blur */
enum { RECIPE_STEPS = 5300, RECIPE_BATCH = 16 };

struct worker {
	struct sl_image crop;
	struct sl_target_box (*box)[SL_CROP_BOXES];
	struct sl_targets *targets;
};

struct detector {
	uint64_t seed;
	struct sl_scene_set set;
	struct sl_scene *scene;
	struct sl_target_box *box; /* of all scenes */
	int *scene_of_box, *index_of_box;
	struct sl_paste *paste[2];
	const struct sl_image **negative;
	int nworker;
	struct worker *worker;
};

static void free_detector(void *priv)
{
	struct detector *d = priv;

	for (int i = 0; d->worker && i < d->nworker; i++) {
		sl_image_done(&d->worker[i].crop);
		free(d->worker[i].box);
		free(d->worker[i].targets);
	}
	free(d->worker);
	free(d->scene);
	free(d->box);
	free(d->scene_of_box);
	free(d->index_of_box);
	free(d->paste[0]);
	free(d->paste[1]);
	free(d->negative);
	free(d);
}

static enum sl_status fill(void *arg, int worker, int64_t step, struct sl_tensor *in, struct sl_err *err)
{
	struct detector *d = arg;
	struct worker *w = &d->worker[worker];
	size_t each = (size_t)3 * SL_CROP_SIDE * SL_CROP_SIDE;

	for (int i = 0; i < in->shape.dim[0]; i++) {
		struct sl_rng r = sl_augment_rng(d->seed, step, worker, i);

		w->targets[i].box = w->box[i];
		sl_augment_crop(&d->set, &r, &w->crop, w->box[i], &w->targets[i].n);
		sl_input_scene(&w->crop, SL_CROP_SIDE, SL_CROP_SIDE, 127.5f, 64, in->data + i * each);
	}
	return SL_OK;
}

static float loss(
	void *arg, int worker, int64_t step, const struct sl_tensor *out, struct sl_tensor *grad, float parts[4])
{
	struct detector *d = arg;

	return sl_loss_center(out, d->worker[worker].targets, grad, parts);
}

static float rate(double progress, int batch)
{
	return sl_lr_detector(progress, batch >= RECIPE_BATCH ? PEAK_AT_16 : 0.003);
}

static enum sl_status measure(struct sl_task *t, const struct sl_model *net, int threads, json_t *info,
	double *ret_score, char text[SL_ERR_TEXT], struct sl_err *err)
{
	struct sl_detection_measure *m = sl_detection_measure_new(0.5f);
	struct sl_measure_options o = sl_measure_defaults(true);
	struct sl_detection_score score;
	enum sl_status s = SL_OK;

	o.threads = threads;
	for (int i = 0; i < t->data->n && s == SL_OK; i++)
		if (t->data->part[i].source->format->scenes)
			s = sl_measure_scenes(net, t->data->part[i].source, t->data->part[i].val, &o, m, err);
	if (s == SL_OK) {
		sl_detection_measure_end(m, &score);
		snprintf(text, SL_ERR_TEXT,
			"validation: AP %.4f, AP11 %.4f; at threshold %.3f precision %.3f, recall %.3f, %.3f false a scene",
			score.ap, score.ap11, score.threshold, score.precision, score.recall, score.false_a_scene);
		*ret_score = score.ap;
		json_object_set_new(info, "threshold", json_real(score.threshold));
		json_object_set_new(info, "validation", sl_detection_score_json(&score));
	}
	sl_detection_measure_free(m);
	return s;
}

/* TT100K's round signs: folders p and a digit, l, m, h, n or b. */
static bool is_round_tt100k(const char *name)
{
	return name[0] == 'p' && name[1] && strchr("0123456789lmhnb", name[1]);
}

static void collect_crops(struct detector *d, const struct sl_source *s)
{
	int list = s->class_name ? 1 : 0; /* named folders are TT100K's */
	int room = d->set.nsign[list] + s->n;
	bool gtsrb = strcmp(s->format->name, "gtsrb") == 0;

	d->paste[list] = sl_realloc(d->paste[list], room, sizeof *d->paste[list]);
	d->negative = sl_realloc(d->negative, d->set.nnegative + s->n, sizeof *d->negative);
	for (int i = 0; i < s->n; i++) {
		const struct sl_sample *p = &s->sample[i];

		if (p->cls < 0)
			d->negative[d->set.nnegative++] = &p->image;
		else if (list ? is_round_tt100k(s->class_name[p->cls]) : fminf(p->roi.w, p->roi.h) >= LEAST_PASTED)
			d->paste[list][d->set.nsign[list]++] = (struct sl_paste){
				&p->image, p->roi, gtsrb ? sl_shape_of_gtsrb(p->cls) : SL_SHAPE_ELLIPSE};
	}
}

static void collect_scenes(struct detector *d, const struct sl_learn_part *p)
{
	const struct sl_source *s = p->source;
	struct sl_scene_set *set = &d->set;

	for (int i = 0; i < s->n; i++) {
		const struct sl_sample *m = &s->sample[i];

		if (!p->train[i])
			continue;
		d->scene[set->nscene] = (struct sl_scene){&m->image, d->box, m->nbox};
		for (int k = 0; k < m->nbox; k++) {
			struct sl_box b = m->box[k].box;

			*d->box++ = (struct sl_target_box){b.x, b.y, b.x + b.w, b.y + b.h, m->box[k].ignored};
			if (m->box[k].ignored)
				continue;
			d->scene_of_box[set->nbox] = set->nscene;
			d->index_of_box[set->nbox++] = k;
		}
		set->nscene++;
	}
}

static void collect(struct detector *d, const struct sl_learn_data *data)
{
	struct sl_scene_set *set = &d->set;
	size_t scenes = 0, boxes = 0;

	for (int i = 0; i < data->n; i++)
		for (int k = 0; k < data->part[i].source->n; k++) {
			scenes++;
			boxes += data->part[i].source->sample[k].nbox;
		}
	struct sl_target_box *all = sl_calloc(boxes + 1, sizeof *all);
	d->box = all;
	d->scene = sl_calloc(scenes + 1, sizeof *d->scene);
	d->scene_of_box = sl_calloc(boxes + 1, sizeof *d->scene_of_box);
	d->index_of_box = sl_calloc(boxes + 1, sizeof *d->index_of_box);
	for (int i = 0; i < data->n; i++)
		if (data->part[i].source->format->scenes)
			collect_scenes(d, &data->part[i]);
		else
			collect_crops(d, data->part[i].source);
	d->box = all;
	set->scene = d->scene;
	set->scene_of_box = d->scene_of_box;
	set->index_of_box = d->index_of_box;
	set->sign[0] = d->paste[0];
	set->sign[1] = d->paste[1];
	set->negative = d->negative;
}

enum sl_status sl_task_detector(
	const struct sl_learn_options *o, const struct sl_learn_data *data, struct sl_task *ret, struct sl_err *err)
{
	struct detector *d = SL_NEW(struct detector);
	int each = o->batch / o->workers;

	d->seed = o->seed;
	collect(d, data);
	if (d->set.nscene == 0 || d->set.nbox == 0) {
		free_detector(d);
		return sl_fail(err, SL_INVALID, "a detector needs scenes with boxes, such as --data gtsdb:PATH");
	}
	d->nworker = o->workers;
	d->worker = sl_calloc(o->workers, sizeof *d->worker);
	for (int i = 0; i < o->workers; i++) {
		d->worker[i].crop = sl_image_new(SL_CROP_SIDE, SL_CROP_SIDE);
		d->worker[i].box = sl_calloc(each, sizeof *d->worker[i].box);
		d->worker[i].targets = sl_calloc(each, sizeof *d->worker[i].targets);
	}
	*ret = (struct sl_task){.recipe = "center4",
		.graph = sl_net_detector(o->seed),
		.input = {4, {o->batch, 3, SL_CROP_SIDE, SL_CROP_SIDE}},
		.batch = {d, fill, loss},
		.bn_momentum = 0.03f,
		.clip_norm = 10,
		.recipe_steps = (int64_t)RECIPE_STEPS * RECIPE_BATCH / o->batch,
		.samples_an_epoch = (double)RECIPE_STEPS * RECIPE_BATCH / 10,
		.rate = rate,
		.measure = measure,
		.data = data,
		.priv = d,
		.free_priv = free_detector};
	return SL_OK;
}
