/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands. To add one: a file src/cmd/NAME.c with `const struct sl_command sl_cmd_NAME`, a
 * row in table.c, a line in src/cmd/meson.build; tests/e2e/test_cli.py then checks its
 * --help, its examples and its exit codes by itself.
 *
 * run() gets argv with argv[0] the command's name and a configuration that file and
 * environment have been read into; flags are set by sl_opt_parse(). It returns the exit
 * status: 0 done, 1 the answer is no, 2 wrong use, 3 could not. On failure it fills err
 * (printed as one line "signloop: ..." by the caller); people's text and --json go to
 * standard output, logs to standard error.
 */
#pragma once
#include "base/opt.h"

struct sl_command {
	const struct sl_usage *usage;
	enum sl_status (*run)(int argc, char **argv, struct sl_config *cfg, struct sl_err *err);
};

extern const struct sl_command *const sl_commands[]; /* NULL ends */

int sl_command_main(int argc, char **argv);
/* Help text of one command to standard output. */
enum sl_status sl_command_help(const struct sl_usage *u, const struct sl_opt *opts);
