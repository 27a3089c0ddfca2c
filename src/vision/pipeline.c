/* SPDX-License-Identifier: Apache-2.0 */
#include "vision/pipeline.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "vision/calibrate.h"
#include "vision/classify.h"
#include "vision/detect.h"
#include <math.h>

enum {
	KEPT = 2, /* bundles whose sessions are kept: the live one and the one before */
	BATCH = 32, /* signs classified at once; powers of two below it, so that few shapes are compiled */
};

struct slot {
	struct sl_bundle *bundle; /* pinned: sessions lean on its models */
	struct sl_session *detector, *classifier;
	struct sl_session *raw[SL_NETS]; /* of sl_pipeline_infer(), made when first asked */
	bool is_probability; /* the classifier ends in Softmax */
};

struct sl_pipeline {
	struct slot slot[KEPT]; /* the one used last is first */
	float *input; /* scratch for a net's input */
	size_t room;
};

void sl_seen_done(struct sl_seen *s)
{
	for (int i = 0; i < s->n; i++)
		sl_buf_done(&s->sign[i].jpeg);
	s->n = 0;
}

struct sl_pipeline *sl_pipeline_new(void)
{
	return SL_NEW(struct sl_pipeline);
}

static void slot_done(struct slot *s)
{
	sl_session_free(s->detector);
	sl_session_free(s->classifier);
	for (int i = 0; i < SL_NETS; i++)
		sl_session_free(s->raw[i]);
	sl_bundle_unref(s->bundle);
	*s = (struct slot){0};
}

void sl_pipeline_free(struct sl_pipeline *p)
{
	if (!p)
		return;
	for (int i = 0; i < KEPT; i++)
		slot_done(&p->slot[i]);
	free(p->input);
	free(p);
}

static bool ends_in_softmax(const struct sl_graph *g)
{
	for (int i = 0; i < g->nnode; i++)
		if (g->node[i].out[0] == g->output[0])
			return g->node[i].op == SL_OP_SOFTMAX;
	return false;
}

static struct slot *slot_for(struct sl_pipeline *p, struct sl_bundle *b)
{
	int at = 0;

	while (at < KEPT && !(p->slot[at].bundle && strcmp(p->slot[at].bundle->digest, b->digest) == 0))
		at++;
	struct slot found;
	if (at < KEPT) {
		found = p->slot[at];
	} else {
		at = KEPT - 1;
		slot_done(&p->slot[at]);
		found = (struct slot){.bundle = sl_bundle_ref(b),
			.detector = sl_session_new(b->detector),
			.classifier = sl_session_new(b->classifier),
			.is_probability = ends_in_softmax(sl_model_graph(b->classifier))};
	}
	memmove(p->slot + 1, p->slot, at * sizeof *p->slot);
	p->slot[0] = found;
	return &p->slot[0];
}

static float *input_room(struct sl_pipeline *p, size_t n)
{
	if (n > p->room) {
		free(p->input);
		p->input = sl_aligned(n * sizeof(float));
		p->room = n;
	}
	return p->input;
}

/* How a frame lies in the detector's input: shrunk by scale to w x h, padded to pw x ph. */
struct fit {
	float scale;
	int w, h, pw, ph;
};

static int up(int v, int step)
{
	return (v + step - 1) / step * step;
}

static struct fit fit_of(const struct sl_bundle *b, int w, int h)
{
	const struct sl_graph *g = sl_model_graph(b->detector);
	const struct sl_shape *in = &g->value[g->input[0]].shape;
	int most_h = in->dim[2] > 0 ? (int)in->dim[2] : b->max_side,
	    most_w = in->dim[3] > 0 ? (int)in->dim[3] : b->max_side;
	struct fit f = {.scale = fminf(1, fminf((float)most_w / w, (float)most_h / h))};

	f.w = SL_MAX(1, SL_MIN(most_w, (int)lroundf(w * f.scale)));
	f.h = SL_MAX(1, SL_MIN(most_h, (int)lroundf(h * f.scale)));
	f.pw = in->dim[3] > 0 ? most_w : up(f.w, b->stride);
	f.ph = in->dim[2] > 0 ? most_h : up(f.h, b->stride);
	return f;
}

static enum sl_status run_detector(
	struct slot *s, const struct sl_image *im, const struct fit *f, struct sl_tensor *ret, struct sl_err *err)
{
	const struct sl_bundle *b = s->bundle;
	SL_AUTO(sl_image_done) struct sl_image small = {0};
	struct sl_tensor out[SL_NODE_OUT];

