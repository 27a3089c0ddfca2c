/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON of reviews, votes, verdicts and labels: for answers, events and topic `labels`.
 */
#include "role/labeling.h"
#include <stdio.h>

/* Choices that are no class are texts in JSON; so are class indexes where a choice is shown. */
static json_t *choice_json(int choice)
{
	char buf[12];
	return json_string(sl_choice_text(choice, buf));
}

json_t *sl_class_json(const struct sl_classes *c, int cls)
{
	if (cls < 0)
		return json_null();
	if (!c || cls >= c->taxonomy->n)
		return json_pack("{s:i}", "index", cls);
	const struct sl_class *k = &c->taxonomy->cls[cls];
	return json_pack("{s:i,s:s,s:s,s:s}", "index", cls, "code", k->code, "name", k->en, "name_ko", k->ko);
}

static json_t *candidates_json(const struct sl_classes *c, const struct sl_review *r)
{
	json_t *list = json_array();
	for (int i = 0; i < r->ncandidate; i++)
		json_array_append_new(list, json_pack("{s:o,s:f}", "class", sl_class_json(c, r->candidate[i].cls), "confidence",
			(double)r->candidate[i].confidence));
	return list;
}

json_t *sl_review_json(const struct sl_classes *c, const struct sl_review *r)
{
	char crop[SL_KEY + 24]; /* served by this role, so that its process needs no other one */
	snprintf(crop, sizeof(crop), "/v1/reviews/%s/crop", r->key);
	json_t *o = json_pack("{s:s,s:s,s:s,s:o,s:s,s:s,s:s,s:I,s:I,s:i}", "key", r->key, "state",
		sl_review_state_name(r->verdict.state), "crop", crop, "candidates", candidates_json(c, r), "bundle", r->bundle, "frame",
		r->frame, "device", r->device, "time", (json_int_t)r->time_ms, "opened", (json_int_t)r->opened_ms, "cap", r->cap);
	if (r->lease_until_ms)
		json_object_set_new(o, "lease_until", json_integer(r->lease_until_ms));
	return o;
}

json_t *sl_votes_json(const struct sl_vote *v, int n)
{
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s,s:s,s:o,s:b,s:I}", "voter", v[i].voter, "vote_id", v[i].id, "choice",
			choice_json(v[i].choice), "expert", v[i].expert, "time", (json_int_t)v[i].time_ms));
	return list;
}

static const char *source_of(const struct sl_verdict *v)
{
	return v->by_expert ? "expert" : "votes";
}

json_t *sl_verdict_json(const struct sl_classes *c, const char *key, const struct sl_verdict *v)
{
	json_t *o = json_pack("{s:s,s:s,s:i}", "key", key, "state", sl_review_state_name(v->state), "votes", v->votes);
	if (v->state != SL_REVIEW_DECIDED)
		return o;
	json_object_set_new(o, "agree", json_integer(v->agree));
	json_object_set_new(o, "choice", choice_json(v->choice));
	json_object_set_new(o, "class", sl_class_json(c, v->choice));
	json_object_set_new(o, "source", json_string(source_of(v)));
	return o;
}

json_t *sl_label_message(const struct sl_classes *c, const struct sl_review *r)
{
	const struct sl_verdict *v = &r->verdict;
	double share = v->by_expert || !v->votes ? 1 : (double)v->agree / v->votes;
	json_t *o = json_pack("{s:i,s:s,s:o}", "v", 1, "key", r->key, "class", sl_class_json(c, v->choice));
	if (v->choice < 0)
		json_object_set_new(o, "choice", choice_json(v->choice));
	json_object_set_new(o, "source", json_string(source_of(v)));
	json_object_set_new(o, "confidence", json_real(share));
	json_object_set_new(o, "bundle", json_string(r->bundle));
	json_object_set_new(o, "votes", json_integer(v->votes));
	json_object_set_new(o, "time", json_integer(sl_now_ms()));
	return o;
}
