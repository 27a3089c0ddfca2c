/* SPDX-License-Identifier: Apache-2.0 */
#include "vision/image.h"
#include "base/mem.h"
#include "vision/image_codec.h"

void sl_image_done(struct sl_image *im)
{
	free(im->px);
	*im = (struct sl_image){0};
}

struct sl_image sl_image_new(int w, int h)
{
	SL_ASSERT(w > 0 && h > 0);
	return (struct sl_image){sl_calloc((size_t)w * h, 3), w, h};
}

enum sl_status sl_image_check_size(int64_t w, int64_t h, int64_t max_pixels, struct sl_err *err)
{
	if (w <= 0 || h <= 0)
		return sl_fail(err, SL_UNREADABLE, "image of %lld x %lld pixels", (long long)w, (long long)h);
	if (w > INT32_MAX / 4 || h > INT32_MAX / 4 || w > max_pixels / h)
		return sl_fail(err, SL_TOO_LARGE, "image of %lld x %lld pixels, at most %lld pixels are accepted",
			(long long)w, (long long)h, (long long)max_pixels);
	return SL_OK;
}

static bool is_jpeg(struct sl_slice f)
{
	return f.len >= 3 && f.ptr[0] == 0xff && f.ptr[1] == 0xd8 && f.ptr[2] == 0xff;
}

static bool is_png(struct sl_slice f)
{
	return f.len >= 8 && memcmp(f.ptr, "\x89PNG\r\n\x1a\n", 8) == 0;
}

static enum sl_status unsupported(struct sl_slice f, struct sl_err *err)
{
	if (f.len == 0)
		return sl_fail(err, SL_UNREADABLE, "the image is empty");
	return sl_fail(err, SL_UNSUPPORTED, "neither JPEG nor PNG by its first bytes");
}

enum sl_status sl_image_decode(struct sl_slice file, int64_t max_pixels, struct sl_image *ret, struct sl_err *err)
{
	if (is_jpeg(file))
		return sl_jpeg_decode(file, max_pixels, ret, err);
	if (is_png(file))
		return sl_png_decode(file, max_pixels, ret, err);
	return unsupported(file, err);
}

enum sl_status sl_image_probe(struct sl_slice file, int *ret_w, int *ret_h, const char **ret_type, struct sl_err *err)
{
	struct sl_image_info info;
	const char *type = is_jpeg(file) ? "image/jpeg" : "image/png";
	enum sl_status s = is_jpeg(file)  ? sl_jpeg_probe(file, &info, err)
			   : is_png(file) ? sl_png_probe(file, &info, err)
					  : unsupported(file, err);

	if (s != SL_OK)
		return s;
	*ret_w = info.w;
	*ret_h = info.h;
	*ret_type = type;
	return SL_OK;
}
