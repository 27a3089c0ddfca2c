/* SPDX-License-Identifier: Apache-2.0
 *
 * Crops whose labels stand in a table with a header: GTSRB, and CSV in general.
 */
#include "base/mem.h"
#include "dataset/files.h"
#include "dataset/importers.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

enum { TABLE_COLUMNS = 32, TABLE_ROWS = 20000000 };

enum column { FILE_COLUMN, CLASS_COLUMN, X1_COLUMN, Y1_COLUMN, X2_COLUMN, Y2_COLUMN, GROUP_COLUMN, COLUMN_COUNT };
/* Names that are understood, lower case; the first is ours. */
static const char *const column_names[COLUMN_COUNT][6] = {
	{"file", "filename", "path", "image"},
	{"class", "class_id", "class_index", "classid", "label"},
	{"x1", "roi_x1", "roi.x1", "left"},
	{"y1", "roi_y1", "roi.y1", "top"},
	{"x2", "roi_x2", "roi.x2", "right"},
	{"y2", "roi_y2", "roi.y2", "bottom"},
	{"group", "track", "sequence"},
};

struct table {
	const char *name; /* of the CSV file within files */
	char *folder; /* "" or "a/b/" */
	char *text, *next;
	char separator;
	int line;
	int column[COLUMN_COUNT]; /* position, or -1 */
	float edge; /* added to x2, y2: 1 where labels count that pixel as inside */
};

static char *next_line(struct table *t)
{
	char *line = t->next, *end;

	if (!line || !*line)
		return NULL;
	t->line++;
	end = line + strcspn(line, "\n");
	t->next = *end ? end + 1 : end;
	*end = 0;
	if (end > line && end[-1] == '\r')
		end[-1] = 0;
	return line;
}

static int cut_line(char *line, char separator, char *cell[TABLE_COLUMNS])
{
	int n = 0;

	while (n < TABLE_COLUMNS) {
		char *end = strchr(line, separator);

		cell[n++] = line;
		if (!end)
			break;
		*end = 0;
		line = end + 1;
	}
	return n;
}

static enum sl_status read_header(struct table *t, struct sl_err *err)
{
	char *line = next_line(t), *cell[TABLE_COLUMNS];

	if (!line)
		return sl_fail(err, SL_INVALID, "%s is empty", t->name);
	if (strncmp(line, "\xef\xbb\xbf", 3) == 0)
		line += 3;
	for (char *p = line; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	t->separator = strchr(line, ';') ? ';' : strchr(line, '\t') ? '\t' : ',';
	int n = cut_line(line, t->separator, cell);
	for (int c = 0; c < COLUMN_COUNT; c++) {
		t->column[c] = -1;
		for (int k = 0; k < 6 && column_names[c][k] && t->column[c] < 0; k++)
			for (int i = 0; i < n && t->column[c] < 0; i++)
				if (strcmp(cell[i], column_names[c][k]) == 0)
					t->column[c] = i;
	}
	if (t->column[FILE_COLUMN] < 0 || t->column[CLASS_COLUMN] < 0)
		return sl_fail(err, SL_INVALID, "%s: line 1 must name the columns 'file' and 'class'", t->name);
	return SL_OK;
}

static enum sl_status number(const struct table *t, const char *text, double *ret, struct sl_err *err)
{
	char *end;

