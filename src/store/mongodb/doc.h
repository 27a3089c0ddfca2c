/* SPDX-License-Identifier: Apache-2.0
 *
 * A review as a document and back; docs/formats.md shows one. Private to store/mongodb/.
 * Owner: the caller, sl_mongo_doc_done(). Thread: one at a time. Errors: CORRUPT, by the key.
 */
#pragma once
#include "store/mongodb/client.h"
#include "store/rules.h"

struct sl_hold {
	char voter[SL_VOTER];
	int64_t until_ms;
};

struct sl_mongo_doc {
	struct sl_review r;
	int64_t rev; /* grows with each change; the condition of every update */
	struct sl_hold hold[SL_CAP_MAX];
	int nholds;
	struct sl_vote_line *line; /* the log, room for one more */
	int nlines;
};

enum sl_status sl_mongo_doc_read(
	const struct sl_mongo *m, const bson_t *doc, struct sl_mongo_doc *ret, struct sl_err *err);
void sl_mongo_doc_done(struct sl_mongo_doc *d);
/* The review without its log and leases. */
enum sl_status sl_mongo_doc_review(
	const struct sl_mongo *m, const bson_t *doc, struct sl_review *ret, struct sl_err *err);
bool sl_mongo_doc_lines(const bson_t *doc, struct sl_vote_line **ret, int *ret_n); /* free() */

bson_t *sl_mongo_doc_new(const struct sl_review *r, int64_t added);
/* The update that makes the stored document like d: leases, and its last `lines` lines with all that follows.
 * out: if that decides it, its label waits to be published. */
bson_t *sl_mongo_doc_update(const struct sl_mongo_doc *d, int lines, bool out);

int sl_mongo_hold_find(const struct sl_mongo_doc *d, const char *voter); /* -1: none */
int sl_mongo_hold_expire(struct sl_mongo_doc *d, int64_t now_ms); /* drops those that are over; how many */
bool sl_mongo_doc_voted(const struct sl_mongo_doc *d, const char *voter);
