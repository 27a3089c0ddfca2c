/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to vision's scenes: the camera and the light of one frame, and the things in it.
 * World: u metres right of the road's middle, height above it, z metres along it. Camera: x
 * right, d ahead. Colours as paint.h.
 */
#pragma once
#include "base/rng.h"
#include "vision/paint.h"
#include "vision/scene.h"

enum { SL_THINGS = 256, SL_SCENE_IDS = 200 };

struct sl_look {
	float sky_top[3], sky_low[3], haze[3];
	float sun[3]; /* light on things in the open */
	float shade; /* light in the shade, of sun */
	float sun_side; /* -1 the sun stands left, 1 right */
	float haze_m; /* metres until two thirds are haze */
	float clouds; /* 0..1 */
	float wet; /* 0..1: how dark the road is */
	float season; /* 0 spring green, 1 autumn */
	float exposure, contrast, vignette, blur, noise;
	float cast[3]; /* white balance */
	int jpeg_quality;
	bool town;
	float half_road; /* metres from the middle to the edge */
};

struct sl_view {
	struct sl_canvas *c;
	const struct sl_look *look;
	uint64_t seed;
	unsigned car;
	float f, cx, hy; /* focal length, middle, horizon in pixels */
	float z, u, h; /* camera: along the road, right of its middle, above it; metres */
};

/* Where the road's middle lies d metres ahead, in metres right of straight ahead. */
float sl_view_bend(const struct sl_view *v, float d);
struct sl_pt sl_view_point(const struct sl_view *v, float x, float y, float d); /* x right of the camera */
/* rgb in light `light`, behind the haze of distance d. */
void sl_view_ink(const struct sl_view *v, const float rgb[3], float light, float d, struct sl_ink *ret);

void sl_scene_sky(struct sl_view *v);
void sl_scene_ground(struct sl_view *v);

enum sl_thing_kind { SL_TREE, SL_HOUSE, SL_LAMP, SL_POST, SL_CAR, SL_HEDGE, SL_MARKER };

struct sl_thing {
	enum sl_thing_kind kind;
	float u, z; /* world */
	struct sl_rng rng; /* its own looks */
	int ids; /* first id of its signs */
	float d; /* distance, filled by the caller */
};

struct sl_drawn_sign {
	int cls, id;
	float x0, y0, x1, y1;
};

/* ret_signs takes the faces of a post, at most 2; gives how many. */
int sl_thing_draw(struct sl_view *v, struct sl_thing *t, struct sl_drawn_sign *ret_signs);
/* A face whose point (a, b) in face units goes through project(). */
void sl_face_paint(struct sl_canvas *c, int cls, struct sl_pt (*project)(const void *arg, float a, float b),
	const void *arg, void (*ink)(const void *arg, const uint8_t rgb[3], struct sl_ink *ret),
	struct sl_drawn_sign *ret);
