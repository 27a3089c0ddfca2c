/* SPDX-License-Identifier: Apache-2.0
 *
 * Drawn scenes: the same every time, signs where the truth says, growing as the car drives on.
 */
#include "base/fs.h"
#include "base/mem.h"
#include "core/taxonomy.h"
#include "harness.h"
#include "vision/paint.h"
#include "vision/scene.h"
#include "vision/sign_face.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

TEST(scene, the_same_arguments_give_the_same_frame)
{
	struct sl_image a = sl_image_new(340, 200), b = sl_image_new(340, 200);
	struct sl_scene_truth ta, tb;
	size_t n = (size_t)a.w * a.h * 3;

	sl_scene_draw(7, 2, 11, &a, &ta);
	sl_scene_draw(7, 2, 11, &b, &tb);
	CHECK(memcmp(a.px, b.px, n) == 0);
	CHECK_EQ(ta.n, tb.n);
	sl_scene_draw(8, 2, 11, &b, &tb);
	CHECK(memcmp(a.px, b.px, n) != 0);
	sl_scene_draw(7, 3, 11, &b, &tb);
	CHECK(memcmp(a.px, b.px, n) != 0);
	sl_scene_draw(7, 2, 12, &b, &tb);
	CHECK(memcmp(a.px, b.px, n) != 0);
	sl_image_done(&a);
	sl_image_done(&b);
}

TEST(scene, the_truth_lies_inside_the_frame_and_most_frames_have_a_sign)
{
	struct sl_image im = sl_image_new(SL_SCENE_W, SL_SCENE_H);
	int with = 0, signs = 0;

	for (unsigned car = 0; car < 6; car++)
		for (uint64_t frame = 0; frame < 300; frame += 100) {
			struct sl_scene_truth t;

			sl_scene_draw(1, car, frame, &im, &t);
			with += t.n > 0;
			signs += t.n;
			for (int i = 0; i < t.n; i++) {
				struct sl_box b = t.sign[i].box;

				CHECK(b.x >= 0 && b.y >= 0 && b.x + b.w <= SL_SCENE_W && b.y + b.h <= SL_SCENE_H);
				CHECK(SL_MAX(b.w, b.h) >= SL_SCENE_MIN_PX);
				CHECK(t.sign[i].cls >= 0 && t.sign[i].cls < sl_scene_classes());
			}
		}
	CHECK(with >= 12 && signs >= 18 && signs <= 18 * 6);
	sl_image_done(&im);
}

static float widest(const struct sl_scene_truth *t, int cls)
{
	float w = 0;

	for (int i = 0; i < t->n; i++)
		if (t->sign[i].cls == cls)
			w = SL_MAX(w, t->sign[i].box.w);
	return w;
}

TEST(scene, a_sign_grows_from_frame_to_frame)
{
	struct sl_image im = sl_image_new(SL_SCENE_W, SL_SCENE_H);
	struct sl_scene_truth now, next;
	int grew = 0;

	for (uint64_t frame = 0; frame < 40 && grew < 3; frame += 4) {
		sl_scene_draw(3, 1, frame, &im, &now);
		sl_scene_draw(3, 1, frame + 1, &im, &next);
		for (int i = 0; i < now.n; i++) {
			float after = widest(&next, now.sign[i].cls);

			if (after > 0 && after >= now.sign[i].box.w)
				grew++;
		}
	}
	CHECK(grew >= 3);
	sl_image_done(&im);
}

TEST(scene, a_face_has_the_colours_of_its_kind)
{
	struct sl_image im = sl_image_new(100, 100);
	const uint8_t *mid = im.px + (50 * 100 + 50) * 3, *rim = im.px + (50 * 100 + 8) * 3;

	sl_scene_draw_sign(38, 1, &im); /* pass on the right: blue disc, white arrow */
	CHECK(mid[0] > 200 && rim[2] > 100 && rim[0] < 60);
	sl_scene_draw_sign(17, 1, &im); /* no entry: red disc, white bar */
	CHECK(mid[1] > 200 && rim[0] > 150 && rim[1] < 60);
	sl_scene_draw_sign(12, 1, &im); /* priority road: yellow */
	CHECK(mid[0] > 200 && mid[1] > 150 && mid[2] < 60);
	CHECK_EQ(im.px[0], 128); /* the ground outside */
	sl_image_done(&im);
}

TEST(scene, faces_are_the_classes_of_the_taxonomy)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	struct sl_taxonomy *t = NULL;
	struct sl_err err = {0};
	char path[512];

	snprintf(path, sizeof(path), "%s/taxonomy/de.json", sl_test_root());
	CHECK_OK(sl_fs_read(path, &text, &err));
	CHECK_OK(sl_taxonomy_parse(sl_buf_slice(&text), &t, &err));
	CHECK_EQ(t->n, sl_scene_classes());
	for (int i = 0; i < t->n; i++)
		CHECK_STR(t->cls[i].code, sl_faces[i].code);
	sl_taxonomy_free(t);
}

static float sum_of(const struct sl_canvas *c)
{
	float sum = 0;

	for (int i = 0; i < c->w * c->h; i++)
		sum += c->px[i * 3];
	return sum;
}

TEST(paint, a_polygon_covers_its_area_wherever_it_lies)
{
	const struct sl_pt tri[3] = {{2.3f, 1.7f}, {17.9f, 6.2f}, {5.1f, 18.4f}};
	const struct sl_ink white = {.rgb = {1, 1, 1}, .id = 9};
	float area = 0.5f * fabsf((tri[1].x - tri[0].x) * (tri[2].y - tri[0].y) -
				    (tri[2].x - tri[0].x) * (tri[1].y - tri[0].y));
	struct sl_canvas c;

	sl_canvas_init(&c, 20, 20);
	sl_paint_polygon(&c, tri, 3, &white);
	CHECK_NEAR(sum_of(&c), area, area * 0.01);
	CHECK_EQ(c.owner[8 * 20 + 7], 9);
	sl_canvas_done(&c);

	/* Half of it left of the canvas, and one far outside: nothing spills. */
	const struct sl_pt square[4] = {{-5, 5}, {5, 5}, {5, 15}, {-5, 15}},
			   out[4] = {{30, 30}, {40, 30}, {40, 40}, {30, 40}};
	sl_canvas_init(&c, 20, 20);
	sl_paint_polygon(&c, square, 4, &white);
	sl_paint_polygon(&c, out, 4, &white);
	CHECK_NEAR(sum_of(&c), 50, 0.01);
	CHECK_NEAR(c.px[(10 * 20 + 4) * 3], 1, 1e-4);
	CHECK_NEAR(c.px[(10 * 20 + 5) * 3], 0, 1e-4);
	sl_canvas_done(&c);
}

TEST(paint, contours_of_a_fill_are_one_shape)
{
	const struct sl_pt a[4] = {{2, 2}, {8, 2}, {8, 8}, {2, 8}}, b[4] = {{5, 5}, {11, 5}, {11, 11}, {5, 11}};
	const struct sl_ink grey = {.rgb = {0.5f, 0.5f, 0.5f}};
	struct sl_canvas c;

	sl_canvas_init(&c, 16, 16);
	sl_paint_contour(&c, a, 4);
	sl_paint_contour(&c, b, 4);
	sl_paint_fill(&c, &grey);
	CHECK_NEAR(sum_of(&c), 0.5 * (36 + 36 - 9), 0.01);
	sl_canvas_done(&c);
}
