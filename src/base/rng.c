/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rng.h"
#include <math.h>

struct sl_rng sl_rng(uint64_t seed, uint64_t stream)
{
	struct sl_rng r = {0, (stream << 1) | 1};
	sl_rng_u32(&r);
	r.state += seed;
	sl_rng_u32(&r);
	return r;
}

uint32_t sl_rng_u32(struct sl_rng *r)
{
	uint64_t old = r->state;
	r->state = old * 6364136223846793005u + r->inc;
	uint32_t x = (uint32_t)(((old >> 18) ^ old) >> 27), rot = (uint32_t)(old >> 59);
	return (x >> rot) | (x << ((32 - rot) & 31));
}

uint32_t sl_rng_below(struct sl_rng *r, uint32_t n)
{
	uint32_t refuse = -n % n; /* 2^32 mod n */
	for (;;) {
		uint32_t x = sl_rng_u32(r);
		if (x >= refuse)
			return x % n;
	}
}

float sl_rng_unit(struct sl_rng *r)
{
	return (float)(sl_rng_u32(r) >> 8) * 0x1p-24f;
}

float sl_rng_uniform(struct sl_rng *r, float lo, float hi)
{
	return lo + (hi - lo) * sl_rng_unit(r);
}

float sl_rng_normal(struct sl_rng *r)
{
	float u = 1.0f - sl_rng_unit(r), v = sl_rng_unit(r);
	return sqrtf(-2.0f * logf(u)) * cosf(6.2831853f * v);
}
