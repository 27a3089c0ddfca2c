/* SPDX-License-Identifier: Apache-2.0
 *
 * Store URLs: [trace+][fault+]SCHEME:REST[?name=value&...]. REST is a path or //host...;
 * %XX stands for a byte in path and values (so a path may hold '?'); where hosts are named, an '@' in a value needs it.
 * Owner: the caller, sl_url_done(). Thread: one at a time. USAGE for a malformed URL.
 */
#pragma once
#include "base/status.h"
#include <stdint.h>

enum { SL_URL_MAX = 4096, SL_URL_OPTIONS = 32, SL_URL_WRAPS = 4 };

struct sl_url {
	char *text; /* as given, for errors; passwords and tokens as *** */
	char *wrap[SL_URL_WRAPS]; /* outermost first */
	int nwrap;
	char *scheme, *path; /* path: decoded, without a leading "//" */
	struct {
		char *name, *value;
		bool used;
	} option[SL_URL_OPTIONS];
	int noption;
	char *own; /* what the others point into */
};

enum sl_status sl_url_parse(const char *text, struct sl_url *ret, struct sl_err *err);
void sl_url_done(struct sl_url *u);

/* The option's value, NULL when absent; marks it as known. */
const char *sl_url_option(struct sl_url *u, const char *name);
/* USAGE when it is no whole number in min..max; ret keeps its value when the option is absent. */
enum sl_status sl_url_int(
	struct sl_url *u, const char *name, int64_t min, int64_t max, int64_t *ret, struct sl_err *err);
/* After every reader: USAGE for an option that nobody asked for. */
enum sl_status sl_url_check_used(const struct sl_url *u, struct sl_err *err);
/* PATH with '%' and '?' escaped, after "scheme:"; free(). */
char *sl_url_of_path(const char *scheme, const char *path);
