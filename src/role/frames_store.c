/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "core/message.h"
#include "role/frames.h"

/* What goes to the stores for one frame. */
struct write {
	int n;
	const struct sl_sign *sign[SL_SIGNS_MAX]; /* not known to be finished */
	struct sl_crop there[SL_SIGNS_MAX]; /* key empty where the store has none yet */
	struct sl_buf meta[SL_SIGNS_MAX], message[SL_SIGNS_MAX];
	const char *topic[SL_SIGNS_MAX];
};

static void write_done(struct write **pw)
{
	struct write *w = *pw;

	for (int i = 0; i < w->n; i++) {
		sl_crop_done(&w->there[i]);
		sl_buf_done(&w->meta[i]);
		sl_buf_done(&w->message[i]);
	}
	free(w);
}

static size_t place_of(const struct sl_frames *f, const char *key)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */

	for (; *key; key++)
		h = (h ^ (uint8_t)*key) * 1099511628211u;
	return h % f->nrecent;
}

static bool is_recent(struct sl_frames *f, const char *key)
{
	bool found = false;

	if (!f->nrecent)
		return false;
	pthread_mutex_lock(&f->lock);
	found = strcmp(f->recent[place_of(f, key)], key) == 0;
	pthread_mutex_unlock(&f->lock);
	return found;
}

static void remember(struct sl_frames *f, const char *key)
{
	if (!f->nrecent)
		return;
	pthread_mutex_lock(&f->lock);
	memcpy(f->recent[place_of(f, key)], key, strlen(key) + 1);
	pthread_mutex_unlock(&f->lock);
}

static enum sl_status find_stored(struct sl_job *j, struct write *w, struct sl_err *err)
{
	const char *keys[SL_SIGNS_MAX];

	for (int i = 0; i < w->n; i++)
		keys[i] = w->sign[i]->key;
	return sl_crops_get_many(j->f->ctx->stores.crops, keys, w->n, w->there, err);
}

/* The stored metadata if the crop is there and is ours, else new; and the message it makes. */
static enum sl_status make_message(struct sl_job *j, struct write *w, int i, struct sl_err *err)
{
	SL_AUTOJSON json_t *meta = NULL, *message = NULL;

	if (*w->there[i].key && sl_json_parse(sl_buf_slice(&w->there[i].meta), "crop", &meta, NULL) == SL_OK)
		message = sl_crop_message(w->sign[i]->key, meta, &w->topic[i]);
	if (!message) {
		json_decref(meta);
		meta = sl_frame_crop_meta(j, w->sign[i]);
		message = sl_crop_message(w->sign[i]->key, meta, &w->topic[i]);
	}
	w->meta[i].cap = SL_CROP_META_MAX;
	w->message[i].cap = SL_MESSAGE_MAX;
	if (sl_json_print(meta, &w->meta[i]) != SL_OK || sl_json_print(message, &w->message[i]) != SL_OK)
		return sl_fail(err, SL_TOO_LARGE, "the metadata of crop %s is too large to store", w->sign[i]->key);
	return SL_OK;
}

static enum sl_status put_crops(struct sl_job *j, struct write *w, struct sl_err *err)
{
	struct sl_crop_put put[SL_SIGNS_MAX];
	int n = 0;

	for (int i = 0; i < w->n; i++)
		if (!*w->there[i].key)
			put[n++] = (struct sl_crop_put){
				w->sign[i]->key, sl_buf_slice(&w->sign[i]->jpeg), sl_buf_slice(&w->meta[i])};
	return n ? sl_crops_put_many(j->f->ctx->stores.crops, put, n, err) : SL_OK;
}

static enum sl_status send(struct sl_job *j, struct write *w, struct sl_err *err)
{
	struct sl_entry entry[SL_SIGNS_MAX];

	for (int i = 0; i < w->n; i++)
		entry[i] = (struct sl_entry){w->topic[i], w->sign[i]->key, sl_buf_slice(&w->message[i])};
	return sl_log_append_many(j->f->ctx->stores.log, entry, w->n, j->deadline_us, err);
}

/* What a store refuses, for its configuration or its health, says nothing of the frame: it is away for it. */
static enum sl_status store_said(const char *store, enum sl_status s, struct sl_err *err)
{
	return sl_prefix(err, sl_status_is_retriable(s) || s == SL_TOO_LARGE ? s : SL_AWAY, "%s", store);
}

enum sl_status sl_frame_write(struct sl_job *j, struct sl_err *err)
{
	SL_AUTO(write_done) struct write *w = SL_NEW(struct write);
	int64_t from = sl_mono_us();
	enum sl_status s = SL_OK;

	for (int i = 0; i < j->seen.n; i++)
		if (!is_recent(j->f, j->seen.sign[i].key))
			w->sign[w->n++] = &j->seen.sign[i];
	if (!w->n)
		return SL_OK;
	s = find_stored(j, w, err);
	for (int i = 0; i < w->n && s == SL_OK; i++)
		s = make_message(j, w, i, err);
	if (s == SL_OK)
		s = put_crops(j, w, err);
	j->us[SL_FRAME_STORE] = sl_mono_us() - from;
	if (s != SL_OK)
		return store_said("crop store", s, err);
	from = sl_mono_us();
	s = send(j, w, err);
	j->us[SL_FRAME_PUBLISH] = sl_mono_us() - from;
	if (s != SL_OK)
		return store_said("log", s, err);
	for (int i = 0; i < w->n; i++)
		remember(j->f, w->sign[i]->key);
	return SL_OK;
}
