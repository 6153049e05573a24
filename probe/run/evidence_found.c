#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "run/evidence_part.h"

/* Once it is to end, files that lay there are read for so long. */
#define LAST_NS UINT64_C(2000000000)
/* Lines of the chain, about 10 us each, before what was told meanwhile is looked at. */
#define LINES_AT_ONCE 1024

static struct listed id_of(const char *name)
{
	uint8_t hash[CHAIN_HASH];
	struct listed listed = {.is_known = false};

	chain_hash(name, strlen(name), hash);
	memcpy(listed.id, hash, sizeof(listed.id));
	return listed;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(((struct listed *)0)->id));
}

static struct listed *find_listed(struct evidence *e, const char *name)
{
	const struct listed wanted = id_of(name);

	return e->n_listed ? bsearch(&wanted, e->listed, e->n_listed, sizeof(wanted), compare)
			   : NULL;
}

static DIR *open_listing(const struct evidence *e)
{
	const int fd = openat(e->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir && fd >= 0)
		(void)close(fd);
	return dir;
}

int evidence_list(struct evidence *e, struct err *err)
{
	DIR *dir = open_listing(e);

	if (!dir)
		return err_set(err, -errno, "cannot list the folder %s: %s", e->config.dir,
			       strerror(errno));
	for (const struct dirent *d; (d = readdir(dir));) {
		if (!chain_is_stored(d->d_name))
			continue;
		if (e->n_listed == EVIDENCE_LISTED_MAX ||
		    array_grow((void **)&e->listed, &e->listed_cap, e->n_listed + 1,
			       sizeof(*e->listed)))
			e->n_unlisted++;
		else
			e->listed[e->n_listed++] = id_of(d->d_name);
	}
	(void)closedir(dir);
	if (e->n_listed)
		qsort(e->listed, e->n_listed, sizeof(*e->listed), compare);
	return 0;
}

/* Who stops the probe waits for it. */
static bool may_go_on(struct evidence *e)
{
	return evidence_serve(e) || clock_monotonic_ns() - e->ends_ns < LAST_NS;
}

static void strike(struct evidence *e, const char *line, size_t len)
{
	struct err err;

	if (chain_parse(&e->found, line, len, &err))
		return;
	struct listed *known = find_listed(e, e->found.file);
	if (known)
		known->is_known = true;
}

/* Those that the chain has. Whether it says so rightly is for the reader to see. False: it cannot
 * be read, or not in the time there was: a file must not be entered twice. */
static bool strike_known(struct evidence *e)
{
	const int fd = openat(e->dir_fd, CHAIN_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = malloc(CHAIN_LINE_MAX + 1);
	bool goes_on = file && line;
	size_t len;
	int ret;

	for (unsigned n = 1; goes_on && (ret = chain_read_line(file, line, &len)); n++) {
		if (ret > 0)
			strike(e, line, len);
		goes_on = ret != -EIO && (n % LINES_AT_ONCE || may_go_on(e));
	}
	free(line);
	if (file)
		(void)fclose(file);
	else if (fd >= 0)
		(void)close(fd);
	return goes_on;
}

/* What is told meanwhile does not wait: a file that lies there may be a terabyte of holes. */
static bool after_piece(void *arg, uint64_t more)
{
	(void)more;
	return may_go_on(arg);
}

/* False: there was no time. */
static bool enter_file(struct evidence *e, const char *name)
{
	evidence_begin_entry(&e->found, strstr(name, "_trunc.") ? CHAIN_RECOVERED : CHAIN_FOUND);
	const int ret = evidence_hash_file(e, &e->found, name, NULL, after_piece);

	if (!ret || (ret != -ENOENT && ret != -ECANCELED)) /* a deletion has its own entry */
		evidence_add(e, &e->found);
	return ret != -ECANCELED;
}

static void say_left(const struct evidence *e)
{
	size_t left = 0;

	for (size_t i = 0; i < e->n_listed; i++)
		left += !e->listed[i].is_known;
	if (left)
		log_line("%zu files that lay in %s are without an entry yet: the next start goes "
			 "on with them",
			 left, e->config.dir);
}

void evidence_enter_found(struct evidence *e)
{
	DIR *dir = open_listing(e);

	const bool goes_on = !e->n_listed || strike_known(e);
	for (const struct dirent *d; dir && goes_on && may_go_on(e) && (d = readdir(dir));) {
		struct listed *found =
			chain_is_stored(d->d_name) ? find_listed(e, d->d_name) : NULL;
		if (found && !found->is_known)
			found->is_known = enter_file(e, d->d_name);
	}
	if (dir)
		(void)closedir(dir);
	say_left(e);
	if (e->n_unlisted)
		evidence_enter_missed(e, e->n_unlisted);
	free(e->listed);
	e->listed = NULL;
	e->n_listed = 0;
}
