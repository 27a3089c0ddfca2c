/* SPDX-License-Identifier: Apache-2.0 */
#include "http/form.h"
#include "http/router.h"
#include "base/mem.h"

SL_DEFINE_FREEP(sl_form)

void sl_form_free(struct sl_form *f)
{
	for (int i = 0; f && i < f->n; i++)
		for (int k = 0; k < 3; k++)
			free(f->own[i][k]);
	free(f);
}

static const char *skip_blank(const char *s)
{
	return s + strspn(s, " \t");
}

/* Reads a quoted string or token at *s and moves *s behind it; NULL when malformed. */
static char *read_value(const char **s)
{
	if (**s != '"') {
		size_t n = strcspn(*s, "; \t");
		char *v = n ? sl_strndup(*s, n) : NULL;
		*s += n;
		return v;
	}
	char *v = sl_alloc(strlen(*s) + 1), *to = v;
	const char *p = *s + 1;
	for (; *p && *p != '"'; p++) {
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		*to++ = *p;
	}
	*to = 0;
	if (*p != '"') {
		free(v);
		return NULL;
	}
	*s = p + 1;
	return v;
}

char *sl_form_header_param(const char *header, const char *name)
{
	const char *s = header + strcspn(header, ";");
	while (*s == ';') {
		s = skip_blank(s + 1);
		size_t n = strcspn(s, "=; \t");
		bool is_it = n == strlen(name) && !strncasecmp(s, name, n);
		s += n;
		if (*s != '=')
			return NULL;
		s++;
		char *v = read_value(&s);
		if (!v || is_it)
			return v;
		free(v);
		s = skip_blank(s);
	}
	return NULL;
}

/* Is the header's value (before any ';') `want`? */
static bool is_type(const char *header, const char *want)
{
	size_t n = strcspn(header, "; \t");
	return n == strlen(want) && !strncasecmp(header, want, n);
}

static enum sl_status parse_urlencoded(struct sl_slice body, struct sl_form *f, struct sl_err *err)
{
	for (size_t at = 0; at < body.len;) {
		const char *s = (const char *)body.ptr + at;
		const char *amp = memchr(s, '&', body.len - at);
		size_t n = amp ? (size_t)(amp - s) : body.len - at;
		at += n + 1;
		if (!n)
			continue;
		if (f->n == FORM_PARTS)
			return sl_fail(err, SL_INVALID, "the form has more than %d fields", FORM_PARTS);
		if (memchr(s, 0, n))
			return sl_fail(err, SL_INVALID, "the form has a NUL byte");
		const char *eq = memchr(s, '=', n);
		size_t name = eq ? (size_t)(eq - s) : n;
		char **own = f->own[f->n];
		own[0] = sl_strndup(s, name);
		own[1] = eq ? sl_strndup(eq + 1, n - name - 1) : sl_strdup("");
		f->n++;
		if (!sl_router_unescape(own[0], true) || !sl_router_unescape(own[1], true))
			return sl_fail(err, SL_INVALID, "the form has a bad %%XX escape");
		f->part[f->n - 1] = (struct sl_part){.name = own[0], .body = sl_slice_str(own[1])};
	}
	return SL_OK;
}

/* One header line of a part: the two that matter are kept. */
static enum sl_status read_part_header(const char *line, char **own, struct sl_err *err)
{
	static const char disposition[] = "Content-Disposition:", type[] = "Content-Type:";
	if (!strncasecmp(line, disposition, sizeof(disposition) - 1)) {
		const char *v = skip_blank(line + sizeof(disposition) - 1);
		if (own[0] || !is_type(v, "form-data"))
			return sl_fail(
				err, SL_INVALID, "multipart: one Content-Disposition: form-data a part is wanted");
		own[0] = sl_form_header_param(v, "name");
		own[1] = sl_form_header_param(v, "filename");
		if (!own[0])
			return sl_fail(err, SL_INVALID, "multipart: a part has no name");
	} else if (!strncasecmp(line, type, sizeof(type) - 1) && !own[2]) {
		own[2] = sl_strdup(skip_blank(line + sizeof(type) - 1));
	} else if (!strchr(line, ':')) {
		return sl_fail(err, SL_INVALID, "multipart: a header line has no ':'");
	}
	return SL_OK;
}

