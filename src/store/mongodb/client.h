/* SPDX-License-Identifier: Apache-2.0
 *
 * One pool of connections to one MongoDB database, made from a URL. Private to store/mongodb/.
 * Owner: the store. Thread: any that may block; what is taken belongs to one thread.
 */
#pragma once
#include "base/mem.h"
#include "store/url.h"
#include <mongoc/mongoc.h>
#include <stdatomic.h>

struct sl_mongo {
	mongoc_client_pool_t *pool;
	char *where; /* "mongodb HOSTS/DATABASE", for error texts */
	char *set; /* replicaSet; NULL: any */
	_Atomic bool stranger; /* the server that answered last is not of that set */
	_Atomic bool let_in; /* prepare() was well */
	char db[64];
	int work_ms; /* how long the server may work on one answer; below socketTimeoutMS */
};

/* USAGE for a wrong option. Contacts no server. */
enum sl_status sl_mongo_open(struct sl_url *url, struct sl_mongo **ret, struct sl_err *err);
void sl_mongo_close(struct sl_mongo *m); /* NULL is fine */

/* A connection with one collection; SL_AUTO(sl_mongo_give). BUSY when none is free in time. */
struct sl_mongo_use {
	struct sl_mongo *m;
	mongoc_client_t *client;
	mongoc_collection_t *of;
};
enum sl_status sl_mongo_take(struct sl_mongo *m, const char *collection, struct sl_mongo_use *ret, struct sl_err *err);
void sl_mongo_give(struct sl_mongo_use *u); /* an empty one is fine */

/* The status and text of an error, by domain and code alone. */
enum sl_status sl_mongo_fail(const struct sl_mongo *m, const bson_error_t *e, struct sl_err *err);
bool sl_mongo_is_duplicate(const bson_error_t *e); /* of a unique key */
/* A command that writes; reply may be NULL. This and count() destroy what they are given. */
enum sl_status sl_mongo_command(struct sl_mongo_use *u, bson_t *command, bson_t *reply, struct sl_err *err);
enum sl_status sl_mongo_count(struct sl_mongo_use *u, bson_t *filter, int64_t *ret, struct sl_err *err);
bson_t *sl_mongo_json(const char *json); /* of our own texts */

/* Makes or checks the format document and the indexes. UNSUPPORTED: a newer format; INVALID:
 * somebody else's database; USAGE: an index of the same name or key that is not ours. */
enum sl_status sl_mongo_prepare(struct sl_mongo *m, struct sl_err *err);

static inline void sl_mongo_bson_freep(bson_t **b)
{
	if (*b)
		bson_destroy(*b);
}
#define SL_AUTOBSON SL_AUTO(sl_mongo_bson_freep)
