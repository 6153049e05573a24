#include "base/fdpass.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
};

int fdpass_send(int socket, const void *data, size_t len, const int *fds, unsigned n)
{
	union control control = {0};
	struct iovec iov = {(void *)data, len};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	assert(n <= FDPASS_MAX);
	if (n) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	}
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static unsigned take_fds(struct msghdr *message, int *fds, unsigned max)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(message);

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	const size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	assert(n <= max);
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	return (unsigned)n;
}

int fdpass_receive(int socket, void *data, size_t len, int *fds, unsigned n)
{
	union control control;
	int got[FDPASS_MAX];
	struct iovec iov = {data, len};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	const ssize_t size = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);

	if (size <= 0)
		return size ? -errno : -ECONNRESET;
	const unsigned n_got = take_fds(&message, got, FDPASS_MAX);
	if ((size_t)size != len || n_got != n) {
		for (unsigned i = 0; i < n_got; i++)
			(void)close(got[i]);
		return -EPROTO;
	}
	if (n)
		memcpy(fds, got, n * sizeof(int));
	return 0;
}
