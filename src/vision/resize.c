/* SPDX-License-Identifier: Apache-2.0
 *
 * Resizing along the axes: each output row and column is a weighted sum of a few input
 * ones. The weights are made once a call and used for rows first, then columns.
 */
#include "base/mem.h"
#include "vision/image.h"
#include <math.h>

struct tap { /* output i = sum of weight[first .. first+n) times input at .. at+n) */
	int at, n, first;
};

struct axis {
	struct tap *tap;
	float *weight;
};

static void axis_done(struct axis *a)
{
	free(a->tap);
	free(a->weight);
}

static int clampi(int v, int lo, int hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

/* Two neighbours; outside, the border is repeated. */
static struct axis axis_bilinear(int in, int out, double from, double len)
{
	struct axis a = {sl_calloc(out, sizeof *a.tap), sl_calloc((size_t)out * 2, sizeof *a.weight)};

	for (int i = 0; i < out; i++) {
		double s = from + (i + 0.5) * len / out - 0.5;
		s = s < 0 ? 0 : s > in - 1 ? in - 1 : s;
		int at = clampi((int)s, 0, in > 1 ? in - 2 : 0);

		a.tap[i] = (struct tap){at, in > 1 ? 2 : 1, 2 * i};
		a.weight[2 * i] = in > 1 ? (float)(1 - (s - at)) : 1;
		a.weight[2 * i + 1] = (float)(s - at);
	}
	return a;
}

/* Output i covers input [i*in/out, (i+1)*in/out); an input pixel weighs by its overlap. */
static struct axis axis_area(int in, int out)
{
	double scale = (double)in / out;
	int most = (int)ceil(scale) + 2, used = 0;
	struct axis a = {sl_calloc(out, sizeof *a.tap), sl_calloc((size_t)out * most, sizeof *a.weight)};

	for (int i = 0; i < out; i++) {
		double lo = i * scale, hi = (i + 1) * scale;
		int at = (int)lo, end = SL_MIN((int)ceil(hi - 1e-9), in);

		a.tap[i] = (struct tap){at, end - at, used};
		for (int k = at; k < end; k++)
			a.weight[used++] = (float)((fmin(hi, k + 1) - fmax(lo, k)) / scale);
	}
	return a;
}

static void row_of(const uint8_t *in, const struct axis *ax, int w, float *out)
{
	for (int x = 0; x < w; x++) {
		const struct tap *t = &ax->tap[x];
		const float *k = ax->weight + t->first;
		const uint8_t *p = in + t->at * 3;
		float r = 0, g = 0, b = 0;

		for (int i = 0; i < t->n; i++, p += 3) {
			r += k[i] * p[0];
			g += k[i] * p[1];
			b += k[i] * p[2];
		}
		out[3 * x] = r;
		out[3 * x + 1] = g;
		out[3 * x + 2] = b;
	}
}

/* Rows of src in use are kept as floats in a ring, so that each is narrowed once. */
static void apply(const struct sl_image *src, const struct axis *ax, const struct axis *ay, struct sl_image *ret)
{
	int most = 1, w3 = ret->w * 3;

	for (int y = 0; y < ret->h; y++)
		most = SL_MAX(most, ay->tap[y].n);
	SL_AUTOFREE float *ring = sl_calloc((size_t)(most + 1) * w3, sizeof *ring);
	SL_AUTOFREE int *held = sl_calloc(most, sizeof *held);
	float *sum = ring + (size_t)most * w3;

	for (int i = 0; i < most; i++)
		held[i] = -1;
	for (int y = 0; y < ret->h; y++) {
		const struct tap *t = &ay->tap[y];
		uint8_t *out = ret->px + (size_t)y * w3;

		for (int i = 0; i < w3; i++)
			sum[i] = 0.5f;
		for (int k = 0; k < t->n; k++) {
			int row = t->at + k, slot = row % most;
			float *line = ring + (size_t)slot * w3, weight = ay->weight[t->first + k];

			if (held[slot] != row) {
				row_of(src->px + (size_t)row * src->w * 3, ax, ret->w, line);
				held[slot] = row;
			}
			for (int i = 0; i < w3; i++)
				sum[i] += weight * line[i];
		}
		for (int i = 0; i < w3; i++)
			out[i] = (uint8_t)clampi((int)sum[i], 0, 255);
	}
}

void sl_image_crop_resize(const struct sl_image *src, struct sl_box box, struct sl_image *ret)
{
	SL_AUTO(axis_done) struct axis ax = axis_bilinear(src->w, ret->w, box.x, box.w);
	SL_AUTO(axis_done) struct axis ay = axis_bilinear(src->h, ret->h, box.y, box.h);

	apply(src, &ax, &ay, ret);
}

void sl_image_resize_area(const struct sl_image *src, struct sl_image *ret)
{
	SL_AUTO(axis_done)
	struct axis ax = ret->w < src->w ? axis_area(src->w, ret->w) : axis_bilinear(src->w, ret->w, 0, src->w);
	SL_AUTO(axis_done)
	struct axis ay = ret->h < src->h ? axis_area(src->h, ret->h) : axis_bilinear(src->h, ret->h, 0, src->h);

	apply(src, &ax, &ay, ret);
}
