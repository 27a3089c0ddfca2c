/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/migrate_sides.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/url.h"
#include <ctype.h>

unsigned sl_side_kinds(const struct sl_side *side)
{
	unsigned which = 0;
	for (int i = 0; i < SL_STORES; i++)
		which |= (side->url[i] != NULL) << i;
	return which;
}

static enum sl_status set(struct sl_side *side, int kind, const char *url, struct sl_err *err)
{
	if (side->url[kind])
		return sl_fail(err, SL_USAGE, "migrate: --%s names the %s store twice", side->name,
			sl_store_name((enum sl_store)kind));
	side->url[kind] = sl_strdup(url);
	return SL_OK;
}

/* "log=URL"; -1 when the word begins otherwise. */
static int kind_before(const char *word, const char **ret_rest)
{
	for (int i = 0; i < SL_STORES; i++) {
		const char *name = sl_store_name((enum sl_store)i);
		size_t n = strlen(name);
		*ret_rest = word + n + 1;
		if (!strncmp(word, name, n) && word[n] == '=')
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
	side->has_urls = sl_side_kinds(side) != 0;
	for (int i = 0; i < SL_STORES && s == SL_OK && side->dir; i++)
		if (!side->url[i])
			side->url[i] = sl_store_url_in((enum sl_store)i, side->dir);
	return s;
}

enum sl_status sl_side_lock(struct sl_side *side, struct sl_err *err)
{
	return side->dir ? sl_fs_lock(side->dir, "signloop migrate", &side->lock, err) : SL_OK;
}

enum sl_status sl_side_open(struct sl_side *side, unsigned which, enum sl_side_absent absent,
	const struct sl_config *cfg, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < SL_STORES && s == SL_OK; i++) {
		enum sl_store kind = (enum sl_store)i;
		if (!(which >> i & 1))
			continue;
		bool is_absent = absent != SL_ABSENT_MAKE && sl_store_is_absent(kind, side->url[i]);
		if (is_absent && absent == SL_ABSENT_FAIL)
			return sl_fail(err, SL_NOT_FOUND, "migrate: --%s: there is no %s at %s", side->name,
				sl_store_name(kind), side->url[i]);
		s = sl_store_open_url(kind, is_absent ? "mem:" : side->url[i], cfg, &side->stores, err);
	}
	return s;
}

void sl_side_done(struct sl_side *side)
{
	sl_stores_close(&side->stores);
	sl_fs_unlock(side->lock);
	side->lock = -1;
	for (int i = 0; i < SL_STORES; i++) {
		free(side->url[i]);
		side->url[i] = NULL;
	}
}
