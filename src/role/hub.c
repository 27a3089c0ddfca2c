/* SPDX-License-Identifier: Apache-2.0 */
#include "role/hub.h"
#include "base/mem.h"
#include "http/server.h"

enum { LISTENERS = 256, EVENT_NAME = 24 };

struct event {
	char name[EVENT_NAME];
	struct sl_buf data;
};

struct picture {
	char frame[64];
	char type[32];
	struct sl_buf image;
};

struct sl_hub {
	pthread_mutex_t lock;
	struct event *event; /* ring */
	size_t events, said; /* capacity; events ever said */
	struct picture *picture; /* ring */
	size_t pictures, kept, picture_max;
	struct sl_stream *listener[LISTENERS];
	int listeners;
	bool closed;
	struct sl_bundle *bundle;
};

struct sl_hub *sl_hub_new(const struct sl_config *cfg)
{
	struct sl_hub *h = SL_NEW(struct sl_hub);
	pthread_mutex_init(&h->lock, NULL);
	h->events = (size_t)sl_config_int(cfg, "hub.events");
	h->event = SL_NEW_N(struct event, h->events);
	h->pictures = (size_t)sl_config_int(cfg, "hub.frames");
	h->picture = SL_NEW_N(struct picture, h->pictures);
	h->picture_max = (size_t)sl_config_int(cfg, "hub.frame_bytes");
	return h;
}

void sl_hub_free(struct sl_hub *h)
{
	if (!h)
		return;
	sl_hub_close(h);
	for (size_t i = 0; i < h->events; i++)
		sl_buf_done(&h->event[i].data);
	for (size_t i = 0; i < h->pictures; i++)
		sl_buf_done(&h->picture[i].image);
	sl_bundle_unref(h->bundle);
	free(h->event);
	free(h->picture);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static void keep_event(struct sl_hub *h, const char *name, struct sl_slice data)
{
	struct event *e = &h->event[h->said++ % h->events];
	snprintf(e->name, sizeof(e->name), "%s", name);
	e->data.len = 0;
	sl_buf_add(&e->data, data.ptr, data.len);
}

void sl_hub_say(struct sl_hub *h, const char *event, json_t *data)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	enum sl_status s = sl_json_print(data, &text);
	json_decref(data);
	if (s != SL_OK)
		return;
	pthread_mutex_lock(&h->lock);
	keep_event(h, event, sl_buf_slice(&text));
	for (int i = 0; i < h->listeners;)
		if (sl_stream_send(h->listener[i], event, sl_buf_slice(&text))) {
			i++;
		} else {
			sl_stream_end(h->listener[i]);
			h->listener[i] = h->listener[--h->listeners];
		}
	pthread_mutex_unlock(&h->lock);
}

void sl_hub_keep_frame(struct sl_hub *h, const char *frame, const char *type, struct sl_slice image)
{
	if (!h->pictures || image.len > h->picture_max)
		return;
	pthread_mutex_lock(&h->lock);
	struct picture *p = &h->picture[h->kept++ % h->pictures];
	snprintf(p->frame, sizeof(p->frame), "%s", frame);
	snprintf(p->type, sizeof(p->type), "%s", type);
	p->image.len = 0;
	sl_buf_add(&p->image, image.ptr, image.len);
	pthread_mutex_unlock(&h->lock);
}

/* A new listener first gets what is still in the ring, so a page is never empty. */
static void get_events(struct sl_request *r, void *arg)
{
	struct sl_hub *h = arg;
	pthread_mutex_lock(&h->lock);
	bool full = h->closed || h->listeners == LISTENERS;
	if (!full) {
		struct sl_stream *s = sl_answer_stream(r);
		size_t first = h->said > h->events ? h->said - h->events : 0;
		bool here = true;
		for (size_t i = first; i < h->said && here; i++) {
			const struct event *e = &h->event[i % h->events];
			here = sl_stream_send(s, e->name, sl_buf_slice(&e->data));
		}
		if (here)
			h->listener[h->listeners++] = s;
		else
			sl_stream_end(s);
	}
	pthread_mutex_unlock(&h->lock);
	if (full)
		sl_answer_error(
			r, 503, "BUSY", "too many pages listen already, or the server is ending: try again later");
}

static void get_picture(struct sl_request *r, void *arg)
{
	struct sl_hub *h = arg;
	const char *frame = sl_request_param(r, "frame");
	SL_AUTO(sl_buf_done) struct sl_buf image = {0};
	char type[32] = "";
	pthread_mutex_lock(&h->lock);
	for (size_t i = 0; i < h->pictures && !*type; i++)
		if (h->picture[i].image.len && !strcmp(h->picture[i].frame, frame)) {
			snprintf(type, sizeof(type), "%s", h->picture[i].type);
			sl_buf_add(&image, h->picture[i].image.ptr, h->picture[i].image.len);
		}
	pthread_mutex_unlock(&h->lock);
	if (*type)
		sl_answer_copy(r, 200, type, sl_buf_slice(&image));
	else
		sl_answer_error(r, 404, "NOT_FOUND",
			"this frame's picture is not kept any more: only the last few are (hub.frames)");
}

void sl_hub_routes(struct sl_hub *h, struct sl_server *s)
{
	static const struct sl_route routes[] = {
		{.method = "GET",
			.path = "/v1/events",
			.run = SL_RUN_LATER,
			.fn = get_events,
			.tag = "watch",
			.summary =
				"What happens, as server-sent events: frame, vote, label, segment, version, bundle, job, status. What still is in "
				"memory comes first",
			.response = "text/event-stream",
			.errors = "503"},
		{.method = "GET",
			.path = "/v1/frames/{frame}/image",
			.run = SL_RUN_NOW,
			.fn = get_picture,
			.tag = "watch",
			.summary = "The picture of one of the last frames, by its hash",
			.response = "image/jpeg, image/png"},
		{0}};
	sl_server_add(s, routes, h);
}

void sl_hub_close(struct sl_hub *h)
{
	pthread_mutex_lock(&h->lock);
	h->closed = true;
	while (h->listeners)
		sl_stream_end(h->listener[--h->listeners]);
	pthread_mutex_unlock(&h->lock);
}

struct sl_bundle *sl_hub_bundle(struct sl_hub *h)
{
	pthread_mutex_lock(&h->lock);
	struct sl_bundle *b = h->bundle ? sl_bundle_ref(h->bundle) : NULL;
	pthread_mutex_unlock(&h->lock);
	return b;
}

void sl_hub_swap_bundle(struct sl_hub *h, struct sl_bundle *b)
{
	pthread_mutex_lock(&h->lock);
	struct sl_bundle *old = h->bundle;
	h->bundle = b;
	pthread_mutex_unlock(&h->lock);
	sl_bundle_unref(old); /* the last request that pinned it frees it */
}
