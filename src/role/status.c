/* SPDX-License-Identifier: Apache-2.0 */
#include "role/status.h"
#include "base/mem.h"
#include "base/metric.h"
#include "role/watch.h"
#include "store/health.h"
#include <stdio.h>
#include <unistd.h>

enum { STATUS_WINDOW = 10, STATUS_TICK_MS = 1000 }; /* seconds the rates look back; ms between samples */
enum { STATUS_LOOK_MS = 500 }; /* for a store to say how it is; one that is away shows what was last known */

/* The stages of a frame in their order, and the pool whose threads do them. */
static const struct {
	const char *name, *pool;
} stages[] = {{"accept", NULL}, {"decode", "infer"}, {"detect", "infer"}, {"crop", "infer"}, {"classify", "infer"},
	{"store", "store"}, {"publish", "store"}};
enum { STAGES = SL_COUNT(stages) };

static const char *const pools[] = {"infer", "store"};
enum { POOLS = SL_COUNT(pools) };
static const char *const queues[] = {"frames", "store", "http"};
enum { QUEUES = SL_COUNT(queues) };

struct sample {
	int64_t us;
	double answered, votes; /* votes: -1 while the review store has not said */
	double stage_s[STAGES], stage_n[STAGES];
};

struct sl_status_page {
	struct sl_context *ctx;
	sl_missing_fn missing;
	void *arg;
	struct sl_watch *watch;
	int64_t start_us;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool ending;
	json_t *latest; /* what GET answers; never altered, replaced by the sampler under lock */
	struct sample past[STATUS_WINDOW + 1];
	int samples;
	pthread_t thread;
};

static struct sl_metric *stage_metric(int i)
{
	SL_AUTOFREE char *labels = sl_asprintf("stage=\"%s\"", stages[i].name);
	return sl_histogram("signloop_stage_seconds", labels, "Time of one stage of one frame");
}

static double gauge(const char *name, const char *label, const char *value, const char *help)
{
	SL_AUTOFREE char *labels = sl_asprintf("%s=\"%s\"", label, value);
	return sl_metric_value(sl_gauge(name, labels, help));
}

static double count(const char *name, const char *labels, const char *help)
{
	return sl_metric_value(sl_counter(name, labels, help));
}

static double frames(const char *result)
{
	SL_AUTOFREE char *labels = sl_asprintf("result=\"%s\"", result);
	return count("signloop_frames_total", labels, "Frames by how they ended");
}

static double signs(const char *status)
{
	SL_AUTOFREE char *labels = sl_asprintf("status=\"%s\"", status);
	return count("signloop_signs_total", labels, "Signs found, by what became of them");
}

static struct sample take_sample(int64_t us, double votes)
{
	struct sample s = {.us = us, .answered = frames("answered"), .votes = votes};
	for (int i = 0; i < STAGES; i++) {
		s.stage_s[i] = sl_metric_sum(stage_metric(i));
		s.stage_n[i] = sl_metric_value(stage_metric(i));
	}
	return s;
}

static double threads_of(const char *pool)
{
	double n = gauge("signloop_threads", "pool", pool, "Threads of a pool");
	return n > 0 ? n : 1;
}

struct busiest {
	const char *stage;
	double busy, share, ms; /* of its pool; of the pool's time; mean per frame */
	const char *pool;
};

/* The pool nearest to its capacity, and in it the stage that takes most of the time. */
static struct busiest find_busiest(const struct sample *a, const struct sample *b)
{
	struct busiest best = {0};
	double wall = (double)(b->us - a->us) / 1e6;
	for (int p = 0; p < POOLS && wall > 0; p++) {
		double used = 0, most = 0;
		int at = -1;
		for (int i = 0; i < STAGES; i++) {
			double d = b->stage_s[i] - a->stage_s[i];
			if (!stages[i].pool || strcmp(stages[i].pool, pools[p]))
				continue;
			used += d;
			if (d > most) {
				most = d;
				at = i;
			}
		}
		double busy = used / wall / threads_of(pools[p]);
		if (at >= 0 && busy > best.busy) {
			double n = b->stage_n[at] - a->stage_n[at];
			best = (struct busiest){
				stages[at].name, busy, most / used, n > 0 ? most / n * 1000 : 0, pools[p]};
		}
	}
	return best;
}

