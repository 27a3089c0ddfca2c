/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/process.h"
#include <stdio.h>

static const struct sl_usage usage = {
	.name = "serve",
	.synopsis =
		"serve ROLE[,ROLE...] [--listen HOST:PORT] [--log URL] [--crops URL] [--reviews URL] [--artifacts URL] "
		"[--SETTING VALUE ...]",
	.text = "runs one or several roles in this process, over stores that others share",
	.more = "Roles: frames, intake, labeling, curate, learning, rollout. A process that answers frames needs rollout "
		"beside it, which brings the bundle. Every process has /metrics and /v2/health/ready.",
	.examples =
		"signloop serve frames,rollout --data f1 --listen :8001 --log sqlite:all/log.db --crops sqlite:all/crops.db "
		"--reviews sqlite:all/reviews.db --artifacts dir:all/artifacts\n"
		"signloop serve labeling,intake --data l1 --listen :8002 --log sqlite:all/log.db --crops sqlite:all/crops.db "
		"--reviews sqlite:all/reviews.db --artifacts dir:all/artifacts",
	.words_min = 1,
	.words_max = SL_WORDS,
	.takes_config = true,
};

enum { ROLES = 16 };

static enum sl_status choose(const struct sl_words *w, const struct sl_role *ret[ROLES + 1], struct sl_err *err)
{
	bool want[ROLES] = {false};
	for (int i = 0; i < w->n; i++)
		for (const char *at = w->word[i]; *at;) {
			size_t n = strcspn(at, ",");
			int k = 0;
			while (sl_roles[k] && (strlen(sl_roles[k]->name) != n || strncmp(sl_roles[k]->name, at, n)))
				k++;
			if (!sl_roles[k])
				return sl_fail(err, SL_USAGE,
					"serve: no role is called '%.*s'; roles: frames, intake, labeling, curate, learning, rollout",
					(int)n, at);
			want[k] = true;
			at += n + (at[n] == ',');
		}
	int n = 0;
	for (int k = 0; sl_roles[k]; k++)
		if (want[k])
			ret[n++] = sl_roles[k];
	ret[n] = NULL;
	return n ? SL_OK : sl_fail(err, SL_USAGE, "serve: name at least one role");
}

static void ready(void *arg, const char *url)
{
	printf("signloop %s serves at %s\n", SL_VERSION, url);
	fflush(stdout);
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	const char *value[6] = {NULL};
	static const char *const setting[] = {
		"data", "http.listen", "store.log", "store.crops", "store.reviews", "store.artifacts"};
	bool help, compat = false;
	struct sl_words w;
	const struct sl_opt opts[] = {
		{"data", SL_OPT_STR, "DIR", "folder of this process: caches, jobs, and the stores without a URL",
			&value[0], 0, 0},
		{"listen", SL_OPT_STR, "HOST:PORT", "address to serve on", &value[1], 0, 0},
		{"log", SL_OPT_STR, "URL", "the log, such as sqlite:PATH", &value[2], 0, 0},
		{"crops", SL_OPT_STR, "URL", "the crop store, such as sqlite:PATH", &value[3], 0, 0},
		{"reviews", SL_OPT_STR, "URL", "the review store, such as sqlite:PATH", &value[4], 0, 0},
		{"artifacts", SL_OPT_STR, "URL", "the artifact store, such as dir:PATH", &value[5], 0, 0},
		{"compat-topics", SL_OPT_FLAG, NULL, "also writes the original's topics (log.compat_topics)", &compat,
			0, 0},
		SL_OPT_END};
	enum sl_status s = sl_opt_parse(&usage, opts, cfg, argc, argv, &w, &help, err);
	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	for (size_t i = 0; s == SL_OK && i < SL_COUNT(setting); i++)
		if (value[i])
			s = sl_config_set(cfg, setting[i], value[i], opts[i].name, err);
	if (s == SL_OK && compat)
		s = sl_config_set(cfg, "log.compat_topics", "true", "--compat-topics", err);
	const struct sl_role *roles[ROLES + 1];
	if (s == SL_OK)
		s = choose(&w, roles, err);
	if (s != SL_OK)
		return s;
	struct sl_process p = {cfg, "signloop serve", roles, ready, NULL, NULL};
	return sl_process_run(&p, err);
}

const struct sl_command sl_cmd_serve = {&usage, run};
