/* SPDX-License-Identifier: Apache-2.0 */
#include "frames_rig.h"
#include "base/digest.h"
#include "core/settings.h"
#include <stdio.h>

static struct rig *the_rig; /* routes get the role's state as their argument */

static void hold(struct sl_job *j, struct sl_pipeline *p)
{
	struct rig *g = the_rig;

	pthread_mutex_lock(&g->lock);
	g->holding++;
	pthread_cond_broadcast(&g->moved);
	while (!g->open)
		sl_cond_wait_until(&g->moved, &g->lock, SL_FOREVER);
	pthread_mutex_unlock(&g->lock);
	sl_answer_json(j->request, 200, json_object());
	sl_job_end(j);
}

static void count_accepted(void)
{
	pthread_mutex_lock(&the_rig->lock);
	the_rig->accepted++;
	pthread_cond_broadcast(&the_rig->moved);
	pthread_mutex_unlock(&the_rig->lock);
}

static void post_hold(struct sl_request *r, void *arg)
{
	sl_frames_accept(arg, r, hold, SL_REPLY_V1);
	count_accepted();
}

/* Frames to /test/frame have little time, those that hold the thread have enough. */
static void post_counted(struct sl_request *r, void *arg)
{
	struct sl_frames *f = arg;
	int64_t usual = f->deadline_ms;

	f->deadline_ms = the_rig->frame_ms ? the_rig->frame_ms : usual;
	sl_frames_accept(f, r, sl_frames_run, SL_REPLY_V1);
	f->deadline_ms = usual;
	count_accepted();
}

static const struct sl_route test_routes[] = {
	{.method = "POST", .path = "/test/hold", .run = SL_RUN_LATER, .body_max = "http.body_bytes", .fn = post_hold},
	{.method = "POST",
		.path = "/test/frame",
		.run = SL_RUN_LATER,
		.body_max = "http.frame_bytes",
		.fn = post_counted},
	{0}};

void wait_for(struct rig *g, const int *what, int n)
{
	pthread_mutex_lock(&g->lock);
	while (*what < n)
		sl_cond_wait_until(&g->moved, &g->lock, SL_FOREVER);
	pthread_mutex_unlock(&g->lock);
}

void open_gate(struct rig *g)
{
	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->moved);
	pthread_mutex_unlock(&g->lock);
}

static void two_signs(struct sl_buf *ret)
{
	SL_AUTO(sl_image_done) struct sl_image im = tiny_scene(300, 203);

	tiny_sign(&im, 58, 42, TINY_SURE);
	tiny_sign(&im, 186, 106, TINY_UNSURE);
	tiny_jpeg(&im, ret);
}

void rig_open(struct rig *g, const char *const *words, struct sl_bundle *b)
{
	static const char *const base[] = {"http.listen=127.0.0.1:0", "frames.threads=1", "frames.store_threads=2",
		"frames.deadline_ms=60000", "http.deadline_ms=60000",
		"store.log=mem:", "store.crops=mem:", "store.reviews=mem:", "store.artifacts=mem:", "log.level=error",
		NULL};
	struct sl_err err;
	void *state;

	*g = (struct rig){.cfg = sl_settings_new()};
	the_rig = g;
	pthread_mutex_init(&g->lock, NULL);
	sl_cond_init(&g->moved);
	for (int pass = 0; pass < 2; pass++)
		for (const char *const *w = pass ? words : base; w && *w; w++) {
			SL_AUTOFREE char *name = sl_strdup(*w);
			*strchr(name, '=') = 0;
			CHECK_OK(sl_config_set(g->cfg, name, strchr(*w, '=') + 1, "test", &err));
		}
	g->ctx = (struct sl_context){.cfg = g->cfg, .data_dir = sl_test_dir()};
	CHECK_OK(sl_stores_open(g->cfg, sl_test_dir(), &g->ctx.stores, &err));
	g->ctx.hub = sl_hub_new(g->cfg);
	if (b)
		sl_hub_swap_bundle(g->ctx.hub, b);
	CHECK_OK(sl_server_start(g->cfg, &g->ctx.server, &err));
	CHECK_OK(sl_role_frames.start(&g->ctx, &state, &err));
	g->f = state;
	sl_server_add(g->ctx.server, test_routes, state);
	sl_hub_routes(g->ctx.hub, g->ctx.server);
	CHECK_OK(sl_server_open(g->ctx.server, &err));
	g->port = sl_server_port(g->ctx.server);
	two_signs(&g->jpeg);
}

void rig_close(struct rig *g)
{
	int64_t soon = sl_deadline_ms(20000);

	CHECK_STATUS(sl_server_drain(g->ctx.server, soon), SL_OK);
	CHECK_STATUS(sl_role_frames.drain(g->f, soon), SL_OK);
	sl_role_frames.stop(g->f);
	sl_server_free(g->ctx.server);
	sl_hub_free(g->ctx.hub);
	sl_stores_close(&g->ctx.stores);
	sl_config_free(g->cfg);
	sl_buf_done(&g->jpeg);
}

json_t *post(struct rig *g, const char *what, const char *type, struct sl_slice body, int code)
{
	struct ask_conn c = ask_open(g->port);
	struct ask_answer a = {0};
	json_t *v = NULL;

	ask_request(&c, what, type, body, NULL);
	CHECK(ask_read(&c, false, &a));
	if (a.code != code)
		sl_test_fail(__FILE__, __LINE__, "%s gives %d, not %d: %.200s", what, a.code, code,
			a.body.len ? (char *)a.body.ptr : "");
	sl_json_parse(sl_buf_slice(&a.body), "answer", &v, NULL);
	ask_done(&a);
	ask_close(&c);
	return v;
}

json_t *post_frame(struct rig *g, const char *what, int code)
{
	return post(g, what, "image/jpeg", sl_buf_slice(&g->jpeg), code);
}

const char *text_at(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

json_t *sign_with(json_t *answer, const char *status)
{
	size_t i;
	json_t *s;

	json_array_foreach(
		json_object_get(answer, "signs"), i, s) if (strcmp(text_at(s, "status"), status) == 0) return s;
	sl_test_fail(__FILE__, __LINE__, "no sign has status %s", status);
}

int64_t crops(struct rig *g)
{
	int64_t n = -1;
	struct sl_err err;

	CHECK_OK(sl_crops_count(g->ctx.stores.crops, &n, &err));
	return n;
}

int64_t messages(struct rig *g, const char *topic)
{
	int64_t n = -1;
	struct sl_err err;

	CHECK_OK(sl_log_lag(g->ctx.stores.log, NULL, topic, &n, &err));
	return n;
}

json_t *bodies(struct rig *g, const char *topic)
{
	json_t *list = json_array();
	struct sl_err err;

	for (int p = 0; p < sl_log_partitions(g->ctx.stores.log, topic); p++) {
		struct sl_batch b = {0};
		CHECK_OK(sl_log_read(g->ctx.stores.log, topic, p, -1, SL_BATCH_MAX, &b, &err));
		for (int i = 0; i < b.n; i++) {
			json_t *v = NULL;
			CHECK_OK(sl_json_parse(b.message[i].body, "message", &v, &err));
			CHECK_STR(text_at(v, "key"), b.message[i].key);
			json_array_append_new(list, v);
		}
		sl_batch_done(&b);
	}
	return list;
}

void as_json(struct rig *g, const char *before, const char *after, struct sl_buf *ret)
{
	sl_buf_printf(ret, "{%s\"image\":\"", before);
	sl_base64_encode(sl_buf_slice(&g->jpeg), ret);
	sl_buf_printf(ret, "\"%s}", after);
}
