/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "dataset/learn_task.h"
#include "nn/train/schedule.h"
#include "vision/augment.h"
#include <math.h>
#include <stdio.h>

#define SMOOTHING 0.05f
#define DROPOUT 0.1f
#define HALF_PEAK 0.002
#define WARMUP 0.1
enum { RECIPE_EPOCHS = 14 };

struct worker {
	struct sl_image crop;
	int *label;
};

struct classifier {
	uint64_t seed;
	int classes, side;
	const struct sl_sample **sample; /* trained on, by class */
	int *first; /* of class c; first[classes] is the end */
	float *upto; /* running sum of sqrt(images) of the classes before and c */
	int nworker;
	struct worker *worker;
};

static void free_classifier(void *priv)
{
	struct classifier *c = priv;

	for (int i = 0; c->worker && i < c->nworker; i++) {
		sl_image_done(&c->worker[i].crop);
		free(c->worker[i].label);
	}
	free(c->worker);
	free(c->sample);
	free(c->first);
	free(c->upto);
	free(c);
}

/* An image weighs (images of its class)^-0.5, so a class weighs the root of its number. */
static const struct sl_sample *draw(const struct classifier *c, struct sl_rng *r)
{
	float u = sl_rng_unit(r) * c->upto[c->classes - 1];
	int k = 0;

	while (k < c->classes - 1 && u >= c->upto[k])
		k++;
	while (c->first[k + 1] == c->first[k]) /* rounding put u past the last class that has images */
		k--;
	return c->sample[c->first[k] + sl_rng_below(r, c->first[k + 1] - c->first[k])];
}

static enum sl_status fill(void *arg, int worker, int64_t step, struct sl_tensor *in, struct sl_err *err)
{
	struct classifier *c = arg;
	struct worker *w = &c->worker[worker];
	size_t each = (size_t)3 * c->side * c->side;

	for (int i = 0; i < in->shape.dim[0]; i++) {
		struct sl_rng r = sl_augment_rng(c->seed, step, worker, i);
		const struct sl_sample *s = draw(c, &r);

		sl_augment_sign(&s->image, s->roi, &r, &w->crop);
		sl_input_sign(&w->crop, in->data + i * each);
		w->label[i] = s->cls;
	}
	return SL_OK;
}

static float loss(
	void *arg, int worker, int64_t step, const struct sl_tensor *out, struct sl_tensor *grad, float parts[4])
{
	struct classifier *c = arg;
	const int *label = c->worker[worker].label;
	int n = (int)out->shape.dim[0], k = c->classes, right = 0;

	for (int i = 0; i < n; i++) {
		const float *z = out->data + (size_t)i * k;
		int best = 0;

		for (int j = 1; j < k; j++)
			if (z[j] > z[best])
				best = j;
		right += best == label[i];
	}
	parts[0] = (float)right / n;
	return sl_loss_smooth(out, label, SMOOTHING, grad);
}

static float rate(double progress, int batch)
{
	return sl_lr_classifier(progress, HALF_PEAK * batch / 64, WARMUP);
}

static enum sl_status measure(struct sl_task *t, const struct sl_model *net, int threads, json_t *info,
	double *ret_score, char text[SL_ERR_TEXT], struct sl_err *err)
{
	struct classifier *c = t->priv;
	struct sl_class_measure *m = sl_class_measure_new(c->classes);
	struct sl_measure_options o = sl_measure_defaults(false);
	struct sl_class_score raw, calibrated;
	enum sl_status s = SL_OK;

	o.threads = threads;
	for (int i = 0; i < t->data->n && s == SL_OK; i++)
		s = sl_measure_crops(net, t->data->part[i].source, t->data->part[i].val, &o, m, err);
	if (s == SL_OK) {
		float temperature = sl_class_measure_temperature(m);

		sl_class_measure_end(m, 1, &raw);
		snprintf(text, SL_ERR_TEXT, "validation: %d of %d wrong, accuracy %.4f, mean class recall %.4f",
			raw.n - raw.right, raw.n, raw.accuracy, raw.mean_recall);
		*ret_score = raw.accuracy;
		json_object_set_new(info, "temperature", json_real(temperature));
		json_object_set_new(info, "ece_uncalibrated", json_real(raw.ece));
		sl_class_measure_end(m, temperature, &calibrated);
		json_object_set_new(info, "validation", sl_class_score_json(&calibrated));
	}
	sl_class_measure_free(m);
	return s;
}

static void collect(struct classifier *c, const struct sl_learn_data *d)
{
	SL_AUTOFREE int *at = sl_calloc(c->classes + 1, sizeof *at);

	for (int pass = 0; pass < 2; pass++) {
		for (int p = 0; p < d->n; p++)
			for (int i = 0; i < d->part[p].source->n; i++) {
				const struct sl_sample *s = &d->part[p].source->sample[i];

				if (!d->part[p].train[i] || s->cls < 0)
					continue;
				if (pass == 0)
					c->first[s->cls + 1]++;
				else
					c->sample[at[s->cls]++] = s;
			}
		for (int k = 0; k < c->classes && pass == 0; k++) {
			c->upto[k] = (k ? c->upto[k - 1] : 0) + sqrtf(c->first[k + 1]);
			c->first[k + 1] += c->first[k];
		}
		for (int k = 0; k <= c->classes; k++)
			at[k] = c->first[k];
	}
}

enum sl_status sl_task_classifier(
	const struct sl_learn_options *o, const struct sl_learn_data *d, struct sl_task *ret, struct sl_err *err)
{
	int classes = o->classes;

	for (int i = 0; i < d->n; i++) {
		if (d->part[i].source->format->scenes)
			return sl_fail(err, SL_INVALID, "%s has scenes; a classifier learns from crops with a class",
				o->data[i]);
		classes = SL_MAX(classes, d->part[i].source->nclass);
	}
	if (classes < 2 || d->ntrain < 1)
		return sl_fail(err, SL_INVALID, "a classifier needs images of at least two classes");
	struct classifier *c = SL_NEW(struct classifier);
	c->seed = o->seed;
	c->classes = classes;
	c->side = SL_SIGN_SIDE;
	c->sample = sl_calloc(d->ntrain, sizeof *c->sample);
	c->first = sl_calloc(classes + 1, sizeof *c->first);
	c->upto = sl_calloc(classes, sizeof *c->upto);
	c->nworker = o->workers;
	c->worker = sl_calloc(o->workers, sizeof *c->worker);
	for (int i = 0; i < o->workers; i++) {
		c->worker[i].crop = sl_image_new(c->side, c->side);
		c->worker[i].label = sl_calloc(o->batch / o->workers, sizeof(int));
	}
	collect(c, d);
	*ret = (struct sl_task){.recipe = "signs48",
		.graph = sl_net_classifier(classes, DROPOUT, o->seed),
		.input = {4, {o->batch, 3, c->side, c->side}},
		.batch = {c, fill, loss},
		.bn_momentum = 0.1f,
		.clip_norm = 0,
		.recipe_steps = (int64_t)RECIPE_EPOCHS * d->ntrain / o->batch,
		.samples_an_epoch = d->ntrain,
		.rate = rate,
		.measure = measure,
		.data = d,
		.priv = c,
		.free_priv = free_classifier};
	return SL_OK;
}
