/* SPDX-License-Identifier: Apache-2.0
 *
 * What test_onnx.py drives.
 *   nn_tool nets DIR                                     our nets as DIR/NAME.onnx, as trained and folded
 *   nn_tool copy IN.onnx OUT.onnx                        reads and writes
 *   nn_tool run FILE.onnx EXECUTOR f32|bf16 IN N,C,H,W OUT   f32 values in, all outputs one after the other out
 */
#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/model.h"
#include "nn/onnx/onnx.h"
#include "nn/train/nets.h"
#include <stdio.h>

static enum sl_status write_net(const struct sl_graph *g, const char *dir, const char *name, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTOFREE char *path = sl_asprintf("%s/%s.onnx", dir, name);
	enum sl_status st = sl_onnx_write(g, &file, err);

	return st == SL_OK ? sl_fs_write(path, sl_buf_slice(&file), true, err) : st;
}

/* Norms as after training; a net's first ones would hide mistakes. */
static void shake(struct sl_graph *g)
{
	struct sl_rng r = sl_rng(3, 1);

	for (int i = 0; i < g->nvalue; i++) {
		struct sl_value *v = &g->value[i];

		if (v->kind != SL_VALUE_WEIGHT || !(strstr(v->name, ".bn.") || strstr(v->name, "bias")))
			continue;
		for (int64_t k = 0; k < sl_shape_count(&v->shape); k++)
			v->f32[k] += sl_rng_uniform(&r, strstr(v->name, ".var") ? -.5f : -.3f, .5f);
	}
}

static enum sl_status write_nets(const char *dir, struct sl_err *err)
{
	struct sl_graph *nets[] = {sl_net_detector(1), sl_net_classifier(43, .1f, 1)};
	static const char *const name[] = {"detector", "classifier"};
	enum sl_status st = SL_OK;

	for (int i = 0; i < 2; i++) {
		SL_AUTOFREE char *folded_name = sl_asprintf("%s_folded", name[i]);
		struct sl_graph *folded = NULL;

		shake(nets[i]);
		if (st == SL_OK)
			st = write_net(nets[i], dir, name[i], err);
		if (st == SL_OK)
			st = sl_graph_fold(nets[i], &folded, err);
		if (st == SL_OK)
			st = write_net(folded, dir, folded_name, err);
		sl_graph_free(folded);
		sl_graph_free(nets[i]);
	}
	return st;
}

static enum sl_status copy(const char *from, const char *to, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0}, out = {0};
	struct sl_graph *g = NULL;
	enum sl_status st = sl_fs_read(from, &file, err);

	if (st == SL_OK)
		st = sl_onnx_read(sl_buf_slice(&file), &g, err);
	if (st == SL_OK)
		st = sl_onnx_write(g, &out, err);
	sl_graph_free(g);
	return st == SL_OK ? sl_fs_write(to, sl_buf_slice(&out), true, err) : st;
}

static enum sl_status run(char **argv, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0}, data = {0}, out = {0};
	struct sl_tensor in = {0}, ret[SL_NODE_OUT];
	struct sl_model *m = NULL;
	struct sl_session *s;
	enum sl_status st;

	for (char *at = argv[4]; *at && in.shape.rank < SL_RANK; at += *at == ',')
		in.shape.dim[in.shape.rank++] = strtoll(at, &at, 10);
	if ((st = sl_fs_read(argv[0], &file, err)) != SL_OK || (st = sl_fs_read(argv[3], &data, err)) != SL_OK)
		return st;
	if (data.len != (size_t)sl_shape_count(&in.shape) * sizeof(float))
		return sl_fail(err, SL_INVALID, "%s has %zu bytes", argv[3], data.len);
	in.data = (float *)(void *)data.ptr;
	st = sl_model_load(sl_buf_slice(&file), argv[1],
		strcmp(argv[2], "bf16") == 0 ? SL_PRECISION_BF16 : SL_PRECISION_F32, &m, err);
	if (st != SL_OK)
		return st;
	s = sl_session_new(m);
	st = sl_session_run(s, &in, ret, err);
	for (int i = 0; i < sl_model_graph(m)->noutput && st == SL_OK; i++)
		st = sl_buf_add(&out, ret[i].data, (size_t)sl_shape_count(&ret[i].shape) * sizeof(float));
	sl_session_free(s);
	sl_model_free(m);
	return st == SL_OK ? sl_fs_write(argv[5], sl_buf_slice(&out), true, err) : st;
}

int main(int argc, char **argv)
{
	struct sl_err err = {0};
	enum sl_status st = SL_USAGE;

	if (argc == 3 && strcmp(argv[1], "nets") == 0)
		st = write_nets(argv[2], &err);
	else if (argc == 4 && strcmp(argv[1], "copy") == 0)
		st = copy(argv[2], argv[3], &err);
	else if (argc == 8 && strcmp(argv[1], "run") == 0)
		st = run(argv + 2, &err);
	if (st != SL_OK)
		fprintf(stderr, "nn_tool: %s %s\n", sl_status_name(st), err.text);
	return sl_status_exit(st);
}
