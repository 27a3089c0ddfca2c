/* SPDX-License-Identifier: Apache-2.0
 *
 * The REST gateways of one store: one request with a deadline, repeated at the next gateway
 * when it fails. Inside hbase/.
 *
 * Owner: the store. Thread: any that may block. Errors: as hbase.h.
 */
#pragma once
#include "net/clients.h"
#include "store/url.h"

enum { SL_GATES_MAX = 16 };

struct sl_gateways;
/* Reads hosts and its options from the URL; connects to nobody. */
enum sl_status sl_gateways_new(struct sl_url *u, struct sl_gateways **ret, struct sl_err *err);
void sl_gateways_free(struct sl_gateways *g); /* NULL is fine */

#define SL_HBASE_JSON "application/json"
struct sl_hbase_ask {
	const char *method, *path; /* path: behind the table's name, with its '/' */
	const char *type; /* of body and answer; NULL: protobuf */
	struct sl_slice body;
	int at; /* 1..: this gateway alone; 0: any */
	bool once; /* each gateway once; else up to the option tries */
	bool any_404; /* no such table is an answer, not an error */
	bool never_twice; /* as in net/client.h */
	int64_t deadline_us; /* 0: timeout_ms from now */
};

/* OK: an answer for the caller to judge, of status 2xx, 304 or 404 in HBase's words (of which one that blames the
 * table is USAGE instead; in other words it is a proxy's: AWAY). ret_at: who answered; may be NULL. */
enum sl_status sl_gateways_ask(
	struct sl_gateways *g, const struct sl_hbase_ask *ask, struct sl_reply *ret, int *ret_at, struct sl_err *err);
/* For an answer that the call does not know: IO with what it was. */
enum sl_status sl_gateways_odd(
	const struct sl_gateways *g, const struct sl_hbase_ask *ask, const struct sl_reply *r, struct sl_err *err);
bool sl_gateways_says(const struct sl_reply *r, const char *what); /* the answer's text has it */
const char *sl_gateways_table(const struct sl_gateways *g);
int sl_gateways_connections(const struct sl_gateways *g);
int64_t sl_gateways_deadline(const struct sl_gateways *g); /* of a call that starts now */
