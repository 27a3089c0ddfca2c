/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs: long work that is answered at once and followed by its id. A job is a JSON object,
 * kept in data/jobs/<id>/job.json so that a restart knows of it: what was running then is
 * "interrupted", and may be resumed.
 *
 * {"v":1,"id","kind":"train"|"evaluate"|"publish","dataset","bundle","publish","by","note",
 *  "options":{...},"state":"waiting"|"running"|"done"|"failed"|"cancelled"|"interrupted",
 *  "stage","waits" (for a store that is away: why; null again after it),"created","started","ended","progress":{...},"evaluation":{...},"published","error"}
 *
 * Owner: role learning. Thread: any; values given out are copies.
 */
#pragma once
#include "base/json.h"

enum { SL_JOB_ID = 16, SL_JOBS_KEPT = 200 };

struct sl_jobs;

/* Opens (and makes) dir. queue: how many may wait. */
enum sl_status sl_jobs_open(const char *dir, int queue, struct sl_jobs **ret, struct sl_err *err);
void sl_jobs_free(struct sl_jobs *j); /* NULL is fine */
void sl_jobs_close(struct sl_jobs *j); /* refuses new ones, ends next() and cancels what runs */

/* Checks the request and queues it. BUSY when the queue is full, CLOSED when closing, INVALID
 * for a request that is none. request is borrowed. ret: the job. */
enum sl_status sl_jobs_add(struct sl_jobs *j, json_t *request, json_t **ret, struct sl_err *err);
enum sl_status sl_jobs_get(struct sl_jobs *j, const char *id, json_t **ret, struct sl_err *err);
json_t *sl_jobs_list(struct sl_jobs *j); /* newest first */
/* A waiting one never runs, a running one is asked to stop. CONFLICT when it has ended. */
enum sl_status sl_jobs_cancel(struct sl_jobs *j, const char *id, json_t **ret, struct sl_err *err);
/* Queues an interrupted, failed or cancelled one again; training goes on from its checkpoint. */
enum sl_status sl_jobs_resume(struct sl_jobs *j, const char *id, json_t **ret, struct sl_err *err);

/* For the one runner. CLOSED at the end. The job's state is "running" now. */
enum sl_status sl_jobs_next(struct sl_jobs *j, char ret_id[SL_JOB_ID], json_t **ret);
/* Sets members (taken) and stores the job if `durable`. */
void sl_jobs_update(struct sl_jobs *j, const char *id, json_t *members, bool durable);
/* True when it is to stop: cancelled, or closing. */
bool sl_jobs_must_stop(struct sl_jobs *j, const char *id);
/* Until the deadline, or until it must stop: then false. */
bool sl_jobs_rest(struct sl_jobs *j, const char *id, int64_t deadline_us);
/* state from s: OK done, CANCELLED cancelled or interrupted (closing), else failed with err. */
void sl_jobs_end(struct sl_jobs *j, const char *id, enum sl_status s, const struct sl_err *err);
char *sl_jobs_path(struct sl_jobs *j, const char *id, const char *name); /* data/jobs/<id>/<name>; free() */
