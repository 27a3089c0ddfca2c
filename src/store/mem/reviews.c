/* SPDX-License-Identifier: Apache-2.0
 *
 * One lock, plain arrays, and a walk over everything for a lease: the judge of the other
 * backends, not their rival.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "store/mem/mem.h"
#include "store/mem/table.h"
#include "store/rules.h"
#include <pthread.h>
#include <stdio.h>

struct hold {
	char voter[SL_VOTER];
	int64_t until_ms;
};

struct item {
	struct sl_review r;
	struct sl_vote_line *line; /* of this review */
	int nlines, order, nholds;
	struct hold hold[SL_CAP_MAX];
	bool unsent;
	int64_t decided; /* line of the vote that decided */
};

struct position {
	char *group;
	int partition;
	int64_t position;
};

struct reviews {
	pthread_mutex_t lock;
	struct sl_table table; /* struct item by key */
	struct item **item; /* in the order they were added */
	struct sl_vote_line *line; /* the whole vote log; seq is index + 1 */
	int64_t nlines, lines_size;
	struct position *position;
	int npositions, cap;
	int64_t lease_ms;
};

static struct position *position_of(struct reviews *f, const char *group, int partition)
{
	for (int i = 0; i < f->npositions; i++)
		if (f->position[i].partition == partition && !strcmp(f->position[i].group, group))
			return &f->position[i];
	return NULL;
}

static void set_position(struct reviews *f, const struct sl_origin *from)
{
	struct position *p = position_of(f, from->group, from->partition);
	if (!p) {
		f->position = sl_realloc(f->position, (size_t)f->npositions + 1, sizeof(*f->position));
		p = &f->position[f->npositions++];
		*p = (struct position){sl_strdup(from->group), from->partition, -1};
	}
	p->position = from->position;
}

static struct item *add_one(struct reviews *f, const struct sl_review *r, int64_t opened_ms)
{
	if (sl_table_get(&f->table, r->key))
		return NULL;
	struct item *it = SL_NEW(struct item);
	it->r = *r;
	it->r.opened_ms = opened_ms;
	it->r.cap = r->cap ? r->cap : f->cap;
	it->r.verdict = (struct sl_verdict){0};
	it->r.lease_until_ms = 0;
	it->order = f->table.n;
	f->item = sl_realloc(f->item, (size_t)f->table.n + 1, sizeof(*f->item));
	f->item[it->order] = it;
	sl_table_add(&f->table, it->r.key, it);
	return it;
}

static enum sl_status add(
	void *self, const struct sl_review *r, int n, const struct sl_origin *from, struct sl_err *err)
{
	struct reviews *f = self;
	pthread_mutex_lock(&f->lock);
	const struct position *p = from ? position_of(f, from->group, from->partition) : NULL;
	if (!p || p->position < from->position) {
		for (int i = 0; i < n; i++)
			add_one(f, &r[i], sl_now_ms());
		if (from)
			set_position(f, from);
	}
	pthread_mutex_unlock(&f->lock);
	return SL_OK;
}

static enum sl_status position(void *self, const char *group, int partition, int64_t *ret, struct sl_err *err)
{
	struct reviews *f = self;
	pthread_mutex_lock(&f->lock);
	const struct position *p = position_of(f, group, partition);
	*ret = p ? p->position : -1;
	pthread_mutex_unlock(&f->lock);
	return SL_OK;
}

static int find_hold(const struct item *it, const char *voter)
{
	for (int i = 0; i < it->nholds; i++)
		if (!strcmp(it->hold[i].voter, voter))
			return i;
	return -1;
}

static int drop_expired(struct item *it)
{
	int n = 0;
	for (int i = it->nholds; i-- > 0;)
		if (it->hold[i].until_ms <= sl_now_ms()) {
			it->hold[i] = it->hold[--it->nholds];
			n++;
		}
	return n;
}

static bool has_voted(const struct item *it, const char *voter)
{
	struct sl_vote live[SL_VOTES_MAX];
	int n = sl_lines_live(it->line, it->nlines, live);
	for (int i = 0; i < n; i++)
		if (!strcmp(live[i].voter, voter))
			return true;
	return false;
}

static bool may_lease(const struct item *it, const char *voter)
{
	return it->r.verdict.state == SL_REVIEW_OPEN && it->r.verdict.votes + it->nholds < it->r.cap &&
	       find_hold(it, voter) < 0 && !has_voted(it, voter);
}

