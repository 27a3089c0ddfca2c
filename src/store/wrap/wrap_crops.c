/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wrap/forward.h"

struct wrap {
	struct sl_hook *hook;
	struct sl_crops_impl in;
};

#define CALL(name, expr, undo) FORWARD("crops", name, w->hook, expr, undo)

static void close_crops(void *self)
{
	struct wrap *w = self;
	w->in.ops->close(w->in.self);
	w->hook->free(w->hook);
	free(w);
}

static enum sl_status put(void *self, const struct sl_crop_put *put, int n, bool one, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL(one ? "put" : "put_many", w->in.ops->put(w->in.self, put, n, one, err), );
}

static void drop(struct sl_crop *c, int n)
{
	for (int i = 0; i < n; i++)
		sl_crop_done(&c[i]);
}

static enum sl_status get(void *self, const char *const *keys, int n, struct sl_crop *ret, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("get", w->in.ops->get(w->in.self, keys, n, ret, err), drop(ret, n));
}

static enum sl_status scan(
	void *self, const char *prefix, const char *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("scan", w->in.ops->scan(w->in.self, prefix, after, max, ret, ret_n, err), *ret_n = 0);
}

static enum sl_status remove_crop(void *self, const char *key, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("remove", w->in.ops->remove(w->in.self, key, err), );
}

static enum sl_status count(void *self, int64_t *ret, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("count", w->in.ops->count(w->in.self, ret, err), );
}

static const struct sl_crops_ops ops = {
	.close = close_crops,
	.put = put,
	.get = get,
	.scan = scan,
	.remove = remove_crop,
	.count = count,
};

struct sl_crops_impl sl_wrap_crops(struct sl_hook *h, struct sl_crops_impl inner)
{
	struct wrap *w = SL_NEW(struct wrap);
	*w = (struct wrap){h, inner};
	return (struct sl_crops_impl){&ops, w};
}
