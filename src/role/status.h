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
/* missing: a list of texts, new: what each role lacks; *ret_ready: none of it keeps a role from its work. */
typedef json_t *(*sl_missing_fn)(void *arg, bool *ret_ready);
/* Takes the first sample, for which it waits half a second at most for stores that are slow. */
struct sl_status_page *sl_status_page_start(struct sl_context *ctx, sl_missing_fn missing, void *arg);
void sl_status_page_stop(struct sl_status_page *p); /* no more samples; its routes still answer; NULL is fine */
void sl_status_page_free(struct sl_status_page *p); /* after the server, before the stores close; NULL is fine */
/* The answer of GET /v2/health/ready; missing is taken, its first text says why it is not ready. */
void sl_answer_ready(struct sl_request *r, bool ready, json_t *missing);
