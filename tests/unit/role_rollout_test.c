/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/mem.h"
#include "base/metric.h"
#include "dataset/registry.h"
#include "harness.h"
#include "role_rig.h"
#include "tiny_bundle.h"
#include <stdio.h>

static const struct sl_role *const roles[] = {&sl_role_rollout, NULL};

static void open_rig(struct role_rig *g, const char *bundle)
{
	SL_AUTOFREE char *word = sl_asprintf("bundle=%s", bundle);
	role_rig_open(g, (const char *const[]){word, "rollout.check_ms=100", NULL});
}

static char *write_bundle(const char *name, char digest[SL_DIGEST])
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	char *path = sl_fs_join(sl_test_dir(), name);
	struct sl_err err;
	tiny_bundle_file(name, &file);
	sl_sha256_hex(file.ptr, file.len, digest);
	CHECK_OK(sl_fs_write(path, sl_buf_slice(&file), true, &err));
	return path;
}

static void put(struct role_rig *g, const char *name, char digest[SL_DIGEST])
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_err err;
	tiny_bundle_file(name, &file);
	CHECK_OK(sl_model_put(g->ctx.stores.artifacts, sl_buf_slice(&file), digest, &err));
}

static void publish(struct role_rig *g, const char *digest)
{
	struct sl_alias_entry e;
	struct sl_err err;
	struct sl_publish p = {.digest = digest, .force = true};
	CHECK_OK(sl_model_publish(&g->ctx.stores, g->cfg, &p, &e, NULL, &err));
}

static bool is_live(struct role_rig *g, const char *digest)
{
	struct sl_bundle *b = sl_hub_bundle(g->ctx.hub);
	bool is = b && !strcmp(b->digest, digest);
	sl_bundle_unref(b);
	return is;
}

static double failures(void)
{
	return sl_metric_value(
		sl_counter("signloop_rollout_failures_total", NULL, "Bundles that could not be brought into service."));
}

/* Looks until it is so; the harness ends a test that waits for ever. */
static void wait_live(struct role_rig *g, const char *digest)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c;
	sl_cond_init(&c);
	pthread_mutex_lock(&m);
	while (!is_live(g, digest))
		sl_cond_wait_until(&c, &m, sl_deadline_ms(2));
	pthread_mutex_unlock(&m);
	pthread_cond_destroy(&c);
}

TEST(rollout, an_empty_registry_gets_the_bundle_that_ships)
{
	struct role_rig g;
	char digest[SL_DIGEST], live[SL_DIGEST], why[128] = "";
	SL_AUTOFREE char *path = write_bundle("shipped", digest);
	struct sl_err err;
	open_rig(&g, path);
	role_rig_start(&g, roles);
	CHECK(sl_role_rollout.is_ready(g.state[0], why));
	CHECK(is_live(&g, digest));
	CHECK_OK(sl_alias_digest(g.ctx.stores.artifacts, "live", live, &err));
	CHECK_STR(live, digest);
	role_rig_close(&g);
}

TEST(rollout, without_a_model_it_is_not_ready_and_says_why)
{
	struct role_rig g;
	char why[128] = "", digest[SL_DIGEST];
	open_rig(&g, "/nowhere/x.bundle");
	role_rig_start(&g, roles);
	CHECK(!sl_role_rollout.is_ready(g.state[0], why));
	CHECK(strstr(why, "no model was published"));
	put(&g, "late", digest);
	publish(&g, digest);
	wait_live(&g, digest);
	CHECK(sl_role_rollout.is_ready(g.state[0], why));
	role_rig_close(&g);
}

TEST(rollout, follows_publish_and_rollback_and_pinned_ones_stay_whole)
{
	struct role_rig g;
	char a[SL_DIGEST], b[SL_DIGEST];
	SL_AUTOFREE char *path = write_bundle("a", a);
	open_rig(&g, path);
	role_rig_start(&g, roles);
	put(&g, "b", b);
	struct sl_bundle *pinned = sl_hub_bundle(g.ctx.hub);
	publish(&g, b);
	wait_live(&g, b);
	CHECK_STR(pinned->digest, a);
	CHECK_STR(pinned->taxonomy->cls[0].code, "R");
	sl_bundle_unref(pinned);
	publish(&g, NULL);
	wait_live(&g, a);
	role_rig_close(&g);
}

