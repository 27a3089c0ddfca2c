/* SPDX-License-Identifier: Apache-2.0
 *
 * The four stores of one process, opened from the settings store.log, store.crops,
 * store.reviews, store.artifacts. Owner: cmd/; the roles borrow. Thread: see each store.
 */
#pragma once
#include "store/artifacts.h"
#include "store/crops.h"
#include "store/health.h"
#include "store/log.h"
#include "store/reviews.h"
#include "store/spec.h"

struct sl_stores {
	struct sl_log *log;
	struct sl_crops *crops;
	struct sl_reviews *reviews;
	struct sl_artifacts *artifacts;
};

/* One of them, into its member of *ret. An empty setting means the embedded store in data_dir (log.db, crops.db, reviews.db,
 * artifacts/). */
enum sl_status sl_store_open(enum sl_store which, const struct sl_config *cfg, const char *data_dir,
	struct sl_stores *ret, struct sl_err *err);
/* All four. Nothing stays open on an error. */
enum sl_status sl_stores_open(
	const struct sl_config *cfg, const char *data_dir, struct sl_stores *ret, struct sl_err *err);
void sl_stores_close(struct sl_stores *s);
/* Which stores the URL's scheme is known to serve: bit 0 log, 1 crops, 2 reviews, 3 artifacts; 0: none. */
unsigned sl_stores_served(const char *url);

/* Every kind of URL that is known, by kind of store. */
struct sl_store_form {
	const char *kind; /* "log", "crop store", ... */
	const char *form; /* "sqlite:PATH" */
	bool is_built; /* false: not in this build */
	const struct sl_url_spec *options; /* NULL: none */
};
void sl_stores_each_form(void (*fn)(void *arg, const struct sl_store_form *f), void *arg);
