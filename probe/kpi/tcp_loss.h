/*
 * tcp_loss: bytes that were acknowledged, and those of them that the mirror never gave.
 *
 * Worker, through tcp_stream, whose header says when an ACK is believed.
 */
#pragma once

#include "kpi/sink.h"
#include "kpi/tcp_stream.h"

#include <stdint.h>

/* Is now so long behind since, when an ACK came, that its data is not waited for any more? now may
 * be before since, of a packet that came late. */
bool tcp_loss_is_late(uint32_t since, uint32_t now);
/* Counts what may be believed at now of the ACKs of this way's data. */
void tcp_loss_count(const struct kpi_sink *sink, struct tcp_way *way, uint32_t now);
/* Counts all of it. */
void tcp_loss_settle(const struct kpi_sink *sink, struct tcp_way *way);
