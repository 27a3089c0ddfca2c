/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands along the road: each kind is one function from its own random numbers to
 * polygons, so a thing looks the same from every distance.
 */
#include "base/mem.h"
#include "vision/scene_view.h"
#include "vision/sign_face.h"
#include <math.h>

#define CAMERA_X(v, t) ((t)->u - (v)->u + sl_view_bend((v), (t)->d))

static void quad(struct sl_view *v, const float q[4][3], const struct sl_ink *ink)
{
	struct sl_pt p[4];

	for (int i = 0; i < 4; i++)
		p[i] = sl_view_point(v, q[i][0], q[i][1], q[i][2]);
	sl_paint_polygon(v->c, p, 4, ink);
}

/* A rectangle that faces the camera. */
static void card(struct sl_view *v, float x0, float x1, float y0, float y1, float d, const struct sl_ink *ink)
{
	const float q[4][3] = {{x0, y0, d}, {x1, y0, d}, {x1, y1, d}, {x0, y1, d}};

	quad(v, q, ink);
}

static float light_of(const struct sl_view *v, float side)
{
	/* What faces the sun is lit; the other side lies in the shade. */
	return side * v->look->sun_side > 0 ? v->look->shade : 1;
}

struct leaves {
	float x, y, rx, ry; /* pixels */
	float u, v, detail; /* where in the noise, tiles over the crown's width */
	float rgb[3], dark[3];
	float rough, side;
};

static void crown(struct sl_canvas *c, const struct leaves *l)
{
	int x0 = SL_MAX((int)(l->x - l->rx * 1.25f), 0), x1 = SL_MIN((int)(l->x + l->rx * 1.25f) + 1, c->w);
	int y0 = SL_MAX((int)(l->y - l->ry * 1.25f), 0), y1 = SL_MIN((int)(l->y + l->ry * 1.25f) + 1, c->h);
	float sharp = SL_MAX(2, l->rx * 0.12f);

	for (int y = y0; y < y1; y++)
		for (int x = x0; x < x1; x++) {
			float nx = ((float)x - l->x) / l->rx, ny = ((float)y - l->y) / l->ry;
			float r2 = nx * nx + ny * ny;

			if (r2 > 1.5f)
				continue;
			float u = l->u + nx * l->detail, w = l->v + ny * l->detail;
			float a = (1 - r2) * 0.8f + (sl_paint_noise(u, w) - 0.5f) * l->rough +
				  (sl_paint_noise(w * 5.3f, u * 5.3f) - 0.5f) * 0.5f;
			if (a <= 0)
				continue;
			float leaf = sl_paint_noise(u * 1.7f + 0.4f, w * 1.7f) +
				     0.8f * sl_paint_noise(u * 6.1f, w * 6.1f + u) - 0.4f;
			float tone = leaf * 1.5f - 0.35f - 0.3f * ny + 0.25f * nx * l->side;
			tone = SL_MIN(SL_MAX(tone, 0), 1);
			const float rgb[3] = {l->dark[0] + (l->rgb[0] - l->dark[0]) * tone,
				l->dark[1] + (l->rgb[1] - l->dark[1]) * tone,
				l->dark[2] + (l->rgb[2] - l->dark[2]) * tone};
			sl_paint_dot(c, x, y, rgb, SL_MIN(a * sharp, 1));
		}
}

