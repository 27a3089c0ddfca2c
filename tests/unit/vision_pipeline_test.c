/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/mem.h"
#include "harness.h"
#include "nn/onnx/onnx.h"
#include "tiny_bundle.h"
#include "vision/calibrate.h"
#include "vision/classify.h"
#include "vision/pipeline.h"
#include <math.h>

enum { W = 300, H = 203, PIXELS = 1 << 22 };

static void scene_with_two_signs(struct sl_buf *ret)
{
	SL_AUTO(sl_image_done) struct sl_image im = tiny_scene(W, H);

	tiny_sign(&im, 58, 42, TINY_SURE); /* centres at 74, 58 and 202, 122: 4 i + 2 */
	tiny_sign(&im, 186, 106, TINY_UNSURE);
	tiny_jpeg(&im, ret);
}

static const struct sl_sign *sign_near(const struct sl_seen *s, int x)
{
	for (int i = 0; i < s->n; i++)
		if (abs(s->sign[i].box[0] - x) <= 2)
			return &s->sign[i];
	sl_test_fail(__FILE__, __LINE__, "no sign at x = %d among %d", x, s->n);
}

TEST(pipeline, signs_are_found_named_and_sorted_into_sure_and_unsure)
{
	struct sl_bundle *b = tiny_bundle("tiny");
	struct sl_pipeline *p = sl_pipeline_new();
	SL_AUTO(sl_buf_done) struct sl_buf jpeg = {0};
	SL_AUTOFREE struct sl_seen *seen = SL_NEW(struct sl_seen);
	struct sl_err err;

	scene_with_two_signs(&jpeg);
	CHECK_OK(sl_pipeline_selftest(p, b, &err));
	CHECK_OK(sl_pipeline_run(p, b, sl_buf_slice(&jpeg), PIXELS, SL_FOREVER, seen, &err));
	CHECK_EQ(seen->n, 2);
	CHECK_EQ(seen->w, W);
	CHECK_EQ(seen->h, H);
	const struct sl_sign *sure = sign_near(seen, 58), *unsure = sign_near(seen, 186);
	CHECK_EQ(sure->box[0], 58);
	CHECK_EQ(sure->box[1], 42);
	CHECK_EQ(sure->box[2], TINY_SIGN);
	CHECK_EQ(sure->box[3], TINY_SIGN);
	CHECK_EQ(sure->ncandidate, TINY_CLASSES);
	CHECK_EQ(sure->candidate[0].cls, 0);
	CHECK(sure->accepted);
	CHECK(!unsure->accepted);
	CHECK_NEAR(unsure->candidate[0].confidence + unsure->candidate[1].confidence, 1, 1e-5);
	CHECK(sl_key_is_valid(sure->key) && strstr(sure->key, seen->frame) && strcmp(sure->key, unsure->key) != 0);
	for (int i = 0; i < SL_STAGES; i++)
		CHECK(seen->us[i] >= 0);
	sl_seen_done(seen);
	CHECK_EQ(seen->n, 0);
	sl_pipeline_free(p);
	sl_bundle_unref(b);
}

TEST(pipeline, the_stored_crop_shows_the_sign_where_roi_says)
{
	struct sl_bundle *b = tiny_bundle("tiny");
	struct sl_pipeline *p = sl_pipeline_new();
	SL_AUTO(sl_buf_done) struct sl_buf jpeg = {0};
	SL_AUTO(sl_image_done) struct sl_image crop = {0};
	SL_AUTOFREE struct sl_seen *seen = SL_NEW(struct sl_seen);
	struct sl_err err;

	scene_with_two_signs(&jpeg);
	CHECK_OK(sl_pipeline_run(p, b, sl_buf_slice(&jpeg), PIXELS, SL_FOREVER, seen, &err));
	const struct sl_sign *s = sign_near(seen, 58);
	CHECK_OK(sl_image_decode(sl_buf_slice(&s->jpeg), PIXELS, &crop, &err));
	CHECK_EQ(crop.w, SL_CROP_STORED);
	CHECK_EQ(crop.h, SL_CROP_STORED);
	CHECK_NEAR(s->roi[2], SL_CROP_STORED / SL_CROP_CONTEXT, 0.7);
	CHECK_NEAR(s->roi[0] + s->roi[2] / 2, SL_CROP_STORED / 2, 0.7);
	for (int i = 3; i < SL_CROP_STORED - 3; i++) { /* along the middle row: red inside roi, grey outside */
		const uint8_t *px = crop.px + (SL_CROP_STORED / 2 * SL_CROP_STORED + i) * 3;
		if (i > s->roi[0] + 2 && i < s->roi[0] + s->roi[2] - 2)
			CHECK(px[0] > 190 && px[2] < 60);
		else if (i < s->roi[0] - 3 || i > s->roi[0] + s->roi[2] + 3)
			CHECK(abs(px[0] - 100) < 25);
	}
	sl_seen_done(seen);
	sl_pipeline_free(p);
	sl_bundle_unref(b);
}

