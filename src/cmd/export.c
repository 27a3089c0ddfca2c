/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/stores.h"
#include "dataset/export.h"
#include <stdio.h>

static const struct sl_usage usage = {
	.name = "export",
	.synopsis = "export imagefolder|webdataset|coco|yolo PATH [--dataset VERSION] [--part PART]",
	.text = "writes a dataset version as files that other programs read",
	.more = "imagefolder: PATH/PART/CODE/KEY.jpg; webdataset: PATH/PART-PREFIX.tar; coco: PATH/images and annotations.json; yolo: "
		"PATH/images, labels and classes.txt. Parts: train, heldout, aside (crops that are no sign or unreadable), or all; "
		"without --part train and heldout. PATH must be new or empty.",
	.examples = "signloop export imagefolder crops --dataset latest\n"
		    "signloop export webdataset shards --dataset v0003 --part train",
	.words_min = 2,
	.words_max = 2,
	.takes_config = true,
};

static enum sl_status parts_of(const char *part, unsigned *ret, struct sl_err *err)
{
	enum sl_deal deal;
	if (!part)
		*ret = 1u << SL_DEAL_TRAIN | 1u << SL_DEAL_HELDOUT;
	else if (!strcmp(part, "all"))
		*ret = (1u << SL_DEALS) - 1;
	else if (sl_deal_find(part, &deal))
		*ret = 1u << deal;
	else
		return sl_fail(err, SL_USAGE, "export: --part is train, heldout, aside or all, not '%s'", part);
	return SL_OK;
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	const char *data = NULL, *version = "latest", *part = NULL;
	struct sl_stores st = {0};
	struct sl_words w;
	SL_AUTOJSON json_t *manifest = NULL;
	unsigned deals = 0;
	int64_t rows = 0;
	bool help, json = false;
	const struct sl_opt opts[] = {
		{"data", SL_OPT_STR, "DIR", "data folder (default: data)", &data, 0, 0},
		{"dataset", SL_OPT_STR, "VERSION", "v0001, ... (default: latest)", &version, 0, 0},
		{"part", SL_OPT_STR, "PART", "train, heldout, aside or all", &part, 0, 0},
		{"json", SL_OPT_FLAG, NULL, "one JSON object on standard output", &json, 0, 0},
		SL_OPT_END,
	};
	enum sl_status s = sl_opt_parse(&usage, opts, cfg, argc, argv, &w, &help, err);
	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	if (s == SL_OK)
		s = parts_of(part, &deals, err);
	if (s == SL_OK)
		s = sl_cmd_stores(cfg, data, false, &st, err);
	if (s != SL_OK)
		return s;
	s = sl_version_get(st.artifacts, version, &manifest, err);
	if (s == SL_OK)
		s = sl_export_run(st.artifacts, manifest, w.word[0], w.word[1], deals, &rows, err);
	sl_stores_close(&st);
	if (s != SL_OK)
		return s;
	if (json) {
		SL_AUTOJSON json_t *v = json_pack("{s:s,s:O,s:s,s:I}", "format", w.word[0], "version",
			json_object_get(manifest, "version"), "path", w.word[1], "rows", (json_int_t)rows);
		sl_cmd_print_json(v);
	} else {
		printf("%s: %lld rows of %s as %s\n", w.word[1], (long long)rows, sl_cmd_text(manifest, "version"),
			w.word[0]);
	}
	return SL_OK;
}

const struct sl_command sl_cmd_export = {&usage, run};
