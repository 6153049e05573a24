#include "path/block_read.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "path/block_clock.h"

#define BYTE_ORDER_MAGIC 0x1a2b3c4du

/* Type and total length before every body, total length once more behind it. */
#define FRAME_HEAD 8u
#define FRAME_TAIL 4u
#define FRAME_MIN  (FRAME_HEAD + FRAME_TAIL)

struct interface {
	struct block_clock clock;
	uint32_t snaplen; /* 0: no limit */
	uint16_t linktype;
};

struct block_reader {
	struct interface *interface; /* of the current section */
	uint32_t n, cap;
	bool has_section, is_big_endian;
};

/* The bytes between the two total lengths. */
struct body {
	const uint8_t *p, *end;
};

struct option {
	uint16_t code, len;
	const uint8_t *value; /* len bytes */
};

static uint16_t load_u16(const uint8_t *p, bool is_big_endian)
{
	return (uint16_t)(is_big_endian ? p[0] << 8 | p[1] : p[1] << 8 | p[0]);
}

static uint32_t load_u32(const uint8_t *p, bool is_big_endian)
{
	const uint32_t a = load_u16(p, is_big_endian), b = load_u16(p + 2, is_big_endian);

	return is_big_endian ? a << 16 | b : b << 16 | a;
}

static uint16_t u16(const struct block_reader *r, const uint8_t *p)
{
	return load_u16(p, r->is_big_endian);
}

static uint32_t u32(const struct block_reader *r, const uint8_t *p)
{
	return load_u32(p, r->is_big_endian);
}

static uint64_t u64(const struct block_reader *r, const uint8_t *p)
{
	const uint64_t a = u32(r, p), b = u32(r, p + 4);

	return r->is_big_endian ? a << 32 | b : b << 32 | a;
}

/* Times are two words, the high one first whatever the byte order. */
static uint64_t u64_time(const struct block_reader *r, const uint8_t *p)
{
	return (uint64_t)u32(r, p) << 32 | u32(r, p + 4);
}

/* Takes the next option off b. 1: there is one; 0: the list has ended; -EBADMSG. */
static int next_option(const struct block_reader *r, struct body *b, struct option *out,
		       struct err *err)
{
	const size_t left = (size_t)(b->end - b->p);

	if (left < 4)
		return 0;
	out->code = u16(r, b->p);
	out->len = u16(r, b->p + 2);
	out->value = b->p + 4;
	if (out->code == BLOCK_OPT_END)
		return 0;
	const size_t padded = (out->len + 3u) & ~3u;
	if (padded > left - 4)
		return err_set(err, -EBADMSG,
			       "option %u of %u bytes runs past the end of its block", out->code,
			       out->len);
	b->p += 4 + padded;
	return 1;
}

static void copy_text(char *out, size_t cap, const struct option *o)
{
	const size_t len = o->len < cap ? o->len : cap - 1;

	memcpy(out, o->value, len);
	out[len] = '\0';
}

static int parse_section(struct block_reader *r, struct body b, struct block *out, struct err *err)
{
	(void)out;
	/* 1.2 was written by mistake and is read as 1.0 (section 4.1). */
	const bool is_big_endian = load_u32(b.p, true) == BYTE_ORDER_MAGIC;
	const uint16_t major = load_u16(b.p + 4, is_big_endian);
	const uint16_t minor = load_u16(b.p + 6, is_big_endian);
	if (major != 1 || (minor != 0 && minor != 2))
		return err_set(err, -EBADMSG, "pcapng version %u.%u is not known, only 1.0", major,
			       minor);
	r->has_section = true;
	r->is_big_endian = is_big_endian;
	r->n = 0;
	return 0;
}

static int grow_interfaces(struct block_reader *r, struct err *err)
{
	if (r->n < r->cap)
		return 0;
	if (r->n == BLOCK_INTERFACES_MAX)
		return err_set(err, -EBADMSG, "more than %u interfaces in one section",
			       BLOCK_INTERFACES_MAX);
	const uint32_t cap = r->cap ? r->cap * 2 : 16;
	struct interface *grown = realloc(r->interface, cap * sizeof(*grown));
	if (!grown)
		return err_set(err, -ENOMEM, "out of memory for %u interfaces", cap);
	r->interface = grown;
	r->cap = cap;
	return 0;
}

