/* SPDX-License-Identifier: Apache-2.0
 *
 * Labelled images to learn from and to measure on: "FORMAT:PATH" opens as one list of
 * samples, decoded into memory. A source is of one kind: crops, each with a class
 * (classification), or scenes, each with boxes (detection). sl_formats[] is the list of
 * formats; a new one is one row there and one function.
 *
 * Boxes are in pixel edges of the decoded image (labels that count the right and bottom
 * pixel as inside are given 1 more). Samples are in the order of their sorted names.
 * A group is what must not be torn apart by a split: the frames of one physical sign, or
 * a block of ten neighbouring scenes (an incomplete last block joins the one before).
 *
 * Owner: the caller; sl_source_free(). Thread: one opens, then any may read.
 */
#pragma once
#include "base/config.h"
#include "vision/image.h"

enum {
	SL_CLASS_NONE = -1, /* a patch without a sign */
	SL_CLASS_UNKNOWN = -2, /* a sign whose class the format does not say */
};
enum { SL_SCENE_BLOCK = 10 }; /* scenes a group */

struct sl_source_box {
	struct sl_box box;
	int cls;
	bool ignored; /* neither sign nor background: crowd, unreadable */
};

struct sl_sample {
	char *name;
	struct sl_image image; /* empty where files are kept */
	struct sl_buf file; /* with keep_files: the image as it is stored */
	int group;
	int cls; /* crops */
	struct sl_box roi; /* crops: the sign in the image */
	struct sl_source_box *box; /* scenes */
	int nbox;
	char *group_name; /* private: numbered into group when all are in */
};

struct sl_source {
	char *spec; /* "gtsrb:/data/gtsrb.tar.gz" */
	const struct sl_format *format;
	char digest[65]; /* of the files */
	struct sl_sample *sample;
	int n, room, ngroup;
	int nclass; /* 1 + largest class index */
	char **class_name; /* nclass names where the format has them, else NULL */
	int64_t bytes; /* of decoded pixels */
};

struct sl_source_options {
	int roi_side; /* shrink images whose ROI is larger than this; 0: never */
	int64_t max_pixels; /* of one image; 0: SL_SOURCE_PIXELS */
	int64_t max_bytes; /* of all decoded pixels; 0: SL_SOURCE_BYTES */
	bool keep_files; /* scenes: keep the files, decode nothing */
	int limit; /* this many samples, evenly spread over the source; 0: all */
	/* Index of a class by its code, for formats that name classes; -1: unknown. May be NULL. */
	int (*class_of)(void *arg, const char *code);
	void *arg;
	const struct sl_config *cfg; /* for formats that read this process's stores; else NULL */
};
#define SL_SOURCE_PIXELS ((int64_t)50000000)
#define SL_SOURCE_BYTES ((int64_t)12 << 30)

struct sl_format {
	const char *name, *text;
	bool scenes; /* boxes; false: crops with a class */
	enum sl_status (*read)(
		struct sl_source *s, const char *path, const struct sl_source_options *o, struct sl_err *err);
};
extern const struct sl_format sl_formats[]; /* ends with a NULL name */

/* NOT_FOUND, UNREADABLE (names the file), TOO_LARGE, INVALID labels (file and line). USAGE
 * for an unknown format. */
enum sl_status sl_source_open(
	const char *spec, const struct sl_source_options *o, struct sl_source **ret, struct sl_err *err);
void sl_source_free(struct sl_source *s); /* NULL is fine */

/* For formats: decodes and appends. A group of NULL is a group of its own. A roi of width
 * 0 is estimated: the image less max(5 px, 8.5 %) at each side; below 0 it is the whole
 * image. Takes box (may be NULL). */
enum sl_status sl_source_add(struct sl_source *s, const struct sl_source_options *o, const char *name,
	struct sl_slice file, const char *group, int cls, struct sl_box roi, struct sl_source_box *box, int nbox,
	struct sl_err *err);
/* For formats: is candidate i of n among the o->limit that are wanted? */
bool sl_source_wants(const struct sl_source_options *o, int i, int n);
/* Marks whole groups for validation: of each class's groups (a group's class is that of
 * its first sample) round(share x groups), halves up, at least 1 if there are 2, taken by a
 * permutation of `seed` (our own generator, base/rng.h, not numpy's). Pure. cls may be
 * NULL: one class. ret_val: n flags. */
void sl_source_split(const int *cls, const int *group, int n, double share, uint64_t seed, bool *ret_val);
