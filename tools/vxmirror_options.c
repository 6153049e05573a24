#include "vxmirror_options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <net/ethernet.h>
#include <netinet/ether.h>
#include <stdlib.h>
#include <string.h>

#define VNI_MAX 0xffffffu
/* Of --duplicate: the probe looks for copies up to 5 ms back. */
#define DUPLICATE_NS 1000000u
#define DELAY_MAX_NS 10e9

/* clang-format off */
const char MIRROR_HELP[] =
	"vxmirror plays VPC Traffic Mirroring: it wraps the packets of captures as a mirror would,\n"
	"in Ethernet, IPv4, UDP to port 4789 and VXLAN.\n"
	"\n"
	"  vxmirror wrap IN... OUT [OPTIONS]        into a pcapng file; times and order stay\n"
	"  vxmirror send IN... -i IFACE [OPTIONS]   onto an interface; times do not count\n"
	"\n"
	"IN is pcap or pcapng; `-` is standard input, as OUT it is standard output. Several are\n"
	"taken one after the other.\n"
	"\n"
	"Both:\n"
	"  --vni N            VXLAN network identifier (4321)\n"
	"  --source ADDR      outer source: the mirrored interface's address (10.0.0.1)\n"
	"  --target ADDR      outer destination: the probe's address (10.255.0.1)\n"
	"  --sessions N       spread the flows over N mirror sessions (1). Session k = 0, 1 ... has VNI\n"
	"                     plus k; k mod 250 is added to the last byte of the source address, which\n"
	"                     goes on from 254 at 1. Both directions of a flow are in one session\n"
	"  --packet-length N  mirror only the first N bytes of each packet, counted from its Ethernet\n"
	"                     header, as a session's PacketLength does\n"
	"  --asymmetric       give the two directions of a flow different outer source ports. Without\n"
	"                     it both have the same: 65408 plus a 7-bit hash of the flow's endpoints\n"
	"  --direction WHICH  mirror one direction only: egress or ingress. Captures do not say whose\n"
	"                     interface was mirrored: egress is what the lower of a flow's endpoints\n"
	"                     sends, by address, then port\n"
	"  --both-ends DELAY  mirror each packet at the other end of its connection too: session k is\n"
	"                     there session k plus those of --sessions, and comes this much later\n"
	"  --seed N           another hash, so other ports and sessions, and other mishaps (0)\n"
	"\n"
	"Mishaps, by chance but the same with the same --seed:\n"
	"  --loss RATE        lose that share of the packets, as 0.1%. RATE,burst: in runs of 10 in\n"
	"                     the mean. RATE,flow: whole flows. Else RATE,random: each for itself\n"
	"  --lost FILE        the lost packets, wrapped; epb_packetid is in FILE and OUT a packet's\n"
	"                     place among those of the inputs, from 0\n"
	"  --duplicate RATE   double that share of the packets, or all. RATE,DELAY: a copy comes up to\n"
	"                     DELAY after the packet (1ms)\n"
	"  --reorder DELAY    let each packet come up to DELAY late. DELAY,egress or DELAY,ingress:\n"
	"                     that direction only, in order. Order and times are those of arrival\n"
	"A DELAY is a number of us, ms or s, as 2ms; 10s at most.\n"
	"\n"
	"send:\n"
	"  -i IFACE           Ethernet interface to send on (root, or CAP_NET_RAW)\n"
	"  --target-mac MAC   outer destination MAC; auto asks the network for that of --target (auto)\n"
	"  --rate PPS         packets per second; without it as fast as it goes\n"
	"  --loop N           send everything N times (1)\n"
	"\n"
	"A packet that is not Ethernet, or longer than IPv4 can carry (65,499 bytes), is left out, and a\n"
	"line on standard error says how many were. A damaged capture counts up to its damage, which is\n"
	"said too. Exit code: 0 done (also with such lines), 1 failed, 2 wrong usage.\n"
	"\n"
	"  vxmirror wrap call.pcap mirrored.pcapng --packet-length 128\n"
	"  tcpdump -i eth0 -w - | vxmirror wrap - - | tshark -r -\n"
	"  vxmirror send call.pcap -i eth1 --target 10.0.9.9 --rate 20000 --loop 100\n";
