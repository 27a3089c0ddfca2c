/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fs.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/metric.h"
#include "core/settings.h"
#include "harness.h"
#include "store/meter.h"
#include "store/stores.h"
#include "store/url.h"
#include <stdio.h>

TEST(store_url, parts)
{
	struct sl_err err;
	struct sl_url u;
	int64_t n = 5;
	CHECK_OK(sl_url_parse("trace+fault+sqlite:/a%3fb/c%25.db?every=7&when=a%26b", &u, &err));
	CHECK_EQ(u.nwrap, 2);
	CHECK_STR(u.wrap[0], "trace");
	CHECK_STR(u.wrap[1], "fault");
	CHECK_STR(u.scheme, "sqlite");
	CHECK_STR(u.path, "/a?b/c%.db");
	CHECK_STATUS(sl_url_check_used(&u, &err), SL_USAGE);
	CHECK_OK(sl_url_int(&u, "every", 1, 10, &n, &err));
	CHECK_EQ(n, 7);
	CHECK_OK(sl_url_int(&u, "absent", 1, 10, &n, &err));
	CHECK_EQ(n, 7);
	CHECK_STATUS(sl_url_int(&u, "every", 1, 6, &n, &err), SL_USAGE);
	CHECK_STATUS(sl_url_int(&u, "when", 1, 6, &n, &err), SL_USAGE);
	CHECK_STR(sl_url_option(&u, "when"), "a&b");
	CHECK_OK(sl_url_check_used(&u, &err));
	sl_url_done(&u);
	CHECK_OK(sl_url_parse("sqlite:///var/x+y.db", &u, &err));
	CHECK_STR(u.path, "/var/x+y.db");
	sl_url_done(&u);
}

TEST(store_url, malformed_ones_are_refused)
{
	static const char *const bad[] = {"", "x", ":x", "/a/b.db", "a b:x", "A:x", "mem:?x", "mem:?=1", "mem:?a=%zz",
		"sqlite:%0", "sqlite:%00x", "a+b+c+d+e+mem:"};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		struct sl_err err;
		struct sl_url u;
		CHECK_STATUS(sl_url_parse(bad[i], &u, &err), SL_USAGE);
	}
	struct sl_err err;
	struct sl_url u;
	SL_AUTOFREE char *longest = sl_zalloc(SL_URL_MAX + 2);
	memset(longest, 'm', SL_URL_MAX + 1);
	CHECK_STATUS(sl_url_parse(longest, &u, &err), SL_USAGE);
	SL_AUTO(sl_buf_done) struct sl_buf many = {0};
	sl_buf_printf(&many, "mem:?");
	for (int i = 0; i <= SL_URL_OPTIONS; i++)
		sl_buf_printf(&many, "a=%d&", i);
	CHECK_STATUS(sl_url_parse((const char *)many.ptr, &u, &err), SL_USAGE);
}

TEST(store_url, a_path_survives_the_round)
{
	struct sl_err err;
	struct sl_url u;
	SL_AUTOFREE char *url = sl_url_of_path("dir", "/odd?%41/&+name");
	CHECK_OK(sl_url_parse(url, &u, &err));
	CHECK_STR(u.path, "/odd?%41/&+name");
	CHECK_EQ(u.noption, 0);
	sl_url_done(&u);
}

TEST(store_url, texts_show_no_secret)
{
	static const char *const url[][2] = {
		{"kafka://u:p@w@h:1,h:2/x?a=1&key_password=s&b=2", "kafka://u:***@h:1,h:2/x?a=1&key_password=***&b=2"},
		{"webhdfs://h:1/a@b:c?token=t&user=u", "webhdfs://h:1/a@b:c?token=***&user=u"},
		{"hbase://h?password=s", "hbase://h?password=***"},
		{"mongodb://u@h?tlsCertificateKeyFilePassword=s", "mongodb://u@h?tlsCertificateKeyFilePassword=***"},
		{"kafka:u:p@h:1", "kafka:***@h:1"},
		{"kafka://u:p/w@h:1", "kafka://u:***@h:1"},
		{"mongodb://u:p@w/x@h/db?a=1", "mongodb://u:***@h/db?a=1"},
		{"kafka://h:1,h:2?a=1", "kafka://h:1,h:2?a=1"},
		{"trace+webhdfs://h:1/a@b", "trace+webhdfs://h:1/a@b"},
		{"mem:", "mem:"},
		{"dir:/a:b@c?x=password", "dir:/a:b@c?x=password"},
	};
	struct sl_err err;
	for (size_t i = 0; i < SL_COUNT(url); i++) {
		struct sl_url u = {0};
		CHECK_OK(sl_url_parse(url[i][0], &u, &err));
		CHECK_STR(u.text, url[i][1]);
		sl_url_done(&u);
	}
	static const char *const bad[] = {"kafka://u:p?secret@h:1", "trace+kafka://u:p?secret=x@h:1?a=1",
		"kafka://u:p@h:1?password=secret@x&a=1", "KAFKA://u:secret@h:1", "kafka://u:secret%zz@h"};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		struct sl_url u = {0};
		CHECK_STATUS(sl_url_parse(bad[i], &u, &err), SL_USAGE);
		if (strstr(err.text, "secret"))
			sl_test_fail(__FILE__, __LINE__, "'%s' shows the password", err.text);
	}
}

