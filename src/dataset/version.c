/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading versions. snapshot.c makes them.
 */
#include "dataset/version.h"
#include "base/digest.h"
#include "base/mem.h"
#include "vision/image.h"
#include <stdio.h>

enum { FORMAT = 1, CROP_PIXELS = 4096 * 4096 };

enum sl_status sl_version_get(struct sl_artifacts *a, const char *name, json_t **ret_manifest, struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTOJSON json_t *v = NULL;
	char path[SL_PATH], latest[SL_VERSION_NAME], sha256[65];
	enum sl_status s = SL_OK;
	if (!strcmp(name, "latest")) {
		int best = 0;
		s = sl_artifacts_list(a, "datasets/", &list, err);
		for (int i = 0; i < list.n; i++) {
			char stem[SL_VERSION_NAME] = "";
			sscanf(list.path[i], "datasets/%11[^.].json", stem);
			best = SL_MAX(best, sl_version_number(stem));
		}
		if (s == SL_OK && !best)
			s = sl_fail(err, SL_NOT_FOUND,
				"there is no dataset version yet; 'signloop dataset snapshot' makes one");
		sl_version_name(latest, best);
		name = latest;
	} else if (!sl_version_number(name)) {
		s = sl_fail(err, SL_INVALID,
			"'%.40s' is no dataset version; versions are called v0001, v0002, ... or latest", name);
	}
	if (s != SL_OK)
		return s;
	sl_version_path(path, name);
	s = sl_artifacts_get(a, path, &text, err);
	if (s == SL_NOT_FOUND)
		return sl_fail(err, s, "there is no dataset version %s; 'signloop dataset ls' lists them", name);
	if (s == SL_OK)
		s = sl_json_parse(sl_buf_slice(&text), path, &v, err);
	if (s == SL_OK)
		s = sl_json_version(v, path, FORMAT, err);
	if (s != SL_OK)
		return s;
	sl_sha256_hex(text.ptr, text.len, sha256);
	json_object_set_new(v, "sha256", json_string(sha256));
	*ret_manifest = SL_TAKE(v);
	return SL_OK;
}

enum sl_status sl_version_list(struct sl_artifacts *a, json_t **ret, struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	SL_AUTOJSON json_t *all = json_array();
	enum sl_status s = sl_artifacts_list(a, "datasets/", &list, err);
	for (int i = 0; i < list.n && s == SL_OK; i++) {
		char stem[SL_VERSION_NAME] = "";
		json_t *v = NULL;
		sscanf(list.path[i], "datasets/%11[^.].json", stem);
		if (!sl_version_number(stem))
			continue;
		s = sl_version_get(a, stem, &v, err);
		if (s == SL_OK) {
			json_object_del(v, "shards");
			json_array_append_new(all, v);
		}
	}
	if (s == SL_OK)
		*ret = SL_TAKE(all);
	return s;
}

/* ---- rows ---- */

struct each {
	enum sl_deal deal;
	enum sl_status (*fn)(const struct sl_version_row *row, void *arg, struct sl_err *err);
	void *arg;
};

static enum sl_status each_row(const struct sl_shard_row *raw, void *arg, struct sl_err *err)
{
	struct each *e = arg;
	SL_AUTOJSON json_t *json = NULL;
	struct sl_version_row row = {.deal = e->deal, .jpeg = raw->jpeg};
	enum sl_status s = sl_json_parse(raw->json, raw->key, &json, err);
	if (s == SL_OK)
		s = sl_row_parse(json, raw->key, &row.label, err);
	if (s == SL_OK && strcmp(row.label.key, raw->key) != 0)
		s = sl_fail(err, SL_CORRUPT, "%s.json speaks of another key", raw->key);
	row.json = json;
	return s == SL_OK ? e->fn(&row, e->arg, err) : s;
}

struct shard {
	enum sl_deal deal;
	const char *prefix, *sha256;
	int64_t rows;
};