/* Reads the headers at *at; leaves *at at the part's body. */
static enum sl_status read_part_headers(struct sl_slice body, size_t *at, char **own, struct sl_err *err)
{
	for (size_t begin = *at;;) {
		const char *s = (const char *)body.ptr + *at;
		const char *end = memmem(s, body.len - *at, "\r\n", 2);
		size_t n = end ? (size_t)(end - s) : 0;
		if (!end || *at + n - begin > FORM_HEADER_BYTES)
			return sl_fail(err, SL_INVALID, "multipart: a part's headers do not end within %d bytes",
				FORM_HEADER_BYTES);
		*at += n + 2;
		if (!n)
			break;
		if (memchr(s, 0, n))
			return sl_fail(err, SL_INVALID, "multipart: a header has a NUL byte");
		SL_AUTOFREE char *line = sl_strndup(s, n);
		enum sl_status st = read_part_header(line, own, err);
		if (st != SL_OK)
			return st;
	}
	if (!own[0])
		return sl_fail(err, SL_INVALID, "multipart: a part has no name");
	return SL_OK;
}

/* border: "\r\n--BOUNDARY". */
static enum sl_status parse_multipart(const char *border, struct sl_slice body, struct sl_form *f, struct sl_err *err)
{
	size_t len = strlen(border), at = len - 2;
	if (body.len < at || memcmp(body.ptr, border + 2, at) != 0)
		return sl_fail(err, SL_INVALID, "multipart: the body does not begin with its boundary");
	for (;;) {
		if (body.len - at >= 2 && !memcmp(body.ptr + at, "--", 2))
			return SL_OK;
		if (body.len - at < 2 || memcmp(body.ptr + at, "\r\n", 2) != 0)
			return sl_fail(err, SL_INVALID, "multipart: neither a line's end nor '--' after a boundary");
		at += 2;
		if (f->n == FORM_PARTS)
			return sl_fail(err, SL_INVALID, "multipart: more than %d parts", FORM_PARTS);
		char **own = f->own[f->n++];
		enum sl_status s = read_part_headers(body, &at, own, err);
		if (s != SL_OK)
			return s;
		const uint8_t *end = memmem(body.ptr + at, body.len - at, border, len);
		if (!end)
			return sl_fail(err, SL_INVALID, "multipart: the body ends inside a part");
		f->part[f->n - 1] = (struct sl_part){.name = own[0],
			.filename = own[1],
			.type = own[2],
			.body = sl_slice(body.ptr + at, (size_t)(end - body.ptr) - at)};
		at = (size_t)(end - body.ptr) + len;
	}
}

static bool is_boundary(const char *b)
{
	size_t n = strlen(b);
	for (const char *c = b; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
			return false;
	return n >= 1 && n <= FORM_BOUNDARY && b[n - 1] != ' ';
}

enum sl_status sl_form_parse(const char *type, struct sl_slice body, struct sl_form **ret, struct sl_err *err)
{
	SL_AUTO(sl_form_freep) struct sl_form *f = SL_NEW(struct sl_form);
	enum sl_status s;
	if (!type)
		return sl_fail(err, SL_INVALID, "a form needs a Content-Type header");
	if (is_type(type, "application/x-www-form-urlencoded")) {
		s = parse_urlencoded(body, f, err);
	} else if (is_type(type, "multipart/form-data")) {
		SL_AUTOFREE char *boundary = sl_form_header_param(type, "boundary");
		if (!boundary || !is_boundary(boundary))
			return sl_fail(err, SL_INVALID, "multipart: the Content-Type has no usable boundary");
		SL_AUTOFREE char *border = sl_asprintf("\r\n--%s", boundary);
		s = parse_multipart(border, body, f, err);
	} else {
		return sl_fail(err, SL_UNSUPPORTED,
			"a form is wanted: multipart/form-data or application/x-www-form-urlencoded");
	}
	if (s == SL_OK)
		*ret = SL_TAKE(f);
	return s;
}