#define REFUSED(kind, type, url, status, word) \
	do { \
		struct sl_err err; \
		struct type *s; \
		CHECK_STATUS(kind(url, cfg, &s, &err), status); \
		if (!strstr(err.text, word)) \
			sl_test_fail(__FILE__, __LINE__, "%s: '%s' does not say %s", url, err.text, word); \
	} while (0)

/* A backend of some builds: it refuses this URL itself, or the registry says what there is instead. */
#define OPTIONAL(kind, type, url, built, absent) \
	do { \
		struct type *opened; \
		bool is_absent = kind(url, cfg, &opened, NULL) == SL_UNSUPPORTED; \
		REFUSED(kind, type, url, is_absent ? SL_UNSUPPORTED : SL_USAGE, is_absent ? (absent) : (built)); \
	} while (0)

TEST(store_registry, every_scheme_is_known_and_says_what_to_do)
{
	struct sl_config *cfg = sl_settings_new();
	OPTIONAL(sl_log_open, sl_log, "kafka://h:9092?partitions=0", "from 1 to",
		"not in this build; use mem: or sqlite:PATH");
	OPTIONAL(sl_crops_open, sl_crops, "hbase://h", "each gateway is HOST:PORT", "sqlite:PATH");
	OPTIONAL(sl_reviews_open, sl_reviews, "mongodb://h:27017?w=1", "majority is wanted", "sqlite:PATH");
	OPTIONAL(sl_artifacts_open, sl_artifacts, "webhdfs://h:9870", "a folder of its own", "dir:PATH");
	REFUSED(sl_log_open, sl_log, "kafak://h", SL_USAGE, "mem:, sqlite:PATH or kafka://HOST:PORT");
	REFUSED(sl_log_open, sl_log, "hbase://h", SL_USAGE, "no log is called 'hbase'");
	REFUSED(sl_artifacts_open, sl_artifacts, "sqlite:x", SL_USAGE, "mem:, dir:PATH or webhdfs://HOST:PORT/PATH");
	REFUSED(sl_crops_open, sl_crops, "sqlite:", SL_USAGE, "path is missing");
	REFUSED(sl_log_open, sl_log, "mem:?partition=3", SL_USAGE, "did you mean 'partitions'");
	REFUSED(sl_log_open, sl_log, "mem:?partitions=0", SL_USAGE, "from 1 to");
	REFUSED(sl_log_open, sl_log, "trance+mem:", SL_USAGE, "trace+ or fault+");
	REFUSED(sl_log_open, sl_log, "fault+mem:?when=now", SL_USAGE, "before or after");
	REFUSED(sl_log_open, sl_log, "fault+mem:?status=BAD", SL_USAGE, "BAD");
	REFUSED(sl_log_open, sl_log, "mem:?every=2", SL_USAGE, "every"); /* fault's option without fault+ */
	sl_config_free(cfg);
}

TEST(store_wrap, every_third_call_fails_before_or_after_its_effect)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	for (int after = 0; after < 2; after++) {
		struct sl_log *l;
		CHECK_OK(sl_log_open(after ? "trace+fault+mem:?every=3&when=after&status=AWAY&calls=append"
					   : "fault+mem:?every=3&when=before&status=BUSY&calls=append",
			cfg, &l, &err));
		for (int i = 1; i <= 9; i++) {
			enum sl_status want = i % 3 ? SL_OK : after ? SL_AWAY : SL_BUSY;
			CHECK_STATUS(sl_log_append(l, "labels", "k", sl_slice_str("x"), SL_FOREVER, &err), want);
		}
		int64_t n;
		CHECK_OK(sl_log_lag(l, NULL, "labels", &n, &err)); /* not among the calls that fail */
		CHECK_EQ(n, after ? 9 : 6);
		sl_log_close(l);
	}
	sl_config_free(cfg);
}

