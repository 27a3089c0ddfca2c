/* SPDX-License-Identifier: Apache-2.0
 *
 * One process with some roles over stores of its own, for tests of intake and labeling.
 */
#pragma once
#include "ask.h"
#include "role/role.h"

struct role_rig {
	struct sl_config *cfg;
	struct sl_context ctx;
	const struct sl_role *const *roles;
	void *state[8];
	int port;
};

/* words: "name=value" settings, NULL ends; the stores are in memory unless they say otherwise. */
void role_rig_open(struct role_rig *g, const char *const *words); /* stores, hub; nothing runs yet */
void role_rig_start(struct role_rig *g, const struct sl_role *const *roles); /* NULL ends; opens the server */
void role_rig_stop(struct role_rig *g); /* drains and stops what runs; the stores stay open */
void role_rig_close(struct role_rig *g);

void rig_key(char key[SL_KEY], int n); /* the n-th crop key */
/* A message of topic reviews for key n with candidates 0 and 1. */
void rig_review_message(struct role_rig *g, int n);
void rig_add_reviews(struct role_rig *g, int from, int n); /* straight into the store */
/* The next message of topic labels, as JSON; waits for it. Opened on first use. */
json_t *rig_next_label(struct role_rig *g, struct sl_consumer **c);
