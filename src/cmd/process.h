/* SPDX-License-Identifier: Apache-2.0
 *
 * The process that serves: opens the stores, starts roles and the HTTP server, waits for
 * SIGTERM or SIGINT, drains, closes. Shared by `up` and `serve`.
 * Owner: cmd/. Thread: the main thread.
 */
#pragma once
#include "role/role.h"

struct sl_process {
	const struct sl_config *cfg;
	const char *who; /* for the lock: "signloop up" */
	const struct sl_role *const *roles;
	/* Called once the server is open; NULL is fine. */
	void (*ready)(void *arg, const char *url);
	void (*ending)(void *arg); /* before draining */
	void *arg;
};

enum sl_status sl_process_run(const struct sl_process *p, struct sl_err *err);
