/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP of datasets, models and jobs. All run on workers: they wait on stores.
 */
#include "base/mem.h"
#include "dataset/registry.h"
#include "role/learning_work.h"
#include <stdio.h>

/* ---- datasets ---- */

static void post_dataset(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	struct sl_err err = {0};
	struct sl_snapshot o = {.note = NULL};
	json_t *manifest = NULL, *body = sl_request_json(r);
	if (!body)
		return;
	o.force = json_is_true(json_object_get(body, "force"));
	enum sl_status s = sl_json_opt_str(body, "body", "note", &o.note, &err);
	if (s == SL_OK)
		s = sl_version_snapshot(l->ctx.stores.artifacts, l->ctx.cfg, &o, &manifest, &err);
	if (s != SL_OK && s != SL_EXISTS) {
		sl_answer_fail(r, &err);
		return;
	}
	json_object_set_new(manifest, "new", json_boolean(s == SL_OK));
	if (s == SL_OK)
		sl_hub_say(l->ctx.hub, "version",
			json_pack("{s:O,s:O,s:O}", "version", json_object_get(manifest, "version"), "rows",
				json_object_get(manifest, "rows"), "sha256", json_object_get(manifest, "sha256")));
	sl_answer_json(r, s == SL_OK ? 201 : 200, manifest);
}

static void get_datasets(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	struct sl_err err = {0};
	json_t *all = NULL;
	if (sl_version_list(l->ctx.stores.artifacts, &all, &err) != SL_OK)
		sl_answer_fail(r, &err);
	else
		sl_answer_json(r, 200, json_pack("{s:o}", "datasets", all));
}

static void get_dataset(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	struct sl_err err = {0};
	json_t *manifest = NULL;
	if (sl_version_get(l->ctx.stores.artifacts, sl_request_param(r, "version"), &manifest, &err) != SL_OK)
		sl_answer_fail(r, &err);
	else
		sl_answer_json(r, 200, manifest);
}

/* ---- models ---- */

static json_t *digest_or_null(struct sl_learning *l, const char *alias)
{
	char digest[SL_DIGEST] = "";
	return sl_alias_digest(l->ctx.stores.artifacts, alias, digest, NULL) == SL_OK ? json_string(digest)
										      : json_null();
}

static void get_models(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	struct sl_err err = {0};
	json_t *all = NULL;
	if (sl_model_list(l->ctx.stores.artifacts, &all, &err) != SL_OK)
		sl_answer_fail(r, &err);
	else
		sl_answer_json(r, 200,
			json_pack("{s:o,s:o,s:o}", "live", digest_or_null(l, SL_ALIAS_LIVE), "candidate",
				digest_or_null(l, SL_ALIAS_CANDIDATE), "models", all));
}

static void get_model(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	struct sl_err err = {0};
	char digest[SL_DIGEST];
	json_t *v = NULL;
	enum sl_status s = sl_model_find(l->ctx.stores.artifacts, sl_request_param(r, "digest"), digest, &err);
	if (s == SL_OK)
		s = sl_model_show(l->ctx.stores.artifacts, digest, &v, &err);
	if (s == SL_OK)
		sl_answer_json(r, 200, v);
	else
		sl_answer_fail(r, &err);
}

static void get_bundle(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_err err = {0};
	char digest[SL_DIGEST], etag[SL_DIGEST + 2];
	const char *known = sl_request_header(r, "If-None-Match");
	enum sl_status s = sl_model_find(l->ctx.stores.artifacts, sl_request_param(r, "digest"), digest, &err);
	snprintf(etag, sizeof(etag), "\"%s\"", s == SL_OK ? digest : "");
	bool has = s == SL_OK && known && strstr(known, etag);
	if (s == SL_OK && !has)
		s = sl_model_get(l->ctx.stores.artifacts, digest, &file, &err);
	if (s != SL_OK) {
		sl_answer_fail(r, &err);
		return;
	}
	sl_answer_header(r, "ETag", etag);
	sl_answer_take(r, has ? 304 : 200, "application/octet-stream", &file);
}

