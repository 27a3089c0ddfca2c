/* SPDX-License-Identifier: Apache-2.0
 *
 * Role labeling: start, drain, stop. See labeling.h.
 */
#include "role/labeling.h"
#include "base/mem.h"
#include "base/metric.h"
#include <stdio.h>

static void make_metrics(struct sl_labeling *l)
{
	static const char votes[] = "signloop_votes_total", help[] = "Votes by what became of them";
	l->counted = sl_counter(votes, "result=\"counted\"", help);
	l->conflicts = sl_counter(votes, "result=\"conflict\"", help);
	l->undone = sl_counter(votes, "result=\"undone\"", help);
	l->leased = sl_counter("signloop_leases_total", NULL, "Reviews given to labelers");
	l->verdicts[0] = sl_counter("signloop_verdicts_total", "source=\"votes\"", "Verdicts published");
	l->verdicts[1] = sl_counter("signloop_verdicts_total", "source=\"expert\"", "Verdicts published");
	l->sent = sl_counter("signloop_labels_sent_total", NULL, "Labels of people appended to the log");
	l->failed =
		sl_counter("signloop_labeling_retries_total", NULL, "Times that a store was away and labels waited");
}

static enum sl_status start(struct sl_context *ctx, void **ret_state, struct sl_err *err)
{
	struct sl_labeling *l = SL_NEW(struct sl_labeling);
	l->ctx = *ctx;
	l->looked_us = INT64_MIN / 2;
	sl_loop_init(&l->loop);
	make_metrics(l);
	sl_server_add(ctx->server, sl_labeling_routes, l);
	sl_server_add(ctx->server, sl_labeling_legacy_routes, l);
	sl_loop_start(&l->loop, "labeling", sl_labeling_work, l);
	*ret_state = l;
	return SL_OK;
}

/* Without the log votes are taken all the same: the outbox keeps their labels. */
static bool is_ready(void *state, char why[128])
{
	struct sl_labeling *l = state;
	struct sl_classes *c = sl_labeling_classes(l);
	bool has_classes = c;
	sl_classes_unref(c);
	if (!sl_health_is_well(SL_NEEDS_REVIEWS | SL_NEEDS_CROPS, why))
		return false;
	if (!has_classes && sl_health_is_well(SL_NEEDS_ARTIFACTS, why))
		snprintf(why, 128, "no bundle is live yet, so labelers have no classes");
	if (has_classes && sl_health_is_well(SL_NEEDS_LOG, why))
		sl_loop_is_fine(&l->loop, why);
	return has_classes;
}

static enum sl_status drain(void *state, int64_t deadline_us)
{
	struct sl_labeling *l = state;
	return sl_loop_drain(&l->loop, deadline_us);
}

static void stop(void *state)
{
	struct sl_labeling *l = state;
	sl_loop_stop(&l->loop);
	sl_classes_unref(l->classes);
	free(l);
}

const struct sl_role sl_role_labeling = {
	.name = "labeling",
	.text = "shows reviews to people, takes their votes, publishes what was decided",
	.start = start,
	.is_ready = is_ready,
	.drain = drain,
	.stop = stop,
};
