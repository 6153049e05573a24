#define _GNU_SOURCE /* memfd_create */
#include "config/names.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/names_make.h"
#include "path/chain.h"

/*
 * A snapshot, in a mapping of its own:
 *
 *   | struct names | sessions, by source, VNI, from | addresses, by session |
 *   | policies | ranges and | instructions, by policy | texts |
 *
 * A text is named by its offset; that of "" is 0. The last byte is 0, so each text has an end.
 */
#define MAGIC   0x76786e6du /* "vxnm" */
#define VERSION 2u

struct session_row {
	struct address source;
	uint32_t vni, policy;
	int64_t from_ns, until_ns;
	uint64_t mac;
	uint32_t name, nf, vrf, account, eni;
	uint32_t first_address, n_addresses;
	uint32_t store;
};
_Static_assert(sizeof(struct session_row) == 80, "names.h promises it");

struct address_row {
	struct address address;
	int64_t from_ns, until_ns;
	uint32_t nf;
	uint32_t pad;
};
_Static_assert(sizeof(struct address_row) == 40, "names.h promises it");

struct policy_row {
	uint32_t name, filter;
	uint32_t keep, user_plane, snap_len, sample;
	uint32_t first_range, n_ranges;
	uint32_t first_insn, n_insns;
};
_Static_assert(sizeof(struct policy_row) == 40, "what lies behind it is aligned");

struct names {
	uint32_t magic, version;
	uint64_t len; /* of all */
	uint32_t n_sessions, n_addresses, n_policies, n_ranges, n_insns;
	uint32_t unknown; /* policy */
	uint64_t text_len;
};
_Static_assert(sizeof(struct names) % 8 == 0, "the rows behind it are aligned");

static const struct session_row *sessions_of(const struct names *names)
{
	return (const struct session_row *)(names + 1);
}

static const struct address_row *addresses_of(const struct names *names)
{
	return (const struct address_row *)(sessions_of(names) + names->n_sessions);
}

static const struct policy_row *policies_of(const struct names *names)
{
	return (const struct policy_row *)(addresses_of(names) + names->n_addresses);
}

static const struct filter_range *ranges_of(const struct names *names)
{
	return (const struct filter_range *)(policies_of(names) + names->n_policies);
}

static const struct filter_insn *insns_of(const struct names *names)
{
	return (const struct filter_insn *)(ranges_of(names) + names->n_ranges);
}

static const char *text_at(const struct names *names, uint32_t offset)
{
	return (const char *)&insns_of(names)[names->n_insns] + offset;
}

/* By the counts. Cannot overflow: they are 32 bits, and text_len is checked. */
static uint64_t length_of(const struct names *names)
{
	return sizeof(*names) + (uint64_t)names->n_sessions * sizeof(struct session_row) +
	       (uint64_t)names->n_addresses * sizeof(struct address_row) +
	       (uint64_t)names->n_policies * sizeof(struct policy_row) +
	       (uint64_t)names->n_ranges * sizeof(struct filter_range) +
	       (uint64_t)names->n_insns * sizeof(struct filter_insn) + names->text_len;
}

/* ---- made ---- */

static uint64_t text_len(const char *text)
{
	return *text ? strlen(text) + 1 : 0;
}

static struct names measure(const struct names_content *c)
{
	struct names m = {.magic = MAGIC,
			  .version = VERSION,
			  .n_sessions = c->n_entries,
			  .n_policies = c->n_policies,
			  .unknown = c->unknown,
			  .text_len = 1};

	for (uint32_t i = 0; i < c->n_policies; i++) {
		const struct names_policy *p = &c->policies[i];
		m.n_ranges += p->n_only;
		m.n_insns += p->n_code;
		m.text_len += text_len(p->name) + text_len(p->filter);
	}
	for (const struct names_entry *e = c->entries; e < c->entries + c->n_entries; e++) {
		const struct names_session *s = &e->session;
		m.text_len += text_len(s->name) + text_len(s->nf) + text_len(s->vrf) +
			      text_len(s->account) + text_len(s->eni) + text_len(s->store);
		m.n_addresses += e->n_addresses;
		for (uint32_t i = 0; i < e->n_addresses; i++)
			m.text_len += text_len(e->addresses[i].nf);
	}
	m.len = length_of(&m);
	return m;
}

