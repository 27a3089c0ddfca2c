/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset_fixture.h"
#include "base/clock.h"
#include "base/mem.h"
#include "harness.h"
#include "vision/image.h"
#include <stdio.h>

void fixture_set(struct fixture *f, const char *name, const char *value)
{
	struct sl_err err;
	CHECK_OK(sl_config_set(f->cfg, name, value, "test", &err));
}

struct fixture fixture_open(void)
{
	struct fixture f = {.cfg = sl_settings_new()};
	struct sl_err err;
	fixture_set(&f, "store.log", "mem:");
	fixture_set(&f, "store.crops", "mem:");
	fixture_set(&f, "store.reviews", "mem:");
	fixture_set(&f, "store.artifacts", "mem:");
	fixture_set(&f, "curate.missing_ms", "0");
	fixture_set(&f, "curate.linger_ms", "10");
	CHECK_OK(sl_stores_open(f.cfg, sl_test_dir(), &f.st, &err));
	return f;
}

void fixture_close(struct fixture *f)
{
	sl_stores_close(&f->st);
	sl_config_free(f->cfg);
}

void fixture_key(int i, char ret[SL_KEY])
{
	char frame[SL_HEX_SHA256];
	sl_sha256_hex(&i, sizeof(i), frame);
	sl_key_make(ret, frame, 1, 2, 30, 40);
}

void fixture_crop(struct fixture *f, int i)
{
	SL_AUTO(sl_buf_done) struct sl_buf jpeg = {0};
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTO(sl_image_done) struct sl_image im = sl_image_new(16, 16);
	char key[SL_KEY], frame[16];
	struct sl_err err;
	for (int p = 0; p < 16 * 16 * 3; p++)
		im.px[p] = (uint8_t)(i * 7 + p % 3 * 40);
	CHECK_OK(sl_jpeg_encode(&im, 90, true, &jpeg, &err));
	fixture_key(i, key);
	snprintf(frame, sizeof(frame), "f%d", i);
	SL_AUTOJSON json_t *meta = json_pack("{s:i,s:s,s:s,s:[i,i,i,i],s:I}", "v", 1, "frame", frame, "device",
		i % 2 ? "car1" : "car0", "roi", 2, 2, 12, 12, "time", (json_int_t)1000 + i);
	sl_json_print(meta, &text);
	CHECK_OK(sl_crops_put(f->st.crops, key, sl_buf_slice(&jpeg), sl_buf_slice(&text), &err));
}

void fixture_label(struct fixture *f, int i, int cls, const char *source)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	char key[SL_KEY], code[16];
	struct sl_err err;
	fixture_key(i, key);
	snprintf(code, sizeof(code), "c%d", cls);
	SL_AUTOJSON json_t *v = json_pack("{s:i,s:s,s:s,s:s}", "v", 1, "key", key, "source", source, "bundle", "b1");
	if (cls >= 0)
		json_object_set_new(v, "class", json_pack("{s:i,s:s}", "index", cls, "code", code));
	else
		json_object_set_new(v, "choice", json_string("not_a_sign"));
	sl_json_print(v, &text);
	CHECK_OK(sl_log_append(f->st.log, "labels", key, sl_buf_slice(&text), SL_FOREVER, &err));
}
