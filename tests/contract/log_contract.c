/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "contract.h"
#include <stdatomic.h>
#include <stdio.h>

enum { AT = 1700000000, WAIT_MS = 20000 };
#define NOW_MS ((int64_t)AT * 1000)

static struct sl_log *open_at(const char *url)
{
	struct sl_err err;
	struct sl_log *l;
	struct sl_config *cfg = sl_test_config();
	CHECK_OK(sl_log_open(url, cfg, &l, &err));
	sl_config_free(cfg);
	return l;
}

static void append(struct sl_log *l, const char *topic, const char *key, const char *body)
{
	struct sl_err err;
	CHECK_OK(sl_log_append(l, topic, key, sl_slice_str(body), SL_FOREVER, &err));
}

static void append_numbers(struct sl_log *l, const char *topic, int first, int n)
{
	for (int i = first; i < first + n; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		append(l, topic, key, key + 1);
	}
}

static struct sl_consumer *join(struct sl_log *l, const char *group, const char *topic)
{
	struct sl_err err;
	struct sl_consumer *c;
	CHECK_OK(sl_consumer_open(l, group, topic, &c, &err));
	return c;
}

/* Polls until n messages have come, and checks that they are first, first + 1, ... */
static void expect_numbers(struct sl_consumer *c, int first, int n)
{
	struct sl_err err;
	for (int got = 0; got < n;) {
		struct sl_batch batch;
		CHECK_OK(sl_consumer_poll(c, n - got, sl_deadline_ms(WAIT_MS), &batch, &err));
		CHECK(batch.n > 0 && batch.n <= n - got);
		for (int i = 0; i < batch.n; i++, got++)
			CHECK_EQ(atoi((const char *)batch.message[i].body.ptr), first + got);
		sl_batch_done(&batch);
	}
}

static int poll_now(struct sl_consumer *c)
{
	struct sl_err err;
	struct sl_batch batch;
	CHECK_OK(sl_consumer_poll(c, SL_BATCH_MAX, sl_mono_us(), &batch, &err));
	int n = batch.n;
	sl_batch_done(&batch);
	return n;
}

static int64_t lag_of(struct sl_log *l, const char *group, const char *topic)
{
	struct sl_err err;
	int64_t n = -1;
	CHECK_OK(sl_log_lag(l, group, topic, &n, &err));
	return n;
}

CONTRACT(log, order_is_kept_and_every_field_comes_back)
{
	struct sl_err err;
	b->clock(NOW_MS);
	struct sl_log *l = open_at(b->url());
	append(l, "labels", "crop-1", "{\"v\":1}");
	CHECK_OK(sl_log_append(l, "labels", "", sl_slice("a\0b", 3), SL_FOREVER, &err));
	append_numbers(l, "reviews", 0, 50);
	struct sl_consumer *c = join(l, "curate", "labels");
	struct sl_batch batch;
	CHECK_OK(sl_consumer_poll(c, 10, SL_FOREVER, &batch, &err));
	CHECK_EQ(batch.n, 2);
	const struct sl_message *m = batch.message;
	CHECK_STR(m[0].topic, "labels");
	CHECK_STR(m[0].key, "crop-1");
	CHECK_STR((const char *)m[0].body.ptr, "{\"v\":1}");
	CHECK_EQ(m[0].body.len, 7);
	CHECK_EQ(m[0].partition, 0);
	CHECK(m[0].position >= 0 && m[1].position > m[0].position);
	CHECK(m[0].time_ms > 0);
	CHECK_STR(m[1].key, "");
	CHECK_EQ(m[1].body.len, 3);
	CHECK(!memcmp(m[1].body.ptr, "a\0b", 4)); /* and the NUL that follows */
	sl_batch_done(&batch);
	sl_consumer_close(c);
	c = join(l, "intake", "reviews");
	expect_numbers(c, 0, 50);
	sl_consumer_close(c);
	sl_log_close(l);
}

