/* SPDX-License-Identifier: Apache-2.0 */
#include "role/frames.h"
#include "base/log.h"
#include "base/mem.h"
#include <unistd.h>

const char *const sl_frame_stage_name[SL_FRAME_STAGES] = {
	"accept", "decode", "detect", "crop", "classify", "store", "publish"};

void sl_job_end(struct sl_job *j)
{
	sl_seen_done(&j->seen);
	sl_buf_done(&j->decoded);
	sl_bundle_unref(j->bundle);
	free(j);
}

static struct sl_metric *counter_of(struct sl_frames *f, enum sl_status s)
{
	switch (s) {
	case SL_BUSY:
	case SL_CLOSED:
		return f->busy;
	case SL_AWAY:
		return f->away;
	case SL_TIMEOUT:
		return f->late;
	case SL_INVALID:
	case SL_TOO_LARGE:
	case SL_UNSUPPORTED:
	case SL_UNREADABLE:
		return f->bad;
	default:
		return f->failed;
	}
}

void sl_job_fail(struct sl_job *j, const struct sl_err *err)
{
	struct sl_metric *counter = counter_of(j->f, err->status);

	if (j->run == sl_frames_run)
		sl_metric_add(counter, 1);
	if (counter == j->f->failed)
		sl_log(SL_ERROR, "frames", "a request could not be answered", SL_S("why", err->text));
	sl_answer_fail(j->request, err);
	sl_job_end(j);
}

/* Answers 504 and ends the job when the deadline passed. */
static bool is_late(struct sl_job *j)
{
	struct sl_err err;

	if (!sl_is_past(j->deadline_us))
		return false;
	sl_fail(&err, SL_TIMEOUT, "the frame's deadline passed while it waited; nothing was done for it");
	sl_job_fail(j, &err);
	return true;
}

static void refuse(struct sl_frames *f, struct sl_request *r, sl_job_fn run, const char *name, const char *why)
{
	if (run == sl_frames_run)
		sl_metric_add(f->busy, 1);
	sl_answer_error(r, 503, name, why);
}

void sl_frames_accept(struct sl_frames *f, struct sl_request *r, sl_job_fn run, enum sl_reply reply)
{
	struct sl_bundle *b = sl_hub_bundle(f->ctx->hub);
	char why[128];

	/* A frame that may be kept waits for a bundle that cannot come now, too. */
	if (!b && !(sl_frames_may_keep(f, run, reply) && sl_frames_keep_now(f, false, why))) {
		refuse(f, r, run, "NO_BUNDLE",
			"no bundle is loaded yet: publish one with 'signloop model publish', or try again");
		return;
	}
	struct sl_job *j = SL_NEW(struct sl_job);
	*j = (struct sl_job){.f = f, .request = r, .bundle = b, .run = run, .reply = reply, .arrived_us = sl_mono_us()};
	for (int i = 0; i < SL_FRAME_STAGES; i++)
		j->us[i] = -1;
	j->deadline_us = SL_MIN(j->arrived_us + f->deadline_ms * 1000, sl_request_deadline(r));
	sl_metric_add(f->queued, 1);
	enum sl_status s = sl_queue_push(f->queue, j);
	if (s == SL_OK)
		return;
	sl_metric_add(f->queued, -1);
	sl_job_end(j);
	if (s == SL_BUSY)
		refuse(f, r, run, "BUSY", "the queue of frames is full (frames.queue): try again");
	else
		refuse(f, r, run, "CLOSED", "this process is ending: try another one");
}

void sl_frame_tell(struct sl_job *j)
{
	struct sl_frames *f = j->f;
	const char *type = j->image.len && j->image.ptr[0] == 0xff ? "image/jpeg" : "image/png";

	for (int i = 0; i < j->seen.n; i++)
		sl_metric_add(j->seen.sign[i].accepted ? f->accepted : f->review, 1);
	if (j->reply == SL_REPLY_LABELING_TEST)
		return;
	sl_hub_keep_frame(f->ctx->hub, j->seen.frame, type, j->image); /* the image goes with the answer */
}

