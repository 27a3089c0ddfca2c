/* SPDX-License-Identifier: Apache-2.0
 *
 * What the embedded backends do when their disk or files are not as they should be.
 */
#include "base/fs.h"
#include "base/mem.h"
#include "core/settings.h"
#include "harness.h"
#include "base/thread.h"
#include "store/sqlite/writer.h"
#include "store/stores.h"
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char *path_of(const char *name)
{
	return sl_asprintf("%s/%s", sl_test_dir(), name);
}

/* Changes a file behind its store's back. */
static void sql(const char *path, const char *text)
{
	sqlite3 *h;
	CHECK(sqlite3_open(path, &h) == SQLITE_OK);
	CHECK(sqlite3_exec(h, text, NULL, NULL, NULL) == SQLITE_OK);
	sqlite3_close(h);
}

static enum sl_status open_all(const struct sl_config *cfg, struct sl_stores *s, struct sl_err *err)
{
	return sl_stores_open(cfg, sl_test_dir(), s, err);
}

TEST(store_sqlite, a_newer_format_is_refused_with_what_to_do)
{
	static const char *const file[] = {"log.db", "crops.db", "reviews.db"};
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_stores s;
	for (size_t i = 0; i < SL_COUNT(file); i++) {
		CHECK_OK(open_all(cfg, &s, &err));
		sl_stores_close(&s);
		SL_AUTOFREE char *path = path_of(file[i]);
		sql(path, "PRAGMA user_version = 99");
		CHECK_STATUS(open_all(cfg, &s, &err), SL_UNSUPPORTED);
		CHECK(strstr(err.text, file[i]) && strstr(err.text, "format 99") &&
			strstr(err.text, "update signloop"));
		sql(path, "PRAGMA user_version = 1");
		CHECK_OK(open_all(cfg, &s, &err));
		sl_stores_close(&s);
	}
	sl_config_free(cfg);
}

TEST(store_sqlite, another_kind_of_file_is_refused)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_stores s;
	struct sl_log *l;
	CHECK_OK(open_all(cfg, &s, &err));
	sl_stores_close(&s);
	SL_AUTOFREE char *crops = path_of("crops.db"), *text = path_of("text.db"),
			 *url = sl_asprintf("sqlite:%s", crops), *text_url = sl_asprintf("sqlite:%s", text);
	CHECK_STATUS(sl_log_open(url, cfg, &l, &err), SL_INVALID);
	CHECK(strstr(err.text, "no signloop log file"));
	SL_AUTO(sl_buf_done) struct sl_buf junk = {0};
	while (junk.len < 10000)
		CHECK_STATUS(sl_buf_puts(&junk, "no database "), SL_OK);
	CHECK_OK(sl_fs_write(text, sl_buf_slice(&junk), true, &err));
	CHECK_STATUS(sl_log_open(text_url, cfg, &l, &err), SL_CORRUPT);
	CHECK(strstr(err.text, "text.db"));
	SL_AUTOFREE char *folder_url = sl_asprintf("sqlite:%s", sl_test_dir());
	CHECK_STATUS(sl_log_open(folder_url, cfg, &l, &err), SL_IO);
	sl_config_free(cfg);
}

TEST(store_sqlite, a_changed_crop_is_corrupt)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_stores s;
	struct sl_crop c;
	SL_AUTOFREE char *path = path_of("crops.db");
	CHECK_OK(open_all(cfg, &s, &err));
	CHECK_OK(sl_crops_put(s.crops, "k", sl_slice_str("jpeg"), sl_slice_str("{}"), &err));
	CHECK_OK(sl_crops_put(s.crops, "m", sl_slice_str("jpeg"), sl_slice_str("{}"), &err));
	sql(path, "UPDATE crop SET jpeg = x'00112233' WHERE key = 'k'");
	sql(path, "UPDATE crop SET meta = x'00' WHERE key = 'm'");
	CHECK_STATUS(sl_crops_get(s.crops, "k", &c, &err), SL_CORRUPT);
	CHECK(strstr(err.text, "crop k"));
	CHECK_STATUS(sl_crops_get(s.crops, "m", &c, &err), SL_CORRUPT);
	sl_stores_close(&s);
	sl_config_free(cfg);
}

