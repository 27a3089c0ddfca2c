/* SPDX-License-Identifier: Apache-2.0
 *
 * The review store under threads, processes, lost answers and kills.
 */
#include "base/clock.h"
#include "base/mem.h"
#include "reviews_tools.h"
#include <stdatomic.h>
#include <stdio.h>

enum { THREADS = 16, VOTERS = 48, REVIEWS = 60, CAP = 5 };

/* What is left of a full size where the test server is slow, but never fewer than the threads. */
static int size_of(const struct sl_backend *b, int full)
{
	return SL_MAX(full / SL_MAX(b->divide, 1), THREADS);
}

struct crowd {
	struct sl_reviews *r;
	int voters, reviews;
	_Atomic int answered, undone;
	const char *tag; /* begins the voters' names */
};

static struct crowd crowd_of(const struct sl_backend *b, struct sl_reviews *r)
{
	return (struct crowd){.r = r, .voters = size_of(b, VOTERS), .reviews = size_of(b, REVIEWS), .tag = "v"};
}

/* What a voter would choose: reviews differ, some are ties, most are decided. */
static int choice_of(const char *key, int voter)
{
	return (atoi(key + 3) + voter) % 3 ? 1 : 2 + voter % 2;
}

static enum sl_status until_sure(struct sl_reviews *r, const char *key, const struct sl_vote *v, struct sl_verdict *ret)
{
	enum sl_status s;
	do
		s = sl_reviews_vote(r, key, v, ret, NULL);
	while (s == SL_TIMEOUT || s == SL_BUSY);
	return s;
}

/* Leases and votes until nothing is left; every fourth vote without a lease, every fifth taken back. */
static void vote_in_crowd(int i, void *arg)
{
	struct crowd *t = arg;
	struct sl_verdict v;
	for (int voter = i; voter < t->voters; voter += THREADS) {
		char name[32];
		snprintf(name, sizeof(name), "%s%d", t->tag, voter);
		for (int round = 0; round < 3 * t->reviews; round++) {
			struct sl_review got[3];
			int n = 0;
			enum sl_status s = sl_reviews_lease(t->r, name, 1 + round % 3, got, &n, NULL);
			if (s == SL_TIMEOUT || s == SL_BUSY)
				continue;
			CHECK_EQ(s, SL_OK);
			if (!n)
				break;
			if (round % 4 == 0)
				snprintf(got[0].key, sizeof(got[0].key), "key%04d", (round * 7 + voter) % t->reviews);
			char id[16];
			snprintf(id, sizeof(id), "r%d", round);
			struct sl_vote vote = vote_of(name, id, choice_of(got[0].key, voter));
			s = until_sure(t->r, got[0].key, &vote, &v);
			CHECK(s == SL_OK || s == SL_CONFLICT);
			t->answered += s == SL_OK;
			if (s != SL_OK || round % 5)
				continue;
			s = sl_reviews_undo(t->r, got[0].key, name, &v, NULL);
			CHECK(s == SL_OK || s == SL_CONFLICT || s == SL_TIMEOUT || s == SL_BUSY);
			t->undone += s == SL_OK;
		}
	}
}

struct hosts {
	struct sl_reviews *r[2];
	int reviews;
	_Atomic int answered;
};

static void vote_on_each(int i, void *arg)
{
	struct hosts *h = arg;
	char name[16], key[SL_KEY];
	struct sl_verdict v;
	snprintf(name, sizeof(name), "v%d", i);
	for (int k = 0; k < h->reviews; k++) {
		snprintf(key, sizeof(key), "key%04d", k);
		struct sl_vote vote = vote_of(name, "v", 1);
		CHECK_EQ(until_sure(h->r[i % 2], key, &vote, &v), SL_OK);
		h->answered++;
	}
}

/* A vote of a host whose clock is ahead comes before those of two others, whose clocks must not tell them where
 * their lines go, nor one of them that the other's line is its own. */
CONTRACT_IF(reviews, shared, clocks_that_differ_lose_no_vote)
{
	const char *url = b->url();
	struct hosts h = {.reviews = 8};
	struct sl_verdict v;
	struct sl_err err;
	if (!url)
		return;
	sl_clock_fake(NOW_MS + 5000);
	struct sl_reviews *ahead = open_at(url, SL_CAP_MAX);
	add(ahead, 0, h.reviews);
	for (int k = 0; k < h.reviews; k++) {
		char key[SL_KEY];
		snprintf(key, sizeof(key), "key%04d", k);
		CHECK_OK(cast(ahead, key, "ahead", "a", 2, &v));
	}
	sl_clock_fake(NOW_MS);
	for (int i = 0; i < 2; i++)
		h.r[i] = open_at(url, SL_CAP_MAX);
	sl_test_threads(THREADS, vote_on_each, &h);
	for (int k = 0; k < h.reviews; k++) {
		struct sl_review r;
		struct sl_vote votes[SL_VOTES_MAX];
		char key[SL_KEY];
		int n = 0;
		snprintf(key, sizeof(key), "key%04d", k);
		CHECK_OK(sl_reviews_get(ahead, key, &r, votes, &n, &err));
		CHECK_EQ(n, 1 + THREADS);
	}
	CHECK_EQ(h.answered, h.reviews * THREADS);
	for (int i = 0; i < 2; i++)
		sl_reviews_close(h.r[i]);
	sl_reviews_close(ahead);
}

