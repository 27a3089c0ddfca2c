/* SPDX-License-Identifier: Apache-2.0
 *
 * Role frames while its stores are away: refused, or kept and stored later.
 */
#include "base/fs.h"
#include "frames_rig.h"
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static char *away_file(void)
{
	return sl_fs_join(sl_test_dir(), "away");
}

static void take_away(const char *file)
{
	struct sl_err err;
	CHECK_OK(sl_fs_write(file, sl_slice_str(""), true, &err));
}

static double gauge(const char *name)
{
	return sl_metric_value(sl_gauge(name, NULL, ""));
}

static void wait_spool(double n)
{
	while (gauge("signloop_spool_frames") != n)
		sched_yield();
}

/* Another frame that shows the same: bytes behind the end of a JPEG are no picture. */
static json_t *post_other(struct rig *g, const char *what, int n, int code)
{
	SL_AUTO(sl_buf_done) struct sl_buf body = {0};

	sl_buf_add(&body, g->jpeg.ptr, g->jpeg.len);
	sl_buf_printf(&body, "%d", n);
	return post(g, what, "image/jpeg", sl_buf_slice(&body), code);
}

static void open_keeping(struct rig *g, const char *store, const char *more)
{
	SL_AUTOFREE char *file = away_file();
	SL_AUTOFREE char *url = sl_asprintf("store.%s=fault+mem:?file=%s", store, file);

	rig_open(g, (const char *const[]){"frames.when_away=keep", url, more, NULL}, tiny_bundle("tiny"));
}

static void keeps_and_catches_up(const char *store, const char *status)
{
	struct rig g;
	SL_AUTOFREE char *file = away_file();
	char why[128] = "";

	SL_AUTOFREE char *url = sl_asprintf("store.%s=fault+mem:?file=%s&status=%s", store, file, status);

	open_keeping(&g, store, url);
	json_decref(post_other(&g, "POST /v1/frames", 0, 200));
	CHECK_EQ(crops(&g), 2);
	take_away(file);
	for (int i = 1; i <= 3; i++) {
		SL_AUTOJSON json_t *v = post_other(
			&g, "POST /v1/frames?frame=f1&device=car-1&time=1700000000000&lat=37.5&lon=127", i, 202);
		CHECK_STR(text_at(v, "frame"), "f1");
		CHECK_STR(text_at(v, "status"), "stored");
		CHECK_EQ(strlen(text_at(v, "hash")), 24);
	}
	SL_AUTO(sl_buf_done) struct sl_buf old = {0};
	as_json(&g, "", "", &old);
	json_decref(post(&g, "POST /api/labeling", "application/json", sl_buf_slice(&old), 202));
	CHECK_EQ(gauge("signloop_spool_frames"), 4);
	CHECK(sl_role_frames.is_ready(g.f, why)); /* it takes frames, and says what it lacks */
	CHECK(strstr(why, "away"));
	remove(file);
	wait_spool(0);
	CHECK_EQ(crops(&g), 10);
	CHECK_EQ(messages(&g, "labels"), 5);
	CHECK_EQ(messages(&g, "reviews"), 5);
	CHECK_EQ(gauge("signloop_spool_bytes"), 0);
	SL_AUTOJSON json_t *labels = bodies(&g, "labels");
	int placed = 0;
	for (size_t i = 0; i < json_array_size(labels); i++) {
		struct sl_crop c = {0};
		struct sl_err err;
		CHECK_OK(sl_crops_get(g.ctx.stores.crops, text_at(json_array_get(labels, i), "key"), &c, &err));
		placed += strstr((char *)c.meta.ptr, "\"lat\":37.5") && strstr((char *)c.meta.ptr, "1700000000000") &&
			  strstr((char *)c.meta.ptr, "\"frame_id\":\"f1\"");
		sl_crop_done(&c);
	}
	CHECK_EQ(placed, 3);
	json_decref(post_other(&g, "POST /v1/frames", 9, 200));
	rig_close(&g);
}

TEST(spool, frames_are_kept_while_the_log_is_away_and_stored_later)
{
	keeps_and_catches_up("log", "AWAY");
}

