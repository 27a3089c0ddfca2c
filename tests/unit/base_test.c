/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/opt.h"
#include "base/rng.h"
#include "base/thread.h"
#include "harness.h"
#include <unistd.h>

TEST(status, first_cause_stays_behind_prefixes)
{
	struct sl_err err;
	CHECK_STATUS(sl_fail(&err, SL_IO, "disk %d", 7), SL_IO);
	CHECK_STATUS(sl_prefix(&err, SL_IO, "store"), SL_IO);
	CHECK_STR(err.text, "store: disk 7");
	CHECK_EQ(sl_status_exit(SL_IO), 3);
	CHECK_STR(sl_status_name(SL_NOT_FOUND), "NOT_FOUND");
	sl_fail(&err, SL_IO, "said %s", "a\r\nb\x1b[31m\x7f");
	CHECK_STR(err.text, "said a??b?[31m?"); /* one line, and a terminal's */
}

TEST(buf, cap_is_kept)
{
	struct sl_buf b = {.cap = 4};
	CHECK_STATUS(sl_buf_puts(&b, "abcd"), SL_OK);
	CHECK_STATUS(sl_buf_puts(&b, "e"), SL_TOO_LARGE);
	CHECK_STR((char *)b.ptr, "abcd");
	sl_buf_done(&b);
}

TEST(digest, sha256_of_abc)
{
	char hex[SL_HEX_SHA256], pieces[SL_HEX_SHA256];
	sl_sha256_hex("abc", 3, hex);
	CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"); /* FIPS 180-4's example */
	struct sl_sha256 *h = sl_sha256_new();
	sl_sha256_add(h, "a", 1);
	sl_sha256_add(h, "bc", 2);
	sl_sha256_end_hex(h, pieces);
	sl_sha256_free(h);
	CHECK_STR(hex, pieces);
	CHECK(sl_is_sha256_hex(hex));
	CHECK(!sl_is_sha256_hex("BA"));
}

TEST(digest, base64_both_ways_and_bad_text)
{
	struct sl_err err;
	struct sl_buf t = {0}, b = {0};
	CHECK_STATUS(sl_base64_encode(sl_slice("\0\1\xff road", 8), &t), SL_OK);
	CHECK_OK(sl_base64_decode(sl_buf_slice(&t), &b, &err));
	CHECK_EQ(b.len, 8);
	CHECK(!memcmp(b.ptr, "\0\1\xff road", 8));
	CHECK_STATUS(sl_base64_decode(sl_slice_str("ab*d"), &b, &err), SL_INVALID);
	CHECK_STATUS(sl_base64_decode(sl_slice_str("abc"), &b, &err), SL_INVALID);
	sl_buf_done(&t);
	sl_buf_done(&b);
}

TEST(rng, is_pcg32)
{
	/* The reference program's first outputs for seed 42, stream 54. */
	struct sl_rng r = sl_rng(42, 54);
	const uint32_t want[] = {0xa15c02b7, 0x7b47f409, 0xba1d3330, 0x83d2f293, 0xbfa4784b, 0xcbed606e};
	for (size_t i = 0; i < SL_COUNT(want); i++)
		CHECK_EQ(sl_rng_u32(&r), want[i]);
	for (int i = 0; i < 1000; i++)
		CHECK(sl_rng_below(&r, 7) < 7);
}

struct gate {
	struct sl_queue *in, *out;
};

static void pass_on(void *arg)
{
	struct gate *g = arg;
	void *item;
	CHECK_STATUS(sl_queue_pop(g->in, &item, SL_FOREVER), SL_OK);
	CHECK_STATUS(sl_queue_push(g->out, item), SL_OK);
}

TEST(pool, refuses_when_full_and_drains_what_it_took)
{
	struct gate g = {sl_queue_new(8), sl_queue_new(8)};
	struct sl_pool *p = sl_pool_start("pool", 1, 2);
	int took = 0, refused = 0;
	for (int i = 0; i < 8; i++) {
		enum sl_status s = sl_pool_run(p, pass_on, &g);
		took += s == SL_OK;
		refused += s == SL_BUSY;
	}
	CHECK(took >= 2 && took <= 3);
	CHECK_EQ(took + refused, 8);
	CHECK_STATUS(sl_pool_drain(p, sl_mono_us()), SL_TIMEOUT);
	CHECK_STATUS(sl_pool_run(p, pass_on, &g), SL_CLOSED);
	for (int i = 0; i < took; i++)
		CHECK_STATUS(sl_queue_push(g.in, &g), SL_OK);
	CHECK_STATUS(sl_pool_drain(p, SL_FOREVER), SL_OK);
	CHECK_EQ(sl_queue_len(g.out), took);
	sl_pool_free(p);
	sl_queue_free(g.in);
	sl_queue_free(g.out);
}

