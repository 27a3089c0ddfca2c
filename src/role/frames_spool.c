/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames while the crop store or the log is away. refuse: 503 at once, but for one a second that
 * tries. keep: the picture and what was said of it go to a folder, durably, and the answer is 202;
 * one thread infers and stores them later, oldest first, at a lower priority than live frames.
 * Keys and messages are made from the picture, so a frame that was stored and not yet taken out
 * of the folder (kill -9) has its effect once all the same.
 */
#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/frames.h"
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SPOOL_STORE_MS = 30000, SPOOL_REST_MS = 5000, SPOOL_NICE = 10 };

static const unsigned needs = SL_NEEDS_CROPS | SL_NEEDS_LOG;

/* ---- taking frames ---- */

bool sl_frames_may_keep(const struct sl_frames *f, sl_job_fn run, enum sl_reply reply)
{
	return f->keep && run == sl_frames_run && reply != SL_REPLY_LABELING_TEST;
}

bool sl_frames_keep_now(const struct sl_frames *f, bool has_bundle, char why[128])
{
	return !sl_health_is_well(needs | (has_bundle ? 0 : SL_NEEDS_ARTIFACTS), why) && f->keep;
}

/* Where frames are kept nobody has to try: the spool's thread does, and the watch. */
bool sl_frame_must_wait(const struct sl_job *j)
{
	char why[128];

	if (!j->bundle)
		return true;
	if (j->reply == SL_REPLY_LABELING_TEST)
		return false;
	return j->f->keep ? !sl_health_is_well(needs, why) : !sl_health_is_worth_it(needs);
}

static json_t *meta_json(const struct sl_frame_meta *m)
{
	json_t *o = json_pack("{s:s,s:s,s:s,s:I}", "device", m->device, "frame", m->id, "sequence", m->sequence, "time",
		(json_int_t)m->time_ms);

	if (m->has_place) {
		json_object_set_new(o, "lat", json_real(m->lat));
		json_object_set_new(o, "lon", json_real(m->lon));
	}
	if (m->has_heading)
		json_object_set_new(o, "heading", json_real(m->heading));
	return o;
}

void sl_frame_keep(void *job)
{
	struct sl_job *j = job;
	char sha256[SL_HEX_SHA256], hash[SL_FRAME_ID];
	struct sl_err err;
	SL_AUTOJSON json_t *meta = meta_json(&j->meta);

	if (sl_spool_put(j->f->spool, meta, j->image, &err) != SL_OK) {
		sl_job_fail(j, &err);
		return;
	}
	sl_sha256_hex(j->image.ptr, j->image.len, sha256);
	snprintf(hash, sizeof hash, "%.*s", SL_FRAME_ID - 1, sha256);
	sl_metric_add(j->f->kept, 1);
	sl_answer_json(j->request, 202,
		json_pack("{s:s,s:s,s:s}", "frame", *j->meta.id ? j->meta.id : hash, "hash", hash, "status", "stored"));
	sl_loop_wake(&j->f->spool_loop);
	sl_job_end(j);
}

void sl_frame_is_away(struct sl_job *j)
{
	struct sl_err err;
	char why[128] = "waits for a store that is away";
	enum sl_status s = SL_AWAY;

	if (sl_frames_may_keep(j->f, j->run, j->reply)) {
		s = sl_pool_run(j->f->store, sl_frame_keep, j);
		if (s == SL_OK)
			return;
		sl_fail(&err, s, "the queue of frames to keep is full (frames.store_queue): try again");
	} else {
		sl_health_is_well(needs, why);
		sl_fail(&err, s, "%s: nothing was done for this frame, send it again", why);
	}
	sl_job_fail(j, &err);
}

/* ---- storing them ---- */

static void take_text(json_t *o, const char *name, char *ret, size_t size)
{
	const char *v = json_string_value(json_object_get(o, name));

	sl_copy_cut(ret, size, v ? v : "");
}

static struct sl_frame_meta meta_of(json_t *o)
{
	struct sl_frame_meta m = {.time_ms = json_integer_value(json_object_get(o, "time")),
		.has_place = json_object_get(o, "lat") != NULL,
		.has_heading = json_object_get(o, "heading") != NULL,
		.lat = json_number_value(json_object_get(o, "lat")),
		.lon = json_number_value(json_object_get(o, "lon")),
		.heading = json_number_value(json_object_get(o, "heading"))};