TEST(spool, frames_are_kept_while_the_crop_store_is_away_and_stored_later)
{
	keeps_and_catches_up("crops", "AWAY");
}

/* A right that was taken away, a table that was dropped: no fault of the frames. */
TEST(spool, a_store_that_refuses_keeps_frames_as_one_that_is_away)
{
	keeps_and_catches_up("log", "USAGE");
	keeps_and_catches_up("crops", "USAGE");
	CHECK_EQ(gauge("signloop_spool_aside"), 0);
}

/* Accepting and readiness say the same, with no bundle too. */
TEST(spool, without_a_bundle_frames_are_kept_while_a_store_is_away)
{
	struct rig g;
	char why[128] = "";

	rig_open(&g, (const char *const[]){"frames.when_away=keep", NULL}, NULL);
	CHECK(!sl_role_frames.is_ready(g.f, why));
	CHECK(strstr(why, "no bundle"));
	json_decref(post_other(&g, "POST /v1/frames", 0, 503));
	sl_health_note(SL_STORE_LOG, SL_AWAY, NULL);
	CHECK(sl_role_frames.is_ready(g.f, why));
	CHECK(strstr(why, "the log"));
	json_decref(post_other(&g, "POST /v1/frames", 0, 202));
	sl_hub_swap_bundle(g.ctx.hub, tiny_bundle("tiny"));
	wait_spool(0);
	CHECK_EQ(crops(&g), 2);
	CHECK(sl_role_frames.is_ready(g.f, why));
	rig_close(&g);
}

TEST(spool, a_store_that_refuses_is_503_to_cars)
{
	struct rig g;

	rig_open(&g, (const char *const[]){"store.log=fault+mem:?every=1&calls=append&status=USAGE", NULL},
		tiny_bundle("tiny"));
	json_decref(post_other(&g, "POST /v1/frames", 0, 503));
	CHECK(sl_health_of(SL_STORE_LOG).since_ms);
	rig_close(&g);
}

/* The next process finds them: one of them was stored already and not yet taken out of the folder. */
TEST(spool, kept_frames_survive_the_process_and_have_their_effect_once)
{
	struct rig g;
	SL_AUTOFREE char *file = away_file();
	SL_AUTOFREE char *crops_url = sl_asprintf("store.crops=sqlite:%s/crops.db", sl_test_dir());
	SL_AUTOFREE char *plain = sl_asprintf("store.log=sqlite:%s/log.db", sl_test_dir());
	SL_AUTOFREE char *faulty = sl_asprintf("store.log=fault+sqlite:%s/log.db?file=%s", sl_test_dir(), file);
	SL_AUTOFREE char *dir = sl_fs_join(sl_test_dir(), "spool");
	SL_AUTOFREE char *torn = sl_fs_join(dir, "000000000007.frame.0123456789ab.tmp");
	struct sl_err err;
	int64_t waiting, aside;

	rig_open(&g, (const char *const[]){"frames.when_away=keep", crops_url, faulty, NULL}, tiny_bundle("tiny"));
	json_decref(post_other(&g, "POST /v1/frames", 0, 200));
	take_away(file);
	for (int i = 0; i < 3; i++) /* the first is stored, as if a kill had come before its file went */
		json_decref(post_other(&g, "POST /v1/frames?device=late", i, i ? 202 : 200));
	CHECK_EQ(gauge("signloop_spool_frames"), 2);
	rig_close(&g); /* drain leaves them */
	take_away(torn);
	CHECK_OK(sl_spool_count(dir, &waiting, &aside, &err));
	CHECK_EQ(waiting, 2);
	CHECK_EQ(aside, 0);
	remove(file);
	/* refuse: what an earlier process kept is stored all the same */
	rig_open(&g, (const char *const[]){"frames.when_away=refuse", crops_url, plain, NULL}, tiny_bundle("tiny"));
	wait_spool(0);
	CHECK(!sl_fs_is_file(torn));
	CHECK_EQ(crops(&g), 6);
	CHECK_EQ(messages(&g, "labels"), 3);
	CHECK_EQ(messages(&g, "reviews"), 3);
	rig_close(&g);
}