TEST(store_sqlite, the_vote_log_cannot_be_rewritten)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_stores s;
	struct sl_review r = {.key = "k"};
	struct sl_vote v = {.voter = "ann", .id = "1", .choice = 3};
	struct sl_verdict d;
	CHECK_OK(open_all(cfg, &s, &err));
	CHECK_OK(sl_reviews_add(s.reviews, &r, 1, NULL, &err));
	CHECK_OK(sl_reviews_vote(s.reviews, "k", &v, &d, &err));
	sl_stores_close(&s);
	SL_AUTOFREE char *path = path_of("reviews.db");
	sqlite3 *h;
	CHECK(sqlite3_open(path, &h) == SQLITE_OK);
	CHECK(sqlite3_exec(h, "UPDATE line SET choice = 4", NULL, NULL, NULL) == SQLITE_CONSTRAINT);
	CHECK(sqlite3_exec(h, "DELETE FROM line", NULL, NULL, NULL) == SQLITE_CONSTRAINT);
	sqlite3_close(h);
	sl_config_free(cfg);
}

static void limit_files(rlim_t bytes)
{
	signal(SIGXFSZ, SIG_IGN);
	CHECK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, RLIM_INFINITY}) == 0);
}

/* A file that may not grow is what a full disk looks like. */
TEST(store_sqlite, a_full_disk_refuses_and_what_was_answered_stays)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_stores s;
	struct sl_crop c;
	uint8_t jpeg[20000] = {0};
	char key[16];
	int n = 0;
	CHECK_OK(open_all(cfg, &s, &err));
	limit_files(400000);
	enum sl_status st;
	do {
		snprintf(key, sizeof(key), "k%d", n);
		st = sl_crops_put(s.crops, key, sl_slice(jpeg, sizeof(jpeg)), sl_slice_str("{}"), &err);
		n += st == SL_OK;
		CHECK(n < 1000);
	} while (st == SL_OK);
	CHECK_EQ(st, SL_IO);
	CHECK(strstr(err.text, "crops.db"));
	CHECK(n > 3);
	CHECK_STATUS(sl_crops_get(s.crops, key, &c, &err), SL_NOT_FOUND); /* refused means not there */
	limit_files(RLIM_INFINITY);
	CHECK_OK(sl_crops_put(
		s.crops, key, sl_slice(jpeg, sizeof(jpeg)), sl_slice_str("{}"), &err)); /* and it goes on by itself */
	sl_stores_close(&s);
	CHECK_OK(open_all(cfg, &s, &err));
	for (int i = 0; i <= n; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		CHECK_OK(sl_crops_get(s.crops, key, &c, &err));
		sl_crop_done(&c);
	}
	sl_stores_close(&s);
	sl_config_free(cfg);
}

/* A lease reads the open reviews into memory; a commit that fails must not leave there what
 * the file does not have. */
TEST(store_sqlite, a_failed_commit_leaves_no_trace_in_memory)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_stores s;
	struct sl_review *r = SL_NEW_N(struct sl_review, 2000), got[1];
	struct sl_verdict d;
	int n;
	for (int i = 0; i < 2000; i++)
		snprintf(r[i].key, sizeof(r[i].key), "key%d", i);
	CHECK_OK(open_all(cfg, &s, &err));
	CHECK_OK(sl_reviews_add(s.reviews, r, 2, NULL, &err));
	CHECK_OK(sl_reviews_lease(s.reviews, "ann", 1, got, &n, &err));
	limit_files(100000);
	CHECK_STATUS(sl_reviews_add(s.reviews, r, 2000, NULL, &err), SL_IO);
	struct sl_review_stats st;
	CHECK_OK(sl_reviews_stats(s.reviews, &st, &err));
	CHECK_EQ(st.open, 2);
	limit_files(RLIM_INFINITY);
	CHECK_OK(sl_reviews_add(s.reviews, r + 5, 1, NULL, &err));
	for (int i = 0; i < 3; i++) {
		struct sl_vote v = {.voter = "bob", .id = "1"};
		CHECK_OK(sl_reviews_lease(s.reviews, "bob", 1, got, &n, &err));
		CHECK_EQ(n, 1);
		CHECK_OK(sl_reviews_vote(s.reviews, got[0].key, &v, &d, &err));
	}
	CHECK_OK(sl_reviews_lease(s.reviews, "bob", 1, got, &n, &err));
	CHECK_EQ(n, 0);
	sl_stores_close(&s);
	free(r);
	sl_config_free(cfg);
}

