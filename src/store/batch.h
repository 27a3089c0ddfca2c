/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds a struct sl_batch out of copied messages, for backends whose client keeps none.
 * Private to store/. Owner: the caller until sl_batch_end(). Thread: one at a time.
 */
#pragma once
#include "store/ops.h"

enum { SL_BATCH_BYTES = 16 << 20 }; /* bodies of one batch; a batch ends early there */

struct sl_batch_builder {
	struct sl_message *message;
	int n, size;
	struct sl_buf bytes;
};

/* False: the batch is full and the message was not taken. body.ptr is copied. */
bool sl_batch_add(struct sl_batch_builder *b, const struct sl_message *m);
void sl_batch_end(struct sl_batch_builder *b, struct sl_batch *ret); /* hands everything over */
void sl_batch_drop(struct sl_batch_builder *b);
