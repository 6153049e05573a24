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
#include "path/filter.h"

int config_load_names(struct names **out, const struct config *c, struct err *err)
{
	struct names *names;

	*out = NULL;
	if (!c->names)
		return 0;
	int ret = names_load(&names, c->names, err);
	if (ret)
		return ret;
	if (names_sampler(names) && !c->sample_key_file)
		ret = err_set(err, -EINVAL,
			      "%s: policy %s has a sample, and there is no key by which flows are "
			      "chosen: give --sample-key-file FILE, the same on all probes",
			      c->names, names_sampler(names));
	else
		ret = config_check_stores(c, names, err);
	if (ret)
		names_close(names);
	else
		*out = names;
	return ret;
}

/* What is in force: entries, and what unknown sessions are treated by. */
struct said {
	uint32_t n;
	char unknown[NAMES_NAME_MAX + 1];
};

static void say_unknown(struct said *said, const struct config *c, const struct names *names)
{
	uint32_t policy = names ? names_unknown(names) : NAMES_UNKNOWN_UNSAID;
	struct names_policy p;

	if (policy == NAMES_UNKNOWN_UNSAID)
		policy = (uint32_t)c->unknown_sessions;
	if (policy < NAMES_POLICY)
		p.name = filter_words[policy];
	else
		(void)names_policy(names, policy - NAMES_POLICY, &p);
	(void)snprintf(said->unknown, sizeof(said->unknown), "%s", p.name);
}

static int check_names(const struct config *c, struct said *said, struct err *err)
{
	struct names *names;
	struct err why;

	const int ret = config_load_names(&names, c, &why);
	said->n = names ? names_count(names) : 0;
	say_unknown(said, c, names);
	names_close(names);
	if (ret == -EINVAL) /* the sentence begins with that file's own lines */
		return err_set(err, ret, "%s", why.text);
	return ret ? setting_fail(c, setting_of(c, "names"), err, "%s", why.text) : 0;
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
	struct said said;
	const int ret = check_folder(c, err);

	return ret ? ret : check_names(c, &said, err);
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
	char readers[64] = "that anyone can read", sessions[128], stores[768] = "";
	struct err err;
	struct said said;

	(void)check_names(c, &said, &err);
	if (c->n_recipients)
		(void)snprintf(readers, sizeof(readers), "encrypted to %u recipient%s",
			       c->n_recipients, c->n_recipients == 1 ? "" : "s");
	if (c->names)
		(void)snprintf(sessions, sizeof(sessions), "%" PRIu32 " name%s, other sessions: %s",
			       said.n, said.n == 1 ? "" : "s", said.unknown);
	else
		(void)snprintf(sessions, sizeof(sessions), "no names, all sessions: %s",
			       said.unknown);
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
