/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/digest.h"
#include "base/mem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

enum sl_status sl_fs_read(const char *path, struct sl_buf *ret, struct sl_err *err)
{
	SL_AUTO(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return sl_fail_errno(err, errno == ENOENT ? SL_NOT_FOUND : SL_IO, errno, "%s", path);
	struct stat st;
	if (!fstat(fd, &st) && S_ISDIR(st.st_mode))
		return sl_fail(err, SL_INVALID, "%s: is a folder; a file is wanted", path);
	size_t cap = ret->cap ? ret->cap : SL_BUF_CAP;
	for (;;) {
		uint8_t over[1]; /* at the cap: one byte more tells whether the file ends here */
		size_t room = SL_MIN(cap - ret->len, (size_t)1 << 20);
		(void)sl_buf_reserve(ret, room);
		ssize_t n = read(fd, room ? ret->ptr + ret->len : over, room ? room : 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sl_fail_errno(err, SL_IO, errno, "%s", path);
		if (n && !room)
			return sl_fail(err, SL_TOO_LARGE, "%s: larger than the limit of %zu bytes", path, cap);
		ret->len += (size_t)n;
		ret->ptr[ret->len] = 0;
		if (!n)
			return SL_OK;
	}
}

static enum sl_status write_all(int fd, const char *path, struct sl_slice b, struct sl_err *err)
{
	while (b.len) {
		ssize_t n = write(fd, b.ptr, b.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return sl_fail_errno(err, SL_IO, errno, "%s", path);
		b.ptr += n;
		b.len -= (size_t)n;
	}
	return fsync(fd) ? sl_fail_errno(err, SL_IO, errno, "%s", path) : SL_OK;
}

enum sl_status sl_fs_sync_folder_of(const char *path, struct sl_err *err)
{
	SL_AUTOFREE char *dir = sl_strdup(path);
	char *slash = strrchr(dir, '/');
	if (slash)
		slash[slash == dir] = 0;
	SL_AUTO(close_fd) int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd))
		return sl_fail_errno(err, SL_IO, errno, "%s", slash ? dir : ".");
	return SL_OK;
}

enum sl_status sl_fs_write(const char *path, struct sl_slice bytes, bool replace, struct sl_err *err)
{
	char id[33];
	sl_random_id(id);
	SL_AUTOFREE char *tmp = sl_asprintf("%s.%.12s.tmp", path, id);
	SL_AUTO(close_fd) int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return sl_fail_errno(err, SL_IO, errno, "%s", tmp);
	enum sl_status s = write_all(fd, tmp, bytes, err);
	if (s == SL_OK && (replace ? rename(tmp, path) : link(tmp, path)))
		s = errno == EEXIST ? sl_fail(err, SL_EXISTS, "%s: is there already", path)
				    : sl_fail_errno(err, SL_IO, errno, "%s", path);
	if (s != SL_OK || !replace)
		unlink(tmp);
	return s == SL_OK ? sl_fs_sync_folder_of(path, err) : s;
}

enum sl_status sl_fs_mkdirs(const char *path, struct sl_err *err)
{
	SL_AUTOFREE char *p = sl_strdup(path);
	for (char *at = p + (*p == '/');; at++) {
		if (*at && *at != '/')
			continue;
		char was = *at;
		*at = 0;
		if (*p && mkdir(p, 0777) && errno != EEXIST)
			return sl_fail_errno(err, SL_IO, errno, "%s", p);
		*at = was;
		if (!was)
			break;
	}
	return sl_fs_is_dir(path) ? SL_OK : sl_fail(err, SL_IO, "%s: is not a folder", path);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	return remove(path);
}

enum sl_status sl_fs_remove_tree(const char *path, struct sl_err *err)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) && errno != ENOENT)
		return sl_fail_errno(err, SL_IO, errno, "%s", path);
	return SL_OK;
}

bool sl_fs_is_dir(const char *path)
{
	struct stat st;
	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

bool sl_fs_is_file(const char *path)
{
	struct stat st;
	return !stat(path, &st) && S_ISREG(st.st_mode);
}

int64_t sl_fs_size(const char *path)
{
	struct stat st;
	return stat(path, &st) ? -1 : st.st_size;
}

char *sl_fs_join(const char *dir, const char *name)
{
	size_t n = strlen(dir);
	return sl_asprintf("%s%s%s", dir, n && dir[n - 1] == '/' ? "" : "/", name);
}

char *sl_fs_self(void)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
	return n > 0 && (size_t)n < sizeof(path) ? sl_strndup(path, (size_t)n) : NULL;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

enum sl_status sl_fs_each(
	const char *dir, enum sl_status (*fn)(const char *, void *, struct sl_err *), void *arg, struct sl_err *err)
{
	struct dirent **list;
	int n = scandir(dir, &list, NULL, NULL);
	if (n < 0)
		return sl_fail_errno(err, errno == ENOENT ? SL_NOT_FOUND : SL_IO, errno, "%s", dir);
	const char **name = sl_calloc((size_t)n, sizeof(*name));
	for (int i = 0; i < n; i++)
		name[i] = list[i]->d_name;
	qsort(name, (size_t)n, sizeof(*name), by_bytes);
	enum sl_status s = SL_OK;
	for (int i = 0; i < n && s == SL_OK; i++)
		if (strcmp(name[i], ".") && strcmp(name[i], ".."))
			s = fn(name[i], arg, err);
	free(name);
	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
	return s;
}

enum sl_status sl_fs_lock(const char *dir, const char *who, int *ret_fd, struct sl_err *err)
{
	SL_AUTOFREE char *path = sl_fs_join(dir, "lock");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return sl_fail_errno(err, SL_IO, errno, "%s", path);
	char text[128] = "";
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
		close(fd);
		text[n > 0 ? strcspn(text, "\n") : 0] = 0;
		return sl_fail(err, SL_BUSY, "%s: in use by %s; stop that process or choose another folder", dir,
			*text ? text : "another process");
	}
	int n = snprintf(text, sizeof(text), "process %d (%s)\n", (int)getpid(), who);
	if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)n, 0) != n) {
		enum sl_status s = sl_fail_errno(err, SL_IO, errno, "%s", path);
		close(fd);
		return s;
	}
	*ret_fd = fd;
	return SL_OK;
}

void sl_fs_unlock(int fd)
{
	if (fd >= 0)
		close(fd);
}