TEST(rollout, a_broken_bundle_stays_out_and_the_old_one_goes_on)
{
	struct role_rig g;
	char a[SL_DIGEST], b[SL_DIGEST], bad[SL_DIGEST], object[SL_ALIAS_PATH];
	SL_AUTOFREE char *path = write_bundle("a", a);
	struct sl_err err;
	open_rig(&g, path);
	role_rig_start(&g, roles);
	/* Past sl_model_put, which would refuse it: the bytes are right by digest, but no bundle. */
	sl_sha256_hex("not a bundle", 12, bad);
	sl_bundle_path(object, bad);
	CHECK_OK(sl_artifacts_put(g.ctx.stores.artifacts, object, sl_slice_str("not a bundle"), &err));
	double before = failures();
	struct sl_alias_entry e;
	struct sl_publish p = {.digest = bad, .force = true};
	CHECK_OK(sl_model_publish(&g.ctx.stores, g.cfg, &p, &e, NULL, &err));
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c;
	sl_cond_init(&c);
	pthread_mutex_lock(&m);
	while (failures() == before)
		sl_cond_wait_until(&c, &m, sl_deadline_ms(2));
	pthread_mutex_unlock(&m);
	CHECK(is_live(&g, a));
	put(&g, "b", b);
	publish(&g, b);
	wait_live(&g, b);
	role_rig_close(&g);
}

TEST(rollout, a_damaged_cached_bundle_is_fetched_again)
{
	struct role_rig g;
	char a[SL_DIGEST];
	SL_AUTOFREE char *path = write_bundle("a", a);
	struct sl_err err;
	SL_AUTOFREE char *dir = sl_fs_join(sl_test_dir(), "bundles");
	SL_AUTOFREE char *cached = sl_asprintf("%s/%s.bundle", dir, a);
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	char is[SL_DIGEST];
	CHECK_OK(sl_fs_mkdirs(dir, &err));
	CHECK_OK(sl_fs_write(cached, sl_slice_str("damaged"), true, &err));
	open_rig(&g, path);
	role_rig_start(&g, roles);
	CHECK(is_live(&g, a));
	CHECK_OK(sl_fs_read(cached, &file, &err));
	sl_sha256_hex(file.ptr, file.len, is);
	CHECK_STR(is, a);
	role_rig_close(&g);
}

/* Nothing was published yet and the store is away when it starts: the bundle that ships is published all the same
 * when it is back, and one in service goes on while the store is away again. */
TEST(rollout, a_store_that_is_away_is_waited_for_and_named)
{
	struct role_rig g;
	char a[SL_DIGEST], b[SL_DIGEST], why[128] = "";
	SL_AUTOFREE char *path = write_bundle("shipped", a);
	SL_AUTOFREE char *word = sl_asprintf("bundle=%s", path);
	SL_AUTOFREE char *away = sl_fs_join(sl_test_dir(), "away");
	SL_AUTOFREE char *store = sl_asprintf("store.artifacts=fault+mem:?file=%s", away);
	struct sl_err err;
	role_rig_open(&g, (const char *const[]){word, store, "rollout.check_ms=100", NULL});
	CHECK_OK(sl_fs_write(away, sl_slice_str(""), true, &err));
	role_rig_start(&g, roles);
	CHECK(!sl_role_rollout.is_ready(g.state[0], why));
	CHECK(strstr(why, "the artifact store"));
	remove(away);
	wait_live(&g, a);
	put(&g, "b", b);
	CHECK_OK(sl_fs_write(away, sl_slice_str(""), true, &err));
	while (!strstr(why, "the artifact store") || !strstr(why, "away for"))
		CHECK(sl_role_rollout.is_ready(
			g.state[0], memset(why, 0, sizeof(why)))); /* ready, and says what it lacks */
	remove(away);
	publish(&g, b);
	wait_live(&g, b);
	role_rig_close(&g);
}

