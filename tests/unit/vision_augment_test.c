/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "harness.h"
#include "vision/augment.h"
#include <math.h>

TEST(augment, square_goes_to_the_quad)
{
	static const double quad[4][2] = {{3, 1}, {10, 2}, {12, 9}, {1, 7}},
			    corner[4][2] = {{-1, -1}, {1, -1}, {1, 1}, {-1, 1}};
	double h[9];

	sl_square_to_quad(quad, h);
	for (int i = 0; i < 4; i++) {
		double x = corner[i][0], y = corner[i][1], w = h[6] * x + h[7] * y + h[8];

		CHECK_NEAR((h[0] * x + h[1] * y + h[2]) / w, quad[i][0], 1e-9);
		CHECK_NEAR((h[3] * x + h[4] * y + h[5]) / w, quad[i][1], 1e-9);
	}
}

static struct sl_image with_square(int w, int h, struct sl_box b)
{
	struct sl_image im = sl_image_new(w, h);

	memset(im.px, 40, (size_t)w * h * 3);
	for (int y = (int)b.y; y < b.y + b.h; y++)
		for (int x = (int)b.x; x < b.x + b.w; x++)
			memset(im.px + ((size_t)y * w + x) * 3, 200, 3);
	return im;
}

/* Centre of what is brighter than the darkest, in pixel edges, weighted. */
static void centre_of(const struct sl_image *im, double *ret_x, double *ret_y)
{
	double sum = 0, sx = 0, sy = 0;
	int dark = 255;

	for (int i = 0; i < im->w * im->h; i++)
		dark = SL_MIN(dark, im->px[3 * i]);
	for (int y = 0; y < im->h; y++)
		for (int x = 0; x < im->w; x++) {
			double v = im->px[((size_t)y * im->w + x) * 3] - dark;

			v = v < 20 ? 0 : v;
			sum += v;
			sx += v * (x + 0.5);
			sy += v * (y + 0.5);
		}
	*ret_x = sx / sum;
	*ret_y = sy / sum;
}

TEST(augment, evaluation_crop_is_centred)
{
	struct sl_box roi = {20, 30, 40, 24};
	struct sl_image src = with_square(100, 90, roi), ret = sl_image_new(48, 48);
	double x, y;

	sl_crop_sign(&src, roi, 1.15f, &ret);
	centre_of(&ret, &x, &y);
	CHECK_NEAR(x, 24, 0.05);
	CHECK_NEAR(y, 24, 0.05);
	CHECK(ret.px[(24 * 48 + 2) * 3] < 100); /* 1.15: the sign ends 3.13 px from the border */
	CHECK(ret.px[(24 * 48 + 4) * 3] > 180);
	sl_image_done(&src);
	sl_image_done(&ret);
}

/* A half-pixel mistake of the warp would be a bias of .5; the draw itself has none. */
TEST(augment, signs_are_unbiased)
{
	struct sl_box roi = {30, 28, 20, 24};
	struct sl_image src = with_square(80, 80, (struct sl_box){37, 37, 6, 6}), ret = sl_image_new(48, 48);
	double mean_x = 0, mean_y = 0, x, y;
	int n = 0;

	for (int i = 0; i < 4000; i++) {
		struct sl_rng r = sl_augment_rng(5, 0, 0, i);

		sl_augment_sign(&src, roi, &r, &ret);
		centre_of(&ret, &x, &y);
		if (fabs(x - 24) > 9 || fabs(y - 24) > 9 || isnan(x))
			continue; /* cutout or noise made another bright place */
		mean_x += x;
		mean_y += y;
		n++;
	}
	CHECK(n > 2000);
	CHECK_NEAR(mean_x / n, 24, 0.2);
	CHECK_NEAR(mean_y / n, 24, 0.2);
	sl_image_done(&src);
	sl_image_done(&ret);
}

