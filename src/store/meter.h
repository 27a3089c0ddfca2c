/* SPDX-License-Identifier: Apache-2.0
 *
 * signloop_store_seconds{store,call} and signloop_store_errors_total{store,call}, and
 * what store/health.h tells: one place for every contract and backend. Private to store/. Thread: any.
 */
#pragma once
#include "base/clock.h"
#include "base/metric.h"
#include "store/health.h"

struct sl_meter {
	const char *call;
	enum sl_store store;
	struct sl_metric *seconds, *errors;
};

/* Fills n meters whose `call` is set. */
void sl_meter_init(enum sl_store store, struct sl_meter *m, int n);
/* Statuses that say what is so (NOT_FOUND, EXISTS, CONFLICT) are answers, not errors.
 * Gives s. */
enum sl_status sl_meter_end(struct sl_meter *m, int64_t start_us, enum sl_status s, const struct sl_err *err);
enum { SL_METER_FAIR_MS = 1000 };
/* The same of a call with a deadline: a TIMEOUT of one that had less than SL_METER_FAIR_MS tells of its
 * caller's haste, not of the store. */
enum sl_status sl_meter_until(
	struct sl_meter *m, int64_t start_us, enum sl_status s, int64_t deadline_us, const struct sl_err *err);
/* The same of a wait for messages: an empty OK does not show that the server is there. */
enum sl_status sl_meter_wait(struct sl_meter *m, enum sl_status s, bool empty, const struct sl_err *err);
/* The status of expr, a call of a backend, with its time. err is the caller's. */
#define SL_METERED(meter, expr) \
	({ \
		int64_t start_us_ = sl_mono_us(); \
		sl_meter_end(&(meter), start_us_, (expr), err); \
	})
