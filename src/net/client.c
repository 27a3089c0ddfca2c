/* SPDX-License-Identifier: Apache-2.0
 *
 * client.h on libcurl's easy interface. One easy handle a client, so its connection cache
 * does the keeping.
 */
#include "net/client.h"
#include "base/digest.h"
#include "base/mem.h"
#include <ctype.h>
#include <curl/curl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>

struct sl_client {
	CURL *curl;
	char *user, *password, *ca, *cert, *key;
	bool negotiate;
	int64_t connect_ms;
	struct sl_rng rng; /* jitter: seeded from the kernel so that many clients do not knock together */
	char why[CURL_ERROR_SIZE];
};

struct transfer {
	const struct sl_call *call;
	struct sl_reply *reply;
	bool too_large;
	size_t sent;
};

static void global_init(void)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		SL_BUG("curl_global_init failed");
}

static char *copy(const char *s)
{
	return s ? sl_strdup(s) : NULL;
}

struct sl_client *sl_client_new(const struct sl_client_how *how)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct sl_client *c = SL_NEW(struct sl_client);
	uint64_t seed[2];

	pthread_once(&once, global_init);
	c->curl = curl_easy_init();
	if (!c->curl)
		SL_BUG("curl_easy_init failed");
	sl_random(seed, sizeof(seed));
	c->rng = sl_rng(seed[0], seed[1]);
	if (how) {
		c->user = copy(how->user);
		c->password = copy(how->password);
		c->ca = copy(how->ca);
		c->cert = copy(how->cert);
		c->key = copy(how->key);
		c->negotiate = how->negotiate;
		c->connect_ms = how->connect_ms;
	}
	return c;
}

void sl_client_free(struct sl_client *c)
{
	if (!c)
		return;
	curl_easy_cleanup(c->curl);
	free(c->user);
	free(c->password);
	free(c->ca);
	free(c->cert);
	free(c->key);
	free(c);
}

void sl_reply_done(struct sl_reply *r)
{
	sl_buf_done(&r->body);
	*r = (struct sl_reply){.retry_after_ms = -1};
}

void sl_reply_reset(struct sl_reply *r)
{
	struct sl_buf body = r->body;

	body.len = 0;
	if (body.ptr)
		body.ptr[0] = 0; /* it may be read as a text */
	*r = (struct sl_reply){.retry_after_ms = -1, .body = body};
}

static void set_cap(struct sl_buf *body, size_t cap)
{
	if (body->size > cap)
		sl_buf_done(body);
	body->cap = cap;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;

	if (sl_buf_add(&t->reply->body, p, size * n) != SL_OK) {
		t->too_large = true;
		return 0; /* ends the transfer */
	}
	return size * n;
}

static bool header_is(const char *line, size_t n, const char *name, char *ret, size_t ret_size)
{
	size_t len = strlen(name);

	if (n <= len || line[len] != ':' || strncasecmp(line, name, len) != 0)
		return false;
	const char *p = line + len + 1, *end = line + n;
	while (p < end && isspace((unsigned char)*p))
		p++;
	while (end > p && isspace((unsigned char)end[-1]))
		end--;
	if ((size_t)(end - p) >= ret_size)
		end = p; /* half a value is worse than none */
	memcpy(ret, p, (size_t)(end - p));
	ret[end - p] = 0;
	return true;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	struct sl_reply *r = t->reply;
	char text[24];

	n *= size;
	if (n > 5 && !memcmp(p, "HTTP/", 5)) { /* of the next answer: after a 100, or a log-in */
		r->type[0] = r->etag[0] = r->location[0] = 0;
		r->retry_after_ms = -1;
	}
	if (header_is(p, n, "Content-Type", r->type, sizeof(r->type)) ||
		header_is(p, n, "ETag", r->etag, sizeof(r->etag)) ||
		header_is(p, n, "Location", r->location, sizeof(r->location)))
		return n;
	if (header_is(p, n, "Retry-After", text, sizeof(text)) && isdigit((unsigned char)text[0])) {
		double s = strtod(text, NULL); /* the form with a date is not used by our servers */

		r->retry_after_ms = (int64_t)(SL_MIN(s, 86400.0) * 1000);
	}
	return n;
}

static size_t on_read(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *t = arg;
	size_t left = t->call->body.len - t->sent, take = SL_MIN(size * n, left);

	if (take)
		memcpy(p, t->call->body.ptr + t->sent, take);
	t->sent += take;
	return take;
}

/* libcurl rewinds a body when a kept connection turns out to be dead. */
static int on_seek(void *arg, curl_off_t at, int origin)
{
	struct transfer *t = arg;

	if (origin != SEEK_SET || at < 0 || (size_t)at > t->call->body.len)
		return CURL_SEEKFUNC_CANTSEEK;
	t->sent = (size_t)at;
	return CURL_SEEKFUNC_OK;
}

static int on_progress(void *arg, curl_off_t dt, curl_off_t dn, curl_off_t ut, curl_off_t un)
{
	const struct transfer *t = arg;

	return t->call->cancel && atomic_load(t->call->cancel);
}

