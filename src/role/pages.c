/* SPDX-License-Identifier: Apache-2.0 */
#include "role/pages.h"
#include "base/mem.h"
#include "http/server.h"
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

static const char policy[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
	"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

static const char *const languages[] = {"en", "ko"};

const struct sl_page_file *sl_page_find(const char *path, const char *lang)
{
	for (size_t i = 0; i < sl_page_files_count; i++)
		if (!strcmp(sl_page_files[i].path, path) && !strcmp(sl_page_files[i].lang, lang))
			return &sl_page_files[i];
	return NULL;
}

static const char *known_language(const char *s, size_t n)
{
	for (size_t i = 0; i < SL_COUNT(languages); i++)
		if (n >= 2 && !strncasecmp(s, languages[i], 2) && (n == 2 || s[2] == '-'))
			return languages[i];
	return NULL;
}

static const char *cookie_language(const char *cookie)
{
	for (const char *p = cookie; p && *p;) {
		p += strspn(p, "; ");
		size_t n = strcspn(p, ";");

		if (n > 5 && !strncmp(p, "lang=", 5))
			return known_language(p + 5, n - 5);
		p += n;
	}
	return NULL;
}

/* Accept-Language: "ko-KR,ko;q=0.9,en;q=0.8". The known one with the highest q; the first of equals. */
const char *sl_page_language(const char *cookie, const char *accept)
{
	const char *best = cookie_language(cookie);
	double best_q = 0;

	if (best)
		return best;
	for (const char *p = accept; p && *p;) {
		p += strspn(p, ", \t");
		size_t n = strcspn(p, ","), tag = strcspn(p, ",; \t");
		const char *lang = known_language(p, tag), *q = memchr(p, ';', n);
		double v = 1;

		if (q)
			sscanf(q, "; q=%lf", &v);
		if (lang && v > best_q) {
			best = lang;
			best_q = v;
		}
		p += n;
	}
	return best ? best : languages[0];
}

static void send_file(struct sl_request *r, const struct sl_page_file *f)
{
	const char *have = sl_request_header(r, "If-None-Match");

	if (!f) {
		sl_answer_error(r, 404, "not_found", "there is no such page");
		return;
	}
	sl_answer_header(r, "ETag", f->etag);
	sl_answer_header(r, "Cache-Control", "no-cache");
	sl_answer_header(r, "X-Content-Type-Options", "nosniff");
	sl_answer_header(r, "Referrer-Policy", "no-referrer");
	sl_answer_header(r, "Content-Security-Policy", policy);
	if (*f->lang) {
		sl_answer_header(r, "Content-Language", f->lang);
		sl_answer_header(r, "Vary", "Accept-Language, Cookie");
	}
	if (have && strstr(have, f->etag))
		sl_answer_static(r, 304, f->type, sl_slice(NULL, 0));
	else
		sl_answer_static(r, 200, f->type, sl_slice(f->bytes, f->len));
}

static void get_page(struct sl_request *r, void *arg)
{
	const char *path = sl_request_path(r),
		   *lang = sl_page_language(sl_request_header(r, "Cookie"), sl_request_header(r, "Accept-Language"));
	char name[32];

	snprintf(name, sizeof(name), "%s.html", strcmp(path, "/") == 0 ? "/watch" : path);
	send_file(r, sl_page_find(name, lang));
}

static void get_file(struct sl_request *r, void *arg)
{
	SL_AUTOFREE char *path = sl_asprintf("/web/%s", sl_request_param(r, "file"));

	send_file(r, sl_page_find(path, ""));
}

static void get_pictogram(struct sl_request *r, void *arg)
{
	SL_AUTOFREE char *path =
		sl_asprintf("/taxonomy/%s/%s", sl_request_param(r, "taxonomy"), sl_request_param(r, "file"));

	send_file(r, sl_page_find(path, ""));
}

static void get_icon(struct sl_request *r, void *arg)
{
	send_file(r, sl_page_find("/web/favicon.svg", ""));
}

#define PAGE(path_, text_) \
	{ \
		.method = "GET", .path = path_, .run = SL_RUN_NOW, .fn = get_page, .tag = "pages", .summary = text_, \
		.response = "text/html" \
	}

static const struct sl_route routes[] = {
	PAGE("/", "Watch the loop: frames, signs, votes, the live bundle"),
	PAGE("/label", "Vote on crops the model was unsure of"),
	PAGE("/expert", "Datasets, training, models, ties"),
	{.method = "GET",
		.path = "/web/{file}",
		.run = SL_RUN_NOW,
		.fn = get_file,
		.tag = "pages",
		.summary = "Scripts and styles of the pages",
		.response = "text/javascript, text/css, image/svg+xml, application/json"},
	{.method = "GET",
		.path = "/pictograms/{taxonomy}/{file}",
		.run = SL_RUN_NOW,
		.fn = get_pictogram,
		.tag = "pages",
		.summary = "The pictogram of a class, such as /pictograms/de/206.svg",
		.response = "image/svg+xml"},
	{.method = "GET",
		.path = "/favicon",
		.run = SL_RUN_NOW,
		.fn = get_icon,
		.tag = "pages",
		.summary = "The icon",
		.response = "image/svg+xml"},
	{.method = "GET",
		.path = "/favicon.ico",
		.run = SL_RUN_NOW,
		.fn = get_icon,
		.tag = "pages",
		.summary = "The icon, where browsers look for it",
		.response = "image/svg+xml"},
	{0},
};

void sl_pages_add(struct sl_server *s)
{
	sl_server_add(s, routes, NULL);
}