TEST(pipeline, the_same_frame_gives_the_same_keys_and_another_gives_others)
{
	struct sl_bundle *b = tiny_bundle("tiny");
	struct sl_pipeline *p = sl_pipeline_new();
	SL_AUTO(sl_buf_done) struct sl_buf jpeg = {0};
	SL_AUTOFREE struct sl_seen *a = SL_NEW(struct sl_seen), *c = SL_NEW(struct sl_seen);
	struct sl_err err;

	scene_with_two_signs(&jpeg);
	CHECK_OK(sl_pipeline_run(p, b, sl_buf_slice(&jpeg), PIXELS, SL_FOREVER, a, &err));
	CHECK_OK(sl_pipeline_run(p, b, sl_buf_slice(&jpeg), PIXELS, SL_FOREVER, c, &err));
	CHECK_EQ(a->n, c->n);
	for (int i = 0; i < a->n; i++)
		CHECK_STR(a->sign[i].key, c->sign[i].key);
	sl_seen_done(c);
	CHECK_OK(sl_buf_add(&jpeg, "\0", 1)); /* same picture, other bytes */
	CHECK_OK(sl_pipeline_run(p, b, sl_buf_slice(&jpeg), PIXELS, SL_FOREVER, c, &err));
	CHECK(strcmp(a->frame, c->frame) != 0 && strcmp(a->sign[0].key, c->sign[0].key) != 0);
	sl_seen_done(a);
	sl_seen_done(c);
	sl_pipeline_free(p);
	sl_bundle_unref(b);
}

TEST(pipeline, large_frames_are_shrunk_and_boxes_come_back_in_frame_pixels)
{
	struct sl_bundle *b = tiny_bundle("tiny"); /* max_side 1024 */
	struct sl_pipeline *p = sl_pipeline_new();
	SL_AUTO(sl_image_done) struct sl_image small = tiny_scene(700, 400), large = sl_image_new(1400, 800);
	SL_AUTO(sl_buf_done) struct sl_buf png = {0};
	SL_AUTOFREE struct sl_seen *seen = SL_NEW(struct sl_seen);
	struct sl_err err;

	for (int i = 0; i < 3; i++) /* 48 x 44 px, 96 x 88 after growing, about 70 x 64 in the detector */
		tiny_sign(&small, 300 + 8 * i, 200 + 6 * i, TINY_SURE);
	sl_image_resize_area(&small, &large);
	CHECK_OK(sl_png_encode(&large, &png, &err));
	CHECK_OK(sl_pipeline_run(p, b, sl_buf_slice(&png), PIXELS, SL_FOREVER, seen, &err));
	CHECK(seen->n >= 1);
	for (int i = 0; i < seen->n; i++) {
		const int *box = seen->sign[i].box;
		CHECK(box[0] >= 580 && box[0] + box[2] <= 720 && box[1] >= 380 && box[1] + box[3] <= 520);
		CHECK_NEAR(box[2], 32 * 1400 / 1024.0, 1.01);
	}
	sl_seen_done(seen);
	sl_pipeline_free(p);
	sl_bundle_unref(b);
}

TEST(pipeline, a_sign_at_the_edge_is_clipped_to_the_frame)
{
	struct sl_bundle *b = tiny_bundle("tiny");
	struct sl_pipeline *p = sl_pipeline_new();
	SL_AUTO(sl_image_done) struct sl_image im = tiny_scene(64, 64);
	SL_AUTO(sl_buf_done) struct sl_buf jpeg = {0};
	SL_AUTOFREE struct sl_seen *seen = SL_NEW(struct sl_seen);
	struct sl_err err;

	tiny_sign(&im, 0, 0, TINY_SURE);
	tiny_sign(&im, 32, 32, TINY_SURE);
	tiny_jpeg(&im, &jpeg);
	CHECK_OK(sl_pipeline_run(p, b, sl_buf_slice(&jpeg), PIXELS, SL_FOREVER, seen, &err));
	CHECK(seen->n >= 2);
	for (int i = 0; i < seen->n; i++) {
		const int *box = seen->sign[i].box;
		CHECK(box[0] >= 0 && box[1] >= 0 && box[2] >= 1 && box[3] >= 1 && box[0] + box[2] <= 64 &&
			box[1] + box[3] <= 64);
	}
	sl_seen_done(seen);
	sl_pipeline_free(p);
	sl_bundle_unref(b);
}

