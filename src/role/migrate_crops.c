/* SPDX-License-Identifier: Apache-2.0
 *
 * Crops, key by key in both stores.
 */
#include "dataset/segments.h"
#include "role/migrate_work.h"

enum { BATCH = 64 }; /* crops in memory: at most BATCH * (SL_CROP_MAX + SL_CROP_META_MAX) a side */

struct crops {
	char key[BATCH][SL_KEY];
	int n;
	struct sl_keys forgotten;
	struct sl_sha256 *sum;
};

static void crops_done(struct crops *c)
{
	sl_keys_done(&c->forgotten);
	sl_sha256_free(c->sum);
}

static enum sl_status scan(
	const void *store, const char *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	return sl_crops_scan((struct sl_crops *)(uintptr_t)store, "", after, max, ret, ret_n, err);
}

static enum sl_status merge(struct sl_migrate_work *w, sl_merge_fn fn, struct crops *c, struct sl_err *err)
{
	return sl_migrate_merge(w, scan, w->o->from->crops, w->o->to->crops, fn, c, err);
}

/* What was forgotten in the source goes in the target too, if the mark that says so moves along. */
static enum sl_status read_forgotten(struct sl_migrate_work *w, struct crops *c, struct sl_err *err)
{
	return w->o->from->artifacts ? SL_TRY(w, sl_forgotten_list(w->o->from->artifacts, &c->forgotten, err)) : SL_OK;
}

static enum sl_status look_one(
	struct sl_migrate_work *w, const char *key, enum sl_side side, void *arg, struct sl_err *err)
{
	const struct crops *c = arg;
	if (side == SL_TO_ONLY && !sl_keys_has(&c->forgotten, key))
		return sl_fail(err, SL_CONFLICT,
			"migrate: the target has crop %s, the source has not; choose an empty target, or remove it there",
			key);
	w->count[SL_PART_CROPS].items += side != SL_TO_ONLY;
	w->count[SL_PART_CROPS].there += side == SL_BOTH;
	sl_migrate_did(w, 1, 0);
	return SL_OK;
}

enum sl_status sl_migrate_crops_look(struct sl_migrate_work *w, struct sl_err *err)
{
	SL_AUTO(crops_done) struct crops c = {.n = 0};
	enum sl_status s = read_forgotten(w, &c, err);
	return s == SL_OK ? merge(w, look_one, &c, err) : s;
}

static void drop(struct sl_crop *crop, int n)
{
	for (int i = 0; i < n; i++)
		sl_crop_done(&crop[i]);
}

/* The crops of c's keys; one that is damaged is found, and its place stays empty like one that is gone. */
static enum sl_status fetch(struct sl_migrate_work *w, struct sl_crops *store, const char *whose, const struct crops *c,
	struct sl_crop *ret, struct sl_err *err)
{
	const char *key[BATCH];
	for (int i = 0; i < c->n; i++)
		key[i] = c->key[i];
	enum sl_status s = SL_TRY(w, sl_crops_get_many(store, key, c->n, ret, err));
	if (s != SL_CORRUPT)
		return s;
	s = SL_OK;
	for (int i = 0; i < c->n && s == SL_OK; i++) {
		ret[i] = (struct sl_crop){.key = ""};
		s = SL_TRY(w, sl_crops_get(store, key[i], &ret[i], err));
		if (s == SL_CORRUPT)
			sl_migrate_find(w, "crop", key[i], "in the %s: %s", whose, err->text);
		s = s == SL_CORRUPT || s == SL_NOT_FOUND ? SL_OK : s;
	}
	return s;
}

static enum sl_status copy_batch(struct sl_migrate_work *w, struct crops *c, struct sl_err *err)
{
	struct sl_crop crop[BATCH] = {0};
	struct sl_crop_put put[BATCH];
	int n = 0;
	int64_t bytes = 0;
	enum sl_status s = c->n ? fetch(w, w->o->from->crops, "source", c, crop, err) : SL_OK;
	for (int i = 0; i < c->n && s == SL_OK; i++)
		if (crop[i].key[0]) {
			put[n++] = (struct sl_crop_put){
				crop[i].key, sl_buf_slice(&crop[i].jpeg), sl_buf_slice(&crop[i].meta)};
			bytes += (int64_t)(crop[i].jpeg.len + crop[i].meta.len);
		}
	if (s == SL_OK && n)
		s = SL_TRY(w, sl_crops_put_many(w->o->to->crops, put, n, err));
	drop(crop, c->n);
	c->n = 0;
	if (s != SL_OK)
		return s;
	w->count[SL_PART_CROPS].copied += n;
	w->count[SL_PART_CROPS].bytes += bytes;
	sl_migrate_did(w, n, bytes);
	return SL_OK;
}

