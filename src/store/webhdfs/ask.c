/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/webhdfs/internal.h"
#include <poll.h>
#include <stdio.h>

enum { WAIT_FIRST_MS = 100, WAIT_MOST_MS = 3000, SHOWN = 140 };

/* What servers say by an exception's name, and what it means here. The first row that fits counts. */
static const struct {
	const char *exception, *message; /* message: a part of its text; NULL: any */
	enum sl_status status;
	const char *advice;
} known[] = {
	{"FileNotFoundException", NULL, SL_NOT_FOUND, NULL},
	{"FileAlreadyExistsException", NULL, SL_EXISTS, NULL},
	{"ParentNotDirectoryException", NULL, SL_CONFLICT, NULL},
	{"PathIsNotEmptyDirectoryException", NULL, SL_CONFLICT, NULL},
	{"AccessControlException", "is not a directory", SL_CONFLICT, NULL},
	{"AccessControlException", NULL, SL_IO, "hdfs dfs -chown or -chmod"},
	{"XAttrNotFoundException", NULL, SL_CORRUPT, NULL},
	{"NSQuotaExceededException", NULL, SL_IO, "raise it by hdfs dfsadmin -setQuota, or remove objects"},
	{"DSQuotaExceededException", NULL, SL_IO, "raise it by hdfs dfsadmin -setSpaceQuota, or lower blocksize="},
	{"QuotaByStorageTypeExceededException", NULL, SL_IO, "raise it by hdfs dfsadmin -setSpaceQuota"},
	{"StandbyException", NULL, SL_AWAY, NULL},
	{"ObserverRetryOnActiveException", NULL, SL_AWAY, NULL},
	{"RetriableException", NULL, SL_AWAY, NULL},
	{"SafeModeException", NULL, SL_AWAY, "wait, or see hdfs dfsadmin -safemode get"},
	{"SecurityException", NULL, SL_USAGE, "check user, token or negotiate"},
	{"InvalidToken", NULL, SL_USAGE, "fetch another by hdfs fetchdt"},
	{"AuthenticationException", NULL, SL_USAGE, "check user, token or negotiate"},
	{"AuthorizationException", NULL, SL_USAGE, NULL},
	{"IllegalArgumentException", NULL, SL_USAGE, NULL},
	{"UnsupportedOperationException", NULL, SL_UNSUPPORTED, NULL},
	{"IOException", "attributes provided was not found", SL_CORRUPT, NULL},
	{"IOException", "Failed to find datanode", SL_AWAY, "see hdfs dfsadmin -report"},
	{"IOException", "could only be written to", SL_AWAY, "see hdfs dfsadmin -report"},
	{"IOException", "No active nodes contain this block", SL_AWAY, "see hdfs dfsadmin -report"},
};

static enum sl_status say(const char *exception, const char *message, int http, bool data, struct sl_err *err)
{
	const char *dot = strrchr(exception, '.');
	exception = dot ? dot + 1 : exception;
	int shown = (int)SL_MIN(strcspn(message, "\n"), SHOWN);
	for (size_t i = 0; i < SL_COUNT(known); i++)
		if (!strcmp(known[i].exception, exception) && (!known[i].message || strstr(message, known[i].message)))
			return sl_fail(err, known[i].status, "%s%s%s%s: %.*s", exception, known[i].advice ? " (" : "",
				known[i].advice ? known[i].advice : "", known[i].advice ? ")" : "", shown, message);
	/* What a DataNode cannot do another may, or the same one later. */
	return sl_fail(err, data || http >= 500 ? SL_AWAY : SL_IO, "%s: %.*s", exception, shown, message);
}

