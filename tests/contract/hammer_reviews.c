/* SPDX-License-Identifier: Apache-2.0
 *
 * Leases and votes in a crowd on few reviews while somebody ends and cuts the store's server, and reads all back.
 *
 *   hammer_reviews vote URL THREADS    until standard input ends; each thread is one voter after the other, leases,
 *                                      votes, takes every eighth vote back, and sends the same vote id again until
 *                                      it is sure; adds reviews when none is left
 *   hammer_reviews verify URL          the votes on standard input, as vote printed them, are in the log once each,
 *                                      and every promise that can be read off the store holds
 *
 * Prints, a line each: "ok KEY VOTER ID CHOICE" once a vote is acknowledged, "undone KEY VOTER" likewise, "fail
 * STATUS MS TEXT" for a call that failed after MS; verify: "bad WHAT", and at the end "checked VOTES REVIEWS LINES". Exit
 * status as signloop; 1 when verify finds something.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "base/thread.h"
#include "core/settings.h"
#include "store/reviews.h"
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { CAP = 7, AT_ONCE = 4, LEASE = 2, THREADS_MAX = 64, PAUSE_MS = 20, PAGE = 500, UNDO_EVERY = 8 };

static struct sl_reviews *reviews;
static atomic_bool stop;
static _Atomic int next_review;
static int bad;

static void failed(enum sl_status s, const struct sl_err *err, int64_t from_us)
{
	printf("fail %s %lld %s\n", sl_status_name(s), (long long)((sl_mono_us() - from_us) / 1000), err->text);
	fflush(stdout);
	if (!sl_status_is_retriable(s))
		atomic_store(&stop, true); /* the caller sees the line */
	usleep(PAUSE_MS * 1000);
}

static void add_some(int at)
{
	struct sl_review r[AT_ONCE] = {0};
	struct sl_err err;
	for (int i = 0; i < AT_ONCE; i++)
		snprintf(r[i].key, sizeof(r[i].key), "key%06d", at + i);
	int64_t from = sl_mono_us();
	enum sl_status s;
	while ((s = sl_reviews_add(reviews, r, AT_ONCE, NULL, &err)) != SL_OK && !stop)
		failed(s, &err, from);
}

/* The same id until the answer is known. False: the rules said no, or the end. */
static bool vote_surely(const char *key, const struct sl_vote *v)
{
	struct sl_verdict verdict;
	struct sl_err err;
	for (;;) {
		int64_t from = sl_mono_us();
		enum sl_status s = sl_reviews_vote(reviews, key, v, &verdict, &err);
		if (s == SL_OK || s == SL_CONFLICT)
			return s == SL_OK;
		failed(s, &err, from);
		if (stop)
			return false;
	}
}

static void undo(const char *key, const char *voter)
{
	struct sl_verdict verdict;
	struct sl_err err;
	int64_t from = sl_mono_us();
	enum sl_status s = sl_reviews_undo(reviews, key, voter, &verdict, &err);
	if (s == SL_OK)
		printf("undone %s %s\n", key, voter);
	else if (s != SL_CONFLICT)
		failed(s, &err, from);
}

static void vote_on(const struct sl_review *r, const char *voter, int n)
{
	struct sl_vote v = {.choice = (atoi(r->key + 3) + n) % 3 ? 1 : 2};
	snprintf(v.voter, sizeof(v.voter), "%s", voter);
	snprintf(v.id, sizeof(v.id), "i%d", n);
	if (!vote_surely(r->key, &v))
		return;
	printf("ok %s %s %s %d\n", r->key, v.voter, v.id, v.choice);
	fflush(stdout);
	if (n % UNDO_EVERY == 0)
		undo(r->key, voter);
}

static void *vote_main(void *arg)
{
	int thread = (int)(intptr_t)arg;
	for (int n = 0; !stop; n++) {
		char voter[SL_VOTER];
		struct sl_review got[LEASE];
		struct sl_err err;
		int k = 0;
		int64_t from = sl_mono_us();
		snprintf(voter, sizeof(voter), "p%dt%dv%d", (int)getpid(), thread, n / 10);
		enum sl_status s = sl_reviews_lease(reviews, voter, LEASE, got, &k, &err);
		if (s != SL_OK)
			failed(s, &err, from);
		else if (!k)
			add_some(atomic_fetch_add(&next_review, AT_ONCE));
		for (int i = 0; i < k && !stop; i++)
			vote_on(&got[i], voter, n);
	}
	return NULL;
}

static int run_votes(int threads)
{
	pthread_t t[THREADS_MAX];
	char byte;
	next_review = (int)(sl_now_ms() % 1000) * 1000; /* of another run: other reviews */
	for (int i = 0; i < threads; i++)
		t[i] = sl_thread_start("voter", vote_main, (void *)(intptr_t)i);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	stop = true;
	for (int i = 0; i < threads; i++)
		pthread_join(t[i], NULL);
	return 0;
}

/* ---- verify ---- */

#define BAD(...) (printf("bad " __VA_ARGS__), putchar('\n'), bad++)

static struct sl_vote_line *line;
static int lines;

