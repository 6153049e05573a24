/* The rules on the interface. ENA's come from its documentation and source; see the comments. */
#include "doctor/judge_part.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "abi.h"

enum verdict judge_link(struct finding *f, const struct subject *s)
{
	if (s->facts->up == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE, "unknown");
	if (!s->facts->up) {
		judge_mend(f, "ip link set dev %s up", s->interface);
		return judge_say(f, VERDICT_FAIL, "down: nothing can arrive");
	}
	if (!s->facts->carrier) {
		judge_mend(f, "ip link set dev %s down && ip link set dev %s up", s->interface,
			   s->interface);
		return judge_say(f, VERDICT_WARN, "up, but without carrier: nothing can arrive");
	}
	return judge_say(f, VERDICT_OK, "up");
}

/* ---- driver ---- */

/* Amazon Linux ships it with its kernel; elsewhere it is built (amzn-drivers, README.rst). */
void judge_mend_ena(struct finding *f, const struct subject *s)
{
	if (!strcmp(s->facts->os, "amzn"))
		judge_mend(f, "dnf upgrade -y --releasever=latest && reboot");
	else
		judge_mend(f, "git clone --depth 1 https://github.com/amzn/amzn-drivers && "
			      "make -C amzn-drivers/kernel/linux/ena && "
			      "install -D -m 644 -t \"/lib/modules/$(uname -r)/updates\" "
			      "amzn-drivers/kernel/linux/ena/ena.ko && depmod && reboot");
}

/* For a sentence. */
static const char *driver(const struct subject *s)
{
	return *s->facts->driver ? s->facts->driver : "the driver";
}

enum verdict judge_driver(struct finding *f, const struct subject *s)
{
	const struct doctor_facts *facts = s->facts;

	if (!*facts->driver)
		return judge_say(f, VERDICT_NOTE, "the interface does not name its driver");
	if (!s->ena)
		return judge_say(f, VERDICT_OK, "%s %s%s%s", facts->driver, facts->driver_version,
				 *facts->bus ? ", " : "", facts->bus);
	if (s->ena_in_tree)
		return judge_say(f, VERDICT_OK, "ena of the kernel itself, %s", facts->bus);
	if (!s->ena_version)
		return judge_say(f, VERDICT_NOTE,
				 "ena of unknown version; 2.13.2 or later is needed");
	/* 2.13.1 and before: memory corruption (issue 330), resets (221). */
	if (s->ena_version < 21302) {
		judge_mend_ena(f, s);
		return judge_say(f, VERDICT_FAIL,
				 "ena %s corrupts memory or resets under AF_XDP; 2.13.2 is the "
				 "first to trust, 2.17 the one to have",
				 facts->driver_version);
	}
	if (s->ena_version < 21700) {
		judge_mend_ena(f, s);
		return judge_say(f, VERDICT_NOTE,
				 "ena %s; 2.17 gives XDP all of its queues, this one half",
				 facts->driver_version);
	}
	return judge_say(f, VERDICT_OK, "ena %s, %s", facts->driver_version, facts->bus);
}

/* ---- XDP ---- */

enum verdict judge_program(struct finding *f, const struct subject *s)
{
	const struct doctor_facts *facts = s->facts;

	if (facts->xdp_program == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE,
				 "unknown whether another XDP program is attached");
	if (!facts->xdp_program)
		return judge_say(f, VERDICT_OK, "no other XDP program is attached");
	if (!strcmp(facts->xdp_program_name, "steer"))
		return judge_say(f, VERDICT_NOTE,
				 "a vxprobe is capturing here (program %" PRId64
				 "); a second one would be refused",
				 facts->xdp_program);
	if (facts->xdp_link > 0)
		judge_mend(f, "bpftool link detach id %" PRId64, facts->xdp_link);
	else
		judge_mend(f, "ip link set dev %s %s off", s->interface,
			   !strcmp(facts->xdp_program_mode, "generic")   ? "xdpgeneric"
			   : !strcmp(facts->xdp_program_mode, "offload") ? "xdpoffload"
									 : "xdpdrv");
	return judge_say(f, VERDICT_FAIL,
			 "XDP program %" PRId64 " (%s) is attached; vxprobe leaves it alone and "
			 "would not start",
			 facts->xdp_program,
			 *facts->xdp_program_name ? facts->xdp_program_name : "without a name");
}

static bool is_native(const struct subject *s)
{
	return s->native == 1 && !s->queues_block && !s->mtu_blocks;
}

/* veth has XDP only while it has as many RX queues as its peer has TX queues. */
static enum verdict judge_generic(struct finding *f, const struct subject *s)
{
	const struct doctor_facts *facts = s->facts;

	if (!strcmp(facts->driver, "veth") && facts->queues < facts->queues_max) {
		judge_mend(f, "ethtool -L %s rx %" PRId64, s->interface, facts->queues_max);
		return judge_say(f, VERDICT_FAIL,
				 "generic: veth has native XDP only with as many RX queues as its "
				 "peer has TX queues");
	}
	if (!*facts->xdp_elsewhere)
		return judge_say(f, VERDICT_NOTE,
				 "generic, slower: %s has no XDP of its own, nor has another "
				 "interface here",
				 driver(s));
	judge_mend(f, "vxprobe doctor -i %s", s->elsewhere);
	return judge_say(f, VERDICT_WARN, "generic, slower: %s has no XDP of its own; %s has",
			 driver(s), facts->xdp_elsewhere);
}

