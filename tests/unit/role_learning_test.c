/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "dataset/registry.h"
#include "harness.h"
#include "role/job.h"
#include "role_rig.h"
#include "tiny_bundle.h"

/* ---- jobs without a runner ---- */

static json_t *request(const char *text)
{
	json_t *v;
	struct sl_err err;
	CHECK_OK(sl_json_parse(sl_slice_str(text), "test", &v, &err));
	return v;
}

static enum sl_status add(struct sl_jobs *j, const char *text, char id[SL_JOB_ID], struct sl_err *err)
{
	SL_AUTOJSON json_t *r = request(text), *job = NULL;
	enum sl_status s = sl_jobs_add(j, r, &job, err);
	if (s == SL_OK)
		strcpy(id, json_string_value(json_object_get(job, "id")));
	return s;
}

static const char *state(struct sl_jobs *j, const char *id)
{
	static char text[20];
	struct sl_err err;
	json_t *job = NULL;
	CHECK_OK(sl_jobs_get(j, id, &job, &err));
	strcpy(text, json_string_value(json_object_get(job, "state")));
	json_decref(job);
	return text;
}

static struct sl_jobs *open_jobs(void)
{
	struct sl_jobs *j;
	struct sl_err err;
	SL_AUTOFREE char *dir = sl_fs_join(sl_test_dir(), "jobs");
	CHECK_OK(sl_jobs_open(dir, 3, &j, &err));
	return j;
}

TEST(jobs, a_full_queue_is_busy_and_one_that_waits_can_be_cancelled)
{
	struct sl_jobs *j = open_jobs();
	struct sl_err err;
	char id[4][SL_JOB_ID];
	json_t *job = NULL;
	for (int i = 0; i < 3; i++)
		CHECK_OK(add(j, "{\"kind\":\"train\"}", id[i], &err));
	CHECK_STATUS(add(j, "{\"kind\":\"train\"}", id[3], &err), SL_BUSY);
	CHECK_OK(sl_jobs_cancel(j, id[1], &job, &err));
	json_decref(job);
	CHECK_STR(state(j, id[1]), "cancelled");
	CHECK_STATUS(sl_jobs_cancel(j, id[1], &job, &err), SL_CONFLICT);
	CHECK_OK(add(j, "{\"kind\":\"evaluate\"}", id[3], &err));
	CHECK_STATUS(sl_jobs_cancel(j, "j99", &job, &err), SL_NOT_FOUND);
	sl_jobs_free(j);
}

/* What a job left behind must not be taken for another's. */
TEST(jobs, the_number_of_a_job_that_cannot_be_read_is_not_given_again)
{
	struct sl_err err;
	char id[SL_JOB_ID];
	SL_AUTOFREE char *dir = sl_fs_join(sl_test_dir(), "jobs/j00007");
	SL_AUTOFREE char *path = sl_fs_join(dir, "job.json");
	CHECK_OK(sl_fs_mkdirs(dir, &err));
	CHECK_OK(sl_fs_write(path, sl_slice_str("{"), true, &err));
	struct sl_jobs *j = open_jobs();
	CHECK_OK(add(j, "{\"kind\":\"train\"}", id, &err));
	CHECK_STR(id, "j00008");
	sl_jobs_free(j);
}

TEST(jobs, one_that_cannot_be_stored_is_not_resumed)
{
	struct sl_jobs *j = open_jobs();
	struct sl_err err;
	json_t *v = NULL;
	char id[SL_JOB_ID];
	CHECK_OK(add(j, "{\"kind\":\"train\"}", id, &err));
	CHECK_OK(sl_jobs_cancel(j, id, &v, &err));
	json_decref(v);
	SL_AUTOFREE char *path = sl_jobs_path(j, id, "job.json");
	CHECK_OK(sl_fs_remove_tree(path, &err));
	CHECK_OK(sl_fs_mkdirs(path, &err)); /* a folder in the file's place */
	CHECK_STATUS(sl_jobs_resume(j, id, &v, &err), SL_IO);
	CHECK_STR(state(j, id), "cancelled");
	sl_jobs_free(j);
}

