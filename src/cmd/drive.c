/* SPDX-License-Identifier: Apache-2.0
 *
 * `signloop drive`: cars that send frames, or voters that vote, at a rate; what came back.
 * Work is handed out in slots: slot n is due n/rate seconds after the start, whoever is free
 * takes it, so a slow answer delays its own car only.
 */
#include "cmd/drive.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/command.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>

static const struct sl_usage usage = {
	.name = "drive",
	.synopsis = "drive --to URL (--demo | --frames DIR | --votes N) [--rate N] [--cars N] [--duration S] [--json]",
	.text = "drives cars (or voters) against a server and says how it answered",
	.more = "--demo draws its own road scenes and compares the answer with what it drew; --frames sends your pictures "
		"(.jpg, .png), again from the start when all are sent. Up to 4 frames a second each demo frame is drawn anew; "
		"above that a pool drawn ahead is sent again and again, each time marked by a comment so that the server takes it "
		"as a new frame. 503 is honoured with its Retry-After. Ctrl-C ends with the summary. Exit 1 when nothing was "
		"answered.",
	.examples = "signloop drive --to http://127.0.0.1:8000 --demo --rate 2\n"
		    "signloop drive --to http://127.0.0.1:8000 --demo --rate 0 --cars 8 --duration 30 --json\n"
		    "signloop drive --to http://127.0.0.1:8000 --frames my-pictures --rate 5 --duration 60\n"
		    "signloop drive --to http://127.0.0.1:8000 --votes 4000 --voters 64 --rate 0\n"
		    "signloop drive --demo --save scenes --count 40 --cars 4",
};

bool drive_wait(struct sl_drive *d, int64_t ms)
{
	int64_t until = SL_MIN(sl_deadline_ms(ms), d->end_us);

	pthread_mutex_lock(&d->lock);
	while (ms > 0 && !d->stop && !sl_is_past(until))
		sl_cond_wait_until(&d->wake, &d->lock, until);
	bool on = !d->stop && !sl_is_past(d->end_us);
	pthread_mutex_unlock(&d->lock);
	return on;
}

void drive_stop(struct sl_drive *d)
{
	pthread_mutex_lock(&d->lock);
	d->stop = true;
	pthread_cond_broadcast(&d->wake);
	pthread_mutex_unlock(&d->lock);
}

int64_t drive_next_slot(struct sl_drive *d, int64_t limit)
{
	int64_t n = d->slot++;

	if (limit > 0 && n >= limit)
		return -1;
	int64_t due = d->rate > 0 ? d->start_us + (int64_t)((double)n / d->rate * 1e6) : 0;
	return drive_wait(d, SL_MAX((due - sl_mono_us() + 999) / 1000, 0)) ? n : -1;
}

int64_t drive_count(
	struct sl_drive *d, enum sl_status s, const struct sl_reply *r, const struct sl_err *err, int *misses)
{
	if (s == SL_OK && r->status / 100 == 2) {
		d->tally.answered++;
		*misses = 0;
		return 0;
	}
	if (s == SL_OK && r->status == 409 && d->votes) {
		d->tally.late++; /* right between voters, not a failure */
		return 0;
	}
	if (s == SL_OK)
		d->tally.http[r->status > 0 && r->status < (int)SL_COUNT(d->tally.http) ? r->status : 0]++;
	else
		d->tally.failed[s]++;
	pthread_mutex_lock(&d->lock);
	if (s != SL_OK)
		snprintf(d->why, sizeof(d->why), "%s", err->text);
	else
		snprintf(d->why, sizeof(d->why), "%d %.*s", r->status, (int)SL_MIN(r->body.len, 180),
			r->body.ptr ? (const char *)r->body.ptr : "");
	for (char *p = d->why; *p; p++)
		*p = (unsigned char)*p < ' ' ? ' ' : *p;
	pthread_mutex_unlock(&d->lock);
	if (s == SL_OK && (r->status == 503 || r->status == 429))
		return SL_MIN(r->retry_after_ms >= 0 ? r->retry_after_ms : 1000, DRIVE_WAIT_MOST_MS);
	if (s == SL_AWAY)
		return SL_MIN((int64_t)100 << SL_MIN((*misses)++, 5), 2000);
	return 0;
}

