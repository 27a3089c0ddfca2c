/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/remote.h"
#include "cmd/stores.h"
#include "dataset/registry.h"
#include <stdio.h>

static const struct sl_usage usage = {
	.name = "model",
	.synopsis =
		"model publish FILE|DIGEST | rollback | log | ls | show [DIGEST|ALIAS] | get DIGEST|ALIAS --out FILE | import "
		"[--detector FILE.onnx] [--classifier FILE.onnx]",
	.text = "publishes, rolls back, shows and imports models",
	.more = "publish stores the bundle and asks the gate: the candidate and the live model answer the same held-out rows of a "
		"dataset version, and a worse candidate is refused with the numbers (exit 1). --force publishes it all the same, which "
		"the log then says. rollback goes back to what was live before, once more each time.\n"
		"import puts a net of yours into the live bundle beside its other part and stores the result; publish it by the "
		"digest that is printed. Its input must fit: 'signloop bundle make' takes nets with other numbers.\n"
		"A digest may be cut to its first 6 digits or more. These commands work beside a running 'signloop up'.",
	.examples = "signloop model publish models/signs-de.bundle --note \"first\"\n"
		    "signloop model import --classifier mine.onnx\n"
		    "signloop model publish 3f2a91 --dataset v0003\n"
		    "signloop model publish mine.bundle --to http://127.0.0.1:8000\n"
		    "signloop model rollback\n"
		    "signloop model log --json",
	.words_min = 1,
	.words_max = 2,
	.takes_config = true,
};

struct flags {
	const char *data, *to, *alias, *by, *note, *dataset, *detector, *classifier, *name, *out;
	double temperature;
	bool force, json;
};

/* A stored digest, the start of one, an alias, or a bundle file, which is then stored. */
static enum sl_status resolve(
	const struct sl_stores *st, const char *word, bool may_be_file, char ret[SL_DIGEST], struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	if (may_be_file && sl_fs_is_file(word)) {
		enum sl_status s = sl_fs_read(word, &file, err);
		if (s == SL_OK)
			s = sl_model_put(st->artifacts, sl_buf_slice(&file), ret, err);
		return s == SL_OK ? s : sl_prefix(err, s, "%s", word);
	}
	if (sl_alias_is_valid(word) && sl_alias_digest(st->artifacts, word, ret, NULL) == SL_OK)
		return SL_OK;
	enum sl_status s = sl_model_find(st->artifacts, word, ret, err);
	if (s == SL_INVALID && may_be_file)
		return sl_fail(err, SL_NOT_FOUND, "%s: neither a file nor a stored digest", word);
	return s;
}

static void print_entry(const struct sl_alias_entry *e)
{
	char time[20];
	sl_cmd_time(e->time_ms, time);
	printf("%5lld  %s  %-8s  %.12s  was %-12.12s  %s%s%s%s\n", (long long)e->n, time,
		sl_alias_action_name(e->action), e->digest, *e->previous ? e->previous : "-", e->by,
		e->forced ? "  FORCED" : "", *e->note ? "  " : "", e->note);
}

static void print_published(
	const struct flags *f, const struct sl_alias_entry *e, json_t *evaluation, const struct sl_err *unsaid)
{
	if (unsaid->status)
		sl_log(SL_WARN, "model",
			"published, but the log was not told; processes see it within rollout.check_ms",
			SL_S("error", unsaid->text));
	if (f->json) {
		SL_AUTOJSON json_t *v = sl_alias_json(e);
		json_object_set(v, "evaluation", evaluation ? evaluation : json_null());
		json_object_set_new(v, "announced", json_boolean(!unsaid->status));
		sl_cmd_print_json(v);
		return;
	}
	if (json_is_object(evaluation))
		printf("gate: %s\n", sl_cmd_text(json_object_get(evaluation, "gate"), "text"));
	printf("%s is %s now (entry %lld%s%.12s%s)\n", e->alias, e->digest, (long long)e->n,
		*e->previous ? "; it was " : "", e->previous, e->forced ? "; forced" : "");
}

static enum sl_status publish(const struct flags *f, const struct sl_stores *st, const struct sl_config *cfg,
	const char *word, struct sl_err *err)
{
	char digest[SL_DIGEST];
	struct sl_alias_entry e;
	struct sl_err unsaid = {0};
	SL_AUTOJSON json_t *evaluation = NULL;
	struct sl_publish p = {.alias = f->alias,
		.digest = word ? digest : NULL,
		.force = f->force,
		.note = f->note,
		.unsaid = &unsaid,
		.by = f->by ? f->by : sl_cmd_user(),
		.version = f->dataset};
	enum sl_status s = word ? resolve(st, word, true, digest, err) : SL_OK;
	if (s == SL_OK)
		s = sl_model_publish(st, cfg, &p, &e, &evaluation, err);
	if (s != SL_OK) {
		if (f->json && evaluation)
			sl_cmd_print_json(evaluation);
		return s;
	}
	print_published(f, &e, evaluation, &unsaid);
	return SL_OK;
}

