/* SPDX-License-Identifier: Apache-2.0
 *
 * What a bad, slow or impatient client gets.
 */
#include "base/mem.h"
#include "harness.h"
#include "http_rig.h"
#include <stdio.h>
#include <sys/socket.h>

static void send_and_check(struct rig *g, const char *text, int code)
{
	struct ask_conn c = ask_open(g->port);
	struct ask_answer a = {0};
	ask_puts(&c, text);
	if (!ask_read(&c, false, &a))
		sl_test_fail(__FILE__, __LINE__, "no answer to %.60s", text);
	if (a.code != code)
		sl_test_fail(__FILE__, __LINE__, "%d, not %d, to %.60s", a.code, code, text);
	ask_done(&a);
	ask_close(&c);
}

TEST(http_limits, large_body_is_413_before_it_is_sent)
{
	struct rig g;
	rig_open(&g, (const char *const[]){"http.body_bytes=1000", NULL});
	send_and_check(&g, "POST /work HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n", 413);
	send_and_check(&g, "POST /work HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999999999\r\n\r\n", 413);
	send_and_check(
		&g, "POST /work HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n", 413);
	send_and_check(&g, "GET /hello HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\n", 413);
	CHECK_EQ(g.calls, 0);
	rig_close(&g);
}

TEST(http_limits, client_that_sends_all_its_body_still_reads_413)
{
	enum { SIZE = 8 << 20 };
	struct rig g;
	rig_open(&g, (const char *const[]){"http.body_bytes=1000", NULL});
	char *big = sl_zalloc(SIZE);
	for (int i = 0; i < 5; i++) {
		struct ask_conn c = ask_open(g.port);
		struct ask_answer a = {0};
		ask_request(&c, "POST /work", "image/jpeg", sl_slice(big, SIZE), NULL);
		CHECK(ask_read(&c, false, &a));
		rig_check_error(&a, 413, "TOO_LARGE");
		ask_done(&a);
		ask_close(&c);
	}
	free(big);
	rig_close(&g);
}

