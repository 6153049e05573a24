/*
 * fuzz_flow: what is wanted of vxcap cat: a byte for the kind, text, NUL, then a packet. What is
 * taken is taken again with its endpoints the other way round, and wants the same packets.
 */
#include <stdio.h>
#include <string.h>

#include "../../tools/vxcap_flow.h"
#include "fuzz.h"

static bool wants(const struct vxcap_flows *flows, const uint8_t *data, size_t len)
{
	const struct block_packet packet = {.data = data, .cap_len = (uint32_t)len};

	return vxcap_flows_packet(flows, &packet);
}

static void check_turned(const char *text, const struct vxcap_flows *flows, const uint8_t *data,
			 size_t len)
{
	static struct vxcap_flows turned;
	char proto[16], a[64], b[64], back[160];
	struct err err;

	FUZZ_CHECK(sscanf(text, "%15s %63s %63s", proto, a, b) == 3);
	(void)snprintf(back, sizeof(back), "%s %s %s", proto, b, a);
	memset(&turned, 0, sizeof(turned));
	FUZZ_CHECK(!vxcap_flows_add(&turned, back, &err));
	FUZZ_CHECK(turned.flow[0].has_key == flows->flow[0].has_key);
	FUZZ_CHECK(!turned.flow[0].has_key || turned.flow[0].key == flows->flow[0].key);
	FUZZ_CHECK(wants(&turned, data, len) == wants(flows, data, len));
	vxcap_flows_fini(&turned);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct vxcap_flows flows;
	const uint8_t *end = size > 1 ? memchr(data + 1, 0, size - 1) : NULL;
	struct err err;

	if (!end)
		return 0;
	const char *text = (const char *)data + 1;
	const uint8_t *packet = end + 1;
	const size_t len = size - (size_t)(packet - data);
	memset(&flows, 0, sizeof(flows));
	if (*data % 3 == 0) {
		if (!vxcap_flows_add(&flows, text, &err))
			check_turned(text, &flows, packet, len);
	} else if (*data % 3 == 1) {
		if (!vxcap_flows_add_community(&flows, text, &err))
			(void)wants(&flows, packet, len);
	} else if (!vxcap_flows_add_host(&flows, text, &err)) {
		(void)wants(&flows, packet, len);
	}
	vxcap_flows_fini(&flows);
	return 0;
}
