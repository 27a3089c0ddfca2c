/* SPDX-License-Identifier: Apache-2.0 */
#include "store/mongodb/client.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void to_log(mongoc_log_level_t level, const char *domain, const char *message, void *arg)
{
	sl_log(SL_DEBUG, "store", message, SL_S("from", domain));
}

static void init(void)
{
	mongoc_log_set_handler(to_log, NULL);
	mongoc_init();
	mongoc_handshake_data_append("signloop", SL_VERSION, NULL);
}

/* ---- the options of the URL ---- */

enum type { INT, BOOL, TEXT, FILENAME, FIXED };

/* INT: min..max; text is the default (INT, BOOL) or the one value that is taken (FIXED). */
static const struct option {
	const char *name;
	enum type type;
	const char *text;
	int min, max;
} options[] = {
	{"replicaSet", TEXT},
	{"directConnection", BOOL},
	{"appName", TEXT, "signloop"},
	{"tls", BOOL},
	{"tlsCAFile", FILENAME},
	{"tlsCertificateKeyFile", FILENAME},
	{"tlsCertificateKeyFilePassword", TEXT},
	{"authSource", TEXT},
	{"authMechanism", TEXT},
	{"compressors", TEXT},
	{"maxPoolSize", INT, "64", 1, 1000},
	{"waitQueueTimeoutMS", INT, "5000", 10, 60000},
	{"serverSelectionTimeoutMS", INT, "3000", 100, 60000},
	{"connectTimeoutMS", INT, "3000", 100, 60000},
	{"socketTimeoutMS", INT, "5000", 100, 300000},
	{"heartbeatFrequencyMS", INT, "10000", 500, 60000},
	{"retryWrites", BOOL, "true"},
	{"retryReads", BOOL, "true"},
	{"w", FIXED, "majority"},
	{"journal", FIXED, "true"},
	{"readConcernLevel", FIXED, "majority"},
	{"readPreference", FIXED, "primary"},
};

static const char *const mechanisms[] = {
	"SCRAM-SHA-1", "SCRAM-SHA-256", "MONGODB-X509", "PLAIN", "GSSAPI", "MONGODB-AWS"};

static enum sl_status wrong(
	const struct sl_url *u, const char *name, const char *value, const char *want, struct sl_err *err)
{
	return sl_fail(err, SL_USAGE, "store URL '%s': %s is '%s'; %s is wanted", u->text, name,
		strcasestr(name, "password") ? "***" : value, want);
}

static enum sl_status set_bool(
	struct sl_url *u, mongoc_uri_t *uri, const char *name, const char *value, struct sl_err *err)
{
	if (strcmp(value, "true") && strcmp(value, "false"))
		return wrong(u, name, value, "true or false", err);
	mongoc_uri_set_option_as_bool(uri, name, !strcmp(value, "true"));
	return SL_OK;
}

static enum sl_status set_text(
	struct sl_url *u, mongoc_uri_t *uri, const char *name, const char *value, struct sl_err *err)
{
	bool ok = *value != 0;
	if (ok && !strcmp(name, "authSource")) {
		ok = mongoc_uri_set_auth_source(uri, value);
	} else if (ok && !strcmp(name, "compressors")) {
		ok = mongoc_uri_set_compressors(uri, value) && !bson_empty(mongoc_uri_get_compressors(uri));
	} else if (ok && !strcmp(name, "authMechanism")) {
		ok = false;
		for (size_t i = 0; i < SL_COUNT(mechanisms); i++)
			ok |= !strcmp(value, mechanisms[i]);
		ok = ok && mongoc_uri_set_auth_mechanism(uri, value);
	} else if (ok && !strcmp(name, "appName")) {
		ok = mongoc_uri_set_appname(uri, value);
	} else if (ok) {
		ok = mongoc_uri_set_option_as_utf8(uri, name, value);
	}
	return ok ? SL_OK : wrong(u, name, value, "a value that MongoDB's connection strings know", err);
}

static enum sl_status set_option(struct sl_url *u, mongoc_uri_t *uri, const struct option *o, struct sl_err *err)
{
	const char *value = sl_url_option(u, o->name);
	if (o->type == INT) {
		int64_t n = strtol(o->text, NULL, 10);
		enum sl_status s = sl_url_int(u, o->name, o->min, o->max, &n, err);
		if (s == SL_OK)
			mongoc_uri_set_option_as_int32(uri, o->name, (int32_t)n);
		return s;
	}
	if (o->type == FIXED)
		return !value || !strcmp(value, o->text)
			       ? SL_OK
			       : wrong(u, o->name, value, o->text, err); /* weaker would lose votes */
	if (!value && !(value = o->text))
		return SL_OK;
	if (o->type == FILENAME && access(value, R_OK))
		return wrong(u, o->name, value, "a file that can be read", err);
	return o->type == BOOL ? set_bool(u, uri, o->name, value, err) : set_text(u, uri, o->name, value, err);
}

