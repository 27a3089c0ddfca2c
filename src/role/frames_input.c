/* SPDX-License-Identifier: Apache-2.0
 *
 * What a sender sends: the picture as the body itself, as a part of a form, or as base64
 * in JSON; what is known about it in the query, as fields of the form, or as members.
 */
#include "base/digest.h"
#include "base/mem.h"
#include "role/frames.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <strings.h>

enum { META_TEXT = 64 };

static enum sl_status wrong(struct sl_err *err, const char *name, const char *value, const char *wanted)
{
	return sl_fail(err, SL_INVALID, "\"%s\" is \"%.60s\"; it must be %s", name, value, wanted);
}

static enum sl_status take_number(
	const char *name, const char *value, double lo, double hi, double *ret, struct sl_err *err)
{
	char *end;
	double v = strtod(value, &end);

	if (end == value || *end || !(v >= lo && v <= hi))
		return sl_fail(
			err, SL_INVALID, "\"%s\" is \"%.60s\"; it must be a number from %g to %g", name, value, lo, hi);
	*ret = v;
	return SL_OK;
}

/* Milliseconds since 1970, or RFC 3339 in UTC. */
static enum sl_status take_time(const char *value, int64_t *ret, struct sl_err *err)
{
	struct tm tm = {0};
	char *end;
	errno = 0;
	long long ms = strtoll(value, &end, 10);

	if (end != value && !*end && !errno && ms >= 0) {
		*ret = ms;
		return SL_OK;
	}
	const char *rest = strptime(value, "%Y-%m-%dT%H:%M:%S", &tm);
	double part = 0;
	if (rest && *rest == '.') {
		part = strtod(rest, &end);
		rest = end;
	}
	if (!rest || (strcmp(rest, "Z") != 0 && strcmp(rest, "+00:00") != 0) || !(part >= 0 && part < 1))
		return wrong(err, "time", value, "ms since 1970, or a time in UTC like 2026-01-31T12:00:00.5Z");
	*ret = (int64_t)timegm(&tm) * 1000 + (int64_t)(part * 1000 + 0.5);
	return SL_OK;
}

static enum sl_status take_name(const char *name, const char *value, char ret[META_TEXT], struct sl_err *err)
{
	if (!sl_name_is_valid(value))
		return wrong(err, name, value, "1 to 63 letters, digits or \". _ - @\"");
	snprintf(ret, META_TEXT, "%s", value);
	return SL_OK;
}

static enum sl_status take_member(struct sl_frame_meta *m, const char *name, const char *value, struct sl_err *err)
{
	enum sl_status s;

	if (strcmp(name, "device") == 0)
		return take_name(name, value, m->device, err);
	if (strcmp(name, "frame") == 0)
		return take_name(name, value, m->id, err);
	if (strcmp(name, "sequence") == 0)
		return take_name(name, value, m->sequence, err);
	if (strcmp(name, "time") == 0)
		return take_time(value, &m->time_ms, err);
	if (strcmp(name, "lat") == 0)
		return take_number(name, value, -90, 90, &m->lat, err);
	if (strcmp(name, "lon") == 0)
		return take_number(name, value, -180, 180, &m->lon, err);
	if (strcmp(name, "heading") == 0) {
		s = take_number(name, value, 0, 360, &m->heading, err);
		m->has_heading = s == SL_OK;
		return s;
	}
	return SL_OK;
}

static const char *const names[] = {"device", "frame", "sequence", "time", "lat", "lon", "heading"};

static enum sl_status read_query(struct sl_job *j, struct sl_err *err)
{
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		const char *v = sl_request_query(j->request, names[i]);
		enum sl_status s = v ? take_member(&j->meta, names[i], v, err) : SL_OK;
		if (s != SL_OK)
			return s;
	}
	return SL_OK;
}

static enum sl_status read_member(struct sl_job *j, const char *name, json_t *v, struct sl_err *err)
{
	char number[40];

