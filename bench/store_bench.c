/* SPDX-License-Identifier: Apache-2.0
 *
 * How many durable calls a second the embedded stores take, and how long one waits.
 *
 *   build/bench/store_bench [--seconds N] [--part log|crops|reviews] [FOLDER]
 *                        a new folder below FOLDER (default: TMPDIR or /tmp), removed after
 *   build/bench/store_bench --fill FOLDER
 *                        puts the open reviews into a data folder and ends: for a bench of the server
 *
 * CPU is of the whole process, all threads, a call of those that ran together.
 *
 * The goals (issue: fast enough to build on): >= 2,000 votes/s from 64 callers; a lease at
 * 100,000 open reviews within 20 ms for 99 of 100.
 */
#include "base/fs.h"
#include "base/mem.h"
#include "base/thread.h"
#include "core/settings.h"
#include "store/stores.h"
#include <stdatomic.h>
#include <stdio.h>

enum { CALLERS = 64, REVIEWS = 100000, SAMPLES = 1 << 20, PAST = 20000 };

struct probe {
	const char *name;
	int callers;
	/* One call of caller i; round counts up from 0. */
	void (*call)(int i, int round);
	_Atomic int n;
	int32_t *us;
	int64_t started_us, ended_us;
	double cpu_us; /* a call */
};

static struct sl_stores st;
static _Atomic bool stop;
static int seconds = 5;

static void must(enum sl_status s, const struct sl_err *err)
{
	if (s == SL_OK)
		return;
	fprintf(stderr, "bench: %s\n", err->text);
	exit(sl_status_exit(s));
}

struct caller {
	struct probe *p;
	int i;
	pthread_t thread;
};

static void *run_caller(void *arg)
{
	const struct caller *c = arg;
	for (int round = 0; !stop; round++) {
		int64_t start = sl_mono_us();
		c->p->call(c->i, round);
		int at = atomic_fetch_add(&c->p->n, 1);
		if (at < SAMPLES)
			c->p->us[at] = (int32_t)(sl_mono_us() - start);
	}
	return NULL;
}

static int by_value(const void *a, const void *b)
{
	return *(const int32_t *)a - *(const int32_t *)b;
}

static void report(struct probe *p)
{
	int n = SL_MIN(p->n, SAMPLES);
	qsort(p->us, (size_t)n, sizeof(*p->us), by_value);
	printf("%-34s %8d %10.0f %9.2f %9.2f %9.2f %9.1f\n", p->name, p->callers,
		(double)p->n / ((double)(p->ended_us - p->started_us) / 1e6), p->us[n / 2] / 1e3,
		p->us[(int64_t)n * 99 / 100] / 1e3, p->us[n - 1] / 1e3, p->cpu_us);
	fflush(stdout);
}

static int64_t process_cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Runs the probes at once for `seconds`, and prints a line each. */
static void measure(struct probe *p, int n)
{
	struct caller *c[4];
	int64_t cpu = process_cpu_us(), calls = 0;
	stop = false;
	for (int k = 0; k < n; k++) {
		p[k].us = SL_NEW_N(int32_t, SAMPLES);
		p[k].started_us = sl_mono_us();
		c[k] = SL_NEW_N(struct caller, (size_t)p[k].callers);
		for (int i = 0; i < p[k].callers; i++) {
			c[k][i] = (struct caller){&p[k], i, 0};
			c[k][i].thread = sl_thread_start("bench", run_caller, &c[k][i]);
		}
	}
	struct timespec end = sl_timespec(sl_deadline_ms(seconds * 1000));
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL))
		;
	stop = true;
	for (int k = 0; k < n; k++) {
		for (int i = 0; i < p[k].callers; i++)
			pthread_join(c[k][i].thread, NULL);
		p[k].ended_us = sl_mono_us();
		calls += p[k].n;
		free(c[k]);
	}
	for (int k = 0; k < n; k++) {
		p[k].cpu_us = (double)(process_cpu_us() - cpu) / (double)SL_MAX(calls, 1);
		report(&p[k]);
		free(p[k].us);
	}
}

/* ---- reviews ---- */

static void key_of(int i, char ret[SL_KEY])
{
	char frame[65];
	snprintf(frame, sizeof(frame), "%024x%040d", (unsigned)i, 0);
	sl_key_make(ret, frame, 100, 200, 64, 64);
}

