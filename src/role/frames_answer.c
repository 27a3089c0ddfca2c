/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "core/message.h"
#include "role/frames.h"

static json_t *box_json(const int box[4])
{
	return json_pack("[i,i,i,i]", box[0], box[1], box[2], box[3]);
}

static const char *status_of(const struct sl_sign *s)
{
	return s->accepted ? "accepted" : "review";
}

static json_t *timing_json(const struct sl_job *j)
{
	json_t *o = json_pack("{s:f}", "queue", (double)j->wait_us / 1000);

	for (int i = 0; i < SL_FRAME_STAGES; i++)
		json_object_set_new(o, sl_frame_stage_name[i], json_real((double)SL_MAX(j->us[i], 0) / 1000));
	json_object_set_new(o, "total", json_real((double)(sl_mono_us() - j->arrived_us) / 1000));
	return o;
}

json_t *sl_frame_answer_v1(const struct sl_job *j)
{
	json_t *signs = json_array();

	for (int i = 0; i < j->seen.n; i++) {
		const struct sl_sign *s = &j->seen.sign[i];
		json_array_append_new(
			signs, json_pack("{s:s,s:o,s:o,s:f,s:f,s:o,s:s}", "key", s->key, "box", box_json(s->box),
				       "class", sl_class_json(j->bundle->taxonomy, s->candidate[0].cls), "confidence",
				       (double)s->candidate[0].confidence, "score", (double)s->score, "candidates",
				       sl_candidates_json(j->bundle->taxonomy, s->candidate, s->ncandidate), "status",
				       status_of(s)));
	}
	return json_pack("{s:s,s:s,s:s,s:i,s:i,s:o,s:o}", "frame", *j->meta.id ? j->meta.id : j->seen.frame, "hash",
		j->seen.frame, "bundle", j->bundle->digest, "width", j->seen.w, "height", j->seen.h, "signs", signs,
		"timing_ms", timing_json(j));
}

/* The original named classes in Korean, and so do its clients. */
static const char *label_of(const struct sl_job *j, int cls)
{
	return j->bundle->taxonomy->cls[cls].ko;
}

json_t *sl_frame_answer_labeling(const struct sl_job *j)
{
	json_t *list = json_array();

	for (int i = 0; i < j->seen.n; i++) {
		const struct sl_sign *s = &j->seen.sign[i];
		json_array_append_new(list,
			json_pack("{s:s,s:s}", "image_rowkey", s->key, "label", label_of(j, s->candidate[0].cls)));
	}
	return json_pack("{s:o}", "labeledImages", list);
}

json_t *sl_frame_answer_labeling_test(const struct sl_job *j)
{
	json_t *list = json_array();

	for (int i = 0; i < j->seen.n; i++) {
		const struct sl_sign *s = &j->seen.sign[i];
		json_t *labels = json_array();
		for (int k = 0; k < s->ncandidate; k++)
			json_array_append_new(labels, json_pack("{s:s,s:f}", "label", label_of(j, s->candidate[k].cls),
							      "accuracy", (double)s->candidate[k].confidence));
		json_array_append_new(list, json_pack("{s:s,s:o}", "image_rowkey", s->key, "labels", labels));
	}
	return json_pack("{s:s,s:o}", "result", "GOOD", "labeledImages", list);
}

/* For the watch page: "frame" is the hash, by which the picture is kept. */
json_t *sl_frame_event(const struct sl_job *j)
{
	json_t *signs = json_array();

	for (int i = 0; i < j->seen.n; i++) {
		const struct sl_sign *s = &j->seen.sign[i];
		json_array_append_new(
			signs, json_pack("{s:s,s:o,s:o,s:f,s:s}", "key", s->key, "box", box_json(s->box), "class",
				       sl_class_json(j->bundle->taxonomy, s->candidate[0].cls), "confidence",
				       (double)s->candidate[0].confidence, "status", status_of(s)));
	}
	return json_pack("{s:s,s:s,s:s,s:i,s:i,s:I,s:s,s:o,s:o}", "frame", j->seen.frame, "id", j->meta.id, "device",
		j->meta.device, "width", j->seen.w, "height", j->seen.h, "time", (json_int_t)sl_now_ms(), "bundle",
		j->bundle->digest, "signs", signs, "timing_ms", timing_json(j));
}

static void set_text(json_t *o, const char *name, const char *v)
{
	if (*v)
		json_object_set_new(o, name, json_string(v));
}

/* The name that the original's consumers want. */
static void set_name(const struct sl_job *j, json_t *o, int cls)
{
	if (j->f->names)
		set_text(o, "name_ko", j->bundle->taxonomy->cls[cls].ko);
}

static json_t *short_candidates(const struct sl_job *j, const struct sl_sign *s)
{
	json_t *list = json_array();

	for (int i = 0; i < s->ncandidate; i++) {
		json_t *c = json_pack("{s:i,s:s,s:f}", "class", s->candidate[i].cls, "code",
			j->bundle->taxonomy->cls[s->candidate[i].cls].code, "confidence",
			(double)s->candidate[i].confidence);
		set_name(j, c, s->candidate[i].cls);
		json_array_append_new(list, c);
	}
	return list;
}

json_t *sl_frame_crop_meta(const struct sl_job *j, const struct sl_sign *s)
{
	const struct sl_frame_meta *m = &j->meta;
	int cls = s->candidate[0].cls;
	json_t *o = json_pack("{s:i,s:s,s:I,s:i,s:i,s:o,s:[f,f,f,f],s:f,s:s,s:s,s:{s:i,s:s},s:f,s:o}", "v", 1, "frame",
		j->seen.frame, "time", (json_int_t)m->time_ms, "width", j->seen.w, "height", j->seen.h, "box",
		box_json(s->box), "roi", (double)s->roi[0], (double)s->roi[1], (double)s->roi[2], (double)s->roi[3],
		"score", (double)s->score, "bundle", j->bundle->digest, "topic",
		s->accepted ? SL_TOPIC_LABELS : SL_TOPIC_REVIEWS, "class", "index", cls, "code",
		j->bundle->taxonomy->cls[cls].code, "confidence", (double)s->candidate[0].confidence, "candidates",
		short_candidates(j, s));

	set_name(j, json_object_get(o, "class"), cls);
	set_text(o, "device", m->device);
	set_text(o, "frame_id", m->id);
	set_text(o, "sequence", m->sequence);
	if (m->has_place) {
		json_object_set_new(o, "lat", json_real(m->lat));
		json_object_set_new(o, "lon", json_real(m->lon));
	}
	if (m->has_heading)
		json_object_set_new(o, "heading", json_real(m->heading));
	return o;
}
