/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages with those of the original's topics behind them. Private to store/.
 * Owner: the caller, sl_compat_done(). Thread: any.
 */
#pragma once
#include "core/compat.h"
#include "store/log.h"

struct sl_compat {
	struct sl_entry *entry; /* those that were given (their bytes borrowed), then the new ones */
	int n;
	struct sl_buf *text;
	int ntext;
};

/* Counts signloop_compat_total{result="sent"|"bad"}; bad: not a message of its topic. */
void sl_compat_add(struct sl_compat *ret, const char *url, const struct sl_entry *e, int n);
void sl_compat_done(struct sl_compat *c);