static void get_log(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	SL_AUTO(sl_alias_log_done) struct sl_alias_log log = {0};
	struct sl_err err = {0};
	const char *alias = sl_request_query(r, "alias");
	if (sl_alias_log_read(l->ctx.stores.artifacts, alias ? alias : SL_ALIAS_LIVE, &log, &err) != SL_OK) {
		sl_answer_fail(r, &err);
		return;
	}
	json_t *all = json_array();
	for (int i = 0; i < log.n; i++)
		json_array_append_new(all, sl_alias_json(&log.entry[i]));
	sl_answer_json(r, 200, json_pack("{s:s,s:o}", "alias", alias ? alias : SL_ALIAS_LIVE, "log", all));
}

static void publish(struct sl_request *r, struct sl_learning *l, const char *start)
{
	struct sl_err err = {0};
	struct sl_alias_entry e;
	struct sl_err unsaid = {0};
	struct sl_publish p = {.unsaid = &unsaid};
	char digest[SL_DIGEST];
	json_t *evaluation = NULL, *body = sl_request_json(r);
	if (!body)
		return;
	enum sl_status s = sl_json_opt_str(body, "body", "by", &p.by, &err);
	if (s == SL_OK)
		s = sl_json_opt_str(body, "body", "note", &p.note, &err);
	if (s == SL_OK)
		s = sl_json_opt_str(body, "body", "dataset", &p.version, &err);
	p.force = json_is_true(json_object_get(body, "force"));
	if (s == SL_OK && start) {
		s = sl_model_find(l->ctx.stores.artifacts, start, digest, &err);
		p.digest = digest;
	}
	if (s == SL_OK)
		s = sl_model_publish(&l->ctx.stores, l->ctx.cfg, &p, &e, &evaluation, &err);
	if (s != SL_OK) {
		json_decref(evaluation);
		sl_answer_fail(r, &err);
		return;
	}
	json_t *v = sl_alias_json(&e);
	json_object_set_new(v, "evaluation", evaluation ? evaluation : json_null());
	json_object_set_new(v, "announced", json_boolean(!unsaid.status));
	sl_answer_json(r, 200, v);
}

static void post_promote(struct sl_request *r, void *arg)
{
	publish(r, arg, sl_request_param(r, "digest"));
}

static void post_rollback(struct sl_request *r, void *arg)
{
	publish(r, arg, NULL);
}

/* ---- jobs ---- */

static void answer_job(struct sl_request *r, int code, enum sl_status s, json_t *job, const struct sl_err *err)
{
	if (s != SL_OK) {
		sl_answer_fail(r, err);
		return;
	}
	if (code == 202) {
		SL_AUTOFREE char *at = sl_asprintf("/v1/jobs/%s", json_string_value(json_object_get(job, "id")));
		sl_answer_header(r, "Location", at);
	}
	sl_answer_json(r, code, job);
}

static void post_job(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	struct sl_err err = {0};
	json_t *job = NULL, *body = sl_request_json(r);
	if (!body)
		return;
	enum sl_status s = sl_jobs_add(l->jobs, body, &job, &err);
	answer_job(r, 202, s, job, &err);
}

static void get_jobs(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	sl_answer_json(r, 200, json_pack("{s:o}", "jobs", sl_jobs_list(l->jobs)));
}

static void get_job(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	struct sl_err err = {0};
	json_t *job = NULL;
	enum sl_status s = sl_jobs_get(l->jobs, sl_request_param(r, "id"), &job, &err);
	answer_job(r, 200, s, job, &err);
}

static void delete_job(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	struct sl_err err = {0};
	json_t *job = NULL;
	enum sl_status s = sl_jobs_cancel(l->jobs, sl_request_param(r, "id"), &job, &err);
	answer_job(r, 200, s, job, &err);
}

static void resume_job(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	struct sl_err err = {0};
	json_t *job = NULL;
	enum sl_status s = sl_jobs_resume(l->jobs, sl_request_param(r, "id"), &job, &err);
	answer_job(r, 202, s, job, &err);
}

/* ---- the original's routes: each starts what it names and answers with the job ---- */

