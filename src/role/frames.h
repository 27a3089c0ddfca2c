/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to the role frames: what its files share.
 *
 *   frames.c        life, accepting, the inference threads
 *   frames_input.c  a request's body and metadata to image bytes
 *   frames_spool.c  while stores are away: frames kept in the data folder, stored later
 *   frames_store.c  crops and messages, durable before the answer
 *   frames_answer.c signs as JSON: answers, crop metadata, events
 *   frames_crop.c   GET /v1/crops/{key}
 *   frames_v2.c     Open Inference Protocol
 *   legacy_car.c    the original's routes
 *
 * A request becomes a job: accepted on an http thread (bundle pinned, deadline set) into
 * one bounded queue, run on an infer thread, its effects stored on a store thread, answered
 * once. Who answers frees the job with sl_job_end().
 */
#pragma once
#include "base/loop.h"
#include "base/metric.h"
#include "core/review.h"
#include "role/role.h"
#include "role/spool.h"
#include "vision/pipeline.h"

enum sl_frame_stage {
	SL_FRAME_ACCEPT,
	SL_FRAME_DECODE,
	SL_FRAME_DETECT,
	SL_FRAME_CROP,
	SL_FRAME_CLASSIFY,
	SL_FRAME_STORE,
	SL_FRAME_PUBLISH,
	SL_FRAME_STAGES
};
extern const char *const sl_frame_stage_name[SL_FRAME_STAGES];

struct sl_frames;
struct sl_job;
typedef void (*sl_job_fn)(
	struct sl_job *j, struct sl_pipeline *p); /* on an infer thread; must end the job or pass it on */

/* What the sender said about a frame; empty or absent where it did not. */
struct sl_frame_meta {
	char device[SL_VOTER], id[64], sequence[64];
	int64_t time_ms; /* when it was taken; arrival when not said */
	bool has_place, has_heading;
	double lat, lon, heading; /* degrees */
};

enum sl_reply { SL_REPLY_V1, SL_REPLY_LABELING, SL_REPLY_LABELING_TEST };

struct sl_job {
	struct sl_frames *f;
	struct sl_request *request;
	struct sl_bundle *bundle; /* pinned */
	sl_job_fn run;
	int64_t arrived_us, deadline_us;
	/* frames only */
	enum sl_reply reply;
	struct sl_frame_meta meta;
	struct sl_buf decoded; /* the image, when it came as base64 */
	struct sl_slice image; /* borrowed from the request or from decoded */
	struct sl_seen seen;
	int64_t wait_us, us[SL_FRAME_STAGES]; /* -1: that stage was not needed */
};

struct sl_frames {
	struct sl_context *ctx;
	int64_t deadline_ms, max_pixels;
	double audit; /* share of sure signs that people are asked about all the same */
	size_t max_bytes;
	bool keep; /* frames.when_away */
	struct sl_spool *spool;
	struct sl_loop spool_loop;
	bool names; /* log.compat_topics: messages name their classes */
	struct sl_queue *queue;
	struct sl_pool *store;
	unsigned threads, running;
	pthread_t *thread;
	pthread_mutex_t lock; /* running, joined, recent */
	pthread_cond_t ended;
	bool joined;
	/* Keys whose crop and message are known to be durable: direct-mapped, new over old. */
	char (*recent)[SL_KEY];
	size_t nrecent;
	struct sl_metric *stage[SL_FRAME_STAGES], *whole, *queued, *store_queued;
	struct sl_metric *answered, *busy, *away, *late, *bad, *failed, *accepted, *review, *kept, *caught_up;
};

/* http thread: takes the request into the queue, or answers 503. */
void sl_frames_accept(struct sl_frames *f, struct sl_request *r, sl_job_fn run, enum sl_reply reply);
void sl_frames_run(struct sl_job *j, struct sl_pipeline *p); /* job of a frame */
/* The picture of a job to its signs, and which of them people are asked about. */
enum sl_status sl_frame_infer(struct sl_job *j, struct sl_pipeline *p, struct sl_err *err);
void sl_frame_tell(struct sl_job *j); /* the frame is stored: metrics, hub */
void sl_job_end(struct sl_job *j); /* after its answer */
void sl_job_fail(struct sl_job *j, const struct sl_err *err); /* answers, counts, ends */

/* INVALID, UNSUPPORTED (type), UNREADABLE (no image), TOO_LARGE. */
enum sl_status sl_frame_read(struct sl_job *j, struct sl_err *err);

/* store thread. Crops, then messages, both durable on OK. What is stored decides: a crop
 * that was there keeps its metadata, and its message is made from that, so that every copy of
 * a message is the same whatever the live bundle was (at least once, never contradicting).
 * Keys that this process finished lately are skipped altogether. Errors: TOO_LARGE; all else of a
 * store is AWAY, TIMEOUT or BUSY, and the frame is as good as before. */
enum sl_status sl_frame_write(struct sl_job *j, struct sl_err *err);

json_t *sl_frame_answer_v1(const struct sl_job *j);
json_t *sl_frame_answer_labeling(const struct sl_job *j);
json_t *sl_frame_answer_labeling_test(const struct sl_job *j);
json_t *sl_frame_event(const struct sl_job *j);
json_t *sl_frame_crop_meta(const struct sl_job *j, const struct sl_sign *s);

/* frames_spool.c */
enum sl_status sl_frames_spool_start(struct sl_frames *f, struct sl_err *err);
void sl_frames_spool_work(void *frames); /* of spool_loop */
void sl_frames_spool_stop(struct sl_frames *f);
/* Any thread. True: this frame is not worth trying now; whoever finds that calls sl_frame_is_away(). */
bool sl_frame_must_wait(const struct sl_job *j);
/* Any thread. True: frames that may be kept are kept now, for a store is away (why), even without a bundle
 * where that cannot come or is of no use. */
bool sl_frames_keep_now(const struct sl_frames *f, bool has_bundle, char why[128]);
bool sl_frames_may_keep(const struct sl_frames *f, sl_job_fn run, enum sl_reply reply);
/* infer thread: answers 503, or has the frame kept on a store thread. */
void sl_frame_is_away(struct sl_job *j);
void sl_frame_keep(void *job); /* store thread: keeps the frame and answers 202, or 503 when it cannot */

extern const struct sl_route sl_frames_v2_routes[], sl_frames_crop_routes[], sl_frames_legacy_routes[];