TEST(queue, closed_gives_what_is_in_it_then_says_so)
{
	int x;
	void *item;
	struct sl_queue *q = sl_queue_new(1);
	CHECK_STATUS(sl_queue_pop(q, &item, sl_mono_us()), SL_TIMEOUT);
	CHECK_STATUS(sl_queue_push(q, &x), SL_OK);
	CHECK_STATUS(sl_queue_push(q, &x), SL_BUSY);
	sl_queue_close(q);
	CHECK_STATUS(sl_queue_push(q, &x), SL_CLOSED);
	CHECK_STATUS(sl_queue_pop(q, &item, SL_FOREVER), SL_OK);
	CHECK_STATUS(sl_queue_pop(q, &item, SL_FOREVER), SL_CLOSED);
	sl_queue_free(q);
}

TEST(metric, prints_prometheus_text)
{
	struct sl_metric *h = sl_histogram("t_seconds", "stage=\"decode\"", "time");
	for (int i = 0; i < 100; i++)
		sl_metric_time(h, 2000);
	CHECK(sl_histogram("t_seconds", "stage=\"decode\"", "time") == h);
	CHECK(sl_metric_quantile(h, 0.5) > 0.0015 && sl_metric_quantile(h, 0.5) <= 0.002);
	sl_metric_add(sl_counter("a_total", NULL, "things"), 3);
	struct sl_buf b = {0};
	CHECK_STATUS(sl_metric_print(&b), SL_OK);
	const char *text = (char *)b.ptr;
	CHECK(strstr(text, "# TYPE a_total counter\na_total 3\n"));
	CHECK(strstr(text, "t_seconds_bucket{stage=\"decode\",le=\"0.002\"} 100\n"));
	CHECK(strstr(text, "t_seconds_count{stage=\"decode\"} 100\n"));
	CHECK(strstr(text, "a_total") < strstr(text, "t_seconds"));
	sl_buf_done(&b);
}

TEST(json, names_the_member_that_is_wrong)
{
	struct sl_err err;
	json_t *v = NULL;
	const char *s = NULL;
	int64_t i = 5;
	CHECK_OK(sl_json_parse(sl_slice_str("{\"a\":\"x\",\"n\":null}"), "body", &v, &err));
	CHECK_OK(sl_json_str(v, "body", "a", &s, &err));
	CHECK_STR(s, "x");
	CHECK_OK(sl_json_opt_int(v, "body", "n", &i, &err));
	CHECK_EQ(i, 5);
	CHECK_STATUS(sl_json_int(v, "body", "a", &i, &err), SL_INVALID);
	CHECK_STR(err.text, "body: \"a\" must be a whole number");
	CHECK_STATUS(sl_json_str(v, "body", "zz", &s, &err), SL_INVALID);
	json_decref(v);
	CHECK_STATUS(sl_json_parse(sl_slice_str("{\"a\":1,\"a\":2}"), "body", &v, &err), SL_INVALID);
	CHECK_STATUS(sl_json_parse(sl_slice_str("{} x"), "body", &v, &err), SL_INVALID);
}

TEST(fs, write_is_whole_and_may_refuse_to_replace)
{
	struct sl_err err;
	char *path = sl_fs_join(sl_test_dir(), "a/b/file"), *dir = sl_fs_join(sl_test_dir(), "a/b");
	CHECK_OK(sl_fs_mkdirs(dir, &err));
	CHECK_OK(sl_fs_write(path, sl_slice_str("one"), false, &err));
	CHECK_STATUS(sl_fs_write(path, sl_slice_str("two"), false, &err), SL_EXISTS);
	struct sl_buf b = {.cap = 3};
	CHECK_OK(sl_fs_read(path, &b, &err));
	CHECK_STR((char *)b.ptr, "one");
	sl_buf_done(&b);
	CHECK_OK(sl_fs_write(path, sl_slice_str("longer"), true, &err));
	CHECK_STATUS(sl_fs_read(path, &b, &err), SL_TOO_LARGE);
	sl_buf_done(&b);
	CHECK_STATUS(sl_fs_read("/nowhere/at/all", &b, &err), SL_NOT_FOUND);
	free(path);
	free(dir);
}