/* What begins with another byte than 0 is no text. */
static void copy_filter(char *out, size_t cap, const struct option *o)
{
	const struct option text = {.value = o->value + 1, .len = o->len - 1};

	if (o->len && !o->value[0])
		copy_text(out, cap, &text);
}

static int parse_interface_option(const struct block_reader *r, const struct option *o,
				  struct interface *i, struct block_interface *out, struct err *err)
{
	switch (o->code) {
	case BLOCK_OPT_COMMENT:
		copy_text(out->comment, sizeof(out->comment), o);
		return 0;
	case BLOCK_IF_NAME:
		copy_text(out->name, sizeof(out->name), o);
		return 0;
	case BLOCK_IF_DESCRIPTION:
		copy_text(out->description, sizeof(out->description), o);
		return 0;
	case BLOCK_IF_FILTER:
		copy_filter(out->filter, sizeof(out->filter), o);
		return 0;
	case BLOCK_IF_TSRESOL:
		if (o->len != 1)
			return err_set(err, -EBADMSG, "if_tsresol has %u bytes, not 1", o->len);
		i->clock.resolution = *o->value;
		return 0;
	case BLOCK_IF_TSOFFSET:
		if (o->len != 8)
			return err_set(err, -EBADMSG, "if_tsoffset has %u bytes, not 8", o->len);
		i->clock.offset_s = (int64_t)u64(r, o->value);
		return 0;
	default:
		return 0;
	}
}

static int parse_interface(struct block_reader *r, struct body b, struct block *out,
			   struct err *err)
{
	struct interface i = {
		.linktype = u16(r, b.p),
		.snaplen = u32(r, b.p + 4),
		.clock.resolution = BLOCK_CLOCK_DEFAULT,
	};
	struct option o;
	int ret;

	out->interface.linktype = i.linktype;
	out->interface.snaplen = i.snaplen;
	out->interface.name[0] = out->interface.description[0] = '\0';
	out->interface.filter[0] = out->interface.comment[0] = '\0';
	b.p += 8;
	while ((ret = next_option(r, &b, &o, err)) > 0) {
		ret = parse_interface_option(r, &o, &i, &out->interface, err);
		if (ret)
			return ret;
	}
	if (!ret)
		ret = grow_interfaces(r, err);
	if (ret)
		return ret;
	r->interface[r->n++] = i;
	return 0;
}

/* The interface that a block names, or NULL. */
static const struct interface *find_interface(const struct block_reader *r, uint32_t number,
					      struct err *err)
{
	if (number < r->n)
		return &r->interface[number];
	(void)err_set(err, -EBADMSG, "a block names interface %u, but its section has only %u",
		      number, r->n);
	return NULL;
}

/* Lends the packet's bytes and takes them, with their padding, off b. */
static int take_data(struct body *b, struct block_packet *p, struct err *err)
{
	const size_t left = (size_t)(b->end - b->p);

	if (p->cap_len > left)
		return err_set(err, -EBADMSG,
			       "a packet of %u captured bytes runs past its block's end",
			       p->cap_len);
	p->data = b->p;
	b->p += (p->cap_len + 3) & ~3u; /* left is a multiple of 4, as all lengths of blocks are */
	return 0;
}

/* What enhanced and obsolete packet blocks share: time, lengths, bytes. */
static int parse_timed_packet(const struct block_reader *r, struct body *b, struct block_packet *p,
			      struct err *err)
{
	const struct interface *i = find_interface(r, p->interface, err);

	if (!i)
		return -EBADMSG;
	p->time_ns = block_clock_ns(&i->clock, u64_time(r, b->p + 4));
	p->cap_len = u32(r, b->p + 12);
	p->wire_len = u32(r, b->p + 16);
	p->id = UINT64_MAX;
	p->queue = UINT32_MAX;
	p->flags = 0;
	p->drops = 0;
	b->p += 20;
	return take_data(b, p, err);
}

