/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages: each is what its topic says, has its crop, and had its effect if it was consumed.
 */
#include "base/fs.h"
#include "base/mem.h"
#include "role/dead.h"
#include "role/fsck_work.h"
#include "role/spool.h"
#include <stdio.h>

static void take_label(struct sl_fsck_work *w, const struct sl_message *m)
{
	SL_AUTOJSON json_t *body = NULL;
	struct sl_fsck_label *f = sl_fsck_label(w, m->partition, m->position);
	struct sl_label l;
	struct sl_err why = {0};
	char where[SL_LOG_WHERE];
	enum sl_status s = sl_json_parse(m->body, "message", &body, &why);
	if (s == SL_OK)
		s = sl_label_parse(body, "label", &l, &why);
	sl_log_where(m->topic, m->partition, m->position, where);
	if (s != SL_OK) {
		sl_fsck_find(w, "message", where, "%s", why.text);
		return;
	}
	sl_fsck_label_set(f, &l);
}

/* Reads a topic of one partition; fn sees each batch. */
static enum sl_status each_batch(struct sl_fsck_work *w, const char *topic, int partition, int64_t last,
	enum sl_status (*fn)(struct sl_fsck_work *w, const struct sl_batch *b, int n, struct sl_err *err),
	struct sl_err *err)
{
	int64_t at = -1;
	for (;;) {
		SL_AUTO(sl_batch_done) struct sl_batch b = {0};
		int n = 0;
		enum sl_status s = sl_log_read(w->st->log, topic, partition, at, SL_FSCK_BATCH, &b, err);
		if (s != SL_OK || !b.n)
			return s;
		while (n < b.n && b.message[n].position <= last)
			n++;
		s = fn(w, &b, n, err);
		if (s != SL_OK || n < b.n)
			return s;
		at = b.message[n - 1].position;
	}
}

static enum sl_status labels_batch(struct sl_fsck_work *w, const struct sl_batch *b, int n, struct sl_err *err)
{
	const char *keys[SL_FSCK_BATCH];
	int64_t position[SL_FSCK_BATCH];
	int k = 0;
	size_t first = w->labels;
	for (int i = 0; i < n; i++)
		take_label(w, &b->message[i]);
	w->labels = w->all;
	for (size_t i = first; i < w->labels; i++)
		if (w->label[i].ok) {
			keys[k] = w->label[i].key;
			position[k++] = w->label[i].position;
		}
	sl_fsck_count(w, "labels", n);
	return sl_fsck_crops(w, keys, position, k, SL_TOPIC_LABELS, err);
}

static enum sl_status add_again(
	struct sl_fsck_work *w, const struct sl_review *r, const char *where, struct sl_err *err)
{
	enum sl_status s = sl_reviews_add(w->st->reviews, r, 1, NULL, err);
	if (s == SL_OK)
		sl_fsck_did(w, "review", r->key, "opened again from message %s", where);
	return s;
}

static enum sl_status reviews_batch(struct sl_fsck_work *w, const struct sl_batch *b, int n, struct sl_err *err)
{
	struct sl_review review[SL_FSCK_BATCH], there;
	SL_AUTOFREE struct sl_vote *votes = sl_calloc(SL_VOTES_MAX, sizeof(*votes));
	const char *keys[SL_FSCK_BATCH];
	int64_t position[SL_FSCK_BATCH];
	int k = 0, nvotes;
	for (int i = 0; i < n; i++) {
		SL_AUTOJSON json_t *body = NULL;
		struct sl_err why = {0};
		char where[SL_LOG_WHERE];
		sl_log_where(b->message[i].topic, b->message[i].partition, b->message[i].position, where);
		enum sl_status s = sl_json_parse(b->message[i].body, "message", &body, &why);
		if (s == SL_OK)
			s = sl_review_parse(body, b->message[i].time_ms, &review[k], &why);
		if (s != SL_OK) {
			sl_fsck_find(w, "message", where, "%s", why.text);
			continue;
		}
		s = sl_reviews_get(w->st->reviews, review[k].key, &there, votes, &nvotes, err);
		if (s == SL_NOT_FOUND && w->o->repair)
			s = add_again(w, &review[k], where, err);
		else if (s == SL_NOT_FOUND)
			sl_fsck_find(w, "review", review[k].key, "message %s was consumed, but there is no such review",
				where);
		if (s != SL_OK && s != SL_NOT_FOUND && s != SL_CORRUPT) /* the walk over reviews names a damaged one */
			return s;
		keys[k] = review[k].key;
		position[k++] = b->message[i].position;
	}
	sl_fsck_count(w, "reviews", n);
	return sl_fsck_crops(w, keys, position, k, SL_TOPIC_REVIEWS, err);
}

