/* SPDX-License-Identifier: Apache-2.0
 *
 * A frame of a drawn drive: choose the light, place what stands along the road, draw from far
 * to near, then do to the picture what a camera does.
 */
#include "vision/scene.h"
#include "base/mem.h"
#include "vision/scene_view.h"
#include "vision/sign_face.h"
#include <math.h>
#include <string.h>

#define CELL_M 7.0f /* the road is furnished in cells of this length */
#define NEAR_M 2.0f
#define FAR_M 190.0f
#define SIGNS_M 75.0f /* beyond this a sign is a few pixels */

enum { CELL_THINGS = 6 };

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15u;
	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9u;
	return x ^ (x >> 32);
}

static struct sl_rng rng_of(uint64_t seed, unsigned car, uint64_t cell, unsigned what)
{
	return sl_rng(mix(seed ^ mix(car + 1000003u * what)) ^ mix(cell + 0x51ed27), what);
}

float sl_view_bend(const struct sl_view *v, float d)
{
	float a = 9, l1 = 110, b = 3, l2 = 47, z = v->z, p = (float)(v->car % 97);
	float here = a * sinf(z / l1 + p) + b * sinf(z / l2 + 2 * p),
	      there = a * sinf((z + d) / l1 + p) + b * sinf((z + d) / l2 + 2 * p);
	float slope = a / l1 * cosf(z / l1 + p) + b / l2 * cosf(z / l2 + 2 * p);

	return there - here - slope * d;
}

struct sl_pt sl_view_point(const struct sl_view *v, float x, float y, float d)
{
	d = SL_MAX(d, NEAR_M * 0.7f);
	return (struct sl_pt){v->cx + v->f * x / d, v->hy + v->f * (v->h - y) / d};
}

void sl_view_ink(const struct sl_view *v, const float rgb[3], float light, float d, struct sl_ink *ret)
{
	float haze = 1 - expf(-d / v->look->haze_m);

	for (int i = 0; i < 3; i++) {
		float lit = rgb[i] * light * v->look->sun[i];

		ret->rgb[i] = lit + (v->look->haze[i] - lit) * haze;
	}
}

static void set3(float *a, float r, float g, float b)
{
	a[0] = r;
	a[1] = g;
	a[2] = b;
}

static void weather(struct sl_look *k, struct sl_rng *r)
{
	float kind = sl_rng_unit(r);

	k->sun_side = sl_rng_unit(r) < 0.5f ? -1 : 1;
	k->season = sl_rng_unit(r) * sl_rng_unit(r);
	k->clouds = sl_rng_unit(r);
	if (kind < 0.5f) { /* sun */
		set3(k->sky_top, 0.33f, 0.55f, 0.92f);
		set3(k->sky_low, 0.86f, 0.94f, 1.05f);
		set3(k->sun, 1.15f, 1.10f, 1.0f);
		k->shade = sl_rng_uniform(r, 0.35f, 0.6f);
		k->haze_m = sl_rng_uniform(r, 350, 900);
	} else if (kind < 0.8f) { /* overcast */
		set3(k->sky_top, 0.78f, 0.81f, 0.85f);
		set3(k->sky_low, 0.97f, 0.98f, 1.0f);
		set3(k->sun, 0.92f, 0.94f, 0.98f);
		k->shade = 0.85f;
		k->haze_m = sl_rng_uniform(r, 120, 400);
		k->wet = sl_rng_unit(r);
	} else if (kind < 0.92f) { /* against the light: bright sky, dark things */
		set3(k->sky_top, 0.95f, 0.98f, 1.05f);
		set3(k->sky_low, 1.25f, 1.22f, 1.15f);
		set3(k->sun, 0.72f, 0.70f, 0.68f);
		k->shade = 0.75f;
		k->haze_m = sl_rng_uniform(r, 200, 500);
	} else { /* late */
		set3(k->sky_top, 0.30f, 0.36f, 0.52f);
		set3(k->sky_low, 0.75f, 0.62f, 0.52f);
		set3(k->sun, 0.62f, 0.56f, 0.53f);
		k->shade = 0.8f;
		k->haze_m = sl_rng_uniform(r, 200, 500);
	}
	for (int i = 0; i < 3; i++)
		k->haze[i] = k->sky_low[i] * 0.82f;
}

