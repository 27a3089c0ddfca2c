/* SPDX-License-Identifier: Apache-2.0
 *
 * The labeling role's routes. All run on the server's workers: they wait on stores.
 */
#include "base/mem.h"
#include "base/metric.h"
#include "role/labeling.h"
#include <stdio.h>

enum { PAGE_DEFAULT = 50 };

static void answer_bad(struct sl_request *r, const char *message)
{
	sl_answer_error(r, 400, sl_status_name(SL_INVALID), message);
}

/* A query parameter min..max; false when it was answered 400. */
static bool read_number(struct sl_request *r, const char *name, int min, int max, int *ret)
{
	const char *s = sl_request_query(r, name);
	char *end;
	if (!s)
		return true;
	long v = strtol(s, &end, 10);
	if (*s && !*end && v >= min && v <= max) {
		*ret = (int)v;
		return true;
	}
	SL_AUTOFREE char *text = sl_asprintf("%s must be a whole number of %d to %d", name, min, max);
	answer_bad(r, text);
	return false;
}

static bool is_voter(struct sl_request *r, const char *voter)
{
	if (voter && sl_name_is_valid(voter))
		return true;
	answer_bad(r, "voter must be a name of 1 to 63 letters, digits and . _ - @");
	return false;
}

static const char *key_of(struct sl_request *r)
{
	const char *key = sl_request_param(r, "key");
	if (sl_key_is_valid(key))
		return key;
	answer_bad(r, "this is no crop key");
	return NULL;
}

static void get_next(struct sl_request *r, void *arg)
{
	struct sl_labeling *l = arg;
	const char *voter = sl_request_query(r, "voter");
	struct sl_review review[SL_LEASE_MAX];
	struct sl_err err;
	int n = 1;
	if (!is_voter(r, voter) || !read_number(r, "n", 1, SL_LEASE_MAX, &n))
		return;
	if (sl_reviews_lease(l->ctx.stores.reviews, voter, n, review, &n, &err) != SL_OK) {
		sl_answer_fail(r, &err);
		return;
	}
	struct sl_classes *c = sl_labeling_classes(l);
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(list, sl_review_json(c, &review[i]));
	sl_classes_unref(c);
	sl_metric_add(l->leased, n);
	sl_answer_header(r, "Cache-Control", "no-store");
	sl_answer_json(r, 200, json_pack("{s:o}", "reviews", list));
}

/* choice: class index as a number or text, or a word. */
static enum sl_status read_choice(const struct sl_classes *c, json_t *body, int *ret, struct sl_err *err)
{
	json_t *v = json_object_get(body, "choice");
	char buf[24];
	const char *text = json_string_value(v);
	if (json_is_integer(v)) {
		snprintf(buf, sizeof(buf), "%lld", (long long)json_integer_value(v));
		text = buf;
	}
	if (text && sl_choice_parse(text, c->taxonomy->n, ret))
		return SL_OK;
	return sl_fail(err, SL_INVALID,
		"body: \"choice\" must be a class index of 0 to %d, not_a_sign, unreadable or other",
		c->taxonomy->n - 1);
}

static enum sl_status read_vote(const struct sl_classes *c, json_t *body, struct sl_vote *ret, struct sl_err *err)
{
	const char *voter = NULL, *id = NULL;
	json_t *expert = json_object_get(body, "expert");
	enum sl_status s = sl_json_str(body, "body", "voter", &voter, err);
	if (s == SL_OK)
		s = sl_json_str(body, "body", "vote_id", &id, err);
	if (s == SL_OK && !(sl_name_is_valid(voter) && sl_name_is_valid(id)))
		s = sl_fail(
			err, SL_INVALID, "body: \"voter\" and \"vote_id\" must be 1 to 63 letters, digits and . _ - @");
	if (s == SL_OK && expert && !json_is_boolean(expert))
		s = sl_fail(err, SL_INVALID, "body: \"expert\" must be true or false");
	*ret = (struct sl_vote){.expert = json_is_true(expert)};
	if (s == SL_OK)
		s = read_choice(c, body, &ret->choice, err);
	if (s != SL_OK)
		return s;
	memcpy(ret->voter, voter, strlen(voter) + 1);
	memcpy(ret->id, id, strlen(id) + 1);
	return SL_OK;
}

