/* SPDX-License-Identifier: Apache-2.0
 *
 * The open reviews in memory, by number of votes and then in the order they were added, and
 * which of them each voter has voted on: what a lease asks for, without reading rows that a
 * voter is past. Bitmaps by review number (about 200 KB and 13 KB a voter for 100,000
 * reviews). It is a view of the file that the lease brings up to date inside its transaction.
 * Owner: the review store. Thread: the writer's alone.
 */
#pragma once
#include "core/review.h"

struct sl_openset;
struct sl_bits;

struct sl_openset *sl_openset_new(void);
void sl_openset_free(struct sl_openset *o); /* NULL is fine */
void sl_openset_clear(struct sl_openset *o); /* no reviews, no voters */

/* The review has `votes` votes (adds or moves it); votes -1: it is open no more. */
void sl_openset_put(struct sl_openset *o, int64_t review, int votes);
int64_t sl_openset_first(const struct sl_openset *o); /* lowest number that may be open; 0: none */

/* The reviews that voter is past; NULL when not known: add() makes an empty one to be filled. */
struct sl_bits *sl_openset_voter(struct sl_openset *o, const char *voter);
struct sl_bits *sl_openset_add_voter(struct sl_openset *o, const char *voter);
void sl_openset_mark(struct sl_bits *b, int64_t review, bool past);

/* Walks from most votes to none, oldest first, leaving out what is marked in `past`. */
struct sl_openset_at {
	int votes; /* begin with SL_CAP_MAX */
	int64_t after; /* begin with -1 */
};
bool sl_openset_next(struct sl_openset *o, const struct sl_bits *past, struct sl_openset_at *at, int64_t *ret);
