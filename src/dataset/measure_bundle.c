/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/measure_bundle.h"
#include "base/mem.h"
#include "base/thread.h"
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

struct sl_bundle_measure {
	struct sl_bundle *bundle;
	struct sl_detection_measure *curve;
	struct sl_class_measure *classes; /* of found boxes */
	struct sl_bundle_score sum;
	double *us[SL_STAGES + 1]; /* of each scene; the last is their sum */
	int room;
};

struct sl_bundle_measure *sl_bundle_measure_new(struct sl_bundle *b)
{
	struct sl_bundle_measure *m = SL_NEW(struct sl_bundle_measure);

	m->bundle = sl_bundle_ref(b);
	m->curve = sl_detection_measure_new(SL_BUNDLE_IOU);
	m->classes = sl_class_measure_new(b->taxonomy->n);
	return m;
}

void sl_bundle_measure_free(struct sl_bundle_measure *m)
{
	if (!m)
		return;
	for (int i = 0; i <= SL_STAGES; i++)
		free(m->us[i]);
	sl_class_measure_free(m->classes);
	sl_detection_measure_free(m->curve);
	sl_bundle_unref(m->bundle);
	free(m);
}

/* What one scene gave, kept until its turn so that the sums do not depend on threads. */
struct seen {
	struct sl_detection *curve;
	struct sl_sign *sign;
	int ncurve, nsign;
	int64_t us[SL_STAGES];
};

struct work {
	struct sl_bundle *bundle;
	const struct sl_source *source;
	struct seen *seen; /* one a sample */
	const bool *flags;
	atomic_int next;
	pthread_mutex_t lock; /* err, status */
	enum sl_status status;
	struct sl_err *err;
};

static enum sl_status look(struct work *w, struct sl_pipeline *p, struct sl_seen *frame, int i, struct sl_err *err)
{
	struct sl_slice file = sl_buf_slice(&w->source->sample[i].file);
	SL_AUTO(sl_image_done) struct sl_image im = {0};
	struct sl_detection found[SL_SIGNS_MAX];
	struct seen *s = &w->seen[i];
	enum sl_status st = sl_image_decode(file, SL_SOURCE_PIXELS, &im, err);

	if (st == SL_OK)
		st = sl_pipeline_detect(p, w->bundle, &im, SL_DETECT_SCORE, found, &s->ncurve, err);
	if (st == SL_OK)
		st = sl_pipeline_run(p, w->bundle, file, SL_SOURCE_PIXELS, SL_FOREVER, frame, err);
	if (st != SL_OK)
		return sl_prefix(err, st, "%s", w->source->sample[i].name);
	s->nsign = frame->n;
	memcpy(s->us, frame->us, sizeof s->us);
	sl_seen_done(frame); /* the crops; the signs stay readable */
	s->sign = sl_memdup(frame->sign, s->nsign * sizeof *s->sign);
	s->curve = sl_memdup(found, s->ncurve * sizeof *found);
	return SL_OK;
}

static void *work_main(void *arg)
{
	struct work *w = arg;
	struct sl_pipeline *p = sl_pipeline_new();
	SL_AUTOFREE struct sl_seen *frame = SL_NEW(struct sl_seen);
	int i;

	while ((i = atomic_fetch_add(&w->next, 1)) < w->source->n) {
		struct sl_err err;
		enum sl_status s = w->flags[i] ? look(w, p, frame, i, &err) : SL_OK;

		if (s == SL_OK)
			continue;
		pthread_mutex_lock(&w->lock);
		if (w->status == SL_OK) {
			w->status = s;
			*w->err = err;
		}
		pthread_mutex_unlock(&w->lock);
		atomic_store(&w->next, w->source->n);
	}
	sl_pipeline_free(p);
	return NULL;
}

static void work_run(struct work *w, int threads)
{
	SL_AUTOFREE pthread_t *thread = sl_calloc(threads, sizeof *thread);

	pthread_mutex_init(&w->lock, NULL);
	for (int i = 1; i < threads; i++)
		thread[i] = sl_thread_start("measure", work_main, w);
	work_main(w);
	for (int i = 1; i < threads; i++)
		pthread_join(thread[i], NULL);
	pthread_mutex_destroy(&w->lock);
}

/* The calibrated confidences as logits; what they leave of 1 is shared by the other classes, so
 * that their softmax is the confidences again. */
static void to_logits(const struct sl_sign *s, int classes, float *ret)
{
	double rest = 1;

	for (int i = 0; i < s->ncandidate; i++)
		rest -= s->candidate[i].confidence;
	rest = fmax(rest, 0) / SL_MAX(classes - s->ncandidate, 1);
	for (int c = 0; c < classes; c++)
		ret[c] = (float)log(fmax(rest, 1e-30));
	for (int i = 0; i < s->ncandidate; i++)
		ret[s->candidate[i].cls] = (float)log(fmax(s->candidate[i].confidence, 1e-30));
}

static void add_sign(struct sl_bundle_measure *m, const struct sl_sign *s, int cls)
{
	struct sl_bundle_score *sum = &m->sum;
	int classes = m->bundle->taxonomy->n;
	bool right = cls >= 0 && s->candidate[0].cls == cls;
	SL_AUTOFREE float *logit = sl_calloc(classes, sizeof *logit);

	sum->signs++;
	sum->right += right;
	sum->accepted += s->accepted;
	sum->accepted_right += s->accepted && right;
	sum->review += !s->accepted;
	sum->review_right += !s->accepted && right;
	if (cls < 0)
		return;
	sum->found++;
	to_logits(s, classes, logit);
	sl_class_measure_add(m->classes, logit, cls);
}