TEST(spool, a_full_folder_refuses_and_what_was_kept_stays)
{
	struct rig g;
	SL_AUTOFREE char *file = away_file();
	char why[128] = "";
	int kept = 0;

	open_keeping(&g, "log", "frames.spool_bytes=65536");
	take_away(file);
	for (;; kept++) {
		SL_AUTO(sl_buf_done) struct sl_buf body = {0};
		struct ask_answer a = {0};
		struct ask_conn c = ask_open(g.port);
		char retry[8];
		sl_buf_add(&body, g.jpeg.ptr, g.jpeg.len);
		sl_buf_printf(&body, "%d", kept);
		ask_request(&c, "POST /v1/frames", "image/jpeg", sl_buf_slice(&body), NULL);
		CHECK(ask_read(&c, false, &a));
		int code = a.code;
		if (code == 503)
			CHECK(ask_header(&a, "Retry-After", retry, sizeof retry));
		ask_done(&a);
		ask_close(&c);
		if (code == 503)
			break;
		CHECK_EQ(code, 202);
	}
	CHECK(kept > 0);
	CHECK_EQ(gauge("signloop_spool_frames"), kept);
	CHECK(gauge("signloop_spool_bytes") <= 65536);
	CHECK(!sl_role_frames.is_ready(g.f, why));
	remove(file);
	wait_spool(0);
	CHECK_EQ(messages(&g, "labels"), kept);
	json_decref(post_other(&g, "POST /v1/frames", 1000, 200));
	rig_close(&g);
}

/* It starts like a JPEG, so it was kept; nothing behind it waits for it. */
TEST(spool, a_frame_that_cannot_be_read_is_set_aside_with_the_reason)
{
	struct rig g;
	SL_AUTOFREE char *file = away_file();
	SL_AUTOFREE char *dir = sl_fs_join(sl_test_dir(), "spool");
	SL_AUTOFREE char *note = sl_fs_join(dir, "aside/000000000006.frame.why");
	SL_AUTOFREE char *damaged = sl_fs_join(dir, "000000000005.frame");
	SL_AUTO(sl_buf_done) struct sl_buf why = {0};
	struct sl_err err;
	int64_t waiting, aside;

	CHECK_OK(sl_fs_mkdirs(dir, &err));
	CHECK_OK(sl_fs_write(damaged, sl_slice_str("{}\n"), true, &err)); /* of an earlier process */
	open_keeping(&g, "crops", NULL);
	take_away(file);
	sl_health_note(SL_STORE_CROPS, SL_AWAY, NULL); /* known, so that nothing looks into the picture before */
	json_decref(post(&g, "POST /v1/frames", "image/jpeg", sl_slice("\xff\xd8\xff\xe0 no more", 12), 202));
	for (int i = 0; i < 2; i++)
		json_decref(post_other(&g, "POST /v1/frames", i, 202));
	remove(file);
	wait_spool(0);
	while (gauge("signloop_spool_aside") != 2)
		sched_yield();
	CHECK_OK(sl_spool_count(dir, &waiting, &aside, &err));
	CHECK_EQ(waiting, 0);
	CHECK_EQ(aside, 2);
	CHECK_OK(sl_fs_read(note, &why, &err));
	CHECK(why.len > 10);
	CHECK_EQ(messages(&g, "labels"), 2);
	rig_close(&g);
}