/* clang-format on */

static int parse_number(const char *name, const char *text, uint64_t min, uint64_t max,
			uint64_t *out, struct err *err)
{
	char *end;

	errno = 0;
	const unsigned long long value = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || value < min || value > max)
		return err_set(err, -EINVAL, "--%s takes %" PRIu64 " to %" PRIu64 ", not %s", name,
			       min, max, text);
	*out = value;
	return 0;
}

static int parse_ipv4(const char *name, const char *text, uint8_t out[4], struct err *err)
{
	if (inet_pton(AF_INET, text, out) != 1)
		return err_set(err, -EINVAL, "--%s takes an IPv4 address, not %s", name, text);
	return 0;
}

static int parse_mac(const char *text, struct mirror_options *o, struct err *err)
{
	struct ether_addr mac;

	if (strcmp(text, "auto") == 0)
		return 0;
	if (!ether_aton_r(text, &mac))
		return err_set(err, -EINVAL, "--target-mac takes a MAC address or auto, not %s",
			       text);
	memcpy(o->mirror.target_mac, mac.ether_addr_octet, sizeof(o->mirror.target_mac));
	o->target_mac = text;
	return 0;
}

enum long_option {
	OPT_VNI = 256,
	OPT_SOURCE,
	OPT_TARGET,
	OPT_SESSIONS,
	OPT_LENGTH,
	OPT_ASYMMETRIC,
	OPT_DIRECTION,
	OPT_BOTH_ENDS,
	OPT_SEED,
	OPT_LOSS,
	OPT_LOST,
	OPT_DUPLICATE,
	OPT_REORDER,
	OPT_MAC,
	OPT_RATE,
	OPT_LOOP,
};

static const struct option long_options[] = {
	{"vni", required_argument, NULL, OPT_VNI},
	{"source", required_argument, NULL, OPT_SOURCE},
	{"target", required_argument, NULL, OPT_TARGET},
	{"sessions", required_argument, NULL, OPT_SESSIONS},
	{"packet-length", required_argument, NULL, OPT_LENGTH},
	{"asymmetric", no_argument, NULL, OPT_ASYMMETRIC},
	{"direction", required_argument, NULL, OPT_DIRECTION},
	{"both-ends", required_argument, NULL, OPT_BOTH_ENDS},
	{"seed", required_argument, NULL, OPT_SEED},
	{"loss", required_argument, NULL, OPT_LOSS},
	{"lost", required_argument, NULL, OPT_LOST},
	{"duplicate", required_argument, NULL, OPT_DUPLICATE},
	{"reorder", required_argument, NULL, OPT_REORDER},
	{"target-mac", required_argument, NULL, OPT_MAC},
	{"rate", required_argument, NULL, OPT_RATE},
	{"loop", required_argument, NULL, OPT_LOOP},
	{"interface", required_argument, NULL, 'i'},
	{NULL, 0, NULL, 0},
};

static int parse_u32(const char *name, const char *text, uint32_t min, uint32_t max, uint32_t *out,
		     struct err *err)
{
	uint64_t value = 0;
	const int ret = parse_number(name, text, min, max, &value, err);

	if (ret == 0)
		*out = (uint32_t)value;
	return ret;
}

/* ---- mishaps ---- */

/* "0.1%", and what comes behind it; NULL: not a rate. */
static const char *read_rate(const char *text, double *out)
{
	char *end;
	const double percent = strtod(text, &end);

	if (*text < '0' || *text > '9' || *end != '%' || percent > 100)
		return NULL;
	*out = percent / 100;
	return end + 1;
}

