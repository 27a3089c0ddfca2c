/* SPDX-License-Identifier: Apache-2.0
 *
 * What jobs do: train a candidate and judge it, judge a stored bundle, publish one.
 */
#include "role/learning_work.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "dataset/registry.h"
#include <stdio.h>
#include <unistd.h>

enum { CALIBRATION_ROWS = 500, CALIBRATION_WRONG = 5 };

void sl_learning_say(struct sl_learning *l, const char *id, json_t *members, bool durable)
{
	json_t *job = NULL;
	sl_jobs_update(l->jobs, id, members, durable);
	if (sl_jobs_get(l->jobs, id, &job, NULL) != SL_OK)
		return;
	json_object_del(job, "evaluation"); /* events are small */
	sl_hub_say(l->ctx.hub, "job", job);
}

static const char *text_of(json_t *v, const char *name)
{
	json_t *t = json_object_get(v, name);
	return json_is_string(t) ? json_string_value(t) : "";
}

/* The version the job names; "new" takes a snapshot first. Its name goes into the job, so that
 * a resumed one learns from the same. */
static enum sl_status find_version(struct sl_learning *l, const char *id, json_t *job, json_t **ret, struct sl_err *err)
{
	const char *name = text_of(job, "dataset");
	struct sl_snapshot o = {.note = "for a training job"};
	enum sl_status s;
	if (!strcmp(name, "new")) {
		s = sl_version_snapshot(l->ctx.stores.artifacts, l->ctx.cfg, &o, ret, err);
		s = s == SL_EXISTS ? SL_OK : s;
	} else {
		s = sl_version_get(l->ctx.stores.artifacts, name, ret, err);
	}
	if (s == SL_OK)
		sl_learning_say(l, id, json_pack("{s:O}", "dataset", json_object_get(*ret, "version")), true);
	return s;
}

/* "signs-de" or "signs-de+v0001" becomes "signs-de+v0002". */
static void name_candidate(const char *base, const char *version, char ret[64])
{
	snprintf(ret, 64, "%.*s+%s", (int)SL_MIN(strcspn(base, "+"), 50), base, version);
}

/* A few hundred crops that are all named right say nothing of how sure to be: then the
 * calibration of the net that training started from stays. */
static double temperature_of(json_t *info, json_t *base)
{
	double was = json_number_value(json_object_get(json_object_get(base, "classifier"), "temperature"));
	double is = json_number_value(json_object_get(info, "temperature"));
	json_t *v = json_object_get(info, "validation");
	int64_t n = json_integer_value(json_object_get(v, "n")),
		right = json_integer_value(json_object_get(v, "right"));
	return n >= CALIBRATION_ROWS && n - right >= CALIBRATION_WRONG ? is : was;
}

/* The figures without those of each class. */
static json_t *short_validation(json_t *info)
{
	json_t *v = json_copy(json_object_get(info, "validation"));
	json_object_del(v, "per_class");
	return v ? v : json_null();
}

static enum sl_status wrap(
	struct sl_learning *l, const char *id, const char *version, char ret_digest[SL_DIGEST], struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf base = {0};
	SL_AUTO(sl_buf_done) struct sl_buf onnx = {0};
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTO(sl_buf_done) struct sl_buf out = {0};
	SL_AUTOFREE char *base_path = sl_jobs_path(l->jobs, id, "base.bundle");
	SL_AUTOFREE char *onnx_path = sl_jobs_path(l->jobs, id, "classifier.onnx");
	SL_AUTOFREE char *info_path = sl_jobs_path(l->jobs, id, "classifier.onnx.json");
	SL_AUTOJSON json_t *info = NULL;
	struct sl_bundle_parts p = {0};
	char name[64], created[25];
	enum sl_status s = sl_fs_read(base_path, &base, err);
	if (s == SL_OK)
		s = sl_fs_read(onnx_path, &onnx, err);
	if (s == SL_OK)
		s = sl_fs_read(info_path, &text, err);
	if (s == SL_OK)
		s = sl_json_parse(sl_buf_slice(&text), info_path, &info, err);
	if (s == SL_OK)
		s = sl_bundle_read(sl_buf_slice(&base), &p, err);
	if (s != SL_OK)
		return s;
	name_candidate(text_of(p.info, "name"), version, name);
	double temperature = temperature_of(info, p.info);
	json_decref(p.info);
	sl_time_text(sl_now_ms(), created);
	struct sl_wrap w = {.base = sl_buf_slice(&base),
		.classifier = sl_buf_slice(&onnx),
		.name = name,
		.created = created,
		.temperature = temperature};
	s = sl_model_wrap(&w, &out, err);
	if (s == SL_OK)
		s = sl_model_put(l->ctx.stores.artifacts, sl_buf_slice(&out), ret_digest, err);
	if (s == SL_OK)
		sl_learning_say(l, id,
			json_pack("{s:s,s:o}", "bundle", ret_digest, "validation", short_validation(info)), true);
	return s;
}

