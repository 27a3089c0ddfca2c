/* SPDX-License-Identifier: Apache-2.0 */
#include "http/router.h"
#include "base/mem.h"
#include <stdio.h>

enum part_kind { LITERAL, PARAM, REST };

struct pattern {
	char *method, *text; /* text: the parts, each ends in NUL */
	const char *part[ROUTER_PARTS];
	enum part_kind kind[ROUTER_PARTS];
	int n;
	void *value;
	struct pattern *next; /* the more special first */
};

struct sl_router {
	struct pattern *first;
};

struct sl_router *sl_router_new(void)
{
	return SL_NEW(struct sl_router);
}

static void pattern_free(struct pattern *p)
{
	free(p->method);
	free(p->text);
	free(p);
}

void sl_router_free(struct sl_router *t)
{
	while (t && t->first) {
		struct pattern *p = t->first;
		t->first = p->next;
		pattern_free(p);
	}
	free(t);
}

static struct pattern *pattern_new(const char *method, const char *text, void *value)
{
	struct pattern *p = SL_NEW(struct pattern);
	*p = (struct pattern){.method = sl_strdup(method), .text = sl_strdup(text), .value = value};
	if (*text != '/')
		SL_BUG("route %s must begin with '/'", text);
	for (char *s = p->text + 1; *s;) {
		if (p->n == ROUTER_PARTS)
			SL_BUG("route %s has more than %d parts", text, ROUTER_PARTS);
		char *end = strchrnul(s, '/'), *next = *end ? end + 1 : end;
		*end = 0;
		size_t len = (size_t)(end - s);
		if (*s == '{' && len > 2 && s[len - 1] == '}') {
			bool rest = len > 5 && !strncmp(s + len - 4, "...", 3);
			if (rest && *next)
				SL_BUG("route %s: only the last part may take the rest", text);
			s[len - (rest ? 4 : 1)] = 0;
			p->kind[p->n] = rest ? REST : PARAM;
			s++;
		}
		p->part[p->n++] = s;
		s = next;
	}
	return p;
}

/* <0: a goes before b. 0: they match the same paths. */
static int compare(const struct pattern *a, const struct pattern *b)
{
	for (int i = 0; i < a->n && i < b->n; i++) {
		if (a->kind[i] != b->kind[i])
			return (int)a->kind[i] - (int)b->kind[i];
		int c = a->kind[i] == LITERAL ? strcmp(a->part[i], b->part[i]) : 0;
		if (c)
			return c;
	}
	return b->n - a->n;
}

static bool has_method(const char *methods, const char *method, size_t n)
{
	for (const char *s = methods; *s;) {
		size_t len = strcspn(s, "|");
		if (len == n && !memcmp(s, method, n))
			return true;
		s += len + (s[len] == '|');
	}
	return false;
}

static bool share_method(const char *a, const char *b)
{
	for (const char *s = a; *s;) {
		size_t len = strcspn(s, "|");
		if (has_method(b, s, len))
			return true;
		s += len + (s[len] == '|');
	}
	return false;
}

