/* SPDX-License-Identifier: Apache-2.0 */
#include "store/mongodb/doc.h"
#include "base/buf.h"
#include "base/mem.h"
#include <limits.h>

/* ---- out of a document: false where it is not as we write it ---- */

static bool get_text(const bson_t *d, const char *name, char *ret, size_t size)
{
	bson_iter_t at;
	uint32_t n;
	if (!bson_iter_init_find(&at, d, name) || !BSON_ITER_HOLDS_UTF8(&at))
		return false;
	const char *s = bson_iter_utf8(&at, &n);
	if (n >= size || strlen(s) != n)
		return false;
	memcpy(ret, s, n + 1);
	return true;
}

static bool get_i64(const bson_t *d, const char *name, int64_t *ret)
{
	bson_iter_t at;
	if (!bson_iter_init_find(&at, d, name))
		return false;
	*ret = BSON_ITER_HOLDS_DATE_TIME(&at) ? bson_iter_date_time(&at) : bson_iter_as_int64(&at);
	return BSON_ITER_HOLDS_DATE_TIME(&at) || BSON_ITER_HOLDS_NUMBER(&at);
}

static bool get_int(const bson_t *d, const char *name, int *ret)
{
	int64_t v;
	if (!get_i64(d, name, &v) || v < INT_MIN || v > INT_MAX)
		return false;
	*ret = (int)v;
	return true;
}

static bool get_bool(const bson_t *d, const char *name, bool *ret)
{
	bson_iter_t at;
	*ret = bson_iter_init_find(&at, d, name) && bson_iter_as_bool(&at);
	return true;
}

static bool get_doc(const bson_iter_t *at, bson_t *ret)
{
	const uint8_t *p;
	uint32_t n;
	if (!BSON_ITER_HOLDS_DOCUMENT(at))
		return false;
	bson_iter_document(at, &n, &p);
	return bson_init_static(ret, p, n);
}

/* Calls read for each document of an array that may be absent. */
static bool each(const bson_t *d, const char *name, bool (*read)(const bson_t *d, void *arg), void *arg)
{
	bson_iter_t at, in;
	bson_t one;
	if (!bson_iter_init_find(&at, d, name))
		return true;
	if (!BSON_ITER_HOLDS_ARRAY(&at) || !bson_iter_recurse(&at, &in))
		return false;
	while (bson_iter_next(&in))
		if (!get_doc(&in, &one) || !read(&one, arg))
			return false;
	return true;
}

static bool read_candidate(const bson_t *d, void *arg)
{
	struct sl_review *r = arg;
	bson_iter_t at;
	if (r->ncandidate == SL_CANDIDATES || !bson_iter_init_find(&at, d, "confidence") ||
		!BSON_ITER_HOLDS_NUMBER(&at))
		return false;
	struct sl_candidate *c = &r->candidate[r->ncandidate++];
	c->confidence = (float)bson_iter_as_double(&at);
	return get_int(d, "class", &c->cls);
}

static bool read_state(const bson_t *d, enum sl_review_state *ret)
{
	char name[12];
	if (!get_text(d, "state", name, sizeof(name)))
		return false;
	for (int i = SL_REVIEW_OPEN; i <= SL_REVIEW_DECIDED; i++)
		if (!strcmp(name, sl_review_state_name((enum sl_review_state)i))) {
			*ret = (enum sl_review_state)i;
			return true;
		}
	return false;
}

static bool read_review(const bson_t *d, struct sl_review *r)
{
	bson_iter_t at;
	bson_t v;
	*r = (struct sl_review){0};
	return get_text(d, "_id", r->key, sizeof(r->key)) && get_text(d, "bundle", r->bundle, sizeof(r->bundle)) &&
	       get_text(d, "frame", r->frame, sizeof(r->frame)) &&
	       get_text(d, "device", r->device, sizeof(r->device)) && get_i64(d, "time", &r->time_ms) &&
	       get_i64(d, "opened", &r->opened_ms) && get_int(d, "cap", &r->cap) && r->cap >= 1 &&
	       r->cap <= SL_CAP_MAX && each(d, "candidates", read_candidate, r) && read_state(d, &r->verdict.state) &&
	       bson_iter_init_find(&at, d, "verdict") && get_doc(&at, &v) &&
	       get_int(&v, "choice", &r->verdict.choice) && get_bool(&v, "by_expert", &r->verdict.by_expert) &&
	       get_int(&v, "votes", &r->verdict.votes) && get_int(&v, "agree", &r->verdict.agree);
}

static bool read_hold(const bson_t *d, void *arg)
{
	struct sl_mongo_doc *ret = arg;
	if (ret->nholds == SL_CAP_MAX)
		return false;
	struct sl_hold *h = &ret->hold[ret->nholds++];
	return get_text(d, "voter", h->voter, sizeof(h->voter)) && get_i64(d, "until", &h->until_ms);
}

struct lines {
	char key[SL_KEY];
	struct sl_vote_line *line;
	int n, size;
};

