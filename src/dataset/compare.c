/* SPDX-License-Identifier: Apache-2.0 */
#include "dataset/compare.h"
#include "base/clock.h"
#include "base/mem.h"
#include "vision/pipeline.h"
#include <stdio.h>

enum { FORMAT = 1, CROP_PIXELS = 4096 * 4096 };

static struct sl_gate_rules rules_of(const struct sl_config *cfg)
{
	return (struct sl_gate_rules){.rows = (int)sl_config_int(cfg, "gate.rows"),
		.class_rows = (int)sl_config_int(cfg, "gate.class_rows"),
		.alpha = sl_config_num(cfg, "gate.alpha"),
		.loss = sl_config_num(cfg, "gate.loss"),
		.class_loss = sl_config_num(cfg, "gate.class_loss")};
}

/* Classes are compared by code: two bundles may number them differently. */
struct codes {
	json_t *index; /* code to number */
	const char **name;
	int n;
};

struct work {
	struct sl_pipeline *pipeline;
	struct sl_bundle *candidate, *live;
	struct codes codes;
	int *truth, *cand_says, *live_says;
	int n, room;
};

static void work_done(struct work *w)
{
	sl_pipeline_free(w->pipeline);
	json_decref(w->codes.index);
	free(w->codes.name);
	free(w->truth);
	free(w->cand_says);
	free(w->live_says);
}

static int number_of(struct codes *c, const char *code)
{
	json_t *v = json_object_get(c->index, code);
	if (v)
		return (int)json_integer_value(v);
	json_object_set_new(c->index, code, json_integer(c->n));
	c->name = sl_realloc(c->name, (size_t)c->n + 1, sizeof(*c->name));
	c->name[c->n] = json_object_iter_key(json_object_iter_at(c->index, code));
	return c->n++;
}

static const char *code_of(void *arg, int cls)
{
	return ((struct codes *)arg)->name[cls];
}

static enum sl_status answer(
	struct work *w, struct sl_bundle *b, const struct sl_image *im, struct sl_box roi, int *ret, struct sl_err *err)
{
	struct sl_candidate c[SL_CANDIDATES];
	int n = 0;
	enum sl_status s = sl_pipeline_classify(w->pipeline, b, im, roi, c, &n, err);
	if (s == SL_OK)
		*ret = n ? number_of(&w->codes, b->taxonomy->cls[c[0].cls].code) : -1;
	return s;
}

static struct sl_box roi_of(json_t *row, const struct sl_image *im)
{
	json_t *roi = json_object_get(row, "roi");
	float v[4] = {0, 0, (float)im->w, (float)im->h};
	if (json_array_size(roi) == 4)
		for (int i = 0; i < 4; i++)
			v[i] = (float)json_number_value(json_array_get(roi, (size_t)i));
	return (struct sl_box){v[0], v[1], v[2], v[3]};
}

static enum sl_status compare_row(const struct sl_version_row *row, void *arg, struct sl_err *err)
{
	struct work *w = arg;
	SL_AUTO(sl_image_done) struct sl_image im = {0};
	if (w->n == w->room) {
		w->room = w->room ? 2 * w->room : 256;
		w->truth = sl_realloc(w->truth, (size_t)w->room, sizeof(int));
		w->cand_says = sl_realloc(w->cand_says, (size_t)w->room, sizeof(int));
		w->live_says = sl_realloc(w->live_says, (size_t)w->room, sizeof(int));
	}
	enum sl_status s = sl_image_decode(row->jpeg, CROP_PIXELS, &im, err);
	struct sl_box roi = roi_of(row->json, &im);
	if (s == SL_OK)
		s = answer(w, w->candidate, &im, roi, &w->cand_says[w->n], err);
	if (s == SL_OK)
		s = answer(w, w->live, &im, roi, &w->live_says[w->n], err);
	if (s != SL_OK)
		return sl_prefix(err, s, "%s", row->label.key);
	w->truth[w->n++] = number_of(&w->codes, row->label.code);
	return SL_OK;
}

static json_t *classes_json(const struct work *w)
{
	json_t *all = json_object();
	for (int c = 0; c < w->codes.n; c++) {
		int rows = 0, cand = 0, live = 0;
		for (int i = 0; i < w->n; i++) {
			rows += w->truth[i] == c;
			cand += w->truth[i] == c && w->cand_says[i] == c;
			live += w->truth[i] == c && w->live_says[i] == c;
		}
		if (rows)
			json_object_set_new(all, w->codes.name[c],
				json_pack("{s:i,s:i,s:i}", "rows", rows, "candidate", cand, "live", live));
	}
	return all;
}

