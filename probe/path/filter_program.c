#include "path/filter_program.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/ether.h>
#include <stddef.h>
#include <string.h>

#include <pcap/pcap.h>

/* Longest frame that libpcap takes. */
#define SNAP_LEN 262144

_Static_assert(sizeof(struct filter_insn) == sizeof(struct bpf_insn) &&
		       offsetof(struct filter_insn, jt) == offsetof(struct bpf_insn, jt) &&
		       offsetof(struct filter_insn, jf) == offsetof(struct bpf_insn, jf) &&
		       offsetof(struct filter_insn, k) == offsetof(struct bpf_insn, k),
	       "one is taken for the other");

/* ---- words ---- */

/* Of pcap-filter(7), what is of use with Ethernet frames: not gateway, which wants a name, and not
 * protochain, which loops. */
static const char *const words[] = {
	"ah",       "and",       "arp",     "broadcast", "dst",       "esp",       "ether",
	"greater",  "host",      "icmp",    "icmp6",     "icmp6code", "icmp6type", "icmpcode",
	"icmptype", "igmp",      "ip",      "ip6",       "len",       "less",      "mask",
	"mpls",     "multicast", "net",     "not",       "or",        "port",      "portrange",
	"pppoed",   "pppoes",    "proto",   "rarp",      "sctp",      "src",       "tcp",
	"tcp-ack",  "tcp-cwr",   "tcp-ece", "tcp-fin",   "tcp-push",  "tcp-rst",   "tcp-syn",
	"tcp-urg",  "tcpflags",  "udp",     "vlan",
};

static bool is_word(const char *token)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (!strcmp(words[i], token))
			return true;
	return false;
}

/* 22, 0x16, 10.1, 10.0.0.1: digits with up to three single dots between. */
static bool is_number(const char *token)
{
	unsigned dots = 0;

	if (token[0] == '0' && (token[1] == 'x' || token[1] == 'X'))
		return token[2] && !token[2 + strspn(token + 2, "0123456789abcdefABCDEF")];
	for (; isdigit((unsigned char)*token); token++) {
		token += strspn(token, "0123456789");
		if (!*token)
			return true;
		if (*token != '.' || ++dots > 3)
			return false;
	}
	return false;
}

/* 1000-2000, or the 2:1 of ip[2:1]. */
static bool is_pair(const char *token, char between)
{
	const size_t n = strspn(token, "0123456789");
	const size_t m = token[n] == between ? strspn(token + n + 1, "0123456789") : 0;

	return n && m && !token[n + 1 + m];
}

/* With colons: of IPv6 or Ethernet. */
static bool is_address(const char *token)
{
	struct ether_addr mac;
	struct in6_addr v6;

	return strchr(token, ':') && (inet_pton(AF_INET6, token, &v6) == 1 ||
				      ether_aton_r(token, &mac) || is_pair(token, ':'));
}

static bool is_known(const char *token, const char *before)
{
	return is_word(token) || is_number(token) || is_address(token) ||
	       (!strcmp(before, "portrange") && is_pair(token, '-'));
}

/* Minus and the like are operators where nothing stands before. */
static bool is_of_token(char c, bool is_inside)
{
	return isalnum((unsigned char)c) || c == ':' || (is_inside && c && strchr("-_.", c));
}

/* Whatever libpcap could take for a name is a word, a number or an address. */
static int check_words(const char *text, struct err *err)
{
	char token[FILTER_TEXT_MAX + 1], before[FILTER_TEXT_MAX + 1] = "";

	while (*text) {
		size_t len = 0;
		while (is_of_token(text[len], len > 0))
			len++;
		if (!len) {
			text++;
			continue;
		}
		memcpy(token, text, len);
		token[len] = 0;
		if (!is_known(token, before))
			return err_set(err, -EINVAL,
				       "'%s' is not known here: names are not looked up, write "
				       "addresses and numbers",
				       token);
		strcpy(before, token);
		text += len;
	}
	return 0;
}

