/* SPDX-License-Identifier: Apache-2.0 */
#include "vision/detect.h"
#include "base/mem.h"
#include <math.h>

enum { STRIDE = 4 };
#define LOGIT_LEAST -3.0f /* box logits are clamped as in training */
#define LOGIT_MOST 4.0f

float sl_box_iou(const struct sl_box *a, const struct sl_box *b)
{
	float w = fminf(a->x + a->w, b->x + b->w) - fmaxf(a->x, b->x);
	float h = fminf(a->y + a->h, b->y + b->h) - fmaxf(a->y, b->y);

	if (!(w > 0 && h > 0))
		return 0;
	return w * h / (a->w * a->h + b->w * b->h - w * h);
}

static int by_score(const void *a, const void *b)
{
	float x = ((const struct sl_detection *)a)->score, y = ((const struct sl_detection *)b)->score;

	return (y > x) - (y < x);
}

/* qsort is free to reorder equals; insertion keeps their order and n is small. */
static void sort_detections(struct sl_detection *d, int n)
{
	if (n > 4 * SL_DETECT_MOST) {
		qsort(d, n, sizeof *d, by_score);
		return;
	}
	for (int i = 1; i < n; i++) {
		struct sl_detection t = d[i];
		int k = i;

		for (; k > 0 && d[k - 1].score < t.score; k--)
			d[k] = d[k - 1];
		d[k] = t;
	}
}

int sl_detect_nms(struct sl_detection *d, int n, float iou, bool by_class)
{
	int kept = 0;

	sort_detections(d, n);
	for (int i = 0; i < n; i++) {
		bool free_of_others = true;

		for (int k = 0; k < kept && free_of_others; k++)
			free_of_others = (by_class && d[k].cls != d[i].cls) || sl_box_iou(&d[k].box, &d[i].box) <= iou;
		if (free_of_others)
			d[kept++] = d[i];
	}
	return kept;
}

static bool clip(struct sl_box *b, float x1, float y1, float x2, float y2, const struct sl_detect_options *o)
{
	x1 = fmaxf(x1, 0);
	y1 = fmaxf(y1, 0);
	x2 = fminf(x2, o->scene_w);
	y2 = fminf(y2, o->scene_h);
	*b = (struct sl_box){x1, y1, x2 - x1, y2 - y1};
	return x2 > x1 && y2 > y1; /* false for NaN too */
}

/* Keeps the `most` best of a stream in ret, unordered but with the worst at ret[0] (a heap). */
static void keep_best(struct sl_detection *heap, int *n, int most, const struct sl_detection *d)
{
	int i, child;

	if (*n < most) {
		for (i = (*n)++; i > 0 && heap[(i - 1) / 2].score > d->score; i = (i - 1) / 2)
			heap[i] = heap[(i - 1) / 2];
		heap[i] = *d;
		return;
	}
	if (most <= 0 || d->score <= heap[0].score)
		return;
	for (i = 0; (child = 2 * i + 1) < most; i = child) {
		if (child + 1 < most && heap[child + 1].score < heap[child].score)
			child++;
		if (heap[child].score >= d->score)
			break;
		heap[i] = heap[child];
	}
	heap[i] = *d;
}

static bool is_peak(const float *z, int x, int y, int w, int h)
{
	float v = z[(size_t)y * w + x];

	for (int j = SL_MAX(y - 1, 0); j <= SL_MIN(y + 1, h - 1); j++)
		for (int i = SL_MAX(x - 1, 0); i <= SL_MIN(x + 1, w - 1); i++)
			if (z[(size_t)j * w + i] > v)
				return false;
	return true;
}

static float side_of(float logit)
{
	return STRIDE * expf(fminf(fmaxf(logit, LOGIT_LEAST), LOGIT_MOST));
}

