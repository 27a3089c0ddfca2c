/* SPDX-License-Identifier: Apache-2.0 */
#include "vision/classify.h"
#include "base/mem.h"
#include "vision/augment.h"
#include "vision/detect.h"
#include <math.h>

/* w x h pixels from x,y on; outside, the border is repeated. */
static struct sl_image patch_of(const struct sl_image *im, int x, int y, int w, int h)
{
	struct sl_image p = sl_image_new(w, h);

	for (int j = 0; j < h; j++) {
		const uint8_t *row = im->px + (size_t)SL_MAX(0, SL_MIN(y + j, im->h - 1)) * im->w * 3;
		uint8_t *out = p.px + (size_t)j * w * 3;
		int from = SL_MAX(0, -x), to = SL_MIN(w, im->w - x); /* the part that is inside */

		for (int i = 0; i < SL_MIN(from, w); i++)
			memcpy(out + 3 * i, row, 3);
		if (to > from)
			memcpy(out + 3 * from, row + 3 * (x + from), 3 * (size_t)(to - from));
		for (int i = SL_MAX(to, 0); i < w; i++)
			memcpy(out + 3 * i, row + 3 * (im->w - 1), 3);
	}
	return p;
}

void sl_classify_cut(const struct sl_image *im, struct sl_box box, float context, struct sl_image *ret)
{
	float side = SL_MAX(box.w, box.h), k = SL_CLASSIFY_SIDE / side;

	if (k >= 1) {
		sl_crop_sign(im, box, context, ret);
		return;
	}
	int x = (int)floorf(box.x - (context - 1) / 2 * box.w) - 1,
	    y = (int)floorf(box.y - (context - 1) / 2 * box.h) - 1;
	int w = (int)ceilf(context * box.w) + 3, h = (int)ceilf(context * box.h) + 3;
	SL_AUTO(sl_image_done) struct sl_image patch = patch_of(im, x, y, w, h);
	SL_AUTO(sl_image_done)
	struct sl_image small = sl_image_new(SL_MAX(1, (int)lroundf(w * k)), SL_MAX(1, (int)lroundf(h * k)));
	float kx = (float)small.w / w, ky = (float)small.h / h;

	sl_image_resize_area(&patch, &small);
	sl_crop_sign(&small, (struct sl_box){(box.x - x) * kx, (box.y - y) * ky, box.w * kx, box.h * ky}, context, ret);
}

void sl_classify_input(const struct sl_bundle *b, const struct sl_image *cut, float *ret)
{
	if (b->cls_normalize == SL_NORMALIZE_STANDARDIZE)
		sl_input_sign(cut, ret);
	else
		sl_input_planes(cut, cut->w, cut->h, b->cls_mean, b->cls_scale, ret);
}

void sl_classify_store(
	const struct sl_image *im, const int box[4], float context, struct sl_image *ret, float ret_roi[4])
{
	int side = SL_MAX(1, (int)ceilf(context * SL_MAX(box[2], box[3])));
	int x = box[0] + (int)floorf((box[2] - side) / 2.0f), y = box[1] + (int)floorf((box[3] - side) / 2.0f);
	float k = (float)ret->w / side;
	SL_AUTO(sl_image_done) struct sl_image patch = patch_of(im, x, y, side, side);

	sl_image_resize_area(&patch, ret);
	ret_roi[0] = (box[0] - x) * k;
	ret_roi[1] = (box[1] - y) * k;
	ret_roi[2] = box[2] * k;
	ret_roi[3] = box[3] * k;
}