static enum sl_status judge(const struct sl_reply *r, bool data, struct sl_err *err)
{
	if ((r->status >= 200 && r->status < 300) || (r->status == 307 && !data))
		return SL_OK;
	SL_AUTOJSON json_t *all = NULL;
	const char *exception = NULL, *message = "";
	if (r->body.len && sl_json_parse(sl_buf_slice(&r->body), "answer", &all, NULL) == SL_OK) {
		json_t *e = json_object_get(all, "RemoteException");
		exception = json_string_value(json_object_get(e, "exception"));
		message = json_string_value(json_object_get(e, "message"));
	}
	if (exception)
		return say(exception, message ? message : "", r->status, data, err);
	if (data) /* this one is ill, or what is before it */
		return sl_fail(err, SL_AWAY, "HTTP %d", r->status);
	if (r->status == 401)
		return sl_fail(
			err, SL_USAGE, "the log-in was refused (HTTP 401); check user, password, token or negotiate");
	if (r->status == 429 || r->status >= 500)
		return sl_fail(err, SL_AWAY, "HTTP %d", r->status);
	return sl_fail(err, SL_USAGE,
		"HTTP %d without a WebHDFS answer; is this the HTTP port of a NameNode (9870, not the RPC port)?",
		r->status);
}

int64_t hdfs_deadline(const struct hdfs *h, size_t bytes)
{
	return sl_deadline_ms(h->timeout_ms) + (int64_t)(bytes >> 20) * HDFS_US_A_MIB;
}

int64_t hdfs_slice(const struct hdfs *h, size_t bytes, int64_t deadline_us)
{
	int64_t own = sl_deadline_ms(h->timeout_ms / HDFS_SLICES) + (int64_t)(bytes >> 20) * HDFS_US_A_MIB;
	return SL_MIN(own, deadline_us);
}

bool hdfs_wait(const struct hdfs *h, int n, int64_t deadline_us)
{
	struct sl_retry how = {.tries = h->tries, .first_ms = WAIT_FIRST_MS, .most_ms = WAIT_MOST_MS};
	uint64_t seed[2];
	sl_random(seed, sizeof(seed));
	struct sl_rng rng = sl_rng(seed[0], seed[1]);
	int64_t ms = sl_retry_wait(how, n, -1, &rng);
	if (n >= h->tries || sl_mono_us() + ms * 1000 >= deadline_us)
		return false;
	poll(NULL, 0, (int)ms);
	return true;
}

static void add_path(const char *path, struct sl_buf *url)
{
	for (const char *part = path; *part;) {
		size_t n = strcspn(part, "/");
		SL_AUTOFREE char *name = sl_strndup(part, n);
		sl_url_escape(name, url);
		part += n;
		if (*part) {
			sl_buf_puts(url, "/");
			part++;
		}
	}
}

static enum sl_status ask_node(
	struct hdfs *h, const struct hdfs_ask *a, const char *node, struct sl_reply *ret, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf url = {0};
	sl_buf_printf(&url, "%s://%s%s/webhdfs/v1", h->tls ? "https" : "http", node, h->gateway);
	add_path(a->path, &url);
	sl_buf_printf(&url, "?op=%s%s%s", a->op, a->query ? a->query : "", h->identity);
	struct sl_call call = {
		.method = a->method, .url = (const char *)url.ptr, .deadline_us = hdfs_slice(h, 0, a->deadline_us)};
	enum sl_status s = sl_clients_call(h->name, &call, SL_RETRY_NONE, ret, err);
	if (s == SL_INVALID) /* it does not speak HTTP */
		return sl_prefix(err, SL_IO, "is this the HTTP port of a NameNode (9870, not the RPC port)?");
	if (s != SL_OK)
		return s;
	s = judge(ret, false, err);
	return s == SL_OK ? s : sl_prefix(err, s, "%s of %s at %s", a->op, a->path, node);
}

/* Is it an answer of the active NameNode? */
static bool is_active(enum sl_status s)
{
	return s == SL_OK || s == SL_NOT_FOUND || s == SL_EXISTS || s == SL_CONFLICT;
}

static bool is_standby(enum sl_status s, const struct sl_reply *r)
{
	return s == SL_AWAY && r->body.len && strstr((const char *)r->body.ptr, "StandbyException");
}

