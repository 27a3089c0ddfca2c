/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder, an archive (tar, also compressed) or one file, seen as one sorted list of
 * named files. Archives are read once, in place, into memory: at most SL_FILES_BYTES.
 * files.c is the only user of libarchive for reading.
 * Owner: the caller; sl_files_done() frees. Thread: one while opening, then any may read.
 */
#pragma once
#include "base/buf.h"

#define SL_FILES_BYTES ((int64_t)8 << 30) /* of one archive, unpacked */
#define SL_FILE_BYTES ((int64_t)256 << 20) /* of one file in it */

struct sl_file {
	char *name; /* within the folder or archive, "a/b.jpg" */
	char *path; /* on disk; NULL when it is in bytes */
	struct sl_buf bytes;
};

struct sl_files {
	struct sl_file *file; /* sorted by name, bytewise */
	int n, room;
	char digest[65]; /* sha256 of the archive, or of names and contents of a folder */
};

/* With inner true, archives found in a folder are listed by their content. */
enum sl_status sl_files_open(const char *path, bool inner, struct sl_files *ret, struct sl_err *err);
void sl_files_done(struct sl_files *f);
int sl_files_find(const struct sl_files *f, const char *name); /* -1: none */
/* ret is valid as long as f, or until keep is changed (keep holds a file read from disk). */
enum sl_status sl_files_read(
	const struct sl_files *f, int i, struct sl_buf *keep, struct sl_slice *ret, struct sl_err *err);
bool sl_name_ends(const char *name, const char *suffix); /* ignores case */
bool sl_name_is_image(const char *name); /* .jpg .jpeg .png */
