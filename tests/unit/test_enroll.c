#include "path/enroll.h"

#include <criterion/criterion.h>
#include <string.h>

#include "path/filter.h"

#define SESSIONS 4
#define WORKERS  2

/* MACs by their last byte; the other five are those of stations, not of groups. */
#define ENI   1
#define PEER  2
#define PEER2 3
#define NEW   11
#define OTHER 12

static const struct address SOURCE = {{[10] = 0xff, 0xff, 10, 0, 0, 1}};
static const struct address SOURCE2 = {{[10] = 0xff, 0xff, 10, 0, 0, 2}};

static struct session sessions[2 * SESSIONS];
static uint32_t n_sessions, asked, run, published_again;
static uint64_t sequence[WORKERS], now_ns;
static struct enrolled enrolled; /* the latest answer */
static struct enroll_identity identity;
static bool waits[WORKERS];
static struct enroll *enroll;

static void note_session(void *arg, uint32_t id, const struct session *session, uint64_t time_ns)
{
	(void)arg;
	cr_assert_eq(time_ns, now_ns);
	cr_assert_leq(id, n_sessions);
	published_again += id < n_sessions;
	n_sessions += id == n_sessions;
	sessions[id] = *session;
}

static void tell_identity(void *arg, const struct address *source, uint32_t vni, uint64_t time_ns,
			  struct enroll_identity *out)
{
	(void)arg;
	(void)source;
	(void)vni;
	cr_assert_eq(time_ns, now_ns);
	*out = identity;
}

/* A packet, or the one that waits come again. run: how many before it are moved with it. */
static uint32_t packet(unsigned worker, const struct address *source, uint32_t vni,
		       const uint8_t *frame, uint32_t len)
{
	sequence[worker] += !waits[worker];
	const struct packet p = {.time_ns = now_ns,
				 .sequence = sequence[worker],
				 .data = frame,
				 .len = len,
				 .cap_len = len,
				 .source = *source,
				 .vni = vni};
	enroll_packet(enroll, worker, &p, &enrolled);
	waits[worker] = enrolled.session == ENROLL_UNKNOWN;
	run = enrolled.since == ENROLL_NO_RUN ? 0 : (uint32_t)(sequence[worker] - enrolled.since);
	return enrolled.session;
}

static void count_asked(void *arg)
{
	(void)arg;
	asked++;
}

static void open_enroll(void)
{
	const struct enroll_config config = {.sessions_max = SESSIONS,
					     .sessions_room = 2 * SESSIONS,
					     .workers = WORKERS,
					     .key = {{1, 2}},
					     .ask = count_asked,
					     .identify = tell_identity,
					     .publish = note_session};
	struct err err;

	identity = (struct enroll_identity){.until_ns = UINT64_MAX};

	cr_assert_eq(enroll_open(&enroll, &config, &err), 0);
}

static void close_enroll(void)
{
	enroll_close(enroll);
}

TestSuite(enroll, .init = open_enroll, .fini = close_enroll);

/* One look-up of a frame between two MACs. */
static uint32_t look_up(unsigned worker, uint8_t from, uint8_t to)
{
	const uint8_t frame[14] = {2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from};

	return packet(worker, &SOURCE, 42, frame, sizeof(frame));
}

/* As a worker does it: comes again until control has answered. */
static uint32_t enter(unsigned worker, uint8_t from, uint8_t to)
{
	uint32_t id = look_up(worker, from, to);

	if (id == ENROLL_UNKNOWN) {
		enroll_serve(enroll);
		id = look_up(worker, from, to);
	}
	cr_assert_neq(id, ENROLL_UNKNOWN, "an answered worker must not have to ask again");
	return id;
}

static uint32_t enter_pair(unsigned worker, const struct address *source, uint32_t vni)
{
	const uint8_t frame[14] = {2, 0, 0, 0, 0, ENI, 2, 0, 0, 0, 0, PEER};
	const uint32_t id = packet(worker, source, vni, frame, 14);

	if (id != ENROLL_UNKNOWN)
		return id;
	enroll_serve(enroll);
	return packet(worker, source, vni, frame, 14);
}