TEST(http_limits, chunked_body_ends_at_the_cap)
{
	struct rig g;
	rig_open(&g, (const char *const[]){"http.body_bytes=1000", NULL});
	struct ask_conn c = ask_open(g.port);
	struct ask_answer a = {0};
	char chunk[0x100 + 16];
	ask_puts(&c,
		"POST /work HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n");
	CHECK(ask_read(&c, false, &a));
	CHECK_EQ(a.code, 200);
	CHECK_STR((char *)a.body.ptr, "abcdefg");
	ask_puts(&c, "POST /work HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
	int n = snprintf(chunk, sizeof(chunk), "100\r\n%0256d\r\n", 0);
	for (int i = 0; i < 1000; i++) /* never ends by itself */
		ask_send(&c, chunk, (size_t)n);
	CHECK(ask_read(&c, false, &a));
	rig_check_error(&a, 413, "TOO_LARGE");
	CHECK_EQ(g.calls, 1);
	ask_done(&a);
	ask_close(&c);
	send_and_check(
		&g, "GET /hello HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", 413);
	rig_close(&g);
}

TEST(http_limits, unclear_requests_are_400)
{
	struct rig g;
	rig_open(&g, NULL);
	send_and_check(&g,
		"POST /work HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		400);
	send_and_check(&g, "POST /work HTTP/1.1\r\nHost: t\r\nContent-Length: x\r\n\r\n", 400);
	send_and_check(&g, "POST /work HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}}", 400);
	send_and_check(&g, "POST /work HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400);
	send_and_check(&g, "GET /hello HTTP/1.1\r\nHost: t\r\nX-Deadline-Ms: soon\r\n\r\n", 400);
	send_and_check(&g, "GET hello HTTP/1.1\r\nHost: t\r\n\r\n", 400);
	send_and_check(&g, "GET /hello HTTP/1.1\r\nno colon here\r\n\r\n", 400);
	SL_AUTOFREE char *deep = sl_asprintf("GET /%09000d HTTP/1.1\r\nHost: t\r\n\r\n", 0);
	send_and_check(&g, deep, 414);
	send_and_check(&g, "GET /1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17 HTTP/1.1\r\nHost: t\r\n\r\n", 400);
	rig_close(&g);
}

/* One that is not kept could have said how long the body is, or what. */
TEST(http_limits, more_headers_than_are_kept_are_431)
{
	struct rig g;
	SL_AUTO(sl_buf_done) struct sl_buf many = {0};
	rig_open(&g, NULL);
	for (int i = 0; i < 100; i++)
		sl_buf_printf(&many, "X-%d: 1\r\n", i);
	SL_AUTOFREE char *text = sl_asprintf(
		"POST /work HTTP/1.1\r\nHost: t\r\n%sContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
		(char *)many.ptr);
	send_and_check(&g, text, 431);
	rig_close(&g);
}

TEST(http_limits, expect_100_then_the_body)
{
	struct rig g;
	rig_open(&g, NULL);
	struct ask_conn c = ask_open(g.port);
	struct ask_answer a = {0};
	ask_puts(&c, "POST /work HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
	CHECK(ask_wait_text(&c, "HTTP/1.1 100 Continue\r\n\r\n"));
	ask_puts(&c, "after");
	CHECK(ask_read(&c, false, &a));
	CHECK_EQ(a.code, 200);
	CHECK_STR((char *)a.body.ptr, "after");
	ask_done(&a);
	ask_close(&c);
	rig_close(&g);
}

TEST(http_limits, pipelined_requests_are_answered_in_order)
{
	struct rig g;
	rig_open(&g, NULL);
	struct ask_conn c = ask_open(g.port);
	struct ask_answer a = {0};
	char text[200];
	for (int i = 0; i < 200; i++) {
		int n = snprintf(text, sizeof(text), "POST /%s HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n%04d",
			i % 3 == 0   ? "echo"
			: i % 3 == 1 ? "work"
				     : "none",
			i);
		ask_send(&c, text, (size_t)n);
	}
	for (int i = 0; i < 200; i++) {
		CHECK(ask_read(&c, false, &a));
		CHECK_EQ(a.code, i % 3 == 2 ? 404 : 200);
		if (i % 3 != 2)
			CHECK_EQ(atoi((char *)a.body.ptr), i);
	}
	ask_done(&a);
	ask_close(&c);
	rig_close(&g);
}

TEST(http_limits, full_worker_queue_is_503_with_retry_after)
{
	struct rig g;
	struct ask_conn c[3];
	struct ask_answer a = {0};
	char text[16];
	rig_open(&g, (const char *const[]){"http.workers=1", "http.queue=1", NULL});
	c[0] = ask_open(g.port);
	ask_request(&c[0], "GET /gate", NULL, sl_slice("", 0), NULL);
	rig_wait_waiting(&g, 1); /* it has the one worker */
	c[1] = ask_open(g.port);
	c[2] = ask_open(g.port);
	ask_request(&c[1], "GET /gate", NULL, sl_slice("", 0), NULL);
	ask_request(&c[2], "GET /gate", NULL, sl_slice("", 0), NULL);
	/* One of the two waits in the queue, the other is refused; which, the kernel decides. */
	int refused = 0;
	struct ask_answer m = {0};
	while (!strstr(m.body.ptr ? (char *)m.body.ptr : "", "route=\"GET /gate\",code=\"503\"} 1")) {
		ask_done(&m);
		ask(g.port, "GET /metrics", NULL, NULL, &m);
	}
	CHECK(strstr((char *)m.body.ptr, "signloop_queue_length{queue=\"http\"} 1\n"));
	ask_done(&m);
	rig_open_gate(&g);
	for (int i = 0; i < 3; i++) {
		CHECK(ask_read(&c[i], false, &a));
		if (a.code == 503) {
			rig_check_error(&a, 503, "BUSY");
			CHECK_STR(ask_header(&a, "Retry-After", text, sizeof(text)), "1");
			refused++;
		} else {
			CHECK_EQ(a.code, 200);
		}
		ask_done(&a);
		ask_close(&c[i]);
	}
	CHECK_EQ(refused, 1);
	rig_close(&g);
}

TEST(http_limits, deadline_is_504_and_the_late_answer_is_dropped)
{
	struct rig g;
	struct ask_answer a = {0};
	rig_open(&g, (const char *const[]){"http.workers=1", NULL});
	struct ask_conn held = ask_open(g.port), c = ask_open(g.port);
	ask_request(&held, "GET /gate", NULL, sl_slice("", 0), NULL);
	rig_wait_waiting(&g, 1);
	ask_request(&c, "POST /work", "text/plain", sl_slice_str("x"), "X-Deadline-Ms: 20\r\n");
	CHECK(ask_read(&c, false, &a));
	rig_check_error(&a, 504, "TIMEOUT");
	rig_open_gate(&g);
	CHECK(ask_read(&held, false, &a));
	CHECK_EQ(a.code, 200);
	CHECK_EQ(ask(g.port, "POST /work", "text/plain", "y", NULL), 200);
	CHECK_EQ(g.calls, 1); /* no work was done for the one that was late */

	ask_request(&c, "GET /later", NULL, sl_slice("", 0), "X-Deadline-Ms: 20\r\n");
	CHECK(ask_read(&c, false, &a));
	rig_check_error(&a, 504, "TIMEOUT");
	struct sl_request *r = rig_wait_kept(&g);
	CHECK_STR(sl_request_path(r), "/later"); /* still ours */
	CHECK(sl_request_header(r, "x-deadline-ms"));
	sl_answer_header(r, "X-Late", "yes");
	sl_answer_json(r, 200, json_object());

	ask_request(&c, "GET /events", NULL, sl_slice("", 0), "X-Deadline-Ms: 0\r\n");
	CHECK(ask_read(&c, true, &a)); /* in time or not, both are well */
	CHECK(a.code == 200 || a.code == 504);
	sl_stream_end(rig_wait_stream(&g));
	ask_done(&a);
	ask_close(&held);
	ask_close(&c);
	rig_close(&g);
}

TEST(http_limits, later_answers_from_another_thread)
{
	struct rig g;
	struct ask_answer a = {0};
	rig_open(&g, NULL);
	struct ask_conn c = ask_open(g.port);
	for (int i = 0; i < 100; i++) {
		ask_request(&c, "GET /later", NULL, sl_slice("", 0), NULL);
		sl_answer_json(rig_wait_kept(&g), 200, json_pack("{s:i}", "i", i));
		CHECK(ask_read(&c, false, &a));
		CHECK_EQ(a.code, 200);
	}
	ask_done(&a);
	ask_close(&c);
	rig_close(&g);
}

TEST(http_limits, client_that_goes_away_harms_nobody)
{
	struct rig g;
	rig_open(&g, NULL);
	static const char *const cut[] = {"", "GE", "GET /hello HTTP/1.1\r\nHost: t\r\n",
		"POST /work HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n12345",
		"POST /work HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123",
		"POST /work HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nok",
		"GET /gate HTTP/1.1\r\nHost: t\r\n\r\n"};
	for (size_t i = 0; i < SL_COUNT(cut) * 10; i++) {
		struct ask_conn c = ask_open(g.port);
		struct linger now = {1, 0};
		ask_puts(&c, cut[i % SL_COUNT(cut)]);
		if (i % 2)
			setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)); /* RST instead of FIN */
		ask_close(&c);
	}
	struct ask_conn c = ask_open(g.port);
	ask_request(&c, "GET /later", NULL, sl_slice("", 0), NULL);
	struct sl_request *r = rig_wait_kept(&g);
	ask_close(&c);
	sl_answer_json(r, 200, json_object());
	rig_open_gate(&g);
	CHECK_EQ(ask(g.port, "GET /hello", NULL, NULL, NULL), 200);
	rig_close(&g);
}

TEST(http_limits, slow_body_is_408)
{
	struct rig g;
	rig_open(&g, (const char *const[]){"http.body_ms=1", NULL});
	struct ask_conn c = ask_open(g.port);
	struct ask_answer a = {0};
	ask_puts(&c, "POST /work HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
	while (recv(c.fd, (char[1]){0}, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
		ask_puts(&c, "1\r\nx\r\n");
	CHECK(ask_read(&c, false, &a));
	rig_check_error(&a, 408, "TIMEOUT");
	ask_done(&a);
	ask_close(&c);
	rig_close(&g);
}

TEST(http_limits, bodies_share_a_budget)
{
	struct rig g;
	struct ask_answer a = {0};
	rig_open(&g, (const char *const[]){"http.bodies_bytes=100000", "http.body_bytes=90000", NULL});
	char *big = sl_zalloc(90000);
	struct ask_conn one = ask_open(g.port);
	ask_puts(&one, "POST /work HTTP/1.1\r\nHost: t\r\nContent-Length: 90000\r\nExpect: 100-continue\r\n\r\n");
	CHECK(ask_wait_text(&one, "100 Continue\r\n\r\n"));
	ask_send(&one, big, 80000);
	for (a.code = 200; a.code == 200;) { /* until the first's bytes have arrived there */
		ask_done(&a);
		struct ask_conn two = ask_open(g.port);
		ask_request(&two, "POST /work", "text/plain", sl_slice(big, 60000), NULL);
		CHECK(ask_read(&two, false, &a));
		ask_close(&two);
	}
	rig_check_error(&a, 503, "BUSY");
	ask_send(&one, big, 10000);
	CHECK(ask_read(&one, false, &a));
	CHECK_EQ(a.code, 200);
	CHECK_EQ(a.body.len, 90000);
	ask_close(&one);
	CHECK_EQ(ask(g.port, "POST /work", "text/plain", "there is room again", NULL), 200);
	ask_done(&a);
	free(big);
	rig_close(&g);
}

TEST(http_limits, taken_port_and_bad_address_are_explained)
{
	struct rig g;
	struct sl_err err;
	struct sl_server *other;
	char text[40];
	rig_open(&g, NULL);
	snprintf(text, sizeof(text), "127.0.0.1:%d", g.port);
	CHECK_OK(sl_config_set(g.cfg, "http.listen", text, "test", &err));
	CHECK_OK(sl_server_start(g.cfg, &other, &err));
	CHECK_STATUS(sl_server_open(other, &err), SL_IO);
	CHECK(strstr(err.text, text) && strstr(err.text, "taken") && strstr(err.text, "--listen"));
	sl_server_free(other);
	static const char *const bad[] = {"nonsense", "host:", ":99999", "1.2.3.4:12x", "::1:80", "[::1:80", "[::1]80"};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		CHECK_OK(sl_config_set(g.cfg, "http.listen", bad[i], "test", &err));
		CHECK_OK(sl_server_start(g.cfg, &other, &err));
		CHECK_STATUS(sl_server_open(other, &err), SL_USAGE);
		CHECK(strstr(err.text, bad[i]));
		sl_server_free(other);
	}
	static const char *const good[] = {":0", "localhost:0", "127.0.0.1:0"};
	for (size_t i = 0; i < SL_COUNT(good); i++) {
		CHECK_OK(sl_config_set(g.cfg, "http.listen", good[i], "test", &err));
		CHECK_OK(sl_server_start(g.cfg, &other, &err));
		CHECK_OK(sl_server_open(other, &err));
		sl_server_free(other);
	}
	rig_close(&g);
}