static void start_job(struct sl_request *r, struct sl_learning *l, json_t *request /* taken */)
{
	struct sl_err err = {0};
	json_t *job = NULL;
	enum sl_status s = sl_jobs_add(l->jobs, request, &job, &err);
	json_decref(request);
	answer_job(r, 202, s, job, &err);
}

static void legacy_training(struct sl_request *r, void *arg)
{
	start_job(r, arg, json_pack("{s:s,s:s,s:s}", "kind", "train", "dataset", "new", "note", "/model/training"));
}

static void legacy_training_test(struct sl_request *r, void *arg)
{
	start_job(r, arg,
		json_pack("{s:s,s:s,s:s,s:{s:i}}", "kind", "train", "dataset", "new", "note", "/model/training-test",
			"options", "steps", 10));
}

static void legacy_parameter(struct sl_request *r, void *arg)
{
	start_job(r, arg, json_pack("{s:s,s:s}", "kind", "publish", "note", "/model/parameter"));
}

/* ---- the table ---- */

#define JOB_SCHEMA \
	"{\"title\":\"Job\",\"type\":\"object\",\"required\":[\"id\",\"kind\",\"state\"],\"properties\":{\"id\":{\"type\":\"string\"}," \
	"\"kind\":{\"enum\":[\"train\",\"evaluate\",\"publish\"]},\"state\":{\"enum\":[\"waiting\",\"running\",\"done\"," \
	"\"failed\",\"cancelled\",\"interrupted\"]},\"stage\":{\"type\":\"string\"},\"progress\":{\"type\":\"object\"}," \
	"\"bundle\":{\"type\":\"string\"},\"passed\":{\"type\":\"boolean\"},\"published\":{\"type\":\"boolean\"}," \
	"\"verdict\":{\"type\":\"string\"},\"error\":{\"type\":\"string\"},\"dataset\":{\"type\":\"string\"},\"options\":{\"type\":\"object\"}," \
	"\"created\":{\"type\":\"integer\"},\"started\":{\"type\":\"integer\"},\"ended\":{\"type\":\"integer\"}}}"
#define JOB_REQUEST \
	"{\"type\":\"object\",\"required\":[\"kind\"],\"properties\":{\"kind\":{\"enum\":[\"train\",\"evaluate\",\"publish\"]}," \
	"\"dataset\":{\"type\":\"string\",\"description\":\"v0001, latest (absent: this) or new\"},\"bundle\":{\"type\":\"string\"," \
	"\"description\":\"evaluate, publish: digest or its first 6 digits; absent: the candidate\"}," \
	"\"publish\":{\"type\":\"boolean\"},\"force\":{\"type\":\"boolean\"},\"by\":{\"type\":\"string\"}," \
	"\"note\":{\"type\":\"string\"},\"options\":{\"type\":\"object\",\"properties\":{\"epochs\":{\"type\":\"number\"}," \
	"\"minutes\":{\"type\":\"number\"},\"steps\":{\"type\":\"integer\"},\"seed\":{\"type\":\"integer\"}," \
	"\"batch\":{\"type\":\"integer\"},\"workers\":{\"type\":\"integer\"},\"limit\":{\"type\":\"integer\"},\"scratch\":{\"type\":" \
	"\"boolean\",\"description\":\"from random weights, not from the live classifier's\"}}}}}"
#define VERSION_SCHEMA \
	"{\"title\":\"Version\",\"type\":\"object\",\"required\":[\"version\",\"rows\",\"sha256\"],\"properties\":{\"version\":{\"type\":\"string\"}," \
	"\"rows\":{\"type\":\"integer\"},\"sha256\":{\"type\":\"string\",\"description\":\"of the stored manifest: cite it\"}," \
	"\"parts\":{\"type\":\"object\"},\"classes\":{\"type\":\"object\"},\"shards\":{\"type\":\"array\"},\"new\":{\"type\":\"boolean\"}}}"
