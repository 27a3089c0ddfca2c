/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cmd/command.h"
#include "core/settings.h"
#include "dataset/source.h"
#include "store/stores.h"
#include <stdio.h>
#include <unistd.h>

static const struct sl_usage usage = {
	.name = "help",
	.synopsis = "help [COMMAND|config|formats|stores]",
	.text = "lists the commands, or explains one, the settings, the data formats, or the URLs of stores",
	.examples = "signloop help train\nsignloop help config\nsignloop help formats\nsignloop help stores",
	.words_max = 1,
};

enum { COMMAND_INDENT = 13, FORMAT_INDENT = 15, OPTION_INDENT = 26 };

static void list_commands(int width, struct sl_buf *ret)
{
	sl_opt_prose(ret, "signloop " SL_VERSION ": road frames in, better traffic-sign models out", width);
	sl_buf_puts(ret, "\nusage: signloop COMMAND [OPTION...]\n\n");
	for (const struct sl_command *const *c = sl_commands; *c; c++) {
		SL_AUTOFREE char *head = sl_asprintf("  %s", (*c)->usage->name);
		sl_opt_row(ret, head, (*c)->usage->text, COMMAND_INDENT, width);
	}
	sl_buf_puts(ret, "\n");
	sl_opt_prose(ret, "'signloop COMMAND --help' explains one; start with 'signloop up --demo'.", width);
	sl_opt_prose(ret,
		"Settings: flag over environment over file (--config FILE); 'signloop help config' lists them.", width);
	sl_opt_prose(ret, "Exit status: 0 done, 1 the answer is no, 2 wrong use or input, 3 could not.", width);
}

static void list_formats(int width, struct sl_buf *ret)
{
	static const char *const kinds[] = {
		"crops with a class: 'import', 'train classifier', 'eval classifier'; 'train detector' pastes them",
		"scenes with boxes: 'import', 'train detector', 'eval detector', and 'eval bundle' where they have classes"};

	sl_opt_prose(ret, "--data FORMAT:PATH names labelled images, as gtsrb:gtsrb-train.tar.gz.", width);
	for (int scenes = 0; scenes < 2; scenes++) {
		sl_buf_puts(ret, "\n");
		sl_opt_prose(ret, kinds[scenes], width);
		for (const struct sl_format *f = sl_formats; f->name; f++) {
			SL_AUTOFREE char *head = sl_asprintf("  %s", f->name);
			if (f->scenes == scenes)
				sl_opt_row(ret, head, f->text, FORMAT_INDENT, width);
		}
	}
}

struct stores_page {
	struct sl_buf *ret;
	int width;
	const char *kind; /* of the last row */
};

static void list_form(void *arg, const struct sl_store_form *f)
{
	struct stores_page *p = arg;
	if (p->kind != f->kind) {
		SL_AUTOFREE char *title = sl_asprintf("%s:", f->kind);
		sl_buf_puts(p->ret, "\n");
		sl_opt_prose(p->ret, title, p->width);
	}
	p->kind = f->kind;
	SL_AUTOFREE char *form = sl_asprintf("  %s", f->form);
	if (f->is_built)
		sl_buf_printf(p->ret, "%s\n", form);
	else
		sl_opt_row(p->ret, form, "not in this build", OPTION_INDENT, p->width);
	for (const struct sl_url_spec *o = f->options; o && o->name; o++) {
		SL_AUTOFREE char *head = sl_asprintf("    %s", o->name);
		SL_AUTOFREE char *text =
			sl_asprintf("%s; %s%s%s", o->text, o->range, *o->value ? "; default " : "", o->value);
		sl_opt_row(p->ret, head, text, OPTION_INDENT, p->width);
	}
}

static void list_stores(int width, struct sl_buf *ret)
{
	sl_opt_prose(ret,
		"Where the four stores are: --log, --crops, --reviews, --artifacts, or the settings store.log and so on. Options "
		"follow the URL, as sqlite:all/log.db?partitions=4; %XX stands for a byte.",
		width);
	sl_stores_each_form(list_form, &(struct stores_page){.ret = ret, .width = width});
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
	bool all = !w.n, formats = w.n && !strcmp(w.word[0], "formats"), config = w.n && !strcmp(w.word[0], "config"),
	     stores = w.n && !strcmp(w.word[0], "stores");
	if (all)
		list_commands(width, &b);
	if (formats)
		list_formats(width, &b);
	if (stores)
		list_stores(width, &b);
	if (config)
		s = sl_config_print(cfg, width, &b);
	if (all || formats || config || stores) {
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
