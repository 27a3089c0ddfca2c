/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "contract.h"
#include <stdatomic.h>
#include <stdio.h>

static struct sl_artifacts *open_at(const char *url)
{
	struct sl_err err;
	struct sl_artifacts *a;
	struct sl_config *cfg = sl_test_config();
	CHECK_OK(sl_artifacts_open(url, cfg, &a, &err));
	sl_config_free(cfg);
	return a;
}

static enum sl_status put(struct sl_artifacts *a, const char *path, const char *bytes)
{
	return sl_artifacts_put(a, path, sl_slice_str(bytes), NULL);
}

static void check_is(struct sl_artifacts *a, const char *path, const char *bytes)
{
	struct sl_err err;
	SL_AUTO(sl_buf_done) struct sl_buf got = {0};
	CHECK_OK(sl_artifacts_get(a, path, &got, &err));
	CHECK_STR((const char *)got.ptr, bytes);
}

CONTRACT(artifacts, what_is_put_comes_back_and_does_not_change)
{
	struct sl_err err;
	struct sl_artifacts *a = open_at(b->url());
	SL_AUTO(sl_buf_done) struct sl_buf got = {0};
	CHECK_STATUS(sl_artifacts_get(a, "models/x.onnx", &got, &err), SL_NOT_FOUND);
	CHECK_STATUS(put(a, "models/x.onnx", "one"), SL_OK);
	CHECK_STATUS(put(a, "models/x.onnx", "two"), SL_EXISTS);
	CHECK_STATUS(put(a, "models/x.onnx", "one"), SL_EXISTS);
	check_is(a, "models/x.onnx", "one");
	CHECK_STATUS(sl_buf_puts(&got, "head "), SL_OK);
	CHECK_OK(sl_artifacts_get(a, "models/x.onnx", &got, &err)); /* appends */
	CHECK_STR((const char *)got.ptr, "head one");
	CHECK_STATUS(put(a, "empty", ""), SL_OK);
	check_is(a, "empty", "");
	CHECK_OK(sl_artifacts_remove(a, "models/x.onnx", &err));
	CHECK_OK(sl_artifacts_remove(a, "models/x.onnx", &err));
	CHECK_OK(sl_artifacts_remove(a, "never/was", &err));
	CHECK_STATUS(sl_artifacts_get(a, "models/x.onnx", &got, &err), SL_NOT_FOUND);
	CHECK_STATUS(put(a, "models/x.onnx", "two"), SL_OK);
	check_is(a, "models/x.onnx", "two");
	struct sl_buf small = {.cap = 2};
	CHECK_STATUS(sl_artifacts_get(a, "models/x.onnx", &small, &err), SL_TOO_LARGE);
	sl_buf_done(&small);
	sl_artifacts_close(a);
}

CONTRACT(artifacts, bad_paths_are_refused)
{
	struct sl_err err;
	struct sl_artifacts *a = open_at(b->url());
	char path[SL_ARTIFACT_PATH + 1];
	SL_AUTO(sl_buf_done) struct sl_buf got = {0};
	static const char *const bad[] = {"", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/./b", ".hidden",
		"a/.b", "a b", "a\nb", "a\\b", "\xea\xb9\x80", "a.sha256", "x/a.tmp"};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		CHECK_STATUS(put(a, bad[i], "x"), SL_INVALID);
		CHECK_STATUS(sl_artifacts_get(a, bad[i], &got, &err), SL_INVALID);
		CHECK_STATUS(sl_artifacts_remove(a, bad[i], &err), SL_INVALID);
	}
	memset(path, 'p', sizeof(path));
	path[SL_ARTIFACT_PATH] = 0;
	CHECK_STATUS(put(a, path, "x"), SL_INVALID);
	path[SL_ARTIFACT_PATH - 1] = 0;
	CHECK_STATUS(put(a, path, "x"), SL_OK);
	check_is(a, path, "x");
	CHECK_STATUS(put(a, "a-b_c.d/E9", "x"), SL_OK);
	CHECK_STATUS(put(a, "a-b_c.d/E9/f", "x"), SL_CONFLICT); /* an object is no folder */
	CHECK_STATUS(put(a, "a-b_c.d", "x"), SL_CONFLICT);
	CHECK_STATUS(sl_artifacts_get(a, "a-b_c.d", &got, &err), SL_NOT_FOUND);
	CHECK_OK(sl_artifacts_remove(a, "a-b_c.d", &err)); /* no object is there */
	check_is(a, "a-b_c.d/E9", "x");
	sl_artifacts_close(a);
}

