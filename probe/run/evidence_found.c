#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "run/evidence_part.h"

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

/* Those that the chain has. Whether it says so rightly is for the reader to see. */
static void strike_known(struct evidence *e)
{
	const int fd = openat(e->dir_fd, CHAIN_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	char *line = malloc(CHAIN_LINE_MAX + 1);
	struct err err;
	size_t len;
	int ret;

	while (file && line && e->n_listed && (ret = chain_read_line(file, line, &len)) &&
	       ret != -EIO) {
		if (ret < 0 || chain_parse(&e->entry, line, len, &err))
			continue;
		struct listed *known = find_listed(e, e->entry.file);
		if (known)
			known->is_known = true;
	}
	free(line);
	if (file)
		(void)fclose(file);
	else if (fd >= 0)
		(void)close(fd);
}

void evidence_enter_found(struct evidence *e)
{
	DIR *dir = open_listing(e);

	strike_known(e);
	for (const struct dirent *d; dir && (d = readdir(dir));) {
		const struct listed *found =
			chain_is_stored(d->d_name) ? find_listed(e, d->d_name) : NULL;
		if (!found || found->is_known)
			continue;
		evidence_begin_entry(e,
				     strstr(d->d_name, "_trunc.") ? CHAIN_RECOVERED : CHAIN_FOUND);
		evidence_hash_file(e, d->d_name, NULL);
		evidence_add(e);
	}
	if (dir)
		(void)closedir(dir);
	if (e->n_unlisted)
		evidence_enter_missed(e, e->n_unlisted);
	free(e->listed);
	e->listed = NULL;
	e->n_listed = 0;
}
