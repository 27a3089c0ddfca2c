/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/remote.h"
#include "cmd/stores.h"
#include "dataset/forget.h"
#include "dataset/version.h"
#include <stdio.h>

static const struct sl_usage usage = {
	.name = "dataset",
	.synopsis =
		"dataset snapshot [--note TEXT] | ls | show VERSION | diff A B | check VERSION | forget KEY|--device D",
	.text = "makes immutable versions of what was labelled, shows and checks them",
	.more = "snapshot takes every final label with its crop, the one that counts for each, and writes shards and a manifest; "
		"cite a version by its name and sha256. A part is held out of training for good, by frame or drive, so that models can "
		"be compared on it.\n"
		"forget takes a crop, or all of a device, out of the crop store and out of all later versions. Versions that exist are "
		"cited and stay as they are; the report names those that still hold it. To erase it there too, remove these "
		"versions' shards from the artifact store; 'dataset check' then says that they are gone.\n"
		"VERSION is v0001, v0002, ... or latest.",
	.examples = "signloop dataset snapshot --note \"after the first week\"\n"
		    "signloop dataset diff v0001 v0002\n"
		    "signloop dataset check latest\n"
		    "signloop dataset forget --device car7 --note \"asked by its owner\"",
	.words_min = 1,
	.words_max = 3,
	.takes_config = true,
};

struct flags {
	const char *data, *to, *note, *device;
	bool force, json;
};

static void print_classes(const json_t *m)
{
	json_t *v;
	const char *code;
	printf("%-16s %8s %8s %8s\n", "class", "train", "heldout", "aside");
	json_object_foreach(json_object_get(m, "classes"), code, v)
		printf("%-16s %8lld %8lld %8lld\n", code, (long long)sl_cmd_int(v, "train"),
			(long long)sl_cmd_int(v, "heldout"), (long long)sl_cmd_int(v, "aside"));
}

static void print_line(const json_t *m)
{
	char time[20];
	const json_t *parts = json_object_get(m, "parts");
	sl_cmd_time(sl_cmd_int(m, "time"), time);
	printf("%s  %s  %7lld rows (%lld train, %lld held out, %lld aside)  %.12s  %s\n", sl_cmd_text(m, "version"),
		time, (long long)sl_cmd_int(m, "rows"), (long long)sl_cmd_int(parts, "train"),
		(long long)sl_cmd_int(parts, "heldout"), (long long)sl_cmd_int(parts, "aside"),
		sl_cmd_text(m, "sha256"), sl_cmd_text(m, "note"));
}

static void print_snapshot(const struct flags *f, const json_t *m)
{
	if (f->json)
		sl_cmd_print_json(m);
	else if (json_is_true(json_object_get(m, "new")))
		print_line(m);
	else
		printf("nothing new since %s; --force makes a version all the same\n", sl_cmd_text(m, "version"));
}

static enum sl_status snapshot(
	const struct flags *f, const struct sl_stores *st, const struct sl_config *cfg, struct sl_err *err)
{
	struct sl_snapshot o = {f->note, f->force};
	SL_AUTOJSON json_t *m = NULL;
	enum sl_status s = sl_version_snapshot(st->artifacts, cfg, &o, &m, err);
	if (s != SL_OK && s != SL_EXISTS)
		return s;
	json_object_set_new(m, "new", json_boolean(s == SL_OK));
	print_snapshot(f, m);
	return SL_OK;
}

static void print_list(const struct flags *f, const json_t *v)
{
	json_t *all = json_object_get(v, "datasets"), *m;
	size_t i;
	if (f->json) {
		sl_cmd_print_json(v);
		return;
	}
	json_array_foreach(all, i, m) print_line(m);
	if (!json_array_size(all))
		printf("there is no version yet; 'signloop dataset snapshot' makes one\n");
}

static enum sl_status list(const struct flags *f, const struct sl_stores *st, struct sl_err *err)
{
	SL_AUTOJSON json_t *all = NULL;
	enum sl_status s = sl_version_list(st->artifacts, &all, err);
	if (s != SL_OK)
		return s;
	SL_AUTOJSON json_t *v = json_pack("{s:O}", "datasets", all);
	print_list(f, v);
	return SL_OK;
}