static void look_of(uint64_t seed, unsigned car, uint64_t frame, struct sl_look *k)
{
	/* The light changes every 160 frames: another street, another hour. */
	struct sl_rng r = rng_of(seed, car, frame / 160, 1);

	*k = (struct sl_look){0};
	weather(k, &r);
	k->town = sl_rng_unit(&r) < 0.6f;
	k->half_road = k->town ? sl_rng_uniform(&r, 3.2f, 3.8f) : sl_rng_uniform(&r, 3.4f, 4.2f);
	k->exposure = expf(sl_rng_uniform(&r, 0.02f, 0.42f));
	k->contrast = sl_rng_uniform(&r, 0.05f, 0.4f);
	k->vignette = sl_rng_uniform(&r, 0.05f, 0.3f);
	k->blur = sl_rng_uniform(&r, 0.35f, 0.85f);
	k->noise = sl_rng_uniform(&r, 1.0f, 4.0f);
	for (int i = 0; i < 3; i++)
		k->cast[i] = sl_rng_uniform(&r, 0.96f, 1.04f);
}

static void place(struct sl_thing *list, int *n, enum sl_thing_kind kind, float u, float z, struct sl_rng *r)
{
	if (*n < SL_THINGS)
		list[(*n)++] = (struct sl_thing){.kind = kind, .u = u, .z = z, .rng = sl_rng(sl_rng_u32(r), kind)};
}

static void furnish(const struct sl_view *v, int64_t cell, struct sl_thing *list, int *n)
{
	const struct sl_look *k = v->look;
	struct sl_rng r = rng_of(v->seed, v->car, (uint64_t)cell, 2);
	float z = (float)cell * CELL_M, edge = k->half_road;

	for (int side = -1; side <= 1; side += 2) {
		float s = (float)side, p = sl_rng_unit(&r), near = edge + (k->town ? 3.4f : 2.0f);

		if (k->town && cell % 2 == (side > 0) && p < 0.75f)
			place(list, n, SL_HOUSE, s * (near + sl_rng_uniform(&r, 2, 7)), z, &r);
		else if (p < (k->town ? 0.9f : 0.55f))
			place(list, n, SL_TREE, s * (near + sl_rng_uniform(&r, 2.5f, k->town ? 4 : 14)), z, &r);
		if (!k->town && sl_rng_unit(&r) < 0.35f)
			place(list, n, SL_TREE, s * (near + sl_rng_uniform(&r, 9, 26)), z + 3, &r);
		if (sl_rng_unit(&r) < (k->town ? 0.14f : 0.1f))
			place(list, n, SL_HEDGE, s * (near + sl_rng_uniform(&r, 0.6f, 1.4f)), z, &r);
		if (k->town && (cell + 2 * side) % 5 == 0)
			place(list, n, SL_LAMP, s * (edge + 0.7f), z + 2, &r);
		if (!k->town && (cell % 3) == 0)
			place(list, n, SL_MARKER, s * (edge + 0.7f), z + 1, &r);
		if (sl_rng_unit(&r) < (side > 0 ? 0.22f : 0.07f))
			place(list, n, SL_POST, s * (edge + sl_rng_uniform(&r, 0.9f, 1.9f)),
				z + sl_rng_uniform(&r, 0, CELL_M), &r);
	}
}

/* Traffic: one car ahead and some that come towards us, on rails of their own. */
static void traffic(const struct sl_view *v, uint64_t frame, struct sl_thing *list, int *n)
{
	struct sl_rng r = rng_of(v->seed, v->car, frame / 64, 3);

	if (sl_rng_unit(&r) < 0.45f) {
		float gap = sl_rng_uniform(&r, 14, 60) + 6 * sinf((float)(frame % 64) / 64 * 6.2831853f);

		place(list, n, SL_CAR, v->look->half_road / 2, v->z + gap, &r);
	}
	r = rng_of(v->seed, v->car, frame / 40, 4);
	for (int i = 0; i < 3; i++) {
		float start = sl_rng_uniform(&r, 60, 320), at = start - 2.2f * SL_SCENE_STEP_M * (float)(frame % 40);

		place(list, n, SL_CAR, -v->look->half_road / 2, v->z + at, &r);
	}
}

