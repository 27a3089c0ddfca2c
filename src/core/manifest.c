/* SPDX-License-Identifier: Apache-2.0 */
#include "core/manifest.h"
#include "base/digest.h"
#include "base/mem.h"
#include <stdio.h>

enum { FORMAT = 1, SHARD_DIGITS_MAX = 3 };

static const char *const deal_names[SL_DEALS] = {"train", "heldout", "aside"};

const char *sl_deal_name(enum sl_deal p)
{
	return deal_names[p];
}

bool sl_deal_find(const char *name, enum sl_deal *ret)
{
	for (int i = 0; i < SL_DEALS; i++)
		if (!strcmp(name, deal_names[i])) {
			*ret = (enum sl_deal)i;
			return true;
		}
	return false;
}

/* ---- which label counts ---- */

struct sl_rank sl_rank_of(const struct sl_label *l)
{
	return (struct sl_rank){strcmp(l->source, "model") != 0, l->partition, l->position, l->appended_ms};
}

bool sl_rank_wins(const struct sl_rank *a, const struct sl_rank *b)
{
	if (a->person != b->person)
		return a->person;
	if (a->partition == b->partition)
		return a->position > b->position;
	if (a->appended_ms != b->appended_ms)
		return a->appended_ms > b->appended_ms;
	return a->partition > b->partition;
}

/* ---- rows ---- */

static void take_member(json_t *row, const char *name, json_t *meta, const char *from)
{
	json_t *v = json_object_get(meta, from);
	if (v && !json_is_null(v))
		json_object_set(row, name, v);
}

static const char *text_of(json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);
	return json_is_string(v) ? json_string_value(v) : "";
}

static void put_group(json_t *row, const struct sl_label *l)
{
	char frame[SL_FRAME_ID] = "";
	const char *device = text_of(row, "device"), *sequence = text_of(row, "sequence"),
		   *what = text_of(row, "frame");
	if (!*what && sl_key_parse(l->key, frame, (int[4]){0}))
		what = frame;
	SL_AUTOFREE char *group =
		sl_asprintf("%.63s/%s%.100s", device, *sequence ? "s/" : "", *sequence ? sequence : what);
	json_object_set_new(row, "group", json_string(group));
}

json_t *sl_row_make(const struct sl_label *l, json_t *body, json_t *meta)
{
	json_t *row = json_copy(body);
	if (l->cls >= 0)
		json_object_set_new(row, "class", json_pack("{s:i,s:s}", "index", l->cls, "code", l->code));
	else
		json_object_set_new(row, "class", json_null());
	json_object_set_new(row, "partition", json_integer(l->partition));
	json_object_set_new(row, "position", json_integer(l->position));
	json_object_set_new(row, "appended", json_integer(l->appended_ms));
	static const char *const names[] = {"frame", "device", "box", "roi", "sequence"};
	for (size_t i = 0; i < SL_COUNT(names); i++)
		take_member(row, names[i], meta, names[i]);
	take_member(row, "captured", meta, "time");
	put_group(row, l);
	return row;
}

enum sl_status sl_row_parse(json_t *row, const char *where, struct sl_label *ret, struct sl_err *err)
{
	struct sl_label l = {0};
	int64_t partition = 0;
	enum sl_status s = sl_label_parse(row, where, &l, err);
	if (s == SL_OK)
		s = sl_json_int(row, where, "partition", &partition, err);
	if (s == SL_OK)
		s = sl_json_int(row, where, "position", &l.position, err);
	if (s == SL_OK)
		s = sl_json_int(row, where, "appended", &l.appended_ms, err);
	if (s == SL_OK && (partition < 0 || partition > INT32_MAX))
		s = sl_fail(err, SL_INVALID, "%s: \"partition\" is %lld", where, (long long)partition);
	if (s != SL_OK)
		return s;
	l.partition = (int)partition;
	*ret = l;
	return SL_OK;
}

const char *sl_row_group(json_t *row)
{
	return text_of(row, "group");
}

