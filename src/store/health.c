/* SPDX-License-Identifier: Apache-2.0 */
#include "store/health.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/metric.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

static const struct {
	const char *name, *title;
} names[SL_STORES] = {{"log", "the log"}, {"crops", "the crop store"}, {"reviews", "the review store"},
	{"artifacts", "the artifact store"}};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	_Atomic bool away; /* written under lock */
	struct sl_away is;
	int64_t since_us, tried_us;
} state[SL_STORES]; /* under lock, but for away */

const char *sl_store_name(enum sl_store s)
{
	return names[s].name;
}

const char *sl_store_title(enum sl_store s)
{
	return names[s].title;
}

static void show(enum sl_store s)
{
	char labels[32];
	snprintf(labels, sizeof(labels), "store=\"%s\"", names[s].name);
	sl_metric_set(sl_gauge("signloop_store_away_since_seconds", labels,
			      "When the store went away, in seconds since 1970; 0 when it is here"),
		(double)state[s].is.since_ms / 1000);
}

/* A store that refuses (USAGE: log-in, right, a dropped table) is as good as away until somebody mends it.
 * BUSY, CLOSED and CANCELLED tell of this process as well as of the store: they change nothing. */
void sl_health_note(enum sl_store store, enum sl_status s, const struct sl_err *err)
{
	bool away = s == SL_AWAY || s == SL_TIMEOUT || s == SL_USAGE;
	if ((!away && !atomic_load(&state[store].away)) || s == SL_BUSY || s == SL_CLOSED || s == SL_CANCELLED)
		return;
	pthread_mutex_lock(&lock);
	state[store].tried_us = sl_mono_us();
	if (away && !state[store].is.since_ms) {
		state[store].is.since_ms = sl_now_ms();
		state[store].since_us = state[store].tried_us;
	} else if (!away) {
		state[store].is.since_ms = 0;
	}
	if (away)
		SL_COPY_CUT(state[store].is.why, err ? err->text : sl_status_name(s));
	else
		state[store].is.why[0] = 0;
	atomic_store(&state[store].away, away);
	show(store);
	pthread_mutex_unlock(&lock);
}

struct sl_away sl_health_of(enum sl_store s)
{
	pthread_mutex_lock(&lock);
	struct sl_away a = state[s].is;
	pthread_mutex_unlock(&lock);
	return a;
}

bool sl_health_is_well(unsigned needs, char why[128])
{
	for (int i = 0; i < SL_STORES; i++) {
		if (!(needs & 1u << i) || !atomic_load(&state[i].away))
			continue;
		struct sl_away a = sl_health_of((enum sl_store)i);
		if (!a.since_ms)
			continue;
		SL_AUTOFREE char *text = sl_asprintf("waits for %s, away for %lld s: %s", names[i].title,
			(long long)(sl_now_ms() - a.since_ms) / 1000, a.why);
		sl_copy_cut(why, 128, text);
		return false;
	}
	return true;
}

bool sl_health_is_worth_it(unsigned needs)
{
	bool worth = true;
	for (int i = 0; i < SL_STORES && worth; i++) {
		if (!(needs & 1u << i) || !atomic_load(&state[i].away))
			continue;
		pthread_mutex_lock(&lock);
		int64_t now = sl_mono_us();
		worth = !state[i].is.since_ms || now - state[i].since_us < SL_AWAY_KNOWN_MS * 1000 ||
			now - state[i].tried_us >= SL_AWAY_TRY_MS * 1000;
		if (worth)
			state[i].tried_us = now; /* the others wait for how it ends */
		pthread_mutex_unlock(&lock);
	}
	return worth;
}
