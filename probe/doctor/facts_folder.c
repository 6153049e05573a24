#define _GNU_SOURCE
#include "doctor/facts_part.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fscrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* A block device is encrypted if it is dm-crypt's, or if all that lies beneath it is. The depth
 * bounds what a strange /sys could make of us: disk, RAID, LVM, crypt are four. */
#define DEPTH_MAX 8

static bool is_encrypted(const char *device, unsigned depth)
{
	char path[PATH_MAX], uuid[16] = "";
	bool any = false, all = true;

	(void)snprintf(path, sizeof(path), "%s/dm/uuid", device);
	if (facts_read_line(path, uuid, sizeof(uuid)) && !strncmp(uuid, "CRYPT-", 6))
		return true;
	(void)snprintf(path, sizeof(path), "%s/slaves", device);
	DIR *slaves = depth < DEPTH_MAX ? opendir(path) : NULL;
	if (!slaves)
		return false;
	for (struct dirent *e; (e = readdir(slaves));) {
		if (e->d_name[0] == '.')
			continue;
		any = true;
		if (snprintf(path, sizeof(path), "%s/slaves/%s", device, e->d_name) >=
			    (int)sizeof(path) ||
		    !is_encrypted(path, depth + 1))
			all = false;
	}
	(void)closedir(slaves);
	return any && all;
}

bool facts_is_dm_crypt(const char *device)
{
	return is_encrypted(device, 0);
}

static bool is_fscrypt(int fd)
{
	struct fscrypt_get_policy_ex_arg policy = {.policy_size = sizeof(policy.policy)};

	return !ioctl(fd, FS_IOC_GET_ENCRYPTION_POLICY_EX, &policy);
}

/* What a file system lies on. That of btrfs has a number without a block device, but names one. */
static void name_device(char *path, size_t len, const char *source, const char *number)
{
	struct stat st;

	if (!stat(source, &st) && S_ISBLK(st.st_mode))
		(void)snprintf(path, len, "/sys/dev/block/%u:%u", major(st.st_rdev),
			       minor(st.st_rdev));
	else
		(void)snprintf(path, len, "/sys/dev/block/%s", number);
}

/* proc(5), mountinfo: ID parent MAJ:MIN root MOUNTPOINT options ... - FSTYPE SOURCE options. */
static bool find_mount(struct doctor_facts *f, int fd, char *device, size_t device_len)
{
	struct statx here;
	char *line = NULL;
	size_t cap = 0;
	bool found = false;
	FILE *file = fopen("/proc/self/mountinfo", "re");

	if (!file)
		return false;
	const bool known =
		!statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &here) && here.stx_mask & STATX_MNT_ID;
	while (known && !found && getline(&line, &cap, file) > 0) {
		unsigned long long id;
		char number[32], source[PATH_MAX];
		const char *type = strstr(line, " - ");

		found = type && sscanf(line, "%llu", &id) == 1 && id == here.stx_mnt_id &&
			sscanf(line, "%*u %*u %31s %*s %4095s", number, f->folder_mount) == 2 &&
			sscanf(type, " - %31s %4095s", f->folder_fstype, source) == 2;
		if (found)
			name_device(device, device_len, source, number);
	}
	free(line);
	(void)fclose(file);
	return found;
}

static const char *encryption(const struct doctor_facts *f, int fd, const char *device)
{
	if (!strcmp(f->folder_fstype, "ecryptfs"))
		return "ecryptfs";
	if (is_fscrypt(fd))
		return "fscrypt";
	return facts_is_dm_crypt(device) ? "dm-crypt" : "none";
}

/* -EINVAL is the file system's no; where it cannot make such files, nothing is known. */
static void ask_direct(struct doctor_facts *f, int fd)
{
	const int file = openat(fd, ".", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);

	if (file >= 0 || errno == EINVAL)
		f->folder_direct = file >= 0;
	if (file >= 0)
		(void)close(file);
}

static void make_absolute(struct doctor_facts *f)
{
	char *absolute = realpath(f->folder, NULL);

	if (absolute)
		(void)snprintf(f->folder, sizeof(f->folder), "%s", absolute);
	free(absolute);
}

void facts_folder(struct doctor_facts *f)
{
	const int fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statvfs space;
	char device[64];

	if (fd >= 0)
		f->folder_exists = 1;
	else if (errno == ENOENT || errno == ENOTDIR)
		f->folder_exists = 0;
	if (fd < 0)
		return;
	make_absolute(f);
	f->folder_writable = !faccessat(fd, ".", W_OK | X_OK, AT_EACCESS);
	if (!fstatvfs(fd, &space)) {
		f->folder_read_only = !!(space.f_flag & ST_RDONLY);
		f->folder_free = (int64_t)(space.f_bavail * space.f_frsize);
	}
	if (find_mount(f, fd, device, sizeof(device)))
		(void)snprintf(f->folder_encryption, sizeof(f->folder_encryption), "%s",
			       encryption(f, fd, device));
	ask_direct(f, fd);
	(void)close(fd);
}
