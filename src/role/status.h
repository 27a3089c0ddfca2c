/* SPDX-License-Identifier: Apache-2.0
 *
 * The state of a process at a glance: GET /v1/status, GET /v2/health/live and /ready, and
 * the hub's event "status" once a second. Rates are over the last STATUS_WINDOW seconds.
 * It names the bottleneck: the stage or pool that is nearest to its capacity, and why.
 * Owner: cmd/. Thread: start and stop from the main thread.
 */
#pragma once
#include "role/role.h"

struct sl_status_page;
/* is_ready says what is missing when it gives false. */
struct sl_status_page *sl_status_page_start(
	struct sl_context *ctx, bool (*is_ready)(void *arg, char why[160]), void *arg);
void sl_status_page_stop(struct sl_status_page *p); /* no more samples; its routes still answer; NULL is fine */
void sl_status_page_free(struct sl_status_page *p); /* after the server; NULL is fine */
