/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/forget.h"
#include "base/clock.h"
#include "base/mem.h"
#include "dataset/segments.h"
#include "dataset/version.h"

enum { SCAN = 500 };

struct forget {
	const struct sl_stores *st;
	const char *device; /* NULL: keys are named */
	json_t *keys; /* set: members are keys */
	bool hit; /* of the segment or version that is read */
	bool collect; /* take the device's keys, else look for known ones */
};

static void note(struct forget *f, const char *key, json_t *about)
{
	json_t *device = json_object_get(about, "device");
	if (f->collect && f->device && json_is_string(device) && !strcmp(json_string_value(device), f->device))
		json_object_set_new(f->keys, key, json_true());
	if (json_object_get(f->keys, key))
		f->hit = true;
}

static enum sl_status note_row(const struct sl_shard_row *row, void *arg, struct sl_err *err)
{
	SL_AUTOJSON json_t *json = NULL;
	enum sl_status s = sl_json_parse(row->json, row->key, &json, err);
	if (s == SL_OK)
		note(arg, row->key, json);
	return s;
}

static enum sl_status note_version_row(const struct sl_version_row *row, void *arg, struct sl_err *err)
{
	note(arg, row->label.key, row->json);
	return SL_OK;
}

/* Crops of the device that wait for their label. */
static enum sl_status scan_crops(struct forget *f, struct sl_err *err)
{
	SL_AUTOFREE char(*keys)[SL_KEY] = sl_calloc(SCAN, SL_KEY);
	char after[SL_KEY] = "";
	int n = SCAN;
	enum sl_status s = SL_OK;
	while (n == SCAN && s == SL_OK) {
		const char *name[SCAN];
		SL_AUTOFREE struct sl_crop *crop = sl_calloc(SCAN, sizeof(*crop));
		s = sl_crops_scan(f->st->crops, "", after, SCAN, keys, &n, err);
		for (int i = 0; i < n && s == SL_OK; i++)
			name[i] = keys[i];
		if (s == SL_OK && n)
			s = sl_crops_get_many(f->st->crops, name, n, crop, err);
		for (int i = 0; i < n && s == SL_OK; i++) {
			SL_AUTOJSON json_t *meta = NULL;
			if (crop[i].key[0] && sl_json_parse(sl_buf_slice(&crop[i].meta), keys[i], &meta, NULL) == SL_OK)
				note(f, keys[i], meta);
			sl_crop_done(&crop[i]);
		}
		if (n)
			memcpy(after, keys[n - 1], SL_KEY);
	}
	return s;
}

/* Reads all segments and versions; those with a hit go into the report. */
static enum sl_status scan_artifacts(struct forget *f, json_t *segments, json_t *versions, struct sl_err *err)
{
	SL_AUTO(sl_segments_done) struct sl_segments all = {0};
	SL_AUTOJSON json_t *list = NULL;
	enum sl_status s = sl_segments_list(f->st->artifacts, &all, err);
	for (int i = 0; i < all.n && s == SL_OK; i++) {
		SL_AUTO(sl_buf_done) struct sl_buf tar = {0};
		f->hit = false;
		if (!all.segment[i].rows)
			continue;
		s = sl_shard_fetch(f->st->artifacts, sl_segment_path, all.segment[i].sha256, &tar, err);
		if (s == SL_NOT_FOUND) { /* erased by hand */
			s = SL_OK;
			continue;
		}
		if (s == SL_OK)
			s = sl_shard_each(sl_buf_slice(&tar), note_row, f, err);
		if (s == SL_OK && f->hit)
			json_array_append_new(segments, json_string(all.segment[i].sha256));
	}
	if (s == SL_OK)
		s = sl_version_list(f->st->artifacts, &list, err);
	for (size_t i = 0; i < json_array_size(list) && s == SL_OK; i++) {
		SL_AUTOJSON json_t *manifest = NULL;
		json_t *name = json_object_get(json_array_get(list, i), "version");
		f->hit = false;
		s = sl_version_get(f->st->artifacts, json_string_value(name), &manifest, err);
		if (s == SL_OK)
			s = sl_version_each(f->st->artifacts, manifest, (1u << SL_DEALS) - 1, note_version_row, f, err);
		if (s == SL_NOT_FOUND)
			s = SL_OK;
		if (s == SL_OK && f->hit)
			json_array_append(versions, name);
	}
	return s;
}

