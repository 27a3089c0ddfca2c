/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to `signloop drive`: what its cars, voters and report share. One sl_drive a run;
 * cars and voters are threads, the main thread shows progress and waits for signals.
 * Times in us unless said otherwise.
 */
#pragma once
#include "base/opt.h"
#include "base/thread.h"
#include "net/client.h"
#include "vision/scene.h"

enum {
	DRIVE_POOL = 48, /* frames drawn ahead when drawing would limit the rate */
	DRIVE_FRESH_RATE = 4, /* frames a second up to which each frame is drawn anew */
	DRIVE_THREADS = 1024, /* most cars or voters */
	DRIVE_FILES = 100000, /* most pictures of --frames */
	DRIVE_FILE_BYTES = 64 << 20,
	DRIVE_ANSWER_BYTES = 4 << 20,
	DRIVE_WAIT_MOST_MS = 30000, /* longest Retry-After that is obeyed */
	DRIVE_IDLE_MS = 10000, /* voters end when no review came for so long */
	DRIVE_JPEG_QUALITY = 88,
};

/* Counting histogram: 64 steps each doubling, so within 1.6 % of the true time. */
enum { DRIVE_STEPS = 64, DRIVE_BUCKETS = DRIVE_STEPS * 30 };
struct drive_times {
	_Atomic uint32_t n[DRIVE_BUCKETS];
	_Atomic int64_t count, most;
};
void drive_times_add(struct drive_times *t, int64_t us);
double drive_times_ms(struct drive_times *t, double q); /* quantile in ms; 0 when empty */

struct drive_tally {
	_Atomic int64_t sent, answered, bytes_out, bytes_in;
	_Atomic int64_t http[600]; /* by status code, those that are no 2xx */
	_Atomic int64_t failed[32]; /* by enum sl_status */
	_Atomic int64_t signs, accepted, review;
	_Atomic int64_t truth, found, right, extra; /* against the drawn truth */
	_Atomic int64_t empty; /* asked for a review when there was none */
	_Atomic int64_t late; /* votes on reviews that others decided meanwhile */
	struct drive_times call, next; /* a frame or a vote; GET next */
};

struct drive_frame {
	struct sl_buf bytes;
	const char *type;
	struct sl_scene_truth truth;
	bool has_truth;
};

struct sl_drive {
	const char *to;
	bool demo, json, quiet, mark;
	const char *frames_dir, *save_dir;
	double rate, duration_s;
	int64_t cars, voters, votes, count, pool, seed, timeout_ms;
	char run_id[33];

	struct drive_frame *frame; /* the pool or the pictures */
	int frames;
	struct drive_tally tally;
	int64_t start_us, end_us; /* end: SL_FOREVER without a duration */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop; /* under lock: nobody starts anything new */
	int running; /* under lock: threads */
	atomic_bool cancel; /* running calls end */
	_Atomic int64_t slot; /* next piece of work */
	_Atomic int64_t last_review_us;
	char why[SL_ERR_TEXT]; /* under lock: the last failure */
	char bundle[65]; /* under lock: what answered last */
};

/* Takes the next slot, waits until it is due; its number, or -1 when the run ends. */
int64_t drive_next_slot(struct sl_drive *d, int64_t limit);
bool drive_wait(struct sl_drive *d, int64_t ms); /* false when the run ends meanwhile */
void drive_stop(struct sl_drive *d);
/* Counts a finished call; gives how long to hold back before the next, in ms. */
int64_t drive_count(
	struct sl_drive *d, enum sl_status s, const struct sl_reply *r, const struct sl_err *err, int *misses);

/* drive_frames.c */
enum sl_status drive_load(struct sl_drive *d, struct sl_err *err); /* the pool, or --frames */
enum sl_status drive_save(struct sl_drive *d, struct sl_err *err); /* --save */
/* The bytes to send for slot n; ret is the caller's, reused from call to call. */
enum sl_status drive_frame_of(struct sl_drive *d, int64_t n, struct drive_frame *ret, struct sl_err *err);
void drive_frames_done(struct sl_drive *d);

/* drive_cars.c, drive_votes.c: thread functions; arg is a struct drive_one. */
struct drive_one {
	struct sl_drive *d;
	int number;
};
void *drive_car(void *arg);
void *drive_voter(void *arg);

/* drive_report.c */
void drive_progress(struct sl_drive *d, bool last);
void drive_summary(struct sl_drive *d, double seconds);
enum sl_status drive_summary_json(struct sl_drive *d, double seconds, struct sl_err *err);
