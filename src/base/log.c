/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>
#include <unistd.h>

static const char *const level_name[] = {"debug", "info", "warn", "error"};

enum { RULES = 16, LINE_CAP = 8192 };

static struct {
	enum sl_level all;
	struct {
		char component[24];
		enum sl_level level;
	} rule[RULES];
	int n;
} setup = {.all = SL_INFO};

static bool parse_level(const char *s, size_t n, enum sl_level *ret)
{
	for (size_t i = 0; i < SL_COUNT(level_name); i++)
		if (strlen(level_name[i]) == n && !memcmp(level_name[i], s, n)) {
			*ret = (enum sl_level)i;
			return true;
		}
	return false;
}

enum sl_status sl_log_setup(const char *levels, struct sl_err *err)
{
	setup.n = 0;
	for (const char *s = levels; *s;) {
		size_t n = strcspn(s, ",");
		const char *eq = memchr(s, '=', n);
		enum sl_level level;
		const char *word = eq ? eq + 1 : s;
		if (!parse_level(word, n - (size_t)(word - s), &level))
			return sl_fail(err, SL_USAGE,
				"log.level: '%.*s' is no level; use debug, info, warn or error, or component=level",
				(int)n, s);
		size_t name = eq ? (size_t)(eq - s) : 0;
		if (!eq) {
			setup.all = level;
		} else if (setup.n == RULES || name >= sizeof(setup.rule[0].component)) {
			return sl_fail(
				err, SL_USAGE, "log.level: at most %d components, names of 23 characters", RULES);
		} else {
			memcpy(setup.rule[setup.n].component, s, name);
			setup.rule[setup.n].component[name] = 0;
			setup.rule[setup.n++].level = level;
		}
		s += n + (s[n] == ',');
	}
	return SL_OK;
}

bool sl_log_is_on(enum sl_level level, const char *component)
{
	for (int i = 0; i < setup.n; i++)
		if (!strcmp(setup.rule[i].component, component))
			return level >= setup.rule[i].level;
	return level >= setup.all;
}

static void add_json_text(struct sl_buf *b, const char *s)
{
	sl_buf_puts(b, "\"");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c == '"' || c == '\\')
			sl_buf_printf(b, "\\%c", c);
		else if (c < 0x20)
			sl_buf_printf(b, "\\u%04x", c);
		else
			sl_buf_add(b, s, 1);
	}
	sl_buf_puts(b, "\"");
}

static void add_value(struct sl_buf *b, const struct sl_field *f, bool json)
{
	if (f->kind == SL_FIELD_INT)
		sl_buf_printf(b, "%lld", (long long)f->i);
	else if (f->kind == SL_FIELD_NUM && isfinite(f->num))
		sl_buf_printf(b, "%.6g", f->num);
	else if (f->kind == SL_FIELD_NUM || !f->str)
		sl_buf_puts(b, "null");
	else if (json)
		add_json_text(b, f->str);
	else
		sl_buf_puts(b, f->str);
}

void sl_log_fields(enum sl_level level, const char *component, const char *text, const struct sl_field *fields)
{
	if (!sl_log_is_on(level, component))
		return;
	static int tty = -1;
	if (tty < 0)
		tty = isatty(STDERR_FILENO);
	char at[25];
	sl_time_text(sl_now_ms(), at);
	SL_AUTO(sl_buf_done) struct sl_buf b = {.cap = LINE_CAP};
	if (tty) {
		sl_buf_printf(&b, "%.8s %-5s %-8s %s", at + 11, level_name[level], component, text);
		for (; fields->name; fields++) {
			sl_buf_printf(&b, "  %s=", fields->name);
			add_value(&b, fields, false);
		}
		sl_buf_puts(&b, "\n");
	} else {
		sl_buf_printf(&b, "{\"time\":\"%s\",\"level\":\"%s\",\"component\":\"%s\",\"text\":", at,
			level_name[level], component);
		add_json_text(&b, text);
		for (; fields->name; fields++) {
			sl_buf_puts(&b, ",");
			add_json_text(&b, fields->name);
			sl_buf_puts(&b, ":");
			add_value(&b, fields, true);
		}
		sl_buf_puts(&b, "}\n");
	}
	fwrite(b.ptr, 1, b.len, stderr); /* one call: stderr's lock keeps the line whole */
}