TEST(pipeline, bad_input_and_deadlines_say_what_they_are)
{
	struct sl_bundle *b = tiny_bundle("tiny");
	struct sl_pipeline *p = sl_pipeline_new();
	SL_AUTO(sl_buf_done) struct sl_buf jpeg = {0};
	SL_AUTOFREE struct sl_seen *seen = SL_NEW(struct sl_seen);
	struct sl_err err;

	scene_with_two_signs(&jpeg);
	CHECK_STATUS(sl_pipeline_run(p, b, sl_slice_str("GIF89a..."), PIXELS, SL_FOREVER, seen, &err), SL_UNSUPPORTED);
	CHECK_STATUS(
		sl_pipeline_run(p, b, sl_slice(jpeg.ptr, jpeg.len / 2), PIXELS, SL_FOREVER, seen, &err), SL_UNREADABLE);
	CHECK_STATUS(sl_pipeline_run(p, b, sl_buf_slice(&jpeg), W * H - 1, SL_FOREVER, seen, &err), SL_TOO_LARGE);
	CHECK_STATUS(sl_pipeline_run(p, b, sl_buf_slice(&jpeg), PIXELS, sl_mono_us() - 1, seen, &err), SL_TIMEOUT);
	CHECK_EQ(seen->n, 0);
	sl_pipeline_free(p);
	sl_bundle_unref(b);
}

TEST(pipeline, more_signs_than_a_batch_are_all_named)
{
	struct sl_bundle *b = tiny_bundle("tiny");
	struct sl_pipeline *p = sl_pipeline_new();
	SL_AUTO(sl_image_done) struct sl_image im = tiny_scene(640, 480);
	SL_AUTO(sl_buf_done) struct sl_buf jpeg = {0};
	SL_AUTOFREE struct sl_seen *seen = SL_NEW(struct sl_seen);
	struct sl_err err;

	for (int y = 0; y < 6; y++)
		for (int x = 0; x < 8; x++)
			tiny_sign(&im, 26 + 76 * x, 22 + 76 * y, x % 2 ? TINY_ORANGE : TINY_SURE);
	tiny_jpeg(&im, &jpeg);
	CHECK_OK(sl_pipeline_run(p, b, sl_buf_slice(&jpeg), PIXELS, SL_FOREVER, seen, &err));
	CHECK_EQ(seen->n, 48);
	for (int i = 0; i < seen->n; i++)
		CHECK_EQ(seen->sign[i].candidate[0].cls, (seen->sign[i].box[0] - 26 + 2) / 76 % 2);
	sl_seen_done(seen);
	sl_pipeline_free(p);
	sl_bundle_unref(b);
}

TEST(pipeline, bundles_may_alternate_and_old_ones_are_let_go)
{
	struct sl_bundle *b[3] = {tiny_bundle("a"), tiny_bundle("b"), tiny_bundle("c")};
	struct sl_pipeline *p = sl_pipeline_new();
	SL_AUTO(sl_buf_done) struct sl_buf jpeg = {0};
	SL_AUTOFREE struct sl_seen *seen = SL_NEW(struct sl_seen);
	struct sl_err err;

	scene_with_two_signs(&jpeg);
	for (int i = 0; i < 6; i++) {
		CHECK_OK(sl_pipeline_run(p, b[i / 2], sl_buf_slice(&jpeg), PIXELS, SL_FOREVER, seen, &err));
		CHECK_EQ(seen->n, 2);
		sl_seen_done(seen);
	}
	CHECK_EQ(b[0]->refs, 1); /* only ours: the pipeline kept the last two */
	CHECK_EQ(b[1]->refs, 2);
	CHECK_EQ(b[2]->refs, 2);
	sl_pipeline_free(p);
	for (int i = 0; i < 3; i++)
		sl_bundle_unref(b[i]);
}

