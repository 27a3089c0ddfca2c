/* SPDX-License-Identifier: Apache-2.0 */
#include "vision/bundle.h"
#include "base/digest.h"
#include "base/mem.h"
#include "vision/bundle_info.h"
#include <stdatomic.h>
#include <stdio.h>

static void bundle_free(struct sl_bundle *b)
{
	if (!b)
		return;
	sl_model_free(b->detector);
	sl_model_free(b->classifier);
	sl_taxonomy_free(b->taxonomy);
	free(b->accept);
	free(b->card);
	free(b);
}

static void bundle_freep(struct sl_bundle **b)
{
	bundle_free(*b);
}

struct sl_bundle *sl_bundle_ref(struct sl_bundle *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

void sl_bundle_unref(struct sl_bundle *b)
{
	if (b && atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1)
		bundle_free(b);
}

static void parts_done(struct sl_bundle_parts *p)
{
	json_decref(p->info);
}

static enum sl_status take_info(struct sl_bundle *b, json_t *info, struct sl_err *err)
{
	struct sl_bundle_info i;
	const char *code;
	json_t *v;
	enum sl_status s = sl_bundle_info_parse(info, &i, err);

	if (s != SL_OK)
		return s;
	snprintf(b->name, sizeof b->name, "%s", i.name);
	b->decode = i.decode;
	b->stride = i.stride;
	b->max_side = i.max_side;
	b->det_mean = (float)i.det_mean;
	b->det_scale = (float)i.det_scale;
	b->det_threshold = (float)i.det_threshold;
	b->cls_size = i.cls_size;
	b->cls_normalize = i.cls_normalize;
	for (int c = 0; c < 3; c++) {
		b->cls_mean[c] = (float)i.cls_mean[c];
		b->cls_scale[c] = (float)i.cls_scale[c];
	}
	b->cls_context = (float)i.cls_context;
	b->temperature = (float)i.temperature;
	b->accept = sl_calloc(b->taxonomy->n, sizeof *b->accept);
	for (int k = 0; k < b->taxonomy->n; k++)
		b->accept[k] = (float)i.accept;
	json_object_foreach(i.by_class, code, v)
	{
		int k = sl_taxonomy_find(b->taxonomy, code);
		if (k < 0)
			return sl_fail(
				err, SL_INVALID, "bundle.json, thresholds: the taxonomy has no class \"%.40s\"", code);
		b->accept[k] = (float)json_number_value(v);
	}
	return SL_OK;
}

/* One image input N,3,H,W; H and W open or as wanted. */
static enum sl_status image_input(const struct sl_graph *g, const char *net, struct sl_shape *ret, struct sl_err *err)
{
	if (g->ninput != 1 || g->noutput < 1)
		return sl_fail(err, SL_INVALID, "%s: %d inputs and %d outputs; one image in is wanted", net, g->ninput,
			g->noutput);
	*ret = g->value[g->input[0]].shape;
	if (ret->rank != 4 || (ret->dim[1] != 3 && ret->dim[1] != -1))
		return sl_fail(err, SL_INVALID, "%s: the input must be N,3,H,W", net);
	ret->dim[1] = 3;
	return SL_OK;
}

static enum sl_status output_shape(
	const struct sl_graph *g, const char *net, struct sl_shape in, struct sl_shape *ret, struct sl_err *err)
{
	SL_AUTOFREE struct sl_shape *shape = sl_calloc(g->nvalue, sizeof *shape);
	enum sl_status s = sl_graph_shapes(g, &in, shape, err);

	if (s != SL_OK)
		return sl_prefix(err, s, "%s", net);
	*ret = shape[g->output[0]];
	return SL_OK;
}

/* Fixed sizes are taken as they are; open ones are tried with a small frame that is no square. */
static enum sl_status check_detector(const struct sl_bundle *b, struct sl_err *err)
{
	const struct sl_graph *g = sl_model_graph(b->detector);
	struct sl_shape in, out = {0};
	enum sl_status s = image_input(g, "detector", &in, err);

	if (s != SL_OK)
		return s;
	if (in.dim[0] > 1)
		return sl_fail(err, SL_INVALID, "detector: the batch is fixed at %lld; it must be 1 or open",
			(long long)in.dim[0]);
	in.dim[0] = 1;
	for (int i = 2; i < 4; i++) {
		if (in.dim[i] == -1)
			in.dim[i] = (int64_t)b->stride * i;
		if (in.dim[i] < 1 || in.dim[i] > SL_BUNDLE_SIDE_MAX || in.dim[i] % b->stride)
			return sl_fail(err, SL_INVALID,
				"detector: input side %lld is no multiple of the stride %d up to %d",
				(long long)in.dim[i], b->stride, SL_BUNDLE_SIDE_MAX);
	}
	if ((s = output_shape(g, "detector", in, &out, err)))
		return s;
	if (b->decode == SL_DECODE_CENTER4 && (out.rank != 4 || out.dim[0] != 1 || out.dim[1] != 5 ||
						      out.dim[2] * 4 != in.dim[2] || out.dim[3] * 4 != in.dim[3]))
		return sl_fail(err, SL_INVALID, "detector: \"center4\" needs the output 1,5,H/4,W/4");
	if (b->decode == SL_DECODE_YOLOV5 && (out.rank != 3 || out.dim[0] != 1 || out.dim[1] < 1 || out.dim[2] < 6))
		return sl_fail(err, SL_INVALID, "detector: \"yolov5\" needs the output 1,boxes,5+classes");
	return SL_OK;
}

static enum sl_status check_classifier(const struct sl_bundle *b, struct sl_err *err)
{
	const struct sl_graph *g = sl_model_graph(b->classifier);
	struct sl_shape in, out = {0};
	enum sl_status s = image_input(g, "classifier", &in, err);

	if (s != SL_OK)
		return s;
	if (in.dim[0] == -1)
		in.dim[0] = 2;
	for (int i = 2; i < 4; i++) {
		if (in.dim[i] != -1 && in.dim[i] != b->cls_size)
			return sl_fail(err, SL_INVALID, "classifier: input side %lld, bundle.json says %d",
				(long long)in.dim[i], b->cls_size);
		in.dim[i] = b->cls_size;
	}
	if ((s = output_shape(g, "classifier", in, &out, err)))
		return s;
	if (out.rank != 2 || out.dim[0] != in.dim[0] || out.dim[1] != b->taxonomy->n)
		return sl_fail(err, SL_INVALID,
			"classifier: the output must be N,%d, one number a class of taxonomy \"%s\"", b->taxonomy->n,
			b->taxonomy->name);
	return SL_OK;
}

static enum sl_status load(
	struct sl_slice onnx, const char *net, enum sl_precision precision, struct sl_model **ret, struct sl_err *err)
{
	enum sl_status s = sl_model_load(onnx, "dnnl", precision, ret, err);

	return s == SL_OK ? s : sl_prefix(err, s, "%s", net);
}

enum sl_status sl_bundle_open(
	struct sl_slice file, enum sl_precision precision, struct sl_bundle **ret, struct sl_err *err)
{
	SL_AUTO(parts_done) struct sl_bundle_parts p = {0};
	SL_AUTO(bundle_freep) struct sl_bundle *b = SL_NEW(struct sl_bundle);
	enum sl_status s;

	if ((s = sl_bundle_read(file, &p, err)) || (s = sl_taxonomy_parse(p.taxonomy, &b->taxonomy, err)) ||
		(s = take_info(b, p.info, err)) || (s = load(p.detector, "detector", precision, &b->detector, err)) ||
		(s = load(p.classifier, "classifier", precision, &b->classifier, err)) ||
		(s = check_detector(b, err)) || (s = check_classifier(b, err)))
		return s;
	if (p.card.len) {
		b->card = sl_zalloc(p.card.len + 1);
		memcpy(b->card, p.card.ptr, p.card.len);
		sl_text_mend(b->card); /* it is shown, as JSON too */
	}
	sl_sha256_hex(file.ptr, file.len, b->digest);
	atomic_store(&b->refs, 1);
	*ret = SL_TAKE(b);
	return SL_OK;
}
