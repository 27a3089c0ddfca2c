/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "ask.h"
#include "http/server.h"
#include <stdatomic.h>

/* A server with every kind of route, and a gate at which workers wait. */
struct rig {
	struct sl_config *cfg;
	struct sl_server *server;
	int port;
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool open; /* the gate */
	int waiting, passed;
	struct sl_request *kept;
	struct sl_stream *stream;
	_Atomic int calls;
};

extern const struct sl_route rig_routes[];
void rig_open(struct rig *g, const char *const *words); /* words: "name=value" settings, NULL ends */
void rig_close(struct rig *g);
void rig_open_gate(struct rig *g);
void rig_wait_waiting(struct rig *g, int n);
struct sl_request *rig_wait_kept(struct rig *g);
struct sl_stream *rig_wait_stream(struct rig *g);
void rig_check_error(const struct ask_answer *a, int code, const char *name);
