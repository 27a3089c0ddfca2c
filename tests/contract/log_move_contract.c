/* SPDX-License-Identifier: Apache-2.0
 *
 * The log as it is moved from store to store: what is restored is as it was, place by place.
 */
#include "base/mem.h"
#include "contract.h"
#include <stdio.h>
#include <unistd.h>

enum { MANY = 2500 };
#define OLD_MS ((int64_t)1600000000 * 1000)

static struct sl_log *open_at(const char *url)
{
	struct sl_err err;
	struct sl_log *l;
	struct sl_config *cfg = sl_test_config();
	CHECK_OK(sl_log_open(url, cfg, &l, &err));
	sl_config_free(cfg);
	return l;
}

/* n messages of partition p from position `first` on; free(). Message i has time OLD_MS + i. */
static struct sl_message *messages(const char *topic, int p, int64_t first, int n)
{
	struct sl_message *m = SL_NEW_N(struct sl_message, (size_t)n);
	for (int i = 0; i < n; i++) {
		m[i] = (struct sl_message){.partition = p, .position = first + i, .time_ms = OLD_MS + first + i};
		SL_COPY(m[i].topic, topic);
		snprintf(m[i].key, sizeof(m[i].key), "k%lld", (long long)(first + i));
		m[i].body = sl_slice_str(m[i].key + 1);
	}
	return m;
}

static enum sl_status restore(struct sl_log *l, const char *topic, int p, int64_t first, int n, struct sl_err *err)
{
	SL_AUTOFREE struct sl_message *m = messages(topic, p, first, n);
	return sl_log_restore(l, m, n, SL_FOREVER, err);
}

static int64_t last_of(struct sl_log *l, const char *topic, int p)
{
	struct sl_err err;
	int64_t at = -2;
	CHECK_OK(sl_log_last(l, topic, p, &at, &err));
	return at;
}

static void expect_restored(struct sl_log *l, const char *topic, int p, int n)
{
	struct sl_err err;
	int64_t at = -1;
	while (at < n - 1) {
		SL_AUTO(sl_batch_done) struct sl_batch b = {0};
		CHECK_OK(sl_log_read(l, topic, p, at, SL_BATCH_MAX, &b, &err));
		CHECK(b.n > 0);
		for (int i = 0; i < b.n; i++) {
			const struct sl_message *m = &b.message[i];
			CHECK_EQ(m->position, at + 1);
			CHECK_EQ(m->partition, p);
			CHECK_EQ(m->time_ms, OLD_MS + m->position);
			CHECK_EQ(atoi(m->key + 1), m->position);
			CHECK_STR((const char *)m->body.ptr, m->key + 1);
			at = m->position;
		}
	}
	CHECK_EQ(at, n - 1);
}

CONTRACT(log, what_is_restored_is_as_it_was)
{
	struct sl_err err;
	struct sl_log *l = open_at(b->url());
	CHECK_EQ(last_of(l, "labels", 0), -1);
	CHECK_OK(sl_log_make(l, "labels", 3, &err));
	CHECK_OK(sl_log_make(l, "labels", 3, &err));
	CHECK_OK(sl_log_make(l, "labels", 2, &err)); /* has as many */
	CHECK_STATUS(sl_log_make(l, "labels", 4, &err), SL_CONFLICT);
	CHECK_EQ(sl_log_partitions(l, "labels"), 3);
	for (int i = 0; i < MANY; i += 500)
		CHECK_OK(restore(l, "labels", 2, i, 500, &err));
	CHECK_OK(restore(l, "labels", 0, 0, 1, &err));
	CHECK_EQ(last_of(l, "labels", 0), 0);
	CHECK_EQ(last_of(l, "labels", 1), -1);
	CHECK_EQ(last_of(l, "labels", 2), MANY - 1);
	expect_restored(l, "labels", 2, MANY);
	expect_restored(l, "labels", 0, 1);
	int64_t n;
	CHECK_OK(sl_log_lag(l, NULL, "labels", &n, &err));
	CHECK_EQ(n, MANY + 1);
	sl_log_close(l);
}

