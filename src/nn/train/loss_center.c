/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/train/nets.h"
#include "base/mem.h"
#include <math.h>

enum { STRIDE = 4 };
static const float EXP_LOW = -3, EXP_HIGH = 4; /* clamp of the box logits: a guard against overflow */

/* Targets of one sample on the grid of h x w cells. */
struct grid {
	int h, w;
	float *heat; /* 1 at centres */
	uint8_t *centre; /* is a centre cell */
	uint8_t *ignored; /* no negative */
	float *q; /* weight of the cell in the box loss */
	int *box; /* which box the cell predicts; -1: none */
};

static void grid_init(struct grid *g, int h, int w)
{
	size_t n = (size_t)h * w;
	*g = (struct grid){h, w, SL_NEW_N(float, n), SL_NEW_N(uint8_t, n), SL_NEW_N(uint8_t, n), SL_NEW_N(float, n),
		SL_NEW_N(int, n)};
}

static void grid_clear(struct grid *g)
{
	size_t n = (size_t)g->h * g->w;
	memset(g->heat, 0, n * sizeof(*g->heat));
	memset(g->centre, 0, n);
	memset(g->ignored, 0, n);
	memset(g->q, 0, n * sizeof(*g->q));
	memset(g->box, 0xff, n * sizeof(*g->box));
}

static void grid_done(struct grid *g)
{
	free(g->heat);
	free(g->centre);
	free(g->ignored);
	free(g->q);
	free(g->box);
}

static int clamp_cell(float v, int n)
{
	return v > 0 ? (v > (float)(n - 1) ? n - 1 : (int)v) : 0; /* NaN gives 0 */
}

/* The Gaussian of a box around its centre cell. */
struct bump {
	int x, y; /* centre cell */
	float w, h; /* box sides in cells */
	float ax, ay; /* g = exp(-dx^2 ax - dy^2 ay) */
	int far_x, far_y; /* beyond, (1 - g)^4 is 1 in float */
};

static struct bump bump_of(const struct grid *g, const struct sl_target_box *b)
{
	struct bump u = {.w = (b->x2 - b->x1) / STRIDE, .h = (b->y2 - b->y1) / STRIDE};
	u.x = clamp_cell(floorf((b->x1 + b->x2) / 2 / STRIDE), g->w);
	u.y = clamp_cell(floorf((b->y1 + b->y2) / 2 / STRIDE), g->h);
	float sx = 0.3f + 0.09f * u.w, sy = 0.3f + 0.09f * u.h;
	u.ax = 1 / (2 * sx * sx);
	u.ay = 1 / (2 * sy * sy);
	u.far_x = clamp_cell(6.5f * sx + 1, g->w);
	u.far_y = clamp_cell(6.5f * sy + 1, g->h);
	return u;
}

static float bump_at(const struct bump *u, int x, int y)
{
	float dx = (float)(x - u->x), dy = (float)(y - u->y);
	return expf(-dx * dx * u->ax - dy * dy * u->ay);
}

static void draw_heat(struct grid *g, const struct bump *u)
{
	int x0 = SL_MAX(0, u->x - u->far_x), x1 = SL_MIN(g->w - 1, u->x + u->far_x);
	int y0 = SL_MAX(0, u->y - u->far_y), y1 = SL_MIN(g->h - 1, u->y + u->far_y);
	for (int y = y0; y <= y1; y++)
		for (int x = x0; x <= x1; x++) {
			float v = bump_at(u, x, y), *heat = &g->heat[y * g->w + x];
			*heat = SL_MAX(*heat, v);
		}
	g->centre[u->y * g->w + u->x] = 1;
}