TEST(jobs, a_request_that_is_none_is_named)
{
	static const char *const bad[][2] = {{"{}", "kind"}, {"[]", "object"}, {"{\"kind\":\"dance\"}", "kind"},
		{"{\"kind\":\"train\",\"dataset\":\"7\"}", "dataset"},
		{"{\"kind\":\"train\",\"publish\":1}", "publish"},
		{"{\"kind\":\"train\",\"options\":{\"epoch\":1}}", "epoch"},
		{"{\"kind\":\"train\",\"options\":{\"epochs\":-1}}", "epochs"},
		{"{\"kind\":\"train\",\"options\":{\"epochs\":\"1\"}}", "epochs"},
		{"{\"kind\":\"train\",\"by\":7}", "by"}};
	struct sl_jobs *j = open_jobs();
	struct sl_err err;
	char id[SL_JOB_ID];
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		CHECK_STATUS(add(j, bad[i][0], id, &err), SL_INVALID);
		CHECK(strstr(err.text, bad[i][1]));
	}
	sl_jobs_free(j);
}

TEST(jobs, after_a_restart_one_that_ran_is_interrupted_and_can_be_resumed)
{
	struct sl_jobs *j = open_jobs();
	struct sl_err err;
	char ran[SL_JOB_ID], waits[SL_JOB_ID], next[SL_JOB_ID];
	json_t *job = NULL;
	CHECK_OK(add(j, "{\"kind\":\"train\",\"options\":{\"epochs\":2}}", ran, &err));
	CHECK_OK(add(j, "{\"kind\":\"evaluate\"}", waits, &err));
	CHECK_STATUS(sl_jobs_next(j, next, &job), SL_OK);
	CHECK_STR(next, ran);
	json_decref(job);
	sl_jobs_update(j, ran, json_pack("{s:s}", "stage", "train"), true);
	sl_jobs_free(j); /* as if killed */
	j = open_jobs();
	CHECK_STR(state(j, ran), "interrupted");
	CHECK_STR(state(j, waits), "waiting");
	CHECK_OK(sl_jobs_resume(j, ran, &job, &err));
	CHECK_EQ(json_integer_value(json_object_get(json_object_get(job, "options"), "epochs")), 2);
	json_decref(job);
	CHECK_STATUS(sl_jobs_next(j, next, &job), SL_OK);
	CHECK_STR(next, ran);
	json_decref(job);
	sl_jobs_end(j, ran, SL_OK, &err);
	CHECK_STR(state(j, ran), "done");
	CHECK_STATUS(sl_jobs_resume(j, ran, &job, &err), SL_CONFLICT);
	sl_jobs_free(j);
}

TEST(jobs, closing_interrupts_what_runs_and_refuses_what_comes)
{
	struct sl_jobs *j = open_jobs();
	struct sl_err err;
	char id[SL_JOB_ID], next[SL_JOB_ID];
	json_t *job = NULL;
	CHECK_OK(add(j, "{\"kind\":\"train\"}", id, &err));
	CHECK_STATUS(sl_jobs_next(j, next, &job), SL_OK);
	json_decref(job);
	CHECK(!sl_jobs_must_stop(j, id));
	sl_jobs_close(j);
	CHECK(sl_jobs_must_stop(j, id));
	sl_fail(&err, SL_CANCELLED, "stopped");
	sl_jobs_end(j, id, SL_CANCELLED, &err);
	CHECK_STR(state(j, id), "interrupted");
	CHECK_STATUS(add(j, "{\"kind\":\"train\"}", id, &err), SL_CLOSED);
	CHECK_STATUS(sl_jobs_next(j, next, &job), SL_CLOSED);
	sl_jobs_free(j);
}

/* ---- the role ---- */

static const struct sl_role *const roles[] = {&sl_role_learning, NULL};

static void put_live(struct role_rig *g, const char *name, char digest[SL_DIGEST])
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_alias_entry e;
	struct sl_err err;
	tiny_bundle_file(name, &file);
	CHECK_OK(sl_model_put(g->ctx.stores.artifacts, sl_buf_slice(&file), digest, &err));
	struct sl_publish p = {.digest = digest, .force = true};
	CHECK_OK(sl_model_publish(&g->ctx.stores, g->cfg, &p, &e, NULL, &err));
}

