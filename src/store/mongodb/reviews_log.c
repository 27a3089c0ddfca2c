/* SPDX-License-Identifier: Apache-2.0
 *
 * The vote log lies in pieces, a piece a review. A page of it is read as a window of seqs: an
 * index on lines.seq gives the reviews with a line in it. The window narrows until its lines fit
 * into the page, widens where lines are rare, and is remembered for the next page.
 */
#include "base/mem.h"
#include "store/mongodb/reviews_db.h"

enum { WIDEN = 8 };

struct page {
	struct sl_vote_line *line;
	int n, max;
	int64_t from, to; /* the window */
	bool full; /* there are more in the window */
};

static enum sl_status add_lines(struct sl_reviews_db *f, const bson_t *doc, void *arg, struct sl_err *err)
{
	struct page *p = arg;
	SL_AUTOFREE struct sl_vote_line *line = NULL;
	int n;
	if (!sl_mongo_doc_lines(doc, &line, &n))
		return sl_fail(err, SL_CORRUPT,
			"%s: the lines of a review are not what was stored; restore from a copy", f->m->where);
	for (int i = 0; i < n && !p->full; i++) {
		if (line[i].seq <= p->from || line[i].seq > p->to)
			continue;
		p->full = p->n == p->max;
		if (!p->full)
			p->line[p->n++] = line[i];
	}
	return SL_OK;
}

/* Lines in (from, to]. */
static enum sl_status read_window(struct sl_reviews_db *f, int64_t from, int64_t to, struct page *p, struct sl_err *err)
{
	bson_t *q = BCON_NEW("lines", "{", "$elemMatch", "{", "seq", "{", "$gt", BCON_INT64(from), "$lte",
		BCON_INT64(to), "}", "}", "}");
	bson_t *opts =
		BCON_NEW("projection", "{", "lines", BCON_INT32(1), "}", "limit", BCON_INT64((int64_t)p->max + 1));
	p->n = 0;
	p->full = false;
	p->from = from;
	p->to = to;
	return sl_mongo_each(f, q, opts, add_lines, p, err);
}

static enum sl_status has_more(struct sl_reviews_db *f, int64_t after, bool *ret, struct sl_err *err)
{
	SL_AUTO(sl_mongo_give) struct sl_mongo_use u = {0};
	const bson_t *doc;
	bson_error_t e;
	enum sl_status s = sl_mongo_take(f->m, "reviews", &u, err);
	if (s != SL_OK)
		return s;
	SL_AUTOBSON bson_t *q = BCON_NEW("lines.seq", "{", "$gt", BCON_INT64(after), "}");
	SL_AUTOBSON bson_t *opts = BCON_NEW("projection", "{", "_id", BCON_INT32(1), "}", "limit", BCON_INT64(1));
	mongoc_cursor_t *c = mongoc_collection_find_with_opts(u.of, q, opts, NULL);
	*ret = mongoc_cursor_next(c, &doc);
	if (mongoc_cursor_error(c, &e))
		s = sl_mongo_fail(f->m, &e, err);
	mongoc_cursor_destroy(c);
	return s;
}

static int by_seq(const void *a, const void *b)
{
	int64_t x = ((const struct sl_vote_line *)a)->seq, y = ((const struct sl_vote_line *)b)->seq;
	return (x > y) - (x < y);
}

enum sl_status sl_mongodb_votes(
	void *self, int64_t after_seq, int max, struct sl_vote_line *ret, int *ret_n, struct sl_err *err)
{
	struct sl_reviews_db *f = self;
	struct page p = {.line = ret, .max = max};
	int64_t from = SL_MAX(after_seq, 0), width = atomic_load(&f->window);
	bool more = true;
	enum sl_status s = SL_OK;
	while (s == SL_OK && more && !p.n) {
		int64_t to = width < INT64_MAX - from ? from + width : INT64_MAX;
		s = read_window(f, from, to, &p, err);
		if (s == SL_OK && p.full) {
			width = SL_MAX(width / 2, 1); /* one seq is one line: it ends */
			p.n = 0;
		} else if (s == SL_OK && !p.n) {
			s = has_more(f, to, &more, err);
			from = to;
			width = width < INT64_MAX / WIDEN ? width * WIDEN : INT64_MAX;
		} else if (p.n < max / 2 && width < INT64_MAX / 2) {
			width *= 2;
		}
	}
	if (s != SL_OK)
		return s;
	qsort(ret, (size_t)p.n, sizeof(*ret), by_seq);
	atomic_store(&f->window, width);
	*ret_n = p.n;
	return SL_OK;
}