static void post_vote(struct sl_request *r, void *arg)
{
	struct sl_labeling *l = arg;
	struct sl_vote vote;
	struct sl_verdict verdict;
	struct sl_err err;
	const char *key = key_of(r);
	json_t *body = key ? sl_request_json(r) : NULL;
	if (!body)
		return;
	struct sl_classes *c = sl_labeling_classes(l);
	enum sl_status s = c ? read_vote(c, body, &vote, &err)
			     : sl_fail(&err, SL_BUSY, "no bundle is live yet, so there are no classes");
	if (s == SL_OK)
		s = sl_reviews_vote(l->ctx.stores.reviews, key, &vote, &verdict, &err);
	if (s == SL_OK) {
		sl_labeling_voted(l, key, &verdict);
		sl_answer_json(r, 200, sl_verdict_json(c, key, &verdict));
	} else {
		sl_metric_add(l->conflicts, s == SL_CONFLICT);
		sl_answer_fail(r, &err);
	}
	sl_classes_unref(c);
}

static void delete_vote(struct sl_request *r, void *arg)
{
	struct sl_labeling *l = arg;
	const char *key = key_of(r), *voter = sl_request_query(r, "voter");
	struct sl_verdict verdict;
	struct sl_err err;
	if (!key || !is_voter(r, voter))
		return;
	if (sl_reviews_undo(l->ctx.stores.reviews, key, voter, &verdict, &err) != SL_OK) {
		sl_answer_fail(r, &err);
		return;
	}
	sl_metric_add(l->undone, 1);
	sl_answer_json(r, 200, sl_verdict_json(NULL, key, &verdict));
}

/* With its votes and, once decided, its verdict. */
static enum sl_status whole_review(struct sl_labeling *l, const char *key, json_t **ret, struct sl_err *err)
{
	struct sl_review review;
	struct sl_vote vote[SL_VOTES_MAX];
	int n = 0;
	enum sl_status s = sl_reviews_get(l->ctx.stores.reviews, key, &review, vote, &n, err);
	if (s != SL_OK)
		return s;
	struct sl_classes *c = sl_labeling_classes(l);
	json_t *o = sl_review_json(c, &review);
	json_object_set_new(o, "votes", sl_votes_json(vote, n));
	json_object_set_new(o, "verdict",
		review.verdict.state == SL_REVIEW_DECIDED ? sl_verdict_json(c, key, &review.verdict) : json_null());
	sl_classes_unref(c);
	*ret = o;
	return SL_OK;
}

static void get_review(struct sl_request *r, void *arg)
{
	const char *key = key_of(r);
	json_t *o;
	struct sl_err err;
	if (!key)
		return;
	if (whole_review(arg, key, &o, &err) == SL_OK)
		sl_answer_json(r, 200, o);
	else
		sl_answer_fail(r, &err);
}

static void get_crop(struct sl_request *r, void *arg)
{
	struct sl_labeling *l = arg;
	const char *key = key_of(r);
	if (key)
		sl_answer_crop(r, l->ctx.stores.crops, key);
}

/* -1 for absent or "any"; false for a word that is no state. */
static bool read_state(const char *s, int *ret)
{
	*ret = -1;
	if (!s || !strcmp(s, "any"))
		return true;
	for (int i = SL_REVIEW_OPEN; i <= SL_REVIEW_DECIDED; i++)
		if (!strcmp(s, sl_review_state_name((enum sl_review_state)i)))
			*ret = i;
	return *ret >= 0;
}

static void get_reviews(struct sl_request *r, void *arg)
{
	struct sl_labeling *l = arg;
	const char *after = sl_request_query(r, "after");
	int state, want = PAGE_DEFAULT, n = 0;
	struct sl_err err;
	if (!read_state(sl_request_query(r, "state"), &state)) {
		answer_bad(r, "state must be open, tie, decided or any");
		return;
	}
	if (!read_number(r, "n", 1, SL_LABELING_PAGE, &want))
		return;
	SL_AUTOFREE char(*keys)[SL_KEY] = sl_calloc((size_t)want, SL_KEY);
	enum sl_status s = sl_reviews_scan(l->ctx.stores.reviews, state, after ? after : "", want, keys, &n, &err);
	json_t *list = json_array(), *one;
	for (int i = 0; i < n && s == SL_OK; i++) {
		s = whole_review(l, keys[i], &one, &err);
		if (s == SL_OK)
			json_array_append_new(list, one);
		else if (s == SL_NOT_FOUND)
			s = SL_OK; /* gone meanwhile */
	}
	if (s == SL_OK) {
		sl_answer_json(r, 200,
			json_pack("{s:o,s:o}", "reviews", list, "next",
				n == want ? json_string(keys[n - 1]) : json_null()));
	} else {
		json_decref(list);
		sl_answer_fail(r, &err);
	}
}

static void get_stats(struct sl_request *r, void *arg)
{
	struct sl_labeling *l = arg;
	struct sl_review_stats s;
	struct sl_err err;
	if (sl_reviews_stats(l->ctx.stores.reviews, &s, &err) == SL_OK)
		sl_answer_json(r, 200,
			json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "open", (json_int_t)s.open, "tie", (json_int_t)s.tie,
				"decided", (json_int_t)s.decided, "votes", (json_int_t)s.votes, "leases",
				(json_int_t)s.leases, "unsent", (json_int_t)s.unsent));
	else
		sl_answer_fail(r, &err);
}

