/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/remote.h"
#include "base/mem.h"
#include "net/client.h"

enum { WAIT_MS = 600000 };

/* The status that the server's code names; IO for one that this build does not know. */
static enum sl_status status_of(const char *code)
{
	for (int s = SL_OK + 1; s <= SL_CANCELLED; s++)
		if (code && !strcmp(sl_status_name((enum sl_status)s), code))
			return (enum sl_status)s;
	return SL_IO;
}

enum sl_status sl_remote_bytes(const char *to, const char *method, const char *path, const char *type,
	struct sl_slice body, json_t **ret, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply reply = {0};
	SL_AUTOJSON json_t *v = NULL;
	size_t n = strlen(to);
	while (n && to[n - 1] == '/')
		n--;
	SL_AUTOFREE char *url = sl_asprintf("%s%.*s%s", strstr(to, "://") ? "" : "http://", (int)n, to, path);
	/* The gate may run for minutes on many rows. */
	SL_AUTOFREE char *patience = sl_asprintf("X-Deadline-Ms: %d", WAIT_MS);
	struct sl_client *c = sl_client_new(NULL);
	struct sl_call call = {.method = method,
		.url = url,
		.headers = {patience, NULL},
		.body = body,
		.type = type,
		.deadline_us = sl_deadline_ms(WAIT_MS)};
	enum sl_status s = sl_client_call(c, &call, &reply, err);
	sl_client_free(c);
	if (s == SL_OK)
		s = sl_json_parse(sl_buf_slice(&reply.body), url, &v, err);
	if (s != SL_OK)
		return s;
	if (reply.status >= 400) {
		json_t *e = json_object_get(v, "error");
		const char *text = json_string_value(json_object_get(e, "message"));
		return sl_fail(err, status_of(json_string_value(json_object_get(e, "code"))), "%s",
			text ? text : "the server says no");
	}
	*ret = SL_TAKE(v);
	return SL_OK;
}

enum sl_status sl_remote_json(
	const char *to, const char *method, const char *path, json_t *body, json_t **ret, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	if (body)
		sl_json_print(body, &text);
	json_decref(body);
	return sl_remote_bytes(to, method, path, text.len ? "application/json" : NULL, sl_buf_slice(&text), ret, err);
}