static void freep_slist(struct curl_slist **l)
{
	curl_slist_free_all(*l);
}

/* "http://user:secret@host/x?token=secret" without "user:secret@" and what begins at '?'. */
static const char *public_url(const char *url, char *buf, size_t n)
{
	const char *host = strstr(url, "://"), *at;

	if (!host)
		return url;
	host += 3;
	at = host + strcspn(host, "/?#");
	while (at > host && at[-1] != '@')
		at--;
	snprintf(buf, n, "%.*s%.*s", (int)(host - url), url, (int)strcspn(at, "?"), at);
	return buf;
}

static void add_header(struct curl_slist **l, const char *text)
{
	struct curl_slist *more = curl_slist_append(*l, text);

	if (!more)
		SL_BUG("out of memory in curl_slist_append");
	*l = more;
}

static struct curl_slist *headers_of(const struct sl_call *call)
{
	struct curl_slist *l = NULL;

	/* No "Expect: 100-continue": a round trip before each frame for nothing. */
	add_header(&l, "Expect:");
	SL_AUTOFREE char *type = call->type ? sl_asprintf("Content-Type: %s", call->type) : sl_strdup("Content-Type:");
	add_header(&l, type);
	for (int i = 0; i < SL_CLIENT_HEADERS && call->headers[i]; i++)
		add_header(&l, call->headers[i]);
	return l;
}

static void set_method(CURL *c, struct transfer *t)
{
	const struct sl_call *call = t->call;
	bool has_body = call->body.ptr != NULL;
	const char *method = call->method ? call->method : has_body ? "POST" : "GET";

	if (!strcmp(method, "HEAD")) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
		return;
	}
	if (has_body) {
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body.len);
	} else if (!strcmp(method, "POST") || !strcmp(method, "PUT")) {
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L); /* says Content-Length: 0, which servers want */
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)0);
	}
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
}

static void set_identity(const struct sl_client *c)
{
	CURL *h = c->curl;

	if (c->negotiate) {
		curl_easy_setopt(h, CURLOPT_HTTPAUTH, (long)CURLAUTH_NEGOTIATE);
		curl_easy_setopt(h, CURLOPT_USERPWD, ":"); /* libcurl asks for a user, and takes the ticket's */
	} else if (c->user) {
		curl_easy_setopt(h, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(h, CURLOPT_USERNAME, c->user);
		curl_easy_setopt(h, CURLOPT_PASSWORD, c->password ? c->password : "");
	}
	if (c->ca)
		curl_easy_setopt(h, CURLOPT_CAINFO, c->ca);
	if (c->cert)
		curl_easy_setopt(h, CURLOPT_SSLCERT, c->cert);
	if (c->key)
		curl_easy_setopt(h, CURLOPT_SSLKEY, c->key);
	if (c->connect_ms)
		curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_ms);
}

static void set_options(struct sl_client *c, struct transfer *t, struct curl_slist *headers, int64_t left_ms)
{
	CURL *h = c->curl;

	curl_easy_reset(h); /* keeps connections and the DNS cache */
	curl_easy_setopt(h, CURLOPT_URL, t->call->url);
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(h, CURLOPT_PROXY, "");
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_USERAGENT, "signloop/" SL_VERSION);
	curl_easy_setopt(h, CURLOPT_ERRORBUFFER, c->why);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(h, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(h, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(h, CURLOPT_READDATA, t);
	curl_easy_setopt(h, CURLOPT_SEEKFUNCTION, on_seek);
	curl_easy_setopt(h, CURLOPT_SEEKDATA, t);
	curl_easy_setopt(h, CURLOPT_UPLOAD_BUFFERSIZE, 512L << 10);
	if (t->call->cancel) {
		curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(h, CURLOPT_XFERINFODATA, t);
		curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
	}
	if (t->call->never_twice) {
		curl_easy_setopt(h, CURLOPT_FRESH_CONNECT, 1L);
		curl_easy_setopt(h, CURLOPT_FORBID_REUSE, 1L);
	}
	if (left_ms > 0)
		curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)SL_MIN(left_ms, (int64_t)86400000));
	set_identity(c);
	set_method(h, t);
}

static enum sl_status status_of(CURLcode code, const struct transfer *t)
{
	switch (code) {
	case CURLE_OK:
		return SL_OK;
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return SL_INVALID;
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		return SL_USAGE;
	case CURLE_PEER_FAILED_VERIFICATION:
		return SL_REFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return SL_TIMEOUT;
	case CURLE_ABORTED_BY_CALLBACK:
		return SL_CANCELLED;
	case CURLE_WRITE_ERROR:
		return t->too_large ? SL_TOO_LARGE : SL_AWAY;
	default:
		return SL_AWAY;
	}
}

