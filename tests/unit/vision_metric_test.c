/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "harness.h"
#include "vision/metric.h"
#include <math.h>

static const struct sl_detect_options options = {0.02f, 0.45f, 64, 48, 100};

static struct sl_detection det(float x, float y, float w, float h, float score)
{
	return (struct sl_detection){{x, y, w, h}, score, 0};
}

TEST(detect, iou_by_hand)
{
	struct sl_box a = {0, 0, 10, 10}, b = {5, 0, 10, 10}, c = {10, 0, 10, 10};

	CHECK_NEAR(sl_box_iou(&a, &a), 1, 1e-6);
	CHECK_NEAR(sl_box_iou(&a, &b), 50.0 / 150, 1e-6);
	CHECK_NEAR(sl_box_iou(&a, &c), 0, 1e-6);
}

TEST(detect, nms_keeps_the_best_of_each_place)
{
	struct sl_detection d[] = {
		det(0, 0, 10, 10, .5f), det(1, 0, 10, 10, .9f), det(30, 0, 10, 10, .7f), det(0, 5.5f, 10, 10, .6f)};
	int n = sl_detect_nms(d, 4, 0.45f, false);

	CHECK_EQ(n, 3);
	CHECK_NEAR(d[0].score, .9, 1e-6);
	CHECK_NEAR(d[1].score, .7, 1e-6);
	CHECK_NEAR(d[2].score, .6, 1e-6);
	d[0] = det(0, 0, 10, 10, .9f);
	d[1] = det(0, 0, 10, 10, .8f);
	d[1].cls = 1;
	CHECK_EQ(sl_detect_nms(d, 2, 0.45f, true), 2);
	CHECK_EQ(sl_detect_nms(d, 2, 0.45f, false), 1);
}

/* A 12x16 grid: a peak, its weaker neighbour, one at the border, one below the least score. */
TEST(detect, center4_by_hand)
{
	enum { H = 12, W = 16, PLANE = H * W };
	float out[5 * PLANE];
	struct sl_detection d[SL_DETECT_MOST];

	for (int i = 0; i < 5 * PLANE; i++)
		out[i] = i < PLANE ? -9 : 0; /* exp(0) * 4 = 4 px to each side */
	out[3 * W + 5] = 2;
	out[3 * W + 6] = 1.9f;
	out[PLANE + 3 * W + 5] = logf(2); /* left 8 */
	out[4 * PLANE + 3 * W + 5] = logf(3); /* bottom 12 */
	out[0] = 0;
	out[11 * W + 15] = -3.95f; /* .0189 */
	int n = sl_detect_center4(out, H, W, &options, d);

	CHECK_EQ(n, 2);
	CHECK_NEAR(d[0].score, 1 / (1 + exp(-2)), 1e-6);
	CHECK_NEAR(d[0].box.x, 22 - 8, 1e-4);
	CHECK_NEAR(d[0].box.y, 14 - 4, 1e-4);
	CHECK_NEAR(d[0].box.w, 12, 1e-4);
	CHECK_NEAR(d[0].box.h, 16, 1e-4);
	CHECK_NEAR(d[1].score, .5, 1e-6);
	CHECK_NEAR(d[1].box.x, 0, 1e-6); /* clipped */
	CHECK_NEAR(d[1].box.w, 6, 1e-4);
}

TEST(detect, center4_survives_any_numbers)
{
	enum { H = 8, W = 8, PLANE = H * W };
	static const float bad[] = {NAN, INFINITY, -INFINITY, 1e30f, 0};
	float out[5 * PLANE];
	struct sl_detection d[SL_DETECT_MOST];

	for (int i = 0; i < 5 * PLANE; i++)
		out[i] = bad[(i * 7) % 5];
	int n = sl_detect_center4(out, H, W, &options, d);
	CHECK(n >= 0 && n <= SL_DETECT_MOST);
	for (int i = 0; i < n; i++)
		CHECK(d[i].box.x >= 0 && d[i].box.x + d[i].box.w <= 64.001f && d[i].box.w > 0);
}

TEST(detect, only_the_best_hundred_stay)
{
	enum { H = 60, W = 80, PLANE = H * W };
	float *out = SL_NEW_N(float, 5 * PLANE);
	struct sl_detect_options o = {0.02f, 0.45f, 320, 240, 10};
	struct sl_detection d[10];

	for (int i = 0; i < PLANE; i++)
		out[i] = -9;
	for (int k = 0; k < 20; k++) /* far apart; the later ones are better */
		out[(k / 5 * 12 + 5) * W + k % 5 * 12 + 5] = k * 0.1f;
	CHECK_EQ(sl_detect_center4(out, H, W, &o, d), 10);
	CHECK_NEAR(d[0].score, 1 / (1 + exp(-1.9)), 1e-5);
	CHECK_NEAR(d[9].score, 1 / (1 + exp(-1.0)), 1e-5);
	free(out);
}

