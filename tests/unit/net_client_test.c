/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client against a socket that plays a written part: what it answers, how often,
 * and what it was asked.
 */
#include "base/mem.h"
#include "base/thread.h"
#include "harness.h"
#include "net/client.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PARTS = 8 };

struct stage {
	int fd, port;
	const char *part[PARTS]; /* answers in order; NULL: closes without one; "" never answers */
	int nparts;
	_Atomic int asked, connections;
	char got[PARTS][4096];
	pthread_t thread;
};

/* One request whole: head, then Content-Length bytes. False at the end of the connection. */
static bool read_request(int fd, char *buf, size_t size)
{
	size_t n = 0;

	for (;;) {
		ssize_t got = recv(fd, buf + n, size - 1 - n, 0);

		if (got <= 0)
			return false;
		n += (size_t)got;
		buf[n] = 0;
		char *head = strstr(buf, "\r\n\r\n"), *len = strstr(buf, "Content-Length: ");
		size_t body = len ? strtoul(len + 16, NULL, 10) : 0;

		if (head && n >= (size_t)(head + 4 - buf) + body)
			return true;
	}
}

static void *play(void *arg)
{
	struct stage *s = arg;
	int fd;

	while (s->asked < s->nparts && (fd = accept(s->fd, NULL, NULL)) >= 0) {
		s->connections++;
		while (s->asked < s->nparts && read_request(fd, s->got[s->asked], sizeof(s->got[0]))) {
			const char *part = s->part[s->asked++];

			if (part && *part) {
				if (send(fd, part, strlen(part), MSG_NOSIGNAL) < 0)
					break;
			} else if (part) {
				char byte;

				if (recv(fd, &byte, 1, 0) <= 0) /* until the client gives up */
					break;
			} else {
				break;
			}
		}
		close(fd);
	}
	return NULL;
}

static void stage_open(struct stage *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);

	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(bind(s->fd, (struct sockaddr *)&a, n) == 0 && listen(s->fd, 8) == 0);
	CHECK(getsockname(s->fd, (struct sockaddr *)&a, &n) == 0);
	s->port = ntohs(a.sin_port);
	s->thread = sl_thread_start("stage", play, s);
}

static void stage_close(struct stage *s)
{
	shutdown(s->fd, SHUT_RDWR);
	close(s->fd);
	pthread_join(s->thread, NULL);
}

static const char *url_of(const struct stage *s, char *buf, size_t n, const char *path)
{
	snprintf(buf, n, "http://127.0.0.1:%d%s", s->port, path);
	return buf;
}

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
	CHECK_OK(sl_client_call(c, &(struct sl_call){.url = url_of(&s, url, sizeof(url), "/x?y=1")}, &r, &err));
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
	struct sl_call call = {.url = url_of(&s, url, sizeof(url), "/"), .body_max = 1};
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
	struct sl_call call = {.url = url_of(&s, url, sizeof(url), "/"), .deadline_us = sl_deadline_ms(80)};
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
	CHECK_OK(sl_client_call(c, &(struct sl_call){.url = url_of(&s, url, sizeof(url), "/")}, &r, &err));
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

TEST(client, retry_goes_on_after_503_and_a_broken_connection)
{
	struct stage s = {.nparts = 3, .part = {BUSY, NULL, OK_HI}};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_client *c = sl_client_new(NULL);
	struct sl_err err = {0};
	struct sl_retry how = {.tries = 5, .first_ms = 1, .most_ms = 2};
	char url[64];

	stage_open(&s);
	struct sl_call call = {.url = url_of(&s, url, sizeof(url), "/")};
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
	struct sl_call call = {.url = url_of(&s, url, sizeof(url), "/")};
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
