/* SPDX-License-Identifier: Apache-2.0 */
#include "role/spool.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

enum { NAME = 32, READ_TRIES = 10, ASIDE_SHARE = 8 };
#define NUMBER_MAX ((int64_t)1 << 53)

struct kept {
	int64_t number, bytes;
};

struct sl_spool {
	char *dir, *aside_dir;
	int64_t max_bytes;
	pthread_mutex_t lock; /* of all below */
	struct kept *kept; /* [first..n), by number */
	size_t first, n, room;
	int64_t next, bytes; /* bytes: of waiting files and those being written */
	int64_t aside_n, aside_bytes; /* the reasons' bytes too */
	int64_t unread; /* number of the frame that could not be read the last `tries` times */
	int tries;
	bool full;
	struct sl_metric *frames_now, *bytes_now, *aside_now;
};

static void name_of(int64_t number, char ret[NAME])
{
	snprintf(ret, NAME, "%012lld.frame", (long long)number);
}

static int64_t number_of(const char *name)
{
	long long n = strtoll(name, NULL, 10);
	char want[NAME];
	if (n < 0 || n > NUMBER_MAX)
		return -1;
	name_of(n, want);
	return strcmp(name, want) ? -1 : n;
}

static char *path_of(const char *dir, int64_t number)
{
	char name[NAME];
	name_of(number, name);
	return sl_fs_join(dir, name);
}

/* Under lock. */
static void show(const struct sl_spool *s)
{
	sl_metric_set(s->frames_now, (double)(s->n - s->first));
	sl_metric_set(s->bytes_now, (double)s->bytes);
	sl_metric_set(s->aside_now, (double)s->aside_n);
}

/* Under lock. Frames that are kept at once may end in another order than they were numbered. */
static void add(struct sl_spool *s, int64_t number, int64_t bytes)
{
	if (s->n == s->room) {
		if (s->first) {
			memmove(s->kept, s->kept + s->first, (s->n - s->first) * sizeof(*s->kept));
			s->n -= s->first;
			s->first = 0;
		}
		s->room = SL_MAX(2 * s->n, 64);
		s->kept = sl_realloc(s->kept, s->room, sizeof(*s->kept));
	}
	size_t at = s->n++;
	for (; at > s->first && s->kept[at - 1].number > number; at--)
		s->kept[at] = s->kept[at - 1];
	s->kept[at] = (struct kept){number, bytes};
}

/* Half a file that a kill left: NUMBER.frame.ID.tmp */
static bool is_half(const char *name)
{
	const char *mark = strstr(name, ".frame."), *end = strrchr(name, '.');
	return mark && strspn(name, "0123456789") == (size_t)(mark - name) && !strcmp(end, ".tmp");
}

/* Whatever else lies there is somebody else's and stays. */
static enum sl_status take_up(const char *name, void *arg, struct sl_err *err)
{
	struct sl_spool *s = arg;
	SL_AUTOFREE char *path = sl_fs_join(s->dir, name);
	int64_t number = number_of(name);
	if (number >= 0 && sl_fs_is_file(path)) {
		int64_t bytes = SL_MAX(sl_fs_size(path), 0);
		add(s, number, bytes);
		s->bytes += bytes;
		s->next = SL_MAX(s->next, number + 1);
	} else if (is_half(name)) {
		unlink(path);
	}
	return SL_OK;
}

static enum sl_status take_up_aside(const char *name, void *arg, struct sl_err *err)
{
	struct sl_spool *s = arg;
	SL_AUTOFREE char *path = sl_fs_join(s->aside_dir, name);
	int64_t number = number_of(name);
	s->aside_bytes += SL_MAX(sl_fs_size(path), 0);
	s->aside_n += number >= 0;
	s->next = SL_MAX(s->next, number + 1);
	return SL_OK;
}

