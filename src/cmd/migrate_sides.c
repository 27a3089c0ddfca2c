/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/migrate_sides.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/url.h"
#include <ctype.h>

/* What a data folder holds; see store/stores.h. */
static const struct kind {
	const char *name, *scheme, *file;
} kinds[SL_SIDE_KINDS] = {
	{"log", "sqlite", "log.db"},
	{"crops", "sqlite", "crops.db"},
	{"reviews", "sqlite", "reviews.db"},
	{"artifacts", "dir", "artifacts"},
};

const char *sl_side_kind(int kind)
{
	return kinds[kind].name;
}

unsigned sl_side_kinds(const struct sl_side *side)
{
	unsigned which = 0;
	for (int i = 0; i < SL_SIDE_KINDS; i++)
		which |= (side->url[i] != NULL) << i;
	return which;
}

static enum sl_status set(struct sl_side *side, int kind, const char *url, struct sl_err *err)
{
	if (side->url[kind])
		return sl_fail(err, SL_USAGE, "migrate: --%s names the %s store twice", side->name, kinds[kind].name);
	side->url[kind] = sl_strdup(url);
	return SL_OK;
}

/* "log=URL"; -1 when the word begins otherwise. */
static int kind_before(const char *word, const char **ret_rest)
{
	for (int i = 0; i < SL_SIDE_KINDS; i++) {
		size_t n = strlen(kinds[i].name);
		*ret_rest = word + n + 1;
		if (!strncmp(word, kinds[i].name, n) && word[n] == '=')
			return i;
	}
	return -1;
}

static enum sl_status add_url(struct sl_side *side, const char *word, struct sl_err *err)
{
	unsigned serves = sl_stores_served(word);
	int n = (int)strcspn(word, ":");
	if (!serves)
		return sl_fail(err, SL_USAGE,
			"migrate: --%s '%.*s:...': no store is of that scheme; use a data folder or KIND=URL",
			side->name, n, word);
	if (serves & (serves - 1))
		return sl_fail(err, SL_USAGE,
			"migrate: --%s '%.*s:...' can be several stores; write log=, crops=, reviews= or artifacts= before it",
			side->name, n, word);
	return set(side, __builtin_ctz(serves), word, err);
}

/* "mem:", "kafka://h:9092"; a path has no colon before its first slash. */
static bool is_url(const char *word)
{
	size_t n = strcspn(word, ":/");
	return n > 1 && word[n] == ':' && islower((unsigned char)*word);
}

static enum sl_status add_word(struct sl_side *side, const char *word, struct sl_err *err)
{
	const char *rest;
	int kind = kind_before(word, &rest);
	if (kind >= 0)
		return set(side, kind, rest, err);
	if (is_url(word))
		return add_url(side, word, err);
	if (side->dir)
		return sl_fail(
			err, SL_USAGE, "migrate: --%s names two folders, %s and %s", side->name, side->dir, word);
	side->dir = word;
	return SL_OK;
}

enum sl_status sl_side_parse(struct sl_side *side, const char *name, const struct sl_words *words, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	*side = (struct sl_side){.name = name, .lock = -1};
	if (!words->n)
		return sl_fail(err, SL_USAGE, "migrate: --%s is missing: a data folder, or URLs", name);
	for (int i = 0; i < words->n && s == SL_OK; i++)
		s = add_word(side, words->word[i], err);
	for (int i = 0; i < SL_SIDE_KINDS && s == SL_OK && side->dir; i++) {
		SL_AUTOFREE char *path = sl_fs_join(side->dir, kinds[i].file);
		if (!side->url[i])
			side->url[i] = sl_url_of_path(kinds[i].scheme, path);
	}
	return s;
}

enum sl_status sl_side_lock(struct sl_side *side, struct sl_err *err)
{
	return side->dir ? sl_fs_lock(side->dir, "signloop migrate", &side->lock, err) : SL_OK;
}

static enum sl_status check_there(const struct sl_side *side, int kind, struct sl_err *err)
{
	SL_AUTO(sl_url_done) struct sl_url u = {0};
	enum sl_status s = sl_url_parse(side->url[kind], &u, err);
	if (s == SL_OK && !strcmp(u.scheme, kinds[kind].scheme) && !sl_fs_is_file(u.path) && !sl_fs_is_dir(u.path))
		s = sl_fail(
			err, SL_NOT_FOUND, "migrate: --%s: there is no %s at %s", side->name, kinds[kind].name, u.path);
	return s;
}

static enum sl_status open_one(struct sl_side *side, int kind, const struct sl_config *cfg, struct sl_err *err)
{
	struct sl_stores *st = &side->stores;
	switch (kind) {
	case 0:
		return sl_log_open(side->url[kind], cfg, &st->log, err);
	case 1:
		return sl_crops_open(side->url[kind], cfg, &st->crops, err);
	case 2:
		return sl_reviews_open(side->url[kind], cfg, &st->reviews, err);
	default:
		return sl_artifacts_open(side->url[kind], cfg, &st->artifacts, err);
	}
}

enum sl_status sl_side_open(
	struct sl_side *side, unsigned which, bool must_be, const struct sl_config *cfg, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < SL_SIDE_KINDS && s == SL_OK; i++) {
		if (!(which >> i & 1))
			continue;
		if (must_be)
			s = check_there(side, i, err);
		if (s == SL_OK)
			s = open_one(side, i, cfg, err);
	}
	return s;
}

void sl_side_done(struct sl_side *side)
{
	sl_stores_close(&side->stores);
	sl_fs_unlock(side->lock);
	side->lock = -1;
	for (int i = 0; i < SL_SIDE_KINDS; i++) {
		free(side->url[i]);
		side->url[i] = NULL;
	}
}
