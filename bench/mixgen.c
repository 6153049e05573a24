/*
 * mixgen [-f FLOWS] [-p PACKETS] [-t TALK] [-s SYNS] [-v VNI]: a capture of VXLAN packets made in
 * memory (mix.h), on standard output: PACKETS of the mix of FLOWS connections of session 1, at a
 * million per second, and evenly among the second half of them a flood of SYNS flows of one packet,
 * of session VNI.
 */
#include "mix.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define STEP_NS 1000

static void put32(uint32_t x)
{
	fwrite(&x, sizeof(x), 1, stdout);
}

/* draft-ietf-opsawg-pcap, with nanoseconds. */
static void put_head(void)
{
	static const uint32_t head[] = {0xa1b23c4d, 2 | 4 << 16, 0, 0, 65535, 1};

	for (unsigned i = 0; i < 6; i++)
		put32(head[i]);
}

static void put_frame(const struct mix_frame *f)
{
	put32((uint32_t)(f->time_ns / 1000000000));
	put32((uint32_t)(f->time_ns % 1000000000));
	put32(f->len);
	put32(f->len);
	fwrite(f->data, f->len, 1, stdout);
}

int main(int argc, char **argv)
{
	struct mix_config config = {
		.seed = 1, .flows = 1000, .vni = 1, .talk = 50, .step_ns = STEP_NS};
	uint64_t packets = 10000, syns = 0, sent = 0;
	uint32_t vni = 1;
	struct mix_frame f;

	for (int c; (c = getopt(argc, argv, "f:p:s:t:v:")) != -1;) {
		const uint64_t n = c == '?' ? 0 : strtoull(optarg, NULL, 10);
		switch (c) {
		case 'f':
			config.flows = (uint32_t)n;
			break;
		case 'p':
			packets = n;
			break;
		case 's':
			syns = n;
			break;
		case 't':
			config.talk = (uint32_t)n;
			break;
		case 'v':
			vni = (uint32_t)n;
			break;
		default:
			return 2;
		}
	}
	struct mix *mix = mix_open(&config);
	if (!mix)
		return 1;
	put_head();
	for (uint64_t i = 0; i < packets; i++) {
		mix_next(mix, &f);
		put_frame(&f);
		const uint64_t half = packets / 2,
			       due = i < half ? 0 : syns * (i + 1 - half) / (packets - half);
		for (; sent < due; sent++) {
			mix_flood(mix, sent, vni, &f);
			put_frame(&f);
		}
	}
	mix_close(mix);
	return fflush(stdout) || ferror(stdout);
}
