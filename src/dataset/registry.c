/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/registry.h"
#include "base/clock.h"
#include "base/mem.h"
#include "core/message.h"
#include "dataset/shard.h"
#include "vision/bundle.h"
#include <stdio.h>

enum { DIGEST_START = 6, PUT_TRIES = 20, ANNOUNCE_MS = 5000 };

/* ---- the alias log ---- */

void sl_alias_log_done(struct sl_alias_log *l)
{
	free(l->entry);
	*l = (struct sl_alias_log){0};
}

enum sl_status sl_alias_log_read(
	struct sl_artifacts *a, const char *alias, struct sl_alias_log *ret, struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	SL_AUTO(sl_alias_log_done) struct sl_alias_log l = {0};
	char prefix[SL_ALIAS_PATH];
	if (!sl_alias_is_valid(alias))
		return sl_fail(err, SL_INVALID, "'%.40s' is no alias: 1 to 32 letters, digits, '_' or '-'", alias);
	snprintf(prefix, sizeof(prefix), "aliases/%s/", alias);
	enum sl_status s = sl_artifacts_list(a, prefix, &list, err);
	if (s != SL_OK)
		return s;
	l.entry = sl_calloc((size_t)list.n + 1, sizeof(*l.entry));
	for (int i = 0; i < list.n && s == SL_OK; i++) {
		SL_AUTOJSON json_t *v = NULL;
		if (!sl_alias_path_number(list.path[i]))
			continue;
		s = sl_object_get(a, list.path[i], &v, err);
		if (s == SL_OK)
			s = sl_alias_parse(v, list.path[i], &l.entry[l.n], err);
		l.n += s == SL_OK;
	}
	if (s != SL_OK)
		return s;
	*ret = l;
	l = (struct sl_alias_log){0};
	return SL_OK;
}

enum sl_status sl_alias_digest(struct sl_artifacts *a, const char *alias, char ret[SL_DIGEST], struct sl_err *err)
{
	SL_AUTO(sl_alias_log_done) struct sl_alias_log l = {0};
	enum sl_status s = sl_alias_log_read(a, alias, &l, err);
	if (s == SL_OK)
		sl_alias_live(l.entry, l.n, ret);
	if (s == SL_OK && !*ret)
		s = sl_fail(err, SL_NOT_FOUND, "no model was published as %s yet", alias);
	return s;
}

enum sl_status sl_alias_names(struct sl_artifacts *a, json_t **ret, struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	enum sl_status s = sl_artifacts_list(a, "aliases/", &list, err);
	if (s != SL_OK)
		return s;
	json_t *names = json_array();
	char last[SL_ALIAS] = "";
	for (int i = 0; i < list.n; i++) {
		char name[SL_ALIAS] = "";
		if (sscanf(list.path[i], "aliases/%32[^/]/", name) == 1 && strcmp(name, last) != 0)
			json_array_append_new(names, json_string(name));
		memcpy(last, name, sizeof(last));
	}
	*ret = names;
	return SL_OK;
}

/* ---- bundles ---- */

enum sl_status sl_model_put(
	struct sl_artifacts *a, struct sl_slice file, char ret_digest[SL_DIGEST], struct sl_err *err)
{
	struct sl_bundle *b = NULL;
	enum sl_status s = sl_bundle_open(file, SL_PRECISION_AUTO, &b, err);
	sl_bundle_unref(b);
	return s == SL_OK ? sl_shard_store(a, sl_bundle_path, file, ret_digest, err) : s;
}

enum sl_status sl_model_get(struct sl_artifacts *a, const char *digest, struct sl_buf *ret, struct sl_err *err)
{
	return sl_shard_fetch(a, sl_bundle_path, digest, ret, err);
}

static bool digest_of_path(const char *path, char ret[SL_DIGEST])
{
	char want[SL_ALIAS_PATH];
	if (sscanf(path, "bundles/%64[0-9a-f].bundle", ret) != 1)
		return false;
	sl_bundle_path(want, ret);
	return !strcmp(want, path) && sl_is_sha256_hex(ret);
}