TEST(fs, lock_names_its_holder)
{
	struct sl_err err;
	int one, two;
	CHECK_OK(sl_fs_lock(sl_test_dir(), "signloop up", &one, &err));
	CHECK_STATUS(sl_fs_lock(sl_test_dir(), "signloop fsck", &two, &err), SL_BUSY);
	CHECK(strstr(err.text, "signloop up"));
	sl_fs_unlock(one);
	CHECK_OK(sl_fs_lock(sl_test_dir(), "signloop fsck", &two, &err));
	sl_fs_unlock(two);
}

static const struct sl_config_row rows[] = {
	{"frames.queue", SL_CONFIG_INT, "64", 1, 1000, "frames waiting"},
	{"store.sync", SL_CONFIG_BOOL, "yes", 0, 0, "wait for the disk"},
	{"learn.rate", SL_CONFIG_NUM, "0.004", 0, 1, "step size"},
	{"listen", SL_CONFIG_STR, "127.0.0.1:8000", 0, 0, "address"},
};

TEST(config, flag_wins_over_environment_over_file)
{
	struct sl_err err;
	struct sl_config *c = sl_config_new(rows, SL_COUNT(rows));
	char *path = sl_fs_join(sl_test_dir(), "conf");
	CHECK_OK(sl_fs_write(path, sl_slice_str("# note\nframes.queue = 2\nlisten=:1 # two\n"), false, &err));
	CHECK_OK(sl_config_read_file(c, path, &err));
	CHECK_EQ(sl_config_int(c, "frames.queue"), 2);
	CHECK_STR(sl_config_str(c, "listen"), ":1");
	char *env[] = {(char *)"SIGNLOOP_FRAMES_QUEUE=3", (char *)"HOME=/", NULL};
	CHECK_OK(sl_config_read_env(c, env, &err));
	CHECK_EQ(sl_config_int(c, "frames.queue"), 3);
	const struct sl_usage u = {.name = "up", .synopsis = "up", .takes_config = true, .words_max = 0};
	const struct sl_opt none[] = {SL_OPT_END};
	char *argv[] = {(char *)"up", (char *)"--frames-queue", (char *)"4", NULL};
	struct sl_words w;
	bool help;
	CHECK_OK(sl_opt_parse(&u, none, c, 3, argv, &w, &help, &err));
	CHECK_EQ(sl_config_int(c, "frames.queue"), 4);
	CHECK_STATUS(sl_config_set(c, "frames.queue", "0", "flag", &err), SL_USAGE);
	CHECK_STATUS(sl_config_set(c, "frames.queue", "4.5", "flag", &err), SL_USAGE);
	CHECK_STATUS(sl_config_set(c, "frame.queue", "1", "flag", &err), SL_USAGE);
	CHECK(strstr(err.text, "did you mean 'frames.queue'"));
	sl_config_free(c);
	free(path);
}

