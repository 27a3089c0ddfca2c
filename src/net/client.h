/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP client: one blocking call at a time with a deadline, connections kept, and a retry
 * with back-off and jitter. libcurl inside; only net/ knows it. http and https; proxies of
 * the environment are not used (the servers we talk to are our own); redirects are not
 * followed (reply.location says where to).
 *
 * Owner: the caller. Thread: a client is one thread's at a time (`store` or a command's own;
 * never `http`). Deadlines as base/clock.h; sizes in bytes; waits in ms.
 *
 * OK: the server answered, whatever its status code. INVALID: the URL or a header is no such
 * thing. AWAY: no connection, or it broke. Also when connect_ms passed. TIMEOUT: the deadline passed. TOO_LARGE: the body
 * is over body_max. CANCELLED: *cancel became true. USAGE: a file of `how` cannot be used. REFUSED:
 * the server is not who `ca` says. After AWAY, TIMEOUT and CANCELLED it is
 * unknown whether the server did what was asked. Every text names method and URL (without
 * user, password and query, which may hold a token).
 */
#pragma once
#include "base/buf.h"
#include "base/clock.h"
#include "base/rng.h"
#include <stdatomic.h>

enum { SL_CLIENT_BODY = 64 << 20, SL_CLIENT_HEADERS = 16 };

struct sl_call {
	const char *method; /* NULL: GET, or POST when there is a body */
	const char *url;
	const char *headers[SL_CLIENT_HEADERS]; /* "Name: value"; NULL ends */
	struct sl_slice body;
	const char *type; /* of the body; NULL: none said */
	int64_t deadline_us; /* 0 counts as SL_FOREVER */
	size_t body_max; /* 0: SL_CLIENT_BODY */
	const atomic_bool *cancel; /* NULL: cannot be cancelled */
	/* Over a connection of its own. Otherwise what a kept one was too dead to carry is sent again over
	 * another, and a server that had heard it hears it twice. */
	bool never_twice;
};

struct sl_reply {
	int status; /* HTTP */
	char type[96]; /* Content-Type; "" when none */
	char etag[96];
	char location[1024]; /* "" when none (or longer) */
	int64_t retry_after_ms; /* -1 when not said */
	struct sl_buf body;
};
void sl_reply_done(struct sl_reply *r);
void sl_reply_reset(struct sl_reply *r); /* as before a call; keeps the body's memory */

/* Who we are to the server and how we know it. Strings are copied; NULL: libcurl's default. */
struct sl_client_how {
	const char *user, *password; /* HTTP Basic */
	bool negotiate; /* SPNEGO with this process's Kerberos ticket */
	const char *ca, *cert, *key; /* PEM files: who signs the server; who we are */
	int64_t connect_ms; /* 0: as long as the call's deadline */
};

struct sl_client;
struct sl_client *sl_client_new(const struct sl_client_how *how); /* NULL: as all defaults */
void sl_client_free(struct sl_client *c); /* NULL is fine */

/* *ret may be used again: what it held is let go first (the body's memory is reused). */
enum sl_status sl_client_call(
	struct sl_client *c, const struct sl_call *call, struct sl_reply *ret, struct sl_err *err);

/* Only for calls that may be done twice. Calls again after AWAY and after 429, 502, 503 and
 * 504, at most `tries` times in all and never past the call's deadline. Waits what the server
 * asked for (Retry-After), else a random time up to first_ms * 2^n, at most most_ms.
 * OK with the last reply, whatever its status; else the last failure. */
struct sl_retry {
	int tries;
	int64_t first_ms, most_ms;
};
#define SL_RETRY_DEFAULT ((struct sl_retry){.tries = 6, .first_ms = 50, .most_ms = 3000})
enum sl_status sl_client_retry(
	struct sl_client *c, const struct sl_call *call, struct sl_retry how, struct sl_reply *ret, struct sl_err *err);
/* The wait before try number `n` (1: the first repetition), ms. Pure but for rng. */
int64_t sl_retry_wait(struct sl_retry how, int n, int64_t retry_after_ms, struct sl_rng *rng);

/* Sleeps; false when *cancel became true meanwhile (NULL: cannot). */
bool sl_client_wait(int64_t ms, const atomic_bool *cancel);

/* Appends s with everything but letters, digits and "-._~" as %XX. */
enum sl_status sl_url_escape(const char *s, struct sl_buf *ret);
