/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hbase/scan.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include <ctype.h>
#include <stdio.h>

enum { PATH = 300, PREFIX = 4, PREFIXES = 1 << (4 * PREFIX), LOST_MAX = 20, IDLE_MAX = 20, CLOSE_MS = 2000 };

struct scan {
	struct sl_gateways *g;
	const struct sl_hbase_form *form;
	bool (*fn)(void *arg, const char *key);
	void *arg;
	char first[SL_KEY + 1]; /* the next key is this one or greater; may end in NUL */
	size_t nfirst;
	char end[SL_KEY]; /* the first key behind all that are asked for */
	size_t nend; /* 0: there is none */
	bool stopped; /* by fn */
	int idle; /* pages in a row that brought no key behind `first` */
	int at; /* the gateway that has the scanner; 0: none is open */
	char path[PATH]; /* of the scanner, behind the table's name */
};

bool sl_hbase_is_key(struct sl_slice key)
{
	for (size_t i = 0; i < key.len; i++)
		if (!isalnum(key.ptr[i]) && (!key.ptr[i] || !strchr("-._~", key.ptr[i])))
			return false;
	return key.len > 0 && key.len < SL_KEY;
}

/* The first key behind all that start with the prefix; false: there is none. */
static bool end_of(const char *prefix, char ret[SL_KEY], size_t *ret_n)
{
	size_t n = strlen(prefix);

	sl_copy(ret, SL_KEY, prefix);
	while (n && (uint8_t)ret[n - 1] == 0xff)
		n--;
	if (n)
		ret[n - 1]++;
	*ret_n = n;
	return n > 0;
}

/* The scanner's address is the gateway's own idea of its name; only what is behind the table counts. */
static bool keep_path(struct scan *s, const struct sl_reply *r)
{
	const char *at = NULL;

	for (const char *p = r->location; (p = strstr(p, "/scanner/")); p++)
		at = p; /* the last: a proxy may have such a folder before it */
	if (!at || strlen(at) >= PATH)
		return false;
	sl_copy(s->path, PATH, at);
	return true;
}

static enum sl_status open_scanner(struct scan *s, int page, int64_t deadline_us, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	SL_AUTO(sl_buf_done) struct sl_buf body = {0};
	int at = 0;

	sl_cells_scanner(sl_slice(s->first, s->nfirst), sl_slice(s->end, s->nend), s->form->family, page, &body);
	struct sl_hbase_ask ask = {
		.method = "PUT", .path = "/scanner", .body = sl_buf_slice(&body), .deadline_us = deadline_us};
	enum sl_status st = sl_gateways_ask(s->g, &ask, &r, &at, err);
	if (st == SL_OK && (r.status != 201 || !keep_path(s, &r)))
		st = sl_gateways_odd(s->g, &ask, &r, err);
	if (st == SL_OK)
		s->at = at;
	return st;
}

/* A lost scanner ends at the gateway by its lease. */
static void close_scanner(struct scan *s)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};

	if (s->at)
		(void)sl_gateways_ask(s->g,
			&(struct sl_hbase_ask){.method = "DELETE",
				.path = s->path,
				.at = s->at,
				.once = true,
				.deadline_us = sl_deadline_ms(CLOSE_MS)},
			&r, NULL, NULL);
	s->at = 0;
}

/* A key that is too long is taken for its first part. */
static bool is_new(const struct scan *s, struct sl_slice key)
{
	size_t n = SL_MIN(key.len, sizeof(s->first) - 1), both = SL_MIN(n, s->nfirst);
	int order = both ? memcmp(key.ptr, s->first, both) : 0;

	return n && (order > 0 || (!order && n >= s->nfirst));
}

/* The next key is behind this one: it with a NUL, or, where it is longer than any of ours, what follows all that begin
 * as it does. */
static void go_behind(struct scan *s, struct sl_slice key)
{
	size_t n = SL_MIN(key.len, sizeof(s->first) - 1), last = n;

	memcpy(s->first, key.ptr, n);
	s->first[n] = 0;
	s->nfirst = n + 1;
	while (key.len > n && last && (uint8_t)s->first[last - 1] == 0xff)
		last--;
	if (key.len > n && last) {
		s->first[last - 1]++;
		s->nfirst = last;
	}
}

static bool take_key(void *arg, struct sl_slice key, int64_t time_ms)
{
	struct scan *s = arg;

	if (!is_new(s, key)) /* had already */
		return true;
	s->idle = 0;
	go_behind(s, key); /* also one that is not ours */
	if (!sl_hbase_is_key(key))
		return true;
	s->stopped = !s->fn(s->arg, s->first);
	return !s->stopped;
}

static void add_escaped(struct sl_buf *path, const char *name, struct sl_slice bytes)
{
	sl_buf_puts(path, name);
	for (size_t i = 0; i < bytes.len; i++)
		sl_buf_printf(path, "%%%02X", bytes.ptr[i]);
}

enum sl_status sl_hbase_first(struct sl_gateways *g, const struct sl_hbase_form *f, struct sl_slice first,
	struct sl_slice end, int64_t deadline_us, struct sl_buf *ret, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	SL_AUTO(sl_buf_done) struct sl_buf path = {0};
	SL_AUTOJSON json_t *all = NULL;

	add_escaped(&path, "/*?limit=1&startrow=", first);
	add_escaped(&path, "&endrow=", end);
	for (int i = 0; f->family[i]; i++)
		sl_buf_printf(&path, "&column=%s", f->family[i]);
	struct sl_hbase_ask ask = {
		.method = "GET", .path = (const char *)path.ptr, .type = SL_HBASE_JSON, .deadline_us = deadline_us};
	enum sl_status st = sl_gateways_ask(g, &ask, &r, NULL, err);
	if (st != SL_OK)
		return st;
	if (r.status != 200)
		return sl_gateways_odd(g, &ask, &r, err);
	if (sl_json_parse(sl_buf_slice(&r.body), "rows", &all, NULL) != SL_OK) /* it broke off */
		return sl_fail(err, SL_AWAY, "hbase table %s: its gateway could not read on", sl_gateways_table(g));
	const char *key = json_string_value(json_object_get(json_array_get(json_object_get(all, "Row"), 0), "key"));
	ret->len = 0;
	return key ? sl_base64_decode(sl_slice_str(key), ret, err) : SL_OK;
}