static bool all_ended(struct sl_drive *d)
{
	pthread_mutex_lock(&d->lock);
	bool ended = d->running == 0;
	pthread_mutex_unlock(&d->lock);
	return ended;
}

/* Shows progress until time, count or a signal ends the run; then lets running calls end,
 * but not for long. */
static void watch(struct sl_drive *d, const sigset_t *ends)
{
	const struct timespec tick = {0, 100000000};
	int64_t shown = d->start_us, cut = SL_FOREVER;

	while (!all_ended(d)) {
		int sig = sigtimedwait(ends, NULL, &tick);

		if ((sig > 0 || sl_is_past(d->end_us)) && cut == SL_FOREVER) {
			drive_stop(d);
			cut = sl_deadline_ms(3000);
		} else if (sig > 0 || sl_is_past(cut)) {
			d->cancel = true;
		}
		if (sl_mono_us() - shown >= 1000000) {
			shown += 1000000;
			drive_progress(d, false);
		}
	}
	drive_progress(d, true);
}

static void run_threads(struct sl_drive *d, const sigset_t *ends)
{
	int n = (int)(d->votes ? d->voters : d->cars);
	pthread_t *thread = SL_NEW_N(pthread_t, (size_t)n);
	struct drive_one *one = SL_NEW_N(struct drive_one, (size_t)n);

	d->start_us = d->last_review_us = sl_mono_us();
	d->end_us = d->duration_s > 0 ? d->start_us + (int64_t)(d->duration_s * 1e6) : SL_FOREVER;
	d->running = n;
	for (int i = 0; i < n; i++) {
		one[i] = (struct drive_one){d, i};
		thread[i] = sl_thread_start(d->votes ? "voter" : "car", d->votes ? drive_voter : drive_car, &one[i]);
	}
	watch(d, ends);
	for (int i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
	free(thread);
	free(one);
}

static enum sl_status drive(struct sl_drive *d, struct sl_err *err)
{
	sigset_t ends, before;
	enum sl_status s;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	s = drive_load(d, err);
	if (s == SL_OK) {
		signal(SIGPIPE, SIG_IGN);
		pthread_sigmask(SIG_BLOCK, &ends, &before);
		run_threads(d, &ends);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		double seconds = (double)(sl_mono_us() - d->start_us) / 1e6;

		if (d->json)
			s = drive_summary_json(d, seconds, err);
		else if (!d->quiet)
			drive_summary(d, seconds);
		if (s == SL_OK && d->tally.answered == 0)
			s = sl_fail(err, SL_REFUSED, "drive: nothing was answered%s%.180s", *d->why ? "; last: " : "",
				d->why);
	}
	drive_frames_done(d);
	return s;
}

/* Cuts in place: flags point into argv, which is ours. */
static const char *without_slash(const char *url)
{
	char *s = (char *)url;

	for (size_t n = strlen(s); n > 0 && s[n - 1] == '/'; n--)
		s[n - 1] = 0;
	return s;
}

static enum sl_status check(struct sl_drive *d, bool seed_given, struct sl_err *err)
{
	int modes = d->demo + (d->frames_dir != NULL) + (d->votes > 0);

	if (modes != 1)
		return sl_fail(err, SL_USAGE, "drive: give one of --demo, --frames DIR and --votes N");
	if (d->save_dir && (!d->demo || d->count == 0))
		return sl_fail(err, SL_USAGE, "drive: --save wants --demo and --count N");
	if (!d->to && !d->save_dir)
		return sl_fail(err, SL_USAGE, "drive: --to http://host:port is missing");
	if (d->to && (d->to = without_slash(d->to)) && strncmp(d->to, "http://", 7) && strncmp(d->to, "https://", 8))
		return sl_fail(err, SL_USAGE, "drive: --to %s: want http://host:port", d->to);
	if (d->rate < 0)
		d->rate = d->votes ? 0 : 2;
	if (d->pool < 0)
		d->pool = d->rate > 0 && d->rate <= DRIVE_FRESH_RATE ? 0 : DRIVE_POOL;
	if (!seed_given) /* saved scenes are the same each time; cars drive on where nobody was */
		d->seed = d->save_dir ? 1 : sl_now_ms();
	return SL_OK;
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	struct sl_drive *d = SL_NEW(struct sl_drive);
	bool help = false;
	struct sl_words w;
	const struct sl_opt opts[] = {
		{"to", SL_OPT_STR, "URL", "the server, such as http://127.0.0.1:8000", &d->to, 0, 0},
		{"demo", SL_OPT_FLAG, NULL, "send drawn road scenes", &d->demo, 0, 0},
		{"frames", SL_OPT_STR, "DIR", "send the pictures of this folder", &d->frames_dir, 0, 0},
		{"mark", SL_OPT_FLAG, NULL, "make each sent JPEG a new frame by a comment in it", &d->mark, 0, 0},
		{"votes", SL_OPT_INT, "N", "vote N times instead of sending frames", &d->votes, 1, 1e9},
		{"rate", SL_OPT_NUM, "N",
			"frames or votes a second, all together (default: 2; votes: 0); 0: as fast as answered",
			&d->rate, 0, 1e6},
		{"cars", SL_OPT_INT, "N", "cars, each with one frame under way (default: 4)", &d->cars, 1,
			DRIVE_THREADS},
		{"voters", SL_OPT_INT, "N", "voters (default: 8)", &d->voters, 1, DRIVE_THREADS},
		{"duration", SL_OPT_NUM, "S", "seconds to drive; 0: until Ctrl-C (default)", &d->duration_s, 0, 1e7},
		{"count", SL_OPT_INT, "N", "end after so many frames; 0: no end (default)", &d->count, 0, 1e12},
		{"pool", SL_OPT_INT, "N", "demo frames drawn ahead (default: 0 up to 4 a second, else 48)", &d->pool, 0,
			10000},
		{"seed", SL_OPT_INT, "N", "which roads are drawn (default: other ones each time; --save: 1)", &d->seed,
			0, 9e15},
		{"save", SL_OPT_STR, "DIR", "write --count demo frames and their boxes (gt.txt) there, send nothing",
			&d->save_dir, 0, 0},
		{"timeout", SL_OPT_INT, "MS", "ms to wait for one answer (default: 10000)", &d->timeout_ms, 1, 600000},
		{"json", SL_OPT_FLAG, NULL, "the summary as one JSON object", &d->json, 0, 0},
		{"quiet", SL_OPT_FLAG, NULL, "no progress, no summary", &d->quiet, 0, 0}, SL_OPT_END};

	*d = (struct sl_drive){.rate = -1, .cars = 4, .voters = 8, .pool = -1, .seed = -1, .timeout_ms = 10000};
	pthread_mutex_init(&d->lock, NULL);
	sl_cond_init(&d->wake);
	sl_random_id(d->run_id);
	enum sl_status s = sl_opt_parse(&usage, opts, NULL, argc, argv, &w, &help, err);
	if (s == SL_OK && help)
		s = sl_command_help(&usage, opts);
	else if (s == SL_OK && (s = check(d, d->seed >= 0, err)) == SL_OK)
		s = d->save_dir ? drive_save(d, err) : drive(d, err);
	pthread_cond_destroy(&d->wake);
	pthread_mutex_destroy(&d->lock);
	free(d);
	return s;
}

const struct sl_command sl_cmd_drive = {&usage, run};
