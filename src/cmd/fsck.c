/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/stores.h"
#include "role/fsck.h"
#include <stdio.h>
#include <unistd.h>

static const struct sl_usage usage = {
	.name = "fsck",
	.synopsis = "fsck [--all|--recompute|--repair] [--data DIR]",
	.text = "walks all stores and names whatever breaks a promise",
	.more = "Checks that every label and every consumed review message has its crop and its effect, that decided reviews have "
		"their label, that segments tile the log, and that the alias log is whole. --recompute also decides every review again "
		"from the vote log. --all does that too and reads and hashes every byte: crops, segments, shards, bundles. What is only "
		"on its way is counted as waiting: messages, labels in the outbox, frames kept in the data folder's spool/; so are dead letters. It may run beside a serving process.\n"
		"--repair does what can be done again without harm (publish a decided review's label, open a review again, remove a "
		"forgotten crop) and prints each. Exit 1 when something is broken.",
	.examples = "signloop fsck --data data\n"
		    "signloop fsck --all --json\n"
		    "signloop fsck --repair",
	.words_min = 0,
	.words_max = 0,
	.takes_config = true,
};

static void say(void *arg, const char *what)
{
	fprintf(stderr, "\r\033[K%s ...", what);
}

static void print_members(const char *head, const json_t *o)
{
	json_t *v;
	const char *name;
	printf("%s", head);
	json_object_foreach((json_t *)o, name, v) printf(" %s %lld", name, (long long)json_integer_value(v));
	printf("\n");
}

static void print_list(const json_t *list, const char *prefix)
{
	json_t *v;
	size_t i;
	json_array_foreach(list, i, v)
		printf("%s%s %s: %s\n", prefix, sl_cmd_text(v, "what"), sl_cmd_text(v, "where"), sl_cmd_text(v, "why"));
}

static void print(const json_t *r)
{
	print_list(json_object_get(r, "repaired"), "repaired: ");
	print_list(json_object_get(r, "findings"), "");
	if (sl_cmd_int(r, "more"))
		printf("and %lld more findings\n", (long long)sl_cmd_int(r, "more"));
	print_members("checked:", json_object_get(r, "checked"));
	print_members("waiting:", json_object_get(r, "waiting"));
	if (json_is_true(json_object_get(r, "ok")))
		printf("nothing is broken\n");
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	const char *data = NULL;
	bool help, json = false, all = false;
	struct sl_fsck o = {.progress = isatty(STDERR_FILENO) ? say : NULL};
	struct sl_stores st = {0};
	struct sl_words w;
	SL_AUTOJSON json_t *r = NULL;
	const struct sl_opt opts[] = {
		{"data", SL_OPT_STR, "DIR", "data folder (default: data)", &data, 0, 0},
		{"all", SL_OPT_FLAG, NULL, "everything, byte by byte, verdicts too", &all, 0, 0},
		{"recompute", SL_OPT_FLAG, NULL, "every verdict again from the vote log", &o.recompute, 0, 0},
		{"repair", SL_OPT_FLAG, NULL, "do again what can be done again without harm", &o.repair, 0, 0},
		{"json", SL_OPT_FLAG, NULL, "one JSON object on standard output", &json, 0, 0},
		SL_OPT_END,
	};
	enum sl_status s = sl_opt_parse(&usage, opts, cfg, argc, argv, &w, &help, err);
	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	if (s == SL_OK)
		s = sl_cmd_stores(cfg, data, false, &st, err);
	if (s != SL_OK)
		return s;
	o.data_dir = sl_config_str(cfg, "data");
	o.bytes = all;
	o.recompute |= all;
	s = sl_fsck_run(&st, &o, &r, err);
	sl_stores_close(&st);
	if (o.progress)
		fputs("\r\033[K", stderr);
	if (s != SL_OK)
		return s;
	if (json)
		sl_cmd_print_json(r);
	else
		print(r);
	size_t n = json_array_size(json_object_get(r, "findings"));
	return n ? sl_fail(err, SL_REFUSED, "fsck: %zu findings", n + (size_t)sl_cmd_int(r, "more")) : SL_OK;
}

const struct sl_command sl_cmd_fsck = {&usage, run};