static enum sl_status set_candidate(struct sl_learning *l, json_t *job, const char *digest, struct sl_err *err)
{
	struct sl_alias_entry e;
	struct sl_publish p = {
		.alias = SL_ALIAS_CANDIDATE, .digest = digest, .by = text_of(job, "by"), .note = text_of(job, "note")};
	enum sl_status s = sl_model_publish(&l->ctx.stores, l->ctx.cfg, &p, &e, NULL, err);
	return s == SL_EXISTS ? SL_OK : s;
}

/* After EXISTS. OK: the job did it, and the answer of the store was lost, for what is live was put there
 * since the job was made; else EXISTS, and err as it was. */
static enum sl_status published_before(struct sl_learning *l, json_t *job, const char *digest, struct sl_err *err)
{
	SL_AUTO(sl_alias_log_done) struct sl_alias_log log = {0};
	int64_t since = json_integer_value(json_object_get(job, "created"));
	enum sl_status s = sl_alias_log_read(l->ctx.stores.artifacts, SL_ALIAS_LIVE, &log, err);
	if (s != SL_OK)
		return s;
	const struct sl_alias_entry *e = log.n ? &log.entry[log.n - 1] : NULL;
	bool ours = e && e->action == SL_ALIAS_PUBLISH && e->time_ms >= since && !strcmp(e->digest, digest);
	return ours ? SL_OK : SL_EXISTS;
}

/* The gate's word, and the roll-out where the job asks for it. A gate that refuses is an
 * answer, not a failure of the job. */
static enum sl_status judge(
	struct sl_learning *l, const char *id, json_t *job, const char *digest, const char *version, struct sl_err *err)
{
	struct sl_alias_entry e;
	struct sl_err why = {0}, unsaid = {0};
	json_t *evaluation = NULL;
	bool publish = json_is_true(json_object_get(job, "publish")), passed = false;
	enum sl_status s;
	sl_learning_say(l, id, json_pack("{s:s}", "stage", "compare"), false);
	if (publish) {
		struct sl_publish p = {.digest = digest,
			.by = text_of(job, "by"),
			.note = text_of(job, "note"),
			.unsaid = &unsaid,
			.version = version,
			.force = json_is_true(json_object_get(job, "force"))};
		s = sl_model_publish(&l->ctx.stores, l->ctx.cfg, &p, &e, &evaluation, &why);
		if (s == SL_EXISTS)
			s = published_before(l, job, digest, &why);
		if (s == SL_OK && why.status) {
			evaluation = json_incref(json_object_get(job, "evaluation")); /* of the try that did it */
			(void)sl_model_announce(&l->ctx.stores, &unsaid); /* that try did not come so far */
		}
		passed = s == SL_OK;
		if (passed && unsaid.status)
			sl_log(SL_WARN, "learning", "published, but the log was not told; the others see it later",
				SL_S("job", id), SL_S("error", unsaid.text));
	} else {
		s = sl_model_judge(&l->ctx.stores, l->ctx.cfg, digest, version, &passed, &evaluation, &why);
	}
	bool answer = s == SL_OK || s == SL_REFUSED || (publish && s == SL_EXISTS);
	const char *word = text_of(json_object_get(evaluation, "gate"), "text");
	json_t *m = json_pack("{s:b,s:b,s:s}", "passed", (int)passed, "published", (int)(publish && s == SL_OK),
		"verdict", s == SL_OK ? word : why.text);
	json_object_set_new(m, "evaluation", evaluation ? evaluation : json_null());
	sl_learning_say(l, id, m, true);
	if (!answer && err)
		*err = why;
	return answer ? SL_OK : s;
}