	errno = 0;
	*ret = strtod(text, &end);
	if (end == text || *end || errno || !(*ret > -1e6 && *ret < 1e6))
		return sl_fail(err, SL_INVALID, "%s: line %d: '%.40s' is no number", t->name, t->line, text);
	return SL_OK;
}

struct row {
	const char *file;
	int cls;
	struct sl_box roi;
	char group[128];
};

static enum sl_status read_class(
	const struct table *t, const struct sl_source_options *o, const char *text, int *ret, struct sl_err *err)
{
	double v;

	if (o->class_of && !isdigit((unsigned char)*text)) {
		*ret = o->class_of(o->arg, text);
		if (*ret < 0)
			return sl_fail(err, SL_INVALID, "%s: line %d: no class '%.40s'", t->name, t->line, text);
		return SL_OK;
	}
	enum sl_status s = number(t, text, &v, err);
	if (s == SL_OK && (v < 0 || v > 100000 || v != (int)v))
		return sl_fail(err, SL_INVALID, "%s: line %d: class '%.40s' is no index", t->name, t->line, text);
	*ret = s == SL_OK ? (int)v : 0;
	return s;
}

/* The track, or what stands for it: GTSRB's own names are TRACK_FRAME. */
static void group_of(const struct table *t, char **cell, struct row *ret)
{
	const char *base = strrchr(ret->file, '/'), *cut;

	base = base ? base + 1 : ret->file;
	cut = strrchr(base, '_');
	if (t->column[GROUP_COLUMN] >= 0)
		snprintf(ret->group, sizeof ret->group, "%d/%s", ret->cls, cell[t->column[GROUP_COLUMN]]);
	else if (t->edge > 0 && cut)
		snprintf(ret->group, sizeof ret->group, "%d/%.*s", ret->cls, (int)(cut - base), base);
	else
		snprintf(ret->group, sizeof ret->group, "%s", ret->file);
}

/* *ret_skip: a row without a class is no sample. */
static enum sl_status read_row(const struct table *t, const struct sl_source_options *o, char *line, struct row *ret,
	bool *ret_skip, struct sl_err *err)
{
	char *cell[TABLE_COLUMNS];
	int n = cut_line(line, t->separator, cell);
	double v[4] = {0};
	enum sl_status s;

	*ret_skip = true;
	for (int c = 0; c < COLUMN_COUNT; c++)
		if (t->column[c] >= n)
			return n == 1 && !*cell[0] ? SL_OK
						   : sl_fail(err, SL_INVALID, "%s: line %d has only %d columns",
							     t->name, t->line, n);
	if (!*cell[t->column[CLASS_COLUMN]])
		return SL_OK;
	ret->file = cell[t->column[FILE_COLUMN]];
	s = read_class(t, o, cell[t->column[CLASS_COLUMN]], &ret->cls, err);
	for (int i = 0; i < 4 && s == SL_OK && t->column[X1_COLUMN + i] >= 0 && *cell[t->column[X1_COLUMN + i]]; i++)
		s = number(t, cell[t->column[X1_COLUMN + i]], &v[i], err);
	if (s != SL_OK)
		return s;
	ret->roi = (struct sl_box){(float)v[0], (float)v[1], (float)(v[2] - v[0]), (float)(v[3] - v[1])};
	if (v[2] > v[0] && v[3] > v[1]) {
		ret->roi.w += t->edge;
		ret->roi.h += t->edge;
	}
	group_of(t, cell, ret);
	*ret_skip = false;
	return SL_OK;
}

static enum sl_status add_row(struct sl_source *s, const struct sl_files *files, const struct table *t,
	const struct row *row, const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf keep = {0};
	SL_AUTOFREE char *full = sl_asprintf("%s%s", t->folder, row->file);
	struct sl_slice bytes;
	int i = sl_files_find(files, full);

	if (i < 0 && sl_name_ends(full, ".ppm")) { /* GTSRB's tables name the original type */
		memcpy(full + strlen(full) - 4, ".jpg", 4);
		i = sl_files_find(files, full);
	}
	if (i < 0)
		return sl_fail(err, SL_INVALID, "%s: line %d: no file %s", t->name, t->line, full);
	enum sl_status st = sl_files_read(files, i, &keep, &bytes, err);
	if (st == SL_OK)
		st = sl_source_add(s, o, full, bytes, row->group, row->cls, row->roi, NULL, 0, err);
	return st;
}

static int count_lines(const char *text)
{
	int n = 0;

	for (; *text && n < TABLE_ROWS; text++)
		n += *text == '\n' && text[1];
	return n;
}

static void table_done(struct table *t)
{
	free(t->text);
	free(t->folder);
}

static enum sl_status read_table(struct sl_source *s, const struct sl_files *files, int at, float edge,
	const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(table_done) struct table t = {.name = files->file[at].name, .edge = edge};
	SL_AUTO(sl_buf_done) struct sl_buf keep = {0};
	const char *slash = strrchr(t.name, '/');
	struct sl_slice bytes;
	char *line;
	enum sl_status st = sl_files_read(files, at, &keep, &bytes, err);

	if (st != SL_OK)
		return st;
	t.text = t.next = sl_asprintf("%.*s", (int)bytes.len, (const char *)bytes.ptr);
	t.folder = sl_asprintf("%.*s", slash ? (int)(slash - t.name + 1) : 0, t.name);
	st = read_header(&t, err);
	int rows = count_lines(t.next) + 1;
	for (int i = 0; st == SL_OK && (line = next_line(&t)); i++) {
		struct row row;
		bool skip;

		if (!sl_source_wants(o, i, rows))
			continue;
		st = read_row(&t, o, line, &row, &skip, err);
		if (st == SL_OK && !skip)
			st = add_row(s, files, &t, &row, o, err);
	}
	return st;
}

enum sl_status sl_read_gtsrb(
	struct sl_source *s, const char *path, const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_files_done) struct sl_files files = {0};
	enum sl_status st = sl_files_open(path, false, &files, err);
	int at = st == SL_OK ? sl_files_find(&files, "labels.csv") : -1, tables = 0;

	if (st != SL_OK)
		return st;
	memcpy(s->digest, files.digest, sizeof s->digest);
	if (at >= 0)
		return read_table(s, &files, at, 1, o, err);
	for (int i = 0; i < files.n && st == SL_OK; i++)
		if (sl_name_ends(files.file[i].name, ".csv")) {
			st = read_table(s, &files, i, 1, o, err);
			tables++;
		}
	return st == SL_OK && !tables ? sl_fail(err, SL_INVALID, "no labels.csv in it") : st;
}

enum sl_status sl_read_csv(struct sl_source *s, const char *path, const struct sl_source_options *o, struct sl_err *err)
{
	SL_AUTO(sl_files_done) struct sl_files files = {0};
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	bool file = sl_name_ends(path, ".csv");
	SL_AUTOFREE char *folder = !file   ? sl_strdup(path)
				   : slash ? sl_asprintf("%.*s", (int)(slash - path + 1), path)
					   : sl_strdup(".");
	enum sl_status st = sl_files_open(folder, false, &files, err);
	int at = st == SL_OK ? sl_files_find(&files, file ? name : "labels.csv") : -1;

	if (st != SL_OK)
		return st;
	memcpy(s->digest, files.digest, sizeof s->digest);
	if (at < 0)
		return sl_fail(err, SL_NOT_FOUND, "no %s in %s", file ? name : "labels.csv", folder);
	return read_table(s, &files, at, 0, o, err);
}
