/* SPDX-License-Identifier: Apache-2.0 */
#include "stage.h"
#include "base/mem.h"
#include "base/thread.h"
#include "harness.h"
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 16 };
#define ABSENT "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

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

static const char *say(struct stage *s, const char *request)
{
	int n = s->asked++;

	if (n < STAGE_PARTS)
		snprintf(s->got[n], STAGE_REQUEST, "%s", request);
	for (struct stage_line *l = s->line; l && l->of; l++)
		if (strstr(request, l->of) && (!l->times || l->said < l->times)) {
			l->said++;
			return l->say;
		}
	if (s->line)
		return ABSENT;
	return n < s->nparts ? s->part[n] : NULL;
}

/* False: this connection ends. */
static bool serve(struct stage *s, int fd)
{
	char request[STAGE_REQUEST];

	if (!read_request(fd, request, sizeof(request)))
		return false;
	const char *text = say(s, request);
	return text && send(fd, text, strlen(text), MSG_NOSIGNAL) >= 0;
}

static void *play(void *arg)
{
	struct stage *s = arg;
	struct pollfd p[1 + CONNECTIONS] = {{.fd = s->fd, .events = POLLIN}};
	int n = 1;

	while (poll(p, (nfds_t)n, -1) > 0) {
		for (int i = n - 1; i > 0; i--)
			if (p[i].revents && !serve(s, p[i].fd)) {
				close(p[i].fd);
				p[i] = p[--n];
			}
		if (!p[0].revents)
			continue;
		int fd = accept(s->fd, NULL, NULL);
		if (fd < 0)
			break;
		SL_ASSERT(n < 1 + CONNECTIONS);
		s->connections++;
		p[n++] = (struct pollfd){.fd = fd, .events = POLLIN};
	}
	while (n > 1)
		close(p[--n].fd);
	return NULL;
}

void stage_open(struct stage *s)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);

	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(bind(s->fd, (struct sockaddr *)&a, n) == 0 && listen(s->fd, 8) == 0);
	CHECK(getsockname(s->fd, (struct sockaddr *)&a, &n) == 0);
	s->port = ntohs(a.sin_port);
	s->thread = sl_thread_start("stage", play, s);
}

void stage_close(struct stage *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

const char *stage_url(const struct stage *s, char *buf, size_t n, const char *path)
{
	snprintf(buf, n, "http://127.0.0.1:%d%s", s->port, path);
	return buf;
}

const char *stage_answer(char *buf, size_t n, const char *type, const char *text)
{
	snprintf(buf, n, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", type, strlen(text),
		text);
	return buf;
}
