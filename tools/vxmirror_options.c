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
	"  --seed N           another hash, so other ports and sessions (0)\n"
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
	OPT_SEED,
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
	{"seed", required_argument, NULL, OPT_SEED},
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
	if (o->mirror.sessions - 1 > VNI_MAX - o->mirror.vni)
		return err_set(err, -EINVAL, "%u sessions from VNI %u on go beyond %u",
			       o->mirror.sessions, o->mirror.vni, VNI_MAX);
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
	*out = o;
	return 0;
}