/* One cell of 32 x 32 px: centre 16,16, sides 20, objectness the mean of red minus blue. */
static struct sl_graph *one_cell_yolov5(void)
{
	enum { SIDE = 32, OUT = 6 };
	struct sl_graph *g = sl_graph_new("one cell");
	SL_AUTOFREE float *w = sl_calloc((size_t)OUT * 3 * SIDE * SIDE, sizeof *w);
	const float bias[OUT] = {16, 16, 20, 20, 0, 1};
	const int64_t shape[3] = {1, -1, OUT};
	int x = sl_graph_input(g, "images", SL_SHAPE(1, 3, SIDE, SIDE));

	for (int i = 0; i < SIDE * SIDE; i++) {
		w[(4 * 3 + 0) * SIDE * SIDE + i] = 1.2f / (SIDE * SIDE);
		w[(4 * 3 + 2) * SIDE * SIDE + i] = -1.2f / (SIDE * SIDE);
	}
	int in[3] = {x, sl_graph_weight(g, "w", SL_SHAPE(OUT, 3, SIDE, SIDE), w),
		sl_graph_weight(g, "b", SL_SHAPE(OUT), bias)};
	int y = sl_graph_op(g, SL_OP_CONV, "conv", in, 3);
	sl_graph_attr_list(g, "kernel_shape", (const int64_t[]){SIDE, SIDE}, 2);
	sl_graph_attr_list(g, "strides", (const int64_t[]){SIDE, SIDE}, 2);
	y = sl_graph_op(g, SL_OP_TRANSPOSE, "turn", &y, 1);
	sl_graph_attr_list(g, "perm", (const int64_t[]){0, 2, 3, 1}, 4);
	const int rows[2] = {y, sl_graph_ints(g, "shape", SL_SHAPE(3), shape)};
	sl_graph_output(g, sl_graph_op(g, SL_OP_RESHAPE, "rows", rows, 2));
	return g;
}

/* The tiny classifier as others export theirs: a batch of one, Softmax at the end. */
static struct sl_graph *softmax_classifier(void)
{
	struct sl_graph *g = tiny_classifier(TINY_CLASSES);
	int y = g->output[0];

	g->value[g->input[0]].shape.dim[0] = 1;
	g->output[0] = sl_graph_op(g, SL_OP_SOFTMAX, "softmax", &y, 1);
	sl_graph_attr_int(g, "axis", 1);
	return g;
}

static struct sl_bundle *foreign_bundle(void)
{
	struct sl_graph *d = one_cell_yolov5(), *c = softmax_classifier();
	SL_AUTO(sl_buf_done) struct sl_buf file = {0}, detector = {0}, classifier = {0};
	SL_AUTOJSON json_t *info = tiny_info("foreign");
	struct sl_bundle *b = NULL;
	struct sl_err err;

	json_object_set_new(info, "detector",
		json_pack("{s:s,s:i,s:f,s:f,s:f,s:i}", "decode", "yolov5", "stride", 32, "mean", 0.0, "scale", 255.0,
			"threshold", 0.5, "max_side", 2048));
	CHECK_OK(sl_onnx_write(d, &detector, &err));
	CHECK_OK(sl_onnx_write(c, &classifier, &err));
	const struct sl_bundle_parts p = {
		info, sl_buf_slice(&detector), sl_buf_slice(&classifier), sl_slice_str(tiny_taxonomy), {0}};
	CHECK_OK(sl_bundle_write(&p, &file, &err));
	CHECK_OK(sl_bundle_open(sl_buf_slice(&file), SL_PRECISION_F32, &b, &err));
	sl_graph_free(d);
	sl_graph_free(c);
	return b;
}

TEST(pipeline, nets_from_elsewhere_run_with_their_fixed_sizes)
{
	struct sl_bundle *b = foreign_bundle(), *tiny = tiny_bundle("tiny");
	struct sl_pipeline *p = sl_pipeline_new();
	SL_AUTO(sl_image_done) struct sl_image im = tiny_scene(64, 48);
	SL_AUTO(sl_buf_done) struct sl_buf png = {0};
	SL_AUTOFREE struct sl_seen *seen = SL_NEW(struct sl_seen);
	struct sl_candidate want[SL_CANDIDATES];
	struct sl_err err;
	int n;

	tiny_sign(&im, 0, 0, 60);
	tiny_sign(&im, 32, 0, 60);
	tiny_sign(&im, 0, 16, 60);
	tiny_sign(&im, 32, 16, 60);
	CHECK_OK(sl_png_encode(&im, &png, &err));
	CHECK_OK(sl_pipeline_run(p, b, sl_buf_slice(&png), PIXELS, SL_FOREVER, seen, &err));
	CHECK_EQ(seen->n, 1); /* shrunk to 32 x 24: the box 6,6..26,24 there */
	CHECK_EQ(seen->sign[0].box[0], 12);
	CHECK_EQ(seen->sign[0].box[1], 12);
	CHECK_EQ(seen->sign[0].box[2], 40);
	CHECK_EQ(seen->sign[0].box[3], 36);
	CHECK_OK(sl_pipeline_classify(p, tiny, &im, (struct sl_box){12, 12, 40, 36}, want, &n, &err));
	CHECK_EQ(seen->sign[0].candidate[0].cls, want[0].cls);
	CHECK_NEAR(seen->sign[0].candidate[0].confidence, want[0].confidence, 1e-4);
	CHECK_OK(sl_pipeline_selftest(p, b, &err));
	sl_seen_done(seen);
	sl_pipeline_free(p);
	sl_bundle_unref(b);
	sl_bundle_unref(tiny);
}

