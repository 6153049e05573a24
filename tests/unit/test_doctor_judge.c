#include "doctor/facts_json.h"
#include "doctor/judge.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct doctor_facts facts;
static struct findings findings;
static struct err err;

#define SET(field, text) (void)snprintf(facts.field, sizeof(facts.field), "%s", text)

/* A host and a veth with nothing to find fault with; tests spoil it. */
static void be_fit(void)
{
	facts_init(&facts);
	SET(os, "debian");
	SET(kernel, "6.18.0");
	SET(clock, "tsc");
	SET(clocks_available, "tsc kvm-clock acpi_pm");
	SET(interface, "eth1");
	SET(driver, "veth");
	SET(driver_version, "1.0");
	facts.btf = facts.up = facts.carrier = 1;
	facts.cap_bpf = facts.cap_perfmon = facts.cap_sys_admin = 1;
	facts.cap_net_admin = facts.cap_net_raw = facts.cap_ipc_lock = 1;
	facts.memlock = 8 << 20;
	facts.memory_available = 8ll << 30;
	facts.cpus = 4;
	facts.huge_pages = facts.lro = facts.gro_hw = facts.udp_gro_forwarding = 0;
	facts.huge_page_len = 2 << 20;
	facts.mtu = 1700;
	facts.queues = facts.queues_max = 2;
	facts.queues_combined = facts.default_route = facts.xdp_program = 0;
	facts.xdp_native = facts.xdp_multi_buffer = 1;
	facts.xdp_zero_copy = facts.xdp_zero_copy_buffers = 0;
}

static void be_in_folder(void)
{
	be_fit();
	SET(folder, "/var/lib/vxprobe");
	SET(folder_fstype, "ext4");
	SET(folder_mount, "/var");
	SET(folder_encryption, "dm-crypt");
	facts.folder_exists = facts.folder_writable = facts.folder_direct = 1;
	facts.folder_read_only = 0;
	facts.folder_free = 100ll << 30;
}

/* An ENA with 4 of 8 queues at MTU 1600 on a kernel that tells no XDP features. */
static void be_ena(const char *version)
{
	be_fit();
	SET(driver, "ena");
	SET(driver_version, version);
	facts.queues = 4;
	facts.queues_max = 8;
	facts.queues_combined = 1;
	facts.ring = facts.ring_max = 8192;
	facts.mtu = 1600;
	facts.xdp_native = facts.xdp_multi_buffer = FACT_UNKNOWN;
	facts.xdp_zero_copy = facts.xdp_zero_copy_buffers = FACT_UNKNOWN;
}

static const struct finding *find(const char *id)
{
	for (unsigned i = 0; i < findings.n; i++)
		if (!strcmp(findings.finding[i].id, id))
			return &findings.finding[i];
	cr_assert(false, "no finding %s", id);
	return NULL;
}

/* command NULL: none; else it is this one. */
static void expect(const char *id, enum verdict verdict, const char *command)
{
	judge(&findings, &facts);
	const struct finding *f = find(id);

	cr_assert_eq(f->verdict, verdict, "%s is %s, not %s: %s", id, verdict_text[f->verdict],
		     verdict_text[verdict], f->text);
	cr_assert_str_eq(f->command, command ? command : "", "%s: %s", id, f->command);
}

/* Some command with this in it. */
static void expect_mend(const char *id, enum verdict verdict, const char *part)
{
	judge(&findings, &facts);
	const struct finding *f = find(id);

	cr_assert_eq(f->verdict, verdict, "%s is %s: %s", id, verdict_text[f->verdict], f->text);
	cr_assert(strstr(f->command, part), "%s: '%s' is not in '%s'", id, part, f->command);
}

static void expect_text(const char *id, const char *part)
{
	judge(&findings, &facts);
	cr_assert(strstr(find(id)->text, part), "'%s' is not in '%s'", part, find(id)->text);
}

static enum verdict worst(void)
{
	judge(&findings, &facts);
	return judge_worst(&findings);
}

/* ---- the whole ---- */

Test(doctor_judge, finds_nothing_at_a_fit_host)
{
	be_in_folder();
	cr_assert_eq(worst(), VERDICT_OK);
	for (unsigned i = 0; i < findings.n; i++)
		cr_assert_lt(findings.finding[i].verdict, VERDICT_WARN, "%s",
			     findings.finding[i].id);
}