/* A session whose common MAC is ENI's alone. */
static void settle(unsigned worker)
{
	cr_assert_eq(enter(worker, ENI, PEER), 0);
	cr_assert_eq(enter(worker, PEER2, ENI), 0);
}

static void send_foreign(unsigned worker, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		cr_assert_eq(enter(worker, NEW, OTHER), 0);
}

/* ---- sessions ---- */

Test(enroll, unknown_pair_is_asked_once_and_answered_by_serve)
{
	cr_assert_eq(look_up(0, ENI, PEER), ENROLL_UNKNOWN);
	cr_assert_eq(look_up(0, ENI, PEER), ENROLL_UNKNOWN);
	cr_assert_eq(asked, 1);
	cr_assert_eq(n_sessions, 0);
	enroll_serve(enroll);
	cr_assert_eq(look_up(0, ENI, PEER), 0);
	cr_assert_eq(run, 0);
	cr_assert_eq(asked, 1);
	cr_assert_eq(n_sessions, 1);
}

Test(enroll, session_is_written_in_full)
{
	enter(0, ENI, PEER);
	cr_assert_arr_eq(sessions[0].source.byte, SOURCE.byte, sizeof(SOURCE.byte));
	cr_assert_eq(sessions[0].vni, 42);
	cr_assert_eq(sessions[0].generation, 1);
	cr_assert_eq(sessions[0].previous, ENROLL_UNKNOWN);
}

Test(enroll, same_vni_from_two_sources_is_two_sessions)
{
	cr_assert_eq(enter_pair(0, &SOURCE, 42), 0);
	cr_assert_eq(enter_pair(0, &SOURCE2, 42), 1);
	cr_assert_eq(enter_pair(0, &SOURCE, 42), 0);
}

Test(enroll, two_vnis_from_one_source_are_two_sessions)
{
	cr_assert_eq(enter_pair(0, &SOURCE, 42), 0);
	cr_assert_eq(enter_pair(0, &SOURCE, 43), 1);
}

Test(enroll, all_workers_see_the_same_session)
{
	cr_assert_eq(enter(0, ENI, PEER), 0);
	cr_assert_eq(look_up(1, ENI, PEER), 0);
}

Test(enroll, two_workers_that_ask_for_the_same_pair_get_one_session)
{
	cr_assert_eq(look_up(0, ENI, PEER), ENROLL_UNKNOWN);
	cr_assert_eq(look_up(1, ENI, PEER), ENROLL_UNKNOWN);
	enroll_serve(enroll);
	cr_assert_eq(look_up(0, ENI, PEER), 0);
	cr_assert_eq(look_up(1, ENI, PEER), 0);
	cr_assert_eq(n_sessions, 1);
}

Test(enroll, beyond_the_cap_the_answer_is_refused_at_once_and_nobody_is_asked)
{
	for (uint32_t vni = 0; vni < SESSIONS; vni++)
		cr_assert_eq(enter_pair(0, &SOURCE, vni), vni);
	const uint32_t before = asked;
	for (uint32_t vni = SESSIONS; vni < 1000; vni++)
		cr_assert_eq(enter_pair(1, &SOURCE, vni), ENROLL_REFUSED);
	cr_assert_eq(asked, before);
	cr_assert_eq(n_sessions, SESSIONS);
	cr_assert_eq(enter_pair(1, &SOURCE, 0), 0);
}

Test(enroll, of_two_that_ask_for_the_last_place_one_is_refused)
{
	const uint8_t frame[14] = {2};

	for (uint32_t vni = 0; vni < SESSIONS - 1; vni++)
		enter_pair(0, &SOURCE, vni);
	cr_assert_eq(packet(0, &SOURCE, 50, frame, 14), ENROLL_UNKNOWN);
	cr_assert_eq(packet(1, &SOURCE, 51, frame, 14), ENROLL_UNKNOWN);
	enroll_serve(enroll);
	cr_assert_eq(packet(0, &SOURCE, 50, frame, 14), SESSIONS - 1);
	cr_assert_eq(packet(1, &SOURCE, 51, frame, 14), ENROLL_REFUSED);
	cr_assert_eq(n_sessions, SESSIONS);
}