TEST(detect, yolov5_by_hand)
{
	static const float out[3][7] = {
		{20, 20, 10, 20, .8f, .1f, .5f}, {21, 20, 10, 20, .7f, .1f, .5f}, {60, 40, 20, 30, .9f, 1, 0}};
	struct sl_detection d[SL_DETECT_MOST];
	int n = sl_detect_yolov5(out[0], 3, 2, &options, d);

	CHECK_EQ(n, 2);
	CHECK_EQ(d[0].cls, 0);
	CHECK_NEAR(d[0].score, .9, 1e-6);
	CHECK_NEAR(d[0].box.x, 50, 1e-5);
	CHECK_NEAR(d[0].box.w, 14, 1e-5);
	CHECK_NEAR(d[0].box.h, 23, 1e-5);
	CHECK_EQ(d[1].cls, 1);
	CHECK_NEAR(d[1].score, .4, 1e-6);
	CHECK_NEAR(d[1].box.y, 10, 1e-5);
}

TEST(detect, yolov5_a_sign_that_two_classes_claim_is_one)
{
	static const float out[2][7] = {{20, 20, 10, 20, .8f, .1f, .9f}, {21, 20, 10, 20, .8f, .8f, .1f}};
	struct sl_detection d[SL_DETECT_MOST];

	CHECK_EQ(sl_detect_yolov5(out[0], 2, 2, &options, d), 1);
	CHECK_EQ(d[0].cls, 1);
	CHECK_NEAR(d[0].score, .72, 1e-6);
}

TEST(detect, inputs_of_each_channel)
{
	const float mean[3] = {100, 20, 0}, scale[3] = {50, 10, 255};
	struct sl_image im = sl_image_new(1, 1);
	float out[3];

	memcpy(im.px, (uint8_t[]){50, 40, 51}, 3);
	sl_input_planes(&im, 1, 1, mean, scale, out);
	CHECK_NEAR(out[0], -1, 1e-6);
	CHECK_NEAR(out[1], 2, 1e-6);
	CHECK_NEAR(out[2], 0.2, 1e-6);
	sl_image_done(&im);
}

TEST(detect, inputs_are_planes)
{
	struct sl_image im = sl_image_new(3, 2);
	float out[3 * 4 * 4];

	for (int i = 0; i < 18; i++)
		im.px[i] = (uint8_t)(10 * i);
	sl_input_scene(&im, 4, 4, 127.5f, 64, out);
	CHECK_NEAR(out[0], (0 - 127.5) / 64, 1e-5);
	CHECK_NEAR(out[16 + 2], (70 - 127.5) / 64, 1e-5); /* green of pixel 2 */
	CHECK_NEAR(out[32 + 4], (110 - 127.5) / 64, 1e-5); /* blue of pixel (0,1) */
	CHECK_NEAR(out[3], 0, 0);
	CHECK_NEAR(out[15], 0, 0);
	sl_input_sign(&im, out);
	CHECK_NEAR(out[0], -85 / (sqrt(100 * (18 * 18 - 1) / 12.0) + 8), 1e-5);
	CHECK_NEAR(out[6], -75 / (sqrt(100 * (18 * 18 - 1) / 12.0) + 8), 1e-5);
	sl_image_done(&im);
}

/* Precision 1, 1/2, 2/3, 1/2, 3/5 at recall 1/3, 1/3, 2/3, 2/3, 1. */
TEST(metric, average_precision_by_hand)
{
	struct sl_detection_measure *m = sl_detection_measure_new(0.5f);
	struct sl_box one[] = {{0, 0, 10, 10}, {20, 0, 40, 40}}, two[] = {{0, 0, 20, 20}};
	struct sl_detection a[] = {det(0, 0, 10, 10, .9f), det(100, 0, 10, 10, .8f), det(21, 1, 40, 40, .5f)};
	struct sl_detection b[] = {det(0, 0, 20, 21, .7f), det(1, 0, 20, 20, .6f)}; /* the second finds a taken box */
	struct sl_detection_score s;

	sl_detection_measure_add(m, a, 3, one, NULL, 2);
	sl_detection_measure_add(m, b, 2, two, NULL, 1);
	sl_detection_measure_end(m, &s);
	CHECK_EQ(s.scenes, 2);
	CHECK_EQ(s.boxes, 3);
	CHECK_EQ(s.found_any, 3);
	CHECK_NEAR(s.ap, (1 + 2.0 / 3 + 0.6) / 3, 1e-9);
	CHECK_NEAR(s.ap11, (4 + 3 * 2.0 / 3 + 4 * 0.6) / 11, 1e-9);
	CHECK_NEAR(s.threshold, .5, 1e-6);
	CHECK_NEAR(s.f1, .75, 1e-9);
	CHECK_NEAR(s.precision, .6, 1e-9);
	CHECK_NEAR(s.recall, 1, 1e-9);
	CHECK_NEAR(s.false_a_scene, 1, 1e-9);
	CHECK_EQ(s.size_boxes[0], 1);
	CHECK_EQ(s.size_boxes[1], 1);
	CHECK_EQ(s.size_boxes[2], 1);
	CHECK_EQ(s.size_found[2], 1);
	sl_detection_measure_end(m, &s); /* asking twice gives the same */
	CHECK_NEAR(s.ap, (1 + 2.0 / 3 + 0.6) / 3, 1e-9);
	sl_detection_measure_free(m);
}

