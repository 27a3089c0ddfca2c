/* SPDX-License-Identifier: Apache-2.0 */
#include "role/curator.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/thread.h"
#include "core/manifest.h"
#include "dataset/segments.h"
#include "role/dead.h"
#include <stdio.h>

enum { LOOK_AGAIN_MS = 20, LOOK_AGAIN_MAX_MS = 1000, TAR_BYTES = 1 << 29, LANES_QUEUED = 64 };

struct waiting { /* one message that is not stored yet */
	struct sl_label label;
	json_t *body; /* NULL: it is no label */
	char why[120]; /* then */
};

struct lane { /* one partition */
	int partition;
	int64_t last; /* position that has had its effect */
	bool lost; /* polled messages were not taken: the consumer has to be put behind what was */
	struct waiting *wait;
	int n, room;
};

struct sl_curator {
	const struct sl_config *cfg;
	struct sl_stores st;
	struct sl_consumer *consumer;
	struct lane *lane;
	int lanes;
	bool uncommitted; /* the log does not know yet what was stored */
	int64_t since_us; /* when the oldest message that waits came; 0: none waits */
	struct sl_curator_counts counts;
	struct sl_metric *lag;
	struct sl_pool *pool; /* stores lanes */
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t cond;
	int storing; /* lanes that the pool has not done yet */
	bool stopped;
};

static void drop_first(struct lane *l, int n)
{
	for (int i = 0; i < n; i++)
		json_decref(l->wait[i].body);
	l->n -= n;
	if (l->n)
		memmove(l->wait, l->wait + n, (size_t)l->n * sizeof(*l->wait));
}

