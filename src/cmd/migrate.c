/* SPDX-License-Identifier: Apache-2.0 */
#include "role/migrate.h"
#include "base/clock.h"
#include "base/fs.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/migrate_sides.h"
#include "cmd/stores.h"
#include "role/fsck.h"
#include "role/spool.h"
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static const struct sl_usage usage = {
	.name = "migrate",
	.synopsis = "migrate --from DIR|[KIND=]URL ... --to DIR|[KIND=]URL ... [--final|--verify|--dry-run]",
	.text = "moves everything to other stores, and back",
	.more = "DIR means the four embedded stores of a data folder; KIND is log, crops, reviews or artifacts and may be left "
		"away where the URL's scheme says it. What --to does not name stays where it is.\n"
		"While the source is in use, rounds bring over what is new until little is left. Then stop every process that uses it "
		"and run the same command again, with --final where no folder can tell that they have stopped: the last round compares "
		"all of it item by item and then checks the target like 'signloop fsck --all'. A source that is not in use takes one "
		"run. Frames that still wait in the folder's spool/ are in no store: they are counted, and the exit is 1.\n"
		"What was stopped, by Ctrl-C or by force, goes on when the same command is run again. A target that holds anything "
		"else is refused. Exit 1 when something is missing, damaged or different; each is named. "
		"--dry-run makes no folder and no file; a server, when it is opened, may make its empty table or collections.",
	.examples =
		"signloop migrate --from data --to kafka://kafka:9092 --to hbase://hbase:8080 --to mongodb://mongo/signloop --to "
		"webhdfs://namenode:9870/signloop\n"
		"signloop migrate --from data --to log=kafka://kafka:9092 --dry-run\n"
		"signloop migrate --from data --to /mnt/new/data --json",
	.words_max = 0,
	.takes_config = true,
};

static volatile int stop_asked;

static void on_signal(int number)
{
	stop_asked = 1;
}

struct flags {
	struct sl_words from, to;
	bool said_final, is_final, verify, dry_run, json; /* is_final: said, or the source tells that nobody uses it */
	int64_t patience_s;
};

/* ---- for people ---- */

struct screen {
	const char *store, *doing;
	int64_t since_us;
};

static void show(void *arg, const struct sl_migrate_progress *p)
{
	struct screen *c = arg;
	if (c->store != p->store || c->doing != p->doing || !p->done)
		*c = (struct screen){p->store, p->doing, sl_mono_us()};
	double s = (double)(sl_mono_us() - c->since_us) / 1e6, rate = s > 0.5 ? (double)p->done / s : 0;
	fprintf(stderr, "\r\033[K%s %s: %lld", p->doing, p->store, (long long)p->done);
	if (p->total)
		fprintf(stderr, " of %lld", (long long)p->total);
	if (p->bytes)
		fprintf(stderr, ", %.1f MB", (double)p->bytes / 1e6);
	if (rate > 0)
		fprintf(stderr, ", %.0f/s", rate);
	if (rate > 0 && p->total > p->done)
		fprintf(stderr, ", %.0f s left", (double)(p->total - p->done) / rate);
	fflush(stderr);
}

static void print_list(const json_t *list)
{
	json_t *v;
	size_t i;
	json_array_foreach(list, i, v)
		printf("%s %s: %s\n", sl_cmd_text(v, "what"), sl_cmd_text(v, "where"), sl_cmd_text(v, "why"));
}

static void print_stores(const struct flags *f, json_t *r)
{
	json_t *v;
	const char *name;
	json_object_foreach(json_object_get(r, "stores"), name, v)
	{
		long long items = sl_cmd_int(v, "items"), there = sl_cmd_int(v, "there");
		if (f->dry_run)
			printf("%-10s %10lld items, %lld to copy\n", name, items, items - there);
		else
			printf("%-10s %10lld items, %lld copied, %.1f MB%s%.64s\n", name, items,
				(long long)sl_cmd_int(v, "copied"), (double)sl_cmd_int(v, "bytes") / 1e6,
				*sl_cmd_text(v, "sha256") ? ", sha256 " : "", sl_cmd_text(v, "sha256"));
	}
}

static void print(const struct flags *f, json_t *r)
{
	json_t *fsck = json_object_get(r, "fsck");
	print_stores(f, r);
	print_list(json_object_get(r, "findings"));
	if (sl_cmd_int(r, "more"))
		printf("and %lld more\n", (long long)sl_cmd_int(r, "more"));
	if (json_is_true(json_object_get(r, "compared")) && json_is_true(json_object_get(r, "ok")))
		printf("source and target are the same, compared item by item\n");
	if (fsck)
		print_list(json_object_get(fsck, "findings"));
	if (fsck && json_is_true(json_object_get(fsck, "ok")))
		printf("fsck of the target: nothing is broken\n");
	else if (!fsck && json_is_true(json_object_get(r, "final")))
		printf("fsck was not run on the target: it wants all four stores, and no difference\n");
	if (!json_is_true(json_object_get(r, "compared")) && !f->dry_run)
		printf("%s; %lld items were new in the last of %lld rounds\n"
		       "stop every process that uses the source, then run the same command again%s\n",
			*sl_cmd_text(r, "busy") ? sl_cmd_text(r, "busy") : "the source may be in use",
			(long long)sl_cmd_int(r, "left"), (long long)sl_cmd_int(r, "rounds"),
			*sl_cmd_text(r, "busy") ? "" : " with --final");
}