/* Follows a job to its end. */
static json_t *wait_job(struct role_rig *g, const char *id)
{
	SL_AUTOFREE char *what = sl_asprintf("GET /v1/jobs/%s", id);
	for (;;) {
		json_t *job = ask_json(g->port, what, NULL, 200);
		const char *s = json_string_value(json_object_get(job, "state"));
		if (strcmp(s, "waiting") && strcmp(s, "running"))
			return job;
		json_decref(job);
	}
}

static const char *text_of(json_t *v, const char *name)
{
	const char *t = json_string_value(json_object_get(v, name));
	return t ? t : "";
}

TEST(learning, the_registry_by_http)
{
	struct role_rig g;
	char a[SL_DIGEST], b[SL_DIGEST];
	role_rig_open(&g, NULL);
	role_rig_start(&g, roles);
	json_decref(ask_json(g.port, "GET /v1/models/log", NULL, 200));
	json_decref(ask_json(g.port, "POST /v1/models/rollback", "{}", 409));
	put_live(&g, "a", a);
	put_live(&g, "b", b);
	SL_AUTOJSON json_t *models = ask_json(g.port, "GET /v1/models", NULL, 200);
	CHECK_STR(text_of(models, "live"), b);
	CHECK_EQ(json_array_size(json_object_get(models, "models")), 2);
	SL_AUTOFREE char *promote = sl_asprintf("POST /v1/models/%.10s/promote", a);
	SL_AUTOJSON json_t *refused = ask_json(g.port, promote, "{\"by\":\"ann\"}", 409);
	CHECK_STR(text_of(json_object_get(refused, "error"), "code"), "REFUSED");
	SL_AUTOJSON json_t *forced = ask_json(g.port, promote, "{\"by\":\"ann\",\"force\":true}", 200);
	CHECK_STR(text_of(forced, "digest"), a);
	CHECK(json_is_true(json_object_get(forced, "forced")));
	SL_AUTOJSON json_t *back = ask_json(g.port, "POST /v1/models/rollback", "{\"by\":\"ann\"}", 200);
	CHECK_STR(text_of(back, "digest"), b);
	SL_AUTOJSON json_t *log = ask_json(g.port, "GET /v1/models/log?alias=live", NULL, 200);
	CHECK_EQ(json_array_size(json_object_get(log, "log")), 4);
	json_decref(ask_json(g.port, "POST /v1/models/ffffffffff/promote", "{}", 404));
	json_decref(ask_json(g.port, "GET /v1/models/log?alias=..", NULL, 400));
	role_rig_close(&g);
}

TEST(learning, a_model_that_is_sent_is_stored_and_not_published)
{
	struct role_rig g;
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct ask_answer a = {0};
	char live[SL_DIGEST];
	role_rig_open(&g, NULL);
	role_rig_start(&g, roles);
	put_live(&g, "a", live);
	tiny_bundle_file("mine", &file);
	struct ask_conn c = ask_open(g.port);
	ask_request(&c, "POST /v1/models", "application/octet-stream", sl_buf_slice(&file), NULL);
	CHECK(ask_read(&c, false, &a));
	CHECK_EQ(a.code, 201);
	ask_done(&a);
	ask_request(&c, "POST /v1/models", "application/octet-stream", sl_slice_str("no bundle"), NULL);
	CHECK(ask_read(&c, false, &a));
	CHECK(a.code >= 400 && a.code < 500);
	ask_done(&a);
	ask_request(&c, "POST /v1/models", "multipart/form-data; boundary=B",
		sl_slice_str("--B\r\nContent-Disposition: form-data; name=\"classifier\"\r\n\r\nno net\r\n--B--\r\n"),
		NULL);
	CHECK(ask_read(&c, false, &a));
	CHECK(a.code >= 400 && a.code < 500);
	ask_done(&a);
	ask_close(&c);
	SL_AUTOJSON json_t *models = ask_json(g.port, "GET /v1/models", NULL, 200);
	CHECK_STR(text_of(models, "live"), live);
	CHECK_EQ(json_array_size(json_object_get(models, "models")), 2);
	role_rig_close(&g);
}

