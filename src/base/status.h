/* SPDX-License-Identifier: Apache-2.0
 *
 * Status codes and error texts: the one way a function says that it failed.
 *
 * A function that can fail returns enum sl_status and takes a last argument
 * `struct sl_err *err`. On SL_OK err is untouched. On failure the function that
 * met the cause fills it once with sl_fail(); a caller may put one prefix before
 * the text with sl_prefix() and passes the status on. err may be NULL where the
 * caller only branches on the status. No thread-local state.
 *
 * Owner: the caller, usually on its stack. Thread: any.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* name, process exit code (0 done, 1 the answer is no, 2 wrong input, 3 could
 * not), may the same call succeed later without a change? */
#define SL_STATUS_MAP(X) \
	X(OK, 0, false) /* done */ \
	X(NOT_FOUND, 2, false) /* no such file or thing: what was named is wrong */ \
	X(EXISTS, 1, false) /* there is one already: put-if-absent lost */ \
	X(CONFLICT, 1, false) /* the rules say no: double vote, cap, lease, wrong position */ \
	X(REFUSED, 1, false) /* a check said no: gate, self-test, fsck */ \
	X(USAGE, 2, false) /* wrong command line or configuration */ \
	X(INVALID, 2, false) /* malformed input */ \
	X(TOO_LARGE, 2, false) /* a named limit was passed */ \
	X(UNSUPPORTED, 2, false) /* understood, but not in this build or format version */ \
	X(UNREADABLE, 2, false) /* right type, but cannot be decoded */ \
	X(BUSY, 3, true) /* queue full or store locked: try again later */ \
	X(TIMEOUT, 3, true) /* the deadline passed; outcome of a write unknown */ \
	X(CLOSED, 3, false) /* draining or stopped */ \
	X(IO, 3, false) /* disk or network said no */ \
	X(AWAY, 3, true) /* server not reachable; outcome of a write unknown */ \
	X(CORRUPT, 3, false) /* stored bytes are not what was stored */ \
	X(CANCELLED, 3, false) /* the user stopped it */

enum sl_status {
#define SL_X(name, code, retriable) SL_##name,
	SL_STATUS_MAP(SL_X)
#undef SL_X
};

enum { SL_ERR_TEXT = 240 };

struct sl_err {
	enum sl_status status;
	char text[SL_ERR_TEXT]; /* one line: what, where, what to do */
};

const char *sl_status_name(enum sl_status s); /* "NOT_FOUND" */
int sl_status_exit(enum sl_status s); /* process exit code */
bool sl_status_is_retriable(enum sl_status s);

/* Fills err (if not NULL) with status and text, UTF-8, without control characters and cut at SL_ERR_TEXT; returns status. */
enum sl_status sl_fail(struct sl_err *err, enum sl_status s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* sl_fail with ": " and strerror(errnum) appended. */
enum sl_status sl_fail_errno(struct sl_err *err, enum sl_status s, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Puts "prefix: " before err's text and makes s its status; returns s. */
enum sl_status sl_prefix(struct sl_err *err, enum sl_status s, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* For our own mistakes only: prints file, line and text, then aborts. */
#define SL_BUG(...) sl_bug(__FILE__, __LINE__, __VA_ARGS__)
#define SL_ASSERT(cond) ((cond) ? (void)0 : sl_bug(__FILE__, __LINE__, "%s", #cond))
_Noreturn void sl_bug(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
