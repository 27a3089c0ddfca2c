/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"
#include "core/registry.h"
#include "frames_rig.h"
#include <stdio.h>

TEST(legacy, labeling_answers_as_the_original_did)
{
	struct rig g;
	SL_AUTO(sl_buf_done) struct sl_buf json = {0};
	rig_open(&g, NULL, tiny_bundle("tiny"));
	as_json(&g, "", "", &json);
	SL_AUTOJSON json_t *test = post(&g, "POST /api/labeling-test", "application/json", sl_buf_slice(&json), 200);
	CHECK_STR(text_at(test, "result"), "GOOD");
	json_t *image = json_array_get(json_object_get(test, "labeledImages"), 0);
	json_t *label = json_array_get(json_object_get(image, "labels"), 0);
	CHECK(sl_key_is_valid(text_at(image, "image_rowkey")));
	CHECK(*text_at(label, "label") && json_number_value(json_object_get(label, "accuracy")) > 0.5);
	CHECK_EQ(crops(&g), 0);
	CHECK_EQ(messages(&g, "labels") + messages(&g, "reviews"), 0);
	SL_AUTOJSON json_t *a = post(&g, "GET /api/labeling", "application/json", sl_buf_slice(&json), 200);
	CHECK_EQ(json_array_size(json_object_get(a, "labeledImages")), 2);
	CHECK_STR(text_at(json_array_get(json_object_get(a, "labeledImages"), 0), "label"), text_at(label, "label"));
	CHECK_EQ(crops(&g), 2);
	json_decref(post(&g, "POST /api/labeling", "application/json", sl_slice_str("{"), 400));
	json_decref(post(&g, "GET /api/modelupdate", NULL, (struct sl_slice){0}, 404)); /* nothing was ever published */
	rig_close(&g);
}

TEST(legacy, modelupdate_makes_every_process_look_at_the_alias)
{
	struct rig g;
	SL_AUTO(sl_buf_done) struct sl_buf entry = {0};
	struct sl_alias_entry e = {0};
	char path[SL_ALIAS_PATH], digest[SL_DIGEST];
	struct sl_err err;
	rig_open(&g, NULL, tiny_bundle("tiny"));

	sl_sha256_hex("b", 1, digest);
	CHECK_OK(sl_alias_next(NULL, 0, "live", digest, &e, &err));
	sl_alias_path(path, "live", 1);
	SL_AUTOJSON json_t *v = sl_alias_json(&e);
	CHECK_OK(sl_json_print(v, &entry));
	CHECK_OK(sl_artifacts_put(g.ctx.stores.artifacts, path, sl_buf_slice(&entry), &err));
	SL_AUTOJSON json_t *a = ask_json(g.port, "GET /api/modelupdate", NULL, 200);
	CHECK_STR(text_at(a, "result"), "GOOD");
	CHECK_STR(text_at(a, "bundle"), digest);
	CHECK_EQ(messages(&g, "models"), 1);
	rig_close(&g);
}

TEST(v2, models_say_what_they_take_and_give)
{
	struct rig g;
	rig_open(&g, NULL, tiny_bundle("tiny"));
	SL_AUTOJSON json_t *server = ask_json(g.port, "GET /v2", NULL, 200);
	CHECK_STR(text_at(server, "name"), "signloop");
	SL_AUTOJSON json_t *d = ask_json(g.port, "GET /v2/models/detector", NULL, 200);
	json_t *in = json_array_get(json_object_get(d, "inputs"), 0),
	       *out = json_array_get(json_object_get(d, "outputs"), 0);
	SL_AUTOJSON json_t *in_shape = json_pack("[i,i,i,i]", 1, 3, -1, -1),
			   *out_shape = json_pack("[i,i,i,i]", 1, 5, -1, -1);
	CHECK_STR(text_at(in, "datatype"), "FP32");
	CHECK(json_equal(json_object_get(in, "shape"), in_shape));
	CHECK(json_equal(json_object_get(out, "shape"), out_shape));
	json_decref(ask_json(g.port, "GET /v2/models/classifier/ready", NULL, 200));
	json_decref(ask_json(g.port, "GET /v2/models/other", NULL, 404));
	json_decref(ask_json(g.port, "POST /v2/models/other/infer", "{}", 404));
	rig_close(&g);
}

