/* SPDX-License-Identifier: Apache-2.0
 *
 * The functions of the oneDNN executor's table (nn/exec.h has their manual).
 */
#pragma once
#include "nn/exec.h"

enum sl_status sl_dnnl_store_new(
	const struct sl_graph *g, enum sl_precision *precision, void **ret_store, struct sl_err *err);
void sl_dnnl_store_free(void *store);
int64_t sl_dnnl_store_bytes(void *store);
