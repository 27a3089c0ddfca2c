/* SPDX-License-Identifier: Apache-2.0
 *
 * How a camera was held, as its picture says: EXIF 2.3 (CIPA DC-008), tag 0x0112 of IFD 0, in a TIFF 6.0 block behind
 * "Exif\0\0". What cannot be read means upright, as it does to viewers.
 */
#include "base/mem.h"
#include "vision/image_codec.h"
#include <string.h>

enum {
	MARKER = 0xff,
	APP1 = 0xe1,
	SCAN = 0xda,
	TIFF_AT = 6,
	ENTRY = 12,
	TAG_ORIENTATION = 0x0112,
	TYPE_SHORT = 3,
	MAGIC = 42
};

struct tiff {
	struct sl_slice all;
	bool big; /* "MM" */
};

static uint32_t number(const struct tiff *t, size_t at, int bytes)
{
	uint32_t v = 0;

	if (at > t->all.len || t->all.len - at < (size_t)bytes)
		return 0;
	for (int i = 0; i < bytes; i++)
		v |= (uint32_t)t->all.ptr[at + i] << 8 * (t->big ? bytes - 1 - i : i);
	return v;
}

static int exif_orientation(struct sl_slice app1)
{
	if (app1.len < TIFF_AT + 8 || memcmp(app1.ptr, "Exif\0", TIFF_AT) != 0)
		return 1;
	struct tiff t = {sl_slice(app1.ptr + TIFF_AT, app1.len - TIFF_AT), app1.ptr[TIFF_AT] == 'M'};
	size_t ifd = number(&t, 4, 4);
	uint32_t entries = number(&t, ifd, 2);

	if (number(&t, 2, 2) != MAGIC)
		return 1;
	for (uint32_t i = 0; i < entries; i++) {
		size_t at = ifd + 2 + (size_t)i * ENTRY;
		uint32_t v = number(&t, at + 8, 2);

		if (number(&t, at, 2) == TAG_ORIENTATION && number(&t, at + 2, 2) == TYPE_SHORT)
			return v >= 1 && v <= 8 ? (int)v : 1;
	}
	return 1;
}

/* Walks the segments before the picture, and so reads each byte once at most: "FF E1", two bytes of length, which counts
 * itself. */
int sl_jpeg_orientation(struct sl_slice file)
{
	size_t at = 2;

	while (at + 4 <= file.len && file.ptr[at] == MARKER && file.ptr[at + 1] != SCAN) {
		const uint8_t *m = file.ptr + at;
		size_t n = (size_t)m[2] << 8 | m[3];

		if (m[1] == MARKER) { /* fill bytes may stand before a marker */
			at++;
			continue;
		}
		if (n < 2 || file.len - at - 2 < n)
			return 1;
		if (m[1] == APP1 && n > 6 && !memcmp(m + 4, "Exif", 4))
			return exif_orientation(sl_slice(m + 4, n - 2));
		at += 2 + n;
	}
	return 1;
}

bool sl_orientation_lies(int orientation)
{
	return orientation >= 5;
}

/* Where the upright picture's (x, y) is in the stored one: the sides change places, then each may run backwards. */
void sl_image_orient(struct sl_image *im, int orientation)
{
	static const struct {
		bool back_x, back_y;
	} way[9] = {[2] = {true, false},
		[3] = {true, true},
		[4] = {false, true},
		[6] = {false, true},
		[7] = {true, true},
		[8] = {true, false}};
	bool lies = sl_orientation_lies(orientation);
	struct sl_image ret;

	if (orientation == 1)
		return;
	ret = (struct sl_image){sl_alloc((size_t)im->w * im->h * 3), lies ? im->h : im->w, lies ? im->w : im->h};
	uint8_t *to = ret.px;
	for (int y = 0; y < ret.h; y++)
		for (int x = 0; x < ret.w; x++, to += 3) {
			int u = lies ? y : x, v = lies ? x : y;

			u = way[orientation].back_x ? im->w - 1 - u : u;
			v = way[orientation].back_y ? im->h - 1 - v : v;
			memcpy(to, &im->px[((size_t)v * im->w + u) * 3], 3);
		}
	sl_image_done(im);
	*im = ret;
}
