/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"
#include "base/buf.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int code;
	bool retriable;
} traits[] = {
#define SL_X(name, code, retriable) {#name, code, retriable},
	SL_STATUS_MAP(SL_X)
#undef SL_X
};

const char *sl_status_name(enum sl_status s)
{
	return traits[s].name;
}

int sl_status_exit(enum sl_status s)
{
	return traits[s].code;
}

bool sl_status_is_retriable(enum sl_status s)
{
	return traits[s].retriable;
}

enum sl_status sl_fail(struct sl_err *err, enum sl_status s, const char *fmt, ...)
{
	if (!err)
		return s;
	va_list ap;
	va_start(ap, fmt);
	err->status = s;
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	sl_text_mend(err->text); /* what it quotes may be anything, or cut */
	for (char *p = err->text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?'; /* it is one line, and a terminal's */
	return s;
}

enum sl_status sl_fail_errno(struct sl_err *err, enum sl_status s, int errnum, const char *fmt, ...)
{
	if (!err)
		return s;
	char text[SL_ERR_TEXT], why[80];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return sl_fail(err, s, "%s: %s", text, strerror_r(errnum, why, sizeof(why)));
}

enum sl_status sl_prefix(struct sl_err *err, enum sl_status s, const char *fmt, ...)
{
	if (!err)
		return s;
	char cause[SL_ERR_TEXT], prefix[SL_ERR_TEXT];
	memcpy(cause, err->text, sizeof(cause));
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(prefix, sizeof(prefix), fmt, ap);
	va_end(ap);
	return sl_fail(err, s, "%s: %s", prefix, cause);
}

void sl_bug(const char *file, int line, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fprintf(stderr, "signloop: bug at %s:%d: ", file, line);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	abort();
}
