/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes a version of all segments. Memory: some 120 bytes a label and one prefix's shards;
 * the pictures wait in a temporary file.
 */
#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "dataset/segments.h"
#include "dataset/version.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { FORMAT = 1, VERSION_TRIES = 50 };

struct entry { /* one label of some segment */
	char key[SL_KEY];
	struct sl_rank rank;
	int64_t json_at, jpeg_at; /* in the spool */
	int32_t json, jpeg; /* bytes; jpeg 0: its crop was not found */
};

struct work {
	struct sl_artifacts *a;
	const struct sl_config *cfg;
	FILE *spool;
	int64_t spooled;
	struct entry *entry;
	size_t n, room;
	struct sl_keys forgotten;
	int64_t without_crop, left_out;
	struct sl_tally tally;
	json_t *shards, *through;
	struct sl_buf tar[SL_DEALS];
	int rows[SL_DEALS];
};

static void work_done(struct work *w)
{
	if (w->spool)
		fclose(w->spool);
	free(w->entry);
	sl_keys_done(&w->forgotten);
	sl_tally_done(&w->tally);
	json_decref(w->shards);
	json_decref(w->through);
	for (int i = 0; i < SL_DEALS; i++)
		sl_buf_done(&w->tar[i]);
}

/* ---- reading ---- */

static enum sl_status take_row(const struct sl_shard_row *row, void *arg, struct sl_err *err)
{
	struct work *w = arg;
	SL_AUTOJSON json_t *json = NULL;
	struct sl_label l;
	enum sl_status s = sl_json_parse(row->json, row->key, &json, err);
	if (s == SL_OK)
		s = sl_row_parse(json, row->key, &l, err);
	if (s != SL_OK)
		return s;
	if (sl_keys_has(&w->forgotten, row->key)) {
		w->left_out++;
		return SL_OK;
	}
	if (w->n == w->room) {
		w->room = w->room ? 2 * w->room : 1024;
		w->entry = sl_realloc(w->entry, w->room, sizeof(*w->entry));
	}
	struct entry *e = &w->entry[w->n++];
	*e = (struct entry){.rank = sl_rank_of(&l),
		.json_at = w->spooled,
		.json = (int32_t)row->json.len,
		.jpeg_at = w->spooled + (int64_t)row->json.len,
		.jpeg = (int32_t)row->jpeg.len};
	memcpy(e->key, row->key, sizeof(e->key));
	if (fwrite(row->json.ptr, 1, row->json.len, w->spool) != row->json.len ||
		(row->jpeg.len && fwrite(row->jpeg.ptr, 1, row->jpeg.len, w->spool) != row->jpeg.len))
		return sl_fail_errno(err, SL_IO, errno, "snapshot: temporary file");
	w->spooled += e->json + e->jpeg;
	return SL_OK;
}

static enum sl_status read_segments(struct work *w, struct sl_err *err)
{
	SL_AUTO(sl_segments_done) struct sl_segments all = {0};
	enum sl_status s = sl_segments_list(w->a, &all, err);
	for (int i = 0; i < all.n && s == SL_OK; i++) {
		SL_AUTO(sl_buf_done) struct sl_buf tar = {0};
		const struct sl_segment *g = &all.segment[i];
		char name[24];
		snprintf(name, sizeof(name), "p%d", g->partition);
		json_object_set_new(w->through, name, json_integer(g->last));
		if (!g->rows)
			continue;
		s = sl_shard_fetch(w->a, sl_segment_path, g->sha256, &tar, err);
		if (s == SL_OK)
			s = sl_shard_each(sl_buf_slice(&tar), take_row, w, err);
	}
	return s;
}

static int by_key_best_first(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int c = strcmp(x->key, y->key);
	if (c)
		return c;
	return sl_rank_wins(&x->rank, &y->rank) ? -1 : sl_rank_wins(&y->rank, &x->rank);
}