/* Boxes and pixels of a detector crop move together: the bright square stays where its label is. */
TEST(augment, crop_boxes_follow_their_pixels)
{
	struct sl_target_box label = {130, 90, 160, 120, false};
	struct sl_image src = with_square(400, 300, (struct sl_box){130, 90, 30, 30}),
			ret = sl_image_new(SL_CROP_SIDE, SL_CROP_SIDE);
	struct sl_scene scene = {&src, &label, 1};
	int zero = 0, n, used = 0;
	struct sl_scene_set set = {
		.scene = &scene, .nscene = 1, .scene_of_box = &zero, .index_of_box = &zero, .nbox = 1};
	double off_x = 0, off_y = 0, x, y;

	for (int i = 0; i < 300; i++) {
		struct sl_rng r = sl_augment_rng(9, 1, 0, i);
		struct sl_target_box box[SL_CROP_BOXES];

		sl_augment_crop(&set, &r, &ret, box, &n);
		if (n != 1 || box[0].x1 < 3 || box[0].y1 < 3 || box[0].x2 > SL_CROP_SIDE - 3 ||
			box[0].y2 > SL_CROP_SIDE - 3)
			continue;
		centre_of(&ret, &x, &y);
		if (!(fabs(x - (box[0].x1 + box[0].x2) / 2) < 1 && fabs(y - (box[0].y1 + box[0].y2) / 2) < 1))
			continue; /* noise, or a second square that the reflected border brought in */
		off_x += x - (box[0].x1 + box[0].x2) / 2;
		off_y += y - (box[0].y1 + box[0].y2) / 2;
		CHECK(!box[0].ignored);
		used++;
	}
	CHECK(used > 100);
	CHECK_NEAR(off_x / used, 0, 0.1);
	CHECK_NEAR(off_y / used, 0, 0.1);
	sl_image_done(&src);
	sl_image_done(&ret);
}

TEST(augment, cut_and_small_boxes_are_ignored)
{
	struct sl_target_box b = {100, 100, 140, 140, false}, r;

	CHECK(sl_crop_box(&b, 50, 60, 2, 1, false, 320, &r));
	CHECK_NEAR(r.x1, 100, 1e-4);
	CHECK_NEAR(r.x2, 180, 1e-4);
	CHECK_NEAR(r.y1, 40, 1e-4);
	CHECK(!r.ignored);
	CHECK(sl_crop_box(&b, 50, 60, 2, 1, true, 320, &r)); /* mirrored */
	CHECK_NEAR(r.x1, 320 - 180, 1e-4);
	CHECK_NEAR(r.x2, 320 - 100, 1e-4);
	CHECK(sl_crop_box(&b, 110, 100, 1, 1, false, 320, &r)); /* 3/4 of it is left */
	CHECK(!r.ignored);
	CHECK_NEAR(r.x1, 0, 0);
	CHECK_NEAR(r.x2, 30, 1e-4);
	CHECK(sl_crop_box(&b, 115, 100, 1, 1, false, 320, &r)); /* 5/8 */
	CHECK(r.ignored);
	CHECK(sl_crop_box(&b, 0, 0, 0.25f, 0.25f, false, 320, &r)); /* 10 px */
	CHECK(r.ignored);
	CHECK(!sl_crop_box(&b, 140, 0, 1, 1, false, 320, &r));
	b.ignored = true;
	CHECK(sl_crop_box(&b, 50, 60, 2, 1, false, 320, &r));
	CHECK(r.ignored);
}

TEST(augment, pasted_signs_are_labelled_and_apart)
{
	struct sl_image scene_px = sl_image_new(400, 400), sign = sl_image_new(50, 50),
			ret = sl_image_new(SL_CROP_SIDE, SL_CROP_SIDE);
	struct sl_scene scene = {&scene_px, NULL, 0};
	struct sl_paste p = {&sign, {5, 5, 40, 40}, SL_SHAPE_OCTAGON};
	struct sl_scene_set set = {.scene = &scene, .nscene = 1, .sign = {&p, NULL}, .nsign = {1, 0}};
	int n, pasted = 0, empty = 0;

	memset(sign.px, 255, 50 * 50 * 3);
	for (int i = 0; i < 200; i++) {
		struct sl_rng r = sl_augment_rng(2, 0, 0, i);
		struct sl_target_box box[SL_CROP_BOXES];

		sl_augment_crop(&set, &r, &ret, box, &n);
		pasted += n;
		empty += n == 0;
		for (int a = 0; a < n; a++) {
			CHECK(box[a].x1 >= 0 && box[a].y1 >= 0 && box[a].x2 <= SL_CROP_SIDE &&
				box[a].y2 <= SL_CROP_SIDE);
			CHECK(box[a].x2 - box[a].x1 >= 10 && box[a].x2 - box[a].x1 <= 116);
			for (int b = 0; b < a; b++)
				CHECK(box[a].x1 >= box[b].x2 || box[b].x1 >= box[a].x2 || box[a].y1 >= box[b].y2 ||
					box[b].y1 >= box[a].y2);
		}
	}
	CHECK(pasted > 150 && pasted < 260); /* .6 x 1.75, less what touches */
	CHECK(empty > 50 && empty < 110); /* .4 */
	sl_image_done(&scene_px);
	sl_image_done(&sign);
	sl_image_done(&ret);
}

