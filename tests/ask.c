/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"
#include "base/mem.h"
#include "harness.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAIL(...) sl_test_fail(__FILE__, __LINE__, __VA_ARGS__)

bool ask_try_open(int port, struct ask_conn *ret)
{
	struct ask_conn c = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int on = 1;
	if (c.fd < 0)
		FAIL("no socket is left");
	if (connect(c.fd, (struct sockaddr *)&a, sizeof(a))) {
		close(c.fd);
		return false;
	}
	setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	*ret = c;
	return true;
}

struct ask_conn ask_open(int port)
{
	struct ask_conn c;
	if (!ask_try_open(port, &c))
		FAIL("cannot connect to port %d", port);
	return c;
}

void ask_close(struct ask_conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	sl_buf_done(&c->in);
}

void ask_send(struct ask_conn *c, const void *p, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t done = send(c->fd, (const char *)p + at, n - at, MSG_NOSIGNAL);
		if (done <= 0)
			return;
		at += (size_t)done;
	}
}

void ask_puts(struct ask_conn *c, const char *text)
{
	ask_send(c, text, strlen(text));
}

void ask_request(struct ask_conn *c, const char *what, const char *type, struct sl_slice body, const char *more)
{
	struct sl_buf b = {0};
	sl_buf_printf(&b, "%s HTTP/1.1\r\nHost: test\r\n%s", what, more ? more : "");
	if (type)
		sl_buf_printf(&b, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, body.len);
	sl_buf_puts(&b, "\r\n");
	if (type)
		sl_buf_add(&b, body.ptr, body.len);
	ask_send(c, b.ptr, b.len);
	sl_buf_done(&b);
}

static bool more(struct ask_conn *c)
{
	sl_buf_reserve(&c->in, 65536);
	ssize_t n = recv(c->fd, c->in.ptr + c->in.len, 65536, 0);
	if (n <= 0)
		return false;
	c->in.len += (size_t)n;
	c->in.ptr[c->in.len] = 0;
	return true;
}

static void drop(struct ask_conn *c, size_t n)
{
	c->in.len -= n;
	memmove(c->in.ptr, c->in.ptr + n, c->in.len + 1);
}

static bool take(struct ask_conn *c, size_t n, struct sl_buf *to)
{
	while (c->in.len < n)
		if (!more(c))
			return false;
	sl_buf_add(to, c->in.ptr, n);
	drop(c, n);
	return true;
}

/* A line without its end; false when the peer closed before it. */
static bool take_line(struct ask_conn *c, struct sl_buf *to)
{
	char *end;
	while (!c->in.len || !(end = memchr(c->in.ptr, '\n', c->in.len)))
		if (!more(c))
			return false;
	size_t n = (size_t)((uint8_t *)end - c->in.ptr);
	sl_buf_add(to, c->in.ptr, n - (n && c->in.ptr[n - 1] == '\r'));
	drop(c, n + 1);
	return true;
}

static bool take_head(struct ask_conn *c, struct ask_answer *a)
{
	struct sl_buf head = {0};
	for (size_t before = SIZE_MAX; head.len != before;) {
		before = head.len;
		if (!take_line(c, &head)) {
			sl_buf_done(&head);
			return false;
		}
		if (head.len != before)
			sl_buf_puts(&head, "\n"), before = 0;
	}
	a->head = (char *)sl_buf_take(&head, NULL);
	if (sscanf(a->head, "HTTP/1.%*d %d", &a->code) != 1)
		FAIL("this is no HTTP answer: %.60s", a->head);
	return true;
}

static bool take_chunks(struct ask_conn *c, struct sl_buf *body)
{
	for (size_t n = 1; n;) {
		struct sl_buf line = {0}, rest = {0};
		bool ok = take_line(c, &line);
		n = ok ? strtoul((char *)line.ptr, NULL, 16) : 0;
		ok = ok && take(c, n, body) && take_line(c, &rest);
		sl_buf_done(&line);
		sl_buf_done(&rest);
		if (!ok)
			return false;
	}
	return true;
}

bool ask_read(struct ask_conn *c, bool no_body, struct ask_answer *ret)
{
	char text[32];
	do {
		ask_done(ret);
		if (!take_head(c, ret))
			return false;
	} while (ret->code < 200);
	sl_buf_reserve(&ret->body, 0);
	if (no_body || ret->code == 204 || ret->code == 304)
		return true;
	if (ask_header(ret, "Transfer-Encoding", text, sizeof(text)))
		return take_chunks(c, &ret->body);
	if (ask_header(ret, "Content-Length", text, sizeof(text)))
		return take(c, strtoul(text, NULL, 10), &ret->body);
	while (more(c))
		;
	return take(c, c->in.len, &ret->body);
}

bool ask_wait_text(struct ask_conn *c, const char *text)
{
	size_t n = strlen(text);
	uint8_t *at;
	while (!c->in.len || !(at = memmem(c->in.ptr, c->in.len, text, n)))
		if (!more(c))
			return false;
	drop(c, (size_t)(at - c->in.ptr) + n);
	return true;
}

const char *ask_header(const struct ask_answer *a, const char *name, char *buf, size_t n)
{
	size_t len = strlen(name);
	for (const char *s = strchr(a->head, '\n'); s && *++s; s = strchr(s, '\n'))
		if (!strncasecmp(s, name, len) && s[len] == ':') {
			s += len + 1;
			s += strspn(s, " ");
			snprintf(buf, n, "%.*s", (int)strcspn(s, "\n"), s);
			return buf;
		}
	return NULL;
}

void ask_done(struct ask_answer *a)
{
	free(a->head);
	sl_buf_done(&a->body);
	*a = (struct ask_answer){0};
}

int ask(int port, const char *what, const char *type, const char *body, struct ask_answer *ret)
{
	struct ask_conn c = ask_open(port);
	struct ask_answer mine = {0}, *a = ret ? ret : &mine;
	ask_request(&c, what, type, body ? sl_slice_str(body) : sl_slice("", 0), "Connection: close\r\n");
	if (!ask_read(&c, !strncmp(what, "HEAD ", 5), a))
		FAIL("%s: the server closed without an answer", what);
	ask_close(&c);
	int code = a->code;
	ask_done(&mine);
	return code;
}

json_t *ask_json(int port, const char *what, const char *body, int code)
{
	struct ask_answer a = {0};
	struct sl_err err;
	json_t *v = NULL;
	ask(port, what, body ? "application/json" : NULL, body, &a);
	if (a.code != code)
		FAIL("%s gives %d, not %d: %.300s", what, a.code, code, (char *)a.body.ptr);
	if (sl_json_parse(sl_buf_slice(&a.body), what, &v, &err) != SL_OK)
		FAIL("%s", err.text);
	ask_done(&a);
	return v;
}
