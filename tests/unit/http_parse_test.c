/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "harness.h"
#include "http/form.h"
#include "http/router.h"

static const char *match(struct sl_router *r, const char *method, const char *raw, struct sl_router_match *m)
{
	static struct sl_router_target t;
	struct sl_err err;
	sl_router_target_done(&t);
	CHECK_OK(sl_router_target_parse(raw, &t, &err));
	sl_router_match(r, method, &t, m);
	return m->value ? m->value : "";
}

TEST(router, literal_beats_parameter_whatever_the_order)
{
	struct sl_router *r = sl_router_new();
	struct sl_router_match m;
	sl_router_add(r, "GET", "/a/{rest...}", (void *)"rest");
	sl_router_add(r, "GET", "/a/{x}", (void *)"param");
	sl_router_add(r, "GET", "/a/b", (void *)"literal");
	sl_router_add(r, "POST", "/a/{y}", (void *)"post");
	sl_router_add(r, "GET", "/", (void *)"root");
	sl_router_add(r, "GET|POST", "/act", (void *)"act");
	CHECK_STR(match(r, "GET", "/a/b", &m), "literal");
	CHECK_STR(match(r, "GET", "/a/c?b", &m), "param");
	CHECK_STR(m.param[0].name, "x");
	CHECK_STR(m.param[0].value, "c");
	CHECK_STR(match(r, "GET", "/a/b/c%2fd", &m), "rest");
	CHECK_STR(m.param[0].value, "b/c/d");
	CHECK_STR(match(r, "POST", "/a/b", &m), "post");
	CHECK_STR(match(r, "HEAD", "/", &m), "root");
	CHECK_STR(match(r, "GET", "?x", &m), "root");
	CHECK_STR(match(r, "HEAD", "/act", &m), ""); /* what POST does too is more than reading */
	CHECK(m.other_method);
	CHECK_STR(m.allow, "GET, POST");
	CHECK_STR(match(r, "DELETE", "/a/b", &m), "");
	CHECK(m.other_method);
	CHECK(strstr(m.allow, "GET") && strstr(m.allow, "POST"));
	CHECK_STR(match(r, "GET", "/a//c", &m), "rest");
	CHECK_STR(match(r, "GET", "/a", &m), "");
	CHECK(!m.other_method);
	struct sl_router_target none = {0};
	sl_router_target_done(&none);
	match(r, "GET", "/", &m);
	sl_router_free(r);
}

TEST(router, escapes)
{
	char ok[] = "%41+b%2F", bad[] = "%4", nul[] = "a%00", odd[] = "%zz";
	CHECK(sl_router_unescape(ok, true));
	CHECK_STR(ok, "A b/");
	CHECK(!sl_router_unescape(bad, true));
	CHECK(!sl_router_unescape(nul, true));
	CHECK(!sl_router_unescape(odd, true));
	struct sl_router_target t;
	CHECK_STATUS(sl_router_target_parse("x/y", &t, NULL), SL_INVALID);
	CHECK_STATUS(sl_router_target_parse("/%", &t, NULL), SL_INVALID);
	char *deep = sl_alloc(ROUTER_TARGET + 3);
	memset(deep, '/', ROUTER_TARGET + 2);
	deep[ROUTER_TARGET + 2] = 0;
	CHECK_STATUS(sl_router_target_parse(deep, &t, NULL), SL_TOO_LARGE);
	free(deep);
}

#define TYPE "multipart/form-data; boundary=\"a b\""
#define PART(name) "--a b\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n"

TEST(form, multipart)
{
	static const char body[] = PART(
		"one") "1\r\n--a c\r\n"
		       "\r\n" PART(
			       "empty") "\r\n"
					"--a b\r\ncontent-disposition: form-data; filename=\"q\\\"x;y.jpg\"; name=f\r\nContent-Type: image/jpeg\r\nX-A: b\r\n\r\n"
					"\0\r\n\r\n--\r\n--a b--\r\n";
	struct sl_form *f;
	struct sl_err err;
	CHECK_OK(sl_form_parse(TYPE, sl_slice(body, sizeof(body) - 1), &f, &err));
	CHECK_EQ(f->n, 3);
	CHECK_STR(f->part[0].name, "one");
	CHECK_EQ(f->part[0].body.len, 10);
	CHECK_EQ(f->part[1].body.len, 0);
	CHECK_STR(f->part[2].name, "f");
	CHECK_STR(f->part[2].filename, "q\"x;y.jpg");
	CHECK_STR(f->part[2].type, "image/jpeg");
	CHECK_EQ(f->part[2].body.len, 7);
	CHECK(!f->part[0].filename && !f->part[0].type);
	sl_form_free(f);
}

