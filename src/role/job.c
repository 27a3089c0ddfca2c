/* SPDX-License-Identifier: Apache-2.0 */
#include "role/job.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "core/manifest.h"
#include <stdio.h>

enum { FORMAT = 1, NAME = 64, NOTE = 500, WHO = 63 }; /* bytes; WHO as in the alias log */

struct job {
	int number;
	json_t *v;
	bool cancelled; /* asked to stop */
};

struct sl_jobs {
	char *dir;
	int queue;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct job *job; /* by number */
	int n, last; /* last: highest number that any folder has, also one that cannot be read */
	bool closing;
};

/* ---- records ---- */

static const char *text_of(json_t *v, const char *name)
{
	json_t *t = json_object_get(v, name);
	return json_is_string(t) ? json_string_value(t) : "";
}

static bool is_in(json_t *v, const char *state)
{
	return !strcmp(text_of(v, "state"), state);
}

char *sl_jobs_path(struct sl_jobs *j, const char *id, const char *name)
{
	return sl_asprintf("%s/%s%s%s", j->dir, id, *name ? "/" : "", name);
}

static enum sl_status store(struct sl_jobs *j, const struct job *job, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTOFREE char *dir = sl_jobs_path(j, text_of(job->v, "id"), "");
	SL_AUTOFREE char *path = sl_jobs_path(j, text_of(job->v, "id"), "job.json");
	sl_json_print(job->v, &text);
	enum sl_status s = sl_fs_mkdirs(dir, err);
	return s == SL_OK ? sl_fs_write(path, sl_buf_slice(&text), true, err) : s;
}

static int number_of(const char *id)
{
	int n = 0, end = 0;
	return sscanf(id, "j%8d%n", &n, &end) == 1 && !id[end] ? n : 0;
}

static struct job *find(struct sl_jobs *j, const char *id)
{
	for (int i = 0; i < j->n; i++)
		if (!strcmp(text_of(j->job[i].v, "id"), id))
			return &j->job[i];
	return NULL;
}

static struct job *append(struct sl_jobs *j, int number, json_t *v)
{
	j->job = sl_realloc(j->job, (size_t)j->n + 1, sizeof(*j->job));
	j->job[j->n] = (struct job){number, v, false};
	return &j->job[j->n++];
}

/* A job that cannot be read is no reason not to start: it is left where it is. */
static enum sl_status load_one(const char *name, void *arg, struct sl_err *err)
{
	struct sl_jobs *j = arg;
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTOFREE char *path = sl_jobs_path(j, name, "job.json");
	json_t *v = NULL;
	j->last = SL_MAX(j->last, number_of(name));
	if (!number_of(name) || sl_fs_read(path, &text, NULL) != SL_OK ||
		sl_json_parse(sl_buf_slice(&text), path, &v, NULL) != SL_OK)
		return SL_OK;
	if (strcmp(text_of(v, "id"), name) != 0 || json_integer_value(json_object_get(v, "v")) != FORMAT) {
		json_decref(v);
		return SL_OK;
	}
	struct job *job = append(j, number_of(name), v);
	if (is_in(v, "running")) { /* one that waits goes on waiting */
		json_object_set_new(v, "state", json_string("interrupted"));
		json_object_set_new(
			v, "error", json_string("the process ended before the job; resume it, or start another"));
		return store(j, job, err);
	}
	return SL_OK;
}

static int by_number(const void *a, const void *b)
{
	return ((const struct job *)a)->number - ((const struct job *)b)->number;
}

enum sl_status sl_jobs_open(const char *dir, int queue, struct sl_jobs **ret, struct sl_err *err)
{
	struct sl_jobs *j = SL_NEW(struct sl_jobs);
	j->dir = sl_strdup(dir);
	j->queue = queue;
	pthread_mutex_init(&j->lock, NULL);
	sl_cond_init(&j->cond);
	enum sl_status s = sl_fs_mkdirs(dir, err);
	if (s == SL_OK)
		s = sl_fs_each(dir, load_one, j, err);
	if (s != SL_OK) {
		sl_jobs_free(j);
		return s;
	}
	if (j->n)
		qsort(j->job, (size_t)j->n, sizeof(*j->job), by_number);
	*ret = j;
	return SL_OK;
}

