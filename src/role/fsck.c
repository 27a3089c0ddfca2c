/* SPDX-License-Identifier: Apache-2.0 */
#include "role/fsck.h"
#include "base/mem.h"
#include "role/fsck_work.h"
#include <stdarg.h>
#include <stdio.h>

static void add(json_t *list, const char *what, const char *where, const char *fmt, va_list ap)
{
	char why[SL_ERR_TEXT];
	vsnprintf(why, sizeof(why), fmt, ap);
	sl_text_mend(why);
	json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "what", what, "where", where, "why", why));
}

struct sl_fsck_label *sl_fsck_label(struct sl_fsck_work *w, int partition, int64_t position)
{
	if (w->all == w->room) {
		w->room = w->room ? 2 * w->room : 1024;
		w->label = sl_realloc(w->label, w->room, sizeof(*w->label));
	}
	w->label[w->all] = (struct sl_fsck_label){.partition = partition, .position = position};
	return &w->label[w->all++];
}

void sl_fsck_label_set(struct sl_fsck_label *f, const struct sl_label *l)
{
	memcpy(f->key, l->key, sizeof(f->key));
	f->choice = l->cls;
	f->person = strcmp(l->source, "model") != 0;
	f->voted = !strcmp(l->source, "votes") || !strcmp(l->source, "expert");
	f->ok = true;
}

void sl_fsck_find(struct sl_fsck_work *w, const char *what, const char *where, const char *fmt, ...)
{
	va_list ap;
	if (json_array_size(w->findings) >= SL_FSCK_FINDINGS) {
		w->more++;
		return;
	}
	va_start(ap, fmt);
	add(w->findings, what, where, fmt, ap);
	va_end(ap);
}

void sl_fsck_did(struct sl_fsck_work *w, const char *what, const char *where, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	add(w->repaired, what, where, fmt, ap);
	va_end(ap);
}

static void plus(json_t *o, const char *what, int64_t n)
{
	json_object_set_new(o, what, json_integer(json_integer_value(json_object_get(o, what)) + n));
}

void sl_fsck_count(struct sl_fsck_work *w, const char *what, int64_t n)
{
	plus(w->checked, what, n);
}

void sl_fsck_wait(struct sl_fsck_work *w, const char *what, int64_t n)
{
	plus(w->waiting, what, n);
}

void sl_fsck_say(struct sl_fsck_work *w, const char *what)
{
	if (w->o->progress)
		w->o->progress(w->o->arg, what);
}

enum sl_status sl_fsck_fetch(
	struct sl_fsck_work *w, const char *const *keys, int n, bool name, struct sl_crop *ret, struct sl_err *err)
{
	enum sl_status s = sl_crops_get_many(w->st->crops, keys, n, ret, err);
	if (s != SL_CORRUPT)
		return s;
	s = SL_OK;
	for (int i = 0; i < n && s == SL_OK; i++) {
		sl_crop_done(&ret[i]);
		ret[i] = (struct sl_crop){.key = ""};
		s = sl_crops_get(w->st->crops, keys[i], &ret[i], err);
		if (s == SL_CORRUPT) {
			if (name)
				sl_fsck_find(w, "crop", keys[i], "%s", err->text);
			ret[i] = (struct sl_crop){.key = ""};
			snprintf(ret[i].key, sizeof(ret[i].key), "%s", keys[i]);
		}
		s = s == SL_CORRUPT || s == SL_NOT_FOUND ? SL_OK : s;
	}
	return s;
}

enum sl_status sl_fsck_crops(struct sl_fsck_work *w, const char *const *keys, const int64_t *position, int n,
	const char *topic, struct sl_err *err)
{
	SL_AUTOFREE struct sl_crop *crop = sl_calloc((size_t)n + 1, sizeof(*crop));
	enum sl_status s = n ? sl_fsck_fetch(w, keys, n, !w->o->bytes, crop, err) : SL_OK; /* else all are read later */
	for (int i = 0; i < n && s == SL_OK; i++) {
		if (!crop[i].key[0] && !sl_keys_has(&w->forgotten, keys[i]))
			sl_fsck_find(w, "crop", keys[i],
				"topic %s names it at position %lld, but it is not in the crop store", topic,
				(long long)position[i]);
		sl_crop_done(&crop[i]);
	}
	return s;
}

static int by_key(const void *a, const void *b)
{
	const struct sl_fsck_label *x = a, *y = b;
	int c = strcmp(x->key, y->key);
	return c ? c : (x->position > y->position) - (x->position < y->position);
}

static enum sl_status walk(struct sl_fsck_work *w, struct sl_err *err)
{
	enum sl_status s = sl_forgotten_list(w->st->artifacts, &w->forgotten, err);
	if (s == SL_OK)
		s = sl_fsck_topics(w, err);
	if (s == SL_OK)
		s = sl_fsck_segments(w, err);
	if (w->all)
		qsort(w->label, w->all, sizeof(*w->label), by_key);
	if (s == SL_OK)
		s = sl_fsck_reviews(w, err);
	if (s == SL_OK && w->o->recompute)
		s = sl_fsck_verdicts(w, err);
	if (s == SL_OK)
		s = sl_fsck_all_crops(w, err);
	if (s == SL_OK)
		s = sl_fsck_versions(w, err);
	return s == SL_OK ? sl_fsck_models(w, err) : s;
}

enum sl_status sl_fsck_run(const struct sl_stores *st, const struct sl_fsck *o, json_t **ret, struct sl_err *err)
{
	struct sl_fsck_work w = {.st = st,
		.o = o,
		.findings = json_array(),
		.repaired = json_array(),
		.checked = json_object(),
		.waiting = json_object()};
	enum sl_status s = walk(&w, err);
	json_t *v = json_pack("{s:b,s:o,s:o,s:o,s:o,s:I}", "ok", (int)!json_array_size(w.findings), "checked",
		w.checked, "waiting", w.waiting, "findings", w.findings, "repaired", w.repaired, "more",
		(json_int_t)w.more);
	sl_keys_done(&w.forgotten);
	sl_taxonomy_free(w.taxonomy);
	free(w.label);
	free(w.begin);
	if (s == SL_OK)
		*ret = v;
	else
		json_decref(v);
	return s;
}
