/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hbase/gateways.h"
#include "base/digest.h"
#include "base/mem.h"
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>

#define PROTOBUF "application/x-protobuf"

enum { TABLE_MAX = 128, WHY_MAX = 130, REST_MS = 3000 };

struct sl_gateways {
	struct sl_clients *clients;
	char *host[SL_GATES_MAX];
	int n;
	char table[TABLE_MAX];
	int64_t connections, timeout_ms, connect_ms, tries, tls;
	pthread_mutex_t lock;
	int next; /* whose turn it is */
	int64_t rests_until_us[SL_GATES_MAX]; /* it failed */
	struct sl_rng rng;
};

static bool is_port(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n && n <= 5 && !s[n] && atoi(s) > 0 && atoi(s) <= UINT16_MAX;
}

static enum sl_status parse_path(struct sl_gateways *g, const struct sl_url *u, struct sl_err *err)
{
	const char *slash = strchr(u->path, '/'), *table = slash && slash[1] ? slash + 1 : "crops";
	SL_AUTOFREE char *hosts = sl_strndup(u->path, slash ? (size_t)(slash - u->path) : strlen(u->path));
	char *save = NULL;

	if (strlen(table) >= TABLE_MAX ||
		table[strspn(table, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-:")])
		return sl_fail(err, SL_USAGE,
			"store URL '%s': the table is '%.40s'; letters, digits and _.-: are wanted", u->text, table);
	snprintf(g->table, sizeof(g->table), "%s", table);
	for (char *h = strtok_r(hosts, ",", &save); h; h = strtok_r(NULL, ",", &save)) {
		const char *port = strrchr(h, ':');
		if (!port || port == h || !is_port(port + 1) || strpbrk(h, "@?# \t"))
			return sl_fail(err, SL_USAGE,
				"store URL '%s': each gateway is HOST:PORT; who we are is in user and password",
				u->text);
		if (g->n == SL_GATES_MAX)
			return sl_fail(err, SL_USAGE, "store URL '%s': more than %d gateways", u->text, SL_GATES_MAX);
		g->host[g->n++] = sl_strdup(h);
	}
	return g->n ? SL_OK : sl_fail(err, SL_USAGE, "store URL '%s': HOST:PORT of a gateway is missing", u->text);
}

static enum sl_status parse_numbers(struct sl_gateways *g, struct sl_url *u, int64_t *negotiate, struct sl_err *err)
{
	const struct {
		const char *name;
		int64_t min, max, *ret;
	} number[] = {
		{"connections", 1, SL_CLIENTS_MAX, &g->connections},
		{"timeout_ms", 100, 600000, &g->timeout_ms},
		{"connect_ms", 10, 60000, &g->connect_ms},
		{"tries", 1, 100, &g->tries},
		{"tls", 0, 1, &g->tls},
		{"negotiate", 0, 1, negotiate},
	};
	enum sl_status s = SL_OK;

	for (size_t i = 0; i < SL_COUNT(number) && s == SL_OK; i++)
		s = sl_url_int(u, number[i].name, number[i].min, number[i].max, number[i].ret, err);
	return s;
}

static enum sl_status parse_identity(
	const struct sl_gateways *g, struct sl_url *u, struct sl_client_how *how, struct sl_err *err)
{
	how->user = sl_url_option(u, "user");
	how->password = sl_url_option(u, "password");
	how->ca = sl_url_option(u, "ca");
	how->cert = sl_url_option(u, "cert");
	how->key = sl_url_option(u, "key");
	how->connect_ms = g->connect_ms;
	if (!g->tls && (how->ca || how->cert || how->key))
		return sl_fail(err, SL_USAGE, "store URL '%s': ca, cert and key are for tls=1", u->text);
	if (!how->user != !how->password || (how->user && how->negotiate))
		return sl_fail(
			err, SL_USAGE, "store URL '%s': user and password go together, and without negotiate", u->text);
	return SL_OK;
}

enum sl_status sl_gateways_new(struct sl_url *u, struct sl_gateways **ret, struct sl_err *err)
{
	struct sl_gateways *g = SL_NEW(struct sl_gateways);
	struct sl_client_how how = {0};
	int64_t negotiate = 0;
	uint64_t seed[2];

	g->connections = SL_CLIENTS_SIZE;
	g->timeout_ms = 10000;
	g->connect_ms = 3000;
	g->tries = 6;
	pthread_mutex_init(&g->lock, NULL);
	sl_random(seed, sizeof(seed));
	g->rng = sl_rng(seed[0], seed[1]);
	enum sl_status s = parse_path(g, u, err);
	if (s == SL_OK)
		s = parse_numbers(g, u, &negotiate, err);
	how.negotiate = negotiate;
	if (s == SL_OK)
		s = parse_identity(g, u, &how, err);
	if (s != SL_OK) {
		sl_gateways_free(g);
		return s;
	}
	g->next = (int)sl_rng_below(&g->rng, (uint32_t)g->n); /* processes begin at different ones */
	g->clients = sl_clients_new(&how, (int)g->connections);
	*ret = g;
	return SL_OK;
}

void sl_gateways_free(struct sl_gateways *g)
{
	if (!g)
		return;
	sl_clients_free(g->clients);
	for (int i = 0; i < g->n; i++)
		free(g->host[i]);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

const char *sl_gateways_table(const struct sl_gateways *g)
{
	return g->table;
}

int sl_gateways_connections(const struct sl_gateways *g)
{
	return (int)g->connections;
}

int64_t sl_gateways_deadline(const struct sl_gateways *g)
{
	return sl_deadline_ms(g->timeout_ms);
}

/* The next one that does not rest; if all do, the next. */
static int pick(struct sl_gateways *g)
{
	int64_t now = sl_mono_us();

	pthread_mutex_lock(&g->lock);
	int at = g->next;
	for (int i = 0; i < g->n; i++)
		if (g->rests_until_us[(g->next + i) % g->n] <= now) {
			at = (g->next + i) % g->n;
			break;
		}
	g->next = (at + 1) % g->n;
	pthread_mutex_unlock(&g->lock);
	return at;
}

static void judge(struct sl_gateways *g, int at, bool failed)
{
	pthread_mutex_lock(&g->lock);
	g->rests_until_us[at] = failed ? sl_deadline_ms(REST_MS) : 0;
	pthread_mutex_unlock(&g->lock);
}

/* What a gateway says, one line, cut: the last exception of its first trace with its text, else the first line. */
static void why_of(const struct sl_reply *r, char ret[WHY_MAX])
{
	const char *text = r->body.ptr ? (const char *)r->body.ptr : "", *at = strstr(text, "Exception"), *end;

	at = at ? at : text;
	end = at + strcspn(at, "\r\n");
	for (const char *more = at; more && more < end; more = strstr(more + 1, "Exception: "))
		at = more;
	while (at > text && (isalnum((unsigned char)at[-1]) || at[-1] == '$'))
		at--;
	sl_copy_cut(ret, WHY_MAX, at);
	ret[strcspn(ret, "\r\n")] = 0;
	sl_text_mend(ret);
}

bool sl_gateways_says(const struct sl_reply *r, const char *what)
{
	return r->body.ptr && strstr((const char *)r->body.ptr, what);
}

enum sl_status sl_gateways_odd(
	const struct sl_gateways *g, const struct sl_hbase_ask *ask, const struct sl_reply *r, struct sl_err *err)
{
	char why[WHY_MAX];

	why_of(r, why);
	return sl_fail(err, SL_IO, "hbase table %s: %s%.40s answered %d: %s", g->table, ask->method, ask->path,
		r->status, why);
}

/* The two texts by which a gateway says so, and no proxy. */
static bool is_absent(const struct sl_reply *r)
{
	static const char *const text[] = {"Not found", "No rows found."};

	for (size_t i = 0; i < SL_COUNT(text); i++)
		if (r->body.ptr && !strncmp((const char *)r->body.ptr, text[i], strlen(text[i])))
			return true;
	return false;
}

static enum sl_status status_of(const struct sl_gateways *g, const struct sl_hbase_ask *ask, int at,
	const struct sl_reply *r, struct sl_err *err)
{
	char why[WHY_MAX];

	if ((r->status >= 200 && r->status < 300) || r->status == 304)
		return SL_OK;
	bool absent = r->status == 404 && is_absent(r);
	if (absent && (ask->any_404 || !sl_gateways_says(r, "Exception")))
		return SL_OK;
	why_of(r, why);
	if (r->status == 401 || r->status == 403)
		return sl_fail(err, SL_USAGE,
			"hbase table %s: gateway %s says %d: %s; look at user and password, or ask for read and write",
			g->table, g->host[at], r->status, *why ? why : "log in");
	if (absent)
		return sl_fail(err, SL_USAGE, "hbase table %s: %s", g->table, why);
	if (r->status == 404 || r->status == 410 || r->status == 429 ||
		r->status >= 500) /* 410: the table is being made */
		return sl_fail(
			err, SL_AWAY, "hbase table %s: gateway %s says %d: %s", g->table, g->host[at], r->status, why);
	return sl_gateways_odd(g, ask, r, err);
}

static enum sl_status ask_one(struct sl_gateways *g, const struct sl_hbase_ask *ask, int at, int64_t deadline_us,
	struct sl_reply *ret, struct sl_err *err)
{
	const char *type = ask->type ? ask->type : PROTOBUF;
	SL_AUTOFREE char *url =
		sl_asprintf("%s://%s/%s%s", g->tls ? "https" : "http", g->host[at], g->table, ask->path);
	SL_AUTOFREE char *accept = sl_asprintf("Accept: %s", type);
	struct sl_call call = {.method = ask->method,
		.url = url,
		.headers = {accept},
		.body = ask->body,
		.type = ask->body.ptr ? type : NULL,
		.deadline_us = deadline_us,
		.never_twice = ask->never_twice};
	enum sl_status s = sl_clients_call(g->clients, &call, SL_RETRY_NONE, ret, err);

	if (s == SL_INVALID)
		return sl_prefix(err, SL_IO, "hbase table %s: is this a REST gateway?", g->table);
	return s == SL_OK ? status_of(g, ask, at, ret, err) : s;
}

/* A gateway that hangs leaves time for the others; for a scanner too, which can be opened anew at one of them. */
static int64_t share(const struct sl_gateways *g, const struct sl_hbase_ask *ask, int n, int64_t deadline_us)
{
	int64_t left = deadline_us - sl_mono_us();

	if (ask->at && g->n > 1)
		return deadline_us - left / 2;
	return ask->at || n > g->n - 1 ? deadline_us : deadline_us - left + left / (g->n - n + 1);
}

/* Who waits for one that is away should also hear that another refuses us. */
static enum sl_status tell(const struct sl_err *last, const struct sl_err *refused, struct sl_err *err)
{
	const struct sl_err *one = last->status == SL_OK ? refused : last;

	if (last->status != SL_OK && refused->status != SL_OK)
		return sl_fail(err, last->status, "%s; and %s", last->text, refused->text);
	if (err)
		*err = *one;
	return one->status;
}

enum sl_status sl_gateways_ask(
	struct sl_gateways *g, const struct sl_hbase_ask *ask, struct sl_reply *ret, int *ret_at, struct sl_err *err)
{
	const struct sl_retry how = SL_RETRY_DEFAULT;
	int64_t deadline_us = ask->deadline_us ? ask->deadline_us : sl_gateways_deadline(g);
	int64_t tries = !ask->once ? g->tries : ask->at ? 1 : g->n;
	struct sl_err last = {0}, refused = {0}, why;
	bool hope = false; /* one of them may be well soon */
	int bad = -1; /* who refused us last: a wrong certificate or log-in may be wrong there alone */

	for (int n = 1;; n++) {
		int at = ask->at ? ask->at - 1 : bad >= 0 ? (bad + 1) % g->n : pick(g);
		enum sl_status s = ask_one(g, ask, at, share(g, ask, n, deadline_us), ret, &why);
		bool failed = s == SL_AWAY || s == SL_TIMEOUT;

		if (s == SL_BUSY && !sl_is_past(deadline_us)) { /* nobody was asked: no try */
			n--;
			continue;
		}
		bad = s == SL_REFUSED || s == SL_USAGE ? at : -1;
		if (s != SL_BUSY)
			judge(g, at, failed || s == SL_REFUSED);
		if (s == SL_OK && ret_at)
			*ret_at = at + 1;
		if (s == SL_OK)
			return s;
		if (bad >= 0)
			refused = why;
		else
			last = why;
		hope |= failed;
		pthread_mutex_lock(&g->lock);
		int64_t wait = n < g->n ? 0 : sl_retry_wait(how, n - g->n + 1, ret->retry_after_ms, &g->rng);
		pthread_mutex_unlock(&g->lock);
		if ((!failed && bad < 0) || n >= (hope ? tries : SL_MIN(tries, g->n)) ||
			sl_mono_us() + wait * 1000 >= deadline_us)
			return tell(&last, &refused, err);
		sl_client_wait(wait, NULL);
	}
}
