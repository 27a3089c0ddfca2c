/* SPDX-License-Identifier: Apache-2.0 */
#include "store/registry.h"
#include "base/mem.h"
#include "store/dir/dir.h"
#include "store/hbase/hbase.h"
#include "store/kafka/kafka.h"
#include "store/mem/mem.h"
#include "store/mongodb/mongodb.h"
#include "store/spec.h"
#include "store/sqlite/sqlite.h"
#include "store/stores.h"
#include "store/webhdfs/webhdfs.h"
#include "store/wrap/wrap.h"
#include <stdio.h>

#ifdef SL_WITH_HBASE
#define HBASE_CROPS &sl_hbase_crops
#else
#define HBASE_CROPS NULL
#endif
#ifdef SL_WITH_KAFKA
#define KAFKA_LOG &sl_kafka_log
#else
#define KAFKA_LOG NULL
#endif
#ifdef SL_WITH_MONGODB
#define MONGODB_REVIEWS &sl_mongodb_reviews
#else
#define MONGODB_REVIEWS NULL
#endif
#ifdef SL_WITH_WEBHDFS
#define WEBHDFS_ARTIFACTS &sl_webhdfs_artifacts
#else
#define WEBHDFS_ARTIFACTS NULL
#endif

enum kind { LOG, CROPS, REVIEWS, ARTIFACTS, KINDS };

static const char *const kind_name[KINDS] = {"log", "crop store", "review store", "artifact store"};

/* Every scheme is known in every build; a kind that it serves without a table is not in this one. */
static const struct backend {
	const char *scheme, *form;
	bool serves[KINDS], wants_path;
	const struct sl_log_ops *log;
	const struct sl_crops_ops *crops;
	const struct sl_reviews_ops *reviews;
	const struct sl_artifacts_ops *artifacts;
} backends[] = {
	{.scheme = "mem",
		.form = "mem:",
		.serves = {true, true, true, true},
		.log = &sl_mem_log,
		.crops = &sl_mem_crops,
		.reviews = &sl_mem_reviews,
		.artifacts = &sl_mem_artifacts},
	{.scheme = "sqlite",
		.form = "sqlite:PATH",
		.serves = {true, true, true, false},
		.wants_path = true,
		.log = &sl_sqlite_log,
		.crops = &sl_sqlite_crops,
		.reviews = &sl_sqlite_reviews},
	{.scheme = "dir",
		.form = "dir:PATH",
		.serves = {[ARTIFACTS] = true},
		.wants_path = true,
		.artifacts = &sl_dir_artifacts},
	{.scheme = "kafka",
		.form = "kafka://HOST:PORT",
		.serves = {[LOG] = true},
		.wants_path = true,
		.log = KAFKA_LOG},
	{.scheme = "hbase",
		.form = "hbase://HOST:PORT/TABLE",
		.serves = {[CROPS] = true},
		.wants_path = true,
		.crops = HBASE_CROPS},
	{.scheme = "mongodb",
		.form = "mongodb://HOST:PORT/DATABASE",
		.serves = {[REVIEWS] = true},
		.wants_path = true,
		.reviews = MONGODB_REVIEWS},
	{.scheme = "webhdfs",
		.form = "webhdfs://HOST:PORT/PATH",
		.serves = {[ARTIFACTS] = true},
		.wants_path = true,
		.artifacts = WEBHDFS_ARTIFACTS},
};

enum { N_BACKENDS = sizeof(backends) / sizeof(*backends) };

static bool is_built(const struct backend *b, enum kind k)
{
	const void *const table[KINDS] = {b->log, b->crops, b->reviews, b->artifacts};
	return table[k] != NULL;
}

/* "mem:, sqlite:PATH or kafka://HOST:PORT" */
static void list_forms(enum kind k, bool built_only, char *ret, size_t size)
{
	size_t at = 0;
	int left = 0;
	for (int i = 0; i < N_BACKENDS; i++)
		left += backends[i].serves[k] && (!built_only || is_built(&backends[i], k));
	for (int i = 0; i < N_BACKENDS; i++)
		if (backends[i].serves[k] && (!built_only || is_built(&backends[i], k))) {
			left--;
			const char *after = left > 1 ? ", " : left ? " or " : "";
			at += (size_t)snprintf(ret + at, size - at, "%s%s", backends[i].form, after);
		}
}