/* Every promise that can be read off the store: the log gives the votes, the votes give the
 * verdicts, the verdicts give the outbox, the counts fit, and nothing passed the cap. */
static void check_store(struct sl_reviews *r, int reviews)
{
	struct sl_err err;
	struct sl_review_stats st, want = {0};
	enum { LINES = 20000 };
	SL_AUTOFREE struct sl_vote_line *line = SL_NEW_N(struct sl_vote_line, LINES);
	int lines = 0, n;
	do {
		CHECK_OK(sl_reviews_votes(r, lines ? line[lines - 1].seq : 0, 1000, &line[lines], &n, &err));
		lines += n;
		CHECK(lines + 1000 <= LINES);
	} while (n);
	for (int i = 0; i < reviews; i++) {
		char key[SL_KEY];
		struct sl_review v;
		struct sl_vote votes[SL_VOTES_MAX], mine[SL_VOTES_MAX];
		int nmine = 0, plain = 0;
		snprintf(key, sizeof(key), "key%04d", i);
		CHECK_OK(sl_reviews_get(r, key, &v, votes, &n, &err));
		for (int k = 0; k < lines; k++) {
			if (strcmp(line[k].key, key))
				continue;
			int at = 0;
			while (at < nmine && strcmp(mine[at].voter, line[k].vote.voter))
				at++;
			CHECK_EQ(at < nmine, line[k].undo); /* no second vote, no undo of nothing */
			if (line[k].undo)
				memmove(&mine[at], &mine[at + 1], sizeof(*mine) * (size_t)(--nmine - at));
			else
				mine[nmine++] = line[k].vote;
			CHECK(nmine <= v.cap + 1);
		}
		CHECK_EQ(n, nmine);
		for (int k = 0; k < n; k++) {
			CHECK_STR(votes[k].voter, mine[k].voter);
			plain += !votes[k].expert;
		}
		CHECK(plain <= v.cap);
		struct sl_verdict again = sl_verdict_of(votes, n, v.cap);
		CHECK_EQ(again.state, v.verdict.state);
		CHECK_EQ(again.choice, v.verdict.choice);
		CHECK_EQ(again.votes, v.verdict.votes);
		CHECK_EQ(again.agree, v.verdict.agree);
		want.open += again.state == SL_REVIEW_OPEN;
		want.tie += again.state == SL_REVIEW_TIE;
		want.decided += again.state == SL_REVIEW_DECIDED;
		want.votes += n;
	}
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_EQ(st.open, want.open);
	CHECK_EQ(st.tie, want.tie);
	CHECK_EQ(st.decided, want.decided);
	CHECK_EQ(st.votes, want.votes);
}

/* Sends the outbox twice over; each decided review stands in it once. */
static void check_outbox(struct sl_reviews *r, int reviews)
{
	struct sl_err err;
	struct sl_review_stats st;
	SL_AUTOFREE struct sl_review *out = SL_NEW_N(struct sl_review, (size_t)reviews + 1);
	char(*keys)[SL_KEY] = sl_calloc((size_t)reviews + 1, SL_KEY);
	int n;
	CHECK_OK(sl_reviews_stats(r, &st, &err));
	CHECK_OK(sl_reviews_pending_out(r, reviews + 1, out, &n, &err));
	CHECK_EQ(n, st.decided);
	CHECK_EQ(n, st.unsent);
	for (int i = 0; i < n; i++) {
		CHECK_EQ(out[i].verdict.state, SL_REVIEW_DECIDED);
		strcpy(keys[i], out[i].key);
		for (int k = 0; k < i; k++)
			CHECK(strcmp(keys[k], keys[i]));
	}
	CHECK_OK(sl_reviews_sent(r, keys, n, &err));
	CHECK_OK(sl_reviews_pending_out(r, reviews + 1, out, &n, &err));
	CHECK_EQ(n, 0);
	free(keys);
}

CONTRACT(reviews, sixteen_threads_keep_every_promise)
{
	struct crowd t = crowd_of(b, open_reviews(b, CAP));
	add(t.r, 0, t.reviews);
	sl_test_threads(THREADS, vote_in_crowd, &t);
	CHECK(t.answered >= t.reviews * 3);
	CHECK(t.undone > 0);
	check_store(t.r, t.reviews);
	check_outbox(t.r, t.reviews);
	sl_reviews_close(t.r);
}

