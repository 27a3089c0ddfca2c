/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "contract.h"
#include <stdatomic.h>
#include <stdio.h>

static struct sl_crops *open_at(const char *url)
{
	struct sl_err err;
	struct sl_crops *c;
	struct sl_config *cfg = sl_test_config();
	CHECK_OK(sl_crops_open(url, cfg, &c, &err));
	sl_config_free(cfg);
	return c;
}

/* The bytes of crop n: different ones, of different lengths, with NULs. */
static struct sl_slice bytes_of(int n, uint8_t buf[600])
{
	size_t len = 100 + (size_t)n % 500;
	for (size_t i = 0; i < len; i++)
		buf[i] = (uint8_t)(n * 31 + (int)i * (n % 7));
	return sl_slice(buf, len);
}

static enum sl_status put(struct sl_crops *c, int n)
{
	char key[SL_KEY], meta[32];
	uint8_t buf[600];
	snprintf(key, sizeof(key), "%04x-crop", n);
	snprintf(meta, sizeof(meta), "{\"n\":%d}", n);
	return sl_crops_put(c, key, bytes_of(n, buf), sl_slice_str(meta), NULL);
}

static void check_crop(const struct sl_crop *c, int n)
{
	char key[SL_KEY], meta[32];
	uint8_t buf[600];
	struct sl_slice want = bytes_of(n, buf);
	snprintf(key, sizeof(key), "%04x-crop", n);
	snprintf(meta, sizeof(meta), "{\"n\":%d}", n);
	CHECK_STR(c->key, key);
	CHECK_STR((const char *)c->meta.ptr, meta);
	CHECK_EQ(c->jpeg.len, want.len);
	CHECK(!memcmp(c->jpeg.ptr, want.ptr, want.len));
}

static void check_there(struct sl_crops *c, int n)
{
	struct sl_err err;
	struct sl_crop got;
	char key[SL_KEY];
	snprintf(key, sizeof(key), "%04x-crop", n);
	CHECK_OK(sl_crops_get(c, key, &got, &err));
	check_crop(&got, n);
	sl_crop_done(&got);
}

CONTRACT(crops, what_is_put_comes_back_and_stays)
{
	struct sl_err err;
	struct sl_crops *c = open_at(b->url());
	struct sl_crop got;
	int64_t n;
	CHECK_STATUS(put(c, 7), SL_OK);
	CHECK_STATUS(put(c, 7), SL_EXISTS);
	CHECK_STATUS(sl_crops_put(c, "0007-crop", sl_slice_str("other"), sl_slice_str("{}"), &err), SL_EXISTS);
	check_there(c, 7);
	CHECK_STATUS(sl_crops_get(c, "0008-crop", &got, &err), SL_NOT_FOUND);
	CHECK_OK(sl_crops_count(c, &n, &err));
	CHECK_EQ(n, 1);
	CHECK_OK(sl_crops_remove(c, "0007-crop", &err));
	CHECK_OK(sl_crops_remove(c, "0007-crop", &err));
	CHECK_STATUS(sl_crops_get(c, "0007-crop", &got, &err), SL_NOT_FOUND);
	CHECK_STATUS(put(c, 7), SL_OK); /* a removed key may be put again */
	check_there(c, 7);
	sl_crops_close(c);
}

