/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/mongodb/mongodb.h"
#include "store/mongodb/reviews_db.h"

enum { ADD_AT_ONCE = 1000 };

/* ---- in ---- */

static bson_t *position_id(const char *group, int partition)
{
	SL_AUTOFREE char *id = sl_asprintf("%s/%d", group, partition);
	return BCON_NEW("_id", BCON_UTF8(id));
}

static enum sl_status position(void *self, const char *group, int partition, int64_t *ret, struct sl_err *err)
{
	struct sl_reviews_db *f = self;
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	enum sl_status s = sl_mongo_take(f->m, "positions", &u, err);
	if (s != SL_OK)
		return s;
	const bson_t *doc;
	bson_iter_t at;
	bson_error_t e;
	int64_t found = -1;
	SL_AUTOBSON bson_t *q = position_id(group, partition);
	mongoc_cursor_t *c = mongoc_collection_find_with_opts(u.of, q, NULL, NULL);
	if (mongoc_cursor_next(c, &doc) && bson_iter_init_find(&at, doc, "position"))
		found = bson_iter_as_int64(&at);
	if (mongoc_cursor_error(c, &e))
		s = sl_mongo_fail(f->m, &e, err);
	mongoc_cursor_destroy(c);
	if (s == SL_OK)
		*ret = found;
	return s;
}

/* Only forward. Two that insert it at once: the loser's second try finds it. */
static enum sl_status set_position(struct sl_reviews_db *f, const struct sl_origin *from, struct sl_err *err)
{
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	enum sl_status s = sl_mongo_take(f->m, "positions", &u, err);
	if (s != SL_OK)
		return s;
	bson_error_t e;
	SL_AUTOBSON bson_t *q = position_id(from->group, from->partition);
	SL_AUTOBSON bson_t *opts = BCON_NEW("upsert", BCON_BOOL(true));
	SL_AUTOBSON bson_t *update = BCON_NEW("$max", "{", "position", BCON_INT64(from->position), "}", "$set", "{",
		"group", BCON_UTF8(from->group), "partition", BCON_INT32(from->partition), "at",
		BCON_DATE_TIME(sl_now_ms()), "}");
	bool ok = mongoc_collection_update_one(u.of, q, update, opts, NULL, &e);
	if (!ok && sl_mongo_is_duplicate(&e))
		ok = mongoc_collection_update_one(u.of, q, update, opts, NULL, &e);
	return ok ? SL_OK : sl_mongo_fail(f->m, &e, err);
}

/* Of a bulk insert that was not all done: is every review there now? Else the first error that is no duplicate. */
static enum sl_status check_added(
	struct sl_reviews_db *f, const bson_t *reply, const bson_error_t *e, int n, struct sl_err *err)
{
	bson_iter_t at, in, code;
	int there = bson_iter_init_find(&at, reply, "nInserted") ? (int)bson_iter_as_int64(&at) : 0;
	if (bson_iter_init_find(&at, reply, "writeErrors") && bson_iter_recurse(&at, &in))
		while (bson_iter_next(&in)) {
			bson_error_t one = {.domain = MONGOC_ERROR_SERVER};
			if (bson_iter_recurse(&in, &code) && bson_iter_find(&code, "code"))
				one.code = (uint32_t)bson_iter_as_int64(&code);
			if (!sl_mongo_is_duplicate(&one))
				return sl_mongo_fail(f->m, one.code == e->code ? e : &one, err);
			there++;
		}
	if (bson_iter_init_find(&at, reply, "writeConcernErrors") && bson_iter_recurse(&at, &in) &&
		bson_iter_next(&in)) {
		bson_error_t late = {.domain = MONGOC_ERROR_WRITE_CONCERN, .code = MONGOC_ERROR_WRITE_CONCERN_ERROR};
		return sl_mongo_fail(f->m, &late, err);
	}
	return there >= n ? SL_OK : sl_mongo_fail(f->m, e, err);
}

static enum sl_status insert(struct sl_reviews_db *f, const struct sl_review *r, int n, struct sl_err *err)
{
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	enum sl_status s = sl_mongo_take(f->m, "reviews", &u, err);
	if (s != SL_OK)
		return s;
	bson_t reply;
	bson_error_t e = {0};
	SL_AUTOBSON bson_t *opts = BCON_NEW("ordered", BCON_BOOL(false));
	mongoc_bulk_operation_t *bulk = mongoc_collection_create_bulk_operation_with_opts(u.of, opts);
	for (int i = 0; i < n && s == SL_OK; i++) {
		struct sl_review v = r[i];
		v.opened_ms = sl_now_ms();
		v.cap = v.cap ? v.cap : f->cap;
		SL_AUTOBSON bson_t *doc = sl_mongo_doc_new(&v, sl_mongo_stamp(f));
		if (!mongoc_bulk_operation_insert_with_opts(bulk, doc, NULL, &e))
			s = sl_mongo_fail(f->m, &e, err);
	}
	if (s == SL_OK) {
		if (!mongoc_bulk_operation_execute(bulk, &reply, &e))
			s = check_added(f, &reply, &e, n, err);
		bson_destroy(&reply);
	}
	mongoc_bulk_operation_destroy(bulk);
	return s;
}

