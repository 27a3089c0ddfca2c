/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client against a socket that plays a written part: what it answers, how often,
 * and what it was asked.
 */
#include "base/mem.h"
#include "base/thread.h"
#include "harness.h"
#include "net/client.h"
#include "stage.h"
#include <stdio.h>

#define OK_HI "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nETag: \"a\"\r\n\r\nhi"
#define BUSY "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"

TEST(client, reads_status_headers_body_and_keeps_the_connection)
{
	struct stage s = {
		.nparts = 2, .part = {OK_HI, "HTTP/1.1 307 No\r\nLocation: http://b/c\r\nContent-Length: 0\r\n\r\n"}};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c = sl_client_new(NULL);
	struct sl_err err = {0};
	char url[64];

	stage_open(&s);
	CHECK_OK(sl_client_call(c, &(struct sl_call){.url = stage_url(&s, url, sizeof(url), "/x?y=1")}, &r, &err));
	CHECK_EQ(r.status, 200);
	CHECK_STR(r.type, "text/plain");
	CHECK_STR(r.etag, "\"a\"");
	CHECK_STR((char *)r.body.ptr, "hi");
	CHECK_EQ(r.retry_after_ms, -1);
	CHECK(strncmp(s.got[0], "GET /x?y=1 HTTP/1.1\r\n", 21) == 0);

	struct sl_call put = {.method = "PUT",
		.url = url,
		.body = sl_slice_str("{}"),
		.type = "application/json",
		.headers = {"X-One: 1"}};
	CHECK_OK(sl_client_call(c, &put, &r, &err));
	CHECK_EQ(r.status, 307);
	CHECK_STR(r.location, "http://b/c");
	CHECK_EQ(r.body.len, 0);
	CHECK(strstr(s.got[1], "PUT /x?y=1") && strstr(s.got[1], "X-One: 1\r\n") &&
		strstr(s.got[1], "application/json"));
	CHECK(strstr(s.got[1], "\r\n\r\n{}") && !strstr(s.got[1], "Expect"));
	CHECK_EQ(s.connections, 1);
	sl_client_free(c);
	stage_close(&s);
}

TEST(client, a_body_over_its_cap_is_too_large)
{
	struct stage s = {.nparts = 1, .part = {OK_HI}};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c = sl_client_new(NULL);
	struct sl_err err = {0};
	char url[64];

	stage_open(&s);
	struct sl_call call = {.url = stage_url(&s, url, sizeof(url), "/"), .body_max = 1};
	CHECK_STATUS(sl_client_call(c, &call, &r, &err), SL_TOO_LARGE);
	CHECK(strstr(err.text, "larger than 1 bytes"));
	sl_client_free(c);
	stage_close(&s);
}

TEST(client, a_server_that_says_nothing_is_a_timeout)
{
	struct stage s = {.nparts = 1, .part = {""}};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c = sl_client_new(NULL);
	struct sl_err err = {0};
	char url[64];

	stage_open(&s);
	struct sl_call call = {.url = stage_url(&s, url, sizeof(url), "/"), .deadline_us = sl_deadline_ms(80)};
	CHECK_STATUS(sl_client_call(c, &call, &r, &err), SL_TIMEOUT);
	CHECK(strstr(err.text, url));
	CHECK_STATUS(sl_client_call(c, &call, &r, &err), SL_TIMEOUT); /* known before it starts */
	CHECK_EQ(s.asked, 1);
	sl_client_free(c);
	stage_close(&s);
}

TEST(client, nobody_there_is_away_and_secrets_stay_out_of_the_text)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c = sl_client_new(NULL);
	struct sl_err err = {0};

	CHECK_STATUS(sl_client_call(c, &(struct sl_call){.url = "http://me:secret@127.0.0.1:1/a"}, &r, &err), SL_AWAY);
	CHECK(strstr(err.text, "http://127.0.0.1:1/a") && !strstr(err.text, "secret"));
	CHECK_STATUS(sl_client_call(c, &(struct sl_call){.url = "file:///etc/passwd"}, &r, &err), SL_INVALID);
	struct sl_call bad = {.url = "http://127.0.0.1:1/", .headers = {"A: b\r\nC: d"}};
	CHECK_STATUS(sl_client_call(c, &bad, &r, &err), SL_INVALID);
	sl_client_free(c);
}

TEST(client, user_and_password_go_along_and_stay_out_of_the_text)
{
	struct stage s = {.nparts = 1, .part = {OK_HI}};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c =
		sl_client_new(&(struct sl_client_how){.user = "me", .password = "secret", .connect_ms = 500});
	struct sl_err err = {0};
	char url[64];

	stage_open(&s);
	CHECK_OK(sl_client_call(c, &(struct sl_call){.url = stage_url(&s, url, sizeof(url), "/")}, &r, &err));
	CHECK(strstr(s.got[0], "Authorization: Basic bWU6c2VjcmV0\r\n"));
	CHECK_STATUS(sl_client_call(c, &(struct sl_call){.url = "http://127.0.0.1:1/"}, &r, &err), SL_AWAY);
	CHECK(!strstr(err.text, "secret"));
	sl_client_free(c);
	stage_close(&s);
}

TEST(client, cancel_ends_a_call)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c = sl_client_new(NULL);
	struct sl_err err = {0};
	atomic_bool cancel = true;

	CHECK_STATUS(sl_client_call(c, &(struct sl_call){.url = "http://127.0.0.1:1/", .cancel = &cancel}, &r, &err),
		SL_CANCELLED);
	sl_client_free(c);
}