enum sl_status hdfs_ask(struct hdfs *h, const struct hdfs_ask *a, struct sl_reply *ret, struct sl_err *err)
{
	struct sl_err last = {0}, why;
	bool hope = false; /* one of them may be well soon; a bad certificate is a node's alone, and stays */
	int first = atomic_load(&h->active);
	for (int n = 1;; n++) {
		int node = (first + n - 1) % h->nnodes;
		enum sl_status s = ask_node(h, a, h->node[node], ret, &why);
		if (s == SL_BUSY && !sl_is_past(a->deadline_us)) { /* nobody was asked: no try */
			n--;
			continue;
		}
		if (node != first && is_active(s))
			atomic_store(&h->active, node);
		if (s == SL_OK)
			return s;
		bool passes = s != SL_BUSY && sl_status_is_retriable(s), again = passes || s == SL_REFUSED;
		if (n == 1 || (!is_standby(s, ret) && (s != SL_REFUSED || !hope))) /* what the active said tells more */
			last = why;
		hope |= passes;
		again &= !sl_is_past(a->deadline_us);
		if (again && n % h->nnodes)
			continue;
		if (again && hope && !a->once && hdfs_wait(h, n / h->nnodes, a->deadline_us))
			continue;
		if (err)
			*err = last;
		return last.status;
	}
}

/* Does url begin with one of the nodes we were told of? */
static bool is_node_url(const struct hdfs *h, const char *url)
{
	for (int i = 0; i < h->nnodes; i++) {
		SL_AUTOFREE char *node = sl_asprintf("%s://%s/", h->tls ? "https" : "http", h->node[i]);
		if (!strncmp(url, node, strlen(node)))
			return true;
	}
	return false;
}

static void host_of(const char *url, char ret[HDFS_HOST])
{
	const char *host = strstr(url, "://");
	host = host ? host + 3 : url;
	size_t n = *host == '[' ? strcspn(host, "]/?") : strcspn(host, ":/?");
	n += host[n] == ']'; /* of an IPv6 address */
	snprintf(ret, HDFS_HOST, "%.*s", n < HDFS_HOST ? (int)n : 0, host);
}

enum sl_status hdfs_follow(struct hdfs *h, struct sl_reply *sent, struct sl_call call, struct sl_reply *ret,
	char host[HDFS_HOST], struct sl_err *err)
{
	SL_AUTOJSON json_t *all = NULL;
	const char *url = sent->location;
	host[0] = 0;
	sl_reply_reset(ret);
	if (sent->status != 307) {
		if (!call.body.ptr && strncmp(sent->type, "application/json", 16) != 0) {
			struct sl_buf body = sent->body;
			sl_reply_done(ret);
			*ret = *sent;
			sent->body = (struct sl_buf){0};
			ret->body = body;
			return SL_OK;
		}
		if (sl_json_parse(sl_buf_slice(&sent->body), "answer", &all, NULL) != SL_OK ||
			!(url = json_string_value(json_object_get(all, "Location"))))
			return sl_fail(err, SL_IO, "the NameNode's answer names no place for the bytes");
	}
	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return sl_fail(err, SL_AWAY, "the NameNode sends us to '%.40s', which is no URL", url);
	if (h->tls && strncmp(url, "https:", 6) != 0)
		return sl_fail(err, SL_IO,
			"the NameNode sends us to a DataNode without TLS; set dfs.http.policy=HTTPS_ONLY there");
	host_of(url, host);
	call.url = url;
	enum sl_status s = sl_clients_call(is_node_url(h, url) ? h->name : h->data, &call, SL_RETRY_NONE, ret, err);
	if (s == SL_INVALID)
		return sl_prefix(err, SL_AWAY, "DataNode %s does not speak HTTP", host);
	if (s != SL_OK)
		return s;
	s = judge(ret, true, err);
	return s == SL_OK ? s : sl_prefix(err, s, "DataNode %s", host);
}
