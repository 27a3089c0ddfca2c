/* SPDX-License-Identifier: Apache-2.0 */
#include "real.h"
#include "contract.h"
#include <mongoc/mongoc.h>
#include <stdio.h>

/* mongodb://HOSTS[/][?OPTIONS] with the database put in. */
const char *sl_test_mongodb(void)
{
	static char url[512];
	const char *base = sl_test_server("SIGNLOOP_TEST_MONGODB"), *query = strchr(base, '?');
	size_t hosts = query ? (size_t)(query - base) : strlen(base);
	hosts -= hosts && base[hosts - 1] == '/';
	snprintf(url, sizeof(url), "%.*s/%s%s", (int)hosts, base, sl_test_unique(), query ? query : "");
	return url;
}

void sl_test_mongodb_drop(void)
{
	bson_error_t e;
	mongoc_uri_t *uri = mongoc_uri_new_with_error(sl_test_mongodb(), &e);
	if (!uri)
		sl_test_fail(__FILE__, __LINE__, "%s", e.message);
	mongoc_client_t *c = mongoc_client_new_from_uri(uri);
	mongoc_database_t *db = mongoc_client_get_database(c, sl_test_unique());
	if (!mongoc_database_drop(db, &e))
		sl_test_fail(__FILE__, __LINE__, "%s", e.message);
	mongoc_database_destroy(db);
	mongoc_client_destroy(c);
	mongoc_uri_destroy(uri);
}
