/* SPDX-License-Identifier: Apache-2.0 */
#include "core/compat.h"
#include "base/mem.h"
#include "harness.h"

#define KEY "ff1f-185067db1d6835805441fec0-773x483x21x21"
#define URL "http://h:8003/v1/models/{digest}/bundle"
#define LABEL "{\"v\":1,\"key\":\"" KEY "\",\"source\":\"model\",\"class\":"
#define REVIEW "{\"v\":1,\"key\":\"" KEY "\",\"candidates\":"
#define MODEL "{\"v\":1,\"digest\":\"abc\",\"path\":\"bundles/abc.bundle\",\"alias\":"

static json_t *parse(const char *text)
{
	struct sl_err err;
	json_t *v = NULL;
	CHECK_OK(sl_json_parse(sl_slice_str(text), "test", &v, &err));
	return v;
}

TEST(compat, each_message_as_the_original_knew_it)
{
	static const struct {
		const char *topic, *body, *url, *to, *made; /* made NULL: nothing to say */
	} cases[] = {
		{"labels",
			LABEL "{\"index\":5,\"code\":\"274-80\",\"name\":\"80\",\"name_ko\":\"최고속도제한 80km/h\"}}",
			URL, "good_acc_label", "{\"image_rowkey\":\"" KEY "\",\"label\":\"최고속도제한 80km/h\"}"},
		{"labels", LABEL "{\"index\":5,\"code\":\"274-80\"}}", URL, "good_acc_label",
			"{\"image_rowkey\":\"" KEY "\",\"label\":\"274-80\"}"},
		{"labels", LABEL "{\"index\":5,\"code\":\"\",\"name_ko\":\"\"}}", URL, "good_acc_label",
			"{\"image_rowkey\":\"" KEY "\",\"label\":\"5\"}"},
		{"labels", LABEL "5}", URL, "good_acc_label", "{\"image_rowkey\":\"" KEY "\",\"label\":\"5\"}"},
		{"labels", LABEL "null,\"choice\":\"not_a_sign\"}", URL, NULL, NULL},
		{"reviews",
			REVIEW
			"[{\"class\":5,\"code\":\"274-80\",\"name_ko\":\"팔십\",\"confidence\":0.5},{\"class\":{\"index\":7,"
			"\"name_ko\":\"백\"},\"confidence\":0.25},{\"class\":9,\"confidence\":0}]}",
			URL, "bad_acc_label",
			"{\"image_rowkey\":\"" KEY
			"\",\"labels\":[{\"label\":\"팔십\",\"accuracy\":0.5},{\"label\":\"백\","
			"\"accuracy\":0.25},{\"label\":\"9\",\"accuracy\":0}]}"},
		{"reviews", REVIEW "[]}", URL, "bad_acc_label", "{\"image_rowkey\":\"" KEY "\",\"labels\":[]}"},
		{"models", MODEL "\"live\"}", URL, "parameter", "{\"url\":\"http://h:8003/v1/models/abc/bundle\"}"},
		{"models", MODEL "\"live\"}", "https://h/webhdfs/v1/{path}?op=OPEN&x={digest}{nothing}", "parameter",
			"{\"url\":\"https://h/webhdfs/v1/bundles/abc.bundle?op=OPEN&x=abc{nothing}\"}"},
		{"models", MODEL "\"candidate\"}", URL, NULL, NULL}, {"other", LABEL "5}", URL, NULL, NULL}};
	for (size_t i = 0; i < SL_COUNT(cases); i++) {
		SL_AUTOJSON json_t *body = parse(cases[i].body), *made = NULL, *want = NULL;
		const char *topic = NULL;
		struct sl_err err;
		CHECK_OK(sl_compat_message(cases[i].topic, body, cases[i].url, &topic, &made, &err));
		CHECK_EQ(!made, !cases[i].made);
		if (!made)
			continue;
		want = parse(cases[i].made);
		CHECK_STR(topic, cases[i].to);
		CHECK(json_equal(made, want));
	}
}

TEST(compat, what_is_no_message_has_no_copy)
{
	static const char *const bad[][2] = {{"labels", LABEL "\"5\"}"}, {"labels", "{\"v\":1}"}, {"labels", "[]"},
		{"reviews", REVIEW "7}"}, {"models", "{\"v\":1,\"alias\":\"live\"}"}, {"models", "null"}};
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		SL_AUTOJSON json_t *body = parse(bad[i][1]), *made = NULL;
		const char *topic = NULL;
		struct sl_err err;
		CHECK_STATUS(sl_compat_message(bad[i][0], body, URL, &topic, &made, &err), SL_INVALID);
		CHECK(!made);
	}
}

TEST(compat, a_url_must_lead_to_the_bundle)
{
	struct sl_err err;
	CHECK_OK(sl_compat_check_url(URL, &err));
	CHECK_OK(sl_compat_check_url("https://h/{path}", &err));
	CHECK_STATUS(sl_compat_check_url("http://h/bundle", &err), SL_USAGE);
	CHECK_STATUS(sl_compat_check_url("/{path}", &err), SL_USAGE);
	CHECK_STATUS(sl_compat_check_url("", &err), SL_USAGE);
}
