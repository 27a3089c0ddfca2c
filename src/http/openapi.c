/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenAPI 3.1 from the route tables.
 */
#include "http/internal.h"

static json_t *text_schema(const struct sl_route *r, const char *text)
{
	struct sl_err err;
	json_t *v;
	if (sl_json_parse(sl_slice_str(text), "schema", &v, &err) != SL_OK)
		SL_BUG("route %s %s: %s", r->method, r->path, err.text);
	return v;
}

/* text: a JSON Schema, or media types with commas between. */
static json_t *content(const struct sl_route *r, const char *text)
{
	json_t *c = json_object();
	if (*text == '{') {
		json_object_set_new(c, "application/json", json_pack("{s:o}", "schema", text_schema(r, text)));
		return c;
	}
	for (const char *s = text; *s;) {
		s += strspn(s, ", ");
		size_t n = strcspn(s, ",");
		json_object_setn_new(c, s, n, json_object());
		s += n;
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
			json_array_append_new(params, json_pack("{s:s%,s:s,s:b,s:{s:s}}", "name", s + 1, n, "in", "path", "required", 1,
				"schema", "type", "string"));
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
		json_array_append_new(params, json_pack("{s:s%,s:s,s:s%,s:{s:s%}}", "name", s, name, "in", "query", "description",
			text, (size_t)(s + line - text), "schema", "type", s + name + 1, type));
		s += line + (s[line] == '\n');
	}
}

static json_t *operation(const struct sl_route *r, json_t *params)
{
	json_t *op = json_pack("{s:s,s:[s],s:O}", "summary", r->summary ? r->summary : "", "tags", r->tag ? r->tag : "other",
		"parameters", params);
	if (r->request)
		json_object_set_new(op, "requestBody", json_pack("{s:o}", "content", content(r, r->request)));
	json_t *ok = json_pack("{s:s}", "description", "Done");
	if (r->response)
		json_object_set_new(ok, "content", content(r, r->response));
	json_object_set_new(op, "responses", json_pack("{s:o,s:{s:s}}", "200", ok, "default", "$ref",
		"#/components/responses/Error"));
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

json_t *sl_server_openapi(const struct sl_server *s)
{
	json_t *paths = json_object();
	for (const struct sl_endpoint *e = s->endpoints; e; e = e->next)
		add_endpoint(e->route, paths);
	json_t *error = text_schema(&(struct sl_route){.method = "", .path = "error"},
		"{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{\"error\":{\"type\":\"object\","
		"\"required\":[\"code\",\"message\"],\"properties\":{\"code\":{\"type\":\"string\"},"
		"\"message\":{\"type\":\"string\"}}}}}");
	json_t *doc = json_pack("{s:s,s:{s:s,s:s,s:s},s:o,s:{s:{s:{s:s,s:{s:{s:o}}}}}}", "openapi", "3.1.0", "info", "title",
		"signloop", "version", SL_VERSION, "summary", "Road frames in, better traffic-sign models out", "paths", paths,
		"components", "responses", "Error", "description",
		"400 malformed, 404, 409 conflict, 413 too large, 415 wrong type, 422 cannot be read, 503 try again "
		"(Retry-After), 504 deadline passed",
		"content", "application/json", "schema", error);
	SL_ASSERT(doc);
	return doc;
}
