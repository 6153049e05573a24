#include "config/recipients.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A recipient has 62 characters; the rest of a longer line is not needed to refuse it. */
#define LINE_MAX_LEN 1024
/* Of comments too; a device such as /dev/zero has no end. */
#define LINES_MAX 1000u

/* Adds what is on a line, if anything. */
static int add_line(struct seal_recipient *out, unsigned *n, char *line, struct err *err)
{
	line[strcspn(line, "\r\n")] = 0;
	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return 0;
	line[strcspn(line, " \t")] = 0;
	if (*n == SEAL_RECIPIENTS_MAX)
		return err_set(err, -EINVAL, "more than %d recipients", SEAL_RECIPIENTS_MAX);
	const int ret = seal_recipient_parse(&out[*n], line, err);
	*n += !ret;
	return ret;
}

static int read_lines(struct seal_recipient *out, unsigned *n, FILE *file, const char *path,
		      struct err *err)
{
	char line[LINE_MAX_LEN];
	const unsigned before = *n;
	struct err why;

	for (unsigned i = 1; fgets(line, sizeof(line), file); i++) {
		if (i > LINES_MAX)
			return err_set(err, -EINVAL,
				       "%s: more than %u lines; one age1... per line is wanted",
				       path, LINES_MAX);
		if (add_line(out, n, line, &why))
			return err_set(err, -EINVAL, "%s:%u: %s", path, i, why.text);
	}
	if (ferror(file))
		return err_set(err, -errno, "cannot read the recipients file %s: %s", path,
			       strerror(errno));
	return *n > before
		       ? 0
		       : err_set(err, -EINVAL,
				 "%s: no recipient is in it; one age1... per line is wanted", path);
}

int recipients_read(struct seal_recipient *out, unsigned *n, const char *path, struct err *err)
{
	FILE *file = fopen(path, "re");

	if (!file)
		return err_set(err, -errno, "cannot open the recipients file %s: %s", path,
			       strerror(errno));
	const int ret = read_lines(out, n, file, path, err);
	(void)fclose(file);
	return ret;
}

unsigned recipients_distinct(const struct seal_recipient *recipients, unsigned n)
{
	unsigned distinct = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned before = 0;

		while (before < i &&
		       memcmp(&recipients[before], &recipients[i], sizeof(*recipients)))
			before++;
		distinct += before == i;
	}
	return distinct;
}
