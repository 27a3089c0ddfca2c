/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/stores.h"
#include <signal.h>
#include <stdio.h>

enum { FOLLOW_MS = 200, PARTITIONS = 1024 };

static const struct sl_usage usage = {
	.name = "topic",
	.synopsis =
		"topic NAME [--log URL | --data DIR] [--after PARTITION:POSITION ...] [--max N] [--follow] [--json]",
	.text = "prints the messages of a topic of the log, wherever that is",
	.more = "Topics: labels, reviews, models; with --compat-topics also good_acc_label, bad_acc_label, parameter. A line is "
		"PARTITION:POSITION, when it came (UTC), key and body. It reads without a group: nobody's position changes. "
		"--json gives one object a line, with the body as JSON where it is that.",
	.examples = "signloop topic labels --data data\n"
		    "signloop topic reviews --log kafka://kafka1:9092 --follow --json\n"
		    "signloop topic labels --after 0:1499 --max 10",
	.words_min = 1,
	.words_max = 1,
	.takes_config = true,
};

struct reading {
	struct sl_log *log;
	const char *topic;
	int n;
	int64_t at[PARTITIONS]; /* last position that was printed */
	int64_t left; /* to print */
	bool json;
};

/* One line that does nothing to a terminal, of what may be any bytes; free(). */
static char *plain(const void *text, size_t n)
{
	char *ret = sl_alloc(n + 1);
	for (size_t i = 0; i < n; i++) {
		uint8_t c = ((const uint8_t *)text)[i];
		ret[i] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	ret[n] = 0;
	sl_text_mend(ret);
	return ret;
}

static void print_line(const struct sl_message *m)
{
	SL_AUTOFREE char *key = plain(m->key, strlen(m->key)), *body = plain(m->body.ptr, m->body.len);
	char when[20];
	sl_cmd_time(m->time_ms, when);
	printf("%d:%lld %s %s %s\n", m->partition, (long long)m->position, when, key, body);
}

static void print_json(const struct sl_message *m)
{
	SL_AUTOJSON json_t *body = NULL;
	char key[SL_MESSAGE_KEY];
	SL_COPY(key, m->key);
	sl_text_mend(key);
	if (sl_json_parse(m->body, "message", &body, NULL) != SL_OK) {
		SL_AUTOFREE char *text = sl_strndup((const char *)m->body.ptr, m->body.len);
		sl_text_mend(text);
		body = json_string(text);
	}
	SL_AUTOJSON json_t *o = json_pack("{s:s,s:i,s:I,s:I,s:s,s:O}", "topic", m->topic, "partition", m->partition,
		"position", (json_int_t)m->position, "time", (json_int_t)m->time_ms, "key", key, "body", body);
	sl_cmd_print_json(o);
}

/* What is there of each partition, a batch at most. */
static enum sl_status turn(struct reading *r, int *ret_n, struct sl_err *err)
{
	*ret_n = 0;
	for (int p = 0; p < r->n && r->left; p++) {
		SL_AUTO(sl_batch_done) struct sl_batch b = {0};
		int max = (int)SL_MIN(r->left, SL_BATCH_MAX);
		enum sl_status s = sl_log_read(r->log, r->topic, p, r->at[p], max, &b, err);
		if (s != SL_OK)
			return s;
		for (int i = 0; i < b.n; i++)
			(r->json ? print_json : print_line)(&b.message[i]);
		if (b.n)
			r->at[p] = b.message[b.n - 1].position;
		r->left -= b.n;
		*ret_n += b.n;
	}
	fflush(stdout);
	return SL_OK;
}

static enum sl_status read_all(struct reading *r, bool follow, struct sl_err *err)
{
	const struct timespec wait = {0, FOLLOW_MS * 1000000L};
	enum sl_status s = SL_OK;
	sigset_t ends;
	int n = 1;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	if (follow)
		pthread_sigmask(SIG_BLOCK, &ends, NULL);
	while (s == SL_OK && r->left && (n || follow)) {
		s = turn(r, &n, err);
		if (s == SL_OK && follow && sigtimedwait(&ends, NULL, n ? &(struct timespec){0, 0} : &wait) > 0)
			break;
	}
	return s;
}

static enum sl_status parse_after(struct reading *r, const struct sl_words *after, struct sl_err *err)
{
	for (int p = 0; p < r->n; p++)
		r->at[p] = -1;
	for (int i = 0; i < after->n; i++) {
		int partition = 0, end = 0;
		long long position = 0;
		if (sscanf(after->word[i], "%9d:%18lld%n", &partition, &position, &end) != 2 || after->word[i][end] ||
			partition < 0 || partition >= r->n || position < -1)
			return sl_fail(err, SL_USAGE,
				"topic: --after '%s': PARTITION:POSITION is wanted, with a partition of 0 to %d",
				after->word[i], r->n - 1);
		r->at[partition] = position;
	}
	return SL_OK;
}

static enum sl_status open_log(
	struct sl_config *cfg, const char *url, const char *data, struct sl_log **ret, struct sl_err *err)
{
	enum sl_status s = data ? sl_config_set(cfg, "data", data, "--data", err) : SL_OK;
	const char *set = sl_config_str(cfg, "store.log"), *dir = sl_config_str(cfg, "data");
	if (s != SL_OK || url || *set)
		return s == SL_OK ? sl_log_open(url ? url : set, cfg, ret, err) : s;
	SL_AUTOFREE char *own = sl_store_url_in(SL_STORE_LOG, dir);
	if (sl_store_is_absent(SL_STORE_LOG, own))
		return sl_fail(err, SL_NOT_FOUND, "%s: no such log; name one by --data DIR or --log URL", own);
	return sl_log_open(own, cfg, ret, err);
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	SL_AUTOFREE struct reading *r = SL_NEW(struct reading);
	const char *url = NULL, *data = NULL;
	bool help, follow = false;
	struct sl_words w, after = {0};
	*r = (struct reading){.left = INT64_MAX};
	const struct sl_opt opts[] = {
		{"log", SL_OPT_STR, "URL", "the log, such as sqlite:PATH (default: that of the data folder)", &url, 0,
			0},
		{"data", SL_OPT_STR, "DIR", "data folder (default: data)", &data, 0, 0},
		{"after", SL_OPT_LIST, "PARTITION:POSITION", "only what comes after this one; once a partition", &after,
			0, 0},
		{"max", SL_OPT_INT, "N", "ends after so many messages", &r->left, 1, 1e15},
		{"follow", SL_OPT_FLAG, NULL, "waits for more until it is interrupted", &follow, 0, 0},
		{"json", SL_OPT_FLAG, NULL, "one JSON object a line", &r->json, 0, 0},
		SL_OPT_END,
	};
	enum sl_status s = sl_opt_parse(&usage, opts, cfg, argc, argv, &w, &help, err);
	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	if (s == SL_OK)
		s = open_log(cfg, url, data, &r->log, err);
	if (s != SL_OK)
		return s;
	r->topic = w.word[0];
	s = sl_log_ask_partitions(r->log, r->topic, &r->n, err);
	if (s == SL_OK && r->n > PARTITIONS)
		s = sl_fail(err, SL_TOO_LARGE, "topic: %s has %d partitions; at most %d can be read", r->topic, r->n,
			PARTITIONS);
	if (s == SL_OK)
		s = parse_after(r, &after, err);
	if (s == SL_OK)
		s = read_all(r, follow, err);
	sl_log_close(r->log);
	return s;
}

const struct sl_command sl_cmd_topic = {&usage, run};