TEST(store_wrap, lost_answers_leak_nothing)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_log *l;
	struct sl_crops *c;
	struct sl_artifacts *a;
	struct sl_consumer *m;
	struct sl_batch batch;
	struct sl_crop crop[1];
	struct sl_buf buf = {0};
	struct sl_artifact_list list;
	const char *key = "k";
	CHECK_OK(sl_log_open("fault+mem:?every=1&when=after&calls=read,consumer_open,poll", cfg, &l, &err));
	CHECK_OK(sl_log_append(l, "labels", "k", sl_slice_str("x"), SL_FOREVER, &err));
	CHECK_STATUS(sl_log_read(l, "labels", 0, -1, 5, &batch, &err), SL_TIMEOUT);
	CHECK_EQ(batch.n, 0);
	CHECK_STATUS(sl_consumer_open(l, "g", "labels", &m, &err), SL_TIMEOUT);
	sl_log_close(l);
	CHECK_OK(sl_log_open("fault+mem:?every=1&when=after&calls=poll", cfg, &l, &err));
	CHECK_OK(sl_log_append(l, "labels", "k", sl_slice_str("x"), SL_FOREVER, &err));
	CHECK_OK(sl_consumer_open(l, "g", "labels", &m, &err));
	CHECK_STATUS(sl_consumer_poll(m, 5, sl_mono_us(), &batch, &err), SL_TIMEOUT);
	CHECK_OK(sl_consumer_commit(m, &err)); /* the lost batch was not polled: it is not committed */
	int64_t n;
	CHECK_OK(sl_log_lag(l, "g", "labels", &n, &err));
	CHECK_EQ(n, 1);
	sl_consumer_close(m);
	sl_log_close(l);
	CHECK_OK(sl_crops_open("fault+mem:?every=1&when=after&calls=get", cfg, &c, &err));
	CHECK_OK(sl_crops_put(c, key, sl_slice_str("x"), sl_slice_str("{}"), &err));
	CHECK_STATUS(sl_crops_get(c, key, crop, &err), SL_TIMEOUT);
	CHECK_STATUS(sl_crops_get_many(c, &key, 1, crop, &err), SL_TIMEOUT);
	sl_crops_close(c);
	CHECK_OK(sl_artifacts_open("fault+mem:?every=1&when=after&calls=get,list", cfg, &a, &err));
	CHECK_OK(sl_artifacts_put(a, key, sl_slice_str("x"), &err));
	CHECK_STATUS(sl_artifacts_get(a, key, &buf, &err), SL_TIMEOUT);
	CHECK_EQ(buf.len, 0);
	CHECK_STATUS(sl_artifacts_list(a, "", &list, &err), SL_TIMEOUT);
	sl_artifacts_close(a);
	sl_buf_done(&buf);
	sl_config_free(cfg);
}

TEST(store_meter, calls_are_timed_and_errors_counted_once)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_crops *c;
	struct sl_crop crop;
	CHECK_OK(sl_crops_open("trace+fault+mem:?every=2&calls=put", cfg, &c, &err));
	CHECK_OK(sl_crops_put(c, "a", sl_slice_str("x"), sl_slice_str("{}"), &err));
	CHECK_STATUS(sl_crops_put(c, "b", sl_slice_str("x"), sl_slice_str("{}"), &err), SL_TIMEOUT);
	CHECK_STATUS(sl_crops_put(c, "a", sl_slice_str("x"), sl_slice_str("{}"), &err), SL_EXISTS);
	CHECK_STATUS(sl_crops_get(c, "z", &crop, &err), SL_NOT_FOUND);
	sl_crops_close(c);
	const char *put = "store=\"crops\",call=\"put\"", *get = "store=\"crops\",call=\"get\"";
	CHECK_EQ(sl_metric_value(sl_histogram("signloop_store_seconds", put, "")), 3);
	CHECK_EQ(sl_metric_value(sl_counter("signloop_store_errors_total", put, "")), 1);
	CHECK_EQ(sl_metric_value(sl_histogram("signloop_store_seconds", get, "")), 1);
	CHECK_EQ(sl_metric_value(sl_counter("signloop_store_errors_total", get, "")), 0);
	sl_config_free(cfg);
}

