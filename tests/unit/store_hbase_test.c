/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the HBase backend that need no HBase: rows and messages, the estimate of a count,
 * shared work, URLs. The rest is in tests/contract and tests/servers.
 */
#include "store/hbase/scan.c" /* its estimate */
#include "base/digest.h"
#include "core/settings.h"
#include "harness.h"
#include "stage.h"
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
		"hbase://host:1/t?nothing=1", "hbase://host:80x/t", "hbase://host:65536/t", "hbase://host:1/t?user=u",
		"hbase://host:1/t?ca=x", "hbase://host:1/t?compression=a%20b",
		"hbase://host:1/t?user=u&password=p&negotiate=1"};
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

/* ---- a gateway that answers as none should ---- */

#define SCHEMA "{\"name\":\"t\",\"ColumnSchema\":[{\"name\":\"data\"}]}"
#define OPENED "HTTP/1.1 201 Created\r\nLocation: http://a/scanner/t/scanner/1\r\nContent-Length: 0\r\n\r\n"
#define ENDED "HTTP/1.1 204 No Content\r\n\r\n"
#define ABSENT "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nNot found\r\n"
#define NO_ROWS "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 16\r\n\r\nNo rows found.\r\n"
#define PROXY "HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n<p>Nothing"
#define PAGE "application/x-protobuf"

struct gate {
	struct stage stage;
	struct stage_line line[16];
	char schema[512], nothing[128];
	struct sl_config *cfg;
	struct sl_crops *c;
};

static void gate_open(struct gate *g)
{
	int n = 0;
	char url[128];
	struct sl_err err;

	while (g->line[n].of)
		n++;
	stage_answer(g->schema, sizeof(g->schema), "application/json", SCHEMA);
	g->line[n++] = (struct stage_line){"GET /t/schema", g->schema, 0, 0};
	stage_answer(g->nothing, sizeof(g->nothing), "application/json", "{\"Row\":[]}");
	g->line[n++] = (struct stage_line){"GET /t/*?limit=1", g->nothing, 0, 0};
	g->line[n++] = (struct stage_line){"PUT /t/scanner", OPENED, 0, 0};
	g->line[n++] = (struct stage_line){"DELETE /t/scanner/1", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0, 0};
	g->line[n] = (struct stage_line){0};
	g->stage.line = g->line;
	stage_open(&g->stage);
	g->cfg = sl_settings_new();
	snprintf(url, sizeof(url), "hbase://127.0.0.1:%d/t?tries=1", g->stage.port);
	CHECK_OK(sl_crops_open(url, g->cfg, &g->c, &err));
}

static void gate_close(struct gate *g)
{
	sl_crops_close(g->c);
	sl_config_free(g->cfg);
	stage_close(&g->stage);
}

TEST(store_hbase, only_a_gateway_says_that_a_crop_is_absent)
{
	static const struct {
		const char *answer;
		enum sl_status status;
	} row[] = {{ABSENT, SL_NOT_FOUND}, {NO_ROWS, SL_NOT_FOUND}, {PROXY, SL_AWAY}};

	for (size_t i = 0; i < SL_COUNT(row); i++) {
		struct gate g = {.line = {{"/t/multiget", row[i].answer, 0, 0}}};
		struct sl_crop got = {0};
		struct sl_err err = {0};

		gate_open(&g);
		CHECK_STATUS(sl_crops_get(g.c, "key", &got, &err), row[i].status);
		CHECK_STATUS(sl_crops_remove(g.c, "key", &err), row[i].status == SL_AWAY ? SL_AWAY : SL_OK);
		gate_close(&g);
	}
}

