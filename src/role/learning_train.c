/* SPDX-License-Identifier: Apache-2.0
 *
 * One training run as a child process: `signloop train classifier` on the version's rows,
 * starting from the live classifier's weights. The child keeps a checkpoint beside its
 * output, so a job that was interrupted goes on from there.
 */
#include "base/fs.h"
#include "base/mem.h"
#include "dataset/registry.h"
#include "role/learning_work.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS = 40, LINE = 8192, TAR_PIECE = 4 << 20, LOOK_MS = 200, KILL_MS = 60000, LOG_TAIL = 4096 };
#define EPOCHS 5.0 /* a fine-tuning run's, where the job names no length */

/* ---- the rows ---- */

struct rows {
	FILE *out;
	struct sl_buf tar;
	const struct sl_taxonomy *taxonomy;
	int n, unknown; /* unknown: of a class that the live taxonomy has not */
	bool seen[SL_CLASSES_MAX];
};

static enum sl_status write_piece(struct rows *r, struct sl_err *err)
{
	if (fwrite(r->tar.ptr, 1, r->tar.len, r->out) != r->tar.len)
		return sl_fail_errno(err, SL_IO, errno, "training rows");
	r->tar.len = 0;
	return SL_OK;
}

static enum sl_status write_row(const struct sl_version_row *row, void *arg, struct sl_err *err)
{
	struct rows *r = arg;
	int cls = sl_taxonomy_find(r->taxonomy, row->label.code);
	if (cls < 0) {
		r->unknown++;
		return SL_OK;
	}
	SL_AUTOJSON json_t *json = json_pack("{s:i,s:s}", "class", cls, "group", sl_row_group(row->json));
	json_t *roi = json_object_get(row->json, "roi");
	if (json_array_size(roi) == 4)
		json_object_set(json, "roi", roi);
	r->n++;
	r->seen[cls] = true;
	enum sl_status s = sl_shard_add(&r->tar, row->label.key, row->jpeg, json, err);
	return s == SL_OK && r->tar.len > TAR_PIECE ? write_piece(r, err) : s;
}

static enum sl_status write_rows(
	struct sl_learning *l, json_t *manifest, const char *path, struct rows *r, struct sl_err *err)
{
	r->out = fopen(path, "wb");
	if (!r->out)
		return sl_fail_errno(err, SL_IO, errno, "%s", path);
	enum sl_status s = sl_version_each(l->ctx.stores.artifacts, manifest, 1u << SL_DEAL_TRAIN, write_row, r, err);
	if (s == SL_OK) {
		sl_shard_end(&r->tar);
		s = write_piece(r, err);
	}
	sl_buf_done(&r->tar);
	if (fclose(r->out) && s == SL_OK)
		s = sl_fail_errno(err, SL_IO, errno, "%s", path);
	int classes = 0;
	for (int i = 0; i < SL_CLASSES_MAX; i++)
		classes += r->seen[i];
	if (s == SL_OK && classes < 2)
		s = sl_fail(err, SL_INVALID,
			"%s has %d rows of %d classes to train on; at least two classes are needed",
			json_string_value(json_object_get(manifest, "version")), r->n, classes);
	return s;
}

/* ---- the live parts ---- */

static enum sl_status write_once(const char *path, struct sl_slice bytes, struct sl_err *err)
{
	return sl_fs_is_file(path) ? SL_OK : sl_fs_write(path, bytes, true, err);
}

/* What was live when the job first ran stays its start, also when it is resumed. */
static enum sl_status write_base(struct sl_learning *l, const char *id, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf file = {0};
	SL_AUTOFREE char *base = sl_jobs_path(l->jobs, id, "base.bundle");
	SL_AUTOFREE char *onnx = sl_jobs_path(l->jobs, id, "base.onnx");
	SL_AUTOFREE char *taxonomy = sl_jobs_path(l->jobs, id, "taxonomy.json");
	struct sl_bundle_parts p = {0};
	char digest[SL_DIGEST];
	if (sl_fs_is_file(base))
		return SL_OK;
	enum sl_status s = sl_alias_digest(l->ctx.stores.artifacts, SL_ALIAS_LIVE, digest, err);
	if (s == SL_OK)
		s = sl_model_get(l->ctx.stores.artifacts, digest, &file, err);
	if (s == SL_OK)
		s = sl_bundle_read(sl_buf_slice(&file), &p, err);
	if (s == SL_OK)
		s = write_once(onnx, p.classifier, err);
	if (s == SL_OK)
		s = write_once(taxonomy, p.taxonomy, err);
	if (s == SL_OK)
		s = write_once(base, sl_buf_slice(&file), err);
	json_decref(p.info);
	return s;
}