static json_t *tensor(int n, int sides)
{
	json_t *data = json_array(), *shape = json_array();

	for (int i = 0; i < n * 3 * 16 * 16; i++)
		json_array_append_new(data, json_real(i / 256 % 3 == 1 ? 0.5 : 0));
	for (int i = 0; i < sides; i++)
		json_array_append_new(shape, json_integer(i == 0 ? n : i == 1 ? 3 : 16));
	return json_pack("{s:s,s:[{s:s,s:s,s:o,s:o}]}", "id", "q1", "inputs", "name", "image", "datatype", "FP32",
		"shape", shape, "data", data);
}

static json_t *infer(struct rig *g, json_t *ask, int code)
{
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};

	sl_json_print(ask, &b);
	json_decref(ask);
	return post(g, "POST /v2/models/classifier/infer", "application/json", sl_buf_slice(&b), code);
}

TEST(v2, tensors_go_in_and_come_out)
{
	struct rig g;
	rig_open(&g, NULL, tiny_bundle("tiny"));
	SL_AUTOJSON json_t *a = infer(&g, tensor(2, 4), 200);
	json_t *out = json_array_get(json_object_get(a, "outputs"), 0), *data = json_object_get(out, "data");
	CHECK_STR(text_at(a, "id"), "q1");
	CHECK_STR(text_at(a, "model_name"), "classifier");
	CHECK_EQ(json_array_size(data), 4);
	for (int i = 0; i < 4; i++) /* -6 and 6 times the mean of green */
		CHECK_NEAR(json_number_value(json_array_get(data, i)), i % 2 ? 3 : -3, 1e-4);
	json_decref(infer(&g, tensor(2, 3), 400));
	json_t *wrong = tensor(1, 4);
	json_array_clear(json_object_get(json_array_get(json_object_get(wrong, "inputs"), 0), "data"));
	json_decref(infer(&g, wrong, 400));
	wrong = tensor(1, 4);
	json_object_set_new(json_array_get(json_object_get(wrong, "inputs"), 0), "datatype", json_string("INT8"));
	json_decref(infer(&g, wrong, 400));
	wrong = tensor(1, 4);
	json_object_set_new(json_array_get(json_object_get(wrong, "inputs"), 0), "shape",
		json_pack("[I,i,i,i]", (json_int_t)1 << 40, 3, 16, 16));
	json_decref(infer(&g, wrong, 413));
	json_decref(infer(&g, json_object(), 400));
	rig_close(&g);
}

TEST(v2, numbers_may_travel_as_bytes)
{
	struct rig g;
	SL_AUTO(sl_buf_done) struct sl_buf body = {0};
	struct ask_answer a = {0};
	char more[80], text[40];
	float *x = sl_calloc(3 * 256, sizeof *x), y[2];
	rig_open(&g, NULL, tiny_bundle("tiny"));
	for (int i = 256; i < 512; i++)
		x[i] = 0.25f;
	sl_buf_puts(&body,
		"{\"inputs\":[{\"name\":\"image\",\"datatype\":\"FP32\",\"shape\":[1,3,16,16],\"parameters\":"
		"{\"binary_data_size\":3072}}],\"parameters\":{\"binary_data_output\":true}}");
	snprintf(more, sizeof more, "Inference-Header-Content-Length: %zu\r\n", body.len);
	sl_buf_add(&body, x, 3072);
	struct ask_conn c = ask_open(g.port);
	ask_request(&c, "POST /v2/models/classifier/infer", "application/octet-stream", sl_buf_slice(&body), more);
	CHECK(ask_read(&c, false, &a));
	CHECK_EQ(a.code, 200);
	size_t head = strtoul(ask_header(&a, "Inference-Header-Content-Length", text, sizeof text), NULL, 10);
	CHECK_EQ(a.body.len, head + sizeof y);
	memcpy(y, a.body.ptr + head, sizeof y);
	CHECK_NEAR(y[0], -1.5, 1e-4);
	CHECK_NEAR(y[1], 1.5, 1e-4);
	ask_done(&a);
	ask_request(&c, "POST /v2/models/classifier/infer", "application/octet-stream",
		sl_slice(body.ptr, body.len - 1), more);
	CHECK(ask_read(&c, false, &a));
	CHECK_EQ(a.code, 400);
	ask_done(&a);
	ask_close(&c);
	free(x);
	rig_close(&g);
}
