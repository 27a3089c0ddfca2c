/* SPDX-License-Identifier: Apache-2.0
 *
 * A voter: leases a review, votes as people do (mostly what the model thought first, now and
 * then something else), and goes on. A vote whose answer was lost is sent again with its id.
 */
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "cmd/drive.h"
#include <stdio.h>

enum { VOTER_IDLE_MS = 200, NOISE_PERCENT = 10 };

struct voter {
	struct sl_drive *d;
	struct sl_client *client;
	struct sl_reply reply;
	struct sl_rng rng;
	char name[32], key[128], choice[16];
	int misses;
};

static int class_index(json_t *candidate)
{
	json_t *c = json_object_get(candidate, "class");

	if (json_is_object(c))
		c = json_object_get(c, "index");
	if (!json_is_integer(c))
		c = json_object_get(candidate, "index");
	return json_is_integer(c) ? (int)json_integer_value(c) : -1;
}

static void choose(struct voter *v, json_t *review)
{
	json_t *list = json_object_get(review, "candidates");
	size_t n = json_array_size(list), pick = 0;
	uint32_t dice = sl_rng_below(&v->rng, 100);

	if (n > 1 && dice < NOISE_PERCENT)
		pick = 1 + sl_rng_below(&v->rng, (uint32_t)n - 1);
	int index = n ? class_index(json_array_get(list, pick)) : -1;
	if (index < 0 || dice >= 98)
		snprintf(v->choice, sizeof(v->choice), "%s", dice % 2 ? "unreadable" : "not_a_sign");
	else
		snprintf(v->choice, sizeof(v->choice), "%d", index);
}

/* OK with key and choice set; NOT_FOUND when there is no review now. */
static enum sl_status lease(struct voter *v, int64_t *ret_hold)
{
	struct sl_drive *d = v->d;
	SL_AUTOFREE char *url = sl_asprintf("%s/v1/reviews/next?voter=%s&n=1", d->to, v->name);
	struct sl_call call = {.url = url,
		.cancel = &d->cancel,
		.deadline_us = sl_deadline_ms(d->timeout_ms),
		.body_max = DRIVE_ANSWER_BYTES};
	SL_AUTOJSON json_t *body = NULL;
	struct sl_err err = {0};
	int64_t start = sl_mono_us();
	enum sl_status s = sl_client_call(v->client, &call, &v->reply, &err);

	*ret_hold = 0;
	if (s != SL_OK || v->reply.status != 200) {
		*ret_hold = drive_count(d, s, &v->reply, &err, &v->misses);
		return SL_AWAY;
	}
	drive_times_add(&d->tally.next, sl_mono_us() - start);
	if (sl_json_parse(sl_buf_slice(&v->reply.body), "the answer", &body, &err) != SL_OK)
		return SL_NOT_FOUND;
	json_t *review = json_array_get(json_object_get(body, "reviews"), 0);
	const char *key = json_string_value(json_object_get(review, "key"));
	if (!key) {
		d->tally.empty++;
		*ret_hold = VOTER_IDLE_MS;
		return SL_NOT_FOUND;
	}
	snprintf(v->key, sizeof(v->key), "%s", key);
	choose(v, review);
	d->last_review_us = sl_mono_us();
	return SL_OK;
}

static int64_t vote(struct voter *v)
{
	struct sl_drive *d = v->d;
	char id[33];

	sl_random_id(id);
	SL_AUTOFREE char *url = sl_asprintf("%s/v1/reviews/%s/votes", d->to, v->key);
	SL_AUTOFREE char *body =
		sl_asprintf("{\"voter\":\"%s\",\"vote_id\":\"%s\",\"choice\":\"%s\"}", v->name, id, v->choice);
	struct sl_call call = {.url = url,
		.body = sl_slice_str(body),
		.type = "application/json",
		.cancel = &d->cancel,
		.deadline_us = sl_deadline_ms(d->timeout_ms),
		.body_max = DRIVE_ANSWER_BYTES};
	struct sl_err err = {0};
	int64_t start = sl_mono_us();

	d->tally.sent++;
	enum sl_status s = sl_client_retry(v->client, &call, SL_RETRY_DEFAULT, &v->reply, &err);
	if (s == SL_OK && v->reply.status / 100 == 2)
		drive_times_add(&d->tally.call, sl_mono_us() - start);
	return drive_count(d, s, &v->reply, &err, &v->misses);
}

void *drive_voter(void *arg)
{
	struct drive_one *me = arg;
	struct sl_drive *d = me->d;
	struct voter v = {
		.d = d, .client = sl_client_new(NULL), .rng = sl_rng((uint64_t)d->seed, (uint64_t)me->number + 1)};

	snprintf(v.name, sizeof(v.name), "drive-%.6s-%03d", d->run_id, me->number);
	while (drive_next_slot(d, d->votes) >= 0) {
		enum sl_status s;
		int64_t hold;

		while ((s = lease(&v, &hold)) != SL_OK && drive_wait(d, SL_MAX(hold, VOTER_IDLE_MS)))
			if (sl_mono_us() - d->last_review_us > DRIVE_IDLE_MS * 1000)
				drive_stop(d);
		if (s == SL_OK)
			drive_wait(d, vote(&v));
	}
	sl_reply_done(&v.reply);
	sl_client_free(v.client);
	pthread_mutex_lock(&d->lock);
	d->running--;
	pthread_mutex_unlock(&d->lock);
	return NULL;
}
