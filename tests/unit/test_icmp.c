#include "kpi/icmp.h"

#include <criterion/criterion.h>

#include "../support/counted.h"
#include "../support/packet.h"

#define START UINT64_C(1795302174000000000)
#define MS    UINT64_C(1000000)

#define LOW   "10.0.0.1"
#define HIGH  "10.0.0.2"
#define LOW6  "2001:db8::1"
#define HIGH6 "2001:db8::2"

static struct icmp icmp;

TestSuite(icmp, .init = counted_clear);

/* The first len bytes of the frame are there. */
static struct packet packet_of(struct build *b, uint32_t len, struct dissected *d)
{
	const struct packet p = {
		.data = packet_guard(build_data(b), len), .len = len, .cap_len = len};

	dissect_frame(p.data, len, len, d);
	return p;
}

/* ---- echo ---- */

static void take_echo(uint64_t ms, bool back, uint8_t type, uint16_t sequence)
{
	const struct kpi_sink sink = counted_sink(START + ms * MS);
	const bool v6 = type >= 128;
	struct build b = build_payload(56);
	struct dissected d;

	build_icmp(&b, type, 7);
	build_data(&b)[6] = (uint8_t)(sequence >> 8);
	build_data(&b)[7] = (uint8_t)sequence;
	if (v6)
		build_ipv6(&b, 58, back ? HIGH6 : LOW6, back ? LOW6 : HIGH6);
	else
		build_ipv4(&b, 1, back ? HIGH : LOW, back ? LOW : HIGH);
	build_ethernet(&b, v6 ? 0x86dd : 0x0800);
	const uint32_t headers = v6 ? 14 + 40 + 8 : 14 + 20 + 8;
	const struct packet p = packet_of(&b, headers, &d); /* the mirror cuts the data away */
	cr_assert(d.has_flow);
	icmp_packet(&sink, &icmp, &p, &d);
}

static void ask(uint64_t ms, uint16_t sequence)
{
	take_echo(ms, false, 8, sequence);
}

static void answer(uint64_t ms, uint16_t sequence)
{
	take_echo(ms, true, 0, sequence);
}

Test(icmp, reply_gives_the_time_since_its_request)
{
	ask(0, 1);
	ask(10, 2);
	answer(13, 2);
	answer(14, 1);
	cr_assert_eq(counted(KPI_ICMP_REQUESTS), 2);
	cr_assert_eq(counted(KPI_ICMP_REPLIES), 2);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), 2);
	cr_assert_eq(counted_sum(KPI_ICMP_ECHO_RTT), 17 * MS);
}

Test(icmp, icmpv6_has_its_own_types)
{
	take_echo(0, true, 128, 65535);
	take_echo(5, false, 129, 65535);
	cr_assert_eq(counted(KPI_ICMP_REQUESTS), 1);
	cr_assert_eq(counted_sum(KPI_ICMP_ECHO_RTT), 5 * MS);
}

Test(icmp, only_a_reply_of_the_other_side_under_the_same_number_answers)
{
	ask(0, 1);
	take_echo(1, false, 0, 1);
	answer(1, 2);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), 0);
	cr_assert_not(counted_is_seen(KPI_GROUP_ICMP_BOTH));
	answer(3, 1);
	answer(4, 1);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), 1, "the first");
	cr_assert(counted_is_seen(KPI_GROUP_ICMP_BOTH));
}

Test(icmp, both_sides_may_ask_under_the_same_numbers)
{
	ask(0, 1);
	take_echo(1, true, 8, 1);
	answer(5, 1);
	take_echo(7, false, 0, 1);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), 2);
	cr_assert_eq(counted_sum(KPI_ICMP_ECHO_RTT), 11 * MS);
}

Test(icmp, request_sent_again_takes_the_place_of_the_one_before)
{
	counted_sees_both();
	ask(0, 1);
	ask(100, 1);
	answer(103, 1);
	cr_assert_eq(counted_sum(KPI_ICMP_ECHO_RTT), 3 * MS);
	ask(9000, 2);
	cr_assert_eq(counted(KPI_ICMP_UNANSWERED), 0);
}

Test(icmp, reply_before_its_request_by_time_is_no_sample)
{
	ask(10, 1);
	answer(9, 1);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), 0);
}

Test(icmp, flow_with_a_request_that_waits_is_soon_over)
{
	ask(0, 1);
	cr_assert_eq(icmp_idle_s(&icmp), 10);
	answer(1, 1);
	cr_assert_eq(icmp_idle_s(&icmp), 0);
}