TEST(stores, empty_settings_mean_the_data_folder)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_stores s;
	SL_AUTOFREE char *dir = sl_asprintf("%s/odd ?%%20/data", sl_test_dir());
	static const char *const made[] = {"log.db", "crops.db", "reviews.db"};
	CHECK_OK(sl_stores_open(cfg, dir, &s, &err));
	CHECK_OK(sl_artifacts_put(s.artifacts, "a/b", sl_slice_str("x"), &err));
	sl_stores_close(&s);
	sl_stores_close(&s); /* twice is fine */
	for (size_t i = 0; i < SL_COUNT(made); i++) {
		SL_AUTOFREE char *path = sl_fs_join(dir, made[i]);
		CHECK(sl_fs_is_file(path));
	}
	SL_AUTOFREE char *object = sl_fs_join(dir, "artifacts/a/b");
	CHECK(sl_fs_is_file(object));
	CHECK_OK(sl_config_set(cfg, "store.log", "mem:", "test", &err));
	CHECK_OK(sl_config_set(cfg, "store.artifacts", "sqlite:x", "test", &err));
	CHECK_STATUS(sl_stores_open(cfg, dir, &s, &err), SL_USAGE); /* and nothing stays open: the leak check says */
	sl_config_free(cfg);
}

static void touch(const char *path)
{
	struct sl_err err;
	CHECK_OK(sl_fs_write(path, sl_slice_str(""), true, &err));
}

/* A store that goes and comes back under a process that runs. */
TEST(store_fault, a_file_takes_the_store_away_and_gives_it_back)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_crops *c;
	struct sl_crop crop;
	SL_AUTOFREE char *away = sl_fs_join(sl_test_dir(), "away");
	SL_AUTOFREE char *url = sl_asprintf("fault+mem:?file=%s", away);
	touch(away);
	CHECK_STATUS(sl_crops_open(url, cfg, &c, &err), SL_AWAY);
	remove(away);
	CHECK_OK(sl_crops_open(url, cfg, &c, &err));
	CHECK_STATUS(sl_crops_get(c, "z", &crop, &err), SL_NOT_FOUND);
	touch(away);
	for (int i = 0; i < 3; i++)
		CHECK_STATUS(sl_crops_get(c, "z", &crop, &err), SL_AWAY);
	remove(away);
	CHECK_STATUS(sl_crops_get(c, "z", &crop, &err), SL_NOT_FOUND);
	sl_crops_close(c);
	sl_config_free(cfg);
}

TEST(store_health, says_which_store_is_away_since_when_and_why)
{
	char why[128] = "";
	struct sl_err err;
	int64_t from = sl_now_ms();
	CHECK(sl_health_is_well(SL_NEEDS_LOG | SL_NEEDS_CROPS, why));
	sl_health_note(SL_STORE_CROPS, SL_AWAY, (sl_fail(&err, SL_AWAY, "no route to hbase"), &err));
	CHECK(!sl_health_is_well(SL_NEEDS_LOG | SL_NEEDS_CROPS, why));
	CHECK(strstr(why, "the crop store") && strstr(why, "no route to hbase"));
	CHECK(sl_health_is_well(SL_NEEDS_LOG, why));
	struct sl_away a = sl_health_of(SL_STORE_CROPS);
	CHECK(a.since_ms >= from && a.since_ms <= sl_now_ms());
	CHECK_NEAR(sl_metric_value(sl_gauge("signloop_store_away_since_seconds", "store=\"crops\"", "")),
		(double)a.since_ms / 1000, 1e-6);
	sl_health_note(SL_STORE_CROPS, SL_TIMEOUT, NULL);
	CHECK_EQ(sl_health_of(SL_STORE_CROPS).since_ms, a.since_ms); /* since the first */
	sl_health_note(SL_STORE_CROPS, SL_BUSY, NULL); /* says nothing of the server */
	CHECK_EQ(sl_health_of(SL_STORE_CROPS).since_ms, a.since_ms);
	sl_health_note(SL_STORE_CROPS, SL_NOT_FOUND, NULL); /* an answer */
	CHECK_EQ(sl_health_of(SL_STORE_CROPS).since_ms, 0);
	CHECK(sl_health_is_worth_it(SL_NEEDS_CROPS));
	sl_health_note(SL_STORE_CROPS, SL_USAGE, NULL); /* it refuses us: nothing can be stored */
	CHECK(!sl_health_is_well(SL_NEEDS_CROPS, why));
}

