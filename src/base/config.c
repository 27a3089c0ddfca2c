/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"
#include "base/fs.h"
#include "base/mem.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>

struct sl_config {
	const struct sl_config_row *row;
	size_t n;
	char **value;
};

enum { NAME_CAP = 64, ENV_CAP = 96 };

static bool parse_num(const char *s, double *ret)
{
	char *end;
	errno = 0;
	*ret = strtod(s, &end);
	return end != s && !*end && !errno && isfinite(*ret);
}

static bool parse_bool(const char *s, bool *ret)
{
	static const char *const word[] = {"no", "yes", "false", "true", "0", "1", "off", "on"};
	for (size_t i = 0; i < SL_COUNT(word); i++)
		if (!strcmp(s, word[i])) {
			*ret = i % 2;
			return true;
		}
	return false;
}

static const char *env_name(const char *name, char ret[ENV_CAP])
{
	int n = snprintf(ret, ENV_CAP, "SIGNLOOP_%s", name);
	for (int i = 0; i < n && i < ENV_CAP - 1; i++)
		ret[i] = ret[i] == '.' ? '_' : (char)toupper((unsigned char)ret[i]);
	return ret;
}

static enum sl_status check(const struct sl_config_row *r, const char *value, const char *where, struct sl_err *err)
{
	double v = 0;
	bool b;
	switch (r->type) {
	case SL_CONFIG_STR:
		return SL_OK;
	case SL_CONFIG_BOOL:
		return parse_bool(value, &b)
			       ? SL_OK
			       : sl_fail(err, SL_USAGE, "%s: %s is '%s'; use yes or no", where, r->name, value);
	case SL_CONFIG_INT:
	case SL_CONFIG_NUM:
		break;
	}
	if (!parse_num(value, &v) || (r->type == SL_CONFIG_INT && v != floor(v)))
		return sl_fail(err, SL_USAGE, "%s: %s is '%s'; a %s is wanted", where, r->name, value,
			r->type == SL_CONFIG_INT ? "whole number" : "number");
	if ((r->min != 0 || r->max != 0) && (v < r->min || v > r->max))
		return sl_fail(err, SL_USAGE, "%s: %s is %s; it must be from %.15g to %.15g", where, r->name, value,
			r->min, r->max);
	return SL_OK;
}

struct sl_config *sl_config_new(const struct sl_config_row *rows, size_t n)
{
	struct sl_config *c = SL_NEW(struct sl_config);
	*c = (struct sl_config){rows, n, SL_NEW_N(char *, n)};
	for (size_t i = 0; i < n; i++) {
		struct sl_err err;
		if (check(&rows[i], rows[i].value, "default", &err) != SL_OK)
			SL_BUG("%s", err.text);
		for (size_t j = 0; j < i; j++)
			if (!strcmp(rows[i].name, rows[j].name))
				SL_BUG("configuration name %s stands twice", rows[i].name);
		c->value[i] = sl_strdup(rows[i].value);
	}
	return c;
}

void sl_config_free(struct sl_config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		free(c->value[i]);
	free(c->value);
	free(c);
}

static bool same_name(const char *row, const char *asked)
{
	for (; *row && *asked; row++, asked++)
		if (*row != *asked && !(strchr("._-", *row) && strchr("._-", *asked)))
			return false;
	return *row == *asked;
}

static int find(const struct sl_config *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (same_name(c->row[i].name, name))
			return (int)i;
	return -1;
}

bool sl_config_has(const struct sl_config *c, const char *name)
{
	return find(c, name) >= 0;
}

