/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/lanes.h"
#include "base/mem.h"
#include "nn/train/clones.h"

/* Vectors are passed between inlined functions only: their calling convention does not matter. */
#pragma GCC diagnostic ignored "-Wpsabi"
#define INLINE __attribute__((always_inline)) static inline
enum { FLUSH = 1024 }; /* vectors summed in f32 before they go into a double */

#define L 16
#define N(name) name##_16
#include "nn/train/lanes_width.inc"
#undef L
#undef N
#define L 8
#define N(name) name##_8
#include "nn/train/lanes_width.inc"
#undef L
#undef N

const struct sl_lanes *sl_lanes(int width)
{
	return width == 8 ? &table_8 : &table_16;
}

void sl_to_blocks(int width, bool half, int n, int c, size_t rows, const float *x, void *y)
{
	int blocks = (c + width - 1) / width;
	uint16_t *h = y;
	float *f = y;
	size_t to = 0;
	for (int i = 0; i < n; i++)
		for (int b = 0; b < blocks; b++)
			for (size_t r = 0; r < rows; r++)
				for (int k = b * width; k < (b + 1) * width; k++, to++) {
					float v = k < c ? x[((size_t)i * c + k) * rows + r] : 0;
					if (half)
						h[to] = sl_half_of(v);
					else
						f[to] = v;
				}
}

void sl_from_blocks(int width, bool half, int n, int c, size_t rows, const void *x, float *y)
{
	int blocks = (c + width - 1) / width;
	const uint16_t *h = x;
	const float *f = x;
	for (int i = 0; i < n; i++)
		for (int k = 0; k < c; k++) {
			size_t from = ((size_t)i * blocks + k / width) * rows * width + k % width;
			for (size_t r = 0; r < rows; r++, from += width)
				*y++ = half ? sl_half_get(h[from]) : f[from];
		}
}
