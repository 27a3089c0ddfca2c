/* SPDX-License-Identifier: Apache-2.0
 *
 * Coverage by signed areas: each edge adds, in the cells it crosses, how much of the cell
 * lies to its right; a running sum along the row then gives the coverage of every pixel.
 */
#include "vision/paint.h"
#include "base/mem.h"
#include "base/rng.h"
#include <math.h>
#include <pthread.h>
#include <string.h>

enum { TILE = 256 };
static float tile[TILE][TILE];

/* Value noise of several octaves whose lattices divide the tile, so that it repeats. */
static void make_tile(void)
{
	struct sl_rng rng = sl_rng(20260101, 7);

	for (int cells = 4, octave = 0; octave < 6; cells *= 2, octave++) {
		SL_AUTOFREE float *lattice = SL_NEW_N(float, (size_t)cells *cells);
		int step = TILE / cells;
		float amp = 0.5f / (1 << octave);

		for (int i = 0; i < cells * cells; i++)
			lattice[i] = sl_rng_unit(&rng) - 0.5f;
		for (int y = 0; y < TILE; y++)
			for (int x = 0; x < TILE; x++) {
				int cx = x / step, cy = y / step, nx = (cx + 1) % cells, ny = (cy + 1) % cells;
				float fx = (float)(x % step) / step, fy = (float)(y % step) / step;

				fx = fx * fx * (3 - 2 * fx);
				fy = fy * fy * (3 - 2 * fy);
				float top = lattice[cy * cells + cx] * (1 - fx) + lattice[cy * cells + nx] * fx;
				float low = lattice[ny * cells + cx] * (1 - fx) + lattice[ny * cells + nx] * fx;
				tile[y][x] += 2 * amp * (top * (1 - fy) + low * fy);
			}
	}
	for (int y = 0; y < TILE; y++)
		for (int x = 0; x < TILE; x++)
			tile[y][x] = SL_MIN(SL_MAX(tile[y][x] + 0.5f, 0), 1);
}

float sl_paint_noise(float u, float v)
{
	float x = (u - floorf(u)) * TILE, y = (v - floorf(v)) * TILE;
	int x0 = (int)x, y0 = (int)y;
	float fx = x - (float)x0, fy = y - (float)y0;

	x0 &= TILE - 1;
	y0 &= TILE - 1;
	int x1 = (x0 + 1) & (TILE - 1), y1 = (y0 + 1) & (TILE - 1);
	return (tile[y0][x0] * (1 - fx) + tile[y0][x1] * fx) * (1 - fy) +
	       (tile[y1][x0] * (1 - fx) + tile[y1][x1] * fx) * fy;
}

static void reset_bounds(struct sl_canvas *c)
{
	c->x0 = c->w;
	c->y0 = c->h;
	c->x1 = c->y1 = 0;
}

void sl_canvas_init(struct sl_canvas *c, int w, int h)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_tile);
	*c = (struct sl_canvas){.w = w, .h = h};
	c->px = SL_NEW_N(float, (size_t)w *h * 3);
	c->owner = SL_NEW_N(uint8_t, (size_t)w * h);
	c->acc = SL_NEW_N(float, (size_t)(w + 2) * h);
	reset_bounds(c);
}

void sl_canvas_done(struct sl_canvas *c)
{
	free(c->px);
	free(c->owner);
	free(c->acc);
	*c = (struct sl_canvas){0};
}

/* A piece of an edge inside one row: from xa to xb, d rows high (signed). */
static void add_piece(float *row, float xa, float xb, float d)
{
	float lo = SL_MIN(xa, xb), hi = SL_MAX(xa, xb);
	int first = (int)lo, last = (int)ceilf(hi);

	if (last <= first + 1) {
		float mean = 0.5f * (lo + hi) - (float)first;

		row[first] += d - d * mean;
		row[first + 1] += d * mean;
		return;
	}
	float slope = 1 / (hi - lo), in = (float)first + 1 - lo, a0 = 0.5f * slope * in * in;
	float out = hi - (float)last + 1, am = 0.5f * slope * out * out;

	row[first] += d * a0;
	if (last == first + 2) {
		row[first + 1] += d * (1 - a0 - am);
	} else {
		float a1 = slope * (in + 0.5f);

		row[first + 1] += d * (a1 - a0);
		for (int x = first + 2; x < last - 1; x++)
			row[x] += d * slope;
		float a2 = a1 + (float)(last - first - 3) * slope;
		row[last - 1] += d * (1 - a2 - am);
	}
	row[last] += d * am;
}

