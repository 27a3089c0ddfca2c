/* SPDX-License-Identifier: Apache-2.0
 *
 * Forms from a whole body: application/x-www-form-urlencoded and multipart/form-data
 * (RFC 7578, strict: CRLF lines, no preamble, a closing boundary). Part bodies are slices
 * of the given body (urlencoded values: of the form). Hostile input is INVALID, never more.
 * Owner: the caller, freed by sl_form_free(). Thread: any.
 */
#pragma once
#include "http/server.h"

enum { FORM_PARTS = 64, FORM_HEADER_BYTES = 4096, FORM_BOUNDARY = 70 };

struct sl_form {
	struct sl_part part[FORM_PARTS];
	char *own[FORM_PARTS][3]; /* name, filename, type (urlencoded: name, value) */
	int n;
};

/* type: the Content-Type header; NULL is INVALID. UNSUPPORTED: it is no form's type. */
enum sl_status sl_form_parse(const char *type, struct sl_slice body, struct sl_form **ret, struct sl_err *err);
void sl_form_free(struct sl_form *f);

/* Value of one parameter of a header such as `form-data; name="x"`; free() it; NULL when absent. */
char *sl_form_header_param(const char *header, const char *name);
