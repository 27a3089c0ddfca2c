/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenAPI 3.1 from the route tables.
 */
#include "http/internal.h"
#include <stdio.h>

static json_t *text_schema(const struct sl_route *r, const char *text)
{
	struct sl_err err;
	json_t *v;
	if (sl_json_parse(sl_slice_str(text), "schema", &v, &err) != SL_OK)
		SL_BUG("route %s %s: %s", r->method, r->path, err.text);
	return v;
}

/* text: a JSON Schema, or media types with commas between, where the last may be followed by a schema. */
static json_t *content(const struct sl_route *r, const char *text)
{
	json_t *c = json_object();
	if (*text == '{') {
		json_object_set_new(c, "application/json", json_pack("{s:o}", "schema", text_schema(r, text)));
		return c;
	}
	for (const char *s = text; *s;) {
		s += strspn(s, ", ");
		size_t n = strcspn(s, ", ");
		const char *next = s + n + strspn(s + n, " ");
		bool has_schema = *next == '{';
		json_object_setn_new(
			c, s, n, has_schema ? json_pack("{s:o}", "schema", text_schema(r, next)) : json_object());
		s = has_schema ? "" : next;
	}
	return c;
}

/* "{name}" and "{name...}" of the path; the latter is a plain parameter in OpenAPI. */
static char *add_path_params(const struct sl_route *r, json_t *params)
{
	char *path = sl_alloc(strlen(r->path) + 1), *to = path;
	for (const char *s = r->path; *s; s++) {
		if (*s == '{') {
			size_t n = strcspn(s + 1, ".}");
			json_array_append_new(params, json_pack("{s:s%,s:s,s:b,s:{s:s}}", "name", s + 1, n, "in",
							      "path", "required", 1, "schema", "type", "string"));
		}
		if (!strncmp(s, "...", 3))
			s += 3;
		*to++ = *s;
	}
	*to = 0;
	return path;
}

static void add_query_params(const struct sl_route *r, json_t *params)
{
	for (const char *s = r->params; s && *s;) {
		size_t line = strcspn(s, "\n"), name = strcspn(s, ":");
		if (name >= line)
			SL_BUG("route %s: query parameter without a type", r->path);
		size_t type = strcspn(s + name + 1, ":\n");
		const char *text = s + name + 1 + type + (s[name + 1 + type] == ':');
		bool required = name && s[name - 1] == '!';
		json_array_append_new(params, json_pack("{s:s%,s:s,s:b,s:s%,s:{s:s%}}", "name", s, name - required,
						      "in", "query", "required", (int)required, "description", text,
						      (size_t)(s + line - text), "schema", "type", s + name + 1, type));
		s += line + (s[line] == '\n');
	}
}

static const struct {
	const char *code, *text;
} errors[] = {
	{"400", "malformed: the message names the member and what it must be"},
	{"404", "there is no such thing"},
	{"409", "the rules say no: the message says why"},
	{"413", "larger than is taken here"},
	{"415", "another type of body is wanted"},
	{"422", "the right type, but it cannot be read"},
	{"503", "no capacity, a store is away or full, or ending: try again after Retry-After"},
	{"504", "the deadline passed"},
	{"default", "500: the server's own mistake, or damaged bytes"},
};

static bool has_error(const struct sl_route *r, const char *code)
{
	bool json = r->request && strchr(r->request, '{');
	switch (code[0] == 'd' ? 0 : atoi(code)) {
	case 0:
		return true;
	case 400:
		return r->params || r->request || strchr(r->path, '{');
	case 404:
		return strchr(r->path, '{') || (r->errors && strstr(r->errors, code));
	case 413:
		return r->body_max;
	case 415:
		return json || (r->errors && strstr(r->errors, code));
	case 503:
	case 504:
		return r->run != SL_RUN_NOW || (r->errors && strstr(r->errors, code));
	default:
		return r->errors && strstr(r->errors, code);
	}
}

static json_t *responses(const struct sl_route *r)
{
	char code[12];
	json_t *all = json_object(), *ok = json_pack("{s:s}", "description", "Done");
	if (r->response)
		json_object_set_new(ok, "content", content(r, r->response));
	snprintf(code, sizeof(code), "%d", r->ok ? r->ok : 200);
	json_object_set_new(all, code, ok);
	if (r->accepted)
		json_object_set_new(all, "202",
			json_pack("{s:s,s:o}", "description", "Taken; done later", "content", content(r, r->accepted)));
	for (size_t i = 0; i < SL_COUNT(errors); i++)
		if (has_error(r, errors[i].code)) {
			SL_AUTOFREE char *ref = sl_asprintf("#/components/responses/%s", errors[i].code);
			json_object_set_new(all, errors[i].code, json_pack("{s:s}", "$ref", ref));
		}
	return all;
}

static json_t *operation(const struct sl_route *r, json_t *params)
{
	json_t *op = json_pack("{s:s,s:[s],s:O}", "summary", r->summary ? r->summary : "", "tags",
		r->tag ? r->tag : "other", "parameters", params);
	if (r->request)
		json_object_set_new(op, "requestBody", json_pack("{s:o}", "content", content(r, r->request)));
	json_object_set_new(op, "responses", responses(r));
	return op;
}

static void add_endpoint(const struct sl_route *r, json_t *paths)
{
	SL_AUTOJSON json_t *params = json_array();
	SL_AUTOFREE char *path = add_path_params(r, params);
	add_query_params(r, params);
	json_t *item = json_object_get(paths, path);
	if (!item) {
		item = json_object();
		json_object_set_new(paths, path, item);
	}
	for (const char *s = r->method; *s;) {
		char method[16];
		size_t n = strcspn(s, "|");
		for (size_t i = 0; i < n && i < sizeof(method); i++)
			method[i] = (char)(s[i] | 0x20);
		json_object_setn_new(item, method, n, operation(r, params));
		s += n + (s[n] == '|');
	}
}

static json_t *error_responses(void)
{
	json_t *all = json_object();
	for (size_t i = 0; i < SL_COUNT(errors); i++)
		json_object_set_new(all, errors[i].code,
			json_pack("{s:s,s:{s:{s:{s:s}}}}", "description", errors[i].text, "content", "application/json",
				"schema", "$ref", "#/components/schemas/Error"));
	return all;
}

json_t *sl_server_openapi(const struct sl_server *s)
{
	json_t *paths = json_object();
	for (const struct sl_endpoint *e = s->endpoints; e; e = e->next)
		add_endpoint(e->route, paths);
	json_t *doc = json_pack("{s:s,s:{s:s,s:s,s:s,s:s},s:o,s:{s:o,s:{s:o}}}", "openapi", "3.1.0", "info", "title",
		"signloop", "version", SL_VERSION, "summary", "Road frames in, better traffic-sign models out",
		"description",
		"Times are ms since 1970 (UTC). A request may carry X-Deadline-Ms: later than that it gets 504 instead of an answer.",
		"paths", paths, "components", "responses", error_responses(), "schemas", "Error",
		text_schema(&(struct sl_route){.method = "", .path = "error"},
			"{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"object\","
			"\"required\":[\"code\",\"message\"],\"properties\":{\"code\":{\"type\":\"string\"},"
			"\"message\":{\"type\":\"string\"}}}}}"));
	SL_ASSERT(doc);
	return doc;
}
