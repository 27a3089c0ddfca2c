/* SPDX-License-Identifier: Apache-2.0
 *
 * Walks all stores and names what breaks a promise (product.md): each finding says what
 * (crop, message, review, verdict, label, segment, version, shard, alias, model), where (its
 * key, position or path) and why. What is only on its way (not yet consumed, in the outbox,
 * a frame that is kept) is no finding but counted in "waiting", and so are dead letters. It may
 * run beside a serving process: what moves while it looks is looked at again before it is called
 * broken.
 *
 * Owner: the caller. Thread: any that may block.
 */
#pragma once
#include "base/config.h"
#include "base/json.h"
#include "store/stores.h"

struct sl_fsck {
	bool bytes; /* read and hash every segment, shard, bundle and crop */
	bool recompute; /* every verdict again from the vote log */
	bool repair; /* do what can be done again without harm, and say so in "repaired" */
	const char *data_dir; /* whose spool is counted; NULL: none */
	void (*progress)(void *arg, const char *what); /* may be NULL */
	void *arg;
};
/* {"ok","checked":{...},"waiting":{...},"findings":[{"what","where","why"}],"repaired":[...]},
 * new. The status is of the work: findings are no error. */
enum sl_status sl_fsck_run(const struct sl_stores *st, const struct sl_fsck *o, json_t **ret, struct sl_err *err);