CONTRACT(artifacts, list_is_sorted_by_byte_and_cut_by_prefix)
{
	struct sl_err err;
	struct sl_artifacts *a = open_at(b->url());
	static const char *const path[] = {"m/b/2", "m-1", "m/a", "z", "m/b/1", "m/b-", "ma", "m.x"};
	static const char *const all[] = {"m-1", "m.x", "m/a", "m/b-", "m/b/1", "m/b/2", "ma", "z"};
	struct sl_artifact_list l;
	CHECK_OK(sl_artifacts_list(a, "", &l, &err));
	CHECK_EQ(l.n, 0);
	sl_artifact_list_done(&l);
	for (size_t i = 0; i < SL_COUNT(path); i++)
		CHECK_STATUS(put(a, path[i], path[i]), SL_OK);
	CHECK_OK(sl_artifacts_list(a, "", &l, &err));
	CHECK_EQ(l.n, 8);
	for (int i = 0; i < 8; i++) {
		CHECK_STR(l.path[i], all[i]);
		CHECK_EQ(l.size[i], strlen(all[i]));
	}
	sl_artifact_list_done(&l);
	CHECK_OK(sl_artifacts_list(a, "m/b", &l, &err));
	CHECK_EQ(l.n, 3);
	CHECK_STR(l.path[0], "m/b-");
	sl_artifact_list_done(&l);
	CHECK_OK(sl_artifacts_list(a, "m/b/", &l, &err));
	CHECK_EQ(l.n, 2);
	sl_artifact_list_done(&l);
	CHECK_OK(sl_artifacts_list(a, "nothing/here", &l, &err));
	CHECK_EQ(l.n, 0);
	sl_artifact_list_done(&l);
	sl_artifacts_close(a);
}

enum { THREADS = 16, OBJECTS = 12 };

struct crowd {
	struct sl_artifacts *a;
	_Atomic int won[OBJECTS], who[OBJECTS];
};

/* All put every object, each with bytes of its own: one wins, and its bytes stay. */
static void put_all(int i, void *arg)
{
	struct crowd *t = arg;
	for (int k = 0; k < OBJECTS; k++) {
		char path[32], bytes[32];
		int n = (k + i) % OBJECTS;
		snprintf(path, sizeof(path), "log/%d/%06d", n % 3, n);
		snprintf(bytes, sizeof(bytes), "thread %d", i);
		enum sl_status s = put(t->a, path, bytes);
		CHECK(s == SL_OK || s == SL_EXISTS);
		if (s != SL_OK)
			continue;
		t->won[n]++;
		t->who[n] = i;
		check_is(t->a, path, bytes);
	}
}

CONTRACT(artifacts, of_sixteen_writers_one_wins)
{
	struct crowd t = {.a = open_at(b->url())};
	sl_test_threads(THREADS, put_all, &t);
	for (int n = 0; n < OBJECTS; n++) {
		char path[32], bytes[32];
		CHECK_EQ(t.won[n], 1);
		snprintf(path, sizeof(path), "log/%d/%06d", n % 3, n);
		snprintf(bytes, sizeof(bytes), "thread %d", t.who[n]);
		check_is(t.a, path, bytes);
	}
	sl_artifacts_close(t.a);
}

