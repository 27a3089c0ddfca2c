/* SPDX-License-Identifier: Apache-2.0
 *
 * Which classes a labeler may choose: those of the live bundle, which is the hub's where this
 * process answers frames, or else what alias live points at.
 */
#include "base/log.h"
#include "base/mem.h"
#include "dataset/registry.h"
#include "role/labeling.h"
#include <stdatomic.h>

void sl_classes_unref(struct sl_classes *c)
{
	if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
		return;
	sl_taxonomy_free(c->taxonomy);
	sl_buf_done(&c->json);
	free(c);
}

static void print_taxonomy(struct sl_classes *c)
{
	const struct sl_taxonomy *t = c->taxonomy;
	json_t *list = json_array();
	for (int i = 0; i < t->n; i++) {
		SL_AUTOFREE char *pictogram = sl_asprintf("/pictograms/%s/%s.svg", t->name, t->cls[i].code);
		json_array_append_new(
			list, json_pack("{s:i,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "index", i, "code", t->cls[i].code, "name",
				      t->cls[i].en, "name_ko", t->cls[i].ko, "en", t->cls[i].en, "ko", t->cls[i].ko,
				      "shape", t->cls[i].shape, "pictogram", pictogram));
	}
	SL_AUTOJSON json_t *o = json_pack("{s:s,s:s,s:[s,s,s],s:o}", "name", t->name, "bundle", c->digest, "choices",
		"not_a_sign", "unreadable", "other", "classes", list);
	sl_json_print(o, &c->json);
}

/* t is taken. */
static void set_classes(struct sl_labeling *l, const char *digest, struct sl_taxonomy *t)
{
	struct sl_classes *c = SL_NEW(struct sl_classes);
	c->refs = 1;
	memcpy(c->digest, digest, sizeof(c->digest));
	c->taxonomy = t;
	print_taxonomy(c);
	pthread_mutex_lock(&l->loop.lock);
	struct sl_classes *old = l->classes;
	l->classes = c;
	pthread_mutex_unlock(&l->loop.lock);
	sl_classes_unref(old);
}

static bool has_digest(struct sl_labeling *l, const char *digest)
{
	pthread_mutex_lock(&l->loop.lock);
	bool has = l->classes && !strcmp(l->classes->digest, digest);
	pthread_mutex_unlock(&l->loop.lock);
	return has;
}

static struct sl_taxonomy *copy_of(const struct sl_taxonomy *t)
{
	struct sl_taxonomy *copy = sl_memdup(t, sizeof(*t));
	copy->cls = sl_memdup(t->cls, (size_t)t->n * sizeof(*t->cls));
	return copy;
}

struct sl_classes *sl_labeling_classes(struct sl_labeling *l)
{
	struct sl_bundle *b = sl_hub_bundle(l->ctx.hub);
	if (b && !has_digest(l, b->digest))
		set_classes(l, b->digest, copy_of(b->taxonomy));
	sl_bundle_unref(b);
	pthread_mutex_lock(&l->loop.lock);
	struct sl_classes *c = l->classes;
	if (c)
		atomic_fetch_add(&c->refs, 1);
	pthread_mutex_unlock(&l->loop.lock);
	return c;
}

static enum sl_status read_live(struct sl_labeling *l, struct sl_err *err)
{
	struct sl_taxonomy *t = NULL;
	char digest[SL_DIGEST];
	enum sl_status s = sl_alias_digest(l->ctx.stores.artifacts, SL_ALIAS_LIVE, digest, err);
	if (s != SL_OK || has_digest(l, digest))
		return s;
	s = sl_model_taxonomy(l->ctx.stores.artifacts, digest, &t, err);
	if (s == SL_OK)
		set_classes(l, digest, t);
	return s;
}

void sl_labeling_look(struct sl_labeling *l)
{
	struct sl_err err;
	struct sl_bundle *b = sl_hub_bundle(l->ctx.hub);
	bool has_bundle = b;
	sl_bundle_unref(b);
	if (has_bundle || !sl_is_past(l->looked_us + SL_LABELING_LOOK_MS * 1000))
		return;
	enum sl_status s = read_live(l, &err);
	l->looked_us = sl_mono_us();
	if (s != SL_OK && s != SL_NOT_FOUND)
		sl_log(SL_WARN, "labeling", "cannot read the live bundle's classes", SL_S("error", err.text));
}

bool sl_classes_find(const struct sl_classes *c, const char *text, int *ret)
{
	const struct sl_taxonomy *t = c->taxonomy;
	if (sl_choice_parse(text, t->n, ret))
		return true;
	*ret = sl_taxonomy_find(t, text);
	for (int i = 0; i < t->n && *ret < 0; i++)
		if (!strcmp(t->cls[i].ko, text) || !strcasecmp(t->cls[i].en, text))
			*ret = i;
	return *ret >= 0;
}