enum sl_status sl_spool_open(const char *dir, int64_t max_bytes, struct sl_spool **ret, struct sl_err *err)
{
	struct sl_spool *s = SL_NEW(struct sl_spool);
	s->dir = sl_strdup(dir);
	s->aside_dir = sl_fs_join(dir, "aside");
	s->max_bytes = max_bytes;
	s->next = 1;
	s->frames_now = sl_gauge("signloop_spool_frames", NULL, "Frames kept while stores are away");
	s->bytes_now = sl_gauge("signloop_spool_bytes", NULL, "Bytes of the frames that are kept");
	s->aside_now = sl_gauge("signloop_spool_aside", NULL, "Kept frames that could not be read");
	pthread_mutex_init(&s->lock, NULL);
	enum sl_status st = sl_fs_mkdirs(s->dir, err);
	if (st == SL_OK)
		st = sl_fs_sync_folder_of(s->dir, err); /* what a power cut takes the folder of is not kept */
	if (st == SL_OK)
		st = sl_fs_each(s->dir, take_up, s, err);
	if (st == SL_OK && sl_fs_is_dir(s->aside_dir))
		st = sl_fs_each(s->aside_dir, take_up_aside, s, err);
	if (st != SL_OK) {
		sl_spool_free(s);
		return st;
	}
	show(s);
	*ret = s;
	return SL_OK;
}

void sl_spool_free(struct sl_spool *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s->kept);
	free(s->dir);
	free(s->aside_dir);
	free(s);
}

/* ---- keeping ---- */

static enum sl_status print_file(json_t *meta, struct sl_slice image, struct sl_buf *ret)
{
	char sha256[SL_HEX_SHA256];
	SL_AUTOJSON json_t *head = json_copy(meta);
	sl_sha256_hex(image.ptr, image.len, sha256);
	json_object_set_new(head, "v", json_integer(1));
	json_object_set_new(head, "bytes", json_integer((json_int_t)image.len));
	json_object_set_new(head, "sha256", json_string(sha256));
	enum sl_status s = sl_json_print(head, ret);
	if (s == SL_OK)
		s = sl_buf_puts(ret, "\n");
	return s == SL_OK ? sl_buf_add(ret, image.ptr, image.len) : s;
}

static enum sl_status reserve(struct sl_spool *s, int64_t bytes, int64_t *ret_number, struct sl_err *err)
{
	enum sl_status st = SL_OK;
	if (bytes > s->max_bytes)
		return sl_fail(err, SL_TOO_LARGE,
			"stores are away, and the frame is larger than all that is kept (frames.spool_bytes)");
	pthread_mutex_lock(&s->lock);
	s->full = s->bytes + bytes > s->max_bytes;
	if (s->full)
		st = sl_fail(err, SL_BUSY,
			"stores are away, and there is no room to keep the frame (frames.spool_bytes): try again");
	else {
		s->bytes += bytes;
		*ret_number = s->next++;
	}
	pthread_mutex_unlock(&s->lock);
	return st;
}

/* Under a number that no file has. */
static enum sl_status write_new(struct sl_spool *s, struct sl_slice file, int64_t *number, struct sl_err *err)
{
	for (;;) {
		SL_AUTOFREE char *path = path_of(s->dir, *number);
		enum sl_status st = sl_fs_write(path, file, false, err);
		if (st == SL_OK)
			return st;
		if (st != SL_EXISTS) {
			unlink(path); /* it may be there, but not for sure: the sender sends it again */
			return st;
		}
		pthread_mutex_lock(&s->lock);
		*number = s->next++;
		pthread_mutex_unlock(&s->lock);
	}
}

enum sl_status sl_spool_put(struct sl_spool *s, json_t *meta, struct sl_slice image, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	int64_t number = 0;
	if (print_file(meta, image, &file) != SL_OK)
		return sl_fail(err, SL_TOO_LARGE, "a frame of %zu bytes is too large to keep", image.len);
	enum sl_status st = reserve(s, (int64_t)file.len, &number, err);
	if (st != SL_OK)
		return st;
	st = write_new(s, sl_buf_slice(&file), &number, err);
	pthread_mutex_lock(&s->lock);
	if (st == SL_OK)
		add(s, number, (int64_t)file.len);
	else
		s->bytes -= (int64_t)file.len;
	show(s);
	pthread_mutex_unlock(&s->lock);
	return st;
}

