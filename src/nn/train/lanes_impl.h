/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernels of lanes.h for one width: included by lanes.c with L set to 8 and 16 and
 * N(name) making names of that width. Vector types of GCC; each kernel is compiled for
 * several instruction sets and picked at load time.
 */
typedef float N(vf) __attribute__((vector_size(4 * L), may_alias));
typedef uint32_t N(vu) __attribute__((vector_size(4 * L), may_alias));
typedef uint16_t N(vh) __attribute__((vector_size(2 * L), may_alias));
typedef int32_t N(vi) __attribute__((vector_size(4 * L), may_alias));

INLINE N(vf) N(get)(const void *p, size_t i, bool half)
{
	if (half)
		return (N(vf))(__builtin_convertvector(((const N(vh) *)p)[i], N(vu)) << 16);
	return ((const N(vf) *)p)[i];
}

INLINE void N(put)(void *p, size_t i, bool half, N(vf) v)
{
	if (half) {
		N(vu) u = (N(vu))v;
		((N(vh) *)p)[i] = __builtin_convertvector((u + 0x7fff + ((u >> 16) & 1)) >> 16, N(vh));
	} else {
		((N(vf) *)p)[i] = v;
	}
}

INLINE N(vf) N(positive)(N(vf) v)
{
	return (N(vf))((N(vi))v & (v > 0));
}

INLINE void N(flush)(double *into, N(vf) v)
{
	for (int k = 0; k < L; k++)
		into[k] += (double)v[k];
}

/* Shifted by the first pixel so that a large mean does not eat the variance. */
INLINE void N(moments_of)(struct sl_plane p, const void *x, float *mean, float *var, bool half)
{
	N(vf) k = N(get)(x, 0, half), zero = k - k;
	double sum[L] = {0}, square[L] = {0}, count = (double)p.images * (double)p.rows;
	for (int n = 0; n < p.images; n++) {
		size_t at = (size_t)n * p.step, end = at + p.rows;
		while (at < end) {
			size_t stop = SL_MIN(end, at + FLUSH);
			N(vf) s0 = zero, s1 = zero, q0 = zero, q1 = zero;
			for (; at + 1 < stop; at += 2) {
				N(vf) a = N(get)(x, at, half) - k, b = N(get)(x, at + 1, half) - k;
				s0 += a;
				s1 += b;
				q0 += a * a;
				q1 += b * b;
			}
			for (; at < stop; at++) {
				N(vf) a = N(get)(x, at, half) - k;
				s0 += a;
				q0 += a * a;
			}
			N(flush)(sum, s0 + s1);
			N(flush)(square, q0 + q1);
		}
	}
	for (int i = 0; i < L; i++) {
		double m = sum[i] / count, v = square[i] / count - m * m;
		mean[i] = (float)(m + (double)k[i]);
		var[i] = v > 0 ? (float)v : 0;
	}
}

INLINE void N(affine_of)(struct sl_plane p, const void *x, const float *scale, const float *shift, const void *add,
	bool relu, void *y, bool half)
{
	N(vf) a = *(const N(vf) *)scale, b = *(const N(vf) *)shift;
	for (int n = 0; n < p.images; n++)
		for (size_t at = (size_t)n * p.step, end = at + p.rows; at < end; at++) {
			N(vf) v = N(get)(x, at, half) * a + b;
			if (add)
				v += N(get)(add, at, half);
			N(put)(y, at, half, relu ? N(positive)(v) : v);
		}
}

INLINE N(vf) N(masked)(void *g, const void *g2, const void *y, size_t at, bool half)
{
	N(vf) v = N(get)(g, at, half);
	if (g2)
		v += N(get)(g2, at, half);
	if (y)
		v = (N(vf))((N(vi))v & (N(get)(y, at, half) > 0));
	if (g2 || y)
		N(put)(g, at, half, v);
	return v;
}

INLINE void N(gather_of)(struct sl_plane p, void *g, const void *g2, const void *y, const void *x, const float *mean,
	double *sum, double *sum_x, bool half)
{
	N(vf) m = *(const N(vf) *)mean, zero = m - m;
	for (int i = 0; i < L; i++)
		sum[i] = sum_x[i] = 0;
	for (int n = 0; n < p.images; n++) {
		size_t at = (size_t)n * p.step, end = at + p.rows;
		while (at < end) {
			size_t stop = SL_MIN(end, at + FLUSH);
			N(vf) s0 = zero, q0 = zero, s1 = zero, q1 = zero;
			for (; at + 1 < stop; at += 2) {
				N(vf) a = N(masked)(g, g2, y, at, half), b = N(masked)(g, g2, y, at + 1, half);
				s0 += a;
				s1 += b;
				q0 += a * (N(get)(x, at, half) - m);
				q1 += b * (N(get)(x, at + 1, half) - m);
			}
			for (; at < stop; at++) {
				N(vf) a = N(masked)(g, g2, y, at, half);
				s0 += a;
				q0 += a * (N(get)(x, at, half) - m);
			}
			N(flush)(sum, s0 + s1);
			N(flush)(sum_x, q0 + q1);
		}
	}
}

