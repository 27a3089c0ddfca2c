/* SPDX-License-Identifier: Apache-2.0 */
#include "harness.h"
#include "base/mem.h"
#include "nn/graph.h"
#include "nn/model.h"
#include <limits.h>

static struct sl_graph *small(void)
{
	struct sl_graph *g = sl_graph_new("small");
	int x = sl_graph_input(g, "x", SL_SHAPE(-1, 3, -1, -1));
	int w = sl_graph_weight(g, "w", SL_SHAPE(8, 3, 3, 3), NULL);
	int y = sl_graph_op(g, SL_OP_CONV, "conv", (int[]){x, w}, 2);

	sl_graph_attr_list(g, "strides", (int64_t[]){2, 2}, 2);
	sl_graph_attr_list(g, "pads", (int64_t[]){1, 1, 1, 1}, 4);
	y = sl_graph_op(g, SL_OP_RELU, "relu", &y, 1);
	sl_graph_output(g, y);
	return g;
}

static void refused(const struct sl_graph *g, const char *part)
{
	struct sl_err err = {0};
	struct sl_graph *folded = NULL;
	struct sl_model *m = NULL;

	CHECK_STATUS(sl_graph_check(g, &err), SL_INVALID);
	if (!strstr(err.text, part))
		sl_test_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.text, part);
	CHECK_STATUS(sl_graph_fold(g, &folded, &err), SL_INVALID);
	CHECK_STATUS(sl_model_new(g, "dnnl", SL_PRECISION_F32, &m, &err), SL_INVALID);
}

TEST(nn_graph, check_refuses_what_breaks_its_rules)
{
	struct sl_graph *g = small();
	struct sl_node *conv = &g->node[0], *relu = &g->node[1];
	struct sl_err err = {0};
	int keep;

	CHECK_OK(sl_graph_check(g, &err));
	keep = conv->in[0];
	conv->in[0] = relu->out[0]; /* a cycle */
	refused(g, "not made before");
	conv->in[0] = 1000;
	refused(g, "input 0 is missing");
	conv->in[0] = INT_MIN;
	refused(g, "input 0 is missing");
	conv->in[0] = keep;
	keep = relu->out[0];
	relu->out[0] = conv->out[0];
	refused(g, "made twice");
	relu->out[0] = keep;
	conv->nin = 4;
	refused(g, "4 inputs");
	conv->nin = 1;
	refused(g, "1 inputs");
	conv->nin = 2;
	conv->nout = 0;
	refused(g, "0 outputs");
	conv->nout = 1;
	conv->op = SL_OP_COUNT;
	refused(g, "unknown operator");
	conv->op = (enum sl_op) - 1;
	refused(g, "unknown operator");
	conv->op = SL_OP_RESHAPE;
	refused(g, "has no attribute");
	conv->op = SL_OP_CONV;
	g->output[0] = 99;
	refused(g, "output 0");
	g->output[0] = relu->out[0];
	g->noutput = 0;
	refused(g, "outputs");
	g->noutput = SL_NODE_OUT + 1;
	refused(g, "outputs");
	g->noutput = 1;
	g->value[1].shape.dim[0] = -1;
	refused(g, "dimension 0 is -1");
	g->value[1].shape.dim[0] = INT64_MAX;
	refused(g, "too many elements");
	g->value[1].shape.dim[0] = 8;
	g->value[0].shape.rank = 7;
	refused(g, "rank 7");
	g->value[0].shape.rank = 4;
	g->value[0].shape.dim[1] = 0;
	refused(g, "dimension 1 is 0");
	g->value[0].shape.dim[1] = 3;
	free(g->value[1].name);
	g->value[1].name = sl_strdup("x");
	refused(g, "two values are named");
	free(g->value[1].name);
	g->value[1].name = sl_strdup("w");
	g->value[1].dtype = SL_I64;
	refused(g, "no data");
	g->value[1].dtype = SL_F32;
	g->nnode = 1; /* what the second node made is now made by none */
	refused(g, "made by no node");
	g->nnode = 2;
	conv->attr[0].kind = SL_ATTR_INT;
	refused(g, "wrong kind");
	conv->attr[0].kind = SL_ATTR_LIST;
	CHECK_OK(sl_graph_check(g, &err));
	sl_graph_free(g);
	sl_graph_free(NULL);
}

