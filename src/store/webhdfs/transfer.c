/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes up and down. See webhdfs.h for how an object comes to be.
 */
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/webhdfs/internal.h"
#include <stdio.h>

enum { ERROR_BODY = 64 << 10 }; /* room for what a server says instead of a small piece */

struct put {
	struct hdfs *h;
	const char *path; /* the object's, for texts */
	char *to, *temp;
	struct sl_slice bytes;
	char sum[SL_HEX_SHA256];
	int64_t deadline_us;
};

static void freep_put(struct put *p)
{
	free(p->to);
	free(p->temp);
}

static char *query_avoiding(const char *more, const char *host)
{
	SL_AUTO(sl_buf_done) struct sl_buf avoid = {0};
	sl_url_escape(host, &avoid);
	return sl_asprintf("&noredirect=true%s%s%s", more, *host ? "&excludedatanodes=" : "",
		avoid.ptr ? (const char *)avoid.ptr : "");
}

/* What cannot be removed now is removed tomorrow. */
static void drop_temp(struct put *p)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct hdfs_ask a = {"DELETE", "DELETE", p->temp, NULL, p->deadline_us, .once = true};
	if (p->temp)
		(void)hdfs_ask(p->h, &a, &r, NULL);
	free(p->temp);
	p->temp = NULL;
}

/* One try, to a new name: an earlier one may still be written by a DataNode that we lost. */
static enum sl_status upload_once(struct put *p, const char *avoid, char host[HDFS_HOST], struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply sent = {0}, r = {0};
	SL_AUTOFREE char *query = query_avoiding(p->h->create, avoid);
	drop_temp(p);
	p->temp = hdfs_temp(p->h);
	struct hdfs_ask a = {"PUT", "CREATE", p->temp, query, p->deadline_us, .once = *avoid};
	host[0] = 0;
	enum sl_status s = hdfs_ask(p->h, &a, &sent, err);
	if (s != SL_OK)
		return s;
	struct sl_call call = {.method = "PUT",
		.body = {p->bytes.ptr ? p->bytes.ptr : (const uint8_t *)"", p->bytes.len},
		.type = "application/octet-stream",
		.deadline_us = hdfs_slice(p->h, p->bytes.len, p->deadline_us)};
	return hdfs_follow(p->h, &sent, call, &r, host, err);
}

/* Tries of a transfer. What is told at the end is the last failure, but not that there is no DataNode beside
 * the one to avoid. */
struct tries {
	int n;
	char avoid[HDFS_HOST], host[HDFS_HOST]; /* host: who was asked for bytes in the last one, or "" */
	struct sl_err last;
};

/* After a failure in t->last: is another try worth it? A NameNode was asked often enough. */
static bool again(const struct hdfs *h, struct tries *t, const struct sl_err *why, int64_t deadline_us)
{
	bool retriable = sl_status_is_retriable(why->status) || (why->status == SL_REFUSED && *t->host),
	     alone = retriable && *t->avoid && !*t->host;
	if (!alone)
		t->last = *why;
	if (!retriable || (!alone && !*t->host) || !hdfs_wait(h, ++t->n, deadline_us))
		return false;
	if (why->status != SL_BUSY) /* then it was not asked */
		SL_COPY(t->avoid, t->host);
	return true;
}

static enum sl_status upload(struct put *p, struct sl_err *err)
{
	struct tries t = {0};
	struct sl_err why;
	enum sl_status s;
	while ((s = upload_once(p, t.avoid, t.host, &why)) != SL_OK)
		if (!again(p->h, &t, &why, p->deadline_us)) {
			*err = t.last;
			return t.last.status;
		}
	return s;
}

static enum sl_status rename_temp(struct put *p, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	SL_AUTO(sl_buf_done) struct sl_buf query = {0};
	SL_AUTOJSON json_t *all = NULL;
	struct hdfs_entry e;
	sl_buf_puts(&query, "&renameoptions=NONE&destination=");
	sl_url_escape(p->to, &query);
	struct hdfs_ask a = {"PUT", "RENAME", p->temp, (const char *)query.ptr, p->deadline_us};
	enum sl_status s = hdfs_ask(p->h, &a, &r, err);
	if (s != SL_OK || !r.body.len)
		return s;
	/* The older rename: false says nothing of why, true may mean that it went into a folder. */
	if (sl_json_parse(sl_buf_slice(&r.body), a.op, &all, NULL) != SL_OK ||
		!json_is_boolean(json_object_get(all, "boolean")))
		return sl_fail(err, SL_IO, "RENAME of %s: an answer that no NameNode gives", p->temp);
	if (json_is_false(json_object_get(all, "boolean")))
		return sl_fail(err, SL_NOT_FOUND, "RENAME of %s: the NameNode says no", p->temp);
	s = hdfs_look(p->h, p->to, p->deadline_us, &e, err);
	if (s != SL_OK || e.kind != HDFS_FOLDER)
		return s;
	SL_AUTOFREE char *inside = sl_asprintf("%s%s", p->to, strrchr(p->temp, '/'));
	(void)hdfs_delete(p->h, inside, p->deadline_us, NULL);
	return sl_fail(err, SL_CONFLICT, "it is the folder of other objects");
}