TEST(learning, datasets_by_http)
{
	struct role_rig g;
	role_rig_open(&g, NULL);
	role_rig_start(&g, roles);
	json_decref(ask_json(g.port, "POST /v1/datasets", "{}", 404)); /* nothing is labelled */
	json_decref(ask_json(g.port, "GET /v1/datasets/v0001", NULL, 404));
	json_decref(ask_json(g.port, "GET /v1/datasets/seven", NULL, 400));
	json_decref(ask_json(g.port, "POST /v1/datasets", "{\"note\":7}", 400));
	SL_AUTOJSON json_t *list = ask_json(g.port, "GET /v1/datasets", NULL, 200);
	CHECK_EQ(json_array_size(json_object_get(list, "datasets")), 0);
	role_rig_close(&g);
}

TEST(learning, a_job_that_cannot_be_done_fails_with_its_reason)
{
	struct role_rig g;
	char a[SL_DIGEST];
	role_rig_open(&g, NULL);
	role_rig_start(&g, roles);
	put_live(&g, "a", a);
	SL_AUTOJSON json_t *job = ask_json(g.port, "POST /v1/jobs", "{\"kind\":\"train\",\"dataset\":\"v0001\"}", 202);
	SL_AUTOJSON json_t *end = wait_job(&g, text_of(job, "id"));
	CHECK_STR(text_of(end, "state"), "failed");
	CHECK(strstr(text_of(end, "error"), "v0001"));
	json_decref(ask_json(g.port, "POST /v1/jobs", "{\"kind\":\"dance\"}", 400));
	json_decref(ask_json(g.port, "GET /v1/jobs/j99999", NULL, 404));
	role_rig_close(&g);
}

TEST(learning, the_originals_routes_answer_at_once_with_a_job)
{
	static const char *const routes[] = {
		"GET /model/training", "POST /model/training-test", "GET /model/parameter"};
	struct role_rig g;
	role_rig_open(&g, NULL);
	role_rig_start(&g, roles);
	for (int i = 0; i < 3; i++) {
		SL_AUTOJSON json_t *job = ask_json(g.port, routes[i], i == 1 ? "{}" : NULL, 202);
		SL_AUTOJSON json_t *end = wait_job(&g, text_of(job, "id"));
		CHECK_STR(text_of(end, "state"), "failed"); /* there is nothing to learn from, and no candidate */
	}
	CHECK_EQ(ask(g.port, "HEAD /model/training", NULL, NULL, NULL), 405);
	SL_AUTOJSON json_t *jobs = ask_json(g.port, "GET /v1/jobs", NULL, 200);
	CHECK_EQ(json_array_size(json_object_get(jobs, "jobs")), 3);
	role_rig_close(&g);
}

/* A job whose store is away waits for it, says so, and ends well when it is back; a cancel ends the wait. */
TEST(learning, a_job_waits_for_a_store_that_is_away)
{
	static const struct sl_role *const learning_only[] = {&sl_role_learning, NULL};
	struct role_rig g;
	struct sl_err err;
	char why[128] = "", what[64];
	SL_AUTOFREE char *away = sl_fs_join(sl_test_dir(), "away");
	SL_AUTOFREE char *store = sl_asprintf("store.artifacts=fault+mem:?file=%s", away);
	role_rig_open(&g, (const char *const[]){store, NULL});
	role_rig_start(&g, learning_only);
	CHECK(sl_role_learning.is_ready(g.state[0], why));
	CHECK_OK(sl_fs_write(away, sl_slice_str(""), true, &err));
	for (int cancel = 0; cancel < 2; cancel++) {
		json_t *job = ask_json(g.port, "POST /v1/jobs", "{\"kind\":\"evaluate\"}", 202);
		snprintf(what, sizeof(what), "GET /v1/jobs/%s", json_string_value(json_object_get(job, "id")));
		while (!json_is_string(json_object_get(job, "waits"))) {
			json_decref(job);
			job = ask_json(g.port, what, NULL, 200);
		}
		CHECK(strstr(json_string_value(json_object_get(job, "waits")), "fault"));
		CHECK_STR(json_string_value(json_object_get(job, "state")), "running");
		CHECK(!sl_role_learning.is_ready(g.state[0], why));
		CHECK(strstr(why, "the artifact store"));
		if (cancel) {
			char stop[80];
			snprintf(stop, sizeof(stop), "DELETE /v1/jobs/%s",
				json_string_value(json_object_get(job, "id")));
			json_decref(ask_json(g.port, stop, NULL, 200));
		} else {
			remove(away);
		}
		while (!strcmp(json_string_value(json_object_get(job, "state")), "running")) {
			json_decref(job);
			job = ask_json(g.port, what, NULL, 200);
		}
		/* there is no candidate to evaluate: the store's answer, no more its absence */
		CHECK_STR(json_string_value(json_object_get(job, "state")), cancel ? "cancelled" : "failed");
		if (!cancel)
			CHECK(strstr(json_string_value(json_object_get(job, "error")), "candidate"));
		json_decref(job);
		CHECK_OK(sl_fs_write(away, sl_slice_str(""), true, &err));
	}
	role_rig_close(&g); /* and a drain with the store away ends at once */
}

