/* SPDX-License-Identifier: Apache-2.0
 *
 * Reviews with their whole history, out and in: for a move to another store. A batch is one round of reads and
 * one ordered bulk write; each review in it is added first and gets its lines by a second, conditional update, so
 * that what a crash leaves is the beginning of what is to come.
 */
#include "base/mem.h"
#include "store/mongodb/reviews_db.h"
#include <stdio.h>

/* ---- out ---- */

struct order {
	char (*key)[SL_KEY];
	int n;
	int64_t added;
};

static enum sl_status take_key(struct sl_reviews_db *f, const bson_t *doc, void *arg, struct sl_err *err)
{
	struct order *o = arg;
	bson_iter_t id, added;
	const char *key =
		bson_iter_init_find(&id, doc, "_id") && BSON_ITER_HOLDS_UTF8(&id) ? bson_iter_utf8(&id, NULL) : "";
	if (!*key || strlen(key) >= SL_KEY || !bson_iter_init_find(&added, doc, "added"))
		return sl_fail(err, SL_CORRUPT, "%s: review '%.70s' is not what was stored; restore it from a copy",
			f->m->where, key);
	SL_COPY(o->key[o->n++], key);
	o->added = bson_iter_as_int64(&added);
	return SL_OK;
}

/* cursor: "ADDED KEY" of the last one. */
enum sl_status sl_mongodb_order(void *self, char *cursor, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	struct order o = {.key = ret};
	char *key = cursor;
	int64_t added = *cursor ? strtoll(cursor, &key, 10) : -1;
	key += *key == ' ';
	bson_t *q = BCON_NEW("$or", "[", "{", "added", "{", "$gt", BCON_INT64(added), "}", "}", "{", "added",
		BCON_INT64(added), "_id", "{", "$gt", BCON_UTF8(key), "}", "}", "]");
	bson_t *opts = BCON_NEW("sort", "{", "added", BCON_INT32(1), "_id", BCON_INT32(1), "}", "projection", "{",
		"added", BCON_INT32(1), "}", "limit", BCON_INT64(max));
	enum sl_status s = sl_mongo_each(self, q, opts, take_key, &o, err);
	if (s != SL_OK)
		return s;
	*ret_n = o.n;
	if (o.n)
		snprintf(cursor, SL_REVIEW_CURSOR, "%lld %s", (long long)o.added, ret[o.n - 1]);
	return SL_OK;
}

struct stored {
	struct sl_mongo_doc *doc; /* one a key; r.key "" where there is none */
	bool *unsent;
	char (*keys)[SL_KEY];
	int n;
};

static enum sl_status take_stored(struct sl_reviews_db *f, const bson_t *doc, void *arg, struct sl_err *err)
{
	struct stored *t = arg;
	SL_AUTO(sl_mongo_doc_done) struct sl_mongo_doc d = {0};
	bson_iter_t at;
	enum sl_status s = sl_mongo_doc_read(f->m, doc, &d, err);
	for (int i = 0; i < t->n && s == SL_OK; i++) {
		if (strcmp(t->keys[i], d.r.key) != 0 || *t->doc[i].r.key)
			continue;
		t->doc[i] = d;
		d.line = NULL;
		t->unsent[i] = bson_iter_init_find(&at, doc, "outbox") && bson_iter_as_int64(&at) > 0;
		break;
	}
	return s;
}

static enum sl_status read_stored(struct sl_reviews_db *f, struct stored *t, struct sl_err *err)
{
	bson_t in, list;
	bson_t *q = bson_new();
	BSON_APPEND_DOCUMENT_BEGIN(q, "_id", &in);
	BSON_APPEND_ARRAY_BEGIN(&in, "$in", &list);
	for (int i = 0; i < t->n; i++) {
		char at[12];
		snprintf(at, sizeof(at), "%d", i);
		BSON_APPEND_UTF8(&list, at, t->keys[i]);
	}
	bson_append_array_end(&in, &list);
	bson_append_document_end(q, &in);
	return sl_mongo_each(f, q, NULL, take_stored, t, err);
}

static struct stored stored_new(char (*keys)[SL_KEY], int n)
{
	return (struct stored){SL_NEW_N(struct sl_mongo_doc, (size_t)n), SL_NEW_N(bool, (size_t)n), keys, n};
}

static void stored_done(struct stored *t)
{
	for (int i = 0; i < t->n; i++)
		sl_mongo_doc_done(&t->doc[i]);
	free(t->doc);
	free(t->unsent);
}

enum sl_status sl_mongodb_history(
	void *self, char (*keys)[SL_KEY], int n, struct sl_review_history *ret, struct sl_err *err)
{
	SL_AUTO(stored_done) struct stored t = stored_new(keys, n);
	enum sl_status s = read_stored(self, &t, err);
	for (int i = 0; i < n && s == SL_OK; i++) {
		if (!*t.doc[i].r.key)
			continue;
		ret[i] = (struct sl_review_history){t.doc[i].r, t.unsent[i], t.doc[i].line, t.doc[i].nlines};
		t.doc[i].line = NULL;
	}
	return s;
}

