/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments, versions, models and crops: what is stored is what was promised, byte by byte.
 */
#include "base/mem.h"
#include "dataset/registry.h"
#include "dataset/version.h"
#include "role/fsck_work.h"
#include "vision/image.h"
#include <stdio.h>

enum { CROP_PIXELS = 4096 * 4096 };

static bool is_of_the_work(enum sl_status s)
{
	return sl_status_is_retriable(s) || s == SL_IO || s == SL_CANCELLED;
}

/* ---- segments ---- */

struct positions {
	struct sl_fsck_work *w;
	const struct sl_segment *g;
	const char *path;
	int rows;
	size_t first, n; /* w->label[first..]: messages of the segment's range, by position */
	bool *seen; /* one a message */
};

static const struct sl_fsck_label *message(const struct positions *p, size_t i)
{
	return &p->w->label[p->first + i];
}

/* Has the log lost it for its age? */
static bool is_not_kept(const struct sl_fsck_work *w, int partition, int64_t position)
{
	return partition >= 0 && partition < w->partitions && position < w->begin[partition];
}

static enum sl_status check_row(const struct sl_shard_row *row, void *arg, struct sl_err *err)
{
	struct positions *p = arg;
	SL_AUTOJSON json_t *json = NULL;
	struct sl_label l;
	enum sl_status s = sl_json_parse(row->json, row->key, &json, err);
	if (s == SL_OK)
		s = sl_row_parse(json, row->key, &l, err);
	if (s != SL_OK)
		return s;
	p->rows++;
	if (is_not_kept(p->w, l.partition, l.position))
		sl_fsck_label_set(sl_fsck_label(p->w, l.partition, l.position), &l);
	if (l.position < p->g->first || l.position > p->g->last || l.partition != p->g->partition)
		sl_fsck_find(p->w, "segment", p->path, "row %s is of position %lld, which is not the segment's",
			row->key, (long long)l.position);
	size_t lo = 0, hi = p->n;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (message(p, mid)->position < l.position)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == p->n || message(p, lo)->position != l.position)
		return SL_OK; /* the log keeps messages only for so long */
	if (p->seen[lo])
		sl_fsck_find(p->w, "segment", p->path, "position %lld is in it twice", (long long)l.position);
	p->seen[lo] = true;
	return SL_OK;
}

static enum sl_status read_segment(struct sl_fsck_work *w, struct positions *p, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf tar = {0};
	struct sl_err why = {0};
	enum sl_status s = SL_OK;
	p->seen = sl_calloc(p->n + 1, sizeof(*p->seen));
	if (p->g->rows) {
		s = sl_shard_fetch(w->st->artifacts, sl_segment_path, p->g->sha256, &tar, &why);
		if (s == SL_OK)
			s = sl_shard_each(sl_buf_slice(&tar), check_row, p, &why);
	}
	if (is_of_the_work(s)) {
		*err = why;
	} else if (s != SL_OK) {
		sl_fsck_find(w, "segment", p->path, "%s", why.text);
		w->unread = true;
		s = SL_OK;
	} else {
		if (p->rows != p->g->rows)
			sl_fsck_find(w, "segment", p->path, "holds %d rows, its entry says %d", p->rows, p->g->rows);
		for (size_t i = 0; i < p->n; i++)
			if (message(p, i)->ok && !p->seen[i])
				sl_fsck_find(w, "label", message(p, i)->key,
					"position %lld of partition %d is in no segment",
					(long long)message(p, i)->position, p->g->partition);
	}
	free(p->seen);
	return s;
}

/* The messages of the partition that the segment covers; labels are by partition and position. */
static void range_of(const struct sl_fsck_work *w, const struct sl_segment *g, struct positions *p)
{
	size_t i = 0, end = w->labels;
	while (i < end) {
		size_t mid = (i + end) / 2;
		const struct sl_fsck_label *l = &w->label[mid];
		if (l->partition < g->partition || (l->partition == g->partition && l->position < g->first))
			i = mid + 1;
		else
			end = mid;
	}
	p->first = i;
	while (i + p->n < w->labels && message(p, p->n)->partition == g->partition &&
		message(p, p->n)->position <= g->last)
		p->n++;
}

