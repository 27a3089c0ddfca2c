/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of this process's stores are away, since when and why, as its own calls saw it: a call
 * that ends AWAY, TIMEOUT or USAGE (it lets us in no more) says away, any other answer of the store says here. As metrics, it is
 * one a process: of each contract the store that the roles share.
 * Also the metric signloop_store_away_since_seconds{store}: when it went away, 0 when it is here.
 * Thread: any; no call blocks.
 */
#pragma once
#include "base/clock.h"
#include "base/status.h"

enum sl_store { SL_STORE_LOG, SL_STORE_CROPS, SL_STORE_REVIEWS, SL_STORE_ARTIFACTS, SL_STORES };
enum {
	SL_NEEDS_LOG = 1 << SL_STORE_LOG,
	SL_NEEDS_CROPS = 1 << SL_STORE_CROPS,
	SL_NEEDS_REVIEWS = 1 << SL_STORE_REVIEWS,
	SL_NEEDS_ARTIFACTS = 1 << SL_STORE_ARTIFACTS,
};
enum { SL_AWAY_TRY_MS = 1000, SL_AWAY_KNOWN_MS = 2000 }; /* for sl_health_is_worth_it() */

struct sl_away {
	int64_t since_ms; /* 0: it is here */
	char why[SL_ERR_TEXT];
};

const char *sl_store_name(enum sl_store s); /* "log", "crops", "reviews", "artifacts" */
const char *sl_store_title(enum sl_store s); /* "the crop store": for people */

void sl_health_note(enum sl_store store, enum sl_status s, const struct sl_err *err); /* err may be NULL */
struct sl_away sl_health_of(enum sl_store s);
/* For readiness: true when none of the stores in `needs` (SL_NEEDS_...) is away, else which and why. */
bool sl_health_is_well(unsigned needs, char why[128]);
/* False when a store in `needs` has been away for SL_AWAY_KNOWN_MS and was tried within
 * SL_AWAY_TRY_MS: a call now would only fail as well, or hang. */
bool sl_health_is_worth_it(unsigned needs);
