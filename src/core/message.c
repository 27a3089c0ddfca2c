/* SPDX-License-Identifier: Apache-2.0 */
#include "core/message.h"
#include "base/mem.h"
#include <stdio.h>

#define CONFIDENCE_SLACK 1e-3 /* sums of rounded numbers */

enum { FORMAT = 1, CLASS_INDEX_MAX = 100000 };

json_t *sl_class_json(const struct sl_taxonomy *t, int cls)
{
	if (cls < 0)
		return json_null();
	if (!t || cls >= t->n)
		return json_pack("{s:i}", "index", cls);
	const struct sl_class *c = &t->cls[cls];
	return json_pack("{s:i,s:s,s:s,s:s}", "index", cls, "code", c->code, "name", c->en, "name_ko", c->ko);
}

json_t *sl_candidates_json(const struct sl_taxonomy *t, const struct sl_candidate *c, int n)
{
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:o,s:f}", "class", sl_class_json(t, c[i].cls), "confidence",
						    (double)c[i].confidence));
	return list;
}

/* An optional text; "" when absent. */
static enum sl_status take_text(
	json_t *o, const char *where, const char *name, char *ret, size_t size, struct sl_err *err)
{
	const char *text = "";
	enum sl_status s = sl_json_opt_str(o, where, name, &text, err);
	if (s == SL_OK && strlen(text) >= size)
		return sl_fail(err, SL_INVALID, "%s: \"%s\" is longer than %zu bytes", where, name, size - 1);
	if (s == SL_OK)
		memcpy(ret, text, strlen(text) + 1);
	return s;
}

static enum sl_status take_key(json_t *o, const char *where, char ret[SL_KEY], struct sl_err *err)
{
	const char *key = NULL;
	enum sl_status s = sl_json_str(o, where, "key", &key, err);
	if (s != SL_OK)
		return s;
	if (!sl_key_is_valid(key))
		return sl_fail(err, SL_INVALID, "%s: \"key\" is no crop key", where);
	sl_copy(ret, SL_KEY, key);
	return SL_OK;
}

/* ---- labels ---- */

static enum sl_status parse_class(json_t *o, const char *where, struct sl_label *ret, struct sl_err *err)
{
	json_t *cls = json_object_get(o, "class"), *index = cls, *code = NULL;
	if (json_is_object(cls)) {
		index = json_object_get(cls, "index");
		code = json_object_get(cls, "code");
	}
	if (json_is_integer(index) && json_integer_value(index) >= 0 && json_integer_value(index) <= CLASS_INDEX_MAX)
		ret->cls = (int)json_integer_value(index);
	else if (json_is_string(cls))
		return sl_fail(err, SL_INVALID, "%s: \"class\" is a code without an index", where);
	else
		return sl_fail(
			err, SL_INVALID, "%s: \"class\" must be {\"index\",\"code\"}, or null with \"choice\"", where);
	if (json_is_string(code) && json_string_length(code) >= sizeof(ret->code))
		return sl_fail(
			err, SL_INVALID, "%s: the class's code is longer than %d characters", where, SL_CODE - 1);
	if (json_is_string(code) && json_string_length(code))
		SL_COPY(ret->code, json_string_value(code));
	else
		snprintf(ret->code, sizeof(ret->code), "%d", ret->cls);
	return SL_OK;
}

static enum sl_status parse_choice(json_t *o, const char *where, struct sl_label *ret, struct sl_err *err)
{
	const char *choice = NULL;
	enum sl_status s = sl_json_str(o, where, "choice", &choice, err);
	if (s != SL_OK)
		return s;
	if (!sl_choice_parse(choice, 0, &ret->cls))
		return sl_fail(err, SL_INVALID, "%s: \"choice\" must be not_a_sign, unreadable or other", where);
	return SL_OK;
}

static bool is_source(const char *s)
{
	return !strcmp(s, "model") || !strcmp(s, "votes") || !strcmp(s, "expert") || !strcmp(s, "gold");
}

enum sl_status sl_label_parse(json_t *body, const char *where, struct sl_label *ret, struct sl_err *err)
{
	struct sl_label l = {0};
	const char *source = NULL;
	enum sl_status s = sl_json_version(body, where, FORMAT, err);
	if (s == SL_OK)
		s = take_key(body, where, l.key, err);
	if (s == SL_OK)
		s = sl_json_str(body, where, "source", &source, err);
	if (s == SL_OK && !is_source(source))
		s = sl_fail(err, SL_INVALID, "%s: \"source\" must be model, votes, expert or gold", where);
	if (s == SL_OK)
		s = take_text(body, where, "bundle", l.bundle, sizeof(l.bundle), err);
	if (s != SL_OK)
		return s;
	SL_COPY(l.source, source);
	json_t *cls = json_object_get(body, "class");
	s = cls && !json_is_null(cls) ? parse_class(body, where, &l, err) : parse_choice(body, where, &l, err);
	if (s == SL_OK)
		*ret = l;
	return s;
}

