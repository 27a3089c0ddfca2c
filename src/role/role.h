/* SPDX-License-Identifier: Apache-2.0
 *
 * A role: one duty of the loop. Each runs alone in its process or with others; roles talk
 * through stores and topics only, never by calls, but for the hub (what happened lately in
 * this process, for the watch page).
 *
 * Life: start -> (ready) -> drain(deadline) -> stop. start adds the role's routes to the
 * server (not yet open) and starts its threads; it returns its state. drain refuses new
 * work and ends what was accepted; stop joins every thread and frees the state.
 * Thread: all from the main thread, one role after the other.
 */
#pragma once
#include "http/server.h"
#include "role/hub.h"
#include "store/stores.h"

struct sl_context {
	const struct sl_config *cfg;
	const char *data_dir; /* this process's folder: caches, jobs, lock */
	struct sl_stores stores;
	struct sl_server *server;
	struct sl_hub *hub;
};

struct sl_role {
	const char *name;
	const char *text; /* one line for help */
	enum sl_status (*start)(struct sl_context *ctx, void **ret_state, struct sl_err *err);
	/* False: it cannot do its work, and why. True with a why: it does, but lacks something.
	 * Does not block. NULL: always ready. */
	bool (*is_ready)(void *state, char why[128]);
	enum sl_status (*drain)(void *state, int64_t deadline_us);
	void (*stop)(void *state);
};

/* On a worker: the picture of a crop, which may be kept for ever, or why not. */
void sl_answer_crop(struct sl_request *r, struct sl_crops *crops, const char *key);

extern const struct sl_role sl_role_frames, sl_role_intake, sl_role_labeling, sl_role_curate, sl_role_learning,
	sl_role_rollout;
extern const struct sl_role *const sl_roles[]; /* all, in the order they start; NULL ends */
