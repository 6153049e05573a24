#include "serve/view.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "../support/served.h"

#define SECOND_NS UINT64_C(1000000000)

Test(view, a_session_is_active_for_15_minutes_after_its_last_packet)
{
	struct view *v = served_open(4);
	const uint64_t last_ns = SERVED_NOW_NS;
	const uint32_t id = served_add(v, "10.0.0.1", 7, 1, last_ns);
	const uint32_t silent = served_add(v, "10.0.0.2", 7, 0, 0);

	cr_expect_eq(view_sessions(v), 2);
	cr_expect(view_is_active(v, id, last_ns));
	cr_expect(view_is_active(v, id, last_ns + 900 * SECOND_NS - 1));
	cr_expect(!view_is_active(v, id, last_ns + 900 * SECOND_NS));
	cr_expect(!view_is_active(v, silent, last_ns));
	stats_kpi(v->ledger.stats, 1, silent)->last_ns = last_ns; /* another worker's packet */
	cr_expect(view_is_active(v, silent, last_ns));
}

Test(view, sessions_of_files_never_grow_old)
{
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "10.0.0.1", 7, 1, 1);

	v->ledger.stats->is_live = false;
	cr_expect(view_is_active(v, id, UINT64_MAX));
}

Test(view, the_last_packet_has_wall_clock_time)
{
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "10.0.0.1", 7, 1, 50);
	const uint32_t silent = served_add(v, "10.0.0.2", 7, 0, 0);

	v->ledger.stats->offset_ns = 1000;
	cr_expect_eq(view_last_packet_ns(v, id), 1050);
	cr_expect_eq(view_last_packet_ns(v, silent), 0);
	stats_kpi(v->ledger.stats, 1, id)->last_ns = 60;
	cr_expect_eq(view_last_packet_ns(v, id), 1060);
	v->ledger.stats->offset_ns = -10;
	cr_expect_eq(view_last_packet_ns(v, id), 50);
}

Test(view, the_first_packet_is_that_of_any_worker)
{
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "10.0.0.1", 7, 1, 50);

	v->ledger.stats->offset_ns = 1000;
	cr_expect_eq(view_first_packet_ns(v, id), 0);
	stats_kpi(v->ledger.stats, 1, id)->first_ns = 40;
	cr_expect_eq(view_first_packet_ns(v, id), 1040);
	stats_kpi(v->ledger.stats, 0, id)->first_ns = 30;
	cr_expect_eq(view_first_packet_ns(v, id), 1030);
}

Test(view, a_value_is_the_sum_over_the_workers)
{
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "10.0.0.1", 7, 5, 1);

	stats_kpi(v->ledger.stats, 1, id)->value[KPI_INGRESS_PACKETS] = 6;
	cr_expect_eq(view_kpi(v, id, KPI_INGRESS_PACKETS), 11);
}

/* The worker that counted the end may be read before the one that counted the beginning. */
Test(view, a_gauge_is_never_below_nothing)
{
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "10.0.0.1", 7, 1, 1);

	stats_kpi(v->ledger.stats, 0, id)->value[KPI_FLOWS_TCP] = (uint64_t)-3;
	cr_expect_eq(view_kpi(v, id, KPI_FLOWS_TCP), 0);
	stats_kpi(v->ledger.stats, 1, id)->value[KPI_FLOWS_TCP] = 4;
	cr_expect_eq(view_kpi(v, id, KPI_FLOWS_TCP), 1);
}

Test(view, a_histogram_is_the_sum_over_the_workers)
{
	struct view *v = served_open(4);
	const uint32_t id = served_add(v, "10.0.0.1", 7, 1, 1);
	struct histogram h;

	cr_expect(!view_histogram(v, id, KPI_TCP_HANDSHAKE_CLIENT, &h));
	served_time(v, id, KPI_TCP_HANDSHAKE_CLIENT, 1000);
	stats_kpi(v->ledger.stats, 1, id)->histogram[KPI_TCP_HANDSHAKE_CLIENT] = 1;
	histogram_add(stats_histograms(v->ledger.stats, 1), 500, 1);
	cr_expect(view_histogram(v, id, KPI_TCP_HANDSHAKE_CLIENT, &h));
	cr_expect_eq(histogram_count(&h), 2);
	cr_expect_eq(h.sum_ns, 1500);
}

Test(view, is_healthy_while_the_control_thread_turns)
{
	struct view *v = served_open(4);
	struct err err;

	cr_expect_eq(view_check_healthy(v, SERVED_NOW_NS, &err), 0);
	cr_expect_eq(view_check_healthy(v, SERVED_NOW_NS - 1, &err), 0); /* it turned meanwhile */
	cr_expect_eq(view_check_healthy(v, SERVED_NOW_NS + 5 * SECOND_NS, &err), 0);
	cr_expect_eq(view_check_healthy(v, SERVED_NOW_NS + 7 * SECOND_NS, &err), -ETIMEDOUT);
	cr_expect_str_eq(err.text, "the control thread has not made a turn for 7 s");
	v->ledger.stats->heartbeat_ns = 0;
	cr_expect_eq(view_check_healthy(v, SERVED_NOW_NS, &err), -ETIMEDOUT);
	cr_expect_str_eq(err.text, "the control thread has not begun yet");
}

Test(view, is_ready_once_packets_flow)
{
	struct view *v = served_open(4);
	struct err err;

	cr_expect_eq(view_check_ready(v, &err), 0);
	v->ledger.stats->is_capturing = 0;
	cr_expect_eq(view_check_ready(v, &err), -EAGAIN);
	cr_expect_str_eq(err.text, "the capture has not begun yet");
}