static float clampf(float v, float lo, float hi)
{
	return v < lo ? lo : v > hi ? hi : v;
}

static void add_edge(struct sl_canvas *c, struct sl_pt a, struct sl_pt b)
{
	float dir = 1;

	if (a.y == b.y)
		return;
	if (a.y > b.y) {
		struct sl_pt t = a;

		a = b;
		b = t;
		dir = -1;
	}
	float slope = (b.x - a.x) / (b.y - a.y), w = (float)c->w;
	int y0 = SL_MAX((int)floorf(a.y), 0), y1 = SL_MIN((int)ceilf(b.y), c->h);

	for (int y = y0; y < y1; y++) {
		float top = SL_MAX((float)y, a.y), low = SL_MIN((float)y + 1, b.y);
		float xa = a.x + (top - a.y) * slope, xb = a.x + (low - a.y) * slope;

		add_piece(c->acc + (size_t)y * (c->w + 2), clampf(xa, 0, w), clampf(xb, 0, w), (low - top) * dir);
	}
}

void sl_paint_contour(struct sl_canvas *c, const struct sl_pt *p, int n)
{
	float x0 = 1e9f, y0 = 1e9f, x1 = -1e9f, y1 = -1e9f;

	for (int i = 0; i < n; i++) {
		if (!(fabsf(p[i].x) < 1e6f && fabsf(p[i].y) < 1e6f))
			return; /* behind the camera */
		x0 = SL_MIN(x0, p[i].x);
		y0 = SL_MIN(y0, p[i].y);
		x1 = SL_MAX(x1, p[i].x);
		y1 = SL_MAX(y1, p[i].y);
	}
	if (x1 <= 0 || y1 <= 0 || x0 >= (float)c->w || y0 >= (float)c->h)
		return;
	for (int i = 0; i < n; i++)
		add_edge(c, p[i], p[(i + 1) % n]);
	c->x0 = SL_MIN(c->x0, (int)SL_MAX(x0, 0));
	c->y0 = SL_MIN(c->y0, (int)SL_MAX(y0, 0));
	c->x1 = SL_MAX(c->x1, (int)SL_MIN(ceilf(x1), (float)c->w));
	c->y1 = SL_MAX(c->y1, (int)SL_MIN(ceilf(y1), (float)c->h));
}

static void fill_pixel(struct sl_canvas *c, int x, int y, float cover, const struct sl_ink *ink)
{
	size_t at = (size_t)y * c->w + x;
	float *p = c->px + at * 3, light = 1;

	if (ink->grain > 0)
		light += ink->grain * (sl_paint_noise(ink->grain_x + (float)x * ink->grain_scale,
					       ink->grain_y + (float)y * ink->grain_scale) -
					      0.5f);
	for (int k = 0; k < 3; k++)
		p[k] += cover * (ink->rgb[k] * light - p[k]);
	if (cover > 0.5f)
		c->owner[at] = ink->id;
}

void sl_paint_fill(struct sl_canvas *c, const struct sl_ink *ink)
{
	for (int y = c->y0; y < c->y1; y++) {
		float *row = c->acc + (size_t)y * (c->w + 2), sum = 0;

		for (int x = c->x0; x < c->x1; x++) {
			sum += row[x];
			float cover = SL_MIN(fabsf(sum), 1);

			if (cover > 0.004f)
				fill_pixel(c, x, y, cover, ink);
		}
		if (c->x1 > c->x0)
			memset(row + c->x0, 0, sizeof(float) * (size_t)(SL_MIN(c->x1 + 2, c->w + 2) - c->x0));
	}
	reset_bounds(c);
}

void sl_paint_polygon(struct sl_canvas *c, const struct sl_pt *p, int n, const struct sl_ink *ink)
{
	sl_paint_contour(c, p, n);
	sl_paint_fill(c, ink);
}

void sl_paint_dot(struct sl_canvas *c, int x, int y, const float rgb[3], float alpha)
{
	if (x < 0 || y < 0 || x >= c->w || y >= c->h)
		return;
	size_t at = (size_t)y * c->w + x;

	for (int k = 0; k < 3; k++)
		c->px[at * 3 + k] += alpha * (rgb[k] - c->px[at * 3 + k]);
	if (alpha > 0.5f)
		c->owner[at] = 0;
}
