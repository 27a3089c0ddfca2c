/* SPDX-License-Identifier: Apache-2.0 */
#include "role/migrate.h"
#include "base/clock.h"
#include "net/client.h"
#include "role/migrate_work.h"
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_MS = 100, PAUSE_MAX_MS = 5000, SAY_US = 200000, LIVE_ROUNDS = 20, LIVE_REST = 200 };

/* In the order of a round; the order of counts in the report too. */
static const struct part {
	enum sl_store store;
	enum sl_status (*look)(struct sl_migrate_work *w, struct sl_err *err);
	enum sl_status (*copy)(struct sl_migrate_work *w, struct sl_err *err);
	enum sl_status (*compare)(struct sl_migrate_work *w, struct sl_err *err);
} parts[SL_PARTS] = {
	[SL_PART_ARTIFACTS] = {SL_STORE_ARTIFACTS, sl_migrate_artifacts_look, sl_migrate_artifacts_copy,
		sl_migrate_artifacts_compare},
	[SL_PART_REVIEWS] = {SL_STORE_REVIEWS, sl_migrate_reviews_look, sl_migrate_reviews_copy,
		sl_migrate_reviews_compare},
	[SL_PART_CROPS] = {SL_STORE_CROPS, sl_migrate_crops_look, sl_migrate_crops_copy, sl_migrate_crops_compare},
	[SL_PART_LOG] = {SL_STORE_LOG, sl_migrate_log_look, sl_migrate_log_copy, sl_migrate_log_compare},
};

static bool is_wanted(const struct sl_migrate_work *w, int part)
{
	const struct sl_stores *s = w->o->to;
	const void *const store[SL_PARTS] = {[SL_PART_ARTIFACTS] = s->artifacts,
		[SL_PART_REVIEWS] = s->reviews,
		[SL_PART_CROPS] = s->crops,
		[SL_PART_LOG] = s->log};
	return store[part] != NULL;
}

void sl_migrate_find(struct sl_migrate_work *w, const char *what, const char *where, const char *fmt, ...)
{
	char why[SL_ERR_TEXT];
	va_list ap;
	if (json_array_size(w->findings) >= SL_MIGRATE_FINDINGS) {
		w->more++;
		return;
	}
	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	sl_text_mend(why);
	json_array_append_new(w->findings, json_pack("{s:s,s:s,s:s}", "what", what, "where", where, "why", why));
}

static void say(struct sl_migrate_work *w, bool now)
{
	if (!w->o->progress || (!now && sl_mono_us() < w->said_us + SAY_US))
		return;
	w->said_us = sl_mono_us();
	w->o->progress(w->o->arg, &w->now);
}

void sl_migrate_begin(struct sl_migrate_work *w, const char *doing, enum sl_part part, int64_t total)
{
	w->now =
		(struct sl_migrate_progress){.doing = doing, .store = sl_store_name(parts[part].store), .total = total};
	say(w, true);
}

void sl_migrate_did(struct sl_migrate_work *w, int64_t items, int64_t bytes)
{
	w->now.done += items;
	w->now.bytes += bytes;
	say(w, false);
}

/* ---- servers that are away ---- */

enum sl_status sl_migrate_go_on(struct sl_migrate_work *w, struct sl_err *err)
{
	if (w->o->stop && *w->o->stop)
		return sl_fail(err, SL_CANCELLED, "migrate: stopped; the same command goes on from here");
	return SL_OK;
}

/* With jitter, so that several movers do not come back together. A signal ends it. */
static void pause_a_while(struct sl_migrate_work *w)
{
	static const struct sl_retry how = {.first_ms = PAUSE_MS, .most_ms = PAUSE_MAX_MS};
	int64_t ms = sl_retry_wait(how, ++w->tries, -1, &w->rng);
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&t, NULL); /* lint: no event tells when a server is back */
}

bool sl_migrate_again(struct sl_migrate_work *w, enum sl_status s, struct sl_err *err)
{
	if (!sl_status_is_retriable(s)) {
		w->away_since_us = w->tries = 0;
		return false;
	}
	if (!w->away_since_us)
		w->away_since_us = sl_mono_us();
	if (sl_mono_us() - w->away_since_us > w->o->patience_ms * 1000) {
		w->away_since_us = w->tries = 0;
		return false;
	}
	pause_a_while(w);
	return true;
}

