/* SPDX-License-Identifier: Apache-2.0
 *
 * The pages for people (/, /label, /expert), their scripts and styles, and the pictograms of
 * the taxonomies: files of web/ and taxonomy/, put into the binary by tools/embed.py. Pages
 * exist once a language; the cookie `lang` chooses, else Accept-Language, else English.
 * Answers carry an ETag and a strict Content-Security-Policy: nothing is loaded from elsewhere
 * and no script stands in a page. Thread: any.
 */
#pragma once
#include "base/buf.h"

struct sl_server;

struct sl_page_file {
	const char *path; /* "/label.html", "/web/style.css", "/taxonomy/de/206.svg" */
	const char *lang; /* "" when it has none */
	const char *type, *etag;
	size_t len;
	const char *bytes;
};
extern const struct sl_page_file sl_page_files[]; /* sorted by path, then lang */
extern const size_t sl_page_files_count;

/* Adds GET /, /label, /expert, /web/{file}, /pictograms/{taxonomy}/{file}, /favicon, /favicon.ico. */
void sl_pages_add(struct sl_server *s);

/* NULL when there is none; lang "" for files without. */
const struct sl_page_file *sl_page_find(const char *path, const char *lang);
/* "en" or "ko" of the header Cookie and the header Accept-Language (either may be NULL). */
const char *sl_page_language(const char *cookie, const char *accept);
