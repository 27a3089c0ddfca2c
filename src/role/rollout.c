/* SPDX-License-Identifier: Apache-2.0
 *
 * Role rollout: keeps this process's bundle at what alias live points at. A message on topic
 * `models` says look; so does a timer, in case one was missed. What is true is the alias log.
 *
 * A bundle is fetched by digest into data/bundles (temporary name, rename), opened and
 * self-tested on this role's thread, and then swapped by one pointer: a request goes on with
 * the bundle that it pinned. One that fails stays out, and the old one goes on.
 */
#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/message.h"
#include "dataset/registry.h"
#include "role/role.h"
#include "role/shipped.h"
#include "vision/pipeline.h"
#include <stdio.h>
#include <unistd.h>

enum { TURN_MS = 500, MESSAGES = 100, GROUP = 64 };

struct rollout {
	struct sl_context ctx;
	struct sl_pipeline *pipeline; /* of the thread, for self-tests */
	struct sl_consumer *consumer;
	char *cache;
	struct sl_loop loop;
	char why[128]; /* under loop.lock: why the last look brought nothing; "" when what is live is in service */
	char digest[SL_DIGEST]; /* in service here; "" before the first */
	char bad[SL_DIGEST]; /* one that failed for good: not tried again until the alias moves */
	int64_t looked_us;
	bool seeded; /* the registry is not empty, or there is nothing to put there */
	struct sl_metric *swaps, *failures, *load_time;
};

/* ---- one bundle ---- */

static char *cache_path(const struct rollout *r, const char *digest)
{
	return sl_asprintf("%s/%s.bundle", r->cache, digest);
}

/* The bytes from the cache if they are right, else from the artifact store into it. */
static enum sl_status fetch(struct rollout *r, const char *digest, struct sl_buf *ret, struct sl_err *err)
{
	SL_AUTOFREE char *path = cache_path(r, digest);
	char is[SL_DIGEST];
	if (sl_fs_read(path, ret, NULL) == SL_OK) {
		sl_sha256_hex(ret->ptr, ret->len, is);
		if (!strcmp(is, digest))
			return SL_OK;
		sl_log(SL_WARN, "rollout", "cached bundle is damaged; fetched again", SL_S("bundle", digest));
	}
	sl_buf_done(ret);
	enum sl_status s = sl_model_get(r->ctx.stores.artifacts, digest, ret, err);
	return s == SL_OK ? sl_fs_write(path, sl_buf_slice(ret), true, err) : s;
}

struct prune {
	const struct rollout *r;
	const char *keep[2];
};

static enum sl_status prune_name(const char *name, void *arg, struct sl_err *err)
{
	const struct prune *p = arg;
	SL_AUTOFREE char *path = sl_fs_join(p->r->cache, name);
	if (strncmp(name, p->keep[0], 64) != 0 && strncmp(name, p->keep[1], 64) != 0)
		unlink(path);
	return SL_OK;
}

static enum sl_status load(struct rollout *r, const char *digest, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_bundle *b = NULL;
	int64_t from = sl_mono_us();
	enum sl_status s = fetch(r, digest, &file, err);
	if (s == SL_OK)
		s = sl_bundle_open(sl_buf_slice(&file), SL_PRECISION_AUTO, &b, err);
	if (s == SL_OK)
		s = sl_pipeline_selftest(r->pipeline, b, err);
	if (s != SL_OK) {
		sl_bundle_unref(b);
		return s;
	}
	int64_t us = sl_mono_us() - from;
	sl_hub_say(r->ctx.hub, "bundle",
		json_pack("{s:s,s:s,s:s,s:I}", "digest", digest, "name", b->name, "before", r->digest, "ms",
			(json_int_t)(us / 1000)));
	sl_log(SL_INFO, "rollout", "bundle in service", SL_S("bundle", digest), SL_S("name", b->name),
		SL_S("before", r->digest), SL_I("ms", us / 1000));
	sl_hub_swap_bundle(r->ctx.hub, b);
	sl_metric_add(r->swaps, 1);
	sl_metric_time(r->load_time, us);
	sl_fs_each(r->cache, prune_name, &(struct prune){r, {digest, r->digest}}, NULL);
	snprintf(r->digest, sizeof(r->digest), "%s", digest);
	return SL_OK;
}

