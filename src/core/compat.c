/* SPDX-License-Identifier: Apache-2.0 */
#include "core/compat.h"
#include "base/mem.h"
#include <stdio.h>

/* What the original would call the class: of its object, or of the candidate where its code stands beside. */
static json_t *name_of(json_t *cls, json_t *beside, int index)
{
	static const char *const member[] = {"name_ko", "code"};
	json_t *in = json_is_object(cls) ? cls : beside;
	char text[12];
	for (size_t i = 0; i < SL_COUNT(member); i++) {
		json_t *v = json_object_get(in, member[i]);
		if (json_is_string(v) && json_string_length(v))
			return json_incref(v);
	}
	snprintf(text, sizeof(text), "%d", index);
	return json_string(text);
}

static enum sl_status good(json_t *body, const char *url, json_t **ret, struct sl_err *err)
{
	struct sl_label l;
	enum sl_status s = sl_label_parse(body, "label", &l, err);
	if (s == SL_OK && l.cls >= 0)
		*ret = json_pack("{s:s,s:o}", "image_rowkey", l.key, "label",
			name_of(json_object_get(body, "class"), NULL, l.cls));
	return s;
}

static enum sl_status bad(json_t *body, const char *url, json_t **ret, struct sl_err *err)
{
	struct sl_review r;
	enum sl_status s = sl_review_parse(body, 0, &r, err);
	if (s != SL_OK)
		return s;
	json_t *labels = json_array();
	for (int i = 0; i < r.ncandidate; i++) {
		json_t *c = json_array_get(json_object_get(body, "candidates"), (size_t)i);
		json_t *name = name_of(json_object_get(c, "class"), c, r.candidate[i].cls);
		json_array_append_new(
			labels, json_pack("{s:o,s:O}", "label", name, "accuracy", json_object_get(c, "confidence")));
	}
	*ret = json_pack("{s:s,s:o}", "image_rowkey", r.key, "labels", labels);
	return SL_OK;
}

static void fill_url(struct sl_buf *to, const char *url, const char *digest, const char *path)
{
	const struct {
		const char *mark, *value;
	} part[] = {{"{digest}", digest}, {"{path}", path}};
	while (*url) {
		size_t i = 0;
		while (i < SL_COUNT(part) && strncmp(url, part[i].mark, strlen(part[i].mark)) != 0)
			i++;
		if (i < SL_COUNT(part)) {
			sl_buf_puts(to, part[i].value);
			url += strlen(part[i].mark);
		} else {
			sl_buf_add(to, url++, 1);
		}
	}
}

static enum sl_status parameter(json_t *body, const char *url, json_t **ret, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf full = {0};
	const char *alias = NULL, *digest = NULL, *path = NULL;
	enum sl_status s = sl_json_str(body, "message", "alias", &alias, err);
	if (s == SL_OK)
		s = sl_json_str(body, "message", "digest", &digest, err);
	if (s == SL_OK)
		s = sl_json_str(body, "message", "path", &path, err);
	if (s != SL_OK || strcmp(alias, "live") != 0)
		return s;
	fill_url(&full, url, digest, path);
	*ret = json_pack("{s:s}", "url", (char *)full.ptr);
	return SL_OK;
}

enum sl_status sl_compat_message(
	const char *topic, json_t *body, const char *url, const char **ret_topic, json_t **ret, struct sl_err *err)
{
	static const struct {
		const char *from, *to;
		enum sl_status (*make)(json_t *body, const char *url, json_t **ret, struct sl_err *err);
	} row[] = {{SL_TOPIC_LABELS, SL_TOPIC_GOOD, good}, {SL_TOPIC_REVIEWS, SL_TOPIC_BAD, bad},
		{SL_TOPIC_MODELS, SL_TOPIC_PARAMETER, parameter}};
	*ret = NULL;
	for (size_t i = 0; i < SL_COUNT(row); i++)
		if (!strcmp(topic, row[i].from)) {
			*ret_topic = row[i].to;
			return row[i].make(body, url, ret, err);
		}
	return SL_OK;
}

enum sl_status sl_compat_check_url(const char *url, struct sl_err *err)
{
	bool is_http = !strncmp(url, "http://", 7) || !strncmp(url, "https://", 8);
	if (!is_http || (!strstr(url, "{digest}") && !strstr(url, "{path}")))
		return sl_fail(err, SL_USAGE,
			"log.compat_url '%s': it must be http:// or https:// and name the bundle by {digest} or {path}",
			url);
	return SL_OK;
}
