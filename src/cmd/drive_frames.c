/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the cars' pictures come from: drawn for each frame, drawn ahead into a pool, or read
 * from a folder. A pooled JPEG that is sent again gets a comment of its own, so that the
 * server meets a new frame each time and not one it has answered before.
 */
#include "base/fs.h"
#include "base/mem.h"
#include "cmd/drive.h"
#include <stdio.h>
#include <unistd.h>

static enum sl_status draw(struct sl_drive *d, unsigned car, uint64_t n, struct drive_frame *ret, struct sl_err *err)
{
	SL_AUTO(sl_image_done) struct sl_image im = sl_image_new(SL_SCENE_W, SL_SCENE_H);

	sl_scene_draw((uint64_t)d->seed, car, n, &im, &ret->truth);
	ret->has_truth = true;
	ret->type = "image/jpeg";
	ret->bytes.len = 0;
	return sl_jpeg_encode(&im, DRIVE_JPEG_QUALITY, false, &ret->bytes, err);
}

/* Frame i of the run: the cars take turns. */
static enum sl_status draw_nth(struct sl_drive *d, int64_t i, struct drive_frame *ret, struct sl_err *err)
{
	return draw(d, (unsigned)(i % d->cars), (uint64_t)(i / d->cars), ret, err);
}

struct names {
	struct sl_drive *d;
	const char *dir;
};

static bool has_end(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n > m && strcasecmp(s + n - m, end) == 0;
}

static enum sl_status add_file(const char *name, void *arg, struct sl_err *err)
{
	struct names *t = arg;
	bool png = has_end(name, ".png");

	if (!png && !has_end(name, ".jpg") && !has_end(name, ".jpeg"))
		return SL_OK;
	if (t->d->frames >= DRIVE_FILES)
		return sl_fail(err, SL_TOO_LARGE, "%s has more than %d pictures: choose a smaller folder", t->dir,
			DRIVE_FILES);
	SL_AUTOFREE char *path = sl_fs_join(t->dir, name);
	t->d->frame = sl_realloc(t->d->frame, (size_t)t->d->frames + 1, sizeof(*t->d->frame));
	struct drive_frame *f = &t->d->frame[t->d->frames];
	*f = (struct drive_frame){.type = png ? "image/png" : "image/jpeg", .bytes.cap = DRIVE_FILE_BYTES};
	t->d->frames++;
	return sl_fs_read(path, &f->bytes, err);
}

static enum sl_status load_folder(struct sl_drive *d, struct sl_err *err)
{
	struct names t = {d, d->frames_dir};
	enum sl_status s;

	if (!sl_fs_is_dir(d->frames_dir))
		return sl_fail(err, SL_USAGE, "--frames: there is no folder %s", d->frames_dir);
	s = sl_fs_each(d->frames_dir, add_file, &t, err);
	if (s == SL_OK && d->frames == 0)
		return sl_fail(err, SL_USAGE, "--frames: %s has no .jpg, .jpeg or .png file", d->frames_dir);
	return s;
}

struct filler {
	struct sl_drive *d;
	_Atomic int next;
};

static void *fill(void *arg)
{
	struct filler *f = arg;
	int i;

	while ((i = f->next++) < f->d->frames && !atomic_load(&f->d->cancel))
		if (draw_nth(f->d, i, &f->d->frame[i], NULL) != SL_OK)
			SL_BUG("a drawn scene could not be encoded");
	return NULL;
}

static void fill_pool(struct sl_drive *d)
{
	struct filler f = {.d = d};
	long cores = SL_MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
	pthread_t thread[64];
	int n = (int)SL_MIN(cores, (long)SL_COUNT(thread));

	d->frames = (int)d->pool;
	d->frame = SL_NEW_N(struct drive_frame, (size_t)d->frames);
	if (!d->quiet)
		fprintf(stderr, "drawing %d scenes ...\n", d->frames);
	for (int i = 0; i < n; i++)
		thread[i] = sl_thread_start("draw", fill, &f);
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
}

enum sl_status drive_load(struct sl_drive *d, struct sl_err *err)
{
	if (d->frames_dir)
		return load_folder(d, err);
	if (d->demo && d->pool > 0)
		fill_pool(d);
	return SL_OK;
}

enum sl_status drive_save(struct sl_drive *d, struct sl_err *err)
{
	enum sl_status s = sl_fs_mkdirs(d->save_dir, err);
	struct drive_frame f = {0};

	SL_AUTO(sl_buf_done) struct sl_buf truth = {0};
	SL_AUTOFREE char *list = sl_fs_join(d->save_dir, "gt.txt");

	for (int64_t i = 0; s == SL_OK && i < d->count; i++) {
		SL_AUTOFREE char *name = sl_asprintf("%s/%05lld.jpg", d->save_dir, (long long)i);

		s = draw_nth(d, i, &f, err);
		for (int k = 0; s == SL_OK && k < f.truth.n; k++) {
			const struct sl_box *b = &f.truth.sign[k].box;

			s = sl_buf_printf(&truth, "%05lld.jpg;%.0f;%.0f;%.0f;%.0f;%d\n", (long long)i, b->x, b->y,
				b->x + b->w, b->y + b->h, f.truth.sign[k].cls);
		}
		if (s == SL_OK)
			s = sl_fs_write(name, sl_buf_slice(&f.bytes), true, err);
	}
	if (s == SL_OK)
		s = sl_fs_write(list, sl_buf_slice(&truth), true, err);
	sl_buf_done(&f.bytes);
	return s;
}

/* A comment segment right behind the start marker. */
static void mark(const struct sl_drive *d, int64_t n, const struct drive_frame *from, struct drive_frame *ret)
{
	char text[80];
	int len = snprintf(text, sizeof(text), "signloop drive %s %lld", d->run_id, (long long)n);
	const uint8_t head[4] = {0xff, 0xfe, 0, (uint8_t)(len + 2)};

	sl_buf_add(&ret->bytes, from->bytes.ptr, 2);
	sl_buf_add(&ret->bytes, head, 4);
	sl_buf_add(&ret->bytes, text, (size_t)len);
	sl_buf_add(&ret->bytes, from->bytes.ptr + 2, from->bytes.len - 2);
}

enum sl_status drive_frame_of(struct sl_drive *d, int64_t n, struct drive_frame *ret, struct sl_err *err)
{
	if (d->frames == 0)
		return draw_nth(d, n, ret, err);
	const struct drive_frame *f = &d->frame[n % d->frames];
	ret->bytes.len = 0;
	ret->type = f->type;
	ret->truth = f->truth;
	ret->has_truth = f->has_truth;
	if ((d->demo || d->mark) && n >= (d->mark ? 0 : d->frames) && f->bytes.len > 2 && f->bytes.ptr[0] == 0xff)
		mark(d, n, f, ret);
	else
		sl_buf_add(&ret->bytes, f->bytes.ptr, f->bytes.len);
	return SL_OK;
}

void drive_frames_done(struct sl_drive *d)
{
	for (int i = 0; i < d->frames; i++)
		sl_buf_done(&d->frame[i].bytes);
	free(d->frame);
}