TEST(store_health, the_haste_of_a_caller_is_no_fault_of_the_log)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_log *l;
	struct sl_err err;
	CHECK_OK(sl_log_open("fault+mem:?every=1&status=TIMEOUT&calls=append", cfg, &l, &err));
	CHECK_STATUS(sl_log_append(l, "t", "k", sl_slice_str("x"), 1, &err), SL_TIMEOUT); /* past */
	CHECK(strstr(err.text, "before the write began"));
	CHECK_STATUS(
		sl_log_append(l, "t", "k", sl_slice_str("x"), sl_deadline_ms(SL_METER_FAIR_MS / 2), &err), SL_TIMEOUT);
	CHECK_EQ(sl_health_of(SL_STORE_LOG).since_ms, 0);
	CHECK_STATUS(
		sl_log_append(l, "t", "k", sl_slice_str("x"), sl_deadline_ms(60 * SL_METER_FAIR_MS), &err), SL_TIMEOUT);
	CHECK(sl_health_of(SL_STORE_LOG).since_ms);
	sl_log_close(l);
	sl_config_free(cfg);
}

/* An empty poll is no sign that the log is there: a client may wait for messages in vain. */
TEST(store_health, an_empty_poll_is_no_sign_of_life)
{
	struct sl_config *cfg = sl_settings_new();
	struct sl_log *l;
	struct sl_consumer *c;
	struct sl_batch b;
	struct sl_err err;
	CHECK_OK(sl_log_open("mem:", cfg, &l, &err));
	CHECK_OK(sl_consumer_open(l, "g", "t", &c, &err));
	sl_health_note(SL_STORE_LOG, SL_AWAY, NULL);
	CHECK_OK(sl_consumer_poll(c, 1, 0, &b, &err));
	CHECK(sl_health_of(SL_STORE_LOG).since_ms != 0);
	CHECK_OK(sl_log_append(l, "t", "k", sl_slice_str("x"), SL_FOREVER, &err));
	CHECK_EQ(sl_health_of(SL_STORE_LOG).since_ms, 0);
	sl_consumer_close(c);
	sl_log_close(l);
	sl_config_free(cfg);
}

/* The store of that kind, opened and closed. */
static enum sl_status try_open(const char *kind, const char *url, const struct sl_config *cfg, struct sl_err *err)
{
	struct sl_stores st = {0};
	enum sl_status s = SL_BUSY;
	if (!strcmp(kind, "log"))
		s = sl_log_open(url, cfg, &st.log, err);
	else if (!strcmp(kind, "crop store"))
		s = sl_crops_open(url, cfg, &st.crops, err);
	else if (!strcmp(kind, "review store"))
		s = sl_reviews_open(url, cfg, &st.reviews, err);
	else if (!strcmp(kind, "artifact store"))
		s = sl_artifacts_open(url, cfg, &st.artifacts, err);
	sl_stores_close(&st);
	return s;
}

/* A number beyond the range of the table is refused by what reads it, before any server is asked; the ends of the range of
 * an embedded store are taken. */
static void check_option(const struct sl_store_form *f, const struct sl_url_spec *o, const struct sl_config *cfg)
{
	long long end[2];
	struct sl_err err;
	bool embedded = !strstr(f->form, "//");
	CHECK(*o->range && *o->text);
	if (!f->is_built || sscanf(o->range, "%lld to %lld", &end[0], &end[1]) != 2)
		return;
	for (int i = 0; i < 4; i++) {
		bool beyond = i > 1;
		SL_AUTOFREE char *where = sl_asprintf(embedded ? "%s/%d.db" : "//127.0.0.1:1%s",
			embedded                   ? sl_test_dir()
			: strstr(f->form, "/PATH") ? "/x"
						   : "",
			i);
		SL_AUTOFREE char *url = sl_asprintf("%.*s:%s?%s=%lld", (int)strcspn(f->form, ":"), f->form, where,
			o->name, end[i % 2] + (beyond ? i % 2 * 2 - 1 : 0));
		if (!beyond && !embedded)
			continue;
		CHECK_STATUS(try_open(f->kind, url, cfg, &err), beyond ? SL_USAGE : SL_OK);
		if (beyond && !strstr(err.text, "whole number"))
			sl_test_fail(__FILE__, __LINE__, "%s: %s", url, err.text);
	}
}