static void tree(struct sl_view *v, struct sl_thing *t)
{
	struct sl_rng *r = &t->rng;
	float x = CAMERA_X(v, t), tall = sl_rng_uniform(r, 5, 12), trunk = sl_rng_uniform(r, 1.4f, 2.6f);
	float wide = tall * sl_rng_uniform(r, 0.22f, 0.36f), px = v->f / t->d, warm = v->look->season * sl_rng_unit(r);
	const float bark[3] = {0.20f, 0.16f, 0.12f}, green[3] = {0.30f + 0.30f * warm, 0.40f - 0.03f * warm, 0.13f};
	const float deep[3] = {0.03f, 0.055f, 0.03f};
	struct sl_ink ink = {.grain = 0.5f, .grain_scale = 0.03f};
	struct sl_pt middle = sl_view_point(v, x, trunk + (tall - trunk) * 0.5f, t->d);
	struct leaves l = {.x = middle.x, .y = middle.y, .rx = wide * px, .ry = (tall - trunk) * 0.56f * px};

	sl_view_ink(v, bark, 0.7f, t->d, &ink);
	card(v, x - 0.16f, x + 0.16f, 0, trunk + 1, t->d, &ink);
	if (l.rx < 1)
		return;
	l.u = sl_rng_unit(r);
	l.v = sl_rng_unit(r);
	l.detail = 0.26f;
	l.rough = sl_rng_uniform(r, 0.9f, 1.6f);
	l.side = v->look->sun_side;
	sl_view_ink(v, green, 1.1f, t->d, &ink);
	for (int i = 0; i < 3; i++)
		l.rgb[i] = ink.rgb[i];
	sl_view_ink(v, deep, 1, t->d, &ink);
	for (int i = 0; i < 3; i++)
		l.dark[i] = ink.rgb[i];
	crown(v->c, &l);
}

static void hedge(struct sl_view *v, struct sl_thing *t)
{
	float x = CAMERA_X(v, t), tall = sl_rng_uniform(&t->rng, 0.8f, 1.6f), far = t->d + 7, near = SL_MAX(t->d, 1.6f);
	const float green[3] = {0.16f, 0.24f, 0.08f};
	struct sl_ink ink = {.grain = 1.5f, .grain_scale = 0.013f / SL_MAX(near / 12, 1), .grain_x = t->z * 0.01f};

	if (far < 2.5f)
		return;
	float xf = t->u - v->u + sl_view_bend(v, far);
	const float q[4][3] = {{x, 0, near}, {xf, 0, far}, {xf, tall, far}, {x, tall, near}};
	sl_view_ink(v, green, light_of(v, t->u), near, &ink);
	quad(v, q, &ink);
	card(v, t->u > 0 ? x : x - 0.9f, t->u > 0 ? x + 0.9f : x, 0, tall, near, &ink);
}

struct house {
	float x, near, far, depth, tall, floor, side; /* x of the wall along the road */
	int floors;
};

static void windows(struct sl_view *v, const struct house *h, struct sl_rng *r, float light)
{
	const float glass[3] = {0.10f, 0.12f, 0.15f}, frame[3] = {0.75f, 0.75f, 0.72f};
	int columns = (int)((h->far - h->near) / 2.6f);

	if (v->f / h->near < 9)
		return; /* smaller than a pixel or two */
	for (int f = 0; f < h->floors; f++)
		for (int i = 0; i < columns; i++) {
			float d0 = h->near + ((float)i + 0.3f) * 2.6f, d1 = d0 + 1.1f, y0 = (float)f * h->floor + 0.9f,
			      y1 = y0 + 1.4f;
			struct sl_ink ink = {0};

			if (d0 < 1.6f)
				continue;
			for (int inner = 0; inner < 2; inner++) {
				float g = inner ? 0.1f : 0, e = h->x;
				const float q[4][3] = {{e, y0 + g, d0 + g}, {e, y0 + g, d1 - g}, {e, y1 - g, d1 - g},
					{e, y1 - g, d0 + g}};

				sl_view_ink(v, inner ? glass : frame, inner ? 0.6f + 0.8f * sl_rng_unit(r) : light, d0,
					&ink);
				quad(v, q, &ink);
			}
		}
	for (int f = 0; f < h->floors; f++) /* the wall that faces us */
		for (int i = 0; i < 2; i++) {
			float x0 = h->x + h->side * (1.2f + (float)i * 3.2f), y0 = (float)f * h->floor + 0.9f;
			struct sl_ink ink = {0};

			if (h->near < 1.7f || fabsf(x0 - h->x) > h->depth - 1.5f)
				continue;
			sl_view_ink(v, frame, light, h->near, &ink);
			card(v, x0 - 0.1f, x0 + 1.1f, y0 - 0.1f, y0 + 1.5f, h->near, &ink);
			sl_view_ink(v, glass, 0.6f + 0.8f * sl_rng_unit(r), h->near, &ink);
			card(v, x0, x0 + 1.0f, y0, y0 + 1.4f, h->near, &ink);
		}
}