enum sl_deal sl_row_deal(const struct sl_label *l, const char *group, double holdout)
{
	uint8_t h[SL_SHA256];
	if (l->cls < 0)
		return SL_DEAL_ASIDE;
	sl_sha256(group, strlen(group), h);
	uint32_t v = (uint32_t)h[0] << 24 | (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
	return (double)v < holdout * 4294967296.0 ? SL_DEAL_HELDOUT : SL_DEAL_TRAIN;
}

/* ---- segments ---- */

void sl_segment_done(struct sl_segment *s)
{
	json_decref(s->missing);
	json_decref(s->bad);
	*s = (struct sl_segment){0};
}

json_t *sl_segment_json(const struct sl_segment *s)
{
	json_t *v = json_pack("{s:i,s:s,s:i,s:I,s:I,s:i,s:i,s:s}", "v", FORMAT, "topic", SL_TOPIC_LABELS, "partition",
		s->partition, "first", (json_int_t)s->first, "last", (json_int_t)s->last, "rows", s->rows, "skipped",
		s->skipped, "sha256", s->sha256);
	json_object_set_new(v, "missing", s->missing ? json_incref(s->missing) : json_array());
	json_object_set_new(v, "bad", s->bad ? json_incref(s->bad) : json_array());
	return v;
}

enum sl_status sl_segment_parse(json_t *v, const char *where, struct sl_segment *ret, struct sl_err *err)
{
	struct sl_segment g = {0};
	const char *sha = "";
	int64_t partition = 0, rows = 0, skipped = 0;
	enum sl_status s = sl_json_version(v, where, FORMAT, err);
	if (s == SL_OK)
		s = sl_json_int(v, where, "partition", &partition, err);
	if (s == SL_OK)
		s = sl_json_int(v, where, "first", &g.first, err);
	if (s == SL_OK)
		s = sl_json_int(v, where, "last", &g.last, err);
	if (s == SL_OK)
		s = sl_json_int(v, where, "rows", &rows, err);
	if (s == SL_OK)
		s = sl_json_opt_int(v, where, "skipped", &skipped, err);
	if (s == SL_OK)
		s = sl_json_str(v, where, "sha256", &sha, err);
	if (s != SL_OK)
		return s;
	json_t *missing = json_object_get(v, "missing"), *bad = json_object_get(v, "bad");
	if (g.first < 0 || g.last < g.first || rows < 0 || rows > INT32_MAX || skipped < 0 || skipped > INT32_MAX ||
		partition < 0 || partition > INT32_MAX || (rows ? !sl_is_sha256_hex(sha) : *sha != 0) ||
		(missing && !json_is_array(missing)) || (bad && !json_is_array(bad)))
		return sl_fail(err, SL_INVALID, "%s: positions, rows and sha256 do not fit together", where);
	g.partition = (int)partition;
	g.rows = (int)rows;
	g.skipped = (int)skipped;
	SL_COPY(g.sha256, sha);
	g.missing = missing ? json_incref(missing) : json_array();
	g.bad = bad ? json_incref(bad) : json_array();
	*ret = g;
	return SL_OK;
}

void sl_segment_entry_path(char ret[SL_PATH], int partition, int64_t first)
{
	snprintf(ret, SL_PATH, "curate/labels/p%d/%020lld.json", partition, (long long)first);
}

bool sl_segment_entry_parse(const char *path, int *ret_partition, int64_t *ret_first)
{
	int end = 0;
	long long first;
	char want[SL_PATH];
	if (sscanf(path, "curate/labels/p%d/%20lld.json%n", ret_partition, &first, &end) != 2 || !end || path[end])
		return false;
	*ret_first = first;
	sl_segment_entry_path(want, *ret_partition, first);
	return !strcmp(want, path);
}

void sl_segment_path(char ret[SL_PATH], const char *sha256)
{
	snprintf(ret, SL_PATH, "segments/%s.tar", sha256);
}

void sl_shard_path(char ret[SL_PATH], const char *sha256)
{
	snprintf(ret, SL_PATH, "shards/%s.tar", sha256);
}

void sl_forgotten_path(char ret[SL_PATH], const char *key)
{
	snprintf(ret, SL_PATH, "forgotten/%s.json", key);
}

/* ---- versions ---- */

void sl_version_name(char ret[SL_VERSION_NAME], int number)
{
	snprintf(ret, SL_VERSION_NAME, "v%04d", number);
}

int sl_version_number(const char *name)
{
	int n = 0, end = 0;
	char want[SL_VERSION_NAME];
	if (sscanf(name, "v%9d%n", &n, &end) != 1 || name[end] || n < 1)
		return 0;
	sl_version_name(want, n);
	return strcmp(want, name) ? 0 : n;
}

void sl_version_path(char ret[SL_PATH], const char *name)
{
	snprintf(ret, SL_PATH, "datasets/%s.json", name);
}

int sl_shard_digits(int64_t rows, int64_t most)
{
	int digits = 0;
	for (; digits < SHARD_DIGITS_MAX && rows > most; rows /= 16)
		digits++;
	return digits;
}

static void count(json_t **o, const char *name)
{
	if (!*o)
		*o = json_object();
	json_object_set_new(*o, name, json_integer(json_integer_value(json_object_get(*o, name)) + 1));
}

void sl_tally_add(struct sl_tally *t, const struct sl_label *l, enum sl_deal part)
{
	char none[12];
	const char *code = l->cls < 0 ? sl_choice_text(l->cls, none) : l->code;
	t->rows[part]++;
	count(&t->sources, l->source);
	if (*l->bundle)
		count(&t->bundles, l->bundle);
	if (!t->classes)
		t->classes = json_object();
	json_t *c = json_object_get(t->classes, code);
	if (!c) {
		c = json_pack("{s:i}", "index", l->cls);
		json_object_set_new(t->classes, code, c);
	}
	count(&c, sl_deal_name(part));
}

void sl_tally_done(struct sl_tally *t)
{
	json_decref(t->classes);
	json_decref(t->sources);
	json_decref(t->bundles);
	*t = (struct sl_tally){0};
}

struct class_row {
	const char *code;
	json_t *value;
	json_int_t index;
};

static int by_index(const void *a, const void *b)
{
	const struct class_row *x = a, *y = b;
	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return strcmp(x->code, y->code);
}

static json_t *sorted_classes(json_t *classes)
{
	size_t n = json_object_size(classes), i = 0;
	SL_AUTOFREE struct class_row *row = sl_calloc(n + 1, sizeof(*row));
	const char *code;
	json_t *value, *ret = json_object();
	json_object_foreach(classes, code, value) row[i++] =
		(struct class_row){code, value, json_integer_value(json_object_get(value, "index"))};
	qsort(row, n, sizeof(*row), by_index);
	for (i = 0; i < n; i++)
		json_object_set(ret, row[i].code, row[i].value);
	return ret;
}

/* Members in byte order: the same rows give the same bytes. */
static json_t *sorted(json_t *o)
{
	size_t n = json_object_size(o), i = 0;
	SL_AUTOFREE struct class_row *row = sl_calloc(n + 1, sizeof(*row));
	const char *name;
	json_t *value, *ret = json_object();
	json_object_foreach(o, name, value) row[i++] = (struct class_row){name, value, 0};
	qsort(row, n, sizeof(*row), by_index);
	for (i = 0; i < n; i++)
		json_object_set(ret, row[i].code, row[i].value);
	return ret;
}

void sl_tally_put(const struct sl_tally *t, json_t *manifest)
{
	int64_t rows = 0;
	json_t *parts = json_object();
	for (int p = 0; p < SL_DEALS; p++) {
		rows += t->rows[p];
		json_object_set_new(parts, deal_names[p], json_integer(t->rows[p]));
	}
	json_object_set_new(manifest, "rows", json_integer(rows));
	json_object_set_new(manifest, "parts", parts);
	json_object_set_new(manifest, "classes", sorted_classes(t->classes));
	json_object_set_new(manifest, "sources", sorted(t->sources));
	json_object_set_new(manifest, "bundles", sorted(t->bundles));
}