/* The answer was made: who sent it learns of it before anybody else does. */
static void answer_frame(struct sl_job *j)
{
	json_t *(*const answer[])(const struct sl_job *) = {
		sl_frame_answer_v1, sl_frame_answer_labeling, sl_frame_answer_labeling_test};
	struct sl_frames *f = j->f;

	for (int i = 0; i < SL_FRAME_STAGES; i++)
		if (j->us[i] >= 0)
			sl_metric_time(f->stage[i], j->us[i]);
	sl_metric_add(f->answered, 1);
	sl_metric_time(f->whole, sl_mono_us() - j->arrived_us);
	sl_frame_tell(j);
	sl_answer_json(j->request, 200, answer[j->reply](j));
	if (j->reply != SL_REPLY_LABELING_TEST)
		sl_hub_say(f->ctx->hub, "frame", sl_frame_event(j));
	sl_job_end(j);
}

static void store_frame(void *arg)
{
	struct sl_job *j = arg;
	struct sl_err err;
	enum sl_status s;

	sl_metric_set(j->f->store_queued, (double)sl_pool_queued(j->f->store));
	if (is_late(j))
		return;
	s = sl_frame_write(j, &err);
	if (s == SL_OK)
		answer_frame(j);
	else if ((s == SL_AWAY || s == SL_TIMEOUT) && sl_frames_may_keep(j->f, j->run, j->reply) &&
		 !sl_is_past(j->deadline_us))
		sl_frame_keep(j);
	else
		sl_job_fail(j, &err);
}

/* The first four digits of a key are spread evenly, and the same for the same crop. */
static bool is_audited(const char *key, double share)
{
	return (double)strtoul((char[]){key[0], key[1], key[2], key[3], 0}, NULL, 16) < share * 65536;
}

enum sl_status sl_frame_infer(struct sl_job *j, struct sl_pipeline *p, struct sl_err *err)
{
	static const enum sl_frame_stage stage[SL_STAGES] = {
		SL_FRAME_DECODE, SL_FRAME_DETECT, SL_FRAME_CROP, SL_FRAME_CLASSIFY};
	enum sl_status s = sl_pipeline_run(p, j->bundle, j->image, j->f->max_pixels, j->deadline_us, &j->seen, err);

	for (int i = 0; s == SL_OK && i < j->seen.n; i++)
		j->seen.sign[i].accepted &= !is_audited(j->seen.sign[i].key, j->f->audit);
	for (int i = 0; i < SL_STAGES; i++)
		j->us[stage[i]] = j->seen.us[i];
	return s;
}

void sl_frames_run(struct sl_job *j, struct sl_pipeline *p)
{
	int64_t from = sl_mono_us();
	struct sl_frames *f = j->f;
	struct sl_err err;
	enum sl_status s = sl_frame_read(j, &err);

	j->us[SL_FRAME_ACCEPT] = sl_mono_us() - from;
	if (s == SL_OK && sl_frame_must_wait(j)) {
		sl_frame_is_away(j);
		return;
	}
	if (s == SL_OK)
		s = sl_frame_infer(j, p, &err);
	if (s == SL_OK && j->seen.n && j->reply != SL_REPLY_LABELING_TEST) {
		s = sl_pool_run(f->store, store_frame, j);
		if (s == SL_OK)
			return;
		sl_fail(&err, s, "the queue of crops to store is full (frames.store_queue): try again");
	}
	if (s == SL_OK)
		answer_frame(j);
	else
		sl_job_fail(j, &err);
}

