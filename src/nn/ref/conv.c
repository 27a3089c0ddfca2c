/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/ref/ref.h"
#include "base/mem.h"
#include <math.h>

static double conv_at(const struct sl_window *w, const float *x, const float *k, int64_t ci, int64_t h, int64_t wd,
	int64_t oy, int64_t ox)
{
	double sum = 0;

	for (int64_t c = 0; c < ci; c++)
		for (int64_t i = 0; i < w->kh; i++) {
			int64_t y = oy * w->sh - w->pt + i * w->dh;

			if (y < 0 || y >= h)
				continue;
			for (int64_t j = 0; j < w->kw; j++) {
				int64_t xx = ox * w->sw - w->pl + j * w->dw;

				if (xx >= 0 && xx < wd)
					sum += (double)x[(c * h + y) * wd + xx] *
					       (double)k[(c * w->kh + i) * w->kw + j];
			}
		}
	return sum;
}

void sl_ref_conv(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	const struct sl_shape *x = &in[0]->shape, *k = &in[1]->shape;
	const float *bias = n->nin > 2 && in[2] ? in[2]->f32 : NULL;
	int64_t ci = k->dim[1], co = k->dim[0], h = x->dim[2], wd = x->dim[3], each = ci * k->dim[2] * k->dim[3];
	float *to = out->f32;
	struct sl_window w;

	if (sl_node_window(n, x, k, &w, NULL) != SL_OK)
		SL_BUG("sl_ref_conv on an unchecked node");
	for (int64_t b = 0; b < x->dim[0]; b++)
		for (int64_t o = 0; o < co; o++) {
			const float *from = in[0]->f32 + (b * x->dim[1] + o / (co / w.groups) * ci) * h * wd;

			for (int64_t i = 0; i < w.ho; i++)
				for (int64_t j = 0; j < w.wo; j++)
					*to++ = (float)(conv_at(&w, from, in[1]->f32 + o * each, ci, h, wd, i, j) +
							(bias ? (double)bias[o] : 0));
		}
}

/* Counts cells of padding too (count_include_pad), but not those beyond it that ceil_mode reaches. */
static float pool_at(const struct sl_node *n, const struct sl_window *w, const float *x, int64_t h, int64_t wd,
	int64_t oy, int64_t ox)
{
	bool with_pad = sl_node_int(n, "count_include_pad", 0) != 0;
	int64_t counted = 0;
	double sum = 0;
	float best = -INFINITY;

	for (int64_t i = 0; i < w->kh; i++)
		for (int64_t j = 0; j < w->kw; j++) {
			int64_t y = oy * w->sh - w->pt + i * w->dh, xx = ox * w->sw - w->pl + j * w->dw;
			bool inside = y >= 0 && y < h && xx >= 0 && xx < wd;

			counted += inside || (with_pad && y < h + w->pb - w->xb && xx < wd + w->pr - w->xr);
			if (!inside)
				continue;
			sum += (double)x[y * wd + xx];
			best = SL_MAX(best, x[y * wd + xx]);
		}
	return n->op == SL_OP_MAXPOOL ? best : (float)(sum / (double)SL_MAX(counted, 1));
}

void sl_ref_pool(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	const struct sl_shape *x = &in[0]->shape;
	int64_t h = x->dim[2], wd = x->dim[3];
	float *to = out->f32;
	struct sl_window w;

	if (sl_node_window(n, x, NULL, &w, NULL) != SL_OK)
		SL_BUG("sl_ref_pool on an unchecked node");
	for (int64_t p = 0; p < x->dim[0] * x->dim[1]; p++)
		for (int64_t i = 0; i < w.ho; i++)
			for (int64_t j = 0; j < w.wo; j++)
				*to++ = pool_at(n, &w, in[0]->f32 + p * h * wd, h, wd, i, j);
}

void sl_ref_batchnorm(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	const struct sl_shape *x = &in[0]->shape;
	int64_t c = x->dim[1], each = sl_shape_count(x) / (x->dim[0] * c);
	double eps = (double)sl_node_float(n, "epsilon", 1e-5f);

	for (int64_t p = 0; p < x->dim[0] * c; p++) {
		int64_t o = p % c;
		double k = (double)in[1]->f32[o] / sqrt((double)in[4]->f32[o] + eps);
		double b = (double)in[2]->f32[o] - (double)in[3]->f32[o] * k;

		for (int64_t i = p * each; i < (p + 1) * each; i++)
			out->f32[i] = (float)((double)in[0]->f32[i] * k + b);
	}
}

