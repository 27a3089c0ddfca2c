/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/dir/dir.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

struct folder {
	char *root;
};

#define LOCK_FILE ".lock" /* no object's name: parts do not begin with a dot */
#define SUM ".sha256"

/* Writers of one path take turns, those of different paths do not wait: a lock on one byte,
 * chosen by the path. The kernel drops it with its process. */
static enum sl_status lock_path(const struct folder *f, const char *path, int *ret_fd, struct sl_err *err)
{
	SL_AUTOFREE char *file = sl_fs_join(f->root, LOCK_FILE);
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = sl_fnv1a(path), .l_len = 1};
	int rc = -1;
	while (fd >= 0 && (rc = fcntl(fd, F_OFD_SETLKW, &l)) && errno == EINTR)
		;
	if (rc) {
		enum sl_status s = sl_fail_errno(err, SL_IO, errno, "%s: cannot lock", file);
		if (fd >= 0)
			close(fd);
		return s;
	}
	*ret_fd = fd;
	return SL_OK;
}

static enum sl_status sync_folder(const char *path, struct sl_err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum sl_status s = fd < 0 || fsync(fd) ? sl_fail_errno(err, SL_IO, errno, "%s", path) : SL_OK;
	if (fd >= 0)
		close(fd);
	return s;
}

/* Makes the folders between root and the object; each lasts before something is in it. */
static enum sl_status make_folders(const struct folder *f, const char *path, struct sl_err *err)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		SL_AUTOFREE char *dir = sl_asprintf("%s/%.*s", f->root, (int)(slash - path), path);
		if (mkdir(dir, 0777)) {
			if (errno != EEXIST)
				return sl_fail_errno(err, SL_IO, errno, "%s", dir);
			if (!sl_fs_is_dir(dir))
				return sl_fail(err, SL_CONFLICT,
					"artifact %s: %s is an object, and cannot be its folder too", path, dir);
			continue;
		}
		SL_AUTOFREE char *parent = sl_strdup(dir);
		*strrchr(parent, '/') = 0;
		enum sl_status s = sync_folder(parent, err);
		if (s != SL_OK)
			return s;
	}
	return SL_OK;
}

static enum sl_status put_locked(
	const struct folder *f, const char *path, const char *file, struct sl_slice bytes, struct sl_err *err)
{
	if (sl_fs_is_dir(file))
		return sl_fail(err, SL_CONFLICT, "artifact %s: is the folder of other objects", path);
	if (sl_fs_is_file(file))
		return sl_fail(err, SL_EXISTS, "artifact %s is there already", path);
	enum sl_status s = make_folders(f, path, err);
	if (s != SL_OK)
		return s;
	char hex[SL_HEX_SHA256];
	sl_sha256_hex(bytes.ptr, bytes.len, hex);
	const char *name = strrchr(path, '/');
	SL_AUTOFREE char *sum_file = sl_asprintf("%s" SUM, file);
	SL_AUTOFREE char *sum = sl_asprintf("%s  %s\n", hex, name ? name + 1 : path);
	s = sl_fs_write(sum_file, sl_slice_str(sum), true, err);
	return s == SL_OK ? sl_fs_write(file, bytes, false, err) : s;
}

static enum sl_status put(void *self, const char *path, struct sl_slice bytes, struct sl_err *err)
{
	const struct folder *f = self;
	SL_AUTOFREE char *file = sl_fs_join(f->root, path);
	int fd;
	enum sl_status s = lock_path(f, path, &fd, err);
	if (s != SL_OK)
		return s;
	s = put_locked(f, path, file, bytes, err);
	close(fd);
	return s;
}

static enum sl_status check_sum(const char *file, struct sl_slice bytes, struct sl_err *err)
{
	char hex[SL_HEX_SHA256];
	SL_AUTOFREE char *sum_file = sl_asprintf("%s" SUM, file);
	SL_AUTO(sl_buf_done) struct sl_buf sum = {.cap = 1024};
	enum sl_status s = sl_fs_read(sum_file, &sum, err);
	if (s == SL_NOT_FOUND || s == SL_TOO_LARGE)
		return sl_fail(err, SL_CORRUPT, "%s: is missing or no checksum; restore it from a copy", sum_file);
	if (s != SL_OK)
		return s;
	sl_sha256_hex(bytes.ptr, bytes.len, hex);
	if (sum.len < SL_HEX_SHA256 - 1 || memcmp(sum.ptr, hex, SL_HEX_SHA256 - 1))
		return sl_fail(err, SL_CORRUPT,
			"%s: its bytes are not what was stored (see %s); restore it from a copy", file, sum_file);
	return SL_OK;
}

static enum sl_status read_checked(const char *path, const char *file, struct sl_buf *ret, struct sl_err *err)
{
	size_t at = ret->len;
	if (!sl_fs_is_file(file))
		return sl_fail(err, SL_NOT_FOUND, "no artifact %s", path);
	enum sl_status s = sl_fs_read(file, ret, err);
	if (s == SL_OK)
		s = check_sum(file, sl_slice(ret->ptr + at, ret->len - at), err);
	if (s != SL_OK && ret->ptr) {
		ret->len = at;
		ret->ptr[at] = 0;
	}
	return s;
}

