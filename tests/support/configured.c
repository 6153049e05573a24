#include "configured.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct configured configured;

void configured_init(void)
{
	struct configured *c = &configured;

	(void)strcpy(c->folder, "/tmp/vxprobe-test-XXXXXX");
	cr_assert(mkdtemp(c->folder));
	(void)snprintf(c->file, sizeof(c->file), "%s/c.yaml", c->folder);
	(void)snprintf(c->recipients, sizeof(c->recipients), "%s/recipients", c->folder);
}

void configured_fini(void)
{
	config_close(&configured.config);
	(void)unlink(configured.file);
	(void)unlink(configured.recipients);
	(void)rmdir(configured.folder);
}

void configured_put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	cr_assert(f && fputs(text, f) >= 0 && !fclose(f));
}

int configured_parse(enum config_command command, const char *more)
{
	static char copy[4096], command_name[] = "command", option[] = "-c";
	static char *argv[64] = {command_name, option, configured.file};
	struct config before = configured.config;
	int argc = 3;

	(void)snprintf(copy, sizeof(copy), "%s", more);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	configured.err.text[0] = 0;
	const int ret = config_parse(&configured.config, command, argc, argv, &configured.err);
	if (!ret)
		config_close(&before);
	return ret;
}

int configured_run(const char *text, const char *more)
{
	configured_put(configured.file, text);
	return configured_parse(CONFIG_RUN, more);
}

int configured_run_recipients(const char *text)
{
	char yaml[256];

	configured_put(configured.recipients, text);
	(void)snprintf(yaml, sizeof(yaml), "interface: eth1\noutput: out\nrecipients-file: %s\n",
		       configured.recipients);
	return configured_run(yaml, "");
}

int configured_reload(struct config *out, const char *text)
{
	configured_put(configured.file, text);
	configured.err.text[0] = 0;
	return config_reload(out, &configured.config, &configured.err);
}

void assert_takes(const char *text, const char *more)
{
	cr_assert_eq(configured_run(text, more), 0, "%s%s", text, configured.err.text);
}

void assert_says(int ret, const char *begins)
{
	const char *said = configured.err.text;
	char wanted[512];

	(void)snprintf(wanted, sizeof(wanted), "%s/%s", configured.folder, begins);
	cr_assert_eq(ret, -EINVAL, "%s: %d %s", begins, ret, said);
	cr_assert(!strncmp(said, wanted, strlen(wanted)), "'%s' does not begin with '%s'", said,
		  wanted);
	cr_assert_not(strchr(said, '\n'));
}

void assert_mentions(const char *words)
{
	cr_assert(strstr(configured.err.text, words), "'%s' is not in '%s'", words,
		  configured.err.text);
}
