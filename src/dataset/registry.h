/* SPDX-License-Identifier: Apache-2.0
 *
 * The model registry on the artifact store: bundles by digest, the alias log, publishing
 * through the gate, rollback, and the message on topic `models` that tells every process.
 * Rules: core/registry.h, core/gate.h. Owner: the caller. Thread: any that may block; the
 * gate runs nets for some seconds.
 */
#pragma once
#include "core/registry.h"
#include "core/taxonomy.h"
#include "dataset/compare.h"
#include "store/stores.h"

#define SL_ALIAS_LIVE "live"
#define SL_ALIAS_CANDIDATE "candidate"

struct sl_alias_log {
	struct sl_alias_entry *entry; /* 1, 2, ... */
	int n;
};
enum sl_status sl_alias_log_read(
	struct sl_artifacts *a, const char *alias, struct sl_alias_log *ret, struct sl_err *err);
void sl_alias_log_done(struct sl_alias_log *l);
/* Digest of what the alias points at. NOT_FOUND before the first publish. */
enum sl_status sl_alias_digest(struct sl_artifacts *a, const char *alias, char ret[SL_DIGEST], struct sl_err *err);
/* Names of all aliases that have a log: array of strings. */
enum sl_status sl_alias_names(struct sl_artifacts *a, json_t **ret, struct sl_err *err);

/* Checks that file is a bundle that opens, and puts it under its digest. */
enum sl_status sl_model_put(
	struct sl_artifacts *a, struct sl_slice file, char ret_digest[SL_DIGEST], struct sl_err *err);
/* The bundle's bytes, checked against the digest: NOT_FOUND, CORRUPT. */
enum sl_status sl_model_get(struct sl_artifacts *a, const char *digest, struct sl_buf *ret, struct sl_err *err);
/* The sign classes of a stored bundle, without opening its nets; sl_taxonomy_free(). */
enum sl_status sl_model_taxonomy(
	struct sl_artifacts *a, const char *digest, struct sl_taxonomy **ret, struct sl_err *err);
/* The one stored digest that starts with `start` (at least 6 digits); INVALID when several. */
enum sl_status sl_model_find(struct sl_artifacts *a, const char *start, char ret_digest[SL_DIGEST], struct sl_err *err);

struct sl_publish {
	const char *alias; /* NULL: live. Only live asks the gate */
	const char *digest; /* a stored bundle; NULL: roll back */
	bool force; /* publish against the gate's word, and say so in the log */
	const char *by, *note;
	struct sl_err *unsaid; /* NULL, or {0}: filled when OK is without the message on topic models */
	const char *version; /* dataset version whose held-out rows judge; NULL: latest */
};
/* REFUSED with the gate's words; EXISTS when it is in service already; CONFLICT when there is
 * nothing to roll back to, or another writer moved the alias in between (then look and try
 * again). OK also when the log was away and the message on topic models is missing (`unsaid`):
 * replicas look at the alias log by themselves. ret_evaluation (may be NULL): what the gate saw, or NULL when it was not asked. */
enum sl_status sl_model_publish(const struct sl_stores *st, const struct sl_config *cfg, const struct sl_publish *p,
	struct sl_alias_entry *ret, json_t **ret_evaluation, struct sl_err *err);

/* What the gate says of a stored bundle beside the live one, without publishing it. NOT_FOUND
 * when there is no live one or no version; the gate's no is *ret_passed false, not an error. */
enum sl_status sl_model_judge(const struct sl_stores *st, const struct sl_config *cfg, const char *digest,
	const char *version, bool *ret_passed, json_t **ret_evaluation, struct sl_err *err);

/* Says on topic `models` once more what is live, so that every replica looks at once. */
enum sl_status sl_model_announce(const struct sl_stores *st, struct sl_err *err);

/* A new bundle of base's parts with another detector and/or classifier (ONNX; empty: base's);
 * temperature 0 keeps base's. */
struct sl_wrap {
	struct sl_slice base, detector, classifier;
	double temperature;
	const char *name, *created; /* NULL keeps */
};
enum sl_status sl_model_wrap(const struct sl_wrap *w, struct sl_buf *ret, struct sl_err *err);

/* {"digest","bytes","name","classes","taxonomy","card","aliases":[...]} of a stored bundle. */
enum sl_status sl_model_show(struct sl_artifacts *a, const char *digest, json_t **ret, struct sl_err *err);
/* [{"digest","bytes","aliases"}] of all stored bundles. */
enum sl_status sl_model_list(struct sl_artifacts *a, json_t **ret, struct sl_err *err);
