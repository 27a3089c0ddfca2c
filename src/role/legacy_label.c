/* SPDX-License-Identifier: Apache-2.0
 *
 * The routes of the original's labelers: a page with one crop and a form, and votes as JSON.
 * Who votes: the field `voter`, else the cookie of the first visit. Votes have a fixed id, so
 * the same form sent twice is one vote.
 */
#include "base/digest.h"
#include "base/mem.h"
#include "base/metric.h"
#include "role/labeling.h"
#include <stdio.h>

#define VOTER_COOKIE "signloop_voter"
#define IMAGE_COOKIE "signloop_image"
#define VOTE_ID "labeling-form"

enum { COOKIE_S = 365 * 24 * 3600 };

/* ---- cookies ---- */

static bool read_cookie(struct sl_request *r, const char *name, char *to, size_t size)
{
	const char *s = sl_request_header(r, "Cookie");
	size_t len = strlen(name);
	while (s && *s) {
		s += strspn(s, "; ");
		size_t n = strcspn(s, ";");
		if (n > len && s[len] == '=' && !memcmp(s, name, len) && n - len - 1 < size) {
			snprintf(to, size, "%.*s", (int)(n - len - 1), s + len + 1);
			return true;
		}
		s += n;
	}
	return false;
}

static void set_cookie(struct sl_request *r, const char *name, const char *value, int seconds)
{
	SL_AUTOFREE char *text = sl_asprintf("%s=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax", name, value, seconds);
	sl_answer_header(r, "Set-Cookie", text);
}

/* given: a name from the request, or NULL. false when it is no name: answered. */
static bool find_voter(struct sl_request *r, const char *given, char voter[SL_VOTER])
{
	char id[33];
	if (given && *given) {
		if (!sl_name_is_valid(given)) {
			sl_answer_error(r, 400, sl_status_name(SL_INVALID),
				"voter must be a name of 1 to 63 letters, digits and . _ - @");
			return false;
		}
		memcpy(voter, given, strlen(given) + 1);
		return true;
	}
	if (read_cookie(r, VOTER_COOKIE, voter, SL_VOTER) && sl_name_is_valid(voter))
		return true;
	sl_random_id(id);
	snprintf(voter, SL_VOTER, "visitor-%.12s", id);
	set_cookie(r, VOTER_COOKIE, voter, COOKIE_S);
	return true;
}

/* ---- the page ---- */

static void add_escaped(struct sl_buf *b, const char *s)
{
	for (; *s; s++)
		switch (*s) {
		case '&':
			sl_buf_puts(b, "&amp;");
			break;
		case '<':
			sl_buf_puts(b, "&lt;");
			break;
		case '>':
			sl_buf_puts(b, "&gt;");
			break;
		case '"':
			sl_buf_puts(b, "&quot;");
			break;
		default:
			sl_buf_add(b, s, 1);
		}
}

static void add_radio(struct sl_buf *b, const char *value, const char *ko, const char *en)
{
	sl_buf_puts(b, "<label><input type=\"radio\" name=\"label_radio\" required value=\"");
	add_escaped(b, value);
	sl_buf_puts(b, "\"> ");
	add_escaped(b, ko);
	sl_buf_puts(b, " <small>");
	add_escaped(b, en);
	sl_buf_puts(b, "</small></label>\n");
}

static void add_class(struct sl_buf *b, const struct sl_classes *c, int cls)
{
	char value[12];
	snprintf(value, sizeof(value), "%d", cls);
	add_radio(b, value, c->taxonomy->cls[cls].ko, c->taxonomy->cls[cls].en);
}

static bool is_candidate(const struct sl_review *v, int cls)
{
	for (int i = 0; i < v->ncandidate; i++)
		if (v->candidate[i].cls == cls)
			return true;
	return false;
}

static void add_form(struct sl_buf *b, const struct sl_classes *c, const struct sl_review *v, struct sl_slice jpeg)
{
	sl_buf_puts(b, "<img alt=\"표지판 / sign\" width=\"256\" height=\"256\" src=\"data:image/jpeg;base64,");
	sl_base64_encode(jpeg, b);
	sl_buf_puts(b,
		"\">\n<form method=\"post\" action=\"/labeling/image\">\n<input type=\"hidden\" name=\"image_id\" value=\"");
	add_escaped(b, v->key);
	sl_buf_puts(b, "\">\n<fieldset><legend>후보 / candidates</legend>\n");
	for (int i = 0; i < v->ncandidate; i++)
		if (v->candidate[i].cls < c->taxonomy->n)
			add_class(b, c, v->candidate[i].cls);
	add_radio(b, "not_a_sign", "표지판 아님", "not a sign");
	add_radio(b, "unreadable", "알아볼 수 없음", "unreadable");
	add_radio(b, "other", "다른 표지판", "another sign");
	sl_buf_puts(b, "</fieldset>\n<fieldset><legend>모든 종류 / all classes</legend>\n");
	for (int i = 0; i < c->taxonomy->n; i++)
		if (!is_candidate(v, i))
			add_class(b, c, i);
	sl_buf_puts(b, "</fieldset>\n<button>보내기 / send</button>\n</form>\n");
}

