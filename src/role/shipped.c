/* SPDX-License-Identifier: Apache-2.0 */
#include "role/shipped.h"
#include "base/fs.h"
#include "base/mem.h"

static enum sl_status first_bundle(const char *name, void *arg, struct sl_err *err)
{
	char **found = arg;
	size_t n = strlen(name);
	if (!*found && n > 7 && !strcmp(name + n - 7, ".bundle"))
		*found = sl_strdup(name);
	return SL_OK;
}

char *sl_shipped_bundle(const struct sl_config *cfg)
{
	static const char *const places[] = {"models", "../models", "../share/signloop/models"};
	const char *set = sl_config_str(cfg, "bundle");
	if (*set)
		return sl_strdup(set);
	SL_AUTOFREE char *self = sl_fs_self();
	char *slash = self ? strrchr(self, '/') : NULL;
	if (!slash)
		return NULL;
	*slash = 0;
	for (size_t i = 0; i < SL_COUNT(places); i++) {
		SL_AUTOFREE char *dir = sl_fs_join(self, places[i]);
		SL_AUTOFREE char *name = NULL;
		if (sl_fs_is_dir(dir))
			sl_fs_each(dir, first_bundle, &name, NULL);
		if (name)
			return sl_fs_join(dir, name);
	}
	return NULL;
}
