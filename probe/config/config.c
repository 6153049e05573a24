#include "config/config.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/option.h"
#include "config/recipients.h"
#include "config/samplekey.h"
#include "config/setting.h"
#include "config/stores.h"
#include "config/yamldoc.h"

/* ---- values ---- */

static uint64_t default_workers(enum config_command command)
{
	const long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (command == CONFIG_READ)
		return 1;
	return cpus < 1 ? 1 : cpus > 4 ? 4 : (uint64_t)cpus;
}

static void set_defaults(struct config *c)
{
	struct err err;

	c->workers = default_workers(c->command);
	for (unsigned i = 0; i < option_n; i++) {
		const struct option_row *row = &option_rows[i];
		const int ret = row->fallback ? option_set(c, row, row->fallback, &err) : 0;
		assert(!ret);
		(void)ret;
	}
	/* What is only read can be read again; packet time runs far ahead of the disk's there. */
	if (c->command == CONFIG_READ)
		c->flush_ns = c->sync_ns = 0;
}

static int apply_those(struct config *c, bool of_file, struct err *err)
{
	for (size_t i = 0; i < c->n_settings; i++)
		if (!c->settings[i].node != of_file && setting_apply(c, &c->settings[i], err))
			return -EINVAL;
	return 0;
}

/* What the command line overrides must be right too: who takes the option away later should not
 * meet an error then. */
static int apply_all(struct config *c, struct err *err)
{
	const int ret = apply_those(c, true, err);

	for (size_t i = 0; i < c->n_settings; i++)
		if (!c->settings[i].node)
			option_clear(c, c->settings[i].row);
	return ret ? ret : apply_those(c, false, err);
}

static int read_recipients(struct config *c, struct err *err)
{
	struct err why;

	if (!c->recipients_file)
		return 0;
	const int ret = recipients_read(c->recipients, &c->n_recipients, c->recipients_file, &why);
	if (ret == -EINVAL) /* the sentence begins with that file's own lines */
		return err_set(err, ret, "%s", why.text);
	return ret ? setting_fail(c, setting_of(c, "recipients-file"), err, "%s", why.text) : 0;
}

static int read_sample_key(struct config *c, struct err *err)
{
	struct err why;

	if (!c->sample_key_file || !samplekey_read(&c->sample_key, c->sample_key_file, &why))
		return 0;
	return setting_fail(c, setting_of(c, "sample-key-file"), err, "%s", why.text);
}

/* ---- the whole ---- */

/* Each worker reads all input for itself. What does not exist is for the reader to say. */
static bool can_be_read_again(const char *input)
{
	struct stat st;

	return strcmp(input, "-") && (stat(input, &st) || S_ISREG(st.st_mode));
}

static int check_inputs(const struct config *c, struct err *err)
{
	const struct config_setting *workers = setting_of(c, "workers");
	char where[SETTING_PLACE_LEN];

	if (c->command != CONFIG_READ)
		return c->n_inputs ? err_set(err, -EINVAL,
					     "%s: only 'vxprobe read' takes files; options begin "
					     "with -",
					     c->inputs[0])
				   : 0;
	if (!c->n_inputs)
		return err_set(err, -EINVAL, "which capture file? '-' reads standard input");
	for (unsigned i = 0; i < c->n_inputs && c->workers > 1; i++)
		if (!can_be_read_again(c->inputs[i]))
			return err_set(err, -EINVAL,
				       "%s is no file: one worker can read it, not %" PRIu64
				       " (%s); --workers 1 does",
				       strcmp(c->inputs[i], "-") ? c->inputs[i] : "standard input",
				       c->workers, setting_place(where, c, workers));
	return 0;
}

static int check_missing(const struct config *c, struct err *err)
{
	if (c->command == CONFIG_CHECK && !c->file)
		return err_set(err, -EINVAL, "-c FILE is missing: which file shall be checked?");
	if (c->command != CONFIG_READ && !c->interface)
		return err_set(err, -EINVAL,
			       "-i IFACE (in a file: 'interface: IFACE') is missing: which "
			       "interface gets the mirror?");
	if (!c->dir)
		return err_set(err, -EINVAL,
			       "-o DIR (in a file: 'output: DIR') is missing: where shall the "
			       "files go?");
	if (!c->n_recipients && !c->unencrypted)
		return err_set(err, -EINVAL,
			       "-r RECIPIENT (in a file: 'recipient: age1...') is missing: "
			       "'age-keygen -o key.txt' makes a key and prints its recipient; "
			       "--unencrypted ('unencrypted: true') writes files that anyone can "
			       "read");
	return 0;
}

static int check_stdout(const struct config *c, struct err *err)
{
	if (!c->json || !c->metrics || strcmp(c->metrics, "-"))
		return 0;
	return err_set(
		err, -EINVAL,
		"--json and --metrics - both write to standard output: give --metrics a file");
}

static int check_contradictions(const struct config *c, struct err *err)
{
	const struct config_setting *recipient = setting_of(c, "recipient");
	const struct config_setting *listen = setting_of(c, "listen");
	char other[SETTING_PLACE_LEN] = "the default of --listen";

	if (c->n_recipients && c->unencrypted)
		return setting_fail(
			c, setting_of(c, "unencrypted"), err, "contradicts %s",
			setting_place(other, c,
				      recipient ? recipient : setting_of(c, "recipients-file")));
	if (strcmp(c->listen, "none") && !strcmp(c->listen, c->health_listen))
		return setting_fail(c, setting_of(c, "health-listen"), err,
				    "%s is taken by %s; another address or port is wanted",
				    c->health_listen,
				    listen ? setting_place(other, c, listen) : other);
	return check_stdout(c, err);
}

/* Less would keep nothing but the file that is being written. */
static int check_retention(const struct config *c, struct err *err)
{
	static const char *const names[] = {"retain-size", "retain-session-size"};
	const uint64_t len[] = {c->retain_len, c->retain_session_len};

	for (unsigned i = 0; i < 2; i++)
		if (len[i] && len[i] / 2 < c->rotate_len)
			return setting_fail(c, setting_of(c, names[i]), err,
					    "less than two files of rotate-size (%" PRIu64
					    " MiB each): raise it, or lower rotate-size",
					    c->rotate_len >> 20);
	return 0;
}

static int parse(struct config *c, struct err *err)
{
	int ret = setting_read_line(c, err);

	if (ret || (c->file && (ret = setting_read_file(c, err))))
		return ret;
	set_defaults(c);
	if ((ret = apply_all(c, err)) || (ret = read_recipients(c, err)) ||
	    (ret = read_sample_key(c, err)) || (ret = check_inputs(c, err)) ||
	    (ret = check_missing(c, err)))
		return ret;
	c->sessions_start = c->sessions_max;
	if ((ret = check_contradictions(c, err)) || (ret = check_retention(c, err)))
		return ret;
	return stores_read(c, err);
}

int config_parse(struct config *out, enum config_command command, int argc, char **argv,
		 struct err *err)
{
	struct config c = {.command = command, .argc = argc, .argv = argv};
	const int ret = parse(&c, err);

	if (ret)
		config_close(&c);
	else
		*out = c;
	return ret;
}

void config_close(struct config *c)
{
	yamldoc_close(c->doc);
	free(c->settings);
	*c = (struct config){0};
}
