/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hbase/each.h"
#include "base/mem.h"

/* Freed by the last that lets it go: a helper that comes late finds no work, and nobody waits for it. */
struct shared {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	enum sl_status (*fn)(void *arg, int i, struct sl_err *err);
	void *arg;
	int next, n, running, refs;
	enum sl_status status;
	struct sl_err err;
};

static void unref(struct shared *s)
{
	pthread_mutex_lock(&s->lock);
	bool last = --s->refs == 0;
	pthread_mutex_unlock(&s->lock);
	if (!last)
		return;
	pthread_cond_destroy(&s->ended);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void work(struct shared *s)
{
	struct sl_err err = {0};

	pthread_mutex_lock(&s->lock);
	while (s->status == SL_OK && s->next < s->n) {
		int i = s->next++;
		s->running++;
		pthread_mutex_unlock(&s->lock);
		enum sl_status st = s->fn(s->arg, i, &err);
		pthread_mutex_lock(&s->lock);
		s->running--;
		if (st != SL_OK && s->status == SL_OK) {
			s->status = st;
			s->err = err;
		}
	}
	if (!s->running)
		pthread_cond_signal(&s->ended);
	pthread_mutex_unlock(&s->lock);
}

static void help(void *arg)
{
	work(arg);
	unref(arg);
}

enum sl_status sl_hbase_each(struct sl_pool *helpers, int nhelpers, int n,
	enum sl_status (*fn)(void *arg, int i, struct sl_err *err), void *arg, struct sl_err *err)
{
	if (n == 1)
		return fn(arg, 0, err);
	struct shared *s = SL_NEW(struct shared);

	*s = (struct shared){.fn = fn, .arg = arg, .n = n, .refs = 1 + SL_MIN(n - 1, nhelpers), .status = SL_OK};
	pthread_mutex_init(&s->lock, NULL);
	sl_cond_init(&s->ended);
	for (int i = s->refs - 1; i > 0; i--)
		if (sl_pool_run(helpers, help, s) != SL_OK) /* all are busy */
			unref(s);
	work(s);
	pthread_mutex_lock(&s->lock);
	while (s->running)
		sl_cond_wait_until(&s->ended, &s->lock, SL_FOREVER);
	enum sl_status ret = s->status;
	if (ret != SL_OK && err)
		*err = s->err;
	pthread_mutex_unlock(&s->lock);
	unref(s);
	return ret;
}
