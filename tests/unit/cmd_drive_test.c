/* SPDX-License-Identifier: Apache-2.0
 *
 * What `signloop drive` counts and sends, without a server: times, pools, marked frames,
 * folders, the summary.
 */
#include "base/fs.h"
#include "base/json.h"
#include "base/mem.h"
#include "cmd/drive.h"
#include "harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct sl_drive *new_drive(void)
{
	struct sl_drive *d = SL_NEW(struct sl_drive);

	d->cars = 2;
	d->seed = 5;
	d->quiet = true;
	snprintf(d->run_id, sizeof(d->run_id), "0123456789abcdef0123456789abcdef");
	pthread_mutex_init(&d->lock, NULL);
	sl_cond_init(&d->wake);
	d->end_us = SL_FOREVER;
	d->start_us = sl_mono_us();
	return d;
}

TEST(drive, quantiles_are_within_two_percent)
{
	struct sl_drive *d = new_drive();
	struct drive_times *t = &d->tally.call;

	CHECK_NEAR(drive_times_ms(t, 0.5), 0, 0);
	for (int us = 1; us <= 100000; us++)
		drive_times_add(t, us);
	CHECK_NEAR(drive_times_ms(t, 0.5), 50, 1);
	CHECK_NEAR(drive_times_ms(t, 0.95), 95, 1.9);
	CHECK_NEAR(drive_times_ms(t, 0.99), 99, 2);
	CHECK_NEAR(drive_times_ms(t, 1), 100, 1e-9);
	drive_times_add(t, INT64_MAX); /* no overrun */
	CHECK_EQ(t->count, 100001);
	free(d);
}

TEST(drive, slots_end_at_the_count_and_when_stopped)
{
	struct sl_drive *d = new_drive();

	CHECK_EQ(drive_next_slot(d, 2), 0);
	CHECK_EQ(drive_next_slot(d, 2), 1);
	CHECK_EQ(drive_next_slot(d, 2), -1);
	CHECK(drive_next_slot(d, 0) > 0);
	drive_stop(d);
	CHECK_EQ(drive_next_slot(d, 0), -1);
	CHECK(!drive_wait(d, 1000000)); /* at once */
	free(d);
}

TEST(drive, failures_are_counted_by_kind_and_held_back)
{
	struct sl_drive *d = new_drive();
	struct sl_reply r = {.status = 503, .retry_after_ms = 7000};
	struct sl_err err = {.status = SL_AWAY, .text = "nobody\nthere"};
	int misses = 0;

	CHECK_EQ(drive_count(d, SL_OK, &r, &err, &misses), 7000);
	r.retry_after_ms = 3600000;
	CHECK_EQ(drive_count(d, SL_OK, &r, &err, &misses), DRIVE_WAIT_MOST_MS);
	CHECK_EQ(d->tally.http[503], 2);
	int64_t first = drive_count(d, SL_AWAY, &r, &err, &misses), second = drive_count(d, SL_AWAY, &r, &err, &misses);
	CHECK(first > 0 && second > first);
	CHECK_STR(d->why, "nobody there");
	r.status = 200;
	CHECK_EQ(drive_count(d, SL_OK, &r, &err, &misses), 0);
	CHECK_EQ(d->tally.answered, 1);
	CHECK_EQ(misses, 0);
	free(d);
}

TEST(drive, a_pooled_frame_is_sent_again_as_another_file_with_the_same_picture)
{
	struct sl_drive *d = new_drive();
	struct drive_frame a = {0}, b = {0};
	struct sl_image ia = {0}, ib = {0};
	struct sl_err err = {0};

	d->demo = true;
	d->pool = 2;
	CHECK_OK(drive_load(d, &err));
	CHECK_OK(drive_frame_of(d, 0, &a, &err));
	CHECK_OK(drive_frame_of(d, 2, &b, &err));
	CHECK(b.bytes.len > a.bytes.len && memcmp(a.bytes.ptr, b.bytes.ptr, 2) == 0);
	CHECK_OK(sl_image_decode(sl_buf_slice(&a.bytes), 1 << 24, &ia, &err));
	CHECK_OK(sl_image_decode(sl_buf_slice(&b.bytes), 1 << 24, &ib, &err));
	CHECK_EQ(ia.w, SL_SCENE_W);
	CHECK(memcmp(ia.px, ib.px, (size_t)ia.w * ia.h * 3) == 0);
	CHECK(a.has_truth && b.has_truth && a.truth.n == b.truth.n);
	sl_image_done(&ia);
	sl_image_done(&ib);
	sl_buf_done(&a.bytes);
	sl_buf_done(&b.bytes);
	drive_frames_done(d);
	free(d);
}

TEST(drive, a_folder_gives_its_pictures_unchanged)
{
	struct sl_drive *d = new_drive();
	struct drive_frame f = {0};
	struct sl_err err = {0};
	char path[512];

	d->frames_dir = sl_test_dir();
	CHECK_STATUS(drive_load(d, &err), SL_USAGE);
	CHECK(strstr(err.text, "no .jpg"));
	snprintf(path, sizeof(path), "%s/b.PNG", sl_test_dir());
	CHECK_OK(sl_fs_write(path, sl_slice_str("png bytes"), false, &err));
	snprintf(path, sizeof(path), "%s/a.jpeg", sl_test_dir());
	CHECK_OK(sl_fs_write(path, sl_slice_str("\xff\xd8jpeg bytes"), false, &err));
	snprintf(path, sizeof(path), "%s/notes.txt", sl_test_dir());
	CHECK_OK(sl_fs_write(path, sl_slice_str("no"), false, &err));
	CHECK_OK(drive_load(d, &err));
	CHECK_EQ(d->frames, 2);
	CHECK_OK(drive_frame_of(d, 3, &f, &err));
	CHECK_STR((char *)f.bytes.ptr, "png bytes");
	CHECK_STR(f.type, "image/png");
	d->mark = true; /* a PNG has no comment: it stays as it is */
	CHECK_OK(drive_frame_of(d, 3, &f, &err));
	CHECK_STR((char *)f.bytes.ptr, "png bytes");
	CHECK_OK(drive_frame_of(d, 0, &f, &err));
	CHECK(f.bytes.len > strlen("\xff\xd8jpeg bytes") && strstr((char *)f.bytes.ptr + 6, "signloop drive"));
	sl_buf_done(&f.bytes);
	drive_frames_done(d);
	d->frames_dir = "/nowhere/at/all";
	CHECK_STATUS(drive_load(d, &err), SL_USAGE);
	free(d);
}

TEST(drive, saved_scenes_come_with_their_boxes)
{
	struct sl_drive *d = new_drive();
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	struct sl_err err = {0};
	char path[512];
	int left, top, right, bottom, cls, lines = 0;

	d->save_dir = sl_test_dir();
	d->count = 3;
	CHECK_OK(drive_save(d, &err));
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%05d.jpg", sl_test_dir(), i);
		CHECK(sl_fs_is_file(path));
	}
	snprintf(path, sizeof(path), "%s/gt.txt", sl_test_dir());
	CHECK_OK(sl_fs_read(path, &text, &err));
	for (char *p = (char *)text.ptr; *p; p = strchr(p, '\n') + 1, lines++) {
		CHECK(sscanf(p, "%*5d.jpg;%d;%d;%d;%d;%d", &left, &top, &right, &bottom, &cls) == 5);
		CHECK(left >= 0 && right > left && right <= SL_SCENE_W && bottom > top && bottom <= SL_SCENE_H &&
			cls < 43);
	}
	CHECK(lines > 0);
	free(d);
}