static struct item *best(struct reviews *f, const char *voter)
{
	struct item *ret = NULL;
	for (int i = 0; i < f->table.n; i++)
		if (may_lease(f->item[i], voter) && (!ret || f->item[i]->r.verdict.votes > ret->r.verdict.votes))
			ret = f->item[i];
	return ret;
}

static enum sl_status lease(void *self, const char *voter, int n, struct sl_review *ret, int *ret_n, struct sl_err *err)
{
	struct reviews *f = self;
	int got = 0;
	pthread_mutex_lock(&f->lock);
	int64_t until = sl_now_ms() + f->lease_ms;
	for (int i = 0; i < f->table.n; i++) {
		struct item *it = f->item[i];
		drop_expired(it);
		int held = find_hold(it, voter);
		if (held < 0 || got == n)
			continue;
		it->hold[held].until_ms = until;
		ret[got++] = it->r;
	}
	for (struct item *it; got < n && (it = best(f, voter)); ret[got++] = it->r) {
		struct hold *h = &it->hold[it->nholds++];
		SL_COPY(h->voter, voter);
		h->until_ms = until;
	}
	for (int i = 0; i < got; i++)
		ret[i].lease_until_ms = until;
	pthread_mutex_unlock(&f->lock);
	*ret_n = got;
	return SL_OK;
}

static void append_line(struct reviews *f, struct item *it, int64_t time_ms)
{
	struct sl_vote_line *l = &it->line[it->nlines++];
	l->vote.time_ms = time_ms;
	SL_COPY(l->key, it->r.key);
	if (f->nlines == f->lines_size) {
		f->lines_size = f->lines_size ? 2 * f->lines_size : 64;
		f->line = sl_realloc(f->line, (size_t)f->lines_size, sizeof(*f->line));
	}
	l->seq = f->nlines + 1;
	f->line[f->nlines++] = *l;
}

static void set_verdict(struct item *it, const struct sl_verdict *v)
{
	it->r.verdict = *v;
	if (v->state != SL_REVIEW_OPEN)
		it->nholds = 0;
	if (v->state != SL_REVIEW_DECIDED)
		return;
	it->unsent = true;
	it->decided = it->line[it->nlines - 1].seq;
}

static enum sl_status vote_locked(
	struct reviews *f, struct item *it, const struct sl_vote *vote, struct sl_verdict *ret, struct sl_err *err)
{
	bool again;
	drop_expired(it);
	int mine = find_hold(it, vote->voter);
	enum sl_status s =
		sl_lines_vote(it->line, it->nlines, it->r.cap, it->nholds - (mine >= 0), vote, &again, ret, err);
	if (s != SL_OK || again)
		return s;
	if (mine >= 0)
		it->hold[mine] = it->hold[--it->nholds];
	append_line(f, it, sl_now_ms());
	set_verdict(it, ret);
	return SL_OK;
}

static enum sl_status undo_locked(
	struct reviews *f, struct item *it, const char *voter, struct sl_verdict *ret, struct sl_err *err)
{
	enum sl_status s = sl_lines_undo(it->line, it->nlines, it->r.cap, voter, ret, err);
	if (s != SL_OK)
		return s;
	append_line(f, it, sl_now_ms());
	set_verdict(it, ret);
	return SL_OK;
}

static enum sl_status change(struct reviews *f, const char *key, const struct sl_vote *vote, const char *voter,
	struct sl_verdict *ret, struct sl_err *err)
{
	struct sl_verdict v;
	pthread_mutex_lock(&f->lock);
	struct item *it = sl_table_get(&f->table, key);
	enum sl_status s = it ? SL_OK : sl_fail(err, SL_NOT_FOUND, "no review %.63s", key);
	if (it) {
		it->line = sl_realloc(it->line, (size_t)it->nlines + 1, sizeof(*it->line));
		s = vote ? vote_locked(f, it, vote, &v, err) : undo_locked(f, it, voter, &v, err);
	}
	pthread_mutex_unlock(&f->lock);
	if (s == SL_OK)
		*ret = v;
	return s;
}

static enum sl_status vote(
	void *self, const char *key, const struct sl_vote *vote, struct sl_verdict *ret, struct sl_err *err)
{
	return change(self, key, vote, NULL, ret, err);
}

static enum sl_status undo(void *self, const char *key, const char *voter, struct sl_verdict *ret, struct sl_err *err)
{
	return change(self, key, NULL, voter, ret, err);
}

