/* SPDX-License-Identifier: Apache-2.0
 *
 * Reviews: what was decided has its label, and follows from the vote log.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "dataset/registry.h"
#include "role/fsck_work.h"
#include <stdio.h>

enum { VOTE_LINES = 1000, LOOKS = 2, APPEND_MS = 30000 };

/* ---- walking ---- */

typedef enum sl_status (*review_fn)(struct sl_fsck_work *w, const struct sl_review *r, void *arg, struct sl_err *err);

/* lost: what is listed but is not there (no review is ever removed); NULL: another walk names it and what is damaged. */
static enum sl_status each_review(struct sl_fsck_work *w, review_fn fn, void *arg, const char *lost, struct sl_err *err)
{
	SL_AUTOFREE char(*keys)[SL_KEY] = sl_calloc(SL_FSCK_BATCH, SL_KEY);
	SL_AUTOFREE struct sl_vote *votes = sl_calloc(SL_VOTES_MAX, sizeof(*votes));
	char after[SL_KEY] = "";
	int n = SL_FSCK_BATCH, nvotes;
	enum sl_status s = SL_OK;
	while (n == SL_FSCK_BATCH && s == SL_OK) {
		s = sl_reviews_scan(w->st->reviews, -1, after, SL_FSCK_BATCH, keys, &n, err);
		for (int i = 0; i < n && s == SL_OK; i++) {
			struct sl_review r;
			s = sl_reviews_get(w->st->reviews, keys[i], &r, votes, &nvotes, err);
			if (s == SL_OK) {
				s = fn(w, &r, arg, err);
			} else if (s == SL_NOT_FOUND || s == SL_CORRUPT) {
				if (lost)
					sl_fsck_find(w, "review", keys[i], "%s", s == SL_CORRUPT ? err->text : lost);
				s = SL_OK;
			}
		}
		if (s == SL_OK && n)
			memcpy(after, keys[n - 1], SL_KEY);
	}
	return s;
}

struct keys {
	char (*key)[SL_KEY];
	int n, room;
};

static void keys_add(struct keys *k, const char *key)
{
	if (k->n == k->room) {
		k->room = k->room ? 2 * k->room : 64;
		k->key = sl_realloc(k->key, (size_t)k->room, SL_KEY);
	}
	snprintf(k->key[k->n++], SL_KEY, "%s", key);
}

static void keys_done(struct keys *k)
{
	free(k->key);
}

/* ---- labels of decided reviews ---- */

