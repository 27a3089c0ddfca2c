/* SPDX-License-Identifier: Apache-2.0 */
#include "role_rig.h"
#include "base/digest.h"
#include "base/mem.h"
#include "core/settings.h"
#include "harness.h"
#include <stdio.h>

void role_rig_open(struct role_rig *g, const char *const *words)
{
	static const char *const base[] = {"http.listen=127.0.0.1:0",
		"store.log=mem:", "store.crops=mem:", "store.reviews=mem:", "store.artifacts=mem:", NULL};
	struct sl_err err;
	*g = (struct role_rig){.cfg = sl_settings_new()};
	for (int pass = 0; pass < 2; pass++)
		for (const char *const *w = pass ? words : base; w && *w; w++) {
			SL_AUTOFREE char *name = sl_strdup(*w);
			*strchr(name, '=') = 0;
			CHECK_OK(sl_config_set(g->cfg, name, strchr(*w, '=') + 1, "test", &err));
		}
	g->ctx = (struct sl_context){.cfg = g->cfg, .data_dir = sl_test_dir()};
	CHECK_OK(sl_stores_open(g->cfg, sl_test_dir(), &g->ctx.stores, &err));
	g->ctx.hub = sl_hub_new(g->cfg);
}

void role_rig_start(struct role_rig *g, const struct sl_role *const *roles)
{
	struct sl_err err;
	CHECK_OK(sl_server_start(g->cfg, &g->ctx.server, &err));
	sl_hub_routes(g->ctx.hub, g->ctx.server);
	for (int i = 0; roles[i]; i++)
		CHECK_OK(roles[i]->start(&g->ctx, &g->state[i], &err));
	g->roles = roles;
	CHECK_OK(sl_server_open(g->ctx.server, &err));
	g->port = sl_server_port(g->ctx.server);
}

void role_rig_stop(struct role_rig *g)
{
	int64_t soon = sl_deadline_ms(20000);
	if (!g->roles)
		return;
	CHECK_STATUS(sl_server_drain(g->ctx.server, soon), SL_OK);
	for (int i = 0; g->roles[i]; i++)
		CHECK_STATUS(g->roles[i]->drain(g->state[i], soon), SL_OK);
	for (int i = 0; g->roles[i]; i++)
		g->roles[i]->stop(g->state[i]);
	sl_server_free(g->ctx.server);
	g->ctx.server = NULL;
	g->roles = NULL;
}

void role_rig_close(struct role_rig *g)
{
	role_rig_stop(g);
	sl_hub_free(g->ctx.hub);
	sl_stores_close(&g->ctx.stores);
	sl_config_free(g->cfg);
}

void rig_key(char key[SL_KEY], int n)
{
	char text[16], sha[SL_HEX_SHA256];
	int len = snprintf(text, sizeof(text), "frame %d", n);
	sl_sha256_hex(text, (size_t)len, sha);
	sl_key_make(key, sha, n % 1000, 2, 30, 40);
}

void rig_review_message(struct role_rig *g, int n)
{
	char key[SL_KEY];
	struct sl_err err;
	rig_key(key, n);
	SL_AUTOFREE char *text = sl_asprintf(
		"{\"v\":1,\"key\":\"%s\",\"candidates\":[{\"class\":{\"index\":1,\"code\":\"O\"},\"confidence\":0.5},"
		"{\"class\":0,\"confidence\":0.25}],\"bundle\":\"b%d\",\"frame\":\"f\",\"device\":\"car1\",\"time\":1700000000000}",
		key, n);
	CHECK_OK(sl_log_append(g->ctx.stores.log, "reviews", key, sl_slice_str(text), SL_FOREVER, &err));
}

void rig_add_reviews(struct role_rig *g, int from, int n)
{
	struct sl_err err;
	for (int i = from; i < from + n; i++) {
		struct sl_review r = {.ncandidate = 2,
			.candidate = {{1, 0.5f}, {0, 0.25f}},
			.device = "car1",
			.time_ms = 1700000000000};
		rig_key(r.key, i);
		CHECK_OK(sl_reviews_add(g->ctx.stores.reviews, &r, 1, NULL, &err));
	}
}

json_t *rig_next_label(struct role_rig *g, struct sl_consumer **c)
{
	struct sl_batch b = {0};
	struct sl_err err;
	json_t *v;
	if (!*c)
		CHECK_OK(sl_consumer_open(g->ctx.stores.log, "test", "labels", c, &err));
	do
		CHECK_OK(sl_consumer_poll(*c, 1, sl_deadline_ms(60000), &b, &err));
	while (!b.n);
	CHECK_OK(sl_json_parse(b.message[0].body, "label", &v, &err));
	CHECK_OK(sl_consumer_commit(*c, &err));
	sl_batch_done(&b);
	return v;
}