static void house(struct sl_view *v, struct sl_thing *t)
{
	static const float paint[6][3] = {{0.72f, 0.68f, 0.58f}, {0.62f, 0.60f, 0.58f}, {0.70f, 0.55f, 0.42f},
		{0.46f, 0.27f, 0.21f}, {0.80f, 0.79f, 0.75f}, {0.58f, 0.62f, 0.60f}};
	static const float tiles[2][3] = {{0.34f, 0.16f, 0.11f}, {0.17f, 0.17f, 0.19f}};
	struct sl_rng *r = &t->rng;
	float side = t->u > 0 ? 1 : -1, len = sl_rng_uniform(r, 8, 13.5f), light = light_of(v, t->u);
	const float *rgb = paint[sl_rng_below(r, 6)], *roof = tiles[sl_rng_below(r, 2)];
	struct house h = {.near = SL_MAX(t->d, 1.5f),
		.far = t->d + len,
		.depth = sl_rng_uniform(r, 7, 10),
		.side = side,
		.floors = 2 + (int)sl_rng_below(r, 2),
		.floor = sl_rng_uniform(r, 2.7f, 3.1f)};
	struct sl_ink ink = {.grain = 0.1f, .grain_scale = 0.02f, .grain_x = t->z * 0.013f};

	if (h.far < 2.5f)
		return;
	h.tall = (float)h.floors * h.floor + 0.4f;
	h.x = CAMERA_X(v, t);
	float back = h.x + side * h.depth, ridge = h.tall + 3.2f, mid = h.x + side * h.depth / 2;
	const float slope[4][3] = {
		{h.x, h.tall, h.near}, {h.x, h.tall, h.far}, {mid, ridge, h.far}, {mid, ridge, h.near}};
	const float wall[4][3] = {{h.x, 0, h.near}, {h.x, 0, h.far}, {h.x, h.tall, h.far}, {h.x, h.tall, h.near}};
	struct sl_pt front[5] = {sl_view_point(v, h.x, 0, h.near), sl_view_point(v, back, 0, h.near),
		sl_view_point(v, back, h.tall, h.near), sl_view_point(v, mid, ridge, h.near),
		sl_view_point(v, h.x, h.tall, h.near)};

	sl_view_ink(v, roof, 0.9f * light, h.near, &ink);
	quad(v, slope, &ink);
	sl_view_ink(v, rgb, light * 0.92f, h.near, &ink);
	quad(v, wall, &ink);
	if (t->d > 1.6f) {
		sl_view_ink(v, rgb, 0.5f + 0.4f * v->look->shade, h.near, &ink);
		sl_paint_polygon(v->c, front, 5, &ink);
	}
	windows(v, &h, r, light);
}

static void lamp(struct sl_view *v, struct sl_thing *t)
{
	const float steel[3] = {0.36f, 0.38f, 0.38f};
	float x = CAMERA_X(v, t), in = t->u > 0 ? -1.6f : 1.6f, y = sl_rng_uniform(&t->rng, 6.2f, 7.8f);
	struct sl_ink ink = {0};

	sl_view_ink(v, steel, 0.8f, t->d, &ink);
	card(v, x - 0.07f, x + 0.07f, 0, y, t->d, &ink);
	card(v, SL_MIN(x, x + in), SL_MAX(x, x + in), y - 0.06f, y + 0.05f, t->d, &ink);
	card(v, x + in - 0.3f, x + in + 0.3f, y - 0.12f, y + 0.06f, t->d, &ink);
}

static void marker(struct sl_view *v, struct sl_thing *t)
{
	const float white[3] = {0.85f, 0.85f, 0.83f}, black[3] = {0.08f, 0.08f, 0.08f};
	float x = CAMERA_X(v, t);
	struct sl_ink ink = {0};

	sl_view_ink(v, white, 0.9f, t->d, &ink);
	card(v, x - 0.06f, x + 0.06f, 0, 1, t->d, &ink);
	sl_view_ink(v, black, 1, t->d, &ink);
	card(v, x - 0.06f, x + 0.06f, 0.7f, 0.88f, t->d, &ink);
}

