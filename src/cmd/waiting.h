/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting while a server is away: what fails with a status that may pass (AWAY, TIMEOUT, BUSY)
 * is tried again with back-off and jitter until store.wait_ms is over; anything else, such as
 * wrong credentials, ends at once. Meanwhile the process answers /v2/health/live, and 503 with
 * what it waits for on /v2/health/ready. SIGTERM and SIGINT end the wait between two tries.
 * Owner: cmd/process.c. Thread: the main thread, which has the signals blocked.
 */
#pragma once
#include "role/role.h"
#include <signal.h>

struct sl_waiting;

struct sl_waiting *sl_waiting_new(const struct sl_config *cfg, const sigset_t *ends);
/* Until fn gives OK. CANCELLED: a signal ended it. Says on the log when it begins and ends to wait. */
enum sl_status sl_waiting_try(struct sl_waiting *w, const char *what,
	enum sl_status (*fn)(void *arg, struct sl_err *err), void *arg, struct sl_err *err);
void sl_waiting_free(struct sl_waiting *w); /* lets go of the port */
