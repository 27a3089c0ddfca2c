/* SPDX-License-Identifier: Apache-2.0
 *
 * Training crops of the detector: a window of a scene (or a patch without a sign), signs
 * pasted into it, then pixels.
 */
#include "base/mem.h"
#include "vision/augment.h"
#include <math.h>

#define LARGEST_SIGN 150.0f /* in the crop: an enlarged one would fill it */
#define LEAST_VISIBLE 0.7f /* of the area, to count as a sign */
#define LEAST_SIDE 11.0f /* the larger side, likewise */
#define WINDOW_OUTSIDE 0.1f /* of the window may lie beyond the scene */

enum sl_sign_shape sl_shape_of_gtsrb(int cls)
{
	if (cls == 11 || (cls >= 18 && cls <= 31))
		return SL_SHAPE_TRIANGLE;
	return cls == 13   ? SL_SHAPE_TRIANGLE_DOWN
	       : cls == 12 ? SL_SHAPE_DIAMOND
	       : cls == 14 ? SL_SHAPE_OCTAGON
			   : SL_SHAPE_ELLIPSE;
}

/* u, v in [-1, 1] from the middle of the sign. */
static bool is_inside(enum sl_sign_shape shape, float u, float v)
{
	switch (shape) {
	case SL_SHAPE_TRIANGLE:
		return fabsf(u) <= (v + 1) / 2;
	case SL_SHAPE_TRIANGLE_DOWN:
		return fabsf(u) <= (1 - v) / 2;
	case SL_SHAPE_DIAMOND:
		return fabsf(u) + fabsf(v) <= 1;
	case SL_SHAPE_OCTAGON:
		return fabsf(u) + fabsf(v) <= (float)M_SQRT2;
	default:
		return u * u + v * v <= 1;
	}
}

static void soften(float *m, int n, int step, float *line) /* 1 2 1 along one line, its ends repeated */
{
	for (int i = 0; i < n; i++)
		line[i] = m[(size_t)i * step];
	for (int i = 0; i < n; i++)
		m[(size_t)i * step] =
			(2 * line[i] + (i ? line[i - 1] : line[i]) + (i + 1 < n ? line[i + 1] : line[i])) / 4;
}

float *sl_shape_mask(enum sl_sign_shape shape, int w, int h)
{
	float *m = SL_NEW_N(float, (size_t)w *h);
	SL_AUTOFREE float *line = sl_calloc(SL_MAX(w, h), sizeof *line);

	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++) {
			int in = 0;

			for (int k = 0; k < 16; k++) { /* 4 x 4 points a pixel */
				float u = (x + ((k & 3) + 0.5f) / 4) * 2 / w - 1,
				      v = (y + ((k >> 2) + 0.5f) / 4) * 2 / h - 1;
				in += is_inside(shape, u, v);
			}
			m[(size_t)y * w + x] = in / 16.0f;
		}
	for (int y = 0; y < h; y++)
		soften(m + (size_t)y * w, w, 1, line);
	for (int x = 0; x < w; x++)
		soften(m + x, h, w, line);
	return m;
}

bool sl_crop_box(const struct sl_target_box *b, float x0, float y0, float sx, float sy, bool flip, int side,
	struct sl_target_box *ret)
{
	float x1 = (b->x1 - x0) * sx, x2 = (b->x2 - x0) * sx, y1 = (b->y1 - y0) * sy, y2 = (b->y2 - y0) * sy;

	if (flip) {
		float t = side - x1;
		x1 = side - x2;
		x2 = t;
	}
	float area = (x2 - x1) * (y2 - y1);
	x1 = fmaxf(x1, 0);
	y1 = fmaxf(y1, 0);
	x2 = fminf(x2, side);
	y2 = fminf(y2, side);
	if (!(x2 > x1 && y2 > y1))
		return false;
	bool seen = (x2 - x1) * (y2 - y1) >= LEAST_VISIBLE * area && fmaxf(x2 - x1, y2 - y1) >= LEAST_SIDE;
	*ret = (struct sl_target_box){x1, y1, x2, y2, b->ignored || !seen};
	return true;
}

struct window {
	const struct sl_image *image;
	float x0, y0, sx, sy; /* crop = (scene - x0) * sx */
	bool flip;
};

static void cut_window(const struct window *w, struct sl_image *ret)
{
	double ix = 1.0 / w->sx, iy = 1.0 / w->sy;
	/* Edges: scene = x0 + crop / s; centres: half a pixel on both sides. Mirrored: crop -> side - crop. */
	double h[9] = {w->flip ? -ix : ix, 0, w->flip ? w->x0 + (ret->w - 0.5) * ix - 0.5 : w->x0 + 0.5 * ix - 0.5, 0,
		iy, w->y0 + 0.5 * iy - 0.5, 0, 0, 1};

	sl_image_warp(w->image, h, SL_BORDER_REFLECT, ret);
}

