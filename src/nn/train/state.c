/* SPDX-License-Identifier: Apache-2.0
 *
 * A training as bytes: head, vectors in a fixed order, SHA-256 of all that. Numbers are
 * as this machine keeps them; a head read in the other byte order has no known version.
 */
#include "nn/train/trainer.h"
#include "base/digest.h"
#include "base/mem.h"

enum { STATE_VERSION = 1, VECTORS = 6 };
static const char MAGIC[8] = "SLTRAIN";

struct head {
	char magic[8];
	uint32_t version, vectors;
	int64_t step;
	uint64_t nweight, nstat;
	uint8_t net[SL_SHA256]; /* of names and sizes of all parameters */
};

static void net_digest(const struct sl_plan *p, uint8_t ret[SL_SHA256])
{
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	for (int i = 0; i < p->nparam; i++)
		(void)sl_buf_printf(
			&b, "%s %zu %d\n", p->g->value[p->param[i].value].name, p->param[i].n, p->param[i].is_stat);
	sl_sha256(b.ptr, b.len, ret);
}

static struct head head_of(const struct sl_trainer *t)
{
	struct head h = {.version = STATE_VERSION, .vectors = VECTORS, .step = t->step};
	memcpy(h.magic, MAGIC, sizeof(h.magic));
	h.nweight = t->plan->nweight;
	h.nstat = t->plan->nstat;
	net_digest(t->plan, h.net);
	return h;
}

struct vector {
	float *data;
	size_t n;
};

static void vectors_of(const struct sl_trainer *t, struct vector ret[VECTORS])
{
	size_t nw = t->plan->nweight, ns = t->plan->nstat;
	struct vector all[VECTORS] = {
		{t->weights, nw}, {t->m, nw}, {t->v, nw}, {t->ema, nw}, {t->stats, ns}, {t->ema_stats, ns}};
	memcpy(ret, all, sizeof(all));
}

static size_t state_size(const struct sl_trainer *t)
{
	return sizeof(struct head) + sizeof(float) * (4 * t->plan->nweight + 2 * t->plan->nstat) + SL_SHA256;
}

enum sl_status sl_trainer_save(struct sl_trainer *t, struct sl_buf *ret, struct sl_err *err)
{
	struct head h = head_of(t);
	struct vector all[VECTORS];
	uint8_t digest[SL_SHA256];
	size_t from = ret->len;
	vectors_of(t, all);
	if (sl_buf_reserve(ret, state_size(t)) != SL_OK)
		return sl_fail(err, SL_TOO_LARGE, "the state of a training takes %zu bytes: the buffer has no room",
			state_size(t));
	enum sl_status s = sl_buf_add(ret, &h, sizeof(h));
	for (int i = 0; i < VECTORS && s == SL_OK; i++)
		s = sl_buf_add(ret, all[i].data, sizeof(float) * all[i].n);
	sl_sha256(ret->ptr + from, ret->len - from, digest);
	return s == SL_OK ? sl_buf_add(ret, digest, sizeof(digest)) : s;
}

static enum sl_status check_saved(const struct sl_trainer *t, struct sl_slice in, struct sl_err *err)
{
	struct head want = head_of(t), h;
	uint8_t digest[SL_SHA256];
	if (in.len < sizeof(h) + SL_SHA256 || memcmp(in.ptr, MAGIC, sizeof(MAGIC)) != 0)
		return sl_fail(err, SL_INVALID, "this is not a saved training");
	memcpy(&h, in.ptr, sizeof(h));
	if (h.version != want.version || h.vectors != want.vectors)
		return sl_fail(err, SL_UNSUPPORTED, "saved training of version %u: this build reads version %d",
			h.version, STATE_VERSION);
	sl_sha256(in.ptr, in.len - SL_SHA256, digest);
	if (memcmp(digest, in.ptr + in.len - SL_SHA256, SL_SHA256) != 0)
		return sl_fail(err, SL_CORRUPT, "saved training: its digest does not fit its bytes; take another copy");
	if (memcmp(h.net, want.net, SL_SHA256) != 0 || in.len != state_size(t))
		return sl_fail(err, SL_INVALID, "saved training belongs to another net");
	if (h.step < 0)
		return sl_fail(err, SL_INVALID, "saved training has step %lld", (long long)h.step);
	return SL_OK;
}

enum sl_status sl_trainer_restore(struct sl_trainer *t, struct sl_slice saved, struct sl_err *err)
{
	enum sl_status s = check_saved(t, saved, err);
	if (s != SL_OK)
		return s;
	struct vector all[VECTORS];
	struct head h;
	memcpy(&h, saved.ptr, sizeof(h));
	vectors_of(t, all);
	const uint8_t *at = saved.ptr + sizeof(h);
	for (int i = 0; i < VECTORS; i++) {
		memcpy(all[i].data, at, sizeof(float) * all[i].n);
		at += sizeof(float) * all[i].n;
	}
	t->step = h.step;
	return SL_OK;
}