static void print_version(const struct flags *f, const json_t *m)
{
	json_t *v;
	const char *key;
	if (f->json) {
		sl_cmd_print_json(m);
		return;
	}
	print_line(m);
	printf("sha256 %s, %zu shards, held out share %g\nsources:", sl_cmd_text(m, "sha256"),
		json_array_size(json_object_get(m, "shards")), json_number_value(json_object_get(m, "holdout")));
	json_object_foreach(json_object_get(m, "sources"), key, v)
		printf(" %s %lld", key, (long long)json_integer_value(v));
	printf("\nbundles:");
	json_object_foreach(json_object_get(m, "bundles"), key, v)
		printf(" %.12s %lld", key, (long long)json_integer_value(v));
	printf("\n");
	print_classes(m);
}

static enum sl_status show(const struct flags *f, const struct sl_stores *st, const char *name, struct sl_err *err)
{
	SL_AUTOJSON json_t *m = NULL;
	enum sl_status s = sl_version_get(st->artifacts, name, &m, err);
	if (s == SL_OK)
		print_version(f, m);
	return s;
}

static enum sl_status act_remote(const struct flags *f, const char *verb, const char *name, struct sl_err *err)
{
	SL_AUTOJSON json_t *v = NULL;
	enum sl_status s;
	if (!strcmp(verb, "snapshot")) {
		json_t *body = json_pack("{s:s,s:b}", "note", f->note ? f->note : "", "force", (int)f->force);
		s = sl_remote_json(f->to, "POST", "/v1/datasets", body, &v, err);
		if (s == SL_OK)
			print_snapshot(f, v);
	} else if (!strcmp(verb, "ls")) {
		s = sl_remote_json(f->to, "GET", "/v1/datasets", NULL, &v, err);
		if (s == SL_OK)
			print_list(f, v);
	} else if (!strcmp(verb, "show")) {
		if (strcmp(name, "latest") && !sl_version_number(name))
			return sl_fail(err, SL_INVALID,
				"'%.40s' is no dataset version; versions are called v0001, v0002, ... or latest", name);
		SL_AUTOFREE char *path = sl_asprintf("/v1/datasets/%s", name);
		s = sl_remote_json(f->to, "GET", path, NULL, &v, err);
		if (s == SL_OK)
			print_version(f, v);
	} else {
		s = sl_fail(err, SL_UNSUPPORTED, "dataset %s works on a data folder: leave --to away", verb);
	}
	return s;
}

static enum sl_status diff(
	const struct flags *f, const struct sl_stores *st, const char *a, const char *b, struct sl_err *err)
{
	SL_AUTOJSON json_t *x = NULL, *y = NULL, *d = NULL;
	json_t *v;
	const char *code;
	size_t i;
	enum sl_status s = sl_version_get(st->artifacts, a, &x, err);
	if (s == SL_OK)
		s = sl_version_get(st->artifacts, b, &y, err);
	if (s == SL_OK)
		s = sl_version_diff(st->artifacts, x, y, &d, err);
	if (s != SL_OK)
		return s;
	if (f->json) {
		sl_cmd_print_json(d);
		return SL_OK;
	}
	json_array_foreach(json_object_get(d, "added"), i, v) printf("+ %s\n", json_string_value(v));
	json_array_foreach(json_object_get(d, "removed"), i, v) printf("- %s\n", json_string_value(v));
	json_array_foreach(json_object_get(d, "changed"), i, v)
		printf("~ %s  %s -> %s\n", sl_cmd_text(v, "key"), sl_cmd_text(v, "from"), sl_cmd_text(v, "to"));
	json_object_foreach(json_object_get(d, "classes"), code, v)
		printf("%-16s %+lld\n", code, (long long)json_integer_value(v));
	printf("%s to %s: %zu added, %zu removed, %zu changed\n", sl_cmd_text(d, "from"), sl_cmd_text(d, "to"),
		json_array_size(json_object_get(d, "added")), json_array_size(json_object_get(d, "removed")),
		json_array_size(json_object_get(d, "changed")));
	return SL_OK;
}

static enum sl_status check(const struct flags *f, const struct sl_stores *st, const char *name, struct sl_err *err)
{
	SL_AUTOJSON json_t *m = NULL, *findings = json_array();
	json_t *v;
	size_t i;
	enum sl_status s = sl_version_get(st->artifacts, name, &m, err);
	if (s == SL_OK)
		s = sl_version_check(st->artifacts, m, findings, err);
	if (s != SL_OK)
		return s;
	bool ok = !json_array_size(findings);
	if (f->json) {
		SL_AUTOJSON json_t *all = json_pack("{s:b,s:O,s:O,s:O}", "ok", (int)ok, "version",
			json_object_get(m, "version"), "rows", json_object_get(m, "rows"), "findings", findings);
		sl_cmd_print_json(all);
	} else {
		json_array_foreach(findings, i, v)
			printf("%s %s: %s\n", sl_cmd_text(v, "what"), sl_cmd_text(v, "where"), sl_cmd_text(v, "why"));
		if (ok)
			printf("%s is whole: %lld rows in %zu shards\n", sl_cmd_text(m, "version"),
				(long long)sl_cmd_int(m, "rows"), json_array_size(json_object_get(m, "shards")));
	}
	return ok ? SL_OK
		  : sl_fail(err, SL_REFUSED, "dataset check: %s is not whole: %zu findings", sl_cmd_text(m, "version"),
			    json_array_size(findings));
}

