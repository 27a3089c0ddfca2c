/* SPDX-License-Identifier: Apache-2.0 */
#include "vision/bundle_info.h"
#include "base/mem.h"
#include <string.h>

enum { FORMAT = 1 };

static const char *const decodes[] = {"center4", "yolov5"};
static const char *const normalizes[] = {"standardize", "unit", "mean_scale"};

static enum sl_status in_range(const char *where, const char *name, double v, double lo, double hi, struct sl_err *err)
{
	if (v >= lo && v <= hi)
		return SL_OK;
	return sl_fail(err, SL_INVALID, "%s: \"%s\" is %g, must be %g to %g", where, name, v, lo, hi);
}

static enum sl_status number(
	json_t *o, const char *where, const char *name, double lo, double hi, double *ret, struct sl_err *err)
{
	enum sl_status s = sl_json_num(o, where, name, ret, err);

	return s ? s : in_range(where, name, *ret, lo, hi, err);
}

/* One number for all channels, or a list of three. */
static enum sl_status channels(
	json_t *o, const char *where, const char *name, double lo, double hi, double ret[3], struct sl_err *err)
{
	json_t *list = json_object_get(o, name);
	enum sl_status s;

	if (!json_is_array(list)) {
		s = number(o, where, name, lo, hi, ret, err);
		ret[1] = ret[2] = ret[0];
		return s;
	}
	if (json_array_size(list) != 3)
		return sl_fail(err, SL_INVALID, "%s: \"%s\" must be a number or [red, green, blue]", where, name);
	for (int c = 0; c < 3; c++) {
		json_t *v = json_array_get(list, c);

		if (!json_is_number(v))
			return sl_fail(
				err, SL_INVALID, "%s: \"%s\" must be a number or [red, green, blue]", where, name);
		ret[c] = json_number_value(v);
		if ((s = in_range(where, name, ret[c], lo, hi, err)))
			return s;
	}
	return SL_OK;
}

static enum sl_status whole(
	json_t *o, const char *where, const char *name, int lo, int hi, int *ret, struct sl_err *err)
{
	int64_t v = 0;
	enum sl_status s = sl_json_int(o, where, name, &v, err);

	if (s == SL_OK)
		s = in_range(where, name, (double)v, lo, hi, err);
	*ret = (int)v;
	return s;
}

static enum sl_status word(
	json_t *o, const char *where, const char *name, const char *const *words, int n, int *ret, struct sl_err *err)
{
	const char *v = NULL;
	enum sl_status s = sl_json_str(o, where, name, &v, err);

	if (s != SL_OK)
		return s;
	for (int i = 0; i < n; i++)
		if (strcmp(words[i], v) == 0) {
			*ret = i;
			return SL_OK;
		}
	return sl_fail(err, SL_INVALID, "%s: \"%s\" is \"%.40s\", which this build does not know", where, name, v);
}

static enum sl_status read_detector(json_t *o, struct sl_bundle_info *b, struct sl_err *err)
{
	static const char where[] = "bundle.json, detector";
	int decode = 0;
	enum sl_status s;

	if ((s = word(o, where, "decode", decodes, SL_COUNT(decodes), &decode, err)) ||
		(s = whole(o, where, "stride", 1, SL_BUNDLE_STRIDE_MAX, &b->stride, err)) ||
		(s = whole(o, where, "max_side", SL_BUNDLE_SIDE_MIN, SL_BUNDLE_SIDE_MAX, &b->max_side, err)) ||
		(s = number(o, where, "mean", -1000, 1000, &b->det_mean, err)) ||
		(s = number(o, where, "scale", 1e-3, 1e4, &b->det_scale, err)) ||
		(s = number(o, where, "threshold", 0, 1, &b->det_threshold, err)))
		return s;
	b->decode = decode;
	return SL_OK;
}

static enum sl_status read_classifier(json_t *o, struct sl_bundle_info *b, struct sl_err *err)
{
	static const char where[] = "bundle.json, classifier";
	int normalize = 0;
	enum sl_status s;

	if ((s = whole(o, where, "size", SL_BUNDLE_CLS_MIN, SL_BUNDLE_CLS_MAX, &b->cls_size, err)) ||
		(s = word(o, where, "normalize", normalizes, SL_COUNT(normalizes), &normalize, err)) ||
		(s = number(o, where, "context", 0.5, 3, &b->cls_context, err)) ||
		(s = number(o, where, "temperature", 0.01, 100, &b->temperature, err)))
		return s;
	b->cls_normalize = normalize;
	for (int c = 0; c < 3; c++) {
		b->cls_mean[c] = 0;
		b->cls_scale[c] = 255;
	}
	if (normalize != SL_NORMALIZE_MEAN_SCALE)
		return SL_OK;
	if ((s = channels(o, where, "mean", -1000, 1000, b->cls_mean, err)))
		return s;
	return channels(o, where, "scale", 1e-3, 1e4, b->cls_scale, err);
}

/* Above 1 no confidence passes: everything of that class goes to people. */
static enum sl_status read_thresholds(json_t *o, struct sl_bundle_info *b, struct sl_err *err)
{
	static const char where[] = "bundle.json, thresholds";
	enum sl_status s = number(o, where, "default", 0, 2, &b->accept, err);
	const char *code;
	json_t *v;

	if (s != SL_OK)
		return s;
	b->by_class = json_object_get(o, "by_class");
	if (b->by_class && !json_is_object(b->by_class))
		return sl_fail(err, SL_INVALID, "%s: \"by_class\" must be an object of class codes", where);
	json_object_foreach(b->by_class, code, v)
	{
		if (!json_is_number(v))
			return sl_fail(err, SL_INVALID, "%s: \"%.40s\" must be a number", where, code);
		if ((s = in_range(where, code, json_number_value(v), 0, 2, err)))
			return s;
	}
	return SL_OK;
}

enum sl_status sl_bundle_info_parse(json_t *info, struct sl_bundle_info *ret, struct sl_err *err)
{
	static const char where[] = "bundle.json";
	enum sl_status s;

	*ret = (struct sl_bundle_info){.created = ""};
	if ((s = sl_json_version(info, where, FORMAT, err)) ||
		(s = sl_json_str(info, where, "name", &ret->name, err)) ||
		(s = sl_json_opt_str(info, where, "created", &ret->created, err)))
		return s;
	if (!*ret->name || strlen(ret->name) >= sizeof(((struct sl_bundle *)0)->name))
		return sl_fail(err, SL_INVALID, "bundle.json: \"name\" must have 1 to 63 bytes");
	if ((s = read_detector(json_object_get(info, "detector"), ret, err)) ||
		(s = read_classifier(json_object_get(info, "classifier"), ret, err)))
		return s;
	return read_thresholds(json_object_get(info, "thresholds"), ret, err);
}
