/* SPDX-License-Identifier: Apache-2.0
 *
 * The routes of the original's cars. A label there was the Korean name of the class, and so
 * it is here. /api/labeling does what POST /v1/frames does; /api/labeling-test stores nothing.
 */
#include "base/mem.h"
#include "dataset/registry.h"
#include "role/frames.h"

enum { ANNOUNCE_MS = 5000 };

static void labeling(struct sl_request *r, void *arg)
{
	sl_frames_accept(arg, r, sl_frames_run, SL_REPLY_LABELING);
}

static void labeling_test(struct sl_request *r, void *arg)
{
	sl_frames_accept(arg, r, sl_frames_run, SL_REPLY_LABELING_TEST);
}

/* Tells every process to look at the alias again, this one included. */
static enum sl_status announce(struct sl_frames *f, char digest[SL_DIGEST], struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	char path[SL_ALIAS_PATH];
	enum sl_status s = sl_alias_digest(f->ctx->stores.artifacts, SL_ALIAS_LIVE, digest, err);

	if (s != SL_OK)
		return s;
	sl_bundle_path(path, digest);
	SL_AUTOJSON json_t *o = json_pack("{s:i,s:s,s:s,s:s,s:I}", "v", 1, "alias", SL_ALIAS_LIVE, "digest", digest,
		"path", path, "time", (json_int_t)sl_now_ms());
	sl_json_print(o, &text);
	return sl_log_append(
		f->ctx->stores.log, "models", SL_ALIAS_LIVE, sl_buf_slice(&text), sl_deadline_ms(ANNOUNCE_MS), err);
}

static void modelupdate(struct sl_request *r, void *arg)
{
	char digest[SL_DIGEST];
	struct sl_err err;

	if (announce(arg, digest, &err) == SL_OK)
		sl_answer_json(r, 200, json_pack("{s:s,s:s}", "result", "GOOD", "bundle", digest));
	else
		sl_answer_fail(r, &err);
}

#define IMAGE \
	"{\"type\":\"object\",\"required\":[\"image\"],\"properties\":{\"image\":{\"type\":\"string\",\"description\":\"JPEG or " \
	"PNG as base64\"}}}"

const struct sl_route sl_frames_legacy_routes[] = {
	{.method = "GET|POST",
		.path = "/api/labeling",
		.run = SL_RUN_LATER,
		.body_max = "http.frame_bytes",
		.fn = labeling,
		.tag = "original",
		.summary = "As POST /v1/frames, with the answer of the system that signloop re-makes; label is the Korean class name",
		.request = IMAGE,
		.errors = "422",
		.response =
			"{\"type\":\"object\",\"properties\":{\"labeledImages\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
			"\"properties\":{\"image_rowkey\":{\"type\":\"string\"},\"label\":{\"type\":\"string\"}}}}}}"},
	{.method = "GET|POST",
		.path = "/api/labeling-test",
		.run = SL_RUN_LATER,
		.body_max = "http.frame_bytes",
		.fn = labeling_test,
		.tag = "original",
		.summary = "As /api/labeling with every candidate; nothing is stored",
		.request = IMAGE,
		.errors = "422",
		.response =
			"{\"type\":\"object\",\"properties\":{\"result\":{\"type\":\"string\"},\"labeledImages\":{\"type\":"
			"\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"image_rowkey\":{\"type\":\"string\"},\"labels\":"
			"{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"label\":{\"type\":\"string\"},\"accuracy\":"
			"{\"type\":\"number\"}}}}}}}}}"},
	{.method = "GET|POST",
		.path = "/api/modelupdate",
		.run = SL_RUN_WORKER,
		.body_max = "http.body_bytes",
		.fn = modelupdate,
		.tag = "original",
		.summary = "Every process looks again which bundle is live, and loads it",
		.response =
			"{\"type\":\"object\",\"properties\":{\"result\":{\"type\":\"string\"},\"bundle\":{\"type\":\"string\"}}}"},
	{0}};