static bool read_line(const bson_t *d, void *arg)
{
	struct lines *l = arg;
	if (l->n == SL_LINES_ROOM)
		return false;
	if (l->n + 1 >= l->size)
		l->line = sl_realloc(l->line, (size_t)(l->size = l->size ? 2 * l->size : 16), sizeof(*l->line));
	struct sl_vote_line *to = &l->line[l->n++];
	struct sl_vote *v = &to->vote;
	*to = (struct sl_vote_line){0};
	SL_COPY(to->key, l->key);
	return get_i64(d, "seq", &to->seq) && get_text(d, "voter", v->voter, sizeof(v->voter)) &&
	       get_text(d, "id", v->id, sizeof(v->id)) && get_int(d, "choice", &v->choice) &&
	       get_i64(d, "time", &v->time_ms) && get_bool(d, "expert", &v->expert) && get_bool(d, "undo", &to->undo);
}

bool sl_mongo_doc_lines(const bson_t *doc, struct sl_vote_line **ret, int *ret_n)
{
	struct lines l = {.size = 16, .line = SL_NEW_N(struct sl_vote_line, 16)};
	bool ok = get_text(doc, "_id", l.key, sizeof(l.key)) && each(doc, "lines", read_line, &l);
	*ret = l.line;
	*ret_n = l.n;
	return ok;
}

static enum sl_status corrupt(const struct sl_mongo *m, const bson_t *doc, struct sl_err *err)
{
	char key[SL_KEY] = "?";
	get_text(doc, "_id", key, sizeof(key));
	return sl_fail(err, SL_CORRUPT, "%s: review %s is not what was stored; restore it from a copy", m->where, key);
}

enum sl_status sl_mongo_doc_review(
	const struct sl_mongo *m, const bson_t *doc, struct sl_review *ret, struct sl_err *err)
{
	return read_review(doc, ret) ? SL_OK : corrupt(m, doc, err);
}

enum sl_status sl_mongo_doc_read(
	const struct sl_mongo *m, const bson_t *doc, struct sl_mongo_doc *ret, struct sl_err *err)
{
	sl_mongo_doc_done(ret);
	bool ok = read_review(doc, &ret->r) && get_i64(doc, "rev", &ret->rev) && each(doc, "leases", read_hold, ret) &&
		  sl_mongo_doc_lines(doc, &ret->line, &ret->nlines);
	return ok ? SL_OK : corrupt(m, doc, err);
}

void sl_mongo_doc_done(struct sl_mongo_doc *d)
{
	free(d->line);
	d->line = NULL;
	d->nlines = d->nholds = 0;
}

/* ---- into a document ---- */

bson_t *sl_mongo_doc_new(const struct sl_review *r, int64_t added)
{
	bson_t list, one;
	bson_t *d = BCON_NEW("_id", BCON_UTF8(r->key), "added", BCON_INT64(added), "opened",
		BCON_DATE_TIME(r->opened_ms), "time", BCON_DATE_TIME(r->time_ms), "frame", BCON_UTF8(r->frame),
		"device", BCON_UTF8(r->device), "bundle", BCON_UTF8(r->bundle), "cap", BCON_INT32(r->cap), "state",
		BCON_UTF8(sl_review_state_name(SL_REVIEW_OPEN)), "nvotes", BCON_INT32(0), "free", BCON_INT32(r->cap),
		"rev", BCON_INT64(0));
	BSON_APPEND_ARRAY_BEGIN(d, "candidates", &list);
	for (int i = 0; i < r->ncandidate; i++) {
		char at[12];
		snprintf(at, sizeof(at), "%d", i);
		BSON_APPEND_DOCUMENT_BEGIN(&list, at, &one);
		BSON_APPEND_INT32(&one, "class", r->candidate[i].cls);
		BSON_APPEND_DOUBLE(&one, "confidence", (double)r->candidate[i].confidence);
		bson_append_document_end(&list, &one);
	}
	bson_append_array_end(d, &list);
	BCON_APPEND(d, "verdict", "{", "choice", BCON_INT32(0), "by_expert", BCON_BOOL(false), "votes", BCON_INT32(0),
		"agree", BCON_INT32(0), "}");
	return d;
}

static void add_leases(bson_t *set, const struct sl_mongo_doc *d)
{
	bson_t list, one;
	char at[12];
	BSON_APPEND_ARRAY_BEGIN(set, "leases", &list);
	for (int i = 0; i < d->nholds; i++) {
		snprintf(at, sizeof(at), "%d", i);
		BSON_APPEND_DOCUMENT_BEGIN(&list, at, &one);
		BSON_APPEND_UTF8(&one, "voter", d->hold[i].voter);
		BSON_APPEND_DATE_TIME(&one, "until", d->hold[i].until_ms);
		bson_append_document_end(&list, &one);
	}
	bson_append_array_end(set, &list);
}

