/* SPDX-License-Identifier: Apache-2.0
 *
 * Format "dataset": a version of this process's artifact store, "v0001" or "latest"; what it
 * trains on, or with "/heldout", "/aside" or "/all" after the name the other parts.
 */
#include "base/mem.h"
#include "core/manifest.h"
#include "dataset/importers.h"
#include "dataset/version.h"
#include "store/stores.h"
#include <stdio.h>

struct reading {
	struct sl_source *s;
	const struct sl_source_options *o;
	int64_t seen, all;
};

static enum sl_status add(const struct sl_version_row *row, void *arg, struct sl_err *err)
{
	struct reading *r = arg;
	json_t *roi = json_object_get(row->json, "roi");
	struct sl_box box = {0, 0, -1, -1};
	int cls = row->label.cls < 0 ? SL_CLASS_NONE : row->label.cls;
	if (!sl_source_wants(r->o, (int)r->seen++, (int)r->all))
		return SL_OK;
	if (cls >= 0 && r->o->class_of)
		cls = r->o->class_of(r->o->arg, row->label.code);
	if (cls < 0 && row->label.cls >= 0)
		return sl_fail(err, SL_INVALID, "%s: class %s is not in the taxonomy", row->label.key, row->label.code);
	if (json_array_size(roi) == 4)
		box = (struct sl_box){(float)json_number_value(json_array_get(roi, 0)),
			(float)json_number_value(json_array_get(roi, 1)),
			(float)json_number_value(json_array_get(roi, 2)),
			(float)json_number_value(json_array_get(roi, 3))};
	return sl_source_add(r->s, r->o, row->label.key, row->jpeg, sl_row_group(row->json), cls, box, NULL, 0, err);
}

/* "v0001/heldout" */
static enum sl_status parse_path(const char *path, char name[SL_VERSION_NAME], unsigned *ret_deals, struct sl_err *err)
{
	const char *slash = strchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : strlen(path);
	enum sl_deal deal = SL_DEAL_TRAIN;
	bool all = slash && !strcmp(slash + 1, "all");
	if (n >= SL_VERSION_NAME || (slash && !all && !sl_deal_find(slash + 1, &deal)))
		return sl_fail(err, SL_USAGE,
			"'%.40s' is no VERSION or VERSION/PART; parts are train, heldout, aside, all", path);
	snprintf(name, SL_VERSION_NAME, "%.*s", (int)n, path);
	*ret_deals = all ? (1u << SL_DEALS) - 1 : 1u << deal;
	return SL_OK;
}

enum sl_status sl_read_dataset(
	struct sl_source *s, const char *path, const struct sl_source_options *o, struct sl_err *err)
{
	struct sl_stores st = {0};
	char name[SL_VERSION_NAME];
	unsigned deals = 0;
	json_t *manifest = NULL;
	struct reading r = {.s = s, .o = o};
	if (!o->cfg)
		return sl_fail(err, SL_UNSUPPORTED, "no stores here to read a dataset version from");
	enum sl_status status = parse_path(path, name, &deals, err);
	if (status == SL_OK)
		status = sl_stores_open(o->cfg, sl_config_str(o->cfg, "data"), &st, err);
	if (status != SL_OK)
		return status;
	status = sl_version_get(st.artifacts, name, &manifest, err);
	if (status == SL_OK) {
		snprintf(s->digest, sizeof(s->digest), "%s", json_string_value(json_object_get(manifest, "sha256")));
		for (int d = 0; d < SL_DEALS; d++)
			if (deals & 1u << d)
				r.all += json_integer_value(json_object_get(
					json_object_get(manifest, "parts"), sl_deal_name((enum sl_deal)d)));
		status = sl_version_each(st.artifacts, manifest, deals, add, &r, err);
	}
	json_decref(manifest);
	sl_stores_close(&st);
	return status;
}
