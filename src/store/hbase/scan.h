/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks the keys of a table through scanners of the gateways. Inside hbase/.
 * Owner: the caller. Thread: any that may block.
 */
#pragma once
#include "store/hbase/table.h"

enum { SL_HBASE_PAGE = 5000, SL_HBASE_COUNT_EXACT = 200000 };

bool sl_hbase_is_key(struct sl_slice key); /* 1 to SL_KEY - 1 letters, digits and "-._~" */

/* The first key that has one of our families from first up to but without end (empty: no end), also one that is not ours;
 * "" in *ret: there is none. Where a scanner and a multiget say "no more" and "not found" because the gateway could not
 * read, this fails. */
enum sl_status sl_hbase_first(struct sl_gateways *g, const struct sl_hbase_form *f, struct sl_slice first,
	struct sl_slice end, int64_t deadline_us, struct sl_buf *ret, struct sl_err *err);
/* Our keys from prefix on and greater than after, in byte order, to fn until it says false. Each page has timeout_ms. */
enum sl_status sl_hbase_scan(struct sl_gateways *g, const struct sl_hbase_form *f, const char *prefix,
	const char *after, int page, bool (*fn)(void *arg, const char *key), void *arg, struct sl_err *err);
/* How many; see hbase.h for how exact. */
enum sl_status sl_hbase_count(
	struct sl_gateways *g, const struct sl_hbase_form *f, int64_t exact, int64_t *ret, struct sl_err *err);
