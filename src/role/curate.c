/* SPDX-License-Identifier: Apache-2.0
 *
 * Role curate: a thread around the curator. Its status is in the metrics and the hub.
 */
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/metric.h"
#include "dataset/segments.h"
#include "role/curator.h"
#include "role/role.h"

enum { TURN_MS = 250 };

struct curate {
	struct sl_context ctx;
	struct sl_curator *curator;
	struct sl_loop loop;
	bool counted; /* what was stored before this process */
	struct sl_curator_counts shown;
	struct sl_metric *all_rows, *rows, *segments, *missing, *skipped, *turns;
};

static void show(struct curate *c)
{
	struct sl_curator_counts now = sl_curator_counts(c->curator), *was = &c->shown;
	if (now.segments == was->segments)
		return;
	sl_metric_add(c->rows, (double)(now.rows - was->rows));
	sl_metric_add(c->all_rows, (double)(now.rows - was->rows));
	sl_metric_add(c->segments, (double)(now.segments - was->segments));
	sl_metric_add(c->skipped, (double)(now.skipped - was->skipped));
	sl_metric_add(c->missing, (double)(now.missing - was->missing));
	if (now.missing > was->missing)
		sl_log(SL_WARN, "curate", "labels without a crop; fsck names them",
			SL_I("labels", now.missing - was->missing));
	if (now.skipped > was->skipped)
		sl_log(SL_WARN, "curate", "messages that are no label; fsck names them",
			SL_I("messages", now.skipped - was->skipped));
	sl_hub_say(c->ctx.hub, "segment",
		json_pack("{s:I,s:I}", "rows", (json_int_t)(now.rows - was->rows), "all",
			(json_int_t)sl_metric_value(c->all_rows)));
	*was = now;
}

static void count_stored(struct curate *c)
{
	SL_AUTO(sl_segments_done) struct sl_segments all = {0};
	int64_t rows = 0;
	if (sl_segments_list(c->ctx.stores.artifacts, &all, NULL) != SL_OK)
		return; /* away: later */
	for (int i = 0; i < all.n; i++)
		rows += all.segment[i].rows;
	sl_metric_set(c->all_rows, (double)rows);
	c->counted = true;
}

static void work(void *arg)
{
	struct curate *c = arg;
	struct sl_err err = {0};
	while (sl_loop_goes_on(&c->loop)) {
		if (!c->counted)
			count_stored(c);
		int64_t from = sl_mono_us();
		enum sl_status s = sl_curator_turn(c->curator, sl_deadline_ms(TURN_MS), &err);
		sl_metric_time(c->turns, sl_mono_us() - from);
		show(c);
		if (s == SL_OK) {
			sl_loop_is_well(&c->loop);
		} else if (s != SL_CLOSED) {
			sl_log(SL_WARN, "curate", "tries again", SL_S("error", err.text));
			sl_loop_pause(&c->loop, err.text);
		}
	}
	if (sl_curator_flush(c->curator, &err) != SL_OK)
		sl_log(SL_WARN, "curate", "some labels are not stored yet; they come again", SL_S("error", err.text));
	show(c);
}

static enum sl_status start(struct sl_context *ctx, void **ret_state, struct sl_err *err)
{
	struct curate *c = SL_NEW(struct curate);
	c->ctx = *ctx;
	enum sl_status s = sl_curator_new(ctx->cfg, &ctx->stores, &c->curator, err);
	if (s != SL_OK) {
		free(c);
		return s;
	}
	c->all_rows = sl_gauge("signloop_dataset_rows", NULL, "Rows that curate has stored in segments");
	c->rows = sl_counter("signloop_curate_rows_total", NULL, "Labels stored in segments.");
	c->segments = sl_counter("signloop_curate_segments_total", NULL, "Segments stored.");
	c->missing = sl_counter("signloop_curate_missing_total", NULL, "Labels whose crop was not in the crop store.");
	c->skipped = sl_counter("signloop_curate_skipped_total", NULL, "Messages of topic labels that are no label.");
	c->turns = sl_histogram("signloop_curate_turn_seconds", NULL, "Waiting for labels and storing them.");
	sl_loop_init(&c->loop);
	sl_loop_start(&c->loop, "curate", work, c);
	*ret_state = c;
	return SL_OK;
}

static bool is_ready(void *state, char why[128])
{
	struct curate *c = state;
	return sl_health_is_well(SL_NEEDS_LOG | SL_NEEDS_CROPS | SL_NEEDS_ARTIFACTS, why) &&
	       sl_loop_is_fine(&c->loop, why);
}

static enum sl_status drain(void *state, int64_t deadline_us)
{
	struct curate *c = state;
	return sl_loop_drain(&c->loop, deadline_us);
}

static void stop(void *state)
{
	struct curate *c = state;
	sl_curator_stop(c->curator);
	sl_loop_stop(&c->loop);
	sl_curator_free(c->curator);
	free(c);
}

const struct sl_role sl_role_curate = {
	.name = "curate",
	.text = "stores final labels with their crops as dataset segments",
	.start = start,
	.is_ready = is_ready,
	.drain = drain,
	.stop = stop,
};
