/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "store/mongodb/client.h"

enum { FORMAT = 1 };

static const char indexes[] = "{\"createIndexes\":\"reviews\",\"indexes\":["
			      "{\"name\":\"next\",\"key\":{\"state\":1,\"nvotes\":-1,\"added\":1}},"
			      "{\"name\":\"log\",\"key\":{\"lines.seq\":1},\"unique\":true,\"sparse\":true},"
			      "{\"name\":\"holder\",\"key\":{\"leases.voter\":1},\"sparse\":true},"
			      "{\"name\":\"until\",\"key\":{\"leases.until\":1},\"sparse\":true},"
			      "{\"name\":\"outbox\",\"key\":{\"outbox\":1},\"sparse\":true},"
			      "{\"name\":\"order\",\"key\":{\"added\":1,\"_id\":1}},"
			      "{\"name\":\"state\",\"key\":{\"state\":1,\"_id\":1}},"
			      "{\"name\":\"voter\",\"key\":{\"voters\":1,\"state\":1}},"
			      "{\"name\":\"agreed\",\"key\":{\"agreed\":1},\"sparse\":true}]}";

/* The first document that fits filter, if any; ret is to be destroyed when *ret_found. */
static enum sl_status find_one(struct sl_mongo *m, const char *collection, const char *filter, bson_t *ret,
	bool *ret_found, struct sl_err *err)
{
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	enum sl_status s = sl_mongo_take(m, collection, &u, err);
	if (s != SL_OK)
		return s;
	const bson_t *doc;
	bson_error_t e;
	SL_AUTOBSON bson_t *q = sl_mongo_json(filter), *opts = sl_mongo_json("{\"limit\":1}");
	mongoc_cursor_t *c = mongoc_collection_find_with_opts(u.of, q, opts, NULL);
	*ret_found = mongoc_cursor_next(c, &doc);
	if (*ret_found)
		bson_copy_to(doc, ret);
	if (mongoc_cursor_error(c, &e))
		s = sl_mongo_fail(m, &e, err);
	mongoc_cursor_destroy(c);
	return s;
}

static enum sl_status check_format(const struct sl_mongo *m, const bson_t *doc, struct sl_err *err)
{
	bson_iter_t at;
	int64_t v = bson_iter_init_find(&at, doc, "v") ? bson_iter_as_int64(&at) : 0;
	if (v > FORMAT)
		return sl_fail(err, SL_UNSUPPORTED,
			"%s: has format %lld, this program reads up to %d; update signloop, or use another database",
			m->where, (long long)v, FORMAT);
	return v >= 1 ? SL_OK
		      : sl_fail(err, SL_INVALID,
				"%s: its document 'reviews' in collection signloop has no format number; use another database",
				m->where);
}

static enum sl_status read_format(struct sl_mongo *m, bool *ret_found, struct sl_err *err)
{
	bson_t doc;
	enum sl_status s = find_one(m, "signloop", "{\"_id\":\"reviews\"}", &doc, ret_found, err);
	if (!*ret_found)
		return s;
	if (s == SL_OK)
		s = check_format(m, &doc, err);
	bson_destroy(&doc);
	return s;
}

static enum sl_status write_format(struct sl_mongo *m, struct sl_err *err)
{
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	enum sl_status s = sl_mongo_take(m, "signloop", &u, err);
	if (s != SL_OK)
		return s;
	bson_error_t e;
	SL_AUTOBSON bson_t *doc = BCON_NEW("_id", "reviews", "v", BCON_INT32(FORMAT), "made",
		BCON_DATE_TIME(sl_now_ms()), "by", "signloop " SL_VERSION);
	bool ok = mongoc_collection_insert_one(u.of, doc, NULL, NULL, &e);
	return ok || sl_mongo_is_duplicate(&e) ? SL_OK : sl_mongo_fail(m, &e, err);
}

/* A process that opens a new database at the same time writes the format before any review. */
static enum sl_status make_format(struct sl_mongo *m, struct sl_err *err)
{
	bson_t doc;
	bool taken = false, found = false;
	enum sl_status s = find_one(m, "reviews", "{}", &doc, &taken, err);
	if (taken)
		bson_destroy(&doc);
	if (s == SL_OK && taken)
		s = read_format(m, &found, err);
	if (s == SL_OK && taken && !found)
		return sl_fail(err, SL_INVALID,
			"%s: has a collection 'reviews' that is not signloop's; use another database", m->where);
	return s == SL_OK && !taken ? write_format(m, err) : s;
}

enum sl_status sl_mongo_prepare(struct sl_mongo *m, struct sl_err *err)
{
	bool found = false;
	enum sl_status s = read_format(m, &found, err);
	if (s == SL_USAGE) /* a log-in that was cut looks like one that was refused: only the same again is believed */
		s = read_format(m, &found, err);
	if (s == SL_AWAY && atomic_load(&m->stranger)) /* the driver leaves such servers out */
		return sl_fail(err, SL_USAGE, "%s: the server that answers is no member of replicaSet '%.60s'",
			m->where, m->set);
	if (s == SL_OK && !found)
		s = make_format(m, err);
	if (s == SL_OK && !found)
		s = read_format(m, &found, err); /* another process's may have won */
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	if (s == SL_OK)
		s = sl_mongo_take(m, "reviews", &u, err);
	if (s != SL_OK)
		return s;
	s = sl_mongo_command(&u, sl_mongo_json(indexes), NULL, err);
	if (s == SL_AWAY || s == SL_TIMEOUT) /* of a large collection this takes longer than any call */
		return sl_prefix(err, s, "the server may still be building indexes; try again later");
	if (s == SL_OK)
		atomic_store(&m->let_in, true);
	return s;
}