/* A crash before the position is stored is harmless: the same inserts come again and do nothing. */
static enum sl_status add(
	void *self, const struct sl_review *r, int n, const struct sl_origin *from, struct sl_err *err)
{
	struct sl_reviews_db *f = self;
	int64_t done = -1;
	enum sl_status s = from ? position(self, from->group, from->partition, &done, err) : SL_OK;
	if (s != SL_OK || (from && from->position <= done))
		return s;
	for (int i = 0; i < n && s == SL_OK; i += ADD_AT_ONCE)
		s = insert(f, r + i, SL_MIN(n - i, ADD_AT_ONCE), err);
	return s == SL_OK && from ? set_position(f, from, err) : s;
}

/* ---- out ---- */

static enum sl_status get(
	void *self, const char *key, struct sl_review *ret, struct sl_vote *votes, int *ret_nvotes, struct sl_err *err)
{
	SL_AUTO(sl_mongo_doc_done) struct sl_mongo_doc d = {0};
	enum sl_status s = sl_mongo_read(self, key, &d, err);
	if (s != SL_OK)
		return s;
	*ret = d.r;
	if (votes)
		*ret_nvotes = sl_lines_live(d.line, d.nlines, votes);
	return SL_OK;
}

/* Calls fn with each document; ends with the first that is not OK. Destroys the cursor. The driver does not look
 * whether the server kept to the query's limit, which is what arrays have room for. */
static enum sl_status walk(
	struct sl_reviews_db *f, mongoc_cursor_t *c, sl_mongo_doc_fn fn, void *arg, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	const bson_t *doc;
	bson_error_t e;
	int64_t limit = mongoc_cursor_get_limit(c), n = 0;
	while (s == SL_OK && mongoc_cursor_next(c, &doc))
		s = limit && n++ == limit
			    ? sl_fail(err, SL_CORRUPT,
				      "%s: the server answers with more than the %lld that were asked for", f->m->where,
				      (long long)limit)
			    : fn(f, doc, arg, err);
	if (s == SL_OK && mongoc_cursor_error(c, &e))
		s = sl_mongo_fail(f->m, &e, err);
	mongoc_cursor_destroy(c);
	return s;
}

enum sl_status sl_mongo_each(
	struct sl_reviews_db *f, bson_t *filter, bson_t *opts, sl_mongo_doc_fn fn, void *arg, struct sl_err *err)
{
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	SL_AUTOBSON bson_t *q = filter, *o = opts;
	enum sl_status s = sl_mongo_take(f->m, "reviews", &u, err);
	return s == SL_OK ? walk(f, mongoc_collection_find_with_opts(u.of, q, o, NULL), fn, arg, err) : s;
}

struct keys {
	char (*key)[SL_KEY];
	int n;
};

static enum sl_status take_key(struct sl_reviews_db *f, const bson_t *doc, void *arg, struct sl_err *err)
{
	struct keys *k = arg;
	bson_iter_t at;
	const char *key =
		bson_iter_init_find(&at, doc, "_id") && BSON_ITER_HOLDS_UTF8(&at) ? bson_iter_utf8(&at, NULL) : "";
	if (!*key || strlen(key) >= SL_KEY)
		return sl_fail(err, SL_CORRUPT, "%s: a review has _id '%.70s', which is no key", f->m->where, key);
	SL_COPY(k->key[k->n++], key);
	return SL_OK;
}

static enum sl_status scan(
	void *self, int state, const char *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	struct keys k = {.key = ret};
	bson_t *q = BCON_NEW("_id", "{", "$gt", BCON_UTF8(after), "}");
	if (state >= 0)
		BSON_APPEND_UTF8(q, "state", sl_review_state_name((enum sl_review_state)state));
	bson_t *opts = BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}", "projection", "{", "_id", BCON_INT32(1), "}",
		"limit", BCON_INT64(max));
	enum sl_status s = sl_mongo_each(self, q, opts, take_key, &k, err);
	*ret_n = k.n;
	return s;
}

struct reviews {
	struct sl_review *r;
	int n;
};

static enum sl_status take_review(struct sl_reviews_db *f, const bson_t *doc, void *arg, struct sl_err *err)
{
	struct reviews *v = arg;
	enum sl_status s = sl_mongo_doc_review(f->m, doc, &v->r[v->n], err);
	v->n += s == SL_OK;
	return s;
}

