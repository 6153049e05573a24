/*
 * vxmirror_flow: a number for the flow of an inner frame, as the mirror's 5-tuple hash is one, and
 * its direction in it.
 *
 * Pure. Written apart from the probe's own dissector, so that neither hides a fault of the other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Captures do not say which interface was mirrored: egress is what the lower of a flow's endpoints
 * sends, by address, then port. Not IP: by MAC address. */
bool flow_is_egress(const uint8_t *frame, size_t len);

/* TCP and UDP: addresses, ports, protocol; other IP, and fragments but the first: addresses and
 * protocol; not IP: MAC addresses. Symmetric: both directions of a flow give the same number. */
uint64_t flow_hash(const uint8_t *frame, size_t len, uint64_t seed, bool is_symmetric);
