/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "store/hbase/each.h"
#include "store/hbase/hbase.h"
#include "store/hbase/scan.h"
#include <stdio.h>

enum {
	HELPERS = 8,
	HELPERS_QUEUE = 256,
	CHUNK = 32,
	CHUNK_FEW = 4,
	COUNT_KEPT_MS = 60000,
	FAILURE_KEPT_MS = 5000,
	PATH = 8000
};

struct hbase {
	struct sl_gateways *g;
	struct sl_hbase_form form;
	struct sl_pool *helpers;
	int nhelpers;
	pthread_mutex_t lock;
	int64_t count, counted_us; /* 0: never */
	int64_t failed_us; /* 0: the last one did not */
	struct sl_err failure;
};

/* ---- put ---- */

struct put {
	struct hbase *h;
	const struct sl_crop_put *put;
	bool one;
};

static enum sl_status put_row(void *arg, int i, struct sl_err *err)
{
	const struct put *p = arg;
	SL_AUTO(sl_buf_done) struct sl_buf body = {0};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	char path[SL_KEY + 16];

	snprintf(path, sizeof(path), "/%s?check=put", p->put[i].key);
	sl_cells_put(&p->put[i], p->h->form.jpeg, &body);
	struct sl_hbase_ask ask = {.method = "PUT", .path = path, .body = sl_buf_slice(&body)};
	enum sl_status s = sl_gateways_ask(p->h->g, &ask, &r, NULL, err);
	if (s != SL_OK || r.status == 200)
		return s;
	if (r.status != 304)
		return sl_gateways_odd(p->h->g, &ask, &r, err);
	return p->one ? sl_fail(err, SL_EXISTS, "crop %s is there already", p->put[i].key) : SL_OK;
}

static enum sl_status put(void *self, const struct sl_crop_put *put, int n, bool one, struct sl_err *err)
{
	struct hbase *h = self;
	struct put p = {h, put, one};

	for (int i = 0; i < n; i++)
		if (!sl_hbase_is_key(sl_slice_str(put[i].key)))
			return sl_fail(err, SL_INVALID,
				"crop key '%s': letters, digits and -._~ are wanted of a row key", put[i].key);
	return sl_hbase_each(h->helpers, h->nhelpers, n, put_row, &p, err);
}

/* ---- get ---- */

struct get {
	struct hbase *h;
	const char *const *keys;
	struct sl_crop *ret;
	int n, chunk;
};

static enum sl_status get_chunk(void *arg, int c, struct sl_err *err)
{
	const struct get *t = arg;
	int from = c * t->chunk, n = SL_MIN(t->chunk, t->n - from);
	SL_AUTO(sl_buf_done) struct sl_buf path = {.cap = PATH};
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	bool any = false;

	sl_buf_printf(&path, "/multiget/%s," SL_COLUMN_META "," SL_COLUMN_SUM "?", t->h->form.jpeg);
	for (int i = from; i < from + n; i++)
		if (sl_hbase_is_key(sl_slice_str(t->keys[i]))) { /* others are not there */
			sl_buf_printf(&path, "%srow=%s", any ? "&" : "", t->keys[i]);
			any = true;
		}
	if (!any)
		return SL_OK;
	struct sl_hbase_ask ask = {.method = "GET", .path = (const char *)path.ptr};
	enum sl_status s = sl_gateways_ask(t->h->g, &ask, &r, NULL, err);
	if (s != SL_OK || r.status == 404)
		return s;
	if (r.status != 200)
		return sl_gateways_odd(t->h->g, &ask, &r, err);
	return sl_cells_crops(sl_buf_slice(&r.body), t->h->form.jpeg, t->keys + from, n, t->ret + from, err);
}

static enum sl_status get(void *self, const char *const *keys, int n, struct sl_crop *ret, struct sl_err *err)
{
	struct hbase *h = self;
	struct get t = {h, keys, ret, n, n > CHUNK ? CHUNK : CHUNK_FEW};

	return sl_hbase_each(h->helpers, h->nhelpers, (n + t.chunk - 1) / t.chunk, get_chunk, &t, err);
}

/* ---- scan, remove, count ---- */

struct page {
	char (*key)[SL_KEY];
	int n, max;
};

static bool add_key(void *arg, const char *key)
{
	struct page *p = arg;

	sl_copy(p->key[p->n++], SL_KEY, key);
	return p->n < p->max;
}

static enum sl_status scan(
	void *self, const char *prefix, const char *after, int max, char (*ret)[SL_KEY], int *ret_n, struct sl_err *err)
{
	struct hbase *h = self;
	struct page p = {ret, 0, max};
	enum sl_status s = sl_hbase_scan(h->g, &h->form, prefix, after, max, add_key, &p, err);

	*ret_n = s == SL_OK ? p.n : 0;
	return s;
}