Test(doctor_judge, same_facts_give_same_findings)
{
	static struct findings first;

	be_ena("2.13.1g");
	judge(&findings, &facts);
	first = findings;
	judge(&findings, &facts);
	for (unsigned i = 0; i < findings.n; i++) {
		cr_assert_str_eq(first.finding[i].text, findings.finding[i].text);
		cr_assert_str_eq(first.finding[i].command, findings.finding[i].command);
	}
}

Test(doctor_judge, unknown_facts_are_notes_without_fault)
{
	facts_init(&facts);
	SET(interface, "eth1");
	SET(folder, "/x");
	cr_assert_eq(worst(), VERDICT_OK);
	for (unsigned i = 0; i < findings.n; i++) {
		cr_assert_leq(findings.finding[i].verdict, VERDICT_NOTE, "%s: %s",
			      findings.finding[i].id, findings.finding[i].text);
		cr_assert(*findings.finding[i].text, "%s says nothing", findings.finding[i].id);
	}
}

Test(doctor_judge, folder_is_judged_only_if_asked)
{
	be_fit();
	judge(&findings, &facts);
	for (unsigned i = 0; i < findings.n; i++)
		cr_assert_str_neq(findings.finding[i].id, "folder");
}

Test(doctor_judge, commands_quote_names)
{
	be_in_folder();
	SET(interface, "a;b");
	facts.up = 0;
	expect("link", VERDICT_FAIL, "ip link set dev 'a;b' up");
	SET(folder, "/it's here");
	facts.folder_exists = 0;
	expect("folder", VERDICT_FAIL, "mkdir -p '/it'\\''s here'");
}

/* ---- host ---- */

Test(doctor_judge, kernel_floor_is_5_18)
{
	be_fit();
	SET(kernel, "5.18.0");
	expect("kernel", VERDICT_OK, NULL);
	SET(kernel, "5.17.9-generic");
	expect_mend("kernel", VERDICT_FAIL, "backports");
	SET(os, "amzn");
	expect_mend("kernel", VERDICT_FAIL, "dnf install -y kernel6.12");
	SET(os, "unheard-of");
	expect_mend("kernel", VERDICT_FAIL, "reboot");
	SET(kernel, "10.1");
	expect("kernel", VERDICT_OK, NULL);
}

Test(doctor_judge, missing_btf_is_a_note_with_a_command)
{
	be_fit();
	facts.btf = 0;
	expect_mend("btf", VERDICT_NOTE, "linux-image");
}

Test(doctor_judge, capabilities_that_lack_are_named)
{
	be_fit();
	facts.cap_sys_admin = facts.cap_perfmon = 0;
	expect_mend("capabilities", VERDICT_FAIL, "setcap cap_bpf,cap_perfmon");
	expect_text("capabilities", "lacks CAP_PERFMON:");
	facts.cap_sys_admin = 1; /* stands for both of BPF's */
	facts.cap_bpf = 0;
	expect("capabilities", VERDICT_OK, NULL);
	facts.cap_net_raw = facts.cap_net_admin = 0;
	expect_text("capabilities", "lacks CAP_NET_ADMIN, CAP_NET_RAW:");
}

Test(doctor_judge, locked_memory_counts_without_ipc_lock)
{
	be_fit();
	facts.cap_ipc_lock = 0;
	expect_mend("memlock", VERDICT_FAIL, "cap_ipc_lock");
	/* 2 queues of 4 workers' 4,096 chunks and 256, of 4 KiB. */
	facts.memlock = 2ll * (4 * 4096 + 256) * 4096;
	expect("memlock", VERDICT_OK, NULL);
	facts.memlock--;
	expect_mend("memlock", VERDICT_FAIL, "setcap");
}

Test(doctor_judge, too_little_memory_fails)
{
	be_fit();
	facts.memory_available = 200 << 20;
	expect_mend("memory", VERDICT_FAIL, "--ring 512");
	facts.huge_pages = 512;
	expect("memory", VERDICT_FAIL, "sysctl -w vm.nr_hugepages=0");
	expect("huge-pages", VERDICT_NOTE, "sysctl -w vm.nr_hugepages=0");
	expect_text("huge-pages", "1024 MiB");
}

Test(doctor_judge, slow_clock_has_the_command_for_a_faster_one)
{
	be_fit();
	SET(clock, "xen");
	SET(clocks_available, "xen tsc hpet acpi_pm");
	expect_mend("clock", VERDICT_WARN, "echo tsc > /sys/devices/system/clocksource/");
	SET(clock, "hpet");
	SET(clocks_available, "hpet kvm-clock");
	expect_mend("clock", VERDICT_WARN, "echo kvm-clock > ");
	SET(clocks_available, "hpet tsc-early");
	expect("clock", VERDICT_NOTE, NULL);
	SET(clock, "kvm-clock");
	expect("clock", VERDICT_OK, NULL);
}

