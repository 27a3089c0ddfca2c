/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of the alias log: which model was live when, and who said so.
 *
 * An alias ("live", "candidate") is a log of entries 1, 2, 3, ... Each is an object
 * aliases/<alias>/<n, 10 digits>.json that is created only if absent, so of two writers
 * one wins and the other reads again. Replaying the entries gives a stack: publish puts a
 * digest on it, rollback takes the top one off; what is on top is in service. Thus a second
 * rollback goes back one more, and publishing the old one again is a new entry.
 *
 * Owner: the caller. Thread: any. Times in ms since 1970.
 */
#pragma once
#include "base/digest.h"
#include "base/json.h"

enum { SL_ALIAS = 33, SL_ALIAS_WHO = 64, SL_ALIAS_NOTE = 1000, SL_ALIAS_PATH = 201 };

enum sl_alias_action { SL_ALIAS_PUBLISH, SL_ALIAS_ROLLBACK };

struct sl_alias_entry {
	int64_t n; /* 1, 2, ... */
	char alias[SL_ALIAS];
	char digest[SL_HEX_SHA256];
	char previous[SL_HEX_SHA256]; /* in service before; "" for the first */
	enum sl_alias_action action;
	bool forced; /* published against the gate's word */
	char by[SL_ALIAS_WHO];
	char note[SL_ALIAS_NOTE];
	int64_t time_ms;
};

bool sl_alias_is_valid(const char *alias); /* 1..32 letters, digits, '_', '-' */
void sl_alias_path(char ret[SL_ALIAS_PATH], const char *alias, int64_t n);
int64_t sl_alias_path_number(const char *path); /* 0 when it is none */
void sl_bundle_path(char ret[SL_ALIAS_PATH], const char *digest); /* bundles/<sha256>.bundle */
const char *sl_alias_action_name(enum sl_alias_action a);

json_t *sl_alias_json(const struct sl_alias_entry *e);
/* INVALID, UNSUPPORTED ("v"); where names the object. */
enum sl_status sl_alias_parse(json_t *v, const char *where, struct sl_alias_entry *ret, struct sl_err *err);

/* What is in service after entries e[0..n), in order; "" for nothing. */
void sl_alias_live(const struct sl_alias_entry *e, int n, char ret[SL_HEX_SHA256]);
/* Fills n, alias, digest, previous, action of the entry that comes next. EXISTS when digest
 * is in service already; rollback: digest NULL. */
enum sl_status sl_alias_next(const struct sl_alias_entry *e, int n, const char *alias, const char *digest,
	struct sl_alias_entry *ret, struct sl_err *err);
/* Numbers 1..n without a hole, and each previous and rollback as the replay says. CORRUPT
 * names the first entry that is not. */
enum sl_status sl_alias_check(const struct sl_alias_entry *e, int n, struct sl_err *err);