/* The candidate is stored: what it was made from need not stay with each job. */
static void tidy(struct sl_learning *l, const char *id)
{
	static const char *const names[] = {"base.bundle", "base.onnx", "classifier.onnx", "taxonomy.json"};
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		SL_AUTOFREE char *path = sl_jobs_path(l->jobs, id, names[i]);
		unlink(path);
	}
}

/* A job that goes on, after a store was away or a restart, does not train again what it has: the
 * net is there (and no checkpoint any more), or the bundle is stored already. */
static bool has_net(struct sl_learning *l, const char *id)
{
	static const char *const wanted[] = {"base.bundle", "classifier.onnx", "classifier.onnx.json"};
	SL_AUTOFREE char *checkpoint = sl_jobs_path(l->jobs, id, "classifier.onnx.checkpoint");
	bool has = !sl_fs_is_file(checkpoint);
	for (size_t i = 0; i < SL_COUNT(wanted); i++) {
		SL_AUTOFREE char *path = sl_jobs_path(l->jobs, id, wanted[i]);
		has = has && sl_fs_is_file(path);
	}
	return has;
}

static bool has_bundle(json_t *job, char ret[SL_DIGEST])
{
	const char *digest = text_of(job, "bundle");
	bool has = json_object_get(job, "validation") && strlen(digest) == SL_DIGEST - 1;
	if (has)
		memcpy(ret, digest, SL_DIGEST);
	return has;
}

static enum sl_status train(struct sl_learning *l, const char *id, json_t *job, struct sl_err *err)
{
	SL_AUTOJSON json_t *manifest = NULL;
	char digest[SL_DIGEST] = "";
	enum sl_status s = find_version(l, id, job, &manifest, err);
	bool stored = has_bundle(job, digest);
	if (s == SL_OK && !stored && !has_net(l, id))
		s = sl_learning_train(l, id, job, manifest, err);
	if (s != SL_OK)
		return s;
	const char *version = text_of(manifest, "version");
	sl_learning_say(l, id, json_pack("{s:s}", "stage", "bundle"), false);
	if (!stored)
		s = wrap(l, id, version, digest, err);
	if (s == SL_OK)
		s = set_candidate(l, job, digest, err);
	if (s == SL_OK)
		tidy(l, id);
	return s == SL_OK ? judge(l, id, job, digest, version, err) : s;
}

/* evaluate and publish: of the named bundle, else of the candidate. */
static enum sl_status judge_stored(struct sl_learning *l, const char *id, json_t *job, struct sl_err *err)
{
	char digest[SL_DIGEST] = "";
	const char *named = text_of(job, "bundle"), *version = text_of(job, "dataset");
	enum sl_status s = *named ? sl_model_find(l->ctx.stores.artifacts, named, digest, err)
				  : sl_alias_digest(l->ctx.stores.artifacts, SL_ALIAS_CANDIDATE, digest, err);
	if (s != SL_OK)
		return s;
	sl_learning_say(l, id, json_pack("{s:s}", "bundle", digest), true);
	return judge(l, id, job, digest, strcmp(version, "new") ? version : "latest", err);
}

enum sl_status sl_learning_do(struct sl_learning *l, const char *id, json_t *job, struct sl_err *err)
{
	return strcmp(text_of(job, "kind"), "train") ? judge_stored(l, id, job, err) : train(l, id, job, err);
}