CONTRACT(log, bad_messages_are_refused_and_store_nothing)
{
	struct sl_err err;
	struct sl_log *l = open_at(b->url());
	uint8_t *big = sl_zalloc(SL_MESSAGE_MAX + 1);
	char key[SL_MESSAGE_KEY + 1];
	memset(key, 'k', sizeof(key));
	key[SL_MESSAGE_KEY] = 0;
	CHECK_STATUS(
		sl_log_append(l, "labels", "k", sl_slice(big, SL_MESSAGE_MAX + 1), SL_FOREVER, &err), SL_TOO_LARGE);
	CHECK_STATUS(sl_log_append(l, "labels", key, sl_slice_str("x"), SL_FOREVER, &err), SL_INVALID);
	CHECK_STATUS(sl_log_append(l, "", "k", sl_slice_str("x"), SL_FOREVER, &err), SL_INVALID);
	CHECK_STATUS(sl_log_append(l, "a/b", "k", sl_slice_str("x"), SL_FOREVER, &err), SL_INVALID);
	CHECK_STATUS(sl_log_append(l, "labels", "k", sl_slice_str("x"), sl_mono_us() - 1, &err), SL_TIMEOUT);
	struct sl_entry e[] = {{"labels", "good", sl_slice_str("x")}, {"labels", key, sl_slice_str("x")}};
	CHECK_STATUS(sl_log_append_many(l, e, 2, SL_FOREVER, &err), SL_INVALID);
	CHECK_EQ(lag_of(l, NULL, "labels"), 0);
	CHECK_OK(sl_log_append(l, "labels", "k", sl_slice(big, SL_MESSAGE_MAX), SL_FOREVER, &err));
	CHECK_EQ(lag_of(l, NULL, "labels"), 1);
	struct sl_batch batch;
	CHECK_OK(sl_log_read(l, "labels", 0, -1, 10, &batch, &err));
	CHECK_EQ(batch.message[0].body.len, SL_MESSAGE_MAX);
	sl_batch_done(&batch);
	free(big);
	sl_log_close(l);
}

CONTRACT(log, groups_read_alone_and_go_on_after_their_commit)
{
	struct sl_err err;
	struct sl_log *l = open_at(b->url());
	append_numbers(l, "labels", 0, 10);
	struct sl_consumer *x = join(l, "x", "labels"), *y = join(l, "y", "labels");
	CHECK_EQ(lag_of(l, "x", "labels"), 10);
	expect_numbers(x, 0, 6);
	CHECK_EQ(lag_of(l, "x", "labels"), 10);
	CHECK_OK(sl_consumer_commit(x, &err));
	CHECK_EQ(lag_of(l, "x", "labels"), 4);
	expect_numbers(x, 6, 2); /* not committed */
	expect_numbers(y, 0, 10);
	CHECK_EQ(lag_of(l, "y", "labels"), 10);
	sl_consumer_close(x);
	x = join(l, "x", "labels");
	expect_numbers(x, 6, 4);
	CHECK_OK(sl_consumer_commit(x, &err));
	CHECK_OK(sl_consumer_commit(x, &err)); /* nothing new: still fine */
	CHECK_EQ(lag_of(l, "x", "labels"), 0);
	CHECK_EQ(lag_of(l, NULL, "labels"), 10);
	CHECK_EQ(lag_of(l, "x", "nothing"), 0);
	sl_consumer_close(x);
	sl_consumer_close(y);
	sl_log_close(l);
}