/* ---- interface ---- */

Test(doctor_judge, link_must_be_up)
{
	be_fit();
	facts.up = 0;
	expect("link", VERDICT_FAIL, "ip link set dev eth1 up");
	facts.up = 1;
	facts.carrier = 0;
	expect("link", VERDICT_WARN, "ip link set dev eth1 down && ip link set dev eth1 up");
}

Test(doctor_judge, foreign_program_fails_with_what_takes_it_off)
{
	be_fit();
	facts.xdp_program = 7;
	SET(xdp_program_mode, "native");
	expect("program", VERDICT_FAIL, "ip link set dev eth1 xdpdrv off");
	SET(xdp_program_mode, "generic");
	expect("program", VERDICT_FAIL, "ip link set dev eth1 xdpgeneric off");
	facts.xdp_link = 3;
	expect("program", VERDICT_FAIL, "bpftool link detach id 3");
	SET(xdp_program_name, "steer");
	expect("program", VERDICT_NOTE, NULL);
}

Test(doctor_judge, generic_only_names_a_better_interface)
{
	be_fit();
	SET(driver, "dummy");
	facts.xdp_native = facts.xdp_multi_buffer = 0;
	expect("xdp", VERDICT_NOTE, NULL);
	SET(xdp_elsewhere, "eth2");
	expect("xdp", VERDICT_WARN, "vxprobe doctor -i eth2");
	facts.mtu = 9001; /* no driver's limit without a driver's XDP */
	expect("mtu", VERDICT_OK, NULL);
}

Test(doctor_judge, veth_with_too_few_queues_is_generic)
{
	be_fit();
	facts.xdp_native = 0;
	facts.queues = 1;
	expect("xdp", VERDICT_FAIL, "ethtool -L eth1 rx 2");
}

Test(doctor_judge, small_mtu_cuts_packets_of_1500_bytes)
{
	be_fit();
	facts.mtu = 1553;
	expect("mtu", VERDICT_WARN, "ip link set dev eth1 mtu 9001");
	facts.mtu = 1554;
	expect("mtu", VERDICT_OK, NULL);
	facts.xdp_multi_buffer = 0;
	facts.mtu = 1500;
	expect("mtu", VERDICT_WARN, "ip link set dev eth1 mtu 3498");
}

Test(doctor_judge, large_mtu_wants_linux_6_6)
{
	be_fit();
	SET(kernel, "6.5.13");
	facts.mtu = 3770;
	expect("mtu", VERDICT_OK, NULL);
	facts.mtu = 3771;
	expect("mtu", VERDICT_FAIL, "ip link set dev eth1 mtu 3498");
	SET(kernel, "6.6");
	expect("mtu", VERDICT_OK, NULL);
}

Test(doctor_judge, driver_without_a_name_is_the_driver)
{
	be_fit();
	SET(driver, "");
	facts.xdp_native = 0;
	facts.queues = FACT_UNKNOWN;
	expect_text("xdp", "slower: the driver has no XDP of its own, nor");
	expect_text("af-xdp", "copy: the driver has no zero-copy");
	expect_text("queues", "the driver does not tell its queues");
	SET(xdp_elsewhere, "eth0");
	expect_text("xdp", "slower: the driver has no XDP of its own; eth0 has");
}

Test(doctor_judge, driver_without_multi_buffer_has_an_mtu_limit)
{
	be_fit();
	facts.xdp_multi_buffer = 0;
	facts.mtu = 3498;
	expect("mtu", VERDICT_OK, NULL);
	expect("xdp", VERDICT_OK, NULL);
	facts.mtu = 3499;
	expect("mtu", VERDICT_FAIL, "ip link set dev eth1 mtu 3498");
	expect("xdp", VERDICT_NOTE, NULL);
}

Test(doctor_judge, zero_copy_takes_one_chunk)
{
	be_fit();
	facts.xdp_zero_copy = facts.xdp_zero_copy_buffers = 1;
	facts.mtu = 3770;
	expect("af-xdp", VERDICT_OK, NULL);
	facts.mtu = 3771;
	expect("af-xdp", VERDICT_NOTE, NULL);
	expect("mtu", VERDICT_NOTE, "ip link set dev eth1 mtu 3498");
	facts.xdp_zero_copy_buffers = 8;
	expect("af-xdp", VERDICT_OK, NULL);
	expect("mtu", VERDICT_OK, NULL);
}