/* Keeps the label that counts of each key; its picture may come with any label of the key. */
static void keep_best(struct work *w)
{
	size_t n = 0;
	if (w->n)
		qsort(w->entry, w->n, sizeof(*w->entry), by_key_best_first);
	for (size_t i = 0; i < w->n; i++) {
		bool same = n && !strcmp(w->entry[n - 1].key, w->entry[i].key);
		if (!same) {
			w->entry[n++] = w->entry[i];
		} else if (!w->entry[n - 1].jpeg) {
			w->entry[n - 1].jpeg = w->entry[i].jpeg;
			w->entry[n - 1].jpeg_at = w->entry[i].jpeg_at;
		}
	}
	w->n = n;
}

/* ---- writing ---- */

static enum sl_status flush(struct work *w, const char *prefix, struct sl_err *err)
{
	for (int d = 0; d < SL_DEALS; d++) {
		char sha256[65];
		if (!w->rows[d])
			continue;
		sl_shard_end(&w->tar[d]);
		enum sl_status s = sl_shard_store(w->a, sl_shard_path, sl_buf_slice(&w->tar[d]), sha256, err);
		if (s != SL_OK)
			return s;
		json_array_append_new(w->shards,
			json_pack("{s:s,s:s,s:s,s:i,s:I}", "part", sl_deal_name((enum sl_deal)d), "prefix", prefix,
				"sha256", sha256, "rows", w->rows[d], "bytes", (json_int_t)w->tar[d].len));
		sl_buf_done(&w->tar[d]);
		w->rows[d] = 0;
	}
	return SL_OK;
}

static enum sl_status unspool(struct work *w, int64_t at, int32_t len, struct sl_buf *ret, struct sl_err *err)
{
	enum sl_status s = sl_buf_reserve(ret, (size_t)len);
	if (s != SL_OK)
		return sl_fail(err, s, "snapshot: a row of %d bytes", len);
	if (fseeko(w->spool, at, SEEK_SET) || fread(ret->ptr, 1, (size_t)len, w->spool) != (size_t)len)
		return sl_fail_errno(err, SL_IO, errno, "snapshot: temporary file");
	ret->len = (size_t)len;
	return SL_OK;
}

static enum sl_status put_row(struct work *w, const struct entry *e, double holdout, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTO(sl_buf_done) struct sl_buf jpeg = {0};
	SL_AUTOJSON json_t *json = NULL;
	struct sl_label l;
	enum sl_status s = unspool(w, e->json_at, e->json, &text, err);
	if (s == SL_OK)
		s = unspool(w, e->jpeg_at, e->jpeg, &jpeg, err);
	if (s == SL_OK)
		s = sl_json_parse(sl_buf_slice(&text), e->key, &json, err);
	if (s == SL_OK)
		s = sl_row_parse(json, e->key, &l, err);
	if (s != SL_OK)
		return s;
	enum sl_deal deal = sl_row_deal(&l, sl_row_group(json), holdout);
	w->rows[deal]++;
	sl_tally_add(&w->tally, &l, deal);
	return sl_shard_add(&w->tar[deal], e->key, sl_buf_slice(&jpeg), json, err);
}

static enum sl_status write_shards(struct work *w, struct sl_err *err)
{
	double holdout = sl_config_num(w->cfg, "dataset.holdout");
	int digits = sl_shard_digits((int64_t)w->n, sl_config_int(w->cfg, "dataset.shard_rows"));
	char prefix[8] = "";
	enum sl_status s = SL_OK;
	for (size_t i = 0; i < w->n && s == SL_OK; i++) {
		const struct entry *e = &w->entry[i];
		if (!e->jpeg) {
			w->without_crop++;
			continue;
		}
		if (strncmp(prefix, e->key, (size_t)digits) != 0)
			s = flush(w, prefix, err);
		snprintf(prefix, sizeof(prefix), "%.*s", digits, e->key);
		if (s == SL_OK)
			s = put_row(w, e, holdout, err);
	}
	return s == SL_OK ? flush(w, prefix, err) : s;
}