CONTRACT(log, restoring_goes_on_where_it_ended_and_nowhere_else)
{
	struct sl_err err;
	struct sl_log *l = open_at(b->url());
	CHECK_OK(sl_log_make(l, "reviews", 1, &err));
	CHECK_OK(restore(l, "reviews", 0, 0, 10, &err));
	CHECK_STATUS(restore(l, "reviews", 0, 5, 10, &err), SL_CONFLICT);
	CHECK_STATUS(restore(l, "reviews", 0, 0, 10, &err), SL_CONFLICT);
	CHECK_EQ(last_of(l, "reviews", 0), 9); /* nothing of them is stored */
	SL_AUTOFREE struct sl_message *m = messages("reviews", 0, 10, 2);
	m[1].position = 10;
	CHECK_STATUS(sl_log_restore(l, m, 2, SL_FOREVER, &err), SL_INVALID);
	m[1].position = 11;
	CHECK_STATUS(sl_log_restore(l, m, 2, sl_mono_us() - 1, &err), SL_TIMEOUT);
	CHECK_EQ(last_of(l, "reviews", 0), 9);
	CHECK_OK(sl_log_restore(l, m, 2, SL_FOREVER, &err));
	expect_restored(l, "reviews", 0, 12);
	CHECK_OK(sl_log_append(l, "reviews", "new", sl_slice_str("12"), SL_FOREVER, &err)); /* life goes on */
	CHECK_EQ(last_of(l, "reviews", 0), 12);
	CHECK(restore(l, "reviews", 1, 0, 1, &err) != SL_OK); /* no such partition */
	sl_log_close(l);
}

CONTRACT(log, a_group_goes_on_where_it_was_put)
{
	struct sl_err err;
	struct sl_log *l = open_at(b->url());
	int64_t at = -2;
	CHECK_OK(sl_log_make(l, "labels", 1, &err));
	CHECK_OK(restore(l, "labels", 0, 0, 10, &err));
	CHECK_OK(sl_log_committed(l, "curate", "labels", 0, &at, &err));
	CHECK_EQ(at, -1);
	CHECK_OK(sl_log_commit_to(l, "curate", "labels", 0, 6, &err));
	CHECK_OK(sl_log_committed(l, "curate", "labels", 0, &at, &err));
	CHECK_EQ(at, 6);
	CHECK_OK(sl_log_lag(l, "curate", "labels", &at, &err));
	CHECK_EQ(at, 3);
	CHECK_OK(sl_log_commit_to(l, "curate", "labels", 0, 3, &err)); /* back as well */
	struct sl_consumer *c;
	CHECK_OK(sl_consumer_open(l, "curate", "labels", &c, &err));
	for (int got = 4; got < 10;) {
		SL_AUTO(sl_batch_done) struct sl_batch batch = {0};
		CHECK_OK(sl_consumer_poll(c, 10, SL_FOREVER, &batch, &err));
		for (int i = 0; i < batch.n; i++)
			CHECK_EQ(batch.message[i].position, got++);
	}
	CHECK_STATUS(sl_log_commit_to(l, "curate", "labels", 0, 1, &err), SL_BUSY);
	bool tells = sl_log_idle(l, &err) != SL_UNSUPPORTED;
	CHECK_STATUS(sl_log_idle(l, &err), tells ? SL_BUSY : SL_UNSUPPORTED);
	CHECK_OK(sl_consumer_commit(c, &err));
	sl_consumer_close(c);
	CHECK_STATUS(sl_log_idle(l, &err), tells ? SL_OK : SL_UNSUPPORTED);
	CHECK_OK(sl_log_committed(l, "curate", "labels", 0, &at, &err));
	CHECK_EQ(at, 9);
	sl_log_close(l);
}

CONTRACT_IF(log, lasts, what_was_restored_is_there_after_a_new_start)
{
	struct sl_err err;
	const char *url = b->url();
	struct sl_log *l = open_at(url);
	CHECK_OK(sl_log_make(l, "models", 2, &err));
	CHECK_OK(restore(l, "models", 1, 0, 20, &err));
	CHECK_OK(sl_log_commit_to(l, "g", "models", 1, 11, &err));
	sl_log_close(l);
	l = open_at(url);
	int64_t at;
	CHECK_EQ(sl_log_partitions(l, "models"), 2);
	expect_restored(l, "models", 1, 20);
	CHECK_OK(sl_log_committed(l, "g", "models", 1, &at, &err));
	CHECK_EQ(at, 11);
	sl_log_close(l);
}

struct child {
	const char *url;
	int from;
};

static void restore_all(void *arg)
{
	const struct child *c = arg;
	struct sl_err err;
	struct sl_log *l = open_at(c->url);
	CHECK_OK(sl_log_make(l, "labels", 1, &err));
	for (int i = c->from; i < MANY; i += 10) {
		CHECK_OK(restore(l, "labels", 0, i, 10, &err));
		sl_test_said("%d", i + 9);
	}
	pause();
}

CONTRACT_IF(log, lasts, a_restore_that_was_killed_goes_on)
{
	struct sl_err err;
	struct child c = {.url = b->url()};
	SL_AUTOFREE char *said = sl_test_kill(restore_all, &c, 37);
	struct sl_log *l = open_at(c.url);
	int64_t last = last_of(l, "labels", 0);
	CHECK(last >= 37 * 10 - 1);
	for (int64_t i = last + 1; i < MANY; i += 10)
		CHECK_OK(restore(l, "labels", 0, i, (int)SL_MIN(10, MANY - i), &err));
	expect_restored(l, "labels", 0, MANY);
	sl_log_close(l);
}