CONTRACT(log, seek_goes_where_the_effect_is)
{
	struct sl_err err;
	struct sl_log *l = open_at(b->url());
	append_numbers(l, "reviews", 0, 10);
	struct sl_batch batch;
	CHECK_OK(sl_log_read(l, "reviews", 0, -1, 10, &batch, &err));
	CHECK_EQ(batch.n, 10);
	int64_t fifth = batch.message[4].position;
	sl_batch_done(&batch);
	CHECK_OK(sl_log_read(l, "reviews", 0, fifth, 2, &batch, &err));
	CHECK_EQ(batch.n, 2);
	CHECK_STR((const char *)batch.message[0].body.ptr, "5");
	sl_batch_done(&batch);
	CHECK_OK(sl_log_read(l, "reviews", 7, -1, 2, &batch, &err)); /* no such partition: no messages */
	CHECK_EQ(batch.n, 0);
	append_numbers(l, "labels", 0, 3); /* what stands beside it must not show through */
	CHECK_OK(sl_log_read(l, "labels", 0, INT64_MAX, 10, &batch, &err));
	CHECK_EQ(batch.n, 0);
	CHECK_OK(sl_log_read(l, "labels", 0, INT64_MIN, 10, &batch, &err));
	CHECK_EQ(batch.n, 3);
	sl_batch_done(&batch);
	struct sl_consumer *c = join(l, "intake", "reviews");
	CHECK_OK(sl_consumer_seek(c, 0, fifth, &err));
	expect_numbers(c, 5, 5);
	CHECK_OK(sl_consumer_seek(c, 0, -1, &err));
	expect_numbers(c, 0, 3);
	CHECK_OK(sl_consumer_commit(c, &err));
	CHECK_EQ(lag_of(l, "intake", "reviews"), 7);
	CHECK_STATUS(sl_consumer_seek(c, 3, -1, &err), SL_CONFLICT);
	sl_consumer_close(c);
	sl_log_close(l);
}

struct late {
	struct sl_log *l;
	_Atomic int polling;
};

static void poll_or_append(int i, void *arg)
{
	struct late *t = arg;
	if (i == 0) {
		struct sl_consumer *c = join(t->l, "g", "labels");
		t->polling = 1;
		expect_numbers(c, 7, 1);
		sl_consumer_close(c);
		return;
	}
	while (!t->polling)
		sched_yield();
	append_numbers(t->l, "labels", 7, 1);
}

CONTRACT(log, a_waiting_poll_wakes_for_a_new_message)
{
	struct late t = {.l = open_at(b->url())};
	struct sl_consumer *c = join(t.l, "other", "labels");
	CHECK_EQ(poll_now(c), 0); /* the deadline is past: empty at once */
	sl_consumer_close(c);
	sl_test_threads(2, poll_or_append, &t);
	sl_log_close(t.l);
}

enum { WRITERS = 16, EACH = 40 };

static void append_some(int i, void *arg)
{
	for (int k = 0; k < EACH; k++) {
		char key[16], body[16];
		snprintf(key, sizeof(key), "w%d", i);
		snprintf(body, sizeof(body), "%d %d", i, k);
		append(arg, "labels", key, body);
	}
}

/* Reads all partitions; each writer's messages must be there once (or, with again, at least
 * once), and in order of their first appearance. */
static void check_writers(struct sl_log *l, bool again)
{
	struct sl_err err;
	int next[WRITERS] = {0};
	for (int p = 0; p < sl_log_partitions(l, "labels"); p++)
		for (int64_t at = -1;;) {
			struct sl_batch batch;
			CHECK_OK(sl_log_read(l, "labels", p, at, 100, &batch, &err));
			for (int i = 0; i < batch.n; i++) {
				int w, k;
				CHECK(batch.message[i].position > at);
				at = batch.message[i].position;
				CHECK_EQ(sscanf((const char *)batch.message[i].body.ptr, "%d %d", &w, &k), 2);
				CHECK(k == next[w] || (again && k < next[w]));
				next[w] += k == next[w];
			}
			int n = batch.n;
			sl_batch_done(&batch);
			if (!n)
				break;
		}
	for (int i = 0; i < WRITERS; i++)
		CHECK_EQ(next[i], EACH);
}

CONTRACT(log, sixteen_writers_lose_nothing)
{
	struct sl_log *l = open_at(b->parted());
	sl_test_threads(WRITERS, append_some, l);
	CHECK_EQ(lag_of(l, NULL, "labels"), WRITERS * EACH);
	check_writers(l, false);
	sl_log_close(l);
}

static void append_until_sure(int i, void *arg)
{
	for (int k = 0; k < EACH; k++) {
		char key[16], body[16];
		snprintf(key, sizeof(key), "w%d", i);
		snprintf(body, sizeof(body), "%d %d", i, k);
		enum sl_status s;
		do
			s = sl_log_append(arg, "labels", key, sl_slice_str(body), SL_FOREVER, NULL);
		while (s == SL_TIMEOUT);
		CHECK_EQ(s, SL_OK);
	}
}