	if (f->w != im->w || f->h != im->h) {
		small = sl_image_new(f->w, f->h);
		sl_image_resize_area(im, &small);
		im = &small;
	}
	const struct sl_pixels in = {im->px, im->w, im->h, f->pw, f->ph, b->det_mean, 1 / b->det_scale, false};
	enum sl_status st = sl_session_run_pixels(s->detector, &in, out, err);
	if (st != SL_OK)
		return sl_prefix(err, st, "detector");
	*ret = out[0];
	return SL_OK;
}

/* To whole pixels of the frame, inside it, at least 1 x 1. */
static void round_box(const struct sl_box *box, int w, int h, int ret[4])
{
	int x1 = (int)lroundf(box->x), y1 = (int)lroundf(box->y);
	int x2 = (int)lroundf(box->x + box->w), y2 = (int)lroundf(box->y + box->h);

	x1 = SL_MAX(0, SL_MIN(x1, w - 1));
	y1 = SL_MAX(0, SL_MIN(y1, h - 1));
	ret[0] = x1;
	ret[1] = y1;
	ret[2] = SL_MAX(x1 + 1, SL_MIN(x2, w)) - x1;
	ret[3] = SL_MAX(y1 + 1, SL_MIN(y2, h)) - y1;
}

/* Two tiny detections may round to one box; one key is one sign. */
static void add_sign(struct sl_seen *seen, const int box[4], float score)
{
	for (int i = 0; i < seen->n; i++)
		if (memcmp(seen->sign[i].box, box, sizeof seen->sign[i].box) == 0)
			return;
	struct sl_sign *s = &seen->sign[seen->n++];
	*s = (struct sl_sign){.score = score};
	memcpy(s->box, box, sizeof s->box);
}

/* Detections from min_score on, best first, in pixels of the frame. */
static enum sl_status find_boxes(struct slot *s, const struct sl_image *im, float min_score, struct sl_detection *ret,
	int *ret_n, struct sl_err *err)
{
	struct fit f = fit_of(s->bundle, im->w, im->h);
	const struct sl_detect_options o = {min_score, SL_DETECT_IOU, f.w, f.h, SL_SIGNS_MAX};
	struct sl_tensor out;
	enum sl_status st = run_detector(s, im, &f, &out, err);

	if (st != SL_OK)
		return st;
	const int64_t *dim = out.shape.dim;
	*ret_n = s->bundle->decode == SL_DECODE_CENTER4
			 ? sl_detect_center4(out.data, (int)dim[2], (int)dim[3], &o, ret)
			 : sl_detect_yolov5(out.data, (int)dim[1], (int)dim[2] - 5, &o, ret);
	for (int i = 0; i < *ret_n; i++) {
		struct sl_box *b = &ret[i].box;
		*b = (struct sl_box){b->x / f.scale, b->y / f.scale, b->w / f.scale, b->h / f.scale};
	}
	return SL_OK;
}

static enum sl_status detect(struct slot *s, const struct sl_image *im, struct sl_seen *seen, struct sl_err *err)
{
	struct sl_detection found[SL_SIGNS_MAX];
	int n = 0;
	enum sl_status st = find_boxes(s, im, s->bundle->det_threshold, found, &n, err);

	for (int i = 0; i < n && st == SL_OK; i++) {
		int box[4];
		round_box(&found[i].box, im->w, im->h, box);
		add_sign(seen, box, found[i].score);
	}
	return st;
}

static enum sl_status cut_crops(const struct sl_image *im, const char *sha256, struct sl_seen *seen, struct sl_err *err)
{
	SL_AUTO(sl_image_done) struct sl_image crop = sl_image_new(SL_CROP_STORED, SL_CROP_STORED);

	for (int i = 0; i < seen->n; i++) {
		struct sl_sign *s = &seen->sign[i];
		sl_key_make(s->key, sha256, s->box[0], s->box[1], s->box[2], s->box[3]);
		sl_classify_store(im, s->box, SL_CROP_CONTEXT, &crop, s->roi);
		enum sl_status st = sl_jpeg_encode(&crop, SL_CROP_QUALITY, true, &s->jpeg, err);
		if (st != SL_OK)
			return st;
	}
	return SL_OK;
}

static int batch_of(const struct sl_bundle *b, int n)
{
	const struct sl_graph *g = sl_model_graph(b->classifier);
	int64_t fixed = g->value[g->input[0]].shape.dim[0];
	int batch = 1;

	while (batch < n && batch < BATCH)
		batch *= 2;
	return fixed > 0 ? (int)fixed : batch;
}