static void add_reviews(void)
{
	struct sl_err err;
	struct sl_review *r = SL_NEW_N(struct sl_review, 1000);
	for (int at = 0; at < REVIEWS; at += 1000) {
		for (int i = 0; i < 1000; i++) {
			r[i] = (struct sl_review){.ncandidate = 5, .time_ms = at + i};
			key_of(at + i, r[i].key);
			for (int k = 0; k < 5; k++)
				r[i].candidate[k] = (struct sl_candidate){k, 0.2f};
			memset(r[i].bundle, 'b', 64);
			strcpy(r[i].device, "car-1");
		}
		must(sl_reviews_add(st.reviews, r, 1000, NULL, &err), &err);
	}
	free(r);
}

static _Thread_local struct sl_review shown;
static _Thread_local bool has_shown;

static void lease(int i, int round)
{
	struct sl_err err;
	char voter[16];
	int n;
	snprintf(voter, sizeof(voter), "voter-%d", i);
	must(sl_reviews_lease(st.reviews, voter, 1, &shown, &n, &err), &err);
	has_shown = n > 0;
}

static void vote(int i, int round)
{
	struct sl_err err;
	struct sl_verdict v;
	struct sl_vote vote = {.choice = (i + round) % 3 ? 1 : 2};
	if (!has_shown)
		return;
	snprintf(vote.voter, sizeof(vote.voter), "voter-%d", i);
	snprintf(vote.id, sizeof(vote.id), "%d", round);
	enum sl_status s = sl_reviews_vote(st.reviews, shown.key, &vote, &v, &err);
	if (s != SL_CONFLICT) /* the others decided it meanwhile */
		must(s, &err);
}

static struct probe lease_probe;

/* What a labeler does: the next review, then its vote. The lease is timed beside the vote. */
static void lease_then_vote(int i, int round)
{
	int64_t start = sl_mono_us();
	lease(i, round);
	int at = atomic_fetch_add(&lease_probe.n, 1);
	if (at < SAMPLES)
		lease_probe.us[at] = (int32_t)(sl_mono_us() - start);
	vote(i, round);
}

static _Atomic int64_t cursor;

/* A vote without a lease, spread over all reviews. */
static void vote_alone(int i, int round)
{
	struct sl_err err;
	struct sl_verdict v;
	int at = (int)(cursor++ / 3 % REVIEWS);
	struct sl_vote vote = {.choice = 1};
	char key[SL_KEY];
	snprintf(vote.voter, sizeof(vote.voter), "fast-%d-%d", i, round % 100);
	snprintf(vote.id, sizeof(vote.id), "%d", round);
	key_of(at, key);
	enum sl_status s = sl_reviews_vote(st.reviews, key, &vote, &v, &err);
	if (s != SL_CONFLICT)
		must(s, &err);
}

static void *vote_past(void *arg)
{
	struct sl_err err;
	struct sl_verdict v;
	for (int i = *(int *)arg; i < PAST; i += CALLERS) {
		char key[SL_KEY];
		struct sl_vote vote = {.voter = "voter-0", .id = "past", .choice = 1};
		key_of(i, key);
		enum sl_status s = sl_reviews_vote(st.reviews, key, &vote, &v, &err);
		if (s != SL_CONFLICT)
			must(s, &err);
	}
	return NULL;
}

/* voter-0 votes on the 20,000 oldest reviews. */
static void vote_past_thousands(void)
{
	pthread_t t[CALLERS];
	int at[CALLERS];
	for (int i = 0; i < CALLERS; i++) {
		at[i] = i;
		t[i] = sl_thread_start("bench", vote_past, &at[i]);
	}
	for (int i = 0; i < CALLERS; i++)
		pthread_join(t[i], NULL);
}

/* ---- log, crops ---- */

static void append(int i, int round)
{
	struct sl_err err;
	char key[32], body[300];
	snprintf(key, sizeof(key), "key-%d-%d", i, round);
	memset(body, 'x', sizeof(body));
	must(sl_log_append(st.log, "labels", key, sl_slice(body, sizeof(body)), SL_FOREVER, &err), &err);
}

static struct sl_consumer *consumer;

static void follow(int i, int round)
{
	struct sl_err err;
	struct sl_batch b;
	must(sl_consumer_poll(consumer, SL_BATCH_MAX, sl_deadline_ms(100), &b, &err), &err);
	sl_batch_done(&b);
	must(sl_consumer_commit(consumer, &err), &err);
}

static void put(int i, int round)
{
	struct sl_err err;
	char key[SL_KEY];
	uint8_t jpeg[2500];
	memset(jpeg, i + round, sizeof(jpeg));
	snprintf(key, sizeof(key), "%04x-%d-%d", (unsigned)(i * 7919 + round * 104729) & 0xffff, i, round);
	must(sl_crops_put(st.crops, key, sl_slice(jpeg, sizeof(jpeg)), sl_slice_str("{\"v\":1}"), &err), &err);
}