static enum sl_status check_segment(
	struct sl_fsck_work *w, const struct sl_segment *g, int64_t next, struct sl_err *err)
{
	char entry[SL_PATH], path[SL_PATH] = "";
	struct positions p = {.w = w, .g = g, .path = path};
	sl_segment_entry_path(entry, g->partition, g->first);
	sl_segment_path(path, g->rows ? g->sha256 : "none");
	if (g->first != next)
		sl_fsck_find(w, "segment", entry, "begins at position %lld; the one before ends at %lld",
			(long long)g->first, (long long)next - 1);
	for (size_t i = 0; i < json_array_size(g->missing); i++) {
		const char *key = json_string_value(json_array_get(g->missing, i));
		if (key && !sl_keys_has(&w->forgotten, key))
			sl_fsck_find(w, "crop", key, "was missing when its label was stored in %s", entry);
	}
	for (size_t i = 0; i < json_array_size(g->bad); i++) {
		json_t *b = json_array_get(g->bad, i);
		sl_fsck_find(w, "message", entry, "position %lld is no label: %s",
			(long long)json_integer_value(json_object_get(b, "position")),
			json_string_value(json_object_get(b, "why")) ? json_string_value(json_object_get(b, "why"))
								     : "");
	}
	if (!w->o->bytes)
		return SL_OK;
	range_of(w, g, &p);
	return read_segment(w, &p, err);
}

enum sl_status sl_fsck_segments(struct sl_fsck_work *w, struct sl_err *err)
{
	SL_AUTO(sl_segments_done) struct sl_segments all = {0};
	int64_t lag = 0;
	sl_fsck_say(w, "segments");
	enum sl_status s = sl_segments_list(w->st->artifacts, &all, err);
	if (s == SL_CORRUPT || s == SL_INVALID || s == SL_UNSUPPORTED) {
		sl_fsck_find(w, "segment", "curate/labels", "%s", err->text);
		w->unread = true;
		return SL_OK;
	}
	for (int i = 0; i < all.n && s == SL_OK; i++) {
		bool first = !i || all.segment[i - 1].partition != all.segment[i].partition;
		s = check_segment(w, &all.segment[i], first ? 0 : all.segment[i - 1].last + 1, err);
	}
	sl_fsck_count(w, "segments", all.n);
	if (s == SL_OK)
		s = sl_log_lag(w->st->log, SL_GROUP_CURATE, SL_TOPIC_LABELS, &lag, err);
	if (s == SL_OK)
		sl_fsck_wait(w, "curate", lag);
	return s;
}

/* ---- versions ---- */

static enum sl_status check_version(struct sl_fsck_work *w, const char *name, struct sl_err *err)
{
	SL_AUTOJSON json_t *manifest = NULL, *found = json_array();
	struct sl_err why = {0};
	json_t *v;
	size_t i;
	enum sl_status s = sl_version_get(w->st->artifacts, name, &manifest, &why);
	if (s == SL_OK && w->o->bytes)
		s = sl_version_check(w->st->artifacts, manifest, found, &why);
	if (is_of_the_work(s)) {
		*err = why;
		return s;
	}
	if (s != SL_OK)
		sl_fsck_find(w, "version", name, "%s", why.text);
	json_array_foreach(found, i, v) sl_fsck_find(w, json_string_value(json_object_get(v, "what")),
		json_string_value(json_object_get(v, "where")), "%s: %s", name,
		json_string_value(json_object_get(v, "why")));
	return SL_OK;
}