TEST(store_hbase, a_scan_repeats_no_key_and_comes_to_an_end)
{
	char bc[256], ab[256], none[256];
	struct gate g = {.line = {{"GET /t/scanner/1", bc, 1, 0}, {"GET /t/scanner/1", ab, 1, 0},
				 {"GET /t/scanner/1", none, 3, 0}, {"GET /t/scanner/1", ENDED, 1, 0},
				 {"GET /t/scanner/1", ab, 0, 0}}};
	char keys[10][SL_KEY];
	struct sl_err err = {0};
	int n;

	stage_answer(bc, sizeof(bc), PAGE,
		"\x0a\x03\x0a\x01"
		"b"
		"\x0a\x03\x0a\x01"
		"c");
	stage_answer(ab, sizeof(ab), PAGE,
		"\x0a\x03\x0a\x01"
		"a"
		"\x0a\x03\x0a\x01"
		"b");
	stage_answer(none, sizeof(none), PAGE, "");
	gate_open(&g);
	CHECK_OK(sl_crops_scan(g.c, "", "", 10, keys, &n, &err));
	CHECK_EQ(n, 2);
	CHECK_STR(keys[0], "b");
	CHECK_STR(keys[1], "c");
	CHECK_STATUS(sl_crops_scan(g.c, "", "", 10, keys, &n, &err), SL_AWAY); /* the same page for ever */
	CHECK(strstr(err.text, "without a new key"));
	int asked = g.stage.asked;
	int64_t many;
	CHECK_STATUS(sl_crops_count(g.c, &many, &err), SL_AWAY);
	CHECK(g.stage.asked > asked);
	asked = g.stage.asked;
	CHECK_STATUS(sl_crops_count(g.c, &many, &err), SL_AWAY); /* the failure is kept for who asks at once */
	CHECK_EQ(g.stage.asked, asked);
	gate_close(&g);
}

/* "No more" and "not found" are also what a gateway says that cannot read. */
TEST(store_hbase, a_gateway_that_cannot_read_on_is_not_at_the_end)
{
	char b[256], one[128], half[128], keys[10][SL_KEY];
	struct sl_err err = {0};
	int n;
	struct gate g = {.line = {{"/t/multiget", NO_ROWS, 0, 0}, {"GET /t/scanner/1", ENDED, 2, 0},
				 {"GET /t/*?limit=1&startrow=&endrow=&column=data", one, 1, 0},
				 {"GET /t/*?limit=1&startrow=&", half, 1, 0}, {"GET /t/scanner/1", b, 1, 0},
				 {"GET /t/scanner/1", ENDED, 0, 0}, {"GET /t/*?limit=1&startrow=%62%00&", one, 1, 0},
				 {"GET /t/*?limit=1&startrow=%6B&endrow=%6B%00", one, 1, 0}}};

	stage_answer(b, sizeof(b), PAGE,
		"\x0a\x03\x0a\x01"
		"b");
	stage_answer(one, sizeof(one), "application/json", "{\"Row\":[{\"key\":\"Yg==\"}]}");
	stage_answer(half, sizeof(half), "application/json", "{\"Row\":[{");
	gate_open(&g);
	CHECK_OK(sl_crops_scan(g.c, "", "", 10, keys, &n, &err));
	CHECK_EQ(n, 1); /* at the end the gateway gives "b" once more: it is not new */
	CHECK_STR(keys[0], "b");
	CHECK_STATUS(sl_crops_remove(g.c, "k", &err), SL_AWAY);
	CHECK_OK(sl_crops_remove(g.c, "k", &err)); /* it is not there */
	gate_close(&g);
}

TEST(store_hbase, a_row_that_nobody_asked_for_is_left_alone)
{
	char answer[256], longest[SL_KEY + 8], body[SL_KEY + 16];
	const char *keys[] = {longest, "key"};
	struct sl_crop got[2] = {0};
	struct sl_err err = {0};

	memset(longest, 'k', SL_KEY + 6);
	longest[SL_KEY + 6] = 0;
	snprintf(body, sizeof(body), "\x0a%c\x0a%c%s", SL_KEY + 8, SL_KEY + 6, longest);
	stage_answer(answer, sizeof(answer), PAGE, body);
	struct gate g = {.line = {{"/t/multiget", answer, 0, 0}}};
	gate_open(&g);
	CHECK_OK(sl_crops_get_many(g.c, keys, 2, got, &err));
	CHECK(!*got[0].key && !*got[1].key);
	gate_close(&g);
}
