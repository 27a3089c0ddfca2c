/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of this folder share. options.c: the URL; ask.c: one request to the active
 * NameNode or to a DataNode, tried again, and what its answer means; transfer.c: bytes up
 * and down; artifacts.c: the store. Paths are absolute in HDFS and not escaped; queries are
 * escaped and begin with '&'. Times in us on the monotonic clock. Threads: any that may block.
 */
#pragma once
#include "net/clients.h"
#include "store/ops.h"
#include <stdatomic.h>

enum { HDFS_NODES = 8, HDFS_HOST = 256, HDFS_ID = 64 };
enum { HDFS_SLICES = 3 }; /* of a call's time one request gets at most this part, so that others can be tried */
#define HDFS_US_A_MIB 1000000LL /* what a call may take longer for each MiB it moves */
#define HDFS_TEMP ".tmp" /* no object's name: parts do not begin with a dot */
#define HDFS_SUM "user.sha256"

struct hdfs_options {
	const char *user, *password, *token, *ca, *cert, *key, *gateway, *permission; /* NULL: not given */
	int64_t negotiate, tls, timeout_ms, connect_ms, tries, connections, replication, blocksize, piece;
	int file_mode, folder_mode;
};

struct hdfs {
	char *node[HDFS_NODES]; /* "host:port" */
	int nnodes;
	_Atomic int active;
	bool tls;
	char *root; /* "/a/b" */
	char *gateway; /* "" or "/x" */
	char *identity; /* "", or what says who we are: "&user.name=ann"; never to be printed */
	char *create; /* "&permission=644..." */
	int folder_mode;
	int64_t timeout_ms, piece;
	int tries;
	/* name: who we are goes with the call, so only to the nodes of the URL; data: to where they send us. */
	struct sl_clients *name, *data;
	_Atomic int64_t tidy_us; /* when .tmp is looked at next */
};

enum sl_status hdfs_new(struct sl_url *url, struct hdfs **ret, struct sl_err *err);
void hdfs_free(struct hdfs *h);

struct hdfs_ask {
	const char *method, *op, *path, *query; /* query NULL: none */
	int64_t deadline_us;
	bool once; /* each node at most once */
};
/* OK: the answer is a good one, in ret. Else what the server said, as a status and a text. */
enum sl_status hdfs_ask(struct hdfs *h, const struct hdfs_ask *a, struct sl_reply *ret, struct sl_err *err);
/* Makes the call that the answer to CREATE or OPEN (`sent`) sends us to, once; its url is set here. Where the answer
 * is no place but the bytes themselves (OPEN of an older gateway), they are moved to ret. host: where it was sent to, or "".
 * Not OK after a part came: it is in ret->body, when ret->status is 200. */
enum sl_status hdfs_follow(struct hdfs *h, struct sl_reply *sent, struct sl_call call, struct sl_reply *ret,
	char host[HDFS_HOST], struct sl_err *err);

int64_t hdfs_deadline(const struct hdfs *h, size_t bytes); /* of a call that moves so many */
int64_t hdfs_slice(const struct hdfs *h, size_t bytes, int64_t deadline_us); /* of one of its requests */
/* Waits before try number n (from 1) is repeated; false when there is no time or try left. */
bool hdfs_wait(const struct hdfs *h, int n, int64_t deadline_us);

enum hdfs_kind { HDFS_NONE, HDFS_FILE, HDFS_FOLDER };
struct hdfs_entry {
	enum hdfs_kind kind;
	int64_t size, time_ms; /* of its last change, by the server's clock */
	char id[HDFS_ID]; /* never that of another file, nor of the same path put again */
};
/* kind NONE where nothing is, also below a file. */
enum sl_status hdfs_look(
	struct hdfs *h, const char *path, int64_t deadline_us, struct hdfs_entry *ret, struct sl_err *err);
/* What is in a folder; fn may stop it by a status. Nothing when there is no such folder. */
typedef enum sl_status (*hdfs_entry_fn)(const char *name, const struct hdfs_entry *e, void *arg, struct sl_err *err);
enum sl_status hdfs_each(
	struct hdfs *h, const char *folder, int64_t deadline_us, hdfs_entry_fn fn, void *arg, struct sl_err *err);
enum sl_status hdfs_mkdirs(struct hdfs *h, const char *path, int64_t deadline_us, struct sl_err *err);
/* OK too where nothing was, or a folder that is not empty. */
enum sl_status hdfs_delete(struct hdfs *h, const char *path, int64_t deadline_us, struct sl_err *err);
enum sl_status hdfs_set_sum(struct hdfs *h, const char *path, const char *hex, int64_t deadline_us, struct sl_err *err);
/* CORRUPT when it has none. */
enum sl_status hdfs_get_sum(struct hdfs *h, const char *path, int64_t deadline_us, char ret[65], struct sl_err *err);

char *hdfs_temp(const struct hdfs *h); /* the path of a new temporary file */
/* The ops of the store that move bytes; path is the object's. */
enum sl_status hdfs_put(void *self, const char *path, struct sl_slice bytes, struct sl_err *err);
enum sl_status hdfs_get(void *self, const char *path, struct sl_buf *ret, struct sl_err *err);
void hdfs_tidy(struct hdfs *h); /* after a put: removes old temporaries when it is time, for a short time;
				* failures are left to the next time */
