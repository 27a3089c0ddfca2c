/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages of topics `labels` and `reviews`, and the JSON of classes and candidates that
 * messages and answers share. docs/formats.md has the members. (Topic `models` only says look:
 * dataset/registry.h.)
 *
 * Owner: json_t values that are made here are new references; structs are the caller's.
 * Thread: any. Times in ms since 1970, confidences 0..1. Parsers set *ret on OK only: INVALID
 * says what is wrong, UNSUPPORTED that the message is of a newer "v".
 */
#pragma once
#include "base/json.h"
#include "core/review.h"
#include "core/taxonomy.h"

#define SL_TOPIC_LABELS "labels"
#define SL_TOPIC_REVIEWS "reviews"
#define SL_TOPIC_MODELS "models"
#define SL_GROUP_CURATE "curate" /* of topic labels */
#define SL_GROUP_INTAKE "intake" /* of topic reviews */

/* {"index","code","name","name_ko"}; the index alone where t is NULL or has no such class;
 * null for a choice that is no class. */
json_t *sl_class_json(const struct sl_taxonomy *t, int cls);
json_t *sl_candidates_json(
	const struct sl_taxonomy *t, const struct sl_candidate *c, int n); /* [{"class","confidence"}] */

/* A label: its message, and where that stands in the log. */
struct sl_label {
	char key[SL_KEY];
	int cls; /* class index, or enum sl_choice below 0 */
	char code[SL_CODE]; /* of the class; its decimal index when the message has no code; "" when none */
	char source[12]; /* "model", "votes", "expert", "gold" */
	char bundle[65]; /* "" when unknown */
	int partition;
	int64_t position, appended_ms;
};

/* "class" is {"index","code"} or an index; null (or absent) with "choice" of not_a_sign,
 * unreadable, other. where: "label", or what the person knows. The log's members are left 0. */
enum sl_status sl_label_parse(json_t *body, const char *where, struct sl_label *ret, struct sl_err *err);
/* key, cls, source and bundle of l, the code from t (may be NULL). */
json_t *sl_label_message(
	const struct sl_label *l, const struct sl_taxonomy *t, double confidence, int votes, int64_t time_ms);
/* The label of a decided review. */
json_t *sl_verdict_message(const struct sl_review *r, const struct sl_taxonomy *t, int64_t time_ms);
const char *sl_verdict_source(const struct sl_verdict *v); /* "votes" or "expert" */

/* The review that a message asks for; its frame is the key's. appended_ms stands in for an
 * absent "time". */
enum sl_status sl_review_parse(json_t *body, int64_t appended_ms, struct sl_review *ret, struct sl_err *err);

/* The message of a crop from what was stored with it: "topic" of meta says of which topic. NULL
 * when meta is none of ours. */
json_t *sl_crop_message(const char *key, json_t *meta, const char **ret_topic);
