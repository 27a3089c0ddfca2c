/* SPDX-License-Identifier: Apache-2.0
 *
 * Consumer groups of the SQLite log. A member row has an end that polls and commits put
 * off; an owner row gives one partition to one member. The oldest member ranks first, and
 * each takes its share by rank: what it has too much it gives back, what is free it claims.
 */
#include "base/digest.h"
#include "base/mem.h"
#include "store/batch.h"
#include "store/sqlite/log_file.h"
#include <fcntl.h>

enum { MEMBERS_MAX = 256, RENEW_MS = SL_MEMBER_MS / 3, ID = 33 };

struct assigned {
	struct sl_part part;
	bool mine, lost; /* lost: a commit found that it was taken */
	int64_t cursor, committed; /* last polled; last committed */
};

struct member {
	char id[ID];
	int64_t life, until;
};

struct consumer {
	struct sl_log_file *l;
	char group[SL_MESSAGE_KEY], topic[SL_TOPIC], id[ID];
	struct assigned at[SL_PARTITIONS_MAX];
	int nparts, nmine, share, nmembers; /* as the last balance found them */
	int next; /* where a poll begins, so that no partition waits behind another */
	int64_t renew_ms; /* wall time of the next balance at the latest */
};

static bool is_dead(const struct sl_log_file *l, const struct member *m)
{
	if (m->until <= sl_now_ms())
		return true;
	if (m->life == l->life)
		return false;
	struct flock f = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = m->life, .l_len = 1};
	return !fcntl(l->life_fd, F_OFD_GETLK, &f) && f.l_type == F_UNLCK;
}

static enum sl_status read_members(struct sl_db *db, const char *group, const char *topic,
	struct member ret[MEMBERS_MAX], int *ret_n, struct sl_err *err)
{
	sqlite3_stmt *q = sl_db_ask(db, Q_MEMBERS, "ss", group, topic);
	bool row;
	enum sl_status s;
	*ret_n = 0;
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row) {
		if (*ret_n == MEMBERS_MAX)
			continue;
		struct member *m = &ret[(*ret_n)++];
		sl_db_text(q, 0, m->id, sizeof(m->id));
		m->life = sqlite3_column_int64(q, 1);
		m->until = sqlite3_column_int64(q, 2);
	}
	return s;
}

/* "" when nobody owns it. */
static enum sl_status read_owner(struct consumer *c, struct sl_db *db, int64_t part, char ret[ID], struct sl_err *err)
{
	bool row;
	sqlite3_stmt *q = sl_db_ask(db, Q_OWNER, "si", c->group, part);
	enum sl_status s = sl_db_row(db, q, &row, err);
	ret[0] = 0;
	if (row) {
		sl_db_text(q, 0, ret, ID);
		sqlite3_reset(q);
	}
	return s;
}

static enum sl_status drop_member(struct consumer *c, struct sl_db *db, const char *id, struct sl_err *err)
{
	enum sl_status s = sl_db_run(db, sl_db_ask(db, Q_MEMBER_DROP, "sss", c->group, c->topic, id), err);
	return s == SL_OK ? sl_db_run(db, sl_db_ask(db, Q_DISOWN_ALL, "ss", c->group, id), err) : s;
}

/* Drops the dead and renews this one; gives its rank among the living and counts them. */
static enum sl_status take_rank(struct consumer *c, struct sl_db *db, int *ret_rank, struct sl_err *err)
{
	struct member m[MEMBERS_MAX];
	int n = 0, living = 0;
	int64_t until = sl_now_ms() + SL_MEMBER_MS;
	sqlite3_stmt *set = sl_db_ask(db, Q_MEMBER_SET, "sssii", c->group, c->topic, c->id, c->l->life, until);
	enum sl_status s = sl_db_run(db, set, err);
	if (s == SL_OK)
		s = read_members(db, c->group, c->topic, m, &n, err);
	*ret_rank = 0;
	for (int i = 0; s == SL_OK && i < n; i++) {
		if (!strcmp(m[i].id, c->id))
			*ret_rank = living++;
		else if (is_dead(c->l, &m[i]))
			s = drop_member(c, db, m[i].id, err);
		else
			living++;
	}
	c->nmembers = living;
	return s;
}

