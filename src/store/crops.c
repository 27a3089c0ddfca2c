/* SPDX-License-Identifier: Apache-2.0 */
#include "store/crops.h"
#include "base/mem.h"
#include "store/meter.h"
#include "store/registry.h"
#include <pthread.h>

struct sl_crops {
	struct sl_crops_impl impl;
};

enum call { PUT, PUT_MANY, GET, GET_MANY, SCAN, REMOVE, COUNT, CALLS };
static struct sl_meter meter[CALLS] = {{.call = "put"}, {.call = "put_many"}, {.call = "get"}, {.call = "get_many"},
	{.call = "scan"}, {.call = "remove"}, {.call = "count"}};
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init_meter(void)
{
	sl_meter_init(SL_STORE_CROPS, meter, CALLS);
}

void sl_crop_done(struct sl_crop *c)
{
	c->key[0] = 0;
	sl_buf_done(&c->jpeg);
	sl_buf_done(&c->meta);
}

enum sl_status sl_crops_open(const char *url, const struct sl_config *cfg, struct sl_crops **ret, struct sl_err *err)
{
	pthread_once(&once, init_meter);
	struct sl_crops_impl impl;
	enum sl_status s = sl_registry_crops(url, cfg, &impl, err);
	if (s != SL_OK)
		return s;
	*ret = SL_NEW(struct sl_crops);
	(*ret)->impl = impl;
	return SL_OK;
}

void sl_crops_close(struct sl_crops *s)
{
	if (!s)
		return;
	s->impl.ops->close(s->impl.self);
	free(s);
}

static enum sl_status check_key(const char *key, struct sl_err *err)
{
	size_t n = strlen(key);
	return n && n < SL_KEY
		       ? SL_OK
		       : sl_fail(err, SL_INVALID, "crop key '%.40s': 1 to %d bytes are wanted", key, SL_KEY - 1);
}

static enum sl_status check_put(const struct sl_crop_put *p, struct sl_err *err)
{
	enum sl_status s = check_key(p->key, err);
	if (s != SL_OK)
		return s;
	if (p->jpeg.len > SL_CROP_MAX)
		return sl_fail(err, SL_TOO_LARGE, "crop %s: %zu bytes; at most %d", p->key, p->jpeg.len, SL_CROP_MAX);
	if (p->meta.len > SL_CROP_META_MAX)
		return sl_fail(err, SL_TOO_LARGE, "crop %s: meta of %zu bytes; at most %d", p->key, p->meta.len,
			SL_CROP_META_MAX);
	return SL_OK;
}

enum sl_status sl_crops_put(
	struct sl_crops *s, const char *key, struct sl_slice jpeg, struct sl_slice meta, struct sl_err *err)
{
	struct sl_crop_put p = {key, jpeg, meta};
	enum sl_status st = check_put(&p, err);
	return st != SL_OK ? st : SL_METERED(meter[PUT], s->impl.ops->put(s->impl.self, &p, 1, true, err));
}

enum sl_status sl_crops_put_many(struct sl_crops *s, const struct sl_crop_put *put, int n, struct sl_err *err)
{
	for (int i = 0; i < n; i++) {
		enum sl_status st = check_put(&put[i], err);
		if (st != SL_OK)
			return st;
	}
	return n <= 0 ? SL_OK : SL_METERED(meter[PUT_MANY], s->impl.ops->put(s->impl.self, put, n, false, err));
}

enum sl_status sl_crops_get(struct sl_crops *s, const char *key, struct sl_crop *ret, struct sl_err *err)
{
	struct sl_crop c = {0};
	enum sl_status st = SL_METERED(meter[GET], s->impl.ops->get(s->impl.self, &key, 1, &c, err));
	if (st != SL_OK) {
		sl_crop_done(&c);
		return st;
	}
	if (!*c.key)
		return sl_fail(err, SL_NOT_FOUND, "no crop %.63s", key);
	*ret = c;
	return SL_OK;
}

enum sl_status sl_crops_get_many(
	struct sl_crops *s, const char *const *keys, int n, struct sl_crop *ret, struct sl_err *err)
{
	memset(ret, 0, sizeof(*ret) * (size_t)SL_MAX(n, 0));
	enum sl_status st =
		n <= 0 ? SL_OK : SL_METERED(meter[GET_MANY], s->impl.ops->get(s->impl.self, keys, n, ret, err));
	for (int i = 0; st != SL_OK && i < n; i++)
		sl_crop_done(&ret[i]);
	return st;
}

enum sl_status sl_crops_scan(struct sl_crops *s, const char *prefix, const char *after, int max, char (*ret)[SL_KEY],
	int *ret_n, struct sl_err *err)
{
	*ret_n = 0;
	if (max < 1 || max > SL_SCAN_MAX)
		return sl_fail(err, SL_INVALID, "crop scan: %d keys at once; 1 to %d", max, SL_SCAN_MAX);
	return SL_METERED(meter[SCAN],
		s->impl.ops->scan(s->impl.self, prefix ? prefix : "", after ? after : "", max, ret, ret_n, err));
}

enum sl_status sl_crops_remove(struct sl_crops *s, const char *key, struct sl_err *err)
{
	return SL_METERED(meter[REMOVE], s->impl.ops->remove(s->impl.self, key, err));
}

enum sl_status sl_crops_count(struct sl_crops *s, int64_t *ret, struct sl_err *err)
{
	return SL_METERED(meter[COUNT], s->impl.ops->count(s->impl.self, ret, err));
}
