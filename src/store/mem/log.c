/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/thread.h"
#include "store/batch.h"
#include "store/mem/mem.h"

enum { PARTITIONS_MAX = 64 };

struct message {
	int64_t time_ms;
	char key[SL_MESSAGE_KEY];
	uint8_t *body;
	size_t len;
};

struct part {
	struct message *message;
	int n, size;
};

struct topic {
	char name[SL_TOPIC];
	int nparts;
	struct part part[PARTITIONS_MAX];
	struct topic *next;
};

struct group {
	char name[SL_MESSAGE_KEY];
	struct topic *topic;
	int64_t committed[PARTITIONS_MAX];
	struct consumer *owner[PARTITIONS_MAX], *member; /* member: oldest first */
	struct group *next;
};

struct memlog {
	pthread_mutex_t lock;
	pthread_cond_t grown;
	int64_t partitions;
	struct topic *topic;
	struct group *group;
};

struct consumer {
	struct memlog *l;
	struct group *g;
	int64_t cursor[PARTITIONS_MAX], until_ms;
	bool mine[PARTITIONS_MAX]; /* as this member last knew */
	int next_part;
	struct consumer *next;
};

static struct topic *topic_of(struct memlog *l, const char *name, bool make)
{
	struct topic *t = l->topic;
	while (t && strcmp(t->name, name))
		t = t->next;
	if (t || !make)
		return t;
	t = SL_NEW(struct topic);
	SL_COPY(t->name, name);
	t->nparts = (int)l->partitions;
	t->next = l->topic;
	return l->topic = t;
}

static struct group *group_of(struct memlog *l, const char *name, struct topic *t, bool make)
{
	struct group *g = l->group;
	while (g && (g->topic != t || strcmp(g->name, name)))
		g = g->next;
	if (g || !make)
		return g;
	g = SL_NEW(struct group);
	SL_COPY(g->name, name);
	g->topic = t;
	for (int i = 0; i < PARTITIONS_MAX; i++)
		g->committed[i] = -1;
	g->next = l->group;
	return l->group = g;
}

static void add_message(struct part *p, int64_t time_ms, const char *key, struct sl_slice body)
{
	if (p->n == p->size) {
		p->size = p->size ? 2 * p->size : 64;
		p->message = sl_realloc(p->message, (size_t)p->size, sizeof(*p->message));
	}
	struct message *m = &p->message[p->n++];
	*m = (struct message){.time_ms = time_ms, .body = sl_memdup(body.ptr, body.len), .len = body.len};
	SL_COPY(m->key, key);
}

static void append_one(struct memlog *l, const struct sl_entry *e)
{
	struct topic *t = topic_of(l, e->topic, true);
	add_message(&t->part[sl_log_partition_of(e->key, t->nparts)], sl_now_ms(), e->key, e->body);
}

static enum sl_status append(void *self, const struct sl_entry *e, int n, int64_t deadline_us, struct sl_err *err)
{
	struct memlog *l = self;
	if (sl_is_past(deadline_us))
		return sl_fail(err, SL_TIMEOUT, "mem: the deadline passed before the write began");
	pthread_mutex_lock(&l->lock);
	for (int i = 0; i < n; i++)
		append_one(l, &e[i]);
	pthread_cond_broadcast(&l->grown);
	pthread_mutex_unlock(&l->lock);
	return SL_OK;
}

static int64_t read_part(const struct topic *t, int partition, int64_t position, int max, struct sl_batch_builder *b)
{
	const struct part *p = &t->part[partition];
	int64_t i = position + 1;
	for (; i < p->n && b->n < max; i++) {
		const struct message *from = &p->message[i];
		struct sl_message m = {.partition = partition,
			.position = i,
			.time_ms = from->time_ms,
			.body = sl_slice(from->body, from->len)};
		SL_COPY(m.topic, t->name);
		SL_COPY(m.key, from->key);
		if (!sl_batch_add(b, &m))
			break;
	}
	return i - 1;
}

