/* SPDX-License-Identifier: Apache-2.0
 *
 * Matching of request targets against path patterns: literal parts, {name} for one part,
 * a trailing {name...} for the rest. Literal beats {name} beats {name...}, whatever the
 * order they were added in. One trailing '/' of a target is ignored.
 *
 * Owner: the caller. Thread: adding from one, matching from any. Errors: INVALID for a
 * target that cannot be decoded (bad %XX, %00), TOO_LARGE past ROUTER_TARGET.
 */
#pragma once
#include "base/buf.h"

enum { ROUTER_PARTS = 16, ROUTER_PARAMS = 8, ROUTER_TARGET = 8192 };

struct sl_router;

struct sl_router *sl_router_new(void);
void sl_router_free(struct sl_router *t);
/* method: "GET|POST"; SL_BUG on a wrong pattern or on one that equals another's. `value` is given back by match. */
void sl_router_add(struct sl_router *t, const char *method, const char *pattern, void *value);

struct sl_router_param {
	const char *name, *value; /* name is the pattern's, value is in the target's text */
};

/* A target in pieces: path parts and query, decoded. done() frees it. */
struct sl_router_target {
	char *path; /* as sent, without the query */
	char *text; /* decoded parts, each ends in NUL */
	char *query; /* undecoded; NULL when there is none */
	char *part[ROUTER_PARTS];
	size_t rest[ROUTER_PARTS]; /* where in path the part begins */
	int n;
};
enum sl_status sl_router_target_parse(const char *raw, struct sl_router_target *ret, struct sl_err *err);
void sl_router_target_done(struct sl_router_target *t);

struct sl_router_match {
	void *value; /* NULL: no route */
	bool other_method; /* the path exists with another method: see allow */
	char allow[64]; /* "GET, HEAD, POST" */
	struct sl_router_param param[ROUTER_PARAMS];
	int nparam;
};
/* HEAD matches routes of GET alone. Values live as long as t. */
void sl_router_match(
	const struct sl_router *r, const char *method, struct sl_router_target *t, struct sl_router_match *ret);

/* In place: %XX, and '+' as a blank when `plus`. false on a bad escape or a NUL byte. */
bool sl_router_unescape(char *s, bool plus);
