/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run shows: a line once a second, a summary with a histogram, or one JSON object.
 */
#include "base/json.h"
#include "base/mem.h"
#include "cmd/drive.h"
#include <stdio.h>
#include <unistd.h>

/* Bucket of a time: exact below 64 us, then 64 steps each doubling. */
static int bucket_of(int64_t us)
{
	int shift = 0;

	if (us < 0)
		us = 0;
	while ((us >> shift) >= 2 * DRIVE_STEPS)
		shift++;
	int at = shift * DRIVE_STEPS + (int)(us >> shift);
	return SL_MIN(at, DRIVE_BUCKETS - 1);
}

static int64_t bucket_top(int at)
{
	int shift = at < 2 * DRIVE_STEPS ? 0 : at / DRIVE_STEPS - 1;

	return ((int64_t)(at - shift * DRIVE_STEPS) + 1) << shift;
}

void drive_times_add(struct drive_times *t, int64_t us)
{
	int64_t most = t->most;

	t->n[bucket_of(us)]++;
	t->count++;
	while (us > most && !atomic_compare_exchange_weak(&t->most, &most, us))
		;
}

double drive_times_ms(struct drive_times *t, double q)
{
	int64_t want = (int64_t)(q * (double)t->count + 0.9999), sum = 0;

	if (t->count == 0)
		return 0;
	for (int i = 0; i < DRIVE_BUCKETS; i++) {
		sum += t->n[i];
		if (sum >= want)
			return (double)SL_MIN(bucket_top(i), t->most) / 1000;
	}
	return (double)t->most / 1000;
}

static int64_t failed_of(struct sl_drive *d)
{
	int64_t n = 0;

	for (size_t i = 0; i < SL_COUNT(d->tally.http); i++)
		n += d->tally.http[i];
	for (size_t i = 0; i < SL_COUNT(d->tally.failed); i++)
		n += d->tally.failed[i];
	return n;
}

void drive_progress(struct sl_drive *d, bool last)
{
	static const int every_s = 10; /* into a file */
	bool tty = isatty(STDERR_FILENO);
	double s = (double)(sl_mono_us() - d->start_us) / 1e6;
	int width = sl_terminal_width(STDERR_FILENO) - 1;
	char line[160];

	if (d->quiet || (!tty && (last || (int64_t)(s + 0.5) % every_s)))
		return;
	if (last) {
		fprintf(stderr, "\r%*s\r", width, "");
		return;
	}
	if (width < 60)
		snprintf(line, sizeof(line), "%.0fs %lld ok %lld no %.1f/s p99 %.0fms", s, (long long)d->tally.answered,
			(long long)failed_of(d), (double)d->tally.answered / SL_MAX(s, 1e-3),
			drive_times_ms(&d->tally.call, 0.99));
	else
		snprintf(line, sizeof(line), "%4.0f s %7lld ok %5lld no %6.1f/s  p50 %.0f  p99 %.0f ms%s%lld%s", s,
			(long long)d->tally.answered, (long long)failed_of(d),
			(double)d->tally.answered / SL_MAX(s, 1e-3), drive_times_ms(&d->tally.call, 0.5),
			drive_times_ms(&d->tally.call, 0.99), d->votes ? "  waited " : "  ",
			(long long)(d->votes ? d->tally.empty : d->tally.signs), d->votes ? "" : " signs");
	fprintf(stderr, tty ? "\r%-*.*s" : "%*.*s\n", tty ? width : 0, width, line);
	fflush(stderr);
}

static const char *plain_name(enum sl_status s)
{
	return s == SL_TIMEOUT     ? "timeout"
	       : s == SL_AWAY      ? "no connection"
	       : s == SL_CANCELLED ? "stopped"
				   : sl_status_name(s);
}

static void print_failures(struct sl_drive *d)
{
	printf("failed    %10lld\n", (long long)failed_of(d));
	for (size_t i = 0; i < SL_COUNT(d->tally.http); i++)
		if (d->tally.http[i])
			printf("  %-14zu %5lld\n", i, (long long)d->tally.http[i]);
	for (size_t i = 0; i < SL_COUNT(d->tally.failed); i++)
		if (d->tally.failed[i])
			printf("  %-14s %5lld\n", plain_name((enum sl_status)i), (long long)d->tally.failed[i]);
	if (*d->why)
		printf("  last: %s\n", d->why);
}