enum sl_status sl_model_taxonomy(
	struct sl_artifacts *a, const char *digest, struct sl_taxonomy **ret, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_bundle_parts p = {0};
	enum sl_status s = sl_model_get(a, digest, &file, err);
	if (s == SL_OK)
		s = sl_bundle_read(sl_buf_slice(&file), &p, err);
	if (s == SL_OK)
		s = sl_taxonomy_parse(p.taxonomy, ret, err);
	json_decref(p.info);
	return s;
}

enum sl_status sl_model_find(struct sl_artifacts *a, const char *start, char ret_digest[SL_DIGEST], struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	char prefix[SL_ALIAS_PATH], digest[SL_DIGEST];
	int hits = 0;
	size_t n = strlen(start);
	if (n < DIGEST_START || n > 64 || strspn(start, "0123456789abcdef") != n)
		return sl_fail(err, SL_INVALID,
			"'%.70s' is no digest: at least its first %d hexadecimal digits are wanted", start,
			DIGEST_START);
	snprintf(prefix, sizeof(prefix), "bundles/%s", start);
	enum sl_status s = sl_artifacts_list(a, prefix, &list, err);
	if (s != SL_OK)
		return s;
	for (int i = 0; i < list.n; i++)
		if (digest_of_path(list.path[i], digest)) {
			memcpy(ret_digest, digest, SL_DIGEST);
			hits++;
		}
	if (hits > 1)
		return sl_fail(err, SL_INVALID, "%d bundles start with %s: give more digits", hits, start);
	return hits ? SL_OK : sl_fail(err, SL_NOT_FOUND, "no stored bundle starts with %.64s", start);
}

/* ---- publish ---- */

static enum sl_status fetch_bundle(
	struct sl_artifacts *a, const char *digest, struct sl_buf *file, struct sl_bundle **ret, struct sl_err *err)
{
	enum sl_status s = sl_model_get(a, digest, file, err);
	return s == SL_OK ? sl_bundle_open(sl_buf_slice(file), SL_PRECISION_AUTO, ret, err) : s;
}

/* The net, and how it is fed and read: a threshold alone may lose every sign. */
static bool is_same_detector(struct sl_slice x, struct sl_slice y)
{
	struct sl_bundle_parts p = {0}, q = {0};
	bool same = sl_bundle_read(x, &p, NULL) == SL_OK && sl_bundle_read(y, &q, NULL) == SL_OK &&
		    p.detector.len == q.detector.len && !memcmp(p.detector.ptr, q.detector.ptr, p.detector.len) &&
		    json_equal(json_object_get(p.info, "detector"), json_object_get(q.info, "detector"));
	json_decref(p.info);
	json_decref(q.info);
	return same;
}

static enum sl_status ask_gate(struct sl_artifacts *a, const struct sl_config *cfg, const char *candidate,
	const char *live, const char *version, bool *ret_passed, json_t **ret, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf cand_file = {0};
	SL_AUTO(sl_buf_done) struct sl_buf live_file = {0};
	struct sl_bundle *cand_bundle = NULL, *live_bundle = NULL;
	enum sl_status s = fetch_bundle(a, candidate, &cand_file, &cand_bundle, err);
	if (s == SL_OK)
		s = fetch_bundle(a, live, &live_file, &live_bundle, err);
	if (s == SL_OK)
		s = sl_compare(a, cfg, cand_bundle, live_bundle,
			is_same_detector(sl_buf_slice(&cand_file), sl_buf_slice(&live_file)), version, ret_passed, ret,
			err);
	sl_bundle_unref(cand_bundle);
	sl_bundle_unref(live_bundle);
	return s;
}

enum sl_status sl_model_judge(const struct sl_stores *st, const struct sl_config *cfg, const char *digest,
	const char *version, bool *ret_passed, json_t **ret_evaluation, struct sl_err *err)
{
	char live[SL_DIGEST];
	enum sl_status s = sl_alias_digest(st->artifacts, SL_ALIAS_LIVE, live, err);
	return s == SL_OK ? ask_gate(st->artifacts, cfg, digest, live, version, ret_passed, ret_evaluation, err) : s;
}

