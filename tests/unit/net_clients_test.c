/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool of HTTP clients against a socket that answers when it is told to, and the client's
 * TLS options against `openssl s_server`.
 */
#include "base/mem.h"
#include "base/thread.h"
#include "harness.h"
#include "net/clients.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CALLERS = 6, SIZE = 2 };

/* Answers each request of each connection once it is let go, and counts both. */
struct door {
	int fd, port;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
	int waiting, most, connections, answered;
	pthread_t thread[CALLERS + 1];
};

static struct door door;

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char buf[2048];
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

	for (size_t n = 0; recv(fd, buf + n, 1, 0) == 1;) {
		buf[++n] = 0;
		SL_ASSERT(n < sizeof(buf) - 1);
		if (!strstr(buf, "\r\n\r\n"))
			continue;
		n = 0;
		pthread_mutex_lock(&door.lock);
		door.waiting++;
		door.most = SL_MAX(door.most, door.waiting);
		pthread_cond_broadcast(&door.changed);
		while (!door.open)
			sl_cond_wait_until(&door.changed, &door.lock, SL_FOREVER);
		door.waiting--;
		door.answered++;
		pthread_mutex_unlock(&door.lock);
		if (send(fd, ok, sizeof(ok) - 1, MSG_NOSIGNAL) < 0)
			break;
	}
	close(fd);
	return NULL;
}

static void *accept_all(void *arg)
{
	for (int fd; (fd = accept(door.fd, NULL, NULL)) >= 0;) {
		pthread_mutex_lock(&door.lock);
		SL_ASSERT(door.connections < CALLERS);
		door.thread[door.connections++] = sl_thread_start("door", serve, (void *)(intptr_t)fd);
		pthread_mutex_unlock(&door.lock);
	}
	return NULL;
}

static void door_start(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);

	pthread_mutex_init(&door.lock, NULL);
	sl_cond_init(&door.changed);
	door.fd = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(bind(door.fd, (struct sockaddr *)&a, n) == 0 && listen(door.fd, 16) == 0);
	CHECK(getsockname(door.fd, (struct sockaddr *)&a, &n) == 0);
	door.port = ntohs(a.sin_port);
	door.thread[CALLERS] = sl_thread_start("door", accept_all, NULL);
}

static void door_let(bool open)
{
	pthread_mutex_lock(&door.lock);
	door.open = open;
	pthread_cond_broadcast(&door.changed);
	pthread_mutex_unlock(&door.lock);
}

/* Returns when n requests wait at the door. */
static void door_wait(int n)
{
	int64_t deadline = sl_deadline_ms(20000);

	pthread_mutex_lock(&door.lock);
	while (door.waiting < n)
		CHECK(sl_cond_wait_until(&door.changed, &door.lock, deadline));
	pthread_mutex_unlock(&door.lock);
}

/* After the clients are freed, which ends their connections. */
static void door_stop(void)
{
	shutdown(door.fd, SHUT_RDWR);
	pthread_join(door.thread[CALLERS], NULL);
	close(door.fd);
	for (int i = 0; i < door.connections; i++)
		pthread_join(door.thread[i], NULL);
}

struct caller {
	pthread_t thread;
	struct sl_clients *p;
	enum sl_status status;
	int http;
};

static enum sl_status call(struct sl_clients *p, int64_t deadline_us, int *ret_http, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	char url[64];

	snprintf(url, sizeof(url), "http://127.0.0.1:%d/", door.port);
	enum sl_status s =
		sl_clients_call(p, &(struct sl_call){.url = url, .deadline_us = deadline_us}, SL_RETRY_NONE, &r, err);
	*ret_http = r.status;
	return s;
}

static void *call_thread(void *arg)
{
	struct caller *c = arg;

	c->status = call(c->p, 0, &c->http, NULL);
	return NULL;
}

static void callers_start(struct caller *c, int n, struct sl_clients *p)
{
	for (int i = 0; i < n; i++) {
		c[i].p = p;
		c[i].thread = sl_thread_start("caller", call_thread, &c[i]);
	}
}

static void callers_end(struct caller *c, int n)
{
	for (int i = 0; i < n; i++) {
		pthread_join(c[i].thread, NULL);
		CHECK_STATUS(c[i].status, SL_OK);
		CHECK_EQ(c[i].http, 200);
	}
}

TEST(clients, callers_wait_for_a_free_one_and_connections_are_kept)
{
	struct sl_clients *p = sl_clients_new(NULL, SIZE);
	struct caller c[CALLERS] = {0};

	door_start();
	callers_start(c, CALLERS, p);
	door_wait(SIZE);
	door_let(true);
	callers_end(c, CALLERS);
	CHECK_EQ(door.answered, CALLERS);
	CHECK_EQ(door.most, SIZE);
	CHECK(door.connections <= SIZE);
	callers_start(c, CALLERS, p); /* again over the same connections */
	callers_end(c, CALLERS);
	CHECK(door.connections <= SIZE);
	sl_clients_free(p);
	door_stop();
}

