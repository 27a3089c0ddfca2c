/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of reviews and votes: pure functions that every review store applies inside
 * its one atomic step, so that all stores decide alike.
 *
 * A review takes at most `cap` votes, one a voter. It is decided as soon as the votes
 * still to come cannot change the majority (so 6 of 10 decide), or at the cap; equal
 * leaders at the cap make a tie, which waits for an expert. An expert's choice decides
 * at once, over any votes, and stands beside them: it needs no place under the cap and is
 * not counted in `votes` and `agree`. A decided review takes no vote.
 * Thread: any.
 */
#pragma once
#include "core/key.h"

/* Choices that are no class. */
enum sl_choice { SL_CHOICE_NOT_A_SIGN = -1, SL_CHOICE_UNREADABLE = -2, SL_CHOICE_OTHER = -3 };

enum { SL_CAP_MAX = 100, SL_VOTES_MAX = SL_CAP_MAX + 1, SL_VOTER = 64, SL_VOTE_ID = 64 }; /* + 1: the expert's */

enum sl_review_state { SL_REVIEW_OPEN, SL_REVIEW_TIE, SL_REVIEW_DECIDED };

struct sl_vote {
	char voter[SL_VOTER], id[SL_VOTE_ID];
	int choice; /* class index or sl_choice */
	bool expert;
	int64_t time_ms;
};

struct sl_verdict {
	enum sl_review_state state;
	int choice; /* when decided */
	bool by_expert;
	int votes, agree; /* votes counted (at most cap); votes for the choice */
};

/* What a model took a crop for; best first, calibrated. */
enum { SL_CANDIDATES = 5 };
struct sl_candidate {
	int cls;
	float confidence;
};

/* A crop that waits for people, or waited. */
struct sl_review {
	char key[SL_KEY];
	struct sl_candidate candidate[SL_CANDIDATES];
	int ncandidate;
	char bundle[65], frame[SL_FRAME_ID], device[SL_VOTER];
	int64_t time_ms; /* of the frame */
	int64_t opened_ms; /* the store's */
	int cap; /* to a store's add(): 0 takes the setting's */
	struct sl_verdict verdict;
	int64_t lease_until_ms; /* set by a store's lease() */
};

/* votes in the order they came; n <= SL_VOTES_MAX, 1 <= cap <= SL_CAP_MAX. What stands
 * after the deciding vote is not counted. */
struct sl_verdict sl_verdict_of(const struct sl_vote *votes, int n, int cap);
/* "0".."n", "not_a_sign", "unreadable", "other"; false for anything else or index >= classes. */
bool sl_choice_parse(const char *text, int classes, int *ret);
const char *sl_choice_text(int choice, char buf[12]);
/* "open", "tie", "decided"; "damaged" for what is none, as a damaged row may say. */
const char *sl_review_state_name(enum sl_review_state s);
/* 1..63 characters of letters, digits and ". _ - @": a voter, vote id or device. */
bool sl_name_is_valid(const char *s);