static void get_voter(struct sl_request *r, void *arg)
{
	struct sl_labeling *l = arg;
	const char *voter = sl_request_param(r, "voter");
	int64_t votes, decided, agreed;
	struct sl_err err;
	if (!is_voter(r, voter))
		return;
	if (sl_reviews_voter(l->ctx.stores.reviews, voter, &votes, &decided, &agreed, &err) == SL_OK)
		sl_answer_json(r, 200,
			json_pack("{s:s,s:I,s:I,s:I}", "voter", voter, "votes", (json_int_t)votes, "decided",
				(json_int_t)decided, "agreed", (json_int_t)agreed));
	else
		sl_answer_fail(r, &err);
}

static void get_taxonomy(struct sl_request *r, void *arg)
{
	struct sl_classes *c = sl_labeling_classes(arg);
	if (c)
		sl_answer_copy(r, 200, "application/json", sl_buf_slice(&c->json));
	else
		sl_answer_error(r, 503, sl_status_name(SL_BUSY), "no bundle is live yet, so there are no classes");
	sl_classes_unref(c);
}

#define TEXT "{\"type\":\"string\"}"
#define NUMBER "{\"type\":\"number\"}"
#define WHOLE "{\"type\":\"integer\"}"
#define OBJECT(members) "{\"type\":\"object\",\"properties\":{" members "}}"
#define NAMED(title, members) "{\"title\":\"" title "\",\"type\":\"object\",\"properties\":{" members "}}"
#define LIST(items) "{\"type\":\"array\",\"items\":" items "}"
#define STATE "{\"enum\":[\"open\",\"tie\",\"decided\"]}"
#define CLASS NAMED("Class", "\"index\":" WHOLE ",\"code\":" TEXT ",\"name\":" TEXT ",\"name_ko\":" TEXT)
#define CLASS_OR_NULL "{\"type\":[\"object\",\"null\"],\"description\":\"Class or null\"}"
#define VERDICT_OR_NULL "{\"type\":[\"object\",\"null\"],\"description\":\"Verdict or null\"}"
#define VERDICT \
	NAMED("Verdict", \
		"\"key\":" TEXT ",\"state\":" STATE ",\"votes\":" WHOLE ",\"agree\":" WHOLE ",\"choice\":" TEXT \
		",\"class\":" CLASS_OR_NULL ",\"source\":{\"enum\":[\"votes\",\"expert\"]}")
#define REVIEW_MEMBERS \
	"\"key\":" TEXT ",\"state\":" STATE \
	",\"crop\":{\"type\":\"string\",\"description\":\"path of the picture\"},\"candidates\":" LIST( \
		OBJECT("\"class\":" CLASS ",\"confidence\":" NUMBER)) ",\"bundle\":" TEXT ",\"frame\":" TEXT \
								      ",\"device\":" TEXT ",\"time\":" WHOLE \
								      ",\"opened\":" WHOLE ",\"cap\":" WHOLE
#define LEASED NAMED("Leased", REVIEW_MEMBERS ",\"lease_until\":" WHOLE)
#define REVIEW \
	NAMED("Review", \
		REVIEW_MEMBERS ",\"votes\":" LIST( \
			OBJECT("\"voter\":" TEXT ",\"vote_id\":" TEXT ",\"choice\":" TEXT \
			       ",\"expert\":{\"type\":\"boolean\"},\"time\":" WHOLE)) ",\"verdict\":" VERDICT_OR_NULL)
#define STATS \
	OBJECT("\"open\":" WHOLE ",\"tie\":" WHOLE ",\"decided\":" WHOLE ",\"votes\":" WHOLE ",\"leases\":" WHOLE \
	       ",\"unsent\":" WHOLE)
#define LABELS \
	OBJECT("\"labels\":" LIST(NAMED("Label", \
		"\"v\":" WHOLE ",\"key\":" TEXT ",\"class\":" CLASS_OR_NULL ",\"choice\":" TEXT \
		",\"source\":{\"enum\":[\"model\",\"votes\",\"expert\",\"gold\"]},\"confidence\":" NUMBER \
		",\"bundle\":" TEXT ",\"votes\":" WHOLE ",\"time\":" WHOLE ",\"partition\":" WHOLE \
		",\"position\":" WHOLE)) ",\"next\":{\"type\":[\"integer\",\"string\"]}")
