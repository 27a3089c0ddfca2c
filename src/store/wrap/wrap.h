/* SPDX-License-Identifier: Apache-2.0
 *
 * Decorators over any backend. A hook sees every call before and after it; one plain
 * forwarder a contract (wrap_log.c, ...) asks it. Private to store/.
 *
 *   trace+URL   each call with its time and status to the debug log, component "store"
 *   fault+URL?every=7&when=before|after&status=TIMEOUT&calls=vote,lease
 *               every n-th call fails: before its effect, or after it (the answer is lost).
 *               calls: only these (default: all). `poll` fails before its effect only:
 *               a lost batch would be committed with the next one.
 *   fault+URL?file=PATH&status=AWAY&hang_ms=N
 *               every call of `calls` (of all, the opening too) fails while the file PATH exists, so that a
 *               test can take a store away from a running process and give it back. The
 *               default of `every` is 1 then, that of `status` AWAY. hang_ms: it takes so
 *               long to fail (default 0).
 *
 * Owner of a hook: the forwarder, freed at close. Thread: any.
 */
#pragma once
#include "store/ops.h"

struct sl_call {
	const char *store, *name;
	int64_t start_us;
	bool lost; /* the answer is to be thrown away */
};

struct sl_hook {
	/* Not OK: the call is not made and gives this status. */
	enum sl_status (*enter)(struct sl_hook *h, struct sl_call *c, struct sl_err *err);
	/* Gives the status that the caller sees. */
	enum sl_status (*leave)(struct sl_hook *h, struct sl_call *c, enum sl_status s, struct sl_err *err);
	void (*free)(struct sl_hook *h);
};

/* USAGE naming the known ones for another name, or for a bad option. */
enum sl_status sl_hook_new(const char *name, struct sl_url *url, struct sl_hook **ret, struct sl_err *err);

struct sl_log_impl sl_wrap_log(struct sl_hook *h, struct sl_log_impl inner);
struct sl_crops_impl sl_wrap_crops(struct sl_hook *h, struct sl_crops_impl inner);
struct sl_reviews_impl sl_wrap_reviews(struct sl_hook *h, struct sl_reviews_impl inner);
struct sl_artifacts_impl sl_wrap_artifacts(struct sl_hook *h, struct sl_artifacts_impl inner);