static enum sl_status expire(void *self, int *ret_n, struct sl_err *err)
{
	struct reviews *f = self;
	int n = 0;
	pthread_mutex_lock(&f->lock);
	for (int i = 0; i < f->table.n; i++)
		n += drop_expired(f->item[i]);
	pthread_mutex_unlock(&f->lock);
	*ret_n = n;
	return SL_OK;
}

static enum sl_status get(
	void *self, const char *key, struct sl_review *ret, struct sl_vote *votes, int *ret_nvotes, struct sl_err *err)
{
	struct reviews *f = self;
	pthread_mutex_lock(&f->lock);
	const struct item *it = sl_table_get(&f->table, key);
	if (it)
		*ret = it->r;
	if (it && votes)
		*ret_nvotes = sl_lines_live(it->line, it->nlines, votes);
	pthread_mutex_unlock(&f->lock);
	return it ? SL_OK : sl_fail(err, SL_NOT_FOUND, "no review %.63s", key);
}

static enum sl_status scan(
	void *self, int state, const char *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	struct reviews *f = self;
	pthread_mutex_lock(&f->lock);
	for (int i = sl_table_after(&f->table, after); i < f->table.n && *ret_n < max; i++) {
		const struct item *it = f->table.row[i].value;
		if (state < 0 || (int)it->r.verdict.state == state)
			SL_COPY(ret[(*ret_n)++], it->r.key);
	}
	pthread_mutex_unlock(&f->lock);
	return SL_OK;
}

static int by_decided(const void *a, const void *b)
{
	int64_t x = (*(const struct item *const *)a)->decided, y = (*(const struct item *const *)b)->decided;
	return (x > y) - (x < y);
}

static enum sl_status pending_out(void *self, int max, struct sl_review *ret, int *ret_n, struct sl_err *err)
{
	struct reviews *f = self;
	pthread_mutex_lock(&f->lock);
	SL_AUTOFREE const struct item **found = SL_NEW_N(const struct item *, (size_t)f->table.n + 1);
	int n = 0;
	for (int i = 0; i < f->table.n; i++)
		if (f->item[i]->unsent)
			found[n++] = f->item[i];
	qsort(found, (size_t)n, sizeof(*found), by_decided);
	for (int i = 0; i < n && *ret_n < max; i++)
		ret[(*ret_n)++] = found[i]->r;
	pthread_mutex_unlock(&f->lock);
	return SL_OK;
}

static enum sl_status sent(void *self, char (*keys)[SL_KEY], int n, struct sl_err *err)
{
	struct reviews *f = self;
	pthread_mutex_lock(&f->lock);
	for (int i = 0; i < n; i++) {
		struct item *it = sl_table_get(&f->table, keys[i]);
		if (it)
			it->unsent = false;
	}
	pthread_mutex_unlock(&f->lock);
	return SL_OK;
}

static enum sl_status votes(
	void *self, int64_t after_seq, int max, struct sl_vote_line *ret, int *ret_n, struct sl_err *err)
{
	struct reviews *f = self;
	pthread_mutex_lock(&f->lock);
	for (int64_t i = SL_MAX(after_seq, 0); i < f->nlines && *ret_n < max; i++)
		ret[(*ret_n)++] = f->line[i];
	pthread_mutex_unlock(&f->lock);
	return SL_OK;
}

static enum sl_status stats(void *self, struct sl_review_stats *ret, struct sl_err *err)
{
	struct reviews *f = self;
	struct sl_review_stats st = {0};
	pthread_mutex_lock(&f->lock);
	for (int i = 0; i < f->table.n; i++) {
		const struct item *it = f->item[i];
		struct sl_vote live[SL_VOTES_MAX];
		st.open += it->r.verdict.state == SL_REVIEW_OPEN;
		st.tie += it->r.verdict.state == SL_REVIEW_TIE;
		st.decided += it->r.verdict.state == SL_REVIEW_DECIDED;
		st.votes += sl_lines_live(it->line, it->nlines, live);
		st.unsent += it->unsent;
		for (int k = 0; k < it->nholds; k++)
			st.leases += it->hold[k].until_ms > sl_now_ms();
	}
	pthread_mutex_unlock(&f->lock);
	*ret = st;
	return SL_OK;
}