Test(doctor_judge, queues_are_one_to_sixty_four)
{
	be_fit();
	facts.queues = 1;
	facts.queues_max = 8;
	facts.queues_combined = 1;
	expect("queues", VERDICT_WARN, "ethtool -L eth1 combined 4"); /* 4 CPUs */
	facts.queues_max = 1;
	expect("queues", VERDICT_NOTE, NULL);
	facts.queues = facts.queues_max = 128;
	expect("queues", VERDICT_FAIL, "ethtool -L eth1 combined 64");
	facts.queues_max = FACT_UNKNOWN;
	expect("queues", VERDICT_FAIL, "ethtool -L eth1 combined 64");
	facts.queues = 64;
	expect("queues", VERDICT_OK, NULL);
}

Test(doctor_judge, short_ring_is_a_warning)
{
	be_fit();
	facts.ring = 1024;
	facts.ring_max = 16384;
	expect("rings", VERDICT_WARN, "ethtool -G eth1 rx 4096");
	facts.ring_max = 2048;
	expect("rings", VERDICT_WARN, "ethtool -G eth1 rx 2048");
	facts.ring = 2048;
	expect("rings", VERDICT_OK, NULL);
}

Test(doctor_judge, merging_offloads_are_turned_off)
{
	be_fit();
	facts.udp_gro_forwarding = 1; /* behind native XDP */
	expect("offloads", VERDICT_OK, NULL);
	facts.gro_hw = 1;
	expect("offloads", VERDICT_WARN, "ethtool -K eth1 rx-gro-hw off");
	facts.lro = 1;
	facts.xdp_native = 0;
	expect("offloads", VERDICT_WARN,
	       "ethtool -K eth1 lro off rx-gro-hw off rx-udp-gro-forwarding off");
}

/* ---- ENA ---- */

Test(doctor_judge, ena_before_2_13_2_fails)
{
	static const char *const bad[] = {"2.7.3g", "2.13.0g", "2.13.1g"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		be_ena(bad[i]);
		expect_mend("driver", VERDICT_FAIL, "amzn-drivers");
	}
	be_ena("2.13.2g");
	expect_mend("driver", VERDICT_NOTE, "amzn-drivers");
	SET(os, "amzn");
	expect_mend("driver", VERDICT_NOTE, "dnf upgrade");
	be_ena("2.17.0g");
	expect("driver", VERDICT_OK, NULL);
}

Test(doctor_judge, ena_with_the_kernels_release_is_the_kernels_own)
{
	be_ena("6.18.0");
	expect("driver", VERDICT_OK, NULL);
	expect_mend("af-xdp", VERDICT_WARN, "amzn-drivers");
	be_ena("2.1.0K");
	expect_mend("af-xdp", VERDICT_WARN, "amzn-drivers");
	be_ena("2.13.2g");
	expect("af-xdp", VERDICT_OK, NULL);
}

Test(doctor_judge, ena_before_2_17_takes_half_of_its_queues)
{
	be_ena("2.16.1g");
	expect("queues", VERDICT_OK, NULL);
	facts.queues = 5;
	expect("queues", VERDICT_FAIL, "ethtool -L eth1 combined 4");
	expect("xdp", VERDICT_NOTE, NULL);
	be_ena("6.18.0");
	facts.queues = 8;
	expect("queues", VERDICT_FAIL, "ethtool -L eth1 combined 4");
	be_ena("2.17.0g");
	facts.queues = 8;
	expect("queues", VERDICT_OK, NULL);
	expect("xdp", VERDICT_OK, NULL);
}

Test(doctor_judge, ena_with_one_queue_wants_another_driver)
{
	be_ena("2.13.2g");
	facts.queues = facts.queues_max = 1;
	expect_mend("queues", VERDICT_FAIL, "amzn-drivers");
}

Test(doctor_judge, ena_mtu_limits_by_version)
{
	be_ena("6.18.0");
	facts.mtu = 3499;
	expect("mtu", VERDICT_FAIL, "ip link set dev eth1 mtu 3498");
	be_ena("2.14.0g");
	facts.mtu = 3502;
	expect("mtu", VERDICT_OK, NULL);
	expect("af-xdp", VERDICT_OK, NULL);
	facts.mtu = 3503;
	expect("mtu", VERDICT_WARN, "ip link set dev eth1 mtu 3502");
	expect("af-xdp", VERDICT_NOTE, NULL);
	expect_text("xdp", "native if");
}

Test(doctor_judge, ena_on_the_default_route_is_noted)
{
	be_ena("2.17.0g");
	facts.default_route = 1;
	expect("route", VERDICT_NOTE, NULL);
	SET(driver, "veth");
	expect("route", VERDICT_OK, NULL);
}

