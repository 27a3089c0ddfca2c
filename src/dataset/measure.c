/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/measure.h"
#include "base/mem.h"
#include "base/thread.h"
#include <stdatomic.h>
#include <stdio.h>

enum { CROP_BATCH = 64 };

void sl_part_of(const struct sl_source *s, enum sl_part part, uint64_t split_seed, bool *ret)
{
	SL_AUTOFREE int *cls = sl_calloc(SL_MAX(s->n, 1), sizeof *cls);
	SL_AUTOFREE int *group = sl_calloc(SL_MAX(s->n, 1), sizeof *group);

	for (int i = 0; i < s->n; i++) {
		cls[i] = s->sample[i].cls;
		group[i] = s->sample[i].group;
		ret[i] = true;
	}
	if (part == SL_PART_ALL)
		return;
	if (s->format->scenes)
		sl_source_split(NULL, group, s->n, SL_SPLIT_SCENES, split_seed, ret);
	else
		sl_source_split(cls, group, s->n, SL_SPLIT_CROPS, split_seed, ret);
	for (int i = 0; i < s->n && part == SL_PART_TRAIN; i++)
		ret[i] = !ret[i];
}

struct sl_measure_options sl_measure_defaults(bool detector)
{
	float mean = detector ? 127.5f : 0, scale = detector ? 64 : 1;

	return (struct sl_measure_options){.threads = 1,
		.side = 48,
		.context = 1.15f,
		.standardise = true,
		.mean = {mean, mean, mean},
		.scale = {scale, scale, scale},
		.stride = 32};
}

/* A list of samples shared by threads; job k is samples [k*step, k*step + step) of it. */
struct work {
	const struct sl_model *net;
	const struct sl_source *source;
	const struct sl_measure_options *o;
	int *sample, n, step, classes;
	float *logit; /* crops: n x classes */
	struct sl_detection *detection; /* scenes: n x SL_DETECT_MOST */
	int *found; /* scenes: how many */
	atomic_int next;
	pthread_mutex_t lock; /* err, status */
	struct sl_err *err;
	enum sl_status status;
	enum sl_status (*run)(struct work *w, struct sl_session *s, int first, int n, struct sl_err *err);
};

static void *work_main(void *arg)
{
	struct work *w = arg;
	struct sl_session *session = sl_session_new(w->net);
	int at;

	while ((at = atomic_fetch_add(&w->next, w->step)) < w->n) {
		struct sl_err err;
		enum sl_status s = w->run(w, session, at, SL_MIN(w->step, w->n - at), &err);

		if (s == SL_OK)
			continue;
		pthread_mutex_lock(&w->lock);
		if (w->status == SL_OK) {
			w->status = s;
			if (w->err)
				*w->err = err;
		}
		pthread_mutex_unlock(&w->lock);
		atomic_store(&w->next, w->n);
	}
	sl_session_free(session);
	return NULL;
}

static enum sl_status work_run(struct work *w)
{
	int threads = SL_MAX(1, SL_MIN(w->o->threads, 64));
	SL_AUTOFREE pthread_t *thread = sl_calloc(threads, sizeof *thread);

	pthread_mutex_init(&w->lock, NULL);
	for (int i = 1; i < threads; i++)
		thread[i] = sl_thread_start("measure", work_main, w);
	work_main(w);
	for (int i = 1; i < threads; i++)
		pthread_join(thread[i], NULL);
	pthread_mutex_destroy(&w->lock);
	return w->status;
}

static int list_samples(const struct sl_source *s, const bool *flags, bool with_class, int *ret)
{
	int n = 0;

	for (int i = 0; i < s->n; i++)
		if (flags[i] && (!with_class || s->sample[i].cls >= 0))
			ret[n++] = i;
	return n;
}

int sl_measure_classes(const struct sl_model *net)
{
	const struct sl_graph *g = sl_model_graph(net);
	SL_AUTOFREE struct sl_shape *shape = sl_calloc(g->nvalue, sizeof *shape);
	struct sl_shape in;

	if (g->ninput != 1 || g->noutput < 1)
		return -1;
	in = g->value[g->input[0]].shape;
	for (int i = 0; i < in.rank; i++)
		if (in.dim[i] < 0)
			in.dim[i] = i == 0 ? 1 : i == 1 ? 3 : 48;
	if (in.rank != 4 || sl_graph_shapes(g, &in, shape, NULL) != SL_OK)
		return -1;
	const struct sl_shape *out = &shape[g->output[0]];
	return out->rank == 2 && out->dim[0] == in.dim[0] && out->dim[1] > 0 && out->dim[1] < 100000 ? (int)out->dim[1]
												     : -1;
}

