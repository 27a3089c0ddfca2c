/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include <stdatomic.h>
#include <stdio.h>

static _Atomic int64_t fake_ms;

static int64_t read_us(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t sl_now_ms(void)
{
	int64_t fake = fake_ms;
	return fake ? fake : read_us(CLOCK_REALTIME) / 1000;
}

int64_t sl_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t sl_cpu_us(void)
{
	return read_us(CLOCK_THREAD_CPUTIME_ID);
}

void sl_clock_fake(int64_t now_ms)
{
	fake_ms = now_ms;
}

struct timespec sl_timespec(int64_t deadline_us)
{
	/* The far end of time_t upsets some kernels: a hundred years is for ever. */
	int64_t us = deadline_us == SL_FOREVER ? sl_mono_us() + (int64_t)3155760000 * 1000000 : deadline_us;
	return (struct timespec){.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
}

void sl_time_text(int64_t ms, char ret[25])
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	gmtime_r(&s, &tm);
	size_t n = strftime(ret, 25, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret + n, 25 - n, ".%03uZ", (unsigned)(ms % 1000) % 1000);
}