TEST(store_dir, a_changed_object_is_corrupt)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_stores s;
	SL_AUTO(sl_buf_done) struct sl_buf got = {0};
	CHECK_OK(open_all(cfg, &s, &err));
	CHECK_OK(sl_artifacts_put(s.artifacts, "m/x", sl_slice_str("weights"), &err));
	SL_AUTOFREE char *file = path_of("artifacts/m/x"), *sum = path_of("artifacts/m/x.sha256");
	CHECK_OK(sl_fs_write(file, sl_slice_str("weighty"), true, &err));
	CHECK_STATUS(sl_buf_puts(&got, "kept"), SL_OK);
	CHECK_STATUS(sl_artifacts_get(s.artifacts, "m/x", &got, &err), SL_CORRUPT);
	CHECK_STR((const char *)got.ptr, "kept");
	CHECK(strstr(err.text, "m/x"));
	CHECK_OK(sl_fs_write(file, sl_slice_str("weights"), true, &err));
	CHECK_OK(sl_artifacts_get(s.artifacts, "m/x", &got, &err));
	CHECK(!unlink(sum));
	CHECK_STATUS(sl_artifacts_get(s.artifacts, "m/x", &got, &err), SL_CORRUPT);
	sl_stores_close(&s);
	sl_config_free(cfg);
}

TEST(store_dir, what_a_killed_writer_left_is_not_seen_and_not_in_the_way)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_stores s;
	struct sl_artifact_list list;
	SL_AUTO(sl_buf_done) struct sl_buf got = {0};
	CHECK_OK(open_all(cfg, &s, &err));
	SL_AUTOFREE char *m = path_of("artifacts/m"), *tmp = path_of("artifacts/m/x.0123456789ab.tmp"),
			 *sum = path_of("artifacts/m/x.sha256");
	CHECK(!mkdir(m, 0777));
	CHECK_OK(sl_fs_write(tmp, sl_slice_str("half"), true, &err));
	CHECK_OK(sl_fs_write(sum, sl_slice_str("the checksum of other bytes"), true, &err));
	CHECK_OK(sl_artifacts_list(s.artifacts, "", &list, &err));
	CHECK_EQ(list.n, 0);
	sl_artifact_list_done(&list);
	CHECK_STATUS(sl_artifacts_get(s.artifacts, "m/x", &got, &err), SL_NOT_FOUND);
	CHECK_OK(sl_artifacts_put(s.artifacts, "m/x", sl_slice_str("whole"), &err));
	CHECK_OK(sl_artifacts_get(s.artifacts, "m/x", &got, &err));
	CHECK_STR((const char *)got.ptr, "whole");
	sl_stores_close(&s);
	sl_config_free(cfg);
}

TEST(store_dir, a_full_disk_leaves_no_part)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_stores s;
	struct sl_artifact_list list;
	SL_AUTOFREE uint8_t *big = sl_zalloc(100000);
	CHECK_OK(open_all(cfg, &s, &err));
	limit_files(50000);
	CHECK_STATUS(sl_artifacts_put(s.artifacts, "m/x", sl_slice(big, 100000), &err), SL_IO);
	CHECK_OK(sl_artifacts_list(s.artifacts, "", &list, &err));
	CHECK_EQ(list.n, 0);
	sl_artifact_list_done(&list);
	limit_files(RLIM_INFINITY);
	CHECK_OK(sl_artifacts_put(s.artifacts, "m/x", sl_slice(big, 100000), &err));
	sl_stores_close(&s);
	sl_config_free(cfg);
}

static const char *const query[] = {"INSERT INTO t VALUES (?1)", "SELECT count(*) FROM t"};
static const struct sl_schema schema = {"test", 77, 1, "CREATE TABLE t (x INTEGER PRIMARY KEY)", query, 2};