TEST(nn_graph, attributes_that_make_no_sense_are_refused_with_the_shapes)
{
	static const int64_t bad[] = {0, -1, INT64_MIN, INT64_MAX, 5000};
	struct sl_graph *g = small();
	struct sl_shape in = SL_SHAPE(1, 3, 8, 8), all[8];
	struct sl_err err = {0};

	CHECK_OK(sl_graph_shapes(g, &in, all, &err));
	for (size_t i = 0; i < SL_COUNT(bad); i++) {
		g->node[0].attr[0].list[0] = bad[i];
		CHECK_STATUS(sl_graph_shapes(g, &in, all, &err), SL_INVALID);
		CHECK(strstr(err.text, "conv"));
		g->node[0].attr[0].list[0] = 2;
		if (bad[i] != 0) {
			g->node[0].attr[1].list[3] = bad[i];
			CHECK_STATUS(sl_graph_shapes(g, &in, all, &err), SL_INVALID);
			g->node[0].attr[1].list[3] = 1;
		}
	}
	in = SL_SHAPE(1, 4, 8, 8);
	CHECK_STATUS(sl_graph_shapes(g, &in, all, &err), SL_INVALID);
	in = SL_SHAPE(1, 3, 8, 0);
	CHECK_STATUS(sl_graph_shapes(g, &in, all, &err), SL_INVALID);
	in = SL_SHAPE(1, 3, (int64_t)1 << 40, (int64_t)1 << 40);
	CHECK_STATUS(sl_graph_shapes(g, &in, all, &err), SL_TOO_LARGE);
	in = SL_SHAPE(1, 3, 8);
	CHECK_STATUS(sl_graph_shapes(g, &in, all, &err), SL_INVALID);
	sl_graph_free(g);
}

static int i64(struct sl_graph *g, int64_t v)
{
	return sl_graph_ints(g, NULL, SL_SHAPE(1), &v);
}

/* view(n, c, h/2, 2, w/2, 2) as PyTorch exports it: sizes taken from Shape, divided, joined. */
TEST(nn_graph, shapes_follow_integers_computed_from_shapes)
{
	struct sl_graph *g = sl_graph_new("g");
	int x = sl_graph_input(g, "x", SL_SHAPE(-1, -1, -1, -1)), part[6], v, shape;
	struct sl_shape in = SL_SHAPE(2, 5, 6, 10), all[64], want = SL_SHAPE(2, 5, 3, 2, 5, 2),
			again = SL_SHAPE(1, 1, 4, 2);
	struct sl_err err = {0};

	shape = sl_graph_op(g, SL_OP_SHAPE, NULL, &x, 1);
	for (int i = 0; i < 4; i++) {
		int index = sl_graph_ints(g, NULL, (struct sl_shape){0}, (int64_t[]){i});

		v = sl_graph_op(g, SL_OP_GATHER, NULL, (int[]){shape, index}, 2);
		v = sl_graph_op(g, SL_OP_UNSQUEEZE, NULL, (int[]){v, i64(g, 0)}, 2);
		if (i >= 2)
			v = sl_graph_op(g, SL_OP_DIV, NULL, (int[]){v, i64(g, 2)}, 2);
		part[i < 2 ? i : i * 2 - 2] = v;
	}
	part[3] = part[5] = i64(g, 2);
	v = sl_graph_op(g, SL_OP_CONCAT, NULL, part, 6);
	sl_graph_attr_int(g, "axis", 0);
	v = sl_graph_op(g, SL_OP_RESHAPE, "view", (int[]){x, v}, 2);
	sl_graph_output(g, v);
	CHECK_OK(sl_graph_check(g, &err));
	CHECK_OK(sl_graph_shapes(g, &in, all, &err));
	CHECK(sl_shape_is_same(&all[v], &want));
	CHECK_OK(sl_graph_shapes(g, &again, all, &err));
	CHECK_EQ(all[v].dim[2], 2);
	in = SL_SHAPE(2, 5, 7, 10); /* 7/2 drops a row */
	CHECK_STATUS(sl_graph_shapes(g, &in, all, &err), SL_INVALID);
	CHECK(strstr(err.text, "view"));
	sl_graph_free(g);
}

