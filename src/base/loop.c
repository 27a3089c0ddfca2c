/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"
#include "base/buf.h"
#include "base/mem.h"

void sl_loop_init(struct sl_loop *l)
{
	*l = (struct sl_loop){.pause_ms = 0};
	pthread_mutex_init(&l->lock, NULL);
	sl_cond_init(&l->cond);
}

static void *run(void *arg)
{
	struct sl_loop *l = arg;
	l->fn(l->arg);
	pthread_mutex_lock(&l->lock);
	l->ended = true;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

void sl_loop_start(struct sl_loop *l, const char *name, void (*fn)(void *arg), void *arg)
{
	l->fn = fn;
	l->arg = arg;
	l->thread = sl_thread_start(name, run, l);
}

bool sl_loop_goes_on(struct sl_loop *l)
{
	pthread_mutex_lock(&l->lock);
	bool goes_on = !l->draining;
	pthread_mutex_unlock(&l->lock);
	return goes_on;
}

void sl_loop_rest(struct sl_loop *l, int64_t deadline_us)
{
	pthread_mutex_lock(&l->lock);
	while (!l->draining && !l->woken && sl_cond_wait_until(&l->cond, &l->lock, deadline_us))
		;
	l->woken = false;
	pthread_mutex_unlock(&l->lock);
}

void sl_loop_wake(struct sl_loop *l)
{
	pthread_mutex_lock(&l->lock);
	l->woken = true;
	pthread_cond_broadcast(&l->cond);
	pthread_mutex_unlock(&l->lock);
}

/* The clock's last digits are random enough to part those that failed together. */
int64_t sl_back_off(int64_t *pause_ms, int64_t first_ms, int64_t max_ms)
{
	*pause_ms = *pause_ms ? SL_MIN(2 * *pause_ms, max_ms) : first_ms;
	int64_t now = sl_mono_us(), half = *pause_ms * 500;
	return now + half + now % half;
}

void sl_loop_pause(struct sl_loop *l, const char *why)
{
	int64_t until = sl_back_off(&l->pause_ms, SL_LOOP_PAUSE_MS, SL_LOOP_PAUSE_MAX_MS);
	pthread_mutex_lock(&l->lock);
	SL_COPY_CUT(l->why, why);
	while (!l->draining && sl_cond_wait_until(&l->cond, &l->lock, until))
		;
	pthread_mutex_unlock(&l->lock);
}

void sl_loop_is_well(struct sl_loop *l)
{
	if (!l->pause_ms)
		return;
	l->pause_ms = 0;
	pthread_mutex_lock(&l->lock);
	l->why[0] = 0;
	pthread_mutex_unlock(&l->lock);
}

bool sl_loop_is_fine(struct sl_loop *l, char why[SL_LOOP_WHY])
{
	pthread_mutex_lock(&l->lock);
	bool fine = !l->why[0];
	if (!fine)
		memcpy(why, l->why, sizeof(l->why));
	pthread_mutex_unlock(&l->lock);
	return fine;
}

enum sl_status sl_loop_drain(struct sl_loop *l, int64_t deadline_us)
{
	pthread_mutex_lock(&l->lock);
	l->draining = true;
	pthread_cond_broadcast(&l->cond);
	while (!l->ended && sl_cond_wait_until(&l->cond, &l->lock, deadline_us))
		;
	bool ended = l->ended;
	pthread_mutex_unlock(&l->lock);
	return ended ? SL_OK : SL_TIMEOUT;
}

void sl_loop_stop(struct sl_loop *l)
{
	sl_loop_drain(l, SL_FOREVER);
	pthread_join(l->thread, NULL);
	sl_loop_done(l);
}

void sl_loop_done(struct sl_loop *l)
{
	pthread_cond_destroy(&l->cond);
	pthread_mutex_destroy(&l->lock);
}
