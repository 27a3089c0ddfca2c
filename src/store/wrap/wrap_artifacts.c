/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wrap/forward.h"

struct wrap {
	struct sl_hook *hook;
	struct sl_artifacts_impl in;
};

#define CALL(name, expr, undo) FORWARD("artifacts", name, w->hook, expr, undo)

static void close_artifacts(void *self)
{
	struct wrap *w = self;
	w->in.ops->close(w->in.self);
	w->hook->free(w->hook);
	free(w);
}

static enum sl_status put(void *self, const char *path, struct sl_slice bytes, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("put", w->in.ops->put(w->in.self, path, bytes, err), );
}

static enum sl_status get(void *self, const char *path, struct sl_buf *ret, struct sl_err *err)
{
	struct wrap *w = self;
	size_t at = ret->len;
	return CALL("get", w->in.ops->get(w->in.self, path, ret, err), ret->len = at);
}

static enum sl_status list(void *self, const char *prefix, struct sl_artifact_list *ret, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("list", w->in.ops->list(w->in.self, prefix, ret, err), sl_artifact_list_done(ret));
}

static enum sl_status remove_artifact(void *self, const char *path, struct sl_err *err)
{
	struct wrap *w = self;
	return CALL("remove", w->in.ops->remove(w->in.self, path, err), );
}

static const struct sl_artifacts_ops ops = {
	.close = close_artifacts,
	.put = put,
	.get = get,
	.list = list,
	.remove = remove_artifact,
};

struct sl_artifacts_impl sl_wrap_artifacts(struct sl_hook *h, struct sl_artifacts_impl inner)
{
	struct wrap *w = SL_NEW(struct wrap);
	*w = (struct wrap){h, inner};
	return (struct sl_artifacts_impl){&ops, w};
}
