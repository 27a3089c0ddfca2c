/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/onnx/onnx.h"
#include "nn/model.h"
#include "nn/train/nets.h"

static bool same_graph(const struct sl_graph *a, const struct sl_graph *b)
{
	if (a->nnode != b->nnode || a->nvalue != b->nvalue || a->ninput != b->ninput || a->noutput != b->noutput)
		return false;
	for (int i = 0; i < a->nnode; i++) {
		const struct sl_node *x = &a->node[i], *y = &b->node[i];

		if (x->op != y->op || x->nin != y->nin || x->nattr != y->nattr || strcmp(x->name, y->name) != 0)
			return false;
		for (int k = 0; k < x->nin; k++)
			if ((x->in[k] < 0) != (y->in[k] < 0) ||
				(x->in[k] >= 0 && strcmp(a->value[x->in[k]].name, b->value[y->in[k]].name) != 0))
				return false;
		for (int k = 0; k < x->nattr; k++)
			if (x->attr[k].i != y->attr[k].i || x->attr[k].f != y->attr[k].f ||
				x->attr[k].n != y->attr[k].n ||
				memcmp(x->attr[k].list, y->attr[k].list, sizeof(int64_t) * (size_t)x->attr[k].n) != 0)
				return false;
	}
	return true;
}

TEST(nn_onnx, what_is_written_is_read)
{
	struct sl_graph *nets[] = {sl_net_detector(1), sl_net_classifier(43, .1f, 2)};
	struct sl_err err = {0};

	for (int i = 0; i < 2; i++) {
		struct sl_buf file = {0}, again = {0};
		struct sl_graph *g, *f;

		CHECK_OK(sl_onnx_write(nets[i], &file, &err));
		CHECK_OK(sl_onnx_read(sl_buf_slice(&file), &g, &err));
		CHECK(same_graph(nets[i], g));
		CHECK_OK(sl_onnx_write(g, &again, &err));
		CHECK_EQ(file.len, again.len);
		CHECK(memcmp(file.ptr, again.ptr, file.len) == 0);
		CHECK_OK(sl_graph_fold(g, &f, &err));
		again.len = 0;
		CHECK_OK(sl_onnx_write(f, &again, &err));
		CHECK(again.len < file.len);
		sl_graph_free(f);
		sl_graph_free(g);
		sl_graph_free(nets[i]);
		sl_buf_done(&file);
		sl_buf_done(&again);
	}
}

static struct sl_graph *tiny(void)
{
	struct sl_graph *g = sl_graph_new("tiny");
	int x = sl_graph_input(g, "x", SL_SHAPE(-1, 2, -1, -1)), y;
	int w = sl_graph_weight(g, "w", SL_SHAPE(3, 2, 1, 1), (float[]){1, 2, 3, 4, 5, 6});

	y = sl_graph_op(g, SL_OP_CONV, "conv", (int[]){x, w}, 2);
	sl_graph_attr_list(g, "kernel_shape", (int64_t[]){1, 1}, 2);
	y = sl_graph_op(g, SL_OP_HARDSWISH, "hs", &y, 1);
	y = sl_graph_op(
		g, SL_OP_UPSAMPLE, "up", (int[]){y, sl_graph_weight(g, "s", SL_SHAPE(4), (float[]){1, 1, 2, 2})}, 2);
	y = sl_graph_op(
		g, SL_OP_RESHAPE, "flat", (int[]){y, sl_graph_ints(g, "to", SL_SHAPE(2), (int64_t[]){0, -1})}, 2);
	sl_graph_output(g, y);
	return g;
}

