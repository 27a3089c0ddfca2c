/* SPDX-License-Identifier: Apache-2.0 */
#include "role/fsck.h"
#include "base/clock.h"
#include "base/mem.h"
#include "dataset/forget.h"
#include "dataset/registry.h"
#include "dataset/segments.h"
#include "dataset/version.h"
#include "dataset_fixture.h"
#include "harness.h"
#include "tiny_bundle.h"
#include <stdio.h>

enum { LABELS = 40, REVIEWS = 6 };

static json_t *fsck(struct fixture *f, bool repair)
{
	struct sl_fsck o = {.bytes = true, .recompute = true, .repair = repair};
	struct sl_err err;
	json_t *r = NULL;
	CHECK_OK(sl_fsck_run(&f->st, &o, &r, &err));
	return r;
}

static void check_whole(struct fixture *f)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTOJSON json_t *r = fsck(f, false);
	sl_json_print(json_object_get(r, "findings"), &text);
	CHECK_STR((char *)text.ptr, "[]");
	CHECK(json_is_true(json_object_get(r, "ok")));
}

/* The one finding: what it is of, where it is. */
static void check_finds(struct fixture *f, const char *what, const char *where)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTOJSON json_t *r = fsck(f, false);
	json_t *list = json_object_get(r, "findings"), *v;
	size_t i;
	bool found = false;
	sl_json_print(list, &text);
	json_array_foreach(list, i, v) found |= !strcmp(json_string_value(json_object_get(v, "what")), what) &&
						strstr(json_string_value(json_object_get(v, "where")), where);
	if (!found)
		sl_test_fail(__FILE__, __LINE__, "no finding %s %s in %s", what, where, (char *)text.ptr);
	CHECK(!json_is_true(json_object_get(r, "ok")));
}

static void review_message(struct fixture *f, int i)
{
	char key[SL_KEY], text[300];
	struct sl_err err;
	fixture_key(i, key);
	snprintf(text, sizeof(text),
		"{\"v\":1,\"key\":\"%s\",\"candidates\":[{\"class\":1,\"code\":\"O\",\"confidence\":0.5}],\"bundle\":\"b\",\"frame\":\"f\","
		"\"device\":\"car1\",\"time\":5}",
		key);
	CHECK_OK(sl_log_append(f->st.log, "reviews", key, sl_slice_str(text), SL_FOREVER, &err));
}

static void add_review(struct fixture *f, int i, int64_t position)
{
	struct sl_review r = {.ncandidate = 1, .candidate = {{1, 0.5f}}};
	struct sl_origin from = {"intake", 0, position};
	struct sl_err err;
	fixture_key(i, r.key);
	CHECK_OK(sl_reviews_add(f->st.reviews, &r, 1, &from, &err));
}

static void decide(struct fixture *f, int i, int choice)
{
	struct sl_vote v = {.choice = choice, .expert = true};
	struct sl_verdict verdict;
	struct sl_err err;
	char key[SL_KEY];
	fixture_key(i, key);
	snprintf(v.voter, sizeof(v.voter), "ann");
	snprintf(v.id, sizeof(v.id), "v%d", i);
	CHECK_OK(sl_reviews_vote(f->st.reviews, key, &v, &verdict, &err));
	CHECK_EQ(verdict.state, SL_REVIEW_DECIDED);
}

static void mark_sent(struct fixture *f, int i)
{
	char key[1][SL_KEY];
	struct sl_err err;
	fixture_key(i, key[0]);
	CHECK_OK(sl_reviews_sent(f->st.reviews, key, 1, &err));
}

/* A small world in which all is well: labels, reviews, one of them decided and published, a
 * version, a model. */
static struct fixture make_world(void)
{
	struct fixture f = fixture_open();
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTOJSON json_t *m = NULL;
	struct sl_err err;
	char digest[SL_DIGEST];
	for (int i = 0; i < LABELS + REVIEWS; i++)
		fixture_crop(&f, i);
	for (int i = 0; i < LABELS; i++)
		fixture_label(&f, i, i % 2, "model");
	for (int i = 0; i < REVIEWS; i++) {
		review_message(&f, LABELS + i);
		add_review(&f, LABELS + i, i);
	}
	decide(&f, LABELS, 1);
	fixture_label(&f, LABELS, 1, "expert");
	mark_sent(&f, LABELS);
	fixture_curate(&f);
	struct sl_snapshot o = {.note = NULL};
	CHECK_OK(sl_version_snapshot(f.st.artifacts, f.cfg, &o, &m, &err));
	tiny_bundle_file("a", &file);
	CHECK_OK(sl_model_put(f.st.artifacts, sl_buf_slice(&file), digest, &err));
	struct sl_alias_entry e;
	struct sl_publish p = {.digest = digest};
	CHECK_OK(sl_model_publish(&f.st, f.cfg, &p, &e, NULL, &err));
	return f;
}

