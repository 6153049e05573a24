/*
 * fuzz_packet: outer and inner headers. The first byte says what follows: a frame of a file, one
 * that XDP wrote its header in front of, or an inner frame of which so many bytes more lie in
 * further segments.
 */
#include <string.h>

#include "fuzz.h"
#include "path/decap.h"
#include "path/dissect.h"

static void check_dissected(const uint8_t *data, uint32_t len, uint32_t cap_len)
{
	struct dissected d, inner;
	struct flow_key quoted;
	unsigned direction;

	dissect_frame(data, len, cap_len, &d);
	FUZZ_CHECK(d.wire_len >= cap_len);
	FUZZ_CHECK(!d.has_flow || d.key.version == 4 || d.key.version == 6);
	FUZZ_CHECK(!d.has_flow || memcmp(&d.key.a, &d.key.b, sizeof(d.key.a)) <= 0);
	FUZZ_CHECK(d.l3 <= len && d.direction <= 1);
	FUZZ_CHECK(!d.l4 || d.l4 > d.l3);
	FUZZ_CHECK(dissect_end(&d, len) <= len);
	if (dissect_quoted(data, len, &d, &quoted, &direction))
		FUZZ_CHECK(direction <= 1 && (quoted.version == 4 || quoted.version == 6));
	if (dissect_gtpu(data, len, &d, &inner))
		FUZZ_CHECK(inner.l3 > d.l3 && inner.l3 <= len &&
			   (!inner.l4 || inner.l4 > inner.l3));
}

static void check_decap(const struct frame *frame)
{
	static const struct decap_config config = {.port = 4789, .key.word = {1, 2}};
	static const struct batch batch;
	struct packet p;

	if (decap_frame(&config, &batch, frame, &p) != FATE_KEPT)
		return;
	FUZZ_CHECK(p.data >= frame->data && p.len <= p.cap_len);
	FUZZ_CHECK(p.data + p.len <= frame->data + frame->len);
	check_dissected(p.data, p.len, p.cap_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct steer_header steer;

	if (!size || size > 1 << 17)
		return 0;
	const uint8_t kind = *data++;
	const uint32_t len = (uint32_t)--size;
	if (kind & 0x80) {
		check_dissected(data, len, len + (kind & 0x7f));
	} else if (kind & 1 && len >= sizeof(steer)) {
		memcpy(&steer, data, sizeof(steer));
		check_decap(&(struct frame){.data = data + sizeof(steer),
					    .len = len - (uint32_t)sizeof(steer),
					    .steer = &steer});
	} else {
		check_decap(&(struct frame){.data = data, .len = len});
	}
	return 0;
}
