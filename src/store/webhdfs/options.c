/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/mem.h"
#include "store/webhdfs/internal.h"
#include <ctype.h>
#include <stdio.h>

#define FIELD(name) offsetof(struct hdfs_options, name)

static const struct {
	const char *name;
	size_t at; /* of a const char * */
} texts[] = {
	{"user", FIELD(user)},
	{"password", FIELD(password)},
	{"token", FIELD(token)},
	{"ca", FIELD(ca)},
	{"cert", FIELD(cert)},
	{"key", FIELD(key)},
	{"gateway", FIELD(gateway)},
	{"permission", FIELD(permission)},
};

static const struct {
	const char *name;
	size_t at; /* of an int64_t */
	int64_t min, max, value;
} numbers[] = {
	{"negotiate", FIELD(negotiate), 0, 1, 0},
	{"tls", FIELD(tls), 0, 1, 0},
	{"timeout_ms", FIELD(timeout_ms), 300, 3600000, 60000},
	{"connect_ms", FIELD(connect_ms), 100, 600000, 3000},
	{"tries", FIELD(tries), 1, 100, 8},
	{"connections", FIELD(connections), 1, SL_CLIENTS_MAX, SL_CLIENTS_SIZE},
	{"replication", FIELD(replication), 1, 512, 0},
	{"blocksize", FIELD(blocksize), 1 << 20, (int64_t)2 << 30, 0},
	{"piece", FIELD(piece), 4096, SL_CLIENT_BODY, 8 << 20},
};

static enum sl_status read_options(struct sl_url *url, struct hdfs_options *o, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (size_t i = 0; i < SL_COUNT(texts); i++)
		*(const char **)((char *)o + texts[i].at) = sl_url_option(url, texts[i].name);
	for (size_t i = 0; i < SL_COUNT(numbers) && s == SL_OK; i++) {
		int64_t *value = (int64_t *)((char *)o + numbers[i].at);
		*value = numbers[i].value;
		s = sl_url_int(url, numbers[i].name, numbers[i].min, numbers[i].max, value, err);
	}
	return s;
}

static enum sl_status read_mode(const struct sl_url *url, struct hdfs_options *o, struct sl_err *err)
{
	const char *text = o->permission ? o->permission : "644";
	if (strlen(text) != 3 || strspn(text, "01234567") != 3)
		return sl_fail(err, SL_USAGE,
			"store URL '%s': permission is '%.20s'; three octal digits are wanted, such as 640", url->text,
			text);
	o->file_mode = (int)strtol(text, NULL, 8);
	o->folder_mode = o->file_mode | (o->file_mode & 0444) >> 2;
	return SL_OK;
}

static enum sl_status check_options(const struct sl_url *url, const struct hdfs_options *o, struct sl_err *err)
{
	const char *const file[] = {o->ca, o->cert, o->key};
	static const char *const name[] = {"ca", "cert", "key"};
	if (o->password && !o->user)
		return sl_fail(err, SL_USAGE, "store URL '%s': password needs user", url->text);
	if ((o->token != NULL) + (o->user != NULL) + (o->negotiate != 0) > 1)
		return sl_fail(err, SL_USAGE, "store URL '%s': only one of user, token and negotiate says who we are",
			url->text);
	if ((o->ca || o->cert || o->key) && !o->tls)
		return sl_fail(err, SL_USAGE, "store URL '%s': ca, cert and key need tls=1", url->text);
	if (!o->cert != !o->key)
		return sl_fail(err, SL_USAGE, "store URL '%s': cert and key go together", url->text);
	for (size_t i = 0; i < SL_COUNT(file); i++)
		if (file[i] && !sl_fs_is_file(file[i]))
			return sl_fail(
				err, SL_USAGE, "store URL '%s': %s: no such file '%s'", url->text, name[i], file[i]);
	if (o->gateway && o->gateway[0] != '/')
		return sl_fail(err, SL_USAGE, "store URL '%s': gateway is a path, such as /gateway/default", url->text);
	return SL_OK;
}

static bool is_node(const char *s)
{
	const char *port = strrchr(s, ':');
	size_t n = port ? strspn(port + 1, "0123456789") : 0;
	return port && port > s && n && n <= 5 && !port[1 + n] && atoi(port + 1) > 0 && atoi(port + 1) < 65536 &&
	       strcspn(s, "@ ") == strlen(s) && strlen(s) < HDFS_HOST;
}

