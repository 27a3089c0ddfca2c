/* SPDX-License-Identifier: Apache-2.0
 *
 * The routes of the original's cars. A label there was the Korean name of the class, and so
 * it is here. /api/labeling does what POST /v1/frames does; /api/labeling-test stores nothing.
 */
#include "dataset/registry.h"
#include "role/frames.h"

static void labeling(struct sl_request *r, void *arg)
{
	sl_frames_accept(arg, r, sl_frames_run, SL_REPLY_LABELING);
}

static void labeling_test(struct sl_request *r, void *arg)
{
	sl_frames_accept(arg, r, sl_frames_run, SL_REPLY_LABELING_TEST);
}

/* Tells every process to look at the alias again, this one included. */
static void modelupdate(struct sl_request *r, void *arg)
{
	struct sl_frames *f = arg;
	char digest[SL_DIGEST];
	struct sl_err err;
	enum sl_status s = sl_alias_digest(f->ctx->stores.artifacts, SL_ALIAS_LIVE, digest, &err);

	if (s == SL_OK)
		s = sl_model_announce(&f->ctx->stores, &err);
	if (s == SL_OK)
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
		.summary =
			"As POST /v1/frames, with the answer of the system that signloop re-makes; label is the Korean class name",
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
