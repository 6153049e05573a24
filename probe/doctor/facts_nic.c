#include "doctor/facts_part.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* One question to one interface. */
struct nic {
	int socket;
	struct ifreq request;
};

static bool ask(struct nic *nic, unsigned long what)
{
	return !ioctl(nic->socket, what, &nic->request);
}

static bool ask_ethtool(struct nic *nic, void *command)
{
	nic->request.ifr_data = command;
	return ask(nic, SIOCETHTOOL);
}

static void ask_link(struct doctor_facts *f, struct nic *nic)
{
	if (ask(nic, SIOCGIFFLAGS)) {
		f->up = !!(nic->request.ifr_flags & IFF_UP);
		f->carrier = !!(nic->request.ifr_flags & IFF_RUNNING);
	}
	if (ask(nic, SIOCGIFMTU))
		f->mtu = nic->request.ifr_mtu;
}

static void ask_driver(struct doctor_facts *f, struct nic *nic)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};

	if (!ask_ethtool(nic, &info))
		return;
	(void)snprintf(f->driver, sizeof(f->driver), "%.31s", info.driver);
	(void)snprintf(f->driver_version, sizeof(f->driver_version), "%.31s", info.version);
	(void)snprintf(f->firmware, sizeof(f->firmware), "%.31s", info.fw_version);
	(void)snprintf(f->bus, sizeof(f->bus), "%.31s", info.bus_info);
}

/* A driver without channels, as ifb, has one queue, or does not tell how many. */
static void ask_queues(struct doctor_facts *f, struct nic *nic)
{
	struct ethtool_channels c = {.cmd = ETHTOOL_GCHANNELS};

	if (!ask_ethtool(nic, &c))
		return;
	f->queues = (int64_t)c.rx_count + c.combined_count;
	f->queues_max = (int64_t)c.max_rx + c.max_combined;
	f->queues_combined = c.max_combined > 0;
}

static void ask_ring(struct doctor_facts *f, struct nic *nic)
{
	struct ethtool_ringparam r = {.cmd = ETHTOOL_GRINGPARAM};

	if (!ask_ethtool(nic, &r) || !r.rx_max_pending)
		return;
	f->ring = r.rx_pending;
	f->ring_max = r.rx_max_pending;
}

/* ---- offloads: their bits have names, which the kernel lists ---- */

static uint32_t count_features(struct nic *nic)
{
	union {
		struct ethtool_sset_info info; /* the number follows it */
		uint32_t word[sizeof(struct ethtool_sset_info) / 4 + 1];
	} q = {.info = {.cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES}};

	return ask_ethtool(nic, &q) && q.info.sset_mask ? q.word[sizeof(q.info) / 4] : 0;
}

static int64_t is_on(const struct ethtool_gstrings *names, const struct ethtool_gfeatures *features,
		     const char *name)
{
	for (uint32_t i = 0; i < names->len; i++)
		if (!strncmp((const char *)names->data + (size_t)i * ETH_GSTRING_LEN, name,
			     ETH_GSTRING_LEN))
			return features->features[i / 32].active >> i % 32 & 1;
	return FACT_UNKNOWN;
}

static void ask_offloads(struct doctor_facts *f, struct nic *nic)
{
	const uint32_t n = count_features(nic), words = (n + 31) / 32;
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + (size_t)n * ETH_GSTRING_LEN);
	struct ethtool_gfeatures *features =
		calloc(1, sizeof(*features) + words * sizeof(features->features[0]));

	if (!n || !names || !features)
		goto done;
	*names = (struct ethtool_gstrings){
		.cmd = ETHTOOL_GSTRINGS, .string_set = ETH_SS_FEATURES, .len = n};
	*features = (struct ethtool_gfeatures){.cmd = ETHTOOL_GFEATURES, .size = words};
	if (ask_ethtool(nic, names) && ask_ethtool(nic, features)) {
		f->lro = is_on(names, features, "rx-lro");
		f->gro_hw = is_on(names, features, "rx-gro-hw");
		f->udp_gro_forwarding = is_on(names, features, "rx-udp-gro-forwarding");
	}
done:
	free(names);
	free(features);
}

/* proc_net(5): Iface, Destination, ... in hexadecimal; the default has destination and mask 0. */
static void ask_default_route(struct doctor_facts *f)
{
	char line[256], name[IF_NAMESIZE];
	unsigned destination, mask;
	FILE *file = fopen("/proc/self/net/route", "re");

	if (!file)
		return;
	f->default_route = 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "%15s %x %*x %*x %*d %*d %*d %x", name, &destination, &mask) ==
			    3 &&
		    !destination && !mask && !strcmp(name, f->interface))
			f->default_route = 1;
	(void)fclose(file);
}

void facts_nic(struct doctor_facts *f)
{
	struct nic nic = {.socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};

	if (nic.socket < 0)
		return;
	(void)snprintf(nic.request.ifr_name, sizeof(nic.request.ifr_name), "%s", f->interface);
	ask_link(f, &nic);
	ask_driver(f, &nic);
	ask_queues(f, &nic);
	ask_ring(f, &nic);
	ask_offloads(f, &nic);
	ask_default_route(f);
	(void)close(nic.socket);
}
