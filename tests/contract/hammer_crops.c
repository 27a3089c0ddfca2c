/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts crops into a store while somebody ends and cuts its servers, and reads them back.
 *
 *   hammer_crops put URL THREADS [FIRST]   until standard input ends; each thread puts its own crops,
 *                                          numbered from FIRST (0), and puts again what failed
 *   hammer_crops race URL THREADS          the same, but all threads put the same crops, one by one
 *   hammer_crops walk URL PAGE             lists keys, a page of PAGE for each line on standard input
 *   hammer_crops verify URL                the numbers on standard input, one a line, are there with their bytes;
 *                                          every other key of the store is whole too
 *
 * Prints, a line each: "ok N" once crop N is acknowledged ("won N" where this call made it), "fail STATUS
 * MS TEXT" for a call that failed after MS, "page N" for a page of N keys, "checked N" at the end of verify. Exit
 * status as signloop; 1 when verify misses something.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "core/settings.h"
#include "store/crops.h"
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { BYTES = 3000, MANY = 3, THREADS_MAX = 64, PAUSE_MS = 20 };

static struct sl_crops *crops;
static atomic_bool stop;
static bool races;

struct writer {
	pthread_t thread;
	int64_t next, step;
};

struct crop {
	char key[SL_KEY], meta[48];
	uint8_t jpeg[BYTES];
};

static void make(int64_t n, struct crop *ret)
{
	char frame[65];
	struct sl_rng rng = sl_rng((uint64_t)n, 7);

	snprintf(frame, sizeof(frame), "%024llx%040d", (unsigned long long)n, 0);
	sl_key_make(ret->key, frame, (int)(n % 1000), 20, 64, 64);
	snprintf(ret->meta, sizeof(ret->meta), "{\"v\":1,\"n\":%lld}", (long long)n);
	for (size_t i = 0; i < BYTES; i++)
		ret->jpeg[i] = (uint8_t)sl_rng_u32(&rng);
}

static struct sl_crop_put put_of(const struct crop *c)
{
	return (struct sl_crop_put){c->key, sl_slice(c->jpeg, BYTES), sl_slice_str(c->meta)};
}

/* Crops first .. first + n - 1, again and again until they are acknowledged. */
static void put(int64_t first, int n)
{
	struct crop c[MANY];
	struct sl_crop_put p[MANY];
	struct sl_err err;

	for (int i = 0; i < n; i++) {
		make(first + i, &c[i]);
		p[i] = put_of(&c[i]);
	}
	while (!stop) {
		int64_t from = sl_mono_us();
		enum sl_status s = n == 1 ? sl_crops_put(crops, p->key, p->jpeg, p->meta, &err)
					  : sl_crops_put_many(crops, p, n, &err);
		if (s == SL_OK || s == SL_EXISTS) {
			for (int i = 0; i < n; i++)
				printf("%s %lld\n", s == SL_OK && n == 1 ? "won" : "ok", (long long)first + i);
			return;
		}
		printf("fail %s %lld %s\n", sl_status_name(s), (long long)(sl_mono_us() - from) / 1000, err.text);
		if (!sl_status_is_retriable(s))
			exit(sl_status_exit(s));
		struct timespec end = sl_timespec(sl_deadline_ms(PAUSE_MS));
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
	}
}

static void *write_on(void *arg)
{
	struct writer *w = arg;

	for (; !stop; w->next += w->step) {
		put(w->next, 1);
		if (!races)
			put(w->next + 1, MANY);
	}
	return NULL;
}

static int hammer(int threads, int64_t first)
{
	struct writer w[THREADS_MAX] = {0};
	char byte;

	for (int i = 0; i < threads; i++) {
		w[i].next = races ? first : first + (int64_t)i * (1 + MANY);
		w[i].step = races ? 1 : (int64_t)threads * (1 + MANY);
		w[i].thread = sl_thread_start("hammer", write_on, &w[i]);
	}
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	stop = true;
	for (int i = 0; i < threads; i++)
		pthread_join(w[i].thread, NULL);
	return 0;
}

