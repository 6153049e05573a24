#include "path/attach_nic.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "abi.h"

static int interface_ioctl(const char *interface, unsigned long request, struct ifreq *request_data)
{
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)snprintf(request_data->ifr_name, sizeof(request_data->ifr_name), "%s", interface);
	const int ret = ioctl(fd, request, request_data) < 0 ? -errno : 0;
	(void)close(fd);
	return ret;
}

/* For drivers that do not tell their channels. 0: sysfs has another namespace's interfaces. */
static uint32_t queues_by_sysfs(const char *interface)
{
	char path[128];
	uint32_t n = 0;

	do
		(void)snprintf(path, sizeof(path), "/sys/class/net/%s/queues/rx-%u", interface, n);
	while (!access(path, F_OK) && n++ < STEER_QUEUES_MAX);
	return n;
}

int attach_nic_kernel(struct err *err)
{
	unsigned major = 0, minor = 0;
	struct utsname name;

	/* 5.18: the first whose redirects carry packets of several buffers (xdp.frags). */
	if (uname(&name) || sscanf(name.release, "%u.%u", &major, &minor) != 2 || major > 5 ||
	    (major == 5 && minor >= 18))
		return 0;
	return err_set(err, -ENOSYS,
		       "kernel %s is too old: 5.18 or later is needed ('uname -r' tells)",
		       name.release);
}

int attach_nic_queues(const char *interface, uint32_t *queues, struct err *err)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq request = {.ifr_data = (char *)&channels};

	if (!if_nametoindex(interface))
		return err_set(err, -ENODEV,
			       "no interface %s here; 'ip link' lists those there are", interface);
	uint32_t n = 0;
	if (!interface_ioctl(interface, SIOCETHTOOL, &request))
		n = channels.rx_count + channels.combined_count;
	else
		n = queues_by_sysfs(interface);
	if (n > STEER_QUEUES_MAX)
		return err_set(err, -E2BIG,
			       "%s has %u RX queues, more than %u: 'ethtool -L %s combined %u' "
			       "lowers them",
			       interface, n, STEER_QUEUES_MAX, interface, STEER_QUEUES_MAX);
	*queues = n ? n : 1;
	return 0;
}

uint32_t attach_nic_ring(const char *interface)
{
	struct ethtool_ringparam nic = {.cmd = ETHTOOL_GRINGPARAM};
	struct ifreq request = {.ifr_data = (char *)&nic};

	return interface_ioctl(interface, SIOCETHTOOL, &request) ? 0 : nic.rx_pending;
}

int attach_nic_mtu(const char *interface, uint32_t *mtu, struct err *err)
{
	struct ifreq request = {0};
	const int ret = interface_ioctl(interface, SIOCGIFMTU, &request);

	if (ret)
		return err_set(err, ret, "cannot read the MTU of %s: %s", interface,
			       strerror(-ret));
	*mtu = (uint32_t)request.ifr_mtu;
	return 0;
}

void attach_nic_driver(const char *interface, char out[static 32])
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq request = {.ifr_data = (char *)&info};

	if (interface_ioctl(interface, SIOCETHTOOL, &request))
		*info.driver = 0;
	(void)snprintf(out, 32, "%s", info.driver);
}