/* The entry is there though the store's answer was lost: the job has published. What was live before is not its work. */
TEST(learning, a_job_that_published_says_so_though_the_answer_was_lost)
{
	static const struct sl_role *const learning_only[] = {&sl_role_learning, NULL};
	struct role_rig g;
	struct sl_err err;
	char a[SL_DIGEST], b[SL_DIGEST];
	SL_AUTOFREE char *away = sl_fs_join(sl_test_dir(), "away");
	SL_AUTOFREE char *store = sl_asprintf("store.artifacts=fault+mem:?calls=put&when=after&file=%s", away);
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	role_rig_open(&g, (const char *const[]){store, NULL});
	role_rig_start(&g, learning_only);
	put_live(&g, "a", a);
	tiny_bundle_file("b", &file);
	CHECK_OK(sl_model_put(g.ctx.stores.artifacts, sl_buf_slice(&file), b, &err));
	CHECK_OK(sl_fs_write(away, sl_slice_str(""), true, &err));
	SL_AUTOFREE char *body = sl_asprintf("{\"kind\":\"publish\",\"bundle\":\"%s\",\"force\":true}", b);
	SL_AUTOJSON json_t *job = ask_json(g.port, "POST /v1/jobs", body, 202);
	SL_AUTOJSON json_t *end = wait_job(&g, text_of(job, "id")); /* its second try has nothing left to put */
	CHECK_STR(text_of(end, "state"), "done");
	CHECK(json_is_true(json_object_get(end, "published")));
	SL_AUTOJSON json_t *again = ask_json(g.port, "POST /v1/jobs", body, 202);
	SL_AUTOJSON json_t *no = wait_job(&g, text_of(again, "id"));
	CHECK_STR(text_of(no, "state"), "done");
	CHECK(json_is_false(json_object_get(no, "published")));
	role_rig_close(&g);
}

TEST(learning, an_answer_says_when_the_log_was_not_told)
{
	static const struct sl_role *const learning_only[] = {&sl_role_learning, NULL};
	struct role_rig g;
	struct sl_err err;
	char a[SL_DIGEST], b[SL_DIGEST];
	SL_AUTOFREE char *away = sl_fs_join(sl_test_dir(), "away");
	SL_AUTOFREE char *store = sl_asprintf("store.log=fault+mem:?calls=append&file=%s", away);
	role_rig_open(&g, (const char *const[]){store, NULL});
	role_rig_start(&g, learning_only);
	put_live(&g, "a", a);
	put_live(&g, "b", b);
	CHECK_OK(sl_fs_write(away, sl_slice_str(""), true, &err));
	SL_AUTOJSON json_t *silent = ask_json(g.port, "POST /v1/models/rollback", "{}", 200);
	CHECK(json_is_false(json_object_get(silent, "announced")));
	remove(away);
	SL_AUTOFREE char *promote = sl_asprintf("POST /v1/models/%s/promote", b);
	SL_AUTOJSON json_t *told = ask_json(g.port, promote, "{\"force\":true}", 200);
	CHECK(json_is_true(json_object_get(told, "announced")));
	role_rig_close(&g);
}
