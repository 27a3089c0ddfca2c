/* SPDX-License-Identifier: Apache-2.0 */
#include "core/gate.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>

double sl_gate_binomial_tail(int k, int n)
{
	double sum = 0;
	if (k <= 0)
		return 1;
	for (int i = n; i >= k; i--) /* smallest first */
		sum += exp(lgamma(n + 1.0) - lgamma(i + 1.0) - lgamma(n - i + 1.0) - n * M_LN2);
	return sum < 1 ? sum : 1;
}

struct class_count {
	int n, candidate, live;
};

static void find_worst(const struct class_count *c, int classes, int least, struct sl_gate_result *ret)
{
	ret->worst_class = -1;
	for (int k = 0; k < classes; k++) {
		double loss = c[k].n ? (double)(c[k].live - c[k].candidate) / c[k].n : 0;
		if (c[k].n >= least && (ret->worst_class < 0 || loss > ret->worst_loss)) {
			ret->worst_class = k;
			ret->worst_loss = loss;
		}
	}
}

static void put_text(
	const struct sl_gate_rules *rules, const struct class_count *c, const char *worst, struct sl_gate_result *r)
{
	double cand = r->n ? 100.0 * r->candidate_right / r->n : 0, live = r->n ? 100.0 * r->live_right / r->n : 0;
	char head[120];
	snprintf(head, sizeof(head), "candidate %.2f %%, live %.2f %% of %d held-out rows (%d : %d where they differ)",
		cand, live, r->n, r->only_candidate, r->only_live);
	r->passed = false;
	if (r->n < rules->rows)
		snprintf(r->text, sizeof(r->text), "only %d held-out rows; %d are needed to compare (gate.rows)", r->n,
			rules->rows);
	else if (r->p < rules->alpha)
		snprintf(r->text, sizeof(r->text), "%s: worse beyond noise, p = %.2g < %g", head, r->p, rules->alpha);
	else if (live - cand > 100 * rules->loss)
		snprintf(r->text, sizeof(r->text), "%s: loses more than %g %%", head, 100 * rules->loss);
	else if (r->worst_class >= 0 && r->worst_loss > rules->class_loss)
		snprintf(r->text, sizeof(r->text), "%s: class %s loses %d of its %d rows, more than %g %%", head, worst,
			c[r->worst_class].live - c[r->worst_class].candidate, c[r->worst_class].n,
			100 * rules->class_loss);
	else
		r->passed = snprintf(r->text, sizeof(r->text), "%s: not worse", head) > 0;
}

void sl_gate_judge(const int *truth, const int *candidate, const int *live, int n, int classes,
	const struct sl_gate_rules *rules, const char *(*name)(void *arg, int cls), void *arg,
	struct sl_gate_result *ret)
{
	struct sl_gate_result r = {.n = n, .p = 1};
	SL_AUTOFREE struct class_count *c = sl_calloc((size_t)classes + 1, sizeof(*c));
	for (int i = 0; i < n; i++) {
		bool cand = candidate[i] == truth[i], old = live[i] == truth[i];
		SL_ASSERT(truth[i] >= 0 && truth[i] < classes);
		c[truth[i]].n++;
		c[truth[i]].candidate += cand;
		c[truth[i]].live += old;
		r.candidate_right += cand;
		r.live_right += old;
		r.only_candidate += cand && !old;
		r.only_live += old && !cand;
	}
	if (r.only_live > r.only_candidate)
		r.p = sl_gate_binomial_tail(r.only_live, r.only_live + r.only_candidate);
	find_worst(c, classes, rules->class_rows, &r);
	char number[12];
	snprintf(number, sizeof(number), "%d", r.worst_class);
	put_text(rules, c, name && r.worst_class >= 0 ? name(arg, r.worst_class) : number, &r);
	*ret = r;
}

json_t *sl_gate_json(const struct sl_gate_result *r)
{
	double n = r->n ? r->n : 1;
	return json_pack("{s:b,s:s,s:i,s:f,s:f,s:i,s:i,s:f,s:i,s:f}", "passed", (int)r->passed, "text", r->text, "rows",
		r->n, "candidate_accuracy", r->candidate_right / n, "live_accuracy", r->live_right / n,
		"only_candidate_right", r->only_candidate, "only_live_right", r->only_live, "p", r->p, "worst_class",
		r->worst_class, "worst_class_loss", r->worst_loss);
}