TEST(augment, masks_have_their_shapes)
{
	enum { W = 40, H = 32 };
	float *m = sl_shape_mask(SL_SHAPE_TRIANGLE, W, H);
	double area = 0;

	CHECK_NEAR(m[0], 0, 1e-6);
	CHECK_NEAR(m[(H - 2) * W + W / 2], 1, 1e-6);
	for (int i = 0; i < W * H; i++)
		area += m[i];
	CHECK_NEAR(area / (W * H), 0.5, 0.01);
	free(m);
	m = sl_shape_mask(SL_SHAPE_TRIANGLE_DOWN, W, H);
	CHECK_NEAR(m[(H - 1) * W], 0, 1e-6);
	CHECK_NEAR(m[W + W / 2], 1, 1e-6);
	free(m);
	m = sl_shape_mask(SL_SHAPE_ELLIPSE, W, H);
	area = 0;
	for (int i = 0; i < W * H; i++)
		area += m[i];
	CHECK_NEAR(area / (W * H), M_PI / 4, 0.01);
	free(m);
	CHECK_EQ(sl_shape_of_gtsrb(14), SL_SHAPE_OCTAGON);
	CHECK_EQ(sl_shape_of_gtsrb(13), SL_SHAPE_TRIANGLE_DOWN);
	CHECK_EQ(sl_shape_of_gtsrb(12), SL_SHAPE_DIAMOND);
	CHECK_EQ(sl_shape_of_gtsrb(25), SL_SHAPE_TRIANGLE);
	CHECK_EQ(sl_shape_of_gtsrb(1), SL_SHAPE_ELLIPSE);
}

TEST(augment, the_same_place_in_a_run_gives_the_same_pixels)
{
	struct sl_image src = with_square(60, 60, (struct sl_box){20, 20, 20, 20}), a = sl_image_new(48, 48),
			b = sl_image_new(48, 48);
	struct sl_rng r1 = sl_augment_rng(1, 77, 1, 3), r2 = sl_augment_rng(1, 77, 1, 3),
		      r3 = sl_augment_rng(1, 77, 0, 3);

	sl_augment_sign(&src, (struct sl_box){15, 15, 30, 30}, &r1, &a);
	sl_augment_sign(&src, (struct sl_box){15, 15, 30, 30}, &r2, &b);
	CHECK(memcmp(a.px, b.px, 48 * 48 * 3) == 0);
	sl_augment_sign(&src, (struct sl_box){15, 15, 30, 30}, &r3, &b);
	CHECK(memcmp(a.px, b.px, 48 * 48 * 3) != 0);
	sl_image_done(&src);
	sl_image_done(&a);
	sl_image_done(&b);
}

TEST(augment, noise_has_its_deviation)
{
	struct sl_image im = sl_image_new(200, 200);
	struct sl_rng r = sl_rng(3, 3);
	double sum = 0, squares = 0;
	int n = 200 * 200 * 3;

	memset(im.px, 128, n);
	sl_augment_noise(&im, 9, &r);
	for (int i = 0; i < n; i++) {
		sum += im.px[i] - 128;
		squares += (im.px[i] - 128) * (im.px[i] - 128);
	}
	CHECK_NEAR(sum / n, 0, 0.1);
	CHECK_NEAR(sqrt(squares / n), 9, 0.15);
	sl_image_done(&im);
}

TEST(augment, colour_without_range_changes_nothing)
{
	static const struct sl_colour_range none = {0};
	struct sl_image im = sl_image_new(256, 1);
	struct sl_rng r = sl_rng(3, 3);

	for (int i = 0; i < 256 * 3; i++)
		im.px[i] = (uint8_t)(i / 3);
	sl_augment_colour(&im, &none, &r);
	for (int i = 0; i < 256 * 3; i++)
		CHECK_EQ(im.px[i], i / 3);
	sl_image_done(&im);
}

TEST(augment, motion_spreads_a_point_along_its_line)
{
	struct sl_image im = sl_image_new(21, 21);

	im.px[(10 * 21 + 10) * 3] = 250;
	for (int i = 0; i < 21 * 21; i++)
		im.px[3 * i + 2] = 66;
	sl_augment_motion(&im, 5, 0);
	for (int x = 0; x < 21; x++)
		CHECK_EQ(im.px[(10 * 21 + x) * 3], x >= 8 && x <= 12 ? 50 : 0);
	for (int i = 0; i < 21 * 21; i++)
		CHECK_EQ(im.px[3 * i + 2], 66);
	sl_image_done(&im);
}