static json_t *bottleneck_json(const struct busiest *b)
{
	if (!b->stage)
		return json_pack("{s:n,s:s,s:s}", "stage", "why_en", "No frames are coming in.", "why_ko",
			"들어오는 프레임이 없습니다.");
	int busy = (int)(SL_MIN(b->busy, 1) * 100 + 0.5), share = (int)(b->share * 100 + 0.5);
	bool full = b->busy >= 0.8;
	SL_AUTOFREE char *en =
		sl_asprintf("%s: the %s threads are %d %% busy, %d %% of that with %s (%.1f ms a frame).%s",
			full ? "At its limit" : "There is room", b->pool, busy, share, b->stage, b->ms,
			full ? " More threads or a second process would help." : "");
	SL_AUTOFREE char *ko =
		sl_asprintf("%s: %s 스레드 사용률 %d %%, 그중 %d %%가 %s 단계입니다(프레임당 %.1f ms).%s",
			full ? "한계에 이름" : "여유 있음", b->pool, busy, share, b->stage, b->ms,
			full ? " 스레드나 프로세스를 늘리면 나아집니다." : "");
	return json_pack("{s:s,s:f,s:s,s:s}", "stage", b->stage, "busy", b->busy, "why_en", en, "why_ko", ko);
}

static json_t *stages_json(const struct sample *a, const struct sample *b)
{
	json_t *list = json_array();
	double wall = (double)(b->us - a->us) / 1e6;
	for (int i = 0; i < STAGES; i++) {
		double s = b->stage_s[i] - a->stage_s[i], n = b->stage_n[i] - a->stage_n[i];
		double busy = wall > 0 && stages[i].pool ? s / wall / threads_of(stages[i].pool) : 0;
		json_array_append_new(
			list, json_pack("{s:s,s:f,s:f,s:f}", "name", stages[i].name, "ms", n > 0 ? s / n * 1000 : 0.0,
				      "busy", busy, "p99_ms", sl_metric_quantile(stage_metric(i), 0.99) * 1000));
	}
	return list;
}

static json_t *queues_json(void)
{
	json_t *list = json_array();
	for (int i = 0; i < QUEUES; i++)
		json_array_append_new(
			list, json_pack("{s:s,s:f,s:f}", "name", queues[i], "length",
				      gauge("signloop_queue_length", "queue", queues[i], "Things waiting in a queue"),
				      "capacity",
				      gauge("signloop_queue_capacity", "queue", queues[i],
					      "Most things that may wait in a queue")));
	return list;
}