CONTRACT(log, lost_answers_and_retries_lose_nothing)
{
	struct sl_log *l = open_at(sl_test_fault(b->parted(), "every=7&when=after&calls=append"));
	sl_test_threads(WRITERS, append_until_sure, l);
	CHECK(lag_of(l, NULL, "labels") > WRITERS * EACH); /* some stand twice: their answer was lost */
	check_writers(l, true);
	sl_log_close(l);
}

CONTRACT(log, append_many_keeps_its_order)
{
	struct sl_err err;
	struct sl_log *l = open_at(b->url());
	struct sl_entry e[100];
	char key[100][8];
	for (int i = 0; i < 100; i++) {
		snprintf(key[i], sizeof(key[i]), "%d", i);
		e[i] = (struct sl_entry){i % 10 == 9 ? "models" : "labels", key[i], sl_slice_str(key[i])};
	}
	CHECK_OK(sl_log_append_many(l, e, 100, SL_FOREVER, &err));
	CHECK_OK(sl_log_append_many(l, e, 0, SL_FOREVER, &err));
	CHECK_EQ(lag_of(l, NULL, "labels"), 90);
	CHECK_EQ(lag_of(l, NULL, "models"), 10);
	struct sl_consumer *c = join(l, "g", "models");
	struct sl_batch batch;
	CHECK_OK(sl_consumer_poll(c, 10, sl_deadline_ms(WAIT_MS), &batch, &err));
	for (int i = 0; i < batch.n; i++)
		CHECK_EQ(atoi((const char *)batch.message[i].body.ptr), 10 * i + 9);
	sl_batch_done(&batch);
	sl_consumer_close(c);
	sl_log_close(l);
}

CONTRACT_IF(log, lasts, what_was_answered_is_there_after_reopening)
{
	struct sl_err err;
	struct sl_log *l = open_at(b->url());
	append_numbers(l, "labels", 0, 20);
	struct sl_consumer *c = join(l, "g", "labels");
	expect_numbers(c, 0, 5);
	CHECK_OK(sl_consumer_commit(c, &err));
	sl_consumer_close(c);
	sl_log_close(l);
	l = open_at(b->url());
	CHECK_EQ(lag_of(l, "g", "labels"), 15);
	append_numbers(l, "labels", 20, 5);
	c = join(l, "g", "labels");
	expect_numbers(c, 5, 20);
	sl_consumer_close(c);
	sl_log_close(l);
}

/* ---- groups ---- */

CONTRACT(log, one_member_at_a_time_reads_a_partition)
{
	struct sl_err err;
	struct sl_log *l = open_at(b->url());
	append_numbers(l, "labels", 0, 10);
	struct sl_consumer *first = join(l, "g", "labels"), *second = join(l, "g", "labels");
	expect_numbers(first, 0, 4);
	CHECK_EQ(poll_now(second), 0);
	CHECK_STATUS(sl_consumer_seek(second, 0, -1, &err), SL_CONFLICT);
	CHECK_OK(sl_consumer_commit(first, &err));
	expect_numbers(first, 4, 3); /* not committed: the other member gets them */
	sl_consumer_close(first);
	expect_numbers(second, 4, 6);
	CHECK_OK(sl_consumer_commit(second, &err));
	CHECK_EQ(lag_of(l, "g", "labels"), 0);
	sl_consumer_close(second);
	sl_log_close(l);
}

/* Polls all members in turn until n different messages were seen; every member commits. */
static void drain_in_turn(struct sl_consumer **c, int members, int n, int *by)
{
	struct sl_err err;
	int seen[1000] = {0}, got = 0;
	int64_t deadline = sl_deadline_ms(WAIT_MS);
	memset(by, 0, sizeof(*by) * (size_t)members);
	while (got < n) {
		CHECK(!sl_is_past(deadline));
		for (int i = 0; i < members; i++) {
			struct sl_batch batch;
			CHECK_OK(sl_consumer_poll(c[i], 5, sl_mono_us(), &batch, &err));
			for (int k = 0; k < batch.n; k++) {
				int *s = &seen[atoi((const char *)batch.message[k].body.ptr)];
				got += !*s;
				*s = 1;
			}
			by[i] += batch.n;
			sl_batch_done(&batch);
			enum sl_status s = sl_consumer_commit(c[i], &err);
			CHECK(s == SL_OK || s == SL_CONFLICT);
		}
	}
}