static enum sl_status read_taxonomy(struct sl_learning *l, const char *id, struct sl_taxonomy **ret, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf text = {0};
	SL_AUTOFREE char *path = sl_jobs_path(l->jobs, id, "taxonomy.json");
	enum sl_status s = sl_fs_read(path, &text, err);
	return s == SL_OK ? sl_taxonomy_parse(sl_buf_slice(&text), ret, err) : s;
}

/* ---- the child ---- */

struct args {
	char *v[ARGS];
	int n;
};

static void args_done(struct args *a)
{
	for (int i = 0; i < a->n; i++)
		free(a->v[i]);
}

static void add(struct args *a, const char *name, char *value /* taken */)
{
	SL_ASSERT(a->n + 3 < ARGS);
	a->v[a->n++] = sl_strdup(name);
	if (value)
		a->v[a->n++] = value;
}

static char *number_text(json_t *v)
{
	return json_is_integer(v) ? sl_asprintf("%lld", (long long)json_integer_value(v))
				  : sl_asprintf("%g", json_number_value(v));
}

static void make_args(struct sl_learning *l, const char *id, json_t *options, struct args *a)
{
	SL_AUTOFREE char *tar = sl_jobs_path(l->jobs, id, "rows.tar");
	SL_AUTOFREE char *checkpoint = sl_jobs_path(l->jobs, id, "classifier.onnx.checkpoint");
	const char *name;
	json_t *v;
	add(a, "signloop", NULL);
	add(a, "train", sl_strdup("classifier"));
	add(a, "--data", sl_asprintf("webdataset:%s", tar));
	add(a, "--taxonomy", sl_jobs_path(l->jobs, id, "taxonomy.json"));
	add(a, "--out", sl_jobs_path(l->jobs, id, "classifier.onnx"));
	add(a, "--progress", NULL);
	if (!json_is_true(json_object_get(options, "scratch")))
		add(a, "--from", sl_jobs_path(l->jobs, id, "base.onnx"));
	json_object_foreach(options, name, v)
	{
		SL_AUTOFREE char *flag = sl_asprintf("--%s", name);
		if (json_is_number(v))
			add(a, flag, number_text(v));
	}
	if (!json_object_get(options, "workers"))
		add(a, "--workers", sl_asprintf("%lld", (long long)sl_config_int(l->ctx.cfg, "learning.workers")));
	if (!json_object_get(options, "epochs") && !json_object_get(options, "steps") &&
		!json_object_get(options, "minutes"))
		add(a, "--epochs", sl_asprintf("%g", EPOCHS));
	if (sl_fs_is_file(checkpoint))
		add(a, "--resume", NULL);
}

