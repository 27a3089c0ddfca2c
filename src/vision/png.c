/* SPDX-License-Identifier: Apache-2.0
 *
 * PNG through libspng, which turns every colour type and depth into RGB or RGBA of 8 bits.
 */
#include "base/mem.h"
#include "vision/image_codec.h"
#include <spng.h>

enum { PNG_CHUNK_BYTES = 1 << 20, PNG_CHUNKS_BYTES = 4 << 20 }; /* texts, profiles: of no use here */

static void ctx_freep(spng_ctx **c)
{
	spng_ctx_free(*c);
}

static enum sl_status bad(int code, struct sl_err *err)
{
	return sl_fail(err, SL_UNREADABLE, "PNG: %s", spng_strerror(code));
}

static spng_ctx *open_png(struct sl_slice file)
{
	spng_ctx *c = spng_ctx_new(0);

	SL_ASSERT(c);
	spng_set_chunk_limits(c, PNG_CHUNK_BYTES, PNG_CHUNKS_BYTES);
	spng_set_image_limits(c, INT32_MAX, INT32_MAX); /* ours is a limit of the product */
	spng_set_png_buffer(c, file.ptr, file.len);
	return c;
}

enum sl_status sl_png_probe(struct sl_slice file, struct sl_image_info *ret, struct sl_err *err)
{
	SL_AUTO(ctx_freep) spng_ctx *c = open_png(file);
	struct spng_ihdr head;
	int e = spng_get_ihdr(c, &head);

	if (e)
		return bad(e, err);
	*ret = (struct sl_image_info){(int)head.width, (int)head.height};
	return SL_OK;
}

static void over_black(const uint8_t *rgba, uint8_t *rgb, size_t n)
{
	for (size_t i = 0; i < n; i++, rgba += 4, rgb += 3)
		for (int c = 0; c < 3; c++)
			rgb[c] = (uint8_t)((rgba[c] * rgba[3] + 127) / 255);
}

enum sl_status sl_png_decode(struct sl_slice file, int64_t max_pixels, struct sl_image *ret, struct sl_err *err)
{
	SL_AUTO(ctx_freep) spng_ctx *c = open_png(file);
	SL_AUTOFREE uint8_t *rgb = NULL;
	SL_AUTOFREE uint8_t *rgba = NULL;
	struct spng_ihdr head;
	struct spng_trns trns;
	int e = spng_get_ihdr(c, &head);
	enum sl_status s;

	if (e)
		return bad(e, err);
	s = sl_image_check_size(head.width, head.height, max_pixels, err);
	if (s != SL_OK)
		return s;
	size_t n = (size_t)head.width * head.height;
	bool alpha = (head.color_type & 4) || spng_get_trns(c, &trns) == 0;
	rgb = sl_alloc(n * 3);
	if (alpha) {
		rgba = sl_alloc(n * 4);
		e = spng_decode_image(c, rgba, n * 4, SPNG_FMT_RGBA8, SPNG_DECODE_TRNS);
	} else {
		e = spng_decode_image(c, rgb, n * 3, SPNG_FMT_RGB8, 0);
	}
	if (e)
		return bad(e, err);
	if (alpha)
		over_black(rgba, rgb, n);
	*ret = (struct sl_image){SL_TAKE(rgb), (int)head.width, (int)head.height};
	return SL_OK;
}

enum sl_status sl_png_encode(const struct sl_image *im, struct sl_buf *ret, struct sl_err *err)
{
	SL_AUTO(ctx_freep) spng_ctx *c = spng_ctx_new(SPNG_CTX_ENCODER);
	struct spng_ihdr head = {
		.width = im->w, .height = im->h, .bit_depth = 8, .color_type = SPNG_COLOR_TYPE_TRUECOLOR};
	size_t len;
	int e;

	SL_ASSERT(c);
	spng_set_option(c, SPNG_ENCODE_TO_BUFFER, 1);
	spng_set_ihdr(c, &head);
	e = spng_encode_image(c, im->px, (size_t)im->w * im->h * 3, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
	if (e)
		return sl_fail(err, SL_INVALID, "PNG of %d x %d: %s", im->w, im->h, spng_strerror(e));
	SL_AUTOFREE uint8_t *out = spng_get_png_buffer(c, &len, &e);
	if (e)
		return sl_fail(err, SL_INVALID, "PNG of %d x %d: %s", im->w, im->h, spng_strerror(e));
	if (sl_buf_add(ret, out, len) != SL_OK)
		return sl_fail(err, SL_TOO_LARGE, "PNG of %zu bytes does not fit its buffer", len);
	return SL_OK;
}
