/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "harness.h"
#include "vision/image.h"
#include "vision_image_golden.h"
#include <math.h>

#define MOST 1000000

static struct sl_err err;

static struct sl_image pattern(int w, int h)
{
	struct sl_image im = sl_image_new(w, h);

	for (int y = 0; y < h; y++)
		for (int x = 0; x < w; x++)
			for (int c = 0; c < 3; c++)
				im.px[(y * w + x) * 3 + c] = (uint8_t)(x * 37 + y * 59 + c * 101 + x * y * 7);
	return im;
}

static struct sl_image smooth(int w, int h)
{
	struct sl_image im = sl_image_new(w, h);

	for (int i = 0; i < w * h; i++) {
		im.px[3 * i] = (uint8_t)(255 * (i % w) / w);
		im.px[3 * i + 1] = (uint8_t)(255 * (i / w) / h);
		im.px[3 * i + 2] = 90;
	}
	return im;
}

static void check_golden(const struct sl_image *im, const float *want)
{
	for (int i = 0; i < im->w * im->h * 3; i++)
		CHECK_NEAR(im->px[i], want[i], 1.3); /* rounding, and 8 bits of weight */
}

static struct sl_image decoded(const uint8_t *p, size_t n)
{
	struct sl_image im;

	CHECK_OK(sl_image_decode(sl_slice(p, n), MOST, &im, &err));
	return im;
}
#define DECODED(array) decoded(array, sizeof(array))

TEST(image, crop_resize_is_what_pytorch_makes)
{
	struct sl_image src = pattern(7, 5), ret = sl_image_new(6, 4);

	sl_image_crop_resize(&src, (struct sl_box){-1, 0.75f, 6.5f, 5}, &ret);
	check_golden(&ret, golden_crop);
	sl_image_done(&src);
	sl_image_done(&ret);
}

TEST(image, warp_is_what_pytorch_makes)
{
	static const double h[9] = {.9, .2, -1.3, -.15, 1.1, .4, .02, -.03, 1};
	struct sl_image src = pattern(7, 5), ret = sl_image_new(6, 4);

	sl_image_warp(&src, h, SL_BORDER_REPLICATE, &ret);
	check_golden(&ret, golden_warp_border);
	sl_image_warp(&src, h, SL_BORDER_REFLECT, &ret);
	check_golden(&ret, golden_warp_reflect);
	sl_image_done(&src);
	sl_image_done(&ret);
}

