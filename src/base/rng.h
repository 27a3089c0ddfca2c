/* SPDX-License-Identifier: Apache-2.0
 *
 * Deterministic random numbers: PCG32 (O'Neill 2014, XSH-RR 64/32). The same seed
 * and stream give the same numbers on every machine. Not for secrets.
 * Owner: the caller, a plain value that may be copied or saved. Thread: one at a time.
 */
#pragma once
#include <stdint.h>

struct sl_rng {
	uint64_t state, inc;
};

struct sl_rng sl_rng(uint64_t seed, uint64_t stream);
uint32_t sl_rng_u32(struct sl_rng *r);
uint32_t sl_rng_below(struct sl_rng *r, uint32_t n); /* 0..n-1 without bias; n > 0 */
float sl_rng_unit(struct sl_rng *r); /* [0, 1) with 24 bits */
float sl_rng_uniform(struct sl_rng *r, float lo, float hi);
float sl_rng_normal(struct sl_rng *r); /* mean 0, deviation 1 (Box-Muller) */