/* Appends to the texts. Returns the offset. */
static uint32_t put_text(struct names *names, uint32_t *used, const char *text)
{
	const uint32_t offset = *used;

	if (!*text)
		return 0;
	memcpy((char *)text_at(names, offset), text, strlen(text) + 1);
	*used += (uint32_t)strlen(text) + 1;
	return offset;
}

static struct session_row make_row(struct names *names, const struct names_entry *e,
				   uint32_t first_address, uint32_t *used)
{
	const struct names_session *s = &e->session;

	return (struct session_row){
		.source = e->source,
		.vni = e->vni,
		.policy = s->policy,
		.from_ns = s->from_ns,
		.until_ns = s->until_ns,
		.mac = s->mac,
		.name = put_text(names, used, s->name),
		.nf = put_text(names, used, s->nf),
		.vrf = put_text(names, used, s->vrf),
		.account = put_text(names, used, s->account),
		.eni = put_text(names, used, s->eni),
		.store = put_text(names, used, s->store),
		.first_address = first_address,
		.n_addresses = e->n_addresses,
	};
}

static void put_entries(struct names *names, const struct names_entry *entries, uint32_t *used)
{
	struct session_row *session = (struct session_row *)sessions_of(names);
	struct address_row *address = (struct address_row *)addresses_of(names);
	uint32_t first = 0;

	for (uint32_t i = 0; i < names->n_sessions; first += entries[i].n_addresses, i++) {
		session[i] = make_row(names, &entries[i], first, used);
		for (uint32_t j = 0; j < entries[i].n_addresses; j++, address++) {
			const struct names_address *a = &entries[i].addresses[j];
			*address = (struct address_row){.address = a->address,
							.from_ns = a->from_ns,
							.until_ns = a->until_ns,
							.nf = put_text(names, used, a->nf)};
		}
	}
}

static void put_policies(struct names *names, const struct names_policy *policies, uint32_t *used)
{
	struct policy_row *row = (struct policy_row *)policies_of(names);
	struct filter_range *ranges = (struct filter_range *)ranges_of(names);
	struct filter_insn *insns = (struct filter_insn *)insns_of(names);
	uint32_t n_ranges = 0, n_insns = 0;

	for (const struct names_policy *p = policies; p < policies + names->n_policies; p++) {
		*row++ = (struct policy_row){.name = put_text(names, used, p->name),
					     .filter = put_text(names, used, p->filter),
					     .keep = p->keep,
					     .user_plane = p->user_plane,
					     .snap_len = p->snap_len,
					     .sample = p->sample,
					     .first_range = n_ranges,
					     .n_ranges = p->n_only,
					     .first_insn = n_insns,
					     .n_insns = p->n_code};
		for (uint32_t i = 0; i < p->n_only; i++)
			ranges[n_ranges++] = p->only[i];
		for (uint32_t i = 0; i < p->n_code; i++)
			insns[n_insns++] = p->code[i];
	}
}

int names_compare(const struct names_entry *a, const struct names_entry *b)
{
	const int source = memcmp(&a->source, &b->source, sizeof(a->source));

	if (source)
		return source;
	if (a->vni != b->vni)
		return a->vni < b->vni ? -1 : 1;
	return (a->session.from_ns > b->session.from_ns) -
	       (a->session.from_ns < b->session.from_ns);
}

