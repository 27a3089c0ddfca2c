/* SPDX-License-Identifier: Apache-2.0 */
#include "store/artifacts.h"
#include "base/mem.h"
#include "store/meter.h"
#include "store/registry.h"
#include <pthread.h>

struct sl_artifacts {
	struct sl_artifacts_impl impl;
};

enum call { PUT, GET, LIST, REMOVE, CALLS };
static struct sl_meter meter[CALLS] = {{.call = "put"}, {.call = "get"}, {.call = "list"}, {.call = "remove"}};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_meter(void)
{
	sl_meter_init(SL_STORE_ARTIFACTS, meter, CALLS);
}

enum sl_status sl_artifacts_open(
	const char *url, const struct sl_config *cfg, struct sl_artifacts **ret, struct sl_err *err)
{
	pthread_once(&once, init_meter);
	struct sl_artifacts_impl impl;
	enum sl_status s = sl_registry_artifacts(url, cfg, &impl, err);
	if (s != SL_OK)
		return s;
	*ret = SL_NEW(struct sl_artifacts);
	(*ret)->impl = impl;
	return SL_OK;
}

void sl_artifacts_close(struct sl_artifacts *s)
{
	if (!s)
		return;
	s->impl.ops->close(s->impl.self);
	free(s);
}

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n >= m && !strcmp(s + n - m, end);
}

static bool has_bad_part(const char *path)
{
	for (const char *part = path;; part++) {
		size_t n = strcspn(part, "/");
		if (!n || part[0] == '.')
			return true;
		part += n;
		if (!*part)
			return false;
	}
}

static enum sl_status check_path(const char *path, struct sl_err *err)
{
	size_t n = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/");
	if (!n || path[n] || n >= SL_ARTIFACT_PATH || has_bad_part(path))
		return sl_fail(err, SL_INVALID,
			"artifact path '%.60s': 1 to %d letters, digits or . _ - / are wanted, and no part that is empty or begins with a dot",
			path, SL_ARTIFACT_PATH - 1);
	if (ends_with(path, ".sha256") || ends_with(path, ".tmp"))
		return sl_fail(err, SL_INVALID,
			"artifact path '%.60s': names that end in .sha256 or .tmp are the store's own", path);
	return SL_OK;
}

enum sl_status sl_artifacts_put(struct sl_artifacts *s, const char *path, struct sl_slice bytes, struct sl_err *err)
{
	enum sl_status st = check_path(path, err);
	if (st != SL_OK)
		return st;
	if (bytes.len > SL_ARTIFACT_MAX)
		return sl_fail(
			err, SL_TOO_LARGE, "artifact %s: %zu bytes; at most %zu", path, bytes.len, SL_ARTIFACT_MAX);
	return SL_METERED(meter[PUT], s->impl.ops->put(s->impl.self, path, bytes, err));
}

enum sl_status sl_artifacts_get(struct sl_artifacts *s, const char *path, struct sl_buf *ret, struct sl_err *err)
{
	enum sl_status st = check_path(path, err);
	return st != SL_OK ? st : SL_METERED(meter[GET], s->impl.ops->get(s->impl.self, path, ret, err));
}

/* A folder on a server may hold what others put there. */
static void drop_foreign(struct sl_artifact_list *l)
{
	int n = 0;
	for (int i = 0; i < l->n; i++) {
		if (check_path(l->path[i], NULL) != SL_OK)
			continue;
		if (n < i) {
			memcpy(l->path[n], l->path[i], SL_ARTIFACT_PATH);
			l->size[n] = l->size[i];
		}
		n++;
	}
	l->n = n;
}

struct item {
	char path[SL_ARTIFACT_PATH];
	int64_t size;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->path, ((const struct item *)b)->path);
}

static void sort(struct sl_artifact_list *l)
{
	SL_AUTOFREE struct item *item = SL_NEW_N(struct item, (size_t)l->n);
	for (int i = 0; i < l->n; i++) {
		memcpy(item[i].path, l->path[i], SL_ARTIFACT_PATH);
		item[i].size = l->size[i];
	}
	qsort(item, (size_t)l->n, sizeof(*item), by_path);
	for (int i = 0; i < l->n; i++) {
		memcpy(l->path[i], item[i].path, SL_ARTIFACT_PATH);
		l->size[i] = item[i].size;
	}
}

enum sl_status sl_artifacts_list(
	struct sl_artifacts *s, const char *prefix, struct sl_artifact_list *ret, struct sl_err *err)
{
	struct sl_artifact_list l = {0};
	enum sl_status st = SL_METERED(meter[LIST], s->impl.ops->list(s->impl.self, prefix ? prefix : "", &l, err));
	if (st != SL_OK) {
		sl_artifact_list_done(&l);
		return st;
	}
	drop_foreign(&l);
	if (l.n)
		sort(&l);
	*ret = l;
	return SL_OK;
}

void sl_artifact_list_done(struct sl_artifact_list *l)
{
	free(l->path);
	free(l->size);
	*l = (struct sl_artifact_list){0};
}

enum sl_status sl_artifacts_remove(struct sl_artifacts *s, const char *path, struct sl_err *err)
{
	enum sl_status st = check_path(path, err);
	return st != SL_OK ? st : SL_METERED(meter[REMOVE], s->impl.ops->remove(s->impl.self, path, err));
}
