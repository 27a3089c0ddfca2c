/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "store/mem/mem.h"
#include "store/mem/table.h"
#include <pthread.h>

struct object {
	char path[SL_ARTIFACT_PATH];
	struct sl_buf bytes;
};

struct artifacts {
	pthread_mutex_t lock;
	struct sl_table table; /* struct object by path */
};

static enum sl_status open_artifacts(struct sl_url *url, const struct sl_config *cfg, void **ret, struct sl_err *err)
{
	struct artifacts *a = SL_NEW(struct artifacts);
	pthread_mutex_init(&a->lock, NULL);
	*ret = a;
	return SL_OK;
}

static void free_object(struct object *o)
{
	if (!o)
		return;
	sl_buf_done(&o->bytes);
	free(o);
}

static void close_artifacts(void *self)
{
	struct artifacts *a = self;
	for (int i = 0; i < a->table.n; i++)
		free_object(a->table.row[i].value);
	sl_table_done(&a->table);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

/* Is one of the two a folder of the other? */
static bool is_inside(const char *x, const char *y)
{
	size_t n = strlen(x), m = strlen(y), common = SL_MIN(n, m);
	return n != m && !strncmp(x, y, common) && (n < m ? y : x)[common] == '/';
}

static enum sl_status check(const struct artifacts *a, const char *path, struct sl_err *err)
{
	for (int i = 0; i < a->table.n; i++)
		if (is_inside(a->table.row[i].key, path))
			return sl_fail(err, SL_CONFLICT,
				"artifact %s: there is %s, and one cannot be a folder of the other", path,
				a->table.row[i].key);
	return sl_table_get(&a->table, path) ? sl_fail(err, SL_EXISTS, "artifact %s is there already", path) : SL_OK;
}

static enum sl_status put(void *self, const char *path, struct sl_slice bytes, struct sl_err *err)
{
	struct artifacts *a = self;
	pthread_mutex_lock(&a->lock);
	enum sl_status s = check(a, path, err);
	if (s == SL_OK) {
		struct object *o = SL_NEW(struct object);
		SL_COPY(o->path, path);
		(void)sl_buf_add(&o->bytes, bytes.ptr, bytes.len);
		sl_table_add(&a->table, o->path, o);
	}
	pthread_mutex_unlock(&a->lock);
	return s;
}

static enum sl_status get(void *self, const char *path, struct sl_buf *ret, struct sl_err *err)
{
	struct artifacts *a = self;
	pthread_mutex_lock(&a->lock);
	const struct object *o = sl_table_get(&a->table, path);
	enum sl_status s =
		o ? sl_buf_add(ret, o->bytes.ptr, o->bytes.len) : sl_fail(err, SL_NOT_FOUND, "no artifact %s", path);
	if (o && s != SL_OK)
		sl_fail(err, s, "artifact %s: larger than the reader's limit", path);
	pthread_mutex_unlock(&a->lock);
	return s;
}

static enum sl_status list(void *self, const char *prefix, struct sl_artifact_list *ret, struct sl_err *err)
{
	struct artifacts *a = self;
	size_t len = strlen(prefix);
	pthread_mutex_lock(&a->lock);
	ret->path = sl_calloc((size_t)a->table.n, sizeof(*ret->path));
	ret->size = sl_calloc((size_t)a->table.n, sizeof(*ret->size));
	for (int i = 0; i < a->table.n; i++) {
		const struct object *o = a->table.row[i].value;
		if (strncmp(o->path, prefix, len))
			continue;
		SL_COPY(ret->path[ret->n], o->path);
		ret->size[ret->n++] = (int64_t)o->bytes.len;
	}
	pthread_mutex_unlock(&a->lock);
	return SL_OK;
}

static enum sl_status remove_artifact(void *self, const char *path, struct sl_err *err)
{
	struct artifacts *a = self;
	pthread_mutex_lock(&a->lock);
	struct object *o = sl_table_take(&a->table, path);
	pthread_mutex_unlock(&a->lock);
	free_object(o);
	return SL_OK;
}

const struct sl_artifacts_ops sl_mem_artifacts = {
	.open = open_artifacts,
	.close = close_artifacts,
	.put = put,
	.get = get,
	.list = list,
	.remove = remove_artifact,
};