/* "2ms", and what comes behind it; NULL: not a delay. */
static const char *read_delay(const char *text, uint64_t *out)
{
	static const struct {
		const char *name;
		double ns;
	} units[] = {{"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
	char *end;
	const double value = strtod(text, &end);

	for (size_t i = 0; *text >= '0' && *text <= '9' && i < sizeof(units) / sizeof(*units); i++)
		if (strncmp(end, units[i].name, strlen(units[i].name)) == 0 &&
		    value * units[i].ns <= DELAY_MAX_NS) {
			*out = (uint64_t)(value * units[i].ns);
			return end + strlen(units[i].name);
		}
	return NULL;
}

/* Which of the words follows; -1: none of them. No word at all is the first. */
static int read_word(const char *text, const char *const *words, int n)
{
	if (text && *text == '\0')
		return 0;
	for (int i = 0; text && i < n; i++)
		if (*text == ',' && strcmp(text + 1, words[i]) == 0)
			return i;
	return -1;
}

static bool parse_loss(const char *text, struct mishap_config *m)
{
	static const char *const kinds[] = {
		[MISHAP_RANDOM] = "random", [MISHAP_BURST] = "burst", [MISHAP_FLOW] = "flow"};
	const int kind = read_word(read_rate(text, &m->loss_rate), kinds, 3);

	m->has_loss = true;
	m->loss = kind < 0 ? MISHAP_RANDOM : (enum mishap_loss)kind;
	return kind >= 0 && (kind != MISHAP_BURST || m->loss_rate <= MISHAP_BURST_RATE_MAX);
}

static bool parse_duplicate(const char *text, struct mishap_config *m)
{
	const bool is_all = strncmp(text, "all", 3) == 0;
	const char *rest = is_all ? text + 3 : read_rate(text, &m->duplicate_rate);

	if (is_all)
		m->duplicate_rate = 1;
	m->duplicate_ns = DUPLICATE_NS;
	if (rest && *rest == ',')
		rest = read_delay(rest + 1, &m->duplicate_ns);
	return rest && !*rest;
}

static const char *const directions[] = {
	[MISHAP_BOTH] = "both", [MISHAP_EGRESS] = "egress", [MISHAP_INGRESS] = "ingress"};

static bool parse_reorder(const char *text, struct mishap_config *m)
{
	const int which = read_word(read_delay(text, &m->reorder_ns), directions, 3);

	m->reorder = which < 0 ? MISHAP_BOTH : (enum mishap_direction)which;
	return which >= 0;
}

static bool parse_direction(const char *text, struct mishap_config *m)
{
	for (int i = MISHAP_EGRESS; i <= MISHAP_INGRESS; i++)
		if (strcmp(text, directions[i]) == 0) {
			m->only = (enum mishap_direction)i;
			return true;
		}
	return false;
}

static bool parse_both_ends(const char *text, struct mishap_config *m)
{
	const char *rest = read_delay(text, &m->both_ends_ns);

	m->has_both_ends = true;
	return rest && !*rest;
}

static int parse_mishap(int option, const char *text, struct mishap_config *m, struct err *err)
{
	static const struct {
		int option;
		bool (*parse)(const char *text, struct mishap_config *m);
		const char *name, *takes;
	} of[] = {
		{OPT_LOSS, parse_loss, "loss",
		 "0% to 100%, then perhaps ,random ,burst (up to 90%) or ,flow"},
		{OPT_DUPLICATE, parse_duplicate, "duplicate",
		 "0% to 100%, or all, then perhaps a delay, as all,2ms"},
		{OPT_REORDER, parse_reorder, "reorder",
		 "a delay up to 10s, as 2ms, then perhaps ,egress or ,ingress"},
		{OPT_BOTH_ENDS, parse_both_ends, "both-ends", "a delay up to 10s, as 2ms"},
		{OPT_DIRECTION, parse_direction, "direction", "egress or ingress"},
	};
	size_t i = 0;

	while (of[i].option != option)
		i++;
	if (of[i].parse(text, m))
		return 0;
	return err_set(err, -EINVAL, "--%s takes %s, not %s", of[i].name, of[i].takes, text);
}

static int parse_option(int option, const char *text, struct mirror_options *o, struct err *err)
{
	struct mirror *m = &o->mirror;

	switch (option) {
	case OPT_VNI:
		return parse_u32("vni", text, 0, VNI_MAX, &m->vni, err);
	case OPT_SOURCE:
		return parse_ipv4("source", text, m->source, err);
	case OPT_TARGET:
		return parse_ipv4("target", text, m->target, err);
	case OPT_SESSIONS:
		return parse_u32("sessions", text, 1, VNI_MAX + 1, &m->sessions, err);
	case OPT_LENGTH:
		return parse_u32("packet-length", text, 1, UINT32_MAX, &m->packet_length, err);
	case OPT_ASYMMETRIC:
		m->is_asymmetric = true;
		return 0;
	case OPT_SEED:
		return parse_number("seed", text, 0, UINT64_MAX, &m->seed, err);
	case OPT_DIRECTION:
	case OPT_BOTH_ENDS:
	case OPT_LOSS:
	case OPT_DUPLICATE:
	case OPT_REORDER:
		return parse_mishap(option, text, &o->mishap, err);
	case OPT_LOST:
		o->lost = text;
		return 0;
	case OPT_MAC:
		return parse_mac(text, o, err);
	case OPT_RATE:
		return parse_number("rate", text, 1, 1000000000, &o->send.rate_pps, err);
	case OPT_LOOP:
		return parse_number("loop", text, 1, UINT64_MAX, &o->loop, err);
	case 'i':
		o->send.interface = text;
		return 0;
	default: /* getopt has said what is wrong */
		return err_set(err, -EINVAL, "vxmirror --help says what there is");
	}
}

static bool reads_stdin(const struct mirror_options *o)
{
	for (int i = 0; i < o->n; i++)
		if (strcmp(o->paths[i], "-") == 0)
			return true;
	return false;
}

static int check(const struct mirror_options *o, struct err *err)
{
	const bool is_send = o->is_send;

	if (o->n < (is_send ? 1 : 2))
		return err_set(err, -EINVAL,
			       is_send ? "send takes IN..., the captures to send"
				       : "wrap takes IN... and then OUT");
	if (is_send && !o->send.interface)
		return err_set(err, -EINVAL, "send takes -i IFACE");
	if (!is_send && (o->send.interface || o->send.rate_pps || o->loop != 1 || o->target_mac))
		return err_set(err, -EINVAL, "-i, --rate, --loop and --target-mac belong to send");
	if (o->loop > 1 && reads_stdin(o))
		return err_set(err, -EINVAL, "standard input cannot be sent more than once");
	if (o->lost && !o->mishap.has_loss)
		return err_set(err, -EINVAL, "--lost takes a --loss");
	if (o->lost && !is_send && strcmp(o->lost, o->paths[o->n - 1]) == 0)
		return err_set(err, -EINVAL, "%s is the output and that of --lost", o->lost);
	const uint64_t sessions = (uint64_t)o->mirror.sessions * (o->mishap.has_both_ends ? 2 : 1);
	if (sessions - 1 > VNI_MAX - o->mirror.vni)
		return err_set(err, -EINVAL, "%" PRIu64 " sessions from VNI %u on go beyond %u",
			       sessions, o->mirror.vni, VNI_MAX);
	return 0;
}

int mirror_options_parse(struct mirror_options *out, int argc, char **argv, struct err *err)
{
	struct mirror_options o = {
		.mirror = {.vni = 4321,
			   .source = {10, 0, 0, 1},
			   .target = {10, 255, 0, 1},
			   /* For files; locally administered. */
			   .source_mac = {2, 0, 0, 0, 0, 1},
			   .target_mac = {2, 0, 0, 0, 0, 2},
			   .sessions = 1,
			   .packet_length = UINT32_MAX},
		.loop = 1,
	};
	int option, ret = 0;

	o.is_send = argc > 1 && strcmp(argv[1], "send") == 0;
	if (!o.is_send && (argc < 2 || strcmp(argv[1], "wrap") != 0))
		return err_set(err, -EINVAL, "wrap or send? vxmirror --help explains");
	argv[1] = argv[0]; /* getopt_long names it in what it says */
	argc--, argv++;
	while (ret == 0 && (option = getopt_long(argc, argv, "i:", long_options, NULL)) != -1)
		ret = parse_option(option, optarg, &o, err);
	o.paths = argv + optind; /* getopt has moved the operands behind the options */
	o.n = argc - optind;
	if (ret || (ret = check(&o, err)))
		return ret;
	o.mishap.seed = o.mirror.seed;
	*out = o;
	return 0;
}