TEST(opt, words_options_and_errors)
{
	struct sl_err err;
	bool flag = false, help = false;
	int64_t n = 1;
	struct sl_words list = {0}, words;
	const struct sl_opt opts[] = {{"fast", SL_OPT_FLAG, NULL, "be fast", &flag, 0, 0},
		{"count", SL_OPT_INT, "N", "how many", &n, 1, 9},
		{"data", SL_OPT_LIST, "FORMAT:PATH", "samples", &list, 0, 0}, SL_OPT_END};
	const struct sl_usage u = {.name = "x", .synopsis = "x WORD", .text = "does x", .words_min = 1, .words_max = 2};
	char *good[] = {(char *)"x", (char *)"a", (char *)"--count=3", (char *)"--fast", (char *)"--data", (char *)"p",
		(char *)"--data=q", (char *)"--", (char *)"--b", NULL};
	CHECK_OK(sl_opt_parse(&u, opts, NULL, 9, good, &words, &help, &err));
	CHECK(flag && n == 3 && list.n == 2 && words.n == 2);
	CHECK_STR(words.word[1], "--b");
	char *bad[][3] = {{(char *)"x", (char *)"--cuont", (char *)"3"}, {(char *)"x", (char *)"a", (char *)"--count"},
		{(char *)"x", (char *)"a", (char *)"--count=10"}, {(char *)"x", (char *)"a", (char *)"--fast=1"},
		{(char *)"x", (char *)"a", (char *)"-q"}};
	for (size_t i = 0; i < SL_COUNT(bad); i++)
		CHECK_STATUS(sl_opt_parse(&u, opts, NULL, 3, bad[i], &words, &help, &err), SL_USAGE);
	CHECK_STATUS(sl_opt_parse(&u, opts, NULL, 1, good, &words, &help, &err), SL_USAGE);
	struct sl_buf b = {0};
	CHECK_STATUS(sl_opt_help(&u, opts, 40, &b), SL_OK);
	for (const char *line = (char *)b.ptr; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		CHECK(strcspn(line, "\n") <= 40);
	sl_buf_done(&b);
}

static void check_lines(const struct sl_buf *b, size_t width)
{
	for (const char *line = (char *)b->ptr; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		CHECK(strcspn(line, "\n") <= width);
		CHECK(strcspn(line, "\n") == 0 || line[strcspn(line, "\n") - 1] != ' ');
	}
}

TEST(opt, rows_keep_to_narrow_and_wide_terminals)
{
	static const char text[] = "VERSION[/train|heldout|aside|all] made by 'signloop dataset snapshot'";
	SL_AUTO(sl_buf_done) struct sl_buf narrow = {0}, wide = {0};
	const struct sl_opt opts[] = {{"count", SL_OPT_INT, "N", "how many", NULL, 0, 0}, SL_OPT_END};
	const struct sl_usage u = {.name = "x", .synopsis = "x", .text = "does", .takes_config = true};
	sl_opt_row(&narrow, "  dataset", text, 15, 40);
	check_lines(&narrow, 40);
	CHECK(strstr((char *)narrow.ptr, "|heldout|")); /* cut after a sign, not inside a word */
	sl_opt_row(&wide, "  dataset", text, 15, 100);
	CHECK_STR((char *)wide.ptr,
		"  dataset      VERSION[/train|heldout|aside|all] made by 'signloop dataset snapshot'\n");
	sl_buf_done(&narrow);
	CHECK_EQ(sl_opt_help(&u, opts, 40, &narrow), SL_OK);
	check_lines(&narrow, 40);
	CHECK(strstr((char *)narrow.ptr, "\nand every setting"));
}

TEST(log, refuses_a_level_nobody_has)
{
	struct sl_err err;
	CHECK_OK(sl_log_setup("warn,store=debug", &err));
	CHECK(sl_log_is_on(SL_DEBUG, "store"));
	CHECK(!sl_log_is_on(SL_INFO, "frames"));
	CHECK_STATUS(sl_log_setup("loud", &err), SL_USAGE);
}

TEST(text, is_cut_between_characters_and_mended)
{
	struct sl_err err;
	char six[6], text[] = "a\xed\x91"
			      "b\xff\xc3\xbc\xed\xa0\x80\xf0\x9f\x98\x80";
	SL_COPY_CUT(six, "ab\xed\x91\x9c\xed\x91\x9c");
	CHECK_STR(six, "ab\xed\x91\x9c");
	SL_COPY_CUT(six, "abc\xed\x91\x9c");
	CHECK_STR(six, "abc");
	SL_COPY_CUT(six, "abcde");
	CHECK_STR(six, "abcde");
	CHECK(!sl_text_is_utf8(text));
	sl_text_mend(text);
	CHECK_STR(text, "a??b?\xc3\xbc???\xf0\x9f\x98\x80");
	CHECK(sl_text_is_utf8(text));
	for (int n = 0; n < 4; n++) { /* wherever an error's text is cut, it can be said in JSON */
		char many[2 * SL_ERR_TEXT] = "xxx";
		for (size_t i = (size_t)n; i + 4 < sizeof(many); i += 3)
			memcpy(many + i, "\xed\x91\x9c", 4);
		sl_fail(&err, SL_INVALID, "%s", many);
		CHECK(sl_text_is_utf8(err.text));
	}
}