/* The names of those whose vote stands, or of those who chose `choice`. */
static void add_voters(bson_t *set, const char *name, const struct sl_vote *live, int n, const int *choice)
{
	bson_t list;
	int k = 0;
	char at[12];
	BSON_APPEND_ARRAY_BEGIN(set, name, &list);
	for (int i = 0; i < n; i++)
		if (!choice || live[i].choice == *choice) {
			snprintf(at, sizeof(at), "%d", k++);
			BSON_APPEND_UTF8(&list, at, live[i].voter);
		}
	bson_append_array_end(set, &list);
}

/* out: the label waits to be published. */
static void add_verdict(bson_t *set, const struct sl_mongo_doc *d, const struct sl_vote *live, int nlive, bool out)
{
	const struct sl_verdict *v = &d->r.verdict;
	BCON_APPEND(set, "state", BCON_UTF8(sl_review_state_name(v->state)), "nvotes", BCON_INT32(nlive), "verdict",
		"{", "choice", BCON_INT32(v->choice), "by_expert", BCON_BOOL(v->by_expert), "votes",
		BCON_INT32(v->votes), "agree", BCON_INT32(v->agree), "}");
	if (nlive)
		add_voters(set, "voters", live, nlive, NULL);
	if (v->state != SL_REVIEW_DECIDED)
		return;
	add_voters(set, "agreed", live, nlive, &v->choice);
	if (out)
		BSON_APPEND_INT64(set, "outbox", d->line[d->nlines - 1].seq);
}

static void add_lines(bson_t *update, const struct sl_vote_line *line, int n)
{
	bson_t push, lines, list, one;
	char at[12];
	BSON_APPEND_DOCUMENT_BEGIN(update, "$push", &push);
	BSON_APPEND_DOCUMENT_BEGIN(&push, "lines", &lines);
	BSON_APPEND_ARRAY_BEGIN(&lines, "$each", &list);
	for (int i = 0; i < n; i++) {
		const struct sl_vote *v = &line[i].vote;
		snprintf(at, sizeof(at), "%d", i);
		BSON_APPEND_DOCUMENT_BEGIN(&list, at, &one);
		BCON_APPEND(&one, "seq", BCON_INT64(line[i].seq), "time", BCON_DATE_TIME(v->time_ms), "voter",
			BCON_UTF8(v->voter), "id", BCON_UTF8(v->id), "choice", BCON_INT32(v->choice), "expert",
			BCON_BOOL(v->expert), "undo", BCON_BOOL(line[i].undo));
		bson_append_document_end(&list, &one);
	}
	bson_append_array_end(&lines, &list);
	bson_append_document_end(&push, &lines);
	bson_append_document_end(update, &push);
}

bson_t *sl_mongo_doc_update(const struct sl_mongo_doc *d, int lines, bool out)
{
	struct sl_vote live[SL_VOTES_MAX];
	int nlive = sl_lines_live(d->line, d->nlines, live);
	bool open = d->r.verdict.state == SL_REVIEW_OPEN;
	bson_t set, unset;
	bson_t *u = BCON_NEW("$inc", "{", "rev", BCON_INT64(1), "}");
	if (lines)
		add_lines(u, &d->line[d->nlines - lines], lines);
	BSON_APPEND_DOCUMENT_BEGIN(u, "$set", &set);
	BSON_APPEND_INT32(&set, "free", open ? d->r.cap - nlive - d->nholds : 0);
	if (d->nholds)
		add_leases(&set, d);
	if (lines)
		add_verdict(&set, d, live, nlive, out);
	bson_append_document_end(u, &set);
	if (d->nholds && (nlive || !lines))
		return u;
	/* Absent, not empty: the sparse indexes leave such reviews out. */
	BSON_APPEND_DOCUMENT_BEGIN(u, "$unset", &unset);
	if (!d->nholds)
		BSON_APPEND_BOOL(&unset, "leases", true);
	if (lines && !nlive)
		BSON_APPEND_BOOL(&unset, "voters", true);
	bson_append_document_end(u, &unset);
	return u;
}

/* ---- questions ---- */

int sl_mongo_hold_find(const struct sl_mongo_doc *d, const char *voter)
{
	for (int i = 0; i < d->nholds; i++)
		if (!strcmp(d->hold[i].voter, voter))
			return i;
	return -1;
}

int sl_mongo_hold_expire(struct sl_mongo_doc *d, int64_t now_ms)
{
	int before = d->nholds;
	for (int i = d->nholds; i-- > 0;)
		if (d->hold[i].until_ms <= now_ms)
			d->hold[i] = d->hold[--d->nholds];
	return before - d->nholds;
}

bool sl_mongo_doc_voted(const struct sl_mongo_doc *d, const char *voter)
{
	struct sl_vote live[SL_VOTES_MAX];
	int n = sl_lines_live(d->line, d->nlines, live);
	for (int i = 0; i < n; i++)
		if (!strcmp(live[i].voter, voter))
			return true;
	return false;
}
