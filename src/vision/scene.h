/* SPDX-License-Identifier: Apache-2.0
 *
 * Drawn road scenes for `signloop drive --demo` and for tests: no picture of anybody else is
 * needed to see the loop work. A world of its own for each (seed, car): a road with lanes,
 * verges, houses, trees, lamps, traffic, and posts with signs of taxonomy/de; frame n+1 is
 * SL_SCENE_STEP_M further down the road, so signs grow until they pass. Light, haze, blur and
 * noise change with the car and slowly along its way.
 *
 * Deterministic: the same arguments give the same pixels on the same build. Thread: any.
 * About 60 ms a frame of 1360x800 on one core.
 */
#pragma once
#include "vision/image.h"

enum { SL_SCENE_W = 1360, SL_SCENE_H = 800, SL_SCENE_SIGNS = 16, SL_SCENE_MIN_PX = 16 };
#define SL_SCENE_STEP_M 2.5f

struct sl_scene_sign {
	int cls; /* index in taxonomy/de.json */
	struct sl_box box; /* of the face, in pixels */
};

/* Signs that can be seen: at least SL_SCENE_MIN_PX on the longer side, inside the frame,
 * and at most a third hidden. */
struct sl_scene_truth {
	struct sl_scene_sign sign[SL_SCENE_SIGNS];
	int n;
};

/* ret->w and h say the size to draw, 64..8192 each; its pixels are overwritten. */
void sl_scene_draw(uint64_t seed, unsigned car, uint64_t frame, struct sl_image *ret, struct sl_scene_truth *ret_truth);

/* One sign face from the front on a plain ground, filling `fill` (0..1] of the image's
 * shorter side: for self-tests and test pictures. cls must be a class of taxonomy/de. */
void sl_scene_draw_sign(int cls, float fill, struct sl_image *ret);
int sl_scene_classes(void);