enum verdict judge_xdp(struct finding *f, const struct subject *s)
{
	if (is_native(s) && s->multi_buffer == FACT_UNKNOWN && s->facts->mtu > s->mtu_one_buffer)
		return judge_say(f, VERDICT_NOTE,
				 "native if this build of %s has multi-buffer, else generic; up to "
				 "MTU %" PRId64 " it is native",
				 s->facts->driver, s->mtu_one_buffer);
	if (is_native(s))
		return judge_say(f, VERDICT_OK, "native");
	if (s->native == 1)
		return judge_say(f, VERDICT_NOTE, "generic, slower, until %s mended; then native",
				 s->queues_block && s->mtu_blocks ? "queues and MTU are"
				 : s->queues_block                ? "the queues are"
								  : "the MTU is");
	if (s->native == 0)
		return judge_generic(f, s);
	return judge_say(f, VERDICT_NOTE,
			 "the kernel does not say whether %s has native XDP (6.3 does); "
			 "'vxprobe run --mode native' shows it",
			 driver(s));
}

enum verdict judge_af_xdp(struct finding *f, const struct subject *s)
{
	const struct doctor_facts *facts = s->facts;

	if (s->ena_in_tree) {
		judge_mend_ena(f, s);
		return judge_say(f, VERDICT_WARN,
				 "copy: the kernel's own ena has no zero-copy, Amazon's has it");
	}
	if (s->zero_copy == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE, "unknown; vxprobe takes zero-copy where it is");
	if (!s->zero_copy)
		return judge_say(f, VERDICT_NOTE, "copy: %s%s has no zero-copy", driver(s),
				 s->ena ? " of this version" : "");
	if (!is_native(s))
		return judge_say(f, VERDICT_NOTE, "copy; zero-copy once XDP is native");
	if (facts->mtu > s->mtu_zero_copy)
		return judge_say(f, VERDICT_NOTE, "copy: zero-copy takes MTU up to %" PRId64,
				 s->mtu_zero_copy);
	return judge_say(f, VERDICT_OK, "zero-copy");
}

/* ---- MTU ---- */

/* What mirroring adds, as AWS states it: 54 bytes over IPv4 (50 are on the wire). */
#define MIRROR_OVERHEAD 54
#define USUAL_MTU       1500
#define AWS_MTU         9001

/* The largest that costs nothing. */
static int64_t best_mtu(const struct subject *s)
{
	return s->multi_buffer == 1 && s->zero_copy != 1 && judge_kernel_is(s, 6, 6)
		       ? AWS_MTU
		       : s->mtu_one_buffer;
}

/* What is wrong with a large MTU; VERDICT_OK: nothing. */
static enum verdict judge_large_mtu(struct finding *f, const struct subject *s)
{
	const int64_t mtu = s->facts->mtu;

	if (s->mtu_blocks)
		return judge_say(f, VERDICT_FAIL,
				 "%" PRId64 ": %s takes native XDP up to %" PRId64
				 " and would fall back to generic",
				 mtu, s->facts->driver, s->mtu_one_buffer);
	if (mtu > s->mtu_one_chunk && !judge_kernel_is(s, 6, 6))
		return judge_say(f, VERDICT_FAIL,
				 "%" PRId64 ": packets over %" PRId64
				 " are lost, they need Linux 6.6 (several buffers)",
				 mtu, s->mtu_one_chunk);
	if (s->ena && mtu > s->mtu_one_buffer)
		return judge_say(f, VERDICT_WARN,
				 "%" PRId64 ": over %" PRId64
				 " ena has no zero-copy, and in many builds no native XDP; keep it "
				 "only for whole jumbo packets",
				 mtu, s->mtu_one_buffer);
	if (s->zero_copy == 1 && mtu > s->mtu_zero_copy)
		return judge_say(f, VERDICT_NOTE,
				 "%" PRId64 ": whole jumbo packets, in copy mode; zero-copy takes "
				 "up to %" PRId64,
				 mtu, s->mtu_zero_copy);
	return VERDICT_OK;
}

enum verdict judge_mtu(struct finding *f, const struct subject *s)
{
	const int64_t mtu = s->facts->mtu;

	if (mtu == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE, "unknown; mirrored packets are 50 bytes longer");
	enum verdict verdict = judge_large_mtu(f, s);
	if (mtu < USUAL_MTU + MIRROR_OVERHEAD)
		verdict = judge_say(f, VERDICT_WARN,
				    "%" PRId64 ": mirrored packets are 50 bytes longer; AWS cuts "
				    "those of sources with MTU over %" PRId64,
				    mtu, mtu - MIRROR_OVERHEAD);
	if (verdict == VERDICT_OK)
		return judge_say(f, VERDICT_OK,
				 "%" PRId64 ": whole packets of sources with MTU up to %" PRId64,
				 mtu, mtu - MIRROR_OVERHEAD);
	judge_mend(f, "ip link set dev %s mtu %" PRId64, s->interface, best_mtu(s));
	return verdict;
}

