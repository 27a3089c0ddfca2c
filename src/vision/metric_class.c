/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "vision/metric.h"
#include <math.h>

struct sl_class_measure {
	int classes, n, room;
	float *logit; /* n x classes */
	int *cls;
	int *counts; /* 3 x classes, for the score */
};

struct sl_class_measure *sl_class_measure_new(int classes)
{
	struct sl_class_measure *m = SL_NEW(struct sl_class_measure);

	SL_ASSERT(classes > 0);
	m->classes = classes;
	m->counts = sl_calloc((size_t)3 * classes, sizeof *m->counts);
	return m;
}

void sl_class_measure_free(struct sl_class_measure *m)
{
	if (!m)
		return;
	free(m->logit);
	free(m->cls);
	free(m->counts);
	free(m);
}

void sl_class_measure_add(struct sl_class_measure *m, const float *logit, int cls)
{
	if (m->n == m->room) {
		m->room = 2 * m->room + 256;
		m->logit = sl_realloc(m->logit, (size_t)m->room * m->classes, sizeof *m->logit);
		m->cls = sl_realloc(m->cls, m->room, sizeof *m->cls);
	}
	memcpy(m->logit + (size_t)m->n * m->classes, logit, m->classes * sizeof *logit);
	m->cls[m->n++] = cls;
}

/* Largest logit's index, its probability, and the log-probability of `cls`. A class that the
 * net does not have gets the least probability that f32 can tell. */
static int softmax(const float *z, int n, double temperature, int cls, double *ret_p, double *ret_log)
{
	int best = 0;
	double sum = 0;

	for (int i = 1; i < n; i++)
		if (z[i] > z[best])
			best = i;
	for (int i = 0; i < n; i++)
		sum += exp((z[i] - z[best]) / temperature);
	*ret_p = 1 / sum;
	*ret_log = cls >= 0 && cls < n ? (z[cls] - z[best]) / temperature - log(sum) : -87;
	return best;
}

static double mean_nll(const struct sl_class_measure *m, double temperature)
{
	double sum = 0, p, l;

	for (int i = 0; i < m->n; i++) {
		softmax(m->logit + (size_t)i * m->classes, m->classes, temperature, m->cls[i], &p, &l);
		sum -= l;
	}
	return m->n ? sum / m->n : 0;
}

/* Golden section on log T: the likelihood is convex in 1/T, so it has one minimum. */
float sl_class_measure_temperature(const struct sl_class_measure *m)
{
	const double g = 0.6180339887498949;
	double lo = log(0.05), hi = log(20), a = hi - g * (hi - lo), b = lo + g * (hi - lo);
	double fa = mean_nll(m, exp(a)), fb = mean_nll(m, exp(b));

	if (m->n == 0)
		return 1;
	while (hi - lo > 1e-3) {
		if (fa < fb) {
			hi = b;
			b = a;
			fb = fa;
			fa = mean_nll(m, exp(a = hi - g * (hi - lo)));
		} else {
			lo = a;
			a = b;
			fa = fb;
			fb = mean_nll(m, exp(b = lo + g * (hi - lo)));
		}
	}
	return (float)exp((lo + hi) / 2);
}

void sl_class_measure_end(struct sl_class_measure *m, float temperature, struct sl_class_score *ret)
{
	double bin_p[SL_ECE_BINS] = {0}, recall = 0;
	int bin_right[SL_ECE_BINS] = {0}, present = 0;

	memset(m->counts, 0, (size_t)3 * m->classes * sizeof *m->counts);
	*ret = (struct sl_class_score){.n = m->n,
		.classes = m->classes,
		.class_n = m->counts,
		.class_right = m->counts + m->classes,
		.class_said = m->counts + 2 * m->classes};
	for (int i = 0; i < m->n; i++) {
		double p, l;
		int cls = m->cls[i];
		int said = softmax(m->logit + (size_t)i * m->classes, m->classes, temperature, cls, &p, &l);
		int bin = p < 1 ? (int)(p * SL_ECE_BINS) : p >= 1 ? SL_ECE_BINS - 1 : 0; /* NaN: bin 0 */

		ret->nll -= l / m->n;
		ret->right += said == cls;
		ret->class_said[said]++;
		bin_p[bin] += p;
		bin_right[bin] += said == cls;
		if (cls >= 0 && cls < m->classes) {
			ret->class_n[cls]++;
			ret->class_right[cls] += said == cls;
		}
	}
	for (int b = 0; b < SL_ECE_BINS; b++)
		ret->ece += fabs(bin_p[b] - bin_right[b]) / SL_MAX(m->n, 1);
	for (int c = 0; c < m->classes; c++)
		if (ret->class_n[c]) {
			recall += (double)ret->class_right[c] / ret->class_n[c];
			present++;
		}
	ret->accuracy = (double)ret->right / SL_MAX(m->n, 1);
	ret->mean_recall = recall / SL_MAX(present, 1);
}
