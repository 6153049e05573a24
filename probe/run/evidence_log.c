#define _GNU_SOURCE /* renameat2 */
#include "run/evidence_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "run/evidence.h"

#define KEY_NEW EVIDENCE_KEY_FILE ".new"
/* A FIFO under this name must not stop us. */
#define KEY_FLAGS (O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
/* vxprobe-chain-key 1 SECRET BASE\n, then the lines. */
#define KEY_HEAD     "vxprobe-chain-key 1 %n%*64s%n %" SCNu64 "%n"
#define KEY_HEAD_MAX 128u
/* Chains that were put aside; somebody looks at them before there are so many. */
#define ASIDE_MAX 1000

/* ---- key file ---- */

/* The last whole line of text: where it begins. */
static size_t last_line(const char *text, size_t len)
{
	size_t at = len - 1;

	while (at > 0 && text[at - 1] != '\n')
		at--;
	return at;
}

/* The head of the key file up to its newline, then lines, the last of which is the chain's. */
static bool parse_key(struct evidence_log *log, char *text, size_t len)
{
	int secret = 0, secret_end = 0, head = 0;
	struct err err;

	/* The secret is read where it stands: no copy is left behind. */
	if (strnlen(text, len) != len ||
	    sscanf(text, KEY_HEAD, &secret, &secret_end, &log->base, &head) != 1 ||
	    secret_end - secret != 2 * (int)CHAIN_KEY || text[head] != '\n')
		return false;
	const char *lines = text + head + 1;
	log->pending = len - (size_t)head - 1;
	if (!log->pending || log->pending > sizeof(log->lines) || lines[log->pending - 1] != '\n' ||
	    !chain_read_hex(text + secret, log->signer.secret, CHAIN_KEY))
		return false;
	struct chain_entry *last = malloc(sizeof(*last));
	const size_t at = last_line(lines, log->pending), n = log->pending - at - 1;
	const bool ok = last && !chain_parse(last, lines + at, n, &err);
	if (ok) {
		log->signer.sequence = last->sequence;
		chain_hash(lines + at, n, log->signer.hash);
		memcpy(log->lines, lines, log->pending);
	}
	free(last);
	return ok;
}

/* Also whether the secret fits what the last line names is for the next entry's reader to see.
 * -ENOENT: there is none; -EBADMSG: what is there is none; else it cannot be read now. */
static int read_key(struct evidence_log *log)
{
	static const size_t cap = KEY_HEAD_MAX + EVIDENCE_LOG_PENDING;
	const int fd = openat(log->dir_fd, EVIDENCE_KEY_FILE, KEY_FLAGS | O_RDONLY);

	if (fd < 0)
		return errno == ELOOP ? -EBADMSG : -errno; /* a symbolic link */
	char *text = malloc(cap + 1);
	const ssize_t n = text ? io_read_at(fd, text, cap, 0) : -ENOMEM;
	int ret = (int)n;
	if (n >= 0) {
		text[n] = 0;
		ret = n && parse_key(log, text, (size_t)n) ? 0 : -EBADMSG;
		explicit_bzero(text, cap);
	}
	free(text);
	(void)close(fd);
	return ret;
}