CONTRACT(reviews, lost_answers_and_retries_count_no_vote_twice)
{
	const char *url = sl_test_fault(b->url(), "every=5&when=after&calls=vote,undo,lease");
	struct crowd t = crowd_of(b, open_at(url, CAP));
	add(t.r, 0, t.reviews);
	sl_test_threads(THREADS, vote_in_crowd, &t);
	check_store(t.r, t.reviews);
	check_outbox(t.r, t.reviews);
	sl_reviews_close(t.r);
}

static void add_all(int i, void *arg)
{
	struct crowd *t = arg;
	for (int k = 0; k < t->reviews; k++)
		add(t->r, (k * 7 + i) % t->reviews, 1);
}

CONTRACT(reviews, adding_at_once_adds_once)
{
	struct sl_err err;
	struct crowd t = crowd_of(b, open_reviews(b, 10));
	struct sl_review_stats st;
	sl_test_threads(THREADS, add_all, &t);
	CHECK_OK(sl_reviews_stats(t.r, &st, &err));
	CHECK_EQ(st.open, t.reviews);
	sl_reviews_close(t.r);
}

struct race {
	struct sl_reviews *r;
	_Atomic int won, refused;
};

static void race_for_one(int i, void *arg)
{
	struct race *t = arg;
	char voter[16];
	struct sl_verdict v;
	snprintf(voter, sizeof(voter), "v%d", i);
	enum sl_status s = cast(t->r, "key0000", voter, "1", i, &v); /* all choose another: nothing decides early */
	t->won += s == SL_OK;
	t->refused += s == SL_CONFLICT;
}

CONTRACT(reviews, sixteen_voters_race_for_ten_places)
{
	struct race t = {.r = open_reviews(b, 10)};
	add(t.r, 0, 1);
	sl_test_threads(16, race_for_one, &t);
	CHECK_EQ(t.won, 10);
	CHECK_EQ(t.refused, 6);
	check_store(t.r, 1);
	sl_reviews_close(t.r);
}

static void same_vote(int i, void *arg)
{
	struct race *t = arg;
	struct sl_verdict v;
	enum sl_status s = cast(t->r, "key0000", "ann", "one", 5, &v);
	t->won += s == SL_OK && v.votes == 1;
}

CONTRACT(reviews, one_vote_sent_sixteen_times_at_once_counts_once)
{
	struct race t = {.r = open_reviews(b, 10)};
	add(t.r, 0, 1);
	sl_test_threads(16, same_vote, &t);
	CHECK_EQ(t.won, 16);
	check_store(t.r, 1);
	sl_reviews_close(t.r);
}

/* ---- lasting ---- */

CONTRACT_IF(reviews, lasts, everything_is_there_after_reopening)
{
	struct sl_err err;
	struct crowd t = crowd_of(b, open_reviews(b, CAP));
	struct sl_review_stats before, after;
	struct sl_origin from = {"intake", 0, 41};
	add(t.r, 0, t.reviews);
	CHECK_OK(sl_reviews_add(t.r, NULL, 0, &from, &err));
	sl_test_threads(THREADS, vote_in_crowd, &t);
	CHECK_OK(sl_reviews_stats(t.r, &before, &err));
	sl_reviews_close(t.r);
	t.r = open_reviews(b, 7); /* another cap now: reviews keep theirs */
	CHECK_OK(sl_reviews_stats(t.r, &after, &err));
	CHECK(!memcmp(&before, &after, sizeof(before)));
	check_store(t.r, t.reviews);
	check_outbox(t.r, t.reviews);
	int64_t at;
	CHECK_OK(sl_reviews_position(t.r, "intake", 0, &at, &err));
	CHECK_EQ(at, 41);
	sl_reviews_close(t.r);
}

struct child {
	const struct sl_backend *b;
	char *url;
};

static void vote_in_process(void *arg)
{
	const struct child *c = arg;
	struct crowd t = crowd_of(c->b, open_at(c->url, CAP));
	t.tag = "child";
	sl_test_threads(THREADS, vote_in_crowd, &t);
	sl_reviews_close(t.r);
}

