/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the role labeling share. The role gives reviews to people, takes their
 * votes, and publishes what was decided. Thread: routes run on the server's workers; one
 * thread of its own publishes, drops expired leases and looks for a new taxonomy.
 */
#pragma once
#include "base/loop.h"
#include "role/role.h"

enum {
	SL_LABELING_PAGE = 500, /* reviews or labels a request gets at most */
	SL_LABELING_SEND = 200, /* labels published in one append */
	SL_LABELING_TURN_MS = 1000, /* between looks at leases and outbox when nobody voted */
	SL_LABELING_LOOK_MS = 5000, /* between looks at the alias, where this process has no bundle */
	SL_LABELING_SEND_MS = 5000, /* for one append */
};

/* The sign classes now, immutable and counted. */
struct sl_classes {
	_Atomic int refs;
	char digest[SL_DIGEST]; /* of the bundle they are from */
	struct sl_taxonomy *taxonomy;
	struct sl_buf json; /* answer of GET /v1/taxonomy */
};

struct sl_labeling {
	struct sl_context ctx;
	struct sl_loop loop; /* woken when a verdict waits to be published */
	struct sl_classes *classes; /* under loop.lock; NULL before the first bundle */
	int64_t looked_us;
	struct sl_metric *counted, *conflicts, *undone, *leased, *verdicts[2], *sent, *failed;
};

/* labeling_classes.c: a reference (let go with unref), or NULL before the first bundle. */
struct sl_classes *sl_labeling_classes(struct sl_labeling *l);
void sl_classes_unref(struct sl_classes *c); /* NULL is fine */
void sl_labeling_look(struct sl_labeling *l); /* blocks: reads the bundle that alias live points at, if it is another */
/* Class or sl_choice that `text` names: index, code, English or Korean name, or a word such as not_a_sign. */
bool sl_classes_find(const struct sl_classes *c, const char *text, int *ret);

/* labeling_json.c; c may be NULL */
json_t *sl_review_json(const struct sl_classes *c, const struct sl_review *r); /* without votes */
json_t *sl_votes_json(const struct sl_vote *v, int n);
json_t *sl_verdict_json(const struct sl_classes *c, const char *key, const struct sl_verdict *v);

/* labeling_out.c */
void sl_labeling_work(void *arg);
/* Counts, tells the hub and wakes the publisher; after every vote that was taken. */
void sl_labeling_voted(struct sl_labeling *l, const char *key, const struct sl_verdict *v);

/* labeling_labels.c */
void sl_labeling_get_labels(struct sl_request *r, void *arg);

extern const struct sl_route sl_labeling_routes[], sl_labeling_legacy_routes[];
