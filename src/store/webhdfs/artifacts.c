/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"
#include "base/mem.h"
#include "store/webhdfs/internal.h"
#include "store/webhdfs/webhdfs.h"
#include <stdio.h>

enum { TIDY_EVERY_S = 3600, KEEP_TEMP_S = 86400, TIDY_MS = 2000 };
#define TEMP_NAME "put-" /* and 32 hex digits */

char *hdfs_temp(const struct hdfs *h)
{
	char id[33];
	sl_random_id(id);
	return sl_asprintf("%s/" HDFS_TEMP "/" TEMP_NAME "%s", h->root, id);
}

struct tidy {
	struct hdfs *h;
	int64_t now_ms, deadline_us; /* now: by the server's clock */
};

static enum sl_status remove_old(const char *name, const struct hdfs_entry *e, void *arg, struct sl_err *err)
{
	const struct tidy *t = arg;
	if (strncmp(name, TEMP_NAME, strlen(TEMP_NAME)) || t->now_ms - e->time_ms < KEEP_TEMP_S * 1000LL)
		return SL_OK;
	SL_AUTOFREE char *path = sl_asprintf("%s/" HDFS_TEMP "/%s", t->h->root, name);
	return hdfs_delete(t->h, path, t->deadline_us, err);
}

void hdfs_tidy(struct hdfs *h)
{
	int64_t due = atomic_load(&h->tidy_us), now = sl_mono_us();
	if (now < due || !atomic_compare_exchange_strong(&h->tidy_us, &due, now + TIDY_EVERY_S * 1000000LL))
		return; /* or another thread does it */
	SL_AUTOFREE char *folder = sl_asprintf("%s/" HDFS_TEMP, h->root);
	struct tidy t = {.h = h, .deadline_us = sl_deadline_ms(TIDY_MS)};
	struct hdfs_entry e;
	/* The folder was changed just now, by what came before: its time is the server's. */
	if (hdfs_look(h, folder, t.deadline_us, &e, NULL) != SL_OK)
		return;
	t.now_ms = e.time_ms;
	(void)hdfs_each(h, folder, t.deadline_us, remove_old, &t, NULL);
}

struct walk {
	struct hdfs *h;
	const char *prefix, *at; /* at: the folder below root, "" or "a/b/" */
	int64_t deadline_us;
	struct sl_artifact_list *ret;
	int *size;
};

static void keep(struct walk *w, const char *path, int64_t size)
{
	struct sl_artifact_list *l = w->ret;
	if (l->n == *w->size) {
		*w->size = *w->size ? 2 * *w->size : 64;
		l->path = sl_realloc(l->path, (size_t)*w->size, sizeof(*l->path));
		l->size = sl_realloc(l->size, (size_t)*w->size, sizeof(*l->size));
	}
	SL_COPY(l->path[l->n], path);
	l->size[l->n++] = size;
}

static enum sl_status walk(struct walk w, struct sl_err *err);

static enum sl_status visit(const char *name, const struct hdfs_entry *e, void *arg, struct sl_err *err)
{
	struct walk *w = arg;
	bool folder = e->kind == HDFS_FOLDER;
	SL_AUTOFREE char *path = sl_asprintf("%s%s%s", w->at, name, folder ? "/" : "");
	size_t n = strlen(path), m = strlen(w->prefix);
	if (*name == '.' || n >= SL_ARTIFACT_PATH || strncmp(path, w->prefix, SL_MIN(n, m)) != 0)
		return SL_OK;
	if (folder) {
		struct walk in = *w;
		in.at = path;
		return walk(in, err);
	}
	if (n >= m)
		keep(w, path, e->size);
	return SL_OK;
}

static enum sl_status walk(struct walk w, struct sl_err *err)
{
	SL_AUTOFREE char *folder = sl_asprintf("%s/%s", w.h->root, w.at);
	folder[strlen(folder) - 1] = 0; /* at is "" or ends in '/' */
	return hdfs_each(w.h, folder, w.deadline_us, visit, &w, err);
}

static enum sl_status list(void *self, const char *prefix, struct sl_artifact_list *ret, struct sl_err *err)
{
	struct hdfs *h = self;
	const char *slash = strrchr(prefix, '/');
	SL_AUTOFREE char *at = sl_strndup(prefix, slash ? (size_t)(slash + 1 - prefix) : 0);
	int size = 0;
	struct walk w = {h, prefix, at, hdfs_deadline(h, 0), ret, &size};
	if (*prefix == '.' || *prefix == '/' || strstr(prefix, "//") || strstr(prefix, "/."))
		return SL_OK; /* no object's path begins so */
	enum sl_status s = walk(w, err);
	return s == SL_OK ? s : sl_prefix(err, s, "list of artifacts");
}

static enum sl_status remove_artifact(void *self, const char *path, struct sl_err *err)
{
	struct hdfs *h = self;
	SL_AUTOFREE char *file = sl_asprintf("%s/%s", h->root, path);
	enum sl_status s = hdfs_delete(h, file, hdfs_deadline(h, 0), err); /* or an empty folder, which is nothing */
	return s == SL_OK ? s : sl_prefix(err, s, "artifact %s", path);
}

/* Puts an attribute on a new folder in .tmp. */
static enum sl_status check_attributes(struct hdfs *h, int64_t deadline_us, struct sl_err *err)
{
	SL_AUTOFREE char *probe = hdfs_temp(h);
	char sum[SL_HEX_SHA256];
	sl_sha256_hex("", 0, sum);
	enum sl_status s = hdfs_mkdirs(h, probe, deadline_us, err);
	if (s != SL_OK)
		return s;
	s = hdfs_set_sum(h, probe, sum, deadline_us, err);
	if (s != SL_OK) {
		(void)hdfs_delete(h, probe, deadline_us, NULL);
		return sl_status_is_retriable(s) ? s : sl_prefix(err, s, "attributes (dfs.namenode.xattrs.enabled)");
	}
	return hdfs_delete(h, probe, deadline_us, err);
}

/* All that a put does, but for the bytes: a wrong URL, log-in, right or setting shows now. */
static enum sl_status check_rights(struct hdfs *h, struct sl_err *err)
{
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	SL_AUTOFREE char *temp = sl_asprintf("%s/" HDFS_TEMP, h->root);
	struct hdfs_ask may = {"GET", "CHECKACCESS", h->root, "&fsaction=rwx", hdfs_deadline(h, 0)};
	enum sl_status s = hdfs_mkdirs(h, temp, may.deadline_us, err);
	if (s != SL_OK)
		return s;
	s = hdfs_ask(h, &may, &r, err);
	if (s != SL_OK && s != SL_USAGE && s != SL_UNSUPPORTED) /* these: a gateway that cannot tell */
		return s;
	return check_attributes(h, may.deadline_us, err);
}

static void close_store(void *self)
{
	hdfs_free(self);
}

static enum sl_status open_store(struct sl_url *url, const struct sl_config *cfg, void **ret, struct sl_err *err)
{
	struct hdfs *h;
	struct sl_err why;
	enum sl_status s = hdfs_new(url, &h, err);
	if (s != SL_OK)
		return s;
	s = check_rights(h, &why);
	if (s != SL_OK) {
		if (err)
			*err = why;
		hdfs_free(h);
		return sl_prefix(err, s, "artifact store");
	}
	hdfs_tidy(h);
	*ret = h;
	return SL_OK;
}

const struct sl_artifacts_ops sl_webhdfs_artifacts = {
	.open = open_store,
	.close = close_store,
	.put = hdfs_put,
	.get = hdfs_get,
	.list = list,
	.remove = remove_artifact,
};