enum sl_status sl_config_set(
	struct sl_config *c, const char *name, const char *value, const char *where, struct sl_err *err)
{
	int i = find(c, name);
	if (i < 0) {
		const char **names = sl_calloc(c->n, sizeof(*names));
		for (size_t k = 0; k < c->n; k++)
			names[k] = c->row[k].name;
		const char *near = sl_nearest(name, names, c->n);
		free(names);
		return sl_fail(err, SL_USAGE, "%s: no setting is called '%s'%s%s%s; 'signloop help config' lists them",
			where, name, near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
	}
	enum sl_status s = check(&c->row[i], value, where, err);
	if (s != SL_OK)
		return s;
	free(c->value[i]);
	c->value[i] = sl_strdup(value);
	return SL_OK;
}

static char *trim(char *s)
{
	while (isspace((unsigned char)*s))
		s++;
	for (size_t n = strlen(s); n && isspace((unsigned char)s[n - 1]); n--)
		s[n - 1] = 0;
	return s;
}

enum sl_status sl_config_read_file(struct sl_config *c, const char *path, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {.cap = 1 << 20};
	enum sl_status s = sl_fs_read(path, &text, err);
	if (s != SL_OK)
		return s == SL_NOT_FOUND ? sl_fail(err, SL_USAGE, "configuration file %s: no such file", path) : s;
	int line = 0;
	for (char *at = (char *)text.ptr, *next; at && s == SL_OK; at = next) {
		next = strchr(at, '\n');
		if (next)
			*next++ = 0;
		line++;
		at[strcspn(at, "#")] = 0;
		char *name = trim(at), *eq = strchr(name, '=');
		SL_AUTOFREE char *where = sl_asprintf("%s:%d", path, line);
		if (!*name)
			continue;
		if (!eq)
			return sl_fail(err, SL_USAGE, "%s: a line must be 'name = value'", where);
		*eq = 0;
		s = sl_config_set(c, trim(name), trim(eq + 1), where, err);
	}
	return s;
}

enum sl_status sl_config_read_env(struct sl_config *c, char **env, struct sl_err *err)
{
	for (size_t i = 0; i < c->n; i++) {
		char want[ENV_CAP];
		size_t n = strlen(env_name(c->row[i].name, want));
		for (char **e = env; *e; e++)
			if (!strncmp(*e, want, n) && (*e)[n] == '=') {
				enum sl_status s = sl_config_set(c, c->row[i].name, *e + n + 1, want, err);
				if (s != SL_OK)
					return s;
			}
	}
	return SL_OK;
}

static const char *value_of(const struct sl_config *c, const char *name, enum sl_config_type type)
{
	int i = find(c, name);
	if (i < 0)
		SL_BUG("no configuration row %s", name);
	if (c->row[i].type != type)
		SL_BUG("configuration row %s has another type", name);
	return c->value[i];
}

int64_t sl_config_int(const struct sl_config *c, const char *name)
{
	return (int64_t)strtod(value_of(c, name, SL_CONFIG_INT), NULL);
}

double sl_config_num(const struct sl_config *c, const char *name)
{
	return strtod(value_of(c, name, SL_CONFIG_NUM), NULL);
}

bool sl_config_bool(const struct sl_config *c, const char *name)
{
	bool b = false;
	parse_bool(value_of(c, name, SL_CONFIG_BOOL), &b);
	return b;
}

const char *sl_config_str(const struct sl_config *c, const char *name)
{
	return value_of(c, name, SL_CONFIG_STR);
}

/* Appends text in lines of at most width columns, each after `indent` spaces. */
static void print_wrapped(struct sl_buf *ret, const char *text, int indent, int width)
{
	int col = 0;
	while (*text) {
		int n = (int)strcspn(text, " ");
		if (col && col + 1 + n > width - indent) {
			sl_buf_puts(ret, "\n");
			col = 0;
		}
		col += sl_buf_printf(ret, "%*s%.*s", col ? 1 : indent, "", n, text) == SL_OK ? n + (col > 0) : 0;
		text += n;
		text += strspn(text, " ");
	}
	sl_buf_puts(ret, "\n");
}

/* "http.queue" and "http.idle_s" are of one section; a name without a dot is its own. */
static bool same_section(const char *a, const char *b)
{
	size_t n = strcspn(a, ".");
	return n == strcspn(b, ".") && !strncmp(a, b, n);
}

enum sl_status sl_config_print(const struct sl_config *c, int width, struct sl_buf *ret)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct sl_config_row *r = &c->row[i];
		char env[ENV_CAP];
		if (i && !same_section(c->row[i - 1].name, r->name))
			sl_buf_puts(ret, "\n");
		sl_buf_printf(ret, "%s = %s\n", r->name, c->value[i]);
		print_wrapped(ret, r->text, 4, width);
		if (strcmp(c->value[i], r->value))
			sl_buf_printf(ret, "    default %s\n", *r->value ? r->value : "(empty)");
		if (r->min != 0 || r->max != 0)
			sl_buf_printf(ret, "    from %.15g to %.15g\n", r->min, r->max);
		sl_buf_printf(ret, "    %s\n", env_name(r->name, env));
	}
	return ret->len ? SL_OK : SL_TOO_LARGE;
}

static int distance(const char *a, const char *b)
{
	int n = (int)SL_MIN(strlen(b), NAME_CAP - 1), row[NAME_CAP];
	for (int j = 0; j <= n; j++)
		row[j] = j;
	for (int i = 1; *a; a++, i++) {
		int diagonal = row[0];
		row[0] = i;
		for (int j = 1; j <= n; j++) {
			int best = SL_MIN(SL_MIN(row[j], row[j - 1]) + 1, diagonal + (*a != b[j - 1]));
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[n];
}

const char *sl_nearest(const char *s, const char *const *names, size_t n)
{
	const char *best = NULL;
	int least = 4; /* further away is no help */
	for (size_t i = 0; i < n; i++) {
		int d = distance(s, names[i]);
		if (d < least && d < (int)strlen(names[i])) {
			least = d;
			best = names[i];
		}
	}
	return best;
}
