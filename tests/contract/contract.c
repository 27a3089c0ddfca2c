/* SPDX-License-Identifier: Apache-2.0 */
#include "contract.h"
#include "base/digest.h"
#include "base/mem.h"
#include "real.h"
#include <errno.h>
#include <stdarg.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *in_dir(const char *scheme, const char *name)
{
	static char url[512];
	snprintf(url, sizeof(url), "%s:%s/%s", scheme, sl_test_dir(), name);
	return url;
}

static const char *mem(void)
{
	return "mem:";
}

static const char *mem_parted(void)
{
	return "mem:?partitions=4";
}

static const char *sqlite(void)
{
	return in_dir("sqlite", "store.db");
}

static const char *sqlite_parted(void)
{
	return in_dir("sqlite", "store.db?partitions=4");
}

static const char *dir(void)
{
	return in_dir("dir", "store");
}

const char *sl_test_server(const char *variable)
{
	static char why[96];
	const char *url = getenv(variable), *must = getenv("SIGNLOOP_TEST_SERVERS");
	if (url && *url)
		return url;
	snprintf(why, sizeof(why), "%s is not set: no server (make servers)", variable);
	if (must && !strcmp(must, "required"))
		sl_test_fail(__FILE__, __LINE__, "%s", why);
	SKIP(why);
}

const char *sl_test_unique(void)
{
	static char name[40];
	if (!*name) {
		name[0] = 't';
		sl_random_id(name + 1);
	}
	return name;
}

/* A store that is left out of this build has no row. */
const struct sl_backend sl_backends_log[] = {
	{.name = "mem", .clock = sl_clock_fake, .url = mem, .parted = mem_parted},
	{.name = "sqlite",
		.clock = sl_clock_fake,
		.url = sqlite,
		.parted = sqlite_parted,
		.lasts = true,
		.shared = true},
#ifdef SL_WITH_KAFKA
	{.name = "kafka",
		.clock = sl_clock_fake,
		.url = sl_test_kafka,
		.parted = sl_test_kafka_parted,
		.lasts = true,
		.shared = true},
#endif
	{0},
};
const struct sl_backend sl_backends_crops[] = {
	{.name = "mem", .clock = sl_clock_fake, .url = mem},
	{.name = "sqlite", .clock = sl_clock_fake, .url = sqlite, .lasts = true, .shared = true},
#ifdef SL_WITH_HBASE
	{.name = "hbase",
		.clock = sl_clock_fake,
		.url = sl_test_hbase,
		.drop = sl_test_hbase_drop,
		.lasts = true,
		.shared = true},
#endif
	{0},
};
const struct sl_backend sl_backends_reviews[] = {
	{.name = "mem", .clock = sl_clock_fake, .url = mem},
	{.name = "sqlite", .clock = sl_clock_fake, .url = sqlite, .lasts = true, .shared = true},
#ifdef SL_WITH_MONGODB
	{.name = "mongodb",
		.clock = sl_clock_fake,
		.url = sl_test_mongodb,
		.drop = sl_test_mongodb_drop,
		.divide = 20, /* its find reads every document, 1 ms each */
		.lasts = true,
		.shared = true},
#endif
	{0},
};
const struct sl_backend sl_backends_artifacts[] = {
	{.name = "mem", .clock = sl_clock_fake, .url = mem},
	{.name = "dir", .clock = sl_clock_fake, .url = dir, .lasts = true, .shared = true},
#ifdef SL_WITH_WEBHDFS
	{.name = "webhdfs",
		.clock = sl_clock_fake,
		.url = sl_test_webhdfs,
		.drop = sl_test_webhdfs_drop,
		.lasts = true,
		.shared = true},
#endif
	{0},
};

struct suite_case {
	sl_contract_fn fn;
	const struct sl_backend *b;
};

static void run(const void *arg)
{
	const struct suite_case *c = arg;
	c->b->url(); /* skips where there is no server, and fixes the name before the test has children */
	c->fn(c->b);
	if (c->b->drop)
		c->b->drop();
}

void sl_contract_add(const struct sl_backend *b, const char *contract, const char *name, sl_contract_fn fn)
{
	struct suite_case *c = SL_NEW(struct suite_case); /* kept to the end, like the name */
	*c = (struct suite_case){fn, b};
	sl_test_add_with(sl_asprintf("%s_%s", contract, b->name), name, run, c);
}

struct sl_config *sl_test_config(void)
{
	return sl_settings_new();
}

const char *sl_test_fault(const char *url, const char *options)
{
	static char ret[640];
	snprintf(ret, sizeof(ret), "fault+%s%c%s", url, strchr(url, '?') ? '&' : '?', options);
	return ret;
}

struct worker {
	pthread_t thread;
	pthread_barrier_t *start;
	void (*fn)(int i, void *arg);
	void *arg;
	int i;
};

static void *work(void *p)
{
	struct worker *w = p;
	pthread_barrier_wait(w->start);
	w->fn(w->i, w->arg);
	return NULL;
}

void sl_test_threads(int n, void (*fn)(int i, void *arg), void *arg)
{
	pthread_barrier_t start;
	struct worker *w = SL_NEW_N(struct worker, (size_t)n);
	pthread_barrier_init(&start, NULL, (unsigned)n);
	for (int i = 0; i < n; i++) {
		w[i] = (struct worker){.start = &start, .fn = fn, .arg = arg, .i = i};
		w[i].thread = sl_thread_start("test", work, &w[i]);
	}
	for (int i = 0; i < n; i++)
		pthread_join(w[i].thread, NULL);
	pthread_barrier_destroy(&start);
	free(w);
}

static int said_fd = -1;

void sl_test_said(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	line[n++] = '\n';
	CHECK(write(said_fd, line, (size_t)n) == n); /* one write: whole lines only */
}

char *sl_test_kill(void (*fn)(void *arg), void *arg, int after)
{
	int p[2], lines = 0;
	CHECK(pipe(p) == 0);
	pid_t pid = fork();
	if (!pid) {
		close(p[0]);
		said_fd = p[1];
		fn(arg);
		_exit(0);
	}
	close(p[1]);
	struct sl_buf said = {0};
	char piece[4096];
	for (ssize_t n; (n = read(p[0], piece, sizeof(piece))) != 0;) {
		if (n < 0 && errno == EINTR)
			continue;
		CHECK(n > 0);
		for (ssize_t i = 0; i < n; i++)
			if (piece[i] == '\n' && ++lines == after)
				kill(pid, SIGKILL);
		(void)sl_buf_add(&said, piece, (size_t)n);
	}
	int st;
	CHECK(waitpid(pid, &st, 0) == pid);
	close(p[0]);
	CHECK(WIFSIGNALED(st)); /* else fn ended or failed before it was killed */
	return (char *)sl_buf_take(&said, NULL);
}

int sl_test_process(void (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();
	if (!pid) {
		fn(arg);
		_exit(0);
	}
	CHECK(pid > 0);
	return pid;
}

void sl_test_wait(int process)
{
	int st;
	CHECK(waitpid(process, &st, 0) == process);
	CHECK(WIFEXITED(st));
	CHECK_EQ(WEXITSTATUS(st), 0);
}