static enum sl_status own(
	struct consumer *c, struct sl_db *db, struct assigned *a, const char *owner, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	if (!*owner)
		s = sl_db_run(db, sl_db_ask(db, Q_OWN, "sis", c->group, a->part.no, c->id), err);
	if (s == SL_OK)
		s = sl_db_int(db, sl_db_ask(db, Q_COMMITTED, "si", c->group, a->part.no), -1, &a->committed, err);
	a->cursor = a->committed;
	a->mine = s == SL_OK;
	c->nmine += a->mine;
	return s;
}

/* The rows say who owns what; memory follows them. Then up or down to the share. */
static enum sl_status take_share(struct consumer *c, struct sl_db *db, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	char owner[SL_PARTITIONS_MAX][ID];
	c->nmine = 0;
	for (int i = 0; i < c->nparts && s == SL_OK; i++) {
		struct assigned *a = &c->at[i];
		s = read_owner(c, db, a->part.no, owner[i], err);
		bool is_mine = !strcmp(owner[i], c->id);
		if (s == SL_OK && is_mine && !a->mine)
			s = own(c, db, a, owner[i], err);
		else
			c->nmine += a->mine =
				is_mine; /* taken while this member slept: its messages come again there */
	}
	for (int i = 0; i < c->nparts && s == SL_OK && c->nmine < c->share; i++)
		if (!*owner[i])
			s = own(c, db, &c->at[i], "", err);
	for (int i = c->nparts; i-- > 0 && s == SL_OK && c->nmine > c->share;) {
		if (!c->at[i].mine)
			continue;
		s = sl_db_run(db, sl_db_ask(db, Q_DISOWN, "sis", c->group, c->at[i].part.no, c->id), err);
		c->at[i].mine = false;
		c->nmine--;
	}
	return s;
}

static enum sl_status balance_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	struct consumer *c = arg;
	struct sl_part part[SL_PARTITIONS_MAX];
	int rank;
	enum sl_status s = sl_log_file_make(c->l, db, c->topic, part, &c->nparts, err);
	for (int i = 0; i < c->nparts; i++)
		c->at[i].part = part[i];
	if (s == SL_OK)
		s = take_rank(c, db, &rank, err);
	if (s != SL_OK)
		return s;
	c->share = c->nparts / c->nmembers + (rank < c->nparts % c->nmembers);
	return take_share(c, db, err);
}

static enum sl_status balance(struct consumer *c, struct sl_err *err)
{
	enum sl_status s = sl_writer_run(c->l->writer, balance_job, c, SL_FOREVER, err);
	c->renew_ms = s == SL_OK ? sl_now_ms() + RENEW_MS : 0;
	sl_log_file_wake(c->l); /* others may want what was given back */
	return s;
}

/* Reads only: an idle consumer looks often and writes seldom. */
static enum sl_status needs_balance(struct consumer *c, struct sl_db *db, bool *ret, struct sl_err *err)
{
	struct member m[MEMBERS_MAX];
	int n = 0;
	*ret = sl_now_ms() >= c->renew_ms || c->renew_ms > sl_now_ms() + RENEW_MS; /* or the clock went back */
	enum sl_status s = *ret ? SL_OK : read_members(db, c->group, c->topic, m, &n, err);
	if (*ret || s != SL_OK)
		return s;
	*ret = n != c->nmembers;
	for (int i = 0; i < n; i++)
		*ret |= is_dead(c->l, &m[i]);
	for (int i = 0; i < c->nparts && c->nmine < c->share && !*ret && s == SL_OK; i++) {
		char owner[ID];
		s = read_owner(c, db, c->at[i].part.no, owner, err);
		*ret = !*owner;
	}
	return s;
}