/* Without a version there is nothing to compare on: with force that is no error. */
static enum sl_status judge(const struct sl_stores *st, const struct sl_config *cfg, const struct sl_publish *p,
	struct sl_alias_entry *e, json_t **ret, struct sl_err *err)
{
	bool passed = false;
	struct sl_err why = {0};
	json_t *v = NULL;
	enum sl_status s = ask_gate(
		st->artifacts, cfg, e->digest, e->previous, p->version ? p->version : "latest", &passed, &v, &why);
	if (s == SL_NOT_FOUND) {
		sl_prefix(&why, s, "nothing to compare on (force publishes all the same)");
		s = why.status = SL_REFUSED;
	}
	if (s == SL_OK && !passed)
		s = sl_fail(&why, SL_REFUSED, "the gate refuses %.12s: %s", e->digest,
			json_string_value(json_object_get(json_object_get(v, "gate"), "text")));
	if (ret)
		*ret = v;
	else
		json_decref(v);
	e->forced = s != SL_OK;
	if (s == SL_OK || p->force)
		return SL_OK;
	if (err)
		*err = why;
	return s;
}

static enum sl_status announce(struct sl_log *log, const struct sl_alias_entry *e, struct sl_err *err)
{
	char path[SL_ALIAS_PATH];
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	sl_bundle_path(path, e->digest);
	SL_AUTOJSON json_t *v = json_pack("{s:i,s:s,s:s,s:s,s:I,s:I}", "v", 1, "alias", e->alias, "digest", e->digest,
		"path", path, "n", (json_int_t)e->n, "time", (json_int_t)e->time_ms);
	sl_json_print(v, &text);
	return sl_log_append(log, SL_TOPIC_MODELS, e->alias, sl_buf_slice(&text), sl_deadline_ms(ANNOUNCE_MS), err);
}

enum sl_status sl_model_announce(const struct sl_stores *st, struct sl_err *err)
{
	SL_AUTO(sl_alias_log_done) struct sl_alias_log l = {0};
	enum sl_status s = sl_alias_log_read(st->artifacts, SL_ALIAS_LIVE, &l, err);
	if (s == SL_OK && !l.n)
		s = sl_fail(err, SL_NOT_FOUND, "no model was published yet");
	return s == SL_OK ? announce(st->log, &l.entry[l.n - 1], err) : s;
}

/* The entry of *e, or CONFLICT when another writer has taken its number. */
static enum sl_status append(struct sl_artifacts *a, struct sl_alias_entry *e, struct sl_err *err)
{
	char path[SL_ALIAS_PATH];
	SL_AUTOJSON json_t *v = sl_alias_json(e);
	sl_alias_path(path, e->alias, e->n);
	enum sl_status s = sl_object_put(a, path, v, err);
	return s == SL_EXISTS ? sl_fail(err, SL_CONFLICT,
					"%s was moved by someone else just now: look at 'signloop model log'", e->alias)
			      : s;
}

/* The log is for ever: what does not fit is refused, not cut. */
static enum sl_status check_text(const char *name, const char *text, size_t size, struct sl_err *err)
{
	if (text && strlen(text) >= size)
		return sl_fail(err, SL_INVALID, "\"%s\" has %zu bytes; at most %zu", name, strlen(text), size - 1);
	return !text || sl_text_is_utf8(text) ? SL_OK : sl_fail(err, SL_INVALID, "\"%s\" is no UTF-8", name);
}

static enum sl_status try_publish(const struct sl_stores *st, const struct sl_config *cfg, const struct sl_publish *p,
	struct sl_alias_entry *e, json_t **ret_evaluation, struct sl_err *err)
{
	SL_AUTO(sl_alias_log_done) struct sl_alias_log l = {0};
	const char *alias = p->alias ? p->alias : SL_ALIAS_LIVE;
	enum sl_status s = sl_alias_log_read(st->artifacts, alias, &l, err);
	if (s == SL_OK)
		s = sl_alias_next(l.entry, l.n, alias, p->digest, e, err);
	if (s == SL_OK && p->digest && !strcmp(alias, SL_ALIAS_LIVE) && *e->previous)
		s = judge(st, cfg, p, e, ret_evaluation, err);
	if (s != SL_OK)
		return s;
	SL_COPY(e->by, p->by ? p->by : "");
	SL_COPY(e->note, p->note ? p->note : "");
	e->time_ms = sl_now_ms();
	return append(st->artifacts, e, err);
}

