/* SPDX-License-Identifier: Apache-2.0
 *
 * Logs: one JSON object a line on standard error:
 * {"time":"...","level":"info","component":"frames","text":"...", fields...}.
 * On a terminal a short line for people instead. Level by component: "info" or
 * "info,store=debug". Only role/ and cmd/ log above debug; the others return errors.
 * Thread: any. A line is written whole.
 */
#pragma once
#include "base/status.h"
#include <stdint.h>

enum sl_level { SL_DEBUG, SL_INFO, SL_WARN, SL_ERROR };

struct sl_field {
	const char *name;
	enum { SL_FIELD_STR, SL_FIELD_INT, SL_FIELD_NUM } kind;
	const char *str;
	int64_t i;
	double num;
};
#define SL_S(name, value) ((struct sl_field){name, SL_FIELD_STR, (value), 0, 0})
#define SL_I(name, value) ((struct sl_field){name, SL_FIELD_INT, NULL, (int64_t)(value), 0})
#define SL_F(name, value) ((struct sl_field){name, SL_FIELD_NUM, NULL, 0, (double)(value)})

/* sl_log(SL_INFO, "frames", "bundle swapped", SL_S("bundle", digest), SL_I("ms", ms)); */
#define sl_log(level, component, text, ...) \
	sl_log_fields(level, component, text, (const struct sl_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})
void sl_log_fields(enum sl_level level, const char *component, const char *text,
	const struct sl_field *fields); /* ends with a field whose name is NULL */
bool sl_log_is_on(enum sl_level level, const char *component);
enum sl_status sl_log_setup(const char *levels, struct sl_err *err); /* before threads start */
