/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of crops as the REST gateway's protobuf messages. Inside hbase/.
 * Owner: the caller. Thread: any.
 */
#pragma once
#include "store/crops.h"

enum { SL_COLUMN = 128, SL_CELLS_SUM = 64, SL_CELLS_MAX = 64 << 20 };
#define SL_COLUMN_META "data:meta"
#define SL_COLUMN_SUM "data:sum"

/* The body of a check-and-put: the crop's row, if it has no data:sum. */
void sl_cells_put(const struct sl_crop_put *put, const char *jpeg_column, struct sl_buf *ret);

/* Fills ret[i] with the row of keys[i], where the answer has one. CORRUPT: an incomplete or changed
 * row; IO: no such message. */
enum sl_status sl_cells_crops(struct sl_slice answer, const char *jpeg_column, const char *const *keys, int n,
	struct sl_crop *ret, struct sl_err *err);

/* Calls fn for the key and the newest time (ms) of each row, in order, while it says true. IO: no such message. */
enum sl_status sl_cells_each(struct sl_slice answer, bool (*fn)(void *arg, struct sl_slice key, int64_t time_ms),
	void *arg, struct sl_err *err);

/* The body that opens a scanner of keys from `first` (len 0: the first) to before `end` (len 0: all), `batch` an answer,
 * with no values. families: of all columns, NULL ends. */
void sl_cells_scanner(
	struct sl_slice first, struct sl_slice end, const char *const *families, int batch, struct sl_buf *ret);