/* The dead letters of a topic; one that was sent twice counts twice. */
static enum sl_status count_dead(struct sl_fsck_work *w, const char *topic, const char *what, struct sl_err *err)
{
	int64_t n = 0;
	enum sl_status s = sl_log_lag(w->st->log, NULL, topic, &n, err);
	if (s == SL_OK && n)
		sl_fsck_wait(w, what, n);
	return s == SL_NOT_FOUND ? SL_OK : s;
}

static enum sl_status count_spool(struct sl_fsck_work *w, struct sl_err *err)
{
	int64_t waiting = 0, aside = 0;
	if (!w->o->data_dir)
		return SL_OK;
	SL_AUTOFREE char *dir = sl_fs_join(w->o->data_dir, "spool");
	enum sl_status s = sl_spool_count(dir, &waiting, &aside, err);
	if (s == SL_OK && waiting)
		sl_fsck_wait(w, "spooled_frames", waiting);
	if (s == SL_OK && aside)
		sl_fsck_wait(w, "frames_set_aside", aside);
	return s;
}

static enum sl_status read_labels(struct sl_fsck_work *w, struct sl_err *err)
{
	int64_t before = 0;
	sl_fsck_say(w, "labels and their crops");
	enum sl_status s = sl_log_ask_partitions(w->st->log, SL_TOPIC_LABELS, &w->partitions, err);
	if (s != SL_OK)
		return s;
	w->begin = sl_calloc((size_t)w->partitions + 1, sizeof(*w->begin));
	for (int p = 0; p < w->partitions && s == SL_OK; p++) {
		int64_t last = -1;
		size_t first = w->labels;
		s = sl_log_last(w->st->log, SL_TOPIC_LABELS, p, &last, err); /* first: what comes now is read too */
		if (s == SL_OK)
			s = each_batch(w, SL_TOPIC_LABELS, p, INT64_MAX, labels_batch, err);
		w->begin[p] = first < w->labels ? w->label[first].position : last + 1;
		before += w->begin[p];
	}
	w->trimmed = before > 0;
	if (s == SL_OK && w->trimmed)
		sl_fsck_count(w, "labels_not_kept", before);
	return s;
}

enum sl_status sl_fsck_topics(struct sl_fsck_work *w, struct sl_err *err)
{
	int n = 0;
	int64_t lag = 0;
	enum sl_status s = read_labels(w, err);
	sl_fsck_say(w, "review messages and their reviews");
	if (s == SL_OK)
		s = sl_log_ask_partitions(w->st->log, SL_TOPIC_REVIEWS, &n, err);
	for (int p = 0; p < n && s == SL_OK; p++) {
		int64_t last = -1;
		s = sl_reviews_position(w->st->reviews, SL_GROUP_INTAKE, p, &last, err);
		if (s == SL_OK)
			s = each_batch(w, SL_TOPIC_REVIEWS, p, last, reviews_batch, err);
	}
	if (s == SL_OK)
		s = sl_log_lag(w->st->log, SL_GROUP_INTAKE, SL_TOPIC_REVIEWS, &lag, err);
	if (s == SL_OK)
		sl_fsck_wait(w, "intake", lag);
	if (s == SL_OK)
		s = count_dead(w, SL_TOPIC_LABELS SL_TOPIC_DEAD, "dead_labels", err);
	if (s == SL_OK)
		s = count_dead(w, SL_TOPIC_REVIEWS SL_TOPIC_DEAD, "dead_reviews", err);
	return s == SL_OK ? count_spool(w, err) : s;
}
