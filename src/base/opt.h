/* SPDX-License-Identifier: Apache-2.0
 *
 * Command-line options of one command, from one table that makes parser and help.
 *
 * Forms: --name VALUE, --name=VALUE, --flag, -h/--help. "--" ends the options.
 * Words that are no options are kept in order. USAGE for an unknown option (with the
 * nearest name), a missing or bad value, too few or too many words.
 * Owner: the caller; values point into argv or the table. Thread: any.
 */
#pragma once
#include "base/buf.h"
#include "base/config.h"

enum sl_opt_kind { SL_OPT_FLAG, SL_OPT_STR, SL_OPT_INT, SL_OPT_NUM, SL_OPT_LIST };

struct sl_opt {
	const char *name; /* without -- */
	enum sl_opt_kind kind;
	const char *value_name; /* "URL"; NULL for a flag */
	const char *text; /* one line */
	void *ret; /* bool*, const char**, int64_t*, double*, struct sl_words* */
	double min, max; /* INT, NUM; both 0: no range */
};
#define SL_OPT_END \
	{ \
		NULL, SL_OPT_FLAG, NULL, NULL, NULL, 0, 0 \
	}

enum { SL_WORDS = 64 };
struct sl_words {
	const char *word[SL_WORDS];
	int n;
};

struct sl_usage {
	const char *name; /* "train" */
	const char *synopsis; /* "train classifier|detector --data FORMAT:PATH ..." */
	const char *text; /* one line: what it does, for the command list */
	const char *more; /* paragraphs for --help; NULL is fine */
	const char *examples; /* lines, each a command; NULL is fine */
	int words_min, words_max;
	bool takes_config; /* --<config name> VALUE is accepted too and set in cfg */
};

/* argv[0] is the command's name. *ret_help: --help was asked (nothing else is checked). */
enum sl_status sl_opt_parse(const struct sl_usage *u, const struct sl_opt *opts, struct sl_config *cfg, int argc,
	char **argv, struct sl_words *ret_words, bool *ret_help, struct sl_err *err);
/* Text for a terminal of `width` columns. */
enum sl_status sl_opt_help(const struct sl_usage *u, const struct sl_opt *opts, int width, struct sl_buf *ret);
/* A row of a list: head, then text wrapped from column `indent` on (a third of a narrow terminal);
 * a head that is too long has a line of its own. */
void sl_opt_row(struct sl_buf *ret, const char *head, const char *text, int indent, int width);
/* Wrapped text; two line ends in it end a paragraph. */
void sl_opt_prose(struct sl_buf *ret, const char *text, int width);
int sl_terminal_width(int fd); /* columns; 80 when unknown; at least 40 */
