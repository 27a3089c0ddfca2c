/* SPDX-License-Identifier: Apache-2.0
 *
 * An artifact store under load from outside, for tests that kill, freeze and cut its server:
 *
 *   hammer_artifacts URL open                    ... opens and closes
 *   hammer_artifacts URL put PATH FILE           hammer_artifacts URL get PATH FILE
 *   hammer_artifacts URL list PREFIX             a line an object: path and size
 *   hammer_artifacts URL remove PATH             hammer_artifacts URL huge (an object over the limit)
 *   hammer_artifacts URL race WHO COUNT          16 threads put each of COUNT objects, from the first line of input on;
 *                                                "won PATH BYTES" for each that this process won
 *   hammer_artifacts URL load MAX                8 writers and 8 readers until input ends: "acked PATH" for each put that
 *                                                was answered; readers check what was acked. MAX: most bytes of an object
 *   hammer_artifacts URL check MAX               every object is what `load` puts: "whole PATH" for each
 *   hammer_artifacts URL speed SIZE COUNT        puts and gets one after the other: "put MB/s get MB/s"
 *
 * A failure prints STATUS and text to standard error and exits with 1.
 */
#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "core/settings.h"
#include "store/artifacts.h"
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { RACERS = 16, WRITERS = 8, READERS = 8, KEPT = 1 << 16 };

struct hammer {
	struct sl_artifacts *a;
	const char *who;
	long count, max;
	atomic_bool stop;
	atomic_int nacked; /* of acked[] */
	pthread_mutex_t lock;
	char acked[KEPT][40];
};

static _Noreturn void fail(enum sl_status s, const struct sl_err *err)
{
	fprintf(stderr, "%s %s\n", sl_status_name(s), err->text);
	_exit(1);
}

static void say(const char *fmt, const char *path, const char *more)
{
	SL_AUTOFREE char *line = sl_asprintf(fmt, path, more);
	if (write(STDOUT_FILENO, line, strlen(line)) < 0) /* one write: whole lines only */
		_exit(1);
}

static void together(int n, void *(*fn)(void *), struct hammer *h, pthread_t *t)
{
	for (int i = 0; i < n; i++)
		t[i] = sl_thread_start("hammer", fn, h);
}

static void join(int n, const pthread_t *t)
{
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
}

/* The bytes that `load` puts at a path: its length and content follow from the name. */
static void bytes_of(const char *path, long max, struct sl_buf *ret)
{
	struct sl_rng rng = sl_rng(sl_fnv1a(path), 1);
	size_t n = 1 + sl_rng_below(&rng, (uint32_t)max);
	ret->len = 0;
	(void)sl_buf_reserve(ret, n + 4);
	for (; ret->len < n; ret->len += 4) {
		uint32_t v = sl_rng_u32(&rng);
		memcpy(ret->ptr + ret->len, &v, 4);
	}
	ret->len = n;
}

static void check_object(struct hammer *h, const char *path)
{
	SL_AUTO(sl_buf_done) struct sl_buf want = {0}, got = {0};
	struct sl_err err;
	enum sl_status s;
	while (sl_status_is_retriable(s = sl_artifacts_get(h->a, path, &got, &err)))
		;
	if (s != SL_OK)
		fail(s, &err);
	bytes_of(path, h->max, &want);
	if (got.len != want.len || memcmp(got.ptr, want.ptr, want.len) != 0)
		fail(sl_fail(&err, SL_CORRUPT, "%s: not the bytes that were put", path), &err);
}

static void *writer(void *arg)
{
	struct hammer *h = arg;
	SL_AUTO(sl_buf_done) struct sl_buf bytes = {0};
	while (!atomic_load(&h->stop)) {
		char id[33], path[40];
		sl_random_id(id);
		snprintf(path, sizeof(path), "%.2s/%.30s", id, id + 2);
		bytes_of(path, h->max, &bytes);
		struct sl_err err;
		enum sl_status s;
		bool unknown = false;
		while (sl_status_is_retriable(s = sl_artifacts_put(h->a, path, sl_buf_slice(&bytes), &err)))
			unknown = true;
		if (s != SL_OK && !(s == SL_EXISTS && unknown))
			fail(s, &err);
		pthread_mutex_lock(&h->lock);
		int n = atomic_load(&h->nacked);
		if (n < KEPT) {
			SL_COPY(h->acked[n], path);
			atomic_store(&h->nacked, n + 1);
		}
		pthread_mutex_unlock(&h->lock);
		say("acked %s%s\n", path, "");
	}
	return NULL;
}

static void *reader(void *arg)
{
	struct hammer *h = arg;
	struct sl_rng rng = sl_rng((uint64_t)sl_mono_us(), (uint64_t)pthread_self());
	while (!atomic_load(&h->stop)) {
		int n = atomic_load(&h->nacked);
		if (n)
			check_object(h, h->acked[sl_rng_below(&rng, (uint32_t)n)]);
		else
			sched_yield();
	}
	return NULL;
}

static void *racer(void *arg)
{
	struct hammer *h = arg;
	static atomic_int number;
	SL_AUTOFREE char *bytes = sl_asprintf("%s-%d", h->who, atomic_fetch_add(&number, 1));
	for (long k = 0; k < h->count; k++) {
		char path[40];
		snprintf(path, sizeof(path), "race/%ld/%ld", k % 3, k);
		struct sl_err err;
		enum sl_status s = sl_artifacts_put(h->a, path, sl_slice_str(bytes), &err);
		if (s != SL_OK && s != SL_EXISTS)
			fail(s, &err);
		if (s == SL_OK)
			say("won %s %s\n", path, bytes);
	}
	return NULL;
}