/* Candidates of n boxes of one image, a batch at a time. */
static enum sl_status classify(struct sl_pipeline *p, struct slot *s, const struct sl_image *im,
	const struct sl_box *box, int n, struct sl_candidate (*ret)[SL_CANDIDATES], int *ret_n, struct sl_err *err)
{
	const struct sl_bundle *b = s->bundle;
	int side = b->cls_size;
	size_t one = (size_t)3 * side * side;
	SL_AUTO(sl_image_done) struct sl_image cut = sl_image_new(side, side);

	for (int from = 0, batch; from < n; from += batch) {
		batch = batch_of(b, n - from);
		int used = SL_MIN(batch, n - from);
		struct sl_tensor in = {input_room(p, batch * one), SL_SHAPE(batch, 3, side, side)}, out[SL_NODE_OUT];

		for (int i = 0; i < used; i++) {
			sl_classify_cut(im, box[from + i], b->cls_context, &cut);
			sl_classify_input(b, &cut, in.data + i * one);
		}
		memset(in.data + used * one, 0, (batch - used) * one * sizeof(float));
		enum sl_status st = sl_session_run(s->classifier, &in, out, err);
		if (st != SL_OK)
			return sl_prefix(err, st, "classifier");
		for (int i = 0; i < used; i++) {
			ret_n[from + i] = sl_calibrate(out[0].data + (size_t)i * b->taxonomy->n, b->taxonomy->n,
				s->is_probability, b->temperature, ret[from + i]);
			if (!ret_n[from + i])
				return sl_fail(err, SL_CORRUPT, "classifier: an answer is not a finite number");
		}
	}
	return SL_OK;
}

static enum sl_status name_signs(
	struct sl_pipeline *p, struct slot *s, const struct sl_image *im, struct sl_seen *seen, struct sl_err *err)
{
	struct sl_box box[SL_SIGNS_MAX];
	struct sl_candidate candidate[SL_SIGNS_MAX][SL_CANDIDATES];
	int count[SL_SIGNS_MAX];

	for (int i = 0; i < seen->n; i++) {
		const int *b = seen->sign[i].box;
		box[i] = (struct sl_box){b[0], b[1], b[2], b[3]};
	}
	enum sl_status st = classify(p, s, im, box, seen->n, candidate, count, err);
	for (int i = 0; i < seen->n && st == SL_OK; i++) {
		struct sl_sign *sign = &seen->sign[i];
		memcpy(sign->candidate, candidate[i], sizeof sign->candidate);
		sign->ncandidate = count[i];
		sign->accepted = candidate[i][0].confidence >= s->bundle->accept[candidate[i][0].cls];
	}
	return st;
}

static enum sl_status in_time(int64_t deadline_us, const char *stage, struct sl_err *err)
{
	if (!sl_is_past(deadline_us))
		return SL_OK;
	return sl_fail(err, SL_TIMEOUT, "the deadline passed before the frame was %s", stage);
}

static void lap(int64_t *since, int64_t *ret)
{
	int64_t now = sl_mono_us();

	*ret = now - *since;
	*since = now;
}

static enum sl_status run_stages(struct sl_pipeline *p, struct sl_bundle *b, struct sl_slice file, int64_t max_pixels,
	int64_t deadline_us, struct sl_seen *seen, struct sl_err *err)
{
	struct slot *slot = slot_for(p, b);
	SL_AUTO(sl_image_done) struct sl_image im = {0};
	char sha256[SL_HEX_SHA256];
	int64_t t = sl_mono_us();
	enum sl_status s;

	if ((s = in_time(deadline_us, "decoded", err)) || (s = sl_image_decode(file, max_pixels, &im, err)))
		return s;
	sl_sha256_hex(file.ptr, file.len, sha256);
	snprintf(seen->frame, sizeof seen->frame, "%.*s", SL_FRAME_ID - 1, sha256);
	seen->w = im.w;
	seen->h = im.h;
	lap(&t, &seen->us[SL_STAGE_DECODE]);
	if ((s = in_time(deadline_us, "searched for signs", err)) || (s = detect(slot, &im, seen, err)))
		return s;
	lap(&t, &seen->us[SL_STAGE_DETECT]);
	if ((s = in_time(deadline_us, "cut", err)) || (s = cut_crops(&im, sha256, seen, err)))
		return s;
	lap(&t, &seen->us[SL_STAGE_CROP]);
	if ((s = in_time(deadline_us, "classified", err)) || (s = name_signs(p, slot, &im, seen, err)))
		return s;
	lap(&t, &seen->us[SL_STAGE_CLASSIFY]);
	return SL_OK;
}