static void say_why(struct rollout *r, const char *why)
{
	pthread_mutex_lock(&r->loop.lock);
	SL_COPY_CUT(r->why, why);
	pthread_mutex_unlock(&r->loop.lock);
}

/* Looks at the alias and brings what it points at. */
static void look(struct rollout *r)
{
	struct sl_err err = {0};
	char digest[SL_DIGEST] = "";
	r->looked_us = sl_mono_us();
	enum sl_status s = sl_alias_digest(r->ctx.stores.artifacts, SL_ALIAS_LIVE, digest, &err);
	if (s == SL_OK && !strcmp(digest, r->bad))
		return;
	if (s == SL_OK || !sl_status_is_retriable(s))
		r->bad[0] = 0;
	if (s == SL_OK && strcmp(digest, r->digest) != 0)
		s = load(r, digest, &err);
	say_why(r, s == SL_OK ? "" : err.text);
	if (s == SL_OK || (s == SL_NOT_FOUND && !*digest))
		return;
	if (!*digest && sl_status_is_retriable(s)) { /* nothing was published: the store is away */
		sl_log(SL_WARN, "rollout", "cannot see what is live; the timer goes on", SL_S("error", err.text));
		return;
	}
	sl_metric_add(r->failures, 1);
	sl_log(SL_ERROR, "rollout", "bundle stays out", SL_S("bundle", digest), SL_S("error", err.text),
		SL_S("in service", *r->digest ? r->digest : "none"));
	if (!sl_status_is_retriable(s) && s != SL_IO)
		snprintf(r->bad, sizeof(r->bad), "%s", digest);
}

/* ---- an empty registry ---- */

/* Until it is known not to be empty any more: the store may be away. */
static void publish_first(struct rollout *r)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTOFREE char *path = sl_shipped_bundle(r->ctx.cfg);
	struct sl_alias_entry e;
	struct sl_err err = {0};
	char digest[SL_DIGEST] = "";
	enum sl_status s = sl_alias_digest(r->ctx.stores.artifacts, SL_ALIAS_LIVE, digest, &err);
	r->seeded = s == SL_OK || !path;
	if (s != SL_NOT_FOUND || !path)
		return;
	s = sl_fs_read(path, &file, &err);
	if (s == SL_OK)
		s = sl_model_put(r->ctx.stores.artifacts, sl_buf_slice(&file), digest, &err);
	struct sl_publish p = {
		.digest = digest, .by = "signloop", .note = "the bundle that ships: the registry was empty"};
	if (s == SL_OK)
		s = sl_model_publish(&r->ctx.stores, r->ctx.cfg, &p, &e, NULL, &err);
	if (s == SL_OK)
		sl_log(SL_INFO, "rollout", "published the bundle that ships", SL_S("bundle", digest));
	r->seeded = !sl_status_is_retriable(s);
	if (s != SL_OK && s != SL_CONFLICT && s != SL_EXISTS) /* these: another process was first */
		sl_log(SL_ERROR, "rollout", "cannot publish the bundle that ships", SL_S("file", path),
			SL_S("error", err.text));
}

/* ---- the thread ---- */

static void work(void *arg)
{
	struct rollout *r = arg;
	int64_t check_us = sl_config_int(r->ctx.cfg, "rollout.check_ms") * 1000;
	while (sl_loop_goes_on(&r->loop)) {
		SL_AUTO(sl_batch_done) struct sl_batch b = {0};
		struct sl_err err = {0};
		int64_t until = SL_MIN(sl_deadline_ms(TURN_MS), r->looked_us + check_us);
		enum sl_status s = sl_consumer_poll(r->consumer, MESSAGES, until, &b, &err);
		if (s == SL_OK && b.n)
			s = sl_consumer_commit(r->consumer, &err);
		if (s != SL_OK && s != SL_CONFLICT) {
			sl_log(SL_WARN, "rollout", "cannot follow topic models; the timer goes on",
				SL_S("error", err.text));
			sl_loop_pause(&r->loop, err.text);
		} else {
			sl_loop_is_well(&r->loop);
		}
		if (!b.n && sl_mono_us() < r->looked_us + check_us)
			continue;
		if (!r->seeded)
			publish_first(r);
		look(r);
	}
}