Test(icmp, request_is_unanswered_after_five_seconds)
{
	counted_sees_both();
	ask(0, 1);
	ask(4999, 2);
	cr_assert_eq(counted(KPI_ICMP_UNANSWERED), 0);
	answer(5000, 1);
	cr_assert_eq(counted(KPI_ICMP_UNANSWERED), 1);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), 0, "too late");
	cr_assert(counted_is_seen(KPI_GROUP_ICMP_BOTH));
}

Test(icmp, requests_that_wait_when_the_flow_fell_silent_are_unanswered)
{
	const struct kpi_sink sink = counted_sink(START);

	counted_sees_both();
	ask(0, 1);
	ask(1, 2);
	ask(2, 3);
	answer(3, 2);
	icmp_ended(&sink, &icmp);
	cr_assert_eq(counted(KPI_ICMP_UNANSWERED), 2);
}

Test(icmp, silence_is_told_also_where_nothing_was_ever_answered)
{
	const struct kpi_sink sink = counted_sink(START);

	counted_sees_both();
	icmp_ended(&sink, &icmp);
	cr_assert_not(counted_is_seen(KPI_GROUP_ICMP_BOTH), "nothing was asked");
	ask(0, 1);
	icmp_ended(&sink, &icmp);
	cr_assert(counted_is_seen(KPI_GROUP_ICMP_BOTH));
}

Test(icmp, silence_means_nothing_where_one_direction_is_mirrored)
{
	const struct kpi_sink sink = counted_sink(START);

	ask(0, 1);
	ask(6000, 2);
	icmp_ended(&sink, &icmp);
	cr_assert_eq(counted(KPI_ICMP_REQUESTS), 2);
	cr_assert_eq(counted(KPI_ICMP_UNANSWERED), 0);
	cr_assert_not(counted_is_seen(KPI_GROUP_ICMP_BOTH));
	cr_assert(counted_is_seen(KPI_GROUP_ICMP));
}

Test(icmp, request_without_a_place_takes_that_of_the_oldest)
{
	for (uint16_t i = 0; i <= ICMP_PLACES; i++)
		ask(i, i);
	cr_assert_eq(counted(KPI_ICMP_SKIPPED), 1);
	for (uint16_t i = 0; i <= ICMP_PLACES; i++)
		answer(100, i);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), ICMP_PLACES);
	for (uint16_t i = 0; i < ICMP_PLACES; i++)
		ask(101, i);
	cr_assert_eq(counted(KPI_ICMP_SKIPPED), 1, "all places were free");
}

Test(icmp, the_oldest_may_be_in_any_place)
{
	for (uint16_t i = 0; i < ICMP_PLACES; i++)
		ask(i, i);
	answer(20, 0);
	ask(21, 100);
	ask(22, 101);
	cr_assert_eq(counted(KPI_ICMP_SKIPPED), 1);
	answer(23, 1);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), 1, "this was it");
	answer(23, 100);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), 2);
}

/* One request waits in the first place, all others were taken and are free again. */
static void free_all_but_the_first(void)
{
	counted_sees_both();
	ask(0, 0);
	for (uint16_t i = 1; i < ICMP_PLACES; i++) {
		ask(10 * i, i);
		answer(10 * i + 1, i);
	}
}

Test(icmp, request_skips_none_while_a_place_is_free)
{
	free_all_but_the_first();
	ask(200, 100);
	cr_assert_eq(counted(KPI_ICMP_SKIPPED), 0);
	answer(201, 0);
	answer(202, 100);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), ICMP_PLACES + 1);
}

Test(icmp, early_reply_is_remembered_while_a_place_is_free)
{
	free_all_but_the_first();
	answer(200, 100);
	ask(202, 100);
	answer(203, 0);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), ICMP_PLACES);
	cr_assert_eq(icmp_idle_s(&icmp), 0, "none waits");
}

Test(icmp, request_in_the_place_of_an_early_reply_waits_like_any)
{
	for (uint16_t i = 0; i < ICMP_PLACES; i++)
		answer(0, (uint16_t)(100 + i));
	ask(1, 1);
	cr_assert_eq(icmp_idle_s(&icmp), ICMP_IDLE_WAITING_S);
	answer(3, 1);
	cr_assert_eq(counted_sum(KPI_ICMP_ECHO_RTT), 2 * MS);
}

Test(icmp, reply_that_overtook_its_request_answers_it)
{
	counted_sees_both();
	answer(0, 1);
	cr_assert_eq(icmp_idle_s(&icmp), 0);
	ask(2, 1);
	cr_assert(counted_is_seen(KPI_GROUP_ICMP_BOTH));
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), 0);
	cr_assert_eq(icmp_idle_s(&icmp), 0);
	ask(6000, 2);
	answer(6001, 2);
	cr_assert_eq(counted(KPI_ICMP_UNANSWERED), 0);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), 1);
}