CONTRACT(crops, bad_input_is_refused)
{
	struct sl_err err;
	struct sl_crops *c = open_at(b->url());
	char key[SL_KEY + 1], keys[1][SL_KEY];
	int n;
	uint8_t *big = sl_zalloc(SL_CROP_MAX + 1);
	memset(key, 'k', sizeof(key));
	key[SL_KEY] = 0;
	CHECK_STATUS(sl_crops_put(c, key, sl_slice_str("x"), sl_slice_str("{}"), &err), SL_INVALID);
	CHECK_STATUS(sl_crops_put(c, "", sl_slice_str("x"), sl_slice_str("{}"), &err), SL_INVALID);
	CHECK_STATUS(sl_crops_put(c, "k", sl_slice(big, SL_CROP_MAX + 1), sl_slice_str("{}"), &err), SL_TOO_LARGE);
	CHECK_STATUS(sl_crops_put(c, "k", sl_slice_str("x"), sl_slice(big, SL_CROP_META_MAX + 1), &err), SL_TOO_LARGE);
	struct sl_crop_put two[] = {
		{"a", sl_slice_str("x"), sl_slice_str("{}")}, {key, sl_slice_str("x"), sl_slice_str("{}")}};
	CHECK_STATUS(sl_crops_put_many(c, two, 2, &err), SL_INVALID);
	CHECK_STATUS(sl_crops_scan(c, "", "", 0, keys, &n, &err), SL_INVALID);
	int64_t all;
	CHECK_OK(sl_crops_count(c, &all, &err));
	CHECK_EQ(all, 0);
	CHECK_OK(sl_crops_put(c, "k", sl_slice(big, SL_CROP_MAX), sl_slice(big, SL_CROP_META_MAX), &err));
	CHECK_OK(sl_crops_put(c, "empty", sl_slice("", 0), sl_slice("", 0), &err));
	struct sl_crop got;
	CHECK_OK(sl_crops_get(c, "k", &got, &err));
	CHECK_EQ(got.jpeg.len, SL_CROP_MAX);
	CHECK_EQ(got.meta.len, SL_CROP_META_MAX);
	sl_crop_done(&got);
	CHECK_OK(sl_crops_get(c, "empty", &got, &err));
	CHECK_EQ(got.jpeg.len, 0);
	sl_crop_done(&got);
	free(big);
	sl_crops_close(c);
}

CONTRACT(crops, many_are_put_and_got_at_once)
{
	struct sl_err err;
	struct sl_crops *c = open_at(b->url());
	enum { N = 50 };
	struct sl_crop_put p[N];
	struct sl_crop got[N + 1];
	const char *keys[N + 1];
	char key[N][SL_KEY];
	char meta[N][32];
	uint8_t buf[N][600];
	for (int i = 0; i < N; i++) {
		snprintf(key[i], SL_KEY, "%04x-crop", i);
		snprintf(meta[i], sizeof(meta[i]), "{\"n\":%d}", i);
		p[i] = (struct sl_crop_put){key[i], bytes_of(i, buf[i]), sl_slice_str(meta[i])};
		keys[i] = key[i];
	}
	keys[N] = "absent";
	CHECK_STATUS(put(c, 3), SL_OK);
	CHECK_OK(sl_crops_put_many(c, p, N, &err)); /* one is there already: no error */
	CHECK_OK(sl_crops_put_many(c, p, N, &err));
	CHECK_OK(sl_crops_put_many(c, NULL, 0, &err));
	CHECK_OK(sl_crops_get_many(c, keys, N + 1, got, &err));
	for (int i = 0; i < N; i++)
		check_crop(&got[i], i);
	CHECK_STR(got[N].key, "");
	for (int i = 0; i <= N; i++)
		sl_crop_done(&got[i]);
	int64_t n;
	CHECK_OK(sl_crops_count(c, &n, &err));
	CHECK_EQ(n, N);
	sl_crops_close(c);
}

CONTRACT(crops, scan_walks_a_prefix_in_byte_order)
{
	struct sl_err err;
	struct sl_crops *c = open_at(b->url());
	static const char *const key[] = {"ab-1", "aa-2", "b", "aa-1", "a", "aa-10", "ab", "aaa"};
	static const char *const want[] = {"aa-1", "aa-10", "aa-2", "aaa"};
	for (size_t i = 0; i < SL_COUNT(key); i++)
		CHECK_OK(sl_crops_put(c, key[i], sl_slice_str("x"), sl_slice_str("{}"), &err));
	char got[3][SL_KEY], after[SL_KEY] = "";
	int n, at = 0;
	do {
		CHECK_OK(sl_crops_scan(c, "aa", after, 3, got, &n, &err));
		for (int i = 0; i < n; i++)
			CHECK_STR(got[i], want[at++]);
		if (n > 0)
			strcpy(after, got[n - 1]);
	} while (n == 3);
	CHECK_EQ(at, 4);
	CHECK_OK(sl_crops_scan(c, "aa", "zz", 3, got, &n, &err));
	CHECK_EQ(n, 0);
	CHECK_OK(sl_crops_scan(c, "", "ab", 3, got, &n, &err));
	CHECK_EQ(n, 2);
	CHECK_STR(got[0], "ab-1");
	CHECK_OK(sl_crops_scan(c, NULL, NULL, 1, got, &n, &err));
	CHECK_STR(got[0], "a");
	sl_crops_close(c);
}