TEST(nn_graph, hostile_integers)
{
	static const int64_t numbers[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, 2, (int64_t)1 << 40, INT64_MAX};
	struct sl_shape in = SL_SHAPE(2, 3, 4, 5), all[16];

	for (size_t a = 0; a < SL_COUNT(numbers); a++)
		for (size_t b = 0; b < SL_COUNT(numbers); b++)
			for (int kind = 0; kind < 9; kind++) {
				struct sl_graph *g = sl_graph_new("g");
				int x = sl_graph_input(g, "x", SL_SHAPE(2, 3, 4, 5));
				int p = i64(g, numbers[a]), q = i64(g, numbers[b]), v = x;
				int pair = sl_graph_ints(g, NULL, SL_SHAPE(2), (int64_t[]){numbers[a], numbers[b]});
				struct sl_graph *folded = NULL;

				switch (kind) {
				case 0:
					v = sl_graph_op(g, SL_OP_SLICE, NULL, (int[]){x, p, q, i64(g, 1), q}, 5);
					break;
				case 1:
					v = sl_graph_op(g, SL_OP_RESHAPE, NULL, (int[]){x, pair}, 2);
					break;
				case 2:
					v = sl_graph_op(g, SL_OP_CONSTANTOFSHAPE, NULL, &pair, 1);
					break;
				case 3:
					v = sl_graph_op(g, SL_OP_RANGE, NULL, (int[]){p, q, i64(g, 3)}, 3);
					v = sl_graph_op(g, SL_OP_CAST, NULL, &v, 1);
					sl_graph_attr_int(g, "to", SL_CAST_F32);
					break;
				case 4:
					v = sl_graph_op(g, SL_OP_DIV, NULL, (int[]){p, q}, 2);
					v = sl_graph_op(g, SL_OP_EXPAND, NULL, (int[]){x, v}, 2);
					break;
				case 5:
					v = sl_graph_op(g, SL_OP_GATHER, NULL, (int[]){x, pair}, 2);
					sl_graph_attr_int(g, "axis", numbers[a]);
					break;
				case 6:
					v = sl_graph_op(g, SL_OP_SPLIT, NULL, (int[]){x, pair}, 2);
					sl_graph_op_output(g, NULL);
					sl_graph_attr_int(g, "axis", numbers[b]);
					break;
				case 7:
					v = sl_graph_op(g, SL_OP_UNSQUEEZE, NULL, (int[]){x, pair}, 2);
					break;
				default:
					v = sl_graph_op(g, SL_OP_FLATTEN, NULL, &x, 1);
					sl_graph_attr_int(g, "axis", numbers[a]);
					break;
				}
				sl_graph_output(g, v);
				sl_graph_shapes(g, &in, all, NULL); /* any answer but a crash */
				if (sl_graph_fold(g, &folded, NULL) == SL_OK)
					sl_graph_free(folded);
				sl_graph_free(g);
			}
}

TEST(nn_graph, constants_are_folded_and_names_of_outputs_stay)
{
	struct sl_graph *g = sl_graph_new("g"), *f;
	int x = sl_graph_input(g, "x", SL_SHAPE(-1, 2));
	int a = sl_graph_weight(g, "a", SL_SHAPE(2), (float[]){1, 2}),
	    b = sl_graph_weight(g, "b", SL_SHAPE(2), (float[]){3, 5});
	int c = sl_graph_op(g, SL_OP_MUL, "c", (int[]){a, b}, 2), y, z;
	struct sl_err err = {0};

	y = sl_graph_op(g, SL_OP_ADD, "y", (int[]){sl_graph_op(g, SL_OP_IDENTITY, "id", &x, 1), c}, 2);
	sl_graph_op(g, SL_OP_RELU, "unused", &y, 1);
	z = sl_graph_op(g, SL_OP_IDENTITY, "z", &y, 1);
	sl_graph_output(g, z);
	CHECK_OK(sl_graph_fold(g, &f, &err));
	CHECK_EQ(f->nnode, 2);
	CHECK_EQ(f->node[0].op, SL_OP_ADD);
	CHECK_STR(f->value[f->output[0]].name, "z");
	CHECK_EQ(f->nvalue, 4); /* x, c, y, z */
	for (int i = 0; i < f->nvalue; i++)
		if (strcmp(f->value[i].name, "c") == 0)
			CHECK_NEAR(f->value[i].f32[1], 10, 0);
	sl_graph_free(f);
	sl_graph_free(g);
}

TEST(nn_graph, shape_count_knows_its_limit)
{
	struct sl_shape s = SL_SHAPE((int64_t)1 << 20, (int64_t)1 << 20);

	CHECK_EQ(sl_shape_count(&s), (int64_t)1 << 40);
	s = SL_SHAPE((int64_t)1 << 20, ((int64_t)1 << 20) + 1);
	CHECK_EQ(sl_shape_count(&s), -1);
	s = SL_SHAPE((int64_t)1 << 32, (int64_t)1 << 32, 2);
	CHECK_EQ(sl_shape_count(&s), -1);
	s = SL_SHAPE(3, -1);
	CHECK_EQ(sl_shape_count(&s), -1);
	s = SL_SHAPE(3, 0);
	CHECK_EQ(sl_shape_count(&s), 0);
	s = (struct sl_shape){0};
	CHECK_EQ(sl_shape_count(&s), 1);
}
