#include "run/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

/* "vxprobe" and the version of what follows; the number of fates differs between versions too. */
#define MAGIC UINT64_C(0x0165626f72707876)

struct slot {
	uint64_t magic, fates;
	uint64_t number; /* the higher one is the later one */
	struct stats_last_run run;
	uint64_t crc; /* CRC-32 of all before */
};

struct counters {
	char name[PATH_MAX];
	int fd;
	uint64_t number;
	struct slot *slot; /* two, mapped */
};

int counters_name(char *name, size_t cap, const char *dir, struct err *err)
{
	char *const path = realpath(dir, NULL);

	if (!path)
		return err_set(err, -errno, "cannot find the folder %s: %s", dir, strerror(errno));
	for (char *c = path; *c; c++)
		*c = *c == '/' ? '-' : *c;
	const size_t len = strlen(path);
	(void)snprintf(name, cap, COUNTERS_DIR "/counters%s", path);
	free(path);
	if (len > NAME_MAX - strlen("counters"))
		return err_set(err, -ENAMETOOLONG, "the path of %s is too long for a file name",
			       dir);
	if (mkdir(COUNTERS_DIR, 0700) && errno != EEXIST)
		return err_set(err, -errno, "cannot make " COUNTERS_DIR ": %s", strerror(errno));
	return 0;
}

static uint64_t crc_of(const struct slot *slot)
{
	return crc32(0, (const Bytef *)slot, offsetof(struct slot, crc));
}

/* The number goes on, so that what is written first takes the older slot's place. */
static void read_last(struct counters *c, struct stats_last_run *last)
{
	*last = (struct stats_last_run){0};
	for (unsigned i = 0; i < 2; i++) {
		const struct slot *slot = &c->slot[i];
		if (slot->magic == MAGIC && slot->fates == FATE_MAX && slot->crc == crc_of(slot) &&
		    slot->number % 2 == i && slot->number > c->number) {
			c->number = slot->number;
			*last = slot->run;
		}
	}
}

/* What has the length of ours stays, anything else becomes zeros; in memory that is really there:
 * no SIGBUS when the file system is full. */
static int map_slots(struct counters *c)
{
	const size_t len = 2 * sizeof(struct slot);
	struct stat st;

	if (fstat(c->fd, &st) || (st.st_size != (off_t)len && ftruncate(c->fd, 0)))
		return -errno;
	const int ret = posix_fallocate(c->fd, 0, (off_t)len);
	if (ret)
		return -ret;
	void *const slots = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (slots == MAP_FAILED)
		return -errno;
	c->slot = slots;
	return 0;
}

int counters_open(struct counters **out, const char *name, struct stats_last_run *last,
		  struct err *err)
{
	struct counters *c = calloc(1, sizeof(*c));
	int ret = -ENAMETOOLONG;

	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	c->fd = -1;
	if (snprintf(c->name, sizeof(c->name), "%s", name) >= (int)sizeof(c->name))
		goto fail;
	c->fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (c->fd < 0 || flock(c->fd, LOCK_EX | LOCK_NB)) {
		ret = errno == EWOULDBLOCK ? -EBUSY : -errno;
		goto fail;
	}
	if ((ret = map_slots(c)))
		goto fail;
	read_last(c, last);
	*out = c;
	return 0;
fail:
	counters_close(c, false);
	return err_set(err, ret, "cannot keep counters in %s: %s", name,
		       ret == -EBUSY ? "another probe has it" : strerror(-ret));
}

void counters_close(struct counters *c, bool remove)
{
	if (!c)
		return;
	if (remove)
		(void)unlink(c->name);
	if (c->slot)
		(void)munmap(c->slot, 2 * sizeof(struct slot));
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c);
}

void counters_write(struct counters *c, const struct ledger *ledger, uint64_t now_ns)
{
	struct slot slot;

	if (!c)
		return;
	memset(&slot, 0, sizeof(slot)); /* its holes too */
	slot.magic = MAGIC;
	slot.fates = FATE_MAX;
	slot.number = ++c->number;
	slot.run.end_ns = now_ns;
	slot.run.seen = ledger->seen;
	memcpy(slot.run.fate, ledger->fate, sizeof(slot.run.fate));
	slot.crc = crc_of(&slot);
	c->slot[c->number % 2] = slot;
}
