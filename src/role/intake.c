/* SPDX-License-Identifier: Apache-2.0
 *
 * Role intake: makes a review of each message of topic `reviews`. The position of the last
 * message of a batch is stored in the review store in the same transaction as its reviews;
 * that position is the truth, the group's commit only tells the log how far we are. So a
 * message has its effect once, even when either store was put back from a backup.
 *
 * A message that is no review is skipped, logged and counted: it never blocks those behind
 * it. When a store is away the batch is kept and tried again, later and later.
 */
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/message.h"
#include "role/role.h"
#include <stdio.h>

enum { BATCH = 500, TURN_MS = 250, PARTITIONS = 1024 };

struct intake {
	struct sl_context ctx;
	struct sl_consumer *consumer;
	bool at_stored[PARTITIONS]; /* the consumer stands where the review store says */
	struct sl_review review[BATCH];
	struct sl_loop loop;
	char why[128]; /* under loop.lock: what is away; "" when all is well */
	struct sl_metric *added, *bad, *failed, *seconds;
};

/* ---- messages ---- */

static enum sl_status read_review(const struct sl_message *m, struct sl_review *r, struct sl_err *err)
{
	SL_AUTOJSON json_t *o = NULL;
	enum sl_status s = sl_json_parse(m->body, "message", &o, err);
	return s == SL_OK ? sl_review_parse(o, m->time_ms, r, err) : s;
}

static void skip_bad(struct intake *in, const struct sl_message *m, const struct sl_err *err)
{
	sl_metric_add(in->bad, 1);
	sl_log(SL_WARN, "intake", "message skipped", SL_I("partition", m->partition), SL_I("position", m->position),
		SL_S("key", m->key), SL_S("error", err->text));
}

/* ---- effects ---- */

/* false: draining. */
static bool pause_a_while(struct intake *in, const struct sl_err *err)
{
	sl_metric_add(in->failed, 1);
	sl_log(SL_WARN, "intake", "tries again", SL_S("error", err->text));
	pthread_mutex_lock(&in->loop.lock);
	SL_COPY_CUT(in->why, err->text);
	pthread_mutex_unlock(&in->loop.lock);
	sl_loop_pause(&in->loop);
	return sl_loop_goes_on(&in->loop);
}

static void is_well(struct intake *in)
{
	if (!in->loop.pause_ms)
		return;
	sl_loop_is_well(&in->loop);
	pthread_mutex_lock(&in->loop.lock);
	in->why[0] = 0;
	pthread_mutex_unlock(&in->loop.lock);
}

static bool is_poison(enum sl_status s)
{
	return s == SL_INVALID || s == SL_TOO_LARGE || s == SL_UNSUPPORTED;
}

/* Puts the consumer where the review store says it is. */
static enum sl_status go_to_stored(struct intake *in, int partition, struct sl_err *err)
{
	int64_t at = -1;
	enum sl_status s = sl_reviews_position(in->ctx.stores.reviews, SL_GROUP_INTAKE, partition, &at, err);
	if (s == SL_OK)
		s = sl_consumer_seek(in->consumer, partition, at, err);
	in->at_stored[partition] = s == SL_OK;
	return s;
}

/* The n reviews and the position of the last message looked at, in one step; a review that the store
 * calls malformed is left out. */
static enum sl_status add(struct intake *in, int n, const struct sl_message *last, struct sl_err *err)
{
	struct sl_origin from = {SL_GROUP_INTAKE, last->partition, last->position};
	enum sl_status s = sl_reviews_add(in->ctx.stores.reviews, in->review, n, &from, err);
	if (s != SL_OK && is_poison(s) && n == 1) {
		skip_bad(in, last, err);
		return sl_reviews_add(in->ctx.stores.reviews, in->review, 0, &from, err);
	}
	if (s == SL_OK)
		sl_metric_add(in->added, n);
	return s;
}

/* Messages m[0..n) of one partition. */
static enum sl_status take_all(struct intake *in, const struct sl_message *m, int n, struct sl_err *err)
{
	struct sl_err bad;
	int reviews = 0;
	for (int i = 0; i < n; i++)
		if (read_review(&m[i], &in->review[reviews], &bad) == SL_OK)
			reviews++;
		else
			skip_bad(in, &m[i], &bad);
	enum sl_status s = add(in, reviews, &m[n - 1], err);
	for (int i = 0; i < n && is_poison(s) && n > 1; i++) /* find the one that is not taken */
		if (take_all(in, &m[i], 1, err) != SL_OK)
			return err->status;
	return is_poison(s) && n > 1 ? SL_OK : s;
}

