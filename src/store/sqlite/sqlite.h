/* SPDX-License-Identifier: Apache-2.0
 *
 * Stores in one SQLite file each (WAL, synchronous=FULL); several processes may open one.
 * sqlite:PATH, and for the log ?partitions=N (of topics that it makes). Private to store/.
 */
#pragma once
#include "store/ops.h"

extern const struct sl_log_ops sl_sqlite_log;
extern const struct sl_crops_ops sl_sqlite_crops;
extern const struct sl_reviews_ops sl_sqlite_reviews;
