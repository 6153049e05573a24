/*
 * bench_writer [--short] [CAPTURE...]: what pack and seal cost over bare libzstd and EVP
 * ChaCha20-Poly1305, on the same blocks, level and frame size. Inputs of 64 MiB of blocks: the
 * plain packets of all CAPTUREs, one file after the other, and one packet of each in turn; and
 * mixes made in memory: bulk transfers of 1,500 bytes, signalling of 150 bytes between peers in
 * turn, and a new flow in every packet. One line of JSON each: median CPU ns per packet of 9
 * rounds, ours and the bare ones in turn, and the median of what a round's bare one took of ours.
 * --short: the first input alone, 3 rounds.
 */
#define ZSTD_STATIC_LINKING_ONLY
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zstd.h>

#include "path/block.h"
#include "path/capfile.h"
#include "path/pack.h"
#include "path/seal.h"

#define INPUT_LEN (64u << 20)
#define FRAME_LEN (1u << 20)
#define ROUNDS    9
#define SHORT     3
#define CHUNK     65536

static const struct packer_config CONFIG = {.frame_len = FRAME_LEN,
					    .level = 1,
					    .frames_max = 16384,
					    .definitions_max = 2u << 20,
					    .filters_max = 16u << 20};

static uint8_t *input; /* packet blocks */
static size_t input_len;
static uint32_t packets;
static uint8_t *sealed, *pending;
static volatile size_t sink;
static int rounds = ROUNDS;

static void die(const char *what)
{
	fprintf(stderr, "bench_writer: %s\n", what);
	exit(1);
}

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- input ---- */

static void add(const uint8_t *data, uint32_t len)
{
	const struct block_packet p = {.time_ns = 1795255200000000000u + packets * 1000u,
				       .cap_len = len,
				       .wire_len = len,
				       .id = packets};

	memcpy(input + input_len + BLOCK_PACKET_HEAD, data, len);
	input_len += block_packet_frame(input + input_len, &p);
	packets++;
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

static void put16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

/* Packets of len bytes between so many pairs of endpoints, each in a run of so many. Every eighth
 * byte is random, others follow from flow and place: it packs to about a third, as captures do. */
static void make_mix(uint32_t len, uint32_t flows, uint32_t run, uint8_t proto)
{
	uint8_t p[1600] = {[12] = 0x08, [14] = 0x45, [22] = 64, [23] = proto};
	uint64_t state = 1;
	uint32_t flow = 0, left = 0;

	input_len = packets = 0;
	while (input_len < INPUT_LEN) {
		if (left-- == 0) {
			flow = next_random(&state) % flows;
			left = run - 1;
		}
		const bool back = next_random(&state) & 1;
		put16(p + 16, len - 14);
		put16(p + 18, packets);
		memcpy(p + (back ? 30 : 26),
		       (uint8_t[]){10, 1, (uint8_t)(flow >> 8), (uint8_t)flow}, 4);
		memcpy(p + (back ? 26 : 30), (uint8_t[]){10, 2, 0, (uint8_t)(flow % 7)}, 4);
		put16(p + (back ? 36 : 34), 20000 + flow % 40000);
		put16(p + (back ? 34 : 36), 38412);
		for (uint32_t i = 38; i < len; i++)
			p[i] = (uint8_t)(i % 8 ? i * 7 + flow % 50 : next_random(&state));
		add(p, len);
	}
}

/* False: the file has no more, and is closed. */
static bool add_next(struct capfile **file)
{
	struct capfile_packet p;
	struct err err;

	if (capfile_next(*file, &p, &err)) {
		capfile_close(*file);
		*file = NULL;
		return false;
	}
	if (p.linktype == 1 && p.cap_len < 65536 && input_len < INPUT_LEN)
		add(p.data, p.cap_len);
	return true;
}

/* Again and again. in_turn: a packet of each, else all of each. */
static void read_captures(char **path, int n, bool in_turn)
{
	struct capfile **file = calloc((size_t)n, sizeof(struct capfile *));
	struct err err;

	input_len = packets = 0;
	while (input_len < INPUT_LEN && file) {
		int open = n;
		for (int i = 0; i < n; i++)
			if (capfile_open(&file[i], path[i], &err))
				die(err.text);
		while (open > 0)
			for (int i = 0; i < n; i++)
				while (file[i]) {
					open -= !add_next(&file[i]);
					if (in_turn)
						break;
				}
		if (!packets)
			die("no packet in the captures");
	}
	free(file);
}

/* ---- ours ---- */

static struct packer *packer;
static struct seal_recipient recipient;

static void seal_bytes(struct seal *seal, const uint8_t *data, size_t len)
{
	size_t n;

	if (seal_update(seal, data, len, sealed, &n))
		die("seal_update");
	sink += n;
}

static void run_ours(void)
{
	const uint8_t *data;
	struct pack *pack;
	struct seal *seal;
	struct err err;
	size_t len;

	if (pack_open(&pack, packer, &err) || seal_open(&seal, &recipient, 1, seal_random, &err))
		die(err.text);
	for (size_t at = 0; at < input_len;) {
		const uint8_t *block = input + at;
		const size_t total = block_packet_total(block);

		if (pack_is_full(pack)) {
			if (pack_flush(pack, &data, &len))
				die("pack_flush");
			seal_bytes(seal, data, len);
		}
		pack_add_packet(pack, block, total, block_packet_time(block));
		at += total;
	}
	if (pack_flush(pack, &data, &len))
		die("pack_flush");
	seal_bytes(seal, data, len);
	if (pack_finish(pack, &data, &len))
		die("pack_finish");
	seal_bytes(seal, data, len);
	pack_close(pack);
	seal_close(seal);
}

/* ---- bare: the blocks are where zstd wants them ---- */

static ZSTD_CCtx *zstd;
static EVP_CIPHER_CTX *cipher;

static void bare_chunk(const uint8_t *data, size_t len)
{
	static uint8_t iv[12];
	int n;

	iv[0]++;
	if (EVP_EncryptInit_ex(cipher, NULL, NULL, NULL, iv) != 1 ||
	    EVP_EncryptUpdate(cipher, sealed, &n, data, (int)len) != 1 ||
	    EVP_EncryptFinal_ex(cipher, sealed + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, 16, sealed + len) != 1)
		die("EVP");
	sink += len;
}

static void run_bare(void)
{
	for (size_t at = 0; at < input_len; at += FRAME_LEN) {
		const size_t left = input_len - at, len = left < FRAME_LEN ? left : FRAME_LEN;
		const size_t packed = ZSTD_compress2(zstd, pending, ZSTD_compressBound(FRAME_LEN),
						     input + at, len);

		if (ZSTD_isError(packed))
			die("zstd");
		for (size_t i = 0; i < packed; i += CHUNK)
			bare_chunk(pending + i, packed - i < CHUNK ? packed - i : CHUNK);
	}
}

static void open_bare(void)
{
	static const uint8_t key[32] = {1};

	zstd = ZSTD_createCCtx();
	cipher = EVP_CIPHER_CTX_new();
	if (!zstd || !cipher ||
	    EVP_EncryptInit_ex(cipher, EVP_chacha20_poly1305(), NULL, key, NULL) != 1)
		die("out of memory");
	(void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, CONFIG.level);
	(void)ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1);
}

