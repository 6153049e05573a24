/*
 * vxmirror: plays VPC Traffic Mirroring. Wraps the packets of captures as a mirror would, into a
 * capture file or onto an interface.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <net/ethernet.h>
#include <netinet/ether.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "path/block.h"
#include "path/capfile.h"
#include "version.h"
#include "vxmirror_send.h"
#include "vxmirror_wrap.h"

#define VNI_MAX    0xffffffu
#define LINKTYPES  65536u
#define EXIT_USAGE 2

/* clang-format off */
static const char help[] =
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

struct options {
	struct mirror mirror;
	struct send_config send;
	const char *target_mac; /* NULL: auto */
	uint64_t loop;
	char **paths; /* of the inputs */
	int n;
};

/* What takes the packets: an open file or interface. */
struct sink {
	const struct mirror *mirror;
	int (*take)(struct sink *sink, const struct capfile_packet *packet, struct err *err);
	/* When the first input could be opened; NULL: nothing to do then. */
	int (*begin)(struct sink *sink, struct err *err);
	const struct options *options;
	const char *out;
	struct sender *sender;
	FILE *file;
	uint8_t *block; /* of the longest packet */
	uint64_t packets;
};

static volatile sig_atomic_t is_stopped;

static void stop(int number)
{
	(void)number;
	is_stopped = 1;
}

/* ---- inputs ---- */

/* What of one input is left out. */
struct left_out {
	struct err damage; /* and what comes after it; empty: none */
	uint64_t too_long;
	uint64_t of_linktype[LINKTYPES];
};

static void report_left_out(const char *path, const struct left_out *left)
{
	if (*left->damage.text)
		fprintf(stderr, "vxmirror: %s\n", left->damage.text);
	if (left->too_long)
		fprintf(stderr,
			"vxmirror: %s: left out as over %u bytes, more than IPv4 carries: %" PRIu64
			"\n",
			path, MIRROR_INNER_MAX, left->too_long);
	for (unsigned i = 0; i < LINKTYPES; i++)
		if (left->of_linktype[i])
			fprintf(stderr,
				"vxmirror: %s: left out as of link type %u, not Ethernet: %" PRIu64
				"\n",
				path, i, left->of_linktype[i]);
}

static int take_packet(struct sink *sink, struct capfile_packet *p, struct left_out *left,
		       struct err *err)
{
	if (p->linktype != BLOCK_LINKTYPE_ETHERNET) {
		left->of_linktype[p->linktype]++;
		return 0;
	}
	p->cap_len = mirror_cut(sink->mirror, p->cap_len);
	if (p->cap_len > MIRROR_INNER_MAX) {
		left->too_long++;
		return 0;
	}
	return sink->take(sink, p, err);
}

/* Damage is said and is no failure: what was whole has been taken. */
static int take_file(struct sink *sink, const char *path, struct left_out *left, struct err *err)
{
	struct capfile *file;
	struct capfile_packet packet;
	int taken = 0, ret = capfile_open(&file, path, err);

	if (ret)
		return ret;
	if (sink->begin) {
		taken = sink->begin(sink, err);
		sink->begin = NULL;
	}
	while (taken == 0 && !is_stopped && (ret = capfile_next(file, &packet, err)) == 0)
		taken = take_packet(sink, &packet, left, err);
	capfile_close(file);
	if (is_stopped)
		return -EINTR;
	if (ret == -EBADMSG)
		left->damage = *err;
	return ret == -ENODATA || ret == -EBADMSG ? 0 : ret ? ret : taken;
}

static int take_files(struct sink *sink, const struct options *o, bool is_last, struct err *err)
{
	int ret = 0;

	for (int i = 0; i < o->n && ret == 0; i++) {
		struct left_out *left = calloc(1, sizeof(*left));
		if (!left)
			return err_set(err, -ENOMEM, "out of memory");
		ret = take_file(sink, o->paths[i], left, err);
		if (is_last)
			report_left_out(o->paths[i], left);
		free(left);
	}
	return ret;
}

/* ---- wrap ---- */

static int write_block(struct sink *sink, size_t len, struct err *err)
{
	if (fwrite(sink->block, 1, len, sink->file) != len)
		return err_set(err, -errno, "cannot write the output: %s", strerror(errno));
	return 0;
}

static int take_into_file(struct sink *sink, const struct capfile_packet *packet, struct err *err)
{
	const uint32_t len = (uint32_t)mirror_wrap(sink->block + BLOCK_PACKET_HEAD, sink->mirror,
						   packet->data, packet->cap_len);
	const struct block_packet head = {
		.time_ns = packet->time_ns,
		.cap_len = len,
		.wire_len = len,
		.id = sink->packets++,
	};

	return write_block(sink, block_packet_frame(sink->block, &head), err);
}

static int write_head(struct sink *sink, struct err *err)
{
	const struct block_interface interface = {
		.linktype = BLOCK_LINKTYPE_ETHERNET,
		.snaplen = BLOCK_SNAPLEN,
		.name = "mirror",
	};
	const size_t cap = block_packet_len(MIRROR_FRAME_MAX);
	const size_t n = block_section(sink->block, cap, "vxmirror " VERSION, NULL);
	const int ret = write_block(sink, n, err);

	return ret ? ret : write_block(sink, block_interface(sink->block, cap, &interface), err);
}

