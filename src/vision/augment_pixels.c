/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "vision/augment.h"
#include <math.h>
#include <pthread.h>

static uint64_t mix(uint64_t x) /* splitmix64 (Steele, Lea and Flood 2014) */
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

struct sl_rng sl_augment_rng(uint64_t seed, int64_t step, int worker, int sample)
{
	uint64_t a = mix(seed), b = mix(a ^ (uint64_t)step), c = mix(b ^ ((uint64_t)worker << 32 | (uint32_t)sample));

	return sl_rng(c, mix(c));
}

static uint8_t to_u8(float v)
{
	return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5f);
}

void sl_augment_colour(struct sl_image *im, const struct sl_colour_range *c, struct sl_rng *r)
{
	float gamma = expf(sl_rng_uniform(r, -c->gamma, c->gamma));
	float contrast = expf(sl_rng_uniform(r, c->contrast_lo, c->contrast_hi));
	float brightness = sl_rng_uniform(r, -c->brightness, c->brightness);
	uint8_t table[3][256];
	float cast[3];

	for (int k = 0; k < 3; k++)
		cast[k] = sl_rng_uniform(r, 1 - c->cast, 1 + c->cast);
	for (int i = 0; i < 256; i++) {
		float v = (powf(i / 255.0f, gamma) - 0.5f) * contrast + 0.5f + brightness;

		for (int k = 0; k < 3; k++)
			table[k][i] = to_u8(255 * v * cast[k]);
	}
	size_t n = (size_t)im->w * im->h;
	for (uint8_t *p = im->px; n; n--, p += 3) {
		p[0] = table[0][p[0]];
		p[1] = table[1][p[1]];
		p[2] = table[2][p[2]];
	}
}

enum { MOTION_MOST = 15 };

/* A line of `length` points through the kernel's middle, each shared among its four cells. */
static void motion_kernel(int length, float angle, float k[MOTION_MOST][MOTION_MOST])
{
	float dx = cosf(angle * (float)M_PI / 180), dy = sinf(angle * (float)M_PI / 180);
	int mid = length / 2;

	memset(k, 0, sizeof(float[MOTION_MOST][MOTION_MOST]));
	for (int i = -mid; i <= mid; i++) {
		float x = mid + i * dx, y = mid + i * dy;
		int ix = SL_MIN((int)x, length - 1), iy = SL_MIN((int)y, length - 1);
		float fx = x - ix, fy = y - iy;

		for (int b = 0; b < 4; b++) {
			int cx = SL_MIN(ix + (b & 1), length - 1), cy = SL_MIN(iy + (b >> 1), length - 1);
			k[cy][cx] += (b & 1 ? fx : 1 - fx) * (b >> 1 ? fy : 1 - fy) / length;
		}
	}
}

void sl_augment_motion(struct sl_image *im, int length, float angle)
{
	float k[MOTION_MOST][MOTION_MOST];
	int mid = length / 2, row = (im->w + 2 * mid) * 3, w3 = im->w * 3;

	SL_ASSERT(length > 0 && length <= MOTION_MOST);
	motion_kernel(length, angle, k);
	SL_AUTOFREE uint8_t *pad = sl_alloc((size_t)row * (im->h + 2 * mid));
	SL_AUTOFREE float *sum = sl_alloc(w3 * sizeof *sum);
	for (int y = -mid; y < im->h + mid; y++) {
		const uint8_t *in = im->px + (size_t)(y < 0 ? 0 : y >= im->h ? im->h - 1 : y) * w3;
		uint8_t *out = pad + (size_t)(y + mid) * row;

		for (int i = 0; i < mid; i++) {
			memcpy(out + 3 * i, in, 3);
			memcpy(out + 3 * mid + w3 + 3 * i, in + w3 - 3, 3);
		}
		memcpy(out + 3 * mid, in, w3);
	}
	for (int y = 0; y < im->h; y++) {
		for (int i = 0; i < w3; i++)
			sum[i] = 0.5f;
		for (int a = 0; a < length; a++)
			for (int b = 0; b < length; b++) {
				const uint8_t *in = pad + (size_t)(y + a) * row + 3 * b;
				float weight = k[a][b];

				for (int i = 0; weight > 1e-6f && i < w3; i++)
					sum[i] += weight * in[i];
			}
		for (int i = 0; i < w3; i++)
			im->px[(size_t)y * w3 + i] = (uint8_t)sum[i];
	}
}

void sl_augment_coarse(struct sl_image *im, int side)
{
	SL_AUTO(sl_image_done) struct sl_image small = sl_image_new(side, SL_MAX(1, side * im->h / im->w));

	sl_image_resize_area(im, &small);
	sl_image_crop_resize(&small, (struct sl_box){0, 0, small.w, small.h}, im);
}

/* Normal deviates as the 1,024 quantiles of the distribution, in 1/64: a lookup instead of
 * logarithm and cosine for each of up to 300,000 values. The tails end at 3.3 sigma. */
enum { QUANTILES = 1024 };
static int16_t quantile[QUANTILES];

static void make_quantiles(void)
{
	for (int i = 0; i < QUANTILES; i++) {
		double want = (i + 0.5) / QUANTILES, lo = -5, hi = 5;

		for (int k = 0; k < 50; k++) {
			double mid = (lo + hi) / 2;
			if (0.5 * erfc(-mid / M_SQRT2) < want)
				lo = mid;
			else
				hi = mid;
		}
		quantile[i] = (int16_t)lround(lo * 4096);
	}
}

void sl_augment_noise(struct sl_image *im, float sigma, struct sl_rng *r)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int16_t shift[QUANTILES]; /* grey levels x 64 */
	size_t n = (size_t)im->w * im->h;

	pthread_once(&once, make_quantiles);
	for (int i = 0; i < QUANTILES; i++)
		shift[i] = (int16_t)lrintf(quantile[i] * sigma / 64);
	for (uint8_t *p = im->px; n; n--, p += 3) {
		uint32_t u = sl_rng_u32(r);

		for (int c = 0; c < 3; c++, u >>= 10) {
			int v = (p[c] * 64 + shift[u & (QUANTILES - 1)] + 32) >> 6;
			p[c] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
		}
	}
}

void sl_augment_jpeg(struct sl_image *im, int quality)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_image back;

	if (sl_jpeg_encode(im, quality, false, &file, NULL) != SL_OK ||
		sl_image_decode(sl_buf_slice(&file), (int64_t)im->w * im->h, &back, NULL) != SL_OK)
		SL_BUG("an image of %d x %d does not survive JPEG", im->w, im->h);
	sl_image_done(im);
	*im = back;
}

void sl_augment_cutout(struct sl_image *im, struct sl_rng *r)
{
	int w = SL_MAX(1, (int)(sl_rng_uniform(r, 0.1f, 0.35f) * im->w + 0.5f));
	int h = SL_MAX(1, (int)(sl_rng_uniform(r, 0.1f, 0.35f) * im->h + 0.5f));
	int x0 = (int)sl_rng_below(r, im->w - w + 1), y0 = (int)sl_rng_below(r, im->h - h + 1);
	uint32_t colour = sl_rng_u32(r);

	for (int y = y0; y < y0 + h; y++)
		for (int x = x0; x < x0 + w; x++)
			for (int c = 0; c < 3; c++)
				im->px[((size_t)y * im->w + x) * 3 + c] = (uint8_t)(colour >> (8 * c));
}
