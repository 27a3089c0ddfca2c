/* SPDX-License-Identifier: Apache-2.0 */
#include "store/hbase/cells.h"
#include "base/digest.h"
#include "base/mem.h"
#include "rest.pb-c.h"

/* One cell a row, without its value. */
#define FILTER_KEYS \
	"{\"type\":\"FilterList\",\"op\":\"MUST_PASS_ALL\",\"filters\":" \
	"[{\"type\":\"FirstKeyOnlyFilter\"},{\"type\":\"KeyOnlyFilter\"}]}"

static void sum_of(struct sl_slice jpeg, struct sl_slice meta, char ret[SL_HEX_SHA256])
{
	struct sl_sha256 *h = sl_sha256_new();

	sl_sha256_add(h, jpeg.ptr, jpeg.len);
	sl_sha256_add(h, meta.ptr, meta.len);
	sl_sha256_end_hex(h, ret);
	sl_sha256_free(h);
}

/* protobuf-c takes bytes that it does not change as not const. */
static ProtobufCBinaryData bytes(struct sl_slice s)
{
	return (ProtobufCBinaryData){.len = s.len, .data = (uint8_t *)(uintptr_t)s.ptr};
}

static Hbase__Cell cell(const char *column, struct sl_slice data)
{
	Hbase__Cell c = HBASE__CELL__INIT;

	c.has_column = c.has_data = true;
	c.column = bytes(sl_slice_str(column));
	c.data = bytes(data);
	return c;
}

static void pack(const ProtobufCMessage *m, struct sl_buf *ret)
{
	ret->len = 0;
	if (sl_buf_reserve(ret, protobuf_c_message_get_packed_size(m) + 1) != SL_OK)
		SL_BUG("a message of %zu bytes", protobuf_c_message_get_packed_size(m));
	ret->len = protobuf_c_message_pack(m, ret->ptr);
}

void sl_cells_put(const struct sl_crop_put *put, const char *jpeg_column, struct sl_buf *ret)
{
	char sum[SL_HEX_SHA256];

	sum_of(put->jpeg, put->meta, sum);
	Hbase__Cell c[] = {cell(jpeg_column, put->jpeg), cell(SL_COLUMN_META, put->meta),
		cell(SL_COLUMN_SUM, sl_slice_str(sum)),
		cell(SL_COLUMN_SUM, sl_slice_str(""))}; /* the last is the check: empty stands for absent */
	Hbase__Cell *cells[] = {&c[0], &c[1], &c[2], &c[3]};
	Hbase__Row row = HBASE__ROW__INIT, *rows[] = {&row};
	Hbase__CellSet set = HBASE__CELL_SET__INIT;

	row.key = bytes(sl_slice_str(put->key));
	row.values = cells;
	row.n_values = SL_COUNT(cells);
	set.rows = rows;
	set.n_rows = 1;
	pack(&set.base, ret);
}

static enum sl_status unpack(struct sl_slice answer, Hbase__CellSet **ret, struct sl_err *err)
{
	*ret = hbase__cell_set__unpack(NULL, answer.len, answer.ptr);
	return *ret ? SL_OK : sl_fail(err, SL_IO, "hbase: an answer of %zu bytes is no set of cells", answer.len);
}

static bool is(const ProtobufCBinaryData *b, const char *text)
{
	return b->len == strlen(text) && !memcmp(b->data, text, b->len);
}

static struct sl_slice find(const Hbase__Row *row, const char *column)
{
	for (size_t i = 0; i < row->n_values; i++)
		if (is(&row->values[i]->column, column) && row->values[i]->has_data)
			return sl_slice(row->values[i]->data.data ? row->values[i]->data.data : (const void *)"",
				row->values[i]->data.len);
	return sl_slice(NULL, 0);
}

static enum sl_status read_row(
	const Hbase__Row *row, const char *jpeg_column, const char *key, struct sl_crop *ret, struct sl_err *err)
{
	struct sl_slice jpeg = find(row, jpeg_column), meta = find(row, SL_COLUMN_META), sum = find(row, SL_COLUMN_SUM);
	char want[SL_HEX_SHA256];

	if (!jpeg.ptr || !meta.ptr || !sum.ptr)
		return sl_fail(err, SL_CORRUPT, "hbase: crop %s has no %s; remove it, or restore it from a copy", key,
			!jpeg.ptr   ? jpeg_column
			: !meta.ptr ? SL_COLUMN_META
				    : SL_COLUMN_SUM);
	sum_of(jpeg, meta, want);
	if (sum.len != SL_CELLS_SUM || memcmp(sum.ptr, want, SL_CELLS_SUM) != 0)
		return sl_fail(err, SL_CORRUPT, "hbase: crop %s is not what was stored; restore it from a copy", key);
	if (*ret->key) /* asked for twice */
		sl_crop_done(ret);
	SL_COPY(ret->key, key);
	if (sl_buf_add(&ret->jpeg, jpeg.ptr, jpeg.len) != SL_OK || sl_buf_add(&ret->meta, meta.ptr, meta.len) != SL_OK)
		return sl_fail(err, SL_TOO_LARGE, "hbase: crop %s is too large", key);
	return SL_OK;
}

enum sl_status sl_cells_crops(struct sl_slice answer, const char *jpeg_column, const char *const *keys, int n,
	struct sl_crop *ret, struct sl_err *err)
{
	Hbase__CellSet *set;
	enum sl_status s = unpack(answer, &set, err);

	if (s != SL_OK)
		return s;
	for (size_t r = 0; r < set->n_rows && s == SL_OK; r++)
		for (int i = 0; i < n && s == SL_OK; i++)
			if (strlen(keys[i]) < SL_KEY && is(&set->rows[r]->key, keys[i]))
				s = read_row(set->rows[r], jpeg_column, keys[i], &ret[i], err);
	hbase__cell_set__free_unpacked(set, NULL);
	return s;
}

enum sl_status sl_cells_each(struct sl_slice answer, bool (*fn)(void *arg, struct sl_slice key, int64_t time_ms),
	void *arg, struct sl_err *err)
{
	Hbase__CellSet *set;
	enum sl_status s = unpack(answer, &set, err);
	bool goes_on = true;

	if (s != SL_OK)
		return s;
	for (size_t r = 0; r < set->n_rows && goes_on; r++) {
		const Hbase__Row *row = set->rows[r];
		int64_t newest = 0;
		for (size_t i = 0; i < row->n_values; i++)
			newest = SL_MAX(newest, row->values[i]->timestamp);
		goes_on = fn(arg, sl_slice(row->key.data, row->key.len), newest);
	}
	hbase__cell_set__free_unpacked(set, NULL);
	return s;
}

void sl_cells_scanner(
	struct sl_slice first, struct sl_slice end, const char *const *families, int batch, struct sl_buf *ret)
{
	ProtobufCBinaryData column[2];
	Hbase__Scanner s = HBASE__SCANNER__INIT;

	s.has_startrow = first.len > 0;
	s.startrow = bytes(first);
	s.has_endrow = end.len > 0;
	s.endrow = bytes(end);
	for (; s.n_columns < SL_COUNT(column) && families[s.n_columns]; s.n_columns++)
		column[s.n_columns] = bytes(sl_slice_str(families[s.n_columns]));
	s.columns = column;
	s.has_batch = s.has_caching = s.has_maxversions = true;
	s.batch = s.caching = batch;
	s.maxversions = 1;
	s.filter = (char *)(uintptr_t)FILTER_KEYS;
	pack(&s.base, ret);
}
