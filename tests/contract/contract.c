/* SPDX-License-Identifier: Apache-2.0 */
#include "contract.h"
#include "base/mem.h"
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

const struct sl_backend sl_backends_log[] = {
	{.name = "mem", .clock = sl_clock_fake, .url = mem, .parted = mem_parted},
	{.name = "sqlite", .clock = sl_clock_fake, .url = sqlite, .parted = sqlite_parted, .lasts = true, .shared = true},
	{0},
};
const struct sl_backend sl_backends_crops[] = {
	{.name = "mem", .clock = sl_clock_fake, .url = mem},
	{.name = "sqlite", .clock = sl_clock_fake, .url = sqlite, .lasts = true, .shared = true},
	{0},
};
const struct sl_backend sl_backends_reviews[] = {
	{.name = "mem", .clock = sl_clock_fake, .url = mem},
	{.name = "sqlite", .clock = sl_clock_fake, .url = sqlite, .lasts = true, .shared = true},
	{0},
};
const struct sl_backend sl_backends_artifacts[] = {
	{.name = "mem", .clock = sl_clock_fake, .url = mem},
	{.name = "dir", .clock = sl_clock_fake, .url = dir, .lasts = true, .shared = true},
	{0},
};

/* The harness runs functions without arguments: each pair of test and backend has a slot. */
enum { SLOTS = 256 };
static struct slot {
	sl_contract_fn fn;
	const struct sl_backend *b;
} slots[SLOTS];
static int nslots;

#define RUN(n) \
	static void run_##n(void) \
	{ \
		slots[0x##n].fn(slots[0x##n].b); \
	}
#define RUN16(h) \
	RUN(h##0) RUN(h##1) RUN(h##2) RUN(h##3) RUN(h##4) RUN(h##5) RUN(h##6) RUN(h##7) RUN(h##8) RUN(h##9) RUN(h##a) RUN(h##b) \
	RUN(h##c) RUN(h##d) RUN(h##e) RUN(h##f)
#define NAME16(h) \
	run_##h##0, run_##h##1, run_##h##2, run_##h##3, run_##h##4, run_##h##5, run_##h##6, run_##h##7, run_##h##8, run_##h##9, \
		run_##h##a, run_##h##b, run_##h##c, run_##h##d, run_##h##e, run_##h##f
RUN16(0) RUN16(1) RUN16(2) RUN16(3) RUN16(4) RUN16(5) RUN16(6) RUN16(7)
RUN16(8) RUN16(9) RUN16(a) RUN16(b) RUN16(c) RUN16(d) RUN16(e) RUN16(f)
static const sl_test_fn run[SLOTS] = {NAME16(0), NAME16(1), NAME16(2), NAME16(3), NAME16(4), NAME16(5), NAME16(6), NAME16(7),
	NAME16(8), NAME16(9), NAME16(a), NAME16(b), NAME16(c), NAME16(d), NAME16(e), NAME16(f)};

void sl_contract_add(const struct sl_backend *b, const char *contract, const char *name, sl_contract_fn fn)
{
	SL_ASSERT(nslots < SLOTS);
	slots[nslots] = (struct slot){fn, b};
	sl_test_add(sl_asprintf("%s_%s", contract, b->name), name, run[nslots++]); /* kept to the end */
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
