/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "role/frames.h"
#include <stdio.h>

void sl_answer_crop(struct sl_request *r, struct sl_crops *crops, const char *key)
{
	SL_AUTO(sl_crop_done) struct sl_crop crop = {0};
	const char *known = sl_request_header(r, "If-None-Match");
	char etag[SL_KEY + 2];
	struct sl_err err;

	if (sl_crops_get(crops, key, &crop, &err) != SL_OK) {
		sl_answer_fail(r, &err);
		return;
	}
	snprintf(etag, sizeof etag, "\"%s\"", key); /* a key names one picture for ever */
	sl_answer_header(r, "ETag", etag);
	sl_answer_header(r, "Cache-Control", "public, max-age=31536000, immutable");
	if (known && strstr(known, etag))
		sl_answer_copy(r, 304, "image/jpeg", (struct sl_slice){0});
	else
		sl_answer_copy(r, 200, "image/jpeg", sl_buf_slice(&crop.jpeg));
}

static void answer_meta(struct sl_request *r, struct sl_crops *crops, const char *key)
{
	SL_AUTO(sl_crop_done) struct sl_crop crop = {0};
	struct sl_err err;

	if (sl_crops_get(crops, key, &crop, &err) == SL_OK)
		sl_answer_copy(r, 200, "application/json", sl_buf_slice(&crop.meta));
	else
		sl_answer_fail(r, &err);
}

static void get_crop(struct sl_request *r, void *arg)
{
	struct sl_frames *f = arg;
	const char *key = sl_request_param(r, "key"), *meta = sl_request_query(r, "meta");

	if (!sl_key_is_valid(key))
		sl_answer_error(r, 400, "INVALID", "this is no crop key");
	else if (meta && strcmp(meta, "0") != 0)
		answer_meta(r, f->ctx->stores.crops, key);
	else
		sl_answer_crop(r, f->ctx->stores.crops, key);
}

const struct sl_route sl_frames_crop_routes[] = {
	{.method = "GET",
		.path = "/v1/crops/{key}",
		.run = SL_RUN_WORKER,
		.fn = get_crop,
		.tag = "frames",
		.summary =
			"The crop of a sign as it was stored: 64x64, the square of 1.5 x the box; with meta=1 what was known about it",
		.params = "meta:integer:1 gives the metadata as JSON (docs/formats.md)",
		.response = "image/jpeg, application/json {\"type\":\"object\"}"},
	{0}};