/* Two processes start on an empty registry at once, and both follow. */
TEST(rollout, two_at_once_publish_one_first_bundle_and_both_follow)
{
	struct role_rig g[2];
	char a[SL_DIGEST], b[SL_DIGEST];
	SL_AUTOFREE char *path = write_bundle("shipped", a);
	SL_AUTOFREE char *word = sl_asprintf("bundle=%s", path);
	SL_AUTOFREE char *log = sl_asprintf("store.log=sqlite:%s/log.db", sl_test_dir());
	SL_AUTOFREE char *artifacts = sl_asprintf("store.artifacts=dir:%s/artifacts", sl_test_dir());
	SL_AUTOFREE char *other = sl_fs_join(sl_test_dir(), "other");
	struct sl_err err;
	CHECK_OK(sl_fs_mkdirs(other, &err));
	for (int i = 0; i < 2; i++) {
		role_rig_open(&g[i], (const char *const[]){word, log, artifacts, "rollout.check_ms=100", NULL});
		g[i].ctx.data_dir = i ? other : sl_test_dir();
	}
	for (int i = 0; i < 2; i++)
		role_rig_start(&g[i], roles);
	for (int i = 0; i < 2; i++)
		wait_live(&g[i], a);
	SL_AUTO(sl_alias_log_done) struct sl_alias_log l = {0};
	CHECK_OK(sl_alias_log_read(g[0].ctx.stores.artifacts, "live", &l, &err));
	CHECK_EQ(l.n, 1);
	put(&g[0], "b", b);
	publish(&g[1], b);
	for (int i = 0; i < 2; i++)
		wait_live(&g[i], b);
	for (int i = 0; i < 2; i++)
		role_rig_close(&g[i]);
}

struct publisher {
	struct role_rig *g;
	char digest[2][SL_DIGEST];
	const char *by; /* two entries of one millisecond that are the same in all are one */
	int won, refused;
};

/* Moves live to and fro; CONFLICT and EXISTS are how a race is lost. */
static void *publish_often(void *arg)
{
	struct publisher *p = arg;
	for (int i = 0; i < 20; i++) {
		struct sl_alias_entry e;
		struct sl_err err;
		struct sl_publish o = {.digest = p->digest[i % 2], .force = true, .by = p->by};
		enum sl_status s = sl_model_publish(&p->g->ctx.stores, p->g->cfg, &o, &e, NULL, &err);
		CHECK(s == SL_OK || s == SL_CONFLICT || s == SL_EXISTS);
		p->won += s == SL_OK;
		p->refused += s != SL_OK;
	}
	return NULL;
}

/* Of two writers of one alias each number has one winner, who the loser is told of; the log has no gap. */
TEST(registry_race, two_that_publish_at_once_make_one_order_without_a_gap)
{
	struct role_rig g[2];
	struct publisher p[2];
	pthread_t thread[2];
	SL_AUTOFREE char *artifacts = sl_asprintf("store.artifacts=dir:%s/artifacts", sl_test_dir());
	struct sl_err err;
	for (int i = 0; i < 2; i++) {
		role_rig_open(&g[i], (const char *const[]){artifacts, NULL});
		p[i] = (struct publisher){.g = &g[i], .by = i ? "two" : "one"};
		put(&g[i], "a", p[i].digest[i]);
		put(&g[i], "b", p[i].digest[!i]);
	}
	for (int i = 0; i < 2; i++)
		thread[i] = sl_thread_start("publish", publish_often, &p[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	SL_AUTO(sl_alias_log_done) struct sl_alias_log l = {0};
	CHECK_OK(sl_alias_log_read(g[0].ctx.stores.artifacts, "live", &l, &err));
	CHECK_EQ(l.n, p[0].won + p[1].won);
	CHECK_EQ(p[0].won + p[0].refused + p[1].won + p[1].refused, 40);
	for (int i = 0; i < l.n; i++) {
		CHECK_EQ(l.entry[i].n, i + 1);
		CHECK_STR(l.entry[i].previous, i ? l.entry[i - 1].digest : "");
	}
	for (int i = 0; i < 2; i++)
		role_rig_close(&g[i]);
}
