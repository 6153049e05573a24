/*
 * fdpass: messages with file descriptors between the probe's own processes (unix(7), SCM_RIGHTS).
 *
 * Over a SOCK_SEQPACKET pair, so that one send is one receive. Blocking; any thread.
 */
#pragma once

#include <stddef.h>

/* The kernel's SCM_MAX_FD is 253. */
#define FDPASS_MAX 250

/* Descriptors stay the caller's. 0 or -errno. */
int fdpass_send(int socket, const void *data, size_t len, const int *fds, unsigned n);
/* Receives exactly len bytes and n descriptors, close-on-exec, which become the caller's.
 * -ECONNRESET: the other side is gone; -EPROTO: another message than expected. */
int fdpass_receive(int socket, void *data, size_t len, int *fds, unsigned n);