enum sl_status sl_model_publish(const struct sl_stores *st, const struct sl_config *cfg, const struct sl_publish *p,
	struct sl_alias_entry *ret, json_t **ret_evaluation, struct sl_err *err)
{
	struct sl_alias_entry e = {0};
	SL_AUTOJSON json_t *evaluation = NULL;
	enum sl_status s = SL_CONFLICT;
	/* A candidate that lost a race was not compared with anything: again. What is live is
	 * for a person to look at again. */
	int tries = p->alias && strcmp(p->alias, SL_ALIAS_LIVE) != 0 ? PUT_TRIES : 1;
	if (check_text("by", p->by, SL_ALIAS_WHO, err) != SL_OK ||
		check_text("note", p->note, SL_ALIAS_NOTE, err) != SL_OK)
		return SL_INVALID;
	if (p->digest) {
		SL_AUTO(sl_buf_done) struct sl_buf file = {0};
		s = sl_model_get(st->artifacts, p->digest, &file, err);
		if (s != SL_OK)
			return s;
		s = SL_CONFLICT;
	}
	for (int i = 0; i < tries && s == SL_CONFLICT; i++)
		s = try_publish(st, cfg, p, &e, &evaluation, err);
	if (ret_evaluation)
		*ret_evaluation = SL_TAKE(evaluation);
	if (s != SL_OK)
		return s;
	*ret = e;
	(void)announce(st->log, &e, p->unsaid); /* the alias log has it: who missed the message sees it there soon */
	return SL_OK;
}

/* ---- making and showing ---- */

enum sl_status sl_model_wrap(const struct sl_wrap *w, struct sl_buf *ret, struct sl_err *err)
{
	struct sl_bundle_parts p = {0};
	enum sl_status s = sl_bundle_read(w->base, &p, err);
	if (s != SL_OK)
		return s;
	json_t *info = p.info;
	if (w->detector.len)
		p.detector = w->detector;
	if (w->classifier.len)
		p.classifier = w->classifier;
	if (w->temperature > 0)
		json_object_set_new(json_object_get(info, "classifier"), "temperature", json_real(w->temperature));
	if (w->name)
		json_object_set_new(info, "name", json_string(w->name));
	if (w->created)
		json_object_set_new(info, "created", json_string(w->created));
	json_object_del(info, "parts");
	s = sl_bundle_write(&p, ret, err);
	json_decref(info);
	return s;
}

static json_t *aliases_of(struct sl_artifacts *a, json_t *names, const char *digest)
{
	json_t *ret = json_array(), *name;
	size_t i;
	json_array_foreach(names, i, name)
	{
		char at[SL_DIGEST] = "";
		if (sl_alias_digest(a, json_string_value(name), at, NULL) == SL_OK && !strcmp(at, digest))
			json_array_append(ret, name);
	}
	return ret;
}

enum sl_status sl_model_show(struct sl_artifacts *a, const char *digest, json_t **ret, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTOJSON json_t *names = NULL;
	struct sl_bundle *b = NULL;
	enum sl_status s = fetch_bundle(a, digest, &file, &b, err);
	if (s == SL_OK)
		s = sl_alias_names(a, &names, err);
	if (s == SL_OK)
		*ret = json_pack("{s:s,s:I,s:s,s:s,s:i,s:s,s:o}", "digest", digest, "bytes", (json_int_t)file.len,
			"name", b->name, "taxonomy", b->taxonomy->name, "classes", b->taxonomy->n, "card",
			b->card ? b->card : "", "aliases", aliases_of(a, names, digest));
	sl_bundle_unref(b);
	return s;
}

enum sl_status sl_model_list(struct sl_artifacts *a, json_t **ret, struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	SL_AUTOJSON json_t *names = NULL;
	enum sl_status s = sl_artifacts_list(a, "bundles/", &list, err);
	if (s == SL_OK)
		s = sl_alias_names(a, &names, err);
	if (s != SL_OK)
		return s;
	json_t *all = json_array();
	for (int i = 0; i < list.n; i++) {
		char digest[SL_DIGEST];
		if (digest_of_path(list.path[i], digest))
			json_array_append_new(
				all, json_pack("{s:s,s:I,s:o}", "digest", digest, "bytes", (json_int_t)list.size[i],
					     "aliases", aliases_of(a, names, digest)));
	}
	*ret = all;
	return SL_OK;
}