/* Weights of one box sum to 1 before a smaller box is drawn over some of its cells. */
static void draw_box(struct grid *g, const struct bump *u, int index)
{
	int rx = SL_MAX(1, clamp_cell(0.2f * u->w, g->w)), ry = SL_MAX(1, clamp_cell(0.2f * u->h, g->h));
	int x0 = SL_MAX(0, u->x - rx), x1 = SL_MIN(g->w - 1, u->x + rx);
	int y0 = SL_MAX(0, u->y - ry), y1 = SL_MIN(g->h - 1, u->y + ry);
	float sum = 0;
	for (int y = y0; y <= y1; y++)
		for (int x = x0; x <= x1; x++)
			sum += bump_at(u, x, y) + 0.05f;
	for (int y = y0; y <= y1; y++)
		for (int x = x0; x <= x1; x++) {
			g->q[y * g->w + x] = (bump_at(u, x, y) + 0.05f) / sum;
			g->box[y * g->w + x] = index;
		}
}

static void draw_ignored(struct grid *g, const struct sl_target_box *b)
{
	if (b->x2 <= 0 || b->y2 <= 0 || b->x1 >= (float)(STRIDE * g->w) || b->y1 >= (float)(STRIDE * g->h))
		return;
	int x0 = clamp_cell(floorf(b->x1 / STRIDE), g->w), x1 = clamp_cell(ceilf(b->x2 / STRIDE) - 1, g->w);
	int y0 = clamp_cell(floorf(b->y1 / STRIDE), g->h), y1 = clamp_cell(ceilf(b->y2 / STRIDE) - 1, g->h);
	for (int y = y0; y <= y1; y++)
		memset(g->ignored + y * g->w + x0, 1, (size_t)(x1 - x0 + 1));
}

static bool is_usable(const struct sl_target_box *b)
{
	return b->x2 > b->x1 && b->y2 > b->y1;
}

static float area(const struct sl_target_box *b)
{
	return (b->x2 - b->x1) * (b->y2 - b->y1);
}