TEST(image, identities_change_nothing)
{
	static const double one[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
	struct sl_image src = pattern(9, 6), ret = sl_image_new(9, 6);
	size_t n = 9 * 6 * 3;

	sl_image_crop_resize(&src, (struct sl_box){0, 0, 9, 6}, &ret);
	CHECK(memcmp(src.px, ret.px, n) == 0);
	sl_image_resize_area(&src, &ret);
	CHECK(memcmp(src.px, ret.px, n) == 0);
	sl_image_warp(&src, one, SL_BORDER_REFLECT, &ret);
	CHECK(memcmp(src.px, ret.px, n) == 0);
	sl_image_flip(&ret);
	CHECK(memcmp(src.px, ret.px, n) != 0);
	sl_image_flip(&ret);
	CHECK(memcmp(src.px, ret.px, n) == 0);
	sl_image_done(&src);
	sl_image_done(&ret);
}

TEST(image, warp_survives_a_wild_matrix)
{
	static const double wild[9] = {1e300, 0, -1e300, NAN, INFINITY, 0, 1, -1, 0};
	struct sl_image src = pattern(3, 3), ret = sl_image_new(5, 5);

	sl_image_warp(&src, wild, SL_BORDER_REFLECT, &ret);
	sl_image_warp(&src, wild, SL_BORDER_REPLICATE, &ret);
	sl_image_done(&src);
	sl_image_done(&ret);
}

TEST(image, area_weighs_by_overlap)
{
	struct sl_image src = sl_image_new(3, 1), two = sl_image_new(2, 1), one = sl_image_new(1, 1);
	static const uint8_t v[9] = {30, 0, 9, 60, 0, 9, 120, 255, 9};

	memcpy(src.px, v, 9);
	sl_image_resize_area(&src, &two);
	CHECK_EQ(two.px[0], 40); /* (30 + 60/2) / 1.5 */
	CHECK_EQ(two.px[3], 100); /* (60/2 + 120) / 1.5 */
	CHECK_EQ(two.px[4], 170);
	CHECK_EQ(two.px[5], 9);
	sl_image_resize_area(&src, &one);
	CHECK_EQ(one.px[0], 70);
	CHECK_EQ(one.px[1], 85);
	sl_image_done(&src);
	sl_image_done(&two);
	sl_image_done(&one);
}

TEST(image, gaussian_keeps_sum_and_has_its_width)
{
	struct sl_image im = sl_image_new(41, 41);
	double sum = 0, squares = 0;

	im.px[(20 * 41 + 20) * 3] = 255;
	for (int i = 0; i < 41 * 41; i++)
		im.px[3 * i + 1] = 77;
	/* Twice 1.5 is once 2.12; a broad blur would lose the tails to rounding. */
	sl_image_gaussian(&im, 1.2f);
	for (int x = 0; x < 41; x++) {
		CHECK_EQ(im.px[(20 * 41 + x) * 3], im.px[(20 * 41 + 40 - x) * 3]);
		CHECK_EQ(im.px[(20 * 41 + x) * 3], im.px[(x * 41 + 20) * 3]);
		CHECK_EQ(im.px[(20 * 41 + x) * 3 + 1], 77);
		sum += im.px[(20 * 41 + x) * 3];
		squares += im.px[(20 * 41 + x) * 3] * (x - 20.0) * (x - 20.0);
	}
	CHECK_NEAR(squares / sum, 1.2 * 1.2, 0.1);
	sl_image_done(&im);
}

TEST(image, jpeg_and_png_return_what_was_written)
{
	struct sl_image src = smooth(37, 23), back;
	struct sl_buf file = {0};
	const char *type;
	int w, h;

	CHECK_OK(sl_png_encode(&src, &file, &err));
	CHECK_OK(sl_image_probe(sl_buf_slice(&file), &w, &h, &type, &err));
	CHECK_EQ(w, 37);
	CHECK_EQ(h, 23);
	CHECK_STR(type, "image/png");
	CHECK_OK(sl_image_decode(sl_buf_slice(&file), MOST, &back, &err));
	CHECK(memcmp(back.px, src.px, 37 * 23 * 3) == 0);
	sl_image_done(&back);
	for (int full = 0; full < 2; full++) {
		sl_buf_done(&file);
		CHECK_OK(sl_jpeg_encode(&src, 98, full, &file, &err));
		CHECK_OK(sl_image_probe(sl_buf_slice(&file), &w, &h, &type, &err));
		CHECK_STR(type, "image/jpeg");
		CHECK_OK(sl_image_decode(sl_buf_slice(&file), MOST, &back, &err));
		for (int i = 0; i < 37 * 23 * 3; i++)
			CHECK_NEAR(back.px[i], src.px[i], 12);
		sl_image_done(&back);
	}
	sl_buf_done(&file);
	sl_image_done(&src);
}

TEST(image, every_kind_of_png_becomes_rgb)
{
	struct sl_image im = DECODED(png_grey16);

	CHECK_EQ(im.w, 2);
	CHECK_EQ(im.px[0], 0x12);
	CHECK_EQ(im.px[2], 0x12);
	CHECK_EQ(im.px[3], 0xff);
	sl_image_done(&im);
	im = DECODED(png_rgb16);
	CHECK_EQ(im.px[0], 0x80);
	CHECK_EQ(im.px[1], 0x40);
	CHECK_EQ(im.px[2], 0xff);
	sl_image_done(&im);
	im = DECODED(png_alpha); /* over black */
	CHECK_EQ(im.px[0], 200);
	CHECK_EQ(im.px[3], 100);
	CHECK_EQ(im.px[5], 25);
	sl_image_done(&im);
	im = DECODED(png_palette_trns);
	CHECK_EQ(im.px[0], 10);
	CHECK_EQ(im.px[3], 0);
	sl_image_done(&im);
	im = DECODED(png_grey1);
	CHECK_EQ(im.px[0], 255);
	CHECK_EQ(im.px[3], 0);
	sl_image_done(&im);
}

TEST(image, grey_and_cmyk_jpeg_become_rgb)
{
	struct sl_image im = DECODED(jpeg_grey);

	for (int x = 0; x < 8; x++)
		for (int c = 0; c < 3; c++)
			CHECK_NEAR(im.px[3 * x + c], 100 + 10 * x, 2);
	sl_image_done(&im);
	im = DECODED(jpeg_cmyk_adobe);
	CHECK_NEAR(im.px[0], 55, 3);
	CHECK_NEAR(im.px[1], 155, 3);
	CHECK_NEAR(im.px[2], 205, 3);
	sl_image_done(&im);
	im = DECODED(jpeg_progressive);
	CHECK_NEAR(im.px[0], 200, 3);
	CHECK_NEAR(im.px[1], 100, 3);
	CHECK_NEAR(im.px[2], 50, 3);
	sl_image_done(&im);
}

/* A JPEG of four quadrants, red green over blue white, whose EXIF says the orientation. */
static void held_camera(int orientation, bool big, size_t exif_bytes, struct sl_buf *ret)
{
	static const uint8_t colour[4][3] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {255, 255, 255}};
	uint8_t exif[] = "\xff\xe1\0\x22"
			 "Exif\0\0"
			 "II*\0\x08\0\0\0"
			 "\x01\0"
			 "\x12\x01\x03\0\x01\0\0\0?\0\0\0"
			 "\0\0\0\0";
	uint8_t motorola[] = "\xff\xe1\0\x22"
			     "Exif\0\0"
			     "MM\0*\0\0\0\x08"
			     "\0\x01"
			     "\x01\x12\0\x03\0\0\0\x01\0?\0\0"
			     "\0\0\0\0";
	struct sl_image im = sl_image_new(64, 32);
	SL_AUTO(sl_buf_done) struct sl_buf plain = {0};

	for (int i = 0; i < 64 * 32; i++)
		memcpy(&im.px[3 * i], colour[(i / 64 >= 16) * 2 + (i % 64 >= 32)], 3);
	CHECK_OK(sl_jpeg_encode(&im, 95, true, &plain, &err));
	exif[28] = motorola[29] = (uint8_t)orientation;
	CHECK_OK(sl_buf_add(ret, plain.ptr, 2)); /* the start marker */
	exif[3] = motorola[3] = (uint8_t)(2 + exif_bytes);
	CHECK_OK(sl_buf_add(ret, big ? motorola : exif, 4 + exif_bytes));
	CHECK_OK(sl_buf_add(ret, plain.ptr + 2, plain.len - 2));
	sl_image_done(&im);
}

