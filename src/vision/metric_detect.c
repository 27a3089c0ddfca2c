/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "vision/metric.h"
#include <math.h>

const int sl_size_from[SL_SIZES] = {0, 16, 32, 64};

struct scored {
	struct sl_detection d;
	int scene, order;
	int size; /* of the box it found; -1: false */
};

struct sl_detection_measure {
	float iou;
	int scenes, ndetection, detection_room, ntruth, truth_room;
	struct scored *detection;
	struct sl_truth *truth;
	int *first_truth, first_room; /* of scene i; the next one's is its end */
};

struct sl_detection_measure *sl_detection_measure_new(float iou)
{
	struct sl_detection_measure *m = SL_NEW(struct sl_detection_measure);

	m->iou = iou;
	return m;
}

void sl_detection_measure_free(struct sl_detection_measure *m)
{
	if (!m)
		return;
	free(m->detection);
	free(m->truth);
	free(m->first_truth);
	free(m);
}

static void *grow(void *p, int n, int *room, size_t size)
{
	if (n <= *room)
		return p;
	*room = SL_MAX(n, 2 * *room + 64);
	return sl_realloc(p, *room, size);
}

void sl_detection_measure_add(struct sl_detection_measure *m, const struct sl_detection *d, int n,
	const struct sl_box *box, const bool *ignored, int nbox)
{
	m->first_truth = grow(m->first_truth, m->scenes + 2, &m->first_room, sizeof *m->first_truth);
	m->detection = grow(m->detection, m->ndetection + n, &m->detection_room, sizeof *m->detection);
	m->truth = grow(m->truth, m->ntruth + nbox, &m->truth_room, sizeof *m->truth);
	m->first_truth[m->scenes] = m->ntruth;
	for (int i = 0; i < n; i++, m->ndetection++)
		m->detection[m->ndetection] = (struct scored){d[i], m->scenes, m->ndetection, -1};
	for (int i = 0; i < nbox; i++)
		m->truth[m->ntruth++] = (struct sl_truth){box[i], ignored && ignored[i], false};
	m->first_truth[++m->scenes] = m->ntruth;
}

static int by_score(const void *a, const void *b)
{
	const struct scored *x = a, *y = b;

	if (x->d.score != y->d.score)
		return x->d.score > y->d.score ? -1 : 1;
	return x->order - y->order;
}

static int size_of(const struct sl_box *b)
{
	int i = SL_SIZES - 1;

	while (i > 0 && fmaxf(b->w, b->h) < sl_size_from[i])
		i--;
	return i;
}

static bool lies_in(const struct sl_box *a, const struct sl_box *b)
{
	float w = fminf(a->x + a->w, b->x + b->w) - fmaxf(a->x, b->x);
	float h = fminf(a->y + a->h, b->y + b->h) - fmaxf(a->y, b->y);

	return w > 0 && h > 0 && w * h > 0.5f * a->w * a->h;
}

int sl_detection_take(const struct sl_box *d, struct sl_truth *truth, int n, float iou)
{
	int best = -1;
	bool ignored = false;

	for (int i = 0; i < n; i++) {
		const struct sl_truth *t = &truth[i];
		float have = sl_box_iou(d, &t->box);

		if (t->ignored) {
			ignored |= lies_in(d, &t->box);
		} else if (!t->taken && have >= iou) {
			iou = have;
			best = i;
		}
	}
	if (best < 0)
		return ignored ? SL_TAKES_IGNORED : SL_TAKES_NONE;
	truth[best].taken = true;
	return best;
}

/* Gives a detection its box. Returns false for one that does not count at all. */
static bool match(struct sl_detection_measure *m, struct scored *s)
{
	int first = m->first_truth[s->scene];
	int at = sl_detection_take(&s->d.box, m->truth + first, m->first_truth[s->scene + 1] - first, m->iou);

	if (at >= 0)
		s->size = size_of(&m->truth[first + at].box);
	return at != SL_TAKES_IGNORED;
}

struct curve {
	int n;
	double *precision, *recall;
};

static void average_precision(const struct curve *c, struct sl_detection_score *ret)
{
	double envelope = 0, last = c->n ? c->recall[c->n - 1] : 0;
	double at[11] = {0};

	for (int i = c->n - 1; i >= 0; i--) {
		double before = i ? c->recall[i - 1] : 0;

		envelope = fmax(envelope, c->precision[i]);
		ret->ap += (c->recall[i] - before) * envelope;
		for (int k = 0; k <= 10; k++)
			if (c->recall[i] >= k / 10.0 - 1e-12)
				at[k] = envelope;
	}
	for (int k = 0; k <= 10; k++)
		ret->ap11 += (last >= k / 10.0 - 1e-12 ? at[k] : 0) / 11;
}

static void best_f1(struct sl_detection_measure *m, const struct curve *c, struct sl_detection_score *ret)
{
	int best = -1;

	for (int i = 0; i < c->n; i++) {
		double f1 = 2 * c->precision[i] * c->recall[i] / fmax(c->precision[i] + c->recall[i], 1e-12);
		bool last_of_score = i + 1 == c->n || m->detection[i + 1].d.score < m->detection[i].d.score;

		if (last_of_score && f1 > ret->f1) {
			ret->f1 = f1;
			best = i;
		}
	}
	if (best < 0)
		return;
	ret->threshold = m->detection[best].d.score;
	ret->precision = c->precision[best];
	ret->recall = c->recall[best];
	for (int i = 0; i <= best; i++) {
		if (m->detection[i].size >= 0)
			ret->size_found[m->detection[i].size]++;
		else
			ret->false_a_scene += 1.0 / m->scenes;
	}
}

void sl_detection_measure_end(struct sl_detection_measure *m, struct sl_detection_score *ret)
{
	SL_AUTOFREE double *values = sl_calloc((size_t)2 * m->ndetection + 1, sizeof *values);
	struct curve c = {0, values, values + m->ndetection};
	int found = 0;

	*ret = (struct sl_detection_score){.scenes = m->scenes};
	for (int i = 0; i < m->ntruth; i++) {
		m->truth[i].taken = false;
		if (!m->truth[i].ignored) {
			ret->boxes++;
			ret->size_boxes[size_of(&m->truth[i].box)]++;
		}
	}
	if (m->ndetection)
		qsort(m->detection, m->ndetection, sizeof *m->detection, by_score);
	for (int i = 0; i < m->ndetection; i++) {
		m->detection[i].size = -1;
		if (!match(m, &m->detection[i]))
			continue;
		found += m->detection[i].size >= 0;
		m->detection[c.n] = m->detection[i];
		c.precision[c.n] = (double)found / (c.n + 1);
		c.recall[c.n++] = (double)found / SL_MAX(ret->boxes, 1);
	}
	m->ndetection = c.n;
	ret->found_any = found;
	average_precision(&c, ret);
	best_f1(m, &c, ret);
}