static enum sl_status show_log(const struct flags *f, const struct sl_stores *st, struct sl_err *err)
{
	SL_AUTO(sl_alias_log_done) struct sl_alias_log l = {0};
	const char *alias = f->alias ? f->alias : SL_ALIAS_LIVE;
	enum sl_status s = sl_alias_log_read(st->artifacts, alias, &l, err);
	if (s != SL_OK)
		return s;
	json_t *all = json_array();
	for (int i = 0; i < l.n; i++) {
		json_array_append_new(all, sl_alias_json(&l.entry[i]));
		if (!f->json)
			print_entry(&l.entry[i]);
	}
	SL_AUTOJSON json_t *v = json_pack("{s:s,s:o}", "alias", alias, "log", all);
	if (f->json)
		sl_cmd_print_json(v);
	else if (!l.n)
		printf("nothing was published as %s yet\n", alias);
	return SL_OK;
}

static void print_list(const struct flags *f, json_t *all)
{
	json_t *v, *alias;
	size_t i, k;
	if (f->json) {
		sl_cmd_print_json(all);
		return;
	}
	json_array_foreach(all, i, v)
	{
		printf("%s  %9lld bytes", sl_cmd_text(v, "digest"), (long long)sl_cmd_int(v, "bytes"));
		json_array_foreach(json_object_get(v, "aliases"), k, alias) printf("  %s", json_string_value(alias));
		printf("\n");
	}
}

static enum sl_status list(const struct flags *f, const struct sl_stores *st, struct sl_err *err)
{
	SL_AUTOJSON json_t *all = NULL;
	enum sl_status s = sl_model_list(st->artifacts, &all, err);
	if (s == SL_OK)
		print_list(f, all);
	return s;
}

static void print_model(const struct flags *f, json_t *v)
{
	json_t *alias;
	size_t i;
	if (f->json) {
		sl_cmd_print_json(v);
		return;
	}
	printf("digest    %s\nname      %s\ntaxonomy  %s, %lld classes\nbytes     %lld\naliases  ",
		sl_cmd_text(v, "digest"), sl_cmd_text(v, "name"), sl_cmd_text(v, "taxonomy"),
		(long long)sl_cmd_int(v, "classes"), (long long)sl_cmd_int(v, "bytes"));
	json_array_foreach(json_object_get(v, "aliases"), i, alias) printf(" %s", json_string_value(alias));
	printf("\n");
	if (*sl_cmd_text(v, "card"))
		printf("\n%s\n", sl_cmd_text(v, "card"));
}

static enum sl_status show(const struct flags *f, const struct sl_stores *st, const char *word, struct sl_err *err)
{
	char digest[SL_DIGEST];
	SL_AUTOJSON json_t *v = NULL;
	enum sl_status s = resolve(st, word ? word : SL_ALIAS_LIVE, false, digest, err);
	if (s == SL_OK)
		s = sl_model_show(st->artifacts, digest, &v, err);
	if (s == SL_OK)
		print_model(f, v);
	return s;
}

static enum sl_status get(const struct flags *f, const struct sl_stores *st, const char *word, struct sl_err *err)
{
	char digest[SL_DIGEST];
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	if (!word || !f->out)
		return sl_fail(err, SL_USAGE, "model get: wanted is DIGEST or ALIAS, and --out FILE");
	enum sl_status s = resolve(st, word, false, digest, err);
	if (s == SL_OK)
		s = sl_model_get(st->artifacts, digest, &file, err);
	if (s == SL_OK)
		s = sl_fs_write(f->out, sl_buf_slice(&file), true, err);
	if (s == SL_OK)
		printf("%s  %s\n", digest, f->out);
	return s;
}

static enum sl_status read_net(const char *path, struct sl_buf *ret, struct sl_err *err)
{
	return path ? sl_fs_read(path, ret, err) : SL_OK;
}