enum sl_status sl_pipeline_run(struct sl_pipeline *p, struct sl_bundle *b, struct sl_slice image, int64_t max_pixels,
	int64_t deadline_us, struct sl_seen *ret, struct sl_err *err)
{
	ret->n = 0;
	memset(ret->us, 0, sizeof ret->us);
	enum sl_status s = run_stages(p, b, image, max_pixels, deadline_us, ret, err);

	if (s != SL_OK)
		sl_seen_done(ret);
	return s;
}

enum sl_status sl_pipeline_classify(struct sl_pipeline *p, struct sl_bundle *b, const struct sl_image *im,
	struct sl_box roi, struct sl_candidate ret[SL_CANDIDATES], int *ret_n, struct sl_err *err)
{
	struct sl_candidate candidate[1][SL_CANDIDATES];
	enum sl_status s = classify(p, slot_for(p, b), im, &roi, 1, candidate, ret_n, err);

	if (s == SL_OK)
		memcpy(ret, candidate[0], sizeof candidate[0]);
	return s;
}

enum sl_status sl_pipeline_detect(struct sl_pipeline *p, struct sl_bundle *b, const struct sl_image *im,
	float min_score, struct sl_detection ret[SL_SIGNS_MAX], int *ret_n, struct sl_err *err)
{
	*ret_n = 0;
	return find_boxes(slot_for(p, b), im, min_score, ret, ret_n, err);
}

enum sl_status sl_pipeline_infer(struct sl_pipeline *p, struct sl_bundle *b, enum sl_net net,
	const struct sl_tensor *in, struct sl_tensor *ret, struct sl_err *err)
{
	struct slot *s = slot_for(p, b);

	if (!s->raw[net])
		s->raw[net] = sl_session_new(net == SL_NET_DETECTOR ? b->detector : b->classifier);
	return sl_session_run(s->raw[net], in, ret, err);
}

/* A red ring around white: enough of a sign for numbers to move. */
static struct sl_image drawn_sign(int side)
{
	struct sl_image im = sl_image_new(side, side);

	for (int y = 0; y < side; y++)
		for (int x = 0; x < side; x++) {
			float r = hypotf(x + 0.5f - side / 2.0f, y + 0.5f - side / 2.0f) / (side / 2.0f);
			uint8_t *px = im.px + ((size_t)y * side + x) * 3;
			px[0] = r < 1 ? 220 : 90;
			px[1] = px[2] = r < 0.7f ? 230 : r < 1 ? 30 : 90;
		}
	return im;
}

static enum sl_status selftest_detector(struct slot *s, struct sl_err *err)
{
	enum { W = 1360, H = 800 };
	SL_AUTO(sl_image_done) struct sl_image grey = sl_image_new(W, H);
	struct fit f = fit_of(s->bundle, W, H);
	struct sl_tensor out;

	memset(grey.px, 128, (size_t)W * H * 3);
	enum sl_status st = run_detector(s, &grey, &f, &out, err);
	if (st != SL_OK)
		return st;
	int64_t n = sl_shape_count(&out.shape);
	for (int64_t i = 0; i < n; i++)
		if (!isfinite(out.data[i]))
			return sl_fail(
				err, SL_REFUSED, "detector: answers a grey frame with a number that is not finite");
	return SL_OK;
}

enum sl_status sl_pipeline_selftest(struct sl_pipeline *p, struct sl_bundle *b, struct sl_err *err)
{
	enum { SIDE = 60 };
	struct slot *s = slot_for(p, b);
	SL_AUTO(sl_image_done) struct sl_image sign = drawn_sign(SIDE);
	struct sl_candidate candidate[8][SL_CANDIDATES];
	struct sl_box box[8];
	int n[8];
	enum sl_status st = selftest_detector(s, err);

	for (int i = 0; i < 8; i++)
		box[i] = (struct sl_box){0, 0, SIDE, SIDE};
	for (int batch = 1; batch <= 8 && st == SL_OK; batch *= 2) /* the batches that most frames need */
		st = classify(p, s, &sign, box, batch, candidate, n, err);
	if (st == SL_CORRUPT && err)
		err->status = SL_REFUSED;
	return st == SL_CORRUPT ? SL_REFUSED : st;
}
