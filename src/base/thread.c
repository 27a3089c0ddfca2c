/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"
#include "base/mem.h"
#include <signal.h>
#include <string.h>

struct start {
	void *(*fn)(void *);
	void *arg;
	char name[16];
};

static void *run_start(void *p)
{
	struct start s = *(struct start *)p;
	free(p);
	pthread_setname_np(pthread_self(), s.name);
	return s.fn(s.arg);
}

pthread_t sl_thread_start(const char *name, void *(*fn)(void *), void *arg)
{
	struct start *s = SL_NEW(struct start);
	*s = (struct start){.fn = fn, .arg = arg};
	strncpy(s->name, name, sizeof(s->name) - 1);
	sigset_t end, old;
	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigaddset(&end, SIGINT);
	sigaddset(&end, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &end, &old);
	pthread_t t;
	int e = pthread_create(&t, NULL, run_start, s);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (e)
		SL_BUG("cannot start thread %s: %s", name, strerror(e));
	return t;
}

void sl_cond_init(pthread_cond_t *c)
{
	pthread_condattr_t a;
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(c, &a);
	pthread_condattr_destroy(&a);
}

bool sl_cond_wait_until(pthread_cond_t *c, pthread_mutex_t *m, int64_t deadline_us)
{
	if (deadline_us == SL_FOREVER)
		return pthread_cond_wait(c, m) == 0;
	struct timespec t = sl_timespec(deadline_us);
	return pthread_cond_timedwait(c, m, &t) == 0;
}

struct sl_queue {
	pthread_mutex_t lock;
	pthread_cond_t more;
	size_t cap, len, head;
	bool closed;
	void *item[];
};

struct sl_queue *sl_queue_new(size_t cap)
{
	SL_ASSERT(cap > 0);
	struct sl_queue *q = sl_zalloc(sizeof(*q) + cap * sizeof(void *));
	pthread_mutex_init(&q->lock, NULL);
	sl_cond_init(&q->more);
	q->cap = cap;
	return q;
}

void sl_queue_free(struct sl_queue *q)
{
	if (!q)
		return;
	pthread_cond_destroy(&q->more);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

enum sl_status sl_queue_push(struct sl_queue *q, void *item)
{
	enum sl_status s = SL_OK;
	pthread_mutex_lock(&q->lock);
	if (q->closed) {
		s = SL_CLOSED;
	} else if (q->len == q->cap) {
		s = SL_BUSY;
	} else {
		q->item[(q->head + q->len++) % q->cap] = item;
		pthread_cond_signal(&q->more);
	}
	pthread_mutex_unlock(&q->lock);
	return s;
}

enum sl_status sl_queue_pop(struct sl_queue *q, void **ret, int64_t deadline_us)
{
	enum sl_status s = SL_OK;
	pthread_mutex_lock(&q->lock);
	while (!q->len && !q->closed && s == SL_OK)
		if (!sl_cond_wait_until(&q->more, &q->lock, deadline_us) && !q->len)
			s = SL_TIMEOUT;
	if (q->len) {
		*ret = q->item[q->head];
		q->head = (q->head + 1) % q->cap;
		q->len--;
		s = SL_OK;
	} else if (q->closed) {
		s = SL_CLOSED;
	}
	pthread_mutex_unlock(&q->lock);
	return s;
}

void sl_queue_close(struct sl_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->more);
	pthread_mutex_unlock(&q->lock);
}

size_t sl_queue_len(struct sl_queue *q)
{
	pthread_mutex_lock(&q->lock);
	size_t n = q->len;
	pthread_mutex_unlock(&q->lock);
	return n;
}

size_t sl_queue_cap(const struct sl_queue *q)
{
	return q->cap;
}

struct job {
	void (*fn)(void *);
	void *arg;
};

struct sl_pool {
	struct sl_queue *queue;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	unsigned threads, running; /* running: threads that have not ended */
	bool joined;
	pthread_t thread[];
};

static void *pool_main(void *arg)
{
	struct sl_pool *p = arg;
	void *item;
	while (sl_queue_pop(p->queue, &item, SL_FOREVER) == SL_OK) {
		struct job *j = item;
		j->fn(j->arg);
		free(j);
	}
	pthread_mutex_lock(&p->lock);
	p->running--;
	pthread_cond_broadcast(&p->ended);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct sl_pool *sl_pool_start(const char *name, unsigned threads, size_t queue_cap)
{
	struct sl_pool *p = sl_zalloc(sizeof(*p) + threads * sizeof(pthread_t));
	p->queue = sl_queue_new(queue_cap);
	pthread_mutex_init(&p->lock, NULL);
	sl_cond_init(&p->ended);
	p->threads = p->running = threads;
	for (unsigned i = 0; i < threads; i++)
		p->thread[i] = sl_thread_start(name, pool_main, p);
	return p;
}

enum sl_status sl_pool_run(struct sl_pool *p, void (*fn)(void *), void *arg)
{
	struct job *j = SL_NEW(struct job);
	*j = (struct job){fn, arg};
	enum sl_status s = sl_queue_push(p->queue, j);
	if (s != SL_OK)
		free(j);
	return s;
}

size_t sl_pool_queued(struct sl_pool *p)
{
	return sl_queue_len(p->queue);
}

enum sl_status sl_pool_drain(struct sl_pool *p, int64_t deadline_us)
{
	sl_queue_close(p->queue);
	pthread_mutex_lock(&p->lock);
	bool in_time = true;
	while (p->running && in_time)
		in_time = sl_cond_wait_until(&p->ended, &p->lock, deadline_us) || !p->running;
	pthread_mutex_unlock(&p->lock);
	if (!in_time)
		return SL_TIMEOUT;
	for (unsigned i = 0; !p->joined && i < p->threads; i++)
		pthread_join(p->thread[i], NULL);
	p->joined = true;
	return SL_OK;
}

void sl_pool_free(struct sl_pool *p)
{
	if (!p)
		return;
	sl_pool_drain(p, SL_FOREVER);
	sl_queue_free(p->queue);
	pthread_cond_destroy(&p->ended);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
