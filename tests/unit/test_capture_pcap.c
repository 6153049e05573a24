/*
 * The source over capture files, and capfile beneath it. Files live in memory (memfd) and are
 * opened as /proc/self/fd/N.
 */
#define _GNU_SOURCE /* memfd_create */

#include "path/capture.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "path/block.h"
#include "path/capfile.h"

static struct err err;

/* ---- files ---- */

struct file {
	int fd;
	char path[32];
};

static struct file new_file(void)
{
	struct file f = {.fd = memfd_create("capture", 0)};

	cr_assert(f.fd >= 0);
	(void)snprintf(f.path, sizeof(f.path), "/proc/self/fd/%d", f.fd);
	return f;
}

static void put(const struct file *f, const void *data, size_t len)
{
	cr_assert_eq(write(f->fd, data, len), (ssize_t)len);
}

static void put_u32(const struct file *f, uint32_t value, bool is_big_endian)
{
	uint8_t p[4];

	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> 8 * (is_big_endian ? 3 - i : i));
	put(f, p, 4);
}

static struct file new_pcap(uint32_t magic, uint32_t snaplen, bool is_big_endian)
{
	const struct file f = new_file();

	put_u32(&f, magic, is_big_endian);
	put_u32(&f, is_big_endian ? 2u << 16 | 4 : 4u << 16 | 2, is_big_endian); /* version 2.4 */
	put_u32(&f, 0, is_big_endian);
	put_u32(&f, 0, is_big_endian);
	put_u32(&f, snaplen, is_big_endian);
	put_u32(&f, 1, is_big_endian);
	return f;
}

static void put_record(const struct file *f, uint32_t seconds, uint32_t fraction, const char *text,
		       bool is_big_endian)
{
	put_u32(f, seconds, is_big_endian);
	put_u32(f, fraction, is_big_endian);
	put_u32(f, (uint32_t)strlen(text), is_big_endian);
	put_u32(f, 1000, is_big_endian);
	put(f, text, strlen(text));
}

/* Interface 0 is Ethernet, interface 1 is not, and cuts its packets to another length. */
static struct file new_pcapng(void)
{
	const struct block_interface ethernet = {.linktype = 1, .snaplen = BLOCK_SNAPLEN};
	const struct block_interface other = {.linktype = 113, .snaplen = 96};
	const struct file f = new_file();
	uint8_t block[256];

	put(&f, block, block_section(block, sizeof(block), NULL, NULL));
	put(&f, block, block_interface(block, sizeof(block), &ethernet));
	put(&f, block, block_interface(block, sizeof(block), &other));
	return f;
}

static void put_packet(const struct file *f, uint32_t interface, uint64_t time_ns, uint32_t len)
{
	const struct block_packet p = {
		.time_ns = time_ns, .interface = interface, .cap_len = len, .wire_len = len};
	uint8_t *block = malloc(block_packet_len(len));

	memset(block + BLOCK_PACKET_HEAD, (int)(time_ns & 0xff), len);
	put(f, block, block_packet_frame(block, &p));
	free(block);
}

/* ---- reading ---- */

static struct batch batch;

static struct capture *open_paths(const char *const *paths, unsigned n)
{
	struct capture *c = NULL;

	cr_assert(capture_pcap_open(&c, paths, n, &err) == 0, "%s", err.text);
	cr_assert(!c->is_live);
	return c;
}

static struct capfile_packet first_of(const struct file *f, struct capfile **file)
{
	struct capfile_packet p = {0};

	cr_assert(capfile_open(file, f->path, &err) == 0, "%s", err.text);
	cr_assert(capfile_next(*file, &p, &err) == 0, "%s", err.text);
	return p;
}

Test(capture_pcap, reads_every_kind_of_pcap_with_nanoseconds)
{
	const struct {
		uint32_t magic, fraction;
	} kinds[] = {{0xa1b2c3d4, 123456}, {0xa1b23c4d, 123456000}};

	for (int i = 0; i < 4; i++) {
		const bool is_big_endian = i % 2;
		const struct file f = new_pcap(kinds[i / 2].magic, 262144, is_big_endian);
		struct capfile *file;

		/* 2106: the last second that 32 unsigned bits hold */
		put_record(&f, UINT32_MAX, kinds[i / 2].fraction, "packet", is_big_endian);
		const struct capfile_packet p = first_of(&f, &file);
		cr_assert_eq(p.time_ns, UINT32_MAX * 1000000000ull + 123456000);
		cr_assert_eq(p.cap_len, 6);
		cr_assert_eq(p.wire_len, 1000);
		cr_assert_eq(p.linktype, 1);
		cr_assert(memcmp(p.data, "packet", 6) == 0);
		capfile_close(file);
	}
}

