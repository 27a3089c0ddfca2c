/* SPDX-License-Identifier: Apache-2.0
 *
 * A contract suite: each test body runs over every backend of its contract.
 *
 *   CONTRACT(log, order_is_kept) { struct sl_log *l = sl_test_log(b); ... }
 *
 * makes the tests log_mem.order_is_kept, log_sqlite.order_is_kept, ... `b` is the backend.
 * CONTRACT_IF(log, lasts, name) makes them for the backends that last alone. A backend whose
 * server is not there is a skip with the reason.
 * To add a backend: a row in contract.c.
 */
#pragma once
#include "base/thread.h"
#include "core/settings.h"
#include "harness.h"
#include "store/stores.h"

struct sl_backend {
	const char *name;
	bool lasts; /* what is closed can be opened again */
	bool shared; /* several processes may open it at once */
	/* The URL of a store of this test's own; NULL after SKIP. Reopened by the same URL. */
	const char *(*url)(void);
	const char *(*parted)(void); /* log: with 4 partitions a topic */
	void (*drop)(void); /* what url() has made on a server; after a test that passed. NULL: nothing */
	int divide; /* sizes of crowds by this, where the test server is slow; 0: by 1 */
	/* Leases and members see this time from now on (later than before, but for the first call). */
	void (*clock)(int64_t now_ms);
};

extern const struct sl_backend sl_backends_log[], sl_backends_crops[], sl_backends_reviews[], sl_backends_artifacts[];

typedef void (*sl_contract_fn)(const struct sl_backend *b);
void sl_contract_add(const struct sl_backend *b, const char *contract, const char *name, sl_contract_fn fn);

#define CONTRACT_IF(contract, needs, test) \
	static void contract_##test(const struct sl_backend *b); \
	__attribute__((constructor)) static void add_contract_##test(void) \
	{ \
		for (const struct sl_backend *b = sl_backends_##contract; b->name; b++) \
			if (b->needs) \
				sl_contract_add(b, #contract, #test, contract_##test); \
	} \
	static void contract_##test(const struct sl_backend *b)
#define CONTRACT(contract, test) CONTRACT_IF(contract, name, test)

/* The base URL of a real server from the environment (make servers sets them: SIGNLOOP_TEST_KAFKA,
 * SIGNLOOP_TEST_HBASE, SIGNLOOP_TEST_MONGODB, SIGNLOOP_TEST_WEBHDFS). Absent: skips the test, or
 * fails it where SIGNLOOP_TEST_SERVERS=required says that none may be skipped. */
const char *sl_test_server(const char *variable);
/* A name that no other test and no earlier run has used: [a-z0-9_]. The same all through one test. */
const char *sl_test_unique(void);

struct sl_config *sl_test_config(void); /* every default; the test may set more */
const char *sl_test_fault(const char *url, const char *options); /* "fault+URL?options" */

/* n threads of fn(i, arg) at once; returns when all have ended. */
void sl_test_threads(int n, void (*fn)(int i, void *arg), void *arg);
/* A child process that runs fn(arg) and is to be killed: fn reports what was answered by
 * sl_test_said(). Kills it with SIGKILL once it has reported `after` lines, and gives all
 * lines that it reported, in order; free(). The backend must be opened in fn. */
char *sl_test_kill(void (*fn)(void *arg), void *arg, int after);
void sl_test_said(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A child process that runs fn(arg) to its end; its failed check fails this test. */
int sl_test_process(void (*fn)(void *arg), void *arg);
void sl_test_wait(int process);