enum sl_status sl_fsck_versions(struct sl_fsck_work *w, struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	int next = 1;
	sl_fsck_say(w, "dataset versions");
	enum sl_status s = sl_artifacts_list(w->st->artifacts, "datasets/", &list, err);
	for (int i = 0; i < list.n && s == SL_OK; i++) {
		char stem[SL_VERSION_NAME] = "";
		sscanf(list.path[i], "datasets/%11[^.].json", stem);
		int number = sl_version_number(stem);
		if (!number)
			continue;
		if (number != next)
			sl_fsck_find(
				w, "version", stem, "version %d should come before it: its manifest is gone", next);
		next = number + 1;
		sl_fsck_count(w, "versions", 1);
		s = check_version(w, stem, err);
	}
	return s;
}

/* ---- models ---- */

static enum sl_status check_bundle(
	struct sl_fsck_work *w, const char *alias, const struct sl_alias_entry *e, struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_err why = {0};
	char path[SL_PATH];
	sl_bundle_path(path, e->digest);
	enum sl_status s = w->o->bytes ? sl_model_get(w->st->artifacts, e->digest, &file, &why)
				       : sl_artifacts_list(w->st->artifacts, path, &list, &why);
	if (is_of_the_work(s)) {
		*err = why;
		return s;
	}
	if (s != SL_OK)
		sl_fsck_find(w, "model", path, "entry %lld of alias %s: %s", (long long)e->n, alias, why.text);
	else if (!w->o->bytes && !list.n)
		sl_fsck_find(w, "model", path, "entry %lld of alias %s names it, but it is not stored", (long long)e->n,
			alias);
	return SL_OK;
}

static enum sl_status check_alias(struct sl_fsck_work *w, const char *alias, struct sl_err *err)
{
	SL_AUTO(sl_alias_log_done) struct sl_alias_log log = {0};
	struct sl_err why = {0};
	enum sl_status s = sl_alias_log_read(w->st->artifacts, alias, &log, &why);
	if (s == SL_OK)
		s = sl_alias_check(log.entry, log.n, &why);
	if (is_of_the_work(s)) {
		*err = why;
		return s;
	}
	if (s != SL_OK)
		sl_fsck_find(w, "alias", alias, "%s", why.text);
	s = SL_OK;
	for (int i = 0; i < log.n && s == SL_OK; i++)
		s = check_bundle(w, alias, &log.entry[i], err);
	sl_fsck_count(w, "models", log.n);
	return s;
}

/* What topic models announced is in the alias log, which is written first. */
static enum sl_status check_announced(struct sl_fsck_work *w, const struct sl_message *m, struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	SL_AUTOJSON json_t *body = NULL;
	struct sl_err why = {0};
	char path[SL_ALIAS_PATH], where[64];
	const char *alias = "";
	int64_t n = 0;
	snprintf(where, sizeof(where), "%s/p%d/%lld", m->topic, m->partition, (long long)m->position);
	enum sl_status s = sl_json_parse(m->body, "message", &body, &why);
	if (s == SL_OK)
		s = sl_json_str(body, "message", "alias", &alias, &why);
	if (s == SL_OK)
		s = sl_json_int(body, "message", "n", &n, &why);
	if (s == SL_OK && (!sl_name_is_valid(alias) || n < 1))
		s = sl_fail(&why, SL_INVALID, "message: \"alias\" or \"n\" is none");
	if (s != SL_OK) {
		sl_fsck_find(w, "message", where, "%s", why.text);
		return SL_OK;
	}
	sl_alias_path(path, alias, n);
	s = sl_artifacts_list(w->st->artifacts, path, &list, err);
	if (s == SL_OK && !list.n)
		sl_fsck_find(w, "alias", alias, "message %s announced its entry %lld, but that is not stored", where,
			(long long)n);
	return s;
}

