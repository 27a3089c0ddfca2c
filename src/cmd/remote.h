/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands that work on a running server instead of a data folder: --to URL.
 * Owner: cmd/. Thread: the main thread.
 */
#pragma once
#include "base/json.h"

/* One request; body NULL or JSON (taken), or bytes of `type`. ret: the answer, new. An answer
 * of 400 or more becomes the status and text that the server gave. */
enum sl_status sl_remote_json(
	const char *to, const char *method, const char *path, json_t *body, json_t **ret, struct sl_err *err);
enum sl_status sl_remote_bytes(const char *to, const char *method, const char *path, const char *type,
	struct sl_slice body, json_t **ret, struct sl_err *err);
