/*
 * facts_part: the parts of facts_gather, each of which fills in what it can learn.
 */
#pragma once

#include "doctor/facts.h"

#include <stdbool.h>
#include <stddef.h>

/* Kernel, privileges, memory, clock. */
void facts_host(struct doctor_facts *facts);
/* facts->interface: driver, link, queues, rings, offloads. */
void facts_nic(struct doctor_facts *facts);
/* facts->interface: what XDP it has, and what is attached. */
void facts_xdp(struct doctor_facts *facts, unsigned ifindex);
/* facts->folder. Makes a file without a name there, which is gone at once. */
void facts_folder(struct doctor_facts *facts);

/* The first line of a file without its end; false, and text untouched, if there is none. */
bool facts_read_line(const char *path, char *text, size_t len);
/* A block device, as a folder of /sys, is dm-crypt's, or everything beneath it is. */
bool facts_is_dm_crypt(const char *device);