static enum sl_status import(const struct flags *f, const struct sl_stores *st, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf base = {0};
	SL_AUTO(sl_buf_done) struct sl_buf detector = {0};
	SL_AUTO(sl_buf_done) struct sl_buf classifier = {0};
	SL_AUTO(sl_buf_done) struct sl_buf out = {0};
	char live[SL_DIGEST], digest[SL_DIGEST], created[25];
	if (!f->detector && !f->classifier)
		return sl_fail(
			err, SL_USAGE, "model import: name --detector FILE.onnx, --classifier FILE.onnx, or both");
	enum sl_status s = sl_alias_digest(st->artifacts, SL_ALIAS_LIVE, live, err);
	if (s == SL_OK)
		s = sl_model_get(st->artifacts, live, &base, err);
	if (s == SL_OK)
		s = read_net(f->detector, &detector, err);
	if (s == SL_OK)
		s = read_net(f->classifier, &classifier, err);
	if (s != SL_OK)
		return s;
	sl_time_text(sl_now_ms(), created);
	struct sl_wrap w = {.base = sl_buf_slice(&base),
		.detector = sl_buf_slice(&detector),
		.classifier = sl_buf_slice(&classifier),
		.temperature = f->temperature,
		.name = f->name ? f->name : "imported",
		.created = created};
	s = sl_model_wrap(&w, &out, err);
	if (s == SL_OK)
		s = sl_model_put(st->artifacts, sl_buf_slice(&out), digest, err);
	if (s != SL_OK)
		return sl_prefix(err, s, "model import");
	if (f->json) {
		SL_AUTOJSON json_t *v = json_pack("{s:s,s:s}", "digest", digest, "base", live);
		sl_cmd_print_json(v);
	} else {
		printf("%s\nstored; 'signloop model publish %.12s' puts it into service\n", digest, digest);
	}
	return SL_OK;
}

/* ---- by a running server ---- */

/* A file is sent there first. */
static enum sl_status upload(const struct flags *f, const char *word, char ret[SL_DIGEST], struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTOJSON json_t *v = NULL;
	if (!sl_fs_is_file(word)) {
		snprintf(ret, SL_DIGEST, "%s", word);
		return SL_OK;
	}
	enum sl_status s = sl_fs_read(word, &file, err);
	if (s == SL_OK)
		s = sl_remote_bytes(
			f->to, "POST", "/v1/models", "application/octet-stream", sl_buf_slice(&file), &v, err);
	if (s == SL_OK)
		snprintf(ret, SL_DIGEST, "%s", sl_cmd_text(v, "digest"));
	return s;
}

static enum sl_status publish_remote(const struct flags *f, const char *word, struct sl_err *err)
{
	char digest[SL_DIGEST] = "";
	SL_AUTOJSON json_t *v = NULL;
	struct sl_alias_entry e;
	enum sl_status s = word ? upload(f, word, digest, err) : SL_OK;
	if (s != SL_OK)
		return s;
	SL_AUTOFREE char *path = word ? sl_asprintf("/v1/models/%s/promote", digest) : sl_strdup("/v1/models/rollback");
	json_t *body = json_pack("{s:s,s:s,s:b}", "by", f->by ? f->by : sl_cmd_user(), "note", f->note ? f->note : "",
		"force", (int)f->force);
	if (f->dataset)
		json_object_set_new(body, "dataset", json_string(f->dataset));
	s = sl_remote_json(f->to, "POST", path, body, &v, err);
	if (s == SL_OK)
		s = sl_alias_parse(v, f->to, &e, err);
	if (s != SL_OK)
		return s;
	struct sl_err unsaid = {0};
	if (json_is_false(json_object_get(v, "announced")))
		sl_fail(&unsaid, SL_AWAY, "the log of %s is away", f->to);
	print_published(f, &e, json_object_get(v, "evaluation"), &unsaid);
	return SL_OK;
}

static enum sl_status read_remote(const struct flags *f, const char *verb, const char *word, struct sl_err *err)
{
	bool log = !strcmp(verb, "log"), ls = !strcmp(verb, "ls");
	const char *alias = f->alias ? f->alias : SL_ALIAS_LIVE;
	SL_AUTOJSON json_t *v = NULL, *model = NULL;
	struct sl_alias_entry e;
	json_t *entry;
	size_t i;
	SL_AUTOFREE char *path = log ? sl_asprintf("/v1/models/log?alias=%s", sl_alias_is_valid(alias) ? alias : "-")
				     : sl_strdup("/v1/models");
	enum sl_status s = sl_remote_json(f->to, "GET", path, NULL, &v, err);
	if (s != SL_OK)
		return s;
	if (log && f->json)
		sl_cmd_print_json(v);
	if (log && !f->json)
		json_array_foreach(json_object_get(v, "log"), i,
			entry) if (sl_alias_parse(entry, f->to, &e, err) == SL_OK) print_entry(&e);
	if (ls)
		print_list(f, json_object_get(v, "models"));
	if (log || ls)
		return SL_OK;
	const char *digest = word && strcmp(word, SL_ALIAS_LIVE) && strcmp(word, SL_ALIAS_CANDIDATE)
				     ? word
				     : sl_cmd_text(v, word ? word : SL_ALIAS_LIVE);
	SL_AUTOFREE char *one = sl_asprintf("/v1/models/%s", *digest ? digest : "none");
	s = sl_remote_json(f->to, "GET", one, NULL, &model, err);
	if (s == SL_OK)
		print_model(f, model);
	return s;
}