/* ---- the manifest ---- */

static json_t *manifest_of(struct work *w, const struct sl_snapshot *o, int number)
{
	char name[SL_VERSION_NAME];
	sl_version_name(name, number);
	json_t *m = json_pack("{s:i,s:s,s:I,s:s,s:f}", "v", FORMAT, "version", name, "time", (json_int_t)sl_now_ms(),
		"note", o->note ? o->note : "", "holdout", sl_config_num(w->cfg, "dataset.holdout"));
	sl_tally_put(&w->tally, m);
	json_object_set_new(m, "forgotten", json_integer(w->left_out));
	json_object_set_new(m, "without_crop", json_integer(w->without_crop));
	json_object_set(m, "through", w->through);
	json_object_set(m, "shards", w->shards);
	return m;
}

/* True when version m goes further than what we read: a snapshot that began after ours was
 * faster, and ours as the latest would take its newest labels away. */
static bool is_ahead(json_t *m, json_t *through)
{
	const char *part;
	json_t *at;
	json_object_foreach(json_object_get(m, "through"), part, at)
	{
		json_t *ours = json_object_get(through, part);
		if (!ours || json_integer_value(at) > json_integer_value(ours))
			return true;
	}
	return false;
}

static enum sl_status put_manifest(struct work *w, const struct sl_snapshot *o, json_t **ret, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < VERSION_TRIES; i++) {
		SL_AUTOJSON json_t *last = NULL;
		char path[SL_PATH], name[SL_VERSION_NAME];
		s = sl_version_get(w->a, "latest", &last, err);
		if (s != SL_OK && s != SL_NOT_FOUND)
			return s;
		bool same = last && json_equal(json_object_get(last, "shards"), w->shards);
		if (last && ((same && !o->force) || is_ahead(last, w->through))) {
			sl_fail(err, SL_EXISTS, "nothing new since %s",
				json_string_value(json_object_get(last, "version")));
			*ret = SL_TAKE(last);
			return SL_EXISTS;
		}
		int number = last ? sl_version_number(json_string_value(json_object_get(last, "version"))) + 1 : 1;
		SL_AUTOJSON json_t *m = manifest_of(w, o, number);
		sl_version_name(name, number);
		sl_version_path(path, name);
		s = sl_object_put(w->a, path, m, err);
		if (s == SL_OK)
			return sl_version_get(w->a, name, ret, err);
		if (s != SL_EXISTS) /* else another snapshot took the number */
			return s;
	}
	return sl_fail(err, SL_BUSY, "%d other snapshots took a version's number first; try again", VERSION_TRIES);
}

/* In the data folder, where there is room for data; nameless, so it is gone with the process. */
static FILE *open_spool(const struct sl_config *cfg)
{
	int fd = open(sl_config_str(cfg, "data"), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return tmpfile();
	FILE *f = fdopen(fd, "w+b");
	if (!f)
		close(fd);
	return f;
}

enum sl_status sl_version_snapshot(struct sl_artifacts *a, const struct sl_config *cfg, const struct sl_snapshot *o,
	json_t **ret_manifest, struct sl_err *err)
{
	SL_AUTO(work_done)
	struct work w = {
		.a = a, .cfg = cfg, .spool = open_spool(cfg), .shards = json_array(), .through = json_object()};
	if (!w.spool)
		return sl_fail_errno(err, SL_IO, errno, "snapshot: temporary file");
	enum sl_status s = sl_forgotten_list(a, &w.forgotten, err);
	if (s == SL_OK)
		s = read_segments(&w, err);
	if (s != SL_OK)
		return s;
	keep_best(&w);
	s = write_shards(&w, err);
	if (s == SL_OK && !json_array_size(w.shards))
		s = sl_fail(err, SL_NOT_FOUND, "there is no labelled crop yet: nothing to make a version of");
	return s == SL_OK ? put_manifest(&w, o, ret_manifest, err) : s;
}