TEST(fsck, finds_nothing_where_all_is_well_and_counts_what_waits)
{
	struct fixture f = make_world();
	check_whole(&f);
	fixture_crop(&f, 900);
	fixture_label(&f, 900, 1, "model"); /* not yet in a segment */
	review_message(&f, 900);
	decide(&f, LABELS + 1, 0); /* in the outbox */
	SL_AUTOJSON json_t *r = fsck(&f, false), *waiting = json_incref(json_object_get(r, "waiting"));
	CHECK(json_is_true(json_object_get(r, "ok")));
	CHECK_EQ(json_integer_value(json_object_get(waiting, "curate")), 1);
	CHECK_EQ(json_integer_value(json_object_get(waiting, "outbox")), 1);
	fixture_close(&f);
}

TEST(fsck, names_a_crop_that_is_gone)
{
	struct fixture f = make_world();
	struct sl_err err;
	char key[SL_KEY];
	fixture_key(3, key);
	CHECK_OK(sl_crops_remove(f.st.crops, key, &err));
	check_finds(&f, "crop", key);
	fixture_close(&f);
}

TEST(fsck, a_forgotten_crop_is_no_loss_and_must_stay_gone)
{
	struct fixture f = make_world();
	SL_AUTOJSON json_t *report = NULL;
	struct sl_err err;
	char key[SL_KEY];
	fixture_key(3, key);
	CHECK_OK(sl_forget_key(&f.st, key, NULL, &report, &err));
	check_whole(&f);
	fixture_crop(&f, 3); /* the same frame again */
	check_finds(&f, "crop", key);
	SL_AUTOJSON json_t *r = fsck(&f, true);
	CHECK_EQ(json_array_size(json_object_get(r, "repaired")), 1);
	check_whole(&f);
	fixture_close(&f);
}

TEST(fsck, names_a_consumed_message_without_its_review_and_opens_it_again)
{
	struct fixture f = make_world();
	char key[SL_KEY];
	fixture_crop(&f, 77);
	review_message(&f, 77); /* position REVIEWS */
	fixture_crop(&f, 78);
	review_message(&f, 78);
	add_review(&f, 78, REVIEWS + 1); /* position 6 was skipped */
	fixture_key(77, key);
	check_finds(&f, "review", key);
	SL_AUTOJSON json_t *r = fsck(&f, true);
	CHECK_EQ(json_array_size(json_object_get(r, "repaired")), 1);
	check_whole(&f);
	fixture_close(&f);
}

TEST(fsck, names_a_decided_review_without_its_label_and_publishes_it_again)
{
	struct fixture f = make_world();
	char key[SL_KEY];
	decide(&f, LABELS + 2, 0);
	mark_sent(&f, LABELS + 2); /* marked, but never published */
	fixture_key(LABELS + 2, key);
	check_finds(&f, "label", key);
	SL_AUTOJSON json_t *r = fsck(&f, true);
	CHECK_EQ(json_array_size(json_object_get(r, "repaired")), 1);
	fixture_curate(&f);
	check_whole(&f);
	fixture_close(&f);
}

static void first_segment(struct fixture *f, char entry[SL_PATH], char tar[SL_PATH])
{
	SL_AUTO(sl_segments_done) struct sl_segments all = {0};
	struct sl_err err;
	CHECK_OK(sl_segments_list(f->st.artifacts, &all, &err));
	CHECK(all.n > 0);
	sl_segment_entry_path(entry, all.segment[0].partition, all.segment[0].first);
	sl_segment_path(tar, all.segment[0].sha256);
}

/* A log whose labels before `first` are too old to be kept. */
static void trim_labels(struct fixture *f, int64_t first)
{
	SL_AUTOFREE char *url = sl_asprintf("sqlite:%s/trimmed.db", sl_test_dir());
	struct sl_log *old = f->st.log;
	struct sl_err err;
	CHECK_OK(sl_log_open(url, f->cfg, &f->st.log, &err));
	for (int i = 0; i < 2; i++) {
		const char *topic = i ? "reviews" : "labels";
		SL_AUTO(sl_batch_done) struct sl_batch b = {0};
		CHECK_OK(sl_log_make(f->st.log, topic, 1, &err));
		CHECK_OK(sl_log_read(old, topic, 0, i ? -1 : first - 1, SL_BATCH_MAX, &b, &err));
		CHECK_OK(sl_log_restore(f->st.log, b.message, b.n, SL_FOREVER, &err));
	}
	sl_log_close(old);
}