static float place(struct sl_rng *r, float scene, float window)
{
	float slack = WINDOW_OUTSIDE * window, lo = -slack, hi = scene - window + slack;

	return hi > lo ? sl_rng_uniform(r, lo, hi) : (lo + hi) / 2;
}

static float keep_within(float x, float scene, float window)
{
	float slack = WINDOW_OUTSIDE * window, lo = -slack, hi = scene - window + slack;

	return hi <= lo ? (lo + hi) / 2 : x < lo ? lo : x > hi ? hi : x;
}

static void scene_window(const struct sl_scene_set *set, struct sl_rng *r, int side, bool at_sign, struct window *w,
	const struct sl_scene **ret)
{
	float s = expf(sl_rng_uniform(r, logf(0.6f), logf(1.7f))), ar = expf(sl_rng_uniform(r, -0.08f, 0.08f));
	uint32_t pick = at_sign ? sl_rng_below(r, set->nbox) : sl_rng_below(r, set->nscene);
	const struct sl_scene *scene = &set->scene[at_sign ? set->scene_of_box[pick] : (int)pick];

	w->image = scene->image;
	*ret = scene;
	if (!at_sign) {
		w->sx = s * ar;
		w->sy = s / ar;
		w->x0 = place(r, scene->image->w, side / w->sx);
		w->y0 = place(r, scene->image->h, side / w->sy);
		return;
	}
	const struct sl_target_box *b = &scene->box[set->index_of_box[pick]];
	s = fminf(s, LARGEST_SIGN / fmaxf(b->x2 - b->x1, b->y2 - b->y1));
	w->sx = s * ar;
	w->sy = s / ar;
	float ux = sl_rng_uniform(r, 0.1f, 0.9f), uy = sl_rng_uniform(r, 0.1f, 0.9f);
	w->x0 = keep_within((b->x1 + b->x2) / 2 - ux * side / w->sx, scene->image->w, side / w->sx);
	w->y0 = keep_within((b->y1 + b->y2) / 2 - uy * side / w->sy, scene->image->h, side / w->sy);
}

static void negative_window(const struct sl_scene_set *set, struct sl_rng *r, int side, struct window *w)
{
	const struct sl_image *im = set->negative[sl_rng_below(r, set->nnegative)];
	float s = sl_rng_uniform(r, 1, 1.5f) * side / SL_MIN(im->w, im->h);

	w->image = im;
	w->sx = w->sy = s;
	w->x0 = sl_rng_uniform(r, 0, im->w - side / s);
	w->y0 = sl_rng_uniform(r, 0, im->h - side / s);
}

static void cut_crop(
	const struct sl_scene_set *set, struct sl_rng *r, struct sl_image *ret, struct sl_target_box *box, int *ret_n)
{
	const struct sl_scene *scene = NULL;
	float kind = sl_rng_unit(r);
	struct window w = {0};
	int n = 0;

	if (kind < 0.08f && set->nnegative)
		negative_window(set, r, ret->w, &w);
	else
		scene_window(set, r, ret->w, kind < 0.75f && set->nbox, &w, &scene);
	w.flip = sl_rng_unit(r) < 0.5f;
	cut_window(&w, ret);
	for (int i = 0; scene && i < scene->nbox && n < SL_CROP_BOXES; i++)
		n += sl_crop_box(&scene->box[i], w.x0, w.y0, w.sx, w.sy, w.flip, ret->w, &box[n]);
	*ret_n = n;
}

static float mean_of(const struct sl_image *im, int x1, int y1, int x2, int y2)
{
	int64_t sum = 0;

	x1 = SL_MAX(x1, 0);
	y1 = SL_MAX(y1, 0);
	x2 = SL_MIN(x2, im->w);
	y2 = SL_MIN(y2, im->h);
	for (int y = y1; y < y2; y++)
		for (int i = x1 * 3; i < x2 * 3; i++)
			sum += im->px[(size_t)y * im->w * 3 + i];
	int64_t n = (int64_t)(x2 - x1) * (y2 - y1) * 3;
	return n > 0 ? (float)sum / n : 0;
}

static struct sl_image cut_roi(const struct sl_image *im, struct sl_box roi)
{
	int x = SL_MAX((int)lroundf(roi.x), 0), y = SL_MAX((int)lroundf(roi.y), 0);
	int w = SL_MAX(SL_MIN((int)lroundf(roi.w), im->w - x), 1),
	    h = SL_MAX(SL_MIN((int)lroundf(roi.h), im->h - y), 1);
	struct sl_image ret = sl_image_new(w, h);

	for (int i = 0; i < h; i++)
		memcpy(ret.px + (size_t)i * w * 3, im->px + ((size_t)(y + i) * im->w + x) * 3, (size_t)w * 3);
	return ret;
}