static bson_t *is_unsent(void)
{
	return BCON_NEW("outbox", "{", "$gt", BCON_INT64(0), "}");
}

static enum sl_status pending_out(void *self, int max, struct sl_review *ret, int *ret_n, struct sl_err *err)
{
	struct reviews v = {.r = ret};
	bson_t *opts = BCON_NEW("sort", "{", "outbox", BCON_INT32(1), "}", "limit", BCON_INT64(max), "projection", "{",
		"lines", BCON_INT32(0), "voters", BCON_INT32(0), "agreed", BCON_INT32(0), "}");
	enum sl_status s = sl_mongo_each(self, is_unsent(), opts, take_review, &v, err);
	*ret_n = v.n;
	return s;
}

static enum sl_status sent(void *self, char (*keys)[SL_KEY], int n, struct sl_err *err)
{
	struct sl_reviews_db *f = self;
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	enum sl_status s = sl_mongo_take(f->m, "reviews", &u, err);
	if (s != SL_OK)
		return s;
	bson_error_t e;
	bson_t in, list;
	SL_AUTOBSON bson_t *q = bson_new(), *update = BCON_NEW("$unset", "{", "outbox", BCON_BOOL(true), "}");
	BSON_APPEND_DOCUMENT_BEGIN(q, "_id", &in);
	BSON_APPEND_ARRAY_BEGIN(&in, "$in", &list);
	for (int i = 0; i < n; i++) {
		char at[12];
		snprintf(at, sizeof(at), "%d", i);
		BSON_APPEND_UTF8(&list, at, keys[i]);
	}
	bson_append_array_end(&in, &list);
	bson_append_document_end(q, &in);
	return mongoc_collection_update_many(u.of, q, update, NULL, NULL, &e) ? SL_OK : sl_mongo_fail(f->m, &e, err);
}

/* ---- counts ---- */

/* Calls fn for each row of the aggregation; destroys pipeline. */
static enum sl_status aggregate(struct sl_reviews_db *f, bson_t *pipeline, bson_t *opts, sl_mongo_doc_fn fn,
	struct sl_review_stats *st, struct sl_err *err)
{
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	SL_AUTOBSON bson_t *p = pipeline, *o = opts;
	enum sl_status s = sl_mongo_take(f->m, "reviews", &u, err);
	return s == SL_OK ? walk(f, mongoc_collection_aggregate(u.of, MONGOC_QUERY_NONE, p, o, NULL), fn, st, err) : s;
}

static int64_t number(const bson_t *row, const char *name)
{
	bson_iter_t at;
	return bson_iter_init_find(&at, row, name) ? bson_iter_as_int64(&at) : 0;
}

static enum sl_status take_state(struct sl_reviews_db *f, const bson_t *row, void *arg, struct sl_err *err)
{
	(void)f;
	(void)err;
	struct sl_review_stats *st = arg;
	bson_iter_t at;
	const char *state =
		bson_iter_init_find(&at, row, "_id") && BSON_ITER_HOLDS_UTF8(&at) ? bson_iter_utf8(&at, NULL) : "";
	int64_t *const to[] = {&st->open, &st->tie, &st->decided};
	for (int i = SL_REVIEW_OPEN; i <= SL_REVIEW_DECIDED; i++)
		if (!strcmp(state, sl_review_state_name((enum sl_review_state)i)))
			*to[i] = number(row, "n");
	st->votes += number(row, "votes");
	return SL_OK;
}

static enum sl_status take_leases(struct sl_reviews_db *f, const bson_t *row, void *arg, struct sl_err *err)
{
	(void)f;
	(void)err;
	((struct sl_review_stats *)arg)->leases = number(row, "n");
	return SL_OK;
}

/* By the index `next` alone. Of a large store the answer is kept for a while, also that it took too long: then
 * the last counts are as good as new ones. */
static enum sl_status count_states(struct sl_reviews_db *f, struct sl_review_stats *ret, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	pthread_mutex_lock(&f->count_lock);
	const struct sl_review_stats *old = &f->counted;
	int64_t all = old->open + old->tie + old->decided;
	bool large = f->gave_up || all > SL_MONGO_EXACT;
	if (!large || sl_mono_us() - f->counted_us > (int64_t)SL_MONGO_COUNT_MS * 1000) {
		struct sl_review_stats now = {0};
		bson_t *p = sl_mongo_json(
			"{\"pipeline\":[{\"$match\":{\"state\":{\"$in\":[\"open\",\"tie\",\"decided\"]}}},"
			"{\"$group\":{\"_id\":\"$state\",\"n\":{\"$sum\":1},\"votes\":{\"$sum\":\"$nvotes\"}}}]}");
		bson_t *opts = BCON_NEW("hint", "next", "maxTimeMS", BCON_INT64(f->m->work_ms));
		s = aggregate(f, p, opts, take_state, &now, err);
		f->counted_us = sl_mono_us();
		f->gave_up = s == SL_TIMEOUT;
		if (s == SL_OK)
			f->counted = now;
	}
	if (f->gave_up)
		s = all ? SL_OK : sl_fail(err, SL_TIMEOUT, "%s: to count the reviews takes too long", f->m->where);
	*ret = f->counted;
	pthread_mutex_unlock(&f->count_lock);
	return s;
}