static enum sl_status read_log(void *self, const char *topic, int partition, int64_t position, int max,
	struct sl_batch *ret, struct sl_err *err)
{
	struct memlog *l = self;
	struct sl_batch_builder b = {0};
	pthread_mutex_lock(&l->lock);
	const struct topic *t = topic_of(l, topic, false);
	if (t && partition >= 0 && partition < t->nparts)
		read_part(t, partition, position, max, &b);
	pthread_mutex_unlock(&l->lock);
	if (b.n)
		sl_batch_end(&b, ret);
	return SL_OK;
}

static int partitions(void *self, const char *topic)
{
	struct memlog *l = self;
	pthread_mutex_lock(&l->lock);
	const struct topic *t = topic_of(l, topic, false);
	int n = t ? t->nparts : (int)l->partitions;
	pthread_mutex_unlock(&l->lock);
	return n;
}

static enum sl_status lag(void *self, const char *group, const char *topic, int64_t *ret, struct sl_err *err)
{
	struct memlog *l = self;
	*ret = 0;
	pthread_mutex_lock(&l->lock);
	struct topic *t = topic_of(l, topic, false);
	const struct group *g = t && group ? group_of(l, group, t, false) : NULL;
	for (int i = 0; t && i < t->nparts; i++)
		*ret += t->part[i].n - 1 - (g ? g->committed[i] : -1);
	pthread_mutex_unlock(&l->lock);
	return SL_OK;
}

/* The lock is held. NULL: there is no such partition. */
static struct part *part_of(struct memlog *l, const char *topic, int partition)
{
	struct topic *t = topic_of(l, topic, false);
	return t && partition >= 0 && partition < t->nparts ? &t->part[partition] : NULL;
}

static enum sl_status make(void *self, const char *topic, int n, struct sl_err *err)
{
	struct memlog *l = self;
	if (n > PARTITIONS_MAX)
		return sl_fail(err, SL_UNSUPPORTED, "topic %s: %d partitions; this log has %d at most", topic, n,
			PARTITIONS_MAX);
	pthread_mutex_lock(&l->lock);
	bool is_new = !topic_of(l, topic, false);
	struct topic *t = topic_of(l, topic, true);
	t->nparts = is_new ? n : t->nparts;
	int has = t->nparts;
	pthread_mutex_unlock(&l->lock);
	return has >= n ? SL_OK : sl_fail(err, SL_CONFLICT, "topic %s has %d partitions; %d are wanted", topic, has, n);
}

static enum sl_status last(void *self, const char *topic, int partition, int64_t *ret, struct sl_err *err)
{
	struct memlog *l = self;
	pthread_mutex_lock(&l->lock);
	const struct part *p = part_of(l, topic, partition);
	*ret = p ? p->n - 1 : -1;
	pthread_mutex_unlock(&l->lock);
	return SL_OK;
}

static enum sl_status restore_locked(struct memlog *l, const struct sl_message *m, int n, struct sl_err *err)
{
	struct part *p = part_of(l, m->topic, m->partition);
	if (!p)
		return sl_fail(err, SL_NOT_FOUND, "topic %s has no partition %d", m->topic, m->partition);
	for (int i = 0; i < n; i++)
		if (m[i].position != p->n + i)
			return sl_fail(err, SL_CONFLICT, "topic %s, partition %d: %lld cannot follow %d", m->topic,
				m->partition, (long long)m[i].position, p->n - 1 + i);
	for (int i = 0; i < n; i++)
		add_message(p, m[i].time_ms, m[i].key, m[i].body);
	pthread_cond_broadcast(&l->grown);
	return SL_OK;
}

static enum sl_status restore(void *self, const struct sl_message *m, int n, int64_t deadline_us, struct sl_err *err)
{
	struct memlog *l = self;
	if (sl_is_past(deadline_us))
		return sl_fail(err, SL_TIMEOUT, "mem: the deadline passed before the write began");
	pthread_mutex_lock(&l->lock);
	enum sl_status s = restore_locked(l, m, n, err);
	pthread_mutex_unlock(&l->lock);
	return s;
}

static enum sl_status committed(
	void *self, const char *group, const char *topic, int partition, int64_t *ret, struct sl_err *err)
{
	struct memlog *l = self;
	pthread_mutex_lock(&l->lock);
	struct topic *t = topic_of(l, topic, false);
	const struct group *g = part_of(l, topic, partition) ? group_of(l, group, t, false) : NULL;
	*ret = g ? g->committed[partition] : -1;
	pthread_mutex_unlock(&l->lock);
	return SL_OK;
}