static enum sl_status forget(const struct flags *f, const struct sl_stores *st, const char *key, struct sl_err *err)
{
	SL_AUTOJSON json_t *r = NULL;
	json_t *v;
	size_t i;
	if (!key == !f->device)
		return sl_fail(err, SL_USAGE, "dataset forget: name one KEY, or --device D");
	enum sl_status s =
		key ? sl_forget_key(st, key, f->note, &r, err) : sl_forget_device(st, f->device, f->note, &r, err);
	if (s != SL_OK)
		return s;
	if (f->json) {
		sl_cmd_print_json(r);
		return SL_OK;
	}
	printf("%zu crops forgotten: gone from the crop store and from all later versions\n",
		json_array_size(json_object_get(r, "keys")));
	if (json_array_size(json_object_get(r, "versions"))) {
		printf("these versions are cited and keep their bytes:");
		json_array_foreach(json_object_get(r, "versions"), i, v) printf(" %s", json_string_value(v));
		printf("\n");
	}
	if (json_array_size(json_object_get(r, "segments")))
		printf("so do %zu segments (--json names them)\n", json_array_size(json_object_get(r, "segments")));
	return SL_OK;
}

static enum sl_status act(const struct flags *f, const struct sl_words *w, struct sl_config *cfg, struct sl_err *err)
{
	static const struct {
		const char *name;
		int min, max;
	} verbs[] = {
		{"snapshot", 1, 1}, {"ls", 1, 1}, {"show", 2, 2}, {"diff", 3, 3}, {"check", 2, 2}, {"forget", 1, 2}};
	const char *verb = w->word[0];
	struct sl_stores st = {0};
	size_t i = 0;
	while (i < SL_COUNT(verbs) && strcmp(verbs[i].name, verb) != 0)
		i++;
	if (i == SL_COUNT(verbs))
		return sl_fail(err, SL_USAGE, "dataset: '%s' is none of snapshot, ls, show, diff, check, forget", verb);
	if (w->n < verbs[i].min || w->n > verbs[i].max)
		return sl_fail(err, SL_USAGE, "dataset %s: %s; see 'signloop dataset --help'", verb,
			w->n < verbs[i].min ? "a version is missing" : "that is too much");
	const char *first = w->n > 1 ? w->word[1] : NULL;
	if (f->to)
		return act_remote(f, verb, first, err);
	enum sl_status s = sl_cmd_stores(cfg, f->data, false, &st, err);
	if (s != SL_OK)
		return s;
	if (!strcmp(verb, "snapshot"))
		s = snapshot(f, &st, cfg, err);
	else if (!strcmp(verb, "ls"))
		s = list(f, &st, err);
	else if (!strcmp(verb, "show"))
		s = show(f, &st, first, err);
	else if (!strcmp(verb, "diff"))
		s = diff(f, &st, first, w->word[2], err);
	else
		s = !strcmp(verb, "check") ? check(f, &st, first, err) : forget(f, &st, first, err);
	sl_stores_close(&st);
	return s;
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	struct flags f = {.data = NULL};
	struct sl_words w;
	bool help;
	const struct sl_opt opts[] = {
		{"data", SL_OPT_STR, "DIR", "data folder (default: data)", &f.data, 0, 0},
		{"to", SL_OPT_STR, "URL", "by a running server instead: snapshot, ls, show", &f.to, 0, 0},
		{"note", SL_OPT_STR, "TEXT", "snapshot, forget: why", &f.note, 0, 0},
		{"force", SL_OPT_FLAG, NULL, "snapshot: a new version even if nothing is new", &f.force, 0, 0},
		{"device", SL_OPT_STR, "D", "forget: all crops of this device", &f.device, 0, 0},
		{"json", SL_OPT_FLAG, NULL, "one JSON object on standard output", &f.json, 0, 0},
		SL_OPT_END,
	};
	enum sl_status s = sl_opt_parse(&usage, opts, cfg, argc, argv, &w, &help, err);
	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	return s == SL_OK ? act(&f, &w, cfg, err) : s;
}

const struct sl_command sl_cmd_dataset = {&usage, run};