static void load(const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "tests/doctor/%s.json", name);
	cr_assert_eq(facts_from_file(&facts, path, &err), 0, "%s", err.text);
}

Test(doctor_judge, recorded_ena_are_fit_once_mended)
{
	load("ena-intree");
	cr_assert_eq(worst(), VERDICT_FAIL);
	facts.queues = 4;
	facts.mtu = 3498;
	facts.ring = 4096;
	expect("xdp", VERDICT_OK, NULL);
	cr_assert_eq(worst(), VERDICT_WARN); /* copy mode stays */
	load("ena-2.13.2");
	cr_assert_eq(worst(), VERDICT_FAIL);
	facts.mtu = 3498;
	facts.ring = 4096;
	expect("af-xdp", VERDICT_OK, NULL);
	cr_assert_eq(worst(), VERDICT_OK);
	load("ena-2.17");
	cr_assert_eq(worst(), VERDICT_WARN);
	facts.mtu = 3502;
	facts.ring = 4096;
	expect("af-xdp", VERDICT_OK, NULL);
	cr_assert_eq(worst(), VERDICT_OK);
}

/* ---- folder ---- */

Test(doctor_judge, folder_must_be_there_and_writable)
{
	be_in_folder();
	facts.folder_exists = 0;
	expect("folder", VERDICT_FAIL, "mkdir -p /var/lib/vxprobe");
	be_in_folder();
	facts.folder_writable = 0;
	facts.uid = 990;
	expect("folder", VERDICT_FAIL, "chown 990 /var/lib/vxprobe");
	facts.folder_read_only = 1;
	expect("folder", VERDICT_FAIL, "mount -o remount,rw /var");
	be_in_folder();
	SET(folder_fstype, "tmpfs");
	expect_mend("folder", VERDICT_WARN, "mkdir -p /var/lib/vxprobe");
}

Test(doctor_judge, folder_needs_space)
{
	be_in_folder();
	facts.folder_free = (20ll << 30) - 1;
	expect_mend("space", VERDICT_WARN, "du -xh --max-depth=2 /var");
	facts.folder_free = (1ll << 30) - 1;
	expect_mend("space", VERDICT_FAIL, "du -xh");
}

Test(doctor_judge, folder_without_encryption_or_direct_io_is_noted)
{
	be_in_folder();
	SET(folder_encryption, "none");
	facts.folder_direct = 0;
	expect("encryption", VERDICT_NOTE, NULL);
	expect("direct-io", VERDICT_NOTE, NULL);
	SET(folder_encryption, "fscrypt");
	expect("encryption", VERDICT_OK, NULL);
}

/* ---- the promise: each fail and each warn has a command ---- */

static void be_host(unsigned which)
{
	static const char *const ena[] = {"6.18.0", "2.13.2g", "2.17.0g"};

	if (which == 0)
		be_in_folder();
	else
		be_ena(ena[which - 1]);
}

/* How many faults the facts have; each with a command that could be run. */
static unsigned count_faults(void)
{
	unsigned n = 0;

	judge(&findings, &facts);
	for (unsigned i = 0; i < findings.n; i++) {
		const struct finding *f = &findings.finding[i];
		if (f->verdict < VERDICT_WARN)
			continue;
		cr_assert(*f->command, "%s: %s", f->id, f->text);
		cr_assert(!strstr(f->command, "-1"), "%s: %s", f->id, f->command);
		n++;
	}
	return n;
}

/* Four hosts, and in each of them every flag and number, one by one, at values around the limits.
 */
Test(doctor_judge, every_fail_and_warn_has_a_command)
{
	static const int64_t values[] = {FACT_UNKNOWN, 0, 1, 2, 63, 65, 1500, 3499, 9001, 1 << 30};
	static int64_t *const fields[] = {
#define TEXT(name, len, meaning)
#define NUMBER(name, meaning) &facts.name,
#define FLAG(name, meaning)   &facts.name,
#include "doctor/facts.def"
#undef TEXT
#undef NUMBER
#undef FLAG
	};
	const size_t n_fields = sizeof(fields) / sizeof(fields[0]);
	const size_t n_values = sizeof(values) / sizeof(values[0]);
	unsigned faults = 0;

	for (size_t i = 0; i < 4 * n_fields * n_values; i++) {
		be_host((unsigned)(i / n_values / n_fields));
		*fields[i / n_values % n_fields] = values[i % n_values];
		faults += count_faults();
	}
	cr_assert_gt(faults, 100);
}
