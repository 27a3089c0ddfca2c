/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP clients shared by threads: each call takes an idle one, whose connection is kept, or
 * waits for one when `size` of them are busy. For the stores that speak HTTP.
 *
 * Owner: the caller; free it after its last call. Thread: any that may block (never `http`).
 * Errors: as net/client.h; BUSY when none was idle before the call's deadline: nothing was sent.
 */
#pragma once
#include "net/client.h"

enum { SL_CLIENTS_SIZE = 16, SL_CLIENTS_MAX = 256 };

struct sl_clients;
struct sl_clients *sl_clients_new(const struct sl_client_how *how, int size); /* size: 1..SL_CLIENTS_MAX */
void sl_clients_free(struct sl_clients *p); /* NULL is fine */
/* how.tries 1: once. See sl_client_call() and sl_client_retry(). */
enum sl_status sl_clients_call(struct sl_clients *p, const struct sl_call *call, struct sl_retry how,
	struct sl_reply *ret, struct sl_err *err);
#define SL_RETRY_NONE ((struct sl_retry){.tries = 1})
