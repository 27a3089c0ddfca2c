/* SPDX-License-Identifier: Apache-2.0
 *
 * Topics, message by message into the same places: segments and reviews say which positions had their
 * effect, and that must stay true. Then how far each group has read.
 */
#include "core/message.h"
#include "base/clock.h"
#include "role/migrate_work.h"
#include <stdio.h>

enum { BATCH = 500, APPEND_MS = 30000, PARTITIONS = 1024 };

/* announces: its messages speak of artifacts that were there before. */
static const struct topic {
	const char *name;
	bool announces, always; /* always: made in the target even when it is empty */
} topics[] = {
	{SL_TOPIC_MODELS, true, true},
	{SL_TOPIC_MODELS ".dead", true, false},
	{SL_TOPIC_LABELS, false, true},
	{SL_TOPIC_LABELS ".dead", false, false},
	{SL_TOPIC_REVIEWS, false, true},
	{SL_TOPIC_REVIEWS ".dead", false, false},
};

/* Each process of rollout has a group of its own, which ends with it. */
static const struct group {
	const char *name, *topic;
	bool in_reviews; /* the review store has its position, with the effect */
} groups[] = {
	{SL_GROUP_CURATE, SL_TOPIC_LABELS, false},
	{SL_GROUP_INTAKE, SL_TOPIC_REVIEWS, true},
};

static enum sl_status partitions_of(struct sl_log *l, const char *topic, int *ret, struct sl_err *err)
{
	enum sl_status s = sl_log_ask_partitions(l, topic, ret, err);
	if (s == SL_OK && *ret > PARTITIONS)
		s = sl_fail(err, SL_UNSUPPORTED, "migrate: topic %s has %d partitions; at most %d", topic, *ret,
			PARTITIONS);
	return s;
}

/* ---- how far the source is ---- */

static enum sl_status read_lanes(struct sl_migrate_work *w, const struct topic *t, struct sl_err *err)
{
	int n = 0;
	enum sl_status s = SL_TRY(w, partitions_of(w->o->from->log, t->name, &n, err));
	for (int p = 0; p < n && s == SL_OK; p++) {
		struct sl_lane lane = {.topic = t->name, .partition = p};
		s = SL_TRY(w, sl_log_last(w->o->from->log, t->name, p, &lane.last, err));
		w->lane = sl_realloc(w->lane, (size_t)w->nlanes + 1, sizeof(*w->lane));
		w->lane[w->nlanes++] = lane;
	}
	return s;
}

static enum sl_status read_places(struct sl_migrate_work *w, const struct group *g, struct sl_err *err)
{
	int n = 0;
	enum sl_status s = SL_TRY(w, partitions_of(w->o->from->log, g->topic, &n, err));
	for (int p = 0; p < n && s == SL_OK; p++) {
		struct sl_place at = {g->name, g->topic, p, -1, -1};
		s = SL_TRY(w, sl_log_committed(w->o->from->log, g->name, g->topic, p, &at.log, err));
		if (s == SL_OK && g->in_reviews && w->o->from->reviews)
			s = SL_TRY(w, sl_reviews_position(w->o->from->reviews, g->name, p, &at.reviews, err));
		w->place = sl_realloc(w->place, (size_t)w->nplaces + 1, sizeof(*w->place));
		w->place[w->nplaces++] = at;
	}
	return s;
}

enum sl_status sl_migrate_ends(struct sl_migrate_work *w, bool first, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	if (first)
		w->nlanes = w->nplaces = 0;
	if (!w->o->from->log)
		return s;
	for (size_t i = 0; i < SL_COUNT(topics) && s == SL_OK; i++)
		if (topics[i].announces == first)
			s = read_lanes(w, &topics[i], err);
	for (size_t i = 0; i < SL_COUNT(groups) && s == SL_OK && first; i++)
		s = read_places(w, &groups[i], err);
	return s;
}

/* ---- messages ---- */

static bool is_same(const struct sl_message *a, const struct sl_message *b)
{
	return a->position == b->position && a->time_ms == b->time_ms && !strcmp(a->key, b->key) &&
	       sl_slice_is_same(a->body, b->body);
}

