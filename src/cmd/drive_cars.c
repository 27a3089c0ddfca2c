/* SPDX-License-Identifier: Apache-2.0
 *
 * A car: takes its turn, sends a frame, reads the signs in the answer, and for drawn frames
 * compares them with what was drawn.
 */
#include "base/json.h"
#include "base/mem.h"
#include "cmd/drive.h"
#include <math.h>
#include <stdio.h>

static float overlap(const struct sl_box *a, const double b[4])
{
	double w = fmin(a->x + a->w, b[0] + b[2]) - fmax(a->x, b[0]),
	       h = fmin(a->y + a->h, b[1] + b[3]) - fmax(a->y, b[1]);

	if (w <= 0 || h <= 0)
		return 0;
	return (float)(w * h / ((double)a->w * a->h + b[2] * b[3] - w * h));
}

static bool read_box(json_t *sign, double box[4])
{
	json_t *b = json_object_get(sign, "box");

	if (json_array_size(b) != 4)
		return false;
	for (size_t i = 0; i < 4; i++)
		box[i] = json_number_value(json_array_get(b, i));
	return true;
}

/* Each drawn sign takes the answered box that lies best on it, from half overlap on. */
static void compare(struct sl_drive *d, const struct sl_scene_truth *t, json_t *signs)
{
	bool used[SL_SCENE_SIGNS] = {0};
	int64_t extra = 0;
	json_t *sign;
	size_t i;

	json_array_foreach(signs, i, sign)
	{
		int best = -1;
		float most = 0.5f;
		double box[4];

		if (!read_box(sign, box))
			continue;
		for (int k = 0; k < t->n; k++) {
			float o = used[k] ? 0 : overlap(&t->sign[k].box, box);

			if (o >= most) {
				most = o;
				best = k;
			}
		}
		if (best < 0) {
			extra++;
			continue;
		}
		used[best] = true;
		d->tally.found++;
		if (json_integer_value(json_object_get(json_object_get(sign, "class"), "index")) == t->sign[best].cls)
			d->tally.right++;
	}
	d->tally.truth += t->n;
	d->tally.extra += extra;
}

static void read_answer(struct sl_drive *d, const struct drive_frame *f, const struct sl_reply *r)
{
	SL_AUTOJSON json_t *v = NULL;
	json_t *sign;
	size_t i;

	if (sl_json_parse(sl_buf_slice(&r->body), "the answer", &v, NULL) != SL_OK)
		return;
	json_t *signs = json_object_get(v, "signs");
	const char *bundle = json_string_value(json_object_get(v, "bundle"));

	json_array_foreach(signs, i, sign)
	{
		const char *status = json_string_value(json_object_get(sign, "status"));

		d->tally.signs++;
		if (status && !strcmp(status, "accepted"))
			d->tally.accepted++;
		else
			d->tally.review++;
	}
	if (f->has_truth)
		compare(d, &f->truth, signs);
	if (bundle) {
		pthread_mutex_lock(&d->lock);
		snprintf(d->bundle, sizeof(d->bundle), "%.64s", bundle);
		pthread_mutex_unlock(&d->lock);
	}
}

static void send_frame(struct sl_drive *d, struct sl_client *c, int number, int64_t n, const struct drive_frame *f,
	struct sl_reply *r, int *misses)
{
	int car = d->frames_dir ? number : (int)(n % d->cars);
	/* A made-up town: each car drives north on its own street. */
	SL_AUTOFREE char *url =
		sl_asprintf("%s/v1/frames?device=car-%03d&sequence=%.8s-%03d&lat=%.6f&lon=%.6f&heading=0", d->to, car,
			d->run_id, car, 52.0 + 2.2e-5 * (double)(n / d->cars), 8.5 + 0.002 * car);
	struct sl_call call = {.url = url,
		.body = sl_buf_slice(&f->bytes),
		.type = f->type,
		.cancel = &d->cancel,
		.deadline_us = sl_deadline_ms(d->timeout_ms),
		.body_max = DRIVE_ANSWER_BYTES};
	struct sl_err err = {0};
	int64_t start = sl_mono_us();

	d->tally.sent++;
	enum sl_status s = sl_client_call(c, &call, r, &err);
	int64_t took = sl_mono_us() - start;
	if (s == SL_OK && r->status / 100 == 2) {
		drive_times_add(&d->tally.call, took);
		d->tally.bytes_out += (int64_t)f->bytes.len;
		d->tally.bytes_in += (int64_t)r->body.len;
		read_answer(d, f, r);
	}
	drive_wait(d, drive_count(d, s, r, &err, misses));
}

void *drive_car(void *arg)
{
	struct drive_one *me = arg;
	struct sl_drive *d = me->d;
	struct sl_client *c = sl_client_new(NULL);
	struct drive_frame f = {0};
	struct sl_reply r = {0};
	struct sl_err err = {0};
	int misses = 0;
	int64_t n;

	while ((n = drive_next_slot(d, d->count)) >= 0) {
		if (drive_frame_of(d, n, &f, &err) != SL_OK)
			SL_BUG("frame %lld: %s", (long long)n, err.text);
		send_frame(d, c, me->number, n, &f, &r, &misses);
	}
	sl_buf_done(&f.bytes);
	sl_reply_done(&r);
	sl_client_free(c);
	pthread_mutex_lock(&d->lock);
	d->running--;
	pthread_mutex_unlock(&d->lock);
	return NULL;
}
