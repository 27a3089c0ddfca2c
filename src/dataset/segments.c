/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/segments.h"
#include "base/mem.h"
#include <stdio.h>

void sl_segments_done(struct sl_segments *s)
{
	for (int i = 0; i < s->n; i++)
		sl_segment_done(&s->segment[i]);
	free(s->segment);
	*s = (struct sl_segments){0};
}

static enum sl_status read_entry(struct sl_artifacts *a, const char *path, struct sl_segment *ret, struct sl_err *err)
{
	SL_AUTOJSON json_t *v = NULL;
	int partition = 0;
	int64_t first = 0;
	enum sl_status s = sl_object_get(a, path, &v, err);
	if (s == SL_OK)
		s = sl_segment_parse(v, path, ret, err);
	if (s != SL_OK)
		return s;
	if (!sl_segment_entry_parse(path, &partition, &first) || first != ret->first || partition != ret->partition) {
		sl_segment_done(ret);
		return sl_fail(err, SL_CORRUPT, "%s: says other positions than its name", path);
	}
	return SL_OK;
}

static int by_position(const void *a, const void *b)
{
	const struct sl_segment *x = a, *y = b;
	if (x->partition != y->partition)
		return x->partition < y->partition ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

enum sl_status sl_segments_list(struct sl_artifacts *a, struct sl_segments *ret, struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	SL_AUTO(sl_segments_done) struct sl_segments all = {0};
	enum sl_status s = sl_artifacts_list(a, "curate/labels/", &list, err);
	if (s != SL_OK)
		return s;
	all.segment = sl_calloc((size_t)list.n + 1, sizeof(*all.segment));
	for (int i = 0; i < list.n && s == SL_OK; i++) {
		s = read_entry(a, list.path[i], &all.segment[all.n], err);
		all.n += s == SL_OK;
	}
	if (s != SL_OK)
		return s;
	qsort(all.segment, (size_t)all.n, sizeof(*all.segment), by_position);
	*ret = all;
	all = (struct sl_segments){0};
	return SL_OK;
}

enum sl_status sl_segments_last(struct sl_artifacts *a, int partition, int64_t *ret, struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	SL_AUTO(sl_segment_done) struct sl_segment last = {0};
	char prefix[SL_PATH];
	snprintf(prefix, sizeof(prefix), "curate/labels/p%d/", partition);
	enum sl_status s = sl_artifacts_list(a, prefix, &list, err);
	if (s == SL_OK && list.n)
		s = read_entry(a, list.path[list.n - 1], &last, err);
	if (s == SL_OK)
		*ret = list.n ? last.last : -1;
	return s;
}

enum sl_status sl_segments_store(struct sl_artifacts *a, struct sl_segment *g, struct sl_slice tar, struct sl_err *err)
{
	char path[SL_PATH];
	enum sl_status s = SL_OK;
	g->sha256[0] = 0;
	if (g->rows)
		s = sl_shard_store(a, sl_segment_path, tar, g->sha256, err);
	if (s != SL_OK)
		return s;
	SL_AUTOJSON json_t *v = sl_segment_json(g);
	sl_segment_entry_path(path, g->partition, g->first);
	return sl_object_put(a, path, v, err);
}

enum sl_status sl_forgotten_list(struct sl_artifacts *a, struct sl_keys *ret, struct sl_err *err)
{
	SL_AUTO(sl_artifact_list_done) struct sl_artifact_list list = {0};
	enum sl_status s = sl_artifacts_list(a, "forgotten/", &list, err);
	if (s != SL_OK)
		return s;
	struct sl_keys k = {sl_calloc((size_t)list.n + 1, SL_KEY), 0};
	for (int i = 0; i < list.n; i++) {
		const char *name = list.path[i] + strlen("forgotten/"), *dot = strrchr(name, '.');
		if (dot && dot - name < SL_KEY)
			snprintf(k.key[k.n++], SL_KEY, "%.*s", (int)(dot - name), name);
	}
	if (k.n)
		qsort(k.key, (size_t)k.n, SL_KEY, (int (*)(const void *, const void *))strcmp);
	*ret = k;
	return SL_OK;
}

bool sl_keys_has(const struct sl_keys *k, const char *key)
{
	return k->n && bsearch(key, k->key, (size_t)k->n, SL_KEY, (int (*)(const void *, const void *))strcmp) != NULL;
}

void sl_keys_done(struct sl_keys *k)
{
	free(k->key);
	*k = (struct sl_keys){0};
}