static enum sl_status take_batch(struct intake *in, const struct sl_batch *b, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0, n; i < b->n && s == SL_OK; i += n) {
		int p = b->message[i].partition;
		for (n = 1; i + n < b->n && b->message[i + n].partition == p; n++)
			;
		if (p < 0 || p >= PARTITIONS)
			return sl_fail(err, SL_UNSUPPORTED, "topic " SL_TOPIC_REVIEWS " has more than %d partitions",
				PARTITIONS);
		if (in->at_stored[p])
			s = take_all(in, &b->message[i], n, err);
		else /* new to us: they come again from where the store says */
			s = go_to_stored(in, p, err);
	}
	return s;
}

static void turn(struct intake *in)
{
	struct sl_batch b = {0};
	struct sl_err err = {0};
	int64_t from = sl_mono_us();
	enum sl_status s = sl_consumer_poll(in->consumer, BATCH, sl_deadline_ms(TURN_MS), &b, &err);
	if (s != SL_OK) {
		pause_a_while(in, &err);
		return;
	}
	while (b.n && (s = take_batch(in, &b, &err)) != SL_OK && s != SL_CONFLICT)
		if (!pause_a_while(in, &err))
			break; /* it comes again to the next who reads */
	if (b.n && s == SL_OK)
		s = sl_consumer_commit(in->consumer, &err);
	if (s == SL_CONFLICT) /* partitions moved to another member */
		memset(in->at_stored, 0, sizeof(in->at_stored));
	if (s == SL_OK && b.n)
		sl_metric_time(in->seconds, sl_mono_us() - from);
	is_well(in);
	sl_batch_done(&b);
}

static void work(void *arg)
{
	struct intake *in = arg;
	while (sl_loop_goes_on(&in->loop))
		turn(in);
}

/* ---- the role ---- */

static enum sl_status start(struct sl_context *ctx, void **ret_state, struct sl_err *err)
{
	struct sl_consumer *c;
	enum sl_status s = sl_consumer_open(ctx->stores.log, SL_GROUP_INTAKE, SL_TOPIC_REVIEWS, &c, err);
	if (s != SL_OK)
		return s;
	struct intake *in = SL_NEW(struct intake);
	in->ctx = *ctx;
	in->consumer = c;
	sl_loop_init(&in->loop);
	in->added = sl_counter(
		"signloop_intake_total", "result=\"added\"", "Messages of topic reviews by what became of them");
	in->bad = sl_counter(
		"signloop_intake_total", "result=\"bad\"", "Messages of topic reviews by what became of them");
	in->failed = sl_counter(
		"signloop_intake_retries_total", NULL, "Times that a store was away or busy and intake waited");
	in->seconds =
		sl_histogram("signloop_intake_seconds", NULL, "From asking for messages to their reviews being stored");
	int partitions = SL_MIN(sl_log_partitions(ctx->stores.log, SL_TOPIC_REVIEWS), PARTITIONS);
	for (int p = 0; p < partitions && s == SL_OK; p++) {
		s = go_to_stored(in, p, err);
		s = s == SL_CONFLICT ? SL_OK : s; /* another member's */
	}
	if (s == SL_OK) /* a process that was killed may have stored what it did not commit: the lag would stay */
		s = sl_consumer_commit(c, err);
	if (s != SL_OK) {
		sl_consumer_close(c);
		sl_loop_done(&in->loop);
		free(in);
		return s;
	}
	sl_loop_start(&in->loop, "intake", work, in);
	*ret_state = in;
	return SL_OK;
}

static bool is_ready(void *state, char why[128])
{
	struct intake *in = state;
	pthread_mutex_lock(&in->loop.lock);
	snprintf(why, 128, "%s", in->why);
	pthread_mutex_unlock(&in->loop.lock);
	return !*why;
}

static enum sl_status drain(void *state, int64_t deadline_us)
{
	struct intake *in = state;
	return sl_loop_drain(&in->loop, deadline_us);
}

static void stop(void *state)
{
	struct intake *in = state;
	sl_loop_stop(&in->loop);
	sl_consumer_close(in->consumer);
	free(in);
}

const struct sl_role sl_role_intake = {
	.name = "intake",
	.text = "makes a review of each crop that the model was unsure of",
	.start = start,
	.is_ready = is_ready,
	.drain = drain,
	.stop = stop,
};