/* The rename did not say OK: what is there now? */
static enum sl_status settle(struct put *p, enum sl_status s, struct sl_err *err)
{
	struct hdfs_entry temp, to;
	char sum[SL_HEX_SHA256];
	struct sl_err why;
	enum sl_status t = hdfs_look(p->h, p->temp, p->deadline_us, &temp, &why);
	if (t == SL_OK)
		t = hdfs_look(p->h, p->to, p->deadline_us, &to, &why);
	if (t != SL_OK) { /* it may have been renamed and it may not */
		if (err)
			*err = why;
		return t;
	}
	if (temp.kind == HDFS_FILE)
		return to.kind == HDFS_FILE     ? sl_fail(err, SL_EXISTS, "artifact %s is there already", p->path)
		       : to.kind == HDFS_FOLDER ? sl_fail(err, SL_CONFLICT, "it is the folder of other objects")
		       : s == SL_NOT_FOUND ? sl_fail(err, SL_AWAY, "its folder was removed meanwhile; put it again")
					   : s;
	/* Nobody else takes it away within a day: it was renamed, and the answer was lost. */
	if (to.kind == HDFS_FILE && hdfs_get_sum(p->h, p->to, p->deadline_us, sum, NULL) == SL_OK &&
		!strcmp(sum, p->sum))
		return SL_OK;
	return sl_fail(err, SL_AWAY, "its temporary file is gone; put it again");
}

static enum sl_status publish(struct put *p, struct sl_err *err)
{
	struct sl_err why;
	enum sl_status s = rename_temp(p, &why);
	if (s == SL_NOT_FOUND) { /* mostly: the object's folder is not there yet */
		SL_AUTOFREE char *folder = sl_strdup(p->to);
		*strrchr(folder, '/') = 0;
		s = hdfs_mkdirs(p->h, folder, p->deadline_us, &why);
		if (s == SL_OK)
			s = rename_temp(p, &why);
	}
	if (s == SL_OK)
		return s;
	if (err)
		*err = why;
	return settle(p, s, err);
}

/* Whoever took the bytes: what does the NameNode have? */
static enum sl_status check_size(struct put *p, struct sl_err *err)
{
	struct hdfs_entry e;
	enum sl_status s = hdfs_look(p->h, p->temp, p->deadline_us, &e, err);
	if (s == SL_OK && (e.kind != HDFS_FILE || e.size != (int64_t)p->bytes.len))
		return sl_fail(err, SL_IO, "%zu bytes were sent and said to be stored, but there are %lld",
			p->bytes.len, (long long)e.size);
	return s;
}

static enum sl_status put_new(struct put *p, struct sl_err *err)
{
	struct hdfs_entry e;
	enum sl_status s = hdfs_look(p->h, p->to, p->deadline_us, &e, err); /* saves the upload; the rename decides */
	if (s != SL_OK)
		return s;
	if (e.kind != HDFS_NONE)
		return e.kind == HDFS_FILE ? sl_fail(err, SL_EXISTS, "artifact %s is there already", p->path)
					   : sl_fail(err, SL_CONFLICT, "it is the folder of other objects");
	sl_sha256_hex(p->bytes.ptr, p->bytes.len, p->sum);
	s = upload(p, err);
	if (s == SL_OK)
		s = check_size(p, err);
	if (s == SL_OK)
		s = hdfs_set_sum(p->h, p->temp, p->sum, p->deadline_us, err);
	return s == SL_OK ? publish(p, err) : s;
}

enum sl_status hdfs_put(void *self, const char *path, struct sl_slice bytes, struct sl_err *err)
{
	struct hdfs *h = self;
	struct sl_err why;
	SL_AUTO(freep_put)
	struct put p = {.h = h,
		.path = path,
		.bytes = bytes,
		.to = sl_asprintf("%s/%s", h->root, path),
		.deadline_us = hdfs_deadline(h, bytes.len)};
	enum sl_status s = put_new(&p, &why);
	if (s != SL_OK)
		drop_temp(&p);
	hdfs_tidy(h); /* the answer is known */
	if (s == SL_OK)
		return s;
	if (err)
		*err = why;
	return s == SL_EXISTS ? s : sl_prefix(err, s, "artifact %s", path);
}

struct get {
	struct hdfs *h;
	const char *path;
	char *from;
	struct sl_buf *ret;
	size_t at; /* where the object begins in ret */
	int64_t small_us, deadline_us; /* the deadline of a small object, and of this one */
};