static enum sl_status count_leases(struct sl_reviews_db *f, struct sl_review_stats *st, struct sl_err *err)
{
	int64_t now = sl_now_ms();
	bson_t *p = BCON_NEW("pipeline", "[", "{", "$match", "{", "leases.until", "{", "$gt", BCON_DATE_TIME(now), "}",
		"}", "}", "{", "$unwind", "$leases", "}", "{", "$match", "{", "leases.until", "{", "$gt",
		BCON_DATE_TIME(now), "}", "}", "}", "{", "$group", "{", "_id", BCON_NULL, "n", "{", "$sum",
		BCON_INT32(1), "}", "}", "}", "]");
	return aggregate(f, p, bson_new(), take_leases, st, err);
}

static enum sl_status count(struct sl_reviews_db *f, bson_t *filter, int64_t *ret, struct sl_err *err)
{
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	enum sl_status s = sl_mongo_take(f->m, "reviews", &u, err);
	if (s == SL_OK)
		return sl_mongo_count(&u, filter, ret, err);
	bson_destroy(filter);
	return s;
}

static enum sl_status stats(void *self, struct sl_review_stats *ret, struct sl_err *err)
{
	struct sl_review_stats st = {0};
	enum sl_status s = count_states(self, &st, err);
	if (s == SL_OK)
		s = count_leases(self, &st, err);
	if (s == SL_OK)
		s = count(self, is_unsent(), &st.unsent, err);
	if (s == SL_OK)
		*ret = st;
	return s;
}

static enum sl_status voter(void *self, const char *voter, int64_t *ret_votes, int64_t *ret_decided,
	int64_t *ret_agreed, struct sl_err *err)
{
	enum sl_status s = count(self, BCON_NEW("voters", BCON_UTF8(voter)), ret_votes, err);
	if (s == SL_OK)
		s = count(self,
			BCON_NEW("voters", BCON_UTF8(voter), "state",
				BCON_UTF8(sl_review_state_name(SL_REVIEW_DECIDED))),
			ret_decided, err);
	return s == SL_OK ? count(self, BCON_NEW("agreed", BCON_UTF8(voter)), ret_agreed, err) : s;
}

/* ---- the handle ---- */

static void close_reviews(void *self)
{
	struct sl_reviews_db *f = self;
	for (int i = 0; i < SL_MONGO_TURNS; i++)
		pthread_mutex_destroy(&f->turn[i]);
	pthread_mutex_destroy(&f->count_lock);
	sl_mongo_close(f->m);
	free(f);
}

static enum sl_status open_reviews(struct sl_url *url, const struct sl_config *cfg, void **ret, struct sl_err *err)
{
	struct sl_mongo *m = NULL;
	enum sl_status s = sl_mongo_open(url, &m, err);
	if (s == SL_OK)
		s = sl_url_check_used(url, err); /* before a server is asked */
	if (s == SL_OK)
		s = sl_mongo_prepare(m, err);
	if (s != SL_OK) {
		sl_mongo_close(m);
		return s;
	}
	struct sl_reviews_db *f = SL_NEW(struct sl_reviews_db);
	f->m = m;
	f->cap = (int)sl_config_int(cfg, "reviews.cap");
	f->lease_ms = sl_config_int(cfg, "reviews.lease_ms");
	f->window = (int64_t)3600 * 1000 << SL_MONGO_STAMP_BITS;
	for (int i = 0; i < SL_MONGO_TURNS; i++)
		pthread_mutex_init(&f->turn[i], NULL);
	pthread_mutex_init(&f->count_lock, NULL);
	*ret = f;
	return SL_OK;
}

const struct sl_reviews_ops sl_mongodb_reviews = {
	.open = open_reviews,
	.close = close_reviews,
	.add = add,
	.position = position,
	.lease = sl_mongodb_lease,
	.vote = sl_mongodb_vote,
	.undo = sl_mongodb_undo,
	.expire = sl_mongodb_expire,
	.get = get,
	.scan = scan,
	.pending_out = pending_out,
	.sent = sent,
	.votes = sl_mongodb_votes,
	.stats = stats,
	.voter = voter,
	.order = sl_mongodb_order,
	.history = sl_mongodb_history,
	.restore = sl_mongodb_restore,
};
