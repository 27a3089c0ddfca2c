/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/waiting.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/client.h"
#include "role/status.h"
#include <unistd.h>

enum { FIRST_MS = 200, MOST_MS = 5000, CLOSE_MS = 1000 };

struct sl_waiting {
	const struct sl_config *cfg;
	const sigset_t *ends;
	int64_t deadline_us;
	struct sl_rng rng;
	struct sl_server *server; /* answers while we wait; NULL before the first wait */
	pthread_mutex_t lock;
	char *why; /* under lock */
};

static void get_live(struct sl_request *r, void *arg)
{
	sl_answer_json(r, 200, json_pack("{s:b}", "live", 1));
}

static void get_ready(struct sl_request *r, void *arg)
{
	struct sl_waiting *w = arg;
	pthread_mutex_lock(&w->lock);
	json_t *missing = json_pack("[s]", w->why);
	pthread_mutex_unlock(&w->lock);
	sl_answer_ready(r, false, missing);
}

static const struct sl_route routes[] = {
	{.method = "GET", .path = "/v2/health/live", .run = SL_RUN_NOW, .fn = get_live},
	{.method = "GET", .path = "/v2/health/ready", .run = SL_RUN_NOW, .fn = get_ready}, {0}};

struct sl_waiting *sl_waiting_new(const struct sl_config *cfg, const sigset_t *ends)
{
	struct sl_waiting *w = SL_NEW(struct sl_waiting);
	w->cfg = cfg;
	w->ends = ends;
	w->deadline_us = sl_deadline_ms(sl_config_int(cfg, "store.wait_ms"));
	w->rng = sl_rng((uint64_t)sl_mono_us(), (uint64_t)getpid());
	pthread_mutex_init(&w->lock, NULL);
	return w;
}

static void close_server(struct sl_waiting *w)
{
	if (!w->server)
		return;
	(void)sl_server_drain(w->server, sl_deadline_ms(CLOSE_MS)); /* nobody waits long for these answers */
	sl_server_free(w->server);
	w->server = NULL;
}

void sl_waiting_free(struct sl_waiting *w)
{
	close_server(w);
	pthread_mutex_destroy(&w->lock);
	free(w->why);
	free(w);
}

/* A port that is taken is told by who opens it for good. */
static void answer_meanwhile(struct sl_waiting *w, const char *what, const struct sl_err *err)
{
	pthread_mutex_lock(&w->lock);
	free(w->why);
	w->why = sl_asprintf("waits for %s: %s", what, err->text);
	pthread_mutex_unlock(&w->lock);
	if (w->server || sl_server_start(w->cfg, &w->server, NULL) != SL_OK)
		return;
	sl_server_add(w->server, routes, w);
	if (sl_server_open(w->server, NULL) != SL_OK)
		close_server(w);
}

/* True: a signal came. */
static bool rest(const struct sl_waiting *w, int64_t ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	return sigtimedwait(w->ends, NULL, &t) > 0;
}

enum sl_status sl_waiting_try(struct sl_waiting *w, const char *what,
	enum sl_status (*fn)(void *arg, struct sl_err *err), void *arg, struct sl_err *err)
{
	static const struct sl_retry how = {.first_ms = FIRST_MS, .most_ms = MOST_MS};
	int64_t from = sl_mono_us();
	for (int n = 1;; n++) {
		struct sl_err why = {0};
		enum sl_status s = fn(arg, &why);
		if (s == SL_OK && n > 1)
			sl_log(SL_INFO, "process", "goes on", SL_S("with", what),
				SL_I("waited_ms", (sl_mono_us() - from) / 1000));
		if (s == SL_OK)
			return s;
		int64_t left_ms = (w->deadline_us - sl_mono_us()) / 1000;
		if (!sl_status_is_retriable(s) || left_ms <= 0) {
			*err = why;
			return s;
		}
		if (n == 1)
			sl_log(SL_WARN, "process", "waits", SL_S("for", what), SL_I("at_most_ms", left_ms),
				SL_S("error", why.text));
		answer_meanwhile(w, what, &why);
		if (rest(w, SL_MIN(sl_retry_wait(how, n, -1, &w->rng) + 1, left_ms)))
			return sl_fail(err, SL_CANCELLED, "stopped while it waited for %s: %s", what, why.text);
	}
}
