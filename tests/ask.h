/* SPDX-License-Identifier: Apache-2.0
 *
 * A small HTTP/1.1 client on raw sockets, for tests: it can also send what no good client
 * would. A connection belongs to one thread. A failed read or connect fails the test,
 * but for ask_read(), which says so.
 */
#pragma once
#include "base/buf.h"
#include "base/json.h"

struct ask_conn {
	int fd;
	struct sl_buf in; /* read and not yet taken */
};

struct ask_answer {
	int code;
	char *head; /* status line and headers, each line ends in "\n"; NULL before an answer */
	struct sl_buf body;
};

struct ask_conn ask_open(int port); /* to 127.0.0.1 */
bool ask_try_open(int port, struct ask_conn *ret); /* false: refused */
void ask_close(struct ask_conn *c);
void ask_send(struct ask_conn *c, const void *p, size_t n); /* a peer that closed is no failure */
void ask_puts(struct ask_conn *c, const char *text);
/* "METHOD /target" with a body if type is not NULL; more: further header lines "A: b\r\n", or NULL. */
void ask_request(struct ask_conn *c, const char *what, const char *type, struct sl_slice body, const char *more);
/* The next whole answer (1xx are skipped); no_body after HEAD. false: the peer closed first. */
bool ask_read(struct ask_conn *c, bool no_body, struct ask_answer *ret);
/* Reads until `text` has been seen in what came; false when the peer closes. Takes all up to its end. */
bool ask_wait_text(struct ask_conn *c, const char *text);
const char *ask_header(const struct ask_answer *a, const char *name, char *buf, size_t n); /* NULL: absent */
void ask_done(struct ask_answer *a);

/* One request on a connection of its own. */
int ask(int port, const char *what, const char *type, const char *body, struct ask_answer *ret); /* the code */
/* The same; checks the code and gives the body as JSON (json_decref it). */
json_t *ask_json(int port, const char *what, const char *body, int code);
