#include "config/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/option.h"
#include "config/setting.h"
#include "config/stores.h"

/* What an option is in the configuration that runs, as it was written. */
static const char *text_of(char out[static 64], const struct config *c,
			   const struct option_row *row)
{
	const struct config_setting *s = setting_of(c, row->name);

	if (row->type == OPTION_STORES)
		(void)stores_text(c, out, 64);
	else if (row->type == OPTION_ALLOW)
		(void)snprintf(out, 64, "a list of %u", c->n_allow);
	else
		(void)snprintf(out, 64, "%s", s ? s->text : row->fallback ? row->fallback : "none");
	return out;
}

static int refuse(const struct config *c, const struct config *running,
		  const struct option_row *row, struct err *err, const char *why)
{
	const struct config_setting *s = setting_of(c, row->name);
	char was[64];

	(void)text_of(was, running, row);
	return s ? setting_fail(c, s, err, "%s; running is %s", why, was)
		 : err_set(err, -EINVAL, "%s: %s: %s; running is %s", c->file, row->name, why, was);
}

/* Not where each session has a file, whose memory and descriptors were counted at the start. */
static int check_sessions(const struct config *c, const struct config *running,
			  const struct option_row *row, struct err *err)
{
	char why[96];

	if (running->split)
		return refuse(c, running, row, err, "takes effect at a start with split: session");
	if (c->sessions_max <= CONFIG_SESSIONS_GROWTH * c->sessions_start)
		return 0;
	(void)snprintf(why, sizeof(why), "can grow to %" PRIu64 ", %d times that of the start",
		       CONFIG_SESSIONS_GROWTH * c->sessions_start, CONFIG_SESSIONS_GROWTH);
	return refuse(c, running, row, err, why);
}

static int check_change(const struct config *c, const struct config *running,
			const struct option_row *row, struct err *err)
{
	if (row->change == OPTION_ANY_TIME || option_is_equal(row, c, running))
		return 0;
	if (row->change == OPTION_AT_START)
		return refuse(c, running, row, err, "takes effect at a start");
	if (option_number(row, c) < option_number(row, running))
		return refuse(c, running, row, err, "can become less at a start only");
	return check_sessions(c, running, row, err);
}

/* The files of a store have one suffix. */
static int check_encryption(const struct config *c, const struct config *running, struct err *err)
{
	for (unsigned i = 0; i < c->n_stores; i++)
		if (!c->stores[i].n_recipients != !running->stores[i].n_recipients)
			return setting_fail(
				c, setting_of(c, "stores"), err,
				"%s: whether files are encrypted changes at a start only",
				c->stores[i].name);
	return 0;
}

int config_reload(struct config *out, const struct config *running, struct err *err)
{
	struct config c;
	int ret = config_parse(&c, running->command, running->argc, running->argv, err);

	if (ret)
		return ret;
	c.sessions_start = running->sessions_start;
	/* The number of CPUs may have changed, and with it the default. */
	if (!setting_of(&c, "workers") && !setting_of(running, "workers"))
		c.workers = running->workers;
	for (unsigned i = 0; i < option_n && !ret; i++)
		ret = check_change(&c, running, &option_rows[i], err);
	ret = ret ? ret : check_encryption(&c, running, err);
	if (ret)
		config_close(&c);
	else
		*out = c;
	return ret;
}
