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
	const int fits = config_check_stores(c, names, err);
	names_close(names);
	return fits;
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

/* Where a store's files differ from the default one's. */
static void summarize_stores(const struct config *c, char *out, size_t len)
{
	size_t at = 0;

	for (unsigned i = 0; i < c->n_stores && at < len; i++) {
		const struct config_store *s = &c->stores[i];
		at += (size_t)snprintf(out + at, len - at, "%s%s (%u recipient%s",
				       i ? ", " : "; stores besides: ", s->name, s->n_recipients,
				       s->n_recipients == 1 ? "" : "s");
		if (s->retain_ns && at < len)
			at += (size_t)snprintf(out + at, len - at, ", kept %" PRIu64 " h",
					       s->retain_ns / 3600000000000u);
		if (s->retain_len && at < len)
			at += (size_t)snprintf(out + at, len - at, ", at most %" PRIu64 " MiB",
					       s->retain_len >> 20);
		if (at < len)
			at += (size_t)snprintf(out + at, len - at, ")");
	}
}

void config_summary(const struct config *c, char *out, size_t len)
{
	static const char *const policies[] = {[SESSION_FULL] = "full",
					       [SESSION_HEADERS] = "headers",
					       [SESSION_COUNT] = "count",
					       [SESSION_DROP] = "drop"};
	const char *policy = policies[c->unknown_sessions];
	char readers[64] = "that anyone can read", sessions[64], stores[768] = "";
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
	summarize_stores(c, stores, sizeof(stores));
	(void)snprintf(out, len, "captures %s into %s, files %s%s; %s", c->interface, c->dir,
		       readers, stores, sessions);
}

const char *config_warning(const struct config *c)
{
	for (unsigned i = 0; i < c->n_stores; i++)
		if (recipients_distinct(c->stores[i].recipients, c->stores[i].n_recipients) == 1)
			return "warning: files of a store are encrypted to one recipient alone: "
			       "who loses that identity loses them all; give each store a second "
			       "one, whose identity is kept elsewhere";
	if (recipients_distinct(c->recipients, c->n_recipients) != 1)
		return NULL;
	return "warning: files are encrypted to one recipient alone: who loses that identity loses "
	       "them all; give a second -r, whose identity is kept elsewhere";
}