TEST(form, broken_multipart_is_invalid)
{
	static const char *const bad[] = {"", "--a b", "--a b\r", "--a b\r\n", "--a b\r\n\r\n", PART("x"),
		PART("x") "1\r\n--a b", PART("x") "1\r\n--a b-", PART("x") "1\n--a b--",
		"preamble\r\n" PART("x") "1\r\n--a b--", "--a bX\r\n", "--a b\r\nContent-Type: x\r\n\r\n1\r\n--a b--",
		"--a b\r\nno colon\r\n\r\n1\r\n--a b--",
		"--a b\r\nContent-Disposition: attachment; name=\"x\"\r\n\r\n1\r\n--a b--",
		"--a b\r\nContent-Disposition: form-data; name=\"x\r\n\r\n1\r\n--a b--",
		"--a b\r\nContent-Disposition: form-data; name\r\n\r\n1\r\n--a b--",
		"--a b\r\nContent-Disposition: form-data; filename=y\r\nContent-Disposition: form-data; name=x; filename=y\r\n\r\n1"
		"\r\n--a b--"};
	static const char *const types[] = {"multipart/form-data",
		"multipart/form-data; boundary=", "multipart/form-data; boundary=\"",
		"multipart/form-data; boundary=\"\x01\"", "multipart/form-data; boundary=\"a \"",
		"multipart/form-data; boundary="
		"aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggggggggh"};
	struct sl_form *f;
	for (size_t i = 0; i < SL_COUNT(bad); i++)
		CHECK_STATUS(sl_form_parse(TYPE, sl_slice_str(bad[i]), &f, NULL), SL_INVALID);
	for (size_t i = 0; i < SL_COUNT(types); i++)
		CHECK_STATUS(sl_form_parse(types[i], sl_slice_str("--\r\n"), &f, NULL), SL_INVALID);
	struct sl_buf many = {0};
	for (int i = 0; i <= FORM_PARTS; i++)
		sl_buf_puts(&many, i ? "\r\n" PART("x") : PART("x"));
	sl_buf_puts(&many, "\r\n--a b--");
	CHECK_STATUS(sl_form_parse(TYPE, sl_buf_slice(&many), &f, NULL), SL_INVALID);
	many.len = 0;
	sl_buf_printf(&many, "--a b\r\nContent-Disposition: form-data; name=\"%05000d\"\r\n\r\n\r\n--a b--", 0);
	CHECK_STATUS(sl_form_parse(TYPE, sl_buf_slice(&many), &f, NULL), SL_INVALID);
	sl_buf_done(&many);
}

TEST(form, urlencoded)
{
	struct sl_form *f;
	struct sl_err err;
	const char *type = "application/x-www-form-urlencoded; charset=UTF-8";
	CHECK_OK(sl_form_parse(type, sl_slice_str("a=1&&b=%26+%3d&c&=d"), &f, &err));
	CHECK_EQ(f->n, 4);
	CHECK_STR((char *)f->part[1].body.ptr, "& =");
	CHECK_STR(f->part[2].name, "c");
	CHECK_EQ(f->part[2].body.len, 0);
	CHECK_STR(f->part[3].name, "");
	sl_form_free(f);
	CHECK_OK(sl_form_parse(type, sl_slice("", 0), &f, &err));
	CHECK_EQ(f->n, 0);
	sl_form_free(f);
	CHECK_STATUS(sl_form_parse(type, sl_slice_str("a=%g0"), &f, &err), SL_INVALID);
	CHECK_STATUS(sl_form_parse(type, sl_slice("a=\0", 3), &f, &err), SL_INVALID);
	CHECK_STATUS(sl_form_parse("image/png", sl_slice_str("a"), &f, &err), SL_UNSUPPORTED);
	CHECK_STATUS(sl_form_parse(NULL, sl_slice_str("a"), &f, &err), SL_INVALID);
}
