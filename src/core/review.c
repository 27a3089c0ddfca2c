/* SPDX-License-Identifier: Apache-2.0 */
#include "core/review.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tally {
	int choice[SL_CAP_MAX], count[SL_CAP_MAX];
	int n, votes;
};

static int count_of(const struct tally *t, int choice)
{
	for (int i = 0; i < t->n; i++)
		if (t->choice[i] == choice)
			return t->count[i];
	return 0;
}

static void count(struct tally *t, int choice)
{
	int i = 0;
	while (i < t->n && t->choice[i] != choice)
		i++;
	if (i == t->n) {
		t->choice[t->n] = choice;
		t->count[t->n++] = 0;
	}
	t->count[i]++;
	t->votes++;
}

/* The leader wins once the votes that may still come cannot bring the second level with it:
 * a draw would take the decision away just as a defeat would. */
static struct sl_verdict judge(const struct tally *t, int cap)
{
	int first = 0, second = 0, leader = 0;
	for (int i = 0; i < t->n; i++) {
		if (t->count[i] > first) {
			second = first;
			first = t->count[i];
			leader = t->choice[i];
		} else if (t->count[i] > second) {
			second = t->count[i];
		}
	}
	int left = cap - t->votes;
	if (first > second + left)
		return (struct sl_verdict){SL_REVIEW_DECIDED, leader, false, t->votes, first};
	return (struct sl_verdict){left ? SL_REVIEW_OPEN : SL_REVIEW_TIE, 0, false, t->votes, 0};
}

struct sl_verdict sl_verdict_of(const struct sl_vote *votes, int n, int cap)
{
	SL_ASSERT(cap >= 1 && cap <= SL_CAP_MAX && n >= 0 && n <= SL_VOTES_MAX);
	struct tally t = {0};
	struct sl_verdict v = {SL_REVIEW_OPEN, 0, false, 0, 0};
	for (int i = 0; i < n && v.state != SL_REVIEW_DECIDED; i++) {
		if (votes[i].expert)
			return (struct sl_verdict){
				SL_REVIEW_DECIDED, votes[i].choice, true, t.votes, count_of(&t, votes[i].choice)};
		if (v.state == SL_REVIEW_TIE)
			continue; /* full: only an expert counts now */
		count(&t, votes[i].choice);
		v = judge(&t, cap);
	}
	return v;
}

static const struct {
	const char *text;
	int choice;
} words[] = {{"not_a_sign", SL_CHOICE_NOT_A_SIGN}, {"unreadable", SL_CHOICE_UNREADABLE}, {"other", SL_CHOICE_OTHER}};

enum { WORDS = sizeof(words) / sizeof(*words), DIGITS = 6 };

bool sl_choice_parse(const char *text, int classes, int *ret)
{
	for (int i = 0; i < WORDS; i++)
		if (!strcmp(text, words[i].text)) {
			*ret = words[i].choice;
			return true;
		}
	size_t n = strspn(text, "0123456789");
	if (!n || n > DIGITS || text[n] || (text[0] == '0' && n > 1) || atoi(text) >= classes)
		return false;
	*ret = atoi(text);
	return true;
}

const char *sl_choice_text(int choice, char buf[12])
{
	for (int i = 0; i < WORDS; i++)
		if (choice == words[i].choice)
			return words[i].text;
	snprintf(buf, 12, "%d", choice);
	return buf;
}

const char *sl_review_state_name(enum sl_review_state s)
{
	static const char *const name[] = {"open", "tie", "decided"};
	return (unsigned)s < sizeof(name) / sizeof(*name) ? name[s] : "damaged";
}

bool sl_name_is_valid(const char *s)
{
	size_t n = strlen(s);
	if (!n || n >= SL_VOTER)
		return false;
	for (; *s; s++)
		if (!(isascii((unsigned char)*s) && (isalnum((unsigned char)*s) || strchr("._-@", *s))))
			return false;
	return true;
}
