/* SPDX-License-Identifier: Apache-2.0
 *
 * Open Inference Protocol v2 (REST) for the nets of the live bundle, as they are: tensors
 * in, tensors out, FP32. Numbers come as JSON, or behind the JSON as bytes (the binary tensor
 * data extension: header Inference-Header-Content-Length, little endian).
 */
#include "base/mem.h"
#include "role/frames.h"
#include <math.h>

static const char *const net_name[SL_NETS] = {"detector", "classifier"};
#define HEADER_LENGTH "Inference-Header-Content-Length"

static const struct sl_model *model_of(const struct sl_bundle *b, enum sl_net net)
{
	return net == SL_NET_DETECTOR ? b->detector : b->classifier;
}

static bool find_net(const char *name, enum sl_net *ret)
{
	for (int i = 0; i < SL_NETS; i++)
		if (strcmp(net_name[i], name) == 0) {
			*ret = i;
			return true;
		}
	return false;
}

static json_t *shape_json(const struct sl_shape *s)
{
	json_t *list = json_array();

	for (int i = 0; i < s->rank; i++)
		json_array_append_new(list, json_integer(s->dim[i]));
	return list;
}

static json_t *tensor_json(const char *name, const struct sl_shape *s)
{
	return json_pack("{s:s,s:s,s:o}", "name", name, "datatype", "FP32", "shape", shape_json(s));
}

/* Shapes of all values with the open sides of the input at k units. */
static struct sl_shape *shapes_at(const struct sl_bundle *b, const struct sl_graph *g, int k)
{
	struct sl_shape *ret = sl_calloc(g->nvalue, sizeof *ret), in = g->value[g->input[0]].shape;

	for (int i = 0; i < in.rank; i++)
		if (in.dim[i] < 0)
			in.dim[i] = i >= 2 ? (int64_t)b->stride * 2 * k : k;
	sl_graph_shapes(g, &in, ret, NULL);
	return ret;
}

/* An output's side is open when it follows the input's. */
static json_t *outputs_json(const struct sl_bundle *b, const struct sl_graph *g)
{
	SL_AUTOFREE struct sl_shape *one = shapes_at(b, g, 1), *two = shapes_at(b, g, 2);
	json_t *list = json_array();

	for (int i = 0; i < g->noutput; i++) {
		struct sl_shape s = one[g->output[i]];
		for (int k = 0; k < s.rank; k++)
			if (s.dim[k] != two[g->output[i]].dim[k])
				s.dim[k] = -1;
		json_array_append_new(list, tensor_json(g->value[g->output[i]].name, &s));
	}
	return list;
}

/* Pins the live bundle and finds the net, or answers. */
static struct sl_bundle *pin(struct sl_frames *f, struct sl_request *r, enum sl_net *ret)
{
	struct sl_bundle *b = sl_hub_bundle(f->ctx->hub);

	if (!find_net(sl_request_param(r, "model"), ret))
		sl_answer_error(r, 404, "NOT_FOUND", "the models are \"detector\" and \"classifier\"");
	else if (!b)
		sl_answer_error(r, 503, "NO_BUNDLE", "no bundle is loaded yet");
	else
		return b;
	sl_bundle_unref(b);
	return NULL;
}

static void get_server(struct sl_request *r, void *arg)
{
	sl_answer_json(r, 200,
		json_pack("{s:s,s:s,s:[s]}", "name", "signloop", "version", SL_VERSION, "extensions",
			"binary_tensor_data"));
}

static void get_model(struct sl_request *r, void *arg)
{
	enum sl_net net;
	struct sl_bundle *b = pin(arg, r, &net);

	if (!b)
		return;
	const struct sl_graph *g = sl_model_graph(model_of(b, net));
	const struct sl_value *in = &g->value[g->input[0]];
	sl_answer_json(r, 200,
		json_pack("{s:s,s:[s],s:s,s:[o],s:o}", "name", net_name[net], "versions", b->digest, "platform",
			"signloop_onednn", "inputs", tensor_json(in->name, &in->shape), "outputs", outputs_json(b, g)));
	sl_bundle_unref(b);
}

