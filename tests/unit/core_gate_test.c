/* SPDX-License-Identifier: Apache-2.0 */
#include "core/gate.h"
#include "base/mem.h"
#include "harness.h"

static const struct sl_gate_rules rules = {
	.rows = 10, .class_rows = 20, .alpha = 0.05, .loss = 0.02, .class_loss = 0.1};

enum { N = 1000 };
static int truth[N], cand[N], live[N];

/* All right, but `only_live` rows the candidate has wrong and `only_cand` the live one has. */
static struct sl_gate_result judge(int n, int only_live, int only_cand)
{
	struct sl_gate_result r;
	for (int i = 0; i < n; i++) {
		truth[i] = cand[i] = live[i] = i % 10;
		if (i < only_live)
			cand[i] = -1;
		else if (i < only_live + only_cand)
			live[i] = -1;
	}
	sl_gate_judge(truth, cand, live, n, 10, &rules, NULL, NULL, &r);
	return r;
}

TEST(gate, the_tail_of_the_binomial)
{
	CHECK_NEAR(sl_gate_binomial_tail(0, 5), 1, 0);
	CHECK_NEAR(sl_gate_binomial_tail(5, 5), 1 / 32.0, 1e-12);
	CHECK_NEAR(sl_gate_binomial_tail(4, 5), 6 / 32.0, 1e-12);
	CHECK_NEAR(sl_gate_binomial_tail(3, 5), 0.5, 1e-12);
	CHECK_NEAR(sl_gate_binomial_tail(60, 100), 0.0284439668, 1e-9);
	CHECK(sl_gate_binomial_tail(100000, 100000) >= 0);
}

TEST(gate, an_equal_or_better_candidate_passes)
{
	CHECK(judge(N, 0, 0).passed);
	CHECK(judge(N, 5, 30).passed);
	CHECK(judge(N, 6, 5).passed);
	CHECK_NEAR(judge(N, 5, 30).p, 1, 0);
}

TEST(gate, worse_beyond_noise_is_refused_with_numbers)
{
	struct sl_gate_result r = judge(N, 12, 2);
	CHECK(!r.passed);
	CHECK_NEAR(r.p, sl_gate_binomial_tail(12, 14), 1e-12);
	CHECK(strstr(r.text, "98.80 %") && strstr(r.text, "99.80 %") && strstr(r.text, "p = 0.0065"));
}

TEST(gate, a_large_loss_is_refused_even_within_noise)
{
	struct sl_gate_result r = judge(20, 2, 1);
	CHECK(r.p > rules.alpha);
	CHECK(!r.passed);
	CHECK(strstr(r.text, "more than 2 %"));
}

TEST(gate, too_few_rows_say_nothing)
{
	struct sl_gate_result r = judge(9, 0, 0);
	CHECK(!r.passed);
	CHECK(strstr(r.text, "gate.rows"));
	CHECK(!judge(0, 0, 0).passed);
}

static const char *name_of(void *arg, int cls)
{
	return cls == 3 ? "STOP" : "x";
}

TEST(gate, one_class_may_not_pay_for_the_others)
{
	struct sl_gate_result r;
	for (int i = 0; i < N; i++) {
		truth[i] = i % 10;
		cand[i] = i % 10 == 3 && i < 200 ? 0 : i % 10; /* loses 20 of 100 of class 3 */
		live[i] = i % 10 == 4 && i < 500 ? 0 : i % 10; /* had lost 50 of class 4 */
	}
	sl_gate_judge(truth, cand, live, N, 10, &rules, name_of, NULL, &r);
	CHECK(!r.passed);
	CHECK_EQ(r.worst_class, 3);
	CHECK_NEAR(r.worst_loss, 0.2, 1e-12);
	CHECK(strstr(r.text, "class STOP loses 20 of its 100 rows"));
	/* A class with few rows has no say. */
	struct sl_gate_rules more = rules;
	more.class_rows = 101;
	sl_gate_judge(truth, cand, live, N, 10, &more, name_of, NULL, &r);
	CHECK(r.passed);
	CHECK_EQ(r.worst_class, -1);
	SL_AUTOJSON json_t *v = sl_gate_json(&r);
	CHECK(json_is_true(json_object_get(v, "passed")));
}