TEST(fsck, a_label_that_the_log_no_longer_keeps_is_in_its_segment)
{
	struct fixture f = make_world();
	char key[SL_KEY];
	fixture_crop(&f, 900);
	fixture_label(&f, 900, 1, "model");
	fixture_curate(&f);
	trim_labels(&f, LABELS + 1); /* behind the label of the decided review */
	check_whole(&f);
	SL_AUTOJSON json_t *r = fsck(&f, true);
	CHECK_EQ(json_array_size(json_object_get(r, "repaired")), 0);
	CHECK_EQ(json_integer_value(json_object_get(json_object_get(r, "checked"), "labels_not_kept")), LABELS + 1);
	struct sl_fsck quick = {.repair = true}; /* which reads no segments, and so does not know */
	struct sl_err err;
	SL_AUTOJSON json_t *q = NULL;
	CHECK_OK(sl_fsck_run(&f.st, &quick, &q, &err));
	CHECK_EQ(json_array_size(json_object_get(q, "repaired")), 0);
	decide(&f, LABELS + 2, 0);
	mark_sent(&f, LABELS + 2); /* marked, but in no segment either */
	fixture_key(LABELS + 2, key);
	check_finds(&f, "label", key);
	char entry[SL_PATH], tar[SL_PATH];
	first_segment(&f, entry, tar);
	CHECK_OK(sl_artifacts_remove(f.st.artifacts, tar, &err));
	SL_AUTOJSON json_t *lost = fsck(&f, true); /* a segment that cannot be read may have it */
	CHECK_EQ(json_array_size(json_object_get(lost, "repaired")), 0);
	check_finds(&f, "segment", tar);
	fixture_close(&f);
}

TEST(fsck, repair_empties_the_outbox)
{
	struct fixture f = make_world();
	decide(&f, LABELS + 3, 1);
	SL_AUTOJSON json_t *r = fsck(&f, true);
	CHECK_EQ(json_array_size(json_object_get(r, "repaired")), 1);
	fixture_curate(&f);
	SL_AUTOJSON json_t *after = fsck(&f, true);
	CHECK_EQ(json_array_size(json_object_get(after, "repaired")), 0);
	CHECK_EQ(json_integer_value(json_object_get(json_object_get(after, "waiting"), "outbox")), 0);
	check_whole(&f);
	fixture_close(&f);
}

TEST(fsck, names_a_segment_that_is_gone_or_damaged)
{
	struct fixture f = make_world();
	struct sl_err err;
	char entry[SL_PATH], tar[SL_PATH];
	first_segment(&f, entry, tar);
	CHECK_OK(sl_artifacts_remove(f.st.artifacts, tar, &err));
	check_finds(&f, "segment", tar);
	CHECK_OK(sl_artifacts_put(f.st.artifacts, tar, sl_slice_str("damaged"), &err));
	check_finds(&f, "segment", tar);
	fixture_close(&f);
}

TEST(fsck, names_a_hole_between_segments_and_a_label_in_none)
{
	struct fixture f = make_world();
	struct sl_segment g = {.first = LABELS + 5, .last = LABELS + 6, .missing = json_array(), .bad = json_array()};
	struct sl_err err;
	char entry[SL_PATH], key[SL_KEY];
	CHECK_OK(sl_segments_store(f.st.artifacts, &g, sl_slice("", 0), &err));
	sl_segment_entry_path(entry, 0, LABELS + 5);
	check_finds(&f, "segment", entry);
	sl_segment_done(&g);
	/* An entry that covers a label it does not hold. */
	struct fixture h = make_world();
	struct sl_segment lost = {
		.first = LABELS + 1, .last = LABELS + 1, .missing = json_array(), .bad = json_array()};
	fixture_crop(&h, 500);
	fixture_label(&h, 500, 1, "model");
	CHECK_OK(sl_segments_store(h.st.artifacts, &lost, sl_slice("", 0), &err));
	fixture_key(500, key);
	check_finds(&h, "label", key);
	sl_segment_done(&lost);
	fixture_close(&h);
	fixture_close(&f);
}

