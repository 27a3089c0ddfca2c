/* SPDX-License-Identifier: Apache-2.0
 *
 * What both files of the review store's suite use.
 */
#pragma once
#include "contract.h"

#define NOW_MS ((int64_t)1700000000 * 1000)

struct sl_reviews *open_at(const char *url, int cap);
struct sl_reviews *open_reviews(const struct sl_backend *b, int cap);
/* Reviews "key<first>".. with four digits, n of them. */
void add(struct sl_reviews *r, int first, int n);
struct sl_vote vote_of(const char *voter, const char *id, int choice);
enum sl_status cast(
	struct sl_reviews *r, const char *key, const char *voter, const char *id, int choice, struct sl_verdict *ret);
int lease(struct sl_reviews *r, const char *voter, int n, struct sl_review *ret);
