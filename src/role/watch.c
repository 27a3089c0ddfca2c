/* SPDX-License-Identifier: Apache-2.0 */
#include "role/watch.h"
#include "base/loop.h"
#include "base/mem.h"
#include "core/message.h"
#include "store/health.h"

enum { WATCH_MS = 5000, WATCH_AWAY_MS = 1000 };

struct probe {
	struct sl_watch *w;
	enum sl_store store;
	struct sl_loop loop;
	int64_t asked, done; /* rounds; under watch.lock */
};

struct sl_watch {
	struct sl_stores st;
	struct probe probe[SL_STORES];
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct sl_watched last; /* under lock */
};

static void look_at_log(struct sl_watch *w)
{
	int64_t labels = 0, intake = 0, curate = 0;
	struct sl_err err; /* for store/health.h */
	enum sl_status s = sl_log_lag(w->st.log, NULL, SL_TOPIC_LABELS, &labels, &err);
	if (s == SL_OK && sl_log_lag(w->st.log, SL_GROUP_INTAKE, SL_TOPIC_REVIEWS, &intake, &err) != SL_OK)
		intake = -1;
	if (s == SL_OK && sl_log_lag(w->st.log, SL_GROUP_CURATE, SL_TOPIC_LABELS, &curate, &err) != SL_OK)
		curate = -1;
	pthread_mutex_lock(&w->lock);
	if (s == SL_OK)
		w->last.labels = labels;
	w->last.intake = s == SL_OK ? intake : -1;
	w->last.curate = s == SL_OK ? curate : -1;
	pthread_mutex_unlock(&w->lock);
}

static void look_at_reviews(struct sl_watch *w)
{
	struct sl_review_stats r = {0};
	struct sl_err err;
	if (sl_reviews_stats(w->st.reviews, &r, &err) != SL_OK)
		return;
	pthread_mutex_lock(&w->lock);
	w->last.reviews = r;
	pthread_mutex_unlock(&w->lock);
}

/* Nothing has these names: the answer NOT_FOUND says that the store is there. */
static void look_at_crops(struct sl_watch *w)
{
	struct sl_crop c = {0};
	struct sl_err err;
	if (sl_crops_get(w->st.crops, "watch", &c, &err) == SL_OK)
		sl_crop_done(&c);
}

static void look_at_artifacts(struct sl_watch *w)
{
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	struct sl_err err;
	(void)sl_artifacts_get(w->st.artifacts, "watch/none", &b, &err);
}

static void work(void *arg)
{
	static void (*const look[SL_STORES])(struct sl_watch * w) = {
		look_at_log, look_at_crops, look_at_reviews, look_at_artifacts};
	struct probe *p = arg;
	struct sl_watch *w = p->w;
	while (sl_loop_goes_on(&p->loop)) {
		pthread_mutex_lock(&w->lock);
		int64_t round = p->asked;
		pthread_mutex_unlock(&w->lock);
		look[p->store](w);
		pthread_mutex_lock(&w->lock);
		p->done = round;
		pthread_cond_broadcast(&w->moved);
		pthread_mutex_unlock(&w->lock);
		bool away = sl_health_of(p->store).since_ms;
		sl_loop_rest(&p->loop, sl_deadline_ms(away ? WATCH_AWAY_MS : WATCH_MS));
	}
}

struct sl_watch *sl_watch_start(const struct sl_stores *st)
{
	struct sl_watch *w = SL_NEW(struct sl_watch);
	w->st = *st;
	w->last.intake = w->last.curate = -1;
	pthread_mutex_init(&w->lock, NULL);
	sl_cond_init(&w->moved);
	for (int i = 0; i < SL_STORES; i++) {
		w->probe[i] = (struct probe){.w = w, .store = (enum sl_store)i};
		sl_loop_init(&w->probe[i].loop);
		sl_loop_start(&w->probe[i].loop, "watch", work, &w->probe[i]);
	}
	return w;
}

struct sl_watched sl_watch_look(struct sl_watch *w, int64_t deadline_us)
{
	struct probe *log = &w->probe[SL_STORE_LOG], *reviews = &w->probe[SL_STORE_REVIEWS];
	pthread_mutex_lock(&w->lock);
	int64_t a = ++log->asked, b = ++reviews->asked;
	pthread_mutex_unlock(&w->lock);
	sl_loop_wake(&log->loop);
	sl_loop_wake(&reviews->loop);
	pthread_mutex_lock(&w->lock);
	while ((log->done < a || reviews->done < b) && sl_cond_wait_until(&w->moved, &w->lock, deadline_us))
		;
	struct sl_watched r = w->last;
	if (log->done < a)
		r.intake = r.curate = -1;
	pthread_mutex_unlock(&w->lock);
	return r;
}

void sl_watch_drain(struct sl_watch *w)
{
	for (int i = 0; i < SL_STORES; i++)
		sl_loop_drain(&w->probe[i].loop, 0);
}

void sl_watch_free(struct sl_watch *w)
{
	if (!w)
		return;
	for (int i = 0; i < SL_STORES; i++)
		sl_loop_stop(&w->probe[i].loop);
	pthread_cond_destroy(&w->moved);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