static void get(int i, int round)
{
	struct sl_err err;
	struct sl_crop c;
	char key[SL_KEY];
	snprintf(key, sizeof(key), "%04x-%d-%d", (unsigned)(i * 7919 + round % 50 * 104729) & 0xffff, i, round % 50);
	enum sl_status s = sl_crops_get(st.crops, key, &c, &err);
	if (s == SL_NOT_FOUND)
		return;
	must(s, &err);
	sl_crop_done(&c);
}

static void measure_reviews(void)
{
	add_reviews();
	int64_t from = sl_mono_us();
	lease(CALLERS, 0); /* reads what is open into memory */
	printf("# the first lease after opening: %.1f ms\n", (double)(sl_mono_us() - from) / 1e3);
	lease_probe = (struct probe){.name = "  of it the lease", .callers = CALLERS, .us = SL_NEW_N(int32_t, SAMPLES)};
	struct probe both = {.name = "lease, then vote", .callers = CALLERS, .call = lease_then_vote};
	measure(&both, 1);
	lease_probe.started_us = both.started_us;
	lease_probe.ended_us = both.ended_us;
	lease_probe.cpu_us = both.cpu_us;
	report(&lease_probe);
	free(lease_probe.us);
	struct probe alone = {.name = "vote", .callers = CALLERS, .call = vote_alone};
	measure(&alone, 1);
	struct sl_err err;
	struct sl_review_stats rs;
	must(sl_reviews_stats(st.reviews, &rs, &err), &err);
	printf("# reviews: %lld open, %lld decided, %lld votes\n", (long long)rs.open, (long long)rs.decided,
		(long long)rs.votes);
	vote_past_thousands();
	struct probe past = {.name = "lease of a voter past 20,000", .callers = 1, .call = lease};
	measure(&past, 1);
}

static void measure_log(void)
{
	struct sl_err err;
	struct probe logs[] = {{.name = "log append (300 bytes)", .callers = CALLERS, .call = append},
		{.name = "  beside it poll and commit", .callers = 1, .call = follow}};
	must(sl_consumer_open(st.log, "bench", "labels", &consumer, &err), &err);
	measure(logs, 2);
	sl_consumer_close(consumer);
	struct probe one = {.name = "log append, one caller", .callers = 1, .call = append};
	measure(&one, 1);
}

static void measure_crops(void)
{
	struct probe crops = {.name = "crop put (2.5 kB)", .callers = CALLERS, .call = put};
	measure(&crops, 1);
	struct probe gets = {.name = "crop get", .callers = CALLERS, .call = get};
	measure(&gets, 1);
}

static void measure_all(const char *part)
{
	printf("%-34s %8s %10s %9s %9s %9s %9s\n", "durable calls", "callers", "calls/s", "p50 ms", "p99 ms", "max ms",
		"CPU us");
	if (!part || strcmp(part, "log") == 0)
		measure_log();
	if (!part || strcmp(part, "crops") == 0)
		measure_crops();
	if (!part || strcmp(part, "reviews") == 0)
		measure_reviews();
}

int main(int argc, char **argv)
{
	const char *tmp = getenv("TMPDIR"), *part = NULL, *fill = NULL;
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
			seconds = atoi(argv[++i]);
		else if (strcmp(argv[i], "--part") == 0 && i + 1 < argc)
			part = argv[++i];
		else if (strcmp(argv[i], "--fill") == 0 && i + 1 < argc)
			fill = argv[++i];
		else
			tmp = argv[i];
	if (seconds < 1 || (part && strcmp(part, "log") && strcmp(part, "crops") && strcmp(part, "reviews"))) {
		fprintf(stderr,
			"usage: store_bench [--seconds N] [--part log|crops|reviews] [FOLDER] | --fill FOLDER\n");
		return 2;
	}
	SL_AUTOFREE char *dir = fill ? sl_strdup(fill) : sl_asprintf("%s/signloop-bench-XXXXXX", tmp ? tmp : "/tmp");
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	if (!fill && !mkdtemp(dir)) {
		fprintf(stderr, "bench: %s: cannot be made\n", dir);
		return 3;
	}
	must(sl_stores_open(cfg, dir, &st, &err), &err);
	if (fill)
		add_reviews();
	else
		measure_all(part);
	sl_stores_close(&st);
	sl_config_free(cfg);
	if (!fill)
		must(sl_fs_remove_tree(dir, &err), &err);
	return 0;
}
