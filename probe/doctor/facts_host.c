#include "doctor/facts_part.h"

#include <cap-ng.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static void ask_kernel(struct doctor_facts *f)
{
	struct utsname name;

	if (!uname(&name))
		(void)snprintf(f->kernel, sizeof(f->kernel), "%s", name.release);
	f->btf = !access("/sys/kernel/btf/vmlinux", R_OK);
	f->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	f->uid = geteuid();
}

/* os-release(5): ID=debian, ID="amzn". */
static void ask_os(struct doctor_facts *f)
{
	char line[256];
	FILE *file = fopen("/etc/os-release", "re");

	if (!file)
		return;
	while (fgets(line, sizeof(line), file) && !*f->os)
		if (sscanf(line, "ID=%31[a-z0-9._-]", f->os) != 1)
			(void)sscanf(line, "ID=%*[\"']%31[a-z0-9._-]", f->os);
	(void)fclose(file);
}

static int64_t has(unsigned capability)
{
	return capng_have_capability(CAPNG_EFFECTIVE, capability);
}

static void ask_privileges(struct doctor_facts *f)
{
	struct rlimit limit;

	if (!capng_get_caps_process()) {
		f->cap_bpf = has(CAP_BPF);
		f->cap_perfmon = has(CAP_PERFMON);
		f->cap_sys_admin = has(CAP_SYS_ADMIN);
		f->cap_net_admin = has(CAP_NET_ADMIN);
		f->cap_net_raw = has(CAP_NET_RAW);
		f->cap_ipc_lock = has(CAP_IPC_LOCK);
	}
	if (!getrlimit(RLIMIT_MEMLOCK, &limit))
		f->memlock = limit.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)limit.rlim_cur;
}

static void ask_memory(struct doctor_facts *f)
{
	char line[128];
	int64_t kib;
	FILE *file = fopen("/proc/meminfo", "re");

	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %" SCNd64, &kib) == 1)
			f->memory_available = kib * 1024;
		else if (sscanf(line, "Hugepagesize: %" SCNd64, &kib) == 1)
			f->huge_page_len = kib * 1024;
		else
			(void)sscanf(line, "HugePages_Total: %" SCNd64, &f->huge_pages);
	}
	(void)fclose(file);
}

#define CLOCKS "/sys/devices/system/clocksource/clocksource0/"

void facts_host(struct doctor_facts *f)
{
	ask_kernel(f);
	ask_os(f);
	ask_privileges(f);
	ask_memory(f);
	(void)facts_read_line(CLOCKS "current_clocksource", f->clock, sizeof(f->clock));
	(void)facts_read_line(CLOCKS "available_clocksource", f->clocks_available,
			      sizeof(f->clocks_available));
}