static enum sl_status read_shard_entry(json_t *v, struct shard *ret, struct sl_err *err)
{
	const char *part = NULL;
	enum sl_status s = sl_json_str(v, "shard", "part", &part, err);
	if (s == SL_OK && !sl_deal_find(part, &ret->deal))
		s = sl_fail(err, SL_INVALID, "manifest: no part is called '%.20s'", part);
	if (s == SL_OK)
		s = sl_json_str(v, "shard", "prefix", &ret->prefix, err);
	if (s == SL_OK)
		s = sl_json_str(v, "shard", "sha256", &ret->sha256, err);
	if (s == SL_OK && !sl_is_sha256_hex(ret->sha256))
		s = sl_fail(err, SL_INVALID, "manifest: a shard's sha256 is none");
	return s == SL_OK ? sl_json_int(v, "shard", "rows", &ret->rows, err) : s;
}

enum sl_status sl_version_each(struct sl_artifacts *a, json_t *manifest, unsigned deals,
	enum sl_status (*fn)(const struct sl_version_row *row, void *arg, struct sl_err *err), void *arg,
	struct sl_err *err)
{
	json_t *v;
	size_t i;
	json_array_foreach(json_object_get(manifest, "shards"), i, v)
	{
		SL_AUTO(sl_buf_done) struct sl_buf tar = {0};
		struct shard shard;
		enum sl_status s = read_shard_entry(v, &shard, err);
		if (s == SL_OK && !(deals & 1u << shard.deal))
			continue;
		if (s == SL_OK)
			s = sl_shard_fetch(a, sl_shard_path, shard.sha256, &tar, err);
		struct each e = {shard.deal, fn, arg};
		if (s == SL_OK)
			s = sl_shard_each(sl_buf_slice(&tar), each_row, &e, err);
		if (s != SL_OK)
			return s;
	}
	return SL_OK;
}

/* ---- check ---- */

struct check {
	json_t *findings;
	double holdout;
	struct shard shard;
	int64_t rows;
	char last[SL_KEY];
	struct sl_tally tally;
};

static void find(json_t *findings, const char *what, const char *where, const char *why)
{
	json_array_append_new(findings, json_pack("{s:s,s:s,s:s}", "what", what, "where", where, "why", why));
}

static enum sl_status check_row(const struct sl_version_row *row, void *arg, struct sl_err *err)
{
	struct check *c = arg;
	SL_AUTO(sl_image_done) struct sl_image im = {0};
	const char *key = row->label.key;
	struct sl_err why = {0};
	c->rows++;
	if (strcmp(key, c->last) <= 0)
		find(c->findings, "row", key,
			"rows of a shard are not in the order of their keys, or one is there twice");
	snprintf(c->last, sizeof(c->last), "%s", key);
	if (strncmp(key, c->shard.prefix, strlen(c->shard.prefix)) != 0)
		find(c->findings, "row", key, "is in the shard of another prefix");
	if (sl_row_deal(&row->label, sl_row_group(row->json), c->holdout) != row->deal)
		find(c->findings, "row", key, "is in another part than its group says");
	if (sl_image_decode(row->jpeg, CROP_PIXELS, &im, &why) != SL_OK)
		find(c->findings, "row", key, why.text);
	sl_tally_add(&c->tally, &row->label, row->deal);
	return SL_OK;
}

static void check_counts(struct check *c, json_t *manifest, const char *name)
{
	static const char *const members[] = {"rows", "parts", "classes", "sources", "bundles"};
	SL_AUTOJSON json_t *counted = json_object();
	sl_tally_put(&c->tally, counted);
	for (size_t i = 0; i < SL_COUNT(members); i++)
		if (!json_equal(json_object_get(counted, members[i]), json_object_get(manifest, members[i]))) {
			SL_AUTOFREE char *why =
				sl_asprintf("\"%s\" of the manifest is not what the rows add up to", members[i]);
			find(c->findings, "version", name, why);
		}
}