static int parse_enhanced(struct block_reader *r, struct body b, struct block *out, struct err *err)
{
	struct block_packet *p = &out->packet;
	struct option o;

	p->interface = u32(r, b.p);
	int ret = parse_timed_packet(r, &b, p, err);
	if (ret)
		return ret;
	while ((ret = next_option(r, &b, &o, err)) > 0) {
		if (o.code == BLOCK_EPB_PACKETID && o.len == 8)
			p->id = u64(r, o.value);
		else if (o.code == BLOCK_EPB_QUEUE && o.len == 4)
			p->queue = u32(r, o.value);
		else if (o.code == BLOCK_EPB_FLAGS && o.len == 4)
			p->flags = u32(r, o.value);
		else if (o.code == BLOCK_EPB_DROPCOUNT && o.len == 8)
			p->drops = u64(r, o.value);
	}
	return ret;
}

/* Appendix A: as an enhanced one, but a 16-bit drop count after a 16-bit interface. */
static int parse_obsolete(struct block_reader *r, struct body b, struct block *out, struct err *err)
{
	out->packet.interface = u16(r, b.p);
	return parse_timed_packet(r, &b, &out->packet, err);
}

/* Section 4.4: interface 0, no time, and the captured length follows from the snap length. */
static int parse_simple(struct block_reader *r, struct body b, struct block *out, struct err *err)
{
	const struct interface *i = find_interface(r, 0, err);

	if (!i)
		return -EBADMSG;
	const uint32_t wire_len = u32(r, b.p);
	const bool is_cut = i->snaplen && i->snaplen < wire_len;
	out->packet = (struct block_packet){
		.cap_len = is_cut ? i->snaplen : wire_len,
		.wire_len = wire_len,
		.id = UINT64_MAX,
		.queue = UINT32_MAX,
	};
	b.p += 4;
	return take_data(&b, &out->packet, err);
}

static int parse_statistics(struct block_reader *r, struct body b, struct block *out,
			    struct err *err)
{
	struct block_statistics *s = &out->statistics;
	const struct interface *i = find_interface(r, u32(r, b.p), err);
	struct option o;
	int ret;

	if (!i)
		return -EBADMSG;
	*s = (struct block_statistics){.interface = u32(r, b.p),
				       .time_ns = block_clock_ns(&i->clock, u64_time(r, b.p + 4))};
	b.p += 12;
	while ((ret = next_option(r, &b, &o, err)) > 0) {
		if (o.len != 8)
			continue;
		if (o.code == BLOCK_ISB_STARTTIME)
			s->start_ns = block_clock_ns(&i->clock, u64_time(r, o.value));
		else if (o.code == BLOCK_ISB_ENDTIME)
			s->end_ns = block_clock_ns(&i->clock, u64_time(r, o.value));
		else if (o.code == BLOCK_ISB_IFRECV)
			s->received = u64(r, o.value);
		else if (o.code == BLOCK_ISB_IFDROP)
			s->dropped = u64(r, o.value);
		else if (o.code == BLOCK_ISB_OSDROP)
			s->os_dropped = u64(r, o.value);
		else if (o.code == BLOCK_ISB_USRDELIV)
			s->delivered = u64(r, o.value);
	}
	return ret;
}

/* A record of a names block is laid out as an option is, and their list ends alike. */
static int parse_names(struct block_reader *r, struct body b, struct block *out, struct err *err)
{
	struct option record;
	int ret;

	out->names = (struct block_names){.p = b.p, .end = b.end};
	while ((ret = next_option(r, &b, &record, err)) > 0)
		;
	return ret;
}

static int parse_other(struct block_reader *r, struct body b, struct block *out, struct err *err)
{
	(void)r, (void)b, (void)out, (void)err;
	return 0;
}

struct format {
	uint32_t type;
	uint32_t fixed; /* bytes of the body in front of data and options */
	enum block_kind kind;
	int (*parse)(struct block_reader *r, struct body b, struct block *out, struct err *err);
};

static const struct format *find_format(uint32_t type)
{
	static const struct format formats[] = {
		{BLOCK_TYPE_ENHANCED_PACKET, 20, BLOCK_PACKET, parse_enhanced},
		{BLOCK_TYPE_SIMPLE_PACKET, 4, BLOCK_PACKET, parse_simple},
		{BLOCK_TYPE_OBSOLETE_PACKET, 20, BLOCK_PACKET, parse_obsolete},
		{BLOCK_TYPE_SECTION, 16, BLOCK_SECTION, parse_section},
		{BLOCK_TYPE_INTERFACE, 8, BLOCK_INTERFACE, parse_interface},
		{BLOCK_TYPE_STATISTICS, 12, BLOCK_STATISTICS, parse_statistics},
		{BLOCK_TYPE_NAMES, 0, BLOCK_NAMES, parse_names},
	};
	static const struct format other = {0, 0, BLOCK_OTHER, parse_other};

	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
		if (formats[i].type == type)
			return &formats[i];
	return &other;
}

