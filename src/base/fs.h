/* SPDX-License-Identifier: Apache-2.0
 *
 * Files. Every error names the path. Thread: any. IO unless said otherwise.
 */
#pragma once
#include "base/buf.h"

/* Appends the whole file; NOT_FOUND; TOO_LARGE at ret's cap. */
enum sl_status sl_fs_read(const char *path, struct sl_buf *ret, struct sl_err *err);
/* Whole or not there: temporary name in the same folder, fsync, rename, fsync of the
 * folder. With replace false, EXISTS if the path is taken (link(2): no race). */
enum sl_status sl_fs_write(const char *path, struct sl_slice bytes, bool replace, struct sl_err *err);
/* What was made or removed in the folder that has path is durable. */
enum sl_status sl_fs_sync_folder_of(const char *path, struct sl_err *err);
enum sl_status sl_fs_mkdirs(const char *path, struct sl_err *err); /* like mkdir -p, mode 0777 & ~umask */
enum sl_status sl_fs_remove_tree(const char *path, struct sl_err *err); /* absent is OK */
bool sl_fs_is_dir(const char *path);
bool sl_fs_is_file(const char *path);
int64_t sl_fs_size(const char *path); /* -1 when absent */
char *sl_fs_join(const char *dir, const char *name); /* free() */
char *sl_fs_self(void); /* the path of this program; free(); NULL where the system does not say */
/* Calls fn for each name in dir but . and .., sorted bytewise; a non-OK result stops. */
enum sl_status sl_fs_each(const char *dir, enum sl_status (*fn)(const char *name, void *arg, struct sl_err *err),
	void *arg, struct sl_err *err);

/* Locks dir/lock for this process until sl_fs_unlock() or its end, and writes pid and
 * `who` into it. BUSY names the holder. */
enum sl_status sl_fs_lock(const char *dir, const char *who, int *ret_fd, struct sl_err *err);
void sl_fs_unlock(int fd); /* -1 is fine */
