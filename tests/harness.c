/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SECONDS = 60, EXIT_FAILED = 1, EXIT_SKIPPED = 77 };

struct test {
	const char *group, *name;
	sl_test_fn fn;
	void (*fn_with)(const void *arg); /* in place of fn */
	const void *arg;
};

static struct test *tests;
static int n_tests;
static char dir[256];
static int report_fd = STDERR_FILENO; /* where a child says why it failed or was skipped */

static void add(struct test t)
{
	tests = sl_realloc(tests, (size_t)n_tests + 1, sizeof(*tests));
	tests[n_tests++] = t;
}

void sl_test_add(const char *group, const char *name, sl_test_fn fn)
{
	add((struct test){.group = group, .name = name, .fn = fn});
}

void sl_test_add_with(const char *group, const char *name, void (*fn)(const void *arg), const void *arg)
{
	add((struct test){.group = group, .name = name, .fn_with = fn, .arg = arg});
}

void sl_test_fail(const char *file, int line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	dprintf(report_fd, "%s:%d: %s", file, line, text);
	_exit(EXIT_FAILED);
}

void sl_test_skip(const char *reason)
{
	dprintf(report_fd, "%s", reason);
	_exit(EXIT_SKIPPED);
}

const char *sl_test_dir(void)
{
	return dir;
}

const char *sl_test_root(void)
{
	const char *root = getenv("SIGNLOOP_SOURCE_ROOT");
	return root ? root : ".";
}

static int by_name(const void *a, const void *b)
{
	const struct test *x = a, *y = b;
	int c = strcmp(x->group, y->group);
	return c ? c : strcmp(x->name, y->name);
}

static int seconds(void)
{
	const char *s = getenv("SL_TEST_SECONDS");
	return s ? atoi(s) : SECONDS;
}

static int run_child(const struct test *t, int fd)
{
	pid_t pid = fork();
	if (pid)
		return pid;
	report_fd = fd;
	setpgid(0, 0);
	alarm((unsigned)seconds());
	if (t->fn_with)
		t->fn_with(t->arg);
	else
		t->fn();
	exit(0); /* not _exit: the leak check runs here */
}

/* Runs one test; gives true unless it failed. */
static bool run(const struct test *t, int number, int *skipped)
{
	int pipe_fd[2], st = 0;
	SL_ASSERT(pipe2(pipe_fd, O_CLOEXEC) == 0);
	const char *tmp = getenv("TMPDIR");
	snprintf(dir, sizeof(dir), "%s/signloop-test-XXXXXX", tmp ? tmp : "/tmp");
	SL_ASSERT(mkdtemp(dir));
	fflush(stdout);
	int64_t start = sl_mono_us();
	pid_t pid = run_child(t, pipe_fd[1]);
	close(pipe_fd[1]);
	waitpid(pid, &st, 0);
	kill(-pid, SIGKILL); /* what the test left running */
	char why[1200] = "";
	fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK);
	ssize_t n = read(pipe_fd[0], why, sizeof(why) - 1);
	why[n > 0 ? n : 0] = 0;
	close(pipe_fd[0]);
	sl_fs_remove_tree(dir, NULL);
	if (WIFSIGNALED(st))
		snprintf(why, sizeof(why), "%s",
			WTERMSIG(st) == SIGALRM ? "passed its time limit" : strsignal(WTERMSIG(st)));
	bool skip = WIFEXITED(st) && WEXITSTATUS(st) == EXIT_SKIPPED;
	bool ok = skip || (WIFEXITED(st) && WEXITSTATUS(st) == 0);
	*skipped += skip;
	for (char *c = why; *c; c++)
		*c = *c == '\n' ? ' ' : *c;
	printf("%s %d - %s.%s%s%s\n", ok ? "ok" : "not ok", number, t->group, t->name, skip ? " # SKIP " : "",
		skip ? why : "");
	if (!ok)
		printf("# %s.%s: %s\n", t->group, t->name, *why ? why : "exit status is not 0: see standard error");
	else if (!skip)
		printf("# %.0f ms\n", (double)(sl_mono_us() - start) / 1000);
	return ok;
}

static bool is_chosen(const struct test *t, const char *word)
{
	size_t n = strlen(t->group);
	return !strcmp(word, t->group) ||
	       (!strncmp(word, t->group, n) && word[n] == '.' && !strcmp(word + n + 1, t->name));
}

int main(int argc, char **argv)
{
	if (n_tests)
		qsort(tests, (size_t)n_tests, sizeof(*tests), by_name);
	int chosen = 0, failed = 0, skipped = 0;
	if (argc > 1 && !strcmp(argv[1], "--list")) {
		for (int i = 0; i < n_tests; i++)
			printf("%s.%s\n", tests[i].group, tests[i].name);
		return 0;
	}
	for (int i = 0; i < n_tests; i++) {
		bool run_it = argc < 2;
		for (int a = 1; a < argc; a++)
			run_it |= is_chosen(&tests[i], argv[a]);
		if (run_it)
			failed += !run(&tests[i], ++chosen, &skipped);
	}
	printf("1..%d\n", chosen);
	if (argc > 1 && !chosen) {
		fprintf(stderr, "%s: no test is called '%s'; --list shows them\n", argv[0], argv[1]);
		return 2;
	}
	return failed ? 1 : 0;
}