CONTRACT(log, members_share_the_partitions)
{
	struct sl_log *l = open_at(b->parted());
	CHECK_EQ(sl_log_partitions(l, "labels"), 4);
	struct sl_consumer *c[3];
	int by[3];
	for (int i = 0; i < 3; i++)
		c[i] = join(l, "g", "labels");
	for (int i = 0; i < 3; i++)
		CHECK_EQ(poll_now(c[i]), 0); /* those with too much give back; the others claim */
	append_numbers(l, "labels", 0, 200);
	drain_in_turn(c, 3, 200, by);
	CHECK(by[0] > 0 && by[1] > 0 && by[2] > 0);
	CHECK_EQ(by[0] + by[1] + by[2], 200);
	sl_consumer_close(c[1]);
	append_numbers(l, "labels", 200, 200);
	struct sl_consumer *left[] = {c[0], c[2]};
	drain_in_turn(left, 2, 200, by);
	CHECK(by[0] > 0 && by[1] > 0);
	CHECK_EQ(lag_of(l, "g", "labels"), 0);
	sl_consumer_close(c[0]);
	sl_consumer_close(c[2]);
	sl_log_close(l);
}

CONTRACT(log, a_member_that_sleeps_loses_its_partition)
{
	struct sl_err err;
	b->clock(NOW_MS);
	struct sl_log *l = open_at(b->url());
	append_numbers(l, "labels", 0, 10);
	struct sl_consumer *asleep = join(l, "g", "labels"), *other = join(l, "g", "labels");
	expect_numbers(asleep, 0, 6);
	b->clock(NOW_MS + SL_MEMBER_MS / 2);
	CHECK_EQ(poll_now(other), 0);
	b->clock(NOW_MS + SL_MEMBER_MS + 1);
	expect_numbers(other, 0, 10); /* nothing was committed */
	CHECK_STATUS(sl_consumer_commit(asleep, &err), SL_CONFLICT);
	CHECK_OK(sl_consumer_commit(other, &err));
	CHECK_EQ(lag_of(l, "g", "labels"), 0);
	CHECK_EQ(poll_now(asleep), 0); /* joined again, as the younger one */
	append_numbers(l, "labels", 10, 1);
	sl_consumer_close(other);
	expect_numbers(asleep, 10, 1);
	sl_consumer_close(asleep);
	sl_log_close(l);
}

CONTRACT(log, a_lone_member_may_sleep_as_long_as_it_likes)
{
	struct sl_err err;
	b->clock(NOW_MS);
	struct sl_log *l = open_at(b->url());
	append_numbers(l, "labels", 0, 10);
	struct sl_consumer *c = join(l, "g", "labels");
	expect_numbers(c, 0, 6);
	b->clock(NOW_MS + 100 * (int64_t)SL_MEMBER_MS);
	CHECK_OK(sl_consumer_commit(c, &err));
	expect_numbers(c, 6, 4);
	CHECK_OK(sl_consumer_commit(c, &err));
	CHECK_EQ(lag_of(l, "g", "labels"), 0);
	sl_consumer_close(c);
	sl_log_close(l);
}

enum { MEMBERS = 6, MESSAGES = 400 };

struct crowd {
	struct sl_log *l;
	_Atomic int seen[MESSAGES], distinct;
};

/* Half write; half read, commit, and leave and join again now and then. */
static void crowd_member(int i, void *arg)
{
	struct crowd *t = arg;
	struct sl_err err;
	if (i >= MEMBERS) {
		for (int k = i - MEMBERS; k < MESSAGES; k += MEMBERS)
			append_numbers(t->l, "labels", k, 1);
		return;
	}
	struct sl_consumer *c = join(t->l, "g", "labels");
	for (int round = 1; t->distinct < MESSAGES; round++) {
		struct sl_batch batch;
		CHECK_OK(sl_consumer_poll(c, 10, sl_deadline_ms(20), &batch, &err));
		for (int k = 0; k < batch.n; k++)
			t->distinct += !atomic_exchange(&t->seen[atoi((const char *)batch.message[k].body.ptr)], 1);
		sl_batch_done(&batch);
		enum sl_status s = sl_consumer_commit(c, &err);
		CHECK(s == SL_OK || s == SL_CONFLICT);
		if (round % (5 + i) == 0) {
			sl_consumer_close(c);
			c = join(t->l, "g", "labels");
		}
	}
	sl_consumer_close(c);
}

