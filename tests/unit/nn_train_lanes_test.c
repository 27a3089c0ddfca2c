/* SPDX-License-Identifier: Apache-2.0
 *
 * The trainer's kernels on blocks of channels against plain loops, for both widths and
 * both number formats. Results in bf16 may be off by its rounding, 2^-8 of their size.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "harness.h"
#include "nn/train/lanes.h"
#include <math.h>

enum { IMAGES = 3, ROWS = 35, BLOCKS = 2, MOST = IMAGES * ROWS * BLOCKS * 16 };

/* The second block of a batch, as the kernels see it and as floats. */
struct data {
	float v[MOST] __attribute__((aligned(64)));
	uint16_t h[MOST] __attribute__((aligned(64)));
};

static void fill(struct data *d, uint64_t stream, float offset)
{
	struct sl_rng r = sl_rng(4, stream);
	for (size_t i = 0; i < MOST; i++) {
		d->h[i] = sl_half_of(offset + sl_rng_uniform(&r, -2, 2));
		d->v[i] = sl_half_get(d->h[i]); /* both formats hold the same numbers */
	}
}

static void *of(struct data *d, bool half)
{
	return half ? (void *)d->h : (void *)d->v;
}

static float at(struct data *d, bool half, size_t i)
{
	return half ? sl_half_get(d->h[i]) : d->v[i];
}

static double slack(bool half, double v)
{
	return (half ? 0x1p-8 : 4e-6) * (fabs(v) + 1e-3) + 1e-6;
}

static struct data x, y, g, g2, out;
static float a[16] __attribute__((aligned(64))), b[16] __attribute__((aligned(64))), c[16] __attribute__((aligned(64)));

static void all(void (*check)(const struct sl_lanes *l, bool half))
{
	for (int k = 0; k < 4; k++)
		check(sl_lanes(k & 1 ? 8 : 16), k & 2);
}

/* Calls see(index) for every number of channel k in a plane of the first block. */
#define EACH(l, k, i) \
	for (size_t n_ = 0, i; n_ < IMAGES; n_++) \
		for (size_t r_ = 0; \
			r_ < ROWS && ((i = (n_ * BLOCKS * ROWS + r_) * (size_t)(l)->width + (size_t)(k)), true); r_++)

static struct sl_plane plane(bool half)
{
	return (struct sl_plane){IMAGES, ROWS, (size_t)ROWS * BLOCKS, half};
}

static void moments(const struct sl_lanes *l, bool half)
{
	fill(&x, 1, 100); /* a mean of 50 deviations: a sum of squares alone would lose the variance */
	l->moments(plane(half), of(&x, half), a, b);
	for (int k = 0; k < l->width; k++) {
		double sum = 0, square = 0, count = IMAGES * ROWS;
		EACH(l, k, i)
		sum += x.v[i];
		EACH(l, k, i)
		square += (x.v[i] - sum / count) * (x.v[i] - sum / count);
		CHECK_NEAR(a[k], sum / count, 1e-4);
		CHECK_NEAR(b[k], square / count, 1e-4);
	}
}

static void affine(const struct sl_lanes *l, bool half)
{
	for (int kind = 0; kind < 4; kind++) {
		fill(&x, 1, 0);
		fill(&g, 2, 0);
		for (int k = 0; k < 16; k++) {
			a[k] = 0.3f * (float)k - 1;
			b[k] = 0.5f - 0.1f * (float)k;
		}
		l->affine(plane(half), of(&x, half), a, b, kind & 1 ? of(&g, half) : NULL, kind & 2, of(&out, half));
		for (int k = 0; k < l->width; k++)
			EACH(l, k, i)
			{
				double want = x.v[i] * a[k] + b[k] + (kind & 1 ? g.v[i] : 0);
				want = kind & 2 && want < 0 ? 0 : want;
				CHECK_NEAR(at(&out, half, i), want, slack(half, want));
			}
	}
}

static void gather(const struct sl_lanes *l, bool half)
{
	for (int kind = 0; kind < 4; kind++) {
		double sum[16], sum_x[16];
		fill(&x, 1, 0);
		fill(&y, 2, 0);
		fill(&g, 3, 0);
		fill(&g2, 4, 0);
		out = g;
		for (int k = 0; k < 16; k++)
			c[k] = 0.1f * (float)k;
		l->gather(plane(half), of(&out, half), kind & 1 ? of(&g2, half) : NULL, kind & 2 ? of(&y, half) : NULL,
			of(&x, half), c, sum, sum_x);
		for (int k = 0; k < l->width; k++) {
			double want = 0, want_x = 0;
			EACH(l, k, i)
			{
				float v = g.v[i] + (kind & 1 ? g2.v[i] : 0);
				v = kind & 2 && !(y.v[i] > 0) ? 0 : v;
				want += v;
				want_x += v * (x.v[i] - c[k]);
				CHECK_NEAR(at(&out, half, i), v, slack(half, v));
			}
			CHECK_NEAR(sum[k], want, 1e-3);
			CHECK_NEAR(sum_x[k], want_x, 1e-3);
		}
	}
}

static void spread(const struct sl_lanes *l, bool half)
{
	fill(&x, 1, 0);
	fill(&g, 2, 0);
	for (int k = 0; k < 16; k++) {
		a[k] = 0.2f * (float)k;
		b[k] = 1 - 0.1f * (float)k;
		c[k] = 0.05f * (float)k;
	}
	out = x;
	l->spread(plane(half), of(&g, half), of(&out, half), a, b, c, of(&out, half)); /* in place */
	for (int k = 0; k < l->width; k++)
		EACH(l, k, i)
	CHECK_NEAR(at(&out, half, i), g.v[i] * a[k] + x.v[i] * b[k] + c[k], slack(half, 8));
}