enum sl_status sl_version_check(struct sl_artifacts *a, json_t *manifest, json_t *findings, struct sl_err *err)
{
	struct check c = {.findings = findings, .holdout = json_number_value(json_object_get(manifest, "holdout"))};
	const char *name = "?";
	size_t before = json_array_size(findings), i;
	json_t *v;
	enum sl_status s = sl_json_str(manifest, "manifest", "version", &name, err);
	json_array_foreach(json_object_get(manifest, "shards"), i, v)
	{
		SL_AUTO(sl_buf_done) struct sl_buf tar = {0};
		char path[SL_PATH] = "";
		struct sl_err why = {0};
		enum sl_status got = read_shard_entry(v, &c.shard, &why);
		c.rows = 0;
		c.last[0] = 0;
		if (got == SL_OK) {
			sl_shard_path(path, c.shard.sha256);
			got = sl_shard_fetch(a, sl_shard_path, c.shard.sha256, &tar, &why);
		}
		struct each e = {c.shard.deal, check_row, &c};
		if (got == SL_OK)
			got = sl_shard_each(sl_buf_slice(&tar), each_row, &e, &why);
		if (sl_status_is_retriable(got) || got == SL_IO) {
			sl_tally_done(&c.tally);
			return err ? (*err = why).status : got;
		}
		if (got != SL_OK)
			find(findings, "shard", *path ? path : name, why.text);
		else if (c.rows != c.shard.rows)
			find(findings, "shard", path, "holds another number of rows than the manifest says");
	}
	if (s == SL_OK && json_array_size(findings) == before) /* else they cannot add up */
		check_counts(&c, manifest, name);
	sl_tally_done(&c.tally);
	return s;
}

/* ---- diff ---- */

struct seen {
	char key[SL_KEY], code[SL_CODE];
};

struct seen_list {
	struct seen *row;
	size_t n, room;
};

static void seen_done(struct seen_list *l)
{
	free(l->row);
}

static enum sl_status collect(const struct sl_version_row *row, void *arg, struct sl_err *err)
{
	struct seen_list *l = arg;
	char none[12];
	if (l->n == l->room) {
		l->room = l->room ? 2 * l->room : 256;
		l->row = sl_realloc(l->row, l->room, sizeof(*l->row));
	}
	struct seen *r = &l->row[l->n++];
	snprintf(r->key, sizeof(r->key), "%s", row->label.key);
	snprintf(r->code, sizeof(r->code), "%s",
		row->label.cls < 0 ? sl_choice_text(row->label.cls, none) : row->label.code);
	return SL_OK;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct seen *)a)->key, ((const struct seen *)b)->key);
}

static void count(json_t *classes, const char *code, int by)
{
	json_int_t n = json_integer_value(json_object_get(classes, code)) + by;
	if (n)
		json_object_set_new(classes, code, json_integer(n));
	else
		json_object_del(classes, code);
}

enum sl_status sl_version_diff(struct sl_artifacts *a, json_t *from, json_t *to, json_t **ret, struct sl_err *err)
{
	SL_AUTO(seen_done) struct seen_list x = {0};
	SL_AUTO(seen_done) struct seen_list y = {0};
	unsigned all = (1u << SL_DEALS) - 1;
	enum sl_status s = sl_version_each(a, from, all, collect, &x, err);
	if (s == SL_OK)
		s = sl_version_each(a, to, all, collect, &y, err);
	if (s != SL_OK)
		return s;
	json_t *added = json_array(), *removed = json_array(), *changed = json_array(), *classes = json_object();
	if (x.n)
		qsort(x.row, x.n, sizeof(*x.row), by_key);
	if (y.n)
		qsort(y.row, y.n, sizeof(*y.row), by_key);
	for (size_t i = 0, k = 0; i < x.n || k < y.n;) {
		int order = i == x.n ? 1 : k == y.n ? -1 : strcmp(x.row[i].key, y.row[k].key);
		if (order < 0)
			json_array_append_new(removed, json_string(x.row[i].key));
		else if (order > 0)
			json_array_append_new(added, json_string(y.row[k].key));
		else if (strcmp(x.row[i].code, y.row[k].code) != 0)
			json_array_append_new(changed, json_pack("{s:s,s:s,s:s}", "key", x.row[i].key, "from",
							       x.row[i].code, "to", y.row[k].code));
		if (order <= 0)
			count(classes, x.row[i++].code, -1);
		if (order >= 0)
			count(classes, y.row[k++].code, 1);
	}
	*ret = json_pack("{s:O,s:O,s:o,s:o,s:o,s:o}", "from", json_object_get(from, "version"), "to",
		json_object_get(to, "version"), "added", added, "removed", removed, "changed", changed, "classes",
		classes);
	return SL_OK;
}