void sl_curator_free(struct sl_curator *c)
{
	if (!c)
		return;
	for (int i = 0; i < c->lanes; i++) {
		drop_first(&c->lane[i], c->lane[i].n);
		free(c->lane[i].wait);
	}
	free(c->lane);
	if (c->consumer)
		sl_consumer_close(c->consumer);
	sl_pool_free(c->pool);
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

void sl_curator_stop(struct sl_curator *c)
{
	pthread_mutex_lock(&c->lock);
	c->stopped = true;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

/* False when stopped. */
static bool wait_ms(struct sl_curator *c, int64_t ms)
{
	int64_t until = sl_deadline_ms(ms);
	pthread_mutex_lock(&c->lock);
	while (!c->stopped && sl_cond_wait_until(&c->cond, &c->lock, until))
		;
	bool goes_on = !c->stopped;
	pthread_mutex_unlock(&c->lock);
	return goes_on;
}

struct sl_curator_counts sl_curator_counts(const struct sl_curator *c)
{
	return c->counts;
}

/* ---- partitions ---- */

/* The consumer goes on behind what is stored or waits here. */
static enum sl_status go_behind(struct sl_curator *c, struct lane *l, struct sl_err *err)
{
	int drop = 0;
	l->lost = true;
	enum sl_status s = sl_segments_last(c->st.artifacts, l->partition, &l->last, err);
	if (s != SL_OK)
		return s;
	while (drop < l->n && l->wait[drop].label.position <= l->last)
		drop++;
	drop_first(l, drop);
	/* CONFLICT: not this member's, its messages will not come either. */
	int64_t at = l->n ? l->wait[l->n - 1].label.position : l->last;
	s = sl_consumer_seek(c->consumer, l->partition, at, err);
	l->lost = s != SL_OK && s != SL_CONFLICT;
	return l->lost ? s : SL_OK;
}

/* After this every lane's next message is the one behind what it has. */
static enum sl_status find_lost(struct sl_curator *c, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < c->lanes && s == SL_OK; i++)
		if (c->lane[i].lost)
			s = go_behind(c, &c->lane[i], err);
	return s;
}

/* A new lane is lost: what its first batch has comes again from where the entries say. */
static struct lane *lane_of(struct sl_curator *c, int partition)
{
	for (int i = 0; i < c->lanes; i++)
		if (c->lane[i].partition == partition)
			return &c->lane[i];
	c->lane = sl_realloc(c->lane, (size_t)c->lanes + 1, sizeof(*c->lane));
	c->lane[c->lanes] = (struct lane){.partition = partition, .last = -1, .lost = true};
	return &c->lane[c->lanes++];
}

enum sl_status sl_curator_new(
	const struct sl_config *cfg, const struct sl_stores *st, struct sl_curator **ret, struct sl_err *err)
{
	struct sl_curator *c = SL_NEW(struct sl_curator);
	c->cfg = cfg;
	c->st = *st;
	c->lag = sl_histogram("signloop_label_lag_seconds", NULL, "From a label's message to its row in a segment");
	pthread_mutex_init(&c->lock, NULL);
	sl_cond_init(&c->cond);
	c->pool = sl_pool_start("segment", (unsigned)sl_config_int(cfg, "curate.threads"), LANES_QUEUED);
	enum sl_status s = sl_consumer_open(st->log, SL_GROUP_CURATE, SL_TOPIC_LABELS, &c->consumer, err);
	int partitions = 0;
	if (s == SL_OK)
		s = sl_log_ask_partitions(st->log, SL_TOPIC_LABELS, &partitions, err);
	for (int p = 0; p < partitions; p++)
		lane_of(c, p);
	if (s == SL_OK)
		s = find_lost(c, err);
	if (s == SL_OK) /* a process that was killed may have stored what it did not commit: the lag would stay */
		s = sl_consumer_commit(c->consumer, err);
	if (s != SL_OK && s != SL_CONFLICT) { /* CONFLICT: the partition went to another in between */
		sl_curator_free(c);
		return s;
	}
	*ret = c;
	return SL_OK;
}

/* ---- taking messages ---- */

static enum sl_status take(struct sl_curator *c, struct lane *l, const struct sl_message *m, struct sl_err *err)
{
	struct waiting w = {.body = NULL};
	struct sl_err why = {0};
	enum sl_status s;
	if (m->position <= (l->n ? l->wait[l->n - 1].label.position : l->last)) {
		c->uncommitted = true; /* it comes again since the log did not hear of it */
		return SL_OK;
	}
	s = sl_json_parse(m->body, "label", &w.body, &why);
	if (s == SL_OK)
		s = sl_label_parse(w.body, "label", &w.label, &why);
	if (s != SL_OK) {
		json_decref(w.body);
		w.body = NULL;
		SL_COPY_CUT(w.why, why.text);
		s = sl_dead_letter(c->st.log, m, why.text, err);
		if (s != SL_OK)
			return s;
	}
	w.label.partition = m->partition;
	w.label.position = m->position;
	w.label.appended_ms = m->time_ms;
	if (l->n == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->wait = sl_realloc(l->wait, (size_t)l->room, sizeof(*l->wait));
	}
	l->wait[l->n++] = w;
	if (!c->since_us)
		c->since_us = sl_mono_us();
	return SL_OK;
}

static int waiting(const struct sl_curator *c)
{
	int n = 0;
	for (int i = 0; i < c->lanes; i++)
		n += c->lane[i].n;
	return n;
}

/* Of a lane that is lost nothing more is taken: a message behind a gap would close over it. */
static enum sl_status take_all(struct sl_curator *c, const struct sl_batch *b, struct sl_err *err)
{
	enum sl_status ret = SL_OK;
	for (int i = 0; i < b->n; i++) {
		struct lane *l = lane_of(c, b->message[i].partition);
		if (l->lost || ret != SL_OK) {
			l->lost = true;
			continue;
		}
		ret = take(c, l, &b->message[i], err);
		l->lost = ret != SL_OK;
	}
	return ret == SL_OK ? find_lost(c, err) : ret;
}

/* ---- storing ---- */

struct picked { /* the crops of a lane's messages */
	struct sl_crop *crop; /* one a message; key empty: missing */
	int n;
};

static void picked_done(struct picked *p)
{
	for (int i = 0; i < p->n; i++)
		sl_crop_done(&p->crop[i]);
	free(p->crop);
}

static bool is_forgotten(struct sl_curator *c, const char *key)
{
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	char path[SL_PATH];
	sl_forgotten_path(path, key);
	return sl_artifacts_get(c->st.artifacts, path, &b, NULL) == SL_OK;
}

/* Fetches what is still missing; *ret_missing: how many one may hope for. */
static enum sl_status look(
	struct sl_curator *c, const struct lane *l, struct picked *p, int *ret_missing, struct sl_err *err)
{
	SL_AUTOFREE const char **keys = sl_calloc((size_t)l->n + 1, sizeof(*keys));
	SL_AUTOFREE int *at = sl_calloc((size_t)l->n + 1, sizeof(*at));
	SL_AUTOFREE struct sl_crop *got = sl_calloc((size_t)l->n + 1, sizeof(*got));
	int n = 0;
	for (int i = 0; i < l->n; i++)
		if (l->wait[i].body && !p->crop[i].key[0]) {
			keys[n] = l->wait[i].label.key;
			at[n++] = i;
		}
	*ret_missing = 0;
	enum sl_status s = n ? sl_crops_get_many(c->st.crops, keys, n, got, err) : SL_OK;
	for (int i = 0; i < n && s == SL_OK; i++) {
		p->crop[at[i]] = got[i];
		*ret_missing += !got[i].key[0] && !is_forgotten(c, keys[i]);
	}
	return s;
}

static enum sl_status pick(struct sl_curator *c, const struct lane *l, struct picked *p, struct sl_err *err)
{
	int64_t until = sl_deadline_ms(sl_config_int(c->cfg, "curate.missing_ms"));
	int missing = 0;
	p->n = l->n;
	p->crop = sl_calloc((size_t)l->n + 1, sizeof(*p->crop));
	for (int64_t ms = LOOK_AGAIN_MS;; ms = SL_MIN(2 * ms, LOOK_AGAIN_MAX_MS)) {
		enum sl_status s = look(c, l, p, &missing, err);
		if (s != SL_OK || !missing || sl_is_past(until))
			return s;
		if (!wait_ms(c, SL_MIN(ms, (until - sl_mono_us()) / 1000 + 1)))
			return sl_fail(err, SL_CLOSED, "stopped while %d crops were missing", missing);
	}
}

static enum sl_status write_row(struct sl_segment *g, const struct waiting *w, const struct sl_crop *crop,
	struct sl_buf *tar, struct sl_err *err)
{
	SL_AUTOJSON json_t *meta = NULL;
	if (!w->body) {
		g->skipped++;
		json_array_append_new(
			g->bad, json_pack("{s:I,s:s}", "position", (json_int_t)w->label.position, "why", w->why));
		return SL_OK;
	}
	if (!crop->key[0])
		json_array_append_new(g->missing, json_string(w->label.key));
	else if (crop->meta.len)
		sl_json_parse(sl_buf_slice(&crop->meta), w->label.key, &meta, NULL);
	SL_AUTOJSON json_t *row = sl_row_make(&w->label, w->body, json_is_object(meta) ? meta : NULL);
	g->rows++;
	return sl_shard_add(tar, w->label.key, sl_buf_slice(&crop->jpeg), row, err);
}

/* One lane on its way into a segment: on a thread of the pool, which reads st and cfg and what is under the lock. */
struct storing {
	struct sl_curator *c;
	struct lane *l;
	struct sl_segment segment;
	int64_t stored_ms;
	enum sl_status s;
	struct sl_err err;
};

static void store_lane(void *arg)
{
	struct storing *w = arg;
	struct sl_curator *c = w->c;
	const struct lane *l = w->l;
	SL_AUTO(picked_done) struct picked p = {0};
	SL_AUTO(sl_buf_done) struct sl_buf tar = {.cap = TAR_BYTES};
	w->segment = (struct sl_segment){.partition = l->partition,
		.first = l->last + 1,
		.last = l->wait[l->n - 1].label.position,
		.missing = json_array(),
		.bad = json_array()};
	w->s = pick(c, l, &p, &w->err);
	for (int i = 0; i < l->n && w->s == SL_OK; i++)
		w->s = write_row(&w->segment, &l->wait[i], &p.crop[i], &tar, &w->err);
	if (w->s == SL_OK && w->segment.rows)
		sl_shard_end(&tar);
	if (w->s == SL_OK)
		w->s = sl_segments_store(c->st.artifacts, &w->segment, sl_buf_slice(&tar), &w->err);
	w->stored_ms = sl_now_ms();
	pthread_mutex_lock(&c->lock);
	if (--c->storing == 0)
		pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

static enum sl_status settle_lane(struct sl_curator *c, struct storing *w, struct sl_err *err)
{
	struct lane *l = w->l;
	if (w->s == SL_EXISTS) {
		c->counts.lost++;
		return go_behind(c, l, err);
	}
	if (w->s != SL_OK) {
		*err = w->err;
		return w->s;
	}
	for (int i = 0; i < l->n; i++)
		sl_metric_time(c->lag, 1000 * SL_MAX(w->stored_ms - l->wait[i].label.appended_ms, 0));
	l->last = w->segment.last;
	drop_first(l, l->n);
	c->counts.segments++;
	c->counts.rows += w->segment.rows;
	c->counts.skipped += w->segment.skipped;
	c->counts.missing += (int64_t)json_array_size(w->segment.missing);
	return SL_OK;
}

/* All lanes at once: a store that takes long to end a file, as HDFS does, is waited for once, not once a lane. The
 * first failure is told, when the others are settled. */
static enum sl_status store_lanes(struct sl_curator *c, struct sl_err *err)
{
	SL_AUTOFREE struct storing *w = sl_calloc((size_t)c->lanes, sizeof(*w));
	enum sl_status ret = SL_OK;
	int n = 0;
	for (int i = 0; i < c->lanes; i++)
		if (c->lane[i].n)
			w[n++] = (struct storing){.c = c, .l = &c->lane[i]};
	c->storing = n;
	for (int i = 0; i < n; i++)
		if (sl_pool_run(c->pool, store_lane, &w[i]) != SL_OK)
			store_lane(&w[i]); /* its queue is full */
	pthread_mutex_lock(&c->lock);
	while (c->storing)
		sl_cond_wait_until(&c->cond, &c->lock, SL_FOREVER);
	pthread_mutex_unlock(&c->lock);
	for (int i = 0; i < n; i++) {
		struct sl_err why = {0};
		enum sl_status s = settle_lane(c, &w[i], &why);
		if (s != SL_OK && ret == SL_OK) {
			ret = s;
			if (err)
				*err = why;
		}
		sl_segment_done(&w[i].segment);
	}
	return ret;
}

enum sl_status sl_curator_flush(struct sl_curator *c, struct sl_err *err)
{
	if (!waiting(c) && !c->uncommitted) {
		c->since_us = 0; /* what waited was dropped: another stored it */
		return SL_OK;
	}
	c->uncommitted = true;
	enum sl_status s = SL_OK;
	while (waiting(c) && s == SL_OK) /* twice when another curator stored the first part */
		s = store_lanes(c, err);
	if (s == SL_OK)
		s = find_lost(c, err); /* the commit is of what the consumer stands behind */
	if (s != SL_OK)
		return s;
	c->since_us = 0;
	s = sl_consumer_commit(c->consumer, err);
	c->uncommitted = s != SL_OK && s != SL_CONFLICT;
	return s == SL_CONFLICT ? SL_OK : s; /* the entries say where to go on, whoever does */
}

enum sl_status sl_curator_turn(struct sl_curator *c, int64_t deadline_us, struct sl_err *err)
{
	SL_AUTO(sl_batch_done) struct sl_batch b = {0};
	int batch = (int)sl_config_int(c->cfg, "curate.batch"), room = batch - waiting(c);
	int64_t due = c->since_us ? c->since_us + sl_config_int(c->cfg, "curate.linger_ms") * 1000 : SL_FOREVER;
	enum sl_status s = find_lost(c, err);
	if (s == SL_OK && room > 0 && !sl_is_past(due))
		s = sl_consumer_poll(c->consumer, room, SL_MIN(due, deadline_us), &b, err);
	if (s == SL_OK)
		s = take_all(c, &b, err);
	if (s == SL_OK && c->since_us)
		due = c->since_us + sl_config_int(c->cfg, "curate.linger_ms") * 1000;
	if (s == SL_OK && (waiting(c) >= batch || sl_is_past(due) || (c->uncommitted && !waiting(c))))
		s = sl_curator_flush(c, err);
	return s;
}
