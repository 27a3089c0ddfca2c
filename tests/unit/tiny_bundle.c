/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_bundle.h"
#include "base/mem.h"
#include "harness.h"
#include "nn/onnx/onnx.h"
#include <math.h>

enum { WINDOW = 36, STEP = 4 };

const char tiny_taxonomy[] =
	"{\"v\":1,\"name\":\"tiny\",\"source\":\"tests\",\"classes\":["
	"{\"index\":0,\"code\":\"R\",\"en\":\"Red\",\"ko\":\"\xeb\xb9\xa8\xea\xb0\x95\",\"shape\":\"square\"},"
	"{\"index\":1,\"code\":\"O\",\"en\":\"Orange\",\"ko\":\"\xec\xa3\xbc\xed\x99\xa9\",\"shape\":\"square\"}]}";

/* z: 8 (mean of red minus blue over the window - 1.2); box: 16 px to each side. */
struct sl_graph *tiny_detector(void)
{
	struct sl_graph *g = sl_graph_new("tiny detector");
	size_t plane = WINDOW * WINDOW;
	SL_AUTOFREE float *w = sl_calloc(5 * 3 * plane, sizeof *w);
	const float bias[5] = {-9.6f, logf(4), logf(4), logf(4), logf(4)};
	int x = sl_graph_input(g, "image", SL_SHAPE(1, 3, -1, -1));

	for (size_t i = 0; i < plane; i++) {
		w[i] = 8.0f / plane;
		w[2 * plane + i] = -8.0f / plane;
	}
	int in[3] = {x, sl_graph_weight(g, "w", SL_SHAPE(5, 3, WINDOW, WINDOW), w),
		sl_graph_weight(g, "b", SL_SHAPE(5), bias)};
	int y = sl_graph_op(g, SL_OP_CONV, "conv", in, 3);
	sl_graph_attr_list(g, "kernel_shape", (const int64_t[]){WINDOW, WINDOW}, 2);
	sl_graph_attr_list(g, "strides", (const int64_t[]){STEP, STEP}, 2);
	sl_graph_attr_list(g, "pads", (const int64_t[]){16, 16, 16, 16}, 4);
	sl_graph_output(g, y);
	return g;
}

/* Mean of each channel of the standardised crop; the greener, the more orange. */
struct sl_graph *tiny_classifier(int classes)
{
	struct sl_graph *g = sl_graph_new("tiny classifier");
	SL_AUTOFREE float *w = sl_calloc((size_t)classes * 3, sizeof *w), *b = sl_calloc(classes, sizeof *b);
	int x = sl_graph_input(g, "image", SL_SHAPE(-1, 3, 16, 16));

	w[0 * 3 + 1] = -6;
	w[1 * 3 + 1] = 6;
	b[1] = 0;
	int pooled = sl_graph_op(g, SL_OP_GLOBALAVGPOOL, "pool", &x, 1);
	int flat = sl_graph_op(g, SL_OP_FLATTEN, "flat", &pooled, 1);
	sl_graph_attr_int(g, "axis", 1);
	int in[3] = {
		flat, sl_graph_weight(g, "w", SL_SHAPE(classes, 3), w), sl_graph_weight(g, "b", SL_SHAPE(classes), b)};
	int y = sl_graph_op(g, SL_OP_GEMM, "fc", in, 3);
	sl_graph_attr_int(g, "transB", 1);
	sl_graph_output(g, y);
	return g;
}

json_t *tiny_info(const char *name)
{
	return json_pack("{s:i, s:s, s:s, s:{s:s, s:i, s:f, s:f, s:f, s:i}, s:{s:i, s:s, s:f, s:f}, s:{s:f, s:{s:f}}}",
		"v", 1, "name", name, "created", "2026-01-01T00:00:00.000Z", "detector", "decode", "center4", "stride",
		4, "mean", 127.5, "scale", 64.0, "threshold", 0.5, "max_side", 1024, "classifier", "size", 16,
		"normalize", "standardize", "context", 1.15, "temperature", 1.0, "thresholds", "default", 0.9,
		"by_class", "O", 0.95);
}

void tiny_bundle_file_of(json_t *info, struct sl_buf *ret)
{
	struct sl_graph *d = tiny_detector(), *c = tiny_classifier(TINY_CLASSES);
	SL_AUTO(sl_buf_done) struct sl_buf detector = {0}, classifier = {0};
	struct sl_err err;

	CHECK_OK(sl_onnx_write(d, &detector, &err));
	CHECK_OK(sl_onnx_write(c, &classifier, &err));
	const struct sl_bundle_parts p = {info, sl_buf_slice(&detector), sl_buf_slice(&classifier),
		sl_slice_str(tiny_taxonomy), sl_slice_str("# Tiny\n")};
	CHECK_OK(sl_bundle_write(&p, ret, &err));
	json_decref(info);
	sl_graph_free(d);
	sl_graph_free(c);
}

void tiny_bundle_file(const char *name, struct sl_buf *ret)
{
	tiny_bundle_file_of(tiny_info(name), ret);
}

struct sl_bundle *tiny_bundle(const char *name)
{
	return tiny_bundle_of(tiny_info(name));
}

struct sl_bundle *tiny_bundle_of(json_t *info)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_bundle *b = NULL;
	struct sl_err err;

	tiny_bundle_file_of(info, &file);
	CHECK_OK(sl_bundle_open(sl_buf_slice(&file), SL_PRECISION_F32, &b, &err));
	return b;
}

struct sl_image tiny_scene(int w, int h)
{
	struct sl_image im = sl_image_new(w, h);

	memset(im.px, 100, (size_t)w * h * 3);
	return im;
}

void tiny_sign(struct sl_image *im, int x, int y, uint8_t green)
{
	for (int j = y; j < y + TINY_SIGN; j++)
		for (int i = x; i < x + TINY_SIGN; i++)
			memcpy(im->px + ((size_t)j * im->w + i) * 3, (uint8_t[]){230, green, 20}, 3);
}

void tiny_jpeg(const struct sl_image *im, struct sl_buf *ret)
{
	struct sl_err err;

	CHECK_OK(sl_jpeg_encode(im, 95, true, ret, &err));
}