/* Large boxes first: small ones are written over them. Insertion sort keeps equal ones in order. */
static void draw_targets(struct grid *g, const struct sl_targets *t)
{
	grid_clear(g);
	SL_AUTOFREE int *order = SL_NEW_N(int, t->n + 1);
	int n = 0;
	for (int i = 0; i < t->n; i++) {
		if (!is_usable(&t->box[i]))
			continue;
		int at = n++;
		for (; at > 0 && area(&t->box[order[at - 1]]) < area(&t->box[i]); at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
	for (int i = 0; i < n; i++) {
		const struct sl_target_box *b = &t->box[order[i]];
		struct bump u = bump_of(g, b);
		if (b->ignored) {
			draw_ignored(g, b);
			continue;
		}
		draw_heat(g, &u);
		draw_box(g, &u, order[i]);
	}
}

/* Focal loss of one cell and its derivative by the logit z. */
static float focal(float z, bool centre, float heat, float *dz)
{
	float e = expf(-fabsf(z)), p = z >= 0 ? 1 / (1 + e) : e / (1 + e), r = 1 - p;
	float tail = log1pf(e);
	if (centre) {
		float log_p = (z < 0 ? z : 0) - tail;
		*dz = -(r * r * r - 2 * p * r * r * log_p);
		return -(r * r * log_p);
	}
	float log_r = (z > 0 ? -z : 0) - tail, k = (1 - heat) * (1 - heat);
	k *= k;
	*dz = k * (p * p * p - 2 * p * p * r * log_r);
	return -(k * p * p * log_r);
}

static double heat_loss(const struct grid *g, const float *z, float share, float *grad)
{
	double loss = 0;
	int n = g->h * g->w;
	for (int i = 0; i < n; i++) {
		grad[i] = 0;
		if (g->ignored[i] && !g->centre[i])
			continue;
		float dz;
		loss += focal(z[i], g->centre[i], g->heat[i], &dz);
		grad[i] = share * dz;
	}
	return loss;
}

/* 1 - GIoU of the predicted box p and its derivatives by p's four edges. */
static float giou_loss(const float p[4], const struct sl_target_box *t, float d[4])
{
	float pw = p[2] - p[0], ph = p[3] - p[1];
	float iw = SL_MIN(p[2], t->x2) - SL_MAX(p[0], t->x1), ih = SL_MIN(p[3], t->y2) - SL_MAX(p[1], t->y1);
	bool meet = iw > 0 && ih > 0;
	float inter = meet ? iw * ih : 0, uni = pw * ph + area(t) - inter;
	float cw = SL_MAX(p[2], t->x2) - SL_MIN(p[0], t->x1), ch = SL_MAX(p[3], t->y2) - SL_MIN(p[1], t->y1);
	float hull = cw * ch;
	/* loss = 2 - inter/uni - uni/hull; du = d(area) - d(inter) */
	float by_uni = inter / (uni * uni) - 1 / hull, by_hull = uni / (hull * hull);
	float by_inter = -1 / uni - by_uni, by_area = by_uni;
	const bool inner[4] = {p[0] > t->x1, p[1] > t->y1, p[2] < t->x2, p[3] < t->y2}; /* edge bounds the overlap */
	for (int k = 0; k < 4; k++) {
		float out = k < 2 ? -1 : 1; /* moving the edge this way grows the box */
		float side = k % 2 == 0 ? ph : pw, over = k % 2 == 0 ? ih : iw, span = k % 2 == 0 ? ch : cw;
		d[k] = out *
		       (by_area * side + (meet && inner[k] ? by_inter * over : 0) + (inner[k] ? 0 : by_hull * span));
	}
	return 2 - inter / uni - uni / hull;
}

static double box_loss(const struct grid *g, const struct sl_targets *t, const float *z, float share, float *grad)
{
	int n = g->h * g->w;
	double loss = 0;
	memset(grad, 0, 4 * (size_t)n * sizeof(*grad));
	for (int i = 0; i < n; i++) {
		if (g->box[i] < 0)
			continue;
		float reach[4], edge[4], d[4];
		for (int k = 0; k < 4; k++) {
			float v = z[k * n + i];
			reach[k] = STRIDE * expf(SL_MIN(SL_MAX(v, EXP_LOW), EXP_HIGH));
			float at = (float)(STRIDE * (k % 2 == 0 ? i % g->w : i / g->w) + STRIDE / 2);
			edge[k] = k < 2 ? at - reach[k] : at + reach[k];
		}
		loss += g->q[i] * giou_loss(edge, &t->box[g->box[i]], d);
		for (int k = 0; k < 4; k++) {
			float v = z[k * n + i];
			if (v >= EXP_LOW && v <= EXP_HIGH)
				grad[k * n + i] = share * g->q[i] * d[k] * (k < 2 ? -reach[k] : reach[k]);
		}
	}
	return loss;
}

float sl_loss_center(
	const struct sl_tensor *out, const struct sl_targets *targets, struct sl_tensor *grad, float parts[4])
{
	int n = (int)out->shape.dim[0], h = (int)out->shape.dim[2], w = (int)out->shape.dim[3], boxes = 0;
	for (int i = 0; i < n; i++)
		for (int k = 0; k < targets[i].n; k++)
			boxes += is_usable(&targets[i].box[k]) && !targets[i].box[k].ignored;
	float share = 1.0f / (float)SL_MAX(1, boxes);
	struct grid g;
	grid_init(&g, h, w);
	double heat = 0, box = 0;
	size_t cells = (size_t)h * w;
	for (int i = 0; i < n; i++) {
		const float *z = out->data + (size_t)i * 5 * cells;
		float *dz = grad->data + (size_t)i * 5 * cells;
		draw_targets(&g, &targets[i]);
		heat += heat_loss(&g, z, share, dz);
		box += box_loss(&g, &targets[i], z + cells, 2 * share, dz + cells);
	}
	grid_done(&g);
	parts[0] = (float)(heat * share);
	parts[1] = (float)(box * share);
	return parts[0] + 2 * parts[1];
}
