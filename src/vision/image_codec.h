/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to vision: what image.c asks of the two file formats. Same rules as image.h.
 */
#pragma once
#include "vision/image.h"

struct sl_image_info {
	int w, h;
};

enum sl_status sl_jpeg_probe(struct sl_slice file, struct sl_image_info *ret, struct sl_err *err);
enum sl_status sl_jpeg_decode(struct sl_slice file, int64_t max_pixels, struct sl_image *ret, struct sl_err *err);
enum sl_status sl_png_probe(struct sl_slice file, struct sl_image_info *ret, struct sl_err *err);
enum sl_status sl_png_decode(struct sl_slice file, int64_t max_pixels, struct sl_image *ret, struct sl_err *err);

/* orient.c: 1 (upright) to 8, of a JPEG file; whether width and height change places; makes upright. */
int sl_jpeg_orientation(struct sl_slice file);
bool sl_orientation_lies(int orientation);
void sl_image_orient(struct sl_image *im, int orientation);

/* The one place that compares a header with a limit. */
enum sl_status sl_image_check_size(int64_t w, int64_t h, int64_t max_pixels, struct sl_err *err);
