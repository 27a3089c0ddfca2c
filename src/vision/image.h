/* SPDX-License-Identifier: Apache-2.0
 *
 * Images and what is done to their pixels. 8-bit RGB, interleaved, rows top to bottom
 * without padding: px[(y*w + x)*3 + c]. Coordinates of boxes are pixel edges: the pixel
 * (0,0) covers [0,1)x[0,1), its centre is (0.5,0.5).
 *
 * Owner: the caller; sl_image_done() frees. Thread: any. Only vision/jpeg.c and
 * vision/png.c use libjpeg and libspng.
 */
#pragma once
#include "base/buf.h"

struct sl_image {
	uint8_t *px;
	int w, h;
};

struct sl_box { /* pixel edges; x,y top left */
	float x, y, w, h;
};

void sl_image_done(struct sl_image *im);
struct sl_image sl_image_new(int w, int h); /* zeroed */

/* JPEG or PNG by its first bytes. UNSUPPORTED: another type; UNREADABLE: broken or
 * truncated (names what); TOO_LARGE: more than max_pixels, known from the header before
 * anything is allocated. Grey, palette, alpha (over black), 16 bit, CMYK become RGB. A JPEG whose EXIF says how the
 * camera was held is upright here, as viewers show it. */
enum sl_status sl_image_decode(struct sl_slice file, int64_t max_pixels, struct sl_image *ret, struct sl_err *err);
/* Width, height (upright) and type ("image/jpeg", "image/png") from the header alone. */
enum sl_status sl_image_probe(struct sl_slice file, int *ret_w, int *ret_h, const char **ret_type, struct sl_err *err);
enum sl_status sl_jpeg_encode(
	const struct sl_image *im, int quality, bool full_chroma, struct sl_buf *ret, struct sl_err *err);
enum sl_status sl_png_encode(const struct sl_image *im, struct sl_buf *ret, struct sl_err *err);

/* Bilinear, sampled at pixel centres, border replicated: the box of src becomes the whole of ret. */
void sl_image_crop_resize(const struct sl_image *src, struct sl_box box, struct sl_image *ret);
/* Area average for shrinking (each source pixel weighs by its overlap), bilinear for growing. */
void sl_image_resize_area(const struct sl_image *src, struct sl_image *ret);
/* ret(x,y) = src(H * (x,y,1)), H maps pixel centres of ret to pixel centres of src,
 * row-major 3x3; bilinear. */
enum sl_border { SL_BORDER_REPLICATE, SL_BORDER_REFLECT };
void sl_image_warp(const struct sl_image *src, const double h[9], enum sl_border border, struct sl_image *ret);
void sl_image_gaussian(struct sl_image *im, float sigma);
void sl_image_flip(struct sl_image *im); /* left and right */