bool sl_spool_is_full(struct sl_spool *s)
{
	pthread_mutex_lock(&s->lock);
	bool full = s->full;
	pthread_mutex_unlock(&s->lock);
	return full;
}

/* ---- taking ---- */

void sl_spooled_done(struct sl_spooled *f)
{
	json_decref(f->meta);
	sl_buf_done(&f->file);
	*f = (struct sl_spooled){0};
}

static enum sl_status parse_file(struct sl_spooled *f, const char *path, struct sl_err *err)
{
	const uint8_t *end = f->file.len ? memchr(f->file.ptr, '\n', f->file.len) : NULL;
	char sha256[SL_HEX_SHA256] = "";
	const char *want = NULL;
	if (!end)
		return sl_fail(err, SL_CORRUPT, "%s: has no first line", path);
	size_t head = (size_t)(end - f->file.ptr);
	enum sl_status s = sl_json_parse(sl_slice(f->file.ptr, head), path, &f->meta, err);
	if (s == SL_OK)
		s = sl_json_str(f->meta, path, "sha256", &want, err);
	if (s != SL_OK)
		return sl_fail(err, SL_CORRUPT, "%s: its first line is not what was written", path);
	f->image = sl_slice(end + 1, f->file.len - head - 1);
	sl_sha256_hex(f->image.ptr, f->image.len, sha256);
	return strcmp(sha256, want) ? sl_fail(err, SL_CORRUPT, "%s: its bytes are not what was kept", path) : SL_OK;
}

/* What cannot be read READ_TRIES times is as good as damaged: those behind it wait no longer. */
static enum sl_status read_file(struct sl_spool *s, const char *path, struct sl_spooled *ret, struct sl_err *err)
{
	enum sl_status st = sl_fs_read(path, &ret->file, err);
	if (st == SL_NOT_FOUND) /* somebody took it away */
		return sl_fail(err, SL_CORRUPT, "%s: is gone", path);
	if (st != SL_IO)
		return st;
	s->tries = s->unread == ret->number ? s->tries + 1 : 1;
	s->unread = ret->number;
	if (s->tries < READ_TRIES)
		return st;
	return sl_prefix(err, SL_CORRUPT, "cannot be read, tried %d times", s->tries);
}

enum sl_status sl_spool_first(struct sl_spool *s, struct sl_spooled *ret, struct sl_err *err)
{
	pthread_mutex_lock(&s->lock);
	bool any = s->first < s->n;
	int64_t number = any ? s->kept[s->first].number : 0;
	pthread_mutex_unlock(&s->lock);
	if (!any)
		return sl_fail(err, SL_NOT_FOUND, "no frame is kept");
	SL_AUTOFREE char *path = path_of(s->dir, number);
	*ret = (struct sl_spooled){.number = number};
	enum sl_status st = read_file(s, path, ret, err);
	return st == SL_OK ? parse_file(ret, path, err) : st;
}

/* Under lock. */
static int64_t forget(struct sl_spool *s, int64_t number)
{
	size_t at = s->first;
	while (at < s->n && s->kept[at].number != number)
		at++;
	SL_ASSERT(at < s->n);
	int64_t bytes = s->kept[at].bytes;
	memmove(&s->kept[s->first + 1], &s->kept[s->first], (at - s->first) * sizeof(*s->kept));
	s->first++;
	return bytes;
}

void sl_spool_done(struct sl_spool *s, int64_t number)
{
	SL_AUTOFREE char *path = path_of(s->dir, number);
	unlink(path); /* a power cut may bring it back: then it is stored again, which changes nothing */
	pthread_mutex_lock(&s->lock);
	s->bytes -= forget(s, number);
	s->full = false;
	show(s);
	pthread_mutex_unlock(&s->lock);
}