/* Bars over doublings of time; only the range that was met. */
static void print_histogram(struct drive_times *t, int width)
{
	int64_t row[32] = {0}, most = 1;
	int first = 31, last = 0;

	for (int i = 0; i < DRIVE_BUCKETS; i++) {
		int k = 0;

		if (t->n[i] == 0)
			continue;
		while (k < 31 && bucket_top(i) > ((int64_t)250 << k))
			k++;
		row[k] += t->n[i];
		most = SL_MAX(most, row[k]);
		first = SL_MIN(first, k);
		last = SL_MAX(last, k);
	}
	int room = SL_MAX(SL_MIN(width, 100) - 26, 8);
	for (int k = first; k <= last; k++) {
		int n = (int)((row[k] * room + most - 1) / most);

		printf("  <= %7.*f ms %8lld ", k < 2 ? 2 : 0, (double)((int64_t)250 << k) / 1000, (long long)row[k]);
		for (int i = 0; i < n; i++)
			fputs("#", stdout);
		fputs("\n", stdout);
	}
}

static void print_times(const char *name, struct drive_times *t)
{
	printf("%-9s p50 %.1f  p95 %.1f\n          p99 %.1f  max %.1f ms\n", name, drive_times_ms(t, 0.5),
		drive_times_ms(t, 0.95), drive_times_ms(t, 0.99), (double)t->most / 1000);
}

void drive_summary(struct sl_drive *d, double seconds)
{
	struct drive_tally *t = &d->tally;

	printf("sent      %10lld in %.1f s\n", (long long)t->sent, seconds);
	printf("answered  %10lld   %.1f/s\n", (long long)t->answered, (double)t->answered / SL_MAX(seconds, 1e-3));
	print_failures(d);
	if (!d->votes) {
		printf("signs     %10lld\n  accepted  %8lld\n  review    %8lld\n", (long long)t->signs,
			(long long)t->accepted, (long long)t->review);
		if (t->truth)
			printf("drawn     %10lld\n  found     %8lld  %5.1f %%\n  right     %8lld  %5.1f %%\n  besides   %8lld (small, hidden, or wrong)\n",
				(long long)t->truth, (long long)t->found, 100.0 * (double)t->found / (double)t->truth,
				(long long)t->right, 100.0 * (double)t->right / (double)t->truth, (long long)t->extra);
		printf("data      %10.1f MB sent\n", (double)t->bytes_out / 1e6);
	} else {
		printf("late      %10lld decided meanwhile\n", (long long)t->late);
		print_times("next", &t->next);
	}
	if (t->call.count) {
		print_times(d->votes ? "vote" : "frame", &t->call);
		print_histogram(&t->call, sl_terminal_width(STDOUT_FILENO));
	}
	if (*d->bundle)
		printf("bundle    %.12s\n", d->bundle);
}

static json_t *times_json(struct drive_times *t)
{
	return json_pack("{s:f,s:f,s:f,s:f}", "p50", drive_times_ms(t, 0.5), "p95", drive_times_ms(t, 0.95), "p99",
		drive_times_ms(t, 0.99), "max", (double)t->most / 1000);
}

enum sl_status drive_summary_json(struct sl_drive *d, double seconds, struct sl_err *err)
{
	struct drive_tally *t = &d->tally;
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTOJSON json_t *v = json_pack("{s:I,s:I,s:f,s:f,s:o}", "sent", (json_int_t)t->sent, "answered",
		(json_int_t)t->answered, "seconds", seconds, "per_s", (double)t->answered / SL_MAX(seconds, 1e-3),
		"failed", json_object());
	json_t *failed = json_object_get(v, "failed");

	for (size_t i = 0; i < SL_COUNT(t->http); i++)
		if (t->http[i]) {
			char code[16];

			snprintf(code, sizeof(code), "%zu", i);
			json_object_set_new(failed, code, json_integer(t->http[i]));
		}
	for (size_t i = 0; i < SL_COUNT(t->failed); i++)
		if (t->failed[i])
			json_object_set_new(failed, sl_status_name((enum sl_status)i), json_integer(t->failed[i]));
	json_object_set_new(v, "ms", times_json(&t->call));
	if (d->votes) {
		json_object_set_new(v, "next_ms", times_json(&t->next));
		json_object_set_new(v, "empty", json_integer(t->empty));
		json_object_set_new(v, "late", json_integer(t->late));
	} else {
		json_object_set_new(v, "signs",
			json_pack("{s:I,s:I,s:I}", "found", (json_int_t)t->signs, "accepted", (json_int_t)t->accepted,
				"review", (json_int_t)t->review));
		json_object_set_new(v, "mb", json_real((double)t->bytes_out / 1e6));
		if (t->truth)
			json_object_set_new(v, "truth",
				json_pack("{s:I,s:I,s:I,s:I}", "drawn", (json_int_t)t->truth, "found",
					(json_int_t)t->found, "right", (json_int_t)t->right, "extra",
					(json_int_t)t->extra));
	}
	if (*d->bundle)
		json_object_set_new(v, "bundle", json_string(d->bundle));
	if (*d->why)
		json_object_set_new(v, "last_failure", json_string(d->why));
	if (sl_json_print(v, &text) != SL_OK)
		return sl_fail(err, SL_TOO_LARGE, "the summary is too large to print");
	printf("%s\n", (char *)text.ptr);
	return SL_OK;
}
