/* SPDX-License-Identifier: Apache-2.0
 *
 * JPEG through libjpeg-turbo. libjpeg reports errors by a callback that must not return;
 * ours jumps back to the one setjmp of each call. Nothing that is set after setjmp and
 * needed after a jump lives in a local: it is in struct reader or struct writer.
 */
#include "base/mem.h"
#include "vision/image_codec.h"
#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>
#include <jerror.h>

enum {
	JPEG_SCANS = 64, /* a progressive file of thousands of empty scans costs minutes; real ones have about 10 */
	JPEG_ROWS_AT_ONCE = 16,
};

struct failure {
	struct jpeg_error_mgr base; /* first: libjpeg's pointer to it is a pointer to this */
	jmp_buf jump;
	char text[JMSG_LENGTH_MAX];
};

struct reader {
	struct jpeg_decompress_struct jpeg;
	struct failure failure;
	struct jpeg_progress_mgr progress;
	struct sl_image image;
	uint8_t *cmyk; /* one row, when the file has four components */
};

static _Noreturn void fail_and_jump(j_common_ptr c)
{
	struct failure *f = (struct failure *)c->err;

	c->err->format_message(c, f->text);
	longjmp(f->jump, 1);
}

/* libjpeg fills the missing part of a cut file with grey and calls that a warning. A
 * half-grey frame must not be labelled, so damage of the data is an error here. */
static void on_message(j_common_ptr c, int level)
{
	int code = c->err->msg_code;

	if (level >= 0)
		return;
	if (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
		code == JWRN_MUST_RESYNC || code == JWRN_ARITH_BAD_CODE || code == JWRN_BOGUS_PROGRESSION)
		fail_and_jump(c);
}

static void on_progress(j_common_ptr c)
{
	struct failure *f = (struct failure *)c->err;

	if (c->is_decompressor && ((j_decompress_ptr)c)->input_scan_number > JPEG_SCANS) {
		snprintf(f->text, sizeof f->text, "more than %d scans", JPEG_SCANS);
		longjmp(f->jump, 1);
	}
}

static struct jpeg_error_mgr *failure_init(struct failure *f)
{
	jpeg_std_error(&f->base);
	f->base.error_exit = fail_and_jump;
	f->base.emit_message = on_message;
	f->text[0] = 0;
	return &f->base;
}

static void reader_open(struct reader *r, struct sl_slice file)
{
	jpeg_create_decompress(&r->jpeg);
	r->progress.progress_monitor = on_progress;
	r->jpeg.progress = &r->progress;
	jpeg_mem_src(&r->jpeg, file.ptr, file.len);
	jpeg_read_header(&r->jpeg, TRUE);
}

static void reader_done(struct reader *r)
{
	jpeg_destroy_decompress(&r->jpeg);
	free(r->cmyk);
	sl_image_done(&r->image);
}

enum sl_status sl_jpeg_probe(struct sl_slice file, struct sl_image_info *ret, struct sl_err *err)
{
	SL_AUTO(reader_done) struct reader r = {0};

	r.jpeg.err = failure_init(&r.failure);
	if (setjmp(r.failure.jump))
		return sl_fail(err, SL_UNREADABLE, "JPEG: %s", r.failure.text);
	reader_open(&r, file);
	int w = (int)r.jpeg.image_width, h = (int)r.jpeg.image_height;
	*ret = sl_orientation_lies(sl_jpeg_orientation(file)) ? (struct sl_image_info){h, w}
							      : (struct sl_image_info){w, h};
	return SL_OK;
}

/* Adobe writes CMYK inverted (255 is no ink); others write it plain. */
static void cmyk_row(const uint8_t *in, uint8_t *out, int w, bool inverted)
{
	for (int x = 0; x < w; x++, in += 4, out += 3) {
		int k = inverted ? in[3] : 255 - in[3];

		for (int c = 0; c < 3; c++)
			out[c] = (uint8_t)(((inverted ? in[c] : 255 - in[c]) * k + 127) / 255);
	}
}

static void read_rgb(struct reader *r)
{
	JSAMPROW row[JPEG_ROWS_AT_ONCE];

	while (r->jpeg.output_scanline < r->jpeg.output_height) {
		unsigned y = r->jpeg.output_scanline, n = SL_MIN(r->jpeg.output_height - y, JPEG_ROWS_AT_ONCE);

		for (unsigned i = 0; i < n; i++)
			row[i] = r->image.px + (size_t)(y + i) * r->image.w * 3;
		jpeg_read_scanlines(&r->jpeg, row, n);
	}
}

