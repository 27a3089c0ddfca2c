/* SPDX-License-Identifier: Apache-2.0
 *
 * Role learning: jobs, one at a time on one thread, and the HTTP side of datasets and models.
 */
#include "base/fs.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/metric.h"
#include "role/learning_work.h"

enum { WAIT_MS = 200, WAIT_MAX_MS = 10000 }; /* between tries of a job whose store is away */

/* False: the job must stop. */
static bool wait_for_store(struct sl_learning *l, const char *id, int64_t *pause_ms, const struct sl_err *err)
{
	sl_log(SL_WARN, "learning", "job waits for a store", SL_S("job", id), SL_S("error", err->text));
	sl_learning_say(l, id, json_pack("{s:s}", "waits", err->text), false);
	return sl_jobs_rest(l->jobs, id, sl_back_off(pause_ms, WAIT_MS, WAIT_MAX_MS));
}

/* A store that is away is no reason to lose a job: it goes on from what it has done. */
static enum sl_status run_job(struct sl_learning *l, const char *id, struct sl_err *err)
{
	for (int64_t pause_ms = 0;;) {
		json_t *job = NULL;
		enum sl_status s = sl_jobs_get(l->jobs, id, &job, err);
		if (s == SL_OK)
			s = sl_learning_do(l, id, job, err);
		json_decref(job);
		if (!sl_status_is_retriable(s) || !wait_for_store(l, id, &pause_ms, err))
			return s;
		sl_learning_say(l, id, json_pack("{s:n}", "waits"), false);
	}
}

static void *work(void *arg)
{
	struct sl_learning *l = arg;
	char id[SL_JOB_ID];
	json_t *job = NULL;
	while (sl_jobs_next(l->jobs, id, &job) == SL_OK) {
		struct sl_err err = {0};
		const char *kind = json_string_value(json_object_get(job, "kind"));
		sl_log(SL_INFO, "learning", "job starts", SL_S("job", id), SL_S("kind", kind));
		sl_learning_say(l, id, json_object(), false);
		enum sl_status s = run_job(l, id, &err);
		sl_jobs_end(l->jobs, id, s, &err);
		sl_learning_say(l, id, json_object(), false);
		sl_metric_add(s == SL_OK ? l->done : l->failed, 1);
		sl_log(s == SL_OK ? SL_INFO : SL_WARN, "learning", "job ends", SL_S("job", id), SL_S("kind", kind),
			SL_S("status", sl_status_name(s)), SL_S("error", s == SL_OK ? "" : err.text));
		json_decref(job);
	}
	pthread_mutex_lock(&l->lock);
	l->ended = true;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

static enum sl_status start(struct sl_context *ctx, void **ret_state, struct sl_err *err)
{
	struct sl_learning *l = SL_NEW(struct sl_learning);
	SL_AUTOFREE char *dir = sl_fs_join(ctx->data_dir, "jobs");
	l->ctx = *ctx;
	enum sl_status s = sl_jobs_open(dir, (int)sl_config_int(ctx->cfg, "learning.queue"), &l->jobs, err);
	if (s != SL_OK) {
		free(l);
		return s;
	}
	pthread_mutex_init(&l->lock, NULL);
	sl_cond_init(&l->cond);
	l->done = sl_counter("signloop_jobs_total", "end=\"done\"", "Jobs that ended.");
	l->failed = sl_counter("signloop_jobs_total", "end=\"not done\"", "Jobs that ended.");
	sl_server_add(ctx->server, sl_learning_routes, l);
	sl_server_add(ctx->server, sl_learning_upload_routes, l);
	l->thread = sl_thread_start("learning", work, l);
	*ret_state = l;
	return SL_OK;
}

/* Without the log a model is published all the same: replicas look at the alias by themselves. */
static bool is_ready(void *state, char why[128])
{
	if (!sl_health_is_well(SL_NEEDS_ARTIFACTS, why))
		return false;
	sl_health_is_well(SL_NEEDS_LOG, why);
	return true;
}

static enum sl_status drain(void *state, int64_t deadline_us)
{
	struct sl_learning *l = state;
	sl_jobs_close(l->jobs);
	pthread_mutex_lock(&l->lock);
	while (!l->ended && sl_cond_wait_until(&l->cond, &l->lock, deadline_us))
		;
	bool ended = l->ended;
	pthread_mutex_unlock(&l->lock);
	return ended ? SL_OK : SL_TIMEOUT;
}

static void stop(void *state)
{
	struct sl_learning *l = state;
	drain(l, 0);
	pthread_join(l->thread, NULL);
	sl_jobs_free(l->jobs);
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

const struct sl_role sl_role_learning = {
	.name = "learning",
	.text = "makes versions, trains and compares candidates, publishes and rolls back",
	.start = start,
	.is_ready = is_ready,
	.drain = drain,
	.stop = stop,
};