/* ---- generations ---- */

Test(enroll, new_generation_begins_exactly_after_a_run_of_foreign_frames)
{
	settle(0);
	send_foreign(0, ENROLL_RUN - 1);
	cr_assert_eq(n_sessions, 1);
	cr_assert_eq(enter(0, NEW, OTHER), 1);
	cr_assert_eq(run, ENROLL_RUN - 1);
	cr_assert_eq(sessions[1].generation, 2);
	cr_assert_eq(sessions[1].previous, 0);
	cr_assert_eq(enter(0, NEW, OTHER), 1);
	cr_assert_eq(run, 0);
}

Test(enroll, generations_follow_one_another)
{
	settle(0);
	for (uint8_t g = 1; g < SESSIONS; g++) {
		for (unsigned i = 0; i < ENROLL_RUN - 1; i++)
			cr_assert_eq(enter(0, (uint8_t)(20 * g), (uint8_t)(20 * g + 1)), g - 1);
		cr_assert_eq(enter(0, (uint8_t)(20 * g), (uint8_t)(20 * g + 1)), g);
		cr_assert_eq(run, ENROLL_RUN - 1);
		cr_assert_eq(sessions[g].generation, g + 1u);
	}
}

Test(enroll, one_new_generation_when_two_workers_ask_for_it_at_once)
{
	settle(0);
	settle(1);
	send_foreign(0, ENROLL_RUN - 1);
	send_foreign(1, ENROLL_RUN - 1);
	cr_assert_eq(look_up(0, NEW, OTHER), ENROLL_UNKNOWN);
	cr_assert_eq(look_up(1, NEW, OTHER), ENROLL_UNKNOWN);
	enroll_serve(enroll);
	for (unsigned worker = 0; worker < WORKERS; worker++) {
		cr_assert_eq(look_up(worker, NEW, OTHER), 1);
		cr_assert_eq(run, ENROLL_RUN - 1);
	}
	cr_assert_eq(n_sessions, 2);
}

Test(enroll, worker_in_the_midst_of_a_run_follows_the_other_with_what_it_had)
{
	settle(0);
	settle(1);
	send_foreign(1, 2);
	send_foreign(0, ENROLL_RUN - 1);
	cr_assert_eq(enter(0, NEW, OTHER), 1);
	cr_assert_eq(look_up(1, NEW, OTHER), 1);
	cr_assert_eq(run, 2);
	cr_assert_eq(look_up(1, NEW, OTHER), 1);
	cr_assert_eq(run, 0);
}

Test(enroll, worker_that_saw_no_foreign_frame_has_none_to_move)
{
	settle(0);
	settle(1);
	send_foreign(0, ENROLL_RUN - 1);
	cr_assert_eq(enter(0, NEW, OTHER), 1);
	cr_assert_eq(look_up(1, NEW, OTHER), 1);
	cr_assert_eq(run, 0);
}

Test(enroll, old_mac_within_the_run_ends_generations_for_good)
{
	settle(0);
	send_foreign(0, ENROLL_RUN - 1);
	cr_assert_eq(enter(0, ENI, PEER), 0);
	send_foreign(0, 10 * ENROLL_RUN);
	cr_assert_eq(n_sessions, 1);
}

Test(enroll, session_of_many_pairs_without_a_common_mac_never_changes)
{
	for (uint8_t i = 0; i < 100; i++)
		cr_assert_eq(enter(0, i % 2 ? 1 : (uint8_t)(20 + i), i % 2 ? (uint8_t)(20 + i) : 2),
			     0);
	cr_assert_eq(n_sessions, 1);
}

