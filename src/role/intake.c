/* SPDX-License-Identifier: Apache-2.0
 *
 * Role intake: makes a review of each message of topic `reviews`. The position of the last
 * message of a batch is stored in the review store in the same transaction as its reviews;
 * that position is the truth, the group's commit only tells the log how far we are. So a
 * message has its effect once, even when either store was put back from a backup.
 *
 * A message that is no review goes to the dead letters (role/dead.h), logged and counted: it
 * never blocks those behind it. When a store is away the batch is kept and tried again, later and later.
 */
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/message.h"
#include "role/dead.h"
#include "role/role.h"
#include <stdio.h>

enum { BATCH = 500, TURN_MS = 250, PARTITIONS = 1024 };

/* Of the consumer in a partition: where it stands is not known; it was put where the review store
 * says, so what was polled before comes again; it stands there. */
enum place { UNKNOWN, FROM_NEXT_POLL, HERE };
/* Who says that a message is no review. Each does so in the order of positions. */
enum judge { READER, STORE, JUDGES };

struct intake {
	struct sl_context ctx;
	struct sl_consumer *consumer;
	uint8_t place[PARTITIONS]; /* enum place */
	int64_t dead[JUDGES]
		    [PARTITIONS]; /* last position + 1 whose dead letter is written: a batch may be tried again */
	bool uncommitted; /* the log does not know yet what is stored */
	struct sl_review review[BATCH];
	struct sl_loop loop;
	struct sl_metric *added, *bad, *failed, *seconds;
};

/* ---- messages ---- */

static enum sl_status read_review(const struct sl_message *m, struct sl_review *r, struct sl_err *err)
{
	SL_AUTOJSON json_t *o = NULL;
	enum sl_status s = sl_json_parse(m->body, "message", &o, err);
	return s == SL_OK ? sl_review_parse(o, m->time_ms, r, err) : s;
}

static enum sl_status skip_bad(
	struct intake *in, enum judge who, const struct sl_message *m, const struct sl_err *why, struct sl_err *err)
{
	int64_t *dead = &in->dead[who][m->partition];
	if (m->position < *dead)
		return SL_OK;
	enum sl_status s = sl_dead_letter(in->ctx.stores.log, m, why->text, err);
	if (s != SL_OK)
		return s;
	*dead = m->position + 1;
	sl_metric_add(in->bad, 1);
	sl_log(SL_WARN, "intake", "message skipped", SL_I("partition", m->partition), SL_I("position", m->position),
		SL_S("key", m->key), SL_S("error", why->text));
	return SL_OK;
}

/* ---- effects ---- */

/* false: draining. */
static bool pause_a_while(struct intake *in, const struct sl_err *err)
{
	sl_metric_add(in->failed, 1);
	sl_log(SL_WARN, "intake", "tries again", SL_S("error", err->text));
	sl_loop_pause(&in->loop, err->text);
	return sl_loop_goes_on(&in->loop);
}

static bool is_poison(enum sl_status s)
{
	return s == SL_INVALID || s == SL_TOO_LARGE || s == SL_UNSUPPORTED;
}

/* Puts the consumer where the review store says it is. A partition that went to another member stays UNKNOWN. */
static enum sl_status go_to_stored(struct intake *in, int partition, struct sl_err *err)
{
	int64_t at = -1;
	enum sl_status s = sl_reviews_position(in->ctx.stores.reviews, SL_GROUP_INTAKE, partition, &at, err);
	if (s == SL_OK)
		s = sl_consumer_seek(in->consumer, partition, at, err);
	if (s != SL_OK)
		return s == SL_CONFLICT ? SL_OK : s;
	in->place[partition] = FROM_NEXT_POLL;
	in->dead[READER][partition] = in->dead[STORE][partition] = 0;
	return SL_OK;
}

/* The n reviews of the messages up to the last and its position, in one step; the only message
 * (alone), where the store calls its review malformed, is left out. */
static enum sl_status add(struct intake *in, int n, const struct sl_message *last, bool alone, struct sl_err *err)
{
	struct sl_origin from = {SL_GROUP_INTAKE, last->partition, last->position};
	enum sl_status s = sl_reviews_add(in->ctx.stores.reviews, in->review, n, &from, err);
	if (s != SL_OK && is_poison(s) && alone) {
		struct sl_err why = *err;
		s = skip_bad(in, STORE, last, &why, err);
		return s == SL_OK ? sl_reviews_add(in->ctx.stores.reviews, in->review, 0, &from, err) : s;
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
	enum sl_status s = SL_OK;
	for (int i = 0; i < n && s == SL_OK; i++)
		if (read_review(&m[i], &in->review[reviews], &bad) == SL_OK)
			reviews++;
		else
			s = skip_bad(in, READER, &m[i], &bad, err);
	if (s == SL_OK)
		s = add(in, reviews, &m[n - 1], n == 1, err);
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
		if (in->place[p] == HERE)
			s = take_all(in, &b->message[i], n, err);
		else if (in->place[p] == UNKNOWN) /* new to us: they come again from where the store says */
			s = go_to_stored(in, p, err);
	}
	return s;
}

static void turn(struct intake *in)
{
	struct sl_batch b = {0};
	struct sl_err err = {0};
	int64_t from = sl_mono_us();
	for (int p = 0; p < PARTITIONS; p++)
		if (in->place[p] == FROM_NEXT_POLL)
			in->place[p] = HERE;
	enum sl_status s = sl_consumer_poll(in->consumer, BATCH, sl_deadline_ms(TURN_MS), &b, &err);
	if (s != SL_OK) {
		pause_a_while(in, &err);
		return;
	}
	while (b.n && (s = take_batch(in, &b, &err)) != SL_OK && s != SL_CONFLICT)
		if (!pause_a_while(in, &err))
			break; /* it comes again to the next who reads */
	in->uncommitted |= b.n && s == SL_OK;
	if (in->uncommitted && s == SL_OK) {
		s = sl_consumer_commit(in->consumer, &err);
		in->uncommitted = s != SL_OK && s != SL_CONFLICT;
	}
	if (s == SL_CONFLICT) /* partitions moved to another member */
		memset(in->place, UNKNOWN, sizeof(in->place));
	if (s == SL_OK && b.n)
		sl_metric_time(in->seconds, sl_mono_us() - from);
	if (s == SL_OK || s == SL_CONFLICT)
		sl_loop_is_well(&in->loop);
	else if (sl_loop_goes_on(&in->loop)) /* only the commit failed: the next turn makes up for it */
		pause_a_while(in, &err);
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
	int partitions = 0;
	s = sl_log_ask_partitions(ctx->stores.log, SL_TOPIC_REVIEWS, &partitions, err);
	for (int p = 0; p < SL_MIN(partitions, PARTITIONS) && s == SL_OK; p++)
		s = go_to_stored(in, p, err);
	if (s == SL_OK) /* a process that was killed may have stored what it did not commit: the lag would stay */
		s = sl_consumer_commit(c, err);
	if (s == SL_CONFLICT) { /* two start together, and a partition went to the other */
		memset(in->place, UNKNOWN, sizeof(in->place));
		s = SL_OK;
	}
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
	return sl_health_is_well(SL_NEEDS_LOG | SL_NEEDS_REVIEWS, why) && sl_loop_is_fine(&in->loop, why);
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