static enum sl_status lost_end(const struct sl_lane *a, struct sl_err *err)
{
	return sl_fail(err, SL_CONFLICT,
		"migrate: topic %s, partition %d: the source has no message %lld any more, its last (retention?), and the target "
		"would give that place again; run this again when a newer one is there",
		a->topic, a->partition, (long long)a->last);
}

static enum sl_status read_some(struct sl_migrate_work *w, struct sl_log *l, const struct sl_lane *a, int64_t after,
	int max, struct sl_batch *ret, struct sl_err *err)
{
	return SL_TRY(w, sl_log_read(l, a->topic, a->partition, after, max, ret, err));
}

/* A place is never given twice: segments, reviews and groups speak of messages by it. Where retention took what a
 * partition ended with, the target would end earlier and give those places again. */
static enum sl_status look_end(struct sl_migrate_work *w, const struct sl_lane *a, struct sl_err *err)
{
	SL_AUTO(sl_batch_done) struct sl_batch x = {0};
	enum sl_status s = a->last < 0 ? SL_OK : read_some(w, w->o->from->log, a, a->last - 1, 1, &x, err);
	if (s == SL_OK && a->last >= 0 && !x.n)
		return lost_end(a, err);
	for (int i = 0; i < w->nplaces && s == SL_OK; i++) {
		const struct sl_place *p = &w->place[i];
		if (p->partition == a->partition && !strcmp(p->topic, a->topic) && SL_MAX(p->log, p->reviews) > a->last)
			s = sl_fail(err, SL_CONFLICT,
				"migrate: group %s has read topic %s, partition %d, up to %lld, the source ends at %lld: messages "
				"are lost there; run 'signloop fsck' on it",
				p->group, p->topic, p->partition, (long long)SL_MAX(p->log, p->reviews),
				(long long)a->last);
	}
	return s;
}

/* The last message of the target is the source's at that place: what is before it came the same way. */
static enum sl_status look_lane(struct sl_migrate_work *w, const struct sl_lane *a, int64_t there, struct sl_err *err)
{
	SL_AUTO(sl_batch_done) struct sl_batch x = {0};
	SL_AUTO(sl_batch_done) struct sl_batch y = {0};
	char where[SL_LOG_WHERE];
	sl_log_where(a->topic, a->partition, there, where);
	if (there > a->last)
		return sl_fail(err, SL_CONFLICT,
			"migrate: the target has message %s, the source ends at %lld; choose an empty target", where,
			(long long)a->last);
	if (there < 0)
		return SL_OK;
	enum sl_status s = read_some(w, w->o->from->log, a, there - 1, 1, &x, err);
	if (s == SL_OK)
		s = read_some(w, w->o->to->log, a, there - 1, 1, &y, err);
	if (s == SL_OK && (!x.n || !y.n || !is_same(x.message, y.message)))
		return sl_fail(err, SL_CONFLICT,
			"migrate: message %s is another one in the target; choose an empty target", where);
	return s;
}

/* Partitions that the source has not: nothing came there from it. before: it is refused, else found. */
static enum sl_status check_further(struct sl_migrate_work *w, bool before, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (size_t i = 0; i < SL_COUNT(topics) && s == SL_OK; i++) {
		char where[SL_LOG_WHERE];
		int here = 0, there = 0;
		int64_t last = -1;
		s = SL_TRY(w, partitions_of(w->o->from->log, topics[i].name, &here, err));
		if (s == SL_OK)
			s = SL_TRY(w, partitions_of(w->o->to->log, topics[i].name, &there, err));
		for (int p = here; p < there && s == SL_OK; p++) {
			s = SL_TRY(w, sl_log_last(w->o->to->log, topics[i].name, p, &last, err));
			if (s != SL_OK || last < 0)
				continue;
			sl_log_where(topics[i].name, p, last, where);
			if (before)
				return sl_fail(err, SL_CONFLICT,
					"migrate: the target has message %s, the source has no such partition; choose an empty target",
					where);
			sl_migrate_find(w, "message", where, "only the target has it and what comes before");
		}
	}
	return s;
}