/* ---- two stores key by key ---- */

struct keys {
	const void *store;
	char (*key)[SL_KEY], after[SL_KEY];
	int n, at;
	bool ended;
};

/* NULL at the end. */
static enum sl_status peek(
	struct sl_migrate_work *w, sl_scan_fn scan, struct keys *k, const char **ret, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	if (k->at == k->n && !k->ended) {
		s = SL_TRY(w, scan(k->store, k->after, SL_SCAN_MAX, k->key, &k->n, err));
		k->at = 0;
		k->ended = s != SL_OK || k->n < SL_SCAN_MAX;
		if (s == SL_OK && k->n)
			memcpy(k->after, k->key[k->n - 1], SL_KEY);
	}
	*ret = s == SL_OK && k->at < k->n ? k->key[k->at] : NULL;
	return s;
}

enum sl_status sl_migrate_merge(struct sl_migrate_work *w, sl_scan_fn scan, const void *from, const void *to,
	sl_merge_fn fn, void *arg, struct sl_err *err)
{
	SL_AUTOFREE char(*room)[SL_KEY] = sl_calloc(2 * SL_SCAN_MAX, SL_KEY);
	struct keys a = {.store = from, .key = room}, b = {.store = to, .key = room + SL_SCAN_MAX};
	for (;;) {
		const char *x, *y = NULL;
		enum sl_status s = peek(w, scan, &a, &x, err);
		if (s == SL_OK)
			s = peek(w, scan, &b, &y, err);
		if (s != SL_OK || (!x && !y))
			return s;
		int c = !x ? 1 : !y ? -1 : strcmp(x, y);
		a.at += c <= 0;
		b.at += c >= 0;
		s = fn(w, c <= 0 ? x : y, c < 0 ? SL_FROM_ONLY : c > 0 ? SL_TO_ONLY : SL_BOTH, arg, err);
		if (s != SL_OK)
			return s;
	}
}

/* ---- rounds ---- */

static enum sl_status look(struct sl_migrate_work *w, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < SL_PARTS && s == SL_OK; i++)
		if (is_wanted(w, i)) {
			sl_migrate_begin(w, "looks at", (enum sl_part)i, 0);
			s = parts[i].look(w, err);
		}
	return s;
}

static enum sl_status round_of(struct sl_migrate_work *w, struct sl_err *err)
{
	enum sl_status s = sl_migrate_ends(w, true, err);
	w->copied = 0;
	for (int i = 0; i < SL_PARTS && s == SL_OK; i++) {
		if (i == SL_PART_CROPS)
			s = sl_migrate_ends(w, false, err);
		if (s == SL_OK && is_wanted(w, i)) {
			int64_t before = w->count[i].copied;
			sl_migrate_begin(w, "copies", (enum sl_part)i,
				SL_MAX(w->count[i].items - w->count[i].there - before, 0));
			s = parts[i].copy(w, err);
			w->copied += w->count[i].copied - before;
		}
	}
	return s == SL_OK ? sl_migrate_places_copy(w, err) : s;
}

static enum sl_status compare(struct sl_migrate_work *w, struct sl_err *err)
{
	enum sl_status s = sl_migrate_ends(w, true, err);
	if (s == SL_OK)
		s = sl_migrate_ends(w, false, err);
	for (int i = 0; i < SL_PARTS && s == SL_OK; i++)
		if (is_wanted(w, i)) {
			sl_migrate_begin(w, "compares", (enum sl_part)i, w->count[i].items);
			s = parts[i].compare(w, err);
		}
	return s == SL_OK ? sl_migrate_places_compare(w, err) : s;
}