TEST(clients, none_free_until_the_deadline_is_busy_and_nothing_was_sent)
{
	struct sl_clients *p = sl_clients_new(NULL, SIZE);
	struct caller c[SIZE] = {0};
	struct sl_err err = {0};
	SL_AUTO(sl_reply_done) struct sl_reply old = {.status = 200};
	int http;

	door_start();
	callers_start(c, SIZE, p);
	door_wait(SIZE);
	CHECK_STATUS(call(p, sl_deadline_ms(50), &http, &err), SL_BUSY);
	CHECK(strstr(err.text, "all 2 connections were busy"));
	CHECK_EQ(http, 0);
	CHECK_EQ(sl_buf_puts(&old.body, "of an earlier call"), SL_OK);
	CHECK_STATUS(sl_clients_call(p, &(struct sl_call){.url = "http://a/", .deadline_us = sl_deadline_ms(50)},
			     SL_RETRY_NONE, &old, &err),
		SL_BUSY);
	CHECK(old.status == 0 && old.body.len == 0 && old.retry_after_ms == -1);
	door_let(true);
	callers_end(c, SIZE);
	CHECK_EQ(door.answered, SIZE);
	CHECK_OK(call(p, sl_deadline_ms(20000), &http, &err)); /* and it is of use again */
	sl_clients_free(p);
	door_stop();
}

TEST(clients, a_call_that_times_out_gives_its_client_back)
{
	struct sl_clients *p = sl_clients_new(NULL, 1);
	struct sl_err err = {0};
	int http;

	door_start();
	CHECK_STATUS(call(p, sl_deadline_ms(50), &http, &err), SL_TIMEOUT);
	door_let(true);
	CHECK_OK(call(p, sl_deadline_ms(20000), &http, &err));
	CHECK_EQ(http, 200);
	sl_clients_free(p);
	door_stop();
}

/* ---- TLS ---- */

static void shell(const char *fmt, const char *a, const char *b)
{
	char line[1200];

	snprintf(line, sizeof(line), fmt, a, b);
	if (system(line) != 0)
		sl_test_fail(__FILE__, __LINE__, "%s", line);
}

struct tls {
	pid_t pid;
	int port;
	FILE *said;
};

/* A server that asks for a certificate that ours has signed, which is its own. */
static struct tls tls_start(const char *cert, const char *key)
{
	struct tls t = {0};
	char line[256];
	int out[2];

	CHECK(pipe(out) == 0);
	t.pid = fork();
	if (!t.pid) {
		dup2(out[1], STDOUT_FILENO);
		execlp("openssl", "openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", cert, "-key", key,
			"-CAfile", cert, "-Verify", "1", "-verify_return_error", "-www", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	t.said = fdopen(out[0], "r");
	while (!t.port && fgets(line, sizeof(line), t.said))
		if (!strncmp(line, "ACCEPT ", 7))
			t.port = atoi(strrchr(line, ':') + 1);
	CHECK(t.port > 0);
	return t;
}

static void tls_stop(struct tls *t)
{
	kill(t->pid, SIGTERM);
	waitpid(t->pid, NULL, 0);
	fclose(t->said);
}

static enum sl_status tls_call(const struct tls *t, struct sl_client_how how, int *ret_http, struct sl_err *err)
{
	struct sl_client *c = sl_client_new(&how);
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	char url[64];

	snprintf(url, sizeof(url), "https://127.0.0.1:%d/", t->port);
	enum sl_status s =
		sl_client_call(c, &(struct sl_call){.url = url, .deadline_us = sl_deadline_ms(20000)}, &r, err);
	*ret_http = r.status;
	sl_client_free(c);
	return s;
}

TEST(clients, tls_knows_the_server_and_says_who_we_are)
{
	struct sl_err err = {0};
	char cert[512], key[512], other[512];
	int http;

	if (system("openssl version >/dev/null 2>&1") != 0)
		SKIP("openssl is not installed: no server to speak TLS with");
	snprintf(cert, sizeof(cert), "%s/cert.pem", sl_test_dir());
	snprintf(key, sizeof(key), "%s/key.pem", sl_test_dir());
	snprintf(other, sizeof(other), "%s/other.pem", sl_test_dir());
	static const char make[] =
		"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
		"-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -out %s -keyout %s 2>/dev/null";
	shell(make, other, key);
	shell(make, cert, key);

	struct tls t = tls_start(cert, key);
	CHECK_STATUS(tls_call(&t, (struct sl_client_how){0}, &http, &err), SL_REFUSED); /* nobody's that we know */
	CHECK_STATUS(tls_call(&t, (struct sl_client_how){.ca = other}, &http, &err), SL_REFUSED);
	CHECK_STATUS(tls_call(&t, (struct sl_client_how){.ca = "/no/such.pem"}, &http, &err), SL_USAGE);
	CHECK(strstr(err.text, "https://127.0.0.1"));
	CHECK_STATUS(tls_call(&t, (struct sl_client_how){.ca = cert, .cert = key, .key = key}, &http, &err), SL_USAGE);
	CHECK_STATUS(tls_call(&t, (struct sl_client_how){.ca = cert}, &http, &err), SL_AWAY); /* who are we? */
	CHECK_OK(tls_call(&t, (struct sl_client_how){.ca = cert, .cert = cert, .key = key}, &http, &err));
	CHECK_EQ(http, 200);
	tls_stop(&t);
}
