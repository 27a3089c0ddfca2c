/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/process.h"
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct sl_usage usage = {
	.name = "up",
	.synopsis = "up [--data DIR] [--listen HOST:PORT] [--demo] [--SETTING VALUE ...]",
	.text = "runs every role in this process, with embedded stores in one folder",
	.more = "Open the address it prints: / shows what is going on, /label takes votes, /expert trains, compares and "
		"publishes. SIGTERM or Ctrl-C ends it without a failed request.",
	.examples = "signloop up --demo\nsignloop up --data /var/lib/signloop --listen 0.0.0.0:8000\n"
		    "signloop up --reviews-cap 3 --log.level info,store=debug",
	.takes_config = true,
};

/* With few labelers a review should not wait for ten of them: in the demo one decides. Drawn signs are easy to
 * read: in the demo people are asked about some of the sure ones, too. */
static const char *const demo_settings[][2] = {{"reviews.cap", "1"}, {"frames.audit", "0.2"}};

struct demo {
	bool on;
	int64_t cars;
	double rate;
	pid_t pid;
};

static void start_cars(struct demo *d, const char *url)
{
	SL_AUTOFREE char *self = sl_fs_self();
	if (!self)
		return;
	char cars[24], rate[24];
	snprintf(cars, sizeof(cars), "%lld", (long long)d->cars);
	snprintf(rate, sizeof(rate), "%g", d->rate);
	pid_t parent = getpid();
	d->pid = fork();
	if (d->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (getppid() == parent)
		execl(self, "signloop", "drive", "--to", url, "--demo", "--cars", cars, "--rate", rate, "--duration",
			"0", "--quiet", (char *)NULL);
	_exit(3);
}

static void ready(void *arg, const char *url)
{
	struct demo *d = arg;
	printf("signloop %s is ready: %s\n  watch %s/   label %s/label   expert %s/expert\n", SL_VERSION, url, url, url,
		url);
	fflush(stdout);
	if (d->on)
		start_cars(d, url);
}

static void ending(void *arg)
{
	struct demo *d = arg;
	if (d->pid > 0) {
		kill(d->pid, SIGTERM);
		waitpid(d->pid, NULL, 0);
	}
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	struct demo d = {.cars = 2, .rate = 2};
	const char *listen = NULL, *data = NULL;
	bool help, compat = false;
	struct sl_words w;
	const struct sl_opt opts[] = {
		{"data", SL_OPT_STR, "DIR", "folder of everything it keeps (default: data)", &data, 0, 0},
		{"listen", SL_OPT_STR, "HOST:PORT", "address to serve on (default: 127.0.0.1:8000)", &listen, 0, 0},
		{"demo", SL_OPT_FLAG, NULL, "drives demo cars through drawn road scenes; one vote decides a review",
			&d.on, 0, 0},
		{"demo-cars", SL_OPT_INT, "N", "how many demo cars (default: 2)", &d.cars, 1, 64},
		{"demo-rate", SL_OPT_NUM, "N", "frames a second of all demo cars together (default: 2)", &d.rate, 0.01,
			1000},
		{"compat-topics", SL_OPT_FLAG, NULL, "also writes the original's topics (log.compat_topics)", &compat,
			0, 0},
		SL_OPT_END};
	for (int i = 1; i < argc; i++) /* before the flags, so that a flag still wins */
		if (!strcmp(argv[i], "--demo"))
			for (size_t k = 0; k < SL_COUNT(demo_settings); k++)
				sl_config_set(cfg, demo_settings[k][0], demo_settings[k][1], "demo", NULL);
	enum sl_status s = sl_opt_parse(&usage, opts, cfg, argc, argv, &w, &help, err);
	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	if (s == SL_OK && data)
		s = sl_config_set(cfg, "data", data, "--data", err);
	if (s == SL_OK && listen)
		s = sl_config_set(cfg, "http.listen", listen, "--listen", err);
	if (s == SL_OK && compat)
		s = sl_config_set(cfg, "log.compat_topics", "true", "--compat-topics", err);
	if (s != SL_OK)
		return s;
	struct sl_process p = {cfg, "signloop up", sl_roles, ready, ending, &d};
	return sl_process_run(&p, err);
}

const struct sl_command sl_cmd_up = {&usage, run};