static enum sl_status read_mine(
	struct consumer *c, struct sl_db *db, int max, struct sl_batch_builder *b, struct sl_err *err)
{
	enum sl_status s = SL_OK;
	for (int i = 0; i < c->nparts && s == SL_OK && b->n < max; i++) {
		struct assigned *a = &c->at[(c->next + i) % c->nparts];
		if (a->mine)
			s = sl_log_file_read(db, c->topic, a->part, a->cursor, max - b->n, b, err);
	}
	return s;
}

/* One look: messages, or the wish to balance first. */
static enum sl_status look(struct consumer *c, bool may_balance, int max, struct sl_batch_builder *b, bool *ret_balance,
	struct sl_err *err)
{
	struct sl_db *db = NULL;
	*ret_balance = false;
	enum sl_status s = sl_readers_take(c->l->readers, &db, err);
	if (s == SL_OK && may_balance)
		s = needs_balance(c, db, ret_balance, err);
	if (s == SL_OK && !*ret_balance)
		s = read_mine(c, db, max, b, err);
	sl_readers_give(c->l->readers, db);
	return s;
}

static void hand_out(struct consumer *c, struct sl_batch_builder *b, struct sl_batch *ret)
{
	for (int i = 0; i < b->n; i++)
		for (int k = 0; k < c->nparts; k++)
			if (c->at[k].part.partition == b->message[i].partition)
				c->at[k].cursor = b->message[i].position;
	c->next = (c->next + 1) % c->nparts;
	sl_batch_end(b, ret);
}

/* Until this handle grows, or it is time to look for what other processes did. */
static void wait_for_growth(struct sl_log_file *l, uint64_t seen, int64_t deadline_us)
{
	int64_t until = SL_MIN(deadline_us, sl_deadline_ms(SL_FOLLOW_MS));
	pthread_mutex_lock(&l->lock);
	while (l->growth == seen && sl_cond_wait_until(&l->grown, &l->lock, until))
		;
	pthread_mutex_unlock(&l->lock);
}

static uint64_t growth_of(struct sl_log_file *l)
{
	pthread_mutex_lock(&l->lock);
	uint64_t g = l->growth;
	pthread_mutex_unlock(&l->lock);
	return g;
}

enum sl_status sl_sqlite_poll(void *consumer, int max, int64_t deadline_us, struct sl_batch *ret, struct sl_err *err)
{
	struct consumer *c = consumer;
	struct sl_batch_builder b = {0};
	enum sl_status s = SL_OK;
	for (bool wish = false, fresh = false;; fresh = wish) {
		if (wish && (s = balance(c, err)) != SL_OK)
			break;
		uint64_t seen = growth_of(c->l);
		s = look(c, !fresh, max, &b, &wish, err);
		if (s != SL_OK || b.n || (!wish && sl_is_past(deadline_us)))
			break;
		if (!wish)
			wait_for_growth(c->l, seen, deadline_us);
	}
	if (s == SL_OK && b.n)
		hand_out(c, &b, ret);
	else
		sl_batch_drop(&b);
	return s;
}

static enum sl_status commit_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	struct consumer *c = arg;
	enum sl_status s = sl_db_run(
		db, sl_db_ask(db, Q_MEMBER_RENEW, "sssi", c->group, c->topic, c->id, sl_now_ms() + SL_MEMBER_MS), err);
	for (int i = 0; i < c->nparts && s == SL_OK; i++) {
		struct assigned *a = &c->at[i];
		char owner[ID];
		if (!a->mine || a->cursor == a->committed)
			continue;
		s = read_owner(c, db, a->part.no, owner, err);
		a->lost = strcmp(owner, c->id) != 0;
		if (s == SL_OK && !a->lost)
			s = sl_db_run(db, sl_db_ask(db, Q_COMMIT, "sii", c->group, a->part.no, a->cursor), err);
	}
	return s;
}