static enum sl_status copy_one(
	struct sl_migrate_work *w, const char *key, enum sl_side side, void *arg, struct sl_err *err)
{
	struct crops *c = arg;
	if (side == SL_TO_ONLY && sl_keys_has(&c->forgotten, key))
		return SL_TRY(w, sl_crops_remove(w->o->to->crops, key, err));
	if (side != SL_FROM_ONLY)
		return SL_OK;
	SL_COPY(c->key[c->n++], key);
	return c->n == BATCH ? copy_batch(w, c, err) : SL_OK;
}

enum sl_status sl_migrate_crops_copy(struct sl_migrate_work *w, struct sl_err *err)
{
	SL_AUTO(crops_done) struct crops c = {.n = 0};
	enum sl_status s = read_forgotten(w, &c, err);
	if (s == SL_OK)
		s = merge(w, copy_one, &c, err);
	return s == SL_OK ? copy_batch(w, &c, err) : s;
}

static void add_sum(struct sl_sha256 *sum, const char *key, const struct sl_crop *crop)
{
	uint8_t digest[2][SL_SHA256];
	sl_sha256(crop->jpeg.ptr, crop->jpeg.len, digest[0]);
	sl_sha256(crop->meta.ptr, crop->meta.len, digest[1]);
	sl_sha256_add(sum, key, strlen(key) + 1);
	sl_sha256_add(sum, digest, sizeof(digest));
}

static enum sl_status compare_batch(struct sl_migrate_work *w, struct crops *c, struct sl_err *err)
{
	struct sl_crop from[BATCH] = {0}, to[BATCH] = {0};
	int64_t bytes = 0;
	enum sl_status s = c->n ? fetch(w, w->o->from->crops, "source", c, from, err) : SL_OK;
	if (s == SL_OK && c->n)
		s = fetch(w, w->o->to->crops, "target", c, to, err);
	for (int i = 0; i < c->n && s == SL_OK; i++) {
		if (from[i].key[0] && to[i].key[0] &&
			(!sl_slice_is_same(sl_buf_slice(&from[i].jpeg), sl_buf_slice(&to[i].jpeg)) ||
				!sl_slice_is_same(sl_buf_slice(&from[i].meta), sl_buf_slice(&to[i].meta))))
			sl_migrate_find(w, "crop", c->key[i], "differs between source and target");
		add_sum(c->sum, c->key[i], &to[i]);
		bytes += (int64_t)(to[i].jpeg.len + to[i].meta.len);
	}
	drop(from, c->n);
	drop(to, c->n);
	sl_migrate_did(w, c->n, bytes);
	c->n = 0;
	return s;
}

static enum sl_status compare_one(
	struct sl_migrate_work *w, const char *key, enum sl_side side, void *arg, struct sl_err *err)
{
	struct crops *c = arg;
	w->count[SL_PART_CROPS].items += side != SL_TO_ONLY;
	if (side != SL_BOTH) {
		sl_migrate_find(w, "crop", key, "only the %s has it", side == SL_FROM_ONLY ? "source" : "target");
		return SL_OK;
	}
	SL_COPY(c->key[c->n++], key);
	return c->n == BATCH ? compare_batch(w, c, err) : SL_OK;
}

enum sl_status sl_migrate_crops_compare(struct sl_migrate_work *w, struct sl_err *err)
{
	SL_AUTO(crops_done) struct crops c = {.sum = sl_sha256_new()};
	w->count[SL_PART_CROPS].items = 0;
	enum sl_status s = merge(w, compare_one, &c, err);
	if (s == SL_OK)
		s = compare_batch(w, &c, err);
	sl_sha256_end_hex(c.sum, w->count[SL_PART_CROPS].sha256);
	return s;
}
