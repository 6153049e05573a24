/*
 * vxmirror_send: frames onto an interface through a packet socket, at a rate.
 *
 * One thread. Frames bypass the queueing discipline, so that none is dropped unseen.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct send_config {
	const char *interface;
	uint64_t rate_pps; /* 0: as fast as it goes */
};

struct sender;

int send_open(struct sender **out, const struct send_config *config, struct err *err);
/* Takes NULL. */
void send_close(struct sender *sender);

/* The interface's own address. */
const uint8_t *send_mac(const struct sender *sender);
/* The address of an IPv4 neighbour: asks the kernel, which asks the network. Takes up to 2 s. */
int send_find_neighbour(struct sender *sender, const uint8_t ipv4[4], uint8_t mac[6],
			struct err *err);

/* A buffer of SEND_FRAME_MAX bytes for the next frame; send_commit sends the frame, though perhaps
 * later with others. -EMSGSIZE: longer than the interface's MTU; -EINTR: a signal came. */
#define SEND_FRAME_MAX (14u + 65535u)
uint8_t *send_buffer(struct sender *sender);
int send_commit(struct sender *sender, size_t len, struct err *err);
/* Sends what is left. */
int send_flush(struct sender *sender, struct err *err);

struct send_counts {
	uint64_t packets, bytes; /* taken by the driver */
	uint64_t refused;        /* ENOBUFS: the driver's ring was full */
};

struct send_counts send_counts(const struct sender *sender);
