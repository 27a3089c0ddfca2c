/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests to the NameNode about names: what is there, folders, digests.
 */
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "store/webhdfs/internal.h"
#include <stdio.h>

static enum sl_status parse(const struct sl_reply *r, const char *op, json_t **ret, struct sl_err *err)
{
	enum sl_status s = sl_json_parse(sl_buf_slice(&r->body), op, ret, err);
	return s == SL_OK ? s : sl_prefix(err, SL_IO, "the NameNode's answer");
}

/* {"boolean":...}, and nothing else: a proxy's page is no answer. */
static enum sl_status read_boolean(const struct sl_reply *r, const char *op, bool *ret, struct sl_err *err)
{
	SL_AUTOJSON json_t *all = NULL;
	enum sl_status s = parse(r, op, &all, err);
	json_t *o = json_object_get(all, "boolean");
	if (s == SL_OK && !json_is_boolean(o))
		return sl_fail(err, SL_IO, "the NameNode's answer to %s is neither yes nor no", op);
	*ret = json_is_true(o);
	return s;
}

/* A FileStatus of the answer. */
static enum sl_status read_entry(json_t *o, struct hdfs_entry *ret, struct sl_err *err)
{
	const char *type;
	int64_t id = 0;
	enum sl_status s = sl_json_str(o, "FileStatus", "type", &type, err);
	if (s == SL_OK)
		s = sl_json_int(o, "FileStatus", "length", &ret->size, err);
	if (s == SL_OK)
		s = sl_json_int(o, "FileStatus", "modificationTime", &ret->time_ms, err);
	if (s == SL_OK)
		s = sl_json_opt_int(o, "FileStatus", "fileId", &id, err); /* gateways do not say it */
	if (s == SL_OK && (ret->size < 0 || ret->time_ms < 0))
		s = sl_fail(err, SL_INVALID, "FileStatus: a negative length or time");
	if (s != SL_OK)
		return sl_prefix(err, SL_IO, "the NameNode's answer");
	ret->kind = strcmp(type, "DIRECTORY") ? HDFS_FILE : HDFS_FOLDER;
	snprintf(ret->id, sizeof(ret->id), "%lld %lld", (long long)id, (long long)ret->time_ms);
	return SL_OK;
}

static bool is_absent(enum sl_status s)
{
	return s == SL_NOT_FOUND || s == SL_CONFLICT; /* CONFLICT: a folder on the way is a file */
}

enum sl_status hdfs_look(
	struct hdfs *h, const char *path, int64_t deadline_us, struct hdfs_entry *ret, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	SL_AUTOJSON json_t *all = NULL;
	struct hdfs_ask a = {"GET", "GETFILESTATUS", path, NULL, deadline_us};
	struct sl_err why;
	*ret = (struct hdfs_entry){0};
	enum sl_status s = hdfs_ask(h, &a, &r, &why);
	if (is_absent(s))
		return SL_OK;
	if (s == SL_OK)
		s = parse(&r, a.op, &all, &why);
	if (s == SL_OK)
		s = read_entry(json_object_get(all, "FileStatus"), ret, &why);
	if (s != SL_OK && err)
		*err = why;
	return s;
}

struct page {
	hdfs_entry_fn fn;
	void *arg;
	char after[256 * 3 + 32]; /* the query that asks for the next page */
	char last[256]; /* name of the page before; "": this is the first */
	int64_t left;
};

static enum sl_status read_page(json_t *all, struct page *p, struct sl_err *err)
{
	json_t *listing = json_object_get(all, "DirectoryListing"), *o;
	json_t *list = json_object_get(
		json_object_get(json_object_get(listing, "partialListing"), "FileStatuses"), "FileStatus");
	const char *name = "";
	size_t i;
	p->left = 0;
	enum sl_status s = sl_json_int(listing, "DirectoryListing", "remainingEntries", &p->left, err);
	if (s != SL_OK || !json_is_array(list))
		return sl_fail(err, SL_IO, "the NameNode's list has no FileStatus or remainingEntries");
	json_array_foreach(list, i, o)
	{
		struct hdfs_entry e;
		if (s == SL_OK)
			s = sl_json_str(o, "FileStatus", "pathSuffix", &name, err);
		if (s == SL_INVALID || (s == SL_OK && strlen(name) >= sizeof(p->last)))
			s = sl_fail(err, SL_IO, "the NameNode's list has an entry without a fit name");
		if (s == SL_OK && *p->last && strcmp(name, p->last) <= 0)
			s = sl_fail(err, SL_IO, "the NameNode's list does not go on behind '%.60s'", p->last);
		if (s == SL_OK)
			s = read_entry(o, &e, err);
		if (s == SL_OK && *name) /* "": it is a file, not a folder */
			s = p->fn(name, &e, p->arg, err);
	}
	if (s == SL_OK && p->left && !*name)
		return sl_fail(err, SL_IO, "the NameNode's list says that more follows, and holds nothing");
	if (s == SL_OK)
		SL_COPY(p->last, name);
	SL_AUTO(sl_buf_done) struct sl_buf q = {0};
	sl_buf_puts(&q, "&startAfter=");
	sl_url_escape(name, &q);
	snprintf(p->after, sizeof(p->after), "%s", (const char *)q.ptr);
	return s;
}