	if (json_is_null(v))
		return SL_OK;
	if (json_is_string(v))
		return take_member(&j->meta, name, json_string_value(v), err);
	if (!json_is_number(v))
		return sl_fail(err, SL_INVALID, "\"%s\" must be a string or a number", name);
	if (json_is_integer(v))
		snprintf(number, sizeof number, "%lld", (long long)json_integer_value(v));
	else
		snprintf(number, sizeof number, "%.17g", json_real_value(v));
	return take_member(&j->meta, name, number, err);
}

static enum sl_status decode_image(struct sl_job *j, struct sl_slice text, struct sl_err *err)
{
	/* "data:image/jpeg;base64,": what browsers make of a canvas */
	const uint8_t *comma =
		text.len > 5 && memcmp(text.ptr, "data:", 5) == 0 ? memchr(text.ptr, ',', SL_MIN(text.len, 100)) : NULL;

	if (comma)
		text = sl_slice(comma + 1, text.len - (size_t)(comma + 1 - text.ptr));
	j->decoded.cap = j->f->max_bytes;
	enum sl_status s = sl_base64_decode(text, &j->decoded, err);
	j->image = sl_buf_slice(&j->decoded);
	return s == SL_OK ? s : sl_prefix(err, s, "\"image\"");
}

static size_t skip_blanks(struct sl_slice s, size_t at)
{
	while (at < s.len && strchr(" \t\r\n", s.ptr[at]) && s.ptr[at])
		at++;
	return at;
}

/* A picture in base64 is nearly all of its JSON and needs no JSON parser: takes the text of
 * the first "image" out of the body and leaves IMAGE_MARK in its place. Whoever parses the
 * rest and finds the mark there knows that it was the member meant. */
#define IMAGE_MARK "@"
static bool cut_image(struct sl_slice body, struct sl_buf *ret_rest, struct sl_slice *ret_image)
{
	const uint8_t *name = body.len ? memmem(body.ptr, body.len, "\"image\"", 7) : NULL;
	size_t at = name ? skip_blanks(body, (size_t)(name - body.ptr) + 7) : body.len;

	if (at >= body.len || body.ptr[at] != ':')
		return false;
	at = skip_blanks(body, at + 1) + 1;
	if (at >= body.len || body.ptr[at - 1] != '"')
		return false;
	const uint8_t *end = memchr(body.ptr + at, '"', body.len - at);
	if (!end || memchr(body.ptr + at, '\\', (size_t)(end - body.ptr) - at))
		return false; /* an escape: for the parser */
	*ret_image = sl_slice(body.ptr + at, (size_t)(end - body.ptr) - at);
	return sl_buf_add(ret_rest, body.ptr, at) == SL_OK && sl_buf_puts(ret_rest, IMAGE_MARK) == SL_OK &&
	       sl_buf_add(ret_rest, end, body.len - (size_t)(end - body.ptr)) == SL_OK;
}

static enum sl_status read_json(struct sl_job *j, struct sl_err *err)
{
	SL_AUTOJSON json_t *o = NULL;
	SL_AUTO(sl_buf_done) struct sl_buf rest = {0};
	struct sl_slice body = sl_request_body(j->request), image = {0};
	bool cut = cut_image(body, &rest, &image);
	enum sl_status s = sl_json_parse(cut ? sl_buf_slice(&rest) : body, "body", &o, err);

	if (s == SL_OK && cut && strcmp(IMAGE_MARK, json_string_value(json_object_get(o, "image")) ?: "") != 0) {
		json_decref(o); /* another "image" than the one at the top */
		o = NULL;
		cut = false;
		s = sl_json_parse(body, "body", &o, err);
	}
	if (s != SL_OK)
		return s;
	json_t *v = json_object_get(o, "image");
	if (!json_is_string(v))
		return sl_fail(err, SL_INVALID, "body: \"image\" is missing; it must be the picture as base64");
	for (size_t i = 0; i < SL_COUNT(names); i++) {
		json_t *m = json_object_get(o, names[i]);
		if (m && (s = read_member(j, names[i], m, err)) != SL_OK)
			return s;
	}
	return decode_image(j, cut ? image : sl_slice(json_string_value(v), json_string_length(v)), err);
}

static bool is_picture(const struct sl_part *p)
{
	return p->filename || strcmp(p->name, "image") == 0 || strcmp(p->name, "file") == 0;
}