/* Reads without the lock: an object does not change. What looks corrupt is read again under
 * it, for a writer may have removed the object, or put another, between file and checksum. */
static enum sl_status get(void *self, const char *path, struct sl_buf *ret, struct sl_err *err)
{
	const struct folder *f = self;
	SL_AUTOFREE char *file = sl_fs_join(f->root, path);
	int fd;
	enum sl_status s = read_checked(path, file, ret, err);
	if (s != SL_CORRUPT || (s = lock_path(f, path, &fd, err)) != SL_OK)
		return s;
	s = read_checked(path, file, ret, err);
	close(fd);
	return s;
}

struct walk {
	const struct folder *f;
	const char *prefix, *at; /* at: the folder below root, "" or "a/b/" */
	struct sl_artifact_list *ret;
	int size;
};

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n >= m && !strcmp(s + n - m, end);
}

static void keep(struct walk *w, const char *path, int64_t size)
{
	if (w->ret->n == w->size) {
		w->size = w->size ? 2 * w->size : 64;
		w->ret->path = sl_realloc(w->ret->path, (size_t)w->size, sizeof(*w->ret->path));
		w->ret->size = sl_realloc(w->ret->size, (size_t)w->size, sizeof(*w->ret->size));
	}
	snprintf(w->ret->path[w->ret->n], SL_ARTIFACT_PATH, "%s", path);
	w->ret->size[w->ret->n++] = size;
}

static enum sl_status visit(const char *name, void *arg, struct sl_err *err)
{
	struct walk *w = arg;
	SL_AUTOFREE char *path = sl_asprintf("%s%s", w->at, name);
	SL_AUTOFREE char *file = sl_fs_join(w->f->root, path);
	size_t n = strlen(path), m = strlen(w->prefix);
	if (*name == '.' || ends_with(name, SUM) || ends_with(name, ".tmp") || n >= SL_ARTIFACT_PATH)
		return SL_OK; /* the lock, checksums, and what a killed writer left */
	if (sl_fs_is_file(file)) {
		if (n >= m && !strncmp(path, w->prefix, m))
			keep(w, path, sl_fs_size(file));
		return SL_OK;
	}
	if (!sl_fs_is_dir(file) || strncmp(path, w->prefix, SL_MIN(n, m)))
		return SL_OK;
	SL_AUTOFREE char *below = sl_asprintf("%s/", path);
	struct walk in = *w;
	in.at = below;
	enum sl_status s = sl_fs_each(file, visit, &in, err);
	w->size = in.size;
	return s;
}

static enum sl_status list(void *self, const char *prefix, struct sl_artifact_list *ret, struct sl_err *err)
{
	struct walk w = {.f = self, .prefix = prefix, .at = "", .ret = ret};
	return sl_fs_each(w.f->root, visit, &w, err);
}

static enum sl_status remove_file(const char *file, struct sl_err *err)
{
	return unlink(file) && errno != ENOENT && errno != ENOTDIR && errno != EISDIR
		       ? sl_fail_errno(err, SL_IO, errno, "%s", file)
		       : SL_OK;
}

/* The object first: a checksum alone is nothing, an object alone would be corrupt. */
static enum sl_status remove_artifact(void *self, const char *path, struct sl_err *err)
{
	const struct folder *f = self;
	SL_AUTOFREE char *file = sl_fs_join(f->root, path);
	SL_AUTOFREE char *sum_file = sl_asprintf("%s" SUM, file);
	int fd;
	enum sl_status s = lock_path(f, path, &fd, err);
	if (s != SL_OK)
		return s;
	bool was = sl_fs_is_file(file);
	s = remove_file(file, err);
	if (s == SL_OK)
		s = remove_file(sum_file, err);
	SL_AUTOFREE char *dir = sl_strdup(file);
	*strrchr(dir, '/') = 0;
	if (s == SL_OK && was)
		s = sync_folder(dir, err);
	close(fd);
	return s;
}

static void close_folder(void *self)
{
	struct folder *f = self;
	free(f->root);
	free(f);
}

static enum sl_status open_folder(struct sl_url *url, const struct sl_config *cfg, void **ret, struct sl_err *err)
{
	enum sl_status s = sl_fs_mkdirs(url->path, err);
	if (s != SL_OK)
		return s;
	struct folder *f = SL_NEW(struct folder);
	f->root = sl_strdup(url->path);
	for (size_t n = strlen(f->root); n > 1 && f->root[n - 1] == '/';)
		f->root[--n] = 0;
	*ret = f;
	return SL_OK;
}

const struct sl_artifacts_ops sl_dir_artifacts = {
	.open = open_folder,
	.close = close_folder,
	.put = put,
	.get = get,
	.list = list,
	.remove = remove_artifact,
};