/* ---- in ---- */

/* d becomes h; gives the number of lines that are new. Each has a seq of its own time, so that the log of all reviews is in
 * the order in which it came about. */
static int add_lines(struct sl_mongo_doc *d, const struct sl_review_history *h)
{
	int from = d->nlines;
	int64_t seq = from ? d->line[from - 1].seq : 0;
	d->line = sl_realloc(d->line, (size_t)h->n + 1, sizeof(*d->line));
	for (; d->nlines < h->n; d->nlines++) {
		struct sl_vote_line *l = &d->line[d->nlines];
		*l = h->line[d->nlines];
		l->seq = seq = sl_mongo_seq_after(seq, l->vote.time_ms);
	}
	d->r.verdict = h->r.verdict;
	if (d->r.verdict.state != SL_REVIEW_OPEN)
		d->nholds = 0;
	return h->n - from;
}

/* *updates counts those that must find their review. */
static bool queue_one(struct sl_reviews_db *f, mongoc_bulk_operation_t *bulk, struct sl_mongo_doc *d, bool unsent,
	const struct sl_review_history *h, int *updates, bson_error_t *e)
{
	bool ok = true;
	if (!*d->r.key) {
		SL_AUTOBSON bson_t *doc = sl_mongo_doc_new(&h->r, sl_mongo_stamp(f));
		ok = mongoc_bulk_operation_insert_with_opts(bulk, doc, NULL, e);
		d->r = h->r;
		d->rev = 0;
	}
	SL_AUTOBSON bson_t *q = BCON_NEW("_id", BCON_UTF8(h->r.key), "rev", BCON_INT64(d->rev));
	int lines = add_lines(d, h);
	SL_AUTOBSON bson_t *update = lines ? sl_mongo_doc_update(d, lines, h->unsent)
					   : BCON_NEW("$unset", "{", "outbox", BCON_BOOL(true), "}");
	if (!ok || (!lines && (!unsent || h->unsent)))
		return ok;
	++*updates;
	return mongoc_bulk_operation_update_one_with_opts(bulk, q, update, NULL, e);
}

static enum sl_status write_all(struct sl_reviews_db *f, struct stored *t, const struct sl_review_history *h,
	bool *ret_any, int *updates, bson_error_t *e, mongoc_bulk_operation_t *bulk, struct sl_err *err)
{
	for (int i = 0; i < t->n; i++) {
		struct sl_review_history here = {t->doc[i].r, t->unsent[i], t->doc[i].line, t->doc[i].nlines};
		bool is_new = !*here.r.key;
		enum sl_status s = is_new ? SL_OK : sl_history_follows(&here, &h[i], err);
		if (s != SL_OK)
			return s;
		*ret_any |= is_new || here.n < h[i].n || (here.unsent && !h[i].unsent);
		if (!queue_one(f, bulk, &t->doc[i], here.unsent, &h[i], updates, e))
			return sl_mongo_fail(f->m, e, err);
	}
	return SL_OK;
}

/* An update of an earlier try, whose answer was lost, may have come first: then this one's did nothing. */
static enum sl_status check_updates(const struct sl_reviews_db *f, const bson_t *reply, int updates, struct sl_err *err)
{
	bson_iter_t at;
	if (bson_iter_init_find(&at, reply, "nMatched") && bson_iter_as_int64(&at) == updates)
		return SL_OK;
	return sl_fail(err, SL_BUSY, "%s: some of these reviews have changed meanwhile; try again", f->m->where);
}

static enum sl_status restore_read(
	struct sl_reviews_db *f, struct stored *t, const struct sl_review_history *h, struct sl_err *err)
{
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	bson_error_t e = {0};
	bson_t reply;
	bool any = false;
	int updates = 0;
	enum sl_status s = sl_mongo_take(f->m, "reviews", &u, err);
	if (s != SL_OK)
		return s;
	mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(u.of, NULL);
	s = write_all(f, t, h, &any, &updates, &e, bulk, err);
	if (s == SL_OK && any) {
		if (mongoc_bulk_operation_execute(bulk, &reply, &e))
			s = check_updates(f, &reply, updates, err);
		else
			/* Two lines of one ms met by chance, or a lost answer: the next try reads what is there. */
			s = sl_mongo_is_duplicate(&e)
				    ? sl_fail(err, SL_BUSY, "%s: some of these reviews are there by now; try again",
					      f->m->where)
				    : sl_mongo_fail(f->m, &e, err);
		bson_destroy(&reply);
	}
	mongoc_bulk_operation_destroy(bulk);
	return s;
}

enum sl_status sl_mongodb_restore(void *self, const struct sl_review_history *h, int n, struct sl_err *err)
{
	SL_AUTOFREE char(*keys)[SL_KEY] = sl_calloc((size_t)n, SL_KEY);
	for (int i = 0; i < n; i++)
		SL_COPY(keys[i], h[i].r.key);
	SL_AUTO(stored_done) struct stored t = stored_new(keys, n);
	enum sl_status s = read_stored(self, &t, err);
	return s == SL_OK ? restore_read(self, &t, h, err) : s;
}