struct write {
	int64_t x;
	bool fail;
};

static enum sl_status write_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	struct write *w = arg;
	enum sl_status s = sl_db_run(db, sl_db_ask(db, 0, "i", w->x), err);
	return s == SL_OK && w->fail ? sl_fail(err, SL_CONFLICT, "wanted") : s;
}

struct group {
	struct sl_writer *w;
	pthread_barrier_t start;
};

static void *write_some(void *arg)
{
	struct group *g = arg;
	static _Atomic int64_t next;
	pthread_barrier_wait(&g->start);
	for (int i = 0; i < 50; i++) {
		struct sl_err err;
		struct write w = {++next, i % 5 == 0};
		CHECK_STATUS(sl_writer_run(g->w, write_job, &w, SL_FOREVER, &err), w.fail ? SL_CONFLICT : SL_OK);
	}
	return NULL;
}

TEST(store_writer, a_write_that_fails_takes_no_neighbour_with_it)
{
	struct sl_err err;
	struct sl_db *db;
	struct group g;
	pthread_t t[8];
	SL_AUTOFREE char *path = path_of("group.db");
	CHECK_OK(sl_db_open(path, &schema, true, &db, &err));
	g.w = sl_writer_new(db, NULL, NULL);
	pthread_barrier_init(&g.start, NULL, 8);
	for (int i = 0; i < 8; i++)
		t[i] = sl_thread_start("test", write_some, &g);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	pthread_barrier_destroy(&g.start);
	struct sl_readers *r = sl_readers_new(path, &schema);
	int64_t n = 0;
	CHECK_OK(sl_readers_take(r, &db, &err));
	CHECK_OK(sl_db_int(db, sl_db_ask(db, 1, ""), 0, &n, &err));
	sl_readers_give(r, db);
	CHECK_EQ(n, 8 * 40);
	sl_readers_free(r);
	sl_writer_free(g.w);
}

TEST(store_writer, a_past_deadline_writes_nothing_and_the_next_write_goes_on)
{
	struct sl_err err;
	struct sl_db *db;
	SL_AUTOFREE char *path = path_of("busy.db");
	CHECK_OK(sl_db_open(path, &schema, true, &db, &err));
	struct sl_writer *w = sl_writer_new(db, NULL, NULL);
	struct write one = {1, false}, two = {2, false};
	sqlite3 *other;
	CHECK(sqlite3_open(path, &other) == SQLITE_OK);
	CHECK(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
	CHECK_STATUS(sl_writer_run(w, write_job, &one, sl_mono_us() - 1, &err), SL_TIMEOUT);
	CHECK(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
	CHECK_OK(sl_writer_run(w, write_job, &two, SL_FOREVER, &err));
	CHECK_OK(sl_writer_run(w, write_job, &one, sl_deadline_ms(60000), &err)); /* the late one was not written */
	sqlite3_close(other);
	sl_writer_free(w);
}

struct openers {
	char *path;
	pthread_barrier_t start;
};

static void *open_and_write(void *arg)
{
	struct openers *o = arg;
	struct sl_err err;
	struct sl_db *db;
	static _Atomic int64_t next;
	pthread_barrier_wait(&o->start);
	CHECK_OK(sl_db_open(o->path, &schema, true, &db, &err));
	struct sl_writer *w = sl_writer_new(db, NULL, NULL);
	struct write one = {++next, false};
	CHECK_OK(sl_writer_run(w, write_job, &one, SL_FOREVER, &err));
	sl_writer_free(w);
	return NULL;
}

TEST(store_sqlite, many_may_open_a_new_file_at_once)
{
	for (int round = 0; round < 20; round++) {
		struct openers o = {.path = sl_asprintf("%s/new%d.db", sl_test_dir(), round)};
		pthread_t t[6];
		pthread_barrier_init(&o.start, NULL, 6);
		for (int i = 0; i < 6; i++)
			t[i] = sl_thread_start("test", open_and_write, &o);
		for (int i = 0; i < 6; i++)
			pthread_join(t[i], NULL);
		pthread_barrier_destroy(&o.start);
		free(o.path);
	}
}
