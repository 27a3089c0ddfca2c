/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the HBase backend that need no HBase: rows and messages, the estimate of a count,
 * shared work, URLs. The rest is in tests/contract and tests/servers.
 */
#include "store/hbase/scan.c" /* its estimate */
#include "base/digest.h"
#include "core/settings.h"
#include "harness.h"
#include "store/hbase/each.h"
#include "store/hbase/hbase.h"
#include <stdatomic.h>

/* A message of one field: its number, length and bytes. Shorter than 128 bytes. */
static void field(struct sl_buf *b, int number, struct sl_slice bytes)
{
	uint8_t head[2] = {(uint8_t)(number << 3 | 2), (uint8_t)bytes.len};

	CHECK(bytes.len < 128);
	CHECK_EQ(sl_buf_add(b, head, sizeof(head)), SL_OK);
	CHECK_EQ(sl_buf_add(b, bytes.ptr, bytes.len), SL_OK);
}

static void cell(struct sl_buf *row, const char *column, const char *data)
{
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};

	field(&b, 2, sl_slice_str(column));
	field(&b, 4, sl_slice_str(data));
	field(row, 2, sl_buf_slice(&b));
}

/* An answer with one row; NULL leaves a column out. */
static void answer(struct sl_buf *ret, const char *jpeg, const char *meta, const char *sum)
{
	SL_AUTO(sl_buf_done) struct sl_buf row = {0};
	SL_AUTO(sl_buf_done) struct sl_buf cells = {0};

	field(&row, 1, sl_slice_str("key"));
	if (jpeg)
		cell(&row, "data:jpeg", jpeg);
	if (meta)
		cell(&row, "data:meta", meta);
	if (sum)
		cell(&row, "data:sum", sum);
	ret->len = 0;
	CHECK(row.len < 256);
	uint8_t head[3] = {1 << 3 | 2, (uint8_t)(row.len & 127) | 128, (uint8_t)(row.len >> 7)};
	CHECK_EQ(sl_buf_add(ret, head, sizeof(head)), SL_OK);
	CHECK_EQ(sl_buf_add(ret, row.ptr, row.len), SL_OK);
}

TEST(store_hbase, a_row_is_whole_or_corrupt)
{
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	const char *keys[] = {"other", "key"};
	struct sl_crop got[2] = {0};
	struct sl_err err = {0};
	char real[SL_HEX_SHA256], sum[SL_HEX_SHA256];

	sl_sha256_hex("picture{}", 9, real);
	sl_sha256_hex("picture", 7, sum);
	answer(&b, "picture", "{}", real);
	CHECK_OK(sl_cells_crops(sl_buf_slice(&b), "data:jpeg", keys, 2, got, &err));
	CHECK_STR(got[0].key, "");
	CHECK_STR(got[1].key, "key");
	CHECK_STR((char *)got[1].jpeg.ptr, "picture");
	CHECK_STR((char *)got[1].meta.ptr, "{}");
	sl_crop_done(&got[1]);
	answer(&b, "picture", "{}", sum);
	CHECK_STATUS(sl_cells_crops(sl_buf_slice(&b), "data:jpeg", keys, 2, got, &err), SL_CORRUPT);
	answer(&b, NULL, "{}", real);
	CHECK_STATUS(sl_cells_crops(sl_buf_slice(&b), "data:jpeg", keys, 2, got, &err), SL_CORRUPT);
	CHECK(strstr(err.text, "has no data:jpeg"));
	answer(&b, "picture", NULL, real);
	CHECK_STATUS(sl_cells_crops(sl_buf_slice(&b), "data:jpeg", keys, 2, got, &err), SL_CORRUPT);
	answer(&b, "picture", "{}", NULL);
	CHECK_STATUS(sl_cells_crops(sl_buf_slice(&b), "data:jpeg", keys, 2, got, &err), SL_CORRUPT);
	CHECK(strstr(err.text, "has no data:sum"));
	CHECK_STATUS(sl_cells_crops(sl_slice_str("<html>"), "data:jpeg", keys, 2, got, &err), SL_IO);
	CHECK_STATUS(sl_cells_crops(sl_slice(b.ptr, b.len - 1), "data:jpeg", keys, 2, got, &err), SL_IO);
}