static enum sl_status race(struct hammer *h, char **arg, struct sl_err *err)
{
	pthread_t t[RACERS];
	h->who = arg[0];
	h->count = atol(arg[1]);
	say("ready%s%s\n", "", "");
	if (getchar() == EOF)
		return sl_fail(err, SL_USAGE, "a line of input starts it");
	together(RACERS, racer, h, t);
	join(RACERS, t);
	return SL_OK;
}

static enum sl_status load(struct hammer *h, char **arg, struct sl_err *err)
{
	pthread_t w[WRITERS], r[READERS];
	h->max = atol(arg[0]);
	together(WRITERS, writer, h, w);
	together(READERS, reader, h, r);
	while (getchar() != EOF)
		;
	atomic_store(&h->stop, true);
	join(WRITERS, w);
	join(READERS, r);
	return SL_OK;
}

static enum sl_status list(struct hammer *h, char **arg, struct sl_err *err)
{
	struct sl_artifact_list l;
	enum sl_status s = sl_artifacts_list(h->a, arg[0], &l, err);
	for (int i = 0; s == SL_OK && i < l.n; i++)
		printf("%s %lld\n", l.path[i], (long long)l.size[i]);
	if (s == SL_OK)
		sl_artifact_list_done(&l);
	return s;
}

static enum sl_status check(struct hammer *h, char **arg, struct sl_err *err)
{
	struct sl_artifact_list l;
	h->max = atol(arg[0]);
	enum sl_status s = sl_artifacts_list(h->a, "", &l, err);
	for (int i = 0; s == SL_OK && i < l.n; i++) {
		check_object(h, l.path[i]);
		printf("whole %s\n", l.path[i]);
	}
	if (s == SL_OK)
		sl_artifact_list_done(&l);
	return s;
}

static enum sl_status put(struct hammer *h, char **arg, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf bytes = {0};
	enum sl_status s = sl_fs_read(arg[1], &bytes, err);
	return s == SL_OK ? sl_artifacts_put(h->a, arg[0], sl_buf_slice(&bytes), err) : s;
}

static enum sl_status get(struct hammer *h, char **arg, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf bytes = {0};
	enum sl_status s = sl_artifacts_get(h->a, arg[0], &bytes, err);
	return s == SL_OK ? sl_fs_write(arg[1], sl_buf_slice(&bytes), true, err) : s;
}

static enum sl_status remove_object(struct hammer *h, char **arg, struct sl_err *err)
{
	return sl_artifacts_remove(h->a, arg[0], err);
}

static enum sl_status huge(struct hammer *h, char **arg, struct sl_err *err)
{
	return sl_artifacts_put(h->a, "huge", sl_slice("", SL_ARTIFACT_MAX + 1), err); /* refused before it is read */
}

static enum sl_status open_only(struct hammer *h, char **arg, struct sl_err *err)
{
	return SL_OK;
}

static enum sl_status speed(struct hammer *h, char **arg, struct sl_err *err)
{
	long size = atol(arg[0]), count = atol(arg[1]);
	SL_AUTOFREE char *bytes = sl_zalloc((size_t)size);
	SL_AUTO(sl_buf_done) struct sl_buf got = {0};
	double rate[2];
	sl_random(bytes, (size_t)size);
	for (int phase = 0; phase < 2; phase++) {
		int64_t start = sl_mono_us();
		for (long i = 0; i < count; i++) {
			char path[40];
			snprintf(path, sizeof(path), "speed/%ld/%ld", size, i);
			got.len = 0;
			enum sl_status s = phase ? sl_artifacts_get(h->a, path, &got, err)
						 : sl_artifacts_put(h->a, path, sl_slice(bytes, (size_t)size), err);
			if (s != SL_OK)
				return s;
		}
		rate[phase] = (double)size * (double)count / (double)(sl_mono_us() - start);
	}
	printf("put %.1f get %.1f MB/s\n", rate[0], rate[1]);
	return SL_OK;
}

static const struct {
	const char *name;
	int args;
	enum sl_status (*run)(struct hammer *h, char **arg, struct sl_err *err);
} commands[] = {{"open", 0, open_only}, {"put", 2, put}, {"get", 2, get}, {"list", 1, list},
	{"remove", 1, remove_object}, {"huge", 0, huge}, {"race", 2, race}, {"load", 1, load}, {"check", 1, check},
	{"speed", 2, speed}};

int main(int argc, char **argv)
{
	struct sl_config *cfg = sl_settings_new();
	struct hammer *h = SL_NEW(struct hammer);
	struct sl_err err;
	enum sl_status s = SL_USAGE;
	pthread_mutex_init(&h->lock, NULL);
	(void)sl_fail(&err, s, "hammer_artifacts URL COMMAND ...: see the head of its source");
	for (size_t i = 0; argc > 2 && i < SL_COUNT(commands); i++) {
		if (strcmp(argv[2], commands[i].name) != 0 || argc != 3 + commands[i].args)
			continue;
		s = sl_artifacts_open(argv[1], cfg, &h->a, &err);
		if (s == SL_OK)
			s = commands[i].run(h, argv + 3, &err);
	}
	if (s != SL_OK)
		fail(s, &err);
	sl_artifacts_close(h->a);
	sl_config_free(cfg);
	free(h);
	return 0;
}
