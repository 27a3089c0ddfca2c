/* SPDX-License-Identifier: Apache-2.0 */
#include "core/message.h"
#include "base/mem.h"
#include "harness.h"
#include <stdio.h>

static struct sl_class classes[] = {
	{.code = "205", .en = "Yield", .ko = "양보"}, {.code = "206", .en = "Stop", .ko = "정지"}};
static const struct sl_taxonomy taxonomy = {.name = "t", .n = 2, .cls = classes};

static const char *key(void)
{
	static char k[SL_KEY];
	char frame[65];
	memset(frame, 'b', 64);
	frame[64] = 0;
	sl_key_make(k, frame, 1, 2, 30, 40);
	return k;
}

static json_t *with_key(const char *members)
{
	SL_AUTOFREE char *text = sl_asprintf("{\"v\":1,\"key\":\"%s\",%s}", key(), members);
	struct sl_err err;
	json_t *v = NULL;
	CHECK_OK(sl_json_parse(sl_slice_str(text), "test", &v, &err));
	return v;
}

TEST(message, what_a_verdict_says_is_what_a_label_reads)
{
	static const struct {
		struct sl_verdict verdict;
		const char *source, *code;
		double confidence;
	} cases[] = {{{SL_REVIEW_DECIDED, 1, false, 8, 6}, "votes", "206", 0.75},
		{{SL_REVIEW_DECIDED, 0, true, 4, 1}, "expert", "205", 1},
		{{SL_REVIEW_DECIDED, SL_CHOICE_UNREADABLE, true, 0, 0}, "expert", "", 1},
		{{SL_REVIEW_DECIDED, 7, false, 3, 3}, "votes", "7", 1}}; /* of a taxonomy that was: no code */
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		struct sl_review r = {.bundle = "b", .verdict = cases[i].verdict};
		struct sl_label l;
		struct sl_err err;
		SL_COPY(r.key, key());
		SL_AUTOJSON json_t *m = sl_verdict_message(&r, &taxonomy, 99);
		CHECK_OK(sl_label_parse(m, "label", &l, &err));
		CHECK_STR(l.key, key());
		CHECK_EQ(l.cls, cases[i].verdict.choice);
		CHECK_STR(l.code, cases[i].code);
		CHECK_STR(l.source, cases[i].source);
		CHECK_STR(l.bundle, "b");
		CHECK_NEAR(json_number_value(json_object_get(m, "confidence")), cases[i].confidence, 1e-9);
		CHECK_EQ(json_integer_value(json_object_get(m, "votes")), cases[i].verdict.votes);
		CHECK_EQ(json_integer_value(json_object_get(m, "time")), 99);
	}
}

TEST(message, a_review_is_read_or_refused_whole)
{
	static const char *const bad[] = {"\"x\":1", "\"candidates\":{}", "\"candidates\":[1]",
		"\"candidates\":[{\"class\":1}]", "\"candidates\":[{\"class\":4294967297,\"confidence\":1}]",
		"\"candidates\":[{\"class\":1,\"confidence\":1.5}]",
		"\"candidates\":[],\"bundle\":\"0123456789012345678901234567890123456789012345678901234567890123x\"",
		"\"candidates\":[],\"time\":\"now\""};
	struct sl_review r = {.cap = 77};
	struct sl_err err;
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		SL_AUTOJSON json_t *v = with_key(bad[i]);
		CHECK_STATUS(sl_review_parse(v, 5, &r, &err), SL_INVALID);
		CHECK_EQ(r.cap, 77);
	}
	SL_AUTOJSON json_t *v = with_key(
		"\"candidates\":[{\"class\":{\"index\":3},\"confidence\":0.5},{\"class\":2,\"confidence\":0.25},"
		"{\"class\":1,\"confidence\":0},{\"class\":1,\"confidence\":0},{\"class\":1,\"confidence\":0},{\"no\":1}],\"device\":\"car\"");
	CHECK_OK(sl_review_parse(v, 5, &r, &err));
	CHECK_EQ(r.ncandidate, SL_CANDIDATES);
	CHECK_EQ(r.candidate[0].cls, 3);
	CHECK_NEAR(r.candidate[1].confidence, 0.25, 1e-6);
	CHECK_STR(r.frame, "bbbbbbbbbbbbbbbbbbbbbbbb");
	CHECK_STR(r.device, "car");
	CHECK_EQ(r.time_ms, 5);
	json_object_set_new(v, "v", json_integer(2));
	CHECK_STATUS(sl_review_parse(v, 5, &r, &err), SL_UNSUPPORTED);
}

TEST(message, a_crop_says_of_which_topic_it_is)
{
	const char *topic = NULL;
	SL_AUTOJSON json_t *label = json_pack("{s:s,s:{s:i},s:f,s:s,s:I,s:s}", "topic", "labels", "class", "index", 1,
		"confidence", 0.9, "bundle", "b", "time", (json_int_t)7, "device", "car");
	SL_AUTOJSON json_t *review = json_pack("{s:s,s:[{s:i,s:f}],s:s}", "topic", "reviews", "candidates", "class", 1,
		"confidence", 0.4, "device", "car");
	SL_AUTOJSON json_t *other = json_pack("{s:s}", "topic", "models");
	struct sl_label l;
	struct sl_review r;
	struct sl_err err;
	SL_AUTOJSON json_t *a = sl_crop_message(key(), label, &topic);
	CHECK_STR(topic, SL_TOPIC_LABELS);
	CHECK_OK(sl_label_parse(a, "label", &l, &err));
	CHECK_STR(l.source, "model");
	CHECK(!json_object_get(a, "device"));
	SL_AUTOJSON json_t *b = sl_crop_message(key(), review, &topic);
	CHECK_STR(topic, SL_TOPIC_REVIEWS);
	CHECK_OK(sl_review_parse(b, 1, &r, &err));
	CHECK_EQ(r.candidate[0].cls, 1);
	CHECK(!sl_crop_message(key(), other, &topic));
	CHECK(!sl_crop_message(key(), NULL, &topic));
}
