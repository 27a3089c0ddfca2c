/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/stores.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include <stdio.h>

static bool is_elsewhere(const struct sl_config *cfg)
{
	return *sl_config_str(cfg, "store.log") && *sl_config_str(cfg, "store.crops") &&
	       *sl_config_str(cfg, "store.reviews") && *sl_config_str(cfg, "store.artifacts");
}

enum sl_status sl_cmd_stores(
	struct sl_config *cfg, const char *data, bool make, struct sl_stores *ret, struct sl_err *err)
{
	enum sl_status s = data ? sl_config_set(cfg, "data", data, "--data", err) : SL_OK;
	const char *dir = sl_config_str(cfg, "data");
	if (s == SL_OK && make)
		s = sl_fs_mkdirs(dir, err);
	else if (s == SL_OK && !sl_fs_is_dir(dir) && !is_elsewhere(cfg))
		s = sl_fail(err, SL_NOT_FOUND, "%s: no such data folder; name one by --data DIR", dir);
	return s == SL_OK ? sl_stores_open(cfg, dir, ret, err) : s;
}

void sl_cmd_print_json(const json_t *v)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	sl_json_print(v, &text);
	printf("%s\n", (char *)text.ptr);
}

const char *sl_cmd_user(void)
{
	const char *user = getenv("USER");
	return user ? user : getenv("LOGNAME") ? getenv("LOGNAME") : "";
}

const char *sl_cmd_text(const json_t *v, const char *name)
{
	const json_t *t = json_object_get(v, name);
	return json_is_string(t) ? json_string_value(t) : "";
}

int64_t sl_cmd_int(const json_t *v, const char *name)
{
	return json_integer_value(json_object_get(v, name));
}

void sl_cmd_time(int64_t ms, char ret[20])
{
	char text[25];
	sl_time_text(ms, text);
	snprintf(ret, 20, "%.10s %.8s", text, text + 11);
}
