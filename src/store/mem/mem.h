/* SPDX-License-Identifier: Apache-2.0
 *
 * The stores in memory: gone at close, seen by one handle alone. For tests, tools and
 * trying things out. mem:?partitions=N for the log. Private to store/.
 */
#pragma once
#include "store/ops.h"

extern const struct sl_log_ops sl_mem_log;
extern const struct sl_crops_ops sl_mem_crops;
extern const struct sl_reviews_ops sl_mem_reviews;
extern const struct sl_artifacts_ops sl_mem_artifacts;
