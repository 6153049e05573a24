#include "config/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/names.h"
#include "config/recipients.h"
#include "config/setting.h"

static int check_names(const struct config *c, uint32_t *n, struct err *err)
{
	struct names *names;
	struct err why;

	*n = 0;
	if (!c->names)
		return 0;
	const int ret = names_load(&names, c->names, &why);
	if (ret == -EINVAL) /* the sentence begins with that file's own lines */
		return err_set(err, ret, "%s", why.text);
	if (ret)
		return setting_fail(c, setting_of(c, "names"), err, "%s", why.text);
	*n = names_count(names);
	names_close(names);
	return 0;
}

static int check_folder(const struct config *c, struct err *err)
{
	struct stat st;
	int error = stat(c->dir, &st) ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;

	if (!error && access(c->dir, W_OK | X_OK))
		error = errno;
	return error ? setting_fail(c, setting_of(c, "output"), err,
				    "cannot write into the folder %s: %s; make it, or choose "
				    "another",
				    c->dir, strerror(error))
		     : 0;
}

int config_check_files(const struct config *c, struct err *err)
{
	uint32_t n_names;
	const int ret = check_folder(c, err);

	return ret ? ret : check_names(c, &n_names, err);
}

void config_summary(const struct config *c, char *out, size_t len)
{
	static const char *const policies[] = {[SESSION_FULL] = "full",
					       [SESSION_HEADERS] = "headers",
					       [SESSION_COUNT] = "count",
					       [SESSION_DROP] = "drop"};
	const char *policy = policies[c->unknown_sessions];
	char readers[64] = "that anyone can read", sessions[64];
	struct err err;
	uint32_t n_names = 0;

	(void)check_names(c, &n_names, &err);
	if (c->n_recipients)
		(void)snprintf(readers, sizeof(readers), "encrypted to %u recipient%s",
			       c->n_recipients, c->n_recipients == 1 ? "" : "s");
	if (c->names)
		(void)snprintf(sessions, sizeof(sessions), "%" PRIu32 " name%s, other sessions: %s",
			       n_names, n_names == 1 ? "" : "s", policy);
	else
		(void)snprintf(sessions, sizeof(sessions), "no names, all sessions: %s", policy);
	(void)snprintf(out, len, "captures %s into %s, files %s; %s", c->interface, c->dir, readers,
		       sessions);
}

const char *config_warning(const struct config *c)
{
	if (recipients_distinct(c->recipients, c->n_recipients) != 1)
		return NULL;
	return "warning: files are encrypted to one recipient alone: who loses that identity loses "
	       "them all; give a second -r, whose identity is kept elsewhere";
}
