/* SPDX-License-Identifier: Apache-2.0
 *
 * The labeling role's own thread: publishes verdicts from the outbox (after each vote that
 * decided, and on a timer for those that a crash left), drops expired leases, and keeps the
 * classes up to date. A label may be published twice; its key makes that harmless.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/message.h"
#include "role/labeling.h"

void sl_labeling_voted(struct sl_labeling *l, const char *key, const struct sl_verdict *v)
{
	sl_metric_add(l->counted, 1);
	sl_hub_say(l->ctx.hub, "vote",
		json_pack("{s:s,s:s,s:i}", "key", key, "state", sl_review_state_name(v->state), "votes", v->votes));
	if (v->state == SL_REVIEW_DECIDED)
		sl_loop_wake(&l->loop);
}

static void count_sent(struct sl_labeling *l, const struct sl_classes *c, const struct sl_review *r, int n)
{
	for (int i = 0; i < n; i++) {
		sl_metric_add(l->verdicts[r[i].verdict.by_expert], 1);
		sl_hub_say(l->ctx.hub, "label", sl_verdict_json(c, r[i].key, &r[i].verdict));
	}
	sl_metric_add(l->sent, n);
}

static enum sl_status append_all(
	struct sl_labeling *l, const struct sl_classes *c, const struct sl_review *r, int n, struct sl_err *err)
{
	struct sl_entry *entry = SL_NEW_N(struct sl_entry, n);
	struct sl_buf *body = SL_NEW_N(struct sl_buf, n);
	enum sl_status s = SL_OK;
	for (int i = 0; i < n && s == SL_OK; i++) {
		SL_AUTOJSON json_t *o = sl_verdict_message(&r[i], c->taxonomy, sl_now_ms());
		s = sl_json_print(o, &body[i]);
		entry[i] = (struct sl_entry){SL_TOPIC_LABELS, r[i].key, sl_buf_slice(&body[i])};
	}
	if (s == SL_OK)
		s = sl_log_append_many(l->ctx.stores.log, entry, n, sl_deadline_ms(SL_LABELING_SEND_MS), err);
	for (int i = 0; i < n; i++)
		sl_buf_done(&body[i]);
	free(body);
	free(entry);
	return s;
}

/* Publishes up to SL_LABELING_SEND labels. *ret_n: how many. */
static enum sl_status publish_some(struct sl_labeling *l, int *ret_n, struct sl_err *err)
{
	SL_AUTOFREE struct sl_review *r = SL_NEW_N(struct sl_review, SL_LABELING_SEND);
	SL_AUTOFREE char(*keys)[SL_KEY] = sl_calloc(SL_LABELING_SEND, SL_KEY);
	enum sl_status s = sl_reviews_pending_out(l->ctx.stores.reviews, SL_LABELING_SEND, r, ret_n, err);
	if (s != SL_OK || !*ret_n)
		return s;
	struct sl_classes *c = sl_labeling_classes(l);
	if (!c)
		return sl_fail(err, SL_BUSY, "labels wait: no bundle is live yet, so classes have no codes");
	s = append_all(l, c, r, *ret_n, err);
	for (int i = 0; i < *ret_n && s == SL_OK; i++)
		memcpy(keys[i], r[i].key, SL_KEY);
	if (s == SL_OK)
		s = sl_reviews_sent(l->ctx.stores.reviews, keys, *ret_n, err);
	if (s == SL_OK)
		count_sent(l, c, r, *ret_n);
	sl_classes_unref(c);
	return s;
}

static enum sl_status turn(struct sl_labeling *l, struct sl_err *err)
{
	int n = 1, expired;
	enum sl_status s = SL_OK;
	sl_labeling_look(l);
	while (s == SL_OK && n)
		s = publish_some(l, &n, err);
	if (s == SL_OK)
		s = sl_reviews_expire(l->ctx.stores.reviews, &expired, err);
	return s;
}

void sl_labeling_work(void *arg)
{
	struct sl_labeling *l = arg;
	struct sl_err err = {0};
	while (sl_loop_goes_on(&l->loop))
		if (turn(l, &err) == SL_OK) {
			sl_loop_is_well(&l->loop);
			sl_loop_rest(&l->loop, sl_deadline_ms(SL_LABELING_TURN_MS));
		} else {
			sl_metric_add(l->failed, 1);
			sl_log(SL_WARN, "labeling", "tries again", SL_S("error", err.text));
			sl_loop_pause(&l->loop, err.text);
		}
	if (turn(l, &err) != SL_OK)
		sl_log(SL_WARN, "labeling", "some labels are not published yet; the next start does it",
			SL_S("error", err.text));
}
