/* SPDX-License-Identifier: Apache-2.0
 *
 * GET /v1/labels: topic `labels` as pages. Where to go on is one position for each
 * partition: a number where there is one partition, "4.-1.17" where there are more.
 */
#include "base/mem.h"
#include "core/message.h"
#include "role/labeling.h"
#include <stdio.h>

enum { PAGE_DEFAULT = 100, PARTITIONS = 1024 };

static enum sl_status read_after(const char *s, int partitions, int64_t *at, struct sl_err *err)
{
	for (int p = 0; p < partitions; p++)
		at[p] = -1;
	if (!s || !*s || !strcmp(s, "-1"))
		return SL_OK;
	for (int p = 0; p < partitions; p++) {
		char *end;
		at[p] = strtoll(s, &end, 10);
		if (end == s || at[p] < -1 || *end != (p + 1 < partitions ? '.' : 0))
			return sl_fail(err, SL_INVALID, "after must be \"next\" of an answer before, or -1");
		s = end + 1;
	}
	return SL_OK;
}

static json_t *after_json(const int64_t *at, int partitions)
{
	if (partitions == 1)
		return json_integer(at[0]);
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	for (int p = 0; p < partitions; p++)
		sl_buf_printf(&b, "%s%lld", p ? "." : "", (long long)at[p]);
	return json_string((char *)b.ptr);
}

/* The message with where it stands. What is no JSON object has no place among labels. */
static json_t *label_json(const struct sl_message *m)
{
	json_t *o = NULL;
	if (sl_json_parse(m->body, "label", &o, NULL) != SL_OK || !json_is_object(o)) {
		json_decref(o);
		return NULL;
	}
	json_object_set_new(o, "partition", json_integer(m->partition));
	json_object_set_new(o, "position", json_integer(m->position));
	return o;
}

static enum sl_status read_labels(
	struct sl_log *log, int partitions, int64_t *at, int want, json_t *list, struct sl_err *err)
{
	int left = want;
	for (int p = 0; p < partitions && left; p++) {
		struct sl_batch b = {0};
		enum sl_status s = sl_log_read(log, SL_TOPIC_LABELS, p, at[p], left, &b, err);
		if (s != SL_OK)
			return s;
		for (int i = 0; i < b.n; i++) {
			json_t *o = label_json(&b.message[i]);
			if (o)
				json_array_append_new(list, o);
			at[p] = b.message[i].position;
		}
		left -= b.n;
		sl_batch_done(&b);
	}
	return SL_OK;
}

void sl_labeling_get_labels(struct sl_request *r, void *arg)
{
	struct sl_labeling *l = arg;
	const char *n = sl_request_query(r, "n");
	char *end = NULL;
	long want = n ? strtol(n, &end, 10) : PAGE_DEFAULT;
	int partitions = 0;
	SL_AUTOFREE int64_t *at = SL_NEW_N(int64_t, PARTITIONS);
	json_t *list = json_array();
	struct sl_err err;
	enum sl_status s = sl_log_ask_partitions(l->ctx.stores.log, SL_TOPIC_LABELS, &partitions, &err);
	partitions = SL_MIN(partitions, PARTITIONS);
	if ((end && *end) || want < 1 || want > SL_LABELING_PAGE)
		s = sl_fail(&err, SL_INVALID, "n must be a whole number of 1 to %d", SL_LABELING_PAGE);
	if (s == SL_OK)
		s = read_after(sl_request_query(r, "after"), partitions, at, &err);
	if (s == SL_OK)
		s = read_labels(l->ctx.stores.log, partitions, at, (int)want, list, &err);
	if (s == SL_OK) {
		sl_answer_json(r, 200, json_pack("{s:o,s:o}", "labels", list, "next", after_json(at, partitions)));
	} else {
		json_decref(list);
		sl_answer_fail(r, &err);
	}
}