static void get_model_ready(struct sl_request *r, void *arg)
{
	enum sl_net net;
	struct sl_bundle *b = pin(arg, r, &net);

	if (b)
		sl_answer_json(r, 200, json_pack("{s:s,s:b}", "name", net_name[net], "ready", 1));
	sl_bundle_unref(b);
}

/* ---- infer ---- */

struct ask {
	json_t *body;
	struct sl_slice bytes; /* behind the JSON */
	bool binary; /* outputs as bytes */
	struct sl_tensor in;
};

static void ask_done(struct ask *a)
{
	json_decref(a->body);
	free(a->in.data);
}

static enum sl_status read_body(struct sl_request *r, struct ask *a, struct sl_err *err)
{
	struct sl_slice body = sl_request_body(r);
	const char *length = sl_request_header(r, HEADER_LENGTH);

	if (length) {
		char *end;
		unsigned long long n = strtoull(length, &end, 10);
		if (end == length || *end || n > body.len)
			return sl_fail(err, SL_INVALID, HEADER_LENGTH " is \"%.40s\", the body has %zu bytes", length,
				body.len);
		a->bytes = sl_slice(body.ptr + n, body.len - n);
		body.len = n;
	}
	return sl_json_parse(body, "body", &a->body, err);
}

/* Flattens nested lists; false when a leaf is no number or there are more than n. */
static bool flatten(json_t *v, float *ret, int64_t *at, int64_t n)
{
	size_t i;
	json_t *e;

	if (json_is_number(v)) {
		if (*at < n)
			ret[*at] = (float)json_number_value(v);
		return (*at)++ < n;
	}
	if (!json_is_array(v))
		return false;
	json_array_foreach(v, i, e) if (!flatten(e, ret, at, n)) return false;
	return true;
}

static enum sl_status read_shape(json_t *list, const struct sl_shape *want, struct sl_shape *ret, struct sl_err *err)
{
	ret->rank = (int)json_array_size(list);
	if (ret->rank != want->rank)
		return sl_fail(
			err, SL_INVALID, "inputs[0]: \"shape\" has %d sides, %d are wanted", ret->rank, want->rank);
	for (int i = 0; i < ret->rank; i++) {
		ret->dim[i] = json_integer_value(json_array_get(list, i));
		if (ret->dim[i] < 1 || (want->dim[i] > 0 && ret->dim[i] != want->dim[i]))
			return sl_fail(err, SL_INVALID, "inputs[0]: side %d of \"shape\" is %lld%s", i,
				(long long)ret->dim[i], want->dim[i] > 0 ? ", which is not the model's" : "");
	}
	return SL_OK;
}

static enum sl_status read_data(json_t *input, struct ask *a, int64_t n, struct sl_err *err)
{
	json_t *size = json_object_get(json_object_get(input, "parameters"), "binary_data_size");
	int64_t at = 0;

	if (size) {
		if (json_integer_value(size) != n * 4 || (int64_t)a->bytes.len < n * 4)
			return sl_fail(err, SL_INVALID,
				"inputs[0]: the shape needs %lld bytes, binary_data_size is %lld, %zu came",
				(long long)n * 4, (long long)json_integer_value(size), a->bytes.len);
		a->in.data = sl_memdup(a->bytes.ptr, (size_t)n * 4);
		return SL_OK;
	}
	a->in.data = sl_calloc((size_t)n, sizeof(float));
	if (!flatten(json_object_get(input, "data"), a->in.data, &at, n) || at != n)
		return sl_fail(
			err, SL_INVALID, "inputs[0]: \"data\" must be %lld numbers, as the shape says", (long long)n);
	return SL_OK;
}

