/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metric.h"
#include "base/mem.h"
#include <pthread.h>
#include <stdatomic.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };
static const char *const kind_name[] = {"counter", "gauge", "histogram"};

/* Bucket bounds in us: 1, 1.5, 2, 3, 5 a decade from 100 us to 100 s: finer where a promise lies (2 s). */
#define DECADE(us) us, us * 3 / 2, us * 2, us * 3, us * 5
static const int64_t bound_us[] = {
	DECADE(100), DECADE(1000), DECADE(10000), DECADE(100000), DECADE(1000000), DECADE(10000000), 100000000};
enum { BOUNDS = SL_COUNT(bound_us) };

struct sl_metric {
	char *name, *labels, *help;
	enum kind kind;
	_Atomic double value;
	_Atomic uint64_t bucket[BOUNDS + 1];
	_Atomic uint64_t sum_us, count;
	struct sl_metric *next; /* sorted by name, then labels */
};

static struct sl_metric *all;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct sl_metric *get(enum kind kind, const char *name, const char *labels, const char *help)
{
	labels = labels ? labels : "";
	pthread_mutex_lock(&lock);
	struct sl_metric **at = &all;
	for (; *at; at = &(*at)->next) {
		int c = strcmp((*at)->name, name);
		if (c == 0 && (*at)->kind != kind)
			SL_BUG("metric %s is a %s and is asked for as a %s", name, kind_name[(*at)->kind],
				kind_name[kind]);
		c = c ? c : strcmp((*at)->labels, labels);
		if (c >= 0)
			break;
	}
	if (!*at || strcmp((*at)->name, name) || strcmp((*at)->labels, labels)) {
		struct sl_metric *m = SL_NEW(struct sl_metric);
		m->name = sl_strdup(name);
		m->labels = sl_strdup(labels);
		m->help = sl_strdup(help);
		m->kind = kind;
		m->next = *at;
		*at = m;
	}
	struct sl_metric *m = *at;
	pthread_mutex_unlock(&lock);
	return m;
}

struct sl_metric *sl_counter(const char *name, const char *labels, const char *help)
{
	return get(COUNTER, name, labels, help);
}

struct sl_metric *sl_gauge(const char *name, const char *labels, const char *help)
{
	return get(GAUGE, name, labels, help);
}

struct sl_metric *sl_histogram(const char *name, const char *labels, const char *help)
{
	return get(HISTOGRAM, name, labels, help);
}

void sl_metric_add(struct sl_metric *m, double v)
{
	double old = m->value;
	while (!atomic_compare_exchange_weak(&m->value, &old, old + v))
		;
}

void sl_metric_set(struct sl_metric *m, double v)
{
	m->value = v;
}

void sl_metric_time(struct sl_metric *m, int64_t us)
{
	int i = 0;
	while (i < BOUNDS && us > bound_us[i])
		i++;
	atomic_fetch_add(&m->bucket[i], 1);
	atomic_fetch_add(&m->sum_us, us > 0 ? (uint64_t)us : 0);
	atomic_fetch_add(&m->count, 1);
}

double sl_metric_value(const struct sl_metric *m)
{
	return m->kind == HISTOGRAM ? (double)m->count : m->value;
}

double sl_metric_sum(const struct sl_metric *m)
{
	return (double)m->sum_us / 1e6;
}

double sl_metric_quantile(const struct sl_metric *m, double q)
{
	double want = q * (double)m->count, seen = 0;
	for (int i = 0; i < BOUNDS; i++) {
		double n = (double)m->bucket[i];
		if (n > 0 && seen + n >= want) {
			double lo = i ? (double)bound_us[i - 1] : 0, hi = (double)bound_us[i];
			return (lo + (hi - lo) * (want - seen) / n) / 1e6;
		}
		seen += n;
	}
	return m->count ? (double)bound_us[BOUNDS - 1] / 1e6 : 0;
}

static void print_histogram(const struct sl_metric *m, struct sl_buf *ret)
{
	const char *comma = *m->labels ? "," : "";
	uint64_t n = 0;
	for (int i = 0; i < BOUNDS; i++) {
		n += m->bucket[i];
		sl_buf_printf(ret, "%s_bucket{%s%sle=\"%g\"} %llu\n", m->name, m->labels, comma,
			(double)bound_us[i] / 1e6, (unsigned long long)n);
	}
	n += m->bucket[BOUNDS];
	sl_buf_printf(ret, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", m->name, m->labels, comma, (unsigned long long)n);
	const char *open = *m->labels ? "{" : "", *shut = *m->labels ? "}" : "";
	sl_buf_printf(ret, "%s_sum%s%s%s %.6f\n", m->name, open, m->labels, shut, sl_metric_sum(m));
	sl_buf_printf(ret, "%s_count%s%s%s %llu\n", m->name, open, m->labels, shut, (unsigned long long)n);
}

enum sl_status sl_metric_print(struct sl_buf *ret)
{
	enum sl_status s = SL_OK;
	pthread_mutex_lock(&lock);
	const char *last = "";
	for (struct sl_metric *m = all; m && s == SL_OK; m = m->next) {
		if (strcmp(last, m->name))
			s = sl_buf_printf(
				ret, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, kind_name[m->kind]);
		last = m->name;
		if (m->kind == HISTOGRAM)
			print_histogram(m, ret);
		else if (*m->labels)
			s = sl_buf_printf(ret, "%s{%s} %.17g\n", m->name, m->labels, m->value);
		else
			s = sl_buf_printf(ret, "%s %.17g\n", m->name, m->value);
	}
	pthread_mutex_unlock(&lock);
	return s;
}