TEST(nn_onnx, operators_outside_opset_13_are_written_in_its_words)
{
	struct sl_graph *g = tiny(), *back;
	struct sl_buf file = {0};
	struct sl_err err = {0};
	float data[] = {-4, -2, -1, 0, 1, 2, 3, 4};
	struct sl_tensor in = {data, SL_SHAPE(1, 2, 2, 2)}, a, b;
	struct sl_model *m1, *m2;
	struct sl_session *s1, *s2;

	CHECK_OK(sl_onnx_write(g, &file, &err));
	CHECK_OK(sl_onnx_read(sl_buf_slice(&file), &back, &err));
	CHECK_EQ(back->nnode, 5);
	CHECK_EQ(back->node[1].op, SL_OP_HARDSIGMOID);
	CHECK_EQ(back->node[3].op, SL_OP_RESIZE);
	CHECK_OK(sl_model_new(g, "ref", SL_PRECISION_F32, &m1, &err));
	CHECK_OK(sl_model_load(sl_buf_slice(&file), "ref", SL_PRECISION_F32, &m2, &err));
	s1 = sl_session_new(m1);
	s2 = sl_session_new(m2);
	CHECK_OK(sl_session_run(s1, &in, &a, &err));
	CHECK_OK(sl_session_run(s2, &in, &b, &err));
	CHECK_EQ(a.shape.dim[1], 3 * 16);
	for (int i = 0; i < 48; i++)
		CHECK_NEAR(a.data[i], b.data[i], 1e-5);
	sl_session_free(s1);
	sl_session_free(s2);
	sl_model_free(m1);
	sl_model_free(m2);
	sl_graph_free(back);
	sl_graph_free(g);
	sl_buf_done(&file);
}

static bool is_small(const struct sl_graph *g, const struct sl_shape *in)
{
	SL_AUTOFREE struct sl_shape *all = sl_calloc((size_t)g->nvalue + 1, sizeof(*all));
	int64_t sum = 0;

	if (g->ninput != 1 || sl_graph_shapes(g, in, all, NULL) != SL_OK)
		return g->ninput == 1; /* to be refused */
	for (int i = 0; i < g->nvalue; i++)
		sum += sl_shape_count(&all[i]);
	return sum < 1 << 20;
}

/* Reads, and runs what can be read at a small shape: any answer but a crash. */
static enum sl_status try_with(struct sl_slice file, const char *executor)
{
	struct sl_err err = {0};
	struct sl_model *m;
	enum sl_status st = sl_model_load(file, executor, SL_PRECISION_AUTO, &m, &err);

	if (st == SL_OK) {
		float data[2 * 4 * 4] = {1, 2, 3};
		struct sl_tensor in[SL_NODE_IN] = {{data, SL_SHAPE(1, 2, 4, 4)}}, out[SL_NODE_OUT];
		struct sl_session *s = sl_session_new(m);

		if (is_small(sl_model_graph(m), &in[0].shape)) /* a scale of a million is allowed, and slow */
			sl_session_run(s, in, out, &err);
		sl_session_free(s);
		sl_model_free(m);
		return SL_OK;
	}
	CHECK(err.text[0]);
	for (const char *c = err.text; *c; c++)
		CHECK((uint8_t)*c >= 0x20);
	if (st != SL_INVALID && st != SL_UNSUPPORTED && st != SL_TOO_LARGE)
		sl_test_fail(__FILE__, __LINE__, "%s: %s", sl_status_name(st), err.text);
	return st;
}

/* Both executors must take or refuse the same files; oneDNN's programs take long to make, so not at each call. */
static enum sl_status try_file(struct sl_slice file)
{
	static int calls;
	enum sl_status st = try_with(file, "ref");

	if (calls++ % 8 == 0)
		CHECK(try_with(file, "dnnl") == st);
	return st;
}

/* Names are shown as JSON, which has no place for other bytes. */
TEST(nn_onnx, a_name_that_is_no_utf8_is_invalid)
{
	struct sl_graph *g = sl_graph_new("tiny"), *back = NULL;
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_err err = {0};
	int x = sl_graph_input(g,
		"Gr\xf6\xdf"
		"e",
		SL_SHAPE(1, 3, 4, 4));

	sl_graph_output(g, sl_graph_op(g, SL_OP_RELU, "y", &x, 1));
	CHECK_OK(sl_onnx_write(g, &file, &err));
	CHECK_STATUS(sl_onnx_read(sl_buf_slice(&file), &back, &err), SL_INVALID);
	sl_graph_free(g);
}

