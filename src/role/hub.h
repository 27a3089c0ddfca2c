/* SPDX-License-Identifier: Apache-2.0
 *
 * The hub: what happened lately in this process, for GET /v1/events and the watch page.
 * Events are small JSON objects, kept in a ring (hub.events) and sent to every listener;
 * a slow listener loses old events, never holds up a role. The last frames' JPEGs
 * (hub.frames, each at most hub.frame_bytes) are kept in memory for the page alone.
 * It also holds the live bundle pointer of the process: frames pins it, rollout swaps it.
 * Owner: cmd/. Thread: any.
 */
#pragma once
#include "base/config.h"
#include "base/json.h"
#include "vision/bundle.h"

struct sl_server;
struct sl_hub;

struct sl_hub *sl_hub_new(const struct sl_config *cfg);
void sl_hub_free(struct sl_hub *h);
/* event: "frame", "vote", "label", "version", "bundle", "job", ...; data is taken. */
void sl_hub_say(struct sl_hub *h, const char *event, json_t *data);
/* Keeps a frame's picture for /v1/frames/{id}/image; copied. */
void sl_hub_keep_frame(struct sl_hub *h, const char *frame, const char *type, struct sl_slice image);
void sl_hub_routes(struct sl_hub *h, struct sl_server *s); /* GET /v1/events, /v1/frames/{id}/image */
void sl_hub_close(struct sl_hub *h); /* ends every listener: before the server drains */

/* The bundle that answers now, pinned for the caller (unref it); NULL before the first. */
struct sl_bundle *sl_hub_bundle(struct sl_hub *h);
void sl_hub_swap_bundle(struct sl_hub *h, struct sl_bundle *b); /* takes one reference; lets go of the old */