static enum sl_status check_announcements(struct sl_fsck_work *w, struct sl_err *err)
{
	int n = 0;
	enum sl_status s = sl_log_ask_partitions(w->st->log, SL_TOPIC_MODELS, &n, err);
	for (int p = 0; p < n && s == SL_OK; p++) {
		int64_t at = -1;
		for (bool more = true; more && s == SL_OK;) {
			SL_AUTO(sl_batch_done) struct sl_batch b = {0};
			s = sl_log_read(w->st->log, SL_TOPIC_MODELS, p, at, SL_FSCK_BATCH, &b, err);
			for (int i = 0; i < b.n && s == SL_OK; i++)
				s = check_announced(w, &b.message[i], err);
			more = b.n > 0;
			at = more ? b.message[b.n - 1].position : at;
		}
	}
	return s;
}

enum sl_status sl_fsck_models(struct sl_fsck_work *w, struct sl_err *err)
{
	SL_AUTOJSON json_t *names = NULL;
	json_t *v;
	size_t i;
	sl_fsck_say(w, "models");
	enum sl_status s = sl_alias_names(w->st->artifacts, &names, err);
	if (s != SL_OK)
		return s;
	json_array_foreach(names, i, v) if (s == SL_OK) s = check_alias(w, json_string_value(v), err);
	return s == SL_OK ? check_announcements(w, err) : s;
}

/* ---- crops ---- */

static enum sl_status check_crop(struct sl_fsck_work *w, const char *key, const struct sl_crop *c, struct sl_err *err)
{
	SL_AUTO(sl_image_done) struct sl_image im = {0};
	SL_AUTOJSON json_t *meta = NULL;
	struct sl_err why = {0};
	if (sl_keys_has(&w->forgotten, key)) {
		if (!w->o->repair) {
			sl_fsck_find(w, "crop", key, "was forgotten, but is in the crop store");
			return SL_OK;
		}
		sl_fsck_did(w, "crop", key, "removed: it was forgotten");
		return sl_crops_remove(w->st->crops, key, err);
	}
	if (!c->key[0])
		return SL_OK; /* removed since the scan */
	if (!c->jpeg.len)
		return SL_OK; /* damaged, and named */
	if (w->o->bytes && sl_image_decode(sl_buf_slice(&c->jpeg), CROP_PIXELS, &im, &why) != SL_OK)
		sl_fsck_find(w, "crop", key, "%s", why.text);
	else if (sl_json_parse(sl_buf_slice(&c->meta), "its meta", &meta, &why) != SL_OK)
		sl_fsck_find(w, "crop", key, "%s", why.text);
	return SL_OK;
}

enum sl_status sl_fsck_all_crops(struct sl_fsck_work *w, struct sl_err *err)
{
	SL_AUTOFREE char(*keys)[SL_KEY] = sl_calloc(SL_FSCK_BATCH, SL_KEY);
	SL_AUTOFREE struct sl_crop *crop = sl_calloc(SL_FSCK_BATCH, sizeof(*crop));
	const char *name[SL_FSCK_BATCH];
	char after[SL_KEY] = "";
	int n = SL_FSCK_BATCH;
	enum sl_status s = SL_OK;
	if (!w->o->bytes && !w->forgotten.n)
		return SL_OK;
	sl_fsck_say(w, "crops");
	while (n == SL_FSCK_BATCH && s == SL_OK) {
		s = sl_crops_scan(w->st->crops, "", after, SL_FSCK_BATCH, keys, &n, err);
		for (int i = 0; i < n && s == SL_OK; i++)
			name[i] = keys[i];
		if (s == SL_OK && n)
			s = sl_fsck_fetch(w, name, n, true, crop, err);
		for (int i = 0; i < n && s == SL_OK; i++)
			s = check_crop(w, keys[i], &crop[i], err);
		for (int i = 0; i < n; i++) {
			sl_crop_done(&crop[i]);
			crop[i] = (struct sl_crop){.key = ""};
		}
		if (n)
			memcpy(after, keys[n - 1], SL_KEY);
		sl_fsck_count(w, "crops", n);
	}
	return s;
}
