/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "ask.h"
#include "base/mem.h"
#include "harness.h"
#include "role/frames.h"
#include "tiny_bundle.h"

/* One process of the role frames over stores in memory, and a route that holds its inference thread. */
struct rig {
	struct sl_config *cfg;
	struct sl_context ctx;
	struct sl_frames *f;
	int port;
	struct sl_buf jpeg; /* two signs: one sure, one not */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool open; /* the gate of /test/hold */
	int64_t frame_ms; /* deadline of /test/frame; 0: the usual */
	int accepted, holding; /* requests to /test/...; of them waiting at the gate */
};

/* words: "name=value" settings, NULL ends; NULL: none. b: taken; NULL: none yet. */
void rig_open(struct rig *g, const char *const *words, struct sl_bundle *b);
void rig_close(struct rig *g);
void wait_for(struct rig *g, const int *what, int n);
void open_gate(struct rig *g);
/* One request; the answer as JSON (decref it), or NULL when it is none. */
json_t *post(struct rig *g, const char *what, const char *type, struct sl_slice body, int code);
json_t *post_frame(struct rig *g, const char *what, int code);
void as_json(struct rig *g, const char *before, const char *after, struct sl_buf *ret);
const char *text_at(json_t *o, const char *name); /* "" when absent */
json_t *sign_with(json_t *answer, const char *status);
/* What is in the stores. */
int64_t crops(struct rig *g);
int64_t messages(struct rig *g, const char *topic);
json_t *bodies(struct rig *g, const char *topic); /* all of a topic, in any order of partitions */
