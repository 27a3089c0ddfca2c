/* SPDX-License-Identifier: Apache-2.0
 *
 * What commands that work on stores share. They work beside a serving process: only `up`
 * and `serve` lock the data folder, the stores take several processes.
 * Owner: cmd/. Thread: the main thread.
 */
#pragma once
#include "base/json.h"
#include "base/opt.h"
#include "store/stores.h"

/* data: --data, NULL for the setting. A folder that is not there is NOT_FOUND unless `make`
 * (or no store lies in it). */
enum sl_status sl_cmd_stores(
	struct sl_config *cfg, const char *data, bool make, struct sl_stores *ret, struct sl_err *err);
void sl_cmd_print_json(const json_t *v); /* one line on standard output */
const char *sl_cmd_user(void); /* who runs this, for the alias log */
const char *sl_cmd_text(const json_t *v, const char *name); /* member's text; "" when none */
int64_t sl_cmd_int(const json_t *v, const char *name);
void sl_cmd_time(int64_t ms, char ret[20]); /* "2026-11-23 01:22:03" UTC */
