/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wrap/wrap.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include <stdatomic.h>

enum { HANG_MAX_MS = 600000 };

static enum sl_status trace_enter(struct sl_hook *h, struct sl_call *c, struct sl_err *err)
{
	c->start_us = sl_mono_us();
	return SL_OK;
}

static enum sl_status trace_leave(struct sl_hook *h, struct sl_call *c, enum sl_status s, struct sl_err *err)
{
	sl_log(SL_DEBUG, "store", "call", SL_S("store", c->store), SL_S("call", c->name),
		SL_S("status", sl_status_name(s)), SL_I("us", sl_mono_us() - c->start_us));
	return s;
}

static void trace_free(struct sl_hook *h)
{
	free(h);
}

struct fault {
	struct sl_hook hook;
	int64_t every;
	bool after;
	enum sl_status status;
	char *calls; /* ",vote,lease,"; NULL: all */
	char *file; /* NULL: always */
	int64_t hang_ms;
	_Atomic int64_t n;
};

static void hang(int64_t ms)
{
	int64_t until = sl_deadline_ms(ms);
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t never;
	sl_cond_init(&never);
	pthread_mutex_lock(&lock);
	while (sl_cond_wait_until(&never, &lock, until))
		;
	pthread_mutex_unlock(&lock);
	pthread_cond_destroy(&never);
}

static bool is_hit(struct fault *f, const struct sl_call *c)
{
	bool opens = !strcmp(c->name, "open");
	if (f->file ? !sl_fs_is_file(f->file) : opens)
		return false;
	if (f->calls) {
		SL_AUTOFREE char *word = sl_asprintf(",%s,", c->name);
		if (!strstr(f->calls, word))
			return false;
	}
	return (atomic_fetch_add(&f->n, 1) + 1) % f->every == 0;
}

static enum sl_status fault_enter(struct sl_hook *h, struct sl_call *c, struct sl_err *err)
{
	struct fault *f = (struct fault *)h;
	if (!is_hit(f, c))
		return SL_OK;
	if (f->hang_ms)
		hang(f->hang_ms);
	c->lost = f->after && strcmp(c->name, "poll");
	return c->lost ? SL_OK : sl_fail(err, f->status, "fault: %s.%s failed before its effect", c->store, c->name);
}

static enum sl_status fault_leave(struct sl_hook *h, struct sl_call *c, enum sl_status s, struct sl_err *err)
{
	struct fault *f = (struct fault *)h;
	if (!c->lost || s != SL_OK)
		return s;
	return sl_fail(err, f->status, "fault: the answer of %s.%s was lost", c->store, c->name);
}

static void fault_free(struct sl_hook *h)
{
	struct fault *f = (struct fault *)h;
	free(f->calls);
	free(f->file);
	free(f);
}

static enum sl_status parse_status(const char *name, enum sl_status *ret, struct sl_err *err)
{
	for (int s = SL_OK + 1; s <= SL_CANCELLED; s++)
		if (!strcmp(name, sl_status_name((enum sl_status)s))) {
			*ret = (enum sl_status)s;
			return SL_OK;
		}
	return sl_fail(err, SL_USAGE, "fault+: no status is called '%s'; use TIMEOUT, AWAY, IO or BUSY", name);
}

static enum sl_status fault_new(struct sl_url *u, struct sl_hook **ret, struct sl_err *err)
{
	const char *file = sl_url_option(u, "file");
	int64_t every = file ? 1 : 10, hang_ms = 0;
	enum sl_status fail = file ? SL_AWAY : SL_TIMEOUT;
	enum sl_status s = sl_url_int(u, "every", 1, INT64_MAX, &every, err);
	const char *when = sl_url_option(u, "when"), *status = sl_url_option(u, "status"),
		   *calls = sl_url_option(u, "calls");
	if (s == SL_OK)
		s = sl_url_int(u, "hang_ms", 0, HANG_MAX_MS, &hang_ms, err);
	if (s == SL_OK && when && strcmp(when, "before") && strcmp(when, "after"))
		s = sl_fail(err, SL_USAGE, "fault+: when is '%s'; use before or after", when);
	if (s == SL_OK && status)
		s = parse_status(status, &fail, err);
	if (s != SL_OK)
		return s;
	struct fault *f = SL_NEW(struct fault);
	f->hook = (struct sl_hook){fault_enter, fault_leave, fault_free};
	f->every = every;
	f->after = when && !strcmp(when, "after");
	f->status = fail;
	f->file = sl_strdup(file);
	f->hang_ms = hang_ms;
	f->calls = calls ? sl_asprintf(",%s,", calls) : NULL;
	*ret = &f->hook;
	return SL_OK;
}

enum sl_status sl_hook_new(const char *name, struct sl_url *url, struct sl_hook **ret, struct sl_err *err)
{
	if (!strcmp(name, "fault"))
		return fault_new(url, ret, err);
	if (strcmp(name, "trace"))
		return sl_fail(err, SL_USAGE, "store URL '%s': no prefix is called '%s+'; use trace+ or fault+",
			url->text, name);
	*ret = SL_NEW(struct sl_hook);
	**ret = (struct sl_hook){trace_enter, trace_leave, trace_free};
	return SL_OK;
}
