/* SPDX-License-Identifier: Apache-2.0 */
#include "base/opt.h"
#include "base/mem.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum { OPTS = 64, NAME = 64, HELP_INDENT = 24, NO_WRAP = 10000 };

static const struct sl_opt *find(const struct sl_opt *opts, const char *name)
{
	for (; opts->name; opts++)
		if (!strcmp(opts->name, name))
			return opts;
	return NULL;
}

static enum sl_status unknown(const struct sl_usage *u, const struct sl_opt *opts, const char *name, struct sl_err *err)
{
	const char *names[OPTS];
	size_t n = 0;
	for (; opts->name && n < OPTS; opts++)
		names[n++] = opts->name;
	const char *near = sl_nearest(name, names, n);
	return sl_fail(err, SL_USAGE, "%s: no option --%s%s%s%s; see 'signloop %s --help'", u->name, name,
		near ? "; did you mean --" : "", near ? near : "", near ? "?" : "", u->name);
}

static enum sl_status set_number(
	const struct sl_usage *u, const struct sl_opt *o, const char *value, struct sl_err *err)
{
	char *end;
	errno = 0;
	double v = strtod(value, &end);
	bool whole = o->kind == SL_OPT_INT;
	if (end == value || *end || errno || (whole && v != (double)(int64_t)v))
		return sl_fail(err, SL_USAGE, "%s: --%s is '%s'; a %s is wanted", u->name, o->name, value,
			whole ? "whole number" : "number");
	if ((o->min != 0 || o->max != 0) && !(v >= o->min && v <= o->max))
		return sl_fail(err, SL_USAGE, "%s: --%s is %s; it must be from %.15g to %.15g", u->name, o->name, value,
			o->min, o->max);
	if (whole)
		*(int64_t *)o->ret = (int64_t)v;
	else
		*(double *)o->ret = v;
	return SL_OK;
}

static enum sl_status set(const struct sl_usage *u, const struct sl_opt *o, const char *value, struct sl_err *err)
{
	struct sl_words *w = o->ret;
	switch (o->kind) {
	case SL_OPT_FLAG:
		*(bool *)o->ret = true;
		return SL_OK;
	case SL_OPT_STR:
		*(const char **)o->ret = value;
		return SL_OK;
	case SL_OPT_LIST:
		if (w->n == SL_WORDS)
			return sl_fail(err, SL_USAGE, "%s: --%s stands more than %d times", u->name, o->name, SL_WORDS);
		w->word[w->n++] = value;
		return SL_OK;
	case SL_OPT_INT:
	case SL_OPT_NUM:
		break;
	}
	return set_number(u, o, value, err);
}

static enum sl_status take_option(const struct sl_usage *u, const struct sl_opt *opts, struct sl_config *cfg, int argc,
	char **argv, int *i, struct sl_err *err)
{
	char name[NAME];
	const char *word = argv[*i] + 2, *eq = strchr(word, '=');
	snprintf(name, sizeof(name), "%.*s", (int)(eq ? (size_t)(eq - word) : strlen(word)), word);
	const struct sl_opt *o = find(opts, name);
	bool is_config = !o && cfg && u->takes_config && sl_config_has(cfg, name);
	if (!o && !is_config)
		return unknown(u, opts, name, err);
	if (o && o->kind == SL_OPT_FLAG) {
		if (eq)
			return sl_fail(err, SL_USAGE, "%s: --%s takes no value", u->name, name);
		return set(u, o, NULL, err);
	}
	if (!eq && *i + 1 >= argc)
		return sl_fail(
			err, SL_USAGE, "%s: --%s wants a value; see 'signloop %s --help'", u->name, name, u->name);
	const char *value = eq ? eq + 1 : argv[++*i];
	if (!is_config)
		return set(u, o, value, err);
	enum sl_status s = sl_config_set(cfg, name, value, "flag", err);
	return s == SL_OK ? s : sl_prefix(err, s, "%s", u->name);
}

