/* SPDX-License-Identifier: Apache-2.0
 *
 * Artifacts: immutable, so a path that is there is the object, and comparing tells whether it is.
 */
#include "role/migrate_work.h"

struct lists {
	struct sl_artifact_list from, to;
};

static void lists_done(struct lists *l)
{
	sl_artifact_list_done(&l->from);
	sl_artifact_list_done(&l->to);
}

static enum sl_status read_lists(struct sl_migrate_work *w, struct lists *l, struct sl_err *err)
{
	enum sl_status s = SL_TRY(w, sl_artifacts_list(w->o->from->artifacts, "", &l->from, err));
	return s == SL_OK ? SL_TRY(w, sl_artifacts_list(w->o->to->artifacts, "", &l->to, err)) : s;
}

typedef enum sl_status (*path_fn)(struct sl_migrate_work *w, const char *path, enum sl_side side, int64_t from,
	int64_t to, void *arg, struct sl_err *err);

/* fn sees each path of both lists once, in order; the sizes are -1 where it is not. */
static enum sl_status each_path(
	struct sl_migrate_work *w, const struct lists *l, path_fn fn, void *arg, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0, k = 0; s == SL_OK && (i < l->from.n || k < l->to.n);) {
		int c = i == l->from.n ? 1 : k == l->to.n ? -1 : strcmp(l->from.path[i], l->to.path[k]);
		const char *path = c <= 0 ? l->from.path[i] : l->to.path[k];
		int64_t from = c <= 0 ? l->from.size[i++] : -1, to = c >= 0 ? l->to.size[k++] : -1;
		s = fn(w, path, c < 0 ? SL_FROM_ONLY : c > 0 ? SL_TO_ONLY : SL_BOTH, from, to, arg, err);
	}
	return s;
}

static enum sl_status look_one(struct sl_migrate_work *w, const char *path, enum sl_side side, int64_t from, int64_t to,
	void *arg, struct sl_err *err)
{
	struct sl_part_count *c = &w->count[SL_PART_ARTIFACTS];
	if (side == SL_TO_ONLY)
		return sl_fail(err, SL_CONFLICT,
			"migrate: the target has artifact %s, the source has not; choose an empty target, or remove it there",
			path);
	if (side == SL_BOTH && from != to)
		return sl_fail(err, SL_CONFLICT,
			"migrate: artifact %s has %lld bytes in the source, %lld in the target; choose an empty target",
			path, (long long)from, (long long)to);
	c->items++;
	c->there += side == SL_BOTH;
	return SL_OK;
}

enum sl_status sl_migrate_artifacts_look(struct sl_migrate_work *w, struct sl_err *err)
{
	SL_AUTO(lists_done) struct lists l = {0};
	enum sl_status s = read_lists(w, &l, err);
	return s == SL_OK ? each_path(w, &l, look_one, NULL, err) : s;
}

/* OK with *ret_there false: it is gone, or damaged (which is found). */
static enum sl_status fetch(struct sl_migrate_work *w, struct sl_artifacts *a, const char *whose, const char *path,
	struct sl_buf *ret, bool *ret_there, struct sl_err *err)
{
	enum sl_status s = SL_TRY(w, (ret->len = 0, sl_artifacts_get(a, path, ret, err)));
	*ret_there = s == SL_OK;
	if (s == SL_CORRUPT)
		sl_migrate_find(w, "artifact", path, "in the %s: %s", whose, err->text);
	return s == SL_CORRUPT || s == SL_NOT_FOUND ? SL_OK : s;
}

static enum sl_status copy_one(struct sl_migrate_work *w, const char *path, enum sl_side side, int64_t from, int64_t to,
	void *arg, struct sl_err *err)
{
	struct sl_part_count *c = &w->count[SL_PART_ARTIFACTS];
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	bool there;
	if (side != SL_FROM_ONLY)
		return SL_OK;
	enum sl_status s = fetch(w, w->o->from->artifacts, "source", path, &b, &there, err);
	if (s != SL_OK || !there)
		return s;
	s = SL_TRY(w, sl_artifacts_put(w->o->to->artifacts, path, sl_buf_slice(&b), err));
	if (s == SL_CONFLICT)
		sl_migrate_find(w, "artifact", path, "the target does not take it: %s", err->text);
	if (s != SL_OK && s != SL_EXISTS && s != SL_CONFLICT) /* EXISTS: the answer to an earlier try was lost */
		return s;
	c->copied += s != SL_CONFLICT;
	c->bytes += (int64_t)b.len;
	sl_migrate_did(w, 1, (int64_t)b.len);
	return SL_OK;
}

enum sl_status sl_migrate_artifacts_copy(struct sl_migrate_work *w, struct sl_err *err)
{
	SL_AUTO(lists_done) struct lists l = {0};
	enum sl_status s = read_lists(w, &l, err);
	return s == SL_OK ? each_path(w, &l, copy_one, NULL, err) : s;
}

static enum sl_status compare_one(struct sl_migrate_work *w, const char *path, enum sl_side side, int64_t from,
	int64_t to, void *arg, struct sl_err *err)
{
	struct sl_sha256 *sum = arg;
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	char x[SL_HEX_SHA256], y[SL_HEX_SHA256];
	bool there, there_too;
	if (side != SL_BOTH) {
		sl_migrate_find(w, "artifact", path, "only the %s has it", side == SL_FROM_ONLY ? "source" : "target");
		return SL_OK;
	}
	enum sl_status s = fetch(w, w->o->from->artifacts, "source", path, &b, &there, err);
	sl_sha256_hex(b.ptr, b.len, x);
	int64_t bytes = (int64_t)b.len;
	if (s == SL_OK)
		s = fetch(w, w->o->to->artifacts, "target", path, &b, &there_too, err);
	if (s != SL_OK)
		return s;
	sl_sha256_hex(b.ptr, b.len, y);
	if (there && there_too && strcmp(x, y) != 0)
		sl_migrate_find(w, "artifact", path, "sha256 %.12s... in the source, %.12s... in the target", x, y);
	sl_sha256_add(sum, path, strlen(path) + 1);
	sl_sha256_add(sum, y, sizeof(y));
	sl_migrate_did(w, 1, bytes);
	return SL_OK;
}

enum sl_status sl_migrate_artifacts_compare(struct sl_migrate_work *w, struct sl_err *err)
{
	SL_AUTO(lists_done) struct lists l = {0};
	struct sl_sha256 *sum = sl_sha256_new();
	struct sl_part_count *c = &w->count[SL_PART_ARTIFACTS];
	enum sl_status s = read_lists(w, &l, err);
	c->items = w->now.total = l.from.n;
	if (s == SL_OK)
		s = each_path(w, &l, compare_one, sum, err);
	sl_sha256_end_hex(sum, c->sha256);
	sl_sha256_free(sum);
	return s;
}
