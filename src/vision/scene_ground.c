/* SPDX-License-Identifier: Apache-2.0
 *
 * What fills the frame before any thing stands in it: sky, far hills, road and verges. The
 * ground is shaded per pixel from world coordinates, so lines and texture keep perspective.
 */
#include "vision/scene_view.h"
#include "base/mem.h"
#include <math.h>

static float mixf(float a, float b, float t)
{
	return a + (b - a) * t;
}

static float unit(float v)
{
	return v < 0 ? 0 : v > 1 ? 1 : v;
}

void sl_scene_sky(struct sl_view *v)
{
	const struct sl_look *k = v->look;
	struct sl_canvas *c = v->c;
	int low = SL_MIN((int)v->hy + 2, c->h);

	for (int y = 0; y < low; y++) {
		float t = powf((float)y / SL_MAX(v->hy, 1), 1.5f), stretch = 0.25f / (0.15f + 1 - t);

		for (int x = 0; x < c->w; x++) {
			float *p = c->px + ((size_t)y * c->w + x) * 3;
			float u = ((float)x - v->cx) / (float)c->w * stretch * 2,
			      n = sl_paint_noise(u + v->z * 1e-5f + 0.3f, stretch + 0.1f);
			float cloud = unit((n - 0.62f + 0.35f * k->clouds) * 3.5f) * k->clouds;

			for (int i = 0; i < 3; i++)
				p[i] = mixf(mixf(k->sky_top[i], k->sky_low[i], t), k->sky_low[i] * 1.05f, cloud);
		}
	}
	for (int layer = 0; layer < 2; layer++) { /* hills, far and nearer */
		struct sl_pt p[66];
		struct sl_ink ink = {.grain = 0.5f - 0.2f * (float)layer, .grain_scale = 0.012f};
		float hill[3] = {0.16f, 0.22f, 0.14f}, tall = (layer ? 0.035f : 0.06f) * (float)c->h;

		sl_view_ink(v, hill, 0.8f, layer ? 140 : 320, &ink);
		for (int i = 0; i <= 63; i++) {
			float n = sl_paint_noise(
				(float)i / 90 + v->z * 2e-5f + 0.37f * (float)layer + (float)v->car * 0.1f, 0.3f);

			p[i] = (struct sl_pt){(float)i / 63 * (float)c->w, v->hy + 1 - tall * unit(n * 2 - 0.5f)};
		}
		p[64] = (struct sl_pt){(float)c->w, v->hy + 2};
		p[65] = (struct sl_pt){0, v->hy + 2};
		sl_paint_polygon(c, p, 66, &ink);
	}
}

/* How much of a pixel `wide` metres wide lies in the stripe of half width hw. */
static float stripe(float away, float hw, float wide)
{
	return unit((hw + wide / 2 - fabsf(away)) / wide) * SL_MIN(1, 2 * hw / wide);
}

struct row {
	float d, z, wide, deep; /* distance; along the road; metres a pixel across and along */
	float dash, shadow_z;
};

static void shade(const struct sl_view *v, const struct row *r, float u, float *out)
{
	const struct sl_look *k = v->look;
	float fine = SL_MIN(0.06f / r->wide, 1); /* texture finer than a pixel is only flicker */
	/* Two tiles at an angle to each other, so that their repetition does not show. */
	float n = sl_paint_noise(u * 0.11f + r->z * 0.019f, r->z * 0.043f - u * 0.03f);
	float g = sl_paint_noise(u * 0.53f - r->z * 0.11f, r->z * 0.29f + u * 0.17f) +
		  sl_paint_noise(u * 1.7f + r->z * 0.37f, r->z * 1.1f) - 1;
	float road = (0.36f + 0.05f * n + 0.12f * g * fine) * (1 - 0.35f * k->wet);
	float grass = 0.75f + 0.6f * n + 0.9f * g * fine, edge = k->half_road;
	float on = stripe(u, edge, r->wide);
	float pave = k->town ? stripe(fabsf(u) - edge - 1.3f, 1.3f, r->wide) : 0;
	float line = stripe(u, 0.06f, r->wide) * r->dash + stripe(fabsf(u) - edge + 0.25f, 0.06f, r->wide);
	float kerb = k->town ? stripe(fabsf(u) - edge - 0.07f, 0.07f, r->wide) : 0;
	const float green[3] = {mixf(0.17f, 0.30f, k->season), mixf(0.27f, 0.25f, k->season), 0.08f};
	float lit = 1;

	if (k->shade < 0.7f) { /* patches of shade under trees beside the road */
		float s = unit(
			(sl_paint_noise(u * 0.035f + 0.2f, r->shadow_z) - 0.47f + 0.07f * u * k->sun_side / edge) * 9);

		lit = mixf(1, k->shade, s * 0.85f);
	}
	for (int i = 0; i < 3; i++) {
		float c = mixf(green[i] * grass, road * (i == 2 ? 1.06f : 1), on);

		c = mixf(c, 0.47f + 0.15f * g * fine, pave);
		c = mixf(c, 0.58f, kerb);
		c = mixf(c, 0.78f - 0.15f * n, unit(line) * 0.85f);
		out[i] = c * lit * k->sun[i];
	}
}

void sl_scene_ground(struct sl_view *v)
{
	struct sl_canvas *c = v->c;

	for (int y = SL_MAX((int)v->hy + 1, 0); y < c->h; y++) {
		float below = (float)y + 0.5f - v->hy;
		struct row r = {.d = SL_MIN(v->f * v->h / SL_MAX(below, 0.5f), 900)};
		float haze = 1 - expf(-r.d / v->look->haze_m), bend = sl_view_bend(v, r.d);

		r.z = v->z + r.d;
		r.wide = r.d / v->f;
		r.deep = r.d * r.d / (v->f * v->h);
		r.shadow_z = r.z * 0.022f;
		float at = r.z / 12 - floorf(r.z / 12); /* 4 m line, 8 m gap */
		r.dash = r.deep > 8 ? 0.33f : unit((2 + r.deep / 2 - fabsf(at * 12 - 2)) / SL_MAX(r.deep, 0.01f));
		for (int x = 0; x < c->w; x++) {
			float *p = c->px + ((size_t)y * c->w + x) * 3,
			      u = ((float)x + 0.5f - v->cx) * r.wide + v->u - bend;

			shade(v, &r, u, p);
			for (int i = 0; i < 3; i++)
				p[i] = mixf(p[i], v->look->haze[i], haze);
		}
	}
}
