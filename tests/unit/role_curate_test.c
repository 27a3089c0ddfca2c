/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/message.h"
#include "dataset/segments.h"
#include "dataset_fixture.h"
#include "harness.h"
#include "role/curator.h"
#include <stdio.h>

static struct sl_curator *open_curator(struct fixture *f)
{
	struct sl_curator *c;
	struct sl_err err;
	CHECK_OK(sl_curator_new(f->cfg, &f->st, &c, &err));
	return c;
}

static void turn(struct sl_curator *c)
{
	struct sl_err err;
	CHECK_OK(sl_curator_turn(c, sl_deadline_ms(200), &err));
}

struct seen {
	int rows, pictures, times[2000];
};

static enum sl_status count_row(const struct sl_shard_row *row, void *arg, struct sl_err *err)
{
	struct seen *s = arg;
	SL_AUTOJSON json_t *v = NULL;
	struct sl_label l;
	CHECK(sl_json_parse(row->json, "row", &v, err) == SL_OK);
	CHECK(sl_row_parse(v, "row", &l, err) == SL_OK);
	s->rows++;
	s->pictures += row->jpeg.len > 0;
	CHECK(l.position >= 0 && l.position < 2000);
	s->times[l.position]++;
	return SL_OK;
}

/* Every position once; entries tile the partition. */
static struct seen read_all(struct fixture *f, struct sl_segments *all)
{
	static struct seen s;
	struct sl_err err;
	int64_t next = 0;
	s = (struct seen){0};
	CHECK_OK(sl_segments_list(f->st.artifacts, all, &err));
	for (int i = 0; i < all->n; i++) {
		SL_AUTO(sl_buf_done) struct sl_buf tar = {0};
		CHECK_EQ(all->segment[i].first, next);
		next = all->segment[i].last + 1;
		if (!all->segment[i].rows)
			continue;
		CHECK_OK(sl_shard_fetch(f->st.artifacts, sl_segment_path, all->segment[i].sha256, &tar, &err));
		CHECK_OK(sl_shard_each(sl_buf_slice(&tar), count_row, &s, &err));
	}
	for (int i = 0; i < 2000; i++)
		CHECK(s.times[i] <= 1);
	return s;
}

static void label_many(struct fixture *f, int from, int to)
{
	for (int i = from; i < to; i++) {
		fixture_crop(f, i);
		fixture_label(f, i, i % 5, "model");
	}
}

TEST(curate, stores_at_the_batch_and_after_the_linger)
{
	struct fixture f = fixture_open();
	struct sl_segments all;
	fixture_set(&f, "curate.batch", "10");
	fixture_set(&f, "curate.linger_ms", "3600000");
	label_many(&f, 0, 25);
	struct sl_curator *c = open_curator(&f);
	for (int i = 0; i < 3; i++)
		turn(c);
	CHECK_EQ(sl_curator_counts(c).segments, 2); /* five wait for more */
	struct sl_err err;
	CHECK_OK(sl_curator_flush(c, &err));
	CHECK_EQ(sl_curator_counts(c).rows, 25);
	CHECK_EQ(sl_metric_value(sl_histogram("signloop_label_lag_seconds", NULL, "")), 25);
	struct seen s = read_all(&f, &all);
	CHECK_EQ(all.n, 3);
	CHECK_EQ(s.rows, 25);
	CHECK_EQ(s.pictures, 25);
	sl_segments_done(&all);
	sl_curator_free(c);
	fixture_close(&f);
}

TEST(curate, goes_on_where_the_entries_say_not_the_offset)
{
	struct fixture f = fixture_open();
	struct sl_segments all;
	fixture_set(&f, "curate.batch", "4");
	label_many(&f, 0, 12);
	struct sl_curator *c = open_curator(&f);
	turn(c);
	sl_curator_free(c);
	/* As if the process had died after the entry and before the commit: an entry more. */
	struct sl_segment g = {.first = 4, .last = 6, .missing = json_array(), .bad = json_array()};
	struct sl_err err;
	CHECK_OK(sl_segments_store(f.st.artifacts, &g, sl_slice("", 0), &err));
	sl_segment_done(&g);
	fixture_curate(&f);
	struct seen s = read_all(&f, &all);
	CHECK_EQ(s.rows, 9);
	CHECK_EQ(s.times[5], 0);
	CHECK_EQ(s.times[7], 1);
	sl_segments_done(&all);
	fixture_close(&f);
}