static enum sl_status set_concerns(struct sl_url *u, mongoc_uri_t *uri, struct sl_err *err)
{
	int64_t wait = 4000;
	enum sl_status s = sl_url_int(u, "wtimeoutMS", 100, 60000, &wait, err);
	if (s != SL_OK)
		return s;
	mongoc_write_concern_t *w = mongoc_write_concern_new();
	mongoc_write_concern_set_wmajority(w, (int32_t)wait);
	mongoc_write_concern_set_journal(w, true);
	mongoc_uri_set_write_concern(uri, w);
	mongoc_write_concern_destroy(w);
	mongoc_read_concern_t *r = mongoc_read_concern_new();
	mongoc_read_concern_set_level(r, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
	mongoc_uri_set_read_concern(uri, r);
	mongoc_read_concern_destroy(r);
	return SL_OK;
}

/* "[USER[:PASSWORD]@]HOSTS[/DATABASE]", decoded; hosts and names of databases have no '@'. Cuts it up. */
struct address {
	char *user, *password, *hosts;
	const char *db;
};

static struct address cut(char *path)
{
	struct address a = {.hosts = path};
	char *at = strrchr(path, '@');
	if (at) {
		*at = 0;
		a.hosts = at + 1;
		a.user = path;
		if ((a.password = strchr(path, ':')))
			*a.password++ = 0;
	}
	char *slash = strchr(a.hosts, '/');
	if (slash)
		*slash++ = 0;
	a.db = slash && *slash ? slash : "signloop";
	return a;
}

static bool is_database(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
	return n && !s[n] && n < sizeof(((struct sl_mongo *)0)->db);
}

static enum sl_status make_uri(struct sl_url *u, const struct address *a, mongoc_uri_t **ret, struct sl_err *err)
{
	const char *srv = sl_url_option(u, "srv");
	if (srv && strcmp(srv, "1") && strcmp(srv, "0"))
		return wrong(u, "srv", srv, "0 or 1", err);
	if (!is_database(a->db))
		return sl_fail(err, SL_USAGE,
			"store URL '%s': the database '%.70s' must be 1 to 63 letters, digits, _ or -", u->text, a->db);
	bson_error_t e;
	SL_AUTOFREE char *text = sl_asprintf("mongodb%s://%s/", srv && *srv == '1' ? "+srv" : "", a->hosts);
	mongoc_uri_t *uri = mongoc_uri_new_with_error(text, &e);
	if (!uri)
		return sl_fail(
			err, SL_USAGE, "store URL '%s': %s; it is mongodb://HOST:PORT/DATABASE", u->text, e.message);
	enum sl_status s = SL_OK;
	if (a->user &&
		(!mongoc_uri_set_username(uri, a->user) || (a->password && !mongoc_uri_set_password(uri, a->password))))
		s = sl_fail(err, SL_USAGE, "store URL '%s': user and password must be UTF-8", u->text);
	for (size_t i = 0; i < SL_COUNT(options) && s == SL_OK; i++)
		s = set_option(u, uri, &options[i], err);
	if (s == SL_OK)
		s = set_concerns(u, uri, err);
	if (s == SL_OK)
		*ret = uri;
	else
		mongoc_uri_destroy(uri);
	return s;
}

/* A member that has not read its configuration yet knows no name of its set. */
static bool is_loading(const bson_t *hello)
{
	bson_iter_t at;
	return bson_iter_init_find(&at, hello, "isreplicaset") && bson_iter_as_bool(&at);
}

static void on_heartbeat(const mongoc_apm_server_heartbeat_succeeded_t *event)
{
	struct sl_mongo *m = mongoc_apm_server_heartbeat_succeeded_get_context(event);
	const bson_t *hello = mongoc_apm_server_heartbeat_succeeded_get_reply(event);
	bson_iter_t at;
	bool named = bson_iter_init_find(&at, hello, "setName") && BSON_ITER_HOLDS_UTF8(&at);
	if (named || !is_loading(hello))
		atomic_store(&m->stranger, !named || strcmp(bson_iter_utf8(&at, NULL), m->set) != 0);
}

static void watch(struct sl_mongo *m)
{
	if (!m->set)
		return;
	mongoc_apm_callbacks_t *cb = mongoc_apm_callbacks_new();
	mongoc_apm_set_server_heartbeat_succeeded_cb(cb, on_heartbeat);
	mongoc_client_pool_set_apm_callbacks(m->pool, cb, m);
	mongoc_apm_callbacks_destroy(cb);
}

enum sl_status sl_mongo_open(struct sl_url *url, struct sl_mongo **ret, struct sl_err *err)
{
	bson_error_t e;
	mongoc_uri_t *uri = NULL;
	SL_AUTOFREE char *path = sl_strdup(url->path);
	struct address a = cut(path);
	pthread_once(&once, init);
	enum sl_status s = make_uri(url, &a, &uri, err);
	if (s != SL_OK)
		return s;
	mongoc_client_pool_t *pool = mongoc_client_pool_new_with_error(uri, &e);
	if (pool) {
		struct sl_mongo *m = SL_NEW(struct sl_mongo);
		*m = (struct sl_mongo){.pool = pool,
			.where = sl_asprintf("mongodb %.60s/%s", a.hosts, a.db),
			.set = sl_strdup(mongoc_uri_get_replica_set(uri)),
			.work_ms = mongoc_uri_get_option_as_int32(uri, MONGOC_URI_SOCKETTIMEOUTMS, 0) * 3 / 4};
		SL_COPY(m->db, a.db);
		mongoc_client_pool_set_error_api(pool, MONGOC_ERROR_API_VERSION_2);
		watch(m);
		*ret = m;
	} else {
		s = sl_fail(err, SL_USAGE, "store URL '%s': %s", url->text, e.message);
	}
	mongoc_uri_destroy(uri);
	return s;
}

void sl_mongo_close(struct sl_mongo *m)
{
	if (!m)
		return;
	mongoc_client_pool_destroy(m->pool);
	free(m->where);
	free(m->set);
	free(m);
}

/* ---- errors ---- */

static const struct code {
	uint32_t code;
	enum sl_status status;
	const char *what;
} codes[] = {
	{13, SL_USAGE, "the user has not the right; grant it readWrite on this database"},
	{18, SL_USAGE, "log-in refused; check user, password, authSource and authMechanism"},
	{24, SL_BUSY, "another operation holds a lock"},
	{46, SL_BUSY, "another operation holds a lock"},
	{50, SL_TIMEOUT, "the server gave up in time"},
	{64, SL_TIMEOUT, "written, but not by a majority in time; is a member of the set down?"},
	{85, SL_USAGE, "an index of the same key has other options; drop it"},
	{86, SL_USAGE, "an index of the same name has another key; drop it"},
	{100, SL_TIMEOUT, "the set has too few members just now for a majority; is one down?"},
	{112, SL_BUSY, "another write came between"},
	{121, SL_USAGE, "a validator of the collection refuses the document; remove the validator"},
	{262, SL_TIMEOUT, "the server gave up in time"},
	{11000, SL_EXISTS, "the key is there already"},
	{14031, SL_IO, "the server's disk is full"},
	{43, SL_AWAY, "the server has dropped the cursor"},
	{175, SL_AWAY, "the server has dropped the cursor: its collection or index changed"},
	{237, SL_AWAY, "the server has dropped the cursor"},
	/* no primary just now, or the server is going */
	{6, SL_AWAY, NULL},
	{7, SL_AWAY, NULL},
	{89, SL_AWAY, NULL},
	{91, SL_AWAY, NULL},
	{133, SL_AWAY, NULL},
	{134, SL_AWAY, NULL},
	{189, SL_AWAY, NULL},
	{9001, SL_AWAY, NULL},
	{10058, SL_AWAY, NULL},
	{10107, SL_AWAY, NULL},
	{11600, SL_AWAY, NULL},
	{11601, SL_AWAY, "the operation was interrupted"},
	{11602, SL_AWAY, NULL},
	{13435, SL_AWAY, NULL},
	{13436, SL_AWAY, NULL},
};

static enum sl_status of_server(const bson_error_t *e, const char **what)
{
	for (size_t i = 0; i < SL_COUNT(codes); i++)
		if (codes[i].code == e->code) {
			*what = codes[i].what ? codes[i].what : "no primary just now";
			return codes[i].status;
		}
	*what = "refused";
	return SL_IO;
}

/* Who was let in before is refused only by a server that is going, or by a cut in the middle of the log-in. */
static enum sl_status of_log_in(const struct sl_mongo *m, const char **what)
{
	bool again = atomic_load(&m->let_in);
	*what = again ? "the log-in was cut or refused, after it was well; is the server going, or the password changed?"
		      : "log-in refused; check user, password, authSource and authMechanism";
	return again ? SL_AWAY : SL_USAGE;
}

static enum sl_status of_client(const struct sl_mongo *m, const bson_error_t *e, const char **what)
{
	switch (e->domain) {
	case MONGOC_ERROR_SERVER_SELECTION:
		*what = "no server answers; is it up, and is the address right?";
		return SL_AWAY;
	case MONGOC_ERROR_STREAM:
		*what = "the connection was cut or the answer did not come in time";
		return SL_AWAY;
	case MONGOC_ERROR_SASL:
	case MONGOC_ERROR_SCRAM:
		return of_log_in(m, what);
	case MONGOC_ERROR_CLIENT:
		if (e->code != MONGOC_ERROR_CLIENT_AUTHENTICATE)
			break;
		return of_log_in(m, what);
	case MONGOC_ERROR_BSON:
	case MONGOC_ERROR_COMMAND:
		*what = "the client refuses to send it";
		return SL_INVALID;
	default:
		break;
	}
	*what = "the answer makes no sense";
	return SL_IO;
}

enum sl_status sl_mongo_fail(const struct sl_mongo *m, const bson_error_t *e, struct sl_err *err)
{
	const char *what;
	char message[121];
	bool server = e->domain == MONGOC_ERROR_SERVER || e->domain == MONGOC_ERROR_WRITE_CONCERN;
	enum sl_status s = server ? of_server(e, &what) : of_client(m, e, &what);
	SL_COPY_CUT(message, e->message);
	for (char *c = message; *c; c++)
		if ((unsigned char)*c < 0x20)
			*c = ' ';
	return sl_fail(err, s, "%s: %s (%u.%u: %s)", m->where, what, e->domain, e->code, message);
}

bool sl_mongo_is_duplicate(const bson_error_t *e)
{
	return e->domain == MONGOC_ERROR_SERVER && e->code == MONGOC_ERROR_DUPLICATE_KEY;
}

/* ---- use ---- */

enum sl_status sl_mongo_take(struct sl_mongo *m, const char *collection, struct sl_mongo_use *ret, struct sl_err *err)
{
	mongoc_client_t *c = mongoc_client_pool_pop(m->pool);
	if (!c)
		return sl_fail(
			err, SL_BUSY, "%s: no connection of the pool got free in time; raise maxPoolSize", m->where);
	*ret = (struct sl_mongo_use){m, c, mongoc_client_get_collection(c, m->db, collection)};
	return SL_OK;
}

void sl_mongo_give(struct sl_mongo_use *u)
{
	if (!u->client)
		return;
	mongoc_collection_destroy(u->of);
	mongoc_client_pool_push(u->m->pool, u->client);
	u->client = NULL;
}

bson_t *sl_mongo_json(const char *json)
{
	bson_error_t e;
	bson_t *b = bson_new_from_json((const uint8_t *)json, -1, &e);
	if (!b)
		SL_BUG("%s: %s", json, e.message);
	return b;
}

enum sl_status sl_mongo_command(struct sl_mongo_use *u, bson_t *command, bson_t *reply, struct sl_err *err)
{
	bson_error_t e;
	bool ok = mongoc_client_write_command_with_opts(u->client, u->m->db, command, NULL, reply, &e);
	bson_destroy(command);
	return ok ? SL_OK : sl_mongo_fail(u->m, &e, err);
}

/* The command `count` and not an aggregation: with a filter that an index covers it reads keys alone. */
enum sl_status sl_mongo_count(struct sl_mongo_use *u, bson_t *filter, int64_t *ret, struct sl_err *err)
{
	bson_t reply;
	bson_iter_t at;
	bson_error_t e;
	SL_AUTOBSON bson_t *command =
		BCON_NEW("count", BCON_UTF8(mongoc_collection_get_name(u->of)), "query", BCON_DOCUMENT(filter));
	bson_destroy(filter);
	bool ok = mongoc_client_read_command_with_opts(u->client, u->m->db, command, NULL, NULL, &reply, &e);
	if (ok)
		*ret = bson_iter_init_find(&at, &reply, "n") ? bson_iter_as_int64(&at) : 0;
	bson_destroy(&reply);
	return ok ? SL_OK : sl_mongo_fail(u->m, &e, err);
}
