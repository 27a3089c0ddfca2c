/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON on jansson: strict reading with texts fit to print. Values are jansson's
 * json_t and follow its reference rules. Thread: one at a time per value.
 * Readers: `where` is the name the person knows ("body", a file). A required member
 * that is missing or of another type is INVALID and names the member.
 */
#pragma once
#include "base/buf.h"
#include <jansson.h>

/* Parses one value, nothing after it; refuses duplicate members. INVALID. */
enum sl_status sl_json_parse(struct sl_slice text, const char *where, json_t **ret, struct sl_err *err);
enum sl_status sl_json_print(const json_t *v, struct sl_buf *ret); /* compact, member order kept, appended */

/* ret_* is set on OK only; strings are borrowed from o. */
enum sl_status sl_json_str(json_t *o, const char *where, const char *name, const char **ret, struct sl_err *err);
enum sl_status sl_json_int(json_t *o, const char *where, const char *name, int64_t *ret, struct sl_err *err);
enum sl_status sl_json_num(json_t *o, const char *where, const char *name, double *ret, struct sl_err *err);
/* Optional: absent or null leaves `ret` as it is; another type is INVALID. */
enum sl_status sl_json_opt_str(json_t *o, const char *where, const char *name, const char **ret, struct sl_err *err);
enum sl_status sl_json_opt_int(json_t *o, const char *where, const char *name, int64_t *ret, struct sl_err *err);
enum sl_status sl_json_opt_num(json_t *o, const char *where, const char *name, double *ret, struct sl_err *err);

/* "v" of o is `known`, the only format of its kind that this build reads: UNSUPPORTED for another. */
enum sl_status sl_json_version(json_t *o, const char *where, int known, struct sl_err *err);

static inline void sl_json_freep(json_t **v)
{
	json_decref(*v);
}
#define SL_AUTOJSON SL_AUTO(sl_json_freep)