int names_make(struct names **out, const struct names_content *content, struct err *err)
{
	const struct names measured = measure(content);
	uint32_t used = 1;

	if (measured.len > NAMES_MEMORY_MAX)
		return err_set(err, -EFBIG,
			       "the names take %u MiB of memory; allowed are %u: give fewer",
			       (unsigned)(measured.len >> 20), NAMES_MEMORY_MAX >> 20);
	struct names *names = mmap(NULL, measured.len, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (names == MAP_FAILED)
		return err_set(err, -ENOMEM, "out of memory for %u names", content->n_entries);
	*names = measured;
	put_policies(names, content->policies, &used);
	put_entries(names, content->entries, &used);
	assert(used == names->text_len);
	(void)mprotect(names, names->len,
		       PROT_READ); /* a write would be a bug: crash in the test */
	*out = names;
	return 0;
}

void names_close(struct names *names)
{
	if (names)
		(void)munmap(names, names->len);
}

/* ---- handed on ---- */

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static int write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		const ssize_t n = write(fd, at, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int names_send(const struct names *names, int *fd, struct err *err)
{
	const int memfd = memfd_create("vxprobe-names", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (memfd < 0)
		return err_set(err, -errno, "cannot hand on names: memfd_create: %s",
			       strerror(errno));
	int ret = write_all(memfd, names, names->len);
	if (!ret && fcntl(memfd, F_ADD_SEALS, SEALS))
		ret = -errno;
	if (ret) {
		close(memfd);
		return err_set(err, ret, "cannot hand on names: %s", strerror(-ret));
	}
	*fd = memfd;
	return 0;
}

static bool is_policy(const struct names *names, uint32_t policy)
{
	return policy < NAMES_POLICY || policy - NAMES_POLICY < names->n_policies;
}

static bool row_is_sound(const struct names *names, const struct session_row *r)
{
	return r->name < names->text_len && r->nf < names->text_len && r->vrf < names->text_len &&
	       r->account < names->text_len && r->eni < names->text_len &&
	       r->store < names->text_len && is_policy(names, r->policy) &&
	       r->first_address <= names->n_addresses &&
	       r->n_addresses <= names->n_addresses - r->first_address;
}

static bool policy_is_sound(const struct names *names, const struct policy_row *r)
{
	return r->name < names->text_len && r->filter < names->text_len &&
	       r->keep <= SESSION_DROP && r->user_plane <= SESSION_DROP && r->sample &&
	       r->first_range <= names->n_ranges &&
	       r->n_ranges <= names->n_ranges - r->first_range && r->first_insn <= names->n_insns &&
	       r->n_insns <= names->n_insns - r->first_insn &&
	       (!r->n_insns ||
		filter_program_is_sound(insns_of(names) + r->first_insn, r->n_insns));
}

/* No reader leaves the block, whatever is in it. Wrong values and a wrong order give wrong answers,
 * no crash. len: bytes that there are. */
static bool is_sound(const struct names *names, uint64_t len)
{
	if (names->magic != MAGIC || names->version != VERSION || names->len != len ||
	    !names->text_len || names->text_len > len || length_of(names) != len)
		return false;
	if (*text_at(names, 0) || *text_at(names, (uint32_t)names->text_len - 1) ||
	    names->n_policies > NAMES_POLICIES_MAX ||
	    (names->unknown != NAMES_UNKNOWN_UNSAID && !is_policy(names, names->unknown)))
		return false;
	for (uint32_t i = 0; i < names->n_policies; i++)
		if (!policy_is_sound(names, &policies_of(names)[i]))
			return false;
	for (uint32_t i = 0; i < names->n_sessions; i++)
		if (!row_is_sound(names, &sessions_of(names)[i]))
			return false;
	for (uint32_t i = 0; i < names->n_addresses; i++)
		if (addresses_of(names)[i].nf >= names->text_len)
			return false;
	return true;
}

int names_map(struct names **out, int fd, struct err *err)
{
	const int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	/* Unsealed it could shrink under the readers' hands. */
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) ||
	    st.st_size < (off_t)sizeof(struct names) || st.st_size > NAMES_MEMORY_MAX)
		return err_set(err, -EPROTO, "no names were handed on, but something else");
	const size_t len = (size_t)st.st_size;
	/* Private: kernels before 6.7 refuse shared mappings of what is sealed against writing. */
	struct names *names = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (names == MAP_FAILED)
		return err_set(err, -errno, "cannot map names: %s", strerror(errno));
	if (!is_sound(names, len)) {
		(void)munmap(names, len);
		return err_set(err, -EPROTO,
			       "the names handed on are damaged, or of another version");
	}
	*out = names;
	return 0;
}

size_t names_memory(const struct names *names)
{
	return names->len;
}

void names_hash(const struct names *names, uint8_t out[static 32])
{
	chain_hash(names, names->len, out);
}

/* ---- read ---- */

static int compare_pair(const struct session_row *r, const struct address *source, uint32_t vni)
{
	const int order = memcmp(&r->source, source, sizeof(*source));

	return order ? order : (r->vni > vni) - (r->vni < vni);
}

/* How many rows come before, or begin at, this instant of this pair. */
static uint32_t rows_until(const struct names *names, const struct address *source, uint32_t vni,
			   int64_t at_ns)
{
	uint32_t low = 0, high = names->n_sessions;

	while (low < high) {
		const uint32_t middle = low + (high - low) / 2;
		const struct session_row *r = &sessions_of(names)[middle];
		const int order = compare_pair(r, source, vni);
		if (order < 0 || (!order && r->from_ns <= at_ns))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct names_session session_of(const struct names *names, uint32_t index)
{
	const struct session_row *r = &sessions_of(names)[index];

	return (struct names_session){
		.name = text_at(names, r->name),
		.nf = text_at(names, r->nf),
		.vrf = text_at(names, r->vrf),
		.account = text_at(names, r->account),
		.eni = text_at(names, r->eni),
		.store = text_at(names, r->store),
		.mac = r->mac,
		.policy = r->policy,
		.from_ns = r->from_ns,
		.until_ns = r->until_ns,
		.index = index,
	};
}

bool names_find(const struct names *names, const struct address *source, uint32_t vni,
		int64_t at_ns, struct names_session *out, int64_t *change_ns)
{
	const uint32_t next = rows_until(names, source, vni, at_ns);
	const struct session_row *r = sessions_of(names) + next;

	if (next && !compare_pair(r - 1, source, vni) && at_ns < r[-1].until_ns) {
		*out = session_of(names, next - 1);
		*change_ns = out->until_ns;
		return true;
	}
	*change_ns = next < names->n_sessions && !compare_pair(r, source, vni) ? r->from_ns
									       : NAMES_NEVER;
	return false;
}

bool names_entry(const struct names *names, uint32_t i, struct names_session *out)
{
	if (i >= names->n_sessions)
		return false;
	*out = session_of(names, i);
	return true;
}

bool names_address(const struct names *names, const struct names_session *session, uint32_t i,
		   struct names_address *out)
{
	const struct session_row *r = &sessions_of(names)[session->index];

	if (i >= r->n_addresses)
		return false;
	const struct address_row *a = &addresses_of(names)[r->first_address + i];
	*out = (struct names_address){.address = a->address,
				      .nf = text_at(names, a->nf),
				      .from_ns = a->from_ns,
				      .until_ns = a->until_ns};
	return true;
}

bool names_policy(const struct names *names, uint32_t i, struct names_policy *out)
{
	const struct policy_row *r = &policies_of(names)[i];

	if (i >= names->n_policies)
		return false;
	*out = (struct names_policy){.name = text_at(names, r->name),
				     .keep = r->keep,
				     .user_plane = r->user_plane,
				     .snap_len = r->snap_len,
				     .sample = r->sample,
				     .filter = text_at(names, r->filter),
				     .code = insns_of(names) + r->first_insn,
				     .only = ranges_of(names) + r->first_range,
				     .n_code = r->n_insns,
				     .n_only = r->n_ranges};
	return true;
}

uint32_t names_unknown(const struct names *names)
{
	return names->unknown;
}

const char *names_sampler(const struct names *names)
{
	for (uint32_t i = 0; i < names->n_policies; i++)
		if (policies_of(names)[i].sample > 1)
			return text_at(names, policies_of(names)[i].name);
	return NULL;
}

uint32_t names_count(const struct names *names)
{
	return names->n_sessions;
}
