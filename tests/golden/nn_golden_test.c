/* SPDX-License-Identifier: Apache-2.0
 *
 * Files as exporters write them, and onnxruntime's answers (onnx_models.py made both).
 */
#include "harness.h"
#include "base/fs.h"
#include "base/mem.h"
#include "nn/model.h"
#include <math.h>

static void read_file(const char *name, const char *suffix, struct sl_buf *ret)
{
	SL_AUTOFREE char *path = sl_asprintf("%s/tests/golden/data/onnx_%s.%s", sl_test_root(), name, suffix);
	struct sl_err err = {0};

	CHECK_OK(sl_fs_read(path, ret, &err));
}

static void check(
	const char *name, struct sl_shape shape, const char *executor, enum sl_precision precision, double limit)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0}, data = {0};
	struct sl_tensor in = {.shape = shape}, out[SL_NODE_OUT];
	const float *want;
	struct sl_err err = {0};
	struct sl_model *m;
	struct sl_session *s;

	read_file(name, "onnx", &file);
	read_file(name, "bin", &data);
	in.data = (float *)(void *)data.ptr;
	want = in.data + sl_shape_count(&shape);
	CHECK_OK(sl_model_load(sl_buf_slice(&file), executor, precision, &m, &err));
	s = sl_session_new(m);
	CHECK_OK(sl_session_run(s, &in, out, &err));
	for (int i = 0; i < sl_model_graph(m)->noutput; i++) {
		int64_t n = sl_shape_count(&out[i].shape);
		double worst = 0, most = 1;

		CHECK((const uint8_t *)(want + n) <= data.ptr + data.len);
		for (int64_t k = 0; k < n; k++) {
			worst = fmax(worst, fabs((double)want[k] - (double)out[i].data[k]));
			most = fmax(most, fabs((double)want[k]));
		}
		if (!(worst <= limit * most))
			sl_test_fail(__FILE__, __LINE__, "%s, %s: output %d is off by %.3g of %.3g", name, executor, i,
				worst, most);
		want += n;
	}
	CHECK((const uint8_t *)want == data.ptr + data.len);
	sl_session_free(s);
	sl_model_free(m);
}

TEST(nn_golden, yolo)
{
	check("yolo13", SL_SHAPE(1, 3, 32, 64), "ref", SL_PRECISION_F32, 1e-4);
	check("yolo13", SL_SHAPE(1, 3, 32, 64), "dnnl", SL_PRECISION_F32, 1e-4);
	check("yolo13", SL_SHAPE(1, 3, 32, 64), "dnnl", SL_PRECISION_AUTO, .05);
}

TEST(nn_golden, classic)
{
	check("classic15", SL_SHAPE(2, 3, 45, 51), "ref", SL_PRECISION_F32, 1e-4);
	check("classic15", SL_SHAPE(2, 3, 45, 51), "dnnl", SL_PRECISION_F32, 1e-4);
	check("classic15", SL_SHAPE(2, 3, 45, 51), "dnnl", SL_PRECISION_AUTO, .05);
}

TEST(nn_golden, the_other_operators)
{
	check("rest13", SL_SHAPE(1, 3, 10, 14), "ref", SL_PRECISION_F32, 1e-4);
	check("rest13", SL_SHAPE(1, 3, 10, 14), "dnnl", SL_PRECISION_F32, 1e-4);
}