enum sl_status hdfs_each(
	struct hdfs *h, const char *folder, int64_t deadline_us, hdfs_entry_fn fn, void *arg, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct page p = {.fn = fn, .arg = arg, .left = 1};
	while (p.left) {
		SL_AUTOJSON json_t *all = NULL;
		struct hdfs_ask a = {"GET", "LISTSTATUS_BATCH", folder, p.after, deadline_us};
		struct sl_err why;
		enum sl_status s = hdfs_ask(h, &a, &r, &why);
		if (is_absent(s))
			return SL_OK;
		if (s == SL_OK)
			s = parse(&r, a.op, &all, &why);
		if (s == SL_OK)
			s = read_page(all, &p, &why);
		if (s != SL_OK && err)
			*err = why;
		if (s != SL_OK)
			return s;
	}
	return SL_OK;
}

enum sl_status hdfs_mkdirs(struct hdfs *h, const char *path, int64_t deadline_us, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	char mode[32];
	snprintf(mode, sizeof(mode), "&permission=%o", (unsigned)h->folder_mode);
	struct hdfs_ask a = {"PUT", "MKDIRS", path, mode, deadline_us};
	bool made = false;
	enum sl_status s = hdfs_ask(h, &a, &r, err);
	if (s == SL_EXISTS)
		return sl_prefix(err, SL_CONFLICT, "a file is where a folder is wanted");
	if (s == SL_OK)
		s = read_boolean(&r, a.op, &made, err);
	return s != SL_OK || made ? s : sl_fail(err, SL_IO, "MKDIRS of %s: the NameNode says no", path);
}

enum sl_status hdfs_delete(struct hdfs *h, const char *path, int64_t deadline_us, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	struct hdfs_ask a = {"DELETE", "DELETE", path, NULL, deadline_us};
	struct sl_err why;
	bool removed;
	enum sl_status s = hdfs_ask(h, &a, &r, &why);
	if (s == SL_OK)
		s = read_boolean(&r, a.op, &removed, &why);
	if (s == SL_OK || is_absent(s))
		return SL_OK;
	if (err)
		*err = why;
	return s;
}

enum sl_status hdfs_set_sum(struct hdfs *h, const char *path, const char *hex, int64_t deadline_us, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	char query[160];
	snprintf(query, sizeof(query), "&xattr.name=" HDFS_SUM "&xattr.value=%%22%s%%22&flag=CREATE,REPLACE", hex);
	struct hdfs_ask a = {"PUT", "SETXATTR", path, query, deadline_us};
	enum sl_status s = hdfs_ask(h, &a, &r, err);
	return s != SL_OK || !r.body.len
		       ? s
		       : sl_fail(err, SL_IO, "SETXATTR of %s: an answer that no NameNode gives", path);
}

enum sl_status hdfs_get_sum(
	struct hdfs *h, const char *path, int64_t deadline_us, char ret[SL_HEX_SHA256], struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	SL_AUTOJSON json_t *all = NULL;
	struct hdfs_ask a = {"GET", "GETXATTRS", path, "&xattr.name=" HDFS_SUM "&encoding=text", deadline_us};
	enum sl_status s = hdfs_ask(h, &a, &r, err);
	if (s == SL_CORRUPT)
		return sl_prefix(err, s, "it has no digest (" HDFS_SUM "): restore it from a copy");
	if (s == SL_OK)
		s = parse(&r, a.op, &all, err);
	if (s != SL_OK)
		return s;
	json_t *o = json_array_get(json_object_get(all, "XAttrs"), 0);
	const char *value = json_string_value(json_object_get(o, "value"));
	if (!value || sscanf(value, "\"%64[0-9a-f]\"", ret) != 1 || !sl_is_sha256_hex(ret))
		return sl_fail(err, SL_CORRUPT, "%s: its attribute " HDFS_SUM " is no digest", path);
	return SL_OK;
}
