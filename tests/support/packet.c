#include "packet.h"

#include <arpa/inet.h>
#include <assert.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "path/block.h"
#include "path/capfile.h"

static void put_u16(uint8_t *p, uint32_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static void put_u32(uint8_t *p, uint32_t value)
{
	put_u16(p, value >> 16);
	put_u16(p + 2, value);
}

static void put_address(uint8_t *p, int family, const char *text)
{
	const int ret = inet_pton(family, text, p);

	assert(ret == 1);
	(void)ret;
}

struct build build_payload(uint32_t len)
{
	struct build b = {.len = len};

	assert(len <= BUILD_ROOM);
	for (uint32_t i = 0; i < len; i++)
		build_data(&b)[i] = (uint8_t)i;
	return b;
}

uint8_t *build_data(struct build *b)
{
	return b->room + BUILD_ROOM - b->len;
}

uint8_t *build_front(struct build *b, uint32_t len)
{
	assert(b->len + len <= BUILD_ROOM);
	b->len += len;
	return memset(build_data(b), 0, len);
}

void build_vxlan(struct build *b, uint32_t vni)
{
	uint8_t *p = build_front(b, 8);

	p[0] = 0x08;
	put_u32(p + 4, vni << 8);
}

void build_gtpu(struct build *b, uint32_t teid)
{
	const uint32_t payload = b->len;
	uint8_t *p = build_front(b, 8);

	p[0] = 0x30;
	p[1] = 255;
	put_u16(p + 2, payload);
	put_u32(p + 4, teid);
}

static uint8_t *build_ports(struct build *b, uint32_t head, uint16_t from, uint16_t to)
{
	uint8_t *p = build_front(b, head);

	put_u16(p, from);
	put_u16(p + 2, to);
	return p;
}

void build_udp(struct build *b, uint16_t from, uint16_t to)
{
	uint8_t *p = build_ports(b, 8, from, to);

	put_u16(p + 4, b->len);
}

void build_tcp(struct build *b, uint16_t from, uint16_t to)
{
	build_ports(b, 20, from, to)[12] = 5 << 4;
}

void build_tcp_numbers(struct build *b, uint8_t flags, uint32_t seq, uint32_t ack)
{
	uint8_t *p = build_data(b);

	put_u32(p + 4, seq);
	put_u32(p + 8, ack);
	p[13] = flags;
}

void build_sctp(struct build *b, uint16_t from, uint16_t to)
{
	build_ports(b, 12, from, to);
}

void build_icmp(struct build *b, uint8_t type, uint16_t id)
{
	uint8_t *p = build_front(b, 8);

	p[0] = type;
	put_u16(p + 4, id);
}

void build_ipv4_options(struct build *b, uint8_t proto, const char *from, const char *to,
			uint32_t options_len)
{
	uint8_t *p = build_front(b, 20 + options_len);

	p[0] = (uint8_t)(0x40 | (20 + options_len) / 4);
	put_u16(p + 2, b->len);
	p[8] = 64;
	p[9] = proto;
	put_address(p + 12, AF_INET, from);
	put_address(p + 16, AF_INET, to);
}

void build_ipv4(struct build *b, uint8_t proto, const char *from, const char *to)
{
	build_ipv4_options(b, proto, from, to, 0);
}

void build_ipv6(struct build *b, uint8_t next, const char *from, const char *to)
{
	const uint32_t payload = b->len;
	uint8_t *p = build_front(b, 40);

	p[0] = 0x60;
	put_u16(p + 4, payload);
	p[6] = next;
	p[7] = 64;
	put_address(p + 8, AF_INET6, from);
	put_address(p + 24, AF_INET6, to);
}

void build_extension(struct build *b, uint8_t next, uint32_t len)
{
	uint8_t *p = build_front(b, len);

	p[0] = next;
	p[1] = (uint8_t)(len / 8 - 1);
}

void build_ipv6_fragment(struct build *b, uint8_t next, uint16_t offset, int more)
{
	uint8_t *p = build_front(b, 8);

	p[0] = next;
	put_u16(p + 2, offset | (more != 0));
}

void build_vlan(struct build *b, uint16_t type)
{
	put_u16(build_front(b, 4) + 2, type);
}

void build_ethernet(struct build *b, uint16_t type)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	uint8_t *p = build_front(b, 14);

	memcpy(p, macs, sizeof(macs));
	put_u16(p + 12, type);
}

const uint8_t *packet_guard(const uint8_t *data, uint32_t len)
{
	static uint8_t *map;

	if (!map) {
		map = mmap(NULL, 2 * BUILD_ROOM, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (map == MAP_FAILED || mprotect(map, BUILD_ROOM, PROT_READ | PROT_WRITE))
			abort();
	}
	return memcpy(map + BUILD_ROOM - len, data, len);
}

static unsigned each_of_file(const char *path, unsigned n, packet_fn fn, void *arg)
{
	struct capfile *file;
	struct capfile_packet p;
	struct err err;
	unsigned given = 0;

	if (capfile_open(&file, path, &err))
		return 0;
	while (given < n && !capfile_next(file, &p, &err)) {
		if (p.linktype != BLOCK_LINKTYPE_ETHERNET || p.cap_len > BUILD_ROOM)
			continue;
		fn(p.data, p.cap_len, arg);
		given++;
	}
	capfile_close(file);
	return given;
}

unsigned packet_each(unsigned n, packet_fn fn, void *arg)
{
	const char *dir = getenv("VXPROBE_CAPTURES");
	char pattern[4096];
	unsigned given = 0;
	glob_t files;

	(void)snprintf(pattern, sizeof(pattern), "%s/*.pcap*", dir ? dir : "../shared/captures");
	if (glob(pattern, 0, NULL, &files))
		return 0;
	for (size_t i = 0; i < files.gl_pathc; i++)
		given += each_of_file(files.gl_pathv[i], n, fn, arg);
	globfree(&files);
	return given;
}
