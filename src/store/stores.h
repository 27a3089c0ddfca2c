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
/* The one at a URL, into its member of *ret. */
enum sl_status sl_store_open_url(
	enum sl_store which, const char *url, const struct sl_config *cfg, struct sl_stores *ret, struct sl_err *err);
char *sl_store_url_in(enum sl_store which, const char *data_dir); /* of the embedded one; free() */
bool sl_store_is_absent(enum sl_store which, const char *url); /* it would lie in files that are not there */
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
