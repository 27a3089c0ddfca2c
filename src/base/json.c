/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

enum sl_status sl_json_parse(struct sl_slice text, const char *where, json_t **ret, struct sl_err *err)
{
	json_error_t e;
	json_t *v = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
	if (!v)
		return sl_fail(
			err, SL_INVALID, "%s: not JSON: line %d, column %d: %s", where, e.line, e.column, e.text);
	*ret = v;
	return SL_OK;
}

static int dump(const char *p, size_t n, void *arg)
{
	return sl_buf_add(arg, p, n) == SL_OK ? 0 : -1;
}

enum sl_status sl_json_print(const json_t *v, struct sl_buf *ret)
{
	size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9);
	return json_dump_callback(v, dump, ret, flags) ? SL_TOO_LARGE : SL_OK;
}

/* The member, NULL when absent or null. INVALID when o is no object. */
static enum sl_status member(json_t *o, const char *where, const char *name, json_t **ret, struct sl_err *err)
{
	if (!json_is_object(o))
		return sl_fail(err, SL_INVALID, "%s: a JSON object is wanted", where);
	json_t *v = json_object_get(o, name);
	*ret = json_is_null(v) ? NULL : v;
	return SL_OK;
}

static enum sl_status wanted(struct sl_err *err, const char *where, const char *name, json_t *v, const char *type)
{
	return sl_fail(err, SL_INVALID, v ? "%s: \"%s\" must be %s" : "%s: \"%s\" is missing; it must be %s", where,
		name, type);
}

#define READER(fn, type, is, value, text) \
	enum sl_status sl_json_opt_##fn(json_t *o, const char *where, const char *name, type *ret, struct sl_err *err) \
	{ \
		json_t *v; \
		enum sl_status s = member(o, where, name, &v, err); \
		if (s != SL_OK || !v) \
			return s; \
		if (!is(v)) \
			return wanted(err, where, name, v, text); \
		*ret = (type)value(v); \
		return SL_OK; \
	} \
	enum sl_status sl_json_##fn(json_t *o, const char *where, const char *name, type *ret, struct sl_err *err) \
	{ \
		json_t *v; \
		enum sl_status s = member(o, where, name, &v, err); \
		if (s == SL_OK && !v) \
			return wanted(err, where, name, NULL, text); \
		return s == SL_OK ? sl_json_opt_##fn(o, where, name, ret, err) : s; \
	}

READER(str, const char *, json_is_string, json_string_value, "a string")
READER(int, int64_t, json_is_integer, json_integer_value, "a whole number")
READER(num, double, json_is_number, json_number_value, "a number")

enum sl_status sl_json_version(json_t *o, const char *where, int known, struct sl_err *err)
{
	int64_t v = 0;
	enum sl_status s = sl_json_int(o, where, "v", &v, err);
	if (s == SL_OK && v != known)
		return sl_fail(err, SL_UNSUPPORTED, "%s: format version %lld; this build knows version %d", where,
			(long long)v, known);
	return s;
}