/* ---- measuring ---- */

static double timed(void (*run)(void))
{
	const double start = cpu_ns();

	run();
	return (cpu_ns() - start) / packets;
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *value)
{
	qsort(value, (size_t)rounds, sizeof(*value), by_value);
	return value[rounds / 2];
}

static void measure(const char *name)
{
	double ours[ROUNDS], bare[ROUNDS], share[ROUNDS];

	run_ours();
	run_bare();
	for (int i = 0; i < rounds; i++) {
		ours[i] = timed(run_ours);
		bare[i] = timed(run_bare);
		share[i] = bare[i] / ours[i];
	}
	printf("{\"input\": \"%s\", \"packets\": %u, \"bytes\": %zu, \"ours_ns\": %.1f, "
	       "\"bare_ns\": %.1f, \"share\": %.3f}\n",
	       name, packets, input_len, median(ours), median(bare), median(share));
	fflush(stdout);
}

static void measure_mixes(void)
{
	make_mix(1500, 200, 8, 6);
	measure("1500 bytes");
	make_mix(150, 300, 1, 132);
	measure("150 bytes, 300 flows");
	make_mix(150, 2000, 1, 132);
	measure("150 bytes, 2,000 flows");
	make_mix(150, 1u << 24, 1, 17);
	measure("150 bytes, a new flow each");
}

int main(int argc, char **argv)
{
	struct err err;

	input = malloc(INPUT_LEN + (1u << 20));
	sealed = malloc(4 * FRAME_LEN);
	pending = malloc(ZSTD_compressBound(FRAME_LEN));
	const struct seal_identity identity = {.secret = {7}};
	if (!input || !sealed || !pending || packer_open(&packer, &CONFIG, &err) ||
	    seal_identity_recipient(&identity, &recipient))
		die("out of memory");
	open_bare();
	const bool is_short = argc > 1 && !strcmp(argv[1], "--short");
	rounds = is_short ? SHORT : ROUNDS;
	argv += 1 + is_short;
	argc -= 1 + is_short;
	if (argc) {
		read_captures(argv, argc, false);
		measure("captures");
	}
	if (is_short)
		return 0;
	if (argc) {
		read_captures(argv, argc, true);
		measure("captures in turn");
	}
	measure_mixes();
	return 0;
}