static int by_distance(const void *a, const void *b)
{
	const struct sl_thing *s = a, *t = b;

	return s->d < t->d ? 1 : s->d > t->d ? -1 : 0;
}

static int gather(const struct sl_view *v, uint64_t frame, struct sl_thing *list)
{
	int n = 0, kept = 0, id = 1;
	int64_t from = (int64_t)floorf((v->z - 20) / CELL_M), to = (int64_t)floorf((v->z + FAR_M) / CELL_M);

	for (int64_t cell = from; cell <= to; cell++)
		furnish(v, cell, list, &n);
	traffic(v, frame, list, &n);
	for (int i = 0; i < n; i++) {
		struct sl_thing t = list[i];

		t.d = t.z - v->z;
		bool behind = t.d < NEAR_M && t.kind != SL_HOUSE && t.kind != SL_HEDGE;
		if (behind || t.d > FAR_M || (t.kind == SL_POST && (t.d > SIGNS_M || id + 2 > SL_SCENE_IDS)))
			continue;
		if (t.kind == SL_POST) {
			t.ids = id;
			id += 2;
		}
		list[kept++] = t;
	}
	qsort(list, (size_t)kept, sizeof(*list), by_distance);
	return kept;
}

static int count_owner(const struct sl_canvas *c, const struct sl_drawn_sign *s)
{
	int x0 = SL_MAX((int)s->x0, 0), y0 = SL_MAX((int)s->y0, 0), x1 = SL_MIN((int)ceilf(s->x1), c->w),
	    y1 = SL_MIN((int)ceilf(s->y1), c->h), n = 0;

	for (int y = y0; y < y1; y++)
		for (int x = x0; x < x1; x++)
			n += c->owner[(size_t)y * c->w + x] == s->id;
	return n;
}

static bool is_seen(const struct sl_canvas *c, const struct sl_drawn_sign *s, int drawn)
{
	float w = s->x1 - s->x0, h = s->y1 - s->y0;

	return SL_MAX(w, h) >= SL_SCENE_MIN_PX && s->x0 >= 0 && s->y0 >= 0 && s->x1 <= (float)c->w &&
	       s->y1 <= (float)c->h && 3 * count_owner(c, s) >= 2 * drawn;
}

static void draw_things(struct sl_view *v, struct sl_thing *list, int n, struct sl_scene_truth *ret)
{
	struct sl_drawn_sign sign[SL_SCENE_IDS];
	int drawn[SL_SCENE_IDS], signs = 0;

	for (int i = 0; i < n; i++) {
		int more = sl_thing_draw(v, &list[i], sign + signs);

		for (int k = 0; k < more; k++, signs++)
			drawn[signs] = count_owner(v->c, &sign[signs]);
	}
	*ret = (struct sl_scene_truth){0};
	for (int i = signs; i-- > 0 && ret->n < SL_SCENE_SIGNS;) /* nearest first */
		if (is_seen(v->c, &sign[i], drawn[i]))
			ret->sign[ret->n++] = (struct sl_scene_sign){sign[i].cls,
				{sign[i].x0, sign[i].y0, sign[i].x1 - sign[i].x0, sign[i].y1 - sign[i].y0}};
}

enum { GRAINS = 4096 };