static char colour_at(const struct sl_image *im, int x, int y)
{
	const uint8_t *p = &im->px[3 * (y * im->w + x)];

	return p[0] > 128 ? (p[1] > 128 ? 'W' : 'R') : p[1] > 128 ? 'G' : 'B';
}

TEST(image, a_jpeg_is_upright_however_the_camera_was_held)
{
	enum { WHOLE = 32 };
	static const char *const want[] = {
		"RGBW", "RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB", "RGBW"};
	struct sl_image im;
	const char *type;
	int w, h;

	for (int k = 0; k < 10 * 2; k++) {
		SL_AUTO(sl_buf_done) struct sl_buf file = {0};
		int o = k / 2;
		held_camera(o, k % 2, WHOLE, &file);
		CHECK_OK(sl_image_decode(sl_buf_slice(&file), MOST, &im, &err));
		char got[] = {colour_at(&im, 4, 4), colour_at(&im, im.w - 5, 4), colour_at(&im, 4, im.h - 5),
			colour_at(&im, im.w - 5, im.h - 5), 0};
		CHECK_STR(got, want[o]);
		CHECK_EQ(im.w, o >= 5 && o <= 8 ? 32 : 64);
		CHECK_OK(sl_image_probe(sl_buf_slice(&file), &w, &h, &type, &err));
		CHECK(w == im.w && h == im.h);
		sl_image_done(&im);
	}
	for (size_t n = 0; n < WHOLE; n++) { /* cut short: upright, if the number is not there */
		SL_AUTO(sl_buf_done) struct sl_buf file = {0};
		held_camera(6, n % 2, n, &file);
		CHECK_OK(sl_image_decode(sl_buf_slice(&file), MOST, &im, &err));
		CHECK_EQ(im.w, n < 26 ? 64 : 32);
		sl_image_done(&im);
	}
}

/* Reading must not cost more than the file is long. */
TEST(image, a_file_of_a_million_markers_is_read_once)
{
	enum { MARKERS = 1000000 };
	SL_AUTO(sl_buf_done) struct sl_buf held = {0};
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_image im;

	held_camera(6, false, 32, &held);
	CHECK_OK(sl_buf_add(&file, held.ptr, 2));
	for (int i = 0; i < MARKERS; i++)
		CHECK_OK(sl_buf_add(&file, "\xff\xe1\0\x02", 4));
	CHECK_OK(sl_buf_add(&file, held.ptr + 2, held.len - 2));
	CHECK_OK(sl_image_decode(sl_buf_slice(&file), MOST, &im, &err));
	CHECK_EQ(im.w, 32);
	sl_image_done(&im);
}

