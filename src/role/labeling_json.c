/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON of reviews, votes and verdicts, for answers and events.
 */
#include "core/message.h"
#include "role/labeling.h"
#include <stdio.h>

/* Choices that are no class are texts in JSON; so are class indexes where a choice is shown. */
static json_t *choice_json(int choice)
{
	char buf[12];
	return json_string(sl_choice_text(choice, buf));
}

static const struct sl_taxonomy *taxonomy_of(const struct sl_classes *c)
{
	return c ? c->taxonomy : NULL;
}

json_t *sl_review_json(const struct sl_classes *c, const struct sl_review *r)
{
	char crop[SL_KEY + 24]; /* served by this role, so that its process needs no other one */
	snprintf(crop, sizeof(crop), "/v1/reviews/%s/crop", r->key);
	json_t *o = json_pack("{s:s,s:s,s:s,s:o,s:s,s:s,s:s,s:I,s:I,s:i}", "key", r->key, "state",
		sl_review_state_name(r->verdict.state), "crop", crop, "candidates",
		sl_candidates_json(taxonomy_of(c), r->candidate, r->ncandidate), "bundle", r->bundle, "frame", r->frame,
		"device", r->device, "time", (json_int_t)r->time_ms, "opened", (json_int_t)r->opened_ms, "cap", r->cap);
	if (r->lease_until_ms)
		json_object_set_new(o, "lease_until", json_integer(r->lease_until_ms));
	return o;
}

json_t *sl_votes_json(const struct sl_vote *v, int n)
{
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(list,
			json_pack("{s:s,s:s,s:o,s:b,s:I}", "voter", v[i].voter, "vote_id", v[i].id, "choice",
				choice_json(v[i].choice), "expert", v[i].expert, "time", (json_int_t)v[i].time_ms));
	return list;
}

json_t *sl_verdict_json(const struct sl_classes *c, const char *key, const struct sl_verdict *v)
{
	json_t *o = json_pack("{s:s,s:s,s:i}", "key", key, "state", sl_review_state_name(v->state), "votes", v->votes);
	if (v->state != SL_REVIEW_DECIDED)
		return o;
	json_object_set_new(o, "agree", json_integer(v->agree));
	json_object_set_new(o, "choice", choice_json(v->choice));
	json_object_set_new(o, "class", sl_class_json(taxonomy_of(c), v->choice));
	json_object_set_new(o, "source", json_string(sl_verdict_source(v)));
	return o;
}
