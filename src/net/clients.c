/* SPDX-License-Identifier: Apache-2.0 */
#include "net/clients.h"
#include "base/mem.h"
#include "base/thread.h"

struct sl_clients {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct sl_client *client[SL_CLIENTS_MAX];
	int idle, size; /* client[0..idle) wait for a call; the last to come back goes first: its connection is warm */
};

struct sl_clients *sl_clients_new(const struct sl_client_how *how, int size)
{
	struct sl_clients *p = SL_NEW(struct sl_clients);

	SL_ASSERT(size > 0 && size <= SL_CLIENTS_MAX);
	pthread_mutex_init(&p->lock, NULL);
	sl_cond_init(&p->freed);
	for (p->size = 0; p->size < size; p->size++)
		p->client[p->idle++] = sl_client_new(how);
	return p;
}

void sl_clients_free(struct sl_clients *p)
{
	if (!p)
		return;
	SL_ASSERT(p->idle == p->size);
	while (p->idle)
		sl_client_free(p->client[--p->idle]);
	pthread_cond_destroy(&p->freed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

/* NULL at the deadline. */
static struct sl_client *take(struct sl_clients *p, int64_t deadline_us)
{
	struct sl_client *c = NULL;

	pthread_mutex_lock(&p->lock);
	while (!p->idle && sl_cond_wait_until(&p->freed, &p->lock, deadline_us))
		;
	if (p->idle)
		c = p->client[--p->idle];
	pthread_mutex_unlock(&p->lock);
	return c;
}

static void give(struct sl_clients *p, struct sl_client *c)
{
	pthread_mutex_lock(&p->lock);
	p->client[p->idle++] = c;
	pthread_cond_signal(&p->freed);
	pthread_mutex_unlock(&p->lock);
}

enum sl_status sl_clients_call(
	struct sl_clients *p, const struct sl_call *call, struct sl_retry how, struct sl_reply *ret, struct sl_err *err)
{
	struct sl_client *c = take(p, call->deadline_us ? call->deadline_us : SL_FOREVER);

	if (!c) {
		sl_reply_reset(ret);
		return sl_fail(err, SL_BUSY, "all %d connections were busy until the deadline", p->size);
	}
	enum sl_status s = sl_client_retry(c, call, how, ret, err);
	give(p, c);
	return s;
}