TEST(fsck, names_a_damaged_version_and_a_model_that_is_gone)
{
	struct fixture f = make_world();
	SL_AUTOJSON json_t *m = NULL;
	struct sl_err err;
	char path[SL_PATH], digest[SL_DIGEST], bundle[SL_ALIAS_PATH];
	CHECK_OK(sl_version_get(f.st.artifacts, "v0001", &m, &err));
	sl_shard_path(
		path, json_string_value(json_object_get(json_array_get(json_object_get(m, "shards"), 0), "sha256")));
	CHECK_OK(sl_artifacts_remove(f.st.artifacts, path, &err));
	check_finds(&f, "shard", path);
	CHECK_OK(sl_alias_digest(f.st.artifacts, "live", digest, &err));
	sl_bundle_path(bundle, digest);
	CHECK_OK(sl_artifacts_remove(f.st.artifacts, bundle, &err));
	check_finds(&f, "model", bundle);
	fixture_close(&f);
}

TEST(fsck, names_a_hole_in_the_alias_log)
{
	struct fixture f = make_world();
	struct sl_alias_entry e = {.n = 3, .alias = "live", .time_ms = 1};
	struct sl_err err;
	char path[SL_ALIAS_PATH];
	memset(e.digest, 'a', 64);
	SL_AUTOJSON json_t *v = sl_alias_json(&e);
	sl_alias_path(path, "live", 3);
	CHECK_OK(sl_object_put(f.st.artifacts, path, v, &err));
	check_finds(&f, "alias", "live");
	fixture_close(&f);
}

TEST(fsck, names_an_announced_model_that_the_alias_log_lost)
{
	struct fixture f = make_world();
	struct sl_err err;
	char path[SL_ALIAS_PATH];
	sl_alias_path(path, "live", 1);
	CHECK_OK(sl_artifacts_remove(f.st.artifacts, path, &err)); /* its only one: the log has no hole */
	check_finds(&f, "alias", "live");
	fixture_close(&f);
}

TEST(fsck, names_a_version_that_is_gone)
{
	struct fixture f = make_world();
	SL_AUTOJSON json_t *m = NULL;
	struct sl_snapshot o = {.force = true};
	struct sl_err err;
	CHECK_OK(sl_version_snapshot(f.st.artifacts, f.cfg, &o, &m, &err));
	check_whole(&f);
	CHECK_OK(sl_artifacts_remove(f.st.artifacts, "datasets/v0001.json", &err));
	check_finds(&f, "version", "v0002");
	fixture_close(&f);
}

TEST(fsck, names_a_label_of_people_whose_review_is_gone_or_open)
{
	struct fixture f = make_world();
	char key[SL_KEY];
	fixture_crop(&f, 600);
	fixture_label(&f, 600, 1, "votes");
	fixture_curate(&f);
	fixture_key(600, key);
	check_finds(&f, "review", key);
	fixture_close(&f);
	struct fixture h = make_world();
	fixture_label(&h, LABELS + 1, 1, "expert");
	fixture_curate(&h);
	fixture_key(LABELS + 1, key);
	check_finds(&h, "review", key);
	fixture_close(&h);
}

TEST(fsck, names_a_message_that_is_no_label)
{
	struct fixture f = make_world();
	struct sl_err err;
	CHECK_OK(sl_log_append(f.st.log, "labels", "k", sl_slice_str("nonsense"), SL_FOREVER, &err));
	fixture_curate(&f);
	check_finds(&f, "message", "labels/p0/");
	fixture_close(&f);
}

/* Intake skips such a message, so no review is missing, and a repair must not make one of it. */
TEST(fsck, names_a_message_that_is_no_review_and_opens_none)
{
	struct fixture f = make_world();
	struct sl_review r;
	struct sl_vote votes[SL_VOTES_MAX];
	struct sl_err err;
	char key[SL_KEY], text[200];
	int n;
	fixture_crop(&f, 77);
	fixture_key(77, key);
	snprintf(text, sizeof(text), "{\"v\":1,\"key\":\"%s\",\"candidates\":[{\"class\":-5,\"confidence\":9}]}", key);
	CHECK_OK(sl_log_append(f.st.log, "reviews", key, sl_slice_str(text), SL_FOREVER, &err)); /* position REVIEWS */
	fixture_crop(&f, 78);
	review_message(&f, 78);
	add_review(&f, 78, REVIEWS + 1);
	check_finds(&f, "message", "reviews/p0/");
	SL_AUTOJSON json_t *after = fsck(&f, true);
	CHECK_EQ(json_array_size(json_object_get(after, "repaired")), 0);
	CHECK_STATUS(sl_reviews_get(f.st.reviews, key, &r, votes, &n, &err), SL_NOT_FOUND);
	fixture_close(&f);
}
