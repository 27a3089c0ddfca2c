/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void *checked(void *p, size_t size)
{
	if (!p && size) {
		fprintf(stderr, "signloop: out of memory: %zu bytes refused; lower the limits in the configuration\n",
			size);
		_exit(3);
	}
	return p;
}

static size_t product(size_t n, size_t size)
{
	size_t all;
	return __builtin_mul_overflow(n, size, &all) ? (size_t)-1 : all;
}

void *sl_alloc(size_t size)
{
	return checked(malloc(size ? size : 1), size);
}

void *sl_zalloc(size_t size)
{
	return checked(calloc(1, size ? size : 1), size);
}

void *sl_calloc(size_t n, size_t size)
{
	return sl_zalloc(product(n, size));
}

void *sl_realloc(void *p, size_t n, size_t size)
{
	size_t all = product(n, size);
	return checked(realloc(p, all ? all : 1), all);
}

void *sl_aligned(size_t size)
{
	size_t rounded = size > (size_t)-1 - 63 ? (size_t)-64 : (size + 63) / 64 * 64;
	void *p = checked(aligned_alloc(64, rounded ? rounded : 64), size);
	memset(p, 0, rounded);
	return p;
}

void *sl_memdup(const void *p, size_t size)
{
	void *copy = sl_alloc(size);
	if (size)
		memcpy(copy, p, size);
	return copy;
}

char *sl_strdup(const char *s)
{
	return s ? sl_memdup(s, strlen(s) + 1) : NULL;
}

char *sl_strndup(const char *s, size_t n)
{
	n = n ? strnlen(s, n) : 0;
	char *copy = sl_alloc(n + 1);
	if (n)
		memcpy(copy, s, n);
	copy[n] = 0;
	return copy;
}

char *sl_asprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	va_start(ap, fmt);
	int n = vasprintf(&s, fmt, ap);
	va_end(ap);
	return checked(n < 0 ? NULL : s, 1);
}