static enum sl_status find(const struct sl_url *u, enum kind k, const struct backend **ret, struct sl_err *err)
{
	char forms[160];
	for (int i = 0; i < N_BACKENDS; i++) {
		const struct backend *b = &backends[i];
		if (strcmp(u->scheme, b->scheme) || !b->serves[k])
			continue;
		list_forms(k, true, forms, sizeof(forms));
		if (!is_built(b, k))
			return sl_fail(err, SL_UNSUPPORTED, "store URL '%s': %s is known but not in this build; use %s",
				u->text, b->scheme, forms);
		if (b->wants_path && !*u->path)
			return sl_fail(
				err, SL_USAGE, "store URL '%s': the path is missing; it is %s", u->text, b->form);
		*ret = b;
		return SL_OK;
	}
	list_forms(k, false, forms, sizeof(forms));
	return sl_fail(
		err, SL_USAGE, "store URL '%s': no %s is called '%s'; use %s", u->text, kind_name[k], u->scheme, forms);
}

void sl_stores_each_form(void (*fn)(void *arg, const struct sl_store_form *f), void *arg)
{
	for (int k = 0; k < KINDS; k++)
		for (const struct backend *b = backends; b < backends + N_BACKENDS; b++) {
			if (b->serves[k])
				fn(arg, &(struct sl_store_form){kind_name[k], b->form, is_built(b, (enum kind)k),
						sl_spec_of(kind_name[k], b->scheme)});
		}
}

/* The four differ in types alone. The hooks are made before the backend opens, so that a wrong
 * option costs nothing; the innermost prefix wraps first. */
#define REGISTRY(kind, contract) \
	enum sl_status sl_registry_##contract( \
		const char *url, const struct sl_config *cfg, struct sl_##contract##_impl *ret, struct sl_err *err) \
	{ \
		SL_AUTO(sl_url_done) struct sl_url u = {0}; \
		struct sl_hook *hook[SL_URL_WRAPS]; \
		const struct backend *b = NULL; \
		struct sl_##contract##_impl impl = {0}; \
		int n = 0; \
		enum sl_status s = sl_url_parse(url, &u, err); \
		if (s == SL_OK) \
			s = find(&u, kind, &b, err); \
		for (; s == SL_OK && n < u.nwrap; n += s == SL_OK) \
			s = sl_hook_new(u.wrap[n], &u, &hook[n], err); \
		for (int i = 0; s == SL_OK && i < n; i++) \
			s = hook[i]->enter(hook[i], &(struct sl_call){#contract, "open", 0, false}, err); \
		if (s == SL_OK) { \
			impl.ops = b->contract; \
			s = sl_spec_check(sl_spec_of(kind_name[kind], b->scheme), &u, err); \
		} \
		if (s == SL_OK) \
			s = impl.ops->open(&u, cfg, &impl.self, err); \
		if (s == SL_OK && (s = sl_url_check_used(&u, err)) != SL_OK) \
			impl.ops->close(impl.self); \
		while (n--) { \
			if (s == SL_OK) \
				impl = sl_wrap_##contract(hook[n], impl); \
			else \
				hook[n]->free(hook[n]); \
		} \
		if (s == SL_OK) \
			*ret = impl; \
		return s; \
	}

REGISTRY(LOG, log)
REGISTRY(CROPS, crops)
REGISTRY(REVIEWS, reviews)
REGISTRY(ARTIFACTS, artifacts)

unsigned sl_registry_served(const char *scheme)
{
	unsigned which = 0;
	for (int i = 0; i < N_BACKENDS; i++)
		for (int k = 0; k < KINDS && !strcmp(backends[i].scheme, scheme); k++)
			which |= (unsigned)backends[i].serves[k] << k;
	return which;
}