static enum sl_status idle_locked(const struct group *g, struct sl_err *err)
{
	for (const struct consumer *m = g->member; m; m = m->next)
		if (m->until_ms > sl_now_ms())
			return sl_fail(err, SL_BUSY, "group %s: somebody reads topic %s for it; stop that process",
				g->name, g->topic->name);
	return SL_OK;
}

static enum sl_status commit_to_locked(
	struct memlog *l, const char *group, const char *topic, int partition, int64_t position, struct sl_err *err)
{
	if (!part_of(l, topic, partition))
		return sl_fail(err, SL_NOT_FOUND, "topic %s has no partition %d", topic, partition);
	struct group *g = group_of(l, group, topic_of(l, topic, false), true);
	enum sl_status s = idle_locked(g, err);
	if (s == SL_OK)
		g->committed[partition] = position;
	return s;
}

static enum sl_status idle(void *self, struct sl_err *err)
{
	struct memlog *l = self;
	enum sl_status s = SL_OK;
	pthread_mutex_lock(&l->lock);
	for (const struct group *g = l->group; g && s == SL_OK; g = g->next)
		s = idle_locked(g, err);
	pthread_mutex_unlock(&l->lock);
	return s;
}

static enum sl_status commit_to(
	void *self, const char *group, const char *topic, int partition, int64_t position, struct sl_err *err)
{
	struct memlog *l = self;
	pthread_mutex_lock(&l->lock);
	enum sl_status s = commit_to_locked(l, group, topic, partition, position, err);
	pthread_mutex_unlock(&l->lock);
	return s;
}