#define ENTRY_SCHEMA \
	"{\"title\":\"Entry\",\"type\":\"object\",\"required\":[\"n\",\"alias\",\"digest\",\"action\"],\"properties\":{\"n\":{\"type\":\"integer\"}," \
	"\"alias\":{\"type\":\"string\"},\"digest\":{\"type\":\"string\"},\"previous\":{\"type\":\"string\"},\"action\":" \
	"{\"enum\":[\"publish\",\"rollback\"]},\"forced\":{\"type\":\"boolean\"},\"by\":{\"type\":\"string\"},\"time\":" \
	"{\"type\":\"integer\"},\"evaluation\":{\"type\":[\"object\",\"null\"]}," \
	"\"announced\":{\"type\":\"boolean\",\"description\":\"whether the log was told at once\"}}}"
#define PROMOTE_REQUEST \
	"{\"type\":\"object\",\"properties\":{\"by\":{\"type\":\"string\"},\"note\":{\"type\":\"string\"},\"force\":" \
	"{\"type\":\"boolean\",\"description\":\"against the gate's word; the log says so\"},\"dataset\":{\"type\":\"string\"," \
	"\"description\":\"version whose held-out rows judge; absent: latest\"}}}"
#define ROLLBACK_REQUEST \
	"{\"type\":\"object\",\"properties\":{\"by\":{\"type\":\"string\"},\"note\":{\"type\":\"string\"}}}"
#define SNAPSHOT_REQUEST \
	"{\"type\":\"object\",\"properties\":{\"note\":{\"type\":\"string\"},\"force\":{\"type\":\"boolean\"}}}"

#define MODEL_SCHEMA \
	"{\"title\":\"Model\",\"type\":\"object\",\"properties\":{\"digest\":{\"type\":\"string\"},\"bytes\":{\"type\":\"integer\"},\"name\":{\"type\":" \
	"\"string\"},\"taxonomy\":{\"type\":\"string\"},\"classes\":{\"type\":\"integer\"},\"card\":{\"type\":\"string\"},\"aliases\":" \
	"{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}"

