#include "vxcap_filter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "vxcap_time.h"

void vxcap_filter_init(struct vxcap_filter *filter)
{
	*filter = (struct vxcap_filter){.to_ns = UINT64_MAX};
}

void vxcap_filter_fini(struct vxcap_filter *filter)
{
	if (filter->has_bpf)
		pcap_freecode(&filter->bpf);
	filter->has_bpf = false;
	vxcap_flows_fini(&filter->flows);
}

int vxcap_filter_compile(struct vxcap_filter *filter, const char *text, struct err *err)
{
	pcap_t *pcap = pcap_open_dead(DLT_EN10MB, BLOCK_SNAPLEN);
	int ret = 0;

	if (!pcap)
		return err_set(err, -ENOMEM, "out of memory");
	if (filter->has_bpf)
		pcap_freecode(&filter->bpf);
	filter->has_bpf = false;
	if (pcap_compile(pcap, &filter->bpf, text, 1, PCAP_NETMASK_UNKNOWN))
		ret = err_set(err, -EINVAL, "the filter '%s' is not valid: %s", text,
			      pcap_geterr(pcap));
	else
		filter->has_bpf = true;
	pcap_close(pcap);
	return ret;
}

/* The end of a value: of the description, or in front of the next key. A value may have spaces. */
static bool is_value_end(const char *p)
{
	const size_t key_len = *p == ' ' ? strspn(p + 1, "abcdefghijklmnopqrstuvwxyz-") : 0;

	return *p == '\0' || (key_len && p[1 + key_len] == '=');
}

/* True when the description, KEY=VALUE KEY=VALUE ..., has this one. The first of a key counts: what
 * comes later may be part of another's value. */
static bool description_has(const char *description, const char *key, const char *value)
{
	const size_t key_len = strlen(key), value_len = strlen(value);

	for (const char *p = description; (p = strstr(p, key)); p++)
		if ((p == description || p[-1] == ' ') && p[key_len] == '=')
			return !strncmp(p + key_len + 1, value, value_len) &&
			       is_value_end(p + key_len + 1 + value_len);
	return false;
}

/* ADDRESS-VNI or ADDRESS-VNI.GENERATION: of one session, and no store is called so. */
static bool is_session_name(const char *name, uint32_t *vni)
{
	const char *const dash = strrchr(name, '-');
	char address[INET6_ADDRSTRLEN];
	uint8_t ignored[16];
	unsigned generation;
	int len = 0;

	if (!dash || (size_t)(dash - name) >= sizeof(address))
		return false;
	(void)snprintf(address, sizeof(address), "%.*s", (int)(dash - name), name);
	if (inet_pton(strchr(address, ':') ? AF_INET6 : AF_INET, address, ignored) != 1 ||
	    sscanf(dash + 1, "%8" SCNu32 "%n", vni, &len) != 1)
		return false;
	const char *const rest = dash + 1 + len;
	len = 0;
	return !*rest || (sscanf(rest, ".%8u%n", &generation, &len) == 1 && !rest[len]);
}

/* The session that was named, or a later generation of it: NAME.2 and on. */
static bool is_of_session(const char *wanted, const char *name)
{
	const size_t len = strlen(wanted);

	if (strncmp(name, wanted, len) != 0)
		return false;
	if (!name[len])
		return true;
	const char *const digits = name + len + 1;
	return name[len] == '.' && *digits >= '1' && *digits <= '9' &&
	       !digits[strspn(digits, "0123456789")] && strcmp(digits, "1") != 0;
}

bool vxcap_filter_file(const struct vxcap_filter *filter, const char *path)
{
	struct vxcap_name name;
	uint32_t vni;

	if (!vxcap_time_name(&name, path))
		return true;
	if (filter->to_ns <= name.start_ns || filter->from_ns > name.end_ns)
		return false;
	if (!is_session_name(name.name, &vni))
		return true;
	return (!filter->session || is_of_session(filter->session, name.name)) &&
	       (!filter->has_vni || filter->vni == vni);
}

bool vxcap_filter_by_interface(const struct vxcap_filter *filter)
{
	return filter->session || filter->has_vni || filter->nf;
}

static bool by_content(const struct vxcap_filter *filter)
{
	const struct vxcap_flows *f = &filter->flows;

	return filter->has_bpf || f->n_flows || f->n_communities || f->n_hosts;
}

bool vxcap_filter_interface(const struct vxcap_filter *filter, const struct block_interface *i)
{
	if (filter->session && !is_of_session(filter->session, i->name))
		return false;
	char vni[sizeof("4294967295")];

	(void)snprintf(vni, sizeof(vni), "%u", filter->vni);
	if (filter->has_vni && !description_has(i->description, "vni", vni))
		return false;
	if (filter->nf && !description_has(i->description, "nf", filter->nf))
		return false;
	return !by_content(filter) || i->linktype == BLOCK_LINKTYPE_ETHERNET;
}

bool vxcap_filter_range(const struct vxcap_filter *filter, uint64_t first_ns, uint64_t last_ns)
{
	return first_ns <= last_ns && last_ns >= filter->from_ns && first_ns < filter->to_ns;
}

bool vxcap_filter_packet(const struct vxcap_filter *filter, const struct block_packet *packet)
{
	const struct pcap_pkthdr header = {.caplen = packet->cap_len, .len = packet->wire_len};

	if (!vxcap_filter_range(filter, packet->time_ns, packet->time_ns))
		return false;
	return vxcap_flows_packet(&filter->flows, packet) &&
	       (!filter->has_bpf || pcap_offline_filter(&filter->bpf, &header, packet->data));
}