int sl_detect_center4(const float *out, int h, int w, const struct sl_detect_options *o, struct sl_detection *ret)
{
	float least = logf(o->min_score / (1 - o->min_score)); /* compare logits: no exp for empty cells */
	const float *box = out + (size_t)h * w;
	size_t plane = (size_t)h * w;
	int n = 0;

	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++) {
			size_t at = (size_t)y * w + x;
			float cx = STRIDE * x + STRIDE / 2, cy = STRIDE * y + STRIDE / 2;
			struct sl_detection d = {.score = out[at]};

			if (!(out[at] > least) || !is_peak(out, x, y, w, h))
				continue;
			d.score = 1 / (1 + expf(-out[at]));
			if (clip(&d.box, cx - side_of(box[at]), cy - side_of(box[plane + at]),
				    cx + side_of(box[2 * plane + at]), cy + side_of(box[3 * plane + at]), o))
				keep_best(ret, &n, o->most, &d);
		}
	return sl_detect_nms(ret, n, o->iou, false);
}

int sl_detect_yolov5(const float *out, int n, int classes, const struct sl_detect_options *o, struct sl_detection *ret)
{
	int kept = 0;

	for (int i = 0; i < n; i++, out += 5 + classes) {
		struct sl_detection d = {.score = out[4]};

		if (!(out[4] > o->min_score))
			continue;
		for (int c = 1; c < classes; c++)
			if (out[5 + c] > out[5 + d.cls])
				d.cls = c;
		if (classes > 0)
			d.score *= out[5 + d.cls];
		if (d.score > o->min_score && clip(&d.box, out[0] - out[2] / 2, out[1] - out[3] / 2,
						      out[0] + out[2] / 2, out[1] + out[3] / 2, o))
			keep_best(ret, &kept, o->most, &d);
	}
	return sl_detect_nms(ret, kept, o->iou, false); /* a sign that two classes claim is one sign */
}

static void planes(const uint8_t *px, int n, size_t plane, const float add[3], const float mul[3], float *ret)
{
	float *r = ret, *g = ret + plane, *b = ret + 2 * plane;

	for (int i = 0; i < n; i++, px += 3) {
		r[i] = px[0] * mul[0] + add[0];
		g[i] = px[1] * mul[1] + add[1];
		b[i] = px[2] * mul[2] + add[2];
	}
}

void sl_input_scene(const struct sl_image *im, int w, int h, float mean, float scale, float *ret)
{
	sl_input_planes(im, w, h, (float[]){mean, mean, mean}, (float[]){scale, scale, scale}, ret);
}

void sl_input_planes(const struct sl_image *im, int w, int h, const float mean[3], const float scale[3], float *ret)
{
	const float add[3] = {-mean[0] / scale[0], -mean[1] / scale[1], -mean[2] / scale[2]};
	const float mul[3] = {1 / scale[0], 1 / scale[1], 1 / scale[2]};
	size_t plane = (size_t)w * h;

	SL_ASSERT(w >= im->w && h >= im->h);
	for (int y = 0; y < im->h; y++) {
		float *row = ret + (size_t)y * w;

		planes(im->px + (size_t)y * im->w * 3, im->w, plane, add, mul, row);
		for (int c = 0; c < 3; c++)
			memset(row + c * plane + im->w, 0, (w - im->w) * sizeof *row);
	}
	for (int c = 0; c < 3; c++)
		memset(ret + c * plane + (size_t)im->h * w, 0, (size_t)(h - im->h) * w * sizeof *ret);
}

void sl_input_sign(const struct sl_image *im, float *ret)
{
	int n = im->w * im->h;
	int64_t sum = 0, squares = 0;

	for (int i = 0; i < 3 * n; i++) {
		sum += im->px[i];
		squares += im->px[i] * im->px[i];
	}
	double mean = (double)sum / (3 * n), variance = (double)squares / (3 * n) - mean * mean;
	float scale = (float)(sqrt(variance > 0 ? variance : 0) + 8);

	float add = (float)(-mean / scale), mul = 1 / scale;

	planes(im->px, n, n, (float[]){add, add, add}, (float[]){mul, mul, mul}, ret);
}
