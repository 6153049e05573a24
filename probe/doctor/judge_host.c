/* The rules on kernel and host. */
#include "doctor/judge_part.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "abi.h"

/* The newest kernel of this distribution's release that is of 6.6 or later, where it has one. */
static void mend_kernel(struct finding *f, const struct subject *s)
{
	static const struct {
		const char *os, *command;
	} known[] = {
		{"amzn", "dnf install -y kernel6.12 && reboot"},
		{"debian",
		 "apt-get install -y -t \"$(. /etc/os-release; echo $VERSION_CODENAME)-backports\" "
		 "\"linux-image-$(dpkg --print-architecture)\" && reboot"},
		{"ubuntu", "apt-get install -y linux-aws && reboot"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(s->facts->os, known[i].os))
			judge_mend(f, "%s", known[i].command);
	if (!*f->command)
		judge_mend(f, "dnf upgrade -y kernel && reboot");
}

enum verdict judge_kernel(struct finding *f, const struct subject *s)
{
	if (!*s->facts->kernel)
		return judge_say(f, VERDICT_NOTE, "unknown; Linux 5.18 or later is needed");
	if (judge_kernel_is(s, 6, 6))
		return judge_say(f, VERDICT_OK, "Linux %s", s->facts->kernel);
	if (judge_kernel_is(s, 5, 18))
		return judge_say(f, VERDICT_OK,
				 "Linux %s; packets over one buffer (MTU over 3,770) want 6.6",
				 s->facts->kernel);
	mend_kernel(f, s);
	return judge_say(f, VERDICT_FAIL, "Linux %s: the XDP program needs 5.18 or later",
			 s->facts->kernel);
}

/* Measured with /sys/kernel/btf hidden: the program loads, attaches and captures. */
enum verdict judge_btf(struct finding *f, const struct subject *s)
{
	if (s->facts->btf == 1)
		return judge_say(f, VERDICT_OK, "/sys/kernel/btf/vmlinux is there");
	if (s->facts->btf == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE, "unknown; vxprobe needs none");
	mend_kernel(f, s);
	return judge_say(f, VERDICT_NOTE,
			 "no /sys/kernel/btf/vmlinux: vxprobe needs none, tracing tools do");
}

/* ---- privileges ---- */

#define ALL_CAPABILITIES "cap_bpf,cap_perfmon,cap_net_admin,cap_net_raw,cap_ipc_lock"

static void mend_privileges(struct finding *f)
{
	judge_mend(f, "setcap " ALL_CAPABILITIES "+ep \"$(command -v vxprobe)\"");
}

static void add_missing(char *list, size_t len, int64_t there, const char *name)
{
	const size_t n = strlen(list);

	if (there == 0)
		(void)snprintf(list + n, len - n, "%s%s", n ? ", " : "", name);
}

/* Measured as nobody: without CAP_PERFMON the verifier refuses the program's pointer arithmetic. */
enum verdict judge_capabilities(struct finding *f, const struct subject *s)
{
	const struct doctor_facts *facts = s->facts;
	char missing[128] = "";

	if (facts->cap_net_admin == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE, "unknown; root has what is needed");
	if (facts->cap_sys_admin != 1) {
		add_missing(missing, sizeof(missing), facts->cap_bpf, "CAP_BPF");
		add_missing(missing, sizeof(missing), facts->cap_perfmon, "CAP_PERFMON");
	}
	add_missing(missing, sizeof(missing), facts->cap_net_admin, "CAP_NET_ADMIN");
	add_missing(missing, sizeof(missing), facts->cap_net_raw, "CAP_NET_RAW");
	if (!*missing)
		return judge_say(f, VERDICT_OK, "enough to load the program and open its sockets");
	mend_privileges(f);
	return judge_say(f, VERDICT_FAIL,
			 "this user lacks %s: run as root, or give them to vxprobe", missing);
}

/* ---- memory ---- */

static int64_t between(int64_t low, int64_t n, int64_t high)
{
	return n < low ? low : n > high ? high : n;
}

/* Threads of vxprobe run by default. */
static int64_t workers(const struct subject *s)
{
	return between(1, s->facts->cpus, 4);
}

/* What vxprobe run pins for packets with its defaults: for each queue 4,096 chunks for each of up
 * to four workers, and for a zero-copy driver's ring (attach_memory). */
static int64_t packet_memory(const struct subject *s)
{
	const int64_t queues = between(1, s->facts->queues, STEER_QUEUES_MAX);
	const int64_t spare = between(256, s->facts->ring, 65536);

	return queues * (workers(s) * 4096 + spare) * STEER_CHUNK;
}

/* All else with the defaults and a configuration file, as vxprobe run bounds it at its start
 * (plan.c): 336 MiB, and 113 MiB for each worker. A test holds them together. */
static int64_t other_memory(const struct subject *s)
{
	return (336 + workers(s) * 113) << 20;
}

enum verdict judge_memlock(struct finding *f, const struct subject *s)
{
	const int64_t need = packet_memory(s);

	if (s->facts->cap_ipc_lock == 1)
		return judge_say(f, VERDICT_OK, "not limited: CAP_IPC_LOCK");
	if (s->facts->memlock == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE, "the limit on locked memory is unknown");
	if (s->facts->memlock >= need)
		return judge_say(f, VERDICT_OK,
				 "%" PRId64 " MiB may be locked, %" PRId64 " MiB are needed",
				 s->facts->memlock >> 20, need >> 20);
	mend_privileges(f);
	return judge_say(f, VERDICT_FAIL,
			 "only %" PRId64 " KiB may be locked (ulimit -l), %" PRId64
			 " MiB are needed for packets",
			 s->facts->memlock >> 10, need >> 20);
}

enum verdict judge_memory(struct finding *f, const struct subject *s)
{
	const struct doctor_facts *facts = s->facts;
	const int64_t need = packet_memory(s) + other_memory(s);

	if (facts->memory_available == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE, "unknown; %" PRId64 " MiB are needed",
				 need >> 20);
	const bool enough = facts->memory_available >= need;
	if (!enough && facts->huge_pages > 0)
		judge_mend(f, "sysctl -w vm.nr_hugepages=0");
	else if (!enough)
		judge_mend(f, "vxprobe run -i %s --workers 1 --ring 512 -o DIR -r RECIPIENT",
			   s->interface);
	return judge_say(f, enough ? VERDICT_OK : VERDICT_FAIL,
			 "%" PRId64 " MiB are available, at most %" PRId64 " MiB are needed",
			 facts->memory_available >> 20, need >> 20);
}

enum verdict judge_huge_pages(struct finding *f, const struct subject *s)
{
	const int64_t n = s->facts->huge_pages, len = s->facts->huge_page_len;

	if (n <= 0 || len <= 0)
		return judge_say(f, VERDICT_OK, "none reserved, none needed");
	judge_mend(f, "sysctl -w vm.nr_hugepages=0");
	return judge_say(f, VERDICT_NOTE, "%" PRId64 " MiB reserved; vxprobe takes none of them",
			 (int64_t)((uint64_t)n * (uint64_t)(len >> 10) >> 10));
}

/* ---- clock: XDP reads it for every packet ---- */

#define CLOCK_FILE "/sys/devices/system/clocksource/clocksource0/current_clocksource"

static bool has_word(const char *list, const char *word)
{
	const size_t len = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += len)
		if ((p == list || p[-1] == ' ') && (!p[len] || p[len] == ' '))
			return true;
	return false;
}

enum verdict judge_clock(struct finding *f, const struct subject *s)
{
	static const char *const fast[] = {"tsc", "kvm-clock", "arch_sys_counter"};
	const char *clock = s->facts->clock, *better = NULL;

	if (!*clock)
		return judge_say(f, VERDICT_NOTE,
				 "unknown; tsc, kvm-clock, arch_sys_counter are fast");
	for (size_t i = 0; i < sizeof(fast) / sizeof(fast[0]); i++) {
		if (!strcmp(clock, fast[i]))
			return judge_say(f, VERDICT_OK, "%s", clock);
		if (!better && has_word(s->facts->clocks_available, fast[i]))
			better = fast[i];
	}
	if (!better)
		return judge_say(f, VERDICT_NOTE,
				 "%s is slow to read, which every packet does; there is no faster "
				 "one here",
				 clock);
	judge_mend(f, "echo %s > " CLOCK_FILE, better);
	return judge_say(f, VERDICT_WARN,
			 "%s is slow to read, which every packet does; %s is there, too", clock,
			 better);
}
