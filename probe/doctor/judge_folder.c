/* The rules on the output folder. */
#include "doctor/judge_part.h"

#include <inttypes.h>
#include <string.h>

enum verdict judge_folder(struct finding *f, const struct subject *s)
{
	const struct doctor_facts *facts = s->facts;

	if (facts->folder_exists == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE, "cannot be opened by this user");
	if (!facts->folder_exists) {
		judge_mend(f, "mkdir -p %s", s->folder);
		return judge_say(f, VERDICT_FAIL, "there is no folder %.200s", facts->folder);
	}
	if (facts->folder_read_only == 1) {
		judge_mend(f, "mount -o remount,rw %s", s->mount);
		return judge_say(f, VERDICT_FAIL, "the file system is mounted read-only");
	}
	if (facts->folder_writable == 0) {
		judge_mend(f, "chown %" PRId64 " %s", facts->uid == FACT_UNKNOWN ? 0 : facts->uid,
			   s->folder);
		return judge_say(f, VERDICT_FAIL, "this user may not write there");
	}
	if (!strcmp(facts->folder_fstype, "tmpfs") || !strcmp(facts->folder_fstype, "ramfs")) {
		judge_mend(f,
			   "mkdir -p /var/lib/vxprobe && vxprobe doctor -i %s -o /var/lib/vxprobe",
			   s->interface);
		return judge_say(f, VERDICT_WARN,
				 "%s: what is captured takes memory and is gone "
				 "after a reboot",
				 facts->folder_fstype);
	}
	return judge_say(f, VERDICT_OK, "writable, %s",
			 *facts->folder_fstype ? facts->folder_fstype : "unknown file system");
}

/* At 1 Gbit/s that does not compress: 9 s and 3 minutes. */
#define SPACE_LEAST  (1ll << 30)
#define SPACE_WANTED (20ll << 30)

enum verdict judge_space(struct finding *f, const struct subject *s)
{
	const int64_t len = s->facts->folder_free;

	if (len == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE, "unknown");
	if (len >= SPACE_WANTED)
		return judge_say(f, VERDICT_OK, "%" PRId64 " MiB are free", len / (1 << 20));
	judge_mend(f, "du -xh --max-depth=2 %s | sort -h | tail", s->mount);
	return judge_say(f, len < SPACE_LEAST ? VERDICT_FAIL : VERDICT_WARN,
			 "only %" PRId64
			 " MiB are free: a gigabit of traffic fills a GiB in 9 s; the "
			 "command shows what takes the space",
			 len / (1 << 20));
}

/* vxprobe encrypts each file to its recipients, whatever lies beneath. */
enum verdict judge_encryption(struct finding *f, const struct subject *s)
{
	const char *how = s->facts->folder_encryption;

	if (!*how)
		return judge_say(f, VERDICT_NOTE, "unknown");
	if (strcmp(how, "none"))
		return judge_say(f, VERDICT_OK, "by %s", how);
	return judge_say(f, VERDICT_NOTE,
			 "none seen beneath (EBS's own is not seen from here); the files are "
			 "encrypted unless that is turned off");
}

enum verdict judge_direct(struct finding *f, const struct subject *s)
{
	if (s->facts->folder_direct == 1)
		return judge_say(f, VERDICT_OK, "O_DIRECT works");
	return judge_say(f, VERDICT_NOTE, "%s",
			 s->facts->folder_direct == 0 ? "the file system has no O_DIRECT"
						      : "unknown whether O_DIRECT works");
}
