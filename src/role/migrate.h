/* SPDX-License-Identifier: Apache-2.0
 *
 * Moves everything from one set of stores to another: artifacts, crops, reviews with their whole vote log,
 * topics place by place, and how far each group has read. What is there already is not copied again, so a
 * move that was stopped or killed goes on when it is done again. Leases are not moved (they end by
 * themselves), nor are the groups of rollout (each process has one of its own and reads the alias log first).
 *
 * Order of a round, so that what has arrived never speaks of what has not: how far topic `models` and the
 * groups are; artifacts; reviews; how far the other topics are; crops; the topics up to there; the groups.
 *
 * Owner: the caller. Thread: any that may block; one move at a time into the same stores. Errors: CONFLICT
 * the target holds something that the source has not, or the source changed in what was called the last
 * round; CANCELLED; what the stores say after retries.
 */
#pragma once
#include "base/json.h"
#include "store/stores.h"

enum { SL_MIGRATE_FINDINGS = 1000 }; /* listed; more are counted */

struct sl_migrate_progress {
	const char *doing, *store; /* "copies", "crops" */
	int64_t done, total, bytes; /* of this step; total 0: not known */
};

struct sl_migrate {
	const struct sl_stores *from, *to; /* what is NULL in `to` stays where it is */
	/* Nobody writes to `from`: one round, then everything is read back and compared. Else rounds until
	 * little is left: the last one is for when its processes have stopped. */
	bool is_final;
	bool verify; /* compare only */
	bool dry_run; /* look only */
	int64_t patience_ms; /* how long a server may be away */
	const volatile int *stop; /* not 0: end soon, CANCELLED; NULL is fine */
	void (*progress)(void *arg, const struct sl_migrate_progress *p); /* may be NULL */
	void *arg;
};

/* {"ok","final","compared","rounds","left","stores":{"crops":{"items","there","copied","bytes","sha256"},...},
 * "findings":[{"what","where","why"}],"more"}, new. sha256 is of all items in order, the same for the same
 * content in any backend; it is there when everything was compared. "items" are the source's, "there" those
 * that the target had at the beginning. ok: no findings. The status is of the work: findings are no error. */
enum sl_status sl_migrate_run(const struct sl_migrate *o, json_t **ret, struct sl_err *err);
