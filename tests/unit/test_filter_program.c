#include "path/filter_program.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>

#include "../support/packet.h"

static struct filter_insn code[FILTER_PROGRAM_MAX];
static uint32_t n;
static struct err err;

static bool matches(const char *text, const uint8_t *data, uint32_t wire_len, uint32_t len)
{
	cr_assert_eq(filter_compile(code, &n, text, &err), 0, "%s: %s", text, err.text);
	cr_assert(filter_program_is_sound(code, n), "%s", text);
	return filter_program_matches(code, data, wire_len, len);
}

Test(filter_program, expression_is_about_the_frame)
{
	struct build b = build_payload(20);

	build_tcp(&b, 40000, 22);
	build_ipv4(&b, 6, "10.1.2.3", "192.0.2.1");
	build_ethernet(&b, 0x0800);
	const uint8_t *p = build_data(&b);
	cr_expect(matches("tcp port 22", p, b.len, b.len));
	cr_expect_not(matches("not port 22", p, b.len, b.len));
	cr_expect(matches("net 10.1 and host 192.0.2.1", p, b.len, b.len));
	cr_expect(matches("greater 1000", p, 1500, b.len), "the length before it was cut");
	cr_expect(matches("", p, b.len, b.len));
}

Test(filter_program, bytes_that_are_not_there_make_no_match)
{
	struct build b = build_payload(20);

	build_tcp(&b, 40000, 22);
	build_ipv4(&b, 6, "10.1.2.3", "192.0.2.1");
	build_ethernet(&b, 0x0800);
	cr_expect_not(matches("tcp port 22", packet_guard(build_data(&b), 36), b.len, 36));
	cr_expect_not(matches("ip[3000] = 0", build_data(&b), 9000, b.len));
}

Test(filter_program, takes_words_numbers_and_addresses)
{
	static const char *const taken[] = {
		"ip6 host 2001:db8::1 or ip6 net 2001:db8::/32",
		"ether src 02:00:00:00:00:01",
		"portrange 1000-2000 and not (udp or sctp)",
		"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
		"ip[2:2] > 0x100 && !icmp6",
		"proto \\udp",
		"net 10.0.0.0 mask 255.0.0.0",
		"vlan 5 and ip",
	};

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		cr_expect_eq(filter_compile(code, &n, taken[i], &err), 0, "%s: %s", taken[i],
			     err.text);
}

Test(filter_program, refuses_with_a_sentence)
{
	static const struct {
		const char *text, *says;
	} refused[] = {
		{"port http", "'http' is not known here: names are not looked up, write addresses "
			      "and numbers"},
		{"host mme.example", "'mme.example' is not known here"},
		{"host 1.2.3.4.5", "'1.2.3.4.5' is not known here"},
		{"host 1-2", "'1-2' is not known here"},
		{"host dead:", "'dead:' is not known here"},
		{"ip protochain 6", "'protochain' is not known here"},
		{"gateway 10.0.0.1", "'gateway' is not known here"},
		{"port 22 22", "no expression of pcap-filter(7): "},
		{"port 70000", "no expression of pcap-filter(7): "},
		{"(", "no expression of pcap-filter(7): "},
	};

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		cr_expect_eq(filter_compile(code, &n, refused[i].text, &err), -EINVAL, "%s",
			     refused[i].text);
		cr_expect_eq(strncmp(err.text, refused[i].says, strlen(refused[i].says)), 0,
			     "%s: %s", refused[i].text, err.text);
	}
}

Test(filter_program, is_bounded_in_text_and_instructions)
{
	char text[FILTER_TEXT_MAX + 2];

	memset(text, ' ', sizeof(text));
	memcpy(text, "ip", 2);
	text[FILTER_TEXT_MAX] = 0;
	cr_expect_eq(filter_compile(code, &n, text, &err), 0);
	text[FILTER_TEXT_MAX] = ' ';
	text[FILTER_TEXT_MAX + 1] = 0;
	cr_expect_eq(filter_compile(code, &n, text, &err), -EINVAL);
	cr_expect_str_eq(err.text, "longer than 255 bytes");
	/* IPv6 addresses cost the most: eight comparisons of each. */
	int len = snprintf(text, sizeof(text), "host ::1");
	for (unsigned i = 0; i < 24; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, " or ::%x", i + 2);
	cr_expect_eq(filter_compile(code, &n, text, &err), -EINVAL);
	cr_expect(strstr(err.text, "instructions for a packet; allowed are 256"), "%s", err.text);
}

/* At what it does not know libpcap aborts. */
Test(filter_program, every_sound_instruction_can_be_executed)
{
	const uint8_t frame[64] = {[14] = 0x45};
	unsigned sound = 0;

	for (uint32_t i = 0; i < 65536; i++) {
		const struct filter_insn tried[] = {{.code = (uint16_t)i, .k = 1},
						    {.code = BPF_RET | BPF_A},
						    {.code = BPF_RET | BPF_K}};
		if (!filter_program_is_sound(tried, 3))
			continue;
		(void)filter_program_matches(tried, frame, 1500, sizeof(frame));
		sound++;
	}
	/* 13 loads, 2 stores, 21 of arithmetic, 9 jumps, 2 returns, 2 moves. */
	cr_expect_eq(sound, 49, "%u", sound);
}

Test(filter_program, what_loops_or_reads_elsewhere_is_not_sound)
{
	struct filter_insn back[] = {BPF_STMT(BPF_JMP | BPF_JA, UINT32_MAX),
				     BPF_STMT(BPF_RET | BPF_K, 0)};
	struct filter_insn far[] = {BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
				    BPF_STMT(BPF_RET | BPF_K, 0)};
	struct filter_insn memory[] = {BPF_STMT(BPF_ST, BPF_MEMWORDS),
				       BPF_STMT(BPF_RET | BPF_K, 0)};
	struct filter_insn endless[] = {BPF_STMT(BPF_LD | BPF_IMM, 0)};
	struct filter_insn sound[] = {BPF_STMT(BPF_RET | BPF_K, 1)};

	cr_expect_not(filter_program_is_sound(back, 2));
	cr_expect_not(filter_program_is_sound(far, 2));
	cr_expect_not(filter_program_is_sound(memory, 2));
	cr_expect_not(filter_program_is_sound(endless, 1));
	cr_expect_not(filter_program_is_sound(sound, 0));
	cr_expect_not(filter_program_is_sound(sound, FILTER_PROGRAM_MAX + 1));
	cr_expect(filter_program_is_sound(sound, 1));
}