CONTRACT_IF(reviews, shared, two_processes_keep_every_promise)
{
	struct child c = {b, sl_strdup(b->url())};
	struct sl_reviews *r = open_at(c.url, CAP);
	add(r, 0, size_of(b, REVIEWS));
	sl_reviews_close(r);
	int child = sl_test_process(vote_in_process, &c);
	struct crowd t = crowd_of(b, open_at(c.url, CAP));
	sl_test_threads(THREADS, vote_in_crowd, &t);
	sl_test_wait(child);
	check_store(t.r, t.reviews);
	check_outbox(t.r, t.reviews);
	/* Nothing that is open is hidden from a newcomer by what the other process did. */
	struct sl_err err;
	struct sl_review_stats st;
	struct sl_review got[SL_LEASE_MAX];
	int n;
	CHECK_OK(sl_reviews_stats(t.r, &st, &err));
	b->clock(sl_now_ms() + 86400000);
	CHECK_OK(sl_reviews_expire(t.r, &n, &err));
	CHECK_EQ(lease(t.r, "newcomer", SL_LEASE_MAX, got), SL_MIN(st.open, SL_LEASE_MAX));
	sl_reviews_close(t.r);
	free(c.url);
}

CONTRACT_IF(reviews, shared, a_lease_sees_what_another_handle_did)
{
	struct sl_err err;
	struct sl_reviews *a = open_reviews(b, 10), *z = open_reviews(b, 10);
	struct sl_verdict v;
	struct sl_review got[8], small = {.key = "small", .cap = 3};
	add(a, 0, 2);
	CHECK_EQ(lease(z, "ann", 1, got), 1); /* z has read the open reviews */
	add(a, 2, 2);
	CHECK_OK(sl_reviews_add(a, &small, 1, NULL, &err));
	CHECK_STATUS(cast(a, "key0003", "bob", "1", 5, &v), SL_OK);
	CHECK_EQ(lease(z, "cem", 8, got), 5);
	CHECK_STR(got[0].key, "key0003"); /* a's vote put it first */
	CHECK_EQ(lease(z, "bob", 8, got), 4);
	CHECK_OK(sl_reviews_undo(a, "key0003", "bob", &v, &err));
	CHECK_EQ(lease(z, "bob", 8, got), 5);
	CHECK_EQ(lease(a, "dan", 8, got), 5);
	CHECK_EQ(lease(z, "eli", 8, got), 4); /* cem, bob and dan hold the small one's three places */
	sl_reviews_close(z);
	z = open_reviews(b, 10);
	struct sl_vote expert = vote_of("eva", "1", 1);
	expert.expert = true;
	CHECK_OK(sl_reviews_vote(z, "key0001", &expert, &v, &err));
	CHECK_EQ(lease(a, "cem", 8, got), 4);
	CHECK_EQ(lease(a, "eva", 8, got), 3); /* not the decided one, not the small one */
	sl_reviews_close(a);
	sl_reviews_close(z);
}

static void vote_and_say(int i, void *arg)
{
	struct crowd *t = arg;
	for (int k = 0;; k++) {
		char voter[32], key[SL_KEY], id[16];
		struct sl_verdict v;
		snprintf(voter, sizeof(voter), "t%dv%d", i, k / REVIEWS);
		snprintf(key, sizeof(key), "key%04d", k % REVIEWS);
		snprintf(id, sizeof(id), "i%d", k);
		struct sl_review got[1];
		int n;
		CHECK_EQ(sl_reviews_lease(t->r, voter, 1, got, &n, NULL), SL_OK);
		enum sl_status s = cast(t->r, key, voter, id, i, &v);
		CHECK(s == SL_OK || s == SL_CONFLICT);
		sl_test_said("%s %s %s %d", sl_status_name(s), voter, key, i);
	}
}

static void vote_until_killed(void *url)
{
	struct crowd t = {.r = open_at(url, 100)};
	sl_test_threads(4, vote_and_say, &t);
}

CONTRACT_IF(reviews, shared, what_was_answered_survives_kill_9)
{
	struct sl_err err;
	char *url = sl_strdup(b->url()), *save = NULL;
	struct sl_reviews *r = open_at(url, 100);
	add(r, 0, REVIEWS);
	sl_reviews_close(r);
	for (int round = 0; round < 3; round++) {
		char *said = sl_test_kill(vote_until_killed, url, size_of(b, 200));
		int votes = 0;
		r = open_at(url, 100);
		for (char *line = strtok_r(said, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			char status[16], voter[32], key[SL_KEY];
			int choice, n, at = 0;
			struct sl_review v;
			struct sl_vote vote[SL_VOTES_MAX];
			CHECK_EQ(sscanf(line, "%15s %31s %63s %d", status, voter, key, &choice), 4);
			if (strcmp(status, "OK"))
				continue;
			CHECK_OK(sl_reviews_get(r, key, &v, vote, &n, &err));
			while (at < n && strcmp(vote[at].voter, voter))
				at++;
			CHECK(at < n);
			CHECK_EQ(vote[at].choice, choice);
			votes++;
		}
		CHECK(votes > 0 || round);
		check_store(r, REVIEWS);
		sl_reviews_close(r);
		free(said);
	}
	free(url);
}