void sl_ref_gemm(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	const struct sl_data *c = n->nin > 2 ? in[2] : NULL;
	double alpha = (double)sl_node_float(n, "alpha", 1), beta = (double)sl_node_float(n, "beta", 1);
	struct sl_gemm g;

	if (sl_node_gemm(n, in, &g, NULL) != SL_OK)
		SL_BUG("sl_ref_gemm on an unchecked node");
	for (int64_t i = 0; i < g.m; i++)
		for (int64_t j = 0; j < g.n; j++) {
			double sum = 0;

			for (int64_t k = 0; k < g.k; k++)
				sum += (double)in[0]->f32[g.trans_a ? k * g.m + i : i * g.k + k] *
				       (double)in[1]->f32[g.trans_b ? j * g.k + k : k * g.n + j];
			sum *= alpha;
			if (c) {
				int64_t cols = c->shape.rank ? c->shape.dim[c->shape.rank - 1] : 1;
				int64_t rows = c->shape.rank > 1 ? c->shape.dim[0] : 1;

				sum += beta * (double)c->f32[(rows > 1 ? i : 0) * cols + (cols > 1 ? j : 0)];
			}
			out->f32[i * g.n + j] = (float)sum;
		}
}

/* The matrix of a batched operand that goes with matrix number p of the output. */
static int64_t batch_index(const struct sl_shape *x, const struct sl_shape *out, int64_t p)
{
	int64_t index = 0, scale = 1;

	for (int i = out->rank - 3; i >= 0; i--) {
		int ix = i - (out->rank - x->rank);

		if (ix >= 0) {
			index += (x->dim[ix] == 1 ? 0 : p % out->dim[i]) * scale;
			scale *= x->dim[ix];
		}
		p /= out->dim[i];
	}
	return index;
}

void sl_ref_matmul(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	const struct sl_shape *a = &in[0]->shape, *b = &in[1]->shape, *o = &out->shape;
	int64_t m = o->dim[o->rank - 2], cols = o->dim[o->rank - 1], k = a->dim[a->rank - 1];

	for (int64_t p = 0; p < sl_shape_count(o) / SL_MAX(m * cols, 1); p++) {
		const float *pa = in[0]->f32 + batch_index(a, o, p) * m * k;
		const float *pb = in[1]->f32 + batch_index(b, o, p) * k * cols;

		for (int64_t i = 0; i < m * cols; i++) {
			double sum = 0;

			for (int64_t q = 0; q < k; q++)
				sum += (double)pa[i / cols * k + q] * (double)pb[q * cols + i % cols];
			out->f32[p * m * cols + i] = (float)sum;
		}
	}
}

void sl_ref_softmax(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	const struct sl_shape *x = &in[0]->shape;
	int64_t inner = 1, len, axis = sl_node_int(n, "axis", -1);

	axis += axis < 0 ? x->rank : 0;
	len = x->dim[axis];
	for (int i = (int)axis + 1; i < x->rank; i++)
		inner *= x->dim[i];
	for (int64_t p = 0; p < sl_shape_count(x) / len; p++) {
		int64_t base = p / inner * inner * len + p % inner;
		float best = -INFINITY;
		double sum = 0;

		for (int64_t i = 0; i < len; i++)
			best = SL_MAX(best, in[0]->f32[base + i * inner]);
		for (int64_t i = 0; i < len; i++)
			sum += exp((double)(in[0]->f32[base + i * inner] - best));
		for (int64_t i = 0; i < len; i++)
			out->f32[base + i * inner] = (float)(exp((double)(in[0]->f32[base + i * inner] - best)) / sum);
	}
}

void sl_ref_mean(const struct sl_node *n, const struct sl_data *const *in, struct sl_data *out)
{
	const struct sl_shape *x = &in[0]->shape;
	int64_t count = sl_shape_count(x), rest = sl_shape_count(&out->shape);
	SL_AUTOFREE double *sum = sl_calloc((size_t)rest + 1, sizeof(*sum));
	bool axis[SL_RANK];

	if (n->op == SL_OP_REDUCEMEAN)
		sl_node_means(n, x->rank, axis);
	else
		for (int i = 0; i < x->rank; i++)
			axis[i] = i >= 2;
	for (int64_t i = 0; i < count; i++) {
		int64_t left = i, to = 0, scale = 1;

		for (int d = x->rank - 1; d >= 0; d--) {
			if (!axis[d]) {
				to += left % x->dim[d] * scale;
				scale *= x->dim[d];
			}
			left /= x->dim[d];
		}
		sum[to] += (double)in[0]->f32[i];
	}
	for (int64_t i = 0; i < rest; i++)
		out->f32[i] = (float)(sum[i] / (double)(count / rest));
}