/* What lens, sensor and camera do: vignette, exposure, contrast, blur, noise. */
static void develop(const struct sl_view *v, uint64_t frame, struct sl_image *ret)
{
	const struct sl_look *k = v->look;
	const struct sl_canvas *c = v->c;
	float grain[GRAINS], r2_max = 0.25f * ((float)c->w * c->w + (float)c->h * c->h);
	struct sl_rng r = rng_of(v->seed, v->car, frame, 5);

	for (int y = 0; y < c->h; y++)
		for (int x = 0; x < c->w; x++) {
			size_t at = ((size_t)y * c->w + x) * 3;
			float dx = (float)x - (float)c->w / 2, dy = (float)y - (float)c->h / 2;
			float gain = k->exposure * (1 - k->vignette * (dx * dx + dy * dy) / r2_max);

			for (int i = 0; i < 3; i++) {
				float p = SL_MIN(SL_MAX(c->px[at + i] * gain * k->cast[i], 0), 1);

				p += k->contrast * (p * p * (3 - 2 * p) - p);
				ret->px[at + i] = (uint8_t)(p * 255 + 0.5f);
			}
		}
	sl_image_gaussian(ret, k->blur);
	for (int i = 0; i < GRAINS; i++)
		grain[i] = sl_rng_normal(&r) * k->noise;
	for (size_t i = 0, n = (size_t)c->w * c->h; i < n; i++) {
		uint32_t g = i % 61 ? 0 : sl_rng_u32(&r) % GRAINS;
		static const int apart[3] = {0, 1361, 2731};

		for (int j = 0; j < 3; j++) {
			float p = (float)ret->px[i * 3 + j] + 0.6f * grain[(i + g + apart[j]) % GRAINS];

			ret->px[i * 3 + j] = (uint8_t)SL_MIN(SL_MAX(p + 0.5f, 0), 255);
		}
	}
}

void sl_scene_draw(uint64_t seed, unsigned car, uint64_t frame, struct sl_image *ret, struct sl_scene_truth *ret_truth)
{
	struct sl_thing list[SL_THINGS];
	struct sl_canvas c;
	struct sl_look look;
	struct sl_rng r = rng_of(seed, car, frame / 160, 6);
	float w = (float)ret->w, h = (float)ret->h;

	SL_ASSERT(ret->w >= 64 && ret->h >= 64 && ret->w <= 8192 && ret->h <= 8192);
	sl_canvas_init(&c, ret->w, ret->h);
	look_of(seed, car, frame, &look);
	struct sl_view v = {
		.c = &c, .look = &look, .seed = seed, .car = car, .f = w * sl_rng_uniform(&r, 0.70f, 0.85f)};
	v.z = (float)frame * SL_SCENE_STEP_M + 40;
	v.u = look.half_road / 2 + 0.15f * sinf(v.z / 23);
	v.h = 1.35f;
	v.cx = w / 2;
	v.hy = h * sl_rng_uniform(&r, 0.60f, 0.67f) + h * 0.003f * sinf(v.z * 0.9f);
	sl_scene_sky(&v);
	sl_scene_ground(&v);
	draw_things(&v, list, gather(&v, frame, list), ret_truth);
	develop(&v, frame, ret);
	sl_canvas_done(&c);
}

int sl_scene_classes(void)
{
	return sl_faces_count;
}

struct front {
	float x, y, scale;
};

static struct sl_pt front_point(const void *arg, float a, float b)
{
	const struct front *f = arg;

	return (struct sl_pt){f->x + a * f->scale, f->y + b * f->scale};
}

static void front_ink(const void *arg, const uint8_t rgb[3], struct sl_ink *ret)
{
	for (int i = 0; i < 3; i++)
		ret->rgb[i] = (float)rgb[i] / 255;
}

void sl_scene_draw_sign(int cls, float fill, struct sl_image *ret)
{
	struct sl_canvas c;
	struct sl_drawn_sign s;
	struct front f = {(float)ret->w / 2, (float)ret->h / 2, (float)SL_MIN(ret->w, ret->h) * fill / SL_FACE_SIDE};

	sl_canvas_init(&c, ret->w, ret->h);
	for (size_t i = 0, n = (size_t)ret->w * ret->h * 3; i < n; i++)
		c.px[i] = 0.5f;
	sl_face_paint(&c, cls, front_point, &f, front_ink, &s);
	for (size_t i = 0, n = (size_t)ret->w * ret->h * 3; i < n; i++)
		ret->px[i] = (uint8_t)(SL_MIN(SL_MAX(c.px[i], 0), 1) * 255 + 0.5f);
	sl_canvas_done(&c);
}
