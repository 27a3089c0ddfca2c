/* SPDX-License-Identifier: Apache-2.0
 *
 * From a detector's raw output to boxes. Two kinds of heads:
 * centre-4: [5][h][w] on a grid of stride 4: logit of "a sign's centre is here", then
 *   left, top, right, bottom (nn/train/nets.h). A detection is a cell that is the largest
 *   of its 3x3 neighbours.
 * YOLOv5:   [n][5 + classes]: cx, cy, w, h in input pixels, objectness, class scores, all
 *   after the sigmoid, as its export writes them.
 * Boxes are clipped to the scene; overlapping ones are removed (greedy, by score).
 * Owner: the caller's arrays. Thread: any. Units: pixels of the net's input.
 */
#pragma once
#include "vision/image.h"

struct sl_detection {
	struct sl_box box;
	float score; /* 0..1 */
	int cls; /* 0 for one-class heads */
};

#define SL_DETECT_SCORE 0.02f /* for measuring: the whole curve */
#define SL_DETECT_IOU 0.45f
enum { SL_DETECT_MOST = 100 };

struct sl_detect_options {
	float min_score, iou;
	int scene_w, scene_h; /* without padding */
	int most; /* at most this many, best first; also the room in ret */
};

float sl_box_iou(const struct sl_box *a, const struct sl_box *b);
/* Sorted by score (ties: the order given); keeps a box if its IoU with each kept one is at
 * most `iou` (with by_class: of its own class). Returns how many are left. */
int sl_detect_nms(struct sl_detection *d, int n, float iou, bool by_class);
int sl_detect_center4(const float *out, int h, int w, const struct sl_detect_options *o, struct sl_detection *ret);
int sl_detect_yolov5(const float *out, int n, int classes, const struct sl_detect_options *o, struct sl_detection *ret);

/* Image to planes for the detector: (v - mean) / scale, red first, right and bottom padded with
 * 0 to w x h (multiples of the net's stride). ret: 3*w*h values. */
void sl_input_scene(const struct sl_image *im, int w, int h, float mean, float scale, float *ret);
/* The same with numbers of each channel: red, green, blue. */
void sl_input_planes(const struct sl_image *im, int w, int h, const float mean[3], const float scale[3], float *ret);
/* Image to planes for the classifier: (v - m) / (s + 8), m and s over all pixels and channels. */
void sl_input_sign(const struct sl_image *im, float *ret);
