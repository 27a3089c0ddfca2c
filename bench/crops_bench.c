/* SPDX-License-Identifier: Apache-2.0
 *
 * How many calls a second a crop store takes, by any URL, and how long one waits.
 *
 *   build/bench/crops_bench URL [SECONDS] [CALLERS...]     5 seconds each, 1 and 8 callers
 *
 * Crops are of 3,000 bytes with 300 of metadata, new ones in each run, and stay in the store. CPU is of this
 * process, all threads, a crop.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "base/digest.h"
#include "core/settings.h"
#include "store/crops.h"
#include <stdatomic.h>
#include <stdio.h>

enum { JPEG = 3000, META = 300, SAMPLES = 1 << 18, CALLERS_MAX = 64, MANY = 256 };

enum verb { PUT, PUT_MANY, GET, GET_MANY, SCAN };

static const struct work {
	const char *name;
	enum verb verb;
	int n; /* crops a call */
} works[] = {
	{"put", PUT, 1},
	{"put_many of 3", PUT_MANY, 3},
	{"put_many of 256", PUT_MANY, MANY},
	{"get", GET, 1},
	{"get_many of 3", GET_MANY, 3},
	{"get_many of 64", GET_MANY, 64},
	{"get_many of 256", GET_MANY, MANY},
	{"scan of 1000 keys", SCAN, SL_SCAN_MAX},
};

static struct sl_crops *crops;
static const struct work *work;
static atomic_bool stop;
static _Atomic int64_t next_put, nsample, ncrop;
static int32_t us[SAMPLES];
static char run_id[33];
static uint8_t jpeg[JPEG], meta[META];

static void must(enum sl_status s, const struct sl_err *err)
{
	if (s == SL_OK)
		return;
	fprintf(stderr, "crops_bench: %s\n", err->text);
	exit(sl_status_exit(s));
}

static void key_of(int64_t n, char ret[SL_KEY])
{
	char frame[65];
	snprintf(frame, sizeof(frame), "%.8s%016llx%040d", run_id, (unsigned long long)n, 0);
	sl_key_make(ret, frame, 1, 2, 3, 4);
}

static void call(struct sl_rng *rng)
{
	char key[SL_SCAN_MAX][SL_KEY];
	const char *keys[MANY];
	struct sl_crop_put put[MANY];
	struct sl_crop got[MANY];
	struct sl_err err;
	int n = work->n;
	bool puts = work->verb == PUT || work->verb == PUT_MANY;
	int64_t first = puts ? atomic_fetch_add(&next_put, n) : 0;

	for (int i = 0; i < n && work->verb != SCAN; i++) {
		key_of(puts ? first + i : (int64_t)sl_rng_below(rng, (uint32_t)next_put), key[i]);
		keys[i] = key[i];
		put[i] = (struct sl_crop_put){key[i], sl_slice(jpeg, JPEG), sl_slice(meta, META)};
	}
	if (work->verb == PUT)
		must(sl_crops_put(crops, key[0], put->jpeg, put->meta, &err), &err);
	else if (work->verb == PUT_MANY)
		must(sl_crops_put_many(crops, put, n, &err), &err);
	else if (work->verb == SCAN)
		must(sl_crops_scan(crops, "", "", n, key, &n, &err), &err);
	else
		must(sl_crops_get_many(crops, keys, n, got, &err), &err);
	for (int i = 0; i < n && (work->verb == GET || work->verb == GET_MANY); i++)
		sl_crop_done(&got[i]);
	ncrop += n;
}

static void *run_caller(void *arg)
{
	struct sl_rng rng = sl_rng((uint64_t)(intptr_t)arg, 1);
	while (!stop) {
		int64_t from = sl_mono_us(), at;
		call(&rng);
		if ((at = nsample++) < SAMPLES)
			us[at] = (int32_t)(sl_mono_us() - from);
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	return *(const int32_t *)a - *(const int32_t *)b;
}

static int64_t cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void measure(int callers, int seconds)
{
	pthread_t t[CALLERS_MAX];
	int64_t from = sl_mono_us(), cpu = cpu_us();
	stop = false;
	nsample = ncrop = 0;
	for (int i = 0; i < callers; i++)
		t[i] = sl_thread_start("bench", run_caller, (void *)(intptr_t)i);
	struct timespec end = sl_timespec(sl_deadline_ms(seconds * 1000));
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL))
		;
	stop = true;
	for (int i = 0; i < callers; i++)
		pthread_join(t[i], NULL);
	double s = (double)(sl_mono_us() - from) / 1e6;
	int n = (int)SL_MIN(nsample, SAMPLES);
	qsort(us, (size_t)n, sizeof(*us), by_value);
	printf("%-20s %8d %10.0f %10.0f %9.2f %9.2f %9.1f\n", work->name, callers, (double)nsample / s,
		(double)ncrop / s, us[n / 2] / 1e3, us[(int64_t)n * 99 / 100] / 1e3,
		(double)(cpu_us() - cpu) / (double)SL_MAX(ncrop, 1));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	static char one[] = "1", eight[] = "8", *both[] = {one, eight};
	int seconds = argc > 2 ? atoi(argv[2]) : 5, n = argc > 3 ? argc - 3 : 2;
	char **callers = argc > 3 ? argv + 3 : both;
	struct sl_err err;

	for (int c = 0; c < n; c++)
		if (argc < 2 || seconds < 1 || atoi(callers[c]) < 1 || atoi(callers[c]) > CALLERS_MAX) {
			fprintf(stderr, "usage: crops_bench URL [SECONDS] [CALLERS...]\n");
			return 2;
		}
	struct sl_config *cfg = sl_settings_new();
	sl_random(jpeg, JPEG);
	memset(meta, 'm', META);
	sl_random_id(run_id);
	must(sl_crops_open(argv[1], cfg, &crops, &err), &err);
	printf("%-20s %8s %10s %10s %9s %9s %9s\n", "call", "callers", "calls/s", "crops/s", "p50 ms", "p99 ms",
		"CPU us");
	for (size_t i = 0; i < SL_COUNT(works); i++)
		for (int c = 0; c < n; c++) {
			work = &works[i];
			measure(atoi(callers[c]), seconds);
		}
	sl_crops_close(crops);
	sl_config_free(cfg);
	return 0;
}
