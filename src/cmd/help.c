/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cmd/command.h"
#include "core/settings.h"
#include "dataset/source.h"
#include <stdio.h>
#include <unistd.h>

static const struct sl_usage usage = {
	.name = "help",
	.synopsis = "help [COMMAND|config|formats]",
	.text = "lists the commands, or explains one, the settings, or the data formats",
	.examples = "signloop help train\nsignloop help config\nsignloop help formats",
	.words_max = 1,
};

static void list_commands(void)
{
	printf("signloop %s: road frames in, better traffic-sign models out\n\nusage: signloop COMMAND [OPTION...]\n\n", SL_VERSION);
	for (const struct sl_command *const *c = sl_commands; *c; c++)
		printf("  %-9s %s\n", (*c)->usage->name, (*c)->usage->text);
	printf("\n'signloop COMMAND --help' explains one; start with 'signloop up --demo'.\n"
	       "Settings: flag over environment over file (--config FILE); 'signloop help config' lists them.\n"
	       "Exit status: 0 done, 1 the answer is no, 2 wrong use or input, 3 could not.\n");
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	static const struct sl_opt none[] = {SL_OPT_END};
	struct sl_words w;
	bool help;
	enum sl_status s = sl_opt_parse(&usage, none, NULL, argc, argv, &w, &help, err);
	if (s == SL_OK && help)
		return sl_command_help(&usage, none);
	if (s != SL_OK)
		return s;
	int width = sl_terminal_width(STDOUT_FILENO);
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	if (!w.n) {
		list_commands();
		return SL_OK;
	}
	if (!strcmp(w.word[0], "formats")) {
		for (const struct sl_format *f = sl_formats; f->name; f++)
			printf("%-12s %s  %s\n", f->name, f->scenes ? "scenes" : "crops ", f->text);
		return SL_OK;
	}
	if (!strcmp(w.word[0], "config")) {
		s = sl_config_print(cfg, width, &b);
		fwrite(b.ptr, 1, b.len, stdout);
		return s;
	}
	for (const struct sl_command *const *c = sl_commands; *c; c++)
		if (!strcmp((*c)->usage->name, w.word[0])) {
			char *ask[] = {(char *)w.word[0], (char *)"--help", NULL};
			return (*c)->run(2, ask, cfg, err);
		}
	return sl_fail(err, SL_USAGE, "help: nothing is called '%s'; 'signloop help' lists the commands", w.word[0]);
}

const struct sl_command sl_cmd_help = {&usage, run};