#define TAXONOMY \
	OBJECT("\"name\":" TEXT ",\"bundle\":" TEXT ",\"choices\":" LIST(TEXT) ",\"classes\":" LIST( \
		OBJECT("\"index\":" WHOLE ",\"code\":" TEXT ",\"name\":" TEXT ",\"name_ko\":" TEXT ",\"shape\":" TEXT \
		       ",\"pictogram\":" TEXT)))
#define VOTE \
	"{\"type\":\"object\",\"required\":[\"voter\",\"vote_id\",\"choice\"],\"properties\":{\"voter\":{\"type\":\"string\"}," \
	"\"vote_id\":{\"type\":\"string\",\"description\":\"made by the client; the same again gives the same answer\"}," \
	"\"choice\":{\"type\":[\"integer\",\"string\"],\"description\":\"class index, not_a_sign, unreadable or other\"}," \
	"\"expert\":{\"type\":\"boolean\",\"description\":\"decides at once\"}}}"

const struct sl_route sl_labeling_routes[] = {
	{.method = "GET",
		.path = "/v1/reviews/next",
		.run = SL_RUN_WORKER,
		.fn = get_next,
		.tag = "labeling",
		.summary =
			"Leases reviews to a voter for reviews.lease_ms; asking again gives her live leases first. An empty list: nothing "
			"to vote on now",
		.params =
			"voter!:string:who asks, 1 to 63 letters, digits and . _ - @\nn:integer:how many, 1 to 50; absent: 1",
		.response = OBJECT("\"reviews\":" LIST(LEASED))},
	{.method = "GET",
		.path = "/v1/reviews/stats",
		.run = SL_RUN_WORKER,
		.fn = get_stats,
		.tag = "labeling",
		.summary = "Counts of reviews by state, votes, live leases, and labels not yet sent",
		.response = STATS},
	{.method = "GET",
		.path = "/v1/reviews",
		.run = SL_RUN_WORKER,
		.fn = get_reviews,
		.tag = "labeling",
		.summary = "Reviews in the order of their keys, with their votes; next is null at the end",
		.params =
			"state:string:open, tie, decided or any; absent: any\nafter:string:\"next\" of the answer before\nn:integer:how many, 1 to 500; absent: 50",
		.response = OBJECT("\"reviews\":" LIST(REVIEW) ",\"next\":{\"type\":[\"string\",\"null\"]}")},
	{.method = "GET",
		.path = "/v1/reviews/{key}",
		.run = SL_RUN_WORKER,
		.fn = get_review,
		.tag = "labeling",
		.summary = "One review: state, votes, verdict (null until decided)",
		.response = REVIEW},
	{.method = "GET",
		.path = "/v1/reviews/{key}/crop",
		.run = SL_RUN_WORKER,
		.fn = get_crop,
		.tag = "labeling",
		.summary = "The crop; as GET /v1/crops/{key}, but of the role labeling",
		.response = "image/jpeg"},
	{.method = "POST",
		.path = "/v1/reviews/{key}/votes",
		.run = SL_RUN_WORKER,
		.body_max = "http.body_bytes",
		.fn = post_vote,
		.tag = "labeling",
		.summary =
			"Takes a vote; 409 says why it was not counted: decided meanwhile, no place left, voted already, or this vote_id "
			"was used for another choice",
		.request = VOTE,
		.response = VERDICT,
		.errors = "409"},
	{.method = "DELETE",
		.path = "/v1/reviews/{key}/votes",
		.run = SL_RUN_WORKER,
		.fn = delete_vote,
		.tag = "labeling",
		.summary = "Takes a voter's vote back, as long as the review is not decided",
		.params = "voter!:string:whose vote",
		.response = VERDICT,
		.errors = "409"},
	{.method = "GET",
		.path = "/v1/voters/{voter}",
		.run = SL_RUN_WORKER,
		.fn = get_voter,
		.tag = "labeling",
		.summary = "What a voter did: votes, of these on decided reviews, of these in agreement",
		.response = OBJECT("\"voter\":" TEXT ",\"votes\":" WHOLE ",\"decided\":" WHOLE ",\"agreed\":" WHOLE)},
	{.method = "GET",
		.path = "/v1/labels",
		.run = SL_RUN_WORKER,
		.fn = sl_labeling_get_labels,
		.tag = "labeling",
		.summary = "Final labels in the order they were made; an empty list: no newer one yet",
		.params =
			"after:string:\"next\" of the answer before; absent or -1: from the first\nn:integer:how many, 1 to 500; absent: 100",
		.response = LABELS},
	{.method = "GET",
		.path = "/v1/taxonomy",
		.run = SL_RUN_WORKER,
		.fn = get_taxonomy,
		.tag = "labeling",
		.summary = "The sign classes of the live bundle, with names and pictograms",
		.response = TAXONOMY},
	{0}};
