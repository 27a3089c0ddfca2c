/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sqlite/writer.h"
#include "base/mem.h"
#include "base/thread.h"

enum job_state { WAITING, TAKEN, DONE };

struct job { /* on the caller's stack */
	sl_write_fn fn;
	void *arg;
	struct job *next;
	enum job_state state;
	enum sl_status status;
	struct sl_err err;
	pthread_cond_t done;
};

struct sl_writer {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *first, **last;
	bool stop;
	struct sl_db *db;
	void (*lost)(void *arg);
	void *arg;
	int wal_pages; /* the writer's thread alone */
	pthread_t thread;
};

static int on_wal(void *arg, sqlite3 *h, const char *name, int pages)
{
	((struct sl_writer *)arg)->wal_pages = pages;
	return SQLITE_OK;
}

static struct job *take(struct sl_writer *w)
{
	pthread_mutex_lock(&w->lock);
	while (!w->first && !w->stop)
		pthread_cond_wait(&w->more, &w->lock);
	struct job *all = w->first, **end = &all;
	for (int n = 0; *end && n < SL_WRITER_GROUP; n++) {
		(*end)->state = TAKEN;
		end = &(*end)->next;
	}
	w->first = *end;
	if (!w->first)
		w->last = &w->first;
	*end = NULL;
	pthread_mutex_unlock(&w->lock);
	return all;
}

static void run_one(struct sl_writer *w, struct job *j)
{
	j->status = sl_db_exec(w->db, "SAVEPOINT one", &j->err);
	if (j->status != SL_OK)
		return;
	j->status = j->fn(w->db, j->arg, &j->err);
	if (j->status != SL_OK)
		sl_db_exec(w->db, "ROLLBACK TO one", NULL);
	sl_db_exec(w->db, "RELEASE one", NULL);
}

static void run_all(struct sl_writer *w, struct job *jobs)
{
	struct sl_err err;
	enum sl_status s = sl_db_exec(w->db, "BEGIN IMMEDIATE", &err);
	for (struct job *j = jobs; j && s == SL_OK; j = j->next) {
		run_one(w, j);
		if (sqlite3_get_autocommit(w->db->h)) { /* a full disk has ended the whole transaction */
			s = j->status;
			err = j->err;
		}
	}
	if (s == SL_OK)
		s = sl_db_exec(w->db, "COMMIT", &err);
	if (s == SL_OK)
		return;
	if (!sqlite3_get_autocommit(w->db->h))
		sl_db_exec(w->db, "ROLLBACK", NULL);
	if (w->lost)
		w->lost(w->arg);
	for (struct job *j = jobs; j; j = j->next)
		if (j->status == SL_OK) {
			j->status = s;
			j->err = err;
		}
}

static void answer(struct sl_writer *w, struct job *jobs)
{
	pthread_mutex_lock(&w->lock);
	for (struct job *j = jobs, *next; j; j = next) {
		next = j->next; /* once it is done and the lock is free, the job is gone */
		j->state = DONE;
		pthread_cond_signal(&j->done);
	}
	pthread_mutex_unlock(&w->lock);
}

/* After the answers, so that no caller waits for the copying of pages. PASSIVE waits for no reader. */
static void checkpoint(struct sl_writer *w)
{
	if (w->wal_pages < SL_WRITER_CHECKPOINT_PAGES)
		return;
	w->wal_pages = 0;
	sqlite3_wal_checkpoint_v2(w->db->h, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void *run(void *arg)
{
	struct sl_writer *w = arg;
	for (struct job *jobs; (jobs = take(w));) {
		run_all(w, jobs);
		answer(w, jobs);
		checkpoint(w);
	}
	return NULL;
}

struct sl_writer *sl_writer_new(struct sl_db *db, void (*lost)(void *), void *arg)
{
	struct sl_writer *w = SL_NEW(struct sl_writer);
	*w = (struct sl_writer){.db = db, .lost = lost, .arg = arg};
	w->last = &w->first;
	pthread_mutex_init(&w->lock, NULL);
	sl_cond_init(&w->more);
	sqlite3_wal_hook(db->h, on_wal, w); /* in place of the automatic checkpoint */
	w->thread = sl_thread_start(db->schema->name, run, w);
	return w;
}

void sl_writer_free(struct sl_writer *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_signal(&w->more);
	pthread_mutex_unlock(&w->lock);
	pthread_join(w->thread, NULL);
	SL_ASSERT(!w->first);
	sl_db_close(w->db);
	pthread_cond_destroy(&w->more);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

static void unlink_job(struct sl_writer *w, struct job *j)
{
	struct job **at = &w->first;
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	if (!j->next)
		w->last = at;
}

enum sl_status sl_writer_run(struct sl_writer *w, sl_write_fn fn, void *arg, int64_t deadline_us, struct sl_err *err)
{
	if (sl_is_past(deadline_us))
		return sl_fail(err, SL_TIMEOUT, "%s: the deadline passed before the write began", w->db->path);
	struct job j = {.fn = fn, .arg = arg};
	sl_cond_init(&j.done);
	pthread_mutex_lock(&w->lock);
	*w->last = &j;
	w->last = &j.next;
	pthread_cond_signal(&w->more);
	while (j.state != DONE) {
		/* Once taken it is seen through: the commit is near, and its outcome would be unknown. */
		bool late = !sl_cond_wait_until(&j.done, &w->lock, j.state == TAKEN ? SL_FOREVER : deadline_us);
		if (late && j.state == WAITING) {
			unlink_job(w, &j);
			j.status = sl_fail(
				&j.err, SL_TIMEOUT, "%s: the deadline passed before the write began", w->db->path);
			break;
		}
	}
	pthread_mutex_unlock(&w->lock);
	pthread_cond_destroy(&j.done);
	if (j.status != SL_OK && err)
		*err = j.err;
	return j.status;
}
