/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/process.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/waiting.h"
#include "role/pages.h"
#include "role/status.h"
#include "vision/bundle.h"
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ROLES = 16, SPARE_FILES = 256 };
enum { END_MS = 1000 }; /* after drain_ms, for threads to end that had not */

struct ending {
	int64_t at_us;
	enum sl_status s;
	char why[SL_ERR_TEXT]; /* of a start that failed; else "" */
};

struct running {
	const struct sl_process *p;
	struct sl_context ctx;
	struct sl_status_page *status;
	void *state[ROLES];
	int started, lock;
};

static void raise_file_limit(const struct sl_config *cfg)
{
	struct rlimit r;
	rlim_t want = (rlim_t)sl_config_int(cfg, "http.connections") + SPARE_FILES;
	if (!getrlimit(RLIMIT_NOFILE, &r) && r.rlim_cur < want) {
		r.rlim_cur = SL_MIN(want, r.rlim_max);
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* What keeps a role from its work comes first. */
static json_t *what_is_missing(void *arg, bool *ret_ready)
{
	struct running *r = arg;
	json_t *list = json_array();
	size_t hard = 0;
	for (int i = 0; i < r->started; i++) {
		const struct sl_role *role = r->p->roles[i];
		char reason[128] = "";
		bool ready = !role->is_ready || role->is_ready(r->state[i], reason);
		if (ready && !*reason)
			continue;
		SL_AUTOFREE char *text = sl_asprintf("%s: %s", role->name, reason);
		sl_text_mend(text); /* a long reason was cut */
		json_array_insert_new(list, ready ? json_array_size(list) : hard, json_string(text));
		hard += !ready;
	}
	*ret_ready = !hard;
	return list;
}

struct attempt {
	struct running *r;
	enum sl_store store;
};

static enum sl_status open_store(void *arg, struct sl_err *err)
{
	const struct attempt *a = arg;
	return sl_store_open(a->store, a->r->ctx.cfg, a->r->ctx.data_dir, &a->r->ctx.stores, err);
}

static enum sl_status start_role(void *arg, struct sl_err *err)
{
	struct running *r = arg;
	const struct sl_role *role = r->p->roles[r->started];
	enum sl_status s = role->start(&r->ctx, &r->state[r->started], err);
	if (s != SL_OK)
		return sl_prefix(err, s, "role %s", role->name);
	r->started++;
	return s;
}

static enum sl_status start_all(struct running *r, struct sl_waiting *w, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < SL_STORES && s == SL_OK; i++)
		s = sl_waiting_try(
			w, sl_store_title((enum sl_store)i), open_store, &(struct attempt){r, (enum sl_store)i}, err);
	if (s != SL_OK)
		return s;
	r->ctx.hub = sl_hub_new(r->ctx.cfg);
	s = sl_server_start(r->ctx.cfg, &r->ctx.server, err);
	while (s == SL_OK && r->p->roles[r->started]) {
		SL_AUTOFREE char *what = sl_asprintf("what role %s starts with", r->p->roles[r->started]->name);
		s = sl_waiting_try(w, what, start_role, r, err);
	}
	return s;
}

static enum sl_status open_all(struct running *r, struct sl_err *err)
{
	sl_hub_routes(r->ctx.hub, r->ctx.server);
	sl_pages_add(r->ctx.server);
	r->status = sl_status_page_start(&r->ctx, what_is_missing, r);
	return sl_server_open(r->ctx.server, err);
}

/* A store that hangs may hold a thread for longer than anybody wants to wait: everything that
 * matters is durable, as after kill -9, so the process ends all the same. */
static void *end_anyway(void *arg)
{
	const struct ending *e = arg;
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t never;
	sl_cond_init(&never);
	pthread_mutex_lock(&lock);
	while (sl_cond_wait_until(&never, &lock, e->at_us))
		;
	sl_log(SL_WARN, "process", "ends with a store call under way; what it was about comes again",
		SL_S("error", e->why));
	_exit(sl_status_exit(e->s));
}

/* Reverse of start_all and open_all; works on what was started. */
static void stop_all(struct running *r, enum sl_status s, const struct sl_err *err)
{
	int64_t deadline = sl_deadline_ms(sl_config_int(r->ctx.cfg, "drain_ms"));
	static struct ending end; /* read until the process is gone */
	end = (struct ending){.at_us = deadline + END_MS * 1000, .s = s};
	if (s != SL_OK)
		SL_COPY_CUT(end.why, err->text);
	pthread_detach(sl_thread_start("end", end_anyway, &end));
	sl_status_page_stop(r->status);
	if (r->ctx.hub)
		sl_hub_close(r->ctx.hub);
	if (r->ctx.server && sl_server_drain(r->ctx.server, deadline) != SL_OK)
		sl_log(SL_WARN, "process", "some requests were cut: they took longer than drain_ms");
	for (int i = r->started; i-- > 0;)
		if (r->p->roles[i]->drain(r->state[i], deadline) != SL_OK)
			sl_log(SL_WARN, "process", "a role did not end in drain_ms; what it held comes again",
				SL_S("role", r->p->roles[i]->name));
	for (int i = r->started; i-- > 0;)
		r->p->roles[i]->stop(r->state[i]);
	sl_server_free(r->ctx.server);
	sl_status_page_free(r->status);
	sl_hub_free(r->ctx.hub);
	sl_stores_close(&r->ctx.stores);
	sl_fs_unlock(r->lock);
}

static void serve_until_signal(struct running *r, const sigset_t *ends)
{
	const char *listen = sl_config_str(r->ctx.cfg, "http.listen"), *colon = strrchr(listen, ':');
	int host = colon ? (int)(colon - listen) : (int)strlen(listen);
	SL_AUTOFREE char *url = sl_asprintf(
		"http://%.*s:%d", host ? host : 9, host ? listen : "127.0.0.1", sl_server_port(r->ctx.server));
	if (r->p->ready)
		r->p->ready(r->p->arg, url);
	int sig = 0;
	sigwait(ends, &sig);
	sl_log(SL_INFO, "process", "draining", SL_S("signal", sig == SIGTERM ? "SIGTERM" : "SIGINT"));
	if (r->p->ending)
		r->p->ending(r->p->arg);
}

/* A bundle that was named by hand is there and whole, or nothing starts: without it the process
 * would wait, not ready, for somebody to publish another. */
static enum sl_status check_named_bundle(const struct sl_config *cfg, struct sl_err *err)
{
	const char *path = sl_config_str(cfg, "bundle");
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_bundle_parts parts = {0};
	if (!*path)
		return SL_OK;
	enum sl_status s = sl_fs_read(path, &file, err);
	if (s != SL_OK)
		return sl_prefix(err, s, "setting bundle");
	s = sl_bundle_read(sl_buf_slice(&file), &parts, err);
	json_decref(parts.info);
	return s == SL_OK ? s : sl_prefix(err, s, "setting bundle: %s", path);
}

enum sl_status sl_process_run(const struct sl_process *p, struct sl_err *err)
{
	struct running r = {.p = p, .lock = -1};
	r.ctx.cfg = p->cfg;
	r.ctx.data_dir = sl_config_str(p->cfg, "data");
	raise_file_limit(p->cfg);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file at its size limit is a full disk: an error of one write */
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	enum sl_status s = sl_log_setup(sl_config_str(p->cfg, "log.level"), err); /* a flag may have changed it */
	if (s == SL_OK)
		s = check_named_bundle(p->cfg, err);
	if (s == SL_OK)
		s = sl_fs_mkdirs(r.ctx.data_dir, err);
	if (s == SL_OK)
		s = sl_fs_lock(r.ctx.data_dir, p->who, &r.lock, err);
	if (s == SL_OK) {
		struct sl_waiting *w = sl_waiting_new(p->cfg, &ends);
		s = start_all(&r, w, err);
		sl_waiting_free(w);
		if (s == SL_CANCELLED) { /* a signal while nothing ran yet */
			sl_log(SL_INFO, "process", "stopped before it served", SL_S("why", err->text));
			stop_all(&r, SL_OK, NULL);
			return SL_OK;
		}
	}
	if (s == SL_OK)
		s = open_all(&r, err);
	if (s == SL_OK)
		serve_until_signal(&r, &ends);
	stop_all(&r, s, err);
	return s;
}
