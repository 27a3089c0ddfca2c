/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics: counters, gauges and time histograms, printed in the Prometheus text
 * format 0.0.4. A metric is made once, by name and label set, and lives as long as
 * the process; asking again gives the same one. Names carry their unit:
 * signloop_stage_seconds, signloop_queue_length, ..._total.
 * Thread: any; updates are atomic and take no lock. SL_BUG on a name reused with
 * another kind.
 */
#pragma once
#include "base/buf.h"

struct sl_metric;

/* labels: "stage=\"decode\"" or NULL; help: one line. All are copied. */
struct sl_metric *sl_counter(const char *name, const char *labels, const char *help);
struct sl_metric *sl_gauge(const char *name, const char *labels, const char *help);
struct sl_metric *sl_histogram(const char *name, const char *labels, const char *help); /* seconds */

void sl_metric_add(struct sl_metric *m, double v); /* counter, gauge */
void sl_metric_set(struct sl_metric *m, double v); /* gauge */
void sl_metric_time(struct sl_metric *m, int64_t us); /* histogram */
double sl_metric_value(const struct sl_metric *m); /* counter, gauge; histogram: count */
double sl_metric_sum(const struct sl_metric *m); /* histogram: seconds */
double sl_metric_quantile(const struct sl_metric *m, double q); /* histogram: seconds, linear inside a bucket */

enum sl_status sl_metric_print(struct sl_buf *ret); /* everything, sorted by name */