/* Found by kill -9 between the entry and the commit: the lag stood there until the next label. */
static void lose_commit(const char *log)
{
	struct fixture f = fixture_open();
	struct sl_err err;
	int64_t lag = 0;
	if (log) {
		sl_stores_close(&f.st);
		fixture_set(&f, "store.log", log);
		CHECK_OK(sl_stores_open(f.cfg, sl_test_dir(), &f.st, &err));
	}
	label_many(&f, 0, 5);
	struct sl_segment g = {.first = 0, .last = 4, .missing = json_array(), .bad = json_array()};
	CHECK_OK(sl_segments_store(f.st.artifacts, &g, sl_slice("", 0), &err));
	sl_segment_done(&g);
	struct sl_curator *c = open_curator(&f);
	turn(c);
	CHECK_OK(sl_log_lag(f.st.log, "curate", "labels", &lag, &err));
	CHECK_EQ(lag, 0);
	sl_curator_free(c);
	fixture_close(&f);
}

TEST(curate, a_commit_that_was_lost_is_made_up_for)
{
	lose_commit(NULL);
	lose_commit("");
}

TEST(curate, one_that_is_late_loses_and_goes_on_behind)
{
	struct fixture f = fixture_open();
	struct sl_segments all;
	struct sl_err err;
	fixture_set(&f, "curate.linger_ms", "3600000");
	label_many(&f, 0, 8);
	struct sl_curator *c = open_curator(&f);
	turn(c); /* has all eight, stored none */
	struct sl_segment g = {.first = 0, .last = 2, .missing = json_array(), .bad = json_array()};
	CHECK_OK(sl_segments_store(f.st.artifacts, &g, sl_slice("", 0), &err));
	sl_segment_done(&g);
	CHECK_OK(sl_curator_flush(c, &err));
	CHECK_EQ(sl_curator_counts(c).lost, 1);
	CHECK_EQ(sl_curator_counts(c).rows, 5);
	struct seen s = read_all(&f, &all);
	CHECK_EQ(s.rows, 5);
	sl_segments_done(&all);
	sl_curator_free(c);
	fixture_close(&f);
}

/* Its partition went away and came back between storing and committing: what comes again is committed at last. */
TEST(curate, what_comes_again_leaves_no_lag)
{
	struct fixture f = fixture_open();
	struct sl_err err;
	struct sl_consumer *other;
	struct sl_batch b;
	int64_t now = sl_now_ms(), lag = -1;
	fixture_set(&f, "curate.linger_ms", "3600000");
	sl_clock_fake(now);
	label_many(&f, 0, 8);
	struct sl_curator *c = open_curator(&f);
	turn(c);
	sl_clock_fake(now + SL_MEMBER_MS + 1);
	CHECK_OK(sl_consumer_open(f.st.log, SL_GROUP_CURATE, SL_TOPIC_LABELS, &other, &err));
	CHECK_OK(sl_consumer_poll(other, 1, sl_mono_us(), &b, &err));
	sl_batch_done(&b);
	CHECK_OK(sl_curator_flush(c, &err));
	CHECK_EQ(sl_curator_counts(c).rows, 8);
	CHECK_OK(sl_log_lag(f.st.log, SL_GROUP_CURATE, SL_TOPIC_LABELS, &lag, &err));
	CHECK_EQ(lag, 8);
	sl_consumer_close(other);
	for (int i = 0; i < 3; i++)
		turn(c);
	CHECK_OK(sl_log_lag(f.st.log, SL_GROUP_CURATE, SL_TOPIC_LABELS, &lag, &err));
	CHECK_EQ(lag, 0);
	CHECK_EQ(sl_curator_counts(c).rows, 8);
	sl_curator_free(c);
	fixture_close(&f);
}

TEST(curate, a_label_without_its_crop_is_kept_and_named)
{
	struct fixture f = fixture_open();
	struct sl_segments all;
	label_many(&f, 0, 3);
	fixture_label(&f, 50, 1, "votes"); /* no crop */
	fixture_curate(&f);
	struct seen s = read_all(&f, &all);
	char key[SL_KEY];
	fixture_key(50, key);
	CHECK_EQ(s.rows, 4);
	CHECK_EQ(s.pictures, 3);
	int missing = 0;
	for (int i = 0; i < all.n; i++)
		for (size_t k = 0; k < json_array_size(all.segment[i].missing); k++) {
			CHECK_STR(json_string_value(json_array_get(all.segment[i].missing, k)), key);
			missing++;
		}
	CHECK_EQ(missing, 1);
	sl_segments_done(&all);
	fixture_close(&f);
}