struct trim {
	struct sl_spool *s;
	int64_t newest, frames; /* frames: that went */
};

/* Under a name that sorts by age. */
static enum sl_status drop_oldest(const char *name, void *arg, struct sl_err *err)
{
	struct trim *t = arg;
	struct sl_spool *s = t->s;
	SL_AUTOFREE char *path = sl_fs_join(s->aside_dir, name);
	int64_t bytes = SL_MAX(sl_fs_size(path), 0);
	if (s->aside_bytes <= s->max_bytes / ASIDE_SHARE || atoll(name) == t->newest || unlink(path))
		return SL_OK;
	t->frames += number_of(name) >= 0;
	pthread_mutex_lock(&s->lock);
	s->aside_bytes -= bytes;
	s->aside_n -= number_of(name) >= 0;
	pthread_mutex_unlock(&s->lock);
	return SL_OK;
}

/* Those set aside have a share of the room of their own; the newest always stays. */
static enum sl_status trim_aside(struct sl_spool *s, int64_t newest, struct sl_err *err)
{
	struct trim t = {s, newest, 0};
	if (s->aside_bytes <= s->max_bytes / ASIDE_SHARE)
		return SL_OK;
	enum sl_status st = sl_fs_each(s->aside_dir, drop_oldest, &t, err);
	if (t.frames)
		sl_log(SL_WARN, "frames", "the oldest frames that were set aside are dropped: they took too much room",
			SL_I("frames", t.frames), SL_S("folder", s->aside_dir));
	return st;
}

/* The reason first: no frame lies there without one. */
static enum sl_status move_aside(
	struct sl_spool *s, int64_t number, const char *why, int64_t *ret_bytes, struct sl_err *err)
{
	SL_AUTOFREE char *from = path_of(s->dir, number);
	SL_AUTOFREE char *to = path_of(s->aside_dir, number);
	SL_AUTOFREE char *note = sl_asprintf("%s.why", to), *line = sl_asprintf("%s\n", why);
	enum sl_status st = sl_fs_mkdirs(s->aside_dir, err);
	if (st == SL_OK)
		st = sl_fs_write(note, sl_slice_str(line), true, err);
	if (st != SL_OK)
		return st;
	*ret_bytes = (int64_t)strlen(line);
	if (!rename(from, to))
		return SL_OK;
	if (errno != ENOENT)
		return sl_fail_errno(err, SL_IO, errno, "%s", to);
	unlink(note); /* somebody took the frame away: nothing is left to explain */
	*ret_bytes = 0;
	return SL_OK;
}

enum sl_status sl_spool_set_aside(struct sl_spool *s, int64_t number, const char *why, struct sl_err *err)
{
	int64_t note = 0;
	enum sl_status st = move_aside(s, number, why, &note, err);
	if (st != SL_OK)
		return st;
	pthread_mutex_lock(&s->lock);
	int64_t bytes = forget(s, number);
	s->bytes -= bytes;
	s->full = false;
	if (note) {
		s->aside_bytes += bytes + note;
		s->aside_n++;
	}
	pthread_mutex_unlock(&s->lock);
	st = trim_aside(s, number, err);
	pthread_mutex_lock(&s->lock);
	show(s);
	pthread_mutex_unlock(&s->lock);
	return st;
}

static enum sl_status count_name(const char *name, void *arg, struct sl_err *err)
{
	*(int64_t *)arg += number_of(name) >= 0;
	return SL_OK;
}

enum sl_status sl_spool_count(const char *dir, int64_t *ret_waiting, int64_t *ret_aside, struct sl_err *err)
{
	SL_AUTOFREE char *aside = sl_fs_join(dir, "aside");
	*ret_waiting = *ret_aside = 0;
	enum sl_status st = sl_fs_is_dir(dir) ? sl_fs_each(dir, count_name, ret_waiting, err) : SL_OK;
	return st == SL_OK && sl_fs_is_dir(aside) ? sl_fs_each(aside, count_name, ret_aside, err) : st;
}