/* Mark first: a crop that is gone must be known as forgotten, not as lost. */
static enum sl_status erase(struct forget *f, const char *why, struct sl_err *err)
{
	const char *key;
	json_t *v;
	json_object_foreach(f->keys, key, v)
	{
		char path[SL_PATH];
		SL_AUTOJSON json_t *mark = json_pack("{s:i,s:s,s:s,s:I}", "v", 1, "key", key, "why", why ? why : "",
			"time", (json_int_t)sl_now_ms());
		sl_forgotten_path(path, key);
		enum sl_status s = sl_object_put(f->st->artifacts, path, mark, err);
		if (s == SL_OK || s == SL_EXISTS)
			s = sl_crops_remove(f->st->crops, key, err);
		if (s != SL_OK)
			return s;
	}
	return SL_OK;
}

static enum sl_status run(struct forget *f, const char *why, json_t **ret, struct sl_err *err)
{
	SL_AUTOJSON json_t *segments = json_array(), *versions = json_array();
	enum sl_status s = SL_OK;
	if (f->device) { /* once to know the keys, once more for shards that hold only some of them */
		f->collect = true;
		s = scan_crops(f, err);
		if (s == SL_OK)
			s = scan_artifacts(f, segments, versions, err);
		f->collect = false;
		json_array_clear(segments);
		json_array_clear(versions);
	}
	if (s == SL_OK)
		s = scan_artifacts(f, segments, versions, err);
	if (s == SL_OK)
		s = erase(f, why, err);
	if (s != SL_OK)
		return s;
	json_t *keys = json_array(), *v;
	const char *key;
	json_object_foreach(f->keys, key, v) json_array_append_new(keys, json_string(key));
	*ret = json_pack("{s:o,s:O,s:O}", "keys", keys, "versions", versions, "segments", segments);
	return SL_OK;
}

enum sl_status sl_forget_key(
	const struct sl_stores *st, const char *key, const char *why, json_t **ret_report, struct sl_err *err)
{
	SL_AUTOJSON json_t *keys = json_object();
	struct forget f = {.st = st, .keys = keys};
	SL_AUTO(sl_crop_done) struct sl_crop crop = {0};
	if (!sl_key_is_valid(key))
		return sl_fail(err, SL_INVALID, "'%.70s' is no crop key", key);
	json_object_set_new(keys, key, json_true());
	enum sl_status s = sl_crops_get(st->crops, key, &crop, err);
	if (s != SL_OK && s != SL_NOT_FOUND)
		return s;
	bool there = s == SL_OK;
	s = run(&f, why, ret_report, err);
	if (s == SL_OK && !there && !json_array_size(json_object_get(*ret_report, "segments"))) {
		json_decref(*ret_report);
		return sl_fail(err, SL_NOT_FOUND,
			"no crop, segment or version knows %s; it is marked as forgotten all the same", key);
	}
	return s;
}

enum sl_status sl_forget_device(
	const struct sl_stores *st, const char *device, const char *why, json_t **ret_report, struct sl_err *err)
{
	SL_AUTOJSON json_t *keys = json_object();
	struct forget f = {.st = st, .keys = keys, .device = device};
	if (!sl_name_is_valid(device))
		return sl_fail(err, SL_INVALID, "'%.70s' is no device", device);
	enum sl_status s = run(&f, why, ret_report, err);
	if (s == SL_OK && !json_object_size(keys)) {
		json_decref(*ret_report);
		return sl_fail(err, SL_NOT_FOUND, "no crop of device %s is stored", device);
	}
	return s;
}