/* Asks for len bytes from offset on and appends what came, all of it or not. */
static enum sl_status read_piece(struct get *g, size_t offset, size_t len, const char *avoid, struct sl_reply *r,
	char host[HDFS_HOST], struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply sent = {0};
	SL_AUTOFREE char *range = sl_asprintf("&offset=%zu&length=%zu", offset, len),
			 *query = query_avoiding(range, avoid);
	struct hdfs_ask a = {"GET", "OPEN", g->from, query, g->deadline_us, .once = *avoid};
	host[0] = 0;
	enum sl_status s = hdfs_ask(g->h, &a, &sent, err);
	if (s != SL_OK)
		return s;
	struct sl_call call = {
		.deadline_us = hdfs_slice(g->h, len, g->deadline_us), .body_max = SL_MAX(len, (size_t)ERROR_BODY)};
	s = hdfs_follow(g->h, &sent, call, r, host, err);
	if (r->status != 200 && r->status != 206)
		return s != SL_OK ? s : sl_fail(err, SL_AWAY, "DataNode %s answered HTTP %d", host, r->status);
	size_t n = SL_MIN(r->body.len, len);
	(void)sl_buf_add(g->ret, r->body.ptr, n); /* reserved */
	return s != SL_OK || n == len ? s : sl_fail(err, SL_AWAY, "DataNode %s broke off", host);
}

/* Goes on where it broke; only tries that bring nothing are counted. */
static enum sl_status download(struct get *g, size_t size, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct tries t = {0};
	while (g->ret->len - g->at < size) {
		struct sl_err why;
		size_t offset = g->ret->len - g->at, len = SL_MIN(size - offset, (size_t)g->h->piece);
		enum sl_status s = read_piece(g, offset, len, t.avoid, &r, t.host, &why);
		if (g->ret->len - g->at > offset)
			t.n = 0;
		if (s != SL_OK && !again(g->h, &t, &why, g->deadline_us)) {
			*err = t.last;
			return t.last.status;
		}
	}
	return SL_OK;
}

static enum sl_status get_once(struct get *g, struct hdfs_entry *e, struct sl_err *err)
{
	char want[SL_HEX_SHA256], sum[SL_HEX_SHA256];
	enum sl_status s = hdfs_look(g->h, g->from, g->deadline_us, e, err);
	if (s != SL_OK)
		return s;
	if (e->kind != HDFS_FILE)
		return sl_fail(err, SL_NOT_FOUND, "no artifact %s", g->path);
	if (e->size > (int64_t)SL_ARTIFACT_MAX)
		return sl_fail(err, SL_TOO_LARGE, "%lld bytes; at most %zu", (long long)e->size, SL_ARTIFACT_MAX);
	if (sl_buf_reserve(g->ret, (size_t)e->size) != SL_OK)
		return sl_fail(err, SL_TOO_LARGE, "larger than the reader's limit");
	g->deadline_us = g->small_us + (e->size >> 20) * HDFS_US_A_MIB;
	s = hdfs_get_sum(g->h, g->from, g->deadline_us, want, err);
	if (s == SL_OK)
		s = download(g, (size_t)e->size, err);
	if (s != SL_OK)
		return s;
	sl_sha256_hex(g->ret->ptr + g->at, (size_t)e->size, sum);
	return strcmp(sum, want)
		       ? sl_fail(err, SL_CORRUPT,
				 "its bytes are not what was stored (see " HDFS_SUM "); restore it from a copy")
		       : SL_OK;
}

/* Was the object removed, or put anew, while it was read? */
static bool is_another(struct get *g, const struct hdfs_entry *was)
{
	struct hdfs_entry now;
	return hdfs_look(g->h, g->from, g->deadline_us, &now, NULL) == SL_OK && strcmp(now.id, was->id) != 0;
}

enum sl_status hdfs_get(void *self, const char *path, struct sl_buf *ret, struct sl_err *err)
{
	struct hdfs *h = self;
	SL_AUTOFREE char *from = sl_asprintf("%s/%s", h->root, path);
	struct get g = {
		.h = h, .path = path, .from = from, .ret = ret, .at = ret->len, .small_us = hdfs_deadline(h, 0)};
	g.deadline_us = g.small_us;
	for (;;) {
		struct hdfs_entry e = {0};
		struct sl_err why;
		enum sl_status s = get_once(&g, &e, &why);
		if (s == SL_OK)
			return s;
		if (ret->ptr) {
			ret->len = g.at;
			ret->ptr[g.at] = 0;
		}
		if (e.kind == HDFS_FILE && s != SL_TOO_LARGE && !sl_is_past(g.deadline_us) && is_another(&g, &e))
			continue;
		if (err)
			*err = why;
		return s == SL_NOT_FOUND && e.kind != HDFS_FILE ? s : sl_prefix(err, s, "artifact %s", path);
	}
}