static void churn(int i, void *arg)
{
	struct crowd *t = arg;
	struct sl_err err;
	for (int k = 0; k < 40; k++) {
		SL_AUTO(sl_buf_done) struct sl_buf got = {0};
		enum sl_status s;
		if (i % 4 == 0) {
			s = put(t->a, "hot", k % 2 ? "a long text that differs" : "short");
			CHECK(s == SL_OK || s == SL_EXISTS);
		} else if (i % 4 == 1) {
			CHECK_OK(sl_artifacts_remove(t->a, "hot", &err));
		} else {
			s = sl_artifacts_get(t->a, "hot", &got, &err);
			CHECK(s == SL_OK || s == SL_NOT_FOUND); /* never CORRUPT, never a part */
			CHECK(s != SL_OK || got.len == 5 || got.len == 24);
		}
	}
}

CONTRACT(artifacts, readers_see_whole_objects_while_others_put_and_remove)
{
	struct crowd t = {.a = open_at(b->url())};
	sl_test_threads(THREADS, churn, &t);
	sl_artifacts_close(t.a);
}

CONTRACT(artifacts, a_lost_answer_is_found_by_putting_again)
{
	struct sl_artifacts *a = open_at(sl_test_fault(b->url(), "every=2&when=after&calls=put&status=AWAY"));
	for (int i = 0; i < 8; i++) {
		char path[16];
		snprintf(path, sizeof(path), "p/%d", i);
		enum sl_status s = put(a, path, path);
		if (s == SL_AWAY)
			CHECK_STATUS(put(a, path, path), SL_EXISTS);
		else
			CHECK_EQ(s, SL_OK);
		check_is(a, path, path);
	}
	sl_artifacts_close(a);
}

CONTRACT_IF(artifacts, lasts, everything_is_there_after_reopening)
{
	struct sl_artifacts *a = open_at(b->url());
	CHECK_STATUS(put(a, "x/y/z", "bytes"), SL_OK);
	sl_artifacts_close(a);
	a = open_at(b->url());
	check_is(a, "x/y/z", "bytes");
	CHECK_STATUS(put(a, "x/y/z", "other"), SL_EXISTS);
	sl_artifacts_close(a);
}

static void put_and_say(int i, void *arg)
{
	SL_AUTOFREE char *big = sl_zalloc(100001);
	for (int k = i;; k += 4) {
		char path[32];
		snprintf(path, sizeof(path), "k%d/%d", k % 5, k);
		memset(big, 'a' + k % 26, 100000);
		CHECK_STATUS(put(arg, path, big), SL_OK);
		sl_test_said("%d", k);
	}
}

static void put_until_killed(void *url)
{
	sl_test_threads(4, put_and_say, open_at(url));
}

CONTRACT_IF(artifacts, shared, what_was_answered_survives_kill_9)
{
	struct sl_err err;
	char *said = sl_test_kill(put_until_killed, (void *)(uintptr_t)b->url(), 60), *save = NULL;
	struct sl_artifacts *a = open_at(b->url());
	struct sl_artifact_list l;
	int lines = 0;
	for (char *line = strtok_r(said, "\n", &save); line; line = strtok_r(NULL, "\n", &save), lines++) {
		char path[32];
		SL_AUTO(sl_buf_done) struct sl_buf got = {0};
		snprintf(path, sizeof(path), "k%d/%d", atoi(line) % 5, atoi(line));
		CHECK_OK(sl_artifacts_get(a, path, &got, &err));
		CHECK_EQ(got.len, 100000);
	}
	CHECK(lines >= 60);
	CHECK_OK(sl_artifacts_list(a, "", &l, &err));
	CHECK(l.n >= lines && l.n <= lines + 4); /* what was not answered is whole or not there */
	for (int i = 0; i < l.n; i++) {
		SL_AUTO(sl_buf_done) struct sl_buf got = {0};
		CHECK_OK(sl_artifacts_get(a, l.path[i], &got, &err));
		CHECK_EQ(l.size[i], 100000);
	}
	sl_artifact_list_done(&l);
	sl_artifacts_close(a);
	free(said);
}