static void add_head(struct sl_buf *b)
{
	sl_buf_puts(b,
		"<!doctype html>\n<html lang=\"ko\"><head><meta charset=\"utf-8\"><title>signloop labeling</title>\n"
		"<meta name=\"viewport\" content=\"width=device-width\">\n<style>body{font:16px system-ui;max-width:60rem;margin:1rem auto;"
		"padding:0 1rem}img{image-rendering:pixelated}fieldset{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));"
		"margin:1rem 0}small{color:#666}button{font:inherit;padding:.5rem 2rem}</style></head><body>\n<h1>표지판 라벨링</h1>\n");
}

/* The review that is asked for, or the voter's next. NOT_FOUND: there is none. */
static enum sl_status find_review(
	struct sl_labeling *l, const char *key, const char *voter, struct sl_review *ret, struct sl_err *err)
{
	struct sl_vote vote[SL_VOTES_MAX];
	int n = 1;
	if (key && !sl_key_is_valid(key))
		return sl_fail(err, SL_INVALID, "image_id is no crop key");
	if (key)
		return sl_reviews_get(l->ctx.stores.reviews, key, ret, vote, &n, err);
	enum sl_status s = sl_reviews_lease(l->ctx.stores.reviews, voter, 1, ret, &n, err);
	return s == SL_OK && !n ? sl_fail(err, SL_NOT_FOUND, "nothing to label now") : s;
}

static void get_image(struct sl_request *r, void *arg)
{
	struct sl_labeling *l = arg;
	const char *key = sl_request_query(r, "image_id");
	char voter[SL_VOTER];
	struct sl_review review;
	struct sl_crop crop = {0};
	struct sl_err err;
	if (!find_voter(r, sl_request_query(r, "voter"), voter))
		return;
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	struct sl_classes *c = sl_labeling_classes(l);
	add_head(&b);
	enum sl_status s =
		c ? find_review(l, key, voter, &review, &err) : sl_fail(&err, SL_BUSY, "no bundle is live yet");
	bool none = s == SL_NOT_FOUND && !key;
	if (s == SL_OK)
		s = sl_crops_get(l->ctx.stores.crops, review.key, &crop, &err);
	if (s == SL_OK) {
		add_form(&b, c, &review, sl_buf_slice(&crop.jpeg));
		set_cookie(r, IMAGE_COOKIE, review.key, COOKIE_S);
	} else if (none) {
		sl_buf_puts(&b, "<p>지금은 라벨링할 이미지가 없습니다. / Nothing to label now.</p>\n");
	}
	sl_buf_puts(&b, "</body></html>\n");
	sl_answer_header(r, "Cache-Control", "no-store");
	if (s == SL_OK || none)
		sl_answer_copy(r, 200, "text/html; charset=utf-8", sl_buf_slice(&b));
	else
		sl_answer_fail(r, &err);
	sl_crop_done(&crop);
	sl_classes_unref(c);
}

/* ---- votes ---- */

/* label: index, code, name or word. Answers when it fails. */
static bool take_vote(struct sl_request *r, struct sl_labeling *l, const char *key, const char *voter,
	const char *label, struct sl_verdict *ret)
{
	struct sl_vote vote = {.id = VOTE_ID};
	struct sl_err err;
	enum sl_status s = SL_OK;
	struct sl_classes *c = sl_labeling_classes(l);
	memcpy(vote.voter, voter, strlen(voter) + 1);
	if (!c)
		s = sl_fail(&err, SL_BUSY, "no bundle is live yet, so there are no classes");
	else if (!key || !sl_key_is_valid(key))
		s = sl_fail(&err, SL_INVALID, "image_id is missing or no crop key");
	else if (!label || !sl_classes_find(c, label, &vote.choice))
		s = sl_fail(&err, SL_INVALID, "the label is missing or names no class: give its index, code or name");
	else
		s = sl_reviews_vote(l->ctx.stores.reviews, key, &vote, ret, &err);
	sl_classes_unref(c);
	if (s == SL_OK) {
		sl_labeling_voted(l, key, ret);
		return true;
	}
	sl_metric_add(l->conflicts, s == SL_CONFLICT);
	sl_answer_fail(r, &err);
	return false;
}