/* ---- the work ---- */

static void checks(void *arg, const char *what)
{
	fprintf(stderr, "\r\033[Kchecks the target: %s", what);
}

/* What will be used from now on: the target, and what stays. */
static enum sl_status check_target(
	const struct sl_stores *from, const struct sl_stores *to, json_t *r, struct sl_err *err)
{
	struct sl_stores st = {to->log ? to->log : from->log, to->crops ? to->crops : from->crops,
		to->reviews ? to->reviews : from->reviews, to->artifacts ? to->artifacts : from->artifacts};
	struct sl_fsck o = {.bytes = true, .recompute = true, .progress = isatty(STDERR_FILENO) ? checks : NULL};
	json_t *found = NULL;
	if (!st.log || !st.crops || !st.reviews || !st.artifacts)
		return SL_OK;
	enum sl_status s = sl_fsck_run(&st, &o, &found, err);
	if (s == SL_OK)
		json_object_set_new(r, "fsck", found);
	return s == SL_OK ? s : sl_prefix(err, s, "migrate: all is there; checking the target");
}

static enum sl_status open_sides(struct sl_side *from, struct sl_side *to, const struct flags *f,
	const struct sl_config *cfg, struct sl_err *err)
{
	unsigned which = sl_side_kinds(from) & sl_side_kinds(to);
	enum sl_status s = SL_OK;
	if (to->url[SL_STORE_REVIEWS] && !from->url[SL_STORE_LOG])
		s = sl_fail(err, SL_USAGE,
			"migrate: --to names the reviews: name the log in --from too, how far it was read moves with them");
	for (int i = 0; i < SL_STORES && s == SL_OK; i++)
		if (to->url[i] && !from->url[i])
			s = sl_fail(err, SL_USAGE, "migrate: --to names the %s, --from does not",
				sl_store_name((enum sl_store)i));
		else if (to->url[i] && !strcmp(to->url[i], from->url[i]))
			s = sl_fail(err, SL_USAGE, "migrate: the %s is the same in --from and --to",
				sl_store_name((enum sl_store)i));
	if (s == SL_OK)
		s = sl_side_open(from, sl_side_kinds(from), SL_ABSENT_FAIL, cfg, err);
	if (s == SL_OK && to->dir && !f->verify && !f->dry_run)
		s = sl_fs_mkdirs(to->dir, err);
	if (s == SL_OK && !f->dry_run && (!to->dir || sl_fs_is_dir(to->dir)))
		s = sl_side_lock(to, err);
	return s == SL_OK ? sl_side_open(to, which,
				    f->verify    ? SL_ABSENT_FAIL
				    : f->dry_run ? SL_ABSENT_EMPTY
						 : SL_ABSENT_MAKE,
				    cfg, err)
			  : s;
}

/* Does nobody use the source? ret_busy: who does. A folder tells by its lock, a log by the groups that read it; what
 * was named by a URL may be used by anybody, from another folder. */
static enum sl_status lock_source(struct sl_side *from, struct flags *f, struct sl_err *ret_busy, struct sl_err *err)
{
	enum sl_status s = sl_side_lock(from, ret_busy);
	f->is_final = f->said_final || (s == SL_OK && from->dir && !from->has_urls);
	if (s == SL_OK || (s == SL_BUSY && !f->said_final))
		return SL_OK;
	*err = *ret_busy;
	return sl_prefix(err, s, "migrate: --from");
}

static enum sl_status ask_log(const struct sl_side *from, struct flags *f, struct sl_err *ret_busy, struct sl_err *err)
{
	struct sl_err why = {0};
	enum sl_status s = f->is_final && from->stores.log ? sl_log_idle(from->stores.log, &why) : SL_OK;
	if (s == SL_UNSUPPORTED && f->said_final)
		return SL_OK;
	if (s == SL_BUSY && !f->said_final) {
		f->is_final = false;
		*ret_busy = why;
		return SL_OK;
	}
	if (s != SL_OK)
		*err = why;
	return s == SL_OK ? s : sl_prefix(err, s, "migrate: --from");
}

static enum sl_status move(
	const struct flags *f, const struct sl_side *from, const struct sl_side *to, json_t **ret, struct sl_err *err)
{
	struct sigaction on = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, old_int, old_term;
	struct screen screen = {.store = NULL};
	struct sl_migrate o = {.from = &from->stores,
		.to = &to->stores,
		.is_final = f->is_final,
		.verify = f->verify,
		.dry_run = f->dry_run,
		.patience_ms = f->patience_s * 1000,
		.stop = &stop_asked,
		.progress = isatty(STDERR_FILENO) ? show : NULL,
		.arg = &screen};
	sigaction(SIGINT, &on, &old_int); /* a second one ends it at once, which is as safe */
	sigaction(SIGTERM, &on, &old_term);
	enum sl_status s = sl_migrate_run(&o, ret, err);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	if (s == SL_OK && f->is_final && !f->dry_run && json_is_true(json_object_get(*ret, "ok")))
		s = check_target(&from->stores, &to->stores, *ret, err);
	if (o.progress)
		fputs("\r\033[K", stderr);
	return s;
}

