/* SPDX-License-Identifier: Apache-2.0 */
#include "store/stores.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/registry.h"
#include "store/url.h"

/* Where a store is when its setting is empty: inside the data folder. */
static const struct {
	const char *setting, *scheme, *name;
} embedded[SL_STORES] = {{"store.log", "sqlite", "log.db"}, {"store.crops", "sqlite", "crops.db"},
	{"store.reviews", "sqlite", "reviews.db"}, {"store.artifacts", "dir", "artifacts"}};

char *sl_store_url_in(enum sl_store which, const char *data_dir)
{
	SL_AUTOFREE char *path = sl_fs_join(data_dir, embedded[which].name);
	return sl_url_of_path(embedded[which].scheme, path);
}

bool sl_store_is_absent(enum sl_store which, const char *url)
{
	SL_AUTO(sl_url_done) struct sl_url u = {0};
	return sl_url_parse(url, &u, NULL) == SL_OK && !strcmp(u.scheme, embedded[which].scheme) &&
	       !sl_fs_is_file(u.path) && !sl_fs_is_dir(u.path);
}

/* HOST:PORT that others can come to as it stands: no wildcard, and a port that is known. */
static bool is_address(const char *listen)
{
	static const char *const wild[] = {"", "0.0.0.0", "[::]"};
	const char *colon = strrchr(listen, ':');
	size_t n = colon ? (size_t)(colon - listen) : strlen(listen);
	for (size_t i = 0; i < SL_COUNT(wild); i++)
		if (n == strlen(wild[i]) && !strncmp(listen, wild[i], n))
			return false;
	return colon && atoi(colon + 1) > 0;
}

/* The log, which feeds the original's consumers too where that is wanted. */
static enum sl_status open_log(const char *url, const struct sl_config *cfg, struct sl_log **ret, struct sl_err *err)
{
	const char *bundle = sl_config_str(cfg, "log.compat_url"), *listen = sl_config_str(cfg, "http.listen");
	bool compat = sl_config_bool(cfg, "log.compat_topics");
	if (compat && !*bundle && !is_address(listen))
		return sl_fail(err, SL_USAGE,
			"log.compat_topics: others cannot fetch bundles from http.listen %.60s; set log.compat_url, such as "
			"http://HOST:PORT/v1/models/{digest}/bundle",
			listen);
	SL_AUTOFREE char *own = sl_asprintf("http://%s/v1/models/{digest}/bundle", listen);
	struct sl_log *log = NULL;
	enum sl_status s = sl_log_open(url, cfg, &log, err);
	if (s == SL_OK && compat)
		s = sl_log_compat(log, *bundle ? bundle : own, err);
	if (s == SL_OK)
		*ret = log;
	else
		sl_log_close(log);
	return s;
}

enum sl_status sl_store_open_url(
	enum sl_store which, const char *url, const struct sl_config *cfg, struct sl_stores *ret, struct sl_err *err)
{
	switch (which) {
	case SL_STORE_LOG:
		return sl_log_open(url, cfg, &ret->log, err);
	case SL_STORE_CROPS:
		return sl_crops_open(url, cfg, &ret->crops, err);
	case SL_STORE_REVIEWS:
		return sl_reviews_open(url, cfg, &ret->reviews, err);
	default:
		return sl_artifacts_open(url, cfg, &ret->artifacts, err);
	}
}

enum sl_status sl_store_open(enum sl_store which, const struct sl_config *cfg, const char *data_dir,
	struct sl_stores *ret, struct sl_err *err)
{
	const char *set = sl_config_str(cfg, embedded[which].setting);
	SL_AUTOFREE char *url = *set ? sl_strdup(set) : sl_store_url_in(which, data_dir);
	return which == SL_STORE_LOG ? open_log(url, cfg, &ret->log, err)
				     : sl_store_open_url(which, url, cfg, ret, err);
}

enum sl_status sl_stores_open(
	const struct sl_config *cfg, const char *data_dir, struct sl_stores *ret, struct sl_err *err)
{
	struct sl_stores st = {0};
	enum sl_status s = SL_OK;
	for (int i = 0; i < SL_STORES && s == SL_OK; i++)
		s = sl_store_open((enum sl_store)i, cfg, data_dir, &st, err);
	if (s == SL_OK)
		*ret = st;
	else
		sl_stores_close(&st);
	return s;
}

unsigned sl_stores_served(const char *url)
{
	SL_AUTO(sl_url_done) struct sl_url u = {0};
	return sl_url_parse(url, &u, NULL) == SL_OK ? sl_registry_served(u.scheme) : 0;
}

void sl_stores_close(struct sl_stores *s)
{
	sl_artifacts_close(s->artifacts);
	sl_reviews_close(s->reviews);
	sl_crops_close(s->crops);
	sl_log_close(s->log);
	*s = (struct sl_stores){0};
}