enum sl_status sl_opt_parse(const struct sl_usage *u, const struct sl_opt *opts, struct sl_config *cfg, int argc,
	char **argv, struct sl_words *ret_words, bool *ret_help, struct sl_err *err)
{
	bool only_words = false;
	ret_words->n = 0;
	*ret_help = false;
	for (int i = 1; i < argc && !*ret_help; i++)
		*ret_help = !strcmp(argv[i], "--help") || !strcmp(argv[i], "-h");
	if (*ret_help)
		return SL_OK;
	for (int i = 1; i < argc; i++) {
		enum sl_status s = SL_OK;
		if (!only_words && !strcmp(argv[i], "--"))
			only_words = true;
		else if (!only_words && !strncmp(argv[i], "--", 2))
			s = take_option(u, opts, cfg, argc, argv, &i, err);
		else if (!only_words && argv[i][0] == '-' && argv[i][1])
			s = unknown(u, opts, argv[i] + 1, err);
		else if (ret_words->n == SL_WORDS)
			s = sl_fail(err, SL_USAGE, "%s: more than %d words", u->name, SL_WORDS);
		else
			ret_words->word[ret_words->n++] = argv[i];
		if (s != SL_OK)
			return s;
	}
	if (ret_words->n < u->words_min || (u->words_max >= 0 && ret_words->n > u->words_max))
		return sl_fail(err, SL_USAGE, "%s: %s; usage: signloop %s", u->name,
			ret_words->n < u->words_min ? "something is missing" : "too many words", u->synopsis);
	return SL_OK;
}

/* A single line end inside prose is a space; two end a paragraph; `keep` keeps every line as it is. */
static bool ends_line(const char *text, bool keep)
{
	return *text == '\n' && (keep || text[1] == '\n' || text[-1] == '\n');
}

/* How much of a word without a space fits in room columns: to the last sign after which it may break. */
static int piece(const char *word, int room)
{
	for (int n = room; n > room / 2; n--)
		if (strchr("|;,/]", word[n - 1]))
			return n;
	return room;
}

static void wrap(struct sl_buf *ret, const char *text, int indent, int at, int width)
{
	bool keep = width == NO_WRAP;
	int col = at;
	while (*text) {
		int n = (int)strcspn(text, " \n");
		bool cut = n > width - indent;
		if (cut)
			n = piece(text, width - indent);
		if (col > indent && col + n > width) {
			sl_buf_printf(ret, "\n%*s", indent, "");
			col = indent;
		}
		sl_buf_add(ret, text, (size_t)n);
		col += n;
		text += n;
		if (cut) {
			col = width; /* the rest of the word starts a line */
			continue;
		}
		if (ends_line(text, keep)) {
			sl_buf_printf(ret, "\n%*s", indent, "");
			col = indent;
			text++;
		} else if (*text) {
			text += strspn(text, " ") ? strspn(text, " ") : 1;
			if (*text && col + 1 + (int)strcspn(text, " \n") <= width) {
				sl_buf_puts(ret, " ");
				col++;
			} else {
				col = width;
			}
		}
	}
	sl_buf_puts(ret, "\n");
}

void sl_opt_row(struct sl_buf *ret, const char *head, const char *text, int indent, int width)
{
	int n = (int)strlen(head);
	indent = SL_MIN(indent, width / 3);
	if (n + 2 > indent)
		sl_buf_printf(ret, "%s\n%*s", head, indent, "");
	else
		sl_buf_printf(ret, "%-*s", indent, head);
	wrap(ret, text, indent, indent, width);
}

void sl_opt_prose(struct sl_buf *ret, const char *text, int width)
{
	wrap(ret, text, 0, 0, width);
}

enum sl_status sl_opt_help(const struct sl_usage *u, const struct sl_opt *opts, int width, struct sl_buf *ret)
{
	sl_buf_puts(ret, "usage: signloop ");
	wrap(ret, u->synopsis, 8, 16, width);
	sl_buf_puts(ret, "\n");
	wrap(ret, u->text, 0, 0, width);
	if (u->more) {
		sl_buf_puts(ret, "\n");
		wrap(ret, u->more, 0, 0, width);
	}
	if (opts->name)
		sl_buf_puts(ret, "\noptions:\n");
	for (const struct sl_opt *o = opts; o->name; o++) {
		SL_AUTOFREE char *head = sl_asprintf(
			"  --%s%s%s", o->name, o->value_name ? " " : "", o->value_name ? o->value_name : "");
		sl_opt_row(ret, head, o->text, HELP_INDENT, width);
	}
	if (u->takes_config) {
		sl_buf_puts(ret, "\n");
		sl_opt_prose(ret, "and every setting of 'signloop help config' as --NAME VALUE", width);
	}
	if (u->examples) {
		sl_buf_puts(ret, "\nexamples:\n  ");
		wrap(ret, u->examples, 2, 2, NO_WRAP); /* a command stays on one line, to be copied */
	}
	return ret->len ? SL_OK : SL_TOO_LARGE;
}

int sl_terminal_width(int fd)
{
	struct winsize w;
	if (ioctl(fd, TIOCGWINSZ, &w) || !w.ws_col)
		return 80;
	return SL_MAX(w.ws_col, 40);
}