json_t *sl_label_message(
	const struct sl_label *l, const struct sl_taxonomy *t, double confidence, int votes, int64_t time_ms)
{
	char buf[12];
	json_t *o = json_pack("{s:i,s:s,s:o}", "v", FORMAT, "key", l->key, "class", sl_class_json(t, l->cls));
	if (l->cls < 0)
		json_object_set_new(o, "choice", json_string(sl_choice_text(l->cls, buf)));
	json_object_set_new(o, "source", json_string(l->source));
	json_object_set_new(o, "confidence", json_real(confidence));
	json_object_set_new(o, "bundle", json_string(l->bundle));
	json_object_set_new(o, "votes", json_integer(votes));
	json_object_set_new(o, "time", json_integer(time_ms));
	return o;
}

const char *sl_verdict_source(const struct sl_verdict *v)
{
	return v->by_expert ? "expert" : "votes";
}

json_t *sl_verdict_message(const struct sl_review *r, const struct sl_taxonomy *t, int64_t time_ms)
{
	const struct sl_verdict *v = &r->verdict;
	struct sl_label l = {.cls = v->choice};
	SL_COPY(l.key, r->key);
	SL_COPY(l.source, sl_verdict_source(v));
	SL_COPY(l.bundle, r->bundle);
	return sl_label_message(&l, t, v->by_expert || !v->votes ? 1 : (double)v->agree / v->votes, v->votes, time_ms);
}

/* ---- reviews ---- */

/* "class" is {"index",...} or the index itself. */
static enum sl_status parse_candidate(json_t *o, struct sl_candidate *ret, struct sl_err *err)
{
	json_t *cls = json_object_get(o, "class");
	if (json_is_object(cls))
		cls = json_object_get(cls, "index");
	json_int_t index = json_is_integer(cls) ? json_integer_value(cls) : -1;
	double confidence = 0;
	if (index < 0 || index >= SL_CLASSES_MAX)
		return sl_fail(err, SL_INVALID, "message: a candidate's \"class\" must have an index of 0 to %d",
			SL_CLASSES_MAX - 1);
	enum sl_status s = sl_json_num(o, "candidate", "confidence", &confidence, err);
	if (s == SL_OK && !(confidence >= -CONFIDENCE_SLACK && confidence <= 1 + CONFIDENCE_SLACK))
		return sl_fail(err, SL_INVALID, "message: a candidate's confidence must be 0 to 1");
	*ret = (struct sl_candidate){(int)index, (float)SL_MAX(SL_MIN(confidence, 1), 0)};
	return s;
}

static enum sl_status parse_candidates(json_t *o, struct sl_review *r, struct sl_err *err)
{
	json_t *list = json_object_get(o, "candidates"), *one;
	size_t i;
	enum sl_status s = SL_OK;
	if (!json_is_array(list))
		return sl_fail(err, SL_INVALID, "message: \"candidates\" must be a list");
	json_array_foreach(list, i, one) if (s == SL_OK && r->ncandidate < SL_CANDIDATES) /* further ones say little */
		s = parse_candidate(one, &r->candidate[r->ncandidate++], err);
	return s;
}

enum sl_status sl_review_parse(json_t *body, int64_t appended_ms, struct sl_review *ret, struct sl_err *err)
{
	struct sl_review r = {.time_ms = appended_ms};
	enum sl_status s = sl_json_version(body, "message", FORMAT, err);
	if (s == SL_OK)
		s = take_key(body, "message", r.key, err);
	if (s == SL_OK)
		s = parse_candidates(body, &r, err);
	if (s == SL_OK)
		s = take_text(body, "message", "bundle", r.bundle, sizeof(r.bundle), err);
	if (s == SL_OK)
		s = take_text(body, "message", "device", r.device, sizeof(r.device), err);
	if (s == SL_OK)
		s = sl_json_opt_int(body, "message", "time", &r.time_ms, err);
	if (s != SL_OK)
		return s;
	sl_key_parse(r.key, r.frame, (int[4]){0});
	*ret = r;
	return SL_OK;
}

/* ---- crops ---- */

json_t *sl_crop_message(const char *key, json_t *meta, const char **ret_topic)
{
	static const char *const label[] = {"class", "confidence", "bundle", "time", NULL};
	static const char *const review[] = {"candidates", "bundle", "frame", "device", "time", "sequence", NULL};
	const char *topic = json_string_value(json_object_get(meta, "topic"));
	bool is_label = topic && !strcmp(topic, SL_TOPIC_LABELS);
	if (!is_label && !(topic && !strcmp(topic, SL_TOPIC_REVIEWS)))
		return NULL;
	json_t *o = json_pack("{s:i,s:s}", "v", FORMAT, "key", key);
	if (is_label) {
		json_object_set_new(o, "source", json_string("model"));
		json_object_set_new(o, "votes", json_integer(0));
	}
	for (const char *const *m = is_label ? label : review; *m; m++) {
		json_t *v = json_object_get(meta, *m);
		if (v)
			json_object_set(o, *m, v);
	}
	*ret_topic = is_label ? SL_TOPIC_LABELS : SL_TOPIC_REVIEWS;
	return o;
}