static void leave(struct consumer *c)
{
	for (struct consumer **at = &c->g->member; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	for (int i = 0; i < PARTITIONS_MAX; i++)
		if (c->g->owner[i] == c)
			c->g->owner[i] = NULL;
	pthread_cond_broadcast(&c->l->grown);
}

static void join(struct consumer *c)
{
	struct consumer **at = &c->g->member;
	while (*at && *at != c)
		at = &(*at)->next;
	if (*at)
		return;
	c->next = NULL;
	*at = c;
	pthread_cond_broadcast(&c->l->grown);
}

/* The lock is held. The oldest member ranks first; see sqlite/log_group.c for the rules. */
static void balance(struct consumer *c)
{
	struct group *g = c->g;
	int living = 0, rank = 0, has = 0;
	c->until_ms = sl_now_ms() + SL_MEMBER_MS;
	join(c);
	for (struct consumer *m = g->member, *next; m; m = next) {
		next = m->next;
		if (m->until_ms <= sl_now_ms())
			leave(m); /* it joins again when it polls */
		else if (m == c)
			rank = living++;
		else
			living++;
	}
	int n = g->topic->nparts, share = n / living + (rank < n % living);
	for (int i = 0; i < n; i++) {
		c->mine[i] = c->mine[i] && g->owner[i] == c;
		has += g->owner[i] == c;
	}
	for (int i = n; i-- > 0;)
		if (g->owner[i] == c && has > share) {
			g->owner[i] = NULL;
			c->mine[i] = false;
			has--;
			pthread_cond_broadcast(&c->l->grown);
		}
	for (int i = 0; i < n; i++) {
		if (!g->owner[i] && has < share) {
			g->owner[i] = c;
			has++;
		}
		if (g->owner[i] == c && !c->mine[i]) {
			c->mine[i] = true;
			c->cursor[i] = g->committed[i];
		}
	}
}

static enum sl_status consumer_open(void *self, const char *group, const char *topic, void **ret, struct sl_err *err)
{
	struct memlog *l = self;
	struct consumer *c = SL_NEW(struct consumer);
	pthread_mutex_lock(&l->lock);
	c->l = l;
	c->g = group_of(l, group, topic_of(l, topic, true), true);
	balance(c);
	pthread_mutex_unlock(&l->lock);
	*ret = c;
	return SL_OK;
}

static void consumer_close(void *consumer)
{
	struct consumer *c = consumer;
	struct memlog *l = c->l;
	pthread_mutex_lock(&l->lock);
	leave(c);
	pthread_mutex_unlock(&l->lock);
	free(c);
}

static void look(struct consumer *c, int max, struct sl_batch_builder *b)
{
	balance(c);
	int n = c->g->topic->nparts;
	for (int k = 0; k < n && b->n < max; k++) {
		int i = (c->next_part + k) % n;
		if (c->mine[i])
			c->cursor[i] = read_part(c->g->topic, i, c->cursor[i], max, b);
	}
	c->next_part = (c->next_part + 1) % n;
}

static enum sl_status poll_log(void *consumer, int max, int64_t deadline_us, struct sl_batch *ret, struct sl_err *err)
{
	struct consumer *c = consumer;
	struct sl_batch_builder b = {0};
	pthread_mutex_lock(&c->l->lock);
	for (look(c, max, &b); !b.n && sl_cond_wait_until(&c->l->grown, &c->l->lock, deadline_us);)
		look(c, max, &b);
	pthread_mutex_unlock(&c->l->lock);
	if (b.n)
		sl_batch_end(&b, ret);
	return SL_OK;
}

static enum sl_status commit(void *consumer, struct sl_err *err)
{
	struct consumer *c = consumer;
	struct group *g = c->g;
	int lost = 0;
	pthread_mutex_lock(&c->l->lock);
	for (int i = 0; i < g->topic->nparts; i++) {
		bool still = g->owner[i] == c;
		if (c->mine[i] && still)
			g->committed[i] = c->cursor[i];
		lost += c->mine[i] && !still && c->cursor[i] != g->committed[i];
		c->mine[i] &= still;
	}
	c->until_ms = sl_now_ms() + SL_MEMBER_MS;
	pthread_mutex_unlock(&c->l->lock);
	if (!lost)
		return SL_OK;
	return sl_fail(err, SL_CONFLICT,
		"group %s: %d of %d partitions of %s went to another member; their messages come again", g->name, lost,
		g->topic->nparts, g->topic->name);
}

static enum sl_status seek(void *consumer, int partition, int64_t position, struct sl_err *err)
{
	struct consumer *c = consumer;
	pthread_mutex_lock(&c->l->lock);
	bool mine =
		partition >= 0 && partition < c->g->topic->nparts && c->mine[partition] && c->g->owner[partition] == c;
	if (mine)
		c->cursor[partition] = position;
	pthread_mutex_unlock(&c->l->lock);
	return mine ? SL_OK
		    : sl_fail(err, SL_CONFLICT, "group %s: partition %d of %s is not this member's", c->g->name,
			      partition, c->g->topic->name);
}

static enum sl_status open_log(struct sl_url *url, const struct sl_config *cfg, void **ret, struct sl_err *err)
{
	int64_t n = 1;
	enum sl_status s = sl_url_int(url, "partitions", 1, PARTITIONS_MAX, &n, err);
	if (s != SL_OK)
		return s;
	struct memlog *l = SL_NEW(struct memlog);
	l->partitions = n;
	pthread_mutex_init(&l->lock, NULL);
	sl_cond_init(&l->grown);
	*ret = l;
	return SL_OK;
}

static void free_topic(struct topic *t)
{
	for (int i = 0; i < t->nparts; i++) {
		for (int k = 0; k < t->part[i].n; k++)
			free(t->part[i].message[k].body);
		free(t->part[i].message);
	}
	free(t);
}

static void close_log(void *self)
{
	struct memlog *l = self;
	for (struct topic *t = l->topic, *next; t; t = next) {
		next = t->next;
		free_topic(t);
	}
	for (struct group *g = l->group, *next; g; g = next) {
		next = g->next;
		free(g);
	}
	pthread_cond_destroy(&l->grown);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

const struct sl_log_ops sl_mem_log = {
	.open = open_log,
	.close = close_log,
	.append = append,
	.consumer_open = consumer_open,
	.consumer_close = consumer_close,
	.poll = poll_log,
	.commit = commit,
	.seek = seek,
	.partitions = partitions,
	.read = read_log,
	.lag = lag,
	.make = make,
	.last = last,
	.restore = restore,
	.committed = committed,
	.commit_to = commit_to,
	.idle = idle,
};
