/* SPDX-License-Identifier: Apache-2.0 */
#include "store/stores.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/url.h"

/* The setting's URL, or the embedded store in dir; free(). */
static char *url_of(
	const struct sl_config *cfg, const char *setting, const char *scheme, const char *dir, const char *name)
{
	const char *url = sl_config_str(cfg, setting);
	if (*url)
		return sl_strdup(url);
	SL_AUTOFREE char *path = sl_fs_join(dir, name);
	return sl_url_of_path(scheme, path);
}

/* The log that roles and commands write to, which feeds the original's consumers where the settings say so. Left open in
 * *ret when those are wrong. */
static enum sl_status open_log(const char *url, const struct sl_config *cfg, struct sl_log **ret, struct sl_err *err)
{
	const char *bundle = sl_config_str(cfg, "log.compat_url"), *listen = sl_config_str(cfg, "http.listen");
	SL_AUTOFREE char *own =
		sl_asprintf("http://%s%s/v1/models/{digest}/bundle", *listen == ':' ? "127.0.0.1" : "", listen);
	enum sl_status s = sl_log_open(url, cfg, ret, err);
	return s == SL_OK && sl_config_bool(cfg, "log.compat_topics") ? sl_log_compat(*ret, *bundle ? bundle : own, err)
								      : s;
}

enum sl_status sl_stores_open(
	const struct sl_config *cfg, const char *data_dir, struct sl_stores *ret, struct sl_err *err)
{
	SL_AUTOFREE char *log = url_of(cfg, "store.log", "sqlite", data_dir, "log.db");
	SL_AUTOFREE char *crops = url_of(cfg, "store.crops", "sqlite", data_dir, "crops.db");
	SL_AUTOFREE char *reviews = url_of(cfg, "store.reviews", "sqlite", data_dir, "reviews.db");
	SL_AUTOFREE char *artifacts = url_of(cfg, "store.artifacts", "dir", data_dir, "artifacts");
	struct sl_stores st = {0};
	enum sl_status s = open_log(log, cfg, &st.log, err);
	if (s == SL_OK)
		s = sl_crops_open(crops, cfg, &st.crops, err);
	if (s == SL_OK)
		s = sl_reviews_open(reviews, cfg, &st.reviews, err);
	if (s == SL_OK)
		s = sl_artifacts_open(artifacts, cfg, &st.artifacts, err);
	if (s == SL_OK)
		*ret = st;
	else
		sl_stores_close(&st);
	return s;
}

void sl_stores_close(struct sl_stores *s)
{
	sl_artifacts_close(s->artifacts);
	sl_reviews_close(s->reviews);
	sl_crops_close(s->crops);
	sl_log_close(s->log);
	*s = (struct sl_stores){0};
}
