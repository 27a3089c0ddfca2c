/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/command.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/settings.h"
#include <stdio.h>
#include <unistd.h>

extern const struct sl_command sl_cmd_up, sl_cmd_serve, sl_cmd_drive, sl_cmd_train, sl_cmd_eval, sl_cmd_bundle,
	sl_cmd_model, sl_cmd_dataset, sl_cmd_import, sl_cmd_export, sl_cmd_fsck, sl_cmd_migrate, sl_cmd_topic,
	sl_cmd_version, sl_cmd_help;

const struct sl_command *const sl_commands[] = {&sl_cmd_up, &sl_cmd_serve, &sl_cmd_drive, &sl_cmd_train, &sl_cmd_eval,
	&sl_cmd_bundle, &sl_cmd_model, &sl_cmd_dataset, &sl_cmd_import, &sl_cmd_export, &sl_cmd_fsck, &sl_cmd_migrate,
	&sl_cmd_topic, &sl_cmd_version, &sl_cmd_help, NULL};

extern char **environ;

static const struct sl_command *find(const char *name, struct sl_err *err)
{
	const char *names[32];
	size_t n = 0;
	for (const struct sl_command *const *c = sl_commands; *c; c++) {
		if (!strcmp((*c)->usage->name, name))
			return *c;
		names[n++] = (*c)->usage->name;
	}
	const char *near = sl_nearest(name, names, n);
	sl_fail(err, SL_USAGE, "no command is called '%s'%s%s%s; 'signloop help' lists them", name,
		near ? "; did you mean '" : "", near ? near : "", near ? "'" : "");
	return NULL;
}

/* --config FILE may stand before or after the command; it is taken out of argv. */
static enum sl_status read_config(int *argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	const char *path = getenv("SIGNLOOP_CONFIG");
	int n = 1;
	for (int i = 1; i < *argc; i++) {
		if (!strncmp(argv[i], "--config=", 9))
			path = argv[i] + 9;
		else if (!strcmp(argv[i], "--config") && i + 1 < *argc)
			path = argv[++i];
		else if (!strcmp(argv[i], "--config"))
			return sl_fail(err, SL_USAGE, "--config wants a file");
		else
			argv[n++] = argv[i];
	}
	argv[ *argc = n] = NULL;
	enum sl_status s = path ? sl_config_read_file(cfg, path, err) : SL_OK;
	return s == SL_OK ? sl_config_read_env(cfg, environ, err) : s;
}

static enum sl_status run(int argc, char **argv, struct sl_config *cfg, struct sl_err *err)
{
	enum sl_status s = read_config(&argc, argv, cfg, err);
	if (s == SL_OK)
		s = sl_log_setup(sl_config_str(cfg, "log.level"), err);
	if (s != SL_OK)
		return s;
	const char *name = argc < 2 ? "help" : argv[1];
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	else if (!strcmp(name, "--version"))
		name = "version";
	const struct sl_command *c = find(name, err);
	if (!c)
		return SL_USAGE;
	char *alone[] = {(char *)name, NULL};
	return argc < 2 ? c->run(1, alone, cfg, err) : c->run(argc - 1, argv + 1, cfg, err);
}

int sl_command_main(int argc, char **argv)
{
	struct sl_err err = {0};
	struct sl_config *cfg = sl_settings_new();
	enum sl_status s = run(argc, argv, cfg, &err);
	sl_config_free(cfg);
	if (s != SL_OK && *err.text) {
		/* A text that already starts with its command's name needs no other prefix. */
		fflush(stdout);
		fprintf(stderr, "signloop: %s\n", err.text);
	}
	if ((fflush(stdout) || ferror(stdout)) && s == SL_OK) {
		fprintf(stderr, "signloop: standard output: could not be written\n");
		return sl_status_exit(SL_IO);
	}
	return sl_status_exit(s);
}

enum sl_status sl_command_help(const struct sl_usage *u, const struct sl_opt *opts)
{
	SL_AUTO(sl_buf_done) struct sl_buf b = {0};
	enum sl_status s = sl_opt_help(u, opts, sl_terminal_width(STDOUT_FILENO), &b);
	fwrite(b.ptr, 1, b.len, stdout);
	return s;
}