TEST(curate, what_is_no_label_is_written_down_not_dropped)
{
	struct fixture f = fixture_open();
	struct sl_segments all;
	struct sl_err err;
	label_many(&f, 0, 2);
	CHECK_OK(sl_log_append(f.st.log, "labels", "k", sl_slice_str("not json"), SL_FOREVER, &err));
	CHECK_OK(sl_log_append(f.st.log, "labels", "k", sl_slice_str("{\"v\":9}"), SL_FOREVER, &err));
	label_many(&f, 2, 4);
	fixture_curate(&f);
	struct seen s = read_all(&f, &all);
	int skipped = 0;
	size_t bad = 0;
	for (int i = 0; i < all.n; i++) {
		skipped += all.segment[i].skipped;
		bad += json_array_size(all.segment[i].bad);
	}
	CHECK_EQ(s.rows, 4);
	CHECK_EQ(skipped, 2);
	CHECK_EQ(bad, 2);
	sl_segments_done(&all);
	fixture_close(&f);
}

TEST(curate, labels_that_are_no_class_are_rows_too)
{
	struct fixture f = fixture_open();
	struct sl_segments all;
	fixture_crop(&f, 1);
	fixture_label(&f, 1, -1, "votes");
	fixture_curate(&f);
	CHECK_EQ(read_all(&f, &all).rows, 1);
	sl_segments_done(&all);
	fixture_close(&f);
}

/* Takes crop store, log or artifact store away from a curator that runs, at every call once: whatever call
 * it is that fails, no label is lost and none is doubled. */
static void fails_at(int nth, const char *setting, const char *options)
{
	struct fixture f = fixture_open();
	struct sl_segments all;
	struct sl_err err;
	SL_AUTOFREE char *file = sl_fs_join(sl_test_dir(), "away");
	SL_AUTOFREE char *url = sl_asprintf("fault+mem:?file=%s&every=%d&%s%s", file, nth, options,
		strcmp(setting, "store.log") ? "" : "&partitions=3");
	sl_stores_close(&f.st);
	fixture_set(&f, "store.log", "mem:?partitions=3");
	fixture_set(&f, setting, url);
	CHECK_OK(sl_stores_open(f.cfg, sl_test_dir(), &f.st, &err));
	fixture_set(&f, "curate.batch", "7");
	fixture_set(&f, "curate.threads", "2");
	fixture_set(&f, "curate.linger_ms", "10");
	fixture_set(&f, "curate.missing_ms", "0");
	CHECK_OK(sl_fs_write(file, sl_slice_str(""), true, &err));
	struct sl_curator *c = NULL;
	while (sl_curator_new(f.cfg, &f.st, &c, &err) != SL_OK)
		CHECK(sl_status_is_retriable(err.status));
	for (int i = 0; i < 40; i++) {
		char key[SL_KEY];
		struct sl_label l = {.cls = i % 5};
		fixture_key(i, key);
		SL_COPY(l.key, key);
		SL_COPY(l.source, "model");
		SL_AUTOJSON json_t *v = sl_label_message(&l, NULL, 0.9, 0, 1);
		SL_AUTO(sl_buf_done) struct sl_buf text = {0};
		if (i % 10 == 3)
			CHECK_OK(sl_buf_puts(&text, "poison"));
		else
			CHECK_OK(sl_json_print(v, &text));
		while (sl_log_append(f.st.log, "labels", key, sl_buf_slice(&text), SL_FOREVER, &err) != SL_OK)
			;
	}
	int64_t lag = 1;
	while (lag > 0) {
		enum sl_status s = sl_curator_turn(c, sl_deadline_ms(10), &err);
		CHECK(s == SL_OK || sl_status_is_retriable(s));
		while (sl_log_lag(f.st.log, "curate", "labels", &lag, &err) != SL_OK)
			;
	}
	sl_curator_free(c);
	remove(file);
	CHECK_OK(sl_segments_list(f.st.artifacts, &all, &err));
	int64_t rows = 0, skipped = 0, next = 0;
	for (int i = 0; i < all.n; i++) {
		next = i && all.segment[i].partition == all.segment[i - 1].partition ? next : 0;
		CHECK_EQ(all.segment[i].first, next);
		next = all.segment[i].last + 1;
		rows += all.segment[i].rows;
		skipped += all.segment[i].skipped;
	}
	CHECK_EQ(rows, 36);
	CHECK_EQ(skipped, 4);
	sl_segments_done(&all);
	fixture_close(&f);
}

TEST(curate, whatever_call_fails_nothing_is_lost_or_doubled)
{
	for (int nth = 5; nth <= 11; nth++) {
		fails_at(nth, "store.artifacts", "status=AWAY&calls=list,get,put");
		fails_at(nth, "store.artifacts", "status=TIMEOUT&when=after&calls=put");
		fails_at(nth, "store.crops", "status=AWAY&calls=get");
		fails_at(nth, "store.log", "status=AWAY&calls=poll,seek,commit,append");
	}
}