enum sl_status sl_migrate_log_look(struct sl_migrate_work *w, struct sl_err *err)
{
	struct sl_part_count *c = &w->count[SL_PART_LOG];
	enum sl_status s = sl_migrate_ends(w, true, err);
	if (s == SL_OK)
		s = sl_migrate_ends(w, false, err);
	for (int i = 0; i < w->nlanes && s == SL_OK; i++) {
		int64_t there = -1;
		s = SL_TRY(w, sl_log_last(w->o->to->log, w->lane[i].topic, w->lane[i].partition, &there, err));
		if (s == SL_OK)
			s = look_lane(w, &w->lane[i], there, err);
		if (s == SL_OK)
			s = look_end(w, &w->lane[i], err);
		c->items += w->lane[i].last + 1;
		c->there += there + 1;
	}
	return s == SL_OK ? check_further(w, true, err) : s;
}

static enum sl_status make_topics(struct sl_migrate_work *w, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (size_t i = 0; i < SL_COUNT(topics) && s == SL_OK; i++) {
		bool wanted = topics[i].always;
		int here = 1, there = 1;
		for (int k = 0; k < w->nlanes; k++)
			wanted |= !strcmp(w->lane[k].topic, topics[i].name) && w->lane[k].last >= 0;
		if (!wanted)
			continue;
		s = SL_TRY(w, partitions_of(w->o->from->log, topics[i].name, &here, err));
		if (s == SL_OK) /* more of them, if the target's URL says so, are for what comes later */
			s = SL_TRY(w, partitions_of(w->o->to->log, topics[i].name, &there, err));
		if (s == SL_OK)
			s = SL_TRY(w, sl_log_make(w->o->to->log, topics[i].name, SL_MAX(here, there), err));
		if (s == SL_CONFLICT)
			sl_prefix(err, s, "migrate: the target");
	}
	return s;
}

/* What a lost answer has stored is found by asking how far the target is. */
static enum sl_status copy_some(
	struct sl_migrate_work *w, const struct sl_lane *a, int64_t *at, bool *ret_more, struct sl_err *err)
{
	SL_AUTO(sl_batch_done) struct sl_batch b = {0};
	int64_t bytes = 0;
	int n = 0;
	enum sl_status s = read_some(w, w->o->from->log, a, *at, BATCH, &b, err);
	for (; s == SL_OK && n < b.n && b.message[n].position <= a->last; n++)
		bytes += (int64_t)b.message[n].body.len;
	*ret_more = n > 0;
	if (s != SL_OK || !n)
		return s;
	s = sl_log_restore(w->o->to->log, b.message, n, sl_deadline_ms(APPEND_MS), err);
	if (s == SL_OK) {
		*at = b.message[n - 1].position;
		w->count[SL_PART_LOG].copied += n;
		w->count[SL_PART_LOG].bytes += bytes;
		sl_migrate_did(w, n, bytes);
	}
	return s;
}

static enum sl_status copy_lane(struct sl_migrate_work *w, const struct sl_lane *a, struct sl_err *err)
{
	int64_t at = -1;
	bool more = a->last >= 0;
	enum sl_status s = more ? SL_TRY(w, sl_log_last(w->o->to->log, a->topic, a->partition, &at, err)) : SL_OK;
	while (s == SL_OK && more && at < a->last) {
		s = copy_some(w, a, &at, &more, err);
		if (sl_migrate_again(w, s, err))
			s = SL_TRY(w, sl_log_last(w->o->to->log, a->topic, a->partition, &at, err));
	}
	return s == SL_OK && at < a->last ? lost_end(a, err) : s;
}

enum sl_status sl_migrate_log_copy(struct sl_migrate_work *w, struct sl_err *err)
{
	enum sl_status s = make_topics(w, err);
	for (int i = 0; i < w->nlanes && s == SL_OK; i++)
		s = copy_lane(w, &w->lane[i], err);
	return s;
}

static void add_sum(struct sl_sha256 *sum, const struct sl_message *m)
{
	char head[SL_MESSAGE_KEY + SL_TOPIC + 64];
	int n = snprintf(head, sizeof(head), "%s %d %lld %lld %s %zu\n", m->topic, m->partition, (long long)m->position,
		(long long)m->time_ms, m->key, m->body.len);
	sl_sha256_add(sum, head, (size_t)n);
	sl_sha256_add(sum, m->body.ptr, m->body.len);
}