static bool wants_binary(json_t *body)
{
	json_t *out = json_array_get(json_object_get(body, "outputs"), 0);

	return json_is_true(json_object_get(json_object_get(out, "parameters"), "binary_data")) ||
	       json_is_true(json_object_get(json_object_get(body, "parameters"), "binary_data_output"));
}

static enum sl_status read_ask(struct sl_job *j, const struct sl_graph *g, struct ask *a, struct sl_err *err)
{
	const struct sl_value *want = &g->value[g->input[0]];
	const char *name = NULL, *type = NULL;
	enum sl_status s;

	if ((s = read_body(j->request, a, err)))
		return s;
	json_t *inputs = json_object_get(a->body, "inputs"), *input = json_array_get(inputs, 0);
	if (json_array_size(inputs) != 1 || !json_is_object(input))
		return sl_fail(err, SL_INVALID, "\"inputs\" must be a list of one tensor, \"%.60s\"", want->name);
	if ((s = sl_json_str(input, "inputs[0]", "name", &name, err)) ||
		(s = sl_json_str(input, "inputs[0]", "datatype", &type, err)))
		return s;
	if (strcmp(name, want->name) != 0)
		return sl_fail(err, SL_INVALID, "inputs[0]: \"name\" is \"%.60s\", the model's is \"%.60s\"", name,
			want->name);
	if (strcmp(type, "FP32") != 0)
		return sl_fail(err, SL_INVALID, "inputs[0]: \"datatype\" is \"%.20s\", FP32 is wanted", type);
	if ((s = read_shape(json_object_get(input, "shape"), &want->shape, &a->in.shape, err)))
		return s;
	int64_t n = sl_shape_count(&a->in.shape);
	if (n < 1 || n > (int64_t)j->f->max_bytes) /* no body holds more numbers than bytes */
		return sl_fail(err, SL_TOO_LARGE, "inputs[0]: the shape has more numbers than a body can hold");
	a->binary = wants_binary(a->body);
	return read_data(input, a, n, err);
}

static enum sl_status output_json(const char *name, const struct sl_tensor *t, bool binary, json_t *list,
	struct sl_buf *bytes, struct sl_err *err)
{
	json_t *o = tensor_json(name, &t->shape), *data;
	int64_t n = sl_shape_count(&t->shape);

	json_array_append_new(list, o);
	if (binary) {
		json_object_set_new(o, "parameters", json_pack("{s:I}", "binary_data_size", (json_int_t)n * 4));
		return sl_buf_add(bytes, t->data, (size_t)n * 4);
	}
	json_object_set_new(o, "data", data = json_array());
	for (int64_t i = 0; i < n; i++) {
		if (!isfinite(t->data[i]))
			return sl_fail(
				err, SL_CORRUPT, "%s: a number is not finite; ask for binary data to see it", name);
		json_array_append_new(data, json_real(t->data[i]));
	}
	return SL_OK;
}

static void answer(struct sl_job *j, json_t *head, bool binary, const struct sl_buf *bytes)
{
	SL_AUTO(sl_buf_done) struct sl_buf body = {0};
	char length[24];

	if (!binary) {
		sl_answer_json(j->request, 200, head);
	} else {
		sl_json_print(head, &body);
		json_decref(head);
		snprintf(length, sizeof length, "%zu", body.len);
		sl_buf_add(&body, bytes->ptr, bytes->len);
		sl_answer_header(j->request, HEADER_LENGTH, length);
		sl_answer_copy(j->request, 200, "application/octet-stream", sl_buf_slice(&body));
	}
	sl_job_end(j);
}

static enum sl_status infer(struct sl_job *j, struct sl_pipeline *p, enum sl_net net, struct ask *a, json_t *outputs,
	struct sl_buf *bytes, struct sl_err *err)
{
	const struct sl_graph *g = sl_model_graph(model_of(j->bundle, net));
	struct sl_tensor out[SL_NODE_OUT];
	enum sl_status s = read_ask(j, g, a, err);

