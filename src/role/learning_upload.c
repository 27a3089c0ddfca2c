/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/models: an expert's own model. A bundle is stored as it is; an ONNX detector or
 * classifier is put into the live bundle beside its other part. Nothing is published by it.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "dataset/registry.h"
#include "role/learning_work.h"

struct upload {
	struct sl_slice bundle, detector, classifier;
	char name[64];
	double temperature;
};

static enum sl_status take_part(const struct sl_part *p, struct upload *u, struct sl_err *err)
{
	if (!strcmp(p->name, "bundle"))
		u->bundle = p->body;
	else if (!strcmp(p->name, "detector"))
		u->detector = p->body;
	else if (!strcmp(p->name, "classifier"))
		u->classifier = p->body;
	else if (!strcmp(p->name, "name") && p->body.len < sizeof(u->name))
		memcpy(u->name, p->body.ptr, p->body.len);
	else if (!strcmp(p->name, "temperature") && p->body.len < 32) {
		char text[32] = "", *end;
		memcpy(text, p->body.ptr, p->body.len);
		u->temperature = strtod(text, &end);
		if (end == text || *end || !(u->temperature > 0 && u->temperature <= 100))
			return sl_fail(
				err, SL_INVALID, "body: part \"temperature\" must be a number above 0, at most 100");
	} else {
		return sl_fail(err, SL_INVALID,
			"body: part \"%.30s\" is none of bundle, detector, classifier, name (up to 63 bytes), "
			"temperature",
			p->name);
	}
	return SL_OK;
}

static enum sl_status read_parts(struct sl_request *r, struct upload *u, struct sl_err *err)
{
	const char *type = sl_request_header(r, "Content-Type");
	const struct sl_part *part = NULL;
	int n = 0;
	if (!type || strncasecmp(type, "multipart/form-data", 19) != 0) {
		u->bundle = sl_request_body(r);
		return u->bundle.len ? SL_OK : sl_fail(err, SL_INVALID, "body: empty; a bundle file is wanted");
	}
	enum sl_status s = sl_request_form(r, &part, &n, err);
	for (int i = 0; i < n && s == SL_OK; i++)
		s = take_part(&part[i], u, err);
	if (s == SL_OK && u->bundle.len && (u->detector.len || u->classifier.len))
		s = sl_fail(
			err, SL_INVALID, "body: a bundle is whole; detector and classifier are for the live bundle");
	if (s == SL_OK && !u->bundle.len && !u->detector.len && !u->classifier.len)
		s = sl_fail(err, SL_INVALID, "body: a part bundle, detector or classifier is wanted");
	return s;
}

static enum sl_status wrap(struct sl_learning *l, const struct upload *u, struct sl_buf *ret, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf base = {0};
	char live[SL_DIGEST], created[25];
	enum sl_status s = sl_alias_digest(l->ctx.stores.artifacts, SL_ALIAS_LIVE, live, err);
	if (s == SL_OK)
		s = sl_model_get(l->ctx.stores.artifacts, live, &base, err);
	if (s != SL_OK)
		return s;
	sl_time_text(sl_now_ms(), created);
	struct sl_wrap w = {.base = sl_buf_slice(&base),
		.detector = u->detector,
		.classifier = u->classifier,
		.temperature = u->temperature,
		.name = *u->name ? u->name : "imported",
		.created = created};
	return sl_model_wrap(&w, ret, err);
}

static void post_model(struct sl_request *r, void *arg)
{
	struct sl_learning *l = arg;
	SL_AUTO(sl_buf_done) struct sl_buf made = {0};
	struct upload u = {.name = ""};
	struct sl_err err = {0};
	char digest[SL_DIGEST];
	enum sl_status s = read_parts(r, &u, &err);
	if (s == SL_OK && !u.bundle.len) {
		s = wrap(l, &u, &made, &err);
		u.bundle = sl_buf_slice(&made);
	}
	if (s == SL_OK)
		s = sl_model_put(l->ctx.stores.artifacts, u.bundle, digest, &err);
	if (s != SL_OK)
		sl_answer_fail(r, &err);
	else
		sl_answer_json(r, 201, json_pack("{s:s,s:I}", "digest", digest, "bytes", (json_int_t)u.bundle.len));
}

const struct sl_route sl_learning_upload_routes[] = {
	{.method = "POST",
		.path = "/v1/models",
		.run = SL_RUN_WORKER,
		.body_max = "http.bundle_bytes",
		.fn = post_model,
		.tag = "models",
		.summary =
			"Stores a bundle, or a detector or classifier (ONNX, as form parts) put into the live bundle; publishes nothing",
		.request = "application/octet-stream, multipart/form-data",
		.response =
			"{\"title\":\"Stored model\",\"type\":\"object\",\"required\":[\"digest\"],\"properties\":{\"digest\":"
			"{\"type\":\"string\"},\"bytes\":{\"type\":\"integer\"}}}"},
	{.method = NULL},
};
