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
	{"http.body_bytes", INT, "65536", 1, 1073741824, "bytes of a body that is not a frame: votes, jobs, aliases"},
	{"http.connections", INT, "1024", 1, 100000, "connections at once; more wait in the kernel's queue"},
	{"http.deadline_ms", INT, "10000", 1, 600000, "ms until a request that has no answer gets 504"},
	{"http.frame_bytes", INT, "16777216", 1024, 1073741824, "bytes of a frame's body, as JSON included; more is 413"},
	{"http.idle_s", INT, "60", 1, 3600, "seconds until an idle connection is closed"},
	{"http.listen", STR, "127.0.0.1:8000", 0, 0, "address and port to serve on; port 0 picks a free one"},
	{"http.threads", INT, "1", 1, 64, "event threads; one serves thousands of connections"},
	{"http.queue", INT, "1024", 1, 100000, "requests that may wait for a worker; more get 503"},
	{"http.workers", INT, "32", 1, 1024, "threads that wait on stores for requests: votes, crops, leases"},

	/* stores: empty means embedded in the data folder */
	{"store.artifacts", STR, "", 0, 0, "URL of the artifact store, such as dir:PATH; empty: artifacts/ in the data folder"},
	{"store.crops", STR, "", 0, 0, "URL of the crop store, such as sqlite:PATH; empty: crops.db in the data folder"},
	{"store.log", STR, "", 0, 0, "URL of the log, such as sqlite:PATH; empty: log.db in the data folder"},
	{"store.reviews", STR, "", 0, 0, "URL of the review store, such as sqlite:PATH; empty: reviews.db in the data folder"},

	/* frames */
	{"frames.deadline_ms", INT, "2000", 1, 600000, "ms from a frame's arrival in which it is answered or gets 504"},
	{"frames.pixels", INT, "33177600", 1024, 268435456, "pixels of a frame (8K: 33177600); more is 413, before decoding"},
	{"frames.queue", INT, "64", 1, 100000, "frames that may wait for an inference thread; more get 503"},
	{"frames.threads", INT, "0", 0, 256, "inference threads; 0: one a core"},

	/* reviews and votes */
	{"reviews.cap", INT, "10", 1, 100, "votes a review takes at most; the majority decides, as soon as it cannot change"},
	{"reviews.lease_ms", INT, "120000", 1000, 86400000, "ms a review stays with the labeler who was shown it"},

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