/* Did connect_ms end it, and not the call's deadline? Then nothing was sent. */
static bool is_unconnected(const struct sl_client *c, int64_t left_ms)
{
	curl_off_t before = 0;

	curl_easy_getinfo(c->curl, CURLINFO_PRETRANSFER_TIME_T, &before);
	return !before && c->connect_ms && (!left_ms || c->connect_ms < left_ms);
}

static enum sl_status check_call(const struct sl_call *call, const char *shown, struct sl_err *err)
{
	for (int i = 0; i < SL_CLIENT_HEADERS && call->headers[i]; i++)
		if (strpbrk(call->headers[i], "\r\n"))
			return sl_fail(err, SL_INVALID, "a header for %s has a line break in it", shown);
	if (call->deadline_us && sl_is_past(call->deadline_us))
		return sl_fail(err, SL_TIMEOUT, "%s: the deadline has passed before the call", shown);
	if (call->cancel && atomic_load(call->cancel))
		return sl_fail(err, SL_CANCELLED, "%s: stopped before the call", shown);
	return SL_OK;
}

enum sl_status sl_client_call(struct sl_client *c, const struct sl_call *call, struct sl_reply *ret, struct sl_err *err)
{
	char buf[512];
	const char *shown = public_url(call->url, buf, sizeof(buf));
	struct transfer t = {.call = call, .reply = ret};
	int64_t left_ms = 0;
	long code = 0;

	sl_reply_reset(ret);
	set_cap(&ret->body, call->body_max ? call->body_max : SL_CLIENT_BODY);
	enum sl_status s = check_call(call, shown, err);
	if (s != SL_OK)
		return s;
	if (call->deadline_us && call->deadline_us != SL_FOREVER)
		left_ms = SL_MAX((call->deadline_us - sl_mono_us() + 999) / 1000, 1); /* not before it has passed */

	SL_AUTO(freep_slist) struct curl_slist *headers = headers_of(call);
	set_options(c, &t, headers, left_ms);
	c->why[0] = 0;
	CURLcode done = curl_easy_perform(c->curl);
	s = status_of(done, &t);
	if (s == SL_TIMEOUT && is_unconnected(c, left_ms))
		s = SL_AWAY;
	curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &code);
	curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, NULL);
	ret->status = (int)code;
	if (s == SL_OK)
		return SL_OK;
	if (s == SL_TOO_LARGE)
		return sl_fail(err, s, "%s: the answer is larger than %zu bytes", shown, ret->body.cap);
	return sl_fail(err, s, "%s %s: %s",
		call->method     ? call->method
		: call->body.ptr ? "POST"
				 : "GET",
		shown, c->why[0] ? c->why : curl_easy_strerror(done));
}

int64_t sl_retry_wait(struct sl_retry how, int n, int64_t retry_after_ms, struct sl_rng *rng)
{
	int64_t most = how.first_ms;

	if (retry_after_ms >= 0) /* a little later than asked, so that all who were told the same spread */
		return retry_after_ms + (int64_t)(sl_rng_unit(rng) * (float)SL_MIN(retry_after_ms / 4 + 1, 250));
	for (int i = 1; i < n && most < how.most_ms; i++)
		most *= 2;
	most = SL_MIN(most, how.most_ms);
	return most / 2 + (int64_t)(sl_rng_unit(rng) * (float)(most - most / 2));
}

static bool worth_again(enum sl_status s, int http)
{
	return s == SL_AWAY || (s == SL_OK && (http == 429 || http == 502 || http == 503 || http == 504));
}

bool sl_client_wait(int64_t ms, const atomic_bool *cancel)
{
	const int64_t piece = 20; /* so that a cancel is heard */

	for (; ms > 0; ms -= piece) {
		if (cancel && atomic_load(cancel))
			return false;
		poll(NULL, 0, (int)SL_MIN(ms, piece));
	}
	return true;
}

enum sl_status sl_client_retry(
	struct sl_client *c, const struct sl_call *call, struct sl_retry how, struct sl_reply *ret, struct sl_err *err)
{
	struct sl_err last = {0};

	for (int n = 1;; n++) {
		enum sl_status s = sl_client_call(c, call, ret, &last);
		bool again = worth_again(s, ret->status) && n < how.tries;
		int64_t wait = again ? sl_retry_wait(how, n, s == SL_OK ? ret->retry_after_ms : -1, &c->rng) : 0;

		if (again && call->deadline_us && call->deadline_us != SL_FOREVER &&
			sl_mono_us() + wait * 1000 >= call->deadline_us)
			again = false;
		if (again && sl_client_wait(wait, call->cancel))
			continue;
		if (again)
			return sl_fail(err, SL_CANCELLED, "stopped before it was tried again");
		if (s != SL_OK && err)
			*err = last;
		return s;
	}
}

enum sl_status sl_url_escape(const char *s, struct sl_buf *ret)
{
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;
		enum sl_status st =
			isalnum(ch) || strchr("-._~", ch) ? sl_buf_add(ret, s, 1) : sl_buf_printf(ret, "%%%02X", ch);

		if (st != SL_OK)
			return st;
	}
	return SL_OK;
}