/* refuse, the default: 503 with Retry-After, and it goes on by itself. A test that stores nothing is answered. */
TEST(spool, by_default_frames_are_refused_while_a_store_is_away)
{
	struct rig g;
	SL_AUTOFREE char *file = away_file();
	SL_AUTOFREE char *url = sl_asprintf("store.crops=fault+mem:?file=%s", file);
	SL_AUTO(sl_buf_done) struct sl_buf old = {0};
	struct ask_answer a = {0};
	char retry[8], why[128] = "";

	rig_open(&g, (const char *const[]){url, NULL}, tiny_bundle("tiny"));
	as_json(&g, "", "", &old);
	take_away(file);
	for (int64_t until = sl_deadline_ms(SL_AWAY_KNOWN_MS + 500);
		!sl_is_past(until);) { /* before and after it is known */
		struct ask_conn c = ask_open(g.port);
		ask_request(&c, "POST /v1/frames", "image/jpeg", sl_buf_slice(&g.jpeg), NULL);
		CHECK(ask_read(&c, false, &a));
		CHECK_EQ(a.code, 503);
		CHECK(ask_header(&a, "Retry-After", retry, sizeof retry));
		ask_done(&a);
		ask_close(&c);
	}
	CHECK(!sl_role_frames.is_ready(g.f, why));
	CHECK(strstr(why, "the crop store"));
	json_decref(post(&g, "POST /api/labeling-test", "application/json", sl_buf_slice(&old), 200));
	CHECK_EQ(gauge("signloop_spool_frames"), 0);
	remove(file);
	for (bool well = false; !well;) { /* at most one a second tries */
		struct ask_conn c = ask_open(g.port);
		ask_request(&c, "POST /v1/frames", "image/jpeg", sl_buf_slice(&g.jpeg), NULL);
		CHECK(ask_read(&c, false, &a));
		well = a.code == 200;
		ask_done(&a);
		ask_close(&c);
	}
	CHECK(sl_role_frames.is_ready(g.f, why));
	CHECK_EQ(crops(&g), 2);
	rig_close(&g);
}

/* ---- the folder itself ---- */

static struct sl_spool *open_folder(int64_t max_bytes, char **ret_dir)
{
	struct sl_spool *s;
	struct sl_err err;

	*ret_dir = sl_fs_join(sl_test_dir(), "folder");
	CHECK_OK(sl_spool_open(*ret_dir, max_bytes, &s, &err));
	return s;
}

static enum sl_status put(struct sl_spool *s, size_t bytes, struct sl_err *err)
{
	SL_AUTOJSON json_t *meta = json_object();
	SL_AUTOFREE uint8_t *image = sl_zalloc(bytes);

	return sl_spool_put(s, meta, sl_slice(image, bytes), err);
}

static int64_t first_number(struct sl_spool *s)
{
	struct sl_spooled f = {0};
	struct sl_err err;

	CHECK_OK(sl_spool_first(s, &f, &err));
	int64_t number = f.number;
	sl_spooled_done(&f);
	return number;
}

static void move_away(const char *dir, const char *name)
{
	SL_AUTOFREE char *path = sl_fs_join(dir, name);

	CHECK(!unlink(path));
}

TEST(spool, frames_that_were_set_aside_take_no_room_from_others)
{
	SL_AUTOFREE char *dir = NULL;
	struct sl_spool *s = open_folder(65536, &dir);
	struct sl_err err;
	int64_t waiting, aside;

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 10; i++) {
			CHECK_OK(put(s, 6000, &err));
			CHECK_OK(sl_spool_set_aside(s, first_number(s), "no picture", &err));
		}
		CHECK_EQ(gauge("signloop_spool_bytes"), 0);
		CHECK_OK(sl_spool_count(dir, &waiting, &aside, &err));
		CHECK_EQ(aside, 1); /* an eighth is 8192: the newest */
		CHECK_EQ(gauge("signloop_spool_aside"), 1);
		sl_spool_free(s);
		free(SL_TAKE(dir));
		s = open_folder(65536, &dir); /* the same after a restart */
		CHECK_EQ(gauge("signloop_spool_bytes"), 0);
		CHECK_EQ(gauge("signloop_spool_aside"), 1);
	}
	CHECK_OK(put(s, 60000, &err));
	CHECK_STATUS(put(s, 6000, &err), SL_BUSY);
	CHECK(sl_spool_is_full(s));
	move_away(dir, "000000000021.frame"); /* somebody took it: its room is free again */
	CHECK_OK(sl_spool_set_aside(s, 21, "is gone", &err));
	CHECK_EQ(gauge("signloop_spool_bytes"), 0);
	CHECK_EQ(gauge("signloop_spool_aside"), 1);
	CHECK(!sl_spool_is_full(s));
	CHECK_STATUS(put(s, 65536, &err), SL_TOO_LARGE);
	CHECK(!sl_spool_is_full(s));
	sl_spool_free(s);
}