static bool is_root(const char *path)
{
	for (const char *part = path; *part == '/';) {
		size_t n = strcspn(++part, "/");
		if (!n || !strncmp(part, ".", n) || (n == 2 && !strncmp(part, "..", n)))
			return false;
		part += n;
	}
	return *path == '/';
}

/* "node,node/path": the nodes and the root of h. */
static enum sl_status read_place(const struct sl_url *url, struct hdfs *h, struct sl_err *err)
{
	SL_AUTOFREE char *nodes = sl_strdup(url->path);
	char *slash = strchr(nodes, '/'), *save = NULL;
	h->root = sl_strdup(slash ? slash : "");
	for (size_t n = strlen(h->root); n && h->root[n - 1] == '/';)
		h->root[--n] = 0;
	if (slash)
		*slash = 0;
	for (char *node = strtok_r(nodes, ",", &save); node; node = strtok_r(NULL, ",", &save)) {
		if (!is_node(node))
			return sl_fail(err, SL_USAGE,
				"store URL '%s': NAMENODE:PORT is wanted, with the HTTP port (9870); who we are goes into user= and password=",
				url->text);
		if (h->nnodes == HDFS_NODES)
			return sl_fail(err, SL_USAGE, "store URL '%s': more than %d NameNodes", url->text, HDFS_NODES);
		h->node[h->nnodes++] = sl_strdup(node);
	}
	if (!h->nnodes || !is_root(h->root))
		return sl_fail(err, SL_USAGE,
			"store URL '%s': a folder of its own is wanted: webhdfs://NAMENODE:PORT/PATH", url->text);
	return SL_OK;
}

static char *identity_of(const struct hdfs_options *o)
{
	struct sl_buf b = {0};
	if (o->token || (o->user && !o->password)) {
		sl_buf_puts(&b, o->token ? "&delegation=" : "&user.name=");
		sl_url_escape(o->token ? o->token : o->user, &b);
	}
	return b.ptr ? (char *)sl_buf_take(&b, NULL) : sl_strdup("");
}

static char *create_of(const struct hdfs_options *o)
{
	struct sl_buf b = {0};
	sl_buf_printf(&b, "&overwrite=true&permission=%o", (unsigned)o->file_mode);
	if (o->replication)
		sl_buf_printf(&b, "&replication=%lld", (long long)o->replication);
	if (o->blocksize)
		sl_buf_printf(&b, "&blocksize=%lld", (long long)o->blocksize);
	return (char *)sl_buf_take(&b, NULL);
}

static void set_up(struct hdfs *h, const struct hdfs_options *o)
{
	struct sl_client_how how = {.ca = o->ca, .cert = o->cert, .key = o->key, .connect_ms = o->connect_ms};
	h->tls = o->tls;
	h->gateway = sl_strdup(o->gateway ? o->gateway : "");
	for (size_t n = strlen(h->gateway); n && h->gateway[n - 1] == '/';)
		h->gateway[--n] = 0;
	h->identity = identity_of(o);
	h->create = create_of(o);
	h->folder_mode = o->folder_mode;
	h->timeout_ms = o->timeout_ms;
	h->piece = o->piece;
	h->tries = (int)o->tries;
	h->data = sl_clients_new(&how, (int)o->connections);
	how.user = o->password ? o->user : NULL;
	how.password = o->password;
	how.negotiate = o->negotiate;
	h->name = sl_clients_new(&how, (int)o->connections);
}

enum sl_status hdfs_new(struct sl_url *url, struct hdfs **ret, struct sl_err *err)
{
	struct hdfs *h = SL_NEW(struct hdfs);
	struct hdfs_options o = {0};
	enum sl_status s = read_place(url, h, err);
	if (s == SL_OK)
		s = read_options(url, &o, err);
	if (s == SL_OK)
		s = read_mode(url, &o, err);
	if (s == SL_OK)
		s = check_options(url, &o, err);
	if (s == SL_OK)
		s = sl_url_check_used(url, err); /* before a server hears of us */
	if (s != SL_OK) {
		hdfs_free(h);
		return s;
	}
	set_up(h, &o);
	*ret = h;
	return SL_OK;
}

void hdfs_free(struct hdfs *h)
{
	if (!h)
		return;
	for (int i = 0; i < h->nnodes; i++)
		free(h->node[i]);
	sl_clients_free(h->name);
	sl_clients_free(h->data);
	free(h->root);
	free(h->gateway);
	free(h->identity);
	free(h->create);
	free(h);
}
