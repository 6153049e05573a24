#include "run/stats.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

static struct stats *open_stats(const struct stats_config *c, int *fd)
{
	struct stats *s;
	struct err err;

	cr_assert_eq(stats_open(&s, fd, c, &err), 0, "%s", err.text);
	return s;
}

Test(stats, every_array_has_room_of_its_own)
{
	const struct stats_config c = {
		.workers = 3, .queues = 2, .sessions_max = 5, .histograms_max = 7};
	int fd;
	struct stats *s = open_stats(&c, &fd);

	cr_assert_geq((uint8_t *)stats_histograms(s, 0), (uint8_t *)(stats_kpi(s, 2, 4) + 1));
	cr_assert_eq(stats_histograms(s, 1), stats_histograms(s, 0) + 7);
	cr_assert_eq((uintptr_t)stats_histograms(s, 0) % 64, 0);
	cr_assert_geq((uint8_t *)stats_queue(s, 0), (uint8_t *)(stats_histograms(s, 2) + 7));
	cr_assert_eq((uint8_t *)(stats_queue(s, 1) + 1) - (uint8_t *)s, stats_memory(&c));
	stats_close(s);
	close(fd);
}

Test(stats, writers_are_added_up)
{
	const struct stats_config c = {.workers = 1, .sessions_max = 1};
	int fd;
	struct stats *s = open_stats(&c, &fd);

	for (unsigned i = 0; i < STATS_WRITERS_MAX; i++)
		s->writer[i] = (struct stats_writer){.fate = {[FATE_KEPT] = 1, [FATE_MAX - 1] = 2},
						     .bytes_in = 3,
						     .bytes_out = 4,
						     .files = 5,
						     .bytes_suspect = 6,
						     .late = 7};
	const struct stats_writer sum = stats_writers(s);
	cr_assert_eq(sum.fate[FATE_KEPT], STATS_WRITERS_MAX);
	cr_assert_eq(sum.fate[FATE_MAX - 1], 2 * STATS_WRITERS_MAX);
	cr_assert_eq(sum.bytes_in, 3 * STATS_WRITERS_MAX);
	cr_assert_eq(sum.bytes_out, 4 * STATS_WRITERS_MAX);
	cr_assert_eq(sum.files, 5 * STATS_WRITERS_MAX);
	cr_assert_eq(sum.bytes_suspect, 6 * STATS_WRITERS_MAX);
	cr_assert_eq(sum.late, 7 * STATS_WRITERS_MAX);
	stats_close(s);
	close(fd);
}

Test(stats, reader_finds_a_histogram_from_its_first_sample_on)
{
	const struct stats_config c = {.workers = 2, .sessions_max = 3, .histograms_max = 4};
	int fd;
	struct stats *s = open_stats(&c, &fd), *reader;
	struct err err;

	cr_assert_eq(stats_map(&reader, fd, false, &err), 0);
	cr_assert_null(stats_histogram(reader, 1, 2, KPI_TCP_HANDSHAKE_CLIENT));
	histogram_add(&stats_histograms(s, 1)[3], 5, 1);
	stats_kpi(s, 1, 2)->histogram[KPI_TCP_HANDSHAKE_CLIENT] = 4;
	const struct histogram *h = stats_histogram(reader, 1, 2, KPI_TCP_HANDSHAKE_CLIENT);
	cr_assert_eq(h, &stats_histograms(reader, 1)[3]);
	cr_assert_eq(histogram_count(h), 1);
	cr_assert_null(stats_histogram(reader, 0, 2, KPI_TCP_HANDSHAKE_CLIENT));
	stats_kpi(s, 1, 2)->histogram[KPI_TCP_HANDSHAKE_CLIENT] = 5;
	cr_assert_null(stats_histogram(reader, 1, 2, KPI_TCP_HANDSHAKE_CLIENT), "no such place");
	stats_close(reader);
	stats_close(s);
	close(fd);
}

static atomic_bool is_enough;

/* Two names in turn, each in all texts. */
static void *rename_for_ever(void *arg)
{
	for (char c = 'a'; !is_enough; c ^= 'a' ^ 'b') {
		struct session_labels l;
		memset(&l, c, sizeof(l));
		stats_set_labels(arg, 0, &l);
	}
	return NULL;
}

Test(stats, labels_are_read_whole_while_they_change)
{
	const struct stats_config c = {.workers = 1, .sessions_max = 1, .histograms_max = 1};
	struct session_labels l, whole;
	pthread_t thread;
	int fd;
	struct stats *s = open_stats(&c, &fd);

	memset(&l, 'a', sizeof(l));
	stats_set_labels(s, 0, &l);
	cr_assert_eq(pthread_create(&thread, NULL, rename_for_ever, s), 0);
	for (unsigned i = 0; i < 100000; i++) {
		stats_labels(s, 0, &l);
		memset(&whole, l.name[0], sizeof(whole));
		cr_assert_eq(memcmp(&l, &whole, sizeof(l)), 0, "torn at try %u", i);
	}
	is_enough = true;
	(void)pthread_join(thread, NULL);
	stats_close(s);
	close(fd);
}

static void *write_heads(void *arg)
{
	struct stats *s = arg;
	uint8_t head[32];

	for (unsigned i = 0; i < 200000; i++) {
		memset(head, (int)i, sizeof(head));
		stats_set_head(s, head);
	}
	return NULL;
}

Test(stats, a_head_is_of_one_moment)
{
	const struct stats_config c = {.workers = 1, .sessions_max = 1};
	int fd;
	struct stats *s = open_stats(&c, &fd);
	uint8_t head[32];
	pthread_t writer;

	cr_assert_not(stats_head(s, head));
	cr_assert_eq(pthread_create(&writer, NULL, write_heads, s), 0);
	for (unsigned i = 0; i < 20000; i++) {
		(void)stats_head(s, head);
		cr_assert_eq(memcmp(head, head + 1, sizeof(head) - 1), 0);
	}
	(void)pthread_join(writer, NULL);
	cr_assert(stats_head(s, head));
	cr_assert_eq(head[31], (200000 - 1) % 256);
	stats_close(s);
	close(fd);
}
