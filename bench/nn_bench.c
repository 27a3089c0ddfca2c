/* SPDX-License-Identifier: Apache-2.0
 *
 * Milliseconds a run of a net on one core: wall time, and the thread's CPU time, which a busy machine changes less.
 *   nn_bench                          the two nets that ship, untrained, f32 and bf16
 *   nn_bench FILE.onnx N,C,H,W [RUNS] a file's net at that input shape
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/model.h"
#include "nn/onnx/onnx.h"
#include "nn/train/nets.h"
#include <stdio.h>

struct times {
	double first, best, median, cpu; /* the first run makes the program; cpu: median too */
	int64_t bytes;
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static enum sl_status run_once(
	struct sl_session *s, const struct sl_tensor *in, const struct sl_pixels *px, struct sl_err *err)
{
	struct sl_tensor out[SL_NODE_OUT];

	return px ? sl_session_run_pixels(s, px, out, err) : sl_session_run(s, in, out, err);
}

static enum sl_status measure(const struct sl_model *m, const struct sl_tensor *in, const struct sl_pixels *px,
	int runs, struct times *ret, struct sl_err *err)
{
	struct sl_session *s = sl_session_new(m);
	SL_AUTOFREE double *ms = sl_calloc((size_t)runs, sizeof(*ms));
	SL_AUTOFREE double *cpu = sl_calloc((size_t)runs, sizeof(*cpu));
	int64_t start = sl_mono_us(), bytes;
	enum sl_status st = run_once(s, in, px, err);
	double first = (double)(sl_mono_us() - start) / 1000;

	bytes = sl_session_bytes(s);
	for (int i = 0; i < runs && st == SL_OK; i++) {
		int64_t at = sl_mono_us(), cpu_at = sl_cpu_us();

		st = run_once(s, in, px, err);
		ms[i] = (double)(sl_mono_us() - at) / 1000;
		cpu[i] = (double)(sl_cpu_us() - cpu_at) / 1000;
	}
	sl_session_free(s);
	qsort(ms, (size_t)runs, sizeof(*ms), by_value);
	qsort(cpu, (size_t)runs, sizeof(*cpu), by_value);
	*ret = (struct times){first, ms[0], ms[runs / 2], cpu[runs / 2], bytes};
	return st;
}

static void print_row(const char *name, const struct sl_model *m, const struct times *t, const struct times *pixels,
	int64_t macs, int64_t params)
{
	printf("%-12s %-4s %8.3f ms best %8.3f median %8.3f CPU %8.1f first", name,
		sl_model_precision(m) == SL_PRECISION_BF16 ? "bf16" : "f32", t->best, t->median, t->cpu, t->first);
	if (pixels)
		printf("; from pixels %8.3f best %8.3f median %8.3f CPU", pixels->best, pixels->median, pixels->cpu);
	printf("; %.1f MMAC, %.1f k parameters, %.1f MB a session\n", (double)macs / 1e6, (double)params / 1e3,
		(double)t->bytes / 1e6);
}

static enum sl_status bench(
	const char *name, const struct sl_graph *g, struct sl_shape shape, int runs, bool pixels, struct sl_err *err)
{
	static const enum sl_precision precisions[] = {SL_PRECISION_F32, SL_PRECISION_AUTO};
	struct sl_tensor in = {.shape = shape};
	int64_t macs, params, n = sl_shape_count(&shape);
	struct sl_rng rng = sl_rng(1, 1);
	enum sl_status st = sl_graph_cost(g, &shape, &macs, &params, err);
	SL_AUTOFREE uint8_t *px = sl_zalloc((size_t)SL_MAX(n, 1));

	if (st != SL_OK)
		return st;
	in.data = sl_calloc((size_t)n, sizeof(float));
	for (int64_t i = 0; i < n; i++) {
		in.data[i] = sl_rng_normal(&rng);
		px[i] = (uint8_t)sl_rng_u32(&rng);
	}
	for (int i = 0; i < 2 && st == SL_OK; i++) {
		struct sl_pixels im = {px, (int)shape.dim[3], (int)shape.dim[2], (int)shape.dim[3], (int)shape.dim[2],
			127.5f, 1.f / 64, false};
		struct sl_model *m = NULL;
		struct times t = {0}, tp = {0};

		st = sl_model_new(g, "dnnl", precisions[i], &m, err);
		if (st == SL_OK)
			st = measure(m, &in, NULL, runs, &t, err);
		if (st == SL_OK && pixels)
			st = measure(m, NULL, &im, runs, &tp, err);
		if (st == SL_OK)
			print_row(name, m, &t, pixels ? &tp : NULL, macs, params);
		sl_model_free(m);
	}
	free(in.data);
	return st;
}

static enum sl_status bench_file(int argc, char **argv, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_shape shape = {0};
	struct sl_graph *g;
	enum sl_status st;

	for (char *at = argv[2]; *at && shape.rank < SL_RANK; at += *at == ',')
		shape.dim[shape.rank++] = strtoll(at, &at, 10);
	if ((st = sl_fs_read(argv[1], &file, err)) != SL_OK ||
		(st = sl_onnx_read(sl_buf_slice(&file), &g, err)) != SL_OK)
		return st;
	st = bench(argv[1], g, shape, argc > 3 ? SL_MAX(atoi(argv[3]), 1) : 20, false, err);
	sl_graph_free(g);
	return st;
}

static enum sl_status bench_own(struct sl_err *err)
{
	struct sl_graph *det = sl_net_detector(1), *cls = sl_net_classifier(43, .1f, 1);
	enum sl_status st = bench("detector", det, SL_SHAPE(1, 3, 800, 1376), 15, true, err);

	if (st == SL_OK)
		st = bench("classifier", cls, SL_SHAPE(1, 3, 48, 48), 200, true, err);
	if (st == SL_OK)
		st = bench("16 signs", cls, SL_SHAPE(16, 3, 48, 48), 50, false, err);
	sl_graph_free(det);
	sl_graph_free(cls);
	return st;
}

int main(int argc, char **argv)
{
	struct sl_err err = {0};
	enum sl_status st;

	if (argc != 1 && argc != 3 && argc != 4) {
		fprintf(stderr, "usage: nn_bench [FILE.onnx N,C,H,W [RUNS]]\n");
		return 2;
	}
	st = argc == 1 ? bench_own(&err) : bench_file(argc, argv, &err);
	if (st != SL_OK)
		fprintf(stderr, "nn_bench: %s\n", err.text);
	return sl_status_exit(st);
}
