/* SPDX-License-Identifier: Apache-2.0 */
#include "core/taxonomy.h"
#include "base/mem.h"
#include <stdio.h>
#include <string.h>

enum { FORMAT = 1 };

static const char *const shapes[] = {"circle", "triangle", "inverted", "diamond", "octagon", "square"};

static bool is_code(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n < SL_CODE && s[0] != '.' &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") == n;
}

static bool is_shape(const char *s)
{
	for (size_t i = 0; i < SL_COUNT(shapes); i++)
		if (strcmp(s, shapes[i]) == 0)
			return true;
	return false;
}

static enum sl_status take_name(json_t *o, const char *where, const char *member, char ret[SL_NAME], struct sl_err *err)
{
	const char *s = NULL;
	enum sl_status st = sl_json_str(o, where, member, &s, err);

	if (st != SL_OK)
		return st;
	if (!*s || strlen(s) >= SL_NAME)
		return sl_fail(err, SL_INVALID, "%s: \"%s\" must have 1 to %d bytes", where, member, SL_NAME - 1);
	memcpy(ret, s, strlen(s) + 1);
	return SL_OK;
}

static enum sl_status read_class(json_t *o, int at, struct sl_class *ret, struct sl_err *err)
{
	char where[40];
	const char *code = NULL, *shape = NULL;
	int64_t index = -1;
	enum sl_status s;

	snprintf(where, sizeof where, "taxonomy, classes[%d]", at);
	if (!json_is_object(o))
		return sl_fail(err, SL_INVALID, "%s: not an object", where);
	if ((s = sl_json_int(o, where, "index", &index, err)) || (s = sl_json_str(o, where, "code", &code, err)) ||
		(s = take_name(o, where, "en", ret->en, err)) || (s = take_name(o, where, "ko", ret->ko, err)) ||
		(s = sl_json_str(o, where, "shape", &shape, err)))
		return s;
	if (index != at)
		return sl_fail(
			err, SL_INVALID, "%s: index is %lld; indexes run from 0 without gaps", where, (long long)index);
	if (!is_code(code))
		return sl_fail(err, SL_INVALID, "%s: code \"%.40s\" must be 1 to %d letters, digits, \".-_\"", where,
			code, SL_CODE - 1);
	if (!is_shape(shape))
		return sl_fail(err, SL_INVALID,
			"%s: shape \"%.20s\" is not one of circle, triangle, inverted, diamond, "
			"octagon, square",
			where, shape);
	snprintf(ret->code, sizeof ret->code, "%s", code);
	snprintf(ret->shape, sizeof ret->shape, "%s", shape);
	return SL_OK;
}

static enum sl_status read_classes(json_t *list, struct sl_taxonomy *t, struct sl_err *err)
{
	size_t n = json_array_size(list);

	if (n < 1 || n > SL_CLASSES_MAX)
		return sl_fail(
			err, SL_INVALID, "taxonomy: \"classes\" must be a list of 1 to %d classes", SL_CLASSES_MAX);
	t->cls = SL_NEW_N(struct sl_class, n);
	for (; t->n < (int)n; t->n++) {
		struct sl_class *c = &t->cls[t->n];
		enum sl_status s = read_class(json_array_get(list, t->n), t->n, c, err);

		if (s != SL_OK)
			return s;
		for (int i = 0; i < t->n; i++)
			if (strcmp(t->cls[i].code, c->code) == 0)
				return sl_fail(err, SL_INVALID, "taxonomy: classes %d and %d have the same code \"%s\"",
					i, t->n, c->code);
	}
	return SL_OK;
}

SL_DEFINE_FREEP(sl_taxonomy)

enum sl_status sl_taxonomy_parse(struct sl_slice json, struct sl_taxonomy **ret, struct sl_err *err)
{
	SL_AUTOJSON json_t *o = NULL;
	SL_AUTO(sl_taxonomy_freep) struct sl_taxonomy *t = SL_NEW(struct sl_taxonomy);
	const char *name = NULL;
	enum sl_status s;

	if ((s = sl_json_parse(json, "taxonomy", &o, err)))
		return s;
	if (!json_is_object(o))
		return sl_fail(err, SL_INVALID, "taxonomy: not a JSON object");
	if ((s = sl_json_version(o, "taxonomy", FORMAT, err)) || (s = sl_json_str(o, "taxonomy", "name", &name, err)))
		return s;
	if (!is_code(name))
		return sl_fail(err, SL_INVALID, "taxonomy: name \"%.40s\" must be 1 to %d letters, digits, \".-_\"",
			name, SL_CODE - 1);
	snprintf(t->name, sizeof t->name, "%s", name);
	if ((s = read_classes(json_object_get(o, "classes"), t, err)))
		return s;
	*ret = SL_TAKE(t);
	return SL_OK;
}

void sl_taxonomy_free(struct sl_taxonomy *t)
{
	if (!t)
		return;
	free(t->cls);
	free(t);
}

int sl_taxonomy_find(const struct sl_taxonomy *t, const char *code_or_index)
{
	const char *s = code_or_index;
	int index = 0;

	for (int i = 0; i < t->n; i++)
		if (strcmp(t->cls[i].code, s) == 0)
			return i;
	if (!*s || (s[0] == '0' && s[1]))
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		index = index * 10 + (*s - '0');
		if (index >= t->n)
			return -1;
	}
	return index;
}
