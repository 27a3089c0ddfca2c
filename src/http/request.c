/* SPDX-License-Identifier: Apache-2.0 */
#include "http/internal.h"

const char *sl_request_method(const struct sl_request *r)
{
	return r->method;
}

const char *sl_request_path(const struct sl_request *r)
{
	return r->target.path;
}

const char *sl_request_param(const struct sl_request *r, const char *name)
{
	for (int i = 0; i < r->match.nparam; i++)
		if (!strcmp(r->match.param[i].name, name))
			return r->match.param[i].value;
	SL_BUG("route %s has no parameter {%s}", r->endpoint->route->path, name);
}

/* A pair with a bad escape is left out: the handler finds its parameter absent. */
static void parse_query(struct sl_request *r)
{
	r->nquery = 0;
	if (!r->target.query)
		return;
	char *save, *copy = r->target.query;
	for (char *pair = strtok_r(copy, "&", &save); pair; pair = strtok_r(NULL, "&", &save)) {
		char *eq = strchr(pair, '=');
		char *value = eq ? eq + 1 : pair + strlen(pair);
		if (eq)
			*eq = 0;
		if (!sl_router_unescape(pair, true) || !sl_router_unescape(value, true))
			continue;
		r->query = sl_realloc(r->query, (size_t)r->nquery + 1, sizeof(*r->query));
		r->query[r->nquery++] = (struct sl_header){pair, value};
	}
}

const char *sl_request_query(struct sl_request *r, const char *name)
{
	if (r->nquery < 0)
		parse_query(r);
	for (int i = 0; i < r->nquery; i++)
		if (!strcmp(r->query[i].name, name))
			return r->query[i].value;
	return NULL;
}

const char *sl_request_header(struct sl_request *r, const char *name)
{
	for (int i = 0; i < r->nheader; i++)
		if (!strcasecmp(r->header[i].name, name))
			return r->header[i].value;
	return NULL;
}

struct sl_slice sl_request_body(const struct sl_request *r)
{
	return sl_buf_slice(&r->body);
}

int64_t sl_request_deadline(const struct sl_request *r)
{
	return r->deadline_us;
}

/* No Content-Type is taken for JSON; a type that says something else is not. */
static bool says_json(const char *type)
{
	if (!type)
		return true;
	size_t n = strcspn(type, "; \t");
	return (n == 16 && !strncasecmp(type, "application/json", n)) ||
	       (n == 9 && !strncasecmp(type, "text/json", n)) || (n > 5 && !strncasecmp(type + n - 5, "+json", 5));
}

json_t *sl_request_json(struct sl_request *r)
{
	struct sl_err err;
	if (r->json)
		return r->json;
	if (!says_json(sl_request_header(r, "Content-Type"))) {
		sl_answer_error(r, 415, sl_status_name(SL_UNSUPPORTED),
			"the body must be JSON: Content-Type: application/json");
		return NULL;
	}
	json_t *v = NULL;
	enum sl_status s = sl_json_parse(sl_buf_slice(&r->body), "body", &v, &err);
	if (s == SL_OK && !json_is_object(v))
		s = sl_fail(&err, SL_INVALID, "body: a JSON object is wanted");
	if (s != SL_OK) {
		json_decref(v);
		sl_answer_fail(r, &err);
		return NULL;
	}
	r->json = v;
	return v;
}

enum sl_status sl_request_form(struct sl_request *r, const struct sl_part **ret, int *ret_n, struct sl_err *err)
{
	if (!r->form) {
		enum sl_status s =
			sl_form_parse(sl_request_header(r, "Content-Type"), sl_buf_slice(&r->body), &r->form, err);
		if (s != SL_OK)
			return s;
	}
	*ret = r->form->part;
	*ret_n = r->form->n;
	return SL_OK;
}
