/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "store/mem/mem.h"
#include "store/mem/table.h"
#include <pthread.h>
#include <stdio.h>

struct crops {
	pthread_mutex_t lock;
	struct sl_table table; /* struct sl_crop by key, sorted */
};

static enum sl_status open_crops(struct sl_url *url, const struct sl_config *cfg, void **ret, struct sl_err *err)
{
	struct crops *c = SL_NEW(struct crops);
	pthread_mutex_init(&c->lock, NULL);
	*ret = c;
	return SL_OK;
}

static void free_crop(struct sl_crop *c)
{
	sl_crop_done(c);
	free(c);
}

static void close_crops(void *self)
{
	struct crops *c = self;
	for (int i = 0; i < c->table.n; i++)
		free_crop(c->table.row[i].value);
	sl_table_done(&c->table);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static bool put_one(struct crops *c, const struct sl_crop_put *p)
{
	struct sl_crop *had = sl_table_get(&c->table, p->key);
	if (had)
		return false;
	struct sl_crop *new = SL_NEW(struct sl_crop);
	SL_COPY(new->key, p->key);
	(void)sl_buf_add(&new->jpeg, p->jpeg.ptr, p->jpeg.len);
	(void)sl_buf_add(&new->meta, p->meta.ptr, p->meta.len);
	sl_table_add(&c->table, new->key, new);
	return true;
}

static enum sl_status put(void *self, const struct sl_crop_put *put, int n, bool one, struct sl_err *err)
{
	struct crops *c = self;
	int added = 0;
	pthread_mutex_lock(&c->lock);
	for (int i = 0; i < n; i++)
		added += put_one(c, &put[i]);
	pthread_mutex_unlock(&c->lock);
	return one && !added ? sl_fail(err, SL_EXISTS, "crop %s is there already", put->key) : SL_OK;
}

static enum sl_status get(void *self, const char *const *keys, int n, struct sl_crop *ret, struct sl_err *err)
{
	struct crops *c = self;
	pthread_mutex_lock(&c->lock);
	for (int i = 0; i < n; i++) {
		const struct sl_crop *had = sl_table_get(&c->table, keys[i]);
		if (!had)
			continue;
		SL_COPY(ret[i].key, had->key);
		(void)sl_buf_add(&ret[i].jpeg, had->jpeg.ptr, had->jpeg.len);
		(void)sl_buf_add(&ret[i].meta, had->meta.ptr, had->meta.len);
	}
	pthread_mutex_unlock(&c->lock);
	return SL_OK;
}

static enum sl_status scan(
	void *self, const char *prefix, const char *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	struct crops *c = self;
	size_t len = strlen(prefix);
	pthread_mutex_lock(&c->lock);
	for (int i = sl_table_after(&c->table, after); i < c->table.n && *ret_n < max; i++)
		if (!strncmp(c->table.row[i].key, prefix, len))
			SL_COPY(ret[(*ret_n)++], c->table.row[i].key);
	pthread_mutex_unlock(&c->lock);
	return SL_OK;
}

static enum sl_status remove_crop(void *self, const char *key, struct sl_err *err)
{
	struct crops *c = self;
	pthread_mutex_lock(&c->lock);
	struct sl_crop *had = sl_table_take(&c->table, key);
	pthread_mutex_unlock(&c->lock);
	if (had)
		free_crop(had);
	return SL_OK;
}

static enum sl_status count(void *self, int64_t *ret, struct sl_err *err)
{
	struct crops *c = self;
	pthread_mutex_lock(&c->lock);
	*ret = c->table.n;
	pthread_mutex_unlock(&c->lock);
	return SL_OK;
}

const struct sl_crops_ops sl_mem_crops = {
	.open = open_crops,
	.close = close_crops,
	.put = put,
	.get = get,
	.scan = scan,
	.remove = remove_crop,
	.count = count,
};
