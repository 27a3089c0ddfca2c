/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/stores.h"
#include "dataset/ingest.h"
#include "dataset/registry.h"
#include <stdio.h>
#include <unistd.h>

static const struct sl_usage usage = {
	.name = "import",
	.synopsis = "import FORMAT PATH [--taxonomy FILE.json] [--limit N]",
	.text = "brings labelled images along: crops and final labels with source gold",
	.more = "Each labelled sign becomes a crop and a label that people's votes are equal to. Roles that run take them up; else "
		"they wait in the log for the next 'signloop up', which makes them rows of the next version. Importing the same again "
		"makes no second crop. 'signloop help formats' lists the formats. Class codes are those of the live bundle's taxonomy, "
		"or of --taxonomy.",
	.examples = "signloop import imagefolder crops --taxonomy taxonomy/de.json\n"
		    "signloop import gtsrb gtsrb-train.tar.gz --limit 2000 --data data",
	.words_min = 2,
	.words_max = 2,
	.takes_config = true,
};

static int class_of(void *arg, const char *code)
{
	return sl_taxonomy_find(arg, code);
}

static void show(void *arg, int done, int all)
{
	int64_t *next_us = arg;
	if (sl_mono_us() < *next_us && done < all)
		return;
	*next_us = sl_mono_us() + 500000;
	fprintf(stderr, "\r\033[K%d of %d pictures%s", done, all, done == all ? "\r\033[K" : "");
}

static enum sl_status read_taxonomy(
	const struct sl_stores *st, const char *path, struct sl_taxonomy **ret, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_bundle_parts p = {0};
	char live[SL_DIGEST];
	enum sl_status s;
	if (path) {
		s = sl_fs_read(path, &file, err);
		return s == SL_OK ? sl_taxonomy_parse(sl_buf_slice(&file), ret, err) : s;
	}
	s = sl_alias_digest(st->artifacts, SL_ALIAS_LIVE, live, err);
	if (s == SL_NOT_FOUND)
		return sl_fail(
			err, s, "import: no model is live yet, so classes have no codes; name --taxonomy FILE.json");
	if (s == SL_OK)
		s = sl_model_get(st->artifacts, live, &file, err);
	if (s == SL_OK)
		s = sl_bundle_read(sl_buf_slice(&file), &p, err);
	if (s == SL_OK)
		s = sl_taxonomy_parse(p.taxonomy, ret, err);
	json_decref(p.info);
	return s;
}

static enum sl_status import(const struct sl_stores *st, const struct sl_config *cfg, const struct sl_words *w,
	const char *taxonomy_path, int64_t limit, struct sl_ingest_result *ret, struct sl_err *err)
{
	SL_AUTOFREE char *spec = sl_asprintf("%s:%s", w->word[0], w->word[1]);
	struct sl_taxonomy *taxonomy = NULL;
	struct sl_source *source = NULL;
	int64_t next_us = 0;
	enum sl_status s = read_taxonomy(st, taxonomy_path, &taxonomy, err);
	struct sl_source_options so = {.limit = (int)limit, .class_of = class_of, .arg = taxonomy, .cfg = cfg};
	if (s == SL_OK)
		s = sl_source_open(spec, &so, &source, err);
	struct sl_ingest o = {.taxonomy = taxonomy,
		.device = "import",
		.progress = isatty(STDERR_FILENO) ? show : NULL,
		.arg = &next_us};
	if (s == SL_OK)
		s = sl_ingest_run(st, source, &o, ret, err);
	sl_source_free(source);
	sl_taxonomy_free(taxonomy);
	return s;
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	const char *data = NULL, *taxonomy = NULL;
	int64_t limit = 0;
	struct sl_stores st = {0};
	struct sl_ingest_result r = {0};
	struct sl_words w;
	bool help, json = false;
	const struct sl_opt opts[] = {
		{"data", SL_OPT_STR, "DIR", "data folder (default: data)", &data, 0, 0},
		{"taxonomy", SL_OPT_STR, "FILE.json", "class codes; default: the live bundle's", &taxonomy, 0, 0},
		{"limit", SL_OPT_INT, "N", "take only N pictures, evenly spread", &limit, 1, 1e9},
		{"json", SL_OPT_FLAG, NULL, "one JSON object on standard output", &json, 0, 0},
		SL_OPT_END,
	};
	enum sl_status s = sl_opt_parse(&usage, opts, cfg, argc, argv, &w, &help, err);
	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	if (s == SL_OK && !sl_fs_is_dir(w.word[1]) && !sl_fs_is_file(w.word[1]) && strcmp(w.word[0], "dataset") != 0)
		s = sl_fail(err, SL_USAGE, "import: %s: no such file or folder", w.word[1]);
	if (s == SL_OK)
		s = sl_cmd_stores(cfg, data, true, &st, err);
	if (s != SL_OK)
		return s;
	s = import(&st, cfg, &w, taxonomy, limit, &r, err);
	sl_stores_close(&st);
	if (s != SL_OK)
		return s;
	if (json) {
		SL_AUTOJSON json_t *v = json_pack("{s:i,s:i,s:i,s:i}", "labels", r.crops, "negatives", r.negatives,
			"ignored", r.ignored, "unknown", r.unknown);
		sl_cmd_print_json(v);
	} else {
		printf("%d labels and %d pictures without a sign imported; %d boxes ignored, %d of classes the taxonomy has not\n",
			r.crops, r.negatives, r.ignored, r.unknown);
	}
	return SL_OK;
}

const struct sl_command sl_cmd_import = {&usage, run};
