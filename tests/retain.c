/*
 * retain DIR: turns of retention over a folder, as standard input asks for them:
 *
 *   NOW_S SIZE SESSION_SIZE TIME_S FREE ROTATE_LEN HURRY
 *
 * one line each, all numbers, FREE a value_space. Answers with a line "REASON BYTES NAME" for each
 * deletion, and "turn FILES BYTES PINNED_BYTES EXCEEDED" at the end of the turn.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "run/retention.h"

static void say_deleted(void *arg, const char *name, uint64_t bytes, const char *reason)
{
	(void)arg;
	(void)printf("%s %" PRIu64 " %s\n", reason, bytes, name);
}

static void turn(struct retention *r, const struct retention_settings *settings, uint64_t now_s,
		 unsigned is_hurried, const struct stats_retention *stats)
{
	unsigned exceeded = 0;

	retention_set(r, settings);
	if (is_hurried)
		retention_hurry(r);
	retention_turn(r, now_s * UINT64_C(1000000000));
	for (unsigned i = 0; i < RETENTION_REASONS; i++)
		exceeded |= (unsigned)stats->exceeded[i] << i;
	(void)printf("turn %" PRIu64 " %" PRIu64 " %" PRIu64 " %u\n", stats->files, stats->bytes,
		     stats->pinned_bytes, exceeded);
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	struct stats_retention stats = {0};
	struct retention_config config = {
		.files_max = RETENTION_FILES_MAX, .stats = &stats, .deleted = say_deleted};
	struct retention_settings s = {0};
	struct retention *r;
	struct err err;
	uint64_t now_s, time_s;
	unsigned is_hurried;

	if (argc != 2) {
		(void)fputs("usage: retain DIR\n", stderr);
		return 2;
	}
	config.dir = argv[1];
	if (retention_open(&r, &config, &err)) {
		(void)fprintf(stderr, "retain: %s\n", err.text);
		return 1;
	}
	while (scanf("%" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %u",
		     &now_s, &s.size, &s.session_size, &time_s, &s.free, &s.rotate_len,
		     &is_hurried) == 7) {
		s.time_ns = time_s * UINT64_C(1000000000);
		turn(r, &s, now_s, is_hurried, &stats);
	}
	retention_close(r);
	return 0;
}
