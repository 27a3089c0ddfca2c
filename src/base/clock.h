/* SPDX-License-Identifier: Apache-2.0
 *
 * Time. Wall time in ms since 1970 (UTC) for what is stored and shown; monotonic
 * time in us for durations and deadlines. A deadline is a monotonic time in us;
 * SL_FOREVER never passes. Tests may set a fake wall clock. Thread: any.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define SL_FOREVER INT64_MAX

int64_t sl_now_ms(void); /* wall; the fake one when set */
int64_t sl_mono_us(void);
int64_t sl_cpu_us(void); /* CPU time of the calling thread */
static inline int64_t sl_deadline_ms(int64_t from_now_ms)
{
	return sl_mono_us() + from_now_ms * 1000;
}
static inline bool sl_is_past(int64_t deadline_us)
{
	return deadline_us != SL_FOREVER && sl_mono_us() >= deadline_us;
}
void sl_clock_fake(int64_t now_ms); /* tests: wall time stands here; 0 gives the real one back */

/* Absolute CLOCK_MONOTONIC time for pthread_cond_timedwait on a sl_cond. */
struct timespec sl_timespec(int64_t deadline_us);
/* "2026-11-23T01:22:03.123Z" and NUL: 25 bytes. */
void sl_time_text(int64_t ms, char ret[25]);