/* A form's field as a text; free() it; NULL when absent. */
static char *field(const struct sl_part *p, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(p[i].name, name) && !(p[i].body.len && memchr(p[i].body.ptr, 0, p[i].body.len)))
			return sl_strndup((const char *)p[i].body.ptr, p[i].body.len);
	return NULL;
}

static void post_image(struct sl_request *r, void *arg)
{
	const struct sl_part *p;
	struct sl_verdict verdict;
	struct sl_err err;
	char voter[SL_VOTER], shown[SL_KEY] = "";
	int n;
	if (sl_request_form(r, &p, &n, &err) != SL_OK) {
		sl_answer_fail(r, &err);
		return;
	}
	SL_AUTOFREE char *label = field(p, n, "label_radio"), *key = field(p, n, "image_id"),
			 *who = field(p, n, "voter");
	if (!find_voter(r, who ? who : sl_request_query(r, "voter"), voter))
		return;
	if (!key && read_cookie(r, IMAGE_COOKIE, shown, sizeof(shown)))
		key = sl_strdup(shown);
	if (!take_vote(r, arg, key, voter, label, &verdict))
		return;
	SL_AUTOFREE char *next =
		who && *who ? sl_asprintf("/labeling/image?voter=%s", voter) : sl_strdup("/labeling/image");
	sl_answer_header(r, "Location", next); /* the next crop at once; reloading it votes no second time */
	sl_answer_copy(r, 303, "text/plain", sl_slice_str("voted\n"));
}

static void post_test(struct sl_request *r, void *arg)
{
	struct sl_verdict verdict;
	struct sl_err err;
	char voter[SL_VOTER], index[24];
	const char *key = NULL, *label = NULL, *who = NULL;
	json_t *body = sl_request_json(r);
	if (!body)
		return;
	json_t *v = json_object_get(body, "selected_label");
	if (json_is_integer(v)) {
		snprintf(index, sizeof(index), "%lld", (long long)json_integer_value(v));
		label = index;
	} else {
		label = json_string_value(v);
	}
	enum sl_status s = sl_json_str(body, "body", "image_id", &key, &err);
	if (s == SL_OK)
		s = sl_json_opt_str(body, "body", "voter", &who, &err);
	if (s != SL_OK) {
		sl_answer_fail(r, &err);
		return;
	}
	if (find_voter(r, who, voter) && take_vote(r, arg, key, voter, label, &verdict))
		sl_answer_json(r, 200,
			json_pack("{s:s,s:s,s:s,s:i}", "result", "GOOD", "image_id", key, "state",
				sl_review_state_name(verdict.state), "votes", verdict.votes));
}

const struct sl_route sl_labeling_legacy_routes[] = {
	{.method = "GET",
		.path = "/labeling/image",
		.run = SL_RUN_WORKER,
		.fn = get_image,
		.tag = "original",
		.summary = "A page with one crop and a form",
		.params = "image_id:string:a crop key; absent: the voter's next\n"
			  "voter:string:who votes; absent: the cookie's",
		.response = "text/html",
		.errors = "404"},
	{.method = "POST",
		.path = "/labeling/image",
		.run = SL_RUN_WORKER,
		.body_max = "http.body_bytes",
		.fn = post_image,
		.tag = "original",
		.summary = "Takes the form: label_radio, image_id, voter; 303 to the next crop",
		.request = "application/x-www-form-urlencoded, multipart/form-data",
		.ok = 303,
		.errors = "404 409 415"},
	{.method = "POST",
		.path = "/labeling/test",
		.run = SL_RUN_WORKER,
		.body_max = "http.body_bytes",
		.fn = post_test,
		.tag = "original",
		.summary = "Takes a vote; selected_label is a class's index, code or name, or not_a_sign and so on",
		.request =
			"{\"type\":\"object\",\"required\":[\"image_id\",\"selected_label\"],\"properties\":{\"image_id\":{\"type\":"
			"\"string\"},\"selected_label\":{\"type\":[\"string\",\"integer\"]},\"voter\":{\"type\":\"string\"}}}",
		.response =
			"{\"type\":\"object\",\"properties\":{\"result\":{\"type\":\"string\"},\"image_id\":{\"type\":\"string\"},"
			"\"state\":{\"enum\":[\"open\",\"tie\",\"decided\"]},\"votes\":{\"type\":\"integer\"}}}",
		.errors = "404 409"},
	{0}};