static void sum_and_mask(const struct sl_lanes *l, bool half)
{
	size_t n = 50, count = n * (size_t)l->width;
	fill(&x, 1, 0);
	fill(&y, 2, 0);
	for (int kind = 0; kind < 4; kind++) {
		l->sum(half, n, of(&x, half), kind & 1 ? of(&y, half) : NULL, kind & 2, of(&out, half));
		for (size_t i = 0; i < count; i++) {
			float v = x.v[i] + (kind & 1 ? y.v[i] : 0);
			CHECK_NEAR(at(&out, half, i), kind & 2 && v < 0 ? 0 : v, slack(half, 4));
		}
		out = x;
		l->mask(half, n, of(&out, half), kind & 1 ? of(&g2, half) : NULL, kind & 2 ? of(&y, half) : NULL);
		for (size_t i = 0; i < count; i++) {
			float v = x.v[i] + (kind & 1 ? g2.v[i] : 0);
			CHECK_NEAR(at(&out, half, i), kind & 2 && !(y.v[i] > 0) ? 0 : v, slack(half, 4));
		}
	}
}

static void up_and_down(const struct sl_lanes *l, bool half)
{
	enum { N = 2, H = 3, W = 4 };
	fill(&x, 1, 0);
	l->up(half, N, H, W, of(&x, half), of(&out, half));
	l->down(half, N, H, W, of(&x, half), of(&g, half));
	for (size_t n = 0; n < N; n++)
		for (size_t r = 0; r < 2 * H; r++)
			for (size_t i = 0; i < 2 * W; i++)
				for (size_t k = 0; k < (size_t)l->width; k++) {
					size_t big = ((n * 2 * H + r) * 2 * W + i) * (size_t)l->width + k;
					size_t low = ((n * H + r / 2) * W + i / 2) * (size_t)l->width + k;
					CHECK_NEAR(at(&out, half, big), x.v[low], 0);
				}
	for (size_t r = 0; r < N * H; r++)
		for (size_t i = 0; i < W; i++)
			for (size_t k = 0; k < (size_t)l->width; k++) {
				size_t w = (size_t)l->width, big = (2 * r * 2 * W + 2 * i) * w + k;
				double want = x.v[big] + x.v[big + w] + x.v[big + 2 * W * w] + x.v[big + 2 * W * w + w];
				CHECK_NEAR(at(&g, half, (r * W + i) * w + k), want, slack(half, 8));
			}
}

static void pool_and_back(const struct sl_lanes *l, bool half)
{
	static float means[4 * 16] __attribute__((aligned(64)));
	size_t w = (size_t)l->width, rows = 9;
	fill(&x, 1, 0);
	l->pool(half, 4, rows, of(&x, half), means);
	l->unpool(half, 4, rows, means, of(&out, half));
	for (size_t n = 0; n < 4; n++)
		for (size_t k = 0; k < w; k++) {
			double sum = 0;
			for (size_t r = 0; r < rows; r++)
				sum += x.v[(n * rows + r) * w + k];
			CHECK_NEAR(means[n * w + k], sum / (double)rows, 1e-5);
			CHECK_NEAR(
				at(&out, half, (n * rows + 5) * w + k), means[n * w + k] / (float)rows, slack(half, 1));
		}
}

static void blocks_and_back(const struct sl_lanes *l, bool half)
{
	enum { N = 2, C = 21, R = 5 };
	static float back[N * C * R];
	fill(&x, 1, 0);
	fill(&out, 2, 5);
	sl_to_blocks(l->width, half, N, C, R, x.v, of(&out, half));
	int blocks = (C + l->width - 1) / l->width;
	for (int n = 0; n < N; n++)
		for (int k = 0; k < blocks * l->width; k++)
			for (int r = 0; r < R; r++) {
				size_t i = (((size_t)n * blocks + k / l->width) * R + r) * l->width + k % l->width;
				CHECK_NEAR(at(&out, half, i), k < C ? x.v[(n * C + k) * R + r] : 0, 0);
			}
	sl_from_blocks(l->width, half, N, C, R, of(&out, half), back);
	CHECK(!memcmp(back, x.v, sizeof(back)));
}

TEST(train_lanes, moments)
{
	all(moments);
}

TEST(train_lanes, affine)
{
	all(affine);
}

TEST(train_lanes, gather)
{
	all(gather);
}

TEST(train_lanes, spread)
{
	all(spread);
}

TEST(train_lanes, sum_and_mask)
{
	all(sum_and_mask);
}

TEST(train_lanes, up_and_down)
{
	all(up_and_down);
}

TEST(train_lanes, pool_and_back)
{
	all(pool_and_back);
}

TEST(train_lanes, blocks_and_back)
{
	all(blocks_and_back);
}

TEST(train_lanes, bf16_rounds_to_even)
{
	CHECK_EQ(sl_half_of(1.0f), 0x3f80);
	CHECK_EQ(sl_half_of(1.0f + 0x1p-8f), 0x3f80); /* half way: to the even one below */
	CHECK_EQ(sl_half_of(1.0f + 0x1p-7f + 0x1p-8f), 0x3f82); /* and above */
	CHECK_EQ(sl_half_of(1.0f + 0x1p-8f + 0x1p-20f), 0x3f81);
	CHECK_EQ(sl_half_of(-2.5f), 0xc020);
	CHECK_EQ(sl_half_of(INFINITY), 0x7f80);
	for (uint32_t h = 0; h < 0x7f80; h++)
		CHECK_EQ(sl_half_of(sl_half_get((uint16_t)h)), h);
}