static enum sl_status voter(void *self, const char *voter, int64_t *ret_votes, int64_t *ret_decided,
	int64_t *ret_agreed, struct sl_err *err)
{
	struct reviews *f = self;
	*ret_votes = *ret_decided = *ret_agreed = 0;
	pthread_mutex_lock(&f->lock);
	for (int i = 0; i < f->table.n; i++) {
		const struct item *it = f->item[i];
		struct sl_vote live[SL_VOTES_MAX];
		int n = sl_lines_live(it->line, it->nlines, live);
		for (int k = 0; k < n; k++) {
			if (strcmp(live[k].voter, voter))
				continue;
			bool decided = it->r.verdict.state == SL_REVIEW_DECIDED;
			++*ret_votes;
			*ret_decided += decided;
			*ret_agreed += decided && live[k].choice == it->r.verdict.choice;
		}
	}
	pthread_mutex_unlock(&f->lock);
	return SL_OK;
}

static enum sl_status order(void *self, char *cursor, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	struct reviews *f = self;
	pthread_mutex_lock(&f->lock);
	int at = *cursor ? atoi(cursor) : 0;
	while (at < f->table.n && *ret_n < max)
		SL_COPY(ret[(*ret_n)++], f->item[at++]->r.key);
	pthread_mutex_unlock(&f->lock);
	snprintf(cursor, SL_REVIEW_CURSOR, "%d", at);
	return SL_OK;
}

static enum sl_status history(
	void *self, char (*keys)[SL_KEY], int n, struct sl_review_history *ret, struct sl_err *err)
{
	struct reviews *f = self;
	pthread_mutex_lock(&f->lock);
	for (int i = 0; i < n; i++) {
		const struct item *it = sl_table_get(&f->table, keys[i]);
		if (it)
			ret[i] = (struct sl_review_history){.r = it->r,
				.unsent = it->unsent,
				.line = sl_memdup(it->line, sizeof(*it->line) * (size_t)it->nlines),
				.n = it->nlines};
	}
	pthread_mutex_unlock(&f->lock);
	return SL_OK;
}

static enum sl_status restore_one(struct reviews *f, const struct sl_review_history *h, struct sl_err *err)
{
	struct item *it = sl_table_get(&f->table, h->r.key);
	if (it) {
		struct sl_review_history here = {it->r, it->unsent, it->line, it->nlines};
		enum sl_status s = sl_history_follows(&here, h, err);
		if (s != SL_OK)
			return s;
	} else {
		it = add_one(f, &h->r, h->r.opened_ms);
	}
	it->line = sl_realloc(it->line, (size_t)h->n + 1, sizeof(*it->line));
	while (it->nlines < h->n) {
		it->line[it->nlines] =
			(struct sl_vote_line){.vote = h->line[it->nlines].vote, .undo = h->line[it->nlines].undo};
		append_line(f, it, it->line[it->nlines].vote.time_ms);
		struct sl_verdict v = sl_lines_verdict(it->line, it->nlines, it->r.cap);
		set_verdict(it, &v);
	}
	it->unsent &= h->unsent;
	return SL_OK;
}

static enum sl_status restore(void *self, const struct sl_review_history *h, int n, struct sl_err *err)
{
	struct reviews *f = self;
	enum sl_status s = SL_OK;
	pthread_mutex_lock(&f->lock);
	for (int i = 0; i < n && s == SL_OK; i++)
		s = restore_one(f, &h[i], err);
	pthread_mutex_unlock(&f->lock);
	return s;
}

static enum sl_status open_reviews(struct sl_url *url, const struct sl_config *cfg, void **ret, struct sl_err *err)
{
	struct reviews *f = SL_NEW(struct reviews);
	pthread_mutex_init(&f->lock, NULL);
	f->cap = (int)sl_config_int(cfg, "reviews.cap");
	f->lease_ms = sl_config_int(cfg, "reviews.lease_ms");
	*ret = f;
	return SL_OK;
}

static void close_reviews(void *self)
{
	struct reviews *f = self;
	for (int i = 0; i < f->table.n; i++) {
		free(f->item[i]->line);
		free(f->item[i]);
	}
	for (int i = 0; i < f->npositions; i++)
		free(f->position[i].group);
	sl_table_done(&f->table);
	free(f->item);
	free(f->line);
	free(f->position);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

const struct sl_reviews_ops sl_mem_reviews = {
	.open = open_reviews,
	.close = close_reviews,
	.add = add,
	.position = position,
	.lease = lease,
	.vote = vote,
	.undo = undo,
	.expire = expire,
	.get = get,
	.scan = scan,
	.pending_out = pending_out,
	.sent = sent,
	.votes = votes,
	.stats = stats,
	.voter = voter,
	.order = order,
	.history = history,
	.restore = restore,
};
