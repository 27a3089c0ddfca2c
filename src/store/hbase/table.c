/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hbase/table.h"
#include "base/json.h"
#include "base/mem.h"
#include <stdio.h>

#define FAMILY "data"
#define PRINTABLE "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-" /* in a path as it stands */

enum { MAKE_MS = 60000 };

static bool is_word(const char *s, size_t n)
{
	return n && strspn(s, PRINTABLE) >= n;
}

enum sl_status sl_hbase_form(struct sl_url *u, struct sl_hbase_form *ret, struct sl_err *err)
{
	const char *jpeg = sl_url_option(u, "jpeg"), *compression = sl_url_option(u, "compression");
	struct sl_hbase_form f = {.make = 1};

	jpeg = jpeg ? jpeg : FAMILY ":jpeg";
	const char *colon = strchr(jpeg, ':');
	if (!colon || strlen(jpeg) >= SL_COLUMN || !is_word(jpeg, (size_t)(colon - jpeg)) ||
		!is_word(colon + 1, strlen(colon + 1)) || !strcmp(jpeg, SL_COLUMN_META) || !strcmp(jpeg, SL_COLUMN_SUM))
		return sl_fail(err, SL_USAGE,
			"store URL '%s': jpeg is '%.60s'; a FAMILY:QUALIFIER other than " SL_COLUMN_META
			" and " SL_COLUMN_SUM " is wanted",
			u->text, jpeg);
	if (compression && (strlen(compression) >= sizeof(f.compression) || !is_word(compression, strlen(compression))))
		return sl_fail(
			err, SL_USAGE, "store URL '%s': compression '%.40s' is no name of one", u->text, compression);
	enum sl_status s = sl_url_int(u, "make", 0, 1, &f.make, err);
	if (s == SL_OK)
		s = sl_url_int(u, "ttl_s", 1, INT32_MAX - 1, &f.ttl_s, err);
	if (s != SL_OK)
		return s;
	*ret = f;
	sl_copy(ret->jpeg, sizeof(ret->jpeg), jpeg);
	snprintf(ret->jpeg_family, sizeof(ret->jpeg_family), "%.*s", (int)(colon - jpeg), jpeg);
	sl_copy(ret->compression, sizeof(ret->compression), compression ? compression : "");
	ret->family[0] = FAMILY;
	if (strcmp(ret->jpeg_family, FAMILY) != 0)
		ret->family[1] = ret->jpeg_family;
	return SL_OK;
}

static const json_t *find(const json_t *schema, const char *family)
{
	const json_t *all = json_object_get(schema, "ColumnSchema"), *one;
	size_t i;

	json_array_foreach(all, i, one)
	{
		const char *name = json_string_value(json_object_get(one, "name"));
		if (name && !strcmp(name, family))
			return one;
	}
	return NULL;
}

static enum sl_status check(
	const struct sl_gateways *g, const struct sl_hbase_form *f, const json_t *schema, struct sl_err *err)
{
	for (int i = 0; f->family[i]; i++) {
		const json_t *family = find(schema, f->family[i]);
		if (!family)
			return sl_fail(err, SL_USAGE,
				"hbase table %s has no column family '%s': name another table, or add it: alter '%s', '%s'",
				sl_gateways_table(g), f->family[i], sl_gateways_table(g), f->family[i]);
		const char *ttl = json_string_value(json_object_get(family, "TTL"));
		if (f->ttl_s && (!ttl || strtoll(ttl, NULL, 10) != f->ttl_s))
			return sl_fail(err, SL_USAGE,
				"hbase table %s keeps '%s' for %s s, not ttl_s=%lld: alter the table, or leave ttl_s out",
				sl_gateways_table(g), f->family[i], ttl ? ttl : "ever; no", (long long)f->ttl_s);
	}
	return SL_OK;
}

/* *ret_there false: no such table. */
static enum sl_status look(struct sl_gateways *g, const struct sl_hbase_form *f, bool *ret_there, struct sl_err *err)
{
	const struct sl_hbase_ask ask = {
		.method = "GET", .path = "/schema", .type = SL_HBASE_JSON, .once = true, .any_404 = true};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	SL_AUTOJSON json_t *schema = NULL;
	enum sl_status s = sl_gateways_ask(g, &ask, &r, NULL, err);

	*ret_there = s == SL_OK && r.status == 200;
	if (s != SL_OK || r.status == 404)
		return s;
	if (r.status != 200)
		return sl_gateways_odd(g, &ask, &r, err);
	s = sl_json_parse(sl_buf_slice(&r.body), "the table's schema", &schema, err);
	return s == SL_OK ? check(g, f, schema, err) : sl_prefix(err, SL_IO, "hbase table %s", sl_gateways_table(g));
}

static enum sl_status make(struct sl_gateways *g, const struct sl_hbase_form *f, struct sl_err *err)
{
	SL_AUTOJSON json_t *schema = json_pack("{s:s, s:[]}", "name", sl_gateways_table(g), "ColumnSchema");
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	SL_AUTO(sl_buf_done) struct sl_buf body = {0};
	char ttl[24];

	for (int i = 0; f->family[i]; i++) {
		json_t *family = json_pack("{s:s, s:s}", "name", f->family[i], "VERSIONS", "1");
		if (*f->compression)
			json_object_set_new(family, "COMPRESSION", json_string(f->compression));
		snprintf(ttl, sizeof(ttl), "%lld", (long long)f->ttl_s);
		if (f->ttl_s)
			json_object_set_new(family, "TTL", json_string(ttl));
		json_array_append_new(json_object_get(schema, "ColumnSchema"), family);
	}
	enum sl_status s = sl_json_print(schema, &body);
	if (s != SL_OK)
		return sl_fail(err, s, "hbase table %s: its schema is too large", sl_gateways_table(g));
	struct sl_hbase_ask ask = {.method = "PUT",
		.path = "/schema",
		.type = SL_HBASE_JSON,
		.body = sl_buf_slice(&body),
		.once = true,
		.deadline_us = sl_deadline_ms(MAKE_MS)};
	s = sl_gateways_ask(g, &ask, &r, NULL, err); /* 304: another process was first */
	if (s == SL_AWAY && (sl_gateways_says(&r, "DoNotRetryIO") || sl_gateways_says(&r, "NamespaceNotFound"))) {
		s = SL_USAGE; /* the gateway says 503 of a wrong schema too */
		if (err)
			err->status = s;
	}
	return s;
}

enum sl_status sl_hbase_table(struct sl_gateways *g, const struct sl_hbase_form *f, struct sl_err *err)
{
	bool there;
	enum sl_status s = look(g, f, &there, err);

	if (s != SL_OK || there)
		return s;
	if (!f->make)
		return sl_fail(err, SL_USAGE,
			"hbase has no table %s, and make=0 says not to make it: create '%s', '%s'",
			sl_gateways_table(g), sl_gateways_table(g), f->family[0]);
	s = make(g, f, err);
	if (s == SL_OK) /* what is there now, whoever made it */
		s = look(g, f, &there, err);
	if (s == SL_OK && !there)
		return sl_fail(err, SL_AWAY, "hbase table %s was made and is not there yet", sl_gateways_table(g));
	return s == SL_OK ? s : sl_prefix(err, s, "making it");
}
