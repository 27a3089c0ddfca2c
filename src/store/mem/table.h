/* SPDX-License-Identifier: Apache-2.0
 *
 * A sorted table of pointers by text key: what the stores in memory are made of. Private to
 * store/mem/. Owner: the caller; keys and values are borrowed. Thread: one at a time.
 */
#pragma once
#include "base/mem.h"
#include <stdbool.h>

struct sl_table {
	struct {
		const char *key;
		void *value;
	} * row;
	int n, size;
};

void *sl_table_get(const struct sl_table *t, const char *key); /* NULL: none */
void sl_table_add(struct sl_table *t, const char *key, void *value); /* key is not there yet */
void *sl_table_take(struct sl_table *t, const char *key); /* removes the row; its value or NULL */
int sl_table_after(const struct sl_table *t, const char *after); /* the first row whose key is greater */
void sl_table_done(struct sl_table *t);