static enum sl_status act_remote(const struct flags *f, const char *verb, const char *word, struct sl_err *err)
{
	if (!strcmp(verb, "publish") || !strcmp(verb, "rollback")) {
		if (f->alias && strcmp(f->alias, SL_ALIAS_LIVE) != 0)
			return sl_fail(err, SL_USAGE, "model %s: by --to only the alias live is moved", verb);
		return publish_remote(f, word, err);
	}
	if (!strcmp(verb, "get") || !strcmp(verb, "import"))
		return sl_fail(err, SL_UNSUPPORTED, "model %s works on a data folder: leave --to away", verb);
	return read_remote(f, verb, word, err);
}

static enum sl_status act(const struct flags *f, const struct sl_words *w, struct sl_config *cfg, struct sl_err *err)
{
	static const char *const verbs[] = {"publish", "rollback", "log", "ls", "show", "get", "import"};
	const char *verb = w->word[0], *word = w->n > 1 ? w->word[1] : NULL;
	struct sl_stores st = {0};
	size_t i = 0;
	while (i < SL_COUNT(verbs) && strcmp(verbs[i], verb) != 0)
		i++;
	if (i == SL_COUNT(verbs)) {
		const char *near = sl_nearest(verb, verbs, SL_COUNT(verbs));
		return sl_fail(err, SL_USAGE,
			"model: '%s' is none of publish, rollback, log, ls, show, get, import%s%s%s", verb,
			near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	}
	if (!strcmp(verb, "publish") && !word)
		return sl_fail(err, SL_USAGE, "model publish: name a bundle file or the digest of a stored one");
	if ((!strcmp(verb, "rollback") || !strcmp(verb, "log") || !strcmp(verb, "ls") || !strcmp(verb, "import")) &&
		word)
		return sl_fail(err, SL_USAGE, "model %s: '%s' is too much", verb, word);
	if (f->to)
		return act_remote(f, verb, word, err);
	enum sl_status s = sl_cmd_stores(cfg, f->data, !strcmp(verb, "publish"), &st, err);
	if (s != SL_OK)
		return s;
	if (!strcmp(verb, "publish") || !strcmp(verb, "rollback"))
		s = publish(f, &st, cfg, word, err);
	else if (!strcmp(verb, "log"))
		s = show_log(f, &st, err);
	else if (!strcmp(verb, "ls"))
		s = list(f, &st, err);
	else if (!strcmp(verb, "show"))
		s = show(f, &st, word, err);
	else
		s = !strcmp(verb, "get") ? get(f, &st, word, err) : import(f, &st, err);
	sl_stores_close(&st);
	return s;
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	struct flags f = {.temperature = 0};
	struct sl_words w;
	bool help;
	const struct sl_opt opts[] = {
		{"data", SL_OPT_STR, "DIR", "data folder (default: data)", &f.data, 0, 0},
		{"to", SL_OPT_STR, "URL", "by a running server instead: publish, rollback, log, ls, show", &f.to, 0, 0},
		{"alias", SL_OPT_STR, "NAME", "alias to publish, roll back or show (default: live)", &f.alias, 0, 0},
		{"dataset", SL_OPT_STR, "VERSION", "held-out rows of this version judge (default: latest)", &f.dataset,
			0, 0},
		{"force", SL_OPT_FLAG, NULL, "publish against the gate's word; the log says so", &f.force, 0, 0},
		{"by", SL_OPT_STR, "NAME", "who, for the log (default: the user)", &f.by, 0, 0},
		{"note", SL_OPT_STR, "TEXT", "why, for the log", &f.note, 0, 0},
		{"detector", SL_OPT_STR, "FILE.onnx", "import: the detector", &f.detector, 0, 0},
		{"classifier", SL_OPT_STR, "FILE.onnx", "import: the classifier", &f.classifier, 0, 0},
		{"temperature", SL_OPT_NUM, "T", "import: the classifier's calibration (default: the live one's)",
			&f.temperature, 0.01, 100},
		{"name", SL_OPT_STR, "NAME", "import: name of the new bundle", &f.name, 0, 0},
		{"out", SL_OPT_STR, "FILE", "get: where the bundle goes", &f.out, 0, 0},
		{"json", SL_OPT_FLAG, NULL, "one JSON object on standard output", &f.json, 0, 0},
		SL_OPT_END,
	};
	enum sl_status s = sl_opt_parse(&usage, opts, cfg, argc, argv, &w, &help, err);
	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	return s == SL_OK ? act(&f, &w, cfg, err) : s;
}

const struct sl_command sl_cmd_model = {&usage, run};
