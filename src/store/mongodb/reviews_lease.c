/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/mongodb/reviews_db.h"

enum { EXPIRE_AT_ONCE = 1000, SPARE = 4 }; /* SPARE: more than asked for, as others take some first */

/* Documents by key, found by one query. */
struct found {
	struct sl_mongo_doc *d;
	int n;
};

static void found_done(struct found *f)
{
	for (int i = 0; i < f->n; i++)
		sl_mongo_doc_done(&f->d[i]);
	free(f->d);
	f->d = NULL;
	f->n = 0;
}

static enum sl_status take_found(struct sl_reviews_db *f, const bson_t *doc, void *arg, struct sl_err *err)
{
	struct found *to = arg;
	return sl_mongo_doc_read(f->m, doc, &to->d[to->n++], err);
}

/* Up to max; destroys filter and opts. */
static enum sl_status find(
	struct sl_reviews_db *f, bson_t *filter, bson_t *opts, int max, struct found *ret, struct sl_err *err)
{
	BSON_APPEND_INT64(opts, "limit", max);
	ret->d = SL_NEW_N(struct sl_mongo_doc, (size_t)max);
	return sl_mongo_each(f, filter, opts, take_found, ret, err);
}

/* ---- one lease ---- */

/* Takes a place, or gives the voter's live lease a fresh limit; got says whether she has it after. */
static enum sl_status decide_lease(
	struct sl_mongo_doc *d, struct sl_mongo_change *c, enum sl_mongo_write *ret, struct sl_err *err)
{
	sl_mongo_hold_expire(d, c->now_ms);
	int mine = sl_mongo_hold_find(d, c->voter);
	c->got = d->r.verdict.state == SL_REVIEW_OPEN &&
		 (mine >= 0 || (d->r.verdict.votes + d->nholds < d->r.cap && !sl_mongo_doc_voted(d, c->voter)));
	if (!c->got)
		return SL_OK;
	if (mine < 0) {
		mine = d->nholds++;
		SL_COPY(d->hold[mine].voter, c->voter);
	}
	d->hold[mine].until_ms = c->until_ms;
	*ret = SL_MONGO_LEASES;
	return SL_OK;
}

struct lease {
	struct sl_reviews_db *f;
	const char *voter;
	int64_t now_ms, until_ms;
	int n, got;
	struct sl_review *ret;
};

static enum sl_status lease_one(struct lease *l, struct sl_mongo_doc *d, bool *ret_got, struct sl_err *err)
{
	char key[SL_KEY];
	SL_COPY(key, d->r.key);
	struct sl_mongo_change c = {.decide = decide_lease,
		.key = key,
		.f = l->f,
		.voter = l->voter,
		.now_ms = l->now_ms,
		.until_ms = l->until_ms};
	enum sl_status s = sl_mongo_change(&c, d, err);
	*ret_got = s == SL_OK && c.got;
	if (!*ret_got)
		return s;
	l->ret[l->got] = d->r;
	l->ret[l->got++].lease_until_ms = l->until_ms;
	return s;
}

/* Those that she holds. */
static enum sl_status renew(struct lease *l, struct sl_err *err)
{
	SL_AUTO(found_done) struct found found = {0};
	bool got;
	bson_t *q = BCON_NEW("leases", "{", "$elemMatch", "{", "voter", BCON_UTF8(l->voter), "until", "{", "$gt",
		BCON_DATE_TIME(l->now_ms), "}", "}", "}");
	enum sl_status s = find(l->f, q, bson_new(), l->n, &found, err);
	for (int i = 0; i < found.n && s == SL_OK; i++)
		s = lease_one(l, &found.d[i], &got, err);
	return s;
}

static bool has(const struct lease *l, const char *key)
{
	for (int i = 0; i < l->got; i++)
		if (!strcmp(l->ret[i].key, key))
			return true;
	return false;
}

/* Open ones with room that she has neither voted on nor holds. Others may take some meanwhile:
 * *ret_lost, then it is worth to look again. */
static enum sl_status take(struct lease *l, bool *ret_lost, struct sl_err *err)
{
	SL_AUTO(found_done) struct found found = {0};
	bson_t *q = BCON_NEW("state", BCON_UTF8(sl_review_state_name(SL_REVIEW_OPEN)), "voters", "{", "$ne",
		BCON_UTF8(l->voter), "}", "$or", "[", "{", "free", "{", "$gt", BCON_INT32(0), "}", "}", "{",
		"leases.until", "{", "$lte", BCON_DATE_TIME(l->now_ms), "}", "}", "]", "leases", "{", "$not", "{",
		"$elemMatch", "{", "voter", BCON_UTF8(l->voter), "until", "{", "$gt", BCON_DATE_TIME(l->now_ms), "}",
		"}", "}", "}");
	bson_t *opts = BCON_NEW("sort", "{", "nvotes", BCON_INT32(-1), "added", BCON_INT32(1), "}");
	enum sl_status s = find(l->f, q, opts, l->n - l->got + SPARE, &found, err);
	*ret_lost = false;
	for (int i = 0; i < found.n && l->got < l->n && s == SL_OK; i++) {
		bool got = true;
		if (has(l, found.d[i].r.key))
			continue;
		s = lease_one(l, &found.d[i], &got, err);
		*ret_lost |= !got;
	}
	return s;
}

enum sl_status sl_mongodb_lease(
	void *self, const char *voter, int n, struct sl_review *ret, int *ret_n, struct sl_err *err)
{
	struct sl_reviews_db *f = self;
	int64_t now = sl_now_ms(), end = sl_deadline_ms(SL_MONGO_CHANGE_MS);
	struct lease l = {.f = f, .voter = voter, .now_ms = now, .until_ms = now + f->lease_ms, .n = n, .ret = ret};
	bool lost = true;
	enum sl_status s = renew(&l, err);
	while (s == SL_OK && l.got < n && lost && !sl_is_past(end))
		s = take(&l, &lost, err);
	if (s == SL_OK)
		*ret_n = l.got;
	return s;
}

/* ---- the end of leases ---- */

static enum sl_status decide_expire(
	struct sl_mongo_doc *d, struct sl_mongo_change *c, enum sl_mongo_write *ret, struct sl_err *err)
{
	c->dropped = sl_mongo_hold_expire(d, c->now_ms);
	if (c->dropped)
		*ret = SL_MONGO_LEASES;
	return SL_OK;
}

enum sl_status sl_mongodb_expire(void *self, int *ret_n, struct sl_err *err)
{
	struct sl_reviews_db *f = self;
	int64_t now = sl_now_ms();
	int n = 0, last;
	enum sl_status s;
	do {
		SL_AUTO(found_done) struct found found = {0};
		bson_t *q = BCON_NEW("leases.until", "{", "$lte", BCON_DATE_TIME(now), "}");
		s = find(f, q, bson_new(), EXPIRE_AT_ONCE, &found, err);
		last = found.n;
		for (int i = 0; i < found.n && s == SL_OK; i++) {
			char key[SL_KEY];
			SL_COPY(key, found.d[i].r.key);
			struct sl_mongo_change c = {.decide = decide_expire, .key = key, .f = f, .now_ms = now};
			s = sl_mongo_change(&c, &found.d[i], err);
			n += s == SL_OK ? c.dropped : 0;
		}
	} while (s == SL_OK && last == EXPIRE_AT_ONCE);
	*ret_n = n;
	return s;
}