static void paste(struct sl_image *im, const struct sl_paste *p, int x0, int y0, int w, int h, struct sl_rng *r)
{
	SL_AUTO(sl_image_done) struct sl_image cut = cut_roi(p->image, p->roi);
	SL_AUTO(sl_image_done) struct sl_image sign = sl_image_new(w, h);
	SL_AUTOFREE float *mask = sl_shape_mask(p->shape, w, h);

	sl_image_resize_area(&cut, &sign);
	float around = mean_of(im, x0 - w / 4, y0 - h / 4, x0 + w + w / 4, y0 + h + h / 4);
	float k = around / fmaxf(mean_of(&sign, 0, 0, w, h), 1);
	k = k < 0.4f ? 0.4f : k > 2.2f ? 2.2f : k;
	float gain = (1 + sl_rng_uniform(r, 0, 0.7f) * (k - 1)) * sl_rng_uniform(r, 0.85f, 1.15f);
	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++) {
			const uint8_t *in = sign.px + ((size_t)y * w + x) * 3;
			uint8_t *out = im->px + ((size_t)(y0 + y) * im->w + x0 + x) * 3;
			float a = mask[(size_t)y * w + x];

			for (int c = 0; c < 3; c++)
				out[c] = (uint8_t)(out[c] + a * (fminf(in[c] * gain, 255) - out[c]) + 0.5f);
		}
}

static bool is_free(const struct sl_target_box *box, int n, int x, int y, int w, int h)
{
	for (int i = 0; i < n; i++)
		if (x < box[i].x2 && box[i].x1 < x + w && y < box[i].y2 && box[i].y1 < y + h)
			return false;
	return true;
}

static const struct sl_paste *pick_sign(const struct sl_scene_set *set, struct sl_rng *r)
{
	int which = sl_rng_unit(r) < 0.85f ? 0 : 1;

	if (!set->nsign[which])
		which = !which;
	return set->nsign[which] ? &set->sign[which][sl_rng_below(r, set->nsign[which])] : NULL;
}

static void paste_signs(
	const struct sl_scene_set *set, struct sl_rng *r, struct sl_image *im, struct sl_target_box *box, int *n)
{
	static const int counts[4] = {1, 1, 2, 3};
	int wanted = counts[sl_rng_below(r, 4)], side = im->w, last_x = -1, last_y = 0, last_w = 0;

	for (int i = 0; i < wanted && *n < SL_CROP_BOXES; i++) {
		const struct sl_paste *p = pick_sign(set, r);
		bool below = sl_rng_unit(r) < 0.35f && last_x >= 0;
		float width =
			below ? last_w * sl_rng_uniform(r, 0.85f, 1.15f) : expf(sl_rng_uniform(r, logf(13), logf(100)));
		int w = SL_MAX((int)lroundf(width), 4),
		    h = SL_MAX((int)lroundf(width * sl_rng_uniform(r, 0.9f, 1.1f)), 4);
		int x = below ? last_x + (last_w - w) / 2 : (int)sl_rng_below(r, SL_MAX(side - w + 1, 1));
		int y = below ? last_y + (int)sl_rng_below(r, 5) : (int)sl_rng_below(r, SL_MAX(side - h + 1, 1));

		if (!p || x < 0 || y < 0 || x + w > side || y + h > side || !is_free(box, *n, x, y, w, h))
			continue;
		paste(im, p, x, y, w, h, r);
		box[(*n)++] = (struct sl_target_box){x, y, x + w, y + h, false};
		last_x = x;
		last_y = y + h;
		last_w = w;
	}
}

void sl_augment_crop(const struct sl_scene_set *set, struct sl_rng *r, struct sl_image *ret,
	struct sl_target_box box[SL_CROP_BOXES], int *ret_n)
{
	static const struct sl_colour_range colour = {0.5f, -0.5f, 0.35f, 0.15f, 0.12f};

	cut_crop(set, r, ret, box, ret_n);
	if (sl_rng_unit(r) < 0.6f)
		paste_signs(set, r, ret, box, ret_n);
	if (sl_rng_unit(r) < 0.8f)
		sl_augment_colour(ret, &colour, r);
	float blur = sl_rng_unit(r);
	if (blur < 0.12f)
		sl_image_gaussian(ret, sl_rng_uniform(r, 0.4f, 1.3f));
	else if (blur < 0.2f)
		sl_augment_motion(ret, 3 + 2 * (int)sl_rng_below(r, 2), sl_rng_uniform(r, 0, 180));
	if (sl_rng_unit(r) < 0.15f)
		sl_augment_noise(ret, sl_rng_uniform(r, 2, 10), r);
	if (sl_rng_unit(r) < 0.1f)
		sl_augment_jpeg(ret, 30 + (int)sl_rng_below(r, 56));
}
