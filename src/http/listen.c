/* SPDX-License-Identifier: Apache-2.0 */
#include "http/internal.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HOST = 256, BACKLOG = 4096 };

static enum sl_status split(const char *text, char host[HOST], char port[8], struct sl_err *err)
{
	const char *colon = strrchr(text, ':');
	const char *begin = text, *end = colon;
	if (*text == '[') {
		begin++;
		end = strchr(text, ']');
		if (end && colon != end + 1)
			end = NULL;
	} else if (colon && memchr(text, ':', (size_t)(colon - text))) {
		end = NULL; /* an IPv6 address without its brackets */
	}
	char *stop;
	long n = colon ? strtol(colon + 1, &stop, 10) : -1;
	if (!end || end - begin >= HOST || n < 0 || n > 65535 || !colon[1] || *stop)
		return sl_fail(err, SL_USAGE,
			"http.listen: '%s' is no address; write HOST:PORT, [IPV6]:PORT or :PORT, such as 127.0.0.1:8000",
			text);
	snprintf(host, HOST, "%.*s", (int)(end - begin), begin);
	snprintf(port, 8, "%ld", n);
	return SL_OK;
}

static int open_one(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, off = 0;
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (a->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)); /* ":PORT" takes IPv4 too */
	if (!bind(fd, a->ai_addr, a->ai_addrlen) && !listen(fd, BACKLOG))
		return fd;
	int e = errno;
	close(fd);
	errno = e;
	return -1;
}

static int port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	if (getsockname(fd, (struct sockaddr *)&a, &n))
		return -1;
	return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port
					     : ((struct sockaddr_in *)&a)->sin_port);
}

enum sl_status sl_http_listen(const char *text, int *ret_fd, int *ret_port, struct sl_err *err)
{
	char host[HOST], port[8];
	enum sl_status s = split(text, host, port, err);
	if (s != SL_OK)
		return s;
	struct addrinfo want = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *list;
	int e = getaddrinfo(*host ? host : "::", port, &want, &list);
	if (e)
		return sl_fail(err, SL_USAGE, "http.listen: cannot find the address '%s': %s", host, gai_strerror(e));
	int fd = -1;
	for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
		fd = open_one(a);
	int why = errno;
	freeaddrinfo(list);
	if (fd < 0 && !*host && why == EAFNOSUPPORT) { /* no IPv6 on this machine */
		SL_AUTOFREE char *v4 = sl_asprintf("0.0.0.0:%s", port);
		return sl_http_listen(v4, ret_fd, ret_port, err);
	}
	if (fd < 0 && why == EADDRINUSE)
		return sl_fail(err, SL_IO,
			"cannot listen on %s: the port is taken; stop the other server or choose another port with --listen HOST:PORT",
			text);
	if (fd < 0)
		return sl_fail_errno(
			err, SL_IO, why, "cannot listen on %s; choose another address with --listen HOST:PORT", text);
	*ret_fd = fd;
	*ret_port = port_of(fd);
	return SL_OK;
}

void sl_http_want_hops(int fd, int hops)
{
	/* Needs no right, where a socket filter does on some systems. */
	setsockopt(fd, IPPROTO_IP, IP_MINTTL, &hops, sizeof(hops));
	setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &hops, sizeof(hops)); /* fails on a socket of IPv4 */
}