Test(enroll, frames_to_groups_prove_nothing)
{
	const uint8_t broadcast[14] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, NEW};

	settle(0);
	for (unsigned i = 0; i < 10 * ENROLL_RUN; i++)
		cr_assert_eq(packet(0, &SOURCE, 42, broadcast, 14), 0);
	send_foreign(0, ENROLL_RUN - 1);
	cr_assert_eq(packet(0, &SOURCE, 42, broadcast, 14), 0);
	cr_assert_eq(enter(0, NEW, OTHER), 1);
	cr_assert_eq(run, ENROLL_RUN, "the broadcast within the run goes with it");
}

Test(enroll, broadcasts_of_the_old_mac_do_not_end_a_run)
{
	const uint8_t broadcast[14] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, ENI};

	settle(0);
	send_foreign(0, ENROLL_RUN - 1);
	cr_assert_eq(packet(0, &SOURCE, 42, broadcast, 14), 0);
	cr_assert_eq(enter(0, NEW, OTHER), 1);
}

Test(enroll, frames_shorter_than_ethernet_keep_the_session)
{
	const uint8_t cut[13] = {2, 0, 0, 0, 0, NEW, 2, 0, 0, 0, 0, OTHER};

	settle(0);
	for (uint32_t len = 0; len <= sizeof(cut); len++)
		cr_assert_eq(packet(0, &SOURCE, 42, cut, len), 0);
	cr_assert_eq(n_sessions, 1);
}

Test(enroll, no_mac_common_to_two_workers_is_refused_once_and_for_good)
{
	cr_assert_eq(enter(0, 21, 22), 0);
	cr_assert_eq(enter(1, 31, 32), 0);
	send_foreign(0, ENROLL_RUN - 1);
	const uint32_t before = asked;
	send_foreign(0, 10 * ENROLL_RUN);
	cr_assert_eq(asked, before + 1);
	cr_assert_eq(n_sessions, 1);
}

Test(enroll, at_the_cap_the_generation_stays_and_nobody_is_asked)
{
	settle(0);
	for (uint32_t vni = 100; n_sessions < SESSIONS; vni++)
		enter_pair(0, &SOURCE, vni);
	const uint32_t before = asked;
	send_foreign(0, 10 * ENROLL_RUN);
	cr_assert_eq(asked, before);
}

/* ---- identity ---- */

#define MAC(last) (UINT64_C(0x020000000000) | (last))

static void become(uint64_t eni, enum session_policy policy, uint64_t until_ns)
{
	identity = (struct enroll_identity){
		.eni = eni, .filter = &filter_plain[policy], .until_ns = until_ns};
}

Test(enroll, policy_is_that_of_the_identity)
{
	become(7, SESSION_COUNT, UINT64_MAX);
	cr_assert_eq(enter(0, ENI, PEER), 0);
	cr_assert_eq(enrolled.filter, &filter_plain[SESSION_COUNT]);
	cr_assert_eq(look_up(1, ENI, PEER), 0);
	cr_assert_eq(enrolled.filter, &filter_plain[SESSION_COUNT]);
}

Test(enroll, store_is_that_of_the_identity)
{
	become(7, SESSION_FULL, 100);
	cr_assert_eq(enter(0, ENI, PEER), 0);
	cr_assert_eq(enrolled.store, 0);
	become(7, SESSION_FULL, UINT64_MAX);
	identity.store = 3;
	now_ns = 100;
	cr_assert_eq(enter(0, ENI, PEER), 0);
	cr_assert_eq(enrolled.store, 3);
	cr_assert_eq(look_up(1, ENI, PEER), 0);
	cr_assert_eq(enrolled.store, 3);
}

