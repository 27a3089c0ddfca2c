/* SPDX-License-Identifier: Apache-2.0 */
#include "vision/augment.h"
#include <math.h>

/* Heckbert 1989, for the unit square; ours has side 2 and its centre at 0. */
void sl_square_to_quad(const double q[4][2], double ret[9])
{
	double sx = q[0][0] - q[1][0] + q[2][0] - q[3][0], sy = q[0][1] - q[1][1] + q[2][1] - q[3][1];
	double ax = q[1][0] - q[2][0], ay = q[1][1] - q[2][1], bx = q[3][0] - q[2][0], by = q[3][1] - q[2][1];
	double d = ax * by - bx * ay, g = (sx * by - bx * sy) / d, h = (ax * sy - sx * ay) / d;
	double m[9] = {q[1][0] - q[0][0] + g * q[1][0], q[3][0] - q[0][0] + h * q[3][0], q[0][0],
		q[1][1] - q[0][1] + g * q[1][1], q[3][1] - q[0][1] + h * q[3][1], q[0][1], g, h, 1};

	for (int i = 0; i < 3; i++) { /* u = (x + 1) / 2 */
		ret[3 * i] = m[3 * i] / 2;
		ret[3 * i + 1] = m[3 * i + 1] / 2;
		ret[3 * i + 2] = m[3 * i + 2] + ret[3 * i] + ret[3 * i + 1];
	}
}

/* h maps [-1,1]^2 to edges of src; ret to pixel centres on both sides: output pixel i has
 * its centre at (2 i + 1) / n - 1, and source position p is pixel p - 0.5. */
static void to_pixels(const double h[9], int n, double ret[9])
{
	for (int i = 0; i < 3; i++) {
		double a = h[3 * i], b = h[3 * i + 1], c = h[3 * i + 2];

		ret[3 * i] = a * 2 / n;
		ret[3 * i + 1] = b * 2 / n;
		ret[3 * i + 2] = c + (a + b) * (1.0 / n - 1);
	}
	for (int i = 0; i < 6; i++)
		ret[i] -= 0.5 * ret[6 + i % 3];
}

static void warp_sign(const struct sl_image *src, struct sl_box roi, struct sl_rng *r, struct sl_image *ret)
{
	static const double corner[4][2] = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}};
	double quad[4][2], p[4][2], h[9], pixels[9];

	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 2; k++)
			p[i][k] = corner[i][k] + sl_rng_uniform(r, -0.12f, 0.12f);
	double th = sl_rng_uniform(r, -12, 12) * M_PI / 180, ar = exp(sl_rng_uniform(r, -0.12f, 0.12f));
	double sh = sl_rng_uniform(r, -0.12f, 0.12f), s = exp(sl_rng_uniform(r, logf(0.95f), logf(1.4f)));
	double cx = roi.x + roi.w * (0.5 + 0.5 * sl_rng_uniform(r, -0.16f, 0.16f));
	double cy = roi.y + roi.h * (0.5 + 0.5 * sl_rng_uniform(r, -0.16f, 0.16f));
	double a = cos(th) * ar, b = cos(th) * sh - sin(th) / ar, c = sin(th) * ar, d = sin(th) * sh + cos(th) / ar;

	for (int i = 0; i < 4; i++) {
		quad[i][0] = cx + (a * p[i][0] + b * p[i][1]) * s * roi.w / 2;
		quad[i][1] = cy + (c * p[i][0] + d * p[i][1]) * s * roi.h / 2;
	}
	sl_square_to_quad(quad, h);
	to_pixels(h, ret->w, pixels);
	sl_image_warp(src, pixels, SL_BORDER_REPLICATE, ret);
}

static bool chance(struct sl_rng *r, float p)
{
	return sl_rng_unit(r) < p;
}

void sl_augment_sign(const struct sl_image *src, struct sl_box roi, struct sl_rng *r, struct sl_image *ret)
{
	static const struct sl_colour_range colour = {0.6f, -0.6f, 0.4f, 0.2f, 0.15f};

	warp_sign(src, roi, r, ret);
	if (chance(r, 0.8f))
		sl_augment_colour(ret, &colour, r);
	float blur = sl_rng_unit(r);
	if (blur < 0.15f)
		sl_image_gaussian(ret, sl_rng_uniform(r, 0.4f, 1.6f));
	else if (blur < 0.25f)
		sl_augment_motion(ret, 3 + 2 * (int)sl_rng_below(r, 3), sl_rng_uniform(r, 0, 180));
	else if (blur < 0.45f)
		sl_augment_coarse(ret, 14 + (int)sl_rng_below(r, 23));
	if (chance(r, 0.25f))
		sl_augment_noise(ret, sl_rng_uniform(r, 2, 14), r);
	if (chance(r, 0.15f))
		sl_augment_jpeg(ret, 20 + (int)sl_rng_below(r, 61));
	if (chance(r, 0.3f))
		sl_augment_cutout(ret, r);
}

void sl_crop_sign(const struct sl_image *src, struct sl_box roi, float scale, struct sl_image *ret)
{
	struct sl_box b = {
		roi.x + roi.w * (1 - scale) / 2, roi.y + roi.h * (1 - scale) / 2, roi.w * scale, roi.h * scale};

	sl_image_crop_resize(src, b, ret);
}