/* `wrap *.pcap` without an output would overwrite the last input. */
static bool is_input(const struct options *o, const char *out)
{
	struct stat a, b;

	if (stat(out, &a) != 0 || !S_ISREG(a.st_mode))
		return false;
	for (int i = 0; i < o->n; i++)
		if (stat(o->paths[i], &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
			return true;
	return false;
}

/* Only now: what is in the output's place must not be lost to a run that has no input. */
static int begin_file(struct sink *sink, struct err *err)
{
	const char *out = sink->out;
	const bool is_stdout = strcmp(out, "-") == 0;

	if (is_stdout && isatty(STDOUT_FILENO))
		return err_set(err, -EINVAL, "standard output is a terminal: name a file, or pipe");
	if (is_input(sink->options, out))
		return err_set(err, -EINVAL, "%s is input and output: the last name is the output",
			       out);
	sink->file = is_stdout ? stdout : fopen(out, "wbe");
	if (!sink->file)
		return err_set(err, -errno, "cannot write %s: %s", out, strerror(errno));
	return write_head(sink, err);
}

/* Before the first packet, so that no half of the output is written. */
static int check_inputs(const struct options *o, struct err *err)
{
	for (int i = 0; i < o->n; i++)
		if (strcmp(o->paths[i], "-") != 0 && access(o->paths[i], R_OK) != 0)
			return err_set(err, -errno, "cannot read %s: %s", o->paths[i],
				       strerror(errno));
	return 0;
}

static int wrap(struct options *o, struct err *err)
{
	struct sink sink = {.mirror = &o->mirror,
			    .take = take_into_file,
			    .begin = begin_file,
			    .options = o,
			    .out = o->paths[--o->n]};
	int ret = check_inputs(o, err);

	if (ret)
		return ret;
	sink.block = malloc(block_packet_len(MIRROR_FRAME_MAX));
	if (!sink.block)
		return err_set(err, -ENOMEM, "out of memory");
	ret = take_files(&sink, o, true, err);
	free(sink.block);
	if (sink.file && fclose(sink.file) != 0 && ret == 0)
		ret = err_set(err, -errno, "cannot write %s: %s", sink.out, strerror(errno));
	if (ret == 0)
		fprintf(stderr, "vxmirror: wrapped %" PRIu64 " packets\n", sink.packets);
	return ret;
}

/* ---- send ---- */

static int take_onto_interface(struct sink *sink, const struct capfile_packet *packet,
			       struct err *err)
{
	const size_t len =
		mirror_wrap(send_buffer(sink->sender), sink->mirror, packet->data, packet->cap_len);

	return send_commit(sink->sender, len, err);
}

static int find_macs(struct options *o, struct sender *sender, struct err *err)
{
	memcpy(o->mirror.source_mac, send_mac(sender), sizeof(o->mirror.source_mac));
	if (o->target_mac)
		return 0; /* parse_mac has filled it in */
	return send_find_neighbour(sender, o->mirror.target, o->mirror.target_mac, err);
}

static int send_loop(struct sink *sink, const struct options *o, struct err *err)
{
	int ret = 0;

	for (uint64_t i = 0; i < o->loop && ret == 0; i++)
		ret = take_files(sink, o, i + 1 == o->loop, err);
	if (ret == 0)
		ret = send_flush(sink->sender, err);
	return ret == -EINTR || is_stopped ? 0 : ret;
}

static int send_all(struct options *o, struct err *err)
{
	const struct sigaction action = {.sa_handler = stop}; /* no SA_RESTART: sleeps end */
	struct sink sink = {.mirror = &o->mirror, .take = take_onto_interface};
	int ret = send_open(&sink.sender, &o->send, err);

	if (ret)
		return ret;
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	ret = find_macs(o, sink.sender, err);
	if (ret == 0) {
		ret = send_loop(&sink, o, err);
		const struct send_counts c = send_counts(sink.sender);
		fprintf(stderr,
			"vxmirror: sent %" PRIu64 " packets (%" PRIu64
			" bytes); the kernel refused %" PRIu64 "\n",
			c.packets, c.bytes, c.refused);
	}
	send_close(sink.sender);
	return ret;
}

/* ---- options ---- */

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

static int parse_mac(const char *text, struct options *o, struct err *err)
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

static int parse_option(int option, const char *text, struct options *o, struct err *err)
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

static bool reads_stdin(const struct options *o)
{
	for (int i = 0; i < o->n; i++)
		if (strcmp(o->paths[i], "-") == 0)
			return true;
	return false;
}

static int check_options(const struct options *o, bool is_send, struct err *err)
{
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

static int parse_options(int argc, char **argv, struct options *o, bool is_send, struct err *err)
{
	int option, ret = 0;

	while (ret == 0 && (option = getopt_long(argc, argv, "i:", long_options, NULL)) != -1)
		ret = parse_option(option, optarg, o, err);
	o->paths = argv + optind; /* getopt has moved the operands behind the options */
	o->n = argc - optind;
	return ret ? ret : check_options(o, is_send, err);
}

static int complain(const struct err *err, int code)
{
	fprintf(stderr, "vxmirror: %s\n", err->text);
	return code;
}

int main(int argc, char **argv)
{
	struct options o = {
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
	struct err err = {.text = "wrap or send? vxmirror --help explains"};

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return fputs(help, stdout) == EOF || fflush(stdout) != 0;
	const bool is_send = argc > 1 && strcmp(argv[1], "send") == 0;
	if (!is_send && (argc < 2 || strcmp(argv[1], "wrap") != 0))
		return complain(&err, EXIT_USAGE);
	argv[1] = argv[0]; /* getopt_long names it in what it says */
	if (parse_options(argc - 1, argv + 1, &o, is_send, &err))
		return complain(&err, EXIT_USAGE);
	if (is_send ? send_all(&o, &err) : wrap(&o, &err))
		return complain(&err, EXIT_FAILURE);
	return EXIT_SUCCESS;
}
