#include "kpi/udp.h"

#include <criterion/criterion.h>

#include "../support/counted.h"

static struct udp udp;
static struct flow flow;

TestSuite(udp, .init = counted_clear);

static void take(unsigned direction)
{
	static const uint8_t none[64];
	const struct kpi_sink sink = counted_sink(1);
	const struct packet p = {.data = none, .len = 50, .cap_len = 50};
	const struct dissected d = {.ip_len = 36, .l3 = 14, .l4 = 34, .payload = 42};

	flow.packets[direction]++;
	udp_packet(&sink, &udp, &p, &d, &flow);
}

static void end(void)
{
	const struct kpi_sink sink = counted_sink(1);

	udp_ended(&sink, &udp, &flow);
}

Test(udp, flow_of_one_direction_is_unanswered_at_its_end)
{
	counted_sees_both();
	take(1);
	take(1);
	cr_assert_eq(counted(KPI_UDP_UNANSWERED), 0);
	end();
	cr_assert_eq(counted(KPI_UDP_UNANSWERED), 1);
	cr_assert(counted_is_seen(KPI_GROUP_UDP_BOTH));
}

Test(udp, answered_flow_is_not)
{
	counted_sees_both();
	take(0);
	cr_assert_not(counted_is_seen(KPI_GROUP_UDP_BOTH));
	take(1);
	end();
	cr_assert_eq(counted(KPI_UDP_UNANSWERED), 0);
	cr_assert(counted_is_seen(KPI_GROUP_UDP_BOTH));
}

Test(udp, silence_means_nothing_where_one_direction_is_mirrored)
{
	take(0);
	end();
	cr_assert_eq(counted(KPI_UDP_UNANSWERED), 0);
	cr_assert_not(counted_is_seen(KPI_GROUP_UDP_BOTH));
}

Test(udp, refused_is_counted_each_time_and_is_not_unanswered)
{
	const struct kpi_sink sink = counted_sink(1);

	counted_sees_both();
	take(0);
	cr_assert_not(counted_is_seen(KPI_GROUP_UDP_REFUSED));
	udp_refused(&sink, &udp);
	cr_assert(counted_is_seen(KPI_GROUP_UDP_REFUSED));
	take(0);
	udp_refused(&sink, &udp);
	end();
	cr_assert_eq(counted(KPI_UDP_REFUSED), 2);
	cr_assert_eq(counted(KPI_UDP_UNANSWERED), 0);
	cr_assert_not(counted_is_seen(KPI_GROUP_UDP_BOTH));
}

Test(udp, flow_of_a_single_packet_is_soon_over)
{
	take(0);
	cr_assert_eq(udp_idle_s(&flow), 10);
	take(0);
	cr_assert_eq(udp_idle_s(&flow), 0);
}
