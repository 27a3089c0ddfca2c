/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes and reads a log while somebody kills, freezes and cuts its server, and says what became of it.
 *
 *   hammer_log open URL                       opens and closes
 *   hammer_log append URL TOPIC WRITERS [MS]  until standard input ends: writer w appends "w 0", "w 1", ... under key
 *                                             "w", each again until it is answered; MS: the deadline of a call
 *   hammer_log burst URL TOPIC N              appends "0 0" .. "0 N-1" in one call
 *   hammer_log consume URL GROUP TOPIC        until standard input ends: polls, prints, commits
 *   hammer_log read URL TOPIC                 every message there is
 *   hammer_log lag URL GROUP TOPIC
 *
 * Prints, a line each and at once: "ready"; "ok BODY" for an answered append; "fail STATUS MS TEXT" for a call that
 * failed after MS; "got PARTITION POSITION BODY" for a message polled or read; "committed N", of N messages;
 * "lag N". Exit status as signloop.
 */
#include "base/mem.h"
#include "base/thread.h"
#include "core/settings.h"
#include "store/log.h"
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { WRITERS_MAX = 64, PAUSE_MS = 20, POLL_MS = 200, BATCH = 100 };

static struct sl_log *hammered;
static const char *topic;
static int64_t call_ms;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stopped;
static bool stop;

static bool is_stopped(int64_t pause_ms)
{
	int64_t until = sl_deadline_ms(pause_ms);
	pthread_mutex_lock(&lock);
	while (!stop && pause_ms && sl_cond_wait_until(&stopped, &lock, until))
		;
	bool s = stop;
	pthread_mutex_unlock(&lock);
	return s;
}