static enum sl_status run_crops(struct work *w, struct sl_session *session, int first, int n, struct sl_err *err)
{
	const struct sl_measure_options *o = w->o;
	size_t each = (size_t)3 * o->side * o->side;
	SL_AUTOFREE float *data = sl_aligned(n * each * sizeof *data);
	SL_AUTO(sl_image_done) struct sl_image crop = sl_image_new(o->side, o->side);
	struct sl_tensor in = {data, {4, {n, 3, o->side, o->side}}}, out[SL_NODE_IN];

	for (int i = 0; i < n; i++) {
		const struct sl_sample *s = &w->source->sample[w->sample[first + i]];
		struct sl_box b = {s->roi.x + s->roi.w * (1 - o->context) / 2,
			s->roi.y + s->roi.h * (1 - o->context) / 2, s->roi.w * o->context, s->roi.h * o->context};

		sl_image_crop_resize(&s->image, b, &crop);
		if (o->standardise)
			sl_input_sign(&crop, data + i * each);
		else
			sl_input_planes(&crop, o->side, o->side, o->mean, o->scale, data + i * each);
	}
	enum sl_status st = sl_session_run(session, &in, out, err);
	if (st != SL_OK)
		return st;
	if (out[0].shape.rank != 2 || out[0].shape.dim[0] != n || out[0].shape.dim[1] != w->classes)
		return sl_fail(err, SL_INVALID, "the net's output is not [%d, %d]", n, w->classes);
	memcpy(w->logit + (size_t)first * w->classes, out[0].data, (size_t)n * w->classes * sizeof(float));
	return SL_OK;
}

enum sl_status sl_measure_crops(const struct sl_model *net, const struct sl_source *s, const bool *flags,
	const struct sl_measure_options *o, struct sl_class_measure *m, struct sl_err *err)
{
	SL_AUTOFREE int *sample = sl_calloc(SL_MAX(s->n, 1), sizeof *sample);
	int n = list_samples(s, flags, true, sample), classes = sl_measure_classes(net);
	if (classes < 0)
		return sl_fail(err, SL_INVALID, "the net is no classifier of N,3,H,W images");
	SL_AUTOFREE float *logit = sl_calloc(SL_MAX((size_t)n * classes, 1), sizeof *logit);
	struct work w = {.net = net,
		.source = s,
		.o = o,
		.sample = sample,
		.n = n,
		.step = CROP_BATCH,
		.classes = classes,
		.logit = logit,
		.err = err,
		.run = run_crops};
	enum sl_status st = work_run(&w);

	for (int i = 0; i < n && st == SL_OK; i++)
		sl_class_measure_add(m, logit + (size_t)i * classes, s->sample[sample[i]].cls);
	return st;
}

static enum sl_status decode(const struct work *w, const struct sl_tensor *out, const struct sl_image *im, int iw,
	int ih, struct sl_detection *ret, int *ret_n, struct sl_err *err)
{
	const struct sl_detect_options o = {SL_DETECT_SCORE, SL_DETECT_IOU, im->w, im->h, SL_DETECT_MOST};
	const struct sl_shape *s = &out->shape;

	if (w->o->yolov5 && s->rank == 3 && s->dim[0] == 1 && s->dim[2] >= 5)
		*ret_n = sl_detect_yolov5(out->data, (int)s->dim[1], (int)s->dim[2] - 5, &o, ret);
	else if (!w->o->yolov5 && s->rank == 4 && s->dim[1] == 5 && s->dim[2] == ih / 4 && s->dim[3] == iw / 4)
		*ret_n = sl_detect_center4(out->data, (int)s->dim[2], (int)s->dim[3], &o, ret);
	else
		return sl_fail(err, SL_INVALID, "the net's output is not that of a %s detector",
			w->o->yolov5 ? "YOLOv5" : "centre-4");
	return SL_OK;
}

static enum sl_status run_scene(struct work *w, struct sl_session *session, int first, int n, struct sl_err *err)
{
	const struct sl_image *im = &w->source->sample[w->sample[first]].image;
	int stride = w->o->stride, iw = (im->w + stride - 1) / stride * stride,
	    ih = (im->h + stride - 1) / stride * stride;
	SL_AUTOFREE float *data = sl_aligned((size_t)3 * iw * ih * sizeof *data);
	struct sl_tensor in = {data, {4, {1, 3, ih, iw}}}, out[SL_NODE_IN];

