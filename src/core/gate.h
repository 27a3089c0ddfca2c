/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate: may a candidate take the place of the model in service? Both named the same
 * held-out rows; the answers are compared row by row.
 *
 * Refused when
 *   - there are fewer than `rows` rows: nothing to judge by;
 *   - the candidate is worse beyond noise: of the rows on which exactly one of the two is
 *     right, the live one has so many more that chance alone would do it with a probability
 *     below `alpha` (one-sided exact McNemar test);
 *   - its accuracy is lower by more than `loss`, noise or not;
 *   - a class with at least `class_rows` rows loses more than `class_loss` of its recall.
 *
 * Owner: the caller. Thread: any. Shares are 0..1.
 */
#pragma once
#include "base/json.h"

struct sl_gate_rules {
	int rows, class_rows;
	double alpha, loss, class_loss;
};

struct sl_gate_result {
	bool passed;
	int n, candidate_right, live_right;
	int only_candidate, only_live; /* rows that exactly one of the two names right */
	double p; /* of the one-sided test; 1 when the candidate is not worse */
	int worst_class; /* index of the class that lost most among those that count; -1: none */
	double worst_loss;
	char text[240]; /* why, with numbers */
};

/* truth, candidate, live: class indexes of n rows in one numbering 0..classes-1; -1 in the
 * answers is "none of these". name (may be NULL) gives a class's code for the text. */
void sl_gate_judge(const int *truth, const int *candidate, const int *live, int n, int classes,
	const struct sl_gate_rules *rules, const char *(*name)(void *arg, int cls), void *arg,
	struct sl_gate_result *ret);
/* P(X >= k) for X of n fair coins; 1 for k <= 0. */
double sl_gate_binomial_tail(int k, int n);
json_t *sl_gate_json(const struct sl_gate_result *r);