static void car(struct sl_view *v, struct sl_thing *t)
{
	static const float paint[7][3] = {{0.55f, 0.56f, 0.58f}, {0.10f, 0.11f, 0.12f}, {0.78f, 0.78f, 0.78f},
		{0.12f, 0.18f, 0.34f}, {0.40f, 0.09f, 0.09f}, {0.30f, 0.31f, 0.33f}, {0.22f, 0.30f, 0.26f}};
	const float tyre[3] = {0.04f, 0.04f, 0.04f}, glass[3] = {0.16f, 0.19f, 0.22f}, red[3] = {0.45f, 0.05f, 0.04f},
		    lamp_rgb[3] = {0.95f, 0.95f, 0.9f}, plate[3] = {0.8f, 0.8f, 0.78f};
	const float *rgb = paint[sl_rng_below(&t->rng, 7)];
	float x = CAMERA_X(v, t), w = 0.88f, d = t->d, top = sl_rng_uniform(&t->rng, 1.38f, 1.65f);
	bool towards = t->u < 0;
	struct sl_ink ink = {0};
	struct sl_pt body[8], pane[4];
	static const float outline[8][2] = {
		{-1, .25f}, {-1, .8f}, {-.93f, .95f}, {-.72f, 1}, {.72f, 1}, {.93f, .95f}, {1, .8f}, {1, .25f}};

	sl_view_ink(v, tyre, 1, d, &ink);
	card(v, x - w * 1.05f, x + w * 1.05f, 0, 0.16f, d, &ink);
	card(v, x - w * 0.95f, x - w * 0.68f, 0, 0.5f, d, &ink);
	card(v, x + w * 0.68f, x + w * 0.95f, 0, 0.5f, d, &ink);
	for (int i = 0; i < 8; i++) {
		float y = outline[i][1], taper = y > 0.9f ? (i == 3 || i == 4 ? 1 : 0.98f) : 1;

		body[i] = sl_view_point(
			v, x + outline[i][0] * w * taper, y >= 0.95f ? (y - 0.95f) * (top - 0.95f) * 20 + 0.95f : y, d);
	}
	sl_view_ink(v, rgb, 0.85f, d, &ink);
	sl_paint_polygon(v->c, body, 8, &ink);
	pane[0] = sl_view_point(v, x - w * 0.82f, 0.98f, d);
	pane[1] = sl_view_point(v, x + w * 0.82f, 0.98f, d);
	pane[2] = sl_view_point(v, x + w * 0.66f, top - 0.09f, d);
	pane[3] = sl_view_point(v, x - w * 0.66f, top - 0.09f, d);
	sl_view_ink(v, glass, 1, d, &ink);
	sl_paint_polygon(v->c, pane, 4, &ink);
	sl_view_ink(v, towards ? lamp_rgb : red, 1, d, &ink);
	for (int s = -1; s <= 1; s += 2)
		card(v, x + (float)s * w * 0.8f - 0.14f, x + (float)s * w * 0.8f + 0.14f, towards ? 0.58f : 0.68f,
			towards ? 0.74f : 0.86f, d, &ink);
	sl_view_ink(v, plate, 0.9f, d, &ink);
	card(v, x - 0.26f, x + 0.26f, towards ? 0.38f : 0.52f, towards ? 0.49f : 0.63f, d, &ink);
}

struct board {
	const struct sl_view *v;
	float x, y, d, scale, yaw, roll, light, wear, fade[3];
	uint8_t id;
};

static struct sl_pt board_point(const void *arg, float a, float b)
{
	const struct board *s = arg;
	float ca = cosf(s->roll), sa = sinf(s->roll), across = (a * ca - b * sa) * s->scale,
	      up = -(a * sa + b * ca) * s->scale;

	return sl_view_point(s->v, s->x + across * cosf(s->yaw), s->y + up, s->d + across * sinf(s->yaw));
}

static void board_ink(const void *arg, const uint8_t rgb[3], struct sl_ink *ret)
{
	const struct board *s = arg;
	float c[3], grey = (float)(rgb[0] + rgb[1] + rgb[2]) / 765;

	for (int i = 0; i < 3; i++) {
		/* Retroreflective sheeting photographs in stronger colours than the drawing's. */
		float p = grey + ((float)rgb[i] / 255 - grey) * 1.35f;

		p = SL_MIN(SL_MAX(p, 0.03f), 1);
		p = p * p * 0.25f + p * 0.75f;
		c[i] = p + (s->fade[i] - p) * s->wear;
	}
	sl_view_ink(s->v, c, s->light, s->d, ret);
	ret->id = s->id;
}