TEST(pipeline, a_net_that_gives_no_numbers_fails_its_self_test)
{
	struct sl_graph *d = tiny_detector();
	SL_AUTO(sl_buf_done) struct sl_buf file = {0}, good = {0}, bad = {0};
	struct sl_pipeline *p = sl_pipeline_new();
	struct sl_bundle_parts parts = {0};
	struct sl_bundle *b = NULL;
	struct sl_err err;

	for (int v = 0; v < d->nvalue; v++)
		if (d->value[v].f32)
			d->value[v].f32[0] = INFINITY;
	CHECK_OK(sl_onnx_write(d, &bad, &err));
	tiny_bundle_file("tiny", &good);
	CHECK_OK(sl_bundle_read(sl_buf_slice(&good), &parts, &err));
	parts.detector = sl_buf_slice(&bad);
	CHECK_OK(sl_bundle_write(&parts, &file, &err));
	json_decref(parts.info);
	if (sl_bundle_open(sl_buf_slice(&file), SL_PRECISION_F32, &b, &err) == SL_OK)
		CHECK_STATUS(sl_pipeline_selftest(p, b, &err), SL_REFUSED);
	sl_pipeline_free(p);
	sl_bundle_unref(b);
	sl_graph_free(d);
}

TEST(calibrate, confidences_are_a_softmax_at_the_temperature)
{
	const float logit[7] = {0, 1, 2, 3, 3, -50, 2.5f};
	struct sl_candidate c[SL_CANDIDATES];
	double sum = 0;

	for (int i = 0; i < 7; i++)
		sum += exp(logit[i] / 2);
	CHECK_EQ(sl_calibrate(logit, 7, false, 2, c), SL_CANDIDATES);
	CHECK_EQ(c[0].cls, 3); /* of equals the lower class first */
	CHECK_EQ(c[1].cls, 4);
	CHECK_EQ(c[2].cls, 6);
	CHECK_EQ(c[4].cls, 1);
	CHECK_NEAR(c[0].confidence, exp(1.5) / sum, 1e-6);
	CHECK_NEAR(c[4].confidence, exp(0.5) / sum, 1e-6);
}

TEST(calibrate, probabilities_pass_through_and_nonsense_does_not)
{
	const float p[3] = {0.2f, 0.7f, 0.1f}, bad[3] = {0, NAN, 1};
	struct sl_candidate c[SL_CANDIDATES];

	CHECK_EQ(sl_calibrate(p, 3, true, 1, c), 3);
	CHECK_NEAR(c[0].confidence, 0.7, 1e-6);
	CHECK_NEAR(c[2].confidence, 0.1, 1e-6);
	CHECK_EQ(sl_calibrate(bad, 3, false, 1, c), 0);
	CHECK_EQ(sl_calibrate((float[]){1e30f, 0}, 2, false, 1, c), 2);
	CHECK_NEAR(c[0].confidence, 1, 1e-6);
}

/* A ramp: cutting with context 1 gives back the part of the ramp under the box. */
TEST(classify, a_large_sign_is_cut_where_its_box_is)
{
	SL_AUTO(sl_image_done) struct sl_image im = sl_image_new(500, 300), cut = sl_image_new(48, 48);

	for (int y = 0; y < im.h; y++)
		for (int x = 0; x < im.w; x++)
			memset(im.px + ((size_t)y * im.w + x) * 3, x / 2, 3);
	sl_classify_cut(&im, (struct sl_box){100, 50, 240, 200}, 1, &cut);
	for (int i = 0; i < 48; i++)
		CHECK_NEAR(cut.px[(24 * 48 + i) * 3], (100 + (i + 0.5) * 240 / 48 - 0.5) / 2, 1.6);
}