/* Frames that were accepted while stores were away: they wait in the folder, and only its own process stores them. */
static enum sl_status count_spool(const struct flags *f, const struct sl_side *from, json_t *r, struct sl_err *err)
{
	int64_t waiting = 0, aside = 0;
	if (!f->is_final || !from->dir)
		return SL_OK;
	SL_AUTOFREE char *dir = sl_fs_join(from->dir, "spool");
	enum sl_status s = sl_spool_count(dir, &waiting, &aside, err);
	json_object_set_new(r, "spooled_frames", json_integer(waiting));
	return s;
}

static enum sl_status finish(const struct flags *f, const struct sl_side *from, json_t *r, struct sl_err *err)
{
	int64_t spooled = sl_cmd_int(r, "spooled_frames");
	size_t n = json_array_size(json_object_get(r, "findings")),
	       broken = json_array_size(json_object_get(json_object_get(r, "fsck"), "findings"));
	if (f->json)
		sl_cmd_print_json(r);
	else
		print(f, r);
	if (n)
		return sl_fail(err, SL_REFUSED, "migrate: %zu findings", n + (size_t)sl_cmd_int(r, "more"));
	if (spooled)
		return sl_fail(err, SL_REFUSED,
			"migrate: %lld frames wait in %s/spool and are in no store yet: start signloop on the source until "
			"signloop_spool_frames is 0, stop it, then run this again",
			(long long)spooled, from->dir);
	return broken ? sl_fail(err, SL_REFUSED,
				"migrate: all is as in the source, but fsck has %zu findings; the source has them too",
				broken)
		      : SL_OK;
}

static enum sl_status work(
	struct flags *f, struct sl_side *from, struct sl_side *to, const struct sl_config *cfg, struct sl_err *err)
{
	SL_AUTOJSON json_t *r = NULL;
	struct sl_err busy = {0};
	enum sl_status s = sl_side_parse(from, "from", &f->from, err);
	if (s == SL_OK)
		s = sl_side_parse(to, "to", &f->to, err);
	if (s == SL_OK && from->dir && !sl_fs_is_dir(from->dir))
		s = sl_fail(err, SL_NOT_FOUND, "migrate: --from %s: no such data folder", from->dir);
	if (s == SL_OK)
		s = lock_source(from, f, &busy, err);
	if (s == SL_OK)
		s = open_sides(from, to, f, cfg, err);
	if (s == SL_OK)
		s = ask_log(from, f, &busy, err);
	if (s == SL_OK)
		s = move(f, from, to, &r, err);
	if (s != SL_OK)
		return s;
	busy.text[strcspn(busy.text, ";")] = 0; /* what to do about it is another thing here */
	if (*busy.text)
		json_object_set_new(r, "busy", json_string(busy.text));
	s = count_spool(f, from, r, err);
	return s == SL_OK ? finish(f, from, r, err) : s;
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	struct flags f = {.patience_s = 300};
	struct sl_side from = {.lock = -1}, to = {.lock = -1};
	bool help;
	struct sl_words w;
	const struct sl_opt opts[] = {
		{"from", SL_OPT_LIST, "DIR|URL", "where everything is; again for each store", &f.from, 0, 0},
		{"to", SL_OPT_LIST, "DIR|URL", "where it goes; again for each store", &f.to, 0, 0},
		{"final", SL_OPT_FLAG, NULL, "nobody uses the source any more: the last round", &f.said_final, 0, 0},
		{"verify", SL_OPT_FLAG, NULL, "copy nothing, compare source and target", &f.verify, 0, 0},
		{"dry-run", SL_OPT_FLAG, NULL, "say what would be copied", &f.dry_run, 0, 0},
		{"patience", SL_OPT_INT, "S", "seconds that a server may be away (default: 300)", &f.patience_s, 0,
			1e6},
		{"json", SL_OPT_FLAG, NULL, "one JSON object on standard output", &f.json, 0, 0},
		SL_OPT_END,
	};
	enum sl_status s = sl_opt_parse(&usage, opts, cfg, argc, argv, &w, &help, err);
	if (s == SL_OK && help)
		return sl_command_help(&usage, opts);
	if (s == SL_OK && f.said_final + f.verify + f.dry_run > 1)
		s = sl_fail(err, SL_USAGE, "migrate: one of --final, --verify and --dry-run at a time");
	if (s == SL_OK)
		s = work(&f, &from, &to, cfg, err);
	sl_side_done(&to);
	sl_side_done(&from);
	return s;
}

const struct sl_command sl_cmd_migrate = {&usage, run};
