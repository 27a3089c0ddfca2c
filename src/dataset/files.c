/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/files.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <strings.h>

bool sl_name_ends(const char *name, const char *suffix)
{
	size_t n = strlen(name), k = strlen(suffix);

	return n >= k && strcasecmp(name + n - k, suffix) == 0;
}

bool sl_name_is_image(const char *name)
{
	return sl_name_ends(name, ".jpg") || sl_name_ends(name, ".jpeg") || sl_name_ends(name, ".png");
}

static bool is_archive(const char *name)
{
	return sl_name_ends(name, ".tar") || sl_name_ends(name, ".tar.gz") || sl_name_ends(name, ".tgz") ||
	       sl_name_ends(name, ".tar.xz") || sl_name_ends(name, ".tar.zst");
}

void sl_files_done(struct sl_files *f)
{
	for (int i = 0; i < f->n; i++) {
		free(f->file[i].name);
		free(f->file[i].path);
		sl_buf_done(&f->file[i].bytes);
	}
	free(f->file);
	*f = (struct sl_files){0};
}

static struct sl_file *add(struct sl_files *f, const char *name)
{
	if (f->n == f->room) {
		f->room = f->room ? 2 * f->room : 64;
		f->file = sl_realloc(f->file, f->room, sizeof *f->file);
	}
	f->file[f->n] = (struct sl_file){.name = sl_strdup(name)};
	return &f->file[f->n++];
}

static void archive_freep(struct archive **a)
{
	archive_read_free(*a);
}

static enum sl_status read_entry(struct archive *a, struct sl_file *f, int64_t *total, struct sl_err *err)
{
	char part[65536];
	la_ssize_t n;

	f->bytes.cap = SL_FILE_BYTES;
	while ((n = archive_read_data(a, part, sizeof part)) > 0) {
		*total += n;
		if (*total > SL_FILES_BYTES)
			return sl_fail(err, SL_TOO_LARGE, "more than %lld bytes unpacked", (long long)SL_FILES_BYTES);
		if (sl_buf_add(&f->bytes, part, n) != SL_OK)
			return sl_fail(
				err, SL_TOO_LARGE, "%s is larger than %lld bytes", f->name, (long long)SL_FILE_BYTES);
	}
	return n < 0 ? sl_fail(err, SL_UNREADABLE, "%s: %s", f->name, archive_error_string(a)) : SL_OK;
}

static enum sl_status read_archive(struct sl_files *f, const char *path, struct sl_err *err)
{
	SL_AUTO(archive_freep) struct archive *a = archive_read_new();
	struct archive_entry *e;
	int64_t total = 0;
	enum sl_status s;
	int r;

	archive_read_support_filter_all(a);
	archive_read_support_format_tar(a);
	if (archive_read_open_filename(a, path, 1 << 20) != ARCHIVE_OK)
		return sl_fail(err, sl_fs_is_file(path) ? SL_UNREADABLE : SL_NOT_FOUND, "%s: %s", path,
			archive_error_string(a));
	while ((r = archive_read_next_header(a, &e)) == ARCHIVE_OK || r == ARCHIVE_WARN) {
		const char *name = archive_entry_pathname(e);

		if (archive_entry_filetype(e) != AE_IFREG || !name)
			continue;
		while (strncmp(name, "./", 2) == 0)
			name += 2;
		s = read_entry(a, add(f, name), &total, err);
		if (s != SL_OK)
			return sl_prefix(err, s, "%s", path);
	}
	if (r != ARCHIVE_EOF)
		return sl_fail(err, SL_UNREADABLE, "%s: %s", path, archive_error_string(a));
	return SL_OK;
}

struct walk {
	struct sl_files *files;
	const char *dir, *prefix;
	bool inner;
};

static enum sl_status walk_dir(struct sl_files *f, const char *dir, const char *prefix, bool inner, struct sl_err *err);

static enum sl_status walk_name(const char *name, void *arg, struct sl_err *err)
{
	struct walk *w = arg;
	SL_AUTOFREE char *path = sl_fs_join(w->dir, name);
	SL_AUTOFREE char *full = *w->prefix ? sl_fs_join(w->prefix, name) : sl_strdup(name);

