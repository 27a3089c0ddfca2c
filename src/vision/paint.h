/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to vision's scenes: filling polygons with smooth edges on a canvas of float RGB
 * (0 black, 1 white, more is overexposed). A fill is the union of contours that turn the
 * same way. Each pixel remembers the id of what covered it last by more than half.
 * Owner: the caller. Thread: one at a time. Coordinates in pixels, edges at whole numbers.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct sl_canvas {
	int w, h;
	float *px; /* w * h * 3 */
	uint8_t *owner; /* w * h */
	float *acc; /* (w + 2) * h, zero between fills */
	int x0, y0, x1, y1; /* what the contours since the last fill can touch */
};

struct sl_pt {
	float x, y;
};

struct sl_ink {
	float rgb[3];
	float grain, grain_scale; /* texture: strength, tiles a pixel; 0: flat */
	float grain_x, grain_y; /* where in the noise tile */
	uint8_t id; /* 0: nothing of interest */
};

void sl_canvas_init(struct sl_canvas *c, int w, int h);
void sl_canvas_done(struct sl_canvas *c);

void sl_paint_contour(struct sl_canvas *c, const struct sl_pt *p, int n);
void sl_paint_fill(struct sl_canvas *c, const struct sl_ink *ink);
/* One contour of either turn, filled. */
void sl_paint_polygon(struct sl_canvas *c, const struct sl_pt *p, int n, const struct sl_ink *ink);
void sl_paint_dot(struct sl_canvas *c, int x, int y, const float rgb[3], float alpha);

/* Smooth noise in 0..1 that repeats every 1.0 in both directions; mean 0.5. */
float sl_paint_noise(float u, float v);
