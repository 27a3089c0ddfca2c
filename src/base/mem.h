/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory: allocation that does not return NULL, and cleanup of locals.
 *
 * Everything whose size comes from outside is bounded by a named limit before it
 * is allocated, so running out of memory is not an answer that a request can get:
 * these functions print one line and exit 3 when the system refuses.
 *
 * Owner: the caller, freed by free(). Thread: any. Sizes in bytes.
 */
#pragma once
#include <stddef.h>
#include <stdlib.h>

void *sl_alloc(size_t size); /* uninitialised */
void *sl_zalloc(size_t size); /* zeroed */
void *sl_calloc(size_t n, size_t size); /* zeroed, product checked */
void *sl_realloc(void *p, size_t n, size_t size); /* product checked */
void *sl_aligned(size_t size); /* 64-byte aligned, zeroed; free() */
void *sl_memdup(const void *p, size_t size);
char *sl_strdup(const char *s); /* NULL gives NULL */
char *sl_strndup(const char *s, size_t n); /* at most n bytes of s, which need not end in NUL; n 0: s may be NULL */
char *sl_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define SL_NEW(type) ((type *)sl_zalloc(sizeof(type)))
#define SL_NEW_N(type, n) ((type *)sl_calloc((n), sizeof(type)))
#define SL_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SL_MIN(a, b) ((a) < (b) ? (a) : (b))
#define SL_MAX(a, b) ((a) > (b) ? (a) : (b))

/* SL_AUTOFREE char *s = ...; is freed at the end of its scope.
 * SL_AUTO(sl_buf_done) struct sl_buf b = {...}; calls sl_buf_done(&b).
 * SL_AUTO(sl_thing_freep) struct sl_thing *t; where SL_DEFINE_FREEP(sl_thing) made
 * sl_thing_freep() of sl_thing_free(). Hand-over to a caller: return SL_TAKE(t). */
#define SL_AUTO(fn) __attribute__((cleanup(fn)))
#define SL_AUTOFREE SL_AUTO(sl_freep)
#define SL_DEFINE_FREEP(name) \
	static inline void name##_freep(struct name **p) \
	{ \
		name##_free(*p); \
	}
#define SL_TAKE(p) \
	({ \
		__typeof__(p) sl_taken_ = (p); \
		(p) = NULL; \
		sl_taken_; \
	})

static inline void sl_freep(void *p)
{
	free(*(void **)p);
}