	if (*name == '.')
		return SL_OK;
	if (sl_fs_is_dir(path))
		return walk_dir(w->files, path, full, w->inner, err);
	if (w->inner && is_archive(name))
		return read_archive(w->files, path, err);
	if (sl_fs_is_file(path))
		add(w->files, full)->path = SL_TAKE(path);
	return SL_OK;
}

static enum sl_status walk_dir(struct sl_files *f, const char *dir, const char *prefix, bool inner, struct sl_err *err)
{
	return sl_fs_each(dir, walk_name, &(struct walk){f, dir, prefix, inner}, err);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct sl_file *)a)->name, ((const struct sl_file *)b)->name);
}

static enum sl_status digest_list(struct sl_files *f, struct sl_err *err)
{
	struct sl_sha256 *h = sl_sha256_new();
	enum sl_status s = SL_OK;

	for (int i = 0; i < f->n && s == SL_OK; i++) {
		SL_AUTO(sl_buf_done) struct sl_buf keep = {0};
		struct sl_slice bytes;

		s = sl_files_read(f, i, &keep, &bytes, err);
		if (s == SL_OK) {
			uint64_t len = bytes.len;
			sl_sha256_add(h, f->file[i].name, strlen(f->file[i].name) + 1);
			sl_sha256_add(h, &len, sizeof len);
			sl_sha256_add(h, bytes.ptr, bytes.len);
		}
	}
	sl_sha256_end_hex(h, f->digest);
	sl_sha256_free(h);
	return s;
}

static enum sl_status digest_file(const char *path, char ret[65], struct sl_err *err)
{
	FILE *in = fopen(path, "rb");
	struct sl_sha256 *h;
	SL_AUTOFREE char *part = sl_alloc(1 << 20);
	size_t n;

	if (!in)
		return sl_fail(err, SL_IO, "%s: cannot be read", path);
	h = sl_sha256_new();
	while ((n = fread(part, 1, 1 << 20, in)) > 0)
		sl_sha256_add(h, part, n);
	sl_sha256_end_hex(h, ret);
	sl_sha256_free(h);
	fclose(in);
	return SL_OK;
}

enum sl_status sl_files_open(const char *path, bool inner, struct sl_files *ret, struct sl_err *err)
{
	SL_AUTO(sl_files_done) struct sl_files f = {0};
	bool dir = sl_fs_is_dir(path);
	enum sl_status s = SL_OK;

	if (!dir && !sl_fs_is_file(path))
		return sl_fail(err, SL_NOT_FOUND, "%s: no such file or folder", path);
	if (dir)
		s = walk_dir(&f, path, "", inner, err);
	else if (is_archive(path))
		s = read_archive(&f, path, err);
	else
		add(&f, strrchr(path, '/') ? strrchr(path, '/') + 1 : path)->path = sl_strdup(path);
	if (s == SL_OK && f.n)
		qsort(f.file, f.n, sizeof *f.file, by_name);
	if (s == SL_OK)
		s = dir ? digest_list(&f, err) : digest_file(path, f.digest, err);
	if (s != SL_OK)
		return s;
	*ret = f;
	f = (struct sl_files){0};
	return SL_OK;
}

int sl_files_find(const struct sl_files *f, const char *name)
{
	struct sl_file key = {.name = (char *)name};
	const struct sl_file *hit = f->n ? bsearch(&key, f->file, f->n, sizeof key, by_name) : NULL;

	return hit ? (int)(hit - f->file) : -1;
}

enum sl_status sl_files_read(
	const struct sl_files *f, int i, struct sl_buf *keep, struct sl_slice *ret, struct sl_err *err)
{
	if (!f->file[i].path) {
		*ret = sl_buf_slice(&f->file[i].bytes);
		return SL_OK;
	}
	sl_buf_done(keep);
	keep->cap = SL_FILE_BYTES;
	enum sl_status s = sl_fs_read(f->file[i].path, keep, err);
	if (s == SL_OK)
		*ret = sl_buf_slice(keep);
	return s;
}
