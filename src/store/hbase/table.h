/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of a store: its columns, made or checked when the store opens. Inside hbase/.
 * Owner: the caller. Thread: any that may block.
 */
#pragma once
#include "store/hbase/cells.h"
#include "store/hbase/gateways.h"

struct sl_hbase_form {
	char jpeg[SL_COLUMN]; /* FAMILY:QUALIFIER */
	char jpeg_family[SL_COLUMN];
	const char *family[3]; /* each once; NULL ends */
	int64_t make, ttl_s; /* 0: none asked for */
	char compression[16]; /* "": the server's default */
};
/* Fills *ret, whose family[] point into it. */
enum sl_status sl_hbase_form(struct sl_url *u, struct sl_hbase_form *ret, struct sl_err *err);
/* The table is there when OK. USAGE: it is absent and not to be made, or is another's. */
enum sl_status sl_hbase_table(struct sl_gateways *g, const struct sl_hbase_form *f, struct sl_err *err);
