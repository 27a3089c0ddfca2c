/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/process.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "role/pages.h"
#include "role/status.h"
#include "vision/bundle.h"
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ROLES = 16, SPARE_FILES = 256 };

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

static bool all_ready(void *arg, char why[160])
{
	struct running *r = arg;
	for (int i = 0; i < r->started; i++) {
		const struct sl_role *role = r->p->roles[i];
		char reason[128] = "";
		if (role->is_ready && !role->is_ready(r->state[i], reason)) {
			snprintf(why, 160, "%s: %s", role->name, reason);
			return false;
		}
	}
	return true;
}

static enum sl_status start_all(struct running *r, struct sl_err *err)
{
	enum sl_status s = sl_server_start(r->ctx.cfg, &r->ctx.server, err);
	for (int i = 0; s == SL_OK && r->p->roles[i]; i++) {
		s = r->p->roles[i]->start(&r->ctx, &r->state[i], err);
		if (s == SL_OK)
			r->started++;
		else
			sl_prefix(err, s, "role %s", r->p->roles[i]->name);
	}
	if (s != SL_OK)
		return s;
	sl_hub_routes(r->ctx.hub, r->ctx.server);
	sl_pages_add(r->ctx.server);
	r->status = sl_status_page_start(&r->ctx, all_ready, r);
	return sl_server_open(r->ctx.server, err);
}

/* Reverse of start_all; works on what was started. */
static void stop_all(struct running *r)
{
	int64_t deadline = sl_deadline_ms(sl_config_int(r->ctx.cfg, "drain_ms"));
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
	if (s == SL_OK)
		s = sl_stores_open(p->cfg, r.ctx.data_dir, &r.ctx.stores, err);
	if (s == SL_OK) {
		r.ctx.hub = sl_hub_new(p->cfg);
		s = start_all(&r, err);
	}
	if (s == SL_OK)
		serve_until_signal(&r, &ends);
	stop_all(&r);
	return s;
}