Test(icmp, reply_is_early_by_5_ms_at_most)
{
	const struct kpi_sink sink = counted_sink(START);

	counted_sees_both();
	answer(0, 1);
	answer(0, 2);
	ask(5, 1);
	icmp_ended(&sink, &icmp);
	cr_assert_eq(counted(KPI_ICMP_UNANSWERED), 1, "the second was never asked for");
}

Test(icmp, early_replies_take_no_place_of_a_request)
{
	for (uint16_t i = 0; i < ICMP_PLACES; i++)
		ask(i, i);
	for (uint16_t i = 0; i < ICMP_PLACES; i++)
		answer(20, (uint16_t)(100 + i));
	for (uint16_t i = 0; i < ICMP_PLACES; i++)
		answer(21, i);
	cr_assert_eq(counted_samples(KPI_ICMP_ECHO_RTT), ICMP_PLACES);
	answer(22, 200);
	for (uint16_t i = 0; i < ICMP_PLACES; i++)
		ask(23, i);
	cr_assert_eq(counted(KPI_ICMP_SKIPPED), 0, "nor does a request skip them");
}

/* ---- errors ---- */

/* An error of HIGH about a packet of LOW, port 1000, to HIGH, port 2000. */
static struct build error(uint8_t type, uint8_t code, bool v6)
{
	struct build b = build_payload(0);

	build_udp(&b, 1000, 2000);
	if (v6)
		build_ipv6(&b, 17, LOW6, HIGH6);
	else
		build_ipv4(&b, 17, LOW, HIGH);
	build_icmp(&b, type, 0);
	build_data(&b)[1] = code;
	if (v6)
		build_ipv6(&b, 58, HIGH6, LOW6);
	else
		build_ipv4(&b, 1, HIGH, LOW);
	build_ethernet(&b, v6 ? 0x86dd : 0x0800);
	return b;
}

static enum icmp_verdict take_error(struct build *b, uint32_t len)
{
	const struct kpi_sink sink = counted_sink(START);
	struct flow_key quoted;
	unsigned direction;
	struct dissected d;
	const struct packet p = packet_of(b, len, &d);

	return icmp_error(&sink, &p, &d, &quoted, &direction);
}

static const struct kind {
	uint8_t type, code;
	bool v6;
	enum kpi kpi;
	enum icmp_verdict verdict;
} kinds[] = {
	{3, 0, false, KPI_ICMP_ERROR_NET_UNREACHABLE, ICMP_UNREACHABLE},
	{3, 1, false, KPI_ICMP_ERROR_HOST_UNREACHABLE, ICMP_UNREACHABLE},
	{3, 2, false, KPI_ICMP_ERROR_PROTOCOL_UNREACHABLE, ICMP_UNREACHABLE},
	{3, 3, false, KPI_ICMP_ERROR_PORT_UNREACHABLE, ICMP_PORT_UNREACHABLE},
	{3, 4, false, KPI_ICMP_ERROR_PACKET_TOO_BIG, ICMP_OTHER_ERROR},
	{3, 5, false, KPI_ICMP_ERROR_OTHER_UNREACHABLE, ICMP_UNREACHABLE},
	{3, 9, false, KPI_ICMP_ERROR_ADMIN_PROHIBITED, ICMP_UNREACHABLE},
	{3, 10, false, KPI_ICMP_ERROR_ADMIN_PROHIBITED, ICMP_UNREACHABLE},
	{3, 13, false, KPI_ICMP_ERROR_ADMIN_PROHIBITED, ICMP_UNREACHABLE},
	{4, 0, false, KPI_ICMP_ERROR_SOURCE_QUENCH, ICMP_OTHER_ERROR},
	{5, 1, false, KPI_ICMP_ERROR_REDIRECT, ICMP_OTHER_ERROR},
	{11, 0, false, KPI_ICMP_ERROR_TTL_EXCEEDED, ICMP_OTHER_ERROR},
	{11, 1, false, KPI_ICMP_ERROR_REASSEMBLY_TIMEOUT, ICMP_OTHER_ERROR},
	{12, 0, false, KPI_ICMP_ERROR_PARAMETER_PROBLEM, ICMP_OTHER_ERROR},
	{1, 0, true, KPI_ICMP_ERROR_NET_UNREACHABLE, ICMP_UNREACHABLE},
	{1, 1, true, KPI_ICMP_ERROR_ADMIN_PROHIBITED, ICMP_UNREACHABLE},
	{1, 2, true, KPI_ICMP_ERROR_OTHER_UNREACHABLE, ICMP_UNREACHABLE},
	{1, 3, true, KPI_ICMP_ERROR_HOST_UNREACHABLE, ICMP_UNREACHABLE},
	{1, 4, true, KPI_ICMP_ERROR_PORT_UNREACHABLE, ICMP_PORT_UNREACHABLE},
	{1, 5, true, KPI_ICMP_ERROR_ADMIN_PROHIBITED, ICMP_UNREACHABLE},
	{1, 6, true, KPI_ICMP_ERROR_ADMIN_PROHIBITED, ICMP_UNREACHABLE},
	{2, 0, true, KPI_ICMP_ERROR_PACKET_TOO_BIG, ICMP_OTHER_ERROR},
	{3, 0, true, KPI_ICMP_ERROR_TTL_EXCEEDED, ICMP_OTHER_ERROR},
	{3, 1, true, KPI_ICMP_ERROR_REASSEMBLY_TIMEOUT, ICMP_OTHER_ERROR},
	{4, 2, true, KPI_ICMP_ERROR_PARAMETER_PROBLEM, ICMP_OTHER_ERROR},
};