static void path_of(
	char ret[SL_PATH], const struct sl_bundle *candidate, const struct sl_bundle *live, const char *version)
{
	snprintf(ret, SL_PATH, "evaluations/%s-%s-%.12s.json", candidate->digest, version, live->digest);
}

static json_t *rules_json(const struct sl_gate_rules *r)
{
	return json_pack("{s:i,s:i,s:f,s:f,s:f}", "rows", r->rows, "class_rows", r->class_rows, "alpha", r->alpha,
		"loss", r->loss, "class_loss", r->class_loss);
}

/* The same two bundles on the same version by the same rules: the answer of the last time. */
static bool is_known(struct sl_artifacts *a, const char *path, const struct sl_gate_rules *rules, json_t **ret)
{
	SL_AUTOJSON json_t *want = rules_json(rules);
	json_t *v = NULL;
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTOJSON json_t *printed = NULL;
	sl_json_print(want, &text); /* as stored: numbers to so many digits */
	if (sl_json_parse(sl_buf_slice(&text), "rules", &printed, NULL) != SL_OK ||
		sl_object_get(a, path, &v, NULL) != SL_OK)
		return false;
	if (json_equal(json_object_get(v, "rules"), printed)) {
		*ret = v;
		return true;
	}
	json_decref(v);
	return false;
}

/* One by other rules stays: the first is kept. */
static enum sl_status store(struct sl_artifacts *a, json_t *v, const char *path, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	sl_json_print(v, &text);
	enum sl_status s = sl_artifacts_put(a, path, sl_buf_slice(&text), err);
	return s == SL_EXISTS ? SL_OK : s;
}

static enum sl_status run(struct work *w, struct sl_artifacts *a, json_t *manifest, struct sl_err *err)
{
	enum sl_status s = sl_pipeline_selftest(w->pipeline, w->candidate, err);
	if (s != SL_OK)
		return sl_prefix(err, s, "self-test of the candidate");
	return sl_version_each(a, manifest, 1u << SL_DEAL_HELDOUT, compare_row, w, err);
}

enum sl_status sl_compare(struct sl_artifacts *a, const struct sl_config *cfg, struct sl_bundle *candidate,
	struct sl_bundle *live, bool same_detector, const char *version, bool *ret_passed, json_t **ret,
	struct sl_err *err)
{
	SL_AUTO(work_done)
	struct work w = {
		.pipeline = sl_pipeline_new(), .candidate = candidate, .live = live, .codes = {.index = json_object()}};
	SL_AUTOJSON json_t *manifest = NULL;
	struct sl_gate_rules rules = rules_of(cfg);
	struct sl_gate_result r;
	char path[SL_PATH];
	enum sl_status s = sl_version_get(a, version, &manifest, err);
	if (s != SL_OK)
		return s;
	const char *name = json_string_value(json_object_get(manifest, "version"));
	path_of(path, candidate, live, name);
	if (is_known(a, path, &rules, ret)) {
		*ret_passed = json_is_true(json_object_get(json_object_get(*ret, "gate"), "passed"));
		return SL_OK;
	}
	s = run(&w, a, manifest, err);
	if (s != SL_OK)
		return s;
	sl_gate_judge(w.truth, w.cand_says, w.live_says, w.n, w.codes.n, &rules, code_of, &w.codes, &r);
	if (r.passed && !same_detector) {
		r.passed = false;
		snprintf(r.text, sizeof(r.text),
			"the classifier is not worse, but the detector is another one and crops cannot "
			"judge it: compare both by 'signloop eval detector', then publish with force");
	}
	SL_AUTOJSON json_t *v = json_pack("{s:i,s:s,s:s,s:s,s:O,s:I,s:o,s:o,s:s,s:o}", "v", FORMAT, "candidate",
		candidate->digest, "live", live->digest, "version", name, "version_sha256",
		json_object_get(manifest, "sha256"), "time", (json_int_t)sl_now_ms(), "rules", rules_json(&rules),
		"gate", sl_gate_json(&r), "detector", same_detector ? "same" : "differs", "classes", classes_json(&w));
	s = store(a, v, path, err);
	if (s != SL_OK)
		return s;
	*ret_passed = r.passed;
	*ret = SL_TAKE(v);
	return SL_OK;
}
