/* SPDX-License-Identifier: Apache-2.0 */
#include "store/meter.h"
#include <stdio.h>

void sl_meter_init(enum sl_store store, struct sl_meter *m, int n)
{
	for (int i = 0; i < n; i++) {
		char labels[96];
		snprintf(labels, sizeof(labels), "store=\"%s\",call=\"%s\"", sl_store_name(store), m[i].call);
		m[i].store = store;
		m[i].seconds = sl_histogram("signloop_store_seconds", labels, "Time of store calls.");
		m[i].errors = sl_counter("signloop_store_errors_total", labels, "Store calls that failed.");
	}
}

static enum sl_status count(struct sl_meter *m, enum sl_status s)
{
	if (s != SL_OK && s != SL_NOT_FOUND && s != SL_EXISTS && s != SL_CONFLICT)
		sl_metric_add(m->errors, 1);
	return s;
}

enum sl_status sl_meter_end(struct sl_meter *m, int64_t start_us, enum sl_status s, const struct sl_err *err)
{
	sl_metric_time(m->seconds, sl_mono_us() - start_us);
	sl_health_note(m->store, s, err);
	return count(m, s);
}

enum sl_status sl_meter_until(
	struct sl_meter *m, int64_t start_us, enum sl_status s, int64_t deadline_us, const struct sl_err *err)
{
	if (s != SL_TIMEOUT || deadline_us - start_us >= SL_METER_FAIR_MS * 1000)
		return sl_meter_end(m, start_us, s, err);
	sl_metric_time(m->seconds, sl_mono_us() - start_us);
	return count(m, s);
}

enum sl_status sl_meter_wait(struct sl_meter *m, enum sl_status s, bool empty, const struct sl_err *err)
{
	if (s != SL_OK || !empty)
		sl_health_note(m->store, s, err);
	return count(m, s);
}