/* ---- queues, rings, offloads ---- */

static void mend_queues(struct finding *f, const struct subject *s, int64_t n)
{
	judge_mend(f, "ethtool -L %s %s %" PRId64, s->interface,
		   s->facts->queues_combined == 0 ? "rx" : "combined", n);
}

static enum verdict judge_ena_half(struct finding *f, const struct subject *s)
{
	const struct doctor_facts *facts = s->facts;

	if (s->queues_usable >= 1)
		mend_queues(f, s, s->queues_usable);
	else
		judge_mend_ena(f, s);
	return judge_say(f, VERDICT_FAIL,
			 "%" PRId64 " of %" PRId64
			 " in use: this ena takes native XDP with at most "
			 "half, and would fall back to generic",
			 facts->queues, facts->queues_max);
}

/* The smaller one, of those that are known. */
static int64_t smallest(int64_t a, int64_t b)
{
	return b == FACT_UNKNOWN || (a != FACT_UNKNOWN && a < b) ? a : b;
}

enum verdict judge_queues(struct finding *f, const struct subject *s)
{
	const struct doctor_facts *facts = s->facts;

	if (facts->queues == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE, "%s does not tell its queues", driver(s));
	if (facts->queues > STEER_QUEUES_MAX) {
		mend_queues(f, s, smallest(s->queues_usable, STEER_QUEUES_MAX));
		return judge_say(f, VERDICT_FAIL, "%" PRId64 "; vxprobe takes at most %u",
				 facts->queues, STEER_QUEUES_MAX);
	}
	if (s->queues_block)
		return judge_ena_half(f, s);
	const int64_t wanted = smallest(smallest(s->queues_usable, facts->cpus), STEER_QUEUES_MAX);
	if (facts->queues <= 1 && wanted > 1) {
		mend_queues(f, s, wanted);
		return judge_say(f, VERDICT_WARN,
				 "one: a single CPU receives everything; %" PRId64 " could",
				 wanted);
	}
	if (facts->queues <= 1)
		return judge_say(f, VERDICT_NOTE, "one: a single CPU receives everything");
	return judge_say(f, VERDICT_OK, "%" PRId64 " of %" PRId64, facts->queues,
			 facts->queues_max);
}

/* 10 ms of a queue at 400,000 packets/s: gaps of up to 11 ms were measured on virtual machines. */
#define RING_WANTED 4096

enum verdict judge_rings(struct finding *f, const struct subject *s)
{
	const struct doctor_facts *facts = s->facts;

	if (facts->ring == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE, "%s has no rings of its own to set", driver(s));
	const int64_t wanted = smallest(facts->ring_max, RING_WANTED);
	if (facts->ring >= wanted)
		return judge_say(f, VERDICT_OK, "%" PRId64 " of %" PRId64, facts->ring,
				 facts->ring_max);
	judge_mend(f, "ethtool -G %s rx %" PRId64, s->interface, wanted);
	return judge_say(f, VERDICT_WARN,
			 "%" PRId64 " of %" PRId64 ": too short for the gaps in which a virtual "
			 "machine does not run",
			 facts->ring, facts->ring_max);
}

static void add_offload(char *text, size_t len, int64_t on, const char *name)
{
	const size_t n = strlen(text);

	if (on == 1)
		(void)snprintf(text + n, len - n, " %s off", name);
}

/* Each makes one packet of several before generic XDP sees them, and drivers refuse native XDP
 * while the first two are on. */
enum verdict judge_offloads(struct finding *f, const struct subject *s)
{
	const struct doctor_facts *facts = s->facts;
	char settings[96] = "";

	if (facts->lro == FACT_UNKNOWN && facts->gro_hw == FACT_UNKNOWN)
		return judge_say(f, VERDICT_NOTE, "unknown");
	add_offload(settings, sizeof(settings), facts->lro, "lro");
	add_offload(settings, sizeof(settings), facts->gro_hw, "rx-gro-hw");
	if (!is_native(s))
		add_offload(settings, sizeof(settings), facts->udp_gro_forwarding,
			    "rx-udp-gro-forwarding");
	if (!*settings)
		return judge_say(f, VERDICT_OK, "none that XDP minds");
	judge_mend(f, "ethtool -K %s%s", s->interface, settings);
	return judge_say(f, VERDICT_WARN,
			 "the NIC or the kernel merges packets before XDP sees them, or the driver "
			 "refuses native XDP");
}

/* Binding sockets takes ENA down and up, once for each queue (ena_xsk_pool_enable). */
enum verdict judge_route(struct finding *f, const struct subject *s)
{
	if (s->ena && s->facts->default_route == 1)
		return judge_say(
			f, VERDICT_NOTE,
			"the default route leaves here: at start and end ena goes down for "
			"about a second; better an interface for the mirror alone");
	return judge_say(f, VERDICT_OK, "%s",
			 s->facts->default_route == 1 ? "the default route leaves here; unharmed"
						      : "not the way of the default route");
}