void sl_face_paint(struct sl_canvas *c, int cls, struct sl_pt (*project)(const void *arg, float a, float b),
	const void *arg, void (*ink)(const void *arg, const uint8_t rgb[3], struct sl_ink *ret),
	struct sl_drawn_sign *ret)
{
	const struct sl_face *f = &sl_faces[cls];

	SL_ASSERT(cls >= 0 && cls < sl_faces_count);
	*ret = (struct sl_drawn_sign){.cls = cls, .x0 = 1e9f, .y0 = 1e9f, .x1 = -1e9f, .y1 = -1e9f};
	for (int i = 0; i < f->paths; i++) {
		const struct sl_face_path *path = &sl_face_paths[f->path + i];
		struct sl_ink with = {0};
		int at = path->point;

		for (int k = 0; k < path->contours; k++) {
			int n = sl_face_lens[path->len + k];
			struct sl_pt p[128];

			SL_ASSERT(n <= 128);
			for (int j = 0; j < n; j++, at++) {
				p[j] = project(arg, (float)sl_face_points[at][0] / 100 - SL_FACE_SIDE / 2,
					(float)sl_face_points[at][1] / 100 - SL_FACE_SIDE / 2);
				ret->x0 = SL_MIN(ret->x0, p[j].x);
				ret->y0 = SL_MIN(ret->y0, p[j].y);
				ret->x1 = SL_MAX(ret->x1, p[j].x);
				ret->y1 = SL_MAX(ret->y1, p[j].y);
			}
			sl_paint_contour(c, p, n);
		}
		ink(arg, path->rgb, &with);
		sl_paint_fill(c, &with);
	}
}

static int post(struct sl_view *v, struct sl_thing *t, struct sl_drawn_sign *ret)
{
	const float steel[3] = {0.46f, 0.47f, 0.47f};
	struct sl_rng *r = &t->rng;
	float x = CAMERA_X(v, t), y = sl_rng_uniform(r, 1.9f, 2.7f), yaw = sl_rng_uniform(r, -0.3f, 0.3f), top = y;
	int n = sl_rng_unit(r) < 0.25f ? 2 : 1;
	struct sl_ink ink = {0};

	sl_view_ink(v, steel, 0.85f, t->d, &ink);
	for (int i = 0; i < n; i++) {
		int cls = (int)sl_rng_below(r, (uint32_t)sl_faces_count);
		float side = sl_rng_uniform(r, 0.6f, 0.75f), grey = sl_rng_uniform(r, 0.45f, 0.7f),
		      lit = sl_rng_unit(r);
		struct board b = {.v = v,
			.x = x,
			.y = top + side / 2,
			.d = t->d - 0.06f,
			.scale = side / SL_FACE_SIDE,
			.yaw = yaw,
			.roll = sl_rng_uniform(r, -0.06f, 0.06f),
			.id = (uint8_t)(t->ids + i),
			.light = lit < 0.5f ? 1.02f : v->look->shade + (1 - v->look->shade) * lit * 0.5f,
			.wear = sl_rng_uniform(r, 0.02f, 0.22f),
			.fade = {grey, grey, grey}};

		if (i == 0)
			card(v, x - 0.03f, x + 0.03f, 0, y + side * 0.9f + (n == 2 ? side : 0), t->d, &ink);
		sl_face_paint(v->c, cls, board_point, &b, board_ink, &ret[i]);
		ret[i].id = b.id;
		top += side + 0.04f;
	}
	return n;
}

int sl_thing_draw(struct sl_view *v, struct sl_thing *t, struct sl_drawn_sign *ret_signs)
{
	static void (*const draw[])(struct sl_view *, struct sl_thing *) = {[SL_TREE] = tree,
		[SL_HOUSE] = house,
		[SL_LAMP] = lamp,
		[SL_CAR] = car,
		[SL_HEDGE] = hedge,
		[SL_MARKER] = marker};

	if (t->kind == SL_POST)
		return post(v, t, ret_signs);
	draw[t->kind](v, t);
	return 0;
}