static void *wait_for_end(void *arg)
{
	char c;
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	pthread_mutex_lock(&lock);
	stop = true;
	pthread_cond_broadcast(&stopped);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void say_failed(enum sl_status s, int64_t from_us, const struct sl_err *err)
{
	printf("fail %s %lld %s\n", sl_status_name(s), (long long)(sl_mono_us() - from_us) / 1000, err->text);
}

static void *append_on(void *arg)
{
	int w = (int)(intptr_t)arg;
	char key[16], body[40];
	snprintf(key, sizeof(key), "%d", w);
	for (int k = 0; !is_stopped(0);) {
		struct sl_err err;
		int64_t from = sl_mono_us();
		snprintf(body, sizeof(body), "%d %d", w, k);
		enum sl_status s = sl_log_append(
			hammered, topic, key, sl_slice_str(body), call_ms ? sl_deadline_ms(call_ms) : SL_FOREVER, &err);
		if (s == SL_OK) {
			printf("ok %s\n", body);
			k++;
			continue;
		}
		say_failed(s, from, &err);
		if (!sl_status_is_retriable(s) || is_stopped(PAUSE_MS))
			break;
	}
	return NULL;
}

static enum sl_status append(int writers)
{
	pthread_t t[WRITERS_MAX];
	for (int i = 0; i < writers; i++)
		t[i] = sl_thread_start("append", append_on, (void *)(intptr_t)i);
	for (int i = 0; i < writers; i++)
		pthread_join(t[i], NULL);
	return SL_OK;
}

static enum sl_status burst(int n, struct sl_err *err)
{
	struct sl_entry *e = SL_NEW_N(struct sl_entry, (size_t)n);
	char(*body)[24] = sl_calloc((size_t)n, sizeof(*body));
	for (int i = 0; i < n; i++) {
		snprintf(body[i], sizeof(*body), "0 %d", i);
		e[i] = (struct sl_entry){topic, "0", sl_slice_str(body[i])};
	}
	enum sl_status s = sl_log_append_many(hammered, e, n, SL_FOREVER, err);
	for (int i = 0; i < n && s == SL_OK; i++)
		printf("ok %s\n", body[i]);
	free(e);
	free(body);
	return s;
}

static void print(const struct sl_batch *b)
{
	for (int i = 0; i < b->n; i++)
		printf("got %d %lld %s\n", b->message[i].partition, (long long)b->message[i].position,
			(const char *)b->message[i].body.ptr);
}

/* Like a role: what was polled is committed before more is; a conflict makes it come again. */
static enum sl_status consume(const char *group, struct sl_err *err)
{
	struct sl_consumer *c;
	enum sl_status s = sl_consumer_open(hammered, group, topic, &c, err);
	if (s != SL_OK)
		return s;
	printf("ready\n");
	for (int waiting = 0; !is_stopped(0);) {
		struct sl_batch b = {0};
		int64_t from = sl_mono_us();
		s = waiting ? SL_OK : sl_consumer_poll(c, BATCH, sl_deadline_ms(POLL_MS), &b, err);
		print(&b);
		waiting += b.n;
		sl_batch_done(&b);
		if (s == SL_OK && waiting && (s = sl_consumer_commit(c, err)) == SL_OK)
			printf("committed %d\n", waiting);
		if (s == SL_OK || s == SL_CONFLICT)
			waiting = 0;
		if (s == SL_OK)
			continue;
		say_failed(s, from, err);
		if ((s != SL_CONFLICT && !sl_status_is_retriable(s)) || is_stopped(PAUSE_MS))
			break;
	}
	sl_consumer_close(c);
	return SL_OK;
}

static enum sl_status read_all(struct sl_err *err)
{
	enum sl_status s = SL_OK;
	int n = sl_log_partitions(hammered, topic);
	for (int p = 0; p < n && s == SL_OK; p++) {
		int64_t at = -1;
		for (bool more = true; more && s == SL_OK;) {
			struct sl_batch b = {0};
			s = sl_log_read(hammered, topic, p, at, BATCH, &b, err);
			print(&b);
			more = b.n > 0;
			at = more ? b.message[b.n - 1].position : at;
			sl_batch_done(&b);
		}
	}
	return s;
}

static enum sl_status run(int argc, char **argv, struct sl_err *err)
{
	const char *what = argv[1], *last = argv[argc - 1];
	int64_t lag = 0;
	enum sl_status s = SL_OK;
	topic = argc > 3 ? argv[3] : NULL;
	if (!strcmp(what, "append") && argc >= 5) {
		call_ms = argc > 5 ? atoi(argv[5]) : 0;
		printf("ready\n");
		return append(SL_MIN(atoi(argv[4]), WRITERS_MAX));
	}
	if (!strcmp(what, "burst") && argc == 5)
		return burst(atoi(last), err);
	if (!strcmp(what, "read") && argc == 4)
		return read_all(err);
	topic = last;
	if (!strcmp(what, "consume") && argc == 5)
		return consume(argv[3], err);
	if (!strcmp(what, "lag") && argc == 5 && (s = sl_log_lag(hammered, argv[3], topic, &lag, err)) == SL_OK)
		printf("lag %lld\n", (long long)lag);
	else if (strcmp(what, "open") && strcmp(what, "lag"))
		return sl_fail(err, SL_USAGE, "hammer_log open|append|burst|consume|read|lag URL ...");
	return s;
}

int main(int argc, char **argv)
{
	struct sl_err err = {0};
	enum sl_status s = SL_USAGE;
	struct sl_config *cfg = sl_settings_new();
	setvbuf(stdout, NULL, _IOLBF, 0);
	sl_cond_init(&stopped);
	if (argc < 3)
		fprintf(stderr, "usage: hammer_log open|append|burst|consume|read|lag URL ...\n");
	else if ((s = sl_log_open(argv[2], cfg, &hammered, &err)) == SL_OK) {
		sl_thread_start("stdin", wait_for_end, NULL);
		s = run(argc, argv, &err);
		sl_log_close(hammered);
	}
	if (s != SL_OK && argc >= 3)
		fprintf(stderr, "%s: %s\n", sl_status_name(s), err.text);
	sl_config_free(cfg);
	return sl_status_exit(s);
}