enum sl_status sl_sqlite_commit(void *consumer, struct sl_err *err)
{
	struct consumer *c = consumer;
	int behind = 0, lost = 0;
	for (int i = 0; i < c->nparts; i++)
		behind += c->at[i].mine && c->at[i].cursor != c->at[i].committed;
	if (!behind)
		return SL_OK;
	enum sl_status s = sl_writer_run(c->l->writer, commit_job, c, SL_FOREVER, err);
	for (int i = 0; i < c->nparts && s == SL_OK; i++) {
		struct assigned *a = &c->at[i];
		if (!a->mine || a->cursor == a->committed)
			continue;
		lost += a->lost;
		a->mine = !a->lost;
		a->committed = a->cursor;
	}
	if (!lost)
		return s;
	c->renew_ms = 0;
	return sl_fail(err, SL_CONFLICT,
		"group %s: %d of %d partitions of %s went to another member; their messages come again", c->group, lost,
		c->nparts, c->topic);
}

enum sl_status sl_sqlite_seek(void *consumer, int partition, int64_t position, struct sl_err *err)
{
	struct consumer *c = consumer;
	for (int i = 0; i < c->nparts; i++)
		if (c->at[i].mine && c->at[i].part.partition == partition) {
			c->at[i].cursor = position;
			return SL_OK;
		}
	return sl_fail(
		err, SL_CONFLICT, "group %s: partition %d of %s is not this member's", c->group, partition, c->topic);
}

enum sl_status sl_sqlite_consumer_open(void *self, const char *group, const char *topic, void **ret, struct sl_err *err)
{
	struct consumer *c = SL_NEW(struct consumer);
	c->l = self;
	SL_COPY(c->group, group);
	SL_COPY(c->topic, topic);
	sl_random_id(c->id);
	enum sl_status s = balance(c, err);
	if (s == SL_OK)
		*ret = c;
	else
		free(c);
	return s;
}

static enum sl_status leave_job(struct sl_db *db, void *arg, struct sl_err *err)
{
	struct consumer *c = arg;
	return drop_member(c, db, c->id, err);
}

void sl_sqlite_consumer_close(void *consumer)
{
	struct consumer *c = consumer;
	/* If it cannot be written, the row ends by itself. */
	(void)sl_writer_run(c->l->writer, leave_job, c, SL_FOREVER, NULL);
	sl_log_file_wake(c->l);
	free(c);
}

static enum sl_status idle(const struct sl_log_file *l, struct sl_db *db, struct sl_err *err)
{
	sqlite3_stmt *q = sl_db_ask(db, Q_MEMBERS_ALL, "");
	bool row;
	enum sl_status s;
	while ((s = sl_db_row(db, q, &row, err)) == SL_OK && row) {
		char group[SL_MESSAGE_KEY], topic[SL_TOPIC];
		struct member m = {.life = sqlite3_column_int64(q, 0), .until = sqlite3_column_int64(q, 1)};
		sl_db_text(q, 2, group, sizeof(group));
		sl_db_text(q, 3, topic, sizeof(topic));
		if (is_dead(l, &m))
			continue;
		sqlite3_reset(q);
		return sl_fail(err, SL_BUSY, "%s: group %s: somebody reads topic %s for it; stop that process",
			db->path, group, topic);
	}
	return s;
}

enum sl_status sl_sqlite_log_idle(void *self, struct sl_err *err)
{
	struct sl_log_file *l = self;
	struct sl_db *db = NULL;
	enum sl_status s = sl_readers_take(l->readers, &db, err);
	if (s == SL_OK)
		s = idle(l, db, err);
	sl_readers_give(l->readers, db);
	return s;
}

enum sl_status sl_log_file_idle(
	struct sl_log_file *l, struct sl_db *db, const char *group, const char *topic, struct sl_err *err)
{
	struct member m[MEMBERS_MAX];
	int n = 0;
	enum sl_status s = read_members(db, group, topic, m, &n, err);
	for (int i = 0; i < n && s == SL_OK; i++)
		if (!is_dead(l, &m[i]))
			s = sl_fail(err, SL_BUSY, "group %s: somebody reads topic %s for it; stop that process", group,
				topic);
	return s;
}
