/* SPDX-License-Identifier: Apache-2.0
 *
 * How many messages a second a log takes, and how long one is on its way to a consumer.
 *
 *   build/bench/log_bench URL [SECONDS [RATE]]
 *
 * Appends one at a time, then from 16 callers, as fast as they are answered; then RATE (200) a second from 16
 * callers, where a consumer says how old each message is when it comes. Topics bench and paced below URL's prefix.
 * A table like store_bench's: calls a second, the time of a call, CPU of this process a call.
 */
#include "base/mem.h"
#include "base/thread.h"
#include "core/settings.h"
#include "store/log.h"
#include <stdatomic.h>
#include <stdio.h>

enum { CALLERS = 16, SAMPLES = 1 << 20, BODY = 300, POLL_MS = 100 };

struct times {
	_Atomic int n;
	int32_t us[SAMPLES];
};

static struct sl_log *measured;
static int seconds = 5, rate = 200;
static _Atomic bool stop;
static int64_t started_us;
static struct times calls, ages;

static void must(enum sl_status s, const struct sl_err *err)
{
	if (s == SL_OK)
		return;
	fprintf(stderr, "bench: %s\n", err->text);
	exit(sl_status_exit(s));
}

static void note(struct times *t, int64_t us)
{
	int at = atomic_fetch_add(&t->n, 1);
	if (at < SAMPLES)
		t->us[at] = (int32_t)us;
}

static int by_value(const void *a, const void *b)
{
	return *(const int32_t *)a - *(const int32_t *)b;
}

static void report(const char *name, int callers, struct times *t, double took_s, int64_t cpu_us)
{
	int n = SL_MIN(t->n, SAMPLES);
	qsort(t->us, (size_t)n, sizeof(*t->us), by_value);
	if (n)
		printf("%-34s %8d %10.0f %9.2f %9.2f %9.2f %9.1f\n", name, callers, t->n / took_s, t->us[n / 2] / 1e3,
			t->us[(int64_t)n * 99 / 100] / 1e3, t->us[n - 1] / 1e3, (double)cpu_us / t->n);
	fflush(stdout);
	t->n = 0;
}

static void append(const char *topic, int caller, int round)
{
	struct sl_err err;
	char key[32], body[BODY];
	memset(body, 'x', sizeof(body));
	snprintf(key, sizeof(key), "key-%d-%d", caller, round);
	int64_t from = sl_mono_us();
	memcpy(body, &from, sizeof(from));
	must(sl_log_append(measured, topic, key, sl_slice(body, sizeof(body)), SL_FOREVER, &err), &err);
	note(&calls, sl_mono_us() - from);
}

static void *append_fast(void *arg)
{
	for (int round = 0; !stop; round++)
		append("bench", (int)(intptr_t)arg, round);
	return NULL;
}

static void *append_paced(void *arg)
{
	int64_t next = sl_mono_us() + (intptr_t)arg * 1000000 / rate;
	for (int round = 0; !stop; round++, next += (int64_t)CALLERS * 1000000 / rate) {
		struct timespec t = sl_timespec(next);
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL))
			;
		append("paced", (int)(intptr_t)arg, round);
	}
	return NULL;
}

static void *follow(void *consumer)
{
	struct sl_err err;
	while (!stop) {
		struct sl_batch b;
		must(sl_consumer_poll(consumer, SL_BATCH_MAX, sl_deadline_ms(POLL_MS), &b, &err), &err);
		for (int i = 0; i < b.n; i++) {
			int64_t from;
			memcpy(&from, b.message[i].body.ptr, sizeof(from));
			if (from >= started_us) /* else of an earlier run */
				note(&ages, sl_mono_us() - from);
		}
		int n = b.n;
		sl_batch_done(&b);
		if (n)
			must(sl_consumer_commit(consumer, &err), &err);
	}
	return NULL;
}

static int64_t process_cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void measure(const char *name, int callers, void *(*fn)(void *), struct sl_consumer *c)
{
	pthread_t t[CALLERS], follower = 0;
	stop = false;
	started_us = sl_mono_us();
	if (c)
		follower = sl_thread_start("bench", follow, c);
	int64_t cpu = process_cpu_us(), from = sl_mono_us();
	for (int i = 0; i < callers; i++)
		t[i] = sl_thread_start("bench", fn, (void *)(intptr_t)i);
	struct timespec end = sl_timespec(sl_deadline_ms(seconds * 1000));
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL))
		;
	stop = true;
	for (int i = 0; i < callers; i++)
		pthread_join(t[i], NULL);
	double took_s = (double)(sl_mono_us() - from) / 1e6;
	cpu = process_cpu_us() - cpu;
	if (c)
		pthread_join(follower, NULL);
	report(name, callers, &calls, took_s, cpu);
	if (c)
		report("  from append to poll", 1, &ages, took_s, cpu);
}

int main(int argc, char **argv)
{
	struct sl_err err;
	struct sl_config *cfg = sl_settings_new();
	struct sl_consumer *c;
	seconds = argc > 2 ? atoi(argv[2]) : seconds;
	rate = argc > 3 ? atoi(argv[3]) : rate;
	if (argc < 2 || argc > 4 || seconds < 1 || rate < 1) {
		fprintf(stderr, "usage: log_bench URL [SECONDS [RATE]]\n");
		return 2;
	}
	must(sl_log_open(argv[1], cfg, &measured, &err), &err);
	append("bench", 0, 0); /* makes the topic */
	calls.n = 0;
	must(sl_consumer_open(measured, "bench", "paced", &c, &err), &err);
	printf("%-34s %8s %10s %9s %9s %9s %9s\n", "log", "callers", "calls/s", "p50 ms", "p99 ms", "max ms", "CPU us");
	measure("append, one at a time", 1, append_fast, NULL);
	measure("append", CALLERS, append_fast, NULL);
	measure("append, paced", CALLERS, append_paced, c);
	sl_consumer_close(c);
	sl_log_close(measured);
	sl_config_free(cfg);
	return 0;
}