static void *infer_main(void *arg)
{
	struct sl_frames *f = arg;
	struct sl_pipeline *p = sl_pipeline_new();
	struct sl_bundle *b = sl_hub_bundle(f->ctx->hub);
	void *item;

	if (b && sl_pipeline_selftest(p, b, NULL) != SL_OK) /* warms this thread; frames will say what is wrong */
		sl_log(SL_WARN, "frames", "the live bundle fails its self-test", SL_S("bundle", b->digest));
	sl_bundle_unref(b);
	while (sl_queue_pop(f->queue, &item, SL_FOREVER) == SL_OK) {
		struct sl_job *j = item;
		sl_metric_add(f->queued, -1);
		j->wait_us = sl_mono_us() - j->arrived_us;
		if (!is_late(j))
			j->run(j, p);
	}
	sl_pipeline_free(p);
	pthread_mutex_lock(&f->lock);
	f->running--;
	pthread_cond_signal(&f->ended);
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

static void post_frame(struct sl_request *r, void *arg)
{
	sl_frames_accept(arg, r, sl_frames_run, SL_REPLY_V1);
}

#define CLASS \
	"{\"title\":\"Class\",\"type\":\"object\",\"properties\":{\"index\":{\"type\":\"integer\"},\"code\":{\"type\":\"string\"},\"name\":{\"type\":" \
	"\"string\"},\"name_ko\":{\"type\":\"string\"}}}"
#define SIGN \
	"{\"title\":\"Sign\",\"type\":\"object\",\"properties\":{\"key\":{\"type\":\"string\"},\"box\":{\"type\":\"array\",\"items\":{\"type\":" \
	"\"integer\"},\"description\":\"x, y, w, h in pixels of the frame\"},\"class\":" CLASS \
	",\"confidence\":{\"type\":\"number\",\"description\":\"calibrated\"},\"score\":{\"type\":\"number\",\"description\":\"the " \
	"detector's\"},\"candidates\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"class\":" CLASS \
	",\"confidence\":{\"type\":\"number\"}}}},\"status\":{\"enum\":[\"accepted\",\"review\"]}}}"
#define IMAGE_JSON \
	"{\"type\":\"object\",\"required\":[\"image\"],\"properties\":{\"image\":{\"type\":\"string\",\"description\":\"JPEG or PNG " \
	"as base64\"},\"device\":{\"type\":\"string\"},\"frame\":{\"type\":\"string\"},\"sequence\":{\"type\":\"string\"},\"time\":" \
	"{\"type\":[\"integer\",\"string\"]},\"lat\":{\"type\":\"number\"},\"lon\":{\"type\":\"number\"},\"heading\":{\"type\":" \
	"\"number\"}}}"

static const struct sl_route routes[] = {
	{.method = "POST",
		.path = "/v1/frames",
		.run = SL_RUN_LATER,
		.body_max = "http.frame_bytes",
		.fn = post_frame,
		.tag = "frames",
		.summary =
			"A road frame in, its signs out; what was answered is stored. The same frame again makes no second crop. What is "
			"said of it stands in the query, in fields of the form (the picture is the file), or in members of the JSON",
		.params =
			"device:string:who sent it, 1 to 63 letters, digits and . _ - @\nframe:string:the sender's name of the frame; absent: a hash of its bytes\ntime:string:when it was taken: ms "
			"since 1970, or 2026-01-31T12:00:00Z\nlat:number:degrees north\nlon:number:degrees east\nheading:number:degrees "
			"from north\nsequence:string:the drive it belongs to; its crops are never torn between training and test",
		.request = "image/jpeg, image/png, multipart/form-data, application/json " IMAGE_JSON,
		.errors = "415 422",
		.accepted =
			"{\"type\":\"object\",\"required\":[\"frame\",\"status\"],\"description\":\"A store is away and frames.when_away is "
			"keep: the frame is kept, and its signs are found and stored when the store is back\",\"properties\":{\"frame\":{"
			"\"type\":\"string\"},\"hash\":{\"type\":\"string\"},\"status\":{\"const\":\"stored\"}}}",
		.response =
			"{\"type\":\"object\",\"properties\":{\"frame\":{\"type\":\"string\"},\"hash\":{\"type\":\"string\"},"
			"\"bundle\":{\"type\":\"string\"},\"width\":{\"type\":\"integer\"},\"height\":{\"type\":\"integer\"},\"signs\":{\"type\":\"array\",\"items\":" SIGN
			"},\"timing_ms\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"number\"}}}}"},
	{0}};

static struct sl_metric *labelled(struct sl_metric *(*make)(const char *, const char *, const char *), const char *name,
	const char *label, const char *value, const char *help)
{
	SL_AUTOFREE char *labels = sl_asprintf("%s=\"%s\"", label, value);

	return make(name, labels, help);
}

static void make_metrics(struct sl_frames *f, unsigned store_threads, size_t store_queue)
{
	static const char length[] = "Things waiting in a queue", capacity[] = "Most things that may wait in a queue";
	static const char ended[] = "Frames by how they ended", signs[] = "Signs found, by what became of them";

	for (int i = 0; i < SL_FRAME_STAGES; i++)
		f->stage[i] = labelled(sl_histogram, "signloop_stage_seconds", "stage", sl_frame_stage_name[i],
			"Time of one stage of one frame");
	f->whole = sl_histogram("signloop_frame_seconds", NULL, "From a frame's arrival to its answer");
	f->queued = labelled(sl_gauge, "signloop_queue_length", "queue", "frames", length);
	f->store_queued = labelled(sl_gauge, "signloop_queue_length", "queue", "store", length);
	sl_metric_set(
		labelled(sl_gauge, "signloop_queue_capacity", "queue", "frames", capacity), sl_queue_cap(f->queue));
	sl_metric_set(labelled(sl_gauge, "signloop_queue_capacity", "queue", "store", capacity), store_queue);
	sl_metric_set(labelled(sl_gauge, "signloop_threads", "pool", "infer", "Threads of a pool"), f->threads);
	sl_metric_set(labelled(sl_gauge, "signloop_threads", "pool", "store", "Threads of a pool"), store_threads);
	f->answered = labelled(sl_counter, "signloop_frames_total", "result", "answered", ended);
	f->busy = labelled(sl_counter, "signloop_frames_total", "result", "busy", ended);
	f->away = labelled(sl_counter, "signloop_frames_total", "result", "away", ended);
	f->late = labelled(sl_counter, "signloop_frames_total", "result", "late", ended);
	f->bad = labelled(sl_counter, "signloop_frames_total", "result", "bad", ended);
	f->failed = labelled(sl_counter, "signloop_frames_total", "result", "failed", ended);
	f->kept = labelled(sl_counter, "signloop_frames_total", "result", "kept", ended);
	f->caught_up = sl_counter("signloop_spool_stored_total", NULL, "Kept frames that were inferred and stored");
	f->accepted = labelled(sl_counter, "signloop_signs_total", "status", "accepted", signs);
	f->review = labelled(sl_counter, "signloop_signs_total", "status", "review", signs);
}

static enum sl_status frames_start(struct sl_context *ctx, void **ret_state, struct sl_err *err)
{
	const struct sl_config *cfg = ctx->cfg;
	struct sl_frames *f = SL_NEW(struct sl_frames);
	int64_t threads = sl_config_int(cfg, "frames.threads");
	unsigned store_threads = (unsigned)sl_config_int(cfg, "frames.store_threads");
	size_t store_queue = (size_t)sl_config_int(cfg, "frames.store_queue");

	f->ctx = ctx;
	enum sl_status s = sl_frames_spool_start(f, err);
	if (s != SL_OK) {
		free(f);
		return s;
	}
	f->deadline_ms = sl_config_int(cfg, "frames.deadline_ms");
	f->max_pixels = sl_config_int(cfg, "frames.pixels");
	f->audit = sl_config_num(cfg, "frames.audit");
	f->max_bytes = (size_t)sl_config_int(cfg, "http.frame_bytes");
	f->names = sl_config_bool(cfg, "log.compat_topics");
	f->nrecent = (size_t)sl_config_int(cfg, "frames.recent");
	f->recent = sl_calloc(SL_MAX(f->nrecent, 1), sizeof *f->recent);
	f->threads = f->running = (unsigned)(threads ? threads : SL_MAX(1, sysconf(_SC_NPROCESSORS_ONLN)));
	f->queue = sl_queue_new((size_t)sl_config_int(cfg, "frames.queue"));
	pthread_mutex_init(&f->lock, NULL);
	sl_cond_init(&f->ended);
	make_metrics(f, store_threads, store_queue);
	f->store = sl_pool_start("store", store_threads, store_queue);
	f->thread = sl_calloc(f->threads, sizeof *f->thread);
	sl_loop_start(&f->spool_loop, "spool", sl_frames_spool_work, f);
	for (unsigned i = 0; i < f->threads; i++)
		f->thread[i] = sl_thread_start("infer", infer_main, f);
	sl_server_add(ctx->server, routes, f);
	sl_server_add(ctx->server, sl_frames_crop_routes, f);
	sl_server_add(ctx->server, sl_frames_v2_routes, f);
	sl_server_add(ctx->server, sl_frames_legacy_routes, f);
	*ret_state = f;
	return SL_OK;
}

static bool frames_is_ready(void *state, char why[128])
{
	struct sl_frames *f = state;
	struct sl_bundle *b = sl_hub_bundle(f->ctx->hub);
	bool has_bundle = b != NULL;

	sl_bundle_unref(b);
	if (!has_bundle)
		snprintf(why, 128, "no bundle is loaded yet; 'signloop model publish' brings one");
	if (sl_frames_keep_now(f, has_bundle, why))
		return !sl_spool_is_full(f->spool);
	if (!has_bundle || !sl_health_is_well(SL_NEEDS_LOG | SL_NEEDS_CROPS, why))
		return false;
	sl_loop_is_fine(&f->spool_loop, why);
	return true;
}

static enum sl_status join_inference(struct sl_frames *f, int64_t deadline_us)
{
	bool in_time = true;

	sl_queue_close(f->queue);
	pthread_mutex_lock(&f->lock);
	while (f->running && in_time)
		in_time = sl_cond_wait_until(&f->ended, &f->lock, deadline_us) || !f->running;
	bool join = !f->running && !f->joined;
	f->joined |= join;
	pthread_mutex_unlock(&f->lock);
	for (unsigned i = 0; join && i < f->threads; i++)
		pthread_join(f->thread[i], NULL);
	return in_time ? SL_OK : SL_TIMEOUT;
}

static enum sl_status frames_drain(void *state, int64_t deadline_us)
{
	struct sl_frames *f = state;

	sl_loop_drain(&f->spool_loop, 0); /* ends its frame meanwhile, and begins no other */
	enum sl_status s = join_inference(f, deadline_us);

	if (s == SL_OK)
		s = sl_pool_drain(f->store, deadline_us);
	return s == SL_OK ? sl_loop_drain(&f->spool_loop, deadline_us) : s;
}

static void frames_stop(void *state)
{
	struct sl_frames *f = state;

	join_inference(f, SL_FOREVER);
	sl_pool_free(f->store);
	sl_frames_spool_stop(f);
	sl_queue_free(f->queue);
	pthread_cond_destroy(&f->ended);
	pthread_mutex_destroy(&f->lock);
	free(f->thread);
	free(f->recent);
	free(f);
}

const struct sl_role sl_role_frames = {
	.name = "frames",
	.text = "answers road frames with their signs; stores crops and sends each to labels or reviews",
	.start = frames_start,
	.is_ready = frames_is_ready,
	.drain = frames_drain,
	.stop = frames_stop,
};