static void check_form(void *arg, const struct sl_store_form *f)
{
	struct sl_config *cfg = sl_settings_new();
	for (const struct sl_url_spec *o = f->options; o && o->name; o++, ++*(int *)arg)
		check_option(f, o, cfg);
	sl_config_free(cfg);
}

TEST(stores, options_are_what_their_table_says)
{
	int n = 0;
	sl_stores_each_form(check_form, &n);
	CHECK(n > 2);
}

/* Every topic of the original from each append, in the same call; nothing when the setting is off. */
TEST(stores, the_originals_topics_are_fed_on_request)
{
	static const char label[] =
		"{\"v\":1,\"key\":\"ff1f-185067db1d6835805441fec0-773x483x21x21\",\"source\":\"model\","
		"\"class\":{\"index\":5,\"name_ko\":\"양보\"}}";
	struct sl_config *cfg = sl_settings_new();
	struct sl_err err;
	struct sl_stores s;
	CHECK_OK(sl_config_set(cfg, "log.compat_url", "ftp://h/{digest}", "test", &err));
	for (int on = 0; on < 2; on++) {
		SL_AUTOFREE char *dir = sl_asprintf("%s/%d", sl_test_dir(), on);
		CHECK_OK(sl_config_set(cfg, "log.compat_topics", on ? "true" : "false", "test", &err));
		if (on)
			CHECK_STATUS(sl_stores_open(cfg, dir, &s, &err), SL_USAGE);
		static const char *const nowhere[] = {":8000", "0.0.0.0:8000", "[::]:8000", "127.0.0.1:0"};
		for (size_t i = 0; on && i < SL_COUNT(nowhere); i++) {
			CHECK_OK(sl_config_set(cfg, "log.compat_url", "", "test", &err));
			CHECK_OK(sl_config_set(cfg, "http.listen", nowhere[i], "test", &err));
			CHECK_STATUS(sl_stores_open(cfg, dir, &s, &err), SL_USAGE);
			CHECK(strstr(err.text, nowhere[i]) && strstr(err.text, "log.compat_url"));
		}
		CHECK_OK(sl_config_set(cfg, "http.listen", "127.0.0.1:8000", "test", &err));
		CHECK_OK(sl_config_set(cfg, "log.compat_url", on ? "" : "ftp://h/{digest}", "test", &err));
		CHECK_OK(sl_stores_open(cfg, dir, &s, &err));
		const struct sl_entry e[] = {{"labels", "k", sl_slice_str(label)}, {"labels", "k", sl_slice_str("{")},
			{"other", "o", sl_slice_str(label)},
			{"models", "live",
				sl_slice_str("{\"alias\":\"live\",\"digest\":\"d1\",\"path\":\"bundles/d1.bundle\"}")}};
		CHECK_OK(sl_log_append_many(s.log, e, 4, sl_deadline_ms(10000), &err));
		static const struct {
			const char *topic, *body;
			int n[2];
		} want[] = {{"labels", label, {2, 2}}, {"other", label, {1, 1}},
			{"good_acc_label",
				"{\"image_rowkey\":\"ff1f-185067db1d6835805441fec0-773x483x21x21\",\"label\":\"양보\"}",
				{0, 1}},
			{"parameter", "{\"url\":\"http://127.0.0.1:8000/v1/models/d1/bundle\"}", {0, 1}},
			{"bad_acc_label", NULL, {0, 0}}};
		for (size_t i = 0; i < SL_COUNT(want); i++) {
			SL_AUTO(sl_batch_done) struct sl_batch b = {0};
			CHECK_OK(sl_log_read(s.log, want[i].topic, 0, -1, 10, &b, &err));
			CHECK_EQ(b.n, want[i].n[on]);
			if (b.n)
				CHECK_STR((const char *)b.message[0].body.ptr, want[i].body);
		}
		sl_stores_close(&s);
	}
	CHECK_EQ(sl_metric_value(sl_counter("signloop_compat_total", "result=\"sent\"", "")), 2);
	CHECK_EQ(sl_metric_value(sl_counter("signloop_compat_total", "result=\"bad\"", "")), 1);
	sl_config_free(cfg);
}