static bool has_label(const struct sl_fsck_work *w, const char *key, int choice)
{
	size_t lo = 0, hi = w->all;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (strcmp(w->label[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < w->all && !strcmp(w->label[lo].key, key); lo++) {
		const struct sl_fsck_label *l = &w->label[lo];
		if (l->ok && l->person && l->choice == choice)
			return true;
	}
	return false;
}

/* The classes of the live bundle; read once. */
static enum sl_status find_taxonomy(struct sl_fsck_work *w, struct sl_err *err)
{
	char digest[SL_DIGEST];
	if (w->taxonomy)
		return SL_OK;
	enum sl_status s = sl_alias_digest(w->st->artifacts, SL_ALIAS_LIVE, digest, err);
	return s == SL_OK ? sl_model_taxonomy(w->st->artifacts, digest, &w->taxonomy, err) : s;
}

/* The label as the role labeling writes it, with the codes of the live taxonomy. */
static enum sl_status publish_again(struct sl_fsck_work *w, const struct sl_review *r, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	enum sl_status s = find_taxonomy(w, err);
	if (s != SL_OK)
		return s;
	SL_AUTOJSON json_t *message = sl_verdict_message(r, w->taxonomy, sl_now_ms());
	sl_json_print(message, &text);
	s = sl_log_append(w->st->log, SL_TOPIC_LABELS, r->key, sl_buf_slice(&text), sl_deadline_ms(APPEND_MS), err);
	if (s == SL_OK)
		sl_fsck_did(w, "label", r->key, "published again: its review is decided");
	return s;
}

struct pending {
	struct sl_review *r;
	int n;
	struct keys suspect;
};

static int by_review_key(const void *a, const void *b)
{
	return strcmp(((const struct sl_review *)a)->key, ((const struct sl_review *)b)->key);
}

static enum sl_status read_outbox(struct sl_fsck_work *w, struct pending *p, struct sl_err *err)
{
	struct sl_review_stats stats;
	enum sl_status s = sl_reviews_stats(w->st->reviews, &stats, err);
	int most = s == SL_OK ? (int)SL_MIN(stats.unsent + SL_FSCK_BATCH, INT32_MAX - 1)
			      : 0; /* all: what waits is not lost */
	p->r = sl_calloc((size_t)most + 1, sizeof(*p->r));
	if (s == SL_OK)
		s = sl_reviews_pending_out(w->st->reviews, most, p->r, &p->n, err);
	if (s == SL_OK && p->n)
		qsort(p->r, (size_t)p->n, sizeof(*p->r), by_review_key);
	return s;
}

static enum sl_status check_label(struct sl_fsck_work *w, const struct sl_review *r, void *arg, struct sl_err *err)
{
	struct pending *p = arg;
	if (r->verdict.state != SL_REVIEW_DECIDED)
		return SL_OK;
	if (p->n && bsearch(r, p->r, (size_t)p->n, sizeof(*p->r), by_review_key))
		return SL_OK;
	if (w->trimmed && (!w->o->bytes || w->unread))
		return SL_OK; /* its label may be in a segment only, and not all are read */
	if (!sl_keys_has(&w->forgotten, r->key) && !has_label(w, r->key, r->verdict.choice))
		keys_add(&p->suspect, r->key);
	return SL_OK;
}

/* Those that were published while we looked have a label by now. */
static enum sl_status has_new_label(struct sl_fsck_work *w, const struct sl_review *r, bool *ret, struct sl_err *err)
{
	int n = 0;
	enum sl_status s = sl_log_ask_partitions(w->st->log, SL_TOPIC_LABELS, &n, err);
	*ret = false;
	for (int part = 0; part < n && !*ret && s == SL_OK; part++) {
		int64_t at = -1;
		for (size_t i = 0; i < w->all; i++)
			if (w->label[i].partition == part)
				at = SL_MAX(at, w->label[i].position);
		for (bool more = true; more && s == SL_OK;) {
			SL_AUTO(sl_batch_done) struct sl_batch b = {0};
			s = sl_log_read(w->st->log, SL_TOPIC_LABELS, part, at, SL_FSCK_BATCH, &b, err);
			for (int i = 0; i < b.n; i++) {
				*ret |= !strcmp(b.message[i].key, r->key);
				at = b.message[i].position;
			}
			more = b.n > 0;
		}
	}
	return s;
}

static enum sl_status check_suspect(struct sl_fsck_work *w, const char *key, struct sl_err *err)
{
	SL_AUTOFREE struct sl_vote *votes = sl_calloc(SL_VOTES_MAX, sizeof(*votes));
	struct sl_review r;
	char text[12];
	int n;
	bool found = false;
	enum sl_status s = sl_reviews_get(w->st->reviews, key, &r, votes, &n, err);
	if (s == SL_OK)
		s = has_new_label(w, &r, &found, err);
	if (s != SL_OK || found)
		return s;
	if (w->o->repair)
		return publish_again(w, &r, err);
	sl_fsck_find(w, "label", key, "its review is decided (%s) and marked as published, but no such label is in %s",
		sl_choice_text(r.verdict.choice, text), w->trimmed ? "topic labels or a segment" : "topic labels");
	return SL_OK;
}

static enum sl_status empty_outbox(struct sl_fsck_work *w, struct pending *p, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < p->n && s == SL_OK; i++) {
		s = publish_again(w, &p->r[i], err);
		if (s == SL_OK)
			s = sl_reviews_sent(w->st->reviews, &p->r[i].key, 1, err);
	}
	return s;
}

/* The other way round: people decided it, so there are a review and votes that say so. They
 * came before the label. */
static enum sl_status check_voted(struct sl_fsck_work *w, const struct sl_fsck_label *l, struct sl_err *err)
{
	SL_AUTOFREE struct sl_vote *votes = sl_calloc(SL_VOTES_MAX, sizeof(*votes));
	struct sl_review r;
	int n;
	enum sl_status s = sl_reviews_get(w->st->reviews, l->key, &r, votes, &n, err);
	if (s == SL_NOT_FOUND && !sl_keys_has(&w->forgotten, l->key))
		sl_fsck_find(w, "review", l->key,
			"people gave it a label (labels/p%d/%lld), but there is no such review", l->partition,
			(long long)l->position);
	else if (s == SL_OK && r.verdict.state != SL_REVIEW_DECIDED)
		sl_fsck_find(w, "review", l->key, "people gave it a label (labels/p%d/%lld), but it is not decided",
			l->partition, (long long)l->position);
	return s == SL_NOT_FOUND || s == SL_CORRUPT ? SL_OK : s; /* a damaged one is named already */
}

static enum sl_status check_all_voted(struct sl_fsck_work *w, struct sl_err *err)
{
	const struct sl_fsck_label *before = NULL;
	enum sl_status s = SL_OK;
	for (size_t i = 0; i < w->all && s == SL_OK; i++) {
		const struct sl_fsck_label *l = &w->label[i];
		if (!l->ok || !l->voted || (before && !strcmp(before->key, l->key)))
			continue;
		s = check_voted(w, l, err);
		before = l;
	}
	return s;
}

enum sl_status sl_fsck_reviews(struct sl_fsck_work *w, struct sl_err *err)
{
	struct pending p = {.n = 0};
	sl_fsck_say(w, "decided reviews and their labels");
	enum sl_status s = read_outbox(w, &p, err);
	if (s == SL_OK)
		s = each_review(w, check_label, &p, "is listed, but its state is gone", err);
	for (int i = 0; i < p.suspect.n && s == SL_OK; i++)
		s = check_suspect(w, p.suspect.key[i], err);
	if (s == SL_OK)
		s = check_all_voted(w, err);
	if (s == SL_OK && w->o->repair)
		s = empty_outbox(w, &p, err);
	else if (s == SL_OK)
		sl_fsck_wait(w, "outbox", p.n);
	free(p.r);
	keys_done(&p.suspect);
	return s;
}

/* ---- verdicts from the vote log ---- */

struct line {
	char key[SL_KEY], voter[SL_VOTER];
	int64_t seq;
	int choice;
	bool expert, undo;
};

struct votes {
	struct line *line; /* by key, then seq */
	size_t n, room;
	const struct keys *only; /* NULL: all */
	struct keys suspect;
	bool report;
	int64_t reviews;
};

static int by_key_seq(const void *a, const void *b)
{
	const struct line *x = a, *y = b;
	int c = strcmp(x->key, y->key);
	return c ? c : (x->seq > y->seq) - (x->seq < y->seq);
}

static bool is_wanted(const struct keys *only, const char *key)
{
	for (int i = 0; only && i < only->n; i++)
		if (!strcmp(only->key[i], key))
			return true;
	return !only;
}

static enum sl_status read_votes(struct sl_fsck_work *w, struct votes *v, struct sl_err *err)
{
	SL_AUTOFREE struct sl_vote_line *got = sl_calloc(VOTE_LINES, sizeof(*got));
	int64_t after = -1;
	int n = VOTE_LINES;
	enum sl_status s = SL_OK;
	while (n && s == SL_OK) {
		s = sl_reviews_votes(w->st->reviews, after, VOTE_LINES, got, &n, err);
		for (int i = 0; i < n && s == SL_OK; i++) {
			after = got[i].seq;
			if (!is_wanted(v->only, got[i].key))
				continue;
			if (v->n == v->room) {
				v->room = v->room ? 2 * v->room : 1024;
				v->line = sl_realloc(v->line, v->room, sizeof(*v->line));
			}
			struct line *l = &v->line[v->n++];
			*l = (struct line){.seq = got[i].seq,
				.choice = got[i].vote.choice,
				.expert = got[i].vote.expert,
				.undo = got[i].undo};
			memcpy(l->key, got[i].key, sizeof(l->key));
			memcpy(l->voter, got[i].vote.voter, sizeof(l->voter));
		}
	}
	if (v->n)
		qsort(v->line, v->n, sizeof(*v->line), by_key_seq);
	return s;
}

static struct sl_verdict verdict_from(const struct votes *v, const char *key, int cap)
{
	SL_AUTOFREE struct sl_vote *vote = sl_calloc(SL_VOTES_MAX, sizeof(*vote));
	size_t lo = 0, hi = v->n;
	int n = 0;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		if (strcmp(v->line[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < v->n && !strcmp(v->line[lo].key, key); lo++) {
		const struct line *l = &v->line[lo];
		if (!l->undo && n < SL_VOTES_MAX) {
			vote[n] = (struct sl_vote){.choice = l->choice, .expert = l->expert};
			memcpy(vote[n++].voter, l->voter, SL_VOTER);
		}
		for (int i = 0; i < n && l->undo; i++)
			if (!strcmp(vote[i].voter, l->voter)) {
				memmove(&vote[i], &vote[i + 1], (size_t)(n - i - 1) * sizeof(*vote));
				n--;
				break;
			}
	}
	return sl_verdict_of(vote, n, cap);
}

static bool is_same(const struct sl_verdict *a, const struct sl_verdict *b)
{
	return a->state == b->state && a->votes == b->votes &&
	       (a->state != SL_REVIEW_DECIDED ||
		       (a->choice == b->choice && a->by_expert == b->by_expert && a->agree == b->agree));
}

static enum sl_status check_verdict(struct sl_fsck_work *w, const struct sl_review *r, void *arg, struct sl_err *err)
{
	struct votes *v = arg;
	char x[12], y[12];
	if (!is_wanted(v->only, r->key))
		return SL_OK;
	v->reviews++;
	struct sl_verdict want = verdict_from(v, r->key, r->cap);
	if (is_same(&want, &r->verdict))
		return SL_OK;
	if (!v->report)
		keys_add(&v->suspect, r->key);
	else
		sl_fsck_find(w, "verdict", r->key, "the vote log gives %s %s by %d votes, the review says %s %s by %d",
			sl_review_state_name(want.state),
			want.state == SL_REVIEW_DECIDED ? sl_choice_text(want.choice, x) : "", want.votes,
			sl_review_state_name(r->verdict.state),
			r->verdict.state == SL_REVIEW_DECIDED ? sl_choice_text(r->verdict.choice, y) : "",
			r->verdict.votes);
	return SL_OK;
}

enum sl_status sl_fsck_verdicts(struct sl_fsck_work *w, struct sl_err *err)
{
	struct keys only = {.n = 0};
	enum sl_status s = SL_OK;
	sl_fsck_say(w, "verdicts from the vote log");
	/* A vote may come between reading the log and the review: what differs is read again. */
	for (int look = 0; look < LOOKS && s == SL_OK && (!look || only.n); look++) {
		struct votes v = {.only = look ? &only : NULL, .report = look == LOOKS - 1};
		s = read_votes(w, &v, err);
		if (s == SL_OK)
			s = each_review(w, check_verdict, &v, NULL, err);
		if (!look) {
			sl_fsck_count(w, "votes", (int64_t)v.n);
			sl_fsck_count(w, "verdicts", v.reviews);
		}
		keys_done(&only);
		only = v.suspect;
		free(v.line);
	}
	keys_done(&only);
	return s;
}
