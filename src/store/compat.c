/* SPDX-License-Identifier: Apache-2.0 */
#include "store/compat.h"
#include "base/mem.h"
#include "base/metric.h"
#include <pthread.h>

static struct sl_metric *sent, *bad;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init(void)
{
	sent = sl_counter("signloop_compat_total", "result=\"sent\"", "Messages for the original's topics.");
	bad = sl_counter("signloop_compat_total", "result=\"bad\"", "Messages for the original's topics.");
}

static bool has_copy(const char *topic)
{
	return !strcmp(topic, SL_TOPIC_LABELS) || !strcmp(topic, SL_TOPIC_REVIEWS) || !strcmp(topic, SL_TOPIC_MODELS);
}

/* The one behind e, if there is one. */
static void add_one(struct sl_compat *c, const char *url, const struct sl_entry *e)
{
	SL_AUTOJSON json_t *body = NULL, *made = NULL;
	struct sl_buf *text = &c->text[c->ntext];
	const char *topic = NULL;
	enum sl_status s = sl_json_parse(e->body, "message", &body, NULL);
	if (s == SL_OK)
		s = sl_compat_message(e->topic, body, url, &topic, &made, NULL);
	sl_metric_add(bad, s != SL_OK);
	if (s != SL_OK || !made)
		return;
	text->cap = SL_MESSAGE_MAX;
	if (sl_json_print(made, text) != SL_OK) {
		sl_metric_add(bad, 1);
		sl_buf_done(text);
		return;
	}
	c->ntext++;
	c->entry[c->n++] = (struct sl_entry){topic, e->key, sl_buf_slice(text)};
	sl_metric_add(sent, 1);
}

void sl_compat_add(struct sl_compat *ret, const char *url, const struct sl_entry *e, int n)
{
	pthread_once(&once, init);
	*ret = (struct sl_compat){SL_NEW_N(struct sl_entry, 2 * (size_t)n), n, SL_NEW_N(struct sl_buf, (size_t)n), 0};
	memcpy(ret->entry, e, (size_t)n * sizeof(*e));
	for (int i = 0; i < n; i++)
		if (has_copy(e[i].topic))
			add_one(ret, url, &e[i]);
}

void sl_compat_done(struct sl_compat *c)
{
	for (int i = 0; i < c->ntext; i++)
		sl_buf_done(&c->text[i]);
	free(c->text);
	free(c->entry);
}