INLINE void N(spread_of)(struct sl_plane p, const void *g, const void *x, const float *a, const float *b,
	const float *c, void *dx, bool half)
{
	N(vf) va = *(const N(vf) *)a, vb = *(const N(vf) *)b, vc = *(const N(vf) *)c;
	for (int n = 0; n < p.images; n++)
		for (size_t at = (size_t)n * p.step, end = at + p.rows; at < end; at++)
			N(put)(dx, at, half, N(get)(g, at, half) * va + (N(get)(x, at, half) * vb + vc));
}

SL_CLONES static void N(moments)(struct sl_plane p, const void *x, float *mean, float *var)
{
	if (p.half)
		N(moments_of)(p, x, mean, var, true);
	else
		N(moments_of)(p, x, mean, var, false);
}

SL_CLONES static void N(affine)(struct sl_plane p, const void *x, const float *scale, const float *shift, const void *add,
	bool relu, void *y)
{
	if (p.half && add && relu)
		N(affine_of)(p, x, scale, shift, add, true, y, true);
	else if (p.half && relu)
		N(affine_of)(p, x, scale, shift, NULL, true, y, true);
	else
		N(affine_of)(p, x, scale, shift, add, relu, y, p.half);
}

SL_CLONES static void N(gather)(struct sl_plane p, void *g, const void *g2, const void *y, const void *x,
	const float *mean, double *sum, double *sum_x)
{
	if (p.half && g2 && y)
		N(gather_of)(p, g, g2, y, x, mean, sum, sum_x, true);
	else if (p.half && y)
		N(gather_of)(p, g, NULL, y, x, mean, sum, sum_x, true);
	else if (p.half && !g2)
		N(gather_of)(p, g, NULL, NULL, x, mean, sum, sum_x, true);
	else
		N(gather_of)(p, g, g2, y, x, mean, sum, sum_x, p.half);
}

SL_CLONES static void N(spread)(struct sl_plane p, const void *g, const void *x, const float *a, const float *b,
	const float *c, void *dx)
{
	if (p.half)
		N(spread_of)(p, g, x, a, b, c, dx, true);
	else
		N(spread_of)(p, g, x, a, b, c, dx, false);
}

SL_CLONES static void N(sum)(bool half, size_t n, const void *a, const void *b, bool relu, void *y)
{
	for (size_t i = 0; i < n; i++) {
		N(vf) v = N(get)(a, i, half);
		if (b)
			v += N(get)(b, i, half);
		N(put)(y, i, half, relu ? N(positive)(v) : v);
	}
}

SL_CLONES static void N(mask)(bool half, size_t n, void *g, const void *g2, const void *y)
{
	for (size_t i = 0; i < n; i++)
		(void)N(masked)(g, g2, y, i, half);
}

SL_CLONES static void N(up)(bool half, size_t n, int h, int w, const void *x, void *y)
{
	for (size_t r = 0; r < n * (size_t)h; r++)
		for (int i = 0; i < w; i++) {
			N(vf) v = N(get)(x, r * (size_t)w + (size_t)i, half);
			size_t at = r * 4 * (size_t)w + 2 * (size_t)i;
			N(put)(y, at, half, v);
			N(put)(y, at + 1, half, v);
			N(put)(y, at + 2 * (size_t)w, half, v);
			N(put)(y, at + 2 * (size_t)w + 1, half, v);
		}
}

SL_CLONES static void N(down)(bool half, size_t n, int h, int w, const void *dy, void *dx)
{
	for (size_t r = 0; r < n * (size_t)h; r++)
		for (int i = 0; i < w; i++) {
			size_t at = r * 4 * (size_t)w + 2 * (size_t)i, below = at + 2 * (size_t)w;
			N(vf) v = N(get)(dy, at, half) + N(get)(dy, at + 1, half);
			v += N(get)(dy, below, half) + N(get)(dy, below + 1, half);
			N(put)(dx, r * (size_t)w + (size_t)i, half, v);
		}
}

SL_CLONES static void N(pool)(bool half, size_t n, size_t rows, const void *x, float *y)
{
	for (size_t i = 0; i < n; i++) {
		N(vf) v = N(get)(x, i * rows, half);
		for (size_t r = 1; r < rows; r++)
			v += N(get)(x, i * rows + r, half);
		N(put)(y, i, false, v / (float)rows);
	}
}

SL_CLONES static void N(unpool)(bool half, size_t n, size_t rows, const float *dy, void *dx)
{
	for (size_t i = 0; i < n; i++) {
		N(vf) v = N(get)(dy, i, false) / (float)rows;
		for (size_t r = 0; r < rows; r++)
			N(put)(dx, i * rows + r, half, v);
	}
}

static const struct sl_lanes N(table) = {L, N(moments), N(affine), N(gather), N(spread), N(sum), N(mask), N(up), N(down),
	N(pool), N(unpool)};