/* ---- programs ---- */

/* All that bpf_filter knows: at others it aborts, and bpf_validate lets some of them pass. */
static bool is_instruction(uint16_t code)
{
	switch (code) {
	case BPF_LD | BPF_W | BPF_ABS:
	case BPF_LD | BPF_H | BPF_ABS:
	case BPF_LD | BPF_B | BPF_ABS:
	case BPF_LD | BPF_W | BPF_IND:
	case BPF_LD | BPF_H | BPF_IND:
	case BPF_LD | BPF_B | BPF_IND:
	case BPF_LD | BPF_W | BPF_LEN:
	case BPF_LD | BPF_IMM:
	case BPF_LD | BPF_MEM:
	case BPF_LDX | BPF_W | BPF_LEN:
	case BPF_LDX | BPF_MSH | BPF_B:
	case BPF_LDX | BPF_IMM:
	case BPF_LDX | BPF_MEM:
	case BPF_ST:
	case BPF_STX:
	case BPF_JMP | BPF_JA:
	case BPF_ALU | BPF_NEG:
	case BPF_RET | BPF_K:
	case BPF_RET | BPF_A:
	case BPF_MISC | BPF_TAX:
	case BPF_MISC | BPF_TXA:
		return true;
	}
	/* With a constant or X. */
	if (BPF_CLASS(code) == BPF_ALU)
		return BPF_OP(code) <= BPF_XOR && BPF_OP(code) != BPF_NEG && code <= 0xff;
	return BPF_CLASS(code) == BPF_JMP && BPF_OP(code) >= BPF_JEQ && BPF_OP(code) <= BPF_JSET &&
	       code <= 0xff;
}

bool filter_program_is_sound(const struct filter_insn *code, uint32_t n)
{
	if (!n || n > FILTER_PROGRAM_MAX)
		return false;
	/* libpcap allows this one jump to go backward, by overflow. */
	for (uint32_t i = 0; i < n; i++)
		if (!is_instruction(code[i].code) ||
		    (code[i].code == (BPF_JMP | BPF_JA) && code[i].k >= n))
			return false;
	return bpf_validate((const struct bpf_insn *)code, (int)n);
}

static int take_program(struct filter_insn *out, uint32_t *n, const struct bpf_program *program,
			struct err *err)
{
	if (program->bf_len > FILTER_PROGRAM_MAX)
		return err_set(
			err, -EINVAL,
			"takes %u instructions for a packet; allowed are %d: make it shorter",
			program->bf_len, FILTER_PROGRAM_MAX);
	memcpy(out, program->bf_insns, program->bf_len * sizeof(*out));
	if (!filter_program_is_sound(out, program->bf_len))
		return err_set(err, -EINVAL, "libpcap makes a program with loops of it");
	*n = program->bf_len;
	return 0;
}

int filter_compile(struct filter_insn out[static FILTER_PROGRAM_MAX], uint32_t *n, const char *text,
		   struct err *err)
{
	struct bpf_program program;

	if (strlen(text) > FILTER_TEXT_MAX)
		return err_set(err, -EINVAL, "longer than %d bytes", FILTER_TEXT_MAX);
	int ret = check_words(text, err);
	if (ret)
		return ret;
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, SNAP_LEN);
	if (!pcap)
		return err_set(err, -ENOMEM, "out of memory");
	if (pcap_compile(pcap, &program, text, 1, PCAP_NETMASK_UNKNOWN)) {
		ret = err_set(err, -EINVAL, "no expression of pcap-filter(7): %s",
			      pcap_geterr(pcap));
	} else {
		ret = take_program(out, n, &program, err);
		pcap_freecode(&program);
	}
	pcap_close(pcap);
	return ret;
}

bool filter_program_matches(const struct filter_insn *code, const uint8_t *data, uint32_t wire_len,
			    uint32_t len)
{
	return bpf_filter((const struct bpf_insn *)code, data, wire_len, len);
}