static bool keep_time(void *arg, struct sl_slice key, int64_t time_ms)
{
	*(int64_t *)arg = time_ms;
	return true;
}

/* Is it absent, or could the gateway not read it? */
static enum sl_status check_absent(struct hbase *h, const char *key, int64_t deadline_us, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf got = {0};
	enum sl_status s = sl_hbase_first(
		h->g, &h->form, sl_slice_str(key), sl_slice(key, strlen(key) + 1), deadline_us, &got, err);

	return s == SL_OK && got.len ? sl_fail(err, SL_AWAY, "hbase table %s: its gateway could not read row %s",
					       sl_gateways_table(h->g), key)
				     : s;
}

static enum sl_status remove_crop(void *self, const char *key, struct sl_err *err)
{
	struct hbase *h = self;
	SL_AUTO(sl_reply_done) struct sl_reply r = {0};
	int64_t deadline_us = sl_gateways_deadline(h->g), time_ms = 0;
	const char *more = h->form.family[1];
	char path[SL_KEY + 2 * SL_COLUMN + 64];

	if (!sl_hbase_is_key(sl_slice_str(key)))
		return SL_OK;
	snprintf(path, sizeof(path), "/multiget?row=%s", key);
	struct sl_hbase_ask look = {.method = "GET", .path = path, .deadline_us = deadline_us};
	enum sl_status s = sl_gateways_ask(h->g, &look, &r, NULL, err);
	if (s == SL_OK && r.status == 404)
		return check_absent(h, key, deadline_us, err);
	if (s != SL_OK)
		return s;
	if (r.status != 200)
		return sl_gateways_odd(h->g, &look, &r, err);
	s = sl_cells_each(sl_buf_slice(&r.body), keep_time, &time_ms, err);
	if (s != SL_OK)
		return s;
	snprintf(path, sizeof(path), "/%s/%s%s%s/%lld", key, h->form.family[0], more ? "," : "", more ? more : "",
		(long long)time_ms);
	struct sl_hbase_ask ask = {.method = "DELETE", .path = path, .deadline_us = deadline_us};
	s = sl_gateways_ask(h->g, &ask, &r, NULL, err);
	return s == SL_OK && r.status != 200 && r.status != 404 ? sl_gateways_odd(h->g, &ask, &r, err) : s;
}

static bool is_fresh(int64_t since_us, int64_t for_ms)
{
	return since_us && sl_mono_us() - since_us <= for_ms * 1000;
}

static enum sl_status count(void *self, int64_t *ret, struct sl_err *err)
{
	struct hbase *h = self;
	enum sl_status s = SL_OK;

	pthread_mutex_lock(&h->lock); /* one counts, or fails, for all who ask */
	if (is_fresh(h->failed_us, FAILURE_KEPT_MS)) {
		s = h->failure.status;
	} else if (!is_fresh(h->counted_us, COUNT_KEPT_MS)) {
		s = sl_hbase_count(h->g, &h->form, SL_HBASE_COUNT_EXACT, &h->count, &h->failure);
		h->counted_us = s == SL_OK ? sl_mono_us() : 0;
		h->failed_us = s == SL_OK ? 0 : sl_mono_us();
	}
	if (s != SL_OK && err)
		*err = h->failure;
	*ret = h->count;
	pthread_mutex_unlock(&h->lock);
	return s;
}

/* ---- open, close ---- */

static void close_crops(void *self)
{
	struct hbase *h = self;

	sl_pool_free(h->helpers);
	sl_gateways_free(h->g);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static enum sl_status open_crops(struct sl_url *url, const struct sl_config *cfg, void **ret, struct sl_err *err)
{
	struct hbase *h = SL_NEW(struct hbase);
	enum sl_status s = sl_hbase_form(url, &h->form, err);

	pthread_mutex_init(&h->lock, NULL);
	if (s == SL_OK)
		s = sl_gateways_new(url, &h->g, err);
	if (s == SL_OK) /* before anything is made */
		s = sl_url_check_used(url, err);
	if (s == SL_OK)
		s = sl_hbase_table(h->g, &h->form, err);
	if (s != SL_OK) {
		close_crops(h);
		return s;
	}
	h->nhelpers = SL_MIN(HELPERS, sl_gateways_connections(h->g) - 1);
	h->helpers = h->nhelpers ? sl_pool_start("hbase", (unsigned)h->nhelpers, HELPERS_QUEUE) : NULL;
	*ret = h;
	return SL_OK;
}

const struct sl_crops_ops sl_hbase_crops = {
	.open = open_crops,
	.close = close_crops,
	.put = put,
	.get = get,
	.scan = scan,
	.remove = remove_crop,
	.count = count,
};
