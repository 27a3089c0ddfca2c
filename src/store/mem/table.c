/* SPDX-License-Identifier: Apache-2.0 */
#include "store/mem/table.h"
#include <string.h>

/* The first row whose key is not less. */
static int lower(const struct sl_table *t, const char *key)
{
	int lo = 0, hi = t->n;
	while (lo < hi) {
		int mid = (lo + hi) / 2;
		if (strcmp(t->row[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool is_at(const struct sl_table *t, int i, const char *key)
{
	return i < t->n && !strcmp(t->row[i].key, key);
}

void *sl_table_get(const struct sl_table *t, const char *key)
{
	int i = lower(t, key);
	return is_at(t, i, key) ? t->row[i].value : NULL;
}

void sl_table_add(struct sl_table *t, const char *key, void *value)
{
	int i = lower(t, key);
	if (t->n == t->size) {
		t->size = t->size ? 2 * t->size : 64;
		t->row = sl_realloc(t->row, (size_t)t->size, sizeof(*t->row));
	}
	memmove(&t->row[i + 1], &t->row[i], sizeof(*t->row) * (size_t)(t->n - i));
	t->row[i].key = key;
	t->row[i].value = value;
	t->n++;
}

void *sl_table_take(struct sl_table *t, const char *key)
{
	int i = lower(t, key);
	if (!is_at(t, i, key))
		return NULL;
	void *value = t->row[i].value;
	t->n--;
	memmove(&t->row[i], &t->row[i + 1], sizeof(*t->row) * (size_t)(t->n - i));
	return value;
}

int sl_table_after(const struct sl_table *t, const char *after)
{
	int i = lower(t, after);
	return i + is_at(t, i, after);
}

void sl_table_done(struct sl_table *t)
{
	free(t->row);
	*t = (struct sl_table){0};
}
