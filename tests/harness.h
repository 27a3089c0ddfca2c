/* SPDX-License-Identifier: Apache-2.0
 *
 * Test harness: TAP on standard output, each test in a child process with a time limit
 * and a temporary folder of its own.
 *
 *   TEST(arena, cap_is_kept) { CHECK(...); CHECK_EQ(a, b); }
 *
 * A test fails by a failed CHECK (it ends there), a crash, a sanitizer report, or its
 * time limit (60 s; SL_TEST_SECONDS multiplies nothing, it replaces it). SKIP("reason")
 * ends it as skipped.
 */
#pragma once
#include "base/status.h"
#include <stdint.h>
#include <string.h>

typedef void (*sl_test_fn)(void);
void sl_test_add(const char *group, const char *name, sl_test_fn fn); /* group and name stay borrowed */
void sl_test_add_with(const char *group, const char *name, void (*fn)(const void *arg), const void *arg);

#define TEST(group, name) \
	static void test_##group##_##name(void); \
	__attribute__((constructor)) static void add_##group##_##name(void) \
	{ \
		sl_test_add(#group, #name, test_##group##_##name); \
	} \
	static void test_##group##_##name(void)

_Noreturn void sl_test_fail(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
_Noreturn void sl_test_skip(const char *reason);
const char *sl_test_dir(void); /* this test's empty temporary folder; removed afterwards */
const char *sl_test_root(void); /* the source tree */

#define SKIP(reason) sl_test_skip(reason)
#define CHECK(cond) ((cond) ? (void)0 : sl_test_fail(__FILE__, __LINE__, "%s", #cond))
#define CHECK_EQ(a, b) \
	do { \
		long long a_ = (long long)(a), b_ = (long long)(b); \
		if (a_ != b_) \
			sl_test_fail(__FILE__, __LINE__, "%s is %lld, %s is %lld", #a, a_, #b, b_); \
	} while (0)
#define CHECK_NEAR(a, b, eps) \
	do { \
		double a_ = (a), b_ = (b), d_ = a_ > b_ ? a_ - b_ : b_ - a_; \
		if (!(d_ <= (eps))) \
			sl_test_fail(__FILE__, __LINE__, "%s is %.9g, %s is %.9g, apart by %.3g", #a, a_, #b, b_, d_); \
	} while (0)
#define CHECK_STR(a, b) \
	do { \
		const char *a_ = (a), *b_ = (b); \
		if (strcmp(a_, b_) != 0) \
			sl_test_fail(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #a, a_, b_); \
	} while (0)
/* call is an expression that gives a status and writes into a struct sl_err named err. */
#define CHECK_OK(call) \
	do { \
		if ((call) != SL_OK) \
			sl_test_fail(__FILE__, __LINE__, "%s: %s", #call, err.text); \
	} while (0)
#define CHECK_STATUS(call, want) \
	do { \
		enum sl_status s_ = (call); \
		if (s_ != (want)) \
			sl_test_fail(__FILE__, __LINE__, "%s gives %s, not %s", #call, sl_status_name(s_), \
				sl_status_name(want)); \
	} while (0)
