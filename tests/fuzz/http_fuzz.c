/* SPDX-License-Identifier: Apache-2.0
 *
 * Hostile input to what reads requests without libmicrohttpd: forms, request targets,
 * header parameters. The first byte says which; texts end at a NUL, as they do in service.
 * Each result is also checked: a part lies inside the body, a parameter inside the target.
 */
#include "base/mem.h"
#include "http/form.h"
#include "http/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_parts(const struct sl_form *f, struct sl_slice body, bool inside)
{
	SL_ASSERT(f->n >= 0 && f->n <= FORM_PARTS);
	for (int i = 0; i < f->n; i++) {
		const struct sl_part *part = &f->part[i];
		SL_ASSERT(part->name);
		if (inside)
			SL_ASSERT(part->body.ptr >= body.ptr && part->body.ptr + part->body.len <= body.ptr + body.len);
		else
			SL_ASSERT(strlen((const char *)part->body.ptr) == part->body.len);
	}
}

static void try_form(const char *type, struct sl_slice body)
{
	struct sl_form *f;
	bool inside = !strncasecmp(type, "multipart/", 10); /* urlencoded values are decoded copies */
	if (sl_form_parse(type, body, &f, NULL) == SL_OK) {
		check_parts(f, body, inside);
		sl_form_free(f);
	}
}

static struct sl_router *make_router(void)
{
	static const char *const path[] = {"/", "/v1/crops/{key}", "/v1/reviews/next", "/v1/reviews/{key}",
		"/v1/reviews/{key}/votes", "/files/{rest...}", "/{any}/{more...}"};
	struct sl_router *r = sl_router_new();
	for (size_t i = 0; i < SL_COUNT(path); i++)
		sl_router_add(r, "GET|POST", path[i], r);
	return r;
}

static void try_target(const char *raw)
{
	static struct sl_router *router;
	struct sl_router_target t;
	struct sl_router_match m;
	if (!router)
		router = make_router();
	if (sl_router_target_parse(raw, &t, NULL) != SL_OK)
		return;
	sl_router_match(router, "POST", &t, &m);
	size_t n = strlen(t.path);
	for (int i = 0; i < m.nparam; i++)
		SL_ASSERT(m.param[i].value >= t.text && m.param[i].value + strlen(m.param[i].value) <= t.text + n);
	if (t.query)
		sl_router_unescape(t.query, true);
	sl_router_target_done(&t);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (!n)
		return 0;
	struct sl_slice body = sl_slice(p + 1, n - 1);
	SL_AUTOFREE char *text = strndup((const char *)p + 1, n - 1);
	switch (p[0] % 4) {
	case 0:
		try_form("multipart/form-data; boundary=B", body);
		break;
	case 1:
		try_form("application/x-www-form-urlencoded", body);
		break;
	case 2:
		try_target(text);
		break;
	default: {
		SL_AUTOFREE char *value = sl_form_header_param(text, "boundary");
		SL_ASSERT(!value || strlen(value) <= strlen(text));
		try_form(text, sl_slice_str("--B\r\nContent-Disposition: form-data; name=x\r\n\r\n1\r\n--B--"));
	}
	}
	return 0;
}