TEST(metric, ignored_boxes_count_neither_way)
{
	struct sl_detection_measure *m = sl_detection_measure_new(0.5f);
	struct sl_box box[] = {{0, 0, 10, 10}, {20, 0, 40, 40}};
	bool ignored[] = {false, true};
	struct sl_detection d[] = {det(25, 5, 10, 10, .95f), det(0, 0, 10, 10, .9f)};
	struct sl_detection_score s;

	sl_detection_measure_add(m, d, 2, box, ignored, 2);
	sl_detection_measure_end(m, &s);
	CHECK_EQ(s.boxes, 1);
	CHECK_NEAR(s.ap, 1, 1e-9);
	CHECK_NEAR(s.precision, 1, 1e-9);
	sl_detection_measure_free(m);
}

TEST(metric, nothing_found_is_zero)
{
	struct sl_detection_measure *m = sl_detection_measure_new(0.5f);
	struct sl_box box = {0, 0, 10, 10};
	struct sl_detection_score s;

	sl_detection_measure_end(m, &s);
	CHECK_NEAR(s.ap, 0, 0);
	sl_detection_measure_add(m, NULL, 0, &box, NULL, 1);
	sl_detection_measure_end(m, &s);
	CHECK_NEAR(s.ap, 0, 0);
	CHECK_NEAR(s.ap11, 0, 0);
	CHECK_EQ(s.boxes, 1);
	sl_detection_measure_free(m);
}

TEST(metric, accuracy_and_recall_by_hand)
{
	static const float z[4][3] = {{5, 0, 0}, {0, 5, 0}, {5, 0, 0}, {0, 0, 5}};
	static const int cls[4] = {0, 1, 1, 2};
	struct sl_class_measure *m = sl_class_measure_new(3);
	struct sl_class_score s;
	double p = exp(5) / (exp(5) + 2);

	for (int i = 0; i < 4; i++)
		sl_class_measure_add(m, z[i], cls[i]);
	sl_class_measure_end(m, 1, &s);
	CHECK_EQ(s.n, 4);
	CHECK_EQ(s.right, 3);
	CHECK_NEAR(s.accuracy, .75, 1e-9);
	CHECK_NEAR(s.mean_recall, (1 + .5 + 1) / 3, 1e-9);
	CHECK_EQ(s.class_said[0], 2);
	CHECK_NEAR(s.ece, p - .75, 1e-6);
	CHECK_NEAR(s.nll, (-3 * log(p) - log((1 - p) / 2)) / 4, 1e-6);
	sl_class_measure_free(m);
}

/* Logits that are twice too sure: right with the probability that half of them say. */
TEST(metric, temperature_is_found)
{
	struct sl_class_measure *m = sl_class_measure_new(2);
	struct sl_class_score raw, cooled;

	for (int i = 0; i < 1000; i++) {
		float z[2] = {2 * 1.3862944f, 0}; /* half of it: probability .8 */

		sl_class_measure_add(m, z, i % 5 == 0);
	}
	CHECK_NEAR(sl_class_measure_temperature(m), 2, 0.02);
	sl_class_measure_end(m, 1, &raw);
	sl_class_measure_end(m, 2, &cooled);
	CHECK(cooled.nll < raw.nll);
	CHECK_NEAR(cooled.ece, 0, 1e-6);
	CHECK_EQ(cooled.right, raw.right);
	sl_class_measure_free(m);
}

TEST(metric, numbers_that_are_none_are_wrong_answers)
{
	static const float z[2] = {NAN, NAN};
	struct sl_class_measure *m = sl_class_measure_new(2);
	struct sl_class_score s;

	sl_class_measure_add(m, z, 1);
	sl_class_measure_add(m, z, 7);
	sl_class_measure_end(m, 1, &s);
	CHECK_EQ(s.right, 0);
	CHECK_EQ(s.n, 2);
	sl_class_measure_free(m);
}