Test(capture_pcap, packets_longer_than_the_snap_length_are_whole)
{
	const struct file f = new_pcap(0xa1b2c3d4, 4, false);
	struct capfile *file;

	put_record(&f, 1, 1, "longer than four", false);
	cr_assert_eq(first_of(&f, &file).cap_len, 16);
	capfile_close(file);
}

Test(capture_pcap, frames_are_numbered_with_those_that_are_skipped)
{
	const struct file f = new_pcapng();
	const char *const paths[] = {f.path};
	struct capture *c = open_paths(paths, 1);

	for (uint64_t i = 0; i < 9; i++)
		put_packet(&f, i % 3 == 1, 100 + i, 60);
	cr_assert_eq(capture_recv(c, &batch, 0), 0);
	cr_assert_eq(batch.n, 6);
	cr_assert_eq(batch.n_segments, 0);
	cr_assert_eq(batch.clock_ns, 108);
	for (unsigned i = 0; i < batch.n; i++) {
		cr_assert_eq(batch.frame[i].sequence, i / 2 * 3 + i % 2 * 2);
		cr_assert_eq(batch.frame[i].time_ns, 100 + batch.frame[i].sequence);
		cr_assert_eq(batch.frame[i].len, 60);
		cr_assert_eq(batch.frame[i].data[59], batch.frame[i].time_ns);
		cr_assert_null(batch.frame[i].steer);
		cr_assert_eq(batch.frame[i].n_more, 0);
	}
	capture_release(c, &batch);
	cr_assert_eq(capture_recv(c, &batch, 0), -ENODATA);
	cr_assert_eq(batch.n, 0);
	cr_assert_eq(batch.clock_ns, CAPTURE_END);
	cr_assert_eq(capture_recv(c, &batch, 0), -ENODATA);
	cr_assert_eq(capture_pcap_skipped(c), 3);
	capture_close(c);
}

Test(capture_pcap, done_counts_the_bytes_of_all_files)
{
	const struct file f = new_pcapng();
	const char *const paths[] = {f.path, f.path};
	struct capture *c = open_paths(paths, 2);

	put_packet(&f, 0, 100, 60);
	const uint64_t size = (uint64_t)lseek(f.fd, 0, SEEK_END);
	cr_assert_eq(capture_pcap_done(c), 0);
	cr_assert_eq(capture_recv(c, &batch, 0), 0);
	capture_release(c, &batch);
	cr_assert_eq(capture_recv(c, &batch, 0), -ENODATA);
	cr_assert_eq(capture_pcap_done(c), 2 * size);
	capture_close(c);
}

Test(capture_pcap, several_files_are_one_stream)
{
	const struct file a = new_pcapng(), b = new_pcap(0xa1b23c4d, 0, false);
	const char *const paths[] = {a.path, b.path, a.path};
	struct capture *c = open_paths(paths, 3);

	put_packet(&a, 0, 2000000000, 60);
	put_record(&b, 1, 7, "earlier", false);
	cr_assert_eq(capture_recv(c, &batch, 0), 0);
	cr_assert_eq(batch.n, 3);
	cr_assert_eq(batch.clock_ns, 2000000000);
	cr_assert_eq(batch.frame[1].time_ns, 1000000007);
	cr_assert_eq(batch.frame[2].sequence, 2);
	capture_close(c);
}

Test(capture_pcap, frames_stay_as_they_are_until_the_batch_is_full)
{
	const struct file f = new_pcapng();
	const char *const paths[] = {f.path};
	struct capture *c = open_paths(paths, 1);
	uint64_t next = 0;

	for (uint64_t i = 0; i < 2 * BATCH_MAX + 1; i++)
		put_packet(&f, 0, i, 9015);
	for (const unsigned *want = (const unsigned[]){BATCH_MAX, BATCH_MAX, 1, 0}; *want; want++) {
		cr_assert_eq(capture_recv(c, &batch, 0), 0);
		cr_assert_eq(batch.n, *want);
		for (unsigned i = 0; i < batch.n; i++, next++) {
			cr_assert_eq(batch.frame[i].sequence, next);
			cr_assert_eq(batch.frame[i].data[0], next);
			cr_assert_eq(batch.frame[i].data[9014], next);
		}
		capture_release(c, &batch);
	}
	capture_close(c);
}

Test(capture_pcap, long_packets_end_a_batch_early_and_are_whole)
{
	static const uint32_t lens[] = {100, 900000, 200000, 3000000, 5};
	const struct file f = new_pcapng();
	const char *const paths[] = {f.path};
	struct capture *c = open_paths(paths, 1);
	uint64_t next = 0;

	for (unsigned i = 0; i < 5; i++)
		put_packet(&f, 0, i + 1, lens[i]);
	while (capture_recv(c, &batch, 0) == 0) {
		cr_assert_neq(batch.n, 0);
		for (unsigned i = 0; i < batch.n; i++, next++) {
			cr_assert_eq(batch.frame[i].len, lens[next]);
			cr_assert_eq(batch.frame[i].data[lens[next] - 1], next + 1);
		}
		capture_release(c, &batch);
	}
	cr_assert_eq(next, 5);
	capture_close(c);
}