Test(enroll, identity_is_asked_for_again_by_the_first_packet_at_its_end)
{
	become(7, SESSION_FULL, 100);
	now_ns = 99;
	cr_assert_eq(enter(0, ENI, PEER), 0);
	become(7, SESSION_HEADERS, 200);
	cr_assert_eq(look_up(0, ENI, PEER), 0);
	cr_assert_eq(enrolled.filter, &filter_plain[SESSION_FULL]);
	now_ns = 100;
	cr_assert_eq(look_up(0, ENI, PEER), ENROLL_UNKNOWN);
	cr_assert_eq(look_up(1, ENI, PEER), ENROLL_UNKNOWN);
	enroll_serve(enroll);
	cr_assert_eq(look_up(0, ENI, PEER), 0);
	cr_assert_eq(enrolled.filter, &filter_plain[SESSION_HEADERS]);
	cr_assert_eq(look_up(1, ENI, PEER), 0);
	cr_assert_eq(n_sessions, 1);
	cr_assert_geq(published_again, 1);
}

Test(enroll, identity_that_is_over_already_holds_for_one_packet_at_least)
{
	become(7, SESSION_FULL, 1);
	now_ns = 50;
	cr_assert_eq(enter(0, ENI, PEER), 0);
}

Test(enroll, another_eni_begins_a_generation)
{
	become(7, SESSION_FULL, 100);
	cr_assert_eq(enter(0, ENI, PEER), 0);
	now_ns = 100;
	become(8, SESSION_COUNT, UINT64_MAX);
	cr_assert_eq(enter(0, ENI, PEER), 1, "also with the same MACs");
	cr_assert_eq(sessions[1].generation, 2);
	cr_assert_eq(sessions[1].previous, 0);
	cr_assert_eq(enrolled.filter, &filter_plain[SESSION_COUNT]);
}

Test(enroll, eni_that_is_named_or_forgotten_later_is_the_same_one)
{
	enter(0, ENI, PEER);
	for (uint64_t i = 0; i < 4; i++) {
		become(i % 2 ? 0 : 7, SESSION_FULL, UINT64_MAX);
		enroll_review(enroll, now_ns, true);
	}
	cr_assert_eq(n_sessions, 1);
	cr_assert_eq(published_again, 4);
	become(8, SESSION_FULL, UINT64_MAX);
	enroll_review(enroll, now_ns, true);
	cr_assert_eq(n_sessions, 2, "and a third one is not");
}

Test(enroll, review_takes_those_whose_identity_has_run_out)
{
	become(7, SESSION_FULL, 100);
	enter_pair(0, &SOURCE, 1);
	become(7, SESSION_FULL, 200);
	enter_pair(0, &SOURCE, 2);
	now_ns = 99;
	enroll_review(enroll, now_ns, false);
	cr_assert_eq(published_again, 0);
	now_ns = 100;
	become(7, SESSION_FULL, 300);
	enroll_review(enroll, now_ns, false);
	cr_assert_eq(published_again, 1);
	now_ns = 200;
	enroll_review(enroll, now_ns, false);
	cr_assert_eq(published_again, 2);
	now_ns = 300;
	become(7, SESSION_FULL, UINT64_MAX);
	enroll_review(enroll, now_ns, false);
	cr_assert_eq(published_again, 4);
}

Test(enroll, another_eni_without_room_is_refused_until_there_is_some)
{
	become(7, SESSION_FULL, 100);
	enter_pair(0, &SOURCE, 42);
	become(7, SESSION_FULL, UINT64_MAX);
	for (uint32_t vni = 100; n_sessions < SESSIONS; vni++)
		enter_pair(0, &SOURCE, vni);
	now_ns = 100;
	become(8, SESSION_FULL, 200);
	cr_assert_eq(enter_pair(0, &SOURCE, 42), ENROLL_REFUSED);
	cr_assert_eq(enter_pair(1, &SOURCE, 42), ENROLL_REFUSED);
	enroll_raise_cap(enroll, SESSIONS + 1);
	now_ns = 200;
	become(8, SESSION_FULL, UINT64_MAX);
	cr_assert_eq(enter_pair(0, &SOURCE, 42), SESSIONS);
	cr_assert_eq(sessions[SESSIONS].generation, 2);
}