const struct sl_route sl_learning_routes[] = {
	{.method = "POST",
		.path = "/v1/datasets",
		.run = SL_RUN_WORKER,
		.body_max = "http.body_bytes",
		.fn = post_dataset,
		.tag = "datasets",
		.summary = "Makes a version of what was learned; 200 with \"new\": false when nothing is new, 404 when "
			   "there is no labelled crop yet",
		.request = SNAPSHOT_REQUEST,
		.response = VERSION_SCHEMA,
		.ok = 201,
		.errors = "404"},
	{.method = "GET",
		.path = "/v1/datasets",
		.run = SL_RUN_WORKER,
		.fn = get_datasets,
		.tag = "datasets",
		.summary = "All versions without their shards, oldest first",
		.response =
			"{\"type\":\"object\",\"properties\":{\"datasets\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}}}"},
	{.method = "GET",
		.path = "/v1/datasets/{version}",
		.run = SL_RUN_WORKER,
		.fn = get_dataset,
		.tag = "datasets",
		.summary = "One version's manifest; latest is a name too",
		.response = VERSION_SCHEMA},
	{.method = "GET",
		.path = "/v1/models",
		.run = SL_RUN_WORKER,
		.fn = get_models,
		.tag = "models",
		.summary = "Stored bundles, and what live and candidate point at",
		.response =
			"{\"type\":\"object\",\"properties\":{\"live\":{\"type\":[\"string\",\"null\"]},\"candidate\":{\"type\":"
			"[\"string\",\"null\"]},\"models\":{\"type\":\"array\",\"items\":" MODEL_SCHEMA "}}}"},
	{.method = "GET",
		.path = "/v1/models/log",
		.run = SL_RUN_WORKER,
		.fn = get_log,
		.tag = "models",
		.summary = "What was live when, oldest first",
		.params = "alias:string:live (absent: this) or candidate",
		.response =
			"{\"type\":\"object\",\"properties\":{\"alias\":{\"type\":\"string\"},\"log\":{\"type\":\"array\",\"items\":" ENTRY_SCHEMA
			"}}}"},
	{.method = "GET",
		.path = "/v1/models/{digest}",
		.run = SL_RUN_WORKER,
		.fn = get_model,
		.tag = "models",
		.summary = "One stored bundle, with its card; the digest may be cut to its first 6 digits or more",
		.response = MODEL_SCHEMA},
	{.method = "GET",
		.path = "/v1/models/{digest}/bundle",
		.run = SL_RUN_WORKER,
		.fn = get_bundle,
		.tag = "models",
		.summary = "The bundle's file; its SHA-256 is the digest",
		.response = "application/octet-stream"},
	{.method = "POST",
		.path = "/v1/models/{digest}/promote",
		.run = SL_RUN_WORKER,
		.body_max = "http.body_bytes",
		.fn = post_promote,
		.tag = "models",
		.summary = "Makes a stored bundle live if the gate agrees; 409 says why not",
		.request = PROMOTE_REQUEST,
		.response = ENTRY_SCHEMA,
		.errors = "409"},
	{.method = "POST",
		.path = "/v1/models/rollback",
		.run = SL_RUN_WORKER,
		.body_max = "http.body_bytes",
		.fn = post_rollback,
		.tag = "models",
		.summary = "Makes live what was live before, one step further each time; 409: nothing was",
		.request = ROLLBACK_REQUEST,
		.response = ENTRY_SCHEMA,
		.errors = "409"},
	{.method = "POST",
		.path = "/v1/jobs",
		.run = SL_RUN_WORKER,
		.body_max = "http.body_bytes",
		.fn = post_job,
		.tag = "jobs",
		.summary =
			"Starts a job and answers at once; follow it at its Location. train makes a candidate and asks the gate, and "
			"with publish makes it live; evaluate asks the gate only; publish does both for a stored bundle",
		.request = JOB_REQUEST,
		.response = JOB_SCHEMA,
		.ok = 202},
	{.method = "GET",
		.path = "/v1/jobs",
		.run = SL_RUN_WORKER,
		.fn = get_jobs,
		.tag = "jobs",
		.summary = "All jobs without their evaluations, newest first",
		.response = "{\"type\":\"object\",\"properties\":{\"jobs\":{\"type\":\"array\",\"items\":" JOB_SCHEMA
			    "}}}"},
	{.method = "GET",
		.path = "/v1/jobs/{id}",
		.run = SL_RUN_WORKER,
		.fn = get_job,
		.tag = "jobs",
		.summary = "One job",
		.response = JOB_SCHEMA},
	{.method = "DELETE",
		.path = "/v1/jobs/{id}",
		.run = SL_RUN_WORKER,
		.fn = delete_job,
		.tag = "jobs",
		.summary = "Stops a job that waits or runs; a running one ends soon after",
		.response = JOB_SCHEMA,
		.errors = "409"},
	{.method = "POST",
		.path = "/v1/jobs/{id}/resume",
		.run = SL_RUN_WORKER,
		.body_max = "http.body_bytes",
		.fn = resume_job,
		.tag = "jobs",
		.summary = "Queues an interrupted, failed or cancelled job again; training goes on from its checkpoint",
		.response = JOB_SCHEMA,
		.ok = 202,
		.errors = "409"},
	{.method = "GET|POST",
		.path = "/model/training",
		.run = SL_RUN_WORKER,
		.body_max = "http.body_bytes",
		.fn = legacy_training,
		.tag = "original",
		.summary = "Starts a training of everything labelled so far",
		.response = JOB_SCHEMA,
		.ok = 202},
	{.method = "GET|POST",
		.path = "/model/training-test",
		.run = SL_RUN_WORKER,
		.body_max = "http.body_bytes",
		.fn = legacy_training_test,
		.tag = "original",
		.summary = "Starts a training of ten steps",
		.response = JOB_SCHEMA,
		.ok = 202},
	{.method = "GET|POST",
		.path = "/model/parameter",
		.run = SL_RUN_WORKER,
		.body_max = "http.body_bytes",
		.fn = legacy_parameter,
		.tag = "original",
		.summary = "Publishes the candidate if the gate agrees",
		.response = JOB_SCHEMA,
		.ok = 202},
	{.method = NULL},
};