/* Both sides side by side; *ret_at goes on to the last that was compared. */
static enum sl_status compare_some(struct sl_migrate_work *w, const struct sl_lane *a, int64_t *at, bool *ret_more,
	struct sl_sha256 *sum, struct sl_err *err)
{
	SL_AUTO(sl_batch_done) struct sl_batch x = {0};
	SL_AUTO(sl_batch_done) struct sl_batch y = {0};
	char where[SL_LOG_WHERE];
	enum sl_status s = read_some(w, w->o->from->log, a, *at, BATCH, &x, err);
	if (s == SL_OK)
		s = read_some(w, w->o->to->log, a, *at, BATCH, &y, err);
	int n = SL_MIN(x.n, y.n);
	for (int i = 0; i < n && s == SL_OK; i++) {
		sl_log_where(a->topic, a->partition, x.message[i].position, where);
		if (!is_same(&x.message[i], &y.message[i]))
			sl_migrate_find(w, "message", where, "is another one in the target");
		add_sum(sum, &y.message[i]);
		*at = x.message[i].position;
	}
	sl_migrate_did(w, n, 0);
	w->count[SL_PART_LOG].items += n;
	*ret_more = n > 0;
	if (s == SL_OK && !n && (x.n || y.n)) {
		sl_log_where(a->topic, a->partition, x.n ? x.message->position : y.message->position, where);
		sl_migrate_find(
			w, "message", where, "only the %s has it and what comes after", x.n ? "source" : "target");
	} else if (s == SL_OK && !n && *at < a->last) {
		sl_log_where(a->topic, a->partition, a->last, where);
		sl_migrate_find(w, "message", where,
			"is the last of its partition and gone from the source (retention?): the target would give its place again");
	}
	return s;
}

enum sl_status sl_migrate_log_compare(struct sl_migrate_work *w, struct sl_err *err)
{
	struct sl_sha256 *sum = sl_sha256_new();
	enum sl_status s = SL_OK;
	w->count[SL_PART_LOG].items = 0;
	for (int i = 0; i < w->nlanes && s == SL_OK; i++) {
		int64_t at = -1;
		for (bool more = true; more && s == SL_OK;)
			s = compare_some(w, &w->lane[i], &at, &more, sum, err);
	}
	sl_sha256_end_hex(sum, w->count[SL_PART_LOG].sha256);
	sl_sha256_free(sum);
	return s == SL_OK ? check_further(w, false, err) : s;
}

/* ---- groups ---- */

enum sl_status sl_migrate_places_copy(struct sl_migrate_work *w, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < w->nplaces && s == SL_OK; i++) {
		const struct sl_place *p = &w->place[i];
		if (p->log >= 0 && w->o->to->log)
			s = SL_TRY(w, sl_log_commit_to(w->o->to->log, p->group, p->topic, p->partition, p->log, err));
		struct sl_origin from = {p->group, p->partition, p->reviews};
		if (s == SL_OK && p->reviews >= 0 && w->o->to->reviews)
			s = SL_TRY(w, sl_reviews_add(w->o->to->reviews, NULL, 0, &from, err));
	}
	return s;
}

enum sl_status sl_migrate_places_compare(struct sl_migrate_work *w, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < w->nplaces && s == SL_OK; i++) {
		const struct sl_place *p = &w->place[i];
		struct sl_place there = {.log = p->log, .reviews = p->reviews}; /* what stays where it is */
		char where[SL_LOG_WHERE];
		sl_log_where(p->topic, p->partition, p->log, where);
		if (w->o->to->log)
			s = SL_TRY(
				w, sl_log_committed(w->o->to->log, p->group, p->topic, p->partition, &there.log, err));
		if (s == SL_OK && w->o->to->reviews)
			s = SL_TRY(
				w, sl_reviews_position(w->o->to->reviews, p->group, p->partition, &there.reviews, err));
		if (s == SL_OK && (there.log != p->log || there.reviews != p->reviews))
			sl_migrate_find(w, "group", where,
				"%s has read up to %lld (with effect: %lld) in the target, not %lld (%lld)", p->group,
				(long long)there.log, (long long)there.reviews, (long long)p->log,
				(long long)p->reviews);
	}
	return s;
}