static void add_times(struct sl_bundle_measure *m, const int64_t *us)
{
	int at = m->sum.scenes;
	double total = 0;

	if (at == m->room) {
		m->room = 2 * m->room + 64;
		for (int i = 0; i <= SL_STAGES; i++)
			m->us[i] = sl_realloc(m->us[i], m->room, sizeof *m->us[i]);
	}
	for (int i = 0; i < SL_STAGES; i++) {
		m->us[i][at] = (double)us[i];
		total += (double)us[i];
	}
	m->us[SL_STAGES][at] = total;
}

static void add_scene(struct sl_bundle_measure *m, const struct sl_sample *p, const struct seen *s)
{
	SL_AUTOFREE struct sl_truth *truth = sl_calloc(SL_MAX(p->nbox, 1), sizeof *truth);
	SL_AUTOFREE struct sl_box *box = sl_calloc(SL_MAX(p->nbox, 1), sizeof *box);
	SL_AUTOFREE bool *ignored = sl_calloc(SL_MAX(p->nbox, 1), sizeof *ignored);

	for (int i = 0; i < p->nbox; i++) {
		truth[i] = (struct sl_truth){p->box[i].box, p->box[i].ignored, false};
		box[i] = p->box[i].box;
		ignored[i] = p->box[i].ignored;
		m->sum.boxes += !ignored[i];
	}
	sl_detection_measure_add(m->curve, s->curve, s->ncurve, box, ignored, p->nbox);
	for (int i = 0; i < s->nsign; i++) {
		const int *b = s->sign[i].box;
		int at = sl_detection_take(&(struct sl_box){b[0], b[1], b[2], b[3]}, truth, p->nbox, SL_BUNDLE_IOU);

		if (at != SL_TAKES_IGNORED)
			add_sign(m, &s->sign[i], at < 0 ? SL_CLASS_NONE : p->box[at].cls);
	}
	add_times(m, s->us);
	m->sum.scenes++;
}

static enum sl_status check_classes(
	const struct sl_bundle *b, const struct sl_source *s, const bool *flags, struct sl_err *err)
{
	for (int i = 0; i < s->n; i++)
		for (int k = 0; k < s->sample[i].nbox && flags[i]; k++) {
			int cls = s->sample[i].box[k].cls;

			if (s->sample[i].box[k].ignored)
				continue;
			if (cls == SL_CLASS_UNKNOWN)
				return sl_fail(err, SL_INVALID,
					"%s: it does not tell the signs' classes; measure the detector on it", s->spec);
			if (cls >= b->taxonomy->n)
				return sl_fail(err, SL_INVALID,
					"%s: %s has a sign of class %d; the bundle's '%s' has %d", s->spec,
					s->sample[i].name, cls, b->taxonomy->name, b->taxonomy->n);
		}
	return SL_OK;
}

enum sl_status sl_measure_bundle(
	struct sl_bundle_measure *m, const struct sl_source *s, const bool *flags, int threads, struct sl_err *err)
{
	SL_AUTOFREE struct seen *seen = sl_calloc(SL_MAX(s->n, 1), sizeof *seen);
	struct work w = {.bundle = m->bundle, .source = s, .seen = seen, .flags = flags, .err = err};
	enum sl_status st = check_classes(m->bundle, s, flags, err);

	if (st != SL_OK)
		return st;
	work_run(&w, SL_MAX(1, SL_MIN(threads, 64)));
	for (int i = 0; i < s->n; i++) {
		if (w.status == SL_OK && flags[i])
			add_scene(m, &s->sample[i], &seen[i]);
		free(seen[i].curve);
		free(seen[i].sign);
	}
	return w.status;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median_ms(double *us, int n)
{
	if (n == 0)
		return 0;
	qsort(us, n, sizeof *us, by_value);
	return us[n / 2] / 1000;
}

static double share(int part, int of)
{
	return of ? (double)part / of : 0;
}

void sl_bundle_measure_end(struct sl_bundle_measure *m, struct sl_bundle_score *ret)
{
	struct sl_detection_score curve;
	struct sl_class_score classes;

	*ret = m->sum;
	sl_detection_measure_end(m->curve, &curve);
	sl_class_measure_end(m->classes, 1, &classes);
	ret->map50 = curve.ap;
	ret->ece = classes.ece;
	ret->class_accuracy = share(ret->right, ret->found);
	ret->precision = share(ret->right, ret->signs);
	ret->recall = share(ret->right, ret->boxes);
	ret->f1 = 2 * ret->precision * ret->recall / fmax(ret->precision + ret->recall, 1e-12);
	for (int i = 0; i < SL_STAGES; i++)
		ret->ms[i] = median_ms(m->us[i], ret->scenes);
	ret->ms_total = median_ms(m->us[SL_STAGES], ret->scenes);
}

json_t *sl_bundle_score_json(const struct sl_bundle_score *s)
{
	return json_pack("{s:i, s:i, s:i, s:i, s:f, s:f, s:{s:i, s:f, s:f, s:f}, s:{s:i, s:i}, s:{s:i, s:i}, s:{s:f},"
			 "s:{s:f, s:f, s:f, s:f, s:f}}",
		"scenes", s->scenes, "boxes", s->boxes, "signs", s->signs, "found", s->found, "map50", s->map50,
		"class_accuracy", s->class_accuracy, "end_to_end", "right", s->right, "precision", s->precision,
		"recall", s->recall, "f1", s->f1, "accepted", "n", s->accepted, "right", s->accepted_right, "review",
		"n", s->review, "right", s->review_right, "calibration", "ece", s->ece, "ms", "decode",
		s->ms[SL_STAGE_DECODE], "detect", s->ms[SL_STAGE_DETECT], "crop", s->ms[SL_STAGE_CROP], "classify",
		s->ms[SL_STAGE_CLASSIFY], "total", s->ms_total);
}