Test(capture_pcap, damage_ends_a_file_after_its_whole_packets)
{
	const struct file a = new_pcapng(), b = new_pcap(0xa1b2c3d4, 0, false), d = new_pcapng();
	const char *const paths[] = {a.path, b.path, d.path};
	struct capture *c = open_paths(paths, 3);

	put_packet(&a, 0, 10, 60);
	put_packet(&a, 0, 20, 60);
	cr_assert_eq(ftruncate(a.fd, lseek(a.fd, 0, SEEK_END) - 1), 0);
	put_record(&b, 1, 0, "x", false);
	put_u32(&b, 1, false); /* a quarter of a head */
	put_packet(&d, 0, 30, 60);

	cr_assert_eq(capture_recv(c, &batch, 0), 0);
	cr_assert_eq(batch.n, 1);
	cr_assert_eq(batch.clock_ns, 10);
	cr_assert_eq(capture_recv(c, &batch, 0), -EBADMSG);
	cr_assert_eq(batch.n, 0);
	cr_assert_eq(batch.clock_ns, 10);
	cr_assert(
		strstr(capture_pcap_error(c), "is damaged after 1 packets: it ends inside a block"),
		"%s", capture_pcap_error(c));
	cr_assert(strstr(capture_pcap_error(c), a.path));
	cr_assert_eq(capture_recv(c, &batch, 0), 0);
	cr_assert_eq(batch.n, 1);
	cr_assert_eq(capture_recv(c, &batch, 0), -EBADMSG);
	cr_assert(strstr(capture_pcap_error(c), b.path));
	cr_assert_eq(capture_recv(c, &batch, 0), 0);
	cr_assert_eq(batch.frame[0].time_ns, 30);
	cr_assert_eq(batch.frame[0].sequence, 2);
	cr_assert_eq(capture_recv(c, &batch, 0), -ENODATA);
	capture_close(c);
}

Test(capture_pcap, captured_length_of_gigabytes_is_damage)
{
	const struct file f = new_pcap(0xa1b2c3d4, UINT32_MAX, false);
	const char *const paths[] = {f.path};
	struct capture *c = open_paths(paths, 1);

	for (int i = 0; i < 4; i++)
		put_u32(&f, 0x7fffffff, false);
	cr_assert_eq(capture_recv(c, &batch, 0), -EBADMSG);
	capture_close(c);
}

Test(capture_pcap, missing_file_is_refused_at_open)
{
	const struct file f = new_pcapng();
	const char *const paths[] = {f.path, "/nonexistent/x.pcap"};
	struct capture *c = NULL;

	cr_assert_eq(capture_pcap_open(&c, paths, 2, &err), -ENOENT);
	cr_assert_null(c);
	cr_assert_str_eq(err.text, "cannot read /nonexistent/x.pcap: No such file or directory");
}

Test(capture_pcap, what_is_no_capture_is_said_before_the_first_packet)
{
	const struct file good = new_pcap(0xa1b2c3d4, 0, false), empty = new_file(),
			  text = new_file();
	const char *const paths[][2] = {{good.path, empty.path}, {good.path, text.path}};
	struct capture *c;

	put(&text, "This is no capture, but text.", 29);
	cr_assert_eq(capture_pcap_open(&c, paths[0], 2, &err), -EBADMSG);
	cr_assert(strstr(err.text, empty.path) && strstr(err.text, "is empty"));
	cr_assert_eq(capture_pcap_open(&c, paths[1], 2, &err), -EBADMSG);
	cr_assert(strstr(err.text, text.path) && strstr(err.text, "is not a capture file"));
}

Test(capture_pcap, dash_is_standard_input)
{
	const char *const paths[] = {"-"};
	struct file files[] = {new_pcap(0xa1b2c3d4, 0, true), new_pcapng()};

	put_record(&files[0], 1, 1, "pcap", true);
	put_packet(&files[1], 0, 10, 4);
	for (int i = 0; i < 2; i++) {
		cr_assert_eq(lseek(files[i].fd, 0, SEEK_SET), 0);
		cr_assert_eq(dup2(files[i].fd, STDIN_FILENO), STDIN_FILENO);
		struct capture *c = open_paths(paths, 1);
		cr_assert_eq(capture_recv(c, &batch, 0), 0);
		cr_assert_eq(batch.frame[0].len, 4);
		capture_close(c);
	}
}