/* A group of this process alone: every process has to hear of every model. The name is kept
 * in the data folder so that a restart makes no new group. */
static enum sl_status own_group(const struct rollout *r, char ret[GROUP], struct sl_err *err)
{
	SL_AUTOFREE char *path = sl_fs_join(r->ctx.data_dir, "replica");
	SL_AUTO(sl_buf_done) struct sl_buf id = {.cap = GROUP};
	char made[33];
	enum sl_status s = sl_fs_read(path, &id, NULL);
	if (s != SL_OK || id.len != 32 || strspn((char *)id.ptr, "0123456789abcdef") != 32) {
		sl_random_id(made);
		sl_buf_done(&id);
		id.cap = GROUP;
		sl_buf_puts(&id, made);
		s = sl_fs_write(path, sl_buf_slice(&id), true, err);
	}
	if (s == SL_OK)
		snprintf(ret, GROUP, "rollout-%.32s", (char *)id.ptr);
	return s;
}

/* ---- the role ---- */

static void rollout_free(struct rollout *r)
{
	if (r->consumer)
		sl_consumer_close(r->consumer);
	sl_pipeline_free(r->pipeline);
	free(r->cache);
	free(r);
}

static enum sl_status start(struct sl_context *ctx, void **ret_state, struct sl_err *err)
{
	struct rollout *r = SL_NEW(struct rollout);
	char group[GROUP];
	r->ctx = *ctx;
	r->cache = sl_fs_join(ctx->data_dir, "bundles");
	r->pipeline = sl_pipeline_new();
	sl_loop_init(&r->loop);
	r->swaps = sl_counter("signloop_rollout_swaps_total", NULL, "Bundles brought into service here.");
	r->failures =
		sl_counter("signloop_rollout_failures_total", NULL, "Bundles that could not be brought into service.");
	r->load_time = sl_histogram("signloop_rollout_seconds", NULL, "Fetching, opening and self-testing a bundle.");
	enum sl_status s = sl_fs_mkdirs(r->cache, err);
	if (s == SL_OK)
		s = own_group(r, group, err);
	if (s == SL_OK)
		s = sl_consumer_open(ctx->stores.log, group, SL_TOPIC_MODELS, &r->consumer, err);
	if (s != SL_OK) {
		sl_loop_done(&r->loop);
		rollout_free(r);
		return s;
	}
	publish_first(r);
	look(r);
	sl_loop_start(&r->loop, "rollout", work, r);
	*ret_state = r;
	return SL_OK;
}

/* A bundle that is in service goes on answering, whatever is away. */
static bool is_ready(void *state, char why[128])
{
	struct rollout *r = state;
	struct sl_bundle *b = sl_hub_bundle(r->ctx.hub);
	bool has_bundle = b;
	sl_bundle_unref(b);
	if (!sl_health_is_well(SL_NEEDS_ARTIFACTS | SL_NEEDS_LOG, why) || !sl_loop_is_fine(&r->loop, why))
		return has_bundle;
	pthread_mutex_lock(&r->loop.lock);
	memcpy(why, r->why, sizeof(r->why));
	pthread_mutex_unlock(&r->loop.lock);
	return has_bundle;
}

static enum sl_status drain(void *state, int64_t deadline_us)
{
	struct rollout *r = state;
	return sl_loop_drain(&r->loop, deadline_us);
}

static void stop(void *state)
{
	struct rollout *r = state;
	sl_loop_stop(&r->loop);
	rollout_free(r);
}

const struct sl_role sl_role_rollout = {
	.name = "rollout",
	.text = "brings the published bundle into service, off the request path",
	.start = start,
	.is_ready = is_ready,
	.drain = drain,
	.stop = stop,
};