/* Between fork and exec only what is allowed there. */
static _Noreturn void become_child(const struct args *a, const char *self, int out, int log, int give_up)
{
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (give_up && nice(give_up) == -1) {
		/* slower for the others, but no reason not to train */
	}
	if (dup2(null, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(log, STDERR_FILENO) >= 0)
		execv(self, a->v);
	_exit(127);
}

static enum sl_status spawn(struct sl_learning *l, const struct args *a, const char *log_path, pid_t *ret_pid,
	int *ret_fd, struct sl_err *err)
{
	SL_AUTOFREE char *self = sl_fs_self();
	int fd[2];
	if (!self)
		return sl_fail(err, SL_IO, "this program's own path is not known, so training cannot be started");
	int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (log < 0)
		return sl_fail_errno(err, SL_IO, errno, "%s", log_path);
	if (pipe2(fd, O_CLOEXEC)) {
		close(log);
		return sl_fail_errno(err, SL_IO, errno, "pipe");
	}
	int give_up = (int)sl_config_int(l->ctx.cfg, "learning.nice");
	*ret_pid = fork();
	if (!*ret_pid)
		become_child(a, self, fd[1], log, give_up);
	close(fd[1]);
	close(log);
	*ret_fd = fd[0];
	if (*ret_pid > 0)
		return SL_OK;
	close(fd[0]);
	return sl_fail_errno(err, SL_IO, errno, "fork");
}

static void take_line(struct sl_learning *l, const char *id, const char *line, size_t n)
{
	json_t *v = NULL;
	if (sl_json_parse(sl_slice(line, n), "progress", &v, NULL) != SL_OK)
		return;
	if (json_is_object(v) && json_object_get(v, "step"))
		sl_learning_say(l, id, json_pack("{s:O}", "progress", v), false);
	json_decref(v);
}

/* Reads progress until the child closes its output; asks it to end when the job must stop. */
static void follow(struct sl_learning *l, const char *id, pid_t pid, int fd)
{
	char line[LINE];
	size_t n = 0;
	int64_t asked_us = 0;
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		int got = poll(&p, 1, LOOK_MS);
		if (!asked_us && sl_jobs_must_stop(l->jobs, id)) {
			kill(pid, SIGTERM);
			asked_us = sl_mono_us();
		}
		if (asked_us && sl_mono_us() - asked_us > KILL_MS * 1000LL)
			kill(pid, SIGKILL);
		if (got <= 0)
			continue;
		ssize_t r = read(fd, line + n, sizeof(line) - n);
		if (r <= 0)
			return;
		n += (size_t)r;
		for (char *end; (end = memchr(line, '\n', n));) {
			size_t used = (size_t)(end - line) + 1;
			take_line(l, id, line, used - 1);
			memmove(line, end + 1, n -= used);
		}
		if (n == sizeof(line)) /* no line of ours */
			n = 0;
	}
}

/* The last line that the child wrote says why. */
static enum sl_status say_why(const char *log_path, int status, struct sl_err *err)
{
	SL_AUTO(sl_buf_done) struct sl_buf log = {0};
	const char *line = "";
	if (sl_fs_read(log_path, &log, NULL) == SL_OK && log.len) {
		while (log.len && log.ptr[log.len - 1] == '\n')
			log.ptr[--log.len] = 0;
		const char *at = strrchr((char *)log.ptr, '\n');
		line = at ? at + 1 : (char *)log.ptr;
	}
	if (WIFSIGNALED(status))
		return sl_fail(err, SL_IO, "training was ended by signal %d (%s)", WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	return sl_fail(err, SL_REFUSED, "training ended with status %d: %.150s", WEXITSTATUS(status), line);
}

enum sl_status sl_learning_train(
	struct sl_learning *l, const char *id, json_t *job, json_t *manifest, struct sl_err *err)
{
	SL_AUTO(args_done) struct args a = {.n = 0};
	SL_AUTOFREE char *tar = sl_jobs_path(l->jobs, id, "rows.tar");
	SL_AUTOFREE char *log = sl_jobs_path(l->jobs, id, "train.log");
	struct sl_taxonomy *taxonomy = NULL;
	struct rows rows = {.n = 0};
	pid_t pid = -1;
	int fd = -1, status = 0;
	enum sl_status s = write_base(l, id, err);
	if (s == SL_OK)
		s = read_taxonomy(l, id, &taxonomy, err);
	rows.taxonomy = taxonomy;
	if (s == SL_OK)
		s = write_rows(l, manifest, tar, &rows, err);
	sl_taxonomy_free(taxonomy);
	if (s != SL_OK)
		return s;
	sl_learning_say(l, id,
		json_pack("{s:s,s:{s:i,s:i}}", "stage", "train", "rows", "train", rows.n, "of_unknown_class",
			rows.unknown),
		true);
	make_args(l, id, json_object_get(job, "options"), &a);
	s = spawn(l, &a, log, &pid, &fd, err);
	if (s != SL_OK)
		return s;
	follow(l, id, pid, fd);
	close(fd);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	unlink(tar);
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return SL_OK;
	return sl_jobs_must_stop(l->jobs, id) ? sl_fail(err, SL_CANCELLED, "stopped") : say_why(log, status, err);
}