static int write_all(int fd, const char *data, size_t len, uint64_t at)
{
	while (len > 0) {
		const ssize_t n = pwrite(fd, data, len, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		data += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

/* What a disk keeps of overwritten blocks is not in our hands: vxprobe-files(7) says so. Whoever
 * can write to the folder may have put a second name of another file there: that one is left alone.
 */
static void wipe(int fd)
{
	static const char zeroes[4096];
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_nlink > 1)
		return;
	for (off_t at = 0; at < st.st_size; at += (off_t)sizeof(zeroes))
		(void)write_all(fd, zeroes, sizeof(zeroes), (uint64_t)at);
	(void)fdatasync(fd);
}

/* Overwrites and removes the key file that is not in force: the one before, or what a commit that
 * did not come to its end left. First it must be sure on the disk which of the two it is. */
static int clear_new(const struct evidence_log *log)
{
	const int fd = openat(log->dir_fd, KEY_NEW, KEY_FLAGS | O_WRONLY);

	if (fd < 0 && (errno == ENOENT || errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		return errno == ENOENT ? 0 : -errno;
	/* What else cannot be opened is none of ours. */
	const int ret = fsync(log->dir_fd) ? -errno : 0;
	if (!ret && fd >= 0)
		wipe(fd);
	if (fd >= 0)
		(void)close(fd);
	return ret || !unlinkat(log->dir_fd, KEY_NEW, 0) ? ret : -errno;
}

static int write_new_key(const struct evidence_log *log, int fd)
{
	char head[KEY_HEAD_MAX], secret[2 * CHAIN_KEY + 1];

	chain_hex(log->signer.secret, CHAIN_KEY, secret);
	const int n = snprintf(head, sizeof(head), "vxprobe-chain-key 1 %s %" PRIu64 "\n", secret,
			       log->base);
	int ret = write_all(fd, head, (size_t)n, 0);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(head, sizeof(head));
	if (!ret)
		ret = write_all(fd, log->lines, log->pending, (uint64_t)n);
	return ret || !fsync(fd) ? ret : -errno;
}

/* For file systems that cannot exchange names, as NFS: a crash here may leave the old key's blocks
 * as they were. */
static int rename_key(const struct evidence_log *log)
{
	const int old = openat(log->dir_fd, EVIDENCE_KEY_FILE, KEY_FLAGS | O_WRONLY);
	int ret = 0;

	if (renameat(log->dir_fd, KEY_NEW, log->dir_fd, EVIDENCE_KEY_FILE) || fsync(log->dir_fd))
		ret = -errno;
	else if (old >= 0)
		wipe(old);
	if (old >= 0)
		(void)close(old);
	return ret;
}

/* The old key keeps a name until it is overwritten, so that whatever happens in between the next
 * commit finds it. */
static int put_in_force(const struct evidence_log *log)
{
	if (renameat2(log->dir_fd, KEY_NEW, log->dir_fd, EVIDENCE_KEY_FILE, RENAME_EXCHANGE))
		return rename_key(log); /* also where there is no old one */
	return clear_new(log);
}

static int replace_key(const struct evidence_log *log)
{
	int ret = clear_new(log);

	if (ret)
		return ret;
	const int fd = openat(log->dir_fd, KEY_NEW, KEY_FLAGS | O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return -errno;
	ret = write_new_key(log, fd);
	(void)close(fd);
	if (!ret)
		return put_in_force(log);
	(void)clear_new(log); /* it is the secret that signs what comes next */
	return ret;
}

/* ---- chain ---- */

/* Behind what somebody may have added meanwhile: it is for the reader to see, not to be hidden. */
static int follow_chain(struct evidence_log *log)
{
	struct stat st;
	char last = '\n';

	if (fstat(log->chain_fd, &st))
		return -errno;
	if ((uint64_t)st.st_size == log->base)
		return 0;
	log->base = (uint64_t)st.st_size;
	if (log->base && io_read_at(log->chain_fd, &last, 1, log->base - 1) != 1)
		return -EIO;
	if (last == '\n')
		return 0;
	const int ret = write_all(log->chain_fd, "\n", 1, log->base);
	log->base += !ret;
	return ret;
}

static int append(struct evidence_log *log)
{
	const int ret = write_all(log->chain_fd, log->lines, log->pending, log->base);

	if (!ret && !fdatasync(log->chain_fd))
		return 0;
	const int error = ret ? ret : -errno;
	(void)!ftruncate(log->chain_fd, (off_t)log->base);
	return error;
}

int evidence_log_commit(struct evidence_log *log)
{
	if (!log->pending)
		return 0;
	int ret = follow_chain(log);
	if (ret || (ret = replace_key(log)) || (ret = append(log)))
		return ret;
	log->base += log->pending;
	log->pending = 0;
	return 0;
}

bool evidence_log_is_full(const struct evidence_log *log)
{
	return sizeof(log->lines) - log->pending < CHAIN_LINE_MAX + 1;
}

int evidence_log_add(struct evidence_log *log, struct chain_entry *entry)
{
	size_t len;

	if (evidence_log_is_full(log))
		return -ENOBUFS;
	const int ret = chain_sign(&log->signer, entry, log->lines + log->pending, &len);
	log->pending += ret ? 0 : len;
	return ret;
}

/* ---- open ---- */

/* The chain as the key file knows it, or that with a beginning of the lines that wait. */
static bool ends_as_left(const struct evidence_log *log, uint64_t size)
{
	char *tail = malloc(EVIDENCE_LOG_PENDING);
	bool ok = false;

	if (tail && size >= log->base && size - log->base <= log->pending) {
		const size_t n = (size_t)(size - log->base);
		ok = io_read_at(log->chain_fd, tail, n, log->base) == (ssize_t)n &&
		     !memcmp(tail, log->lines, n);
	}
	free(tail);
	return ok;
}

/* Writes what a crash kept out of the chain. */
static int mend(struct evidence_log *log, struct err *err)
{
	struct stat st;
	int ret = fstat(log->chain_fd, &st) ? -errno : 0;

	if (!ret && ends_as_left(log, (uint64_t)st.st_size)) {
		ret = append(log);
		log->base += log->pending;
	} else if (!ret) {
		log->is_altered = true;
		log->base = UINT64_MAX; /* follow_chain finds the end */
		ret = follow_chain(log);
	}
	log->pending = 0;
	return ret ? err_set(err, ret, "cannot finish %s: %s", CHAIN_FILE, strerror(-ret)) : 0;
}

static int put_aside(struct evidence_log *log, struct err *err)
{
	for (unsigned i = 1; i <= ASIDE_MAX; i++) {
		(void)snprintf(log->aside, sizeof(log->aside), "%s.%u", CHAIN_FILE, i);
		if (!renameat2(log->dir_fd, CHAIN_FILE, log->dir_fd, log->aside, RENAME_NOREPLACE))
			return 0;
		if (errno != EEXIST)
			break;
	}
	return err_set(err, -errno, "cannot rename %s to %s: %s", CHAIN_FILE, log->aside,
		       strerror(errno));
}

/* The lock is on a file, which may have lost its name to put_aside of another process. */
static int lock_chain(const struct evidence_log *log, struct err *err)
{
	struct stat locked, named;

	if (flock(log->chain_fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
		return err_set(err, -EBUSY,
			       "%s is kept by another process: stop it or use another folder",
			       CHAIN_FILE);
	if (fstat(log->chain_fd, &locked) || !S_ISREG(locked.st_mode))
		return err_set(err, -EINVAL, "%s is no regular file: remove it", CHAIN_FILE);
	if (fstatat(log->dir_fd, CHAIN_FILE, &named, AT_SYMLINK_NOFOLLOW) ||
	    named.st_ino != locked.st_ino)
		return err_set(err, -EBUSY, "%s is being replaced by another process", CHAIN_FILE);
	return 0;
}

static int open_chain(struct evidence_log *log, struct err *err)
{
	/* 0640 as of the files that it tells of. */
	log->chain_fd = openat(log->dir_fd, CHAIN_FILE,
			       O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
	if (log->chain_fd < 0)
		return err_set(err, -errno, "cannot open %s: %s", CHAIN_FILE, strerror(errno));
	return lock_chain(log, err);
}

/* The old one stays locked until the new one is. */
static int begin_anew(struct evidence_log *log, struct err *err)
{
	const int old = log->chain_fd;
	int ret = put_aside(log, err);

	if (ret)
		return ret;
	ret = open_chain(log, err);
	(void)close(old);
	return ret;
}

static int begin(struct evidence_log *log, struct err *err)
{
	struct stat st;
	int ret = 0;

	if (!fstat(log->chain_fd, &st) && st.st_size && (ret = begin_anew(log, err)))
		return ret;
	log->base = log->pending = 0;
	ret = chain_begin(&log->signer);
	return ret ? err_set(err, ret, "cannot make a key: OpenSSL refuses") : 0;
}

static int open_key(struct evidence_log *log, struct err *err)
{
	const int ret = read_key(log);

	if (!ret)
		return mend(log, err);
	if (ret == -ENOENT || ret == -EBADMSG)
		return begin(log, err);
	/* A chain that could go on must not be put aside for want of a descriptor. */
	return err_set(err, ret, "cannot read %s: %s", EVIDENCE_KEY_FILE, strerror(-ret));
}

int evidence_log_open(struct evidence_log *log, int dir_fd, struct err *err)
{
	log->dir_fd = dir_fd;
	log->pending = 0;
	log->aside[0] = 0;
	log->is_altered = false;
	(void)mlock(&log->signer, sizeof(log->signer)); /* it hardens only */
	int ret = open_chain(log, err);
	if (!ret)
		ret = open_key(log, err);
	if (ret)
		evidence_log_close(log);
	return ret;
}

void evidence_log_close(struct evidence_log *log)
{
	if (log->chain_fd >= 0)
		(void)close(log->chain_fd);
	log->chain_fd = -1;
	explicit_bzero(&log->signer, sizeof(log->signer));
}