enum { THREADS = 16, EACH = 100 };

struct crowd {
	struct sl_crops *c;
	_Atomic int won, there;
};

/* All threads put the same crops: each is won once. */
static void put_all(int i, void *arg)
{
	struct crowd *t = arg;
	for (int k = 0; k < EACH; k++) {
		int n = (k + i * 7) % EACH;
		enum sl_status s = put(t->c, n);
		while (s == SL_TIMEOUT)
			s = put(t->c, n);
		CHECK(s == SL_OK || s == SL_EXISTS);
		t->won += s == SL_OK;
		t->there += s == SL_EXISTS;
		check_there(t->c, n);
	}
}

CONTRACT(crops, sixteen_threads_put_each_once)
{
	struct sl_err err;
	struct crowd t = {.c = open_at(b->url())};
	int64_t n;
	sl_test_threads(THREADS, put_all, &t);
	CHECK_EQ(t.won, EACH);
	CHECK_EQ(t.there, (THREADS - 1) * EACH);
	CHECK_OK(sl_crops_count(t.c, &n, &err));
	CHECK_EQ(n, EACH);
	sl_crops_close(t.c);
}

CONTRACT(crops, lost_answers_and_retries_store_once)
{
	struct sl_err err;
	struct crowd t = {.c = open_at(sl_test_fault(b->url(), "every=5&when=after&calls=put&status=TIMEOUT"))};
	int64_t n;
	sl_test_threads(THREADS, put_all, &t);
	CHECK_OK(sl_crops_count(t.c, &n, &err));
	CHECK_EQ(n, EACH);
	sl_crops_close(t.c);
}

CONTRACT_IF(crops, lasts, everything_is_there_after_reopening)
{
	struct sl_err err;
	struct sl_crops *c = open_at(b->url());
	int64_t n;
	for (int i = 0; i < EACH; i++)
		CHECK_STATUS(put(c, i), SL_OK);
	CHECK_OK(sl_crops_remove(c, "0000-crop", &err));
	sl_crops_close(c);
	c = open_at(b->url());
	for (int i = 1; i < EACH; i++)
		check_there(c, i);
	CHECK_OK(sl_crops_count(c, &n, &err));
	CHECK_EQ(n, EACH - 1);
	sl_crops_close(c);
}

static void put_from_process(void *url)
{
	struct crowd t = {.c = open_at(url)};
	sl_test_threads(4, put_all, &t);
	sl_crops_close(t.c);
}

CONTRACT_IF(crops, shared, two_processes_share_one_store)
{
	struct sl_err err;
	int child = sl_test_process(put_from_process, (void *)(uintptr_t)b->url());
	struct crowd t = {.c = open_at(b->url())};
	int64_t n;
	sl_test_threads(4, put_all, &t);
	sl_test_wait(child);
	CHECK_OK(sl_crops_count(t.c, &n, &err));
	CHECK_EQ(n, EACH);
	sl_crops_close(t.c);
}

static void put_and_say(int i, void *arg)
{
	for (int k = i;; k += 4) {
		CHECK_STATUS(put(arg, k), SL_OK);
		sl_test_said("%d", k);
	}
}

static void put_until_killed(void *url)
{
	sl_test_threads(4, put_and_say, open_at(url));
}

CONTRACT_IF(crops, shared, what_was_answered_survives_kill_9)
{
	char *said = sl_test_kill(put_until_killed, (void *)(uintptr_t)b->url(), 200), *save = NULL;
	struct sl_crops *c = open_at(b->url());
	int lines = 0;
	for (char *line = strtok_r(said, "\n", &save); line; line = strtok_r(NULL, "\n", &save), lines++)
		check_there(c, atoi(line));
	CHECK(lines >= 200);
	sl_crops_close(c);
	free(said);
}