/* A gateway that could not read on says that there is no more, as at the end. */
static enum sl_status check_end(struct scan *s, int64_t deadline_us, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf key = {0};
	enum sl_status st = sl_hbase_first(
		s->g, s->form, sl_slice(s->first, s->nfirst), sl_slice(s->end, s->nend), deadline_us, &key, err);

	if (st == SL_OK && is_new(s, sl_buf_slice(&key)))
		st = sl_fail(err, SL_AWAY, "hbase table %s: its gateway ended a scan in the middle",
			sl_gateways_table(s->g));
	return st;
}

/* *ret_end: no more, says the gateway. A page whose answer is lost cannot be asked for again: the scanner has moved on. */
static enum sl_status next_page(struct scan *s, int64_t deadline_us, bool *ret_end, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct sl_hbase_ask ask = {.method = "GET",
		.path = s->path,
		.at = s->at,
		.once = true,
		.never_twice = true,
		.deadline_us = deadline_us};
	enum sl_status st = sl_gateways_ask(s->g, &ask, &r, NULL, err);

	if (st != SL_OK)
		return st;
	*ret_end = r.status == 204;
	if (r.status == 404)
		return sl_fail(
			err, SL_AWAY, "hbase table %s: its gateway has lost the scanner", sl_gateways_table(s->g));
	if (r.status != 200 && r.status != 204)
		return sl_gateways_odd(s->g, &ask, &r, err);
	if (*ret_end)
		return SL_OK;
	if (++s->idle > IDLE_MAX)
		return sl_fail(err, SL_AWAY, "hbase table %s: its gateway sends page after page without a new key",
			sl_gateways_table(s->g));
	return sl_cells_each(sl_buf_slice(&r.body), take_key, s, err);
}

enum sl_status sl_hbase_scan(struct sl_gateways *g, const struct sl_hbase_form *f, const char *prefix,
	const char *after, int page, bool (*fn)(void *arg, const char *key), void *arg, struct sl_err *err)
{
	struct scan s = {.g = g, .form = f, .fn = fn, .arg = arg};
	int64_t deadline_us = sl_gateways_deadline(g);
	bool at_end = false;
	enum sl_status st = SL_OK;

	if (strlen(prefix) >= SL_KEY || strlen(after) >= SL_KEY) /* longer than any key */
		return sl_fail(err, SL_INVALID, "crop scan: prefix and after have at most %d bytes", SL_KEY - 1);
	bool from_after = strcmp(after, prefix) >= 0;
	sl_copy(s.first, sizeof(s.first), from_after ? after : prefix);
	s.nfirst = strlen(s.first) + (from_after && *after); /* with its NUL: greater than after */
	if (end_of(prefix, s.end, &s.nend) && strncmp(s.first, s.end, s.nend) >= 0)
		return SL_OK;
	for (int lost = 0; !s.stopped && !at_end;) {
		if (!s.at)
			st = open_scanner(&s, page, deadline_us, err);
		if (st == SL_OK)
			st = next_page(&s, deadline_us, &at_end, err);
		if (st == SL_OK && at_end) {
			st = check_end(&s, deadline_us, err);
			at_end = st == SL_OK;
		}
		if (st == SL_OK) {
			deadline_us = sl_gateways_deadline(g);
			continue;
		}
		close_scanner(&s);
		if (!sl_status_is_retriable(st) || sl_is_past(deadline_us) || ++lost > LOST_MAX || s.idle > IDLE_MAX)
			return st;
		st = SL_OK;
	}
	close_scanner(&s);
	return SL_OK;
}

struct tally {
	int64_t n, exact;
	int64_t behind; /* of the first `behind` hash prefixes all keys are counted: `whole` */
	int64_t whole;
};

/* The hash prefix of a crop's key, -1 for a key without. */
static int64_t prefix_of(const char *key)
{
	char hex[PREFIX + 1];

	if (strspn(key, "0123456789abcdef") != PREFIX || key[PREFIX] != '-')
		return -1;
	snprintf(hex, sizeof(hex), "%s", key);
	return strtol(hex, NULL, 16);
}

static bool count_key(void *arg, const char *key)
{
	struct tally *t = arg;
	int64_t prefix = prefix_of(key);

	if (prefix > t->behind) { /* all before it have been seen */
		t->behind = prefix;
		t->whole = t->n;
	}
	t->n++;
	return prefix < 0 || t->n <= t->exact;
}

static int64_t total(const struct tally *t)
{
	return t->n <= t->exact || !t->behind ? t->n : t->whole * PREFIXES / t->behind;
}

enum sl_status sl_hbase_count(
	struct sl_gateways *g, const struct sl_hbase_form *f, int64_t exact, int64_t *ret, struct sl_err *err)
{
	struct tally t = {.exact = exact};
	enum sl_status s = sl_hbase_scan(g, f, "", "", SL_HBASE_PAGE, count_key, &t, err);

	if (s == SL_OK)
		*ret = total(&t);
	return s;
}
