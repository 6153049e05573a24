#include "serve/metrics_part.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

/* Sums over processes, as far as all of them could be read. */
struct usage {
	uint64_t cpu_ns, virtual_len, resident_len, start_ns, open_fds, max_fds;
	bool has_stat, has_fds;
};

static FILE *open_proc(pid_t pid, const char *name)
{
	char path[64];

	if (pid)
		(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	else
		(void)snprintf(path, sizeof(path), "/proc/%s", name);
	return fopen(path, "re");
}

static uint64_t ticks_to_ns(uint64_t ticks)
{
	const uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);

	return ticks / per_second * SECOND_NS + ticks % per_second * SECOND_NS / per_second;
}

/* Seconds since 1970 when the machine started; 0: not to be had. */
static uint64_t boot_time(void)
{
	char line[256];
	uint64_t seconds = 0;
	FILE *f = open_proc(0, "stat");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "btime %" SCNu64, &seconds) == 1)
			break;
	if (f)
		(void)fclose(f);
	return seconds;
}

/* proc(5), /proc/PID/stat; the name in parentheses may hold anything. */
static bool add_stat(struct usage *sum, pid_t pid)
{
	char line[1024];
	uint64_t user, system, start, virtual_len, resident;
	FILE *f = open_proc(pid, "stat");
	const bool is_read = f && fgets(line, sizeof(line), f);
	const char *behind_name = is_read ? strrchr(line, ')') : NULL;

	if (f)
		(void)fclose(f);
	if (!behind_name ||
	    sscanf(behind_name,
		   ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
		   " %*d %*d %*d %*d %*d %*d %" SCNu64 " %" SCNu64 " %" SCNu64,
		   &user, &system, &start, &virtual_len, &resident) != 5)
		return false;
	sum->cpu_ns += ticks_to_ns(user + system);
	sum->virtual_len += virtual_len;
	sum->resident_len += resident * (uint64_t)sysconf(_SC_PAGESIZE);
	if (!sum->start_ns || ticks_to_ns(start) < sum->start_ns)
		sum->start_ns = ticks_to_ns(start);
	return true;
}

static bool add_open_fds(struct usage *sum, pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	DIR *dir = opendir(path);
	if (!dir)
		return false;
	for (const struct dirent *d; (d = readdir(dir));)
		sum->open_fds += *d->d_name != '.';
	(void)closedir(dir);
	return true;
}

static bool add_max_fds(struct usage *sum, pid_t pid)
{
	char line[256];
	uint64_t soft;
	bool found = false;
	FILE *f = open_proc(pid, "limits");

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "Max open files %" SCNu64, &soft) == 1;
	if (f)
		(void)fclose(f);
	sum->max_fds += found ? soft : 0;
	return found;
}

static struct usage usage_of(const pid_t *pids, unsigned n)
{
	struct usage sum = {.has_stat = true, .has_fds = true};

	for (unsigned i = 0; i < n; i++) {
		sum.has_stat = sum.has_stat && add_stat(&sum, pids[i]);
		sum.has_fds =
			sum.has_fds && add_open_fds(&sum, pids[i]) && add_max_fds(&sum, pids[i]);
	}
	return sum;
}

/* What cannot be read of every process is left out: a part of a sum would be wrong. */
void metrics_process(struct exposition *e, const struct view *v)
{
	const pid_t pids[] = {v->facts.starter, v->facts.capture, getpid()};

	if (!v->facts.starter)
		return;
	const struct usage u = usage_of(pids, 3);
	if (u.has_stat) {
		metrics_single_seconds(
			e, EXPOSITION_COUNTER, "process_cpu_seconds",
			"CPU time, user and system, of the probe's processes together.", u.cpu_ns);
		metrics_single(e, EXPOSITION_GAUGE, "process_virtual_memory_bytes", "bytes",
			       "Virtual memory of the probe's processes together.", u.virtual_len);
		metrics_single(e, EXPOSITION_GAUGE, "process_resident_memory_bytes", "bytes",
			       "Resident memory of the probe's processes together; what they share "
			       "counts for each.",
			       u.resident_len);
		metrics_single_seconds(
			e, EXPOSITION_GAUGE, "process_start_time_seconds",
			"When the first of the probe's processes started, since 1970.",
			boot_time() * SECOND_NS + u.start_ns);
	}
	if (u.has_fds) {
		metrics_single(e, EXPOSITION_GAUGE, "process_open_fds", "",
			       "Open file descriptors of the probe's processes together.",
			       u.open_fds);
		metrics_single(e, EXPOSITION_GAUGE, "process_max_fds", "",
			       "File descriptors that the probe's processes may open together.",
			       u.max_fds);
	}
}
