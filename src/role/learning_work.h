/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to role learning: what a job does, on the runner's thread.
 */
#pragma once
#include "role/job.h"
#include "role/role.h"

struct sl_learning {
	struct sl_context ctx;
	struct sl_jobs *jobs;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool ended; /* under lock */
	struct sl_metric *done, *failed;
};

/* Runs the job to its end; members of the job say how far it is. */
enum sl_status sl_learning_do(struct sl_learning *l, const char *id, json_t *job, struct sl_err *err);
/* The training itself: rows of the version to a file, a child process of this binary, its
 * progress. Leaves classifier.onnx and classifier.onnx.json in the job's folder. */
enum sl_status sl_learning_train(
	struct sl_learning *l, const char *id, json_t *job, json_t *manifest, struct sl_err *err);
void sl_learning_say(struct sl_learning *l, const char *id, json_t *members, bool durable); /* and tells the hub */

extern const struct sl_route sl_learning_routes[], sl_learning_upload_routes[];