/* What tells that somebody writes to the source. */
static enum sl_status read_marks(struct sl_migrate_work *w, char ret[SL_HEX_SHA256], struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	struct sl_review_stats r = {0};
	enum sl_status s = sl_migrate_ends(w, true, err);
	if (s == SL_OK)
		s = sl_migrate_ends(w, false, err);
	for (int i = 0; i < w->nlanes && s == SL_OK; i++)
		sl_buf_printf(
			&text, "%s %d %lld\n", w->lane[i].topic, w->lane[i].partition, (long long)w->lane[i].last);
	for (int i = 0; i < w->nplaces && s == SL_OK; i++)
		sl_buf_printf(&text, "%s %d %lld %lld\n", w->place[i].group, w->place[i].partition,
			(long long)w->place[i].log, (long long)w->place[i].reviews);
	if (s == SL_OK && w->o->from->reviews)
		s = SL_TRY(w, sl_reviews_stats(w->o->from->reviews, &r, err));
	sl_buf_printf(&text, "%lld %lld %lld %lld %lld\n", (long long)r.open, (long long)r.tie, (long long)r.decided,
		(long long)r.votes, (long long)r.unsent);
	if (s == SL_OK && w->o->from->artifacts)
		s = SL_TRY(w, sl_artifacts_list(w->o->from->artifacts, "", &list, err));
	for (int i = 0; i < list.n; i++)
		sl_buf_printf(&text, "%s\n", list.path[i]);
	sl_sha256_hex(text.ptr, text.len, ret);
	return s;
}

/* Nobody writes to the source: all of it, compared, and a look that nobody did. */
static enum sl_status last_round(struct sl_migrate_work *w, struct sl_err *err)
{
	char before[SL_HEX_SHA256], after[SL_HEX_SHA256];
	enum sl_status s = read_marks(w, before, err);
	if (s == SL_OK && !w->o->verify)
		s = round_of(w, err);
	if (s == SL_OK)
		s = compare(w, err);
	if (s == SL_OK)
		s = read_marks(w, after, err);
	if (s == SL_OK && strcmp(before, after) != 0)
		s = sl_fail(err, SL_CONFLICT,
			"migrate: the source changed during the last round; stop every process that uses it, then run this again");
	return s;
}

static enum sl_status work(struct sl_migrate_work *w, int *rounds, struct sl_err *err)
{
	enum sl_status s = w->o->verify ? SL_OK : look(w, err);
	if (s != SL_OK || w->o->dry_run)
		return s;
	if (w->o->is_final || w->o->verify) {
		*rounds = !w->o->verify;
		return last_round(w, err);
	}
	do
		s = round_of(w, err);
	while (++*rounds < LIVE_ROUNDS && s == SL_OK && w->copied > LIVE_REST);
	return s;
}

static json_t *count_json(const struct sl_part_count *c)
{
	json_t *v = json_pack("{s:I,s:I,s:I,s:I}", "items", (json_int_t)c->items, "there", (json_int_t)c->there,
		"copied", (json_int_t)c->copied, "bytes", (json_int_t)c->bytes);
	if (*c->sha256)
		json_object_set_new(v, "sha256", json_string(c->sha256));
	return v;
}

static json_t *report(const struct sl_migrate_work *w, int rounds)
{
	json_t *stores = json_object();
	for (int i = 0; i < SL_PARTS; i++)
		if (is_wanted(w, i))
			json_object_set_new(stores, sl_store_name(parts[i].store), count_json(&w->count[i]));
	bool compared = !w->o->dry_run && (w->o->is_final || w->o->verify);
	return json_pack("{s:b,s:b,s:b,s:i,s:I,s:o,s:O,s:I}", "ok", (int)!json_array_size(w->findings), "final",
		(int)(w->o->is_final && !w->o->dry_run), "compared", (int)compared, "rounds", rounds, "left",
		(json_int_t)(compared || w->o->dry_run ? 0 : w->copied), "stores", stores, "findings", w->findings,
		"more", (json_int_t)w->more);
}

enum sl_status sl_migrate_run(const struct sl_migrate *o, json_t **ret, struct sl_err *err)
{
	SL_AUTOJSON json_t *findings = json_array();
	struct sl_migrate_work w = {
		.o = o, .findings = findings, .rng = sl_rng((uint64_t)sl_mono_us(), (uint64_t)getpid())};
	int rounds = 0;
	enum sl_status s = work(&w, &rounds, err);
	if (s == SL_OK)
		*ret = report(&w, rounds);
	free(w.lane);
	free(w.place);
	return s;
}