/* What it had taken is dropped since another curator stored it: it waits for nothing more, and reads on. */
TEST(curate, whose_labels_another_stored_reads_on)
{
	struct fixture f = fixture_open();
	struct sl_err err;
	int64_t lag = 1;
	SL_AUTOFREE char *file = sl_fs_join(sl_test_dir(), "away");
	SL_AUTOFREE char *url = sl_asprintf("fault+mem:?file=%s&every=1&status=AWAY&calls=append", file);
	sl_stores_close(&f.st);
	fixture_set(&f, "store.log", url);
	CHECK_OK(sl_stores_open(f.cfg, sl_test_dir(), &f.st, &err));
	label_many(&f, 0, 3);
	CHECK_OK(sl_log_append(f.st.log, "labels", "k", sl_slice_str("not json"), SL_FOREVER, &err));
	struct sl_curator *c = open_curator(&f);
	CHECK_OK(sl_fs_write(file, sl_slice_str(""), true, &err));
	CHECK_STATUS(sl_curator_turn(c, sl_deadline_ms(200), &err), SL_AWAY); /* has three, and no dead letter */
	remove(file);
	struct sl_segment g = {.first = 0, .last = 3, .missing = json_array(), .bad = json_array()};
	CHECK_OK(sl_segments_store(f.st.artifacts, &g, sl_slice("", 0), &err));
	sl_segment_done(&g);
	turn(c); /* drops them, and waits for more until they would have been due */
	label_many(&f, 4, 5);
	for (int i = 0; i < 10 && lag; i++) {
		turn(c);
		CHECK_OK(sl_log_lag(f.st.log, SL_GROUP_CURATE, SL_TOPIC_LABELS, &lag, &err));
	}
	CHECK_EQ(lag, 0);
	CHECK_EQ(sl_curator_counts(c).rows, 1);
	sl_curator_free(c);
	fixture_close(&f);
}

TEST(curate, poison_goes_to_the_dead_letters_before_it_counts_as_taken)
{
	struct fixture f = fixture_open();
	struct sl_batch b = {0};
	struct sl_err err;
	json_t *v = NULL;
	label_many(&f, 0, 2);
	CHECK_OK(sl_log_append(f.st.log, "labels", "k", sl_slice_str("not json"), SL_FOREVER, &err));
	fixture_curate(&f);
	CHECK_OK(sl_log_read(f.st.log, "labels.dead", 0, -1, 10, &b, &err));
	CHECK_EQ(b.n, 1);
	CHECK_STR(b.message[0].key, "labels-0-2");
	CHECK_OK(sl_json_parse(b.message[0].body, "dead letter", &v, &err));
	CHECK_STR(json_string_value(json_object_get(v, "body")), "not json");
	json_decref(v);
	sl_batch_done(&b);
	fixture_close(&f);
}

/* Two processes on four partitions; one is gone in the middle without leaving (as by kill -9, whose partitions
 * go to the other when its process is no more: here its consumer is closed and nothing else). */
TEST(curate, two_at_once_and_one_that_is_gone_store_each_label_once)
{
	struct fixture f = fixture_open();
	struct sl_segments all;
	struct sl_err err;
	sl_stores_close(&f.st);
	fixture_set(&f, "store.log", "mem:?partitions=4");
	CHECK_OK(sl_stores_open(f.cfg, sl_test_dir(), &f.st, &err));
	fixture_set(&f, "curate.batch", "20");
	fixture_set(&f, "curate.linger_ms", "10");
	struct sl_curator *one = open_curator(&f), *two = open_curator(&f);
	label_many(&f, 0, 200);
	for (int i = 0; i < 5; i++) {
		turn(one);
		turn(two);
	}
	label_many(&f, 200, 300);
	struct sl_err ignored;
	(void)sl_curator_turn(two, sl_deadline_ms(1), &ignored); /* holds labels that it did not store */
	sl_curator_free(two);
	int64_t lag = 1;
	while (lag) {
		turn(one);
		CHECK_OK(sl_log_lag(f.st.log, "curate", "labels", &lag, &err));
	}
	CHECK_OK(sl_segments_list(f.st.artifacts, &all, &err));
	int64_t rows = 0, next = 0;
	for (int i = 0; i < all.n; i++) {
		next = i && all.segment[i].partition == all.segment[i - 1].partition ? next : 0;
		CHECK_EQ(all.segment[i].first, next);
		next = all.segment[i].last + 1;
		rows += all.segment[i].rows;
	}
	CHECK_EQ(rows, 300);
	sl_segments_done(&all);
	sl_curator_free(one);
	fixture_close(&f);
}
