/* SPDX-License-Identifier: Apache-2.0
 *
 * signloop_store_seconds{store,call} and signloop_store_errors_total{store,call}: one place
 * for every contract and backend. Private to store/. Thread: any.
 */
#pragma once
#include "base/clock.h"
#include "base/metric.h"

struct sl_meter {
	const char *call;
	struct sl_metric *seconds, *errors;
};

/* Fills `seconds` and `errors` of n meters whose `call` is set. */
void sl_meter_init(const char *store, struct sl_meter *m, int n);
/* Statuses that say what is so (NOT_FOUND, EXISTS, CONFLICT) are answers, not errors.
 * start_us 0: no time is taken (a wait is not work). Gives s. */
enum sl_status sl_meter_end(struct sl_meter *m, int64_t start_us, enum sl_status s);
/* The status of expr, a call of a backend, with its time. */
#define SL_METERED(meter, expr) \
	({ \
		int64_t start_us_ = sl_mono_us(); \
		sl_meter_end(&(meter), start_us_, (expr)); \
	})