	if (s == SL_OK)
		s = sl_pipeline_infer(p, j->bundle, net, &a->in, out, err);
	for (int i = 0; i < g->noutput && s == SL_OK; i++)
		s = output_json(g->value[g->output[i]].name, &out[i], a->binary, outputs, bytes, err);
	return s;
}

static void run_infer(struct sl_job *j, struct sl_pipeline *p)
{
	SL_AUTO(ask_done) struct ask a = {0};
	SL_AUTO(sl_buf_done) struct sl_buf bytes = {0};
	SL_AUTOJSON json_t *outputs = json_array();
	enum sl_net net = SL_NET_DETECTOR;
	struct sl_err err;

	find_net(sl_request_param(j->request, "model"), &net);
	if (infer(j, p, net, &a, outputs, &bytes, &err) != SL_OK) {
		sl_job_fail(j, &err);
		return;
	}
	json_t *head = json_pack(
		"{s:s,s:s,s:O}", "model_name", net_name[net], "model_version", j->bundle->digest, "outputs", outputs);
	json_t *id = json_object_get(a.body, "id");
	if (id)
		json_object_set(head, "id", id);
	answer(j, head, a.binary, &bytes);
}

static void post_infer(struct sl_request *r, void *arg)
{
	enum sl_net net;

	if (find_net(sl_request_param(r, "model"), &net))
		sl_frames_accept(arg, r, run_infer, SL_REPLY_V1);
	else
		sl_answer_error(r, 404, "NOT_FOUND", "the models are \"detector\" and \"classifier\"");
}

#define TENSORS \
	"{\"type\":\"array\",\"items\":{\"title\":\"Tensor\",\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"shape\":{\"type\":" \
	"\"array\",\"items\":{\"type\":\"integer\"}},\"datatype\":{\"enum\":[\"FP32\"]},\"data\":{\"type\":\"array\"}}}}"

const struct sl_route sl_frames_v2_routes[] = {
	{.method = "GET",
		.path = "/v2",
		.run = SL_RUN_NOW,
		.fn = get_server,
		.tag = "inference",
		.summary = "Name, version and extensions of this server: Open Inference Protocol, version 2",
		.response =
			"{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"version\":{\"type\":\"string\"},"
			"\"extensions\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}"},
	{.method = "GET",
		.path = "/v2/models/{model}",
		.run = SL_RUN_NOW,
		.fn = get_model,
		.errors = "503",
		.tag = "inference",
		.summary = "Inputs and outputs of a net of the live bundle; model is detector or classifier",
		.response =
			"{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"versions\":{\"type\":\"array\"},"
			"\"platform\":{\"type\":\"string\"},\"inputs\":" TENSORS ",\"outputs\":" TENSORS "}}"},
	{.method = "GET",
		.path = "/v2/models/{model}/ready",
		.run = SL_RUN_NOW,
		.fn = get_model_ready,
		.errors = "503",
		.tag = "inference",
		.summary = "The model can be asked; model is detector or classifier",
		.response = "{\"type\":\"object\",\"properties\":{\"ready\":{\"type\":\"boolean\"}}}"},
	{.method = "POST",
		.path = "/v2/models/{model}/infer",
		.run = SL_RUN_LATER,
		.body_max = "http.frame_bytes",
		.fn = post_infer,
		.tag = "inference",
		.summary =
			"Runs a net of the live bundle on a tensor, as it is: no picture is decoded, nothing is stored. The binary "
			"extension is understood (Inference-Header-Content-Length)",
		.errors = "415",
		.request =
			"{\"type\":\"object\",\"required\":[\"inputs\"],\"properties\":{\"id\":{\"type\":\"string\"},\"inputs\":" TENSORS
			"}}",
		.response =
			"{\"type\":\"object\",\"properties\":{\"model_name\":{\"type\":\"string\"},\"model_version\":{\"type\":"
			"\"string\"},\"outputs\":" TENSORS "}}"},
	{0}};