/* What no read gives is set aside like what is damaged, and those behind it are next. */
TEST(spool, a_file_that_cannot_be_read_blocks_nobody_for_ever)
{
	SL_AUTOFREE char *dir = NULL;
	struct sl_spool *s = open_folder(65536, &dir);
	SL_AUTOFREE char *path = sl_fs_join(dir, "000000000001.frame");
	struct sl_spooled f = {0};
	struct sl_err err;
	int io = 0;

	for (int i = 0; i < 2; i++)
		CHECK_OK(put(s, 100, &err));
	CHECK(!unlink(path) && !symlink("000000000001.frame", path)); /* open(2): ELOOP */
	while (sl_spool_first(s, &f, &err) == SL_IO)
		io++;
	CHECK(io > 2);
	CHECK_EQ(err.status, SL_CORRUPT);
	CHECK(strstr(err.text, "cannot be read"));
	CHECK_EQ(f.number, 1);
	sl_spooled_done(&f);
	CHECK_OK(sl_spool_set_aside(s, 1, err.text, &err));
	CHECK_EQ(first_number(s), 2);
	sl_spool_free(s);
}

TEST(spool, files_of_others_stay_and_none_is_written_over)
{
	static const char *const theirs[] = {
		"notes.txt", "a.tmp", "7.frame", "000000000009.frame.why", "000000000002.frame"};
	SL_AUTOFREE char *dir = sl_fs_join(sl_test_dir(), "folder");
	struct sl_err err;

	CHECK_OK(sl_fs_mkdirs(dir, &err));
	SL_AUTOFREE char *half = sl_fs_join(dir, "000000000003.frame.0123456789ab.tmp");
	SL_AUTOFREE char *large = sl_fs_join(dir, "1000000000000.frame"); /* a digit more */
	take_away(half);
	for (int i = 0; i < 4; i++) {
		SL_AUTOFREE char *path = sl_fs_join(dir, theirs[i]);
		take_away(path);
	}
	free(SL_TAKE(dir));
	struct sl_spool *s = open_folder(65536, &dir);
	CHECK(!sl_fs_is_file(half));
	CHECK_EQ(gauge("signloop_spool_frames"), 0);
	CHECK_OK(put(s, 10, &err));
	SL_AUTOFREE char *taken = sl_fs_join(dir, theirs[4]);
	take_away(taken); /* the number that would be next */
	CHECK_OK(put(s, 10, &err));
	for (int i = 0; i < 5; i++) {
		SL_AUTOFREE char *path = sl_fs_join(dir, theirs[i]);
		CHECK_EQ(sl_fs_size(path), 0);
	}
	sl_spool_done(s, 1);
	CHECK_EQ(first_number(s), 3);
	sl_spool_free(s);
	take_away(large);
	free(SL_TAKE(dir));
	s = open_folder(65536, &dir);
	CHECK_EQ(gauge("signloop_spool_frames"), 3); /* 2, which looks like ours, 3 and the large one */
	CHECK_OK(put(s, 10, &err));
	SL_AUTOFREE char *next = sl_fs_join(dir, "1000000000001.frame");
	CHECK(sl_fs_is_file(next));
	sl_spool_free(s);
}

TEST(spool, a_wrong_mode_is_named)
{
	struct sl_config *cfg;
	struct rig g;
	struct sl_err err;
	void *state;

	rig_open(&g, NULL, NULL);
	cfg = g.cfg;
	CHECK_OK(sl_config_set(cfg, "frames.when_away", "hold", "test", &err));
	CHECK_STATUS(sl_role_frames.start(&g.ctx, &state, &err), SL_USAGE);
	CHECK(strstr(err.text, "hold") && strstr(err.text, "keep"));
	rig_close(&g);
}