TEST(client, what_must_not_be_heard_twice_is_asked_over_a_new_connection)
{
	struct stage s = {.nparts = 6, .part = {OK_HI, NULL, OK_HI, OK_HI, NULL, OK_HI}};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c = sl_client_new(NULL);
	struct sl_err err = {0};
	char url[64];

	stage_open(&s);
	struct sl_call call = {.url = stage_url(&s, url, sizeof(url), "/")};
	CHECK_OK(sl_client_call(c, &call, &r, &err));
	CHECK_OK(sl_client_call(c, &call, &r, &err)); /* the kept connection dies of it: it is said again */
	CHECK_EQ(s.asked, 3);
	CHECK_OK(sl_client_call(c, &call, &r, &err));
	call.never_twice = true;
	CHECK_STATUS(sl_client_call(c, &call, &r, &err), SL_AWAY);
	CHECK_EQ(s.asked, 5);
	CHECK_OK(sl_client_call(c, &call, &r, &err));
	sl_client_free(c);
	stage_close(&s);
}

TEST(client, headers_are_those_of_the_last_answer)
{
	struct stage s = {.nparts = 1,
		.part = {"HTTP/1.1 103 Early\r\nETag: \"b\"\r\nLocation: http://b/\r\nRetry-After: 7\r\n\r\n"
			 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c = sl_client_new(NULL);
	struct sl_err err = {0};
	char url[64];

	stage_open(&s);
	CHECK_OK(sl_client_call(c, &(struct sl_call){.url = stage_url(&s, url, sizeof(url), "/")}, &r, &err));
	CHECK_EQ(r.status, 200);
	CHECK(!*r.etag && !*r.location && r.retry_after_ms == -1);
	sl_client_free(c);
	stage_close(&s);
}

TEST(client, a_connection_that_does_not_come_about_is_away_before_the_deadline)
{
	struct stage s = {.nparts = 1, .part = {""}}; /* speaks no TLS */
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c = sl_client_new(&(struct sl_client_how){.connect_ms = 50});
	struct sl_err err = {0};
	char url[64];

	stage_open(&s);
	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", s.port);
	struct sl_call call = {.url = url, .deadline_us = sl_deadline_ms(20000)};
	CHECK_STATUS(sl_client_call(c, &call, &r, &err), SL_AWAY);
	CHECK_EQ(s.asked, 0);
	sl_client_free(c);
	stage_close(&s);
}

static void *stop(void *arg)
{
	struct stage *s = ((void **)arg)[0];
	while (!s->asked)
		sched_yield();
	atomic_store((atomic_bool *)((void **)arg)[1], true);
	return NULL;
}

TEST(client, cancel_ends_the_wait_for_another_try)
{
	struct stage s = {.nparts = 1, .part = {"HTTP/1.1 503 Busy\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n"}};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c = sl_client_new(NULL);
	struct sl_err err = {0};
	atomic_bool cancel = false;
	void *both[] = {&s, &cancel};
	char url[64];

	stage_open(&s);
	struct sl_call call = {.url = stage_url(&s, url, sizeof(url), "/"), .cancel = &cancel};
	pthread_t thread = sl_thread_start("stop", stop, both);
	CHECK_STATUS(sl_client_retry(c, &call, SL_RETRY_DEFAULT, &r, &err), SL_CANCELLED);
	pthread_join(thread, NULL);
	sl_client_free(c);
	stage_close(&s);
}

TEST(client, retry_goes_on_after_503_and_a_broken_connection)
{
	struct stage s = {.nparts = 3, .part = {BUSY, NULL, OK_HI}};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c = sl_client_new(NULL);
	struct sl_err err = {0};
	struct sl_retry how = {.tries = 5, .first_ms = 1, .most_ms = 2};
	char url[64];

	stage_open(&s);
	struct sl_call call = {.url = stage_url(&s, url, sizeof(url), "/")};
	CHECK_OK(sl_client_retry(c, &call, how, &r, &err));
	CHECK_EQ(r.status, 200);
	CHECK_EQ(s.asked, 3);
	sl_client_free(c);
	stage_close(&s);
}

TEST(client, retry_gives_up_with_the_last_answer_or_failure)
{
	struct stage s = {.nparts = 3, .part = {BUSY, BUSY, OK_HI}};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c = sl_client_new(NULL);
	struct sl_err err = {0};
	struct sl_retry how = {.tries = 2, .first_ms = 1, .most_ms = 2};
	char url[64];

	stage_open(&s);
	struct sl_call call = {.url = stage_url(&s, url, sizeof(url), "/")};
	CHECK_OK(sl_client_retry(c, &call, how, &r, &err));
	CHECK_EQ(r.status, 503);
	CHECK_EQ(r.retry_after_ms, 0);
	CHECK_EQ(s.asked, 2);
	CHECK_STATUS(sl_client_retry(c, &(struct sl_call){.url = "http://127.0.0.1:1/"}, how, &r, &err), SL_AWAY);
	sl_client_free(c);
	stage_close(&s);
}

TEST(client, waits_grow_to_their_bound_and_obey_retry_after)
{
	struct sl_retry how = {.tries = 9, .first_ms = 10, .most_ms = 100};
	struct sl_rng rng = sl_rng(1, 1);

	for (int n = 1; n < 9; n++) {
		int64_t bound = SL_MIN(10 << (n - 1), 100), w = sl_retry_wait(how, n, -1, &rng);

		CHECK(w >= bound / 2 && w <= bound);
	}
	int64_t w = sl_retry_wait(how, 1, 2000, &rng);
	CHECK(w >= 2000 && w <= 2250);
}

TEST(client, url_escape_keeps_only_what_is_safe)
{
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};

	CHECK_EQ(sl_url_escape("a b/ü&-._~", &b), SL_OK);
	CHECK_STR((char *)b.ptr, "a%20b%2F%C3%BC%26-._~");
}