static enum sl_status read_log(struct sl_err *err)
{
	int n = 0;
	enum sl_status s;
	do {
		line = sl_realloc(line, (size_t)(lines + PAGE), sizeof(*line));
		s = sl_reviews_votes(reviews, lines ? line[lines - 1].seq : 0, PAGE, &line[lines], &n, err);
		for (int i = lines; s == SL_OK && i < lines + n; i++)
			if (i && line[i].seq <= line[i - 1].seq)
				BAD("seq %lld does not grow", (long long)line[i].seq);
		lines += s == SL_OK ? n : 0;
	} while (s == SL_OK && n);
	return s;
}

static int check_acknowledged(void)
{
	char text[256], key[SL_KEY], voter[SL_VOTER], id[SL_VOTE_ID];
	int choice, n = 0;
	for (; fgets(text, sizeof(text), stdin); n++) {
		int found = 0;
		if (sscanf(text, "ok %63s %63s %63s %d", key, voter, id, &choice) != 4)
			continue;
		for (int i = 0; i < lines; i++)
			found += !line[i].undo && !strcmp(line[i].key, key) && !strcmp(line[i].vote.voter, voter) &&
				 !strcmp(line[i].vote.id, id) && line[i].vote.choice == choice;
		if (found != 1)
			BAD("acknowledged vote %s of %s on %s is %d times in the log", id, voter, key, found);
	}
	return n;
}

/* The votes that stand by the log's lines of this review. */
static int live_of(const char *key, struct sl_vote *ret)
{
	int n = 0;
	for (int i = 0; i < lines; i++) {
		if (strcmp(line[i].key, key))
			continue;
		int at = 0;
		while (at < n && strcmp(ret[at].voter, line[i].vote.voter))
			at++;
		if ((at < n) != line[i].undo || n == SL_VOTES_MAX)
			BAD("%s: line %lld is a second vote or an undo of none", key, (long long)line[i].seq);
		else if (line[i].undo)
			memmove(&ret[at], &ret[at + 1], sizeof(*ret) * (size_t)(--n - at));
		else
			ret[n++] = line[i].vote;
	}
	return n;
}

static enum sl_status check_review(const char *key, int *decided, struct sl_err *err)
{
	struct sl_vote stored[SL_VOTES_MAX], live[SL_VOTES_MAX];
	struct sl_review r;
	int n;
	enum sl_status s = sl_reviews_get(reviews, key, &r, stored, &n, err);
	if (s != SL_OK)
		return s;
	int nlive = live_of(key, live);
	struct sl_verdict v = sl_verdict_of(live, nlive, r.cap);
	if (n != nlive || n > r.cap)
		BAD("%s: %d votes stand, %d by the log, the cap is %d", key, n, nlive, r.cap);
	if (v.state != r.verdict.state || v.votes != r.verdict.votes || v.agree != r.verdict.agree ||
		(v.state == SL_REVIEW_DECIDED && v.choice != r.verdict.choice))
		BAD("%s: its verdict does not follow from the log", key);
	*decided += v.state == SL_REVIEW_DECIDED;
	return s;
}

static enum sl_status check_outbox(int decided, struct sl_err *err)
{
	int n = 0;
	SL_AUTOFREE struct sl_review *out = sl_calloc((size_t)decided + 2, sizeof(*out));
	enum sl_status s = sl_reviews_pending_out(reviews, decided + 1, out, &n, err);
	if (s == SL_OK && n != decided)
		BAD("%d reviews are decided, %d wait in the outbox", decided, n);
	return s;
}

static int run_verify(struct sl_err *err)
{
	char key[PAGE][SL_KEY], after[SL_KEY] = "";
	int all = 0, decided = 0, n;
	enum sl_status s = read_log(err);
	int votes = s == SL_OK ? check_acknowledged() : 0;
	do {
		if (s == SL_OK)
			s = sl_reviews_scan(reviews, -1, after, PAGE, key, &n, err);
		for (int i = 0; s == SL_OK && i < n; i++)
			s = check_review(key[i], &decided, err);
		if (s == SL_OK && n)
			snprintf(after, sizeof(after), "%s", key[n - 1]);
		all += s == SL_OK ? n : 0;
	} while (s == SL_OK && n == PAGE);
	if (s == SL_OK)
		s = check_outbox(decided, err);
	if (s != SL_OK)
		return sl_status_exit(s);
	printf("checked %d %d %d\n", votes, all, lines);
	return bad ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct sl_err err = {0};
	int threads = argc > 3 ? atoi(argv[3]) : 1, code = 2;
	struct sl_config *cfg = sl_settings_new();
	if (argc < 3 || threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "hammer_reviews vote|verify URL [THREADS]\n");
		return 2;
	}
	char cap[8];
	snprintf(cap, sizeof(cap), "%d", CAP);
	enum sl_status s = sl_config_set(cfg, "reviews.cap", cap, "here", &err);
	if (s == SL_OK)
		s = sl_reviews_open(argv[2], cfg, &reviews, &err);
	if (s == SL_OK)
		code = !strcmp(argv[1], "verify") ? run_verify(&err) : run_votes(threads);
	else
		code = sl_status_exit(s);
	if (err.text[0])
		fprintf(stderr, "hammer_reviews: %s: %s\n", sl_status_name(err.status), err.text);
	sl_reviews_close(reviews);
	sl_config_free(cfg);
	free(line);
	return code;
}