Test(icmp, errors_are_counted_by_kind)
{
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		const struct kind *k = &kinds[i];
		struct build b = error(k->type, k->code, k->v6);
		counted_clear();
		cr_assert_eq(take_error(&b, b.len), k->verdict, "%u/%u", k->type, k->code);
		cr_assert_eq(counted(k->kpi), 1, "%u/%u", k->type, k->code);
		cr_assert(counted_is_seen(KPI_GROUP_ICMP));
	}
}

Test(icmp, other_icmp_and_other_packets_are_no_errors)
{
	struct build advertisement = error(9, 0, false), solicitation = error(135, 0, true),
		     arp = build_payload(28), confused = error(3, 3, false);

	build_ethernet(&arp, 0x0806);
	build_data(&confused)[14 + 9] = 58; /* ICMPv6 in IPv4 */
	cr_assert_eq(take_error(&advertisement, advertisement.len), ICMP_NO_ERROR);
	cr_assert_eq(take_error(&solicitation, solicitation.len), ICMP_NO_ERROR);
	cr_assert_eq(take_error(&arp, arp.len), ICMP_NO_ERROR);
	cr_assert_eq(take_error(&confused, confused.len), ICMP_NO_ERROR);
	cr_assert_not(counted_is_seen(KPI_GROUP_ICMP));
	for (enum kpi kpi = 0; kpi < KPI_MAX; kpi++)
		cr_assert_eq(counted(kpi), 0);
}

Test(icmp, error_is_counted_when_its_quote_is_cut)
{
	struct build b = error(3, 3, false);
	const uint32_t icmp_at = 14 + 20;

	cr_assert_eq(take_error(&b, icmp_at + 1), ICMP_NO_ERROR);
	cr_assert_eq(counted(KPI_ICMP_ERROR_PORT_UNREACHABLE), 0, "without its code");
	cr_assert_eq(take_error(&b, icmp_at + 2), ICMP_NO_ERROR);
	cr_assert_eq(counted(KPI_ICMP_ERROR_PORT_UNREACHABLE), 1);
	cr_assert_eq(take_error(&b, icmp_at + 8 + 20 + 3), ICMP_NO_ERROR);
	cr_assert_eq(take_error(&b, icmp_at + 8 + 20 + 4), ICMP_PORT_UNREACHABLE, "the ports");
	cr_assert_eq(counted(KPI_ICMP_ERROR_PORT_UNREACHABLE), 3);
}

Test(icmp, padding_behind_the_packet_is_no_error)
{
	struct build b = error(3, 3, false);

	build_data(&b)[14 + 3] = 21; /* one byte of ICMP */
	cr_assert_eq(take_error(&b, b.len), ICMP_NO_ERROR);
	cr_assert_eq(counted(KPI_ICMP_ERROR_PORT_UNREACHABLE), 0);
}

Test(icmp, error_tells_flows_whose_setup_or_datagram_it_ends)
{
	cr_assert(icmp_tells(ICMP_UNREACHABLE, 6));
	cr_assert(icmp_tells(ICMP_PORT_UNREACHABLE, 6));
	cr_assert(icmp_tells(ICMP_UNREACHABLE, 132));
	cr_assert(icmp_tells(ICMP_PORT_UNREACHABLE, 132));
	cr_assert(icmp_tells(ICMP_PORT_UNREACHABLE, 17));
	cr_assert_not(icmp_tells(ICMP_UNREACHABLE, 17), "a service need not be gone");
	cr_assert_not(icmp_tells(ICMP_PORT_UNREACHABLE, 1));
	cr_assert_not(icmp_tells(ICMP_OTHER_ERROR, 6));
	cr_assert_not(icmp_tells(ICMP_NO_ERROR, 6));
}