static void read_cmyk(struct reader *r)
{
	r->cmyk = sl_alloc((size_t)r->image.w * 4);
	while (r->jpeg.output_scanline < r->jpeg.output_height) {
		size_t y = r->jpeg.output_scanline;
		JSAMPROW row = r->cmyk;

		jpeg_read_scanlines(&r->jpeg, &row, 1);
		cmyk_row(r->cmyk, r->image.px + y * r->image.w * 3, r->image.w, r->jpeg.saw_Adobe_marker);
	}
}

enum sl_status sl_jpeg_decode(struct sl_slice file, int64_t max_pixels, struct sl_image *ret, struct sl_err *err)
{
	SL_AUTO(reader_done) struct reader r = {0};
	int orientation = sl_jpeg_orientation(file);
	enum sl_status s;

	r.jpeg.err = failure_init(&r.failure);
	if (setjmp(r.failure.jump))
		return sl_fail(err, SL_UNREADABLE, "JPEG: %s", r.failure.text);
	reader_open(&r, file);
	/* turning it takes a second copy */
	s = sl_image_check_size(
		r.jpeg.image_width, r.jpeg.image_height, orientation == 1 ? max_pixels : max_pixels / 2, err);
	if (s != SL_OK)
		return s;
	bool four = r.jpeg.num_components == 4;
	r.jpeg.out_color_space = four ? JCS_CMYK : JCS_EXT_RGB;
	r.image = (struct sl_image){sl_alloc((size_t)r.jpeg.image_width * r.jpeg.image_height * 3),
		(int)r.jpeg.image_width, (int)r.jpeg.image_height};
	jpeg_start_decompress(&r.jpeg);
	if (four)
		read_cmyk(&r);
	else
		read_rgb(&r);
	jpeg_finish_decompress(&r.jpeg); /* reads to the end marker, so a file cut there is found */
	sl_image_orient(&r.image, orientation);
	*ret = r.image;
	r.image.px = NULL;
	return SL_OK;
}

struct writer {
	struct jpeg_compress_struct jpeg;
	struct failure failure;
	unsigned char *out;
	unsigned long out_len;
};

static void writer_done(struct writer *w)
{
	jpeg_destroy_compress(&w->jpeg);
	free(w->out);
}

static void write_rows(struct writer *w, const struct sl_image *im)
{
	JSAMPROW row[JPEG_ROWS_AT_ONCE];

	while (w->jpeg.next_scanline < w->jpeg.image_height) {
		unsigned y = w->jpeg.next_scanline, n = SL_MIN(w->jpeg.image_height - y, JPEG_ROWS_AT_ONCE);

		for (unsigned i = 0; i < n; i++)
			row[i] = im->px + (size_t)(y + i) * im->w * 3;
		jpeg_write_scanlines(&w->jpeg, row, n);
	}
}

enum sl_status sl_jpeg_encode(
	const struct sl_image *im, int quality, bool full_chroma, struct sl_buf *ret, struct sl_err *err)
{
	SL_AUTO(writer_done) struct writer w = {0};

	w.jpeg.err = failure_init(&w.failure);
	if (setjmp(w.failure.jump))
		return sl_fail(err, SL_INVALID, "JPEG of %d x %d: %s", im->w, im->h, w.failure.text);
	jpeg_create_compress(&w.jpeg);
	jpeg_mem_dest(&w.jpeg, &w.out, &w.out_len);
	w.jpeg.image_width = im->w;
	w.jpeg.image_height = im->h;
	w.jpeg.input_components = 3;
	w.jpeg.in_color_space = JCS_EXT_RGB;
	jpeg_set_defaults(&w.jpeg);
	jpeg_set_quality(&w.jpeg, quality, TRUE);
	if (full_chroma)
		w.jpeg.comp_info[0].h_samp_factor = w.jpeg.comp_info[0].v_samp_factor = 1;
	jpeg_start_compress(&w.jpeg, TRUE);
	write_rows(&w, im);
	jpeg_finish_compress(&w.jpeg);
	if (sl_buf_add(ret, w.out, w.out_len) != SL_OK)
		return sl_fail(err, SL_TOO_LARGE, "JPEG of %lu bytes does not fit its buffer", w.out_len);
	return SL_OK;
}
