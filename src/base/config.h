/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration: one table of names, read from file, environment and flags.
 *
 * A name is "frames.queue"; in the environment SIGNLOOP_FRAMES_QUEUE; as a flag
 * --frames-queue (or --frames.queue); in a file a line `frames.queue = 64` (# starts
 * a comment). Flag wins over environment, environment over file, file over default.
 * The table itself is src/core/settings.c; every limit of the program is in it.
 *
 * Owner: the caller, freed by sl_config_free(). Thread: set before threads start, then
 * read by any. Units are in the row's text. Reading a name that is not in the table,
 * or as another type, is SL_BUG.
 */
#pragma once
#include "base/buf.h"

enum sl_config_type { SL_CONFIG_INT, SL_CONFIG_NUM, SL_CONFIG_STR, SL_CONFIG_BOOL };

struct sl_config_row {
	const char *name;
	enum sl_config_type type;
	const char *value; /* default, as text */
	double min, max; /* INT, NUM: inclusive; both 0: any */
	const char *text; /* what, unit, why one would change it */
};

struct sl_config;
struct sl_config *sl_config_new(const struct sl_config_row *rows, size_t n); /* SL_BUG if a row is wrong */
void sl_config_free(struct sl_config *c);

/* `where` is "flag", "environment" or "FILE:LINE", for the error text. USAGE for an
 * unknown name (with the nearest one) or a value out of range. */
enum sl_status sl_config_set(
	struct sl_config *c, const char *name, const char *value, const char *where, struct sl_err *err);
enum sl_status sl_config_read_file(struct sl_config *c, const char *path, struct sl_err *err);
enum sl_status sl_config_read_env(struct sl_config *c, char **env, struct sl_err *err);
bool sl_config_has(const struct sl_config *c, const char *name); /* dashes count as dots */

int64_t sl_config_int(const struct sl_config *c, const char *name);
double sl_config_num(const struct sl_config *c, const char *name);
bool sl_config_bool(const struct sl_config *c, const char *name);
const char *sl_config_str(const struct sl_config *c, const char *name); /* borrowed; "" when empty */

/* The reference: every row with value, default, range, environment name and text. */
enum sl_status sl_config_print(const struct sl_config *c, int width, struct sl_buf *ret);
/* The nearest of n names to s, or NULL if none is near. For "did you mean". */
const char *sl_nearest(const char *s, const char *const *names, size_t n);
