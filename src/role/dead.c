/* SPDX-License-Identifier: Apache-2.0 */
#include "role/dead.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metric.h"
#include <stdio.h>

/* JSON writes a control byte as six: base64 always fits a message. */
static bool is_plain(const char *text, size_t n)
{
	size_t dear = 0;
	for (size_t i = 0; i < n; i++)
		dear += (uint8_t)text[i] < ' ' || text[i] == '"' || text[i] == '\\';
	return strlen(text) == n && SL_MIN(n, SL_DEAD_BODY) + 5 * dear <= SL_DEAD_BODY * 3 / 2 && sl_text_is_utf8(text);
}

/* As much of the text as SL_DEAD_BODY takes, cut between characters. */
static char *cut_text(struct sl_slice body)
{
	char *text = sl_alloc(SL_DEAD_BODY + 1), *whole = sl_strndup((const char *)body.ptr, body.len);
	sl_copy_cut(text, SL_DEAD_BODY + 1, whole);
	free(whole);
	return text;
}

static enum sl_status set_body(json_t *o, struct sl_slice body)
{
	SL_AUTO(sl_buf_done) struct sl_buf coded = {0};
	SL_AUTOFREE char *whole = sl_strndup((const char *)body.ptr, body.len);
	if (is_plain(whole, body.len)) {
		SL_AUTOFREE char *text = cut_text(body);
		json_object_set_new(o, "body", json_string(text));
		return SL_OK;
	}
	enum sl_status s = sl_base64_encode(sl_slice(body.ptr, SL_MIN(body.len, SL_DEAD_BODY)), &coded);
	if (s == SL_OK)
		json_object_set_new(o, "body_base64", json_string((char *)coded.ptr));
	return s;
}

static void count(const char *topic)
{
	char labels[SL_TOPIC + 16];
	snprintf(labels, sizeof(labels), "topic=\"%s\"", topic);
	sl_metric_add(sl_counter("signloop_dead_letters_total", labels,
			      "Messages that could not be taken and went to the dead-letter topic"),
		1);
}

enum sl_status sl_dead_letter(struct sl_log *log, const struct sl_message *m, const char *reason, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {.cap = SL_MESSAGE_MAX};
	char topic[SL_TOPIC + sizeof(SL_TOPIC_DEAD)], key[SL_MESSAGE_KEY], was_key[SL_MESSAGE_KEY], why[SL_ERR_TEXT];
	snprintf(topic, sizeof(topic), "%s" SL_TOPIC_DEAD, m->topic);
	snprintf(key, sizeof(key), "%s-%d-%lld", m->topic, m->partition, (long long)m->position);
	SL_COPY_CUT(was_key, m->key);
	sl_text_mend(was_key);
	SL_COPY_CUT(why, reason);
	sl_text_mend(why);
	SL_AUTOJSON json_t *o = json_pack("{s:i,s:s,s:i,s:I,s:s,s:s,s:I,s:I}", "v", 1, "topic", m->topic, "partition",
		m->partition, "position", (json_int_t)m->position, "key", was_key, "reason", why, "time",
		(json_int_t)m->time_ms, "bytes", (json_int_t)m->body.len);
	enum sl_status s = o ? set_body(o, m->body) : SL_INVALID;
	if (s == SL_OK)
		s = sl_json_print(o, &text);
	if (s != SL_OK)
		SL_BUG("the dead letter %s cannot be written", key);
	s = sl_log_append(log, topic, key, sl_buf_slice(&text), sl_deadline_ms(SL_DEAD_SEND_MS), err);
	if (s != SL_OK)
		return sl_prefix(err, s, "dead letter %s", key);
	count(m->topic);
	return SL_OK;
}
