/*
 * attach_nic: what an interface says of itself. Starter's thread; needs no privilege.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

/* -ENOSYS with a sentence: this kernel is too old. */
int attach_nic_kernel(struct err *err);
/* RX queues: 1 to STEER_QUEUES_MAX, else an error that says how to lower them. */
int attach_nic_queues(const char *interface, uint32_t *queues, struct err *err);
/* Descriptors of the driver's own RX rings; 0: it does not tell. */
uint32_t attach_nic_ring(const char *interface);
int attach_nic_mtu(const char *interface, uint32_t *mtu, struct err *err);
/* Its driver's name, or "". */
void attach_nic_driver(const char *interface, char out[static 32]);
