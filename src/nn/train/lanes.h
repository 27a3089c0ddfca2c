/* SPDX-License-Identifier: Apache-2.0
 *
 * Element-wise work of the trainer on images stored in blocks of channels,
 * [image][channel / L][row of pixels][L] with L = 16 or 8 channels side by side, which
 * is what oneDNN's convolutions like best. Numbers are bf16 (half) or f32; sums are f32
 * for at most a few thousand terms, then double.
 *
 * A "plane" is one block of L channels over a whole batch: `images` pieces of `rows`
 * vectors, `step` vectors apart. Pointers are 64-byte aligned.
 * Owner: the caller. Thread: any. No errors.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SL_LANES_MAX = 16 };

struct sl_plane {
	int images;
	size_t rows, step;
	bool half;
};

struct sl_lanes {
	int width; /* L */
	/* Mean and biased variance of each channel. */
	void (*moments)(struct sl_plane p, const void *x, float *mean, float *var);
	/* y = x * scale + shift (+ add) (, at least 0) */
	void (*affine)(struct sl_plane p, const void *x, const float *scale, const float *shift, const void *add,
		bool relu, void *y);
	/* g += g2 (if any), g = 0 where y (if any) is not positive; sums of g and g * (x - mean). */
	void (*gather)(struct sl_plane p, void *g, const void *g2, const void *y, const void *x, const float *mean,
		double *sum, double *sum_x);
	/* dx = a g + b x + c; dx may be x */
	void (*spread)(struct sl_plane p, const void *g, const void *x, const float *a, const float *b, const float *c,
		void *dx);
	/* y = a + b, at least 0 if relu; b may be NULL; n vectors */
	void (*sum)(bool half, size_t n, const void *a, const void *b, bool relu, void *y);
	/* g += g2 (if any), g = 0 where y (if any) is not positive; n vectors */
	void (*mask)(bool half, size_t n, void *g, const void *g2, const void *y);
	/* Nearest x2 of n pictures of h x w, and its gradient. */
	void (*up)(bool half, size_t n, int h, int w, const void *x, void *y);
	void (*down)(bool half, size_t n, int h, int w, const void *dy, void *dx); /* h x w: of dx */
	/* Mean over the rows of each of n pictures into L floats; and its gradient. */
	void (*pool)(bool half, size_t n, size_t rows, const void *x, float *y);
	void (*unpool)(bool half, size_t n, size_t rows, const float *dy, void *dx);
};

const struct sl_lanes *sl_lanes(int width); /* 8 or 16 */

/* Row-major n,c,rows floats to blocks and back; channels past c are 0. */
void sl_to_blocks(int width, bool half, int n, int c, size_t rows, const float *x, void *y);
void sl_from_blocks(int width, bool half, int n, int c, size_t rows, const void *x, float *y);

static inline float sl_half_get(uint16_t h)
{
	union {
		uint32_t u;
		float f;
	} v = {(uint32_t)h << 16};
	return v.f;
}
static inline uint16_t sl_half_of(float f) /* to nearest, ties to even */
{
	union {
		float f;
		uint32_t u;
	} v = {f};
	return (uint16_t)((v.u + 0x7fff + ((v.u >> 16) & 1)) >> 16);
}
