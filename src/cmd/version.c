/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/command.h"
#include <stdio.h>

static const struct sl_usage usage = {
	.name = "version",
	.synopsis = "version [--json]",
	.text = "prints the version",
	.examples = "signloop version --json",
};

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	bool json = false, help;
	struct sl_words w;
	const struct sl_opt opts[] = {{"json", SL_OPT_FLAG, NULL, "one JSON object", &json, 0, 0}, SL_OPT_END};
	enum sl_status s = sl_opt_parse(&usage, opts, NULL, argc, argv, &w, &help, err);
	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	if (s == SL_OK)
		printf(json ? "{\"name\":\"signloop\",\"version\":\"%s\"}\n" : "signloop %s\n", SL_VERSION);
	return s;
}

const struct sl_command sl_cmd_version = {&usage, run};
