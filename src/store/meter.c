/* SPDX-License-Identifier: Apache-2.0 */
#include "store/meter.h"
#include <stdio.h>

void sl_meter_init(const char *store, struct sl_meter *m, int n)
{
	for (int i = 0; i < n; i++) {
		char labels[96];
		snprintf(labels, sizeof(labels), "store=\"%s\",call=\"%s\"", store, m[i].call);
		m[i].seconds = sl_histogram("signloop_store_seconds", labels, "Time of store calls.");
		m[i].errors = sl_counter("signloop_store_errors_total", labels, "Store calls that failed.");
	}
}

enum sl_status sl_meter_end(struct sl_meter *m, int64_t start_us, enum sl_status s)
{
	if (start_us)
		sl_metric_time(m->seconds, sl_mono_us() - start_us);
	if (s != SL_OK && s != SL_NOT_FOUND && s != SL_EXISTS && s != SL_CONFLICT)
		sl_metric_add(m->errors, 1);
	return s;
}
