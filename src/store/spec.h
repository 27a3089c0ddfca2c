/* SPDX-License-Identifier: Apache-2.0
 *
 * The options of every backend's URL, for `signloop help stores` and for the check before a
 * backend is opened: an option that is not here is refused, so that none is without its line.
 * Ranges and defaults are the backend's own (its header); here they are words for people. To
 * add an option: a row in spec.c beside what reads it.
 * Owner: constants. Thread: any.
 */
#pragma once
#include "store/url.h"

enum { SL_SPEC_MAX = 64 };

/* A row an option; one without a name ends the table. */
struct sl_url_spec {
	const char *name;
	const char *range; /* "1 to 1024", "true or false", "text", or the words that are known */
	const char *value; /* default; "" when none */
	const char *text; /* what, unit, why one would change it */
};

/* kind: "log", "crop store", "review store", "artifact store". NULL where it has no options. */
const struct sl_url_spec *sl_spec_of(const char *kind, const char *scheme);
/* USAGE for an option that is neither in the table nor known to a prefix, with the nearest one. spec may be NULL. */
enum sl_status sl_spec_check(const struct sl_url_spec *spec, const struct sl_url *u, struct sl_err *err);
