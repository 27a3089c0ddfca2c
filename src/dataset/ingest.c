/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/ingest.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "core/message.h"
#include "vision/pipeline.h"
#include <math.h>
#include <stdio.h>

enum { BATCH = 200, APPEND_MS = 60000 };

struct item {
	char key[SL_KEY];
	struct sl_buf jpeg, meta, message;
};

struct work {
	const struct sl_stores *st;
	const struct sl_source *src;
	const struct sl_ingest *o;
	struct item item[BATCH];
	int n;
	struct sl_ingest_result r;
};

static void work_done(struct work *w)
{
	for (int i = 0; i < w->n; i++) {
		sl_buf_done(&w->item[i].jpeg);
		sl_buf_done(&w->item[i].meta);
		sl_buf_done(&w->item[i].message);
	}
	w->n = 0;
}

/* Crops first: a label's crop is there before anyone hears of the label. */
static enum sl_status flush(struct work *w, struct sl_err *err)
{
	struct sl_crop_put put[BATCH];
	struct sl_entry entry[BATCH];
	for (int i = 0; i < w->n; i++) {
		struct item *it = &w->item[i];
		put[i] = (struct sl_crop_put){it->key, sl_buf_slice(&it->jpeg), sl_buf_slice(&it->meta)};
		entry[i] = (struct sl_entry){SL_TOPIC_LABELS, it->key, sl_buf_slice(&it->message)};
	}
	enum sl_status s = w->n ? sl_crops_put_many(w->st->crops, put, w->n, err) : SL_OK;
	if (s == SL_OK && w->n)
		s = sl_log_append_many(w->st->log, entry, w->n, sl_deadline_ms(APPEND_MS), err);
	work_done(w);
	return s;
}

static void frame_digest(const struct sl_image *im, char ret[SL_HEX_SHA256])
{
	struct sl_sha256 *h = sl_sha256_new();
	int32_t size[2] = {im->w, im->h};
	sl_sha256_add(h, size, sizeof(size));
	sl_sha256_add(h, im->px, (size_t)im->w * (size_t)im->h * 3);
	sl_sha256_end_hex(h, ret);
	sl_sha256_free(h);
}

/* The square around the box's centre, 64x64; roi: the box in it. */
static void cut(const struct sl_image *im, struct sl_box box, struct sl_image *ret, float roi[4])
{
	float side = fmaxf(roundf(fmaxf(box.w, box.h) * SL_CROP_CONTEXT), 2);
	float x = roundf(box.x + box.w / 2 - side / 2), y = roundf(box.y + box.h / 2 - side / 2),
	      k = SL_CROP_STORED / side;
	SL_AUTO(sl_image_done) struct sl_image square = sl_image_new((int)side, (int)side);
	sl_image_crop_resize(im, (struct sl_box){x, y, side, side}, &square);
	*ret = sl_image_new(SL_CROP_STORED, SL_CROP_STORED);
	sl_image_resize_area(&square, ret);
	roi[0] = (box.x - x) * k;
	roi[1] = (box.y - y) * k;
	roi[2] = box.w * k;
	roi[3] = box.h * k;
}

static enum sl_status add(
	struct work *w, const struct sl_sample *s, const char *frame, struct sl_box box, int cls, struct sl_err *err)
{
	SL_AUTO(sl_image_done) struct sl_image crop = {0};
	struct item *it = &w->item[w->n];
	float roi[4];
	int b[4] = {(int)lroundf(box.x), (int)lroundf(box.y), (int)SL_MAX(lroundf(box.w), 1),
		(int)SL_MAX(lroundf(box.h), 1)};
	char sequence[48];
	*it = (struct item){.jpeg = {.cap = SL_CROP_MAX}};
	sl_key_make(it->key, frame, SL_MAX(b[0], 0), SL_MAX(b[1], 0), b[2], b[3]);
	cut(&s->image, box, &crop, roi);
	enum sl_status st = sl_jpeg_encode(&crop, SL_CROP_QUALITY, true, &it->jpeg, err);
	w->n++;
	if (st != SL_OK)
		return st;
	snprintf(sequence, sizeof(sequence), "%.8s-%d", w->src->digest, s->group);
	SL_AUTOJSON json_t *meta = json_pack("{s:i,s:s#,s:s,s:s,s:[i,i,i,i],s:[f,f,f,f],s:s}", "v", 1, "frame", frame,
		SL_FRAME_ID - 1, "device", w->o->device, "sequence", sequence, "box", b[0], b[1], b[2], b[3], "roi",
		(double)roi[0], (double)roi[1], (double)roi[2], (double)roi[3], "topic", SL_TOPIC_LABELS);
	struct sl_label label = {.cls = cls >= 0 ? cls : SL_CHOICE_NOT_A_SIGN, .source = "gold"};
	SL_COPY(label.key, it->key);
	SL_AUTOJSON json_t *message = sl_label_message(&label, w->o->taxonomy, 1, 0, sl_now_ms());
	sl_json_print(meta, &it->meta);
	sl_json_print(message, &it->message);
	w->r.crops += cls >= 0;
	w->r.negatives += cls < 0;
	return w->n == BATCH ? flush(w, err) : SL_OK;
}

static enum sl_status take(struct work *w, const struct sl_sample *s, struct sl_err *err)
{
	char frame[SL_HEX_SHA256];
	bool scene = w->src->format->scenes;
	enum sl_status st = SL_OK;
	frame_digest(&s->image, frame);
	for (int i = 0; i < (scene ? s->nbox : 1) && st == SL_OK; i++) {
		int cls = scene ? s->box[i].cls : s->cls;
		struct sl_box box = scene ? s->box[i].box : s->roi;
		if (scene && s->box[i].ignored)
			w->r.ignored++;
		else if (cls >= w->o->taxonomy->n || cls == SL_CLASS_UNKNOWN)
			w->r.unknown++;
		else
			st = add(w, s, frame, box, cls, err);
	}
	return st;
}

enum sl_status sl_ingest_run(const struct sl_stores *st, const struct sl_source *src, const struct sl_ingest *o,
	struct sl_ingest_result *ret, struct sl_err *err)
{
	SL_AUTOFREE struct work *w = SL_NEW(struct work);
	enum sl_status s = SL_OK;
	w->st = st;
	w->src = src;
	w->o = o;
	for (int i = 0; i < src->n && s == SL_OK; i++) {
		s = take(w, &src->sample[i], err);
		if (o->progress)
			o->progress(o->arg, i + 1, src->n);
	}
	if (s == SL_OK)
		s = flush(w, err);
	work_done(w);
	if (s == SL_OK)
		*ret = w->r;
	return s;
}
