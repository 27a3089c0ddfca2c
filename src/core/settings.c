/* SPDX-License-Identifier: Apache-2.0 */
#include "core/settings.h"
#include "base/mem.h"

#define INT SL_CONFIG_INT
#define NUM SL_CONFIG_NUM
#define STR SL_CONFIG_STR
#define BOOL SL_CONFIG_BOOL

/* One block a room, sorted by name inside it. */
const struct sl_config_row sl_settings[] = {
	/* the process */
	{"data", STR, "data", 0, 0, "folder of this process: embedded stores, caches, jobs; locked while in use"},
	{"drain_ms", INT, "20000", 0, 3600000, "ms that SIGTERM gives running requests and jobs to end"},
	{"log.level", STR, "info", 0, 0, "debug, info, warn or error; more by component: info,store=debug"},

	/* http */
	{"http.bodies_bytes", INT, "268435456", 65536, 1099511627776,
		"bytes of all bodies in memory at once; more get 503"},
	{"http.body_bytes", INT, "65536", 1, 1073741824, "bytes of a body that is not a frame: votes, jobs, aliases"},
	{"http.body_ms", INT, "60000", 1, 3600000, "ms in which a body must have come; a slower one gets 408"},
	{"http.bundle_bytes", INT, "134217728", 1024, 1073741824,
		"bytes of a model that is sent: a bundle, a detector, a classifier"},
	{"http.connections", INT, "1024", 1, 100000, "connections at once; more wait in the kernel's queue"},
	{"http.deadline_ms", INT, "10000", 1, 600000, "ms until a request that has no answer gets 504"},
	{"http.frame_bytes", INT, "16777216", 1024, 1073741824,
		"bytes of a frame's body, as JSON included; more is 413"},
	{"http.idle_s", INT, "60", 1, 3600, "seconds until an idle connection is closed"},
	{"http.listen", STR, "127.0.0.1:8000", 0, 0, "address and port to serve on; port 0 picks a free one"},
	{"http.threads", INT, "1", 1, 64, "event threads; one serves thousands of connections"},
	{"http.queue", INT, "1024", 1, 100000, "requests that may wait for a worker; more get 503"},
	{"http.workers", INT, "32", 1, 1024, "threads that wait on stores for requests: votes, crops, leases"},

	/* stores: empty means embedded in the data folder */
	{"log.compat_topics", BOOL, "false", 0, 0,
		"also write the original's topics: good_acc_label, bad_acc_label, parameter"},
	{"log.compat_url", STR, "", 0, 0,
		"URL of a bundle in topic parameter, with {digest} or {path}; empty: its route at http.listen, which then names a host and a port"},
	{"store.artifacts", STR, "", 0, 0,
		"URL of the artifact store, such as dir:PATH; empty: artifacts/ in the data folder"},
	{"store.crops", STR, "", 0, 0,
		"URL of the crop store, such as sqlite:PATH; empty: crops.db in the data folder"},
	{"store.log", STR, "", 0, 0, "URL of the log, such as sqlite:PATH; empty: log.db in the data folder"},
	{"store.reviews", STR, "", 0, 0,
		"URL of the review store, such as sqlite:PATH; empty: reviews.db in the data folder"},
	{"store.wait_ms", INT, "60000", 0, 86400000,
		"ms that a starting process waits for stores that are away; 0: it ends at once"},

	/* frames */
	{"frames.audit", NUM, "0", 0, 1,
		"share of sure signs that people are asked about all the same, to see how sure it may be"},
	{"frames.deadline_ms", INT, "2000", 1, 600000, "ms from a frame's arrival in which it is answered or gets 504"},
	{"frames.pixels", INT, "33177600", 1024, 268435456,
		"pixels of a frame (8K: 33177600); more is 413, before decoding. One that its EXIF turns counts twice"},
	{"frames.queue", INT, "64", 1, 100000, "frames that may wait for an inference thread; more get 503"},
	{"frames.recent", INT, "4096", 0, 1000000,
		"keys known to be stored and sent, so that the same frame again costs no store call"},
	{"frames.store_queue", INT, "256", 1, 100000,
		"answered frames that may wait for their crops to be stored; more get 503"},
	{"frames.store_threads", INT, "8", 1, 256, "threads that wait on stores for frames; they share disk writes"},
	{"frames.spool_bytes", INT, "1073741824", 65536, 1099511627776,
		"bytes of frames kept in the data folder under frames.when_away = keep; more get 503"},
	{"frames.threads", INT, "0", 0, 256, "inference threads; 0: one a core"},
	{"frames.when_away", STR, "refuse", 0, 0,
		"refuse: while crop store or log are away frames get 503; keep: they get 202, are kept in the data folder and "
		"inferred and stored later (never because a queue is full: that is 503)"},

	/* reviews and votes */
	{"reviews.cap", INT, "10", 1, 100,
		"votes a review takes at most; the majority decides, as soon as it cannot change"},
	{"reviews.lease_ms", INT, "120000", 1000, 86400000, "ms a review stays with the labeler who was shown it"},

	/* from labels to models */
	{"bundle", STR, "", 0, 0,
		"bundle file that is published when the registry is empty; empty: the one that ships"},
	{"curate.batch", INT, "500", 1, 1000, "labels that make a segment; fewer when curate.linger_ms passes first"},
	{"curate.linger_ms", INT, "1000", 10, 3600000, "ms after which labels that wait are stored, however few"},
	{"curate.threads", INT, "4", 1, 64, "partitions whose labels are stored at once"},
	{"curate.missing_ms", INT, "5000", 0, 3600000,
		"ms to look again for a label's crop before it is written down as missing"},
	{"dataset.holdout", NUM, "0.15", 0, 0.9,
		"share of frames or drives held out of training, for the gate to compare on"},
	{"dataset.shard_rows", INT, "4000", 16, 1000000, "rows a shard of a version holds, about, at most"},
	{"gate.alpha", NUM, "0.05", 0, 1,
		"a candidate is refused if chance makes it look so much worse less often than this"},
	{"gate.class_loss", NUM, "0.1", 0, 1, "share of its recall that a class may lose at most"},
	{"gate.class_rows", INT, "20", 1, 1000000, "held-out rows of a class from which gate.class_loss counts"},
	{"gate.loss", NUM, "0.02", 0, 1, "accuracy a candidate may lose at most, even where it could be chance"},
	{"gate.rows", INT, "10", 1, 1000000, "held-out rows without which the gate cannot judge, and refuses"},
	{"learning.nice", INT, "10", 0, 19, "priority that training gives up to what serves; 0: none"},
	{"learning.queue", INT, "8", 1, 1000, "training jobs that may wait; more get 503"},
	{"learning.workers", INT, "1", 1, 64, "threads of a training run"},
	{"rollout.check_ms", INT, "5000", 100, 3600000,
		"ms between looks at the alias log, in case a message was missed"},

	/* the watch page */
	{"hub.events", INT, "256", 16, 100000, "events kept in memory for pages that connect"},
	{"hub.frame_bytes", INT, "2097152", 0, 67108864, "largest frame whose picture is kept for the watch page"},
	{"hub.frames", INT, "12", 0, 1000, "last frames whose pictures are kept for the watch page"},
};
const size_t sl_settings_count = SL_COUNT(sl_settings);

struct sl_config *sl_settings_new(void)
{
	return sl_config_new(sl_settings, sl_settings_count);
}