	take_text(o, "device", m.device, sizeof m.device);
	take_text(o, "frame", m.id, sizeof m.id);
	take_text(o, "sequence", m.sequence, sizeof m.sequence);
	return m;
}

static enum sl_status store_kept(
	struct sl_frames *f, struct sl_pipeline *p, const struct sl_spooled *kept, struct sl_err *err)
{
	struct sl_job *j = SL_NEW(struct sl_job);
	enum sl_status s;

	*j = (struct sl_job){.f = f,
		.bundle = sl_hub_bundle(f->ctx->hub),
		.run = sl_frames_run,
		.arrived_us = sl_mono_us(),
		.deadline_us = sl_deadline_ms(SPOOL_STORE_MS),
		.meta = meta_of(kept->meta),
		.image = kept->image};
	s = j->bundle ? sl_frame_infer(j, p, err) : sl_fail(err, SL_BUSY, "kept frames wait: no bundle is loaded yet");
	if (s == SL_OK && j->seen.n)
		s = sl_frame_write(j, err);
	if (s == SL_OK) {
		sl_metric_add(f->caught_up, 1);
		sl_frame_tell(j);
		sl_hub_say(f->ctx->hub, "frame", sl_frame_event(j));
	}
	sl_job_end(j);
	return s;
}

static bool may_pass(enum sl_status s)
{
	return sl_status_is_retriable(s) || s == SL_IO || s == SL_CLOSED || s == SL_CANCELLED;
}

/* The oldest frame; NOT_FOUND: none is left. */
static enum sl_status turn(struct sl_frames *f, struct sl_pipeline *p, struct sl_err *err)
{
	SL_AUTO(sl_spooled_done) struct sl_spooled kept = {0};
	struct sl_err why = {0};
	enum sl_status s = sl_spool_first(f->spool, &kept, &why);

	if (s == SL_OK)
		s = store_kept(f, p, &kept, &why);
	if (s == SL_OK) {
		sl_spool_done(f->spool, kept.number);
		return s;
	}
	if ((s == SL_NOT_FOUND && !kept.number) || may_pass(s)) {
		*err = why;
		return s;
	}
	sl_log(SL_WARN, "frames", "a kept frame cannot be stored and is set aside", SL_I("number", kept.number),
		SL_S("error", why.text));
	return sl_spool_set_aside(f->spool, kept.number, why.text, err);
}

void sl_frames_spool_work(void *frames)
{
	struct sl_frames *f = frames;
	struct sl_pipeline *p = sl_pipeline_new();
	struct sl_err err;

	setpriority(PRIO_PROCESS, (id_t)gettid(), SPOOL_NICE); /* of this thread; refused: no harm */
	while (sl_loop_goes_on(&f->spool_loop)) {
		enum sl_status s = turn(f, p, &err);
		if (s == SL_OK || s == SL_NOT_FOUND)
			sl_loop_is_well(&f->spool_loop);
		if (s == SL_NOT_FOUND)
			sl_loop_rest(&f->spool_loop, sl_deadline_ms(SPOOL_REST_MS));
		else if (s != SL_OK)
			sl_loop_pause(&f->spool_loop, err.text);
	}
	sl_pipeline_free(p);
}

enum sl_status sl_frames_spool_start(struct sl_frames *f, struct sl_err *err)
{
	const char *when_away = sl_config_str(f->ctx->cfg, "frames.when_away");
	SL_AUTOFREE char *dir = sl_fs_join(f->ctx->data_dir, "spool");

	f->keep = strcmp(when_away, "keep") == 0;
	if (!f->keep && strcmp(when_away, "refuse") != 0)
		return sl_fail(
			err, SL_USAGE, "setting frames.when_away is '%.40s'; it must be refuse or keep", when_away);
	sl_loop_init(&f->spool_loop);
	enum sl_status s = sl_spool_open(dir, sl_config_int(f->ctx->cfg, "frames.spool_bytes"), &f->spool, err);
	if (s != SL_OK)
		sl_loop_done(&f->spool_loop);
	return s;
}

void sl_frames_spool_stop(struct sl_frames *f)
{
	sl_loop_stop(&f->spool_loop);
	sl_spool_free(f->spool);
}
