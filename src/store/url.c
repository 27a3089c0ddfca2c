/* SPDX-License-Identifier: Apache-2.0 */
#include "store/url.h"
#include "base/buf.h"
#include "base/mem.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int hex_digit(char c)
{
	const char *all = "0123456789abcdef", *at = c ? strchr(all, tolower((unsigned char)c)) : NULL;
	return at ? (int)(at - all) : -1;
}

/* In place. False for a bad %XX or a NUL. */
static bool decode(char *s)
{
	char *to = s;
	for (; *s; s++) {
		if (*s != '%') {
			*to++ = *s;
			continue;
		}
		int hi = hex_digit(s[1]), lo = hi < 0 ? -1 : hex_digit(s[2]);
		if (lo < 0 || hi * 16 + lo == 0)
			return false;
		*to++ = (char)(hi * 16 + lo);
		s += 2;
	}
	*to = 0;
	return true;
}

/* Of files and folders an '@' is a character as any other. */
static bool has_paths(const char *text)
{
	static const char *const schemes[] = {"mem", "sqlite", "dir", "webhdfs"};
	size_t n = strcspn(text, ":");
	const char *from = memrchr(text, '+', n);
	from = from ? from + 1 : text;
	n -= (size_t)(from - text);
	for (size_t i = 0; i < SL_COUNT(schemes); i++)
		if (strlen(schemes[i]) == n && !strncmp(from, schemes[i], n))
			return true;
	return false;
}

static enum sl_status parse_options(struct sl_url *u, char *s, struct sl_err *err)
{
	for (char *next; s && *s; s = next) {
		next = strchr(s, '&');
		if (next)
			*next++ = 0;
		char *eq = strchr(s, '=');
		if (!eq || eq == s)
			return sl_fail(err, SL_USAGE, "store URL '%s': each option must be name=value", u->text);
		*eq = 0;
		if (u->noption == SL_URL_OPTIONS)
			return sl_fail(err, SL_USAGE, "store URL '%s': more than %d options", u->text, SL_URL_OPTIONS);
		if (!decode(eq + 1))
			return sl_fail(err, SL_USAGE, "store URL '%s': option %s has a bad %%XX", u->text, s);
		u->option[u->noption].name = s;
		u->option[u->noption++].value = eq + 1;
	}
	return SL_OK;
}

static enum sl_status parse(struct sl_url *u, char *s, struct sl_err *err)
{
	char *colon = strchr(s, ':');
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789+");
	if (!colon || !n || s + n != colon)
		return sl_fail(err, SL_USAGE,
			"store URL '%s': it must begin with a scheme, such as sqlite:PATH, dir:PATH or mem:", u->text);
	*colon = 0;
	for (char *plus; (plus = strchr(s, '+')); s = plus + 1) {
		if (u->nwrap == SL_URL_WRAPS)
			return sl_fail(err, SL_USAGE, "store URL '%s': more than %d prefixes", u->text, SL_URL_WRAPS);
		*plus = 0;
		u->wrap[u->nwrap++] = s;
	}
	u->scheme = s;
	u->path = colon + 1;
	char *query = strchr(u->path, '?');
	if (query)
		*query++ = 0;
	if (query && strchr(query, '@') && !has_paths(u->text))
		return sl_fail(err, SL_USAGE,
			"store URL '%s': write %%3f for a '?' in a password, %%40 for an '@' in an option", u->text);
	if (!strncmp(u->path, "//", 2))
		u->path += 2;
	if (!decode(u->path))
		return sl_fail(err, SL_USAGE, "store URL '%s': bad %%XX in the path", u->text);
	return parse_options(u, query, err);
}

static bool ends_with(const char *s, size_t n, const char *end)
{
	size_t m = strlen(end);
	return n >= m && !strncasecmp(s + n - m, end, m);
}

/* The '@' that ends USER:PASSWORD, whose password may have '/', '?' or '@' that nobody escaped; NULL: none. */
static const char *end_of_user(const char *text, const char *host)
{
	return has_paths(text) ? memrchr(host, '@', host == text ? 0 : strcspn(host, "/?")) : strrchr(host, '@');
}

/* The URL without what nobody may read: USER:PASSWORD@ and the values of such options. */
static char *public_form(const char *text)
{
	struct sl_buf b = {0};
	const char *host = strstr(text, "://");
	host = host && host == text + strcspn(text, ":") ? host + 3 : text;
	const char *at = end_of_user(text, host), *colon = at ? memchr(host, ':', (size_t)(at - host)) : NULL;
	at = colon ? at : text;
	size_t rest = (size_t)(at - text) + strcspn(at, "?");
	if (colon)
		sl_buf_printf(&b, "%.*s:***%.*s", (int)(colon - text), text, (int)(text + rest - at), at);
	else
		sl_buf_add(&b, text, rest);
	for (const char *o = text + rest; *o; o += 1 + strcspn(o + 1, "&")) {
		size_t all = 1 + strcspn(o + 1, "&"), name = SL_MIN(strcspn(o, "="), all);
		bool secret = ends_with(o, name, "password") || ends_with(o, name, "token");
		sl_buf_printf(&b, "%.*s%s", (int)(secret ? name : all), o, secret ? "=***" : "");
	}
	return (char *)sl_buf_take(&b, NULL);
}

enum sl_status sl_url_parse(const char *text, struct sl_url *ret, struct sl_err *err)
{
	if (strlen(text) > SL_URL_MAX)
		return sl_fail(err, SL_USAGE, "store URL: longer than %d characters", SL_URL_MAX);
	struct sl_url u = {.text = public_form(text), .own = sl_strdup(text)};
	enum sl_status s = parse(&u, u.own, err);
	if (s == SL_OK)
		*ret = u;
	else
		sl_url_done(&u);
	return s;
}

void sl_url_done(struct sl_url *u)
{
	free(u->text);
	free(u->own);
	*u = (struct sl_url){0};
}

const char *sl_url_option(struct sl_url *u, const char *name)
{
	for (int i = 0; i < u->noption; i++)
		if (!strcmp(u->option[i].name, name)) {
			u->option[i].used = true;
			return u->option[i].value;
		}
	return NULL;
}

enum sl_status sl_url_int(
	struct sl_url *u, const char *name, int64_t min, int64_t max, int64_t *ret, struct sl_err *err)
{
	const char *value = sl_url_option(u, name);
	if (!value)
		return SL_OK;
	char *end;
	errno = 0;
	long long v = strtoll(value, &end, 10);
	if (end == value || *end || errno || v < min || v > max)
		return sl_fail(err, SL_USAGE, "store URL '%s': %s is '%s'; a whole number from %lld to %lld is wanted",
			u->text, name, value, (long long)min, (long long)max);
	*ret = v;
	return SL_OK;
}

enum sl_status sl_url_check_used(const struct sl_url *u, struct sl_err *err)
{
	for (int i = 0; i < u->noption; i++)
		if (!u->option[i].used)
			return sl_fail(err, SL_USAGE, "store URL '%s': %s stores have no option '%s'", u->text,
				u->scheme, u->option[i].name);
	return SL_OK;
}

char *sl_url_of_path(const char *scheme, const char *path)
{
	struct sl_buf ret = {0};
	sl_buf_printf(&ret, "%s:", scheme);
	for (; *path; path++)
		sl_buf_printf(&ret, *path == '%' || *path == '?' ? "%%%02x" : "%c", (unsigned char)*path);
	return (char *)sl_buf_take(&ret, NULL);
}
