/* SPDX-License-Identifier: Apache-2.0
 *
 * Perspective warp, Gaussian blur, mirror. The warp works on 16.16 fixed-point positions
 * with 8 bits of weight: finer than a grey level can show.
 */
#include "base/mem.h"
#include "vision/image.h"
#include <math.h>

static int border_index(int i, int n, enum sl_border border)
{
	if (border == SL_BORDER_REPLICATE)
		return i < 0 ? 0 : i >= n ? n - 1 : i;
	i %= 2 * n; /* cba|abc|cba: the border pixel is repeated once */
	if (i < 0)
		i += 2 * n;
	return i < n ? i : 2 * n - 1 - i;
}

static inline void blend(
	const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, int fx, int fy, uint8_t *out)
{
	int wa = (256 - fx) * (256 - fy), wb = fx * (256 - fy), wc = (256 - fx) * fy, wd = fx * fy;

	for (int k = 0; k < 3; k++)
		out[k] = (uint8_t)((a[k] * wa + b[k] * wb + c[k] * wc + d[k] * wd + 32768) >> 16);
}

static inline void sample(const struct sl_image *src, int64_t fx, int64_t fy, enum sl_border border, uint8_t *out)
{
	int x = (int)(fx >> 16), y = (int)(fy >> 16), ax = (int)(fx >> 8) & 255, ay = (int)(fy >> 8) & 255;

	if (x >= 0 && y >= 0 && x + 1 < src->w && y + 1 < src->h) {
		const uint8_t *p = src->px + ((size_t)y * src->w + x) * 3, *q = p + (size_t)src->w * 3;

		blend(p, p + 3, q, q + 3, ax, ay, out);
		return;
	}
	size_t x0 = border_index(x, src->w, border), x1 = border_index(x + 1, src->w, border);
	size_t y0 = border_index(y, src->h, border), y1 = border_index(y + 1, src->h, border), w = src->w;

	blend(src->px + (y0 * w + x0) * 3, src->px + (y0 * w + x1) * 3, src->px + (y1 * w + x0) * 3,
		src->px + (y1 * w + x1) * 3, ax, ay, out);
}

/* Positions are bounded so that a matrix gone wild cannot overflow the fixed point. */
static int64_t fixed(double v)
{
	const double most = 1e6;

	if (!(v > -most))
		v = -most;
	if (v > most)
		v = most;
	return (int64_t)floor(v * 65536 + 128); /* half of the last weight bit: rounds it */
}

void sl_image_warp(const struct sl_image *src, const double h[9], enum sl_border border, struct sl_image *ret)
{
	bool affine = h[6] == 0 && h[7] == 0;

	for (int y = 0; y < ret->h; y++) {
		double sx = h[1] * y + h[2], sy = h[4] * y + h[5], sw = h[7] * y + h[8];
		uint8_t *out = ret->px + (size_t)y * ret->w * 3;

		for (int x = 0; x < ret->w; x++, out += 3) {
			double inv = affine ? 1 / h[8] : 1 / (h[6] * x + sw);

			sample(src, fixed((h[0] * x + sx) * inv), fixed((h[3] * x + sy) * inv), border, out);
		}
	}
}

enum { BLUR_RADIUS = 24 };

/* One pass along a line of n values in steps of `step`: the line is padded with its end
 * values, then each tap is a whole-row multiply-add, which the compiler vectorises. */
static void blur_row(const float *padded, int n, int step, const float *k, int radius, float *out)
{
	for (int i = 0; i < n; i++)
		out[i] = k[0] * padded[i + radius * step];
	for (int t = 1; t <= radius; t++)
		for (int i = 0; i < n; i++)
			out[i] += k[t] * (padded[i + (radius - t) * step] + padded[i + (radius + t) * step]);
}

static int gaussian_taps(float sigma, float *k)
{
	int radius = SL_MIN((int)ceilf(3 * sigma), BLUR_RADIUS);
	float sum = 1;

	k[0] = 1;
	for (int i = 1; i <= radius; i++) {
		k[i] = expf(-0.5f * i * i / (sigma * sigma));
		sum += 2 * k[i];
	}
	for (int i = 0; i <= radius; i++)
		k[i] /= sum;
	return radius;
}

void sl_image_gaussian(struct sl_image *im, float sigma)
{
	float k[BLUR_RADIUS + 1];
	int w3 = im->w * 3;

	if (!(sigma > 0))
		return;
	int radius = gaussian_taps(sigma, k), rows = im->h + 2 * radius;
	SL_AUTOFREE float *plane = sl_alloc((size_t)rows * w3 * sizeof *plane);
	SL_AUTOFREE float *line = sl_alloc((size_t)(w3 + 6 * radius) * sizeof *line);

	for (int y = 0; y < im->h; y++) {
		const uint8_t *in = im->px + (size_t)y * w3;

		for (int i = 0; i < w3; i++)
			line[3 * radius + i] = in[i];
		for (int i = 0; i < 3 * radius; i++) {
			line[i] = in[i % 3];
			line[3 * radius + w3 + i] = in[w3 - 3 + i % 3];
		}
		blur_row(line, w3, 3, k, radius, plane + (size_t)(y + radius) * w3);
	}
	for (int i = 0; i < radius; i++) {
		memcpy(plane + (size_t)i * w3, plane + (size_t)radius * w3, w3 * sizeof *plane);
		memcpy(plane + (size_t)(rows - 1 - i) * w3, plane + (size_t)(rows - 1 - radius) * w3,
			w3 * sizeof *plane);
	}
	for (int y = 0; y < im->h; y++) {
		uint8_t *out = im->px + (size_t)y * w3;

		blur_row(plane + (size_t)y * w3, w3, w3, k, radius, line);
		for (int i = 0; i < w3; i++)
			out[i] = (uint8_t)(line[i] + 0.5f);
	}
}

void sl_image_flip(struct sl_image *im)
{
	for (int y = 0; y < im->h; y++) {
		uint8_t *row = im->px + (size_t)y * im->w * 3;

		for (int a = 0, b = im->w - 1; a < b; a++, b--)
			for (int c = 0; c < 3; c++) {
				uint8_t t = row[3 * a + c];
				row[3 * a + c] = row[3 * b + c];
				row[3 * b + c] = t;
			}
	}
}