	sl_input_planes(im, iw, ih, w->o->mean, w->o->scale, data);
	enum sl_status st = sl_session_run(session, &in, out, err);
	return st == SL_OK ? decode(w, &out[0], im, iw, ih, w->detection + (size_t)first * SL_DETECT_MOST,
				     &w->found[first], err)
			   : st;
}

enum sl_status sl_measure_scenes(const struct sl_model *net, const struct sl_source *s, const bool *flags,
	const struct sl_measure_options *o, struct sl_detection_measure *m, struct sl_err *err)
{
	SL_AUTOFREE int *sample = sl_calloc(SL_MAX(s->n, 1), sizeof *sample);
	int n = list_samples(s, flags, false, sample);
	SL_AUTOFREE struct sl_detection *detection =
		sl_calloc((size_t)SL_MAX(n, 1) * SL_DETECT_MOST, sizeof *detection);
	SL_AUTOFREE int *found = sl_calloc(SL_MAX(n, 1), sizeof *found);
	struct work w = {.net = net,
		.source = s,
		.o = o,
		.sample = sample,
		.n = n,
		.step = 1,
		.detection = detection,
		.found = found,
		.err = err,
		.run = run_scene};
	enum sl_status st = work_run(&w);

	for (int i = 0; i < n && st == SL_OK; i++) {
		const struct sl_sample *p = &s->sample[sample[i]];
		SL_AUTOFREE struct sl_box *box = sl_calloc(SL_MAX(p->nbox, 1), sizeof *box);
		SL_AUTOFREE bool *ignored = sl_calloc(SL_MAX(p->nbox, 1), sizeof *ignored);

		for (int k = 0; k < p->nbox; k++) {
			box[k] = p->box[k].box;
			ignored[k] = p->box[k].ignored;
		}
		sl_detection_measure_add(m, detection + (size_t)i * SL_DETECT_MOST, found[i], box, ignored, p->nbox);
	}
	return st;
}

static void set(json_t *o, const char *name, double v)
{
	json_object_set_new(o, name, json_real(v));
}

json_t *sl_class_score_json(const struct sl_class_score *s)
{
	json_t *o = json_object(), *list = json_array();

	json_object_set_new(o, "n", json_integer(s->n));
	json_object_set_new(o, "right", json_integer(s->right));
	set(o, "accuracy", s->accuracy);
	set(o, "mean_recall", s->mean_recall);
	set(o, "nll", s->nll);
	set(o, "ece", s->ece);
	for (int c = 0; c < s->classes; c++) {
		json_t *e = json_object();

		json_object_set_new(e, "class", json_integer(c));
		json_object_set_new(e, "n", json_integer(s->class_n[c]));
		json_object_set_new(e, "right", json_integer(s->class_right[c]));
		json_object_set_new(e, "said", json_integer(s->class_said[c]));
		if (s->class_n[c])
			set(e, "recall", (double)s->class_right[c] / s->class_n[c]);
		if (s->class_said[c])
			set(e, "precision", (double)s->class_right[c] / s->class_said[c]);
		json_array_append_new(list, e);
	}
	json_object_set_new(o, "per_class", list);
	return o;
}

json_t *sl_detection_score_json(const struct sl_detection_score *s)
{
	static const char *const names[SL_SIZES] = {"0-16", "16-32", "32-64", "64-"};
	json_t *o = json_object(), *sizes = json_object();

	json_object_set_new(o, "scenes", json_integer(s->scenes));
	json_object_set_new(o, "boxes", json_integer(s->boxes));
	set(o, "map50", s->ap);
	set(o, "ap11", s->ap11);
	set(o, "threshold", s->threshold);
	set(o, "precision", s->precision);
	set(o, "recall", s->recall);
	set(o, "f1", s->f1);
	set(o, "false_per_scene", s->false_a_scene);
	json_object_set_new(o, "found_at_any_score", json_integer(s->found_any));
	for (int i = 0; i < SL_SIZES; i++) {
		json_t *e = json_object();

		json_object_set_new(e, "boxes", json_integer(s->size_boxes[i]));
		json_object_set_new(e, "found", json_integer(s->size_found[i]));
		if (s->size_boxes[i])
			set(e, "recall", (double)s->size_found[i] / s->size_boxes[i]);
		json_object_set_new(sizes, names[i], e);
	}
	json_object_set_new(o, "recall_by_size", sizes);
	return o;
}