static enum sl_status read_form(struct sl_job *j, struct sl_err *err)
{
	const struct sl_part *part = NULL;
	int n = 0, pictures = 0;
	enum sl_status s = sl_request_form(j->request, &part, &n, err);

	for (int i = 0; i < n && s == SL_OK; i++) {
		if (is_picture(&part[i])) {
			j->image = part[i].body;
			pictures++;
			continue;
		}
		char value[META_TEXT * 2];
		if (part[i].body.len >= sizeof value)
			continue; /* none of ours is that long */
		if (part[i].body.len && memchr(part[i].body.ptr, 0, part[i].body.len))
			return sl_fail(err, SL_INVALID, "field \"%.60s\" of the form has a NUL in it", part[i].name);
		snprintf(value, sizeof value, "%.*s", (int)part[i].body.len, (const char *)part[i].body.ptr);
		s = take_member(&j->meta, part[i].name, value, err);
	}
	if (s == SL_OK && pictures != 1)
		return sl_fail(err, SL_INVALID, "the form has %d files; one is wanted, as field \"image\"", pictures);
	return s;
}

static bool starts(struct sl_slice s, const char *magic, size_t n)
{
	return s.len >= n && memcmp(s.ptr, magic, n) == 0;
}

static bool is_jpeg_or_png(struct sl_slice s)
{
	return starts(s, "\xff\xd8\xff", 3) || starts(s, "\x89PNG\r\n\x1a\n", 8);
}

/* Another kind of picture is the wrong type; anything else is no picture at all. */
static enum sl_status check_picture(struct sl_slice s, struct sl_err *err)
{
	if (is_jpeg_or_png(s))
		return SL_OK;
	if (starts(s, "GIF8", 4) || starts(s, "BM", 2) || starts(s, "II*\0", 4) || starts(s, "MM\0*", 4) ||
		(s.len > 12 && (memcmp(s.ptr + 8, "WEBP", 4) == 0 || memcmp(s.ptr + 4, "ftyp", 4) == 0)))
		return sl_fail(err, SL_UNSUPPORTED, "the picture is neither JPEG nor PNG");
	return sl_fail(err, SL_UNREADABLE,
		s.len ? "the body is no picture: neither JPEG nor PNG by its first bytes" : "the picture is empty");
}

static bool is_type(const char *type, const char *want)
{
	size_t n = strlen(want);

	return strncasecmp(type, want, n) == 0 && (!type[n] || type[n] == ';' || type[n] == ' ');
}

static enum sl_status read_body(struct sl_job *j, struct sl_err *err)
{
	const char *type = sl_request_header(j->request, "Content-Type");

	/* Without a type, or with the one curl --data-binary sends, the bytes speak for themselves. */
	if (!type || is_type(type, "application/octet-stream") || is_type(type, "application/x-www-form-urlencoded")) {
		struct sl_slice body = sl_request_body(j->request);
		if (body.len && (body.ptr[0] == '{' || j->reply != SL_REPLY_V1))
			return read_json(j, err);
		type = "image/jpeg";
	}
	if (is_type(type, "image/jpeg") || is_type(type, "image/jpg") || is_type(type, "image/png")) {
		j->image = sl_request_body(j->request);
		return SL_OK;
	}
	if (is_type(type, "application/json"))
		return read_json(j, err);
	if (is_type(type, "multipart/form-data"))
		return read_form(j, err);
	return sl_fail(err, SL_UNSUPPORTED,
		"Content-Type \"%.60s\"; wanted is image/jpeg, image/png, multipart/form-data or application/json",
		type);
}

enum sl_status sl_frame_read(struct sl_job *j, struct sl_err *err)
{
	enum sl_status s;

	j->meta.time_ms = sl_now_ms();
	j->meta.lat = j->meta.lon = NAN;
	if ((s = read_query(j, err)) || (s = read_body(j, err)) || (s = check_picture(j->image, err)))
		return s;
	j->meta.has_place = !isnan(j->meta.lat) && !isnan(j->meta.lon);
	if (isnan(j->meta.lat) != isnan(j->meta.lon))
		return sl_fail(err, SL_INVALID, "\"lat\" and \"lon\" go together");
	return SL_OK;
}
