#include "path/block.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* What block_packet_frame puts at each offset; see the layout in block.h. */
enum {
	AT_TOTAL = 4,
	AT_INTERFACE = 8,
	AT_TIME_HIGH = 12,
	AT_TIME_LOW = 16,
	AT_CAPTURED = 20,
	AT_ORIGINAL = 24,
	TAIL_FLAGS = 4, /* from the start of the tail */
	TAIL_DROPS = 12,
	TAIL_ID = 24,
	TAIL_QUEUE = 36,
	TAIL_TOTAL = 44,
};

static void put_u16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void put_u32(uint8_t *p, uint32_t v)
{
	put_u16(p, v);
	put_u16(p + 2, v >> 16);
}

static void put_u64(uint8_t *p, uint64_t v)
{
	put_u32(p, (uint32_t)v);
	put_u32(p + 4, (uint32_t)(v >> 32));
}

static uint32_t get_u32(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get_u64(const uint8_t *p)
{
	return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

/* Times are written high word first whatever the byte order (section 4.3). */
static void put_time(uint8_t *p, uint64_t time_ns)
{
	put_u32(p, (uint32_t)(time_ns >> 32));
	put_u32(p + 4, (uint32_t)time_ns);
}

/* Code and length in front of a value at p. */
static void put_option(uint8_t *p, uint32_t code, uint32_t len)
{
	put_u16(p - 4, code);
	put_u16(p - 2, len);
}

size_t block_packet_frame(uint8_t *out, const struct block_packet *p)
{
	const uint32_t total = (uint32_t)block_packet_len(p->cap_len);
	uint8_t *tail = out + total - BLOCK_PACKET_TAIL;

	put_u32(out, BLOCK_TYPE_ENHANCED_PACKET);
	put_u32(out + AT_TOTAL, total);
	block_packet_set(out, p->interface, p->time_ns);
	put_u32(out + AT_CAPTURED, p->cap_len);
	put_u32(out + AT_ORIGINAL, p->wire_len);
	memset(out + BLOCK_PACKET_HEAD + p->cap_len, 0, -p->cap_len & 3u);
	put_option(tail + TAIL_FLAGS, BLOCK_EPB_FLAGS, 4);
	put_u32(tail + TAIL_FLAGS, p->flags);
	put_option(tail + TAIL_DROPS, BLOCK_EPB_DROPCOUNT, 8);
	put_u64(tail + TAIL_DROPS, p->drops);
	put_option(tail + TAIL_ID, BLOCK_EPB_PACKETID, 8);
	put_u64(tail + TAIL_ID, p->id);
	put_option(tail + TAIL_QUEUE, BLOCK_EPB_QUEUE, 4);
	put_u32(tail + TAIL_QUEUE, p->queue);
	put_u32(tail + TAIL_QUEUE + 4, BLOCK_OPT_END);
	put_u32(tail + TAIL_TOTAL, total);
	return total;
}

uint32_t block_packet_total(const uint8_t *block)
{
	return get_u32(block + AT_TOTAL);
}

uint64_t block_packet_time(const uint8_t *block)
{
	return (uint64_t)get_u32(block + AT_TIME_HIGH) << 32 | get_u32(block + AT_TIME_LOW);
}

uint32_t block_packet_interface(const uint8_t *block)
{
	return get_u32(block + AT_INTERFACE);
}

bool block_is_packet(const uint8_t *block)
{
	return get_u32(block) == BLOCK_TYPE_ENHANCED_PACKET;
}

uint32_t block_packet_captured(const uint8_t *block)
{
	return get_u32(block + AT_CAPTURED);
}

static uint32_t tail_of(const uint8_t *block)
{
	return block_packet_total(block) - BLOCK_PACKET_TAIL;
}

uint64_t block_packet_id(const uint8_t *block)
{
	return get_u64(block + tail_of(block) + TAIL_ID);
}

uint64_t block_packet_drops(const uint8_t *block)
{
	return get_u64(block + tail_of(block) + TAIL_DROPS);
}

void block_packet_set_drops(uint8_t *block, uint64_t drops)
{
	put_u64(block + tail_of(block) + TAIL_DROPS, drops);
}

void block_packet_set(uint8_t *block, uint32_t interface, uint64_t time_ns)
{
	put_u32(block + AT_INTERFACE, interface);
	put_time(block + AT_TIME_HIGH, time_ns);
}

/* A block in the making. What does not fit is left out but counted in len, so that only the end
 * needs to check. */
struct sink {
	uint8_t *out;
	size_t cap, len;
};

static void sink_bytes(struct sink *s, const void *data, size_t len)
{
	if (s->len <= s->cap && len <= s->cap - s->len)
		memcpy(s->out + s->len, data, len);
	s->len += len;
}

static void sink_u16(struct sink *s, uint32_t v)
{
	uint8_t field[2];

	put_u16(field, v);
	sink_bytes(s, field, sizeof(field));
}

static void sink_u32(struct sink *s, uint32_t v)
{
	uint8_t field[4];

	put_u32(field, v);
	sink_bytes(s, field, sizeof(field));
}

static void sink_time(struct sink *s, uint64_t time_ns)
{
	uint8_t field[8];

	put_time(field, time_ns);
	sink_bytes(s, field, sizeof(field));
}

static void sink_option(struct sink *s, uint32_t code, const void *value, size_t len)
{
	static const uint8_t zeroes[3];

	sink_u16(s, code);
	sink_u16(s, (uint32_t)len);
	sink_bytes(s, value, len);
	sink_bytes(s, zeroes, -len & 3u);
}

static void sink_text(struct sink *s, uint32_t code, const char *text)
{
	const size_t len = text ? strlen(text) : 0;

	if (len)
		sink_option(s, code, text, len < UINT16_MAX ? len : UINT16_MAX);
}

static void sink_count(struct sink *s, uint32_t code, uint64_t count)
{
	uint8_t value[8];

	put_u64(value, count);
	sink_option(s, code, value, sizeof(value));
}

static void sink_time_option(struct sink *s, uint32_t code, uint64_t time_ns)
{
	uint8_t value[8];

	put_time(value, time_ns);
	sink_option(s, code, value, sizeof(value));
}

static struct sink block_begin(uint8_t *out, size_t cap, uint32_t type)
{
	struct sink s = {.out = out, .cap = cap};

	sink_u32(&s, type);
	sink_u32(&s, 0); /* total length: block_end */
	return s;
}

static size_t block_end(struct sink *s)
{
	sink_u32(s, BLOCK_OPT_END);
	sink_u32(s, (uint32_t)s->len + 4);
	if (s->len > s->cap)
		return 0;
	put_u32(s->out + AT_TOTAL, (uint32_t)s->len);
	return s->len;
}

size_t block_section(uint8_t *out, size_t cap, const char *application, const char *comment)
{
	struct sink s = block_begin(out, cap, BLOCK_TYPE_SECTION);

	sink_u32(&s, 0x1a2b3c4d); /* byte order */
	sink_u16(&s, 1);          /* version 1.0 */
	sink_u16(&s, 0);
	sink_u32(&s, UINT32_MAX); /* section length, 64 bits: not known */
	sink_u32(&s, UINT32_MAX);
	sink_text(&s, BLOCK_SHB_USERAPPL, application);
	sink_text(&s, BLOCK_OPT_COMMENT, comment);
	return block_end(&s);
}

/* A byte 0 in front: what follows is text of libpcap (section 4.2). */
static void sink_filter(struct sink *s, const char *filter)
{
	uint8_t value[1 + sizeof(((struct block_interface *)0)->filter)] = {0};
	const size_t len = strlen(filter);

	if (!len)
		return;
	memcpy(value + 1, filter, len);
	sink_option(s, BLOCK_IF_FILTER, value, 1 + len);
}

size_t block_interface(uint8_t *out, size_t cap, const struct block_interface *i)
{
	static const uint8_t nanoseconds = 9; /* 10^-9 s */
	struct sink s = block_begin(out, cap, BLOCK_TYPE_INTERFACE);

	sink_u16(&s, i->linktype);
	sink_u16(&s, 0);
	sink_u32(&s, i->snaplen);
	sink_text(&s, BLOCK_IF_NAME, i->name);
	sink_text(&s, BLOCK_IF_DESCRIPTION, i->description);
	sink_text(&s, BLOCK_OPT_COMMENT, i->comment);
	sink_filter(&s, i->filter);
	sink_option(&s, BLOCK_IF_TSRESOL, &nanoseconds, 1);
	return block_end(&s);
}

size_t block_statistics(uint8_t *out, size_t cap, const struct block_statistics *i)
{
	struct sink s = block_begin(out, cap, BLOCK_TYPE_STATISTICS);

	sink_u32(&s, i->interface);
	sink_time(&s, i->time_ns);
	sink_time_option(&s, BLOCK_ISB_STARTTIME, i->start_ns);
	sink_time_option(&s, BLOCK_ISB_ENDTIME, i->end_ns);
	sink_count(&s, BLOCK_ISB_IFRECV, i->received);
	sink_count(&s, BLOCK_ISB_IFDROP, i->dropped);
	sink_count(&s, BLOCK_ISB_OSDROP, i->os_dropped);
	sink_count(&s, BLOCK_ISB_USRDELIV, i->delivered);
	sink_text(&s, BLOCK_OPT_COMMENT, i->comment);
	return block_end(&s);
}

static void sink_name(struct sink *s, const struct block_name *name)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, zeroes[3];
	const bool is_v4 = !memcmp(name->address.byte, mapped, sizeof(mapped));
	const size_t skip = is_v4 ? sizeof(mapped) : 0;
	const size_t address_len = sizeof(name->address) - skip, name_len = strlen(name->name) + 1;

	assert(name_len <= BLOCK_NAME_MAX + 1);
	sink_u16(s, is_v4 ? BLOCK_RECORD_IPV4 : BLOCK_RECORD_IPV6);
	sink_u16(s, (uint32_t)(address_len + name_len));
	sink_bytes(s, name->address.byte + skip, address_len);
	sink_bytes(s, name->name, name_len);
	sink_bytes(s, zeroes, -name_len & 3u); /* addresses are multiples of 4 */
}

size_t block_names(uint8_t *out, size_t cap, const struct block_name *names, unsigned n)
{
	struct sink s = block_begin(out, cap, BLOCK_TYPE_NAMES);

	for (unsigned i = 0; i < n; i++)
		sink_name(&s, &names[i]);
	/* The end of options that block_end writes is the end of records too: there are none. */
	return block_end(&s);
}
