/* SPDX-License-Identifier: Apache-2.0 */
#include "core/registry.h"
#include "base/mem.h"
#include <stdio.h>

enum { FORMAT = 1 };

static const char *const action_names[] = {"publish", "rollback"};

const char *sl_alias_action_name(enum sl_alias_action a)
{
	return action_names[a];
}

bool sl_alias_is_valid(const char *alias)
{
	size_t n = strspn(alias, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
	return n > 0 && n < SL_ALIAS && !alias[n];
}

void sl_alias_path(char ret[SL_ALIAS_PATH], const char *alias, int64_t n)
{
	snprintf(ret, SL_ALIAS_PATH, "aliases/%s/%010lld.json", alias, (long long)n);
}

int64_t sl_alias_path_number(const char *path)
{
	long long n = 0;
	int end = 0;
	const char *name = strrchr(path, '/');
	if (!name || sscanf(name, "/%10lld.json%n", &n, &end) != 1 || end != (int)strlen("/0000000001.json") ||
		name[end])
		return 0;
	return n > 0 ? n : 0;
}

void sl_bundle_path(char ret[SL_ALIAS_PATH], const char *digest)
{
	snprintf(ret, SL_ALIAS_PATH, "bundles/%s.bundle", digest);
}

json_t *sl_alias_json(const struct sl_alias_entry *e)
{
	return json_pack("{s:i,s:I,s:s,s:s,s:s,s:s,s:b,s:s,s:s,s:I}", "v", FORMAT, "n", (json_int_t)e->n, "alias",
		e->alias, "digest", e->digest, "previous", e->previous, "action", action_names[e->action], "forced",
		(int)e->forced, "by", e->by, "note", e->note, "time", (json_int_t)e->time_ms);
}

static enum sl_status take_text(
	json_t *v, const char *where, const char *name, char *to, size_t size, struct sl_err *err)
{
	const char *text = "";
	enum sl_status s = sl_json_opt_str(v, where, name, &text, err);
	if (s == SL_OK && (size_t)snprintf(to, size, "%s", text) >= size)
		return sl_fail(err, SL_INVALID, "%s: \"%s\" is longer than %zu characters", where, name, size - 1);
	return s;
}

enum sl_status sl_alias_parse(json_t *v, const char *where, struct sl_alias_entry *ret, struct sl_err *err)
{
	struct sl_alias_entry e = {0};
	char action[12] = "";
	enum sl_status s = sl_json_version(v, where, FORMAT, err);
	if (s == SL_OK)
		s = sl_json_int(v, where, "n", &e.n, err);
	if (s == SL_OK)
		s = take_text(v, where, "alias", e.alias, sizeof(e.alias), err);
	if (s == SL_OK)
		s = take_text(v, where, "digest", e.digest, sizeof(e.digest), err);
	if (s == SL_OK)
		s = take_text(v, where, "previous", e.previous, sizeof(e.previous), err);
	if (s == SL_OK)
		s = take_text(v, where, "action", action, sizeof(action), err);
	if (s == SL_OK)
		s = take_text(v, where, "by", e.by, sizeof(e.by), err);
	if (s == SL_OK)
		s = take_text(v, where, "note", e.note, sizeof(e.note), err);
	if (s == SL_OK)
		s = sl_json_int(v, where, "time", &e.time_ms, err);
	if (s != SL_OK)
		return s;
	bool rollback = !strcmp(action, action_names[SL_ALIAS_ROLLBACK]);
	if (e.n < 1 || !sl_alias_is_valid(e.alias) || !sl_is_sha256_hex(e.digest) ||
		(*e.previous && !sl_is_sha256_hex(e.previous)) || (!rollback && strcmp(action, action_names[0]) != 0))
		return sl_fail(err, SL_INVALID, "%s: no entry of an alias log", where);
	e.action = rollback ? SL_ALIAS_ROLLBACK : SL_ALIAS_PUBLISH;
	e.forced = json_is_true(json_object_get(v, "forced"));
	*ret = e;
	return SL_OK;
}

/* The digests in service and before, as indexes of the entries that published them: the top
 * is stack[depth - 1]. A rollback beyond the bottom leaves it as it is. */
static int replay(const struct sl_alias_entry *e, int n, int *stack)
{
	int depth = 0;
	for (int i = 0; i < n; i++)
		if (e[i].action == SL_ALIAS_PUBLISH)
			stack[depth++] = i;
		else if (depth > 1)
			depth--;
	return depth;
}

void sl_alias_live(const struct sl_alias_entry *e, int n, char ret[SL_HEX_SHA256])
{
	SL_AUTOFREE int *stack = sl_calloc((size_t)n + 1, sizeof(*stack));
	int depth = replay(e, n, stack);
	snprintf(ret, SL_HEX_SHA256, "%s", depth ? e[stack[depth - 1]].digest : "");
}

/* What a rollback would bring back. CONFLICT when there is nothing before. */
static enum sl_status before(const struct sl_alias_entry *e, int n, char ret[SL_HEX_SHA256], struct sl_err *err)
{
	SL_AUTOFREE int *stack = sl_calloc((size_t)n + 1, sizeof(*stack));
	int depth = replay(e, n, stack);
	if (depth < 2)
		return sl_fail(err, SL_CONFLICT, "nothing to roll back to: %s",
			depth ? "this is the first model that was published" : "no model was published yet");
	snprintf(ret, SL_HEX_SHA256, "%s", e[stack[depth - 2]].digest);
	return SL_OK;
}

enum sl_status sl_alias_next(const struct sl_alias_entry *e, int n, const char *alias, const char *digest,
	struct sl_alias_entry *ret, struct sl_err *err)
{
	struct sl_alias_entry next = {
		.n = n ? e[n - 1].n + 1 : 1, .action = digest ? SL_ALIAS_PUBLISH : SL_ALIAS_ROLLBACK};
	enum sl_status s = SL_OK;
	sl_alias_live(e, n, next.previous);
	if (!digest)
		s = before(e, n, next.digest, err);
	else if (!strcmp(digest, next.previous))
		s = sl_fail(err, SL_EXISTS, "%.12s is what %s points at already", digest, alias);
	else
		snprintf(next.digest, sizeof(next.digest), "%s", digest);
	if (s != SL_OK)
		return s;
	snprintf(next.alias, sizeof(next.alias), "%s", alias);
	*ret = next;
	return SL_OK;
}

enum sl_status sl_alias_check(const struct sl_alias_entry *e, int n, struct sl_err *err)
{
	for (int i = 0; i < n; i++) {
		struct sl_alias_entry want;
		if (e[i].n != i + 1)
			return sl_fail(err, SL_CORRUPT, "alias %s: entry %d is missing", e[i].alias, i + 1);
		const char *digest = e[i].action == SL_ALIAS_PUBLISH ? e[i].digest : NULL;
		enum sl_status s = sl_alias_next(e, i, e[i].alias, digest, &want, err);
		if (s != SL_OK)
			return sl_fail(err, SL_CORRUPT,
				"alias %s: entry %d is a %s that the log before it does not allow", e[i].alias, i + 1,
				action_names[e[i].action]);
		if (strcmp(want.previous, e[i].previous) || strcmp(want.digest, e[i].digest))
			return sl_fail(err, SL_CORRUPT, "alias %s: entry %d does not follow from the log before it",
				e[i].alias, i + 1);
	}
	return SL_OK;
}