/* The byte order of the block at p (FRAME_MIN bytes): a section block says its own. */
static int find_byte_order(const struct block_reader *r, const uint8_t *p, bool *is_big_endian,
			   struct err *err)
{
	/* The section's type reads the same in both orders. */
	if (load_u32(p, true) != BLOCK_TYPE_SECTION) {
		if (!r->has_section)
			return err_set(err, -EBADMSG, "no section header block at the start");
		*is_big_endian = r->is_big_endian;
		return 0;
	}
	*is_big_endian = load_u32(p + 8, true) == BYTE_ORDER_MAGIC;
	if (!*is_big_endian && load_u32(p + 8, false) != BYTE_ORDER_MAGIC)
		return err_set(err, -EBADMSG,
			       "a section header block without its byte-order magic");
	return 0;
}

int block_reader_open(struct block_reader **out, struct err *err)
{
	struct block_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return err_set(err, -ENOMEM, "out of memory");
	*out = r;
	return 0;
}

void block_reader_close(struct block_reader *reader)
{
	if (!reader)
		return;
	free(reader->interface);
	free(reader);
}

int block_read(struct block_reader *reader, const uint8_t *p, size_t len, struct block *out,
	       size_t *used, struct err *err)
{
	bool is_big_endian;

	if (len < FRAME_MIN) {
		*used = FRAME_MIN;
		return -EAGAIN;
	}
	int ret = find_byte_order(reader, p, &is_big_endian, err);
	if (ret)
		return ret;
	const uint32_t type = load_u32(p, is_big_endian);
	const uint32_t total = load_u32(p + 4, is_big_endian);
	const struct format *format = find_format(type);
	if (total % 4 || total < FRAME_MIN + format->fixed || total > BLOCK_MAX)
		return err_set(err, -EBADMSG, "a block of type 0x%x cannot be %u bytes long", type,
			       total);
	if (len < total) {
		*used = total;
		return -EAGAIN;
	}
	const struct body body = {p + FRAME_HEAD, p + total - FRAME_TAIL};
	const uint32_t again = load_u32(body.end, is_big_endian);
	if (again != total)
		return err_set(err, -EBADMSG, "a block of type 0x%x has two lengths, %u and %u",
			       type, total, again);
	ret = format->parse(reader, body, out, err);
	if (ret)
		return ret;
	out->kind = format->kind;
	*used = total;
	return 0;
}

/* Names without a NUL behind the last one are none. */
static void begin_record(struct block_names *n, const struct option *record)
{
	static const struct address mapped = {{[10] = 0xff, [11] = 0xff}};
	const uint16_t address_len = record->code == BLOCK_RECORD_IPV4   ? 4
				     : record->code == BLOCK_RECORD_IPV6 ? sizeof(n->address)
									 : UINT16_MAX;

	if (record->len <= address_len || record->value[record->len - 1])
		return;
	n->address = mapped;
	memcpy(n->address.byte + sizeof(n->address) - address_len, record->value, address_len);
	n->text = (const char *)record->value + address_len;
	n->text_end = (const char *)record->value + record->len;
}

bool block_names_next(const struct block_reader *reader, struct block_names *names,
		      struct block_name *out)
{
	struct body rest = {names->p, names->end};
	struct option record;
	struct err ignored; /* block_read has found none */

	while (names->text == names->text_end) {
		if (next_option(reader, &rest, &record, &ignored) <= 0)
			return false;
		names->p = rest.p;
		begin_record(names, &record);
	}
	*out = (struct block_name){names->address, names->text};
	names->text += strlen(names->text) + 1;
	return true;
}

uint16_t block_reader_linktype(const struct block_reader *reader, uint32_t interface)
{
	assert(interface < reader->n);
	return reader->interface[interface].linktype;
}
