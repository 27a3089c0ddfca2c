/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "core/manifest.h"
#include "dataset/segments.h"
#include "dataset/shard.h"
#include "dataset_fixture.h"
#include "harness.h"
#include <stdio.h>

static void add(struct sl_buf *tar, int i, const char *jpeg)
{
	char key[SL_KEY];
	struct sl_err err;
	fixture_key(i, key);
	SL_AUTOJSON json_t *row = json_pack("{s:s,s:i}", "key", key, "i", i);
	CHECK_OK(sl_shard_add(tar, key, sl_slice_str(jpeg), row, &err));
}

struct got {
	int n, pictures;
	char text[200];
};

static enum sl_status take(const struct sl_shard_row *row, void *arg, struct sl_err *err)
{
	struct got *g = arg;
	g->n++;
	g->pictures += row->jpeg.len > 0;
	snprintf(g->text, sizeof(g->text), "%.*s", (int)row->jpeg.len, (const char *)row->jpeg.ptr);
	return SL_OK;
}

TEST(shard, rows_come_back_in_order)
{
	SL_AUTO(sl_buf_done) struct sl_buf tar = {0};
	struct got g = {0};
	struct sl_err err;
	for (int i = 0; i < 5; i++)
		add(&tar, i, i == 2 ? "" : "picture");
	sl_shard_end(&tar);
	CHECK_EQ(tar.len % 512, 0);
	CHECK_OK(sl_shard_each(sl_buf_slice(&tar), take, &g, &err));
	CHECK_EQ(g.n, 5);
	CHECK_EQ(g.pictures, 4);
	CHECK_STR(g.text, "picture");
}

TEST(shard, an_empty_one_is_one)
{
	SL_AUTO(sl_buf_done) struct sl_buf tar = {0};
	struct got g = {0};
	struct sl_err err;
	sl_shard_end(&tar);
	CHECK_OK(sl_shard_each(sl_buf_slice(&tar), take, &g, &err));
	CHECK_EQ(g.n, 0);
}

/* Each byte matters but those of the contents, which the object's digest covers. */
TEST(shard, a_cut_or_changed_tar_is_corrupt)
{
	SL_AUTO(sl_buf_done) struct sl_buf tar = {0};
	struct got g = {0};
	struct sl_err err;
	add(&tar, 1, "picture");
	sl_shard_end(&tar);
	for (size_t n = 0; n < tar.len; n += 256)
		CHECK_STATUS(sl_shard_each(sl_slice(tar.ptr, n), take, &g, &err), SL_CORRUPT);
	for (size_t at = 0; at < tar.len; at++) {
		bool content = (at >= 512 && at < 519) || (at >= 1536 && at < 1536 + 100);
		tar.ptr[at] ^= 1;
		if (!content)
			CHECK_STATUS(sl_shard_each(sl_buf_slice(&tar), take, &g, &err), SL_CORRUPT);
		tar.ptr[at] ^= 1;
	}
	CHECK_OK(sl_shard_each(sl_buf_slice(&tar), take, &g, &err));
}

TEST(shard, the_same_rows_are_the_same_object)
{
	struct fixture f = fixture_open();
	SL_AUTO(sl_buf_done) struct sl_buf a = {0};
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	SL_AUTO(sl_buf_done) struct sl_buf back = {0};
	char x[65], y[65];
	struct sl_err err;
	add(&a, 1, "picture");
	sl_shard_end(&a);
	add(&b, 1, "picture");
	sl_shard_end(&b);
	CHECK_OK(sl_shard_store(f.st.artifacts, sl_shard_path, sl_buf_slice(&a), x, &err));
	CHECK_OK(sl_shard_store(f.st.artifacts, sl_shard_path, sl_buf_slice(&b), y, &err));
	CHECK_STR(x, y);
	CHECK_OK(sl_shard_fetch(f.st.artifacts, sl_shard_path, x, &back, &err));
	CHECK_EQ(back.len, a.len);
	fixture_close(&f);
}

TEST(shard, bytes_under_another_digest_are_corrupt)
{
	struct fixture f = fixture_open();
	SL_AUTO(sl_buf_done) struct sl_buf back = {0};
	char path[SL_PATH], sha[65];
	struct sl_err err;
	sl_sha256_hex("right", 5, sha);
	sl_shard_path(path, sha);
	CHECK_OK(sl_artifacts_put(f.st.artifacts, path, sl_slice_str("wrong"), &err));
	CHECK_STATUS(sl_shard_fetch(f.st.artifacts, sl_shard_path, sha, &back, &err), SL_CORRUPT);
	CHECK(strstr(err.text, path));
	fixture_close(&f);
}

TEST(shard, an_object_put_again_is_fine_unless_it_differs)
{
	struct fixture f = fixture_open();
	struct sl_err err;
	SL_AUTOJSON json_t *a = json_pack("{s:i}", "a", 1), *b = json_pack("{s:i}", "a", 2);
	CHECK_OK(sl_object_put(f.st.artifacts, "x/y.json", a, &err));
	CHECK_OK(sl_object_put(f.st.artifacts, "x/y.json", a, &err));
	CHECK_STATUS(sl_object_put(f.st.artifacts, "x/y.json", b, &err), SL_EXISTS);
	fixture_close(&f);
}

TEST(segments, an_entry_says_where_to_go_on_and_is_taken_once)
{
	struct fixture f = fixture_open();
	struct sl_segment g = {.first = 0, .last = 9, .missing = json_array(), .bad = json_array()}, other = g;
	struct sl_segments all;
	struct sl_err err;
	int64_t last = 7;
	CHECK_OK(sl_segments_last(f.st.artifacts, 0, &last, &err));
	CHECK_EQ(last, -1);
	CHECK_OK(sl_segments_store(f.st.artifacts, &g, sl_slice("", 0), &err));
	CHECK_OK(sl_segments_store(
		f.st.artifacts, &g, sl_slice("", 0), &err)); /* the outcome of the first was not known */
	other.last = 4;
	CHECK_STATUS(sl_segments_store(f.st.artifacts, &other, sl_slice("", 0), &err), SL_EXISTS);
	other.first = 10;
	other.last = 12;
	CHECK_OK(sl_segments_store(f.st.artifacts, &other, sl_slice("", 0), &err));
	other.partition = 1;
	CHECK_OK(sl_segments_store(f.st.artifacts, &other, sl_slice("", 0), &err));
	CHECK_OK(sl_segments_last(f.st.artifacts, 0, &last, &err));
	CHECK_EQ(last, 12);
	CHECK_OK(sl_segments_list(f.st.artifacts, &all, &err));
	CHECK_EQ(all.n, 3);
	CHECK_EQ(all.segment[1].first, 10);
	CHECK_EQ(all.segment[2].partition, 1);
	sl_segments_done(&all);
	sl_segment_done(&g);
	fixture_close(&f);
}