void sl_router_add(struct sl_router *t, const char *method, const char *pattern, void *value)
{
	struct pattern *p = pattern_new(method, pattern, value), **at = &t->first;
	for (; *at && compare(*at, p) <= 0; at = &(*at)->next)
		if (compare(*at, p) == 0 && share_method((*at)->method, method))
			SL_BUG("two routes for %s %s", method, pattern);
	p->next = *at;
	*at = p;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool sl_router_unescape(char *s, bool plus)
{
	char *to = s;
	for (; *s; s++) {
		char c = *s;
		if (c == '+' && plus)
			c = ' ';
		if (c == '%') {
			int hi = hex(s[1]), lo = hi < 0 ? -1 : hex(s[2]);
			if (lo < 0 || hi + lo == 0)
				return false;
			c = (char)(hi * 16 + lo);
			s += 2;
		}
		*to++ = c;
	}
	*to = 0;
	return true;
}

void sl_router_target_done(struct sl_router_target *t)
{
	free(t->path);
	free(t->text);
	free(t->query);
	*t = (struct sl_router_target){0};
}

/* Splits before decoding, so that %2F is a character of a part and no border. */
static enum sl_status split(struct sl_router_target *t, struct sl_err *err)
{
	t->text = sl_strdup(t->path);
	for (char *s = t->text + 1; *s;) {
		if (t->n == ROUTER_PARTS)
			return sl_fail(err, SL_INVALID, "the path has more than %d parts", ROUTER_PARTS);
		char *end = strchrnul(s, '/'), *next = *end ? end + 1 : end;
		*end = 0;
		t->rest[t->n] = (size_t)(s - t->text);
		t->part[t->n++] = s;
		if (!sl_router_unescape(s, false))
			return sl_fail(err, SL_INVALID, "the path has a bad %%XX escape");
		s = next;
	}
	return SL_OK;
}

enum sl_status sl_router_target_parse(const char *raw, struct sl_router_target *ret, struct sl_err *err)
{
	if (strlen(raw) > ROUTER_TARGET)
		return sl_fail(err, SL_TOO_LARGE, "the request target is longer than %d bytes", ROUTER_TARGET);
	if (!strncasecmp(raw, "http://", 7) || !strncasecmp(raw, "https://", 8))
		raw = strchrnul(strchr(raw, ':') + 3, '/'); /* absolute form, from proxies */
	struct sl_router_target t = {0};
	size_t n = strcspn(raw, "?#");
	t.path = n ? sl_strndup(raw, n) : sl_strdup("/");
	if (raw[n] == '?')
		t.query = sl_strndup(raw + n + 1, strcspn(raw + n + 1, "#"));
	enum sl_status s = SL_OK;
	if (*t.path != '/')
		s = sl_fail(err, SL_INVALID, "the request target must begin with '/'");
	if (s == SL_OK)
		s = split(&t, err);
	if (s != SL_OK) {
		sl_router_target_done(&t);
		return s;
	}
	*ret = t;
	return SL_OK;
}

static bool fits(const struct pattern *p, const struct sl_router_target *t)
{
	for (int i = 0; i < p->n; i++) {
		if (i >= t->n)
			return false;
		if (p->kind[i] == REST)
			return true;
		if (p->kind[i] == LITERAL ? strcmp(p->part[i], t->part[i]) != 0 : !*t->part[i])
			return false;
	}
	return p->n == t->n;
}

static void take_params(const struct pattern *p, struct sl_router_target *t, struct sl_router_match *ret)
{
	for (int i = 0; i < p->n && ret->nparam < ROUTER_PARAMS; i++) {
		if (p->kind[i] == LITERAL)
			continue;
		if (p->kind[i] == REST) /* parts that follow are joined again, decoded */
			for (int k = t->n - 1; k > i; k--) {
				char *end = t->part[k - 1] + strlen(t->part[k - 1]);
				*end = '/';
				memmove(end + 1, t->part[k], strlen(t->part[k]) + 1);
			}
		ret->param[ret->nparam++] = (struct sl_router_param){p->part[i], t->part[i]};
	}
}

/* Of a route that takes GET beside POST the GET changes something too. */
static bool takes_head(const char *methods)
{
	return !strcmp(methods, "GET");
}

static void add_allow(struct sl_router_match *ret, const char *methods)
{
	for (const char *s = methods; *s;) {
		size_t len = strcspn(s, "|"), at = strlen(ret->allow);
		if (!strstr(ret->allow, methods))
			snprintf(ret->allow + at, sizeof(ret->allow) - at, "%s%.*s%s", at ? ", " : "", (int)len, s,
				takes_head(methods) ? ", HEAD" : "");
		s += len + (s[len] == '|');
	}
}

void sl_router_match(
	const struct sl_router *r, const char *method, struct sl_router_target *t, struct sl_router_match *ret)
{
	*ret = (struct sl_router_match){0};
	bool head = !strcmp(method, "HEAD");
	for (const struct pattern *p = r->first; p; p = p->next) {
		if (!fits(p, t))
			continue;
		if (head ? !takes_head(p->method) : !has_method(p->method, method, strlen(method))) {
			add_allow(ret, p->method);
			continue;
		}
		ret->value = p->value;
		take_params(p, t, ret);
		return;
	}
	ret->other_method = *ret->allow != 0;
}