static bool is_there(int64_t n)
{
	struct crop want;
	struct sl_crop got;
	struct sl_err err;

	make(n, &want);
	if (sl_crops_get(crops, want.key, &got, &err) != SL_OK) {
		printf("missing %lld: %s\n", (long long)n, err.text);
		return false;
	}
	bool same = got.jpeg.len == BYTES && !memcmp(got.jpeg.ptr, want.jpeg, BYTES) &&
		    !strcmp((const char *)got.meta.ptr, want.meta);
	if (!same)
		printf("different %lld\n", (long long)n);
	sl_crop_done(&got);
	return same;
}

/* Every row can be read: the backend checks its parts. */
static int64_t read_all(int64_t *ret_bad)
{
	char key[SL_SCAN_MAX][SL_KEY], after[SL_KEY] = "";
	struct sl_err err;
	int64_t all = 0;
	int n;

	do {
		if (sl_crops_scan(crops, "", after, SL_SCAN_MAX, key, &n, &err) != SL_OK) {
			printf("scan: %s\n", err.text);
			++*ret_bad;
			return all;
		}
		for (int i = 0; i < n; i++, all++) {
			struct sl_crop got;
			if (sl_crops_get(crops, key[i], &got, &err) == SL_OK) {
				sl_crop_done(&got);
				continue;
			}
			printf("bad %s: %s\n", key[i], err.text);
			++*ret_bad;
		}
		if (n)
			sl_copy(after, sizeof(after), key[n - 1]);
	} while (n == SL_SCAN_MAX);
	return all;
}

static int verify(void)
{
	int64_t checked = 0, bad = 0;
	char line[64];

	for (; fgets(line, sizeof(line), stdin); checked++)
		bad += !is_there(strtoll(line, NULL, 10));
	int64_t rows = read_all(&bad);
	printf("checked %lld, rows %lld, bad %lld\n", (long long)checked, (long long)rows, (long long)bad);
	return bad ? 1 : 0;
}

static int walk(int page)
{
	char key[THREADS_MAX][SL_KEY], after[SL_KEY] = "", line[8];
	struct sl_err err;
	int n = 0;

	while (fgets(line, sizeof(line), stdin)) {
		int64_t from = sl_mono_us();
		enum sl_status s = sl_crops_scan(crops, "", after, page, key, &n, &err);
		if (s != SL_OK) {
			printf("fail %s %lld %s\n", sl_status_name(s), (long long)(sl_mono_us() - from) / 1000,
				err.text);
			continue;
		}
		printf("page %d\n", n);
		if (n)
			sl_copy(after, sizeof(after), key[n - 1]);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int threads = argc > 3 ? atoi(argv[3]) : 1;
	bool verifies = argc == 3 && !strcmp(argv[1], "verify"), walks = argc > 3 && !strcmp(argv[1], "walk");
	struct sl_err err;

	if (!verifies && (argc < 4 || (!walks && strcmp(argv[1], "put") && strcmp(argv[1], "race")) || threads < 1 ||
				 threads > THREADS_MAX)) {
		fprintf(stderr, "usage: hammer_crops put|race URL THREADS [FIRST] | walk URL PAGE | verify URL\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	races = !verifies && !strcmp(argv[1], "race");
	struct sl_config *cfg = sl_settings_new();
	enum sl_status s = sl_crops_open(argv[2], cfg, &crops, &err);
	if (s != SL_OK) {
		fprintf(stderr, "%s: %s\n", sl_status_name(s), err.text);
		return sl_status_exit(s);
	}
	int code = verifies ? verify() : walks ? walk(threads) : hammer(threads, argc > 4 ? atoll(argv[4]) : 0);
	sl_crops_close(crops);
	sl_config_free(cfg);
	return code;
}
