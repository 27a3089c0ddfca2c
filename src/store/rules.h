/* SPDX-License-Identifier: Apache-2.0
 *
 * What a vote or an undo may do to one review, given that review's lines of the vote log:
 * shared by the backends, so that all decide alike. Private to store/. Thread: any.
 */
#pragma once
#include "store/reviews.h"

/* Most lines that a review can get: the last votes of a full log may be undone, and an expert speaks. */
enum { SL_LINES_ROOM = SL_REVIEW_LINES + SL_VOTES_MAX + 1 };

/* The votes that stand after n lines, in order; room for SL_VOTES_MAX. Gives their number. */
int sl_lines_live(const struct sl_vote_line *line, int n, struct sl_vote *ret);
struct sl_verdict sl_lines_verdict(const struct sl_vote_line *line, int n, int cap);

/* May `vote` be added to the n lines? `held`: places that live leases of others keep.
 * OK: ret is the verdict after it, and *ret_again says that it is in the lines already (then
 * ret is what it was answered). CONFLICT with the reason. line has room for n + 1; on OK
 * without *ret_again, line[n] is the new line (its seq, key and time are the caller's). */
enum sl_status sl_lines_vote(struct sl_vote_line *line, int n, int cap, int held, const struct sl_vote *vote,
	bool *ret_again, struct sl_verdict *ret, struct sl_err *err);
/* The same for an undo; the new line repeats the vote that is taken back. */
enum sl_status sl_lines_undo(
	struct sl_vote_line *line, int n, int cap, const char *voter, struct sl_verdict *ret, struct sl_err *err);

/* CORRUPT when the review's verdict does not follow from its lines, or its cap is none. */
enum sl_status sl_history_check(const struct sl_review_history *h, struct sl_err *err);
/* May `here`, a review that is stored, become `h`? CONFLICT with the reason. What is to be added then are
 * the lines from here->n on, and, when here is unsent and h is not, that its label was published. */
enum sl_status sl_history_follows(
	const struct sl_review_history *here, const struct sl_review_history *h, struct sl_err *err);