TEST(nn_onnx, a_truncated_file_is_invalid)
{
	struct sl_graph *g = tiny();
	struct sl_buf file = {0};
	struct sl_err err = {0};

	CHECK_OK(sl_onnx_write(g, &file, &err));
	for (size_t n = 0; n < file.len; n++) {
		uint8_t *copy = sl_memdup(file.ptr, n + 1); /* its own block: reading past the end is seen by ASan */
		enum sl_status st;

		copy = sl_realloc(copy, n ? n : 1, 1);
		st = try_file(sl_slice(copy, n));
		CHECK(st != SL_OK);
		free(copy);
	}
	CHECK_EQ(try_file(sl_buf_slice(&file)), SL_OK);
	sl_graph_free(g);
	sl_buf_done(&file);
}

TEST(nn_onnx, changed_bytes_never_crash)
{
	struct sl_graph *g = tiny();
	struct sl_buf file = {0};
	struct sl_err err = {0};
	struct sl_rng r = sl_rng(1, 1);
	int refused = 0;

	CHECK_OK(sl_onnx_write(g, &file, &err));
	for (size_t i = 0; i < file.len; i++) /* each byte to the values that matter */
		for (int k = 0; k < 4; k++) {
			static const uint8_t to[] = {0, 0x7f, 0x80, 0xff};
			uint8_t keep = file.ptr[i];

			file.ptr[i] = to[k];
			refused += try_file(sl_buf_slice(&file)) != SL_OK;
			file.ptr[i] = keep;
		}
	for (int round = 0; round < 4000; round++) {
		uint8_t *copy = sl_memdup(file.ptr, file.len);

		for (uint32_t n = 1 + sl_rng_below(&r, 6); n; n--)
			copy[sl_rng_below(&r, (uint32_t)file.len)] = (uint8_t)sl_rng_u32(&r);
		refused += try_file(sl_slice(copy, file.len)) != SL_OK;
		free(copy);
	}
	CHECK(refused > 1000);
	sl_graph_free(g);
	sl_buf_done(&file);
}

TEST(nn_onnx, messages_too_deep_are_invalid)
{
	/* graph(7).node(1).attribute(5).g(6).node(1)... as nested lengths */
	static const uint8_t field[] = {1 << 3 | 2, 5 << 3 | 2, 6 << 3 | 2};
	enum { depth = 5000 };
	struct sl_buf inner = {0};

	for (int d = 0; d < depth; d++) {
		struct sl_buf outer = {0};
		uint8_t head[8];
		size_t n = 0, len = inner.len;

		head[n++] = d == depth - 1 ? 7 << 3 | 2 : field[(depth - 2 - d) % 3];
		for (; len >= 0x80; len >>= 7)
			head[n++] = (uint8_t)(len | 0x80);
		head[n++] = (uint8_t)len;
		CHECK_EQ(sl_buf_add(&outer, head, n), SL_OK);
		CHECK_EQ(sl_buf_add(&outer, inner.ptr, inner.len), SL_OK);
		sl_buf_done(&inner);
		inner = outer;
	}
	CHECK_EQ(try_file(sl_buf_slice(&inner)), SL_INVALID);
	sl_buf_done(&inner);
}

TEST(nn_onnx, many_empty_messages_do_not_become_gigabytes)
{
	struct sl_buf b = {0};
	uint8_t head[] = {7 << 3 | 2, 0x80, 0x80, 0x80, 0x02}; /* graph of 4 MiB */
	static const uint8_t empty[] = {1 << 3 | 2, 0}; /* a node of 0 bytes; 112 in memory */
	enum sl_status st;

	CHECK_EQ(sl_buf_add(&b, head, sizeof(head)), SL_OK);
	for (int i = 0; i < 2 << 20; i++)
		CHECK_EQ(sl_buf_add(&b, empty, 2), SL_OK);
	st = try_file(sl_buf_slice(&b));
	CHECK(st == SL_INVALID || st == SL_TOO_LARGE || st == SL_UNSUPPORTED);
	sl_buf_done(&b);
}
