/*
 * cut CAPTURE...: every Ethernet packet of the captures, wrapped in VXLAN and cut to every length,
 * through the whole engine from the memory source. Each frame must end in exactly one fate.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "path/capfile.h"
#include "path/capture.h"
#include "run/engine.h"
#include "run/ledger.h"

/* Outer headers as a mirror sends them; lengths are filled in. UDP checksum 0, VNI 7. */
static const uint8_t outer[50] = {
	2,    0,    0,    0,    0, 1, 2, 0, 0,   0,  0, 2, 0x08, 0x00, /* Ethernet */
	0x45, 0,    0,    0,    0, 0, 0, 0, 254, 17, 0, 0, 10,   0,
	0,    1,    10,   255,  0, 1,        /* IPv4 */
	0xff, 0x80, 0x12, 0xb5, 0, 0, 0, 0,  /* UDP to 4789 */
	0x08, 0,    0,    0,    0, 0, 7, 0}; /* VXLAN */
#define OUTER_IP  14
#define OUTER_UDP 34

/* Longer packets are cut to every length up to this, and kept whole once. */
#define CUTS_MAX   2048
#define FRAMES_MAX 65536

struct run {
	struct mem_frame frames[FRAMES_MAX];
	unsigned n;
	uint64_t seen, fate[FATE_MAX];
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "cut: %s: %s\n", what, why);
	exit(1);
}

static void put_u16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static uint8_t *wrap(const struct capfile_packet *p, uint32_t *len)
{
	*len = (uint32_t)sizeof(outer) + p->cap_len;
	uint8_t *frame = malloc(*len);

	if (!frame)
		die("wrap", "out of memory");
	memcpy(frame, outer, sizeof(outer));
	memcpy(frame + sizeof(outer), p->data, p->cap_len);
	put_u16(frame + OUTER_IP + 2, *len - OUTER_IP);
	put_u16(frame + OUTER_UDP + 4, *len - OUTER_UDP);
	return frame;
}

/* All frames gathered so far through an engine of their own; the law is checked. */
static void run_engine(struct run *run, const char *dir)
{
	struct engine_config config = {.workers = 1,
				       .writers = 1,
				       .n_stores = 1,
				       .stores = {"vxprobe"},
				       .sessions_max = 64,
				       .sessions_room = 64,
				       .flows_max = 4096,
				       .associations_max = 16,
				       .chunks = 4,
				       .chunk_len = 256 << 10,
				       .decap = {.port = 4789},
				       .output = {.dir = dir,
						  .buffer_len = 64 << 10,
						  .pack = {.frame_len = 256 << 10,
							   .level = -7,
							   .frames_max = 16384,
							   .definitions_max = 64 << 10},
						  .settings = {{.rotate_len = UINT64_MAX}}}};
	const struct stats_config stats_config = {.workers = 1, .sessions_max = 64, .chunks = 4};
	struct engine *engine;
	struct stats *stats;
	struct capture *source;
	struct ledger ledger;
	struct err err = {""};
	int fd;

	if (stats_open(&stats, &fd, &stats_config, &err) ||
	    engine_open(&engine, &config, stats, &err) ||
	    capture_mem_open(&source, run->frames, run->n, &err))
		die("engine", err.text);
	engine_set_source(engine, 0, source);
	if (engine_start(engine, &err))
		die("engine", err.text);
	while (!engine_is_done(engine))
		engine_turn(engine, -1, 1000);
	if (engine_join(engine))
		die("engine", "a worker failed");
	engine_close(engine);

	const struct ledger_source from = {.stats = stats};
	uint64_t sum = 0;
	ledger_read(&from, &ledger);
	for (unsigned i = 0; i < FATE_MAX; i++) {
		sum += ledger.fate[i];
		run->fate[i] += ledger.fate[i];
	}
	if (ledger.seen != run->n || sum != run->n)
		die("ledger", "a frame has no fate or two");
	run->seen += ledger.seen;
	stats_close(stats);
	(void)close(fd);
}

static void flush(struct run *run, const char *dir, uint8_t **owned, unsigned *n_owned)
{
	if (run->n)
		run_engine(run, dir);
	run->n = 0;
	while (*n_owned)
		free(owned[--*n_owned]);
}

/* False: no capture at all; P10 gives those to the programs themselves. */
static bool cut_capture(struct run *run, const char *path, const char *dir)
{
	static uint8_t *owned[FRAMES_MAX];
	unsigned n_owned = 0;
	struct capfile *file;
	struct capfile_packet p;
	struct err err;

	if (capfile_open(&file, path, &err))
		return false;
	while (!capfile_next(file, &p, &err)) {
		uint32_t len;
		if (p.linktype != 1 || p.cap_len > 65499)
			continue;
		if (run->n + CUTS_MAX + 1 > FRAMES_MAX)
			flush(run, dir, owned, &n_owned);
		uint8_t *frame = owned[n_owned++] = wrap(&p, &len);
		for (uint32_t cut = 0; cut < len && cut < CUTS_MAX; cut++)
			run->frames[run->n++] = (struct mem_frame){frame, cut, p.time_ns};
		run->frames[run->n++] = (struct mem_frame){frame, len, p.time_ns};
	}
	flush(run, dir, owned, &n_owned);
	capfile_close(file);
	return true;
}

int main(int argc, char **argv)
{
	static struct run run;
	const char *dir = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
	char scratch[4096], command[4200];
	int n_read = 0;

	(void)snprintf(scratch, sizeof(scratch), "%s/vxprobe-cut.XXXXXX", dir);
	if (!mkdtemp(scratch))
		die(scratch, strerror(errno));
	for (int i = 1; i < argc; i++)
		n_read += cut_capture(&run, argv[i], scratch);
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", scratch);
	if (system(command))
		die(scratch, "cannot be removed");
	if (!n_read || !run.fate[FATE_KEPT])
		die("captures", "not one packet was kept");
	printf("%d captures read of %d: %" PRIu64 " frames = %" PRIu64 " kept + %" PRIu64
	       " passed + %" PRIu64 " bad_vxlan + %" PRIu64 " others\n",
	       n_read, argc - 1, run.seen, run.fate[FATE_KEPT], run.fate[FATE_PASSED],
	       run.fate[FATE_BAD_VXLAN],
	       run.seen - run.fate[FATE_KEPT] - run.fate[FATE_PASSED] - run.fate[FATE_BAD_VXLAN]);
	return 0;
}
