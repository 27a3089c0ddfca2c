/* SPDX-License-Identifier: Apache-2.0 */
#include "store/rules.h"
#include "base/mem.h"

static int find_voter(const struct sl_vote *v, int n, const char *voter)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(v[i].voter, voter))
			return i;
	return -1;
}

int sl_lines_live(const struct sl_vote_line *line, int n, struct sl_vote *ret)
{
	int live = 0;
	for (int i = 0; i < n; i++) {
		int at = find_voter(ret, live, line[i].vote.voter);
		if (!line[i].undo && at < 0 && live < SL_VOTES_MAX) {
			ret[live++] = line[i].vote;
		} else if (line[i].undo && at >= 0) {
			live--;
			memmove(&ret[at], &ret[at + 1], sizeof(*ret) * (size_t)(live - at));
		}
	}
	return live;
}

struct sl_verdict sl_lines_verdict(const struct sl_vote_line *line, int n, int cap)
{
	struct sl_vote live[SL_VOTES_MAX];
	return sl_verdict_of(live, sl_lines_live(line, n, live), cap);
}

static enum sl_status check_room(
	const struct sl_verdict *now, int n, int cap, int held, const struct sl_vote *v, struct sl_err *err)
{
	if (now->state == SL_REVIEW_DECIDED)
		return sl_fail(err, SL_CONFLICT, "the review is decided already");
	if (v->expert)
		return SL_OK;
	if (n >= SL_REVIEW_LINES)
		return sl_fail(
			err, SL_CONFLICT, "the review was voted on and undone %d times; it waits for an expert", n);
	if (now->state == SL_REVIEW_TIE)
		return sl_fail(err, SL_CONFLICT, "the review is a tie and waits for an expert");
	if (now->votes + held >= cap)
		return sl_fail(err, SL_CONFLICT, "all %d places of the review are taken: %d voted, %d were shown it",
			cap, now->votes, held);
	return SL_OK;
}

enum sl_status sl_lines_vote(struct sl_vote_line *line, int n, int cap, int held, const struct sl_vote *vote,
	bool *ret_again, struct sl_verdict *ret, struct sl_err *err)
{
	for (int i = 0; i < n; i++) {
		const struct sl_vote *v = &line[i].vote;
		if (line[i].undo || strcmp(v->voter, vote->voter) || strcmp(v->id, vote->id))
			continue;
		if (v->choice != vote->choice)
			return sl_fail(err, SL_CONFLICT,
				"vote id %s was used for another choice; a new vote needs a new id", vote->id);
		*ret = sl_lines_verdict(line, i + 1, cap);
		*ret_again = true;
		return SL_OK;
	}
	struct sl_vote live[SL_VOTES_MAX];
	int nlive = sl_lines_live(line, n, live);
	struct sl_verdict now = sl_verdict_of(live, nlive, cap);
	if (now.state != SL_REVIEW_DECIDED && find_voter(live, nlive, vote->voter) >= 0)
		return sl_fail(err, SL_CONFLICT, "%s has voted on this review; take that vote back first", vote->voter);
	enum sl_status s = check_room(&now, n, cap, held, vote, err);
	if (s != SL_OK)
		return s;
	line[n] = (struct sl_vote_line){.vote = *vote};
	*ret = sl_lines_verdict(line, n + 1, cap);
	*ret_again = false;
	return SL_OK;
}

enum sl_status sl_lines_undo(
	struct sl_vote_line *line, int n, int cap, const char *voter, struct sl_verdict *ret, struct sl_err *err)
{
	struct sl_vote live[SL_VOTES_MAX];
	int nlive = sl_lines_live(line, n, live);
	int at = find_voter(live, nlive, voter);
	if (sl_verdict_of(live, nlive, cap).state == SL_REVIEW_DECIDED)
		return sl_fail(err, SL_CONFLICT, "the review is decided already; no vote of it can be taken back");
	if (at < 0)
		return sl_fail(err, SL_CONFLICT, "%s has no vote on this review", voter);
	line[n] = (struct sl_vote_line){.vote = live[at], .undo = true};
	*ret = sl_lines_verdict(line, n + 1, cap);
	return SL_OK;
}

static bool is_same_verdict(const struct sl_verdict *a, const struct sl_verdict *b)
{
	return a->state == b->state && a->votes == b->votes &&
	       (a->state != SL_REVIEW_DECIDED ||
		       (a->choice == b->choice && a->by_expert == b->by_expert && a->agree == b->agree));
}

enum sl_status sl_history_check(const struct sl_review_history *h, struct sl_err *err)
{
	if (h->r.cap < 1 || h->r.cap > SL_CAP_MAX || h->r.ncandidate < 0 || h->r.ncandidate > SL_CANDIDATES)
		return sl_fail(err, SL_CORRUPT, "review %s: its cap of %d or its %d candidates are none", h->r.key,
			h->r.cap, h->r.ncandidate);
	struct sl_verdict v = sl_lines_verdict(h->line, h->n, h->r.cap);
	if (!is_same_verdict(&v, &h->r.verdict) || (h->unsent && v.state != SL_REVIEW_DECIDED))
		return sl_fail(err, SL_CORRUPT, "review %s: its %d vote lines make it %s by %d votes, it says %s by %d",
			h->r.key, h->n, sl_review_state_name(v.state), v.votes,
			sl_review_state_name(h->r.verdict.state), h->r.verdict.votes);
	return SL_OK;
}

static bool is_same_line(const struct sl_vote_line *a, const struct sl_vote_line *b)
{
	const struct sl_vote *v = &a->vote, *w = &b->vote;
	return a->undo == b->undo && v->choice == w->choice && v->expert == w->expert && v->time_ms == w->time_ms &&
	       !strcmp(v->voter, w->voter) && !strcmp(v->id, w->id);
}

static const char *differs_in(const struct sl_review *a, const struct sl_review *b)
{
	for (int i = 0; i < a->ncandidate && a->ncandidate == b->ncandidate; i++)
		if (a->candidate[i].cls != b->candidate[i].cls ||
			a->candidate[i].confidence != b->candidate[i].confidence)
			return "candidates";
	return a->ncandidate != b->ncandidate      ? "candidates"
	       : a->cap != b->cap                  ? "cap"
	       : a->time_ms != b->time_ms          ? "time"
	       : a->opened_ms != b->opened_ms      ? "time it was opened"
	       : strcmp(a->bundle, b->bundle) != 0 ? "bundle"
	       : strcmp(a->frame, b->frame) != 0   ? "frame"
	       : strcmp(a->device, b->device) != 0 ? "device"
						   : NULL;
}

enum sl_status sl_history_follows(
	const struct sl_review_history *here, const struct sl_review_history *h, struct sl_err *err)
{
	const char *other = differs_in(&here->r, &h->r);
	if (other)
		return sl_fail(err, SL_CONFLICT, "review %s is here already, with another %s", h->r.key, other);
	for (int i = 0; i < here->n; i++)
		if (i >= h->n || !is_same_line(&here->line[i], &h->line[i]))
			return sl_fail(err, SL_CONFLICT,
				"review %s is here already, with %d vote lines; line %d is not the source's", h->r.key,
				here->n, i + 1);
	if (here->r.verdict.state == SL_REVIEW_DECIDED && !here->unsent && h->unsent)
		return sl_fail(err, SL_CONFLICT,
			"review %s: its label was published from here, but not from the source", h->r.key);
	return SL_OK;
}