static double memory_mb(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	long all = 0, resident = 0;
	if (f) {
		if (fscanf(f, "%ld %ld", &all, &resident) != 2)
			resident = 0;
		fclose(f);
	}
	return (double)resident * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static json_t *bundle_json(struct sl_hub *h)
{
	struct sl_bundle *b = sl_hub_bundle(h);
	json_t *v = b ? json_pack("{s:s,s:s,s:i}", "digest", b->digest, "name", b->name, "classes", b->taxonomy->n)
		      : json_null();
	sl_bundle_unref(b);
	return v;
}

static json_t *lag_json(const struct sl_watched *r)
{
	json_t *v = json_object();
	if (r->intake >= 0)
		json_object_set_new(v, "intake", json_integer(r->intake));
	if (r->curate >= 0)
		json_object_set_new(v, "curate", json_integer(r->curate));
	return v;
}

/* {"log":{"away":false},"crops":{"away":true,"since":1700000000000,"why":"..."},...} */
static json_t *stores_json(void)
{
	json_t *v = json_object();
	for (int i = 0; i < SL_STORES; i++) {
		struct sl_away a = sl_health_of((enum sl_store)i);
		json_t *o = json_pack("{s:b}", "away", (int)(a.since_ms != 0));
		if (a.since_ms) {
			json_object_set_new(o, "since", json_integer(a.since_ms));
			json_object_set_new(o, "why", json_string(a.why));
		}
		json_object_set_new(v, sl_store_name((enum sl_store)i), o);
	}
	return v;
}

static json_t *spool_json(void)
{
	return json_pack("{s:f,s:f,s:f}", "frames",
		sl_metric_value(sl_gauge("signloop_spool_frames", NULL, "Frames kept while stores are away")), "bytes",
		sl_metric_value(sl_gauge("signloop_spool_bytes", NULL, "Bytes of the frames that are kept")), "aside",
		sl_metric_value(sl_gauge("signloop_spool_aside", NULL, "Kept frames that could not be read")));
}

/* Since the first sample that knows how many there were. */
static double votes_per_s(const struct sl_status_page *p)
{
	const struct sample *b = &p->past[p->samples - 1], *a = p->past;
	while (a < b && a->votes < 0)
		a++;
	return a < b ? (b->votes - a->votes) * 1e6 / (double)(b->us - a->us) : 0;
}

static json_t *make_status(struct sl_status_page *p, const struct sl_watched *w)
{
	const struct sample *b = &p->past[p->samples - 1], *a = &p->past[0];
	const struct sl_review_stats *r = &w->reviews;
	double wall = SL_MAX((double)(b->us - a->us) / 1e6, 1e-3);
	struct busiest worst = find_busiest(a, b);
	struct sl_metric *whole = sl_histogram("signloop_frame_seconds", NULL, "From a frame's arrival to its answer");
	return json_pack(
		"{s:{s:f,s:f,s:f,s:f,s:f,s:f,s:f},s:o,s:o,s:{s:I,s:I,s:I,s:I,s:f,s:I,s:I},s:{s:I},s:o,s:{s:f},s:o,s:f,s:f,s:o,"
		"s:o,s:o}",
		"frames", "per_s", (b->answered - a->answered) / wall, "total", frames("answered"), "failed",
		frames("failed"), "accepted", signs("accepted"), "review", signs("review"), "p50_ms",
		sl_metric_quantile(whole, 0.5) * 1000, "p99_ms", sl_metric_quantile(whole, 0.99) * 1000, "queues",
		queues_json(), "stages", stages_json(a, b), "reviews", "open", (json_int_t)r->open, "tie",
		(json_int_t)r->tie, "decided", (json_int_t)r->decided, "votes", (json_int_t)r->votes, "votes_per_s",
		votes_per_s(p), "leases", (json_int_t)r->leases, "unsent", (json_int_t)r->unsent, "labels", "total",
		(json_int_t)w->labels, "lag", lag_json(w), "dataset", "rows",
		sl_metric_value(sl_gauge("signloop_dataset_rows", NULL, "Rows that curate has stored in segments")),
		"bundle", bundle_json(p->ctx->hub), "memory_mb", memory_mb(), "uptime_s",
		(double)(b->us - p->start_us) / 1e6, "bottleneck", bottleneck_json(&worst), "stores", stores_json(),
		"spool", spool_json());
}

/* One sample, and the status that it makes. Waits up to STATUS_LOOK_MS for the stores. */
static void sample(struct sl_status_page *p)
{
	int64_t us = sl_mono_us(); /* what is written from here on may be in the sample */
	struct sl_watched w = sl_watch_look(p->watch, sl_deadline_ms(STATUS_LOOK_MS));
	if (p->samples > STATUS_WINDOW)
		memmove(&p->past[0], &p->past[1], sizeof(p->past[0]) * (size_t)--p->samples);
	bool known = w.reviews.open || w.reviews.tie || w.reviews.decided; /* else there is nothing to vote on either */
	p->past[p->samples++] = take_sample(us, known ? (double)w.reviews.votes : -1);
	json_t *now = make_status(p, &w);
	SL_ASSERT(now);
	sl_hub_say(p->ctx->hub, "status", json_incref(now));
	pthread_mutex_lock(&p->lock);
	json_decref(p->latest);
	p->latest = now;
	pthread_mutex_unlock(&p->lock);
}

static void *sample_loop(void *arg)
{
	struct sl_status_page *p = arg;
	pthread_mutex_lock(&p->lock);
	for (int64_t next = p->start_us + STATUS_TICK_MS * 1000;; next += STATUS_TICK_MS * 1000) {
		while (!p->ending && sl_cond_wait_until(&p->wake, &p->lock, next))
			;
		if (p->ending)
			break;
		pthread_mutex_unlock(&p->lock);
		sample(p);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* The latest sample with the bundle of this moment: who was told that the process is ready finds it here. */
static void get_status(struct sl_request *r, void *arg)
{
	struct sl_status_page *p = arg;
	pthread_mutex_lock(&p->lock);
	json_t *now = json_copy(p->latest);
	pthread_mutex_unlock(&p->lock);
	json_object_set_new(now, "bundle", bundle_json(p->ctx->hub));
	sl_answer_json(r, 200, now);
}

static void get_live(struct sl_request *r, void *arg)
{
	sl_answer_json(r, 200, json_pack("{s:b}", "live", 1));
}

void sl_answer_ready(struct sl_request *r, bool ready, json_t *missing)
{
	json_t *v = json_pack("{s:b}", "ready", ready);
	if (!ready)
		json_object_set(v, "why", json_array_get(missing, 0));
	json_object_set_new(v, "missing", missing);
	sl_answer_json(r, ready ? 200 : 503, v);
}

static void get_ready(struct sl_request *r, void *arg)
{
	struct sl_status_page *p = arg;
	bool ready = true;
	json_t *missing = p->missing(p->arg, &ready);
	sl_answer_ready(r, ready, missing);
}

#define OBJECT "{\"type\":\"object\"}"
#define LIST "{\"type\":\"array\",\"items\":{\"type\":\"object\"}}"
#define STATUS \
	"{\"type\":\"object\",\"properties\":{\"frames\":" OBJECT ",\"queues\":" LIST ",\"stages\":" LIST \
	",\"reviews\":" OBJECT ",\"labels\":" OBJECT ",\"lag\":" OBJECT ",\"dataset\":" OBJECT \
	",\"bundle\":{\"type\":[\"object\",\"null\"]}," \
	"\"memory_mb\":{\"type\":\"number\"},\"uptime_s\":{\"type\":\"number\"},\"bottleneck\":" OBJECT \
	",\"stores\":" OBJECT ",\"spool\":" OBJECT "}}"

static const struct sl_route routes[] = {
	{.method = "GET",
		.path = "/v1/status",
		.run = SL_RUN_NOW,
		.fn = get_status,
		.tag = "watch",
		.summary =
			"The process at a glance: rates over ten seconds, queues, stages, stores, live bundle, bottleneck",
		.response = STATUS},
	{.method = "GET",
		.path = "/v2/health/live",
		.run = SL_RUN_NOW,
		.fn = get_live,
		.tag = "inference",
		.summary = "The process answers",
		.response = "{\"type\":\"object\",\"properties\":{\"live\":{\"type\":\"boolean\"}}}"},
	{.method = "GET",
		.path = "/v2/health/ready",
		.run = SL_RUN_NOW,
		.fn = get_ready,
		.tag = "inference",
		.summary =
			"Every role is ready; 503 with {\"ready\":false,\"why\"} says which is not and why. \"missing\" lists also what a "
			"ready role lacks, such as rollout a store while its bundle goes on answering",
		.response =
			"{\"type\":\"object\",\"required\":[\"ready\"],\"properties\":{\"ready\":{\"type\":\"boolean\"},\"why\":"
			"{\"type\":\"string\"},\"missing\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}"},
	{0}};

struct sl_status_page *sl_status_page_start(struct sl_context *ctx, sl_missing_fn missing, void *arg)
{
	struct sl_status_page *p = SL_NEW(struct sl_status_page);
	*p = (struct sl_status_page){.ctx = ctx, .missing = missing, .arg = arg, .start_us = sl_mono_us()};
	pthread_mutex_init(&p->lock, NULL);
	sl_cond_init(&p->wake);
	sl_server_add(ctx->server, routes, p);
	p->watch = sl_watch_start(&ctx->stores);
	sample(p); /* a page that answers has something to say */
	p->thread = sl_thread_start("status", sample_loop, p);
	return p;
}

void sl_status_page_stop(struct sl_status_page *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	sl_watch_drain(p->watch);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
}

void sl_status_page_free(struct sl_status_page *p)
{
	if (!p)
		return;
	sl_watch_free(p->watch);
	json_decref(p->latest);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}