CONTRACT(log, a_crowd_that_comes_and_goes_sees_everything)
{
	struct crowd *t = SL_NEW(struct crowd);
	t->l = open_at(b->parted());
	sl_test_threads(2 * MEMBERS, crowd_member, t);
	CHECK_EQ(t->distinct, MESSAGES);
	sl_log_close(t->l);
	free(t);
}

/* ---- several processes ---- */

static void write_from_process(void *arg)
{
	struct sl_log *l = open_at(arg);
	append_some(0, l);
	sl_log_close(l);
}

CONTRACT_IF(log, shared, two_processes_write_and_read_one_log)
{
	char *url = sl_strdup(b->url());
	int child = sl_test_process(write_from_process, url);
	struct sl_log *l = open_at(url);
	struct sl_consumer *c = join(l, "g", "labels");
	for (int i = 1; i < WRITERS; i++)
		append_some(i, l);
	struct sl_err err;
	for (int got = 0; got < WRITERS * EACH;) { /* the other process's messages wake the poll too */
		struct sl_batch batch;
		CHECK_OK(sl_consumer_poll(c, 100, sl_deadline_ms(WAIT_MS), &batch, &err));
		CHECK(batch.n > 0);
		got += batch.n;
		sl_batch_done(&batch);
	}
	sl_test_wait(child);
	check_writers(l, false);
	sl_consumer_close(c);
	sl_log_close(l);
	free(url);
}

static void append_and_say(int i, void *arg)
{
	for (int k = 0;; k++) {
		char body[32];
		snprintf(body, sizeof(body), "%d %d", i, k);
		append(arg, "labels", body, body);
		sl_test_said("%s", body);
	}
}

static void append_until_killed(void *url)
{
	struct sl_log *l = open_at(url);
	struct sl_consumer *c = join(l, "g", "labels"); /* dies with its lease */
	expect_numbers(c, 0, 1);
	sl_test_threads(4, append_and_say, l);
}

CONTRACT_IF(log, shared, what_was_answered_survives_kill_9)
{
	struct sl_err err;
	char *url = sl_strdup(b->url());
	struct sl_log *l = open_at(url);
	append_numbers(l, "labels", 0, 1);
	sl_log_close(l);
	char *said = sl_test_kill(append_until_killed, url, 200), *save = NULL;
	l = open_at(url);
	int next[4] = {0}, lines = 0;
	struct sl_consumer *c = join(l, "g", "labels");
	int64_t all = lag_of(l, NULL, "labels");
	/* The dead member's lease has 30 s to go; its process is gone, so it does not count. */
	expect_numbers(c, 0, 1);
	for (int64_t got = 1; got < all;) {
		struct sl_batch batch;
		CHECK_OK(sl_consumer_poll(c, 100, sl_deadline_ms(WAIT_MS), &batch, &err));
		CHECK(batch.n > 0);
		got += batch.n;
		for (int i = 0; i < batch.n; i++) {
			int w, k;
			CHECK_EQ(sscanf((const char *)batch.message[i].body.ptr, "%d %d", &w, &k), 2);
			CHECK_EQ(k, next[w]++);
		}
		sl_batch_done(&batch);
	}
	for (char *line = strtok_r(said, "\n", &save); line; line = strtok_r(NULL, "\n", &save), lines++) {
		int w, k;
		CHECK_EQ(sscanf(line, "%d %d", &w, &k), 2);
		CHECK(k < next[w]);
	}
	CHECK(lines >= 200);
	sl_consumer_close(c);
	sl_log_close(l);
	free(said);
	free(url);
}