/* n keys of even hash prefixes, in order. */
static int64_t estimate(int64_t n, int64_t exact)
{
	struct tally t = {.exact = exact};
	char key[SL_KEY];

	for (int64_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "%04x-%lld", (unsigned)(i * PREFIXES / n), (long long)i);
		if (!count_key(&t, key))
			break;
	}
	return total(&t);
}

TEST(store_hbase, a_count_is_exact_up_to_its_bound_and_then_near)
{
	CHECK_EQ(estimate(0, 1000), 0);
	CHECK_EQ(estimate(7, 1000), 7);
	CHECK_EQ(estimate(1000, 1000), 1000);
	CHECK_NEAR((double)estimate(5000, 1000), 5000, 50);
	CHECK_NEAR((double)estimate(1000000, 20000), 1000000, 2000);

	struct tally t = {.exact = 3};
	for (int i = 0; i < 10; i++) /* keys without a prefix cannot be estimated: all are counted */
		CHECK(count_key(&t, "crop"));
	CHECK_EQ(total(&t), 10);
}

TEST(store_hbase, keys_and_prefixes)
{
	char end[SL_KEY];
	size_t n;

	CHECK(sl_hbase_is_key(sl_slice_str("ff1f-185067db1d6835805441fec0-773x483x21x21")));
	CHECK(!sl_hbase_is_key(sl_slice("a\0b", 3)) && !sl_hbase_is_key(sl_slice_str("")));
	CHECK(!sl_hbase_is_key(sl_slice_str("a/b")) && !sl_hbase_is_key(sl_slice_str("a*")));
	CHECK(end_of("aa", end, &n));
	CHECK(n == 2 && !memcmp(end, "ab", 2));
	CHECK(end_of("a\xff", end, &n));
	CHECK(n == 1 && *end == 'b');
	CHECK(!end_of("", end, &n) && !end_of("\xff\xff", end, &n));
}

struct sums {
	atomic_int calls[100];
	int fails_at;
};

static enum sl_status once(void *arg, int i, struct sl_err *err)
{
	struct sums *s = arg;

	s->calls[i]++;
	return i == s->fails_at ? sl_fail(err, SL_AWAY, "piece %d", i) : SL_OK;
}

TEST(store_hbase, shared_work_is_done_once_and_the_first_failure_told)
{
	struct sl_pool *pool = sl_pool_start("help", 4, 2);
	struct sl_err err = {0};

	for (int n = 1; n <= 100; n++) {
		struct sums s = {.fails_at = -1};
		CHECK_OK(sl_hbase_each(pool, 4, n, once, &s, &err));
		for (int i = 0; i < n; i++)
			CHECK_EQ(s.calls[i], 1);
		struct sums f = {.fails_at = n / 2};
		CHECK_STATUS(sl_hbase_each(pool, 4, n, once, &f, &err), SL_AWAY);
		CHECK(strstr(err.text, "piece "));
	}
	struct sums alone = {.fails_at = -1};
	CHECK_OK(sl_hbase_each(NULL, 0, 100, once, &alone, &err));
	sl_pool_free(pool);
}

TEST(store_hbase, wrong_urls_are_refused_before_anybody_is_asked)
{
	static const char *const wrong[] = {"hbase://", "hbase://host", "hbase://host:1/a/b",
		"hbase://u:secret@host:1/t", "hbase://host:1/t?tries=0", "hbase://host:1/t?connections=257",
		"hbase://host:1/t?jpeg=x", "hbase://host:1/t?jpeg=data:sum", "hbase://host:1/t?ttl_s=0",
		"hbase://host:1/t?nothing=1", "hbase://host:1/t?user=u", "hbase://host:1/t?ca=x",
		"hbase://host:1/t?compression=a%20b", "hbase://host:1/t?user=u&password=p&negotiate=1"};
	struct sl_config *cfg = sl_settings_new();
	struct sl_crops *c;
	struct sl_err err;

	for (size_t i = 0; i < SL_COUNT(wrong); i++) {
		CHECK_STATUS(sl_crops_open(wrong[i], cfg, &c, &err), SL_USAGE);
		CHECK(strstr(err.text, "store URL"));
	}
	CHECK_STATUS(sl_crops_open("hbase://127.0.0.1:1,127.0.0.1:2/t", cfg, &c, &err), SL_AWAY);
	sl_config_free(cfg);
}
