/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite/openset.h"
#include "base/digest.h"
#include "base/mem.h"
#include <string.h>

enum { PAGE_BITS = 4096, WORDS = PAGE_BITS / 64, VOTERS_MAX = 4096, SLOTS = 2 * VOTERS_MAX };

struct page {
	int set; /* bits that are set */
	uint64_t word[WORDS];
};

struct sl_bits {
	struct page **page;
	int64_t npages;
};

struct voter {
	char *name;
	struct sl_bits bits;
};

struct sl_openset {
	struct sl_bits level[SL_CAP_MAX + 1];
	uint8_t **votes; /* by page: votes + 1 of each review, 0: not open */
	int64_t npages;
	struct voter *voter[SLOTS]; /* open addressing */
	int nvoters;
};

static void bits_set(struct sl_bits *b, int64_t i, bool on)
{
	int64_t p = i / PAGE_BITS;
	if (p >= b->npages) {
		if (!on)
			return;
		b->page = sl_realloc(b->page, (size_t)p + 1, sizeof(*b->page));
		memset(b->page + b->npages, 0, sizeof(*b->page) * (size_t)(p + 1 - b->npages));
		b->npages = p + 1;
	}
	struct page *g = b->page[p];
	if (!g && !on)
		return;
	if (!g)
		g = b->page[p] = SL_NEW(struct page);
	uint64_t *w = &g->word[i % PAGE_BITS / 64], bit = (uint64_t)1 << i % 64;
	if (!(*w & bit) == !on)
		return;
	*w ^= bit;
	g->set += on ? 1 : -1;
	if (!g->set) {
		free(g);
		b->page[p] = NULL;
	}
}

static void bits_done(struct sl_bits *b)
{
	for (int64_t i = 0; i < b->npages; i++)
		free(b->page[i]);
	free(b->page);
	*b = (struct sl_bits){0};
}

/* The first bit of a without b, above `after`; -1: none. */
static int64_t bits_next(const struct sl_bits *a, const struct sl_bits *b, int64_t after)
{
	int64_t i = after + 1;
	for (int64_t p = i / PAGE_BITS; p < a->npages; p++, i = p * PAGE_BITS) {
		const struct page *g = a->page[p], *h = p < b->npages ? b->page[p] : NULL;
		if (!g)
			continue;
		for (int k = (int)(i % PAGE_BITS / 64); k < WORDS; k++) {
			uint64_t w = g->word[k] & ~(h ? h->word[k] : 0);
			if (k == i % PAGE_BITS / 64)
				w &= ~(uint64_t)0 << i % 64; /* i is at a page's start, or where the walk stands */
			if (w)
				return p * PAGE_BITS + k * 64 + __builtin_ctzll(w);
		}
	}
	return -1;
}

struct sl_openset *sl_openset_new(void)
{
	return SL_NEW(struct sl_openset);
}

static void forget_voters(struct sl_openset *o)
{
	for (int i = 0; i < SLOTS; i++)
		if (o->voter[i]) {
			bits_done(&o->voter[i]->bits);
			free(o->voter[i]->name);
			free(o->voter[i]);
			o->voter[i] = NULL;
		}
	o->nvoters = 0;
}

void sl_openset_clear(struct sl_openset *o)
{
	for (int i = 0; i <= SL_CAP_MAX; i++)
		bits_done(&o->level[i]);
	for (int64_t i = 0; i < o->npages; i++)
		free(o->votes[i]);
	free(o->votes);
	o->votes = NULL;
	o->npages = 0;
	forget_voters(o);
}

void sl_openset_free(struct sl_openset *o)
{
	if (!o)
		return;
	sl_openset_clear(o);
	free(o);
}

void sl_openset_put(struct sl_openset *o, int64_t review, int votes)
{
	SL_ASSERT(review >= 0 && votes <= SL_CAP_MAX);
	int64_t p = review / PAGE_BITS;
	if (p >= o->npages) {
		o->votes = sl_realloc(o->votes, (size_t)p + 1, sizeof(*o->votes));
		memset(o->votes + o->npages, 0, sizeof(*o->votes) * (size_t)(p + 1 - o->npages));
		o->npages = p + 1;
	}
	if (!o->votes[p])
		o->votes[p] = sl_zalloc(PAGE_BITS);
	uint8_t *at = &o->votes[p][review % PAGE_BITS];
	if (*at == votes + 1)
		return;
	if (*at)
		bits_set(&o->level[*at - 1], review, false);
	*at = (uint8_t)(votes + 1);
	if (*at)
		bits_set(&o->level[votes], review, true);
}

int64_t sl_openset_first(const struct sl_openset *o)
{
	int64_t first = INT64_MAX;
	for (int i = 0; i <= SL_CAP_MAX; i++)
		for (int64_t p = 0; p < o->level[i].npages; p++)
			if (o->level[i].page[p]) {
				first = SL_MIN(first, p * PAGE_BITS);
				break;
			}
	return first == INT64_MAX ? 0 : first;
}

static struct voter **slot_of(struct sl_openset *o, const char *name)
{
	uint32_t h = sl_fnv1a(name);
	while (o->voter[h % SLOTS] && strcmp(o->voter[h % SLOTS]->name, name))
		h++;
	return &o->voter[h % SLOTS];
}

struct sl_bits *sl_openset_voter(struct sl_openset *o, const char *voter)
{
	struct voter *v = *slot_of(o, voter);
	return v ? &v->bits : NULL;
}

struct sl_bits *sl_openset_add_voter(struct sl_openset *o, const char *voter)
{
	if (o->nvoters == VOTERS_MAX)
		forget_voters(o); /* each is read again when it asks again */
	struct voter **slot = slot_of(o, voter);
	SL_ASSERT(!*slot);
	*slot = SL_NEW(struct voter);
	(*slot)->name = sl_strdup(voter);
	o->nvoters++;
	return &(*slot)->bits;
}

void sl_openset_mark(struct sl_bits *b, int64_t review, bool past)
{
	bits_set(b, review, past);
}

bool sl_openset_next(struct sl_openset *o, const struct sl_bits *past, struct sl_openset_at *at, int64_t *ret)
{
	for (; at->votes >= 0; at->votes--, at->after = -1) {
		int64_t i = bits_next(&o->level[at->votes], past, at->after);
		if (i < 0)
			continue;
		at->after = *ret = i;
		return true;
	}
	return false;
}
