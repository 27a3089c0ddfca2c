/* SPDX-License-Identifier: Apache-2.0
 *
 * The few loops of our own, over channels-last tensors.
 */
#include "nn/dnnl/program.h"
#include "base/mem.h"

/* The same source for several instruction sets, chosen when the program starts. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define WIDE __attribute__((optimize("O3"), target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE
#endif

void sl_kernel_repeat(const void *src, void *dst, const struct sl_shape *x, int k, size_t size)
{
	size_t pixel = (size_t)x->dim[1] * size, w = (size_t)x->dim[3], row = w * (size_t)k * pixel;
	const char *from = src;
	char *to = dst;

	for (int64_t y = 0; y < x->dim[0] * x->dim[2]; y++) {
		for (size_t i = 0; i < w; i++, from += pixel)
			for (int r = 0; r < k; r++)
				memcpy(to + (i * (size_t)k + (size_t)r) * pixel, from, pixel);
		for (int r = 1; r < k; r++)
			memcpy(to + (size_t)r * row, to, row);
		to += (size_t)k * row;
	}
}

/* Nearest, ties to even, like the processor's own conversion; NaN stays NaN. */
static inline uint16_t to_bf16(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return f != f ? (uint16_t)(bits >> 16 | 0x40) : (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

WIDE static void pack_bf16(const float *src, uint16_t *dst, int64_t c, int64_t plane)
{
	if (c == 3) {
		for (int64_t i = 0; i < plane; i++) {
			dst[i * 3] = to_bf16(src[i]);
			dst[i * 3 + 1] = to_bf16(src[i + plane]);
			dst[i * 3 + 2] = to_bf16(src[i + 2 * plane]);
		}
		return;
	}
	for (int64_t i = 0; i < plane; i++)
		for (int64_t k = 0; k < c; k++)
			dst[i * c + k] = to_bf16(src[i + k * plane]);
}

WIDE static void pack_f32(const float *src, float *dst, int64_t c, int64_t plane)
{
	for (int64_t i = 0; i < plane; i++)
		for (int64_t k = 0; k < c; k++)
			dst[i * c + k] = src[i + k * plane];
}

void sl_kernel_pack(const float *src, void *dst, const struct sl_shape *x, bool bf16)
{
	int64_t c = x->dim[1], plane = x->dim[2] * x->dim[3];

	for (int64_t n = 0; n < x->dim[0]; n++)
		if (bf16)
			pack_bf16(src + n * c * plane, (uint16_t *)dst + n * c * plane, c, plane);
		else
			pack_f32(src + n * c * plane, (float *)dst + n * c * plane, c, plane);
}

WIDE static void row_bf16(const uint8_t *px, uint16_t *dst, int n, float mean, float scale)
{
	for (int i = 0; i < n; i++)
		dst[i] = to_bf16(((float)px[i] - mean) * scale);
}

WIDE static void row_f32(const uint8_t *px, float *dst, int n, float mean, float scale)
{
	for (int i = 0; i < n; i++)
		dst[i] = ((float)px[i] - mean) * scale;
}

static void swap_row(const uint8_t *px, uint8_t *ret, int w)
{
	for (int i = 0; i < w; i++) {
		ret[i * 3] = px[i * 3 + 2];
		ret[i * 3 + 1] = px[i * 3 + 1];
		ret[i * 3 + 2] = px[i * 3];
	}
}

void sl_kernel_pixels(const struct sl_pixels *im, void *dst, const struct sl_shape *x, bool bf16)
{
	size_t width = (size_t)x->dim[3] * 3, used = (size_t)im->w * 3, size = bf16 ? 2 : 4;
	SL_AUTOFREE uint8_t *swapped = im->swap ? sl_alloc(used) : NULL;
	char *to = dst;

	for (int y = 0; y < im->h; y++, to += width * size) {
		const uint8_t *px = im->px + (size_t)y * used;

		if (swapped) {
			swap_row(px, swapped, im->w);
			px = swapped;
		}
		if (bf16)
			row_bf16(px, (uint16_t *)(void *)to, (int)used, im->mean, im->scale);
		else
			row_f32(px, (float *)(void *)to, (int)used, im->mean, im->scale);
		memset(to + used * size, 0, (width - used) * size);
	}
	memset(to, 0, (size_t)(x->dim[2] - im->h) * width * size);
}