Test(enroll, cap_is_raised_up_to_the_room_and_never_lowered)
{
	for (uint32_t vni = 0; vni < SESSIONS; vni++)
		enter_pair(0, &SOURCE, vni);
	cr_assert_eq(enter_pair(0, &SOURCE, 1000), ENROLL_REFUSED);
	enroll_raise_cap(enroll, 1);
	cr_assert_eq(enter_pair(0, &SOURCE, 1000), ENROLL_REFUSED);
	enroll_raise_cap(enroll, 1000);
	for (uint32_t vni = SESSIONS; vni < 2 * SESSIONS; vni++)
		cr_assert_eq(enter_pair(0, &SOURCE, vni), vni);
	cr_assert_eq(enter_pair(0, &SOURCE, 1000), ENROLL_REFUSED);
}

Test(enroll, refusal_is_of_the_packet_that_asked_and_of_no_later_one)
{
	const uint8_t frame[14] = {2};

	for (uint32_t vni = 0; vni < SESSIONS - 1; vni++)
		enter_pair(0, &SOURCE, vni);
	cr_assert_eq(packet(0, &SOURCE, 50, frame, 14), ENROLL_UNKNOWN);
	cr_assert_eq(packet(1, &SOURCE, 51, frame, 14), ENROLL_UNKNOWN);
	enroll_serve(enroll);
	cr_assert_eq(packet(1, &SOURCE, 51, frame, 14), ENROLL_REFUSED);
	enroll_raise_cap(enroll, SESSIONS + 1);
	cr_assert_eq(packet(1, &SOURCE, 51, frame, 14), ENROLL_UNKNOWN);
	enroll_serve(enroll);
	cr_assert_eq(packet(1, &SOURCE, 51, frame, 14), SESSIONS);
}

/* ---- direction ---- */

static enum session_direction direction_of(uint8_t from, uint8_t to)
{
	cr_assert_eq(enter(0, from, to), 0);
	return enrolled.direction;
}

Test(enroll, direction_is_known_as_soon_as_one_mac_is_common)
{
	cr_assert_eq(direction_of(ENI, PEER), SESSION_UNDIRECTED);
	cr_assert_eq(direction_of(PEER, ENI), SESSION_UNDIRECTED);
	cr_assert_eq(direction_of(PEER2, ENI), SESSION_INGRESS);
	cr_assert_eq(direction_of(ENI, PEER), SESSION_EGRESS);
}

Test(enroll, direction_is_known_at_once_where_the_mac_is_told)
{
	identity.mac = MAC(ENI);
	cr_assert_eq(direction_of(ENI, PEER), SESSION_EGRESS);
	cr_assert_eq(direction_of(PEER, ENI), SESSION_INGRESS);
	cr_assert_eq(direction_of(PEER, PEER2), SESSION_UNDIRECTED);
}

Test(enroll, of_two_common_macs_it_is_that_of_the_outer_source)
{
	uint8_t frame[34] = {2, 0, 0, 0, 0, PEER, 2, 0, 0, 0, 0, ENI, 0x08, 0x00, 0x45};

	memcpy(frame + 26, SOURCE.byte + 12, 4);
	enter(0, ENI, PEER);
	cr_assert_eq(packet(0, &SOURCE, 42, frame, sizeof(frame)), 0);
	cr_assert_eq(enrolled.direction, SESSION_EGRESS);
	cr_assert_eq(direction_of(PEER, ENI), SESSION_INGRESS, "and stays so");
}

Test(enroll, frames_of_others_to_groups_come_in)
{
	const uint8_t from_peer[14] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, PEER};
	const uint8_t from_eni[14] = {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, ENI};

	settle(0);
	cr_assert_eq(packet(0, &SOURCE, 42, from_peer, 14), 0);
	cr_assert_eq(enrolled.direction, SESSION_INGRESS);
	cr_assert_eq(packet(0, &SOURCE, 42, from_eni, 14), 0);
	cr_assert_eq(enrolled.direction, SESSION_EGRESS);
}

Test(enroll, memory_grows_with_sessions_and_workers)
{
	cr_assert_gt(enroll_memory(2000, 1), enroll_memory(1000, 1));
	cr_assert_gt(enroll_memory(1000, 2), enroll_memory(1000, 1));
}
