/* SPDX-License-Identifier: Apache-2.0
 *
 * SL_CLONES before a function: compiled for several instruction sets, the best one is
 * picked when the program starts. Results are the same in all of them, because sums and
 * products are never joined (-ffp-contract=off).
 * Owner: nobody. Thread: any. No errors.
 */
#pragma once

#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/* The pickers run before a sanitizer is ready, hence none there. */
#define SL_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SL_CLONES
#endif
