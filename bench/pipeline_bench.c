/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames a second of one core, from JPEG bytes to named signs, and where the time goes.
 *
 *   build/bench/pipeline_bench [--bundle FILE] [--seconds N] [FRAME.jpg ...]
 *
 * Without frames: synthetic ones of 1360x800, sky, noise and drawn signs. Without a bundle:
 * the nets that ship, untrained, which cost the same (detections then are what chance
 * gives, so the detector's threshold is set to find a few).
 */
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/rng.h"
#include "nn/onnx/onnx.h"
#include "nn/train/nets.h"
#include "vision/pipeline.h"
#include <stdio.h>
#include <stdlib.h>

enum { FRAMES = 512, SYNTHETIC = 8, W = 1360, H = 800, CLASSES = 43, PIXELS = 1 << 26 };

static const char *const stage_name[SL_STAGES] = {"decode", "detect", "crop", "classify"};

static _Noreturn void die(const char *what, const struct sl_err *err)
{
	fprintf(stderr, "pipeline_bench: %s: %s\n", what, err->text);
	exit(3);
}

static void read_file(const char *path, struct sl_buf *ret)
{
	struct sl_err err;

	if (sl_fs_read(path, ret, &err) != SL_OK)
		die(path, &err);
}

static void disc(struct sl_image *im, int cx, int cy, int r)
{
	for (int y = SL_MAX(0, cy - r); y < SL_MIN(im->h, cy + r); y++)
		for (int x = SL_MAX(0, cx - r); x < SL_MIN(im->w, cx + r); x++) {
			int d = (x - cx) * (x - cx) + (y - cy) * (y - cy);
			uint8_t *px = im->px + ((size_t)y * im->w + x) * 3;
			if (d < r * r)
				memcpy(px, d < r * r / 2 ? (uint8_t[]){235, 235, 235} : (uint8_t[]){200, 20, 30}, 3);
		}
}

static void draw_frame(uint64_t seed, struct sl_buf *ret)
{
	SL_AUTO(sl_image_done) struct sl_image im = sl_image_new(W, H);
	struct sl_rng r = sl_rng(seed, 1);
	struct sl_err err;

	for (int y = 0; y < H; y++)
		for (int x = 0; x < W * 3; x++)
			im.px[(size_t)y * W * 3 + x] = (uint8_t)(90 + 100 * (H - y) / H + sl_rng_below(&r, 24));
	for (int i = 0; i < 3; i++)
		disc(&im, 100 + (int)sl_rng_below(&r, W - 200), 100 + (int)sl_rng_below(&r, H - 200),
			10 + (int)sl_rng_below(&r, 40));
	if (sl_jpeg_encode(&im, 90, false, ret, &err) != SL_OK)
		die("encode", &err);
}

static void untrained_bundle(struct sl_buf *ret)
{
	SL_AUTO(sl_buf_done) struct sl_buf detector = {0}, classifier = {0}, taxonomy = {0};
	struct sl_graph *d = sl_net_detector(1), *c = sl_net_classifier(CLASSES, 0, 1);
	SL_AUTOJSON json_t *info =
		json_pack("{s:i, s:s, s:{s:s, s:i, s:f, s:f, s:f, s:i}, s:{s:i, s:s, s:f, s:f}, s:{s:f}}", "v", 1,
			"name", "untrained", "detector", "decode", "center4", "stride", 32, "mean", 127.5, "scale",
			64.0, "threshold", 0.0101, "max_side", 2048, "classifier", "size", 48, "normalize",
			"standardize", "context", 1.15, "temperature", 1.0, "thresholds", "default", 0.9);
	struct sl_err err;

	sl_buf_puts(&taxonomy, "{\"v\":1,\"name\":\"bench\",\"classes\":[");
	for (int i = 0; i < CLASSES; i++)
		sl_buf_printf(&taxonomy,
			"%s{\"index\":%d,\"code\":\"C%d\",\"en\":\"C%d\",\"ko\":\"C%d\",\"shape\":\"circle\"}",
			i ? "," : "", i, i, i, i);
	sl_buf_puts(&taxonomy, "]}");
	if (sl_onnx_write(d, &detector, &err) || sl_onnx_write(c, &classifier, &err))
		die("nets", &err);
	const struct sl_bundle_parts p = {
		info, sl_buf_slice(&detector), sl_buf_slice(&classifier), sl_buf_slice(&taxonomy), {0}};
	if (sl_bundle_write(&p, ret, &err) != SL_OK)
		die("bundle", &err);
	sl_graph_free(d);
	sl_graph_free(c);
}

struct total {
	int64_t us[SL_STAGES], wall, cpu;
	int frames, signs;
};

static void run(
	struct sl_pipeline *p, struct sl_bundle *b, const struct sl_buf *frame, int n, double seconds, struct total *t)
{
	struct sl_seen *seen = SL_NEW(struct sl_seen);
	int64_t from = sl_mono_us(), cpu = sl_cpu_us();
	struct sl_err err;

	do {
		if (sl_pipeline_run(p, b, sl_buf_slice(&frame[t->frames % n]), PIXELS, SL_FOREVER, seen, &err) != SL_OK)
			die("frame", &err);
		for (int i = 0; i < SL_STAGES; i++)
			t->us[i] += seen->us[i];
		t->signs += seen->n;
		t->frames++;
		sl_seen_done(seen);
		t->wall = sl_mono_us() - from;
	} while (t->wall < seconds * 1e6);
	t->cpu = sl_cpu_us() - cpu;
	free(seen);
}

static void report(const struct total *t, const struct sl_bundle *b)
{
	printf("%.1f frames/s on one core (%.1f by CPU time), %d frames, %.2f signs a frame, %s\n",
		t->frames * 1e6 / t->wall, t->frames * 1e6 / t->cpu, t->frames, (double)t->signs / t->frames,
		sl_model_precision(b->detector) == SL_PRECISION_BF16 ? "bf16" : "f32");
	for (int i = 0; i < SL_STAGES; i++)
		printf("  %-9s %7.2f ms  %4.1f %%\n", stage_name[i], t->us[i] / 1e3 / t->frames,
			100.0 * t->us[i] / t->wall);
}

int main(int argc, char **argv)
{
	static struct sl_buf frame[FRAMES];
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	struct sl_pipeline *p = sl_pipeline_new();
	struct sl_bundle *b = NULL;
	double seconds = 10;
	int n = 0;
	struct sl_err err;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--bundle") == 0 && i + 1 < argc)
			read_file(argv[++i], &file);
		else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc)
			seconds = atof(argv[++i]);
		else if (n < FRAMES)
			read_file(argv[i], &frame[n++]);
	}
	if (!file.len)
		untrained_bundle(&file);
	for (bool draw = n == 0; draw && n < SYNTHETIC; n++)
		draw_frame((uint64_t)n + 1, &frame[n]);
	if (sl_bundle_open(sl_buf_slice(&file), SL_PRECISION_AUTO, &b, &err) != SL_OK ||
		sl_pipeline_selftest(p, b, &err) != SL_OK)
		die("bundle", &err);
	struct total t = {0};
	run(p, b, frame, n, seconds, &t);
	report(&t, b);
	for (int i = 0; i < n; i++)
		sl_buf_done(&frame[i]);
	sl_pipeline_free(p);
	sl_bundle_unref(b);
	return 0;
}