/* Each shorter file is refused, and none crashes: a half-grey frame must not be labelled. */
TEST(image, a_cut_file_is_unreadable_wherever_it_is_cut)
{
	struct sl_image src = smooth(40, 24), back;
	struct sl_buf file[2] = {{0}, {0}};

	CHECK_OK(sl_jpeg_encode(&src, 90, false, &file[0], &err));
	CHECK_OK(sl_png_encode(&src, &file[1], &err));
	for (int k = 0; k < 2; k++)
		for (size_t n = 8; n < file[k].len - (k ? 16 : 0);
			n++) { /* PNG: without the last CRC and IEND the pixels are whole */
			uint8_t *exact = sl_memdup(file[k].ptr, n); /* so that reading past the end is seen */

			CHECK_STATUS(sl_image_decode(sl_slice(exact, n), MOST, &back, &err), SL_UNREADABLE);
			free(exact);
		}
	sl_buf_done(&file[0]);
	sl_buf_done(&file[1]);
	sl_image_done(&src);
}

TEST(image, any_flipped_byte_is_survived)
{
	struct sl_image src = smooth(24, 16), back;
	struct sl_buf file = {0};

	for (int k = 0; k < 2; k++) {
		sl_buf_done(&file);
		CHECK_OK(k ? sl_png_encode(&src, &file, &err) : sl_jpeg_encode(&src, 80, true, &file, &err));
		for (size_t i = 0; i < file.len; i++)
			for (int bit = 0; bit < 8; bit += 3) {
				file.ptr[i] ^= 1 << bit;
				if (sl_image_decode(sl_buf_slice(&file), MOST, &back, &err) == SL_OK) {
					CHECK((int64_t)back.w * back.h <= MOST);
					sl_image_done(&back);
				}
				file.ptr[i] ^= 1 << bit;
			}
	}
	sl_buf_done(&file);
	sl_image_done(&src);
}

TEST(image, a_bomb_is_refused_by_its_header)
{
	struct sl_image src = smooth(40, 30), back;
	struct sl_buf file = {0};

	CHECK_STATUS(sl_image_decode(sl_slice(png_huge, sizeof png_huge), MOST, &back, &err), SL_TOO_LARGE);
	CHECK(strstr(err.text, "60000"));
	CHECK_OK(sl_jpeg_encode(&src, 80, true, &file, &err));
	CHECK_STATUS(sl_image_decode(sl_buf_slice(&file), 40 * 30 - 1, &back, &err), SL_TOO_LARGE);
	CHECK_OK(sl_image_decode(sl_buf_slice(&file), 40 * 30, &back, &err));
	sl_image_done(&back);
	sl_image_done(&src);
	sl_buf_done(&file);
}

/* A progressive file may carry any number of scans, each as dear as the first. */
TEST(image, a_file_of_a_thousand_scans_is_refused)
{
	size_t n = sizeof jpeg_progressive, at = n - 2;
	struct sl_buf file = {0};
	struct sl_image back;

	while (!(jpeg_progressive[at] == 0xff && jpeg_progressive[at + 1] == 0xda))
		at--;
	sl_buf_add(&file, jpeg_progressive, n - 2);
	for (int i = 0; i < 1000; i++)
		sl_buf_add(&file, jpeg_progressive + at, n - 2 - at);
	sl_buf_add(&file, jpeg_progressive + n - 2, 2);
	CHECK_STATUS(sl_image_decode(sl_buf_slice(&file), MOST, &back, &err), SL_UNREADABLE);
	sl_buf_done(&file);
}

TEST(image, other_types_are_unsupported)
{
	struct sl_image back;
	const char *type;
	int w, h;

	CHECK_STATUS(sl_image_decode(sl_slice_str("GIF89a............"), MOST, &back, &err), SL_UNSUPPORTED);
	CHECK_STATUS(sl_image_probe(sl_slice_str("%PDF-1.4 .........."), &w, &h, &type, &err), SL_UNSUPPORTED);
	CHECK_STATUS(sl_image_decode(sl_slice(NULL, 0), MOST, &back, &err), SL_UNREADABLE);
}