void sl_jobs_free(struct sl_jobs *j)
{
	if (!j)
		return;
	for (int i = 0; i < j->n; i++)
		json_decref(j->job[i].v);
	free(j->job);
	free(j->dir);
	pthread_cond_destroy(&j->cond);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

void sl_jobs_close(struct sl_jobs *j)
{
	pthread_mutex_lock(&j->lock);
	j->closing = true;
	pthread_cond_broadcast(&j->cond);
	pthread_mutex_unlock(&j->lock);
}

/* ---- requests ---- */

static enum sl_status take_text(json_t *request, const char *name, size_t most, json_t *job, struct sl_err *err)
{
	const char *text = NULL;
	enum sl_status s = sl_json_opt_str(request, "body", name, &text, err);
	if (s == SL_OK && text && strlen(text) > most)
		return sl_fail(err, SL_INVALID, "body: \"%s\" is longer than %zu bytes", name, most);
	if (s == SL_OK && text)
		json_object_set_new(job, name, json_string(text));
	return s;
}

static enum sl_status check_kind(json_t *job, struct sl_err *err)
{
	const char *kind = text_of(job, "kind"), *version = text_of(job, "dataset");
	if (strcmp(kind, "train") && strcmp(kind, "evaluate") && strcmp(kind, "publish"))
		return sl_fail(err, SL_INVALID, "body: \"kind\" must be train, evaluate or publish");
	if (*version && strcmp(version, "latest") && strcmp(version, "new") && !sl_version_number(version))
		return sl_fail(err, SL_INVALID, "body: \"dataset\" must be a version such as v0001, or latest, or new");
	if (!*version)
		json_object_set_new(job, "dataset", json_string("latest"));
	return SL_OK;
}

static enum sl_status check_options(json_t *options, struct sl_err *err)
{
	static const struct {
		const char *name;
		double min, max;
	} known[] = {{"epochs", 0.001, 10000}, {"minutes", 0.01, 100000}, {"steps", 1, 1e9}, {"seed", 0, 1e15},
		{"batch", 1, 4096}, {"workers", 1, 64}, {"limit", 1, 1e9}};
	const char *name;
	json_t *v;
	if (options && !json_is_object(options))
		return sl_fail(err, SL_INVALID, "body: \"options\" must be an object");
	json_object_foreach(options, name, v)
	{
		size_t i = 0;
		while (i < SL_COUNT(known) && strcmp(known[i].name, name) != 0)
			i++;
		if (i == SL_COUNT(known) && !strcmp(name, "scratch") && json_is_boolean(v))
			continue;
		if (i == SL_COUNT(known))
			return sl_fail(err, SL_INVALID,
				"body: no option is called \"%.30s\"; known: epochs, minutes, steps, seed, batch, "
				"workers, limit, scratch",
				name);
		double x = json_number_value(v);
		if (!json_is_number(v) || x < known[i].min || x > known[i].max)
			return sl_fail(err, SL_INVALID, "body: option \"%s\" must be a number from %g to %g", name,
				known[i].min, known[i].max);
	}
	return SL_OK;
}

static enum sl_status make_job(json_t *request, json_t **ret, struct sl_err *err)
{
	SL_AUTOJSON json_t *job = json_pack("{s:i,s:s}", "v", FORMAT, "id", "");
	json_t *publish = json_object_get(request, "publish"), *force = json_object_get(request, "force");
	json_t *options = json_object_get(request, "options");
	static const char *const names[] = {"kind", "dataset", "bundle"};
	enum sl_status s = json_is_object(request) ? SL_OK : sl_fail(err, SL_INVALID, "body: a JSON object is wanted");
	for (size_t i = 0; i < SL_COUNT(names) && s == SL_OK; i++)
		s = take_text(request, names[i], NAME, job, err);
	if (s == SL_OK)
		s = take_text(request, "by", WHO, job, err);
	if (s == SL_OK)
		s = take_text(request, "note", NOTE, job, err);
	if (s == SL_OK)
		s = check_kind(job, err);
	if (s == SL_OK && ((publish && !json_is_boolean(publish)) || (force && !json_is_boolean(force))))
		s = sl_fail(err, SL_INVALID, "body: \"publish\" and \"force\" must be true or false");
	if (s == SL_OK)
		s = check_options(options, err);
	if (s != SL_OK)
		return s;
	json_object_set_new(
		job, "publish", json_boolean(json_is_true(publish) || !strcmp(text_of(job, "kind"), "publish")));
	json_object_set_new(job, "force", json_boolean(json_is_true(force)));
	json_object_set_new(job, "options", options ? json_deep_copy(options) : json_object());
	*ret = SL_TAKE(job);
	return SL_OK;
}

static int waiting(const struct sl_jobs *j)
{
	int n = 0;
	for (int i = 0; i < j->n; i++)
		n += is_in(j->job[i].v, "waiting");
	return n;
}

/* Under lock. The oldest that has ended makes room. */
static void forget_old(struct sl_jobs *j)
{
	for (int i = 0; i < j->n && j->n > SL_JOBS_KEPT; i++)
		if (!is_in(j->job[i].v, "waiting") && !is_in(j->job[i].v, "running")) {
			SL_AUTOFREE char *dir = sl_jobs_path(j, text_of(j->job[i].v, "id"), "");
			sl_fs_remove_tree(dir, NULL);
			json_decref(j->job[i].v);
			memmove(&j->job[i], &j->job[i + 1], (size_t)(j->n - i - 1) * sizeof(*j->job));
			j->n--;
			return;
		}
}

/* Under lock. What could not be stored stays as it was. */
static enum sl_status queue_up(struct sl_jobs *j, struct job *job, struct sl_err *err)
{
	SL_AUTOJSON json_t *was = json_copy(job->v);
	json_object_set_new(job->v, "state", json_string("waiting"));
	json_object_del(job->v, "error");
	json_object_del(job->v, "ended");
	job->cancelled = false;
	enum sl_status s = store(j, job, err);
	if (s != SL_OK) {
		json_object_clear(job->v);
		json_object_update(job->v, was);
	}
	pthread_cond_broadcast(&j->cond);
	return s;
}

/* Under lock. */
static enum sl_status has_room(struct sl_jobs *j, struct sl_err *err)
{
	if (j->closing)
		return sl_fail(err, SL_CLOSED, "this process is ending: send the job again later");
	if (waiting(j) >= j->queue)
		return sl_fail(err, SL_BUSY, "%d jobs wait already (learning.queue): try again later", j->queue);
	return SL_OK;
}

enum sl_status sl_jobs_add(struct sl_jobs *j, json_t *request, json_t **ret, struct sl_err *err)
{
	json_t *v = NULL;
	enum sl_status s = make_job(request, &v, err);
	if (s != SL_OK)
		return s;
	pthread_mutex_lock(&j->lock);
	s = has_room(j, err);
	if (s == SL_OK) {
		char id[SL_JOB_ID];
		int number = ++j->last;
		snprintf(id, sizeof(id), "j%05d", number);
		json_object_set_new(v, "id", json_string(id));
		json_object_set_new(v, "created", json_integer(sl_now_ms()));
		s = queue_up(j, append(j, number, json_incref(v)), err);
		if (s == SL_OK)
			*ret = json_deep_copy(v);
		else
			json_decref(j->job[--j->n].v);
		forget_old(j);
	}
	pthread_mutex_unlock(&j->lock);
	json_decref(v);
	return s;
}

enum sl_status sl_jobs_get(struct sl_jobs *j, const char *id, json_t **ret, struct sl_err *err)
{
	pthread_mutex_lock(&j->lock);
	struct job *job = find(j, id);
	if (job)
		*ret = json_deep_copy(job->v);
	pthread_mutex_unlock(&j->lock);
	return job ? SL_OK : sl_fail(err, SL_NOT_FOUND, "there is no job %.20s", id);
}

json_t *sl_jobs_list(struct sl_jobs *j)
{
	json_t *all = json_array();
	pthread_mutex_lock(&j->lock);
	for (int i = j->n; i-- > 0;) {
		json_t *v = json_copy(j->job[i].v);
		json_object_del(v, "evaluation"); /* long; GET of one job has it */
		json_array_append_new(all, json_deep_copy(v));
		json_decref(v);
	}
	pthread_mutex_unlock(&j->lock);
	return all;
}

/* Under lock: ends the job; a record that cannot be stored is only old after a restart. */
static void set_ended(struct sl_jobs *j, struct job *job, const char *state, const char *why)
{
	json_object_set_new(job->v, "state", json_string(state));
	json_object_set_new(job->v, "ended", json_integer(sl_now_ms()));
	json_object_del(job->v, "stage");
	if (why)
		json_object_set_new(job->v, "error", json_string(why));
	store(j, job, NULL);
}

enum sl_status sl_jobs_cancel(struct sl_jobs *j, const char *id, json_t **ret, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	pthread_mutex_lock(&j->lock);
	struct job *job = find(j, id);
	if (!job)
		s = sl_fail(err, SL_NOT_FOUND, "there is no job %.20s", id);
	else if (is_in(job->v, "waiting"))
		set_ended(j, job, "cancelled", NULL);
	else if (is_in(job->v, "running"))
		job->cancelled = true;
	else
		s = sl_fail(err, SL_CONFLICT, "job %s has ended already: %s", id, text_of(job->v, "state"));
	if (s == SL_OK)
		*ret = json_deep_copy(job->v);
	pthread_cond_broadcast(&j->cond);
	pthread_mutex_unlock(&j->lock);
	return s;
}

enum sl_status sl_jobs_resume(struct sl_jobs *j, const char *id, json_t **ret, struct sl_err *err)
{
	pthread_mutex_lock(&j->lock);
	enum sl_status s = has_room(j, err);
	struct job *job = find(j, id);
	if (!job)
		s = sl_fail(err, SL_NOT_FOUND, "there is no job %.20s", id);
	else if (s == SL_OK && !is_in(job->v, "interrupted") && !is_in(job->v, "failed") && !is_in(job->v, "cancelled"))
		s = sl_fail(err, SL_CONFLICT, "job %s is %s: nothing to resume", id, text_of(job->v, "state"));
	if (s == SL_OK)
		s = queue_up(j, job, err);
	if (s == SL_OK)
		*ret = json_deep_copy(job->v);
	pthread_mutex_unlock(&j->lock);
	return s;
}

/* ---- the runner ---- */

enum sl_status sl_jobs_next(struct sl_jobs *j, char ret_id[SL_JOB_ID], json_t **ret)
{
	struct job *job = NULL;
	pthread_mutex_lock(&j->lock);
	while (!j->closing) {
		for (int i = 0; i < j->n && !job; i++)
			if (is_in(j->job[i].v, "waiting"))
				job = &j->job[i];
		if (job)
			break;
		pthread_cond_wait(&j->cond, &j->lock);
	}
	if (job) {
		json_object_set_new(job->v, "state", json_string("running"));
		json_object_set_new(job->v, "started", json_integer(sl_now_ms()));
		store(j, job, NULL);
		snprintf(ret_id, SL_JOB_ID, "%s", text_of(job->v, "id"));
		*ret = json_deep_copy(job->v);
	}
	pthread_mutex_unlock(&j->lock);
	return job ? SL_OK : SL_CLOSED;
}

void sl_jobs_update(struct sl_jobs *j, const char *id, json_t *members, bool durable)
{
	pthread_mutex_lock(&j->lock);
	struct job *job = find(j, id);
	SL_ASSERT(job);
	json_object_update(job->v, members);
	if (durable)
		store(j, job, NULL);
	pthread_mutex_unlock(&j->lock);
	json_decref(members);
}

/* Under lock. */
static bool must_stop(struct sl_jobs *j, const char *id)
{
	struct job *job = find(j, id);
	return j->closing || !job || job->cancelled;
}

bool sl_jobs_must_stop(struct sl_jobs *j, const char *id)
{
	pthread_mutex_lock(&j->lock);
	bool stop = must_stop(j, id);
	pthread_mutex_unlock(&j->lock);
	return stop;
}

bool sl_jobs_rest(struct sl_jobs *j, const char *id, int64_t deadline_us)
{
	pthread_mutex_lock(&j->lock);
	while (!must_stop(j, id) && sl_cond_wait_until(&j->cond, &j->lock, deadline_us))
		;
	bool stop = must_stop(j, id);
	pthread_mutex_unlock(&j->lock);
	return !stop;
}

void sl_jobs_end(struct sl_jobs *j, const char *id, enum sl_status s, const struct sl_err *err)
{
	pthread_mutex_lock(&j->lock);
	struct job *job = find(j, id);
	SL_ASSERT(job);
	if (s == SL_OK)
		set_ended(j, job, "done", NULL);
	else if (job->cancelled)
		set_ended(j, job, "cancelled", NULL);
	else if (j->closing)
		set_ended(j, job, "interrupted", "the process ended before the job; resume it, or start another");
	else
		set_ended(j, job, "failed", err->text);
	pthread_mutex_unlock(&j->lock);
}
